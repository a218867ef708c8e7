//! The clock: real time that never steps back, moved by an offset where the demo or a test asks for it; or time that stands, for simulations.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use crate::model::day::Millis;

/// A step back up to this is a correction and followed; more than this is somebody's mistake.
const STEP_BACK_MILLIS_MAX: i64 = 2_000;

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
        if self.stands { 0 } else { system_now().0 }
    }
}

/// Keeps the system's time from stepping back: a day that was left must not come again, and no pause may last until it is caught up.
/// Where it steps back it goes on as the monotonic clock does, until it is caught up or the process starts again.
#[derive(Debug)]
struct Guard {
    /// How far the time told last was ahead of the monotonic clock.
    lead_millis: AtomicI64,
    stepped_back: AtomicBool,
}

impl Guard {
    /// The time to tell for the system's time and the monotonic clock's.
    fn tell(&self, system_millis: i64, monotonic_millis: i64) -> i64 {
        let (lead, known) = (system_millis.saturating_sub(monotonic_millis), self.lead_millis.load(Ordering::Relaxed));
        let steps_back = lead < known.saturating_sub(STEP_BACK_MILLIS_MAX);
        if self.stepped_back.swap(steps_back, Ordering::Relaxed) != steps_back {
            report(steps_back, known.saturating_sub(lead));
        }
        if steps_back {
            return monotonic_millis.saturating_add(known);
        }
        self.lead_millis.store(lead, Ordering::Relaxed);
        system_millis
    }
}

fn report(steps_back: bool, by_millis: i64) {
    if steps_back {
        tracing::error!(by_secs = by_millis / 1000, "系统时间被往回拨了,积分仍按拨之前的时间往下走;请校准时间(NTP),校准后重启 jifen");
    } else {
        tracing::info!("系统时间追上来了,恢复按系统时间走");
    }
}

fn system_now() -> Millis {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static GUARD: Guard = Guard { lead_millis: AtomicI64::new(i64::MIN), stepped_back: AtomicBool::new(false) };
    let monotonic_millis = i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX);
    Millis(GUARD.tell(Millis::from(jiff::Timestamp::now()).0, monotonic_millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn guard() -> Guard {
        let guard = Guard { lead_millis: AtomicI64::new(i64::MIN), stepped_back: AtomicBool::new(false) };
        assert_eq!(guard.tell(20_000 * DAY, 5), 20_000 * DAY);
        guard
    }

    #[test]
    fn a_step_back_does_not_turn_the_day_back_and_time_goes_on() {
        let guard = guard();
        assert_eq!(guard.tell(19_999 * DAY, 1_005), 20_000 * DAY + 1_000);
        assert_eq!(guard.tell(19_999 * DAY + 1_000, 2_005), 20_000 * DAY + 2_000);
        assert_eq!(guard.tell(20_000 * DAY + 3_000, 3_005), 20_000 * DAY + 3_000, "set right again");
    }

    #[test]
    fn a_step_forward_and_small_corrections_are_followed() {
        let guard = guard();
        assert_eq!(guard.tell(20_001 * DAY, 1_005), 20_001 * DAY);
        assert_eq!(guard.tell(20_001 * DAY - 1_500, 1_006), 20_001 * DAY - 1_500);
    }

    #[test]
    fn steps_every_ten_seconds_never_turn_the_day_back() {
        let guard = guard();
        let mut told = 20_000 * DAY;
        for step in 1..100 {
            let system = 20_000 * DAY + step * 10_000 + if step % 2 == 0 { DAY } else { -DAY };
            let now = guard.tell(system, 5 + step * 10_000);
            assert!(now >= told, "step {step}");
            told = now;
        }
    }

    #[test]
    fn times_before_1970_and_far_ahead_do_not_break_it() {
        let guard = Guard { lead_millis: AtomicI64::new(i64::MIN), stepped_back: AtomicBool::new(false) };
        for system in [-DAY, 0, i64::from(u32::MAX) * 1000, 4_102_444_800_000, i64::MAX, i64::MIN] {
            guard.tell(system, 7);
        }
    }
}
