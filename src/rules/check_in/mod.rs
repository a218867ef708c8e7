//! `[check_in.<name>]`: a word (or a sentence, or the answer of the day) a day, points, and a streak that grows.

pub mod needs;
pub mod answers;
pub mod make_up;
pub mod calendar;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::day::{Day, Period, PeriodKind};
use crate::model::decision::{Args, Mark, Refusal};
use crate::rules::campaign::Common;
use crate::rules::cap::Limits;
use crate::rules::check_in::answers::Answers;
use crate::rules::check_in::make_up::{Days, MakeUp, Terms};
use crate::rules::check_in::needs::{NeedsName, Pairing};
use crate::rules::first::First;
use crate::rules::lint_days::Ladder;
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::text::Folded;
use crate::rules::words::{How, Listen, in_words};
use crate::rules::{Hearing, Kind, Offer, Own, Rule, Share};

/// `[check_in.<name>]`
pub const KIND: Kind = Kind {
    name: "check_in",
    title: "签到",
    default_limits: || Limits { max_times: vec![(PeriodKind::Day, 1)], max_points: Vec::new() },
    defaults,
    compile: |table, mistakes| compile(table, mistakes).map(|rule| Box::new(rule) as Box<dyn Rule>),
    schema: |generator| generator.subschema_for::<CheckInTable>(),
};

/// What holds where a table does not say.
fn defaults(table: &RuleTable<'_>) -> Vec<(&'static str, String)> {
    let own = [("match", "keywords", "\"equals\""), ("streak_then", "streak", "\"restart\""), ("within", "needs", "\"10m\"")];
    // Where what it is about is not written, it means nothing.
    own.into_iter().filter(|(_, about, _)| table.get(about).is_some()).map(|(key, _, value)| (key, value.to_owned())).collect()
}

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
    /// 每日一题:哪一天 = 算答对的话。整句相等才算,写法和口令一样宽;没写答案的日子不开放,没开放时答对也只是聊天,机器人不透露答案。
    #[schemars(extend("examples" = [{"2026-11-22": ["小雪"]}]))]
    #[schemars(extend("x-en" = "The answer of the day: date = what counts as right, the whole message. Closed on days without an answer; while it is closed an answer is mere talk, and the bot never tells it."))]
    answers: BTreeMap<String, Vec<String>>,
    /// 每天最先的几名另加分:前几名 = 另加几分;写几档,够得上的都加。名次按全活动当天的先后,撤回不退名次。
    #[schemars(extend("examples" = [{"3": 5}]))]
    #[schemars(extend("x-en" = "Extra points for the first of the campaign on a day: so many = extra points; of several steps all that one is within are paid. A recall gives no place back."))]
    first: BTreeMap<String, i64>,
    /// 每天只给最先的几名。
    #[schemars(range(min = 1, max = 100_000), extend("examples" = [10]))]
    #[schemars(extend("x-en" = "Only the first so many of the campaign on a day are paid."))]
    first_only: Option<i64>,
    /// 补签:花积分把漏签的一天接上。补的那天不得分、不算进连续天数,一次补一天;之后才送到的真签到照样算,补签的积分不退。
    #[schemars(extend("x-en" = "Make-up cards: points spent to join a missed day to the run. The day pays nothing and is not counted, each time makes up one day. A real check-in of that day that arrives later counts; the card is not given back."))]
    make_up: Option<MakeUpTable>,
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

/// 补签怎么卖。
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MakeUpTable {
    /// 补签的口令。默认 `["补签"]`;后面可以写日期:补签 11-20、补签 昨天
    #[schemars(length(min = 1), extend("examples" = [["补签"]]))]
    #[schemars(extend("x-en" = "Words that make up the latest missed day; a date may follow. Default `[\"补签\"]`."))]
    pub keywords: Vec<String>,
    /// 一天几分,0 为不收。必写。
    #[schemars(range(min = 0, max = 1_000_000_000), extend("examples" = [20]))]
    #[schemars(extend("x-en" = "Points a day costs; 0 is free. Required."))]
    pub price: Option<i64>,
    /// 最多补几天以内的,1 到 31。断得更久就接不上了。默认 `3`
    #[schemars(range(min = 1, max = 31))]
    #[schemars(extend("x-en" = "How many days back, 1 to 31. Default 3."))]
    pub days: u32,
    /// 最多补几次。
    #[schemars(extend("examples" = [{"month": 2}]))]
    #[schemars(extend("x-en" = "How often."))]
    pub max_times: BTreeMap<String, i64>,
}

