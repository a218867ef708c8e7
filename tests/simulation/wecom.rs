//! WeCom as the outbox meets it: takes messages, refuses them, asks for patience, loses answers, throws robots out.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jifen::clock::Clock;
use jifen::model::day::Millis;
use jifen::model::ids::CorpName;
use jifen::outbox::route::Way;
use jifen::outbox::send::{Attempt, Sender};
use jifen::wecom::outcome::Trouble;

use crate::rng::Rng;

/// Messages a robot may send in a minute (developer.work.weixin.qq.com/document/path/91770).
pub const ROBOT_A_MINUTE: usize = 20;
const MINUTE_MILLIS: i64 = 60_000;

/// How it is with WeCom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Everything arrives.
    Calm,
    /// A third of the calls meet an error of some kind.
    Rough,
    /// No connection.
    Down,
    /// Messages go in, answers do not come out.
    Mute,
    /// The robots were thrown out of their groups.
    Kicked,
}

/// A text that people saw.
#[derive(Debug, Clone)]
pub struct Shown {
    /// When, by WeCom's clock.
    pub at: Millis,
    /// When, by the daemon's.
    pub clock: Millis,
    /// The reply and the place of the text in it.
    pub reply: (i64, usize),
    /// To one member alone.
    pub is_private: bool,
    /// The answer was lost on the way back.
    pub is_unanswered: bool,
}

/// WeCom.
pub struct WeCom {
    rng: Rng,
    pub now: Millis,
    pub weather: Weather,
    pub shown: Vec<Shown>,
    pub flying: usize,
    used_addresses: HashSet<Arc<str>>,
    /// Marks of the messages to members that were shown.
    marks: HashSet<(CorpName, u64, String)>,
    robot_times: VecDeque<(String, Millis)>,
    /// Calls of a robot over its minute.
    pub over_limit: u64,
    pub trace: Vec<String>,
}

/// What becomes of a call: whether people see it, how long the answer takes, what it says.
struct Fate {
    is_shown: bool,
    millis: u64,
    attempt: Attempt,
}

impl WeCom {
    pub fn new(seed: u64, now: Millis) -> Self {
        WeCom {
            rng: Rng::new(seed, 2),
            now,
            weather: Weather::Calm,
            shown: Vec::new(),
            flying: 0,
            used_addresses: HashSet::new(),
            marks: HashSet::new(),
            robot_times: VecDeque::new(),
            over_limit: 0,
            trace: Vec::new(),
        }
    }

    /// Another weather, calm half of the time.
    pub fn change(&mut self) {
        use Weather::{Calm, Down, Kicked, Mute, Rough};
        self.weather = self.rng.pick(&[Calm, Calm, Calm, Rough, Rough, Down, Mute, Kicked]);
    }

    fn fate(&mut self, corp: &CorpName, way: &Way) -> Fate {
        if let Some(refused) = self.refusal(corp, way) {
            return refused;
        }
        let quick = self.rng.range(5, 800) as u64;
        let unshown = |attempt| Fate { is_shown: false, millis: quick, attempt };
        let lost = |is_shown| Fate { is_shown, millis: 10_000, attempt: Attempt::Unknown("请求已发出,没有等到答复".into()) };
        match self.weather {
            Weather::Calm | Weather::Kicked => shown(quick),
            Weather::Down => unshown(Attempt::Unreachable("连不上".into())),
            Weather::Mute => lost(self.rng.once_in_a_while(500)),
            Weather::Rough => match self.rng.range(0, 21) {
                0 => unshown(Attempt::Retry { after_secs: 0, reason: "-1".into() }),
                1 => unshown(held(Trouble::Limited { window_secs: Some(60) })),
                2 => unshown(held(Trouble::NoToken { after_secs: 30 })),
                3 => unshown(Attempt::Refused("81013".into())),
                4 => lost(true),
                5 => lost(false),
                6 => Fate { is_shown: true, millis: quick, attempt: Attempt::Unknown("答复看不懂".into()) },
                7 => unshown(Attempt::Unreachable("连不上".into())),
                _ => shown(quick),
            },
        }
    }

