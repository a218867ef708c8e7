//! The circuit of one API address: after a few failures in a row nothing is tried for a while, then one probe at a time.

use crate::model::day::Millis;

/// Failures in a row that open the circuit: one is bad luck, five are an outage.
pub const FAILURES_TO_OPEN: u32 = 5;
/// First pause, in seconds.
const PAUSE_SECS: i64 = 30;
/// Longest pause, in seconds: an API that came back is noticed within five minutes.
const PAUSE_MAX_SECS: i64 = 300;

/// Longest rest anything in the outbox may take, in seconds.
const REST_MAX_SECS: i64 = 600;

/// Whether `until` still lies ahead. An instant further ahead than any rest lasts means that the clock was set back: the rest is over.
pub fn is_resting(now: Millis, until: Millis) -> bool {
    now < until && until <= now.plus_secs(REST_MAX_SECS)
}

/// What a request taught us of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// It answered, whatever it said.
    Reached,
    /// No connection, or no usable answer.
    Failed,
    /// No request was made.
    Untried,
}

/// A circuit.
#[derive(Debug, Default)]
pub struct Circuit {
    state: State,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Millis, pause_secs: i64 },
    Probing { pause_secs: i64 },
}

impl Default for State {
    fn default() -> Self {
        State::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether a request may be made now.
    pub fn allows(&self, now: Millis) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { until, .. } => !is_resting(now, until),
            State::Probing { .. } => false,
        }
    }

    /// Whether requests go out freely.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// A request is about to be made; in a pause that is over it is the probe.
    pub fn begin(&mut self) {
        if let State::Open { pause_secs, .. } = self.state {
            self.state = State::Probing { pause_secs };
        }
    }

    /// What became of a request.
    pub fn learn(&mut self, contact: Contact, now: Millis) {
        self.state = match (contact, &self.state) {
            (Contact::Reached, _) => State::default(),
            (Contact::Failed, State::Closed { failures }) if failures + 1 < FAILURES_TO_OPEN => State::Closed { failures: failures + 1 },
            (Contact::Failed, State::Closed { .. }) => State::Open { until: now.plus_secs(PAUSE_SECS), pause_secs: PAUSE_SECS },
            (Contact::Failed, State::Probing { pause_secs }) => {
                let pause_secs = (pause_secs * 2).min(PAUSE_MAX_SECS);
                State::Open { until: now.plus_secs(pause_secs), pause_secs }
            }
            (Contact::Untried, State::Probing { pause_secs }) => State::Open { until: now, pause_secs: *pause_secs },
            (Contact::Failed, State::Open { .. }) | (Contact::Untried, State::Closed { .. } | State::Open { .. }) => return,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(now: Millis) -> Circuit {
        let mut circuit = Circuit::default();
        (0..FAILURES_TO_OPEN).for_each(|_| circuit.learn(Contact::Failed, now));
        circuit
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_an_answer_in_between_does_not() {
        let now = Millis(1_000_000);
        let mut circuit = Circuit::default();
        for contact in [Contact::Failed, Contact::Failed, Contact::Failed, Contact::Failed, Contact::Reached, Contact::Failed] {
            circuit.learn(contact, now);
        }
        assert!(circuit.allows(now));
        assert!(!open_at(now).allows(now));
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut now = Millis(1_000_000);
        let mut circuit = open_at(now);
        for pause in [30, 60, 120, 240, 300, 300] {
            assert!(!circuit.allows(now.plus_secs(pause - 1)), "{pause}");
            now = now.plus_secs(pause);
            assert!(circuit.allows(now), "{pause}");
            circuit.begin();
            circuit.learn(Contact::Failed, now);
        }
    }

    #[test]
    fn one_probe_at_a_time_and_an_answer_closes_it() {
        let now = Millis(1_000_000);
        let mut circuit = open_at(now);
        let later = now.plus_secs(30);
        circuit.begin();
        assert!(!circuit.allows(later));
        circuit.learn(Contact::Untried, later);
        assert!(circuit.allows(later), "a probe that was never sent leaves its place to the next");
        circuit.begin();
        circuit.learn(Contact::Reached, later);
        assert!(circuit.is_closed());
    }

    #[test]
    fn a_clock_set_back_does_not_hold_it_open() {
        let circuit = open_at(Millis(100_000_000));
        assert!(circuit.allows(Millis(0)));
    }
}
