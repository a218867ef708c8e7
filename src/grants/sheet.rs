//! A file of grants: CSV in UTF-8 with a head — member, points, reason — read whole, all that is wrong told at once.

use std::io::Read;
use std::path::Path;

use super::{Bad, Row};
use crate::model::points::POINTS_MAX;
use crate::rules::command;

/// Bytes of a file of grants: four hundred for each row.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Rows of a file: all are written in one transaction, which must not hold up the daemon beside it for seconds.
const ROWS_MAX: usize = 10_000;

/// Reads a file, bounded.
///
/// # Errors
/// In words.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("打不开 {}:{error}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| format!("读不了 {}:{error}", path.display()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} 太大;最多 4 MiB、{ROWS_MAX} 行,请分成几个文件", path.display()));
    }
    Ok(bytes)
}

/// The rows of a CSV file with a head: member, points, reason.
///
/// # Errors
/// All that is wrong.
pub fn rows(bytes: &[u8]) -> Result<Vec<Row>, Bad> {
    let whole = |text: String| vec![(0, text)];
    let text = std::str::from_utf8(bytes).map_err(|_| whole("不是 UTF-8 文本(可能是 GBK,或者是 Excel 文件)。请另存为「CSV UTF-8」".into()))?;
    if text.contains('\0') {
        return Err(whole("里面有 NUL 字符,不是一个 CSV 文本".into()));
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let head = reader.headers().map_err(|error| whole(format!("读不出表头:{error}")))?.clone();
    let column = |names: &[&str]| head.iter().position(|head| names.iter().any(|name| head.eq_ignore_ascii_case(name)));
    let member = column(&["member", "成员", "成员编号", "userid", "external_userid"]);
    let points = column(&["points", "分数", "积分", "分"]);
    let why = column(&["reason", "原因"]);
    let (Some(member), Some(points), Some(why)) = (member, points, why) else {
        let has: Vec<&str> = head.iter().collect();
        return Err(whole(format!("要有三列:成员,分数,原因(或 member,points,reason);现在的列是:{}", has.join(","))));
    };
    let (mut rows, mut bad) = (Vec::new(), Bad::new());
    for record in reader.records() {
        let record = record.map_err(|error| whole(format!("读不下去:{error}")))?;
        let line = record.position().map_or(0, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
        if record.iter().all(str::is_empty) {
            continue;
        }
        if rows.len() == ROWS_MAX {
            return Err(whole(format!("最多 {ROWS_MAX} 行;请分成几个文件")));
        }
        let cell = |at: usize| record.get(at).unwrap_or_default();
        match row(line, cell(member), cell(points), cell(why)) {
            Ok(row) => rows.push(row),
            Err(text) => bad.push((line, text)),
        }
    }
    if rows.is_empty() && bad.is_empty() {
        bad.push((0, "除了表头,一行都没有".into()));
    }
    if bad.is_empty() { Ok(rows) } else { Err(bad) }
}

fn row(line: usize, member: &str, points: &str, why: &str) -> Result<Row, String> {
    if member.is_empty() {
        return Err("没写成员".into());
    }
    let number = points.strip_prefix('+').unwrap_or(points).replace(',', "");
    let points = number.parse::<i64>().ok().filter(|points| *points != 0 && (-POINTS_MAX..=POINTS_MAX).contains(points));
    let points = points.ok_or_else(|| format!("分数要是整数,不能是 0,最多 {POINTS_MAX};现在是「{}」", short(&number)))?;
    if why.is_empty() {
        return Err("没写原因".into());
    }
    let reason = command::reason(why)?;
    Ok(Row { line, member: member.to_owned(), points, reason })
}

fn short(text: &str) -> String {
    text.chars().take(20).collect()
}
