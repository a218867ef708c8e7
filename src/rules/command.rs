//! What an operator says to the assistant to do something: 「给 小红 加 10 分 帮忙答疑」「扣 小红 5 分 发广告」「批准 0412」「驳回 0412 重复了」「停用 每日签到」
//! 「恢复 每日签到」「规则状态」.

use std::sync::{Arc, LazyLock};

use regex::Regex;

use crate::model::ids::EventSeq;
use crate::model::points::POINTS_MAX;
use crate::rules::grant::REASON_CHARS_MAX;
use crate::rules::switch;
use crate::rules::text::narrow;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Points to a member, or from one.
    Give {
        /// The member, as it was written: an id or a name, without the @.
        whom: String,
        /// How many; below zero they are taken.
        points: i64,
        /// Why.
        reason: Arc<str>,
    },
    /// A grant that waits is let through, or not.
    Review {
        /// Which.
        of: EventSeq,
        /// Let through.
        allowed: bool,
        /// Why not.
        reason: Arc<str>,
    },
    /// A rule or a campaign off, or on again.
    Switch {
        /// What, as it was written.
        what: String,
        /// On, else off.
        on: bool,
    },
    /// Which rules are on and off.
    States,
}

/// What an operator may say beside what every member may, for 「帮助」.
pub const OPERATORS_HELP: &str = "管理员还可以说:「停用 每日签到」「恢复 每日签到」「规则状态」「给 小红 加 10 分 帮忙答疑」「批准 0412」";

/// How the commands are written, for who wrote one that cannot be read.
pub const USAGE: &str = "写法:「给 小红 加 10 分 帮忙答疑」「扣 小红 5 分 发广告」「批准 0412」「驳回 0412 原因」。原因要写,成员会看到";

/// Reads a command: `None` for what is none, an error in words for what is meant as one and cannot be read.
pub fn read(text: &str, points_name: &str) -> Option<Result<Command, String>> {
    let text = half_width(text);
    let text = text.trim();
    if let Some(found) = REVIEW.captures(text) {
        let of = found[2].parse().map(EventSeq).map_err(|_| format!("没有「{}」这个编号", &found[2]));
        return Some(of.map(|of| Command::Review { of, allowed: matches!(&found[1], "批准" | "通过" | "同意"), reason: Arc::from(found[3].trim()) }));
    }
    if STATES.is_match(text) {
        return Some(Ok(Command::States));
    }
    if let Some(found) = SWITCH.captures(text) {
        let on = matches!(&found[1], "恢复" | "启用");
        return Some(match &found[2] {
            "" => Err(format!("要写{}哪一条,例如「{} 每日签到」;有哪些,说「规则状态」", &found[1], switch::verb(on))),
            what => Ok(Command::Switch { what: what.to_owned(), on }),
        });
    }
    let found = GIVE.captures(text).or_else(|| TAKE.captures(text));
    let Some(found) = found else { return MEANT.is_match(text).then(|| Err(USAGE.to_owned())) };
    Some(give(&found["whom"], &found["sign"], &found["points"], &found["rest"], points_name))
}

fn give(whom: &str, sign: &str, points: &str, rest: &str, points_name: &str) -> Result<Command, String> {
    let points: i64 = points.replace(',', "").parse().unwrap_or(i64::MAX);
    if !(1..=POINTS_MAX).contains(&points) {
        return Err(format!("分数要是 1 到 {POINTS_MAX} 的整数"));
    }
    let unit = [points_name, "积分", "分"].into_iter().find_map(|unit| rest.trim_start().strip_prefix(unit));
    let after = unit.unwrap_or(rest);
    // 「10 分钟」 is no number of points, nor is 「10.5」.
    if after.starts_with(|next: char| !next.is_whitespace() && !matches!(next, ',' | '。' | ':' | ';' | '、' | '(')) {
        return Err(USAGE.to_owned());
    }
    let reason = reason(after.trim_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '。' | ':' | ';' | '、')))?;
    let points = if matches!(sign, "扣" | "减" | "-") { -points } else { points };
    let whom = whom.trim_start_matches('@').trim_matches(|c: char| c.is_whitespace() || c.is_control());
    if whom.is_empty() { Err(USAGE.to_owned()) } else { Ok(Command::Give { whom: whom.to_owned(), points, reason }) }
}

