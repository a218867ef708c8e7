//! The whole daemon, spoken to as people speak: encrypted callback in, points booked, an answer out.

mod common;

use std::time::Duration;

use common::Bot;
use jifen::demo;
use jifen::demo::scene::Chat;
use jifen::demo::wecom::Fault;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, KeyBytes};

const RULES: &str = r#"
[check_in.daily]
title = "每日签到"
keywords = ["签到", "QD"]
points = 2
streak = { 3 = 10 }

[speaking.evening]
title = "晚间发言"
when = "20:00-21:00"
points = 1
max_points = { day = 3 }
"#;

#[tokio::test]
async fn a_check_in_is_paid_once_a_day_and_the_answer_says_so() {
    let mut bot = Bot::start(RULES).await;
    let answer = bot.says("阿明", "签到").await;
    assert!(answer.contains("+2") && answer.contains("阿明"), "{answer}");
    let again = bot.says("阿明", " 簽到!").await;
    assert!(again.contains("12:00") && again.contains("明天 0:00"), "{again}");
    assert_eq!(bot.balance("阿明"), 2);
    bot.stop().await;
}

#[tokio::test]
async fn three_days_in_a_row_bring_the_bonus() {
    let mut bot = Bot::start(RULES).await;
    for day in ["2026-11-22", "2026-11-23"] {
        bot.at(&format!("{day}T09:00:00+08:00"));
        bot.says("阿明", "QD").await;
    }
    bot.at("2026-11-24T09:00:00+08:00");
    let answer = bot.says("阿明", "qd").await;
    assert!(answer.contains("+12"), "{answer}");
    assert_eq!(bot.balance("阿明"), 16);
    bot.stop().await;
}

#[tokio::test]
async fn who_asks_gets_an_answer_about_their_own_points() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    let balance = bot.says("阿明", "积分").await;
    assert!(balance.contains("2") && balance.contains("积分"), "{balance}");
    let why = bot.says("阿明", "为什么").await;
    assert!(why.contains("签到") && why.contains("+2"), "{why}");
    let other = bot.says("小红", "为什么").await;
    assert!(!other.contains("+2"), "{other}");
    let help = bot.says("小红", "帮助").await;
    assert!(help.contains("签到"), "{help}");
    bot.stop().await;
}

#[tokio::test]
async fn why_tells_what_would_have_earned_something() {
    let mut bot = Bot::start(RULES).await;
    for (hour, text, told) in [
        (8, "签到了吗", "8:00「签到了吗」 0,「每日签到」要整句是「签到」"),
        (9, "今天骑了二十公里", "9:00「今天骑了二十…」 0,单聊里只认口令,发「签到」才计分"),
        (10, "👍👍", "10:00「👍👍」 0,没有文字,图片和表情不计分"),
        (11, "签到", "11:00「签到」 +2 每日签到(今天 1/1 次)"),
        (12, "qd", "12:00「qd」 0 每日签到,今天 11:00 已记过,每天 1 次,明天 0:00 后再来"),
    ] {
        bot.at(&format!("2026-11-22T{hour:02}:00:00+08:00"));
        bot.says("阿明", text).await;
        let why = bot.says("阿明", "为什么").await;
        assert_eq!(why.lines().nth(1), Some(told), "{why}");
    }
    bot.stop().await;
}

/// 阿明 checks in, heard through the archive; the group's name is told with it or not.
fn archived(id: &str, at: Millis, title: Option<&str>) -> Event {
    Event {
        key: EventKey { source: "demo/archive/ww1".into(), key: KeyBytes::of(id) },
        corp: "demo".into(),
        at,
        received_at: at,
        clamped: false,
        place: Place::Group { chat: "wrNameless".into(), kind: GroupKind::Internal, title: title.map(Into::into) },
        who: Some(Identity::from_wecom("阿明")),
        name: None,
        via: Via { channel: Channel::Archive, ..Via::default() },
        kind: Kind::Said(Said { text: "签到".into(), ..Said::default() }),
    }
}

#[tokio::test]
async fn parked_check_ins_are_paid_by_themselves_once_their_groups_name_is_told() {
    let bot = Bot::start(&format!("[campaign.ride]\ngroups = [\"骑行一群\"]\n{RULES}")).await;
    let day = |day: i64| bot.demo.stage.clock.now().plus_secs((day - 3) * 86_400);
    for (id, at, title) in [("1", day(1), None), ("2", day(2), None)] {
        (bot.demo.stage.hear)(archived(id, at, title)).await.expect("it is kept");
    }
    assert_eq!(bot.balance("阿明"), 0, "nobody knows yet which rules hold there");
    (bot.demo.stage.hear)(archived("3", day(3), Some("骑行一群"))).await.expect("it is booked");
    until("all three days and the bonus of the third", || bot.balance("阿明") == 16).await;
    bot.stop().await;
}

