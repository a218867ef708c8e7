//! The daemon, put together: store, pipeline, outbox and web, started in this order and stopped in the other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use axum::Router;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::failpoint;
use crate::keeper::wishes::{self, WISHES_MAX};
use crate::keeper::{Desk, Keeper};
use crate::model::event::Channel;
use crate::model::ids::{CorpName, EventSeq};
use crate::model::wish::Wish;
use crate::outbox::desk::ReaderDesk;
use crate::outbox::mouth::Mouth;
use crate::outbox::route::Outlets;
use crate::outbox::{Inbox, Ledger, Outbox, Voice};
use crate::pipeline::{self, Death, Handle, Listener, Pipeline, unparker};
use crate::rules::campaign::Rules;
use crate::rules::versions::Versions;
use crate::scheduler::{self, Scheduler};
use crate::settings::Settings;
use crate::store::sqlite::guard::Guard;
use crate::store::sqlite::lock::Lock;
use crate::store::sqlite::serving::Loss;
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::vault::{Vault, random_key};
use crate::store::{Batch, Reader, ReplyOutcome, Store};
use crate::web::api;
use crate::web::api::callers::Callers;
use crate::web::api::told::{Teller, told};
use crate::web::callback::{self, Channels};
use crate::web::health::{self, Probe};
use crate::web::server::Server;
use crate::web::{Hear, HearAll, Heard, NotNow, metrics};

/// What a daemon is made of beside its settings.
pub struct Parts {
    /// The database file.
    pub database: PathBuf,
    /// Its key.
    pub vault: Vault,
    /// The rules to begin with.
    pub rules: Arc<Rules>,
    /// The file they came from: what is saved there goes live.
    pub rules_file: PathBuf,
    /// What time it is.
    pub clock: Clock,
    /// What to do when the database lacks some of its history.
    pub loss: Loss,
}

/// Days that texts are kept where nothing usable is written: the default of jifen.toml.
const TEXTS_DAYS: u32 = 90;

/// How often old texts are looked for: a text lives a few hours longer than it must, at most.
const ERASE_EVERY: Duration = Duration::from_secs(6 * 3600);

/// How often it is looked whether a verb of the command line wrote beside the daemon: soon enough for who waits at a terminal.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A clock so far behind the newest event is told to the operator; less is the work of a time server.
const CLOCK_BEHIND_SECS: i64 = 2;

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The disk failed, or the database was damaged or taken away. Everything answered 200 is kept; start again.
    DiskFailed,
    /// The writer met a bug of ours outside of deciding. Everything answered 200 is kept; start again.
    WriterPanicked,
}

/// A daemon that is bound and ready to run.
pub struct App {
    server: Server,
    routes: Router,
    outbox: Outbox<Mouth, Handle, ReaderDesk>,
    newest: EventSeq,
    handle: Handle,
    clock: Clock,
    texts_days: u32,
    guard: Guard,
    // For the loop that decides parked events again: what it reads with, and what wakes it.
    unparking: (SqliteReader, Arc<Notify>),
    scheduler: Scheduler,
    keeper: Keeper,
    desk: Desk,
    /// What operators want of the rules.
    wishes: mpsc::Receiver<Wish>,
    writer: thread::JoinHandle<()>,
    // Held until the end: a second daemon on this file is refused.
    _lock: Lock,
}

