//! Caps: how often and how much a rule, a bucket or a campaign pays per period, and what room is left.

use std::sync::Arc;

use crate::model::day::{Day, Millis, Period, PeriodKind};
use crate::model::decision::{Cap, Refusal};

/// `max_times` and `max_points`, each a list of (period, most).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// How often it pays.
    pub max_times: Vec<(PeriodKind, i64)>,
    /// How much it pays.
    pub max_points: Vec<(PeriodKind, i64)>,
}

/// The periods an event falls in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// Its business day.
    pub day: Day,
    /// The minute its window opened; `None` for a rule without `when`, whose window is the day.
    pub window: Option<i64>,
}

impl Periods {
    /// The period of a kind.
    pub fn of(&self, kind: PeriodKind) -> Period {
        match kind {
            PeriodKind::Day => Period::Day(self.day.0),
            PeriodKind::Week => Period::Week(self.day.week()),
            PeriodKind::Month => Period::Month(self.day.month()),
            PeriodKind::Window => self.window.map_or(Period::Day(self.day.0), Period::Window),
            PeriodKind::Ever => Period::Ever,
        }
    }
}

/// What was used in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Times.
    pub times: i64,
    /// Points.
    pub points: i64,
    /// When it was used last.
    pub last_at: Option<Millis>,
}

/// What may be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Points; more than 0 and at most what was wanted.
    pub points: i64,
    /// The cap that leaves no more than this.
    pub clipped_by: Option<Cap>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.max_times.is_empty() && self.max_points.is_empty()
    }

    /// The same with its points multiplied, in percent; how often stays.
    pub fn lifted(&self, percent: u32) -> Limits {
        let lift = |&(kind, most): &(PeriodKind, i64)| (kind, most.saturating_mul(i64::from(percent)) / 100);
        Limits { max_times: self.max_times.clone(), max_points: self.max_points.iter().map(lift).collect() }
    }

    /// The kinds of period that are counted for these limits, each once.
    pub fn periods(&self) -> impl Iterator<Item = PeriodKind> {
        let kinds = || self.max_times.iter().chain(&self.max_points).map(|(kind, _)| *kind);
        kinds().enumerate().filter(move |(at, kind)| !kinds().take(*at).any(|earlier| earlier == *kind)).map(|(_, kind)| kind)
    }
}

/// How much of `wanted` these limits leave. `of` says whose they are; `used` tells what was used in a period.
pub fn room(limits: &Limits, of: &Arc<str>, periods: Periods, wanted: i64, used: impl Fn(Period) -> Used) -> Result<Room, Refusal> {
    let cap = |period, in_points, used, most| Cap { of: of.clone(), period, in_points, used, most };
    for &(kind, most) in &limits.max_times {
        let used = used(periods.of(kind));
        if used.times >= most {
            return Err(Refusal::Already { cap: cap(kind, false, used.times, most), paid_at: used.last_at });
        }
    }
    let mut room = Room { points: wanted, clipped_by: None };
    for &(kind, most) in &limits.max_points {
        let used = used(periods.of(kind)).points;
        let left = most.saturating_sub(used);
        if left <= 0 {
            return Err(Refusal::Capped(cap(kind, true, used, most)));
        }
        if left < room.points {
            room = Room { points: left, clipped_by: Some(cap(kind, true, used, most)) };
        }
    }
    Ok(room)
}

/// What limits leave; `None` where nothing limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Left {
    /// Times.
    pub times: Option<i64>,
    /// Points.
    pub points: Option<i64>,
}

impl Left {
    /// What both leave.
    pub fn tighter(self, other: Left) -> Left {
        let least = |one: Option<i64>, other: Option<i64>| one.into_iter().chain(other).min();
        Left { times: least(self.times, other.times), points: least(self.points, other.points) }
    }
}

/// What these limits leave in these periods.
pub fn left(limits: &Limits, periods: Periods, used: impl Fn(Period) -> Used) -> Left {
    let rest = |most: i64, used: i64| most.saturating_sub(used).max(0);
    Left {
        times: limits.max_times.iter().map(|&(kind, most)| rest(most, used(periods.of(kind)).times)).min(),
        points: limits.max_points.iter().map(|&(kind, most)| rest(most, used(periods.of(kind)).points)).min(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TODAY: Periods = Periods { day: Day(20_000), window: None };

    fn used(times: i64, points: i64) -> impl Fn(Period) -> Used {
        move |_| Used { times, points, last_at: None }
    }

    #[test]
    fn the_tightest_cap_clips() {
        let limits =
            Limits { max_times: vec![(PeriodKind::Day, 3)], max_points: vec![(PeriodKind::Week, 100), (PeriodKind::Day, 20), (PeriodKind::Month, 50)] };
        let room = room(&limits, &"speaking.evening".into(), TODAY, 5, used(2, 18)).expect("two are left");
        assert_eq!(room.points, 2);
        assert_eq!(room.clipped_by.map(|cap| (cap.period, cap.used, cap.most)), Some((PeriodKind::Day, 18, 20)));
    }

    #[test]
    fn nothing_is_left_of_a_full_cap() {
        let limits = Limits { max_times: vec![(PeriodKind::Day, 1)], max_points: vec![(PeriodKind::Day, 20)] };
        assert!(matches!(room(&limits, &"a".into(), TODAY, 5, used(1, 0)), Err(Refusal::Already { .. })));
        assert!(matches!(room(&limits, &"a".into(), TODAY, 5, used(0, 20)), Err(Refusal::Capped(_))));
    }

    #[test]
    fn a_window_is_the_day_where_no_window_is_written() {
        assert_eq!(TODAY.of(PeriodKind::Window), TODAY.of(PeriodKind::Day));
        assert_eq!(Periods { window: Some(7), ..TODAY }.of(PeriodKind::Window), Period::Window(7));
    }

    proptest! {
        #[test]
        fn a_cap_is_never_exceeded(mosts in prop::collection::vec(1i64..50, 0..4), wanted in 1i64..60, before in 0i64..60) {
            let limits = Limits { max_times: vec![], max_points: mosts.iter().map(|&most| (PeriodKind::Day, most)).collect() };
            match room(&limits, &"a".into(), TODAY, wanted, used(0, before)) {
                Ok(room) => {
                    prop_assert!(room.points > 0 && room.points <= wanted);
                    prop_assert!(mosts.iter().all(|&most| before + room.points <= most));
                    prop_assert_eq!(room.clipped_by.is_some(), room.points < wanted);
                }
                Err(_) => prop_assert!(mosts.iter().any(|&most| before >= most)),
            }
        }
    }
}
