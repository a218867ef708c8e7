//! What the rules that were asked before did with the same event.

use std::sync::Arc;

use crate::model::claim::Claim;
use crate::model::decision::{Entry, Mark};
use crate::rules::Pending;
use crate::rules::campaign::Mode;

/// What the rules before this one did.
#[derive(Default)]
pub(super) struct SoFar {
    pub(super) marks: Vec<Mark>,
    pub(super) claims: Vec<Claim>,
    pub(super) paid: Vec<(Arc<str>, i64)>,
    /// What was paid, and what the rules on trial would have paid.
    pub(super) tried: Vec<(Arc<str>, i64)>,
    pub(super) points: i64,
    /// Points taken for something.
    pub(super) bought: Vec<Entry>,
    /// Something was bought, be it for nothing.
    pub(super) is_willed: bool,
    pub(super) ready: i64,
}

impl SoFar {
    pub(super) fn pending(&self, mode: Mode) -> Pending<'_> {
        Pending { marks: &self.marks, paid: self.paid(mode), mode }
    }

    /// What a rule of this mode takes for paid.
    pub(super) fn paid(&self, mode: Mode) -> &[(Arc<str>, i64)] {
        if mode == Mode::Shadow { &self.tried } else { &self.paid }
    }
}
