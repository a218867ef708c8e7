//! Two members who turn out to be one person. In one transaction: what the accounts of the first held goes to those of the second, bucket by
//! bucket; what both remember is united; the ids of the first lead to the second from now on. Nothing is clawed back.
//!
//! The journal holds one event for the persons ([`Deed::Merged`]) and behind it two for each account: out of the one, into the other
//! ([`Deed::Transferred`]), each with its account's state from before, so that [`super::unmerge`] can give it back.
//!
//! Days are not decided again across a merge: what happened before it stands in two accounts. A message from before that comes after it is
//! decided alone, against what both remember.

use std::sync::{Arc, LazyLock};

use crate::model::cells::{AccountCell, AccountKey, AccountState, CodeState, Lot, Occurrence};
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Deed, Mark, Part, Record, Ruling, Verdict};
use crate::model::event::Identity;
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::model::points::Points;
use crate::model::repair::Repair;
use crate::model::unite::unite;
use crate::rules::presence;
use crate::store::codec::encode_record;
use crate::store::{Batch, IdentityRow, MemberRow, NewEvent, Person, PersonKey, Store, StoreError, Wants};

use super::working::Working;
use super::{Pipeline, Work, batch};

/// Ledger code of what goes from one account of a person to another.
pub static MERGE: LazyLock<Arc<str>> = LazyLock::new(|| "merge".into());

/// Two ids that are one person.
#[derive(Debug, Clone)]
pub struct Merge {
    /// The corp of both.
    pub corp: CorpName,
    /// An id of the member that is no more.
    pub from: Identity,
    /// An id of the one that stays.
    pub into: Identity,
    /// When.
    pub at: Millis,
    /// The one that stays may never have been heard of.
    pub may_be_new: bool,
}

/// Why persons were not merged, or not parted again: for people. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl<S: Store> Pipeline<S> {
    /// Makes one person of two (or two of one again), alone in its transaction; answers with the event that says so.
    ///
    /// # Errors
    /// See [`Pipeline::run`]; a refusal is no error.
    pub fn reunite(&mut self, work: Work) -> Result<Result<EventSeq, Refused>, StoreError> {
        match self.attempt(&[work], None) {
            Ok(done) => Ok(Ok(done[0].seq)),
            Err(StoreError::Corrupt(reason)) => Ok(Err(Refused(reason))),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Err(error),
        }
    }

    /// What that would write; nothing is written.
    ///
    /// # Errors
    /// The store cannot be read or is busy.
    pub fn rehearse_reuniting(&mut self, work: Work) -> Result<Result<Batch, Refused>, StoreError> {
        let rules = self.rules.load_full();
        let context = batch::Context {
            rules: &rules,
            fingerprints: &self.fingerprints,
            operators: &self.operators,
            has_room: true,
            keeps_rules: false,
            points_only: false,
            failed: None,
        };
        match batch::rehearse(&mut self.store, &mut self.memory, &context, &[work]) {
            Ok(batch) => Ok(Ok(batch)),
            Err(StoreError::Corrupt(reason)) => Ok(Err(Refused(reason))),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Err(error),
        }
    }
}

pub(super) fn refuse(text: impl Into<String>) -> StoreError {
    StoreError::Corrupt(text.into())
}

/// Points that come to an account (below zero: go from it), of one part and bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) part: Part,
    pub(super) lot: Lot,
}

/// What one of a pair of events does to its account.
pub(super) struct Transfer {
    /// The account.
    pub(super) key: AccountKey,
    /// The other one.
    pub(super) other: AccountId,
    /// By an id of this person.
    pub(super) identity: IdentityId,
    /// What was here goes there.
    pub(super) out: bool,
    /// What comes.
    pub(super) moved: Vec<Moved>,
    /// Points ever earned that come with it.
    pub(super) lifetime: i64,
    /// What the account remembers from now on.
    pub(super) codes: Vec<(Arc<str>, CodeState)>,
}

/// What the events of one merge have in common.
#[derive(Debug, Clone)]
pub(super) struct Occasion {
    pub(super) corp: CorpName,
    pub(super) at: Millis,
    pub(super) received_at: Millis,
    /// `merged` or `unmerged`.
    pub(super) kind: &'static str,
    /// The event for the persons.
    pub(super) by: EventSeq,
}

