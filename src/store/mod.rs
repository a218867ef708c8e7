//! Remember: the journal, the ledger and the caches over them, behind two small traits.
//!
//! [`Store`] is the one writer's side: a batch is `begin`, `admit`, `load`, `commit`. [`Reader`] is everybody else's:
//! pages, exports, the outbox, `verify`. SQLite is the default; `memory` serves tests and everything that decides again.

pub mod codec;
pub mod vault;
pub mod memory;
pub mod lean;
pub mod sqlite;
pub mod walk;
pub mod waiting;
pub mod aftermath;
pub mod proof;
pub mod merged;
pub mod overlay;
pub mod state_then;

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::{Day, Millis};
use crate::model::decision::Chart;
use crate::model::event::{Channel, Identity, Look, Place};
use crate::model::ids::{
    AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq, ReplyId, RulesHash, SourceId,
};
use crate::model::journal::{AccountRef, Chain, EventRow, GroupRow, Posting};
use crate::model::reply::Reply;
use crate::model::wish::Wish;
use crate::store::proof::{Proof, ProofKey};

/// Most replies one event may leave: their ids are `event × 16 + place`, so that an event's replies are found without an index.
pub const REPLIES_PER_EVENT_MAX: usize = 16;

/// The id of the n-th reply of an event.
pub fn reply_id(event: EventSeq, place: usize) -> ReplyId {
    ReplyId(event.0 * REPLIES_PER_EVENT_MAX as i64 + place as i64)
}

/// The last number given out of each kind, and the head of the chain. Read when a batch begins, written with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Newest event.
    pub event: EventSeq,
    /// Newest posting.
    pub posting: PostingSeq,
    /// Newest account.
    pub account: AccountId,
    /// Newest member.
    pub member: MemberId,
    /// Newest identity.
    pub identity: IdentityId,
    /// Newest group number.
    pub group: i64,
    /// Newest campaign number.
    pub campaign: i64,
    /// The hash chain.
    pub chain: Chain,
}

/// The small tables that a writer keeps in memory while it is the last one who wrote.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Directory {
    /// Groups by corp and chat id.
    pub groups: HashMap<(CorpName, Arc<str>), GroupRow>,
    /// Campaigns by corp and id.
    pub campaigns: HashMap<(CorpName, Arc<str>), CampaignId>,
    /// Sources by corp and name ([`EventKey::channel`]); numbered from 1 without gaps.
    pub sources: HashMap<(CorpName, Arc<str>), SourceId>,
}

impl Directory {
    /// Where an event of this group happened; `None` for a group that is not there.
    pub fn place(&self, group: GroupId) -> Option<Place> {
        if group == GroupId::NONE {
            return Some(Place::Single);
        }
        let row = self.groups.values().find(|row| row.id == group)?;
        Some(Place::Group { chat: row.chat.clone(), kind: row.kind, title: row.title.clone() })
    }
}

/// A person by an outside id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey {
    /// The corp.
    pub corp: CorpName,
    /// The id, folded where its kind is folded ([`Identity::folded`]) — two spellings of one userid are one person.
    pub identity: Identity,
}

/// What is known of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number of the outside id.
    pub identity: IdentityId,
    /// The member it leads to, once something was earned.
    pub member: Option<MemberId>,
    /// The member's name, when a channel told it.
    pub name: Option<Arc<str>>,
}

/// What a batch wants to know, each list sorted and without repeats.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Persons. Fold the identity before asking.
    pub people: Vec<PersonKey>,
    /// Accounts by name.
    pub accounts: Vec<AccountKey>,
    /// Every account of these members.
    pub accounts_of: Vec<MemberId>,
    /// Every outside id of these members.
    pub identities_of: Vec<MemberId>,
    /// How much is taken of what members share.
    pub shared: Vec<SharedKey>,
}

/// Something that the members of a campaign share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SharedKey {
    /// The campaign.
    pub campaign: CampaignId,
    /// What it is: `budget/check_in.daily`.
    pub name: Arc<str>,
    /// Which one of these.
    pub number: i64,
}

