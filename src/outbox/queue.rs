//! The outbox's queue: lanes of replies, what is due now, what is closed without a request. A state machine without IO; time comes in.
//!
//! A lane is one destination: a group where the bot can speak, else one person; in order, one request in flight. Answers that are
//! told together leave their lane for [`Digests`], and come back to it as one digest. A lane with work is in exactly one place: `ready`, `resting`
//! (after a retry), held at its API's gate (while the circuit is open), or flying.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::model::day::{Day, Millis};
use crate::model::ids::{CorpName, ReplyId};
use crate::outbox::Voice;
use crate::outbox::circuit::{Circuit, Contact, is_resting};
use crate::outbox::digest::{self, Digests};
use crate::outbox::manners::Room;
use crate::outbox::pace::{Once, Pace};
use crate::store::{ReplyOutcome, ReplyRow, ReplyState};

/// Open rows in RAM, some 100 bytes each: ten minutes of answers at 300 a second.
pub const OPEN_MAX: usize = 200_000;
/// Unasked ones among them: in a long outage they must not take the room of those who ask.
pub const UNASKED_MAX: usize = OPEN_MAX / 2;
/// Open rows of one lane: more than one person or group can be told in ten minutes.
pub const LANE_MAX: usize = 1_000;
/// Requests in flight: enough for several hundred a second at WeCom's pace, few enough for its rate limits.
pub const IN_FLIGHT_MAX: usize = 32;
/// Rows closed without a request that are written at once.
pub const CLOSINGS_A_SETTLE: usize = 1_000;
/// Seconds an asked answer lives.
pub const ASKED_SECS: i64 = 600;
/// Seconds after which the day of an unasked answer is over in every calendar; when it is said until then is for [`super::manners`].
pub const UNASKED_SECS: i64 = 86_400 + 3_600;
/// Seconds between two looks for rows that grew too old behind an open circuit.
const SWEEP_SECS: i64 = 3;
/// Lanes looked at in one sweep and in one call of [`Queue::due`]: bounds how long the lock is held.
const VISITS_MAX: usize = 2_000;
const LANE_FULL: &str = "这个会话待发的回复太多,没有发送";

/// One destination, by a hash of its corp and chat or member (two that collide only wait for each other), and its API's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    hash: u64,
    gate: u32,
    /// A group hears what is said here.
    is_shared: bool,
}

/// A reply to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Its lane.
    pub lane: LaneKey,
    /// The reply; of a digest nothing but its place in the lane.
    pub id: ReplyId,
    /// Attempts so far.
    pub tries: u32,
    /// What is to be said.
    pub what: What,
}

/// What a pick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// One reply, in such a room.
    One(Room),
    /// All that waits for the lane's digest ([`Queue::speaking`]).
    Digest,
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
    /// It is told together with others, at this instant.
    Gathered(Millis),
}

/// A waiting reply, kept small because there may be [`OPEN_MAX`] of them: its text and destination stay in the store until it is its turn.
#[derive(Debug)]
struct Item {
    id: ReplyId,
    created_at: Millis,
    tries: u32,
    asked: bool,
    /// Pace and once were asked already.
    admitted: bool,
    /// It stands for the lane's digest.
    is_digest: bool,
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
    reason: Cow<'static, str>,
}

/// What the queue knows of a corp.
#[derive(Debug)]
struct Corp {
    /// Corps that share an API address share its circuit.
    gate: u32,
    /// Chats that a robot or an app can speak in. In all others a reply can only go to its member.
    rooms: HashSet<Arc<str>>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    hasher: RandomState,
    corps: HashMap<CorpName, Corp>,
    lanes: HashMap<LaneKey, Lane>,
    ready: VecDeque<LaneKey>,
    resting: BTreeSet<(Millis, LaneKey)>,
    gates: Vec<Gate>,
    pace: Pace,
    once: Once,
    digests: Digests,
    closings: VecDeque<Closing>,
    open: usize,
    in_flight: usize,
    swept_at: Millis,
}

