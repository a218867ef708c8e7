//! The worst case: what a rule can pay one member on one day, and in so many days, if somebody does all that the file lets them do.
//!
//! It is a bound: windows, pauses, caps of the rule, its bucket and its campaign, budgets and factors are counted; that nobody writes a message
//! every second of a day is not.

use crate::model::day::PeriodKind;
use crate::model::decision::Factor;
use crate::rules::boost::{Festival, multiplied};
use crate::rules::budget;
use crate::rules::campaign::{Bucket, Campaign, Mode, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::mistake::{Cost, GROUP_SIZE};

const DAY_SECS: i64 = 86_400;

/// What one member can get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worst {
    /// Points.
    pub points: i64,
    /// No cap of the file bounds it.
    pub unlimited: bool,
}

/// The worst day of one member with one rule; its budget is left out, since it is one for all members.
pub fn a_day(campaign: &Campaign, rule: &RuleEntry) -> Worst {
    let (minutes, windows) = rule.common.when.as_ref().map_or((DAY_SECS / 60, 1), |when| when.busiest_day());
    let pause = rule.kind.pause_secs().max(1);
    let by_clock = (minutes * 60 + pause - 1) / pause;
    let times = caps(campaign, rule).flat_map(|limits| on_a_day(limits.max_times, windows)).min();
    let most = caps(campaign, rule).flat_map(|limits| on_a_day(limits.max_points, windows)).min();
    let unlimited = times.is_none() && most.is_none() && pause < DAY_SECS;
    let times = times.map_or(by_clock, |times| times.min(by_clock));
    let (once, top) = (grown(campaign, rule, rule.kind.most() - bonus(rule)), grown(campaign, rule, rule.kind.most()));
    let points = once.saturating_mul(times).saturating_add(top - once);
    Worst { points: most.map_or(points, |most| most.min(points)), unlimited }
}

/// What these rules together cost on the worst day.
pub fn cost(campaign: &Campaign, rules: &[&RuleEntry]) -> Cost {
    let days: Vec<Worst> = rules.iter().map(|rule| a_day(campaign, rule)).collect();
    let whole = on_a_day(lifted(campaign, None, &campaign.limits).max_points, 1).min().unwrap_or(i64::MAX);
    let points = days.iter().fold(0, |sum: i64, day| sum.saturating_add(day.points)).min(whole);
    let budgets = rules.iter().map(|rule| rule.common.budget).try_fold(0_i64, |sum, budget| Some(sum.saturating_add(budget?)));
    let budget = budgets.into_iter().chain(campaign.budget).min();
    of_points(campaign, points, budget, days.iter().any(|day| day.unlimited))
}

/// A cost of so many points to one member on one day, where all members together get `budget` at most.
pub fn of_points(campaign: &Campaign, points: i64, budget: Option<i64>, unlimited: bool) -> Cost {
    let bounded = |points: i64| budget.map_or(points, |budget| budget.min(points));
    let (one, all) = (bounded(points), bounded(points.saturating_mul(GROUP_SIZE)));
    let worth = |points| campaign.point_value.map(|value| budget::yuan(points, value));
    Cost { points: one, group_points: all, yuan: worth(one), group_yuan: worth(all), unlimited: unlimited && budget.is_none() }
}

/// The most that one member can get by a campaign's rules in so many days from the first message on; `None` where nothing bounds it.
pub fn in_days(campaign: &Campaign, days: i64) -> Option<i64> {
    let live = || campaign.rules.iter().filter(|rule| rule.common.mode == Mode::Live && !rule.kind.sells());
    let mut free: i64 = 0;
    let mut shared = vec![0_i64; campaign.buckets.len()];
    for rule in live() {
        let points = of_rule(campaign, rule, days)?;
        match rule.common.bucket.and_then(|bucket| shared.get_mut(bucket)) {
            Some(sum) => *sum = sum.saturating_add(points),
            None => free = free.saturating_add(points),
        }
    }
    for (bucket, sum) in campaign.buckets.iter().zip(shared) {
        let most = in_all_groups(campaign, bucket).and_then(|limits| over_days(&lifted(campaign, None, &limits).max_points, days, 1));
        free = free.saturating_add(most.map_or(sum, |most| most.min(sum)));
    }
    let whole = over_days(&lifted(campaign, None, &campaign.limits).max_points, days, 1);
    let rules = [whole, campaign.budget].into_iter().flatten().fold(free, i64::min);
    let titles = campaign.titles.iter().map(|title| title.points.saturating_mul(touched(if title.weekly { 7 } else { 28 }, days)));
    Some(titles.fold(rules, i64::saturating_add))
}

