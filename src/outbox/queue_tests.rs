//! What the queue promises, stepped by hand.

use super::*;
use crate::outbox::circuit::FAILURES_TO_OPEN;
use crate::outbox::fakes::{START, from_member, id, in_chat, once, row, unasked};

fn queue(rows: impl IntoIterator<Item = ReplyRow>) -> Queue {
    let mut queue = Queue::new(HashMap::from([("acme".into(), "https://api.test".into())]));
    rows.into_iter().for_each(|row| queue.push(&row));
    queue
}

fn ids(picks: &[Pick]) -> Vec<ReplyId> {
    picks.iter().map(|pick| pick.id).collect()
}

fn closed(queue: &mut Queue) -> Vec<(ReplyId, ReplyState)> {
    let closings = queue.closings_to_write();
    queue.closings_written(closings.len());
    closings.iter().map(|outcome| (outcome.id, outcome.state)).collect()
}

/// A row of a lane of its own.
fn lonely(event: i64) -> ReplyRow {
    in_chat(row(event), &format!("wr{event}"))
}

/// Opens the circuit by failing as many lanes of their own; each of these rows waits on.
fn broken(rows: impl IntoIterator<Item = ReplyRow>) -> Queue {
    let mut queue = queue((1_000_000..).take(FAILURES_TO_OPEN as usize).map(lonely));
    let picks = queue.due(START);
    picks.iter().for_each(|pick| queue.finish(pick, Finish::Closed, Contact::Failed, START));
    rows.into_iter().for_each(|row| queue.push(&row));
    queue
}

#[test]
fn a_lane_speaks_in_order_one_at_a_time_and_lanes_do_not_wait_for_each_other() {
    let mut queue = queue([row(2), row(1), in_chat(row(3), "wrOther")]);
    let picks = queue.due(START);
    assert_eq!(ids(&picks), [id(1), id(3)]);
    assert!(queue.due(START).is_empty());
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    assert_eq!(ids(&queue.due(START)), [id(2)]);
    assert_eq!(queue.depth(), 2);
}

#[test]
fn no_more_requests_fly_than_the_limit() {
    let mut queue = queue((1..=100).map(lonely));
    let picks = queue.due(START);
    assert_eq!(picks.len(), IN_FLIGHT_MAX);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    assert_eq!(queue.due(START).len(), 1);
}

#[test]
fn a_retry_rests_its_lane_and_keeps_its_place() {
    let mut queue = queue([row(1), row(2)]);
    let picks = queue.due(START);
    queue.finish(&picks[0], Finish::Again { after_secs: 60, tries: 1 }, Contact::Reached, START);
    assert!(queue.due(START.plus_secs(59)).is_empty());
    let again = queue.due(START.plus_secs(60));
    assert_eq!((ids(&again), again[0].tries), (vec![id(1)], 1));
}

#[test]
fn an_asked_answer_expires_after_ten_minutes_and_an_unasked_one_is_dropped_after_three() {
    let mut first = queue([row(1), unasked(lonely(2))]);
    assert_eq!(first.due(START.plus_secs(UNASKED_SECS - 1)).len(), 2);
    let mut second = queue([row(1), unasked(lonely(2))]);
    assert_eq!(ids(&second.due(START.plus_secs(ASKED_SECS - 1))), [id(1)]);
    let mut third = queue([row(1), unasked(lonely(2))]);
    assert!(third.due(START.plus_secs(ASKED_SECS)).is_empty());
    assert_eq!(closed(&mut third), [(id(1), ReplyState::Expired), (id(2), ReplyState::Suppressed)]);
    assert!(third.is_idle());
}

#[test]
fn the_sixth_unasked_answer_of_a_minute_is_suppressed_and_an_asked_one_goes() {
    let mut queue = queue((1..=6).map(row).map(unasked).chain([row(7)]));
    let mut said = Vec::new();
    while let [pick] = &queue.due(START)[..] {
        said.push(pick.id);
        queue.finish(pick, Finish::Closed, Contact::Reached, START);
    }
    assert_eq!(said, [id(1), id(2), id(3), id(4), id(5), id(7)]);
    assert_eq!(closed(&mut queue), [(id(6), ReplyState::Suppressed)]);
}

#[test]
fn what_is_said_once_is_not_said_again_but_may_be_tried_again() {
    let told = |event, member| once(from_member(row(event), member), "outside/check_in.quiz", false, 7);
    let mut queue = queue([told(1, "aming"), told(2, "xiaohong")]);
    let picks = queue.due(START);
    queue.finish(&picks[0], Finish::Again { after_secs: 0, tries: 1 }, Contact::Reached, START);
    let picks = queue.due(START);
    assert_eq!(ids(&picks), [id(1)]);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    assert!(queue.due(START).is_empty());
    assert_eq!(closed(&mut queue), [(id(2), ReplyState::Suppressed)]);
}