impl Working<'_> {
    /// Merges; answers with the event that says so.
    pub(super) fn merge<S: Store>(&mut self, store: &mut S, merge: &Merge) -> Result<EventSeq, StoreError> {
        let unknown = |id: &Identity| refuse(format!("没有见过 {};编号是 userid 或 external_userid,不是昵称", id.value));
        let corp = &merge.corp;
        let from = self.person(store, corp, &merge.from)?.ok_or_else(|| unknown(&merge.from))?;
        let into = match self.person(store, corp, &merge.into)? {
            Some(person) => person,
            None if merge.may_be_new => self.new_person(corp, &merge.into),
            None => return Err(refuse(format!("没有见过 {};确定没有写错,就加 --new", merge.into.value))),
        };
        let (from_member, into_member) = (self.member_of(corp, &merge.from, &from), self.member_of(corp, &merge.into, &into));
        if from_member == into_member {
            return Err(refuse(format!("{} 和 {} 已经是同一个人,不用合并", merge.from.value, merge.into.value)));
        }
        let identities = self.identities_of(store, from_member)?;
        let cells = self.accounts_of(store, from_member)?;
        self.accounts_of(store, into_member)?;
        let pairs: Vec<(AccountCell, AccountKey)> = cells.into_iter().map(|cell| (cell.clone(), AccountKey { member: into_member, ..cell.key })).collect();
        let mut at = merge.at;
        for (cell, key) in &pairs {
            let other = self.accounts.get(key);
            at = at.max(cell.frontier).max(other.map_or(at, |other| other.frontier));
            check_room(cell, other)?;
        }
        let deed = Deed::Merged { from: from_member, into: into_member, identities: identities.iter().map(|row| row.id).collect() };
        let occasion = Occasion { corp: corp.clone(), at, received_at: merge.at, kind: "merged", by: EventSeq(self.batch.head.event.0 + 1) };
        let by = self.say(&occasion, KeyBytes::digest(format!("merge/{}", occasion.by).as_bytes()), Some(from.identity), deed);
        for (cell, key) in pairs {
            let other = self.open(key);
            let held = all_of(&cell, self.day(key.campaign, at));
            let out = Transfer {
                key: cell.key,
                other: other.id,
                identity: from.identity,
                out: true,
                moved: held.iter().copied().map(Moved::back).collect(),
                lifetime: -cell.lifetime,
                codes: Vec::new(),
            };
            let codes = both(&other.state.codes, &cell.state.codes);
            let into = Transfer { key, other: cell.id, identity: into.identity, out: false, moved: held, lifetime: cell.lifetime, codes };
            self.transfer(&occasion, out);
            self.transfer(&occasion, into);
        }
        self.lead(identities, into_member, from.name);
        Ok(by)
    }

    /// What is known of a person, by an id.
    pub(super) fn person<S: Store>(&mut self, store: &mut S, corp: &CorpName, id: &Identity) -> Result<Option<Person>, StoreError> {
        let key = person_key(corp, id);
        if !self.people.contains_key(&key) {
            self.people.extend(store.load(&Wants { people: vec![key.clone()], ..Wants::default() })?.people);
        }
        Ok(self.people.get(&key).cloned())
    }

    pub(super) fn new_person(&mut self, corp: &CorpName, id: &Identity) -> Person {
        self.batch.head.identity.0 += 1;
        let person = Person { identity: self.batch.head.identity, member: None, name: None };
        self.identities.insert(person.identity, IdentityRow { id: person.identity, corp: corp.clone(), identity: id.clone(), member: None });
        self.people.insert(person_key(corp, id), person.clone());
        person
    }

    /// The member a person is, made now if it never earned.
    pub(super) fn member_of(&mut self, corp: &CorpName, id: &Identity, person: &Person) -> MemberId {
        if let Some(member) = person.member {
            return member;
        }
        self.batch.head.member.0 += 1;
        let member = self.batch.head.member;
        self.members.insert(member, MemberRow { id: member, corp: corp.clone(), name: person.name.clone() });
        let row = IdentityRow { id: person.identity, corp: corp.clone(), identity: id.clone(), member: None };
        self.identities.entry(person.identity).or_insert(row).member = Some(member);
        self.people.insert(person_key(corp, id), Person { member: Some(member), ..person.clone() });
        member
    }

    /// All ids of a member, those that this batch gave it included.
    pub(super) fn identities_of<S: Store>(&self, store: &mut S, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        let mut rows = store.load(&Wants { identities_of: vec![member], ..Wants::default() })?.identities;
        rows.retain(|row| !self.identities.contains_key(&row.id));
        rows.extend(self.identities.values().filter(|row| row.member == Some(member)).cloned());
        rows.sort_by_key(|row| row.id);
        Ok(rows)
    }

    /// All accounts of a member as they are in this batch, by number.
    pub(super) fn accounts_of<S: Store>(&mut self, store: &mut S, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
        for (key, cell) in store.load(&Wants { accounts_of: vec![member], ..Wants::default() })?.accounts {
            self.accounts.entry(key).or_insert(cell);
        }
        let mut cells: Vec<AccountCell> = self.accounts.values().filter(|cell| cell.key.member == member).cloned().collect();
        cells.sort_by_key(|cell| cell.id);
        Ok(cells)
    }

    /// The account of this name, opened now if it is not there.
    pub(super) fn open(&mut self, key: AccountKey) -> AccountCell {
        if let Some(cell) = self.accounts.get(&key) {
            return cell.clone();
        }
        self.batch.head.account.0 += 1;
        let cell = AccountCell { id: self.batch.head.account, key, ..AccountCell::default() };
        self.accounts.insert(key, cell.clone());
        cell
    }

    /// From now on these ids lead to a member, which takes the name along if it has none.
    pub(super) fn lead(&mut self, identities: Vec<IdentityRow>, member: MemberId, name: Option<Arc<str>>) {
        let corp = identities.first().map(|row| row.corp.clone());
        let known = self.people.values().any(|person| person.member == Some(member) && person.name.is_some());
        let brought = name.filter(|_| !known);
        if let (Some(name), Some(corp)) = (&brought, corp) {
            self.members.insert(member, MemberRow { id: member, corp, name: Some(name.clone()) });
        }
        for row in identities {
            for person in self.people.values_mut().filter(|person| person.identity == row.id) {
                person.member = Some(member);
            }
            self.identities.insert(row.id, IdentityRow { member: Some(member), ..row });
        }
    }

    /// Books the event for the persons.
    pub(super) fn say(&mut self, occasion: &Occasion, key: KeyBytes, identity: Option<IdentityId>, deed: Deed) -> EventSeq {
        let record = Record { order: key.order(), deed: Some(deed), ..Record::default() };
        let day = self.context.rules.campaigns.first().map_or(Day(0), |campaign| campaign.calendar.day(occasion.at));
        self.journal(occasion, key, Written { identity, account: None, campaign: None, group: GroupId::NONE, day, prev: None, record }, &[])
    }

    /// Books what happens to one account.
    pub(super) fn transfer(&mut self, occasion: &Occasion, transfer: Transfer) {
        let Some(cell) = self.accounts.get(&transfer.key).cloned() else { return };
        let side = if transfer.out { "out" } else { "in" };
        let key = KeyBytes::digest(format!("{}/{}/{}/{side}", occasion.kind, occasion.by, cell.id).as_bytes());
        let balance: i64 = transfer.moved.iter().filter(|moved| moved.part == Part::Available).map(|moved| moved.lot.amount).sum();
        let lifetime = Mark::Lifetime { key: MERGE.clone(), points: transfer.lifetime };
        let record = Record {
            order: key.order(),
            verdicts: vec![Verdict { rule: MERGE.clone(), ruling: Ruling::Moved(balance) }],
            marks: Some(lifetime).filter(|_| transfer.lifetime != 0).into_iter().collect(),
            snapshot: Some(Box::new(AccountState { lots: Vec::new(), ..cell.state.clone() })),
            repair: Some(Box::new(Repair { takes_back: None, restated: transfer.codes, changed: Vec::new() })),
            deed: Some(Deed::Transferred { by: occasion.by, other: transfer.other, out: transfer.out }),
            ..Record::default()
        };
        let written = Written {
            identity: Some(transfer.identity),
            account: Some(cell.id),
            campaign: Some(transfer.key.campaign),
            group: transfer.key.group,
            day: self.day(transfer.key.campaign, occasion.at),
            prev: Some(cell.last_event).filter(|seq| seq.0 > 0),
            record,
        };
        self.journal(occasion, key, written, &transfer.moved);
    }

    /// The business day of an instant in a campaign.
    pub(super) fn day(&self, campaign: CampaignId, at: Millis) -> Day {
        let id = self.directory.campaigns.iter().find(|(_, id)| **id == campaign).map(|((_, name), _)| name);
        let campaigns = &self.context.rules.campaigns;
        let found = campaigns.iter().find(|campaign| Some(&campaign.id) == id).or(campaigns.first());
        found.map_or(Day(0), |campaign| campaign.calendar.day(at))
    }

    fn journal(&mut self, occasion: &Occasion, key: KeyBytes, written: Written, moved: &[Moved]) -> EventSeq {
        self.batch.head.event.0 += 1;
        let seq = self.batch.head.event;
        let (corp, name): (CorpName, Arc<str>) = (occasion.corp.clone(), format!("{}/{}", occasion.corp, SOURCE).into());
        let source = self.source_named(corp, name.clone());
        let Written { identity, account, campaign, group, day, prev, record } = written;
        let mut postings = match (account, campaign) {
            (Some(account), Some(campaign)) => self.transfers(seq, account, campaign, day, moved),
            (None, _) | (_, None) => Vec::new(),
        };
        let row = EventRow {
            seq,
            at: occasion.at,
            received_at: occasion.received_at,
            day,
            source: Some(source),
            identity,
            account,
            group,
            campaign,
            kind: occasion.kind.into(),
            rules: self.context.rules.hash,
            prev,
            first_posting: postings.first().map(|posting| posting.seq),
            record,
        };
        let encoded = encode_record(&row.record);
        self.batch.head.chain.cover(&row, &encoded);
        if !postings.is_empty() {
            self.batch.head.chain.seal(row.at, row.rules, &mut postings);
        }
        if let Some(cell) = self.accounts.values_mut().find(|cell| Some(cell.id) == account) {
            cell.apply(Occurrence { seq, at: row.at, day }, &row.record, &postings);
            self.touched.insert(cell.key);
        }
        self.batch.postings.extend(postings);
        self.batch.events.push(NewEvent { key: EventKey { source: name, key }, row, encoded, contents: None });
        seq
    }

    fn transfers(&mut self, event: EventSeq, account: AccountId, campaign: CampaignId, day: Day, moved: &[Moved]) -> Vec<Posting> {
        let next = &mut self.batch.head.posting;
        let (own, way) = (AccountRef::Member(account), AccountRef::System { campaign, chart: Chart::Transfer });
        let book = |(ord, moved): (usize, &Moved)| {
            *next = PostingSeq(next.0 + 1);
            let ((src, src_part), (dst, dst_part)) =
                if moved.lot.amount > 0 { ((way, Part::Available), (own, moved.part)) } else { ((own, moved.part), (way, Part::Available)) };
            Posting {
                seq: *next,
                event,
                ord: ord as u32,
                code: MERGE.clone(),
                src,
                src_part,
                dst,
                dst_part,
                amount: moved.lot.amount.abs(),
                day,
                vests_on: moved.lot.vests_on,
                expires_on: moved.lot.expires_on,
                reverses: None,
                slot_event: None,
                link: [0; 16],
                digest: [0; 16],
            }
        };
        moved.iter().filter(|moved| moved.lot.amount != 0).enumerate().map(book).collect()
    }
}

