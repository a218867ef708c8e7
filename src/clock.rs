//! The clock: real time, moved by an offset where the demo or a test asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::day::Millis;

/// Tells the time. Clones share the offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_millis: Arc<AtomicI64>,
}

impl Clock {
    /// A clock that reads this instant now and goes on from there.
    pub fn starting_at(now: Millis) -> Self {
        let clock = Clock::default();
        clock.set(now);
        clock
    }

    /// Now.
    pub fn now(&self) -> Millis {
        Millis(system_now().0.saturating_add(self.offset_millis.load(Ordering::Relaxed)))
    }

    /// Moves the clock so that it reads `now`.
    pub fn set(&self, now: Millis) {
        self.offset_millis.store(now.0.saturating_sub(system_now().0), Ordering::Relaxed);
    }
}

fn system_now() -> Millis {
    Millis::from(jiff::Timestamp::now())
}
