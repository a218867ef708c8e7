//! The outbox's queue: lanes of replies, what is due now, what is closed without a request. A state machine without IO; time comes in.
//!
//! A lane is one destination: in order, one request in flight. A lane with work is in exactly one place: `ready`, `resting`
//! (after a retry), held at its API's gate (while the circuit is open), or flying.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::model::day::Millis;
use crate::model::ids::{CorpName, ReplyId};
use crate::outbox::circuit::{Circuit, Contact, is_resting};
use crate::outbox::pace::{Once, Pace};
use crate::store::{RETRIED, ReplyOutcome, ReplyRow, ReplyState};

/// Open rows in RAM, some 100 bytes each: ten minutes of answers at 300 a second.
pub const OPEN_MAX: usize = 200_000;
/// Open rows of one lane: more than one person or group can be told in ten minutes.
pub const LANE_MAX: usize = 1_000;
/// Requests in flight: enough for several hundred a second at WeCom's pace, few enough for its rate limits.
pub const IN_FLIGHT_MAX: usize = 32;
/// Rows closed without a request that are written at once.
pub const CLOSINGS_A_SETTLE: usize = 1_000;
/// Seconds an asked answer lives.
pub const ASKED_SECS: i64 = 600;
/// Seconds after which an unasked answer is not worth saying any more.
pub const UNASKED_SECS: i64 = 180;
/// Seconds between two looks for rows that grew too old behind an open circuit.
const SWEEP_SECS: i64 = 3;
/// Lanes looked at in one sweep and in one call of [`Queue::due`]: bounds how long the lock is held.
const VISITS_MAX: usize = 2_000;

/// One destination, by a hash of its corp and chat or member (two that collide only wait for each other), and its API's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    hash: u64,
    gate: usize,
}

/// A reply to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its lane.
    pub lane: LaneKey,
    /// The reply.
    pub id: ReplyId,
    /// Attempts so far.
    pub tries: u32,
}

/// What becomes of a picked reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is done with.
    Closed,
    /// It waits again.
    Again {
        /// Seconds its lane rests.
        after_secs: i64,
        /// Attempts so far.
        tries: u32,
    },
}

/// A waiting reply, kept small because there may be [`OPEN_MAX`] of them: its text and destination stay in the store until it is its turn.
#[derive(Debug)]
struct Item {
    id: ReplyId,
    created_at: Millis,
    once: Option<NonZeroU64>,
    tries: u32,
    asked: bool,
    /// Pace and once were asked already.
    admitted: bool,
}

/// The first of `waiting` is under way while `flies`.
#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Item>,
    flies: bool,
}

impl Default for Lane {
    /// Most lanes hold one reply.
    fn default() -> Self {
        Lane { waiting: VecDeque::with_capacity(1), flies: false }
    }
}

#[derive(Debug, Default)]
struct Gate {
    circuit: Circuit,
    held: VecDeque<LaneKey>,
}

/// A row closed without a request.
#[derive(Debug)]
struct Closing {
    id: ReplyId,
    state: ReplyState,
    tries: u32,
    reason: &'static str,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    hasher: RandomState,
    /// Gate by corp: corps that share an API address share its circuit.
    gates_of: HashMap<CorpName, usize>,
    lanes: HashMap<LaneKey, Lane>,
    ready: VecDeque<LaneKey>,
    resting: BTreeSet<(Millis, LaneKey)>,
    gates: Vec<Gate>,
    pace: Pace,
    once: Once,
    closings: VecDeque<Closing>,
    open: usize,
    in_flight: usize,
    swept_at: Millis,
    held: bool,
}

