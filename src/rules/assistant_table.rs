//! `[assistant]`: its keys, and reading them into [`Assistant`].

use std::sync::Arc;

use schemars::JsonSchema;

use crate::model::decision::Question;
use crate::model::reply::Occasion;
use crate::rules::assistant::{Answer, Assistant};
use crate::rules::mistake::Mistakes;
use crate::rules::shared_keys::{self, OneOrMany};
use crate::rules::table::{RuleTable, texts};
use crate::rules::text::{Folded, fold};

/// 助手:叫什么、听得懂什么、何时不说话。可省。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AssistantTable {
    /// 助手的名字,成员 @ 它时用。默认 ["积分助手", "小助手"]。
    #[schemars(length(min = 1), inner(length(min = 1, max = 40)), extend("examples" = [["积分助手", "小助手"]]))]
    #[schemars(extend("x-en" = "Its names after an @."))]
    pub names: Option<Vec<String>>,
    /// 每种提问的说法。没写的提问用默认说法。
    #[schemars(extend("x-en" = "How each question is asked."))]
    pub words: Option<WordsTable>,
    /// 没被 @ 时怎么回:auto 一分钟 5 条以内逐条、再多就每 10 分钟合并播报一次,each 逐条,digest 总是合并,never 不回。被 @ 或单聊总是回。默认 auto。
    #[schemars(extend("x-en" = "How it speaks of a success nobody asked about: `auto` one by one up to 5 a minute in a group and beyond that in one digest every 10 minutes, `each` one by one, `digest` always gathered, `never`. Who asks is always answered. Default `auto`."))]
    pub answer: Option<AnswerName>,
    /// 这段时间不主动播报,结束后合并播报;被 @ 或单聊照样回。
    #[schemars(extend("examples" = ["22:30-08:00"]))]
    #[schemars(extend("x-en" = "When it does not speak unasked; what happened is told in a digest afterwards."))]
    pub quiet: Option<OneOrMany>,
    /// 改写默认文案,按场合。
    #[schemars(extend("x-en" = "Own texts, by occasion."))]
    pub replies: Option<RepliesTable>,
}

