//! What did not come out in a test: what was expected, what came, what differs, and why.

use std::fmt;

use serde::Serialize;

use super::{Heard, Played};
use crate::rules::expected::Expected;
use crate::rules::testing::{Said, Test, TestLine};
use crate::store::StoreError;

/// Failures told of one test; more would not be read.
pub(super) const FAILURES_MAX: usize = 20;

/// Lines of a ledger or of replies that are told as different; more would not be read.
const LINES_MAX: usize = 10;

/// Something that did not come out as expected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Failure {
    /// The test's name.
    pub test: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// What was looked at: `11-22 09:05 阿明说「签到」`.
    pub what: String,
    /// All of it in one sentence, for who shows one.
    pub text: String,
    /// What differs, in order.
    pub unlike: Vec<Unlike>,
    /// Why it came out as it did: what every rule said.
    pub why: Vec<String>,
}

/// What was expected, and what came instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unlike {
    /// What was expected; `None` for what came beside it.
    pub expected: Option<String>,
    /// What came; `None` for nothing.
    pub actual: Option<String>,
}

impl Failure {
    /// A failure of which only this is known.
    pub fn new(test: &str, what: String) -> Failure {
        Failure { test: test.to_owned(), text: what.clone(), what, ..Failure::default() }
    }

    /// Whether only points differ, as they do where a rule pays another amount than before.
    pub fn is_of_points(&self) -> bool {
        let both = |unlike: &Unlike| [&unlike.expected, &unlike.actual].into_iter().all(|side| side.as_deref().is_some_and(is_amount));
        !self.unlike.is_empty() && self.unlike.iter().all(both)
    }

