//! `[[test]]`: the grammar of chat lines and what must come of them. The runner is `crate::scenario`.
//!
//! ```text
//! line   = when ["[" group "]"] ["(" channel ")"] member ":" said ["=>" expect]   # 11-22 09:00 阿明: 签到 => +2
//! when   = date [".." date] time                                  # a range stands for one line a day
//! date   = [year "-"] month "-" day                               # without a year: the test's `year`
//! said   = ["@" name] text | picture … | "[链接 " address "]" | "[视频]" | "撤回" | "进群" | "退群" | "名单" date | "到点"
//!        | "[事件 " name [subject] "]" | "[订单 " shop number yuan "]"
//! picture = "[图片]" | "[图片 " name "]"                           # a new picture each time, or the one of this name
//! expect = ["+"|"-"] points ["「" reply "」"] | "「" reply "」"         # net change of the member's balance; part of the reply
//! ```
//!
//! `名单 11-01`: a member list has the member in the group, joined on that day. `到点`: nothing is said; what the clock brought the member, and had the bot
//! say, since the line before is what must come out.
//!
//! The group `单聊` is the single chat with the assistant. A channel is any name: two names are two channels that hear the same group. Empty lines and
//! lines that begin with `#` are left out. Colon and parentheses may be full width. What must have come of it all: [`super::expected`].

use jiff::civil::{Date, DateTime, Time};
use schemars::JsonSchema;

use crate::rules::expected::{self, Expected, Ledger};
use crate::rules::mistake::{Lines, Mistakes};
use crate::rules::table::{RuleTable, integer};

/// 一段对话和应得的积分;`jifen check` 每次都会跑。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TestTable {
    /// 测试的名字:一句话说明证明了什么。
    #[schemars(length(min = 1), extend("examples" = ["一天一次"]))]
    #[schemars(extend("x-en" = "The sentence it proves."))]
    pub name: Option<String>,
    /// 日期没写年份时用哪一年。默认 2026。
    #[schemars(range(min = 1970, max = 9999), extend("examples" = [2026]))]
    #[schemars(extend("x-en" = "Year of dates that name none. Default 2026."))]
    pub year: Option<i64>,
    /// 在哪个群(群名或群编号);不写就是一个普通的群。
    #[schemars(extend("examples" = ["骑行一群"]))]
    #[schemars(extend("x-en" = "The group it is said in."))]
    pub group: Option<String>,
    /// 对话,一行一句:11-22 09:00 阿明: 签到 => +2
    #[schemars(extend("examples" = ["\n11-22 09:00 阿明: 签到 => +2\n"]))]
    #[schemars(extend("x-en" = "What is said and what must come of it, one message a line."))]
    pub chat: Option<String>,
    /// 到最后账上应有什么,一行一笔,按先后写全:阿明 +2 check_in.daily 11-22。只核对余额就写 阿明 = 2。
    #[schemars(extend("examples" = ["\n阿明 +2 check_in.daily 11-22\n阿明 = 2\n"]))]
    #[schemars(extend("x-en" = "What must be booked in the end: every posting in order, or balances alone."))]
    pub ledger: Option<String>,
    /// 应说的每一条回复,按先后写全:→ 阿明: 签到成功。
    #[schemars(extend("examples" = ["\n→ 阿明: 阿明 签到成功 +2,现有 2 积分。\n"]))]
    #[schemars(extend("x-en" = "Every reply that must be said, in order, whole."))]
    pub replies: Option<String>,
}

/// What stands for a group where the member writes to the assistant alone.
pub const SINGLE_CHAT: &str = "单聊";

/// One `[[test]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// What it proves.
    pub name: String,
    /// The group its lines are said in when a line names none.
    pub group: Option<String>,
    /// Its lines; a range of days is one line a day.
    pub lines: Vec<TestLine>,
    /// What must be booked in the end, where it says.
    pub ledger: Option<Ledger>,
    /// Every reply that must be said, where it says.
    pub replies: Option<Vec<Expected>>,
    /// Year of dates that name none.
    pub year: i16,
    /// Where it stands in the file, from 1.
    pub line: usize,
}

