//! The daemon as one process: the pipeline, its writer taken step by step, and the outbox's own loop on a runtime of one thread and
//! of virtual time. Dropping it is a crash.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use jifen::model::day::Millis;
use jifen::model::event::Channel;
use jifen::model::ids::{CorpName, FingerprintKey, ReplyId};
use jifen::outbox::announce::{Announced, Announcement};
use jifen::outbox::desk::{Composed, Desk, Opened, ReaderDesk};
use jifen::outbox::manners::Room;
use jifen::outbox::remember::Said;
use jifen::outbox::route::{Outlet, Outlets};
use jifen::outbox::{Inbox, Ledger, Outbox, Voice};
use jifen::pipeline::{Done, Listener, Pipeline, Work};
use jifen::rules::Prepared;
use jifen::rules::campaign::Rules;
use jifen::scheduler::{Scheduler, Step};
use jifen::store::{Batch, ReplyOutcome, Store, StoreError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::disk::{Disk, Flaky};
use crate::wecom::{Line, marked};
use crate::world::{CORPS, Delivery, INNER};

/// How often tasks are polled between two batches: a reply's way from claim to request has fewer turns.
const POLLS: usize = 8;
/// Batches until a process that only writes counts as hanging.
const BATCHES_MAX: usize = 10_000;

/// What waits for the writer.
enum Job {
    Hear(Box<Prepared>, Delivery),
    Settle(Vec<ReplyOutcome>, oneshot::Sender<Result<(), String>>),
}

type Jobs = Arc<Mutex<VecDeque<Job>>>;

/// What the world learns of its messages.
#[derive(Debug, Clone)]
pub enum News {
    /// Answered 200.
    Acked(Delivery, Done),
    /// Answered 503.
    Failed(Delivery),
    /// Nobody knows what was written; the process must end.
    Died,
}

/// A running daemon.
pub struct Process {
    pipeline: Pipeline<Flaky>,
    scheduler: Scheduler,
    rules: Arc<ArcSwap<Rules>>,
    jobs: Jobs,
    /// Deliveries of the batch under way that were not answered yet.
    asking: Vec<Delivery>,
    inbox: Inbox,
    // `None` once it was stopped.
    stop: Option<oneshot::Sender<()>>,
    outbox: JoinHandle<()>,
    // Last, so that its tasks die after what they borrow from nobody.
    runtime: Runtime,
}

/// What a process is made of.
pub struct Parts<'a> {
    pub disk: &'a Disk,
    pub store: Flaky,
    pub rules: Arc<Rules>,
    pub line: Line,
    pub promised: Arc<Mutex<Vec<ReplyId>>>,
    /// Whether the outbox says that it has no room.
    pub is_full: bool,
}

impl Process {
    /// Starts it.
    pub fn start(mut parts: Parts<'_>) -> Process {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without IO can be made");
        let newest = parts.store.store.begin().expect("a sound store can be read").event;
        parts.store.abort();
        let (jobs, clock) = (Jobs::default(), parts.line.clock.clone());
        let desk = Marking(ReaderDesk::new(parts.disk.reader()));
        let outbox = Outbox::new(parts.line, Queued(jobs.clone()), desk, voices(), clock);
        let inbox = outbox.inbox();
        let rules = Arc::new(ArcSwap::new(parts.rules));
        let ear = Ear { inbox: inbox.clone(), promised: parts.promised, is_full: parts.is_full };
        let pipeline = Pipeline::new(parts.store, rules.clone(), FingerprintKey::new(b"simulation"), Box::new(ear));
        let scheduler = Scheduler::new(parts.disk.reader(), Channel::House).with_chunk(3);
        let (stop, stopped) = oneshot::channel::<()>();
        let outbox = runtime.spawn(outbox.run(newest, async move { drop(stopped.await) }));
        Process { pipeline, scheduler, rules, jobs, asking: Vec::new(), inbox, stop: Some(stop), outbox, runtime }
    }

    /// Other rules are live from the next batch on.
    pub fn set_rules(&self, rules: Arc<Rules>) {
        self.rules.store(rules);
    }

    /// Queues an event for the writer, prepared under the rules live by now.
    pub fn hear(&self, event: jifen::model::event::Event, delivery: Delivery) {
        let prepared = self.pipeline.prepare(&self.pipeline.rules(), event);
        self.queue().push_back(Job::Hear(Box::new(prepared), delivery));
    }

    /// Writes what waits, at most so many works at once, and lets everybody react, until nothing waits or `news` says to crash.
    pub fn write(&mut self, batch_max: usize, mut news: impl FnMut(News) -> bool) -> bool {
        for _ in 0..BATCHES_MAX {
            self.runtime.block_on(async {
                for _ in 0..POLLS {
                    tokio::task::yield_now().await;
                }
            });
            if self.queue().is_empty() {
                return true;
            }
            if !self.write_batch(batch_max, &mut news) {
                return false;
            }
        }
        panic!("the writer never comes to rest");
    }

