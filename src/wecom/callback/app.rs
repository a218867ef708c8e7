//! Callbacks of a self-built app (自建应用): XML, only single chats between a member and the app.
//!
//! ```xml
//! <xml><ToUserName>ww1</ToUserName><FromUserName>aming</FromUserName><CreateTime>1795309200</CreateTime>
//! <MsgType>text</MsgType><Content>签到</Content><MsgId>7300000000000000001</MsgId><AgentID>1000002</AgentID></xml>
//! ```
//!
//! Source: developer.work.weixin.qq.com/document/path/90239 (messages) and 90240 (events).

use std::borrow::Cow;

use super::{Content, Letter, Sent, employee};
use crate::model::act::Act;
use crate::model::event::{GroupKind, Identity, Picture, Place, Said};
use crate::model::ids::KeyBytes;
use crate::wecom::xml;

/// What tells two events apart. Sender and second alone, the official advice, lose events of one second (binarywang/WxJava #2314).
const EVENT_KEY: [&str; 13] = [
    "FromUserName",
    "CreateTime",
    "Event",
    "EventKey",
    "ChangeType",
    "UserID",
    "ExternalUserID",
    "ChatId",
    "UpdateDetail",
    "CurMemVer",
    "TaskId",
    "ResponseCode",
    "AgentID",
];

/// Events that the fields of [`EVENT_KEY`] tell apart; any other is known by its whole text.
const KEYED_EVENTS: [&str; 12] = [
    "subscribe",
    "unsubscribe",
    "enter_agent",
    "click",
    "view",
    "LOCATION",
    "change_contact",
    "change_external_contact",
    "change_external_chat",
    "template_card_event",
    "template_card_menu_event",
    "msgaudit_notify",
];

/// Most people of one change: WeCom's customer groups hold 500.
const MEMBERS_MAX: usize = 1_000;

#[derive(Default)]
struct Fields<'a> {
    msg_type: Option<Cow<'a, str>>,
    msg_id: Option<Cow<'a, str>>,
    content: Option<Cow<'a, str>>,
    url: Option<Cow<'a, str>>,
    picture: Option<Cow<'a, str>>,
    members: Vec<Cow<'a, str>>,
    key: [Option<Cow<'a, str>>; EVENT_KEY.len()],
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut fields = Fields::default();
        xml::leaves(text, |path, value| {
            if path == "MemChangeList/Item" {
                fields.members.extend(Some(value).filter(|id| !id.is_empty() && fields.members.len() < MEMBERS_MAX));
            } else if let Some(slot) = fields.slot(path) {
                slot.get_or_insert(value);
            }
        })
        .ok()?;
        Some(fields)
    }

    fn slot(&mut self, path: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match path {
            "MsgType" => Some(&mut self.msg_type),
            "MsgId" => Some(&mut self.msg_id),
            "Content" => Some(&mut self.content),
            "Url" => Some(&mut self.url),
            "PicUrl" => Some(&mut self.picture),
            _ => EVENT_KEY.iter().position(|name| *name == path).map(|at| &mut self.key[at]),
        }
    }

    fn keyed(&self, name: &str) -> &str {
        EVENT_KEY.iter().position(|known| *known == name).and_then(|at| self.key[at].as_deref()).unwrap_or_default()
    }
}

/// Reads a plaintext; `None` when it is no XML.
pub(super) fn read(text: &str) -> Option<Letter> {
    let fields = Fields::read(text)?;
    Some(Letter {
        key: key(&fields, text),
        sent: Sent::from_seconds(Some(fields.keyed("CreateTime"))),
        place: place(&fields),
        who: employee(fields.keyed("FromUserName")),
        name: None,
        reply_url: None,
        bot: None,
        content: content(&fields),
    })
}

/// A customer group for a change in it; everything else happens between a member and the app.
fn place(fields: &Fields<'_>) -> Place {
    match (changes_members(fields), fields.keyed("ChatId")) {
        (Some(_), chat) => Place::Group { chat: chat.into(), kind: GroupKind::Customer, title: None },
        (None, _) => Place::Single,
    }
}

