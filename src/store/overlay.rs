//! A store over another that is only read: what is committed stays in memory and nobody else sees it. For trying things against the live state.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::memory::{MemoryReader, MemoryStore};
use super::proof::{LOOKS_MAX, Proof, ProofKey};
use super::{
    Batch, Directory, Earning, Head, IdentityRow, Loaded, MemberRow, Past, Person, PersonKey, Reader, ReplyRow, RulesChange, SharedKey, Store, StoreError,
    Wants,
};
use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::Millis;
use crate::model::event::Look;
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, IdentityId, KeyBytes, MemberId, PostingSeq, ReplyId, RulesHash};
use crate::model::journal::{EventRow, Posting};

/// Pictures and links read at once from what lies below.
const PROOFS_CHUNK: usize = 10_000;

/// The writer's side.
pub struct OverlayStore {
    top: MemoryStore,
    read: OverlayReader,
    /// What is known below of pictures and links; read when first asked for.
    proofs: Option<HashMap<ProofKey, Proof>>,
}

/// Everybody else's side: what lies below, with what was committed over it.
pub struct OverlayReader {
    base: Arc<Mutex<Box<dyn Reader>>>,
    top: MemoryReader,
}

impl OverlayStore {
    /// A store over what `base` reads. Others may write there meanwhile only if it is frozen.
    pub fn over(base: Box<dyn Reader>) -> OverlayStore {
        let top = MemoryStore::default();
        let read = OverlayReader { base: Arc::new(Mutex::new(base)), top: top.reader() };
        OverlayStore { top, read, proofs: None }
    }

    /// A reader that sees what lies below and what this store commits.
    pub fn reader(&self) -> OverlayReader {
        OverlayReader { base: self.read.base.clone(), top: self.top.reader() }
    }

    fn proofs_below(&mut self) -> Result<&HashMap<ProofKey, Proof>, StoreError> {
        if self.proofs.is_none() {
            let base = self.read.base();
            let (mut known, mut after) = (HashMap::new(), None);
            loop {
                let chunk = base.proofs(after, PROOFS_CHUNK)?;
                let Some((last, _)) = chunk.last() else { break };
                after = Some(*last);
                known.extend(chunk);
            }
            drop(base);
            self.proofs = Some(known);
        }
        Ok(self.proofs.get_or_insert_default())
    }
}

