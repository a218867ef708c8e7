//! What a backtest found in the words of an operator: what the terminal, the page and the editor say alike.

use jiff::civil::Date;

use crate::backtest::report::{CampaignReport, Change, Report, RuleChange, VerdictChange, Version};
use crate::rules::budget::yuan;
use crate::rules::text::display_name;

/// Between groups of three digits: the numbers stay in one piece, and no comma is taken for one of the sentence.
const GROUP: char = '\u{a0}';

/// The answer to the first question: what would have been paid, and to whom. One line, or one for each campaign below the first.
pub fn headline(report: &Report) -> String {
    let Some(from) = report.from else { return "这段时间没有可以重判的消息,看不出新旧规则差多少。".into() };
    let when = format!("如果从 {}起就用「{}」", day(from, report.to), report.new.name);
    match report.campaigns.as_slice() {
        _ if report.is_same() => format!("{when},每个人得的都和现在一样{}。", anything_else(report)),
        [only] => format!("{when},{}。", sentence(only)),
        several => {
            let each = several.iter().map(|campaign| format!("\n  「{}」{};", campaign.title, sentence(campaign)));
            format!("{when}:{}。", each.collect::<String>().trim_end_matches(';'))
        }
    }
}

/// What changes in a campaign: `会多发 1 240 积分(约 12.40 元),多 8%;18 人变多,3 人变少,40 人不变`.
pub fn sentence(campaign: &CampaignReport) -> String {
    let Change { was, now, .. } = campaign.total;
    let difference = campaign.total.difference();
    let people = people(campaign);
    if difference == 0 && campaign.gained + campaign.lost == 0 {
        return format!("没有变化,仍是 {}", points(campaign, now));
    }
    if difference == 0 {
        return format!("总共发的不变,仍是 {};{people}", points(campaign, now));
    }
    let verb = if difference > 0 { "会多发" } else { "会少发" };
    let share = share(was, now).map(|share| format!(",{share}")).unwrap_or_default();
    format!("{verb} {}{}{share};{people}", points(campaign, difference.abs()), about(campaign, difference.abs()))
}

/// `,但有 12 条消息的判定变了`: where nobody gets more or less.
fn anything_else(report: &Report) -> String {
    let changed: u64 = report.campaigns.iter().flat_map(|campaign| &campaign.verdicts).map(|verdict| verdict.times).sum();
    if changed == 0 { String::new() } else { format!(",但有 {} 条消息的判定变了", grouped_u64(changed)) }
}

/// `18 人变多,3 人变少,40 人不变`; nobody is not counted.
pub fn people(campaign: &CampaignReport) -> String {
    let parts = [(campaign.gained, "变多"), (campaign.lost, "变少"), (campaign.same, "不变")];
    parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} 人{what}", grouped_u64(*count))).collect::<Vec<_>>().join(",")
}

/// What became of a verdict: `今天签过了 → 记分`.
pub fn turned(verdict: &VerdictChange) -> String {
    if verdict.from == verdict.to { format!("{},分数变了", verdict.from) } else { format!("{} → {}", verdict.from, verdict.to) }
}

/// `1 240 积分`.
pub fn points(campaign: &CampaignReport, points: i64) -> String {
    format!("{} {}", grouped(points), campaign.points_name)
}

/// `(约 12.40 元)`, where a point has a price.
fn about(campaign: &CampaignReport, points: i64) -> String {
    campaign.point_value.map(|value| format!("(约 {})", money(points, value))).unwrap_or_default()
}

/// So many points in yuan: `-12.40 元`.
pub fn money(points: i64, value: i64) -> String {
    let sign = if points < 0 { "-" } else { "" };
    format!("{sign}{} 元", yuan(points.saturating_abs(), value))
}

/// By how much it grows or shrinks, in a hundred: `多 8%`, `少 0.4%`. `None` where there was nothing.
pub fn share(was: i64, now: i64) -> Option<String> {
    if was <= 0 || now == was {
        return None;
    }
    let difference = i128::from(now) - i128::from(was);
    let word = if difference > 0 { "多" } else { "少" };
    let tenths = (difference.abs() * 1000 + i128::from(was) / 2) / i128::from(was);
    Some(match tenths {
        0 => format!("{word}不到 0.1%"),
        1..100 if tenths % 10 != 0 => format!("{word} {}.{}%", tenths / 10, tenths % 10),
        _ => format!("{word} {}%", (tenths + 5) / 10),
    })
}

/// `12 400`, `-1 240`.
pub fn grouped(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", grouped_u64(number.unsigned_abs()))
}

/// `12 400`.
pub fn grouped_u64(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(GROUP);
        }
        out.push(digit);
    }
    out
}

/// `+1 240`, `-3`, `0`.
pub fn signed(number: i64) -> String {
    if number > 0 { format!("+{}", grouped(number)) } else { grouped(number) }
}

/// `11 月 1 日`; with the year where the last day is in another one.
fn day(date: Date, to: Option<Date>) -> String {
    let year = if to.is_some_and(|to| to.year() != date.year()) { format!("{} 年 ", date.year()) } else { String::new() };
    format!("{year}{} 月 {} 日", date.month(), date.day())
}

