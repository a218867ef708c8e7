//! `jifen check`: all mistakes of a rules.toml at once, then its `[[test]]`s.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::workspace::print_mistakes;
use super::{DONE, FINDING};
use crate::gate::{self, Examined};
use crate::rules::file;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen check                         检查当前目录的 rules.toml
  jifen check 新规则.toml --format json
  jifen check --resolved              每个活动实际生效的规则,继承的和默认的都写出来

每个错误一行:文件:行:列: error[代码]: 说明。只有警告时退出码是 0,有错误或测试不通过是 1。")]
pub struct Options {
    /// 规则文件
    #[arg(default_value = "rules.toml")]
    file: PathBuf,
    /// 输出格式
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// 打印每个活动实际生效的全部规则:继承来的、默认的都写出来
    #[arg(long)]
    resolved: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(options: Options) -> Result<u8> {
    let bytes = std::fs::read(&options.file).with_context(|| format!("读不到 {}", options.file.display()))?;
    if let (true, Ok(text)) = (options.resolved, std::str::from_utf8(&bytes)) {
        return print_resolved(&options, text);
    }
    let report = gate::examine(&bytes);
    match options.format {
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Format::Text => print(&options, &report),
    }
    Ok(if report.ok { DONE } else { FINDING })
}

fn print_resolved(options: &Options, text: &str) -> Result<u8> {
    match file::resolved(text) {
        Ok(resolved) => {
            print!("{resolved}");
            Ok(DONE)
        }
        Err(mistakes) => {
            print_mistakes(&options.file, &mistakes);
            Ok(FINDING)
        }
    }
}

fn print(options: &Options, report: &Examined) {
    print_mistakes(&options.file, &report.mistakes);
    for failure in &report.failures {
        eprintln!("{}:{failure}", options.file.display());
    }
    let (green, plain) = if std::io::stdout().is_terminal() { ("\x1b[32m", "\x1b[0m") } else { ("", "") };
    if report.ok {
        let warnings = report.mistakes.len();
        let note = if warnings > 0 { format!(",{warnings} 处提醒") } else { String::new() };
        println!("{green}通过{plain}:{} 可以用,{} 个测试都对{note}", options.file.display(), report.tests);
    } else {
        println!("没有通过:{} 处错误,{} 处测试不对", report.errors(), report.failures.len());
    }
}
