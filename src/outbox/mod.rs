//! Saying it: the loop that takes committed replies, claims them, sends them, and writes what became of them.
//!
//! The pipeline's commit hook pushes new rows into the [`Inbox`]; [`Outbox::run`] picks what is due ([`queue`]), composes the text
//! ([`desk`]), chooses a way ([`mod@route`]), claims the row (`Sending` is committed before the request) and sends it ([`send`]).
//! A row whose request was under way when the daemon died is `Unknown` and never sent again by itself.

pub mod board;
pub mod circuit;
pub mod desk;
pub mod gather;
pub mod manners;
pub mod pace;
pub mod queue;
pub mod route;
pub mod send;
pub mod mouth;

#[cfg(test)]
pub mod fakes;
#[cfg(test)]
pub mod town;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::failpoint;
use crate::model::ids::{CorpName, EventSeq, ReplyId};
use crate::outbox::circuit::Contact;
use crate::outbox::desk::{Composed, Desk};
use crate::outbox::queue::{CLOSINGS_A_SETTLE, Finish, Pick, Queue};
use crate::outbox::route::{Outlets, Way, no_way, route};
use crate::outbox::send::{Attempt, Delivery, Sender, deliver};
use crate::settings::Corp;
use crate::store::{ReplyOutcome, ReplyRow, ReplyState};

/// Attempts after which «come back later» counts as a refusal.
pub const TRIES_MAX: u32 = 3;
/// Seconds a lane rests when there was no connection, or the claim could not be written.
const PAUSE_SECS: i64 = 1;
/// How often the queue is looked at while something waits in it: retries, pauses and expiry need no finer time.
const TICK: Duration = Duration::from_millis(250);
/// How long rows closed without a request may wait for more of their kind, so that a flood of them is few writes.
const GATHER_CLOSINGS: Duration = Duration::from_secs(1);
/// How long requests under way may finish when the daemon stops: the client's own time limit is ten seconds.
const DRAIN: Duration = Duration::from_secs(12);
/// Rows read at once when the daemon starts.
const LOAD_ROWS: usize = 1_000;
/// Tries to write an outcome, each waiting twice as long as the one before: about six seconds in all.
const SETTLE_TRIES: u32 = 7;
const SETTLE_PAUSE: Duration = Duration::from_millis(100);

/// Writes claims and outcomes; the pipeline, in the same batches as everything else.
pub trait Ledger: Send + Sync + 'static {
    /// Returns after the commit. On an error nothing was written, as far as anybody knows.
    fn settle(&self, outcomes: Vec<ReplyOutcome>) -> impl Future<Output = Result<(), String>> + Send;
}

/// Where committed replies are handed in. Cheap to clone; never waits for anything but a short lock.
#[derive(Debug, Clone)]
pub struct Inbox {
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
}

impl Inbox {
    /// Takes the rows of a commit in; rows that are not open are passed over.
    pub fn push(&self, rows: &[ReplyRow]) {
        if rows.is_empty() {
            return;
        }
        let mut queue = self.queue();
        rows.iter().for_each(|row| queue.push(row));
        drop(queue);
        self.wake.notify_one();
    }

    /// Whether there is no room left: the pipeline may then write new rows as `Expired` at once and save a second write.
    pub fn is_full(&self) -> bool {
        self.queue().is_full()
    }

    /// Open rows in memory.
    pub fn depth(&self) -> usize {
        self.queue().depth()
    }

    /// A panic elsewhere leaves the queue usable: it holds only what the store holds too.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a corp needs for speaking.
#[derive(Debug, Clone, Default)]
pub struct Voice {
    /// Where its API is.
    pub api_base: Arc<str>,
    /// What it can speak with.
    pub outlets: Outlets,
}

impl Voice {
    /// That of a corp in jifen.toml.
    pub fn of(corp: &Corp) -> Self {
        Voice { api_base: corp.api_base.as_str().into(), outlets: Outlets::of(corp) }
    }
}

/// The loop.
#[derive(Debug)]
pub struct Outbox<S, L, D> {
    inbox: Inbox,
    sender: S,
    ledger: L,
    desk: Arc<tokio::sync::Mutex<D>>,
    voices: HashMap<CorpName, Voice>,
    clock: Clock,
}

impl<S: Sender, L: Ledger, D: Desk> Outbox<S, L, D> {
    /// An outbox for these corps.
    pub fn new(sender: S, ledger: L, desk: D, voices: HashMap<CorpName, Voice>, clock: Clock) -> Self {
        let apis = voices.iter().map(|(corp, voice)| (corp.clone(), voice.api_base.clone())).collect();
        let inbox = Inbox { queue: Arc::new(Mutex::new(Queue::new(apis))), wake: Arc::default() };
        Outbox { inbox, sender, ledger, desk: Arc::new(tokio::sync::Mutex::new(desk)), voices, clock }
    }

