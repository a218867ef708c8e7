//! Recorded history read back, a page at a time: each row of the journal as the event it was, or as something that stands as it was booked.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::act::Act;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Deed, Traits};
use crate::model::event::{Event, Identity, Kind, Place, Via};
use crate::model::ids::{CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, RulesHash, SourceId};
use crate::model::journal::{EventRow, GroupRow, Posting};
use crate::pipeline::keep::Keep;
use crate::rules::campaign::Rules;
use crate::store::waiting::UNPARKED;
use crate::store::walk::{PAGE, Walk};
use crate::store::{Directory, IdentityRow, Reader, StoreError};

use super::beginning::{Beginning, Fold, Told};
use super::parity::is_decidable;
use super::tally::issued;
use super::world;

/// Behind the corp: where replayed history comes from. It tells when things happened, not when they were heard.
const REPLAYED: &str = "/replay";

/// Rows read at a time where one message is looked for.
const LOOK: usize = 16;

/// A person, the same in all worlds: as recorded history knows them at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Person {
    /// Who earned something.
    Member(MemberId),
    /// Who never did, by an id.
    Identity(IdentityId),
}

/// Some rows of the journal.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
}

impl Page {
    /// The place of the last of them.
    pub(super) fn last(&self) -> u64 {
        self.items.last().map_or(0, |item| item.seq.0.unsigned_abs())
    }
}

/// A row of the journal.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) seq: EventSeq,
    pub(super) at: Millis,
    pub(super) received_at: Millis,
    /// What the clock showed.
    pub(super) clock: Millis,
    /// Who caused it; of a merge, who stays.
    pub(super) who: Option<Person>,
    pub(super) what: What,
}

/// What is done with it.
#[derive(Debug)]
pub(super) enum What {
    /// It is decided again.
    Hear(Box<Event>),
    /// It stands as it was booked.
    Keep(Box<Keep>),
    /// Two persons are made one.
    Merge {
        /// The corp.
        corp: CorpName,
        /// The ids of the one that is no more.
        from: Vec<Identity>,
        /// An id of the one that stays.
        into: Identity,
    },
    /// A merge is taken back.
    Unmerge {
        /// The corp.
        corp: CorpName,
        /// The event that merged.
        merge: EventSeq,
    },
    /// Nothing but that time goes by: each world's own clock does it, or no rule ever looks at it.
    Nothing,
}

/// A row of the journal with all that was booked for it, and what is done with it.
pub(super) struct Recorded {
    pub(super) what: What,
    pub(super) row: EventRow,
    pub(super) postings: Vec<Posting>,
}

/// What is counted while history is read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) erased: u64,
    pub(super) outside: u64,
    pub(super) first: Option<Day>,
    pub(super) last: Option<Day>,
}

/// Reads recorded history from its beginning on.
pub(super) struct History<'r> {
    reader: &'r dyn Reader,
    walk: Walk<'r>,
    directory: Directory,
    sources: HashMap<SourceId, (CorpName, Arc<str>)>,
    groups: HashMap<GroupId, GroupRow>,
    campaigns: HashMap<CampaignId, (CorpName, Arc<str>)>,
    identities: HashMap<IdentityId, Option<IdentityRow>>,
    texts: HashMap<RulesHash, Arc<str>>,
    /// The campaign of single chats under the live rules.
    rest: Option<Arc<str>>,
    from: Option<Millis>,
    until: Option<Millis>,
    clock: Millis,
    /// The first row that is decided again, already read.
    first: Option<(EventRow, Vec<Posting>)>,
    pub(super) counts: Counts,
    /// What rules really paid in the rows that were read, by campaign.
    booked: HashMap<CampaignId, i64>,
    over: bool,
}

