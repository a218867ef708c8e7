//! `jifen rules`: which versions of rules.toml were live since when, what differs between them, and back to an earlier one.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::{TimeZone, offset};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::gate;
use crate::keeper::{shelf, short, watched};
use crate::model::day::Millis;
use crate::model::ids::{EventSeq, RulesHash};
use crate::rules::difference::{difference, summary};
use crate::rules::file;
use crate::store::{Reader, RulesChange};

/// How long a running daemon is given to take a version: it needs one second, two on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Versions told to choose from.
const CHOICE_MAX: usize = 5;
/// Changes looked through for them, and for when a version went live.
const CHANGES_MAX: usize = 1_000;
/// Lines of the text around a change.
const CONTEXT_LINES: usize = 3;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen rules history              什么时候换过规则,改了什么,哪些没被采用
  jifen rules diff                 文件和正在用的有什么不同;文件没改,就比最近两个版本
  jifen rules diff 3f2a91c0 live   两个版本之间
  jifen rules show 3f2a91c0        一个旧版本的全文
  jifen rules rollback             退回上一个版本:写回 rules.toml,运行中的 serve 两秒内生效
  jifen rules rollback 3f2a91c0    退回写明的版本;刚退回过、或文件里有没生效的改动时,要写明
  jifen rules rollback live        丢掉文件里没生效的改动,恢复成正在用的

版本写前 8 位就够;live 是正在用的(serve 停着时是停之前用的)。可以在 serve 运行时执行。改规则只影响以后的消息:已经记的账不变。")]
pub struct Options {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// 列出规则的变更,新的在前
    History(HistoryOptions),
    /// 两个版本(或文件)之间有什么不同
    Diff(DiffOptions),
    /// 打印一个版本的全文
    Show(ShowOptions),
    /// 退回一个旧版本:写回 rules.toml,现在的文件留作 .bak
    Rollback(RollbackOptions),
}

#[derive(Debug, Args)]
struct HistoryOptions {
    #[command(flatten)]
    place: Where,
    /// 最多几条
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// 格式;json 每行一个对象
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Args)]
struct DiffOptions {
    /// 旧的一边:版本、live 或文件名
    old: Option<String>,
    /// 新的一边 (默认:正在用的)
    new: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ShowOptions {
    /// 版本
    #[arg(default_value = "live")]
    version: String,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Args)]
struct RollbackOptions {
    /// 退回哪个版本 (默认:上一个)
    version: Option<String>,
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

pub fn run(options: Options) -> Result<u8> {
    match options.act {
        Act::History(options) => history(&options),
        Act::Diff(options) => diff(&options),
        Act::Show(options) => show(&options),
        Act::Rollback(options) => rollback(&options),
    }
}

fn history(options: &HistoryOptions) -> Result<u8> {
    let reader = Workspace::open(&options.place)?.reader()?;
    let changes = reader.rules_changes(EventSeq(i64::MAX), options.limit)?;
    match options.format {
        Format::Json => {
            for change in &changes {
                println!("{}", serde_json::to_string(&Told::of(change))?);
            }
        }
        Format::Table => {
            match shelf::live(&reader)? {
                Some(live) => println!("正在用:版本 {}", short(live)),
                None => println!("账上还没有任何消息,也就没有正在用的版本"),
            }
            changes.iter().for_each(|change| println!("\n{}", line(change)));
            if changes.is_empty() {
                println!("还没有换过规则");
            }
        }
    }
    Ok(DONE)
}

/// A change as it is listed.
#[derive(Debug, Serialize)]
struct Told<'c> {
    event: i64,
    at: String,
    /// The version that is live since then.
    version: String,
    by: &'c str,
    accepted: bool,
    told: &'c str,
}

impl<'c> Told<'c> {
    fn of(change: &'c RulesChange) -> Self {
        let (event, version) = (change.event.0, change.rules.to_string());
        Told { event, at: clock(change.at, "%Y-%m-%dT%H:%M:%S%:z"), version, by: &change.by, accepted: change.accepted, told: &change.told }
    }
}

/// What is of one width first, then what was told of it.
fn line(change: &RulesChange) -> String {
    let outcome = if change.accepted { "已生效" } else { "没采用" };
    format!("{}  {}  {outcome}  {}\n    {}", clock(change.at, "%Y-%m-%d %H:%M:%S"), short(change.rules), change.by, change.told.replace('\n', "\n    "))
}

/// One side of a comparison.
struct Side {
    name: String,
    text: Arc<str>,
}

impl Side {
    fn version(reader: &impl Reader, hash: RulesHash, name: &str) -> Result<Side> {
        Ok(Side { name: format!("{name}{}", short(hash)), text: shelf::text(reader, hash)? })
    }

    fn file(path: &Path) -> Result<Side> {
        let bytes = fs::read(path).with_context(|| format!("读不到 {}", path.display()))?;
        let text = String::from_utf8(bytes).ok().with_context(|| format!("{} 不是 UTF-8 文字,用 jifen check {} 看在哪里", path.display(), path.display()))?;
        Ok(Side { name: path.display().to_string(), text: text.into() })
    }

