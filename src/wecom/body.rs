//! The outer body of a callback: where the ciphertext stands in XML and in JSON.
//!
//! ```text
//! <xml><ToUserName>…</ToUserName><Encrypt>…</Encrypt><AgentID>…</AgentID></xml>     apps and group robots
//! {"encrypt":"…"}                                                                  AI bots
//! ```
//!
//! The official samples disagree about letter case (sbzhu/weworkapi_php, sbzhu/weworkapi_python): both are read.

use std::borrow::Cow;

use serde::Deserialize;

use super::envelope::Refused;
use super::xml;

/// The ciphertext of a body; the caller bounds its size. XML or JSON is told by its first character.
pub fn encrypted(body: &[u8]) -> Result<Cow<'_, str>, Refused> {
    let text = std::str::from_utf8(body).map_err(|_| Refused::Body)?;
    let text = text.trim_start_matches('\u{feff}').trim_ascii_start();
    if text.starts_with('<') { from_xml(text) } else { from_json(text) }
}

fn from_xml(text: &str) -> Result<Cow<'_, str>, Refused> {
    let mut found = None;
    xml::leaves(text, |path, value| {
        if matches!(path, "Encrypt" | "encrypt") && found.is_none() {
            found = Some(value);
        }
    })
    .map_err(|_| Refused::Body)?;
    found.ok_or(Refused::Body)
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(borrow, alias = "Encrypt")]
    encrypt: Cow<'a, str>,
}

fn from_json(text: &str) -> Result<Cow<'_, str>, Refused> {
    serde_json::from_str::<Json<'_>>(text).map(|json| json.encrypt).map_err(|_| Refused::Body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_in_both_letter_cases() {
        for body in [
            "<xml><ToUserName><![CDATA[ww1]]></ToUserName><Encrypt><![CDATA[ab+/=]]></Encrypt><AgentID>1</AgentID></xml>",
            "<xml><tousername>ww1</tousername><encrypt>ab+/=</encrypt></xml>",
            "\u{feff}<xml><Encrypt>ab+/=</Encrypt></xml>",
            r#"{"encrypt":"ab+/="}"#,
            r#" {"ToUserName":"ww1","Encrypt":"ab+\/=","AgentID":218}"#,
        ] {
            assert_eq!(encrypted(body.as_bytes()).as_deref(), Ok("ab+/="), "{body}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        let deep = "[".repeat(100_000);
        let nested = format!(r#"{{"x":{deep}"#);
        for body in ["", "签到", "{}", "[]", "<xml/>", "<xml><A><Encrypt>x</Encrypt></A></xml>", r#"{"encrypt":7}"#, r#"{"encrypt":"a"} x"#, &deep, &nested] {
            assert_eq!(encrypted(body.as_bytes()), Err(Refused::Body));
        }
        assert_eq!(encrypted(b"<xml><Encrypt>\xff</Encrypt></xml>"), Err(Refused::Body));
    }
}
