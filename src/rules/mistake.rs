//! Mistakes in rules.toml: all of them at once, each with line, column, code and what to do.

use std::ops::Range;

use serde::Serialize;

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// `error` refuses the file, `warning` does not.
    pub severity: Severity,
    /// Stable code: `unknown-key`.
    pub code: &'static str,
    /// What happened and what to do, in Chinese.
    pub text: String,
}

impl Mistake {
    /// As `jifen check` prints it: `rules.toml:3:10: error[wrong-type]: …`.
    pub fn in_file(&self, path: &str) -> String {
        format!("{path}:{}:{}: {}[{}]: {}", self.line, self.column, self.severity.as_str(), self.code, self.text)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used.
    Warning,
}

impl Severity {
    /// `error`, `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// Mistakes that are told of one file. Who has more has given the wrong file.
const MISTAKES_MAX: usize = 1_000;

/// Where the lines of a text begin.
#[derive(Debug)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// The lines of a text.
    pub fn of(source: &str) -> Self {
        Lines(std::iter::once(0).chain(source.match_indices('\n').map(|(place, _)| place + 1)).collect())
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset)
    }

    /// Where a line begins.
    fn begin(&self, line: usize) -> usize {
        self.0[line - 1]
    }
}

/// Collects mistakes while a file is read. Positions are byte ranges of the source.
#[derive(Debug, Default)]
pub struct Mistakes {
    found: Vec<(Range<usize>, Severity, &'static str, String)>,
}

impl Mistakes {
    /// Notes an error at a byte range of the source.
    pub fn error(&mut self, span: Range<usize>, code: &'static str, text: impl Into<String>) {
        self.note(span, Severity::Error, code, text.into());
    }

    /// Notes a warning.
    pub fn warning(&mut self, span: Range<usize>, code: &'static str, text: impl Into<String>) {
        self.note(span, Severity::Warning, code, text.into());
    }

    fn note(&mut self, span: Range<usize>, severity: Severity, code: &'static str, text: String) {
        // Warnings leave room: an error is never lost because of them.
        let most = match severity {
            Severity::Error => 2 * MISTAKES_MAX,
            Severity::Warning => MISTAKES_MAX,
        };
        if self.found.len() < most {
            self.found.push((span, severity, code, text));
        }
    }

    /// Whether the file must be refused.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|(_, severity, ..)| *severity == Severity::Error)
    }

    /// How many there are so far, for [`Mistakes::forget_since`].
    pub fn count(&self) -> usize {
        self.found.len()
    }

    /// Drops those noted since then that only follow from earlier ones.
    pub fn forget_since(&mut self, count: usize, follows: impl Fn(&Range<usize>, &str) -> bool) {
        let mut place = 0;
        self.found.retain(|(span, _, code, _)| {
            place += 1;
            place <= count || !follows(span, code)
        });
    }

    /// All of them in source order, with lines and columns of `source`.
    pub fn locate(mut self, source: &str) -> Vec<Mistake> {
        self.found.sort_by(|one, other| (one.0.start, one.2, &one.3).cmp(&(other.0.start, other.2, &other.3)));
        let lines = Lines::of(source);
        let place = |(span, severity, code, text): (Range<usize>, Severity, &'static str, String)| {
            let start = source.floor_char_boundary(span.start);
            let line = lines.line(start);
            let column = source[lines.begin(line)..start].chars().count() + 1;
            Mistake { line, column, severity, code, text }
        };
        let mut located: Vec<Mistake> = self.found.into_iter().map(place).collect();
        located.dedup();
        located
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_in_the_order_of_the_file_with_columns_in_characters() {
        let mut mistakes = Mistakes::default();
        mistakes.warning(7..8, "later", "b");
        mistakes.error(3..4, "earlier", "a");
        mistakes.error(3..4, "earlier", "a");
        let found: Vec<_> = mistakes.locate("签到\n签到\n").into_iter().map(|mistake| (mistake.line, mistake.column, mistake.code)).collect();
        assert_eq!(found, [(1, 2, "earlier"), (2, 1, "later")]);
    }
}
