//! A backtest for a terminal: the answer in a sentence, then the rules, groups, members and verdicts that make it up. At most 100 columns.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::backtest::report::{CampaignReport, Change, MemberChange, Report, VerdictChange};
use crate::backtest::words::{extent, grouped, grouped_u64, headline, money, notes, signed, turned};
use crate::rules::text::{display_name, printable};

/// Columns of the first, named column; and of a name beside which another list stands.
const NAME_COLUMNS: usize = 34;
const MEMBER_COLUMNS: usize = 16;
/// Columns of one of two lists that stand side by side.
const HALF_COLUMNS: usize = 49;
/// Columns of a text that is quoted.
const TEXT_COLUMNS: usize = 40;
/// Lines of a list that may be as long as there are groups or kinds of verdicts; JSON has all of them.
const LINES_MAX: usize = 12;

/// The whole report; `coloured` for a terminal.
pub fn table(report: &Report, coloured: bool) -> String {
    let ink = Ink { coloured };
    let mut out = format!("{}\n{}\n", ink.strong(&headline(report)), ink.faint(&extent(report)));
    for campaign in &report.campaigns {
        if report.campaigns.len() > 1 {
            let _ = write!(out, "\n{}\n", ink.strong(&format!("── 活动「{}」({})", campaign.title, campaign.id)));
        }
        for part in [rules(campaign, &ink), groups(campaign, &ink), members(campaign, &ink), verdicts(campaign, &ink), lacking(campaign, &ink)] {
            if !part.is_empty() {
                let _ = write!(out, "\n{part}");
            }
        }
    }
    for note in notes(report) {
        let _ = write!(out, "\n{note}\n");
    }
    out
}

fn rules(campaign: &CampaignReport, ink: &Ink) -> String {
    if campaign.rules.is_empty() {
        return String::new();
    }
    let head = ["规则", "旧", "新", "变化", "得分次数"].map(Cell::of);
    let rows = campaign.rules.iter().map(|rule| {
        let name = format!("{} {}", display_name(&rule.title), rule.rule);
        changes(&name, rule.change, times(rule.change))
    });
    let total = (campaign.rules.len() > 1).then(|| changes("合计", campaign.total, times(campaign.total)));
    let mut rows: Vec<_> = std::iter::once(head).chain(rows).chain(total).collect();
    if let Some(value) = campaign.point_value {
        let Change { was, now, .. } = campaign.total;
        rows.push([Cell::of("合计(元)"), Cell::of(&money(was, value)), Cell::of(&money(now, value)), change_in_yuan(campaign.total, value), Cell::of("")]);
    }
    lined_up(&rows, ink)
}