    fn write_batch(&mut self, batch_max: usize, news: &mut impl FnMut(News) -> bool) -> bool {
        let jobs: Vec<Job> = {
            let mut queue = self.queue();
            let count = queue.len().min(batch_max);
            queue.drain(..count).collect()
        };
        let works: Vec<Work> = jobs.iter().map(Job::work).collect();
        self.asking = jobs.iter().filter_map(Job::delivery).collect();
        let result = self.pipeline.run(&works);
        if matches!(result, Err(StoreError::Unknown(_))) {
            news(News::Died);
            return false;
        }
        for (place, job) in jobs.into_iter().enumerate() {
            let answer = result.as_ref().map(|done| done[place]).map_err(ToString::to_string);
            match job {
                Job::Hear(_, delivery) => {
                    self.asking.remove(0);
                    let told = answer.map_or(News::Failed(delivery), |done| News::Acked(delivery, done));
                    if !news(told) {
                        return false;
                    }
                }
                // An outbox that has stopped needs no answer.
                Job::Settle(_, to) => drop(to.send(answer.map(|_| ()))),
            }
        }
        true
    }

    /// Does what is due by the clock, step by step; what fails comes again. `false` when the writer died of it.
    pub fn tick(&mut self, now: Millis) -> bool {
        loop {
            let rules = self.pipeline.rules();
            let events = match self.scheduler.step(&rules, now).expect("a sound store can be read") {
                Step::Rest(_) => return true,
                Step::Submit(events) => events,
            };
            let works: Vec<Work> = events.into_iter().map(|event| Work::Hear(Box::new(self.pipeline.prepare(&rules, event)))).collect();
            match self.pipeline.run(&works) {
                Ok(_) => self.scheduler.done(&rules, now),
                Err(StoreError::Unknown(_)) => return false,
                Err(StoreError::Aborted(_) | StoreError::Corrupt(_) | StoreError::Damaged(_)) => return true,
            }
        }
    }

    /// Deliveries that nobody answered.
    pub fn unanswered(&self) -> Vec<Delivery> {
        let queue = self.queue();
        self.asking.iter().copied().chain(queue.iter().filter_map(Job::delivery)).collect()
    }

    /// Lets virtual time pass.
    pub fn sleep(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Open replies in memory.
    pub fn depth(&self) -> usize {
        self.inbox.depth()
    }

    /// Asks the outbox to stop; whether it has.
    pub fn stops(&mut self) -> bool {
        drop(self.stop.take());
        self.outbox.is_finished()
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().expect("no panic")
    }
}

impl Job {
    fn delivery(&self) -> Option<Delivery> {
        match self {
            Job::Hear(_, delivery) => Some(*delivery),
            Job::Settle(..) => None,
        }
    }

    fn work(&self) -> Work {
        match self {
            Job::Hear(prepared, _) => Work::Hear(prepared.clone()),
            Job::Settle(outcomes, _) => Work::Settle(outcomes.clone()),
        }
    }
}

/// The ledger as the outbox sees it: queued behind the events.
struct Queued(Jobs);

impl Ledger for Queued {
    async fn settle(&self, outcomes: Vec<ReplyOutcome>) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        self.0.lock().expect("no panic").push_back(Job::Settle(outcomes, answer));
        answered.await.unwrap_or(Err("the writer is gone".into()))
    }
}

/// A desk that marks each text with its reply, so that WeCom's side can tell whose it is.
struct Marking(ReaderDesk);

impl Desk for Marking {
    fn held(&mut self) -> Result<bool, String> {
        self.0.held()
    }

    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Vec<Opened>, String> {
        self.0.open(from, limit)
    }

    fn remembers_from(&mut self, now: Millis) -> Result<ReplyId, String> {
        self.0.remembers_from(now)
    }

    fn said(&mut self, from: ReplyId, limit: usize) -> Result<(Vec<Said>, Option<ReplyId>), String> {
        self.0.said(from, limit)
    }

    fn compose(&mut self, id: ReplyId, room: Room, now: Millis) -> Composed {
        match self.0.compose(id, room, now) {
            Composed::Say { row, texts } => {
                let texts = texts.iter().enumerate().map(|(place, text)| marked(row.id.0, place, text)).collect();
                Composed::Say { row, texts }
            }
            other => other,
        }
    }

    fn announce(&mut self, ids: &[ReplyId], now: Millis) -> Announced {
        let mut announced = self.0.announce(ids, now);
        if let Announcement::Say { covers, texts, .. } = &mut announced.rest
            && let Some(first) = texts.first_mut()
        {
            // Told together, so in no order.
            let ids: BTreeSet<ReplyId> = covers.iter().copied().collect();
            *first = ids.iter().rev().fold(std::mem::take(first), |text, id| marked(id.0, 0, &text));
        }
        announced
    }
}

/// Hands committed replies to the outbox, and remembers that they were promised.
struct Ear {
    inbox: Inbox,
    promised: Arc<Mutex<Vec<ReplyId>>>,
    is_full: bool,
}

impl Listener for Ear {
    fn has_room(&self) -> bool {
        !self.is_full && !self.inbox.is_full()
    }

    fn committed(&self, batch: &Batch) {
        self.promised.lock().expect("no panic").extend(batch.replies.iter().map(|row| row.id));
        self.inbox.push(&batch.replies);
    }

    fn disturbed(&self) {
        self.inbox.disturb();
    }
}

fn voices() -> HashMap<CorpName, Voice> {
    let outlet = |name: &str, groups: &[&str]| Outlet { name: name.into(), groups: groups.iter().map(|&group| group.into()).collect() };
    let voice = |corp: &str| Voice {
        api_base: format!("https://{corp}.test").into(),
        outlets: Outlets { apps: vec![outlet("app", &[])], robots: vec![outlet("announcer", &[INNER])] },
    };
    CORPS.iter().map(|&corp| (corp.into(), voice(corp))).collect()
}
