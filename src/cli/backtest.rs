//! `jifen backtest`: what other rules would have paid for what was really said.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use jiff::civil::Date;

use super::workspace::{Workspace, print_mistakes};
use super::{DONE, FINDING, Where, progress};
use crate::backtest::page::page;
use crate::backtest::parity::parity;
use crate::backtest::table::table;
use crate::backtest::{Ask, run as decide_again};
use crate::gate::examine;
use crate::rules::campaign::Rules;
use crate::rules::file;
use crate::store::Reader;
use crate::store::sqlite::files::beside;

/// What the rules are called against which others are tried.
const LIVE: &str = "现行规则";
/// Obstacles told of a file that does not pass.
const TOLD_MAX: usize = 20;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen backtest --rules 新规则.toml                       和现行的 rules.toml 比,从头到尾
  jifen backtest --rules 新规则.toml --from 2026-11-01 --campaign main
  jifen backtest --rules 新规则.toml --html 回测.html --open   带图表的报告,在浏览器里打开
  jifen backtest --rules 新规则.toml --against 上月.toml --format json
  jifen backtest --parity                                  核对重判和账本一模一样,不一样时退出码是 1

先把 rules.toml 复制一份,改复制的那份,回测满意了再换上去。记下来的消息、订单、进退群按新旧两份规则各判一遍:
每条规则、每个群、每个人差多少,哪些消息的判定变了。只读,什么也不写,可以在 serve 运行时执行。
新规则有错误时退出码是 1,没有回测;只是里面的 [[test]] 还按旧的分数写着,照样回测,并说出来。")]
pub struct Options {
    /// 想试的规则文件
    #[arg(long, value_name = "FILE", required_unless_present = "parity")]
    rules: Option<PathBuf>,
    /// 和这个文件比 (默认:配置里的 rules;没有就用最近记账的那一版)
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// 从哪一天(含)开始重判,例如 2026-11-01;之前的照当时记的
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<Date>,
    /// 到哪一天(含)
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<Date>,
    /// 只看这个积分活动 (默认:全部)
    #[arg(long, value_name = "ID")]
    campaign: Option<String>,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// 再写一份带图表的报告:一个 HTML 文件,不联网也能看
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// 写好后在浏览器里打开
    #[arg(long, requires = "html")]
    open: bool,
    /// 不试新规则:每个事件按它当时的那一版规则重判,核对和账本一模一样
    #[arg(long, conflicts_with_all = ["rules", "against", "from", "to", "campaign", "format", "html"])]
    parity: bool,
    #[command(flatten)]
    place: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// A day of the command line.
fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "日期要写成 2026-11-01 这样".to_owned())
}

pub fn run(options: Options) -> Result<u8> {
    let Some(tried) = &options.rules else { return prove(&options) };
    let Some(new) = passed(tried, true)? else { return Ok(FINDING) };
    let workspace = Workspace::open(&options.place)?;
    let reader = workspace.reader()?;
    let Some((current, name)) = current(&options, tried, &workspace, &reader)? else { return Ok(FINDING) };
    let ask = Ask {
        new,
        name: tried.display().to_string(),
        from: options.from,
        to: options.to,
        campaign: options.campaign.as_deref().map(Arc::from),
        fingerprints: workspace.vault.fingerprint_key(),
    };
    let mut report = decide_again(Box::new(reader), current, &ask, &mut progress::events("重判"))?;
    report.old.name = name;
    let mut out = stdout().lock();
    match options.format {
        Format::Table => out.write_all(table(&report, progress::is_coloured()).as_bytes())?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
    }
    if let Some(path) = &options.html {
        write(path, &page(&report))?;
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        eprintln!("报告写在 {}", path.display());
        if options.open {
            open(&path);
        }
    }
    Ok(DONE)
}

/// Whether deciding again gives the ledger as it is.
fn prove(options: &Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let found = parity(&workspace.reader()?, workspace.vault.fingerprint_key(), &mut progress::events("核对"))?;
    let kept = if found.kept > 0 { format!("(另有 {} 个照当时记的:人工加分、原文已销毁的等)", found.kept) } else { String::new() };
    let Some(difference) = found.difference else {
        println!("重判了 {} 个事件,和账本一模一样{kept}", found.same);
        return Ok(DONE);
    };
    println!("第 {} 个事件重判出来和账本不一样,它前面的 {} 个都一样{kept}", difference.seq, found.same);
    println!("  账本 {}", difference.recorded);
    println!("  重判 {}", difference.decided);
    println!("账本没有动。这是程序的错:请连同 jifen --version 和这几行一起报告");
    Ok(FINDING)
}

