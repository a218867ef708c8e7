//! What the clock starts: each slot once, whatever stops in between, and never in the way of a callback.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::clock::Clock;
use jifen::model::act::Act;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, FingerprintKey, KeyBytes, PostingSeq};
use jifen::model::journal::AccountRef;
use jifen::pipeline::{self, Pipeline, Silent};
use jifen::rules::file;
use jifen::scheduler::daemon::{PIECE, SHORT_QUEUE};
use jifen::scheduler::{Scheduler, Step, catch_up, daemon};
use jifen::store::Reader;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::verify::verify;
use proptest::prelude::*;

const RULES: &str = "[retention.weekly]\nevery = \"7d\"\npoints = 5\n";

/// 2026-11-01 00:00 in Shanghai.
const FIRST_MILLIS: i64 = 1_793_462_400_000;
const HOUR_MILLIS: i64 = 3_600_000;

fn hour(hours: i64) -> Millis {
    Millis(FIRST_MILLIS + hours * HOUR_MILLIS)
}

fn event(id: &str, who: &str, at: Millis, kind: Kind) -> Event {
    Event {
        key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(id) },
        corp: "acme".into(),
        at,
        received_at: at,
        clamped: false,
        place: Place::Group { chat: "wrBike".into(), kind: GroupKind::Internal, title: None },
        who: Some(Identity { kind: IdentityKind::Userid, value: who.into() }),
        name: None,
        via: Via { channel: Channel::Replay, ..Via::default() },
        kind,
    }
}

/// A store, the pipeline over it, and a reader.
fn books() -> (Pipeline<MemoryStore>, MemoryReader, impl Fn() -> Scheduler) {
    let store = MemoryStore::default();
    let reader = store.reader();
    let readers: Vec<MemoryReader> = (0..8).map(|_| store.reader()).collect();
    let readers = std::cell::RefCell::new(readers);
    let rules = Arc::new(ArcSwap::from_pointee(file::load(RULES).expect("good rules").0));
    let scheduler = move || {
        let mut scheduler = Scheduler::new(Box::new(readers.borrow_mut().pop().expect("a reader")), Channel::Replay).with_chunk(3);
        scheduler.know_corp(&"acme".into());
        scheduler
    };
    (Pipeline::new(store, rules, FingerprintKey::new(b"test"), Box::new(Silent)), reader, scheduler)
}

/// Net points by member's account and business day.
fn net(reader: &MemoryReader) -> BTreeMap<(i64, i32), i64> {
    let mut net = BTreeMap::new();
    for posting in reader.postings(PostingSeq(1), usize::MAX >> 1).expect("readable") {
        let (account, amount) = match (posting.src, posting.dst) {
            (_, AccountRef::Member(id)) => (id, posting.amount),
            (AccountRef::Member(id), AccountRef::System { .. }) => (id, -posting.amount),
            (AccountRef::System { .. }, AccountRef::System { .. }) => panic!("a posting without a member"),
        };
        *net.entry((account.0, posting.day.0)).or_default() += amount;
    }
    net.retain(|_, amount| *amount != 0);
    net
}

fn commit(pipeline: &mut Pipeline<MemoryStore>, events: Vec<Event>) {
    for event in events {
        pipeline.hear(event).expect("memory");
    }
}

