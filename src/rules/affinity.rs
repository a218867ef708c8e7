//! `[affinity]`: how warm a member is, from 0 to 100 degrees, by what they earned on the last days. Pure: the same days, the same temperature.
//!
//! ```text
//! heat of a day = the weights of the kinds of rule that paid on it, each once, at most `full`
//! temperature   = Σ heat × (days − age) ÷ Σ full × (days − age) × 100        age 0 is today: it weighs most
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;

use crate::model::day::Day;
use crate::rules::KINDS;
use crate::rules::fit::did_you_mean;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, integer};

/// Days that count where none are written.
const DAYS: i32 = 14;
/// The longest span: what is older says nothing about how warm somebody is.
pub const DAYS_MAX: i32 = 60;
/// What a full day brings where nothing is written.
const FULL: i64 = 10;
/// What a kind brings where nothing is written.
const OTHER: i64 = 5;
/// Kinds that bring something else.
const WEIGHTS: [(&str, i64); 3] = [("check_in", 6), ("speaking", 4), ("retention", 0)];

/// 亲密度:按最近几天得分的情况算出 0 到 100℃。写上 `[affinity]` 就打开。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AffinityTable {
    /// 看最近多少天,越近的一天越重:今天是 days 倍,最早一天是 1 倍。默认 14。
    #[schemars(range(min = 1, max = 60), extend("examples" = [14]))]
    #[schemars(extend("x-en" = "How many days count; the nearer the more: today `days` times, the first day once. Default 14."))]
    pub days: Option<i64>,
    /// 一天最多多少热度;天天满热度就是 100℃。默认 10。
    #[schemars(range(min = 1, max = 1000), extend("examples" = [10]))]
    #[schemars(extend("x-en" = "The most heat of a day; that much every day is 100 degrees. Default 10."))]
    pub full: Option<i64>,
    /// 一天里某类规则得过分,加多少热度;一天一类只加一次。默认 check_in 6、speaking 4、retention 0,其他 5。
    #[schemars(extend("examples" = [{"check_in": 6, "speaking": 4}]))]
    #[schemars(extend("x-en" = "Heat of a day on which rules of a kind paid, once a kind. Default `check_in` 6, `speaking` 4, `retention` 0, others 5."))]
    pub weights: Option<BTreeMap<String, i64>>,
}

/// How a temperature is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// How many days count.
    pub days: i32,
    /// The most heat of a day.
    pub full: i64,
    /// Weights that are written, by kind.
    weights: Vec<(Arc<str>, i64)>,
}

/// Reads the table; `None` where it is not written.
pub fn read(table: Option<RuleTable<'_>>, mistakes: &mut Mistakes) -> Option<Affinity> {
    let table = table?;
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let mut weights = Vec::new();
    for (key, value) in table.pairs("weights") {
        let kind = key.get_ref();
        match integer(value) {
            _ if !names.contains(&kind.as_ref()) => {
                let near = did_you_mean(kind, &names);
                mistakes.error(key.span(), "unknown-kind", format!("没有「{kind}」这一类规则{near};能写的有:{}", names.join("、")));
            }
            Some(weight @ 0..=1000) => weights.push((Arc::from(kind.as_ref()), weight)),
            Some(_) | None => mistakes.error(value.span(), "bad-value", format!("weights.{kind} 要是 0 到 1000 的整数")),
        }
    }
    let days = table.get("days").and_then(integer).and_then(|days| i32::try_from(days).ok()).unwrap_or(DAYS).clamp(1, DAYS_MAX);
    Some(Affinity { days, full: table.get("full").and_then(integer).unwrap_or(FULL).max(1), weights })
}

impl Affinity {
    /// What a kind brings on a day.
    fn weight(&self, kind: &str) -> i64 {
        if !KINDS.iter().any(|known| known.name == kind) {
            // What operators gave and what was brought from elsewhere.
            return 0;
        }
        let written = self.weights.iter().find(|(known, _)| **known == *kind).map(|(_, weight)| *weight);
        written.or_else(|| WEIGHTS.iter().find(|(known, _)| *known == kind).map(|(_, weight)| *weight)).unwrap_or(OTHER)
    }

    /// The temperature today of who earned by these kinds on these days, in degrees, rounded down.
    pub fn temperature(&self, today: Day, earned: &BTreeMap<Day, BTreeSet<Arc<str>>>) -> i64 {
        let (mut heat, mut full) = (0_i64, 0_i64);
        for age in 0..self.days {
            let weight = i64::from(self.days - age);
            let kinds = earned.get(&today.plus(-age)).into_iter().flatten();
            heat += kinds.map(|kind| self.weight(kind)).sum::<i64>().min(self.full) * weight;
            full += self.full * weight;
        }
        heat * 100 / full
    }
}

/// A temperature in a word.
pub fn in_words(temperature: i64) -> &'static str {
    match temperature {
        ..10 => "冰凉",
        10..40 => "微温",
        40..75 => "温热",
        75.. => "火热",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    fn days(kinds: &[&str], ages: std::ops::Range<i32>) -> BTreeMap<Day, BTreeSet<Arc<str>>> {
        ages.map(|age| (Day(100 - age), kinds.iter().map(|&kind| Arc::from(kind)).collect())).collect()
    }

    fn default() -> Affinity {
        load("[affinity]\n").expect("an empty table switches it on").0.affinity.expect("on")
    }

    #[test]
    fn who_does_everything_every_day_boils_and_who_is_silent_freezes() {
        let affinity = default();
        assert_eq!(affinity.temperature(Day(100), &days(&["check_in", "speaking"], 0..14)), 100);
        assert_eq!(affinity.temperature(Day(100), &days(&["check_in"], 0..14)), 60);
        assert_eq!(affinity.temperature(Day(100), &days(&["check_in", "speaking"], 14..40)), 0);
        assert_eq!(affinity.temperature(Day(100), &BTreeMap::new()), 0);
        assert_eq!(affinity.temperature(Day(100), &days(&["check_in", "speaking", "grant"], 0..14)), 100, "a day has no more than full");
    }

    #[test]
    fn a_nearer_day_warms_more() {
        let affinity = default();
        let of = |age: i32| affinity.temperature(Day(100), &days(&["check_in", "speaking"], age..age + 1));
        assert_eq!((of(0), of(6), of(13)), (13, 7, 0));
    }

    #[test]
    fn weights_are_of_kinds_that_exist() {
        let told = |text: &str| load(text).err().unwrap_or_default().iter().map(|mistake| mistake.code).collect::<Vec<_>>();
        assert_eq!(told("[affinity.weights]\ncheckin = 3\n"), ["unknown-kind"]);
        assert_eq!(told("[affinity.weights]\ncheck_in = -3\n"), ["bad-value"]);
        assert_eq!(load("").expect("nothing").0.affinity, None);
    }
}
