//! The journal: events and postings as they are booked, and the hash chain over them.
//!
//! The chain has one link for each event that moved points:
//!
//! ```text
//! link  = SHA-256(previous link (32 bytes) ‖ canonical form of the event's postings ‖ digest)
//! digest = SHA-256 over the rows and records of all events since the previous link, this one included
//! ```
//!
//! so every decision is covered once the next posting is booked. A row is covered as: seq · at · received_at · day · identity ·
//! account · group · campaign · prev (8 bytes each) · rules (16 bytes) · length of kind · kind · the record as it is stored. The canonical form, version 1, per posting, integers
//! big-endian, 8 bytes each:
//!
//! ```text
//! version · seq · event · ord · at · src · src part · dst · dst part · amount · day · vests_on · expires_on · reverses
//! · slot event · rules (16 bytes) · SHA-256 of the code (its first 16 bytes)                    (absent = i64::MIN)
//! ```
//!
//! It covers ids of our own, amounts, days, codes and rules hashes; never a text, a name or an outside id.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::day::{Day, Millis};
use super::decision::{Chart, Part, Record};
use super::event::GroupKind;
use super::ids::{AccountId, CampaignId, EventSeq, GroupId, IdentityId, PostingSeq, RulesHash, SourceId};

/// Points moved between two accounts, as booked: never changed, only reversed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// Its place in the ledger.
    pub seq: PostingSeq,
    /// The event that booked it.
    pub event: EventSeq,
    /// Its place among the event's postings, from 0.
    pub ord: u32,
    /// Ledger code that says why.
    pub code: Arc<str>,
    /// Where the points came from.
    pub src: AccountRef,
    /// Which part of it.
    pub src_part: Part,
    /// Where they went.
    pub dst: AccountRef,
    /// Which part of it.
    pub dst_part: Part,
    /// How many; 1..=2⁵³−1.
    pub amount: i64,
    /// The business day they belong to.
    pub day: Day,
    /// First day they may be spent; `None` at once.
    pub vests_on: Option<Day>,
    /// First day they are gone; `None` never.
    pub expires_on: Option<Day>,
    /// The posting this one takes back.
    pub reverses: Option<PostingSeq>,
    /// The message that earned them, where it is not `event` (a repair).
    pub slot_event: Option<EventSeq>,
    /// Link of the chain after this posting's event, cut to 16 bytes.
    pub link: [u8; 16],
    /// The digest that went into the link, cut to 16 bytes; lets an exported ledger be proved without the journal.
    pub digest: [u8; 16],
}

impl Posting {
    /// Whether the receiver earned these points (they count towards its lifetime).
    pub fn earns(&self) -> bool {
        matches!(self.src, AccountRef::System { chart: Chart::Issued | Chart::Adjusted | Chart::Opening, .. })
    }

    /// Whether the sender loses points it had earned (a reversal or correction).
    pub fn unearns(&self) -> bool {
        matches!(self.dst, AccountRef::System { chart: Chart::Issued | Chart::Adjusted | Chart::Opening, .. })
    }
}

/// One side of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountRef {
    /// A member's account.
    Member(AccountId),
    /// A system account of a campaign.
    System {
        /// The campaign.
        campaign: CampaignId,
        /// Which one.
        chart: Chart,
    },
}

/// Room for system accounts of one campaign in the stored number.
const CHARTS_PER_CAMPAIGN: i64 = 100;

impl AccountRef {
    /// One signed number for both: an account's id, or `-(campaign × 100 + chart)`.
    pub fn to_number(self) -> i64 {
        match self {
            AccountRef::Member(id) => id.0,
            AccountRef::System { campaign, chart } => -(campaign.0 * CHARTS_PER_CAMPAIGN + chart as i64),
        }
    }

    /// The account of a stored number; `None` for a number no account can have.
    pub fn from_number(number: i64) -> Option<Self> {
        if number > 0 {
            return Some(AccountRef::Member(AccountId(number)));
        }
        let system = number.checked_neg()?;
        let chart = *Chart::ALL.get(usize::try_from(system % CHARTS_PER_CAMPAIGN).ok()?)?;
        let campaign = CampaignId(system / CHARTS_PER_CAMPAIGN);
        (campaign.0 > 0).then_some(AccountRef::System { campaign, chart })
    }
}

/// An exported account: `member:17` or `issued:1` (the campaign's number).
impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccountRef::Member(id) => write!(f, "member:{id}"),
            AccountRef::System { campaign, chart } => write!(f, "{}:{campaign}", chart.as_str()),
        }
    }
}

