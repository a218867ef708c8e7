//! The six questions: each has a default, and an answer that would not do is asked for again with the reason.

use anyhow::{Result, bail};

use super::compose::{Answers, KINDS, compose};

/// A question: what is asked, and what an answer does.
struct Question {
    /// What is asked; the default stands behind it.
    text: fn(&Answers) -> String,
    /// Takes an answer in.
    take: fn(&mut Answers, &str) -> Result<(), String>,
}

const QUESTIONS: [Question; 6] = [
    Question { text: ask_kind, take: take_kind },
    Question { text: ask_keywords, take: take_keywords },
    Question { text: ask_points, take: take_points },
    Question { text: ask_talk, take: take_talk },
    Question { text: ask_value, take: take_value },
    Question { text: ask_groups, take: take_groups },
];

/// Says that there is none.
const NONE: [&str; 7] = ["无", "不", "不要", "没有", "0", "no", "none"];

/// Asks all of them. `next` gives the next line, `None` at the end: then the defaults stand. On a terminal a bad answer is asked for again;
/// elsewhere it is an error, since the next line answers the next question.
///
/// # Errors
/// A bad answer that is not from a terminal; input that cannot be read.
pub fn ask(on_terminal: bool, next: &mut dyn FnMut() -> std::io::Result<Option<String>>) -> Result<Answers> {
    let mut answers = KINDS[0].defaults();
    for (number, question) in QUESTIONS.iter().enumerate() {
        loop {
            if on_terminal {
                eprint!("{}/{} {}\n> ", number + 1, QUESTIONS.len(), (question.text)(&answers));
            }
            let Some(line) = next()? else { return Ok(answers) };
            let line = line.trim();
            if line.is_empty() {
                break;
            }
            let mut changed = answers.clone();
            match (question.take)(&mut changed, line).and_then(|()| compose(&changed)) {
                Ok(_) => {
                    answers = changed;
                    break;
                }
                Err(reason) if on_terminal => eprintln!("  这样不行:{reason}\n"),
                Err(reason) => bail!("第 {} 个回答「{line}」不行:{reason}", number + 1),
            }
        }
    }
    Ok(answers)
}

fn ask_kind(_: &Answers) -> String {
    let kinds = KINDS.iter().enumerate().map(|(at, kind)| format!("\n  {} {}:{}", at + 1, kind.title, kind.about));
    format!("这是什么群?写编号,直接回车是 1{}", kinds.collect::<String>())
}

fn take_kind(answers: &mut Answers, line: &str) -> Result<(), String> {
    let by_number = line.parse::<usize>().ok().and_then(|number| KINDS.get(number.checked_sub(1)?));
    let kind = by_number.or_else(|| KINDS.iter().find(|kind| kind.title == line));
    *answers = kind.ok_or_else(|| format!("没有「{line}」;请写 1 到 {} 的编号", KINDS.len()))?.defaults();
    Ok(())
}

fn ask_keywords(answers: &Answers) -> String {
    format!("签到发什么?几种说法用逗号隔开(直接回车:{})", answers.keywords.join(","))
}

fn take_keywords(answers: &mut Answers, line: &str) -> Result<(), String> {
    answers.keywords = names(line);
    let odd = answers.keywords.iter().find(|word| word.contains(['"', '\\', '\'']));
    match odd {
        Some(word) => Err(format!("口令「{word}」里有引号或反斜杠,成员不好打;换一个")),
        None if answers.keywords.is_empty() => Err("至少写一个口令,如 签到".to_owned()),
        None => Ok(()),
    }
}

fn ask_points(answers: &Answers) -> String {
    format!("签到一次几分,连续第 7 天另加几分?两个数,不要连签奖励就把后一个写 0(直接回车:{} {})", answers.points, answers.bonus)
}

fn take_points(answers: &mut Answers, line: &str) -> Result<(), String> {
    let numbers = numbers(line);
    (answers.points, answers.bonus) = match numbers.as_deref() {
        Some([points]) => (*points, 0),
        Some([points, bonus]) => (*points, *bonus),
        Some(_) | None => return Err(format!("「{line}」看不懂;请写两个整数,如 2 10")),
    };
    if answers.bonus < 0 { Err("另加的分不能是负数;不要就写 0".to_owned()) } else { Ok(()) }
}

