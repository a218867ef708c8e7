//! `[speaking.<name>]`: points for talk in a window, or for talk on a topic.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::cells::Recent;
use crate::model::day::{Millis, PeriodKind};
use crate::model::decision::{Cap, Mark, Refusal};
use crate::model::event::Place;
use crate::rules::cap::Limits;
use crate::rules::check_in::check_points;
use crate::rules::first::First;
use crate::rules::gist;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, parse_duration_secs};
use crate::rules::words::{How, Listen, in_words};
use crate::rules::{Hearing, Kind, Offer, Own, Rule, Share};

/// `[speaking.<name>]`
pub const KIND: Kind = Kind {
    name: "speaking",
    title: "发言",
    default_limits: Limits::default,
    defaults,
    compile: |table, mistakes| Some(Box::new(compile(table, mistakes))),
    schema: |generator| generator.subschema_for::<SpeakingTable>(),
};

/// Fewest letters and fewest different ones where nothing is written.
const MIN_CHARS: u32 = 4;
const MIN_DISTINCT: u32 = 2;

/// From what likeness on talk is a near copy where nothing is written: a number or a word more behind it, one word changed in twenty.
const NEAR_PERCENT: u32 = 85;

/// How long the same words from the same member are a copy.
const COPY_SECS: i64 = 24 * 60 * 60;

/// Longest cool-down; a longer one is a cap (`max_times`).
const COOL_DOWN_SECS_MAX: i64 = 24 * 60 * 60;

/// 发言:在群里说话得积分。口令、提问和 @助手 的话不算发言,图片和表情也不算。写了 keywords 就是话题:只有带话题的话才算,在话题开放时它不再算普通发言。
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpeakingTable {
    /// 每条得几分,至少 1。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [1]))]
    #[schemars(extend("x-en" = "Points a message, at least 1. Required."))]
    points: i64,
    /// 至少几个字(标点、空格、表情不算)。默认 `4`
    #[schemars(extend("examples" = [4]))]
    #[schemars(extend("x-en" = "Fewest letters, digits or ideographs. Default 4."))]
    min_chars: Option<u32>,
    /// 至少几个不同的字,挡住「哈哈哈哈」。默认 `2`
    #[schemars(extend("examples" = [2]))]
    #[schemars(extend("x-en" = "Fewest different ones; keeps 哈哈哈哈 out. Default 2."))]
    min_distinct: Option<u32>,
    /// 两条计分发言至少隔多久,`"0s"` 为不限。默认 `"30s"`
    #[schemars(extend("examples" = ["30s"]))]
    #[schemars(extend("x-en" = "Least time between two paid messages; `0s` is none. Default `30s`."))]
    cool_down: String,
    /// 话题:话里带着其中一个才算,例如 #今日话题。不写就是任何发言。话题不开放时(when、dates),带它的话照普通发言算。
    #[schemars(extend("examples" = [["#今日话题"]]))]
    #[schemars(extend("x-en" = "Topics: only talk with one of these counts. Without it all talk does. While a topic is closed (`when`, `dates`), talk with it is plain talk."))]
    keywords: Vec<String>,
    /// 话题怎样算带到:`"contains"` 句中包含(默认)、`"starts_with"` 以它开头、`"equals"` 整句相等、`"regex"` 正则表达式
    #[serde(rename = "match")]
    #[schemars(extend("x-en" = "How a topic must stand in the message. Default `contains`."))]
    how: Option<How>,
    /// 和自己一天内已计分的话像到几成就不再计分,`"off"` 为不比。8 个字以下的话只比是否一样。默认 `"85%"`
    #[schemars(extend("examples" = ["85%"]))]
    #[schemars(extend("x-en" = "From what likeness on to the member's own paid talk of a day a message does not count; `off` compares not at all. Texts under 8 letters are compared as a whole only. Default `85%`."))]
    near: String,
    /// 只算每个成员当天的第一句合格的话。默认 `false`
    #[schemars(extend("x-en" = "Only a member's first good message of the day counts. Default false."))]
    first_word: bool,
    /// 每群每天最先的几名另加分:前几名 = 另加几分;写几档,够得上的都加。撤回不退名次。
    #[schemars(extend("examples" = [{"3": 5}]))]
    #[schemars(extend("x-en" = "Extra points for the first messages of a group on a day: so many = extra points; all steps that one is within are paid. A recall gives no place back."))]
    first: BTreeMap<String, i64>,
    /// 每群每天只给最先的几条。
    #[schemars(range(min = 1, max = 100_000), extend("examples" = [10]))]
    #[schemars(extend("x-en" = "Only the first so many messages of a group on a day are paid."))]
    first_only: Option<i64>,
    /// 要带着图片、链接或视频才算:`"image"`、`"link"`、`"video"`。写了它,min_chars 和 min_distinct 默认为 0。
    #[schemars(extend("x-en" = "It must come with a picture, a link or a video. Then `min_chars` and `min_distinct` are 0 by default."))]
    needs: Option<Needed>,
}

