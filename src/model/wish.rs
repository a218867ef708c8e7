//! What an operator wants of rules.toml by chat: a rule or a campaign off, or on again. The writer only recognises it; who keeps the file does it.

use std::sync::Arc;

use super::event::{Identity, Place, Via};
use super::ids::CorpName;

/// A wish, with where its answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The corp.
    pub corp: CorpName,
    /// The chat it was said in.
    pub place: Place,
    /// Who said it.
    pub who: Identity,
    /// Which way the answer may take.
    pub via: Via,
    /// What it is about.
    pub switch: Switch,
}

/// What is to be switched, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// A rule's code; a campaign's id.
    pub target: Arc<str>,
    /// Whether it is a whole campaign.
    pub is_campaign: bool,
    /// On, else off.
    pub on: bool,
    /// As operators read it: `每日签到(check_in.daily)`.
    pub name: Arc<str>,
    /// What to say after 「恢复」 or 「停用」 to mean it.
    pub word: Arc<str>,
}
