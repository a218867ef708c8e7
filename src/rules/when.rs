//! `when`: windows of time such as `06:00-10:00` and `周六周日 20:00-22:00`.
//!
//! ```text
//! window = [days] [time "-" time]          one of the two must be there
//! days   = day | day "至" day | days days  周一 星期一 周一三五 周末 工作日 每天 mon-fri "sat sun"
//! time   = 0:00 … 24:00                    an end before the start is past midnight: 22:00-02:00
//! ```
//!
//! The start is included, the end is not. The wall clock decides, also on the two days a year when summer time moves it;
//! a window past midnight belongs to the day on which it opened.

use std::ops::Range;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

use crate::model::day::{Calendar, Millis};
use crate::rules::mistake::Mistakes;
use crate::rules::text::narrow;

/// One or more windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    windows: Vec<Window>,
}

/// One window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    /// Days on which it opens, bit 0 = Monday.
    days: u8,
    /// Minutes after midnight at which it opens, 0..1440.
    opens: i16,
    /// Minutes after that midnight at which it closes, `opens`+1..2880.
    closes: i16,
}

/// Windows of one rule; a message is compared with each.
const WINDOWS_MAX: usize = 50;
/// Every day of the week.
pub const EVERY_DAY: u8 = 0b111_1111;
const DAY_MINUTES: i16 = 24 * 60;

impl When {
    /// Reads windows, each with its place in the file. Notes what does not fit; `None` when nothing is left.
    pub fn read(written: &[(Range<usize>, &str)], mistakes: &mut Mistakes) -> Option<When> {
        let mut windows = Vec::new();
        if let Some((span, _)) = written.get(WINDOWS_MAX) {
            mistakes.error(span.clone(), "too-many", format!("时段太多了;最多 {WINDOWS_MAX} 个"));
        }
        for (span, text) in written.iter().take(WINDOWS_MAX) {
            match window(text) {
                Ok(window) => windows.push(window),
                Err(reason) => mistakes.error(span.clone(), "bad-window", reason),
            }
        }
        (!windows.is_empty()).then_some(When { windows })
    }

    /// The minute (since 1970, UTC) at which the window open at this instant opened; `None` while all are closed.
    /// Of several that are open, the one that opened first.
    pub fn open_since(&self, calendar: &Calendar, at: Millis) -> Option<i64> {
        let local = calendar.local(at);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let today = local.date();
        let yesterday = today.yesterday().ok();
        let opened = |window: &Window| {
            let late = yesterday.filter(|&date| window.holds(date, minute + DAY_MINUTES));
            late.or_else(|| window.holds(today, minute).then_some(today)).map(|date| opening_minute(calendar, date, window.opens))
        };
        self.windows.iter().filter_map(opened).min()
    }

    /// The windows of today that are not over yet, in words, empty for one that is open all day; `None` when nothing is left of today.
    pub fn left_today(&self, calendar: &Calendar, at: Millis) -> Option<String> {
        let local = calendar.local(at);
        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
        let (today, yesterday) = (local.date(), local.date().yesterday().ok());
        let is_late = |window: &&Window| yesterday.is_some_and(|date| window.holds(date, minute + DAY_MINUTES));
        let left = |window: &&Window| (window.opens_on(today) && minute < window.closes) || is_late(window);
        let times: Vec<String> = self.windows.iter().filter(left).map(Window::times_in_words).collect();
        let all_day = self.windows.iter().any(|window| window.opens_on(today) && window.opens == 0 && window.closes == DAY_MINUTES);
        (!times.is_empty()).then(|| if all_day { String::new() } else { times.join("、") })
    }

    /// The most days in a row on which it is open for some time; `None` when it is open on every day.
    pub fn days_in_a_row(&self) -> Option<u32> {
        let past_midnight = |days: u8| (days << 1 | days >> 6) & EVERY_DAY;
        let days = |window: &Window| if window.closes > DAY_MINUTES { window.days | past_midnight(window.days) } else { window.days };
        let open = self.windows.iter().fold(0, |open, window| open | days(window));
        let (mut most, mut now) = (0, 0);
        for day in 0..14 {
            now = if open >> (day % 7) & 1 == 1 { now + 1 } else { 0 };
            most = now.max(most);
        }
        (open != EVERY_DAY).then_some(most)
    }

