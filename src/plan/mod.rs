//! Prices and what they cost, from the ledger itself: who can reach which good and when ([`prices`]).

pub mod earners;
pub mod reach;
pub mod prices;
pub mod advice;

/// Told while the ledger is read: postings read, and all of them.
pub type Progress<'a> = &'a mut dyn FnMut(i64, i64);