    /// What WeCom refuses in any weather.
    fn refusal(&mut self, corp: &CorpName, way: &Way) -> Option<Fate> {
        let refused = |attempt| Some(Fate { is_shown: false, millis: 20, attempt });
        match way {
            Way::ResponseUrl(url) if !self.used_addresses.insert(url.clone()) => refused(Attempt::Refused("40058".into())),
            Way::Webhook { .. } if self.weather == Weather::Kicked => refused(held(Trouble::Gone)),
            Way::Webhook { robot, .. } => {
                let (name, now) = (format!("{corp}/{robot}"), self.now);
                self.robot_times.retain(|(_, at)| now.0 - at.0 < MINUTE_MILLIS);
                if self.robot_times.iter().filter(|(other, _)| *other == name).count() >= ROBOT_A_MINUTE {
                    self.over_limit += 1;
                    return refused(held(Trouble::Limited { window_secs: Some(60) }));
                }
                self.robot_times.push_back((name, now));
                None
            }
            Way::ResponseUrl(_) | Way::RobotUrl { .. } | Way::Appchat { .. } | Way::Private { .. } => None,
        }
    }
}

fn shown(millis: u64) -> Fate {
    Fate { is_shown: true, millis, attempt: Attempt::Sent }
}

fn held(trouble: Trouble) -> Attempt {
    Attempt::Held { trouble, reason: "simulated".into() }
}

/// The outbox's way to WeCom.
pub struct Line {
    pub wecom: Arc<Mutex<WeCom>>,
    pub clock: Clock,
}

impl Sender for Line {
    async fn send(&self, corp: &CorpName, way: &Way, text: &str, mark: u64) -> Attempt {
        let flight = Flight::begin(&self.wecom);
        let fate = {
            let mut wecom = self.wecom.lock().expect("no panic");
            let fate = wecom.fate(corp, way);
            let line = format!("{} {corp} {} {:?} shown={} {:?}", wecom.now.0, way.as_str(), marks(text), fate.is_shown, fate.attempt);
            wecom.trace.push(line);
            fate
        };
        tokio::time::sleep(Duration::from_millis(fate.millis / 2)).await;
        if fate.is_shown {
            let mut wecom = self.wecom.lock().expect("no panic");
            let (at, clock, is_unanswered) = (wecom.now, self.clock.now(), fate.attempt != Attempt::Sent);
            let is_private = matches!(way, Way::Private { .. });
            // A repetition of a message to a member is taken and not shown (90236, `enable_duplicate_check`).
            let is_dropped = is_private && !wecom.marks.insert((corp.clone(), mark, text.to_owned()));
            let text = if is_dropped { "" } else { text };
            wecom.shown.extend(marks(text).into_iter().map(|reply| Shown { at, clock, reply, is_private, is_unanswered }));
        }
        tokio::time::sleep(Duration::from_millis(fate.millis / 2)).await;
        drop(flight);
        fate.attempt
    }
}

/// A call under way, however it ends.
struct Flight(Arc<Mutex<WeCom>>);

impl Flight {
    fn begin(wecom: &Arc<Mutex<WeCom>>) -> Flight {
        wecom.lock().expect("no panic").flying += 1;
        Flight(wecom.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.lock().expect("no panic").flying -= 1;
    }
}

/// Marks a text as one of a reply's.
pub fn marked(reply: i64, place: usize, text: &str) -> String {
    format!("⟪{reply}.{place}⟫{text}")
}

/// The marks in a text.
fn marks(text: &str) -> Vec<(i64, usize)> {
    let inside = |part: &str| {
        let (reply, place) = part.split_once('⟫')?.0.split_once('.')?;
        Some((reply.parse().ok()?, place.parse().ok()?))
    };
    text.split('⟪').skip(1).filter_map(inside).collect()
}
