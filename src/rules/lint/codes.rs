//! The table of all codes that `jifen check` tells, each with its explanation and an example of what brings it and what does not.
//! `jifen check --explain CODE` prints an entry; `docs/lints.md` and `docs/lints.zh-CN.md` are all of them.

use crate::rules::lint::codes_form::FORM;
use crate::rules::lint::codes_money::MONEY;
use crate::rules::lint::codes_sense::SENSE;
use crate::rules::mistake::Severity;

/// One code.
#[derive(Debug)]
pub struct Code {
    /// The code: `no-cap`.
    pub code: &'static str,
    /// Whether it refuses the file.
    pub severity: Severity,
    /// An error that an operator may allow: it is a matter of money or law, not of form.
    is_matter_of_money: bool,
    /// Title and explanation in Chinese.
    pub zh: (&'static str, &'static str),
    /// Title and explanation in English.
    pub en: (&'static str, &'static str),
    /// A file that brings this finding and no other; empty where it cannot be shown in a few lines.
    pub bad: &'static str,
    /// The same as it should be; brings no finding.
    pub good: &'static str,
}

/// What stands in two languages.
pub(super) type Words = (&'static str, &'static str);

impl Code {
    /// A mistake of form: the file cannot be used until it is put right.
    pub(super) const fn form(code: &'static str, zh: Words, en: Words, bad: &'static str, good: &'static str) -> Code {
        Code { code, severity: Severity::Error, is_matter_of_money: false, zh, en, bad, good }
    }

    /// What costs so much or is so far from what is allowed that the file is refused, unless an operator says why it is meant.
    pub(super) const fn refused(code: &'static str, zh: Words, en: Words, bad: &'static str, good: &'static str) -> Code {
        Code { code, severity: Severity::Error, is_matter_of_money: true, zh, en, bad, good }
    }

    /// What is probably not meant.
    pub(super) const fn warning(code: &'static str, zh: Words, en: Words, bad: &'static str, good: &'static str) -> Code {
        Code { code, severity: Severity::Warning, is_matter_of_money: false, zh, en, bad, good }
    }

    /// Whether a comment may allow it.
    pub fn can_be_allowed(&self) -> bool {
        let is_about_comments = ["bad-allow", "allow-reason", "not-allowable", "unknown-lint", "idle-allow"].contains(&self.code);
        !is_about_comments && (self.severity == Severity::Warning || self.is_matter_of_money)
    }

    /// What it means for the file, in Chinese.
    pub fn weight(&self) -> &'static str {
        match (self.severity, self.is_matter_of_money) {
            (Severity::Warning, _) => "提醒",
            (Severity::Error, false) => "错误",
            (Severity::Error, true) => "错误,可以写明理由放行",
        }
    }
}

/// All codes: mistakes of form, what costs money, what does nothing or not what it seems to.
pub const CODES: [&[Code]; 3] = [FORM, MONEY, SENSE];

/// The entry of a code.
pub fn find(code: &str) -> Option<&'static Code> {
    all().find(|known| known.code == code)
}

/// All entries.
pub fn all() -> impl Iterator<Item = &'static Code> {
    CODES.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use regex::Regex;

    use super::*;
    use crate::gate::examine;

    /// All codes that the file's examination gives, a failed test included.
    fn told(text: &str) -> Vec<&'static str> {
        let examined = examine(text.as_bytes());
        // Some examples are a part of a file, without a rule of their own.
        let mut codes: Vec<&'static str> = examined.mistakes.iter().map(|mistake| mistake.code).filter(|code| *code != "no-rules").collect();
        codes.extend(examined.failures.iter().map(|_| "test-failed"));
        codes
    }

    #[test]
    fn each_bad_example_brings_its_code_and_no_other_and_each_good_one_none() {
        let mut wrong = Vec::new();
        for code in all() {
            let (bad, good) = (told(code.bad), told(code.good));
            let is_bad = code.bad.is_empty() || (!bad.is_empty() && bad.iter().all(|told| *told == code.code));
            if !is_bad || !good.is_empty() {
                wrong.push(format!("{}: bad gives {bad:?}, good gives {good:?}", code.code));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_severity_of_each_is_what_its_example_gets() {
        // An empty file is warned of, and refused only where rules are live.
        for code in all().filter(|code| !["test-failed", "no-rules"].contains(&code.code)) {
            for mistake in examine(code.bad.as_bytes()).mistakes.iter().filter(|mistake| mistake.code == code.code) {
                assert_eq!(mistake.severity, code.severity, "{}", code.code);
            }
        }
    }

    #[test]
    fn every_code_of_the_sources_is_in_the_table_and_the_other_way_round() {
        let noted = Regex::new(r#"(?s)(?:\.error|\.warning|\.costly|\.refuse|refused|Mistake::error)\([^;]{0,400}?,\s*"([a-z]+(?:-[a-z0-9]+)*)",\s"#).unwrap();
        let mut found = BTreeSet::new();
        let mut text = String::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["src/gate.rs", "src/keeper/mod.rs", "src/scenario/failure.rs"] {
            text.push_str(&std::fs::read_to_string(root.join(path)).unwrap());
        }
        let mut folders = vec![root.join("src/rules")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false if entry.file_name().unwrap().to_str().unwrap().starts_with("codes") => {}
                    false => text.push_str(std::fs::read_to_string(entry).unwrap().split("#[cfg(test)]\nmod tests").next().unwrap()),
                }
            }
        }
        found.extend(noted.captures_iter(&text).map(|found| found[1].to_owned()));
        let unknown: Vec<&String> = found.iter().filter(|code| find(code).is_none()).collect();
        assert!(unknown.is_empty(), "not in the table: {unknown:?}");
        let idle: Vec<&str> =
            all().map(|code| code.code).filter(|code| !text.contains(&format!("\"{code}\"")) && !text.contains(&format!("[{code}]"))).collect();
        assert!(idle.is_empty(), "in the table and nowhere else: {idle:?}");
        assert!(found.len() > 60, "{found:?}");
    }

    #[test]
    fn no_code_is_there_twice() {
        let codes: BTreeSet<&str> = all().map(|code| code.code).collect();
        assert_eq!(codes.len(), all().count());
    }
}
