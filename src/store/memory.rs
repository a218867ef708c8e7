//! A store in memory, with the same refusals as the one on disk: for tests and for everything that decides again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::proof::{LOOKS_MAX, Proof, ProofKey};
use super::waiting::is_waiting;
use super::{
    Batch, Directory, Earning, Head, IdentityRow, Loaded, MemberRow, Past, Person, PersonKey, REPLIES_PER_EVENT_MAX, Reader, ReplyOutcome, ReplyRow,
    ReplyState, RulesChange, SharedKey, Store, StoreError, Wants, reply_id,
};
use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::Millis;
use crate::model::event::{Identity, Look};
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq, ReplyId, RulesHash};
use crate::model::journal::{EventRow, Posting};

/// The writer's side.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
}

impl MemoryStore {
    /// A store without events that knows these campaigns, groups and sources, and goes on with the numbers of this head.
    pub fn beginning(head: Head, directory: Directory) -> Self {
        MemoryStore { rows: Arc::new(Mutex::new(Rows { head, directory, ..Rows::default() })) }
    }

    /// Another one that holds the same.
    pub fn copied(&self) -> Self {
        MemoryStore { rows: Arc::new(Mutex::new(lock(&self.rows).clone())) }
    }

    /// A reader that sees what this store commits.
    pub fn reader(&self) -> MemoryReader {
        MemoryReader { rows: self.rows.clone(), frozen: Mutex::new(None) }
    }
}

/// Everybody else's side.
#[derive(Debug)]
pub struct MemoryReader {
    rows: Arc<Mutex<Rows>>,
    frozen: Mutex<Option<Rows>>,
}

#[derive(Debug, Clone, Default)]
struct Rows {
    head: Head,
    directory: Directory,
    rules: HashMap<RulesHash, Arc<str>>,
    keys: BTreeMap<EventKey, EventSeq>,
    events: BTreeMap<EventSeq, EventRow>,
    contents: HashMap<EventSeq, Vec<u8>>,
    postings: BTreeMap<PostingSeq, Posting>,
    identities: BTreeMap<IdentityId, IdentityRow>,
    people: HashMap<PersonKey, IdentityId>,
    members: BTreeMap<MemberId, MemberRow>,
    accounts: BTreeMap<AccountId, AccountCell>,
    account_ids: BTreeMap<AccountKey, AccountId>,
    shared: HashMap<SharedKey, i64>,
    proofs: BTreeMap<ProofKey, Proof>,
    replies: BTreeMap<ReplyId, ReplyRow>,
    outbox_held: bool,
    hidden: BTreeSet<AccountId>,
    rules_changes: Vec<RulesChange>,
}

impl Store for MemoryStore {
    fn begin(&mut self) -> Result<Head, StoreError> {
        Ok(lock(&self.rows).head.clone())
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        Ok(lock(&self.rows).directory.clone())
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        let rows = lock(&self.rows);
        Ok(keys.iter().map(|key| rows.keys.get(key).copied()).collect())
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        let rows = lock(&self.rows);
        let named = wants.accounts.iter().filter_map(|key| rows.accounts.get(rows.account_ids.get(key)?));
        let owned = wants.accounts_of.iter().flat_map(|member| rows.accounts_of(*member));
        Ok(Loaded {
            people: wants.people.iter().filter_map(|key| Some((key.clone(), rows.person(key)?))).collect(),
            accounts: named.chain(owned).map(|cell| (cell.key, cell.clone())).collect(),
            shared: wants.shared.iter().filter_map(|key| Some((key.clone(), *rows.shared.get(key)?))).collect(),
            identities: rows.identities.values().filter(|row| row.member.is_some_and(|member| wants.identities_of.contains(&member))).cloned().collect(),
        })
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        Ok(lock(&self.rows).accounts.get(&id).cloned())
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        let rows = lock(&self.rows);
        Ok(rows.events.get(&seq).map(|row| {
            let identity = row.identity.and_then(|id| rows.identities.get(&id)).map(|row| row.identity.clone());
            Past { row: row.clone(), postings: rows.postings_of(seq), identity }
        }))
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

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(lock(&self.rows).contents.get(&seq).cloned())
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        Ok(lock(&self.rows).people_named(corp, name))
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        Ok(lock(&self.rows).rules.get(&hash).cloned())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut rows = lock(&self.rows);
        if let Some(text) = rows.refusal(batch) {
            return Err(StoreError::Corrupt(text));
        }
        rows.write(batch);
        Ok(())
    }

