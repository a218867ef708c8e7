//! Boards, levels, titles and the temperature in the whole daemon: asked for in chat, awarded by the clock.

mod common;

use std::time::Duration;

use common::{Bot, PATIENCE};
use jifen::demo::scene::Chat;

const RULES: &str = r#"
[campaign.main]
levels = [{ title = "初级", at = 0 }, { title = "中级", at = 5, factor = "200%", may = ["adopt"] }]

[check_in.daily]
keywords = ["签到"]
points = 5

[check_in.small]
title = "小卡"
keywords = ["小卡"]
points = 2

[affinity]

[title.star]
title = "社群之星"
period = "week"
points = 50
"#;

#[tokio::test]
async fn boards_are_told_of_every_period_and_left_at_will() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    bot.says("小红", "小卡").await;
    for (asked, told) in [("排行", "本周积分榜"), ("今日排行", "今日积分榜"), ("本月排行", "本月积分榜"), ("总排行", "积分总榜"), ("新人榜", "30 天新人榜")]
    {
        let answer = bot.says("小红", asked).await;
        for part in [told, "1 阿明 5 · 2 小红 2", "你:第 2 名,2 分,距上一名 3 分"] {
            assert!(answer.contains(part), "{asked}: no {part} in {answer}");
        }
    }
    assert!(bot.says("阿明", "退出排行").await.contains("已退出排行"));
    let others = bot.says("小红", "排行").await;
    assert!(others.contains("1 小红 2") && !others.contains("阿明"), "{others}");
    assert!(bot.says("阿明", "排行").await.contains("你:第 1 名,5 分"), "alone with the bot one's own rank is told");
    bot.says_in(Chat::Inner, "阿明", "@积分助手 排行").await;
    let answer = bot.answer().await;
    assert!(answer.contains("自己的名次请单聊问我") && !answer.contains("第 1 名"), "{answer}");
    bot.says("阿明", "加入排行").await;
    assert!(bot.says("小红", "排行").await.contains("1 阿明 5"));
    bot.stop().await;
}

#[tokio::test]
async fn a_level_is_risen_to_told_and_paid_by() {
    let mut bot = Bot::start(RULES).await;
    assert!(bot.says("阿明", "等级").await.contains("再得 5 到「中级」:得分 ×2"));
    assert!(bot.says("阿明", "签到").await.contains("升到「中级」:得分 ×2、可以 adopt"));
    assert!(bot.says("阿明", "小卡").await.contains("+4"), "the next points are doubled");
    assert!(bot.says("阿明", "积分").await.contains("等级:中级"));
    assert!(bot.says("阿明", "亲密度").await.contains("℃"));
    bot.stop().await;
}

#[tokio::test]
async fn the_first_of_a_week_gets_the_title_by_the_clock_once() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    bot.says("小红", "小卡").await;
    bot.at("2026-11-23T01:30:00+08:00");
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let awarded = async {
        while bot.balance("阿明") == 5 {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, awarded).await.expect("the title is awarded");
    assert_eq!((bot.balance("阿明"), bot.balance("小红")), (55, 2));
    let told = bot.says("小红", "称号").await;
    assert!(told.contains("「社群之星」(11 月 16 日那一周):阿明 5"), "{told}");
    assert!(bot.says("阿明", "上周排行").await.contains("已定榜"));
    assert!(bot.says("阿明", "明细").await.contains("社群之星 +50"));
    bot.stop().await;
}
