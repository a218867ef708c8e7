//! Random histories — late, doubled, recalled, in batches of any size — earn what a model that is written to be obviously right says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq};
use jifen::model::journal::AccountRef;
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::file;
use jifen::store::Reader;
use jifen::store::memory::MemoryStore;
use proptest::prelude::*;

const RULES: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 2
streak = { 3 = 5, 5 = 10 }

[speaking.talk]
points = 1
min_chars = 4
min_distinct = 2
cool_down = "30s"
max_points = { day = 3, week = 8 }
"#;

/// Monday 2026-11-16 00:00 in Shanghai.
const MONDAY_MILLIS: i64 = 1_794_758_400_000;
const DAY_SECS: i64 = 86_400;
const TALK: [&str; 5] = ["今天骑了二十公里", "明天一起去爬山吧", "这本书读完了真好", "晚上八点准时开始", "哈哈"];

/// A message of the history.
#[derive(Debug, Clone)]
struct Message {
    member: usize,
    /// Seconds since Monday.
    at: i64,
    /// 0 is a check-in, others are talk.
    text: usize,
    recalled: bool,
}

impl Message {
    fn text(&self) -> &'static str {
        if self.text == 0 { "签到" } else { TALK[self.text - 1] }
    }

    fn day(&self) -> i64 {
        self.at / DAY_SECS
    }
}

/// The model: one member at a time, in order, nothing clever.
fn expected(messages: &[Message]) -> BTreeMap<(usize, &'static str), i64> {
    let mut paid = BTreeMap::new();
    for member in 0..2 {
        let mut own: Vec<(usize, &Message)> = messages.iter().enumerate().filter(|(_, message)| message.member == member && !message.recalled).collect();
        own.sort_by_key(|(id, message)| (message.at, *id));
        let days: HashSet<i64> = own.iter().filter(|(_, message)| message.text == 0).map(|(_, message)| message.day()).collect();
        let mut checked_in: HashSet<i64> = HashSet::new();
        let mut talk: Vec<(i64, usize)> = Vec::new();
        for (id, message) in own {
            if message.text == 0 {
                if checked_in.insert(message.day()) {
                    let in_a_row = (0..).take_while(|back| days.contains(&(message.day() - back))).count();
                    let bonus = match (in_a_row - 1) % 5 + 1 {
                        3 => 5,
                        5 => 10,
                        _ => 0,
                    };
                    paid.insert((id, "check_in.daily"), 2 + bonus);
                }
                continue;
            }
            let too_short = message.text == 5;
            let too_soon = talk.iter().any(|(at, _)| message.at - at < 30);
            let copied = talk.iter().any(|(at, text)| *text == message.text && message.at - at < DAY_SECS);
            let day = talk.iter().filter(|(at, _)| at / DAY_SECS == message.day()).count();
            let week = talk.iter().filter(|(at, _)| at / DAY_SECS / 7 == message.day() / 7).count();
            if !too_short && !too_soon && !copied && day < 3 && week < 8 {
                talk.push((message.at, message.text));
                paid.insert((id, "speaking.talk"), 1);
            }
        }
    }
    paid
}

fn event(id: usize, kind: Kind, at: i64, member: usize) -> Event {
    let at = Millis(MONDAY_MILLIS + at * 1000);
    Event {
        key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(&(id + 1).to_string()) },
        corp: "acme".into(),
        at,
        received_at: at,
        clamped: false,
        place: Place::Group { chat: "wrDemoGroup".into(), kind: GroupKind::Internal, title: None },
        who: Some(Identity { kind: IdentityKind::Userid, value: ["aming", "xiaohong"][member].into() }),
        name: None,
        via: Via { channel: Channel::Archive, ..Via::default() },
        kind,
    }
}

/// Feeds a history and returns what each message earned, net, and the reader for further checks.
fn earned(messages: &[Message], arrivals: &[(usize, bool)], batch: usize) -> BTreeMap<(usize, String), i64> {
    let (rules, _) = file::load(RULES).expect("the rules are right");
    let rules = Arc::new(rules);
    let store = MemoryStore::default();
    let reader = store.reader();
    let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules.clone())), FingerprintKey::new(b"test"), Box::new(Silent));
    let (mut messages_by_seq, mut works, mut ids) = (HashMap::new(), Vec::new(), Vec::new());
    let flush = |pipeline: &mut Pipeline<MemoryStore>, works: &mut Vec<Work>, ids: &mut Vec<Option<usize>>, by_seq: &mut HashMap<EventSeq, usize>| {
        for (done, id) in pipeline.run(works).expect("memory never fails").into_iter().zip(ids.drain(..)) {
            by_seq.extend(id.map(|id| (done.seq, id)));
        }
        works.clear();
    };
    for &(id, is_recall) in arrivals {
        let message = &messages[id];
        let kind = match is_recall {
            true => Kind::Recalled { of: KeyBytes::of(&(id + 1).to_string()) },
            false => Kind::Said(Said { text: message.text().into(), ..Said::default() }),
        };
        let event = event(if is_recall { id + 1_000_000 } else { id }, kind, message.at, message.member);
        works.push(Work::Hear(Box::new(pipeline.prepare(&rules, event))));
        ids.push((!is_recall).then_some(id));
        if works.len() == batch {
            flush(&mut pipeline, &mut works, &mut ids, &mut messages_by_seq);
        }
    }
    flush(&mut pipeline, &mut works, &mut ids, &mut messages_by_seq);
    let report = jifen::verify::verify(&reader, &mut |_| {}).expect("readable");
    assert!(report.is_sound(), "{:?}", report.findings);
    net(&reader, &messages_by_seq)
}

