//! A lean store in memory, for deciding long history again: it keeps what deciding can still ask for, and forgets the rest.
//!
//! Kept are accounts, people, what members share, proofs, and the events that belong to an account's history, as bytes, with their postings:
//! those that came within the last [`KEEP_DAYS`] days, more than late messages are repaired for. Older ones are gone: what comes later than that is
//! decided alone. Talk that changed nothing, texts, replies and the keys of messages are not kept; whoever feeds it tells each message once.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::codec::decode_record;
use super::proof::{LOOKS_MAX, Proof, ProofKey};
use super::{
    Batch, Directory, Earning, Head, IdentityRow, Loaded, MemberRow, NewEvent, Past, Person, PersonKey, Reader, ReplyRow, RulesChange, SharedKey, Store,
    StoreError, Wants,
};
use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::{Day, Millis};
use crate::model::event::{Identity, Look};
use crate::model::ids::{
    AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq, ReplyId, RulesHash, SourceId,
};
use crate::model::journal::{EventRow, Posting};

/// Days for which an account's events are kept: 35 are repaired, and the first of them begins with the day before.
pub const KEEP_DAYS: i64 = 38;

const DAY_MILLIS: i64 = 86_400_000;

/// The writer's side. Clones are the same store.
#[derive(Debug, Clone)]
pub struct LeanStore {
    rows: Arc<Mutex<Rows>>,
}

/// Everybody else's side.
#[derive(Debug)]
pub struct LeanReader {
    rows: Arc<Mutex<Rows>>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    head: Head,
    directory: Directory,
    rules: HashMap<RulesHash, Arc<str>>,
    /// Of recalls, of what the clock, a merge or deciding again brought, and of messages that were named ([`LeanStore::name`]).
    keys: BTreeMap<(KeyBytes, Arc<str>), EventSeq>,
    events: VecDeque<Kept>,
    /// From the first kept event's on, without gaps.
    postings: VecDeque<Posting>,
    /// When each event was sent and heard, where boards are closed by it.
    times: Option<Vec<(Millis, Millis)>>,
    /// The newest time at which anything happened.
    now: Millis,
    identities: BTreeMap<IdentityId, IdentityRow>,
    identities_of: HashMap<MemberId, Vec<IdentityId>>,
    people: HashMap<PersonKey, IdentityId>,
    members: HashMap<MemberId, MemberRow>,
    accounts: BTreeMap<AccountId, AccountCell>,
    account_ids: HashMap<AccountKey, AccountId>,
    accounts_of: HashMap<MemberId, Vec<AccountId>>,
    shared: HashMap<SharedKey, i64>,
    proofs: BTreeMap<ProofKey, Proof>,
    hidden: BTreeSet<AccountId>,
}

/// An event, its record as bytes.
#[derive(Debug, Clone)]
struct Kept {
    seq: EventSeq,
    at: Millis,
    received_at: Millis,
    /// The newest time at which anything had happened when it came.
    came: Millis,
    day: Day,
    source: Option<SourceId>,
    identity: Option<IdentityId>,
    account: Option<AccountId>,
    group: GroupId,
    campaign: Option<CampaignId>,
    kind: Arc<str>,
    rules: RulesHash,
    prev: Option<EventSeq>,
    first_posting: Option<PostingSeq>,
    record: Box<[u8]>,
}

impl Kept {
    fn of(event: &NewEvent, came: Millis) -> Self {
        let EventRow { seq, at, received_at, day, source, identity, account, group, campaign, kind, rules, prev, first_posting, record: _ } = &event.row;
        Kept {
            seq: *seq,
            at: *at,
            received_at: *received_at,
            came,
            day: *day,
            source: *source,
            identity: *identity,
            account: *account,
            group: *group,
            campaign: *campaign,
            kind: kind.clone(),
            rules: *rules,
            prev: *prev,
            first_posting: *first_posting,
            record: event.encoded.as_slice().into(),
        }
    }

