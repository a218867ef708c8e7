//! What to change in prices: so that every quarter of the members has something within reach, and no good costs more than points are worth.

use std::sync::Arc;

use serde::Serialize;

use super::prices::{GoodReach, Group, parts_of_yuan};
use super::reach::{reaches, within_reach};
use crate::rules::campaign::Campaign;

/// Prices people find round; times a power of ten.
const ROUND: [i64; 10] = [10, 12, 15, 20, 25, 30, 40, 50, 60, 80];

/// A good that so few reach is one that nobody reaches.
const NOBODY: f64 = 0.005;

/// Above the worth of a point by so much, in percent, a good is too cheap.
const DEAR_PERCENT: i128 = 110;

/// Where no worth is written: one good pays so many times what another pays.
const UNEVEN_TIMES: i128 = 3;

/// Something to change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// Why: `first` no goods yet, `none_in_reach` a group reaches nothing, `slow` nothing soon, `nobody` a good nobody reaches, `too_cheap` a
    /// good that costs us more than its points are worth, `uneven` goods that pay very differently, `stock` too few.
    pub kind: &'static str,
    /// The good it is about, by its name in the file.
    pub good: Option<Arc<str>>,
    /// The price to set, or of what to add.
    pub price: Option<i64>,
    /// What is wrong and what to do.
    pub text: String,
}

/// What to change in the prices of a campaign. `days` ascend; the last is what everybody must get within. One of `one_of` members is in
/// the groups.
pub fn advise(campaign: &Campaign, groups: &[Group], goods: &[GoodReach], days: &[i32], one_of: i64) -> Vec<Advice> {
    let Some(longest) = days.last().copied().filter(|_| !groups.is_empty()) else { return Vec::new() };
    let soon = days.iter().rev().nth(1).copied().unwrap_or(longest);
    if goods.is_empty() {
        return vec![first(groups, soon, longest)];
    }
    let mut advice = Vec::new();
    let added = none_in_reach(groups, goods, longest, &mut advice);
    slow(groups, goods, added, soon, &mut advice);
    for good in goods {
        advice.extend(nobody(groups, good, longest));
        advice.extend(too_cheap(campaign, good));
        advice.extend(stock(groups, good, soon, one_of));
    }
    advice.extend(campaign.point_value.is_none().then(|| uneven(goods)).flatten());
    advice
}

/// The greatest round price that is not above this one.
pub fn round_down(price: i64) -> i64 {
    if price < ROUND[0] {
        return price.max(0);
    }
    let scale = 10_i64.pow(price.ilog10() - 1);
    ROUND.iter().rev().map(|round| round * scale).find(|round| *round <= price).unwrap_or(price)
}

/// The smallest round price that is not below this one.
fn round_up(price: i64) -> i64 {
    if price <= ROUND[0] {
        return price.max(1);
    }
    let scale = 10_i64.pow(price.ilog10() - 1);
    ROUND.iter().map(|round| round.saturating_mul(scale)).find(|round| *round >= price).unwrap_or(scale.saturating_mul(100))
}

fn first(groups: &[Group], soon: i32, longest: i32) -> Advice {
    let middle = |days: i32| groups.get(groups.len() / 2).map_or(0, |group| round_down(within_reach(&group.members, days)));
    let least = groups.first().map_or(0, |group| round_down(within_reach(&group.members, longest)));
    let prices: Vec<String> = [
        (least > 0).then(|| format!("{least} 分(得分最少的人 {longest} 天也攒得到)")),
        (middle(soon) > least).then(|| format!("{} 分(多数人 {soon} 天攒得到)", middle(soon))),
        (middle(longest) > middle(soon)).then(|| format!("{} 分(多数人 {longest} 天攒得到)", middle(longest))),
    ]
    .into_iter()
    .flatten()
    .collect();
    let text = if prices.is_empty() {
        "文件里还没有商品,而一半的成员一分也攒不到;先看看规则是不是太难".to_owned()
    } else {
        format!("文件里还没有商品。按现在的得分,价格可以定在:{}。写法见 rules.toml 里的 [good.…]", prices.join("、"))
    };
    Advice { kind: "first", good: None, price: (least > 0).then_some(least), text }
}

