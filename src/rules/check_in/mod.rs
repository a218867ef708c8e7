//! `[check_in.<name>]`: a word (or a sentence) a day, points, and a streak that grows.

pub mod needs;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::day::{Period, PeriodKind};
use crate::model::decision::{Args, Mark, Refusal};
use crate::rules::cap::Limits;
use crate::rules::check_in::needs::{NeedsName, Pairing};
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::words::{How, Listen, in_words};
use crate::rules::{Hearing, Kind, Offer, Own, Rule};

/// `[check_in.<name>]`
pub const KIND: Kind = Kind {
    name: "check_in",
    title: "签到",
    default_limits: || Limits { max_times: vec![(PeriodKind::Day, 1)], max_points: Vec::new() },
    compile: |table, mistakes| compile(table, mistakes).map(|rule| Box::new(rule) as Box<dyn Rule>),
    schema: |generator| generator.subschema_for::<CheckInTable>(),
};

/// Most points one rule may pay for one message: far above any programme, far below what a balance holds.
pub const RULE_POINTS_MAX: i64 = 1_000_000_000;

/// 签到:发口令领积分,连续签到另有奖励。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CheckInTable {
    /// 口令,至少一个。全半角、空格、大小写、句末标点、表情、繁简不计。
    #[schemars(length(min = 1), extend("examples" = [["签到"]]))]
    #[schemars(extend("x-en" = "Words that check in, at least one. Width, spaces, case, closing punctuation, emoji and 繁简 do not matter."))]
    keywords: Vec<String>,
    /// 口令怎样算说到:`"equals"` 整句相等(默认)、`"starts_with"` 以它开头、`"contains"` 句中包含、`"regex"` 正则表达式
    #[serde(rename = "match")]
    #[schemars(extend("x-en" = "How a word must stand in the message. Default `equals`."))]
    how: How,
    /// 每次得几分,至少 1。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [2]))]
    #[schemars(extend("x-en" = "Points each time, at least 1. Required."))]
    points: i64,
    /// 连续签到奖励:第几天 = 另加几分。
    #[schemars(extend("examples" = [{"7": 10}]))]
    #[schemars(extend("x-en" = "Day in a row = extra points on that day."))]
    streak: BTreeMap<String, Rung>,
    /// 到最高一档以后:`"restart"` 从头再数(默认)、`"go_on"` 接着数不再奖、`"stop"` 到过一次就不再有连签奖励
    #[schemars(extend("x-en" = "After the highest rung: count anew (default), go on without another bonus, or no bonus ever again."))]
    streak_then: StreakThen,
    /// 口令还要配什么才算:`"image"` 一张图片、`"link"` 一个链接、`"video"` 一段视频。可以同一条发,也可以分两条发,先后都行,合起来记一次;同一张图片(换个压缩、裁掉一点边、加水印都算同一张)、同一个链接在一个活动里只算一次
    #[schemars(extend("examples" = ["image"]))]
    #[schemars(extend("x-en" = "What must come with the word: a picture, a link or a video, in one message or two, in either order; one award. The same picture (also re-compressed, slightly cropped or watermarked) or link counts once in a campaign."))]
    needs: Option<NeedsName>,
    /// 口令和图片(链接、视频)最多隔多久,1s 到 24h。默认 `"10m"`
    #[schemars(extend("examples" = ["10m"]))]
    #[schemars(extend("x-en" = "How far apart the two may be. Default 10m."))]
    within: Option<String>,
}

/// 一档连签奖励:分数(这一版还不能写礼品)。
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Rung {
    /// 另加几分
    Points(i64),
    /// 礼品的名字
    Good(String),
}

/// 到最高一档以后怎么办。
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreakThen {
    /// 从头再数
    #[default]
    Restart,
    /// 接着数,每档每次连签只奖一次
    GoOn,
    /// 到过最高一档以后不再有连签奖励
    Stop,
}

/// A compiled check-in.
#[derive(Debug)]
pub struct CheckIn {
    /// The words it listens for.
    pub words: Vec<Listen>,
    /// Points a time.
    pub points: i64,
    /// (day in a row, extra points), ascending.
    pub ladder: Vec<(u32, i64)>,
    /// After the highest rung.
    pub then: StreakThen,
    /// What must come with the word.
    pub pairing: Option<Pairing>,
}

/// Where it is remembered that the highest rung was reached.
const TOP: &str = "#top";

