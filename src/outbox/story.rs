//! The loop over a real desk: what becomes of the answers of a busy morning, across restarts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};

use super::{Inbox, Ledger, Outbox, Voice};
use crate::clock::Clock;
use crate::model::ids::{EventSeq, RulesHash};
use crate::outbox::desk::ReaderDesk;
use crate::outbox::fakes::{Script, once};
use crate::outbox::route::{Outlet, Outlets};
use crate::outbox::town::{Town, at};
use crate::store::{Reader, ReplyOutcome, ReplyRow, ReplyState};

const PEOPLE: [&str; 8] = ["aming", "xiaohong", "m3", "m4", "m5", "m6", "m7", "m8"];

/// A town whose outbox can be started and stopped.
#[derive(Clone, Default)]
struct Street {
    town: Arc<Mutex<Town>>,
    changed: Arc<Notify>,
}

/// An outbox at work.
struct AtWork {
    inbox: Inbox,
    clock: Clock,
    sent: Arc<Mutex<Vec<String>>>,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<()>,
}

impl Ledger for Street {
    async fn settle(&self, outcomes: Vec<ReplyOutcome>) -> Result<(), String> {
        self.town.lock().expect("no panic").settles(outcomes);
        self.changed.notify_waiters();
        Ok(())
    }
}

impl Street {
    fn town<T>(&self, act: impl FnOnce(&mut Town) -> T) -> T {
        act(&mut self.town.lock().expect("no panic"))
    }

    /// Everybody checks in at this time; their replies.
    fn all_check_in(&self, when: &str) -> Vec<ReplyRow> {
        self.town(|town| PEOPLE.map(|who| town.checks_in(who, when)).to_vec())
    }

    fn starts(&self, when: &str) -> AtWork {
        let robot = Outlet { name: "announcer".into(), groups: vec!["wrGroup".into()] };
        let voice = Voice { api_base: "https://api.test".into(), outlets: Outlets { apps: Vec::new(), robots: vec![robot] } };
        let (script, clock) = (Script::default(), Clock::starting_at(at(when)));
        let sent = script.log();
        let (reader, last) = self.town(|town| (town.reader(), town.reader().head().expect("memory reads").event));
        let desk = ReaderDesk::new(Box::new(reader));
        let outbox = Outbox::new(script, self.clone(), desk, HashMap::from([("acme".into(), voice)]), clock.clone());
        let inbox = outbox.inbox();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(outbox.run(EventSeq(last.0), async { drop(stopped.await) }));
        AtWork { inbox, clock, sent, stop, running }
    }

    fn row(&self, row: &ReplyRow) -> ReplyRow {
        let rows = self.town(|town| town.reader().replies_of(row.event)).expect("memory reads");
        rows.into_iter().find(|other| other.id == row.id).expect("it is there")
    }

    /// Waits until so many of these rows are done with.
    async fn done(&self, rows: &[ReplyRow], count: usize) {
        loop {
            let changed = self.changed.notified();
            if rows.iter().filter(|row| !self.row(row).state.is_open()).count() >= count {
                return;
            }
            changed.await;
        }
    }

    /// The states of these rows, and their reasons.
    fn fates(&self, rows: &[ReplyRow]) -> Vec<(ReplyState, String)> {
        rows.iter().map(|row| self.row(row)).map(|row| (row.state, row.reason.as_deref().unwrap_or_default().to_owned())).collect()
    }
}

impl AtWork {
    fn said(&self) -> Vec<String> {
        self.sent.lock().expect("no panic").clone()
    }

    async fn stops(self) -> Vec<String> {
        let said = self.said();
        drop(self.stop);
        self.running.await.expect("the loop ends");
        said
    }
}

#[tokio::test]
async fn five_are_said_the_rest_are_told_together_and_a_restart_in_between_loses_nobody() {
    let street = Street::default();
    let rows = street.all_check_in("11-22 08:01");
    let before = street.starts("11-22 08:01");
    street.done(&rows, 5).await;
    assert_eq!(before.stops().await.len(), 5);
    assert!(rows[5..].iter().all(|row| street.row(row).state == ReplyState::Waiting), "what is gathered stays open");
    let after = street.starts("11-22 08:09");
    after.clock.set(at("11-22 08:10"));
    street.done(&rows, 8).await;
    assert_eq!(after.stops().await, ["webhook 【每日签到播报 8:00–8:10】小红、小红、小红 每日签到成功,每人 +2。没记上?@积分助手 发「为什么」。"]);
    assert!(street.fates(&rows)[5..].iter().all(|fate| *fate == (ReplyState::Sent, "播报 8:00–8:10,webhook".to_owned())), "{:?}", street.fates(&rows));
}

