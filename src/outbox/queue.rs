//! The outbox's queue: lanes of replies, what is due now, what is closed without a request. A state machine without IO; time comes in.
//!
//! A lane is one destination: a group where the bot can speak, else one person; in order, one request in flight. Answers that are
//! told together leave their lane for [`Digests`], and come back to it as one digest. A lane with work is in exactly one place: `ready`, `resting`
//! (after a retry), held at its API's gate (while the circuit is open), or flying.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::model::day::{Day, Millis};
use crate::model::ids::{CorpName, ReplyId};
use crate::outbox::Voice;
use crate::outbox::circuit::{Circuit, Contact, is_resting};
use crate::outbox::closings::{CLOSINGS_A_SETTLE, Closing, Closings};
use crate::outbox::digest::{self, Digests};
use crate::outbox::lanes::{LaneKey, Lanes};
use crate::outbox::manners::Room;
use crate::outbox::pace::{Once, Pace};
use crate::outbox::route::Way;
use crate::store::{RETRIED, ReplyOutcome, ReplyRow, ReplyState};

/// Open rows in RAM, some 100 bytes each: ten minutes of answers at 300 a second.
pub const OPEN_MAX: usize = 200_000;
/// Unasked ones among them: in a long outage they must not take the room of those who ask.
pub const UNASKED_MAX: usize = OPEN_MAX / 2;
/// Open rows of one lane: more than one person or group can be told in ten minutes.
pub const LANE_MAX: usize = 1_000;
/// Requests in flight: enough for several hundred a second at WeCom's pace, few enough for its rate limits.
pub const IN_FLIGHT_MAX: usize = 32;
/// Seconds an asked answer lives.
pub const ASKED_SECS: i64 = 600;
/// Seconds after which an unasked answer that may have arrived is not said once more: by then it is no news.
const REPEAT_UNASKED_SECS: i64 = 180;
/// Seconds after which the day of an unasked answer is over in every calendar; when it is said until then is for [`super::manners`].
pub const UNASKED_SECS: i64 = 86_400 + 3_600;
/// Seconds between two looks for rows that grew too old behind an open circuit.
const SWEEP_SECS: i64 = 3;
/// Lanes looked at in one sweep and in one call of [`Queue::due`]: bounds how long the lock is held.
const VISITS_MAX: usize = 2_000;
const LANE_FULL: &str = "这个会话待发的回复太多,没有发送";

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
    /// It was sent before and nobody knows what became of it.
    pub repeats: bool,
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
    /// Nobody knows what became of it; it is sent once more.
    Repeat {
        /// Seconds its lane rests.
        after_secs: i64,
    },
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
    /// See [`Pick::repeats`].
    repeats: bool,
}

/// The first of `waiting` is under way while `flies`.
#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Item>,
    flies: bool,
}

impl Lane {
    /// Who asked does not wait behind what nobody asked for and cannot be said now: brings the first asked answer to the front.
    fn lets_pass(&mut self) -> bool {
        let Some(asked) = self.waiting.iter().position(|item| item.asked).filter(|place| *place > 0) else { return false };
        self.waiting.remove(asked).into_iter().for_each(|item| self.waiting.push_front(item));
        true
    }
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

/// The queue.
#[derive(Debug)]
pub struct Queue {
    keys: Lanes,
    lanes: HashMap<LaneKey, Lane>,
    ready: VecDeque<LaneKey>,
    resting: BTreeSet<(Millis, LaneKey)>,
    gates: Vec<Gate>,
    pace: Pace,
    once: Once,
    digests: Digests,
    closings: Closings,
    open: usize,
    in_flight: usize,
    swept_at: Millis,
    held: bool,
}

impl Queue {
    /// An empty queue for corps that speak so.
    pub fn new(voices: &HashMap<CorpName, Voice>) -> Self {
        let keys = Lanes::new(voices);
        Queue {
            gates: std::iter::repeat_with(Gate::default).take(keys.gates as usize).collect(),
            keys,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            resting: BTreeSet::new(),
            pace: Pace::default(),
            once: Once::default(),
            digests: Digests::default(),
            closings: Closings::default(),
            open: 0,
            in_flight: 0,
            swept_at: Millis(0),
            held: false,
        }
    }

    fn gate(&mut self, lane: LaneKey) -> &mut Gate {
        &mut self.gates[lane.gate as usize]
    }

    /// Holds everything back, or lets it go again. What is held grows old.
    ///
    /// Says how it was before.
    pub fn hold(&mut self, held: bool) -> bool {
        std::mem::replace(&mut self.held, held)
    }

