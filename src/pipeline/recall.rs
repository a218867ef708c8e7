//! Recalls: a message and its recall find each other by key, whichever arrives first.

use crate::model::event::{Event, Kind};
use crate::model::ids::EventKey;

/// Gives a recall the key of what it takes back, so that one message is taken back once.
pub(super) fn normalise(event: Event) -> Event {
    let key = kept_under(&event);
    Event { key, ..event }
}

/// The key an event is kept under: its own, or for a recall that of what it takes back.
pub fn kept_under(event: &Event) -> EventKey {
    match event.kind {
        Kind::Recalled { of } => EventKey { source: event.key.source.clone(), key: of }.of_recall(),
        Kind::Said(_) | Kind::Did(_) | Kind::Unknown { .. } => event.key.clone(),
    }
}

/// The key of the event that this one must know of: a message's recall, a recall's message.
pub(super) fn counterpart(event: &Event) -> Option<EventKey> {
    match &event.kind {
        Kind::Said(_) => Some(event.key.of_recall()),
        Kind::Recalled { .. } => event.key.recalled(),
        Kind::Did(_) | Kind::Unknown { .. } => None,
    }
}