/// Where merges come from: behind the corp.
pub(super) const SOURCE: &str = "merge";

/// What stands in an event's row beside what all events of a merge share.
struct Written {
    identity: Option<IdentityId>,
    account: Option<AccountId>,
    campaign: Option<CampaignId>,
    group: GroupId,
    day: Day,
    prev: Option<EventSeq>,
    record: Record,
}

impl Moved {
    /// The same the other way.
    pub(super) fn back(self) -> Moved {
        Moved { lot: Lot { amount: -self.lot.amount, ..self.lot }, ..self }
    }
}

/// All that an account holds on a day, by part and bucket.
fn all_of(cell: &AccountCell, day: Day) -> Vec<Moved> {
    let available = cell.state.joined(day).into_iter().map(|lot| Moved { part: Part::Available, lot });
    let held = Moved { part: Part::Held, lot: Lot { expires_on: None, vests_on: None, amount: cell.held } };
    available.chain(Some(held).filter(|_| cell.held != 0)).collect()
}

/// What both remember. A person is in a group since the first of its ids is, and is out of all only if every id is.
pub(super) fn both(one: &[(Arc<str>, CodeState)], other: &[(Arc<str>, CodeState)]) -> Vec<(Arc<str>, CodeState)> {
    let mut codes = unite(one, other, &presence::is_presence);
    if codes.iter().any(|(code, state)| *code == *presence::IN && state.since.is_some()) {
        codes.iter_mut().filter(|(code, _)| *code == *presence::OUT).for_each(|(_, state)| state.since = None);
    }
    codes
}

/// Whether one account can hold what both hold.
fn check_room(one: &AccountCell, other: Option<&AccountCell>) -> Result<(), StoreError> {
    let Some(other) = other else { return Ok(()) };
    let fits = |a: i64, b: i64| Points(a).checked_add(Points(b)).is_some();
    let room = fits(one.available, other.available) && fits(one.held, other.held) && fits(one.lifetime, other.lifetime);
    if room { Ok(()) } else { Err(refuse("两边的积分加起来超过 9007199254740991,没有合并")) }
}

fn person_key(corp: &CorpName, id: &Identity) -> PersonKey {
    PersonKey { corp: corp.clone(), identity: Identity { kind: id.kind, value: id.folded().into() } }
}
