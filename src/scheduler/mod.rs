//! The clock turned into events: which slot of which job is next, and its events, a chunk at a time.
//!
//! [`Scheduler::step`] never waits and never writes. Whoever calls it submits the events, tells [`Scheduler::done`], and calls it again: the daemon's
//! loop ([`daemon`]), a replay before each line whose time is later, tests. What is left of a slot after a crash is found again: an event's
//! key names its job, slot and account, and the last event of a slot says that the slot is done.

pub mod daemon;

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::act::Act;
use crate::model::cells::AccountCell;
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, Identity, Kind, Place, Via};
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, GroupId, KeyBytes, RulesHash};
use crate::outbox::board::Boards;
use crate::outbox::gather::Unready;
use crate::outbox::standing::{Read, winners};
use crate::pipeline::{Pipeline, Work};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::clock::{Counts, Job, Reach, Slot, jobs};
use crate::rules::coverage::{Coverage, covers};
use crate::rules::presence;
use crate::store::{Directory, Reader, Store, StoreError};

/// Accounts looked at in one step: some milliseconds of reading.
pub const CHUNK: usize = 1_000;

/// Slots missed for longer are passed over: as long as two monthly closings, more than late messages are repaired for.
const MISSED_SECS_MAX: i64 = 62 * 86_400;

/// Events that one transaction takes where nobody else waits ([`catch_up`]).
const EVENTS_PER_BATCH: usize = 512;

/// What is to be done now.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Nothing before this instant; for ever without one.
    Rest(Option<Millis>),
    /// Submit these, in this order, and say so ([`Scheduler::done`]). May be none.
    Submit(Vec<Event>),
}

/// Knows which slot is next.
pub struct Scheduler {
    reader: Box<dyn Reader>,
    corps: Vec<CorpName>,
    rooms: Vec<(CorpName, Arc<str>)>,
    channel: Channel,
    chunk: usize,
    /// The rules that `next` was made for.
    rules: Option<RulesHash>,
    /// The next slot of each job.
    next: HashMap<JobKey, Option<Slot>>,
    run: Option<Run>,
    /// The boards whose winners get titles.
    boards: Boards,
    /// Where the run goes on once what was handed out is committed.
    then: Option<Phase>,
    /// What was counted in the accounts walked so far in this run, by job and group.
    counted: Counted,
    /// What was counted in the chunk that was handed out last.
    counting: Counted,
}

/// Counts by job and group.
type Counted = HashMap<(JobKey, GroupId), Counts>;

/// A job of a campaign of a corp.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct JobKey {
    corp: CorpName,
    campaign: Arc<str>,
    job: Arc<str>,
}

/// Slots of one corp and instant that are run together, so that the accounts are walked once.
#[derive(Debug, Clone)]
struct Run {
    corp: CorpName,
    items: Vec<(JobKey, Slot)>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Accounts after this one.
    Accounts(AccountId),
    Groups,
    Winners,
    /// The events that say the slots are done.
    Closing,
    Over,
}

impl Scheduler {
    /// A scheduler that reads through `reader`. Its events come by `channel`: [`Channel::Replay`] for history, of which nothing is said.
    pub fn new(reader: Box<dyn Reader>, channel: Channel) -> Self {
        let (corps, rooms, next) = (Vec::new(), Vec::new(), HashMap::new());
        let (boards, counted, counting) = (Boards::default(), Counted::new(), Counted::new());
        Scheduler { reader, corps, rooms, channel, chunk: CHUNK, rules: None, next, run: None, boards, then: None, counted, counting }
    }

    /// With other chunks; for tests.
    pub fn with_chunk(self, chunk: usize) -> Self {
        Scheduler { chunk, ..self }
    }

    /// Has it care for a corp from now on. Tells whether it is a new one.
    pub fn know_corp(&mut self, corp: &CorpName) -> bool {
        let is_new = !self.corps.contains(corp);
        if is_new {
            self.corps.push(corp.clone());
            self.rules = None;
        }
        is_new
    }

    /// Tells of a group that the corp can speak in, though nobody was heard there yet.
    pub fn know_room(&mut self, corp: &CorpName, chat: &Arc<str>) {
        self.know_corp(corp);
        self.rooms.push((corp.clone(), chat.clone()));
    }

