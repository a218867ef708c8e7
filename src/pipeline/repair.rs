//! Late and recalled messages: an account's own days are decided again, in the order things happened, in one decision of the event that
//! came late. No rule knows of it.
//!
//! The account's history is its `prev` chain. It is walked back, newest arrival first, to an event that carries the state from before its
//! own day, such that nothing later in the chain belongs to an earlier day. From that state the window is decided again in canonical
//! order (`at`, then the platform's own order), each event under its own rules; what each message earns now is compared with what is booked
//! for it, and the differences are booked: reversals into the original bucket, or new postings.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::cells::{AccountCell, Occurrence};
use crate::model::claim::Claim;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Decision, Deed, Entry, Mark, Outcome, Part, Record, Side};
use crate::model::event::{Event, GroupKind, Kind, Place, Said, Via};
use crate::model::ids::{AccountId, CorpName, EventKey, EventSeq, GroupId, KeyBytes};
use crate::model::journal::{AccountRef, GroupRow, Posting};
use crate::model::repair::{Changed, Repair};
use crate::rules::campaign::{RuleEntry, Rules};
use crate::rules::decide::decide;
use crate::rules::marks::is_on_trial;
use crate::rules::{Facts, Prepared, Shared};
use crate::store::Past;
use crate::store::waiting::is_waiting;

/// How far back a message may arrive and still have the days after it decided again.
pub(super) const REPAIR_DAYS_MAX: i32 = 35;

/// Most events of one account decided again at once: 35 days of the busiest talker, and a bound on one batch.
pub(super) const REPAIR_EVENTS_MAX: usize = 2_000;

/// The events of an account from a snapshot on, newest arrival first while it is walked.
pub(super) struct Window {
    /// Ascending by arrival once complete.
    pub(super) events: Vec<Past>,
    /// The account before the first of them: its state and what it had earned; what it had spent does not matter here.
    pub(super) before: AccountCell,
    /// Pictures and links of these events that are paid for elsewhere.
    pub(super) taken: Vec<u64>,
}

/// Walks an account's history back to a snapshot that is older than `earliest`. `None` when the bounds are passed.
pub(super) fn window<E>(
    cell: &AccountCell,
    earliest: Day,
    newest: Day,
    mut past: impl FnMut(EventSeq) -> Result<Option<Past>, E>,
) -> Result<Option<Window>, E> {
    let asked = earliest;
    let (mut events, mut earliest, mut next) = (Vec::new(), earliest, Some(cell.last_event));
    let mut before = AccountCell { id: cell.id, key: cell.key, ..AccountCell::default() };
    while let Some(seq) = next.filter(|seq| seq.0 > 0) {
        if events.len() == REPAIR_EVENTS_MAX || newest.0.saturating_sub(earliest.0) > REPAIR_DAYS_MAX {
            return Ok(None);
        }
        let Some(step) = past(seq)? else { return Ok(None) };
        if let (Some(Deed::Transferred { .. }), Some(repair)) = (&step.row.record.deed, &step.row.record.repair) {
            // What happened before stands in two accounts. What happened after begins with what both remembered; a message from before that
            // came after was decided alone against just that.
            if step.row.day >= asked {
                return Ok(None);
            }
            before.state.codes.clone_from(&repair.restated);
            break;
        }
        earliest = earliest.min(reaches_back_to(&step, &mut past)?);
        next = step.row.prev;
        let snapshot = step.row.record.snapshot.clone().filter(|_| step.row.day <= earliest);
        events.push(step);
        if let Some(state) = snapshot {
            before.state = *state;
            break;
        }
    }
    events.reverse();
    (before.available, before.lifetime) = (cell.available, cell.lifetime);
    before.earn(-events.iter().flat_map(|past| &past.postings).map(|posting| earned(posting, cell.id)).sum::<i64>());
    Ok(Some(Window { events, before, taken: Vec::new() }))
}

/// What a posting added to an account's lifetime.
fn earned(posting: &Posting, account: AccountId) -> i64 {
    let own = AccountRef::Member(account);
    match (posting.dst == own && posting.earns(), posting.src == own && posting.unearns()) {
        (true, _) => posting.amount,
        (false, true) => -posting.amount,
        (false, false) => 0,
    }
}

