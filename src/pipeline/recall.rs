//! Recalls: a message and its recall find each other by key, whichever arrives first.

use std::sync::Arc;

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
        Kind::Recalled { of } => EventKey { source: recalls_of(&event.key.source), key: of },
        Kind::Said(_) | Kind::Joined | Kind::Left | Kind::OrderPaid { .. } | Kind::Happened { .. } | Kind::Unknown { .. } => event.key.clone(),
    }
}

/// The key of the event that this one must know of: a message's recall, a recall's message.
pub(super) fn counterpart(event: &Event) -> Option<EventKey> {
    match &event.kind {
        Kind::Said(_) => Some(EventKey { source: recalls_of(&event.key.source), key: event.key.key }),
        Kind::Recalled { of } => Some(EventKey { source: event.key.source.strip_prefix(PREFIX)?.into(), key: *of }),
        Kind::Joined | Kind::Left | Kind::OrderPaid { .. } | Kind::Happened { .. } | Kind::Unknown { .. } => None,
    }
}

/// The corp of a source (`acme/app/1000002`), a recall's included.
pub(super) fn corp_of(source: &str) -> &str {
    source.strip_prefix(PREFIX).unwrap_or(source).split('/').next().unwrap_or_default()
}

const PREFIX: &str = "recall/";

fn recalls_of(source: &str) -> Arc<str> {
    format!("{PREFIX}{source}").into()
}