/// The most one rule can pay a member in so many days; `None` where nothing in the file bounds it.
fn of_rule(campaign: &Campaign, rule: &RuleEntry, days: i64) -> Option<i64> {
    let day = a_day(campaign, rule);
    if day.unlimited && rule.kind.most() > 0 {
        return None;
    }
    let dated = rule.common.dates.map(|(first, last)| i64::from(crate::model::day::Day::of(last).0 - crate::model::day::Day::of(first).0 + 1));
    let days = dated.map_or(days, |dated| dated.min(days));
    let windows = rule.common.when.as_ref().map_or(1, |when| when.busiest_day().1);
    let limits = lifted(campaign, Some(rule), &rule.common.limits);
    let once = grown(campaign, rule, rule.kind.most() - bonus(rule));
    let by_times = over_days(&limits.max_times, days, windows).map(|times| once.saturating_mul(times).saturating_add(bonuses(campaign, rule, days)));
    // Of each day only its usual points; the bonuses of the days in a row come as often as they can.
    let usual = (day.points - (grown(campaign, rule, rule.kind.most()) - once)).max(once.min(day.points));
    let by_days = usual.saturating_mul(days).saturating_add(bonuses(campaign, rule, days));
    let by_points = over_days(&limits.max_points, days, windows);
    let by_stay = rule.kind.every_days().map(|every| once.saturating_mul(days / i64::from(every.max(1))));
    [by_times, Some(by_days), by_points, by_stay, rule.common.budget].into_iter().flatten().min()
}

/// Bonuses for days in a row that so many days can bring, however often somebody breaks off.
fn bonuses(campaign: &Campaign, rule: &RuleEntry, days: i64) -> i64 {
    let Some(ladder) = rule.kind.ladder() else { return 0 };
    let top = ladder.rungs.last().map_or(1, |(day, _)| i64::from(*day));
    let often = |rung: i64| {
        let straight = if rung > days { 0 } else { (days - rung) / top + 1 };
        straight.max((days + 1) / (rung + 1))
    };
    ladder.rungs.iter().fold(0, |sum: i64, (day, points)| sum.saturating_add(grown(campaign, rule, *points).saturating_mul(often(i64::from(*day)))))
}

/// The most extra points of a day in a row.
fn bonus(rule: &RuleEntry) -> i64 {
    rule.kind.ladder().and_then(|ladder| ladder.rungs.iter().map(|(_, points)| *points).max()).unwrap_or(0)
}

/// Points with the highest level and the best festivals that can be on together.
fn grown(campaign: &Campaign, rule: &RuleEntry, points: i64) -> i64 {
    let level = campaign.levels.iter().map(|level| level.percent).max().filter(|percent| *percent > 100);
    let factors = level.into_iter().chain(festivals(campaign, Some(rule)).into_iter().map(|festival| festival.percent));
    let factors: Vec<Factor> = factors.map(|percent| Factor { of: "".into(), percent }).collect();
    multiplied(points, &factors).unwrap_or(i64::MAX)
}

/// The festivals that together lift a rule (`None`: any rule) the most: one of them, and all that may be on with it.
fn festivals<'c>(campaign: &'c Campaign, rule: Option<&RuleEntry>) -> Vec<&'c Festival> {
    let mine: Vec<&Festival> = campaign.festivals.iter().filter(|festival| festival.percent > 100 && rule.is_none_or(|rule| festival.is_for(rule))).collect();
    let product = |festivals: &Vec<&Festival>| festivals.iter().fold(1_i128, |product, festival| product.saturating_mul(i128::from(festival.percent)));
    let with = |one: &&Festival| -> Vec<&'c Festival> { mine.iter().copied().filter(|other| std::ptr::eq(*one, *other) || !one.is_apart(other)).collect() };
    mine.iter().map(with).max_by_key(product).unwrap_or_default()
}

/// All caps over a rule: its own, its bucket's, its campaign's.
fn caps<'c>(campaign: &'c Campaign, rule: &'c RuleEntry) -> impl Iterator<Item = Limits> + 'c {
    let bucket = rule.common.bucket.and_then(|index| campaign.buckets.get(index)).and_then(|bucket| in_all_groups(campaign, bucket));
    let own = [&rule.common.limits, &campaign.limits].into_iter().cloned();
    own.chain(bucket).map(|limits| lifted(campaign, Some(rule), &limits))
}

/// A bucket's caps over all groups; `None` where each of nobody knows how many groups has its own.
fn in_all_groups(campaign: &Campaign, bucket: &Bucket) -> Option<Limits> {
    if !bucket.per_group {
        return Some(bucket.limits.clone());
    }
    let groups = (!campaign.groups.iter().any(|group| **group == *"*")).then(|| i64::try_from(campaign.groups.len()).unwrap_or(i64::MAX))?;
    let all = |caps: &[(PeriodKind, i64)]| caps.iter().map(|(kind, most)| (*kind, most.saturating_mul(groups))).collect();
    Some(Limits { max_times: all(&bucket.limits.max_times), max_points: all(&bucket.limits.max_points) })
}

