//! Twins: one message heard through two channels — the AI bot and the archive, say — pays once and is answered once.
//!
//! The copy that is committed first counts; the other one books nothing and says nothing. Copies know each other by group, words and
//! time: each channel has ids of its own. What pays is looked for in the account's history, where every copy stands; what only asks,
//! among the questions answered lately. Of each further channel one copy is a twin, so that saying a thing twice counts twice: therefore
//! messages without words, all alike, may be taken for one another and still count as often as they were sent.

use std::collections::{HashSet, VecDeque};

use crate::model::cells::{AccountCell, AccountKey, Occurrence};
use crate::model::day::Millis;
use crate::model::decision::{Decision, Outcome, Record, Refusal, Ruling, Verdict};
use crate::model::ids::{CorpName, EventSeq, GroupId, IdentityId, SourceId};
use crate::model::journal::EventRow;
use crate::store::{Store, StoreError};

use super::command::Told;
use super::late::Decided;
use super::repair::REPAIR_EVENTS_MAX;
use super::working::{Heard, Working, outcome};

/// How far the times that two channels tell of one message may lie apart. Bots tell none, so theirs is when the callback arrived, WeCom's
/// retries and a clock that is off included; who says the same again is rarely slower.
const APART_MILLIS: i64 = 120_000;

/// Questions remembered: what a busy corp asks within [`APART_MILLIS`], in some 100 KB.
const ASKED_MAX: usize = 1_024;
/// Ends of sources that tell of no talk: the clock, imports, merges, changes of the rules.
const SILENT: [&str; 4] = ["/clock", "/import", "/merge", "/rules"];

/// What copies of one message have in common, and the channel that tells them apart.
#[derive(Debug, Clone, Copy)]
struct Spoken {
    source: SourceId,
    group: GroupId,
    fingerprint: u64,
    at: Millis,
}

impl Spoken {
    /// `None` for what only one channel can hear: no talk, or not in a group.
    fn of(heard: &Heard<'_>) -> Option<Self> {
        let traits = heard.prepared.traits.as_ref().filter(|_| heard.group != GroupId::NONE)?;
        Some(Spoken { source: heard.source, group: heard.group, fingerprint: traits.fingerprint, at: heard.prepared.event.at })
    }

    fn is_copy_of(&self, other: &Spoken) -> bool {
        (self.group, self.fingerprint) == (other.group, other.fingerprint) && self.source != other.source && self.apart(other.at) <= APART_MILLIS
    }

    fn apart(&self, at: Millis) -> i64 {
        self.at.0.abs_diff(at.0).try_into().unwrap_or(i64::MAX)
    }

    /// Whether something of this instant is too old to be a copy.
    fn is_after(&self, at: Millis) -> bool {
        at.0 < self.at.0.saturating_sub(APART_MILLIS)
    }
}

/// A committed message as another copy sees it; `None` for one that is no first copy.
fn as_first(row: &EventRow) -> Option<Spoken> {
    let heard = row.record.heard.as_ref().filter(|_| twin_of(row).is_none())?;
    Some(Spoken { source: row.source?, group: row.group, fingerprint: heard.fingerprint, at: row.at })
}

/// The first copy of the message that this event is another copy of.
fn twin_of(row: &EventRow) -> Option<EventSeq> {
    match &row.record.outcome {
        Outcome::TwinOf(first) => Some(*first),
        Outcome::RecalledBefore => row.record.repair.as_ref()?.takes_back,
        Outcome::Decided | Outcome::DecidedAlone | Outcome::Parked(_) | Outcome::Failed(_) | Outcome::Unparked { .. } => None,
    }
}

/// A question that was answered.
#[derive(Debug)]
struct Answered {
    seq: EventSeq,
    by: IdentityId,
    spoken: Spoken,
    /// The channels whose copy of it came since.
    twins: Vec<SourceId>,
}

/// The questions answered lately. They change no account, so no history holds them; after a restart one may be answered twice.
#[derive(Debug, Default)]
pub(super) struct Asked(VecDeque<Answered>);

impl Asked {
    /// Finds the copy that was answered; remembers this one if there is none.
    fn answered(&mut self, seq: EventSeq, by: IdentityId, spoken: Spoken) -> Option<EventSeq> {
        let is_copy = |it: &&mut Answered| it.by == by && spoken.is_copy_of(&it.spoken) && !it.twins.contains(&spoken.source);
        if let Some(first) = self.0.iter_mut().filter(is_copy).min_by_key(|it| spoken.apart(it.spoken.at)) {
            first.twins.push(spoken.source);
            return Some(first.seq);
        }
        self.0.truncate(ASKED_MAX - 1);
        self.0.push_front(Answered { seq, by, spoken, twins: Vec::new() });
        None
    }
}

