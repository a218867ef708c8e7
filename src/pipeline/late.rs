//! Deciding in time: an event that came late, or takes a message back, is decided together with what came after it ([`super::repair`]).

use crate::model::cells::{AccountCell, AccountKey, Occurrence};
use crate::model::decision::{Decision, Outcome, Record};
use crate::model::event::Kind;
use crate::model::ids::{AccountId, CorpName, EventSeq};
use crate::rules::Shared;
use crate::rules::coverage::Coverage;
use crate::rules::marks::is_on_trial;
use crate::store::{Past, Store, StoreError};

use super::repair::{self, Again, Window};
use super::twin::was_in_time;
use super::working::{Heard, Working};

/// A decision, and the account it is for when that is there already.
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) key: Option<AccountKey>,
}

impl Working<'_> {
    /// Decides an event against the account as it is, or, when it came late or takes a message back, together with what came after it.
    pub(super) fn decide_in_time<S: Store>(&mut self, store: &mut S, heard: &Heard<'_>, occurrence: Occurrence) -> Result<Decided, StoreError> {
        let counterpart = self.counterpart(&heard.prepared.event);
        let member = heard.person.as_ref().and_then(|person| self.people.get(person)).and_then(|person| person.member);
        let key = member.and_then(|member| self.account_key(heard, member)).filter(|key| self.accounts.contains_key(key));
        match (&heard.prepared.event.kind, counterpart) {
            (Kind::Recalled { .. }, Some(target)) => return self.take_back(store, heard, occurrence, target, Decision::default()),
            (Kind::Said(_), Some(_)) => return self.recalled_before(store, heard, occurrence, key),
            _ => {}
        }
        let decision = self.decide(heard, key);
        if let Some(told) = &heard.told {
            return Ok(Decided { decision: self.told(heard, told, occurrence.seq, decision), key });
        }
        if let Some(decision) = self.as_twin(store, heard, occurrence.seq, key, &decision)? {
            return Ok(Decided { decision, key });
        }
        if decision.record.is_willed() {
            return Ok(Decided { decision, key });
        }
        let Some(cell) = key.and_then(|key| self.accounts.get(&key)) else { return Ok(Decided { decision, key }) };
        let Coverage::Campaign(campaign) = heard.coverage else { return Ok(Decided { decision, key }) };
        if !self.is_late(store, cell, heard, &decision)? {
            return Ok(Decided { decision, key });
        }
        let cell = cell.clone();
        let newest = occurrence.day.max(self.context.rules.campaigns[campaign].calendar.day(cell.frontier));
        let decision = match repair::window(&cell, occurrence.day, newest, |seq| self.past(store, seq))? {
            Some(mut window) => {
                window.taken = self.taken(store, &window)?;
                let mut events = self.again(store, &window, &heard.prepared.event.corp)?;
                let message = heard.of.unwrap_or(occurrence.seq);
                events.push(Again::newcomer(message, occurrence.day, heard.group, &heard.prepared, campaign));
                repair::redecide(message, window, events, None, decision, self.shared(heard))
            }
            None => too_far_back(decision),
        };
        Ok(Decided { decision, key })
    }

    /// Whether an event must be decided together with what was decided after it.
    ///
    /// Of one instant (WeCom tells times in seconds) the platform's own order decides. The account's last event, if it came in time, is the
    /// last in that order too, so that one look tells; else all of the window is looked at.
    fn is_late<S: Store>(&self, store: &mut S, cell: &AccountCell, heard: &Heard<'_>, decision: &Decision) -> Result<bool, StoreError> {
        let event = &heard.prepared.event;
        if cell.last_event.0 == 0 || decision.record.outcome != Outcome::Decided || !decision.record.is_stateful() || event.at > cell.frontier {
            return Ok(false);
        }
        let rules = self.context.rules;
        if matches!(heard.coverage, Coverage::Campaign(at) if is_on_trial(&decision.record, &rules.campaigns[at])) {
            return Ok(false);
        }
        if event.at < cell.frontier {
            return Ok(true);
        }
        let last = self.past(store, cell.last_event)?.map(|past| past.row).filter(|row| was_in_time(row) && row.at == event.at);
        Ok(last.is_none_or(|row| row.record.order > event.key.key.order()))
    }

    /// A recall: the message leaves the account's history, and the days after it are decided again without it. Of a message heard through
    /// two channels it is the copy that counted which leaves. `fresh` is what is said of the event that takes it back.
    pub(super) fn take_back<S: Store>(
        &mut self,
        store: &mut S,
        heard: &Heard<'_>,
        occurrence: Occurrence,
        target: EventSeq,
        fresh: Decision,
    ) -> Result<Decided, StoreError> {
        let nothing = |fresh| Decided { decision: fresh, key: None };
        let Some(past) = self.decided(store, &heard.prepared.event.corp, target)? else { return Ok(nothing(fresh)) };
        let (Some(account), true) = (past.row.account, past.row.record.is_stateful() && !past.row.record.is_willed()) else { return Ok(nothing(fresh)) };
        if let Outcome::TwinOf(first) = past.row.record.outcome {
            return self.take_back(store, heard, occurrence, first, fresh);
        }
        let Some(key) = self.account_by_id(store, account)? else { return Ok(nothing(fresh)) };
        let cell = self.accounts[&key].clone();
        let newest = self.calendar(heard).map_or(past.row.day, |calendar| calendar.day(cell.frontier).max(occurrence.day));
        let Some(mut window) = repair::window(&cell, past.row.day, newest, |seq| self.past(store, seq))? else {
            return Ok(Decided { decision: too_far_back(fresh), key: Some(key) });
        };
        window.taken = self.taken(store, &window)?;
        let events = self.again(store, &window, &heard.prepared.event.corp)?;
        Ok(Decided { decision: repair::redecide(occurrence.seq, window, events, Some(target), fresh, Shared::default()), key: Some(key) })
    }

    pub(super) fn account_by_id<S: Store>(&mut self, store: &mut S, id: AccountId) -> Result<Option<AccountKey>, StoreError> {
        if let Some(key) = self.accounts.values().find(|cell| cell.id == id).map(|cell| cell.key) {
            return Ok(Some(key));
        }
        let Some(cell) = store.account(id)? else { return Ok(None) };
        let key = cell.key;
        self.accounts.insert(key, cell);
        Ok(Some(key))
    }

    /// An event of this batch or a committed one.
    pub(super) fn past<S: Store>(&self, store: &mut S, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        let first = self.batch.events.first().map_or(seq, |event| event.row.seq);
        let Some(event) = usize::try_from(seq.0 - first.0).ok().and_then(|at| self.batch.events.get(at)) else { return store.past(seq) };
        let postings = self.batch.postings.iter().filter(|posting| posting.event == seq).cloned().collect();
        let identity = event.row.identity.and_then(|id| self.people.iter().find(|(_, person)| person.identity == id)).map(|(key, _)| key.identity.clone());
        Ok(Some(Past { row: event.row.clone(), postings, identity }))
    }

    pub(super) fn again<S: Store>(&mut self, store: &mut S, window: &Window, corp: &CorpName) -> Result<Vec<Again<'static>>, StoreError> {
        let mut again = Vec::with_capacity(window.events.len() + 1);
        for past in &window.events {
            let is_live = past.row.rules == self.context.rules.hash;
            let rules = if is_live { Some(self.context.rules.clone()) } else { self.versions.get(past.row.rules, || store.rules_text(past.row.rules))? };
            let campaign = self.directory.campaigns.iter().find(|(_, id)| Some(**id) == past.row.campaign).map(|((_, name), _)| name);
            let (Some(rules), Some(campaign)) = (rules, campaign) else { continue };
            again.extend(Again::recorded(past, corp, self.directory.groups.values().find(|group| group.id == past.row.group), &rules, campaign));
        }
        Ok(again)
    }
}

/// A decision that the days after it were not decided again for.
fn too_far_back(decision: Decision) -> Decision {
    let outcome = match decision.record.outcome {
        Outcome::Decided => Outcome::DecidedAlone,
        other @ (Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::TwinOf(_) | Outcome::Parked(_) | Outcome::Failed(_) | Outcome::Unparked { .. }) => {
            other
        }
    };
    Decision { record: Record { outcome, ..decision.record }, ..decision }
}
