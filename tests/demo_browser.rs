//! The demo page in a real browser: what a stranger sees and does first, at the width of a desk and of a phone.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[expect(dead_code, reason = "this test uses a part of what the others share")]
mod browser;
#[expect(dead_code, reason = "this test uses a part of what the others share")]
mod common;

use std::path::PathBuf;

use fantoccini::Locator;
use jifen::demo::scene::Chat;
use serde_json::json;

use browser::{Browser, DESK, PHONE};
use common::Bot;

/// The rules the demo begins with.
const RULES: &str = include_str!("../rules.toml");
/// Names that would do harm where they are not treated as text.
const HOSTILE_NAMES: [&str; 5] = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "{{7*7}}", "\u{202e}反着写", "a\" onmouseover=\"x"];

/// A stranger's first minute at this width.
async fn first_minute(size: (u32, u32)) {
    let bot = Bot::start(RULES).await;
    let browser = Browser::open(size).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=single]").await;
    browser.click("[data-person=阿明]").await;
    browser.says("签到").await;
    browser.sees(".line.own .chip.paid", "+2").await;
    browser.sees(".line .bubble", "现有 2 积分").await;
    browser.says("积分").await;
    browser.sees(".line .bubble", "今天还能拿").await;
    let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth", vec![]).await;
    assert_eq!(wide, json!(true), "the page is wider than the screen");
    assert_eq!(browser.fetched_elsewhere().await, json!([]));
    assert_eq!(browser.console().await, json!([]));
    browser.close().await;
    bot.stop().await;
}

#[tokio::test]
async fn a_stranger_at_a_desk_checks_in_and_is_answered() {
    first_minute(DESK).await;
}

#[tokio::test]
async fn a_stranger_with_a_phone_checks_in_and_is_answered() {
    first_minute(PHONE).await;
}

#[tokio::test]
async fn an_internal_group_is_deaf_without_an_at_and_answers_with_one() {
    let bot = Bot::start(RULES).await;
    let browser = Browser::open(DESK).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=inner]").await;
    browser.says("签到").await;
    browser.sees(".chip.deaf", "机器人听不到").await;
    browser.says("@积分助手 签到").await;
    browser.sees(".line .bubble", "现有 2 积分").await;
    browser.close().await;
    bot.stop().await;
}

#[tokio::test]
async fn a_message_taken_back_shows_where_its_points_went() {
    let bot = Bot::start(RULES).await;
    let browser = Browser::open(PHONE).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=customer]").await;
    browser.find("#text").await.send_keys("签到\u{e007}").await.unwrap();
    browser.sees(".line.own .chip.paid", "+2").await;
    browser.sees(".line.own .chip", "不能自动回复").await;
    browser.says("打卡").await;
    browser.sees(".line.own .chip", "已记过").await;
    browser.run("Array.from(document.querySelectorAll('.line.own .act')).find(e => e.textContent === '撤回').click()", vec![]).await;
    browser.sees(".line.recalled .chip", "积分已退回").await;
    browser.sees(".line.own .chip.paid", "重新判定为 +2").await;
    browser.sees(".notice", "合计不变").await;
    assert_eq!(browser.console().await, json!([]));
    browser.close().await;
    bot.stop().await;
}

#[tokio::test]
async fn hostile_names_are_shown_as_text() {
    let bot = Bot::start(RULES).await;
    for name in HOSTILE_NAMES {
        let person = bot.demo.stage.scene.add_person(name, false).unwrap();
        bot.demo.stage.double.know(&person.id);
        bot.demo.stage.say(Chat::Inner, &person.id, "@积分助手 签到").await.unwrap();
    }
    let browser = Browser::open(DESK).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=inner]").await;
    for name in HOSTILE_NAMES {
        browser.sees("#people bdi", name).await;
        browser.sees(".line .name bdi", name).await;
    }
    let tags = browser.run("return document.querySelectorAll('#app img, #app script').length", vec![]).await;
    assert_eq!(tags, json!(0), "a name became an element");
    assert_eq!(browser.console().await, json!([]));
    browser.close().await;
    bot.stop().await;
}

/// Rules under which a picture is needed.
const WITH_PICTURE: &str = "[check_in.show]\ntitle = \"打卡\"\nkeywords = [\"打卡\"]\nmatch = \"contains\"\nneeds = \"image\"\npoints = 10\n";

/// A file with a picture of so many pixels a side, noisy enough to be large; `what` says what it shows.
fn picture_file(name: &str, side: u32, what: u32) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let grain = |x: u32, y: u32| (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 27;
    let shade = |x: u32, y: u32| ((x * 8 / side * (37 + what * 26) + y * 8 / side * (91 - what * 40)) % 200 + grain(x, y)) as u8;
    image::RgbImage::from_fn(side, side, |x, y| image::Rgb([shade(x, y), shade(y, x), 120])).save(&path).unwrap();
    path
}

#[tokio::test]
async fn a_picture_from_the_phone_is_paid_for_once() {
    let (small, large) = (picture_file("small.png", 64, 1), picture_file("large.png", 1_600, 0));
    let bot = Bot::start(WITH_PICTURE).await;
    let browser = Browser::open(PHONE).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=customer]").await;
    browser.find("#text").await.send_keys("骑行打卡").await.unwrap();
    browser.client.find(Locator::Css("#file")).await.unwrap().send_keys(large.to_str().unwrap()).await.unwrap();
    browser.sees(".line.own .chip.paid", "+10").await;
    browser.find(".line.own img.photo").await;
    let name = browser.run("const chip = document.querySelectorAll('[data-person]')[1]; chip.click(); return chip.dataset.person", vec![]).await;
    assert_eq!(name, json!("小红"));
    browser.find("#text").await.send_keys("打卡").await.unwrap();
    browser.client.find(Locator::Css("#file")).await.unwrap().send_keys(large.to_str().unwrap()).await.unwrap();
    browser.sees(".line.own .chip", "这张图用过了").await;
    browser.find("#text").await.send_keys("打卡").await.unwrap();
    browser.client.find(Locator::Css("#file")).await.unwrap().send_keys(small.to_str().unwrap()).await.unwrap();
    browser.sees(".line.own .chip.paid", "+10").await;
    let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth", vec![]).await;
    assert_eq!(wide, json!(true), "the page is wider than the screen");
    assert_eq!(browser.console().await, json!([]));
    browser.close().await;
    bot.stop().await;
    for file in [small, large] {
        std::fs::remove_file(file).unwrap();
    }
}
