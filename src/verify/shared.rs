//! What members share, counted again from the claims in the journal and compared with the rows.

use std::collections::HashMap;

use super::Report;
use crate::model::journal::EventRow;
use crate::store::{Reader, SharedKey, StoreError};

/// What was claimed so far.
#[derive(Default)]
pub(super) struct Claimed(HashMap<SharedKey, i64>);

impl Claimed {
    pub(super) fn take(&mut self, event: &EventRow) {
        for claim in &event.record.claims {
            let Some(campaign) = event.campaign else { continue };
            *self.0.entry(SharedKey { campaign, name: claim.name.clone(), number: claim.number }).or_default() += claim.taken;
        }
    }

    pub(super) fn compare(mut self, reader: &dyn Reader, report: &mut Report) -> Result<(), StoreError> {
        let Some(rows) = report.note(reader.shared())? else { return Ok(()) };
        for (key, taken) in rows {
            let claimed = self.0.remove(&key).unwrap_or(0);
            if claimed != taken {
                report.find("INV-shared", None, format!("「{}」({})记着已用 {taken},账本里一共用了 {claimed}", key.name, key.number));
            }
        }
        for (key, claimed) in self.0 {
            report.find("INV-shared", None, format!("「{}」({})在账本里用了 {claimed},却没有记下来", key.name, key.number));
        }
        Ok(())
    }
}
