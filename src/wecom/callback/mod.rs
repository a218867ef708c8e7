//! Plaintexts of callbacks as events. A genuine envelope never fails: what nobody understands becomes `Kind::Unknown`.

pub mod app;
pub mod aibot;
pub mod robot;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::archive_record;
use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, Identity, IdentityKind, Kind, Place, Said, Via};
use crate::model::ids::{CorpName, EventKey, KeyBytes};

/// How far ahead of our clock a message's own time may be before ours is taken instead.
pub const FUTURE_MAX_MILLIS: i64 = 5 * 60 * 1000;
/// Characters of a label of [`Kind::Unknown`]; it names a counter.
pub const LABEL_CHARS_MAX: usize = 64;
/// Characters of a name that are kept; WeCom's own limit is 64.
pub const NAME_CHARS_MAX: usize = 128;

/// One way in, made once per channel of jifen.toml: turns its plaintexts into events.
#[derive(Debug, Clone)]
pub struct Inbox {
    corp: CorpName,
    channel: Channel,
    name: Arc<str>,
    /// `corp/kind/stable id`; for AI bots without the id, which each message tells.
    source: Arc<str>,
}

impl Inbox {
    /// A self-built app, known by its AgentId.
    pub fn app(corp: &CorpName, name: &str, agent_id: i64) -> Self {
        Self::new(corp, Channel::App, name, &agent_id.to_string())
    }

    /// An AI bot; its messages carry its id.
    pub fn aibot(corp: &CorpName, name: &str) -> Self {
        Inbox { corp: corp.clone(), channel: Channel::Aibot, name: name.into(), source: format!("{corp}/aibot").into() }
    }

    /// A group robot, known by a digest of its webhook key.
    pub fn robot(corp: &CorpName, name: &str, webhook_key: &str) -> Self {
        let digest = Sha256::digest(webhook_key.as_bytes());
        let stable_id: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self::new(corp, Channel::Robot, name, &stable_id)
    }

    /// The conversation archive of a corp.
    pub fn archive(corp: &CorpName, corp_id: &str) -> Self {
        Self::new(corp, Channel::Archive, "archive", corp_id)
    }

    fn new(corp: &CorpName, channel: Channel, name: &str, stable_id: &str) -> Self {
        Inbox { corp: corp.clone(), channel, name: name.into(), source: format!("{corp}/{}/{stable_id}", channel.as_str()).into() }
    }

    /// The channel's kind.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Reads one opened envelope (or one decrypted archive record) that arrived at `received_at`: one event, but as many as members who
    /// came or went where it tells of several.
    pub fn read(&self, plaintext: String, received_at: Millis) -> Vec<Event> {
        let letter = match self.channel {
            Channel::App => app::read(&plaintext),
            Channel::Aibot => aibot::read(&plaintext),
            Channel::Robot => robot::read(&plaintext),
            Channel::Archive => archive_record::read(&plaintext),
            Channel::Replay | Channel::Api | Channel::House => None,
        };
        let letter = letter.unwrap_or_else(|| Letter::unreadable(&plaintext));
        match &letter.content {
            Content::Members(members) => members.iter().map(|member| self.event(letter.of(member), String::new(), received_at)).collect(),
            Content::Said(_) | Content::Recalled(_) | Content::Did(_) | Content::Unknown(_) | Content::Private(_) => {
                vec![self.event(letter, plaintext, received_at)]
            }
        }
    }

    fn event(&self, letter: Letter, plaintext: String, received_at: Millis) -> Event {
        let (at, clamped) = letter.sent.against(received_at);
        Event {
            key: EventKey { source: self.source_of(letter.bot.as_deref()), key: letter.key },
            corp: self.corp.clone(),
            at,
            received_at,
            clamped,
            place: letter.place,
            who: letter.who,
            name: letter.name.filter(|name| !name.is_empty()).map(|name| cut(&name, NAME_CHARS_MAX)),
            via: Via { channel: self.channel, name: self.name.clone(), reply_url: letter.reply_url.map(Arc::from) },
            kind: match letter.content {
                Content::Said(said) => Kind::Said(said),
                Content::Recalled(of) => Kind::Recalled { of },
                Content::Did(act) => Kind::Did(act),
                // Several are told apart before (`read`).
                Content::Members(_) => Kind::Unknown { label: "event/change_external_chat".into(), raw: plaintext },
                Content::Unknown(label) => Kind::Unknown { label: printable(&label), raw: plaintext },
                Content::Private(label) => Kind::Unknown { label: printable(&label), raw: String::new() },
            },
        }
    }

    fn source_of(&self, bot: Option<&str>) -> Arc<str> {
        match self.channel {
            Channel::Aibot => format!("{}/{}", self.source, bot.unwrap_or("unknown")).into(),
            Channel::App | Channel::Robot | Channel::Archive | Channel::Replay | Channel::Api | Channel::House => self.source.clone(),
        }
    }
}

/// What a channel's parser found: all that an event needs beside the channel itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Letter {
    pub(super) key: KeyBytes,
    pub(super) sent: Sent,
    pub(super) place: Place,
    pub(super) who: Option<Identity>,
    pub(super) name: Option<String>,
    pub(super) reply_url: Option<String>,
    /// The AI bot's id.
    pub(super) bot: Option<String>,
    pub(super) content: Content,
}

