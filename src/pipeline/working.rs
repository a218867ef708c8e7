//! The working set of a batch: what was loaded, what the events decided so far have changed, what will be written.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use crate::failpoint;
use crate::model::act::Act;
use crate::model::cells::{AccountCell, AccountKey, AccountState, Occurrence};
use crate::model::claim::Claim;
use crate::model::day::{Calendar, Day};
use crate::model::decision::{Decision, Outcome, Parking, Question, Record};
use crate::model::event::{Event, GroupKind, Identity, Kind, Place};
use crate::model::ids::{CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, MemberId, SourceId};
use crate::model::journal::{EventRow, GroupRow, Posting};
use crate::rules::board::is_hidden;
use crate::rules::campaign::Balance;
use crate::rules::coverage::{Coverage, covers};
use crate::rules::decide::{decide, hear};
use crate::rules::versions::Versions;
use crate::rules::{Facts, Prepared, Shared, answer, grant, share};
use crate::store::codec::encode_record;
use crate::store::proof::{Proof, ProofKey};
use crate::store::waiting::{UNPARKED, unparked_key};
use crate::store::{Batch, Directory, Head, IdentityRow, MemberRow, NewEvent, Person, PersonKey, RulesChange, SharedKey, Store, StoreError, Wants};

use super::batch::Context;
use super::command::Told;
use super::late::Decided;
use super::proofs::Looks;
use super::twin::Asked;
use super::{recall, unpark};

/// An event with where it belongs.
pub(super) struct Heard<'w> {
    pub(super) prepared: Cow<'w, Prepared>,
    pub(super) source: SourceId,
    pub(super) group: GroupId,
    pub(super) coverage: Coverage,
    pub(super) campaign: Option<CampaignId>,
    pub(super) person: Option<PersonKey>,
    /// The waiting event that is decided again.
    pub(super) of: Option<EventSeq>,
    /// What a message of an operator wants done.
    pub(super) told: Option<Told>,
    /// It is left out if one of these is in the batch before it.
    pub(super) unless: Vec<EventKey>,
}

impl Heard<'_> {
    /// The key it is kept under.
    fn key(&self) -> EventKey {
        let event = &self.prepared.event;
        self.of.map_or_else(|| event.key.clone(), |of| unparked_key(&event.corp, of))
    }

    pub(super) fn asks_everywhere(&self) -> bool {
        self.prepared.event.place == Place::Single
            && self.prepared.traits.as_ref().is_some_and(|traits| traits.question.is_some_and(|question| question != Question::Help))
    }
}

/// The working set.
pub(super) struct Working<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) directory: &'a mut Directory,
    pub(super) asked: &'a mut Asked,
    pub(super) looks: &'a mut Looks,
    /// Pictures and links as this batch leaves them.
    pub(super) proofs: HashMap<ProofKey, Proof>,
    pub(super) batch: Batch,
    pub(super) people: HashMap<PersonKey, Person>,
    pub(super) accounts: HashMap<AccountKey, AccountCell>,
    pub(super) touched: HashSet<AccountKey>,
    pub(super) identities: HashMap<IdentityId, IdentityRow>,
    pub(super) members: HashMap<MemberId, MemberRow>,
    /// The events of this batch so far.
    pub(super) booked: HashMap<EventKey, EventSeq>,
    /// Committed counterparts: a message's recall, a recall's message.
    pub(super) counterparts: HashMap<EventKey, EventSeq>,
    pub(super) versions: Versions,
    /// What members share, as far as this batch may ask for it, by campaign.
    pub(super) shared: HashMap<CampaignId, HashMap<(Arc<str>, i64), i64>>,
    /// What of it this batch took.
    claimed: BTreeSet<SharedKey>,
}

impl<'a> Working<'a> {
    pub(super) fn new(head: Head, context: &'a Context<'a>, directory: &'a mut Directory, asked: &'a mut Asked, looks: &'a mut Looks) -> Self {
        Working {
            context,
            directory,
            asked,
            looks,
            proofs: HashMap::new(),
            batch: Batch { head, ..Batch::default() },
            people: HashMap::new(),
            accounts: HashMap::new(),
            touched: HashSet::new(),
            identities: HashMap::new(),
            members: HashMap::new(),
            booked: HashMap::new(),
            counterparts: HashMap::new(),
            versions: Versions::default(),
            shared: HashMap::new(),
            claimed: BTreeSet::new(),
        }
    }

