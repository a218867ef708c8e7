//! Decrypted records of the conversation archive (会话内容存档) as events. The archive hears all talk and says nothing.
//!
//! ```json
//! {"msgid":"77_1795309200_external","action":"send","from":"wmA…","tolist":["aming"],"roomid":"wrGroup",
//!  "msgtime":1795309200456,"msgtype":"text","text":{"content":"签到"}}
//! {"msgid":"78_1795309209","action":"recall","from":"aming","tolist":["xiaohong"],"roomid":"wrkGroup",
//!  "msgtime":1795309209000,"msgtype":"revoke","revoke":{"pre_msgid":"77_1795309200"}}
//! ```
//!
//! Source: developer.work.weixin.qq.com/document/path/91774.

use std::borrow::Cow;

use serde_json::Value;

use super::callback::{Content, Inbox, Letter, Sent};
use crate::model::day::Millis;
use crate::model::event::{Event, GroupKind, Identity, Picture, Place, Said};
use crate::model::ids::KeyBytes;

/// Messages of which only the saying is told: neither text of the sender's own, nor picture, video or link.
const WORDLESS: [&str; 22] = [
    "voice",
    "file",
    "emotion",
    "card",
    "location",
    "weapp",
    "chatrecord",
    "todo",
    "vote",
    "collect",
    "redpacket",
    "external_redpacket",
    "meeting",
    "meeting_notification",
    "docmsg",
    "markdown",
    "news",
    "calendar",
    "sphfeed",
    "voiptext",
    "qydiskfile",
    "voip_doc_share",
];

/// Pictures of one message that are told apart; people send a handful.
const PICTURES_MAX: usize = 100;

/// Reads one record that was pulled at `received_at`. `inbox` is [`Inbox::archive`].
pub fn to_event(inbox: &Inbox, text: &str, received_at: Millis) -> Event {
    inbox.read(text.to_owned(), received_at).swap_remove(0)
}

/// Reads a record; `None` when it is no JSON object even after its control characters are escaped.
pub(super) fn read(text: &str) -> Option<Letter> {
    let record = parse(text)?;
    let at = |pointer: &str| text_at(&record, pointer);
    let msgid = at("/msgid");
    let time = ["msgtime", "time"].iter().find_map(|name| record.get(name)?.as_i64());
    Some(Letter {
        key: msgid.map_or_else(|| KeyBytes::digest(text.as_bytes()), KeyBytes::of),
        sent: time.map_or(Sent::Missing, |millis| Sent::At(Millis(millis))),
        place: place(&record).unwrap_or(Place::Single),
        who: at("/from").or(at("/user")).map(Identity::from_wecom),
        name: None,
        reply_url: None,
        bot: None,
        content: content(&record),
    })
}

fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// Texts may hold raw control characters, which JSON forbids: such a record is read again with them escaped.
fn parse(text: &str) -> Option<Value> {
    let record: Value = serde_json::from_str(text).or_else(|_| serde_json::from_str(&escape_controls(text))).ok()?;
    record.is_object().then_some(record)
}

/// Escapes characters below 0x20 inside strings; between them they are white space or an error, as before.
fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(|c: char| c < ' ') {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 64);
    let (mut in_string, mut after_backslash) = (false, false);
    for c in text.chars() {
        match c {
            c if c < ' ' && in_string => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
        in_string ^= c == '"' && !after_backslash;
        after_backslash = c == '\\' && !after_backslash;
    }
    Cow::Owned(escaped)
}

/// `None` for a conversation between two people.
fn place(record: &Value) -> Option<Place> {
    let chat = text_at(record, "/roomid")?.into();
    let has_customers = text_at(record, "/msgid")?.ends_with("_external");
    let kind = if has_customers { GroupKind::Customer } else { GroupKind::Internal };
    Some(Place::Group { chat, kind, title: None })
}

fn content(record: &Value) -> Content {
    let action = text_at(record, "/action").unwrap_or("no_action");
    let unknown = || Content::Unknown(format!("{action}/{}", text_at(record, "/msgtype").unwrap_or_default()));
    if !matches!(action, "send" | "recall") || text_at(record, "/msgid").is_none() || text_at(record, "/from").is_none() {
        return unknown();
    }
    if place(record).is_none() {
        // Two people among themselves: neither asked the assistant nor wrote for it, so their words are not kept.
        return Content::Private(format!("{action}/private"));
    }
    let understood = if action == "recall" { recalled(record) } else { said(record).map(Content::Said) };
    understood.unwrap_or_else(unknown)
}

fn recalled(record: &Value) -> Option<Content> {
    text_at(record, "/revoke/pre_msgid").map(|msgid| Content::Recalled(KeyBytes::of(msgid)))
}

fn said(record: &Value) -> Option<Said> {
    match text_at(record, "/msgtype")? {
        "mixed" => Some(mixed(record.pointer("/mixed/item")?.as_array()?)),
        msg_type => part(msg_type, record.get(msg_type)),
    }
}

/// A message, or an item of a mixed one, by its type and its own object.
fn part(msg_type: &str, object: Option<&Value>) -> Option<Said> {
    let own = |name: &str| object?.get(name)?.as_str().map(str::to_owned);
    match msg_type {
        "text" => Some(Said { text: own("content")?, ..Said::default() }),
        "image" => {
            let known = own("md5sum").filter(|sum| !sum.is_empty()).map(|sum| Picture::known_as(sum.as_bytes()));
            Some(Said { images: 1, pictures: known.into_iter().collect(), ..Said::default() })
        }
        "video" => Some(Said { video: true, ..Said::default() }),
        "link" => Some(Said { link: Some(own("link_url").unwrap_or_default()), ..Said::default() }),
        wordless if WORDLESS.contains(&wordless) => Some(Said::default()),
        _ => None,
    }
}

