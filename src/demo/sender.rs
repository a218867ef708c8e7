//! WeCom's other half: turns what a member does into the callback that WeCom would send, seals it and POSTs it to the real route.
//!
//! Bodies follow developer.work.weixin.qq.com/document/path/90239 (app), 100719 (AI bot), 99399 (group robot), 92130 (customer groups).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::demo::tenant::{self, AIBOT, APP, BOT_TITLE, CORP, CUSTOMER_CHAT, INNER_CHAT, Pair, ROBOT, STAFF, Tenant};
use crate::demo::wecom::{Asked, Double};
use crate::model::event::{Event, Kind, Picture};
use crate::model::ids::EventKey;
use crate::picture::Sight;
use crate::wecom::archive_record;
use crate::wecom::callback::Inbox;
use crate::wecom::envelope::{BadKey, Keys};

/// WeCom tries a callback three times (developer.work.weixin.qq.com/document/path/90930).
const ATTEMPTS_MAX: u32 = 3;
/// And waits 5 s for each answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Sends callbacks for a company.
#[derive(Clone)]
pub struct Sender {
    tenant: Tenant,
    keys: Arc<ChannelKeys>,
    clock: Clock,
    http: reqwest::Client,
    /// Where the daemon listens.
    to: SocketAddr,
}

struct ChannelKeys {
    app: (Keys, Inbox),
    aibot: (Keys, Inbox),
    robot: (Keys, Inbox),
    archive: Inbox,
}

/// A callback as it will go out.
#[derive(Debug, Clone, PartialEq)]
pub struct Callback {
    /// The channel's name in jifen.toml.
    pub channel: &'static str,
    /// What is inside the envelope.
    pub plain: String,
    /// The key it will be known by.
    pub key: EventKey,
}

/// A record of the conversation archive, already decrypted: there is no callback that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived {
    /// Its msgid, by which it may be taken back.
    pub id: String,
    /// The record.
    pub plain: String,
    /// What the daemon makes of it.
    pub event: Event,
}

/// A callback that went out, and what came back.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Path and query of the request.
    pub uri: String,
    /// Its body: the envelope.
    pub body: String,
    /// How often it was sent.
    pub attempts: u32,
    /// The last answer's status; `None` when there was no answer.
    pub status: Option<u16>,
}

impl Delivery {
    /// Whether it was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.status == Some(200)
    }
}

impl Sender {
    /// Sends to a daemon on this machine.
    pub fn new(tenant: Tenant, clock: Clock, to: SocketAddr) -> Result<Self, BadKey> {
        let corp = CORP.into();
        let keys = |pair: &Pair, receiveid: &str| Keys::new(&pair.token, &pair.aes_key, receiveid);
        let keys = ChannelKeys {
            app: (keys(&tenant.app, &tenant.corp_id)?, Inbox::app(&corp, APP, tenant.agent_id)),
            aibot: (keys(&tenant.aibot, "")?, Inbox::aibot(&corp, AIBOT)),
            robot: (keys(&tenant.robot, "")?, Inbox::robot(&corp, ROBOT, &tenant.webhook_key)),
            archive: Inbox::archive(&corp, &tenant.corp_id),
        };
        Ok(Sender { tenant, keys: Arc::new(keys), clock, http: reqwest::Client::new(), to })
    }

    /// A text that a member writes to the app in their single chat.
    pub fn app_text(&self, userid: &str, text: &str) -> Callback {
        self.app_message(userid, "text", &[("Content", text)])
    }

    /// A picture that a member sends to the app. Its contents stay with WeCom: only their address comes.
    pub fn app_picture(&self, userid: &str, picture: &Picture) -> Callback {
        self.app_message(userid, "image", &[("PicUrl", &address(picture)), ("MediaId", "demo")])
    }