    /// What is to be done now. The same again until [`Scheduler::done`] is called.
    ///
    /// # Errors
    /// The store could not be read; ask again later.
    pub fn step(&mut self, rules: &Rules, now: Millis) -> Result<Step, StoreError> {
        if self.rules != Some(rules.hash) {
            (self.run, self.then) = (None, None);
            self.counted.clear();
            self.next = self.first_slots(rules, now)?;
            self.rules = Some(rules.hash);
        }
        if self.run.is_none() {
            self.pass_over(rules, now);
            match self.next.iter().filter_map(|(key, slot)| Some((slot.as_ref()?.at, &key.corp))).min() {
                Some((at, corp)) if at <= now => self.run = Some(self.run_of(rules, corp.clone(), at)),
                earliest => return Ok(Step::Rest(earliest.map(|(at, _)| at))),
            }
        }
        let Some(run) = self.run.clone() else { return Ok(Step::Rest(None)) };
        let directory = self.reader.directory()?;
        let (events, then) = match run.phase {
            Phase::Accounts(after) => {
                let accounts = self.reader.accounts(after, self.chunk)?;
                let then = accounts.last().filter(|_| accounts.len() == self.chunk).map_or(Phase::Groups, |last| Phase::Accounts(last.id));
                self.counting = count(rules, &run, &directory, &accounts);
                (self.of_accounts(rules, &run, &directory, &accounts, now)?, then)
            }
            Phase::Groups => (self.of_groups(rules, &run, &directory, now), Phase::Winners),
            Phase::Winners => match self.of_winners(rules, &run, &directory, now)? {
                Some(events) => (events, Phase::Closing),
                None => (Vec::new(), Phase::Winners),
            },
            Phase::Closing => (run.items.iter().map(|(key, slot)| self.event(key, *slot, Whom::All, now)).collect(), Phase::Over),
            Phase::Over => (Vec::new(), Phase::Over),
        };
        self.then = Some(then);
        Ok(Step::Submit(events))
    }

    /// What the last step handed out is committed.
    pub fn done(&mut self, rules: &Rules, now: Millis) {
        let (Some(run), Some(then)) = (&mut self.run, self.then.take()) else { return };
        std::mem::take(&mut self.counting).into_iter().for_each(|(key, counts)| add(&mut self.counted, key, counts));
        run.phase = then;
        if then != Phase::Over {
            return;
        }
        self.counted.clear();
        let items = self.run.take().map(|run| run.items).unwrap_or_default();
        for (key, slot) in items {
            let next = with_job(rules, &key, |campaign, job| job.next_slot(&campaign.calendar, slot.at.max(oldest(job, now)))).flatten();
            self.next.insert(key, next);
        }
    }

    /// Passes over slots that are not worth running any more: the machine slept, or the clock was set.
    fn pass_over(&mut self, rules: &Rules, now: Millis) {
        for (key, next) in self.next.iter_mut().filter(|(_, next)| next.is_some_and(|slot| slot.at <= now)) {
            let first = with_job(rules, key, |campaign, job| {
                let oldest = oldest(job, now);
                next.filter(|slot| slot.at > oldest).or_else(|| job.next_slot(&campaign.calendar, oldest))
            });
            *next = first.flatten();
        }
    }

    /// For each job the first slot that is not done. A job that never ran begins with its newest slot, or, where no account is there yet, with the
    /// next to come.
    fn first_slots(&self, rules: &Rules, now: Millis) -> Result<HashMap<JobKey, Option<Slot>>, StoreError> {
        let has_accounts = self.reader.head()?.account.0 > 0;
        let mut next = HashMap::new();
        for corp in self.all_corps()? {
            for campaign in &rules.campaigns {
                for job in jobs(campaign) {
                    let key = JobKey { corp: corp.clone(), campaign: campaign.id.clone(), job: job.name() };
                    let slot = self.first_slot(campaign, &*job, &key, has_accounts, now)?;
                    next.insert(key, slot);
                }
            }
        }
        Ok(next)
    }