impl Default for MakeUpTable {
    fn default() -> Self {
        MakeUpTable { keywords: vec!["补签".into()], price: None, days: 3, max_times: BTreeMap::new() }
    }
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
    /// The answers of the days.
    pub answers: Answers,
    /// The first of a day.
    pub first: First,
    /// Make-up cards.
    pub make_up: Option<Terms>,
}

/// Where it is remembered that the highest rung was reached.
const TOP: &str = "#top";

/// Where it is remembered since when the run counts, as the last check-in found it: a day made up since may have joined it to an earlier one.
pub const RUN: &str = "#run";

impl Rule for CheckIn {
    fn listens_for(&self) -> &[Listen] {
        &self.words
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        hearing.event.said().is_some() && (hearing.matched || self.pairing.is_some_and(|pairing| pairing.is_met_by(&hearing.traits.media)))
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let paid_for = self.pairing.map_or(Ok(Vec::new()), |pairing| pairing.complete(hearing, own))?;
        let known = own.code().is_some_and(|state| state.has_day(hearing.day));
        let days = Days::of(own);
        let stretch = days.until(hearing.day.plus(-1));
        let streak = stretch.count + 1;
        let ended = self.then == StreakThen::Stop && own.part(TOP).is_some();
        let reached = self.reached(own, hearing, &days, streak);
        // A second payment on one day (max_times above 1) earns the streak's bonus no second time.
        let bonus = if known || ended { 0 } else { reached.iter().map(|(_, bonus)| bonus).sum() };
        let mut marks = paid_for;
        if !known {
            marks.push(Mark::Day { key: "".into(), day: hearing.day });
            marks.extend(self.begins(own, hearing, stretch.first.unwrap_or(hearing.day)));
        }
        if bonus > 0 && self.then == StreakThen::Stop && reached.iter().any(|(day, _)| Some(*day) == self.top()) {
            marks.push(Mark::Count { key: TOP.into(), period: Period::Ever, times: 1, points: 0 });
        }
        let args = if ended { Args::default() } else { self.args(streak, bonus, &reached) };
        // Where the days bring nothing and the first of a day get more, it is the place that is told.
        let streak = (self.first.is_none() || !self.ladder.is_empty()).then_some(streak);
        Ok(Offer { points: self.points + bonus + self.first.points(), bonus: bonus + self.first.points(), streak, marks, args })
    }

    fn in_words(&self, points_name: &str) -> String {
        let rungs: Vec<String> = self.ladder.iter().map(|(day, bonus)| format!("连签 {day} 天再 +{bonus}")).collect();
        let then = match self.then {
            StreakThen::Restart if !rungs.is_empty() => "(之后从头再数)",
            StreakThen::Restart | StreakThen::GoOn | StreakThen::Stop => "",
        };
        let tail: String = rungs.iter().map(|rung| format!(",{rung}")).collect();
        let with = self.pairing.map_or(String::new(), |pairing| pairing.in_words());
        let words = match (self.words.is_empty(), self.answers.is_empty()) {
            (false, true) => in_words(&self.words),
            (true, _) => "答对当天的题".to_owned(),
            (false, false) => format!("{}或答对当天的题", in_words(&self.words)),
        };
        let space = if words.ends_with('」') || !with.is_empty() { "" } else { " " };
        format!("{words}{with}{space}+{} {points_name}{}{tail}{then}", self.points, self.first.in_words())
    }

    fn least(&self) -> i64 {
        self.points
    }

    fn most(&self) -> i64 {
        self.points + self.first.points() + self.ladder.iter().map(|(_, bonus)| *bonus).max().unwrap_or(0)
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

    fn has_shares(&self) -> bool {
        !self.first.is_none()
    }

    fn shares(&self, hearing: &Hearing<'_>) -> Vec<Share> {
        self.first.shares(i64::from(hearing.day.0))
    }

    fn has_ears(&self) -> bool {
        !self.answers.is_empty()
    }

    fn hears(&self, text: &Folded, day: Day, is_open: bool) -> bool {
        is_open && self.answers.accept(text, day)
    }

    fn is_on(&self, day: Day) -> bool {
        !self.words.is_empty() || self.answers.has(day)
    }

    fn further(&self, own: &Common) -> Vec<(&'static str, Common, Box<dyn Rule>)> {
        let made_up = |terms: &Terms| ("make_up", terms.common(own), Box::new(MakeUp::new(terms.clone())) as Box<dyn Rule>);
        self.make_up.iter().map(made_up).collect()
    }

    fn ladder(&self) -> Option<Ladder<'_>> {
        Some(Ladder { points: self.points, rungs: &self.ladder, then: self.then, answers: &self.answers })
    }

