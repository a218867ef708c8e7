//! Deciding in time: an event that came late, or takes a message back, is decided together with what came after it ([`super::repair`]).

use crate::model::cells::{AccountKey, Occurrence};
use crate::model::decision::{Decision, Outcome, Record};
use crate::model::event::Kind;
use crate::model::ids::{AccountId, CorpName, EventSeq};
use crate::rules::decide::Coverage;
use crate::store::{Past, Store, StoreError};

use super::repair::{self, Again, Window};
use super::working::{Heard, Working, outcome};

/// A decision, and the account it is for when that is there already.
pub(super) struct Decided {
    pub(super) decision: Decision,
    pub(super) key: Option<AccountKey>,
}

impl Working<'_> {
    /// Decides an event against the account as it is, or, when it came late or takes a message back, together with what came after it.
    pub(super) fn decide_in_time<S: Store>(&mut self, store: &mut S, heard: &Heard<'_>, occurrence: Occurrence) -> Result<Decided, StoreError> {
        let counterpart = self.counterpart(&heard.prepared.event);
        match (&heard.prepared.event.kind, counterpart) {
            (Kind::Recalled { .. }, Some(target)) => return self.take_back(store, heard, occurrence, target),
            (Kind::Said(_), Some(_)) => return Ok(Decided { decision: outcome(Outcome::RecalledBefore), key: None }),
            _ => {}
        }
        let member = heard.person.as_ref().and_then(|person| self.people.get(person)).and_then(|person| person.member);
        let key = member.and_then(|member| self.account_key(heard, member)).filter(|key| self.accounts.contains_key(key));
        let decision = self.decide(heard, key);
        let Some(cell) = key.and_then(|key| self.accounts.get(&key)) else { return Ok(Decided { decision, key }) };
        let Coverage::Campaign(campaign) = heard.coverage else { return Ok(Decided { decision, key }) };
        if !repair::is_late(cell, occurrence.at, &decision) {
            return Ok(Decided { decision, key });
        }
        let cell = cell.clone();
        let newest = occurrence.day.max(self.context.rules.campaigns[campaign].calendar.day(cell.frontier));
        let decision = match repair::window(&cell, occurrence.day, newest, |seq| self.past(store, seq))? {
            Some(window) => {
                let mut events = self.again(store, &window, &heard.prepared.event.corp)?;
                let message = heard.of.unwrap_or(occurrence.seq);
                events.push(Again::newcomer(message, occurrence.day, &heard.prepared, campaign));
                repair::redecide(message, window, events, None, decision)
            }
            None => Decision { record: Record { outcome: Outcome::DecidedAlone, ..decision.record }, ..decision },
        };
        Ok(Decided { decision, key })
    }

    /// A recall: the message leaves the account's history, and the days after it are decided again without it.
    pub(super) fn take_back<S: Store>(&mut self, store: &mut S, heard: &Heard<'_>, occurrence: Occurrence, target: EventSeq) -> Result<Decided, StoreError> {
        let nothing = Decided { decision: Decision::default(), key: None };
        let Some(past) = self.decided(store, &heard.prepared.event.corp, target)? else { return Ok(nothing) };
        let (Some(account), true) = (past.row.account, past.row.record.is_stateful()) else { return Ok(nothing) };
        let Some(key) = self.account_by_id(store, account)? else { return Ok(nothing) };
        let cell = self.accounts[&key].clone();
        let newest = self.calendar(heard).map_or(past.row.day, |calendar| calendar.day(cell.frontier).max(occurrence.day));
        let Some(window) = repair::window(&cell, past.row.day, newest, |seq| self.past(store, seq))? else {
            return Ok(Decided { decision: outcome(Outcome::DecidedAlone), key: None });
        };
        let events = self.again(store, &window, &heard.prepared.event.corp)?;
        Ok(Decided { decision: repair::redecide(occurrence.seq, window, events, Some(target), Decision::default()), key: Some(key) })
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
        let first = self.batch.head.event.0 - self.batch.events.len() as i64;
        let Some(event) = usize::try_from(seq.0 - first).ok().and_then(|at| self.batch.events.get(at)) else { return store.past(seq) };
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
