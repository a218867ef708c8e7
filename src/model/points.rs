//! Points: integers with checked arithmetic inside the range every JSON reader keeps exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest amount of a posting or a balance: 2⁵³−1, the last integer a double (JSON, JavaScript, a spreadsheet) holds exactly.
pub const POINTS_MAX: i64 = (1 << 53) - 1;

/// An amount of points. Negative only where a claw-back went below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Points(pub i64);

impl Points {
    /// No points.
    pub const ZERO: Points = Points(0);

    /// Sum, or `None` when it leaves ±(2⁵³−1).
    pub fn checked_add(self, other: Points) -> Option<Points> {
        self.0.checked_add(other.0).filter(|sum| (-POINTS_MAX..=POINTS_MAX).contains(sum)).map(Points)
    }

    /// Difference, or `None` when it leaves ±(2⁵³−1).
    pub fn checked_sub(self, other: Points) -> Option<Points> {
        other.0.checked_neg().and_then(|negated| self.checked_add(Points(negated)))
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_the_edge() {
        assert_eq!(Points(POINTS_MAX).checked_add(Points(1)), None);
        assert_eq!(Points(-POINTS_MAX).checked_sub(Points(1)), None);
        assert_eq!(Points(i64::MAX).checked_add(Points(i64::MAX)), None);
        assert_eq!(Points(2).checked_add(Points(10)), Some(Points(12)));
    }
}
