//! `[speaking.<name>]`: points for talk in a window.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::cells::Recent;
use crate::model::day::Millis;
use crate::model::decision::{Args, Mark, Refusal};
use crate::model::event::Place;
use crate::rules::cap::Limits;
use crate::rules::check_in::check_points;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, parse_duration_secs};
use crate::rules::words::Listen;
use crate::rules::{Hearing, Kind, Offer, Own, Rule};

/// `[speaking.<name>]`
pub const KIND: Kind = Kind {
    name: "speaking",
    title: "发言",
    default_limits: Limits::default,
    compile: |table, mistakes| Some(Box::new(compile(table, mistakes))),
    schema: |generator| generator.subschema_for::<SpeakingTable>(),
};

/// How long the same words from the same member are a copy.
const COPY_SECS: i64 = 24 * 60 * 60;

/// Longest cool-down; a longer one is a cap (`max_times`).
const COOL_DOWN_SECS_MAX: i64 = 24 * 60 * 60;

/// 发言:在群里说话得积分。口令、提问和 @助手 的话不算发言,图片和表情也不算。
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpeakingTable {
    /// 每条得几分,至少 1。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [1]))]
    #[schemars(extend("x-en" = "Points a message, at least 1. Required."))]
    points: i64,
    /// 至少几个字(标点、空格、表情不算)。默认 `4`
    #[schemars(extend("x-en" = "Fewest letters, digits or ideographs. Default 4."))]
    min_chars: u32,
    /// 至少几个不同的字,挡住「哈哈哈哈」。默认 `2`
    #[schemars(extend("x-en" = "Fewest different ones; keeps 哈哈哈哈 out. Default 2."))]
    min_distinct: u32,
    /// 两条计分发言至少隔多久,`"0s"` 为不限。默认 `"30s"`
    #[schemars(extend("examples" = ["30s"]))]
    #[schemars(extend("x-en" = "Least time between two paid messages; `0s` is none. Default `30s`."))]
    cool_down: String,
}

impl Default for SpeakingTable {
    fn default() -> Self {
        SpeakingTable { points: 0, min_chars: 4, min_distinct: 2, cool_down: "30s".into() }
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
}

impl Rule for Speaking {
    fn listens_for(&self) -> &[Listen] {
        &[]
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        !hearing.is_command && hearing.traits.chars > 0 && matches!(hearing.event.place, Place::Group { .. })
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
        if let Some(of) = copied(recent, at, traits.fingerprint) {
            return Err(Refusal::Copy { of });
        }
        if let Some(left_secs) = cooling(recent, at, self.cool_down_secs) {
            return Err(Refusal::CoolDown { left_secs });
        }
        let marks = vec![Mark::Recent { key: "".into(), at, fingerprint: traits.fingerprint }];
        Ok(Offer { points: self.points, bonus: 0, streak: None, marks, args: Args::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        let pause = match self.cool_down_secs {
            0 => String::new(),
            secs => format!(",两条之间隔 {secs} 秒"),
        };
        format!("在群里说话,每条 +{} {points_name}(至少 {} 个字{pause},复制自己的话不算)", self.points, self.min_chars)
    }

    fn most(&self) -> i64 {
        self.points
    }

    fn announces(&self) -> bool {
        false
    }
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

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Speaking {
    let keys: SpeakingTable = table.read(mistakes);
    check_points(table, keys.points, mistakes);
    if keys.min_distinct > keys.min_chars.max(1) {
        mistakes.error(table.span("min_distinct"), "impossible", format!("min_distinct = {} 比 min_chars = {} 还大,请改小", keys.min_distinct, keys.min_chars));
    }
    let cool_down_secs = cool_down_secs(&keys.cool_down).unwrap_or_else(|reason| {
        mistakes.error(table.span("cool_down"), "bad-duration", format!("cool_down 写错了:{reason}"));
        0
    });
    Speaking { points: keys.points, min_chars: keys.min_chars, min_distinct: keys.min_distinct, cool_down_secs }
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