    fn month(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Option<calendar::Month> {
        Some(calendar::month(self, hearing.day, own))
    }
}

impl CheckIn {
    /// The rungs this day in a row reaches, and those that a day made up has brought within reach since the last check-in.
    fn reached(&self, own: Own<'_>, hearing: &Hearing<'_>, days: &Days<'_>, streak: u32) -> Vec<(u32, i64)> {
        let since = own.part(RUN).and_then(|part| part.since).map(|at| hearing.campaign.calendar.day(at));
        let joined = since.filter(|_| self.make_up.is_some()).and_then(|since| days.joined(hearing.day.plus(-1), since));
        let from = joined.map_or(streak, |before| before + 1);
        (from..=streak).map(|day| (self.step(day), self.bonus(day))).filter(|(_, bonus)| *bonus > 0).collect()
    }

    /// Remembers where the run begins, for a rule whose days can be made up.
    fn begins(&self, own: Own<'_>, hearing: &Hearing<'_>, first: Day) -> Option<Mark> {
        let at = hearing.campaign.calendar.begins(first);
        let known = own.part(RUN).and_then(|part| part.since);
        (self.make_up.is_some() && known != Some(at)).then(|| Mark::Since { key: RUN.into(), at: Some(at) })
    }

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
    fn args(&self, streak: u32, bonus: i64, reached: &[(u32, i64)]) -> Args {
        let step = self.step(streak);
        let mut args = Args::default();
        if let Some((rung, _)) = reached.last().filter(|_| bonus > 0) {
            args = args.int("档位", i64::from(*rung));
        }
        if let Some((day, bonus)) = self.ladder.iter().find(|(day, _)| *day > step) {
            args = args.int("再签", i64::from(day - step)).int("再得", *bonus);
        }
        args
    }

    /// In how many days after so many in a row the next rung comes, and what it brings.
    fn next(&self, streak: u32) -> Option<(u32, i64)> {
        let step = if streak == 0 { 0 } else { self.step(streak) };
        let top = self.top()?;
        let again = self.then == StreakThen::Restart && step == top;
        let next = self.ladder.iter().find(|(day, _)| *day > step).or(self.ladder.first().filter(|_| again));
        next.map(|(day, bonus)| (if again { *day } else { day - step }, *bonus))
    }
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<CheckIn> {
    let keys: CheckInTable = table.read(mistakes);
    if keys.keywords.is_empty() && keys.answers.is_empty() {
        mistakes.error(table.span("keywords"), "missing-key", "签到要有口令,例如 keywords = [\"签到\"];每日一题就写 answers = { 2026-11-22 = [\"小雪\"] }");
    }
    let words: Vec<Listen> = keys.keywords.into_iter().map(|text| Listen { text, how: keys.how }).collect();
    for ((span, _), listen) in table.texts("keywords").unwrap_or_default().into_iter().zip(&words) {
        listen.check().unwrap_or_else(|reason| mistakes.error(span, "bad-keyword", reason));
    }
    check_points(table, keys.points, mistakes);
    let ladder = ladder(table, &keys.streak, mistakes);
    let pairing = Pairing::compile(table, keys.needs, keys.within.as_deref(), mistakes);
    let answers = Answers::read(table, &keys.answers, mistakes);
    let first = First::read(table, &keys.first, keys.first_only, mistakes);
    let make_up = keys.make_up.as_ref().and_then(|keys| Terms::read(table, keys, mistakes));
    let hears = !words.is_empty() || !answers.is_empty();
    hears.then_some(CheckIn { words, points: keys.points, ladder, then: keys.streak_then, answers, first, make_up, pairing })
}

/// Points of a rule: written, whole, and at least 1.
pub fn check_points(table: &RuleTable<'_>, points: i64, mistakes: &mut Mistakes) {
    if !(1..=RULE_POINTS_MAX).contains(&points) {
        let code = if table.get("points").is_some() { "out-of-range" } else { "missing-key" };
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
