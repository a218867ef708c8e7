//! Factors: a level or a festival multiplies what rules pay. The product is floored once; caps come after it.

use std::sync::Arc;

use jiff::civil::Date;

use crate::model::cells::AccountCell;
use crate::model::day::Day;
use crate::model::decision::Factor;
use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::decide::within;
use crate::rules::when::When;

/// A level of a campaign: by all that was ever earned, never by what is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Its name for members: `高级`.
    pub title: Arc<str>,
    /// Points ever earned from which on one has it.
    pub at: i64,
    /// What its members' earnings are multiplied with, in percent.
    pub percent: u32,
    /// What its members may do.
    pub may: Vec<Arc<str>>,
}

/// `[festival.<name>]`: on some days everything, or some rules, pays more.
#[derive(Debug)]
pub struct Festival {
    /// Ledger name: `festival.spring`.
    pub code: Arc<str>,
    /// Its name for members.
    pub title: Arc<str>,
    /// First and last day, both included.
    pub dates: Option<(Date, Date)>,
    /// Its days of the week.
    pub days: Option<When>,
    /// Its windows.
    pub when: Option<When>,
    /// The factor in percent.
    pub percent: u32,
    /// Codes of the rules it is for; `None` for all.
    pub rules: Option<Vec<Arc<str>>>,
    /// Whether caps are multiplied as well.
    pub lifts_caps: bool,
}

/// The level that so many points ever earned give; the last whose threshold is reached.
pub fn level(levels: &[Level], lifetime: i64) -> Option<&Level> {
    levels.iter().rfind(|level| level.at <= lifetime)
}

/// What multiplies a rule's offer now, and by how much its caps are multiplied (100 for not at all).
pub fn factors(campaign: &Campaign, rule: &RuleEntry, account: Option<&AccountCell>, day: Day, at: crate::model::day::Millis) -> (Vec<Factor>, u32) {
    let own = level(&campaign.levels, account.map_or(0, |account| account.lifetime)).filter(|level| level.percent != 100);
    let mut factors: Vec<Factor> = own.map(|level| Factor { of: level.title.clone(), percent: level.percent }).into_iter().collect();
    let mut caps = 100;
    for festival in campaign.festivals.iter().filter(|festival| festival.is_on(campaign, rule, day, at)) {
        factors.push(Factor { of: festival.title.clone(), percent: festival.percent });
        if festival.lifts_caps {
            caps = caps * festival.percent / 100;
        }
    }
    (factors, caps)
}

impl Festival {
    /// Whether it is on for a rule, at an instant of a business day.
    pub fn is_on(&self, campaign: &Campaign, rule: &RuleEntry, day: Day, at: crate::model::day::Millis) -> bool {
        let meant = self.rules.as_ref().is_none_or(|rules| rules.contains(&rule.code));
        let dated = self.dates.is_none_or(|(first, last)| within(day, first, last));
        let open = |when: &Option<When>| when.as_ref().is_none_or(|when| when.open_since(&campaign.calendar, at).is_some());
        meant && dated && open(&self.days) && open(&self.when)
    }
}

/// Points times all factors, floored once; `None` when that cannot be counted.
pub fn multiplied(points: i64, factors: &[Factor]) -> Option<i64> {
    let (mut product, mut divisor) = (i128::from(points), 1_i128);
    for factor in factors {
        product = product.checked_mul(i128::from(factor.percent))?;
        divisor = divisor.checked_mul(100)?;
    }
    i64::try_from(product.div_euclid(divisor)).ok()
}

/// Factors for people: `高级 150% × 春节 200%`, with what became of a broken point.
pub fn in_words(base: i64, factors: &[Factor]) -> String {
    let factors_in_words: Vec<String> = factors.iter().map(|factor| format!("{} {}%", factor.of, factor.percent)).collect();
    let is_whole = |divisor: i128| {
        let product = factors.iter().try_fold(i128::from(base), |product, factor| product.checked_mul(i128::from(factor.percent)));
        product.is_none_or(|product| product.rem_euclid(divisor) == 0)
    };
    let divisor = u32::try_from(factors.len()).ok().and_then(|count| 100_i128.checked_pow(count));
    let rounded = if divisor.is_none_or(is_whole) { "" } else { ",不足 1 分舍去" };
    format!("{}{rounded}", factors_in_words.join(" × "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(percent: u32) -> Factor {
        Factor { of: "x".into(), percent }
    }

    #[test]
    fn a_product_is_floored_once() {
        assert_eq!(multiplied(5, &[factor(150)]), Some(7));
        assert_eq!(multiplied(5, &[factor(150), factor(150)]), Some(11), "not 7 × 1.5 = 10");
        assert_eq!(multiplied(1, &[factor(120)]), Some(1));
        assert_eq!(multiplied(i64::MAX, &[factor(200)]), None);
    }

    #[test]
    fn a_level_is_the_last_whose_threshold_is_reached() {
        let level_at = |at| Level { title: format!("{at}").as_str().into(), at, percent: 100, may: Vec::new() };
        let levels = [level_at(0), level_at(500), level_at(2000)];
        assert_eq!([0, 499, 500, 1999, 2000].map(|points| level(&levels, points).map_or(-1, |level| level.at)), [0, 0, 500, 500, 2000]);
        assert_eq!(level(&levels, -1), None);
    }
}
