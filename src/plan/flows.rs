//! What moved in a campaign day by day, from one walk through the ledger: enough to tell what was outstanding on any day of the past.

use std::collections::{BTreeMap, HashMap};

use super::Progress;
use crate::model::day::Day;
use crate::model::decision::Chart;
use crate::model::ids::{CampaignId, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::store::{Reader, StoreError};

/// Rows read at a time.
const PAGE: usize = 4096;

/// The place of lots that never go.
pub const NEVER: Day = Day(i32::MAX);

/// What happened on one day and may happen again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayFlow {
    /// Points earned, less those taken back, by the days that they live; `None` for ever.
    pub earned: BTreeMap<Option<i32>, i64>,
    /// Points spent, less those that came back, and those that went without having had a date (who left, who did nothing for long).
    pub spent: i64,
}

/// A campaign's days.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flows {
    /// The days on which something moved.
    pub days: BTreeMap<Day, DayFlow>,
    /// What moved on a day (opening balances and what expired included), by the first day on which it is gone ([`NEVER`]).
    lots: BTreeMap<(Day, Day), i64>,
}

impl Flows {
    /// The first day on which something moved.
    pub fn first(&self) -> Option<Day> {
        self.days.keys().next().copied()
    }

    /// What was there at the end of a day, by the first day on which it is gone. What was gone by then is not in it; debts are.
    pub fn lots_at(&self, day: Day) -> BTreeMap<Day, i64> {
        let mut lots = BTreeMap::<Day, i64>::new();
        for ((_, gone_on), amount) in self.lots.range(..=(day, NEVER)) {
            let lot = lots.entry(*gone_on).or_default();
            *lot = lot.saturating_add(*amount);
        }
        lots.retain(|gone_on, amount| *gone_on > day || *amount < 0);
        lots
    }

    /// How many points were there at the end of a day.
    pub fn outstanding(&self, day: Day) -> i64 {
        self.lots_at(day).values().fold(0, |sum, amount| sum.saturating_add(*amount))
    }

    /// Takes a posting in; what does not cross the border between members and the programme moves nothing.
    fn add(&mut self, posting: &Posting) {
        let (chart, sign) = match (posting.src, posting.dst) {
            (AccountRef::System { chart, .. }, AccountRef::Member(_)) => (chart, 1),
            (AccountRef::Member(_), AccountRef::System { chart, .. }) => (chart, -1),
            (AccountRef::System { .. }, AccountRef::System { .. }) | (AccountRef::Member(_), AccountRef::Member(_)) => return,
        };
        self.book(posting.day, chart, sign * posting.amount, posting.expires_on);
    }

    /// Points that members got (lost, below zero) on a day.
    pub(super) fn book(&mut self, day: Day, chart: Chart, points: i64, expires_on: Option<Day>) {
        let lot = self.lots.entry((day, expires_on.unwrap_or(NEVER))).or_default();
        *lot = lot.saturating_add(points);
        let flow = self.days.entry(day).or_default();
        match chart {
            Chart::Issued | Chart::Adjusted => {
                let earned = flow.earned.entry(expires_on.map(|gone_on| gone_on.0.saturating_sub(day.0))).or_default();
                *earned = earned.saturating_add(points);
            }
            Chart::Spent => flow.spent = flow.spent.saturating_sub(points),
            // What goes on its day is known before; only the rest is like spending.
            Chart::Expired if expires_on.is_none_or(|gone_on| gone_on > day) => flow.spent = flow.spent.saturating_sub(points),
            Chart::Expired | Chart::Opening | Chart::Transfer => {}
        }
    }
}

/// Reads all campaigns.
///
/// # Errors
/// The store's.
pub fn read(reader: &dyn Reader, progress: Progress<'_>) -> Result<HashMap<CampaignId, Flows>, StoreError> {
    let last = reader.head()?.posting;
    let (mut flows, mut next) = (HashMap::<CampaignId, Flows>::new(), PostingSeq(1));
    loop {
        let postings = reader.postings(next, PAGE)?;
        let Some(newest) = postings.last() else { return Ok(flows) };
        next = PostingSeq(newest.seq.0 + 1);
        progress(newest.seq.0, last.0);
        for posting in &postings {
            for side in [posting.src, posting.dst] {
                if let AccountRef::System { campaign, .. } = side {
                    flows.entry(campaign).or_default().add(posting);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_outstanding_on_a_day_is_told_from_what_moved() {
        let mut flows = Flows::default();
        flows.book(Day(10), Chart::Opening, 50, None);
        flows.book(Day(10), Chart::Issued, 100, Some(Day(20)));
        flows.book(Day(12), Chart::Spent, -30, Some(Day(20)));
        flows.book(Day(20), Chart::Expired, -70, Some(Day(20)));
        flows.book(Day(21), Chart::Issued, -5, None);
        assert_eq!([9, 10, 12, 19, 20, 21].map(|day| flows.outstanding(Day(day))), [0, 150, 120, 120, 50, 45]);
        assert_eq!((flows.days[&Day(10)].earned.get(&Some(10)), flows.days[&Day(12)].spent, flows.days[&Day(20)].spent), (Some(&100), 30, 0));
    }

    #[test]
    fn what_is_gone_counts_no_more_whether_or_not_it_was_booked_out() {
        let mut flows = Flows::default();
        flows.book(Day(10), Chart::Issued, 100, Some(Day(20)));
        flows.book(Day(11), Chart::Issued, -4, Some(Day(15)));
        assert_eq!([11, 19, 20].map(|day| flows.outstanding(Day(day))), [96, 96, -4], "a debt stays until it is settled");
    }
}
