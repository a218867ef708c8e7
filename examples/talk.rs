//! Prints made-up history for `jifen replay`: `cargo run --example talk -- --lines 200000 --members 2000 | jifen replay - --database sqlite:try.db`.

use std::io::{BufWriter, Write, stdout};

use clap::Parser;

#[path = "../tests/common/talk.rs"]
mod talk;

#[derive(Debug, Parser)]
struct Options {
    /// Lines to print.
    #[arg(long, default_value_t = 2_000)]
    lines: usize,
    /// Days they are spread over.
    #[arg(long, default_value_t = 28)]
    days: u16,
    /// Different members.
    #[arg(long, default_value_t = 40)]
    members: u64,
    /// Different groups.
    #[arg(long, default_value_t = 2)]
    groups: u64,
    /// The first day.
    #[arg(long, default_value = "2026-10-26")]
    from: jiff::civil::Date,
    /// Another number, another history.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> std::io::Result<()> {
    let Options { lines, days, members, groups, from, seed } = Options::parse();
    let plan = talk::Plan { lines, days: days.max(1), members: members.max(1), groups: groups.max(1), from, seed };
    let mut out = BufWriter::new(stdout().lock());
    for line in talk::lines(&plan) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}
