//! Comments that allow a finding: the operator has seen it, and says why it is meant.
//!
//! ```text
//! # jifen: allow(no-cap) 内部测试群,不限         above a table or a key, or behind it on its line
//! # jifen: allow(no-cap, absurd) 年会当天
//! ```
//!
//! Above or behind the head of a table it holds for the whole table; at a key for the key, and for what is told at its table's head.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::fit::did_you_mean;
use crate::rules::lint::codes;
use crate::rules::lint::table_lines;
use crate::rules::mistake::{Lines, Mistakes};

/// One comment.
struct Allow {
    /// Its place.
    span: Range<usize>,
    code: &'static str,
    /// Lines it is for, and the head of the table they stand in.
    lines: Range<usize>,
    head: usize,
    is_used: bool,
}

/// Drops the findings that comments allow, and notes comments that allow nothing. `document` is what was read of `source`.
pub fn apply(source: &str, lines: &Lines, document: &DeTable<'_>, mistakes: &mut Mistakes) {
    let mut strings = Vec::new();
    table_strings(document, &mut strings);
    let mut allows = Vec::new();
    let mut begins = 0;
    for (at, line) in source.split('\n').enumerate() {
        let is_text = |place: usize| strings.iter().any(|span| span.contains(&(begins + place)));
        if let Some((place, written)) = directive(line, is_text) {
            let span = begins + place..begins + line.trim_end().len();
            let codes = allowed(&span, written, mistakes);
            let (lines, head) = target(source, at + 1, place);
            allows.extend(codes.into_iter().map(|code| Allow { span: span.clone(), code, lines: lines.clone(), head, is_used: false }));
        }
        begins += line.len() + 1;
    }
    if allows.is_empty() {
        return;
    }
    mistakes.allow(|span, code| {
        let line = lines.line(span.start);
        let mut fits = allows.iter_mut().filter(|allow| allow.code == code && (allow.lines.contains(&line) || allow.head == line)).peekable();
        let is_allowed = fits.peek().is_some();
        fits.for_each(|allow| allow.is_used = true);
        is_allowed
    });
    for allow in allows.into_iter().filter(|allow| !allow.is_used) {
        let text = format!("这里没有 {} 的提醒,这条放行用不上;请删掉,或移到要放行的那张表、那个键的上一行", allow.code);
        mistakes.warning(allow.span, "idle-allow", text);
    }
}

/// The comment of a line, where it is one for us: where it begins, and what stands behind `jifen:`.
fn directive(line: &str, is_text: impl Fn(usize) -> bool) -> Option<(usize, &str)> {
    let place = line.match_indices('#').map(|(place, _)| place).find(|place| !is_text(*place))?;
    let rest = line[place + 1..].trim_start().strip_prefix("jifen")?.trim_start();
    Some((place, rest.strip_prefix([':', '\u{ff1a}'])?.trim()))
}

/// The codes that a comment allows; what is wrong with it is noted.
fn allowed(span: &Range<usize>, written: &str, mistakes: &mut Mistakes) -> Vec<&'static str> {
    let inner = written.strip_prefix("allow").map(str::trim_start).and_then(|rest| rest.strip_prefix(['(', '\u{ff08}']));
    let Some((named, reason)) = inner.and_then(|rest| rest.split_once([')', '\u{ff09}'])) else {
        mistakes.warning(span.clone(), "bad-allow", "看不懂这条注释;放行一条提醒请写 # jifen: allow(no-cap) 为什么");
        return Vec::new();
    };
    if reason.trim_start_matches([',', '\u{ff0c}', ':', '\u{ff1a}', '-', ' ']).trim().is_empty() {
        mistakes.warning(span.clone(), "allow-reason", "放行要写理由,不写不算数:以后的人才知道为什么;例如 # jifen: allow(no-cap) 内部测试群,不限");
        return Vec::new();
    }
    let mut allowed = Vec::new();
    for name in named.split([',', '\u{ff0c}', '、']).map(str::trim) {
        match codes::find(name) {
            Some(code) if code.can_be_allowed() => allowed.push(code.code),
            Some(_) => mistakes.warning(span.clone(), "not-allowable", format!("{name} 是写错了,不能放行;请照它说的改")),
            None => {
                let known: Vec<&str> = codes::all().filter(|code| code.can_be_allowed()).map(|code| code.code).collect();
                let near = did_you_mean(name, &known);
                let rest = if near.is_empty() { ";提醒的代码写在方括号里,例如 warning[no-cap]".to_owned() } else { near };
                mistakes.warning(span.clone(), "unknown-lint", format!("没有叫「{name}」的提醒{rest}"));
            }
        }
    }
    allowed
}