    /// The most minutes of one day on which it is open, and the most windows that a day has to do with.
    pub fn busiest_day(&self) -> (i64, i64) {
        let parts = |day: u32| {
            let today = self.windows.iter().filter(move |window| window.days >> day & 1 == 1).map(|window| (window.opens, window.closes.min(DAY_MINUTES)));
            let late = self.windows.iter().filter(move |window| window.closes > DAY_MINUTES && window.days >> ((day + 6) % 7) & 1 == 1);
            today.chain(late.map(|window| (0, window.closes - DAY_MINUTES))).collect::<Vec<(i16, i16)>>()
        };
        let minutes = |parts: &[(i16, i16)]| (0..DAY_MINUTES).filter(|minute| parts.iter().any(|(from, to)| (*from..*to).contains(minute))).count();
        let days: Vec<Vec<(i16, i16)>> = (0..7).map(parts).collect();
        let most = |counts: Vec<usize>| counts.into_iter().max().map_or(0, |most| most as i64);
        (most(days.iter().map(|parts| minutes(parts)).collect()), most(days.iter().map(Vec::len).collect()))
    }

    /// Minutes of its longest window.
    pub fn longest_minutes(&self) -> i64 {
        self.windows.iter().map(|window| i64::from(window.closes - window.opens)).max().unwrap_or(0)
    }

    /// Whether it is open for some time of a date.
    pub fn is_open_on(&self, date: Date) -> bool {
        let yesterday = date.yesterday().ok();
        let is_late = |window: &Window| window.closes > DAY_MINUTES && yesterday.is_some_and(|date| window.opens_on(date));
        self.windows.iter().any(|window| window.opens_on(date) || is_late(window))
    }

    /// In words: `20:00–21:00`, `周六周日 20:00–22:00`.
    pub fn in_words(&self) -> String {
        self.windows.iter().map(Window::in_words).collect::<Vec<_>>().join("、")
    }

    /// Whether some minute of the week lies in windows of both.
    pub fn overlaps(&self, other: &When) -> bool {
        self.windows.iter().any(|mine| other.windows.iter().any(|theirs| mine.overlaps(theirs)))
    }
}

impl Window {
    fn opens_on(&self, date: Date) -> bool {
        self.days >> date.weekday().to_monday_zero_offset() & 1 == 1
    }

    /// Whether it opens on this date and is open so many minutes after its midnight.
    fn holds(&self, date: Date, minute: i16) -> bool {
        self.opens_on(date) && (self.opens..self.closes).contains(&minute)
    }

    fn times_in_words(&self) -> String {
        let end = if self.closes > DAY_MINUTES { self.closes - DAY_MINUTES } else { self.closes };
        let next_day = if self.closes > DAY_MINUTES { "次日 " } else { "" };
        format!("{}–{next_day}{}", clock_in_words(self.opens), clock_in_words(end))
    }

    fn in_words(&self) -> String {
        let whole_day = self.opens == 0 && self.closes == DAY_MINUTES;
        match (self.days == EVERY_DAY, whole_day) {
            (true, true) => "全天".to_owned(),
            (true, false) => self.times_in_words(),
            (false, true) => days_in_words(self.days),
            (false, false) => format!("{} {}", days_in_words(self.days), self.times_in_words()),
        }
    }

    fn overlaps(&self, other: &Window) -> bool {
        let week = DAY_MINUTES * 7;
        self.in_week().any(|(start, end)| other.in_week().any(|(from, to)| [-week, 0, week].iter().any(|shift| start < to + shift && from + shift < end)))
    }

    /// Its openings in a week, in minutes after Monday 0:00.
    fn in_week(self) -> impl Iterator<Item = (i16, i16)> {
        (0..7).filter(move |day| self.days >> day & 1 == 1).map(move |day| (day * DAY_MINUTES + self.opens, day * DAY_MINUTES + self.closes))
    }
}

/// The opening as a number that names it. On a day whose clock skips or repeats the hour, the earlier reading, so that it never lies after
/// a minute at which the window is open.
fn opening_minute(calendar: &Calendar, date: Date, opens: i16) -> i64 {
    let civil = date.at(0, 0, 0, 0).saturating_add(i64::from(opens).minutes());
    let earlier = calendar.zone().to_ambiguous_zoned(civil).earlier();
    earlier.map(|zoned| zoned.timestamp().as_second().div_euclid(60)).unwrap_or(i64::MIN)
}

