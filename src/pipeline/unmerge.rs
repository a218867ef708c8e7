//! A merge taken back: the ids lead to the first member again, and its accounts hold what they held then and what those ids have earned since.
//! What was spent since stays with the second, which may owe points for it then; what has expired since is not brought back.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::cells::{AccountCell, AccountKey, CodeState, Lot, Occurrence};
use crate::model::day::{Day, Millis};
use crate::model::decision::{Deed, Part, Record};
use crate::model::ids::{AccountId, CorpName, EventKey, EventSeq, IdentityId, KeyBytes};
use crate::model::journal::{AccountRef, Posting};
use crate::store::{Past, Store, StoreError};

use super::merge::{Moved, Occasion, SOURCE, Transfer, both, refuse};
use super::working::Working;

/// Most events of one account looked through since the merge: some years of the busiest talker, and a bound on one transaction.
const EVENTS_MAX: usize = 200_000;

/// A merge to take back.
#[derive(Debug, Clone)]
pub struct Unmerge {
    /// The corp it was in.
    pub corp: CorpName,
    /// The event that merged: what `jifen merge` printed.
    pub merge: EventSeq,
    /// When.
    pub at: Millis,
}

/// An account of the first member and what the second got from it.
struct Pair {
    from: AccountId,
    into: AccountId,
    /// What went over, as it lay there.
    moved: Vec<Moved>,
    /// Points ever earned that went with it.
    lifetime: i64,
    /// What each remembered before.
    from_codes: Vec<(Arc<str>, CodeState)>,
    into_codes: Vec<(Arc<str>, CodeState)>,
    /// The event by which it came.
    arrived: EventSeq,
}

/// What belongs to whom of what happened to an account since a merge.
struct Split<'i> {
    /// The ids that go back.
    ids: &'i HashSet<IdentityId>,
    /// What the one who goes remembers.
    from: AccountCell,
    /// What the one who stays remembers.
    into: AccountCell,
    /// What was merged; where it is known, what the one who goes did since is kept out of what the one who stays remembers.
    pair: Option<&'i Pair>,
    /// What the first member's ids have earned, by bucket.
    earned: Vec<Lot>,
    /// They did something.
    is_active: bool,
}

