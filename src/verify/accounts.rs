//! Every account folded again from the journal and compared with its row, a range of accounts at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Report;
use crate::model::cells::{AccountCell, Occurrence};
use crate::model::decision::Record;
use crate::model::ids::{AccountId, EventSeq, GroupId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::rules::board::is_hidden;
use crate::store::{Reader, StoreError};

/// Accounts of one pass: two cells of some 500 bytes each stay below 100 MiB.
const ACCOUNTS_PER_PASS: usize = 50_000;

/// Passes that so many accounts need; the last one also looks for accounts that should be there and are not.
pub(super) fn passes(last: AccountId) -> u64 {
    u64::try_from(last.0).unwrap_or(0) / ACCOUNTS_PER_PASS as u64 + 1
}

/// The rows of a range of accounts and what the journal says of them.
pub(super) struct Fold {
    range: Range<AccountId>,
    rows: BTreeMap<AccountId, AccountCell>,
    folded: BTreeMap<AccountId, AccountCell>,
    hidden: BTreeSet<AccountId>,
}

impl Fold {
    /// Reads the rows of a pass, from this account on; `None` when one of them cannot be read.
    pub(super) fn load(reader: &dyn Reader, report: &mut Report, from: AccountId) -> Result<Option<Self>, StoreError> {
        let Some(rows) = report.note(reader.accounts(AccountId(from.0 - 1), ACCOUNTS_PER_PASS))? else { return Ok(None) };
        let end = rows.last().filter(|_| rows.len() == ACCOUNTS_PER_PASS).map_or(AccountId(i64::MAX), |last| AccountId(last.id.0 + 1));
        let rows = rows.into_iter().map(|cell| (cell.id, cell)).collect();
        let range = from..end;
        let hidden = reader.hidden()?.into_iter().filter(|id| range.contains(id)).collect();
        Ok(Some(Fold { range, rows, folded: BTreeMap::new(), hidden }))
    }

    pub(super) fn take(&mut self, report: &mut Report, event: &EventRow, postings: &[Posting]) {
        let occurrence = Occurrence { seq: event.seq, at: event.at, day: event.day };
        if let Some(own) = event.account.filter(|id| self.range.contains(id)) {
            let cell = self.cell(own);
            place(report, event, cell);
            prev(report, event, postings, cell);
            cell.apply(occurrence, &event.record, postings);
        }
        for posting in postings {
            for side in [posting.src, posting.dst] {
                if let AccountRef::Member(id) = side
                    && Some(id) != event.account
                    && self.range.contains(&id)
                {
                    self.cell(id).apply(occurrence, &Record::default(), std::slice::from_ref(posting));
                }
            }
        }
    }

    /// Compares; answers with the first account of the next pass.
    pub(super) fn finish(self, report: &mut Report) -> Option<AccountId> {
        for (id, row) in &self.rows {
            report.accounts += 1;
            let blank = AccountCell { id: *id, key: row.key, ..AccountCell::default() };
            compare(report, row, self.folded.get(id).unwrap_or(&blank));
            if is_hidden(&row.state) != self.hidden.contains(id) {
                report.find("INV-board-hidden", Some(id.0), format!("账户 {id} 选了不上榜没有,和 board_hidden 表写的不同"));
            }
        }
        if let Some(id) = self.hidden.iter().find(|id| !self.rows.contains_key(id)) {
            report.find("INV-board-hidden", Some(id.0), format!("board_hidden 表有账户 {id},账户表里却没有它"));
        }
        if let Some(id) = self.folded.keys().find(|id| !self.rows.contains_key(id)) {
            report.find("INV-account-exists", Some(id.0), format!("账本里有账户 {id} 的事件,账户表里却没有它"));
        }
        Some(self.range.end).filter(|end| end.0 < i64::MAX)
    }

    fn cell(&mut self, id: AccountId) -> &mut AccountCell {
        let key = self.rows.get(&id).map(|row| row.key).unwrap_or_default();
        self.folded.entry(id).or_insert_with(|| AccountCell { id, key, ..AccountCell::default() })
    }
}

/// An account belongs to one campaign, and to one group or to none. (A recall changes the account of the message it takes
/// back, wherever that was.)
fn place(report: &mut Report, event: &EventRow, cell: &AccountCell) {
    if event.record.repair.as_ref().is_some_and(|repair| repair.takes_back.is_some()) {
        return;
    }
    let same_group = cell.key.group == GroupId::NONE || cell.key.group == event.group;
    if event.campaign != Some(cell.key.campaign) || !same_group {
        report.find("INV-account-place", Some(event.seq.0), format!("事件 {} 记在账户 {} 名下,两者的活动或群不同", event.seq, cell.id));
    }
}

/// The chain of an account's history: each event that changed it names the one before.
fn prev(report: &mut Report, event: &EventRow, postings: &[Posting], cell: &AccountCell) {
    let stateful = event.record.is_stateful() || !postings.is_empty();
    let expected = Some(cell.last_event).filter(|last| stateful && *last != EventSeq(0));
    if event.prev != expected {
        report.find("INV-prev", Some(event.seq.0), format!("事件 {} 写的上一个事件不是账户 {} 的上一个", event.seq, cell.id));
    }
}

fn compare(report: &mut Report, row: &AccountCell, folded: &AccountCell) {
    let lots = row.state.lots.iter().try_fold(0_i64, |sum, lot| sum.checked_add(lot.amount));
    if lots != Some(row.available) {
        report.find("INV-lots", Some(row.id.0), format!("账户 {} 的各批次加起来不等于余额 {}", row.id, row.available));
    }
    if row == folded {
        return;
    }
    let points = |cell: &AccountCell| (cell.available, cell.held, cell.lifetime);
    let text = if points(row) == points(folded) {
        format!("账户 {} 的状态(上限、连签、最近发言)和账本算出来的不同", row.id)
    } else {
        let (is, should) = (points(row), points(folded));
        format!("账户 {} 现有 {}、冻结 {}、累计 {},按账本应是 {}、{}、{}", row.id, is.0, is.1, is.2, should.0, should.1, should.2)
    };
    report.find("INV-account-fold", Some(row.id.0), text);
}
