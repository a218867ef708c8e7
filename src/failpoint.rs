//! Failpoints: named places where a test lets the program die, panic, fail or wait. Nothing of them is in a build without the
//! feature `failpoints`, and only tests have it.
//!
//! `FAILPOINTS` names what happens where; places are separated by `;`:
//!
//! ```text
//! place[key]=action@n      ledger.before_commit=abort@7      the seventh time only; without @n every time
//!                          token.refresh=error@2+            from the second time on
//!                          rules.matched[毒药]=panic         only for what has 毒药 in it
//! action                   abort · panic · error · delay(MILLISECONDS)
//! ```

#[cfg(feature = "failpoints")]
pub use armed::{BACKUP_POINTS, POINTS, fails, hit, hit_on};
#[cfg(not(feature = "failpoints"))]
pub use unarmed::{fails, hit, hit_on};

/// Without the feature nothing is left of a place, its name included.
#[cfg(not(feature = "failpoints"))]
mod unarmed {
    /// A place that is passed.
    #[inline(always)]
    pub fn hit(_point: &str) {}

    /// A place that is passed with something in hand.
    #[inline(always)]
    pub fn hit_on(_point: &str, _what: &str) {}

    /// Whether the error that may happen here is to happen.
    #[inline(always)]
    #[must_use]
    pub fn fails(_point: &str) -> bool {
        false
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Every place of the daemon, in the order in which a message passes them; those of starting and stopping last.
    pub const POINTS: &[&str] = &[
        "http.accepted",
        "http.body_read",
        "cb.verified",
        "cb.decrypted",
        "inbox.before_commit",
        "ledger.begin",
        "rules.matched",
        "ledger.balance",
        "ledger.entries",
        "ledger.before_commit",
        "ledger.after_commit",
        "inbox.after_commit",
        "http.before_200",
        "http.after_200",
        "outbox.leased",
        "token.refresh",
        "wecom.request_sent",
        "wecom.response_read",
        "outbox.before_mark",
        "outbox.after_mark",
        "rules.parsed",
        "migrate.step",
        "shutdown.drain",
    ];

    /// Every place of `jifen backup`.
    pub const BACKUP_POINTS: &[&str] = &["backup.page", "backup.rename"];

    fn is_known(point: &str) -> bool {
        POINTS.contains(&point) || BACKUP_POINTS.contains(&point)
    }

    /// The variable that says what happens where.
    const VARIABLE: &str = "FAILPOINTS";

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Abort,
        Panic,
        Error,
        Delay(Duration),
    }

    /// What happens at one place.
    #[derive(Debug)]
    struct Fault {
        action: Action,
        key: Option<String>,
        /// The first and the last time it happens, counted from 1.
        times: (u64, u64),
        seen: AtomicU64,
    }

    /// A place that is passed.
    pub fn hit(point: &str) {
        hit_on(point, "");
    }

    /// A place that is passed with something in hand.
    pub fn hit_on(point: &str, what: &str) {
        assert!(!happens(point, what), "{point} is no place where an error can happen");
    }

    /// Whether the error that may happen here is to happen.
    #[must_use]
    pub fn fails(point: &str) -> bool {
        happens(point, "")
    }

    fn happens(point: &str, what: &str) -> bool {
        debug_assert!(is_known(point), "{point} is missing from the lists");
        let Some(fault) = plan().get(point) else { return false };
        if fault.key.as_ref().is_some_and(|key| !what.contains(key.as_str())) {
            return false;
        }
        let time = fault.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if !(fault.times.0..=fault.times.1).contains(&time) {
            return false;
        }
        match fault.action {
            Action::Abort => std::process::abort(),
            Action::Panic => panic!("failpoint {point}"),
            Action::Error => return true,
            Action::Delay(delay) => thread::sleep(delay),
        }
        false
    }

    /// Read once. A plan that cannot be read ends the program: a fault that silently does not happen proves nothing.
    fn plan() -> &'static HashMap<String, Fault> {
        static PLAN: OnceLock<HashMap<String, Fault>> = OnceLock::new();
        PLAN.get_or_init(|| {
            read(&std::env::var(VARIABLE).unwrap_or_default()).unwrap_or_else(|mistake| {
                eprintln!("{VARIABLE}: {mistake}");
                std::process::exit(2)
            })
        })
    }

    fn read(text: &str) -> Result<HashMap<String, Fault>, String> {
        text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(fault).collect()
    }

    fn fault(part: &str) -> Result<(String, Fault), String> {
        let (place, what) = part.split_once('=').ok_or_else(|| format!("{part}: no ="))?;
        let (point, key) = match place.split_once('[') {
            Some((point, key)) => (point, Some(key.trim_end_matches(']').to_owned())),
            None => (place, None),
        };
        if !is_known(point) {
            return Err(format!("{point} is no place"));
        }
        let (action, times) = match what.split_once('@') {
            Some((action, times)) => (action, turns(times)?),
            None => (what, (1, u64::MAX)),
        };
        Ok((point.to_owned(), Fault { action: self::action(action)?, key, times, seen: AtomicU64::new(0) }))
    }

    fn turns(text: &str) -> Result<(u64, u64), String> {
        let number = |text: &str| text.parse().map_err(|_| format!("{text} is no count"));
        match text.strip_suffix('+') {
            Some(first) => Ok((number(first)?, u64::MAX)),
            None => number(text).map(|only| (only, only)),
        }
    }

    fn action(text: &str) -> Result<Action, String> {
        let millis = text.strip_prefix("delay(").and_then(|rest| rest.strip_suffix(')')).and_then(|millis| millis.parse().ok());
        match (text, millis) {
            ("abort", _) => Ok(Action::Abort),
            ("panic", _) => Ok(Action::Panic),
            ("error", _) => Ok(Action::Error),
            (_, Some(millis)) => Ok(Action::Delay(Duration::from_millis(millis))),
            _ => Err(format!("{text} is no action")),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_plan_says_what_happens_where_and_when() {
            let plan = read("ledger.begin=abort@7; token.refresh=error@2+;rules.matched[毒药]=panic;http.accepted=delay(20);").expect("good");
            assert_eq!((plan["ledger.begin"].action, plan["ledger.begin"].times), (Action::Abort, (7, 7)));
            assert_eq!((plan["token.refresh"].action, plan["token.refresh"].times), (Action::Error, (2, u64::MAX)));
            assert_eq!((plan["rules.matched"].action, plan["rules.matched"].key.as_deref()), (Action::Panic, Some("毒药")));
            assert_eq!((plan["http.accepted"].action, plan["http.accepted"].times), (Action::Delay(Duration::from_millis(20)), (1, u64::MAX)));
        }

        #[test]
        fn a_plan_with_a_slip_is_refused() {
            for slip in ["ledger.begin", "ledger.begins=abort", "ledger.begin=explode", "ledger.begin=abort@x", "http.accepted=delay(soon)"] {
                assert!(read(slip).is_err(), "{slip}");
            }
        }
    }
}
