//! The gate: whether a rules.toml may go live. `jifen check`, every reload and the demo's editor ask here, so that all three say the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use crate::rules::campaign::{Campaign, Mode, Rules};
use crate::rules::edit::{Target, set_mode};
use crate::rules::file;
use crate::rules::mistake::{Mistake, Severity};
use crate::rules::testing::Test;
use crate::scenario;
use crate::scenario::failure::Failure;

/// What was found in a file.
#[derive(Debug, Clone, Serialize)]
pub struct Examined {
    /// Whether it may go live: no error, and every `[[test]]` came out.
    pub ok: bool,
    /// Errors and warnings, in the order of the file.
    pub mistakes: Vec<Mistake>,
    /// How many `[[test]]`s were run.
    pub tests: usize,
    /// What did not come out in them.
    pub failures: Vec<Failure>,
    /// The rules, where the file could be read as such; with failed tests too.
    #[serde(skip)]
    pub rules: Option<Arc<Rules>>,
}

impl Examined {
    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.severity == Severity::Error).count()
    }

    /// Whether nothing is wrong but points that the tests tell otherwise: then the tests may be what is behind.
    pub fn only_points_differ(&self) -> bool {
        self.errors() == 0 && !self.failures.is_empty() && self.failures.iter().all(Failure::is_of_points)
    }

    /// What keeps it from going live, a line for each, with its place in `file`; at most `most` lines, and how many more there are.
    pub fn obstacles(&self, file: &str, most: usize) -> Vec<String> {
        let errors = self.mistakes.iter().filter(|mistake| mistake.severity == Severity::Error).map(|mistake| mistake.in_file(file));
        let all: Vec<String> = errors.chain(self.failures.iter().map(|failure| format!("{file}:{failure}"))).collect();
        let more = all.len().saturating_sub(most);
        let more = (more > 0).then(|| format!("还有 {more} 处,用 jifen check 看全部"));
        all.into_iter().take(most).chain(more).collect()
    }
}

/// Reads a file, looks for mistakes and runs the tests in it. Never fails: what cannot even be read is a mistake like any other.
pub fn examine(bytes: &[u8]) -> Examined {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return refused(vec![not_utf8(bytes, error.valid_up_to())]),
    };
    match file::load(text) {
        Err(mistakes) => refused(mistakes),
        Ok((rules, mut warnings)) => {
            let rules = Arc::new(rules);
            warnings.extend((!has_rules(&rules)).then(no_rules));
            let failures = failures(&rules);
            Examined { ok: failures.is_empty(), mistakes: warnings, tests: rules.tests.len(), failures, rules: Some(rules) }
        }
    }
}

/// What does not come out in the tests of a file. A test that tells what a stopped rule pays still holds for it: it may come out either as
/// the rules are, or as they would be with all that is stopped on again.
fn failures(rules: &Arc<Rules>) -> Vec<Failure> {
    let run = |rules: &Arc<Rules>, test: &Test| scenario::run(rules, test);
    let mut failed: Vec<(&Test, Vec<Failure>)> = rules.tests.iter().map(|test| (test, run(rules, test))).filter(|(_, failures)| !failures.is_empty()).collect();
    if !failed.is_empty()
        && let Some(resumed) = resumed(rules)
    {
        failed.retain(|(test, _)| !run(&resumed, test).is_empty());
    }
    failed.into_iter().flat_map(|(_, failures)| failures).collect()
}

/// The same rules with what is stopped on again; `None` where nothing is.
fn resumed(rules: &Rules) -> Option<Arc<Rules>> {
    let stopped = |campaign: &Campaign| (campaign.mode == Mode::Off).then(|| campaign.id.clone());
    let campaigns: Vec<Arc<str>> = rules.campaigns.iter().filter_map(stopped).collect();
    let all = rules.campaigns.iter().flat_map(|campaign| &campaign.rules).filter(|rule| rule.common.mode == Mode::Off);
    let codes: BTreeSet<&Arc<str>> = all.map(|rule| &rule.code).collect();
    let targets = campaigns.iter().map(|id| Target::Campaign(id)).chain(codes.into_iter().map(|code| Target::Rule(code)));
    let mut text: Option<String> = None;
    for target in targets {
        // What cannot be switched on by itself stays off: it belongs to another rule, or its campaign was off.
        text = set_mode(text.as_deref().unwrap_or(&rules.text), target, Mode::Live).ok().or(text);
    }
    file::load(&text?).ok().map(|(rules, _)| Arc::new(rules))
}

