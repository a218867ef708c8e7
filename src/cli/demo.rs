//! `jifen demo`: the whole thing on this machine with no keys.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::DONE;
use super::serve::{Log, start_logging, stop_signal};
use super::workspace::print_mistakes;
use crate::demo;
use crate::demo::presets::{self, PRESETS};
use crate::rules::file;

/// The rules the demo begins with: the ones we ship.
const RULES: &str = include_str!("../../rules.toml");

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen demo
  jifen demo --listen 127.0.0.1:0 --keep 演示数据
  jifen demo --preset s4-live
  jifen demo --rules 我的规则.toml
  jifen demo --empty

打开它打印的网址:一个单聊、一个内部群、一个客户群;选一个成员,在单聊里发「签到」。不需要任何密钥;不加 --keep 就不留下任何文件。")]
pub struct Options {
    /// 监听地址 (默认:127.0.0.1:8787,被占用时换一个空闲端口)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// 把数据留在这个目录,下次接着用
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// 用一份现成的规则开始:s1-quanliang、s2-bike、s3-explorer、s4-live、s5-beauty、s5-baby;页面上也能换
    #[arg(long, value_name = "NAME", conflicts_with = "rules")]
    preset: Option<String>,
    /// 用这份规则开始;--keep 的目录里已有 rules.toml 时用那一份
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 从空账本开始,不带 28 天的示例聊天
    #[arg(long)]
    empty: bool,
}

pub fn run(options: Options) -> Result<u8> {
    if std::env::var_os("RUST_LOG").is_some() {
        start_logging(Log::Human);
    }
    let rules_text = match (&options.rules, &options.preset) {
        (Some(path), _) => rules_text(path)?,
        (None, Some(name)) => preset(name)?.to_owned(),
        (None, None) => RULES.to_owned(),
    };
    let options = demo::Options { listen: options.listen, keep: options.keep, rules_text, empty: options.empty };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { demo::run(options, stop_signal()?).await })?;
    Ok(DONE)
}

/// A preset's rules.
fn preset(name: &str) -> Result<&'static str> {
    let known = || PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join("、");
    presets::find(name).map(|preset| preset.text).with_context(|| format!("没有叫「{name}」的预设;可用的有 {}", known()))
}

/// An operator's own rules; their mistakes are told by the name of their file.
fn rules_text(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("读不到规则文件 {}", path.display()))?;
    if let Err(mistakes) = file::load(&text) {
        print_mistakes(path, &mistakes);
        bail!("规则文件 {} 有错,改好再来", path.display());
    }
    Ok(text)
}
