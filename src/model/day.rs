//! Time: instants in milliseconds, business days with their own zone and first hour, and the periods caps are counted in.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::{Deserialize, Serialize};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// As a jiff timestamp, clamped to the years jiff can hold.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// This instant moved by so many seconds.
    pub fn plus_secs(self, secs: i64) -> Millis {
        Millis(self.0.saturating_add(secs.saturating_mul(1000)))
    }
}

impl From<Timestamp> for Millis {
    fn from(timestamp: Timestamp) -> Self {
        Millis(timestamp.as_millisecond())
    }
}

/// A business day: days since 1970-01-01 in the campaign's calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The business day of this date.
    pub fn of(date: Date) -> Day {
        let days = Date::constant(1970, 1, 1).until(date).map(|span| span.get_days()).unwrap_or(0);
        Day(days)
    }

    /// The calendar date of this day, clamped to the years jiff can hold.
    pub fn date(self) -> Date {
        let span = jiff::Span::new().try_days(self.0);
        span.and_then(|span| Date::constant(1970, 1, 1).checked_add(span)).unwrap_or(if self.0 < 0 { Date::MIN } else { Date::MAX })
    }

    /// Monday-based weeks since the week of 1969-12-29.
    pub fn week(self) -> i32 {
        (self.0 + 3).div_euclid(7)
    }

    /// Months since year 0.
    pub fn month(self) -> i32 {
        let date = self.date();
        i32::from(date.year()) * 12 + i32::from(date.month()) - 1
    }

    /// This day moved by so many days.
    pub fn plus(self, days: i32) -> Day {
        Day(self.0.saturating_add(days))
    }
}

/// What a cap is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Period {
    /// A business day.
    Day(i32),
    /// A week, Monday first.
    Week(i32),
    /// A calendar month.
    Month(i32),
    /// One opening of a window of `when`, named by the minute it opened (minutes since 1970, UTC).
    Window(i64),
    /// Since the beginning.
    Ever,
}

