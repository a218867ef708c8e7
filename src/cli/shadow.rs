//! `jifen shadow`: what rules on trial would have paid.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::workspace::Workspace;
use super::{DONE, FINDING, Where};
use crate::clock::Clock;
use crate::shadow::{Request, Trial, trials};

#[derive(Debug, Args)]
#[command(after_help = "例子:
  jifen shadow
  jifen shadow --days 30 --rule speaking.evening
  jifen shadow --format json

规则或整个活动里写 mode = \"shadow\" 就是试运行:照样判定,但不记分、不回复,成员看不出来。
要正式开始,把 mode 删掉或改成 \"live\";从那一刻起才记分,上限也从零算起,试运行期间的不补。可以在 serve 运行时执行。")]
pub struct Options {
    #[command(flatten)]
    place: Where,
    /// 规则文件 (默认:配置里的 rules,或 rules.toml)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// 最近几天,今天也算
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(i32).range(1..=3660))]
    days: i32,
    /// 只看一条规则:全名如 speaking.evening,或名称如 晚间发言
    #[arg(long, value_name = "CODE")]
    rule: Option<String>,
    /// 格式
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub fn run(options: Options) -> Result<u8> {
    let workspace = Workspace::open(&options.place)?;
    let (reader, rules) = (workspace.reader()?, workspace.rules(options.rules.as_deref())?);
    let request = Request { now: Clock::default().now(), days: options.days, rule: options.rule.map(|rule| rule.trim().to_owned()) };
    let trials = trials(&reader, &rules, &request)?;
    let mut out = stdout().lock();
    match options.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&trials)?)?,
        Format::Text => tell(&trials, &request, &mut out)?,
    }
    Ok(if trials.is_empty() && request.rule.is_some() { FINDING } else { DONE })
}

fn tell(trials: &[Trial], request: &Request, out: &mut dyn Write) -> std::io::Result<()> {
    match (trials, &request.rule) {
        ([], Some(rule)) => writeln!(out, "「{rule}」最近 {} 天没有试运行。在规则里写 mode = \"shadow\",它就只试算", request.days),
        ([], None) => writeln!(out, "最近 {} 天没有规则试运行。在规则或活动里写 mode = \"shadow\",它就只试算,不记分、不回复", request.days),
        (trials, _) => {
            writeln!(out, "试运行,最近 {} 天:只试算,没有记分,也没有回复", request.days)?;
            trials.iter().try_for_each(|trial| tell_trial(trial, out))
        }
    }
}

fn tell_trial(trial: &Trial, out: &mut dyn Write) -> std::io::Result<()> {
    let Trial { title, rule, campaign, points, points_name, payments, members, .. } = trial;
    writeln!(out, "\n{title}({rule}),活动 {campaign}")?;
    if trial.days.is_empty() {
        let since = trial.since.as_deref().and_then(|since| since.get(5..16)).map(|since| since.replace('T', " "));
        let added = since.map_or_else(|| "这几天".to_owned(), |since| format!("{since} 才开始试运行,"));
        writeln!(out, "  {added}还没有消息碰到它;想现在就知道会发多少,用 jifen backtest --rules rules.toml")?;
    } else {
        let yuan = trial.yuan.as_ref().map_or(String::new(), |yuan| format!("(约 {yuan} 元)"));
        writeln!(out, "  会发 {points} {points_name}{yuan}:{payments} 次,{members} 人")?;
        let days: Vec<String> = trial.days.iter().map(|day| format!("{} {}({} 次)", day.day.strftime("%m-%d"), day.points, day.payments)).collect();
        writeln!(out, "  每天:{}", days.join("、"))?;
    }
    if !trial.top.is_empty() {
        let top: Vec<String> = trial.top.iter().map(|top| format!("{} {}", top.name.as_deref().unwrap_or(&top.member), top.points)).collect();
        writeln!(out, "  最多的人:{}", top.join("、"))?;
    }
    if !trial.refused.is_empty() {
        let refused: Vec<String> = trial.refused.iter().map(|refused| format!("{} {} 次", refused.reason, refused.times)).collect();
        writeln!(out, "  没得分:{}", refused.join("、"))?;
    }
    match (trial.mode, trial.by_campaign) {
        ("shadow", true) => writeln!(out, "  要正式开始:把 [campaign.{campaign}] 里的 mode 删掉或改成 \"live\",保存就生效;之前的不补"),
        ("shadow", false) => writeln!(out, "  要正式开始:把 [{rule}] 里的 mode 删掉或改成 \"live\",保存就生效;之前的不补"),
        ("live", _) => writeln!(out, "  现在已经正式计分"),
        ("off", _) => writeln!(out, "  现在停用着"),
        (_, _) => writeln!(out, "  rules.toml 里已经没有它了"),
    }
}
