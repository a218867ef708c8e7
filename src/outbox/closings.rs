//! Closings: rows that are done with although no request was made, kept until they are written, many in one settle.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::ids::ReplyId;
use crate::outbox::digest;
use crate::store::{ReplyOutcome, ReplyRow, ReplyState};

/// Rows written at once.
pub const CLOSINGS_A_SETTLE: usize = 1_000;
/// Rows kept, as many as may be open.
const CLOSINGS_MAX: usize = 200_000;

/// A row closed without a request.
#[derive(Debug)]
pub struct Closing {
    /// The reply.
    pub id: ReplyId,
    /// Where it stands now.
    pub state: ReplyState,
    /// Attempts so far.
    pub tries: u32,
    /// Why.
    pub reason: Cow<'static, str>,
}

/// Rows closed without a request and not written yet.
#[derive(Debug, Default)]
pub struct Closings(VecDeque<Closing>);

impl Closings {
    /// Notes a row as closed. Beyond `CLOSINGS_MAX` such notes the newest is dropped: its row stays open in the store and
    /// expires when the daemon starts next.
    pub fn close(&mut self, closing: Closing) {
        if self.0.len() < CLOSINGS_MAX {
            self.0.push_back(closing);
        }
    }

    /// How many are not written yet.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all are written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first of them, to be written in one settle.
    pub fn to_write(&self) -> Vec<ReplyOutcome> {
        let count = self.0.len().min(CLOSINGS_A_SETTLE);
        self.0.iter().take(count).map(Closing::outcome).collect()
    }

    /// Forgets the first rows of [`Closings::to_write`] after they were written.
    pub fn written(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }
}

impl Closing {
    /// A row whose request was under way when the daemon died; of a digest it still tells which.
    pub fn in_doubt(row: &ReplyRow) -> Closing {
        const DOUBT: &str = "重启前可能已经发出,没有再发";
        let name = row.reason.as_deref().and_then(digest::name_in);
        let reason = name.map_or(Cow::Borrowed(DOUBT), |name| digest::reason(name, DOUBT).into());
        Closing { id: row.id, state: ReplyState::Unknown, tries: row.tries, reason }
    }

    fn outcome(&self) -> ReplyOutcome {
        ReplyOutcome { id: self.id, state: self.state, tries: self.tries, reason: Some(Arc::from(&*self.reason)) }
    }
}
