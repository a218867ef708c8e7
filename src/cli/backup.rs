//! `jifen backup`: a checked copy beside a running daemon.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where, progress};
use crate::failpoint;
use crate::store::sqlite::SqliteReader;
use crate::store::sqlite::copy::{copy, finish, note_backup};
use crate::store::sqlite::files::{Part, beside, is_same};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen backup /mnt/backup/jifen-$(date +%F).db
  jifen backup jifen-备份.db --force            覆盖同名的旧备份

在 serve 运行时执行,不影响收消息。先写成 FILE.part,查过每一页、核对过每一笔账和哈希链,才改成 FILE 的名字;
中途断电或被杀只会留下 FILE.part,下次备份时删掉。

备份里没有密钥。恢复时还要有:
  · 主密钥([keys] master 指的文件,或数据库旁的 .key)。没有它,备份打不开;请与备份分开保管
  · 数据库旁的 .day-keys(每日密钥)。没有它,积分、账目和姓名都在,只有消息原文和没发出的回复读不出。
    只保留最新的一份,不要留历史版本:过期消息的密钥从里面销毁后,旧备份里的原文也就读不出了")]
pub struct Options {
    /// 备份写到哪个文件
    file: PathBuf,
    /// 已有同名文件时覆盖它
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Where,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let (file, database) = (&options.file, &workspace.database);
    if !database.exists() {
        bail!("没有数据库 {}。用 --database sqlite:路径 或 --config 指明它在哪里", database.display());
    }
    require_free(file, database, options.force)?;
    let part = Part::begin(beside(file, ".part")).with_context(|| format!("写不了 {}", file.display()))?;
    copy(database, &part, &mut progress::pages("已拷"))?;
    finish(&part)?;
    let report = progress::verify(&SqliteReader::open(part.path(), &workspace.vault)?)?;
    if !report.is_sound() {
        progress::print_findings(&report);
        eprintln!("没有存成备份:数据库里的账不对,见上。请先看 jifen verify");
        return Ok(FINDING);
    }
    require_free(file, database, options.force)?;
    failpoint::hit("backup.rename");
    part.resemble(database).and_then(|()| part.put_in_place(file)).with_context(|| format!("写不了 {}", file.display()))?;
    if let Err(error) = note_backup(database) {
        eprintln!("提醒:备份好了,但记不下备份的时间({error}),/metrics 里的 jifen_backup_age_seconds 不准");
    }
    println!("备份好了:{},{} 个事件、{} 笔记账、{} 个账户,已逐笔核对", file.display(), report.events, report.postings, report.accounts);
    Ok(DONE)
}

/// A backup takes nobody's place unasked, and the database's never.
fn require_free(file: &Path, database: &Path, force: bool) -> Result<()> {
    if is_same(file, database) {
        bail!("{} 就是数据库自己,备份要写到别的文件", file.display());
    }
    if file.is_dir() {
        bail!("{} 是一个目录,请写出文件名", file.display());
    }
    if file.exists() && !force {
        bail!("{} 已经存在。换一个名字,或加 --force 覆盖它", file.display());
    }
    Ok(())
}
