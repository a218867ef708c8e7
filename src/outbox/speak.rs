//! Speaking: claims what is to be said, sends it by the best way that is open, and writes down what became of it.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use metrics::counter;

use crate::failpoint;
use crate::model::ids::ReplyId;
use crate::outbox::circuit::Contact;
use crate::outbox::desk::Desk;
use crate::outbox::digest;
use crate::outbox::health::{Hold, Lasts};
use crate::outbox::queue::{Finish, Pick, What};
use crate::outbox::route::Way;
use crate::outbox::send::{Attempt, Delivery, Errand, Sender, deliver};
use crate::outbox::{Ledger, Outbox, again, count};
use crate::store::{ReplyOutcome, ReplyRow, ReplyState};
use crate::wecom::outcome::Trouble;

/// Seconds to wait after the first, second … «come back later» of one reply: three times at once, for most of it is over in a moment,
/// then at leisure. After the last it counts as a refusal.
const RETRY_SECS: [i64; 6] = [1, 2, 4, 30, 60, 120];
/// Seconds a lane rests when there was no connection, the claim could not be written, or whoever was to send it cannot.
pub const PAUSE_SECS: i64 = 1;
/// Longest rest of a lane whose app or robot cannot send, in seconds: what grew too old meanwhile is closed then.
pub const HOLD_SECS_MAX: i64 = 120;
/// The same for what nobody asked for in a group: who asks there meanwhile passes it.
pub const HOLD_UNASKED_SECS: i64 = 5;
/// Seconds until a reply of which nobody knows is sent once more.
pub const REPEAT_SECS: i64 = 3;

/// What goes out, in one message or in several.
pub struct Speech {
    /// The reply; its destination is where it goes.
    pub row: Box<ReplyRow>,
    /// Its ways, best first.
    pub ways: Vec<Way>,
    /// Its texts, in order.
    pub texts: Vec<String>,
    /// The replies it answers: what becomes of it becomes of all of them.
    pub covers: Vec<ReplyId>,
    /// The digest's name, where it is one.
    pub digest: Option<String>,
}

impl Speech {
    /// The same outcome for every reply it covers; what a digest came to names it.
    fn outcomes(&self, state: ReplyState, tries: u32, reason: Option<Arc<str>>) -> Vec<ReplyOutcome> {
        let reason = match (&self.digest, reason) {
            (Some(name), Some(reason)) if state != ReplyState::Waiting => Some(digest::reason(name, &reason).into()),
            (Some(_) | None, reason) => reason,
        };
        self.covers.iter().map(|&id| ReplyOutcome { id, state, tries, reason: reason.clone() }).collect()
    }
}

impl<S: Sender, L: Ledger, D: Desk> Outbox<S, L, D> {
    /// Claims, sends, writes down; or waits, where no way is open.
    pub(super) async fn speak(&self, pick: &Pick, speech: &Speech) -> (Finish, Contact) {
        let Speech { row, ways, texts, .. } = speech;
        let errand = Errand { id: pick.id, corp: &row.corp, destination: &row.destination, asked: row.reply.asked, ways, texts };
        let pass = match self.warden.choose(&errand) {
            Ok(pass) => pass,
            Err(hold) => return self.hold(pick, speech, hold).await,
        };
        self.waits().remove(&pick.id);
        let begins_with = (!pick.repeats).then(|| ways[pass.place()].claim(texts).into());
        if let Err(error) = self.ledger.settle(speech.outcomes(ReplyState::Sending, pick.tries, begins_with)).await {
            tracing::warn!(error, reply.id = pick.id.0, "没能登记要发的回复,先不发");
            return again(pick.tries);
        }
        if pick.repeats {
            counter!("jifen_outbox_repeats_total").increment(1);
        }
        failpoint::hit("outbox.leased");
        let delivery = deliver(&self.sender, &self.warden, &errand, pass).await;
        self.conclude(pick, speech, delivery).await
    }