impl Working<'_> {
    /// Takes a merge back; answers with the event that says so.
    pub(super) fn unmerge<S: Store>(&mut self, store: &mut S, unmerge: &Unmerge) -> Result<EventSeq, StoreError> {
        let merge = unmerge.merge;
        let head = self.past(store, merge)?.ok_or_else(|| refuse(format!("没有第 {merge} 号事件")))?;
        let Some(Deed::Merged { from, into, identities }) = head.row.record.deed.clone() else {
            return Err(refuse(format!("第 {merge} 号事件不是一次合并;合并时 jifen merge 说过它的号")));
        };
        let key = KeyBytes::digest(format!("unmerge/{merge}").as_bytes());
        let known = EventKey { source: format!("{}/{SOURCE}", unmerge.corp).into(), key };
        if let Some(seq) = store.admit(std::slice::from_ref(&known))?[0].or_else(|| self.unmerged(&known)) {
            return Err(refuse(format!("第 {merge} 号事件的合并已经撤销过了(第 {seq} 号事件)")));
        }
        let rows = self.identities_of(store, into)?;
        let back: Vec<_> = rows.into_iter().filter(|row| identities.contains(&row.id)).collect();
        if back.len() != identities.len() || back.iter().any(|row| row.corp != unmerge.corp) {
            return Err(refuse("那次合并以后,合成的人又并到了别人那里(或不在这个企业);请先撤销后来的那一次".to_owned()));
        }
        let ids: HashSet<IdentityId> = identities.iter().copied().collect();
        let pairs = self.pairs(store, merge)?;
        let cells = self.accounts_of(store, into)?;
        self.accounts_of(store, from)?;
        let at = cells.iter().map(|cell| cell.frontier).fold(unmerge.at, Millis::max);
        let occasion = Occasion { corp: unmerge.corp.clone(), at, received_at: unmerge.at, kind: "unmerged", by: EventSeq(self.batch.head.event.0 + 1) };
        let identity = head.row.identity.or_else(|| identities.first().copied()).unwrap_or_default();
        let by = self.say(&occasion, key, Some(identity), Deed::Unmerged { merge });
        for cell in cells {
            let pair = pairs.iter().find(|pair| pair.into == cell.id);
            let since = self.since(store, cell.last_event, pair.map_or(merge, |pair| pair.arrived))?;
            let mut split = Split::new(&cell, pair, &ids);
            self.gather(store, cell.id, since, true, &mut split)?;
            if pair.is_some() || split.is_active {
                self.part(&occasion, &cell, split, AccountKey { member: from, ..cell.key }, identity);
            }
        }
        self.lead(back, from, None);
        Ok(by)
    }

    fn unmerged(&self, key: &EventKey) -> Option<EventSeq> {
        self.batch.events.iter().find(|event| event.key == *key).map(|event| event.row.seq)
    }

    /// The accounts that a merge moved: the events behind the one that says so.
    fn pairs<S: Store>(&self, store: &mut S, merge: EventSeq) -> Result<Vec<Pair>, StoreError> {
        let mut pairs: Vec<Pair> = Vec::new();
        let (mut seq, mut waiting) = (merge, None::<Past>);
        loop {
            seq = EventSeq(seq.0 + 1);
            let Some(past) = self.past(store, seq)? else { return Ok(pairs) };
            let Some(Deed::Transferred { by, out, .. }) = past.row.record.deed else { return Ok(pairs) };
            if by != merge {
                return Ok(pairs);
            }
            match (out, waiting.take()) {
                (true, _) => waiting = Some(past),
                (false, Some(gone)) => pairs.extend(pair(&gone, &past)),
                (false, None) => return Ok(pairs),
            }
        }
    }

    /// What an account's history up to `last` holds behind an event, oldest first.
    fn since<S: Store>(&self, store: &mut S, last: EventSeq, after: EventSeq) -> Result<Vec<Past>, StoreError> {
        let (mut since, mut next) = (Vec::new(), Some(last));
        while let Some(seq) = next.filter(|seq| *seq > after) {
            if since.len() == EVENTS_MAX {
                return Err(refuse(format!("合并以后已经有超过 {EVENTS_MAX} 个事件,太多了,不能撤销")));
            }
            let past = self.past(store, seq)?.ok_or_else(|| refuse(format!("账户的历史断在事件 {seq};请运行 jifen verify")))?;
            next = past.row.prev;
            since.push(past);
        }
        since.reverse();
        Ok(since)
    }

    /// Says of what happened to an account to whom it belongs: each event to the person whose id it came by. `own` is the account that is
    /// parted; another one is looked through for what these ids did while it held theirs.
    fn gather<S: Store>(&self, store: &mut S, account: AccountId, since: Vec<Past>, own: bool, split: &mut Split<'_>) -> Result<(), StoreError> {
        for past in since {
            let row = &past.row;
            if let Some(Deed::Transferred { by, other, out }) = row.record.deed {
                let merge = self.past(store, by)?.and_then(|past| past.row.record.deed);
                if own && split.pair.is_some() {
                    self.follow(store, &mut split.into, &row.record, row.seq, matches!(merge, Some(Deed::Merged { .. })) && !out)?;
                }
                if let (Some(Deed::Unmerged { merge }), false) = (merge, out) {
                    // The account was another's for a while. What it got back went out there with the event before.
                    let there = self.since(store, EventSeq(row.seq.0 - 1), merge)?;
                    self.gather(store, other, there, false, split)?;
                }
                continue;
            }
            let is_from = row.identity.is_some_and(|id| split.ids.contains(&id));
            let occurrence = Occurrence { seq: row.seq, at: row.at, day: row.day };
            split.is_active |= is_from;
            let record = Record { repair: None, ..row.record.clone() };
            if is_from {
                split.from.apply(occurrence, &record, &[]);
            } else if own && split.pair.is_some() {
                split.into.apply(occurrence, &record, &[]);
            }
            for posting in &past.postings {
                let owner = match posting.slot_event.filter(|message| *message != row.seq) {
                    Some(message) => self.past(store, message)?.and_then(|message| message.row.identity),
                    None => row.identity,
                };
                if owner.is_some_and(|id| split.ids.contains(&id)) {
                    earn(&mut split.earned, posting, account);
                    split.is_active = true;
                }
            }
        }
        Ok(())
    }

    /// Another merge since, or the end of one: what came with it stays with who stays.
    fn follow<S: Store>(&self, store: &mut S, into: &mut AccountCell, record: &Record, seq: EventSeq, came_in: bool) -> Result<(), StoreError> {
        let gone = if came_in { self.past(store, EventSeq(seq.0 - 1))? } else { None };
        match gone.and_then(|gone| gone.row.record.snapshot) {
            Some(snapshot) => into.state.codes = both(&into.state.codes, &snapshot.codes),
            None => into.state.codes = record.repair.as_ref().map(|repair| repair.restated.clone()).unwrap_or_default(),
        }
        Ok(())
    }

    fn part(&mut self, occasion: &Occasion, cell: &AccountCell, split: Split<'_>, key: AccountKey, identity: IdentityId) {
        let pair = split.pair;
        let today = self.day(cell.key.campaign, occasion.at);
        let there = cell.state.joined(today);
        let mut wanted = Vec::new();
        split.earned.iter().for_each(|lot| add(&mut wanted, joined(*lot, today)));
        pair.iter().flat_map(|pair| &pair.moved).filter(|moved| moved.part == Part::Available).for_each(|moved| add(&mut wanted, joined(moved.lot, today)));
        let held: i64 = pair.iter().flat_map(|pair| &pair.moved).filter(|moved| moved.part == Part::Held).map(|moved| moved.lot.amount).sum();
        let still_held = held.min(cell.held).max(0);
        add(&mut wanted, Lot { expires_on: None, vests_on: None, amount: held - still_held });
        let wanted = unexpired(wanted, &there, today);
        let mut taken: Vec<Moved> = take(&there, &wanted).into_iter().map(|lot| Moved { part: Part::Available, lot }.back()).collect();
        let mut given: Vec<Moved> = wanted.into_iter().map(|lot| Moved { part: Part::Available, lot }).collect();
        let hold = Moved { part: Part::Held, lot: Lot { expires_on: None, vests_on: None, amount: still_held } };
        taken.push(hold.back());
        given.push(hold);
        let lifetime = pair.map_or(0, |pair| pair.lifetime) + split.earned.iter().map(|lot| lot.amount).sum::<i64>();
        let from = self.open(key);
        debug_assert!(pair.is_none_or(|pair| pair.from == from.id), "a pair is of one campaign and group");
        let out = Transfer { key: cell.key, other: from.id, identity, out: true, moved: taken, lifetime: -lifetime, codes: split.into.state.codes };
        let back = Transfer { key, other: cell.id, identity, out: false, moved: given, lifetime, codes: split.from.state.codes };
        self.transfer(occasion, out);
        self.transfer(occasion, back);
    }
}

