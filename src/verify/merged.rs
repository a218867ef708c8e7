//! Who is whom: every member leads to one person, what was merged holds nothing and gets nothing, and what went out came in.

use std::collections::{HashMap, HashSet};

use super::Report;
use crate::model::decision::{Chart, Deed};
use crate::model::ids::{AccountId, EventSeq, IdentityId, MemberId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::{Reader, StoreError};

/// What merges left so far.
#[derive(Default)]
pub(super) struct Merged {
    /// Members that are no more, and the ones they became.
    became: HashMap<MemberId, MemberId>,
    /// Merges by their event, those taken back left out.
    merges: HashMap<EventSeq, (MemberId, MemberId, Vec<IdentityId>)>,
    /// Where each id leads by the last merge, or its being taken back.
    leads: HashMap<IdentityId, MemberId>,
    /// Accounts that were merged into others.
    closed: HashSet<AccountId>,
    /// Points under way, by the event that moves them.
    way: HashMap<EventSeq, i64>,
}

impl Merged {
    pub(super) fn take(&mut self, report: &mut Report, event: &EventRow, postings: &[Posting]) {
        let seq = event.seq;
        match &event.record.deed {
            Some(Deed::Merged { from, into, identities }) => {
                if self.became.contains_key(into) || self.became.contains_key(from) || from == into {
                    report.find("INV-merge", Some(seq.0), format!("事件 {seq} 合并的两个人里有一个早已并到别人那里,或者就是同一个人"));
                }
                self.became.insert(*from, *into);
                self.leads.extend(identities.iter().map(|id| (*id, *into)));
                self.merges.insert(seq, (*from, *into, identities.clone()));
            }
            Some(Deed::Unmerged { merge }) => match self.merges.remove(merge) {
                Some((from, _, identities)) => {
                    self.became.remove(&from);
                    self.leads.extend(identities.into_iter().map(|id| (id, from)));
                }
                None => report.find("INV-merge", Some(seq.0), format!("事件 {seq} 撤销了合并 {merge},而没有这次合并,或者早已撤销")),
            },
            Some(Deed::Transferred { by, out, .. }) => {
                let moved: i64 = postings.iter().map(under_way).sum();
                *self.way.entry(*by).or_default() += moved;
                let Some(account) = event.account else { return };
                match (out, self.merges.contains_key(by)) {
                    (true, true) => drop(self.closed.insert(account)),
                    (false, false) => drop(self.closed.remove(&account)),
                    (true, false) | (false, true) => {}
                }
            }
            Some(Deed::Joined | Deed::Left | Deed::Happened { .. } | Deed::Due { .. } | Deed::Willed | Deed::Listed { .. }) | None => {
                for posting in postings {
                    for side in [posting.src, posting.dst] {
                        if let AccountRef::Member(id) = side
                            && self.closed.contains(&id)
                        {
                            report.find("INV-merged-account", Some(posting.seq.0), format!("记账 {} 动了账户 {id},而它早已并到别的账户里", posting.seq));
                        }
                    }
                }
            }
        }
    }

    pub(super) fn compare(self, reader: &dyn Reader, report: &mut Report) -> Result<(), StoreError> {
        for (by, left) in self.way.iter().filter(|(_, left)| **left != 0) {
            report.find("INV-merge", Some(by.0), format!("事件 {by} 转走的和转到的差 {left} 分"));
        }
        for account in self.closed {
            let Some(Some(cell)) = report.note(reader.account(account))? else { continue };
            if (cell.available, cell.held, cell.lifetime) != (0, 0, 0) || !cell.state.codes.is_empty() {
                report.find("INV-merged-account", Some(account.0), format!("账户 {account} 早已并到别的账户里,却还有 {} 分或者别的东西", cell.available));
            }
        }
        for member in self.became.keys() {
            let ids = report.note(reader.identities_of(*member))?.unwrap_or_default();
            if let Some(id) = ids.first() {
                report.find("INV-root", Some(id.id.0), format!("身份 {} 指着成员 {member},而他早已并到成员 {} 那里", id.id, self.became[member]));
            }
        }
        for (id, member) in &self.leads {
            let Some(row) = report.note(reader.identity(*id))? else { continue };
            if row.and_then(|row| row.member) != Some(*member) {
                report.find("INV-root", Some(id.0), format!("身份 {id} 应该指着成员 {member}(最后一次合并或撤销这样说),却指着别人"));
            }
        }
        Ok(())
    }
}

/// What a posting puts on its way between two accounts; below zero what it takes off.
fn under_way(posting: &Posting) -> i64 {
    let is_way = |account| matches!(account, AccountRef::System { chart: Chart::Transfer, .. });
    match (is_way(posting.dst), is_way(posting.src)) {
        (true, false) => posting.amount,
        (false, true) => -posting.amount,
        (true, true) | (false, false) => 0,
    }
}
