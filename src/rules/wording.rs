//! Wording: moments, periods, caps and refusals in the Chinese that members read.

use crate::model::day::{Calendar, Day, Millis, PeriodKind};
use crate::model::decision::{Cap, Needs, Refusal};
use crate::model::purchase::NotBought;
use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::check_in::needs::{self, Pairing};
use crate::rules::standing::only_in_words;
use crate::rules::validity::Life;

/// A moment as one says it: `今天 8:02`, `明天 0:00`, `11 月 29 日 0:00`, in another year with the year.
pub fn moment(calendar: &Calendar, at: Millis, now: Millis) -> String {
    let (at, now) = (calendar.local(at), calendar.local(now));
    let (date, today) = (at.date(), now.date());
    let clock = format!("{}:{:02}", at.hour(), at.minute());
    match Day::of(date).0 - Day::of(today).0 {
        0 => format!("今天 {clock}"),
        1 => format!("明天 {clock}"),
        -1 => format!("昨天 {clock}"),
        _ if date.year() == today.year() => format!("{} 月 {} 日 {clock}", date.month(), date.day()),
        _ => format!("{} 年 {} 月 {} 日 {clock}", date.year(), date.month(), date.day()),
    }
}

/// A day as one says it: `11 月 29 日`, in another year with the year.
pub fn date(day: Day, today: Day) -> String {
    let (date, today) = (day.date(), today.date());
    let year = if date.year() == today.year() { String::new() } else { format!("{} 年 ", date.year()) };
    format!("{year}{} 月 {} 日", date.month(), date.day())
}

/// The last day that something which is gone on a day is good for.
pub fn last_day(gone: Day, today: Day) -> String {
    date(gone.plus(-1), today)
}

/// The running period: `今天`, `本周`.
pub fn this(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Day => "今天",
        PeriodKind::Week => "本周",
        PeriodKind::Month => "本月",
        PeriodKind::Window => "这一场",
        PeriodKind::Ever => "累计",
    }
}

/// The period a message fell in, told later: `今天`, `当天`.
pub fn that(calendar: &Calendar, kind: PeriodKind, at: Millis, now: Millis) -> &'static str {
    match kind {
        _ if is_running(calendar, kind, at, now) => this(kind),
        PeriodKind::Day => "当天",
        PeriodKind::Week => "那一周",
        PeriodKind::Month => "那个月",
        PeriodKind::Window | PeriodKind::Ever => this(kind),
    }
}

/// Whether the period a message fell in is not over yet.
fn is_running(calendar: &Calendar, kind: PeriodKind, at: Millis, now: Millis) -> bool {
    let (then, today) = (calendar.day(at), calendar.day(now));
    match kind {
        PeriodKind::Day => then == today,
        PeriodKind::Week => then.week() == today.week(),
        PeriodKind::Month => then.date().first_of_month() == today.date().first_of_month(),
        PeriodKind::Window | PeriodKind::Ever => true,
    }
}

/// Any period: `每天`, `每周`.
pub fn each(kind: PeriodKind) -> &'static str {
    match kind {
        PeriodKind::Day => "每天",
        PeriodKind::Week => "每周",
        PeriodKind::Month => "每月",
        PeriodKind::Window => "每场",
        PeriodKind::Ever => "一共",
    }
}

/// When a cap over this period is empty again: `明天 0:00`; empty for a cap that never is.
pub fn resets(calendar: &Calendar, kind: PeriodKind, at: Millis) -> String {
    let day = calendar.day(at);
    let next = match kind {
        PeriodKind::Day => day.plus(1),
        PeriodKind::Week => day.plus(7 - (day.0 + 3).rem_euclid(7)),
        PeriodKind::Month => {
            let date = day.date();
            let left = i32::from(date.days_in_month() - date.day());
            day.plus(left + 1)
        }
        PeriodKind::Window => return "下一场".to_owned(),
        PeriodKind::Ever => return String::new(),
    };
    moment(calendar, calendar.begins(next), at)
}

