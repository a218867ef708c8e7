//! `jifen statement`: what a member has, why, and what it was on a day.

use std::collections::BTreeSet;
use std::io::{Write, stdout};
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::model::ids::CorpName;
use crate::pipeline::command::choose;
use crate::rules::file;
use crate::statement::{AccountStatement, Line, Request, Statement, StatementError, Wording, statement};
use crate::store::{IdentityRow, Reader};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen statement --member aming
  jifen statement --member 小红                              名字没有重名也行
  jifen statement --member wmxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx --campaign main --as-of 2026-06-30
  jifen statement --member aming --format csv > 阿明.csv

每笔记账一行,带记完以后的余额;还有各类来源、还不能用的、将过期的。
--as-of 是那一天结束时的样子,和那天的备份算出来的一样:晚到的消息从入账那一刻算起;用 jifen replay 补录的历史按它自己的时间算。
只读,可以在 serve 运行时执行。查不到这个成员时退出码是 1。")]
pub struct Options {
    /// 谁:成员编号(userid 或 external_userid),或没有重名的名字
    #[arg(long, value_name = "NAME")]
    member: String,
    #[command(flatten)]
    place: Where,
    /// 只看这个积分活动 (默认:全部)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 只看这个企业 (默认:全部)
    #[arg(long)]
    corp: Option<String>,
    /// 截至哪一天(含),例如 2026-06-30 (默认:现在)
    #[arg(long, value_name = "DATE")]
    as_of: Option<Date>,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let mut request = Request {
        member: options.member.trim().to_owned(),
        corp: options.corp,
        campaign: options.campaign,
        as_of: options.as_of,
        now: Clock::default().now(),
        wording: wording(&workspace).into_iter().collect(),
    };
    let mut made = statement(&reader, &request);
    if matches!(made, Err(StatementError::NotFound(_)))
        && let named @ [_, ..] = &*named(&reader, &request)?
    {
        match choose(&request.member, named.iter().collect()) {
            Ok(who) => request.member = who.value.to_string(),
            Err(reason) => {
                eprintln!("{reason}");
                return Ok(FINDING);
            }
        }
        made = statement(&reader, &request);
    }
    let made = match made {
        Ok(made) => made,
        Err(error @ StatementError::NotFound(_)) => {
            eprintln!("{error}");
            return Ok(FINDING);
        }
        Err(error @ StatementError::Store(_)) => return Err(error.into()),
    };
    let mut out = stdout().lock();
    match options.format {
        Format::Text => tell(&made, &mut out)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&made)?)?,
        Format::Csv => csv(&made, &mut out)?,
    }
    Ok(DONE)
}

/// Everybody of this name, in the corp that is asked for or in all.
fn named(reader: &dyn Reader, request: &Request) -> Result<Vec<IdentityRow>> {
    let directory = reader.directory()?;
    let all = directory.campaigns.keys().map(|(corp, _)| corp).filter(|corp| request.corp.as_ref().is_none_or(|wanted| **wanted == ***corp));
    let corps: BTreeSet<&CorpName> = all.collect();
    let mut named = Vec::new();
    for corp in corps {
        named.extend(reader.people_named(corp, &request.member)?);
    }
    Ok(named)
}

/// What the rules file says of the campaigns, where it is at hand and right.
fn wording(workspace: &Workspace) -> Vec<(Arc<str>, Wording)> {
    let text = std::fs::read_to_string(workspace.settings.rules.as_str()).unwrap_or_default();
    let Ok((rules, _)) = file::load(&text) else { return Vec::new() };
    let of = |campaign: crate::rules::campaign::Campaign| {
        let rules = campaign.rules.iter().map(|rule| (rule.code.clone(), rule.title().into())).collect();
        (campaign.id, Wording { calendar: campaign.calendar, title: campaign.title, rules })
    };
    rules.campaigns.into_iter().map(of).collect()
}

