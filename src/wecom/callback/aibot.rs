//! Callbacks of an AI bot (智能机器人) in URL mode: JSON, single chats and group messages that @ it.
//!
//! ```json
//! {"msgid":"CAIQ0001","aibotid":"aib1","chattype":"group","chatid":"wrGroup","from":{"userid":"aming"},
//!  "response_url":"https://…","msgtype":"text","text":{"content":"@积分助手 签到"},
//!  "quote":{"msgtype":"text","text":{"content":"本周规则"}}}
//! ```
//!
//! Source: developer.work.weixin.qq.com/document/path/100719 (messages) and 101027 (events).

use serde_json::Value;

use super::{Content, Letter, Sent, employee};
use crate::model::event::{GroupKind, Picture, Place, Said};
use crate::model::ids::KeyBytes;

/// Reads a plaintext; `None` when it is no JSON object.
pub(super) fn read(text: &str) -> Option<Letter> {
    let message: Value = serde_json::from_str(text).ok()?;
    message.as_object()?;
    let at = |pointer: &str| text_at(&message, pointer);
    Some(Letter {
        key: at("/msgid").map_or_else(|| KeyBytes::digest(text.as_bytes()), KeyBytes::of),
        sent: sent(&message),
        place: place(&message).unwrap_or(Place::Single),
        who: at("/from/userid").and_then(employee),
        name: None,
        reply_url: at("/response_url").map(str::to_owned),
        bot: at("/aibotid").map(str::to_owned),
        content: content(&message),
    })
}

/// A text that is there and not empty.
fn text_at<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// Messages need not tell their time; what is told must be right. A number or a text.
fn sent(message: &Value) -> Sent {
    match message.get("create_time") {
        None | Some(Value::Null) => Sent::Untold,
        Some(Value::String(text)) => Sent::from_seconds(Some(text)),
        Some(other) => Sent::from_seconds(Some(&other.to_string())),
    }
}

/// `None` for a group without an id.
fn place(message: &Value) -> Option<Place> {
    let chat = text_at(message, "/chatid");
    match (text_at(message, "/chattype"), chat) {
        (Some("group"), None) => None,
        (Some("group") | None, Some(chat)) => Some(Place::Group { chat: chat.into(), kind: GroupKind::Internal, title: None }),
        (_, _) => Some(Place::Single),
    }
}

fn content(message: &Value) -> Content {
    let msg_type = text_at(message, "/msgtype").unwrap_or("untyped");
    if msg_type == "event" {
        return Content::Unknown(format!("event/{}", text_at(message, "/event/eventtype").unwrap_or_default()));
    }
    let known = text_at(message, "/msgid").and(text_at(message, "/aibotid")).and(text_at(message, "/from/userid"));
    let heard = known.and(place(message)).zip(said(msg_type, message));
    let Some((place, said)) = heard else { return Content::Unknown(msg_type.to_owned()) };
    let quote = message.get("quote").and_then(quoted);
    Content::Said(Said { quote, at_assistant: place != Place::Single, ..said })
}

/// Pictures of one message that are told apart; people send a handful.
const PICTURES_MAX: usize = 100;

/// One part of a message: the whole, an item of `mixed`, or what is quoted.
fn said(msg_type: &str, part: &Value) -> Option<Said> {
    let content = |pointer: &str| part.pointer(pointer)?.as_str().map(str::to_owned);
    match msg_type {
        "text" => Some(Said { text: content("/text/content")?, ..Said::default() }),
        // WeCom transcribes what was spoken.
        "voice" => Some(Said { text: content("/voice/content")?, ..Said::default() }),
        "mixed" => Some(mixed(part.pointer("/mixed/msg_item")?.as_array()?)),
        "image" => Some(Said { images: 1, pictures: picture(part).into_iter().collect(), ..Said::default() }),
        "video" => Some(Said { video: true, ..Said::default() }),
        "file" => Some(Said::default()),
        _ => None,
    }
}

/// Items inside a mixed item are not looked into, so nothing recurses.
fn mixed(items: &[Value]) -> Said {
    let of_type = |wanted: &'static str| items.iter().filter(move |item| text_at(item, "/msgtype") == Some(wanted));
    let texts: Vec<&str> = of_type("text").filter_map(|item| text_at(item, "/text/content")).collect();
    let pictures = of_type("image").filter_map(picture).take(PICTURES_MAX).collect();
    Said { text: texts.join("\n"), images: of_type("image").count() as u32, pictures, video: of_type("video").next().is_some(), ..Said::default() }
}