/// Groups that reach nothing at all; gives the price of what is to be added for them.
fn none_in_reach(groups: &[Group], goods: &[GoodReach], days: i32, advice: &mut Vec<Advice>) -> Option<i64> {
    let is_left_out = |group: &&Group| !goods.iter().any(|good| reaches(&group.members, good.price, days));
    let (hopeless, left_out): (Vec<&Group>, Vec<&Group>) = groups.iter().filter(is_left_out).partition(|group| within_reach(&group.members, days) == 0);
    if !hopeless.is_empty() {
        let text = format!("{}:一半的人 {days} 天里一分也没剩下,降价帮不了他们;先让他们来,如定时提醒签到", names(&hopeless));
        advice.push(Advice { kind: "none_in_reach", good: None, price: None, text });
    }
    let price = left_out.iter().map(|group| round_down(within_reach(&group.members, days))).min()?;
    let cheapest = goods.iter().min_by_key(|good| good.price)?;
    let worth = cheapest.fen.map(|fen| format!(",那时一积分合 {} 元", parts_of_yuan(i128::from(fen) * 100 / i128::from(price.max(1))))).unwrap_or_default();
    let text = format!(
        "{}:{days} 天里什么也换不到。想让他们也换得到,加一样 {price} 分左右的,或把「{}」从 {} 分降到 {price} 分{worth}",
        names(&left_out),
        cheapest.title,
        cheapest.price
    );
    advice.push(Advice { kind: "none_in_reach", good: Some(cheapest.good.clone()), price: Some(price), text });
    Some(price)
}

/// Groups that reach something, but nothing soon.
fn slow(groups: &[Group], goods: &[GoodReach], added: Option<i64>, days: i32, advice: &mut Vec<Advice>) {
    let prices = || goods.iter().map(|good| good.price).chain(added);
    let is_slow = |group: &&Group| !prices().any(|price| reaches(&group.members, price, days)) && within_reach(&group.members, days) > 0;
    let slow: Vec<&Group> = groups.iter().filter(is_slow).collect();
    let Some(price) = slow.iter().map(|group| round_down(within_reach(&group.members, days))).min() else { return };
    let text = format!("{}:{days} 天里还换不到任何东西。想让他们早点有盼头,再加一样 {price} 分左右的小东西", names(&slow));
    advice.push(Advice { kind: "slow", good: None, price: Some(price), text });
}

fn nobody(groups: &[Group], good: &GoodReach, days: i32) -> Option<Advice> {
    let (_, share) = good.reach.last().filter(|(_, share)| *share < NOBODY)?;
    let best = groups.last().map(|group| round_down(within_reach(&group.members, days))).filter(|price| (1..good.price).contains(price));
    let who = if *share > 0.0 { "几乎没有人" } else { "没有人" };
    let todo = best.map(|price| format!("。只想让得分最多的那四分之一够得着,降到 {price} 分就行")).unwrap_or_default();
    let text = format!("「{}」{} 分:{days} 天里{who}攒得够{todo}", good.title, good.price);
    Some(Advice { kind: "nobody", good: Some(good.good.clone()), price: best, text })
}

/// A good that costs us more than the points that it takes are worth.
fn too_cheap(campaign: &Campaign, good: &GoodReach) -> Option<Advice> {
    let (fen, value) = (i128::from(good.fen?) * 100, i128::from(campaign.point_value?));
    if fen * 100 <= i128::from(good.price) * value * DEAR_PERCENT {
        return None;
    }
    let price = round_up(i64::try_from((fen + value - 1) / value).unwrap_or(i64::MAX));
    let text = format!(
        "「{}」成本 {} 元只要 {} 分,一积分合 {} 元,而 point_value 写的是 {} 元。按那个价要定 {price} 分;就想这么便宜,就把 point_value 改成 \"{}\"",
        good.title,
        parts_of_yuan(fen),
        good.price,
        parts_of_yuan(fen / i128::from(good.price)),
        parts_of_yuan(value),
        parts_of_yuan(fen / i128::from(good.price)),
    );
    Some(Advice { kind: "too_cheap", good: Some(good.good.clone()), price: Some(price), text })
}

