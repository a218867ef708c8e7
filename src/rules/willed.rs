//! Opening balances, moved by somebody's will as grants are ([`super::grant`]). No rule of rules.toml looks at them, no cap holds them; they stand as booked.

use std::sync::{Arc, LazyLock};

use crate::model::act::Act;
use crate::model::cells::AccountCell;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Decision, Deed, Payment, Record, Refusal, Ruling, Verdict};
use crate::model::points::Points;
use crate::rules::validity::{self, Validity};

/// Ledger code of balances brought from elsewhere.
pub static OPENING: LazyLock<Arc<str>> = LazyLock::new(|| "opening".into());

/// The decision on such an act; `None` for every other.
pub fn decide(act: &Act, validity: &Validity, account: Option<&AccountCell>, (day, at): (Day, Millis)) -> Option<Decision> {
    let (code, chart, points) = match act {
        Act::Opened { points } => (&*OPENING, Chart::Opening, *points),
        Act::Joined
        | Act::JoinedBy { .. }
        | Act::Left
        | Act::Happened { .. }
        | Act::OrderPaid { .. }
        | Act::Due { .. }
        | Act::Counted { .. }
        | Act::Reinstated { .. }
        | Act::RulesChanged { .. }
        | Act::Listed { .. } => return None,
        Act::Granted { .. } | Act::Reviewed { .. } | Act::TakenBack { .. } => return None,
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
    let marks = validity.earned(account, at).filter(|_| ruling.booked() > 0).into_iter().collect();
    let verdicts = vec![Verdict { rule: code.clone(), ruling }];
    Some(Decision { record: Record { deed: Some(Deed::Willed), verdicts, marks, ..Record::default() }, entries, replies: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::{Part, Side};

    fn opened(points: i64) -> Act {
        Act::Opened { points }
    }

    fn booked(points: i64, account: &AccountCell) -> (i64, Vec<(Side, Side, i64)>) {
        let decision = decide(&opened(points), &Validity::default(), Some(account), (Day(0), Millis(0))).expect("an opening balance");
        let entries = decision.entries.iter().map(|entry| (entry.src, entry.dst, entry.amount)).collect();
        (decision.record.verdicts[0].ruling.booked(), entries)
    }

    #[test]
    fn points_brought_come_from_openings_and_points_taken_go_back_there() {
        let (adjusted, own) = (Side::System(Chart::Opening), Side::Own(Part::Available));
        assert_eq!(booked(10, &AccountCell::default()), (10, vec![(adjusted, own, 10)]));
        assert_eq!(booked(-10, &AccountCell::default()), (-10, vec![(own, adjusted, 10)]), "a claw-back may go below zero");
    }

    #[test]
    fn an_opening_past_what_can_be_counted_is_refused_whole() {
        let rich = AccountCell { available: crate::model::points::POINTS_MAX, ..AccountCell::default() };
        assert_eq!(booked(1, &rich), (0, Vec::new()));
        assert_eq!(booked(i64::MIN, &rich), (0, Vec::new()));
    }
}
