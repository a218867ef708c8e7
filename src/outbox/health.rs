//! The health of an app or a robot, as a whole or in one group: whether it may send now, from what its requests came to.
//! A state machine without IO; time comes in.
//!
//! After a rest one message goes as a probe and the others wait a moment longer: what is still broken is asked once, not by everybody.

use std::sync::Arc;

use crate::model::day::Millis;
use crate::outbox::queue::IN_FLIGHT_MAX;
use crate::outbox::send::Attempt;
use crate::wecom::outcome::Trouble;

/// Seconds until an app that only a person can repair is asked again: rarely enough for WeCom, soon enough for the answers that wait.
pub const STOPPED_SECS: i64 = 120;
/// Seconds until a robot that was taken out of a group is asked again.
pub const GONE_SECS: i64 = 600;
/// Rests after one, two, three … answers «too often» in a row that name no window, in seconds: the windows are a minute and an hour
/// (developer.work.weixin.qq.com/document/path/90313), and guessing the hour at once would cost an hour.
const LIMITED_SECS: [i64; 5] = [60, 60, 300, 900, 3_600];
/// A probe that did not come back after so many seconds is not waited for; a request takes ten at most.
const PROBE_SECS: i64 = 15;
/// Seconds that others wait for a probe, or for a place where too many fly at once.
const MOMENT_SECS: i64 = 2;
/// Answers «too many at once» within this many seconds are one event.
const CROWD_SECS: i64 = 1;

/// Why a way is not to be used now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// How it goes on.
    pub lasts: Lasts,
    /// For people; the same text as long as the cause is the same.
    pub reason: Arc<str>,
}

/// How a hold goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// For so many seconds: worth waiting for.
    Secs(i64),
    /// Until a person changes something: another way is better; where there is none, look again after so many seconds.
    Stopped(i64),
    /// The way is closed.
    Gone,
}

impl Hold {
    /// The same as an answer, for a way that was not tried.
    pub fn into_attempt(self) -> Attempt {
        let trouble = match self.lasts {
            Lasts::Secs(_) => Trouble::Limited { window_secs: None },
            Lasts::Stopped(_) => Trouble::Stopped,
            Lasts::Gone => Trouble::Gone,
        };
        Attempt::Held { trouble, reason: self.reason }
    }
}

/// What a request changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It cannot send for a while, for this reason; that passes by itself.
    Rests(Arc<str>),
    /// It cannot send before a person changes something, for this reason.
    Closed(Arc<str>),
    /// It can again.
    Opened,
}

/// The health of one of them.
#[derive(Debug)]
pub struct Health {
    rest: Option<Rest>,
    /// Answers «too often» in a row.
    strikes: usize,
    flying: usize,
    /// How many may fly at once.
    places: usize,
    /// Messages that went well since `places` last changed.
    went_well: usize,
    crowded_at: Millis,
}

#[derive(Debug)]
struct Rest {
    from: Millis,
    until: Millis,
    kind: Kind,
    probing: bool,
    reason: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Waits,
    Stopped,
    Gone,
}

impl Default for Health {
    fn default() -> Self {
        Health { rest: None, strikes: 0, flying: 0, places: IN_FLIGHT_MAX, went_well: 0, crowded_at: Millis(i64::MIN) }
    }
}

impl Health {
    /// Why nothing is to be sent now, if so.
    pub fn hold(&self, now: Millis) -> Option<Hold> {
        if let Some(rest) = self.rest.as_ref().filter(|rest| rest.lasts(now)) {
            return Some(rest.hold(now));
        }
        (self.flying >= self.places)
            .then(|| Hold { lasts: Lasts::Secs(MOMENT_SECS), reason: "企业微信嫌同时发送的请求太多(45033),放慢后再发".into() })
    }

    /// A message goes out; after a rest it is the probe.
    pub fn enter(&mut self, now: Millis) {
        self.flying += 1;
        if let Some(rest) = &mut self.rest {
            (rest.from, rest.until, rest.probing) = (now, now.plus_secs(PROBE_SECS), true);
        }
    }

    /// It came back.
    pub fn leave(&mut self) {
        self.flying = self.flying.saturating_sub(1);
    }

