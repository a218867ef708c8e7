//! The journal's own invariants, checked event by event in order.

use std::collections::HashSet;

use super::Report;
use crate::model::decision::Outcome;
use crate::model::ids::{EventSeq, PostingSeq, RulesHash, SourceId};
use crate::model::journal::{Chain, EventRow, Posting};
use crate::model::points::POINTS_MAX;
use crate::store::codec::encode_record;
use crate::store::waiting::is_waiting;
use crate::store::{Head, Reader, StoreError};

/// What has been seen so far.
pub(super) struct Check<'a> {
    reader: &'a dyn Reader,
    event: EventSeq,
    posting: PostingSeq,
    chain: Chain,
    /// After the first break nothing behind it can be proved link by link.
    broken: bool,
    rules: HashSet<RulesHash>,
    sources: Sources,
    /// Events that could not be decided and were not decided again so far.
    waiting: HashSet<EventSeq>,
}

/// Which channel each event says it came by, from the first event on; 0 where it does not say. Four bytes an event.
pub(super) type Sources = Vec<u32>;

impl<'a> Check<'a> {
    pub(super) fn new(reader: &'a dyn Reader) -> Self {
        Check {
            reader,
            event: EventSeq(0),
            posting: PostingSeq(0),
            chain: Chain::default(),
            broken: false,
            rules: HashSet::new(),
            sources: Sources::new(),
            waiting: HashSet::new(),
        }
    }

    pub(super) fn take(&mut self, report: &mut Report, event: &EventRow, postings: &[Posting]) -> Result<(), StoreError> {
        let seq = event.seq;
        if seq.0 != self.event.0 + 1 {
            report.find("INV-event-dense", Some(seq.0), format!("事件 {} 之后是 {seq},中间缺了", self.event));
        }
        self.event = seq;
        report.events += 1;
        report.repair_limited += u64::from(event.record.outcome == Outcome::DecidedAlone);
        self.source(report, seq, event.source);
        if event.first_posting != postings.first().map(|posting| posting.seq) {
            report.find("INV-first-posting", Some(seq.0), format!("事件 {seq} 指的第一笔记账不是它的第一笔"));
        }
        for (ord, posting) in postings.iter().enumerate() {
            self.posting(report, event, ord, posting);
        }
        self.waiting(report, event);
        verdicts(report, event, postings);
        repairs(report, event, postings);
        self.link(report, event, postings);
        self.rules(report, event)
    }

    /// Answers with what [`super::keys`] needs.
    pub(super) fn finish(self, report: &mut Report, head: &Head, leftover: Option<&Posting>) -> Sources {
        if let Some(posting) = leftover {
            report.find("INV-posting-event", Some(posting.seq.0), format!("记账 {} 属于事件 {},而没有这个事件", posting.seq, posting.event));
        }
        if (self.event, self.posting) != (head.event, head.posting) && leftover.is_none() {
            let text = format!("账本头说有 {} 个事件 {} 笔记账,数到的是 {} 和 {}", head.event, head.posting, self.event, self.posting);
            report.find("INV-head", Some(self.event.0), text);
        }
        if !self.broken && self.chain != head.chain {
            report.find("INV-chain", Some(self.event.0), format!("到事件 {} 为止算出的链和账本头不同", self.event));
        }
        self.sources
    }

    /// Events from before channels were written down stand before all others.
    fn source(&mut self, report: &mut Report, seq: EventSeq, source: Option<SourceId>) {
        let number = source.and_then(|source| u32::try_from(source.0).ok()).unwrap_or_default();
        if number == 0 && self.sources.last().is_some_and(|before| *before > 0) {
            report.find("INV-event-source", Some(seq.0), format!("事件 {seq} 没有写从哪个通道来"));
        }
        self.sources.push(number);
    }

    /// What is decided again waited, and is decided again once.
    fn waiting(&mut self, report: &mut Report, event: &EventRow) {
        if is_waiting(&event.record.outcome) {
            self.waiting.insert(event.seq);
        }
        let message = event.record.message(event.seq);
        if message != event.seq && !self.waiting.remove(&message) {
            let text = format!("事件 {} 说它补判了事件 {message},而那一个没有等着,或者已经补判过", event.seq);
            report.find("INV-unparked", Some(event.seq.0), text);
        }
    }

