//! A world: the pipeline over a store in memory, with a clock of its own, that hears recorded events under rules of its own.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::model::day::Millis;
use crate::model::decision::{Deed, Outcome, Record};
use crate::model::event::{Channel, Event, Identity, Kind};
use crate::model::ids::{CampaignId, CorpName, EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq};
use crate::model::journal::Posting;
use crate::pipeline::keep::Keep;
use crate::pipeline::merge::Merge;
use crate::pipeline::unmerge::Unmerge;
use crate::pipeline::{Pipeline, Work, recall};
use crate::rules::campaign::Rules;
use crate::scheduler::{Scheduler, catch_up};
use crate::store::lean::LeanStore;
use crate::store::{Reader, StoreError};

use super::beginning::Beginning;
use super::history::{Item, Page, What};
use super::tally::{Ear, Sums, Tally};

/// Events decided in one transaction.
const EVENTS_PER_BATCH: usize = 512;

/// Bytes of a key that say where its event stands in the recorded journal.
const PLACE: std::ops::Range<usize> = 8..16;

/// The key under which worlds know a recorded event: it orders events as the platform's own id does, and says where the event stands.
pub(super) fn key(source: Arc<str>, order: u64, seq: EventSeq) -> EventKey {
    let bytes = [order.to_be_bytes(), seq.0.to_be_bytes()].concat();
    EventKey { source, key: KeyBytes::from_slice(&bytes) }
}

/// Where the event of such a key stands; `None` for what a world's own clock or a merge brought.
pub(super) fn recorded(key: &EventKey) -> Option<EventSeq> {
    if key.source.ends_with("/clock") || key.source.ends_with("/merge") {
        return None;
    }
    let bytes: [u8; 8] = key.key.as_slice().get(PLACE)?.try_into().ok()?;
    Some(EventSeq(i64::from_be_bytes(bytes)))
}

/// What a world said of a recorded event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Heard {
    pub(super) seq: EventSeq,
    pub(super) campaign: Option<Arc<str>>,
    /// Each with its rule, its kind in words, and the points it booked.
    pub(super) verdicts: Vec<(Arc<str>, &'static str, i64)>,
}

/// A world.
pub(super) struct World {
    pipeline: Pipeline<LeanStore>,
    store: LeanStore,
    reader: Box<dyn Reader>,
    rules: Arc<Rules>,
    scheduler: Scheduler,
    /// When its clock brings something next; `None` before the first event.
    next: Option<Millis>,
    works: Vec<Work>,
    ear: Ear,
    /// The last posting from before.
    before: PostingSeq,
    /// Where kept postings stand here.
    kept: HashMap<PostingSeq, PostingSeq>,
    /// Where merges stand here.
    merges: HashMap<EventSeq, EventSeq>,
}

impl World {
    /// A world as recorded history left it where it begins.
    pub(super) fn new(beginning: &Beginning, rules: Arc<Rules>, fingerprints: FingerprintKey) -> World {
        let store = beginning.store.copied();
        let mut scheduler = Scheduler::new(Box::new(store.reader()), Channel::Replay);
        let campaigns = beginning.directory.campaigns.iter();
        let campaigns: HashMap<CampaignId, Arc<str>> = campaigns.map(|((_, name), id)| (*id, name.clone())).collect();
        for corp in beginning.corps() {
            scheduler.know_corp(&corp);
        }
        let ear = Ear::new(Tally::new(beginning, campaigns));
        let reader = Box::new(store.reader());
        let pipeline = Pipeline::new(store.clone(), Arc::new(ArcSwap::new(rules.clone())), fingerprints, Box::new(ear.clone())).for_points_only();
        World {
            pipeline,
            store,
            reader,
            rules,
            scheduler,
            next: None,
            works: Vec::new(),
            ear,
            before: beginning.posting,
            kept: HashMap::new(),
            merges: HashMap::new(),
        }
    }

    /// Hears a page of events; says what was said of each that is decided again.
    pub(super) fn hear(&mut self, page: &Page) -> Result<Vec<Heard>, StoreError> {
        self.ear.tally().begin(page.items.iter().map(|item| (item.seq, item.who)).collect());
        for item in &page.items {
            self.take(item)?;
        }
        self.flush()?;
        Ok(self.ear.tally().end())
    }

    /// What was paid.
    pub(super) fn finish(self) -> Result<Sums, StoreError> {
        Ok(std::mem::take(&mut self.ear.tally().sums))
    }

