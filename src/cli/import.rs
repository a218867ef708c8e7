//! `jifen import`: what another tool kept, brought in once.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;
use clap::{Args, Subcommand, ValueEnum};

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::import::columns::{Chosen, Format};
use crate::import::members::{How, Survey, survey};
use crate::import::opening::{Booked, Sheet, Target, book, rehearse};
use crate::import::table::Table;
use crate::pipeline::{Pipeline, Silent};
use crate::rules::campaign::{Balance, Rules};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen import members 微伴导出.csv --dry-run      先看看会怎样
  jifen import members 微伴导出.csv                记成期初余额,同一份文件只记一次

jifen import members --help 有全部说明。")]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// 期初余额:成员在别的工具里已有的积分
    Members(Members),
}

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen import members 微伴导出.csv --dry-run
  jifen import members 微伴导出.csv
  jifen import members 积分.xlsx --campaign main --points-column 剩余积分
  jifen import members wetool.xlsx --format wetool

文件:CSV(UTF-8、UTF-16、GBK 自动认出)或 XLSX。要有两列:成员编号(external_userid、userid、成员ID……,昵称不行)和积分;
有昵称、群ID 就一起用。表头可以不在第一行。先整份检查,有一行不对就一行也不记,并逐行说明;--skip-bad 才跳过坏行记好行。
同一个成员在一个积分活动里只有一次期初:同一份文件再导一遍什么也不变;另一份文件里数不一样的,报告出来,不记,
加 --add 才在原来的之外再记一笔(同一份文件只加一次;数一样的看作同一笔)。
可以在 serve 运行时执行,中断后再执行一次即可。退出码:0 都记好了,1 有坏行或不一样的,2 用法或文件不对。")]
struct Members {
    /// 文件
    file: PathBuf,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 哪个工具导出的,决定列名怎么认
    #[arg(long, value_enum, default_value_t = Tool::Auto)]
    format: Tool,
    /// 记到哪个积分活动 (默认:唯一的那个,或 main)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 哪个企业 (默认:配置里唯一的那个)
    #[arg(long)]
    corp: Option<String>,
    /// 只检查,不记
    #[arg(long)]
    dry_run: bool,
    /// 跳过不对的行,其余照记
    #[arg(long)]
    skip_bad: bool,
    /// 与已记的期初不一样时,在原来的之外再记一笔
    #[arg(long)]
    add: bool,
    /// 成员编号是哪一列
    #[arg(long, value_name = "列名")]
    member_column: Option<String>,
    /// 积分是哪一列
    #[arg(long, value_name = "列名")]
    points_column: Option<String>,
    /// XLSX 里的哪张工作表 (默认:第一张)
    #[arg(long, value_name = "表名")]
    sheet: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// 自动
    Auto,
    /// 微伴助手
    Weiban,
    /// WeTool
    Wetool,
    /// 普通表格,或 jifen export accounts
    Plain,
}

impl Tool {
    fn format(self) -> Format {
        match self {
            Tool::Auto => Format::Any,
            Tool::Weiban => Format::Weiban,
            Tool::Wetool => Format::Wetool,
            Tool::Plain => Format::Plain,
        }
    }
}

pub fn run(options: Options) -> Result<u8> {
    match options.what {
        What::Members(options) => members(&options),
    }
}

fn members(options: &Members) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let (campaign, balance) = campaign(&rules, options.campaign.as_deref())?;
    let target = Target { corp: corp(&workspace, options.corp.as_deref())?.into(), campaign, at: Clock::default().now(), adds: options.add };
    let chosen = Chosen { member: options.member_column.clone(), points: options.points_column.clone() };
    let how = How { format: options.format.format(), chosen, per_group: balance == Balance::PerGroup };

    let mut table = Table::open(&options.file, options.sheet.as_deref())?;
    let seen = told("检查", |progress| survey(&mut table, &how, progress))?;
    tell_survey(&table, &seen);
    if !seen.is_good() && !options.skip_bad {
        println!("有 {} 行不对,一行也没有记。改好再导一次,或加 --skip-bad 跳过这些行", seen.bad);
        return Ok(FINDING);
    }
    let mut sheet = Sheet { table: &mut table, how: &how, survey: &seen };
    let booked = if options.dry_run {
        // The database may not be there yet: then nothing was booked before.
        match workspace.database.exists() {
            true => {
                let reader = workspace.reader()?;
                told("对照", |progress| rehearse(&reader, &mut sheet, &target, progress))?
            }
            false => Booked { new: seen.good, new_points: seen.sum, ..Booked::default() },
        }
    } else {
        let store = workspace.store()?;
        let reader = workspace.reader()?;
        let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
        told("已记", |progress| book(&mut pipeline, &reader, &mut sheet, &target, progress))?
    };
    tell_booked(&seen, &booked, options);
    Ok(if seen.is_good() && booked.different == 0 { DONE } else { FINDING })
}