/// Whether there is any rule in it. A running daemon does not let go of its rules for a file without any.
pub fn has_rules(rules: &Rules) -> bool {
    rules.campaigns.iter().any(|campaign| !campaign.rules.is_empty())
}

/// An empty file is good TOML: most often it was cut off, or is not written yet.
fn no_rules() -> Mistake {
    let text = "文件里一条规则都没有,谁也得不了分;运行中的 jifen 不会采用它".to_owned();
    Mistake { severity: Severity::Warning, ..Mistake::error(1, 1, "no-rules", text) }
}

fn refused(mistakes: Vec<Mistake>) -> Examined {
    Examined { ok: false, mistakes, tests: 0, failures: Vec::new(), rules: None }
}

fn not_utf8(bytes: &[u8], valid: usize) -> Mistake {
    let before = &bytes[..valid];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let begins = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[begins..]).chars().count() + 1;
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let what = if is_utf16 { "UTF-16(记事本里叫 Unicode)" } else { "GBK" };
    let text = format!("这里不是 UTF-8 文字,文件可能存成了 {what};请在编辑器里另存为 UTF-8");
    Mistake::error(line, column, "not-utf8", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "check_in.daily = { keywords = [\"签到\"], points = 2 }\n[[test]]\nname = \"t\"\nchat = \"\"\"\n11-22 09:00 阿明: 签到 => +2\"\"\"\n";

    #[test]
    fn a_file_passes_only_with_its_tests() {
        assert!(examine(GOOD.as_bytes()).ok);
        let failing = examine(GOOD.replace("+2", "+3").as_bytes());
        assert!(!failing.ok && failing.rules.is_some() && failing.errors() == 0);
        assert!(failing.obstacles("rules.toml", 9)[0].starts_with("rules.toml:5:1: error[test-failed]"), "{:?}", failing.obstacles("rules.toml", 9));
    }

    #[test]
    fn a_stopped_rule_fails_no_test_that_tells_what_it_pays() {
        let stopped = GOOD.replace("points = 2", "points = 2, mode = \"off\"");
        assert!(examine(stopped.as_bytes()).ok);
        assert!(examine(stopped.replace("+2", "+0").as_bytes()).ok, "nor one that tells what a stopped rule does");
        assert!(!examine(stopped.replace("+2", "+3").as_bytes()).ok);
        let campaign = format!("{GOOD}[campaign.main]\nmode = \"off\"\n");
        assert!(examine(campaign.as_bytes()).ok);
    }

    #[test]
    fn a_file_without_rules_is_warned_of() {
        let empty = examine(b"# later\n");
        assert!(empty.ok && empty.mistakes[0].code == "no-rules", "{empty:?}");
        assert_eq!(examine(GOOD.as_bytes()).mistakes, []);
    }

    #[test]
    fn what_is_not_utf8_is_told_with_its_place() {
        let mut gbk = "[check_in.daily]\nkeywords = [\"".as_bytes().to_vec();
        gbk.extend([0xb4, 0xf2, 0xbf, 0xa8]);
        let examined = examine(&gbk);
        assert_eq!((examined.mistakes[0].code, examined.mistakes[0].line, examined.mistakes[0].column), ("not-utf8", 2, 14));
        assert!(examine(&[0xff, 0xfe, 0x41, 0x00]).mistakes[0].text.contains("UTF-16"));
    }

    #[test]
    fn of_many_obstacles_the_first_are_told() {
        let examined = examine("a = 1\nb = 2\nc = 3\n".as_bytes());
        let told = examined.obstacles("rules.toml", 2);
        assert_eq!((told.len(), &*told[2]), (3, "还有 1 处,用 jifen check 看全部"));
    }
}
