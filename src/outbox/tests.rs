//! The loop, with a fake desk, ledger and sender: whole lives of replies.

use std::collections::{BTreeMap, HashMap};

use tokio::sync::oneshot;

use super::*;
use crate::model::day::Millis;
use crate::model::event::Channel;
use crate::outbox::announce::Announced;
use crate::outbox::desk::Opened;
use crate::outbox::fakes::{START, Script, destination, id, in_chat, refused, retry, row, unknown, unreachable};
use crate::outbox::lanes::LaneKey;
use crate::outbox::remember::Said;
use crate::outbox::route::Outlet;
use crate::outbox::send::{Attempt, Delivery};
use crate::outbox::speak::{HOLD_SECS_MAX, Judgement, REPEAT_SECS, judge};
use crate::wecom::outcome::Trouble;

/// A store of replies that is desk and ledger at once, and remembers every state a row went through.
#[derive(Debug, Clone, Default)]
struct Rows(Arc<Mutex<Lives>>, Arc<Notify>, Arc<Mutex<Reasons>>);

/// The reason of every state that any row went through.
type Reasons = Vec<(ReplyId, Option<Arc<str>>)>;

/// A group with few answers.
const ROOM: Room = Room { shared: true, crowded: false };

/// A row whose writing breaks the program.
const POISON: ReplyId = ReplyId(99 * 16);

type Lives = BTreeMap<ReplyId, (ReplyRow, Vec<ReplyState>)>;

impl Rows {
    fn of(rows: impl IntoIterator<Item = ReplyRow>) -> Self {
        let rows = rows.into_iter().map(|row| (row.id, (row, Vec::new()))).collect();
        Rows(Arc::new(Mutex::new(rows)), Arc::default(), Arc::default())
    }

    fn life(&self, event: i64) -> Vec<ReplyState> {
        self.0.lock().expect("no panic")[&id(event)].1.clone()
    }

    /// The reason of every state it went through.
    fn reasons(&self, event: i64) -> Vec<Option<String>> {
        self.2.lock().expect("no panic").iter().filter(|(of, _)| *of == id(event)).map(|(_, reason)| reason.as_deref().map(str::to_owned)).collect()
    }

    fn tries(&self, event: i64) -> u32 {
        self.0.lock().expect("no panic")[&id(event)].0.tries
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
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Vec<Opened>, String> {
        let rows = self.0.lock().expect("no panic");
        Ok(rows.range(from..).map(|(_, (row, _))| row.clone()).filter(|row| row.state.is_open()).take(limit).map(|row| Ok(Box::new(row))).collect())
    }

    fn held(&mut self) -> Result<bool, String> {
        Ok(false)
    }

    fn remembers_from(&mut self, _now: Millis) -> Result<ReplyId, String> {
        Ok(ReplyId(0))
    }

    fn said(&mut self, _from: ReplyId, _limit: usize) -> Result<(Vec<Said>, Option<ReplyId>), String> {
        Ok((Vec::new(), None))
    }

    fn announce(&mut self, ids: &[ReplyId], _now: Millis) -> Announced {
        panic!("nothing is gathered here: {ids:?}")
    }

    fn compose(&mut self, id: ReplyId, _room: Room, _now: Millis) -> Composed {
        assert_ne!(id, POISON, "a reply that breaks the program");
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
            self.2.lock().expect("no panic").push((outcome.id, row.reason.clone()));
        }
        self.1.notify_waiters();
        Ok(())
    }
}

fn outbox(rows: &Rows, script: Script) -> Outbox<Script, Rows, Rows> {
    outbox_at(rows, script, Clock::starting_at(START))
}

