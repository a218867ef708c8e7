//! Pace and repetition: how many unasked answers a group gets in a minute, and what is said only once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

use crate::model::day::Millis;
use crate::outbox::lanes::LaneKey;
use crate::store::ReplyRow;

/// Unasked answers a minute in one group: more is a flood, and a robot's 20 a minute must keep room for who asks.
pub const UNASKED_A_MINUTE: usize = 5;
const MINUTE_SECS: i64 = 60;
/// Groups whose pace is remembered before quiet ones are forgotten.
const GROUPS_MAX: usize = 10_000;
/// Remembered once-keys: some days of a large programme, 3 MB.
const ONCE_MAX: usize = 100_000;

/// Recent unasked answers by lane.
#[derive(Debug, Default)]
pub struct Pace {
    said: HashMap<LaneKey, VecDeque<Millis>>,
}

impl Pace {
    /// Whether no more unasked answers fit into this lane's minute.
    pub fn is_full(&self, lane: LaneKey, now: Millis) -> bool {
        self.said.get(&lane).is_some_and(|times| times.iter().filter(|time| is_within_minute(**time, now)).count() >= UNASKED_A_MINUTE)
    }

    /// Counts an unasked answer.
    pub fn note(&mut self, lane: LaneKey, now: Millis) {
        if self.said.len() >= GROUPS_MAX {
            self.said.retain(|_, times| times.back().is_some_and(|last| is_within_minute(*last, now)));
        }
        let times = self.said.entry(lane).or_default();
        times.retain(|time| is_within_minute(*time, now));
        times.push_back(now);
    }
}

/// A time ahead of now was noted before the clock was set back, and no longer counts.
fn is_within_minute(time: Millis, now: Millis) -> bool {
    time <= now && now < time.plus_secs(MINUTE_SECS)
}

/// What was said once. In RAM; after a restart the outbox notes what its rows of the last day say was said.
#[derive(Debug, Default)]
pub struct Once {
    hasher: RandomState,
    known: HashSet<NonZeroU64>,
    order: VecDeque<NonZeroU64>,
}

impl Once {
    /// Whether a reply may be said: it is not one that is said once, or was not said yet. Afterwards it was.
    pub fn admits(&mut self, row: &ReplyRow) -> bool {
        self.key(row).is_none_or(|key| self.is_new(key))
    }

    /// The key of a reply that is said once: its name and slot, scoped to the member or to the chat.
    fn key(&self, row: &ReplyRow) -> Option<NonZeroU64> {
        let once = row.reply.once.as_ref()?;
        let destination = &row.destination;
        let member = if once.per_member || destination.chat.is_none() { destination.to.as_ref() } else { None };
        NonZeroU64::new(self.hasher.hash_one((
            &row.corp,
            &destination.campaign,
            member,
            destination.chat.as_ref().filter(|_| !once.per_member),
            &once.name,
            once.slot,
        )))
    }

    fn is_new(&mut self, key: NonZeroU64) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > ONCE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes;

    #[test]
    fn the_sixth_unasked_answer_of_a_minute_does_not_fit() {
        let (mut pace, lane, now) = (Pace::default(), LaneKey::numbered(1), Millis(1_000_000));
        for second in 0..5 {
            assert!(!pace.is_full(lane, now.plus_secs(second)));
            pace.note(lane, now.plus_secs(second));
        }
        assert!(pace.is_full(lane, now.plus_secs(59)));
        assert!(!pace.is_full(lane, now.plus_secs(60)));
        pace.note(lane, now.plus_secs(60));
        assert!(pace.is_full(lane, now.plus_secs(60)), "only one place came free");
    }

    #[test]
    fn groups_have_a_pace_of_their_own() {
        let (mut pace, now) = (Pace::default(), Millis(1_000_000));
        let (one, other) = (LaneKey::numbered(1), LaneKey::numbered(2));
        (0..5).for_each(|_| pace.note(one, now));
        assert!(pace.is_full(one, now) && !pace.is_full(other, now));
    }

    #[test]
    fn once_per_group_is_once_for_all_and_once_per_member_for_each() {
        let mut once = Once::default();
        let row = |per_member: bool, member: &str| fakes::once(fakes::from_member(fakes::row(1), member), "outside", per_member, 7);
        for (per_member, member, new) in
            [(false, "aming", true), (false, "xiaohong", false), (true, "aming", true), (true, "xiaohong", true), (true, "aming", false)]
        {
            assert_eq!(once.admits(&row(per_member, member)), new, "{per_member} {member}");
        }
    }
}
