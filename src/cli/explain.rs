//! `jifen explain`: every rule's verdict on one message, or on somebody's last ones.

use std::io::IsTerminal;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::r#try::{tell_verdict, version};
use super::workspace::{Workspace, corp_meant, person_meant};
use super::{DONE, FINDING, Where};
use crate::explain::{Bystander, ExplainError, Explained, ExplainedEvent, LOOKED_THROUGH, SAID, explain, explain_last};
use crate::model::event::Said;
use crate::model::ids::EventSeq;
use crate::rules::text::{display_name, printable};
use crate::rules::versions::Versions;
use crate::store::{Reader, ReplyState};

/// Characters of a text that are shown.
const TEXT_CHARS: usize = 40;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen explain 7300000000000000001
  jifen explain --member 小红               小红最近的几条消息,为什么得分、为什么没得
  jifen explain --member xiaohong --last 20
  jifen explain m-1 --source replay --format json

编号是企业微信的 MsgId(或 replay 文件里的 id)。几个通道用了同一个编号时,用 --source 指明,例如 app/1000002。
不知道编号就用 --member:写成员编号,名字没有重名也行。还没说过的话用 jifen try 试。
可以在 serve 运行时执行。退出码:0 找到了,1 没有这条消息或这个人。")]
pub struct Options {
    /// 消息编号
    #[arg(required_unless_present = "member", conflicts_with = "member")]
    msgid: Option<String>,
    /// 来自哪个通道
    #[arg(long, requires = "msgid")]
    source: Option<String>,
    /// 谁:成员编号,或没有重名的名字
    #[arg(long, value_name = "NAME")]
    member: Option<String>,
    /// 和 --member 一起:最近几条
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    last: u16,
    /// 和 --member 一起:哪个企业 (默认:配置里的第一个)
    #[arg(long)]
    corp: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 格式 (默认:text;写消息编号而不在终端上时是 json)
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Text,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    // Programs ask by message id, people by name.
    let is_for_people = options.member.is_some() || std::io::stdout().is_terminal();
    let format = options.format.unwrap_or(if is_for_people { Format::Text } else { Format::Json });
    let mut versions = Versions::default();
    let explained = match (&options.member, options.msgid.as_deref()) {
        (Some(name), _) => return of_member(&options, &workspace, &reader, name, format),
        (None, id) => explain(&reader, &mut versions, id.unwrap_or_default(), options.source.as_deref()),
    };
    match explained {
        Ok(explained) => {
            match format {
                Format::Json => println!("{}", serde_json::to_string_pretty(&explained)?),
                Format::Text => tell(&reader, &explained)?,
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

fn of_member(options: &Options, workspace: &Workspace, reader: &dyn Reader, name: &str, format: Format) -> Result<u8> {
    let corp = corp_meant(workspace, reader, options.corp.as_deref())?;
    let person = match person_meant(reader, &corp, name)? {
        Ok((person, _)) => person,
        Err(reason) => {
            eprintln!("{reason}");
            return Ok(FINDING);
        }
    };
    let explained = explain_last(reader, &mut Versions::default(), &person, options.last.into())?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&explained)?),
        Format::Text => explained.iter().try_for_each(|explained| tell(reader, explained))?,
    }
    if explained.is_empty() {
        eprintln!("最近 {LOOKED_THROUGH} 件事里没有「{name}」说的话。消息可能没有进来:看 jifen serve 的日志,或在群里再说一句");
        return Ok(FINDING);
    }
    Ok(DONE)
}

/// One message: who said what, when and where, then what became of it.
fn tell(reader: &dyn Reader, explained: &Explained) -> Result<()> {
    let event = &explained.event;
    let campaign = event.campaign.as_deref().map_or(String::new(), |campaign| format!(",活动 {campaign}"));
    let at = event.at.get(5..16).unwrap_or(&event.at).replace('T', " ");
    println!("{at} {}{}({}{campaign}) {:+} 分", who(reader, event)?, what(reader, event)?, place(reader, event)?, event.points);
    explained.verdicts.iter().for_each(tell_verdict);
    for Bystander { rule, title, why } in &explained.bystanders {
        println!("  - {title}({rule}):{why}");
    }
    if !event.note.is_empty() {
        println!("  {}", event.note);
    }
    for reply in &event.replies {
        let reason = reply.reason.as_deref().filter(|reason| !reason.is_empty()).map(|reason| format!("({reason})")).unwrap_or_default();
        println!("  回复 {}:{}{reason}", reply.id, in_words(reply.state));
    }
    println!("  规则版本 {}", version(&event.rules, event.rules_since.as_deref()));
    Ok(())
}

/// The name, else the outside id.
fn who(reader: &dyn Reader, event: &ExplainedEvent) -> Result<String> {
    let identity = match reader.event(EventSeq(event.seq))?.and_then(|row| row.identity) {
        Some(id) => reader.identity(id)?,
        None => None,
    };
    let member = match identity.and_then(|row| row.member) {
        Some(id) => reader.member(id)?,
        None => None,
    };
    let name = member.and_then(|member| member.name).or_else(|| event.member.clone());
    Ok(name.map_or_else(|| "系统".to_owned(), |name| display_name(&name)))
}

/// `「哈哈」`, while it is kept.
fn what(reader: &dyn Reader, event: &ExplainedEvent) -> Result<String> {
    if &*event.kind != SAID {
        return Ok(format!("[{}]", event.kind));
    }
    let said = reader.contents(EventSeq(event.seq))?.and_then(|json| serde_json::from_slice::<Said>(&json).ok());
    Ok(match said {
        None => "[原文已销毁]".to_owned(),
        Some(said) if said.text.is_empty() && said.video => "[视频]".to_owned(),
        Some(said) if said.text.is_empty() && said.images > 0 => "[图片]".to_owned(),
        Some(said) => {
            let text = printable(&said.text).replace('\n', " ");
            let shown: String = text.chars().take(TEXT_CHARS).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            format!("「{shown}{more}」")
        }
    })
}

/// The group's name, else its number.
fn place(reader: &dyn Reader, event: &ExplainedEvent) -> Result<String> {
    let Some(chat) = &event.group else { return Ok("单聊".to_owned()) };
    let title = reader.directory()?.groups.values().find(|group| group.chat == *chat).and_then(|group| group.title.clone());
    Ok(display_name(&title.unwrap_or_else(|| chat.clone())))
}

/// What became of a reply.
fn in_words(state: &str) -> &'static str {
    match ReplyState::ALL.into_iter().find(|known| known.as_str() == state) {
        Some(ReplyState::Waiting) => "等着发",
        Some(ReplyState::Sending) => "正在发",
        Some(ReplyState::Sent) => "已发出",
        Some(ReplyState::Refused) => "发不出去",
        Some(ReplyState::Unknown) => "不知道发没发到",
        Some(ReplyState::Expired) => "过期没发",
        Some(ReplyState::Suppressed) => "不用发",
        None => "不明",
    }
}