    fn abort(&mut self) {}

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl Rows {
    /// Why the batch cannot be written: what the unique keys of a database would say.
    fn refusal(&self, batch: &Batch) -> Option<String> {
        let mut keys: Vec<&EventKey> = batch.events.iter().map(|event| &event.key).collect();
        keys.sort();
        let repeated = keys.windows(2).any(|pair| pair[0] == pair[1]) || keys.iter().any(|key| self.keys.contains_key(key));
        let known_event = batch.events.iter().find(|event| self.events.contains_key(&event.row.seq));
        let known_posting = batch.postings.iter().find(|posting| self.postings.contains_key(&posting.seq));
        let known_reply = batch.replies.iter().find(|reply| self.replies.contains_key(&reply.id));
        let ours = |id: &ReplyId| self.replies.get(id).or_else(|| batch.replies.iter().find(|reply| reply.id == *id));
        let bad = |outcome: &&ReplyOutcome| ours(&outcome.id).is_none_or(|reply| outcome.state == ReplyState::Sending && !reply.state.is_open());
        let taken = |cell: &&AccountCell| self.account_ids.get(&cell.key).is_some_and(|id| *id != cell.id);
        let other = |row: &&IdentityRow| self.people.get(&person_key(row)).is_some_and(|id| *id != row.id);
        None.or_else(|| repeated.then(|| "有一条消息已经记过".to_owned()))
            .or_else(|| known_event.map(|event| format!("事件 {} 已经有了", event.row.seq)))
            .or_else(|| known_posting.map(|posting| format!("记账 {} 已经有了", posting.seq)))
            .or_else(|| known_reply.map(|reply| format!("回复 {} 已经有了", reply.id)))
            .or_else(|| batch.accounts.iter().find(taken).map(|cell| format!("账户 {} 和另一个账户同名", cell.id)))
            .or_else(|| batch.identities.iter().find(other).map(|row| format!("身份 {} 和另一个身份同名", row.id)))
            .or_else(|| batch.outcomes.iter().find(bad).map(|outcome| format!("没有待发的 {} 号回复", outcome.id)))
    }

    fn write(&mut self, batch: &Batch) {
        self.head = batch.head.clone();
        for (hash, text) in &batch.rules {
            self.rules.entry(*hash).or_insert_with(|| text.clone());
        }
        self.directory.campaigns.extend(batch.campaigns.iter().map(|(id, corp, name)| ((corp.clone(), name.clone()), *id)));
        self.directory.sources.extend(batch.sources.iter().map(|(id, corp, name)| ((corp.clone(), name.clone()), *id)));
        self.directory.groups.extend(batch.groups.iter().map(|(corp, group)| ((corp.clone(), group.chat.clone()), group.clone())));
        self.members.extend(batch.members.iter().map(|member| (member.id, member.clone())));
        for row in &batch.identities {
            self.people.insert(person_key(row), row.id);
            self.identities.insert(row.id, row.clone());
        }
        for cell in &batch.accounts {
            self.account_ids.insert(cell.key, cell.id);
            self.accounts.insert(cell.id, cell.clone());
        }
        self.shared.extend(batch.shared.iter().cloned());
        self.proofs.extend(batch.proofs.iter().copied());
        for event in &batch.events {
            self.keys.insert(event.key.clone(), event.row.seq);
            self.events.insert(event.row.seq, event.row.clone());
            self.contents.extend(event.contents.iter().map(|contents| (event.row.seq, contents.clone())));
        }
        self.postings.extend(batch.postings.iter().map(|posting| (posting.seq, posting.clone())));
        self.replies.extend(batch.replies.iter().map(|reply| (reply.id, reply.clone())));
        if let Some(before) = batch.erase_texts_before {
            let day = before.0.div_euclid(86_400_000);
            let events = &self.events;
            self.contents.retain(|seq, _| events.get(seq).is_some_and(|event| event.received_at.0.div_euclid(86_400_000) >= day));
        }
        for outcome in &batch.outcomes {
            if let Some(reply) = self.replies.get_mut(&outcome.id).filter(|reply| reply.state.is_open()) {
                (reply.state, reply.tries, reply.reason) = (outcome.state, outcome.tries, outcome.reason.clone());
            }
        }
        for overrule in &batch.overrules {
            if let Some(reply) = self.replies.get_mut(&overrule.id).filter(|reply| reply.state == overrule.from) {
                (reply.state, reply.tries, reply.reason) = (overrule.to, 0, Some(overrule.reason.clone()));
                reply.created_at = overrule.renewed_at.unwrap_or(reply.created_at);
            }
        }
        self.outbox_held = batch.outbox_held.unwrap_or(self.outbox_held);
        self.rules_changes.extend(batch.rules_changes.iter().cloned());
        for (account, hidden) in &batch.hidden {
            let _ = if *hidden { self.hidden.insert(*account) } else { self.hidden.remove(account) };
        }
    }

    fn person(&self, key: &PersonKey) -> Option<Person> {
        let row = self.identities.get(self.people.get(key)?)?;
        let name = row.member.and_then(|member| self.members.get(&member)?.name.clone());
        Some(Person { identity: row.id, member: row.member, name })
    }

    fn postings_of(&self, event: EventSeq) -> Vec<Posting> {
        let first = self.events.get(&event).and_then(|event| event.first_posting);
        let own = first.into_iter().flat_map(|first| self.postings.range(first..).map(|(_, posting)| posting));
        own.take_while(|posting| posting.event == event).cloned().collect()
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Vec<IdentityRow> {
        let bears = |row: &&IdentityRow| row.corp == *corp && row.member.and_then(|member| self.members.get(&member)?.name.as_deref()) == Some(name);
        self.identities.values().filter(bears).cloned().collect()
    }

    fn accounts_of(&self, member: MemberId) -> impl Iterator<Item = &AccountCell> {
        self.accounts.values().filter(move |cell| cell.key.member == member)
    }
}

fn person_key(row: &IdentityRow) -> PersonKey {
    PersonKey { corp: row.corp.clone(), identity: Identity { kind: row.identity.kind, value: row.identity.folded().into() } }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryReader {
    fn read<T>(&self, read: impl FnOnce(&Rows) -> T) -> Result<T, StoreError> {
        match &*lock(&self.frozen) {
            Some(rows) => Ok(read(rows)),
            None => Ok(read(&lock(&self.rows))),
        }
    }
}

impl Reader for MemoryReader {
    fn freeze(&self) -> Result<(), StoreError> {
        *lock(&self.frozen) = Some(lock(&self.rows).clone());
        Ok(())
    }

    fn thaw(&self) {
        *lock(&self.frozen) = None;
    }

    fn head(&self) -> Result<Head, StoreError> {
        self.read(|rows| rows.head.clone())
    }

    fn directory(&self) -> Result<Directory, StoreError> {
        self.read(|rows| rows.directory.clone())
    }

    fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.read(|rows| rows.rules.get(&hash).cloned())
    }

    fn rules_versions(&self) -> Result<Vec<RulesHash>, StoreError> {
        self.read(|rows| rows.rules.keys().copied().collect())
    }

    fn rules_changes(&self, before: EventSeq, limit: usize) -> Result<Vec<RulesChange>, StoreError> {
        self.read(|rows| rows.rules_changes.iter().rev().filter(|change| change.event < before).take(limit).cloned().collect())
    }

    fn event(&self, seq: EventSeq) -> Result<Option<EventRow>, StoreError> {
        self.read(|rows| rows.events.get(&seq).cloned())
    }

    fn events(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        self.read(|rows| rows.events.range(from..).take(limit).map(|(_, row)| row.clone()).collect())
    }

    fn waiting(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        self.read(|rows| rows.events.range(from..).map(|(_, row)| row).filter(|row| is_waiting(&row.record.outcome)).take(limit).cloned().collect())
    }

    fn key_of(&self, event: EventSeq, order: u64) -> Result<Option<EventKey>, StoreError> {
        self.read(|rows| rows.keys.iter().find(|(key, seq)| **seq == event && key.key.order() == order).map(|(key, _)| key.clone()))
    }

    fn contents(&self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|rows| rows.contents.get(&seq).cloned())
    }

    fn find_events(&self, key: KeyBytes) -> Result<Vec<(Arc<str>, EventSeq)>, StoreError> {
        self.read(|rows| rows.keys.iter().filter(|(known, _)| known.key == key).map(|(known, seq)| (known.source.clone(), *seq)).collect())
    }

    fn postings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Posting>, StoreError> {
        self.read(|rows| rows.postings.range(from..).take(limit).map(|(_, posting)| posting.clone()).collect())
    }

    fn keys(&self, after: Option<&EventKey>, limit: usize) -> Result<Vec<(EventKey, EventSeq)>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|rows| rows.keys.range::<EventKey, _>((from, Bound::Unbounded)).take(limit).map(|(key, seq)| (key.clone(), *seq)).collect())
    }

    fn postings_of(&self, event: EventSeq) -> Result<Vec<Posting>, StoreError> {
        self.read(|rows| rows.postings_of(event))
    }

    fn person(&self, key: &PersonKey) -> Result<Option<Person>, StoreError> {
        self.read(|rows| rows.person(key))
    }

    fn identity(&self, id: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
        self.read(|rows| rows.identities.get(&id).cloned())
    }

    fn identities_of(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        self.read(|rows| rows.identities.values().filter(|row| row.member == Some(member)).cloned().collect())
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        self.read(|rows| rows.people_named(corp, name))
    }

    fn member(&self, id: MemberId) -> Result<Option<MemberRow>, StoreError> {
        self.read(|rows| rows.members.get(&id).cloned())
    }

    fn account(&self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.read(|rows| rows.accounts.get(&id).cloned())
    }

    fn accounts_of(&self, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
        self.read(|rows| rows.accounts_of(member).cloned().collect())
    }

    fn accounts(&self, after: AccountId, limit: usize) -> Result<Vec<AccountCell>, StoreError> {
        self.read(|rows| rows.accounts.range((Bound::Excluded(after), Bound::Unbounded)).take(limit).map(|(_, cell)| cell.clone()).collect())
    }

    fn proofs(&self, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.read(|rows| rows.proofs.range((from, Bound::Unbounded)).take(limit).map(|(key, proof)| (*key, *proof)).collect())
    }

    fn shared(&self) -> Result<Vec<(SharedKey, i64)>, StoreError> {
        self.read(|rows| rows.shared.iter().map(|(key, taken)| (key.clone(), *taken)).collect())
    }

    fn open_replies(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        self.read(|rows| rows.replies.range(from..).map(|(_, reply)| reply).filter(|reply| reply.state.is_open()).take(limit).cloned().collect())
    }

    fn open_reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        self.read(|rows| rows.replies.range(from..).filter(|(_, reply)| reply.state.is_open()).map(|(id, _)| *id).take(limit).collect())
    }

    fn reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        self.read(|rows| rows.replies.range(from..).map(|(id, _)| *id).take(limit).collect())
    }

    fn outbox_held(&self) -> Result<bool, StoreError> {
        self.read(|rows| rows.outbox_held)
    }

    fn replies_of(&self, event: EventSeq) -> Result<Vec<ReplyRow>, StoreError> {
        self.read(|rows| rows.replies.range(reply_id(event, 0)..reply_id(event, REPLIES_PER_EVENT_MAX)).map(|(_, reply)| reply.clone()).collect())
    }

    fn reply(&self, id: ReplyId) -> Result<Option<ReplyRow>, StoreError> {
        self.read(|rows| rows.replies.get(&id).cloned())
    }

    fn replies_before(&self, before: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        self.read(|rows| rows.replies.range(..before).rev().map(|(_, reply)| reply.clone()).take(limit).collect())
    }

    fn earnings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Earning>, StoreError> {
        self.read(|rows| {
            let group = |posting: &Posting| rows.events.get(&posting.slot_event.unwrap_or(posting.event)).map_or(GroupId::NONE, |event| event.group);
            rows.postings.range(from..).take(limit).map(|(_, posting)| Earning::of(posting, group(posting))).collect()
        })
    }

    fn hidden(&self) -> Result<Vec<AccountId>, StoreError> {
        self.read(|rows| rows.hidden.iter().copied().collect())
    }

    fn first_sent_since(&self, from: EventSeq, at: Millis) -> Result<Option<EventSeq>, StoreError> {
        self.read(|rows| rows.events.range(from..).find(|(_, event)| event.at >= at).map(|(seq, _)| *seq))
    }

    fn earner(&self, id: AccountId) -> Result<Option<(AccountKey, i64)>, StoreError> {
        self.read(|rows| rows.accounts.get(&id).map(|cell| (cell.key, cell.lifetime)))
    }
}
