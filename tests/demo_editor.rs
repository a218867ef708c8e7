//! The demo's editor of rules.toml in a real browser: what is wrong, what it would have cost, into effect, and back.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[expect(dead_code, reason = "this test uses a part of what the others share")]
mod browser;
#[expect(dead_code, reason = "this test uses a part of what the others share")]
mod common;

use std::path::PathBuf;

use jifen::demo;
use serde_json::json;

use browser::{Browser, DESK, PHONE};
use common::Bot;

/// Rules that leave room to type.
const RULES: &str = "[check_in.daily]\ntitle = \"每日签到\"\nkeywords = [\"签到\", \"打卡\"]\npoints = 2\n\n[speaking.evening]\nwhen = \"20:00-21:00\"\npoints = 1\nmax_points = { day = 20 }\n";

/// A demo with four weeks of talk, and the directory it lives in.
async fn begin(name: &str) -> (Bot, PathBuf) {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("editor-{name}-{}", std::process::id()));
    let options = demo::Options { listen: Some("127.0.0.1:0".into()), keep: Some(dir.clone()), rules_text: RULES.to_owned(), empty: false };
    (Bot::of(options).await, dir)
}

async fn end(bot: Bot, browser: Browser, dir: PathBuf) {
    assert_eq!(browser.console().await, json!([]));
    browser.close().await;
    bot.stop().await;
    std::fs::remove_dir_all(dir).unwrap();
}

/// Opens the editor.
async fn edits(browser: &Browser, bot: &Bot) {
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.opens_the_books().await;
    browser.click("[data-tab=rules]").await;
    browser.sees("#verdict", "这就是线上的规则").await;
}

/// Types over a part of the text, as one selects and types.
async fn types(browser: &Browser, over: &str, text: &str) {
    let select = "const field = document.getElementById('toml'), at = field.value.indexOf(arguments[0]); field.focus(); field.setSelectionRange(at, at + arguments[0].length); return at >= 0;";
    assert_eq!(browser.run(select, vec![json!(over)]).await, json!(true), "{over} is not in the text");
    browser.find("#toml").await.send_keys(text).await.unwrap();
}

/// Somebody checks in, in the single chat.
async fn checks_in(browser: &Browser, who: &str, paid: &str) {
    browser.closes_the_books().await;
    browser.click("[data-chat=single]").await;
    browser.click(&format!("[data-person={who}]")).await;
    browser.says("签到").await;
    browser.sees(".line.own .chip.paid", paid).await;
}

async fn from_a_mistake_to_twice_the_points(name: &str, size: (u32, u32)) {
    let (bot, dir) = begin(name).await;
    let browser = Browser::open(size).await;
    edits(&browser, &bot).await;

    types(&browser, "points = 2", "points = \"2\"").await;
    browser.sees(".finding.error", "points 只写数字").await;
    browser.sees("#paint .error", "points = \"2\"").await;
    browser.click("#save").await;
    browser.sees("#verdict", "没有采用,线上还是原来的规则").await;
    browser.click(".finding.error").await;
    let caret = browser.run("const field = document.getElementById('toml'); return field.value.slice(0, field.selectionStart)", vec![]).await;
    assert!(caret.as_str().unwrap().ends_with("points = "), "the caret is after {caret}");

    types(&browser, "points = \"2\"", "points = 4").await;
    browser.sees("#verdict", "可以生效").await;
    browser.sees("#headline", "会多发").await;
    browser.sees("#trial table", "每日签到").await;
    browser.sees("#trial .member", "→").await;
    let wide = browser.run("return document.documentElement.scrollWidth <= innerWidth", vec![]).await;
    assert_eq!(wide, json!(true), "the page is wider than the screen");
    let bar =
        browser.run("const box = document.getElementById('save').getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight", vec![]).await;
    assert_eq!(bar, json!(true), "the button is out of sight");
    browser.run("document.querySelector('#toml').dispatchEvent(new KeyboardEvent('keydown', { key: 's', ctrlKey: true, bubbles: true }))", vec![]).await;
    browser.sees("#verdict", "已生效").await;
    assert!(std::fs::read_to_string(dir.join("rules.toml")).unwrap().contains("points = 4"));
    checks_in(&browser, "阿明", "+4").await;
    browser.sees(".notice", "规则已生效").await;
    end(bot, browser, dir).await;
}

#[tokio::test]
async fn at_a_desk_a_change_is_checked_weighed_and_paid() {
    from_a_mistake_to_twice_the_points("desk", DESK).await;
}

#[tokio::test]
async fn with_a_phone_a_change_is_checked_weighed_and_paid() {
    from_a_mistake_to_twice_the_points("phone", PHONE).await;
}

#[tokio::test]
async fn a_file_edited_elsewhere_is_shown_and_never_overwritten_unseen() {
    let (bot, dir) = begin("elsewhere").await;
    let browser = Browser::open(DESK).await;
    edits(&browser, &bot).await;
    std::fs::write(dir.join("rules.toml"), RULES.replace("points = 2", "points = 3")).unwrap();
    browser.sees("#paint div", "points = 3").await;
    browser.sees(".notice", "rules.toml 已生效").await;

    types(&browser, "points = 3", "points = 7").await;
    std::fs::write(dir.join("rules.toml"), RULES.replace("points = 2", "points = 5")).unwrap();
    browser.sees("#aside:not([hidden])", "规则刚在别处改过").await;
    browser.sees("#paint div", "points = 7").await;
    browser.click("#save").await;
    browser.sees("#verdict", "没有保存").await;
    assert!(std::fs::read_to_string(dir.join("rules.toml")).unwrap().contains("points = 5"));
    browser.click("#see-new").await;
    browser.sees("#paint div", "points = 5").await;
    checks_in(&browser, "阿明", "+5").await;
    end(bot, browser, dir).await;
}

#[tokio::test]
async fn an_earlier_version_is_loaded_and_saved_again() {
    let (bot, dir) = begin("versions").await;
    let browser = Browser::open(DESK).await;
    edits(&browser, &bot).await;
    types(&browser, "points = 2", "points = 9").await;
    browser.sees("#headline", "会多发").await;
    browser.click("#save").await;
    browser.sees("#verdict", "已生效").await;
    browser.click("#others summary").await;
    browser.sees(".version em", "线上").await;
    browser.click("#versions li:last-child .version").await;
    browser.sees("#paint div", "points = 2").await;
    browser.sees("#headline", "会少发").await;
    browser.click("#save").await;
    browser.sees("#verdict", "已生效").await;
    checks_in(&browser, "阿明", "+2").await;
    end(bot, browser, dir).await;
}

#[tokio::test]
async fn an_operator_with_a_phone_stops_a_rule_by_chat_and_the_editor_shows_it() {
    let (bot, dir) = begin("stop").await;
    let browser = Browser::open(PHONE).await;
    browser.visit(&bot.demo.addr.to_string()).await;
    browser.click("[data-chat=inner]").await;
    browser.click("[data-person=阿强]").await;
    browser.says("@积分助手 停用 签到").await;
    browser.sees(".line .bubble", "停用").await;
    browser.opens_the_books().await;
    browser.click("[data-tab=rules]").await;
    browser.sees("#paint div", "mode = \"off\"").await;
    browser.closes_the_books().await;
    browser.click("[data-person=小红]").await;
    browser.says("@积分助手 签到").await;
    browser.sees(".line.own .chip", "没有规则管这一条").await;
    end(bot, browser, dir).await;
}
