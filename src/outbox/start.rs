//! Starting: what was said before, so that it is not said again, then what is still to be said.

use std::sync::Arc;

use super::{Ledger, Outbox};
use crate::model::ids::{EventSeq, ReplyId};
use crate::outbox::desk::Desk;
use crate::outbox::send::Sender;
use crate::store::{RETRIED, ReplyOutcome, ReplyRow, ReplyState};

/// Rows read at once when the daemon starts.
const LOAD_ROWS: usize = 1_000;

/// Which open rows are read from the store.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// Those up to this event: later ones come through the inbox.
    UpTo(EventSeq),
    /// Those that an operator wants sent again.
    Retried,
}

impl Load {
    fn takes(self, row: &ReplyRow) -> bool {
        match self {
            Load::UpTo(last) => row.event <= last,
            Load::Retried => row.state == ReplyState::Waiting && row.reason.as_deref() == Some(RETRIED),
        }
    }
}

impl<S: Sender, L: Ledger, D: Desk> Outbox<S, L, D> {
    /// Notes what was said before the start, so that it is not said again. If that cannot be read, a thing may be said twice.
    pub(super) async fn remember(&self) {
        let now = self.clock.now();
        let mut next = self.at_desk(move |desk| desk.remembers_from(now).map(Some)).await.and_then(|first| first);
        while let Ok(Some(from)) = next {
            next = self.at_desk(move |desk| desk.said(from, LOAD_ROWS)).await.and_then(|read| read).map(|(said, next)| {
                let mut queue = self.inbox.queue();
                said.iter().for_each(|said| queue.remember(&said.row, said.day));
                next
            });
        }
        if let Err(error) = next {
            tracing::warn!(error, "读不到重启前说过什么,个别只说一次的话可能再说一次");
        }
    }

    /// Reads open rows: at the start those from before, later those that an operator wants sent again.
    pub(super) async fn load(self: Arc<Self>, wanted: Load) {
        let mut from = ReplyId(0);
        loop {
            let opened = match self.at_desk(move |desk| desk.open(from, LOAD_ROWS)).await.and_then(|read| read) {
                Ok(opened) => opened,
                Err(error) => return tracing::error!(error, "读不到重启前没发完的回复,它们会等到下次启动"),
            };
            let (mut old, mut broken, mut newest) = (Vec::new(), Vec::new(), None);
            for one in opened {
                newest = Some(one.as_ref().map_or_else(|(id, _)| *id, |row| row.id));
                match one {
                    Ok(row) if wanted.takes(&row) => old.push(*row),
                    Ok(_) => {}
                    Err((id, reason)) => broken.push(ReplyOutcome { id, state: ReplyState::Refused, tries: 0, reason: Some(reason.into()) }),
                }
            }
            let Some(newest) = newest else { return };
            from = ReplyId(newest.0 + 1);
            self.inbox.push(&old);
            self.settle_surely(broken).await;
        }
    }
}