/// The contents would have to be fetched and opened; an address is at least the same for the same picture.
fn picture(part: &Value) -> Option<Picture> {
    text_at(part, "/image/url").map(|address| Picture::known_as(address.as_bytes()))
}

fn quoted(quote: &Value) -> Option<String> {
    let said = said(text_at(quote, "/msgtype")?, quote)?;
    (!said.text.is_empty()).then_some(said.text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Inbox;
    use super::super::testing::{NOW, label, one, said};
    use crate::model::event::{Event, GroupKind, IdentityKind, Place};
    use crate::model::ids::KeyBytes;

    fn read(changes: Value) -> Event {
        let mut message = json!({
            "msgid": "CAIQ0001", "aibotid": "aib1", "chattype": "group", "chatid": "wrGroup", "from": {"userid": "aming"},
            "response_url": "https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=A",
            "msgtype": "text", "text": {"content": "@积分助手 签到"},
        });
        for (name, value) in changes.as_object().unwrap() {
            message[name] = value.clone();
        }
        one(Inbox::aibot(&"acme".into(), "helper").read(message.to_string(), NOW))
    }

    #[test]
    fn a_group_message_is_asked_and_leaves_a_way_to_answer() {
        let event = read(json!({}));
        assert_eq!(said(&event).text, "@积分助手 签到");
        assert_eq!(event.place, Place::Group { chat: "wrGroup".into(), kind: GroupKind::Internal, title: None });
        assert!(event.asked());
        assert_eq!((&*event.key.source, event.key.key), ("acme/aibot/aib1", KeyBytes::of("CAIQ0001")));
        assert_eq!(event.via.reply_url.as_deref(), Some("https://qyapi.weixin.qq.com/cgi-bin/aibot/response?response_code=A"));
        assert_eq!((event.at, event.clamped), (NOW, false));
        assert_eq!(event.who.unwrap().kind, IdentityKind::Userid);
    }

    #[test]
    fn a_single_chat_is_not_a_group() {
        let event = read(json!({"chattype": "single", "chatid": null}));
        assert_eq!(event.place, Place::Single);
        assert!(!said(&event).at_assistant && event.asked());
    }

    #[test]
    fn mixed_messages_count_their_pictures() {
        let items = json!([{"msgtype": "text", "text": {"content": "@积分助手 签到"}}, {"msgtype": "image", "image": {"url": "u"}}, {"msgtype": "image"}]);
        let event = read(json!({"msgtype": "mixed", "mixed": {"msg_item": items}}));
        assert_eq!((said(&event).text.as_str(), said(&event).images), ("@积分助手 签到", 2));
    }

    #[test]
    fn quotes_and_spoken_words_are_heard() {
        let event = read(json!({"quote": {"msgtype": "text", "text": {"content": "本周规则"}}}));
        assert_eq!(said(&event).quote.as_deref(), Some("本周规则"));
        assert_eq!(said(&read(json!({"msgtype": "voice", "voice": {"content": "签到"}}))).text, "签到");
        assert_eq!(said(&read(json!({"quote": {"msgtype": "image"}}))).quote, None);
    }

    #[test]
    fn a_time_that_is_told_is_taken() {
        assert_eq!(read(json!({"create_time": 1_795_309_200})).at, NOW.plus_secs(-5));
        assert_eq!(read(json!({"create_time": "1795309200"})).at, NOW.plus_secs(-5));
        assert!(read(json!({"create_time": 0})).clamped);
        assert!(read(json!({"create_time": 1.5})).clamped);
    }

    #[test]
    fn what_lacks_its_fields_is_kept_as_unknown() {
        assert_eq!(label(&read(json!({"text": {}}))), "text");
        assert_eq!(label(&read(json!({"chatid": null}))), "text");
        assert_eq!(label(&read(json!({"from": 7}))), "text");
        assert_eq!(label(&read(json!({"msgid": null}))), "text");
        assert_eq!(label(&read(json!({"msgtype": "stream", "stream": {"id": "s"}}))), "stream");
        assert_eq!(label(&read(json!({"msgtype": null}))), "untyped");
        let event = read(json!({"msgtype": "event", "event": {"eventtype": "enter_chat"}}));
        assert_eq!(label(&event), "event/enter_chat");
        assert!(!event.asked());
    }

    #[test]
    fn a_label_is_printable_and_has_a_limit() {
        assert_eq!(label(&read(json!({"msgtype": "a\n\u{1b}[31m\u{0}b"}))), "a[31mb");
        assert_eq!(label(&read(json!({"msgtype": "积".repeat(500)}))).chars().count(), 64);
    }
}
