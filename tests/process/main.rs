//! The built `jifen` as a process of its own: killed, stopped, starved, lied to, and asked afterwards what it knows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod house;
mod wecom;
#[path = "../common/talk.rs"]
mod talk;
mod senders;
mod double;
mod history;

mod crash;
mod points;
mod kills;
mod machine;
mod crowds;
mod soak;
mod lifecycle;
mod reload;
mod envelopes;
mod limits;
mod oddities;
mod answers;
mod disk;
mod damage;
mod backup;
mod verbs;
mod outbox_verbs;
mod trying;
mod backtest;
mod api;
mod pictures;
mod expiry;
mod people;
mod switch;