    /// Where the pipeline's commit hook hands rows in.
    pub fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// Runs until `shutdown` completes, then lets requests under way finish; stop the pipeline only after that.
    ///
    /// `last` is the newest event when the pipeline started: open replies up to it are read from the store in the
    /// background, later ones come through the inbox.
    pub async fn run(self, last: EventSeq, shutdown: impl Future<Output = ()>) {
        let outbox = Arc::new(self);
        let mut tasks = JoinSet::new();
        tasks.spawn(outbox.clone().load(last));
        tokio::pin!(shutdown);
        let mut written_at = Instant::now();
        loop {
            outbox.start_due(&mut tasks);
            let patience = if outbox.inbox.queue().closings() >= CLOSINGS_A_SETTLE { TICK } else { GATHER_CLOSINGS };
            if written_at.elapsed() >= patience {
                outbox.write_closings().await;
                written_at = Instant::now();
            }
            tokio::select! {
                () = &mut shutdown => break,
                () = outbox.inbox.wake.notified() => {}
                Some(_) = tasks.join_next() => {}
                () = tokio::time::sleep(TICK), if !outbox.inbox.queue().is_idle() => {}
            }
        }
        let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("停机时仍有回复没有等到结果;重启后它们记为 unknown,不会自动重发");
        }
        outbox.write_closings().await;
    }

    fn start_due(self: &Arc<Self>, tasks: &mut JoinSet<()>) {
        let (picks, depth) = {
            let mut queue = self.inbox.queue();
            (queue.due(self.clock.now()), queue.depth())
        };
        gauge!("jifen_outbox_open").set(depth as f64);
        for pick in picks {
            tasks.spawn(self.clone().carry(pick));
        }
    }

    /// Writes rows that were closed without a request.
    async fn write_closings(&self) {
        let closings = self.inbox.queue().closings_to_write();
        if closings.is_empty() {
            return;
        }
        if let Err(error) = self.ledger.settle(closings.clone()).await {
            return tracing::warn!(error, rows = closings.len(), "没能写下不再发送的回复,稍后再试");
        }
        self.inbox.queue().closings_written(closings.len());
        closings.iter().for_each(|closing| count(closing.state, "none"));
    }

    /// Reads the rows that were open when the daemon started.
    async fn load(self: Arc<Self>, last: EventSeq) {
        let mut from = ReplyId(0);
        loop {
            let rows = match self.at_desk(move |desk| desk.open(from, LOAD_ROWS)).await {
                Ok(rows) => rows,
                Err(error) => return tracing::error!(error, "读不到重启前没发完的回复,它们会等到下次启动"),
            };
            let Some(newest) = rows.last().map(|row| row.id) else { return };
            from = ReplyId(newest.0 + 1);
            let old: Vec<ReplyRow> = rows.into_iter().filter(|row| row.event <= last).collect();
            self.inbox.push(&old);
            if old.is_empty() {
                return;
            }
        }
    }

    /// Carries one reply out, whatever happens on the way, and gives its lane free.
    async fn carry(self: Arc<Self>, pick: Pick) {
        let outbox = self.clone();
        let (finish, contact) = tokio::spawn(async move { outbox.say(&pick).await }).await.unwrap_or_else(|error| {
            tracing::error!(%error, reply.id = pick.id.0, "发送一条回复时程序出错,这一条不再发送");
            (Finish::Closed, Contact::Untried)
        });
        self.inbox.queue().finish(&pick, finish, contact, self.clock.now());
    }