/// Caps in words: `每天 1 次,每周最多 20 积分`; empty when nothing is capped.
pub fn limits(limits: &Limits, points_name: &str) -> String {
    let times = limits.max_times.iter().map(|(kind, most)| format!("{} {most} 次", each(*kind)));
    let points = limits.max_points.iter().map(|(kind, most)| format!("{}最多 {most} {points_name}", each(*kind)));
    times.chain(points).collect::<Vec<_>>().join(",")
}

/// What postings are called that no rule of rules.toml booked, by their ledger code.
pub fn beside_rules(code: &str) -> Option<&'static str> {
    match code {
        "opening" => Some("期初余额"),
        "grant" => Some("人工加减分"),
        "merge" => Some("账户合并"),
        _ => super::expiry::title(code),
    }
}

/// When a rule is open: its dates and its windows; empty when always.
pub fn opening(rule: &RuleEntry) -> String {
    let dates = rule.common.dates.map(dates);
    let windows = rule.common.when.as_ref().map(|when| when.in_words());
    dates.into_iter().chain(windows).filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" ")
}

/// First and last day: `11 月 10 日至 11 月 12 日`.
pub fn dates((first, last): (jiff::civil::Date, jiff::civil::Date)) -> String {
    let (from, to) = (format!("{} 月 {} 日", first.month(), first.day()), format!("{} 月 {} 日", last.month(), last.day()));
    if first == last { from } else { format!("{from}至 {to}") }
}

/// A whole rule in words, for 「规则」: what it pays for, when, how often.
pub fn rule(campaign: &Campaign, rule: &RuleEntry) -> String {
    let bucket = rule.common.bucket.map(|bucket| &campaign.buckets[bucket].limits);
    let bucket = bucket.map(|shared| limits(shared, &campaign.points_name)).filter(|words| !words.is_empty());
    let parts = [
        opening(rule),
        rule.common.hold_days.map_or(String::new(), |days| format!("{days} 天后生效")),
        rule.common.expires.map_or(String::new(), life),
        limits(&rule.common.limits, &campaign.points_name),
        bucket.map_or(String::new(), |words| format!("与同类合计{words}")),
        rule.common.only.groups.as_ref().map_or(String::new(), |groups| format!("只在 {} 群", groups.join("、"))),
    ];
    let extra: Vec<String> = parts.into_iter().chain(only_in_words(&rule.common.only)).filter(|part| !part.is_empty()).collect();
    let body = rule.kind.in_words(&campaign.points_name);
    if extra.is_empty() { body } else { format!("{body};{}", extra.join(";")) }
}

/// How long points live.
fn life(life: Life) -> String {
    match life {
        Life::Never => "不过期".to_owned(),
        Life::Days(days) => format!("有效 {days} 天"),
        Life::Until(last) => format!("有效至 {} 年 {} 月 {} 日", last.year(), last.month(), last.day()),
        Life::Yearly { month, day } => format!("有效至每年 {month} 月 {day} 日"),
    }
}

