//! One message that two channels bring: paid once, answered once, taken back once, whichever copy comes first.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::explain::{Explained, explain};
use jifen::line::parse_line;
use jifen::model::cells::AccountCell;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, Look};
use jifen::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq, RulesHash};
use jifen::model::journal::{AccountRef, Posting};
use jifen::pipeline::{Pipeline, Silent};
use jifen::replay::replay;
use jifen::rules::campaign::Rules;
use jifen::rules::decide::hear;
use jifen::rules::file;
use jifen::rules::versions::Versions;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::store::proof::{Proof, ProofKey};
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;
use jifen::store::{Batch, Directory, Head, IdentityRow, Loaded, Past, Reader, Store, StoreError, Wants};
use jifen::verify::verify;
use jifen::wecom::archive_record;
use jifen::wecom::callback::Inbox;
use serde_json::{Value, json};

const RULES: &str = r#"
[check_in.daily]
title = "每日签到"
keywords = ["签到"]
points = 2

[check_in.praise]
keywords = ["打卡"]
points = 1
max_times = { day = 9 }
"#;

const BOT: &str = "app/1000002";
const ARCHIVE: &str = "archive";
const CORP: &str = "acme";

fn loaded(rules: &str) -> Arc<Rules> {
    Arc::new(file::load(rules).expect("the rules are right").0)
}

fn pipeline<S: Store>(store: S) -> Pipeline<S> {
    pipeline_under(store, RULES)
}

fn pipeline_under<S: Store>(store: S, rules: &str) -> Pipeline<S> {
    Pipeline::new(store, Arc::new(ArcSwap::new(loaded(rules))), FingerprintKey::new(b"test"), Box::new(Silent))
}

/// A line of a replay: something 阿明 says at so many seconds past nine.
fn says(source: &str, secs: i64, text: &str) -> Value {
    let at = "2026-11-22T09:00:00+08:00".parse::<jiff::Timestamp>().expect("a time") + jiff::SignedDuration::from_secs(secs);
    let id = format!("{source}-{secs}");
    json!({"id": id, "at": at.to_string(), "source": source, "group": "wrDemoGroup", "member": "aming", "name": "阿明", "said": {"text": text}})
}

/// The line that takes such a message back.
fn takes_back(line: &Value) -> Value {
    let mut recall = line.clone();
    recall["id"] = format!("recall of {}", line["id"]).into();
    recall["recalled"] = json!({"of": line["id"]});
    recall.as_object_mut().expect("an object").remove("said");
    recall
}

fn with(mut line: Value, key: &str, value: &str) -> Value {
    line[key] = value.into();
    line
}

/// Replays lines, in batches of one or all at once, and proves the books.
fn replayed(lines: &[Value], one_by_one: bool) -> MemoryReader {
    let store = MemoryStore::default();
    let reader = store.reader();
    let mut scheduler = jifen::scheduler::Scheduler::new(Box::new(store.reader()), jifen::model::event::Channel::Replay);
    let mut pipeline = pipeline(store);
    let inputs: Vec<String> = match one_by_one {
        true => lines.iter().map(Value::to_string).collect(),
        false => vec![lines.iter().map(|line| format!("{line}\n")).collect()],
    };
    for input in inputs {
        replay(&mut pipeline, &mut scheduler, input.as_bytes(), CORP, &|| Millis(1_795_500_000_000), &mut |_| {}).expect("good lines");
    }
    let report = verify(&reader, &mut |_| {}).expect("readable");
    assert!(report.is_sound(), "{:?}", report.findings);
    reader
}

fn postings(reader: &dyn Reader) -> Vec<Posting> {
    reader.postings(PostingSeq(1), 1_000).expect("readable")
}

fn paid(reader: &dyn Reader) -> i64 {
    postings(reader).iter().map(|posting| if matches!(posting.dst, AccountRef::Member(_)) { posting.amount } else { -posting.amount }).sum()
}

