//! Usage: how full the caps over a rule are, and how long its days in a row, for explanations and for trying a line.

use serde::Serialize;

use crate::model::cells::AccountState;
use crate::model::day::{Day, Millis, PeriodKind};
use crate::model::ids::GroupId;
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::cap::{Limits, Periods};
use crate::rules::wording::that;

/// Where a rule stands on trial keeps its counts.
const TRIAL: char = '~';

/// A cap and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Whose cap: the rule's code, `bucket.talk`, or `campaign`.
    pub of: String,
    /// Counted over: `day`, `week` …
    pub period: &'static str,
    /// Counted in points, else in times.
    pub in_points: bool,
    /// Used.
    pub used: i64,
    /// The most allowed.
    pub most: i64,
    /// In words: `今天 2/20 分`.
    pub text: String,
}

/// The caps over a rule — its own, its bucket's, the campaign's — with what is used of them at an instant, told at another.
pub fn usage(campaign: &Campaign, rule: &RuleEntry, state: Option<&AccountState>, group: GroupId, (at, now): (Millis, Millis)) -> Vec<Usage> {
    let window = rule.common.when.as_ref().and_then(|when| when.open_since(&campaign.calendar, at));
    let periods = Periods { day: campaign.calendar.day(at), window };
    let bucket = rule.common.bucket.map(|index| &campaign.buckets[index]);
    let counts = Counts { campaign, mode: rule.common.mode, periods, state, told: (at, now) };
    let own = counts.of(&rule.common.limits, &rule.code, "");
    let shared = bucket.map(|bucket| counts.of(&bucket.limits, &bucket.key(group), "同类合计"));
    own.into_iter().chain(shared.into_iter().flatten()).chain(counts.of(&campaign.limits, "campaign", "整个活动")).collect()
}

/// What is counted, and when it is told.
struct Counts<'a> {
    campaign: &'a Campaign,
    mode: Mode,
    periods: Periods,
    state: Option<&'a AccountState>,
    told: (Millis, Millis),
}

impl Counts<'_> {
    fn of(&self, limits: &Limits, key: &str, whose: &str) -> Vec<Usage> {
        let key_now = if self.mode == Mode::Shadow { format!("{TRIAL}{key}") } else { key.to_owned() };
        let used = |kind, in_points| {
            let sum = self.state.and_then(|state| state.code(&key_now)?.sum(self.periods.of(kind)));
            sum.map_or(0, |sum| if in_points { sum.points } else { sum.times })
        };
        let told = |kind: PeriodKind, in_points: bool, most: i64| {
            let (used, unit) = (used(kind, in_points), if in_points { "分" } else { "次" });
            let period = that(&self.campaign.calendar, kind, self.told.0, self.told.1);
            Usage { of: key.to_owned(), period: name(kind), in_points, used, most, text: format!("{period}{whose} {used}/{most} {unit}") }
        };
        let points = limits.max_points.iter().map(|(kind, most)| told(*kind, true, *most));
        points.chain(limits.max_times.iter().map(|(kind, most)| told(*kind, false, *most))).collect()
    }
}

/// All in one line: `今天 2/20 分,今天 1/1 次`.
pub fn in_words(usages: &[Usage]) -> String {
    usages.iter().map(|usage| &*usage.text).collect::<Vec<_>>().join(",")
}

/// How many days in a row a rule was paid, until this day or the one before it; 0 for a rule that counts none.
pub fn days_in_a_row(rule: &RuleEntry, state: Option<&AccountState>, day: Day) -> u32 {
    let code = state.and_then(|state| state.code(&rule.code));
    let until = |day| code.map_or(0, |code| code.days_in_a_row_until(day));
    match until(day) {
        0 => until(day.plus(-1)),
        days => days,
    }
}

fn name(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Day => "day",
        PeriodKind::Week => "week",
        PeriodKind::Month => "month",
        PeriodKind::Window => "window",
        PeriodKind::Ever => "ever",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::world::World;

    #[test]
    fn every_cap_over_a_rule_is_told_with_what_is_used_of_it() {
        let mut world = World::new(
            r#"
            check_in.daily = { keywords = ["签到"], points = 3, bucket = "all" }
            speaking.talk = { points = 1, max_points = { day = 9 } }
            bucket.all = { max_points = { week = 7 } }
            campaign.main = { max_points = { day = 20 } }
            "#,
        );
        for day in 16..=18 {
            world.says(&format!("11-{day} 09:00"), "签到");
        }
        let (campaign, at) = (&world.rules.campaigns[0], world.account.frontier);
        let told = |rule: usize| in_words(&usage(campaign, &campaign.rules[rule], Some(&world.account.state), GroupId::NONE, (at, at)));
        assert_eq!(told(0), "今天 1/1 次,本周同类合计 7/7 分,今天整个活动 1/20 分");
        assert_eq!(told(1), "今天 0/9 分,今天整个活动 1/20 分");
        assert_eq!(days_in_a_row(&campaign.rules[0], Some(&world.account.state), campaign.calendar.day(at)), 3);
    }
}