/// Why a rule did not pay, and what would have made it pay. `at` is the message's own time, `now` when it is told.
pub fn refusal(refusal: &Refusal, calendar: &Calendar, (at, now): (Millis, Millis), opening: &str) -> String {
    match refusal {
        Refusal::Already { cap, paid_at } => already(cap, *paid_at, calendar, (at, now)),
        Refusal::Capped(cap) => {
            let period = that(calendar, cap.period, at, now);
            format!("{}已满 {}/{}{}", owner(cap, period), cap.used, cap.most, reset_clause(calendar, cap.period, (at, now)))
        }
        Refusal::OutsideWindow if opening.is_empty() => "不在开放时间".to_owned(),
        Refusal::OutsideDates if opening.is_empty() => "不在活动日期".to_owned(),
        Refusal::OutsideWindow => format!("不在开放时间,{}才计分", spaced(opening)),
        Refusal::OutsideDates => format!("不在活动日期,{}才计分", spaced(opening)),
        Refusal::NotForThisGroup => "这个群不计这一项".to_owned(),
        Refusal::TooShort { chars, least } => format!("少于 {least} 个字(写了 {chars} 个)"),
        Refusal::TooPlain { distinct, least } => format!("不同的字少于 {least} 个(只有 {distinct} 个)"),
        Refusal::CoolDown { left_secs } => format!("离上一条太近,再隔 {left_secs} 秒才计分"),
        Refusal::Copy { of } => format!("和自己的发言({})一样,换句话再说才计分", moment(calendar, *of, now)),
        Refusal::Staff => "员工在这里不计分".to_owned(),
        Refusal::TooMany => "余额已经到系统能记的最大数".to_owned(),
        Refusal::Spent => "预算已经发完,这一项先停了".to_owned(),
        Refusal::TooLate { first } => format!("只有前 {first} 名有,已经满了"),
        Refusal::ProofMissing { needs, within_secs } => format!("还差{},{}内补上才计分", Pairing::one_of(*needs), needs::in_words(*within_secs)),
        Refusal::WordMissing { needs, within_secs } => format!("{}收到了,{}内再发口令才计分", received(*needs), needs::in_words(*within_secs)),
        Refusal::ProofUsed { needs } => format!("{}用过了", used(*needs).0),
        Refusal::Short { have, need } => format!("只有 {have},不够 {need}"),
        Refusal::Declined => "没有得到另一位管理员的批准".to_owned(),
        Refusal::NotForThisMember(needs) => needs.to_string(),
        Refusal::StepsLeft(done, of) => format!("已完成 {done}/{of} 步"),
        Refusal::NearCopy { of } => format!("和自己的发言({})差不多,换句话再说才计分", moment(calendar, *of, now)),
        Refusal::NotBought(why) => not_bought(why, calendar, (at, now)),
        Refusal::Twin => "同一条消息已从另一个通道记过".to_owned(),
        Refusal::TakenBack => "到达之前就已撤回".to_owned(),
        Refusal::Frozen => "已退出活动的群,积分先冻结着,回到群里就恢复".to_owned(),
        Refusal::NotStayed => "那天在群还没满一段(中间退过群,或进群时间后来有更正)".to_owned(),
    }
}

fn received(needs: Needs) -> &'static str {
    match needs {
        Needs::Image => "图片",
        Needs::Link => "链接",
        Needs::Video => "视频",
    }
}

/// What was used before, and what to send instead.
pub fn used(needs: Needs) -> (&'static str, &'static str) {
    match needs {
        Needs::Image => ("这张图", "截图"),
        Needs::Link => ("这个链接", "链接"),
        Needs::Video => ("这段视频", "视频"),
    }
}

/// Why something was not bought.
fn not_bought(why: &NotBought, calendar: &Calendar, (at, now): (Millis, Millis)) -> String {
    match why {
        NotBought::Short { price, have } => format!("要 {price} 分,现在能用的有 {have} 分,还差 {} 分", price.saturating_sub(*have)),
        NotBought::TooOften(cap) => {
            let again = reset_clause(calendar, cap.period, (at, now));
            format!("{}已用 {} 次,{} {} 次{again}", that(calendar, cap.period, at, now), cap.used, each(cap.period), cap.most)
        }
        NotBought::NothingMissed => "最近没有漏签的日子".to_owned(),
        NotBought::TooFar { days } => format!("断得太久,只能补最近 {days} 天以内的"),
        NotBought::Late => "这条消息到得太晚,没有扣积分,请再发一次".to_owned(),
        NotBought::NotMissed(day) => format!("{}没有漏签,不用补", days_in_words(&[*day])),
    }
}

/// Days by their dates: `11 月 20 日、11 月 21 日`.
pub fn days_in_words(days: &[Day]) -> String {
    let words = days.iter().map(|day| format!("{} 月 {} 日", day.date().month(), day.date().day()));
    words.collect::<Vec<_>>().join("、")
}

/// Words before Chinese ones: a number stands apart from them.
fn spaced(words: &str) -> String {
    if words.ends_with(|last: char| last.is_ascii_digit()) { format!("{words} ") } else { words.to_owned() }
}

fn already(cap: &Cap, paid_at: Option<Millis>, calendar: &Calendar, (at, now): (Millis, Millis)) -> String {
    let last = paid_at.map_or_else(|| that(calendar, cap.period, at, now).to_owned(), |paid| format!("{} ", moment(calendar, paid, now)));
    format!("{last}已记过,{} {} 次{}", each(cap.period), cap.most, reset_clause(calendar, cap.period, (at, now)))
}

