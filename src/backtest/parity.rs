//! Parity: recorded history decided again under the very versions it was decided under. What comes out must be the ledger itself, event by
//! event; the first difference is named. It proves that a backtest decides as production did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::model::decision::{Deed, Outcome};
use crate::model::ids::{EventSeq, FingerprintKey, RulesHash};
use crate::model::journal::{EventRow, Posting};
use crate::pipeline::merge::Merge;
use crate::pipeline::unmerge::Unmerge;
use crate::pipeline::{Listener, Pipeline, Work};
use crate::rules::campaign::Rules;
use crate::rules::file;
use crate::store::memory::MemoryStore;
use crate::store::{Batch, NewEvent, Reader, StoreError};

use super::BacktestError;
use super::history::{History, Recorded, What};

/// Events decided in one transaction.
const EVENTS_PER_BATCH: usize = 512;

/// What deciding everything again has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parity {
    /// Events decided again that came out as they are recorded.
    pub same: u64,
    /// Events that stand as they were booked: done by somebody's will, told to operators, or their texts are erased.
    pub kept: u64,
    /// The first one that came out otherwise.
    pub difference: Option<Difference>,
}

/// An event that is decided otherwise than it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its place in the journal.
    pub seq: i64,
    /// What is recorded.
    pub recorded: String,
    /// What comes out.
    pub decided: String,
}

/// Decides all of recorded history again under the recorded versions of the rules and compares it with the ledger.
///
/// # Errors
/// The books cannot be read, or this program cannot read a version of the rules.
pub fn parity(reader: &dyn Reader, fingerprints: FingerprintKey, progress: &mut dyn FnMut(u64, u64)) -> Result<Parity, BacktestError> {
    reader.freeze()?;
    let result = compare(reader, fingerprints, progress);
    reader.thaw();
    result
}

fn compare(reader: &dyn Reader, fingerprints: FingerprintKey, progress: &mut dyn FnMut(u64, u64)) -> Result<Parity, BacktestError> {
    let total = reader.head()?.event.0.max(0).unsigned_abs();
    let mut history = History::new(reader, None, None, None)?;
    let mut again: Option<Again> = None;
    while let Some(page) = history.recorded_page()? {
        for Recorded { what, row, postings } in page {
            let again = match &mut again {
                Some(again) => again,
                None => again.insert(Again::new(reader, &row, fingerprints.clone())?),
            };
            again.take(reader, what, row, postings)?;
        }
        let Some(again) = &mut again else { break };
        again.flush()?;
        progress(again.judge().seen, total);
        if again.judge().parity.difference.is_some() {
            break;
        }
    }
    Ok(again.map(|again| again.judge().parity.clone()).unwrap_or_default())
}

/// History decided again, one version of the rules after the other.
struct Again {
    pipeline: Pipeline<MemoryStore>,
    live: Arc<ArcSwap<Rules>>,
    works: Vec<Work>,
    judge: Judge,
}

impl Again {
    fn new(reader: &dyn Reader, first: &EventRow, fingerprints: FingerprintKey) -> Result<Again, BacktestError> {
        let (head, directory) = (reader.head()?, reader.directory()?);
        let head = crate::store::Head { group: head.group, campaign: head.campaign, ..Default::default() };
        let live = Arc::new(ArcSwap::new(version(reader, first.rules)?));
        let judge = Judge::default();
        let pipeline = Pipeline::new(MemoryStore::beginning(head, directory), live.clone(), fingerprints, Box::new(judge.clone()));
        Ok(Again { pipeline, live, works: Vec::new(), judge })
    }

