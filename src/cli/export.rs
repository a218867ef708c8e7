//! `jifen export`: accounts and the ledger, for people and other programs.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::workspace::Workspace;
use super::{DONE, Where};
use crate::export::{Request, export};
use crate::rules::file;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen export accounts > 积分.csv
  jifen export accounts --from 2026-11-01 --to 2026-11-30 --format xlsx --out 11月.xlsx
  jifen export ledger --format jsonl

accounts:每个成员一行,期内签到、发言、留存、订单、其他、已兑换的积分,截至期末的历史总积分,现在的余额。
ledger:每笔记账一行,足够在别处用 jifen verify --file 核对。只读,可以在 serve 运行时执行。")]
pub struct Options {
    /// 导出什么
    #[arg(value_enum)]
    what: What,
    #[command(flatten)]
    place: Where,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// 从哪一天(含),例如 2026-11-01
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// 到哪一天(含)
    #[arg(long, value_name = "DATE")]
    to: Option<Date>,
    /// 写到文件 (默认:标准输出)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    Accounts,
    Ledger,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Jsonl,
    Xlsx,
}

pub fn run(options: Options) -> Result<u8> {
    if let (Some(from), Some(to)) = (options.from, options.to)
        && from > to
    {
        anyhow::bail!("--from {from} 比 --to {to} 还晚,没有这样的时间段");
    }
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let request = Request {
        what: match options.what {
            What::Accounts => crate::export::What::Accounts,
            What::Ledger => crate::export::What::Ledger,
        },
        format: match options.format {
            Format::Csv => crate::export::Format::Csv,
            Format::Jsonl => crate::export::Format::Jsonl,
            Format::Xlsx => crate::export::Format::Xlsx,
        },
        from: options.from,
        to: options.to,
        zones: zones(&workspace),
    };
    let mut out: Box<dyn Write> = match &options.out {
        Some(path) => Box::new(BufWriter::new(File::create(path).with_context(|| format!("写不了 {}", path.display()))?)),
        None => Box::new(BufWriter::new(stdout().lock())),
    };
    let rows = export(&reader, &request, &mut out)?;
    out.flush().context("导出写不下去")?;
    eprintln!("导出 {rows} 行");
    Ok(DONE)
}

/// The campaigns' time zones, where the rules file is at hand and right.
fn zones(workspace: &Workspace) -> HashMap<std::sync::Arc<str>, jiff::tz::TimeZone> {
    let text = std::fs::read_to_string(workspace.settings.rules.as_str()).unwrap_or_default();
    let rules = file::load(&text).ok().map(|(rules, _)| rules);
    rules.into_iter().flat_map(|rules| rules.campaigns).map(|campaign| (campaign.id.clone(), campaign.calendar.zone().clone())).collect()
}