/// Goods that pay very differently for a point.
fn uneven(goods: &[GoodReach]) -> Option<Advice> {
    let per_point = |good: &GoodReach| Some(i128::from(good.fen?) * 100_000 / i128::from(good.price));
    let worth: Vec<(i128, &GoodReach)> = goods.iter().filter_map(|good| Some((per_point(good).filter(|worth| *worth > 0)?, good))).collect();
    let (low, high) = (worth.iter().min_by_key(|(worth, _)| *worth)?, worth.iter().max_by_key(|(worth, _)| *worth)?);
    if high.0 < low.0 * UNEVEN_TIMES {
        return None;
    }
    let told = |(worth, good): &(i128, &GoodReach)| format!("「{}」一积分合 {} 元", good.title, parts_of_yuan(worth / 1_000));
    let text = format!("{},{}:会算的人只换前一样。想拉平,「{}」可以定低一些,或前一样定高一些", told(high), told(low), low.1.title);
    Some(Advice { kind: "uneven", good: Some(high.1.good.clone()), price: None, text })
}

/// Fewer pieces than members who will have the points soon.
fn stock(groups: &[Group], good: &GoodReach, days: i32, one_of: i64) -> Option<Advice> {
    let (stock, (_, share)) = (good.stock?, good.reach.iter().find(|(of, _)| *of == days)?);
    let members: usize = groups.iter().map(|group| group.members.len()).sum();
    let takers = (share.max(good.now) * members as f64 * one_of as f64).round() as i64;
    if takers <= stock {
        return None;
    }
    let cost =
        good.fen.map(|fen| format!(",补齐约 {} 元", parts_of_yuan((i128::from(takers) - i128::from(stock)) * i128::from(fen) * 100))).unwrap_or_default();
    let text = format!("「{}」库存 {stock} 件,而 {days} 天里大约 {takers} 人攒得够:先到先得说清楚,或多备一些{cost}", good.title);
    Some(Advice { kind: "stock", good: Some(good.good.clone()), price: None, text })
}