/// The kinds of period an operator can write: `{ day = 1, week = 5, month = 20, window = 1, ever = 1 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PeriodKind {
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`
    Month,
    /// `window`
    Window,
    /// `ever`
    Ever,
}

/// How a campaign divides time into business days.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    /// Minutes after midnight at which a business day begins.
    day_starts_at: i16,
}

impl Calendar {
    /// A calendar in this zone whose days begin so many minutes after midnight (0..1440).
    pub fn new(zone: TimeZone, day_starts_at: i16) -> Self {
        Calendar { zone, day_starts_at: day_starts_at.clamp(0, 1439) }
    }

    /// The local time of an instant.
    pub fn local(&self, at: Millis) -> Zoned {
        at.timestamp().to_zoned(self.zone.clone())
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The business day an instant belongs to: its local date, or the date before while the day has not begun. An hour that comes twice in
    /// autumn begins no day twice.
    pub fn day(&self, at: Millis) -> Day {
        let date = Day::of(self.local(at).date());
        if self.day_starts_at > 0 && at < self.begins(date) { date.plus(-1) } else { date }
    }

    /// The instant at which a business day begins (the first instant of its first minute; where a spring gap has no such minute, as much later as the gap is long).
    pub fn begins(&self, day: Day) -> Millis {
        let time = jiff::civil::time((self.day_starts_at / 60) as i8, (self.day_starts_at % 60) as i8, 0, 0);
        let civil = day.date().to_datetime(time);
        civil.to_zoned(self.zone.clone()).map(|zoned| Millis(zoned.timestamp().as_millisecond())).unwrap_or(Millis(i64::from(day.0) * 86_400_000))
    }

    /// Minutes after midnight at which a business day begins.
    pub fn day_starts_at(&self) -> i16 {
        self.day_starts_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::from(text.parse::<Timestamp>().expect("a timestamp"))
    }

    fn shanghai(starts: i16) -> Calendar {
        Calendar::new(TimeZone::get("Asia/Shanghai").expect("bundled"), starts)
    }

    #[test]
    fn the_day_of_a_message_changes_at_local_midnight() {
        let calendar = shanghai(0);
        assert_eq!(calendar.day(at("2026-11-22T23:59:59.9+08:00")), Day::of(Date::constant(2026, 11, 22)));
        assert_eq!(calendar.day(at("2026-11-23T00:00:00+08:00")), Day::of(Date::constant(2026, 11, 23)));
    }

    #[test]
    fn a_day_may_begin_at_four() {
        let calendar = shanghai(4 * 60);
        assert_eq!(calendar.day(at("2026-11-22T03:59:59+08:00")), Day::of(Date::constant(2026, 11, 21)));
        assert_eq!(calendar.day(at("2026-11-22T04:00:00+08:00")), Day::of(Date::constant(2026, 11, 22)));
        assert_eq!(calendar.begins(Day::of(Date::constant(2026, 11, 22))), at("2026-11-22T04:00:00+08:00"));
    }

    #[test]
    fn days_in_a_zone_with_summer_time_come_once_each() {
        let calendar = Calendar::new(TimeZone::get("America/New_York").expect("bundled"), 0);
        let spring = [at("2026-03-08T04:59:59Z"), at("2026-03-08T05:00:00Z"), at("2026-03-09T03:59:59Z"), at("2026-03-09T04:00:00Z")];
        let days: Vec<i32> = spring.iter().map(|&t| calendar.day(t).0).collect();
        assert_eq!(days, [days[0], days[0] + 1, days[0] + 1, days[0] + 2]);
    }

    #[test]
    fn every_local_day_comes_once_in_every_zone_whenever_it_begins() {
        const HALF_HOUR: i64 = 1_800;
        for zone in ["Asia/Shanghai", "America/New_York", "Europe/London", "America/Havana", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"] {
            for starts in [0, 90, 150, 240, 1_439] {
                let calendar = Calendar::new(TimeZone::get(zone).expect("bundled"), starts);
                let mut now = at("2026-01-01T00:00:00Z");
                let mut day = calendar.day(now);
                while now < at("2027-01-02T00:00:00Z") {
                    now = now.plus_secs(HALF_HOUR);
                    let next = calendar.day(now);
                    assert!(next == day || next == day.plus(1), "{zone}, days that begin at minute {starts}: {} after {}", next.date(), day.date());
                    assert!(calendar.begins(next) <= now && now < calendar.begins(next.plus(1)), "{zone}, {starts}: {}", now.timestamp());
                    day = next;
                }
            }
        }
    }

    #[test]
    fn leap_days_month_ends_and_the_fifty_third_week_are_counted_as_written() {
        let day = |year, month, day| Day::of(Date::constant(year, month, day));
        assert_eq!(day(2028, 2, 28).plus(1), day(2028, 2, 29));
        assert_eq!((day(2027, 2, 28).plus(1), day(2100, 2, 28).plus(1)), (day(2027, 3, 1), day(2100, 3, 1)));
        assert_eq!(day(2026, 3, 31).month() - 1, day(2026, 2, 28).month());
        // The Friday of ISO week 53 of 2026 is in 2027.
        assert_eq!(day(2026, 12, 28).week(), day(2027, 1, 1).week());
        assert_eq!(day(2027, 1, 3).week() + 1, day(2027, 1, 4).week());
        // A range over the Lunar New Year is a number of days like any other.
        assert_eq!(day(2026, 2, 16).plus(8), day(2026, 2, 24));
    }

    #[test]
    fn times_before_1970_and_after_2038_have_their_days() {
        let calendar = shanghai(0);
        assert_eq!(calendar.day(Millis(-1)), Day::of(Date::constant(1970, 1, 1)));
        assert_eq!(calendar.day(at("1969-12-31T15:59:59Z")), Day(-1));
        assert_eq!(calendar.day(at("2038-01-19T03:14:08Z")), Day::of(Date::constant(2038, 1, 19)));
        assert_eq!(calendar.day(at("2100-12-31T16:00:00Z")), Day::of(Date::constant(2101, 1, 1)));
    }

    #[test]
    fn weeks_begin_on_monday_and_months_with_the_first() {
        let sunday = Day::of(Date::constant(2026, 11, 22));
        assert_eq!(sunday.week() + 1, sunday.plus(1).week());
        assert_eq!(Day::of(Date::constant(2026, 11, 30)).month() + 1, Day::of(Date::constant(2026, 12, 1)).month());
        assert_eq!(Day::of(Date::constant(2028, 2, 29)).date(), Date::constant(2028, 2, 29));
    }

    #[test]
    fn instants_beyond_the_calendar_are_clamped() {
        let calendar = shanghai(0);
        let _ = (calendar.day(Millis(i64::MAX)), calendar.day(Millis(i64::MIN)), Day(i32::MAX).date(), calendar.begins(Day(i32::MIN)));
    }
}
