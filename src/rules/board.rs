//! Boards: which board a word asks for, which days count on it, who is not shown, and who stands where. Pure: the same earnings, the same board.
//!
//! Points count in the period they were earned for, whatever the balance is now. Equal points share a rank; among them who came there first
//! stands first. What was brought from elsewhere (opening balances) and what a title paid is earned on no board.

use std::sync::{Arc, LazyLock};

use crate::model::cells::AccountState;
use crate::model::day::{Calendar, Day, Millis, Period};
use crate::model::decision::{Mark, Question};
use crate::model::event::{GroupKind, Place};
use crate::model::ids::{AccountId, PostingSeq};
use crate::rules::campaign::Staff;
use crate::rules::presence;

/// State key of what a member chose about boards.
pub static BOARD_KEY: LazyLock<Arc<str>> = LazyLock::new(|| "board".into());

/// Days since the first points within which a member is a newcomer.
pub const NEWCOMER_DAYS: i32 = 30;

/// Places shown.
pub const TOP: usize = 5;

/// Ledger codes of this kind stand on no board: a title is paid for a board that is over, and would be a head start on the next one.
pub const TITLE_CODES: &str = "title.";

/// A board that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Board {
    /// 今日排行
    Today,
    /// 排行: this week.
    Week,
    /// 本月排行
    Month,
    /// 总排行
    Ever,
    /// 上周排行
    LastWeek,
    /// 上月排行
    LastMonth,
    /// 本群排行: this week, what was earned in this group.
    Group,
    /// 新人榜: who earned for the first time within [`NEWCOMER_DAYS`].
    Newcomers,
}

impl Board {
    /// Every board, with the word it travels under in a reply's arguments.
    const ALL: [(Board, &str); 8] = [
        (Board::Today, "today"),
        (Board::Week, "week"),
        (Board::Month, "month"),
        (Board::Ever, "ever"),
        (Board::LastWeek, "last_week"),
        (Board::LastMonth, "last_month"),
        (Board::Group, "group"),
        (Board::Newcomers, "newcomers"),
    ];

    /// The board a question asks for; `None` for a question about something else.
    pub fn asked(question: Question) -> Option<Board> {
        match question {
            Question::Rank => Some(Board::Week),
            Question::RankToday => Some(Board::Today),
            Question::RankMonth => Some(Board::Month),
            Question::RankEver => Some(Board::Ever),
            Question::RankLastWeek => Some(Board::LastWeek),
            Question::RankLastMonth => Some(Board::LastMonth),
            Question::RankGroup => Some(Board::Group),
            Question::Newcomers => Some(Board::Newcomers),
            Question::Balance
            | Question::Today
            | Question::Why
            | Question::History
            | Question::Rules
            | Question::Help
            | Question::LeaveBoard
            | Question::JoinBoard
            | Question::Tasks
            | Question::Calendar
            | Question::Level
            | Question::Affinity
            | Question::Titles => None,
        }
    }

    /// Its word in a reply's arguments.
    pub fn word(self) -> &'static str {
        Board::ALL.iter().find(|(board, _)| *board == self).map_or("week", |(_, word)| word)
    }

    /// The board of a word; an unknown one is this week's.
    pub fn of_word(word: &str) -> Board {
        Board::ALL.iter().find(|(_, known)| *known == word).map_or(Board::Week, |(board, _)| *board)
    }

    /// What members call it: `本周积分榜`.
    pub fn title(self, points_name: &str) -> String {
        match self {
            Board::Today => format!("今日{points_name}榜"),
            Board::Week => format!("本周{points_name}榜"),
            Board::Month => format!("本月{points_name}榜"),
            Board::Ever => format!("{points_name}总榜"),
            Board::LastWeek => format!("上周{points_name}榜"),
            Board::LastMonth => format!("上月{points_name}榜"),
            Board::Group => format!("本群本周{points_name}榜"),
            Board::Newcomers => format!("{NEWCOMER_DAYS} 天新人榜"),
        }
    }

    /// The first and the last day that count, seen from today.
    pub fn days(self, today: Day) -> (Day, Day) {
        let week = Period::Week(today.week());
        let month = Period::Month(today.month());
        match self {
            Board::Today => (today, today),
            Board::Week | Board::Group => days_of(week),
            Board::Month => days_of(month),
            Board::Ever => days_of(Period::Ever),
            Board::LastWeek => days_of(Period::Week(today.week() - 1)),
            Board::LastMonth => days_of(Period::Month(today.month() - 1)),
            Board::Newcomers => (today.plus(1 - NEWCOMER_DAYS), today),
        }
    }

    /// The period that is over, for a board that is.
    pub fn closed(self, today: Day) -> Option<Period> {
        match self {
            Board::LastWeek => Some(Period::Week(today.week() - 1)),
            Board::LastMonth => Some(Period::Month(today.month() - 1)),
            Board::Today | Board::Week | Board::Month | Board::Ever | Board::Group | Board::Newcomers => None,
        }
    }
}