/// What the people of a change of a customer group did: `None` for every other callback.
///
/// Source: developer.work.weixin.qq.com/document/path/92130; the list is nested (binarywang/WxJava #3904).
fn changes_members(fields: &Fields<'_>) -> Option<Act> {
    let is_change = fields.keyed("Event") == "change_external_chat" && !fields.keyed("ChatId").is_empty() && !fields.members.is_empty();
    match fields.keyed("UpdateDetail") {
        "add_member" if is_change => Some(Act::Joined),
        "del_member" if is_change => Some(Act::Left),
        _ => None,
    }
}

fn key(fields: &Fields<'_>, text: &str) -> KeyBytes {
    if let Some(id) = fields.msg_id.as_deref().filter(|id| !id.is_empty()) {
        return KeyBytes::of(id);
    }
    if !KEYED_EVENTS.contains(&fields.keyed("Event")) {
        return KeyBytes::digest(text.as_bytes());
    }
    let parts: Vec<&str> = fields.key.iter().map(|value| value.as_deref().unwrap_or_default()).collect();
    KeyBytes::digest(parts.join("\0").as_bytes())
}

fn content(fields: &Fields<'_>) -> Content {
    let msg_type = fields.msg_type.as_deref().unwrap_or("untyped");
    if let Some(act) = changes_members(fields) {
        return Content::Members(fields.members.iter().map(|id| (Identity::from_wecom(id), act.clone())).collect());
    }
    if msg_type == "event" {
        return Content::Unknown(event_label(fields));
    }
    let is_message = fields.msg_id.is_some() && employee(fields.keyed("FromUserName")).is_some();
    match said(msg_type, fields) {
        Some(said) if is_message => Content::Said(said),
        _ => Content::Unknown(msg_type.to_owned()),
    }
}

fn event_label(fields: &Fields<'_>) -> String {
    let label = format!("event/{}", fields.keyed("Event"));
    if fields.keyed("ChangeType").is_empty() { label } else { format!("{label}/{}", fields.keyed("ChangeType")) }
}