    /// Compose, route, claim, send, write down.
    async fn say(&self, pick: &Pick) -> (Finish, Contact) {
        let (id, now) = (pick.id, self.clock.now());
        let (row, texts) = match self.at_desk(move |desk| desk.compose(id, now)).await {
            Composed::Say { row, texts } => (row, texts),
            Composed::Gone => return (Finish::Closed, Contact::Untried),
            Composed::Silent(reason) => return self.close(pick, ReplyState::Suppressed, reason.into()).await,
            Composed::Broken(reason) => return self.close(pick, ReplyState::Refused, reason.into()).await,
            Composed::Later(reason) => {
                tracing::warn!(reason, reply.id = id.0, "要发的回复现在还写不出来,稍后再试");
                return again(pick.tries);
            }
        };
        let ways = self.ways(&row);
        if ways.is_empty() {
            return self.close(pick, ReplyState::Refused, no_way(&row.destination).into()).await;
        }
        if let Err(error) = self.ledger.settle(vec![outcome(pick, ReplyState::Sending, None)]).await {
            tracing::warn!(error, reply.id = id.0, "没能登记要发的回复,先不发");
            return again(pick.tries);
        }
        failpoint::hit("outbox.leased");
        let delivery = deliver(&self.sender, &row.corp, &ways, &texts).await;
        self.conclude(pick, delivery).await
    }

    fn ways(&self, row: &ReplyRow) -> Vec<Way> {
        self.voices.get(&row.corp).map(|voice| route(&row.destination, &voice.outlets)).unwrap_or_default()
    }

    async fn conclude(&self, pick: &Pick, delivery: Delivery) -> (Finish, Contact) {
        let (contact, way) = (delivery.attempt.contact(), delivery.way);
        let (outcome, finish) = judge(pick, delivery);
        let state = outcome.state;
        failpoint::hit("outbox.before_mark");
        self.settle_surely(outcome).await;
        failpoint::hit("outbox.after_mark");
        count(state, way);
        (finish, contact)
    }

    async fn close(&self, pick: &Pick, state: ReplyState, reason: Arc<str>) -> (Finish, Contact) {
        self.settle_surely(outcome(pick, state, Some(reason))).await;
        count(state, "none");
        (Finish::Closed, Contact::Untried)
    }

    /// Writes an outcome, several times if need be. If it cannot be written the row stays as it was claimed, and is
    /// `Unknown` after the next start.
    async fn settle_surely(&self, outcome: ReplyOutcome) {
        for attempt in 0..SETTLE_TRIES {
            match self.ledger.settle(vec![outcome.clone()]).await {
                Ok(()) => return,
                Err(error) if attempt + 1 == SETTLE_TRIES => tracing::error!(error, reply.id = outcome.id.0, "没能写下一条回复的结果,重启后记为 unknown"),
                Err(_) => tokio::time::sleep(SETTLE_PAUSE * 2u32.pow(attempt)).await,
            }
        }
    }

    /// Reads on a thread that may block, one reader for all.
    async fn at_desk<T: Send + 'static>(&self, read: impl FnOnce(&mut D) -> T + Send + 'static) -> T {
        let mut desk = self.desk.clone().lock_owned().await;
        match tokio::task::spawn_blocking(move || read(&mut desk)).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// What a delivery makes of a reply. A missing connection uses no attempt up: the row waits until it expires.
fn judge(pick: &Pick, delivery: Delivery) -> (ReplyOutcome, Finish) {
    let tried = pick.tries + 1;
    let (state, reason, finish) = match delivery.attempt {
        Attempt::Sent => (ReplyState::Sent, delivery.way.into(), Finish::Closed),
        Attempt::Refused(reason) => (ReplyState::Refused, reason, Finish::Closed),
        Attempt::Unknown(reason) => (ReplyState::Unknown, reason, Finish::Closed),
        Attempt::Retry { reason, .. } if tried >= TRIES_MAX => (ReplyState::Refused, format!("试了 {tried} 次:{reason}").into(), Finish::Closed),
        Attempt::Retry { after_secs, reason } => (ReplyState::Waiting, reason, Finish::Again { after_secs, tries: tried }),
        Attempt::Unreachable(reason) => (ReplyState::Waiting, reason, Finish::Again { after_secs: PAUSE_SECS, tries: pick.tries }),
    };
    let tries = match finish {
        Finish::Again { tries, .. } => tries,
        Finish::Closed => tried,
    };
    (ReplyOutcome { id: pick.id, state, tries, reason: Some(reason) }, finish)
}

fn outcome(pick: &Pick, state: ReplyState, reason: Option<Arc<str>>) -> ReplyOutcome {
    ReplyOutcome { id: pick.id, state, tries: pick.tries, reason }
}

fn again(tries: u32) -> (Finish, Contact) {
    (Finish::Again { after_secs: PAUSE_SECS, tries }, Contact::Untried)
}

fn count(state: ReplyState, way: &'static str) {
    counter!("jifen_outbox_total", "outcome" => state.as_str(), "way" => way).increment(1);
}

#[cfg(test)]
mod tests;