impl Store for OverlayStore {
    fn begin(&mut self) -> Result<Head, StoreError> {
        self.read.head()
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        self.read.directory()
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        let known = |key: &EventKey| Ok(self.read.find_events(key.key)?.into_iter().find(|(source, _)| *source == key.source).map(|(_, seq)| seq));
        keys.iter().map(known).collect()
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        for key in &wants.people {
            loaded.people.extend(self.read.person(key)?.map(|person| (key.clone(), person)));
        }
        for key in &wants.accounts {
            let accounts = self.read.accounts_of(key.member)?;
            loaded.accounts.extend(accounts.into_iter().find(|cell| cell.key == *key).map(|cell| (cell.key, cell)));
        }
        for member in &wants.accounts_of {
            loaded.accounts.extend(self.read.accounts_of(*member)?.into_iter().map(|cell| (cell.key, cell)));
        }
        for member in &wants.identities_of {
            loaded.identities.extend(self.read.identities_of(*member)?);
        }
        if !wants.shared.is_empty() {
            loaded.shared = self.read.shared()?.into_iter().filter(|(key, _)| wants.shared.contains(key)).collect();
        }
        Ok(loaded)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.read.account(id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        let Some(row) = self.read.event(seq)? else { return Ok(None) };
        let identity = row.identity.map(|id| self.read.identity(id)).transpose()?.flatten().map(|row| row.identity);
        Ok(Some(Past { postings: self.read.postings_of(seq)?, row, identity }))
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        match self.top.proof(key)? {
            Some(proof) => Ok(Some(proof)),
            None => Ok(self.proofs_below()?.get(&key).copied()),
        }
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        let originals = self.proofs_below()?.iter().filter(|(key, proof)| key.campaign == campaign && proof.original == key.number);
        let mut looks: Vec<_> = originals.filter_map(|(key, proof)| Some((proof.seen, (proof.look?, key.number)))).collect();
        looks.sort_unstable();
        let mut looks: Vec<(Look, u64)> = looks.into_iter().map(|(_, look)| look).collect();
        looks.extend(self.top.looks(campaign)?);
        let old = looks.len().saturating_sub(LOOKS_MAX);
        Ok(looks.split_off(old))
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        Reader::contents(&self.read, seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        Reader::people_named(&self.read, corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        Reader::rules_text(&self.read, hash)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.top.commit(batch)
    }

    fn abort(&mut self) {}

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl OverlayReader {
    fn base(&self) -> MutexGuard<'_, Box<dyn Reader>> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lies over, where it is there, else what lies below.
    fn either<T>(&self, read: impl Fn(&dyn Reader) -> Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
        match read(&self.top)? {
            Some(found) => Ok(Some(found)),
            None => read(&**self.base()),
        }
    }

    /// Up to `limit` of what lies below, then of what lies over: for what is numbered on.
    fn both<T>(&self, limit: usize, read: impl Fn(&dyn Reader, usize) -> Result<Vec<T>, StoreError>) -> Result<Vec<T>, StoreError> {
        let mut found = read(&**self.base(), limit)?;
        let left = limit.saturating_sub(found.len());
        found.extend(read(&self.top, left)?);
        Ok(found)
    }

    /// The same from the newest back.
    fn both_back<T>(&self, limit: usize, read: impl Fn(&dyn Reader, usize) -> Result<Vec<T>, StoreError>) -> Result<Vec<T>, StoreError> {
        let mut found = read(&self.top, limit)?;
        let left = limit.saturating_sub(found.len());
        found.extend(read(&**self.base(), left)?);
        Ok(found)
    }

    /// Rows below with those over them in their places, then those that are new.
    fn merged<T, K: Ord + Copy>(below: Vec<T>, over: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
        let mut rows: BTreeMap<K, T> = below.into_iter().map(|row| (key(&row), row)).collect();
        rows.extend(over.into_iter().map(|row| (key(&row), row)));
        rows.into_values().collect()
    }
}

impl Reader for OverlayReader {
    fn freeze(&self) -> Result<(), StoreError> {
        self.base().freeze()
    }

    fn thaw(&self) {
        self.base().thaw();
    }

    fn head(&self) -> Result<Head, StoreError> {
        let over = self.top.head()?;
        if over == Head::default() { self.base().head() } else { Ok(over) }
    }

    fn directory(&self) -> Result<Directory, StoreError> {
        let (mut directory, over) = (self.base().directory()?, self.top.directory()?);
        directory.groups.extend(over.groups);
        directory.campaigns.extend(over.campaigns);
        directory.sources.extend(over.sources);
        Ok(directory)
    }

    fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.either(|reader| reader.rules_text(hash))
    }

    fn rules_versions(&self) -> Result<Vec<RulesHash>, StoreError> {
        let below = self.base().rules_versions()?;
        Ok(Self::merged(below, self.top.rules_versions()?, |hash| *hash))
    }

    fn rules_changes(&self, before: EventSeq, limit: usize) -> Result<Vec<RulesChange>, StoreError> {
        self.both_back(limit, |reader, limit| reader.rules_changes(before, limit))
    }

    fn event(&self, seq: EventSeq) -> Result<Option<EventRow>, StoreError> {
        self.either(|reader| reader.event(seq))
    }

    fn events(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        self.both(limit, |reader, limit| reader.events(from, limit))
    }

    fn waiting(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        self.both(limit, |reader, limit| reader.waiting(from, limit))
    }

    fn key_of(&self, event: EventSeq, order: u64) -> Result<Option<EventKey>, StoreError> {
        self.either(|reader| reader.key_of(event, order))
    }

    fn contents(&self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.either(|reader| reader.contents(seq))
    }

    fn find_events(&self, key: KeyBytes) -> Result<Vec<(Arc<str>, EventSeq)>, StoreError> {
        self.both(usize::MAX, |reader, _| reader.find_events(key))
    }

    fn postings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Posting>, StoreError> {
        self.both(limit, |reader, limit| reader.postings(from, limit))
    }

    fn keys(&self, after: Option<&EventKey>, limit: usize) -> Result<Vec<(EventKey, EventSeq)>, StoreError> {
        self.both(limit, |reader, limit| reader.keys(after, limit))
    }

    fn postings_of(&self, event: EventSeq) -> Result<Vec<Posting>, StoreError> {
        self.both(usize::MAX, |reader, _| reader.postings_of(event))
    }

    fn person(&self, key: &PersonKey) -> Result<Option<Person>, StoreError> {
        let Some(person) = self.either(|reader| reader.person(key))? else { return Ok(None) };
        let name = person.member.map(|member| self.member(member)).transpose()?.flatten().and_then(|member| member.name);
        Ok(Some(Person { name: name.or(person.name.clone()), ..person }))
    }

    fn identity(&self, id: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
        self.either(|reader| reader.identity(id))
    }

    fn identities_of(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        let below = self.base().identities_of(member)?;
        Ok(Self::merged(below, self.top.identities_of(member)?, |row| row.id))
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        let below = self.base().people_named(corp, name)?;
        Ok(Self::merged(below, self.top.people_named(corp, name)?, |row| row.id))
    }

    fn member(&self, id: MemberId) -> Result<Option<MemberRow>, StoreError> {
        self.either(|reader| reader.member(id))
    }

    fn account(&self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.either(|reader| reader.account(id))
    }

    fn accounts_of(&self, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
        let below = self.base().accounts_of(member)?;
        Ok(Self::merged(below, self.top.accounts_of(member)?, |cell| cell.id))
    }

    fn accounts(&self, after: AccountId, limit: usize) -> Result<Vec<AccountCell>, StoreError> {
        let below = self.base().accounts(after, limit)?;
        let mut accounts = Self::merged(below, self.top.accounts(after, limit)?, |cell| cell.id);
        accounts.truncate(limit);
        Ok(accounts)
    }

    fn proofs(&self, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError> {
        self.both(limit, |reader, limit| reader.proofs(after, limit))
    }

    fn shared(&self) -> Result<Vec<(SharedKey, i64)>, StoreError> {
        let mut shared: HashMap<SharedKey, i64> = self.base().shared()?.into_iter().collect();
        shared.extend(self.top.shared()?);
        Ok(shared.into_iter().collect())
    }

    fn open_replies(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        self.both(limit, |reader, limit| reader.open_replies(from, limit))
    }

    fn open_reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        self.both(limit, |reader, limit| reader.open_reply_ids(from, limit))
    }

    fn reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        self.both(limit, |reader, limit| reader.reply_ids(from, limit))
    }

    fn outbox_held(&self) -> Result<bool, StoreError> {
        self.base().outbox_held()
    }

    fn replies_of(&self, event: EventSeq) -> Result<Vec<ReplyRow>, StoreError> {
        self.both(usize::MAX, |reader, _| reader.replies_of(event))
    }

    fn reply(&self, id: ReplyId) -> Result<Option<ReplyRow>, StoreError> {
        self.either(|reader| reader.reply(id))
    }

    fn replies_before(&self, before: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        self.both_back(limit, |reader, limit| reader.replies_before(before, limit))
    }

    fn earnings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Earning>, StoreError> {
        self.both(limit, |reader, limit| reader.earnings(from, limit))
    }

    fn hidden(&self) -> Result<Vec<AccountId>, StoreError> {
        // Who came back over what lies below is still hidden here: a board that is only tried may lack them.
        let below = self.base().hidden()?;
        Ok(Self::merged(below, self.top.hidden()?, |id| *id))
    }

    fn first_sent_since(&self, from: EventSeq, at: Millis) -> Result<Option<EventSeq>, StoreError> {
        let below = self.base().first_sent_since(from, at)?;
        if below.is_some() { Ok(below) } else { self.top.first_sent_since(from, at) }
    }

    fn earner(&self, id: AccountId) -> Result<Option<(AccountKey, i64)>, StoreError> {
        self.either(|reader| reader.earner(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::town::Town;

    #[test]
    fn what_is_committed_over_a_store_is_seen_here_and_not_below() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        let below = town.reader();
        let mut over = OverlayStore::over(Box::new(town.reader()));
        let reader = over.reader();
        let head = over.begin().expect("memory reads");
        assert_eq!(head, below.head().expect("memory reads"));
        let mut cell = reader.account(AccountId(1)).expect("memory reads").expect("it is there");
        cell.available += 5;
        let head = Head { event: EventSeq(head.event.0 + 1), ..head };
        over.commit(&Batch { head: head.clone(), accounts: vec![cell.clone()], ..Batch::default() }).expect("memory writes");
        assert_eq!((reader.head().expect("memory reads"), reader.account(cell.id).expect("memory reads")), (head, Some(cell.clone())));
        assert_eq!(reader.accounts_of(cell.key.member).expect("memory reads"), std::slice::from_ref(&cell));
        let untouched = below.account(cell.id).expect("memory reads").expect("it is there");
        assert_eq!(untouched.available + 5, cell.available);
    }

    #[test]
    fn what_lies_below_is_known_and_numbered_on() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        let mut over = OverlayStore::over(Box::new(town.reader()));
        let reader = over.reader();
        let (key, seq) = reader.keys(None, 1).expect("memory reads").remove(0);
        assert_eq!(over.admit(&[key]).expect("memory reads"), [Some(seq)]);
        assert_eq!(reader.events(EventSeq(1), 10).expect("memory reads").len(), 1);
        assert_eq!(reader.postings_of(seq).expect("memory reads").len(), 1);
    }
}
