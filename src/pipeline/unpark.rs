//! Deciding again what waited. A parked or failed event stays as it is; a second event (`unparked`) carries its decision, at its own time
//! and in its own place: it goes the way of any late message, and its postings name the first event. No rule knows of it.
//!
//! It is kept under a key of its own ([`unparked_key`]), so it happens once. Deciding that fails again writes nothing, and may be tried again.

use std::sync::Arc;

use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::decision::{Decision, Outcome, Parking};
use crate::model::event::{Event, Kind, Via};
use crate::model::ids::{CorpName, EventKey, EventSeq};
use crate::model::journal::EventRow;
use crate::rules::Prepared;
use crate::rules::campaign::Rules;
use crate::rules::coverage::{Coverage, covers};
use crate::store::waiting::{is_waiting, unparked, unparked_key};
use crate::store::{Directory, Past, Reader, Store, StoreError};

use super::working::Working;
use super::{Pipeline, Work};

/// Waiting events looked at in one go: bounds how long the reader's thread is kept, and how many wait in the writer's queue.
const PAGE: usize = 64;

/// A waiting event, to be decided again.
#[derive(Debug)]
pub struct Unpark {
    /// The event.
    pub of: EventSeq,
    /// The same as it happened, heard under the live rules; `received_at` is now.
    pub prepared: Prepared,
}

impl Unpark {
    /// The key of the event that carries the decision.
    pub(super) fn key(&self) -> EventKey {
        unparked_key(&self.prepared.event.corp, self.of)
    }

    /// Whether the event really waits: what was decided once must never be paid again.
    pub(super) fn is_due<S: Store>(&self, store: &mut S) -> Result<bool, StoreError> {
        Ok(store.past(self.of)?.is_some_and(|past| is_waiting(&past.row.record.outcome)))
    }
}

/// What came of deciding a waiting event again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unparked {
    /// It is decided now, by this event.
    Now(EventSeq),
    /// It was decided again before.
    Before,
    /// The group's name is still not known; nothing was written.
    StillUnknown,
    /// It failed again, for this reason; nothing was written.
    Failed(String),
}

impl<S: Store> Pipeline<S> {
    /// Decides a waiting event again, alone in its transaction. `event` is what [`recollect`] gave.
    ///
    /// # Errors
    /// See [`Pipeline::run`]; that deciding fails is no error.
    pub fn unpark(&mut self, of: EventSeq, event: Event) -> Result<Unparked, StoreError> {
        let prepared = self.prepare(&self.rules(), event);
        match self.attempt(&[Work::Unpark(Box::new(Unpark { of, prepared }))], None) {
            Ok(done) if done[0].known => Ok(Unparked::Before),
            Ok(done) if done[0].seq == EventSeq(0) => Ok(Unparked::StillUnknown),
            Ok(done) => Ok(Unparked::Now(done[0].seq)),
            Err(StoreError::Corrupt(reason)) => Ok(Unparked::Failed(reason)),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Err(error),
        }
    }
}

/// Says in a decision whose it is.
pub(super) fn sign(decision: &mut Decision, of: EventSeq) {
    decision.entries.iter_mut().filter(|entry| entry.slot_event.is_none()).for_each(|entry| entry.slot_event = Some(of));
    let alone = decision.record.outcome == Outcome::DecidedAlone;
    if alone || decision.record.outcome == Outcome::Decided {
        decision.record.outcome = Outcome::Unparked { of, alone };
    }
}

impl Working<'_> {
    /// The event whose decision stands for a message: its own, or the one that decided it again.
    pub(super) fn decided<S: Store>(&self, store: &mut S, corp: &CorpName, message: EventSeq) -> Result<Option<Past>, StoreError> {
        let Some(past) = self.past(store, message)? else { return Ok(None) };
        if !is_waiting(&past.row.record.outcome) {
            return Ok(Some(past));
        }
        let key = unparked_key(corp, message);
        let known = match self.booked.get(&key) {
            Some(seq) => Some(*seq),
            None => store.admit(std::slice::from_ref(&key))?[0],
        };
        known.map_or(Ok(Some(past)), |seq| self.past(store, seq))
    }
}

/// Why a waiting event cannot be decided again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Its text was erased.
    #[error("原文已按保留期限删除,无法再判定")]
    Erased,
    /// No rule looks at events of this kind.
    #[error("没有规则会看这一类事件,不用再判定")]
    Idle,
}