fn net(reader: &dyn Reader, by_seq: &HashMap<EventSeq, usize>) -> BTreeMap<(usize, String), i64> {
    let mut net: BTreeMap<(usize, String), i64> = BTreeMap::new();
    for posting in reader.postings(PostingSeq(1), usize::MAX >> 1).expect("readable") {
        let message = by_seq[&posting.slot_event.unwrap_or(posting.event)];
        let amount = if matches!(posting.dst, AccountRef::Member(_)) { posting.amount } else { -posting.amount };
        *net.entry((message, posting.code.to_string())).or_default() += amount;
    }
    net.retain(|_, amount| *amount != 0);
    net
}

fn history() -> impl Strategy<Value = (Vec<Message>, Vec<(usize, bool)>)> {
    let message = (0..2usize, 0..9i64, prop_oneof![0..60i64, 0..DAY_SECS], 0..=5usize, prop::bool::weighted(0.2));
    let messages = prop::collection::vec(message, 1..40);
    let messages = messages.prop_map(|list| {
        list.into_iter().map(|(member, day, secs, text, recalled)| Message { member, at: day * DAY_SECS + secs, text, recalled }).collect::<Vec<_>>()
    });
    messages.prop_flat_map(|messages| {
        let mut arrivals: Vec<(usize, bool)> = (0..messages.len()).map(|id| (id, false)).collect();
        arrivals.extend((0..messages.len()).filter(|id| id % 3 == 0).map(|id| (id, false)));
        arrivals.extend(messages.iter().enumerate().filter(|(_, message)| message.recalled).map(|(id, _)| (id, true)));
        (Just(messages), Just(arrivals).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_earns_what_the_order_of_events_earns((messages, arrivals) in history(), batch in prop::sample::select(vec![1usize, 7, 1024])) {
        let expected: BTreeMap<(usize, String), i64> = expected(&messages).into_iter().map(|((id, rule), points)| ((id, rule.to_owned()), points)).collect();
        prop_assert_eq!(earned(&messages, &arrivals, batch), expected);
    }
}

#[test]
fn day_four_after_the_others_moves_the_bonus() {
    let messages: Vec<Message> = (0..5).map(|day| Message { member: 0, at: day * DAY_SECS + 100, text: 0, recalled: false }).collect();
    let arrivals = [(0, false), (1, false), (3, false), (4, false), (2, false)];
    let net = earned(&messages, &arrivals, 1);
    let points: Vec<i64> = (0..5).map(|id| net[&(id, "check_in.daily".to_owned())]).collect();
    assert_eq!(points, [2, 2, 7, 2, 12]);
}

#[test]
fn a_recalled_talk_makes_room_for_the_one_refused_after_it() {
    let mut messages: Vec<Message> = (0..4).map(|id| Message { member: 0, at: 100 * id as i64, text: id + 1, recalled: false }).collect();
    messages[3].text = 1;
    messages[3].at = 2 * DAY_SECS - 1;
    messages.iter_mut().take(3).for_each(|message| message.at += DAY_SECS);
    let before = earned(&messages, &[(0, false), (1, false), (2, false), (3, false)], 1);
    assert!(!before.contains_key(&(3, "speaking.talk".to_owned())), "a copy of the first one, and over the cap");
    messages[0].recalled = true;
    let after = earned(&messages, &[(0, false), (1, false), (2, false), (3, false), (0, true)], 1);
    assert_eq!(after.get(&(3, "speaking.talk".to_owned())), Some(&1));
    assert!(!after.contains_key(&(0, "speaking.talk".to_owned())));
}

#[test]
fn a_repair_decides_each_day_under_its_own_rules() {
    let rules = |text: &str| Arc::new(file::load(text).expect("the rules are right").0);
    let before = rules("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 7 }\n");
    let after = rules("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 5\n");
    let store = MemoryStore::default();
    let reader = store.reader();
    let live = Arc::new(ArcSwap::new(before.clone()));
    let mut pipeline = Pipeline::new(store, live.clone(), FingerprintKey::new(b"test"), Box::new(Silent));
    let said = |day: usize| event(day, Kind::Said(Said { text: "签到".into(), ..Said::default() }), day as i64 * DAY_SECS + 100, 0);
    let mut by_seq = HashMap::new();
    for day in [0, 2] {
        by_seq.insert(pipeline.hear(said(day)).expect("memory never fails").seq, day);
    }
    // Prepared under the old rules, decided when the new ones are live: what is live when the batch begins decides.
    let late = Work::Hear(Box::new(pipeline.prepare(&before, said(1))));
    live.store(after);
    by_seq.insert(pipeline.run(&[late]).expect("memory never fails")[0].seq, 1);
    let net = net(&reader, &by_seq);
    let points: Vec<i64> = (0..3).map(|day| net[&(day, "check_in.daily".to_owned())]).collect();
    assert_eq!(points, [2, 5, 9], "the day between pays by the new rules; the third in a row brings the old rules' bonus");
    assert!(jifen::verify::verify(&reader, &mut |_| {}).expect("readable").is_sound());
}