#[tokio::test]
async fn the_bot_in_an_internal_group_answers_who_mentions_it() {
    let mut bot = Bot::start(RULES).await;
    bot.says_in(Chat::Inner, "小红", "@积分助手 签到").await;
    let received = bot.next(|received| received.shown.is_some()).await;
    assert_eq!(received.call, "aibot/response");
    assert!(received.shown.is_some_and(|shown| shown.text.contains("小红") && shown.text.contains("+2")));
    assert_eq!(bot.balance("小红"), 2);
    bot.says_in(Chat::Inner, "小红", "@积分助手 帮助").await;
    let help = bot.answer().await;
    assert!(help.starts_with("@我 发「签到」"), "a plain 签到 is not heard there: {help}");
    bot.stop().await;
}

#[tokio::test]
async fn points_are_booked_though_the_answer_fails() {
    let mut bot = Bot::start(RULES).await;
    bot.demo.stage.double.fail(Fault::Code(81013), 1);
    bot.says_in(Chat::Single, "阿明", "签到").await;
    let answer = bot.says("阿明", "积分").await;
    assert!(answer.contains("现有 2 积分") && !answer.contains("成功"), "the refused answer is not said again: {answer}");
    assert_eq!(bot.balance("阿明"), 2);
    bot.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_renewed_once_and_the_answer_arrives() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    let tokens = bot.demo.stage.double.tokens_given();
    bot.demo.stage.double.fail(Fault::TokenExpired, 1);
    let answer = bot.says("阿明", "积分").await;
    assert!(answer.contains('2'), "{answer}");
    assert_eq!(bot.demo.stage.double.tokens_given(), tokens + 1);
    bot.stop().await;
}

#[tokio::test]
async fn everything_said_in_a_customer_group_counts_and_nothing_is_answered_there() {
    let mut bot = Bot::start(RULES).await;
    bot.at("2026-11-22T20:30:00+08:00");
    let customer = bot
        .demo
        .stage
        .scene
        .feed(0, bot.demo.stage.clock.now())
        .people
        .iter()
        .find(|person| person.customer && person.name == "小红")
        .map(|person| person.id.clone())
        .expect("a customer");
    bot.says_in(Chat::Customer, &customer, "今天骑了二十公里").await;
    let line = bot.says_in(Chat::Customer, &customer, "签到").await;
    assert_eq!(bot.balance(&customer), 3);
    bot.demo.stage.recall(line).await.expect("it can be recalled");
    assert_eq!(bot.balance(&customer), 1, "a recalled check-in is taken back");
    assert!(bot.demo.stage.double.received_after(0).iter().all(|received| received.shown.is_none()));
    bot.stop().await;
}

#[tokio::test]
async fn rules_are_kept_with_the_first_event_whatever_was_committed_before_it() {
    let mut bot = Bot::start(RULES).await;
    let ready = reqwest::get(format!("http://{}/readyz", bot.demo.addr)).await.expect("it answers");
    assert!(ready.status().is_success());
    assert!(bot.says("阿明", "签到").await.contains("+2"));
    bot.stop().await;
}

#[tokio::test]
async fn the_thirty_first_answer_of_a_minute_waits_and_nobody_else_does() {
    let mut bot = Bot::start(RULES).await;
    for _ in 0..30 {
        bot.says("阿明", "积分").await;
    }
    bot.says_in(Chat::Single, "阿明", "积分").await;
    bot.says_in(Chat::Single, "小红", "积分").await;
    let to = |received: &jifen::demo::wecom::Received| received.shown.iter().flat_map(|shown| shown.to.clone()).collect::<String>();
    let next = bot.next(|received| received.shown.is_some()).await;
    assert_eq!(to(&next), "小红", "{next:?}");
    bot.at("2026-11-22T12:02:00+08:00");
    let last = bot.next(|received| received.shown.is_some()).await;
    assert_eq!(to(&last), "阿明", "{last:?}");
    bot.stop().await;
}

#[tokio::test]
async fn a_used_up_address_and_a_robot_that_was_taken_out_leave_the_answer_to_the_app() {
    let mut bot = Bot::start(RULES).await;
    let double = bot.demo.stage.double.clone();
    for (code, call) in [(None, "webhook/send"), (Some(93_000), "message/send"), (None, "message/send")] {
        double.fail(Fault::Code(40_058), 1);
        code.into_iter().for_each(|code| double.fail(Fault::Code(code), 1));
        bot.says_in(Chat::Inner, "小红", "@积分助手 积分").await;
        assert_eq!(bot.next(|received| received.shown.is_some()).await.call, call);
    }
    let to_the_robot = double.received_after(0).iter().filter(|received| received.call == "webhook/send").count();
    assert_eq!(to_the_robot, 2, "once it was well, once it said that it is out, and then it is not asked");
    bot.stop().await;
}