impl App {
    /// Opens the database, starts the writer and binds the address.
    ///
    /// # Errors
    /// The database is in use, cannot be opened, is damaged, lacks some of its history or belongs to another key; a callback key is bad;
    /// the address is taken.
    pub async fn open(settings: &Settings, parts: Parts) -> Result<App> {
        // The first random bytes of a process take some 90 ms (aws-lc collects jitter); the first callback must not wait for them.
        thread::spawn(random_key);
        // Before the channels: counters made before it count nothing.
        let metrics = metrics::install()?;
        tokio::spawn(metrics::upkeep(metrics.clone()));
        let channels = Channels::from_settings(settings)?;
        let server = Server::bind(settings.listen.as_str()).await?;
        let lock = Lock::take(&parts.database)?;
        let (mut store, guard) = SqliteStore::open_to_serve(&parts.database, &parts.vault, parts.loss)?;
        let newest = store.begin().map(|head| head.event)?;
        store.abort();
        let rules = Arc::new(ArcSwap::new(parts.rules));
        let reader = SqliteReader::open(&parts.database, &parts.vault)?;
        let unparking = (SqliteReader::open(&parts.database, &parts.vault)?, Arc::<Notify>::default());
        let scheduler = scheduler(settings, SqliteReader::open(&parts.database, &parts.vault)?);
        warn_of_a_clock_behind(&reader, newest, &parts.clock)?;
        let inbox: Arc<OnceLock<Inbox>> = Arc::default();
        let (wishing, wishes) = mpsc::channel(WISHES_MAX);
        let listener = Ear { inbox: inbox.clone(), names_told: unparking.1.clone(), wishes: wishing };
        let pipeline = Pipeline::new(store, rules, parts.vault.fingerprint_key(), Box::new(listener));
        let pipeline = pipeline.with_operators((&settings.operators).into());
        let (handle, writer) = pipeline::start(pipeline).context("写入线程起不来")?;
        let (keeper, desk) = Keeper::new(&parts.rules_file, handle.clone(), parts.clock.clone(), corp_of_operators(settings));
        let keeper = match reader.event(newest)? {
            Some(event) => keeper.after(event.rules, reader.rules_text(event.rules)?.as_deref()),
            None => keeper,
        };
        let outbox = Outbox::new(Mouth::new(settings)?, handle.clone(), ReaderDesk::new(Box::new(reader)), voices(settings), parts.clock.clone());
        // The hook was made before the outbox that it feeds.
        let _ = inbox.set(outbox.inbox());
        let teller = teller(SqliteReader::open(&parts.database, &parts.vault)?);
        let api = api::routes(Callers::from_settings(settings), ears(&handle), teller, parts.clock.clone());
        let routes = callback::routes(channels, ear(&handle), parts.clock.clone()).merge(api).merge(health::routes(probe(&handle), metrics));
        let texts_days = settings.retention.texts_days().unwrap_or(TEXTS_DAYS);
        Ok(App {
            server,
            routes,
            outbox,
            newest,
            handle,
            clock: parts.clock,
            texts_days,
            guard,
            unparking,
            scheduler,
            keeper,
            desk,
            wishes,
            writer,
            _lock: lock,
        })
    }

    /// The bound address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The way into the pipeline.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The way to whoever keeps the live rules.
    pub fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Adds routes beside the daemon's own (the demo's pages).
    pub fn with_routes(mut self, routes: Router) -> App {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Runs until `shutdown` completes or the disk fails, then drains: requests first, then replies under way, then the last batch.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Ended {
        let (reader, names_told) = self.unparking;
        let unparking = unparker::run(self.handle.clone(), reader, self.clock.clone(), names_told);
        let ticking = scheduler::daemon::run(self.handle.clone(), self.scheduler, self.clock.clone());
        let chores = [
            forget_old_texts(self.handle.clone(), self.clock.clone(), self.texts_days),
            tokio::spawn(unparking),
            look_around(self.handle.clone()),
            tokio::spawn(ticking),
            tokio::spawn(self.keeper.run()),
            tokio::spawn(wishes::run(self.wishes, self.desk, self.handle.clone(), self.clock.clone())),
        ];
        let (stop_web, web_stopped) = oneshot::channel::<()>();
        let (stop_outbox, outbox_stopped) = oneshot::channel::<()>();
        // A dropped sender stops them as well.
        let web = tokio::spawn(self.server.run(self.routes, async move { drop(web_stopped.await) }));
        let outbox = tokio::spawn(self.outbox.run(self.newest, async move { drop(outbox_stopped.await) }));
        let ended = tokio::select! {
            () = shutdown => Ended::Asked,
            death = self.handle.died() => match death {
                Death::Disk => Ended::DiskFailed,
                Death::Panic => Ended::WriterPanicked,
            },
            _ = self.guard.broken() => Ended::DiskFailed,
        };
        tracing::info!(?ended, "stopping");
        failpoint::hit("shutdown.drain");
        chores.iter().for_each(JoinHandle::abort);
        drop(stop_web);
        report(web.await, "web");
        drop(stop_outbox);
        report(outbox.await, "outbox");
        self.handle.stop().await;
        let writer = self.writer;
        report(tokio::task::spawn_blocking(move || drop(writer.join())).await, "writer");
        ended
    }
}

/// Destroys the keys of texts that are older than the operator keeps them: now, and every few hours.
fn forget_old_texts(handle: Handle, clock: Clock, days: u32) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let before = clock.now().plus_secs(-86_400 * i64::from(days));
            if let Err(error) = handle.erase_texts(before).await {
                tracing::warn!(%error, "old texts could not be erased, the next round tries again");
            }
            tokio::time::sleep(ERASE_EVERY).await;
        }
    })
}

/// Notices what other processes write.
fn look_around(handle: Handle) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            handle.look();
        }
    })
}

