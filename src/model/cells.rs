//! Cells: what the rules may know of an account, and `apply`, the only fold from decisions to balances, caps and streaks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::day::{Day, Millis, Period};
use super::decision::{Mark, Part, Record, Ruling};
use super::ids::{AccountId, CampaignId, EventSeq, GroupId, MemberId};
use super::journal::{AccountRef, Posting};

/// Sums, recent messages and finished runs older than this many days before the newest stateful event are dropped:
/// a month's cap (31 days) decided for a message 35 days late still finds its numbers.
pub const KEEP_DAYS: i32 = 70;

/// Recent messages remembered per rule: more than one person says within a cool-down, small enough to stay in one row.
pub const RECENT_MAX: usize = 12;

/// What names an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct AccountKey {
    /// The campaign.
    pub campaign: CampaignId,
    /// The group under `balance = "per_group"`, else [`GroupId::NONE`].
    pub group: GroupId,
    /// The member.
    pub member: MemberId,
}

/// A member in a campaign: balances and state. A cache of [`AccountCell::apply`] over the journal.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountCell {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub key: AccountKey,
    /// Points that may be spent; below zero only by claw-back.
    pub available: i64,
    /// Points set aside by holds.
    pub held: i64,
    /// Points ever earned, less reversals; spending does not lower it.
    pub lifetime: i64,
    /// Largest `at` of its stateful events.
    pub frontier: Millis,
    /// Its newest stateful event: the head of its history.
    pub last_event: EventSeq,
    /// Caps, streaks, recent talk and lots.
    pub state: AccountState,
}

/// The account's own state: one record per ledger code, and the lots of the balance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountState {
    /// The available balance by vesting and expiry, sorted; sums to `available`.
    pub lots: Vec<Lot>,
    /// Per code (`check_in.daily`, `bucket.talk`, `campaign`, `~…` in shadow), sorted by code.
    pub codes: Vec<(Arc<str>, CodeState)>,
}

/// A part of the balance with its own vesting and expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lot {
    /// First day it is gone; `None` never.
    pub expires_on: Option<Day>,
    /// First day it may be spent; `None` at once.
    pub vests_on: Option<Day>,
    /// Points left in it.
    pub amount: i64,
}

/// What is remembered under one code, in generic shapes that any rule may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CodeState {
    /// Times and points per period, sorted by period.
    pub sums: Vec<Sum>,
    /// Runs of days in a row, sorted by start.
    pub runs: Vec<Run>,
    /// Recent messages, oldest first by `at`.
    pub recent: Vec<Recent>,
    /// All that was ever paid under it.
    pub total: Total,
    /// Since when something holds (a member is in a group); `None` when it does not.
    pub since: Option<Millis>,
}

/// All that was ever paid under a code. Unlike [`Sum`]s it is never forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// Times.
    pub times: i64,
    /// Points.
    pub points: i64,
}

/// Times and points of one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The period.
    pub period: Period,
    /// Times.
    pub times: i64,
    /// Points.
    pub points: i64,
    /// When it was counted last.
    pub last_at: Millis,
}

/// Days in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// First day.
    pub start: Day,
    /// How many days.
    pub days: u32,
}

/// A remembered message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// When it was sent.
    pub at: Millis,
    /// Its fingerprint.
    pub fingerprint: u64,
}

impl AccountState {
    /// What is remembered under a code.
    pub fn code(&self, code: &str) -> Option<&CodeState> {
        self.codes.binary_search_by(|(key, _)| (**key).cmp(code)).ok().map(|at| &self.codes[at].1)
    }

    fn code_mut(&mut self, code: &Arc<str>) -> &mut CodeState {
        let at = match self.codes.binary_search_by(|(key, _)| (**key).cmp(code)) {
            Ok(at) => at,
            Err(at) => {
                self.codes.insert(at, (code.clone(), CodeState::default()));
                at
            }
        };
        &mut self.codes[at].1
    }