const DAY_NAMES: [&str; 7] = ["周一", "周二", "周三", "周四", "周五", "周六", "周日"];

fn clock_in_words(minute: i16) -> String {
    format!("{}:{:02}", minute / 60, minute % 60)
}

fn days_in_words(days: u8) -> String {
    let open: Vec<usize> = (0..7).filter(|day| days >> day & 1 == 1).collect();
    match open[..] {
        [first, .., last] if open.len() > 2 && last - first + 1 == open.len() => format!("{}至{}", DAY_NAMES[first], DAY_NAMES[last]),
        _ => open.iter().map(|&day| DAY_NAMES[day]).collect(),
    }
}

/// A time of day: `9:00`, `24:00`. In minutes after midnight.
pub fn clock_minutes(text: &str) -> Result<i16, String> {
    let unread = || {
        let hour: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
        let minute: String = text.trim()[hour.len()..].trim_start_matches(['点', '.', '时']).chars().take_while(char::is_ascii_digit).collect();
        let hour = hour.parse::<u8>().ok().filter(|hour| *hour < 24).unwrap_or(20);
        let minute = minute.parse::<u8>().ok().filter(|minute| *minute < 60).unwrap_or(0);
        format!("「{text}」不是时刻;请写成 时:分,例如 {hour}:{minute:02}")
    };
    let (hour, minute) = text.split_once(':').ok_or_else(unread)?;
    let number = |text: &str| (1..=2).contains(&text.len()).then(|| text.parse::<i16>().ok()).flatten();
    let (hour, minute) = (number(hour).ok_or_else(unread)?, number(minute).ok_or_else(unread)?);
    let total = hour * 60 + minute;
    if minute > 59 || total > DAY_MINUTES {
        return Err(format!("没有「{text}」这个时刻;一天从 00:00 到 24:00"));
    }
    Ok(total)
}

fn window(written: &str) -> Result<Window, String> {
    let text = normal(written);
    let split = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (days, times) = text.split_at(split);
    if text.trim().is_empty() {
        return Err("时段是空的;请写成 20:00-21:00,不限时段就删掉 when".to_owned());
    }
    let days = if days.trim().is_empty() { EVERY_DAY } else { weekdays(days)? };
    let (opens, closes) = if times.is_empty() { (0, DAY_MINUTES) } else { hours(times, written)? };
    Ok(Window { days, opens, closes })
}

fn hours(times: &str, written: &str) -> Result<(i16, i16), String> {
    if times.matches('-').count() > 1 {
        return Err(format!("「{written}」里有不止一个时段;请写成列表:when = [\"12:00-13:00\", \"20:00-21:00\"]"));
    }
    let (from, to) = times.split_once('-').ok_or_else(|| format!("「{written}」缺结束时刻;请写成 20:00-21:00"))?;
    let (opens, closes) = (clock_minutes(from.trim())?, clock_minutes(to.trim())?);
    if opens == closes {
        return Err(format!("「{written}」开始和结束相同,永远不开放;全天请写 00:00-24:00"));
    }
    if opens == DAY_MINUTES {
        return Err(format!("「{written}」不能从 24:00 开始;第二天零点请写 00:00"));
    }
    Ok((opens, if closes < opens { closes + DAY_MINUTES } else { closes }))
}

/// Full width, dashes and words for «to» brought to one spelling.
fn normal(text: &str) -> String {
    let one = |c: char| match c {
        '–' | '—' | '−' | '至' | '到' => '-',
        '\u{3000}' => ' ',
        _ => narrow(c),
    };
    text.chars().map(one).map(|c| if c == '~' { '-' } else { c }).collect::<String>().to_lowercase()
}

/// Day words, longest first where one begins another.
const DAY_WORDS: [(&str, u8); 24] = [
    ("工作日", 0b001_1111),
    ("周末", 0b110_0000),
    ("每天", EVERY_DAY),
    ("每日", EVERY_DAY),
    ("monday", 1),
    ("mon", 1),
    ("tuesday", 1 << 1),
    ("tue", 1 << 1),
    ("wednesday", 1 << 2),
    ("wed", 1 << 2),
    ("thursday", 1 << 3),
    ("thu", 1 << 3),
    ("friday", 1 << 4),
    ("fri", 1 << 4),
    ("saturday", 1 << 5),
    ("sat", 1 << 5),
    ("sunday", 1 << 6),
    ("sun", 1 << 6),
    ("weekdays", 0b001_1111),
    ("weekday", 0b001_1111),
    ("weekends", 0b110_0000),
    ("weekend", 0b110_0000),
    ("daily", EVERY_DAY),
    ("every day", EVERY_DAY),
];

