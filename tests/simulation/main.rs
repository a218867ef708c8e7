//! Whole worlds from a seed: everything arrives late, twice, in the wrong order or not at all, the process crashes, the disk fails, the
//! clock jumps and WeCom has its moods — and the books are right, and nobody who asked is left without an answer.
//!
//! `JIFEN_SEEDS=1000` lives more seeds, `JIFEN_SIM_SEED=17` lives one and prints its trace, `JIFEN_SIM_STEPS=40` cuts it off after so many
//! arrivals.

mod naive;

mod checks;
mod disk;
mod found;
mod process;
mod rng;
mod simulation;
mod tally;
mod wecom;
mod world;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::live;
use tally::Tally;

/// Seeds of an ordinary run: some tens of seconds on two cores in a debug build.
const SEEDS: u64 = 60;
/// Lines of a failed seed's trace that are shown; `JIFEN_SIM_SEED` shows all.
const TRACE_LINES: usize = 40;

fn told<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// What became of a seed.
#[derive(Default)]
struct Life {
    /// The claim it breaks, if it does.
    broken: Option<String>,
    trace: Vec<String>,
    tally: Tally,
}

fn lived(seed: u64, arrivals_max: usize) -> Life {
    let Ok(past) = catch_unwind(AssertUnwindSafe(|| live(seed, arrivals_max))) else {
        return Life { broken: Some("it panicked; the panic is above".into()), ..Life::default() };
    };
    let (broken, tally) = match checks::Books::read(&past) {
        Ok(books) => (checks::CHECKS.iter().find_map(|(claim, check)| check(&books).err().map(|why| format!("not so: {claim}: {why}"))), tally::tally(&books)),
        Err(why) => (Some(format!("the books cannot be read: {why}")), Tally::new()),
    };
    Life { broken, trace: past.trace.lines, tally }
}

/// How to see a failed seed again, and the end of what happened.
fn report(seed: u64, why: &str, trace: &[String], lines_max: usize) -> String {
    let shown = &trace[trace.len().saturating_sub(lines_max)..];
    format!("JIFEN_SIM_SEED={seed} cargo test --test simulation every_seed\n  {why}\n  {}", shown.join("\n  "))
}

/// Lives these seeds on all cores; the reports of those that fail, and what happened in all.
fn live_all(seeds: Range<u64>, arrivals_max: usize) -> (Vec<String>, Tally) {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new((Vec::new(), Tally::new())));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let life = lived(seed, arrivals_max);
            let (failures, tally) = &mut *sum.lock().expect("no panic");
            failures.extend(life.broken.map(|why| report(seed, &why, &life.trace, TRACE_LINES)));
            life.tally.into_iter().for_each(|(what, times)| *tally.entry(what).or_default() += times);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    sum.into_inner().expect("no panic")
}

#[test]
fn every_seed_keeps_its_books_and_its_word() {
    let arrivals_max = told("JIFEN_SIM_STEPS").unwrap_or(usize::MAX);
    if let Some(seed) = told("JIFEN_SIM_SEED") {
        let life = lived(seed, arrivals_max);
        println!("{}\n{:#?}", report(seed, life.broken.as_deref().unwrap_or("it holds"), &life.trace, usize::MAX), life.tally);
        assert_eq!(life.broken, None, "seed {seed}");
        return;
    }
    let (first, seeds) = (told("JIFEN_SIM_FIRST").unwrap_or(0), told("JIFEN_SEEDS").unwrap_or(SEEDS));
    let (failures, tally) = live_all(first..first + seeds, arrivals_max);
    println!("{seeds} seeds: {tally:#?}");
    assert!(failures.is_empty(), "{} of {seeds} seeds failed:\n{}", failures.len(), failures.join("\n\n"));
    assert!(seeds < SEEDS || tally::missing(&tally).is_empty(), "too quiet a life: {:?} never happened", tally::missing(&tally));
}

#[test]
fn the_same_seed_is_the_same_world() {
    for seed in [1, 5, 8] {
        let (one, other) = (live(seed, usize::MAX).trace, live(seed, usize::MAX).trace);
        let parting = one.lines.iter().zip(&other.lines).find(|(one, other)| one != other);
        assert_eq!(parting, None, "seed {seed}");
        assert_eq!(one.hash(), other.hash(), "seed {seed}");
    }
}