    fn prune(&mut self, newest: Day, newest_at: Millis) {
        self.join_vested(newest);
        let oldest = newest.plus(-KEEP_DAYS);
        let (week, month) = (oldest.week(), oldest.month());
        let window = newest_at.0 / 60_000 - i64::from(KEEP_DAYS) * 1440;
        for (_, code) in &mut self.codes {
            code.sums.retain(|sum| match sum.period {
                Period::Day(day) => day >= oldest.0,
                Period::Week(number) => number >= week,
                Period::Month(number) => number >= month,
                Period::Window(minute) => minute >= window,
                Period::Ever => true,
            });
            code.runs.retain(|run| run.start.0.saturating_add_unsigned(run.days) > oldest.0);
        }
    }
}

impl CodeState {
    /// Times and points counted in a period.
    pub fn sum(&self, period: Period) -> Option<&Sum> {
        self.sums.binary_search_by_key(&period, |sum| sum.period).ok().map(|at| &self.sums[at])
    }

    /// Whether a day is in a run.
    pub fn has_day(&self, day: Day) -> bool {
        self.days_in_a_row_until(day) > 0
    }

    /// How many days in a row end with `day`, itself included; 0 if it is in no run.
    pub fn days_in_a_row_until(&self, day: Day) -> u32 {
        self.runs.iter().find(|run| run.start <= day && day.0 < run.start.0.saturating_add_unsigned(run.days)).map_or(0, |run| day.0.abs_diff(run.start.0) + 1)
    }

    fn count(&mut self, period: Period, times: i64, points: i64, at: Millis) {
        match self.sums.binary_search_by_key(&period, |sum| sum.period) {
            Ok(index) => {
                let sum = &mut self.sums[index];
                sum.times += times;
                sum.points += points;
                sum.last_at = sum.last_at.max(at);
            }
            Err(index) => self.sums.insert(index, Sum { period, times, points, last_at: at }),
        }
    }

    fn add_day(&mut self, day: Day) {
        if self.has_day(day) {
            return;
        }
        let at = self.runs.partition_point(|run| run.start < day);
        self.runs.insert(at, Run { start: day, days: 1 });
        if at + 1 < self.runs.len() && self.runs[at + 1].start == day.plus(1) {
            self.runs[at].days += self.runs.remove(at + 1).days;
        }
        if at > 0 && self.runs[at - 1].start.0.saturating_add_unsigned(self.runs[at - 1].days) == day.0 {
            let days = self.runs.remove(at).days;
            self.runs[at - 1].days += days;
        }
    }

    fn remember(&mut self, recent: Recent) {
        let at = self.recent.partition_point(|other| other.at <= recent.at);
        self.recent.insert(at, recent);
        if self.recent.len() > RECENT_MAX {
            self.recent.remove(0);
        }
    }
}

/// What `apply` needs to know of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Its place in the journal.
    pub seq: EventSeq,
    /// When it happened.
    pub at: Millis,
    /// The business day of `at`.
    pub day: Day,
}

impl AccountCell {
    /// The only fold: what a booked decision does to its own account. Used by the pipeline, `verify`, the tests and everything that decides again.
    ///
    /// `postings` are those of this event; sides that are not this account are passed over. Does nothing for a decision
    /// without marks and without postings on this account.
    pub fn apply(&mut self, event: Occurrence, record: &Record, postings: &[Posting]) {
        // What has vested by now is moved as the decision saw it.
        if !postings.is_empty() {
            self.state.join_vested(event.day);
        }
        for posting in postings {
            self.move_points(posting);
        }
        if !record.is_stateful() {
            return;
        }
        if let Some(repair) = &record.repair {
            self.state.codes.clone_from(&repair.restated);
        }
        // What was decided again holds the totals already.
        for verdict in record.verdicts.iter().filter(|_| record.repair.is_none()) {
            if let Ruling::Paid(payment) = &verdict.ruling {
                let total = &mut self.state.code_mut(&verdict.rule).total;
                total.times += 1;
                total.points += payment.points;
            }
        }
        for mark in &record.marks {
            match mark {
                Mark::Count { key, period, times, points } => self.state.code_mut(key).count(*period, *times, *points, event.at),
                Mark::Day { key, day } => self.state.code_mut(key).add_day(*day),
                Mark::Recent { key, at, fingerprint } => self.state.code_mut(key).remember(Recent { at: *at, fingerprint: *fingerprint }),
                Mark::Since { key, at } => self.state.code_mut(key).since = *at,
                Mark::Proof { .. } => {}
            }
        }
        if event.at >= self.frontier {
            self.frontier = event.at;
            self.state.prune(event.day, event.at);
        }
        self.last_event = event.seq;
    }

