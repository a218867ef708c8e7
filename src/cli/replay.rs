//! `jifen replay`: history as JSON lines through the pipeline.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, stdin};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::model::event::Channel;
use crate::pipeline::{Pipeline, Silent};
use crate::replay::{ReplayError, Summary, replay};
use crate::scheduler::Scheduler;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen replay history.jsonl --rules rules.toml --database sqlite:试算.db
  zcat 2026-11.jsonl.gz | jifen replay - --config jifen.toml

每行一个事件:
  {\"id\":\"m-1\",\"at\":\"2026-11-22T09:00:00+08:00\",\"corp\":\"acme\",\"group\":\"wrDemoGroup\",\"member\":\"aming\",\"name\":\"阿明\",\"said\":{\"text\":\"签到\"}}
没有 group 就是单聊。同一个 id 只算一次,所以中断后可以整份重来。补录产生的回复不会发出去。
再写上 \"source\":\"app/1000002\"(或 archive),就算作那个通道听到的;两个通道听到的同一条消息只记一次。")]
pub struct Options {
    /// 事件文件;- 表示标准输入
    file: PathBuf,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 行里没写 corp 时用这个 (默认:配置里的第一个企业,或 default)
    #[arg(long)]
    corp: Option<String>,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let store = workspace.store()?;
    let mut scheduler = Scheduler::new(Box::new(workspace.reader()?), Channel::Replay);
    let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
    pipeline = pipeline.with_operators((&workspace.settings.operators).into());
    let corp = options.corp.unwrap_or_else(|| workspace.first_corp());
    let input: Box<dyn BufRead> = match options.file.to_str() {
        Some("-") => Box::new(stdin().lock()),
        _ => Box::new(BufReader::new(File::open(&options.file).with_context(|| format!("打不开 {}", options.file.display()))?)),
    };
    let clock = Clock::default();
    let is_terminal = std::io::stderr().is_terminal();
    let mut progress = |summary: Summary| {
        if is_terminal {
            eprint!("\r已读 {} 行,新记 {} 个事件 ", summary.lines, summary.new);
        }
    };
    let result = replay(&mut pipeline, &mut scheduler, input, &corp, &|| clock.now(), &mut progress);
    if is_terminal {
        eprintln!();
    }
    match result {
        Ok(summary) => {
            println!("读了 {} 行:{} 个新事件,{} 个早已入账", summary.lines, summary.new, summary.known);
            Ok(DONE)
        }
        Err(error @ ReplayError::Line { .. }) => {
            eprintln!("错误:{error}");
            Ok(FINDING)
        }
        Err(error) => Err(error.into()),
    }
}
