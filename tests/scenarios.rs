//! Plays the scenario files: the specification of each kind of rule that an operator can read. Their head says how they are written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::rules::testing::{TestLine, parse_line};
use jifen::scenario::{Stage, usual_group};

/// The year of dates that name none, as in `[[test]]`.
const YEAR: i16 = 2026;

/// One section of a file.
#[derive(Default)]
struct Section {
    title: String,
    toml: Option<String>,
    chat: Option<(usize, String)>,
    ledger: Option<String>,
    replies: Option<String>,
}

fn sections(text: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let mut block: Option<(String, usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        match &mut block {
            Some((kind, begins, body)) if line.trim_end() == "```" => {
                let section = sections.last_mut().expect("never empty");
                match kind.as_str() {
                    "toml" => section.toml = Some(body.clone()),
                    "chat" => section.chat = Some((*begins, body.clone())),
                    "ledger" => section.ledger = Some(body.clone()),
                    "replies" => section.replies = Some(body.clone()),
                    other => panic!("line {begins}: a block of unknown kind {other}"),
                }
                block = None;
            }
            Some((_, _, body)) => *body += &format!("{line}\n"),
            None if line.starts_with("```") => block = Some((line.trim_start_matches('`').trim().to_owned(), number + 2, String::new())),
            None if line.starts_with("## ") => sections.push(Section { title: line[3..].to_owned(), ..Section::default() }),
            None => {}
        }
    }
    sections
}

fn play(path: &Path) -> usize {
    let text = fs::read_to_string(path).expect("readable");
    let text = text.split_once("-->").map_or(text.as_str(), |(_, rest)| rest);
    let offset = fs::read_to_string(path).expect("readable").lines().count() - text.lines().count();
    let (mut rules, mut played) = (None, 0);
    for section in sections(text) {
        if let Some(toml) = &section.toml {
            let (loaded, _) = file::load(toml).unwrap_or_else(|mistakes| panic!("{}: {}: {mistakes:#?}", path.display(), section.title));
            rules = Some(Arc::new(loaded));
        }
        let Some((begins, chat)) = &section.chat else { continue };
        let rules = rules.as_ref().unwrap_or_else(|| panic!("{}: {}: no toml block above", path.display(), section.title));
        played += 1;
        check(&format!("{} «{}»", path.display(), section.title), rules, &section, *begins + offset, chat);
    }
    played
}

fn check(name: &str, rules: &Arc<Rules>, section: &Section, begins: usize, chat: &str) {
    let written = chat.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let lines: Vec<TestLine> =
        written.flat_map(|(at, line)| parse_line(line, YEAR, begins + at).unwrap_or_else(|error| panic!("{name}: line {}: {error}", begins + at))).collect();
    let played = Stage::new(rules).play_all(name, &lines, &usual_group(rules), YEAR).expect("memory never fails");
    let failures: Vec<String> = played.failures.iter().map(|failure| failure.to_string()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    compare(name, "ledger", section.ledger.as_deref(), &played.ledger.join("\n"));
    compare(name, "replies", section.replies.as_deref(), &played.replies.join("\n"));
}

fn compare(name: &str, what: &str, expected: Option<&str>, actual: &str) {
    let Some(expected) = expected else { return };
    assert_eq!(expected.trim(), actual.trim(), "{name}: the {what} block (left) is not what came out (right)");
}

#[test]
fn every_scenario_file_comes_out_as_it_says() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(paths.len() >= 3);
    for path in paths {
        assert!(play(&path) > 0, "{}: nothing was played", path.display());
    }
}

#[test]
fn the_shipped_rules_pass_their_own_tests() {
    let text = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules.toml")).expect("readable");
    let (rules, warnings) = file::load(&text).expect("it loads");
    assert!(warnings.is_empty() && !rules.tests.is_empty());
    let rules = Arc::new(rules);
    let failures: Vec<_> = rules.tests.iter().flat_map(|test| jifen::scenario::run(&rules, test)).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
