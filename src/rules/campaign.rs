//! A compiled rules.toml: campaigns, the rules in them, and the keys every rule shares.

use std::sync::Arc;

use jiff::civil::Date;

use crate::model::day::{Calendar, PeriodKind};
use crate::model::ids::{GroupId, RulesHash};
use crate::rules::Rule;
use crate::rules::affinity::Affinity;
use crate::rules::assistant::Assistant;
use crate::rules::boost::{Festival, Level};
use crate::rules::cap::Limits;
use crate::rules::good::Good;
use crate::rules::grant::Grant;
use crate::rules::leavers::Leavers;
use crate::rules::schedule::Schedule;
use crate::rules::template::Templates;
use crate::rules::testing::Test;
use crate::rules::title::Title;
use crate::rules::validity::{Life, Validity};
use crate::rules::when::When;
use crate::rules::words::Matcher;

/// A whole rules.toml, checked and ready to decide. Never changes; a new file is a new value.
#[derive(Debug)]
pub struct Rules {
    /// Which version this is.
    pub hash: RulesHash,
    /// The text it was made from.
    pub text: Arc<str>,
    /// `[assistant]`
    pub assistant: Assistant,
    /// `[affinity]`; `None` where it is not written.
    pub affinity: Option<Affinity>,
    /// Campaigns in file order; `main` alone when none is written.
    pub campaigns: Vec<Campaign>,
    /// All words of all campaigns' rules.
    pub matcher: Matcher,
    /// Compiled reply texts.
    pub templates: Templates,
    /// `[[test]]`
    pub tests: Vec<Test>,
    /// `[grant]`
    pub grant: Grant,
    /// Rules that hear texts no fixed word tells, by campaign and place in it.
    pub ears: Vec<(usize, usize)>,
    /// Whether any rule asks for the gist of messages.
    pub compares: bool,
}

/// A set of groups that share rules and balances: `[campaign.<id>]`.
#[derive(Debug)]
pub struct Campaign {
    /// Its id: `main`.
    pub id: Arc<str>,
    /// Its title for members, when written.
    pub title: Option<Arc<str>>,
    /// Group names or chat ids; `*` for all the others and single chats.
    pub groups: Vec<Arc<str>>,
    /// What points are called: `积分`.
    pub points_name: Arc<str>,
    /// Its business days.
    pub calendar: Calendar,
    /// Whether each group keeps its own balance.
    pub balance: Balance,
    /// Whether staff earn.
    pub staff: Staff,
    /// `mode`: holds for all that pays or speaks by itself in it; what members have stays and is told as always.
    pub mode: Mode,
    /// `max_points` over all rules of the campaign.
    pub limits: Limits,
    /// `[bucket.<name>]`: caps shared by several rules.
    pub buckets: Vec<Bucket>,
    /// Its rules in file order.
    pub rules: Vec<RuleEntry>,
    /// `budget`: points that all members together may get in it.
    pub budget: Option<i64>,
    /// `point_value`: what one point is worth, in hundredths of a fen.
    pub point_value: Option<i64>,
    /// Its levels, by ascending threshold.
    pub levels: Vec<Level>,
    /// Its titles in file order.
    pub titles: Vec<Title>,
    /// Its festivals in file order.
    pub festivals: Vec<Festival>,
    /// What points are to buy, in file order.
    pub goods: Vec<Good>,
    /// What becomes of the points of who left.
    pub leavers: Leavers,
    /// What is said at a time of day, in file order.
    pub schedules: Vec<Schedule>,
    /// `max_posts`: how often it is said in a group.
    pub max_posts: Limits,
    /// Whether it matters who is in its groups since when, so that a first message tells it too.
    pub follows_presence: bool,
    /// Whether any rule of it takes of what members share.
    pub has_shares: bool,
    /// How long points live.
    pub validity: Validity,
}

impl Campaign {
    /// Whether any rule of it needs a picture, link or video.
    pub fn needs_proof(&self) -> bool {
        self.rules.iter().any(|rule| rule.kind.needs_proof())
    }
}

/// `balance = "shared" | "per_group"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// One balance over all groups of the campaign.
    Shared,
    /// One balance a group.
    PerGroup,
}

/// `staff = "auto" | "pay" | "skip"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staff {
    /// Employees earn nothing in customer groups, and as everybody in internal groups and single chats.
    Auto,
    /// Employees earn everywhere.
    Pay,
    /// Employees earn nowhere.
    Skip,
}

/// A cap shared by the rules that name it.
#[derive(Debug)]
pub struct Bucket {
    /// State key and cap name: `bucket.talk`.
    pub code: Arc<str>,
    /// Its caps.
    pub limits: Limits,
    /// Whether they hold for a member in each group, else over all groups.
    pub per_group: bool,
}

impl Bucket {
    /// The key its counts stand under, for what happens in a group.
    pub fn key(&self, group: GroupId) -> Arc<str> {
        if self.per_group { format!("{}@{group}", self.code).into() } else { self.code.clone() }
    }
}

/// One rule of a campaign.
#[derive(Debug)]
pub struct RuleEntry {
    /// Its number over all campaigns, the one [`Matcher`] speaks of.
    pub index: usize,
    /// Ledger code, kind.name: `check_in.daily`.
    pub code: Arc<str>,
    /// The keys every rule shares.
    pub common: Common,
    /// The kind's own part.
    pub kind: Box<dyn Rule>,
}

impl RuleEntry {
    /// The name a member sees.
    pub fn title(&self) -> &str {
        &self.common.title
    }
}

/// Keys that every kind of rule shares.
#[derive(Debug, Clone)]
pub struct Common {
    /// `title`, or the kind in Chinese.
    pub title: Arc<str>,
    /// `dates`: first and last day, both included.
    pub dates: Option<(Date, Date)>,
    /// `when`
    pub when: Option<When>,
    /// `max_times` and `max_points`
    pub limits: Limits,
    /// Index into the campaign's buckets.
    pub bucket: Option<usize>,
    /// `only`
    pub only: Only,
    /// `mode`
    pub mode: Mode,
    /// `budget`: points that all members together may get of it.
    pub budget: Option<i64>,
    /// `hold`: days until its points may be spent.
    pub hold_days: Option<i32>,
    /// `expires`: how long its points live; `None` as the campaign says.
    pub expires: Option<Life>,
    /// Periods that tasks want to know the times of, beside those of `limits`.
    pub counted: Vec<PeriodKind>,
    /// `reply`: own texts for the paid reply; `None` is the default text, an empty list is silence.
    pub reply: Option<Vec<String>>,
}

/// `only`: all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Only {
    /// Group names or chat ids.
    pub groups: Option<Vec<Arc<str>>>,
    /// Tags, one of which the member must have.
    pub tags: Option<Vec<Arc<str>>>,
    /// Levels, in one of which the member must be.
    pub levels: Option<Vec<Arc<str>>>,
    /// Whether the member must have bought something, or must not.
    pub buyers: Option<bool>,
    /// Longest time since the member first joined a group, in seconds.
    pub joined_within_secs: Option<i64>,
}

/// `mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Mode {
    /// Books points.
    #[default]
    Live,
    /// Verdicts and would-be points only.
    Shadow,
    /// Not there.
    Off,
}
