//! Saying it: the loop that takes committed replies, claims them, sends them, and writes what became of them.
//!
//! The pipeline's commit hook pushes new rows into the [`Inbox`]; [`Outbox::run`] picks what is due ([`queue`]), composes the text
//! ([`desk`]), chooses a way ([`mod@route`], [`open_ways`]), claims the row (`Sending` is committed before the request) and sends it ([`speak`],
//! [`send`]).
//!
//! A claimed row names the way it began with ([`Way::claim`]). Where nobody knows what became of it (no usable answer, or the daemon died),
//! it is sent once more if it was that way, WeCom drops repetitions there ([`Way::may_repeat`]) and it still reads the same; that claim
//! names no way, so there is no third time. All others are `Unknown` and never sent again by themselves.
//!
//! Unasked successes of a busy group leave their lane and wait in [`digest`] ([`manners`] says when); one message tells them together
//! ([`announce`]), and one settle marks every row it covered.

pub mod board;
pub mod standing;
pub mod warmth;
pub mod announce;
pub mod bulletin;
pub mod circuit;
pub mod closings;
pub mod health;
pub mod limits;
pub mod open_ways;
pub mod desk;
pub mod digest;
pub mod gather;
mod month;
pub mod lanes;
pub mod manners;
pub mod overrule;
pub mod pace;
pub mod queue;
pub mod remember;
pub mod route;
pub mod send;
pub mod start;
pub mod speak;
pub mod mouth;

#[cfg(test)]
pub mod fakes;
#[cfg(test)]
pub mod town;
#[cfg(test)]
mod story;

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::model::day::Millis;
use crate::model::ids::{CorpName, EventSeq, ReplyId};
use crate::outbox::announce::Announcement;
use crate::outbox::bulletin::Named;
use crate::outbox::circuit::Contact;
use crate::outbox::closings::CLOSINGS_A_SETTLE;
use crate::outbox::desk::{Composed, Desk};
use crate::outbox::manners::Room;
use crate::outbox::open_ways::Warden;
use crate::outbox::queue::{Finish, Pick, Queue, What};
use crate::outbox::route::{Outlets, Way, no_way, route};
use crate::outbox::send::Sender;
use crate::outbox::speak::{PAUSE_SECS, Speech};
use crate::outbox::start::Load;
use crate::settings::Corp;
use crate::store::{Destination, ReplyOutcome, ReplyRow, ReplyState};

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
    /// Somebody else wrote to the store since the loop looked last.
    disturbed: Arc<AtomicBool>,
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

    /// Another process may have written: the loop looks again whether it is held, and for replies that are to be sent again.
    pub fn disturb(&self) {
        self.disturbed.store(true, Ordering::Relaxed);
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
    warden: Warden,
    /// Why the first replies of lanes wait, to be told if they expire.
    waits: Mutex<HashMap<ReplyId, Arc<str>>>,
    clock: Clock,
}

