//! One seed: the world's messages arrive at a daemon that crashes, whose disk fails and whose clock jumps, beside a WeCom in all weathers.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jifen::clock::Clock;
use jifen::model::day::Millis;
use jifen::model::ids::ReplyId;

use crate::disk::{Disk, Flaky, Odds};
use crate::process::{News, Parts, Process};
use crate::rng::Rng;
use crate::wecom::{Line, WeCom, Weather};
use crate::world::{Delivery, World};

/// Virtual time of one step.
const STEP_MILLIS: i64 = 250;
/// The same where no request is under way: nothing needs finer time.
const IDLE_STEP_MILLIS: i64 = 1_000;
/// Steps with an empty outbox until the next arrival is awaited at once: longer than closings are gathered.
const QUIET_STEPS: u32 = 6;
/// WeCom repeats a callback that was not answered, after a few seconds, twice.
const ATTEMPTS: u32 = 3;
const RETRY_SECS: i64 = 5;
/// Steps after the last arrival until everything must have come to rest: longer than an asked answer lives.
const DRAIN_STEPS: u32 = 20_000;

/// What is left of a seed.
pub struct Past {
    pub world: World,
    pub disk: Disk,
    pub acked: HashSet<Delivery>,
    pub tried: HashSet<Delivery>,
    pub promised: HashSet<ReplyId>,
    pub wecom: Arc<Mutex<WeCom>>,
    /// When the daemon's clock was stepped, by the true time.
    pub clock_steps: Vec<Millis>,
    pub crashes: u32,
    /// Callbacks that were answered 503.
    pub failed: u32,
    /// Writers that died of a commit whose outcome nobody knows.
    pub deaths: u32,
    pub trace: Trace,
}

/// What happened, line by line.
#[derive(Debug, Default)]
pub struct Trace {
    pub lines: Vec<String>,
}

impl Trace {
    /// One number for all of it.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.lines.hash(&mut hasher);
        hasher.finish()
    }
}

/// The chances of a seed, in a thousand: of a crash at each moment, of other rules and a stepped clock at each arrival.
struct Chances {
    crash: u64,
    rules: u64,
    clock: u64,
    odds: Odds,
}

struct Simulation {
    rng: Rng,
    chances: Chances,
    now: Millis,
    clock: Clock,
    skew_millis: i64,
    /// What arrives when; the number keeps one instant's in order.
    agenda: BTreeMap<(Millis, u64), Delivery>,
    numbered: u64,
    version: usize,
    promised: Arc<Mutex<Vec<ReplyId>>>,
    store_rng: Arc<Mutex<Rng>>,
    odds: Arc<Mutex<Odds>>,
    past: Past,
}

/// Lives a seed to its end. `arrivals_max` cuts the world off after so many first arrivals.
pub fn live(seed: u64, arrivals_max: usize) -> Past {
    let mut simulation = Simulation::new(seed, arrivals_max);
    simulation.run();
    simulation.past
}

impl Simulation {
    fn new(seed: u64, arrivals_max: usize) -> Self {
        let mut rng = Rng::new(seed, 3);
        let world = World::new(seed);
        let agenda: BTreeMap<(Millis, u64), Delivery> =
            world.arrivals.iter().take(arrivals_max).enumerate().map(|(number, (at, delivery))| ((*at, number as u64), *delivery)).collect();
        let now = agenda.keys().next().map_or(Millis(0), |(at, _)| *at);
        let odds = Odds { aborted: rng.pick(&[0, 20, 80]), unknown: rng.pick(&[0, 5, 20]) };
        let chances = Chances { crash: rng.pick(&[0, 4, 15]), rules: rng.pick(&[0, 30, 100]), clock: rng.pick(&[0, 0, 30]), odds };
        let past = Past {
            disk: Disk::new(seed),
            wecom: Arc::new(Mutex::new(WeCom::new(seed, now))),
            world,
            acked: HashSet::new(),
            tried: HashSet::new(),
            promised: HashSet::new(),
            clock_steps: Vec::new(),
            crashes: 0,
            failed: 0,
            deaths: 0,
            trace: Trace::default(),
        };
        Simulation {
            numbered: agenda.len() as u64,
            rng,
            now,
            clock: Clock::standing_at(now),
            skew_millis: 0,
            agenda,
            version: 0,
            promised: Arc::default(),
            store_rng: Arc::new(Mutex::new(Rng::new(seed, 4))),
            odds: Arc::new(Mutex::new(chances.odds)),
            chances,
            past,
        }
    }

    fn run(&mut self) {
        let mut process = self.start();
        while !self.agenda.is_empty() {
            process = self.meet_arrivals(process);
            process = self.pass_time(process);
        }
        self.heal();
        self.stop(process);
        // Whatever was left claimed is closed by a start.
        self.note("start for the last time");
        let mut process = self.start();
        let mut quiet = 0;
        for _ in 0..DRAIN_STEPS {
            process = self.step(process);
            quiet = if process.depth() == 0 { quiet + 1 } else { 0 };
            if quiet > QUIET_STEPS {
                break;
            }
        }
        self.stop(process);
        let told = std::mem::take(&mut *self.promised.lock().expect("no panic"));
        self.past.promised.extend(told);
        let calls = std::mem::take(&mut self.past.wecom.lock().expect("no panic").trace);
        self.past.trace.lines.extend(calls);
    }

    /// Stops in good order.
    fn stop(&mut self, mut process: Process) {
        while !process.stops() {
            process = self.step(process);
        }
        self.step(process);
    }

