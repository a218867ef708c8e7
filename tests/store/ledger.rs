//! A ledger for the tests of what stands on a store: books one message at a time, as plainly as it can be done.

use std::path::PathBuf;
use std::sync::Arc;

use jifen::model::cells::{AccountCell, AccountKey, Occurrence};
use jifen::model::day::{Day, Millis, Period};
use jifen::model::decision::{Args, Chart, Mark, Part, Payment, Record, Ruling, Verdict};
use jifen::model::event::{Channel, GroupKind, Identity, IdentityKind};
use jifen::model::ids::{AccountId, CampaignId, EventKey, EventSeq, GroupId, KeyBytes, MemberId, PostingSeq, RulesHash, SourceId};
use jifen::model::journal::{AccountRef, EventRow, GroupRow, Posting};
use jifen::model::reply::{Occasion, Reply, Template};
use jifen::store::codec::encode_record;
use jifen::store::{Batch, Destination, Head, IdentityRow, MemberRow, NewEvent, Person, PersonKey, ReplyRow, ReplyState, Store, StoreError, Wants, reply_id};

pub const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";
pub const AMING: (&str, &str) = ("AMing", "阿明");
pub const XIAOHONG: (&str, &str) = ("xiaohong", "小红");

/// A message of 阿明 or 小红, and what it is to be paid.
#[derive(Clone, Copy)]
pub struct Message {
    pub id: &'static str,
    pub at: &'static str,
    pub who: (&'static str, &'static str),
    pub text: &'static str,
    pub code: &'static str,
    pub points: i64,
}

impl Message {
    pub fn new(id: &'static str, at: &'static str, who: (&'static str, &'static str), points: i64) -> Self {
        Message { id, at, who, text: "签到", code: "check_in.daily", points }
    }
}

/// An empty directory of this test's own.
pub fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("jifen-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a temp dir");
    path
}

pub fn corp() -> Arc<str> {
    "acme".into()
}

pub fn person_key(userid: &str) -> PersonKey {
    PersonKey { corp: corp(), identity: Identity { kind: IdentityKind::Userid, value: userid.to_lowercase().into() } }
}

pub fn key(id: &str) -> EventKey {
    EventKey { source: "acme/archive".into(), key: KeyBytes::of(id) }
}

pub fn millis(at: &str) -> Millis {
    Millis::from(at.parse::<jiff::Timestamp>().expect("a timestamp"))
}

fn day(at: Millis) -> Day {
    Day::of(at.timestamp().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).date())
}

/// Books a message in a batch of its own; the answer says whether it was new.
pub fn book(store: &mut impl Store, message: Message) -> Result<bool, StoreError> {
    let head = store.begin()?;
    if store.admit(&[key(message.id)])?[0].is_some() {
        store.abort();
        return Ok(false);
    }
    let batch = batch(store, head, message)?;
    store.commit(&batch).map(|()| true)
}

/// The batch that books a message.
pub fn batch(store: &mut impl Store, head: Head, message: Message) -> Result<Batch, StoreError> {
    let mut batch = Batch { head, rules: vec![(RulesHash::of(RULES), RULES.into())], ..Batch::default() };
    batch.head.event.0 += 1;
    place(&mut batch);
    let person = person(store, &mut batch, message)?;
    let mut cell = match person.member {
        Some(member) => Some(account(store, &mut batch, member)?),
        None => None,
    };
    event(&mut batch, message, &person, cell.as_mut());
    batch.accounts.extend(cell.filter(|_| message.points > 0));
    Ok(batch)
}

fn place(batch: &mut Batch) {
    if batch.head.group > 0 {
        return;
    }
    (batch.head.group, batch.head.campaign) = (1, 1);
    batch.groups.push((corp(), GroupRow { id: GroupId(1), chat: "wrDemoGroup".into(), title: Some("骑行一群".into()), kind: GroupKind::Customer }));
    batch.campaigns.push((CampaignId(1), corp(), "main".into()));
    batch.sources.push((SourceId(1), corp(), key("").source));
}

fn person(store: &mut impl Store, batch: &mut Batch, message: Message) -> Result<Person, StoreError> {
    let wanted = person_key(message.who.0);
    let known = store.load(&Wants { people: vec![wanted.clone()], ..Wants::default() })?.people.remove(&wanted);
    let mut person = known.clone().unwrap_or_else(|| {
        batch.head.identity.0 += 1;
        Person { identity: batch.head.identity, member: None, name: None }
    });
    if person.member.is_none() && message.points > 0 {
        batch.head.member.0 += 1;
        person.member = Some(batch.head.member);
        person.name = Some(message.who.1.into());
        batch.members.push(MemberRow { id: batch.head.member, corp: corp(), name: person.name.clone() });
    }
    if known.as_ref() != Some(&person) {
        let identity = Identity { kind: IdentityKind::Userid, value: message.who.0.into() };
        batch.identities.push(IdentityRow { id: person.identity, corp: corp(), identity, member: person.member });
    }
    Ok(person)
}