/// Caps as far as festivals lift them.
fn lifted(campaign: &Campaign, rule: Option<&RuleEntry>, limits: &Limits) -> Limits {
    let lifting = festivals(campaign, rule).into_iter().filter(|festival| festival.lifts_caps);
    let percent = lifting.fold(100_u64, |percent, festival| percent.saturating_mul(u64::from(festival.percent)) / 100);
    limits.lifted(u32::try_from(percent).unwrap_or(u32::MAX))
}

/// What caps leave on one day: a week's may be used up on it.
fn on_a_day(caps: Vec<(PeriodKind, i64)>, windows: i64) -> impl Iterator<Item = i64> {
    caps.into_iter().map(move |(kind, most)| match kind {
        PeriodKind::Window => most.saturating_mul(windows.max(1)),
        PeriodKind::Day | PeriodKind::Week | PeriodKind::Month | PeriodKind::Ever => most,
    })
}

/// What caps leave in so many days.
fn over_days(caps: &[(PeriodKind, i64)], days: i64, windows: i64) -> Option<i64> {
    let of = |(kind, most): &(PeriodKind, i64)| {
        most.saturating_mul(match kind {
            PeriodKind::Day => days,
            PeriodKind::Window => days.saturating_mul(windows.max(1)),
            PeriodKind::Week => touched(7, days),
            PeriodKind::Month => touched(28, days),
            PeriodKind::Ever => 1,
        })
    };
    caps.iter().map(of).min()
}

/// How many periods of so many days a stretch of days can touch.
fn touched(period: i64, days: i64) -> i64 {
    (days + period - 2) / period + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    fn first(text: &str) -> (Worst, Cost, Option<i64>) {
        let (rules, _) = load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let campaign = &rules.campaigns[0];
        (a_day(campaign, &campaign.rules[0]), cost(campaign, &[&campaign.rules[0]]), in_days(campaign, 90))
    }

    #[test]
    fn a_day_is_bounded_by_the_pause_the_windows_and_every_cap() {
        let points = |keys: &str| first(&format!("speaking.talk = {{ points = 10, {keys} }}\nbucket.b = {{ max_points = {{ day = 30 }} }}")).0;
        assert_eq!(points("when = \"00:00-24:00\""), Worst { points: 28_800, unlimited: true });
        assert_eq!(points("cool_down = \"0s\""), Worst { points: 864_000, unlimited: true });
        assert_eq!(points("when = [\"12:00-13:00\", \"20:00-21:00\"]"), Worst { points: 2_400, unlimited: true });
        assert_eq!(points("when = [\"12:00-13:00\", \"20:00-21:00\"], max_times = { window = 2 }"), Worst { points: 40, unlimited: false });
        assert_eq!(points("max_times = { week = 7 }"), Worst { points: 70, unlimited: false });
        assert_eq!(points("max_times = { day = 7 }, max_points = { day = 25 }"), Worst { points: 25, unlimited: false });
        assert_eq!(points("bucket = \"b\"").points, 30);
        assert_eq!(points("first_word = true").points, 10);
    }

    #[test]
    fn factors_and_the_bonus_of_a_day_are_counted_once() {
        let check_in = "check_in.daily = { keywords = [\"签到\"], points = 2, streak = { 7 = 10 }, max_times = { day = 3 } }\n";
        assert_eq!(first(check_in).0.points, 16, "three times 2, and 10");
        let festival =
            "festival.a = { factor = \"200%\", dates = \"2026-11-01..2026-11-02\" }\nfestival.b = { factor = \"300%\", dates = \"2026-12-01..2026-12-02\" }";
        assert_eq!(first(&format!("{check_in}{festival}")).0.points, 48, "the two are never on together");
        assert_eq!(first(&format!("{check_in}campaign.main = {{ max_points = {{ day = 9 }}, point_value = \"0.5\" }}")).1.yuan.as_deref(), Some("4.50"));
    }

    #[test]
    fn a_budget_bounds_what_a_group_costs() {
        let cost = first("check_in.daily = { keywords = [\"签到\"], points = 20, budget = 500 }").1;
        assert_eq!((cost.points, cost.group_points, cost.unlimited), (20, 500, false));
    }

    #[test]
    fn ninety_days_are_no_more_than_what_can_be_earned_in_them() {
        let reach = |text: &str| first(text).2;
        assert_eq!(reach("check_in.daily = { keywords = [\"签到\"], points = 2, streak = { 7 = 10 } }"), Some(90 * 2 + 12 * 10));
        assert_eq!(reach("check_in.daily = { keywords = [\"签到\"], points = 200, max_times = { month = 1 } }"), Some(4 * 200 + 200));
        assert_eq!(reach("event.verified = { points = 50, max_times = { ever = 1 } }"), Some(50));
        assert_eq!(reach("speaking.talk = { points = 1 }"), None);
        assert_eq!(reach("check_in.daily = { keywords = [\"签到\"], points = 2 }\ncampaign.main = { max_points = { week = 3 } }"), Some(14 * 3));
    }
}
