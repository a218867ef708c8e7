//! The process dies, panics or fails at every named place: what was answered 200 is kept, nothing counts twice, nothing is said twice.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use jifen::failpoint::POINTS;
use jifen::model::ids::EventSeq;
use jifen::store::Reader;
use rustix::process::Signal;

use crate::double::{Answer, Double};
use crate::history::{History, replies_must_agree};
use crate::house::{Daemon, House, RULES};
use crate::senders::{Chance, client, post};
use crate::wecom::{Callback, app_text, now_secs};

const BUG: Option<i32> = Some(70);
const SENDERS: usize = 8;
/// Messages of one life: enough for seven batches, seven replies and seven of everything between.
const MESSAGES: u64 = 48;
/// Messages that come once more although they were answered.
const REPEATS: usize = 8;

/// Places that a life passes once; a second time is never.
const ONCE: [&str; 3] = ["rules.parsed", "migrate.step", "shutdown.drain"];
/// A place passed once for every token that WeCom declares bad, and that is bounded.
const TOKEN: &str = "token.refresh";

/// The daemon with a fault in it.
fn faulty(house: &House, faults: &str) -> Command {
    let mut command = house.serve();
    command.env("FAILPOINTS", faults);
    command
}

/// Each message is of a member of its own, so that each is told one thing.
fn check_ins(from: u64, count: u64) -> Vec<Callback> {
    (from..from + count).map(|n| app_text(n, &format!("member{n}"), now_secs(), "签到")).collect()
}

/// A daemon and its clients through many lives, in one house.
struct Lives {
    house: House,
    double: Double,
    history: History,
    said: Vec<Callback>,
    chance: Chance,
    lives: usize,
}

impl Lives {
    async fn begin(name: &str) -> Lives {
        let (double, chance) = (Double::new(), Chance::seeded());
        let house = House::with_api(name, RULES, &double.open().await);
        Lives { house, double, history: History::new(), said: Vec::new(), chance, lives: 1 }
    }

    /// New messages, what is still open, and a few that were answered already, in no order.
    fn next_messages(&mut self) -> Vec<Callback> {
        let mut sent = self.history.open(&self.said);
        for _ in 0..REPEATS.min(self.said.len()) {
            sent.push(self.said[self.chance.below(self.said.len())].clone());
        }
        let fresh = check_ins(1 + self.said.len() as u64, MESSAGES);
        self.said.extend_from_slice(&fresh);
        sent.extend(fresh);
        self.chance.shuffle(&mut sent);
        sent
    }

    /// One life, which ends in an abort at the n-th passing of this place.
    async fn dies_at(&mut self, point: &str, nth: u64) {
        self.lives += 1;
        let command = faulty(&self.house, &format!("{point}=abort@{nth}"));
        let mut daemon = match Daemon::start(command, self.house.path("stderr.log")).await {
            Ok(daemon) => daemon,
            Err((code, said)) => return assert_eq!(code, None, "{point}@{nth}: it did not die but said {said}"),
        };
        if point == TOKEN && nth == 2 {
            self.double.answers(&[Answer::Code(42001)]);
        }
        let messages = self.next_messages();
        self.history.send(&daemon, &messages, SENDERS).await;
        if point == "shutdown.drain" {
            daemon.signal(Signal::TERM);
        }
        let ended = daemon.end().await;
        assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()), "{point}@{nth}: {ended:?}");
    }

    /// The last life, in which nothing fails: everything comes in, and everything agrees.
    async fn end_well(self) {
        let daemon = self.house.open().await;
        self.history.settle(&daemon, &self.said, SENDERS).await;
        assert_eq!(daemon.stop().await, Some(0));
        self.history.must_agree(&self.house);
        replies_must_agree(&self.house, &self.double);
        self.house.must_verify();
        let reader = self.house.reader();
        for seq in 1..=self.said.len() as i64 {
            assert_eq!(reader.replies_of(EventSeq(seq)).unwrap().len(), 1, "replies promised for event {seq}");
        }
        // One for each life, and one more where WeCom declared one bad.
        assert!(self.double.tokens() <= self.lives + 1, "{} tokens in {} lives", self.double.tokens(), self.lives);
        let accounts = self.house.export("accounts");
        assert_eq!(accounts.len(), self.said.len());
        assert!(accounts.iter().all(|account| account["balance"] == 2), "{accounts:?}");
    }
}