    /// Earns so many points (loses them below zero) outside of any lot: for deciding again, where only how much was earned matters.
    pub fn earn(&mut self, points: i64) {
        self.available = self.available.saturating_add(points);
        self.lifetime = self.lifetime.saturating_add(points);
    }

    fn move_points(&mut self, posting: &Posting) {
        let own = AccountRef::Member(self.id);
        if posting.dst == own {
            *self.part(posting.dst_part) += posting.amount;
            if posting.dst_part == Part::Available {
                self.state.add_to_lot(posting.vests_on, posting.expires_on, posting.amount);
            }
            if posting.earns() {
                self.lifetime += posting.amount;
            }
        }
        if posting.src == own {
            *self.part(posting.src_part) -= posting.amount;
            if posting.src_part == Part::Available {
                self.state.add_to_lot(posting.vests_on, posting.expires_on, -posting.amount);
            }
            if posting.unearns() {
                self.lifetime -= posting.amount;
            }
        }
    }

    fn part(&mut self, part: Part) -> &mut i64 {
        match part {
            Part::Available => &mut self.available,
            Part::Held => &mut self.held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_join_into_one_run_in_any_order() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 4, 2], [2, 4, 1, 3]] {
            let mut code = CodeState::default();
            order.iter().for_each(|&day| code.add_day(Day(day)));
            assert_eq!(code.runs, [Run { start: Day(1), days: 4 }], "{order:?}");
            assert_eq!(code.days_in_a_row_until(Day(3)), 3);
            assert_eq!(code.days_in_a_row_until(Day(5)), 0);
        }
    }

    #[test]
    fn a_day_counts_once() {
        let mut code = CodeState::default();
        code.add_day(Day(7));
        code.add_day(Day(7));
        assert_eq!(code.runs, [Run { start: Day(7), days: 1 }]);
    }

    #[test]
    fn old_periods_are_forgotten_and_a_long_run_is_kept_whole() {
        let mut cell = AccountCell::default();
        let key: Arc<str> = "check_in.daily".into();
        for day in 0..200 {
            let marks = vec![Mark::Count { key: key.clone(), period: Period::Day(day), times: 1, points: 2 }, Mark::Day { key: key.clone(), day: Day(day) }];
            cell.apply(
                Occurrence { seq: EventSeq(i64::from(day) + 1), at: Millis(i64::from(day) * 86_400_000), day: Day(day) },
                &Record { marks, ..Record::default() },
                &[],
            );
        }
        let code = cell.state.code("check_in.daily").expect("counted");
        assert_eq!(code.runs, [Run { start: Day(0), days: 200 }]);
        assert_eq!(code.sums.len(), KEEP_DAYS as usize + 1);
    }

    #[test]
    fn recent_messages_are_bounded_and_sorted() {
        let mut code = CodeState::default();
        for at in (0..40).rev() {
            code.remember(Recent { at: Millis(at), fingerprint: 0 });
        }
        assert!(code.recent.len() <= RECENT_MAX && code.recent.is_sorted_by_key(|recent| recent.at));
    }
}