    /// With its sentence made of what is known by now.
    fn told(self) -> Failure {
        let none = || "没有".to_owned();
        let one = |unlike: &Unlike| format!("应:{},实:{}", unlike.expected.clone().unwrap_or_else(none), unlike.actual.clone().unwrap_or_else(none));
        let unlike: Vec<String> = self.unlike.iter().map(one).collect();
        let why = if self.why.is_empty() { String::new() } else { format!(",因:{}", self.why.join(";")) };
        Failure { text: format!("{},{}{why}", self.what, unlike.join(";")), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:1: error[test-failed]: 测试「{}」没有通过:{}", self.line, self.test, self.what)?;
        for Unlike { expected, actual } in &self.unlike {
            if let (Some(expected), Some(actual)) = (expected, actual)
                && is_amount(expected)
                && is_amount(actual)
            {
                write!(f, "\n  应 {expected},实 {actual}")?;
                continue;
            }
            let (expected, actual) = match (expected, actual) {
                (Some(expected), Some(actual)) => marked(expected, actual),
                (expected, actual) => (expected.clone().unwrap_or_else(|| "(没有)".into()), actual.clone().unwrap_or_else(|| "(没有)".into())),
            };
            write!(f, "\n  应:{expected}\n  实:{actual}")?;
        }
        match self.why.as_slice() {
            [] => Ok(()),
            why => write!(f, "\n  因:{}", why.join(";")),
        }
    }
}

/// `+2`, `0`, `-30`: read at a glance, whatever part of it differs.
fn is_amount(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// Both with the part in brackets in which they differ; as they are where they have nothing in common.
fn marked(expected: &str, actual: &str) -> (String, String) {
    let same = |(one, other): &(char, char)| one == other;
    let begin: usize = expected.chars().zip(actual.chars()).take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
    let (one, other) = (&expected[begin..], &actual[begin..]);
    let end: usize = one.chars().rev().zip(other.chars().rev()).take_while(same).map(|(letter, _)| letter.len_utf8()).sum();
    if begin + end == 0 {
        return (expected.to_owned(), actual.to_owned());
    }
    let mark = |text: &str| format!("{}【{}】{}", &text[..begin], &text[begin..text.len() - end], &text[text.len() - end..]);
    (mark(expected), mark(actual))
}

/// What did not come out of a line; `why` is asked only then.
pub(super) fn of_line(test: &str, line: &TestLine, heard: &Heard, why: impl Fn() -> Vec<String>) -> Vec<Failure> {
    let is_time = line.said == Said::Time;
    let (points, replies) = if is_time { (heard.clock_points, &heard.clock_replies) } else { (heard.points(), &heard.replies) };
    let mut unlike = Vec::new();
    if let Some(expected) = line.expect_points.filter(|expected| *expected != points) {
        unlike.push(Unlike { expected: Some(signed(expected)), actual: Some(signed(points)) });
    }
    if let Some(expected) = &line.expect_reply
        && !replies.iter().any(|reply| reply.contains(expected))
    {
        let actual = if replies.is_empty() { "没有回复".to_owned() } else { format!("回复是「{}」", replies.join("」「")) };
        unlike.push(Unlike { expected: Some(format!("回复里有「{expected}」")), actual: Some(actual) });
    }
    if unlike.is_empty() {
        return Vec::new();
    }
    vec![Failure { line: line.line, unlike, why: why(), ..Failure::new(test, what(line)) }.told()]
}

fn signed(points: i64) -> String {
    if points == 0 { "0".to_owned() } else { format!("{points:+}") }
}

/// What a line tells, in words.
fn what(line: &TestLine) -> String {
    let (at, member) = (line.at.strftime("%m-%d %H:%M"), &line.member);
    let place = line.group.as_ref().map_or(String::new(), |group| format!("在{group}"));
    match &line.said {
        Said::Message { text, pictures, link, video } => {
            let with = [(!pictures.is_empty()).then_some("图片"), link.is_some().then_some("链接"), video.then_some("视频")];
            let with: Vec<&str> = with.into_iter().flatten().collect();
            let said = if text.is_empty() { format!("发{}", with.join("和")) } else { format!("说「{text}」") };
            format!("{at} {member}{place}{said}")
        }
        Said::Recalled => format!("{at} {member}撤回"),
        Said::Joined => format!("{at} {member}{place}进群"),
        Said::Left => format!("{at} {member}{place}退群"),
        Said::Listed(joined) => format!("{at} 名单里的{member}({joined} 进群)"),
        Said::Time => format!("到 {at} 为止{member}"),
        Said::Happened { event, .. } => format!("{at} {member}的事件 {event}"),
        Said::Paid { shop, number, .. } => format!("{at} {member}的订单 {shop} {number}"),
    }
}

/// What did not come out in the end.
pub(super) fn of_end(test: &Test, played: &Played, balance: impl Fn(&str) -> Result<i64, StoreError>) -> Result<Vec<Failure>, StoreError> {
    let ledger = test.ledger.as_ref().and_then(|ledger| ledger.postings.as_ref());
    let postings = ledger.and_then(|expected| of_lines(test, "记的账", expected, &played.ledger));
    let replies = test.replies.as_ref().and_then(|expected| of_lines(test, "说的话", expected, &played.replies));
    let mut failures: Vec<Failure> = postings.into_iter().chain(replies).collect();
    for expected in test.ledger.iter().flat_map(|ledger| &ledger.balances) {
        let points = balance(&expected.member)?;
        if points != expected.points {
            let unlike = vec![Unlike { expected: Some(expected.points.to_string()), actual: Some(points.to_string()) }];
            failures.push(Failure { line: expected.line, unlike, ..Failure::new(&test.name, format!("最后{}的余额", expected.member)) }.told());
        }
    }
    Ok(failures)
}

/// Where two lists begin to differ until where they are the same again.
fn of_lines(test: &Test, what: &str, expected: &[Expected], actual: &[String]) -> Option<Failure> {
    let begin = expected.iter().zip(actual).take_while(|(expected, actual)| expected.text == **actual).count();
    let (rest, came) = (&expected[begin..], &actual[begin..]);
    let end = rest.iter().rev().zip(came.iter().rev()).take_while(|(expected, actual)| expected.text == **actual).count();
    let (rest, came) = (&rest[..rest.len() - end], &came[..came.len() - end]);
    let count = rest.len().max(came.len());
    if count == 0 {
        return None;
    }
    let pair = |at: usize| Unlike { expected: rest.get(at).map(|line| line.text.clone()), actual: came.get(at).cloned() };
    let more = if count > LINES_MAX { format!(",下面是前 {LINES_MAX} 处") } else { String::new() };
    let what = format!("{what}不一样,应有 {} 条,实有 {} 条{more}", expected.len(), actual.len());
    // What came beside all that was expected stands behind the last of it.
    let line = rest.first().or(expected.last()).map_or(test.line, |expected| expected.line);
    Some(Failure { line, unlike: (0..count.min(LINES_MAX)).map(pair).collect(), ..Failure::new(&test.name, what) }.told())
}

/// Failures of one line that stands for many days, which differ in the same way, told once.
fn by_range(failures: Vec<Failure>) -> Vec<Failure> {
    let same = |one: &Failure, other: &Failure| {
        let said = |failure: &Failure| dated(&failure.what).map(|(_, said)| said.to_owned());
        one.line == other.line && one.unlike == other.unlike && said(one).is_some() && said(one) == said(other)
    };
    let merge = |run: &[Failure]| {
        let (first, last) = (run.first()?, run.last()?);
        let ((begin, said), (end, _)) = match (dated(&first.what), dated(&last.what)) {
            (Some(first), Some(last)) if run.len() > 1 => (first, last),
            _ => return Some(first.clone()),
        };
        Some(Failure { what: format!("{begin} 到 {end} 共 {} 行 {said}", run.len()), ..first.clone() }.told())
    };
    failures.chunk_by(same).filter_map(merge).collect()
}

/// `11-22` and what stands behind it.
fn dated(what: &str) -> Option<(&str, &str)> {
    what.split_once(' ').filter(|(date, _)| date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
}

/// The first of many failures, and how many there are; a range of days is told once.
pub(super) fn at_most(failures: Vec<Failure>) -> Vec<Failure> {
    let mut failures = by_range(failures);
    let more = failures.len().saturating_sub(FAILURES_MAX);
    failures.truncate(FAILURES_MAX);
    if let (Some(last), true) = (failures.last(), more > 0) {
        failures.push(Failure { line: last.line, ..Failure::new(&last.test, format!("还有 {more} 处不对,先改上面的")) });
    }
    failures
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rules::file;
    use crate::scenario::run;

    const RULES: &str = "[check_in.daily]\ntitle = \"每日签到\"\nkeywords = [\"签到\"]\npoints = 2\n";

    /// What is told of a test with this chat and these further keys.
    fn told(chat: &str, more: &str) -> Vec<String> {
        let text = format!("{RULES}[[test]]\nname = \"一\"\nchat = \"\"\"\n{chat}\n\"\"\"\n{more}");
        let (rules, _) = file::load(&text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let rules = Arc::new(rules);
        rules.tests.iter().flat_map(|test| run(&rules, test)).map(|failure| failure.to_string()).collect()
    }

    #[test]
    fn a_failing_line_says_which_rule_refused_and_why() {
        let told = told("11-22 09:00 阿明: 签到 => +2\n11-22 09:05 阿明: 签到 => +2 「成功」", "");
        let [only] = told.as_slice() else { panic!("{told:#?}") };
        let lines: Vec<&str> = only.lines().collect();
        assert_eq!(lines[0], "9:1: error[test-failed]: 测试「一」没有通过:11-22 09:05 阿明说「签到」");
        assert_eq!(lines[1], "  应 +2,实 0");
        assert_eq!(lines[2..4], ["  应:回复里有「成功」", "  实:没有回复"]);
        assert_eq!(lines[4], "  因:0 每日签到,今天 9:00 已记过,每天 1 次,明天 0:00 后再来");
    }

    #[test]
    fn what_no_rule_looked_at_is_told_too() {
        let told = told("11-22 09:00 阿明: 签到了吗 => +2\n11-22 09:01 阿明: [订单 douyin 1234 268.00] => +2\n11-22 09:02 阿明: [事件 quiz] => +2", "");
        assert!(told[0].ends_with("因:「每日签到」要整句是「签到」"), "{}", told[0]);
        assert!(told[1].contains("还没有按订单给分的规则"), "{}", told[1]);
        assert!(told[2].contains("没有规则认「quiz」"), "{}", told[2]);
    }

    #[test]
    fn the_ledger_and_the_replies_are_compared_line_by_line() {
        let chat = "11-21 09:00 阿明: 签到\n11-22 09:00 小红: 签到\n11-22 09:01 阿明: 签到";
        let right = "ledger = \"\"\"\n阿明 +2 check_in.daily 11-21\n小红 +2 check_in.daily 11-22\n阿明 +2 check_in.daily 11-22\n阿明 = 4\n\"\"\"\n";
        assert_eq!(told(chat, right), Vec::<String>::new());
        let wrong = told(chat, &right.replace("小红 +2", "小红 +3").replace("= 4", "= 5"));
        assert_eq!(
            wrong[0],
            "14:1: error[test-failed]: 测试「一」没有通过:记的账不一样,应有 3 条,实有 3 条\n  应:小红 +【3】 check_in.daily 11-22\n  实:小红 +【2】 check_in.daily 11-22"
        );
        assert_eq!(wrong[1], "16:1: error[test-failed]: 测试「一」没有通过:最后阿明的余额\n  应 5,实 4");
        let missing = told(chat, "replies = \"\"\"\n→ 阿明: 阿明 签到成功 +2,现有 2 积分。\n\"\"\"");
        assert!(missing[0].contains("应有 1 条,实有 3 条") && missing[0].contains("应:(没有)\n  实:→ 小红"), "{}", missing[0]);
        assert!(told(chat, "ledger = \"\"").len() == 1, "an empty ledger says that nothing is booked");
    }

    #[test]
    fn of_many_failures_the_first_are_told() {
        let chat: Vec<String> = (0..60).map(|minute| format!("01-01 09:{minute:02} 阿明: 签到 => +9")).collect();
        let told = told(&chat.join("\n"), "");
        assert_eq!((told.len(), told.last().map(|last| last.contains("还有 40 处"))), (FAILURES_MAX + 1, Some(true)));
    }

    #[test]
    fn a_range_of_days_is_told_once() {
        let told = told("11-16..11-22 09:00 阿明: 签到 => +3\n11-23 09:00 阿明: 签到 => +3", "");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("没有通过:11-16 到 11-22 共 7 行 09:00 阿明说「签到」\n  应 +3,实 +2\n"), "{}", told[0]);
    }

    #[test]
    fn a_word_that_no_rule_knows_is_told_before_closed_talk() {
        let text = "[check_in.daily]\nkeywords = [\"打卡\"]\npoints = 2\n[speaking.evening]\nwhen = \"20:00-21:00\"\npoints = 1\nmax_points = { day = 20 }\n[[test]]\nname = \"一\"\nchat = \"11-22 09:00 阿明: 签到 => +2\"\n";
        let (rules, _) = file::load(text).expect("good rules");
        let rules = Arc::new(rules);
        let told = run(&rules, &rules.tests[0]);
        assert!(told[0].why[0].starts_with("没有规则把「签到」当口令;口令有「打卡」"), "{:?}", told[0].why);
    }

    #[test]
    fn who_shows_one_sentence_has_all_of_it_in_one() {
        let text = format!("{RULES}[[test]]\nname = \"一\"\nchat = \"\"\"\n11-22 09:00 阿明: 签到 => +3\"\"\"\n");
        let (rules, _) = file::load(&text).expect("good rules");
        let rules = Arc::new(rules);
        assert_eq!(run(&rules, &rules.tests[0])[0].text, "11-22 09:00 阿明说「签到」,应:+3,实:+2,因:+2 每日签到");
    }

    #[test]
    fn what_differs_is_marked() {
        assert_eq!(marked("阿明 +3 a", "阿明 +2 a"), ("阿明 +【3】 a".into(), "阿明 +【2】 a".into()));
        assert_eq!(marked("aa", "aaa"), ("aa【】".into(), "aa【a】".into()));
        assert_eq!(marked("+2", "0"), ("+2".into(), "0".into()));
    }
}
