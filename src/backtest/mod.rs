//! Backtest: recorded history decided again under another rules.toml, in memory, through the very pipeline that production uses.

pub mod report;
pub mod words;
pub mod table;
pub mod page;
#[cfg(test)]
mod sample;
