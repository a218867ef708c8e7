//! The command line: one verb a file. Exit codes: 0 done, 1 a finding, 2 wrong usage, settings or database, 70 a bug of ours, 75 stopped by the disk.

mod workspace;
mod progress;
mod usage;
mod backtest;
mod backup;
mod budget;
mod columns;
mod plan;
mod liability;
mod init;
mod schema;
mod check;
mod demo;
mod explain;
mod grant;
mod export;
mod import;
mod merge;
mod outbox;
mod replay;
mod restore;
mod reinstate;
mod retry;
mod rules;
mod serve;
mod shadow;
mod statement;
mod r#try;
mod verify;

use std::io::{self, ErrorKind, IsTerminal};
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Done.
pub const DONE: u8 = 0;
/// A finding: a mistake in the file, a broken invariant, a message that is not there.
pub const FINDING: u8 = 1;
/// Wrong usage or settings.
pub const USAGE: u8 = 2;
/// Our own mistake stopped the writer; nothing that was answered is lost (`EX_SOFTWARE` of sysexits.h).
pub const BUG: u8 = 70;
/// The disk failed, or the database was damaged or taken away under the daemon; start again: nothing answered is lost, or the start
/// says what is (`EX_TEMPFAIL` of sysexits.h).
pub const DISK: u8 = 75;

#[derive(Debug, Parser)]
#[command(name = "jifen", version, about = "企业微信群的积分系统:签到、发言得分,可查、可证、可换", after_help = MAIN_EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const MAIN_EXAMPLES: &str = "例子:
  jifen demo                       在这台机器上跑一个完整的演示,不需要任何密钥
  jifen check rules.toml           检查规则文件,跑里面的 [[test]]
  jifen serve --config jifen.toml  正式运行

退出码:0 正常 · 1 有发现(文件有错、账不平、查无此消息)· 2 用法或配置不对 · 70 程序出错而停,请再启动 · 75 磁盘出错或数据库被动过,请再启动";

#[derive(Debug, Subcommand)]
enum Verb {
    /// 演示:进程里自带一个企业微信,打开网页就能聊、能得分
    Demo(demo::Options),
    /// 正式运行:接收回调,记分,回复
    Serve(serve::Options),
    /// 检查 rules.toml:一次说出所有错误,并跑其中的 [[test]]
    Check(check::Options),
    /// 规则的版本:什么时候改过、改了什么,退回旧的
    Rules(rules::Options),
    /// 回测:拿记下来的真实消息,看换一份规则会多发、少发多少
    Backtest(backtest::Options),
    /// 把历史事件(每行一个 JSON)重新走一遍,补记积分;重复执行不会重复记
    Replay(replay::Options),
    /// 试一句话:现在说,会得多少分、怎么回复;什么也不写
    Try(r#try::Options),
    /// 说明某一条消息为什么得分、为什么没得分
    Explain(explain::Options),
    /// 补判:把没能判定的消息再判一次,按它自己的时间记分
    Retry(retry::Options),
    /// 发件箱:看回复发没发出去、为什么,再发,丢弃,放开
    Outbox(outbox::Options),
    /// 导入:别的工具里已有的积分,作为期初余额
    Import(import::Options),
    /// 合并:两个编号是同一个人,把积分、连签、累计并到一起,可以撤销
    Merge(merge::Options),
    /// 撤销一次合并
    Unmerge(merge::UndoOptions),
    /// 对账单:一个成员的每笔记账和余额,可以看过去某一天的
    Statement(statement::Options),
    /// 导出积分账户或流水
    Export(export::Options),
    /// 从流水重新算一遍,核对余额、名次、哈希链;有错就指出第一处
    Verify(verify::Options),
    /// 人工加分、扣分:一笔,或一个文件;整批收回
    Grant(grant::Options),
    /// 预算还剩多少
    Budget(budget::Options),
    /// 定价:每样商品多少人换得到,价格怎么定
    Plan(plan::Options),
    /// 没用的积分值多少元,以后几个月会有多少
    Liability(liability::Options),
    /// 新建 rules.toml:答六个问题,或用现成的预设
    Init(init::Options),
    /// 打印 rules.toml 的 JSON Schema,编辑器补全用
    Schema(schema::Options),
    /// 批准另一位管理员提的加分、扣分
    Approve(grant::ReviewOptions),
    /// 驳回另一位管理员提的加分、扣分
    Reject(grant::ReviewOptions),
    /// 备份数据库:在 serve 运行时执行,查过、核对过才算数
    Backup(backup::Options),
    /// 用备份恢复数据库:先查清楚再替换,原来的留在旁边
    Restore(restore::Options),
    /// 试运行的规则(mode = "shadow")这几天会发多少分
    Shadow(shadow::Options),
    /// 恢复过期的积分:回到原来的批次,已过期的再给几天
    Reinstate(reinstate::Options),
}

/// Whoever read what we print went away (`jifen … | head`): 128 + SIGPIPE, as of any tool of Unix.
const UNHEARD: u8 = 141;

/// Where the data is: shared by the verbs that open the database.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// 配置文件 (默认:当前目录的 jifen.toml,若有)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// 数据库,例如 sqlite:jifen.db;覆盖配置文件里的 database
    #[arg(long, value_name = "URL")]
    pub database: Option<String>,
}

/// Parses the command line, does the verb, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::told(&error),
    };
    if !matches!(cli.verb, Verb::Serve(_) | Verb::Demo(_)) {
        end_quietly_unheard();
    }
    let result = match cli.verb {
        Verb::Demo(options) => demo::run(options),
        Verb::Serve(options) => serve::run(options),
        Verb::Check(options) => check::run(options),
        Verb::Rules(options) => rules::run(options),
        Verb::Backtest(options) => backtest::run(options),
        Verb::Replay(options) => replay::run(options),
        Verb::Try(options) => r#try::run(options),
        Verb::Explain(options) => explain::run(options),
        Verb::Retry(options) => retry::run(options),
        Verb::Outbox(options) => outbox::run(options),
        Verb::Import(options) => import::run(options),
        Verb::Merge(options) => merge::run(options),
        Verb::Unmerge(options) => merge::undo(options),
        Verb::Statement(options) => statement::run(options),
        Verb::Export(options) => export::run(options),
        Verb::Verify(options) => verify::run(options),
        Verb::Grant(options) => grant::run(options),
        Verb::Budget(options) => budget::run(options),
        Verb::Plan(options) => plan::run(options),
        Verb::Liability(options) => liability::run(options),
        Verb::Init(options) => init::run(options),
        Verb::Schema(options) => schema::run(options),
        Verb::Approve(options) => grant::approve(options),
        Verb::Reject(options) => grant::reject(options),
        Verb::Backup(options) => backup::run(options),
        Verb::Restore(options) => restore::run(options),
        Verb::Shadow(options) => shadow::run(options),
        Verb::Reinstate(options) => reinstate::run(options),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) if error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)) => {
            ExitCode::from(UNHEARD)
        }
        Err(error) => {
            let label = if std::io::stderr().is_terminal() { "\x1b[31m错误\x1b[0m" } else { "错误" };
            eprintln!("{label}:{error:#}");
            ExitCode::from(USAGE)
        }
    }
}

/// Ends a verb without a word where nobody reads any more: `println!` panics then. A daemon goes on.
fn end_quietly_unheard() {
    let told = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|why| why.starts_with("failed printing to std") && why.contains("Broken pipe")) {
            std::process::exit(UNHEARD.into());
        }
        told(panic);
    }));
}
