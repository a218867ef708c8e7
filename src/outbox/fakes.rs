//! Small fakes for the outbox's tests: rows, a scripted sender.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::model::day::Millis;
use crate::model::decision::Args;
use crate::model::event::{Channel, IdentityKind};
use crate::model::ids::{CorpName, EventSeq, ReplyId, RulesHash};
use crate::model::reply::{Occasion, Once, Reply, Template};
use crate::outbox::route::Way;
use crate::outbox::send::{Attempt, Sender};
use crate::store::{Destination, ReplyRow, ReplyState, reply_id};

/// When the rows were committed.
pub const START: Millis = Millis(1_763_770_000_000);

/// An asked reply of the n-th event to 阿明 in the group `wrGroup`.
pub fn row(event: i64) -> ReplyRow {
    ReplyRow {
        id: id(event),
        event: EventSeq(event),
        corp: "acme".into(),
        rules: RulesHash::default(),
        destination: destination(Channel::Archive, Some("wrGroup"), None),
        reply: Reply { template: Template { occasion: Occasion::Paid, rule: None }, args: Args::default(), asked: true, once: None },
        created_at: START,
        state: ReplyState::Waiting,
        tries: 0,
        reason: None,
    }
}

/// The id of its reply.
pub fn id(event: i64) -> ReplyId {
    reply_id(EventSeq(event), 0)
}

/// To 阿明.
pub fn destination(channel: Channel, chat: Option<&str>, reply_url: Option<&str>) -> Destination {
    Destination {
        chat: chat.map(Into::into),
        customers: false,
        to: Some((IdentityKind::Userid, "aming".into())),
        name: "阿明".into(),
        campaign: Some("main".into()),
        channel,
        channel_name: "".into(),
        reply_url: reply_url.map(Into::into),
    }
}

/// The same in another chat.
pub fn in_chat(mut row: ReplyRow, chat: &str) -> ReplyRow {
    row.destination.chat = Some(chat.into());
    row
}

/// The same caused by another member.
pub fn from_member(mut row: ReplyRow, member: &str) -> ReplyRow {
    row.destination.to = Some((IdentityKind::Userid, member.into()));
    row
}

/// The same, unasked.
pub fn unasked(mut row: ReplyRow) -> ReplyRow {
    row.reply.asked = false;
    row
}

/// The same, said once.
pub fn once(mut row: ReplyRow, name: &str, per_member: bool, slot: i64) -> ReplyRow {
    row.reply.once = Some(Once { name: name.into(), per_member, slot });
    row
}

/// A refusal.
pub fn refused() -> Attempt {
    Attempt::Refused("被拒".into())
}

/// «Later», in a minute.
pub fn retry() -> Attempt {
    Attempt::Retry { after_secs: 60, reason: "太快".into() }
}

/// No connection.
pub fn unreachable() -> Attempt {
    Attempt::Unreachable("连不上".into())
}

/// No answer.
pub fn unknown() -> Attempt {
    Attempt::Unknown("没有回音".into())
}

/// A sender that answers from a script, then with `Sent`, and remembers what it was given.
#[derive(Debug, Default)]
pub struct Script {
    answers: Mutex<VecDeque<Attempt>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// One that answers so.
    pub fn answering(answers: impl IntoIterator<Item = Attempt>) -> Self {
        Script { answers: Mutex::new(answers.into_iter().collect()), sent: Arc::default() }
    }

    /// Where it writes what it was given.
    pub fn log(&self) -> Arc<Mutex<Vec<String>>> {
        self.sent.clone()
    }

    /// What it was given: `way text`.
    pub fn sent(&self) -> Vec<String> {
        self.sent.lock().expect("no panic").clone()
    }
}

impl Sender for Script {
    async fn send(&self, _corp: &CorpName, way: &Way, text: &str, _mark: u64) -> Attempt {
        self.sent.lock().expect("no panic").push(format!("{} {text}", way.as_str()));
        self.answers.lock().expect("no panic").pop_front().unwrap_or(Attempt::Sent)
    }
}
