//! `jifen outbox`: what the bot said, could not say and is still to say; sending again, dropping, and letting a held outbox go.

use anyhow::Result;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::{TimeZone, offset};
use serde::Serialize;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::model::day::Millis;
use crate::model::ids::ReplyId;
use crate::outbox::overrule::{Daring, drop, retry};
use crate::rules::assistant_table::occasion_key;
use crate::rules::table::parse_duration_secs;
use crate::store::{Batch, Directory, Overrule, Reader, ReplyRow, ReplyState, Store};

/// Replies read at once.
const PAGE: usize = 1_000;
/// Replies looked through for a list: a second or two. Who looks for older ones says since when.
const SCAN_MAX: usize = 200_000;
/// Replies sent again at once: what one person or group takes in ten minutes at most.
const RETRY_MAX: usize = 1_000;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen outbox list                            最近的 50 条,新的在前
  jifen outbox list --state refused --since 2h
  jifen outbox list --group 骑行一群 --format json
  jifen outbox retry 4711 4712                 再发这两条
  jifen outbox retry --all-refused --since 1h  一小时内被拒的都再发一次
  jifen outbox drop --older-than 5m            等了五分钟还没发的都不发了
  jifen outbox release                         恢复备份以后,核对过了,放开发件箱

状态:waiting 等着发 · sending 正在发 · sent 已发 · refused 被拒 · unknown 发了没有回音 · expired 过期 · suppressed 不发(安静时段、播报太多、补录…)。
可以在 serve 运行时执行,它几秒内就会知道。不显示回复的正文。积分与发没发出去无关。")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// 列出回复:发给谁、什么状态、为什么
    List(ListOptions),
    /// 再发一次:没发出去的重新排队,从现在起重新计时
    Retry(RetryOptions),
    /// 不发了:还在等的改为 suppressed
    Drop(DropOptions),
    /// 放开被扣住的发件箱(恢复备份以后,怕旧回复再发一遍,会先扣住)
    Release(ReleaseOptions),
}

#[derive(Debug, Args)]
struct ListOptions {
    #[command(flatten)]
    place: Where,
    /// 只看这个状态
    #[arg(long, value_parser = states())]
    state: Option<ReplyState>,
    /// 只看这个群:群名或群编号
    #[arg(long)]
    group: Option<String>,
    /// 只看多久以内的,例如 30m、2h、7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration_secs)]
    since: Option<i64>,
    /// 最多几条
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// 格式;json 每行一个对象
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Args)]
struct RetryOptions {
    /// 回复的编号,见 jifen outbox list
    #[arg(required_unless_present_any = ["all_refused", "all_expired"])]
    ids: Vec<i64>,
    #[command(flatten)]
    place: Where,
    /// 所有被拒的
    #[arg(long, conflicts_with = "ids")]
    all_refused: bool,
    /// 所有过期没发的
    #[arg(long, conflicts_with = "ids")]
    all_expired: bool,
    /// 与 --all-… 一起用:多久以内的
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration_secs)]
    since: i64,
    /// 不知道发没发出去的也再发,可能重复
    #[arg(long)]
    even_if_doubled: bool,
}

#[derive(Debug, Args)]
struct DropOptions {
    /// 回复的编号,见 jifen outbox list
    #[arg(required_unless_present = "older_than")]
    ids: Vec<i64>,
    #[command(flatten)]
    place: Where,
    /// 等了这么久以上的都不发了,例如 5m;0s 是全部
    #[arg(long, value_name = "TIME", conflicts_with = "ids", value_parser = parse_duration_secs)]
    older_than: Option<i64>,
}

