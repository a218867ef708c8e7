//! Hints: what a message that earned nothing nearly was, or why no rule cared, and what would have earned something. For 「为什么」 and
//! `jifen explain`.

use std::sync::Arc;

use crate::model::day::Millis;
use crate::model::decision::{Record, Traits};
use crate::model::event::{Place, Said};
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::decide::{holds, spoken, within};
use crate::rules::switch::stopped;
use crate::rules::text::{Folded, fold};
use crate::rules::words::{How, Listen};

/// Words that are recommended; more would not be read.
const WORDS_MAX: usize = 3;

/// A sentence that is longer than the word by more characters speaks of it and does not mean it.
const MORE_CHARS_MAX: usize = 8;

/// A word of fewer characters has too many neighbours one slip of the finger away: 签到, 签名, 签收.
const SLIP_CHARS_MIN: usize = 3;

/// A message that was decided and earned nothing.
#[derive(Debug, Clone, Copy)]
pub struct Unpaid<'a> {
    /// The campaign it was decided in.
    pub campaign: &'a Campaign,
    /// What the assistant is called.
    pub names: &'a [Arc<str>],
    /// What was decided.
    pub record: &'a Record,
    /// What was said; `None` when it was erased.
    pub said: Option<&'a Said>,
    /// Where it was said; `None` if that is not known any more.
    pub place: Option<&'a Place>,
    /// When it was said.
    pub at: Millis,
}

impl Unpaid<'_> {
    fn is_group(&self) -> bool {
        matches!(self.place, Some(Place::Group { .. }))
    }

    /// The rules with words that pay here on that day.
    fn rules(&self) -> impl Iterator<Item = &RuleEntry> {
        let day = self.campaign.calendar.day(self.at);
        let is_on = move |rule: &&RuleEntry| {
            let dated = rule.common.dates.is_none_or(|(first, last)| within(day, first, last));
            rule.common.mode == Mode::Live && dated && self.place.is_none_or(|place| holds(&rule.common.only, place))
        };
        self.campaign.rules.iter().filter(is_on).filter(|rule| !rule.kind.listens_for().is_empty() && rule.kind.most() > 0)
    }
}

/// What is to be said beside the verdicts of an unpaid message; empty when they say all.
pub fn hint(unpaid: &Unpaid<'_>) -> String {
    let Some(heard) = &unpaid.record.heard else { return String::new() };
    let text = unpaid.said.map(|said| fold(spoken(said, unpaid.names, unpaid.is_group()).0));
    if let Some(rule) = text.as_ref().and_then(|text| stopped(unpaid.campaign, text)).filter(|_| unpaid.record.verdicts.is_empty()) {
        return format!("「{}」那时停用", rule.title());
    }
    let near = text.and_then(|text| near(unpaid, heard, &text));
    match near {
        Some(near) => near,
        None if unpaid.record.verdicts.is_empty() => uncared_for(unpaid, heard),
        None => String::new(),
    }
}

/// Why no rule looked.
fn uncared_for(unpaid: &Unpaid<'_>, heard: &Traits) -> String {
    if heard.question.is_some() {
        return "是在问助手,不计分".into();
    }
    if heard.chars == 0 {
        return "没有文字,图片和表情不计分".into();
    }
    let Some(words) = words(unpaid) else { return "那时没有能得分的口令".into() };
    if !unpaid.is_group() {
        return format!("单聊里只认口令,发{words}才计分");
    }
    if heard.asked {
        return format!("对助手说的话只认口令,发{words}才计分");
    }
    format!("不是口令,发{words}才计分")
}

/// `「签到」或「小雪」`: the first words of the rules that were open.
fn words(unpaid: &Unpaid<'_>) -> Option<String> {
    let is_open = |rule: &&RuleEntry| rule.common.when.as_ref().is_none_or(|when| when.open_since(&unpaid.campaign.calendar, unpaid.at).is_some());
    let words = unpaid.rules().filter(is_open).filter_map(|rule| rule.kind.listens_for().first());
    let words: Vec<String> = words.take(WORDS_MAX).map(|listen| format!("「{}」", listen.text)).collect();
    Some(words.join("或")).filter(|words| !words.is_empty())
}

/// The first rule whose word the text nearly is, and how it must be.
fn near(unpaid: &Unpaid<'_>, heard: &Traits, text: &Folded) -> Option<String> {
    let unmatched = unpaid.rules().filter(|rule| !heard.matched.contains(&rule.code));
    let mut words = unmatched.flat_map(|rule| rule.kind.listens_for().iter().map(move |listen| (rule, listen)));
    let (rule, listen) = words.find(|(_, listen)| is_near(listen, text.as_str()))?;
    let title = rule.title();
    Some(match listen.how {
        How::Equals => format!("「{title}」要整句是「{}」", listen.text),
        How::StartsWith => format!("「{title}」要以「{}」开头", listen.text),
        How::Contains | How::Regex => format!("「{title}」要带「{}」", listen.text),
    })
}