#[tokio::test]
async fn a_digest_under_way_when_the_daemon_died_is_in_doubt_for_all_it_covered() {
    let street = Street::default();
    let rows = street.all_check_in("11-22 08:01");
    let claimed = |row: &ReplyRow| ReplyOutcome { id: row.id, state: ReplyState::Sending, tries: 0, reason: Some("播报 8:00–8:10".into()) };
    street.settle(rows.iter().map(claimed).collect()).await.expect("memory writes");
    let outbox = street.starts("11-22 08:11");
    street.done(&rows, 8).await;
    assert!(outbox.stops().await.is_empty(), "it is never said again by itself");
    assert!(street.fates(&rows).iter().all(|(state, reason)| *state == ReplyState::Unknown && reason.starts_with("播报 8:00–8:10,")));
}

#[tokio::test]
async fn the_thirteenth_digest_of_a_day_is_not_told_though_the_daemon_was_restarted() {
    let street = Street::default();
    let told = street.all_check_in("11-22 06:01");
    for (row, number) in told.iter().chain(&street.all_check_in("11-22 07:01")).take(12).zip(10..) {
        let reason = Some(format!("播报 6:{number}–6:{number},webhook").into());
        street.settle(vec![ReplyOutcome { id: row.id, state: ReplyState::Sent, tries: 1, reason }]).await.expect("memory writes");
    }
    let rows = street.all_check_in("11-22 08:01");
    let outbox = street.starts("11-22 08:11");
    street.done(&rows, 0).await;
    outbox.clock.set(at("11-22 08:20"));
    street.done(&rows, 8).await;
    assert!(outbox.stops().await.is_empty());
    assert!(street.fates(&rows).iter().all(|(state, reason)| *state == ReplyState::Suppressed && reason.contains("12 次")), "{:?}", street.fates(&rows));
}

#[tokio::test]
async fn what_is_said_once_is_not_said_again_after_a_restart() {
    let street = Street::default();
    let notice = |row: ReplyRow| once(row, "outside/check_in.quiz", false, 7);
    let first = street.town(|town| town.checks_in_with("aming", "11-22 08:01", notice));
    let before = street.starts("11-22 08:01");
    street.done(std::slice::from_ref(&first), 1).await;
    assert_eq!(before.stops().await.len(), 1);
    let second = street.town(|town| town.checks_in_with("xiaohong", "11-22 08:02", notice));
    let after = street.starts("11-22 08:02");
    street.done(std::slice::from_ref(&second), 1).await;
    assert!(after.stops().await.is_empty());
    assert_eq!(street.fates(&[second])[0].0, ReplyState::Suppressed);
}

#[tokio::test]
async fn a_row_that_cannot_be_written_is_refused_with_a_reason_and_the_others_go_on() {
    let street = Street::default();
    let lost = street.town(|town| town.checks_in_with("aming", "11-22 08:01", |row| ReplyRow { rules: RulesHash([7; 16]), ..row }));
    let good = street.town(|town| town.checks_in("xiaohong", "11-22 08:01"));
    let outbox = street.starts("11-22 08:01");
    street.done(&[lost.clone(), good.clone()], 2).await;
    assert_eq!(outbox.stops().await.len(), 1);
    let fates = street.fates(&[lost, good]);
    assert!(fates[0].0 == ReplyState::Refused && fates[0].1.contains("rules.toml") && fates[1].0 == ReplyState::Sent, "{fates:?}");
}

#[tokio::test]
async fn who_asks_in_the_middle_of_a_flood_is_answered_at_once() {
    let street = Street::default();
    let rows = street.all_check_in("11-22 08:01");
    let outbox = street.starts("11-22 08:01");
    street.done(&rows, 5).await;
    let asked = street.town(|town| {
        town.checks_in_with("aming", "11-22 08:02", |mut row| {
            row.reply.asked = true;
            row
        })
    });
    outbox.inbox.push(std::slice::from_ref(&asked));
    street.done(std::slice::from_ref(&asked), 1).await;
    assert_eq!(outbox.stops().await.len(), 6);
    assert_eq!(rows.iter().filter(|row| street.row(row).state == ReplyState::Waiting).count(), 3);
}
