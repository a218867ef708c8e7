//! `jifen restore`: a checked backup takes the database's place.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use super::workspace::{Workspace, require_key};
use super::{DONE, FINDING, Where, progress};
use crate::store::Reader;
use crate::store::sqlite::SqliteReader;
use crate::store::sqlite::lock::Lock;
use crate::store::sqlite::restore::Prepared;
use crate::verify::Report;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen restore jifen-2026-11-22.db --dry-run   只检查,什么都不换
  jifen restore jifen-2026-11-22.db

先停掉 serve。备份先拷到数据库旁边,检查:是不是 jifen 的、结构版本、主密钥是否配对、每一页、每一笔账和哈希链;
全部通过才替换。原来的数据库留在旁边,名字加 .before-restore-事件号。
备份比原来的旧时,之后说过什么已无从知道:发件箱会被扣住,看过之后用 jifen outbox release 放行。")]
pub struct Options {
    /// 备份文件
    file: PathBuf,
    /// 只检查,不替换
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

pub fn run(options: Options) -> Result<u8> {
    let file = &options.file;
    if !file.is_file() {
        bail!("没有备份文件 {}", file.display());
    }
    require_key(&options.place)?;
    let workspace = Workspace::open(&options.place)?;
    // Held until the end: a daemon that serves this file refuses us, and one that starts meanwhile is refused.
    let is_replaced = workspace.database.exists() && !options.dry_run;
    let _lock = is_replaced.then(|| Lock::take(&workspace.database)).transpose()?;
    let prepared = Prepared::begin(file, &workspace.database, &workspace.vault, &mut progress::pages("已拷"))?;
    let report = progress::verify(&SqliteReader::open(prepared.path(), &workspace.vault)?)?;
    if !report.is_sound() {
        progress::print_findings(&report);
        eprintln!("没有恢复:{} 里的账不对,见上。数据库没有动", file.display());
        return Ok(FINDING);
    }
    tell(file, &prepared, &report);
    if options.dry_run {
        println!("只检查,没有替换任何文件");
        return Ok(DONE);
    }
    let kept = prepared.swap()?;
    println!("恢复好了:{}", workspace.database.display());
    if let Some(kept) = kept {
        println!("原来的数据库留在 {}", kept.display());
    }
    if SqliteReader::open(&workspace.database, &workspace.vault)?.outbox_held()? {
        println!("发件箱已扣住:启动后只记账、不说话。看过 jifen outbox list 之后,用 jifen outbox release 放行");
    }
    Ok(DONE)
}

fn tell(file: &Path, prepared: &Prepared, report: &Report) {
    println!("{} 没有问题:{} 个事件、{} 笔记账、{} 个账户,已逐笔核对", file.display(), report.events, report.postings, report.accounts);
    let keys = prepared.day_keys();
    if keys.found < keys.wanted {
        println!("每日密钥找回 {} / {} 个:其余各天的消息原文和没说出的回复读不出来(过期销毁的本该如此),积分和账目不受影响", keys.found, keys.wanted);
    }
    if let Some(why) = prepared.unreadable() {
        println!("现在的数据库读不出来({why})");
    }
    if let Some((seen, lost)) = prepared.events_lost() {
        println!("注意:账已记到第 {seen} 个事件,比备份多 {lost} 个事件;恢复后这 {lost} 个就不在账里了");
    }
}