    fn take(&mut self, reader: &dyn Reader, what: What, row: EventRow, postings: Vec<Posting>) -> Result<(), BacktestError> {
        if self.live.load().hash != row.rules {
            self.flush()?;
            self.live.store(version(reader, row.rules)?);
        }
        match what {
            What::Hear(event) => {
                let prepared = self.pipeline.prepare(&self.live.load(), *event);
                self.works.push(Work::Hear(Box::new(prepared)));
                self.expect(row, postings, true);
            }
            What::Keep(keep) => {
                self.flush()?;
                self.expect(row, postings, false);
                self.pipeline.run(&[Work::Keep(keep)])?;
            }
            What::Merge { corp, from, into } => {
                self.flush()?;
                let work = Merge { corp, from: from.into_iter().next().unwrap_or_else(|| into.clone()), into, at: row.received_at, may_be_new: true };
                self.expect(row, postings, true);
                self.reunite(Work::Merge(Box::new(work)))?;
            }
            What::Unmerge { corp, merge } => {
                self.flush()?;
                let work = Unmerge { corp, merge, at: row.received_at };
                self.expect(row, postings, true);
                self.reunite(Work::Unmerge(Box::new(work)))?;
            }
            // What a merge did to accounts stands behind it: it came out with the merge.
            What::Nothing => self.expect(row, postings, true),
        }
        if self.works.len() == EVENTS_PER_BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn reunite(&mut self, work: Work) -> Result<(), BacktestError> {
        match self.pipeline.reunite(work)? {
            Ok(_) => Ok(()),
            Err(refused) => Err(StoreError::Corrupt(refused.0).into()),
        }
    }

    fn flush(&mut self) -> Result<(), BacktestError> {
        if !self.works.is_empty() {
            self.pipeline.run(&self.works)?;
            self.works.clear();
        }
        Ok(())
    }

    fn expect(&mut self, row: EventRow, postings: Vec<Posting>, is_decided: bool) {
        let mut judged = self.judge();
        judged.expected.push_back(Expected { row, postings, is_decided });
        judged.settle();
    }

    fn judge(&self) -> std::sync::MutexGuard<'_, Judged> {
        self.judge.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(reader: &dyn Reader, hash: RulesHash) -> Result<Arc<Rules>, BacktestError> {
    let text = reader.rules_text(hash)?.ok_or_else(|| BacktestError::Ask(format!("规则 {hash} 的文字没有存下来,不能按它重判")))?;
    match file::load(&text) {
        Ok((rules, _)) => Ok(Arc::new(rules)),
        Err(_) => Err(BacktestError::Ask(format!("这个版本的程序读不懂当时的规则 {hash},不能按它重判"))),
    }
}

/// Compares what is decided with what is recorded, as it is committed.
#[derive(Clone, Default)]
struct Judge(Arc<Mutex<Judged>>);

/// What is recorded, and not decided again so far.
struct Expected {
    row: EventRow,
    postings: Vec<Posting>,
    is_decided: bool,
}

#[derive(Default)]
struct Judged {
    expected: VecDeque<Expected>,
    decided: VecDeque<(EventRow, Vec<Posting>)>,
    parity: Parity,
    seen: u64,
}

impl Judged {
    fn settle(&mut self) {
        while !self.expected.is_empty() && !self.decided.is_empty() {
            let (Some(expected), Some((row, postings))) = (self.expected.pop_front(), self.decided.pop_front()) else { return };
            self.seen += 1;
            if self.parity.difference.is_some() {
                continue;
            }
            if !expected.is_decided {
                self.parity.kept += 1;
            } else if is_same(&expected, &row, &postings) {
                self.parity.same += 1;
            } else {
                let (recorded, decided) = (in_words(&expected.row, &expected.postings), in_words(&row, &postings));
                self.parity.difference = Some(Difference { seq: expected.row.seq.0, recorded, decided });
            }
        }
    }
}

impl Listener for Judge {
    fn has_room(&self) -> bool {
        true
    }

    fn committed(&self, batch: &Batch) {
        let mut judged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |seq: EventSeq| batch.postings.iter().filter(move |posting| posting.event == seq).cloned().collect();
        judged.decided.extend(batch.events.iter().map(|NewEvent { row, .. }| (row.clone(), of(row.seq))));
        judged.settle();
    }

    fn disturbed(&self) {}
}

/// Whether an event came out as it is recorded. Events of old do not say which channel they came by; links of the chain cover what no rule decides.
fn is_same(expected: &Expected, row: &EventRow, postings: &[Posting]) -> bool {
    let plain = |row: &EventRow| EventRow { source: None, ..row.clone() };
    let bare = |posting: &Posting| Posting { link: [0; 16], digest: [0; 16], ..posting.clone() };
    plain(&expected.row) == plain(row) && expected.postings.iter().map(bare).eq(postings.iter().map(bare))
}

fn in_words(row: &EventRow, postings: &[Posting]) -> String {
    let moved: Vec<String> = postings.iter().map(|posting| format!("{} {} → {} {}", posting.code, posting.src, posting.dst, posting.amount)).collect();
    let verdicts: Vec<String> = row.record.verdicts.iter().map(|verdict| format!("{} {:?}", verdict.rule, verdict.ruling)).collect();
    format!("事件 {} {} {:?} 账户 {:?} [{}] [{}]", row.seq, row.kind, row.record.outcome, row.account, verdicts.join("; "), moved.join("; "))
}

/// Whether what is recorded can be decided again at all, and must then come out the same.
pub(super) fn is_decidable(row: &EventRow) -> bool {
    match (&*row.kind, &row.record.outcome) {
        (_, Outcome::Parked(_) | Outcome::Failed(_) | Outcome::Unparked { .. }) => false,
        ("due", Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::TwinOf(_)) => matches!(row.record.deed, Some(Deed::Due { .. })),
        (kind, Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::TwinOf(_)) => {
            ["said", "recalled", "joined", "left", "happened", "listed", "order_paid"].contains(&kind)
        }
    }
}