fn account(store: &mut impl Store, batch: &mut Batch, member: MemberId) -> Result<AccountCell, StoreError> {
    let key = AccountKey { campaign: CampaignId(1), group: GroupId::NONE, member };
    let known = store.load(&Wants { accounts: vec![key], ..Wants::default() })?.accounts.remove(&key);
    Ok(known.unwrap_or_else(|| {
        batch.head.account.0 += 1;
        AccountCell { id: batch.head.account, key, ..AccountCell::default() }
    }))
}

fn event(batch: &mut Batch, message: Message, person: &Person, cell: Option<&mut AccountCell>) {
    let (seq, at) = (batch.head.event, millis(message.at));
    let day = day(at);
    let code: Arc<str> = message.code.into();
    let mut record = Record::default();
    let mut postings = Vec::new();
    if message.points > 0 {
        let payment = Payment { points: message.points, offered: message.points, ..Payment::default() };
        record.verdicts.push(Verdict { rule: code.clone(), ruling: Ruling::Paid(payment) });
        record.marks.push(Mark::Count { key: code.clone(), period: Period::Day(day.0), times: 1, points: message.points });
        record.marks.push(Mark::Day { key: code.clone(), day });
        batch.head.posting.0 += 1;
        postings.push(posting(batch.head.posting, seq, code, cell.as_ref().expect("who is paid has an account").id, message.points, day));
    }
    let row = EventRow {
        seq,
        at,
        received_at: at.plus_secs(1),
        day,
        source: Some(SourceId(1)),
        identity: Some(person.identity),
        account: cell.as_ref().map(|cell| cell.id),
        group: GroupId(1),
        campaign: Some(CampaignId(1)),
        kind: "said".into(),
        rules: RulesHash::of(RULES),
        prev: cell.as_ref().filter(|_| record.is_stateful()).map(|cell| cell.last_event).filter(|seq| seq.0 > 0),
        first_posting: postings.first().map(|posting| posting.seq),
        record,
    };
    let encoded = encode_record(&row.record);
    batch.head.chain.cover(&row, &encoded);
    if !postings.is_empty() {
        batch.head.chain.seal(at, row.rules, &mut postings);
        batch.replies.push(reply(seq, row.received_at, message.who));
    }
    if let Some(cell) = cell {
        cell.apply(Occurrence { seq, at, day }, &row.record, &postings);
    }
    batch.postings.extend(postings);
    let contents = format!("{{\"text\":\"{}\"}}", message.text).into_bytes();
    batch.events.push(NewEvent { key: key(message.id), row, encoded, contents: Some(contents) });
}

fn posting(seq: PostingSeq, event: EventSeq, code: Arc<str>, account: AccountId, amount: i64, day: Day) -> Posting {
    let issued = AccountRef::System { campaign: CampaignId(1), chart: Chart::Issued };
    Posting {
        seq,
        event,
        ord: 0,
        code,
        src: issued,
        src_part: Part::Available,
        dst: AccountRef::Member(account),
        dst_part: Part::Available,
        amount,
        day,
        vests_on: None,
        expires_on: Some(day.plus(365)),
        reverses: None,
        slot_event: None,
        link: [0; 16],
        digest: [0; 16],
    }
}

fn reply(event: EventSeq, created_at: Millis, who: (&str, &str)) -> ReplyRow {
    ReplyRow {
        id: reply_id(event, 0),
        event,
        corp: corp(),
        rules: RulesHash::of(RULES),
        destination: Destination {
            chat: Some("wrDemoGroup".into()),
            customers: true,
            to: Some((IdentityKind::Userid, who.0.into())),
            name: who.1.into(),
            campaign: Some("main".into()),
            channel: Channel::Archive,
            channel_name: "archive".into(),
            reply_url: None,
        },
        reply: Reply {
            template: Template { occasion: Occasion::Paid, rule: Some("check_in.daily".into()) },
            args: Args::default().int("得分", 2),
            asked: false,
            once: None,
        },
        created_at,
        state: ReplyState::Waiting,
        tries: 0,
        reason: None,
    }
}