    /// Nothing can be sent just now: the row waits and says why, without a try used up.
    async fn hold(&self, pick: &Pick, speech: &Speech, hold: Hold) -> (Finish, Contact) {
        let after_secs = match hold.lasts {
            Lasts::Secs(secs) if is_announcement(&speech.row) => secs.min(HOLD_UNASKED_SECS),
            Lasts::Secs(secs) | Lasts::Stopped(secs) => secs.min(HOLD_SECS_MAX),
            Lasts::Gone => return self.close(pick, &speech.covers, ReplyState::Refused, hold.reason).await,
        };
        self.waits().insert(pick.id, hold.reason.clone());
        // A row that may be sent once more stays as it was claimed: else a crash would forget that it was sent before.
        if !pick.repeats && speech.row.reason.as_ref() != Some(&hold.reason) {
            let waiting = speech.outcomes(ReplyState::Waiting, pick.tries, Some(hold.reason));
            if let Err(error) = self.ledger.settle(waiting).await {
                tracing::warn!(error, reply.id = pick.id.0, "没能写下一条回复为什么在等");
            }
        }
        (Finish::Again { after_secs, tries: pick.tries }, Contact::Untried)
    }

    async fn conclude(&self, pick: &Pick, speech: &Speech, delivery: Delivery) -> (Finish, Contact) {
        let (contact, way) = (delivery.attempt.contact(), delivery.way);
        match judge(pick, delivery) {
            Judgement::Repeat => (Finish::Repeat { after_secs: REPEAT_SECS }, contact),
            Judgement::Settle { state, tries, reason, finish } => {
                failpoint::hit("outbox.before_mark");
                self.settle_surely(speech.outcomes(state, tries, Some(reason))).await;
                failpoint::hit("outbox.after_mark");
                count(state, way, speech.covers.len());
                (finish, contact)
            }
        }
    }

    /// A reply that expired while its app or robot could not send says so.
    pub(super) fn tell_why_it_waited(&self, closing: &mut ReplyOutcome) {
        if let (Some(why), Some(closed)) = (self.waits().get(&closing.id), &closing.reason) {
            closing.reason = Some(format!("{closed}:{why}").into());
        }
    }

    pub(super) fn waits(&self) -> MutexGuard<'_, HashMap<ReplyId, Arc<str>>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_announcement(row: &ReplyRow) -> bool {
    !row.reply.asked && row.destination.chat.is_some()
}

/// What a delivery makes of the replies it answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// They stay as they were claimed, to be sent once more.
    Repeat,
    /// This is written down.
    Settle { state: ReplyState, tries: u32, reason: Arc<str>, finish: Finish },
}

/// A missing connection uses no attempt up, nor does an app or robot that cannot send: the row waits until it expires.
pub(super) fn judge(pick: &Pick, delivery: Delivery) -> Judgement {
    let (tries, tried) = (pick.tries, pick.tries + 1);
    let closed = |state, reason| Judgement::Settle { state, tries: tried, reason, finish: Finish::Closed };
    let again = |after_secs, tries, reason| Judgement::Settle { state: ReplyState::Waiting, tries, reason, finish: Finish::Again { after_secs, tries } };
    match delivery.attempt {
        Attempt::Sent => closed(ReplyState::Sent, delivery.way.into()),
        Attempt::Repeatable(_) if !pick.repeats && matches!(pick.what, What::One(_)) => Judgement::Repeat,
        Attempt::Unknown(reason) | Attempt::Repeatable(reason) => closed(ReplyState::Unknown, reason),
        // What became of it the first time is still unknown.
        Attempt::Refused(reason) | Attempt::TooLong(reason) if pick.repeats => closed(ReplyState::Unknown, reason),
        Attempt::Retry { reason, .. } | Attempt::Held { reason, .. } | Attempt::Unreachable(reason) if pick.repeats => closed(ReplyState::Unknown, reason),
        Attempt::Refused(reason) | Attempt::TooLong(reason) | Attempt::Held { trouble: Trouble::Gone, reason } => closed(ReplyState::Refused, reason),
        Attempt::Held { reason, .. } | Attempt::Unreachable(reason) => again(PAUSE_SECS, tries, reason),
        Attempt::Retry { after_secs, reason } => match RETRY_SECS.get(tries as usize) {
            Some(secs) => again(after_secs.max(*secs), tried, reason),
            None => closed(ReplyState::Refused, format!("试了 {tried} 次:{reason}").into()),
        },
    }
}
