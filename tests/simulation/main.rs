//! Whole worlds from a seed: everything arrives late, twice, in the wrong order or not at all, the process crashes, the disk fails, the
//! clock jumps and WeCom has its moods — and the books are right, and nobody who asked is left without an answer.
//!
//! `JIFEN_SEEDS=1000` lives more seeds, `JIFEN_SIM_SEED=17` lives one and prints its trace, `JIFEN_SIM_STEPS=40` cuts it off after so many
//! arrivals.

#[path = "../common/naive.rs"]
mod naive;

mod checks;
mod disk;
mod process;
mod rng;
mod simulation;
mod wecom;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Past, live};

/// Seeds of an ordinary run: some tens of seconds on two cores in a debug build.
const SEEDS: u64 = 60;
/// Lines of a failed seed's trace that are shown; `JIFEN_SIM_SEED` shows all.
const TRACE_LINES: usize = 40;

fn told<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Lives a seed and says which claim it breaks.
fn broken(seed: u64, arrivals_max: usize) -> (Option<String>, Option<Past>) {
    let lived = catch_unwind(AssertUnwindSafe(|| live(seed, arrivals_max)));
    let Ok(past) = lived else { return (Some("it panicked; the panic is above".into()), None) };
    let broken = match checks::Books::read(&past) {
        Ok(books) => checks::CHECKS.iter().find_map(|(claim, check)| check(&books).err().map(|why| format!("not so: {claim}: {why}"))),
        Err(why) => Some(format!("the books cannot be read: {why}")),
    };
    (broken, Some(past))
}

/// How to see a failed seed again, and the end of what happened.
fn report(seed: u64, why: &str, past: Option<&Past>, lines_max: usize) -> String {
    let lines = past.map_or(&[][..], |past| &past.trace.lines);
    let shown = &lines[lines.len().saturating_sub(lines_max)..];
    format!("JIFEN_SIM_SEED={seed} cargo test --test simulation every_seed\n  {why}\n  {}", shown.join("\n  "))
}

#[test]
fn every_seed_keeps_its_books_and_its_word() {
    let arrivals_max = told("JIFEN_SIM_STEPS").unwrap_or(usize::MAX);
    if let Some(seed) = told("JIFEN_SIM_SEED") {
        let (why, past) = broken(seed, arrivals_max);
        println!("{}", report(seed, why.as_deref().unwrap_or("it holds"), past.as_ref(), usize::MAX));
        assert_eq!(why, None, "seed {seed}");
        return;
    }
    let (first, seeds) = (told("JIFEN_SIM_FIRST").unwrap_or(0), told("JIFEN_SEEDS").unwrap_or(SEEDS));
    let (next, failures) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    if let (Some(why), past) = broken(seed, arrivals_max) {
                        failures.lock().expect("no panic").push(report(seed, &why, past.as_ref(), TRACE_LINES));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {seeds} seeds failed:\n{}", failures.len(), failures.join("\n\n"));
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
