//! Digests: which answers wait to be told together, and when. A state machine without IO; time comes in.
//!
//! Nothing of it is stored: a gathered row stays `Waiting` in the store, so that after a restart it is read again, looked at again and
//! gathered again. What a digest covered is in its rows' reasons, and so is how many there were today ([`Digests::admits`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::model::day::{Day, Millis};
use crate::model::ids::ReplyId;
use crate::outbox::lanes::LaneKey;

/// Digests a group gets in a day: two hours of flood. What comes after them is only told to who asks.
pub const DIGESTS_A_DAY: usize = 12;
/// Answers that wait for one group's digest: one for each of the 2 000 people a group may have, and room for a second rule.
pub const GATHERED_MAX: usize = 5_000;
/// Groups and days whose digests are remembered before the oldest days are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// What the reasons of rows that a digest covered begin with.
const NAME: &str = "播报";

/// The name of a digest, unique within its group's day: `播报 8:00–8:10`.
pub fn name(from: &str, until: &str) -> String {
    format!("{NAME} {from}–{until}")
}

/// What stands in the reason of every row it covered: `播报 8:00–8:10,webhook`.
pub fn reason(name: &str, what: &str) -> String {
    format!("{name},{what}")
}

/// The name of the digest that a reason speaks of.
pub fn name_in(reason: &str) -> Option<&str> {
    reason.split(',').next().filter(|name| name.starts_with(NAME))
}

/// What waits to be told together.
#[derive(Debug, Default)]
pub struct Digests {
    groups: HashMap<LaneKey, Group>,
    /// When each group's next digest is due, where it is not at its lane's already.
    agenda: BTreeSet<(Millis, LaneKey)>,
    hasher: RandomState,
    /// Digests of a group's day, by a hash of their names.
    told: HashMap<(LaneKey, Day), HashSet<u64>>,
}

#[derive(Debug, Default)]
struct Group {
    waiting: Vec<(Millis, ReplyId)>,
    /// The first instant at which one of them is due.
    next: Millis,
    /// Those of the digest that is at its lane: they come back if it is put off.
    speaking: Vec<ReplyId>,
    /// The digest is at its lane.
    is_up: bool,
}

impl Digests {
    /// Whether answers of this group wait to be told together; further ones then join them.
    pub fn is_open(&self, lane: LaneKey) -> bool {
        self.groups.contains_key(&lane)
    }

    /// An answer joins its group's digest of this instant. `false` where too many wait.
    pub fn gather(&mut self, lane: LaneKey, id: ReplyId, due: Millis) -> bool {
        let group = self.groups.entry(lane).or_default();
        if group.waiting.len() + group.speaking.len() >= GATHERED_MAX {
            return false;
        }
        let is_first = group.waiting.is_empty() || due < group.next;
        group.waiting.push((due, id));
        if is_first {
            self.agenda.remove(&(group.next, lane));
            self.note(lane);
        }
        true
    }

    /// Lanes whose digest is due. Each must come back by [`Digests::told`] or [`Digests::put_off`].
    pub fn due(&mut self, now: Millis) -> Vec<LaneKey> {
        let mut due = Vec::new();
        while let Some((_, lane)) = self.agenda.first().filter(|(moment, _)| *moment <= now).copied() {
            self.agenda.pop_first();
            self.groups.entry(lane).or_default().is_up = true;
            due.push(lane);
        }
        due
    }

    /// What this lane's digest tells, ascending. Those whose moment came in the meantime are added.
    pub fn speaking(&mut self, lane: LaneKey, now: Millis) -> Vec<ReplyId> {
        let Some(group) = self.groups.get_mut(&lane) else { return Vec::new() };
        let due = group.waiting.extract_if(.., |(moment, _)| *moment <= now);
        group.speaking.extend(due.map(|(_, id)| id));
        group.speaking.sort_unstable();
        group.speaking.clone()
    }

    /// A digest is done with. Gives how many answers it was.
    pub fn told(&mut self, lane: LaneKey) -> usize {
        let Some(group) = self.groups.get_mut(&lane) else { return 0 };
        group.is_up = false;
        let count = std::mem::take(&mut group.speaking).len();
        if group.waiting.is_empty() {
            self.groups.remove(&lane);
        } else {
            self.note(lane);
        }
        count
    }

