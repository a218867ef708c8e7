//! What the clients know: how each sending of each message ended, and whether the daemon's own books agree with it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use jifen::model::ids::{EventSeq, KeyBytes};
use jifen::store::{Reader, ReplyState};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::double::Double;
use crate::house::{Daemon, House, PATIENCE};
use crate::senders::client;
use crate::wecom::Callback;

/// Rounds after which what is still not answered 200 is a failure of the daemon.
const ROUNDS_MAX: usize = 20;

/// How the sendings of one message ended so far.
#[derive(Debug, Default, Clone, Copy)]
struct Fate {
    /// Answered 200: it is in the journal, once, for ever.
    ok: usize,
    /// Answered, but not 200: it is not in the journal because of this.
    refused: usize,
    /// No answer, or one that leaves it open: it is there once or not at all.
    unknown: usize,
}

/// The history of some clients. Every message of it has an id of its own.
pub struct History {
    fates: Mutex<BTreeMap<String, Fate>>,
    changed: Notify,
    /// Whether a 503 leaves open what became of the message: the disk failed in its commit, or took longer than a client waits.
    busy_is_unknown: bool,
}

impl History {
    /// Of clients that believe every refusal.
    pub fn new() -> History {
        History { fates: Mutex::default(), changed: Notify::new(), busy_is_unknown: false }
    }

    /// Of clients of a daemon whose disk fails or dawdles.
    pub fn of_a_bad_disk() -> History {
        History { busy_is_unknown: true, ..History::new() }
    }

    /// Sends each message once, from so many connections at a time, and notes how it ended.
    pub async fn send(&self, daemon: &Daemon, callbacks: &[Callback], connections: usize) {
        let next = AtomicUsize::new(0);
        let one = async || {
            let http = client();
            while let Some(callback) = callbacks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let answer = http.post(daemon.url(&callback.uri)).body(callback.body.clone()).send().await;
                self.note(&callback.id, answer.map(|answer| answer.status().as_u16()));
            }
        };
        futures_of((0..connections).map(|_| one())).await;
    }

    /// Sends what is not answered 200 yet, as WeCom does, until everything is.
    pub async fn settle(&self, daemon: &Daemon, callbacks: &[Callback], connections: usize) {
        for _ in 0..ROUNDS_MAX {
            let open = self.open(callbacks);
            if open.is_empty() {
                return;
            }
            self.send(daemon, &open, connections).await;
        }
        panic!("after {ROUNDS_MAX} rounds still not answered 200: {:?}", self.open(callbacks).iter().map(|callback| &callback.id).collect::<Vec<_>>());
    }

    /// Those of these that were never answered 200.
    pub fn open(&self, callbacks: &[Callback]) -> Vec<Callback> {
        let fates = self.fates.lock().unwrap();
        callbacks.iter().filter(|callback| fates.get(&callback.id).is_none_or(|fate| fate.ok == 0)).cloned().collect()
    }

    /// Messages answered 200.
    pub fn acknowledged(&self) -> usize {
        self.fates.lock().unwrap().values().filter(|fate| fate.ok > 0).count()
    }

    /// Returns once so many messages were answered 200.
    pub async fn until_acknowledged(&self, count: usize) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if self.acknowledged() >= count {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, waiting).await.expect("answers in time");
    }

    /// Messages that were refused at least once.
    pub fn refused(&self) -> usize {
        self.fates.lock().unwrap().values().filter(|fate| fate.refused > 0).count()
    }

    /// Notes how a sending ended.
    pub fn note(&self, id: &str, answer: Result<u16, reqwest::Error>) {
        let mut fates = self.fates.lock().unwrap();
        let fate = fates.entry(id.to_owned()).or_default();
        match answer {
            Ok(200) => fate.ok += 1,
            Ok(500) => fate.unknown += 1,
            Ok(503) if self.busy_is_unknown => fate.unknown += 1,
            Ok(_) => fate.refused += 1,
            Err(error) if error.is_connect() => fate.refused += 1,
            Err(_) => fate.unknown += 1,
        }
        self.changed.notify_waiters();
    }

    /// Every ok is in the journal exactly once, every refusal absent, everything else there once at most, and nothing else at all.
    pub fn must_agree(&self, house: &House) {
        let (reader, mut found) = (house.reader(), 0);
        for (id, fate) in self.fates.lock().unwrap().iter() {
            let count = reader.find_events(KeyBytes::of(id)).unwrap().len();
            let agrees = match fate {
                Fate { ok: 1.., .. } => count == 1,
                Fate { unknown: 0, .. } => count == 0,
                Fate { .. } => count <= 1,
            };
            assert!(agrees, "message {id} is there {count} times, its sender knows {fate:?}");
            found += count as i64;
        }
        assert_eq!(reader.head().unwrap().event.0, found, "the journal has events that nobody sent");
    }
}

/// What WeCom took is in the outbox, no row was said twice, and every row that counts as said was.
pub fn replies_must_agree(house: &House, double: &Double) {
    let reader = house.reader();
    // By receiver: rows said for certain, rows that may have been said.
    let mut rows: HashMap<String, (usize, usize)> = HashMap::new();
    for seq in 1..=reader.head().unwrap().event.0 {
        for row in reader.replies_of(EventSeq(seq)).unwrap() {
            let Some((_, to)) = &row.destination.to else { continue };
            let (said, perhaps) = rows.entry(to.to_string()).or_default();
            match row.state {
                ReplyState::Sent => *said += 1,
                ReplyState::Sending | ReplyState::Unknown => *perhaps += 1,
                ReplyState::Waiting | ReplyState::Refused | ReplyState::Expired | ReplyState::Suppressed => {}
            }
        }
    }
    // By receiver: messages that were seen, and repetitions that WeCom dropped.
    let mut taken: HashMap<String, (usize, usize)> = HashMap::new();
    for sent in double.sent().into_iter().filter(|sent| sent.taken) {
        let (seen, dropped) = taken.entry(sent.to).or_default();
        *(if sent.shown { seen } else { dropped }) += 1;
    }
    for to in taken.keys() {
        assert!(rows.contains_key(to), "{to} was told something that is not in the outbox");
    }
    for (to, (said, perhaps)) in rows {
        let (seen, dropped) = taken.get(&to).copied().unwrap_or_default();
        let agrees = seen <= said + perhaps && said <= seen + dropped;
        assert!(agrees, "{to} saw {seen} messages and {dropped} were dropped; {said} replies are sent, {perhaps} perhaps");
    }
}

/// Waits for all of them, on this task.
async fn futures_of<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut open: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        open.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
