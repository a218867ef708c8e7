//! Repairs: what deciding an account's own days again has changed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cells::CodeState;
use super::ids::EventSeq;

/// The account's own days decided again in the order things happened, because this event came late or took a message back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Repair {
    /// The message this event takes back.
    pub takes_back: Option<EventSeq>,
    /// Caps, streaks and recent talk after all days were decided again; replaces the account's.
    pub restated: Vec<(Arc<str>, CodeState)>,
    /// What other messages earn now.
    pub changed: Vec<Changed>,
}

/// A message that earns more or less than was booked for it before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The message.
    pub event: EventSeq,
    /// The rule.
    pub rule: Arc<str>,
    /// Booked before.
    pub was: i64,
    /// Booked now.
    pub now: i64,
}