/// 每种提问的说法。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct WordsTable {
    /// 查余额。默认 ["积分", "查询", "我的积分", "查积分", "余额"]。
    #[schemars(extend("examples" = [["积分", "查询"]]))]
    #[schemars(extend("x-en" = "The balance."))]
    pub balance: Option<Vec<String>>,
    /// 今天还能得多少。默认 ["今天", "今日"]。
    #[schemars(extend("examples" = [["今天"]]))]
    #[schemars(extend("x-en" = "What can still be earned today."))]
    pub today: Option<Vec<String>>,
    /// 本周的排行榜。默认 ["排行", "排行榜", "排名", "本周排行"]。
    #[schemars(extend("examples" = [["排行"]]))]
    #[schemars(extend("x-en" = "This week's board."))]
    pub rank: Option<Vec<String>>,
    /// 为什么没得分。默认 ["为什么"]。
    #[schemars(extend("examples" = [["为什么"]]))]
    #[schemars(extend("x-en" = "Why points came or did not."))]
    pub why: Option<Vec<String>>,
    /// 最近的明细。默认 ["明细", "积分明细"]。
    #[schemars(extend("examples" = [["明细"]]))]
    #[schemars(extend("x-en" = "The last bookings."))]
    pub history: Option<Vec<String>>,
    /// 规则说明。默认 ["规则", "积分规则"]。
    #[schemars(extend("examples" = [["规则"]]))]
    #[schemars(extend("x-en" = "The rules in plain words."))]
    pub rules: Option<Vec<String>>,
    /// 自己的签到日历。默认 ["签到日历", "日历"]。
    #[schemars(extend("examples" = [["签到日历"]]))]
    #[schemars(extend("x-en" = "One's own check-ins of the month."))]
    pub calendar: Option<Vec<String>>,
    /// 帮助。默认 ["帮助", "help"]。
    #[schemars(extend("examples" = [["帮助"]]))]
    #[schemars(extend("x-en" = "What can be asked."))]
    pub help: Option<Vec<String>>,
    /// 任务:做到哪一步了。默认 ["任务", "我的任务"]。
    #[schemars(extend("examples" = [["任务"]]))]
    #[schemars(extend("x-en" = "The tasks and how far one is."))]
    pub tasks: Option<Vec<String>>,
    /// 今天的排行榜。默认 ["今日排行", "今天排行"]。
    #[schemars(extend("examples" = [["今日排行"]]))]
    #[schemars(extend("x-en" = "Today's board."))]
    pub rank_today: Option<Vec<String>>,
    /// 本月的排行榜。默认 ["本月排行", "月榜"]。
    #[schemars(extend("examples" = [["本月排行"]]))]
    #[schemars(extend("x-en" = "This month's board."))]
    pub rank_month: Option<Vec<String>>,
    /// 活动开始以来的排行榜。默认 ["总排行", "总榜"]。
    #[schemars(extend("examples" = [["总排行"]]))]
    #[schemars(extend("x-en" = "The board of all time."))]
    pub rank_ever: Option<Vec<String>>,
    /// 上周的排行榜;一周过去 1 小时后定榜,以后不再变。默认 ["上周排行"]。
    #[schemars(extend("examples" = [["上周排行"]]))]
    #[schemars(extend("x-en" = "Last week's board, fixed an hour after the week is over."))]
    pub rank_last_week: Option<Vec<String>>,
    /// 上月的排行榜;一个月过去 1 小时后定榜,以后不再变。默认 ["上月排行", "上个月排行"]。
    #[schemars(extend("examples" = [["上月排行"]]))]
    #[schemars(extend("x-en" = "Last month's board, fixed an hour after the month is over."))]
    pub rank_last_month: Option<Vec<String>>,
    /// 在这个群里得的分排出的本周榜。默认 ["本群排行"]。
    #[schemars(extend("examples" = [["本群排行"]]))]
    #[schemars(extend("x-en" = "This week's board of what was earned in this group."))]
    pub rank_group: Option<Vec<String>>,
    /// 30 天内第一次得分的成员的榜。默认 ["新人榜", "新人排行"]。
    #[schemars(extend("examples" = [["新人榜"]]))]
    #[schemars(extend("x-en" = "The board of who earned for the first time within 30 days."))]
    pub newcomers: Option<Vec<String>>,
    /// 不再出现在排行榜上;自己的名次仍可单聊查。默认 ["退出排行", "退出排行榜"]。
    #[schemars(extend("examples" = [["退出排行"]]))]
    #[schemars(extend("x-en" = "To stand on no board; one's own rank is still told in the single chat."))]
    pub leave_board: Option<Vec<String>>,
    /// 重新出现在排行榜上。默认 ["加入排行", "加入排行榜"]。
    #[schemars(extend("examples" = [["加入排行"]]))]
    #[schemars(extend("x-en" = "To stand on the boards again."))]
    pub join_board: Option<Vec<String>>,
    /// 等级:现在哪一级,离下一级还差多少。默认 ["等级", "我的等级"]。
    #[schemars(extend("examples" = [["等级"]]))]
    #[schemars(extend("x-en" = "One's level and how far the next one is."))]
    pub level: Option<Vec<String>>,
    /// 亲密度:温度,和接下来做什么最划算。默认 ["亲密度", "温度"]。
    #[schemars(extend("examples" = [["亲密度"]]))]
    #[schemars(extend("x-en" = "One's temperature, and what to do next."))]
    pub affinity: Option<Vec<String>>,
    /// 称号:自己得过哪些,现在归谁。默认 ["称号", "我的称号"]。
    #[schemars(extend("examples" = [["称号"]]))]
    #[schemars(extend("x-en" = "One's titles, and who has which now."))]
    pub titles: Option<Vec<String>>,
}

/// auto、each、digest 或 never。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum AnswerName {
    /// 人少逐条,人多合并。
    Auto,
    /// 逐条。
    Each,
    /// 合并。
    Digest,
    /// 不回。
    Never,
}