    /// Takes a committed reply in; one that is here already is passed over. Over the bounds it is closed as expired.
    pub fn push(&mut self, row: &ReplyRow) {
        match row.state {
            ReplyState::Waiting => {}
            // Claimed for a way on which WeCom drops repetitions.
            ReplyState::Sending if row.reason.as_deref().is_some_and(Way::claim_may_repeat) => {}
            ReplyState::Sending => return self.closings.close(Closing::in_doubt(row)),
            ReplyState::Sent | ReplyState::Refused | ReplyState::Unknown | ReplyState::Expired | ReplyState::Suppressed => return,
        }
        let expired = |reason: &'static str| Closing { id: row.id, state: ReplyState::Expired, tries: row.tries, reason: reason.into() };
        if self.is_full() || (!row.reply.asked && self.open >= UNASKED_MAX) {
            return self.closings.close(expired("待发的回复太多,没有发送"));
        }
        let key = self.keys.of(row);
        if !self.has_room(key, row.reply.asked) {
            return self.closings.close(expired(LANE_FULL));
        }
        let lane = self.lanes.entry(key).or_default();
        let is_new = lane.waiting.is_empty();
        let repeats = row.state == ReplyState::Sending;
        let place = lane.waiting.partition_point(|item| item.id < row.id).max(usize::from(lane.flies));
        if [0, place].iter().any(|&at| lane.waiting.get(at).is_some_and(|item| item.id == row.id)) {
            return;
        }
        // What an operator wants sent again is neither said before nor too much; nor is what went out already, perhaps.
        let admitted = repeats || row.reason.as_deref() == Some(RETRIED);
        let item = Item { id: row.id, created_at: row.created_at, asked: row.reply.asked, tries: row.tries, admitted, is_digest: false, repeats };
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
        self.closings.close(Closing { id: item.id, state: ReplyState::Expired, tries: item.tries, reason: LANE_FULL.into() });
        true
    }

    /// Notes what a row of before the start says was said already: what is said once, and the digests of a group's day.
    pub fn remember(&mut self, row: &ReplyRow, day: Day) {
        self.once.admits(row);
        if let Some(name) = row.reason.as_deref().and_then(digest::name_in) {
            let lane = self.keys.of(row);
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
                if lane.lets_pass() {
                    self.ready.push_back(pick.lane);
                } else {
                    self.resting.insert((now.plus_secs(after_secs), pick.lane));
                }
            }
            Finish::Repeat { after_secs } => {
                lane.waiting.front_mut().into_iter().for_each(|item| item.repeats = true);
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
            self.closings
                .close(Closing { id: pick.id, state: ReplyState::Expired, tries: pick.tries, reason: "这个群等着播报的太多,没有播报".into() });
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
        self.closings.to_write()
    }

    /// Forgets the first rows of [`Queue::closings_to_write`] after they were written.
    pub fn closings_written(&mut self, count: usize) {
        self.closings.written(count);
    }

    /// Brings digests that are due to their lanes, behind what waits there.
    fn raise_digests(&mut self, now: Millis) {
        for key in self.digests.due(now) {
            let lane = self.lanes.entry(key).or_default();
            let id = lane.waiting.back().map_or(ReplyId(0), |last| last.id);
            let item = Item { id, created_at: now, tries: 0, asked: false, admitted: true, is_digest: true, repeats: false };
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
        let held = self.held;
        let gate = self.gate(key);
        if held || !gate.circuit.allows(now) {
            gate.held.push_back(key);
            return None;
        }
        let mut lane = self.lanes.remove(&key)?;
        while let Some(item) = lane.waiting.front() {
            if let Some((state, reason)) = stale(item, now) {
                let closed = Closing { id: item.id, state, tries: item.tries, reason: reason.into() };
                lane.waiting.pop_front();
                self.open -= 1;
                self.closings.close(closed);
                continue;
            }
            let pick = Pick { lane: key, id: item.id, tries: item.tries, what: self.what(item, key, now), repeats: item.repeats };
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

    /// Closes what is too old in a lane, at most so many. Whether anything is left of the lane.
    fn drop_stale(&mut self, key: LaneKey, room: &mut usize, now: Millis) -> bool {
        let Some(mut lane) = self.lanes.remove(&key) else { return false };
        lane.waiting.retain(|item| {
            let Some((state, reason)) = stale(item, now).filter(|_| *room > 0) else { return true };
            self.closings.close(Closing { id: item.id, state, tries: item.tries, reason: reason.into() });
            *room -= 1;
            self.open -= 1;
            false
        });
        let is_left = !lane.waiting.is_empty();
        if is_left {
            self.lanes.insert(key, lane);
        }
        is_left
    }
}

/// Whether a row is too old to be said, or to be said once more.
fn stale(item: &Item, now: Millis) -> Option<(ReplyState, &'static str)> {
    let age_over = |secs| now >= item.created_at.plus_secs(secs);
    match (item.repeats, item.asked) {
        (true, true) if age_over(ASKED_SECS) => Some((ReplyState::Unknown, "可能已经发出,十分钟内没能再发一次")),
        (true, false) if age_over(REPEAT_UNASKED_SECS) => Some((ReplyState::Unknown, "可能已经发出,三分钟内没能再发一次")),
        (false, true) if age_over(ASKED_SECS) => Some((ReplyState::Expired, "十分钟内没能发出")),
        (false, false) if age_over(UNASKED_SECS) && !item.is_digest => Some((ReplyState::Suppressed, "当天没能播报")),
        (true | false, true | false) => None,
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
