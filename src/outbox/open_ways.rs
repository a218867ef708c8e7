//! Which of a reply's ways is open now: the health of its app or robot ([`super::health`]), and the limits of its destination
//! ([`super::limits`]).
//!
//! ```text
//! choose ─▶ Pass ─▶ (claim, send) ─▶ Pass::learn
//!        └▶ Hold: wait so many seconds, or closed
//! ```
//!
//! All of it in RAM: after a restart what is still broken is learned by one request, and the minute's count begins anew.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::gauge;

use crate::clock::Clock;
use crate::model::day::Millis;
use crate::model::ids::CorpName;
use crate::outbox::Voice;
use crate::outbox::health::{Health, Hold, Lasts, Turn};
use crate::outbox::limits::{Limits, Load};
use crate::outbox::route::{Outlet, Way};
use crate::outbox::send::{Attempt, Errand};
use crate::wecom::outcome::Trouble;

/// 1 while an app or robot can send, 0 while it rests or is stopped; by `corp` and `outlet`.
const OUTLET_OPEN: &str = "jifen_outlet_open";
/// Groups in which an app or robot can no longer speak; by `corp` and `outlet`.
const OUTLET_GROUPS_GONE: &str = "jifen_outlet_groups_gone";

/// An app or a robot, as a whole or in one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Door {
    corp: CorpName,
    /// `app/assistant`, `robot/announcer`.
    outlet: Arc<str>,
    /// The way and the chat id; `None` for the whole.
    group: Option<(&'static str, Arc<str>)>,
}

/// The state machine; time comes in.
#[derive(Debug, Default)]
struct OpenWays {
    health: BTreeMap<Door, Health>,
    limits: Limits,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl OpenWays {
    /// Lets a reply in at this way, or says why not.
    fn admit(&mut self, errand: &Errand<'_>, way: &Way, now: Millis) -> Result<Vec<Door>, Hold> {
        let doors = doors(errand, way);
        if let Some(hold) = doors.iter().find_map(|door| self.health.get(door)?.hold(now)) {
            return Err(hold);
        }
        let load = Load { messages: errand.messages(way), asked: errand.asked };
        self.limits.take(self.destination(errand, way), way, load, now)?;
        doors.iter().for_each(|door| self.health.entry(door.clone()).or_default().enter(now));
        Ok(doors)
    }

    fn learn(&mut self, doors: &[Door], attempt: &Attempt, now: Millis) -> Vec<(Door, Turn)> {
        let is_gone = matches!(attempt, Attempt::Held { trouble: Trouble::Gone, .. });
        let mut turns = Vec::new();
        for door in doors {
            let told = match (door.group.is_some(), is_gone, attempt) {
                // That it cannot speak in one group says that it works.
                (false, true, _) => &Attempt::Sent,
                (true, false, Attempt::Held { .. }) => continue,
                _ => attempt,
            };
            let turn = self.health.get_mut(door).and_then(|health| health.learn(told, now));
            turns.extend(turn.map(|turn| (door.clone(), turn)));
        }
        turns
    }

    fn leave(&mut self, doors: &[Door]) {
        for door in doors {
            let Some(health) = self.health.get_mut(door) else { continue };
            health.leave();
            // There may be many groups, and most are well.
            if door.group.is_some() && health.is_plain() {
                self.health.remove(door);
            }
        }
    }

    fn groups_gone(&self, outlet: &Door) -> usize {
        let same = |door: &&Door| door.corp == outlet.corp && door.outlet == outlet.outlet && door.group.is_some();
        self.health.iter().filter(|(door, health)| same(door) && health.rests()).count()
    }

    fn destination(&self, errand: &Errand<'_>, way: &Way) -> u64 {
        let Errand { corp, destination, .. } = errand;
        match way {
            Way::ResponseUrl(_) => self.hasher.hash_one(("bot", corp, &destination.channel_name, &destination.chat, talks_alone_to(errand))),
            Way::RobotUrl { .. } => self.hasher.hash_one(("robot", corp, &destination.channel_name)),
            Way::Webhook { robot, .. } => self.hasher.hash_one(("robot", corp, robot)),
            Way::Appchat { app, chat } => self.hasher.hash_one(("group", corp, app, chat)),
            Way::Private { app, to } => self.hasher.hash_one(("member", corp, app, to)),
        }
    }
}

/// Whom a single chat is with.
fn talks_alone_to<'a>(errand: &Errand<'a>) -> Option<&'a Arc<str>> {
    let destination = errand.destination;
    destination.to.as_ref().filter(|_| destination.chat.is_none()).map(|(_, id)| id)
}

/// What a way needs to be well. A one-call address needs nothing.
fn doors(errand: &Errand<'_>, way: &Way) -> Vec<Door> {
    let chat = errand.destination.chat.clone().unwrap_or_default();
    let door = |kind: &str, name: &str, group| Door { corp: errand.corp.clone(), outlet: outlet_name(kind, name), group };
    match way {
        Way::ResponseUrl(_) => Vec::new(),
        Way::RobotUrl { .. } => {
            let robot = &errand.destination.channel_name;
            vec![door("robot", robot, None), door("robot", robot, Some((way.as_str(), chat)))]
        }
        Way::Webhook { robot, .. } => vec![door("robot", robot, None), door("robot", robot, Some((way.as_str(), chat)))],
        Way::Appchat { app, chat } => vec![door("app", app, None), door("app", app, Some((way.as_str(), chat.clone())))],
        Way::Private { app, .. } => vec![door("app", app, None)],
    }
}

