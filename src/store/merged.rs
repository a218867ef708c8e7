//! Accounts that were merged into others: they hold nothing, nobody's id leads to them, and what they earned is told with whom they became.

use super::{Reader, StoreError};
use crate::model::cells::AccountCell;
use crate::model::decision::Deed;
use crate::model::ids::AccountId;

/// Merges followed from one account to the next: more than anybody makes, and an end where the journal is damaged.
const STEPS_MAX: usize = 64;

/// The account that this one was merged into; `None` for one that stands by itself.
pub fn merged_into(reader: &dyn Reader, cell: &AccountCell) -> Result<Option<AccountId>, StoreError> {
    if (cell.available, cell.held, cell.lifetime) != (0, 0, 0) || !cell.state.codes.is_empty() {
        return Ok(None);
    }
    let Some(event) = reader.event(cell.last_event)? else { return Ok(None) };
    let Some(Deed::Transferred { other, out: true, .. }) = event.record.deed else { return Ok(None) };
    // Who gave back what a merge had brought may hold nothing either, but somebody's id leads there.
    Ok(reader.identities_of(cell.key.member)?.is_empty().then_some(other))
}

/// The account that stands for this one by now: itself, or the last that it was merged into.
pub fn root(reader: &dyn Reader, cell: AccountCell) -> Result<AccountCell, StoreError> {
    let mut cell = cell;
    for _ in 0..STEPS_MAX {
        let Some(next) = merged_into(reader, &cell)? else { break };
        let Some(found) = reader.account(next)? else { break };
        cell = found;
    }
    Ok(cell)
}