    /// What became of a request of this app or robot.
    pub fn learn(&mut self, attempt: &Attempt, now: Millis) -> Option<Turn> {
        match attempt {
            Attempt::Sent | Attempt::Refused(_) | Attempt::TooLong(_) => self.works(),
            Attempt::Retry { .. } | Attempt::Unreachable(_) | Attempt::Unknown(_) | Attempt::Repeatable(_) => None,
            Attempt::Held { trouble, reason } => self.suffer(*trouble, reason, now),
        }
    }

    /// Whether nothing is under way and nothing is wrong.
    pub fn is_plain(&self) -> bool {
        self.rest.is_none() && self.flying == 0
    }

    /// Whether it cannot send, or a probe is under way.
    pub fn rests(&self) -> bool {
        self.rest.is_some()
    }

    fn suffer(&mut self, trouble: Trouble, reason: &Arc<str>, now: Millis) -> Option<Turn> {
        let (kind, secs) = match trouble {
            Trouble::Crowded => {
                self.thin_out(now);
                return None;
            }
            Trouble::Limited { window_secs } => (Kind::Waits, self.window_secs(window_secs, now)),
            Trouble::NoToken { after_secs } => (Kind::Waits, i64::from(after_secs)),
            Trouble::Stopped => (Kind::Stopped, STOPPED_SECS),
            Trouble::Gone => (Kind::Gone, GONE_SECS),
        };
        let was = self.rest.as_ref().map(|rest| rest.kind);
        let until = now.plus_secs(secs).max(self.resting_until(now).unwrap_or(now));
        self.rest = Some(Rest { from: now, until, kind, probing: false, reason: reason.clone() });
        (was != Some(kind)).then(|| if kind == Kind::Waits { Turn::Rests(reason.clone()) } else { Turn::Closed(reason.clone()) })
    }

    fn works(&mut self) -> Option<Turn> {
        // Nothing goes out in a rest but its probe: this was sent before the rest began, and says nothing of it.
        if self.rest.as_ref().is_some_and(|rest| !rest.probing) {
            return None;
        }
        self.strikes = 0;
        self.went_well += 1;
        if self.places < IN_FLIGHT_MAX && self.went_well >= self.places {
            (self.places, self.went_well) = (self.places + 1, 0);
        }
        self.rest.take().map(|_| Turn::Opened)
    }

    /// Half as many at once; they become more again by one for each round that went well.
    fn thin_out(&mut self, now: Millis) {
        if now >= self.crowded_at && now < self.crowded_at.plus_secs(CROWD_SECS) {
            return;
        }
        self.crowded_at = now;
        (self.places, self.went_well) = ((self.places.min(self.flying) / 2).max(1), 0);
    }

    /// How long to rest after «too often». Requests that were under way together are one strike.
    fn window_secs(&mut self, told: Option<u32>, now: Millis) -> i64 {
        if self.resting_until(now).is_none() {
            self.strikes += 1;
        }
        told.map_or(LIMITED_SECS[self.strikes.clamp(1, LIMITED_SECS.len()) - 1], i64::from)
    }

    /// Until when it rests; `None` if it does not, or only a probe is waited for.
    fn resting_until(&self, now: Millis) -> Option<Millis> {
        self.rest.as_ref().filter(|rest| rest.lasts(now) && !rest.probing).map(|rest| rest.until)
    }
}

impl Rest {
    /// A time before its beginning means that the clock was set back: then it is over.
    fn lasts(&self, now: Millis) -> bool {
        self.from <= now && now < self.until
    }