fn groups(campaign: &CampaignReport, ink: &Ink) -> String {
    if campaign.groups.is_empty() {
        return String::new();
    }
    let last = if campaign.point_value.is_some() { "元" } else { "" };
    let head = ["群", "旧", "新", "变化", "人数", last].map(Cell::of);
    let rows = campaign.groups.iter().take(LINES_MAX).map(|group| {
        let [name, was, now, difference, people] = changes(&display_name(&group.title), group.change, format!("{} 人", grouped_u64(group.members)));
        let yuan = campaign.point_value.map_or(Cell::of(""), |value| change_in_yuan(group.change, value));
        [name, was, now, difference, people, yuan]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    lined_up(&rows, ink) + &more(campaign.groups.len(), "个群")
}

fn members(campaign: &CampaignReport, ink: &Ink) -> String {
    if campaign.winners.is_empty() && campaign.losers.is_empty() {
        return String::new();
    }
    let (winners, losers) = (list(&campaign.winners, "得分变多的", campaign.gained), list(&campaign.losers, "得分变少的", campaign.lost));
    let (left, right) = if winners.is_empty() { (losers, Vec::new()) } else { (winners, losers) };
    let mut out = String::new();
    for row in 0..left.len().max(right.len()) {
        let left = left.get(row).map_or("", String::as_str);
        let line = match right.get(row) {
            Some(right) => format!("{}  {right}", padded(left, HALF_COLUMNS)),
            None => left.to_owned(),
        };
        let line = line.trim_end();
        let _ = writeln!(out, "{}", if row == 0 { ink.faint(line) } else { line.to_owned() });
    }
    out
}

/// One list of members under its heading; empty when nobody is in it.
fn list(members: &[MemberChange], heading: &str, all: u64) -> Vec<String> {
    if members.is_empty() {
        return Vec::new();
    }
    let shown = members.len() as u64;
    let heading = if shown < all { format!("{heading}({} 人,列出 {shown} 人)", grouped_u64(all)) } else { format!("{heading}({shown} 人)") };
    let row = |member: &MemberChange| {
        let name = clipped(&display_name(member.name.as_deref().unwrap_or(&member.member)), MEMBER_COLUMNS);
        let Change { was, now, .. } = member.change;
        let change = aligned_right(&signed(member.change.difference()), 9);
        format!("{}{change}  {} → {}", padded(&name, MEMBER_COLUMNS), grouped(was), grouped(now))
    };
    std::iter::once(heading).chain(members.iter().map(row)).collect()
}

fn verdicts(campaign: &CampaignReport, ink: &Ink) -> String {
    if campaign.verdicts.is_empty() {
        return String::new();
    }
    let all: u64 = campaign.verdicts.iter().map(|verdict| verdict.times).sum();
    let mut out = format!("{}\n", ink.faint(&format!("判定变了的({} 次;一条消息,每条规则各算一次)", grouped_u64(all))));
    for verdict in campaign.verdicts.iter().take(LINES_MAX) {
        let title = title_of(campaign, verdict);
        let _ = writeln!(out, "{title}:{},{} 次", turned(verdict), grouped_u64(verdict.times));
        for example in &verdict.examples {
            let text = clipped(&printable(&example.text).replace('\n', " "), TEXT_COLUMNS);
            let points = if example.was == example.now { String::new() } else { format!(" {} → {}", signed(example.was), signed(example.now)) };
            let _ = writeln!(out, "    {} {}「{text}」{points}", example.at, display_name(&example.member));
        }
    }
    out + &more(campaign.verdicts.len(), "种变化")
}

fn title_of(campaign: &CampaignReport, verdict: &VerdictChange) -> String {
    let title = campaign.rules.iter().find(|rule| rule.rule == verdict.rule).map(|rule| display_name(&rule.title));
    title.map_or_else(|| verdict.rule.to_string(), |title| format!("{title} {}", verdict.rule))
}

fn lacking(campaign: &CampaignReport, ink: &Ink) -> String {
    if campaign.lacking.is_empty() {
        return String::new();
    }
    let count = grouped_u64(campaign.lacking.len() as u64);
    let mut out = format!("{}\n", ink.strong(&format!("{count} 人照新规则得的,不够他们当时花掉或被扣掉的(那些照旧)")));
    for account in campaign.lacking.iter().take(LINES_MAX) {
        let name = clipped(&display_name(account.name.as_deref().unwrap_or(&account.member)), MEMBER_COLUMNS);
        let _ = writeln!(out, "{}  最多差 {} {}", padded(&name, MEMBER_COLUMNS), grouped(account.points), campaign.points_name);
    }
    out + &more(campaign.lacking.len(), "人")
}

fn more(all: usize, what: &str) -> String {
    if all <= LINES_MAX { String::new() } else { format!("还有 {} {what},用 --format json 看全部\n", grouped_u64((all - LINES_MAX) as u64)) }
}

fn times(change: Change) -> String {
    match change {
        Change { times_was, times_now, .. } if times_was == times_now => grouped_u64(times_now),
        Change { times_was, times_now, .. } => format!("{} → {}", grouped_u64(times_was), grouped_u64(times_now)),
    }
}

fn changes(name: &str, change: Change, last: String) -> [Cell; 5] {
    let difference = change.difference();
    let difference = Cell { sign: difference.signum(), text: signed(difference) };
    [Cell::of(&clipped(name, NAME_COLUMNS)), Cell::of(&grouped(change.was)), Cell::of(&grouped(change.now)), difference, Cell::of(&last)]
}

fn change_in_yuan(change: Change, value: i64) -> Cell {
    let difference = change.difference();
    let plus = if difference > 0 { "+" } else { "" };
    Cell { sign: difference.signum(), text: format!("{plus}{}", money(difference, value)) }
}

/// A cell, and whether it says more (1) or less (-1).
struct Cell {
    text: String,
    sign: i64,
}

impl Cell {
    fn of(text: &str) -> Cell {
        Cell { text: text.to_owned(), sign: 0 }
    }
}

/// Rows under each other: names to the left, numbers to the right; the first row is the heading.
fn lined_up<const N: usize>(rows: &[[Cell; N]], ink: &Ink) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].text.width()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for (place, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
            0 => padded(&cell.text, width),
            _ => ink.signed(&aligned_right(&cell.text, width), cell.sign),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        let line = line.trim_end();
        let _ = writeln!(out, "{}", if place == 0 { ink.faint(line) } else { line.to_owned() });
    }
    out
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

fn aligned_right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(text.width())))
}

/// The beginning of a text that fits, with an ellipsis where something is left out.
fn clipped(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns - 1;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        left.checked_sub(width).map(|rest| left = rest).is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Colours, on a terminal.
struct Ink {
    coloured: bool,
}

impl Ink {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn signed(&self, text: &str, sign: i64) -> String {
        match sign {
            1 => self.paint("32", text),
            -1 => self.paint("31", text),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backtest::sample;
    use crate::rules::reference::blessed;

    #[test]
    fn the_table_reads_well() {
        blessed("fixtures/cli/backtest/one.txt", &table(&sample::report(), false));
        blessed("fixtures/cli/backtest/two.txt", &table(&sample::two_campaigns(), false));
        blessed("fixtures/cli/backtest/same.txt", &table(&sample::same(), false));
    }

    #[test]
    fn no_line_of_lists_is_wider_than_a_hundred_columns() {
        let told = table(&sample::two_campaigns(), false);
        for line in told.lines().skip_while(|line| !line.starts_with("规则")) {
            assert!(line.width() <= 100 || line.contains('。'), "{} columns: {line}", line.width());
        }
    }

    #[test]
    fn nothing_a_member_wrote_moves_the_cursor() {
        let mut report = sample::report();
        report.campaigns[0].winners[0].name = Some("\x1b[2J阿明\r\n".into());
        report.campaigns[0].verdicts[0].examples[0].text = "签到\x1b]0;x\x07\n\u{202e}".into();
        let told = table(&report, false);
        assert!(!told.chars().any(|c| c.is_control() && c != '\n') && !told.contains('\u{202e}'), "{told}");
    }
}
