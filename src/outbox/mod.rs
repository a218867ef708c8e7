//! Saying it: the loop that takes committed replies, claims them, sends them, and writes what became of them.
//!
//! The pipeline's commit hook pushes new rows into the [`Inbox`]; [`Outbox::run`] picks what is due ([`queue`]), composes the text
//! ([`desk`]), chooses a way ([`mod@route`]), claims the row (`Sending` is committed before the request) and sends it ([`send`]).
//! A row whose request was under way when the daemon died is `Unknown` and never sent again by itself.
//!
//! Unasked successes of a busy group leave their lane and wait in [`digest`] ([`manners`] says when); one message tells them together
//! ([`announce`]), and one settle marks every row it covered.

pub mod board;
pub mod announce;
pub mod bulletin;
pub mod circuit;
pub mod closings;
pub mod desk;
pub mod digest;
pub mod gather;
pub mod lanes;
pub mod manners;
pub mod pace;
pub mod queue;
pub mod remember;
pub mod route;
pub mod send;
pub mod start;
pub mod mouth;

#[cfg(test)]
pub mod fakes;
#[cfg(test)]
pub mod town;
#[cfg(test)]
mod story;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::model::day::Millis;
use crate::model::ids::{CorpName, EventSeq, ReplyId};
use crate::outbox::announce::Announcement;
use crate::outbox::bulletin::Named;
use crate::outbox::circuit::Contact;
use crate::outbox::closings::CLOSINGS_A_SETTLE;
use crate::outbox::desk::{Composed, Desk};
use crate::outbox::manners::Room;
use crate::outbox::queue::{Finish, Pick, Queue, What};
use crate::outbox::route::{Outlets, Way, no_way, route};
use crate::outbox::send::{Attempt, Delivery, Sender, deliver};
use crate::settings::Corp;
use crate::store::{Destination, ReplyOutcome, ReplyRow, ReplyState};

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
        let inbox = Inbox { queue: Arc::new(Mutex::new(Queue::new(&voices))), wake: Arc::default() };
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
        tokio::pin!(shutdown);
        tokio::select! {
            () = outbox.remember() => {}
            () = &mut shutdown => return,
        }
        tasks.spawn(outbox.clone().load(last));
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
        closings.iter().for_each(|closing| count(closing.state, "none", 1));
    }

    /// Carries one pick out, whatever happens on the way, and gives its lane free.
    async fn carry(self: Arc<Self>, pick: Pick) {
        let outbox = self.clone();
        let said = tokio::spawn(async move {
            match pick.what {
                What::One(room) => outbox.say(&pick, room).await,
                What::Digest => outbox.announce(&pick).await,
            }
        });
        let (finish, contact) = match said.await {
            Ok(done) => done,
            Err(error) => self.give_up(&pick, &error).await,
        };
        self.inbox.queue().finish(&pick, finish, contact, self.clock.now());
    }

    /// The program failed while it sent; whether anything went out nobody knows.
    async fn give_up(&self, pick: &Pick, error: &tokio::task::JoinError) -> (Finish, Contact) {
        tracing::error!(%error, reply.id = pick.id.0, "发送时程序出错,不再发送");
        let ids = match pick.what {
            What::One(_) => vec![pick.id],
            What::Digest => self.inbox.queue().speaking(pick, Millis(i64::MIN)),
        };
        self.close(pick, &ids, ReplyState::Unknown, "发送时程序出错,不知道有没有发出".into()).await
    }

    /// One reply: compose, route, and speak.
    async fn say(&self, pick: &Pick, room: Room) -> (Finish, Contact) {
        let (id, now) = (pick.id, self.clock.now());
        let composed = self.at_desk(move |desk| desk.compose(id, room, now)).await.unwrap_or_else(Composed::Broken);
        let (row, texts) = match composed {
            Composed::Say { row, texts } => (row, texts),
            Composed::Gather(due) => return (Finish::Gathered(due), Contact::Untried),
            Composed::Gone => return (Finish::Closed, Contact::Untried),
            Composed::Silent(reason) => return self.close(pick, &[id], ReplyState::Suppressed, reason.into()).await,
            Composed::Broken(reason) => return self.close(pick, &[id], ReplyState::Refused, reason.into()).await,
            Composed::Later(reason) => {
                tracing::warn!(reason, reply.id = id.0, "要发的回复现在还写不出来,稍后再试");
                return again(pick.tries);
            }
        };
        let ways = self.ways(&row.corp, &row.destination);
        if ways.is_empty() {
            return self.close(pick, &[id], ReplyState::Refused, no_way(&row.destination).into()).await;
        }
        if !self.inbox.queue().admits(pick, &row, now) {
            return self.close(pick, &[id], ReplyState::Suppressed, "同样的话刚说过,不再重复".into()).await;
        }
        self.speak(pick, Speech { corp: row.corp, ways, texts, covers: vec![id], digest: None }).await
    }

    /// What was gathered for a lane: one message for all, or one member's answers.
    async fn announce(&self, pick: &Pick) -> (Finish, Contact) {
        let now = self.clock.now();
        let ids = self.inbox.queue().speaking(pick, now);
        let asked = ids.clone();
        let announced = match self.at_desk(move |desk| desk.announce(&asked, now)).await {
            Ok(announced) => announced,
            Err(reason) => return self.close(pick, &ids, ReplyState::Refused, reason.into()).await,
        };
        let closed = announced.closed.into_iter().map(|(id, state, reason)| ReplyOutcome { id, state, tries: pick.tries, reason: Some(reason.into()) });
        self.settle_surely(closed.collect()).await;
        let (row, covers, texts, named) = match announced.rest {
            Announcement::Say { row, covers, texts, named } => (row, covers, texts, named),
            Announcement::Nothing => return (Finish::Closed, Contact::Untried),
            Announcement::Later(due) => return (Finish::Gathered(due), Contact::Untried),
            Announcement::Again(reason) => {
                tracing::warn!(reason, "播报现在还写不出来,稍后再试");
                return again(pick.tries);
            }
        };
        let destination = if named.is_some() { to_all(&row.destination) } else { row.destination };
        let ways = self.ways(&row.corp, &destination);
        if ways.is_empty() {
            return self.close(pick, &covers, ReplyState::Refused, no_way(&destination).into()).await;
        }
        let fits = |Named { name, day }: &Named| self.inbox.queue().admits_digest(pick, *day, name);
        if !named.as_ref().is_none_or(fits) {
            let reason = format!("这个群今天已播报 {} 次,不再播报", digest::DIGESTS_A_DAY);
            return self.close(pick, &covers, ReplyState::Suppressed, reason.into()).await;
        }
        self.speak(pick, Speech { corp: row.corp, ways, texts, covers, digest: named.map(|named| named.name) }).await
    }

    /// Claims, sends, writes down.
    async fn speak(&self, pick: &Pick, speech: Speech) -> (Finish, Contact) {
        let claim = speech.outcomes(ReplyState::Sending, pick.tries, None);
        if let Err(error) = self.ledger.settle(claim).await {
            tracing::warn!(error, reply.id = pick.id.0, "没能登记要发的回复,先不发");
            return again(pick.tries);
        }
        let delivery = deliver(&self.sender, &speech.corp, &speech.ways, &speech.texts).await;
        self.conclude(pick, &speech, delivery).await
    }

    fn ways(&self, corp: &CorpName, destination: &Destination) -> Vec<Way> {
        self.voices.get(corp).map(|voice| route(destination, &voice.outlets)).unwrap_or_default()
    }

    async fn conclude(&self, pick: &Pick, speech: &Speech, delivery: Delivery) -> (Finish, Contact) {
        let (contact, way) = (delivery.attempt.contact(), delivery.way);
        let verdict = judge(pick.tries, delivery);
        self.settle_surely(speech.outcomes(verdict.state, verdict.tries, Some(&verdict.reason))).await;
        count(verdict.state, way, speech.covers.len());
        (verdict.finish, contact)
    }

    async fn close(&self, pick: &Pick, ids: &[ReplyId], state: ReplyState, reason: Arc<str>) -> (Finish, Contact) {
        let outcome = |id: &ReplyId| ReplyOutcome { id: *id, state, tries: pick.tries, reason: Some(reason.clone()) };
        self.settle_surely(ids.iter().map(outcome).collect()).await;
        count(state, "none", ids.len());
        (Finish::Closed, Contact::Untried)
    }

    /// Writes outcomes in one settle, several times if need be. If they cannot be written the rows stay as they were claimed, and are
    /// `Unknown` after the next start.
    async fn settle_surely(&self, outcomes: Vec<ReplyOutcome>) {
        let Some(first) = outcomes.first().map(|outcome| outcome.id.0) else { return };
        for attempt in 0..SETTLE_TRIES {
            match self.ledger.settle(outcomes.clone()).await {
                Ok(()) => return,
                Err(error) if attempt + 1 == SETTLE_TRIES => tracing::error!(error, reply.id = first, "没能写下回复的结果,重启后记为 unknown"),
                Err(_) => tokio::time::sleep(SETTLE_PAUSE * 2u32.pow(attempt)).await,
            }
        }
    }

    /// Reads on a thread that may block, one reader for all. The error is that the program failed.
    async fn at_desk<T: Send + 'static>(&self, read: impl FnOnce(&mut D) -> T + Send + 'static) -> Result<T, String> {
        let mut desk = self.desk.clone().lock_owned().await;
        tokio::task::spawn_blocking(move || read(&mut desk)).await.map_err(|error| {
            tracing::error!(%error, "写一条回复时程序出错");
            "写这条回复时程序出错".to_owned()
        })
    }
}

