//! Rules that did not look at a message, and why: without a verdict, nobody could tell a rule that is off from a word that was not said.

use crate::model::decision::Traits;
use crate::rules::campaign::{Campaign, Mode, RuleEntry};

/// Words of a rule that are named; more would not be read.
const WORDS_MAX: usize = 3;

/// The rules of a campaign that are not among those that `looked`, each with why.
pub fn bystanders<'a>(campaign: &'a Campaign, looked: &[&str], heard: &Traits, is_single: bool) -> Vec<(&'a RuleEntry, String)> {
    let idle = campaign.rules.iter().filter(|rule| !looked.contains(&&*rule.code));
    idle.map(|rule| (rule, why(rule, heard, is_single))).collect()
}

fn why(rule: &RuleEntry, heard: &Traits, is_single: bool) -> String {
    if rule.common.mode == Mode::Off {
        return "停用着(mode = \"off\")".into();
    }
    if rule.kind.is_paid_by_the_clock() {
        return "到时间自己给分,不看消息".into();
    }
    if rule.kind.follows() {
        return "任务:它的步骤这次都没有得分".into();
    }
    if rule.kind.hears_talk() {
        return talk(heard, is_single).into();
    }
    let words: Vec<String> = rule.kind.listens_for().iter().take(WORDS_MAX).map(|listen| format!("「{}」", listen.text)).collect();
    match words.as_slice() {
        [] => "要由外部系统报告事件".into(),
        words => format!("没有说口令{}", words.join("")),
    }
}

fn talk(heard: &Traits, is_single: bool) -> &'static str {
    match heard {
        _ if is_single => "单聊不算发言",
        Traits { question: Some(_), .. } => "是在问助手,不算发言",
        Traits { asked: true, .. } => "对助手说的话不算发言",
        Traits { chars: 0, .. } => "没有文字,不算发言",
        heard if !heard.matched.is_empty() => "是口令,不算发言",
        _ => "不算它的发言(没有它的话题)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::world::World;

    #[test]
    fn a_rule_that_did_not_look_says_why() {
        let mut world = World::new(
            r#"
            check_in.daily = { keywords = ["签到", "打卡"], points = 2 }
            check_in.off = { keywords = ["签到"], points = 2, mode = "off" }
            speaking.talk = { points = 1, max_points = { day = 9 } }
            event.quiz = { points = 5 }
            "#,
        );
        let mut told = |text| {
            world.says("11-22 09:00", text);
            let looked: Vec<&str> = world.last.record.verdicts.iter().map(|verdict| &*verdict.rule).collect();
            let idle = bystanders(&world.rules.campaigns[0], &looked, world.last.record.heard.as_ref().expect("a message"), false);
            idle.into_iter().map(|(rule, why)| format!("{} {why}", rule.code)).collect::<Vec<_>>()
        };
        assert_eq!(told("签到"), ["check_in.off 停用着(mode = \"off\")", "speaking.talk 是口令,不算发言", "event.quiz 要由外部系统报告事件"]);
        assert_eq!(told("今天真好啊")[0], "check_in.daily 没有说口令「签到」「打卡」");
        assert!(told("@积分助手 积分").contains(&"speaking.talk 是在问助手,不算发言".to_owned()));
    }
}
