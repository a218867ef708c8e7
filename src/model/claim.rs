//! A claim: what a decision takes of things that members share, first come, first served.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Something taken of what members share. Who comes first is decided by the order of commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What is shared: `budget/check_in.daily`, `first/check_in.quiz`.
    pub name: Arc<str>,
    /// Which one of these: a day, a keyed hash; 0 where there is one only.
    pub number: i64,
    /// How much was taken; more than 0.
    pub taken: i64,
    /// How much is taken with this, in all.
    pub total: i64,
}
