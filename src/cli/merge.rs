//! `jifen merge` and `jifen unmerge`: two ids that are one person, and the way back.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::model::event::Identity;
use crate::model::ids::{AccountId, EventSeq};
use crate::pipeline::merge::Merge;
use crate::pipeline::unmerge::Unmerge;
use crate::pipeline::{Pipeline, Silent, Work};
use crate::store::sqlite::SqliteStore;
use crate::store::{Batch, Reader};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen merge wxid_abc wmxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx --dry-run
  jifen merge wxid_abc wmxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
  jifen merge wmxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx aming

两个编号是同一个人时,把前一个人的一切并到后一个人名下:每一份积分(连同何时可用、何时过期)、历史累计、连签的日子、各种上限用掉的次数。
不扣分;以后两个编号说的话都记在后一个人名下。合并是账本里的一步,印出的事件号可以用来撤销:jifen unmerge 事件号。
合并那天及以前的消息若在合并以后才到,单独判定(不再重算那些天);以前的消息在合并以后撤回,已得的分不收回。
可以在 serve 运行时执行。退出码:0 合并了(或 --dry-run 看过),1 没有合并,原因已说明。")]
pub struct Options {
    /// 并走的人:userid 或 external_userid
    from: String,
    /// 留下的人:userid 或 external_userid
    into: String,
    #[command(flatten)]
    shared: Shared,
    /// 留下的编号还没有出现过也行
    #[arg(long)]
    new: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen unmerge 1234 --dry-run
  jifen unmerge 1234

撤销一次合并(事件号是 jifen merge 印出的):当时并走的积分和状态原样回去,合并以后用那些编号得的分也跟着回去;
合并以后花掉的由留下的人承担,可能因此欠分;合并以后过期的不再回来。一次合并只能撤销一次;若合成的人后来又并到别人那里,先撤销后来的。")]
pub struct UndoOptions {
    /// 合并的事件号
    event: i64,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, Args)]
struct Shared {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 哪个企业 (默认:配置里唯一的那个)
    #[arg(long)]
    corp: Option<String>,
    /// 只看会怎样,不写
    #[arg(long)]
    dry_run: bool,
}

pub fn run(options: Options) -> Result<u8> {
    let Options { from, into, shared, new } = options;
    let identity = |id: &str| Identity::from_wecom(id.trim());
    let work = |corp: &str, at| Work::Merge(Box::new(Merge { corp: corp.into(), from: identity(&from), into: identity(&into), at, may_be_new: new }));
    let told = |seq: EventSeq| format!("{from} 已并到 {into} 名下。撤销:jifen unmerge {seq}");
    go(&shared, &work, &told)
}

pub fn undo(options: UndoOptions) -> Result<u8> {
    let UndoOptions { event, shared } = options;
    let work = |corp: &str, at| Work::Unmerge(Box::new(Unmerge { corp: corp.into(), merge: EventSeq(event), at }));
    let told = |seq: EventSeq| format!("第 {event} 号事件的合并已撤销(第 {seq} 号事件)");
    go(&shared, &work, &told)
}

fn go(shared: &Shared, work: &dyn Fn(&str, crate::model::day::Millis) -> Work, told: &dyn Fn(EventSeq) -> String) -> Result<u8> {
    let workspace = Workspace::open(&shared.place)?;
    let reader = workspace.reader()?;
    let rules = workspace.rules(shared.rules.as_deref())?;
    let corp = match (&shared.corp, workspace.settings.corp.len()) {
        (Some(corp), _) => corp.clone(),
        (None, 0 | 1) => workspace.first_corp(),
        (None, _) => bail!("配置里有几个企业,请用 --corp 说出是哪一个"),
    };
    let mut pipeline: Pipeline<SqliteStore> =
        Pipeline::new(workspace.store()?, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
    let now = Clock::default().now();
    let batch = match pipeline.rehearse_reuniting(work(&corp, now))? {
        Ok(batch) => batch,
        Err(refused) => {
            eprintln!("{refused}");
            return Ok(FINDING);
        }
    };
    tell(&batch, &reader)?;
    if shared.dry_run {
        println!("(只是看看,什么也没有写)");
        return Ok(DONE);
    }
    match pipeline.reunite(work(&corp, now))? {
        Ok(seq) => {
            println!("{}", told(seq));
            Ok(DONE)
        }
        Err(refused) => {
            eprintln!("{refused}");
            Ok(FINDING)
        }
    }
}

/// What becomes of each account.
fn tell(batch: &Batch, reader: &dyn Reader) -> Result<()> {
    let directory = reader.directory()?;
    if batch.accounts.is_empty() {
        println!("并走的人还没有积分账户,只是两个编号从此算一个人");
    }
    for cell in &batch.accounts {
        let before = reader.account(cell.id)?.unwrap_or_default();
        let campaign = directory.campaigns.iter().find(|(_, id)| **id == cell.key.campaign).map_or("?", |((_, name), _)| name);
        let ids = ids(batch, reader, cell.id)?;
        let held = if before.held != 0 || cell.held != 0 { format!(",冻结 {} → {}", before.held, cell.held) } else { String::new() };
        let owes = if cell.available < 0 { "(欠分)" } else { "" };
        println!(
            "积分活动 {campaign} {}:余额 {} → {}{owes}{held},累计 {} → {}",
            if ids.is_empty() { "(新账户)".to_owned() } else { ids },
            before.available,
            cell.available,
            before.lifetime,
            cell.lifetime
        );
    }
    Ok(())
}

/// The ids that lead to an account's member now.
fn ids(batch: &Batch, reader: &dyn Reader, account: AccountId) -> Result<String> {
    let Some(cell) = batch.accounts.iter().find(|cell| cell.id == account) else { return Ok(String::new()) };
    let mut ids: Vec<String> = reader.identities_of(cell.key.member)?.iter().map(|row| row.identity.value.to_string()).collect();
    if ids.is_empty() {
        ids.extend(batch.identities.iter().filter(|row| row.member == Some(cell.key.member)).map(|row| row.identity.value.to_string()));
    }
    Ok(ids.join("、"))
}
