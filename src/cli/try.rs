//! `jifen try`: chat lines against the live state, without touching it.

use std::io::{BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use jiff::civil::DateTime;
use rustix::fs::{Access, access};

use super::workspace::{Workspace, only_corp, print_mistakes, settings};
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::explain::{Bystander, ExplainedVerdict};
use crate::gate;
use crate::keeper::short;
use crate::model::day::Millis;
use crate::model::ids::{EventSeq, FingerprintKey};
use crate::rules::campaign::Rules;
use crate::rules::testing::{TestLine, parse_tried};
use crate::rules::usage::in_words;
use crate::store::Reader;
use crate::store::memory::MemoryStore;
use crate::trial::{Asked, Standing, Trial, TrialError, Tried};

/// Lines of one call: what people paste, and some seconds of work.
const LINES_MAX: usize = 2_000;
/// Bytes read of the standard input.
const BYTES_MAX: u64 = 1 << 20;
/// Changes of the rules looked through for the one that is live.
const CHANGES_MAX: usize = 100;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen try \"阿明: 签到\"                                    现在说这一句,会怎样
  jifen try \"阿明: 签到\" --at \"2026-11-22 20:30\" --campaign riders
  jifen try \"小红: @积分助手 积分\" --group 骑行一群           回复会怎么说
  jifen try \"阿明: 打卡[图片]\" --rules 新规则.toml            换成新规则会怎样
  jifen try --stdin < 对话.txt                              几句接着试,一行一句

一行的写法和 [[test]] 的 chat 一样,时间可以不写:[群名] 谁: 说了什么;[图片]、[链接 网址]、[视频]、进群、退群、[事件 名字]、[订单 店铺 编号 金额]。
写了 => +2 就核对得分。谁可以写名字,也可以写成员编号;同名的用 --member 指明;没听到过的人按新成员算。
只读数据库,什么也不写;可以在 serve 运行时执行。退出码:0 试过了,1 规则文件通不过、人或群说不清、或得分和 => 不一样。")]
pub struct Options {
    /// 一句话,例如 "阿明: 签到"
    #[arg(required_unless_present = "stdin", conflicts_with = "stdin")]
    line: Option<String>,
    /// 从标准输入读,一行一句
    #[arg(long)]
    stdin: bool,
    /// 当作什么时候说的:"2026-11-22 20:30",或今天的 "20:30" (默认:现在)
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// 哪个活动 (默认:规则里的第一个)
    #[arg(long)]
    campaign: Option<String>,
    /// 哪个群,群名或群编号;单聊 是和助手单聊 (默认:这个活动的一个群)
    #[arg(long)]
    group: Option<String>,
    /// 说话的人的成员编号,名字不够用时写
    #[arg(long, value_name = "ID")]
    member: Option<String>,
    /// 换成这个规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 哪个企业 (默认:配置里的第一个)
    #[arg(long)]
    corp: Option<String>,
    /// 格式;json 是一行一句
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What lines are tried against.
struct Ground {
    base: Box<dyn Reader>,
    fingerprints: FingerprintKey,
    notes: Vec<String>,
}

pub fn run(options: Options) -> Result<u8> {
    let settings = settings(&options.place)?;
    let Some(rules) = rules(options.rules.as_deref(), Path::new(settings.rules.as_str()))? else { return Ok(FINDING) };
    let mut ground = ground(&options)?;
    if options.rules.is_none() {
        ground.notes.extend(not_live(&*ground.base, &rules)?);
    }
    let corp = match (&options.corp, settings.corp.keys().next()) {
        (Some(corp), _) => corp.clone(),
        (None, Some(first)) => first.clone(),
        (None, None) => only_corp(&*ground.base)?,
    };
    let asked = Asked { corp: corp.into(), campaign: options.campaign.clone(), group: options.group.clone(), member: options.member.clone() };
    let Ground { base, fingerprints, notes } = ground;
    let mut trial = Trial::over(base, &rules, fingerprints, (&settings.operators).into(), asked);
    let now = Clock::default().now();
    let local = match trial.campaign() {
        Ok(campaign) => campaign.calendar.local(now).datetime(),
        Err(error) => return Ok(told_unclear(&error)),
    };
    let at = options.at.as_deref().map_or(Ok(local), |at| moment(at, local))?;
    let lines = match lines(&options, at)? {
        Ok(lines) => lines,
        Err(reason) => {
            eprintln!("{reason}");
            return Ok(FINDING);
        }
    };
    notes.iter().for_each(|note| eprintln!("({note})"));
    play(&mut trial, &lines, now, options.format)
}

fn play(trial: &mut Trial, lines: &[TestLine], now: Millis, format: Format) -> Result<u8> {
    let mut code = DONE;
    for (number, line) in lines.iter().enumerate() {
        let tried = match trial.play(line, now) {
            Ok(tried) => tried,
            Err(error @ TrialError::Unclear(_)) => return Ok(told_unclear(&error)),
            Err(error) => return Err(error.into()),
        };
        match format {
            Format::Json => println!("{}", serde_json::to_string(&tried)?),
            Format::Text => {
                if number > 0 {
                    println!();
                }
                tell(&tried);
            }
        }
        for unlike in unlike(line, &tried) {
            eprintln!("{unlike}");
            code = FINDING;
        }
    }
    if format == Format::Text {
        println!("(只是试试,什么也没有写)");
    }
    Ok(code)
}

fn told_unclear(error: &TrialError) -> u8 {
    eprintln!("{error}");
    FINDING
}

/// The rules to try under; of a file named on purpose all that the gate says. `None` where they do not pass, which was told.
fn rules(named: Option<&Path>, usual: &Path) -> Result<Option<Arc<Rules>>> {
    let path = named.unwrap_or(usual);
    let bytes = std::fs::read(path).with_context(|| format!("读不到规则文件 {}", path.display()))?;
    let examined = gate::examine(&bytes);
    if examined.ok {
        return Ok(examined.rules);
    }
    print_mistakes(path, &examined.mistakes);
    examined.failures.iter().for_each(|failure| eprintln!("{}:{failure}", path.display()));
    match (examined.rules, named) {
        // What is live may have a test that fails by now; it is told, and tried all the same.
        (Some(rules), None) => Ok(Some(rules)),
        (Some(_) | None, _) => {
            eprintln!("{} 没有通过检查,没有试。改好后再来", path.display());
            Ok(None)
        }
    }
}

/// The database, read only; without one an empty world.
fn ground(options: &Options) -> Result<Ground> {
    let database = settings(&options.place)?.database_path();
    let is_there = database.as_ref().is_some_and(|database| database.exists());
    if let (Some(database), false) = (&database, is_there) {
        if options.place.database.is_some() {
            bail!("没有数据库 {}。请检查 --database;去掉它就在一个空的世界里试", database.display());
        }
        let fingerprints = FingerprintKey::new(b"try");
        return Ok(Ground {
            base: Box::new(MemoryStore::default().reader()),
            fingerprints,
            notes: vec![format!("没有数据库 {},从空的账本试起", database.display())],
        });
    }
    let workspace = Workspace::open(&options.place)?;
    let folder = workspace.database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let reader = workspace.reader().and_then(|reader| {
        reader.freeze()?;
        Ok(reader)
    });
    let needs = || match access(folder, Access::WRITE_OK) {
        Ok(()) => "读不了数据库".to_owned(),
        Err(_) => format!(
            "读不了数据库。jifen try 什么也不写,但 SQLite 要在 {} 里放一个 -shm 文件,而这个目录写不了:请换能写它的用户,或把数据库和它旁边的 -wal、密钥复制到别处再试",
            folder.display()
        ),
    };
    let reader = reader.with_context(needs)?;
    Ok(Ground { base: Box::new(reader), fingerprints: workspace.vault.fingerprint_key(), notes: Vec::new() })
}

/// What is to be said where the file is not what is live.
fn not_live(reader: &dyn Reader, rules: &Rules) -> Result<Option<String>> {
    let changes = reader.rules_changes(EventSeq(i64::MAX), CHANGES_MAX)?;
    let live = changes.iter().find(|change| change.accepted).map(|change| change.rules);
    Ok(live.filter(|live| *live != rules.hash).map(|live| format!("用的是文件里的规则 {},正在运行的是 {}", short(rules.hash), short(live))))
}

/// `2026-11-22 20:30`, or `20:30` of today.
fn moment(text: &str, now: DateTime) -> Result<DateTime> {
    let text = text.trim();
    let whole = if text.contains('-') { text.replace(' ', "T") } else { format!("{}T{text}", now.date()) };
    whole.parse().map_err(|_| anyhow::anyhow!("看不懂 --at \"{text}\";请写成 \"2026-11-22 20:30\",或今天的 \"20:30\""))
}

/// The lines to try. The inner error is what cannot be read, in words.
fn lines(options: &Options, at: DateTime) -> Result<Result<Vec<TestLine>, String>> {
    let texts: Vec<String> = match &options.line {
        Some(line) => vec![line.clone()],
        None => std::io::stdin().lock().take(BYTES_MAX).lines().take(LINES_MAX + 1).collect::<Result<_, _>>().context("读不下去标准输入")?,
    };
    let mut lines = Vec::new();
    for (number, text) in texts.iter().enumerate().filter(|(_, text)| !text.trim().is_empty() && !text.trim_start().starts_with('#')) {
        match parse_tried(text, at) {
            Ok(parsed) => lines.extend(parsed),
            Err(reason) => return Ok(Err(if options.stdin { format!("第 {} 行:{reason}", number + 1) } else { reason })),
        }
        if lines.len() > LINES_MAX {
            return Ok(Err(format!("一次最多试 {LINES_MAX} 行(日期范围按天数算)")));
        }
    }
    Ok(if lines.is_empty() { Err("没有要试的话".into()) } else { Ok(lines) })
}

/// What did not come out as the line expects.
fn unlike(line: &TestLine, tried: &Tried) -> Vec<String> {
    let points = tried.points;
    let wrong = line.expect_points.filter(|expected| *expected != points).map(|expected| format!("应得 {expected:+},实得 {points:+}"));
    let unsaid = line.expect_reply.as_ref().filter(|expected| !tried.replies.iter().any(|reply| reply.contains(*expected)));
    wrong.into_iter().chain(unsaid.map(|expected| format!("回复里应有「{expected}」"))).collect()
}

fn tell(tried: &Tried) {
    let (strong, dim, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let event = &tried.explained.event;
    let id = event.member.as_deref().filter(|id| *id != tried.name).map_or(String::new(), |id| format!("({id})"));
    let new = if tried.is_known { "" } else { ",新成员" };
    let campaign = event.campaign.as_deref().map_or("没有活动包括这里".to_owned(), |campaign| format!("活动 {campaign}"));
    println!("{strong}{}{id}{new},在 {},{}{plain}", tried.name, tried.place, event.at.get(..16).unwrap_or(&event.at).replace('T', " "));
    println!("{dim}{campaign},规则版本 {}{plain}", version(&event.rules, event.rules_since.as_deref()));
    tried.explained.verdicts.iter().for_each(tell_verdict);
    for Bystander { rule, title, why } in &tried.explained.bystanders {
        println!("  {dim}- {title}({rule}):{why}{plain}");
    }
    for note in tried.notes.iter().chain(Some(&event.note).filter(|note| !note.is_empty())) {
        println!("  {note}");
    }
    println!("{strong}得分 {:+}{plain}", tried.points);
    match tried.replies.as_slice() {
        [] => println!("没有回复"),
        replies => replies.iter().for_each(|reply| println!("回复:{}", reply.replace('\n', "\n      "))),
    }
    if let (Some(before), Some(after)) = (&tried.before, &tried.after) {
        tell_standing(before, after);
    }
}

/// One verdict, with what is used of its caps after it.
pub(super) fn tell_verdict(verdict: &ExplainedVerdict) {
    let mark = if verdict.points != 0 { "+" } else { "·" };
    let caps = in_words(&verdict.caps);
    let caps = if caps.is_empty() { String::new() } else { format!("  [{caps}]") };
    println!("  {mark} {} {}{caps}", verdict.rule, verdict.why);
}

/// A version as people tell it, and since when it is live.
pub(super) fn version(hash: &str, since: Option<&str>) -> String {
    let since = since.map_or(String::new(), |since| format!("({} 起)", since.get(..16).unwrap_or(since).replace('T', " ")));
    format!("{}{since}", hash.chars().take(8).collect::<String>())
}

fn tell_standing(before: &Standing, after: &Standing) {
    let step = |one: i64, other: i64| if one == other { one.to_string() } else { format!("{one} → {other}") };
    let waits = [("待生效", before.pending, after.pending), ("冻结", before.held, after.held)];
    let waits = waits.iter().filter(|(_, one, other)| (*one, *other) != (0, 0)).map(|(name, one, other)| format!(",{name} {}", step(*one, *other)));
    println!("余额 {}{},累计 {}", step(before.balance, after.balance), waits.collect::<String>(), step(before.lifetime, after.lifetime));
    for now in &after.caps {
        let was =
            before.caps.iter().find(|cap| (&cap.usage.of, cap.usage.period, cap.usage.in_points) == (&now.usage.of, now.usage.period, now.usage.in_points));
        let was = was.map_or(0, |was| was.usage.used);
        if was != now.usage.used {
            println!("  {}{}(之前 {was})", now.title, now.usage.text);
        }
    }
    for now in &after.streaks {
        let was = before.streaks.iter().find(|streak| streak.rule == now.rule).map_or(0, |streak| streak.days);
        if was != now.days {
            println!("  {}连续 {} 天", now.title, step(was.into(), now.days.into()));
        }
    }
    if after.lots.len() > 1 {
        println!("  余额由这几批组成:{}", after.lots.join(";"));
    }
}
