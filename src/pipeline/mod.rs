//! The pipeline: takes all events that wait, decides them, writes them in one transaction, then answers every waiter.
//!
//! One thread owns the store. At rest a callback waits for nobody; under load one fsync serves many. There is no timer:
//! the fsync itself is the timer (a fixed wait only loses).

mod batch;
mod working;
mod people;
mod booking;
mod late;
mod repair;
mod twin;
mod proofs;
pub mod merge;
pub mod unmerge;
pub mod keep;
pub mod unpark;
pub mod unparker;
pub mod recall;
pub mod command;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::failpoint;
use crate::model::day::Millis;
use crate::model::event::Event;
use crate::model::ids::{EventSeq, FingerprintKey};
use crate::rules::Prepared;
use crate::rules::campaign::Rules;
use crate::rules::decide::hear;
use crate::store::{Batch, ReplyOutcome, Store, StoreError};

use command::Operators;

/// Events that may wait. A full queue is a 503 at once, so that WeCom's second attempt finds room: 8 192 is a third of a second of work.
pub const QUEUE_MAX: usize = 8_192;

/// Events of one batch: beyond about a thousand the commit gets longer but no cheaper.
pub const BATCH_MAX: usize = 1_024;

/// Work for the writer.
#[derive(Debug)]
pub enum Work {
    /// Decide an event.
    Hear(Box<Prepared>),
    /// Decide an event again that was parked or failed.
    Unpark(Box<unpark::Unpark>),
    /// Note what became of replies.
    Settle(Vec<ReplyOutcome>),
    /// Commit no event but as many bytes as one takes, durably: proof that the store can.
    Probe,
    /// Destroy the keys of all texts received on days before this instant's.
    EraseTexts(Millis),
    /// Make one person of two.
    Merge(Box<merge::Merge>),
    /// Take that back.
    Unmerge(Box<unmerge::Unmerge>),
    /// Book an event as it was booked in another journal. Not in one batch with [`Work::Hear`], which would overtake it.
    Keep(Box<keep::Keep>),
}

/// An event that is in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Its place; 0 for work that is not an event, and for an event that still waits.
    pub seq: EventSeq,
    /// It was acted on before, and nothing happened now.
    pub known: bool,
}

/// Why work was not done. Nothing of it is written; the sender may try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// [`QUEUE_MAX`] events wait already.
    #[error("队列已满")]
    Full,
    /// The daemon is stopping.
    #[error("正在停止")]
    Stopping,
    /// The store could not commit.
    #[error("{0}")]
    Store(String),
}

/// Who says what is committed: the outbox. Called on the writer's thread, so it must be quick and must not block.
pub trait Listener: Send {
    /// Whether it can take more replies; without room they are committed as expired.
    fn has_room(&self) -> bool;
    /// A batch is committed.
    fn committed(&self, batch: &Batch);
    /// Whether it passes on what operators want of rules.toml ([`Batch::wishes`]) to who keeps the file.
    fn keeps_rules(&self) -> bool {
        false
    }
    /// Another process may have committed something: replies may wait that this one does not know of.
    fn disturbed(&self);
}

/// Says nothing: for history and for everything that decides again.
pub struct Silent;

impl Listener for Silent {
    fn has_room(&self) -> bool {
        true
    }

    fn committed(&self, _batch: &Batch) {}

    fn disturbed(&self) {}
}

/// Decides and books; the synchronous heart, used by the thread and by everything that decides again in memory.
pub struct Pipeline<S> {
    store: S,
    rules: Arc<ArcSwap<Rules>>,
    fingerprints: FingerprintKey,
    memory: batch::Memory,
    listener: Box<dyn Listener>,
    operators: Operators,
    points_only: bool,
}

impl<S: Store> Pipeline<S> {
    /// A pipeline over a store; `listener` says what is committed.
    pub fn new(store: S, rules: Arc<ArcSwap<Rules>>, fingerprints: FingerprintKey, listener: Box<dyn Listener>) -> Self {
        Pipeline { store, rules, fingerprints, memory: batch::Memory::default(), listener, operators: Operators::default(), points_only: false }
    }

