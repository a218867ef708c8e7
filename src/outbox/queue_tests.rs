//! What the queue promises, stepped by hand.

use super::*;
use crate::model::reply::Occasion;
use crate::outbox::circuit::FAILURES_TO_OPEN;
use crate::outbox::fakes::{START, from_member, id, in_chat, once, row, unasked};
use crate::outbox::route::{Outlet, Outlets};

const FEW: Room = Room { shared: true, crowded: false };
const CROWD: Room = Room { shared: true, crowded: true };
const PRIVATE: Room = Room { shared: false, crowded: false };

/// A corp with a robot in `wrGroup` and in `wrOther`; in all other chats it can only speak privately.
fn queue(rows: impl IntoIterator<Item = ReplyRow>) -> Queue {
    let robot = Outlet { name: "announcer".into(), groups: vec!["wrGroup".into(), "wrOther".into()] };
    let voice = Voice { api_base: "https://api.test".into(), outlets: Outlets { apps: Vec::new(), robots: vec![robot] } };
    let mut queue = Queue::new(&HashMap::from([("acme".into(), voice)]));
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
    from_member(in_chat(row(event), "wrElsewhere"), &format!("member{event}"))
}

/// A circuit that opened just now.
fn opened_at(now: Millis) -> Circuit {
    let mut circuit = Circuit::default();
    (0..FAILURES_TO_OPEN).for_each(|_| circuit.learn(Contact::Failed, now));
    circuit
}

fn what(picks: &[Pick]) -> Vec<What> {
    picks.iter().map(|pick| pick.what).collect()
}

/// Says all unasked rows as the loop does where the manners say so: what is not in a crowd.
fn said_or_gathered(queue: &mut Queue, rows: &[ReplyRow], now: Millis) -> (Vec<ReplyId>, usize) {
    let (mut said, mut gathered) = (Vec::new(), 0);
    while let [pick] = &queue.due(now)[..] {
        let row = rows.iter().find(|row| row.id == pick.id).expect("a known row");
        match pick.what {
            What::One(CROWD) if !row.reply.asked => {
                gathered += 1;
                queue.finish(pick, Finish::Gathered(START.plus_secs(600)), Contact::Untried, now);
            }
            What::One(_) | What::Digest => {
                assert!(queue.admits(pick, row, now));
                said.push(pick.id);
                queue.finish(pick, Finish::Closed, Contact::Reached, now);
            }
        }
    }
    (said, gathered)
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
fn an_asked_answer_expires_after_ten_minutes_and_an_unasked_one_when_its_day_is_surely_over() {
    let mut first = queue([row(1), unasked(lonely(2))]);
    assert_eq!(first.due(START.plus_secs(ASKED_SECS - 1)).len(), 2);
    let mut second = queue([row(1), unasked(lonely(2))]);
    assert_eq!(ids(&second.due(START.plus_secs(ASKED_SECS))), [id(2)]);
    let mut third = queue([row(1), unasked(lonely(2))]);
    assert!(third.due(START.plus_secs(UNASKED_SECS)).is_empty());
    assert_eq!(closed(&mut third), [(id(1), ReplyState::Expired), (id(2), ReplyState::Suppressed)]);
    assert!(third.is_idle());
}

#[test]
fn the_sixth_unasked_answer_of_a_minute_is_gathered_with_all_after_it_and_an_asked_one_goes() {
    let rows: Vec<ReplyRow> = (1..=8).map(row).map(unasked).chain([row(9)]).collect();
    let mut queue = queue(rows.clone());
    let (said, gathered) = said_or_gathered(&mut queue, &rows, START);
    assert_eq!((said, gathered), (vec![id(1), id(2), id(3), id(4), id(5), id(9)], 3));
    let later = unasked(row(10));
    queue.push(&later);
    assert_eq!(what(&queue.due(START.plus_secs(120))), [What::One(CROWD)], "who comes later joins them");
    assert_eq!(queue.depth(), 4);
}

#[test]
fn a_digest_comes_to_its_lane_when_it_is_due_and_is_done_with_as_one() {
    let rows: Vec<ReplyRow> = (1..=9).map(row).map(unasked).collect();
    let mut queue = queue(rows.clone());
    said_or_gathered(&mut queue, &rows, START);
    assert!(queue.due(START.plus_secs(599)).is_empty());
    let now = START.plus_secs(600);
    let picks = queue.due(now);
    assert_eq!(what(&picks), [What::Digest]);
    assert_eq!(queue.speaking(&picks[0], now), [id(6), id(7), id(8), id(9)]);
    queue.finish(&picks[0], Finish::Again { after_secs: 1, tries: 1 }, Contact::Reached, now);
    assert_eq!(queue.depth(), 4, "a digest that is tried again loses nobody");
    let picks = queue.due(now.plus_secs(1));
    assert_eq!((what(&picks), picks[0].tries), (vec![What::Digest], 1));
    assert_eq!(queue.speaking(&picks[0], now).len(), 4);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, now);
    assert!(queue.is_idle());
    let next = unasked(row(10));
    queue.push(&next);
    assert_eq!(what(&queue.due(now.plus_secs(1))), [What::One(FEW)]);
}