async fn dies_everywhere_and_loses_nothing(nth: u64) {
    let mut lives = Lives::begin(&format!("points-{nth}")).await;
    if nth == 1 {
        // Only a new file is migrated.
        lives.dies_at("migrate.step", 1).await;
    }
    let often = POINTS.iter().filter(|&point| *point != "migrate.step" && (nth == 1 || !ONCE.contains(point)) && (nth <= 2 || *point != TOKEN));
    for point in often {
        lives.dies_at(point, nth).await;
        lives.history.must_agree(&lives.house);
        replies_must_agree(&lives.house, &lives.double);
        lives.house.must_verify();
    }
    lives.end_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_every_place_loses_nothing_and_doubles_nothing() {
    dies_everywhere_and_loses_nothing(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_the_second_passing_of_every_place_loses_nothing_and_doubles_nothing() {
    dies_everywhere_and_loses_nothing(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_at_the_seventh_passing_of_every_place_loses_nothing_and_doubles_nothing() {
    dies_everywhere_and_loses_nothing(7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_handler_is_a_500_to_that_client_alone() {
    for point in ["cb.verified", "cb.decrypted", "http.before_200"] {
        let house = House::new(&format!("handler-{point}"), RULES);
        let daemon = Daemon::start(faulty(&house, &format!("{point}=panic@2")), house.path("stderr.log")).await.unwrap();
        let (http, history, said) = (client(), History::new(), check_ins(1, 20));
        let mut statuses = Vec::new();
        for callback in &said {
            let status = post(&http, &daemon, callback).await;
            history.note(&callback.id, Ok(status));
            statuses.push(status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 1, "{point}: {statuses:?}");
        assert_eq!((statuses[1], history.acknowledged()), (500, 19), "{point}: {statuses:?}");
        let metrics = http.get(daemon.url("/metrics")).send().await.unwrap().text().await.unwrap();
        assert!(metrics.contains("jifen_panics_total 1"), "{metrics}");
        history.settle(&daemon, &said, 1).await;
        assert_eq!(daemon.stop().await, Some(0));
        history.must_agree(&house);
        house.must_verify();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_is_503_and_leaves_nothing_behind() {
    for point in ["ledger.begin", "ledger.before_commit"] {
        let mut refused = 0;
        // A commit may be of claims alone, which nobody hears of; of four in a row one has messages in it.
        for nth in 3..7 {
            let house = House::new(&format!("commit-{point}-{nth}"), RULES);
            let daemon = Daemon::start(faulty(&house, &format!("{point}=error@{nth}")), house.path("stderr.log")).await.unwrap();
            let talk = |n| app_text(n, "aming", now_secs(), &format!("今天骑了{n}公里"));
            let (history, said) = (History::new(), (1..=60).map(talk).collect::<Vec<_>>());
            history.send(&daemon, &said, SENDERS).await;
            assert!(history.acknowledged() > 0, "{point} {nth}");
            history.must_agree(&house);
            refused += history.refused();
            history.settle(&daemon, &said, SENDERS).await;
            assert_eq!(daemon.stop().await, Some(0));
            history.must_agree(&house);
            house.must_verify();
        }
        assert!(refused > 0, "{point}: nobody was refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_breaks_off_is_400_and_leaves_nothing_behind() {
    let house = House::new("body", RULES);
    let daemon = Daemon::start(faulty(&house, "http.body_read=error@3"), house.path("stderr.log")).await.unwrap();
    let (history, said) = (History::new(), check_ins(1, 10));
    history.send(&daemon, &said, 1).await;
    assert_eq!((history.acknowledged(), history.refused()), (9, 1));
    assert_eq!(daemon.stop().await, Some(0));
    history.must_agree(&house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_in_the_writer_ends_the_process_and_a_restart_has_everything() {
    for point in ["inbox.before_commit", "ledger.entries", "ledger.balance", "ledger.after_commit", "inbox.after_commit"] {
        let house = House::new(&format!("writer-{point}"), RULES);
        let mut daemon = Daemon::start(faulty(&house, &format!("{point}=panic@5")), house.path("stderr.log")).await.unwrap();
        // What stops in its commit is answered 503, and the last commit may have been through.
        let (history, said) = (History::of_a_bad_disk(), check_ins(1, 80));
        history.send(&daemon, &said, SENDERS).await;
        assert_eq!(daemon.end().await.code(), BUG, "{point}: {}", house.log());
        assert!(history.acknowledged() < said.len(), "{point}: it went on answering");
        history.must_agree(&house);
        house.must_verify();
        let daemon = house.open().await;
        history.settle(&daemon, &said, SENDERS).await;
        assert_eq!(daemon.stop().await, Some(0));
        history.must_agree(&house);
        house.must_verify();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_in_deciding_costs_its_own_message_only() {
    let house = House::new("poison", RULES);
    let daemon = Daemon::start(faulty(&house, "rules.matched[毒药]=panic"), house.path("stderr.log")).await.unwrap();
    let (history, mut said) = (History::new(), check_ins(1, 60));
    for poison in [7, 23, 24] {
        said[poison] = app_text(1 + poison as u64, &format!("member{}", 1 + poison), now_secs(), "毒药");
    }
    history.send(&daemon, &said, SENDERS).await;
    assert_eq!(history.acknowledged(), said.len(), "poison is answered 200 too");
    assert_eq!(daemon.stop().await, Some(0));
    history.must_agree(&house);
    house.must_verify();
    assert_eq!(house.export("accounts").len(), 57);
    let log = house.log();
    assert_eq!(log.matches("could not be decided").count(), 3, "{log}");
    assert!(!log.contains("毒药"), "the log tells no texts: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_a_slip_starts_nothing() {
    let house = House::new("slip", RULES);
    let (code, said) = house.refused(faulty(&house, "ledger.begins=abort")).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("ledger.begins is no place"), "{said}");
}