fn must_verify(reader: &MemoryReader) {
    let report = verify(reader, &mut |_| {}).expect("readable");
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[test]
fn a_slot_that_was_broken_off_is_finished_once_by_whoever_comes_next() {
    let (mut pipeline, reader, scheduler) = books();
    for member in 0..10 {
        pipeline.hear(event(&format!("j-{member}"), &format!("m{member}"), hour(9), Kind::Did(Act::Joined))).expect("memory");
    }
    let (mut first, rules) = (scheduler(), pipeline.rules());
    let due = hour(7 * 24);
    let mut steps = 0;
    // The first dies with a chunk half committed.
    let half = loop {
        match first.step(&rules, due).expect("memory") {
            Step::Submit(events) if events.len() == 3 && steps == 1 => break events[..2].to_vec(),
            Step::Submit(events) => {
                steps += usize::from(events.len() == 3);
                commit(&mut pipeline, events);
                first.done(&rules, due);
            }
            Step::Rest(until) => panic!("there was more to do: {until:?}"),
        }
    };
    commit(&mut pipeline, half);
    // Two others go on at once, step by step.
    let (mut second, mut third) = (scheduler(), scheduler());
    let mut rests = 0;
    while rests < 2 {
        rests = 0;
        for scheduler in [&mut second, &mut third] {
            match scheduler.step(&rules, due).expect("memory") {
                Step::Submit(events) => {
                    commit(&mut pipeline, events);
                    scheduler.done(&rules, due);
                }
                Step::Rest(_) => rests += 1,
            }
        }
    }
    assert_eq!(net(&reader).values().copied().collect::<Vec<_>>(), [5; 10]);
    let head = reader.head().expect("memory").event;
    assert_eq!(catch_up(&mut pipeline, &mut scheduler(), due, due).expect("memory"), Some(hour(8 * 24)));
    assert_eq!(reader.head().expect("memory").event, head, "a slot that is done is not looked at again");
    must_verify(&reader);
}

#[test]
fn slots_that_were_missed_are_run_in_order_each_on_its_day() {
    let (mut pipeline, reader, scheduler) = books();
    let mut scheduler = scheduler();
    catch_up(&mut pipeline, &mut scheduler, hour(9), hour(9)).expect("memory");
    pipeline.hear(event("j", "aming", hour(9), Kind::Did(Act::Joined))).expect("memory");
    let late = hour(40 * 24);
    catch_up(&mut pipeline, &mut scheduler, late, late).expect("memory");
    let days: Vec<i32> = net(&reader).into_keys().map(|(_, day)| day).collect();
    assert_eq!(days.iter().map(|day| day - days[0]).collect::<Vec<_>>(), [0, 7, 14, 21, 28]);
    must_verify(&reader);
}

#[tokio::test]
async fn a_callback_never_waits_behind_more_than_one_piece_of_what_is_due() {
    let (mut pipeline, reader, scheduler) = books();
    for member in 0..1_500 {
        pipeline.hear(event(&format!("j-{member}"), &format!("m{member}"), hour(9), Kind::Did(Act::Joined))).expect("memory");
    }
    let (handle, writer) = pipeline::start(pipeline).expect("a thread");
    let clock = Clock::standing_at(hour(7 * 24 + 1));
    let mut ticking = scheduler();
    ticking.know_corp(&"acme".into());
    let task = tokio::spawn(daemon::run(handle.clone(), ticking.with_chunk(1_000), clock));
    let (mut longest, mut said) = (0, 0);
    while net(&reader).len() < 1_500 {
        said += 1;
        assert!(said < 200_000, "it never ends");
        longest = longest.max(handle.waiting());
        let text = Kind::Said(Said { text: "大家好".into(), ..Said::default() });
        handle.hear(event(&format!("s-{said}"), "m0", hour(7 * 24 + 1), text)).await.expect("room");
    }
    assert!(longest <= PIECE + SHORT_QUEUE, "{longest} waited");
    task.abort();
    handle.stop().await;
    drop(handle);
    writer.join().expect("it ends well");
    must_verify(&reader);
}

/// Joins and leaves, in turn, at these hours.
fn stay(hours: &[i64]) -> Vec<Event> {
    let one = |(place, at): (usize, &i64)| {
        let act = if place % 2 == 0 { Act::Joined } else { Act::Left };
        event(&format!("e-{place}"), "aming", hour(*at), Kind::Did(act))
    };
    hours.iter().enumerate().map(one).collect()
}

/// Each event arrives at its hour of `arrives`; the clock strikes all the time. What is owed in the end.
fn owed(events: &[Event], arrives: &[i64]) -> BTreeMap<(i64, i32), i64> {
    let (mut pipeline, reader, scheduler) = books();
    let mut scheduler = scheduler();
    let mut order: Vec<(i64, &Event)> = arrives.iter().copied().zip(events).collect();
    order.sort_by_key(|(at, _)| *at);
    catch_up(&mut pipeline, &mut scheduler, hour(0), hour(0)).expect("memory");
    for (at, event) in order {
        catch_up(&mut pipeline, &mut scheduler, hour(at), hour(at)).expect("memory");
        pipeline.hear(event.clone()).expect("memory");
    }
    let end = hour(26 * 24);
    catch_up(&mut pipeline, &mut scheduler, end, end).expect("memory");
    must_verify(&reader);
    net(&reader)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn joins_and_leaves_in_any_order_pay_the_same_days(hours in prop::collection::btree_set(1_i64..20 * 24, 1..6), delays in prop::collection::vec(0_i64..6 * 24, 6)) {
        let hours: Vec<i64> = hours.into_iter().collect();
        let events = stay(&hours);
        let late: Vec<i64> = hours.iter().zip(&delays).map(|(at, delay)| (at + delay).min(25 * 24)).collect();
        prop_assert_eq!(owed(&events, &late), owed(&events, &hours), "joined and left at {:?}, told at {:?}", hours, late);
    }
}
