//! A backtest as one HTML file for a browser: no script, nothing from elsewhere, and a policy in its head that would stop either.

use std::sync::LazyLock;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::backtest::report::{CampaignReport, Change, DayChange, GroupChange, Lacking, MemberChange, Report, RuleChange, VerdictChange};
use crate::backtest::words::{extent, grouped, grouped_u64, headline, money, notes, people, signed, turned};
use crate::rules::text::{display_name, printable};

const STYLE: &str = include_str!("page.css");
/// Allows this one style sheet, and no other.
static STYLE_HASH: LazyLock<String> = LazyLock::new(|| format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE))));

/// Most groups, kinds of verdicts or accounts that are shown; JSON has all of them.
const ROWS_MAX: usize = 60;
/// Days that say their numbers under the pointer; more of them are too narrow to be pointed at.
const POINTED_DAYS_MAX: usize = 400;
/// The size of a chart before it is stretched to the page.
const CHART_WIDTH: i64 = 1000;
const CHART_HEIGHT: i64 = 200;

/// The whole page.
pub fn page(report: &Report) -> String {
    let campaigns = report.campaigns.iter().map(view).collect();
    let page = Page { report, headline: headline(report), extent: extent(report), notes: notes(report), campaigns, style: STYLE, style_hash: &STYLE_HASH };
    page.render().expect("writing to a string cannot fail, and nothing in the template can")
}

#[derive(Template)]
#[template(path = "backtest/page.html")]
struct Page<'r> {
    report: &'r Report,
    headline: String,
    extent: String,
    notes: Vec<String>,
    campaigns: Vec<View<'r>>,
    style: &'static str,
    style_hash: &'static str,
}

struct View<'r> {
    campaign: &'r CampaignReport,
    total: Figures,
    changed_members: String,
    same_members: String,
    people: String,
    everybody: u64,
    days: Option<Chart>,
    rules: Vec<Bar>,
    groups: Vec<Bar>,
    winners: Vec<Person>,
    losers: Vec<Person>,
    verdicts: Vec<Turn<'r>>,
    lacking: Vec<Short>,
}

/// A change, as it is written.
struct Figures {
    was: String,
    now: String,
    difference: String,
    /// The class of the difference: `more`, `less` or none.
    tone: &'static str,
    yuan_was: Option<String>,
    yuan_now: Option<String>,
    /// The difference in yuan.
    yuan: Option<String>,
}

/// A rule or a group, with its two bars.
struct Bar {
    title: String,
    code: Option<String>,
    figures: Figures,
    was_long: i64,
    now_long: i64,
    under: String,
}

struct Person {
    name: String,
    figures: Figures,
    long: i64,
}

struct Turn<'r> {
    title: String,
    what: String,
    times: String,
    examples: Vec<Quoted<'r>>,
}

struct Quoted<'r> {
    at: &'r str,
    member: String,
    text: String,
    paid: Option<String>,
}

struct Short {
    name: String,
    points: String,
}

/// Points a day: the old as an area, the new as a line over it.
struct Chart {
    width: i64,
    height: i64,
    high: String,
    half: String,
    was: String,
    now: String,
    days: Vec<Pointed>,
    labels: Vec<String>,
}

/// A day under the pointer.
struct Pointed {
    from: i64,
    width: i64,
    title: String,
}

fn view(campaign: &CampaignReport) -> View<'_> {
    let longest = |members: &[MemberChange]| members.iter().map(|member| member.change.difference().saturating_abs()).max().unwrap_or(0);
    let long = longest(&campaign.winners).max(longest(&campaign.losers));
    let listed = |members: &[MemberChange]| members.iter().map(|member| person(campaign, member, long)).collect();
    View {
        campaign,
        total: figures(campaign, campaign.total),
        changed_members: grouped_u64(campaign.gained + campaign.lost),
        same_members: grouped_u64(campaign.same),
        people: told_people(campaign),
        everybody: (campaign.gained + campaign.lost + campaign.same).max(1),
        days: chart(&campaign.days),
        rules: rules(campaign),
        groups: groups(campaign),
        winners: listed(&campaign.winners),
        losers: listed(&campaign.losers),
        verdicts: campaign.verdicts.iter().take(ROWS_MAX).map(|change| turn(campaign, change)).collect(),
        lacking: campaign.lacking.iter().take(ROWS_MAX).map(|account| short(campaign, account)).collect(),
    }
}

