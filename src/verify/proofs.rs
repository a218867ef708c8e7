//! Pictures and links that were sent as proof, folded again from the journal and compared with the rows.

use std::collections::HashMap;

use super::Report;
use crate::model::journal::EventRow;
use crate::store::proof::{Proof, ProofKey, after, changes};
use crate::store::{Reader, StoreError};

/// Rows compared at once.
const PAGE: usize = 4_096;

/// What the journal told so far.
#[derive(Default)]
pub(super) struct Told(HashMap<ProofKey, Proof>);

impl Told {
    pub(super) fn take(&mut self, event: &EventRow) {
        for (key, change) in changes(event) {
            let now = after(self.0.get(&key).copied(), key, change, event.seq);
            self.0.insert(key, now);
        }
    }

    pub(super) fn compare(mut self, reader: &dyn Reader, report: &mut Report) -> Result<(), StoreError> {
        let mut last = None;
        loop {
            let Some(page) = report.note(reader.proofs(last, PAGE))? else { return Ok(()) };
            for (key, proof) in &page {
                if self.0.remove(key) != Some(*proof) {
                    report.find("INV-proof", Some(proof.seen.0), format!("图片或链接 {:016x} 的记录和账本对不上", key.number));
                }
            }
            last = page.last().map(|(key, _)| *key);
            if page.len() < PAGE {
                break;
            }
        }
        let lost = self.0.iter().min_by_key(|(_, proof)| proof.seen);
        if let Some((key, proof)) = lost {
            report.find("INV-proof", Some(proof.seen.0), format!("账本里的图片或链接 {:016x} 没有记下来(这样的一共 {} 个)", key.number, self.0.len()));
        }
        Ok(())
    }
}
