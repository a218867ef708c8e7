//! Decide, pure: the same rules, facts and event give the same decision. Nothing here reads a clock, a file, a socket or a database.
//!
//! One file of this folder is one kind of table in rules.toml: [`check_in`], [`speaking`]. A new kind is one such file
//! and three lines here: its `mod`, its arm in [`Kind`]'s list, its doc line below.

pub mod mistake;
pub mod hand;
pub mod syntax;
pub mod table;
pub mod fit;
pub mod file;
pub mod shared_keys;
pub mod when;
pub mod text;
pub mod gist;
pub mod words;
pub mod campaign;
pub mod cap;
pub mod boost;
pub mod share;
pub mod budget;
pub mod standing;
pub mod marks;
pub mod first;
pub mod willed;
pub mod purchase;
pub mod ears;
pub mod validity;
pub mod expiry;
pub mod expiry_jobs;
pub mod link;
pub mod coverage;
pub mod clock;
pub mod presence;
pub mod grant;
pub mod notice;
pub mod festival;
pub mod good;
pub mod command;
pub mod leavers;
pub mod decide;
mod so_far;
pub mod answer;
pub mod questions;
pub mod wording;
pub mod explain;
pub mod hint;
pub mod usage;
pub mod bystanders;
pub mod check_in;
pub mod speaking;
pub mod retention;
pub mod event;
pub mod task;
pub mod schedule;
pub mod assistant;
pub mod assistant_table;
pub mod variables;
pub mod template;
pub mod lint;
mod homes;
mod meant;
pub mod prudence;
pub mod lint_days;
pub mod testing;
pub mod expected;
pub mod versions;
pub mod board;
pub mod level;
pub mod affinity;
pub mod title;
pub mod schema;
pub mod resolved;
pub mod difference;
pub mod edit;
pub mod switch;
#[cfg(test)]
pub(super) mod reference;
#[cfg(test)]
mod world;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::model::cells::{AccountCell, AccountState, CodeState, Sum, Total};
use crate::model::claim::Claim;
use crate::model::day::{Day, Period};
use crate::model::decision::{Deed, Mark, Refusal, Traits};
use crate::model::event::Event;
use crate::model::ids::GroupId;
use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::words::Listen;

/// One rule of rules.toml. The shared keys (`dates when only max_times max_points bucket mode`) are applied around it by
/// [`decide`]; a kind says only what it listens for, whether it looks at a message, and what it would pay.
pub trait Rule: fmt::Debug + Send + Sync {
    /// The words this rule listens for; empty for a rule that hears any talk.
    fn listens_for(&self) -> &[Listen];

    /// Whether it looks at this event. Only a rule that looks leaves a verdict.
    fn looks_at(&self, hearing: &Hearing<'_>) -> bool;

    /// What it would pay, before caps. Called once dates, windows and `only` hold.
    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal>;

    /// Its line in the answer to 「规则」, without title, window and caps, which are added around it: `发「签到」+2,连签 7 天再 +10`.
    fn in_words(&self, points_name: &str) -> String;

    /// The most one event can pay, for 「今天还能拿」 and the linter.
    fn most(&self) -> i64;

    /// Whether the paid reply is said to who did not ask (a check-in), or only to who asked (talk).
    fn announces(&self) -> bool;

    /// Whether the clock pays it, so that there is nothing a member can do for it today.
    fn is_paid_by_the_clock(&self) -> bool {
        false
    }

    /// For a rule that pays for staying: the days of its period.
    fn every_days(&self) -> Option<i32> {
        None
    }

    /// Whether it looks at what the other rules paid for this very event, so that it is asked after them all (a task).
    fn follows(&self) -> bool {
        false
    }

    /// Whether it needs a picture, link or video, so that those must be looked up before it is asked.
    fn needs_proof(&self) -> bool {
        false
    }

    /// Changes of the rule's own state by an event that it refused because something is missing that may still come.
    fn keeps(&self, _hearing: &Hearing<'_>) -> Vec<Mark> {
        Vec::new()
    }

    /// The rules, by their codes, whose payments it waits for; where none of them paid for an event it does not look at it.
    fn steps(&self) -> &[Arc<str>] {
        &[]
    }

    /// Whether it hears any talk, so that two of its kind that are open together pay twice.
    fn hears_talk(&self) -> bool {
        false
    }

    /// The level it gives a member, by its title.
    fn gives_level(&self) -> Option<&str> {
        None
    }

    /// The least one event that pays brings, before caps, for the linter.
    fn least(&self) -> i64 {
        self.most()
    }

    /// Least seconds between two payments to one member, by its own keys, for the linter.
    fn pause_secs(&self) -> i64 {
        1
    }

    /// For a rule that any talk satisfies: the fewest letters that are paid, for the linter.
    fn least_chars(&self) -> Option<u32> {
        None
    }

    /// What else it hears by name: an event, for the linter.
    fn hears_of(&self) -> Option<&str> {
        None
    }

    /// Whether it ever takes of things that members share.
    fn has_shares(&self) -> bool {
        false
    }

    /// What it takes of things that members share, if it pays: each with how much and of how many there are. `decide` claims it.
    fn shares(&self, _hearing: &Hearing<'_>) -> Vec<Share> {
        Vec::new()
    }

    /// Whether [`Rule::hears`] is to be asked at all.
    fn has_ears(&self) -> bool {
        false
    }

    /// Whether a text matches that no fixed word tells: the answer of that day, a word with a date behind it. `is_open` says whether
    /// its dates and windows hold.
    fn hears(&self, _text: &text::Folded, _day: Day, _is_open: bool) -> bool {
        false
    }

    /// Whether what it listens for is talk all the same while it is closed.
    fn is_talk(&self) -> bool {
        false
    }

    /// Whether it can pay on a day, as far as it knows of days itself.
    fn is_on(&self, _day: Day) -> bool {
        true
    }

    /// Whether near copies of earlier talk matter to it, so that messages must be told by their gist.
    fn compares(&self) -> bool {
        false
    }

    /// Whether it takes points for something instead of paying: its offer is the price, below zero. Such an act stands as it was booked.
    fn sells(&self) -> bool {
        false
    }

    /// Rules that its table makes beside it, each with what stands behind its code (`make_up`). `own` are the keys its table shares.
    fn further(&self, _own: &campaign::Common) -> Vec<(&'static str, campaign::Common, Box<dyn Rule>)> {
        Vec::new()
    }

    /// What it says of days in a row and answers, for the linter.
    fn ladder(&self) -> Option<lint_days::Ladder<'_>> {
        None
    }

