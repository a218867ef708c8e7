//! Proof: everything is computed again from the journal and compared with what stands in the store, in passes of bounded memory.
//!
//! 1. The journal once, in order: numbers without gaps, both sides of every posting, the verdicts' points, the hash chain
//!    link by link against the stored links and the head.
//! 2. The accounts, a range of them a pass: every event folded again with [`crate::model::cells::AccountCell::apply`], compared with the row.
//! 3. What hangs on the journal: idempotency keys, replies, rules versions.
//!
//! The store reads a row only if its bytes are exactly what the program would write, so equal values are equal bytes.

pub mod file;
mod journal;
mod accounts;
mod shared;
mod proofs;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

pub use self::file::verify_file;
use crate::model::ids::{AccountId, EventKey, EventSeq, ReplyId};
use crate::model::journal::{EventRow, Posting};
use crate::store::waiting::is_unparked_source;
use crate::store::walk::{PAGE, Walk};
use crate::store::{REPLIES_PER_EVENT_MAX, Reader, StoreError};

/// Findings told before the rest is only counted by its first: the first bad row is what helps, the thousandth is not.
const FINDINGS_MAX: usize = 100;

/// What was proved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events seen.
    pub events: u64,
    /// Postings seen.
    pub postings: u64,
    /// Accounts compared.
    pub accounts: u64,
    /// Messages that came too late to decide the days after them again, so that they were decided alone. Not wrong, but to be known.
    pub repair_limited: u64,
    /// What is wrong, the first bad row first within each kind; at most 100.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether everything is as it must be.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, name: &'static str, seq: Option<i64>, text: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { name, seq, text: text.into() });
        }
    }

    /// Notes a row that cannot be read as a finding; anything else stops the proof.
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Corrupt(text) | StoreError::Damaged(text)) => {
                self.find("INV-readable", None, text);
                Ok(None)
            }
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_))) => Err(error),
        }
    }
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which invariant; names are stable.
    pub name: &'static str,
    /// The number of the row.
    pub seq: Option<i64>,
    /// What is wrong, for people.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.text)
    }
}

/// Where the proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The walk through the journal, from 1.
    pub pass: u64,
    /// Walks in all.
    pub passes: u64,
    /// The event it is at.
    pub event: EventSeq,
    /// The last event.
    pub last: EventSeq,
}

/// Proves a whole store; works beside a running daemon (all is read at one moment). `Err` when it cannot be read at all.
pub fn verify(reader: &dyn Reader, progress: &mut dyn FnMut(Progress)) -> Result<Report, StoreError> {
    reader.freeze()?;
    let report = prove(reader, progress);
    reader.thaw();
    report
}

fn prove(reader: &dyn Reader, progress: &mut dyn FnMut(Progress)) -> Result<Report, StoreError> {
    let mut report = Report::default();
    let head = reader.head()?;
    let (mut pass, passes) = (1, 1 + accounts::passes(head.account));
    let mut told = |pass, event| progress(Progress { pass, passes, event, last: head.event });
    let (mut journal, mut claimed, mut proofs) = (journal::Check::new(reader), shared::Claimed::default(), proofs::Told::default());
    let take_one = &mut |report: &mut Report, event: &EventRow, postings: &[Posting]| {
        claimed.take(event);
        proofs.take(event);
        journal.take(report, event, postings)
    };
    let walked = walk(reader, &mut report, &mut |event| told(1, event), take_one)?;
    let Some(leftover) = walked else { return Ok(report) };
    claimed.compare(reader, &mut report)?;
    proofs.compare(reader, &mut report)?;
    let sources = journal.finish(&mut report, &head, leftover.as_ref());

    let mut first = Some(AccountId(1));
    while let Some(from) = first {
        pass += 1;
        let Some(mut fold) = accounts::Fold::load(reader, &mut report, from)? else { break };
        let fold_one = &mut |report: &mut Report, event: &EventRow, postings: &[Posting]| {
            fold.take(report, event, postings);
            Ok(())
        };
        walk(reader, &mut report, &mut |event| told(pass, event), fold_one)?;
        first = fold.finish(&mut report);
    }
    if u64::try_from(head.event.0) == Ok(report.events) {
        keys(reader, &mut report, head.event, &sources)?;
        replies(reader, &mut report, head.event)?;
    }
    Ok(report)
}

