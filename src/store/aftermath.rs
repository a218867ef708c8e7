//! Aftermath: what later events changed of an earlier one — a message that came late moved a bonus, a recall took points back.

use std::sync::Arc;

use super::waiting::{is_waiting, unparked};
use super::{Reader, StoreError};
use crate::model::ids::EventSeq;
use crate::model::journal::EventRow;

/// How far an account's history is walked back: the bound within which days are decided again, and some.
const STEPS_MAX: usize = 4_000;

/// What became of a message after it was decided.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aftermath {
    /// It was taken back.
    pub taken_back: bool,
    /// Points now booked for it, by rule, where they differ from its own verdicts.
    pub now: Vec<(Arc<str>, i64)>,
    /// It was parked or failed, and this event decided it later: its verdicts stand there.
    pub unparked: Option<Box<EventRow>>,
}

impl Aftermath {
    /// Points booked for a rule now, given what its own verdict booked.
    pub fn points(&self, rule: &str, booked: i64) -> i64 {
        self.now.iter().find(|(code, _)| **code == *rule).map_or(booked, |(_, now)| *now)
    }

    /// The event on which the message's verdicts stand: itself, or the one that decided it later.
    pub fn decided<'e>(&'e self, event: &'e EventRow) -> &'e EventRow {
        self.unparked.as_deref().unwrap_or(event)
    }

    /// In words; empty when nothing changed.
    pub fn in_words(&self) -> String {
        match (self.taken_back, self.now.is_empty()) {
            (true, true) => "已撤回".into(),
            (true, false) => "已撤回,积分已退回".into(),
            (false, true) => String::new(),
            (false, false) => {
                let points: i64 = self.now.iter().map(|(_, now)| now).sum();
                format!("后来有消息晚到或被撤回,重新判定为 {points:+}")
            }
        }
    }
}

/// What later events of the same account changed of this one.
///
/// # Errors
/// The store cannot be read.
pub fn aftermath(reader: &dyn Reader, event: &EventRow) -> Result<Aftermath, StoreError> {
    let unparked = if is_waiting(&event.record.outcome) { unparked(reader, event.seq)? } else { None };
    let mut aftermath = Aftermath { unparked: unparked.map(Box::new), ..Aftermath::default() };
    let decided = aftermath.decided(event).clone();
    let account = decided.account.map(|id| reader.account(id)).transpose()?.flatten();
    let mut next = account.map(|account| account.last_event).filter(|_| decided.record.is_stateful());
    for _ in 0..STEPS_MAX {
        let Some(seq) = next.filter(|seq: &EventSeq| *seq > decided.seq) else { break };
        let Some(later) = reader.event(seq)? else { break };
        next = later.prev;
        let Some(repair) = &later.record.repair else { continue };
        aftermath.taken_back |= repair.takes_back == Some(event.seq);
        for changed in repair.changed.iter().filter(|changed| changed.event == event.seq) {
            // Walked newest first: what was said last holds.
            if !aftermath.now.iter().any(|(code, _)| *code == changed.rule) {
                aftermath.now.push((changed.rule.clone(), changed.now));
            }
        }
    }
    Ok(aftermath)
}
