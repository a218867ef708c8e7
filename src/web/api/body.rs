//! A body of events: one JSON object, or one to a line. All of it is read before any of it is heard.

use axum::http::StatusCode;
use serde::de::IgnoredAny;

use super::Mistake;
use super::callers::Caller;
use crate::line::{Refused, parse_told};
use crate::model::day::Millis;
use crate::model::event::Event;

/// Most events of one body: one transaction.
pub const LINES_MAX: usize = 1_000;
/// A time further ahead of ours than this is a slip, and would make everything the member does until then look late.
const AHEAD_SECS_MAX: i64 = 300;
/// 2000-01-01: what is older is a number in the wrong unit.
const EARLIEST: Millis = Millis(946_684_800_000);

/// The events of a body, each with its own id.
///
/// # Errors
/// 400, 403 or 413, with the line.
pub fn read(body: &[u8], caller: &Caller, now: Millis) -> Result<Vec<(String, Event)>, Mistake> {
    let text = std::str::from_utf8(body).map_err(|_| Mistake::new(StatusCode::BAD_REQUEST, "正文不是 UTF-8"))?.trim_start_matches('\u{feff}');
    let lines: Vec<(usize, &str)> = match serde_json::from_str::<IgnoredAny>(text) {
        // One object may be written over several lines.
        Ok(_) => vec![(1, text.trim())],
        Err(_) => text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())).filter(|(_, line)| !line.is_empty()).collect(),
    };
    if lines.is_empty() {
        return Err(Mistake::new(StatusCode::BAD_REQUEST, "正文是空的;请写一个 JSON 对象,或每行一个"));
    }
    if lines.len() > LINES_MAX {
        return Err(Mistake::new(StatusCode::PAYLOAD_TOO_LARGE, format!("一次最多 {LINES_MAX} 行,这里有 {} 行;请分几次发", lines.len())));
    }
    lines.into_iter().map(|(number, line)| one(number, line, caller, now)).collect()
}

fn one(number: usize, line: &str, caller: &Caller, now: Millis) -> Result<(String, Event), Mistake> {
    let wrong = |what: &str| Mistake::in_line(StatusCode::BAD_REQUEST, number, what);
    if line.starts_with('[') {
        return Err(wrong("不要写数组;请写一个 JSON 对象,或每行一个对象"));
    }
    let (id, event) = parse_told(line, &caller.corp, &caller.name, now).map_err(|refused| match refused {
        Refused::Wrong(what) => wrong(&what),
        Refused::Foreign(what) => Mistake::in_line(StatusCode::FORBIDDEN, number, &what),
    })?;
    if event.at > now.plus_secs(AHEAD_SECS_MAX) {
        return Err(wrong("at 在将来;请核对时间和时区,例如 2026-11-22T09:00:00+08:00"));
    }
    if event.at < EARLIEST {
        return Err(wrong("at 早于 2000 年;请核对时间的单位"));
    }
    Ok((id, event))
}
