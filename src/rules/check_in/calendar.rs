//! One's own calendar (签到日历): the days of the running month that were checked in, made up and missed, the run, and what comes next.

use crate::model::day::Day;
use crate::model::decision::{Arg, Args};
use crate::rules::Own;
use crate::rules::check_in::CheckIn;
use crate::rules::check_in::make_up::Days;

/// A member's month with a check-in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Month {
    /// Days checked in.
    pub real: Vec<Day>,
    /// Days made up.
    pub made: Vec<Day>,
    /// Days missed, from the first one known to yesterday.
    pub missed: Vec<Day>,
    /// Days in a row by now.
    pub streak: u32,
    /// In how many days the next bonus comes, and what it brings.
    pub next: Option<(u32, i64)>,
    /// Whether today is checked in.
    pub today: bool,
}

/// The month of `today`.
pub fn month(rule: &CheckIn, today: Day, own: Own<'_>) -> Month {
    let days = Days::of(own);
    let first = Day::of(today.date().first_of_month());
    let of = |is_it: &dyn Fn(Day) -> bool, last: Day| (first.0..=last.0).map(Day).filter(|day| is_it(*day)).collect::<Vec<Day>>();
    let (real, made) = (of(&|day| days.is_real(day), today), of(&|day| days.is_made(day) && !days.is_real(day), today));
    let known = own.code().and_then(|state| state.runs.first()).map(|run| run.start);
    let missed = of(&|day| known.is_some_and(|known| day > known) && !days.is_real(day) && !days.is_made(day), today.plus(-1));
    let is_checked = days.is_real(today);
    let streak = days.until(if is_checked { today } else { today.plus(-1) }).count;
    Month { real, made, missed, streak, next: rule.next(streak), today: is_checked }
}

impl Month {
    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        self.real.is_empty() && self.made.is_empty() && self.streak == 0
    }

    /// As arguments of the reply.
    pub fn args(&self, title: &str) -> Args {
        let (left, bonus) = self.next.unwrap_or_default();
        Args::default()
            .text("标题", title)
            .int("天数", self.real.len() as i64)
            .text("已签", ranges(&self.real))
            .text("补签", ranges(&self.made))
            .text("没签", ranges(&self.missed))
            .int("连续", i64::from(self.streak))
            .int("再签", i64::from(left))
            .int("再得", bonus)
            .with("今天", Arg::Flag(self.today))
    }
}

/// Days of a month in words: `1–5、8、20–22`.
pub fn ranges(days: &[Day]) -> String {
    let mut runs: Vec<(Day, Day)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last)) if last.plus(1) == *day => *last = *day,
            _ => runs.push((*day, *day)),
        }
    }
    let number = |day: &Day| day.date().day();
    let words = runs.iter().map(|(first, last)| if first == last { number(first).to_string() } else { format!("{}–{}", number(first), number(last)) });
    words.collect::<Vec<_>>().join("、")
}