    /// What somebody named: a version, `live`, or a file.
    fn named(reader: &impl Reader, name: &str) -> Result<Side> {
        match shelf::find(reader, name) {
            Ok(hash) => Side::version(reader, hash, if name == "live" { "live " } else { "" }),
            Err(shelf::NotFound::None(_) | shelf::NotFound::Short(_)) if Path::new(name).exists() => Side::file(Path::new(name)),
            Err(error @ shelf::NotFound::None(_)) => bail!("{error}。也没有叫这个名字的文件"),
            Err(error) => Err(error.into()),
        }
    }
}

fn diff(options: &DiffOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let (old, new) = match (&options.old, &options.new) {
        (Some(old), Some(new)) => (Side::named(&reader, old)?, Side::named(&reader, new)?),
        (Some(old), None) => (Side::named(&reader, old)?, Side::named(&reader, "live")?),
        (None, _) => newest_two(&reader, &rules_file(&workspace, options.rules.as_ref()))?,
    };
    if old.text == new.text {
        println!("{} 和 {} 一字不差", old.name, new.name);
        return Ok(DONE);
    }
    print_diff(&old, &new);
    println!("\n{}", in_words(&old, &new));
    Ok(DONE)
}

/// The live version and the file that was changed since; else the version before and the live one.
fn newest_two(reader: &impl Reader, file: &Path) -> Result<(Side, Side)> {
    let Some(live) = shelf::live(reader)? else { bail!(shelf::NotFound::Nothing) };
    let current = Side::version(reader, live, "live ")?;
    match Side::file(file) {
        Ok(saved) if saved.text != current.text => Ok((current, saved)),
        Ok(_) | Err(_) => match shelf::before(reader, live, EventSeq(reader.head()?.event.0 + 1))? {
            Some((before, _)) => Ok((Side::version(reader, before, "")?, current)),
            None => bail!("{} 和正在用的一样,也还没有换过规则,没有可比的", file.display()),
        },
    }
}

fn print_diff(old: &Side, new: &Side) {
    let (red, green, cyan, plain) = if std::io::stdout().is_terminal() { ("\x1b[31m", "\x1b[32m", "\x1b[36m", "\x1b[0m") } else { ("", "", "", "") };
    println!("{red}--- {}{plain}\n{green}+++ {}{plain}", old.name, new.name);
    let compared = TextDiff::from_lines(&*old.text, &*new.text);
    for hunk in compared.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        println!("{cyan}{}{plain}", hunk.header());
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            match change.tag() {
                ChangeTag::Delete => println!("{red}-{line}{plain}"),
                ChangeTag::Insert => println!("{green}+{line}{plain}"),
                ChangeTag::Equal => println!(" {line}"),
            }
        }
    }
}

/// What differs, as an operator says it.
fn in_words(old: &Side, new: &Side) -> String {
    match (file::load(&old.text), file::load(&new.text)) {
        (Ok((old, _)), Ok((new, _))) => summary(difference(&old, &new), usize::MAX),
        (Err(_), _) => format!("{} 这个程序读不了,说不出改了哪些规则", old.name),
        (Ok(_), Err(mistakes)) => format!("{} 有 {} 处错误,不会被采用;用 jifen check 看全部", new.name, mistakes.len()),
    }
}

fn show(options: &ShowOptions) -> Result<u8> {
    let reader = Workspace::open(&options.place)?.reader()?;
    let hash = shelf::find(&reader, &options.version)?;
    print!("{}", shelf::text(&reader, hash)?);
    Ok(DONE)
}

fn rollback(options: &RollbackOptions) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let Some(live) = shelf::live(&reader)? else { bail!(shelf::NotFound::Nothing) };
    let file = rules_file(&workspace, options.rules.as_ref());
    let target = match &options.version {
        Some(name) => shelf::find(&reader, name)?,
        None => match step_back(&reader, live, &file)? {
            Ok(target) => target,
            Err(reason) => {
                eprintln!("{reason}");
                return Ok(FINDING);
            }
        },
    };
    let text = shelf::text(&reader, target)?;
    let examined = gate::examine(text.as_bytes());
    if !examined.ok {
        eprintln!("版本 {} 现在通不过检查,没有退回,文件没有动:", short(target));
        examined.obstacles("旧规则.toml", usize::MAX).iter().for_each(|obstacle| eprintln!("  {obstacle}"));
        eprintln!("把它存成文件改好再用:jifen rules show {} > 旧规则.toml", short(target));
        return Ok(FINDING);
    }
    let since = reader.head()?.event;
    if says(&file, &text) {
        println!("{} 已经是版本 {}", file.display(), short(target));
    } else {
        watched::keep_aside(&file).with_context(|| format!("现在的文件留不了底({}),没有退回", watched::backup(&file).display()))?;
        watched::write(&file, &text).with_context(|| format!("写不了 {}", file.display()))?;
        let began = dated(&reader, target)?;
        println!("{} 已换成版本 {}{began};刚才的内容在 {}", file.display(), short(target), watched::backup(&file).display());
        println!("{}", in_words(&Side::version(&reader, live, "")?, &Side::version(&reader, target, "")?));
        if target != live {
            println!("后悔了就换回来:jifen rules rollback {}", short(live));
        }
    }
    await_daemon(&reader, target, since)
}

