//! `jifen reinstate`: expired points are put back.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::model::ids::EventSeq;
use crate::pipeline::{Pipeline, Silent};
use crate::reinstate::{Order, Request, lapses};
use crate::store::Reader;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen reinstate --member aming --dry-run                     看有哪些过期的积分可以恢复
  jifen reinstate --member aming --reason 系统停机没能兑换     全部恢复
  jifen reinstate --member aming --event 1234 --reason …       只恢复这一次过期的(编号见 --dry-run)

恢复的积分回到原来的批次;批次已经过期的,按 rules.toml 的 grace 再给几天(不写是一天)。
每一笔只能恢复一次,再执行一次不会重复。可以在 serve 运行时执行。没有可恢复的,退出码是 1。")]
pub struct Options {
    /// 成员的编号:userid 或 external_userid
    #[arg(long, value_name = "ID")]
    member: String,
    /// 只恢复这一次过期的
    #[arg(long, value_name = "EVENT")]
    event: Option<i64>,
    /// 原因,留在账里
    #[arg(long, required_unless_present = "dry_run")]
    reason: Option<String>,
    /// 谁办的
    #[arg(long, value_name = "NAME", default_value = "cli")]
    by: String,
    /// 只看,什么也不写
    #[arg(long)]
    dry_run: bool,
    /// 只看这个积分活动 (默认:全部)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 只看这个企业 (默认:全部)
    #[arg(long)]
    corp: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let request =
        Request { member: options.member.clone(), corp: options.corp.clone(), campaign: options.campaign.clone(), event: options.event.map(EventSeq) };
    let found = lapses(&reader, &request)?;
    if found.is_empty() {
        let which = options.event.map_or_else(String::new, |event| format!("(第 {event} 号事件)"));
        eprintln!("成员 {} 没有可以恢复的过期积分{which}。看过期记录:jifen export ledger,code 是 expiry", options.member);
        return Ok(FINDING);
    }
    for lapse in &found {
        println!("第 {} 号事件,{} 过期 {} 分(活动 {})", lapse.event, lapse.day.date(), lapse.points(), lapse.campaign);
    }
    if options.dry_run {
        println!("只是查看,什么也没有写");
        return Ok(DONE);
    }
    let Some(reason) = options.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty()) else {
        bail!("请写原因:--reason 系统停机没能兑换")
    };
    let rules = workspace.rules(options.rules.as_deref())?;
    let missing = found.iter().find(|lapse| !rules.campaigns.iter().any(|campaign| campaign.id == lapse.campaign));
    if let Some(lapse) = missing {
        bail!("rules.toml 里没有活动 {};请用 --rules 指明,或用 --campaign 只选别的活动", lapse.campaign);
    }
    let order = Order { by: options.by.as_str().into(), reason: reason.into() };
    let mut pipeline = Pipeline::new(workspace.store()?, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
    for lapse in &found {
        let done = pipeline.hear(lapse.put_back(&order, Clock::default().now()))?;
        for posting in reader.postings_of(done.seq)? {
            let until = posting.expires_on.map_or_else(|| "不过期".to_owned(), |gone| format!("有效至 {}", gone.plus(-1).date()));
            println!("恢复了 {} 分,{until}", posting.amount);
        }
    }
    Ok(DONE)
}
