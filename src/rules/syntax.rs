//! What is not TOML at all: the parser's errors in Chinese, each with what to do.

use std::collections::HashSet;

use toml::de::Error;

use crate::rules::hand;
use crate::rules::mistake::{Lines, Mistakes};

/// Beginnings of the parser's messages and what they mean to an operator.
const SENTENCES: [(&str, &str); 23] = [
    ("invalid multi-line", "三个引号没有配对:开头写了 \"\"\",结尾也要有 \"\"\""),
    ("invalid literal string", "引号没有配对:开头写了 ',同一行的结尾也要有 ';几行的文字用三个引号 \"\"\" 开头和结尾"),
    ("invalid basic string", "引号没有配对:开头写了 \",同一行的结尾也要有 \";几行的文字用三个引号 \"\"\" 开头和结尾"),
    ("unclosed table", "表头少了右方括号,例如 [check_in.daily]"),
    ("unclosed array of tables", "表头少了右方括号,例如 [[test]]"),
    ("unclosed array", "列表少了右方括号 ]"),
    ("unclosed inline table", "花括号没有配对,少了 }"),
    ("missing comma", "两项之间少了英文逗号,或者前面的方括号、花括号没有关上"),
    ("extra comma", "多了一个逗号"),
    ("extra assignment between", "两项之间少了英文逗号"),
    ("missing key for inline table element", "花括号没有配对,少了 }"),
    ("key with no value", "这里少了等号和值,例如 points = 2"),
    ("missing value", "等号后面没有写值"),
    ("missing assignment", "这里少了等号"),
    ("unexpected key or value", "一行只写一个键;这里多出了内容"),
    ("unexpected leading zero", "数字不要以 0 开头;时刻和编号请加英文引号"),
    ("invalid fraction", "小数写得不完整"),
    ("invalid date", "这不是日期;日期请写成文字并加英文引号,例如 \"2026-11-01\""),
    ("invalid time", "这不是时刻;时刻请写成文字并加英文引号,例如 \"20:00\""),
    ("missing escaped value", "双引号里的反斜杠要写两个 \\\\,或把整句改用单引号"),
    ("cannot extend value of type", "这个名字前面已经有值,不能再当表用"),
    ("recursion limit", "括号套得太深"),
    ("invalid comment character", "注释里有看不见的控制字符,请删掉"),
];

/// Notes the parser's errors, one a line: the others on it follow from the first. Returns the lines of which nothing more can be said: those,
/// and below a bad table head all up to the next head.
pub fn note(source: &str, errors: &[Error], mistakes: &mut Mistakes) -> HashSet<usize> {
    if errors.is_empty() {
        return HashSet::new();
    }
    let (lines, texts): (Lines, Vec<&str>) = (Lines::of(source), source.lines().collect());
    let text_of = |line: usize| texts.get(line - 1).copied().unwrap_or_default();
    let is_head = |line: usize| text_of(line).trim_start().starts_with('[');
    let (mut told, mut hopeless) = (HashSet::new(), HashSet::new());
    let unclosed = hand::unclosed(source);
    if let Some((at, bracket)) = unclosed {
        let end = if bracket == '[' { ']' } else { '}' };
        let is_odd = text_of(lines.line(at)).matches('"').count() % 2 == 1;
        let text = if is_odd { "这一行的引号没有配对:少了一个 \"".to_owned() } else { format!("这个 {bracket} 没有关上:少了 {end}") };
        mistakes.error(at..at + 1, "syntax", text);
        hopeless.extend(lines.line(at)..=texts.len());
    }
    // The parser tells of what stands between single quotes before it tells of the quotes.
    for error in errors {
        let line = lines.line(error.span().unwrap_or(0..0).start);
        if let Some(end) = quoted_lines(&texts, line, error.message()) {
            told.extend(line + 1..=end);
            hopeless.extend(line + 1..=end);
        }
    }
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = lines.line(span.start);
        // What stands behind a bracket that is never closed is read as part of it.
        if unclosed.is_some_and(|(at, _)| line >= lines.line(at)) {
            continue;
        }
        let is_duplicate = error.message() == "duplicate key";
        let follows = is_duplicate && hopeless.contains(&line);
        if follows || !told.insert(line) {
            continue;
        }
        hopeless.insert(line);
        if is_head(line) {
            hopeless.extend((line + 1..=texts.len()).take_while(|line| !is_head(*line)));
        }
        if text_of(line).split('#').next().is_some_and(|head| head.trim() == "[test]") {
            mistakes.error(span, "syntax", "测试的表头要两对方括号:[[test]]");
        } else if is_duplicate {
            mistakes.error(span.clone(), "duplicate", twice(&texts, line, source.get(span).unwrap_or_default()));
        } else if let Some((at, text)) = hand::slip(text_of(line)) {
            let begins = lines.begin(line) + at;
            mistakes.error(begins..begins, "syntax", text);
        } else {
            let text = sentence(source.get(span.clone()).unwrap_or_default(), error.message());
            mistakes.error(span, "syntax", text);
        }
    }
    hopeless
}