    /// The month of a member, for 「签到日历」; `None` for a rule that counts no days.
    fn month(&self, _hearing: &Hearing<'_>, _own: Own<'_>) -> Option<check_in::calendar::Month> {
        None
    }
}

/// A part in what members share, wanted by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// What is shared, without the rule's code, which `decide` puts behind it: `first`, `budget`.
    pub name: &'static str,
    /// Which one of these: a day, a keyed hash.
    pub number: i64,
    /// How many there are.
    pub most: i64,
    /// What it means that none is left.
    pub scarce: Scarce,
}

/// What it means that nothing is left of what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// The rule does not pay.
    Refuses,
    /// The rule pays without so many extra points.
    Costs(i64),
}

/// A kind of rule: what `rules.toml` calls it and how its table becomes a [`Rule`].
pub struct Kind {
    /// The table's name: `check_in`.
    pub name: &'static str,
    /// The title a rule has when none is written: `签到`.
    pub title: &'static str,
    /// Its caps where the operator writes none: `max_times` and `max_points` each on its own, so that one does not lift the other.
    pub default_limits: fn() -> Limits,
    /// Its own keys with what holds where a table does not write them, in TOML, for who writes all out.
    pub defaults: fn(&table::RuleTable<'_>) -> Vec<(&'static str, String)>,
    /// Compiles the kind's own keys (the shared ones are read by [`shared_keys`]). Notes mistakes and goes on, so that all are told at once.
    pub compile: fn(&table::RuleTable<'_>, &mut mistake::Mistakes) -> Option<Box<dyn Rule>>,
    /// The JSON Schema of its own keys; each has its Chinese doc comment and the same in English as `x-en`, for the reference.
    pub schema: fn(&mut schemars::SchemaGenerator) -> schemars::Schema,
}

/// All kinds of rule, in the order the reference lists them.
pub const KINDS: &[Kind] = &[check_in::KIND, speaking::KIND, retention::KIND, event::KIND, task::KIND];

/// A rule's offer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Offer {
    /// Points, bonus included, before caps.
    pub points: i64,
    /// The part that is a streak bonus.
    pub bonus: i64,
    /// Days in a row with this one.
    pub streak: Option<u32>,
    /// Changes of the rule's own state if it pays (not the counts towards caps, which `decide` adds). Keys are left empty
    /// by the rule and filled in by `decide`; a key such as `#top` names a part ([`Own::part`]).
    pub marks: Vec<Mark>,
    /// Further arguments for its reply, beside those `decide` gives.
    pub args: crate::model::decision::Args,
}

/// An event as the rules hear it: what happened, where it falls in the campaign's time, what its text holds.
#[derive(Debug, Clone, Copy)]
pub struct Hearing<'a> {
    /// The event.
    pub event: &'a Event,
    /// What its text holds; empty for other kinds.
    pub traits: &'a Traits,
    /// What was done, where nothing was said.
    pub deed: Option<&'a Deed>,
    /// The campaign it is decided in.
    pub campaign: &'a Campaign,
    /// The rule that is asked.
    pub rule: &'a RuleEntry,
    /// Whether the rule's own words matched.
    pub matched: bool,
    /// Whether any rule's words matched, or it is a question to the assistant: then it is not talk.
    pub is_command: bool,
    /// The business day of the event.
    pub day: Day,
}

