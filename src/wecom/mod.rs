//! Speak WeCom (企业微信): open and seal envelopes, read callbacks and archive records as events, hold access tokens, send.
//!
//! ```text
//! POST body ─ body::encrypted ─▶ envelope::open_with ─▶ callback::Inbox::read ─▶ model::event::Event
//! text ─ pieces::split ─▶ client::Client::message_send … ─▶ outcome::Outcome {sent, refused, busy, held, unknown …}
//! ```

pub mod envelope;
pub mod body;
pub mod xml;
pub mod callback;
pub mod archive_record;
pub mod token;
pub mod http;
mod errcode;
pub mod outcome;
pub mod pieces;
pub mod client;