    fn app_message(&self, userid: &str, kind: &str, fields: &[(&str, &str)]) -> Callback {
        let id = message_number(&self.clock);
        let fields: String = fields.iter().map(|(name, value)| format!("<{name}>{}</{name}>", cdata(value))).collect();
        let plain = format!(
            "<xml><ToUserName>{}</ToUserName><FromUserName>{}</FromUserName><CreateTime>{}</CreateTime><MsgType>{}</MsgType>{fields}<MsgId>{id}</MsgId><AgentID>{}</AgentID></xml>",
            cdata(&self.tenant.corp_id),
            cdata(userid),
            self.clock.now().0 / 1000,
            cdata(kind),
            self.tenant.agent_id,
        );
        self.callback(APP, plain)
    }

    /// What the app hears when people join or leave a customer group: who it was, in a list. It has no message id.
    pub fn members_changed(&self, external_userid: &str, joined: bool) -> Callback {
        let (detail, scene) = if joined { ("add_member", "<JoinScene>3</JoinScene>") } else { ("del_member", "<QuitScene>0</QuitScene>") };
        let plain = format!(
            "<xml><ToUserName>{}</ToUserName><FromUserName>sys</FromUserName><CreateTime>{}</CreateTime><MsgType>event</MsgType><Event>change_external_chat</Event>\
             <ChatId>{}</ChatId><ChangeType>update</ChangeType><UpdateDetail>{detail}</UpdateDetail>{scene}<MemChangeCnt>1</MemChangeCnt>\
             <MemChangeList><Item>{}</Item></MemChangeList><CurMemVer>{}</CurMemVer></xml>",
            cdata(&self.tenant.corp_id),
            self.clock.now().0 / 1000,
            cdata(CUSTOMER_CHAT),
            cdata(external_userid),
            tenant::hex(8),
        );
        self.callback(APP, plain)
    }

    /// What a member says to the AI bot in the internal group: WeCom sends it only because it has an @. `message` is its number in the demo.
    pub fn aibot_text(&self, double: &Double, message: u64, userid: &str, text: &str, pictures: &[Picture]) -> Callback {
        let id = format!("CAIQ{}", tenant::hex(12));
        let asked = Asked { message, chat: Some(INNER_CHAT.to_owned()), by: userid.to_owned() };
        let code = double.give_response_code(asked);
        let mut plain = json!({
            "msgid": id,
            "aibotid": self.tenant.aibot_id,
            "chattype": "group",
            "chatid": INNER_CHAT,
            "from": { "userid": userid },
            "response_url": format!("{}/cgi-bin/aibot/response?response_code={code}", double.api_base()),
        });
        add_content(&mut plain, text, pictures);
        self.callback(AIBOT, plain.to_string())
    }

    /// What a member says to the group robot in the internal group, for tenants that have its callback.
    pub fn robot_text(&self, double: &Double, userid: &str, name: &str, text: &str) -> Callback {
        let id = format!("CIG{}", tenant::hex(12));
        let webhook = format!("{}/cgi-bin/webhook/send?key={}", double.api_base(), self.tenant.webhook_key);
        let plain = format!(
            "<xml><WebhookUrl>{}</WebhookUrl><MsgId>{id}</MsgId><ChatId>{INNER_CHAT}</ChatId><ChatType>group</ChatType>\
             <From><UserId>{}</UserId><Name>{}</Name><Alias></Alias></From><MsgType>text</MsgType><Text><Content>{}</Content></Text></xml>",
            cdata(&webhook),
            cdata(userid),
            cdata(name),
            cdata(&mentioning(text)),
        );
        self.callback(ROBOT, plain)
    }

    fn callback(&self, channel: &'static str, plain: String) -> Callback {
        let key = self.channel(channel).1.read(plain.clone(), self.clock.now()).swap_remove(0).key;
        Callback { channel, plain, key }
    }

    fn channel(&self, channel: &str) -> &(Keys, Inbox) {
        match channel {
            APP => &self.keys.app,
            AIBOT => &self.keys.aibot,
            _ => &self.keys.robot,
        }
    }