impl Rule for CheckIn {
    fn listens_for(&self) -> &[Listen] {
        &self.words
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        hearing.event.said().is_some() && (hearing.matched || self.pairing.is_some_and(|pairing| pairing.is_met_by(&hearing.traits.media)))
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let paid_for = self.pairing.map_or(Ok(Vec::new()), |pairing| pairing.complete(hearing, own))?;
        let state = own.code();
        let known = state.is_some_and(|state| state.has_day(hearing.day));
        let before = state.map_or(0, |state| state.days_in_a_row_until(hearing.day.plus(-1)));
        let streak = before + 1;
        let ended = self.then == StreakThen::Stop && own.part(TOP).is_some();
        // A second payment on one day (max_times above 1) earns the streak's bonus no second time.
        let bonus = if known || ended { 0 } else { self.bonus(streak) };
        let mut marks = paid_for;
        if !known {
            marks.push(Mark::Day { key: "".into(), day: hearing.day });
        }
        if bonus > 0 && self.then == StreakThen::Stop && Some(streak) == self.top() {
            marks.push(Mark::Count { key: TOP.into(), period: Period::Ever, times: 1, points: 0 });
        }
        let args = if ended { Args::default() } else { self.args(streak, bonus) };
        Ok(Offer { points: self.points + bonus, bonus, streak: Some(streak), marks, args })
    }

    fn in_words(&self, points_name: &str) -> String {
        let rungs: Vec<String> = self.ladder.iter().map(|(day, bonus)| format!("连签 {day} 天再 +{bonus}")).collect();
        let then = match self.then {
            StreakThen::Restart if !rungs.is_empty() => "(之后从头再数)",
            StreakThen::Restart | StreakThen::GoOn | StreakThen::Stop => "",
        };
        let tail: String = rungs.iter().map(|rung| format!(",{rung}")).collect();
        let with = self.pairing.map_or(String::new(), |pairing| pairing.in_words());
        format!("{}{with}+{} {points_name}{tail}{then}", in_words(&self.words), self.points)
    }

    fn most(&self) -> i64 {
        self.points + self.ladder.iter().map(|(_, bonus)| *bonus).max().unwrap_or(0)
    }

    fn announces(&self) -> bool {
        true
    }

    fn needs_proof(&self) -> bool {
        self.pairing.is_some()
    }

    fn keeps(&self, hearing: &Hearing<'_>) -> Vec<Mark> {
        self.pairing.map_or_else(Vec::new, |pairing| pairing.kept(hearing))
    }
}

impl CheckIn {
    fn top(&self) -> Option<u32> {
        self.ladder.last().map(|(day, _)| *day)
    }

    /// Where the Nth day in a row stands on the ladder.
    fn step(&self, streak: u32) -> u32 {
        match (self.then, self.top()) {
            (StreakThen::Restart, Some(top)) => (streak - 1) % top + 1,
            (StreakThen::Restart, None) | (StreakThen::GoOn | StreakThen::Stop, _) => streak,
        }
    }

    fn bonus(&self, streak: u32) -> i64 {
        let step = self.step(streak);
        self.ladder.iter().find(|(day, _)| *day == step).map_or(0, |(_, bonus)| *bonus)
    }

    /// What the reply says of the ladder: the rung reached, and the next one.
    fn args(&self, streak: u32, bonus: i64) -> Args {
        let step = self.step(streak);
        let mut args = Args::default();
        if bonus > 0 {
            args = args.int("档位", i64::from(step));
        }
        if let Some((day, bonus)) = self.ladder.iter().find(|(day, _)| *day > step) {
            args = args.int("再签", i64::from(day - step)).int("再得", *bonus);
        }
        args
    }
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<CheckIn> {
    let keys: CheckInTable = table.read(mistakes);
    if keys.keywords.is_empty() {
        mistakes.error(table.span("keywords"), "missing-key", "签到要有口令,例如 keywords = [\"签到\"]");
    }
    let words: Vec<Listen> = keys.keywords.into_iter().map(|text| Listen { text, how: keys.how }).collect();
    for ((span, _), listen) in table.texts("keywords").unwrap_or_default().into_iter().zip(&words) {
        listen.check().unwrap_or_else(|reason| mistakes.error(span, "bad-keyword", reason));
    }
    check_points(table, keys.points, mistakes);
    let ladder = ladder(table, &keys.streak, mistakes);
    let pairing = Pairing::compile(table, keys.needs, keys.within.as_deref(), mistakes);
    (!words.is_empty()).then_some(CheckIn { words, points: keys.points, ladder, then: keys.streak_then, pairing })
}

/// Points of a rule: written, whole, and at least 1.
pub fn check_points(table: &RuleTable<'_>, points: i64, mistakes: &mut Mistakes) {
    if !(1..=RULE_POINTS_MAX).contains(&points) {
        let code = if table.get("points").is_some() { "bad-points" } else { "missing-key" };
        mistakes.error(table.span("points"), code, format!("points 要写 1 到 {RULE_POINTS_MAX} 之间的整数,例如 points = 2"));
    }
}

fn ladder(table: &RuleTable<'_>, streak: &BTreeMap<String, Rung>, mistakes: &mut Mistakes) -> Vec<(u32, i64)> {
    let mut ladder = Vec::new();
    for (day, rung) in streak {
        match (day.trim().parse::<u32>(), rung) {
            (Ok(number @ 2..=3650), Rung::Points(points @ 1..=RULE_POINTS_MAX)) => ladder.push((number, *points)),
            (Ok(2..=3650), Rung::Points(_)) => {
                mistakes.error(table.span_within("streak", day), "bad-streak", format!("streak 第 {day} 天另加的分要写 1 到 {RULE_POINTS_MAX} 之间的整数"));
            }
            (Ok(2..=3650), Rung::Good(good)) => {
                mistakes.error(
                    table.span_within("streak", day),
                    "not-yet",
                    format!("streak 第 {day} 天写了礼品「{good}」,这一版只能写分数,例如 {{ {day} = 10 }}"),
                );
            }
            (Ok(_) | Err(_), _) => {
                mistakes.error(table.span_within("streak", day), "bad-streak", format!("streak 里的「{day}」要写成第几天(2 到 3650),例如 {{ 7 = 10 }}"));
            }
        }
    }
    ladder.sort_unstable();
    ladder
}

#[cfg(test)]
mod tests {
    use crate::model::decision::Ruling;
    use crate::rules::world::World;

