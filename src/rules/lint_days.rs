//! Mistakes that cost money in rules that count days or listen for answers and topics: ladders that pay more to who breaks off, rungs nobody
//! can reach, answers that are words already.

use std::ops::Range;

use crate::rules::assistant::Assistant;
use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::check_in::StreakThen;
use crate::rules::lint::Placed;
use crate::rules::mistake::Mistakes;
use crate::rules::text::fold;
use crate::rules::words::How;

/// What a rule says of its days, for these checks.
#[derive(Debug, Clone, Copy)]
pub struct Ladder<'a> {
    /// Points a time.
    pub points: i64,
    /// (day in a row, extra points), ascending.
    pub rungs: &'a [(u32, i64)],
    /// After the highest rung.
    pub then: StreakThen,
    /// The answers of the days.
    pub answers: &'a crate::rules::check_in::answers::Answers,
}

/// Warns of one rule.
pub(super) fn check(campaign: &Campaign, (rule, head): Placed<'_>, assistant: &Assistant, mistakes: &mut Mistakes) {
    let Some(ladder) = rule.kind.ladder() else { return };
    breaks_off(rule, &ladder, head, mistakes);
    unreachable(rule, &ladder, head, mistakes);
    answers(campaign, (rule, head), &ladder, assistant, mistakes);
}

/// A ladder on which one who leaves a day out and begins anew earns more in the long run than one who goes on.
fn breaks_off(rule: &RuleEntry, ladder: &Ladder<'_>, head: &Range<usize>, mistakes: &mut Mistakes) {
    let Some((top, _)) = ladder.rungs.last() else { return };
    let all: i128 = ladder.rungs.iter().map(|(_, bonus)| i128::from(*bonus)).sum();
    let points = i128::from(ladder.points);
    let (honest, days) = match ladder.then {
        StreakThen::Restart => (i128::from(*top) * points + all, i128::from(*top)),
        StreakThen::GoOn | StreakThen::Stop => (points, 1),
    };
    let mut bonuses = 0;
    for (day, bonus) in ladder.rungs {
        bonuses += i128::from(*bonus);
        // On the highest rung a ladder that begins anew need not be broken off, and one that stops pays no bonus ever again.
        if day == top && ladder.then != StreakThen::GoOn {
            break;
        }
        let broken = i128::from(*day) * points + bonuses;
        if broken * days > honest * (i128::from(*day) + 1) {
            let text = format!(
                "{} 的 streak 不划算:连签 {day} 天就断一天重来,平均每 {} 天得 {broken} 分,比一直签到底还多;请把后面的档调高,或写 streak_then = \"restart\"",
                rule.code,
                day + 1
            );
            mistakes.warning(head.clone(), "streak-breaks-off", text);
            return;
        }
    }
}

/// A rung that no run can reach: the dates are fewer days, or it is closed on some days of each week.
fn unreachable(rule: &RuleEntry, ladder: &Ladder<'_>, head: &Range<usize>, mistakes: &mut Mistakes) {
    let dated = rule.common.dates.map(|(first, last)| crate::model::day::Day::of(last).0 - crate::model::day::Day::of(first).0 + 1);
    let weekly = rule.common.when.as_ref().and_then(|when| when.days_in_a_row());
    let most = dated.and_then(|days| u32::try_from(days).ok()).into_iter().chain(weekly).min();
    let Some((rung, most)) = most.and_then(|most| Some((ladder.rungs.iter().find(|(day, _)| *day > most)?, most))) else { return };
    let text = format!("{} 的 streak 第 {} 天永远签不到:按 dates 和 when,最多连续 {most} 天", rule.code, rung.0);
    mistakes.warning(head.clone(), "streak-unreachable", text);
}

/// Answers that check in, ask or are another rule's word anyway, and answers on days on which the rule is not there.
fn answers(campaign: &Campaign, (rule, head): Placed<'_>, ladder: &Ladder<'_>, assistant: &Assistant, mistakes: &mut Mistakes) {
    if ladder.answers.is_empty() {
        return;
    }
    let words = campaign.rules.iter().flat_map(|other| other.kind.listens_for().iter().map(move |listen| (other, listen)));
    if let Some((other, listen)) = words.filter(|(_, listen)| listen.how == How::Equals).find(|(_, listen)| ladder.answers.ever_accept(&fold(&listen.text))) {
        let text = format!("answers 里的「{}」也是 {} 的口令,说出口令就算答对;请换一处", listen.text, other.code);
        mistakes.warning(head.clone(), "answer-is-keyword", text);
    }
    if let Some(word) = assistant.words.iter().flat_map(|(_, words)| words).find(|word| ladder.answers.ever_accept(&fold(word))) {
        mistakes.warning(head.clone(), "answer-is-question", format!("answers 里的「{word}」也是问助手的话(见 assistant.words);请换一处"));
    }
    let Some((first, last)) = rule.common.dates else { return };
    if let Some(day) = ladder.answers.days().find(|day| !(first..=last).contains(&day.date())) {
        mistakes.warning(head.clone(), "answer-outside-dates", format!("answers 里的 {} 不在 dates 里,那天不开放", day.date()));
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::file::load;

    fn warnings(toml: &str) -> Vec<&'static str> {
        load(toml).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).1.into_iter().map(|mistake| mistake.code).collect()
    }

    fn daily(keys: &str) -> Vec<&'static str> {
        warnings(&format!("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n{keys}"))
    }

    #[test]
    fn a_ladder_that_pays_more_to_who_breaks_off_is_told() {
        assert_eq!(daily("streak = { 7 = 10 }"), [""; 0]);
        assert_eq!(daily("streak = { 7 = 10, 21 = 30 }"), [""; 0]);
        assert_eq!(daily("streak = { 2 = 20, 30 = 30 }"), ["streak-breaks-off"]);
        assert_eq!(daily("streak = { 7 = 10 }\nstreak_then = \"go_on\""), ["streak-breaks-off"]);
        assert_eq!(daily("streak = { 7 = 10 }\nstreak_then = \"stop\""), [""; 0]);
    }

    #[test]
    fn a_rung_that_nobody_can_reach_is_told() {
        assert_eq!(daily("streak = { 7 = 10 }\ndates = \"2026-11-01..2026-11-06\""), ["streak-unreachable"]);
        assert_eq!(daily("streak = { 7 = 10 }\nwhen = \"周一至周五 9:00-18:00\""), ["streak-unreachable"]);
        assert_eq!(daily("streak = { 5 = 10 }\nwhen = \"工作日\""), [""; 0]);
        assert_eq!(daily("streak = { 7 = 10 }\ndates = \"2026-11-01..2026-11-07\""), [""; 0]);
    }

    #[test]
    fn an_answer_that_is_a_word_already_is_told() {
        let both = |answer: &str| {
            warnings(&format!(
                "check_in.quiz = {{ points = 5, answers = {{ 2026-11-22 = [\"{answer}\"] }} }}\ncheck_in.daily = {{ keywords = [\"签到\"], points = 2 }}"
            ))
        };
        assert_eq!(both("小雪"), [""; 0]);
        assert_eq!(both("签到"), ["answer-is-keyword"]);
        assert_eq!(both("排行"), ["answer-is-question"]);
    }
}
