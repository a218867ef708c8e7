//! `jifen liability`: what the points that members hold amount to today, when they go, and what will be there in the next months.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use super::flows::Flows;
use super::forecast::{Checked, Forecast, WEEKS_MIN, backtest, forecast, month_end};
use crate::model::cells::AccountCell;
use crate::model::day::Day;
use crate::model::ids::{AccountId, CampaignId};
use crate::rules::budget::yuan;
use crate::rules::campaign::Campaign;
use crate::store::{Reader, StoreError};

/// Rows read at a time.
const PAGE: usize = 4096;

/// What members hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outstanding {
    /// All of it: the three below.
    pub total: i64,
    /// Points that may be spent today.
    pub available: i64,
    /// Points that may be spent later.
    pub pending: i64,
    /// Points set aside.
    pub held: i64,
    /// Points that members owe, who have less than nothing: what they earn goes there first.
    pub owed: i64,
    /// Members who hold something.
    pub members: u64,
    /// When they go: by the month that is their last, `2026-12`; `never` for the rest. Debts are not taken off.
    pub by_expiry: BTreeMap<String, i64>,
}

/// A campaign's liability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Liability {
    /// The corp.
    pub corp: Arc<str>,
    /// The campaign, by its id.
    pub campaign: Arc<str>,
    /// Its title.
    pub title: Option<Arc<str>>,
    /// Today.
    pub on: Date,
    /// What members hold today.
    pub outstanding: Outstanding,
    /// What all of it is worth in yuan, where the file says what a point is worth.
    pub yuan: Option<String>,
    /// What will be there at the end of the next months; empty with too little history.
    pub forecast: Vec<Forecast>,
    /// What was forecast for the months of the past, where that was asked for.
    pub backtest: Option<Vec<Checked>>,
    /// What is to be known of these numbers.
    pub notes: Vec<String>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Months to forecast, this one included.
    pub months: usize,
    /// Whether to see how good past forecasts would have been.
    pub backtest: bool,
}

/// What members hold on these days, by campaign.
///
/// # Errors
/// The store's.
pub fn outstanding(reader: &dyn Reader, today: &HashMap<CampaignId, Day>) -> Result<HashMap<CampaignId, Outstanding>, StoreError> {
    let (mut all, mut after) = (HashMap::<CampaignId, Outstanding>::new(), AccountId(0));
    loop {
        let cells = reader.accounts(after, PAGE)?;
        let Some(last) = cells.last() else { return Ok(all) };
        after = last.id;
        for cell in &cells {
            if let Some(day) = today.get(&cell.key.campaign) {
                all.entry(cell.key.campaign).or_default().add(cell, *day);
            }
        }
    }
}

impl Outstanding {
    fn add(&mut self, cell: &AccountCell, day: Day) {
        let spendable = cell.state.spendable(day);
        let pending: i64 = cell.state.pending(day).iter().map(|(_, amount)| *amount).sum();
        let holds = spendable.max(0) + pending + cell.held;
        self.available = self.available.saturating_add(spendable.max(0));
        self.pending = self.pending.saturating_add(pending);
        self.held = self.held.saturating_add(cell.held);
        self.owed = self.owed.saturating_add(spendable.min(0).saturating_neg());
        self.total = self.total.saturating_add(holds);
        self.members += u64::from(holds > 0);
        for lot in cell.state.lots.iter().filter(|lot| lot.amount > 0 && !lot.is_gone(day)) {
            let month = lot.expires_on.map_or_else(|| "never".to_owned(), |gone_on| gone_on.plus(-1).date().strftime("%Y-%m").to_string());
            let sum = self.by_expiry.entry(month).or_default();
            *sum = sum.saturating_add(lot.amount);
        }
    }
}

