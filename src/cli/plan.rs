//! `jifen plan`: which share of the members can reach each good, and which prices would suit them.

use std::collections::HashMap;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::columns::{columns, grouped};
use super::workspace::Workspace;
use super::{DONE, FINDING, Where, progress};
use crate::clock::Clock;
use crate::model::day::Day;
use crate::model::ids::{CampaignId, CorpName};
use crate::plan::earners::{self, Earners, Window};
use crate::plan::prices::{Plan, Request, parts_of_yuan, plan};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::fit::did_you_mean;
use crate::store::{Directory, Reader, StoreError};

/// Days looked at where none are named: a quarter of a year in whole weeks.
const DAYS: i32 = 91;

/// Days that can be looked at: more would tell of members that are long gone.
const DAYS_MAX: i32 = 366;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen plan                                     看每样商品 7、30、90 天里有多少人换得到
  jifen plan --price 户外水壶=1200 --price 小样=80   换个价钱试试;文件里没有的当作新加的一样
  jifen plan --campaign vip --days 14,60 --format json
  jifen plan --from 2026-09-01 --to 2026-11-30   用这段时间的得分来算

商品写在 rules.toml 的 [good.…] 里:title、price、stock、value(一件的成本,元)。

怎么算的:看每个成员过去实际得的分(规则给的,减去收回的;人工加分和期初积分不算),从他第一次得分那天算起。
「30 天里换得到」的比例,是把每个成员过去的每一段 30 天(按整周)都拿来看,攒够的段数占几成,再按人平均;从零攒起,不算已有的。
「现在」是余额已经够的人。四分位按每周得分分组,一组里有一半人攒得够,就算这组换得到。
只读,可以在 serve 运行时执行。没有得分记录时退出码是 1。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 只看这个积分活动 (默认:全部)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 从哪天起的得分 (默认:最近 91 天)
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// 到哪天为止,含这天 (默认:昨天)
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// 看多少天里换得到
    #[arg(long, value_name = "DAYS", value_delimiter = ',', default_value = "7,30,90", value_parser = clap::value_parser!(i32).range(1..=366))]
    days: Vec<i32>,
    /// 换个价钱试试:名称=积分,可写几次
    #[arg(long, value_name = "NAME=POINTS", value_parser = price)]
    price: Vec<(String, i64)>,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

fn price(text: &str) -> Result<(String, i64), String> {
    let unread = || format!("「{text}」看不懂;请写 名称=积分,如 户外水壶=1200");
    let (name, points) = text.rsplit_once(['=', '\u{ff1d}']).ok_or_else(unread)?;
    let points: i64 = whole(points.trim()).ok_or_else(unread)?;
    if name.trim().is_empty() || points < 1 {
        return Err(unread());
    }
    Ok((name.trim().to_owned(), points))
}

/// A number as people write it: `1500`, `1,500`. What is grouped otherwise may have been meant as something else.
fn whole(text: &str) -> Option<i64> {
    let mut groups = text.split([',', '\u{ff0c}']);
    let (first, rest) = (groups.next()?, groups.collect::<Vec<_>>());
    let is_grouped = (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3);
    if rest.is_empty() || is_grouped { [&[first], &rest[..]].concat().concat().parse().ok() } else { None }
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let reader = workspace.reader()?;
    let meant = meant(&rules, &reader.directory()?, options.campaign.as_deref())?;
    let mut windows = HashMap::new();
    for (_, id, campaign) in &meant {
        windows.insert(*id, window(&options, campaign)?);
    }
    let mut earners = read(&reader, &windows)?;
    let mut days = options.days.clone();
    days.sort_unstable();
    days.dedup();
    let request = Request { days, prices: options.price.clone() };
    let (mut plans, mut silent) = (Vec::new(), Vec::new());
    for (corp, id, campaign) in &meant {
        let earners = earners.remove(id).unwrap_or_default();
        let window = windows[id];
        if earners.active.is_empty() {
            silent.push(nothing(corp, campaign, window, &earners));
        } else {
            plans.push(plan(corp, campaign, window, earners, &request));
        }
    }
    for told in &silent {
        eprintln!("{told}");
    }
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&plans)?),
        Format::Text => plans.iter().try_for_each(|plan| tell(plan, &mut stdout().lock()))?,
    }
    Ok(if plans.is_empty() { FINDING } else { DONE })
}