impl Letter {
    /// The letter as it would tell of one of its people alone. Its key is made of the letter's and of the person's id.
    fn of(&self, (who, act): &(Identity, Act)) -> Self {
        let key = KeyBytes::digest(&[self.key.as_slice(), who.folded().as_bytes()].concat());
        Letter { key, who: Some(who.clone()), content: Content::Did(act.clone()), ..self.clone() }
    }

    fn unreadable(plaintext: &str) -> Self {
        Letter {
            key: KeyBytes::digest(plaintext.as_bytes()),
            sent: Sent::Untold,
            place: Place::Single,
            who: None,
            name: None,
            reply_url: None,
            bot: None,
            content: Content::Unknown("unreadable".into()),
        }
    }
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Said(Said),
    Recalled(KeyBytes),
    /// Who caused it did this.
    Did(Act),
    /// These people did something, each.
    Members(Vec<(Identity, Act)>),
    /// Nobody understands it; it goes by this label and is kept whole.
    Unknown(String),
    /// Not meant for us: counted under this label, its text not kept.
    Private(String),
}

/// What a letter tells of its own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// This instant.
    At(Millis),
    /// The channel tells no time, so ours is as good as any.
    Untold,
    /// The channel should tell it and does not.
    Missing,
}

impl Sent {
    /// Seconds since 1970 as text; a channel that should send them.
    pub(super) fn from_seconds(text: Option<&str>) -> Self {
        let millis = text.and_then(|text| text.parse::<i64>().ok()).and_then(|seconds| seconds.checked_mul(1000));
        millis.map_or(Sent::Missing, |millis| Sent::At(Millis(millis)))
    }

    /// The event's time, and whether it had to be replaced by ours.
    fn against(self, received_at: Millis) -> (Millis, bool) {
        match self {
            Sent::At(at) if at.0 > 0 && at.0 <= received_at.0.saturating_add(FUTURE_MAX_MILLIS) => (at, false),
            Sent::At(_) | Sent::Missing => (received_at, true),
            Sent::Untold => (received_at, false),
        }
    }
}

/// An employee by userid; `None` for nobody and for the platform itself.
pub(super) fn employee(userid: &str) -> Option<Identity> {
    let somebody = !userid.is_empty() && userid != "sys";
    somebody.then(|| Identity { kind: IdentityKind::Userid, value: userid.into() })
}

fn printable(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(LABEL_CHARS_MAX).collect()
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
pub(super) mod testing {
    //! What the tests of all channels share.

    use super::*;

    /// The one event of a callback.
    pub fn one(mut events: Vec<Event>) -> Event {
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// 2026-11-22 09:00:05 +08:00
    pub const NOW: Millis = Millis(1_795_309_205_000);

    pub fn said(event: &Event) -> &Said {
        event.said().unwrap_or_else(|| panic!("{event:?} is no talk"))
    }

    pub fn label(event: &Event) -> &str {
        match &event.kind {
            Kind::Unknown { label, .. } => label,
            other => panic!("{other:?} is understood"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::NOW;
    use super::*;

    #[test]
    fn a_time_of_zero_or_in_the_future_is_replaced_and_an_old_one_is_not() {
        let sent = |text: Option<&str>| Sent::from_seconds(text).against(NOW);
        assert_eq!(sent(Some("0")), (NOW, true));
        assert_eq!(sent(None), (NOW, true));
        assert_eq!(sent(Some("-5")), (NOW, true));
        assert_eq!(sent(Some("99999999999999999999")), (NOW, true));
        assert_eq!(sent(Some(&i64::MAX.to_string())), (NOW, true));
        assert_eq!(sent(Some("1795309505")), (NOW.plus_secs(300), false));
        assert_eq!(sent(Some("1795309506")), (NOW, true));
        assert_eq!(sent(Some("1700000000")), (Millis(1_700_000_000_000), false));
        assert_eq!(Sent::Untold.against(NOW), (NOW, false));
    }

    #[test]
    fn nonsense_is_kept_whole_under_its_digest() {
        let corp: CorpName = "acme".into();
        for inbox in [Inbox::app(&corp, "assistant", 1), Inbox::aibot(&corp, "helper"), Inbox::robot(&corp, "announcer", "K"), Inbox::archive(&corp, "ww1")] {
            for nonsense in ["", "a\0b", "{", "<xml>", "<!DOCTYPE x><xml/>", "[1e400]", "\u{202e}", &"[".repeat(100_000), &"<a>".repeat(100_000)] {
                let [event] = &inbox.read(nonsense.to_owned(), NOW)[..] else { panic!("one event") };
                assert_eq!(event.kind, Kind::Unknown { label: "unreadable".into(), raw: nonsense.into() });
                assert_eq!(event.key.key, KeyBytes::digest(nonsense.as_bytes()));
            }
        }
    }

    #[test]
    fn a_webhook_key_is_not_in_the_source() {
        let inbox = Inbox::robot(&"acme".into(), "announcer", "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa");
        assert!(inbox.source.starts_with("acme/robot/"));
        assert_eq!(inbox.source.len(), "acme/robot/".len() + 16);
        assert!(!inbox.source.contains("693a91f6"));
    }
}
