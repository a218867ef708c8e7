//! Waiting events: what was parked or failed, under which key it is decided again once, and what that made of it.

use std::sync::Arc;

use super::{Reader, StoreError};
use crate::model::decision::Outcome;
use crate::model::ids::{CorpName, EventKey, EventSeq, KeyBytes};
use crate::model::journal::EventRow;

/// The word in the journal for an event that decides another one again.
pub const UNPARKED: &str = "unparked";

const PREFIX: &str = "unparked/";

/// Whether an event could not be decided when it came, so that it may be decided again.
pub fn is_waiting(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Parked(_) | Outcome::Failed(_) => true,
        Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::TwinOf(_) | Outcome::Unparked { .. } => false,
    }
}

/// The key under which a waiting event is decided again: one for each, so that it happens once.
pub fn unparked_key(corp: &CorpName, of: EventSeq) -> EventKey {
    let source: Arc<str> = format!("{PREFIX}{corp}").into();
    EventKey { source, key: KeyBytes::of(&of.to_string()) }
}

/// The key under which a grant that waits for a second operator is looked at: one for each, so that it happens once.
pub fn review_key(corp: &CorpName, of: EventSeq) -> EventKey {
    EventKey { source: format!("{corp}/review").into(), key: KeyBytes::of(&of.to_string()) }
}

/// Whether a key is that of an event which decides another one again.
pub fn is_unparked_source(source: &str) -> bool {
    source.starts_with(PREFIX)
}

/// The event that decided a waiting one again; `None` while it still waits.
///
/// # Errors
/// The store cannot be read.
pub fn unparked(reader: &dyn Reader, of: EventSeq) -> Result<Option<EventRow>, StoreError> {
    let found = reader.find_events(KeyBytes::of(&of.to_string()))?;
    let Some((_, seq)) = found.into_iter().find(|(source, _)| is_unparked_source(source)) else { return Ok(None) };
    reader.event(seq)
}