fn told_people(campaign: &CampaignReport) -> String {
    let shown = campaign.winners.len() + campaign.losers.len();
    let all = campaign.gained + campaign.lost;
    let listed = if (shown as u64) < all { format!(",列出变化最大的 {shown} 人") } else { String::new() };
    people(campaign) + &listed
}

fn figures(campaign: &CampaignReport, change: Change) -> Figures {
    let difference = change.difference();
    let yuan = |points: i64| campaign.point_value.map(|value| money(points, value));
    let plus = if difference > 0 { "+" } else { "" };
    Figures {
        was: grouped(change.was),
        now: grouped(change.now),
        difference: signed(difference),
        tone: match difference.signum() {
            1 => "more",
            -1 => "less",
            _ => "",
        },
        yuan_was: yuan(change.was),
        yuan_now: yuan(change.now),
        yuan: yuan(difference).map(|yuan| format!("{plus}{yuan}")),
    }
}

fn rules(campaign: &CampaignReport) -> Vec<Bar> {
    let most = campaign.rules.iter().map(|rule| rule.change.was.max(rule.change.now)).max().unwrap_or(0);
    let bar = |rule: &RuleChange| Bar {
        title: display_name(&rule.title),
        code: Some(rule.rule.to_string()),
        was_long: part(rule.change.was, most, CHART_WIDTH),
        now_long: part(rule.change.now, most, CHART_WIDTH),
        figures: figures(campaign, rule.change),
        under: match rule.change {
            Change { times_was, times_now, .. } if times_was == times_now => format!("{} 次", grouped_u64(times_now)),
            Change { times_was, times_now, .. } => format!("{} → {} 次", grouped_u64(times_was), grouped_u64(times_now)),
        },
    };
    campaign.rules.iter().map(bar).collect()
}

fn groups(campaign: &CampaignReport) -> Vec<Bar> {
    let most = campaign.groups.iter().map(|group| group.change.was.max(group.change.now)).max().unwrap_or(0);
    let bar = |group: &GroupChange| Bar {
        title: display_name(&group.title),
        code: None,
        was_long: part(group.change.was, most, CHART_WIDTH),
        now_long: part(group.change.now, most, CHART_WIDTH),
        figures: figures(campaign, group.change),
        under: format!("{} 人", grouped_u64(group.members)),
    };
    campaign.groups.iter().take(ROWS_MAX).map(bar).collect()
}

fn person(campaign: &CampaignReport, member: &MemberChange, long: i64) -> Person {
    Person {
        name: display_name(member.name.as_deref().unwrap_or(&member.member)),
        figures: figures(campaign, member.change),
        long: part(member.change.difference().saturating_abs(), long, CHART_WIDTH),
    }
}

fn turn<'r>(campaign: &CampaignReport, change: &'r VerdictChange) -> Turn<'r> {
    let title = campaign.rules.iter().find(|rule| rule.rule == change.rule).map_or_else(|| change.rule.to_string(), |rule| display_name(&rule.title));
    let examples = change.examples.iter().map(|example| Quoted {
        at: &example.at,
        member: display_name(&example.member),
        text: printable(&example.text).into_owned(),
        paid: (example.was != example.now).then(|| format!("{} → {}", signed(example.was), signed(example.now))),
    });
    Turn { title, what: turned(change), times: grouped_u64(change.times), examples: examples.collect() }
}

fn short(campaign: &CampaignReport, account: &Lacking) -> Short {
    Short { name: display_name(account.name.as_deref().unwrap_or(&account.member)), points: format!("{} {}", grouped(account.points), campaign.points_name) }
}

/// Where a value stands between 0 and `most` on a line so long; what is there is seen.
fn part(value: i64, most: i64, long: i64) -> i64 {
    if value <= 0 || most <= 0 {
        return 0;
    }
    i64::try_from(i128::from(value) * i128::from(long) / i128::from(most)).unwrap_or(long).clamp(1, long)
}

