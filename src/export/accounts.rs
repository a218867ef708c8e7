//! Accounts, one a row, summed from the ledger by kind of rule.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::Arc;

use super::sheet::{Cell, Sheet};
use super::{Campaigns, ExportError, Request, campaigns, outside_id};
use crate::model::cells::AccountCell;
use crate::model::decision::Chart;
use crate::model::ids::{AccountId, GroupId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::merged::{merged_into, root};
use crate::store::walk::Walk;
use crate::store::{Reader, StoreError};

const COLUMNS: &[&str] =
    &["corp", "campaign", "member", "name", "groups", "check_in", "speaking", "retention", "order", "other", "redeemed", "lifetime", "balance"];

/// Accounts summed in one walk through the ledger: their sums stay below 50 MiB.
const ACCOUNTS_PER_WALK: usize = 100_000;

/// What the ledger says of one account.
#[derive(Debug, Default)]
struct Sums {
    check_in: i64,
    speaking: i64,
    retention: i64,
    order: i64,
    other: i64,
    redeemed: i64,
    lifetime: i64,
    groups: BTreeSet<GroupId>,
}

/// The names of what the rows have numbers for.
struct Labels {
    campaigns: Campaigns,
    groups: HashMap<GroupId, Arc<str>>,
}

pub(super) fn write(reader: &dyn Reader, request: &Request, out: &mut dyn Write) -> Result<u64, ExportError> {
    let directory = reader.directory()?;
    let groups = directory.groups.values().map(|group| (group.id, group.title.clone().unwrap_or_else(|| group.chat.clone()))).collect();
    let labels = Labels { campaigns: campaigns(&directory), groups };
    let mut sheet = Sheet::begin(request.format, COLUMNS, out)?;
    let merged = merged(reader)?;
    let mut after = AccountId(0);
    loop {
        let cells = reader.accounts(after, ACCOUNTS_PER_WALK)?;
        let Some(last) = cells.last() else { break };
        after = last.id;
        let sums = sums(reader, request, &cells, &merged)?;
        for cell in cells.iter().filter(|cell| !merged.contains_key(&cell.id)) {
            sheet.row(&row(reader, &labels, cell, &sums[&cell.id])?)?;
        }
    }
    sheet.finish()
}

/// Accounts that were merged into others, and those that stand for them: what they earned is told there.
fn merged(reader: &dyn Reader) -> Result<HashMap<AccountId, AccountId>, StoreError> {
    let (mut merged, mut after) = (HashMap::new(), AccountId(0));
    loop {
        let cells = reader.accounts(after, ACCOUNTS_PER_WALK)?;
        let Some(last) = cells.last() else { return Ok(merged) };
        after = last.id;
        for cell in cells {
            if merged_into(reader, &cell)?.is_some() {
                merged.insert(cell.id, root(reader, cell)?.id);
            }
        }
    }
}

fn sums(reader: &dyn Reader, request: &Request, cells: &[AccountCell], merged: &HashMap<AccountId, AccountId>) -> Result<HashMap<AccountId, Sums>, StoreError> {
    let mut sums: HashMap<AccountId, Sums> = cells.iter().map(|cell| (cell.id, Sums::default())).collect();
    let mut walk = Walk::new(reader);
    while let Some((event, postings)) = walk.step()? {
        for posting in postings.iter().filter(|posting| request.has_not_ended(posting.day)) {
            for account in [posting.src, posting.dst] {
                if let AccountRef::Member(id) = account
                    && let Some(sums) = sums.get_mut(merged.get(&id).unwrap_or(&id))
                {
                    sums.add(&event, posting, request.has_begun(posting.day));
                }
            }
        }
    }
    Ok(sums)
}

impl Sums {
    fn add(&mut self, event: &EventRow, posting: &Posting, in_period: bool) {
        if event.group != GroupId::NONE {
            self.groups.insert(event.group);
        }
        let earned = match (posting.earns(), posting.unearns()) {
            (true, _) => posting.amount,
            (false, true) => -posting.amount,
            (false, false) => 0,
        };
        self.lifetime += earned;
        if !in_period {
            return;
        }
        *self.kind(&posting.code) += earned;
        self.redeemed += redeemed(posting);
    }

    /// The sum of the kind of rule that a ledger code (`check_in.daily`) belongs to.
    fn kind(&mut self, code: &str) -> &mut i64 {
        match code.split('.').next().unwrap_or_default() {
            "check_in" => &mut self.check_in,
            "speaking" => &mut self.speaking,
            "retention" => &mut self.retention,
            "order" => &mut self.order,
            _ => &mut self.other,
        }
    }
}

/// Points that were spent; what came back counts against.
fn redeemed(posting: &Posting) -> i64 {
    let is_spent = |account| matches!(account, AccountRef::System { chart: Chart::Spent, .. });
    match (is_spent(posting.src), is_spent(posting.dst)) {
        (false, true) => posting.amount,
        (true, false) => -posting.amount,
        (true, true) | (false, false) => 0,
    }
}

fn row(reader: &dyn Reader, labels: &Labels, cell: &AccountCell, sums: &Sums) -> Result<Vec<Cell>, StoreError> {
    let (corp, campaign) = labels.campaigns.get(&cell.key.campaign).cloned().unwrap_or_else(|| ("".into(), "".into()));
    let name = reader.member(cell.key.member)?.and_then(|member| member.name);
    let own = Some(cell.key.group).filter(|group| *group != GroupId::NONE);
    let groups: Vec<GroupId> = own.map_or_else(|| sums.groups.iter().copied().collect(), |group| vec![group]);
    let groups = groups.iter().filter_map(|group| labels.groups.get(group)).map(|group| group.to_string()).collect();
    Ok(vec![
        Cell::Text(corp.to_string()),
        Cell::Text(campaign.to_string()),
        Cell::Text(outside_id(reader, cell.key.member)?),
        Cell::optional(name.map(|name| name.to_string())),
        Cell::List(groups),
        Cell::Int(sums.check_in),
        Cell::Int(sums.speaking),
        Cell::Int(sums.retention),
        Cell::Int(sums.order),
        Cell::Int(sums.other),
        Cell::Int(sums.redeemed),
        Cell::Int(sums.lifetime),
        Cell::Int(cell.available),
    ])
}
