//! Mistakes in rules.toml: all of them at once, each with line, column, code, what to do, and what it can cost.

use std::ops::Range;

use serde::Serialize;

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// `error` refuses the file, `warning` does not.
    pub severity: Severity,
    /// Stable code: `unknown-key`.
    pub code: &'static str,
    /// What happened and what to do, in Chinese.
    pub text: String,
    /// What it can cost on the worst day, where it costs anything.
    pub cost: Option<Cost>,
    /// Where it is explained: `docs/lints.zh-CN.md#no-cap`.
    pub help: String,
}

/// What a finding can cost on the worst day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Points of one member on that day.
    pub points: i64,
    /// Points of a group of [`GROUP_SIZE`] members.
    pub group_points: i64,
    /// The member's points in yuan (`288.00`), where the campaign says what a point is worth.
    pub yuan: Option<String>,
    /// The group's points in yuan.
    pub group_yuan: Option<String>,
    /// Nothing in the file bounds it, only that a day has an end.
    pub unlimited: bool,
}

/// Members of the group that [`Cost::group_points`] is for.
pub const GROUP_SIZE: i64 = 100;

impl Cost {
    /// `最坏:一人一天 28 800 分,约 288.00 元;100 人的群 2 880 000 分,约 28 800.00 元`.
    pub fn in_words(&self) -> String {
        let worth = |yuan: &Option<String>| yuan.as_ref().map_or(String::new(), |yuan| format!(",约 {} 元", grouped(yuan)));
        let end = if self.unlimited { "没有封顶,整天刷就是" } else { "" };
        let (one, all) = (grouped(&self.points.to_string()), grouped(&self.group_points.to_string()));
        format!("最坏:{end}一人一天 {one} 分{};{GROUP_SIZE} 人的群 {all} 分{}", worth(&self.yuan), worth(&self.group_yuan))
    }
}

/// Digits in groups of three: `28 800.00`.
pub fn grouped(number: &str) -> String {
    let whole = number.split('.').next().unwrap_or_default().len();
    let space = |at: usize| if at > 0 && at < whole && (whole - at).is_multiple_of(3) { " " } else { "" };
    number.chars().enumerate().map(|(at, digit)| format!("{}{digit}", space(at))).collect()
}

impl Mistake {
    /// An error at a place of the file.
    pub fn error(line: usize, column: usize, code: &'static str, text: String) -> Self {
        Mistake { line, column, severity: Severity::Error, code, text, cost: None, help: help(code) }
    }

    /// As `jifen check` prints it: `rules.toml:3:10: error[wrong-type]: …`.
    pub fn in_file(&self, path: &str) -> String {
        let cost = self.cost.as_ref().map_or(String::new(), |cost| format!("({})", cost.in_words()));
        format!("{path}:{}:{}: {}[{}]: {}{cost}", self.line, self.column, self.severity.as_str(), self.code, self.text)
    }
}

/// Where a code is explained.
pub fn help(code: &str) -> String {
    format!("docs/lints.zh-CN.md#{code}")
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used.
    Warning,
}

impl Severity {
    /// `error`, `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// Mistakes that are told of one file. Who has more has given the wrong file.
const MISTAKES_MAX: usize = 1_000;

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// The lines of a text.
    pub fn of(source: &str) -> Self {
        Lines(std::iter::once(0).chain(source.match_indices('\n').map(|(place, _)| place + 1)).collect())
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }

    /// Where a line begins.
    pub fn begin(&self, line: usize) -> usize {
        self.0[line - 1]
    }
}

/// Collects mistakes while a file is read. Positions are byte ranges of the source.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    span: Range<usize>,
    severity: Severity,
    code: &'static str,
    text: String,
    cost: Option<Cost>,
}

impl Mistakes {
    /// Notes an error at a byte range of the source.
    pub fn error(&mut self, span: Range<usize>, code: &'static str, text: impl Into<String>) {
        self.note(Found { span, severity: Severity::Error, code, text: text.into(), cost: None });
    }

    /// Notes a warning.
    pub fn warning(&mut self, span: Range<usize>, code: &'static str, text: impl Into<String>) {
        self.note(Found { span, severity: Severity::Warning, code, text: text.into(), cost: None });
    }

    /// Notes what costs money, an error or a warning.
    pub fn costly(&mut self, span: Range<usize>, severity: Severity, code: &'static str, text: impl Into<String>, cost: Cost) {
        self.note(Found { span, severity, code, text: text.into(), cost: Some(cost) });
    }

    fn note(&mut self, found: Found) {
        // Warnings leave room: an error is never lost because of them.
        let most = match found.severity {
            Severity::Error => 2 * MISTAKES_MAX,
            Severity::Warning => MISTAKES_MAX,
        };
        if self.found.len() < most {
            self.found.push(found);
        }
    }

    /// Whether the file must be refused.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|found| found.severity == Severity::Error)
    }

    /// How many there are so far, for [`Mistakes::forget_since`].
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Drops those noted since then that only follow from earlier ones.
    pub fn forget_since(&mut self, count: usize, follows: impl Fn(&Range<usize>, &str) -> bool) {
        let mut place = 0;
        self.found.retain(|found| {
            place += 1;
            place <= count || !follows(&found.span, found.code)
        });
    }

    /// Drops those that the operator allows, by place and code.
    pub fn allow(&mut self, mut is_allowed: impl FnMut(&Range<usize>, &str) -> bool) {
        self.found.retain(|found| !is_allowed(&found.span, found.code));
    }

    /// All of them in source order, with lines and columns of `source`.
    pub fn locate(mut self, source: &str) -> Vec<Mistake> {
        self.found.sort_by(|one, other| (one.span.start, one.code, &one.text).cmp(&(other.span.start, other.code, &other.text)));
        let lines = Lines::of(source);
        let place = |found: Found| {
            let start = source.floor_char_boundary(found.span.start);
            let line = lines.line(start);
            let column = source[lines.begin(line)..start].chars().count() + 1;
            let Found { severity, code, text, cost, .. } = found;
            Mistake { line, column, severity, code, text, cost, help: help(code) }
        };
        let mut located: Vec<Mistake> = self.found.into_iter().map(place).collect();
        // What two campaigns inherit is told once.
        located.dedup_by(|one, other| (one.line, one.column, one.code, &one.text) == (other.line, other.column, other.code, &other.text));
        located
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_in_the_order_of_the_file_with_columns_in_characters() {
        let mut mistakes = Mistakes::default();
        mistakes.warning(7..8, "no-cap", "b");
        mistakes.error(3..4, "empty", "a");
        mistakes.error(3..4, "empty", "a");
        let found: Vec<_> = mistakes.locate("签到\n签到\n").into_iter().map(|mistake| (mistake.line, mistake.column, mistake.code)).collect();
        assert_eq!(found, [(1, 2, "empty"), (2, 1, "no-cap")]);
    }

    #[test]
    fn what_it_costs_is_told_for_one_and_for_a_group() {
        let cost = Cost { points: 28_800, group_points: 2_880_000, yuan: Some("288.00".into()), group_yuan: Some("28800.00".into()), unlimited: false };
        assert_eq!(cost.in_words(), "最坏:一人一天 28 800 分,约 288.00 元;100 人的群 2 880 000 分,约 28 800.00 元");
        assert_eq!(["7", "100", "1000", "1.00", "461168601842738.79"].map(grouped), ["7", "100", "1 000", "1.00", "461 168 601 842 738.79"]);
    }
}