/// 要带着什么才算。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "SpeakingNeeds")]
enum Needed {
    /// 图片
    Image,
    /// 链接
    Link,
    /// 视频
    Video,
}

impl Default for SpeakingTable {
    fn default() -> Self {
        SpeakingTable {
            points: 0,
            min_chars: None,
            min_distinct: None,
            cool_down: "30s".into(),
            keywords: Vec::new(),
            how: None,
            near: format!("{NEAR_PERCENT}%"),
            first_word: false,
            first: BTreeMap::new(),
            first_only: None,
            needs: None,
        }
    }
}

/// A compiled speaking rule.
#[derive(Debug)]
pub struct Speaking {
    /// Points a message.
    pub points: i64,
    /// Letters, digits and ideographs it must have.
    pub min_chars: u32,
    /// Different ones it must have.
    pub min_distinct: u32,
    /// Seconds between two paid messages; 0 for none.
    pub cool_down_secs: i64,
    /// The topics; empty for any talk.
    pub words: Vec<Listen>,
    /// The likeness in percent from which on a message is a copy; `None` compares not at all.
    pub near_percent: Option<u32>,
    /// Only a member's first good message of the day.
    pub first_word: bool,
    /// The first messages of a group on a day.
    pub first: First,
    /// What it must come with.
    needs: Option<Needed>,
}

const DAY_SECS: i64 = 86_400;

/// Where the gists of paid talk are kept.
const GIST: &str = "#gist";

/// Where the days are kept on which the first word was said.
const FIRST_WORD: &str = "#first";