/// The lines that a comment of a line is for, and the head of their table.
fn target(source: &str, line: usize, place: usize) -> (Range<usize>, usize) {
    let texts: Vec<&str> = source.lines().collect();
    let text = |line: usize| texts.get(line - 1).map_or("", |text| text.trim_start());
    let is_behind = texts.get(line - 1).is_some_and(|text| !text[..place].trim().is_empty());
    let is_empty = |line: usize| text(line).is_empty() || text(line).starts_with('#');
    let own = if is_behind { line } else { (line + 1..=texts.len()).find(|line| !is_empty(*line)).unwrap_or(line) };
    let is_head = |line: usize| text(line).starts_with('[');
    if is_head(own) {
        return (table_lines(source, own), own);
    }
    let head = (1..own).rev().find(|line| is_head(*line)).unwrap_or(own);
    (own..own + 1, head)
}

/// Where strings stand, in which a `#` begins no comment.
fn table_strings(table: &DeTable<'_>, strings: &mut Vec<Range<usize>>) {
    table.iter().for_each(|(_, value)| value_strings(value, strings));
}

fn value_strings(value: &Spanned<DeValue<'_>>, strings: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) => strings.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| value_strings(item, strings)),
        DeValue::Table(table) => table_strings(table, strings),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::file::load;

    fn codes(text: &str) -> Vec<&'static str> {
        let mistakes = load(text).map_or_else(|mistakes| mistakes, |(_, warnings)| warnings);
        mistakes.into_iter().map(|mistake| mistake.code).collect()
    }

    const TALK: &str = "[speaking.day]\npoints = 1\n";

    #[test]
    fn a_comment_with_a_reason_allows_a_finding_above_its_table_at_its_head_and_at_a_key() {
        assert_eq!(codes(TALK), ["no-cap"]);
        assert_eq!(codes(&format!("# jifen: allow(no-cap) 内部测试群,不限\n{TALK}")), [""; 0]);
        assert_eq!(codes(&format!("# jifen: allow(no-cap) 内部测试群\n\n# 晚上\n{TALK}")), [""; 0]);
        assert_eq!(codes(&TALK.replace("day]", "day]  # jifen:allow(no-cap):不限")), [""; 0]);
        assert_eq!(codes(&TALK.replace("= 1", "= 1 # jifen: allow(no-cap) 不限")), [""; 0]);
        assert_eq!(codes("speaking.day = { points = 1 } # jifen: allow(no-cap) 不限"), [""; 0]);
    }

    #[test]
    fn what_costs_too_much_goes_through_with_a_reason_only() {
        let dear = |comment: &str| codes(&format!("{comment}\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 20000\n"));
        assert_eq!(dear(""), ["absurd"]);
        assert_eq!(dear("# jifen: allow(absurd) 年会当天"), [""; 0]);
        assert_eq!(dear("# jifen: allow(absurd)"), ["allow-reason", "absurd"]);
    }

    #[test]
    fn a_comment_that_allows_nothing_is_told() {
        assert_eq!(codes(&format!("# jifen: allow(no-cpa) 不限\n{TALK}")), ["unknown-lint", "no-cap"]);
        assert_eq!(codes(&format!("# jifen: alow(no-cap) 不限\n{TALK}")), ["bad-allow", "no-cap"]);
        assert_eq!(codes(&format!("# jifen: allow(unknown-key) 不限\n{TALK}")), ["not-allowable", "no-cap"]);
        assert_eq!(codes(&format!("{TALK}max_points = {{ day = 9 }} # jifen: allow(no-cap) 不限\n")), ["idle-allow"]);
        assert_eq!(
            codes(&format!("{TALK}[speaking.night]  # jifen: allow(no-cap) 别的表\npoints = 1\nwhen = \"20:00-21:00\"\nmax_points = {{ day = 1 }}")).len(),
            3
        );
    }

    #[test]
    fn what_stands_in_a_string_is_no_comment() {
        assert_eq!(codes(&format!("{TALK}title = \"# jifen: allow(no-cap) 不限\"\n")), ["no-cap"]);
        assert_eq!(codes(&format!("# 这样放行:# jifen: allow(代码) 理由\n{TALK}")), ["no-cap"]);
    }
}
