//! `jifen retry`: events that were parked or failed are decided again.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use arc_swap::ArcSwap;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::explain::{ExplainError, find};
use crate::model::decision::{Outcome, Parking};
use crate::model::ids::EventSeq;
use crate::model::journal::EventRow;
use crate::pipeline::unpark::{Unparked, recollect};
use crate::pipeline::{Pipeline, Silent};
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::waiting::{is_waiting, unparked};
use crate::store::{Directory, Reader, StoreError};

/// Waiting events read at once.
const PAGE: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen retry 7300000000000000001         再判这一条(企业微信的 MsgId,或 replay 文件里的 id)
  jifen retry m-1 --source replay
  jifen retry --all-failed                判定时出错的都再判一次
  jifen retry --all-parked                因为群名没对上而放着的都再判一次(serve 会自己做,这里是手动)

按消息自己的时间、用现在的规则判定,该记的分记在那一天,后面的日子跟着重算;每条只会成功一次。补判的消息不再回复。
可以在 serve 运行时执行。判过的消息不会再判;又出错的什么也不写,修好以后可以再来。")]
pub struct Options {
    /// 消息编号
    #[arg(required_unless_present_any = ["all_failed", "all_parked"])]
    msgid: Option<String>,
    /// 来自哪个通道
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 所有判定时出错的
    #[arg(long, conflicts_with = "msgid")]
    all_failed: bool,
    /// 所有因为群名没对上而放着的
    #[arg(long, conflicts_with = "msgid")]
    all_parked: bool,
}

impl Options {
    fn wants(&self, row: &EventRow) -> bool {
        match row.record.outcome {
            Outcome::Parked(Parking::GroupUnknown) => self.all_parked,
            // That is `jifen approve`.
            Outcome::Parked(Parking::Approval) => false,
            Outcome::Failed(_) => self.all_failed,
            Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::TwinOf(_) | Outcome::Unparked { .. } => false,
        }
    }
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let rules = workspace.rules(options.rules.as_deref())?;
    let mut pipeline = Pipeline::new(workspace.store()?, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
    pipeline = pipeline.with_operators((&workspace.settings.operators).into());
    match &options.msgid {
        Some(id) => one(&mut pipeline, &reader, id, options.source.as_deref()),
        None => all(&mut pipeline, &reader, &options),
    }
}

fn one(pipeline: &mut Pipeline<SqliteStore>, reader: &SqliteReader, id: &str, source: Option<&str>) -> Result<u8> {
    let seq = match find(reader, id, source) {
        Ok((_, seq)) => seq,
        Err(error @ (ExplainError::NotFound(_) | ExplainError::Ambiguous { .. })) => {
            eprintln!("{error}");
            return Ok(FINDING);
        }
        Err(error @ ExplainError::Store(_)) => return Err(error.into()),
    };
    let row = reader.event(seq)?.ok_or_else(|| StoreError::Corrupt(format!("消息 {id} 有编号,却没有第 {seq} 号事件;请运行 jifen verify")))?;
    if !is_waiting(&row.record.outcome) {
        println!("{id} 早就判定过了,没有动。为什么是这个结果:jifen explain {id}");
        return Ok(DONE);
    }
    let done = again(pipeline, reader, &reader.directory()?, &row)?;
    println!("{id} {}", done.in_words());
    Ok(if done.is_settled() { DONE } else { FINDING })
}

fn all(pipeline: &mut Pipeline<SqliteStore>, reader: &SqliteReader, options: &Options) -> Result<u8> {
    let directory = reader.directory()?;
    let (mut from, mut decided, mut left) = (EventSeq(1), 0, 0);
    loop {
        let page = reader.waiting(from, PAGE)?;
        let Some(last) = page.last().map(|row| row.seq) else { break };
        from = EventSeq(last.0 + 1);
        for row in page.iter().filter(|row| options.wants(row)) {
            if unparked(reader, row.seq)?.is_some() {
                continue;
            }
            let done = again(pipeline, reader, &directory, row)?;
            if done.is_settled() {
                decided += 1;
            } else {
                left += 1;
                println!("  事件 {} {}", row.seq, done.in_words());
            }
        }
    }
    println!("补判了 {decided} 条,还有 {left} 条没能判定");
    Ok(if left == 0 { DONE } else { FINDING })
}

/// What came of one event.
enum Again {
    Tried(Unparked, i64),
    Lost(String),
}

impl Again {
    fn is_settled(&self) -> bool {
        matches!(self, Again::Tried(Unparked::Now(_) | Unparked::Before, _))
    }

    fn in_words(&self) -> String {
        match self {
            Again::Tried(Unparked::Now(_), points) => format!("判定了:{points:+} 分"),
            Again::Tried(Unparked::Before, _) => "以前已经补判过了,没有动".into(),
            Again::Tried(Unparked::StillUnknown, _) => "还不能判定:rules.toml 用群名指明了群,而这个群叫什么还不知道。请在 groups 里写群编号".into(),
            Again::Tried(Unparked::Failed(reason), _) => format!("又出错了,什么也没写:{reason}"),
            Again::Lost(reason) => reason.clone(),
        }
    }
}

fn again(pipeline: &mut Pipeline<SqliteStore>, reader: &SqliteReader, directory: &Directory, row: &EventRow) -> Result<Again> {
    let event = match recollect(reader, row, directory, Clock::default().now())? {
        Ok(event) => event,
        Err(lost) => return Ok(Again::Lost(lost.to_string())),
    };
    let unparked = pipeline.unpark(row.seq, event)?;
    let points = match unparked {
        Unparked::Now(seq) => reader.event(seq)?.map_or(0, |row| row.record.verdicts.iter().map(|verdict| verdict.ruling.booked()).sum()),
        Unparked::Before | Unparked::StillUnknown | Unparked::Failed(_) => 0,
    };
    Ok(Again::Tried(unparked, points))
}