    fn take(&mut self, item: &Item) -> Result<(), StoreError> {
        if self.next.is_none_or(|next| item.clock >= next) {
            self.flush()?;
            let next = catch_up(&mut self.pipeline, &mut self.scheduler, item.clock, item.clock)?;
            self.next = Some(next.unwrap_or(Millis(i64::MAX)));
        }
        match &item.what {
            What::Nothing => {}
            What::Hear(event) => {
                if let Kind::Recalled { of } = event.kind {
                    self.name(EventKey { source: event.key.source.clone(), key: of })?;
                    self.ear.tally().recalls.insert(recall::kept_under(event), item.seq);
                }
                let prepared = self.pipeline.prepare(&self.rules, Event::clone(event));
                self.works.push(Work::Hear(Box::new(prepared)));
                if self.works.len() == EVENTS_PER_BATCH {
                    self.flush()?;
                }
            }
            What::Keep(keep) => self.keep(keep)?,
            What::Merge { corp, from, into } => self.merge(item, corp, from, into)?,
            What::Unmerge { corp, merge } => self.unmerge(item, corp, *merge)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        if !self.works.is_empty() {
            self.pipeline.run(&self.works)?;
            self.works.clear();
        }
        Ok(())
    }

    /// Makes a message known that is to be taken back, if it came.
    fn name(&mut self, message: EventKey) -> Result<(), StoreError> {
        self.flush()?;
        let place = recorded(&message).and_then(|seq| self.ear.tally().place_of(seq));
        place.into_iter().for_each(|seq| self.store.name(&message, seq));
        Ok(())
    }

    /// Books an event as it was recorded.
    fn keep(&mut self, keep: &Keep) -> Result<(), StoreError> {
        self.flush()?;
        let kept = self.translated(keep);
        let done = self.pipeline.run(&[Work::Keep(Box::new(kept))])?;
        let here = done.first().map(|done| self.reader.postings_of(done.seq)).transpose()?.unwrap_or_default();
        self.kept.extend(keep.postings.iter().zip(here).map(|(there, here)| (there.seq, here.seq)));
        Ok(())
    }

    /// Where a recorded posting stands here: those from before stand where they stood.
    fn posting_of(&self, posting: PostingSeq) -> Option<PostingSeq> {
        if posting <= self.before { Some(posting) } else { self.kept.get(&posting).copied() }
    }

    /// The same, naming events and postings as they are numbered here.
    fn translated(&self, keep: &Keep) -> Keep {
        let tally = self.ear.tally();
        let place = |seq: EventSeq| tally.place_of(seq).unwrap_or_default();
        let mut kept = keep.clone();
        let record = std::mem::take(&mut kept.row.record);
        kept.row.record = Record {
            outcome: match record.outcome {
                Outcome::TwinOf(first) => Outcome::TwinOf(place(first)),
                Outcome::Unparked { of, alone } => Outcome::Unparked { of: place(of), alone },
                other @ (Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::Parked(_) | Outcome::Failed(_)) => other,
            },
            // What it made of the days around it is another matter here; what it booked for them stands.
            repair: None,
            deed: record.deed.map(|deed| match deed {
                Deed::Unmerged { merge } => Deed::Unmerged { merge: place(merge) },
                other => other,
            }),
            ..record
        };
        for posting in &mut kept.postings {
            *posting = Posting {
                slot_event: posting.slot_event.map(place).filter(|seq| seq.0 > 0),
                reverses: posting.reverses.and_then(|posting| self.posting_of(posting)),
                ..posting.clone()
            };
        }
        kept
    }

    /// Merges the persons of this world. One that it never heard of has nothing that could go over.
    fn merge(&mut self, item: &Item, corp: &CorpName, from: &[Identity], into: &Identity) -> Result<(), StoreError> {
        self.flush()?;
        for from in from {
            self.ear.tally().merging = item.who;
            let merge = Merge { corp: corp.clone(), from: from.clone(), into: into.clone(), at: item.received_at, may_be_new: true };
            let done = self.pipeline.reunite(Work::Merge(Box::new(merge)))?;
            if let Ok(seq) = done {
                self.merges.insert(item.seq, seq);
                return Ok(());
            }
        }
        Ok(())
    }

    fn unmerge(&mut self, item: &Item, corp: &CorpName, merge: EventSeq) -> Result<(), StoreError> {
        self.flush()?;
        let Some(merge) = self.merges.get(&merge).copied().or_else(|| self.ear.tally().place_of(merge)) else { return Ok(()) };
        // What cannot be parted in this world was merged otherwise here; it stays together.
        let _ = self.pipeline.reunite(Work::Unmerge(Box::new(Unmerge { corp: corp.clone(), merge, at: item.received_at })))?;
        Ok(())
    }
}