/// When it pays again; nothing once that is over.
fn reset_clause(calendar: &Calendar, kind: PeriodKind, (at, now): (Millis, Millis)) -> String {
    if !is_running(calendar, kind, at, now) {
        return String::new();
    }
    match resets(calendar, kind, now) {
        never if never.is_empty() => String::new(),
        next => format!(",{next} 后再来"),
    }
}

/// Whose cap it is: `今天的同类合计的上限`.
fn owner(cap: &Cap, period: &str) -> String {
    let whose = match &*cap.of {
        "campaign" => "整个活动的上限",
        bucket if bucket.starts_with("bucket.") => "同类合计的上限",
        _ => "上限",
    };
    format!("{period}{}{whose}", if cap.period == PeriodKind::Ever { "" } else { "的" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn shanghai() -> Calendar {
        Calendar::new(TimeZone::get("Asia/Shanghai").expect("bundled"), 0)
    }

    fn at(text: &str) -> Millis {
        Millis::from(text.parse::<jiff::Timestamp>().expect("a timestamp"))
    }

    #[test]
    fn moments_are_said_as_people_say_them() {
        let now = at("2026-11-22T20:30:00+08:00");
        let said = |text| moment(&shanghai(), at(text), now);
        assert_eq!(said("2026-11-22T08:02:00+08:00"), "今天 8:02");
        assert_eq!(said("2026-11-23T00:00:00+08:00"), "明天 0:00");
        assert_eq!(said("2026-11-21T23:59:00+08:00"), "昨天 23:59");
        assert_eq!(said("2026-11-29T00:00:00+08:00"), "11 月 29 日 0:00");
        assert_eq!(said("2027-01-01T00:00:00+08:00"), "2027 年 1 月 1 日 0:00");
    }

    #[test]
    fn caps_are_empty_again_with_the_next_period() {
        let sunday = at("2026-11-22T20:30:00+08:00");
        assert_eq!(resets(&shanghai(), PeriodKind::Day, sunday), "明天 0:00");
        assert_eq!(resets(&shanghai(), PeriodKind::Week, sunday), "明天 0:00");
        assert_eq!(resets(&shanghai(), PeriodKind::Week, at("2026-11-23T09:00:00+08:00")), "11 月 30 日 0:00");
        assert_eq!(resets(&shanghai(), PeriodKind::Month, sunday), "12 月 1 日 0:00");
        assert_eq!(resets(&shanghai(), PeriodKind::Ever, sunday), "");
    }

    #[test]
    fn a_refusal_says_what_would_have_paid() {
        let now = at("2026-11-22T20:30:00+08:00");
        let said = |it| refusal(&it, &shanghai(), (now, now), "20:00–21:00");
        assert_eq!(said(Refusal::TooShort { chars: 2, least: 4 }), "少于 4 个字(写了 2 个)");
        assert_eq!(said(Refusal::OutsideWindow), "不在开放时间,20:00–21:00 才计分");
        let cap = Cap { of: "check_in.daily".into(), period: PeriodKind::Day, in_points: false, used: 1, most: 1 };
        assert_eq!(said(Refusal::Already { cap, paid_at: Some(at("2026-11-22T09:00:00+08:00")) }), "今天 9:00 已记过,每天 1 次,明天 0:00 后再来");
        let cap = Cap { of: "check_in.daily".into(), period: PeriodKind::Day, in_points: false, used: 1, most: 1 };
        let already = Refusal::Already { cap, paid_at: Some(at("2026-11-22T09:00:00+08:00")) };
        let told_later = refusal(&already, &shanghai(), (now, at("2026-11-23T08:00:00+08:00")), "");
        assert_eq!(told_later, "昨天 9:00 已记过,每天 1 次", "what has been over since is not promised again");
        let cap = Cap { of: "campaign".into(), period: PeriodKind::Week, in_points: true, used: 300, most: 300 };
        assert_eq!(said(Refusal::Capped(cap)), "本周的整个活动的上限已满 300/300,明天 0:00 后再来");
    }
}
