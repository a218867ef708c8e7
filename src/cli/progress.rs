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
