//! Lots: a balance by vesting and expiry. What may be spent is a function of the day; nothing is booked when points vest.
//!
//! A lot is the bucket `(vests_on, expires_on)` its postings carry. Points in it may be spent from the first of these days on, and are gone
//! with the second, whether or not their expiry is booked by then. A lot below zero is a debt (claw-back of what was spent or had expired):
//! it lowers what may be spent whatever its days are, until it is settled.

use super::cells::{AccountState, Lot};
use super::day::Day;

/// So much of one lot: what a posting moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LotPart {
    /// The lot's first day on which it may be spent.
    pub vests_on: Option<Day>,
    /// The lot's first day on which it is gone.
    pub expires_on: Option<Day>,
    /// How many points; more than 0.
    pub amount: i64,
}

impl Lot {
    /// Whether it may be spent on a day.
    pub fn is_live(&self, day: Day) -> bool {
        self.vests_on.is_none_or(|vests| vests <= day) && !self.is_gone(day)
    }

    /// Whether its days are over.
    pub fn is_gone(&self, day: Day) -> bool {
        self.expires_on.is_some_and(|gone| gone <= day)
    }

    /// So much of it.
    pub fn part(&self, amount: i64) -> LotPart {
        LotPart { vests_on: self.vests_on, expires_on: self.expires_on, amount }
    }
}

impl AccountState {
    /// What may be spent on a day, less debts; below zero only where these are larger.
    pub fn spendable(&self, day: Day) -> i64 {
        self.joined(day).iter().filter(|lot| lot.amount < 0 || lot.is_live(day)).map(|lot| lot.amount).sum()
    }

    /// What is booked and may not be spent yet, by the first day on which it may; ascending.
    pub fn pending(&self, day: Day) -> Vec<(Day, i64)> {
        let waits = |lot: &&Lot| lot.amount > 0 && !lot.is_gone(day);
        by_day(self.lots.iter().filter(waits).filter_map(|lot| Some((lot.vests_on.filter(|vests| *vests > day)?, lot.amount))))
    }

    /// What is gone on the days `from..=to` if it is not spent before, by the first day on which it is gone; ascending.
    pub fn expiring(&self, from: Day, to: Day) -> Vec<(Day, i64)> {
        let then = |day: &Day| (from..=to).contains(day);
        by_day(self.joined(from).iter().filter(|lot| lot.amount > 0).filter_map(|lot| Some((lot.expires_on.filter(then)?, lot.amount))))
    }

    /// Which lots pay for something on a day: what is gone soonest first, one part for each lot. `None` when there is too little, or nothing
    /// is to be paid.
    pub fn spend(&self, amount: i64, day: Day) -> Option<Vec<LotPart>> {
        if amount <= 0 || self.spendable(day) < amount {
            return None;
        }
        let mut live = self.joined(day);
        live.retain(|lot| lot.amount > 0 && lot.is_live(day));
        live.sort_by_key(Lot::spending_order);
        let (mut left, mut parts) = (amount, Vec::new());
        for lot in live {
            let taken = left.min(lot.amount);
            if taken > 0 {
                parts.push(lot.part(taken));
            }
            left -= taken;
        }
        (left == 0).then_some(parts)
    }

    /// The lots as they are on a day, those that have vested joined: so it does not matter when they were joined in the account.
    pub fn joined(&self, day: Day) -> Vec<Lot> {
        let mut state = AccountState { lots: self.lots.clone(), codes: Vec::new() };
        state.join_vested(day);
        state.lots
    }

    pub(super) fn add_to_lot(&mut self, vests_on: Option<Day>, expires_on: Option<Day>, amount: i64) {
        let key = (expires_on, vests_on);
        match self.lots.binary_search_by_key(&key, |lot| (lot.expires_on, lot.vests_on)) {
            Ok(at) => {
                self.lots[at].amount += amount;
                if self.lots[at].amount == 0 {
                    self.lots.remove(at);
                }
            }
            Err(at) => self.lots.insert(at, Lot { expires_on, vests_on, amount }),
        }
    }

