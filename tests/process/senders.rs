//! Senders side by side: what WeCom does with callbacks that are not answered 200, and chance that can be repeated.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::house::{Daemon, PATIENCE};
use crate::wecom::Callback;

/// A small generator (xorshift64*), so that a seed tells all.
pub struct Chance(u64);

impl Chance {
    /// Seeded by `JIFEN_TEST_SEED`, else by the clock; the seed is printed, and shown when the test fails.
    pub fn seeded() -> Chance {
        let given = std::env::var("JIFEN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| jiff::Timestamp::now().as_nanosecond() as u64 | 1);
        println!("JIFEN_TEST_SEED={seed}");
        Chance(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }
}

/// What is still to be sent, and what was answered 200.
#[derive(Default)]
pub struct Post {
    waiting: Mutex<Vec<Callback>>,
    acknowledged: Mutex<Acknowledged>,
    changed: Notify,
}

#[derive(Default)]
struct Acknowledged {
    ids: HashSet<String>,
    answers: usize,
}

impl Post {
    pub fn new(waiting: Vec<Callback>) -> Arc<Post> {
        Arc::new(Post { waiting: Mutex::new(waiting), ..Post::default() })
    }

    /// The ids answered 200 at least once.
    pub fn acknowledged(&self) -> HashSet<String> {
        self.acknowledged.lock().unwrap().ids.clone()
    }

    /// How many answers were 200.
    pub fn answers(&self) -> usize {
        self.acknowledged.lock().unwrap().answers
    }

    /// Returns once so many answers were 200.
    pub async fn answered(&self, count: usize) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if self.answers() >= count {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("answers in time");
    }

    /// Sends from `count` connections at once until nothing is left or the daemon is gone. What was not answered 200 waits again.
    pub async fn send(self: &Arc<Self>, daemon: &Daemon, count: usize) {
        let senders: Vec<_> = (0..count).map(|_| tokio::spawn(self.clone().one(daemon.url("")))).collect();
        for sender in senders {
            sender.await.expect("a sender");
        }
    }

    async fn one(self: Arc<Self>, base: String) {
        let http = client();
        loop {
            let Some(callback) = self.waiting.lock().unwrap().pop() else { return };
            let answer = http.post(format!("{base}{}", callback.uri)).body(callback.body.clone()).send().await;
            if !answer.is_ok_and(|answer| answer.status().as_u16() == 200) {
                // To the other end: it comes again later than the others.
                self.waiting.lock().unwrap().insert(0, callback);
                return;
            }
            let mut acknowledged = self.acknowledged.lock().unwrap();
            acknowledged.answers += 1;
            acknowledged.ids.insert(callback.id);
            self.changed.notify_waiters();
        }
    }
}

/// A client of its own connections, which gives up in the end.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().expect("a client")
}

/// Posts a callback and says the status.
pub async fn post(http: &reqwest::Client, daemon: &Daemon, callback: &Callback) -> u16 {
    http.post(daemon.url(&callback.uri)).body(callback.body.clone()).send().await.expect("an answer").status().as_u16()
}