/// One message and what must come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestLine {
    /// When it is said, on the campaign's wall clock.
    pub at: DateTime,
    /// The group, when the line names one; [`SINGLE_CHAT`] for the single chat.
    pub group: Option<String>,
    /// The channel that hears it, when the line names one.
    pub channel: Option<String>,
    /// Who says it.
    pub member: String,
    /// What happens.
    pub said: Said,
    /// By how much the member's balance changes, repairs included; `None` when the line does not say.
    pub expect_points: Option<i64>,
    /// A part of the reply that must come.
    pub expect_reply: Option<String>,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// What happens in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A message.
    Message {
        /// Its text, a leading `@name` included.
        text: String,
        /// Its pictures, by the names that tell one from another; `None` for one that was never sent before.
        pictures: Vec<Option<String>>,
        /// The link it carries.
        link: Option<String>,
        /// It has a video.
        video: bool,
    },
    /// The member's last message is recalled.
    Recalled,
    /// The member joins.
    Joined,
    /// The member leaves.
    Left,
    /// A member list has the member, joined on this day.
    Listed(Date),
    /// Nothing: the time has come, and what the clock brought is looked at.
    Time,
    /// A named event is reported of the member.
    Happened {
        /// Its name.
        event: String,
        /// What it was about.
        subject: Option<String>,
    },
    /// The member paid for an order.
    Paid {
        /// Where.
        shop: String,
        /// Its number there.
        number: String,
        /// What was paid.
        fen: i64,
    },
}

/// Year of dates that name none.
const YEAR_DEFAULT: i16 = 2026;
/// A range of days is expanded; a year is plenty.
const RANGE_DAYS_MAX: usize = 366;
/// Lines of all tests of a file after expansion: some seconds of playing them, which every check and every reload does.
pub const LINES_MAX: usize = 20_000;
/// Tests of a file.
pub const TESTS_MAX: usize = 2_000;

/// Reads one table. `source` tells where the chat's lines stand; `left` is how many lines this test and those after it may have.
pub fn read(source: &str, places: &Lines, table: &RuleTable<'_>, left: &mut usize, mistakes: &mut Mistakes) -> Test {
    let year = table.get("year").and_then(integer).and_then(|year| i16::try_from(year).ok()).unwrap_or(YEAR_DEFAULT);
    let mut lines = Vec::new();
    for (offset, text) in block(source, table, "chat").into_iter().filter(|(_, text)| !text.starts_with('#')) {
        match parse_line(text, year, places.line(offset)) {
            Ok(parsed) if parsed.len() > *left => {
                mistakes.error(
                    offset..offset + text.len(),
                    "too-many",
                    format!("所有测试加起来最多 {LINES_MAX} 行对话(日期范围按天数算),到这里超过了;请写短些"),
                );
                *left = 0;
                break;
            }
            Ok(parsed) => {
                *left -= parsed.len();
                lines.extend(parsed);
            }
            Err(reason) => mistakes.error(offset..offset + text.len(), "bad-chat-line", reason),
        }
    }
    if table.text("name").is_none() {
        mistakes.error(table.span(""), "missing-key", "测试要有名字,例如 name = \"一天一次\"");
    }
    if table.text("chat").is_none() {
        mistakes.error(table.span(""), "missing-key", "测试里没有对话;请写 chat,例如 chat = \"11-22 09:00 阿明: 签到 => +2\"");
    }
    let end = End { source, places, table };
    Test {
        name: table.text("name").unwrap_or_default().to_owned(),
        group: table.text("group").map(str::to_owned),
        lines,
        ledger: end.read("ledger", mistakes, |lines| expected::read_ledger(lines, year, date)),
        replies: end.read("replies", mistakes, expected::read_replies),
        year,
        line: places.line(table.span("name").start),
    }
}

/// The blocks that tell what must have come of a test.
struct End<'a> {
    source: &'a str,
    places: &'a Lines,
    table: &'a RuleTable<'a>,
}

