//! The clock: real time, moved by an offset where the demo or a test asks for it; or time that stands, for simulations.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::model::day::Millis;

/// Tells the time. Clones share the offset.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Ahead of real time, or of 1970 where the clock stands.
    offset_millis: Arc<AtomicI64>,
    stands: bool,
}

impl Clock {
    /// A clock that reads this instant now and goes on from there.
    pub fn starting_at(now: Millis) -> Self {
        let clock = Clock::default();
        clock.set(now);
        clock
    }

    /// A clock that reads this instant until it is set.
    pub fn standing_at(now: Millis) -> Self {
        let clock = Clock { stands: true, ..Clock::default() };
        clock.set(now);
        clock
    }

    /// Now.
    pub fn now(&self) -> Millis {
        Millis(self.base_millis().saturating_add(self.offset_millis.load(Ordering::Relaxed)))
    }

    /// Moves the clock so that it reads `now`.
    pub fn set(&self, now: Millis) {
        self.offset_millis.store(now.0.saturating_sub(self.base_millis()), Ordering::Relaxed);
    }

    fn base_millis(&self) -> i64 {
        if self.stands { 0 } else { Millis::from(jiff::Timestamp::now()).0 }
    }
}