/// The first and the last day of a period; a window has none of its own and counts as all time.
pub fn days_of(period: Period) -> (Day, Day) {
    match period {
        Period::Day(day) => (Day(day), Day(day)),
        Period::Week(week) => {
            let monday = Day(week.saturating_mul(7).saturating_sub(3));
            (monday, monday.plus(6))
        }
        Period::Month(month) => {
            let first = first_of_month(month);
            let last = first_of_month(month.saturating_add(1)).plus(-1);
            (first, last)
        }
        Period::Window(_) | Period::Ever => (Day(i32::MIN), Day(i32::MAX)),
    }
}

/// The first day of a month counted as [`Day::month`] counts them.
fn first_of_month(month: i32) -> Day {
    let year = i16::try_from(month.div_euclid(12)).unwrap_or(if month < 0 { i16::MIN } else { i16::MAX });
    let number = i8::try_from(month.rem_euclid(12) + 1).expect("1 to 12");
    jiff::civil::Date::new(year, number, 1).map(Day::of).unwrap_or(if month < 0 { Day(i32::MIN) } else { Day(i32::MAX) })
}

/// Seconds after its end at which a period is closed: what was said in its last minutes and heard through a slower channel still counts.
pub const CLOSES_AFTER_SECS: i64 = 3_600;

/// When the board of a period is closed; `None` for one that never ends.
pub fn closes_at(calendar: &Calendar, period: Period) -> Option<Millis> {
    let (_, last) = days_of(period);
    (last < Day(i32::MAX)).then(|| calendar.begins(last.plus(1)).plus_secs(CLOSES_AFTER_SECS))
}

/// Whether an account stands on no board: its member chose so, or has left all groups.
pub fn is_hidden(state: &AccountState) -> bool {
    opted_out(state) || presence::out_since(Some(state)).is_some()
}

/// What a member chose: not to be shown. Counted, so that what is late or taken back comes out the same.
pub fn opted_out(state: &AccountState) -> bool {
    state.code(&BOARD_KEY).and_then(|code| code.sum(Period::Ever)).is_some_and(|sum| sum.times > 0)
}

/// What 「退出排行」 and 「加入排行」 change; nothing where it is so already.
pub fn choice(state: Option<&AccountState>, question: Option<Question>) -> Option<Mark> {
    let hidden = state.is_some_and(opted_out);
    let times = match question {
        Some(Question::LeaveBoard) if !hidden => Some(1),
        Some(Question::JoinBoard) if hidden => Some(-1),
        Some(_) | None => None,
    };
    times.map(|times| Mark::Count { key: BOARD_KEY.clone(), period: Period::Ever, times, points: 0 })
}

/// Whether employees are left off a board: those who earn nothing among customers are not shown among them either.
pub fn hides_staff(staff: Staff, place: &Place, is_customer: bool) -> bool {
    match staff {
        Staff::Pay => false,
        Staff::Skip => true,
        Staff::Auto => matches!(place, Place::Group { kind: GroupKind::Customer, .. }) || (*place == Place::Single && is_customer),
    }
}

/// What an account earned in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earned {
    /// Points, less what was taken back.
    pub points: i64,
    /// The posting that brought it to these points.
    pub reached: PostingSeq,
}

/// What a board says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The first spots, best first.
    pub top: Vec<Spot>,
    /// The asker's own spot, if they earned anything in the period.
    pub own: Option<Spot>,
    /// Points between the asker and the next better rank; `None` for the first.
    pub gap: Option<i64>,
}

/// A spot on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// From 1; equal points share it.
    pub rank: usize,
    /// Who.
    pub account: AccountId,
    /// Earned in the period.
    pub points: i64,
    /// Somebody else shares the rank.
    pub tied: bool,
}

