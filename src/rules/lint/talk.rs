//! Words and talk that are too easy: who farms points needs no more than one character.

use crate::rules::campaign::Campaign;
use crate::rules::lint::{Placed, worst};
use crate::rules::mistake::{Mistakes, Severity};
use crate::rules::text::fold;
use crate::rules::words::How;

/// Letters of a message below which talk is farmed: 「好」「嗯」「1」.
const CHARS_MIN: u32 = 2;

const DAY_SECS: i64 = 86_400;

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
    let pause = kind.pause_secs();
    let longest = rule.common.when.as_ref().map(|when| when.longest_minutes() * 60);
    if let Some(longest) = longest.filter(|longest| pause < DAY_SECS && pause > *longest) {
        let text = format!("{} 的 cool_down 是 {pause} 秒,比最长的时段({longest} 秒)还长,一个时段里最多计一条;请把 cool_down 写短一些", rule.code);
        mistakes.warning(head.clone(), "long-cool-down", text);
    }
}
