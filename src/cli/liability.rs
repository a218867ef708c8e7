//! `jifen liability`: what the points that members hold amount to, and will amount to.

use std::collections::HashMap;
use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::columns::{columns, grouped};
use super::plan::{Format, meant};
use super::workspace::Workspace;
use super::{DONE, Where, progress};
use crate::clock::Clock;
use crate::plan::flows;
use crate::plan::forecast::Checked;
use crate::plan::liability::{Liability, Request, liability, outstanding};
use crate::rules::budget::yuan;
use crate::store::{Reader, StoreError};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen liability                        今天还有多少积分没用、值多少元,以后三个月底会有多少
  jifen liability --months 12 --format json
  jifen liability --backtest             过去每个月预测得准不准

活动里写了 point_value = \"0.01\" 就同时用金额说。

怎么预测的:把过去 4 到 26 周的记录一周一周地抽出来,接着今天往下过一千遍;得的分带着当时的有效期,花的先花快到期的,
手里的积分到了各自的日子就过期。中间的那个是最可能的数,区间里落着八成的结果;过去几个月没猜准,区间就放宽。
同样的账每次算出来都一样。
一次性的期初导入不当作以后还会有。只读,可以在 serve 运行时执行。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 只看这个积分活动 (默认:全部)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 预测到第几个月底,本月算第一个
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=36))]
    months: u8,
    /// 对照过去:站在过去每个月初预测月底,和真实的比
    #[arg(long)]
    backtest: bool,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let reader = workspace.reader()?;
    let meant = meant(&rules, &reader.directory()?, options.campaign.as_deref())?;
    let now = Clock::default().now();
    let today: HashMap<_, _> = meant.iter().map(|(_, id, campaign)| (*id, campaign.calendar.day(now))).collect();
    let read = || -> Result<_, StoreError> { Ok((outstanding(&reader, &today)?, flows::read(&reader, &mut progress::postings())?)) };
    reader.freeze()?;
    let read = read();
    reader.thaw();
    let (mut held, mut moved) = read?;
    let request = Request { months: usize::from(options.months), backtest: options.backtest };
    let mut told = Vec::new();
    for (corp, id, campaign) in meant {
        let (held, moved) = (held.remove(&id).unwrap_or_default(), moved.remove(&id).unwrap_or_default());
        told.push((liability(&corp, campaign, today[&id], held, &moved, request), campaign.point_value));
    }
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&told.iter().map(|(liability, _)| liability).collect::<Vec<_>>())?),
        Format::Text => told.iter().try_for_each(|(liability, value)| tell(liability, *value, &mut stdout().lock()))?,
    }
    Ok(DONE)
}

fn tell(liability: &Liability, value: Option<i64>, out: &mut dyn Write) -> std::io::Result<()> {
    let worth = |points: i64| value.map_or(String::new(), |value| format!("约 {} 元", yuan(points, value)));
    let in_brackets = |points: i64| value.map_or(String::new(), |_| format!("({})", worth(points)));
    let title = liability.title.as_deref().map(|title| format!("「{title}」")).unwrap_or_default();
    let held = &liability.outstanding;
    writeln!(out, "积分活动 {}{title}(企业 {}),{}", liability.campaign, liability.corp, liability.on)?;
    writeln!(out, "  没用的积分 {}{},在 {} 个成员手里", grouped(held.total), in_brackets(held.total), held.members)?;
    writeln!(out, "  现在能用 {},还没生效 {},冻结 {}", grouped(held.available), grouped(held.pending), grouped(held.held))?;
    if held.owed > 0 {
        writeln!(out, "  另有成员倒欠 {}(收回时已经花掉的),以后得的先抵", grouped(held.owed))?;
    }
    if !held.by_expiry.is_empty() {
        let rows: Vec<Vec<String>> = held.by_expiry.iter().map(|(month, points)| vec![last_month(month), grouped(*points), worth(*points)]).collect();
        writeln!(out, "\n  什么时候过期")?;
        columns(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    if !liability.forecast.is_empty() {
        let head = ["到这天还有", "最可能", "八成在这之间", ""].map(str::to_owned).to_vec();
        let row = |month: &crate::plan::forecast::Forecast| {
            vec![month.on.to_string(), grouped(month.likely), format!("{} – {}", grouped(month.low), grouped(month.high)), worth(month.likely)]
        };
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(liability.forecast.iter().map(row)).collect();
        writeln!(out)?;
        columns(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    }
    if let Some(checked) = liability.backtest.as_ref().filter(|checked| !checked.is_empty()) {
        tell_checked(checked, out)?;
    }
    if !liability.notes.is_empty() {
        writeln!(out, "\n  说明")?;
        liability.notes.iter().try_for_each(|note| writeln!(out, "  · {note}"))?;
    }
    writeln!(out)
}

fn tell_checked(checked: &[Checked], out: &mut dyn Write) -> std::io::Result<()> {
    let inside = checked.iter().filter(|month| month.inside).count();
    writeln!(out, "\n  对照过去:{} 个月里 {inside} 个落在区间里({}%)", checked.len(), inside * 100 / checked.len())?;
    let head = ["月底", "当时预测", "区间", "实际", ""].map(str::to_owned).to_vec();
    let row = |month: &Checked| {
        let Checked { forecast, actual, inside, made_on: _ } = month;
        let verdict = if *inside { "✓" } else { "✗" };
        let interval = format!("{} – {}", grouped(forecast.low), grouped(forecast.high));
        vec![forecast.on.to_string(), grouped(forecast.likely), interval, grouped(*actual), verdict.to_owned()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(checked.iter().map(row)).collect();
    columns(&rows).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn last_month(month: &str) -> String {
    if month == "never" { "不过期".to_owned() } else { format!("{month} 里") }
}
