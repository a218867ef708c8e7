//! How worlds begin: what recorded history left behind before the first event that is decided again. It is folded from the journal as it was
//! booked ([`AccountCell::apply`], as `verify` does), so that no text is needed; all numbers stay.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::cells::{AccountCell, Occurrence};
use crate::model::decision::{Deed, Outcome};
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, MemberId, PostingSeq};
use crate::model::journal::{EventRow, Posting};
use crate::rules::board::is_hidden;
use crate::store::codec::encode_record;
use crate::store::lean::LeanStore;
use crate::store::proof::{self, Proof, ProofKey};
use crate::store::waiting::unparked_key;
use crate::store::{Batch, Directory, Head, IdentityRow, MemberRow, NewEvent, Reader, SharedKey, Store, StoreError};

use super::history::Person;

/// Events written at once.
const EVENTS_PER_BATCH: usize = 4_096;

/// A world before anything was decided again.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Accounts, members, events as recorded.
    pub(super) store: LeanStore,
    /// The last event that stands.
    pub(super) event: EventSeq,
    /// The last posting that stands.
    pub(super) posting: PostingSeq,
    /// Groups, campaigns and sources, by the numbers they have in the end.
    pub(super) directory: Directory,
    /// Whose the accounts are.
    pub(super) owners: HashMap<AccountId, (CampaignId, Person)>,
    /// The groups of the events that stand, from the first on.
    pub(super) groups: Vec<GroupId>,
}

impl Beginning {
    /// Every corp that was heard of.
    pub(super) fn corps(&self) -> Vec<CorpName> {
        let mut corps: Vec<CorpName> = self.directory.sources.keys().map(|(corp, _)| corp.clone()).collect();
        corps.sort();
        corps.dedup();
        corps
    }
}

/// What a row of the journal needs beside itself to be folded.
pub(super) struct Told<'a> {
    /// The row.
    pub(super) row: &'a EventRow,
    /// Its postings.
    pub(super) postings: &'a [Posting],
    /// The key under which worlds know it.
    pub(super) key: EventKey,
    /// The corp.
    pub(super) corp: CorpName,
    /// Who caused it, and as what person the end of history knows them.
    pub(super) who: Option<(IdentityRow, Person)>,
    /// The rules it was decided under.
    pub(super) rules: Arc<str>,
}

/// Folds history from its first event on.
pub(super) struct Fold<'r> {
    reader: &'r dyn Reader,
    store: LeanStore,
    batch: Batch,
    accounts: HashMap<AccountId, AccountCell>,
    identities: HashMap<IdentityId, IdentityRow>,
    shared: HashMap<SharedKey, i64>,
    proofs: BTreeMap<ProofKey, Proof>,
    merges: HashMap<EventSeq, (MemberId, Vec<IdentityId>)>,
    owners: HashMap<AccountId, (CampaignId, Person)>,
    groups: Vec<GroupId>,
}

