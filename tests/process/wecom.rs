//! Callbacks as WeCom seals them, and envelopes as nobody should.

use std::fmt::Write;

use aes::Aes256Enc;
use aes::cipher::{Array, BlockModeEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::InnerIvInit;
use jifen::wecom::envelope::Keys;

pub const CORP_ID: &str = "ww5823bf96d3bd56c7";
pub const AGENT_ID: i64 = 1_000_002;
pub const APP_TOKEN: &str = "QDG6eK";
pub const AIBOT_TOKEN: &str = "hJqcu3uJ9Tn2gXPmxx2w9kkCkCE2EPYo";
pub const ROBOT_TOKEN: &str = "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo";
/// The EncodingAESKey of the official examples: its last symbol has stray bits.
pub const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

/// A sealed callback.
#[derive(Debug, Clone)]
pub struct Callback {
    /// The message's own id.
    pub id: String,
    /// Path and query.
    pub uri: String,
    pub body: String,
}

/// The present second.
pub fn now_secs() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A text to the app's single chat.
pub fn app_text(id: u64, who: &str, at_secs: i64, text: &str) -> Callback {
    let plain = format!(
        "<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><FromUserName><![CDATA[{who}]]></FromUserName><CreateTime>{at_secs}</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content><MsgId>{id}</MsgId><AgentID>{AGENT_ID}</AgentID></xml>"
    );
    app(&id.to_string(), &plain)
}

/// Any plaintext to the app.
pub fn app(id: &str, plain: &str) -> Callback {
    seal(id, "assistant", APP_TOKEN, CORP_ID, plain)
}

/// A text to the group robot, in its group.
pub fn robot_text(id: &str, who: &str, name: &str, text: &str) -> Callback {
    let plain = format!(
        "<xml><WebhookUrl><![CDATA[https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=webhook]]></WebhookUrl><MsgId>{id}</MsgId><ChatId>wrGroup</ChatId>\
         <ChatType>group</ChatType><From><UserId>{who}</UserId><Name>{}</Name><Alias></Alias></From><MsgType>text</MsgType>\
         <Text><Content>{}</Content></Text></xml>",
        escaped(name),
        escaped(text)
    );
    seal(id, "announcer", ROBOT_TOKEN, "", &plain)
}

/// Any plaintext to the AI bot.
pub fn aibot(id: &str, plain: &str) -> Callback {
    seal(id, "helper", AIBOT_TOKEN, "", plain)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn seal(id: &str, channel: &str, token: &str, receiveid: &str, plain: &str) -> Callback {
    let keys = Keys::new(token, KEY, receiveid).expect("a good key");
    let timestamp = now_secs().to_string();
    let sealed = keys.seal(plain, &timestamp, id, [7; 16]);
    let uri = format!("/wecom/acme/{channel}?msg_signature={}&timestamp={timestamp}&nonce={id}", sealed.signature);
    let body = match channel {
        "helper" => serde_json::json!({ "encrypt": sealed.encrypt }).to_string(),
        _ => format!("<xml><ToUserName><![CDATA[{receiveid}]]></ToUserName><Encrypt><![CDATA[{}]]></Encrypt></xml>", sealed.encrypt),
    };
    Callback { id: id.to_owned(), uri, body }
}

/// What stands in an envelope, byte by byte, for envelopes that nobody should send: sealed and signed with the right key.
pub struct Frame {
    pub text: Vec<u8>,
    /// What the length field says.
    pub length: u32,
    pub receiveid: &'static str,
    /// The padding byte, and how often it stands there; `None` for the right ones.
    pub padding: Option<(u8, usize)>,
}

impl Frame {
    pub fn of(text: &[u8]) -> Frame {
        Frame { text: text.to_vec(), length: u32::try_from(text.len()).expect("short"), receiveid: CORP_ID, padding: None }
    }

    /// The ciphertext.
    pub fn encrypted(&self) -> String {
        let mut bytes = [vec![9; 16], self.length.to_be_bytes().to_vec(), self.text.clone(), self.receiveid.as_bytes().to_vec()].concat();
        let right = 32 - bytes.len() % 32;
        let (byte, count) = self.padding.unwrap_or((u8::try_from(right).expect("at most 32"), right));
        bytes.resize(bytes.len() + count, byte);
        let key = decoded_key();
        let iv: [u8; 16] = key[..16].try_into().expect("16 bytes");
        let (blocks, rest) = Array::slice_as_chunks_mut(&mut bytes);
        assert!(rest.is_empty(), "whole blocks");
        cbc::Encryptor::<Aes256Enc>::inner_iv_init(Aes256Enc::new(&key.into()), &iv.into()).encrypt_blocks(blocks);
        STANDARD.encode(bytes)
    }
}

fn decoded_key() -> [u8; 32] {
    use base64::alphabet;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::STANDARD, config).decode(KEY).expect("base64").try_into().expect("32 bytes")
}

/// Path and query for a ciphertext, signed with this token.
pub fn signed_uri(token: &str, encrypt: &str) -> String {
    use sha1::{Digest, Sha1};
    let (timestamp, nonce) = ("1795300000", "881720443");
    let mut parts = [token, timestamp, nonce, encrypt];
    parts.sort_unstable();
    let mut signature = String::new();
    for byte in Sha1::digest(parts.concat()) {
        write!(signature, "{byte:02x}").expect("a String takes everything");
    }
    format!("/wecom/acme/assistant?msg_signature={signature}&timestamp={timestamp}&nonce={nonce}")
}

/// An XML body around a ciphertext.
pub fn body_of(encrypt: &str) -> String {
    format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")
}