    fn first_slot(&self, campaign: &Campaign, job: &dyn Job, key: &JobKey, has_accounts: bool, now: Millis) -> Result<Option<Slot>, StoreError> {
        let following = |after| job.next_slot(&campaign.calendar, after);
        let missed: Vec<Slot> = std::iter::successors(following(oldest(job, now)), |slot| following(slot.at)).take_while(|slot| slot.at <= now).collect();
        for (place, slot) in missed.iter().enumerate().rev() {
            if self.is_done(key, *slot)? {
                return Ok(missed.get(place + 1).copied().or_else(|| following(slot.at)));
            }
        }
        let newest = missed.last().copied().filter(|_| has_accounts || job.stale_after_secs().is_some());
        Ok(newest.or_else(|| following(now)))
    }

    fn is_done(&self, key: &JobKey, slot: Slot) -> Result<bool, StoreError> {
        let key = event_key(key, slot, Whom::All);
        Ok(self.reader.find_events(key.key)?.iter().any(|(source, _)| *source == key.source))
    }

    /// Those it was told of, and those of the store.
    fn all_corps(&self) -> Result<Vec<CorpName>, StoreError> {
        let mut corps = self.corps.clone();
        corps.extend(self.reader.directory()?.campaigns.into_keys().map(|(corp, _)| corp));
        corps.sort();
        corps.dedup();
        Ok(corps)
    }

    /// All slots of this corp and instant, in the order of the campaigns and their jobs.
    fn run_of(&self, rules: &Rules, corp: CorpName, at: Millis) -> Run {
        let all = rules.campaigns.iter().flat_map(|campaign| jobs(campaign).into_iter().map(|job| (campaign.id.clone(), job.name())));
        let keys = all.map(|(campaign, job)| JobKey { corp: corp.clone(), campaign, job });
        let items = keys.filter_map(|key| self.next.get(&key)?.filter(|slot| slot.at == at).map(|slot| (key, slot)));
        let items: Vec<(JobKey, Slot)> = items.collect();
        let walks = |job: &dyn Job| job.reach() == Reach::Accounts || job.has_counts();
        let phase =
            if items.iter().any(|(key, _)| with_job(rules, key, |_, job| walks(job)) == Some(true)) { Phase::Accounts(AccountId(0)) } else { Phase::Groups };
        Run { corp, items, phase }
    }

    /// The events of a chunk of accounts.
    fn of_accounts(&self, rules: &Rules, run: &Run, directory: &Directory, accounts: &[AccountCell], now: Millis) -> Result<Vec<Event>, StoreError> {
        let walkers = walkers(rules, run, directory);
        let mut events = Vec::new();
        for account in accounts {
            for walker in walkers.iter().filter(|walker| walker.number == account.key.campaign && walker.job.reach() == Reach::Accounts) {
                let due = walker.job.due(walker.campaign, walker.slot, account);
                let whom = if due.is_empty() { None } else { self.whom(directory, account)? };
                events.extend(whom.iter().flat_map(|whom| due.iter().map(|slot| self.event(walker.key, *slot, whom.clone(), now))));
            }
        }
        Ok(events)
    }

    /// Who an account belongs to; `None` where nothing leads to it any more.
    fn whom(&self, directory: &Directory, account: &AccountCell) -> Result<Option<Whom>, StoreError> {
        let Some(identity) = self.reader.identities_of(account.key.member)?.into_iter().next() else { return Ok(None) };
        let name = self.reader.member(account.key.member)?.and_then(|member| member.name).map(|name| name.to_string());
        let group = directory.groups.values().find(|group| account.key.group != GroupId::NONE && group.id == account.key.group);
        Ok(Some(Whom::Account { id: account.id, who: identity.identity, name, chat: group.map(|group| group.chat.clone()) }))
    }

    fn of_groups(&self, rules: &Rules, run: &Run, directory: &Directory, now: Millis) -> Vec<Event> {
        let mut events = Vec::new();
        for (key, slot) in &run.items {
            let is_of_groups = with_job(rules, key, |_, job| job.reach() == Reach::Groups) == Some(true);
            let rooms = if is_of_groups { self.rooms_of(rules, key, directory) } else { Vec::new() };
            let has_counts = with_job(rules, key, |_, job| job.has_counts()) == Some(true);
            for chat in rooms {
                let number = directory.groups.get(&(key.corp.clone(), chat.clone())).map(|group| group.id);
                let counts = number.and_then(|number| self.counted.get(&(key.clone(), number)).copied()).unwrap_or_default();
                let event = self.event(key, *slot, Whom::Group(chat), now);
                match (has_counts, counts[0] > 0) {
                    (true, false) => {}
                    (true, true) => {
                        let act = Act::Counted { job: key.job.clone(), slot: slot.number, counts };
                        events.push(Event { kind: Kind::Did(act), ..event });
                    }
                    (false, _) => events.push(event),
                }
            }
        }
        events
    }