/// What goes out in one message, or one after another where a rule has several texts.
struct Speech {
    corp: CorpName,
    ways: Vec<Way>,
    texts: Vec<String>,
    /// The replies it answers.
    covers: Vec<ReplyId>,
    /// The digest's name, where it is one.
    digest: Option<String>,
}

impl Speech {
    /// The same outcome for every reply it covers; a digest's reasons name it.
    fn outcomes(&self, state: ReplyState, tries: u32, reason: Option<&str>) -> Vec<ReplyOutcome> {
        let reason: Option<Arc<str>> = match (&self.digest, reason) {
            (Some(name), Some(reason)) => Some(digest::reason(name, reason).into()),
            (Some(name), None) => Some(name.as_str().into()),
            (None, reason) => reason.map(Arc::from),
        };
        self.covers.iter().map(|&id| ReplyOutcome { id, state, tries, reason: reason.clone() }).collect()
    }
}

/// The group of a destination, and nobody in it.
fn to_all(destination: &Destination) -> Destination {
    Destination { to: None, reply_url: None, ..destination.clone() }
}

/// What a delivery makes of the replies it answers.
struct Judgement {
    state: ReplyState,
    tries: u32,
    reason: Arc<str>,
    finish: Finish,
}

/// What a delivery makes of a reply. A missing connection uses no attempt up: the row waits until it expires.
fn judge(tries: u32, delivery: Delivery) -> Judgement {
    let tried = tries + 1;
    let (state, reason, finish) = match delivery.attempt {
        Attempt::Sent => (ReplyState::Sent, delivery.way.into(), Finish::Closed),
        Attempt::Refused(reason) => (ReplyState::Refused, reason, Finish::Closed),
        Attempt::Unknown(reason) => (ReplyState::Unknown, reason, Finish::Closed),
        Attempt::Retry { reason, .. } if tried >= TRIES_MAX => (ReplyState::Refused, format!("试了 {tried} 次:{reason}").into(), Finish::Closed),
        Attempt::Retry { after_secs, reason } => (ReplyState::Waiting, reason, Finish::Again { after_secs, tries: tried }),
        Attempt::Unreachable(reason) => (ReplyState::Waiting, reason, Finish::Again { after_secs: PAUSE_SECS, tries }),
    };
    let tries = match finish {
        Finish::Again { tries, .. } => tries,
        Finish::Closed | Finish::Gathered(_) => tried,
    };
    Judgement { state, tries, reason, finish }
}

fn again(tries: u32) -> (Finish, Contact) {
    (Finish::Again { after_secs: PAUSE_SECS, tries }, Contact::Untried)
}

fn count(state: ReplyState, way: &'static str, replies: usize) {
    counter!("jifen_outbox_total", "outcome" => state.as_str(), "way" => way).increment(replies as u64);
}

#[cfg(test)]
mod tests;
