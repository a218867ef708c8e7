//! How long points live: until when they wait, from when on they are gone, and what a campaign says of both. The keys are read here; what
//! becomes of points that are gone is [`super::expiry`]'s.
//!
//! ```text
//! hold    = days "d"                                     # a rule: earned now, may be spent so many days later
//! expires = days "d" | date | "每年 " month-day | "never"    # a campaign or a rule: counted from the day they may be spent
//! ```

use std::sync::{Arc, LazyLock};

use jiff::civil::Date;

use crate::model::cells::AccountCell;
use crate::model::day::{Day, Millis};
use crate::model::decision::{Chart, Entry, Mark, Part, Side};
use crate::model::lots::LotPart;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, parse_duration_secs};

/// State key of the instant something was earned last, where that matters.
pub static EARNED: LazyLock<Arc<str>> = LazyLock::new(|| "earned".into());

/// Lives of fewer days end on their day; longer ones with the month, unless told.
const WHOLE_MONTHS_FROM_DAYS: i32 = 30;

/// Longest hold: a return takes weeks, not years.
const HOLD_DAYS_MAX: i32 = 366;

/// Shortest time without earning after which everything expires: late messages are decided again for 35 days.
const INACTIVITY_DAYS_MIN: i32 = 36;

const SECS_PER_DAY: i64 = 86_400;

/// What a campaign says of the life of points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// `expires`, where it is written.
    pub expires: Option<Life>,
    /// `expiry_round`: long lives end with their month.
    pub rounds_to_month: bool,
    /// `inactivity`: everything expires when nothing was earned for so many days.
    pub inactive_days: Option<i32>,
    /// `expiry_notice`: so many days before, most first.
    pub notice_days: Vec<i32>,
    /// `grace`: days that points have which come back when they would be gone already.
    pub grace_days: i32,
}

/// `expires`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// They never go.
    #[default]
    Never,
    /// So many days.
    Days(i32),
    /// Until the end of this day. What is earned after it does not go.
    Until(Date),
    /// Until the end of this day of each year.
    Yearly {
        /// 1..=12
        month: i8,
        /// 1..=31; in a shorter month its last day.
        day: i8,
    },
}

impl Default for Validity {
    fn default() -> Self {
        Validity { expires: None, rounds_to_month: true, inactive_days: None, notice_days: Vec::new(), grace_days: 0 }
    }
}

/// When points may be spent and when they are gone: the bucket of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bucket {
    /// First day they may be spent; `None` at once.
    pub vests_on: Option<Day>,
    /// First day they are gone; `None` never.
    pub expires_on: Option<Day>,
}

impl Validity {
    /// The bucket of points earned on a day by a rule with these keys. Their life begins when they may be spent.
    pub fn bucket(&self, hold_days: Option<i32>, own: Option<Life>, day: Day) -> Bucket {
        let vests_on = hold_days.filter(|days| *days > 0).map(|days| day.plus(days));
        let expires_on = own.or(self.expires).unwrap_or_default().ends(vests_on.unwrap_or(day), self.rounds_to_month);
        Bucket { vests_on, expires_on }
    }

    /// The bucket of points that come back on a day: their own, with grace where they would be gone.
    pub fn returned(&self, part: &LotPart, day: Day) -> Bucket {
        let expires_on = part.expires_on.map(|gone| if gone <= day.plus(self.grace_days) { day.plus(self.grace_days.max(1)) } else { gone });
        Bucket { vests_on: None, expires_on }
    }

    /// Remembers that something was earned, where a campaign asks for it.
    pub fn earned(&self, account: Option<&AccountCell>, at: Millis) -> Option<Mark> {
        let before = account.and_then(|account| account.state.code(&EARNED)?.since);
        (self.inactive_days.is_some() && before.is_none_or(|before| before < at)).then(|| Mark::Since { key: EARNED.clone(), at: Some(at) })
    }

    /// Whether points here can ever go.
    pub fn can_expire(&self) -> bool {
        self.expires.is_some_and(|life| life != Life::Never) || self.inactive_days.is_some()
    }
}

impl Life {
    /// The first day on which points are gone that may be spent from `from` on.
    fn ends(self, from: Day, rounds_to_month: bool) -> Option<Day> {
        match self {
            Life::Never => None,
            Life::Days(days) if rounds_to_month && days >= WHOLE_MONTHS_FROM_DAYS => Some(whole_month(from.plus(days))),
            Life::Days(days) => Some(from.plus(days)),
            Life::Until(last) => Some(Day::of(last).plus(1)).filter(|gone| *gone > from),
            Life::Yearly { month, day } => {
                let year = from.date().year();
                let last = |year: i16| Day::of(last_of(year, month, day));
                let last = if last(year) >= from { last(year) } else { last(year.saturating_add(1)) };
                Some(last.plus(1))
            }
        }
    }
}