    fn row(&self) -> Result<EventRow, StoreError> {
        Ok(EventRow {
            seq: self.seq,
            at: self.at,
            received_at: self.received_at,
            day: self.day,
            source: self.source,
            identity: self.identity,
            account: self.account,
            group: self.group,
            campaign: self.campaign,
            kind: self.kind.clone(),
            rules: self.rules,
            prev: self.prev,
            first_posting: self.first_posting,
            record: decode_record(&self.record)?,
        })
    }
}

impl LeanStore {
    /// A store without events that knows these campaigns, groups and sources, and goes on with the numbers of this head. `closes_boards` has it
    /// remember when every event was heard, and all postings.
    pub fn beginning(head: Head, directory: Directory, closes_boards: bool) -> Self {
        let times = closes_boards.then(Vec::new);
        LeanStore { rows: Arc::new(Mutex::new(Rows { head, directory, times, now: Millis(i64::MIN), ..Rows::default() })) }
    }

    /// Another one that holds the same.
    pub fn copied(&self) -> Self {
        LeanStore { rows: Arc::new(Mutex::new(lock(&self.rows).clone())) }
    }

    /// A reader that sees what this store commits.
    pub fn reader(&self) -> LeanReader {
        LeanReader { rows: self.rows.clone() }
    }

    /// Tells under which key an event stands: a recall will ask for it.
    pub fn name(&self, key: &EventKey, seq: EventSeq) {
        lock(&self.rows).keys.insert((key.key, key.source.clone()), seq);
    }
}

impl Store for LeanStore {
    fn begin(&mut self) -> Result<Head, StoreError> {
        Ok(lock(&self.rows).head.clone())
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        Ok(lock(&self.rows).directory.clone())
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        let rows = lock(&self.rows);
        if rows.keys.is_empty() {
            return Ok(vec![None; keys.len()]);
        }
        Ok(keys.iter().map(|key| rows.keys.get(&(key.key, key.source.clone())).copied()).collect())
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        let rows = lock(&self.rows);
        let named = wants.accounts.iter().filter_map(|key| rows.accounts.get(rows.account_ids.get(key)?));
        let owned = wants.accounts_of.iter().flat_map(|member| rows.accounts_of(*member));
        let identities = wants.identities_of.iter().flat_map(|member| rows.identities_of(*member));
        Ok(Loaded {
            people: wants.people.iter().filter_map(|key| Some((key.clone(), rows.person(key)?))).collect(),
            accounts: named.chain(owned).map(|cell| (cell.key, cell.clone())).collect(),
            shared: wants.shared.iter().filter_map(|key| Some((key.clone(), *rows.shared.get(key)?))).collect(),
            identities: identities.cloned().collect(),
        })
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        Ok(lock(&self.rows).accounts.get(&id).cloned())
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        let rows = lock(&self.rows);
        let Some(kept) = rows.kept(seq) else { return Ok(None) };
        let identity = kept.identity.and_then(|id| rows.identities.get(&id)).map(|row| row.identity.clone());
        Ok(Some(Past { row: kept.row()?, postings: rows.postings_of(kept), identity }))
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        Ok(lock(&self.rows).proofs.get(&key).copied())
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        let rows = lock(&self.rows);
        let originals = rows.proofs.iter().filter(|(key, proof)| key.campaign == campaign && proof.original == key.number);
        let mut looks: Vec<_> = originals.filter_map(|(key, proof)| Some((proof.seen, (proof.look?, key.number)))).collect();
        looks.sort_unstable();
        let old = looks.len().saturating_sub(LOOKS_MAX);
        Ok(looks.into_iter().skip(old).map(|(_, look)| look).collect())
    }

    fn contents(&mut self, _seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(lock(&self.rows).people_named(corp, name))
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        Ok(lock(&self.rows).rules.get(&hash).cloned())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        lock(&self.rows).write(batch);
        Ok(())
    }