fn tell(made: &Statement, out: &mut dyn Write) -> std::io::Result<()> {
    let name = made.name.as_deref().unwrap_or(&made.member);
    let others: Vec<&str> = made.ids.iter().filter(|id| **id != made.member).map(String::as_str).collect();
    let others = if others.is_empty() { String::new() } else { format!(",也是 {}", others.join("、")) };
    let when = made.as_of.as_ref().map(|day| format!(",截至 {day}")).unwrap_or_default();
    writeln!(out, "{name}({}{others}){when}", made.member)?;
    for account in &made.accounts {
        writeln!(out)?;
        tell_account(account, out)?;
    }
    Ok(())
}

fn tell_account(account: &AccountStatement, out: &mut dyn Write) -> std::io::Result<()> {
    let title = account.title.as_deref().map(|title| format!("「{title}」")).unwrap_or_default();
    let group = account.group.as_deref().map(|chat| format!(" 群 {chat}")).unwrap_or_default();
    writeln!(out, "积分活动 {}{title}{group}(企业 {})", account.campaign, account.corp)?;
    writeln!(out, "  余额 {},其中可用 {},冻结 {},累计获得 {}", account.balance, account.spendable, account.held, account.lifetime)?;
    for portion in &account.pending {
        writeln!(out, "  {} 起可用:{}", portion.on, portion.points)?;
    }
    for portion in &account.expiring {
        writeln!(out, "  {} 过期:{}", portion.on, portion.points)?;
    }
    for kind in &account.kinds {
        writeln!(out, "  {} {:+}({} 笔)", kind.kind, kind.points, kind.postings)?;
    }
    if account.postings.is_empty() {
        writeln!(out, "  到这一天还没有记账")?;
    }
    for line in &account.postings {
        tell_line(line, out)?;
    }
    Ok(())
}

fn tell_line(line: &Line, out: &mut dyn Write) -> std::io::Result<()> {
    let title = line.title.as_deref().map(|title| format!("{title} ")).unwrap_or_default();
    let held = if line.held == 0 { String::new() } else { format!(",冻结 {:+}", line.held) };
    let back = line.reverses.map(|seq| format!(",收回第 {seq} 笔")).unwrap_or_default();
    let vests = line.vests_on.as_ref().map(|day| format!(",{day} 起可用")).unwrap_or_default();
    let expires = line.expires_on.as_ref().map(|day| format!(",{day} 过期")).unwrap_or_default();
    let at = line.at.get(..16).unwrap_or(&line.at).replace('T', " ");
    let day = if line.at.starts_with(&line.day) { String::new() } else { format!("(算 {} 的)", line.day) };
    writeln!(out, "  {at}{day} {title}{} {:+} → {}{held}{back}{vests}{expires}", line.code, line.points, line.balance)
}

const COLUMNS: [&str; 15] =
    ["corp", "campaign", "group", "posting", "event", "at", "day", "code", "title", "points", "held", "balance", "vests_on", "expires_on", "reverses"];

fn csv(made: &Statement, out: &mut dyn Write) -> Result<()> {
    // Without this mark Excel takes Chinese for Latin-1.
    out.write_all("\u{feff}".as_bytes())?;
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS)?;
    for account in &made.accounts {
        for line in &account.postings {
            let group = account.group.as_deref().unwrap_or_default();
            let (title, reverses) = (harmless(line.title.as_deref().unwrap_or_default()), line.reverses.map(|seq| seq.to_string()).unwrap_or_default());
            let days = [line.vests_on.as_deref().unwrap_or_default(), line.expires_on.as_deref().unwrap_or_default()];
            csv.write_record([
                &*account.corp,
                &*account.campaign,
                group,
                &line.posting.to_string(),
                &line.event.to_string(),
                &line.at,
                &line.day,
                &*line.code,
                &title,
                &line.points.to_string(),
                &line.held.to_string(),
                &line.balance.to_string(),
                days[0],
                days[1],
                &reverses,
            ])?;
        }
    }
    csv.flush()?;
    Ok(())
}

/// A title that a spreadsheet does not take for a formula.
fn harmless(title: &str) -> String {
    if title.starts_with(['=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) { format!("'{title}") } else { title.to_owned() }
}
