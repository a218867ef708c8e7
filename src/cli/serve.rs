//! `jifen serve`: the daemon.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::workspace::Workspace;
use super::{BUG, DISK, DONE, Where};
use crate::app::{App, Ended, Parts};
use crate::clock::Clock;
use crate::failpoint;
use crate::gate;
use crate::keeper::{shelf, short};
use crate::rules::campaign::Rules;
use crate::rules::file;
use crate::store::sqlite::serving::Loss;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen serve --config jifen.toml
  RUST_LOG=debug jifen serve --log json

第一行打印实际监听的地址(端口写 0 就用空闲端口)。rules.toml 一保存就检查、跑里面的测试,通过就在两秒内生效;没通过就还用原来的,日志和运营群([operators] chat)里说明哪一行、为什么。以前的版本见 jifen rules。收到 SIGTERM 或 Ctrl-C 后先处理完手里的请求再退出;SIGHUP 不理会。
日志里没有消息正文、姓名和密钥。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 监听地址,覆盖配置里的 listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// 数据库比它旁边的记号旧(丢了一段)时,仍从这里继续:开始新的纪元,并扣住发件箱,直到 jifen outbox release
    #[arg(long)]
    accept_loss: bool,
    /// 日志格式
    #[arg(long, value_enum, default_value_t = Log::Human)]
    log: Log,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// 给人看的一行行文字
    Human,
    /// 每行一个 JSON 对象
    Json,
}

pub fn run(options: Options) -> Result<u8> {
    start_logging(options.log);
    let mut workspace = Workspace::open(&options.place)?;
    if let Some(listen) = options.listen {
        workspace.settings.listen = crate::settings::Text(listen);
    }
    if workspace.settings.keys.is_none() {
        bail!("正式运行要在 jifen.toml 写明密钥:[keys] master = \"file:master.key\"。生成一个:openssl rand -hex 32 > master.key && chmod 600 master.key");
    }
    let rules_file = options.rules.clone().unwrap_or_else(|| PathBuf::from(workspace.settings.rules.as_str()));
    let rules = rules_to_begin_with(&workspace, &rules_file)?;
    failpoint::hit("rules.parsed");
    let loss = if options.accept_loss { Loss::Accept } else { Loss::Refuse };
    let parts = Parts { database: workspace.database.clone(), vault: workspace.vault.clone(), rules, rules_file, clock: Clock::default(), loss };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        outlive_file_size_limit()?;
        outlive_terminal()?;
        let app = App::open(&workspace.settings, parts).await?;
        // Before anybody can know of us: a signal that comes early stops us in good order too.
        let stop = stop_signal()?;
        println!("listening on http://{}", app.addr());
        let ended = app.run(stop).await;
        Ok(match ended {
            Ended::Asked => DONE,
            Ended::DiskFailed => DISK,
            Ended::WriterPanicked => BUG,
        })
    })
}

/// Those of the file. Where it does not pass, those that were live when the daemon stopped: a start by night must not fail because somebody
/// left a file half done. The keeper tells the operators, as it would have told them of that save.
fn rules_to_begin_with(workspace: &Workspace, path: &Path) -> Result<Arc<Rules>> {
    let refused = match passed(path) {
        Ok(rules) => return Ok(rules),
        Err(error) => error,
    };
    let Some(rules) = last_live(workspace) else { return Err(refused) };
    eprintln!("{refused:#}\n先用停止以前的规则(版本 {})启动;文件改好、保存,就会自动检查、生效", short(rules.hash));
    Ok(rules)
}

/// The rules of a file that passes the gate; what is wrong with it is printed.
fn passed(path: &Path) -> Result<Arc<Rules>> {
    let bytes = fs::read(path).with_context(|| format!("读不到规则文件 {}", path.display()))?;
    let examined = gate::examine(&bytes);
    if let Some(rules) = examined.rules.as_ref().filter(|_| examined.ok) {
        return Ok(rules.clone());
    }
    let file = path.display().to_string();
    examined.obstacles(&file, usize::MAX).iter().for_each(|obstacle| eprintln!("{obstacle}"));
    bail!("{file} 有 {} 处错误、{} 处测试不对,没有采用。改好后用 jifen check {file} 再看一遍", examined.errors(), examined.failures.len())
}

/// The version that was live last, where there is one that this program can read.
fn last_live(workspace: &Workspace) -> Option<Arc<Rules>> {
    let reader = workspace.reader().ok()?;
    let text = shelf::text(&reader, shelf::live(&reader).ok()??).ok()?;
    file::load(&text).ok().map(|(rules, _)| Arc::new(rules))
}

/// Logs to stderr; `RUST_LOG` chooses what.
pub fn start_logging(log: Log) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match log {
        Log::Human => builder.init(),
        Log::Json => builder.json().init(),
    }
}

/// A file that may grow no further is to be an error of its write, as a full disk is. Unheard, SIGXFSZ ends the process
/// (<https://man7.org/linux/man-pages/man2/setrlimit.2.html>, `RLIMIT_FSIZE`).
fn outlive_file_size_limit() -> Result<()> {
    // The handler stays when the listener is dropped.
    drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
    Ok(())
}

/// SIGHUP says that a terminal is gone, or asks to read settings anew, which is done by starting again: it ends nothing.
fn outlive_terminal() -> Result<()> {
    drop(signal(SignalKind::hangup())?);
    Ok(())
}

/// Completes at SIGTERM or Ctrl-C; from the call on they no longer end the process by themselves.
pub fn stop_signal() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