    /// Lots that have vested by a day become one with those that never waited: else an account that is paid with a hold every day would
    /// keep a lot for each of them.
    pub(super) fn join_vested(&mut self, day: Day) {
        let has_vested = |lot: &Lot| lot.vests_on.is_some_and(|vests| vests <= day);
        if !self.lots.iter().any(has_vested) {
            return;
        }
        let (vested, rest) = std::mem::take(&mut self.lots).into_iter().partition(has_vested);
        self.lots = rest;
        let vested: Vec<Lot> = vested;
        vested.iter().for_each(|lot| self.add_to_lot(None, lot.expires_on, lot.amount));
    }
}

impl Lot {
    /// Sorts what is gone soonest first, what never goes last.
    pub fn spending_order(&self) -> (bool, Option<Day>, Option<Day>) {
        (self.expires_on.is_none(), self.expires_on, self.vests_on)
    }
}

fn by_day(lots: impl Iterator<Item = (Day, i64)>) -> Vec<(Day, i64)> {
    let mut days = std::collections::BTreeMap::<Day, i64>::new();
    for (day, amount) in lots {
        *days.entry(day).or_default() += amount;
    }
    days.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lots: &[(Option<i32>, Option<i32>, i64)]) -> AccountState {
        let mut state = AccountState::default();
        lots.iter().for_each(|(vests, expires, amount)| state.add_to_lot(vests.map(Day), expires.map(Day), *amount));
        state
    }

    fn spent(state: &AccountState, amount: i64, day: i32) -> Option<Vec<(Option<i32>, i64)>> {
        let parts = state.spend(amount, Day(day))?;
        Some(parts.iter().map(|part| (part.expires_on.map(|day| day.0), part.amount)).collect())
    }

    #[test]
    fn points_may_be_spent_from_the_day_they_vest_until_the_day_before_they_are_gone() {
        let state = state(&[(Some(7), Some(30), 200), (None, None, 5)]);
        assert_eq!([6, 7, 29, 30].map(|day| state.spendable(Day(day))), [5, 205, 205, 5]);
        assert_eq!(state.pending(Day(6)), [(Day(7), 200)]);
        assert_eq!(state.pending(Day(7)), []);
        assert_eq!(state.expiring(Day(1), Day(30)), [(Day(30), 200)]);
        assert_eq!(state.expiring(Day(1), Day(29)), []);
    }

    #[test]
    fn what_is_gone_soonest_is_spent_first_and_what_never_goes_last() {
        let state = state(&[(None, None, 5), (None, Some(60), 5), (None, Some(30), 5), (Some(20), Some(25), 5)]);
        assert_eq!(spent(&state, 12, 10), Some(vec![(Some(30), 5), (Some(60), 5), (None, 2)]));
        assert_eq!(spent(&state, 16, 10), None);
        assert_eq!(spent(&state, 20, 20), Some(vec![(Some(25), 5), (Some(30), 5), (Some(60), 5), (None, 5)]));
        assert_eq!((spent(&state, 0, 10), spent(&state, -1, 10)), (None, None));
    }

    #[test]
    fn a_debt_lowers_what_may_be_spent_whatever_its_days_are() {
        for debt in [(None, Some(5), -4), (None, Some(60), -4), (None, None, -4)] {
            let state = state(&[(None, Some(50), 10), debt]);
            assert_eq!((state.spendable(Day(10)), spent(&state, 6, 10), spent(&state, 7, 10)), (6, Some(vec![(Some(50), 6)]), None), "{debt:?}");
        }
        assert_eq!(state(&[(None, Some(5), -4)]).spendable(Day(10)), -4);
    }

    #[test]
    fn vested_lots_become_one() {
        let mut state = state(&[(Some(3), Some(60), 1), (Some(4), Some(60), 2), (Some(5), Some(60), 4), (None, Some(60), 8), (Some(3), None, -8)]);
        state.join_vested(Day(4));
        let lots: Vec<_> = state.lots.iter().map(|lot| (lot.vests_on, lot.expires_on, lot.amount)).collect();
        assert_eq!(lots, [(None, None, -8), (None, Some(Day(60)), 11), (Some(Day(5)), Some(Day(60)), 4)]);
    }
}
