//! Callbacks of a group robot (群机器人, where the tenant has them): XML, single chats and group messages that @ it.
//!
//! ```xml
//! <xml><WebhookUrl>https://…</WebhookUrl><MsgId>CIG001</MsgId><ChatId>wrkGroup</ChatId><ChatType>group</ChatType>
//! <From><UserId>aming</UserId><Name>阿明</Name><Alias>ming</Alias></From>
//! <MsgType>text</MsgType><Text><Content>@积分助手 签到</Content></Text></xml>
//! ```
//!
//! It tells no time. Source: developer.work.weixin.qq.com/document/path/99399.

use std::borrow::Cow;

use super::{Content, Letter, Sent, employee};
use crate::model::event::{GroupKind, Place, Said};
use crate::model::ids::KeyBytes;
use crate::wecom::xml;

#[derive(Default)]
struct Fields<'a> {
    webhook_url: Option<Cow<'a, str>>,
    msg_id: Option<Cow<'a, str>>,
    chat_id: Option<Cow<'a, str>>,
    chat_type: Option<Cow<'a, str>>,
    user_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    alias: Option<Cow<'a, str>>,
    msg_type: Option<Cow<'a, str>>,
    event_type: Option<Cow<'a, str>>,
    text: Option<Cow<'a, str>>,
    mixed_texts: Vec<Cow<'a, str>>,
    mixed_images: u32,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut fields = Fields::default();
        xml::leaves(text, |path, value| fields.take(path, value)).ok()?;
        Some(fields)
    }

    fn take(&mut self, path: &str, value: Cow<'a, str>) {
        match path {
            "MixedMessage/MsgItem/Text/Content" => self.mixed_texts.push(value),
            "MixedMessage/MsgItem/Image/ImageUrl" => self.mixed_images += 1,
            _ => {
                if let Some(slot) = self.slot(path) {
                    slot.get_or_insert(value);
                }
            }
        }
    }

    fn slot(&mut self, path: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match path {
            "WebhookUrl" => Some(&mut self.webhook_url),
            "MsgId" => Some(&mut self.msg_id),
            "ChatId" => Some(&mut self.chat_id),
            "ChatType" => Some(&mut self.chat_type),
            "From/UserId" => Some(&mut self.user_id),
            "From/Name" => Some(&mut self.name),
            "From/Alias" => Some(&mut self.alias),
            "MsgType" => Some(&mut self.msg_type),
            "Event/EventType" => Some(&mut self.event_type),
            "Text/Content" => Some(&mut self.text),
            _ => None,
        }
    }
}

/// Reads a plaintext; `None` when it is no XML.
pub(super) fn read(text: &str) -> Option<Letter> {
    let fields = Fields::read(text)?;
    Some(Letter {
        key: given(&fields.msg_id).map_or_else(|| KeyBytes::digest(text.as_bytes()), KeyBytes::of),
        sent: Sent::Untold,
        place: place(&fields).unwrap_or(Place::Single),
        who: given(&fields.user_id).and_then(employee),
        name: given(&fields.name).or(given(&fields.alias)).map(str::to_owned),
        reply_url: given(&fields.webhook_url).map(str::to_owned),
        bot: None,
        content: content(&fields),
    })
}

fn given<'a>(field: &'a Option<Cow<'_, str>>) -> Option<&'a str> {
    field.as_deref().filter(|text| !text.is_empty())
}

/// `None` for a blackboard (公告板) and for a group without an id.
fn place(fields: &Fields<'_>) -> Option<Place> {
    match given(&fields.chat_type)? {
        "single" => Some(Place::Single),
        "group" => Some(Place::Group { chat: given(&fields.chat_id)?.into(), kind: GroupKind::Internal, title: None }),
        _ => None,
    }
}

