//! Points that wait and points that go, in the whole daemon: told in the chat, booked by the clock.

mod common;

use common::{Bot, PATIENCE};
use jifen::demo::scene::Chat;

const RULES: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 10

[check_in.show]
title = "晒单"
keywords = ["晒单"]
points = 20
hold = "2d"

[campaign.main]
expires = "5d"
expiry_notice = ["1d"]
"#;

#[tokio::test]
async fn points_that_go_are_told_in_the_morning_before_and_gone_the_day_after() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    let balance = bot.says("阿明", "积分").await;
    assert!(balance.contains("现有 10 积分,30 天内到期 10"), "{balance}");
    bot.at("2026-11-26T10:00:05+08:00");
    let notice = bot.answer().await;
    assert!(notice.contains("快到期") && notice.contains("10 积分,有效至 11 月 26 日"), "{notice}");
    bot.at("2026-11-27T00:00:05+08:00");
    let balance = bot.says("阿明", "积分").await;
    assert!(balance.contains("现有 0 积分"), "{balance}");
    let booked = async {
        while bot.balance("阿明") != 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, booked).await.expect("the clock books it");
    let history = bot.says("阿明", "明细").await;
    assert!(history.contains("过期 -10,余 0"), "{history}");
    bot.stop().await;
}

#[tokio::test]
async fn points_that_wait_are_told_with_their_day_and_may_be_spent_from_then_on() {
    let mut bot = Bot::start(RULES).await;
    bot.says_in(Chat::Inner, "阿明", "@积分助手 晒单").await;
    let paid = bot.answer().await;
    assert!(paid.contains("+20(待生效至 11 月 24 日)") && paid.contains("现有 0 积分"), "{paid}");
    let history = bot.says("阿明", "明细").await;
    assert!(history.contains("晒单 +20(待生效至 11 月 24 日),余 20"), "{history}");
    bot.at("2026-11-24T00:00:00+08:00");
    let balance = bot.says("阿明", "积分").await;
    assert!(balance.contains("现有 20 积分,30 天内到期 20"), "{balance}");
    bot.stop().await;
}