/// Who stands where: the first `top` spots and the asker's own.
pub fn standing<I: Iterator<Item = (AccountId, Earned)> + Clone>(earned: I, own: Option<AccountId>, top: usize) -> Standing {
    let mut best: Vec<(AccountId, Earned)> = Vec::with_capacity(top + 1);
    let order = |(account, earned): &(AccountId, Earned)| (std::cmp::Reverse(earned.points), earned.reached, *account);
    for one in earned.clone() {
        let place = best.partition_point(|other| order(other) < order(&one));
        if place < top {
            best.insert(place, one);
            best.truncate(top);
        }
    }
    let spot = |(account, own): (AccountId, Earned)| {
        let (mut better, mut equal) = (0, 0);
        for (_, other) in earned.clone() {
            better += usize::from(other.points > own.points);
            equal += usize::from(other.points == own.points);
        }
        Spot { rank: better + 1, account, points: own.points, tied: equal > 1 }
    };
    let own = own.and_then(|own| earned.clone().find(|(account, _)| *account == own)).map(spot);
    let gap = own.and_then(|own| earned.clone().map(|(_, other)| other.points - own.points).filter(|gap| *gap > 0).min());
    Standing { top: best.into_iter().map(spot).collect(), own, gap }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::Date;

    fn day(month: i8, day: i8) -> Day {
        Day::of(Date::constant(2026, month, day))
    }

    fn told(points: &[(i64, i64)], own: i64) -> Standing {
        let earned = points.iter().zip(1..).map(|(&(points, reached), account)| (AccountId(account), Earned { points, reached: PostingSeq(reached) }));
        standing(earned, Some(AccountId(own)), TOP)
    }

    #[test]
    fn equal_points_share_a_rank_and_who_came_there_first_stands_first() {
        let told = told(&[(9, 1), (7, 6), (7, 2), (3, 3), (2, 4), (1, 5)], 4);
        let top: Vec<(usize, i64, bool)> = told.top.iter().map(|spot| (spot.rank, spot.account.0, spot.tied)).collect();
        assert_eq!(top, [(1, 1, false), (2, 3, true), (2, 2, true), (4, 4, false), (5, 5, false)]);
        assert_eq!((told.own.map(|own| own.rank), told.gap), (Some(4), Some(4)));
    }

    #[test]
    fn a_tie_beyond_the_last_spot_shown_is_a_tie_too() {
        let told = told(&[(5, 1), (5, 2), (5, 3), (5, 4), (5, 5), (5, 6)], 6);
        assert!(told.top.len() == TOP && told.top.iter().all(|spot| spot.tied && spot.rank == 1));
        assert_eq!((told.own.map(|own| (own.rank, own.tied)), told.gap), (Some((1, true)), None));
    }

    #[test]
    fn every_board_knows_its_first_and_last_day() {
        let sunday = day(11, 22);
        assert_eq!(Board::Today.days(sunday), (sunday, sunday));
        assert_eq!(Board::Week.days(sunday), (day(11, 16), sunday));
        assert_eq!(Board::Week.days(day(11, 23)), (day(11, 23), day(11, 29)));
        assert_eq!(Board::LastWeek.days(sunday), (day(11, 9), day(11, 15)));
        assert_eq!(Board::Month.days(sunday), (day(11, 1), day(11, 30)));
        assert_eq!(Board::LastMonth.days(day(1, 31)), (Day::of(Date::constant(2025, 12, 1)), Day::of(Date::constant(2025, 12, 31))));
        assert_eq!(Board::Newcomers.days(sunday), (day(10, 24), sunday));
        assert!(Board::Ever.days(sunday).0 < Day(-1_000_000));
    }

    #[test]
    fn a_period_closes_an_hour_after_its_last_day_in_its_own_calendar() {
        let calendar = Calendar::new(jiff::tz::TimeZone::get("Asia/Shanghai").expect("bundled"), 4 * 60);
        let closes = closes_at(&calendar, Period::Week(day(11, 22).week())).expect("it ends");
        assert_eq!(calendar.local(closes).strftime("%m-%d %H:%M").to_string(), "11-23 05:00");
        assert_eq!(closes_at(&calendar, Period::Ever), None);
    }

    #[test]
    fn months_at_the_edges_of_time_have_days() {
        for month in [i32::MIN, -1, 0, i32::MAX] {
            let (first, last) = days_of(Period::Month(month));
            assert!(first <= last || month == i32::MAX || month == i32::MIN);
        }
    }

    #[test]
    fn who_is_hidden_already_is_not_hidden_twice() {
        use crate::model::cells::{AccountCell, Occurrence};
        use crate::model::decision::Record;
        use crate::model::ids::EventSeq;
        let mut cell = AccountCell::default();
        let mut said = |question, seq| {
            let mark = choice(Some(&cell.state), Some(question));
            let record = Record { marks: mark.into_iter().collect(), ..Record::default() };
            cell.apply(Occurrence { seq: EventSeq(seq), at: Millis(seq), day: Day(0) }, &record, &[]);
            is_hidden(&cell.state)
        };
        assert!(!said(Question::JoinBoard, 1) && said(Question::LeaveBoard, 2) && said(Question::LeaveBoard, 3));
        assert!(!said(Question::JoinBoard, 4) && said(Question::LeaveBoard, 5));
    }
}