/// A reason fit to be shown: there, one line, not too long.
///
/// # Errors
/// What is wrong, in words.
pub fn reason(text: &str) -> Result<Arc<str>, String> {
    let line: String = text.split(|c: char| c.is_control()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    match line.trim() {
        "" => Err(format!("还差原因。{USAGE}")),
        long if long.chars().count() > REASON_CHARS_MAX => Err(format!("原因最多 {REASON_CHARS_MAX} 个字")),
        reason => Ok(Arc::from(reason)),
    }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant that a test compiles")
}

static REVIEW: LazyLock<Regex> = LazyLock::new(|| regex(r"^(批准|通过|同意|驳回|拒绝)\s*#?([0-9]{1,18})(?:\s+|[,,::]|$)(.*)$"));
static STATES: LazyLock<Regex> = LazyLock::new(|| regex(r"^规则\s*状态[。?]?$"));
static SWITCH: LazyLock<Regex> = LazyLock::new(|| regex(r"^(停用|停止|停掉|暂停|关闭|关掉|恢复|启用)\s*(?:规则)?\s*([^\n]{0,80}?)[。!]?$"));
static GIVE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)^给\s*(?P<whom>.+?)\s*(?P<sign>加|奖励|扣|减|\+|-)\s*(?P<points>[0-9][0-9,]*)(?P<rest>.*)$"));
static TAKE: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)^(?P<sign>扣|奖励)\s*(?P<whom>@?[^\s@]+?(?:\s+[^\s0-9][^\s]*)*?)\s*(?P<points>[0-9][0-9,]*)(?P<rest>.*)$"));
static MEANT: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)^(?:给.+(?:加|扣|减|奖励|\+|-)|扣|批准|驳回)\s*.*[0-9]"));

/// Wide letters, digits, signs and spaces as narrow ones; everything else as it is, since ids and names are exact.
fn half_width(text: &str) -> String {
    let one = |c: char| match c {
        '−' => '-',
        '\u{3000}' | '\u{2005}' | '\u{a0}' => ' ',
        c => narrow(c),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gives(text: &str) -> (String, i64, String) {
        match read(text, "积分") {
            Some(Ok(Command::Give { whom, points, reason })) => (whom, points, reason.to_string()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_grant_is_read_however_it_is_typed() {
        for text in
            ["给 小红 加 10 分 帮忙答疑", "给小红加10分,帮忙答疑", "给@小红\u{2005}加10积分 帮忙答疑", "给 小红 +10 帮忙答疑", "奖励 小红 10 分 帮忙答疑"]
        {
            assert_eq!(gives(text), ("小红".into(), 10, "帮忙答疑".into()), "{text}");
        }
        // As an input method in Chinese mode types it.
        assert_eq!(gives("给\u{ff20}小红\u{3000}加\u{ff11}\u{ff10}分\u{ff0c}帮忙答疑"), ("小红".into(), 10, "帮忙答疑".into()));
        for text in ["扣 小红 5 分 发广告", "给 小红 扣 5 分:发广告", "扣@小红 5 发广告"] {
            assert_eq!(gives(text), ("小红".into(), -5, "发广告".into()), "{text}");
        }
        assert_eq!(gives("给 小加 加 1,000 分 加班 2 天").0, "小加");
        assert_eq!(gives("给 XiaoHong 加 3 分 第 2 名"), ("XiaoHong".into(), 3, "第 2 名".into()));
    }

    #[test]
    fn what_cannot_be_read_says_how_it_is_written() {
        for text in
            ["给 小红 加 10 分", "给 小红 加 10.5 分 答疑", "给 小红 加 10 分钟 答疑", "给 小红 加 0 分 答疑", "给 小红 加 99999999999999999999 分 答疑"]
        {
            assert!(matches!(read(text, "积分"), Some(Err(_))), "{text}");
        }
        for text in ["给我讲个笑话", "积分", "扣子很好用", ""] {
            assert_eq!(read(text, "积分"), None, "{text}");
        }
    }

    #[test]
    fn a_rule_is_switched_off_and_on() {
        let switch = |what: &str, on| Some(Ok(Command::Switch { what: what.into(), on }));
        for text in ["停用 每日签到", "停用每日签到。", "停掉 规则 每日签到", "停用\u{2005}每日签到", "暂停 每日签到\u{ff01}", "关闭每日签到"]
        {
            assert_eq!(read(text, "积分"), switch("每日签到", false), "{text}");
        }
        assert_eq!(read("恢复 check_in.daily", "积分"), switch("check_in.daily", true));
        assert_eq!(read("启用 活动 骑行", "积分"), switch("活动 骑行", true));
        assert_eq!((read("规则状态", "积分"), read("规则", "积分")), (Some(Ok(Command::States)), None));
        assert!(matches!(read("停用", "积分"), Some(Err(reason)) if reason.contains("停用 每日签到")));
    }

    #[test]
    fn a_review_names_its_number() {
        assert_eq!(read("批准 0412", "积分"), Some(Ok(Command::Review { of: EventSeq(412), allowed: true, reason: "".into() })));
        assert_eq!(read("驳回 #412 重复了", "积分"), Some(Ok(Command::Review { of: EventSeq(412), allowed: false, reason: "重复了".into() })));
    }
}
