//! `[retention.<name>]`: points for staying, for every so many days in the group. The clock pays it ([`super::clock`]).
//!
//! A stay begins with a join ([`super::presence`]) and its periods with the business day of the join: who joined on the 1st has stayed 7 days when the 8th
//! begins. Each period is an event of its own, at the instant it was complete, so that a join or a leave that is told late is repaired like a
//! late message. Staying in several groups of a campaign is one stay; leaving the last of them ends it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::cells::AccountCell;
use crate::model::day::{Calendar, Day, Millis, PeriodKind};
use crate::model::decision::{Args, Deed, Mark, Refusal};
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::check_in::check_points;
use crate::rules::clock::{Job, Reach, Slot, next_day};
use crate::rules::marks::state_key;
use crate::rules::mistake::Mistakes;
use crate::rules::presence;
use crate::rules::shared_keys::only_groups;
use crate::rules::table::{RuleTable, parse_duration_secs};
use crate::rules::words::Listen;
use crate::rules::{Hearing, Kind, Offer, Own, Rule};

/// `[retention.<name>]`
pub const KIND: Kind = Kind {
    name: "retention",
    title: "留存",
    default_limits: || Limits { max_times: vec![(PeriodKind::Day, 1)], max_points: Vec::new() },
    defaults: |_| Vec::new(),
    compile: |table, mistakes| compile(table, mistakes).map(|rule| Box::new(rule) as Box<dyn Rule>),
    schema: |generator| generator.subschema_for::<RetentionTable>(),
};

/// Periods that were complete longer ago are not paid any more: as far back as late messages are repaired, less a day.
pub const PAID_BACK_DAYS_MAX: i32 = 34;

/// A period longer than this is a slip of the finger.
const PERIOD_DAYS_MAX: i64 = 3_660;

const DAY_SECS: i64 = 86_400;

/// 留存:在群里每满多少天得积分。退群再进,从头算起。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RetentionTable {
    /// 每满多少天得一次,写成天数:`"7d"`。进群那天起算,满 7 天就是第 8 天零点(day_starts_at)记分。
    #[schemars(extend("examples" = ["7d"]))]
    #[schemars(extend("x-en" = "Days of a period, `\"7d\"`, counted from the day of the join; paid when the period is over. Required."))]
    every: String,
    /// 每满一次得几分,至少 1。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [5]))]
    #[schemars(extend("x-en" = "Points for each completed period, at least 1. Required."))]
    points: i64,
}

/// A compiled retention rule.
#[derive(Debug)]
pub struct Retention {
    /// Days of a period.
    pub every_days: i32,
    /// Points a period.
    pub points: i64,
}

impl Rule for Retention {
    fn listens_for(&self) -> &[Listen] {
        &[]
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        matches!(hearing.deed, Some(Deed::Due { job, .. }) if *job == hearing.rule.code)
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let since = presence::since(own.all()).ok_or(Refusal::NotStayed)?;
        let calendar = &hearing.campaign.calendar;
        let stayed = hearing.day.0.saturating_sub(calendar.day(since).0);
        let paid_until = own.code().and_then(|state| state.since).map(|paid| calendar.day(paid));
        if stayed <= 0 || stayed % self.every_days != 0 || paid_until.is_some_and(|paid| paid.plus(self.every_days) > hearing.day) {
            return Err(Refusal::NotStayed);
        }
        let marks = vec![Mark::Since { key: "".into(), at: Some(hearing.event.at) }];
        Ok(Offer { points: self.points, marks, args: Args::default().int("天数", i64::from(stayed)), ..Offer::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        format!("在群里每满 {} 天 +{} {points_name}(退群再进从头算)", self.every_days, self.points)
    }

    fn most(&self) -> i64 {
        self.points
    }

    fn announces(&self) -> bool {
        false
    }

    fn is_paid_by_the_clock(&self) -> bool {
        true
    }

    fn every_days(&self) -> Option<i32> {
        Some(self.every_days)
    }

    fn pause_secs(&self) -> i64 {
        i64::from(self.every_days).saturating_mul(DAY_SECS)
    }
}

/// The jobs of a campaign's retention rules.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    let live = campaign.rules.iter().filter(|rule| rule.common.mode != Mode::Off);
    live.filter_map(|rule| Some(Box::new(Periods { rule, every_days: rule.kind.every_days()? }) as Box<dyn Job>)).collect()
}

/// The periods of one rule, looked at when a business day begins.
#[derive(Debug)]
struct Periods<'a> {
    rule: &'a RuleEntry,
    every_days: i32,
}

impl Job for Periods<'_> {
    fn name(&self) -> Arc<str> {
        self.rule.code.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Accounts
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        next_day(calendar, after)
    }

    fn due(&self, campaign: &Campaign, slot: Slot, account: &AccountCell) -> Vec<Slot> {
        let Some(since) = presence::since(Some(&account.state)) else { return Vec::new() };
        let (began, today) = (campaign.calendar.day(since), campaign.calendar.day(slot.at));
        let key = state_key(&self.rule.code, self.rule.common.mode);
        let paid_until = account.state.code(&key).and_then(|state| state.since).map(|paid| campaign.calendar.day(paid));
        let oldest = paid_until.map_or(Day(i32::MIN), |paid| paid.plus(1)).max(today.plus(1 - PAID_BACK_DAYS_MAX)).max(began.plus(1));
        let periods = |days: i32| days.div_euclid(self.every_days);
        let (first, last) = (periods(oldest.0.saturating_sub(began.0).saturating_sub(1)) + 1, periods(today.0.saturating_sub(began.0)));
        let day = |period: i32| began.plus(period.saturating_mul(self.every_days));
        (first..=last).map(day).map(|day| Slot { at: campaign.calendar.begins(day), number: i64::from(day.0) }).collect()
    }
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<Retention> {
    let keys: RetentionTable = table.read(mistakes);
    check_points(table, keys.points, mistakes);
    if table.get("when").is_some() {
        mistakes.error(table.span("when"), "not-here", "留存按天记分,不看时段;请删掉 when");
    }
    if only_groups(table).is_some() {
        let text = "留存按整个活动算,在活动的任何一个群里都算在群;只想对某些群,请给这些群单写一个 [campaign.<名字>]";
        mistakes.error(table.span("only"), "not-here", text);
    }
    if table.get("every").is_none() {
        mistakes.error(table.span("every"), "missing-key", "留存要写满多少天得一次,例如 every = \"7d\"");
        return None;
    }
    match parse_duration_secs(&keys.every) {
        Ok(secs) if secs > 0 && secs % DAY_SECS == 0 && secs / DAY_SECS <= PERIOD_DAYS_MAX => {
            Some(Retention { every_days: i32::try_from(secs / DAY_SECS).unwrap_or(i32::MAX), points: keys.points })
        }
        Ok(_) => {
            mistakes.error(table.span("every"), "bad-value", format!("every 要写整天数,1d 到 {PERIOD_DAYS_MAX}d,例如 every = \"7d\""));
            None
        }
        Err(reason) => {
            mistakes.error(table.span("every"), "bad-value", reason);
            None
        }
    }
}