/// The rules of a file without errors; what keeps another one from going live is told.
fn passed(path: &Path, is_tried: bool) -> Result<Option<Arc<Rules>>> {
    let bytes = fs::read(path).with_context(|| format!("读不到规则文件 {}", path.display()))?;
    let examined = examine(&bytes);
    let shown = path.display().to_string();
    let obstacles = examined.obstacles(&shown, TOLD_MAX);
    match examined.rules {
        Some(rules) if examined.errors() == 0 => {
            if let (Some(first), true) = (examined.failures.first(), is_tried) {
                // What amounts it should have is the very question: its tests may still tell the old ones.
                let tests: BTreeSet<&str> = examined.failures.iter().map(|failure| &*failure.test).collect();
                let first = first.to_string().replace("\n ", ";");
                eprintln!("{shown} 里有 {} 个测试还按旧的分数写着,换上之前要改。第一处 {shown}:{first}", tests.len());
            }
            Ok(Some(rules))
        }
        _ => {
            obstacles.iter().for_each(|obstacle| eprintln!("{obstacle}"));
            eprintln!("{shown} 还不能用,没有回测。改好上面这些再试;jifen check {shown} 看得更全");
            Ok(None)
        }
    }
}

/// What is compared with, and its name.
fn current(options: &Options, tried: &Path, workspace: &Workspace, reader: &dyn Reader) -> Result<Option<(Arc<Rules>, String)>> {
    if let Some(path) = &options.against {
        return Ok(passed(path, false)?.map(|rules| (rules, path.display().to_string())));
    }
    let live = Path::new(workspace.settings.rules.as_str());
    // Who edits the live file itself wants to know what it changes, not that it is the same as itself.
    let is_tried = fs::canonicalize(live).ok().is_some_and(|live| fs::canonicalize(tried).ok() == Some(live));
    if let (false, Ok(bytes)) = (is_tried, fs::read(live)) {
        let examined = examine(&bytes);
        match examined.rules {
            Some(rules) if examined.ok => return Ok(Some((rules, LIVE.into()))),
            _ => eprintln!("{} 现在通不过检查,没有在用;改和最近记账的那一版比", live.display()),
        }
    }
    newest(reader).map(|rules| Some((rules, LIVE.into())))
}

/// The version under which the newest event was decided.
fn newest(reader: &dyn Reader) -> Result<Arc<Rules>> {
    let Some(newest) = reader.event(reader.head()?.event)? else { bail!("数据库里还没有任何消息,没有可以回测的") };
    let Some(text) = reader.rules_text(newest.rules)? else {
        bail!("数据库里没有现行规则 {} 的全文;请用 --against 指明旧的规则文件", newest.rules)
    };
    match file::load(&text) {
        Ok((rules, _warnings)) => Ok(Arc::new(rules)),
        Err(mistakes) => {
            print_mistakes(Path::new(LIVE), &mistakes);
            bail!("最近记账的那一版 {} 这个程序读不了;请用 --against 指明旧的规则文件", newest.rules)
        }
    }
}

/// Writes the whole file or leaves what was there.
fn write(path: &Path, text: &str) -> Result<()> {
    let part = beside(path, ".part");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if written.is_err() {
        // What was begun is of no use; if it cannot be removed either, there is nothing left to try.
        let _ = fs::remove_file(&part);
    }
    written.with_context(|| format!("写不了 {}", path.display()))
}

/// Opens the report in the browser people have; where there is none, says so.
fn open(path: &Path) {
    let (opener, has_desk) = match cfg!(target_os = "macos") {
        true => ("open", true),
        false => ("xdg-open", ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some())),
    };
    let began = has_desk && Command::new(opener).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok();
    if !began {
        eprintln!("这里打不开浏览器,请自己打开上面的文件");
    }
}
