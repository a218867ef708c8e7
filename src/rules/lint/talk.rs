//! Words and talk that are too easy: who farms points needs no more than one character.

use crate::rules::campaign::Campaign;
use crate::rules::lint::{Placed, worst};
use crate::rules::mistake::{Mistakes, Severity};
use crate::rules::text::fold;
use crate::rules::words::How;

/// Letters of a message below which talk is farmed: 「好」「嗯」「1」.
const CHARS_MIN: u32 = 2;

const DAY_SECS: i64 = 86_400;

/// What stands between words that were meant one by one.
const SEPARATORS: [char; 9] = ['、', '，', ',', '/', '；', ';', '|', '／', '或'];

/// Letters of a word of which several stand in one; a longer one is a sentence.
const JOINED_CHARS_MAX: usize = 6;

/// The words of 「签到、打卡」, which nobody says in one; `None` for one word.
fn joined(text: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = text.split(SEPARATORS).map(str::trim).collect();
    let is_word = |part: &&str| (2..=JOINED_CHARS_MAX).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic);
    (parts.len() > 1 && parts.iter().all(is_word)).then_some(parts)
}

/// Warns of one rule.
pub fn check(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let kind = &rule.kind;
    if let Some(chars) = kind.least_chars().filter(|chars| *chars < CHARS_MIN) {
        let text = format!("{} 的 min_chars = {chars},发「好」「1」这样一个字也计分,容易被刷;建议写 min_chars = 4", rule.code);
        mistakes.costly(head.clone(), Severity::Warning, "short-talk", text, worst::cost(campaign, &[rule]));
    }
    let inside = kind.listens_for().iter().filter(|listen| matches!(listen.how, How::Contains | How::StartsWith));
    if let Some(listen) = inside.into_iter().find(|listen| fold(&listen.text).as_str().chars().count() == 1) {
        let text = format!("{} 的口令「{}」只有一个字,又不要求整句相等,随口一句话就会得分;请换长一点的口令,或改 match = \"equals\"", rule.code, listen.text);
        mistakes.costly(head.clone(), Severity::Warning, "short-keyword", text, worst::cost(campaign, &[rule]));
    }
    let whole = kind.listens_for().iter().filter(|listen| listen.how == How::Equals);
    for (listen, parts) in whole.filter_map(|listen| joined(&listen.text).map(|parts| (listen, parts))) {
        let parts: Vec<String> = parts.iter().map(|part| format!("\"{part}\"")).collect();
        let text = format!("{} 的「{}」是一整句口令;要 {} 个口令,写 [{}]", rule.code, listen.text, parts.len(), parts.join(", "));
        mistakes.warning(head.clone(), "joined-keywords", text);
    }
    let pause = kind.pause_secs();
    let longest = rule.common.when.as_ref().map(|when| when.longest_minutes() * 60);
    if let Some(longest) = longest.filter(|longest| pause < DAY_SECS && pause > *longest) {
        let text = format!("{} 的 cool_down 是 {pause} 秒,比最长的时段({longest} 秒)还长,一个时段里最多计一条;请把 cool_down 写短一些", rule.code);
        mistakes.warning(head.clone(), "long-cool-down", text);
    }
}