/// Items are `{type, content}` where the content is JSON written as text; what cannot be read in them is passed over.
fn mixed(items: &[Value]) -> Said {
    let mut whole = Said::default();
    for item in items {
        let Some(msg_type) = text_at(item, "/type") else { continue };
        let object = text_at(item, "/content").and_then(parse);
        let Some(said) = part(msg_type, object.as_ref()) else { continue };
        if !whole.text.is_empty() && !said.text.is_empty() {
            whole.text.push('\n');
        }
        whole.text.push_str(&said.text);
        whole.images += said.images;
        whole.pictures.extend(said.pictures.into_iter().take(PICTURES_MAX.saturating_sub(whole.pictures.len())));
        whole.video |= said.video;
        whole.link = whole.link.or(said.link);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{IdentityKind, Kind};
    use crate::wecom::callback::testing::{NOW, label, said};
    use serde_json::json;

    const CUSTOMER: &str = "wmErxtDgAA9AW32YyyuYRimKr7D1KWlw";

    fn read(changes: Value) -> Event {
        let mut record = json!({
            "msgid": "77_1795309200_external", "action": "send", "from": CUSTOMER, "tolist": ["aming"], "roomid": "wrGroup",
            "msgtime": 1_795_309_200_456_i64, "msgtype": "text", "text": {"content": "签到"},
        });
        for (name, value) in changes.as_object().unwrap() {
            record[name] = value.clone();
        }
        to_event(&Inbox::archive(&"acme".into(), "ww1"), &record.to_string(), NOW)
    }

    #[test]
    fn a_customer_s_text_is_talk_that_nobody_asked() {
        let event = read(json!({}));
        assert_eq!(said(&event).text, "签到");
        assert_eq!(event.place, Place::Group { chat: "wrGroup".into(), kind: GroupKind::Customer, title: None });
        assert_eq!(event.who.as_ref().unwrap().kind, IdentityKind::External);
        assert_eq!((&*event.key.source, event.key.key), ("acme/archive/ww1", KeyBytes::of("77_1795309200_external")));
        assert_eq!((event.at, event.clamped, event.asked()), (Millis(1_795_309_200_456), false, false));
    }

    #[test]
    fn a_group_without_the_suffix_is_internal() {
        let event = read(json!({"msgid": "77_1795309200", "from": "aming"}));
        assert_eq!(event.place, Place::Group { chat: "wrGroup".into(), kind: GroupKind::Internal, title: None });
        assert_eq!(event.who.unwrap().kind, IdentityKind::Userid);
    }

    #[test]
    fn a_recall_names_the_message_it_takes_back() {
        let event = read(json!({"msgid": "78", "action": "recall", "msgtype": "revoke", "revoke": {"pre_msgid": "77_1795309200_external"}}));
        assert_eq!(event.kind, Kind::Recalled { of: KeyBytes::of("77_1795309200_external") });
    }

    #[test]
    fn raw_control_characters_survive() {
        let text = "{\n\"msgid\":\"1\",\"action\":\"send\",\"from\":\"aming\",\"roomid\":\"wr\",\"msgtime\":1795309200456,\"msgtype\":\"text\",\t\"text\":{\"content\":\"签\u{1}到\n\\\"好\0\"}}";
        let event = to_event(&Inbox::archive(&"acme".into(), "ww1"), text, NOW);
        assert_eq!(said(&event).text, "签\u{1}到\n\"好\0");
    }

    #[test]
    fn pictures_videos_links_and_mixtures_are_counted() {
        assert_eq!(said(&read(json!({"msgtype": "image", "image": {"md5sum": "x"}}))).images, 1);
        assert!(said(&read(json!({"msgtype": "video"}))).video);
        assert_eq!(said(&read(json!({"msgtype": "link", "link": {"link_url": "https://example.com/"}}))).link.as_deref(), Some("https://example.com/"));
        let items = json!([{"type": "text", "content": "{\"content\":\"打卡\"}"}, {"type": "image", "content": "{}"}, {"type": "image"}, {"type": "text", "content": "{"}]);
        let mixed = read(json!({"msgtype": "mixed", "mixed": {"item": items}}));
        assert_eq!((said(&mixed).text.as_str(), said(&mixed).images), ("打卡", 2));
        assert_eq!(said(&read(json!({"msgtype": "redpacket"}))), &Said::default());
    }

    #[test]
    fn talk_between_two_people_is_not_kept() {
        let event = read(json!({"roomid": ""}));
        assert_eq!(event.kind, Kind::Unknown { label: "send/private".into(), raw: String::new() });
        assert!(!event.asked());
    }

    #[test]
    fn what_nobody_understands_is_kept() {
        assert_eq!(label(&read(json!({"action": "switch", "from": null, "msgtype": null, "user": "aming"}))), "switch/");
        assert_eq!(label(&read(json!({"msgtype": "hologram"}))), "send/hologram");
        assert_eq!(label(&read(json!({"msgtype": "agree", "agree": {}}))), "send/agree");
        assert_eq!(label(&read(json!({"text": 7}))), "send/text");
        assert_eq!(label(&read(json!({"action": "recall", "revoke": {}}))), "recall/text");
    }
}