impl<'i> Split<'i> {
    fn new(cell: &AccountCell, pair: Option<&'i Pair>, ids: &'i HashSet<IdentityId>) -> Self {
        let remembers = |codes: &[(Arc<str>, CodeState)]| {
            let mut blank = AccountCell { id: cell.id, key: cell.key, ..AccountCell::default() };
            blank.state.codes = codes.to_vec();
            blank
        };
        Split {
            ids,
            from: remembers(pair.map_or(&[], |pair| &pair.from_codes)),
            into: remembers(pair.map_or(&cell.state.codes, |pair| &pair.into_codes)),
            pair,
            earned: Vec::new(),
            is_active: false,
        }
    }
}

fn pair(gone: &Past, arrived: &Past) -> Option<Pair> {
    let (from, into) = (gone.row.account?, arrived.row.account?);
    let lifetime = |past: &Past| past.row.record.marks.iter().map(crate::model::decision::Mark::lifetime).sum::<i64>();
    let codes = |past: &Past| past.row.record.snapshot.as_ref().map(|state| state.codes.clone()).unwrap_or_default();
    let own = AccountRef::Member(from);
    let moved = gone.postings.iter().map(|posting| {
        let (part, amount) = if posting.src == own { (posting.src_part, posting.amount) } else { (posting.dst_part, -posting.amount) };
        Moved { part, lot: Lot { expires_on: posting.expires_on, vests_on: posting.vests_on, amount } }
    });
    Some(Pair {
        from,
        into,
        moved: moved.collect(),
        lifetime: lifetime(arrived),
        from_codes: codes(gone),
        into_codes: codes(arrived),
        arrived: arrived.row.seq,
    })
}