/// What is done with each event and its postings.
type Take<'a> = dyn FnMut(&mut Report, &EventRow, &[Posting]) -> Result<(), StoreError> + 'a;

/// Walks the whole journal; answers with the posting that no event stands for, if there is one. `None` when a row cannot be
/// read: then nothing can be said of the rows behind it.
fn walk(reader: &dyn Reader, report: &mut Report, at: &mut dyn FnMut(EventSeq), take: &mut Take<'_>) -> Result<Option<Option<Posting>>, StoreError> {
    let mut walk = Walk::new(reader);
    while let Some(step) = report.note(walk.step())? {
        let Some((event, postings)) = step else { return report.note(walk.leftover()) };
        if event.seq.0 % PAGE as i64 == 0 {
            at(event.seq);
        }
        take(report, &event, &postings)?;
    }
    Ok(None)
}

/// Every event has exactly one key, every key its event; they came by the same channel.
fn keys(reader: &dyn Reader, report: &mut Report, last: EventSeq, sources: &journal::Sources) -> Result<(), StoreError> {
    let mut seen = vec![0_u64; usize::try_from(last.0 / 64 + 1).unwrap_or(0)];
    let mut after: Option<EventKey> = None;
    let names: HashMap<i64, Arc<str>> = reader.directory()?.sources.into_iter().map(|((_, name), id)| (id.0, name)).collect();
    loop {
        let Some(page) = report.note(reader.keys(after.as_ref(), PAGE))? else { return Ok(()) };
        for (key, seq) in &page {
            if seq.0 < 1 || *seq > last {
                report.find("INV-event-key", Some(seq.0), format!("有一个消息编号指向事件 {seq},而没有这个事件"));
                continue;
            }
            let (word, bit) = ((seq.0 / 64) as usize, 1 << (seq.0 % 64));
            if seen[word] & bit != 0 {
                report.find("INV-event-key", Some(seq.0), format!("事件 {seq} 有两个消息编号"));
            }
            seen[word] |= bit;
            let source = sources.get(seq.0 as usize - 1).copied().unwrap_or_default();
            if source > 0 && !is_unparked_source(&key.source) && names.get(&i64::from(source)) != Some(&key.channel()) {
                report.find("INV-event-source", Some(seq.0), format!("事件 {seq} 写的通道和它的消息编号不同"));
            }
        }
        let Some((key, _)) = page.into_iter().next_back() else { break };
        after = Some(key);
    }
    let missing = (1..=last.0).find(|seq| seen[(seq / 64) as usize] & (1 << (seq % 64)) == 0);
    if let Some(seq) = missing {
        report.find("INV-event-key", Some(seq), format!("事件 {seq} 没有消息编号,同一条消息再来会被记第二次"));
    }
    Ok(())
}

/// Every reply was caused by an event.
fn replies(reader: &dyn Reader, report: &mut Report, last: EventSeq) -> Result<(), StoreError> {
    let mut from = ReplyId(i64::MIN);
    loop {
        let Some(page) = report.note(reader.reply_ids(from, PAGE))? else { return Ok(()) };
        for id in &page {
            let event = id.0.div_euclid(REPLIES_PER_EVENT_MAX as i64);
            if event < 1 || event > last.0 {
                report.find("INV-reply-event", Some(id.0), format!("回复 {id} 属于事件 {event},而没有这个事件"));
            }
        }
        let Some(newest) = page.last() else { return Ok(()) };
        from = ReplyId(newest.0 + 1);
    }
}