impl<S: Sender, L: Ledger, D: Desk> Outbox<S, L, D> {
    /// An outbox for these corps.
    pub fn new(sender: S, ledger: L, desk: D, voices: HashMap<CorpName, Voice>, clock: Clock) -> Self {
        let inbox = Inbox { queue: Arc::new(Mutex::new(Queue::new(&voices))), wake: Arc::default(), disturbed: Arc::default() };
        let warden = Warden::new(&voices, clock.clone());
        Outbox { inbox, sender, ledger, desk: Arc::new(tokio::sync::Mutex::new(desk)), voices, warden, waits: Mutex::default(), clock }
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
        outbox.look_whether_held().await;
        tokio::pin!(shutdown);
        tokio::select! {
            () = outbox.remember() => {}
            () = &mut shutdown => return,
        }
        tasks.spawn(outbox.clone().load(Load::UpTo(last)));
        let mut written_at = Instant::now();
        loop {
            if outbox.inbox.disturbed.swap(false, Ordering::Relaxed) {
                outbox.look_whether_held().await;
                tasks.spawn(outbox.clone().load(Load::Retried));
            }
            outbox.start_due(&mut tasks);
            let patience = if outbox.inbox.queue().closings() >= CLOSINGS_A_SETTLE { TICK } else { GATHER_CLOSINGS };
            if written_at.elapsed() >= patience {
                outbox.write_closings().await;
                written_at = Instant::now();
            }
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                // In this order, so that a simulation of one seed takes the same turns each time.
                biased;
                () = &mut shutdown => break,
                () = outbox.inbox.wake.notified() => {}
                Some(_) = tasks.join_next() => {}
                () = tokio::time::sleep(TICK), if !outbox.inbox.queue().is_idle() => {}
            }
        }
        let drained = tokio::time::timeout(DRAIN, async { while tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!("停机时仍有回复没有等到结果;重启后私信会再发一次(企业微信自己去重),其余记为 unknown,不会自动重发");
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
        let mut closings = self.inbox.queue().closings_to_write();
        if closings.is_empty() {
            return;
        }
        closings.iter_mut().for_each(|closing| self.tell_why_it_waited(closing));
        if let Err(error) = self.ledger.settle(closings.clone()).await {
            return tracing::warn!(error, rows = closings.len(), "没能写下不再发送的回复,稍后再试");
        }
        self.inbox.queue().closings_written(closings.len());
        let mut waits = self.waits();
        closings.iter().for_each(|closing| drop(waits.remove(&closing.id)));
        drop(waits);
        closings.iter().for_each(|closing| count(closing.state, "none", 1));
    }

    /// After a restore nothing is sent until an operator says so.
    async fn look_whether_held(&self) {
        let held = match self.at_desk(|desk| desk.held()).await.and_then(|read| read) {
            Ok(held) => held,
            Err(error) => return tracing::warn!(error, "读不到发件箱是不是被扣住,照旧"),
        };
        gauge!("jifen_outbox_held").set(f64::from(u8::from(held)));
        match (self.inbox.queue().hold(held), held) {
            (false, true) => tracing::warn!("发件箱扣住了:恢复过备份,一条回复都不发,过期的照常作废。核对后运行 jifen outbox release"),
            (true, false) => tracing::info!("发件箱放开了,继续发送"),
            (true, true) | (false, false) => {}
        }
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
        let ways = self.ways(pick, &row, &texts);
        if ways.is_empty() && pick.repeats {
            return self.close(pick, &[id], ReplyState::Unknown, "可能已经发出,没有等到答复;不能原样再发,没有再发".into()).await;
        }
        if ways.is_empty() {
            return self.close(pick, &[id], ReplyState::Refused, no_way(&row.destination).into()).await;
        }
        if !self.inbox.queue().admits(pick, &row, now) {
            return self.close(pick, &[id], ReplyState::Suppressed, "同样的话刚说过,不再重复".into()).await;
        }
        self.speak(pick, &Speech { row, ways, texts, covers: vec![id], digest: None }).await
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
        let (mut row, covers, texts, named) = match announced.rest {
            Announcement::Say { row, covers, texts, named } => (row, covers, texts, named),
            Announcement::Nothing => return (Finish::Closed, Contact::Untried),
            Announcement::Later(due) => return (Finish::Gathered(due), Contact::Untried),
            Announcement::Again(reason) => {
                tracing::warn!(reason, "播报现在还写不出来,稍后再试");
                return again(pick.tries);
            }
        };
        if named.is_some() {
            row.destination = to_all(&row.destination);
        }
        let ways = self.ways(pick, &row, &texts);
        if ways.is_empty() {
            return self.close(pick, &covers, ReplyState::Refused, no_way(&row.destination).into()).await;
        }
        let fits = |Named { name, day }: &Named| self.inbox.queue().admits_digest(pick, *day, name);
        if !named.as_ref().is_none_or(fits) {
            let reason = format!("这个群今天已播报 {} 次,不再播报", digest::DIGESTS_A_DAY);
            return self.close(pick, &covers, ReplyState::Suppressed, reason.into()).await;
        }
        self.speak(pick, &Speech { row, ways, texts, covers, digest: named.map(|named| named.name) }).await
    }

    /// The ways of a row; only the one it was claimed with, and only the same texts, if it is sent once more.
    fn ways(&self, pick: &Pick, row: &ReplyRow, texts: &[String]) -> Vec<Way> {
        let mut ways = self.voices.get(&row.corp).map(|voice| route(&row.destination, &voice.outlets)).unwrap_or_default();
        if pick.repeats {
            ways.retain(|way| way.may_repeat() && row.reason.as_deref() == Some(&*way.claim(texts)));
        }
        ways
    }

    /// Ends it without a request. What was sent before stays in doubt.
    async fn close(&self, pick: &Pick, ids: &[ReplyId], state: ReplyState, reason: Arc<str>) -> (Finish, Contact) {
        let state = if pick.repeats { ReplyState::Unknown } else { state };
        let outcome = |id: &ReplyId| ReplyOutcome { id: *id, state, tries: pick.tries, reason: Some(reason.clone()) };
        self.waits().remove(&pick.id);
        self.settle_surely(ids.iter().map(outcome).collect()).await;
        count(state, "none", ids.len());
        (Finish::Closed, Contact::Untried)
    }

    /// Writes outcomes in one settle, several times if need be. If they cannot be written the rows stay as they were claimed.
    async fn settle_surely(&self, outcomes: Vec<ReplyOutcome>) {
        let Some(first) = outcomes.first().map(|outcome| outcome.id.0) else { return };
        for attempt in 0..SETTLE_TRIES {
            match self.ledger.settle(outcomes.clone()).await {
                Ok(()) => return,
                Err(error) if attempt + 1 == SETTLE_TRIES => tracing::error!(error, reply.id = first, "没能写下回复的结果,重启后按没有结果处理"),
                Err(_) => tokio::time::sleep(SETTLE_PAUSE * 2u32.pow(attempt)).await,
            }
        }
    }

    /// Reads on a thread that may block, one reader for all; in place where the runtime has one thread (tests, simulations). The error is
    /// that the program failed.
    async fn at_desk<T: Send + 'static>(&self, read: impl FnOnce(&mut D) -> T + Send + 'static) -> Result<T, String> {
        let mut desk = self.desk.clone().lock_owned().await;
        let failed = |error: &dyn std::fmt::Debug| {
            tracing::error!(?error, "写一条回复时程序出错");
            "写这条回复时程序出错".to_owned()
        };
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return catch_unwind(AssertUnwindSafe(|| read(&mut desk))).map_err(|panic| failed(&panic));
        }
        tokio::task::spawn_blocking(move || read(&mut desk)).await.map_err(|error| failed(&error))
    }
}

/// The group of a destination, and nobody in it.
fn to_all(destination: &Destination) -> Destination {
    Destination { to: None, reply_url: None, ..destination.clone() }
}

fn again(tries: u32) -> (Finish, Contact) {
    (Finish::Again { after_secs: PAUSE_SECS, tries }, Contact::Untried)
}

fn count(state: ReplyState, way: &'static str, replies: usize) {
    counter!("jifen_outbox_total", "outcome" => state.as_str(), "way" => way).increment(replies as u64);
}

#[cfg(test)]
mod tests;
