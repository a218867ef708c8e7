//! `jifen check`: all mistakes of a rules.toml at once, with what they can cost, then its `[[test]]`s; and what each of them means.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::workspace::print_mistakes;
use super::{DONE, FINDING};
use crate::gate::{self, Examined};
use crate::rules::file;
use crate::rules::fit::did_you_mean;
use crate::rules::lint::codes::{self, Code};
use crate::rules::mistake::Severity;

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen check                         检查当前目录的 rules.toml
  jifen check 新规则.toml --format json
  jifen check --resolved              每个活动实际生效的规则,继承的和默认的都写出来
  jifen check --explain no-cap        某一种提醒是什么意思、怎么改
  jifen check --list                  所有的错误和提醒

每处一行:文件:行:列: error[代码]: 说明。花钱的还会写最坏一天要花多少。只有提醒(warning)时退出码是 0,有错误或测试不通过是 1。
确实要这样的提醒,在那张表或那个键的上一行写明理由放行:# jifen: allow(no-cap) 内部测试群,不限")]
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
    /// 解释一种错误或提醒:方括号里的代码,如 no-cap
    #[arg(long, value_name = "CODE", conflicts_with_all = ["resolved", "list"])]
    explain: Option<String>,
    /// 列出所有的错误和提醒
    #[arg(long, conflicts_with = "resolved")]
    list: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(options: Options) -> Result<u8> {
    if let Some(code) = &options.explain {
        return explain(code, options.format);
    }
    if options.list {
        return list(options.format);
    }
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

/// As it is told to programs.
#[derive(Serialize)]
struct Explained {
    code: &'static str,
    severity: Severity,
    can_be_allowed: bool,
    title: &'static str,
    text: &'static str,
    bad: &'static str,
    good: &'static str,
}

fn explained(code: &Code) -> Explained {
    let (title, text) = code.zh;
    Explained { code: code.code, severity: code.severity, can_be_allowed: code.can_be_allowed(), title, text, bad: code.bad, good: code.good }
}

fn explain(asked: &str, format: Format) -> Result<u8> {
    let Some(code) = codes::find(asked.trim().trim_matches(['[', ']'])) else {
        let known: Vec<&str> = codes::all().map(|code| code.code).collect();
        bail!("没有「{asked}」这种提醒{};全部的看 jifen check --list", did_you_mean(asked, &known));
    };
    if format == Format::Json {
        println!("{}", serde_json::to_string_pretty(&explained(code))?);
        return Ok(DONE);
    }
    let (title, text) = code.zh;
    println!("{}:{title}({})\n\n{text}", code.code, code.weight());
    if !code.bad.is_empty() {
        println!("\n这样写会说:\n\n{}\n这样写就好:\n\n{}", indented(code.bad), indented(code.good));
    }
    if code.can_be_allowed() {
        println!("确实要这样,就在那张表或那个键的上一行写明理由:\n\n    # jifen: allow({}) 为什么", code.code);
    }
    Ok(DONE)
}

fn indented(example: &str) -> String {
    example.lines().map(|line| format!("    {line}\n")).collect()
}

fn list(format: Format) -> Result<u8> {
    if format == Format::Json {
        println!("{}", serde_json::to_string_pretty(&codes::all().map(explained).collect::<Vec<_>>())?);
        return Ok(DONE);
    }
    let widest = codes::all().map(|code| code.code.len()).max().unwrap_or(0);
    for code in codes::all() {
        println!("{:<widest$}  {:<7}  {}", code.code, code.severity.as_str(), code.zh.0);
    }
    Ok(DONE)
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
        if report.only_points_differ() {
            println!("分数是有意改的,就把 [[test]] 里的得数一起改;不是,就改规则");
        }
    }
}
