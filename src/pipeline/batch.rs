//! One batch: admit, load in two rounds, decide and apply in order against a working set, commit.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::ids::{EventKey, EventSeq, FingerprintKey, RulesHash};
use crate::rules::Prepared;
use crate::rules::campaign::Rules;
use crate::rules::coverage::Coverage;
use crate::store::{Batch, Directory, Head, Store, StoreError};

use super::command::Operators;
use super::proofs::Looks;
use super::twin::Asked;
use super::working::{Heard, Working};
use super::{Done, Work};

/// What stays in memory between batches while nobody else writes.
#[derive(Default)]
pub(super) struct Memory {
    head: Option<Head>,
    directory: Directory,
    rules: HashSet<RulesHash>,
    asked: Asked,
    looks: Looks,
}

impl Memory {
    /// After a failed batch nothing is certain.
    pub(super) fn forget(&mut self) {
        *self = Memory::default();
    }
}

/// What a batch is decided with.
pub(super) struct Context<'a> {
    pub(super) rules: &'a Arc<Rules>,
    pub(super) fingerprints: &'a FingerprintKey,
    /// Replies can be sent; else they are committed as expired.
    pub(super) has_room: bool,
    /// What operators want of rules.toml is done by whom the listener tells.
    pub(super) keeps_rules: bool,
    /// Who may act by chat.
    pub(super) operators: &'a Operators,
    /// Nothing but points is wanted.
    pub(super) points_only: bool,
    /// Do not decide: keep the events as failed, for this reason.
    pub(super) failed: Option<String>,
}

/// Runs one batch. On an error the transaction is rolled back.
pub(super) fn run<S: Store>(store: &mut S, memory: &mut Memory, context: &Context<'_>, works: &[Work]) -> Result<(Vec<Done>, Batch), StoreError> {
    let head = store.begin()?;
    let result = inside(store, memory, context, works, head);
    match result {
        Ok((done, batch)) => {
            store.commit(&batch)?;
            memory.head = Some(batch.head.clone());
            memory.rules.extend(batch.rules.iter().map(|(hash, _)| *hash));
            Ok((done, batch))
        }
        Err(error) => {
            store.abort();
            Err(error)
        }
    }
}

/// What a batch would write; nothing is written.
pub(super) fn rehearse<S: Store>(store: &mut S, memory: &mut Memory, context: &Context<'_>, works: &[Work]) -> Result<Batch, StoreError> {
    let head = store.begin()?;
    let result = inside(store, memory, context, works, head);
    store.abort();
    memory.forget();
    result.map(|(_, batch)| batch)
}

fn inside<S: Store>(store: &mut S, memory: &mut Memory, context: &Context<'_>, works: &[Work], head: Head) -> Result<(Vec<Done>, Batch), StoreError> {
    if memory.head.as_ref() != Some(&head) {
        memory.forget();
        memory.directory = store.directory()?;
    }
    let Admitted { mut done, fresh, mut seqs } = admit(store, works)?;
    let mut working = Working::new(head, context, &mut memory.directory, &mut memory.asked, &mut memory.looks);
    let merges = works.iter().any(|work| matches!(work, Work::Merge(_) | Work::Unmerge(_) | Work::Keep(_)));
    if (merges || !fresh.is_empty()) && !memory.rules.contains(&context.rules.hash) {
        working.batch.rules.push((context.rules.hash, context.rules.text.clone()));
    }
    let placed = fresh.into_iter().map(|fresh| (fresh.index, Heard { of: fresh.of, ..working.place(Cow::Borrowed(fresh.prepared)) }));
    // What must wait on leaves no trace.
    let heard: Vec<(usize, Heard<'_>)> = placed.filter(|(_, heard)| heard.of.is_none() || heard.coverage != Coverage::Unresolved).collect();
    working.load_counterparts(store, &heard)?;
    let mut heard = working.command(store, heard)?;
    working.load_people(store, &heard)?;
    working.load_accounts(store, &heard)?;
    working.load_shared(store, &heard)?;
    for (_, heard) in &mut heard {
        if heard.unless.iter().any(|key| working.booked.contains_key(key)) {
            continue;
        }
        working.look_up_proofs(store, heard)?;
        working.book(store, heard)?;
    }
    seqs.extend(working.booked.drain());
    for (done, work) in done.iter_mut().zip(works) {
        match work {
            Work::Hear(prepared) => done.seq = seqs.get(&prepared.event.key).copied().unwrap_or_default(),
            Work::Unpark(unpark) => done.seq = seqs.get(&unpark.key()).copied().unwrap_or_default(),
            Work::Settle(outcomes) => working.batch.outcomes.extend_from_slice(outcomes),
            Work::EraseTexts(before) => working.batch.erase_texts_before = Some(*before),
            Work::Probe => working.batch.probe = true,
            Work::Merge(merge) => done.seq = working.merge(store, merge)?,
            Work::Unmerge(unmerge) => done.seq = working.unmerge(store, unmerge)?,
            Work::Keep(keep) => done.seq = working.keep(store, keep)?,
        }
    }
    Ok((done, working.finish()))
}

/// What [`admit`] found.
struct Admitted<'w> {
    /// One for each work.
    done: Vec<Done>,
    /// The events to decide.
    fresh: Vec<Fresh<'w>>,
    /// Where the others stand already.
    seqs: HashMap<EventKey, EventSeq>,
}

/// An event to decide.
struct Fresh<'w> {
    /// Its place in the batch.
    index: usize,
    prepared: &'w Prepared,
    /// The waiting event that it is, if it was in the journal before.
    of: Option<EventSeq>,
}

/// Finds which events are new: neither in the store nor earlier in this batch. A copy within the batch waits for the batch.
fn admit<'w, S: Store>(store: &mut S, works: &'w [Work]) -> Result<Admitted<'w>, StoreError> {
    let mut done = vec![Done { seq: EventSeq(0), known: false }; works.len()];
    let mut seen: HashSet<EventKey> = HashSet::with_capacity(works.len());
    let (mut keys, mut firsts) = (Vec::with_capacity(works.len()), Vec::with_capacity(works.len()));
    for (index, work) in works.iter().enumerate() {
        let (key, fresh) = match work {
            Work::Hear(prepared) => (prepared.event.key.clone(), Fresh { index, prepared, of: None }),
            Work::Unpark(unpark) if unpark.is_due(store)? => (unpark.key(), Fresh { index, prepared: &unpark.prepared, of: Some(unpark.of) }),
            Work::Unpark(_) | Work::Settle(_) | Work::EraseTexts(_) | Work::Probe | Work::Merge(_) | Work::Unmerge(_) | Work::Keep(_) => continue,
        };
        if seen.insert(key.clone()) {
            keys.push(key);
            firsts.push(fresh);
        } else {
            done[index].known = true;
        }
    }
    let (mut fresh, mut seqs) = (Vec::with_capacity(keys.len()), HashMap::with_capacity(keys.len()));
    for ((first, known), key) in firsts.into_iter().zip(store.admit(&keys)?).zip(&keys) {
        match known {
            Some(seq) => {
                done[first.index].known = true;
                seqs.insert(key.clone(), seq);
            }
            None => fresh.push(first),
        }
    }
    Ok(Admitted { done, fresh, seqs })
}
