//! An exported ledger proved without the database: the CSV of `jifen export ledger`, from the first posting on.
//!
//! Column `hash` is `v1.<link>.<digest>.<day>.<slot event or ->`: with the other columns all that a link covers.

use std::path::Path;

use super::Report;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Part};
use crate::model::ids::{AccountId, CampaignId, EventSeq, PostingSeq, RulesHash};
use crate::model::journal::{AccountRef, Posting, next_link};

/// A line of the file.
struct Line {
    posting: Posting,
    at: Millis,
    rules: RulesHash,
}

/// Proves an exported ledger. `Err` says, for people, why the file cannot be read as one.
pub fn verify_file(path: &Path) -> Result<Report, String> {
    let shown = path.display();
    let mut file = csv::Reader::from_path(path).map_err(|error| format!("读不了 {shown}:{error}"))?;
    let columns = Columns::find(&mut file).map_err(|error| format!("{shown}:{error}"))?;
    let mut proof = Proof::default();
    for (index, record) in file.records().enumerate() {
        let number = index + 2;
        let record = record.map_err(|error| format!("{shown} 第 {number} 行读不出来:{error}"))?;
        let line = columns.line(&record).ok_or_else(|| format!("{shown} 第 {number} 行不是 jifen export ledger 写的样子"))?;
        proof.take(line);
        if proof.is_partial {
            return Err(format!("{shown} 不是从第一笔记账开始的,单凭它证明不了。请导出不带 --from 的完整账本"));
        }
    }
    Ok(proof.finish())
}

#[derive(Default)]
struct Proof {
    report: Report,
    link: [u8; 32],
    waiting: Vec<Line>,
    last: PostingSeq,
    is_partial: bool,
    /// Every link builds on the one before, so only the first break says something.
    broken: bool,
}

impl Proof {
    fn take(&mut self, line: Line) {
        let seq = line.posting.seq;
        self.is_partial = self.last.0 == 0 && seq.0 != 1;
        if seq.0 != self.last.0 + 1 {
            self.report.find("INV-posting-dense", Some(seq.0), format!("记账 {} 之后是 {seq},中间缺了", self.last));
        }
        if (line.posting.src, line.posting.src_part) == (line.posting.dst, line.posting.dst_part) {
            self.report.find("INV-two-sides", Some(seq.0), format!("记账 {seq} 的两边是同一个账户"));
        }
        self.last = seq;
        self.report.postings += 1;
        if self.waiting.last().is_some_and(|waiting| waiting.posting.event != line.posting.event) {
            self.close();
        }
        self.waiting.push(line);
    }

    /// Closes the link of one event's postings.
    fn close(&mut self) {
        let lines = std::mem::take(&mut self.waiting);
        let Some(first) = lines.first() else { return };
        self.report.events += 1;
        let (at, rules, digest, number) = (first.at, first.rules, first.posting.digest, first.posting.seq);
        let alike = lines.iter().all(|line| (line.at, line.rules, line.posting.digest) == (at, rules, digest));
        let stored: Vec<[u8; 16]> = lines.iter().map(|line| line.posting.link).collect();
        let postings: Vec<Posting> = lines.into_iter().enumerate().map(|(ord, line)| Posting { ord: ord as u32, ..line.posting }).collect();
        self.link = next_link(&self.link, at, rules, &postings, &digest);
        if !self.broken && (!alike || stored.iter().any(|link| link[..] != self.link[..16])) {
            self.broken = true;
            self.report.find("INV-chain", Some(number.0), format!("链在记账 {number} 断开:这一行或同一事件的行被改过,或前面少了行"));
        }
    }

    fn finish(mut self) -> Report {
        self.close();
        self.report
    }
}

/// Where the columns stand.
struct Columns {
    seq: usize,
    at: usize,
    event: usize,
    code: usize,
    src: usize,
    dst: usize,
    amount: usize,
    vests_on: usize,
    expires_on: usize,
    reverses: usize,
    rules: usize,
    hash: usize,
}

impl Columns {
    fn find(file: &mut csv::Reader<std::fs::File>) -> Result<Self, String> {
        let headers = file.headers().map_err(|error| error.to_string())?.clone();
        let column = |name: &str| headers.iter().position(|header| header.trim_start_matches('\u{feff}') == name).ok_or_else(|| format!("没有 {name} 这一列"));
        Ok(Columns {
            seq: column("seq")?,
            at: column("at")?,
            event: column("event")?,
            code: column("code")?,
            src: column("src")?,
            dst: column("dst")?,
            amount: column("amount")?,
            vests_on: column("vests_on")?,
            expires_on: column("expires_on")?,
            reverses: column("reverses")?,
            rules: column("rules")?,
            hash: column("hash")?,
        })
    }

    fn line(&self, record: &csv::StringRecord) -> Option<Line> {
        let mut hash = record.get(self.hash)?.strip_prefix("v1.")?.split('.');
        let (link, digest, day, slot) = (bytes(hash.next()?)?, bytes(hash.next()?)?, hash.next()?, hash.next()?);
        let (src, src_part) = side(record.get(self.src)?)?;
        let (dst, dst_part) = side(record.get(self.dst)?)?;
        let posting = Posting {
            seq: PostingSeq(record.get(self.seq)?.parse().ok()?),
            event: EventSeq(record.get(self.event)?.parse().ok()?),
            ord: 0,
            code: record.get(self.code)?.into(),
            src,
            src_part,
            dst,
            dst_part,
            amount: record.get(self.amount)?.parse().ok()?,
            day: Day(day.parse().ok()?),
            vests_on: date(record.get(self.vests_on)?)?,
            expires_on: date(record.get(self.expires_on)?)?,
            reverses: optional(record.get(self.reverses)?, "")?.map(PostingSeq),
            slot_event: optional(slot, "-")?.map(EventSeq),
            link,
            digest,
        };
        let at = Millis::from(record.get(self.at)?.parse::<jiff::Timestamp>().ok()?);
        Some(Line { posting, at, rules: RulesHash(bytes(record.get(self.rules)?)?) })
    }
}

fn bytes(hex: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if hex.len() != 32 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

fn optional(text: &str, absent: &str) -> Option<Option<i64>> {
    if text == absent { Some(None) } else { text.parse().ok().map(Some) }
}

fn date(text: &str) -> Option<Option<Day>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(|date| Some(Day::of(date))) }
}

/// `member:17`, `member:17/held`, `issued:1`.
fn side(text: &str) -> Option<(AccountRef, Part)> {
    let (account, part) = match text.strip_suffix("/held") {
        Some(account) => (account, Part::Held),
        None => (text, Part::Available),
    };
    let (kind, number) = account.split_once(':')?;
    let number = number.parse().ok()?;
    if kind == "member" {
        return Some((AccountRef::Member(AccountId(number)), part));
    }
    let chart = *Chart::ALL.iter().find(|chart| chart.as_str() == kind)?;
    Some((AccountRef::System { campaign: CampaignId(number), chart }, part))
}