impl Queue {
    /// An empty queue for corps that speak so.
    pub fn new(voices: &HashMap<CorpName, Voice>) -> Self {
        let mut corps = HashMap::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        for (corp, voice) in voices {
            let next = known.len() as u32;
            let gate = *known.entry(&voice.api_base).or_insert(next);
            corps.insert(corp.clone(), Corp { gate, rooms: voice.outlets.rooms().cloned().collect() });
        }
        Queue {
            hasher: RandomState::new(),
            corps,
            // One more gate, for corps that jifen.toml no longer has: their replies are refused for want of a way.
            gates: std::iter::repeat_with(Gate::default).take(known.len() + 1).collect(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeSet::new(),
            pace: Pace::default(),
            once: Once::default(),
            digests: Digests::default(),
            closings: VecDeque::new(),
            open: 0,
            in_flight: 0,
            swept_at: Millis(0),
        }
    }

    fn lane_of(&self, row: &ReplyRow) -> LaneKey {
        let corp = self.corps.get(&row.corp);
        let answers_here = |chat: &&Arc<str>| row.destination.reply_url.is_some() || corp.is_some_and(|corp| corp.rooms.contains(*chat));
        let chat = row.destination.chat.as_ref().filter(answers_here);
        let hash = self.hasher.hash_one((&row.corp, chat, row.destination.to.as_ref().filter(|_| chat.is_none())));
        LaneKey { hash, gate: corp.map_or(self.gates.len() as u32 - 1, |corp| corp.gate), is_shared: chat.is_some() }
    }

    fn gate(&mut self, lane: LaneKey) -> &mut Gate {
        &mut self.gates[lane.gate as usize]
    }

    /// Takes a committed reply in. Over the bounds it is closed as expired.
    pub fn push(&mut self, row: &ReplyRow) {
        match row.state {
            ReplyState::Waiting => {}
            ReplyState::Sending => return self.close(in_doubt(row)),
            ReplyState::Sent | ReplyState::Refused | ReplyState::Unknown | ReplyState::Expired | ReplyState::Suppressed => return,
        }
        let expired = |reason| Closing { id: row.id, state: ReplyState::Expired, tries: row.tries, reason: Cow::Borrowed(reason) };
        if self.is_full() || (!row.reply.asked && self.open >= UNASKED_MAX) {
            return self.close(expired("待发的回复太多,没有发送"));
        }
        let key = self.lane_of(row);
        if !self.has_room(key, row.reply.asked) {
            return self.close(expired(LANE_FULL));
        }
        let lane = self.lanes.entry(key).or_default();
        let is_new = lane.waiting.is_empty();
        let place = lane.waiting.partition_point(|item| item.id < row.id).max(usize::from(lane.flies));
        let item = Item { id: row.id, created_at: row.created_at, asked: row.reply.asked, tries: row.tries, admitted: false, is_digest: false };
        lane.waiting.insert(place, item);
        self.open += 1;
        if is_new {
            self.ready.push_back(key);
        }
    }

    /// Whether a lane can take one more; who asks takes the place of the newest that nobody asked for.
    fn has_room(&mut self, key: LaneKey, asked: bool) -> bool {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.waiting.len() >= LANE_MAX) else { return true };
        let first = usize::from(lane.flies);
        let newest = lane.waiting.iter().skip(first).rposition(|item| !item.asked && !item.is_digest);
        let Some(item) = newest.filter(|_| asked).and_then(|place| lane.waiting.remove(first + place)) else { return false };
        self.open -= 1;
        self.close(Closing { id: item.id, state: ReplyState::Expired, tries: item.tries, reason: LANE_FULL.into() });
        true
    }

    /// Notes what a row of before the start says was said already: what is said once, and the digests of a group's day.
    pub fn remember(&mut self, row: &ReplyRow, day: Day) {
        self.once.admits(row);
        if let Some(name) = row.reason.as_deref().and_then(digest::name_in) {
            let lane = self.lane_of(row);
            self.digests.admits(lane, day, name);
        }
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
        self.raise_digests(now);
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
        self.gate(pick.lane).circuit.learn(contact, now);
        let Some(lane) = self.lanes.get_mut(&pick.lane) else { return };
        lane.flies = false;
        match finish {
            Finish::Again { after_secs, tries } => {
                lane.waiting.front_mut().into_iter().for_each(|item| item.tries = tries);
                self.resting.insert((now.plus_secs(after_secs), pick.lane));
            }
            Finish::Closed => {
                self.leave(pick.lane);
                self.open -= match pick.what {
                    What::One(_) => 1,
                    What::Digest => self.digests.told(pick.lane),
                };
            }
            Finish::Gathered(due) => {
                self.leave(pick.lane);
                match pick.what {
                    What::One(_) => self.gather(pick, due),
                    What::Digest => self.digests.put_off(pick.lane, due),
                }
            }
        }
    }

