//! Neither a flood nor a silence: a group of 500 typing 签到 gets a handful of messages, and everyone who asks gets an answer.

mod common;

use std::time::Duration;

use common::Bot;
use jifen::demo::crowd::CROWD;
use jifen::demo::scene::Chat;
use jifen::demo::wecom::Received;
use jifen::model::day::Millis;
use jifen::model::ids::EventKey;
use tokio::time::MissedTickBehavior;

const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";
/// Messages to a group in ten minutes that people would still call a handful: five one by one, the digest, and a second one for who was
/// still on the way when it was written.
const HANDFUL: usize = 7;
/// How often the rows are looked at, and for how long: many times what a slow machine needs.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the group was told without asking.
fn announced(bot: &Bot) -> Vec<String> {
    let received = bot.demo.stage.double.received_after(0);
    let told = received.into_iter().filter(|received: &Received| received.call == "webhook/send");
    told.filter_map(|received| received.shown).map(|shown| shown.text).collect()
}

/// The states and reasons of the replies to these messages.
fn fates(bot: &Bot, keys: &[EventKey]) -> Vec<(&'static str, String)> {
    let fates = |key| bot.demo.stage.books.about(key).expect("readable").map(|(_, fates)| fates).unwrap_or_default();
    keys.iter().flat_map(fates).map(|fate| (fate.state, fate.reason.unwrap_or_default())).collect()
}

/// Looks until no reply is open any more, at one message after another: the daemon lives on this thread too.
async fn all_done(bot: &Bot, keys: &[EventKey]) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = PATIENCE.as_millis() / LOOK.as_millis();
    for key in keys {
        while let Some((state, reason)) = fates(bot, std::slice::from_ref(key)).into_iter().find(|(state, _)| matches!(*state, "waiting" | "sending")) {
            left = left.checked_sub(1).unwrap_or_else(|| panic!("still open: {state} {reason}"));
            looks.tick().await;
        }
    }
}

#[tokio::test]
async fn five_hundred_check_ins_get_a_handful_of_messages_and_who_asks_in_between_is_answered() {
    let mut bot = Bot::start(RULES).await;
    bot.at("2026-11-22T08:00:00+08:00");
    let (begins, mut keys) = (bot.demo.stage.clock.now(), Vec::new());
    for number in 0..CROWD {
        bot.demo.stage.clock.set(Millis(begins.0 + number * 1_200));
        keys.push(bot.demo.stage.colleague_says(number, "签到").await.expect("it is heard"));
        if number % 50 == 25 {
            bot.says_in(Chat::Inner, "小红", "@积分助手 积分").await;
            let answer = bot.next(|received| received.call == "aibot/response").await;
            assert!(answer.shown.is_some_and(|shown| shown.text.contains("小红:现有 0 积分")));
        }
    }
    assert!(announced(&bot).len() <= 5, "{:?}", announced(&bot));
    bot.at("2026-11-22T08:10:00+08:00");
    all_done(&bot, &keys).await;
    let told = announced(&bot);
    assert!(told.len() <= HANDFUL, "{told:?}");
    let digest = told.iter().find(|text| text.starts_with("【签到播报 8:00–8:10】")).expect("a digest");
    assert!(digest.contains("位签到成功,每人 +2。没记上?@积分助手 发「为什么」。"), "{digest}");
    let fates = fates(&bot, &keys);
    assert_eq!(fates.len() as i64, CROWD);
    assert!(fates.iter().all(|(state, reason)| *state == "sent" && !reason.is_empty()));
    assert!(fates.iter().filter(|(_, reason)| reason == "播报 8:00–8:10,webhook").count() > 400);
    assert_eq!(bot.balance("同事499"), 2);
    bot.stop().await;
}

#[tokio::test]
async fn what_is_not_said_at_night_shows_why_and_who_asks_is_answered() {
    let mut bot = Bot::start(&format!("[assistant]\nquiet = \"22:30-08:00\"\n{RULES}")).await;
    bot.at("2026-11-22T23:00:00+08:00");
    let key = bot.demo.stage.colleague_says(1, "签到").await.expect("it is heard");
    all_done(&bot, std::slice::from_ref(&key)).await;
    let fates = fates(&bot, &[key]);
    assert!(fates[0].0 == "suppressed" && fates[0].1.contains("当天结束"), "{fates:?}");
    assert!(announced(&bot).is_empty());
    assert!(bot.says("阿明", "积分").await.contains("现有 0 积分"), "who asks is answered at night too");
    bot.stop().await;
}

#[tokio::test]
async fn the_crowd_of_the_demo_is_told_in_one_digest_on_the_page() {
    let mut bot = Bot::start(RULES).await;
    bot.demo.stage.crowd().await.expect("it is heard");
    let digest = bot.next(|received| received.shown.as_ref().is_some_and(|shown| shown.text.contains("播报 12:10–12:20"))).await;
    assert_eq!(digest.call, "webhook/send");
    assert!(announced(&bot).len() <= HANDFUL, "{:?}", announced(&bot));
    bot.stop().await;
}
