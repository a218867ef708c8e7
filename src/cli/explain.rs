//! `jifen explain`: every rule's verdict on one message.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::explain::{ExplainError, Explained, explain};
use crate::rules::versions::Versions;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen explain 7300000000000000001
  jifen explain m-1 --source replay --format json

编号是企业微信的 MsgId(或 replay 文件里的 id)。几个通道用了同一个编号时,用 --source 指明,例如 app/1000002。")]
pub struct Options {
    /// 消息编号
    msgid: String,
    /// 来自哪个通道
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    match explain(&workspace.reader()?, &mut Versions::default(), &options.msgid, options.source.as_deref()) {
        Ok(explained) => {
            match options.format {
                Format::Json => println!("{}", serde_json::to_string_pretty(&explained)?),
                Format::Text => tell(&explained),
            }
            Ok(DONE)
        }
        Err(error @ (ExplainError::NotFound(_) | ExplainError::Ambiguous { .. })) => {
            eprintln!("{error}");
            Ok(FINDING)
        }
        Err(error @ ExplainError::Store(_)) => Err(error.into()),
    }
}

fn tell(explained: &Explained) {
    let event = &explained.event;
    println!("{} {} {} {:+} 分", event.at, event.member.as_deref().unwrap_or("-"), event.group.as_deref().unwrap_or("单聊"), event.points);
    for verdict in &explained.verdicts {
        println!("  {} {:+} {}", verdict.rule, verdict.points, verdict.why);
    }
    if !event.note.is_empty() {
        println!("  {}", event.note);
    }
    for reply in &event.replies {
        println!("  回复 {} {} {} {}", reply.id, reply.occasion, reply.state, reply.reason.as_deref().unwrap_or_default());
    }
    println!("  规则版本 {}", event.rules);
}
