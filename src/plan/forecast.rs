//! What will be outstanding: weeks of the past are drawn again, a thousand times over, from what is there and when it goes.
//!
//! A path draws how far back it looks (4 to 26 weeks, so that both what holds for long and what began lately are believed), then runs of up to
//! four weeks from there, and lives them day by day: what they earned comes in with the life it had, what they spent goes, soonest gone first,
//! and what is past its day goes. The middle of all paths is likely; eight of ten end in the interval. What is drawn from the past knows nothing
//! of what never was, so the interval is widened until it would have held eight of ten of the months before. The draws are fixed by the
//! data: the same ledger gives the same forecast.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::earners::WEEK_DAYS;
use super::flows::{Flows, NEVER};
use crate::model::day::Day;

/// Weeks looked back at least; less is no history.
pub const WEEKS_MIN: i32 = 4;

/// Weeks looked back at most: what was half a year ago tells little.
const WEEKS_MAX: i32 = 26;

/// Longest run of weeks that is drawn together, so that a busy month stays one.
const RUN_WEEKS_MAX: i32 = 4;

/// How often the future is drawn.
const PATHS: usize = 500;

/// Weeks before the first month that is forecast to see how good forecasts are.
const BACKTEST_WEEKS_MIN: i32 = 8;

/// Months that must have been forecast before their misses say how wide an interval must be.
const PROVEN_MONTHS_MIN: usize = 4;

/// How much wider the interval is until then, in percent: forecasts of the made-up histories of the test need about that.
const UNPROVEN_PERCENT: i64 = 150;

/// What will be outstanding at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// The day.
    pub on: Date,
    /// One of ten ends below.
    pub low: i64,
    /// The middle.
    pub likely: i64,
    /// One of ten ends above.
    pub high: i64,
}

/// A forecast of the past beside what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Made from what was known at the end of this day.
    pub made_on: Date,
    /// What was forecast.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// What came.
    pub actual: i64,
    /// Whether it is in the interval.
    pub inside: bool,
}

/// What will be outstanding at the end of these days (ascending, after `origin`), from what is known at the end of `origin`. `None` with less
/// than four weeks of history.
pub fn forecast(flows: &Flows, origin: Day, ends: &[Day]) -> Option<Vec<Forecast>> {
    let made = drawn(flows, origin, ends)?;
    let misses: Vec<i64> = months(flows, origin).into_iter().filter_map(|(origin, end)| miss(flows, &drawn_month(flows, origin, end)?)).collect();
    let percent = width(&misses);
    Some(made.into_iter().map(|made| made.widened(percent)).collect())
}

/// A forecast with the interval that was drawn.
fn drawn(flows: &Flows, origin: Day, ends: &[Day]) -> Option<Vec<Forecast>> {
    let weeks = ((origin.0 - flows.first()?.0 + 1) / WEEK_DAYS).min(WEEKS_MAX);
    let last = ends.last().copied().filter(|_| weeks >= WEEKS_MIN)?;
    let lots = flows.lots_at(origin);
    let mut chance = Chance::of(flows, origin);
    let mut outcomes: Vec<Vec<i64>> = vec![Vec::with_capacity(PATHS); ends.len()];
    for _ in 0..PATHS {
        let mut path = Path { lots: lots.clone(), look_back: chance.among(WEEKS_MIN, weeks), week: 0, run: 0 };
        for day in origin.0 + 1..=last.0 {
            path.live(flows, origin, Day(day), &mut chance);
            if let Ok(place) = ends.binary_search(&Day(day)) {
                outcomes[place].push(path.lots.values().fold(0, |sum: i64, amount| sum.saturating_add(*amount)));
            }
        }
    }
    Some(ends.iter().zip(outcomes).map(|(end, outcomes)| summed_up(*end, outcomes)).collect())
}

