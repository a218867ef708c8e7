//! A whole daemon for tests: the demo's, with its WeCom double; tests speak to it as people do.

use std::time::Duration;

use jifen::demo::scene::Chat;
use jifen::demo::wecom::Received;
use jifen::demo::{self, Demo};
use jifen::model::day::Millis;

/// How long an answer may take before the test fails: many times what it takes on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The daemon, the double and a clock that stands at noon of 2026-11-22 in Shanghai.
pub struct Bot {
    pub demo: Demo,
    seen: u64,
}

impl Bot {
    /// Starts a daemon with these rules.
    pub async fn start(rules: &str) -> Bot {
        let bot = Bot::of(demo::Options { listen: Some("127.0.0.1:0".into()), keep: None, rules_text: rules.to_owned(), empty: true }).await;
        bot.at("2026-11-22T12:00:00+08:00");
        bot
    }

    /// Starts a daemon with these options; its clock goes on from now.
    pub async fn of(options: demo::Options) -> Bot {
        let demo = demo::start(options).await.expect("the demo starts");
        Bot { demo, seen: 0 }
    }

    /// Moves the clock.
    pub fn at(&self, time: &str) {
        self.demo.stage.clock.set(Millis::from(time.parse::<jiff::Timestamp>().expect("a time")));
    }

    /// Somebody writes in the single chat, and the answer.
    pub async fn says(&mut self, who: &str, text: &str) -> String {
        self.demo.stage.say(Chat::Single, who, text).await.expect("it can be said");
        self.answer().await
    }

    /// Somebody writes in a group; nothing is waited for.
    pub async fn says_in(&mut self, chat: Chat, who: &str, text: &str) -> u64 {
        self.demo.stage.say(chat, who, text).await.expect("it can be said")
    }

    /// The next text that people see.
    pub async fn answer(&mut self) -> String {
        let shown = self.next(|received| received.shown.is_some()).await;
        shown.shown.map(|shown| shown.text).unwrap_or_default()
    }

    /// The next call of the API that is meant.
    pub async fn next(&mut self, is_meant: impl Fn(&Received) -> bool) -> Received {
        let mut changes = self.demo.stage.double.changes();
        let waiting = async {
            loop {
                if let Some(received) = self.demo.stage.double.received_after(self.seen).into_iter().find(&is_meant) {
                    return received;
                }
                changes.changed().await.expect("the double lives");
            }
        };
        let received = match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(received) => received,
            Err(_) => panic!("no answer in time; the page shows {:#?}", self.demo.stage.scene.feed(0, self.demo.stage.clock.now()).lines),
        };
        self.seen = received.number;
        received
    }

    /// The balance of a person by outside id.
    pub fn balance(&self, who: &str) -> i64 {
        let balances = self.demo.stage.books.balances().expect("readable");
        balances.iter().find(|balance| balance.id == who).map_or(0, |balance| balance.available)
    }

    /// Stops the daemon.
    pub async fn stop(self) {
        self.demo.stop().await.expect("it stops in good order");
    }
}
