//! Remembering: what the rows of the last day say was said already, read once after a start.
//!
//! What is said once and how many digests a group had today is nowhere stored but in the rows themselves: a reply without a once-key
//! costs nothing more, and the first second of a start pays for it.

use crate::model::day::{Day, Millis};
use crate::model::ids::{EventSeq, ReplyId};
use crate::outbox::desk::{ReaderDesk, event_of};
use crate::outbox::manners::campaign_of;
use crate::store::{REPLIES_PER_EVENT_MAX, ReplyRow, ReplyState, StoreError, reply_id};

/// How far back rows tell after a start what was said already: the longest day, and some.
pub const REMEMBERED_SECS: i64 = 86_400 + 3_600;
/// Newest events looked at for it, a second or two of reading. In a corp with more a day a notice may come twice after a restart.
const REMEMBERED_EVENTS: i64 = 100_000;

/// A reply that was said, or may have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its row.
    pub row: ReplyRow,
    /// Its campaign's day.
    pub day: Day,
}

impl ReaderDesk {
    /// The first event received after an instant, of the newest [`REMEMBERED_EVENTS`].
    pub(super) fn first_event_since(&self, since: Millis) -> Result<EventSeq, StoreError> {
        let newest = self.reader.head()?.event.0;
        let (mut before, mut after) = ((newest - REMEMBERED_EVENTS).max(0), newest + 1);
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let is_early = self.reader.event(EventSeq(middle))?.is_some_and(|event| event.received_at < since);
            if is_early { before = middle } else { after = middle }
        }
        Ok(EventSeq(after))
    }

    pub(super) fn said_among(&mut self, from: ReplyId, limit: usize) -> Result<(Vec<Said>, Option<ReplyId>), StoreError> {
        let ids = self.reader.reply_ids(from, limit)?;
        let mut said = Vec::new();
        let mut events: Vec<EventSeq> = ids.iter().map(|id| event_of(*id)).collect();
        events.dedup();
        for event in events {
            let rows = match self.reader.replies_of(event) {
                Ok(rows) => rows,
                // It is told where the row's turn comes; here it only has nothing to remember.
                Err(StoreError::Corrupt(_)) => continue,
                Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => return Err(error),
            };
            for row in rows.into_iter().filter(|row| row.id >= from && was_said(row)) {
                let Ok(rules) = self.rules(&row)? else { continue };
                let day = campaign_of(&rules, &row).map_or(Day::default(), |campaign| campaign.calendar.day(row.created_at));
                said.push(Said { row, day });
            }
        }
        Ok((said, ids.last().map(|last| reply_id(event_of(*last), REPLIES_PER_EVENT_MAX))))
    }
}

/// Whether it was said, or may have been.
fn was_said(row: &ReplyRow) -> bool {
    matches!(row.state, ReplyState::Sending | ReplyState::Sent | ReplyState::Unknown)
}
