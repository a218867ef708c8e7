//! How far a long verb is, on a terminal; and the proof that several verbs ask for.

use std::io::IsTerminal;

use anyhow::Result;

use crate::store::Reader;
use crate::verify::{Progress, Report, verify as prove};

/// Tells copied pages.
pub fn pages(done: &str) -> impl FnMut(i32, i32) {
    let is_terminal = std::io::stderr().is_terminal();
    move |left, all| {
        if is_terminal && all > 0 {
            eprint!("\r{done} {} / {all} 页 ", all - left);
        }
        if is_terminal && left == 0 {
            eprintln!();
        }
    }
}

/// Squares of a progress bar.
const BAR: u64 = 24;

/// Tells how many events are behind; gone when all are.
pub fn events(doing: &str) -> impl FnMut(u64, u64) {
    let is_terminal = std::io::stderr().is_terminal();
    move |done, all| {
        if !is_terminal || all == 0 {
            return;
        }
        let full = (BAR * done.min(all) / all) as usize;
        eprint!("\r{doing} {}{} {done} / {all} ", "█".repeat(full), "░".repeat(BAR as usize - full));
        if done >= all {
            eprint!("\r\x1b[K");
        }
    }
}

/// Whether stdout shows colours: a terminal whose user did not ask for none (<https://no-color.org>).
pub fn is_coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Proves a whole store, telling how far it is.
pub fn verify(reader: &dyn Reader) -> Result<Report> {
    let is_terminal = std::io::stderr().is_terminal();
    let mut progress = |progress: Progress| {
        if is_terminal {
            eprint!("\r核对第 {} / {} 遍,{} / {} ", progress.pass, progress.passes, progress.event, progress.last);
        }
    };
    let report = prove(reader, &mut progress)?;
    if is_terminal {
        eprintln!();
    }
    Ok(report)
}

/// Tells postings read.
pub fn postings() -> impl FnMut(i64, i64) {
    let is_terminal = std::io::stderr().is_terminal();
    move |done, all| {
        if is_terminal {
            eprint!("\r已读 {done} / {all} 笔 ");
        }
        if is_terminal && done >= all {
            eprintln!();
        }
    }
}

/// What is wrong, a line each.
pub fn print_findings(report: &Report) {
    for finding in &report.findings {
        println!("{finding}");
    }
}
