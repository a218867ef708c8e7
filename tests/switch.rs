//! An operator stops a rule and has it go on, by chat, in the whole daemon.

mod common;

use common::Bot;
use jifen::demo::scene::Chat;

const OPERATOR: &str = "阿强";

const RULES: &str = r#"# 我们的规则
[check_in.daily]          # 每天一次
title = "每日签到"
keywords = ["签到"]
points = 2
max_times = { day = 100 }

[check_in.night]
title = "晚安"
keywords = ["晚安"]
points = 1

[[test]]
name = "签到得分"
chat = """
11-22 09:00 阿明: 签到 => +2"""
"#;

#[tokio::test]
async fn a_rule_that_an_operator_stops_pays_nothing_until_it_is_resumed() {
    let mut bot = Bot::start(RULES).await;
    bot.says("阿明", "签到").await;
    assert_eq!(bot.balance("阿明"), 2);
    let told = bot.says(OPERATOR, "停用 每日签到").await;
    assert_eq!(told, "已停用 每日签到(check_in.daily),现在起不再计分。恢复请说「恢复 每日签到」。");
    assert!(bot.says("阿明", "签到").await.contains("「每日签到」这次没有计分:现在停用"));
    assert_eq!(bot.balance("阿明"), 2, "from the next batch on");
    assert!(bot.says(OPERATOR, "停用 签到").await.contains("已经停用了"));
    assert!(bot.says(OPERATOR, "规则状态").await.contains("计分:晚安(check_in.night)\n停用:每日签到(check_in.daily)"));
    assert!(bot.says(OPERATOR, "停用 每日签倒").await.contains("没有叫「每日签倒」的规则;是不是想写 每日签到?"));
    assert!(bot.says("阿明", "恢复 每日签到").await.contains("没看懂"));
    assert!(bot.says(OPERATOR, "规则状态").await.contains("停用:每日签到"), "a member's words are talk");
    let told = bot.says(OPERATOR, "恢复 每日签到").await;
    assert_eq!(told, "已恢复 每日签到(check_in.daily),现在起照常计分;停用期间的不补。");
    bot.says("阿明", "签到").await;
    assert_eq!(bot.balance("阿明"), 4);
    bot.stop().await;
}

#[tokio::test]
async fn in_a_group_it_is_answered_in_the_group_and_a_whole_campaign_stops_too() {
    let mut bot = Bot::start(RULES).await;
    bot.says_in(Chat::Inner, OPERATOR, "@积分助手 停用 活动 main").await;
    assert!(bot.answer().await.contains("已停用 活动「main」"));
    bot.says_in(Chat::Inner, "阿明", "签到").await;
    bot.says_in(Chat::Inner, OPERATOR, "@积分助手 恢复 晚安").await;
    assert!(bot.answer().await.contains("请说「恢复 活动 main」"));
    bot.says_in(Chat::Inner, OPERATOR, "@积分助手 恢复 活动 main").await;
    assert!(bot.answer().await.contains("已恢复 活动「main」"));
    assert_eq!(bot.balance("阿明"), 0);
    bot.stop().await;
}
