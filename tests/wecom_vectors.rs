//! Every given vector of WeCom's envelope comes out with the verdict stated in it.

use jifen::wecom::envelope::{Keys, Query};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    aes_key: String,
    receiveid: String,
    timestamp: String,
    nonce: String,
    msg_signature: String,
    encrypt: String,
    plaintext: Option<String>,
    #[serde(default = "valid")]
    verdict: String,
}

fn valid() -> String {
    "valid".into()
}

fn open(vector: &Vector) -> Result<String, String> {
    let keys = Keys::new(&vector.token, &vector.aes_key, &vector.receiveid).map_err(|bad| bad.to_string())?;
    let query = Query { msg_signature: &vector.msg_signature, timestamp: &vector.timestamp, nonce: &vector.nonce };
    keys.open(query, &vector.encrypt).map_err(|refused| refused.to_string())
}

fn check(text: &str) -> usize {
    let file: File = serde_json::from_str(text).expect("the fixture is JSON of this shape");
    for vector in &file.vectors {
        match (vector.verdict.as_str(), open(vector)) {
            ("valid", opened) => assert_eq!(opened.as_ref().ok(), vector.plaintext.as_ref(), "{}: {opened:?}", vector.name),
            ("invalid", opened) => assert!(opened.is_err(), "{} was opened", vector.name),
            (other, _) => panic!("{}: unknown verdict {other}", vector.name),
        }
    }
    file.vectors.len()
}

#[test]
fn official_vectors_open_to_their_plaintexts() {
    assert_eq!(check(include_str!("../fixtures/wecom/official_vectors.json")), 10);
}

#[test]
fn vectors_of_other_libraries_come_out_as_stated() {
    assert_eq!(check(include_str!("../fixtures/wecom/callback_crypt.json")), 64);
}

/// Base64 with anything beside the standard alphabet is refused even when it is signed.
#[test]
fn loose_base64_is_refused_under_a_right_signature() {
    let keys = Keys::new("t", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C", "").unwrap();
    let sealed = keys.seal(&"签".repeat(40), "1", "2", [0xff; 16]);
    for loose in
        [format!("{}\n", sealed.encrypt), sealed.encrypt.trim_end_matches('=').to_owned(), format!(" {}", sealed.encrypt), sealed.encrypt.replace('+', "-")]
    {
        if loose == sealed.encrypt {
            continue;
        }
        let signature = signature("t", "1", "2", &loose);
        assert!(keys.open(Query { msg_signature: &signature, timestamp: "1", nonce: "2" }, &loose).is_err());
    }
}

fn signature(token: &str, timestamp: &str, nonce: &str, ciphertext: &str) -> String {
    use sha1::Digest;
    let mut parts = [token, timestamp, nonce, ciphertext];
    parts.sort_unstable();
    sha1::Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
}