impl End<'_> {
    /// Reads one of them; `None` where it is not written or cannot be read.
    fn read<T>(&self, key: &str, mistakes: &mut Mistakes, read: impl Fn(&[(usize, &str)]) -> Result<T, Vec<(usize, String)>>) -> Option<T> {
        self.table.get(key)?;
        let block = block(self.source, self.table, key);
        let lines: Vec<(usize, &str)> = block.iter().map(|(offset, text)| (self.places.line(*offset), *text)).collect();
        let bad = match read(&lines) {
            Ok(read) => return Some(read),
            Err(bad) => bad,
        };
        for (place, reason) in bad {
            let (offset, text) = block[place];
            mistakes.error(offset..offset + text.len(), "bad-chat-line", reason);
        }
        None
    }
}

/// The lines of a text that say something, with their offsets in the source. They are cut from the source itself, so that places are exact.
fn block<'s>(source: &'s str, table: &RuleTable<'_>, key: &str) -> Vec<(usize, &'s str)> {
    let Some(chat) = table.get(key) else { return Vec::new() };
    let span = chat.span();
    let written = source.get(span.clone()).unwrap_or_default();
    let quote = if written.starts_with("\"\"\"") || written.starts_with("'''") { 3 } else { 1 };
    let inner = written.get(quote..written.len().saturating_sub(quote)).unwrap_or_default();
    let mut offset = span.start + quote;
    let mut lines = Vec::new();
    for line in inner.split('\n') {
        let text = line.trim();
        if !text.is_empty() {
            lines.push((offset + line.len() - line.trim_start().len(), text));
        }
        offset += line.len() + 1;
    }
    lines
}

/// Parses one line; a range of days gives one entry a day. `line` is its number in the file.
pub fn parse_line(text: &str, year: i16, line: usize) -> Result<Vec<TestLine>, String> {
    let (head, rest) = text.split_once([':', '\u{ff1a}']).filter(|(head, _)| !head.is_empty()).ok_or_else(|| unread(text))?;
    // The first colon is the clock's: 09:00.
    let (minute, rest) = rest.split_once(char::is_whitespace).ok_or_else(|| unread(text))?;
    let (days, hour) = head.rsplit_once(char::is_whitespace).ok_or_else(|| unread(text))?;
    let time = time(hour, minute)?;
    let spoken = spoken(rest.trim_start(), year).map_err(|reason| reason.unwrap_or_else(|| unread(text)))?;
    if let (None, None, Said::Message { text, .. }) = (spoken.expect_points, &spoken.expect_reply, &spoken.said)
        && let Some(written) = mistyped_arrow(text)
    {
        return Err(format!("「{written}」被当成{}说的话了;箭头要写 =>,例如 签到 => +2", spoken.member));
    }
    let one = |day: Date| TestLine { at: day.to_datetime(time), line, ..spoken.clone() };
    Ok(day_range(days.trim(), year)?.into_iter().map(one).collect())
}

/// Parses one line as `jifen try` takes it: as above, or without a time, which is `now` then.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_tried(text: &str, now: DateTime) -> Result<Vec<TestLine>, String> {
    let text = text.trim();
    let head = text.split([':', '\u{ff1a}']).next().unwrap_or_default();
    if head.starts_with(|first: char| first.is_ascii_digit()) && head.contains('-') && head.contains(char::is_whitespace) {
        return parse_line(text, now.year(), 1);
    }
    let unread = || format!("看不懂「{}」;请写成 谁: 说了什么,例如 阿明: 签到", text.chars().take(30).collect::<String>());
    let spoken = spoken(text, now.year()).map_err(|reason| reason.unwrap_or_else(unread))?;
    Ok(vec![TestLine { at: now, line: 1, ..spoken }])
}

