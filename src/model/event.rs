//! Events: what happened, in the past tense, with its own id and time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::act::Act;
use super::day::Millis;
use super::ids::{CorpName, EventKey, KeyBytes};

/// Something that happened, as a channel, the demo or `jifen replay` tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Idempotency key: acted on once, for ever.
    pub key: EventKey,
    /// The corp, by its key in jifen.toml.
    pub corp: CorpName,
    /// When it happened: the message's own time, which decides the business day.
    pub at: Millis,
    /// When we heard of it.
    pub received_at: Millis,
    /// The platform gave no usable time (0, or more than five minutes ahead), so `at` is `received_at`.
    pub clamped: bool,
    /// Where it happened.
    pub place: Place,
    /// Who did it; `None` for what the platform or the clock did.
    pub who: Option<Identity>,
    /// The name shown for that person, when the channel tells one. Data, never an id.
    pub name: Option<String>,
    /// Which way an answer may take.
    pub via: Via,
    /// What happened.
    pub kind: Kind,
}

impl Event {
    /// Whether an answer is owed: the assistant was spoken to, in a single chat or by an @.
    pub fn asked(&self) -> bool {
        match &self.kind {
            Kind::Said(said) => said.at_assistant || self.place == Place::Single,
            Kind::Did(_) | Kind::Recalled { .. } | Kind::Unknown { .. } => false,
        }
    }

    /// What was said, if this is talk.
    pub fn said(&self) -> Option<&Said> {
        match &self.kind {
            Kind::Said(said) => Some(said),
            Kind::Did(_) | Kind::Recalled { .. } | Kind::Unknown { .. } => None,
        }
    }
}

/// Where an event happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// A chat between one person and the app or bot.
    Single,
    /// A group, by its case-sensitive chat id.
    Group {
        /// The chat id, exactly as the platform wrote it.
        chat: Arc<str>,
        /// Whether outside customers are in it.
        kind: GroupKind,
        /// What people call the group, when the channel tells it.
        title: Option<Arc<str>>,
    },
    /// No chat: in the books of a campaign. What operators and the clock do to an account happens there.
    Books {
        /// The campaign, by its id in rules.toml.
        campaign: Arc<str>,
        /// The chat id of the group whose balance is meant, or whose affair it is.
        chat: Option<Arc<str>>,
    },
}

impl Place {
    /// The chat id of a group.
    pub fn chat(&self) -> Option<&Arc<str>> {
        match self {
            Place::Single => None,
            Place::Group { chat, .. } => Some(chat),
            Place::Books { chat, .. } => chat.as_ref(),
        }
    }
}

/// Whether a group has outside customers in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupKind {
    /// 内部群: employees only. Also what we assume until a channel says otherwise.
    Internal,
    /// 客户群: employees and customers.
    Customer,
}

/// One outside id of a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// What kind of id it is.
    pub kind: IdentityKind,
    /// The id as first seen. Userids are compared without regard to case ([`Identity::folded`]).
    pub value: Arc<str>,
}

impl Identity {
    /// An id as WeCom writes it where members and customers are mixed: `wm…` and `wo…` of 32 characters are outside people.
    ///
    /// Source: external_userid forms in developer.work.weixin.qq.com/document/path/92122.
    pub fn from_wecom(id: &str) -> Self {
        let external = (id.starts_with("wm") || id.starts_with("wo")) && id.len() == 32;
        let kind = if external { IdentityKind::External } else { IdentityKind::Userid };
        Identity { kind, value: id.into() }
    }

    /// The form under which this identity is unique: API answers give userids in lower case, so they are folded; other ids are exact.
    pub fn folded(&self) -> String {
        match self.kind {
            IdentityKind::Userid => self.value.to_lowercase(),
            IdentityKind::External => self.value.to_string(),
        }
    }
}

/// Kinds of outside id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IdentityKind {
    /// An employee's userid.
    Userid,
    /// A customer's external_userid.
    External,
}

impl IdentityKind {
    /// The word used in exports and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            IdentityKind::Userid => "userid",
            IdentityKind::External => "external",
        }
    }
}

/// The channel an event came by, and what it left for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Via {
    /// The channel's kind.
    pub channel: Channel,
    /// The channel's name in jifen.toml; empty for `replay` and the demo's own acts.
    pub name: Arc<str>,
    /// A one-call address for the answer: an AI bot's `response_url`, or a group robot's `WebhookUrl`.
    pub reply_url: Option<Arc<str>>,
}