fn outlet_name(kind: &str, name: &str) -> Arc<str> {
    format!("{kind}/{name}").into()
}

/// Watches the ways of all corps: lets replies in, hears what became of them, and tells the operator what closes and opens.
#[derive(Debug)]
pub struct Warden {
    ways: Mutex<OpenWays>,
    clock: Clock,
}

impl Warden {
    /// One that knows of no trouble. The apps and robots of `voices` are shown as open.
    pub fn new(voices: &HashMap<CorpName, Voice>, clock: Clock) -> Self {
        for (corp, voice) in voices {
            let show = |kind: &str, outlet: &Outlet| show_open(corp, &outlet_name(kind, &outlet.name), true);
            voice.outlets.apps.iter().for_each(|app| show("app", app));
            voice.outlets.robots.iter().for_each(|robot| show("robot", robot));
        }
        Warden { ways: Mutex::default(), clock }
    }

    /// The best way that is open: past those that are closed until a person acts, but not past one that only has to be waited for.
    pub fn choose(&self, errand: &Errand<'_>) -> Result<Pass<'_>, Hold> {
        let mut held: Option<Hold> = None;
        for (place, way) in errand.ways.iter().enumerate() {
            let hold = match self.admit(errand, way) {
                Ok(mut pass) => {
                    pass.place = place;
                    return Ok(pass);
                }
                Err(hold) => hold,
            };
            if matches!(hold.lasts, Lasts::Secs(_)) && !way.is_one_shot() {
                return Err(hold);
            }
            held = Some(held.filter(|held| held.lasts != Lasts::Gone).unwrap_or(hold));
        }
        Err(held.unwrap_or(Hold { lasts: Lasts::Gone, reason: "没有路可走".into() }))
    }

    /// Lets a reply in at one way, or says why not.
    pub fn admit(&self, errand: &Errand<'_>, way: &Way) -> Result<Pass<'_>, Hold> {
        let doors = self.ways().admit(errand, way, self.clock.now())?;
        Ok(Pass { warden: self, doors, place: 0 })
    }

    /// A panic elsewhere leaves it usable: what it knows is only about the next moments.
    fn ways(&self) -> MutexGuard<'_, OpenWays> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, door: &Door, turn: &Turn) {
        let outlet = &*door.outlet;
        if door.group.is_some() {
            let gone = self.ways().groups_gone(door);
            gauge!(OUTLET_GROUPS_GONE, "corp" => door.corp.to_string(), "outlet" => outlet.to_owned()).set(gone as f64);
        } else {
            show_open(&door.corp, &door.outlet, matches!(turn, Turn::Opened));
        }
        let (corp, in_one_group) = (&*door.corp, door.group.is_some());
        match turn {
            Turn::Rests(reason) => tracing::warn!(corp, outlet, in_one_group, reason = &**reason, "暂时发不出消息,等一等再发"),
            Turn::Closed(reason) => tracing::error!(corp, outlet, in_one_group, reason = &**reason, "发不出消息,要人来处理;隔一阵会再试"),
            Turn::Opened => tracing::info!(corp, outlet, in_one_group, "又能发消息了"),
        }
    }
}

fn show_open(corp: &CorpName, outlet: &str, open: bool) {
    gauge!(OUTLET_OPEN, "corp" => corp.to_string(), "outlet" => outlet.to_owned()).set(f64::from(u8::from(open)));
}

/// A reply is let in. Its place is given back when it is dropped.
#[derive(Debug)]
pub struct Pass<'a> {
    warden: &'a Warden,
    doors: Vec<Door>,
    place: usize,
}