/// Days of the week as an operator writes them, bit 0 = Monday: `周一至周五`.
pub fn days(written: &str) -> Result<u8, String> {
    weekdays(&normal(written))
}

fn weekdays(text: &str) -> Result<u8, String> {
    let unread = || {
        let named = |words: &[&str]| words.iter().any(|word| text.contains(word));
        match () {
            () if named(&["早上", "上午", "中午", "下午", "晚上", "凌晨"]) => {
                format!("看不懂「{}」;时刻用 24 小时制,例如晚上 8 点写 20:00", text.trim())
            }
            () if named(&["倍"]) => format!("看不懂「{}」;要加倍请写一张 [festival.<名字>]:factor = \"200%\",days = \"周六周日\"", text.trim()),
            () => format!("看不懂日子「{}」;可写 周一至周五、周六周日、工作日、周末,或 mon-fri", text.trim()),
        }
    };
    let mut rest = text.trim();
    let mut days = 0;
    let mut range_from: Option<Weekday> = None;
    while !rest.is_empty() {
        let (found, after) = day_word(rest).ok_or_else(unread)?;
        days |= match (range_from.take(), single(found)) {
            (Some(from), Some(to)) => span_of_days(from, to),
            (Some(_), None) => return Err(unread()),
            (None, _) => found,
        };
        rest = after.trim_start_matches([' ', ',', '、', '和']);
        if let Some(after) = rest.strip_prefix('-') {
            range_from = Some(single(found).ok_or_else(unread)?);
            rest = after.trim_start();
        }
    }
    if range_from.is_some() { Err(unread()) } else { Ok(days) }
}

