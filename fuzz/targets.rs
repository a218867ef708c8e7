//! What is fuzzed, and what must hold for any bytes. Shared by the fuzz targets and by the test that replays their corpus.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jifen::model::day::Millis;
use jifen::model::event::{Event, Kind};
use jifen::wecom::archive_record;
use jifen::wecom::body;
use jifen::wecom::callback::{FUTURE_MAX_MILLIS, Inbox, LABEL_CHARS_MAX, NAME_CHARS_MAX};
use jifen::wecom::envelope::{Keys, Query};
use sha1::{Digest, Sha1};

const NOW: Millis = Millis(1_795_309_205_000);
const TOKEN: &str = "QDG6eK";

/// The bytes as ciphertext, signed as they are: as text, and as what base64 would say.
pub fn envelope(data: &[u8]) {
    let Ok(keys) = Keys::new(TOKEN, "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "") else { return };
    let _ = body::encrypted(data);
    for ciphertext in [String::from_utf8_lossy(data).into_owned(), STANDARD.encode(data)] {
        let signature = sign(&ciphertext);
        let query = Query { msg_signature: &signature, timestamp: "1", nonce: "2" };
        let Ok(text) = keys.open(query, &ciphertext) else { continue };
        let again = keys.seal(&text, "1", "2", [7; 16]);
        let query = Query { msg_signature: &again.signature, ..query };
        assert_eq!(keys.open(query, &again.encrypt), Ok(text));
    }
}

/// The bytes as the plaintext of an app and of a group robot.
pub fn xml(data: &[u8]) {
    let _ = body::encrypted(data);
    check(&Inbox::app(&"acme".into(), "assistant", 1_000_002), data);
    check(&Inbox::robot(&"acme".into(), "announcer", "K"), data);
}

/// The bytes as the plaintext of an AI bot.
pub fn json(data: &[u8]) {
    let _ = body::encrypted(data);
    check(&Inbox::aibot(&"acme".into(), "helper"), data);
}

/// The bytes as a decrypted archive record.
pub fn archive_record(data: &[u8]) {
    let inbox = Inbox::archive(&"acme".into(), "ww1");
    let text = String::from_utf8_lossy(data);
    assert_eq!(vec![archive_record::to_event(&inbox, &text, NOW)], inbox.read(text.clone().into_owned(), NOW));
    check(&inbox, data);
}

/// Reading is total, repeatable and bounded, and loses nothing that it does not understand.
fn check(inbox: &Inbox, data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    let events = inbox.read(text.clone(), NOW);
    assert_eq!(events, inbox.read(text.clone(), NOW));
    assert!(!events.is_empty(), "something is kept of every genuine callback");
    for event in &events {
        bounded(event);
        if let Kind::Unknown { label, raw } = &event.kind {
            assert!(*raw == text || (raw.is_empty() && label.ends_with("/private")));
        }
    }
}

fn bounded(event: &Event) {
    assert!(event.at.0 <= NOW.0 + FUTURE_MAX_MILLIS && event.at.0 > 0);
    assert!(event.name.as_ref().is_none_or(|name| name.chars().count() <= NAME_CHARS_MAX));
    if let Kind::Unknown { label, .. } = &event.kind {
        assert!(label.chars().count() <= LABEL_CHARS_MAX);
    }
}

fn sign(ciphertext: &str) -> String {
    let mut parts = [TOKEN, "1", "2", ciphertext];
    parts.sort_unstable();
    Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}
