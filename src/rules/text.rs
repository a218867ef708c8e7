//! Folding: what people type, brought to the one form that words are compared in; and what is counted in it.

use std::borrow::Cow;
use std::sync::Arc;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
use unicode_properties::{GeneralCategory, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_segmentation::UnicodeSegmentation;

/// Bytes of a message that are looked at; the rest changes nothing. No keyword is this long, and a wall of text must not cost more than a sentence.
pub const FOLDED_BYTES_MAX: usize = 8 * 1024;

/// Graphemes of a name that are shown, as many as WeCom lets a nickname have.
pub const NAME_GRAPHEMES_MAX: usize = 32;

/// Characters of a name that are shown, however few graphemes they make (one letter can carry a thousand accents).
const NAME_CHARS_MAX: usize = 96;

/// A folded text: NFKC, lower case, simplified, without spaces, emoji, invisible characters and closing punctuation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Folded(String);

impl Folded {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Letters, digits and ideographs in it, and how many different ones.
    pub fn count(&self) -> (u32, u32) {
        let mut letters: Vec<char> = self.0.chars().filter(|c| c.is_alphanumeric()).collect();
        let chars = letters.len();
        letters.sort_unstable();
        letters.dedup();
        (chars as u32, letters.len() as u32)
    }
}

/// Folds a text; messages and keywords alike, so that 「　簽到！」 is 「签到」 and 「ＱＤ」 is 「qd」. Reads at most [`FOLDED_BYTES_MAX`].
pub fn fold(text: &str) -> Folded {
    let text = head(text, FOLDED_BYTES_MAX);
    if text.chars().all(is_plain) {
        return Folded(fast2s::convert(text));
    }
    let kept: String = text.chars().map(narrow).filter(|&c| is_kept(c)).collect();
    let composed = match is_nfkc_quick(kept.chars()) {
        IsNormalized::Yes => kept,
        IsNormalized::No | IsNormalized::Maybe => kept.nfkc().filter(|&c| is_kept(c)).take(FOLDED_BYTES_MAX / 3).collect(),
    };
    let lower: String = composed.chars().flat_map(char::to_lowercase).collect();
    let mut folded = without_emoticons(&fast2s::convert(&lower));
    folded.truncate(folded.trim_end_matches(CLOSING).len());
    Folded(folded)
}

/// The text behind an @ of one of these names, at its beginning or its end, with any or no space between; `None` if none is mentioned.
pub fn strip_mention<'a>(text: &'a str, names: &[Arc<str>]) -> Option<&'a str> {
    let text = text.trim();
    let behind = text.strip_prefix(AT).and_then(|rest| longest(names, |name| rest.strip_prefix(name)));
    let before = || longest(names, |name| text.strip_suffix(name)?.strip_suffix(AT));
    behind.or_else(before).map(str::trim)
}

/// The text behind a leading `@token`, for a bot that is heard under a name nobody told us; the text itself if there is none.
pub fn strip_token(text: &str) -> &str {
    let text = text.trim();
    match text.starts_with(AT) {
        true => text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start()),
        false => text,
    }
}

/// A name fit to be shown: one line, at most [`NAME_GRAPHEMES_MAX`] graphemes, nothing in it that hides or turns around what follows,
/// and nothing that WeCom reads as a mention (`<@userid>`) or a link (`[…](…)`): those brackets become wide ones.
pub fn display_name(name: &str) -> String {
    if name.chars().all(is_plain) && name.len() <= NAME_GRAPHEMES_MAX {
        return name.to_owned();
    }
    let clean: String = name.chars().take(NAME_CHARS_MAX).map(plain_in_name).filter(|&c| is_shown(c)).collect();
    clean.trim().graphemes(true).take(NAME_GRAPHEMES_MAX).collect()
}

fn plain_in_name(c: char) -> char {
    match c {
        '\n' | '\t' => ' ',
        '<' => '\u{ff1c}',
        '[' => '\u{ff3b}',
        ']' => '\u{ff3d}',
        c => c,
    }
}

/// A text without control characters (line feeds stay) and without characters that turn the direction of writing.
pub fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().all(|c| c == '\n' || is_shown(c)) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.chars().filter(|&c| c == '\n' || is_shown(c)).collect()),
    }
}

/// The first bytes of a text, cut between characters.
pub fn head(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Both forms of @.
const AT: [char; 2] = ['@', '\u{ff20}'];

/// Punctuation that closes a sentence and means nothing to a keyword.
const CLOSING: [char; 18] = ['。', '.', '!', '?', '~', '〜', '、', ',', ';', ':', '…', '·', '—', '_', '^', '︒', '⋯', '¡'];

fn longest<'a>(names: &[Arc<str>], strip: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
    names.iter().filter(|name| !name.is_empty()).filter_map(|name| strip(name)).min_by_key(|rest| rest.len())
}

