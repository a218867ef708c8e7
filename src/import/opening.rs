//! Opening balances: what people had elsewhere, booked once for each of them.
//!
//! A person's opening in a campaign has one key for ever, whatever file tells it. A file that comes again changes nothing; one that tells
//! another balance is told, and booked beside the first only when that is asked for.

use std::sync::Arc;

use super::members::{self, How, Opening, Survey};
use super::table::{Table, TableError};
use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::decision::Chart;
use crate::model::event::{Channel, Event, Kind, Place, Via};
use crate::model::ids::{CorpName, EventKey, EventSeq, KeyBytes, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::pipeline::{Done, Pipeline, Work};
use crate::store::{PersonKey, Reader, Store, StoreError};

/// Rows told one by one whose balance was booked otherwise before; the rest is counted.
const DIFFERENT_MAX: usize = 50;

/// Postings read at a time where they are summed.
const PAGE: usize = 4_096;

/// A file that was looked at.
pub struct Sheet<'a> {
    /// The file.
    pub table: &'a mut Table,
    /// How it is read.
    pub how: &'a How,
    /// What is in it.
    pub survey: &'a Survey,
}

/// Where openings are booked.
#[derive(Debug, Clone)]
pub struct Target {
    /// The corp, by its key in jifen.toml.
    pub corp: CorpName,
    /// The campaign, by its id in rules.toml.
    pub campaign: Arc<str>,
    /// When.
    pub at: Millis,
    /// Books a balance that differs from the one booked before beside it, once for this file.
    pub adds: bool,
}

/// What came of an import, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Booked {
    /// Openings booked now.
    pub new: u64,
    /// Their points.
    pub new_points: i64,
    /// Openings that were booked before just so.
    pub same: u64,
    /// Their points.
    pub same_points: i64,
    /// Openings that were booked otherwise before and are not booked now.
    pub different: u64,
    /// Their points in the file.
    pub different_points: i64,
    /// The first of them.
    pub examples: Vec<Different>,
}

/// A person whose opening was booked otherwise before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Different {
    /// The row.
    pub row: u64,
    /// The id.
    pub member: Arc<str>,
    /// Points booked before; 0 where there was no room for them.
    pub booked: i64,
    /// Points in the file.
    pub told: i64,
}

/// Why an import stopped. What was booked before it stays and is not booked again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The store.
    #[error("写不进数据库:{0}")]
    Store(#[from] StoreError),
    /// The ledger does not hold what was booked.
    #[error("记入账本的期初合计是 {booked},应是 {told};请运行 jifen verify")]
    Unequal {
        /// By the ledger.
        booked: i64,
        /// By this import.
        told: i64,
    },
}

/// Says what booking would do; writes nothing.
///
/// # Errors
/// See [`ImportError`].
pub fn rehearse(reader: &dyn Reader, sheet: &mut Sheet<'_>, target: &Target, progress: &mut dyn FnMut(u64)) -> Result<Booked, ImportError> {
    let (mut booked, mut rows) = (Booked::default(), 0);
    let survey = sheet.survey;
    members::again(sheet.table, sheet.how, survey, |openings| -> Result<(), ImportError> {
        rows += openings.len() as u64;
        for opening in &openings {
            match find(reader, &key(target, opening, None))? {
                None => booked.count_new(opening),
                Some(seq) => match booked.count_known(opening, opened(reader, seq)?) {
                    true if target.adds && find(reader, &key(target, opening, Some(survey)))?.is_none() => booked.add(opening),
                    true | false => {}
                },
            }
        }
        progress(rows);
        Ok(())
    })?;
    Ok(booked)
}

/// Books what a first reading found good, some hundred rows a transaction.
///
/// # Errors
/// See [`ImportError`].
pub fn book<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    sheet: &mut Sheet<'_>,
    target: &Target,
    progress: &mut dyn FnMut(u64),
) -> Result<Booked, ImportError> {
    let (mut booked, mut rows) = (Booked::default(), 0);
    let before = reader.head()?.posting;
    let survey = sheet.survey;
    members::again(sheet.table, sheet.how, survey, |openings| -> Result<(), ImportError> {
        let keys = openings.iter().map(|opening| key(target, opening, None));
        let done = hear(pipeline, reader, target, openings.iter().zip(keys))?;
        let mut more = Vec::new();
        for (opening, done) in openings.iter().zip(done) {
            if !done.known {
                booked.count_new(opening);
            } else if booked.count_known(opening, opened(reader, done.seq)?) && target.adds {
                more.push(opening);
            }
        }
        let keys = more.iter().map(|opening| key(target, opening, Some(survey)));
        let done = hear(pipeline, reader, target, more.iter().copied().zip(keys))?;
        more.iter().zip(done).filter(|(_, done)| !done.known).for_each(|(opening, _)| booked.add(opening));
        rows += openings.len() as u64;
        progress(rows);
        Ok(())
    })?;
    let told = booked.new_points;
    match sum_since(reader, before)? {
        sum if sum == told => Ok(booked),
        sum => Err(ImportError::Unequal { booked: sum, told }),
    }
}

