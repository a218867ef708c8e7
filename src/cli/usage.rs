//! What is said of a wrong command line, in Chinese and in one place: clap finds what is wrong, we say it.

use std::error::Error as _;
use std::num::{IntErrorKind, ParseIntError};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Error};

use super::{Cli, DONE, USAGE};

/// Says what is wrong, or gives the help that was asked for, and how the process is to end.
pub fn told(error: &Error) -> ExitCode {
    match sentence(error) {
        Some(text) => {
            eprintln!("错误:{text}");
            ExitCode::from(USAGE)
        }
        None => {
            // A closed terminal is nobody to tell.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { USAGE } else { DONE })
        }
    }
}

/// What is wrong and what to do; `None` for a help text and what has no Chinese here.
fn sentence(error: &Error) -> Option<String> {
    let (arg, value) = (text(error, ContextKind::InvalidArg), text(error, ContextKind::InvalidValue));
    let what = match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => format!("{arg} 后面没有写值{}", choices(error, ContextKind::ValidValue)),
        ErrorKind::InvalidValue => format!("{arg} 不能是「{value}」{}", choices(error, ContextKind::ValidValue)),
        ErrorKind::ValueValidation => format!("{arg} 不能是「{value}」:{}", why(error)?),
        ErrorKind::UnknownArgument if arg.parse::<i64>().is_ok() => format!("这里不能写负数:{arg}"),
        ErrorKind::UnknownArgument => format!("没有 {arg} 这个参数{}", suggestion(error, ContextKind::SuggestedArg)),
        ErrorKind::InvalidSubcommand => {
            let verb = text(error, ContextKind::InvalidSubcommand);
            let below = match below(&verb) {
                none if none.is_empty() => suggestion(error, ContextKind::SuggestedSubcommand),
                some => format!(",是不是 {some}"),
            };
            format!("没有 {verb} 这个命令{below}")
        }
        ErrorKind::MissingRequiredArgument => format!("还要写 {arg}"),
        ErrorKind::MissingSubcommand => format!("还要写做什么{}", choices(error, ContextKind::ValidSubcommand)),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            other if other.is_empty() || other == arg => format!("{arg} 只能写一次"),
            other => format!("{arg} 和 {other} 不能一起写"),
        },
        ErrorKind::TooManyValues | ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => format!("{arg} 后面写的个数不对"),
        ErrorKind::NoEquals => format!("{arg} 和它的值之间要写等号"),
        ErrorKind::InvalidUtf8 => "命令行里有不是 UTF-8 的文字".to_owned(),
        _ => return None,
    };
    Some(format!("{what}。用法和例子:在命令后面加 --help"))
}

/// Why a value is not one. Our own parsers say it in Chinese; numbers are read by Rust's.
fn why(error: &Error) -> Option<String> {
    let source = error.source()?;
    let Some(number) = source.downcast_ref::<ParseIntError>() else { return Some(source.to_string()) };
    Some(match number.kind() {
        IntErrorKind::PosOverflow => "这个数太大了".to_owned(),
        IntErrorKind::NegOverflow => "这个数太小了".to_owned(),
        IntErrorKind::Empty => "要写一个整数".to_owned(),
        _ => "要写整数,例如 12".to_owned(),
    })
}

fn text(error: &Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join("、"),
        _ => String::new(),
    }
}

fn choices(error: &Error, kind: ContextKind) -> String {
    match text(error, kind) {
        none if none.is_empty() => String::new(),
        some => format!(",可以是:{some}"),
    }
}

/// The verbs that have an act of this name, as one types them: `jifen rules rollback`.
fn below(name: &str) -> String {
    let cli = Cli::command();
    let having = cli.get_subcommands().filter(|verb| verb.find_subcommand(name).is_some());
    having.map(|verb| format!("jifen {} {name}", verb.get_name())).collect::<Vec<_>>().join(" 或 ")
}

fn suggestion(error: &Error, kind: ContextKind) -> String {
    match text(error, kind) {
        none if none.is_empty() => String::new(),
        some => format!(",是不是 {some}"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(args: &[&str]) -> String {
        sentence(&Cli::try_parse_from([&["jifen"], args].concat()).unwrap_err()).unwrap_or_default()
    }

    #[test]
    fn a_step_without_its_verb_is_told_whose_it_is() {
        assert!(said(&["rollback"]).starts_with("没有 rollback 这个命令,是不是 jifen rules rollback。"));
        assert!(said(&["diff"]).contains("是不是 jifen rules diff。"));
    }

    #[test]
    fn wrong_values_are_told_in_chinese() {
        for (args, says) in [
            (&["outbox", "drop", "abc"][..], "不能是「abc」:要写整数"),
            (&["outbox", "retry", "99999999999999999999"], "这个数太大了"),
            (&["outbox", "list", "--limit", "-3"], "不能写负数:-3"),
            (&["outbox", "list", "--state", "gone"], "可以是:waiting、sending、sent、refused、unknown、expired、suppressed"),
            (&["outbox", "list", "--since", "gestern"], "「gestern」不是时长"),
            (&["check", "--format", "yaml"], "可以是:"),
            (&["fly"], "没有 fly 这个命令"),
            (&["serve", "--lisen", "x"], "是不是 --listen"),
            (&["explain"], "还要写"),
            (&["outbox", "drop", "1", "--older-than", "5m"], "不能一起写"),
        ] {
            let told = said(args);
            assert!(told.contains(says), "{args:?}: {told}");
            let english = told.split_ascii_whitespace().filter(|word| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_lowercase())).count();
            assert!(english < 3, "{args:?}: {told}");
        }
    }

    #[test]
    fn help_is_no_mistake() {
        assert_eq!(said(&["--help"]), "");
        assert_eq!(said(&["outbox", "list", "--help"]), "");
    }
}
