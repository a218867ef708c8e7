//! Purchases: why points were not taken for something.

use serde::{Deserialize, Serialize};

use super::day::Day;
use super::decision::Cap;

/// Why something that costs points was not bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotBought {
    /// Too few points that may be spent.
    Short {
        /// What it costs.
        price: i64,
        /// What may be spent.
        have: i64,
    },
    /// Bought as often as may be.
    TooOften(Cap),
    /// There is nothing to buy it for: no missed day within reach.
    NothingMissed,
    /// The gap is longer than may be made up.
    TooFar {
        /// Days that may be made up.
        days: u32,
    },
    /// The day that was named is no missed one.
    NotMissed(Day),
    /// The message came late, and the account has gone on since.
    Late,
}
