//! What came of an event, for who told of it: the points it paid, or why it paid none.

use std::sync::Arc;

use serde::Serialize;

use crate::model::day::Calendar;
use crate::model::decision::{Deed, Outcome};
use crate::model::ids::EventSeq;
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::rules::campaign::Rules;
use crate::rules::explain::{explain, telling};
use crate::rules::fit::did_you_mean;
use crate::rules::versions::Versions;
use crate::store::{Reader, StoreError};

/// Reads back what came of committed events; `None` where it cannot be read. Blocks.
pub type Teller = Arc<dyn Fn(&[EventSeq]) -> Vec<Option<Told>> + Send + Sync>;

/// What came of an event when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// By how much it changed the member's balance. Told together with what came after it, an event may take points that another of the same
    /// member had and give them to this one: then that is in it.
    pub paid: i64,
    /// What for, or why nothing; Chinese, for a person who reads the caller's log.
    pub why: String,
    /// Whether any rule looked at it.
    #[serde(skip)]
    pub is_heeded: bool,
}

/// What came of one event.
///
/// # Errors
/// It cannot be read.
pub fn told(reader: &dyn Reader, versions: &mut Versions, seq: EventSeq) -> Result<Option<Told>, StoreError> {
    let Some(event) = reader.event(seq)? else { return Ok(None) };
    let rules = versions.get(event.rules, || reader.rules_text(event.rules))?;
    let paid = reader.postings_of(seq)?.iter().map(net).sum();
    let calendar = rules.as_ref().and_then(|rules| rules.campaigns.first()).map_or_else(china, |campaign| campaign.calendar.clone());
    let verdicts = telling(&event.record.verdicts);
    let mut words: Vec<String> = verdicts.iter().map(|verdict| explain(rules.as_deref(), verdict, &calendar, (event.at, event.at))).collect();
    if let Some(repair) = event.record.repair.as_ref().filter(|repair| !repair.changed.is_empty()) {
        let changed: i64 = repair.changed.iter().map(|changed| changed.now - changed.was).sum();
        words.push(format!("同时按发生的先后改判了别的 {} 件,{changed:+}", repair.changed.len()));
    }
    let why = if words.is_empty() { nobody_cared(&event, rules.as_deref()) } else { words.join(";") };
    Ok(Some(Told { paid, why, is_heeded: !event.record.verdicts.is_empty() }))
}

/// What a posting brings the member.
fn net(posting: &Posting) -> i64 {
    let member = |side: AccountRef| i64::from(matches!(side, AccountRef::Member(_)));
    (member(posting.dst) - member(posting.src)) * posting.amount
}

/// Why no rule has a verdict.
fn nobody_cared(event: &EventRow, rules: Option<&Rules>) -> String {
    match &event.record.outcome {
        Outcome::Parked(_) => "先放着:rules.toml 用群名指明了群,而这个群叫什么还不知道;知道以后自动补判".into(),
        Outcome::Failed(_) => "判定时出错,没有记账;修好后用 jifen retry 补判".into(),
        Outcome::RecalledBefore => "到达之前就已经撤回,不计分".into(),
        Outcome::TwinOf(first) => format!("先从另一个通道听到过(第 {first} 号事件),只算那一条"),
        Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } if event.campaign.is_none() => {
            "没有积分活动管这里:群不在任何活动里,或者没有叫这个名字的活动".into()
        }
        Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => match &event.record.deed {
            Some(Deed::Happened { event, .. }) => format!("收下了,但没有规则为事件「{event}」记分{}", near(event, rules)),
            Some(_) | None => format!("收下了,但没有规则为它({})记分", event.kind),
        },
    }
}

/// The events that rules wait for, the one first that was probably meant.
fn near(event: &str, rules: Option<&Rules>) -> String {
    let all = rules.iter().flat_map(|rules| &rules.campaigns).flat_map(|campaign| &campaign.rules);
    let mut names: Vec<&str> = all.filter_map(|rule| rule.code.strip_prefix("event.")).collect();
    names.sort_unstable();
    names.dedup();
    match (did_you_mean(event, &names), names.is_empty()) {
        (near, false) if near.is_empty() => format!(";rules.toml 里有:{}", names.join("、")),
        (near, _) => near,
    }
}

fn china() -> Calendar {
    Calendar::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)), 0)
}