    fn posting(&mut self, report: &mut Report, event: &EventRow, ord: usize, posting: &Posting) {
        let seq = posting.seq;
        let mut wrong = |name, text: String| report.find(name, Some(seq.0), text);
        if seq.0 != self.posting.0 + 1 {
            wrong("INV-posting-dense", format!("记账 {} 之后是 {seq},中间缺了", self.posting));
        }
        if posting.event != event.seq || posting.ord as usize != ord {
            wrong("INV-posting-event", format!("记账 {seq} 写着事件 {} 的第 {} 笔,它却排在事件 {} 的第 {ord} 笔", posting.event, posting.ord, event.seq));
        }
        if !(1..=POINTS_MAX).contains(&posting.amount) {
            wrong("INV-amount", format!("记账 {seq} 的数额是 {}", posting.amount));
        }
        if (posting.src, posting.src_part) == (posting.dst, posting.dst_part) {
            wrong("INV-two-sides", format!("记账 {seq} 的两边是同一个账户"));
        }
        self.posting = seq;
        report.postings += 1;
    }

    fn link(&mut self, report: &mut Report, event: &EventRow, postings: &[Posting]) {
        if self.broken {
            return;
        }
        self.chain.cover(event, &encode_record(&event.record));
        if postings.is_empty() {
            return;
        }
        let mut sealed = postings.to_vec();
        self.chain.seal(event.at, event.rules, &mut sealed);
        let broken = sealed.iter().zip(postings).find(|(computed, stored)| computed.link != stored.link || computed.digest != stored.digest);
        if let Some((_, stored)) = broken {
            self.broken = true;
            let place = if sealed.iter().zip(postings).all(|(computed, stored)| computed.digest == stored.digest) {
                format!("这笔记账或它同一事件的记账(事件 {})", event.seq)
            } else {
                format!("上一笔记账之后到事件 {} 之间的某个事件", event.seq)
            };
            report.find("INV-chain", Some(stored.seq.0), format!("链在记账 {} 断开:{place}被改过;之后的链无法再验", stored.seq));
        }
    }

    fn rules(&mut self, report: &mut Report, event: &EventRow) -> Result<(), StoreError> {
        if !self.rules.insert(event.rules) {
            return Ok(());
        }
        let text = report.note(self.reader.rules_text(event.rules))?.flatten();
        match text {
            None => report.find("INV-rules-version", Some(event.seq.0), format!("事件 {} 用的规则 {} 没有存下来", event.seq, event.rules)),
            Some(text) if RulesHash::of(&text) != event.rules => {
                report.find("INV-rules-version", Some(event.seq.0), format!("规则 {} 的文字被改过(事件 {} 第一次用它)", event.rules, event.seq));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

/// Points in verdicts are points booked, code by code.
fn verdicts(report: &mut Report, event: &EventRow, postings: &[Posting]) {
    for verdict in &event.record.verdicts {
        let booked: i64 = postings.iter().filter(|posting| posting.code == verdict.rule && is_own(event, posting)).map(net).sum();
        if booked != verdict.ruling.booked() {
            let text = format!("事件 {} 的裁定说 {} 得 {} 分,记账是 {booked} 分", event.seq, verdict.rule, verdict.ruling.booked());
            report.find("INV-verdict-booked", Some(event.seq.0), text);
        }
    }
}

/// Whether a posting is for the message whose verdicts stand on the event, and not for another one's.
fn is_own(event: &EventRow, posting: &Posting) -> bool {
    posting.slot_event.is_none_or(|message| message == event.record.message(event.seq) && message != event.seq)
}

/// What a late or recalling event says other messages earn now is what it booked for them, and nothing else is booked for others.
fn repairs(report: &mut Report, event: &EventRow, postings: &[Posting]) {
    let changed = event.record.repair.as_ref().map(|repair| &repair.changed[..]).unwrap_or_default();
    for change in changed {
        let booked: i64 = postings.iter().filter(|posting| posting.slot_event == Some(change.event) && posting.code == change.rule).map(net).sum();
        if booked != change.now - change.was {
            let text = format!("事件 {} 说消息 {} 的 {} 由 {} 改为 {},记账却是 {booked:+}", event.seq, change.event, change.rule, change.was, change.now);
            report.find("INV-repair-booked", Some(event.seq.0), text);
        }
    }
    let told = |posting: &&Posting| changed.iter().any(|change| posting.slot_event == Some(change.event) && posting.code == change.rule);
    if let Some(posting) = postings.iter().filter(|posting| !is_own(event, posting)).find(|posting| !told(posting)) {
        report.find("INV-repair-booked", Some(event.seq.0), format!("事件 {} 为别的消息记了账({}),却没有说为什么", event.seq, posting.seq));
    }
}

/// What a posting gave its member: earned points count, taken-back ones count against.
fn net(posting: &Posting) -> i64 {
    match (posting.earns(), posting.unearns()) {
        (true, false) => posting.amount,
        (false, true) => -posting.amount,
        (true, true) | (false, false) => 0,
    }
}