/// What a campaign owes, and will owe.
pub fn liability(corp: &Arc<str>, campaign: &Campaign, today: Day, outstanding: Outstanding, flows: &Flows, request: Request) -> Liability {
    let mut notes = Vec::new();
    let mut ends = vec![month_end(today)];
    while ends.len() < request.months {
        let next = month_end(ends[ends.len() - 1].plus(1));
        ends.push(next);
    }
    ends.truncate(request.months);
    // Today is not over: what the books say of yesterday is whole.
    let known = today.plus(-1);
    let made = if ends.is_empty() { Some(Vec::new()) } else { forecast(flows, known, &ends) };
    if made.is_none() {
        notes.push(format!("满 {WEEKS_MIN} 周的记录才能预测,现在有 {} 天", flows.first().map_or(0, |first| (known.0 - first.0 + 1).max(0))));
    }
    // The books hold what is owed against what is there.
    let owed = outstanding.owed;
    let whole = |made: Forecast| Forecast {
        low: made.low.saturating_add(owed).max(0),
        likely: made.likely.saturating_add(owed).max(0),
        high: made.high.saturating_add(owed).max(0),
        ..made
    };
    let checked = request.backtest.then(|| backtest(flows, known));
    if checked.as_ref().is_some_and(Vec::is_empty) {
        notes.push("还没有可以对照的月份:至少要有 8 周的记录,再过完一个整月".to_owned());
    }
    if campaign.point_value.is_none() {
        notes.push(format!("想看金额,就在 [campaign.{}] 里写 point_value = \"0.01\"(一积分值多少元)", campaign.id));
    }
    Liability {
        corp: corp.clone(),
        campaign: campaign.id.clone(),
        title: campaign.title.clone(),
        on: today.date(),
        yuan: campaign.point_value.map(|value| yuan(outstanding.total, value)),
        outstanding,
        forecast: made.unwrap_or_default().into_iter().map(whole).collect(),
        backtest: checked,
        notes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cells::{AccountState, Lot};
    use crate::model::decision::Chart;
    use crate::rules::file::load;

    #[test]
    fn what_members_hold_is_told_by_when_it_may_be_spent_and_when_it_goes() {
        let lot = |vests: Option<i32>, gone: Option<i32>, amount: i64| Lot { vests_on: vests.map(Day), expires_on: gone.map(Day), amount };
        let account = |lots: Vec<Lot>, held: i64| AccountCell { held, state: AccountState { lots, codes: Vec::new() }, ..AccountCell::default() };
        let mut all = Outstanding::default();
        // Day 20453 is 2025-12-31.
        all.add(&account(vec![lot(None, Some(20_454), 10), lot(Some(20_450), Some(20_470), 5), lot(None, None, 100)], 7), Day(20_440));
        all.add(&account(vec![lot(None, None, -30)], 0), Day(20_440));
        all.add(&account(vec![lot(None, Some(20_440), 9)], 0), Day(20_440));
        assert_eq!((all.total, all.available, all.pending, all.held, all.owed, all.members), (122, 110, 5, 7, 30, 1));
        let by_expiry: Vec<(&str, i64)> = all.by_expiry.iter().map(|(month, points)| (month.as_str(), *points)).collect();
        assert_eq!(by_expiry, [("2025-12", 10), ("2026-01", 5), ("never", 100)]);
    }

    #[test]
    fn months_end_with_their_last_day_and_too_little_history_is_told() {
        let (rules, _) = load("check_in.daily = { keywords = [\"签到\"], points = 2 }\ncampaign.main.point_value = \"0.05\"").expect("good rules");
        let mut flows = Flows::default();
        let today = Day::of(jiff::civil::date(2026, 11, 22));
        (1..=40).for_each(|back| flows.book(today.plus(-back), Chart::Issued, 10, None));
        let held = Outstanding { total: 400, available: 400, ..Outstanding::default() };
        let made = liability(&"acme".into(), &rules.campaigns[0], today, held, &flows, Request { months: 3, backtest: true });
        assert_eq!(made.forecast.iter().map(|month| month.on.to_string()).collect::<Vec<_>>(), ["2026-11-30", "2026-12-31", "2027-01-31"]);
        assert_eq!(made.forecast.iter().map(|month| month.likely).collect::<Vec<_>>(), [490, 800, 1_110], "10 a day");
        assert_eq!((made.yuan.as_deref(), made.notes.len(), made.backtest), (Some("20.00"), 1, Some(Vec::new())));
        let none = liability(&"acme".into(), &rules.campaigns[0], today, Outstanding::default(), &Flows::default(), Request { months: 3, backtest: false });
        assert!(none.forecast.is_empty() && none.notes[0].contains("满 4 周"), "{:?}", none.notes);
    }
}
