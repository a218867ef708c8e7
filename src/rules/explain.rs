//! Explaining: one verdict in Chinese, with what would have made the rule pay. Told by `jifen explain`, 「为什么」 and the demo.

use crate::model::day::{Calendar, Millis, PeriodKind};
use crate::model::decision::{Payment, Ruling, Verdict};
use crate::rules::campaign::{RuleEntry, Rules};
use crate::rules::wording;

/// A verdict in words. `rules` are those it was decided under (for titles and windows); `at` is the message's own time, `now`
/// when it is told.
pub fn explain(rules: Option<&Rules>, verdict: &Verdict, calendar: &Calendar, (at, now): (Millis, Millis)) -> String {
    let rule = rules.and_then(|rules| find(rules, &verdict.rule));
    let title = rule.map_or(&*verdict.rule, RuleEntry::title);
    let period = |kind| wording::that(calendar, kind, at, now);
    match &verdict.ruling {
        Ruling::Paid(payment) => format!("+{} {title}{}", payment.points, details(payment, period)),
        Ruling::Shadow(payment) => format!("0 {title},试运行:正式开始后会 +{}{}", payment.points, details(payment, period)),
        Ruling::Refused(refusal) => {
            let opening = rule.map_or(String::new(), wording::opening);
            format!("0 {title},{}", wording::refusal(refusal, calendar, (at, now), &opening))
        }
    }
}

fn find<'a>(rules: &'a Rules, code: &str) -> Option<&'a RuleEntry> {
    rules.campaigns.iter().flat_map(|campaign| &campaign.rules).find(|rule| *rule.code == *code)
}

/// What a payment is made of: the bonus in it, the cap that clipped it.
fn details(payment: &Payment, period: impl Fn(PeriodKind) -> &'static str) -> String {
    let bonus = match (payment.bonus, payment.streak) {
        (0, Some(_) | None) => String::new(),
        (bonus, Some(streak)) => format!("(含连续 {streak} 天奖励 +{bonus})"),
        (bonus, None) => format!("(含奖励 +{bonus})"),
    };
    let clipped = payment.clipped_by.as_ref().map(|cap| {
        let this = period(cap.period);
        format!("(本来 +{},{this}上限 {},之前已有 {},只剩这么多)", payment.offered, cap.most, cap.used)
    });
    bonus + clipped.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::world::World;

    /// The verdicts on the last message, explained.
    fn told(world: &World) -> Vec<String> {
        let calendar = &world.rules.campaigns[0].calendar;
        world
            .last
            .record
            .verdicts
            .iter()
            .map(|verdict| explain(Some(&world.rules), verdict, calendar, (world.account.frontier, world.account.frontier)))
            .collect()
    }

    #[test]
    fn every_verdict_says_what_happened_and_what_would_have_paid() {
        let mut world = World::new(
            r#"
            check_in.daily = { title = "每日签到", keywords = ["签到"], points = 2, streak = { 2 = 10 }, max_points = { day = 20, week = 9 } }
            check_in.next = { title = "新活动", keywords = ["签到"], points = 3, mode = "shadow" }
            check_in.gone = { title = "老活动", keywords = ["签到"], points = 3, dates = "2026-10-01..2026-10-31" }
            "#,
        );
        world.says("11-18 09:00", "签到");
        assert_eq!(told(&world), ["+2 每日签到", "0 新活动,试运行:正式开始后会 +3", "0 老活动,不在活动日期,10 月 1 日至 10 月 31 日 才计分"]);
        world.says("11-19 09:00", "签到");
        assert_eq!(told(&world)[0], "+7 每日签到(含连续 2 天奖励 +10)(本来 +12,本周上限 9,之前已有 2,只剩这么多)");
        world.says("11-19 10:00", "签到");
        assert_eq!(told(&world)[0], "0 每日签到,今天 9:00 已记过,每天 1 次,明天 0:00 后再来");
    }

    #[test]
    fn without_the_rules_a_verdict_is_told_by_its_code() {
        let mut world = World::new("[speaking.talk]\npoints = 1\nmax_points = { day = 9 }");
        world.says("11-22 09:00", "哈哈");
        let calendar = &world.rules.campaigns[0].calendar;
        assert_eq!(
            explain(None, &world.last.record.verdicts[0], calendar, (world.account.frontier, world.account.frontier)),
            "0 speaking.talk,少于 4 个字(写了 2 个)"
        );
    }
}