/// Counts what a posting earned, or took back of what was earned.
fn earn(earned: &mut Vec<Lot>, posting: &Posting, account: AccountId) {
    let own = AccountRef::Member(account);
    let amount = match (posting.dst == own && posting.earns(), posting.src == own && posting.unearns()) {
        (true, _) => posting.amount,
        (false, true) => -posting.amount,
        (false, false) => return,
    };
    add(earned, Lot { expires_on: posting.expires_on, vests_on: posting.vests_on, amount });
}

fn add(lots: &mut Vec<Lot>, lot: Lot) {
    match lots.iter_mut().find(|known| (known.expires_on, known.vests_on) == (lot.expires_on, lot.vests_on)) {
        Some(known) => known.amount += lot.amount,
        None => lots.push(lot),
    }
}

/// A lot as it lies on a day: what has vested by then lies with what always could be spent.
fn joined(lot: Lot, day: Day) -> Lot {
    Lot { vests_on: lot.vests_on.filter(|vests| *vests > day), ..lot }
}

/// What is wanted back without what has expired in the meantime.
fn unexpired(wanted: Vec<Lot>, there: &[Lot], today: Day) -> Vec<Lot> {
    let left = |lot: &Lot| there.iter().filter(|it| (it.expires_on, it.vests_on) == (lot.expires_on, lot.vests_on)).map(|it| it.amount.max(0)).sum::<i64>();
    let is_gone = |lot: &Lot| lot.expires_on.is_some_and(|day| day <= today);
    let kept = wanted.into_iter().map(|lot| if is_gone(&lot) { Lot { amount: lot.amount.min(left(&lot)), ..lot } } else { lot });
    kept.filter(|lot| lot.amount != 0).collect()
}

/// Takes as much as is wanted out of the buckets that are there: from the same ones first, then from those that expire next; what is not
/// there is owed. The sum is that of what is wanted.
fn take(there: &[Lot], wanted: &[Lot]) -> Vec<Lot> {
    let mut left: Vec<Lot> = there.iter().copied().filter(|lot| lot.amount > 0).collect();
    left.sort_by_key(|lot| (lot.expires_on.is_none(), lot.expires_on, lot.vests_on));
    let (mut taken, mut missing) = (Vec::new(), 0_i64);
    for lot in wanted {
        let there = left.iter_mut().find(|it| (it.expires_on, it.vests_on) == (lot.expires_on, lot.vests_on));
        let amount = if lot.amount < 0 { lot.amount } else { there.as_ref().map_or(0, |it| it.amount.min(lot.amount)) };
        there.into_iter().filter(|_| amount > 0).for_each(|it| it.amount -= amount);
        add(&mut taken, Lot { amount, ..*lot });
        missing += lot.amount - amount;
    }
    for lot in &mut left {
        let amount = lot.amount.min(missing);
        missing -= amount;
        add(&mut taken, Lot { amount, ..*lot });
    }
    add(&mut taken, Lot { expires_on: None, vests_on: None, amount: missing });
    taken.retain(|lot| lot.amount != 0);
    taken
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lots() -> impl Strategy<Value = Vec<Lot>> {
        let lot = (prop::option::of(1_i32..5), -20_i64..50).prop_map(|(day, amount)| Lot { expires_on: day.map(Day), vests_on: None, amount });
        prop::collection::vec(lot, 0..6).prop_map(|all| {
            let mut lots = Vec::new();
            all.into_iter().for_each(|lot| add(&mut lots, lot));
            lots.retain(|lot| lot.amount != 0);
            lots
        })
    }

    proptest! {
        #[test]
        fn what_is_taken_sums_to_what_is_wanted_and_owes_only_what_is_not_there(there in lots(), wanted in lots()) {
            let taken = take(&there, &wanted);
            let sum = |lots: &[Lot]| lots.iter().map(|lot| lot.amount).sum::<i64>();
            prop_assert_eq!(sum(&taken), sum(&wanted));
            let have: i64 = there.iter().map(|lot| lot.amount.max(0)).sum();
            let want: i64 = wanted.iter().map(|lot| lot.amount.max(0)).sum();
            let overdrawn: i64 = taken.iter().map(|lot| {
                let there: i64 = there.iter().filter(|it| it.expires_on == lot.expires_on).map(|it| it.amount.max(0)).sum();
                (lot.amount - there).max(0)
            }).sum();
            prop_assert!(overdrawn <= (want - have).max(0), "{taken:?}");
        }
    }
}
