//! A small town for tests: people who talk in a group, and the journal of it, in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::model::cells::{AccountCell, AccountKey, Occurrence};
use crate::model::day::{Day, Millis};
use crate::model::decision::{Args, Chart, Mark, Part, Payment, Question, Record, Refusal, Ruling, Traits, Verdict};
use crate::model::event::{Channel, GroupKind, Identity, IdentityKind, Said};
use crate::model::ids::{AccountId, CampaignId, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq, RulesHash};
use crate::model::journal::{AccountRef, EventRow, GroupRow, Posting};
use crate::model::repair::{Changed, Repair};
use crate::model::reply::{Occasion, Reply, Template};
use crate::outbox::fakes;
use crate::store::memory::{MemoryReader, MemoryStore};
use crate::store::{Batch, Head, IdentityRow, MemberRow, NewEvent, ReplyOutcome, ReplyRow, Store};

/// The rules everybody plays by.
pub const RULES: &str = "[check_in.daily]\ntitle = \"每日签到\"\nkeywords = [\"签到\"]\npoints = 2\n";
const CAMPAIGN: CampaignId = CampaignId(1);

/// A journal under way.
pub struct Town {
    store: MemoryStore,
    head: Head,
    people: BTreeMap<&'static str, AccountCell>,
}

/// An instant in Shanghai: `11-22 09:00` of 2026.
pub fn at(text: &str) -> Millis {
    let (date, time) = text.split_once(' ').expect("MM-DD HH:MM");
    Millis::from(format!("2026-{date}T{time}:00+08:00").parse::<Timestamp>().expect("a time"))
}

/// A town with two groups, `wrGroup` (1) and `wrOther` (2), and one campaign.
impl Default for Town {
    fn default() -> Self {
        let mut store = MemoryStore::default();
        let group = |id, chat: &str| ("acme".into(), GroupRow { id: GroupId(id), chat: chat.into(), title: None, kind: GroupKind::Internal });
        let batch = Batch {
            rules: vec![(RulesHash::of(RULES), RULES.into())],
            campaigns: vec![(CAMPAIGN, "acme".into(), "main".into())],
            groups: vec![group(1, "wrGroup"), group(2, "wrOther")],
            ..Batch::default()
        };
        store.commit(&batch).expect("a first batch");
        Town { store, head: Head::default(), people: BTreeMap::new() }
    }
}

fn name(who: &str) -> Arc<str> {
    Arc::from(if who == "aming" { "阿明" } else { "小红" })
}

/// Something said: who, in which group (0: alone with the app), when, what.
type Message<'a> = (&'static str, i64, &'a str, &'a str);

impl Town {
    /// What is in the store.
    pub fn reader(&self) -> MemoryReader {
        self.store.reader()
    }

    /// Somebody's account.
    pub fn account(&self, who: &str) -> AccountId {
        self.people[who].id
    }

    /// Somebody says something in a group, and a rule pays so many points; 0: it refuses.
    pub fn says(&mut self, who: &'static str, group: i64, when: &str, text: &str, points: i64) -> EventSeq {
        let ruling = match points {
            0 => Ruling::Refused(Refusal::TooShort { chars: 2, least: 4 }),
            _ => Ruling::Paid(Payment { points, offered: points, ..Payment::default() }),
        };
        let verdicts = vec![Verdict { rule: "check_in.daily".into(), ruling }];
        let marks = if points > 0 { vec![Mark::Day { key: "check_in.daily".into(), day: Day(0) }] } else { Vec::new() };
        self.book((who, group, when, text), Record { heard: Some(Traits::default()), verdicts, marks, ..Record::default() }, points)
    }

    /// A channel hears something nobody understands, under this id.
    pub fn hears(&mut self, source: &str, id: &str) {
        self.head.event.0 += 1;
        let row = EventRow {
            seq: self.head.event,
            at: at("11-22 09:00"),
            received_at: at("11-22 09:00"),
            day: Day(0),
            source: None,
            identity: None,
            account: None,
            group: GroupId::NONE,
            campaign: None,
            kind: "unknown".into(),
            rules: RulesHash::of(RULES),
            prev: None,
            first_posting: None,
            record: Record::default(),
        };
        let key = EventKey { source: source.into(), key: KeyBytes::of(id) };
        let batch = Batch { head: self.head.clone(), events: vec![NewEvent { key, row, encoded: Vec::new(), contents: None }], ..Batch::default() };
        self.store.commit(&batch).expect("a good batch");
    }

    /// Somebody asks the assistant in a group; the reply that answers.
    pub fn asks(&mut self, who: &'static str, group: i64, when: &str, question: Question, occasion: Occasion) -> ReplyRow {
        let heard = Some(Traits { question: Some(question), ..Traits::default() });
        let event = self.book((who, group, when, "问"), Record { heard, ..Record::default() }, 0);
        let chat = ["", "wrGroup", "wrOther"][group as usize];
        let mut destination = fakes::destination(Channel::Archive, Some(chat).filter(|chat| !chat.is_empty()), None);
        destination.to = Some((IdentityKind::Userid, who.into()));
        let reply = Reply { template: Template { occasion, rule: None }, args: Default::default(), asked: true, once: None };
        let row = ReplyRow { rules: RulesHash::of(RULES), destination, reply, created_at: at(when), ..fakes::row(event.0) };
        self.store.commit(&Batch { head: self.head.clone(), replies: vec![row.clone()], ..Batch::default() }).expect("a reply");
        row
    }