/// The ways in and out of WeCom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Channel {
    /// Self-built app (自建应用).
    App,
    /// AI bot (智能机器人).
    Aibot,
    /// Group robot (群机器人).
    Robot,
    /// Conversation archive (会话内容存档): hears all, says nothing.
    Archive,
    /// `jifen replay`: history; its replies are committed as suppressed.
    #[default]
    Replay,
    /// A caller of `/api/v1`: a shop, a form, a mini-program.
    Api,
    /// What the daemon does by itself: the clock, and what operators have it do. Says what it says by the group's own ways.
    House,
}

impl Channel {
    /// The word used in sources, exports, metrics and jifen.toml.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::App => "app",
            Channel::Aibot => "aibot",
            Channel::Robot => "robot",
            Channel::Archive => "archive",
            Channel::Replay => "replay",
            Channel::Api => "api",
            Channel::House => "house",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Somebody said something.
    Said(Said),
    /// Something was done.
    Did(Act),
    /// Somebody took a message back.
    Recalled {
        /// The key of the message within the same source.
        of: KeyBytes,
    },
    /// A genuine callback whose contents nobody understands: kept, counted, acknowledged.
    Unknown {
        /// What it called itself (`event/change_contact`), for the counter; at most 64 characters.
        label: String,
        /// The plaintext.
        raw: String,
    },
}

impl Kind {
    /// The word used in the journal, exports and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Kind::Said(_) => "said",
            Kind::Did(act) => act.as_str(),
            Kind::Recalled { .. } => "recalled",
            Kind::Unknown { .. } => "unknown",
        }
    }
}

/// A message. The text is kept as it was written; `rules` fold it for matching.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Said {
    /// The text, with any `@name` still in it; empty for a bare picture.
    #[serde(default)]
    pub text: String,
    /// How many pictures came with it.
    #[serde(default)]
    pub images: u32,
    /// Those of them whose contents are known, by what they show; a channel that only counts pictures leaves this empty.
    #[serde(default)]
    pub pictures: Vec<Picture>,
    /// For each of them how it would look if it were cut out of another, or another out of it. For comparing on arrival, never kept.
    #[serde(skip)]
    pub crops: Vec<Vec<Look>>,
    /// A video came with it.
    #[serde(default)]
    pub video: bool,
    /// The link it carries.
    #[serde(default)]
    pub link: Option<String>,
    /// The text it quotes.
    #[serde(default)]
    pub quote: Option<String>,
    /// The platform says the assistant was mentioned (an AI bot or group robot hears nothing else), or the sender wrote its name after an @.
    #[serde(default)]
    pub at_assistant: bool,
}

/// A picture by its contents, never the picture itself. It is made of a file's bytes by [`crate::picture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Picture {
    /// The first 8 bytes of a SHA-256: of the file's bytes, or of the name that a channel has for its contents.
    pub exact: u64,
    /// What it looks like; `None` where nobody could open it.
    pub look: Option<Look>,
    /// The earlier picture of the campaign that this one shows again, by its `exact`; `None` for the first of its kind. Found on arrival.
    #[serde(default)]
    pub copy_of: Option<u64>,
}

impl Picture {
    /// A picture known by its bytes, or by a name that a channel has for its contents (a checksum).
    pub fn known_as(contents: &[u8]) -> Self {
        Picture { exact: KeyBytes::digest(contents).order(), look: None, copy_of: None }
    }

    /// What it is known by, together with all its copies.
    pub fn original(&self) -> u64 {
        self.copy_of.unwrap_or(self.exact)
    }
}

/// What a picture looks like: alike pictures differ in few bits, whatever became of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Look(pub [u64; 2]);

/// Pictures whose looks differ in at most so many of 128 bits are one picture.
///
/// Measured in the tests of [`crate::picture`]: re-compressed, cut by 5 % and watermarked pictures differ in 13 at most, fifty screenshots
/// of one riding app in 18 at least.
pub const LOOK_DISTANCE_MAX: u32 = 14;

impl Look {
    /// Whether two show the same.
    pub fn is_like(self, other: Look) -> bool {
        self.distance(other) <= LOOK_DISTANCE_MAX
    }

    /// In how many of the 128 bits two differ.
    pub fn distance(self, other: Look) -> u32 {
        (self.0[0] ^ other.0[0]).count_ones() + (self.0[1] ^ other.0[1]).count_ones()
    }
}
