//! How much a caller may tell: so much at once and so much a second, so that no shop's catching up keeps WeCom's callbacks waiting.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::body::LINES_MAX;

/// Bodies under way at once, of all callers: with [`LINES_MAX`] each, half of the writer's queue stays free for callbacks.
const BODIES_MAX: usize = 4;
/// Events a second that a caller may go on telling: a twentieth of what the writer does.
const EVENTS_PER_SEC: f64 = 1_000.0;
/// Events that may come at once after a rest: two full bodies.
const EVENTS_AT_ONCE: f64 = 2.0 * LINES_MAX as f64;

/// What is left to each caller.
pub struct Pace {
    bodies: Semaphore,
    // Events left, and when that was so. One for each caller.
    left: Mutex<Vec<(f64, Instant)>>,
}

impl Pace {
    /// So many callers, all rested.
    pub fn new(callers: usize) -> Self {
        Pace { bodies: Semaphore::new(BODIES_MAX), left: Mutex::new(vec![(EVENTS_AT_ONCE, Instant::now()); callers]) }
    }

    /// Room for one body; `None` while too many are under way.
    pub fn body(&self) -> Option<SemaphorePermit<'_>> {
        self.bodies.try_acquire().ok()
    }

    /// Whether a caller may tell so many events now; they count if so.
    pub fn take(&self, caller: usize, events: usize) -> bool {
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((left, since)) = all.get_mut(caller) else { return false };
        let now = Instant::now();
        *left = (*left + now.duration_since(*since).as_secs_f64() * EVENTS_PER_SEC).min(EVENTS_AT_ONCE);
        *since = now;
        let has_room = *left >= events as f64;
        if has_room {
            *left -= events as f64;
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_tells_too_much_waits_and_keeps_nobody_else_waiting() {
        let pace = Pace::new(2);
        assert!(pace.take(0, LINES_MAX) && pace.take(0, LINES_MAX) && !pace.take(0, 1));
        assert!(pace.take(1, 1), "another caller");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(pace.take(0, 500) && !pace.take(0, 500));
    }

    #[tokio::test]
    async fn only_so_many_bodies_are_under_way() {
        let pace = Pace::new(1);
        let held: Vec<_> = (0..BODIES_MAX).map(|_| pace.body()).collect();
        assert!(held.iter().all(Option::is_some) && pace.body().is_none());
        drop(held);
        assert!(pace.body().is_some());
    }
}