impl Working<'_> {
    /// Whether a message of this corp can come by two channels.
    fn has_channels(&self, corp: &CorpName) -> bool {
        let speaks = |source: &str| !SILENT.iter().any(|silent| source.ends_with(silent));
        self.directory.sources.keys().filter(|(of, source)| of == corp && speaks(source)).nth(1).is_some()
    }

    /// What becomes of an event that is another copy of a message heard before; `None` if it is the first.
    pub(super) fn as_twin<S: Store>(
        &mut self,
        store: &mut S,
        heard: &Heard<'_>,
        seq: EventSeq,
        key: Option<AccountKey>,
        decision: &Decision,
    ) -> Result<Option<Decision>, StoreError> {
        let Some(spoken) = Spoken::of(heard) else { return Ok(None) };
        // A copy of something that was bought may find nothing left to buy: it is looked for where the purchase stands.
        let may_copy_purchase = decision.record.verdicts.iter().any(|verdict| matches!(verdict.ruling, Ruling::Refused(Refusal::NotBought(_))));
        if let (true, false, Some(key)) = (may_copy_purchase, decision.record.is_stateful(), key)
            && self.has_channels(&heard.prepared.event.corp)
            && let Some(first) = self.first_in_history(store, &self.accounts[&key], spoken)?
        {
            return Ok(Some(unpaid(decision, Outcome::TwinOf(first), Refusal::Twin)));
        }
        let first = match (decision.record.is_stateful(), key) {
            (true, Some(key)) if self.has_channels(&heard.prepared.event.corp) => self.first_in_history(store, &self.accounts[&key], spoken)?,
            (true, Some(_) | None) => None,
            (false, _) if decision.replies.is_empty() => None,
            (false, _) => self.asker(heard).and_then(|by| self.asked.answered(seq, by, spoken)),
        };
        Ok(first.map(|first| unpaid(decision, Outcome::TwinOf(first), Refusal::Twin)))
    }

    /// What becomes of a command: of what leaves no event of its own, the copy from another channel does nothing.
    pub(super) fn told(&mut self, heard: &Heard<'_>, told: &Told, seq: EventSeq, decision: Decision) -> Decision {
        if let Told::Yes(..) | Told::Before = told {
            return decision;
        }
        let (by, spoken) = (self.asker(heard), Spoken::of(heard));
        if let Some(first) = by.zip(spoken).and_then(|(by, spoken)| self.asked.answered(seq, by, spoken)) {
            return unpaid(&decision, Outcome::TwinOf(first), Refusal::Twin);
        }
        if let Told::Wished(wish) = told {
            self.batch.wishes.push((**wish).clone());
        }
        decision
    }

    /// A message that was taken back before it arrived. If another channel brought it in time, the copy that counted is taken back;
    /// else it is kept where its copies will find it.
    pub(super) fn recalled_before<S: Store>(
        &mut self,
        store: &mut S,
        heard: &Heard<'_>,
        occurrence: Occurrence,
        key: Option<AccountKey>,
    ) -> Result<Decided, StoreError> {
        let alone = Decided { decision: outcome(Outcome::RecalledBefore), key: None };
        let Some(spoken) = Spoken::of(heard) else { return Ok(alone) };
        let decision = self.decide(heard, key);
        if !decision.record.is_stateful() {
            return Ok(alone);
        }
        let kept = unpaid(&decision, Outcome::RecalledBefore, Refusal::TakenBack);
        let first = key.map(|key| self.first_in_history(store, &self.accounts[&key], spoken)).transpose()?.flatten();
        match first {
            Some(first) => self.take_back(store, heard, occurrence, first, kept),
            None => Ok(Decided { decision: kept, key }),
        }
    }

    fn asker(&self, heard: &Heard<'_>) -> Option<IdentityId> {
        Some(self.people.get(heard.person.as_ref()?)?.identity)
    }

    /// The nearest first copy in an account's history that has no twin of this channel yet.
    fn first_in_history<S: Store>(&self, store: &mut S, cell: &AccountCell, spoken: Spoken) -> Result<Option<EventSeq>, StoreError> {
        let (mut nearest, mut paired, mut next) = (None, HashSet::new(), Some(cell.last_event));
        if spoken.is_after(cell.frontier) {
            return Ok(None);
        }
        for _ in 0..REPAIR_EVENTS_MAX {
            let Some(seq) = next.filter(|seq| seq.0 > 0) else { break };
            let Some(row) = self.past(store, seq)?.map(|past| past.row) else { break };
            next = row.prev;
            paired.extend(twin_of(&row).filter(|_| row.source == Some(spoken.source)));
            let message = row.record.message(seq);
            if let Some(other) = as_first(&row).filter(|other| spoken.is_copy_of(other) && !paired.contains(&message)) {
                nearest = nearest.into_iter().chain([(spoken.apart(other.at), message)]).min();
            }
            if spoken.is_after(row.at) && was_in_time(&row) {
                break;
            }
        }
        Ok(nearest.map(|(_, seq)| seq))
    }
}

/// Whether all that came before this event also happened before it.
pub(super) fn was_in_time(row: &EventRow) -> bool {
    row.record.outcome == Outcome::Decided && row.record.repair.is_none()
}

/// A decision of which nothing follows. Rules that would have looked at the account say why not, which keeps the event in its history.
fn unpaid(decision: &Decision, outcome: Outcome, why: Refusal) -> Decision {
    let ruling = |ruling: &Ruling| if ruling.depends_on_state() { Ruling::Refused(why.clone()) } else { ruling.clone() };
    let verdicts = decision.record.verdicts.iter().map(|verdict| Verdict { rule: verdict.rule.clone(), ruling: ruling(&verdict.ruling) });
    let record = Record { outcome, heard: decision.record.heard.clone(), verdicts: verdicts.collect(), ..Record::default() };
    Decision { record, ..Decision::default() }
}