#[test]
fn where_the_bot_cannot_speak_in_the_group_each_member_has_a_lane_of_their_own() {
    let mut queue = queue([unasked(lonely(1)), unasked(lonely(2)), lonely(3)]);
    assert_eq!(what(&queue.due(START)), [What::One(PRIVATE); 3], "one member's slow lane blocks nobody");
}

#[test]
fn who_asks_takes_the_place_of_one_who_did_not_in_a_full_lane() {
    let mut queue = queue((1..=LANE_MAX as i64).map(row).map(unasked));
    queue.push(&unasked(row(5_000)));
    queue.push(&row(5_001));
    assert_eq!(closed(&mut queue), [(id(5_000), ReplyState::Expired), (id(LANE_MAX as i64), ReplyState::Expired)]);
    assert_eq!(queue.depth(), LANE_MAX);
}

#[test]
fn what_was_said_before_a_restart_is_not_said_again() {
    let told = |event| once(row(event), "outside/check_in.quiz", false, 7);
    let mut queue = queue([told(2)]);
    queue.remember(&ReplyRow { state: ReplyState::Sent, reason: Some("webhook".into()), ..told(1) }, Day(1));
    let picks = queue.due(START);
    assert!(!queue.admits(&picks[0], &told(2), START));
    for number in 0..crate::outbox::digest::DIGESTS_A_DAY as i64 {
        let mut covered = unasked(row(10 + number));
        covered.reply.template.occasion = Occasion::Paid;
        let name = crate::outbox::digest::name(&number.to_string(), "");
        covered.reason = Some(crate::outbox::digest::reason(&name, "webhook").into());
        queue.remember(&covered, Day(1));
        queue.remember(&covered, Day(1));
    }
    let pick = picks[0];
    assert!(!queue.admits_digest(&pick, Day(1), "播报 8:00–8:10"), "twelve were told that day");
    assert!(queue.admits_digest(&pick, Day(2), "播报 8:00–8:10"));
}

#[test]
fn over_the_bound_of_the_outbox_unasked_rows_leave_half_to_who_asks() {
    let mut queue = queue((1..=UNASKED_MAX as i64).map(lonely).map(unasked));
    queue.push(&unasked(lonely(1_000_000)));
    assert_eq!(closed(&mut queue), [(id(1_000_000), ReplyState::Expired)]);
    queue.push(&lonely(1_000_001));
    assert_eq!(queue.depth(), UNASKED_MAX + 1);
}

