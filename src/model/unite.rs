//! One state of two: what two accounts of one person remember, put together when they are merged.
//!
//! Sums are added, days are united, the newest talk is kept. Nothing is taken back: who was at a cap with both is over it until the period ends.
//! Of two instants since which something holds the later one counts, unless the code is one of those of which the earlier does.

use std::sync::Arc;

use super::cells::{CodeState, RECENT_MAX, Recent, Run, Sum, Total};

/// What is remembered under each code, sorted by code, of two accounts that are one from now on. `earlier` says of which codes the earlier of two
/// instants counts.
pub fn unite(one: &[(Arc<str>, CodeState)], other: &[(Arc<str>, CodeState)], earlier: &dyn Fn(&str) -> bool) -> Vec<(Arc<str>, CodeState)> {
    let mut united = one.to_vec();
    for (code, state) in other {
        match united.binary_search_by(|(key, _)| key.cmp(code)) {
            Ok(at) => united[at].1 = unite_code(&united[at].1, state, earlier(code)),
            Err(at) => united.insert(at, (code.clone(), state.clone())),
        }
    }
    united
}

fn unite_code(one: &CodeState, other: &CodeState, earlier: bool) -> CodeState {
    let since = [one.since, other.since].into_iter().flatten();
    CodeState {
        sums: sums(&one.sums, &other.sums),
        runs: runs(&one.runs, &other.runs),
        recent: recent(&one.recent, &other.recent),
        total: Total { times: one.total.times.saturating_add(other.total.times), points: one.total.points.saturating_add(other.total.points) },
        since: if earlier { since.min() } else { since.max() },
    }
}

fn sums(one: &[Sum], other: &[Sum]) -> Vec<Sum> {
    let mut united = one.to_vec();
    for sum in other {
        match united.binary_search_by_key(&sum.period, |sum| sum.period) {
            Ok(at) => {
                let into = &mut united[at];
                into.times = into.times.saturating_add(sum.times);
                into.points = into.points.saturating_add(sum.points);
                into.last_at = into.last_at.max(sum.last_at);
            }
            Err(at) => united.insert(at, *sum),
        }
    }
    united
}

fn runs(one: &[Run], other: &[Run]) -> Vec<Run> {
    let mut all: Vec<Run> = one.iter().chain(other).copied().collect();
    all.sort_by_key(|run| run.start);
    let mut united: Vec<Run> = Vec::with_capacity(all.len());
    for run in all {
        let end = run.start.0.saturating_add_unsigned(run.days);
        match united.last_mut() {
            Some(last) if run.start.0 <= last.start.0.saturating_add_unsigned(last.days) => {
                last.days = last.days.max(end.abs_diff(last.start.0));
            }
            Some(_) | None => united.push(run),
        }
    }
    united
}

fn recent(one: &[Recent], other: &[Recent]) -> Vec<Recent> {
    let mut united: Vec<Recent> = one.iter().chain(other).copied().collect();
    united.sort_by_key(|recent| recent.at);
    united.drain(..united.len().saturating_sub(RECENT_MAX));
    united
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::cells::{AccountCell, Occurrence};
    use crate::model::day::{Day, Millis, Period};
    use crate::model::decision::{Mark, Record};
    use crate::model::ids::EventSeq;

    fn state(days: &BTreeSet<i32>, counts: &[(i32, i64)]) -> Vec<(Arc<str>, CodeState)> {
        let (mut cell, key): (AccountCell, Arc<str>) = (AccountCell::default(), "check_in.daily".into());
        let mut marks: Vec<Mark> = days.iter().map(|day| Mark::Day { key: key.clone(), day: Day(*day) }).collect();
        marks.extend(counts.iter().map(|(day, points)| Mark::Count { key: key.clone(), period: Period::Day(*day), times: 1, points: *points }));
        cell.apply(Occurrence { seq: EventSeq(1), at: Millis(0), day: Day(0) }, &Record { marks, ..Record::default() }, &[]);
        cell.state.codes
    }

    proptest! {
        #[test]
        fn united_days_and_sums_are_those_of_one_person(
            days in prop::collection::btree_set(0_i32..40, 0..20), more in prop::collection::btree_set(0_i32..40, 0..20),
            counts in prop::collection::vec((0_i32..10, 0_i64..9), 0..12), others in prop::collection::vec((0_i32..10, 0_i64..9), 0..12),
        ) {
            let all: BTreeSet<i32> = days.union(&more).copied().collect();
            let both: Vec<(i32, i64)> = counts.iter().chain(&others).copied().collect();
            prop_assert_eq!(unite(&state(&days, &counts), &state(&more, &others), &|_| false), state(&all, &both));
            prop_assert_eq!(unite(&state(&more, &others), &state(&days, &counts), &|_| true), state(&all, &both));
        }
    }

    #[test]
    fn the_newest_talk_of_both_is_kept() {
        let talk = |from: i64| CodeState { recent: (from..from + 10).map(|at| Recent { at: Millis(at), fingerprint: 0 }).collect(), ..CodeState::default() };
        let united = unite(&[("speaking.day".into(), talk(0))], &[("speaking.day".into(), talk(5))], &|_| false);
        let kept = &united[0].1.recent;
        assert!(kept.len() == RECENT_MAX && kept.is_sorted_by_key(|recent| recent.at) && kept.last().is_some_and(|recent| recent.at == Millis(14)));
    }
}
