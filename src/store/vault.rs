//! Keys: what the master key opens, and sealing at rest.
//!
//! From the master key (32 bytes, never in the database or a backup) come, by HMAC-SHA-256 over a label each: the key of
//! fingerprints, the key that wraps day keys, the key of names, and a check value that tells a wrong master key apart. Texts
//! and replies are sealed under the random key of their day (AES-256-GCM, random nonce); erasing a day is destroying its key.
//! Whatever needs another key later (entropy for draws) takes another label; nothing stored changes.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;

use crate::model::ids::FingerprintKey;

/// Length of the master key and of every key under it.
pub const KEY_BYTES: usize = 32;

/// What the master key gives. Clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Keys>);

struct Keys {
    fingerprints: [u8; KEY_BYTES],
    wrapping: Seal,
    names: Seal,
    check: [u8; KEY_BYTES],
}

impl Vault {
    /// The vault of a master key.
    pub fn new(master: [u8; KEY_BYTES]) -> Self {
        let master = hmac::Key::new(hmac::HMAC_SHA256, &master);
        Vault(Arc::new(Keys {
            fingerprints: derive(&master, "fingerprints"),
            wrapping: Seal::new(&derive(&master, "day keys")),
            names: Seal::new(&derive(&master, "names")),
            check: derive(&master, "check"),
        }))
    }

    /// A vault nobody can open again: for the demo and for tests.
    pub fn ephemeral() -> Self {
        Vault::new(random_key())
    }

    /// The key of fingerprints, the same on every start.
    pub fn fingerprint_key(&self) -> FingerprintKey {
        FingerprintKey::new(&self.0.fingerprints)
    }

    /// Kept in the database, so that another master key is refused instead of silently sealing anew.
    pub fn check(&self) -> &[u8] {
        &self.0.check
    }

    /// Seals day keys.
    pub fn wrapping(&self) -> &Seal {
        &self.0.wrapping
    }

    /// Seals names of members.
    pub fn names(&self) -> &Seal {
        &self.0.names
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(…)")
    }
}

/// Reads a master key: 64 hexadecimal characters; a line end is allowed. The error says what is wrong, without the key.
pub fn parse_master(text: &str) -> Result<[u8; KEY_BYTES], String> {
    let text = text.trim_end_matches(['\r', '\n']);
    let wrong =
        || format!("主密钥要写成 {} 个十六进制字符(32 字节),现在是 {} 个字符;用 openssl rand -hex 32 可以生成一个", KEY_BYTES * 2, text.chars().count());
    if text.len() != KEY_BYTES * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut master = [0; KEY_BYTES];
    for (at, byte) in master.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(|_| wrong())?;
    }
    Ok(master)
}

/// Seals and opens. What is sealed is bound to its table and row, so that it opens nowhere else.
pub struct Seal(RandomizedNonceKey);

impl Seal {
    /// A seal of this key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Seal(RandomizedNonceKey::new(&AES_256_GCM, key).expect("AES-256-GCM takes 32 bytes"))
    }

    /// Ciphertext, tag, nonce.
    pub fn seal(&self, table: &str, row: i64, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(plain.len() + AES_256_GCM.tag_len() + NONCE_LEN);
        sealed.extend_from_slice(plain);
        let nonce = self.0.seal_in_place_append_tag(place(table, row), &mut sealed).expect("far below the 64 GiB one nonce may seal");
        sealed.extend_from_slice(nonce.as_ref());
        sealed
    }

    /// What was sealed; `None` when it was sealed under another key, for another row, or was changed since.
    pub fn open(&self, table: &str, row: i64, sealed: &[u8]) -> Option<Vec<u8>> {
        let (body, nonce) = sealed.split_at_checked(sealed.len().checked_sub(NONCE_LEN)?)?;
        let mut plain = body.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let len = self.0.open_in_place(nonce, place(table, row), &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

/// A new random key.
pub fn random_key() -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key).expect("the system's randomness cannot run dry");
    key
}

fn place(table: &str, row: i64) -> Aad<Vec<u8>> {
    Aad::from([table.as_bytes(), &row.to_be_bytes()].concat())
}

fn derive(master: &hmac::Key, label: &str) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(master, format!("jifen/1/{label}").as_bytes());
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(tag.as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_master_key_gives_the_same_keys_and_another_gives_others() {
        let (first, again, other) = (Vault::new([1; 32]), Vault::new([1; 32]), Vault::new([2; 32]));
        assert_eq!(first.check(), again.check());
        assert_ne!(first.check(), other.check());
        assert_eq!(first.fingerprint_key().of("签到"), again.fingerprint_key().of("签到"));
        assert_ne!(first.fingerprint_key().of("签到"), other.fingerprint_key().of("签到"));
    }

    #[test]
    fn what_is_sealed_opens_in_its_own_row_only() {
        let seal = Seal::new(&[7; 32]);
        let sealed = seal.seal("event_text", 5, "签到".as_bytes());
        assert_eq!(seal.open("event_text", 5, &sealed).as_deref(), Some("签到".as_bytes()));
        assert_eq!(seal.open("event_text", 6, &sealed), None);
        assert_eq!(seal.open("outbox", 5, &sealed), None);
        assert_eq!(Seal::new(&[8; 32]).open("event_text", 5, &sealed), None);
        assert_eq!(seal.open("event_text", 5, &sealed[1..]), None);
        assert_eq!(seal.open("event_text", 5, b"short"), None);
        assert_ne!(sealed, seal.seal("event_text", 5, "签到".as_bytes()), "equal texts do not look equal");
    }

    #[test]
    fn a_master_key_is_64_hex_characters_and_perhaps_a_line_end() {
        let text = "00ff".repeat(16);
        assert_eq!(parse_master(&format!("{text}\r\n")).unwrap()[..2], [0, 255]);
        for wrong in ["", "00", &text[1..], &format!("{text} "), &"zz".repeat(32), &"积".repeat(32), &"+1".repeat(32)] {
            let error = parse_master(wrong).unwrap_err();
            assert!(error.contains("64"), "{error}");
        }
    }
}