/// What was decided again, and between which days and versions.
pub fn extent(report: &Report) -> String {
    let days = match (report.from, report.to) {
        (Some(from), Some(to)) if from == to => format!("{from} 一天"),
        (Some(from), Some(to)) => format!("{from} 至 {to}"),
        _ => return format!("{} → {}", version(&report.old), version(&report.new)),
    };
    format!("{days},重判 {} 条;{} → {}", grouped_u64(report.events), version(&report.old), version(&report.new))
}

fn version(version: &Version) -> String {
    format!("{} {}", version.name, version.hash.get(..8).unwrap_or(&version.hash))
}

/// What a reader must know about the numbers; a sentence each.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    for campaign in &report.campaigns {
        let name = if report.campaigns.len() > 1 { format!("「{}」里,", campaign.title) } else { String::new() };
        if report.from.is_some() && campaign.booked != campaign.total.was {
            let (was, booked) = (grouped(campaign.total.was), points(campaign, campaign.booked));
            notes.push(format!(
                "{name}「旧」{was} 是{}从头判一遍这段时间会发的;当时账上实际记了 {booked}:那时的规则不一样,或有晚到、撤回的消息。",
                report.old.name
            ));
        }
        if !campaign.shadow.is_empty() {
            let told: Vec<String> = campaign.shadow.iter().map(|rule| on_trial(campaign, rule)).collect();
            notes.push(format!("{name}试运行的规则不计入上面的数:{}。", told.join(";")));
        }
    }
    if report.from.is_some()
        && report.campaigns.iter().all(|campaign| campaign.point_value.is_none())
        && let Some(first) = report.campaigns.first()
    {
        notes.push(format!("想同时看金额,在 [campaign.{}] 里写上一分值多少元,例如 point_value = \"0.01\"。", first.id));
    }
    if report.erased > 0 {
        let count = grouped_u64(report.erased);
        notes.push(format!("{count} 条消息的原文已按 [retention] texts 销毁,新旧两边都照当时判的算;想看它们之后的,用 --from 指定更晚的一天。"));
    }
    if report.outside > 0 {
        notes.push(format!("人工加分、期初余额、审核、恢复等 {} 笔照当时的记,新旧两边一样,没有算在里面。", grouped_u64(report.outside)));
    }
    notes
}

/// `speaking.lunch 会发 114 积分(57 次)`.
fn on_trial(campaign: &CampaignReport, rule: &RuleChange) -> String {
    let Change { was, now, times_now, .. } = rule.change;
    let was = if was == now || was == 0 { String::new() } else { format!(",旧规则里会发 {}", grouped(was)) };
    format!("{} {} 会发 {}({} 次){was}", display_name(&rule.title), rule.rule, points(campaign, now), grouped_u64(times_now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::sample;

    /// A headline with plain spaces.
    fn said(report: &Report) -> String {
        headline(report).replace(GROUP, " ")
    }

    #[test]
    fn the_answer_is_one_sentence() {
        let says = "如果从 10 月 26 日起就用「新规则.toml」,会多发 1 240 积分(约 12.40 元),多 8.1%;18 人变多,3 人变少,40 人不变。";
        assert_eq!(said(&sample::report()), says);
    }

    #[test]
    fn each_campaign_has_a_line_of_its_own() {
        let says = "如果从 10 月 26 日起就用「新规则.toml」:\n  「骑行积分」会多发 1 240 积分(约 12.40 元),多 8.1%;18 人变多,3 人变少,40 人不变;\n  「VIP」没有变化,仍是 600 积分。";
        assert_eq!(said(&sample::two_campaigns()), says);
    }

    #[test]
    fn no_difference_is_said_plainly() {
        assert_eq!(said(&sample::same()), "如果从 10 月 26 日起就用「新规则.toml」,每个人得的都和现在一样。");
        let nothing = Report { from: None, to: None, ..sample::same() };
        assert_eq!(said(&nothing), "这段时间没有可以重判的消息,看不出新旧规则差多少。");
    }

    #[test]
    fn a_difference_among_members_shows_though_the_sum_stays() {
        let mut report = sample::report();
        report.campaigns[0].total.now = report.campaigns[0].total.was;
        assert!(said(&report).ends_with("总共发的不变,仍是 15 400 积分;18 人变多,3 人变少,40 人不变。"), "{}", said(&report));
    }

    #[test]
    fn shares_are_rounded_and_never_made_up() {
        for (was, now, says) in [(15_400, 16_640, "多 8.1%"), (100, 108, "多 8%"), (10_000, 9_999, "少不到 0.1%"), (3, 9, "多 200%"), (1000, 0, "少 100%")]
        {
            assert_eq!(share(was, now).as_deref(), Some(says));
        }
        assert_eq!((share(0, 5), share(7, 7)), (None, None));
        assert_eq!(share(1, i64::MAX).as_deref(), Some("多 922337203685477580600%"));
    }

    #[test]
    fn numbers_stay_in_one_piece() {
        assert_eq!((grouped(1_234_567), grouped(-999), signed(1000)), ("1\u{a0}234\u{a0}567".into(), "-999".into(), "+1\u{a0}000".into()));
        assert_eq!((grouped(i64::MIN), money(-1240, 100)), ("-9\u{a0}223\u{a0}372\u{a0}036\u{a0}854\u{a0}775\u{a0}808".into(), "-12.40 元".into()));
    }
}