/// The campaigns of the file that are in the database, or the one that is named.
///
/// # Errors
/// There is none of that name, or nothing was ever booked.
pub(super) fn meant<'r>(rules: &'r Rules, directory: &Directory, named: Option<&str>) -> Result<Vec<(CorpName, CampaignId, &'r Campaign)>> {
    let known: Vec<&str> = rules.campaigns.iter().map(|campaign| &*campaign.id).collect();
    if let Some(named) = named.filter(|named| !known.contains(named)) {
        bail!("规则文件里没有积分活动「{named}」;有的是 {}{}", known.join("、"), did_you_mean(named, &known));
    }
    let booked = directory.campaigns.iter().filter_map(|((corp, id), number)| {
        let campaign = rules.campaigns.iter().find(|campaign| campaign.id == *id)?;
        named.is_none_or(|named| *campaign.id == *named).then_some((corp.clone(), *number, campaign))
    });
    let mut booked: Vec<_> = booked.collect();
    booked.sort_by_key(|(_, number, _)| *number);
    if booked.is_empty() {
        bail!("{}还没有任何记录;等成员在群里得过分再来看", named.map_or("数据库里".to_owned(), |named| format!("积分活动 {named} ")));
    }
    Ok(booked)
}

fn window(options: &Options, campaign: &Campaign) -> Result<Window> {
    let today = campaign.calendar.day(Clock::default().now());
    // Today is not over: its few hours would make everybody look slower.
    let last = options.to.map_or(today.plus(-1), Day::of);
    let first = options.from.map_or(last.plus(1 - DAYS), Day::of);
    if first > last {
        bail!("--from {} 在 --to {} 之后;请调换", first.date(), last.date());
    }
    if last.0 - first.0 >= DAYS_MAX {
        bail!("{} 到 {} 太长了;最多看 {DAYS_MAX} 天", first.date(), last.date());
    }
    Ok(Window { first, last, today })
}

fn read(reader: &dyn Reader, windows: &HashMap<CampaignId, Window>) -> Result<HashMap<CampaignId, Earners>, StoreError> {
    reader.freeze()?;
    let earners = earners::read(reader, windows, &mut progress::postings());
    reader.thaw();
    earners
}

/// Why there is nothing to plan by.
fn nothing(corp: &CorpName, campaign: &Campaign, window: Window, earners: &Earners) -> String {
    let (first, last) = (window.first.date(), window.last.date());
    let why = match earners.last_earned {
        None => "还没有人靠规则得过分".to_owned(),
        Some(day) if day > window.last => {
            let date = day.date();
            format!("{first} 到 {last} 没有人得分,{date} 才有;今天的默认不算,想算上就加 --to {date}")
        }
        Some(day) => format!("{first} 到 {last} 没有人得分,最后一次是 {0};想看那时候就加 --to {0}", day.date()),
    };
    format!("积分活动 {}(企业 {corp}):{why}", campaign.id)
}

fn tell(plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
    let title = plan.title.as_deref().map(|title| format!("「{title}」")).unwrap_or_default();
    writeln!(out, "积分活动 {}{title}(企业 {}),按 {} 到 {} 实际得到的分(不是按新规则算的)", plan.campaign, plan.corp, plan.from, plan.to)?;
    let sampled = if plan.one_of > 1 { format!(",每 {} 人看 1 人", plan.one_of) } else { String::new() };
    let mut beside = Vec::new();
    if plan.dormant > 0 {
        beside.push(format!("{} 人以前得过、这段时间没得", plan.dormant));
    }
    if plan.newcomers > 0 {
        beside.push(format!("{} 人来了不到 7 天", plan.newcomers));
    }
    let beside = if beside.is_empty() { String::new() } else { format!(";没算:{}", beside.join(",")) };
    writeln!(out, "  {} 个成员{sampled}{beside}", plan.members)?;
    writeln!(out)?;
    quartiles(plan, out)?;
    if !plan.goods.is_empty() {
        writeln!(out)?;
        goods(plan, out)?;
    }
    if !plan.advice.is_empty() {
        writeln!(out, "\n  建议")?;
        plan.advice.iter().try_for_each(|advice| writeln!(out, "  · {}", advice.text))?;
    } else {
        writeln!(out, "\n  每四分之一的人都有换得到的东西,价格不用动")?;
    }
    if !plan.notes.is_empty() {
        writeln!(out, "\n  说明")?;
        plan.notes.iter().try_for_each(|note| writeln!(out, "  · {note}"))?;
    }
    writeln!(out)
}