/// What the store knew; absent means unknown.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// Persons found.
    pub people: HashMap<PersonKey, Person>,
    /// Accounts found.
    pub accounts: HashMap<AccountKey, AccountCell>,
    /// How much is taken, where anything is.
    pub shared: HashMap<SharedKey, i64>,
    /// Outside ids found, by number.
    pub identities: Vec<IdentityRow>,
}

/// Everything one batch writes, in one transaction. Lists are in ascending order of their keys.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The head after this batch.
    pub head: Head,
    /// Rules first used here.
    pub rules: Vec<(RulesHash, Arc<str>)>,
    /// New campaigns.
    pub campaigns: Vec<(CampaignId, CorpName, Arc<str>)>,
    /// Sources first heard here.
    pub sources: Vec<(SourceId, CorpName, Arc<str>)>,
    /// New or renamed groups.
    pub groups: Vec<(CorpName, GroupRow)>,
    /// New outside ids, and known ones that now lead to a member.
    pub identities: Vec<IdentityRow>,
    /// New or renamed members.
    pub members: Vec<MemberRow>,
    /// Touched accounts, whole, each once.
    pub accounts: Vec<AccountCell>,
    /// How much is taken by now of what members share.
    pub shared: Vec<(SharedKey, i64)>,
    /// Events with their keys and contents.
    pub events: Vec<NewEvent>,
    /// Postings.
    pub postings: Vec<Posting>,
    /// Replies to send.
    pub replies: Vec<ReplyRow>,
    /// What is known of pictures and links that were sent as proof.
    pub proofs: Vec<(ProofKey, Proof)>,
    /// What became of replies. A reply that is closed already stays as it is; to claim such a one is refused.
    pub outcomes: Vec<ReplyOutcome>,
    /// What an operator wants with replies.
    pub overrules: Vec<Overrule>,
    /// From now on the outbox is held, or no longer: nothing is sent while it is.
    pub outbox_held: Option<bool>,
    /// Destroy the keys of texts received on days (UTC) before this instant's.
    pub erase_texts_before: Option<Millis>,
    /// Accounts that from now on stand on no board (`true`), or on them again; in order.
    pub hidden: Vec<(AccountId, bool)>,
    /// Versions of rules.toml that went live, or were refused.
    pub rules_changes: Vec<RulesChange>,
    /// What operators want of rules.toml. Not written: it is for who hears of the commit.
    pub wishes: Vec<Wish>,
    /// Write what a callback takes beside all this, to prove that there is room for one.
    pub probe: bool,
}

/// Another rules.toml went live, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesChange {
    /// The event that tells of it.
    pub event: EventSeq,
    /// When.
    pub at: Millis,
    /// The version that is live since then; of a refused one the version that stayed.
    pub rules: RulesHash,
    /// Who wanted it: an operator's id, or `rules.toml` for the file itself.
    pub by: Arc<str>,
    /// Whether it is live.
    pub accepted: bool,
    /// What the operators were told of it.
    pub told: Arc<str>,
}

/// An event to write.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its idempotency key.
    pub key: EventKey,
    /// The row.
    pub row: EventRow,
    /// `row.record` as it is stored (`codec::encode_record`), the bytes the chain covers.
    pub encoded: Vec<u8>,
    /// Its contents as JSON ([`crate::model::event::Said`], or the raw text of an unknown kind); sealed at rest, erasable.
    pub contents: Option<Vec<u8>>,
}

/// An outside id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityRow {
    /// Its number.
    pub id: IdentityId,
    /// The corp.
    pub corp: CorpName,
    /// The id as first seen.
    pub identity: Identity,
    /// The member it leads to.
    pub member: Option<MemberId>,
}

/// A person who earned something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    /// The number.
    pub id: MemberId,
    /// The corp.
    pub corp: CorpName,
    /// The name to show, when a channel told one.
    pub name: Option<Arc<str>>,
}

