//! Points moved by somebody's will: grants and opening balances. No rule of rules.toml looks at them, no cap holds them; they stand as booked.

use std::sync::{Arc, LazyLock};

use crate::model::act::Act;
use crate::model::cells::AccountCell;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Decision, Deed, Payment, Record, Refusal, Ruling, Verdict};
use crate::model::points::Points;
use crate::rules::validity::{self, Validity};

/// Ledger code of points given or taken by an operator.
pub static GRANT: LazyLock<Arc<str>> = LazyLock::new(|| "grant".into());

/// Ledger code of balances brought from elsewhere.
pub static OPENING: LazyLock<Arc<str>> = LazyLock::new(|| "opening".into());

/// The decision on such an act; `None` for every other.
pub fn decide(act: &Act, validity: &Validity, account: Option<&AccountCell>, (day, at): (Day, Millis)) -> Option<Decision> {
    let (code, chart, points) = match act {
        Act::Granted { points, .. } => (&*GRANT, Chart::Adjusted, *points),
        Act::Opened { points } => (&*OPENING, Chart::Opening, *points),
        Act::Joined | Act::Left | Act::Happened { .. } | Act::OrderPaid { .. } | Act::Due { .. } | Act::Reinstated { .. } => return None,
    };
    let (available, lifetime) = account.map_or((0, 0), |account| (account.available, account.lifetime));
    let fits = |before: i64| Points(before).checked_add(Points(points)).is_some();
    let ruling = match points != 0 && fits(available) && fits(lifetime) {
        true => Ruling::Paid(Payment { points, offered: points, base: points, ..Payment::default() }),
        false => Ruling::Refused(Refusal::TooMany),
    };
    let entries = match ruling.booked() {
        0 => Vec::new(),
        points if points > 0 => vec![validity::given(code, chart, points, day, validity.bucket(None, None, day))],
        points => validity::taken(code, chart, points.saturating_neg(), day, account),
    };
    let marks = validity.earned(account, at).filter(|_| points > 0).into_iter().collect();
    let verdicts = vec![Verdict { rule: code.clone(), ruling }];
    Some(Decision { record: Record { deed: Some(Deed::Willed), verdicts, marks, ..Record::default() }, entries, replies: Vec::new() })
}