/// The earliest day whose history an event changed: a recall may come days after its message, and snapshots between the two still count it.
fn reaches_back_to<E>(step: &Past, past: &mut impl FnMut(EventSeq) -> Result<Option<Past>, E>) -> Result<Day, E> {
    let target = step.row.record.repair.as_ref().and_then(|repair| repair.takes_back);
    // The day of a message that had waited was noted before its campaign was known: it may be a day off.
    let doubt = |target: &Past| i32::from(is_waiting(&target.row.record.outcome));
    let taken_back = target.map(past).transpose()?.flatten().map(|target| target.row.day.plus(-doubt(&target)));
    Ok(step.postings.iter().map(|posting| posting.day).chain(taken_back).fold(step.row.day, Day::min))
}

/// An event of the window, ready to be decided again.
pub(super) struct Again<'a> {
    /// The message, as slots of the ledger name it.
    seq: EventSeq,
    at: Millis,
    day: Day,
    order: u64,
    prepared: Cow<'a, Prepared>,
    campaign: usize,
    group: GroupId,
    /// What a committed event took of what members share; `None` for the newcomer.
    claims: Option<Vec<Claim>>,
    /// Points that a committed event moved by somebody's will, with its record: it stands as it was booked.
    willed: Option<(Record, Vec<Posting>)>,
    /// It mattered to rules on trial only, and must not matter to others now.
    on_trial: bool,
}

impl<'a> Again<'a> {
    /// The event that came late, itself.
    pub(super) fn newcomer(seq: EventSeq, day: Day, group: GroupId, prepared: &'a Prepared, campaign: usize) -> Self {
        let event = &prepared.event;
        let prepared = Cow::Borrowed(prepared);
        Again { seq, at: event.at, day, order: event.key.key.order(), prepared, campaign, group, claims: None, willed: None, on_trial: false }
    }

    /// A committed event: what its text held is in its record. `None` for one that no rule can look at, and for one that no rule may:
    /// it was taken back before it came, or is a copy of another.
    pub(super) fn recorded(past: &Past, corp: &CorpName, group: Option<&GroupRow>, rules: &Arc<Rules>, campaign_id: &str) -> Option<Again<'static>> {
        match past.row.record.outcome {
            Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => {}
            Outcome::RecalledBefore | Outcome::TwinOf(_) | Outcome::Parked(_) | Outcome::Failed(_) => return None,
        }
        let campaign = rules.campaigns.iter().position(|campaign| &*campaign.id == campaign_id)?;
        let record = &past.row.record;
        if record.heard.is_none() && record.deed.is_none() {
            return None;
        }
        let traits = record.heard.clone();
        let place = match group {
            _ if matches!(record.deed, Some(Deed::Due { .. })) => Place::Books { campaign: campaign_id.into(), chat: group.map(|group| group.chat.clone()) },
            Some(group) => Place::Group { chat: group.chat.clone(), kind: group.kind, title: group.title.clone() },
            None if past.row.group == GroupId::NONE => Place::Single,
            None => Place::Group { chat: Arc::default(), kind: GroupKind::Internal, title: None },
        };
        let asked = traits.as_ref().is_some_and(|traits| traits.asked);
        let said = Said { at_assistant: asked && place != Place::Single, ..Said::default() };
        let is_matched = |rule: &&RuleEntry| traits.as_ref().is_some_and(|traits| traits.matched.contains(&rule.code));
        let matched = rules.campaigns[campaign].rules.iter().filter(is_matched).map(|rule| rule.index).collect();
        let willed = record.is_willed().then(|| (record.clone(), past.postings.clone()));
        let event = Event {
            key: EventKey { source: Arc::default(), key: KeyBytes::default() },
            corp: corp.clone(),
            at: past.row.at,
            received_at: past.row.received_at,
            clamped: false,
            place,
            who: past.identity.clone(),
            name: None,
            via: Via::default(),
            // An act says nothing, and no rule for talk may take it for an empty message.
            kind: if record.deed.is_some() { Kind::Unknown { label: String::new(), raw: String::new() } } else { Kind::Said(said) },
        };
        let (deed, claims) = (record.deed.clone(), Some(record.claims.clone()));
        let prepared = Prepared { event, traits, deed, matched, rules: rules.clone() };
        Some(Again {
            seq: past.row.record.message(past.row.seq),
            at: past.row.at,
            day: past.row.day,
            order: past.row.record.order,
            prepared: Cow::Owned(prepared),
            campaign,
            group: past.row.group,
            claims,
            willed,
            on_trial: is_on_trial(record, &rules.campaigns[campaign]),
        })
    }
}

