//! Kinds of verdict, in words without numbers of their own, so that messages with the same fate are counted together.

use crate::model::decision::{Needs, Refusal, Ruling};
use crate::rules::campaign::{Mode, Rules};

/// What a verdict says.
pub(super) fn kind(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Paid(payment) if payment.clipped_by.is_some() => "记分,被上限截短",
        Ruling::Paid(_) => "记分",
        Ruling::Shadow(_) => "试运行,不记分",
        Ruling::Moved(_) => "扣分换购",
        Ruling::Refused(refusal) => refused(refusal),
    }
}

fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Already { .. } => "已记过",
        Refusal::Capped(_) => "到上限了",
        Refusal::OutsideWindow => "不在时段里",
        Refusal::OutsideDates => "不在活动日期里",
        Refusal::NotForThisGroup => "不是这个群的",
        Refusal::TooShort { .. } => "字数不够",
        Refusal::TooPlain { .. } => "重复的字太多",
        Refusal::CoolDown { .. } => "冷却中",
        Refusal::Copy { .. } => "和自己刚说的一样",
        Refusal::NearCopy { .. } => "和自己刚说的差不多",
        Refusal::Staff => "员工不记分",
        Refusal::TooMany => "超过数额上限",
        Refusal::Twin => "别的通道已记",
        Refusal::TakenBack => "已撤回",
        Refusal::Spent => "预算用完",
        Refusal::TooLate { .. } => "名额已满",
        Refusal::NotStayed => "没有留够",
        Refusal::Short { .. } => "积分不够",
        Refusal::Declined => "没有批准",
        Refusal::ProofMissing { needs, .. } => missing(*needs),
        Refusal::WordMissing { .. } => "缺关键词",
        Refusal::ProofUsed { .. } => "凭证用过了",
        Refusal::NotForThisMember(_) => "这位成员不符合条件",
        Refusal::StepsLeft(..) => "任务没做完",
        Refusal::NotBought(_) => "没有换成",
        Refusal::Frozen => "已退群,冻结",
    }
}

fn missing(needs: Needs) -> &'static str {
    match needs {
        Needs::Image => "缺图片",
        Needs::Link => "缺链接",
        Needs::Video => "缺视频",
    }
}

/// Whether a rule is on trial under these rules; `None` where it is stopped, or is not there.
pub(super) fn is_on_trial(rules: &Rules, campaign: &str, code: &str) -> Option<bool> {
    match mode(rules, campaign, code)? {
        Mode::Live => Some(false),
        Mode::Shadow => Some(true),
        Mode::Off => None,
    }
}

fn mode(rules: &Rules, campaign: &str, code: &str) -> Option<Mode> {
    let campaign = rules.campaigns.iter().find(|it| *it.id == *campaign)?;
    let rule = campaign.rules.iter().find(|rule| *rule.code == *code)?;
    Some(campaign.mode.max(rule.common.mode))
}

/// What is said where a rule left no verdict.
pub(super) fn none(rules: &Rules, campaign: &str, code: &str) -> &'static str {
    match mode(rules, campaign, code) {
        None => "没有这条规则",
        Some(Mode::Off) => "停用",
        Some(Mode::Live | Mode::Shadow) => "不归它管",
    }
}