    /// The same with people who may act by chat.
    pub fn with_operators(self, operators: Operators) -> Self {
        Pipeline { operators, ..self }
    }

    /// The same where only points are wanted: no text is handed to the store, no reply, no link of the chain, and the bytes of a record only
    /// where it belongs to an account's history.
    pub fn for_points_only(self) -> Self {
        Pipeline { points_only: true, ..self }
    }

    /// The rules that are live.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Reads what an event's text holds.
    pub fn prepare(&self, rules: &Arc<Rules>, event: Event) -> Prepared {
        hear(rules, recall::normalise(event), &self.fingerprints)
    }

    /// Hears one event and commits it alone.
    ///
    /// # Errors
    /// See [`Pipeline::run`].
    pub fn hear(&mut self, event: Event) -> Result<Done, StoreError> {
        let prepared = self.prepare(&self.rules(), event);
        let done = self.run(&[Work::Hear(Box::new(prepared))])?;
        Ok(done[0])
    }

    /// Does all work in one transaction and says what became of each. An event that cannot be decided is committed alone as failed, so
    /// that it stops nobody else.
    ///
    /// # Errors
    /// Nothing was written ([`StoreError::Aborted`], [`StoreError::Damaged`]), or nobody knows ([`StoreError::Unknown`]: stop).
    pub fn run(&mut self, works: &[Work]) -> Result<Vec<Done>, StoreError> {
        match self.attempt(works, None) {
            Ok(done) => Ok(done),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Err(error),
            Err(StoreError::Corrupt(reason)) => self.one_by_one(works, reason),
        }
    }

    /// Looks whether another process was here since the last look, and tells the listener.
    fn look(&mut self) {
        match self.store.disturbed() {
            Ok(true) => self.listener.disturbed(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "could not look for other writers"),
        }
    }

    /// Each in a transaction of its own. What cannot be written at all (to claim a reply that was dropped) keeps nothing else back.
    fn one_by_one(&mut self, works: &[Work], reason: String) -> Result<Vec<Done>, StoreError> {
        match works {
            [Work::Unpark(unpark)] => {
                tracing::error!(reason, event.seq = unpark.of.0, "a waiting event could not be decided again and waits on");
                return Ok(vec![Done { seq: EventSeq(0), known: false }]);
            }
            [work @ Work::Hear(_)] => {
                tracing::error!(reason, "an event could not be decided and is kept as failed");
                return self.attempt(std::slice::from_ref(work), Some(reason));
            }
            [Work::Settle(_) | Work::Probe | Work::EraseTexts(_) | Work::Merge(_) | Work::Unmerge(_) | Work::Keep(_)] => {
                return Err(StoreError::Corrupt(reason));
            }
            _ => {}
        }
        let (mut done, mut refused) = (Vec::with_capacity(works.len()), None);
        for work in works {
            match self.run(std::slice::from_ref(work)) {
                Ok(one) => done.extend(one),
                Err(error @ StoreError::Corrupt(_)) => refused = Some(error),
                Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => return Err(error),
            }
        }
        refused.map_or(Ok(done), Err)
    }

    /// One transaction. A panic in it is a bug outside of deciding: nothing of it is written, and it goes on to whoever runs this.
    fn attempt(&mut self, works: &[Work], failed: Option<String>) -> Result<Vec<Done>, StoreError> {
        let rules = self.rules.load_full();
        let (has_room, keeps_rules) = (self.listener.has_room(), self.listener.keeps_rules());
        let context = batch::Context {
            rules: &rules,
            fingerprints: &self.fingerprints,
            has_room,
            keeps_rules,
            operators: &self.operators,
            points_only: self.points_only,
            failed,
        };
        let result = catch_unwind(AssertUnwindSafe(|| batch::run(&mut self.store, &mut self.memory, &context, works)));
        match result {
            Ok(Ok((done, batch))) => {
                self.listener.committed(&batch);
                Ok(done)
            }
            Ok(Err(error)) => {
                self.memory.forget();
                Err(error)
            }
            Err(panic) => {
                self.store.abort();
                self.memory.forget();
                resume_unwind(panic)
            }
        }
    }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}

