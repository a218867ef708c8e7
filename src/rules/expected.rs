//! What a `[[test]]` expects at its end: what was booked, what everybody has, what was said.
//!
//! ```text
//! ledger  = posting … | balance …            # every posting, in order; balances alone say nothing about the postings
//! posting = member ("+"|"-") points code date ["held"]   # 阿明 +2 check_in.daily 11-22
//! balance = member "=" points                # 阿明 = 12: all that the member has, what waits and what is held included
//! replies = reply …                          # every reply, in order
//! reply   = "→ " member ": " text            # → 阿明: 签到成功; further lines of the text are indented; 群 for what the clock has the bot say
//! ```

use jiff::civil::Date;

/// The `ledger` of a test.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Every posting, in order; `None` where only balances are told.
    pub postings: Option<Vec<Expected>>,
    /// What members have at the end.
    pub balances: Vec<Balance>,
}

/// A line that must come out as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What must come out.
    pub text: String,
}

/// What a member must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Who.
    pub member: String,
    /// How much.
    pub points: i64,
}

/// A posting as a line: `阿明 +2 check_in.daily 11-22`. The year stands where it is not the test's.
pub fn posting(member: &str, change: i64, code: &str, day: Date, held: bool, year: i16) -> String {
    let year = if day.year() == year { String::new() } else { format!("{:04}-", day.year()) };
    format!("{member} {change:+} {code} {year}{:02}-{:02}{}", day.month(), day.day(), if held { " held" } else { "" })
}

/// A reply as lines: `→ 阿明: 签到成功`, its further lines indented.
pub fn reply(to: &str, text: &str) -> String {
    format!("→ {to}: {}", text.replace('\n', "\n  "))
}

/// Reads a `ledger`, each line with its number in the file; what cannot be read is told by the place of its line in `lines`.
pub fn read_ledger(lines: &[(usize, &str)], year: i16, date: impl Fn(&str, i16) -> Result<Date, String>) -> Result<Ledger, Vec<(usize, String)>> {
    let (mut ledger, mut postings, mut bad) = (Ledger::default(), Vec::new(), Vec::new());
    for (place, (line, text)) in lines.iter().enumerate() {
        if let Some((member, points)) = balance(text) {
            ledger.balances.push(Balance { line: *line, member: member.to_owned(), points });
            continue;
        }
        match read_posting(text, year, &date) {
            Ok(text) => postings.push(Expected { line: *line, text }),
            Err(reason) => bad.push((place, reason)),
        }
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    ledger.postings = Some(postings).filter(|postings| !postings.is_empty() || ledger.balances.is_empty());
    Ok(ledger)
}

fn balance(text: &str) -> Option<(&str, i64)> {
    let (member, points) = text.rsplit_once(['=', '\u{ff1d}'])?;
    let member = member.trim();
    Some((member, points.trim().parse().ok()?)).filter(|_| !member.is_empty())
}

fn read_posting(text: &str, year: i16, date: impl Fn(&str, i16) -> Result<Date, String>) -> Result<String, String> {
    let unread =
        || format!("看不懂「{}」;请写成 阿明 +2 check_in.daily 11-22(谁 多少分 规则 日期),只核对余额就写 阿明 = 2", text.chars().take(40).collect::<String>());
    let (rest, held) = text.strip_suffix(" held").map_or((text, false), |rest| (rest.trim_end(), true));
    let mut words = rest.rsplitn(4, char::is_whitespace).map(str::trim);
    let (Some(day), Some(code), Some(change), Some(member)) = (words.next(), words.next(), words.next(), words.next()) else { return Err(unread()) };
    let change: i64 = change.parse().ok().filter(|_| change.starts_with(['+', '-'])).ok_or_else(unread)?;
    Ok(posting(member, change, code, date(day, year)?, held, year))
}

/// Reads `replies`: a reply begins with an arrow, its further lines follow it.
pub fn read_replies(lines: &[(usize, &str)]) -> Result<Vec<Expected>, Vec<(usize, String)>> {
    let (mut replies, mut bad): (Vec<Expected>, Vec<(usize, String)>) = (Vec::new(), Vec::new());
    for (place, (line, text)) in lines.iter().enumerate() {
        match (text.strip_prefix(['→', '>']), replies.last_mut()) {
            (Some(rest), _) if rest.contains([':', '\u{ff1a}']) => {
                let (to, said) = rest.split_once([':', '\u{ff1a}']).unwrap_or((rest, ""));
                replies.push(Expected { line: *line, text: reply(to.trim(), said.trim()) });
            }
            (None, Some(before)) => before.text += &format!("\n  {text}"),
            (Some(_) | None, Some(_) | None) => bad.push((place, "一条回复请写成 → 阿明: 回复的全文,后面的行往里缩两格".to_owned())),
        }
    }
    if bad.is_empty() { Ok(replies) } else { Err(bad) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str, year: i16) -> Result<Date, String> {
        format!("{year}-{text}").parse().map_err(|_| "no date".to_owned())
    }

    fn ledger(text: &str) -> Result<Ledger, Vec<(usize, String)>> {
        let lines: Vec<(usize, &str)> = text.lines().enumerate().map(|(at, line)| (at + 5, line)).collect();
        read_ledger(&lines, 2026, day)
    }

    #[test]
    fn postings_and_balances_are_told_apart() {
        let read = ledger("阿明 +2 check_in.daily 11-22\n阿明 = 12\n阿 明 -3 grant 11-22 held").unwrap();
        let texts: Vec<&str> = read.postings.iter().flatten().map(|posting| posting.text.as_str()).collect();
        assert_eq!(texts, ["阿明 +2 check_in.daily 11-22", "阿 明 -3 grant 11-22 held"]);
        assert_eq!(read.balances, [Balance { line: 6, member: "阿明".into(), points: 12 }]);
        assert_eq!(ledger("阿明 = -1").unwrap().postings, None, "balances alone say nothing about the postings");
        assert_eq!(ledger("").unwrap().postings, Some(Vec::new()), "nothing written is nothing booked");
    }

    #[test]
    fn what_is_no_posting_says_what_to_write() {
        for text in ["阿明 2 check_in.daily 11-22", "阿明 +2", "+2 check_in.daily 11-22", "阿明 +两 check_in.daily 11-22"] {
            assert!(ledger(text).unwrap_err()[0].1.contains("阿明 = 2"), "{text}");
        }
        assert_eq!(ledger("阿明 +2 check_in.daily 13-45").unwrap_err(), [(0, "no date".to_owned())]);
    }

    #[test]
    fn a_reply_may_have_several_lines() {
        let read = read_replies(&[(3, "→ 阿明: 一"), (4, "二"), (5, "→ 群:三")]).unwrap();
        assert_eq!(read, [Expected { line: 3, text: "→ 阿明: 一\n  二".into() }, Expected { line: 5, text: "→ 群: 三".into() }]);
        assert_eq!(read_replies(&[(3, "签到成功")]).unwrap_err()[0].0, 0);
    }
}