fn explained(reader: &dyn Reader, line: &Value) -> Explained {
    explain(reader, &mut Versions::default(), line["id"].as_str().expect("a text"), line["source"].as_str()).expect("it is known")
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    shorter.iter().flat_map(|order| (0..count).map(|at| [&order[..at], &[last], &order[at..]].concat())).collect()
}

#[test]
fn two_sources_of_one_message_pay_once_in_either_order() {
    let copies = [says(BOT, 3, "@积分助手 签到"), says(ARCHIVE, 0, "@积分助手\u{2005}签到")];
    for order in [[0, 1], [1, 0]] {
        for one_by_one in [true, false] {
            let reader = replayed(&order.map(|at| copies[at].clone()), one_by_one);
            assert_eq!(postings(&reader).len(), 1);
            let second = explained(&reader, &copies[order[1]]);
            assert_eq!((second.event.outcome, second.event.points, second.verdicts[0].outcome), ("twin_of", 0, "twin"));
            assert!(second.verdicts[0].why.contains("同一条消息已从另一个通道记过"), "{second:?}");
            assert!(reader.replies_of(EventSeq(second.event.seq)).expect("readable").is_empty(), "the first was answered");
        }
    }
}

#[test]
fn what_is_said_twice_counts_twice() {
    let twice = [says(ARCHIVE, 0, "打卡"), says(ARCHIVE, 50, "打卡")];
    assert_eq!(paid(&replayed(&twice, true)), 2, "from one source");
    let copies = [says(BOT, 2, "打卡"), says(BOT, 52, "打卡")];
    for order in orders(4) {
        let lines: Vec<Value> = order.iter().map(|at| [&twice[..], &copies[..]].concat()[*at].clone()).collect();
        assert_eq!(paid(&replayed(&lines, true)), 2, "{order:?}");
    }
}

#[test]
fn another_group_another_time_other_words_or_another_person_make_another_message() {
    let first = says(BOT, 0, "打卡");
    let far = says(ARCHIVE, 121, "打卡");
    let elsewhere = with(says(ARCHIVE, 1, "打卡"), "group", "wrOther");
    let other_words = says(ARCHIVE, 1, "签到");
    let other_person = with(says(ARCHIVE, 1, "打卡"), "member", "xiaohong");
    for (second, points) in [(far, 2), (elsewhere, 2), (other_words, 3), (other_person, 2), (says(ARCHIVE, 120, "打卡"), 1)] {
        for lines in [[first.clone(), second.clone()], [second.clone(), first.clone()]] {
            assert_eq!(paid(&replayed(&lines, true)), points, "{second}");
        }
    }
}

#[test]
fn three_channels_pay_once() {
    for order in orders(3) {
        let copies = [says(BOT, 0, "打卡"), says(ARCHIVE, 1, "打卡"), says("robot/1", 2, "打卡")];
        let lines: Vec<Value> = order.iter().map(|at| copies[*at].clone()).collect();
        assert_eq!(paid(&replayed(&lines, true)), 1, "{order:?}");
    }
}

#[test]
fn a_recall_through_either_channel_or_both_takes_back_what_was_paid_once() {
    let copies = [says(BOT, 3, "签到"), says(ARCHIVE, 0, "签到")];
    let recalls = copies.each_ref().map(takes_back);
    for recalled in [&recalls[..1], &recalls[1..], &recalls[..]] {
        let all = [&copies[..], recalled].concat();
        for order in orders(all.len()) {
            let lines: Vec<Value> = order.iter().map(|at| all[*at].clone()).collect();
            for one_by_one in [true, false] {
                let reader = replayed(&lines, one_by_one);
                assert_eq!(paid(&reader), 0, "{order:?} {lines:?}");
                assert!(postings(&reader).len() <= 2, "paid once, reversed once at most: {order:?} {lines:?}");
            }
        }
    }
}

