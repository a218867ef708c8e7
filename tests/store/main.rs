//! What stands on a store, told to every store: the story of the stores themselves, `verify` and `export`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod ledger;
mod story;
mod verify;
mod export;
mod poison;
