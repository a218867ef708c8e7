//! The answer of the day: `answers = { 2026-11-22 = ["小雪"], 2026-11-23 = ["72", "七十二"] }`. A message that is one of them checks in, on its
//! own day only. Nothing else of the program knows the answers, so nothing can tell them.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Date;

use crate::model::day::Day;
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::text::{Folded, fold};

/// Days of one rule: two years.
const DAYS_MAX: usize = 732;

/// Answers of one day.
const ANSWERS_MAX: usize = 50;

/// What counts as right on each day, folded.
#[derive(Default)]
pub struct Answers(BTreeMap<Day, HashSet<Folded>>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answers({} days)", self.0.len())
    }
}

impl Answers {
    /// Reads the key. Notes dates that are none and answers of which nothing is left.
    pub fn read(table: &RuleTable<'_>, written: &BTreeMap<String, Vec<String>>, mistakes: &mut Mistakes) -> Answers {
        let mut answers = Answers::default();
        if written.len() > DAYS_MAX {
            mistakes.error(table.span("answers"), "too-many", format!("answers 最多写 {DAYS_MAX} 天;过去的日子可以删掉"));
        }
        for (date, accepted) in written.iter().take(DAYS_MAX) {
            let span = || table.span_within("answers", date);
            let Ok(day) = date.trim().parse::<Date>().map(Day::of) else {
                mistakes.error(span(), "bad-date", format!("answers 里的「{date}」不是日期;请写成 2026-11-22 = [\"小雪\"]"));
                continue;
            };
            let folded: HashSet<Folded> = accepted.iter().map(|answer| fold(answer)).collect();
            if accepted.is_empty() || accepted.len() > ANSWERS_MAX {
                mistakes.error(span(), "bad-answer", format!("{date} 要写 1 到 {ANSWERS_MAX} 个算对的答案;不出题的日子整行删掉"));
            } else if folded.iter().any(|answer| answer.as_str().is_empty()) {
                mistakes.error(span(), "bad-answer", format!("{date} 有个答案去掉空格、表情和句末标点后什么也不剩,请换一个"));
            }
            answers.0.entry(day).or_default().extend(folded);
        }
        answers
    }

    /// Whether no day has any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a day has any.
    pub fn has(&self, day: Day) -> bool {
        self.0.contains_key(&day)
    }

    /// Whether a text is one of a day's.
    pub fn accept(&self, text: &Folded, day: Day) -> bool {
        self.0.get(&day).is_some_and(|accepted| accepted.contains(text))
    }

    /// The days that have any, ascending.
    pub fn days(&self) -> impl Iterator<Item = Day> + '_ {
        self.0.keys().copied()
    }

    /// Whether a text is an answer of any day.
    pub fn ever_accept(&self, text: &Folded) -> bool {
        self.0.values().any(|accepted| accepted.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::decision::Ruling;
    use crate::rules::file::load;
    use crate::rules::world::World;

    const QUIZ: &str = r#"
        check_in.quiz = { title = "每日一题", when = "10:00-22:00", points = 5, answers = { 2026-11-22 = ["小雪"], 2026-11-23 = ["72", "七十二"] }, first = { 2 = 5 } }
        speaking.talk = { points = 1, min_chars = 2, max_points = { day = 9 } }
    "#;

    #[test]
    fn the_answer_of_the_day_pays_and_that_of_another_day_is_talk() {
        let mut world = World::new(QUIZ);
        assert_eq!(world.says("11-22 10:00", "小雪!"), 10, "the first two get five more");
        assert_eq!(world.said(), ["阿明 每日一题 +10(第 1 名 +5),现有 10 积分。🎉"]);
        assert_eq!(world.says("11-22 10:01", "七十二"), 1, "tomorrow's");
        assert_eq!(world.says("11-23 10:00", "小雪"), 1, "yesterday's");
        assert_eq!(world.says("11-23 10:01", "７２"), 10, "each day has its own first");
        assert_eq!(world.says("11-24 10:00", "七十二"), 1, "no question, no answer");
    }

    #[test]
    fn while_it_is_closed_nothing_tells_that_an_answer_was_right() {
        let mut world = World::new(QUIZ);
        assert_eq!(world.says("11-22 09:59", "小雪"), 1);
        assert!(world.last.replies.is_empty());
        world.says("11-22 09:59", "@积分助手 小雪");
        let right = world.said();
        world.says("11-22 09:59", "@积分助手 大雪");
        assert_eq!(right, world.said());
        world.says("11-22 10:05", "@积分助手 规则");
        assert!(world.said()[0].contains("每日一题:答对当天的题 +5 积分,前 2 名再 +5;10:00–22:00;每天 1 次"), "{:?}", world.said());
        assert!(!world.said()[0].contains("小雪"));
    }

    #[test]
    fn who_has_answered_is_told_so_even_when_all_places_are_taken() {
        let mut world = World::new("check_in.quiz = { points = 5, answers = { 2026-11-22 = [\"小雪\"] }, first_only = 1 }");
        assert_eq!(world.says("11-22 10:00", "小雪"), 5);
        world.says("11-22 10:01", "@积分助手 小雪");
        assert!(world.said()[0].contains("10:00"), "{:?}", world.said());
        let mut late = World::new("check_in.quiz = { points = 5, answers = { 2026-11-22 = [\"小雪\"] }, first_only = 1 }");
        late.shared = world.shared;
        assert_eq!(late.says("11-22 10:02", "小雪"), 0);
        assert!(matches!(late.ruling(), Ruling::Refused(crate::model::decision::Refusal::TooLate { first: 1 })));
    }

    #[test]
    fn a_day_without_a_question_is_not_promised() {
        let mut world = World::new(QUIZ);
        world.says("11-21 12:00", "@积分助手 今天");
        assert!(!world.said()[0].contains("每日一题"), "{:?}", world.said());
        world.says("11-22 12:00", "@积分助手 今天");
        assert!(world.said()[0].contains("10:00–22:00 每日一题 +10"), "{:?}", world.said());
    }

    #[test]
    fn dates_that_are_none_and_answers_of_nothing_are_told_with_their_place() {
        let mistakes = load("[check_in.quiz]\npoints = 5\nanswers = { 2026-02-30 = [\"小雪\"], 2026-11-22 = [\"!!\"], 2026-11-23 = [] }\nfirst = { 0 = 5 }\n")
            .expect_err("four");
        let told: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
        assert_eq!(told, ["bad-date", "bad-answer", "bad-answer", "bad-first"]);
    }
}