/// 各场合的文案;写列表就依次发几条。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RepliesTable {
    /// 得分了(规则自己的 reply 优先)。
    #[schemars(extend("x-en" = "A rule paid (its own `reply` goes before)."))]
    pub paid: Option<OneOrMany>,
    /// 这个周期里已经得过。
    #[schemars(extend("x-en" = "Already paid in this period."))]
    pub already: Option<OneOrMany>,
    /// 不在开放时段。
    #[schemars(extend("x-en" = "Not open now."))]
    pub outside: Option<OneOrMany>,
    /// 积分到上限了。
    #[schemars(extend("x-en" = "A cap is full."))]
    pub capped: Option<OneOrMany>,
    /// 其他没有得分的情况。
    #[schemars(extend("x-en" = "Any other refusal."))]
    pub refused: Option<OneOrMany>,
    /// 余额。
    #[schemars(extend("x-en" = "The balance."))]
    pub balance: Option<OneOrMany>,
    /// 今天还能得多少。
    #[schemars(extend("x-en" = "What can still be earned today."))]
    pub today: Option<OneOrMany>,
    /// 排行榜。
    #[schemars(extend("x-en" = "The board."))]
    pub rank: Option<OneOrMany>,
    /// 为什么。
    #[schemars(extend("x-en" = "Why points came or did not."))]
    pub why: Option<OneOrMany>,
    /// 明细。
    #[schemars(extend("x-en" = "The last bookings."))]
    pub history: Option<OneOrMany>,
    /// 规则说明。
    #[schemars(extend("x-en" = "The rules in plain words."))]
    pub rules: Option<OneOrMany>,
    /// 帮助。
    #[schemars(extend("x-en" = "What can be asked."))]
    pub help: Option<OneOrMany>,
    /// 没看懂。
    #[schemars(extend("x-en" = "Not understood."))]
    pub not_understood: Option<OneOrMany>,
    /// 这个群不在任何活动里。
    #[schemars(extend("x-en" = "No campaign covers this group."))]
    pub no_campaign: Option<OneOrMany>,
    /// 合并播报。
    #[schemars(extend("x-en" = "Several successes of a group told in one message."))]
    pub digest: Option<OneOrMany>,
    /// 口令说对了,还差图片(链接、视频)。
    #[schemars(extend("x-en" = "The picture, link or video that must come with the word is missing."))]
    pub missing: Option<OneOrMany>,
    /// 图片(链接)用过了。
    #[schemars(extend("x-en" = "The picture or link was paid for before."))]
    pub used: Option<OneOrMany>,
    /// 管理员加分、扣分,告诉成员。
    #[schemars(extend("x-en" = "An operator gave or took points: told to the member."))]
    pub granted: Option<OneOrMany>,
    /// 管理员的口令办得怎么样。
    #[schemars(extend("x-en" = "What became of an operator's command."))]
    pub done: Option<OneOrMany>,
    /// 提醒管理员。
    #[schemars(extend("x-en" = "Something the operators should know."))]
    pub alarm: Option<OneOrMany>,
    /// 任务。
    #[schemars(extend("x-en" = "The tasks and how far the member is."))]
    pub tasks: Option<OneOrMany>,
    /// 退出排行榜,或重新加入。
    #[schemars(extend("x-en" = "Hidden from the boards, or shown again."))]
    pub board_choice: Option<OneOrMany>,
    /// 升级了(得分本身不播报的时候,如发言)。
    #[schemars(extend("x-en" = "A higher level, reached by points that are not told by themselves."))]
    pub risen: Option<OneOrMany>,
    /// 等级。
    #[schemars(extend("x-en" = "The level."))]
    pub level: Option<OneOrMany>,
    /// 亲密度。
    #[schemars(extend("x-en" = "The temperature."))]
    pub affinity: Option<OneOrMany>,
    /// 称号。
    #[schemars(extend("x-en" = "Titles."))]
    pub titles: Option<OneOrMany>,
    /// 得到称号。
    #[schemars(extend("x-en" = "A title was won."))]
    pub title_won: Option<OneOrMany>,
    /// 补签成了,或没补成。
    #[schemars(extend("x-en" = "A missed day was made up, or could not be."))]
    pub made_up: Option<OneOrMany>,
    /// 签到日历。
    #[schemars(extend("x-en" = "One's own check-ins of the month."))]
    pub calendar: Option<OneOrMany>,
    /// 定时提醒(schedule 没写 say 时)。
    #[schemars(extend("x-en" = "A reminder, where the schedule has no `say`."))]
    pub posted: Option<OneOrMany>,
}

/// Reads the table; what it does not write stays as [`Assistant::default`] has it.
pub fn read(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Assistant {
    let default = Assistant::default();
    let names = table.texts("names").map_or(default.names, |names| names.into_iter().map(|(_, name)| Arc::from(name.trim())).collect());
    let quiet = shared_keys::windows(table, "quiet", mistakes);
    let words = words(table, default.words, mistakes);
    Assistant::new(names, words, answer(table), quiet, replies(table, mistakes))
}

/// The question each key of `words` is about.
const QUESTIONS: [(&str, Question); 21] = [
    ("balance", Question::Balance),
    ("today", Question::Today),
    ("rank", Question::Rank),
    ("why", Question::Why),
    ("history", Question::History),
    ("rules", Question::Rules),
    ("help", Question::Help),
    ("tasks", Question::Tasks),
    ("rank_today", Question::RankToday),
    ("rank_month", Question::RankMonth),
    ("rank_ever", Question::RankEver),
    ("rank_last_week", Question::RankLastWeek),
    ("rank_last_month", Question::RankLastMonth),
    ("rank_group", Question::RankGroup),
    ("newcomers", Question::Newcomers),
    ("leave_board", Question::LeaveBoard),
    ("join_board", Question::JoinBoard),
    ("level", Question::Level),
    ("affinity", Question::Affinity),
    ("titles", Question::Titles),
    ("calendar", Question::Calendar),
];

/// The occasion each key of `replies` is about.
const OCCASIONS: [(&str, Occasion); 31] = [
    ("paid", Occasion::Paid),
    ("already", Occasion::Already),
    ("outside", Occasion::Outside),
    ("capped", Occasion::Capped),
    ("refused", Occasion::Refused),
    ("balance", Occasion::Balance),
    ("today", Occasion::Today),
    ("rank", Occasion::Rank),
    ("why", Occasion::Why),
    ("history", Occasion::History),
    ("rules", Occasion::Rules),
    ("help", Occasion::Help),
    ("not_understood", Occasion::NotUnderstood),
    ("no_campaign", Occasion::NoCampaign),
    ("digest", Occasion::Digest),
    ("expiring", Occasion::Expiring),
    ("missing", Occasion::Missing),
    ("used", Occasion::Used),
    ("granted", Occasion::Granted),
    ("done", Occasion::Done),
    ("alarm", Occasion::Alarm),
    ("tasks", Occasion::Tasks),
    ("board_choice", Occasion::BoardChoice),
    ("risen", Occasion::Risen),
    ("level", Occasion::Level),
    ("affinity", Occasion::Affinity),
    ("titles", Occasion::Titles),
    ("title_won", Occasion::TitleWon),
    ("made_up", Occasion::MadeUp),
    ("calendar", Occasion::Calendar),
    ("posted", Occasion::Posted),
];

/// The key of an occasion in `replies`, by which operators know it.
pub fn occasion_key(occasion: Occasion) -> &'static str {
    OCCASIONS.iter().find(|(_, known)| *known == occasion).map_or("", |(name, _)| name)
}

