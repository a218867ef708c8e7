//! Backtests: what another file would have paid, for histories that are late, doubled, recalled, merged, granted, erased; and that the same file
//! changes nothing.

mod town;

mod any_history;
mod changes;
mod kept;
