//! A long run under load: lives that end in faults of all kinds, then one quiet life whose memory must stay where it is.
//! `scripts/soak MINUTES` makes it as long as wanted; the usual run is a few seconds.

use std::fs;
use std::time::Duration;

use jifen::failpoint::POINTS;
use jifen::store::Reader;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::double::Double;
use crate::history::{History, replies_must_agree};
use crate::house::{Daemon, House, RULES};
use crate::senders::Chance;
use crate::wecom::{Callback, app_text, now_secs};

/// Length of a usual run, in minutes.
const MINUTES: f64 = 0.1;
/// A life that meets no fault is ended after this.
const LIFE: Duration = Duration::from_secs(8);
/// How often memory is told.
const TELL_EVERY: Duration = Duration::from_secs(10);
const SENDERS: usize = 4;
const MEMBERS: usize = 300;
/// Messages sent between two looks at the process.
const ROUND: usize = 200;
/// A message may be so late.
const LATE_SECS_MAX: usize = 3 * 86_400;
/// What the quiet life may grow by from its first quarter to its end, in KiB, beside a quarter of what it had: caches that fill.
const GROWTH_KIB_MAX: u64 = 24 * 1024;
/// Places where an error can happen.
const FALLIBLE: [&str; 5] = ["http.body_read", "ledger.begin", "ledger.before_commit", "token.refresh", "wecom.request_sent"];

fn length() -> Duration {
    let minutes = std::env::var("JIFEN_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(MINUTES);
    Duration::from_secs_f64(60.0 * minutes)
}

/// A house, its daemons and the members who write all the while.
struct Soak {
    house: House,
    double: Double,
    history: History,
    chance: Chance,
    /// Not answered 200 yet.
    open: Vec<Callback>,
    messages: u64,
    lives: usize,
    began: Instant,
    told: Instant,
}

impl Soak {
    async fn begin() -> Soak {
        let (double, chance) = (Double::new(), Chance::seeded());
        let house = House::with_api("soak", RULES, &double.open().await);
        let now = Instant::now();
        Soak { house, double, history: History::of_a_bad_disk(), chance, open: Vec::new(), messages: 0, lives: 0, began: now, told: now }
    }

    /// What befalls the next life.
    fn fault(&mut self) -> String {
        let nth = 1 + self.chance.below(300);
        let point = POINTS[self.chance.below(POINTS.len())];
        match self.chance.below(6) {
            0 | 1 => format!("{point}=abort@{nth}"),
            2 => format!("{point}=panic@{nth}"),
            3 => format!("{}=error@{nth}", FALLIBLE[self.chance.below(FALLIBLE.len())]),
            4 => format!("{point}=delay({})@{nth}", 1 + self.chance.below(1_000)),
            _ => String::new(),
        }
    }

    fn message(&mut self) -> Callback {
        self.messages += 1;
        let who = format!("member{}", self.chance.below(MEMBERS));
        let late = if self.chance.below(10) == 0 { self.chance.below(LATE_SECS_MAX) as i64 } else { 0 };
        let text = match self.chance.below(4) {
            0 => "签到".to_owned(),
            1 => "积分".to_owned(),
            _ => format!("今天骑了{}公里,天气很好", self.chance.below(1_000)),
        };
        app_text(self.messages, &who, now_secs() - late, &text)
    }

    /// New messages, what is open, and some twice.
    async fn round(&mut self, daemon: &Daemon) {
        let mut sent = std::mem::take(&mut self.open);
        while sent.len() < ROUND {
            let message = self.message();
            if self.chance.below(10) == 0 {
                sent.push(message.clone());
            }
            sent.push(message);
        }
        self.chance.shuffle(&mut sent);
        self.history.send(daemon, &sent, SENDERS).await;
        self.open = self.history.open(&sent);
        self.open.sort_by(|one, other| one.id.cmp(&other.id));
        self.open.dedup_by(|one, other| one.id == other.id);
    }

    fn tell(&mut self, daemon: &Daemon, what: &str) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let kib = resident_kib(daemon).unwrap_or_default();
            println!("{:>5} s  {what}  lives {}  messages {}  resident {kib} KiB", self.began.elapsed().as_secs(), self.lives, self.messages);
        }
    }

    /// One life under load, until its fault ends it or it has lasted long enough.
    async fn live(&mut self, ends: Instant) {
        let fault = self.fault();
        let mut command = self.house.serve();
        command.env("FAILPOINTS", &fault);
        self.lives += 1;
        // A fault at the start is a life too.
        let Ok(mut daemon) = Daemon::start(command, self.house.path("stderr.log")).await else { return };
        let until = ends.min(Instant::now() + LIFE);
        while daemon.has_ended().is_none() && Instant::now() < until {
            self.round(&daemon).await;
            self.tell(&daemon, "faults");
        }
        if daemon.has_ended().is_none() {
            daemon.signal(if self.chance.below(2) == 0 { Signal::KILL } else { Signal::TERM });
        }
        daemon.end().await;
    }

    /// One life without a fault: memory after its first quarter and at its end, in KiB.
    async fn live_quietly(&mut self, lasts: Duration) -> (u64, u64) {
        let daemon = self.house.open().await;
        let (began, mut early) = (Instant::now(), None);
        while began.elapsed() < lasts {
            self.round(&daemon).await;
            self.tell(&daemon, "quiet ");
            if early.is_none() && began.elapsed() > lasts / 4 {
                early = resident_kib(&daemon);
            }
        }
        let late = resident_kib(&daemon).expect("it lives");
        let open = std::mem::take(&mut self.open);
        self.history.settle(&daemon, &open, SENDERS).await;
        assert_eq!(daemon.stop().await, Some(0));
        (early.unwrap_or(late), late)
    }
}

/// Memory in use now; `None` when the process is gone.
fn resident_kib(daemon: &Daemon) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_run_of_faults_loses_nothing_and_a_long_quiet_life_takes_no_more_memory() {
    let (mut soak, length) = (Soak::begin().await, length());
    let ends = soak.began + length * 2 / 3;
    while Instant::now() < ends {
        soak.live(ends).await;
        if soak.lives % 10 == 0 {
            soak.history.must_agree(&soak.house);
        }
    }
    let (early, late) = soak.live_quietly(length / 3).await;
    soak.history.must_agree(&soak.house);
    replies_must_agree(&soak.house, &soak.double);
    soak.house.must_verify();
    let events = soak.house.reader().head().unwrap().event.0;
    println!("{} lives, {events} events, memory of the quiet life {early} KiB, then {late} KiB", soak.lives);
    assert!(late <= early + early / 4 + GROWTH_KIB_MAX, "{early} KiB, then {late} KiB");
}