    /// The groups of a campaign that a job concerns, by chat id.
    fn rooms_of(&self, rules: &Rules, key: &JobKey, directory: &Directory) -> Vec<Arc<str>> {
        let is_title = |title: &str| directory.groups.iter().any(|((corp, _), group)| *corp == key.corp && group.title.as_deref() == Some(title));
        let mut rooms: Vec<(Arc<str>, Place)> = Vec::new();
        for ((_, chat), group) in directory.groups.iter().filter(|((corp, _), _)| *corp == key.corp) {
            rooms.push((chat.clone(), Place::Group { chat: chat.clone(), kind: group.kind, title: group.title.clone() }));
        }
        for (_, chat) in self.rooms.iter().filter(|(corp, chat)| *corp == key.corp && !directory.groups.contains_key(&(corp.clone(), chat.clone()))) {
            rooms.push((chat.clone(), Place::Group { chat: chat.clone(), kind: crate::model::event::GroupKind::Internal, title: None }));
        }
        rooms.retain(|(chat, place)| {
            let Place::Group { title, .. } = place else { return false };
            let covered = match covers(rules, place, title.as_deref(), &is_title) {
                Coverage::Campaign(at) => rules.campaigns[at].id == key.campaign,
                Coverage::None | Coverage::Unresolved => false,
            };
            covered && with_job(rules, key, |_, job| job.concerns(chat, title.as_deref())) == Some(true)
        });
        rooms.sort_by(|(a, _), (b, _)| a.cmp(b));
        rooms.dedup_by(|(a, _), (b, _)| a == b);
        rooms.into_iter().map(|(chat, _)| chat).collect()
    }

    /// Who won a title; `None` while the board is still being read.
    fn of_winners(&mut self, rules: &Rules, run: &Run, directory: &Directory, now: Millis) -> Result<Option<Vec<Event>>, StoreError> {
        let mut events = Vec::new();
        for (key, slot) in &run.items {
            let Some(campaign) = rules.campaigns.iter().find(|campaign| campaign.id == key.campaign) else { continue };
            let jobs = jobs(campaign);
            let Some(title) = jobs.iter().find(|job| job.name() == key.job && job.reach() == Reach::Winners).and_then(|job| job.title()) else { continue };
            let read = Read { reader: &*self.reader, corp: key.corp.clone(), campaign, now };
            let winners = match winners(&read, &mut self.boards, title, title.period(slot.number)) {
                Ok(winners) => winners.unwrap_or_default(),
                Err(Unready::Behind) => return Ok(None),
                Err(Unready::Store(error)) => return Err(error),
                Err(Unready::TooLarge) => {
                    tracing::warn!(job = %key.job, "too many accounts for a board: the title is not awarded");
                    Vec::new()
                }
            };
            for spot in winners {
                let Some(account) = self.reader.account(spot.account)? else { continue };
                events.extend(self.whom(directory, &account)?.map(|whom| self.event(key, *slot, whom, now)));
            }
        }
        Ok(Some(events))
    }

    fn event(&self, key: &JobKey, slot: Slot, whom: Whom, now: Millis) -> Event {
        let event_key = event_key(key, slot, whom.clone());
        let (who, name, chat) = match whom {
            Whom::Account { id: _, who, name, chat } => (Some(who), name, chat),
            Whom::Group(chat) => (None, None, Some(chat)),
            Whom::All => (None, None, None),
        };
        Event {
            key: event_key,
            corp: key.corp.clone(),
            at: slot.at,
            received_at: now,
            clamped: false,
            place: Place::Books { campaign: key.campaign.clone(), chat },
            who,
            name,
            via: Via { channel: self.channel, ..Via::default() },
            kind: Kind::Did(Act::Due { job: key.job.clone(), slot: slot.number }),
        }
    }
}

