//! Answering 「亲密度」: on which days the asker earned by what, read from the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::cells::AccountCell;
use crate::model::day::{Calendar, Day};
use crate::model::decision::Args;
use crate::model::journal::AccountRef;
use crate::outbox::gather::Question;
use crate::rules::affinity::in_words;
use crate::rules::board::TITLE_CODES;
use crate::store::StoreError;

/// Steps along an account's own chain of events: the busiest talker's two weeks, and some tens of milliseconds.
const STEPS_MAX: usize = 2_000;

/// The kinds of rule that paid, by day.
type Earned = BTreeMap<Day, BTreeSet<Arc<str>>>;

impl Question<'_> {
    /// The arguments of the temperature's text; none where it is not switched on.
    pub(super) fn warmth(&self) -> Result<Args, StoreError> {
        let (Some(campaign), Some(affinity)) = (self.campaign(), &self.rules.affinity) else { return Ok(Args::default()) };
        let today = campaign.calendar.day(self.now);
        let first = today.plus(1 - affinity.days);
        let account = self.asker()?.and_then(|asker| asker.account);
        let earned = account.map(|account| self.earned(&account, &campaign.calendar, first)).transpose()?.unwrap_or_default();
        let temperature = affinity.temperature(today, &earned);
        let args = Args::default().int("温度", temperature).text("冷暖", in_words(temperature));
        Ok(args.int("天数", i64::from(affinity.days)).int("活跃", earned.len() as i64))
    }

    /// By which kinds of rule an account earned since a day, what was taken back left out.
    fn earned(&self, account: &AccountCell, calendar: &Calendar, first: Day) -> Result<Earned, StoreError> {
        let own = AccountRef::Member(account.id);
        let mut nets: BTreeMap<(Day, Arc<str>), i64> = BTreeMap::new();
        let mut next = Some(account.last_event);
        for _ in 0..STEPS_MAX {
            let Some(seq) = next.filter(|seq| seq.0 > 0) else { break };
            let Some(event) = self.reader.event(seq)? else { break };
            // What was heard before that day was not earned on it; one day more for a platform's fast clock.
            if calendar.day(event.received_at) < first.plus(-1) {
                break;
            }
            for posting in self.reader.postings_of(seq)? {
                let change =
                    i64::from(posting.dst == own && posting.earns()) * posting.amount - i64::from(posting.src == own && posting.unearns()) * posting.amount;
                if posting.day >= first && !posting.code.starts_with(TITLE_CODES) {
                    *nets.entry((posting.day, kind(&posting.code))).or_default() += change;
                }
            }
            next = event.prev;
        }
        let mut earned = Earned::new();
        for ((day, kind), _) in nets.into_iter().filter(|(_, net)| *net > 0) {
            earned.entry(day).or_default().insert(kind);
        }
        Ok(earned)
    }
}

/// The kind of rule a ledger code is of.
fn kind(code: &str) -> Arc<str> {
    code.split('.').next().unwrap_or(code).into()
}