    fn daily(keys: &str) -> World {
        World::new(&format!("[check_in.daily]\nkeywords = [\"签到\", \"QD\"]\npoints = 2\n{keys}"))
    }

    fn days(world: &mut World, days: impl IntoIterator<Item = u32>) -> Vec<i64> {
        days.into_iter().map(|day| world.says(&format!("10-{day:02} 09:00"), "签到")).collect()
    }

    #[test]
    fn every_seventh_day_in_a_row_pays_the_bonus_again() {
        let mut world = daily("streak = { 7 = 10 }\nstreak_then = \"restart\"");
        assert_eq!(days(&mut world, 1..=15), [2, 2, 2, 2, 2, 2, 12, 2, 2, 2, 2, 2, 2, 12, 2]);
        assert!(matches!(world.ruling(), Ruling::Paid(payment) if payment.streak == Some(15)));
    }

    #[test]
    fn a_missed_day_begins_the_run_anew() {
        let mut world = daily("streak = { 3 = 5 }\nstreak_then = \"go_on\"");
        assert_eq!(days(&mut world, [1, 2, 4, 5, 6, 7]), [2, 2, 2, 2, 7, 2]);
    }

    #[test]
    fn go_on_pays_each_rung_once_in_a_run() {
        let mut world = daily("streak = { 2 = 5, 4 = 9 }\nstreak_then = \"go_on\"");
        assert_eq!(days(&mut world, 1..=9), [2, 7, 2, 11, 2, 2, 2, 2, 2]);
    }

    #[test]
    fn stop_pays_no_bonus_after_the_highest_rung_was_reached_once() {
        let mut world = daily("streak = { 2 = 5, 3 = 9 }\nstreak_then = \"stop\"");
        assert_eq!(days(&mut world, [1, 2, 4, 5, 6, 7, 9, 10, 11]), [2, 7, 2, 7, 11, 2, 2, 2, 2]);
    }

    #[test]
    fn second_check_in_of_a_day_earns_nothing() {
        let mut world = daily("");
        assert_eq!(world.says("11-22 09:00", "签到"), 2);
        assert_eq!(world.says("11-22 23:59", "签到"), 0);
        assert_eq!(world.says("11-23 00:00", "qd!"), 2);
    }

    #[test]
    fn two_check_ins_a_day_earn_the_bonus_of_the_day_once() {
        let mut world = daily("streak = { 2 = 10 }\nmax_times = { day = 2 }");
        let paid: Vec<i64> = ["11-21 09:00", "11-21 10:00", "11-22 09:00", "11-22 10:00"].iter().map(|when| world.says(when, "签到")).collect();
        assert_eq!(paid, [2, 2, 12, 2]);
    }

    #[test]
    fn a_question_about_checking_in_is_not_a_check_in() {
        let mut world = daily("");
        assert_eq!(world.says("11-22 09:00", "签到了吗"), 0);
        assert!(world.last.record.verdicts.is_empty() && world.last.replies.is_empty());
    }
}