    /// Seals a callback and sends it until it is acknowledged, three times at most.
    pub async fn deliver(&self, callback: &Callback) -> Delivery {
        let mut delivery = self.seal(callback);
        while delivery.attempts < ATTEMPTS_MAX && !delivery.is_acknowledged() {
            delivery.attempts += 1;
            delivery.status = self.post(&delivery.uri, &delivery.body).await;
        }
        delivery
    }

    /// A callback in its envelope, not sent yet.
    pub fn seal(&self, callback: &Callback) -> Delivery {
        let timestamp = (self.clock.now().0 / 1000).to_string();
        let nonce = u32::from_be_bytes(tenant::random()).to_string();
        let sealed = self.channel(callback.channel).0.seal(&callback.plain, &timestamp, &nonce, tenant::random());
        let uri = format!("/wecom/{CORP}/{}?msg_signature={}&timestamp={timestamp}&nonce={nonce}", callback.channel, sealed.signature);
        let body = match callback.channel {
            AIBOT => json!({ "encrypt": sealed.encrypt }).to_string(),
            APP => format!(
                "<xml><ToUserName><![CDATA[{}]]></ToUserName><Encrypt><![CDATA[{}]]></Encrypt><AgentID><![CDATA[{}]]></AgentID></xml>",
                self.tenant.corp_id, sealed.encrypt, self.tenant.agent_id
            ),
            _ => format!("<xml><Encrypt><![CDATA[{}]]></Encrypt></xml>", sealed.encrypt),
        };
        Delivery { uri, body, attempts: 0, status: None }
    }

