//! Tallying one world: what is paid, by rule, group, member and day, from the postings alone; what each message's verdicts are.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::day::Day;
use crate::model::decision::{Chart, Ruling};
use crate::model::ids::{AccountId, CampaignId, EventKey, EventSeq, GroupId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::pipeline::Listener;
use crate::store::Batch;

use super::beginning::Beginning;
use super::history::Person;
use super::kinds::kind;
use super::world::{Heard, recorded};

/// Points and payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Paid {
    pub(super) points: i64,
    pub(super) times: i64,
}

impl Paid {
    fn add(&mut self, points: i64, times: i64) {
        self.points = self.points.saturating_add(points);
        self.times += times;
    }
}

/// What rules paid in a world.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) rules: HashMap<(CampaignId, Arc<str>), Paid>,
    pub(super) groups: HashMap<(CampaignId, GroupId), Paid>,
    pub(super) group_members: HashSet<(CampaignId, GroupId, Person)>,
    pub(super) members: HashMap<(CampaignId, Person), Paid>,
    pub(super) days: HashMap<(CampaignId, Day), i64>,
    /// What rules on trial would have paid.
    pub(super) shadow: HashMap<(CampaignId, Arc<str>), Paid>,
    /// The lowest that an account fell below zero.
    pub(super) lowest: HashMap<(CampaignId, Person), i64>,
    /// What campaigns are called.
    pub(super) campaigns: HashMap<CampaignId, Arc<str>>,
}

/// An event of the world.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Where it stands in the recorded journal, or where the last one before it does.
    recorded: EventSeq,
    /// It stands there itself; else this world's own clock brought it, or a merge.
    is_recorded: bool,
    group: GroupId,
}

/// What is known of a world so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) sums: Sums,
    /// The place before the first of [`Tally::slots`].
    base: i64,
    /// The groups of the events up to there.
    before: Vec<GroupId>,
    slots: Vec<Slot>,
    owners: HashMap<AccountId, (CampaignId, Person)>,
    /// Who caused the events of the page under way, by their recorded places, ascending.
    page: Vec<(EventSeq, Option<Person>)>,
    heard: Vec<Heard>,
    /// Where the recalls under way stand: their keys name their messages.
    pub(super) recalls: HashMap<EventKey, EventSeq>,
    /// Who stays in the merge under way.
    pub(super) merging: Option<Person>,
}

impl Tally {
    pub(super) fn new(beginning: &Beginning, campaigns: HashMap<CampaignId, Arc<str>>) -> Self {
        let (before, owners) = (beginning.groups.clone(), beginning.owners.clone());
        Tally { base: beginning.event.0, before, owners, sums: Sums { campaigns, ..Sums::default() }, ..Tally::default() }
    }

    /// From now on these people act.
    pub(super) fn begin(&mut self, page: Vec<(EventSeq, Option<Person>)>) {
        self.page = page;
    }

