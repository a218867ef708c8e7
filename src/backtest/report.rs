//! What a backtest found: plain data for the terminal, JSON and the page.

use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

/// Members named in each list of winners and losers.
pub const MEMBERS_MAX: usize = 20;

/// Examples shown of each kind of changed verdict.
pub const EXAMPLES_MAX: usize = 3;

/// What would have been, under other rules.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The rules that are live.
    pub old: Version,
    /// The rules that are tried.
    pub new: Version,
    /// First business day decided again; `None` when there was nothing.
    pub from: Option<Date>,
    /// Last business day decided again.
    pub to: Option<Date>,
    /// Events decided again, in both worlds.
    pub events: u64,
    /// Events that stand as they were decided once in both worlds: their texts are erased.
    pub erased: u64,
    /// Acts from outside that stand as they were booked: grants, opening balances, reviews, reinstatements.
    pub outside: u64,
    /// One for each campaign of either version, in the order of the new file; those that are gone last.
    pub campaigns: Vec<CampaignReport>,
}

impl Report {
    /// Whether nothing changes for anybody.
    pub fn is_same(&self) -> bool {
        self.campaigns.iter().all(|campaign| campaign.rules.iter().all(|rule| rule.change.was == rule.change.now) && campaign.gained + campaign.lost == 0)
    }
}

/// A version of rules.toml.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its hash.
    pub hash: String,
    /// What people call it: a file's name, `现行规则`.
    pub name: String,
}

/// Points in both worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Change {
    /// Points under the live rules.
    pub was: i64,
    /// Points under those that are tried.
    pub now: i64,
    /// Payments under the live rules.
    pub times_was: u64,
    /// Payments under those that are tried.
    pub times_now: u64,
}

impl Change {
    /// By how many points it changes.
    pub fn difference(&self) -> i64 {
        self.now - self.was
    }
}

/// One campaign.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CampaignReport {
    /// Its id in rules.toml.
    pub id: Arc<str>,
    /// What people call it.
    pub title: Arc<str>,
    /// What its points are called.
    pub points_name: Arc<str>,
    /// What one point is worth, in hundredths of a fen; by the new file, else the old.
    pub point_value: Option<i64>,
    /// All that is earned by rules.
    pub total: Change,
    /// What rules really paid in this time, less what was taken back: by the rules of then, late decisions and recalls included.
    pub booked: i64,
    /// What rules on trial would pay in either world; it is in no other sum.
    pub shadow: Vec<RuleChange>,
    /// Each rule of either version, by ledger code; those of the new file first, in its order.
    pub rules: Vec<RuleChange>,
    /// Each group in which anything is earned in either world, dearest first; what is earned in single chats and by the clock last.
    pub groups: Vec<GroupChange>,
    /// Members who get more.
    pub gained: u64,
    /// Members who get less.
    pub lost: u64,
    /// Members who earn in either world and get the same.
    pub same: u64,
    /// Who gets most more; at most [`MEMBERS_MAX`].
    pub winners: Vec<MemberChange>,
    /// Who gets most less; at most [`MEMBERS_MAX`].
    pub losers: Vec<MemberChange>,
    /// Every business day of the range in which anything is earned.
    pub days: Vec<DayChange>,
    /// Kinds of verdict that changed, most frequent first.
    pub verdicts: Vec<VerdictChange>,
    /// Accounts that would have had less than they spent: what was redeemed or taken stands as it was.
    pub lacking: Vec<Lacking>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Its ledger code.
    pub rule: Arc<str>,
    /// What members see.
    pub title: Arc<str>,
    /// What it pays.
    pub change: Change,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupChange {
    /// The chat id; `None` outside of groups.
    pub chat: Option<Arc<str>>,
    /// Its name, or what stands for it.
    pub title: Arc<str>,
    /// What is paid in it.
    pub change: Change,
    /// Members who earn in it in either world.
    pub members: u64,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemberChange {
    /// The outside id.
    pub member: Arc<str>,
    /// The name, where one is known.
    pub name: Option<Arc<str>>,
    /// What they get.
    pub change: Change,
}

/// One business day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DayChange {
    /// The day.
    pub day: Date,
    /// Points under the live rules.
    pub was: i64,
    /// Points under those that are tried.
    pub now: i64,
}

/// Verdicts of one rule that turned from one kind into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictChange {
    /// The rule, by ledger code.
    pub rule: Arc<str>,
    /// What the live rules say, in words without numbers of their own: `记分`, `已记过`, `没有这条规则`.
    pub from: String,
    /// What those that are tried say.
    pub to: String,
    /// How many messages.
    pub times: u64,
    /// Some of them; at most [`EXAMPLES_MAX`].
    pub examples: Vec<Example>,
}

/// A message whose verdict changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Its place in the journal.
    pub seq: i64,
    /// When, in the campaign's zone: `11-22 09:05`.
    pub at: String,
    /// Who: the name, else the outside id.
    pub member: Arc<str>,
    /// The first characters of the text.
    pub text: String,
    /// Points it brings under the live rules, by this rule.
    pub was: i64,
    /// And under those that are tried.
    pub now: i64,
}

/// An account that would have had less than it spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lacking {
    /// The outside id.
    pub member: Arc<str>,
    /// The name, where one is known.
    pub name: Option<Arc<str>>,
    /// By how many points, at worst.
    pub points: i64,
}