impl Queue {
    /// An empty queue for corps with these API addresses.
    pub fn new(apis: HashMap<CorpName, Arc<str>>) -> Self {
        let mut gates_of = HashMap::new();
        let mut known: HashMap<Arc<str>, usize> = HashMap::new();
        for (corp, api) in apis {
            let next = known.len();
            gates_of.insert(corp, *known.entry(api).or_insert(next));
        }
        Queue {
            hasher: RandomState::new(),
            gates_of,
            // One more gate, for corps that jifen.toml no longer has: their replies are refused for want of a way.
            gates: std::iter::repeat_with(Gate::default).take(known.len() + 1).collect(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeSet::new(),
            pace: Pace::default(),
            once: Once::default(),
            closings: VecDeque::new(),
            open: 0,
            in_flight: 0,
            swept_at: Millis(0),
            held: false,
        }
    }

    fn lane_of(&self, row: &ReplyRow) -> LaneKey {
        let (chat, to) = (&row.destination.chat, &row.destination.to);
        let hash = self.hasher.hash_one((&row.corp, chat, to.as_ref().filter(|_| chat.is_none())));
        LaneKey { hash, gate: self.gates_of.get(&row.corp).copied().unwrap_or(self.gates.len() - 1) }
    }

    /// Holds everything back, or lets it go again. What is held grows old.
    ///
    /// Says how it was before.
    pub fn hold(&mut self, held: bool) -> bool {
        std::mem::replace(&mut self.held, held)
    }

    /// Takes a committed reply in; one that is here already is passed over. Over the bounds it is closed as expired.
    pub fn push(&mut self, row: &ReplyRow) {
        let closing = |state, reason| Closing { id: row.id, state, tries: row.tries, reason };
        match row.state {
            ReplyState::Waiting => {}
            ReplyState::Sending => return self.close(closing(ReplyState::Unknown, "重启前可能已经发出,没有再发")),
            ReplyState::Sent | ReplyState::Refused | ReplyState::Unknown | ReplyState::Expired | ReplyState::Suppressed => return,
        }
        if self.is_full() {
            return self.close(closing(ReplyState::Expired, "待发的回复太多,没有发送"));
        }
        let key = self.lane_of(row);
        let lane = self.lanes.entry(key).or_default();
        if lane.waiting.len() >= LANE_MAX {
            return self.close(closing(ReplyState::Expired, "这个会话待发的回复太多,没有发送"));
        }
        let is_new = lane.waiting.is_empty();
        let place = lane.waiting.partition_point(|item| item.id < row.id).max(usize::from(lane.flies));
        if [0, place].iter().any(|&at| lane.waiting.get(at).is_some_and(|item| item.id == row.id)) {
            return;
        }
        let admitted = row.tries > 0 || row.reason.as_deref() == Some(RETRIED);
        let item = Item { id: row.id, created_at: row.created_at, asked: row.reply.asked, once: self.once.key(row), tries: row.tries, admitted };
        lane.waiting.insert(place, item);
        self.open += 1;
        if is_new {
            self.ready.push_back(key);
        }
    }

    /// Closes a row that nobody can read.
    pub fn condemn(&mut self, id: ReplyId) {
        self.close(Closing { id, state: ReplyState::Refused, tries: 0, reason: "这条回复在数据库里读不出来了,没有发送" });
    }

    /// Whether there is no room for more rows.
    pub fn is_full(&self) -> bool {
        self.open >= OPEN_MAX
    }

    /// Open rows.
    pub fn depth(&self) -> usize {
        self.open
    }

    /// Whether nothing waits, flies or has to be written.
    pub fn is_idle(&self) -> bool {
        self.open == 0 && self.closings.is_empty()
    }

    /// What to send now, at most one a lane and [`IN_FLIGHT_MAX`] in all. Each must come back by [`Queue::finish`].
    pub fn due(&mut self, now: Millis) -> Vec<Pick> {
        self.wake_rested(now);
        self.open_gates(now);
        self.sweep(now);
        let mut picks = Vec::new();
        for _ in 0..VISITS_MAX {
            if self.in_flight >= IN_FLIGHT_MAX {
                break;
            }
            let Some(key) = self.ready.pop_front() else { break };
            if let Some(pick) = self.visit(key, now) {
                self.in_flight += 1;
                picks.push(pick);
            }
        }
        picks
    }

    /// What became of a picked reply, and what its requests taught us of the API.
    pub fn finish(&mut self, pick: &Pick, finish: Finish, contact: Contact, now: Millis) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.gates[pick.lane.gate].circuit.learn(contact, now);
        let Some(lane) = self.lanes.get_mut(&pick.lane) else { return };
        lane.flies = false;
        match finish {
            Finish::Again { after_secs, tries } => {
                lane.waiting.front_mut().into_iter().for_each(|item| item.tries = tries);
                self.resting.insert((now.plus_secs(after_secs), pick.lane));
            }
            Finish::Closed => {
                lane.waiting.pop_front();
                self.open -= 1;
                if lane.waiting.is_empty() {
                    self.lanes.remove(&pick.lane);
                } else {
                    self.ready.push_back(pick.lane);
                }
            }
        }
    }

    /// How many rows were closed without a request and are not written yet.
    pub fn closings(&self) -> usize {
        self.closings.len()
    }

    /// Rows that were closed without a request, to be written in one settle.
    pub fn closings_to_write(&self) -> Vec<ReplyOutcome> {
        let count = self.closings.len().min(CLOSINGS_A_SETTLE);
        self.closings.iter().take(count).map(Closing::outcome).collect()
    }

    /// Forgets the first rows of [`Queue::closings_to_write`] after they were written.
    pub fn closings_written(&mut self, count: usize) {
        self.closings.drain(..count.min(self.closings.len()));
    }

    fn wake_rested(&mut self, now: Millis) {
        while self.resting.first().is_some_and(|(until, _)| !is_resting(now, *until)) {
            self.ready.extend(self.resting.pop_first().map(|(_, key)| key));
        }
    }