/// What each message is owed, by message and rule.
type Owed = HashMap<(EventSeq, Arc<str>), i64>;

/// Decides a window again, the newcomer among `events` unless it only takes a message back, and returns the decision that books the
/// differences. `own` is the newcomer's place in the journal; its own verdicts stand in the result.
pub(super) fn redecide(
    own: EventSeq,
    window: Window,
    mut events: Vec<Again<'_>>,
    takes_back: Option<EventSeq>,
    fresh: Decision,
    shared: Shared<'_>,
) -> Decision {
    let account = window.before.id;
    let earlier = window.events.iter().filter_map(|past| past.row.record.repair.as_ref()?.takes_back);
    let taken_back: HashSet<EventSeq> = earlier.chain(takes_back).collect();
    events.retain(|event| !taken_back.contains(&event.seq));
    events.sort_by_key(|event| (event.at, event.order, event.seq));
    let (mut cell, mut owed, mut result, mut days) = (window.before, Owed::new(), fresh, HashMap::new());
    let mut owed_proofs = Proofs::new();
    for event in &events {
        let occurrence = Occurrence { seq: event.seq, at: event.at, day: event.day };
        if let Some((record, postings)) = &event.willed {
            cell.apply(occurrence, record, postings);
            continue;
        }
        let shared = event.claims.as_deref().map_or(shared, Shared::Pinned);
        let facts = Facts { account: Some(&cell), shared, group: event.group, again: true, ..Facts::default() };
        let prepared = knowing(&event.prepared, &window.taken, &owed_proofs);
        let mut decision = decide(&prepared.rules, Some(event.campaign), &prepared, &facts);
        if event.on_trial {
            decision.record.marks.retain(|mark| mark.key().starts_with('~'));
        }
        for entry in &decision.entries {
            *owed.entry((event.seq, entry.code.clone())).or_default() += signed(entry);
            days.insert((event.seq, entry.code.clone()), entry.clone());
        }
        owed_proofs = decision.record.marks.iter().fold(owed_proofs, fold_proof);
        cell.apply(occurrence, &decision.record, &[]);
        cell.earn(decision.entries.iter().map(signed).sum());
        if event.seq == own {
            result.record.verdicts = decision.record.verdicts;
            result.record.claims = decision.record.claims;
            result.entries = Vec::new();
        }
    }
    let booked = booked(account, window.events.iter().filter(|past| !past.row.record.is_willed()));
    let booked_proofs = window.events.iter().flat_map(|past| &past.row.record.marks).fold(BTreeMap::new(), fold_proof);
    let mut repair = Repair { takes_back, restated: cell.state.codes, changed: Vec::new() };
    let mut slots: Vec<&(EventSeq, Arc<str>)> = owed.keys().chain(booked.keys().filter(|slot| !owed.contains_key(*slot))).collect();
    slots.sort();
    let mut entries = Vec::new();
    for slot in slots {
        let (was, now) = (booked.get(slot).map_or(0, |postings| postings.net), owed.get(slot).copied().unwrap_or(0));
        if was > now {
            entries.extend(booked.get(slot).into_iter().flat_map(|booked| reversals(slot, booked, was - now)));
        } else if let (true, Some(entry)) = (now > was, days.get(slot)) {
            entries.push(Entry { amount: now - was, slot_event: Some(slot.0).filter(|seq| *seq != own), ..entry.clone() });
        }
        if was != now && slot.0 != own {
            repair.changed.push(Changed { event: slot.0, rule: slot.1.clone(), was, now });
        }
    }
    result.entries = entries;
    result.record.marks = proofs_changed(&booked_proofs, &owed_proofs);
    result.record.repair = Some(Box::new(repair));
    result
}