/// An event as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its place; dense.
    pub seq: EventSeq,
    /// When it happened.
    pub at: Millis,
    /// When we heard of it.
    pub received_at: Millis,
    /// The business day of `at` in its campaign.
    pub day: Day,
    /// The channel it came by; `None` for events from before that was written down. Not covered by the chain: the event's key tells it.
    pub source: Option<SourceId>,
    /// Who did it.
    pub identity: Option<IdentityId>,
    /// The account it was decided for; `None` when there is none (nothing ever earned).
    pub account: Option<AccountId>,
    /// The group.
    pub group: GroupId,
    /// The campaign, never recomputed.
    pub campaign: Option<CampaignId>,
    /// `said`, `joined` … ([`super::event::Kind::as_str`]).
    pub kind: Arc<str>,
    /// The rules it was decided under.
    pub rules: RulesHash,
    /// The account's stateful event before this one; set only when this one is stateful.
    pub prev: Option<EventSeq>,
    /// The first of its postings; the others follow it.
    pub first_posting: Option<PostingSeq>,
    /// Outcome, verdicts, marks.
    pub record: Record,
}

/// A group as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// Its number.
    pub id: GroupId,
    /// Its chat id.
    pub chat: Arc<str>,
    /// Its name, when a channel told it.
    pub title: Option<Arc<str>>,
    /// Whether customers are in it.
    pub kind: GroupKind,
}

/// The head of the hash chain: what the next link builds on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain {
    /// The last link, whole.
    pub link: [u8; 32],
    /// Digest over the records of the events since then.
    pub pending: [u8; 32],
}

impl Chain {
    /// Takes an event in: its row and, `encoded`, its record as it is stored. (`first_posting` follows from the postings.)
    pub fn cover(&mut self, event: &EventRow, encoded: &[u8]) {
        let mut hash = Sha256::new();
        hash.update(self.pending);
        let mut number = |value: i64| hash.update(value.to_be_bytes());
        number(event.seq.0);
        number(event.at.0);
        number(event.received_at.0);
        number(i64::from(event.day.0));
        number(event.identity.map_or(i64::MIN, |id| id.0));
        number(event.account.map_or(i64::MIN, |id| id.0));
        number(event.group.0);
        number(event.campaign.map_or(i64::MIN, |id| id.0));
        number(event.prev.map_or(i64::MIN, |seq| seq.0));
        hash.update(event.rules.0);
        hash.update((event.kind.len() as u64).to_be_bytes());
        hash.update(event.kind.as_bytes());
        hash.update(encoded);
        self.pending = hash.finalize().into();
    }

    /// Closes a link over an event's postings and writes it on them. Call after [`Chain::cover`] for the same event.
    pub fn seal(&mut self, at: Millis, rules: RulesHash, postings: &mut [Posting]) {
        let mut digest = [0; 16];
        digest.copy_from_slice(&self.pending[..16]);
        self.link = next_link(&self.link, at, rules, postings, &digest);
        self.pending = [0; 32];
        for posting in postings {
            posting.link.copy_from_slice(&self.link[..16]);
            posting.digest = digest;
        }
    }
}

/// The link after these postings of one event. Enough to prove an exported ledger.
pub fn next_link(previous: &[u8; 32], at: Millis, rules: RulesHash, postings: &[Posting], digest: &[u8; 16]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    postings.iter().for_each(|posting| canonical(&mut hash, at, rules, posting));
    hash.update(digest);
    hash.finalize().into()
}

const CANONICAL_VERSION: u8 = 1;

fn canonical(hash: &mut Sha256, at: Millis, rules: RulesHash, posting: &Posting) {
    let day = |day: Option<Day>| day.map_or(i64::MIN, |day| i64::from(day.0));
    let mut number = |value: i64| hash.update(value.to_be_bytes());
    number(i64::from(CANONICAL_VERSION));
    number(posting.seq.0);
    number(posting.event.0);
    number(i64::from(posting.ord));
    number(at.0);
    number(posting.src.to_number());
    number(posting.src_part as i64);
    number(posting.dst.to_number());
    number(posting.dst_part as i64);
    number(posting.amount);
    number(i64::from(posting.day.0));
    number(day(posting.vests_on));
    number(day(posting.expires_on));
    number(posting.reverses.map_or(i64::MIN, |seq| seq.0));
    number(posting.slot_event.map_or(i64::MIN, |seq| seq.0));
    hash.update(rules.0);
    hash.update(&Sha256::digest(posting.code.as_bytes())[..16]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_numbers_go_both_ways() {
        for account in [
            AccountRef::Member(AccountId(1)),
            AccountRef::System { campaign: CampaignId(3), chart: Chart::Issued },
            AccountRef::System { campaign: CampaignId(1), chart: Chart::Opening },
        ] {
            assert_eq!(AccountRef::from_number(account.to_number()), Some(account));
        }
        assert_eq!(AccountRef::from_number(0), None);
        assert_eq!(AccountRef::from_number(i64::MIN), None);
    }
}