    /// Finds the group and the campaign of an event, and prepares it again if other rules are live by now.
    pub(super) fn place<'w>(&mut self, mut prepared: Cow<'w, Prepared>) -> Heard<'w> {
        let rules = self.context.rules;
        if prepared.rules.hash != rules.hash {
            prepared = Cow::Owned(hear(rules, prepared.event.clone(), self.context.fingerprints));
        }
        let source = self.source(&prepared.event);
        let group = self.group(&prepared.event);
        let title = self.title(&prepared.event);
        if let (Some(title), Place::Group { title: None, .. }) = (&title, &prepared.event.place) {
            // The channel did not tell the group's name; another one had told it before.
            if let Place::Group { title: told, .. } = &mut prepared.to_mut().event.place {
                *told = Some(title.clone());
            }
        }
        let event = &prepared.event;
        let known = |name: &str| self.directory.groups.iter().any(|((corp, _), group)| *corp == event.corp && group.title.as_deref() == Some(name));
        let coverage = covers(rules, &event.place, title.as_deref(), &known);
        let campaign = match coverage {
            Coverage::Campaign(at) => Some(self.campaign(&prepared.event.corp, at)),
            Coverage::None | Coverage::Unresolved => None,
        };
        let person = prepared
            .event
            .who
            .as_ref()
            .map(|who| PersonKey { corp: prepared.event.corp.clone(), identity: Identity { kind: who.kind, value: who.folded().into() } });
        Heard { prepared, source, group, coverage, campaign, person, of: None, told: None, unless: Vec::new() }
    }

    pub(super) fn title(&self, event: &Event) -> Option<Arc<str>> {
        let key = (event.corp.clone(), event.place.chat()?.clone());
        self.directory.groups.get(&key)?.title.clone()
    }

    pub(super) fn group(&mut self, event: &Event) -> GroupId {
        let (chat, kind, title) = match &event.place {
            Place::Group { chat, kind, title } => (chat, *kind, title),
            Place::Books { chat: Some(chat), .. } => (chat, GroupKind::Internal, &None),
            Place::Single | Place::Books { chat: None, .. } => return GroupId::NONE,
        };
        let key = (event.corp.clone(), chat.clone());
        let known = self.directory.groups.get(&key);
        let row = match known {
            Some(row) if title.is_none() || row.title == *title => return row.id,
            Some(row) => GroupRow { title: title.clone(), kind, ..row.clone() },
            None => {
                self.batch.head.group += 1;
                GroupRow { id: GroupId(self.batch.head.group), chat: chat.clone(), title: title.clone(), kind }
            }
        };
        let id = row.id;
        self.batch.groups.retain(|(_, other)| other.id != id);
        self.batch.groups.push((event.corp.clone(), row.clone()));
        self.directory.groups.insert(key, row);
        id
    }

    fn source(&mut self, event: &Event) -> SourceId {
        self.source_named(event.corp.clone(), event.key.channel())
    }

    /// The number of a source, given now if it is new.
    pub(super) fn source_named(&mut self, corp: CorpName, name: Arc<str>) -> SourceId {
        let key = (corp, name);
        if let Some(id) = self.directory.sources.get(&key) {
            return *id;
        }
        let id = SourceId(self.directory.sources.len() as i64 + 1);
        self.batch.sources.push((id, key.0.clone(), key.1.clone()));
        self.directory.sources.insert(key, id);
        id
    }

    pub(super) fn campaign(&mut self, corp: &CorpName, at: usize) -> CampaignId {
        let name = &self.context.rules.campaigns[at].id;
        let key = (corp.clone(), name.clone());
        if let Some(id) = self.directory.campaigns.get(&key) {
            return *id;
        }
        self.batch.head.campaign += 1;
        let id = CampaignId(self.batch.head.campaign);
        self.batch.campaigns.push((id, corp.clone(), name.clone()));
        self.directory.campaigns.insert(key, id);
        id
    }

    pub(super) fn load_people<S: Store>(&mut self, store: &mut S, heard: &[(usize, Heard<'_>)]) -> Result<(), StoreError> {
        let mut people: Vec<PersonKey> = heard.iter().filter_map(|(_, heard)| heard.person.clone()).collect();
        people.sort();
        people.dedup();
        self.people = store.load(&Wants { people, ..Wants::default() })?.people;
        Ok(())
    }

    pub(super) fn load_accounts<S: Store>(&mut self, store: &mut S, heard: &[(usize, Heard<'_>)]) -> Result<(), StoreError> {
        let mut wants = Wants::default();
        for (_, heard) in heard {
            let Some(member) = heard.person.as_ref().and_then(|person| self.people.get(person)).and_then(|person| person.member) else { continue };
            wants.accounts.extend(self.account_key(heard, member));
            if heard.asks_everywhere() {
                wants.accounts_of.push(member);
            }
        }
        if wants.accounts.is_empty() && wants.accounts_of.is_empty() {
            return Ok(());
        }
        wants.accounts.sort();
        wants.accounts.dedup();
        wants.accounts_of.sort();
        wants.accounts_of.dedup();
        self.accounts = store.load(&wants)?.accounts;
        Ok(())
    }

    /// Asks how much is taken of what members share and these events may want.
    pub(super) fn load_shared<S: Store>(&mut self, store: &mut S, heard: &[(usize, Heard<'_>)]) -> Result<(), StoreError> {
        let mut shared: Vec<SharedKey> = Vec::new();
        for (_, heard) in heard {
            let (Coverage::Campaign(at), Some(campaign)) = (heard.coverage, heard.campaign) else { continue };
            let rules = self.context.rules;
            let mut wants = share::wants(rules, &rules.campaigns[at], &heard.prepared, heard.group);
            if let Kind::Did(act) = &heard.prepared.event.kind {
                wants.extend(grant::wants(rules, act, rules.campaigns[at].calendar.day(heard.prepared.event.at), self.actor(heard)));
            }
            shared.extend(wants.into_iter().map(|(name, number)| SharedKey { campaign, name, number }));
        }
        if shared.is_empty() {
            return Ok(());
        }
        shared.sort();
        shared.dedup();
        let loaded = store.load(&Wants { shared, ..Wants::default() })?.shared;
        for (key, taken) in loaded {
            self.shared.entry(key.campaign).or_default().insert((key.name, key.number), taken);
        }
        Ok(())
    }

    /// What is known of what members share where an event is decided.
    pub(super) fn shared(&self, heard: &Heard<'_>) -> Shared<'_> {
        static NOTHING: LazyLock<HashMap<(Arc<str>, i64), i64>> = LazyLock::new(HashMap::new);
        Shared::Taken(heard.campaign.and_then(|campaign| self.shared.get(&campaign)).unwrap_or(&NOTHING))
    }

    /// Takes what a decision claims.
    pub(super) fn claim(&mut self, campaign: Option<CampaignId>, claims: &[Claim]) {
        for claim in claims {
            let Some(campaign) = campaign else { continue };
            *self.shared.entry(campaign).or_default().entry((claim.name.clone(), claim.number)).or_default() += claim.taken;
            self.claimed.insert(SharedKey { campaign, name: claim.name.clone(), number: claim.number });
        }
    }

    pub(super) fn account_key(&self, heard: &Heard<'_>, member: MemberId) -> Option<AccountKey> {
        let Coverage::Campaign(at) = heard.coverage else { return None };
        let group = match self.context.rules.campaigns[at].balance {
            Balance::Shared => GroupId::NONE,
            Balance::PerGroup => heard.group,
        };
        Some(AccountKey { campaign: heard.campaign?, group, member })
    }

    /// Asks for each message whether it was taken back already, and for each recall where its message stands.
    pub(super) fn load_counterparts<S: Store>(&mut self, store: &mut S, heard: &[(usize, Heard<'_>)]) -> Result<(), StoreError> {
        let keys: Vec<EventKey> = heard.iter().filter_map(|(_, heard)| recall::counterpart(&heard.prepared.event)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let known = store.admit(&keys)?;
        self.counterparts = keys.into_iter().zip(known).filter_map(|(key, seq)| Some((key, seq?))).collect();
        Ok(())
    }

    pub(super) fn counterpart(&self, event: &Event) -> Option<EventSeq> {
        let key = recall::counterpart(event)?;
        self.booked.get(&key).or_else(|| self.counterparts.get(&key)).copied()
    }

    /// Decides one event and takes everything that follows into the batch and the working set.
    pub(super) fn book<S: Store>(&mut self, store: &mut S, heard: &Heard<'_>) -> Result<(), StoreError> {
        let event = &heard.prepared.event;
        self.batch.head.event.0 += 1;
        let seq = self.batch.head.event;
        let calendar = self.calendar(heard);
        let occurrence = Occurrence { seq, at: event.at, day: calendar.map_or(Day(0), |calendar| calendar.day(event.at)) };
        let identity = heard.person.as_ref().map(|person| self.identity(event, person));
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide_in_time(store, heard, occurrence)));
        let Decided { mut decision, key } = decided.unwrap_or_else(|panic| Err(StoreError::Corrupt(super::panic_text(panic.as_ref()))))?;
        decision.record.order = event.key.key.order();
        heard.of.into_iter().for_each(|of| unpark::sign(&mut decision, of));
        self.announce_waiting(heard, seq, &mut decision);
        self.tell_commands(heard, &mut decision);
        let stateful = decision.record.is_stateful();
        let key = if stateful && key.is_none() { self.open_account(heard) } else { key };
        let before = key.and_then(|key| self.accounts.get(&key));
        let prev = before.filter(|_| stateful).map(|cell| cell.last_event).filter(|seq| seq.0 > 0);
        let account = before.map(|cell| cell.id);
        if let (true, Some(cell), Some(calendar)) = (stateful, before, calendar) {
            let begins_day = prev.is_none() || calendar.day(cell.frontier) < occurrence.day;
            decision.record.snapshot = begins_day.then(|| Box::new(AccountState { lots: Vec::new(), ..cell.state.clone() }));
        }
        self.claim(heard.campaign, &decision.record.claims);
        let points_only = self.context.points_only;
        let is_history = stateful || decision.record.deed.is_some();
        let encoded = if points_only && !is_history { Vec::new() } else { encode_record(&decision.record) };
        let mut postings = self.postings(heard, &decision, account, seq);
        if !points_only {
            self.replies(heard, &mut decision, seq);
        }
        let row = EventRow {
            seq,
            at: event.at,
            received_at: event.received_at,
            day: occurrence.day,
            source: Some(heard.source),
            identity,
            account,
            group: heard.group,
            campaign: heard.campaign,
            kind: heard.of.map_or(event.kind.as_str(), |_| UNPARKED).into(),
            rules: self.context.rules.hash,
            prev,
            first_posting: postings.first().map(|posting| posting.seq),
            record: decision.record,
        };
        if !points_only {
            self.batch.head.chain.cover(&row, &encoded);
        }
        if !points_only && !postings.is_empty() {
            self.batch.head.chain.seal(event.at, self.context.rules.hash, &mut postings);
        }
        if let (true, Some(key)) = (stateful, key) {
            self.apply(key, occurrence, &row.record, &postings);
        }
        self.batch.postings.extend(postings);
        self.take_proofs(store, &row)?;
        self.batch.rules_changes.extend(rules_change(event, &row));
        // The contents of a waiting event stay with it.
        let contents = if heard.of.is_some() || points_only { None } else { contents(&event.kind) };
        self.batch.events.push(NewEvent { key: heard.key(), row, encoded, contents });
        self.booked.insert(heard.key(), seq);
        Ok(())
    }

    /// Does to an account what was decided for it.
    pub(super) fn apply(&mut self, key: AccountKey, occurrence: Occurrence, record: &Record, postings: &[Posting]) {
        let Some(cell) = self.accounts.get_mut(&key) else { return };
        let was_hidden = is_hidden(&cell.state);
        cell.apply(occurrence, record, postings);
        let hidden = is_hidden(&cell.state);
        self.batch.hidden.extend((hidden != was_hidden).then_some((cell.id, hidden)));
        self.touched.insert(key);
    }

    pub(super) fn calendar(&self, heard: &Heard<'_>) -> Option<&'a Calendar> {
        let campaigns = &self.context.rules.campaigns;
        match heard.coverage {
            Coverage::Campaign(at) => Some(&campaigns[at].calendar),
            Coverage::None | Coverage::Unresolved => campaigns.first().map(|campaign| &campaign.calendar),
        }
    }

    pub(super) fn decide(&self, heard: &Heard<'_>, key: Option<AccountKey>) -> Decision {
        if let Some(reason) = &self.context.failed {
            return outcome(Outcome::Failed(reason.clone()));
        }
        if let Some(told) = &heard.told {
            return self.answer_command(heard, told);
        }
        let at = match heard.coverage {
            Coverage::Campaign(at) => Some(at),
            Coverage::None => None,
            Coverage::Unresolved => return self.park(heard),
        };
        let person = heard.person.as_ref().and_then(|person| self.people.get(person));
        let others = self.others(heard, person.and_then(|person| person.member));
        let facts = Facts {
            name: self.name(heard, person),
            account: key.and_then(|key| self.accounts.get(&key)),
            others: &others,
            shared: self.shared(heard),
            group: heard.group,
            actor: self.actor(heard),
            again: false,
        };
        let decision = decide(self.context.rules, at, &heard.prepared, &facts);
        failpoint::hit_on("rules.matched", said(&heard.prepared.event.kind));
        decision
    }

    /// Keyed hash of the operator who does it; 0 where nobody does.
    fn actor(&self, heard: &Heard<'_>) -> u64 {
        match &heard.prepared.event.kind {
            Kind::Did(Act::Granted { by, .. }) => self.context.fingerprints.of(&by.to_lowercase()),
            Kind::Did(_) | Kind::Said(_) | Kind::Recalled { .. } | Kind::Unknown { .. } => 0,
        }
    }

    fn park(&self, heard: &Heard<'_>) -> Decision {
        let person = heard.person.as_ref().and_then(|person| self.people.get(person));
        let replies = answer::unresolved(&heard.prepared, self.name(heard, person)).into_iter().collect();
        Decision { replies, ..outcome(Outcome::Parked(Parking::GroupUnknown)) }
    }

    pub(super) fn others(&self, heard: &Heard<'_>, member: Option<MemberId>) -> Vec<(usize, &AccountCell)> {
        let (true, Some(member)) = (heard.asks_everywhere(), member) else { return Vec::new() };
        let corp = &heard.prepared.event.corp;
        let mut others: Vec<(usize, &AccountCell)> = Vec::new();
        for (at, campaign) in self.context.rules.campaigns.iter().enumerate() {
            let Some(id) = self.directory.campaigns.get(&(corp.clone(), campaign.id.clone())) else { continue };
            others.extend(self.accounts.values().filter(|cell| cell.key.member == member && cell.key.campaign == *id).map(|cell| (at, cell)));
        }
        others.sort_by_key(|(at, cell)| (*at, cell.id));
        others
    }

    pub(super) fn finish(mut self) -> Batch {
        self.batch.identities = self.identities.into_values().collect();
        self.batch.identities.sort_by_key(|row| row.id);
        self.batch.members = self.members.into_values().collect();
        self.batch.members.sort_by_key(|row| row.id);
        let accounts = &mut self.accounts;
        self.batch.accounts = self.touched.iter().filter_map(|key| accounts.remove(key)).collect();
        self.batch.accounts.sort_by_key(|cell| cell.id);
        let taken = |key: &SharedKey| self.shared.get(&key.campaign)?.get(&(key.name.clone(), key.number)).copied();
        self.batch.proofs = self.proofs.drain().collect();
        self.batch.proofs.sort_by_key(|(key, _)| *key);
        self.batch.shared = self.claimed.iter().filter_map(|key| Some((key.clone(), taken(key)?))).collect();
        self.batch
    }
}

/// A decision that is only an outcome.
pub(super) fn outcome(outcome: Outcome) -> Decision {
    Decision { record: Record { outcome, ..Record::default() }, ..Decision::default() }
}

/// The text of a message; empty for everything else.
fn said(kind: &Kind) -> &str {
    match kind {
        Kind::Said(said) => &said.text,
        Kind::Unknown { .. } | Kind::Did(_) | Kind::Recalled { .. } => "",
    }
}

/// What is written down of another rules.toml that went live or was refused.
fn rules_change(event: &Event, row: &EventRow) -> Option<RulesChange> {
    let Kind::Did(Act::RulesChanged { by, accepted, told }) = &event.kind else { return None };
    Some(RulesChange { event: row.seq, at: row.at, rules: row.rules, by: by.clone(), accepted: *accepted, told: told.clone() })
}

/// What is kept, sealed, of an event's contents.
fn contents(kind: &Kind) -> Option<Vec<u8>> {
    match kind {
        Kind::Said(said) => serde_json::to_vec(said).ok(),
        Kind::Unknown { raw, .. } => Some(raw.clone().into_bytes()),
        Kind::Did(Act::Joined | Act::Left | Act::Due { .. } | Act::Counted { .. }) | Kind::Recalled { .. } => None,
        Kind::Did(
            act @ (Act::Happened { .. }
            | Act::JoinedBy { .. }
            | Act::OrderPaid { .. }
            | Act::Granted { .. }
            | Act::Opened { .. }
            | Act::Reinstated { .. }
            | Act::Listed { .. }
            | Act::Reviewed { .. }
            | Act::RulesChanged { .. }
            | Act::TakenBack { .. }),
        ) => serde_json::to_vec(act).ok(),
    }
}