/// A reply as it waits in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyRow {
    /// Its number; ascends with its event.
    pub id: ReplyId,
    /// The event that caused it.
    pub event: EventSeq,
    /// The corp.
    pub corp: CorpName,
    /// The rules its text is written in.
    pub rules: RulesHash,
    /// Where it may go.
    pub destination: Destination,
    /// What it says.
    pub reply: Reply,
    /// When it was committed.
    pub created_at: Millis,
    /// Where it stands.
    pub state: ReplyState,
    /// Attempts so far.
    pub tries: u32,
    /// Why it stands there, for people (`45009 …`, `over 5 a minute in this group`); never a name, a text or a secret.
    pub reason: Option<Arc<str>>,
}

/// Where a reply may go. Personal data: stored sealed, erased with the reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The group's chat id; `None` for a single chat.
    pub chat: Option<Arc<str>>,
    /// The group has customers in it.
    pub customers: bool,
    /// Who caused it: the outside id to write to or to mention.
    pub to: Option<(crate::model::event::IdentityKind, Arc<str>)>,
    /// The name to show.
    pub name: Arc<str>,
    /// The campaign, by its id in rules.toml, for its texts and numbers.
    pub campaign: Option<Arc<str>>,
    /// The channel the event came by.
    pub channel: Channel,
    /// That channel's name in jifen.toml.
    pub channel_name: Arc<str>,
    /// The one-call address the event left.
    pub reply_url: Option<Arc<str>>,
}

/// Where a reply stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReplyState {
    /// To be sent.
    Waiting,
    /// Claimed; the request may be under way. The reason names the way it began with, none if it is sent for the second time.
    Sending,
    /// WeCom took it.
    Sent,
    /// WeCom, or we, refused for good.
    Refused,
    /// A request went out and no answer came back, for private messages twice; never sent again by itself.
    Unknown,
    /// Too old to be worth saying, or over the outbox's bound.
    Expired,
    /// Not to be sent: history, over the rate at which unasked answers are given, or said before.
    Suppressed,
}

impl ReplyState {
    /// All of them, each at the place of its number in the database.
    pub const ALL: [ReplyState; 7] =
        [ReplyState::Waiting, ReplyState::Sending, ReplyState::Sent, ReplyState::Refused, ReplyState::Unknown, ReplyState::Expired, ReplyState::Suppressed];

    /// Whether the outbox still has to do something.
    pub fn is_open(self) -> bool {
        matches!(self, ReplyState::Waiting | ReplyState::Sending)
    }

    /// The word used in exports and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplyState::Waiting => "waiting",
            ReplyState::Sending => "sending",
            ReplyState::Sent => "sent",
            ReplyState::Refused => "refused",
            ReplyState::Unknown => "unknown",
            ReplyState::Expired => "expired",
            ReplyState::Suppressed => "suppressed",
        }
    }
}

/// A step in a reply's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyOutcome {
    /// Which reply.
    pub id: ReplyId,
    /// Its new state.
    pub state: ReplyState,
    /// Attempts so far.
    pub tries: u32,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// The reason of a reply that an operator wants sent again, by which a running daemon knows it.
pub const RETRIED: &str = "已由 jifen outbox retry 重新排队";

/// An operator's step in a reply's life; taken only if the reply still stands where the operator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrule {
    /// Which reply.
    pub id: ReplyId,
    /// Where it stood.
    pub from: ReplyState,
    /// Where it is to stand.
    pub to: ReplyState,
    /// When it begins to grow old again; `None` to leave its age.
    pub renewed_at: Option<Millis>,
    /// Why.
    pub reason: Arc<str>,
}

/// What a posting did to a member's earnings, as boards read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earning {
    /// The posting.
    pub posting: PostingSeq,
    /// The event that booked it.
    pub event: EventSeq,
    /// Ledger code that says why.
    pub code: Arc<str>,
    /// The campaign.
    pub campaign: CampaignId,
    /// Whose; `None` for a posting that earns nothing and takes nothing back.
    pub account: Option<AccountId>,
    /// Points earned; below 0 when taken back.
    pub points: i64,
    /// The business day they belong to.
    pub day: Day,
    /// The group of the message that earned them.
    pub group: GroupId,
}

