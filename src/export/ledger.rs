//! The ledger, a posting a row, with all that proves it.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use super::sheet::{Cell, Sheet};
use super::{Campaigns, ExportError, Request, campaigns, outside_id};
use crate::model::day::Day;
use crate::model::decision::Part;
use crate::model::ids::AccountId;
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::merged::root;
use crate::store::walk::Walk;
use crate::store::{Reader, StoreError};

const COLUMNS: &[&str] = &["seq", "at", "event", "rule", "code", "member", "src", "dst", "amount", "vests_on", "expires_on", "reverses", "rules", "hash"];

/// Outside ids kept at hand, some 10 MB; beyond, they are read again.
const MEMBERS_MAX: usize = 100_000;

pub(super) fn write(reader: &dyn Reader, request: &Request, out: &mut dyn Write) -> Result<u64, ExportError> {
    let campaigns = campaigns(&reader.directory()?);
    let mut sheet = Sheet::begin(request.format, COLUMNS, out)?;
    let mut members = Members { reader, known: HashMap::new() };
    let mut walk = Walk::new(reader);
    while let Some((event, postings)) = walk.step()? {
        for posting in postings.iter().filter(|posting| request.has_begun(posting.day) && request.has_not_ended(posting.day)) {
            let member = members.of(posting)?;
            sheet.row(&row(request, &campaigns, &event, posting, &member))?;
        }
    }
    sheet.finish()
}

fn row(request: &Request, campaigns: &Campaigns, event: &EventRow, posting: &Posting, member: &str) -> Vec<Cell> {
    let campaign = event.campaign.and_then(|id| campaigns.get(&id)).map(|(_, name)| &**name);
    let date = |day: Option<Day>| Cell::optional(day.map(|day| day.date().to_string()));
    vec![
        Cell::Int(posting.seq.0),
        Cell::Text(request.time(campaign, event.at)),
        Cell::Int(posting.event.0),
        Cell::Text(posting.code.to_string()),
        Cell::Text(posting.code.to_string()),
        Cell::Text(member.to_owned()),
        Cell::Text(side(posting.src, posting.src_part)),
        Cell::Text(side(posting.dst, posting.dst_part)),
        Cell::Int(posting.amount),
        date(posting.vests_on),
        date(posting.expires_on),
        posting.reverses.map_or(Cell::Absent, |seq| Cell::Int(seq.0)),
        Cell::Text(event.rules.to_string()),
        Cell::Text(hash(posting)),
    ]
}

/// `v1.<link>.<digest>.<day>.<slot event or ->`: what a link covers beside the other columns.
fn hash(posting: &Posting) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let slot = posting.slot_event.map_or("-".to_owned(), |seq| seq.to_string());
    format!("v1.{}.{}.{}.{slot}", hex(&posting.link), hex(&posting.digest), posting.day.0)
}

fn side(account: AccountRef, part: Part) -> String {
    match part {
        Part::Available => account.to_string(),
        Part::Held => format!("{account}/held"),
    }
}

struct Members<'a> {
    reader: &'a dyn Reader,
    known: HashMap<AccountId, Arc<str>>,
}

impl Members<'_> {
    /// The outside id of the member whose points moved.
    fn of(&mut self, posting: &Posting) -> Result<Arc<str>, StoreError> {
        let ((AccountRef::Member(account), _) | (_, AccountRef::Member(account))) = (posting.dst, posting.src) else { return Ok("".into()) };
        if let Some(known) = self.known.get(&account) {
            return Ok(known.clone());
        }
        let Some(cell) = self.reader.account(account)? else { return Ok("".into()) };
        let cell = root(self.reader, cell)?;
        let id: Arc<str> = outside_id(self.reader, cell.key.member)?.into();
        if self.known.len() >= MEMBERS_MAX {
            self.known.clear();
        }
        self.known.insert(account, id.clone());
        Ok(id)
    }
}