/// The version to which a step back goes where none is named; why that is not clear, in words.
fn step_back(reader: &impl Reader, live: RulesHash, file: &Path) -> Result<Result<RulesHash, String>> {
    let back = shelf::back(reader, live)?;
    let target = match back {
        shelf::Back::To(target) | shelf::Back::Again(target) => Some(target),
        shelf::Back::Nowhere => None,
    };
    // Who asks twice before a daemon took it is told how it stands.
    if let (shelf::Back::To(target), Some(text)) = (back, target.map(|target| shelf::text(reader, target)).transpose()?)
        && says(file, &text)
    {
        return Ok(Ok(target));
    }
    if file.exists() && !says(file, &shelf::text(reader, live)?) {
        let drop = "只丢掉它:jifen rules rollback live";
        return Ok(Err(format!("{} 里有没生效的改动,没有动。{drop};退回更早的版本:jifen rules rollback <版本>{}", file.display(), choice(reader)?)));
    }
    match back {
        shelf::Back::To(target) => Ok(Ok(target)),
        shelf::Back::Nowhere => bail!("还没有换过规则,没有上一个版本可退。要丢掉文件里没生效的改动:jifen rules rollback live"),
        shelf::Back::Again(last) => Ok(Err(format!(
            "现在用的 {} 就是退回来的,再退一步会又换上刚退掉的 {}。没有动。真要换,写明版本:jifen rules rollback <版本>{}",
            short(live),
            short(last),
            choice(reader)?
        ))),
    }
}

/// Whether a file says exactly this.
fn says(file: &Path, text: &str) -> bool {
    watched::content(file).is_some_and(|bytes| *bytes == *text.as_bytes())
}

/// The last versions there are to choose from, a line each, newest first.
fn choice(reader: &impl Reader) -> Result<String> {
    let mut versions: Vec<RulesChange> = Vec::new();
    for change in reader.rules_changes(EventSeq(i64::MAX), CHANGES_MAX)?.into_iter().filter(|change| change.accepted) {
        if versions.len() < CHOICE_MAX && versions.iter().all(|known| known.rules != change.rules) {
            versions.push(change);
        }
    }
    let told = |change: &RulesChange| match change.told.split_once('\n') {
        Some((_, changed)) => changed.lines().map(str::trim).collect::<Vec<_>>().join(";"),
        None => change.told.to_string(),
    };
    Ok(versions.iter().map(|change| format!("\n  {}  {} 起  {}", short(change.rules), clock(change.at, "%m-%d %H:%M"), told(change))).collect())
}

/// `(11-22 20:31 起用过)`: when a version last went live, where that was written down.
fn dated(reader: &impl Reader, version: RulesHash) -> Result<String> {
    let changes = reader.rules_changes(EventSeq(i64::MAX), CHANGES_MAX)?;
    let began = changes.iter().find(|change| change.accepted && change.rules == version);
    Ok(began.map(|change| format!("({} 起用的)", clock(change.at, "%Y-%m-%d %H:%M"))).unwrap_or_default())
}

/// Says what a running daemon made of it, or what to do where none runs.
fn await_daemon(reader: &impl Reader, target: RulesHash, since: EventSeq) -> Result<u8> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if shelf::live(reader)? == Some(target) {
            println!("已生效。以后的消息按这个版本记分,已经记的账不变");
            return Ok(DONE);
        }
        let newest = reader.rules_changes(EventSeq(i64::MAX), 1)?.pop();
        if let Some(refused) = newest.filter(|change| change.event > since && !change.accepted) {
            eprintln!("运行中的 serve 没有采用:\n{}", refused.told);
            return Ok(FINDING);
        }
        sleep(LOOK_EVERY);
    }
    println!("还没有看到它生效。jifen serve 没在运行的话,下次启动就用它;在运行的话,看看 serve 用的是不是这个文件(--rules),日志里有没有说为什么");
    Ok(DONE)
}

/// The file that is watched.
fn rules_file(workspace: &Workspace, named: Option<&PathBuf>) -> PathBuf {
    named.cloned().unwrap_or_else(|| PathBuf::from(workspace.settings.rules.as_str()))
}

/// Clock time in China, where WeCom is.
fn clock(at: Millis, format: &str) -> String {
    at.timestamp().to_zoned(TimeZone::fixed(offset(8))).strftime(format).to_string()
}