fn is_near(listen: &Listen, text: &str) -> bool {
    let word = fold(&listen.text);
    let word = word.as_str();
    let (more, chars) = (text.chars().count().saturating_sub(word.chars().count()), word.chars().count());
    let holds_it = text.contains(word) && more <= MORE_CHARS_MAX;
    let slipped = || chars >= SLIP_CHARS_MIN && more <= 1 && strsim::damerau_levenshtein(word, text) == 1;
    match listen.how {
        How::Equals | How::StartsWith => holds_it || slipped(),
        How::Contains => slipped(),
        How::Regex => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Kind;
    use crate::rules::world::World;

    const RULES: &str = r##"
        check_in.daily = { title = "每日签到", keywords = ["签到", "我要打卡"], points = 2 }
        check_in.topic = { title = "话题", keywords = ["#读书"], match = "starts_with", points = 1 }
        check_in.run = { title = "跑步", keywords = ["跑完了"], match = "contains", points = 1 }
    "##;

    fn hinted(world: &mut World, text: &str) -> String {
        let event = world.event("11-22 09:00", text);
        assert_eq!(world.hears(event.clone()), 0, "{text}");
        let (campaign, names) = (&world.rules.campaigns[0], &world.rules.assistant.names);
        hint(&Unpaid { campaign, names, record: &world.last.record, said: event.said(), place: Some(&event.place), at: event.at })
    }

    #[test]
    fn what_is_nearly_a_word_is_told_how_the_word_must_be() {
        let mut world = World::new(RULES);
        for (text, told) in [
            ("签到了吗", "「每日签到」要整句是「签到」"),
            ("今天要簽到", "「每日签到」要整句是「签到」"),
            ("@积分助手 帮我签到一下", "「每日签到」要整句是「签到」"),
            ("我要打开", "「每日签到」要整句是「我要打卡」"),
            ("来聊聊 #读书", "「话题」要以「#读书」开头"),
            ("跑完啦", "「跑步」要带「跑完了」"),
        ] {
            assert_eq!(hinted(&mut world, text), told, "{text}");
        }
    }

    #[test]
    fn what_is_far_from_every_word_is_told_the_words() {
        let mut world = World::new(RULES);
        assert_eq!(hinted(&mut world, "大家今天都记得来签到啊不然就没有积分了"), "不是口令,发「签到」或「#读书」或「跑完了」才计分");
        assert_eq!(hinted(&mut world, "签名"), "不是口令,发「签到」或「#读书」或「跑完了」才计分");
        assert_eq!(hinted(&mut world, "👍"), "没有文字,图片和表情不计分");
        assert_eq!(hinted(&mut world, "@积分助手 你好"), "对助手说的话只认口令,发「签到」或「#读书」或「跑完了」才计分");
        assert_eq!(hinted(&mut world, "积分"), "是在问助手,不计分");
        world.place = Place::Single;
        assert_eq!(hinted(&mut world, "今天骑了二十公里"), "单聊里只认口令,发「签到」或「#读书」或「跑完了」才计分");
        let mut talk_only = World::new("[speaking.talk]\npoints = 1\nmax_points = { day = 9 }");
        talk_only.place = Place::Single;
        assert_eq!(hinted(&mut talk_only, "今天骑了二十公里"), "那时没有能得分的口令");
    }

    #[test]
    fn what_is_over_elsewhere_or_closed_is_not_recommended() {
        let mut world = World::new(
            r#"
            check_in.daily = { keywords = ["签到"], points = 2 }
            check_in.over = { keywords = ["国庆快乐"], points = 2, dates = "2026-10-01..2026-10-07" }
            check_in.other = { keywords = ["二群打卡"], points = 2, only = { groups = ["骑行二群"] } }
            check_in.closed = { title = "晚课", keywords = ["晚课打卡"], points = 2, when = "20:00-21:00" }
            "#,
        );
        for text in ["国庆快乐呀", "二群打卡啦", "随便说说"] {
            assert_eq!(hinted(&mut world, text), "不是口令,发「签到」才计分", "{text}");
        }
        assert_eq!(hinted(&mut world, "晚课打卡啦"), "「晚课」要整句是「晚课打卡」");
    }

    #[test]
    fn where_verdicts_say_all_nothing_is_added_and_an_erased_text_is_no_word() {
        let mut world = World::new("[speaking.talk]\npoints = 1\nmax_points = { day = 9 }");
        assert_eq!(hinted(&mut world, "哈哈"), "");
        let mut world = World::new(RULES);
        let mut event = world.event("11-22 09:00", "签到了吗");
        world.hears(event.clone());
        event.kind = Kind::Did(crate::model::act::Act::Joined);
        let (campaign, record) = (&world.rules.campaigns[0], &world.last.record);
        let unpaid = Unpaid { campaign, names: &[], record, said: event.said(), place: Some(&event.place), at: event.at };
        assert!(hint(&unpaid).starts_with("不是口令"));
    }
}
