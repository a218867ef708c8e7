//! Putting expired points back: which postings of a member expired and were not put back since, and the event that does it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::act::{Act, Expired};
use crate::model::cells::AccountCell;
use crate::model::day::{Day, Millis};
use crate::model::event::{Channel, Event, Identity, Kind, Place, Via};
use crate::model::ids::{CorpName, EventKey, EventSeq, GroupId, KeyBytes, PostingSeq};
use crate::model::journal::AccountRef;
use crate::rules::expiry::{EXPIRY, REINSTATEMENT};
use crate::store::{Directory, PersonKey, Reader, StoreError};

/// Events of an account looked at: some years of a busy one.
const CHAIN_STEPS_MAX: usize = 100_000;

/// Whose points, and which.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The stable id of the member.
    pub member: String,
    /// The corp, by its key in jifen.toml; all of them without.
    pub corp: Option<String>,
    /// The campaign, by its id in rules.toml; all of them without.
    pub campaign: Option<String>,
    /// The event by which they expired; all of them without.
    pub event: Option<EventSeq>,
}

/// Points that expired by one event, as far as they were not put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lapse {
    /// The event by which they expired.
    pub event: EventSeq,
    /// The business day they expired on.
    pub day: Day,
    /// The campaign.
    pub campaign: Arc<str>,
    /// Posting by posting.
    pub parts: Vec<Expired>,
    corp: CorpName,
    chat: Option<Arc<str>>,
    who: Identity,
}

/// Who puts them back, and why.
#[derive(Debug, Clone)]
pub struct Order {
    /// An operator's id.
    pub by: Arc<str>,
    /// For the audit.
    pub reason: Arc<str>,
}

impl Lapse {
    /// How many points.
    pub fn points(&self) -> i64 {
        self.parts.iter().map(|part| part.amount).sum()
    }

    /// The event that puts them back; the same for the same points, so that twice is once.
    pub fn put_back(&self, order: &Order, now: Millis) -> Event {
        let postings: Vec<String> = self.parts.iter().map(|part| part.posting.to_string()).collect();
        let key = format!("reinstate/{}/{}", self.event, postings.join(","));
        Event {
            key: EventKey { source: format!("{}/operator", self.corp).into(), key: KeyBytes::digest(key.as_bytes()) },
            corp: self.corp.clone(),
            at: now,
            received_at: now,
            clamped: false,
            place: Place::Books { campaign: self.campaign.clone(), chat: self.chat.clone() },
            who: Some(self.who.clone()),
            name: None,
            via: Via { channel: Channel::House, ..Via::default() },
            kind: Kind::Did(Act::Reinstated { parts: self.parts.clone(), by: order.by.clone(), reason: order.reason.clone() }),
        }
    }
}

/// What of a member's points expired and may be put back, newest first; empty for somebody unknown, and where nothing did.
///
/// # Errors
/// The store cannot be read.
pub fn lapses(reader: &dyn Reader, request: &Request) -> Result<Vec<Lapse>, StoreError> {
    let directory = reader.directory()?;
    let mut corps: Vec<CorpName> = directory.campaigns.keys().map(|(corp, _)| corp.clone()).collect();
    corps.dedup();
    corps.retain(|corp| request.corp.as_deref().is_none_or(|wanted| wanted == &**corp));
    let who = Identity::from_wecom(request.member.trim());
    let mut lapses = Vec::new();
    for corp in corps {
        let folded = Identity { kind: who.kind, value: who.folded().into() };
        let Some(member) = reader.person(&PersonKey { corp: corp.clone(), identity: folded })?.and_then(|person| person.member) else { continue };
        for account in reader.accounts_of(member)? {
            let campaign = directory.campaigns.iter().find(|(_, number)| **number == account.key.campaign).map(|((_, name), _)| name.clone());
            let Some(campaign) = campaign.filter(|name| request.campaign.as_deref().is_none_or(|wanted| wanted == &**name)) else { continue };
            let chat = chat(&directory, account.key.group);
            for (event, day, parts) in expired(reader, &account, request.event)? {
                lapses.push(Lapse { event, day, campaign: campaign.clone(), parts, corp: corp.clone(), chat: chat.clone(), who: who.clone() });
            }
        }
    }
    Ok(lapses)
}

fn chat(directory: &Directory, group: GroupId) -> Option<Arc<str>> {
    directory.groups.values().find(|row| group != GroupId::NONE && row.id == group).map(|row| row.chat.clone())
}

/// The account's postings of expiry, by event, less what was put back of each.
fn expired(reader: &dyn Reader, account: &AccountCell, only: Option<EventSeq>) -> Result<Vec<(EventSeq, Day, Vec<Expired>)>, StoreError> {
    let own = AccountRef::Member(account.id);
    let (mut found, mut returned) = (Vec::new(), HashMap::<PostingSeq, i64>::new());
    let mut next = Some(account.last_event);
    for _ in 0..CHAIN_STEPS_MAX {
        let Some(seq) = next.filter(|seq| seq.0 > 0) else { break };
        let Some(event) = reader.event(seq)? else { break };
        let mut parts = Vec::new();
        // Newest first: what was put back is met before it is asked for.
        for posting in reader.postings_of(seq)? {
            if posting.code == *REINSTATEMENT {
                *returned.entry(posting.reverses.unwrap_or_default()).or_default() += posting.amount;
            } else if posting.code == *EXPIRY && posting.src == own {
                let left = posting.amount - returned.get(&posting.seq).copied().unwrap_or(0);
                parts.push(Expired { posting: posting.seq.0, expires_on: posting.expires_on, amount: left });
            }
        }
        parts.retain(|part| part.amount > 0);
        if !parts.is_empty() && only.is_none_or(|only| only == seq) {
            found.push((seq, event.day, parts));
        }
        next = event.prev;
    }
    Ok(found)
}
