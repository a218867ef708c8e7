//! Limits: how many messages WeCom lets through to one destination, and how many of them the unasked may use. Pure; time comes in.
//!
//! More than that is refused with 45009, or dropped without a word (message/send): a reply waits instead. Half of each limit is kept
//! free for those who asked.

use std::collections::{HashMap, VecDeque};

use crate::model::day::Millis;
use crate::outbox::health::{Hold, Lasts};
use crate::outbox::route::Way;

/// So many messages within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    messages: usize,
    secs: i64,
}

/// To one member from one app: 30 a minute, 1 000 an hour (developer.work.weixin.qq.com/document/path/90236). An AI bot in one
/// conversation: the same (101463).
const CONVERSATION: &[Limit] = &[Limit { messages: 30, secs: 60 }, Limit { messages: 1_000, secs: 3_600 }];
/// One group robot: 20 a minute (91770).
const ROBOT: &[Limit] = &[Limit { messages: 20, secs: 60 }];
/// A group that an app created: to one member 200 a minute from all such groups of the app (90248); here for one group, since hardly
/// anybody sits in many that are loud in the same minute.
const APP_GROUP: &[Limit] = &[Limit { messages: 200, secs: 60 }];
/// The longest of these windows, in seconds.
const WINDOW_SECS_MAX: i64 = 3_600;
/// Destinations remembered before quiet ones are forgotten; some 100 bytes each.
const DESTINATIONS_MAX: usize = 100_000;
/// A destination with fewer messages than this within the hour may be forgotten a minute after the last: forgotten every other minute,
/// it would still get no more than 1 000 an hour.
const FEW: usize = 30;

/// What was sent lately, by a hash of the destination (two that collide only share their limit).
#[derive(Debug, Default)]
pub struct Limits {
    said: HashMap<u64, VecDeque<Millis>>,
}

/// A message, or several that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How many.
    pub messages: usize,
    /// Whether somebody asked for it.
    pub asked: bool,
}

impl Limits {
    /// Counts the load if it fits, else says how long it has to wait.
    pub fn take(&mut self, destination: u64, way: &Way, load: Load, now: Millis) -> Result<(), Hold> {
        if self.said.len() >= DESTINATIONS_MAX {
            self.said.retain(|_, times| times.len() >= FEW || times.back().is_some_and(|last| is_within(*last, 60, now)));
        }
        let times = self.said.entry(destination).or_default();
        times.retain(|time| is_within(*time, WINDOW_SECS_MAX, now));
        if let Some(secs) = limits(way).iter().filter_map(|limit| limit.wait_secs(times, load, now)).max() {
            return Err(Hold { lasts: Lasts::Secs(secs), reason: reason(way).into() });
        }
        times.extend(std::iter::repeat_n(now, load.messages));
        Ok(())
    }
}

impl Limit {
    /// Seconds until the load fits; `None` if it does. A load larger than its share goes when nothing else was sent.
    fn wait_secs(&self, times: &VecDeque<Millis>, load: Load, now: Millis) -> Option<i64> {
        let share = if load.asked { self.messages } else { self.messages / 2 };
        let room = share.saturating_sub(load.messages);
        let recent: Vec<Millis> = times.iter().copied().filter(|time| is_within(*time, self.secs, now)).collect();
        let last_to_leave = recent.len().checked_sub(room + 1)?;
        let left_millis = recent[last_to_leave].plus_secs(self.secs).0 - now.0;
        Some((left_millis + 999).div_euclid(1_000).max(1))
    }
}

fn limits(way: &Way) -> &'static [Limit] {
    match way {
        Way::ResponseUrl(_) | Way::Private { .. } => CONVERSATION,
        Way::RobotUrl { .. } | Way::Webhook { .. } => ROBOT,
        Way::Appchat { .. } => APP_GROUP,
    }
}

fn reason(way: &Way) -> &'static str {
    match way {
        Way::ResponseUrl(_) => "这个会话里机器人说得太多(每分钟 30 条、每小时 1000 条,一半留给提问的人),排队等候",
        Way::Private { .. } => "给这位成员的私信太多(每分钟 30 条、每小时 1000 条,一半留给提问的人),排队等候",
        Way::RobotUrl { .. } | Way::Webhook { .. } => "这个群机器人说得太多(每分钟 20 条,一半留给提问的人),排队等候",
        Way::Appchat { .. } => "这个群里应用说得太多(每分钟 200 条,一半留给提问的人),排队等候",
    }
}

