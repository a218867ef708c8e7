//! Explaining: one verdict in Chinese, with what would have made the rule pay. Told by `jifen explain`, 「为什么」 and the demo.

use crate::model::day::{Calendar, Millis, PeriodKind};
use crate::model::decision::{Payment, Refusal, Ruling, Verdict};
use crate::rules::campaign::{RuleEntry, Rules};
use crate::rules::{boost, wording};

/// A verdict in words. `rules` are those it was decided under (for titles and windows); `at` is the message's own time, `now`
/// when it is told.
pub fn explain(rules: Option<&Rules>, verdict: &Verdict, calendar: &Calendar, (at, now): (Millis, Millis)) -> String {
    let rule = rules.and_then(|rules| find(rules, &verdict.rule));
    let won = rules.and_then(|rules| rules.campaigns.iter().flat_map(|campaign| &campaign.titles).find(|title| title.code == verdict.rule));
    let title = rule.map(RuleEntry::title).or(won.map(|title| &*title.title)).or_else(|| wording::beside_rules(&verdict.rule)).unwrap_or(&verdict.rule);
    let period = |kind| wording::that(calendar, kind, at, now);
    match &verdict.ruling {
        Ruling::Paid(payment) => format!("{:+} {title}{}", payment.points, details(payment, period)),
        Ruling::Shadow(payment) => format!("0 {title},试运行:正式开始后会 +{}{}", payment.points, details(payment, period)),
        Ruling::Moved(points) => format!("{points:+} {title}"),
        Ruling::Refused(refusal) => {
            let opening = rule.map_or(String::new(), wording::opening);
            let groups = rule.and_then(|rule| rule.common.only.groups.as_ref()).filter(|_| *refusal == Refusal::NotForThisGroup);
            let elsewhere = groups.map_or(String::new(), |groups| format!(",只在 {} 群计分", groups.join("、")));
            format!("0 {title},{}{elsewhere}", wording::refusal(refusal, calendar, (at, now), &opening))
        }
    }
}

/// The verdicts worth telling: what paid, if anything did; else the refusals, and those of rules that were not open at all only where no
/// rule was.
pub fn telling(verdicts: &[Verdict]) -> Vec<&Verdict> {
    let closest = verdicts.iter().map(distance).min();
    verdicts.iter().filter(|verdict| Some(distance(verdict)) == closest).collect()
}

/// How far a rule was from paying: 0 it paid, 1 it was open and had a reason, 2 it was not open here and then.
fn distance(verdict: &Verdict) -> u8 {
    match &verdict.ruling {
        Ruling::Paid(_) | Ruling::Moved(_) => 0,
        Ruling::Refused(Refusal::OutsideWindow | Refusal::OutsideDates | Refusal::NotForThisGroup) => 2,
        Ruling::Shadow(_) | Ruling::Refused(_) => 1,
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
    factors(payment) + &bonus + clipped.as_deref().unwrap_or_default()
}

/// Base × factors, where there are any: `(2 × 高级 150% × 春节 200%)`.
fn factors(payment: &Payment) -> String {
    if payment.factors.is_empty() {
        return String::new();
    }
    format!("({} × {})", payment.base, boost::in_words(payment.base, &payment.factors))
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
        assert_eq!(told(&world), ["+2 每日签到", "0 新活动,试运行:正式开始后会 +3", "0 老活动,不在活动日期,10 月 1 日至 10 月 31 日才计分"]);
        world.says("11-19 09:00", "签到");
        assert_eq!(told(&world)[0], "+7 每日签到(含连续 2 天奖励 +10)(本来 +12,本周上限 9,之前已有 2,只剩这么多)");
        world.says("11-19 10:00", "签到");
        assert_eq!(told(&world)[0], "0 每日签到,今天 9:00 已记过,每天 1 次,明天 0:00 后再来");
    }

    #[test]
    fn rules_that_were_not_open_are_told_only_where_none_was() {
        let mut world = World::new(
            r#"
            speaking.noon = { points = 1, when = "12:00-13:00", max_points = { day = 9 } }
            speaking.evening = { points = 1, when = "20:00-21:00", max_points = { day = 9 } }
            "#,
        );
        let mut told = |when| {
            world.says(when, "哈哈");
            telling(&world.last.record.verdicts).iter().map(|verdict| verdict.rule.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(told("11-22 12:30"), ["speaking.noon"]);
        assert_eq!(told("11-22 15:00"), ["speaking.noon", "speaking.evening"]);
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
