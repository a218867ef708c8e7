//! The loop that decides parked events again by itself, once their group is known or the rules no longer ask for its name.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::unpark::{Page, resolved};
use super::{Handle, Rejected};
use crate::clock::Clock;
use crate::model::ids::EventSeq;
use crate::store::Reader;

/// Before a busy writer or a full disk is tried again; what waits has waited longer.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks once at the start, since the rules may be others than before, and again whenever `told` says that groups' names came in.
/// Runs until it is aborted or the writer stops.
pub async fn run<R: Reader + 'static>(handle: Handle, mut reader: R, clock: Clock, told: Arc<Notify>) {
    loop {
        let mut from = Some(EventSeq(1));
        while let Some(at) = from {
            let (rules, now) = (handle.rules(), clock.now());
            let looked = spawn_blocking(move || {
                let page = resolved(&reader, &rules, at, now);
                (reader, page)
            });
            let Ok((back, page)) = looked.await else { return tracing::error!("looking for parked events ended badly") };
            reader = back;
            let Page { events, next } = match page {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "parked events could not be read, the next name of a group tries again");
                    break;
                }
            };
            match handle.unpark(events).await {
                Ok(()) => from = next,
                Err(Rejected::Stopping) => return,
                Err(Rejected::Full | Rejected::Store(_)) => sleep(PAUSE).await,
            }
        }
        told.notified().await;
    }
}