/// A clock that stood still or was turned back while nobody looked gives messages without a time of their own to days that are over.
fn warn_of_a_clock_behind(reader: &impl Reader, newest: EventSeq, clock: &Clock) -> Result<()> {
    let Some(event) = reader.event(newest)? else { return Ok(()) };
    let behind_secs = event.received_at.0.saturating_sub(clock.now().0) / 1000;
    if behind_secs >= CLOCK_BEHIND_SECS {
        tracing::error!(behind_secs, "系统时间比账上最新的消息还早;请校准时间(NTP),校准后重启 jifen");
    }
    Ok(())
}

/// The outbox's inbox, once there is one.
struct Ear {
    inbox: Arc<OnceLock<Inbox>>,
    /// Wakes the loop that decides parked events again.
    names_told: Arc<Notify>,
    /// To whom keeps rules.toml.
    wishes: mpsc::Sender<Wish>,
}

impl Listener for Ear {
    fn has_room(&self) -> bool {
        self.inbox.get().is_none_or(|inbox| !inbox.is_full())
    }

    fn committed(&self, batch: &Batch) {
        if let Some(inbox) = self.inbox.get() {
            inbox.push(&batch.replies);
        }
        for wish in &batch.wishes {
            if self.wishes.try_send(wish.clone()).is_err() {
                tracing::warn!(rule = &*wish.switch.target, "too many wishes wait; the operator has to ask again");
            }
        }
        // Other rules may cover the groups that events wait for.
        if batch.groups.iter().any(|(_, group)| group.title.is_some()) || batch.rules_changes.iter().any(|change| change.accepted) {
            self.names_told.notify_one();
        }
    }

    fn keeps_rules(&self) -> bool {
        true
    }

    fn disturbed(&self) {
        if let Some(inbox) = self.inbox.get() {
            inbox.disturb();
        }
        self.names_told.notify_one();
    }
}

/// The pipeline as the web hears through it.
pub fn ear(handle: &Handle) -> Hear {
    let handle = handle.clone();
    Arc::new(move |event| {
        let handle = handle.clone();
        Box::pin(async move { handle.hear(event).await.map(|done| Heard { seq: done.seq, known: done.known }).map_err(|_| NotNow) })
    })
}

/// The pipeline as the API hears through it.
fn ears(handle: &Handle) -> HearAll {
    let handle = handle.clone();
    Arc::new(move |events| {
        let handle = handle.clone();
        Box::pin(async move {
            let done = handle.hear_all(events).await.map_err(|_| NotNow)?;
            Ok(done.into_iter().map(|done| Heard { seq: done.seq, known: done.known }).collect())
        })
    })
}

/// Reads back for the API what came of events.
fn teller(reader: SqliteReader) -> Teller {
    let desk = Mutex::new((reader, Versions::default()));
    Arc::new(move |seqs| {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, versions) = &mut *desk;
        let told = |seq: &EventSeq| told(reader, versions, *seq).inspect_err(|error| tracing::warn!(%error, "an event cannot be read back")).ok().flatten();
        seqs.iter().map(told).collect()
    })
}

fn probe(handle: &Handle) -> Probe {
    let handle = handle.clone();
    Arc::new(move || {
        let handle = handle.clone();
        Box::pin(async move { handle.probe().await.is_ok() })
    })
}

impl Ledger for Handle {
    async fn settle(&self, outcomes: Vec<ReplyOutcome>) -> Result<(), String> {
        Handle::settle(self, outcomes).await.map_err(|error| error.to_string())
    }
}

fn voices(settings: &Settings) -> HashMap<CorpName, Voice> {
    settings.corp.iter().map(|(name, corp)| (name.as_str().into(), Voice::of(corp))).collect()
}

/// The corp whose robot or app can speak in the operators' chat; else the first.
fn corp_of_operators(settings: &Settings) -> Option<CorpName> {
    let chat = settings.operators.chat.as_ref().map(crate::settings::Text::as_str);
    let speaks_there = |corp: &&String| Outlets::of(&settings.corp[*corp]).rooms().any(|room| Some(&**room) == chat);
    settings.corp.keys().find(speaks_there).or(settings.corp.keys().next()).map(|name| name.as_str().into())
}

/// The clock's events for these corps.
fn scheduler(settings: &Settings, reader: SqliteReader) -> Scheduler {
    let mut scheduler = Scheduler::new(Box::new(reader), Channel::House);
    for (name, corp) in &settings.corp {
        let name: CorpName = name.as_str().into();
        scheduler.know_corp(&name);
        Voice::of(corp).outlets.rooms().for_each(|chat| scheduler.know_room(&name, chat));
    }
    scheduler
}

fn report(result: Result<(), tokio::task::JoinError>, part: &str) {
    if let Err(error) = result {
        tracing::error!(%error, part, "a part of the daemon ended badly");
    }
}
