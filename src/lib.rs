//! jifen: the open points system for WeCom (企业微信) groups.
//!
//! # The flow, one direction
//!
//! ```text
//!  WeCom ─POST─▶ web/callback ─▶ wecom (open, read) ─ Event ┐
//!  jifen replay, demo, [[test]] ────────────────── Event ───┼─▶ pipeline ──▶ store      one transaction a batch:
//!                                                           │     │  ▲                  events, postings, accounts, replies
//!                                                   prepare ▼     ▼  │ facts
//!                                                          rules::decide
//!  WeCom ◀─ wecom/client ◀─ outbox (claim, render, route, send) ◀─ committed replies
//! ```
//!
//! An [`event`](model::event) becomes a [`decision`](model::decision): postings, marks, verdicts, replies. The pipeline books it and the
//! only fold, [`AccountCell::apply`](model::cells::AccountCell::apply), brings the account up to date. What is said is committed with what
//! was decided, and sent by another loop.
//!
//! # Where things are
//!
//! * 签到 is decided in [`rules::check_in`], talk in [`rules::speaking`]; what they share (dates, windows, caps, replies) around them in
//!   [`rules::decide`]. A new kind of rule is one file of `rules/`, its line in [`rules::KINDS`] and a scenario file.
//! * Late, doubled and recalled messages: `pipeline/{late,repair,recall}.rs`, those that two channels bring: `pipeline/twin.rs`; what could
//!   not be decided and is decided later: `pipeline/unpark.rs`. No rule knows of them.
//! * What falls due by itself: the jobs and their slots in [`rules::clock`], their events in [`scheduler`]. A new job is one line of its `SOURCES`.
//! * Pictures and links sent as proof: [`picture`] looks, `pipeline/proofs.rs` compares, [`store::proof`] folds, `rules/check_in/needs.rs` pairs.
//! * Who turns out to be whom: [`pipeline::merge`] and [`pipeline::unmerge`], `model/unite.rs`; what people bring from elsewhere: [`import`]; what
//!   they had on a day: [`statement`].
//! * What stands on disk: [`store::sqlite`] and its migrations; what proves it: [`verify`]; what notices that the file fell back, broke or was
//!   taken away: [`store::sqlite::serving`]; backups: [`store::sqlite::copy`] and [`store::sqlite::restore`].
//! * Another rules.toml under a running daemon: [`keeper`] looks at the file, [`gate`] lets it pass or not, [`rules::difference`] says what changed,
//!   [`keeper::shelf`] finds earlier versions.
//! * What proves a rules.toml: the lines of its tests [`rules::testing`], played by [`scenario`]; one line against the live state: [`trial`] over
//!   [`store::overlay`]; why a message earned what it did: [`explain`], its words [`rules::explain`], [`rules::hint`], [`rules::bystanders`].
//! * What points may buy and what they cost: [`rules::good`], [`plan`].
//! * What the bot says: [`rules::template`]; whether now, together with others ([`outbox::digest`]) or not at all: [`outbox::manners`].
//! * What another rules.toml would have paid: [`backtest`] reads the journal back, `pipeline/keep.rs` books what stands, [`store::lean`] forgets
//!   what deciding cannot ask for any more; [`backtest::parity`] proves that it decides as production did.
//! * Who cannot send now, and how much a destination bears: [`outbox::open_ways`]; what an error code means: `wecom/errcode.rs`.
//!
//! # Layers (imports only point right; `tests/tidy.rs` guards them)
//!
//! `main → cli → demo → app → keeper → {gate, trial} → {web, scenario, replay, grants, import, statement, verify, export, explain, reinstate, backtest, plan, shadow} → scheduler → {pipeline, outbox} → {rules, store, wecom, settings, clock, picture, line} → model → failpoint`
//!
//! # Invariants
//!
//! 1. An event is acted on once, for ever: its key is unique in the database. 200 is answered after the commit that holds it, or not at all.
//! 2. Deciding is a function of rules, facts and event. Nothing under `rules/` or `model/` reads a clock, a file, a socket or a database.
//! 3. Postings are integers with two sides, never changed, only reversed. An account row is a cache of the fold over the journal.
//! 4. Every posting names its rule, the hash of the rules.toml it was decided under and its link of the hash chain
//!    ([`model::journal`] has the canonical form).
//! 5. A reply that fails books nothing and unbooks nothing.
//! 6. The order of arrival does not change what a message earns: what came late is decided again with what came after it.
//!
//! # Decisions worth knowing
//!
//! * The chain has a link for each event that moved points; it covers the records of all events since the link before. An exported ledger
//!   proves itself without the journal.
//! * A reply's arguments and destination are sealed in the outbox and not part of the journal, so a person can be forgotten and the
//!   chain still holds.
//! * Events whose verdict depended on the account join its `prev` chain even when nothing was paid: a recall may make room for them, and
//!   a copy of them from another channel must find them.
//! * A merge is one event for the persons and two for each pair of accounts, so that «one event, one account» holds; points pass the chart's
//!   `transfer`, which is empty after each merge. An account's days are never decided again across a merge: messages from before it that come
//!   after it are decided alone.
//! * Gathering is the outbox's work and nothing of it is stored: rows that wait for a digest are open rows, and what was said once or how many
//!   digests a group had today is read from the rows of the last day at a start ([`outbox::remember`]).
//! * A claimed reply names the way it began with: a private message whose answer was lost is sent once more, since WeCom drops the same
//!   JSON by itself; nothing else ever is.
//! * A picture is one with all that look like it, from its arrival on: the first is the original, and what is paid for is marked in the record
//!   under its number. Which were paid for elsewhere follows the order of commits and is written into what was heard; deciding again adds what
//!   was paid for since. By its looks a picture is known where its contents come with it (demo, replay); of the archive comes a checksum, of the
//!   app and the AI bot an address.
//! * Reply ids are `event × 16 + place`, an event row knows its first posting: neither needs an index.

pub mod failpoint;
pub mod model;
pub mod clock;
pub mod picture;
pub mod settings;
pub mod line;
pub mod rules;
pub mod store;
pub mod wecom;
pub mod pipeline;
pub mod outbox;
pub mod scheduler;
pub mod import;
pub mod replay;
pub mod grants;
pub mod scenario;
pub mod statement;
pub mod verify;
pub mod export;
pub mod explain;
pub mod reinstate;
pub mod backtest;
pub mod plan;
pub mod shadow;
pub mod web;
pub mod gate;
pub mod trial;
pub mod keeper;
pub mod app;
pub mod demo;
pub mod cli;