    /// Sends a body once; gives the answer's status.
    pub async fn post(&self, uri: &str, body: &str) -> Option<u16> {
        let request = self.http.post(format!("http://{}{uri}", self.to)).body(body.to_owned()).timeout(ANSWER_DEADLINE);
        request.send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// A text as the conversation archive would hand it over, decrypted. The id's ending says that outside people are in the chat.
    pub fn archived_text(&self, from: &str, text: &str) -> Archived {
        self.archived(from, "send", "text", json!({ "content": text }))
    }

    /// The same in a group of employees.
    pub fn archived_inside(&self, chat: &str, from: &str, text: &str) -> Archived {
        let mut record = json!({ "action": "send", "from": from, "tolist": [STAFF], "roomid": chat, "msgtype": "text" });
        record["text"] = json!({ "content": text });
        self.record(record, "")
    }

    /// A picture as the archive would hand it over, alone or with words; whoever pulls the archive fetches its contents as well.
    pub fn archived_picture(&self, from: &str, text: &str, sight: &Sight) -> Archived {
        let image = json!({ "sdkfileid": "demo", "md5sum": format!("{:032x}", sight.picture.exact), "filesize": 40_960 });
        let mut archived = if text.is_empty() {
            self.archived(from, "send", "image", image)
        } else {
            let item = |kind: &str, content: Value| json!({ "type": kind, "content": content.to_string() });
            self.archived(from, "send", "mixed", json!({ "item": [item("text", json!({ "content": text })), item("image", image)] }))
        };
        if let Kind::Said(said) = &mut archived.event.kind {
            (said.pictures, said.crops) = (vec![sight.picture], vec![sight.crops.clone()]);
        }
        archived
    }

    /// The taking back of a message as the archive would hand it over.
    pub fn archived_recall(&self, from: &str, of: &str) -> Archived {
        self.archived(from, "recall", "revoke", json!({ "pre_msgid": of }))
    }

    fn archived(&self, from: &str, action: &str, kind: &str, content: Value) -> Archived {
        let mut record = json!({ "action": action, "from": from, "tolist": [STAFF], "roomid": CUSTOMER_CHAT, "msgtype": kind });
        record[kind] = content;
        self.record(record, "_external")
    }

    /// A record with an id of this ending, said now.
    fn record(&self, mut record: Value, ending: &str) -> Archived {
        let now = self.clock.now();
        let id = format!("{}_{}{ending}", message_number(&self.clock), now.0);
        (record["msgid"], record["msgtime"]) = (json!(id), json!(now.0));
        let plain = record.to_string();
        Archived { id, event: archive_record::to_event(&self.keys.archive, &plain, now), plain }
    }
}

/// Text alone, or text and pictures mixed.
fn add_content(plain: &mut Value, text: &str, pictures: &[Picture]) {
    let text = mentioning(text);
    if pictures.is_empty() {
        plain["msgtype"] = json!("text");
        plain["text"] = json!({ "content": text });
        return;
    }
    let shown = pictures.iter().map(|picture| json!({ "msgtype": "image", "image": { "url": address(picture) } }));
    let items = std::iter::once(json!({ "msgtype": "text", "text": { "content": text } })).chain(shown);
    plain["msgtype"] = json!("mixed");
    plain["mixed"] = json!({ "msg_item": items.collect::<Vec<_>>() });
}

/// Where a picture lies: the same contents, the same address.
fn address(picture: &Picture) -> String {
    format!("https://wework.qpic.cn/demo/{:016x}", picture.exact)
}

/// A text with the @ without which no bot hears it.
fn mentioning(text: &str) -> String {
    if text.contains(&format!("@{BOT_TITLE}")) { text.to_owned() } else { format!("@{BOT_TITLE} {text}") }
}

/// Message ids ascend, also over restarts on a kept database.
fn message_number(clock: &Clock) -> i64 {
    let salt = i64::from(u16::from_be_bytes(tenant::random()));
    7_000_000_000_000_000_000 + clock.now().0.saturating_mul(100_000) % 200_000_000_000_000_000 + salt
}

/// A text for XML: `]]>` in it ends a section and begins another; characters that XML cannot hold are left out, as WeCom does.
fn cdata(text: &str) -> String {
    let text: String = text.chars().filter(|&c| c >= ' ' || matches!(c, '\t' | '\n' | '\r')).collect();
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::body;
    use crate::wecom::envelope::Query;

    fn sender() -> (Sender, Double) {
        let tenant = Tenant::generate();
        let double = Double::new(tenant.clone(), Clock::default());
        (Sender::new(tenant, Clock::default(), ([127, 0, 0, 1], 9).into()).unwrap(), double)
    }

    /// The value of a parameter.
    fn parameter<'a>(uri: &'a str, name: &str) -> &'a str {
        uri.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).unwrap()
    }

    #[test]
    fn every_channel_seals_what_its_keys_open() {
        let (sender, double) = sender();
        let callbacks = [
            (sender.app_text("阿明", "签到]]>"), &sender.keys.app.0),
            (sender.aibot_text(&double, 1, "阿明", "签到", &[Picture::known_as(b"1"), Picture::known_as(b"2")]), &sender.keys.aibot.0),
            (sender.robot_text(&double, "阿明", "阿明", "签到"), &sender.keys.robot.0),
        ];
        for (callback, keys) in callbacks {
            let sent = sender.seal(&callback);
            let query = Query {
                msg_signature: parameter(&sent.uri, "msg_signature"),
                timestamp: parameter(&sent.uri, "timestamp"),
                nonce: parameter(&sent.uri, "nonce"),
            };
            assert_eq!(keys.open(query, &body::encrypted(sent.body.as_bytes()).unwrap()).unwrap(), callback.plain);
        }
    }

    #[test]
    fn a_text_cannot_leave_its_section() {
        assert_eq!(cdata("a]]>b\0<"), "<![CDATA[a]]]]><![CDATA[>b<]]>");
    }

    #[tokio::test]
    async fn a_callback_that_nobody_answers_is_sent_three_times() {
        let (sender, _) = sender();
        let delivery = sender.deliver(&sender.app_text("阿明", "签到")).await;
        assert_eq!((delivery.attempts, delivery.status), (3, None));
    }
}
