//! `[assistant]`: its names, the words it answers to, when it speaks unasked, and its own texts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::decision::Question;
use crate::model::reply::Occasion;
use crate::rules::text::{Folded, fold};
use crate::rules::when::When;

/// `[assistant]`
#[derive(Debug)]
pub struct Assistant {
    /// What it is called after an @.
    pub names: Vec<Arc<str>>,
    /// The words of each question, as the operator wrote them; the first is the one it recommends.
    pub words: Vec<(Question, Vec<Arc<str>>)>,
    /// How it speaks of a success nobody asked about.
    pub answer: Answer,
    /// When it does not speak unasked.
    pub quiet: Option<When>,
    /// Own texts instead of the default ones.
    pub replies: Vec<(Occasion, Vec<String>)>,
    asks: HashMap<Folded, Question>,
}

/// `answer = "auto" | "each" | "digest" | "never"`: unasked successes. Who asks is always answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// One by one while few, gathered when many.
    #[default]
    Auto,
    /// Each on its own.
    Each,
    /// Gathered.
    Digest,
    /// Not at all.
    Never,
}

/// The names it has when none are written.
pub const NAMES: [&str; 2] = ["积分助手", "小助手"];

/// The words it answers to when none are written, the recommended one first.
pub const WORDS: [(Question, &[&str]); 21] = [
    (Question::Balance, &["积分", "查询", "我的积分", "查积分", "余额"]),
    (Question::Today, &["今天", "今日"]),
    (Question::Rank, &["排行", "排行榜", "排名", "本周排行"]),
    (Question::Why, &["为什么"]),
    (Question::History, &["明细", "积分明细"]),
    (Question::Rules, &["规则", "积分规则"]),
    (Question::Help, &["帮助", "help"]),
    (Question::Tasks, &["任务", "我的任务"]),
    (Question::RankToday, &["今日排行", "今天排行"]),
    (Question::RankMonth, &["本月排行", "月榜"]),
    (Question::RankEver, &["总排行", "总榜"]),
    (Question::RankLastWeek, &["上周排行"]),
    (Question::RankLastMonth, &["上月排行", "上个月排行"]),
    (Question::RankGroup, &["本群排行"]),
    (Question::Newcomers, &["新人榜", "新人排行"]),
    (Question::LeaveBoard, &["退出排行", "退出排行榜"]),
    (Question::JoinBoard, &["加入排行", "加入排行榜"]),
    (Question::Level, &["等级", "我的等级"]),
    (Question::Affinity, &["亲密度", "温度"]),
    (Question::Titles, &["称号", "我的称号"]),
    (Question::Calendar, &["签到日历", "日历"]),
];

impl Assistant {
    /// An assistant of these names, words and manners. A word that is written for two questions asks the first.
    pub fn new(
        names: Vec<Arc<str>>,
        words: Vec<(Question, Vec<Arc<str>>)>,
        answer: Answer,
        quiet: Option<When>,
        replies: Vec<(Occasion, Vec<String>)>,
    ) -> Self {
        let mut asks = HashMap::new();
        for (question, word) in words.iter().flat_map(|(question, words)| words.iter().map(move |word| (question, word))) {
            asks.entry(fold(word)).or_insert(*question);
        }
        Assistant { names, words, answer, quiet, replies, asks }
    }

    /// The question a text asks, if the whole text is one of the words.
    pub fn question(&self, text: &Folded) -> Option<Question> {
        self.asks.get(text).copied()
    }

    /// The word to recommend for a question; `None` where the operator took all its words away.
    pub fn word(&self, question: Question) -> Option<&str> {
        let (_, words) = self.words.iter().find(|(asked, _)| *asked == question)?;
        words.first().map(|word| &**word)
    }
}

impl Default for Assistant {
    fn default() -> Self {
        let words = WORDS.iter().map(|(question, words)| (*question, words.iter().map(|&word| word.into()).collect())).collect();
        Assistant::new(NAMES.map(Arc::from).to_vec(), words, Answer::default(), None, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_whole_word_however_it_is_typed() {
        let assistant = Assistant::default();
        assert_eq!(assistant.question(&fold("為什麼?")), Some(Question::Why));
        assert_eq!(assistant.question(&fold(" 积 分。")), Some(Question::Balance));
        assert_eq!(assistant.question(&fold("积分怎么用")), None);
        assert_eq!(assistant.question(&fold("")), None);
    }
}