impl<'r> History<'r> {
    /// History from `from` until `until`, as the live rules cover it. Freeze the reader first.
    pub(super) fn new(reader: &'r dyn Reader, live: Option<&Rules>, from: Option<Millis>, until: Option<Millis>) -> Result<Self, StoreError> {
        let directory = reader.directory()?;
        let rest = live.into_iter().flat_map(|live| &live.campaigns).find(|campaign| campaign.groups.iter().any(|group| &**group == "*"));
        Ok(History {
            reader,
            walk: Walk::new(reader),
            sources: directory.sources.iter().map(|(key, id)| (*id, key.clone())).collect(),
            groups: directory.groups.values().map(|group| (group.id, group.clone())).collect(),
            campaigns: directory.campaigns.iter().map(|(key, id)| (*id, key.clone())).collect(),
            directory,
            identities: HashMap::new(),
            texts: HashMap::new(),
            rest: rest.map(|campaign| campaign.id.clone()),
            from,
            until,
            clock: Millis(i64::MIN),
            first: None,
            counts: Counts::default(),
            booked: HashMap::new(),
            over: false,
        })
    }

    /// How the worlds begin: all stands as it was booked until the first day that is asked for, and until the last text that is erased.
    /// `progress` is told how many events are behind.
    pub(super) fn beginning(&mut self, closes_boards: bool, progress: &mut dyn FnMut(u64)) -> Result<Beginning, StoreError> {
        let (head, directory) = (self.reader.head()?, self.directory.clone());
        let erased = self.last_erased(head.event)?;
        let mut fold = Fold::new(self.reader, &head, &directory, closes_boards);
        while let Some((row, postings)) = self.walk.step()? {
            let clock = self.clock.max(self.clock_at(&row));
            let is_asked = self.from.is_none_or(|from| clock >= from);
            if is_asked && row.seq > erased || self.until.is_some_and(|until| clock >= until) {
                self.first = Some((row, postings));
                break;
            }
            self.clock = clock;
            self.counts.erased += u64::from(is_asked && &*row.kind == "said");
            self.fold(&mut fold, &row, &postings)?;
            if row.seq.0 % PAGE as i64 == 0 {
                progress(row.seq.0.unsigned_abs());
            }
        }
        fold.finish(&directory)
    }

    fn fold(&mut self, fold: &mut Fold<'r>, row: &EventRow, postings: &[Posting]) -> Result<(), StoreError> {
        let (corp, source) = self.origin(row)?;
        let who = match row.identity {
            Some(id) => self.identity(id)?.cloned().zip(self.person(id)?),
            None => None,
        };
        let key = match &*row.kind {
            "recalled" => EventKey { source, key: self.recalled(row)? }.of_recall(),
            // That a slot is done is known by its own key.
            "due" if row.identity.is_none() => self.reader.key_of(row.seq, row.record.order)?.unwrap_or_else(|| world::key(source, row.record.order, row.seq)),
            _ => world::key(source, row.record.order, row.seq),
        };
        let rules = self.text(row.rules)?;
        fold.take(Told { row, postings, key, corp, who, rules })
    }

    /// The last message whose text is erased. Texts are erased by the day they came, oldest first.
    fn last_erased(&self, last: EventSeq) -> Result<EventSeq, StoreError> {
        let (mut erased, mut readable) = (EventSeq(0), EventSeq(last.0 + 1));
        while readable.0 - erased.0 > 1 {
            let middle = EventSeq(if erased.0 == 0 && readable.0 == last.0 + 1 { 1 } else { erased.0 + (readable.0 - erased.0) / 2 });
            match self.message_from(middle, readable)? {
                Some(message) if self.reader.contents(message)?.is_none() => erased = message,
                Some(_) | None => readable = middle,
            }
        }
        Ok(erased)
    }

    /// The first message from an event on, before another.
    fn message_from(&self, from: EventSeq, before: EventSeq) -> Result<Option<EventSeq>, StoreError> {
        let mut from = from;
        loop {
            let rows = self.reader.events(from, LOOK)?;
            if let Some(row) = rows.iter().find(|row| &*row.kind == "said") {
                return Ok(Some(row.seq).filter(|seq| *seq < before));
            }
            match rows.last() {
                Some(row) if row.seq < before => from = EventSeq(row.seq.0 + 1),
                Some(_) | None => return Ok(None),
            }
        }
    }

