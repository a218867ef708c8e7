//! `[lottery.<name>]` and `[referral.<name>]`: tables that do not run yet. They are read and looked at for money and law as they will be, and
//! then refused, so that nobody believes they pay. Editors do not offer them: their schema is not part of the file's.

use std::ops::Range;
use std::sync::LazyLock;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::budget;
use crate::rules::campaign::Campaign;
use crate::rules::fit;
use crate::rules::good::Good;
use crate::rules::lint::{law, worst};
use crate::rules::mistake::{Mistakes, Severity, grouped};
use crate::rules::schema::{SCHEMA, properties, without_null};
use crate::rules::shared_keys;
use crate::rules::table::{Misfits, RuleTable, in_order, integer};

/// 抽奖。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("x-title" = "抽奖"))]
pub struct LotteryTable {
    /// 口令。
    #[schemars(length(min = 1), inner(length(min = 1)), extend("examples" = [["抽奖"]]))]
    pub keywords: Option<Vec<String>>,
    /// 抽一次花几分;0 或不写是不花。
    #[schemars(range(min = 0, max = 1_000_000_000), extend("examples" = [50]))]
    pub price: Option<i64>,
    /// 奖项。
    #[schemars(length(min = 1), extend("examples" = [[{"points": 10, "odds": "60%"}]]))]
    pub prizes: Option<Vec<PrizeTable>>,
    /// 主办方。
    #[schemars(length(min = 1))]
    pub organizer: Option<String>,
    /// 联系方式。
    #[schemars(length(min = 1))]
    pub contact: Option<String>,
    /// 怎么领奖、几天内领。
    #[schemars(length(min = 1))]
    pub claim: Option<String>,
}

/// 一个奖项;什么也不写给的就是没中。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PrizeTable {
    /// 中多少分。
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub points: Option<i64>,
    /// 中什么礼品:[good.<名字>] 里的名字。
    pub good: Option<String>,
    /// 中奖概率。
    #[schemars(extend("examples" = ["5%"]))]
    pub odds: Option<String>,
    /// 一共几份。
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub stock: Option<i64>,
}

/// 邀请。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, extend("x-title" = "邀请"))]
pub struct ReferralTable {
    /// 邀请来一个人得几分。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [100]))]
    pub points: Option<i64>,
    /// 往上几级都得分。
    #[schemars(range(min = 1, max = 100), extend("examples" = [1]))]
    pub levels: Option<i64>,
}

/// The kinds, with what members call them.
const KINDS: [(&str, &str); 2] = [("lottery", "抽奖"), ("referral", "邀请")];

/// Parts of a whole in which odds are counted: `0.0001%`.
const WHOLE: i64 = 1_000_000;

/// The dearest prize that a draw may have, in yuan (规范促销行为暂行规定, order 32 of SAMR).
const PRIZE_YUAN_MAX: i64 = 50_000;

static PROMISED: LazyLock<Value> = LazyLock::new(|| {
    let mut generator = SchemaSettings::draft07().into_generator();
    let own = [generator.subschema_for::<LotteryTable>().to_value(), generator.subschema_for::<ReferralTable>().to_value()];
    let mut definitions = SCHEMA["definitions"].as_object().cloned().unwrap_or_default();
    definitions.extend(generator.take_definitions(true));
    let mut whole = json!({ "type": "object", "definitions": definitions });
    let mut tables = Map::new();
    for ((kind, _), own) in KINDS.into_iter().zip(own) {
        let mut keys = properties(&whole, &whole["definitions"]["SharedKeys"]);
        keys.extend(properties(&whole, &own));
        let table = json!({ "type": "object", "additionalProperties": false, "properties": keys });
        tables.insert(kind.to_owned(), json!({ "type": "object", "propertyNames": {}, "additionalProperties": table }));
    }
    whole["properties"] = Value::Object(tables);
    without_null(&mut whole);
    whole
});

/// Whether a table of this name is looked at here.
pub fn is_kind(name: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == name)
}