    fn hold(&self, now: Millis) -> Hold {
        let left_secs = (self.until.0 - now.0).div_euclid(1_000) + 1;
        let secs = if self.probing { MOMENT_SECS } else { left_secs };
        let lasts = match self.kind {
            Kind::Waits => Lasts::Secs(secs),
            Kind::Stopped => Lasts::Stopped(secs),
            Kind::Gone => Lasts::Gone,
        };
        Hold { lasts, reason: self.reason.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{START, unknown};

    fn held(trouble: Trouble) -> Attempt {
        Attempt::Held { trouble, reason: "原因".into() }
    }

    fn limited() -> Attempt {
        held(Trouble::Limited { window_secs: None })
    }

    fn secs(health: &Health, now: Millis) -> Option<i64> {
        match health.hold(now)?.lasts {
            Lasts::Secs(secs) | Lasts::Stopped(secs) => Some(secs),
            Lasts::Gone => None,
        }
    }

    #[test]
    fn too_often_rests_a_minute_twice_and_then_longer() {
        let (mut health, mut now, mut rests) = (Health::default(), START, Vec::new());
        for _ in 0..6 {
            health.enter(now);
            health.learn(&limited(), now);
            health.leave();
            let rest = LIMITED_SECS.into_iter().find(|secs| health.hold(now.plus_secs(*secs)).is_none()).expect("it ends");
            assert!(health.hold(now.plus_secs(rest - 1)).is_some());
            rests.push(rest);
            now = now.plus_secs(rest);
        }
        assert_eq!(rests, [60, 60, 300, 900, 3_600, 3_600]);
    }

    #[test]
    fn requests_that_were_under_way_together_are_one_strike() {
        let mut health = Health::default();
        (0..32).for_each(|_| drop(health.learn(&limited(), START)));
        assert!(health.hold(START.plus_secs(59)).is_some());
        assert_eq!(health.hold(START.plus_secs(60)), None);
    }

    #[test]
    fn each_cause_is_told_once() {
        let mut health = Health::default();
        assert_eq!(health.learn(&limited(), START), Some(Turn::Rests("原因".into())));
        assert_eq!(health.learn(&limited(), START), None);
        assert_eq!(health.learn(&held(Trouble::Stopped), START), Some(Turn::Closed("原因".into())));
        assert_eq!(health.learn(&Attempt::Sent, START), None, "what was sent before says nothing of it");
        assert!(health.hold(START).is_some());
        health.enter(START.plus_secs(STOPPED_SECS));
        assert_eq!(health.learn(&Attempt::Sent, START.plus_secs(STOPPED_SECS)), Some(Turn::Opened));
        assert_eq!(health.learn(&Attempt::Sent, START.plus_secs(STOPPED_SECS)), None);
    }

    #[test]
    fn a_window_that_wecom_names_is_waited_for() {
        let mut health = Health::default();
        health.learn(&held(Trouble::Limited { window_secs: Some(3_600) }), START);
        assert!(health.hold(START.plus_secs(3_599)).is_some());
        assert_eq!(health.hold(START.plus_secs(3_600)), None);
    }

    #[test]
    fn what_only_a_person_can_repair_is_asked_again_rarely_by_one_message() {
        let mut health = Health::default();
        assert_eq!(health.learn(&held(Trouble::Stopped), START), Some(Turn::Closed("原因".into())));
        assert_eq!(health.hold(START).map(|hold| hold.lasts), Some(Lasts::Stopped(STOPPED_SECS + 1)));
        let later = START.plus_secs(STOPPED_SECS);
        assert_eq!(health.hold(later), None);
        health.enter(later);
        assert_eq!(secs(&health, later), Some(MOMENT_SECS), "the others wait for the probe");
        health.learn(&held(Trouble::Stopped), later);
        assert!(health.hold(later.plus_secs(STOPPED_SECS - 1)).is_some());
        let later = later.plus_secs(STOPPED_SECS);
        health.enter(later);
        assert_eq!(health.learn(&Attempt::Sent, later), Some(Turn::Opened));
        assert_eq!(health.hold(later), None);
    }

    #[test]
    fn a_probe_that_told_nothing_leaves_its_place_to_another() {
        let mut health = Health::default();
        health.learn(&limited(), START);
        let later = START.plus_secs(60);
        health.enter(later);
        health.learn(&unknown(), later);
        health.leave();
        assert!(health.hold(later.plus_secs(PROBE_SECS - 1)).is_some());
        assert_eq!(health.hold(later.plus_secs(PROBE_SECS)), None);
    }

    #[test]
    fn too_many_at_once_halves_the_places_and_success_gives_them_back_slowly() {
        let mut health = Health::default();
        (0..16).for_each(|_| health.enter(START));
        (0..16).for_each(|_| drop(health.learn(&held(Trouble::Crowded), START)));
        assert_eq!(health.places, 8, "sixteen answers of one moment halve once");
        assert!(health.hold(START).is_some());
        (0..9).for_each(|_| health.leave());
        assert_eq!(health.hold(START), None);
        (0..8).for_each(|_| drop(health.learn(&Attempt::Sent, START)));
        assert_eq!(health.places, 9);
    }

    #[test]
    fn a_clock_set_back_ends_a_rest() {
        let mut health = Health::default();
        health.learn(&held(Trouble::Limited { window_secs: Some(86_400) }), START);
        assert_eq!(health.hold(START.plus_secs(-1)), None);
    }
}