/// The campaign that is meant, and whether its groups have balances of their own.
fn campaign(rules: &Rules, named: Option<&str>) -> Result<(Arc<str>, Balance)> {
    let ids = || rules.campaigns.iter().map(|campaign| &*campaign.id).collect::<Vec<_>>().join("、");
    let found = match named {
        Some(id) => rules.campaigns.iter().find(|campaign| *campaign.id == *id),
        None if rules.campaigns.len() == 1 => rules.campaigns.first(),
        None => rules.campaigns.iter().find(|campaign| &*campaign.id == "main"),
    };
    match (found, named) {
        (Some(campaign), _) => Ok((campaign.id.clone(), campaign.balance)),
        (None, Some(id)) => bail!("规则文件里没有积分活动 {id};有 {}", ids()),
        (None, None) => bail!("规则文件里有几个积分活动({}),请用 --campaign 说出记到哪一个", ids()),
    }
}

/// The corp that is meant: a wrong one would open accounts that no message ever finds.
fn corp(workspace: &Workspace, named: Option<&str>) -> Result<String> {
    let corps: Vec<&str> = workspace.settings.corp.keys().map(String::as_str).collect();
    match named {
        Some(corp) if corps.is_empty() || corps.contains(&corp) => Ok(corp.to_owned()),
        Some(corp) => bail!("配置里没有企业 {corp};有 {}", corps.join("、")),
        None if corps.len() > 1 => bail!("配置里有几个企业({}),请用 --corp 说出是哪一个", corps.join("、")),
        None => Ok(workspace.first_corp()),
    }
}

/// Does something long and tells on a terminal how far it is.
fn told<T>(what: &str, work: impl FnOnce(&mut dyn FnMut(u64)) -> T) -> T {
    let is_terminal = std::io::stderr().is_terminal();
    let done = work(&mut |rows| {
        if is_terminal {
            eprint!("\r{what} {rows} 行 ");
        }
    });
    if is_terminal {
        eprintln!();
    }
    done
}

fn tell_survey(table: &Table, seen: &Survey) {
    for bad in &seen.bad_rows {
        println!("第 {} 行:{}", bad.row, bad.why);
    }
    let more = seen.bad.saturating_sub(seen.bad_rows.len() as u64);
    if more > 0 {
        println!("……还有 {more} 行不对");
    }
    let (member, points) = &seen.titles;
    println!("{}:「{member}」是成员编号,「{points}」是积分;{} 行,其中 {} 行有积分,合计 {} 分", table.kind_in_words(), seen.rows, seen.good, seen.sum);
    if seen.zero > 0 {
        println!("{} 行是 0 分,不用记", seen.zero);
    }
    if seen.wxids > 0 {
        println!("{} 行是个人微信的编号(wxid_…),企业微信的消息里不会出现:积分会先记着,认出是谁以后用 jifen merge wxid_… 企业微信里的编号 并过去", seen.wxids);
    }
}

fn tell_booked(seen: &Survey, booked: &Booked, options: &Members) {
    for different in &booked.examples {
        println!("第 {} 行:{} 的期初已经记过 {} 分,这里写的是 {} 分,没有记", different.row, different.member, different.booked, different.told);
    }
    let more = booked.different.saturating_sub(booked.examples.len() as u64);
    if more > 0 {
        println!("……还有 {more} 行和已记的期初不一样");
    }
    let (done, dry) = if options.dry_run { ("会记", "(只是检查,什么也没有写)") } else { ("新记", "") };
    println!("{done} {} 笔期初,{} 分;早已记过 {} 笔,{} 分{dry}", booked.new, booked.new_points, booked.same, booked.same_points);
    if booked.different > 0 {
        println!("和已记的期初不一样,没有记:{} 行,{} 分。确要在原来的之外再加这些分,加 --add", booked.different, booked.different_points);
    }
    let sum = booked.new_points + booked.same_points + booked.different_points;
    let equal = if sum == seen.sum { "=" } else { "≠" };
    println!("文件合计 {} {equal} {done} {} + 早已记过 {} + 没有记 {}", seen.sum, booked.new_points, booked.same_points, booked.different_points);
}