fn ask_talk(answers: &Answers) -> String {
    let default = answers.talk.as_ref().map_or("无".to_owned(), |(when, most)| format!("{when} {most}"));
    format!("聊天给分吗?写时段和每人一天最多几分,如 20:00-21:00 20;不给就写 无(直接回车:{default})")
}

fn take_talk(answers: &mut Answers, line: &str) -> Result<(), String> {
    answers.talk = None;
    if is_none(line) {
        return Ok(());
    }
    let unread = || format!("「{line}」看不懂;请写时段、空格、一天最多几分,如 20:00-21:00 20;不给就写 无");
    let (when, most) = line.rsplit_once(char::is_whitespace).ok_or_else(unread)?;
    let most = most.trim_end_matches('分').parse().map_err(|_| unread())?;
    answers.talk = Some((when.trim().replace('\u{ff1a}', ":").replace(['~', '\u{ff5e}', '到'], "-"), most));
    Ok(())
}

fn ask_value(_: &Answers) -> String {
    "一积分值多少元?如 0.01;不打算按钱算就写 无(直接回车:无)".to_owned()
}

fn take_value(answers: &mut Answers, line: &str) -> Result<(), String> {
    answers.value = (!is_none(line)).then(|| line.trim_end_matches('元').trim().to_owned());
    Ok(())
}

fn ask_groups(_: &Answers) -> String {
    "用在哪些群?写群名,几个用逗号隔开;所有群就写 全部(直接回车:全部)".to_owned()
}

fn take_groups(answers: &mut Answers, line: &str) -> Result<(), String> {
    answers.groups = if matches!(line, "全部" | "所有" | "*" | "all") { Vec::new() } else { names(line) };
    Ok(())
}

fn is_none(line: &str) -> bool {
    NONE.contains(&line.to_lowercase().as_str())
}

fn names(line: &str) -> Vec<String> {
    line.split([',', '\u{ff0c}', '、', ';', '\u{ff1b}']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn numbers(line: &str) -> Option<Vec<i64>> {
    let parts = line.split([' ', '\t', '\u{3000}', ',', '\u{ff0c}', '、', '+', '\u{ff0b}']).filter(|part| !part.is_empty());
    parts.map(|part| part.trim_end_matches('分').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&str]) -> Result<Answers> {
        let mut lines = lines.iter();
        ask(false, &mut || Ok(lines.next().map(|line| (*line).to_owned())))
    }

    #[test]
    fn no_answer_is_the_default() {
        assert_eq!(asked(&[]).expect("defaults"), KINDS[0].defaults());
        assert_eq!(asked(&["", "", "", "", "", ""]).expect("defaults"), KINDS[0].defaults());
    }

    #[test]
    fn answers_are_taken_as_people_write_them() {
        let answers = asked(&["直播带货", "签到、打卡", "5分,20分", "20\u{ff1a}00~21:00 30分", "0.01元", "一群\u{ff0c}二群"]).expect("good answers");
        assert_eq!(answers.kind.title, "直播带货");
        assert_eq!((answers.keywords.len(), answers.points, answers.bonus), (2, 5, 20));
        assert_eq!(answers.talk, Some(("20:00-21:00".into(), 30)));
        assert_eq!((answers.value.as_deref(), answers.groups.len()), (Some("0.01"), 2));
    }

    #[test]
    fn a_bad_answer_is_told_with_its_number() {
        for (lines, part) in [
            (&["9"][..], "第 1 个回答「9」不行:没有「9」"),
            (&["1", "积分"], "第 2 个回答"),
            (&["1", "", "两分"], "两个整数"),
            (&["1", "", "2 -5"], "负数"),
            (&["1", "", "", "晚上"], "时段、空格"),
            (&["1", "", "", "25:00-26:00 20"], "25:00"),
            (&["7", "", "", "20:00-21:00 20"], "一条消息会得两次"),
            (&["1", "", "", "", "一块"], "一块"),
            (&["1", "", "", "", "", "a,a"], "写了两次"),
        ] {
            let told = asked(lines).expect_err("a bad answer").to_string();
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn on_a_terminal_a_bad_answer_is_asked_for_again() {
        let mut lines = ["9", "2", "签\"到", "报到", "", "", "", ""].iter();
        let answers = ask(true, &mut || Ok(lines.next().map(|line| (*line).to_owned()))).expect("in the end good");
        assert_eq!((answers.kind.title, &*answers.keywords), ("社群运营", &["报到".to_owned()][..]));
    }
}
