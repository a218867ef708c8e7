//! The chart of a campaign's system accounts: all of them, and their words.

use super::decision::Chart;

impl Chart {
    /// All of them, in the order of their numbers.
    pub const ALL: [Chart; 6] = [Chart::Issued, Chart::Spent, Chart::Expired, Chart::Adjusted, Chart::Opening, Chart::Transfer];

    /// The word used in exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Chart::Issued => "issued",
            Chart::Spent => "spent",
            Chart::Expired => "expired",
            Chart::Adjusted => "adjusted",
            Chart::Opening => "opening",
            Chart::Transfer => "transfer",
        }
    }
}
