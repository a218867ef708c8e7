//! Records: whether one belongs to an account's history, stands as it was booked, and of which message it tells.

use super::decision::{Deed, Outcome, Record};
use super::ids::EventSeq;

impl Record {
    /// Whether this belongs to the account's history: it changed the account, or what the account held decided it. Such an event joins
    /// the `prev` chain, so that it can be decided again when an earlier message arrives late or is taken back.
    pub fn is_stateful(&self) -> bool {
        !self.marks.is_empty()
            || self.deed == Some(Deed::Willed)
            || self.repair.is_some()
            || self.verdicts.iter().any(|verdict| verdict.ruling.depends_on_state())
    }

    /// Whether it stands as it was booked, whatever is decided again around it.
    pub fn is_willed(&self) -> bool {
        self.deed == Some(Deed::Willed)
    }

    /// The message whose verdicts stand here, as slots of the ledger name it: the event itself (`own`), or the one it decided again.
    pub fn message(&self, own: EventSeq) -> EventSeq {
        match self.outcome {
            Outcome::Unparked { of, .. } => of,
            Outcome::Decided | Outcome::DecidedAlone | Outcome::RecalledBefore | Outcome::Parked(_) | Outcome::Failed(_) | Outcome::TwinOf(_) => own,
        }
    }
}