/// The first day of a month on or after a day.
fn whole_month(day: Day) -> Day {
    let date = day.date();
    if date.day() == 1 { day } else { day.plus(i32::from(date.days_in_month() - date.day()) + 1) }
}

/// A date of a year, or the last day of its month where that is shorter.
fn last_of(year: i16, month: i8, day: i8) -> Date {
    let first = Date::new(year, month, 1).unwrap_or(Date::MAX);
    Date::new(year, month, day).unwrap_or_else(|_| first.last_of_month())
}

/// Points given outside of rules.
pub fn given(code: &Arc<str>, chart: Chart, amount: i64, day: Day, bucket: Bucket) -> Entry {
    entry(code, (Side::System(chart), Side::Own(Part::Available)), amount, day, bucket)
}

/// Points taken, what is gone soonest first; what is not there becomes a debt.
pub fn taken(code: &Arc<str>, chart: Chart, amount: i64, day: Day, account: Option<&AccountCell>) -> Vec<Entry> {
    let spendable = account.map_or(0, |account| account.state.spendable(day)).clamp(0, amount);
    let parts = account.and_then(|account| account.state.spend(spendable, day)).unwrap_or_default();
    let debt = LotPart { vests_on: None, expires_on: None, amount: amount - spendable };
    let sides = (Side::Own(Part::Available), Side::System(chart));
    let parts = parts.into_iter().chain((debt.amount > 0).then_some(debt));
    parts.map(|part| entry(code, sides, part.amount, day, Bucket { vests_on: part.vests_on, expires_on: part.expires_on })).collect()
}

/// An entry in a bucket.
pub(super) fn entry(code: &Arc<str>, (src, dst): (Side, Side), amount: i64, day: Day, bucket: Bucket) -> Entry {
    let Bucket { vests_on, expires_on } = bucket;
    Entry { code: code.clone(), src, dst, amount, day, vests_on, expires_on, slot_event: None, reverses: None }
}

