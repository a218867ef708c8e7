//! The loop, with a fake desk, ledger and sender: whole lives of replies.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use super::*;
use crate::model::day::Millis;
use crate::model::event::Channel;
use crate::outbox::desk::Opened;
use crate::outbox::fakes::{START, Script, destination, id, in_chat, refused, retry, row, unknown, unreachable};
use crate::outbox::queue::LaneKey;
use crate::outbox::route::Outlet;

/// A store of replies that is desk and ledger at once, and remembers every state a row went through.
#[derive(Debug, Clone, Default)]
struct Rows(Arc<Mutex<Lives>>, Arc<Notify>);

type Lives = BTreeMap<ReplyId, (ReplyRow, Vec<ReplyState>)>;

impl Rows {
    fn of(rows: impl IntoIterator<Item = ReplyRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row.id, (row, Vec::new()))).collect();
        Rows(Arc::new(Mutex::new(rows)), Arc::default())
    }

    fn life(&self, event: i64) -> Vec<ReplyState> {
        self.0.lock().expect("no panic")[&id(event)].1.clone()
    }

    fn reason(&self, event: i64) -> String {
        self.0.lock().expect("no panic")[&id(event)].0.reason.as_deref().unwrap_or_default().to_owned()
    }

    /// Waits until a row has gone through so many states.
    async fn lived(&self, event: i64, states: usize) -> Vec<ReplyState> {
        loop {
            let changed = self.1.notified();
            if self.life(event).len() >= states {
                return self.life(event);
            }
            changed.await;
        }
    }
}

impl Desk for Rows {
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Opened, String> {
        let rows = self.0.lock().expect("no panic");
        Ok(Opened::of(rows.range(from..).map(|(_, (row, _))| row.clone()).filter(|row| row.state.is_open()).take(limit).collect()))
    }

    fn held(&mut self) -> Result<bool, String> {
        Ok(false)
    }

    fn compose(&mut self, id: ReplyId, _now: Millis) -> Composed {
        let rows = self.0.lock().expect("no panic");
        Composed::Say { row: Box::new(rows[&id].0.clone()), texts: vec![format!("第 {} 条", id.0)] }
    }
}

impl Ledger for Rows {
    async fn settle(&self, outcomes: Vec<ReplyOutcome>) -> Result<(), String> {
        let mut rows = self.0.lock().expect("no panic");
        for outcome in outcomes {
            let (row, life) = rows.get_mut(&outcome.id).expect("a known row");
            (row.state, row.tries, row.reason) = (outcome.state, outcome.tries, outcome.reason);
            life.push(outcome.state);
        }
        self.1.notify_waiters();
        Ok(())
    }
}

fn outbox(rows: &Rows, script: Script) -> Outbox<Script, Rows, Rows> {
    let robot = Outlet { name: "announcer".into(), groups: vec!["wrGroup".into()] };
    let voice = Voice { api_base: "https://api.test".into(), outlets: Outlets { apps: Vec::new(), robots: vec![robot] } };
    Outbox::new(script, rows.clone(), rows.clone(), HashMap::from([("acme".into(), voice)]), Clock::starting_at(START))
}

/// Runs an outbox over stored rows until the last one has gone through so many states.
async fn run(rows: &Rows, script: Script, last: i64, states: usize) -> Vec<ReplyState> {
    let outbox = outbox(rows, script);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(outbox.run(EventSeq(last), async { drop(stopped.await) }));
    let life = rows.lived(last, states).await;
    drop(stop);
    running.await.expect("the loop ends");
    life
}

#[tokio::test]
async fn a_reply_is_claimed_before_it_is_sent() {
    let rows = Rows::of([row(1)]);
    let script = Script::default();
    let sent = script.log();
    assert_eq!(run(&rows, script, 1, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(*sent.lock().expect("no panic"), ["webhook 第 16 条"]);
    assert_eq!(rows.reason(1), "webhook");
}

#[tokio::test]
async fn refusals_and_doubts_are_final_and_booked_with_their_reason() {
    for (answer, state) in [(refused(), ReplyState::Refused), (unknown(), ReplyState::Unknown)] {
        let rows = Rows::of([row(1)]);
        assert_eq!(run(&rows, Script::answering([answer]), 1, 2).await, [ReplyState::Sending, state]);
        assert!(!rows.reason(1).is_empty());
    }
}

#[tokio::test]
async fn a_reply_without_a_way_is_refused_without_a_claim() {
    let rows = Rows::of([in_chat(row(1), "wrCustomers")]);
    assert_eq!(run(&rows, Script::default(), 1, 1).await, [ReplyState::Refused]);
    assert!(rows.reason(1).contains("没有自动回复的办法"));
}

#[tokio::test]
async fn what_was_under_way_before_a_restart_is_unknown_and_what_waited_is_sent() {
    let rows = Rows::of([ReplyRow { state: ReplyState::Sending, ..row(1) }, row(2)]);
    assert_eq!(run(&rows, Script::default(), 2, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(rows.lived(1, 1).await, [ReplyState::Unknown]);
}

#[tokio::test]
async fn the_third_come_back_later_is_a_refusal() {
    let now = || Attempt::Retry { after_secs: 0, reason: "太快".into() };
    let rows = Rows::of([row(1)]);
    let life = run(&rows, Script::answering([now(), now(), now()]), 1, 6).await;
    assert_eq!(life, [ReplyState::Sending, ReplyState::Waiting, ReplyState::Sending, ReplyState::Waiting, ReplyState::Sending, ReplyState::Refused]);
    assert_eq!(rows.reason(1), "试了 3 次:太快");
}

#[tokio::test]
async fn a_missing_connection_uses_no_attempt_up() {
    let rows = Rows::of([row(1)]);
    assert_eq!(run(&rows, Script::answering([unreachable()]), 1, 2).await, [ReplyState::Sending, ReplyState::Waiting]);
    let pick = Pick { lane: LaneKey::numbered(1), id: id(1), tries: 2 };
    let finish = |attempt| judge(&pick, Delivery { attempt, way: "webhook" }).1;
    assert_eq!(finish(unreachable()), Finish::Again { after_secs: PAUSE_SECS, tries: 2 });
    assert_eq!(finish(retry()), Finish::Closed);
}

#[tokio::test]
async fn rows_pushed_by_a_commit_are_sent_and_those_of_history_are_not() {
    let live = row(7);
    let history = ReplyRow { state: ReplyState::Suppressed, destination: destination(Channel::Replay, Some("wrGroup"), None), ..row(6) };
    let rows = Rows::of([history.clone(), live.clone()]);
    let outbox = outbox(&rows, Script::default());
    let inbox = outbox.inbox();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(outbox.run(EventSeq(5), async { drop(stopped.await) }));
    inbox.push(&[history, live]);
    assert_eq!(rows.lived(7, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    drop(stop);
    running.await.expect("the loop ends");
    assert!(rows.life(6).is_empty());
    assert_eq!(inbox.depth(), 0);
}
