//! Marks: under which key, and the same under another one.

use std::sync::Arc;

use super::decision::Mark;

impl Mark {
    /// The same under another key.
    pub fn under(self, key: Arc<str>) -> Mark {
        match self {
            Mark::Count { key: _, period, times, points } => Mark::Count { key, period, times, points },
            Mark::Day { key: _, day } => Mark::Day { key, day },
            Mark::Recent { key: _, at, fingerprint } => Mark::Recent { key, at, fingerprint },
            Mark::Since { key: _, at } => Mark::Since { key, at },
            Mark::Proof { key: _, number, used } => Mark::Proof { key, number, used },
            Mark::Lifetime { key: _, points } => Mark::Lifetime { key, points },
        }
    }

    /// Points ever earned that it moves.
    pub fn lifetime(&self) -> i64 {
        match self {
            Mark::Lifetime { points, .. } => *points,
            Mark::Count { .. } | Mark::Day { .. } | Mark::Recent { .. } | Mark::Since { .. } | Mark::Proof { .. } => 0,
        }
    }

    /// Its key.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Mark::Count { key, .. } | Mark::Day { key, .. } | Mark::Recent { key, .. } | Mark::Since { key, .. } => key,
            Mark::Proof { key, .. } | Mark::Lifetime { key, .. } => key,
        }
    }
}
