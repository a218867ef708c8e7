//! `jifen grant`: points by hand — one, a file of them, a batch taken back — and the second pair of eyes (`jifen approve`, `jifen reject`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use arc_swap::ArcSwap;
use clap::Args;

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::grants::{self, Asked, Books, Outcome, Row, Summary, sheet, waiting};
use crate::pipeline::command::number;
use crate::pipeline::{Pipeline, Silent};
use crate::rules::command::reason;
use crate::store::sqlite::{SqliteReader, SqliteStore};

/// Bad rows named; more would not be read.
const BAD_ROWS_TOLD_MAX: usize = 20;

/// Where points are given, and by whom.
#[derive(Debug, Clone, Args)]
pub struct Scope {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 企业,配置里的名字 (默认:配置里的第一个)
    #[arg(long)]
    corp: Option<String>,
    /// 积分活动的编号;只有一个活动时不用写
    #[arg(long)]
    campaign: Option<String>,
    /// 群名或群编号;balance = "per_group" 时必须写
    #[arg(long)]
    group: Option<String>,
    /// 谁办的:jifen.toml 的 operators 里的成员编号
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen grant xiaohong 10 --reason 帮忙答疑           加 10 分;成员写编号,名字没有重名也行
  jifen grant xiaohong -5 --reason 发广告             扣 5 分,扣不到负数
  jifen grant --file 加分.csv --dry-run               先看一遍:列是 成员,分数,原因(或 member,points,reason)
  jifen grant --file 加分.csv                         一行不对就一笔都不记;同一个文件再跑一次不会重复记
  jifen grant --reverse b3f2a9c01 --reason 发错了     整批收回;写编号(如 0412)就收回那一笔。收两次等于一次
  jifen grant --pending                               等另一位管理员批准的

限额和批准写在 rules.toml 的 [grant]:max_points、four_eyes_above。可以在 serve 运行时执行。")]
pub struct Options {
    /// 成员编号,或没有重名的名字
    #[arg(required_unless_present_any = ["file", "reverse", "pending"], requires = "points")]
    member: Option<String>,
    /// 多少分;负数是扣
    #[arg(allow_negative_numbers = true)]
    points: Option<i64>,
    /// 原因,成员会看到
    #[arg(long)]
    reason: Option<String>,
    /// 一个 CSV 文件,UTF-8
    #[arg(long, value_name = "FILE", conflicts_with_all = ["member", "reverse", "pending"])]
    file: Option<PathBuf>,
    /// 只检查文件,什么也不写
    #[arg(long, requires = "file")]
    dry_run: bool,
    /// 文件里可以有从没出现过的成员编号
    #[arg(long)]
    new: bool,
    /// 收回一批或一笔
    #[arg(long, value_name = "BATCH", conflicts_with_all = ["member", "pending"])]
    reverse: Option<String>,
    /// 列出等批准的
    #[arg(long, conflicts_with = "member")]
    pending: bool,
    #[command(flatten)]
    scope: Scope,
}

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen approve 0412 --by lisi         批准第 0412 号
  jifen approve b3f2a9c01 --by lisi    批准整批
  jifen reject 0412 --by lisi --reason 重复了

等批准的:jifen grant --pending。自己提的不能自己批,7 天没人批就作废。")]
pub struct ReviewOptions {
    /// 编号(如 0412),或批次
    number: String,
    /// 原因
    #[arg(long)]
    reason: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// The books, open for writing.
struct Desk {
    pipeline: Pipeline<SqliteStore>,
    reader: SqliteReader,
    books: Books,
}

impl Scope {
    fn open(&self) -> Result<Desk> {
        let workspace = Workspace::open(&self.place)?;
        let reader = workspace.reader()?;
        let rules = workspace.rules(self.rules.as_deref())?;
        let operators = (&workspace.settings.operators).into();
        let asked = Asked { corp: self.corp.clone(), campaign: self.campaign.clone(), group: self.group.clone(), by: self.by.clone() };
        let first_corp = workspace.settings.corp.keys().next().cloned();
        let books = Books::find(&reader, &rules, &operators, workspace.vault.fingerprint_key(), asked, first_corp).map_err(anyhow::Error::msg)?;
        let pipeline = Pipeline::new(workspace.store()?, Arc::new(ArcSwap::new(rules)), workspace.vault.fingerprint_key(), Box::new(Silent));
        Ok(Desk { pipeline: pipeline.with_operators(operators), reader, books })
    }
}

/// `jifen grant`
pub fn run(options: Options) -> Result<u8> {
    let mut desk = options.scope.open()?;
    match (&options.file, &options.reverse, options.pending) {
        (Some(file), _, _) => give_file(&mut desk, file, &options),
        (None, Some(what), _) => take_back(&mut desk, what, options.reason.as_deref()),
        (None, None, true) => pending(&desk),
        (None, None, false) => give_one(&mut desk, &options),
    }
}

/// `jifen approve`
pub fn approve(options: ReviewOptions) -> Result<u8> {
    review(options, true)
}

/// `jifen reject`
pub fn reject(options: ReviewOptions) -> Result<u8> {
    review(options, false)
}

fn give_one(desk: &mut Desk, options: &Options) -> Result<u8> {
    let (Some(member), Some(points)) = (&options.member, options.points) else {
        bail!("请写成员和分数,例如:jifen grant xiaohong 10 --reason 帮忙答疑")
    };
    let Some(why) = &options.reason else { bail!("请写原因:--reason 帮忙答疑(成员会看到)") };
    let row = Row { line: 0, member: member.clone(), points, reason: reason(why).map_err(anyhow::Error::msg)? };
    let now = Clock::default().now();
    let grant = match grants::check(&desk.reader, &desk.books, &[row], options.new)? {
        Ok(checked) => checked,
        Err(bad) => return Ok(tell_bad(&bad)),
    };
    let outcomes = grants::give_one(&mut desk.pipeline, &desk.reader, &desk.books, &grant, now)?;
    tell(&outcomes.first().map(|outcome| vec![outcome.clone()]).unwrap_or_default(), None)
}

fn give_file(desk: &mut Desk, file: &Path, options: &Options) -> Result<u8> {
    let bytes = sheet::read_file(file).map_err(anyhow::Error::msg)?;
    let rows = match sheet::rows(&bytes) {
        Ok(rows) => rows,
        Err(bad) => return Ok(tell_bad(&bad)),
    };
    let checked = match grants::check(&desk.reader, &desk.books, &rows, options.new)? {
        Ok(checked) => checked,
        Err(bad) => return Ok(tell_bad(&bad)),
    };
    let batch = grants::batch_of(&desk.books, &bytes);
    let Summary { rows, given, taken, members } = grants::summary(&checked);
    println!("{rows} 行,{members} 位成员:加 {given} 分,扣 {taken} 分。批次 {batch}");
    if options.dry_run {
        println!("只是检查,什么也没有写");
        return Ok(DONE);
    }
    let outcomes = grants::give_batch(&mut desk.pipeline, &desk.reader, &desk.books, &checked, &batch, Clock::default().now())?;
    tell(&outcomes, Some(&batch))
}

fn tell_bad(bad: &[(usize, String)]) -> u8 {
    for (line, text) in bad.iter().take(BAD_ROWS_TOLD_MAX) {
        if *line == 0 { eprintln!("错误:{text}") } else { eprintln!("第 {line} 行:{text}") }
    }
    if bad.len() > BAD_ROWS_TOLD_MAX {
        eprintln!("还有 {} 处", bad.len() - BAD_ROWS_TOLD_MAX);
    }
    eprintln!("共 {} 处不对,一笔都没有记", bad.len());
    FINDING
}

fn tell(outcomes: &[Outcome], batch: Option<&str>) -> Result<u8> {
    let count = |is: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count();
    let (known, waiting, refused) = (count(&|it| it.known), count(&|it| it.waits), count(&|it| it.refused.is_some()));
    for outcome in outcomes.iter().filter(|outcome| outcome.refused.is_some()).take(BAD_ROWS_TOLD_MAX) {
        eprintln!("{}:没有记,{}", outcome.name, outcome.refused.as_deref().unwrap_or_default());
    }
    if let ([one], None) = (outcomes, batch) {
        match (one.waits, &one.refused) {
            (true, _) => println!("{} {:+} 等另一位管理员批准:jifen approve {} --by 名字", one.name, one.points, number(one.event)),
            (false, None) => println!("已记:{} {:+},现有 {}。编号 {}", one.name, one.points, one.balance, number(one.event)),
            (false, Some(_)) => {}
        }
        return Ok(if one.refused.is_some() { FINDING } else { DONE });
    }
    let batch = batch.unwrap_or_default();
    let points: i64 = outcomes.iter().filter(|it| !it.waits && it.refused.is_none() && !it.known).map(|it| it.points).sum();
    println!("新记 {} 笔,合计 {points:+} 分;{known} 笔以前就记过", outcomes.len() - known - waiting - refused);
    if waiting > 0 {
        println!("{waiting} 笔等另一位管理员批准:jifen approve {batch} --by 名字");
    }
    Ok(if refused > 0 { FINDING } else { DONE })
}

fn take_back(desk: &mut Desk, what: &str, why: Option<&str>) -> Result<u8> {
    let why = reason(why.unwrap_or("收回")).map_err(anyhow::Error::msg)?;
    let found = grants::find(&desk.reader, &desk.books, what)?;
    if found.is_empty() {
        eprintln!("没有 {what} 这一批或这一笔。批次是 jifen grant --file 打印的 b 开头的编号,一笔写它的编号如 0412");
        return Ok(FINDING);
    }
    let taken = grants::take_back(&mut desk.pipeline, &desk.reader, &desk.books, &found, &why, Clock::default().now())?;
    let points: i64 = taken.iter().filter(|it| !it.known).map(|it| it.points).sum();
    println!("收回 {} 笔,合计 {points:+} 分;{} 笔以前就收回过", taken.iter().filter(|it| !it.known).count(), taken.iter().filter(|it| it.known).count());
    let short: Vec<&Outcome> = taken.iter().filter(|it| it.refused.is_some()).collect();
    for outcome in short.iter().take(BAD_ROWS_TOLD_MAX) {
        println!("{}:{}", outcome.name, outcome.refused.as_deref().unwrap_or_default());
    }
    Ok(if short.is_empty() { DONE } else { FINDING })
}

fn pending(desk: &Desk) -> Result<u8> {
    let pending = waiting::pending(&desk.reader, &desk.books, Clock::default().now())?;
    for grant in &pending {
        let batch = grant.batch.as_deref().map_or(String::new(), |batch| format!(",批次 {batch}"));
        println!("{} {} {:+}({}),{} 提的{batch}", number(grant.event), grant.name, grant.points, grant.reason, grant.by);
    }
    println!("{} 笔等批准", pending.len());
    Ok(DONE)
}

fn review(options: ReviewOptions, allowed: bool) -> Result<u8> {
    let mut desk = options.scope.open()?;
    desk.books.require_operator().map_err(anyhow::Error::msg)?;
    let why = options.reason.as_deref().map(reason).transpose().map_err(anyhow::Error::msg)?;
    let now = Clock::default().now();
    let found = grants::find(&desk.reader, &desk.books, &options.number)?;
    let outcomes = waiting::review(&mut desk.pipeline, &desk.reader, &desk.books, &found, (allowed, why), now)?;
    if outcomes.is_empty() {
        eprintln!("{} 里没有等批准的。看看还有哪些:jifen grant --pending", options.number);
        return Ok(FINDING);
    }
    for outcome in &outcomes {
        match (&outcome.refused, allowed) {
            (Some(why), _) => eprintln!("{}:{why}", outcome.name),
            (None, true) => println!("已批准:{} {:+},现有 {}", outcome.name, outcome.points, outcome.balance),
            (None, false) => println!("已驳回:{} {:+}", outcome.name, outcome.points),
        }
    }
    Ok(if outcomes.iter().any(|outcome| outcome.refused.is_some()) { FINDING } else { DONE })
}