impl Earning {
    /// What a posting did, by the group of its message. Opening balances were earned elsewhere.
    pub fn of(posting: &Posting, group: GroupId) -> Earning {
        let earned = match (posting.src, posting.dst) {
            (AccountRef::System { campaign, chart: Chart::Issued | Chart::Adjusted }, AccountRef::Member(account)) => Some((campaign, account, posting.amount)),
            (AccountRef::Member(account), AccountRef::System { campaign, chart: Chart::Issued | Chart::Adjusted }) => {
                Some((campaign, account, -posting.amount))
            }
            (AccountRef::System { .. } | AccountRef::Member(_), AccountRef::System { .. } | AccountRef::Member(_)) => None,
        };
        let (campaign, account, points) = earned.map_or((CampaignId(0), None, 0), |(campaign, account, points)| (campaign, Some(account), points));
        Earning { posting: posting.seq, event: posting.event, code: posting.code.clone(), campaign, account, points, day: posting.day, group }
    }
}

/// A committed event as deciding it again needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// The event.
    pub row: EventRow,
    /// Its postings.
    pub postings: Vec<Posting>,
    /// Who caused it.
    pub identity: Option<Identity>,
}

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written and nothing will be; the same may be tried again (locked, disk full, read-only).
    #[error("{0}")]
    Aborted(String),
    /// Nobody knows whether it was written: stop, restart, ask for the event keys again. Never repeat the commit.
    #[error("{0}")]
    Unknown(String),
    /// The data is not what it must be (a constraint, a row that cannot be read).
    #[error("{0}")]
    Corrupt(String),
    /// The file is not what it must be: its pages do not hang together, or the disk does not give them back. Nothing was written.
    #[error("{0}")]
    Damaged(String),
}

/// The writer's side. One writer per database file; every call but `begin` is inside the batch that `begin` opened.
pub trait Store: Send {
    /// Opens a batch: takes the write lock and reads the head.
    fn begin(&mut self) -> Result<Head, StoreError>;
    /// The small tables, whole. Asked after `begin` when another writer was here in between.
    fn directory(&mut self) -> Result<Directory, StoreError>;
    /// For each key the event already known under it.
    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError>;
    /// Reads what is wanted.
    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError>;
    /// One account.
    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError>;
    /// One committed event, with its postings and who caused it: what deciding it again needs.
    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError>;
    /// What is known of a picture or link.
    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError>;
    /// The looks of the newest [`proof::LOOKS_MAX`] pictures of a campaign that show something new, oldest first, each with its number.
    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError>;
    /// The contents of an event, unsealed; `None` when it has none or they are erased.
    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError>;
    /// The outside ids of all members of a corp who bear this name. Looks through all names: for operators' commands only.
    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError>;
    /// The text of a rules.toml version.
    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError>;
    /// Writes the batch and makes it durable. On an error the batch is closed as well.
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError>;
    /// Closes the batch without writing.
    fn abort(&mut self);
    /// Whether another process may have committed since this was last asked. Asked outside a batch, every few seconds; cheap.
    fn disturbed(&mut self) -> Result<bool, StoreError>;
}