fn names(groups: &[&Group]) -> String {
    groups.iter().map(|group| group.name).collect::<Vec<_>>().join("、")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::day::Day;
    use crate::plan::earners::{Earner, Earners, Window};
    use crate::plan::prices::{Plan, Request, plan};
    use crate::rules::file::load;

    const WINDOW: Window = Window { first: Day(20_000), last: Day(20_090), today: Day(20_091) };

    fn planned(rules: &str, active: Vec<Earner>) -> Plan {
        let (rules, _) = load(&format!("check_in.daily = {{ keywords = [\"签到\"], points = 2 }}\n{rules}")).expect("good rules");
        let request = Request { days: vec![7, 30, 90], prices: Vec::new() };
        plan(&"acme".into(), &rules.campaigns[0], WINDOW, Earners { active, one_of: 1, ..Earners::default() }, &request)
    }

    /// So many members who earn so many points a week, for all of the window.
    fn steady(count: usize, weekly: i64) -> Vec<Earner> {
        vec![Earner { spendable: 0, days: 91, weeks: vec![weekly; 13].into() }; count]
    }

    fn kinds(plan: &Plan) -> Vec<&str> {
        plan.advice.iter().map(|advice| advice.kind).collect()
    }

    #[test]
    fn prices_are_round() {
        assert_eq!([0, 7, 10, 14, 99, 100, 149, 1_700, i64::MAX].map(round_down), [0, 7, 10, 12, 80, 100, 120, 1_500, 8_000_000_000_000_000_000]);
        assert_eq!([0, 7, 10, 14, 99, 100, 149, 1_700].map(round_up), [1, 7, 10, 15, 100, 100, 150, 2_000]);
    }

    #[test]
    fn who_reaches_nothing_gets_something() {
        let members = [steady(10, 1), steady(10, 7), steady(10, 14), steady(10, 70)].concat();
        let plan = planned("good.cup = { title = \"水杯\", price = 120, value = \"6.00\" }", members);
        let shares: Vec<(i32, f64)> = plan.goods[0].reach.clone();
        assert_eq!(shares, [(7, 0.0), (30, 0.25), (90, 0.5)]);
        assert_eq!(kinds(&plan), ["none_in_reach", "slow"], "{:#?}", plan.advice);
        assert_eq!(
            plan.advice[0].text,
            "得分最少的四分之一、中下的四分之一:90 天里什么也换不到。想让他们也换得到,加一样 12 分左右的,或把「水杯」从 120 分降到 12 分,那时一积分合 0.50 元"
        );
        assert_eq!(plan.advice[1].text, "得分最少的四分之一:30 天里还换不到任何东西。想让他们早点有盼头,再加一样 4 分左右的小东西");
    }

    #[test]
    fn what_nobody_reaches_and_what_costs_too_much_is_told() {
        let rules = "campaign.main.point_value = \"0.01\"\ngood.cup = { title = \"水杯\", price = 20, value = \"15.00\", stock = 10 }\ngood.full = { title = \"正装\", price = 3000 }";
        let plan = planned(rules, steady(40, 14));
        assert_eq!(kinds(&plan), ["too_cheap", "stock", "nobody"], "{:#?}", plan.advice);
        assert_eq!((plan.advice[0].price, plan.advice[2].price), (Some(1_500), Some(150)));
        assert!(plan.advice[1].text.contains("大约 40 人") && plan.advice[1].text.contains("450.00 元"), "{}", plan.advice[1].text);
    }

    #[test]
    fn without_goods_prices_to_begin_with_are_told() {
        let plan = planned("", steady(40, 14));
        assert_eq!((kinds(&plan), plan.advice[0].price), (vec!["first"], Some(150)));
        assert!(planned("", Vec::new()).advice.is_empty());
    }

    #[test]
    fn little_data_is_told() {
        let new = vec![Earner { spendable: 0, days: 3, weeks: vec![6; 13].into() }; 3];
        let plan = planned("good.cup = { price = 10 }", new);
        assert_eq!((plan.members, plan.newcomers, plan.quartiles.len(), plan.notes.len()), (3, 0, 1, 2), "{:?}", plan.notes);
    }

    proptest! {
        #[test]
        fn with_what_is_advised_no_quarter_is_left_without_a_good(
            members in prop::collection::vec((7_i32..=91, prop::collection::vec(0_i64..40, 13)), 1..60),
            prices in prop::collection::vec(1_i64..3_000, 1..4),
        ) {
            let earner = |(days, weeks): (i32, Vec<i64>)| Earner { spendable: 0, days, weeks: weeks.into() };
            let goods = |prices: &[i64]| prices.iter().enumerate().map(|(n, price)| format!("good.g{n} = {{ price = {price} }}\n")).collect::<String>();
            let active: Vec<Earner> = members.into_iter().map(earner).filter(|earner| earner.total() > 0).collect();
            let before = planned(&goods(&prices), active.clone());
            let added = before.advice.iter().filter(|advice| advice.kind == "none_in_reach").filter_map(|advice| advice.price);
            let after = planned(&goods(&prices.iter().copied().chain(added).collect::<Vec<_>>()), active);
            for quartile in &after.quartiles {
                let all = quartile.within.last().expect("days");
                prop_assert!(!all.goods.is_empty() || all.price == 0, "{quartile:?}");
            }
        }
    }
}