#[tokio::test]
async fn a_post_is_said_at_its_time_and_not_again_after_a_restart() {
    const POSTS: &str =
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[schedule.morning]\nat = [\"09:00\", \"09:10\"]\nsay = \"早上好!发「签到」+2。\"\n";
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{}", std::process::id()));
    let options = || demo::Options { listen: Some("127.0.0.1:0".into()), keep: Some(dir.clone()), rules_text: POSTS.to_owned(), empty: true };
    let mut bot = Bot::of(options()).await;
    bot.at("2030-01-07T08:58:00+08:00");
    bot.says_in(Chat::Inner, "阿明", "@积分助手 积分").await;
    bot.next(|received| received.shown.is_some()).await;
    bot.at("2030-01-07T09:00:01+08:00");
    let post = bot.next(|received| received.shown.is_some()).await;
    assert_eq!((post.call, post.shown.map(|shown| shown.text)), ("webhook/send", Some("早上好!发「签到」+2。".to_owned())));
    bot.stop().await;

    let mut bot = Bot::of(options()).await;
    bot.at("2030-01-07T09:05:00+08:00");
    assert!(bot.says("阿明", "积分").await.contains("现有 0"));
    bot.at("2030-01-07T09:10:01+08:00");
    assert_eq!(bot.answer().await, "早上好!发「签到」+2。");
    bot.at("2030-01-07T09:12:00+08:00");
    bot.says("阿明", "积分").await;
    let posts = bot.demo.stage.double.received_after(0).iter().filter(|received| received.call == "webhook/send").count();
    assert_eq!(posts, 1, "the post of 9:00 was said before the restart");
    bot.stop().await;
    std::fs::remove_dir_all(dir).expect("removed");
}

/// Waits until something is so that nobody tells of.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let waiting = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(common::PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came: {what}"));
}

const TASKS: &str = r#"
    event.verified = { title = "实名认证", points = 50 }
    check_in.daily = { keywords = ["签到"], points = 2 }
    task.newcomer = { title = "新人两步", steps = ["event.verified", "check_in.daily"], points = 300 }
"#;

/// What the shop tells the API, and the answer.
async fn reports(bot: &Bot, body: &str) -> serde_json::Value {
    let url = format!("http://{}/api/v1/events", bot.demo.addr);
    let answer = reqwest::Client::new().post(url).bearer_auth(&bot.demo.api_token).body(body.to_owned()).send().await.expect("an answer");
    serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
}

#[tokio::test]
async fn an_event_told_by_a_shop_pays_once_and_is_told_to_the_member() {
    let mut bot = Bot::start(TASKS).await;
    let verified = r#"{"id":"v-1","at":"2026-11-22T11:59:00+08:00","member":"阿明","happened":{"event":"verified"}}"#;
    let told = reports(&bot, verified).await;
    assert_eq!((&told["events"][0]["paid"], &told["events"][0]["known"]), (&50.into(), &false.into()), "{told}");
    assert_eq!(bot.answer().await, "阿明 实名认证 +50,现有 50 积分。");
    let again = reports(&bot, &format!("{verified}\n{}", verified.replace("v-1", "v-2").replace("11:59:00", "11:59:30"))).await;
    assert_eq!((&again["events"][0]["known"], &again["events"][1]["paid"]), (&true.into(), &0.into()), "{again}");
    assert!(again["events"][1]["why"].as_str().is_some_and(|why| why.contains("一共 1 次")), "{again}");
    let twin = reports(&bot, &verified.replace("v-1", "twin")).await;
    assert_eq!(twin["events"][0]["paid"], 0, "whichever of one instant is the first: {twin}");
    let unknown = reports(&bot, &verified.replace("v-1", "v-3").replace("verified", "veryfied")).await;
    assert!(unknown["events"][0]["why"].as_str().is_some_and(|why| why.contains("没有规则")), "{unknown}");
    let tasks = bot.says("阿明", "任务").await;
    assert!(tasks.starts_with("任务:\n· 新人两步 +300,已完成 1/2:✅实名认证 ⬜签到 +2\n今天还能拿:签到 +2"), "{tasks}");
    let (step, done) = (bot.says("阿明", "签到").await, bot.answer().await);
    assert!(step.contains("签到成功 +2") && done.contains("新人两步 +300"), "{step} / {done}");
    assert_eq!(bot.balance("阿明"), 352);
    bot.stop().await;
}