#[test]
fn what_is_said_once_is_not_said_again_but_may_be_tried_again() {
    let told = |event, member| once(from_member(row(event), member), "outside/check_in.quiz", false, 7);
    let mut queue = queue([told(1, "aming"), told(2, "xiaohong")]);
    let picks = queue.due(START);
    assert!(queue.admits(&picks[0], &told(1, "aming"), START));
    queue.finish(&picks[0], Finish::Again { after_secs: 0, tries: 1 }, Contact::Reached, START);
    let picks = queue.due(START);
    assert_eq!(ids(&picks), [id(1)]);
    assert!(queue.admits(&picks[0], &told(1, "aming"), START));
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    let picks = queue.due(START);
    assert!(!queue.admits(&picks[0], &told(2, "xiaohong"), START));
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
    queue.push(&ReplyRow { state: ReplyState::Sending, reason: Some("播报 8:00–8:10".into()), ..row(2) });
    let doubt = queue.closings_to_write();
    assert!(doubt[0].reason.as_deref().is_some_and(|reason| reason.starts_with("播报 8:00–8:10,重启前")), "a digest's rows still tell which");
}

#[test]
fn a_private_message_of_which_nobody_knows_is_picked_once_more_in_its_place() {
    let claimed = ReplyRow { state: ReplyState::Sending, reason: Some("private#00000000".into()), ..row(1) };
    let mut queue = queue([row(2), claimed]);
    let picks = queue.due(START);
    assert_eq!((picks[0].id, picks[0].repeats), (id(1), true));
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    let picks = queue.due(START);
    assert_eq!((picks[0].id, picks[0].repeats), (id(2), false));
    queue.finish(&picks[0], Finish::Repeat { after_secs: 3 }, Contact::Failed, START);
    assert!(queue.due(START.plus_secs(2)).is_empty());
    assert_eq!(queue.due(START.plus_secs(3)).iter().map(|pick| (pick.id, pick.repeats)).collect::<Vec<_>>(), [(id(2), true)]);
}

#[test]
fn what_could_not_be_repeated_in_time_is_unknown_and_not_expired() {
    let mut queue = queue([ReplyRow { state: ReplyState::Sending, reason: Some("private#00000000".into()), ..row(1) }]);
    assert!(queue.due(START.plus_secs(ASKED_SECS)).is_empty());
    assert_eq!(closed(&mut queue), [(id(1), ReplyState::Unknown)]);
}

#[test]
fn who_asks_does_not_wait_behind_what_nobody_asked_for() {
    let mut queue = queue([unasked(row(1)), unasked(row(2)), row(3), row(4)]);
    let later = Finish::Again { after_secs: 60, tries: 0 };
    let picks = queue.due(START);
    assert_eq!(ids(&picks), [id(1)]);
    queue.finish(&picks[0], later, Contact::Untried, START);
    let picks = queue.due(START);
    assert_eq!(ids(&picks), [id(3)], "the first that was asked for passes");
    queue.finish(&picks[0], later, Contact::Untried, START);
    assert!(queue.due(START.plus_secs(59)).is_empty(), "nobody passes an asked answer");
    let picks = queue.due(START.plus_secs(60));
    assert_eq!(ids(&picks), [id(3)]);
    queue.finish(&picks[0], Finish::Closed, Contact::Reached, START);
    assert_eq!(ids(&queue.due(START.plus_secs(60))), [id(1)]);
}

#[test]
fn lanes_that_rest_take_no_place_among_those_that_fly() {
    let mut queue = queue((1..=100).map(lonely));
    let mut rested = 0;
    while rested < 100 {
        let picks = queue.due(START);
        picks.iter().for_each(|pick| queue.finish(pick, Finish::Again { after_secs: 60, tries: 0 }, Contact::Untried, START));
        rested += picks.len();
    }
    queue.push(&lonely(101));
    assert_eq!(ids(&queue.due(START)), [id(101)]);
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
fn behind_an_open_circuit_who_asked_expires_in_time_though_an_unasked_answer_stands_before() {
    let mut queue = broken([unasked(row(1)), row(2)]);
    assert!(queue.due(START).is_empty());
    queue.gates[0].circuit = opened_at(START.plus_secs(ASKED_SECS));
    assert!(queue.due(START.plus_secs(ASKED_SECS)).is_empty());
    assert_eq!(closed(&mut queue), [(id(2), ReplyState::Expired)]);
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
