//! Grants that wait for a second operator: listed, let through or not.

use std::sync::Arc;

use super::{Books, Outcome, Pending, event, name, outcome, place_of};
use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::decision::{Outcome as Decided, Parking};
use crate::model::event::Identity;
use crate::model::ids::EventSeq;
use crate::model::journal::EventRow;
use crate::pipeline::command::is_over;
use crate::pipeline::{Pipeline, Work};
use crate::rules::grant::same;
use crate::store::waiting::review_key;
use crate::store::{Reader, Store, StoreError};

/// Waiting events read at once.
const PAGE: usize = 1_000;

/// The grants that wait for a second operator.
///
/// # Errors
/// The store cannot be read.
pub fn pending(reader: &dyn Reader, books: &Books, now: Millis) -> Result<Vec<Pending>, StoreError> {
    let (mut from, mut pending) = (EventSeq(1), Vec::new());
    loop {
        let page = reader.waiting(from, PAGE)?;
        let Some(last) = page.last().map(|row| row.seq) else { return Ok(pending) };
        from = EventSeq(last.0 + 1);
        for row in &page {
            if let Some((_, act)) = awaiting(reader, books, row, now)? {
                let Act::Granted { points, by, reason, batch, .. } = act else { continue };
                pending.push(Pending { event: row.seq, name: name(reader, row)?, points, by, reason, batch });
            }
        }
    }
}

/// Whom a waiting grant is for, and what it wants; `None` for one that does not wait any more.
fn awaiting(reader: &dyn Reader, books: &Books, row: &EventRow, now: Millis) -> Result<Option<(Identity, Act)>, StoreError> {
    let is_ours = reader.directory()?.campaigns.iter().any(|((corp, _), id)| *corp == books.corp && Some(*id) == row.campaign);
    if row.record.outcome != Decided::Parked(Parking::Approval) || !is_ours || is_over(row.at, now) || reviewed(reader, books, row.seq)?.is_some() {
        return Ok(None);
    }
    let identity = row.identity.map(|id| reader.identity(id)).transpose()?.flatten();
    let act = reader.contents(row.seq)?.and_then(|json| serde_json::from_slice(&json).ok());
    Ok(identity.map(|identity| identity.identity).zip(act))
}

/// The event that reviewed a grant.
pub(super) fn reviewed(reader: &dyn Reader, books: &Books, of: EventSeq) -> Result<Option<EventSeq>, StoreError> {
    let key = review_key(&books.corp, of);
    Ok(reader.find_events(key.key)?.into_iter().find(|(source, _)| *source == key.source).map(|(_, seq)| seq))
}

/// Lets waiting grants through, or not; those that do not wait are left out.
///
/// # Errors
/// Nothing was written.
pub fn review<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    books: &Books,
    grants: &[EventSeq],
    allowed: bool,
    why: Option<Arc<str>>,
    now: Millis,
) -> Result<Vec<Outcome>, StoreError> {
    let live = pipeline.rules();
    let (mut works, mut asked, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for of in grants {
        let row = event(reader, *of)?;
        let Some((who, act)) = awaiting(reader, books, &row, now)? else { continue };
        let Act::Granted { points, by: asked_by, reason, batch, .. } = act else { continue };
        if same(&asked_by, &books.by) {
            let refused = Some("自己提的不能自己批,请另一位管理员来".to_owned());
            outcomes.push(Outcome { event: *of, name: name(reader, &row)?, points, balance: 0, known: false, waits: true, refused });
            continue;
        }
        let reason = if allowed { reason } else { why.clone().unwrap_or(reason) };
        let act = Act::Reviewed { of: *of, allowed, by: books.by.clone(), asked_by, points, reason, batch };
        let Some(place) = place_of(reader, &row)? else { continue };
        let event = books.event(review_key(&books.corp, *of), who, place, act, now);
        works.push(Work::Hear(Box::new(pipeline.prepare(&live, event))));
        asked.push(points);
    }
    for (done, points) in pipeline.run(&works)?.into_iter().zip(asked) {
        let outcome = outcome(reader, done.seq, done.known, points)?;
        // That it was declined is what was wanted.
        let refused = outcome.refused.filter(|_| allowed);
        outcomes.push(Outcome { refused, ..outcome });
    }
    Ok(outcomes)
}