#[test]
fn a_question_heard_twice_is_answered_once() {
    let copies = [says(ARCHIVE, 0, "@积分助手 积分"), says(BOT, 2, "@积分助手 积分")];
    for order in [[0, 1], [1, 0]] {
        let reader = replayed(&order.map(|at| copies[at].clone()), true);
        let replies = [1, 2].map(|seq| reader.replies_of(EventSeq(seq)).expect("readable").len());
        assert_eq!(replies, [1, 0]);
        assert_eq!(explained(&reader, &copies[order[1]]).event.outcome, "twin_of");
        assert!(reader.accounts(AccountId(0), 10).expect("readable").is_empty(), "asking opens no account");
    }
    let asked_again = [copies[0].clone(), copies[1].clone(), says(ARCHIVE, 30, "@积分助手 积分")];
    assert_eq!(replayed(&asked_again, true).replies_of(EventSeq(3)).expect("readable").len(), 1);
}

#[test]
fn copies_know_each_other_after_a_restart() {
    let path = std::env::temp_dir().join(format!("jifen-twins-{}.db", std::process::id()));
    let (vault, lines) = (Vault::new([7; 32]), [says(BOT, 3, "签到"), says(ARCHIVE, 0, "签到")]);
    for line in &lines {
        let mut pipeline = pipeline(SqliteStore::open(&path, &vault).expect("it opens"));
        pipeline.hear(parse_line(&line.to_string(), CORP, Millis(1_795_500_000_000)).expect("a good line")).expect("it is committed");
    }
    let reader = SqliteReader::open(&path, &vault).expect("it opens");
    assert_eq!(paid(&reader), 2);
    assert!(verify(&reader, &mut |_| {}).expect("readable").is_sound());
    drop(reader);
    std::fs::remove_file(path).expect("ours");
}

/// What the four channels make of one message in a group (the app hears none there; its reading of words is the same).
fn heard_by_every_channel(text: &str) -> Vec<Event> {
    let (corp, now) = ("acme".into(), Millis(1_795_309_205_000));
    let xml = |inner: String| format!("<xml>{inner}<MsgType>text</MsgType></xml>");
    let app = xml(format!("<FromUserName>aming</FromUserName><CreateTime>1795309200</CreateTime><MsgId>1</MsgId><Content>{text}</Content>"));
    let robot = xml(format!(
        "<ChatId>wrGroup</ChatId><ChatType>group</ChatType><From><UserId>aming</UserId></From><MsgId>2</MsgId><Text><Content>{text}</Content></Text>"
    ));
    let aibot = json!({"msgid": "3", "aibotid": "aib1", "chattype": "group", "chatid": "wrGroup", "from": {"userid": "aming"},
        "msgtype": "text", "text": {"content": text}});
    let record = json!({"msgid": "4", "action": "send", "from": "aming", "roomid": "wrGroup", "msgtime": 1_795_309_200_456_i64,
        "msgtype": "text", "text": {"content": text}});
    vec![
        Inbox::app(&corp, "app", 1_000_002).read(app, now).remove(0),
        Inbox::robot(&corp, "robot", "key").read(robot, now).remove(0),
        Inbox::aibot(&corp, "bot").read(aibot.to_string(), now).remove(0),
        archive_record::to_event(&Inbox::archive(&corp, "ww1"), &record.to_string(), now),
    ]
}

#[test]
fn every_channel_hears_the_same_words_in_a_message() {
    let (rules, key) = (loaded(RULES), FingerprintKey::new(b"test"));
    let plain = key.of("签到");
    for text in ["@积分助手 签到", "@积分助手\u{2005}簽到!", "签到 @积分助手", "@小助手签到"] {
        for event in heard_by_every_channel(text) {
            let channel = event.via.channel;
            let heard = hear(&rules, event, &key).traits.expect("it is talk");
            assert_eq!(heard.fingerprint, plain, "{text} by {channel:?}");
        }
    }
}