    /// The first of a lane is done with it.
    fn leave(&mut self, key: LaneKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.waiting.pop_front();
        if lane.waiting.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.ready.push_back(key);
        }
    }

    fn gather(&mut self, pick: &Pick, due: Millis) {
        if !self.digests.gather(pick.lane, pick.id, due) {
            self.open -= 1;
            self.close(Closing { id: pick.id, state: ReplyState::Expired, tries: pick.tries, reason: "这个群等着播报的太多,没有播报".into() });
        }
    }

    /// Whether a reply that could be written may be said: what is said once is not said again. If so it counts in its lane's pace.
    pub fn admits(&mut self, pick: &Pick, row: &ReplyRow, now: Millis) -> bool {
        let item = self.lanes.get_mut(&pick.lane).and_then(|lane| lane.waiting.front_mut());
        let Some(item) = item.filter(|item| !item.admitted) else { return true };
        item.admitted = self.once.admits(row);
        if item.admitted && !item.asked {
            self.pace.note(pick.lane, now);
        }
        item.admitted
    }

    /// The replies that a picked digest tells, ascending.
    pub fn speaking(&mut self, pick: &Pick, now: Millis) -> Vec<ReplyId> {
        self.digests.speaking(pick.lane, now)
    }

    /// Whether a picked digest of this name fits into the group's day; if so it counts.
    pub fn admits_digest(&mut self, pick: &Pick, day: Day, name: &str) -> bool {
        self.digests.admits(pick.lane, day, name)
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

    /// Brings digests that are due to their lanes, behind what waits there.
    fn raise_digests(&mut self, now: Millis) {
        for key in self.digests.due(now) {
            let lane = self.lanes.entry(key).or_default();
            let id = lane.waiting.back().map_or(ReplyId(0), |last| last.id);
            let item = Item { id, created_at: now, tries: 0, asked: false, admitted: true, is_digest: true };
            lane.waiting.push_back(item);
            if lane.waiting.len() == 1 {
                self.ready.push_back(key);
            }
        }
    }

    fn wake_rested(&mut self, now: Millis) {
        while self.resting.first().is_some_and(|(until, _)| !is_resting(now, *until)) {
            self.ready.extend(self.resting.pop_first().map(|(_, key)| key));
        }
    }

    /// Lets all held lanes go where the circuit is closed again, and one as a probe where a pause is over.
    fn open_gates(&mut self, now: Millis) {
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
        let gate = self.gate(key);
        if !gate.circuit.allows(now) {
            gate.held.push_back(key);
            return None;
        }
        let mut lane = self.lanes.remove(&key)?;
        while let Some(item) = lane.waiting.front() {
            if let Some((state, reason)) = stale(item, now) {
                let closed = Closing { id: item.id, state, tries: item.tries, reason: reason.into() };
                lane.waiting.pop_front();
                self.open -= 1;
                self.close(closed);
                continue;
            }
            let pick = Pick { lane: key, id: item.id, tries: item.tries, what: self.what(item, key, now) };
            self.gate(key).circuit.begin();
            self.lanes.insert(key, Lane { flies: true, ..lane });
            return Some(pick);
        }
        None
    }

    fn what(&self, item: &Item, lane: LaneKey, now: Millis) -> What {
        if item.is_digest {
            return What::Digest;
        }
        let crowded = !item.asked && !item.admitted && (self.digests.is_open(lane) || self.pace.is_full(lane, now));
        What::One(Room { shared: lane.is_shared, crowded })
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
            let closed = Closing { id: item.id, state, tries: item.tries, reason: reason.into() };
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
        ReplyOutcome { id: self.id, state: self.state, tries: self.tries, reason: Some(Arc::from(&*self.reason)) }
    }
}

/// A row whose request was under way when the daemon died; of a digest it still tells which.
fn in_doubt(row: &ReplyRow) -> Closing {
    const DOUBT: &str = "重启前可能已经发出,没有再发";
    let name = row.reason.as_deref().and_then(digest::name_in);
    let reason = name.map_or(Cow::Borrowed(DOUBT), |name| digest::reason(name, DOUBT).into());
    Closing { id: row.id, state: ReplyState::Unknown, tries: row.tries, reason }
}

/// Whether a row is too old to be said.
fn stale(item: &Item, now: Millis) -> Option<(ReplyState, &'static str)> {
    let age_over = |secs| now >= item.created_at.plus_secs(secs);
    match item.asked {
        true if age_over(ASKED_SECS) => Some((ReplyState::Expired, "十分钟内没能发出")),
        false if age_over(UNASKED_SECS) && !item.is_digest => Some((ReplyState::Suppressed, "当天没能播报")),
        true | false => None,
    }
}

#[cfg(test)]
impl LaneKey {
    /// Some lane of the first API.
    pub const fn numbered(hash: u64) -> Self {
        LaneKey { hash, gate: 0, is_shared: true }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