/// The days a word at the beginning names, and what follows it.
fn day_word(text: &str) -> Option<(u8, &str)> {
    if let Some(found) = DAY_WORDS.iter().find_map(|(word, days)| text.strip_prefix(word).map(|rest| (*days, rest))) {
        return Some(found);
    }
    let bare = ["星期", "礼拜", "周"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let mut chars = bare.chars();
    let day = match chars.next()? {
        '日' | '天' => 6,
        other => "一二三四五六".chars().position(|c| c == other)?,
    };
    Some((1 << day, chars.as_str()))
}

fn single(days: u8) -> Option<Weekday> {
    (days.count_ones() == 1).then(|| Weekday::from_monday_zero_offset(days.trailing_zeros() as i8).ok()).flatten()
}

fn span_of_days(from: Weekday, to: Weekday) -> u8 {
    let (from, to) = (from.to_monday_zero_offset(), to.to_monday_zero_offset());
    let count = (to - from).rem_euclid(7) + 1;
    (0..count).fold(0, |days, step| days | 1 << ((from + step) % 7))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn when(texts: &[&str]) -> When {
        let written: Vec<_> = texts.iter().map(|text| (0..0, *text)).collect();
        let mut mistakes = Mistakes::default();
        let when = When::read(&written, &mut mistakes);
        assert!(!mistakes.has_errors(), "{:?}", mistakes.locate(""));
        when.expect("windows")
    }

    fn refusal(text: &str) -> String {
        window(text).expect_err("refused")
    }

    fn calendar(zone: &str) -> Calendar {
        Calendar::new(TimeZone::get(zone).expect("bundled"), 0)
    }

    fn at(text: &str) -> Millis {
        Millis::from(text.parse::<jiff::Timestamp>().expect("a timestamp"))
    }

    fn minute(text: &str) -> i64 {
        at(text).0 / 60_000
    }

    #[test]
    fn the_start_is_included_and_the_end_is_not() {
        let (when, china) = (when(&["20:00-21:00"]), calendar("Asia/Shanghai"));
        let open = Some(minute("2026-11-22T20:00:00+08:00"));
        assert_eq!(when.open_since(&china, at("2026-11-22T19:59:59.999+08:00")), None);
        assert_eq!(when.open_since(&china, at("2026-11-22T20:00:00+08:00")), open);
        assert_eq!(when.open_since(&china, at("2026-11-22T20:59:59.999+08:00")), open);
        assert_eq!(when.open_since(&china, at("2026-11-22T21:00:00+08:00")), None);
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_opened() {
        let (when, china) = (when(&["周六 22:00-02:00"]), calendar("Asia/Shanghai"));
        assert_eq!(when.open_since(&china, at("2026-11-22T01:59:00+08:00")), Some(minute("2026-11-21T22:00:00+08:00")));
        assert_eq!(when.open_since(&china, at("2026-11-21T01:00:00+08:00")), None);
        assert_eq!(when.open_since(&china, at("2026-11-22T22:30:00+08:00")), None);
    }

    #[test]
    fn the_clock_of_a_day_with_summer_time_decides() {
        let york = calendar("America/New_York");
        let skipped = when(&["02:30-03:30"]);
        assert!(skipped.open_since(&york, at("2026-03-08T03:15:00-04:00")).is_some());
        let repeated = when(&["01:00-02:00"]);
        let first = repeated.open_since(&york, at("2026-11-01T01:30:00-04:00"));
        assert_eq!(first, Some(minute("2026-11-01T01:00:00-04:00")));
        assert_eq!(repeated.open_since(&york, at("2026-11-01T01:30:00-05:00")), first);
    }

    #[test]
    fn days_are_read_as_people_write_them() {
        let same = |texts: &[&str], days: u8| texts.iter().for_each(|text| assert_eq!(window(text).expect(text).days, days, "{text}"));
        same(&["周一至周五 9:00-18:00", "周一到周五", "工作日", "Mon-Fri", "星期一–星期五", "weekdays 09:00~18:00"], 0b001_1111);
        same(&["周六周日", "周六、周日 20:00-21:00", "周六日", "周末", "sat sun", "sat,sun"], 0b110_0000);
        same(&["周一三五", "周一、周三、周五"], 0b001_0101);
        same(&["周五至周一"], 0b111_0001);
        same(&["每天 08:00-09:00", "08:00至09:00"], EVERY_DAY);
    }

    #[test]
    fn impossible_windows_say_why() {
        assert!(refusal("25:00-26:00").contains("没有「25:00」这个时刻"));
        assert!(refusal("20:00-20:00").contains("永远不开放"));
        assert!(refusal("20:00").contains("缺结束时刻"));
        assert!(refusal("12:00-13:00, 20:00-21:00").contains("列表"));
        assert!(refusal("星期八 20:00-21:00").contains("看不懂日子"));
        assert!(refusal("24:00-02:00").contains("24:00"));
        assert!(refusal("").contains("空的"));
        assert!(refusal("20:00-21:7x").contains("不是时刻"));
    }

    #[test]
    fn words_read_as_written() {
        assert_eq!(when(&["06:00-10:00", "周六周日 20:00-22:00"]).in_words(), "6:00–10:00、周六周日 20:00–22:00");
        assert_eq!(when(&["22:00-02:00"]).in_words(), "22:00–次日 2:00");
        assert_eq!(when(&["mon-fri"]).in_words(), "周一至周五");
        assert_eq!(when(&["00:00-24:00"]).in_words(), "全天");
    }

    #[test]
    fn overlap_is_seen_across_midnight_and_the_end_of_the_week() {
        assert!(when(&["周日 23:00-01:00"]).overlaps(&when(&["周一 00:30-02:00"])));
        assert!(!when(&["20:00-21:00"]).overlaps(&when(&["21:00-22:00"])));
        assert!(!when(&["周一 20:00-21:00"]).overlaps(&when(&["周二 20:00-21:00"])));
    }

    proptest! {
        #[test]
        fn an_open_window_opened_within_a_day_before(opens in 0i16..1440, length in 1i16..1440, days in 1u8..128, secs in 1_700_000_000i64..1_900_000_000) {
            let when = When { windows: vec![Window { days, opens, closes: opens + length }] };
            for zone in ["Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"] {
                if let Some(opened) = when.open_since(&calendar(zone), Millis(secs * 1000)) {
                    let ago = secs.div_euclid(60) - opened;
                    prop_assert!((0..=26 * 60).contains(&ago), "{ago}");
                }
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,40}") {
            let _ = window(&text);
        }
    }
}