#[test]
fn copies_of_a_message_to_a_bot_whose_name_nobody_told_know_each_other() {
    let (store, text) = (MemoryStore::default(), "@骑行小秘书 打卡");
    let reader = store.reader();
    let mut pipeline = pipeline_under(store, &format!("{RULES}\n[speaking.talk]\npoints = 5\nmin_chars = 2\nmax_points = {{ day = 50 }}\n"));
    for event in heard_by_every_channel(text).into_iter().filter(|event| event.via.channel != Channel::App) {
        pipeline.hear(event).expect("memory never fails");
    }
    assert_eq!(paid(&reader), 1, "the archive's copy is no talk");
}

#[test]
fn copies_of_real_callbacks_pay_once() {
    let store = MemoryStore::default();
    let reader = store.reader();
    let mut pipeline = pipeline(store);
    for event in heard_by_every_channel("@积分助手 打卡").into_iter().filter(|event| event.via.channel != Channel::App) {
        pipeline.hear(event).expect("memory never fails");
    }
    assert_eq!(paid(&reader), 1);
}

/// A store that counts what it is asked, by question.
struct Counting {
    store: MemoryStore,
    asked: HashMap<&'static str, usize>,
}

impl Counting {
    fn count(&mut self, what: &'static str) -> &mut MemoryStore {
        *self.asked.entry(what).or_default() += 1;
        &mut self.store
    }
}

impl Store for &mut Counting {
    fn begin(&mut self) -> Result<Head, StoreError> {
        self.count("begin").begin()
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        self.count("directory").directory()
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        self.count("admit").admit(keys)
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        self.count("load").load(wants)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.count("account").account(id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        self.count("past").past(seq)
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        self.count("proof").proof(key)
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        self.count("looks").looks(campaign)
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.count("contents").contents(seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        self.count("people_named").people_named(corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.count("rules_text").rules_text(hash)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.count("commit").commit(batch)
    }

    fn abort(&mut self) {
        self.count("abort").abort();
    }

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        self.count("disturbed").disturbed()
    }
}

/// How often the store is asked for past events while 阿明 says 打卡 nine times, as the source of each names it.
fn looks_back(source: impl Fn(i64) -> &'static str, apart_secs: i64) -> usize {
    let mut counting = Counting { store: MemoryStore::default(), asked: HashMap::new() };
    let mut pipeline = pipeline(&mut counting);
    for at in 0..9 {
        let line = with(says(source(at), at * apart_secs, "打卡"), "id", &(100 + at).to_string()).to_string();
        pipeline.hear(parse_line(&line, CORP, Millis(1_795_500_000_000)).expect("a good line")).expect("memory never fails");
    }
    drop(pipeline);
    assert_eq!(counting.asked["begin"], 9);
    counting.asked.get("past").copied().unwrap_or_default()
}

#[test]
fn looking_for_copies_costs_nothing_where_there_is_one_channel_or_nothing_near() {
    let by_turns = |at: i64| if at % 2 == 0 { BOT } else { ARCHIVE };
    assert_eq!(looks_back(|_| ARCHIVE, 1), 0, "one channel");
    assert_eq!(looks_back(by_turns, 600), 0, "nothing within two minutes");
    assert!(looks_back(by_turns, 1) > 0, "else it is looked for");
    assert_eq!(looks_back(|_| ARCHIVE, 0), 8, "of one second one look each tells the order");
}

#[test]
fn a_platform_id_is_not_what_makes_a_copy() {
    let key = |line: &Value| KeyBytes::of(line["id"].as_str().expect("a text"));
    let (bot, archive) = (with(says(BOT, 3, "签到"), "id", "m-1"), with(says(ARCHIVE, 0, "签到"), "id", "m-1"));
    assert_eq!(key(&bot), key(&archive));
    let reader = replayed(&[bot, archive], true);
    assert_eq!((paid(&reader), reader.head().expect("readable").event), (2, EventSeq(2)));
}