impl Rule for Speaking {
    fn listens_for(&self) -> &[Listen] {
        &self.words
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        let said = hearing.event.said().is_some() && matches!(hearing.event.place, Place::Group { .. });
        let means = if self.words.is_empty() { !hearing.is_command } else { hearing.matched && hearing.traits.question.is_none() };
        said && means && self.has_needed(hearing)
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let (traits, at) = (hearing.traits, hearing.event.at);
        let recent = own.code().map_or(&[][..], |code| &code.recent);
        if traits.chars < self.min_chars {
            return Err(Refusal::TooShort { chars: traits.chars, least: self.min_chars });
        }
        if traits.distinct < self.min_distinct {
            return Err(Refusal::TooPlain { distinct: traits.distinct, least: self.min_distinct });
        }
        // A picture without words is not a copy of another one.
        if let Some(of) = copied(recent, at, traits.fingerprint).filter(|_| traits.chars > 0) {
            return Err(Refusal::Copy { of });
        }
        let gists = own.part(GIST).map_or(&[][..], |part| &part.recent);
        if let Some(of) = self.near_percent.and_then(|percent| nearly_copied(gists, at, traits.gist, percent)) {
            return Err(Refusal::NearCopy { of });
        }
        if self.first_word && own.part(FIRST_WORD).is_some_and(|part| part.has_day(hearing.day)) {
            let cap = Cap { of: hearing.rule.code.clone(), period: PeriodKind::Day, in_points: false, used: 1, most: 1 };
            return Err(Refusal::Already { cap, paid_at: None });
        }
        if let Some(left_secs) = cooling(recent, at, self.cool_down_secs) {
            return Err(Refusal::CoolDown { left_secs });
        }
        let mut marks = vec![Mark::Recent { key: "".into(), at, fingerprint: traits.fingerprint }];
        if self.near_percent.is_some() && traits.gist != 0 {
            marks.push(Mark::Recent { key: GIST.into(), at, fingerprint: traits.gist });
        }
        if self.first_word {
            marks.push(Mark::Day { key: FIRST_WORD.into(), day: hearing.day });
        }
        Ok(Offer { points: self.points + self.first.points(), bonus: self.first.points(), marks, ..Offer::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        let pause = match self.cool_down_secs {
            0 => String::new(),
            secs => format!(",两条之间隔 {secs} 秒"),
        };
        let what = match (self.words.is_empty(), self.needs) {
            (false, None) => in_words(&self.words),
            (false, Some(needed)) => format!("{},并带{}", in_words(&self.words), needed.in_words()),
            (true, None) => "在群里说话".to_owned(),
            (true, Some(needed)) => format!("在群里发{}", needed.in_words()),
        };
        let each = if self.first_word { "当天第一句" } else { "每条" };
        let least = if self.min_chars > 0 { format!("至少 {} 个字", self.min_chars) } else { String::new() };
        let copies = if self.needs.is_some() { "" } else { ",复制自己的话不算" };
        let limits = format!("{least}{pause}{copies}");
        let limits = limits.trim_start_matches(',');
        let limits = if limits.is_empty() { String::new() } else { format!("({limits})") };
        format!("{what},{each} +{} {points_name}{limits}{}", self.points, self.first.in_words())
    }

    fn most(&self) -> i64 {
        self.points + self.first.points()
    }

    fn is_talk(&self) -> bool {
        true
    }

    fn least_chars(&self) -> Option<u32> {
        (self.words.is_empty() && self.needs.is_none()).then_some(self.min_chars)
    }

    fn pause_secs(&self) -> i64 {
        if self.first_word { DAY_SECS } else { self.cool_down_secs.max(1) }
    }

    fn compares(&self) -> bool {
        self.near_percent.is_some()
    }

    fn has_shares(&self) -> bool {
        !self.first.is_none()
    }

    fn shares(&self, hearing: &Hearing<'_>) -> Vec<Share> {
        let chat = hearing.event.place.chat().map_or(0, |chat| numbered(chat));
        self.first.shares(chat.wrapping_add(i64::from(hearing.day.0)))
    }

    fn announces(&self) -> bool {
        false
    }

    fn hears_talk(&self) -> bool {
        true
    }
}

impl Speaking {
    fn has_needed(&self, hearing: &Hearing<'_>) -> bool {
        let media = &hearing.traits.media;
        match self.needs {
            None => hearing.traits.chars > 0,
            Some(Needed::Image) => media.images > 0,
            Some(Needed::Link) => media.link.is_some(),
            Some(Needed::Video) => media.video,
        }
    }
}

impl Needed {
    fn in_words(self) -> &'static str {
        match self {
            Needed::Image => "图片",
            Needed::Link => "链接",
            Needed::Video => "视频",
        }
    }
}

/// A number for a group, far from those of others, with room for days and steps behind it (FNV-1a).
fn numbered(chat: &str) -> i64 {
    let hash = chat.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    (hash >> 8) as i64 & !0xff_ffff
}

/// The paid message less than a day away that this one is like. Late messages look both ways.
fn nearly_copied(gists: &[Recent], at: Millis, own: u64, percent: u32) -> Option<Millis> {
    gists.iter().find(|other| gist::alike(other.fingerprint, own, percent) && apart_millis(other.at, at) < COPY_SECS * 1000).map(|other| other.at)
}

/// The paid message with the same words less than a day away. Late messages look both ways.
fn copied(recent: &[Recent], at: Millis, fingerprint: u64) -> Option<Millis> {
    recent.iter().find(|other| other.fingerprint == fingerprint && apart_millis(other.at, at) < COPY_SECS * 1000).map(|other| other.at)
}

/// Seconds still missing to the nearest paid message, before or after, rounded up; `None` when it is far enough.
fn cooling(recent: &[Recent], at: Millis, cool_down_secs: i64) -> Option<u32> {
    let nearest = recent.iter().map(|other| apart_millis(other.at, at)).min()?;
    let left = cool_down_secs * 1000 - nearest;
    (left > 0).then(|| u32::try_from((left + 999) / 1000).unwrap_or(u32::MAX))
}

fn apart_millis(one: Millis, other: Millis) -> i64 {
    one.0.saturating_sub(other.0).saturating_abs()
}

/// What holds where a table does not say.
fn defaults(table: &RuleTable<'_>) -> Vec<(&'static str, String)> {
    let (keys, rule) = (SpeakingTable::default(), compile(table, &mut Mistakes::default()));
    vec![
        ("min_chars", rule.min_chars.to_string()),
        ("min_distinct", rule.min_distinct.to_string()),
        ("cool_down", format!("\"{}\"", keys.cool_down)),
        ("near", format!("\"{}\"", keys.near)),
    ]
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Speaking {
    let keys: SpeakingTable = table.read(mistakes);
    check_points(table, keys.points, mistakes);
    let (chars, distinct) = if keys.needs.is_some() { (0, 0) } else { (MIN_CHARS, MIN_DISTINCT) };
    let min_chars = keys.min_chars.unwrap_or(chars);
    let min_distinct = keys.min_distinct.unwrap_or(distinct.min(min_chars.max(1)));
    if min_distinct > min_chars.max(1) {
        mistakes.error(table.span("min_distinct"), "impossible", format!("min_distinct = {min_distinct} 比 min_chars = {min_chars} 还大,请改小"));
    }
    let words: Vec<Listen> = keys.keywords.into_iter().map(|text| Listen { text, how: keys.how.unwrap_or(How::Contains) }).collect();
    for ((span, _), listen) in table.texts("keywords").unwrap_or_default().into_iter().zip(&words) {
        listen.check().unwrap_or_else(|reason| mistakes.error(span, "bad-keyword", reason));
    }
    let near_percent = near_percent(&keys.near).unwrap_or_else(|reason| {
        mistakes.error(table.span("near"), "bad-percent", reason);
        None
    });
    let first = First::read(table, &keys.first, keys.first_only, mistakes);
    let cool_down_secs = cool_down_secs(&keys.cool_down).unwrap_or_else(|reason| {
        mistakes.error(table.span("cool_down"), "bad-duration", format!("cool_down 写错了:{reason}"));
        0
    });
    let (points, first_word, needs) = (keys.points, keys.first_word, keys.needs);
    Speaking { points, min_chars, min_distinct, cool_down_secs, words, near_percent, first_word, first, needs }
}

/// `85%`, `off`.
fn near_percent(text: &str) -> Result<Option<u32>, String> {
    if text.trim() == "off" {
        return Ok(None);
    }
    let percent = text.trim().strip_suffix(['%', '\u{ff05}']).and_then(|number| number.trim().parse().ok());
    let percent = percent.filter(|percent| (50..=100).contains(percent));
    percent.map(Some).ok_or_else(|| format!("near 要写 50% 到 100%,例如 near = \"{NEAR_PERCENT}%\",不比就写 \"off\";这里写的是「{text}」"))
}

fn cool_down_secs(text: &str) -> Result<i64, String> {
    let secs = parse_duration_secs(text)?;
    if secs <= COOL_DOWN_SECS_MAX { Ok(secs) } else { Err(format!("「{text}」太长了,最多 24h;隔天才能再得请用 max_times = {{ day = 1 }}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Ruling;
    use crate::rules::world::World;

    fn talk(day_max: u32) -> World {
        World::new(&format!("[speaking.talk]\npoints = 1\nmax_points = {{ day = {day_max} }}"))
    }

    fn refusal(world: &World) -> &Refusal {
        match world.ruling() {
            Ruling::Refused(refusal) => refusal,
            Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Moved(_) => panic!("paid: {:?}", world.ruling()),
        }
    }

    #[test]
    fn talk_is_paid_up_to_the_cap_of_the_day() {
        let mut world = talk(2);
        assert_eq!(world.says("11-22 20:00", "今天骑了二十公里"), 1);
        assert_eq!(world.says("11-22 20:01", "明天还去吗朋友们"), 1);
        assert_eq!(world.says("11-22 20:02", "我也想去看看风景"), 0);
        assert!(matches!(refusal(&world), Refusal::Capped(cap) if cap.used == 2 && cap.most == 2));
        assert!(world.last.replies.is_empty(), "talk is never answered");
    }

    #[test]
    fn short_plain_copied_and_hasty_talk_earns_nothing() {
        let mut world = talk(20);
        world.says("11-22 20:00:00", "今天骑了二十公里");
        assert_eq!(world.says("11-22 20:05:00", "哈哈哈!!"), 0);
        assert_eq!(*refusal(&world), Refusal::TooShort { chars: 3, least: 4 });
        assert_eq!(world.says("11-22 20:05:00", "哈哈哈哈哈"), 0);
        assert_eq!(*refusal(&world), Refusal::TooPlain { distinct: 1, least: 2 });
        assert_eq!(world.says("11-22 20:05:00", "今天 骑了二十公里!"), 0);
        assert!(matches!(refusal(&world), Refusal::Copy { .. }));
        assert_eq!(world.says("11-22 20:00:29", "刚才那句没说完呢"), 0);
        assert_eq!(*refusal(&world), Refusal::CoolDown { left_secs: 1 });
        assert_eq!(world.says("11-22 20:00:30", "刚才那句没说完呢"), 1);
    }

    #[test]
    fn a_late_message_keeps_its_distance_both_ways() {
        let mut world = talk(20);
        world.says("11-22 20:10:00", "今天骑了二十公里");
        assert_eq!(world.says("11-22 20:09:45", "先说一句晚到的话"), 0);
        assert_eq!(world.says("11-22 20:09:30", "先说一句晚到的话"), 1);
    }

    #[test]
    fn commands_questions_mentions_and_pictures_are_not_talk() {
        let mut world = World::new("speaking.talk = { points = 1 }\ncheck_in.daily = { keywords = [\"签到\"], points = 2 }");
        for text in ["为什么", "@积分助手 今天天气真好啊", "👍👍👍👍", "[微笑][微笑]", ""] {
            assert_eq!(world.says("11-22 20:00", text), 0, "{text}");
            assert!(world.last.record.verdicts.is_empty(), "{text}");
        }
        assert_eq!(world.says("11-22 20:00", "签到"), 2);
        assert_eq!(world.last.record.verdicts.len(), 1);
        world.place = Place::Single;
        assert_eq!(world.says("11-22 20:00", "单聊里说的话不算发言"), 0);
    }

    #[test]
    fn a_cool_down_is_a_day_at_most() {
        assert_eq!(["0s", "30s", "24h"].map(cool_down_secs), [Ok(0), Ok(30), Ok(86_400)]);
        assert!(cool_down_secs("25h").is_err());
    }
}