    fn abort(&mut self) {}

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl Rows {
    fn write(&mut self, batch: &Batch) {
        self.head = batch.head.clone();
        for (hash, text) in &batch.rules {
            self.rules.entry(*hash).or_insert_with(|| text.clone());
        }
        self.directory.campaigns.extend(batch.campaigns.iter().map(|(id, corp, name)| ((corp.clone(), name.clone()), *id)));
        self.directory.sources.extend(batch.sources.iter().map(|(id, corp, name)| ((corp.clone(), name.clone()), *id)));
        self.directory.groups.extend(batch.groups.iter().map(|(corp, group)| ((corp.clone(), group.chat.clone()), group.clone())));
        self.members.extend(batch.members.iter().map(|member| (member.id, member.clone())));
        batch.identities.iter().for_each(|row| self.write_identity(row));
        for cell in &batch.accounts {
            if self.accounts.insert(cell.id, cell.clone()).is_none() {
                self.account_ids.insert(cell.key, cell.id);
                self.accounts_of.entry(cell.key.member).or_default().push(cell.id);
            }
        }
        self.shared.extend(batch.shared.iter().cloned());
        self.proofs.extend(batch.proofs.iter().copied());
        self.postings.extend(batch.postings.iter().cloned());
        batch.events.iter().for_each(|event| self.write_event(event));
        for (account, hidden) in &batch.hidden {
            let _ = if *hidden { self.hidden.insert(*account) } else { self.hidden.remove(account) };
        }
        self.forget();
    }

    fn write_identity(&mut self, row: &IdentityRow) {
        let before = self.identities.insert(row.id, row.clone());
        if before.is_none() {
            let folded = Identity { kind: row.identity.kind, value: row.identity.folded().into() };
            self.people.insert(PersonKey { corp: row.corp.clone(), identity: folded }, row.id);
        }
        let before = before.and_then(|row| row.member);
        if before == row.member {
            return;
        }
        if let Some(ids) = before.and_then(|member| self.identities_of.get_mut(&member)) {
            ids.retain(|id| *id != row.id);
        }
        if let Some(member) = row.member {
            let ids = self.identities_of.entry(member).or_default();
            ids.insert(ids.partition_point(|id| *id < row.id), row.id);
        }
    }

    fn write_event(&mut self, event: &NewEvent) {
        self.now = self.now.max(event.row.at);
        if let Some(times) = &mut self.times {
            times.push((event.row.at, event.row.received_at));
        }
        if is_asked_for(&event.key) {
            self.keys.insert((event.key.key, event.key.source.clone()), event.row.seq);
        }
        if event.row.record.is_stateful() || event.row.record.deed.is_some() {
            self.events.push_back(Kept::of(event, self.now));
        }
    }

    fn forget(&mut self) {
        let oldest = self.now.0.saturating_sub(KEEP_DAYS * DAY_MILLIS);
        while self.events.pop_front_if(|kept| kept.came.0 < oldest).is_some() {}
        if self.times.is_none()
            && let Some(first) = self.events.iter().find_map(|kept| kept.first_posting)
        {
            while self.postings.pop_front_if(|posting| posting.seq < first).is_some() {}
        }
    }

    fn kept(&self, seq: EventSeq) -> Option<&Kept> {
        let at = self.events.binary_search_by_key(&seq, |kept| kept.seq).ok()?;
        self.events.get(at)
    }

    fn postings_from(&self, first: PostingSeq) -> impl Iterator<Item = &Posting> {
        let skipped = self.postings.front().map_or(0, |front| first.0 - front.seq.0);
        self.postings.iter().skip(usize::try_from(skipped).unwrap_or(0))
    }

    fn postings_of(&self, kept: &Kept) -> Vec<Posting> {
        let Some(first) = kept.first_posting else { return Vec::new() };
        self.postings_from(first).take_while(|posting| posting.event == kept.seq).cloned().collect()
    }

    fn person(&self, key: &PersonKey) -> Option<Person> {
        let row = self.identities.get(self.people.get(key)?)?;
        let name = row.member.and_then(|member| self.members.get(&member)?.name.clone());
        Some(Person { identity: row.id, member: row.member, name })
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Vec<IdentityRow> {
        let bears = |row: &&IdentityRow| row.corp == *corp && row.member.and_then(|member| self.members.get(&member)?.name.as_deref()) == Some(name);
        self.identities.values().filter(bears).cloned().collect()
    }

    fn accounts_of(&self, member: MemberId) -> impl Iterator<Item = &AccountCell> {
        self.accounts_of.get(&member).into_iter().flatten().filter_map(|id| self.accounts.get(id))
    }

    fn identities_of(&self, member: MemberId) -> impl Iterator<Item = &IdentityRow> {
        self.identities_of.get(&member).into_iter().flatten().filter_map(|id| self.identities.get(id))
    }
}

/// Whether anything but a message stands under a key.
fn is_asked_for(key: &EventKey) -> bool {
    let source = &key.source;
    source.starts_with("recall/") || source.starts_with("unparked/") || source.ends_with("/clock") || source.ends_with("/merge")
}

fn lock(rows: &Mutex<Rows>) -> MutexGuard<'_, Rows> {
    rows.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nothing is written here by anybody else, so that all is one moment anyway.
impl Reader for LeanReader {
    fn freeze(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn thaw(&self) {}

    fn head(&self) -> Result<Head, StoreError> {
        Ok(lock(&self.rows).head.clone())
    }

    fn directory(&self) -> Result<Directory, StoreError> {
        Ok(lock(&self.rows).directory.clone())
    }

    fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        Ok(lock(&self.rows).rules.get(&hash).cloned())
    }

    fn rules_versions(&self) -> Result<Vec<RulesHash>, StoreError> {
        Ok(lock(&self.rows).rules.keys().copied().collect())
    }

    fn rules_changes(&self, _before: EventSeq, _limit: usize) -> Result<Vec<RulesChange>, StoreError> {
        Ok(Vec::new())
    }

    fn event(&self, seq: EventSeq) -> Result<Option<EventRow>, StoreError> {
        let rows = lock(&self.rows);
        match rows.kept(seq) {
            Some(kept) => kept.row().map(Some),
            None => Ok(rows.stub(seq)),
        }
    }

    fn events(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        let rows = lock(&self.rows);
        let first = rows.events.partition_point(|kept| kept.seq < from);
        rows.events.iter().skip(first).take(limit).map(Kept::row).collect()
    }

    fn waiting(&self, _from: EventSeq, _limit: usize) -> Result<Vec<EventRow>, StoreError> {
        Ok(Vec::new())
    }

    fn key_of(&self, _event: EventSeq, _order: u64) -> Result<Option<EventKey>, StoreError> {
        Ok(None)
    }

    fn contents(&self, _seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn find_events(&self, key: KeyBytes) -> Result<Vec<(Arc<str>, EventSeq)>, StoreError> {
        let rows = lock(&self.rows);
        let own = rows.keys.range((key, Arc::default())..).take_while(|((known, _), _)| *known == key);
        Ok(own.map(|((_, source), seq)| (source.clone(), *seq)).collect())
    }

    fn postings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Posting>, StoreError> {
        Ok(lock(&self.rows).postings_from(from).take(limit).cloned().collect())
    }

    fn keys(&self, _after: Option<&EventKey>, _limit: usize) -> Result<Vec<(EventKey, EventSeq)>, StoreError> {
        Ok(Vec::new())
    }

    fn postings_of(&self, event: EventSeq) -> Result<Vec<Posting>, StoreError> {
        let rows = lock(&self.rows);
        Ok(rows.kept(event).map_or(Vec::new(), |kept| rows.postings_of(kept)))
    }

    fn person(&self, key: &PersonKey) -> Result<Option<Person>, StoreError> {
        Ok(lock(&self.rows).person(key))
    }

    fn identity(&self, id: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
        Ok(lock(&self.rows).identities.get(&id).cloned())
    }

    fn identities_of(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(lock(&self.rows).identities_of(member).cloned().collect())
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(lock(&self.rows).people_named(corp, name))
    }

    fn member(&self, id: MemberId) -> Result<Option<MemberRow>, StoreError> {
        Ok(lock(&self.rows).members.get(&id).cloned())
    }

    fn account(&self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        Ok(lock(&self.rows).accounts.get(&id).cloned())
    }

    fn accounts_of(&self, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
        Ok(lock(&self.rows).accounts_of(member).cloned().collect())
    }

    fn accounts(&self, after: AccountId, limit: usize) -> Result<Vec<AccountCell>, StoreError> {
        Ok(lock(&self.rows).accounts.range((Bound::Excluded(after), Bound::Unbounded)).take(limit).map(|(_, cell)| cell.clone()).collect())
    }

    fn proofs(&self, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(lock(&self.rows).proofs.range((from, Bound::Unbounded)).take(limit).map(|(key, proof)| (*key, *proof)).collect())
    }

    fn shared(&self) -> Result<Vec<(SharedKey, i64)>, StoreError> {
        Ok(lock(&self.rows).shared.iter().map(|(key, taken)| (key.clone(), *taken)).collect())
    }

    fn open_replies(&self, _from: ReplyId, _limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        Ok(Vec::new())
    }

    fn open_reply_ids(&self, _from: ReplyId, _limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        Ok(Vec::new())
    }

    fn reply_ids(&self, _from: ReplyId, _limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        Ok(Vec::new())
    }

    fn outbox_held(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn replies_of(&self, _event: EventSeq) -> Result<Vec<ReplyRow>, StoreError> {
        Ok(Vec::new())
    }

    fn reply(&self, _id: ReplyId) -> Result<Option<ReplyRow>, StoreError> {
        Ok(None)
    }

    fn replies_before(&self, _before: ReplyId, _limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        Ok(Vec::new())
    }

    fn earnings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Earning>, StoreError> {
        let rows = lock(&self.rows);
        let group = |posting: &Posting| rows.kept(posting.slot_event.unwrap_or(posting.event)).map_or(GroupId::NONE, |kept| kept.group);
        Ok(rows.postings_from(from).take(limit).map(|posting| Earning::of(posting, group(posting))).collect())
    }

    fn hidden(&self) -> Result<Vec<AccountId>, StoreError> {
        Ok(lock(&self.rows).hidden.iter().copied().collect())
    }

    fn first_sent_since(&self, from: EventSeq, at: Millis) -> Result<Option<EventSeq>, StoreError> {
        let rows = lock(&self.rows);
        let times = rows.times.as_deref().unwrap_or_default();
        let first = rows.first_timed();
        let skipped = usize::try_from(from.0 - first).unwrap_or(0);
        Ok(times.iter().skip(skipped).position(|(sent, _)| *sent >= at).map(|place| EventSeq(first + (skipped + place) as i64)))
    }

    fn earner(&self, id: AccountId) -> Result<Option<(AccountKey, i64)>, StoreError> {
        Ok(lock(&self.rows).accounts.get(&id).map(|cell| (cell.key, cell.lifetime)))
    }
}

impl Rows {
    /// The place of the first event whose times are remembered.
    fn first_timed(&self) -> i64 {
        self.head.event.0 + 1 - self.times.as_ref().map_or(0, Vec::len) as i64
    }

    /// When an event was that is not kept: where boards are closed by it.
    fn stub(&self, seq: EventSeq) -> Option<EventRow> {
        let at = usize::try_from(seq.0 - self.first_timed()).ok()?;
        let (at, received_at) = *self.times.as_ref()?.get(at)?;
        Some(EventRow {
            seq,
            at,
            received_at,
            day: Day(0),
            source: None,
            identity: None,
            account: None,
            group: GroupId::NONE,
            campaign: None,
            kind: Arc::default(),
            rules: RulesHash::default(),
            prev: None,
            first_posting: None,
            record: Default::default(),
        })
    }
}