impl Pass<'_> {
    /// Which of the errand's ways it opened.
    pub fn place(&self) -> usize {
        self.place
    }

    /// What became of the request.
    pub fn learn(self, attempt: &Attempt) {
        let turns = self.warden.ways().learn(&self.doors, attempt, self.warden.clock.now());
        turns.iter().for_each(|(door, turn)| self.warden.announce(door, turn));
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.warden.ways().leave(&self.doors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Channel;
    use crate::model::ids::ReplyId;
    use crate::outbox::fakes::{START, destination};
    use crate::store::Destination;

    struct Stage {
        warden: Warden,
        clock: Clock,
    }

    impl Stage {
        fn new() -> Stage {
            let clock = Clock::starting_at(START);
            Stage { warden: Warden::new(&HashMap::new(), clock.clone()), clock }
        }

        /// What choosing among these ways comes to, and what then becomes of the request.
        fn sends(&self, destination: &Destination, ways: &[Way], attempt: &Attempt) -> Result<&'static str, Lasts> {
            let corp = "acme".into();
            let texts = ["你好".to_owned()];
            let errand = Errand { id: ReplyId(16), corp: &corp, destination, asked: true, ways, texts: &texts };
            let pass = self.warden.choose(&errand).map_err(|hold| hold.lasts)?;
            let way = ways[pass.place()].as_str();
            pass.learn(attempt);
            Ok(way)
        }

        fn later(&self, secs: i64) {
            self.clock.set(self.clock.now().plus_secs(secs));
        }
    }

    fn heard(chat: &str) -> Destination {
        destination(Channel::Archive, Some(chat), None)
    }

    fn held(trouble: Trouble) -> Attempt {
        Attempt::Held { trouble, reason: "原因".into() }
    }

    fn appchat(chat: &str) -> Way {
        Way::Appchat { app: "assistant".into(), chat: chat.into() }
    }

    fn private(to: &str) -> Way {
        Way::Private { app: "assistant".into(), to: to.into() }
    }

    fn webhook() -> Way {
        Way::Webhook { robot: "announcer".into(), chat: None, mention: None }
    }

    #[test]
    fn a_robot_taken_out_of_a_group_is_passed_over_there_and_nowhere_else() {
        let stage = Stage::new();
        let here = [webhook(), private("aming")];
        assert_eq!(stage.sends(&heard("wrGroup"), &here, &held(Trouble::Gone)), Ok("webhook"));
        assert_eq!(stage.sends(&heard("wrGroup"), &here, &Attempt::Sent), Ok("private"));
        assert_eq!(stage.sends(&heard("wrOther"), &here, &Attempt::Sent), Ok("webhook"));
        assert_eq!(stage.sends(&heard("wrGroup"), &here[..1], &Attempt::Sent), Err(Lasts::Gone));
        stage.later(600);
        assert_eq!(stage.sends(&heard("wrGroup"), &here, &Attempt::Sent), Ok("webhook"), "it is asked again");
        assert!(stage.warden.ways().health.keys().all(|door| door.group.is_none()), "groups that are well are not remembered");
    }

    #[test]
    fn a_stopped_app_is_waited_for_where_nothing_else_can_speak() {
        let stage = Stage::new();
        assert_eq!(stage.sends(&heard("wrGroup"), &[private("aming")], &held(Trouble::Stopped)), Ok("private"));
        assert!(matches!(stage.sends(&heard("wrGroup"), &[private("xiaohong")], &Attempt::Sent), Err(Lasts::Stopped(119..=121))));
        assert_eq!(stage.sends(&heard("wrGroup"), &[appchat("wrGroup"), webhook()], &Attempt::Sent), Ok("webhook"), "another outlet goes on");
    }

    #[test]
    fn a_limited_app_is_waited_for_although_there_is_another_way() {
        let stage = Stage::new();
        let ways = [webhook(), private("aming")];
        let limited = held(Trouble::Limited { window_secs: None });
        assert_eq!(stage.sends(&heard("wrGroup"), &ways, &limited), Ok("webhook"));
        assert!(matches!(stage.sends(&heard("wrGroup"), &ways, &Attempt::Sent), Err(Lasts::Secs(59..=61))));
        stage.later(61);
        assert_eq!(stage.sends(&heard("wrGroup"), &ways, &Attempt::Sent), Ok("webhook"));
    }

    #[test]
    fn the_twenty_first_message_of_a_robot_waits_and_another_robot_does_not() {
        let stage = Stage::new();
        (0..20).for_each(|_| assert_eq!(stage.sends(&heard("wrGroup"), &[webhook()], &Attempt::Sent), Ok("webhook")));
        assert!(matches!(stage.sends(&heard("wrOther"), &[webhook()], &Attempt::Sent), Err(Lasts::Secs(_))), "one robot, two groups");
        let other = Way::Webhook { robot: "second".into(), chat: None, mention: None };
        assert_eq!(stage.sends(&heard("wrThird"), &[other], &Attempt::Sent), Ok("webhook"));
    }

    #[test]
    fn an_ai_bot_that_said_too_much_leaves_the_answer_to_the_next_way() {
        let stage = Stage::new();
        let asked = destination(Channel::Aibot, Some("wrGroup"), Some("https://api.test/response"));
        let ways = [Way::ResponseUrl("https://api.test/response".into()), private("aming")];
        (0..30).for_each(|_| assert_eq!(stage.sends(&asked, &ways, &Attempt::Sent), Ok("response_url")));
        assert_eq!(stage.sends(&asked, &ways, &Attempt::Sent), Ok("private"));
    }

    #[test]
    fn a_pass_that_is_lost_gives_its_place_back() {
        let stage = Stage::new();
        let corp = "acme".into();
        let texts = ["你好".to_owned()];
        let (destination, ways) = (heard("wrGroup"), [webhook()]);
        let errand = Errand { id: ReplyId(16), corp: &corp, destination: &destination, asked: true, ways: &ways, texts: &texts };
        drop(stage.warden.choose(&errand).expect("open"));
        assert!(stage.warden.ways().health.values().all(Health::is_plain));
    }
}
