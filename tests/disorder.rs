//! Random histories — late, doubled, recalled, heard through two channels, in batches of any size, across a change of the rules — earn what
//! a model that is written to be obviously right says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq};
use jifen::model::journal::AccountRef;
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::store::Reader;
use jifen::store::memory::{MemoryReader, MemoryStore};
use proptest::prelude::*;

/// What the model needs to know of a version of the rules.
struct Version {
    text: &'static str,
    check_in: i64,
    /// Days in a row and their bonus; the last begins anew.
    streak: &'static [(usize, i64)],
    talk: i64,
    cool_down: i64,
    day_most: i64,
    week_most: i64,
}

const VERSIONS: [Version; 2] = [
    Version {
        text: r#"
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
"#,
        check_in: 2,
        streak: &[(3, 5), (5, 10)],
        talk: 1,
        cool_down: 30,
        day_most: 3,
        week_most: 8,
    },
    Version {
        text: r#"
[check_in.daily]
keywords = ["签到"]
points = 3
streak = { 2 = 4, 4 = 6 }

[speaking.talk]
points = 2
min_chars = 4
min_distinct = 2
cool_down = "45s"
max_points = { day = 5, week = 9 }
"#,
        check_in: 3,
        streak: &[(2, 4), (4, 6)],
        talk: 2,
        cool_down: 45,
        day_most: 5,
        week_most: 9,
    },
];

/// Monday 2026-11-16 00:00 in Shanghai.
const MONDAY_MILLIS: i64 = 1_794_758_400_000;
const DAY_SECS: i64 = 86_400;
const TALK: [&str; 5] = ["今天骑了二十公里", "明天一起去爬山吧", "这本书读完了真好", "晚上八点准时开始", "哈哈"];

/// The two channels: a bot whose copies are some seconds late, and the archive.
const SOURCES: [&str; 2] = ["acme/archive/ww1", "acme/aibot/aib1"];

/// Who says the same again within this many seconds of a message heard twice cannot be told from a copy by anybody.
const ALIKE_SECS: i64 = 400;

/// A message of the history.
#[derive(Debug, Clone)]
struct Message {
    member: usize,
    /// Seconds since Monday.
    at: i64,
    /// 0 is a check-in, others are talk.
    text: usize,
    /// The channels that hear it, by their place in [`SOURCES`].
    heard_by: [bool; 2],
    /// By how many seconds the second channel tells a later time.
    skew: i64,
    /// The channels that tell of its recall.
    recalled_by: [bool; 2],
    /// How many seconds after the message it is recalled.
    recalled_after: i64,
}

/// Something that arrives: a copy of a message by one of the channels, or its recall.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    message: usize,
    source: usize,
    is_recall: bool,
}

impl Message {
    fn new(member: usize, at: i64, text: usize) -> Self {
        Message { member, at, text, heard_by: [true, false], skew: 0, recalled_by: [false; 2], recalled_after: 0 }
    }

    fn text(&self) -> &'static str {
        if self.text == 0 { "签到" } else { TALK[self.text - 1] }
    }

    fn at_by(&self, source: usize) -> i64 {
        self.at + if source == 1 { self.skew } else { 0 }
    }
}

fn said(message: usize, source: usize) -> Arrival {
    Arrival { message, source, is_recall: false }
}

fn recalled(message: usize, source: usize) -> Arrival {
    Arrival { message, source, is_recall: true }
}

/// The platform's number of a message in a channel.
fn number(message: usize, source: usize) -> u64 {
    1 + message as u64 + 1_000_000 * source as u64
}

/// A message as the first channel that brought it told it.
struct Counted<'a> {
    id: usize,
    at: i64,
    order: u64,
    text: usize,
    version: &'a Version,
}