/// A job that looks at accounts.
struct Walker<'r> {
    key: &'r JobKey,
    slot: Slot,
    number: CampaignId,
    campaign: &'r Campaign,
    job: Box<dyn Job + 'r>,
}

/// The jobs of a run that look at accounts, with their campaigns.
fn walkers<'r>(rules: &'r Rules, run: &'r Run, directory: &Directory) -> Vec<Walker<'r>> {
    let mut walkers = Vec::new();
    for (key, slot) in &run.items {
        let number = directory.campaigns.get(&(run.corp.clone(), key.campaign.clone()));
        let campaign = rules.campaigns.iter().find(|campaign| campaign.id == key.campaign);
        let job = campaign.and_then(|campaign| jobs(campaign).into_iter().find(|job| job.name() == key.job));
        if let (Some(number), Some(campaign), Some(job)) = (number, campaign, job) {
            walkers.push(Walker { key, slot: *slot, number: *number, campaign, job });
        }
    }
    walkers
}

/// Counts a chunk of accounts, each in the groups it is in.
fn count(rules: &Rules, run: &Run, directory: &Directory, accounts: &[AccountCell]) -> Counted {
    let mut counted = Counted::new();
    for walker in walkers(rules, run, directory).iter().filter(|walker| walker.job.has_counts()) {
        for account in accounts.iter().filter(|account| account.key.campaign == walker.number) {
            let counts = walker.job.counts(walker.campaign, walker.slot, account);
            for group in presence::groups(&account.state).filter(|_| counts != [0; 2]) {
                add(&mut counted, (walker.key.clone(), group), counts);
            }
        }
    }
    counted
}

fn add(counted: &mut Counted, key: (JobKey, GroupId), counts: Counts) {
    counted.entry(key).or_default().iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

/// Whom an event is of.
#[derive(Debug, Clone)]
enum Whom {
    Account { id: AccountId, who: Identity, name: Option<String>, chat: Option<Arc<str>> },
    Group(Arc<str>),
    All,
}

/// Unique for ever, on any number of daemons over one database.
fn event_key(key: &JobKey, slot: Slot, whom: Whom) -> EventKey {
    let whom = match whom {
        Whom::Account { id, .. } => format!("account/{}", id.0),
        Whom::Group(chat) => format!("group/{chat}"),
        Whom::All => "done".to_owned(),
    };
    let text = format!("{}/{}/{}/{whom}", key.job, key.campaign, slot.number);
    EventKey { source: format!("{}/clock", key.corp).into(), key: KeyBytes::digest(text.as_bytes()) }
}

/// The instant before which a missed slot is passed over.
fn oldest(job: &dyn Job, now: Millis) -> Millis {
    now.plus_secs(-job.stale_after_secs().unwrap_or(MISSED_SECS_MAX))
}

fn with_job<T>(rules: &Rules, key: &JobKey, ask: impl FnOnce(&Campaign, &dyn Job) -> T) -> Option<T> {
    let campaign = rules.campaigns.iter().find(|campaign| campaign.id == key.campaign)?;
    let job = jobs(campaign).into_iter().find(|job| job.name() == key.job)?;
    Some(ask(campaign, &*job))
}

/// Runs everything that is due, in transactions of its own, where nobody else waits: history, tests.
///
/// What is due at `now` is heard at `heard_at`. Tells when the next slot comes.
///
/// # Errors
/// The store could not be read or written; what was committed stays.
pub fn catch_up<S: Store>(pipeline: &mut Pipeline<S>, scheduler: &mut Scheduler, now: Millis, heard_at: Millis) -> Result<Option<Millis>, StoreError> {
    let rules = pipeline.rules();
    loop {
        match scheduler.step(&rules, now)? {
            Step::Rest(until) => return Ok(until),
            Step::Submit(events) => {
                for events in events.chunks(EVENTS_PER_BATCH) {
                    let works: Vec<Work> =
                        events.iter().map(|event| Work::Hear(Box::new(pipeline.prepare(&rules, Event { received_at: heard_at, ..event.clone() })))).collect();
                    pipeline.run(&works)?;
                }
                scheduler.done(&rules, now);
            }
        }
    }
}