impl<'r> Fold<'r> {
    /// Nothing yet, but the small tables as they are in the end. `head` tells which numbers are given out by then; `closes_boards` whether
    /// anybody wins a title.
    pub(super) fn new(reader: &'r dyn Reader, head: &Head, directory: &Directory, closes_boards: bool) -> Self {
        let head = Head { group: head.group, campaign: head.campaign, member: head.member, identity: head.identity, ..Head::default() };
        Fold {
            reader,
            store: LeanStore::beginning(head.clone(), directory.clone(), closes_boards),
            batch: Batch { head, ..Batch::default() },
            accounts: HashMap::new(),
            identities: HashMap::new(),
            shared: HashMap::new(),
            proofs: BTreeMap::new(),
            merges: HashMap::new(),
            owners: HashMap::new(),
            groups: Vec::new(),
        }
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, told: Told<'_>) -> Result<(), StoreError> {
        let row = told.row;
        self.groups.push(row.group);
        self.batch.head.event = row.seq;
        self.batch.head.posting = told.postings.last().map_or(self.batch.head.posting, |posting| posting.seq);
        if let Some((identity, _)) = &told.who {
            self.identities.entry(identity.id).or_insert_with(|| IdentityRow { member: None, ..identity.clone() });
        }
        if let (Some(id), true) = (row.account, row.record.is_stateful()) {
            self.account(id, &told)?;
        }
        self.leads(row);
        for claim in row.campaign.iter().flat_map(|_| &row.record.claims) {
            let key = SharedKey { campaign: row.campaign.unwrap_or_default(), name: claim.name.clone(), number: claim.number };
            *self.shared.entry(key).or_default() += claim.taken;
        }
        for (key, change) in proof::changes(row) {
            let now = proof::after(self.proofs.get(&key).copied(), key, change, row.seq);
            self.proofs.insert(key, now);
        }
        if !self.batch.rules.iter().any(|(hash, _)| *hash == row.rules) {
            self.batch.rules.push((row.rules, told.rules.clone()));
        }
        let key = match row.record.outcome {
            Outcome::Unparked { of, .. } => unparked_key(&told.corp, of),
            Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::Parked(_) | Outcome::Failed(_) | Outcome::TwinOf(_) => told.key,
        };
        self.batch.events.push(NewEvent { key, row: row.clone(), encoded: encode_record(&row.record), contents: None });
        self.batch.postings.extend_from_slice(told.postings);
        if self.batch.events.len() == EVENTS_PER_BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn account(&mut self, id: AccountId, told: &Told<'_>) -> Result<(), StoreError> {
        let row = told.row;
        if !self.accounts.contains_key(&id) {
            let key = self.reader.earner(id)?.map(|(key, _)| key).ok_or_else(|| StoreError::Corrupt(format!("没有账户 {id}。请运行 jifen verify")))?;
            self.accounts.insert(id, AccountCell { id, key, ..AccountCell::default() });
        }
        let Some(cell) = self.accounts.get_mut(&id) else { return Ok(()) };
        cell.apply(Occurrence { seq: row.seq, at: row.at, day: row.day }, &row.record, told.postings);
        // Others than its owner may take a message back; what a merge takes from an account is told by an id that leads elsewhere by then.
        let is_owner = &*row.kind != "recalled" && !matches!(row.record.deed, Some(Deed::Transferred { out: true, .. }));
        if let (Some((identity, person)), true) = (&told.who, is_owner) {
            let (campaign, member) = (cell.key.campaign, cell.key.member);
            self.owners.entry(id).or_insert((campaign, *person));
            self.identities.entry(identity.id).and_modify(|row| row.member = Some(member));
        }
        Ok(())
    }

    /// Whom ids lead to after a merge, or after one was taken back.
    fn leads(&mut self, row: &EventRow) {
        let (member, ids) = match &row.record.deed {
            Some(Deed::Merged { from, into, identities }) => {
                self.merges.insert(row.seq, (*from, identities.clone()));
                (*into, identities.clone())
            }
            Some(Deed::Unmerged { merge }) => match self.merges.get(merge) {
                Some((from, identities)) => (*from, identities.clone()),
                None => return,
            },
            Some(Deed::Joined | Deed::Left | Deed::Happened { .. } | Deed::Due { .. } | Deed::Willed | Deed::Listed { .. } | Deed::Transferred { .. })
            | None => {
                return;
            }
        };
        for id in ids {
            self.identities.entry(id).and_modify(|row| row.member = Some(member));
        }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let next = Batch { head: self.batch.head.clone(), ..Batch::default() };
        let batch = std::mem::replace(&mut self.batch, next);
        self.store.begin()?;
        self.store.commit(&batch)
    }

    /// The world as all this left it.
    pub(super) fn finish(mut self, directory: &Directory) -> Result<Beginning, StoreError> {
        let mut accounts: Vec<AccountCell> = self.accounts.drain().map(|(_, cell)| cell).collect();
        accounts.sort_by_key(|cell| cell.id);
        let corps: BTreeMap<MemberId, CorpName> = self.identities.values().filter_map(|row| Some((row.member?, row.corp.clone()))).collect();
        self.batch.members = corps.into_iter().map(|(id, corp)| MemberRow { id, corp, name: None }).collect();
        self.batch.head.account = accounts.last().map_or(AccountId(0), |cell| cell.id);
        self.batch.hidden = accounts.iter().filter(|cell| is_hidden(&cell.state)).map(|cell| (cell.id, true)).collect();
        self.batch.accounts = accounts;
        self.batch.identities = self.identities.drain().map(|(_, row)| row).collect();
        self.batch.identities.sort_by_key(|row| row.id);
        self.batch.shared = self.shared.drain().collect();
        self.batch.proofs = std::mem::take(&mut self.proofs).into_iter().collect();
        self.write()?;
        let Head { event, posting, .. } = self.batch.head;
        Ok(Beginning { store: self.store, event, posting, directory: directory.clone(), owners: self.owners, groups: self.groups })
    }
}