/// What a rule remembers of an account.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    state: Option<&'a AccountState>,
    key: &'a str,
    pending: Pending<'a>,
}

/// What the rules before this one did with the same event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pending<'a> {
    /// What they counted.
    pub marks: &'a [Mark],
    /// What they paid, by code.
    pub paid: &'a [(Arc<str>, i64)],
    /// That of the rule that is asked: on trial it also counts what was tried.
    pub mode: campaign::Mode,
}

impl<'a> Own<'a> {
    /// What is kept under `key` in this state.
    pub fn new(state: Option<&'a AccountState>, key: &'a str) -> Self {
        Own { state, key, pending: Pending::default() }
    }

    /// With what the rules before did with the same event.
    pub fn after(self, pending: Pending<'a>) -> Self {
        Own { pending, ..self }
    }

    /// All of the account's state, this event's not included.
    pub fn all(&self) -> Option<&'a AccountState> {
        self.state
    }

    /// All that another rule (by its code) ever paid, this event included.
    pub fn total_of(&self, code: &str) -> Total {
        let mut before = self.state.and_then(|state| state.code(code)).map_or(Total::default(), |state| state.total);
        if let Some(tried) = self.tried(code, Period::Ever) {
            before = Total { times: before.times + tried.times, points: before.points + tried.points };
        }
        let now = self.pending.paid.iter().filter(|(paid, _)| **paid == *code);
        now.fold(before, |total, (_, points)| Total { times: total.times + 1, points: total.points + points })
    }

    /// How often another rule (by its code) was counted in a period, this event included. Only periods that the rule's limits name are
    /// counted, or its days if none does.
    pub fn times_of(&self, code: &str, period: Period) -> i64 {
        let before = self.state.and_then(|state| state.code(code)?.sum(period)).map_or(0, |sum| sum.times);
        let before = before + self.tried(code, period).map_or(0, |sum| sum.times);
        let is_it = |key: &str| key == code || (self.pending.mode == campaign::Mode::Shadow && key.strip_prefix('~') == Some(code));
        let of = |mark: &Mark| match mark {
            Mark::Count { key, period: counted, times, .. } if is_it(key) && *counted == period => *times,
            Mark::Count { .. } | Mark::Day { .. } | Mark::Recent { .. } | Mark::Since { .. } | Mark::Proof { .. } | Mark::Lifetime { .. } => 0,
        };
        before + self.pending.marks.iter().map(of).sum::<i64>()
    }

    /// What another rule tried in a period, where the rule that asks is on trial itself.
    fn tried(&self, code: &str, period: Period) -> Option<&'a Sum> {
        let state = self.state.filter(|_| self.pending.mode == campaign::Mode::Shadow)?;
        state.code(&format!("~{code}"))?.sum(period)
    }

    /// What is remembered under the rule's code.
    pub fn code(&self) -> Option<&'a CodeState> {
        self.state?.code(self.key)
    }

    /// What is remembered beside it, under the code with a suffix such as `#top`.
    pub fn part(&self, suffix: &str) -> Option<&'a CodeState> {
        self.state?.code(&format!("{}{suffix}", self.key))
    }
}

/// What `decide` may know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The name to show: the member's, else the one in the event, else the outside id.
    pub name: &'a str,
    /// The account the event is decided for; `None` before anything was earned.
    pub account: Option<&'a AccountCell>,
    /// For a question in a single chat: the member's accounts in all campaigns, by index into `Rules::campaigns`.
    pub others: &'a [(usize, &'a AccountCell)],
    /// What members share.
    pub shared: Shared<'a>,
    /// The group it happened in; [`GroupId::NONE`] outside of groups.
    pub group: GroupId,
    /// Keyed hash of the operator who does it; 0 for everything else.
    pub actor: u64,
    /// It was decided before and is decided again: nothing is bought by it.
    pub again: bool,
}

/// What is known of things that members share.
#[derive(Debug, Clone, Copy)]
pub enum Shared<'a> {
    /// How much of each is taken by now, by name and number.
    Taken(&'a HashMap<(Arc<str>, i64), i64>),
    /// What this event took when it was decided first: deciding again takes no more and no less.
    Pinned(&'a [Claim]),
}

impl Default for Shared<'_> {
    fn default() -> Self {
        Shared::Pinned(&[])
    }
}

/// An event with what its text holds, made on the task that received it; the writer does integer work only.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The event.
    pub event: Event,
    /// What its text holds.
    pub traits: Option<Traits>,
    /// What was done, where nothing was said.
    pub deed: Option<Deed>,
    /// Indices of the rules (over all campaigns) whose words matched, ascending.
    pub matched: Vec<usize>,
    /// The rules that matched it; prepared again when others are live by the time it is decided.
    pub rules: Arc<campaign::Rules>,
}