/// The model: one member at a time, in order, nothing clever. The second version holds from the arrival at `switch` on.
fn expected(messages: &[Message], arrivals: &[Arrival], switch: usize) -> BTreeMap<(usize, String), i64> {
    let mut paid = BTreeMap::new();
    for member in 0..2 {
        let mut own: Vec<Counted<'_>> = Vec::new();
        for (id, message) in messages.iter().enumerate().filter(|(_, message)| message.member == member && message.recalled_by == [false; 2]) {
            let first = arrivals.iter().position(|arrival| arrival.message == id && !arrival.is_recall).expect("it arrives");
            let source = arrivals[first].source;
            let version = &VERSIONS[usize::from(first >= switch)];
            own.push(Counted { id, at: message.at_by(source), order: number(id, source), text: message.text, version });
        }
        own.sort_by_key(|counted| (counted.at, counted.order));
        let days: HashSet<i64> = own.iter().filter(|counted| counted.text == 0).map(|counted| counted.at / DAY_SECS).collect();
        let mut checked_in: HashSet<i64> = HashSet::new();
        let mut talk: Vec<(i64, usize, i64)> = Vec::new();
        for Counted { id, at, text, version, .. } in own {
            let today = at / DAY_SECS;
            if text == 0 {
                if checked_in.insert(today) {
                    let in_a_row = (0..).take_while(|back| days.contains(&(today - back))).count();
                    let round = version.streak.last().map_or(1, |(days, _)| *days);
                    let bonus = version.streak.iter().find(|(days, _)| *days == (in_a_row - 1) % round + 1).map_or(0, |(_, bonus)| *bonus);
                    paid.insert((id, "check_in.daily".to_owned()), version.check_in + bonus);
                }
                continue;
            }
            let too_short = text == 5;
            let too_soon = talk.iter().any(|(other, _, _)| at - other < version.cool_down);
            let copied = talk.iter().any(|(other, said, _)| *said == text && at - other < DAY_SECS);
            let day: i64 = talk.iter().filter(|(other, _, _)| other / DAY_SECS == today).map(|(_, _, points)| points).sum();
            let week: i64 = talk.iter().filter(|(other, _, _)| other / DAY_SECS / 7 == today / 7).map(|(_, _, points)| points).sum();
            let points = version.talk.min(version.day_most - day).min(version.week_most - week);
            if !too_short && !too_soon && !copied && points > 0 {
                talk.push((at, text, points));
                paid.insert((id, "speaking.talk".to_owned()), points);
            }
        }
    }
    paid
}