fn summed_up(end: Day, mut outcomes: Vec<i64>) -> Forecast {
    outcomes.sort_unstable();
    let at = |percent: usize| outcomes.get((outcomes.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0);
    Forecast { on: end.date(), low: at(10), likely: at(50), high: at(90) }
}

fn drawn_month(flows: &Flows, origin: Day, end: Day) -> Option<Forecast> {
    drawn(flows, origin, &[end])?.first().copied()
}

/// By how much a forecast missed, in percent of its interval's half on that side.
fn miss(flows: &Flows, made: &Forecast) -> Option<i64> {
    let actual = i128::from(flows.outstanding(Day::of(made.on)));
    let (likely, half) = match actual >= i128::from(made.likely) {
        true => (i128::from(made.likely), i128::from(made.high) - i128::from(made.likely)),
        false => (i128::from(made.likely), i128::from(made.likely) - i128::from(made.low)),
    };
    i64::try_from((actual - likely).abs() * 100 / half.max(1)).ok()
}

/// How wide intervals must be to hold eight of ten of those that were missed so, in percent of what was drawn; never narrower.
fn width(misses: &[i64]) -> i64 {
    if misses.len() < PROVEN_MONTHS_MIN {
        return UNPROVEN_PERCENT;
    }
    let mut misses = misses.to_vec();
    misses.sort_unstable();
    misses[misses.len() * 4 / 5].max(100)
}

impl Forecast {
    fn widened(self, percent: i64) -> Forecast {
        let wider = |half: i64| i64::try_from(i128::from(half) * i128::from(percent) / 100).unwrap_or(i64::MAX);
        let low = self.likely.saturating_sub(wider(self.likely.saturating_sub(self.low)));
        let high = self.likely.saturating_add(wider(self.high.saturating_sub(self.likely)));
        Forecast { low, high, ..self }
    }
}

/// One future.
struct Path {
    /// What is there, by the first day on which it is gone.
    lots: BTreeMap<Day, i64>,
    /// How many weeks back it draws from.
    look_back: i32,
    /// The week that is lived again, 1 for the one that ends with the origin.
    week: i32,
    /// Weeks left of the run.
    run: i32,
}

impl Path {
    fn live(&mut self, flows: &Flows, origin: Day, day: Day, chance: &mut Chance) {
        let place = (day.0 - origin.0 - 1) % WEEK_DAYS;
        if place == 0 {
            self.next_week(chance);
        }
        let again = Day(origin.0 - self.week * WEEK_DAYS + 1 + place);
        if let Some(flow) = flows.days.get(&again) {
            for (life, points) in &flow.earned {
                let gone_on = life.map_or(NEVER, |life| day.plus(life));
                let lot = self.lots.entry(gone_on).or_default();
                *lot = lot.saturating_add(*points);
            }
            self.spend(flow.spent);
        }
        self.lots.retain(|gone_on, amount| *gone_on > day || *amount < 0);
    }

    fn next_week(&mut self, chance: &mut Chance) {
        if self.run == 0 || self.week <= 1 {
            self.week = chance.among(1, self.look_back);
            self.run = chance.among(1, RUN_WEEKS_MAX);
        } else {
            self.week -= 1;
        }
        self.run -= 1;
    }

    /// Takes what goes soonest first; what came back (below zero) never goes.
    fn spend(&mut self, points: i64) {
        let mut left = points;
        for amount in self.lots.values_mut().filter(|amount| **amount > 0) {
            let taken = left.min(*amount);
            if left <= 0 {
                break;
            }
            *amount -= taken;
            left -= taken;
        }
        if left != 0 {
            let lot = self.lots.entry(NEVER).or_default();
            *lot = lot.saturating_sub(left);
        }
    }
}

/// For each whole month of the past with enough history before it: what would have been forecast at its beginning, and what came.
/// `until` is the last day that is known.
pub fn backtest(flows: &Flows, until: Day) -> Vec<Checked> {
    let (mut checked, mut misses) = (Vec::new(), Vec::new());
    for (origin, end) in months(flows, until) {
        let Some(drawn) = drawn_month(flows, origin, end) else { continue };
        let forecast = drawn.widened(width(&misses));
        let actual = flows.outstanding(end);
        checked.push(Checked { made_on: origin.date(), forecast, actual, inside: (forecast.low..=forecast.high).contains(&actual) });
        misses.extend(miss(flows, &drawn));
    }
    checked
}

/// The whole months with enough history before them: the last day before each, and its last.
fn months(flows: &Flows, until: Day) -> Vec<(Day, Day)> {
    let Some(first) = flows.first() else { return Vec::new() };
    let (mut months, mut origin) = (Vec::new(), month_end(first.plus(BACKTEST_WEEKS_MIN * WEEK_DAYS)));
    loop {
        let end = month_end(origin.plus(1));
        if end > until || end <= origin {
            return months;
        }
        months.push((origin, end));
        origin = end;
    }
}

/// The last day of the month of a day.
pub fn month_end(day: Day) -> Day {
    Day::of(day.date().last_of_month())
}

/// Chance that the data fixes (SplitMix64).
struct Chance(u64);

impl Chance {
    fn of(flows: &Flows, origin: Day) -> Chance {
        let mut chance = Chance(origin.0 as u64);
        for (day, flow) in flows.days.range(..=origin) {
            let earned = flow.earned.values().fold(0_i64, |sum, points| sum.wrapping_add(*points));
            chance.0 ^= (day.0 as u64).wrapping_mul(31).wrapping_add(earned as u64).wrapping_mul(31).wrapping_add(flow.spent as u64);
            chance.next();
        }
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `least..=most`.
    fn among(&mut self, least: i32, most: i32) -> i32 {
        let count = u64::from(most.abs_diff(least)) + 1;
        least + (self.next() % count) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Chart;

    const FIRST: Day = Day(20_000);

    /// Two years and more of a programme that grows, is busier at the end of the week, has campaigns, and is spent from in bursts.
    fn history(seed: u64, days: i32, life: Option<i32>) -> Flows {
        let (mut flows, mut chance) = (Flows::default(), Chance(seed));
        let (mut level, mut mood) = (400.0_f64, 1.0_f64);
        for day in FIRST.0..FIRST.0 + days {
            if day % 7 == 0 {
                level *= 1.0 + f64::from(chance.among(-30, 40)) / 1_000.0;
                mood = if chance.among(1, 9) == 1 { 1.6 } else { 1.0 };
            }
            let weekday = if day % 7 >= 5 { 1.5 } else { 1.0 };
            let earned = (level * mood * weekday * f64::from(chance.among(70, 130)) / 100.0) as i64;
            let gone_on = life.map(|life| Day(day + life));
            flows.book(Day(day), Chart::Issued, earned, gone_on);
            // What is due goes before anything is spent, as the clock has it.
            let due: i64 = flows.lots_at(Day(day - 1)).range(..=Day(day)).map(|(_, amount)| *amount).sum();
            flows.book(Day(day), Chart::Expired, -due, Some(Day(day)));
            if chance.among(1, 5) == 1 {
                let lots = flows.lots_at(Day(day));
                let spent = (lots.values().sum::<i64>() / 40 * i64::from(chance.among(0, 3))).max(0);
                let soonest = lots.iter().find(|(_, amount)| **amount >= spent).map(|(gone_on, _)| *gone_on);
                soonest.into_iter().for_each(|gone_on| flows.book(Day(day), Chart::Spent, -spent, (gone_on != NEVER).then_some(gone_on)));
            }
        }
        flows
    }

    #[test]
    fn what_came_is_in_the_interval_in_seven_months_of_ten() {
        for life in [None, Some(45)] {
            let (mut inside, mut all) = (0, 0);
            for seed in 1..=2 {
                let flows = history(seed, 800, life);
                let checked = backtest(&flows, Day(FIRST.0 + 799));
                assert!(checked.len() >= 22, "{}", checked.len());
                inside += checked.iter().filter(|month| month.inside).count();
                all += checked.len();
            }
            assert!(inside * 100 >= all * 70, "life {life:?}: {inside} of {all} months inside");
        }
    }

    #[test]
    fn the_interval_is_worth_something() {
        let flows = history(7, 800, None);
        let origin = Day(FIRST.0 + 799);
        let next = forecast(&flows, origin, &[origin.plus(30)]).expect("enough history")[0];
        let month: i64 = (0..30).map(|back| flows.days[&origin.plus(-back)].earned.values().sum::<i64>()).sum();
        assert!(next.low <= next.likely && next.likely <= next.high && next.high - next.low < 2 * month, "{next:?}, a month earns {month}");
        assert_eq!(forecast(&flows, origin, &[origin.plus(30)]).expect("the same")[0], next);
    }

    #[test]
    fn what_goes_on_its_day_is_known_before() {
        let mut flows = Flows::default();
        (0..28).for_each(|day| flows.book(FIRST.plus(day), Chart::Issued, 0, None));
        flows.book(FIRST, Chart::Issued, 1_000, Some(FIRST.plus(40)));
        flows.book(FIRST, Chart::Opening, 7, None);
        let ends = [FIRST.plus(39), FIRST.plus(40)];
        let made = forecast(&flows, FIRST.plus(34), &ends).expect("four weeks");
        assert_eq!([made[0].likely, made[1].likely], [1_007, 7], "{made:?}");
    }

    #[test]
    fn four_weeks_are_too_little_by_a_day() {
        let mut flows = Flows::default();
        flows.book(FIRST, Chart::Issued, 5, None);
        assert_eq!(forecast(&flows, FIRST.plus(26), &[FIRST.plus(30)]), None);
        assert!(forecast(&flows, FIRST.plus(27), &[FIRST.plus(30)]).is_some());
        assert_eq!(forecast(&Flows::default(), FIRST, &[FIRST.plus(1)]), None);
    }
}