    fn start(&mut self) -> Process {
        let store = Flaky { store: self.past.disk.open(), rng: self.store_rng.clone(), odds: self.odds.clone() };
        let is_full = self.rng.once_in_a_while(20);
        Process::start(Parts {
            disk: &self.past.disk,
            store,
            rules: self.past.world.versions[self.version].rules.clone(),
            line: Line { wecom: self.past.wecom.clone(), clock: self.clock.clone() },
            promised: self.promised.clone(),
            is_full,
        })
    }

    /// No more failures.
    fn heal(&mut self) {
        self.chances = Chances { crash: 0, rules: 0, clock: 0, odds: Odds::default() };
        *self.odds.lock().expect("no panic") = Odds::default();
        self.past.wecom.lock().expect("no panic").weather = Weather::Calm;
    }

    /// Hands in what arrives at the next instant, now and then under other rules, with another clock, in another weather.
    fn meet_arrivals(&mut self, process: Process) -> Process {
        let Some((&(at, _), _)) = self.agenda.first_key_value() else { return process };
        self.advance_to(at.max(self.now));
        if self.rng.once_in_a_while(self.chances.rules) {
            self.change_rules(&process);
        }
        if self.rng.once_in_a_while(self.chances.clock) {
            self.step_clock();
        }
        if self.rng.once_in_a_while(60) {
            self.past.wecom.lock().expect("no panic").change();
        }
        let changes_after = self.rng.once_in_a_while(self.chances.rules);
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let delivery = entry.remove();
            self.past.tried.insert(Delivery { failed: 0, ..delivery });
            process.hear(self.past.world.event(delivery, self.clock.now()), delivery);
        }
        if changes_after {
            self.change_rules(&process);
        }
        self.step(process)
    }

    fn change_rules(&mut self, process: &Process) {
        self.version = self.rng.range(0, self.past.world.versions.len() as i64) as usize;
        self.note(&format!("rules {}", self.version));
        process.set_rules(self.past.world.versions[self.version].rules.clone());
    }

    /// Steps until the next arrival, or until there is nothing to do before it.
    fn pass_time(&mut self, mut process: Process) -> Process {
        let mut quiet = 0;
        while quiet <= QUIET_STEPS && self.agenda.first_key_value().is_some_and(|((at, _), _)| *at > self.now) {
            process = self.step(process);
            quiet = if process.depth() == 0 { quiet + 1 } else { 0 };
        }
        process
    }

    /// Writes what waits, then lets a little time pass. Now and then the process crashes on the way.
    fn step(&mut self, mut process: Process) -> Process {
        let batch_max = self.rng.pick(&[1, 3, 64, 1024]);
        if !process.tick(self.clock.now()) {
            self.past.deaths += 1;
            return self.crash(process);
        }
        if !process.write(batch_max, |news| self.hears(news)) || self.rng.once_in_a_while(self.chances.crash) {
            return self.crash(process);
        }
        let is_flying = self.past.wecom.lock().expect("no panic").flying > 0;
        process.sleep(Duration::from_millis(STEP_MILLIS as u64));
        self.advance_to(Millis(self.now.0 + if is_flying { STEP_MILLIS } else { IDLE_STEP_MILLIS }));
        process
    }

    /// What became of a delivery. `false` to crash on the spot, before the next one is answered.
    fn hears(&mut self, news: News) -> bool {
        match news {
            News::Acked(delivery, done) => {
                if self.rng.once_in_a_while(self.chances.crash) {
                    self.note(&format!("{delivery:?} is event {} and was not answered", done.seq));
                    self.try_again(delivery);
                    return false;
                }
                self.note(&format!("{delivery:?} is event {}, known {}", done.seq, done.known));
                self.past.acked.insert(Delivery { failed: 0, ..delivery });
            }
            News::Failed(delivery) => {
                self.past.failed += 1;
                self.try_again(delivery);
            }
            News::Died => {
                self.past.deaths += 1;
                self.note("the writer died");
            }
        }
        true
    }

    fn try_again(&mut self, delivery: Delivery) {
        let delivery = Delivery { failed: delivery.failed + 1, ..delivery };
        if delivery.failed < ATTEMPTS {
            self.numbered += 1;
            self.agenda.insert((self.now.plus_secs(RETRY_SECS), self.numbered), delivery);
        } else {
            self.note(&format!("{delivery:?} is given up"));
        }
    }

    /// Everything in RAM is gone; who waited for an answer asks again.
    fn crash(&mut self, process: Process) -> Process {
        let unanswered = process.unanswered();
        drop(process);
        self.past.crashes += 1;
        self.note("crash");
        unanswered.into_iter().for_each(|delivery| self.try_again(delivery));
        self.start()
    }

    fn step_clock(&mut self) {
        self.skew_millis += self.rng.pick(&[-86_400_000, -3_600_000, -30_000, 45_000, 3_600_000]);
        self.past.clock_steps.push(self.now);
        self.note(&format!("the clock is {} s off", self.skew_millis / 1000));
        self.advance_to(self.now);
    }

    fn advance_to(&mut self, now: Millis) {
        self.now = now;
        self.clock.set(Millis(now.0 + self.skew_millis));
        self.past.wecom.lock().expect("no panic").now = now;
    }

    fn note(&mut self, line: &str) {
        let calls = std::mem::take(&mut self.past.wecom.lock().expect("no panic").trace);
        self.past.trace.lines.extend(calls);
        self.past.trace.lines.push(format!("{} {line}", self.now.0));
    }
}