/// What stands behind the time. The error is empty where the line is no such line at all.
fn spoken(text: &str, year: i16) -> Result<TestLine, Option<String>> {
    let (group, rest) = group(text)?;
    let (channel, rest) = channel(rest.trim_start())?;
    let (member, said) = rest.split_once([':', '\u{ff1a}']).ok_or(None)?;
    let (said, expected) = said.rsplit_once("=>").map_or((said, None), |(said, expected)| (said, Some(expected)));
    let (expect_points, expect_reply) = expected.map_or(Ok((None, None)), expectation)?;
    let member = member.trim();
    if member.is_empty() {
        return Err(None);
    }
    let said = what_happens(said.trim(), year)?;
    let (group, channel) = (group.map(str::to_owned), channel.map(str::to_owned));
    Ok(TestLine { at: DateTime::MIN, group, channel, member: member.to_owned(), said, expect_points, expect_reply, line: 0 })
}

/// Arrows as a hand or an input method writes them.
const ARROWS: [&str; 13] = ["=》", "＝》", "＝＞", "=＞", "＝>", "= >", "→", "⇒", "->", "－>", "—>", "-＞", "—》"];
/// What also stands in plain talk, and is meant as an arrow only behind a space.
const ARROW_WORDS: [&str; 5] = ["=", "＝", ">", "＞", "得"];

/// An amount or a reply behind something that should have been `=>`: that it were part of the text would make the line prove nothing.
fn mistyped_arrow(said: &str) -> Option<&str> {
    let quoted = said.strip_suffix('」').and_then(|said| said.rsplit_once('「')).map(|(before, _)| before.trim_end());
    let amount = quoted.unwrap_or(said);
    let amount = amount.strip_suffix('分').unwrap_or(amount).trim_end();
    let head = amount.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '\u{ff10}'..='\u{ff19}'));
    let has_number = head.len() < amount.len();
    let bare = head.strip_suffix(['+', '-', '\u{ff0b}', '\u{ff0d}']).unwrap_or(head).trim_end();
    let written = |arrow: &&&str| bare.ends_with(**arrow) && (has_number || quoted.is_some());
    if let Some(arrow) = ARROWS.iter().find(written) {
        return said.get(bare.len() - arrow.len()..);
    }
    let behind_space = |word: &&&str| bare.strip_suffix(**word).is_some_and(|before| before.ends_with(char::is_whitespace));
    let word = ARROW_WORDS.iter().filter(|_| has_number).find(behind_space)?;
    said.get(bare.len() - word.len()..)
}

fn unread(text: &str) -> String {
    format!("看不懂「{}」;请写成 月-日 时:分 谁: 说了什么 => +得分,例如 11-22 09:00 阿明: 签到 => +2", text.chars().take(30).collect::<String>())
}

fn time(hour: &str, minute: &str) -> Result<Time, String> {
    let second = minute.split_once(':');
    let (minute, second) = second.unwrap_or((minute, "0"));
    let number = |text: &str| text.parse::<i8>().ok();
    let read = number(hour).zip(number(minute)).zip(number(second)).and_then(|((h, m), s)| Time::new(h, m, s, 0).ok());
    read.ok_or_else(|| format!("没有「{hour}:{minute}」这个时刻;请写 00:00 到 23:59"))
}

fn day_range(text: &str, year: i16) -> Result<Vec<Date>, String> {
    let Some((first, last)) = text.split_once("..") else { return Ok(vec![date(text, year)?]) };
    let (first, last) = (date(first, year)?, date(last, year)?);
    let days: Vec<Date> = first.series(jiff::ToSpan::days(1)).take_while(|day| *day <= last).take(RANGE_DAYS_MAX + 1).collect();
    match days.len() {
        0 => Err(format!("「{text}」的末日在首日之前")),
        count if count > RANGE_DAYS_MAX => Err(format!("「{text}」太长;最多 {RANGE_DAYS_MAX} 天")),
        _ => Ok(days),
    }
}