/// A time ahead of now was noted before the clock was set back, and no longer counts.
fn is_within(time: Millis, secs: i64, now: Millis) -> bool {
    time <= now && now < time.plus_secs(secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::START;
    use proptest::prelude::*;

    const ASKED: Load = Load { messages: 1, asked: true };
    const UNASKED: Load = Load { messages: 1, asked: false };

    fn robot() -> Way {
        Way::Webhook { robot: "announcer".into(), chat: None, mention: None }
    }

    fn private() -> Way {
        Way::Private { app: "assistant".into(), to: "aming".into() }
    }

    /// How many of the load fit, one after another, at one moment.
    fn fits(limits: &mut Limits, way: &Way, load: Load, now: Millis) -> usize {
        (0..2_000).take_while(|_| limits.take(1, way, load, now).is_ok()).count()
    }

    fn wait_secs(limits: &mut Limits, way: &Way, load: Load, now: Millis) -> i64 {
        match limits.take(1, way, load, now) {
            Err(Hold { lasts: Lasts::Secs(secs), .. }) => secs,
            other => panic!("it should wait: {other:?}"),
        }
    }

    #[test]
    fn a_robot_says_twenty_a_minute_and_a_member_is_told_thirty() {
        assert_eq!(fits(&mut Limits::default(), &robot(), ASKED, START), 20);
        assert_eq!(fits(&mut Limits::default(), &private(), ASKED, START), 30);
    }

    #[test]
    fn the_unasked_leave_half_to_those_who_ask() {
        let mut limits = Limits::default();
        assert_eq!(fits(&mut limits, &robot(), UNASKED, START), 10);
        assert_eq!(fits(&mut limits, &robot(), ASKED, START), 10);
    }

    #[test]
    fn what_does_not_fit_waits_until_the_oldest_leaves_the_minute() {
        let mut limits = Limits::default();
        (0..20).for_each(|second| assert!(limits.take(1, &robot(), ASKED, START.plus_secs(second)).is_ok()));
        assert_eq!(wait_secs(&mut limits, &robot(), ASKED, START.plus_secs(20)), 40);
        assert!(limits.take(1, &robot(), ASKED, START.plus_secs(60)).is_ok());
        assert_eq!(wait_secs(&mut limits, &robot(), ASKED, START.plus_secs(60)), 1);
    }

    #[test]
    fn an_hour_has_its_own_limit() {
        let mut limits = Limits::default();
        let said: usize = (0..60).map(|minute| fits(&mut limits, &private(), ASKED, START.plus_secs(minute * 60))).sum();
        assert_eq!(said, 1_000);
        assert_eq!(wait_secs(&mut limits, &private(), ASKED, START.plus_secs(59 * 60 + 59)), 1);
    }

    #[test]
    fn several_messages_of_one_reply_count_each() {
        let mut limits = Limits::default();
        assert!(limits.take(1, &robot(), Load { messages: 18, asked: true }, START).is_ok());
        assert!(limits.take(1, &robot(), Load { messages: 3, asked: true }, START).is_err());
        assert!(limits.take(1, &robot(), Load { messages: 2, asked: true }, START).is_ok());
    }

    #[test]
    fn destinations_have_limits_of_their_own() {
        let mut limits = Limits::default();
        assert_eq!(fits(&mut limits, &robot(), ASKED, START), 20);
        assert!(limits.take(2, &robot(), ASKED, START).is_ok());
    }

    #[test]
    fn quiet_destinations_are_forgotten_and_loud_ones_are_not() {
        let mut limits = Limits::default();
        let loud = DESTINATIONS_MAX as u64 + 1;
        assert!(limits.take(loud, &private(), Load { messages: 30, asked: true }, START).is_ok());
        (0..DESTINATIONS_MAX as u64).for_each(|other| assert!(limits.take(other, &private(), ASKED, START).is_ok()));
        let later = START.plus_secs(120);
        assert!(limits.take(0, &private(), ASKED, later).is_ok());
        assert_eq!(limits.said.len(), 2);
        assert_eq!(limits.said[&loud].len(), 30);
    }

    proptest! {
        #[test]
        fn no_minute_ever_holds_more_than_its_limit_and_a_wait_is_long_enough(loads in prop::collection::vec((0i64..5_000, 1usize..6, any::<bool>()), 1..200)) {
            let (mut limits, mut now, mut said) = (Limits::default(), START, Vec::new());
            for (step_millis, messages, asked) in loads {
                now = Millis(now.0 + step_millis);
                let load = Load { messages, asked };
                if let Err(hold) = limits.take(1, &robot(), load, now) {
                    let Lasts::Secs(secs) = hold.lasts else { panic!("a limit passes") };
                    prop_assert!((1..=60).contains(&secs));
                    now = now.plus_secs(secs);
                    prop_assert!(limits.take(1, &robot(), load, now).is_ok());
                }
                said.extend(std::iter::repeat_n(now, messages));
                let minute = said.iter().filter(|time| is_within(**time, 60, now)).count();
                prop_assert!(minute <= if asked { 20 } else { 10 }, "{minute}");
            }
        }
    }

    #[test]
    fn a_clock_set_back_does_not_silence_anybody() {
        let mut limits = Limits::default();
        assert_eq!(fits(&mut limits, &robot(), ASKED, START), 20);
        assert!(limits.take(1, &robot(), ASKED, START.plus_secs(-86_400)).is_ok());
    }
}
