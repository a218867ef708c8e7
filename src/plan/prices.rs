//! `jifen plan`: which share of the members can reach each good, by their own earning, and what that means in money.

use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use super::advice::{Advice, advise};
use super::earners::{Earner, Earners, WEEK_DAYS, Window};
use super::reach;
use crate::model::day::Day;
use crate::rules::budget;
use crate::rules::campaign::Campaign;
use crate::rules::good::Good;
use crate::rules::validity::Life;

/// Fewer members than this cannot be parted in four.
const QUARTERS: usize = 4;

/// Below so many members shares mean little.
const FEW_MEMBERS: usize = 30;

/// Names of the four groups, from those who earn least.
const NAMES: [&str; QUARTERS] = ["得分最少的四分之一", "中下的四分之一", "中上的四分之一", "得分最多的四分之一"];

/// Parts of a yuan that a point's worth is told in.
const PARTS_PER_FEN: i64 = 100;

/// What is to be planned.
#[derive(Debug, Clone)]
pub struct Request {
    /// The days after which it is asked who gets there, ascending.
    pub days: Vec<i32>,
    /// Prices to try: a good by its title or its name in the file, or one that is not there yet.
    pub prices: Vec<(String, i64)>,
}

/// A campaign's plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The corp.
    pub corp: Arc<str>,
    /// The campaign, by its id.
    pub campaign: Arc<str>,
    /// Its title.
    pub title: Option<Arc<str>>,
    /// First day of earning that was looked at.
    pub from: Date,
    /// Last day.
    pub to: Date,
    /// Members it is reckoned from.
    pub members: usize,
    /// Members who earned before, and nothing on these days: not reckoned with.
    pub dormant: u64,
    /// Members who came less than a week ago: not reckoned with either, unless there are only such.
    pub newcomers: usize,
    /// Of how many members one was looked at.
    pub one_of: i64,
    /// What one point is worth in yuan, as the file says.
    pub point_value: Option<String>,
    /// The members in four groups by what they earn a week, those who earn least first; one group when there are fewer than four.
    pub quartiles: Vec<Quartile>,
    /// The goods in the order of the file, prices to try last.
    pub goods: Vec<GoodReach>,
    /// What to change.
    pub advice: Vec<Advice>,
    /// What is to be known of these numbers.
    pub notes: Vec<String>,
}

/// A quarter of the members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quartile {
    /// What it is called.
    pub name: &'static str,
    /// How many they are.
    pub members: usize,
    /// Points a week of who earns least in it.
    pub weekly_from: f64,
    /// Points a week of who earns most in it.
    pub weekly_to: f64,
    /// For each number of days what half of them reach.
    pub within: Vec<Within>,
}

/// What half of a group reach in some days.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Within {
    /// The days.
    pub days: i32,
    /// The highest price.
    pub price: i64,
    /// The goods, by their names in the file.
    pub goods: Vec<Arc<str>>,
}

/// Who can reach a good.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GoodReach {
    /// Its name in the file; for a price to try that is not there the title.
    pub good: Arc<str>,
    /// Its name for members.
    pub title: Arc<str>,
    /// Its price in points.
    pub price: i64,
    /// The price in the file, where another one is tried.
    pub price_now: Option<i64>,
    /// How many there are.
    pub stock: Option<i64>,
    /// What one costs us, in fen.
    pub fen: Option<i64>,
    /// What a point is worth in yuan when it buys this.
    pub yuan_per_point: Option<String>,
    /// Share of the members that could pay it now, 0..=1.
    pub now: f64,
    /// For each number of days the share of the members that gets there from nothing, 0..=1.
    pub reach: Vec<(i32, f64)>,
    /// Days after which half of the members get there; `None` when they do not.
    pub median_days: Option<i64>,
}

/// The four groups with their members: what the advice is reckoned from.
pub struct Group {
    /// What it is called.
    pub name: &'static str,
    /// Its members.
    pub members: Vec<Earner>,
}

/// Plans the prices of a campaign. `days` of the request are cut where points do not live so long.
pub fn plan(corp: &Arc<str>, campaign: &Campaign, window: Window, earners: Earners, request: &Request) -> Plan {
    let (mut settled, newcomers): (Vec<Earner>, Vec<Earner>) = earners.active.into_iter().partition(|member| member.days >= WEEK_DAYS);
    let mut left_out = newcomers.len();
    if settled.is_empty() {
        (settled, left_out) = (newcomers, 0);
    }
    let members = settled.len();
    let mut days: Vec<i32> = request.days.iter().map(|days| (*days).min(life_days(campaign))).collect();
    days.dedup();
    let (goods, unknown) = offered(campaign, window.today, &request.prices);
    let goods: Vec<GoodReach> = goods.into_iter().map(|(good, price_now)| reach_of(good, price_now, &settled, &days)).collect();
    let groups = quarters(settled);
    let quartiles = groups.iter().map(|group| quartile(group, &goods, &days)).collect();
    let mut notes = notes(campaign, &groups, window, request, members);
    notes.extend(unknown.into_iter().map(|name| format!("文件里没有叫「{name}」的商品,当作要新加的一样来算")));
    Plan {
        corp: corp.clone(),
        campaign: campaign.id.clone(),
        title: campaign.title.clone(),
        from: window.first.date(),
        to: window.last.date(),
        members,
        dormant: earners.dormant,
        newcomers: left_out,
        one_of: earners.one_of,
        point_value: campaign.point_value.map(|value| parts_of_yuan(value.into())),
        advice: advise(campaign, &groups, &goods, &days, earners.one_of),
        quartiles,
        goods,
        notes,
    }
}