fn outbox_at(rows: &Rows, script: Script, clock: Clock) -> Outbox<Script, Rows, Rows> {
    let robot = Outlet { name: "announcer".into(), groups: vec!["wrGroup".into()] };
    let voice = Voice { api_base: "https://api.test".into(), outlets: Outlets { apps: Vec::new(), robots: vec![robot] } };
    let app = Outlet { name: "assistant".into(), groups: Vec::new() };
    let private = Voice { api_base: "https://api.test".into(), outlets: Outlets { apps: vec![app], robots: Vec::new() } };
    let voices = HashMap::from([("acme".into(), voice), ("private".into(), private)]);
    Outbox::new(script, rows.clone(), rows.clone(), voices, clock)
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

fn judged(tries: u32, repeats: bool, attempt: Attempt) -> Option<(ReplyState, Finish)> {
    let pick = Pick { lane: LaneKey::numbered(1), id: id(1), tries, what: What::One(ROOM), repeats };
    match judge(&pick, Delivery { attempt, way: "webhook" }) {
        Judgement::Repeat => None,
        Judgement::Settle { state, finish, .. } => Some((state, finish)),
    }
}

#[test]
fn come_back_later_is_tried_three_times_at_once_then_at_leisure_and_then_no_more() {
    let busy = || Attempt::Retry { after_secs: 0, reason: "繁忙".into() };
    let rests: Vec<i64> = (0..)
        .map_while(|tries| match judged(tries, false, busy())?.1 {
            Finish::Again { after_secs, tries: counted } => (counted == tries + 1).then_some(after_secs),
            Finish::Closed | Finish::Repeat { .. } | Finish::Gathered(_) => None,
        })
        .collect();
    assert_eq!(rests, [1, 2, 4, 30, 60, 120]);
    assert_eq!(judged(6, false, busy()), Some((ReplyState::Refused, Finish::Closed)));
}

#[test]
fn neither_a_missing_connection_nor_an_app_that_cannot_send_uses_an_attempt_up() {
    let held = |trouble| Attempt::Held { trouble, reason: "原因".into() };
    let limited = held(Trouble::Limited { window_secs: None });
    for attempt in [unreachable(), limited, held(Trouble::Crowded), held(Trouble::NoToken { after_secs: 30 }), held(Trouble::Stopped)] {
        assert_eq!(judged(2, false, attempt), Some((ReplyState::Waiting, Finish::Again { after_secs: PAUSE_SECS, tries: 2 })));
    }
    assert_eq!(judged(2, false, held(Trouble::Gone)), Some((ReplyState::Refused, Finish::Closed)));
}

#[test]
fn what_nobody_knows_of_is_repeated_once_and_then_unknown_whatever_happens() {
    let repeatable = || Attempt::Repeatable("没有回音".into());
    assert_eq!(judged(0, false, repeatable()), None);
    assert_eq!(judged(0, true, Attempt::Sent), Some((ReplyState::Sent, Finish::Closed)));
    for attempt in [repeatable(), unknown(), refused(), retry(), unreachable()] {
        assert_eq!(judged(0, true, attempt), Some((ReplyState::Unknown, Finish::Closed)));
    }
}

#[tokio::test]
async fn a_row_that_waits_for_its_robot_says_why_and_uses_no_attempt_up() {
    let limited = Attempt::Held { trouble: Trouble::Limited { window_secs: None }, reason: "45009 太频繁".into() };
    let rows = Rows::of([row(1)]);
    assert_eq!(run(&rows, Script::answering([limited]), 1, 2).await, [ReplyState::Sending, ReplyState::Waiting]);
    assert_eq!((rows.reason(1).as_str(), rows.tries(1)), ("45009 太频繁", 0));
}

#[tokio::test]
async fn a_row_that_expires_while_its_robot_rests_still_says_why() {
    let limited = Attempt::Held { trouble: Trouble::Limited { window_secs: Some(3_600) }, reason: "45009 太频繁".into() };
    let (rows, clock) = (Rows::of([row(1)]), Clock::starting_at(START));
    let outbox = outbox_at(&rows, Script::answering([limited]), clock.clone());
    let pick = Pick { lane: LaneKey::numbered(1), id: id(1), tries: 0, what: What::One(ROOM), repeats: false };
    assert_eq!(outbox.say(&pick, ROOM).await.0, Finish::Again { after_secs: PAUSE_SECS, tries: 0 });
    assert_eq!(outbox.say(&pick, ROOM).await.0, Finish::Again { after_secs: HOLD_SECS_MAX, tries: 0 });
    assert_eq!(rows.life(1), [ReplyState::Sending, ReplyState::Waiting], "the reason is written once");
    outbox.inbox.push(&[row(1)]);
    clock.set(START.plus_secs(600));
    assert!(outbox.inbox.queue().due(clock.now()).is_empty());
    outbox.write_closings().await;
    assert_eq!((rows.life(1)[2], rows.reason(1)), (ReplyState::Expired, "十分钟内没能发出:45009 太频繁".to_owned()));
}

#[tokio::test]
async fn one_group_that_waits_for_its_robot_holds_no_other() {
    let limited = Attempt::Held { trouble: Trouble::Limited { window_secs: None }, reason: "45009 太频繁".into() };
    let waiting = (1..=queue::IN_FLIGHT_MAX as i64 * 2).map(row);
    let rows = Rows::of(waiting.chain([alone(1_000)]));
    assert_eq!(run(&rows, Script::answering([limited]), 1_000, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(rows.lived(1, 2).await, [ReplyState::Sending, ReplyState::Waiting]);
}

#[tokio::test]
async fn of_a_robot_that_was_taken_out_nothing_more_is_asked() {
    let gone = Attempt::Held { trouble: Trouble::Gone, reason: "93000 被移出群".into() };
    let rows = Rows::of([row(1), row(2)]);
    let script = Script::answering([gone]);
    let sent = script.log();
    assert_eq!(run(&rows, script, 2, 1).await, [ReplyState::Refused]);
    assert_eq!(rows.reason(2), "93000 被移出群");
    assert_eq!(sent.lock().expect("no panic").len(), 1);
}

/// 阿明 alone with the app, in a corp that has nothing else.
fn alone(event: i64) -> ReplyRow {
    ReplyRow { corp: "private".into(), destination: destination(Channel::App, None, None), ..row(event) }
}

/// What the claim of a private message with the text of this row says.
fn private_claim(event: i64) -> String {
    Way::Private { app: "assistant".into(), to: "aming".into() }.claim(&[format!("第 {} 条", id(event).0)])
}

#[tokio::test]
async fn a_private_message_under_way_before_a_restart_is_sent_once_more_if_it_reads_the_same_and_never_a_third_time() {
    let claimed = |event, reason: Option<&str>| ReplyRow { state: ReplyState::Sending, reason: reason.map(Into::into), ..alone(event) };
    let rows =
        Rows::of([claimed(1, Some(&private_claim(1))), claimed(2, None), claimed(3, Some("response_url")), alone(4), claimed(5, Some(&private_claim(1)))]);
    let script = Script::default();
    let sent = script.log();
    assert_eq!(run(&rows, script, 5, 1).await, [ReplyState::Unknown], "it reads otherwise by now");
    assert_eq!(rows.lived(4, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(rows.lived(1, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!((rows.lived(2, 1).await, rows.lived(3, 1).await), (vec![ReplyState::Unknown], vec![ReplyState::Unknown]));
    assert_eq!(*sent.lock().expect("no panic"), ["private 第 16 条", "private 第 64 条"]);
}

#[tokio::test]
async fn the_claim_names_the_way_and_that_of_a_repetition_none() {
    let rows = Rows::of([alone(1)]);
    let outbox = outbox(&rows, Script::answering([unknown()]));
    let mut pick = Pick { lane: LaneKey::numbered(1), id: id(1), tries: 0, what: What::One(ROOM), repeats: false };
    assert_eq!(outbox.say(&pick, ROOM).await.0, Finish::Repeat { after_secs: REPEAT_SECS });
    assert_eq!((rows.life(1), rows.reason(1)), (vec![ReplyState::Sending], private_claim(1)));
    pick.repeats = true;
    assert_eq!(outbox.say(&pick, ROOM).await.0, Finish::Closed);
    assert_eq!(rows.life(1), [ReplyState::Sending, ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(rows.reasons(1), [Some(private_claim(1)), None, Some("private".to_owned())]);
}

#[tokio::test]
async fn a_row_that_breaks_the_program_is_refused_and_the_next_goes_on() {
    let rows = Rows::of([row(99), row(100)]);
    assert_eq!(run(&rows, Script::default(), 100, 2).await, [ReplyState::Sending, ReplyState::Sent]);
    assert_eq!(rows.life(99), [ReplyState::Refused]);
    assert!(rows.reason(99).contains("程序出错"), "{}", rows.reason(99));
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
