//! `jifen verify`: recompute everything from the postings.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where, progress};
use crate::verify::Report;
use crate::verify::file::verify_file;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen verify --config jifen.toml
  jifen verify --database sqlite:jifen.db
  jifen verify --file 流水.csv          在别的机器上,只凭导出的流水核对哈希链

只读,可以在 serve 运行时执行。全部正确退出码 0;否则 1,并指出第一处。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 核对一份 jifen export ledger 导出的 CSV,不需要数据库
    #[arg(long, value_name = "CSV")]
    file: Option<PathBuf>,
}

pub fn run(options: Options) -> Result<u8> {
    let report = match &options.file {
        Some(path) => verify_file(path).map_err(anyhow::Error::msg)?,
        None => progress::verify(&Workspace::open(&options.place)?.reader()?)?,
    };
    Ok(tell(&report))
}

fn tell(report: &Report) -> u8 {
    println!("核对了 {} 个事件、{} 笔记账、{} 个账户", report.events, report.postings, report.accounts);
    if report.repair_limited > 0 {
        println!("其中 {} 个事件来得太晚(超过 35 天或 2000 条),只单独判定,没有重算后面的日子;jifen explain 里写着 repair_limited", report.repair_limited);
    }
    if report.findings.is_empty() {
        println!("全部正确");
        return DONE;
    }
    progress::print_findings(report);
    FINDING
}