impl Booked {
    fn count_new(&mut self, opening: &Opening) {
        self.new += 1;
        self.new_points += opening.points;
    }

    /// Whether it differs from what was booked before.
    fn count_known(&mut self, opening: &Opening, before: i64) -> bool {
        if before == opening.points {
            self.same += 1;
            self.same_points += opening.points;
            return false;
        }
        self.different += 1;
        self.different_points += opening.points;
        if self.examples.len() < DIFFERENT_MAX {
            self.examples.push(Different { row: opening.row, member: opening.who.value.clone(), booked: before, told: opening.points });
        }
        true
    }

    /// What differs is booked after all.
    fn add(&mut self, opening: &Opening) {
        self.different -= 1;
        self.different_points -= opening.points;
        self.examples.retain(|example| example.row != opening.row);
        self.count_new(opening);
    }
}

fn hear<'o, S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    target: &Target,
    openings: impl Iterator<Item = (&'o Opening, EventKey)>,
) -> Result<Vec<Done>, ImportError> {
    let rules = pipeline.rules();
    let mut works = Vec::new();
    for (opening, key) in openings {
        let event = Event { name: new_name(reader, target, opening)?, ..event(target, opening, key) };
        works.push(Work::Hear(Box::new(pipeline.prepare(&rules, event))));
    }
    if works.is_empty() { Ok(Vec::new()) } else { Ok(pipeline.run(&works)?) }
}

/// The name in the file, unless a channel told one before: that is the newer.
fn new_name(reader: &dyn Reader, target: &Target, opening: &Opening) -> Result<Option<String>, StoreError> {
    let Some(name) = &opening.name else { return Ok(None) };
    let identity = crate::model::event::Identity { kind: opening.who.kind, value: opening.who.folded().into() };
    let known = reader.person(&PersonKey { corp: target.corp.clone(), identity })?.and_then(|person| person.name);
    Ok(known.is_none().then(|| name.clone()))
}

fn event(target: &Target, opening: &Opening, key: EventKey) -> Event {
    Event {
        key,
        corp: target.corp.clone(),
        at: target.at,
        received_at: target.at,
        clamped: false,
        place: Place::Books { campaign: target.campaign.clone(), chat: opening.chat.as_deref().map(Into::into) },
        who: Some(opening.who.clone()),
        name: None,
        via: Via { channel: Channel::Replay, ..Via::default() },
        kind: Kind::Did(Act::Opened { points: opening.points }),
    }
}

/// The key of a person's opening in a campaign; beside another one, that of this file's.
fn key(target: &Target, opening: &Opening, beside: Option<&Survey>) -> EventKey {
    let (who, chat) = (&opening.who, opening.chat.as_deref().unwrap_or_default());
    let mut name = format!("members\0{}\0{chat}\0{}\0{}", target.campaign, who.kind.as_str(), who.folded()).into_bytes();
    name.extend(beside.into_iter().flat_map(Survey::digest));
    EventKey { source: format!("{}/import", target.corp).into(), key: KeyBytes::digest(&name) }
}

fn find(reader: &dyn Reader, key: &EventKey) -> Result<Option<EventSeq>, StoreError> {
    let found = reader.find_events(key.key)?;
    Ok(found.into_iter().find(|(source, _)| *source == key.source).map(|(_, seq)| seq))
}

/// What an opening booked.
fn opened(reader: &dyn Reader, seq: EventSeq) -> Result<i64, StoreError> {
    Ok(reader.postings_of(seq)?.iter().filter(|posting| is_opening(posting)).map(|posting| posting.amount).sum())
}

/// What the ledger took in from elsewhere behind this posting.
fn sum_since(reader: &dyn Reader, before: PostingSeq) -> Result<i64, StoreError> {
    let (mut sum, mut from) = (0_i64, PostingSeq(before.0 + 1));
    loop {
        let page = reader.postings(from, PAGE)?;
        let Some(last) = page.last() else { return Ok(sum) };
        from = PostingSeq(last.seq.0 + 1);
        sum += page.iter().filter(|posting| is_opening(posting)).map(|posting| posting.amount).sum::<i64>();
    }
}

fn is_opening(posting: &Posting) -> bool {
    matches!(posting.src, AccountRef::System { chart: Chart::Opening, .. })
}