/// What the writer died of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// A commit whose outcome nobody knows.
    Disk,
    /// A bug of ours outside of deciding.
    Panic,
}

/// What the queue carries.
enum Message {
    /// Work, and where its answer goes.
    Work(Work, oneshot::Sender<Result<Done, Rejected>>),
    /// Look for other writers.
    Look,
    /// Finish what was queued before this, then end.
    Stop,
}

/// The way in for everybody. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    queue: mpsc::Sender<Message>,
    rules: Arc<ArcSwap<Rules>>,
    fingerprints: FingerprintKey,
    death: watch::Receiver<Option<Death>>,
}

impl Handle {
    /// Prepares an event on the caller's task, queues it, and returns after the commit that holds it.
    ///
    /// # Errors
    /// Nothing of it is written; see [`Rejected`].
    pub async fn hear(&self, event: Event) -> Result<Done, Rejected> {
        let prepared = hear(&self.rules.load(), recall::normalise(event), &self.fingerprints);
        self.submit(Work::Hear(Box::new(prepared))).await
    }

    /// Hears several events in this order and returns after the commit of the last. Where one is rejected, those before it may stand.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn hear_all(&self, events: Vec<Event>) -> Result<Vec<Done>, Rejected> {
        let rules = self.rules.load_full();
        let works = events.into_iter().map(|event| Work::Hear(Box::new(hear(&rules, recall::normalise(event), &self.fingerprints))));
        // What follows one that finds no room is not queued: it would overtake it.
        let answers: Vec<_> = works.map(|work| self.queue(work)).collect::<Result<_, _>>()?;
        let mut done = Vec::with_capacity(answers.len());
        for answer in answers {
            done.push(answered(Ok(answer)).await?);
        }
        Ok(done)
    }

    /// Decides waiting events again, in this order; `events` are what [`unpark::resolved`] gave.
    ///
    /// # Errors
    /// See [`Rejected`]; those before it may be decided.
    pub async fn unpark(&self, events: Vec<(EventSeq, Event)>) -> Result<(), Rejected> {
        let rules = self.rules.load_full();
        let works = events.into_iter().map(|(of, event)| {
            let prepared = hear(&rules, event, &self.fingerprints);
            Work::Unpark(Box::new(unpark::Unpark { of, prepared }))
        });
        let answers: Vec<_> = works.map(|work| self.queue(work)).collect();
        for answer in answers {
            answered(answer).await?;
        }
        Ok(())
    }

    /// How much work waits in the queue.
    pub fn waiting(&self) -> usize {
        QUEUE_MAX.saturating_sub(self.queue.capacity())
    }

    /// The rules that are live.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Makes other rules live, from the next batch on. What was decided stays.
    pub fn adopt(&self, rules: Arc<Rules>) {
        self.rules.store(rules);
    }

    /// Has the writer look, when it comes to it, whether another process has committed ([`Listener::disturbed`]). A full queue looks later.
    pub fn look(&self) {
        // A writer that is gone or busy looks at the next call, or never needs to.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Notes what became of replies, in the same batches as events.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn settle(&self, outcomes: Vec<ReplyOutcome>) -> Result<(), Rejected> {
        self.submit(Work::Settle(outcomes)).await.map(|_| ())
    }

    /// Commits no event, but as many bytes as one takes: whether that works is readiness.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn probe(&self) -> Result<(), Rejected> {
        self.submit(Work::Probe).await.map(|_| ())
    }

    /// Makes the texts of days before this instant's unreadable, for ever. Verdicts and amounts stay.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn erase_texts(&self, before: Millis) -> Result<(), Rejected> {
        self.submit(Work::EraseTexts(before)).await.map(|_| ())
    }

    /// Completes when the writer has died, and says of what.
    pub async fn died(&self) -> Death {
        let mut death = self.death.clone();
        let died = death.wait_for(Option::is_some).await.ok().and_then(|death| *death);
        match died {
            Some(death) => death,
            // The writer ended in good order: it did not die.
            None => std::future::pending().await,
        }
    }

    /// Ends the writer once what is queued now is committed. Later work is [`Rejected::Stopping`].
    pub async fn stop(&self) {
        // A writer that is gone has stopped already.
        let _ = self.queue.send(Message::Stop).await;
    }

    async fn submit(&self, work: Work) -> Result<Done, Rejected> {
        answered(self.queue(work)).await
    }

    fn queue(&self, work: Work) -> Queued {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Message::Work(work, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Rejected::Full,
            mpsc::error::TrySendError::Closed(_) => Rejected::Stopping,
        })?;
        Ok(answered)
    }
}