/// The last of the lines that a single quote was meant to hold.
fn quoted_lines(texts: &[&str], line: usize, message: &str) -> Option<usize> {
    let quote = if message.starts_with("invalid basic string") { '"' } else { '\'' };
    let is_open = quote == '"' || message.starts_with("invalid literal string");
    let mut below = texts.iter().enumerate().skip(line).take_while(|(_, text)| is_open && !text.starts_with('['));
    below.find(|(_, text)| text.trim() == quote.to_string()).map(|(at, _)| at + 1)
}

/// A name that is there already, and on which line.
fn twice(texts: &[&str], line: usize, name: &str) -> String {
    let text = |line: usize| texts.get(line - 1).map_or("", |text| text.split('#').next().unwrap_or_default().trim());
    let own = text(line);
    let is_same = |earlier: &str| match own.starts_with('[') {
        true => earlier == own,
        false => earlier.split('=').next().map(str::trim) == own.split('=').next().map(str::trim),
    };
    // A key belongs to the table above it; the same head may stand anywhere.
    let heads = (1..line).rev().take_while(|line| own.starts_with('[') || !text(*line).starts_with('['));
    let earlier = heads.filter(|line| is_same(text(*line))).last().map_or("前面已经有同名的".to_owned(), |line| format!("第 {line} 行已经有了"));
    let todo = match own.starts_with('[') {
        true if own.starts_with("[campaign.") => format!("请把这下面的键移到那里,再删掉这行 {own}"),
        true => format!("是同一张表就把这下面的键移到那里,再删掉这行 {own};是另一张就换一个名字"),
        false => "请删掉一处".to_owned(),
    };
    format!("{name} 写了两次:{earlier};{todo}")
}

fn sentence(written: &str, message: &str) -> String {
    if message.starts_with("invalid unquoted key") {
        return format!("名字「{written}」里有汉字或符号,要加英文引号:\"{written}\"");
    }
    if message.starts_with("string values must be quoted") {
        return unquoted(written);
    }
    let known = SENTENCES.iter().find(|(beginning, _)| message.starts_with(beginning));
    known.map_or_else(|| format!("这里不合 TOML 的写法({message})"), |(_, text)| (*text).to_owned())
}

fn unquoted(written: &str) -> String {
    if written.trim().is_empty() { "等号后面没有写值".to_owned() } else { format!("{written} 是文字,要加英文引号:\"{written}\"") }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    fn told(source: &str) -> Vec<(usize, usize, String)> {
        let (_, errors) = DeTable::parse_recoverable(source);
        let mut mistakes = Mistakes::default();
        note(source, &errors, &mut mistakes);
        mistakes.locate(source).into_iter().map(|mistake| (mistake.line, mistake.column, mistake.text)).collect()
    }

    #[test]
    fn every_line_that_is_not_toml_is_told_once_and_in_chinese() {
        let told = told("a = 签到\nb = \nc = \"x\nd = 1\nd = 2\n");
        assert_eq!(told.iter().map(|(line, column, _)| (*line, *column)).collect::<Vec<_>>(), [(1, 5), (2, 5), (3, 7), (5, 1)]);
        assert!(told[0].2.contains("要加英文引号"));
        assert!(told[1].2.contains("没有写值"));
        assert!(told[2].2.contains("没有配对"));
        assert!(told[3].2.contains("写了两次"));
    }

    #[test]
    fn lines_in_a_single_quote_are_told_once() {
        let told = told("chat = \"\n11-22 09:00 阿明: 签到 => +2\n11-22 09:01 阿明: 签到 => 0\n\"\nx = 1\n");
        assert_eq!((told.len(), told[0].0, told[0].2.contains("三个引号")), (1, 1, true), "{told:?}");
    }

    #[test]
    fn tables_that_are_there_twice_are_told_where_to_put_the_keys() {
        let told = told("[campaign.main]\na = 1\n[x]\n[campaign.main]\nb = 2\n");
        assert!(told[0].2.contains("第 1 行已经有了;请把这下面的键移到那里"), "{told:?}");
    }

    #[test]
    fn punctuation_of_the_input_method_is_named() {
        assert!(told("a = \u{201c}签到\u{201d}")[0].2.contains("中文标点 \u{201c}"));
        assert!(told("a \u{ff1d} 2")[0].2.contains("中文标点 \u{ff1d}"));
    }
}