/// Characters that folding leaves as they are (save 繁 → 简).
fn is_plain(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '\u{4e00}'..='\u{9fff}')
}

/// Full-width ASCII to ASCII: what NFKC would do, without its price for every full-width mark.
pub fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

fn is_kept(c: char) -> bool {
    if is_plain(c) || c.is_ascii_graphic() {
        return true;
    }
    !c.is_whitespace() && is_visible(c) && (c.is_ascii() || !c.is_emoji_char_or_emoji_component())
}

fn is_visible(c: char) -> bool {
    if is_blank(c) {
        return false;
    }
    match c.general_category() {
        GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Unassigned => false,
        _ => !matches!(c, '\u{2028}' | '\u{2029}'),
    }
}

/// Letters and marks by their category that show nothing: fillers, joiners, variation selectors, the empty braille cell.
fn is_blank(c: char) -> bool {
    matches!(c, '\u{034f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// What may be shown in a name: emoji are welcome (and need their joiner), tricks are not.
fn is_shown(c: char) -> bool {
    let turns = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    !turns && !c.is_control() && c.general_category() != GeneralCategory::PrivateUse
}

/// Removes `[微笑]` and its like, from the inside out.
fn without_emoticons(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        out.push(c);
        if c != ']' {
            continue;
        }
        let near = out.ceil_char_boundary(out.len().saturating_sub(EMOTICON_BYTES_MAX + 2));
        if let Some(open) = out[near..].rfind('[').map(|at| near + at)
            && EMOTICONS.contains(&&out[open + 1..out.len() - 1])
        {
            out.truncate(open);
        }
    }
    out
}

/// Bytes of the longest of [`EMOTICONS`]; nothing farther from its bracket is looked at.
const EMOTICON_BYTES_MAX: usize = 12;

/// Emoticons that WeCom sends as their name in brackets, folded. Source: the emoticon panel of the WeCom and WeChat clients.
const EMOTICONS: [&str; 150] = [
    "微笑",
    "撇嘴",
    "色",
    "发呆",
    "得意",
    "流泪",
    "害羞",
    "闭嘴",
    "睡",
    "大哭",
    "尴尬",
    "发怒",
    "调皮",
    "呲牙",
    "惊讶",
    "难过",
    "酷",
    "冷汗",
    "囧",
    "抓狂",
    "吐",
    "偷笑",
    "愉快",
    "可爱",
    "白眼",
    "傲慢",
    "饥饿",
    "困",
    "惊恐",
    "流汗",
    "憨笑",
    "悠闲",
    "大兵",
    "奋斗",
    "咒骂",
    "疑问",
    "嘘",
    "晕",
    "疯了",
    "折磨",
    "衰",
    "骷髅",
    "敲打",
    "再见",
    "擦汗",
    "抠鼻",
    "鼓掌",
    "糗大了",
    "坏笑",
    "左哼哼",
    "右哼哼",
    "哈欠",
    "鄙视",
    "委屈",
    "快哭了",
    "阴险",
    "亲亲",
    "吓",
    "可怜",
    "菜刀",
    "西瓜",
    "啤酒",
    "篮球",
    "乒乓",
    "咖啡",
    "饭",
    "猪头",
    "玫瑰",
    "凋谢",
    "嘴唇",
    "示爱",
    "爱心",
    "心碎",
    "蛋糕",
    "闪电",
    "炸弹",
    "刀",
    "足球",
    "瓢虫",
    "便便",
    "月亮",
    "太阳",
    "礼物",
    "拥抱",
    "强",
    "弱",
    "握手",
    "胜利",
    "抱拳",
    "勾引",
    "拳头",
    "差劲",
    "爱你",
    "no",
    "ok",
    "爱情",
    "飞吻",
    "跳跳",
    "发抖",
    "怄火",
    "转圈",
    "磕头",
    "回头",
    "跳绳",
    "投降",
    "激动",
    "乱舞",
    "献吻",
    "左太极",
    "右太极",
    "嘿哈",
    "捂脸",
    "奸笑",
    "机智",
    "皱眉",
    "耶",
    "吃瓜",
    "加油",
    "汗",
    "天啊",
    "emm",
    "社会社会",
    "旺柴",
    "好的",
    "打脸",
    "哇",
    "翻白眼",
    "666",
    "让我看看",
    "叹气",
    "苦涩",
    "裂开",
    "爆竹",
    "烟花",
    "福",
    "发",
    "红包",
    "鸡",
    "庆祝",
    "笑脸",
    "生病",
    "破涕为笑",
    "吐舌",
    "脸红",
    "恐惧",
    "失望",
    "无语",
    "合十",
    "强壮",
    "鬼魂",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folded(text: &str) -> String {
        fold(text).as_str().to_owned()
    }

    #[test]
    fn every_way_to_write_a_check_in_is_the_same() {
        for text in [
            "签到",
            " 签到",
            " 签 到 ",
            "簽到!",
            "签到。。。",
            "签到~",
            "签\u{200b}到",
            "签到[微笑]",
            "[强]签到[微[微笑]笑]",
            "签到🎉🎉",
            "签到👨‍👩‍👧",
            "\u{feff}签到?!",
            "签\u{3164}到",
            "\u{3000}签到",
            "簽到\u{ff01}",
            "签到❤️",
            "签到…",
            "签到\u{0}",
        ] {
            assert_eq!(folded(text), "签到", "{text:?}");
        }
        for text in ["qd", "QD", "qd!", "Q D", "\u{ff31}\u{ff24}"] {
            assert_eq!(folded(text), "qd", "{text:?}");
        }
    }

    #[test]
    fn other_sentences_stay_different() {
        assert_eq!(folded("签到了吗"), "签到了吗");
        assert_eq!(folded("[签到]"), "[签到]");
        assert_eq!(folded("#育儿经验 1 2 3"), "#育儿经验123");
        assert_eq!(folded("??!"), "");
    }

    #[test]
    fn only_letters_digits_and_ideographs_count() {
        assert_eq!(fold("哈哈哈哈").count(), (4, 1));
        assert_eq!(fold("今天骑了 20 公里!👍").count(), (8, 8));
        assert_eq!(fold("。。。[微笑]🎉").count(), (0, 0));
    }

    #[test]
    fn the_longest_emoticon_is_within_reach_and_each_is_written_folded() {
        assert!(EMOTICONS.iter().all(|name| name.len() <= EMOTICON_BYTES_MAX && folded(name) == **name));
        assert_eq!(folded("[破涕为笑]签到[社会社会]"), "签到");
    }

    #[test]
    fn a_wall_of_text_is_read_to_a_bound() {
        let wall = "签".repeat(20_000);
        assert!(fold(&wall).as_str().len() <= FOLDED_BYTES_MAX);
        assert_eq!(fold("a\u{fdfa}").as_str().chars().filter(|c| c.is_whitespace()).count(), 0);
    }

    #[test]
    fn a_mention_is_stripped_at_either_end_with_any_space() {
        let names: Vec<Arc<str>> = vec!["助手".into(), "助手小分".into()];
        for text in ["@助手小分 积分", "@助手小分\u{2005}积分", "@助手小分积分", " 积分 @助手小分", "@助手 积分", "@助手小分\n积分"]
        {
            assert_eq!(strip_mention(text, &names), Some("积分"), "{text:?}");
        }
        assert_eq!(strip_mention("@小红 积分", &names), None);
        assert_eq!(strip_mention("助手 积分", &names), None);
        assert_eq!(strip_token("@别的名字 积分"), "积分");
        assert_eq!(strip_token("@别的名字"), "");
        assert_eq!(strip_token("积分"), "积分");
    }

    #[test]
    fn a_name_stays_a_short_line_that_turns_nothing_around() {
        assert_eq!(display_name("阿明\u{202e}\n{{7*7}}\u{0}"), "阿明 {{7*7}}");
        assert_eq!(display_name("👨‍👩‍👧小红"), "👨‍👩‍👧小红");
        assert!(display_name(&"名".repeat(64 * 1024)).graphemes(true).count() <= NAME_GRAPHEMES_MAX);
        assert!(display_name(&format!("a{}", "\u{301}".repeat(9_000))).len() < 400);
    }

    #[test]
    fn a_name_mentions_nobody_and_links_nowhere() {
        assert_eq!(display_name("<@all>阿明"), "\u{ff1c}@all>阿明");
        assert_eq!(display_name("[领奖](http://a.cn)"), "\u{ff3b}领奖\u{ff3d}(http://a.cn)");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(text in ".{0,40}") {
            let once = folded(&text);
            // 繁 → 简 reads a character's neighbours, so a text that was rejoined is compared after one more look at them.
            let twice = folded(&once);
            prop_assert_eq!(folded(&twice), twice);
        }

        #[test]
        fn folding_leaves_no_space_and_no_invisible_character(text in "\\PC{0,20}[ \\u{200b}\\u{3000}]{0,3}签到.{0,10}") {
            let folded = folded(&text);
            prop_assert!(folded.chars().all(|c| !c.is_whitespace() && !c.is_control() && !is_blank(c)), "{:?}", folded);
        }
    }
}
