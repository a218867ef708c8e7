//! Points moved by somebody's will: grants and opening balances. No rule of rules.toml looks at them, no cap holds them; they stand as booked.

use std::sync::{Arc, LazyLock};

use crate::model::act::Act;
use crate::model::cells::AccountCell;
use crate::model::day::Day;
use crate::model::decision::{Chart, Decision, Deed, Entry, Part, Payment, Record, Refusal, Ruling, Side, Verdict};
use crate::model::points::Points;

/// Ledger code of points given or taken by an operator.
pub static GRANT: LazyLock<Arc<str>> = LazyLock::new(|| "grant".into());

/// Ledger code of balances brought from elsewhere.
pub static OPENING: LazyLock<Arc<str>> = LazyLock::new(|| "opening".into());

/// The decision on such an act; `None` for every other.
pub fn decide(act: &Act, account: Option<&AccountCell>, day: Day) -> Option<Decision> {
    let (code, chart, points) = match act {
        Act::Granted { points, .. } => (&*GRANT, Chart::Adjusted, *points),
        Act::Opened { points } => (&*OPENING, Chart::Opening, *points),
        Act::Joined | Act::Left | Act::Happened { .. } | Act::OrderPaid { .. } | Act::Due { .. } | Act::Counted { .. } | Act::Listed { .. } => return None,
    };
    let (available, lifetime) = account.map_or((0, 0), |account| (account.available, account.lifetime));
    let fits = |before: i64| Points(before).checked_add(Points(points)).is_some();
    let ruling = match points != 0 && fits(available) && fits(lifetime) {
        true => Ruling::Paid(Payment { points, offered: points, base: points, ..Payment::default() }),
        false => Ruling::Refused(Refusal::TooMany),
    };
    let entries = if ruling.booked() == 0 { Vec::new() } else { vec![entry(code, chart, points, day)] };
    let verdicts = vec![Verdict { rule: code.clone(), ruling }];
    Some(Decision { record: Record { deed: Some(Deed::Willed), verdicts, ..Record::default() }, entries, replies: Vec::new() })
}

/// Moves points between a system account and the member: to the member above zero, back below.
fn entry(code: &Arc<str>, chart: Chart, points: i64, day: Day) -> Entry {
    let (system, own) = (Side::System(chart), Side::Own(Part::Available));
    let (src, dst) = if points > 0 { (system, own) } else { (own, system) };
    Entry { code: code.clone(), src, dst, amount: points.abs(), day, vests_on: None, expires_on: None, slot_event: None, reverses: None }
}
