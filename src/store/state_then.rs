//! What an account remembered just after an event: caps used, days in a row. From the snapshot at the beginning of that day, through the only fold.

use super::{Reader, StoreError};
use crate::model::cells::{AccountCell, AccountState, Occurrence};
use crate::model::journal::EventRow;

/// How far an account's history is walked back: no day of one person has more.
const STEPS_MAX: usize = 4_000;

/// The state of an event's account just after it, as it was known then; the balance's lots are not in it. `None` for an event that changed no
/// account, or too far from a snapshot.
///
/// # Errors
/// The store cannot be read.
pub fn state_then(reader: &dyn Reader, event: &EventRow) -> Result<Option<AccountState>, StoreError> {
    if event.account.is_none() || !event.record.is_stateful() {
        return Ok(None);
    }
    let mut days = vec![event.clone()];
    while let Some(first) = days.last().filter(|first| first.record.snapshot.is_none() && first.prev.is_some_and(|seq| seq.0 > 0)) {
        let before = first.prev.map(|seq| reader.event(seq)).transpose()?.flatten();
        let Some(before) = before.filter(|_| days.len() < STEPS_MAX) else { return Ok(None) };
        days.push(before);
    }
    let snapshot = days.last().and_then(|first| first.record.snapshot.as_deref()).cloned();
    let mut cell = AccountCell { state: snapshot.unwrap_or_default(), ..AccountCell::default() };
    for event in days.iter().rev() {
        cell.apply(Occurrence { seq: event.seq, at: event.at, day: event.day }, &event.record, &[]);
    }
    Ok(Some(cell.state))
}