fn words(table: &RuleTable<'_>, mut words: Vec<(Question, Vec<Arc<str>>)>, mistakes: &mut Mistakes) -> Vec<(Question, Vec<Arc<str>>)> {
    let mut taken: Vec<(Folded, String)> = Vec::new();
    for (key, value) in table.pairs("words") {
        let Some(question) = question(key.get_ref()) else { continue };
        let written = texts(value);
        for (span, word) in &written {
            let folded = fold(word);
            if folded.as_str().is_empty() {
                mistakes.error(span.clone(), "bad-keyword", format!("「{word}」去掉空格、表情和句末标点后什么也不剩,请换一个"));
            } else if let Some((_, other)) = taken.iter().find(|(known, _)| *known == folded) {
                mistakes.error(span.clone(), "word-twice", format!("「{word}」在 words.{other} 里已经有了;一种说法只能问一件事"));
            } else {
                taken.push((folded, key.get_ref().to_string()));
            }
        }
        words.retain(|(known, _)| *known != question);
        words.push((question, written.into_iter().map(|(_, word)| Arc::from(word)).collect()));
    }
    // A word the operator gave to one question no longer asks another by default.
    let written: Vec<Question> = table.pairs("words").iter().filter_map(|(key, _)| question(key.get_ref())).collect();
    for (_, defaults) in words.iter_mut().filter(|(question, _)| !written.contains(question)) {
        defaults.retain(|word| !taken.iter().any(|(known, _)| *known == fold(word)));
    }
    words.sort_by_key(|(question, _)| *question);
    words
}

fn question(key: &str) -> Option<Question> {
    QUESTIONS.iter().find(|(name, _)| *name == key).map(|(_, question)| *question)
}

fn answer(table: &RuleTable<'_>) -> Answer {
    match table.text("answer") {
        Some("each") => Answer::Each,
        Some("digest") => Answer::Digest,
        Some("never") => Answer::Never,
        _ => Answer::Auto,
    }
}

fn replies(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Vec<(Occasion, Vec<String>)> {
    let occasion = |name: &str| OCCASIONS.iter().find(|(known, _)| *known == name).map(|(_, occasion)| *occasion);
    let written = table.pairs("replies").into_iter().filter_map(|(key, value)| Some((occasion(key.get_ref())?, value)));
    written.map(|(occasion, value)| (occasion, shared_keys::messages(value, occasion, mistakes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::assistant::WORDS;
    use crate::rules::schema::{SCHEMA, properties};

    #[test]
    fn the_words_described_as_defaults_are_the_defaults() {
        let described = properties(&SCHEMA, &SCHEMA["definitions"]["WordsTable"]);
        for (asked, words) in WORDS {
            let (key, _) = QUESTIONS.iter().find(|(_, question)| *question == asked).unwrap();
            let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
            assert!(described[*key]["description"].as_str().unwrap().contains(&format!("[{list}]")), "{key}");
        }
    }

    #[test]
    fn a_word_given_to_one_question_no_longer_asks_another() {
        let (rules, _) = crate::rules::file::load("[assistant.words]\nrank = [\"今天\"]\n").unwrap();
        assert_eq!(rules.assistant.question(&fold("今天")), Some(Question::Rank));
        assert_eq!(rules.assistant.question(&fold("今日")), Some(Question::Today));
        assert_eq!(rules.assistant.question(&fold("排行")), None);
    }
}