#[derive(Debug, Args)]
struct ReleaseOptions {
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The words of [`ReplyState::as_str`], listed by `--help`.
fn states() -> impl TypedValueParser<Value = ReplyState> {
    let named = |word: String| ReplyState::ALL.into_iter().find(|state| state.as_str() == word).expect("only these words pass");
    PossibleValuesParser::new(ReplyState::ALL.map(ReplyState::as_str)).map(named)
}

pub fn run(options: Options) -> Result<u8> {
    match options.act {
        Act::List(options) => list(&options),
        Act::Retry(options) => send_again(&options),
        Act::Drop(options) => drop_waiting(&options),
        Act::Release(options) => release(&options),
    }
}

fn list(options: &ListOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let directory = reader.directory()?;
    let oldest = options.since.map(ago);
    let is_meant = |row: &ReplyRow| {
        options.state.is_none_or(|state| state == row.state)
            && options.group.as_ref().is_none_or(|group| is_in(row, &directory, group))
            && oldest.is_none_or(|oldest| row.created_at >= oldest)
    };
    let (rows, is_all) = newest(&reader, oldest, options.limit, is_meant)?;
    for row in &rows {
        let told = Told::of(row, &directory);
        match options.format {
            Format::Table => println!("{}", told.line()),
            Format::Json => println!("{}", serde_json::to_string(&told)?),
        }
    }
    if rows.is_empty() && options.format == Format::Table {
        println!("没有这样的回复");
    }
    if !is_all {
        eprintln!("只看了最近 {SCAN_MAX} 条;更早的请用 --since 缩小范围");
    }
    if reader.outbox_held()? {
        eprintln!("发件箱扣着:一条都不发,直到 jifen outbox release");
    }
    Ok(DONE)
}

fn send_again(options: &RetryOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let (daring, now) = (if options.even_if_doubled { Daring::EvenIfDoubled } else { Daring::Careful }, Clock::default().now());
    let step = |row: &ReplyRow| retry(row, daring, now);
    let steps = if options.all_refused || options.all_expired {
        let oldest = ago(options.since);
        let is_meant = |row: &ReplyRow| {
            let is_wanted = (options.all_refused && row.state == ReplyState::Refused) || (options.all_expired && row.state == ReplyState::Expired);
            is_wanted && row.created_at >= oldest
        };
        newest(&reader, Some(oldest), RETRY_MAX, is_meant)?.0.iter().map(|row| (row.id, step(row))).collect()
    } else {
        steps(&reader, &options.ids, step)?
    };
    let code = overrule(&workspace, &reader, "已重新排队", steps)?;
    if reader.outbox_held()? {
        eprintln!("发件箱扣着,要先 jifen outbox release 才会发");
    }
    Ok(code)
}

fn drop_waiting(options: &DropOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let steps = match options.older_than {
        Some(secs) => older_than(&reader, ago(secs))?.iter().map(|row| (row.id, drop(row))).collect(),
        None => steps(&reader, &options.ids, drop)?,
    };
    overrule(&workspace, &reader, "已丢弃", steps)
}

fn release(options: &ReleaseOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    if !reader.outbox_held()? {
        println!("发件箱没有被扣住,不用放开");
        return Ok(DONE);
    }
    commit(&workspace, Batch { outbox_held: Some(false), ..Batch::default() })?;
    println!("发件箱放开了。还没过期的回复会继续发;不想发的请先看 jifen outbox list --state waiting");
    Ok(DONE)
}

/// What is to be done with a reply, or why not.
type Step = (ReplyId, Result<Overrule, &'static str>);

/// Takes the steps that may be taken, in one batch, and tells what came of each.
fn overrule(workspace: &Workspace, reader: &dyn Reader, done: &str, steps: Vec<Step>) -> Result<u8> {
    let overrules: Vec<Overrule> = steps.iter().filter_map(|(_, step)| step.clone().ok()).collect();
    let mut refused: Vec<(ReplyId, &str)> = steps.into_iter().filter_map(|(id, step)| Some((id, step.err()?))).collect();
    if !overrules.is_empty() {
        commit(workspace, Batch { overrules: overrules.clone(), ..Batch::default() })?;
    }
    let mut taken = 0;
    for overrule in &overrules {
        match reader.reply(overrule.id)? {
            Some(row) if row.reason.as_deref() == Some(&*overrule.reason) || row.state != overrule.from => taken += 1,
            // A running daemon was faster.
            Some(_) | None => refused.push((overrule.id, "刚才变了,请再看一眼")),
        }
    }
    println!("{done} {taken} 条{}", if refused.is_empty() { String::new() } else { format!(",没有动 {} 条:", refused.len()) });
    refused.iter().for_each(|(id, reason)| println!("  {id} {reason}"));
    Ok(if refused.is_empty() { DONE } else { FINDING })
}

/// One batch of our own, beside whoever else writes.
fn commit(workspace: &Workspace, batch: Batch) -> Result<()> {
    let mut store = workspace.store()?;
    let head = store.begin()?;
    Ok(store.commit(&Batch { head, ..batch })?)
}

/// The newest replies that are meant, and whether all were looked through.
fn newest(reader: &dyn Reader, oldest: Option<Millis>, limit: usize, is_meant: impl Fn(&ReplyRow) -> bool) -> Result<(Vec<ReplyRow>, bool)> {
    let (mut found, mut before) = (Vec::new(), ReplyId(i64::MAX));
    for _ in 0..SCAN_MAX / PAGE {
        let page = reader.replies_before(before, PAGE)?;
        let Some(last) = page.last() else { return Ok((found, true)) };
        before = last.id;
        let is_past = oldest.is_some_and(|oldest| page.iter().all(|row| row.created_at < oldest));
        found.extend(page.into_iter().filter(&is_meant));
        found.truncate(limit);
        if is_past || found.len() == limit {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

/// Everything that waits since before an instant.
fn older_than(reader: &dyn Reader, instant: Millis) -> Result<Vec<ReplyRow>> {
    let (mut found, mut from) = (Vec::new(), ReplyId(0));
    loop {
        let page = reader.open_replies(from, PAGE)?;
        let Some(last) = page.last() else { return Ok(found) };
        from = ReplyId(last.id.0 + 1);
        found.extend(page.into_iter().filter(|row| row.created_at <= instant && row.state == ReplyState::Waiting));
    }
}

/// A step for each of these ids.
fn steps(reader: &dyn Reader, ids: &[i64], step: impl Fn(&ReplyRow) -> Result<Overrule, &'static str>) -> Result<Vec<Step>> {
    let missing = || Err("没有这个编号的回复,或者它的内容已按保留期限删除。编号见 jifen outbox list");
    ids.iter().map(|id| Ok((ReplyId(*id), reader.reply(ReplyId(*id))?.map_or_else(missing, |row| step(&row))))).collect()
}

fn is_in(row: &ReplyRow, directory: &Directory, group: &str) -> bool {
    row.destination.chat.as_deref() == Some(group) || title(row, directory) == Some(group)
}

fn title<'d>(row: &ReplyRow, directory: &'d Directory) -> Option<&'d str> {
    let chat = row.destination.chat.clone()?;
    directory.groups.get(&(row.corp.clone(), chat))?.title.as_deref()
}

fn ago(secs: i64) -> Millis {
    Clock::default().now().plus_secs(-secs)
}

/// A reply as it is listed: never its text, nor the address it may be sent to.
#[derive(Debug, Serialize)]
struct Told<'r> {
    id: i64,
    event: i64,
    at: String,
    state: &'static str,
    tries: u32,
    corp: &'r str,
    /// The chat id; `null` for a single chat.
    group: Option<&'r str>,
    title: Option<&'r str>,
    member: Option<&'r str>,
    channel: &'static str,
    occasion: &'static str,
    asked: bool,
    reason: Option<&'r str>,
}

impl<'r> Told<'r> {
    fn of(row: &'r ReplyRow, directory: &'r Directory) -> Self {
        Told {
            id: row.id.0,
            event: row.event.0,
            at: clock(row.created_at),
            state: row.state.as_str(),
            tries: row.tries,
            corp: &row.corp,
            group: row.destination.chat.as_deref(),
            title: title(row, directory),
            member: row.destination.to.as_ref().map(|(_, id)| &**id),
            channel: row.destination.channel.as_str(),
            occasion: occasion_key(row.reply.template.occasion),
            asked: row.reply.asked,
            reason: row.reason.as_deref(),
        }
    }

    /// What is of one width first.
    fn line(&self) -> String {
        let place = self.title.or(self.group).unwrap_or("单聊");
        let (member, reason) = (self.member.unwrap_or("-"), self.reason.unwrap_or_default());
        format!("{:>8}  {}  {:<10}  {:<14}  {place} {member}  {reason}", self.id, self.at, self.state, self.occasion).trim_end().to_owned()
    }
}

/// In China's time, as everything operators read.
fn clock(at: Millis) -> String {
    at.timestamp().to_zoned(TimeZone::fixed(offset(8))).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