    /// A digest is told at a later instant.
    pub fn put_off(&mut self, lane: LaneKey, until: Millis) {
        let Some(group) = self.groups.get_mut(&lane) else { return };
        group.is_up = false;
        let speaking = std::mem::take(&mut group.speaking);
        group.waiting.extend(speaking.into_iter().map(|id| (until, id)));
        self.note(lane);
    }

    /// Whether one more digest of this name fits into the group's day; if so it counts, once however often it is tried.
    pub fn admits(&mut self, lane: LaneKey, day: Day, name: &str) -> bool {
        if self.told.len() >= REMEMBERED_MAX {
            self.told.retain(|(_, other), _| other.0 >= day.0);
        }
        let names = self.told.entry((lane, day)).or_default();
        let name = self.hasher.hash_one(name);
        names.contains(&name) || (names.len() < DIGESTS_A_DAY && names.insert(name))
    }

    /// Puts a group's next digest on the agenda.
    fn note(&mut self, lane: LaneKey) {
        let Some(group) = self.groups.get_mut(&lane) else { return };
        group.next = group.waiting.iter().map(|(due, _)| *due).min().unwrap_or_default();
        if !group.is_up && !group.waiting.is_empty() {
            self.agenda.insert((group.next, lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneKey = LaneKey::numbered(1);

    fn gathered(dues: &[i64]) -> Digests {
        let mut digests = Digests::default();
        dues.iter().zip(1..).for_each(|(&due, id)| assert!(digests.gather(LANE, ReplyId(id), Millis(due))));
        digests
    }

    #[test]
    fn answers_wait_for_the_moment_they_are_due_and_no_longer() {
        let mut digests = gathered(&[600, 600, 1_200]);
        assert!(digests.is_open(LANE) && digests.due(Millis(599)).is_empty());
        assert_eq!(digests.due(Millis(600)), [LANE]);
        assert!(digests.due(Millis(1_200)).is_empty(), "it is at its lane");
        assert_eq!(digests.speaking(LANE, Millis(600)), [ReplyId(1), ReplyId(2)]);
        assert_eq!(digests.told(LANE), 2);
        assert_eq!(digests.due(Millis(1_200)), [LANE]);
        assert_eq!(digests.speaking(LANE, Millis(1_200)), [ReplyId(3)]);
        assert_eq!(digests.told(LANE), 1);
        assert!(!digests.is_open(LANE));
    }

    #[test]
    fn a_digest_tried_again_tells_what_came_due_in_between_too() {
        let mut digests = gathered(&[600, 1_200]);
        assert_eq!(digests.due(Millis(600)), [LANE]);
        assert_eq!(digests.speaking(LANE, Millis(600)).len(), 1);
        assert_eq!(digests.speaking(LANE, Millis(1_200)), [ReplyId(1), ReplyId(2)]);
        assert_eq!(digests.told(LANE), 2);
    }

    #[test]
    fn what_is_put_off_comes_again_at_its_time() {
        let mut digests = gathered(&[600]);
        assert_eq!(digests.due(Millis(600)), [LANE]);
        digests.speaking(LANE, Millis(600));
        digests.put_off(LANE, Millis(5_000));
        assert!(digests.due(Millis(4_999)).is_empty());
        assert_eq!(digests.due(Millis(5_000)), [LANE]);
        assert_eq!(digests.speaking(LANE, Millis(5_000)), [ReplyId(1)]);
    }

    #[test]
    fn the_thirteenth_digest_of_a_day_does_not_fit_and_a_second_try_counts_once() {
        let mut digests = Digests::default();
        (0..DIGESTS_A_DAY).for_each(|hour| assert!(digests.admits(LANE, Day(1), &hour.to_string()) && digests.admits(LANE, Day(1), &hour.to_string())));
        assert!(!digests.admits(LANE, Day(1), "12"));
        assert!(digests.admits(LANE, Day(2), "12"));
        assert!(digests.admits(LaneKey::numbered(2), Day(1), "12"));
    }

    #[test]
    fn a_row_tells_which_digest_covered_it() {
        assert_eq!(name_in(&reason(&name("8:00", "8:10"), "webhook")), Some("播报 8:00–8:10"));
        assert_eq!(name_in("webhook"), None);
    }

    #[test]
    fn over_the_bound_of_a_group_no_more_are_gathered() {
        let mut digests = gathered(&vec![600; GATHERED_MAX]);
        assert!(!digests.gather(LANE, ReplyId(0), Millis(600)));
        assert!(digests.gather(LaneKey::numbered(2), ReplyId(0), Millis(600)));
    }
}
