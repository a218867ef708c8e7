//! What members really earned, week by week, from one walk through the ledger. Memory grows with the members that are kept, which are at
//! most `MEMBERS_MAX`: of more every second, third … is looked at.

use std::collections::HashMap;

use super::Progress;
use crate::model::day::Day;
use crate::model::decision::Chart;
use crate::model::ids::{AccountId, CampaignId, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::store::merged::{merged_into, root};
use crate::store::{Reader, StoreError};

/// Members that are kept: shares of so many are right to a fifth of a percent, and they take less than 100 MB.
const MEMBERS_MAX: i64 = 300_000;

/// Days of a week.
pub const WEEK_DAYS: i32 = 7;

/// Rows read at a time.
const PAGE: usize = 4096;

/// The days that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First day.
    pub first: Day,
    /// Last day, included.
    pub last: Day,
    /// The day on which balances are told.
    pub today: Day,
}

impl Window {
    /// How many days.
    pub fn days(self) -> i32 {
        self.last.0 - self.first.0 + 1
    }

    /// How many weeks, the broken one at its beginning included.
    fn weeks(self) -> usize {
        usize::try_from((self.days() + WEEK_DAYS - 1) / WEEK_DAYS).unwrap_or(0)
    }
}

/// What one member earned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earner {
    /// Points that may be spent now.
    pub spendable: i64,
    /// Days from the first that was ever earned, or the window's first if that is later, to the window's last; 1 at least.
    pub days: i32,
    /// Points by week, counted back from the window's last day; those taken back count against.
    pub weeks: Box<[i64]>,
}

impl Earner {
    /// All that was earned in the window.
    pub fn total(&self) -> i64 {
        self.weeks.iter().sum()
    }
}

/// The members of a campaign.
#[derive(Debug, Clone, Default)]
pub struct Earners {
    /// Those who earned in the window.
    pub active: Vec<Earner>,
    /// How many earned before it, and nothing in it.
    pub dormant: u64,
    /// The last day on which anything was earned, whatever the window is.
    pub last_earned: Option<Day>,
    /// Of how many members one was looked at: 1 for all of them.
    pub one_of: i64,
}

/// Being counted.
struct Counted {
    campaign: Option<CampaignId>,
    spendable: i64,
    first: Day,
    weeks: Box<[i64]>,
}

/// Reads the members of these campaigns. What rules gave counts (less what was taken back); grants by hand and opening balances do not.
///
/// # Errors
/// The store's.
pub fn read(reader: &dyn Reader, windows: &HashMap<CampaignId, Window>, progress: Progress<'_>) -> Result<HashMap<CampaignId, Earners>, StoreError> {
    let head = reader.head()?;
    let one_of = (head.account.0 / MEMBERS_MAX).max(0) + 1;
    let (mut kept, merged) = accounts(reader, windows, one_of)?;
    let mut earners: HashMap<CampaignId, Earners> = windows.keys().map(|campaign| (*campaign, Earners { one_of, ..Earners::default() })).collect();
    let mut next = PostingSeq(1);
    loop {
        let postings = reader.postings(next, PAGE)?;
        let Some(last) = postings.last() else { break };
        next = PostingSeq(last.seq.0 + 1);
        progress(last.seq.0, head.posting.0);
        for (account, campaign, points, day) in postings.iter().filter_map(earned) {
            let (Some(window), Some(all)) = (windows.get(&campaign), earners.get_mut(&campaign)) else { continue };
            all.last_earned = all.last_earned.max(Some(day));
            if let Some(counted) = kept.get_mut(merged.get(&account).unwrap_or(&account)) {
                counted.add(campaign, *window, points, day);
            }
        }
    }
    for counted in kept.into_values() {
        let Some((campaign, window)) = counted.campaign.and_then(|campaign| Some((campaign, windows.get(&campaign)?))) else { continue };
        let Some(all) = earners.get_mut(&campaign) else { continue };
        match counted.weeks.iter().any(|points| *points != 0) {
            true => all.active.push(Earner { spendable: counted.spendable, days: window.last.0 - counted.first.max(window.first).0 + 1, weeks: counted.weeks }),
            false => all.dormant += u64::from(counted.first <= window.last),
        }
    }
    Ok(earners)
}

impl Counted {
    fn add(&mut self, campaign: CampaignId, window: Window, points: i64, day: Day) {
        self.campaign = Some(campaign);
        self.first = self.first.min(day);
        if self.weeks.is_empty() {
            self.weeks = vec![0; window.weeks()].into();
        }
        if (window.first..=window.last).contains(&day)
            && let Some(week) = usize::try_from((window.last.0 - day.0) / WEEK_DAYS).ok().and_then(|week| self.weeks.get_mut(week))
        {
            *week = week.saturating_add(points);
        }
    }
}

type Merged = HashMap<AccountId, AccountId>;

/// One of so many accounts, and where those went that were merged into another.
fn accounts(reader: &dyn Reader, windows: &HashMap<CampaignId, Window>, one_of: i64) -> Result<(HashMap<AccountId, Counted>, Merged), StoreError> {
    let (mut kept, mut merged, mut after) = (HashMap::new(), Merged::new(), AccountId(0));
    loop {
        let cells = reader.accounts(after, PAGE)?;
        let Some(last) = cells.last() else { return Ok((kept, merged)) };
        after = last.id;
        for cell in cells {
            if merged_into(reader, &cell)?.is_some() {
                merged.insert(cell.id, root(reader, cell)?.id);
            } else if cell.id.0 % one_of == 0
                && let Some(window) = windows.get(&cell.key.campaign)
            {
                let spendable = cell.state.spendable(window.today);
                kept.insert(cell.id, Counted { campaign: None, spendable, first: Day(i32::MAX), weeks: Box::default() });
            }
        }
    }
}

/// What a posting of a rule did: whose, in which campaign, how many points, on which day.
fn earned(posting: &Posting) -> Option<(AccountId, CampaignId, i64, Day)> {
    match (posting.src, posting.dst) {
        (AccountRef::System { campaign, chart: Chart::Issued }, AccountRef::Member(account)) => Some((account, campaign, posting.amount, posting.day)),
        (AccountRef::Member(account), AccountRef::System { campaign, chart: Chart::Issued }) => Some((account, campaign, -posting.amount, posting.day)),
        (AccountRef::System { .. } | AccountRef::Member(_), AccountRef::System { .. } | AccountRef::Member(_)) => None,
    }
}