/// The goods that are or will be on offer, with the prices to try in their place, and each price's own where it is tried; the names of
/// those that are not in the file.
fn offered(campaign: &Campaign, today: Day, prices: &[(String, i64)]) -> (Vec<(Good, Option<i64>)>, Vec<String>) {
    let is_meant = |good: &Good, name: &str| *good.title == *name || *good.code == *name || good.code.strip_prefix("good.") == Some(name);
    let tried = |good: &Good| prices.iter().rev().find(|(name, _)| is_meant(good, name)).map(|(_, price)| *price);
    let mut goods: Vec<(Good, Option<i64>)> = Vec::new();
    for good in campaign.goods.iter().filter(|good| !good.is_over(today)) {
        let price = tried(good);
        goods.push((Good { price: price.unwrap_or(good.price), ..good.clone() }, price.map(|_| good.price)));
    }
    let mut unknown = Vec::new();
    for (name, price) in prices.iter().filter(|(name, _)| !campaign.goods.iter().any(|good| is_meant(good, name))) {
        let name_of_it: Arc<str> = name.as_str().into();
        goods.push((Good { code: name_of_it.clone(), title: name_of_it, price: *price, stock: None, fen: None, dates: None }, None));
        unknown.push(name.clone());
    }
    (goods, unknown)
}

fn reach_of(good: Good, price_now: Option<i64>, members: &[Earner], days: &[i32]) -> GoodReach {
    GoodReach {
        now: reach::share_now(members, good.price),
        reach: days.iter().map(|days| (*days, reach::share(members, good.price, *days))).collect(),
        median_days: reach::median_days(members, good.price),
        yuan_per_point: good.fen.map(|fen| parts_of_yuan(i128::from(fen) * i128::from(PARTS_PER_FEN) / i128::from(good.price.max(1)))),
        good: good.code,
        title: good.title,
        price: good.price,
        price_now,
        stock: good.stock,
        fen: good.fen,
    }
}

/// Four groups of one size, those who earn least first.
fn quarters(mut members: Vec<Earner>) -> Vec<Group> {
    if members.len() < QUARTERS {
        return if members.is_empty() { Vec::new() } else { vec![Group { name: "全部成员", members }] };
    }
    members.sort_by(|one, other| one.weekly().total_cmp(&other.weekly()));
    let count = members.len();
    let mut groups: Vec<Group> = NAMES.iter().map(|name| Group { name, members: Vec::new() }).collect();
    for (place, member) in members.into_iter().enumerate() {
        groups[place * QUARTERS / count].members.push(member);
    }
    groups
}

fn quartile(group: &Group, goods: &[GoodReach], days: &[i32]) -> Quartile {
    let within = |days: &i32| {
        let goods = goods.iter().filter(|good| reach::reaches(&group.members, good.price, *days)).map(|good| good.good.clone()).collect();
        Within { days: *days, price: reach::within_reach(&group.members, *days), goods }
    };
    let weekly = |member: Option<&Earner>| member.map_or(0.0, |member| (member.weekly() * 10.0).round() / 10.0);
    Quartile {
        name: group.name,
        members: group.members.len(),
        weekly_from: weekly(group.members.first()),
        weekly_to: weekly(group.members.last()),
        within: days.iter().map(within).collect(),
    }
}

/// Days that points of the campaign live; the most there are for those that never go.
fn life_days(campaign: &Campaign) -> i32 {
    match campaign.validity.expires {
        Some(Life::Days(days)) => days.max(1),
        Some(Life::Never | Life::Until(_) | Life::Yearly { .. }) | None => i32::MAX,
    }
}

fn notes(campaign: &Campaign, groups: &[Group], window: Window, request: &Request, members: usize) -> Vec<String> {
    let mut notes = Vec::new();
    let longest_seen = groups.iter().flat_map(|group| &group.members).map(|member| member.days).max().unwrap_or(0);
    if let Some(days) = request.days.iter().find(|days| **days > longest_seen).filter(|_| members > 0) {
        notes.push(format!("只有 {longest_seen} 天的得分记录,{days} 天以上的数字是按这几天的速度推算的;攒够 {days} 天再看会更准"));
    }
    if (1..FEW_MEMBERS).contains(&members) {
        notes.push(format!("只有 {members} 个成员,比例只能参考;满 {FEW_MEMBERS} 人再看会更准"));
    }
    if let Some(days) = request.days.iter().find(|days| **days > life_days(campaign)) {
        notes.push(format!("积分 {} 天后过期,攒不到 {days} 天,更长的都按 {} 天算", life_days(campaign), life_days(campaign)));
    }
    let over = campaign.goods.iter().filter(|good| good.is_over(window.today)).map(|good| format!("「{}」", good.title)).collect::<Vec<_>>();
    if !over.is_empty() {
        notes.push(format!("{}的上架日期已过,没有算", over.join("")));
    }
    notes
}

/// Hundredths of a fen in yuan, with two decimals at least: `0.05`, `0.0125`.
pub fn parts_of_yuan(parts: i128) -> String {
    let text = budget::yuan_exact(parts);
    match text.strip_suffix("00") {
        Some(short) => short.to_owned(),
        None => text.strip_suffix('0').map_or(text.clone(), str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_points_worth_has_two_decimals_at_least() {
        assert_eq!([500, 125, 10_000, 1, 0].map(parts_of_yuan), ["0.05", "0.0125", "1.00", "0.0001", "0.00"]);
    }
}