fn content(fields: &Fields<'_>) -> Content {
    let msg_type = given(&fields.msg_type).unwrap_or("untyped");
    if msg_type == "event" {
        return Content::Unknown(format!("event/{}", given(&fields.event_type).unwrap_or_default()));
    }
    let known = given(&fields.msg_id).and(given(&fields.user_id));
    match known.and(place(fields)).zip(said(msg_type, fields)) {
        Some((place, said)) => Content::Said(Said { at_assistant: place != Place::Single, ..said }),
        None => Content::Unknown(msg_type.to_owned()),
    }
}

fn said(msg_type: &str, fields: &Fields<'_>) -> Option<Said> {
    match msg_type {
        "text" => Some(Said { text: fields.text.as_deref()?.to_owned(), ..Said::default() }),
        "image" => Some(Said { images: 1, ..Said::default() }),
        "mixed" => Some(Said { text: fields.mixed_texts.join("\n"), images: fields.mixed_images, ..Said::default() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NOW, label, one, said};
    use super::super::{Inbox, NAME_CHARS_MAX};
    use crate::model::event::{Event, GroupKind, Place};

    const WEBHOOK: &str = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=K";

    fn read(chat_type: &str, name: &str, message: &str) -> Event {
        let text = format!(
            "<xml><WebhookUrl><![CDATA[{WEBHOOK}]]></WebhookUrl><MsgId>CIG001</MsgId><ChatId>wrkGroup</ChatId><ChatType>{chat_type}</ChatType>\
             <From><UserId>aming</UserId><Name><![CDATA[{name}]]></Name><Alias>ming</Alias></From>{message}</xml>"
        );
        one(Inbox::robot(&"acme".into(), "announcer", "K").read(text, NOW))
    }

    const TEXT: &str = "<MsgType>text</MsgType><Text><Content>@积分助手 签到</Content></Text>";

    #[test]
    fn a_group_message_tells_the_name_and_leaves_its_webhook() {
        let event = read("group", "阿明", TEXT);
        assert_eq!(said(&event).text, "@积分助手 签到");
        assert!(said(&event).at_assistant);
        assert_eq!(event.name.as_deref(), Some("阿明"));
        assert_eq!(event.via.reply_url.as_deref(), Some(WEBHOOK));
        assert_eq!(event.place, Place::Group { chat: "wrkGroup".into(), kind: GroupKind::Internal, title: None });
        assert_eq!((event.at, event.clamped), (NOW, false));
    }

    #[test]
    fn a_single_chat_is_not_a_group() {
        let event = read("single", "阿明", TEXT);
        assert_eq!(event.place, Place::Single);
        assert!(!said(&event).at_assistant);
    }

    #[test]
    fn mixed_messages_count_their_pictures() {
        let items = "<MsgItem><MsgType>text</MsgType><Text><Content>签到</Content></Text></MsgItem>\
                     <MsgItem><MsgType>image</MsgType><Image><ImageUrl>u</ImageUrl></Image></MsgItem>";
        let event = read("group", "阿明", &format!("<MsgType>mixed</MsgType><MixedMessage>{items}{items}</MixedMessage>"));
        assert_eq!((said(&event).text.as_str(), said(&event).images), ("签到\n签到", 2));
    }

    #[test]
    fn names_are_data_and_have_a_limit() {
        assert_eq!(read("group", "{{7*7}}<script>\0", TEXT).name.as_deref(), Some("{{7*7}}<script>\0"));
        assert_eq!(read("group", &"明".repeat(65_536), TEXT).name.unwrap().chars().count(), NAME_CHARS_MAX);
        assert_eq!(read("group", "", TEXT).name.as_deref(), Some("ming"));
    }

    #[test]
    fn events_and_blackboards_are_unknown() {
        assert_eq!(label(&read("group", "", "<MsgType>event</MsgType><Event><EventType>add_to_chat</EventType></Event>")), "event/add_to_chat");
        assert_eq!(label(&read("blackboard", "阿明", TEXT)), "text");
        assert_eq!(label(&read("group", "阿明", "<MsgType>attachment</MsgType>")), "attachment");
    }
}