fn date(text: &str, year: i16) -> Result<Date, String> {
    let bad = || format!("没有「{}」这个日期;请写 月-日 或 年-月-日,例如 11-22", text.trim());
    let parts: Vec<i16> = text.trim().split('-').map(|part| part.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    let (year, month, day) = match parts[..] {
        [month, day] => (year, month, day),
        [year, month, day] => (year, month, day),
        _ => return Err(bad()),
    };
    let small = |number: i16| i8::try_from(number).map_err(|_| bad());
    Date::new(year, small(month)?, small(day)?).map_err(|_| bad())
}

fn group(text: &str) -> Result<(Option<&str>, &str), String> {
    let Some(inner) = text.strip_prefix('[') else { return Ok((None, text)) };
    let (name, rest) = inner.split_once(']').ok_or_else(|| "群名后少了 ];请写成 [骑行一群] 阿明: 签到".to_owned())?;
    Ok((Some(name.trim()), rest))
}

fn channel(text: &str) -> Result<(Option<&str>, &str), String> {
    let Some(inner) = text.strip_prefix(['(', '\u{ff08}']) else { return Ok((None, text)) };
    let (name, rest) = inner.split_once([')', '\u{ff09}']).ok_or_else(|| "通道名后少了 );请写成 (存档) 阿明: 签到".to_owned())?;
    Ok((Some(name.trim()), rest))
}

fn what_happens(said: &str, year: i16) -> Result<Said, String> {
    if let Some(joined) = said.strip_prefix("名单 ") {
        return date(joined, year).map(Said::Listed);
    }
    Ok(match said {
        "撤回" => Said::Recalled,
        "进群" => Said::Joined,
        "退群" => Said::Left,
        "到点" => Said::Time,
        event if event.starts_with(EVENT) && event.ends_with(']') => {
            let (name, subject) =
                event[EVENT.len()..event.len() - 1].trim().split_once(char::is_whitespace).unwrap_or((event[EVENT.len()..event.len() - 1].trim(), ""));
            if let Some(bare) = name.strip_prefix("event.") {
                return Err(format!("事件名是 {bare},不写 event.;请写 [事件 {bare}]"));
            }
            Said::Happened { event: name.to_owned(), subject: Some(subject.trim().to_owned()).filter(|subject| !subject.is_empty()) }
        }
        order if order.starts_with(ORDER) && order.ends_with(']') => paid(&order[ORDER.len()..order.len() - 1])?,
        _ => message(said),
    })
}

/// Takes what stands in brackets out of a text; other brackets are text.
fn message(said: &str) -> Said {
    let (mut text, mut pictures, mut link, mut video) = (String::new(), Vec::new(), None, false);
    let mut rest = said;
    while let Some((before, inside)) = rest.split_once('[') {
        text.push_str(before);
        let taken = inside.split_once(']').and_then(|(inside, after)| {
            let (kind, name) = inside.split_once(char::is_whitespace).map_or((inside, None), |(kind, name)| (kind, Some(name.trim())));
            match (kind, name) {
                ("图片", name) => pictures.push(name.map(str::to_owned)),
                ("链接", Some(address)) => link = Some(address.to_owned()),
                ("视频", None) => video = true,
                _ => return None,
            }
            Some(after)
        });
        rest = taken.unwrap_or_else(|| {
            text.push('[');
            inside
        });
    }
    text.push_str(rest);
    Said::Message { text: text.trim().to_owned(), pictures, link, video }
}

const EVENT: &str = "[事件 ";
const ORDER: &str = "[订单 ";

fn paid(order: &str) -> Result<Said, String> {
    let words: Vec<&str> = order.split_whitespace().collect();
    let [shop, number, yuan] = words[..] else { return Err("订单请写成 [订单 店铺 订单号 金额],例如 [订单 douyin 1234 268.00]".to_owned()) };
    let fen = fen(yuan).ok_or_else(|| format!("「{yuan}」不是金额;请写成元,最多两位小数,例如 268.00"))?;
    Ok(Said::Paid { shop: shop.to_owned(), number: number.to_owned(), fen })
}

/// An amount in yuan, with two decimals at most, in fen.
fn fen(yuan: &str) -> Option<i64> {
    let (whole, part) = yuan.split_once('.').unwrap_or((yuan, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 2 {
        return None;
    }
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(part)
}

fn expectation(text: &str) -> Result<(Option<i64>, Option<String>), String> {
    let text = text.trim();
    let (points, reply) = text.split_once('「').map_or((text, None), |(points, reply)| (points.trim(), Some(reply)));
    let reply = reply.map(|reply| reply.strip_suffix('」').map(str::to_owned).ok_or_else(|| format!("「{reply} 后少了 」")));
    let points = (!points.is_empty()).then(|| {
        let bad = || format!("=> 后的「{points}」不是积分;请写 +2、0 或 -2,要核对回复就再写 「回复里的几个字」");
        points.strip_prefix('+').unwrap_or(points).parse::<i64>().map_err(|_| bad())
    });
    let (points, reply) = (points.transpose()?, reply.transpose()?);
    if points.is_none() && reply.is_none() { Err("=> 后面是空的;请写 +2、0 或 「回复里的几个字」".to_owned()) } else { Ok((points, reply)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> TestLine {
        let lines = parse_line(text, 2026, 7).unwrap();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.into_iter().next().unwrap()
    }

    fn message(text: &str, images: usize) -> Said {
        Said::Message { text: text.to_owned(), pictures: vec![None; images], link: None, video: false }
    }

    #[test]
    fn pictures_have_names_and_links_and_videos_stand_in_brackets() {
        let said = |text: &str| one(&format!("11-22 09:00 阿明: {text}")).said;
        let with = |text: &str, pictures: &[Option<&str>], link: Option<&str>, video| Said::Message {
            text: text.into(),
            pictures: pictures.iter().map(|name| name.map(str::to_owned)).collect(),
            link: link.map(str::to_owned),
            video,
        };
        assert_eq!(said("打卡[图片 甲][图片]"), with("打卡", &[Some("甲"), None], None, false));
        assert_eq!(said("[链接 https://xhslink.com/a] 打卡"), with("打卡", &[], Some("https://xhslink.com/a"), false));
        assert_eq!(said("[视频]"), with("", &[], None, true));
        assert_eq!(said("[捂脸] 打卡 [图"), with("[捂脸] 打卡 [图", &[], None, false));
    }

    #[test]
    fn a_line_says_when_who_what_and_what_must_come() {
        let line = one("11-22 09:00 阿明: 签到 => +2");
        assert_eq!((line.at, line.member.as_str(), line.line), (jiff::civil::date(2026, 11, 22).at(9, 0, 0, 0), "阿明", 7));
        assert_eq!((line.said, line.expect_points, line.expect_reply, line.group), (message("签到", 0), Some(2), None, None));
    }

    #[test]
    fn a_range_of_days_is_one_line_a_day() {
        let lines = parse_line("11-16..11-21 09:00 阿明: 签到 => +2", 2026, 1).unwrap();
        assert_eq!((lines.len(), lines[5].at), (6, jiff::civil::date(2026, 11, 21).at(9, 0, 0, 0)));
    }

    #[test]
    fn groups_mentions_pictures_and_replies_are_read() {
        let line = one("2027-01-02 23:59:30 [骑行一群] 小红: @积分助手 积分 => 0 「现有 2」");
        assert_eq!((line.group.as_deref(), line.expect_points, line.expect_reply.as_deref()), (Some("骑行一群"), Some(0), Some("现有 2")));
        assert_eq!(line.said, message("@积分助手 积分", 0));
        assert_eq!(one("11-22 09:00 [单聊] 阿明: 积分").group.as_deref(), Some(SINGLE_CHAT));
        let heard = one("11-22 09:00 [骑行一群] (存档) 阿明: 签到");
        assert_eq!((heard.channel.as_deref(), heard.member.as_str(), heard.said), (Some("存档"), "阿明", message("签到", 0)));
        assert_eq!(one("11-22 09:00 阿明:[图片] 打卡[图片]").said, message("打卡", 2));
        assert_eq!(one("11-22 09:00 阿明: 撤回 => -2").said, Said::Recalled);
        assert_eq!(one("11-22 09:00 阿明: 进群").said, Said::Joined);
        assert_eq!(one("11-22 09:00 阿明: 到点 => +5").said, Said::Time);
        assert_eq!(one("11-22 09:00 阿明: 名单 11-01").said, Said::Listed(Date::constant(2026, 11, 1)));
        assert_eq!(one("11-22 09:00 阿明: [事件 verified] => +50").said, Said::Happened { event: "verified".into(), subject: None });
        assert_eq!(one("11-22 09:00 阿明: [事件 visit 一号店]").said, Said::Happened { event: "visit".into(), subject: Some("一号店".into()) });
        let paid = |order: &str| parse_line(&format!("11-22 09:00 阿明: [订单 {order}]"), 2026, 1).map(|lines| lines[0].said.clone());
        assert_eq!(paid("douyin 1234 268.5"), Ok(Said::Paid { shop: "douyin".into(), number: "1234".into(), fen: 26_850 }));
        assert!(["douyin 1234", "douyin 1234 1.005", "douyin 1234 -3", "douyin 1234 99999999999999999999"].iter().all(|order| paid(order).is_err()));
        assert_eq!(one("11-22 09:00 阿明: 现在 10:30 => 「开放」").said, message("现在 10:30", 0));
    }

    #[test]
    fn a_line_that_is_tried_needs_no_time() {
        let now = jiff::civil::date(2026, 11, 22).at(20, 30, 0, 0);
        let tried = |text: &str| parse_tried(text, now).map(|lines| lines[0].clone());
        let line = tried("[骑行一群] 阿明:签到").unwrap();
        assert_eq!((line.at, line.member.as_str(), line.group.as_deref(), line.said), (now, "阿明", Some("骑行一群"), message("签到", 0)));
        assert_eq!(tried("阿明: 现在 10:30").unwrap().said, message("现在 10:30", 0));
        assert_eq!(tried("11-21 09:00 阿明: 签到").unwrap().at, jiff::civil::date(2026, 11, 21).at(9, 0, 0, 0));
        assert!(tried("11-21 29:00 阿明: 签到").unwrap_err().contains("29:00"));
        assert!(tried("签到").unwrap_err().contains("谁: 说了什么"));
    }

    #[test]
    fn a_mistyped_arrow_is_no_part_of_what_is_said() {
        for arrow in ["=》0", "＝＞ 0", "=＞ +2", "→ 0", "-> 0", " = 0", " 得 0 分", "->「成功」", "=》 ＋２"] {
            let reason = parse_line(&format!("11-22 09:00 阿明: 签到{arrow}"), 2026, 1).unwrap_err();
            assert!(reason.contains(&format!("「{}」被当成阿明说的话", arrow.trim())) && reason.contains("=>"), "{arrow}: {reason}");
        }
        for talk in ["1+1=2", "得了 5 分", "心得 3", "a = 2 => 0", "气温 -2", "签到", "他说「好」"] {
            assert!(parse_line(&format!("11-22 09:00 阿明: {talk}"), 2026, 1).is_ok(), "{talk}");
        }
        assert!(parse_line("11-22 09:00 阿明: [事件 event.verified] => +50", 2026, 1).unwrap_err().contains("事件名是 verified"));
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        let reason = |text| parse_line(text, 2026, 1).unwrap_err();
        assert!(reason("签到").contains("看不懂"));
        assert!(reason("13-40 09:00 阿明: 签到").contains("没有「13-40」这个日期"));
        assert!(reason("11-22 25:00 阿明: 签到").contains("没有「25:00」这个时刻"));
        assert!(reason("11-22 09:00 阿明: 签到 => 两分").contains("不是积分"));
        assert!(reason("11-22 09:00 阿明: 签到 =>").contains("空的"));
        assert!(reason("11-22..11-20 09:00 阿明: 签到").contains("首日之前"));
        assert!(reason("11-22 09:00 [群 阿明: 签到").contains("少了 ]"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "\\PC{0,60}") {
            let _ = parse_line(&text, 2026, 1);
            let _ = parse_line(&format!("11-22 09:00 {text}"), 2026, 1);
        }
    }
}