    /// What was said of the page's events.
    pub(super) fn end(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// Where an event of the recorded journal stands in this world.
    pub(super) fn place_of(&self, seq: EventSeq) -> Option<EventSeq> {
        if seq.0 <= self.base {
            return Some(seq);
        }
        let at = self.slots.partition_point(|slot| slot.recorded < seq);
        self.slots.get(at).filter(|slot| slot.is_recorded && slot.recorded == seq).map(|_| EventSeq(self.base + 1 + at as i64))
    }

    fn take(&mut self, batch: &Batch) {
        self.sums.campaigns.extend(batch.campaigns.iter().map(|(id, _, name)| (*id, name.clone())));
        let mut postings = &batch.postings[..];
        for event in &batch.events {
            let own = postings.iter().take_while(|posting| posting.event == event.row.seq).count();
            let (mine, rest) = postings.split_at(own);
            postings = rest;
            self.event(&event.key, &event.row, mine);
        }
        for cell in batch.accounts.iter().filter(|cell| cell.available < 0) {
            if let Some(owner) = self.owners.get(&cell.id) {
                let lowest = self.sums.lowest.entry(*owner).or_default();
                *lowest = (*lowest).min(cell.available);
            }
        }
    }

    fn event(&mut self, key: &EventKey, row: &EventRow, postings: &[Posting]) {
        let seq = self.recalls.remove(key).or_else(|| recorded(key));
        let recorded = seq.or(self.slots.last().map(|slot| slot.recorded)).unwrap_or_default();
        self.slots.push(Slot { recorded, is_recorded: seq.is_some(), group: row.group });
        if let (Some(account), Some(campaign)) = (row.account, row.campaign)
            && !self.owners.contains_key(&account)
        {
            let person = seq.map_or(self.merging, |seq| self.person(seq));
            self.owners.extend(person.map(|person| (account, (campaign, person))));
        }
        let mut own: Vec<(&Arc<str>, i64)> = Vec::new();
        for posting in postings {
            let Some((campaign, account, points)) = issued(posting) else { continue };
            let slot = posting.slot_event.unwrap_or(row.seq);
            self.add((campaign, account), (&posting.code, self.group(slot), posting.day), points, 0);
            if slot == row.seq {
                match own.iter_mut().find(|(code, _)| **code == posting.code) {
                    Some((_, net)) => *net += points,
                    None => own.push((&posting.code, points)),
                }
            }
        }
        let Some((campaign, account)) = row.campaign.zip(row.account) else { return self.hear(seq, row) };
        for (code, _) in own.iter().filter(|(_, net)| *net > 0) {
            self.add((campaign, account), (code, row.group, row.day), 0, 1);
        }
        for changed in row.record.repair.iter().flat_map(|repair| &repair.changed) {
            let times = i64::from(changed.now > 0) - i64::from(changed.was > 0);
            let day = postings.iter().find(|posting| posting.slot_event == Some(changed.event)).map_or(row.day, |posting| posting.day);
            if times != 0 {
                self.add((campaign, account), (&changed.rule, self.group(changed.event), day), 0, times);
            }
        }
        self.hear(seq, row);
    }

    fn hear(&mut self, seq: Option<EventSeq>, row: &EventRow) {
        for verdict in &row.record.verdicts {
            if let (Some(campaign), Ruling::Shadow(payment)) = (row.campaign, &verdict.ruling) {
                self.sums.shadow.entry((campaign, verdict.rule.clone())).or_default().add(payment.points, 1);
            }
        }
        let Some(seq) = seq else { return };
        let verdicts = row.record.verdicts.iter().map(|verdict| (verdict.rule.clone(), kind(&verdict.ruling), verdict.ruling.booked()));
        let campaign = row.campaign.and_then(|id| self.sums.campaigns.get(&id)).cloned();
        self.heard.push(Heard { seq, campaign, verdicts: verdicts.collect() });
    }

    fn add(&mut self, (campaign, account): (CampaignId, AccountId), (code, group, day): (&Arc<str>, GroupId, Day), points: i64, times: i64) {
        let sums = &mut self.sums;
        match sums.rules.get_mut(&(campaign, code.clone())) {
            Some(paid) => paid.add(points, times),
            None => sums.rules.entry((campaign, code.clone())).or_default().add(points, times),
        }
        sums.groups.entry((campaign, group)).or_default().add(points, times);
        *sums.days.entry((campaign, day)).or_default() += points;
        let Some((_, person)) = self.owners.get(&account) else { return };
        sums.group_members.insert((campaign, group, *person));
        sums.members.entry((campaign, *person)).or_default().add(points, times);
    }

    fn group(&self, seq: EventSeq) -> GroupId {
        let of = |at: i64| usize::try_from(at).ok();
        match seq.0 <= self.base {
            true => of(seq.0 - 1).and_then(|at| self.before.get(at).copied()).unwrap_or(GroupId::NONE),
            false => of(seq.0 - self.base - 1).and_then(|at| self.slots.get(at)).map_or(GroupId::NONE, |slot| slot.group),
        }
    }

    fn person(&self, seq: EventSeq) -> Option<Person> {
        let at = self.page.binary_search_by_key(&seq, |(seq, _)| *seq).ok()?;
        self.page[at].1
    }
}

/// What a posting brings a member by a rule; below zero what it takes back.
pub(super) fn issued(posting: &Posting) -> Option<(CampaignId, AccountId, i64)> {
    match (posting.src, posting.dst) {
        (AccountRef::System { campaign, chart: Chart::Issued }, AccountRef::Member(account)) => Some((campaign, account, posting.amount)),
        (AccountRef::Member(account), AccountRef::System { campaign, chart: Chart::Issued }) => Some((campaign, account, -posting.amount)),
        (AccountRef::System { .. } | AccountRef::Member(_), AccountRef::System { .. } | AccountRef::Member(_)) => None,
    }
}

/// Listens to a world's pipeline.
#[derive(Debug, Clone, Default)]
pub(super) struct Ear(Arc<Mutex<Tally>>);

impl Ear {
    pub(super) fn new(tally: Tally) -> Self {
        Ear(Arc::new(Mutex::new(tally)))
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Ear {
    fn has_room(&self) -> bool {
        true
    }

    fn committed(&self, batch: &Batch) {
        self.tally().take(batch);
    }

    fn disturbed(&self) {}
}