fn event(source: usize, id: u64, kind: Kind, at: i64, member: usize) -> Event {
    let at = Millis(MONDAY_MILLIS + at * 1000);
    Event {
        key: EventKey { source: SOURCES[source].into(), key: KeyBytes::of(&id.to_string()) },
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

fn rules(text: &str) -> Arc<Rules> {
    Arc::new(file::load(text).expect("the rules are right").0)
}

/// The program, and which message stands where in its journal.
struct Hall {
    pipeline: Pipeline<MemoryStore>,
    reader: MemoryReader,
    live: Arc<ArcSwap<Rules>>,
    works: Vec<(Work, Option<usize>)>,
    by_seq: HashMap<EventSeq, usize>,
}

impl Hall {
    fn new(rules: Arc<Rules>) -> Self {
        let store = MemoryStore::default();
        let (reader, live) = (store.reader(), Arc::new(ArcSwap::new(rules)));
        let pipeline = Pipeline::new(store, live.clone(), FingerprintKey::new(b"test"), Box::new(Silent));
        Hall { pipeline, reader, live, works: Vec::new(), by_seq: HashMap::new() }
    }

    fn arrives(&mut self, message: &Message, arrival: Arrival) {
        self.arrives_as(message, arrival, message.text());
    }

    fn arrives_as(&mut self, message: &Message, arrival: Arrival, text: &str) {
        let number = number(arrival.message, arrival.source);
        let kind = match arrival.is_recall {
            true => Kind::Recalled { of: KeyBytes::of(&number.to_string()) },
            false => Kind::Said(Said { text: text.into(), ..Said::default() }),
        };
        let (number, at) = match arrival.is_recall {
            true => (number + 1_000_000_000, message.at_by(arrival.source) + message.recalled_after),
            false => (number, message.at_by(arrival.source)),
        };
        let event = event(arrival.source, number, kind, at, message.member);
        let work = Work::Hear(Box::new(self.pipeline.prepare(&self.live.load(), event)));
        self.works.push((work, (!arrival.is_recall).then_some(arrival.message)));
    }

    fn commit(&mut self) {
        let (works, ids): (Vec<Work>, Vec<Option<usize>>) = self.works.drain(..).unzip();
        for (done, id) in self.pipeline.run(&works).expect("memory never fails").into_iter().zip(ids) {
            self.by_seq.extend(id.map(|id| (done.seq, id)));
        }
    }

    /// What each message earned, net, by rule. The books must prove themselves.
    fn net(&self) -> BTreeMap<(usize, String), i64> {
        let report = jifen::verify::verify(&self.reader, &mut |_| {}).expect("readable");
        assert!(report.is_sound(), "{:?}", report.findings);
        let mut net: BTreeMap<(usize, String), i64> = BTreeMap::new();
        for posting in self.reader.postings(PostingSeq(1), usize::MAX >> 1).expect("readable") {
            let message = self.by_seq[&posting.slot_event.unwrap_or(posting.event)];
            let amount = if matches!(posting.dst, AccountRef::Member(_)) { posting.amount } else { -posting.amount };
            *net.entry((message, posting.code.to_string())).or_default() += amount;
        }
        net.retain(|_, amount| *amount != 0);
        net
    }
}

/// Feeds a history and returns what each message earned.
fn earned(messages: &[Message], arrivals: &[Arrival], batch: usize, switch: usize) -> BTreeMap<(usize, String), i64> {
    let mut hall = Hall::new(rules(VERSIONS[0].text));
    for (at, arrival) in arrivals.iter().enumerate() {
        if at == switch {
            hall.commit();
            hall.live.store(rules(VERSIONS[1].text));
        }
        hall.arrives(&messages[arrival.message], *arrival);
        if hall.works.len() == batch {
            hall.commit();
        }
    }
    hall.commit();
    hall.net()
}

/// Under the first version, an event a batch.
fn earned_in_order(messages: &[Message], arrivals: &[Arrival]) -> BTreeMap<(usize, String), i64> {
    earned(messages, arrivals, 1, usize::MAX)
}

fn message() -> impl Strategy<Value = Message> {
    let heard_by = prop::sample::select(vec![[true, false], [false, true], [true, true], [true, true]]);
    let recalled_by = prop_oneof![4 => Just([false; 2]), 1 => prop::sample::select(vec![[true, false], [false, true], [true, true]])];
    let at = (0..9i64, prop_oneof![0..60i64, DAY_SECS - 60..DAY_SECS, 0..DAY_SECS]);
    let recalled = (recalled_by, prop_oneof![0..120i64, 0..3 * DAY_SECS]);
    (0..2usize, at, 0..=5usize, heard_by, 0..=100i64, recalled).prop_map(|(member, (day, secs), text, heard_by, skew, (recalled_by, recalled_after))| {
        let recalled_by = [0, 1].map(|source| heard_by[source] && recalled_by[source]);
        Message { member, at: day * DAY_SECS + secs, text, heard_by, skew, recalled_by, recalled_after }
    })
}

/// Of messages that nobody could tell apart from copies of one another, only one channel tells.
fn told_apart(mut messages: Vec<Message>) -> Vec<Message> {
    let alike = |a: &Message, b: &Message| a.member == b.member && a.text == b.text && (a.at - b.at).abs() < ALIKE_SECS;
    let several: Vec<bool> = messages.iter().map(|message| messages.iter().filter(|other| alike(message, other)).count() > 1).collect();
    for (message, _) in messages.iter_mut().zip(several).filter(|(_, several)| *several) {
        (message.heard_by, message.recalled_by) = ([true, false], [message.recalled_by != [false; 2], false]);
    }
    messages
}

fn history() -> impl Strategy<Value = (Vec<Message>, Vec<Arrival>)> {
    prop::collection::vec(message(), 1..40).prop_map(told_apart).prop_flat_map(|messages| {
        let mut arrivals = Vec::new();
        for (id, message) in messages.iter().enumerate() {
            for source in [0, 1] {
                let times = usize::from(message.heard_by[source]) * if (id + source) % 3 == 0 { 2 } else { 1 };
                arrivals.extend(std::iter::repeat_n(said(id, source), times));
                arrivals.extend(message.recalled_by[source].then(|| recalled(id, source)));
            }
        }
        (Just(messages), Just(arrivals).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_earns_what_the_order_of_events_earns(
        (messages, arrivals) in history(),
        batch in prop::sample::select(vec![1usize, 7, 1024]),
        switch in prop_oneof![Just(usize::MAX), 0..60usize],
    ) {
        prop_assert_eq!(earned(&messages, &arrivals, batch, switch), expected(&messages, &arrivals, switch));
    }
}

#[test]
fn day_four_after_the_others_moves_the_bonus() {
    let messages: Vec<Message> = (0..5).map(|day| Message::new(0, day * DAY_SECS + 100, 0)).collect();
    let net = earned_in_order(&messages, &[0, 1, 3, 4, 2].map(|day| said(day, 0)));
    let points: Vec<i64> = (0..5).map(|id| net[&(id, "check_in.daily".to_owned())]).collect();
    assert_eq!(points, [2, 2, 7, 2, 12]);
}

#[test]
fn a_recalled_talk_makes_room_for_the_one_refused_after_it() {
    let mut messages: Vec<Message> = (0..3).map(|id| Message::new(0, DAY_SECS + 100 * id as i64, id + 1)).collect();
    messages.push(Message::new(0, 2 * DAY_SECS - 1, 1));
    let mut arrivals: Vec<Arrival> = (0..4).map(|id| said(id, 0)).collect();
    let before = earned_in_order(&messages, &arrivals);
    assert!(!before.contains_key(&(3, "speaking.talk".to_owned())), "a copy of the first one, and over the cap");
    arrivals.push(recalled(0, 0));
    let after = earned_in_order(&messages, &arrivals);
    assert_eq!(after.get(&(3, "speaking.talk".to_owned())), Some(&1));
    assert!(!after.contains_key(&(0, "speaking.talk".to_owned())));
}

#[test]
fn a_recall_before_its_message_works() {
    let messages = [Message::new(0, 100, 0)];
    assert!(earned_in_order(&messages, &[recalled(0, 0), said(0, 0)]).is_empty());
}

#[test]
fn a_message_recalled_after_midnight_stays_recalled_when_the_new_day_is_decided_again() {
    let mut messages = [Message::new(0, DAY_SECS - 60, 0), Message::new(0, DAY_SECS + 36_000, 0), Message::new(0, DAY_SECS + 32_400, 1)];
    messages[0].recalled_after = 100;
    let mut hall = Hall::new(rules(VERSIONS[1].text));
    for arrival in [said(0, 0), recalled(0, 0), said(1, 0), said(2, 0)] {
        hall.arrives(&messages[arrival.message], arrival);
        hall.commit();
    }
    let paid = [((1, "check_in.daily".to_owned()), 3), ((2, "speaking.talk".to_owned()), 2)];
    assert_eq!(hall.net(), BTreeMap::from(paid), "the second day is the first in a row");
}

#[test]
fn day_four_after_days_five_to_eleven_moves_two_bonuses_in_one_decision() {
    let messages: Vec<Message> = (0..11).map(|day| Message::new(0, day * DAY_SECS + 100, 0)).collect();
    let mut hall = Hall::new(rules("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 7 = 20 }\n"));
    for day in [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 3] {
        hall.arrives(&messages[day], said(day, 0));
        hall.commit();
    }
    let net = hall.net();
    let bonus: Vec<usize> = (0..11).filter(|day| net[&(*day, "check_in.daily".to_owned())] == 22).collect();
    assert_eq!(bonus, [6], "the eleventh was the seventh in a row; now the seventh is");
    let last = hall.reader.head().expect("readable").event;
    let moved: Vec<i64> = hall.reader.postings_of(last).expect("readable").iter().map(|posting| posting.amount).collect();
    assert_eq!(moved, [20, 20, 2], "the seventh's bonus and the eleventh's taken back, then its own points");
}

#[test]
fn a_repair_decides_each_day_under_its_own_rules() {
    let before = rules("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 7 }\n");
    let after = rules("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 5\n");
    let messages: Vec<Message> = (0..3).map(|day| Message::new(0, day * DAY_SECS + 100, 0)).collect();
    let mut hall = Hall::new(before);
    for day in [0, 2] {
        hall.arrives(&messages[day], said(day, 0));
        hall.commit();
    }
    // Prepared under the old rules, decided when the new ones are live: what is live when the batch begins decides.
    hall.arrives(&messages[1], said(1, 0));
    hall.live.store(after);
    hall.commit();
    let net = hall.net();
    let points: Vec<i64> = (0..3).map(|day| net[&(day, "check_in.daily".to_owned())]).collect();
    assert_eq!(points, [2, 5, 9], "the day between pays by the new rules; the third in a row brings the old rules' bonus");
}

/// Commits a message that came late and says what became of it.
fn late_outcome(hall: &mut Hall, messages: &[Message], late: usize) -> (&'static str, u64) {
    hall.arrives(&messages[late], said(late, 0));
    hall.commit();
    let id = number(late, 0).to_string();
    let told = jifen::explain::explain(&hall.reader, &mut Default::default(), &id, None).expect("it is known");
    let report = jifen::verify::verify(&hall.reader, &mut |_| {}).expect("readable");
    assert!(report.is_sound(), "{:?}", report.findings);
    (told.event.outcome, report.repair_limited)
}

#[test]
fn a_message_more_than_thirty_five_days_late_is_decided_alone_and_listed() {
    for (days, outcome) in [(35, ("decided", 0)), (36, ("repair_limited", 1))] {
        let messages = [0, days, 0].map(|day| Message::new(0, day * DAY_SECS + 100, 0));
        let mut hall = Hall::new(rules(VERSIONS[0].text));
        hall.arrives(&messages[1], said(1, 0));
        hall.commit();
        assert_eq!(late_outcome(&mut hall, &messages, 0), outcome, "{days} days");
        assert_eq!(hall.net()[&(0, "check_in.daily".to_owned())], 2, "it is paid all the same");
    }
}

#[test]
fn a_message_more_than_two_thousand_messages_late_is_decided_alone_and_listed() {
    const TALKATIVE: &str = "[speaking.talk]\npoints = 1\nmin_chars = 1\nmin_distinct = 1\ncool_down = \"1s\"\nmax_points = { day = 3 }\n";
    for (count, outcome) in [(2_000, ("decided", 0)), (2_001, ("repair_limited", 1))] {
        let mut messages: Vec<Message> = (1..=count).map(|at| Message::new(0, 10 * at, 1)).collect();
        messages.push(Message::new(0, 5, 2));
        let mut hall = Hall::new(rules(TALKATIVE));
        for (id, message) in messages.iter().enumerate().take(messages.len() - 1) {
            hall.arrives(message, said(id, 0));
        }
        hall.commit();
        assert_eq!(late_outcome(&mut hall, &messages, messages.len() - 1), outcome, "{count} messages");
    }
}

/// A check-in whose missed days can be made up, and a question each day.
const DAYS: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 3
streak = { 3 = 5, 5 = 10 }
make_up = { price = 1, days = 2, max_times = { week = 3 } }

[check_in.quiz]
points = 4
answers = { 2026-11-16 = ["零"], 2026-11-17 = ["一"], 2026-11-18 = ["二"], 2026-11-19 = ["三"], 2026-11-20 = ["四"], 2026-11-21 = ["五"], 2026-11-22 = ["六"] }
first = { 1 = 2 }
"#;
const ANSWERS: [&str; 7] = ["零", "一", "二", "三", "四", "五", "六"];

/// What is said in a history of days: a check-in, a make-up, an answer of some day.
fn day_text(text: usize) -> &'static str {
    match text {
        0 => "签到",
        1 => "补签",
        answer => ANSWERS[(answer - 2) % 7],
    }
}

/// The days that were made up by each message: what was bought stands, so the model takes it as it was.
fn bought(hall: &Hall) -> HashMap<usize, i64> {
    let mut bought = HashMap::new();
    for row in hall.reader.events(EventSeq(1), usize::MAX >> 1).expect("readable") {
        let made_up = row.record.marks.iter().find_map(|mark| match mark {
            jifen::model::decision::Mark::Day { key, day } if &**key == "check_in.daily.make_up" => Some(i64::from(day.0)),
            _ => None,
        });
        bought.extend(made_up.map(|day| (hall.by_seq[&row.seq], day - (MONDAY_MILLIS / 1000 + 8 * 3_600) / DAY_SECS)));
    }
    bought
}

/// What check-ins and answers earn when the purchases are these: days as sets, everything in order.
fn expected_of_days(messages: &[Message], bought: &HashMap<usize, i64>) -> BTreeMap<(usize, String), i64> {
    let mut paid = BTreeMap::new();
    for member in 0..2 {
        let mut own: Vec<(usize, &Message)> = messages.iter().enumerate().filter(|(_, message)| message.member == member).collect();
        own.sort_by_key(|(id, message)| (message.at, number(*id, 0)));
        let (mut real, mut made, mut answered): (HashSet<i64>, HashSet<i64>, HashSet<i64>) = Default::default();
        let mut begins: Option<i64> = None;
        for (id, message) in own {
            let (today, is_recalled) = (message.at / DAY_SECS, message.recalled_by[0]);
            match message.text {
                1 => made.extend(bought.get(&id)),
                0 if !is_recalled && !real.contains(&today) => {
                    let stretch = |from: i64| -> Vec<i64> {
                        let joined = (0..).map(|back| from - back).take_while(|day| real.contains(day) || made.contains(day));
                        joined.filter(|day| real.contains(day)).collect()
                    };
                    let before = stretch(today - 1);
                    let streak = before.len() as i64 + 1;
                    let first = before.last().copied().unwrap_or(today);
                    // Rungs between the days before the gap and today were not reached by any check-in yet.
                    let joined = begins.filter(|since| before.contains(since) && first < *since).map(|since| stretch(since - 1).len() as i64);
                    let reached = joined.map_or(streak, |joined| joined + 1)..=streak;
                    let bonus: i64 = reached
                        .map(|day| match (day - 1) % 5 + 1 {
                            3 => 5,
                            5 => 10,
                            _ => 0,
                        })
                        .sum();
                    paid.insert((id, "check_in.daily".to_owned()), 3 + bonus);
                    begins = Some(first);
                    real.insert(today);
                }
                0 => {}
                answer if !is_recalled && (answer - 2) as i64 % 7 == today && answered.insert(today) => {
                    paid.insert((id, "check_in.quiz".to_owned()), 4);
                }
                _ => {}
            }
        }
    }
    paid
}

fn history_of_days() -> impl Strategy<Value = (Vec<Message>, Vec<Arrival>)> {
    let text = prop_oneof![5 => Just(0usize), 3 => Just(1usize), 2 => 2..9usize];
    let message = (0..2usize, 0..7i64, 0..DAY_SECS, text, prop::bool::weighted(0.1))
        .prop_map(|(member, day, secs, text, is_recalled)| Message { recalled_by: [is_recalled, false], ..Message::new(member, day * DAY_SECS + secs, text) });
    // Nearly in order, as what WeCom sends: each arrival is some places off. Then make-ups are sometimes bought.
    (prop::collection::vec(message, 1..40), prop::collection::vec(0..400_000i64, 120)).prop_map(|(messages, late)| {
        let mut arrivals = Vec::new();
        for (id, message) in messages.iter().enumerate() {
            arrivals.extend(std::iter::repeat_n(said(id, 0), if id % 3 == 0 { 2 } else { 1 }));
            arrivals.extend(message.recalled_by[0].then(|| recalled(id, 0)));
        }
        let mut arrivals: Vec<(i64, Arrival)> = arrivals
            .into_iter()
            .zip(late)
            .map(|(arrival, late)| (messages[arrival.message].at + if late < 250_000 { 0 } else { late - 250_000 }, arrival))
            .collect();
        arrivals.sort_by_key(|(at, _)| *at);
        (messages, arrivals.into_iter().map(|(_, arrival)| arrival).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn days_made_up_and_answers_earn_the_same_in_any_order_of_arrival(
        (messages, arrivals) in history_of_days(), batch in prop::sample::select(vec![1usize, 7, 1024]),
    ) {
        let mut hall = Hall::new(rules(DAYS));
        for arrival in &arrivals {
            hall.arrives_as(&messages[arrival.message], *arrival, day_text(messages[arrival.message].text));
            if hall.works.len() == batch {
                hall.commit();
            }
        }
        hall.commit();
        let (bought, mut net) = (bought(&hall), hall.net());
        for (message, day) in &bought {
            let today = messages[*message].at / DAY_SECS;
            prop_assert_eq!(net.remove(&(*message, "check_in.daily.make_up".to_owned())), Some(-1), "what was bought stands, once");
            prop_assert!((today - 2..today).contains(day), "{} made up on {}", day, today);
        }
        // Who was first is decided by the order of arrival: one of a day, and recalled with the message.
        let mut firsts: BTreeMap<i64, i64> = BTreeMap::new();
        for ((id, code), points) in net.iter_mut().filter(|((_, code), _)| code == "check_in.quiz") {
            prop_assert!(*points == 4 || *points == 6, "{}", code);
            *firsts.entry(messages[*id].at / DAY_SECS).or_default() += *points - 4;
            *points = 4;
        }
        prop_assert!(firsts.values().all(|extra| *extra <= 2));
        prop_assert_eq!(net, expected_of_days(&messages, &bought));
    }
}
