//! How many durable callbacks a second: `cargo bench --bench callbacks`, or `-- --help` for its settings.
//!
//! Seals callbacks of a self-built app with our own envelope, starts `jifen serve` in a directory of its own, sends each callback
//! once over keep-alive connections, and afterwards asks the ledger whether everything is there. Load and server share the
//! machine. The API address is dead, so that every answer owed waits in the outbox, as on a bad day.

mod daemon;
mod load;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use jifen::store::Reader;

use crate::daemon::Daemon;
use crate::load::{Latencies, Plan};

#[derive(Debug, Parser)]
struct Options {
    /// Callbacks to send.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// Callbacks sent before the clock runs.
    #[arg(long, default_value_t = 2_000)]
    warm_up: usize,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Different members; as many as messages unless told.
    #[arg(long)]
    members: Option<usize>,
    /// Of a hundred messages so many are 签到, the others chatter.
    #[arg(long, default_value_t = 30)]
    hits: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let total = options.messages + options.warm_up;
    let plan = Plan { messages: total, members: options.members.unwrap_or(total).max(1), hits: options.hits.min(100) };
    eprintln!("sealing {total} callbacks …");
    let requests = Arc::new(load::requests(&plan));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let daemon = Daemon::start()?;
    println!("ready      {:>10.0} ms after the start of the process", daemon.ready_after.as_secs_f64() * 1e3);
    println!("idle       {:>10.1} MiB", daemon.memory("VmRSS:")?);
    runtime.block_on(load::fire(daemon.address, &requests, 0..options.warm_up, options.connections))?;
    let (took, latencies) = runtime.block_on(load::fire(daemon.address, &requests, options.warm_up..total, options.connections))?;
    report(options.messages, took, &latencies);
    println!("peak       {:>10.1} MiB", daemon.memory("VmHWM:")?);
    let reader = daemon.stop()?;
    let head = reader.head()?;
    println!("ledger     {:>10} events, {} postings", head.event, head.posting);
    ensure!(head.event.0 == total as i64, "{total} callbacks were answered 200, but the journal has {} events", head.event);
    ensure!(head.posting.0 == plan.check_ins() as i64, "{} check-ins should have been paid, not {}", plan.check_ins(), head.posting);
    Ok(())
}

fn report(count: usize, took: Duration, latencies: &Latencies) {
    println!("throughput {:>10.0} callbacks/s", count as f64 / took.as_secs_f64());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        println!("{name:<10} {:>10.2} ms", latencies.percentile(share).as_secs_f64() * 1e3);
    }
}
