//! People: who turns out to be whom and back again, what they bring from elsewhere, and what they are told they had.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;
mod merging;
mod opening;
mod statements;