/// Everybody else's side: reads committed data, never blocks the writer.
pub trait Reader: Send {
    /// From now on every read sees this one moment, until [`Reader::thaw`]. For long walks (`verify`, exports) beside a running daemon.
    fn freeze(&self) -> Result<(), StoreError>;
    /// Reads see the newest commit again.
    fn thaw(&self);
    /// The head.
    fn head(&self) -> Result<Head, StoreError>;
    /// The small tables.
    fn directory(&self) -> Result<Directory, StoreError>;
    /// The text of a rules.toml version.
    fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError>;
    /// All versions of rules.toml that were ever live, in no order.
    fn rules_versions(&self) -> Result<Vec<RulesHash>, StoreError>;
    /// Up to `limit` changes of the rules before this event, newest first.
    fn rules_changes(&self, before: EventSeq, limit: usize) -> Result<Vec<RulesChange>, StoreError>;
    /// One event.
    fn event(&self, seq: EventSeq) -> Result<Option<EventRow>, StoreError>;
    /// Up to `limit` events from `from` on, ascending.
    fn events(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError>;
    /// Up to `limit` events from `from` on that could not be decided when they came (parked, failed), ascending.
    fn waiting(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError>;
    /// The key of an event, by its place and [`crate::model::decision::Record::order`].
    fn key_of(&self, event: EventSeq, order: u64) -> Result<Option<EventKey>, StoreError>;
    /// The contents of an event, unsealed; `None` when erased.
    fn contents(&self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError>;
    /// Events with this platform id, one per source.
    fn find_events(&self, key: KeyBytes) -> Result<Vec<(Arc<str>, EventSeq)>, StoreError>;
    /// Up to `limit` postings from `from` on, ascending.
    fn postings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Posting>, StoreError>;
    /// Up to `limit` idempotency keys after `after` (from the beginning with `None`), in an order of the store's own.
    fn keys(&self, after: Option<&EventKey>, limit: usize) -> Result<Vec<(EventKey, EventSeq)>, StoreError>;
    /// The postings of one event.
    fn postings_of(&self, event: EventSeq) -> Result<Vec<Posting>, StoreError>;
    /// What is known of a person (fold the identity before asking).
    fn person(&self, key: &PersonKey) -> Result<Option<Person>, StoreError>;
    /// One outside id.
    fn identity(&self, id: IdentityId) -> Result<Option<IdentityRow>, StoreError>;
    /// The outside ids of a member, oldest first.
    fn identities_of(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError>;
    /// The outside ids of all members of a corp who bear this name. Looks through all names.
    fn people_named(&self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError>;
    /// One member.
    fn member(&self, id: MemberId) -> Result<Option<MemberRow>, StoreError>;
    /// One account.
    fn account(&self, id: AccountId) -> Result<Option<AccountCell>, StoreError>;
    /// Every account of a member.
    fn accounts_of(&self, member: MemberId) -> Result<Vec<AccountCell>, StoreError>;
    /// Up to `limit` accounts after `after`, ascending.
    fn accounts(&self, after: AccountId, limit: usize) -> Result<Vec<AccountCell>, StoreError>;
    /// Up to `limit` pictures and links after `after` (from the beginning with `None`), by their keys in an order of the store's own.
    fn proofs(&self, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError>;
    /// How much is taken of everything that members share, in no order.
    fn shared(&self) -> Result<Vec<(SharedKey, i64)>, StoreError>;
    /// Up to `limit` replies from `from` on that are still open, ascending.
    fn open_replies(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError>;
    /// Up to `limit` ids of replies from `from` on that are still open, ascending: also of those that cannot be read.
    fn open_reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError>;
    /// Up to `limit` ids of replies from `from` on, in whatever state, ascending.
    fn reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError>;
    /// Whether nothing may be said until an operator lets the outbox go: some history is gone, and what was said in it is not known.
    fn outbox_held(&self) -> Result<bool, StoreError>;
    /// The replies of one event; those whose contents were erased are left out, here and wherever replies are read.
    fn replies_of(&self, event: EventSeq) -> Result<Vec<ReplyRow>, StoreError>;
    /// One reply, in whatever state.
    fn reply(&self, id: ReplyId) -> Result<Option<ReplyRow>, StoreError>;
    /// Up to `limit` replies before `before`, in whatever state, newest first; those that cannot be read are left out.
    fn replies_before(&self, before: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError>;
    /// What up to `limit` postings from `from` on did to their members' earnings, one for each, ascending.
    fn earnings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Earning>, StoreError>;
    /// The accounts that stand on no board, ascending.
    fn hidden(&self) -> Result<Vec<AccountId>, StoreError>;
    /// The first event from `from` on that was sent at `at` or later.
    fn first_sent_since(&self, from: EventSeq, at: Millis) -> Result<Option<EventSeq>, StoreError>;
    /// Whose an account is and what it ever earned, without reading its state; `None` for one that is not there.
    fn earner(&self, id: AccountId) -> Result<Option<(AccountKey, i64)>, StoreError>;
}