/// Looks at the tables of a file's top, or of a campaign.
pub fn check(parent: &DeTable<'_>, campaign: &Campaign, mistakes: &mut Mistakes) {
    let mut tables = DeTable::new();
    for (kind, value) in parent.iter().filter(|(kind, _)| is_kind(kind.get_ref())) {
        tables.insert(kind.clone(), value.clone());
    }
    let misfits = fit::check(&PROMISED, "", &tables, mistakes);
    for (kind, title) in KINDS {
        let Some(named) = tables.get(kind).and_then(|value| value.get_ref().as_table()) else { continue };
        for (name, value) in in_order(named) {
            let Some(table) = value.get_ref().as_table() else { continue };
            let table = RuleTable::new(name.span(), &[table], &misfits);
            let place = Promised { table: &table, name: &format!("{kind}.{}", name.get_ref()), head: name.span(), campaign };
            match kind {
                "lottery" => place.lottery(mistakes),
                _ => place.referral(mistakes),
            }
            let text = format!("{title}还没有做好,不会记分;先删掉这张表,或在每行行首加 #。别的提醒届时照样适用");
            mistakes.error(name.span(), "not-yet", text);
        }
    }
}

/// One table.
struct Promised<'a> {
    table: &'a RuleTable<'a>,
    name: &'a str,
    head: Range<usize>,
    campaign: &'a Campaign,
}