/// A committed event as it happened, its text opened again. Its answer is not sent any more.
///
/// # Errors
/// The store cannot be read. [`Lost`] if there is nothing to decide.
pub fn recollect(reader: &dyn Reader, row: &EventRow, directory: &Directory, now: Millis) -> Result<Result<Event, Lost>, StoreError> {
    let missing = |what: &str| StoreError::Corrupt(format!("事件 {} 没有{what}。请运行 jifen verify", row.seq));
    let key = reader.key_of(row.seq, row.record.order)?.ok_or_else(|| missing("消息编号"))?;
    let kind = match &*row.kind {
        "said" => match reader.contents(row.seq)?.and_then(|json| serde_json::from_slice(&json).ok()) {
            Some(said) => Kind::Said(said),
            None => return Ok(Err(Lost::Erased)),
        },
        "recalled" => Kind::Recalled { of: key.key },
        "joined" => Kind::Did(Act::Joined),
        "left" => Kind::Did(Act::Left),
        "happened" => match reader.contents(row.seq)?.and_then(|json| serde_json::from_slice(&json).ok()) {
            Some(act) => Kind::Did(act),
            None => return Ok(Err(Lost::Erased)),
        },
        _ => return Ok(Err(Lost::Idle)),
    };
    let identity = row.identity.map(|id| reader.identity(id)).transpose()?.flatten();
    Ok(Ok(Event {
        corp: key.corp().into(),
        key,
        at: row.at,
        received_at: now,
        clamped: false,
        place: directory.place(row.group).ok_or_else(|| missing("群"))?,
        who: identity.map(|row| row.identity),
        name: None,
        via: Via::default(),
        kind,
    }))
}

/// Parked events that can be decided by now.
pub struct Page {
    /// Them, oldest first.
    pub events: Vec<(EventSeq, Event)>,
    /// Where to go on; `None` at the end.
    pub next: Option<EventSeq>,
}

/// Looks through the parked events from `from` on for such whose group is known by now, or no longer asked for by its name.
///
/// # Errors
/// The store cannot be read.
pub fn resolved(reader: &dyn Reader, rules: &Arc<Rules>, from: EventSeq, now: Millis) -> Result<Page, StoreError> {
    let rows = reader.waiting(from, PAGE)?;
    let directory = reader.directory()?;
    let mut events = Vec::new();
    for row in rows.iter().filter(|row| row.record.outcome == Outcome::Parked(Parking::GroupUnknown)) {
        let Some((corp, place)) = corp_of(row, &directory).zip(directory.place(row.group)) else { continue };
        let known = |name: &str| directory.groups.iter().any(|((other, _), group)| other == corp && group.title.as_deref() == Some(name));
        if covers(rules, &place, None, &known) == Coverage::Unresolved || unparked(reader, row.seq)?.is_some() {
            continue;
        }
        if let Ok(event) = recollect(reader, row, &directory, now)? {
            events.push((row.seq, event));
        }
    }
    let next = rows.last().filter(|_| rows.len() == PAGE).map(|row| EventSeq(row.seq.0 + 1));
    Ok(Page { events, next })
}

fn corp_of<'d>(row: &EventRow, directory: &'d Directory) -> Option<&'d CorpName> {
    directory.groups.iter().find(|(_, group)| group.id == row.group).map(|((corp, _), _)| corp)
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;

    use super::*;
    use crate::model::event::{Identity, IdentityKind, Place, Said};
    use crate::model::ids::{FingerprintKey, KeyBytes};
    use crate::pipeline::Silent;
    use crate::rules::file;
    use crate::store::memory::MemoryStore;

    fn check_in() -> Event {
        Event {
            key: EventKey { source: "acme/app/1000002".into(), key: KeyBytes::of("7") },
            corp: "acme".into(),
            at: Millis(1_794_791_000_000),
            received_at: Millis(1_794_791_000_000),
            clamped: false,
            place: Place::Single,
            who: Some(Identity { kind: IdentityKind::Userid, value: "aming".into() }),
            name: None,
            via: Via::default(),
            kind: Kind::Said(Said { text: "签到".into(), ..Said::default() }),
        }
    }

    #[test]
    fn a_message_that_could_not_be_decided_is_paid_when_it_is_tried_again() {
        let store = MemoryStore::default();
        let reader = store.reader();
        let (rules, _) = file::load("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n").expect("good rules");
        let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(Arc::new(rules))), FingerprintKey::new(b"test"), Box::new(Silent));
        let prepared = pipeline.prepare(&pipeline.rules(), check_in());
        pipeline.attempt(&[Work::Hear(Box::new(prepared))], Some("panic: a bug".into())).expect("memory writes");
        let row = reader.event(EventSeq(1)).expect("memory reads").expect("it is kept");
        assert_eq!(row.record.outcome, Outcome::Failed("panic: a bug".into()));
        assert!(resolved(&reader, &pipeline.rules(), EventSeq(1), row.at).expect("memory reads").events.is_empty(), "a bug does not mend itself");

        let event = recollect(&reader, &row, &reader.directory().expect("memory reads"), row.at.plus_secs(60)).expect("memory reads").expect("it is whole");
        assert_eq!((&event.key, &event.place, &event.who, event.at), (&check_in().key, &check_in().place, &check_in().who, check_in().at));
        assert_eq!(pipeline.unpark(EventSeq(1), event).expect("memory writes"), Unparked::Now(EventSeq(2)));
        let postings = reader.postings_of(EventSeq(2)).expect("memory reads");
        assert_eq!(postings.iter().map(|posting| (posting.slot_event, posting.amount)).collect::<Vec<_>>(), [(Some(EventSeq(1)), 2)]);
    }
}