/// Pictures and links paid for, by rule and number.
type Proofs = BTreeMap<(Arc<str>, u64), bool>;

fn fold_proof(mut proofs: Proofs, mark: &Mark) -> Proofs {
    if let Mark::Proof { key, number, used } = mark {
        proofs.insert((key.clone(), *number), *used);
    }
    proofs
}

/// An event that knows which pictures and links are paid for by now: elsewhere, and by the events before it.
fn knowing<'p>(prepared: &'p Prepared, taken: &[u64], owed: &Proofs) -> Cow<'p, Prepared> {
    let owed = owed.iter().filter(|(_, used)| **used).map(|((_, number), _)| *number);
    let used: Vec<u64> = taken.iter().copied().chain(owed).collect();
    let mut prepared = Cow::Borrowed(prepared);
    if !used.is_empty() && prepared.traits.is_some() {
        prepared.to_mut().traits.iter_mut().for_each(|traits| traits.media.used.extend(&used));
    }
    prepared
}

/// What is paid for now and was not, and what no longer is.
fn proofs_changed(booked: &Proofs, owed: &Proofs) -> Vec<Mark> {
    let is_used = |proofs: &Proofs, proof: &(Arc<str>, u64)| proofs.get(proof).copied().unwrap_or(false);
    let all: BTreeSet<&(Arc<str>, u64)> = booked.keys().chain(owed.keys()).collect();
    // What one rule pays for no longer, another may still pay for.
    let is_held = |number: u64| owed.iter().any(|((_, other), used)| *used && *other == number);
    let changed = all.into_iter().filter(|proof| is_used(booked, proof) != is_used(owed, proof) && (is_used(owed, proof) || !is_held(proof.1)));
    changed.map(|proof| Mark::Proof { key: proof.0.clone(), number: proof.1, used: is_used(owed, proof) }).collect()
}

/// What is booked for one message and rule.
#[derive(Default)]
struct Booked {
    net: i64,
    /// Payments with what is left of each after reversals.
    payments: Vec<(Posting, i64)>,
}

fn booked<'a>(account: AccountId, events: impl Iterator<Item = &'a Past>) -> HashMap<(EventSeq, Arc<str>), Booked> {
    let own = AccountRef::Member(account);
    let mut booked: HashMap<(EventSeq, Arc<str>), Booked> = HashMap::new();
    for posting in events.flat_map(|past| &past.postings) {
        let slot = booked.entry((posting.slot_event.unwrap_or(posting.event), posting.code.clone())).or_default();
        if posting.dst == own {
            slot.net += posting.amount;
            slot.payments.push((posting.clone(), posting.amount));
        }
        if posting.src == own {
            slot.net -= posting.amount;
            if let Some((_, left)) = slot.payments.iter_mut().find(|(payment, _)| Some(payment.seq) == posting.reverses) {
                *left -= posting.amount;
            }
        }
    }
    booked
}

/// Takes back `amount` of what is booked, newest payment first, each into its own bucket.
fn reversals(slot: &(EventSeq, Arc<str>), booked: &Booked, mut amount: i64) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (payment, left) in booked.payments.iter().rev().filter(|(_, left)| *left > 0) {
        let taken = amount.min(*left);
        if taken == 0 {
            break;
        }
        amount -= taken;
        entries.push(Entry {
            code: slot.1.clone(),
            src: Side::Own(payment.dst_part),
            dst: Side::System(Chart::Issued),
            amount: taken,
            day: payment.day,
            vests_on: payment.vests_on,
            expires_on: payment.expires_on,
            slot_event: Some(slot.0),
            reverses: Some(payment.seq),
        });
    }
    entries
}

fn signed(entry: &Entry) -> i64 {
    match (entry.src, entry.dst) {
        (Side::System(_), Side::Own(Part::Available | Part::Held)) => entry.amount,
        (Side::Own(_), Side::System(_)) => -entry.amount,
        (Side::Own(_), Side::Own(_)) | (Side::System(_), Side::System(_)) => 0,
    }
}