impl Promised<'_> {
    fn lottery(&self, mistakes: &mut Mistakes) {
        self.spreads(mistakes);
        let prizes: Vec<RuleTable<'_>> = self.prizes();
        let odds: Vec<i64> = prizes.iter().map(|prize| self.odds(prize, mistakes)).collect();
        let sum = odds.iter().fold(0_i64, |sum, odds| sum.saturating_add(*odds));
        if sum > WHOLE {
            let text = format!("{} 的概率加起来是 {},超过 100%;请改小", self.name, percent(sum));
            mistakes.error(self.table.span("prizes"), "bad-odds", text);
        }
        let worth: Vec<i64> = prizes.iter().map(|prize| worth(prize, &self.campaign.goods)).collect();
        self.pays_more(&worth, &odds, mistakes);
        self.too_dear(worth.iter().copied().max().unwrap_or(0), mistakes);
        self.unannounced(&prizes, mistakes);
    }

    /// A draw from which members win more than they pay.
    fn pays_more(&self, worth: &[i64], odds: &[i64], mistakes: &mut Mistakes) {
        let price = self.table.get("price").and_then(integer).unwrap_or(0);
        let expected: i128 = worth.iter().zip(odds).map(|(worth, odds)| i128::from(*worth) * i128::from(*odds)).sum();
        let times = shared_keys::limits(self.table).max_times.iter().map(|(_, most)| *most).min();
        let gains = expected > i128::from(price) * i128::from(WHOLE);
        // What costs nothing gives presents; how many is what must be bounded.
        if !gains || (price == 0 && times.is_some()) {
            return;
        }
        let mean = i64::try_from(expected / i128::from(WHOLE)).unwrap_or(i64::MAX);
        let todo = if price == 0 { "不花积分又没写 max_times,可以一直抽" } else { "抽得越多赚得越多" };
        let text = format!("{} 抽一次花 {price} 分,平均却中 {} 分,{todo};请提高 price、降低 odds,或写上 max_times", self.name, grouped(&mean.to_string()));
        let most = mean.saturating_sub(price).saturating_mul(times.unwrap_or(86_400));
        mistakes.costly(self.head.clone(), Severity::Warning, "lottery-pays-more", text, worst::of_points(self.campaign, most, None, times.is_none()));
    }

    fn too_dear(&self, worth: i64, mistakes: &mut Mistakes) {
        let Some(value) = self.campaign.point_value else { return };
        if i128::from(worth) * i128::from(value) > i128::from(PRIZE_YUAN_MAX) * 10_000 {
            let yuan = grouped(&budget::yuan(worth, value));
            let text = format!("{} 最大的奖值 {yuan} 元,超过抽奖的法定上限 50 000 元,所以不采用;请改小", self.name);
            mistakes.costly(self.head.clone(), Severity::Error, "lottery-too-dear", text, worst::of_points(self.campaign, worth, None, false));
        }
    }

    /// What the law wants to be told before the draw.
    fn unannounced(&self, prizes: &[RuleTable<'_>], mistakes: &mut Mistakes) {
        let is_open = |prize: &RuleTable<'_>| prize.get("odds").is_none() && prize.get("stock").is_none();
        let odds = prizes.is_empty() || prizes.iter().any(is_open);
        let told = [("organizer", "主办方"), ("contact", "联系方式"), ("claim", "领奖办法和期限"), ("dates", "起止日期")];
        let missing = told.iter().filter(|(key, _)| self.table.get(key).is_none()).map(|(key, title)| format!("{key}({title})"));
        let missing: Vec<String> = missing.chain(odds.then(|| "每个奖的 odds(概率)或 stock(份数)".to_owned())).collect();
        if !missing.is_empty() {
            let text = format!("{} 没有公示齐:按规定抽奖前要公布奖项、概率或数量、时间、领奖办法、主办方和联系方式;还差 {}", self.name, missing.join("、"));
            mistakes.warning(self.head.clone(), "lottery-no-notice", text);
        }
    }

    fn referral(&self, mistakes: &mut Mistakes) {
        self.spreads(mistakes);
        let levels = self.table.get("levels").and_then(integer).unwrap_or(1);
        let points = self.table.get("points").and_then(integer).unwrap_or(0);
        let limits = shared_keys::limits(self.table);
        let times = limits.max_times.iter().map(|(_, most)| *most).min();
        let most = limits.max_points.iter().map(|(_, most)| *most).chain(times.map(|times| points.saturating_mul(times))).min();
        if levels > 1 {
            let text = format!("{} 往上 {levels} 级都得分:按下级带来的人计酬,两级以上有传销风险,所以不采用;请改成 levels = 1", self.name);
            let cost = worst::of_points(self.campaign, most.unwrap_or(points), None, most.is_none());
            mistakes.costly(self.table.span("levels"), Severity::Error, "multi-level", text, cost);
        }
        if most.is_none() && points > 0 {
            let text = format!("{} 没有上限:每邀请一个人 {points} 分,拉多少人得多少;建议加上 max_times = {{ month = 20 }}", self.name);
            mistakes.warning(self.head.clone(), "no-cap", text);
        }
    }

    fn spreads(&self, mistakes: &mut Mistakes) {
        let words = self.table.texts("keywords").into_iter().flatten().map(|(_, word)| word);
        if let Some(word) = self.table.text("title").into_iter().chain(words).find(|word| law::spreads(word)) {
            let text = format!("{} 给「{word}」发积分或奖:微信不许诱导分享、转发,所以不采用;请换个玩法", self.name);
            mistakes.costly(self.head.clone(), Severity::Error, "sharing", text, worst::of_points(self.campaign, 0, None, false));
        }
    }

    fn prizes(&self) -> Vec<RuleTable<'_>> {
        let items = self.table.get("prizes").and_then(|value| value.get_ref().as_array());
        let table = |item: &Spanned<DeValue<'_>>| item.get_ref().as_table().map(|_| item.span());
        let spans: Vec<Range<usize>> = items.into_iter().flatten().filter_map(table).collect();
        let tables = items.into_iter().flatten().filter_map(|item| item.get_ref().as_table());
        spans.into_iter().zip(tables).map(|(span, table)| RuleTable::new(span, &[table], &Misfits::new())).collect()
    }

    fn odds(&self, prize: &RuleTable<'_>, mistakes: &mut Mistakes) -> i64 {
        let Some(text) = prize.text("odds") else { return 0 };
        parts(text).unwrap_or_else(|| {
            mistakes.error(prize.span("odds"), "bad-odds", format!("「{text}」不是概率;请写 0.0001% 到 100%,例如 odds = \"5%\""));
            0
        })
    }
}