    /// The next rows; `None` behind the last.
    pub(super) fn page(&mut self) -> Result<Option<Page>, StoreError> {
        let mut items = Vec::with_capacity(PAGE);
        while items.len() < PAGE && !self.over {
            let next = match self.first.take() {
                Some(first) => Some(first),
                None => self.walk.step()?,
            };
            match next {
                Some((row, postings)) => items.extend(self.item(row, postings)?),
                None => self.over = true,
            }
        }
        Ok(Some(Page { items }).filter(|page| !page.items.is_empty()))
    }

    /// The next rows, each as it is decided again under the very rules it was decided under, or kept; `None` behind the last.
    pub(super) fn recorded_page(&mut self) -> Result<Option<Vec<Recorded>>, StoreError> {
        let mut page = Vec::with_capacity(PAGE);
        while page.len() < PAGE {
            let Some((row, postings)) = self.walk.step()? else { break };
            let kind = if is_decidable(&row) { self.recorded_kind(&row)? } else { None };
            let what = match (kind, &*row.kind) {
                (Some(kind), _) => What::Hear(Box::new(self.event(&row, kind)?)),
                (None, "merged" | "unmerged") => self.reunited(&row)?.1,
                (None, _) => self.kept(row.clone(), postings.clone())?,
            };
            page.push(Recorded { what, row, postings });
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// What happened, what the clock brought included. A message that asked for something and got nothing may have been an operator's command.
    fn recorded_kind(&self, row: &EventRow) -> Result<Option<Kind>, StoreError> {
        let record = &row.record;
        let is_told = |heard: &Traits| heard.asked && heard.question.is_none() && heard.matched.is_empty();
        match &record.deed {
            Some(Deed::Due { job, slot }) => Ok(Some(Kind::Did(Act::Due { job: job.clone(), slot: *slot }))),
            _ if record.heard.as_ref().is_some_and(is_told) && record.verdicts.is_empty() && record.marks.is_empty() => Ok(None),
            _ => self.kind(row),
        }
    }

    /// The groups that are known.
    pub(super) fn group(&self, id: GroupId) -> Option<&GroupRow> {
        self.groups.get(&id)
    }

    /// What rules really paid in a campaign of this name, in the rows that were read.
    pub(super) fn booked(&self, campaign: &str) -> i64 {
        let named = |id: &CampaignId| self.campaigns.get(id).is_some_and(|(_, name)| **name == *campaign);
        self.booked.iter().filter(|(id, _)| named(id)).fold(0, |sum, (_, points)| sum.saturating_add(*points))
    }

    fn item(&mut self, row: EventRow, postings: Vec<Posting>) -> Result<Option<Item>, StoreError> {
        self.clock = self.clock.max(self.clock_at(&row));
        if self.until.is_some_and(|until| self.clock >= until) {
            self.over = true;
            return Ok(None);
        }
        for (campaign, _, points) in postings.iter().filter_map(issued) {
            let booked = self.booked.entry(campaign).or_default();
            *booked = booked.saturating_add(points);
        }
        let who = row.identity.map(|id| self.person(id)).transpose()?.flatten();
        let mut item = Item { seq: row.seq, at: row.at, received_at: row.received_at, clock: self.clock, who, what: What::Nothing };
        match &*row.kind {
            "due" | "unknown" | "rules_changed" | UNPARKED => {}
            "merged" | "unmerged" => {
                let (who, what) = self.reunited(&row)?;
                item = Item { who: who.or(item.who), what, ..item };
            }
            "said" | "recalled" | "joined" | "left" | "happened" | "listed" | "order_paid" => {
                let day = row.day;
                item.what = match self.kind(&row)? {
                    Some(kind) => {
                        self.counts.events += 1;
                        self.counts.first = Some(self.counts.first.map_or(day, |first| first.min(day)));
                        self.counts.last = Some(self.counts.last.map_or(day, |last| last.max(day)));
                        What::Hear(Box::new(self.event(&row, kind)?))
                    }
                    None => {
                        self.counts.erased += 1;
                        self.kept(row, postings)?
                    }
                };
            }
            _ => {
                self.counts.outside += 1;
                item.what = self.kept(row, postings)?;
            }
        }
        Ok(Some(item))
    }

    /// What the clock showed when an event came: replayed history was heard when it happened.
    fn clock_at(&self, row: &EventRow) -> Millis {
        let is_replayed = row.source.and_then(|id| self.sources.get(&id)).is_some_and(|(_, name)| name.ends_with(REPLAYED));
        if is_replayed || &*row.kind == "due" { row.at } else { row.received_at }
    }

    /// What happened; `None` when nobody can read it any more.
    fn kind(&self, row: &EventRow) -> Result<Option<Kind>, StoreError> {
        let contents = || self.reader.contents(row.seq);
        let act = || Ok::<_, StoreError>(contents()?.and_then(|json| serde_json::from_slice(&json).ok()).map(Kind::Did));
        Ok(match &*row.kind {
            "said" => contents()?.and_then(|json| serde_json::from_slice(&json).ok()).map(Kind::Said),
            "recalled" => Some(Kind::Recalled { of: self.recalled(row)? }),
            "joined" => act()?.or(Some(Kind::Did(Act::Joined))),
            "left" => Some(Kind::Did(Act::Left)),
            _ => act()?,
        })
    }

    /// What worlds know the message by that a recall takes back.
    fn recalled(&self, row: &EventRow) -> Result<KeyBytes, StoreError> {
        let of = self.reader.key_of(row.seq, row.record.order)?.and_then(|key| key.recalled());
        let found = match &of {
            Some(of) => self.reader.find_events(of.key)?.into_iter().find(|(source, _)| *source == of.source).map(|(_, seq)| seq),
            None => None,
        };
        // A message that never came is known by the recall's own place, which no message has.
        Ok(world::key(Arc::default(), row.record.order, found.unwrap_or(row.seq)).key)
    }

    fn event(&mut self, row: &EventRow, kind: Kind) -> Result<Event, StoreError> {
        let (corp, source) = self.origin(row)?;
        let who = match row.identity {
            Some(id) => self.identity(id)?.map(|row| row.identity.clone()),
            None => None,
        };
        Ok(Event {
            key: world::key(source, row.record.order, row.seq),
            corp,
            at: row.at,
            received_at: row.received_at,
            clamped: false,
            place: self.place(row, &kind),
            who,
            name: None,
            via: Via::default(),
            kind,
        })
    }

    /// Where it happened. An act that was told of a campaign outside of all groups is in its books.
    fn place(&self, row: &EventRow, kind: &Kind) -> Place {
        let group = self.groups.get(&row.group);
        if let (Kind::Did(Act::Due { .. }), Some((_, campaign))) = (kind, row.campaign.and_then(|id| self.campaigns.get(&id))) {
            return Place::Books { campaign: campaign.clone(), chat: group.map(|group| group.chat.clone()) };
        }
        if let Some(group) = group {
            return Place::Group { chat: group.chat.clone(), kind: group.kind, title: group.title.clone() };
        }
        let campaign = row.campaign.and_then(|id| self.campaigns.get(&id)).map(|(_, name)| name);
        match (kind, campaign) {
            (Kind::Did(_), Some(campaign)) if self.rest.as_ref() != Some(campaign) => Place::Books { campaign: campaign.clone(), chat: None },
            (Kind::Did(_) | Kind::Said(_) | Kind::Recalled { .. } | Kind::Unknown { .. }, _) => Place::Single,
        }
    }

    /// The corp of an event, and the source it came by.
    fn origin(&self, row: &EventRow) -> Result<(CorpName, Arc<str>), StoreError> {
        if let Some((corp, source)) = row.source.and_then(|id| self.sources.get(&id)) {
            return Ok((corp.clone(), source.clone()));
        }
        let key: Option<EventKey> = self.reader.key_of(row.seq, row.record.order)?;
        let key = key.ok_or_else(|| StoreError::Corrupt(format!("事件 {} 没有消息编号。请运行 jifen verify", row.seq)))?;
        Ok((key.corp().into(), key.channel()))
    }

    fn kept(&mut self, row: EventRow, postings: Vec<Posting>) -> Result<What, StoreError> {
        let (corp, source) = self.origin(&row)?;
        let who = match row.identity {
            Some(id) => self.identity(id)?.map(|row| row.identity.clone()),
            None => None,
        };
        let account = match row.account {
            Some(account) => self.reader.earner(account)?.map(|(key, _)| (key.campaign, key.group)),
            None => None,
        };
        let rules = self.text(row.rules)?;
        Ok(What::Keep(Box::new(Keep { key: world::key(source, row.record.order, row.seq), corp, who, account, row, postings, rules })))
    }

    /// The persons of a merge, and what is done again of it. What it did to accounts follows in each world by itself.
    fn reunited(&mut self, row: &EventRow) -> Result<(Option<Person>, What), StoreError> {
        let (corp, _) = self.origin(row)?;
        match &row.record.deed {
            Some(Deed::Merged { from: _, into, identities }) => {
                let stays = self.stays(row.seq, *into, identities)?;
                // The id by which it was asked for comes first.
                let mut identities = identities.clone();
                identities.sort_by_key(|id| Some(*id) != row.identity);
                let mut from = Vec::with_capacity(identities.len());
                for id in &identities {
                    from.extend(self.identity(*id)?.map(|row| row.identity.clone()));
                }
                let Some(stays) = stays else { return Ok((None, What::Nothing)) };
                let person = self.person(stays.id)?;
                Ok((person, What::Merge { corp, from, into: stays.identity }))
            }
            Some(Deed::Unmerged { merge }) => Ok((None, What::Unmerge { corp, merge: *merge })),
            Some(Deed::Joined | Deed::Left | Deed::Happened { .. } | Deed::Due { .. } | Deed::Willed | Deed::Listed { .. } | Deed::Transferred { .. })
            | None => Ok((None, What::Nothing)),
        }
    }

    /// An id of the one that stays: accounts that got something name it; else any that leads there.
    fn stays(&mut self, merge: EventSeq, into: MemberId, gone: &[IdentityId]) -> Result<Option<IdentityRow>, StoreError> {
        if let Some(second) = self.reader.event(EventSeq(merge.0 + 2))?
            && matches!(second.record.deed, Some(Deed::Transferred { by, out: false, .. }) if by == merge)
            && let Some(id) = second.identity
        {
            return self.identity(id).map(|row| row.cloned());
        }
        Ok(self.reader.identities_of(into)?.into_iter().find(|row| !gone.contains(&row.id)))
    }

    fn identity(&mut self, id: IdentityId) -> Result<Option<&IdentityRow>, StoreError> {
        if !self.identities.contains_key(&id) {
            let row = self.reader.identity(id)?;
            self.identities.insert(id, row);
        }
        Ok(self.identities.get(&id).and_then(Option::as_ref))
    }

    fn person(&mut self, id: IdentityId) -> Result<Option<Person>, StoreError> {
        Ok(self.identity(id)?.map(|row| row.member.map_or(Person::Identity(id), Person::Member)))
    }

    fn text(&mut self, hash: RulesHash) -> Result<Arc<str>, StoreError> {
        if let Some(text) = self.texts.get(&hash) {
            return Ok(text.clone());
        }
        let text = self.reader.rules_text(hash)?.unwrap_or_default();
        self.texts.insert(hash, text.clone());
        Ok(text)
    }
}