    /// Lets all held lanes go where the circuit is closed again, and one as a probe where a pause is over.
    fn open_gates(&mut self, now: Millis) {
        if self.held {
            return;
        }
        for gate in &mut self.gates {
            if gate.circuit.is_closed() {
                self.ready.append(&mut gate.held);
            } else if gate.circuit.allows(now) {
                gate.held.pop_front().into_iter().for_each(|key| self.ready.push_front(key));
            }
        }
    }

    /// Looks at the lane's first rows: closes what is not to be said, picks the first that is.
    fn visit(&mut self, key: LaneKey, now: Millis) -> Option<Pick> {
        let gate = &mut self.gates[key.gate];
        if self.held || !gate.circuit.allows(now) {
            gate.held.push_back(key);
            return None;
        }
        let mut lane = self.lanes.remove(&key)?;
        while let Some(item) = lane.waiting.front_mut() {
            if let Some((state, reason)) = self.refusal(item, key, now) {
                let closed = Closing { id: item.id, state, tries: item.tries, reason };
                lane.waiting.pop_front();
                self.open -= 1;
                self.close(closed);
                continue;
            }
            let pick = Pick { lane: key, id: item.id, tries: item.tries };
            self.gates[key.gate].circuit.begin();
            self.lanes.insert(key, Lane { flies: true, ..lane });
            return Some(pick);
        }
        None
    }

    /// Why a row is not sent, if it is not.
    fn refusal(&mut self, item: &mut Item, lane: LaneKey, now: Millis) -> Option<(ReplyState, &'static str)> {
        if let Some(stale) = stale(item, now) {
            return Some(stale);
        }
        if std::mem::replace(&mut item.admitted, true) {
            return None;
        }
        if item.once.is_some_and(|key| !self.once.is_new(key)) {
            return Some((ReplyState::Suppressed, "同样的话刚说过,不再重复"));
        }
        (!item.asked && !self.pace.admits(lane, now)).then_some((ReplyState::Suppressed, "一分钟内已播报 5 条"))
    }

    /// Behind a closed gate rows grow old: closes up to [`CLOSINGS_A_SETTLE`] of them every few seconds, so that a dead API
    /// costs the writer next to nothing.
    fn sweep(&mut self, now: Millis) {
        if is_resting(now, self.swept_at.plus_secs(SWEEP_SECS)) {
            return;
        }
        self.swept_at = now;
        let mut room = CLOSINGS_A_SETTLE.saturating_sub(self.closings.len());
        for gate in 0..self.gates.len() {
            for _ in 0..self.gates[gate].held.len().min(VISITS_MAX) {
                let Some(key) = self.gates[gate].held.pop_front() else { break };
                if self.drop_stale(key, &mut room, now) {
                    self.gates[gate].held.push_back(key);
                }
            }
        }
    }

    /// Closes what is too old at the head of a lane. Whether anything is left of the lane.
    fn drop_stale(&mut self, key: LaneKey, room: &mut usize, now: Millis) -> bool {
        let Some(mut lane) = self.lanes.remove(&key) else { return false };
        while *room > 0 {
            let Some(item) = lane.waiting.front() else { return false };
            let Some((state, reason)) = stale(item, now) else { break };
            let closed = Closing { id: item.id, state, tries: item.tries, reason };
            lane.waiting.pop_front();
            *room -= 1;
            self.open -= 1;
            self.close(closed);
        }
        let is_left = !lane.waiting.is_empty();
        if is_left {
            self.lanes.insert(key, lane);
        }
        is_left
    }

    /// Notes a row as closed. Beyond [`OPEN_MAX`] such notes the newest is dropped: its row stays open in the store and
    /// expires when the daemon starts next.
    fn close(&mut self, closing: Closing) {
        if self.closings.len() < OPEN_MAX {
            self.closings.push_back(closing);
        }
    }
}

impl Closing {
    fn outcome(&self) -> ReplyOutcome {
        ReplyOutcome { id: self.id, state: self.state, tries: self.tries, reason: Some(self.reason.into()) }
    }
}

/// Whether a row is too old to be said.
fn stale(item: &Item, now: Millis) -> Option<(ReplyState, &'static str)> {
    let age_over = |secs| now >= item.created_at.plus_secs(secs);
    match item.asked {
        true if age_over(ASKED_SECS) => Some((ReplyState::Expired, "十分钟内没能发出")),
        false if age_over(UNASKED_SECS) => Some((ReplyState::Suppressed, "超过三分钟,不再播报")),
        true | false => None,
    }
}

#[cfg(test)]
impl LaneKey {
    /// Some lane of the first API.
    pub fn numbered(hash: u64) -> Self {
        LaneKey { hash, gate: 0 }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
