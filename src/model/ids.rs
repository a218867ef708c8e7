//! Ids: newtypes, so that two numbers in a row cannot be swapped, and the idempotency key of an event.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! number_ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub i64);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }
    )*};
}

number_ids! {
    /// Position of an event in the journal; dense, starts at 1.
    EventSeq,
    /// Position of a posting in the ledger; dense, starts at 1.
    PostingSeq,
    /// A person; several identities may lead to one member.
    MemberId,
    /// One outside id of a person (a userid, an external_userid …).
    IdentityId,
    /// A member in a campaign (in one group of it under `balance = "per_group"`).
    AccountId,
    /// A group chat; 0 stands for «no group» (single chats, shared balances).
    GroupId,
    /// A campaign of a corp.
    CampaignId,
    /// A source of events: a channel of a corp.
    SourceId,
    /// A row of the outbox.
    ReplyId,
    /// An interned text: a source, a ledger code, a rules.toml hash.
    NameId,
}

impl GroupId {
    /// No group: a single chat, or a balance shared by all groups of the campaign.
    pub const NONE: GroupId = GroupId(0);
}

/// The key a corp has in jifen.toml (`[corp.acme]`).
pub type CorpName = Arc<str>;

/// What the platform calls one message or event, in at most 16 bytes.
///
/// A decimal 64-bit MsgId is kept as 8 bytes big-endian, so that keys ascend with the platform's ids;
/// any other id as the first 16 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct KeyBytes {
    len: u8,
    bytes: [u8; 16],
}

impl KeyBytes {
    /// The key of an id as the platform wrote it.
    pub fn of(id: &str) -> Self {
        let canonical_decimal = !id.is_empty() && id.len() <= 20 && id.bytes().all(|b| b.is_ascii_digit()) && (id == "0" || !id.starts_with('0'));
        match id.parse::<u64>() {
            Ok(number) if canonical_decimal => Self::from_slice(&number.to_be_bytes()),
            _ => Self::digest(id.as_bytes()),
        }
    }

    /// The key of something that has no id of its own: the first 16 bytes of its SHA-256.
    pub fn digest(bytes: &[u8]) -> Self {
        Self::from_slice(&Sha256::digest(bytes)[..16])
    }

    /// A key read back from a store. Anything longer than 16 bytes is cut.
    pub fn from_slice(slice: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let len = slice.len().min(16);
        bytes[..len].copy_from_slice(&slice[..len]);
        KeyBytes { len: len as u8, bytes }
    }

    /// The first 8 bytes as a number: the platform's own number where the id is one.
    pub fn order(&self) -> u64 {
        self.bytes[..8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    /// The 8 or 16 bytes as they are stored.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The idempotency key of an event: where it came from and what it is called there. Unique for ever.
///
/// `source` is `corp/kind/stable id` (`acme/app/1000002`, `acme/replay`): the platform's own id of the
/// channel, never the name an operator gave it in jifen.toml.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKey {
    /// `corp/kind/stable id`.
    pub source: Arc<str>,
    /// The platform's id of the event.
    pub key: KeyBytes,
}

/// What stands before the source of a message in the key of its recall.
const RECALLS: &str = "recall/";

impl EventKey {
    /// The key under which the recall of this message is kept, so that one message is taken back once.
    pub fn of_recall(&self) -> EventKey {
        EventKey { source: format!("{RECALLS}{}", self.source).into(), key: self.key }
    }

    /// The message that the recall kept under this key takes back; `None` for a key that is not a recall's.
    pub fn recalled(&self) -> Option<EventKey> {
        Some(EventKey { source: self.source.strip_prefix(RECALLS)?.into(), key: self.key })
    }

    /// The corp: sources begin with it (`acme/app/1000002`), those of recalls after their word.
    pub fn corp(&self) -> &str {
        self.source.strip_prefix(RECALLS).unwrap_or(&self.source).split('/').next().unwrap_or_default()
    }

    /// The channel this came by: the source itself, for a recall that of its message.
    pub fn channel(&self) -> Arc<str> {
        self.recalled().map_or_else(|| self.source.clone(), |message| message.source)
    }
}

/// First 16 bytes of the SHA-256 of a rules.toml text: which version decided something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RulesHash(pub [u8; 16]);

impl RulesHash {
    /// The version of this text.
    pub fn of(text: &str) -> Self {
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(text.as_bytes())[..16]);
        RulesHash(hash)
    }
}

impl fmt::Display for RulesHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for RulesHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RulesHash({self})")
    }
}

/// Makes fingerprints of texts: equal texts, equal fingerprints; useless to whoever has not the key.
#[derive(Clone)]
pub struct FingerprintKey(aws_lc_rs::hmac::Key);

impl FingerprintKey {
    /// A key of these bytes (derived from the master key, or random in tests and the demo).
    pub fn new(bytes: &[u8]) -> Self {
        FingerprintKey(aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, bytes))
    }

    /// The first 8 bytes of HMAC-SHA-256 over the text.
    pub fn of(&self, text: &str) -> u64 {
        let tag = aws_lc_rs::hmac::sign(&self.0, text.as_bytes());
        tag.as_ref().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_ids_ascend_and_others_are_hashed() {
        assert_eq!(KeyBytes::of("4561255354251345929").as_slice().len(), 8);
        assert!(KeyBytes::of("10") < KeyBytes::of("11"));
        assert_eq!(KeyBytes::of("m-1").as_slice().len(), 16);
    }

    #[test]
    fn a_recall_is_kept_beside_its_message_and_came_by_the_same_channel() {
        let message = EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of("7") };
        let recall = message.of_recall();
        assert_ne!(recall, message);
        assert_eq!((recall.recalled(), recall.channel()), (Some(message.clone()), message.channel()));
        assert_eq!(message.recalled(), None);
    }

    #[test]
    fn different_texts_of_one_number_stay_different() {
        assert_ne!(KeyBytes::of("7"), KeyBytes::of("07"));
        assert_ne!(KeyBytes::of("+7"), KeyBytes::of("7"));
    }
}
