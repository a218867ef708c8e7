//! What the clock starts: jobs, the slots of time they fall due in, and whom they concern. Pure: `scheduler` turns them into events.
//!
//! A job is named like a rule (`retention.weekly`, `expiry`, `schedule.morning`), and so is what it books. Its slots are numbered (a business
//! day, a minute) and come one after the other, each once, for ever: slot by slot `scheduler` submits one event for each account or group that has
//! something due, then one event that says the slot is done. All are [`Act::Due`](crate::model::act::Act::Due) in [`Place::Books`]:
//!
//! | event | `who` | `place.chat` |
//! |---|---|---|
//! | of an account | its member | the group, under `balance = "per_group"` |
//! | of a group | nobody | the group |
//! | of the whole campaign: the slot is done | nobody | none |
//!
//! What follows from such an event is decided like everything else: by [`Job::decide`], or where that has nothing to say by the rules that look
//! at [`Deed::Due`]. A new job is a type that implements [`Job`], and its line in `SOURCES`.

use std::fmt;
use std::sync::Arc;

use crate::model::cells::AccountCell;
use crate::model::day::{Calendar, Millis};
use crate::model::decision::{Decision, Deed};
use crate::model::event::Place;
use crate::rules::campaign::Campaign;
use crate::rules::decide::Scene;
use crate::rules::title::{self, Title};
use crate::rules::{expiry_jobs, leavers, retention, schedule};

/// Finds the jobs of a campaign.
type Source = fn(&Campaign) -> Vec<Box<dyn Job + '_>>;

/// Where the jobs of a campaign come from. Jobs of one instant run in this order.
const SOURCES: &[Source] = &[retention::jobs, schedule::jobs, leavers::jobs, expiry_jobs::jobs, title::jobs];

/// Something the clock starts.
pub trait Job: fmt::Debug {
    /// Its name, which stands in the event and its key: unique within the campaign.
    fn name(&self) -> Arc<str>;

    /// Whom its events concern.
    fn reach(&self) -> Reach;

    /// The first slot after an instant; `None` when there is none any more.
    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot>;

    /// The slots up to `slot` in which something of this account falls due, oldest first; an event is submitted for each. A slot that was
    /// submitted before is passed over by its key, so that it does no harm to name one again. For [`Reach::Accounts`].
    fn due(&self, _campaign: &Campaign, _slot: Slot, _account: &AccountCell) -> Vec<Slot> {
        Vec::new()
    }

    /// Whether it concerns a group of the campaign. For [`Reach::Groups`].
    fn concerns(&self, _chat: &str, _title: Option<&str>) -> bool {
        true
    }

    /// The title whose winners it is for. For [`Reach::Winners`].
    fn title(&self) -> Option<&Title> {
        None
    }

    /// Whether the accounts of a group are counted before its event. For [`Reach::Groups`].
    fn has_counts(&self) -> bool {
        false
    }

    /// What an account adds to the counts of each group that it is in. A group whose first count is 0 gets no event.
    fn counts(&self, _campaign: &Campaign, _slot: Slot, _account: &AccountCell) -> Counts {
        [0; 2]
    }

    /// Seconds after which a slot that was missed is not worth running any more; `None` where it always is.
    fn stale_after_secs(&self) -> Option<i64> {
        None
    }

    /// What follows from an event of this job; `None` asks the rules.
    fn decide(&self, _scene: &Scene<'_>, _whose: Whose<'_>, _slot: i64) -> Option<Decision> {
        None
    }
}

/// Two counts, as a job counts.
pub type Counts = [i64; 2];

/// Whom a job's events concern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Each account that has something due.
    Accounts,
    /// Each group of the campaign.
    Groups,
    /// The campaign: the event that says the slot is done is its only one.
    Campaign,
    /// The accounts that won a title, read from the board that is closed by then.
    Winners,
}

/// A point in time at which a job falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// When.
    pub at: Millis,
    /// Which one, as the job numbers them; ascends with `at`.
    pub number: i64,
}

/// Whose event of a slot it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// A member's.
    Member,
    /// A group's, by its chat id.
    Group(&'a str),
    /// The campaign's: the slot is done.
    Campaign,
}

/// The jobs of a campaign.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    SOURCES.iter().flat_map(|source| source(campaign)).collect()
}

/// The slots of business days, at the instant each begins.
pub fn next_day(calendar: &Calendar, after: Millis) -> Option<Slot> {
    let day = calendar.day(after).plus(1);
    let at = calendar.begins(day);
    (at > after).then_some(Slot { at, number: i64::from(day.0) })
}

/// What a job decides; `None` for an event that is none of a job's, and where the rules are asked.
pub(super) fn decide(scene: &Scene<'_>) -> Option<Decision> {
    let Some(Deed::Due { job: name, slot }) = scene.deed else { return None };
    let whose = match (&scene.event.who, &scene.event.place) {
        (Some(_), _) => Whose::Member,
        (None, Place::Books { chat: Some(chat), .. } | Place::Group { chat, .. }) => Whose::Group(chat),
        (None, Place::Books { chat: None, .. } | Place::Single) => Whose::Campaign,
    };
    jobs(scene.campaign).into_iter().find(|job| job.name() == *name)?.decide(scene, whose, *slot)
}