#[test]
fn over_the_bound_of_a_lane_rows_expire_at_once() {
    let mut queue = queue((1..=LANE_MAX as i64 + 1).map(row));
    assert_eq!(closed(&mut queue), [(id(LANE_MAX as i64 + 1), ReplyState::Expired)]);
    assert_eq!(queue.depth(), LANE_MAX);
}

#[test]
fn a_row_that_was_under_way_before_a_crash_is_unknown_and_never_sent() {
    let mut queue = queue([ReplyRow { state: ReplyState::Sending, ..row(1) }]);
    assert!(queue.due(START).is_empty());
    assert_eq!(closed(&mut queue), [(id(1), ReplyState::Unknown)]);
}

#[test]
fn behind_an_open_circuit_nothing_is_picked_then_one_probe_then_all() {
    let mut queue = broken((1..=10).map(lonely));
    assert!(queue.due(START).is_empty());
    let later = START.plus_secs(30);
    let probe = queue.due(later);
    assert_eq!(probe.len(), 1);
    assert!(queue.due(later).is_empty());
    queue.finish(&probe[0], Finish::Again { after_secs: 1, tries: 0 }, Contact::Failed, later);
    assert!(queue.due(later.plus_secs(59)).is_empty());
    let later = later.plus_secs(60);
    let probe = queue.due(later);
    assert_eq!(probe.len(), 1);
    queue.finish(&probe[0], Finish::Closed, Contact::Reached, later);
    assert_eq!(queue.due(later).len(), 9);
}

#[test]
fn an_open_circuit_of_one_api_holds_no_other_corp() {
    let mut queue = broken([row(1), ReplyRow { corp: "other".into(), ..row(2) }]);
    assert_eq!(ids(&queue.due(START)), [id(2)]);
}

#[test]
fn behind_an_open_circuit_rows_expire_in_bulk_and_slowly() {
    let mut queue = broken((1..=2_500).map(lonely));
    let mut now = START;
    while now < START.plus_secs(ASKED_SECS) {
        now = now.plus_secs(20);
        let picks = queue.due(now);
        picks.iter().for_each(|pick| queue.finish(pick, Finish::Again { after_secs: 1, tries: 0 }, Contact::Failed, now));
    }
    let mut settles = Vec::new();
    for second in 0..60 {
        let _ = queue.due(now.plus_secs(second));
        settles.push(closed(&mut queue).len());
    }
    assert!(settles.iter().all(|&count| count <= CLOSINGS_A_SETTLE));
    assert!(settles.iter().filter(|&&count| count > 0).count() <= 5, "{settles:?}");
    assert!(queue.depth() <= 1, "only a probe may be left: {}", queue.depth());
}

#[test]
fn closings_stay_until_they_are_written() {
    let mut queue = queue((1..=3).map(|event| ReplyRow { state: ReplyState::Sending, ..row(event) }));
    assert_eq!(queue.closings_to_write().len(), 3);
    assert_eq!(closed(&mut queue).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(1), id(2), id(3)]);
    assert!(queue.is_idle());
}

#[test]
fn a_waiting_reply_takes_little_memory() {
    assert!(size_of::<Item>() <= 32, "{}", size_of::<Item>());
    assert!(size_of::<(LaneKey, Lane)>() <= 56, "{}", size_of::<(LaneKey, Lane)>());
}

#[test]
fn held_rows_grow_old_and_what_is_left_goes_when_they_are_let_go() {
    let mut queue = queue([lonely(1)]);
    assert!(!queue.hold(true));
    assert!(queue.due(START).is_empty());
    let later = START.plus_secs(ASKED_SECS);
    queue.push(&ReplyRow { created_at: later, ..lonely(2) });
    assert!(queue.due(later).is_empty());
    assert_eq!(closed(&mut queue), [(id(1), ReplyState::Expired)]);
    assert!(queue.hold(false));
    assert_eq!(ids(&queue.due(later)), [id(2)]);
}

#[test]
fn a_row_that_is_handed_in_twice_is_said_once() {
    let mut queue = queue([row(1), row(2)]);
    let picks = queue.due(START);
    [row(1), row(2)].iter().for_each(|row| queue.push(row));
    assert_eq!(queue.depth(), 2);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    let picks = queue.due(START);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    assert_eq!((ids(&picks), queue.is_idle()), (vec![id(2)], true));
}

#[test]
fn an_unasked_row_that_an_operator_wants_sent_again_is_not_counted_as_a_broadcast() {
    let retried = |event| ReplyRow { reason: Some(RETRIED.into()), ..unasked(lonely(event)) };
    let mut queue = queue((1..=6).map(|event| ReplyRow { destination: row(1).destination, ..retried(event) }));
    let mut said = 0;
    while let [pick] = &queue.due(START)[..] {
        said += 1;
        queue.finish(pick, Finish::Closed, Contact::Reached, START);
    }
    assert_eq!(said, 6);
}