fn quartiles(plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
    let days: Vec<i32> = plan.quartiles.first().map(|quartile| quartile.within.iter().map(|within| within.days).collect()).unwrap_or_default();
    let head = ["一半的人攒得到".to_owned(), "人数".to_owned(), "每周得分".to_owned()];
    let mut rows = vec![
        head.into_iter()
            .chain(days.iter().map(|days| format!("{days} 天")))
            .chain((!plan.goods.is_empty()).then(|| format!("{} 天换得到", days.iter().map(i32::to_string).collect::<Vec<_>>().join("/"))))
            .collect::<Vec<_>>(),
    ];
    for quartile in &plan.quartiles {
        let weekly = format!("{}–{}", quartile.weekly_from, quartile.weekly_to);
        let reached = quartile.within.iter().map(|within| format!("{} 样", within.goods.len())).collect::<Vec<_>>().join("/");
        let prices = quartile.within.iter().map(|within| grouped(within.price));
        rows.push(
            [quartile.name.to_owned(), quartile.members.to_string(), weekly]
                .into_iter()
                .chain(prices)
                .chain((!plan.goods.is_empty()).then_some(reached))
                .collect(),
        );
    }
    columns(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn goods(plan: &Plan, out: &mut dyn Write) -> std::io::Result<()> {
    let days = plan.goods[0].reach.iter().map(|(days, _)| format!("{days} 天"));
    let head = ["换得到的人占几成", "价格", "现在"].map(str::to_owned).into_iter().chain(days);
    let mut rows = vec![head.chain(["一半人要", "成本", "一积分合"].map(str::to_owned)).collect::<Vec<_>>()];
    for good in &plan.goods {
        let price = good.price_now.map_or(grouped(good.price), |now| format!("{}→{}", grouped(now), grouped(good.price)));
        let needed = good.median_days.map_or("攒不到".to_owned(), |days| format!("{} 天", grouped(days)));
        let cost = good.fen.map_or("—".to_owned(), |fen| format!("{} 元", parts_of_yuan(i128::from(fen) * 100)));
        let worth = good.yuan_per_point.as_ref().map_or("—".to_owned(), |worth| format!("{worth} 元"));
        let shares = good.reach.iter().map(|(_, share)| percent(*share));
        rows.push([good.title.to_string(), price, percent(good.now)].into_iter().chain(shares).chain([needed, cost, worth]).collect());
    }
    columns(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

/// A share for people: what is little is not nothing.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0%".to_owned(),
        little if little < 1.0 => "<1%".to_owned(),
        much if much > 99.0 && much < 100.0 => ">99%".to_owned(),
        share => format!("{share:.0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_to_try_is_a_name_and_points() {
        assert_eq!((price("水壶=1,500"), price("水壶=1,234,567")), (Ok(("水壶".into(), 1_500)), Ok(("水壶".into(), 1_234_567))));
        assert_eq!((price("户外水壶=1200"), price("a=b \u{ff1d} 3")), (Ok(("户外水壶".into(), 1_200)), Ok(("a=b".into(), 3))));
        for bad in ["水壶", "水壶=", "=3", "水壶=0", "水壶=-5", "水壶=很多", "水壶=1,50", "水壶=,500", "水壶=1500,500", "水壶=99999999999999999999"]
        {
            assert!(price(bad).is_err_and(|told| told.contains("名称=积分")), "{bad}");
        }
    }

    #[test]
    fn what_is_little_is_not_nothing() {
        assert_eq!([0.0, 0.001, 0.4, 0.995, 1.0].map(percent), ["0%", "<1%", "40%", ">99%", "100%"]);
    }
}