/// Work in the queue, and where its answer will come.
type Queued = Result<oneshot::Receiver<Result<Done, Rejected>>, Rejected>;

async fn answered(queued: Queued) -> Result<Done, Rejected> {
    queued?.await.unwrap_or(Err(Rejected::Stopping))
}

/// Starts the writer's thread. It ends at [`Handle::stop`], when all handles are gone, or at a commit whose outcome is unknown.
///
/// # Errors
/// The thread could not be started.
pub fn start<S: Store + 'static>(mut pipeline: Pipeline<S>) -> std::io::Result<(Handle, thread::JoinHandle<()>)> {
    let (queue, items) = mpsc::channel(QUEUE_MAX);
    let (died, death) = watch::channel(None);
    let handle = Handle { queue, rules: pipeline.rules.clone(), fingerprints: pipeline.fingerprints.clone(), death };
    let writer = thread::Builder::new().name("writer".into()).spawn(move || {
        let work = AssertUnwindSafe(|| write_batches(&mut pipeline, items));
        let death = catch_unwind(work).unwrap_or(Some(Death::Panic));
        // Nobody is left to hear it when all handles are gone.
        let _ = died.send(death);
    })?;
    Ok((handle, writer))
}

/// Writes until it is asked to stop, or dies. Who waits for an answer then gets none, which is [`Rejected::Stopping`].
fn write_batches<S: Store>(pipeline: &mut Pipeline<S>, mut queue: mpsc::Receiver<Message>) -> Option<Death> {
    let batch_size = metrics::histogram!("jifen_batch_size");
    let commit_seconds = metrics::histogram!("jifen_commit_seconds");
    let queue_depth = metrics::gauge!("jifen_queue_depth");
    while let Some(first) = queue.blocking_recv() {
        let (mut works, mut answers, mut stops, mut looks) = (Vec::new(), Vec::new(), false, false);
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                // Whoever gave up waiting was told that nothing is written.
                Message::Work(_, answer) if answer.is_closed() => {}
                Message::Work(work, answer) => {
                    works.push(work);
                    answers.push(answer);
                }
                Message::Look => looks = true,
                Message::Stop => stops = true,
            }
            next = if stops || works.len() == BATCH_MAX { None } else { queue.try_recv().ok() };
        }
        if looks {
            pipeline.look();
        }
        if works.is_empty() {
            if stops {
                return None;
            }
            continue;
        }
        failpoint::hit("inbox.before_commit");
        let began = Instant::now();
        let result = pipeline.run(&works);
        batch_size.record(works.len() as f64);
        commit_seconds.record(began.elapsed().as_secs_f64());
        queue_depth.set(queue.len() as f64);
        failpoint::hit("inbox.after_commit");
        let is_unknown = matches!(result, Err(StoreError::Unknown(_)));
        answer(answers, result);
        if is_unknown {
            return Some(Death::Disk);
        }
        if stops {
            return None;
        }
    }
    None
}

/// Tells every waiter. A caller that went away needs no answer.
fn answer(answers: Vec<oneshot::Sender<Result<Done, Rejected>>>, result: Result<Vec<Done>, StoreError>) {
    match result {
        Ok(done) => answers.into_iter().zip(done).for_each(|(answer, done)| drop(answer.send(Ok(done)))),
        Err(error) => {
            tracing::error!(%error, events = answers.len(), "a batch was not committed");
            let rejected = Rejected::Store(error.to_string());
            answers.into_iter().for_each(|answer| drop(answer.send(Err(rejected.clone()))));
        }
    }
}
