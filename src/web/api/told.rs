//! What came of an event, for who told of it: the points it paid, or why it paid none.

use std::sync::Arc;

use serde::Serialize;

use crate::model::day::Calendar;
use crate::model::decision::Outcome;
use crate::model::ids::EventSeq;
use crate::model::journal::EventRow;
use crate::rules::explain::{explain, telling};
use crate::rules::versions::Versions;
use crate::store::{Reader, StoreError};

/// Reads back what came of committed events; `None` where it cannot be read. Blocks.
pub type Teller = Arc<dyn Fn(&[EventSeq]) -> Vec<Option<Told>> + Send + Sync>;

/// What came of an event when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// Points it paid.
    pub paid: i64,
    /// What for, or why nothing; Chinese, for a person who reads the caller's log.
    pub why: String,
}

/// What came of one event.
///
/// # Errors
/// It cannot be read.
pub fn told(reader: &dyn Reader, versions: &mut Versions, seq: EventSeq) -> Result<Option<Told>, StoreError> {
    let Some(event) = reader.event(seq)? else { return Ok(None) };
    let rules = versions.get(event.rules, || reader.rules_text(event.rules))?;
    let paid = event.record.verdicts.iter().map(|verdict| verdict.ruling.booked()).sum();
    let calendar = rules.as_ref().and_then(|rules| rules.campaigns.first()).map_or_else(china, |campaign| campaign.calendar.clone());
    let verdicts = telling(&event.record.verdicts);
    let words: Vec<String> = verdicts.iter().map(|verdict| explain(rules.as_deref(), verdict, &calendar, (event.at, event.at))).collect();
    let why = if words.is_empty() { nobody_cared(&event) } else { words.join(";") };
    Ok(Some(Told { paid, why }))
}

/// Why no rule has a verdict.
fn nobody_cared(event: &EventRow) -> String {
    match &event.record.outcome {
        Outcome::Parked(_) => "先放着:rules.toml 用群名指明了群,而这个群叫什么还不知道;知道以后自动补判".into(),
        Outcome::Failed(_) => "判定时出错,没有记账;修好后用 jifen retry 补判".into(),
        Outcome::RecalledBefore => "到达之前就已经撤回,不计分".into(),
        Outcome::TwinOf(first) => format!("先从另一个通道听到过(第 {first} 号事件),只算那一条"),
        Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } if event.campaign.is_none() => {
            "没有积分活动管这里:群不在任何活动里,或者没有叫这个名字的活动".into()
        }
        Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => format!("收下了,但 rules.toml 里没有规则为它({})记分", event.kind),
    }
}

fn china() -> Calendar {
    Calendar::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)), 0)
}