fn said(msg_type: &str, fields: &Fields<'_>) -> Option<Said> {
    match msg_type {
        "text" => Some(Said { text: fields.content.as_deref()?.to_owned(), ..Said::default() }),
        // The contents would have to be fetched; an address is at least the same for the same picture.
        "image" => {
            let known = fields.picture.as_deref().map(|address| Picture::known_as(address.as_bytes()));
            Some(Said { images: 1, pictures: known.into_iter().collect(), ..Said::default() })
        }
        "video" => Some(Said { video: true, ..Said::default() }),
        "link" => Some(Said { link: Some(fields.url.as_deref()?.to_owned()), ..Said::default() }),
        "voice" | "location" => Some(Said::default()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inbox;
    use super::super::testing::{NOW, label, one, said};
    use crate::model::act::Act;
    use crate::model::event::{Event, Identity, IdentityKind, Kind, Place};
    use crate::model::ids::KeyBytes;

    fn read(inner: &str) -> Event {
        let inbox = Inbox::app(&"acme".into(), "assistant", 1_000_002);
        one(inbox.read(format!("<xml><ToUserName>ww1</ToUserName>{inner}</xml>"), NOW))
    }

    fn message(msg_type: &str, more: &str) -> Event {
        read(&format!(
            "<FromUserName><![CDATA[aming]]></FromUserName><CreateTime>1795309200</CreateTime><MsgType><![CDATA[{msg_type}]]></MsgType>{more}<MsgId>7300000000000000001</MsgId>"
        ))
    }

    fn happened(event: &str, more: &str) -> Event {
        read(&format!("<FromUserName>sys</FromUserName><CreateTime>1795309200</CreateTime><MsgType>event</MsgType><Event>{event}</Event>{more}"))
    }

    #[test]
    fn a_text_is_talk_in_a_single_chat() {
        let event = message("text", "<Content><![CDATA[签\0到 \u{202e}]]></Content>");
        assert_eq!(said(&event).text, "签\0到 \u{202e}");
        assert_eq!(event.place, Place::Single);
        assert_eq!(event.who, Some(Identity { kind: IdentityKind::Userid, value: "aming".into() }));
        assert_eq!((&*event.key.source, event.key.key), ("acme/app/1000002", KeyBytes::of("7300000000000000001")));
        assert_eq!((event.at, event.clamped), (NOW.plus_secs(-5), false));
        assert!(event.asked());
    }

    #[test]
    fn pictures_videos_and_links_are_talk_without_text() {
        assert_eq!(said(&message("image", "<PicUrl>u</PicUrl>")).images, 1);
        assert!(said(&message("video", "")).video);
        assert_eq!(said(&message("link", "<Url>https://example.com/</Url>")).link.as_deref(), Some("https://example.com/"));
        assert_eq!(said(&message("voice", "")).text, "");
    }

    #[test]
    fn what_lacks_its_fields_is_kept_as_unknown() {
        assert_eq!(label(&message("text", "")), "text");
        assert_eq!(label(&message("hologram", "")), "hologram");
        assert_eq!(label(&read("<MsgType>text</MsgType><Content>签到</Content><MsgId>1</MsgId>")), "text");
        assert_eq!(label(&read("<a/>")), "untyped");
    }

    #[test]
    fn events_are_unknown_and_not_answered() {
        let event = happened("enter_agent", "");
        assert_eq!(label(&event), "event/enter_agent");
        assert_eq!(event.who, None);
        assert!(!event.asked());
        assert_eq!(label(&happened("change_contact", "<ChangeType>create_user</ChangeType>")), "event/change_contact/create_user");
    }

    #[test]
    fn two_events_of_one_second_stay_two() {
        let change = |userid: &str| happened("change_contact", &format!("<ChangeType>update_user</ChangeType><UserID>{userid}</UserID>")).key;
        assert_ne!(change("aming"), change("xiaohong"));
        let approval = |number: u32| happened("open_approval_change", &format!("<No>{number}</No>")).key;
        assert_ne!(approval(1), approval(2));
    }

    #[test]
    fn one_event_written_twice_is_one() {
        let first = happened("change_contact", "<ChangeType>update_user</ChangeType><UserID>aming</UserID>");
        let again = happened("change_contact", "\n<UserID><![CDATA[aming]]></UserID><ChangeType>update_user</ChangeType>");
        assert_eq!(first.key, again.key);
    }

    #[test]
    fn of_two_elements_of_one_name_the_first_counts() {
        let event = message("text", "<Content>签到</Content><Content>补签</Content>");
        assert_eq!(said(&event).text, "签到");
    }

    #[test]
    fn everybody_of_a_change_of_a_customer_group_came_or_went() {
        let change = |detail: &str, items: &str| {
            let inner = format!(
                "<FromUserName>sys</FromUserName><CreateTime>1795309200</CreateTime><MsgType>event</MsgType><Event>change_external_chat</Event>\
                 <ChatId>wrDemo</ChatId><ChangeType>update</ChangeType><UpdateDetail>{detail}</UpdateDetail><MemChangeCnt>2</MemChangeCnt>\
                 <MemChangeList>{items}</MemChangeList><CurMemVer>v2</CurMemVer>"
            );
            Inbox::app(&"acme".into(), "assistant", 1).read(format!("<xml>{inner}</xml>"), NOW)
        };
        let came = change("add_member", "<Item>wmAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA</Item><Item>aming</Item>");
        assert_eq!(came.len(), 2);
        let told: Vec<_> = came.iter().map(|event| (event.who.as_ref().map(|who| who.kind), event.kind.clone(), event.place.chat().cloned())).collect();
        assert_eq!(told[0], (Some(IdentityKind::External), Kind::Did(Act::Joined), Some("wrDemo".into())));
        assert_eq!(told[1], (Some(IdentityKind::Userid), Kind::Did(Act::Joined), Some("wrDemo".into())));
        assert_ne!(came[0].key, came[1].key);
        assert_eq!(came, change("add_member", "<Item>wmAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA</Item><Item>aming</Item>"), "the same when it is sent again");
        assert_eq!(change("del_member", "<Item>aming</Item>")[0].kind, Kind::Did(Act::Left));
        assert_eq!(label(&change("change_name", "")[0]), "event/change_external_chat/update");
    }
}