    /// Somebody checks in for two points, unasked; the reply that would say so.
    pub fn checks_in(&mut self, who: &'static str, when: &str) -> ReplyRow {
        self.checks_in_with(who, when, |row| row)
    }

    /// The same, with a change of the reply.
    pub fn checks_in_with(&mut self, who: &'static str, when: &str, change: impl FnOnce(ReplyRow) -> ReplyRow) -> ReplyRow {
        let event = self.says(who, 1, when, "签到", 2);
        let mut destination = fakes::destination(Channel::Archive, Some("wrGroup"), None);
        (destination.to, destination.name) = (Some((IdentityKind::Userid, who.into())), name(who));
        let args = Args::default().text("昵称", &*name(who)).text("标题", "每日签到").int("得分", 2).int("余额", 2).text("积分名", "积分");
        let reply = Reply { template: Template { occasion: Occasion::Paid, rule: None }, args, asked: false, once: None };
        let row = change(ReplyRow { rules: RulesHash::of(RULES), destination, reply, created_at: at(when), ..fakes::row(event.0) });
        self.store.commit(&Batch { head: self.head.clone(), replies: vec![row.clone()], ..Batch::default() }).expect("a reply");
        row
    }

    /// Somebody takes a message back, and with it its points.
    pub fn recalls(&mut self, who: &'static str, when: &str, of: EventSeq) {
        let changed = vec![Changed { event: of, rule: "check_in.daily".into(), was: 2, now: 0 }];
        let repair = Some(Box::new(Repair { takes_back: Some(of), restated: Vec::new(), changed }));
        self.book((who, 1, when, ""), Record { repair, ..Record::default() }, 0);
    }

    /// What the outbox wrote.
    pub fn settles(&mut self, outcomes: Vec<ReplyOutcome>) {
        self.store.commit(&Batch { head: self.head.clone(), outcomes, ..Batch::default() }).expect("known replies");
    }

    fn book(&mut self, (who, group, when, text): Message<'_>, record: Record, points: i64) -> EventSeq {
        let place = self.people.len() as i64 + 1;
        let key = AccountKey { campaign: CAMPAIGN, group: GroupId::NONE, member: MemberId(place) };
        let cell = self.people.entry(who).or_insert_with(|| AccountCell { id: AccountId(place), key, ..AccountCell::default() });
        let (member, account) = (cell.key.member, cell.id);
        self.head.event.0 += 1;
        let (seq, day) = (self.head.event, Day::of(at(when).timestamp().to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).date()));
        let postings = self.postings(seq, account, day, points);
        let cell = self.people.get_mut(who).expect("just made");
        let prev = record.is_stateful().then_some(cell.last_event).filter(|prev| prev.0 > 0);
        cell.apply(Occurrence { seq, at: at(when), day }, &record, &postings);
        let identity = IdentityRow {
            id: IdentityId(member.0),
            corp: "acme".into(),
            identity: Identity { kind: IdentityKind::Userid, value: who.into() },
            member: Some(member),
        };
        let row = EventRow {
            seq,
            at: at(when),
            received_at: at(when),
            day,
            source: None,
            identity: Some(identity.id),
            account: Some(account),
            group: GroupId(group),
            campaign: Some(CAMPAIGN),
            kind: "said".into(),
            rules: RulesHash::of(RULES),
            prev,
            first_posting: postings.first().map(|posting| posting.seq),
            record,
        };
        let said = Said { text: text.into(), ..Said::default() };
        let contents = serde_json::to_vec(&said).expect("plain data");
        let key = EventKey { source: "acme/app/1000002".into(), key: KeyBytes::of(&format!("m-{seq}")) };
        let batch = Batch {
            head: self.head.clone(),
            identities: vec![identity],
            members: vec![MemberRow { id: member, corp: "acme".into(), name: Some(name(who)) }],
            accounts: vec![self.people[who].clone()],
            events: vec![NewEvent { key, row, encoded: Vec::new(), contents: Some(contents) }],
            postings,
            ..Batch::default()
        };
        self.store.commit(&batch).expect("a good batch");
        seq
    }

    fn postings(&mut self, event: EventSeq, account: AccountId, day: Day, points: i64) -> Vec<Posting> {
        if points == 0 {
            return Vec::new();
        }
        self.head.posting.0 += 1;
        vec![Posting {
            seq: PostingSeq(self.head.posting.0),
            event,
            ord: 0,
            code: "check_in.daily".into(),
            src: AccountRef::System { campaign: CAMPAIGN, chart: Chart::Issued },
            src_part: Part::Available,
            dst: AccountRef::Member(account),
            dst_part: Part::Available,
            amount: points,
            day,
            vests_on: None,
            expires_on: None,
            reverses: None,
            slot_event: None,
            link: [0; 16],
            digest: [0; 16],
        }]
    }
}
