//! Guards the house: layers, purity, first lines, and what every kind of rule must bring.

use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules by layer; a module may import only modules of a layer below its own.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["demo"],
    &["app"],
    &["keeper"],
    &["gate", "trial"],
    &["web", "archive", "scenario", "replay", "grants", "import", "statement", "verify", "export", "explain", "reinstate", "backtest", "plan", "shadow"],
    &["scheduler"],
    &["pipeline", "outbox"],
    &["rules", "store", "wecom", "settings", "clock", "line", "picture"],
    &["model"],
    &["failpoint"],
];

/// What `rules/` and `model/` must not name: they decide, and deciding is a function.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::time::",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "rusqlite",
    "tokio",
    "reqwest",
    "thread_rng",
    "SystemRandom",
];

/// A file longer than this should be split along a concept.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let sources: Vec<(String, String)> = files(&src, ".rs")
        .into_iter()
        .map(|path| (path.strip_prefix(&src).expect("inside src").to_string_lossy().into_owned(), fs::read_to_string(&path).expect("readable")))
        .collect();
    assert!(sources.len() > 40, "the walk found only {} files", sources.len());
    sources
}

/// Whether a file is a module of its folder's tests only.
fn is_for_tests(path: &str) -> bool {
    let path = root().join("src").join(path);
    let (Some(name), Some(folder)) = (path.file_stem(), path.parent()) else { return false };
    let declared = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let name = name.to_string_lossy();
    ["mod", "pub mod", "pub(super) mod"].iter().any(|mode| declared.contains(&format!("#[cfg(test)]\n{mode} {name};")))
}

/// The part of a file before its tests.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn module(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or_default()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut paths: Vec<PathBuf> = ["src", "tests", "benches", "fuzz"].iter().flat_map(|folder| files(&root().join(folder), ".rs")).collect();
    paths.retain(|path| !path.to_string_lossy().contains("/target/"));
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.starts_with("//! "), "{}: line 1 must be `//! …`", path.display());
    }
}

#[test]
fn imports_only_point_down() {
    for (path, text) in sources() {
        let own = module(&path);
        if own == "lib" {
            continue;
        }
        let rank = layer(own).unwrap_or_else(|| panic!("src/{path}: module {own} has no place in LAYERS"));
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for part in line.split("crate::").skip(1).chain(line.split("jifen::").skip(1)) {
                let other: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(below) = layer(&other) else { continue };
                assert!(other == own || below > rank, "src/{path}:{}: {own} must not import {other}", number + 1);
            }
        }
    }
}

#[test]
fn deciding_reads_no_clock_file_socket_or_database() {
    for (path, text) in sources().into_iter().filter(|(path, _)| (path.starts_with("rules/") || path.starts_with("model/")) && !is_for_tests(path)) {
        for (number, line) in code(&text).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let named = IMPURE.iter().find(|word| line.contains(**word));
            assert!(named.is_none(), "src/{path}:{}: names {}", number + 1, named.unwrap_or(&""));
        }
    }
}

#[test]
fn no_file_outgrows_one_concept() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "src/{path}: {lines} lines; split it along a concept");
    }
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    for (path, text) in sources() {
        assert!(!text.contains("#[allow(") && !text.contains("#![allow("), "src/{path}: use #[expect(lint, reason = \"…\")]");
    }
}

#[test]
fn every_kind_of_rule_has_its_file_and_its_scenarios() {
    for kind in jifen::rules::KINDS {
        let name = kind.name;
        let places = [format!("src/rules/{name}.rs"), format!("src/rules/{name}/mod.rs")];
        assert!(places.iter().any(|place| root().join(place).exists()), "{} is missing", places[0]);
        assert!(root().join(format!("fixtures/scenarios/{name}.md")).exists(), "fixtures/scenarios/{name}.md is missing");
    }
}

#[test]
fn both_readmes_promise_the_two_commands() {
    for name in ["README.md", "README.zh-CN.md"] {
        let text = fs::read_to_string(root().join(name)).expect("readable");
        assert!(text.contains("cargo run --release -- demo") && text.contains("scripts/test"), "{name}");
    }
}
