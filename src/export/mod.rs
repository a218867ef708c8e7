//! Accounts and the ledger for people and their spreadsheets: CSV, JSON lines or XLSX, a row at a time.

mod sheet;
mod accounts;
mod ledger;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

pub use self::sheet::Format;
use crate::model::day::{Day, Millis};
use crate::model::event::IdentityKind;
use crate::model::ids::{CampaignId, CorpName, MemberId};
use crate::store::{Directory, Reader, StoreError};

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// One row an account: `corp, campaign, member, name, groups, check_in, speaking, retention, order, other, redeemed, lifetime,
    /// balance`. By kind within the period, `lifetime` to its end, `balance` now.
    Accounts,
    /// One row a posting: `seq, at, event, rule, code, member, src, dst, amount, vests_on, expires_on, reverses, rules, hash`;
    /// as CSV enough for [`crate::verify::verify_file`] elsewhere.
    Ledger,
}

/// What to export, of which days, in which form.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which table.
    pub what: What,
    /// In which form.
    pub format: Format,
    /// First business day; `None` from the beginning.
    pub from: Option<Date>,
    /// Last business day; `None` to the end.
    pub to: Option<Date>,
    /// Time zones of campaigns by their id in rules.toml; a campaign that is not here is told in +08:00.
    pub zones: HashMap<Arc<str>, TimeZone>,
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file or the pipe.
    #[error("导出写不下去:{0}")]
    Write(#[from] io::Error),
    /// The workbook.
    #[error("表格写不下去:{0}")]
    Sheet(#[from] rust_xlsxwriter::XlsxError),
}

/// Writes an export and answers with the number of its rows. Everything is read at one moment, beside a running daemon too.
pub fn export(reader: &dyn Reader, request: &Request, out: &mut dyn io::Write) -> Result<u64, ExportError> {
    reader.freeze()?;
    let written = match request.what {
        What::Accounts => accounts::write(reader, request, out),
        What::Ledger => ledger::write(reader, request, out),
    };
    reader.thaw();
    written
}

impl Request {
    fn has_begun(&self, day: Day) -> bool {
        self.from.is_none_or(|from| day >= Day::of(from))
    }

    fn has_not_ended(&self, day: Day) -> bool {
        self.to.is_none_or(|to| day <= Day::of(to))
    }

    fn time(&self, campaign: Option<&str>, at: Millis) -> String {
        let at = at.timestamp();
        let offset = campaign.and_then(|campaign| self.zones.get(campaign)).map_or(jiff::tz::offset(8), |zone| zone.to_offset(at));
        at.display_with_offset(offset).to_string()
    }
}

/// Campaigns by number: the corp and the id in rules.toml.
type Campaigns = HashMap<CampaignId, (CorpName, Arc<str>)>;

fn campaigns(directory: &Directory) -> Campaigns {
    directory.campaigns.iter().map(|(key, id)| (*id, key.clone())).collect()
}

/// The outside id a member is told by: the userid, else the first other one.
fn outside_id(reader: &dyn Reader, member: MemberId) -> Result<String, StoreError> {
    let identities = reader.identities_of(member)?;
    let own = identities.iter().find(|row| row.identity.kind == IdentityKind::Userid).or(identities.first());
    Ok(own.map(|row| row.identity.value.to_string()).unwrap_or_default())
}
