//! Building the arguments of a reply, one after the other.

use super::decision::{Arg, Args};

impl Args {
    /// Adds an argument.
    pub fn with(mut self, name: &str, arg: Arg) -> Self {
        self.0.push((name.into(), arg));
        self
    }

    /// Adds a number.
    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(name, Arg::Int(value))
    }

    /// Adds a text.
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.with(name, Arg::Text(value.into()))
    }
}