/// `None` where there is nothing to draw.
fn chart(days: &[DayChange]) -> Option<Chart> {
    let (first, last) = (days.first()?.day, days.last()?.day);
    let most = days.iter().map(|day| day.was.max(day.now)).max().filter(|most| *most > 0)?;
    let high = round_up(most);
    let span = days_between(first, last) + 1;
    let at = |day: Date| days_between(first, day) * CHART_WIDTH / span;
    let until = |day: Date| (days_between(first, day) + 1) * CHART_WIDTH / span;
    let outline = |of: &dyn Fn(&DayChange) -> i64| {
        let mut path = format!("M0 {CHART_HEIGHT}");
        let mut end = 0;
        for day in days {
            let (from, to, up) = (at(day.day), until(day.day), CHART_HEIGHT - part(of(day), high, CHART_HEIGHT));
            // On days between that are not listed nothing was earned.
            if from > end {
                path.push_str(&format!("V{CHART_HEIGHT}H{from}"));
            }
            path.push_str(&format!("V{up}H{to}"));
            end = to;
        }
        path + &format!("V{CHART_HEIGHT}")
    };
    let pointed = |day: &DayChange| Pointed {
        from: at(day.day),
        width: until(day.day) - at(day.day),
        title: format!("{}:旧 {},新 {}({})", day.day, grouped(day.was), grouped(day.now), signed(day.now.saturating_sub(day.was))),
    };
    let listed = if days.len() <= POINTED_DAYS_MAX { days } else { &[] };
    Some(Chart {
        width: CHART_WIDTH,
        height: CHART_HEIGHT,
        high: grouped(high),
        half: if high % 2 == 0 { grouped(high / 2) } else { String::new() },
        was: outline(&|day| day.was),
        now: outline(&|day| day.now),
        days: listed.iter().map(pointed).collect(),
        labels: if first == last { vec![first.to_string()] } else { vec![first.to_string(), last.to_string()] },
    })
}

fn days_between(from: Date, to: Date) -> i64 {
    i64::from(from.until(to).map_or(0, |span| span.get_days()))
}

/// The next number that looks well on an axis: 1, 2, 3, 4, 5, 6 or 8 and zeros.
fn round_up(most: i64) -> i64 {
    let mut unit = 1i64;
    while unit <= most / 10 {
        unit *= 10;
    }
    [1, 2, 3, 4, 5, 6, 8].iter().filter_map(|digit| unit.checked_mul(*digit)).find(|step| *step >= most).or_else(|| unit.checked_mul(10)).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::sample;

    #[test]
    fn what_members_wrote_is_text() {
        let html = page(&sample::report());
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>周末"), "it is escaped");
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;"));
        assert!(!html.contains('\u{202e}'));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for report in [sample::report(), sample::two_campaigns(), sample::same()] {
            let html = page(&report);
            assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("url(") && !html.contains("style="), "{html}");
            let style = html.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).map(|(style, _)| style);
            assert!(style == Some(STYLE) && html.contains(&format!("style-src '{}'", *STYLE_HASH)), "the policy allows the style as it stands");
        }
    }

    #[test]
    fn a_chart_holds_any_numbers() {
        let of = |days: &[(Date, i64, i64)]| chart(&days.iter().map(|&(day, was, now)| DayChange { day, was, now }).collect::<Vec<_>>());
        let (first, later) = (jiff::civil::date(2026, 11, 1), jiff::civil::date(2026, 11, 4));
        assert!(of(&[]).is_none() && of(&[(first, 0, 0)]).is_none());
        let one = of(&[(first, 150, 300)]).unwrap();
        assert_eq!((&*one.high, &*one.was, &*one.now), ("300", "M0 200V100H1000V200", "M0 200V0H1000V200"));
        let gap = of(&[(first, 4, 0), (later, 4, 4)]).unwrap();
        assert_eq!((&*gap.was, gap.days.len()), ("M0 200V0H250V200H750V0H1000V200", 2));
        assert!(of(&[(Date::MIN, i64::MAX, i64::MIN), (Date::MAX, 1, 1)]).is_some());
    }

    #[test]
    fn axes_end_in_round_numbers() {
        for (most, high) in [(1, 1), (7, 8), (9, 10), (97, 100), (130, 200), (417, 500), (8_001, 10_000), (i64::MAX, i64::MAX)] {
            assert_eq!(round_up(most), high, "{most}");
        }
    }
}
