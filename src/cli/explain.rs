//! `jifen explain`: every rule's verdict on one message, or on somebody's last ones.

use std::io::IsTerminal;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::r#try::{tell_verdict, version};
use super::workspace::{Workspace, only_corp};
use super::{DONE, FINDING, Where};
use crate::explain::{Bystander, ExplainError, Explained, LOOKED_THROUGH, explain, explain_last};
use crate::model::event::Identity;
use crate::pipeline::command::choose;
use crate::rules::versions::Versions;
use crate::store::{Person, PersonKey, Reader};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen explain 7300000000000000001
  jifen explain --member 小红               小红最近的几条消息,为什么得分、为什么没得
  jifen explain --member xiaohong --last 20 --format text
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
    /// 格式 (默认:终端上是 text,否则 json)
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
    let format = options.format.unwrap_or(if std::io::stdout().is_terminal() { Format::Text } else { Format::Json });
    let mut versions = Versions::default();
    let explained = match (&options.member, options.msgid.as_deref()) {
        (Some(name), _) => return of_member(&options, &workspace, &reader, name, format),
        (None, id) => explain(&reader, &mut versions, id.unwrap_or_default(), options.source.as_deref()),
    };
    match explained {
        Ok(explained) => {
            match format {
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

fn of_member(options: &Options, workspace: &Workspace, reader: &dyn Reader, name: &str, format: Format) -> Result<u8> {
    let corp = match (&options.corp, workspace.settings.corp.is_empty()) {
        (Some(corp), _) => corp.clone(),
        (None, false) => workspace.first_corp(),
        (None, true) => only_corp(reader)?,
    };
    let person = match find(reader, &corp, name)? {
        Ok(person) => person,
        Err(reason) => {
            eprintln!("{reason}");
            return Ok(FINDING);
        }
    };
    let explained = explain_last(reader, &mut Versions::default(), &person, options.last.into())?;
    match format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&explained)?),
        Format::Text => explained.iter().for_each(tell),
    }
    if explained.is_empty() {
        eprintln!("最近 {LOOKED_THROUGH} 件事里没有「{name}」说的话。消息可能没有进来:看 jifen serve 的日志,或在群里再说一句");
        return Ok(FINDING);
    }
    Ok(DONE)
}

/// The person meant by an outside id or a name; why not, in words.
fn find(reader: &dyn Reader, corp: &str, name: &str) -> Result<Result<Person, String>> {
    let person = |id: &Identity| reader.person(&PersonKey { corp: corp.into(), identity: Identity { kind: id.kind, value: id.folded().into() } });
    if let Some(person) = person(&Identity::from_wecom(name))? {
        return Ok(Ok(person));
    }
    let named = reader.people_named(&corp.into(), name)?;
    match choose(name, named.iter().collect()) {
        Ok(who) => Ok(person(&who)?.ok_or_else(|| format!("没有「{name}」这个人"))),
        Err(reason) => Ok(Err(reason)),
    }
}

fn tell(explained: &Explained) {
    let event = &explained.event;
    let campaign = event.campaign.as_deref().map_or(String::new(), |campaign| format!(" 活动 {campaign}"));
    println!("{} {} {}{campaign} {:+} 分", event.at, event.member.as_deref().unwrap_or("-"), event.group.as_deref().unwrap_or("单聊"), event.points);
    explained.verdicts.iter().for_each(tell_verdict);
    for Bystander { rule, title, why } in &explained.bystanders {
        println!("  - {title}({rule}):{why}");
    }
    if !event.note.is_empty() {
        println!("  {}", event.note);
    }
    for reply in &event.replies {
        println!("  回复 {} {} {} {}", reply.id, reply.occasion, reply.state, reply.reason.as_deref().unwrap_or_default());
    }
    println!("  规则版本 {}", version(&event.rules, event.rules_since.as_deref()));
}
