//! The scheduler's loop in the daemon: a second at a time, and never in the way of a callback.

use std::time::Duration;

use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;

use super::{Scheduler, Step};
use crate::clock::Clock;
use crate::model::event::Event;
use crate::pipeline::{Handle, Rejected};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Events handed in at once: a callback that comes behind them waits for one small batch.
pub const PIECE: usize = 64;

/// Nothing is handed in while more than this waits for the writer already.
pub const SHORT_QUEUE: usize = 64;

/// Before a busy writer is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until it is aborted or the writer stops.
pub async fn run(handle: Handle, mut scheduler: Scheduler, clock: Clock) {
    loop {
        let (rules, now) = (handle.rules(), clock.now());
        let asked = spawn_blocking(move || {
            let step = scheduler.step(&rules, now);
            (scheduler, rules, step)
        });
        let Ok((back, rules, step)) = asked.await else { return tracing::error!("the scheduler ended badly") };
        scheduler = back;
        match step {
            Ok(Step::Rest(_)) => sleep(TICK).await,
            Ok(Step::Submit(events)) => match submit(&handle, events).await {
                Ok(()) => scheduler.done(&rules, now),
                Err(Rejected::Stopping) => return,
                // The same step comes again; what is committed of it is known by its keys.
                Err(Rejected::Full | Rejected::Store(_)) => sleep(TICK).await,
            },
            Err(error) => {
                tracing::warn!(%error, "what is due could not be read, tried again in a second");
                sleep(TICK).await;
            }
        }
    }
}

/// Hands events in, a piece at a time while the queue is short.
async fn submit(handle: &Handle, events: Vec<Event>) -> Result<(), Rejected> {
    for piece in events.chunks(PIECE) {
        while handle.waiting() > SHORT_QUEUE {
            sleep(PAUSE).await;
        }
        handle.hear_all(piece.to_vec()).await?;
        yield_now().await;
    }
    Ok(())
}