/// What a prize is worth in points.
fn worth(prize: &RuleTable<'_>, goods: &[Good]) -> i64 {
    let named = |name: &str| goods.iter().find(|good| good.code.strip_prefix("good.") == Some(name));
    let good = prize.text("good").and_then(named).map(|good| good.price);
    prize.get("points").and_then(integer).or(good).unwrap_or(0)
}

/// Odds as they are written, `0.5%`, in parts of [`WHOLE`].
fn parts(text: &str) -> Option<i64> {
    let number = text.trim().strip_suffix(['%', '\u{ff05}'])?.trim();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || part.len() > 4 || !digits(whole) || !digits(part) {
        return None;
    }
    let parts = whole.parse::<i64>().ok()? * (WHOLE / 100) + format!("{part:0<4}").parse::<i64>().ok()?;
    (1..=WHOLE).contains(&parts).then_some(parts)
}

fn percent(parts: i64) -> String {
    let (whole, part) = (parts / (WHOLE / 100), parts % (WHOLE / 100));
    let text = format!("{whole}.{part:04}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    fn codes(text: &str) -> Vec<&'static str> {
        load(text).expect_err("not yet").into_iter().map(|mistake| mistake.code).collect()
    }

    const NOTICE: &str = "organizer = \"店\", contact = \"123\", claim = \"7 天内\", dates = \"2026-11-01..2026-11-30\"";

    #[test]
    fn odds_are_parts_of_a_whole() {
        assert_eq!(["60%", "0.5%", "100%", "0.0001%"].map(parts), [Some(600_000), Some(5_000), Some(WHOLE), Some(1)]);
        assert_eq!(["", "60", "0%", "101%", "-1%", "1e2%", "0.00001%"].map(parts), [None; 7]);
        assert_eq!((percent(1_050_000), percent(5_000)), ("105%".to_owned(), "0.5%".to_owned()));
    }

    #[test]
    fn a_draw_is_looked_at_for_money_and_law_and_then_refused() {
        let draw = |keys: &str| codes(&format!("lottery.wheel = {{ keywords = [\"抽奖\"], {NOTICE}, {keys} }}"));
        assert_eq!(draw("price = 50, prizes = [{ points = 10, odds = \"60%\" }, { points = 200, odds = \"5%\" }]"), ["not-yet"]);
        assert_eq!(draw("price = 10, prizes = [{ points = 10, odds = \"60%\" }, { points = 200, odds = \"5%\" }]"), ["lottery-pays-more", "not-yet"]);
        assert_eq!(draw("prizes = [{ points = 5, odds = \"50%\" }]"), ["lottery-pays-more", "not-yet"]);
        assert_eq!(draw("max_times = { day = 1 }, prizes = [{ points = 5, odds = \"50%\" }]"), ["not-yet"]);
        assert_eq!(draw("price = 50, prizes = [{ odds = \"60%\" }, { odds = \"50%\" }]"), ["not-yet", "bad-odds"]);
        assert_eq!(draw("price = 50, pirzes = []"), ["lottery-no-notice", "not-yet", "unknown-key"]);
        assert_eq!(codes("lottery.wheel = { keywords = [\"抽奖\"], price = 50, prizes = [{ odds = \"60%\" }] }"), ["lottery-no-notice", "not-yet"]);
    }

    #[test]
    fn two_levels_of_inviting_are_refused_and_one_is_looked_at() {
        let invite = |keys: &str| codes(&format!("referral.friend = {{ points = 100, {keys} }}"));
        assert_eq!(invite("max_times = { month = 20 }"), ["not-yet"]);
        assert_eq!(invite("hold = \"7d\""), ["no-cap", "not-yet"]);
        assert_eq!(invite("max_times = { month = 20 }, levels = 2"), ["not-yet", "multi-level"]);
        assert_eq!(codes("campaign.main.referral.friend = { points = 100, max_times = { month = 20 }, levels = 3 }"), ["not-yet", "multi-level"]);
    }
}