/// The keys of a campaign.
pub fn read(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Validity {
    let inactive_days = days(table, "inactivity", mistakes).filter(|days| {
        let long_enough = *days >= INACTIVITY_DAYS_MIN;
        if !long_enough {
            let text = format!("inactivity 至少 {INACTIVITY_DAYS_MIN}d:晚到的消息 35 天内还会补记,太短会把刚得的分也清掉");
            mistakes.error(table.span("inactivity"), "out-of-range", text);
        }
        long_enough
    });
    let mut notice_days: Vec<i32> = Vec::new();
    for (span, text) in table.texts("expiry_notice").unwrap_or_default() {
        match in_days(text) {
            Ok(days) => notice_days.push(days),
            Err(reason) => mistakes.error(span, "bad-duration", format!("expiry_notice 写错了:{reason}")),
        }
    }
    notice_days.sort_unstable_by(|one, other| other.cmp(one));
    notice_days.dedup();
    Validity {
        expires: life(table, mistakes),
        rounds_to_month: table.text("expiry_round") != Some("day"),
        inactive_days,
        notice_days,
        grace_days: days(table, "grace", mistakes).unwrap_or(0),
    }
}

/// `hold` of a rule, in days.
pub fn hold(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<i32> {
    let days = days(table, "hold", mistakes)?;
    if days > HOLD_DAYS_MAX {
        mistakes.error(table.span("hold"), "out-of-range", format!("hold 最多 {HOLD_DAYS_MAX}d"));
    }
    Some(days.min(HOLD_DAYS_MAX))
}

/// `expires`, where it is written.
pub fn life(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<Life> {
    let read = parse_life(table.text("expires")?);
    read.map_err(|reason| mistakes.error(table.span("expires"), "bad-expires", reason)).ok()
}

fn days(table: &RuleTable<'_>, key: &str, mistakes: &mut Mistakes) -> Option<i32> {
    in_days(table.text(key)?).map_err(|reason| mistakes.error(table.span(key), "bad-duration", format!("{key} 写错了:{reason}"))).ok()
}

/// Whole days, at least one.
fn in_days(text: &str) -> Result<i32, String> {
    let secs = parse_duration_secs(text)?;
    let days = i32::try_from(secs / SECS_PER_DAY).unwrap_or(i32::MAX);
    if secs % SECS_PER_DAY == 0 && days > 0 { Ok(days) } else { Err(format!("「{}」要是整天,至少一天,例如 7d", text.trim())) }
}

fn parse_life(text: &str) -> Result<Life, String> {
    let text = text.trim();
    if matches!(text, "never" | "永久") {
        return Ok(Life::Never);
    }
    if let Some(rest) = text.strip_prefix("每年") {
        let unread = || format!("「{text}」不是每年的一天;请写成 \"每年 12-31\"");
        let (month, day) = rest.trim().split_once('-').ok_or_else(unread)?;
        let (month, day): (i8, i8) = (month.parse().map_err(|_| unread())?, day.parse().map_err(|_| unread())?);
        // 2028 has a 29th of February.
        return Date::new(2028, month, day).map(|_| Life::Yearly { month, day }).map_err(|_| unread());
    }
    if text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return text.parse().map(Life::Until).map_err(|_| format!("没有「{text}」这个日期;请写成 年-月-日,例如 2027-03-31"));
    }
    in_days(text).map(Life::Days).map_err(|reason| format!("expires 要写天数 \"365d\"、日期 \"2027-03-31\"、\"每年 12-31\" 或 \"never\"({reason})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i16, month: i8, day: i8) -> Day {
        Day::of(Date::constant(year, month, day))
    }

    fn gone(expires: &str, from: Day) -> Option<Day> {
        let validity = Validity { expires: parse_life(expires).ok(), ..Validity::default() };
        validity.bucket(None, None, from).expires_on
    }

    #[test]
    fn long_lives_end_with_their_month_and_short_ones_on_their_day() {
        assert_eq!(gone("365d", day(2026, 11, 22)), Some(day(2027, 12, 1)));
        assert_eq!(gone("30d", day(2026, 11, 1)), Some(day(2026, 12, 1)), "a whole month is not made longer");
        assert_eq!(gone("7d", day(2026, 11, 22)), Some(day(2026, 11, 29)));
        let by_day = Validity { expires: Some(Life::Days(365)), rounds_to_month: false, ..Validity::default() };
        assert_eq!(by_day.bucket(None, None, day(2026, 11, 22)).expires_on, Some(day(2027, 11, 22)));
        assert_eq!(gone("never", day(2026, 11, 22)), None);
    }

    #[test]
    fn a_date_is_the_last_day_and_each_year_has_its_own() {
        assert_eq!(gone("2027-03-31", day(2027, 3, 31)), Some(day(2027, 4, 1)));
        assert_eq!(gone("2027-03-31", day(2027, 4, 1)), None);
        assert_eq!(gone("每年 12-31", day(2026, 12, 31)), Some(day(2027, 1, 1)));
        assert_eq!(gone("每年12-31", day(2027, 1, 1)), Some(day(2028, 1, 1)));
        assert_eq!(gone("每年 02-29", day(2027, 1, 1)), Some(day(2027, 3, 1)));
        assert_eq!(gone("每年 2-29", day(2028, 1, 1)), Some(day(2028, 3, 1)));
    }

    #[test]
    fn the_life_of_held_points_begins_when_they_may_be_spent() {
        let validity = Validity { expires: Some(Life::Days(7)), ..Validity::default() };
        let bucket = validity.bucket(Some(10), None, Day(100));
        assert_eq!(bucket, Bucket { vests_on: Some(Day(110)), expires_on: Some(Day(117)) });
        assert_eq!(validity.bucket(Some(10), Some(Life::Never), Day(100)), Bucket { vests_on: Some(Day(110)), expires_on: None });
    }

    #[test]
    fn what_returns_when_it_would_be_gone_has_grace() {
        let validity = Validity { grace_days: 7, ..Validity::default() };
        let returned = |gone: Option<i32>| validity.returned(&LotPart { vests_on: None, expires_on: gone.map(Day), amount: 1 }, Day(100)).expires_on;
        assert_eq!([Some(90), Some(100), Some(105), Some(120), None].map(returned), [Some(Day(107)), Some(Day(107)), Some(Day(107)), Some(Day(120)), None]);
    }

    #[test]
    fn no_day_is_too_far_for_a_bucket() {
        for life in ["1d", "3660d", "2027-03-31", "9999-12-31", "每年 02-29", "每年 12-31", "never"] {
            let life = parse_life(life).expect("readable");
            for day in [i32::MIN, -719_529, -1, 0, 2_932_896, i32::MAX] {
                let bucket = Validity::default().bucket(Some(HOLD_DAYS_MAX), Some(life), Day(day));
                assert!(bucket.vests_on >= Some(Day(day)), "{life:?} {day}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for bad in ["", "365", "1h", "0d", "2027-02-30", "每年 13-01", "每年", "明年"] {
            assert!(parse_life(bad).is_err(), "{bad}");
        }
        assert!(parse_life("一年").unwrap_err().contains("365d"));
    }

    #[test]
    fn points_are_taken_from_what_goes_first_and_the_rest_is_owed() {
        let mut account = AccountCell::default();
        account.state.lots = vec![
            crate::model::cells::Lot { expires_on: None, vests_on: None, amount: 5 },
            crate::model::cells::Lot { expires_on: Some(Day(20)), vests_on: None, amount: 5 },
        ];
        let code: Arc<str> = "grant".into();
        let parts =
            |amount| taken(&code, Chart::Adjusted, amount, Day(10), Some(&account)).iter().map(|entry| (entry.expires_on, entry.amount)).collect::<Vec<_>>();
        assert_eq!(parts(7), [(Some(Day(20)), 5), (None, 2)]);
        assert_eq!(parts(12), [(Some(Day(20)), 5), (None, 5), (None, 2)]);
    }
}
