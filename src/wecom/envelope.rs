//! The envelope of callbacks (WXBizMsgCrypt): verify, open, seal.
//!
//! ```text
//! signature  = lower-case hex SHA-1 of token, timestamp, nonce, ciphertext, sorted as byte strings and joined
//! ciphertext = base64( AES-256-CBC( random 16 ‖ length u32 big-endian ‖ text ‖ receiveid ‖ padding to 32 ) )
//! AES key    = base64 of the 43 characters of EncodingAESKey; IV = its first 16 bytes
//! ```
//!
//! Source: developer.work.weixin.qq.com/document/path/90968 and 101033 (AI bot: receiveid is empty); sample code sbzhu/weworkapi_php.

use std::fmt;

use aes::{Aes256Dec, Aes256Enc};
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use cbc::cipher::array::Array;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use cbc::{Decryptor, Encryptor};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;

use crate::failpoint;

/// Characters of an EncodingAESKey.
const AES_KEY_CHARS: usize = 43;
/// WeCom pads to this many bytes, twice the block of AES.
const PADDING_BLOCK_BYTES: usize = 32;
const CIPHER_BLOCK_BYTES: usize = 16;
/// The random prefix and the length field.
const HEAD_BYTES: usize = 20;

/// The last symbol of official keys has non-zero trailing bits, which the default decoder refuses.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Token and key of one callback address, ready for use.
#[derive(Clone)]
pub struct Keys {
    token: String,
    receiveid: String,
    decrypt: Aes256Dec,
    encrypt: Aes256Enc,
    iv: [u8; CIPHER_BLOCK_BYTES],
}

/// Why token and EncodingAESKey cannot be used. Says nothing of their contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Everybody could sign with an empty token.
    #[error("token 是空的;请从企业微信管理后台「接收消息」页复制")]
    EmptyToken,
    /// Not 43 characters.
    #[error("encoding_aes_key 应当正好 43 个字符,现在是 {0} 个;请从企业微信管理后台「接收消息」页重新复制")]
    Length(usize),
    /// Not letters and digits.
    #[error("encoding_aes_key 里有不该出现的字符,只能是英文字母和数字;请从企业微信管理后台「接收消息」页重新复制")]
    Characters,
}

/// The three parameters of a callback's address, already percent-decoded.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// `msg_signature`
    pub msg_signature: &'a str,
    /// `timestamp`
    pub timestamp: &'a str,
    /// `nonce`
    pub nonce: &'a str,
}

/// Why an envelope is not genuine: for the log and the metric only; outsiders see one and the same 403.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refused {
    /// The body is not the XML or JSON that carries an envelope.
    #[error("body")]
    Body,
    /// The signature is another one.
    #[error("signature")]
    Signature,
    /// The ciphertext is not strict base64.
    #[error("base64")]
    Base64,
    /// The ciphertext has not whole blocks, or fewer than there must be.
    #[error("length")]
    Length,
    /// The padding is not n bytes of value n, 1 to 32.
    #[error("padding")]
    Padding,
    /// The length field points past the end.
    #[error("framing")]
    Framing,
    /// It was meant for somebody else.
    #[error("receiveid")]
    ReceiveId,
    /// The text is not UTF-8.
    #[error("utf8")]
    Utf8,
}

impl Refused {
    /// The word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Body => "body",
            Refused::Signature => "signature",
            Refused::Base64 => "base64",
            Refused::Length => "length",
            Refused::Padding => "padding",
            Refused::Framing => "framing",
            Refused::ReceiveId => "receiveid",
            Refused::Utf8 => "utf8",
        }
    }
}

/// A sealed text: what goes into `Encrypt` and `MsgSignature`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Base64 ciphertext.
    pub encrypt: String,
    /// Lower-case hex.
    pub signature: String,
}

/// Opens an envelope with the first of several keys that fits, so that an old pair goes on working during a rotation.
/// If none fits, the answer is that of the first key whose signature was right.
pub fn open_with(keys: &[Keys], query: Query<'_>, ciphertext: &str) -> Result<String, Refused> {
    let mut refused = Refused::Signature;
    for keys in keys {
        match keys.open(query, ciphertext) {
            Ok(text) => return Ok(text),
            Err(reason) if refused == Refused::Signature => refused = reason,
            Err(_) => {}
        }
    }
    Err(refused)
}

impl Keys {
    /// Keys of a callback address. `receiveid` is the corp id for apps, empty for AI bots and group robots.
    pub fn new(token: &str, encoding_aes_key: &str, receiveid: &str) -> Result<Self, BadKey> {
        if token.is_empty() {
            return Err(BadKey::EmptyToken);
        }
        let chars = encoding_aes_key.chars().count();
        if chars != AES_KEY_CHARS {
            return Err(BadKey::Length(chars));
        }
        let mut key = [0; 32];
        KEY_BASE64.decode_slice(encoding_aes_key, &mut key).map_err(|_| BadKey::Characters)?;
        let mut iv = [0; CIPHER_BLOCK_BYTES];
        iv.copy_from_slice(&key[..CIPHER_BLOCK_BYTES]);
        Ok(Keys { token: token.into(), receiveid: receiveid.into(), decrypt: Aes256Dec::new(&key.into()), encrypt: Aes256Enc::new(&key.into()), iv })
    }

    /// The keys a callback address accepts, newest first: the present pair, then what a rotation may still send.
    pub fn rotation(current: (&str, &str), token_old: Option<&str>, encoding_aes_key_old: Option<&str>, receiveid: &str) -> Result<Vec<Self>, BadKey> {
        let (token, key) = current;
        let mut pairs = vec![(token, key)];
        pairs.extend(token_old.map(|token_old| (token_old, key)));
        pairs.extend(encoding_aes_key_old.map(|key_old| (token, key_old)));
        pairs.extend(token_old.zip(encoding_aes_key_old));
        pairs.into_iter().map(|(token, key)| Keys::new(token, key, receiveid)).collect()
    }

    /// Verifies and opens an envelope. The signature comes first: nothing is decrypted for a stranger.
    pub fn open(&self, query: Query<'_>, ciphertext: &str) -> Result<String, Refused> {
        let signature = self.signature(query.timestamp, query.nonce, ciphertext);
        if !bool::from(signature.as_slice().ct_eq(query.msg_signature.as_bytes())) {
            return Err(Refused::Signature);
        }
        failpoint::hit("cb.verified");
        let mut bytes = STANDARD.decode(ciphertext).map_err(|_| Refused::Base64)?;
        self.decrypt(&mut bytes)?;
        unframe(bytes, self.receiveid.as_bytes())
    }

    /// Seals a text as WeCom would: for the demo's double, tests, and encrypted answers. `random` is the prefix.
    pub fn seal(&self, text: &str, timestamp: &str, nonce: &str, random: [u8; 16]) -> Sealed {
        let mut bytes = frame(text, &self.receiveid, random);
        let (blocks, _) = Array::slice_as_chunks_mut(&mut bytes);
        Encryptor::<&Aes256Enc>::inner_iv_init(&self.encrypt, &self.iv.into()).encrypt_blocks(blocks);
        let encrypt = STANDARD.encode(&bytes);
        let signature = self.signature(timestamp, nonce, &encrypt).iter().map(|&byte| char::from(byte)).collect();
        Sealed { encrypt, signature }
    }

    /// Lower-case hex of the SHA-1.
    fn signature(&self, timestamp: &str, nonce: &str, ciphertext: &str) -> [u8; 40] {
        let mut parts = [self.token.as_bytes(), timestamp.as_bytes(), nonce.as_bytes(), ciphertext.as_bytes()];
        parts.sort_unstable();
        let mut hash = Sha1::new();
        parts.iter().for_each(|part| hash.update(part));
        hex(&hash.finalize().into())
    }

    /// Decrypts in place. Whole blocks of AES are enough: some libraries pad to 16 and WeCom's own accept it.
    fn decrypt(&self, bytes: &mut [u8]) -> Result<(), Refused> {
        if bytes.len() < PADDING_BLOCK_BYTES {
            return Err(Refused::Length);
        }
        let (blocks, rest) = Array::slice_as_chunks_mut(bytes);
        if !rest.is_empty() {
            return Err(Refused::Length);
        }
        Decryptor::<&Aes256Dec>::inner_iv_init(&self.decrypt, &self.iv.into()).decrypt_blocks(blocks);
        Ok(())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

fn frame(text: &str, receiveid: &str, random: [u8; 16]) -> Vec<u8> {
    let bare = HEAD_BYTES + text.len() + receiveid.len();
    let padding = PADDING_BLOCK_BYTES - bare % PADDING_BLOCK_BYTES;
    let mut bytes = Vec::with_capacity(bare + padding);
    bytes.extend_from_slice(&random);
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(receiveid.as_bytes());
    bytes.resize(bare + padding, padding as u8);
    bytes
}

/// Takes the text out of its frame, in place. With an empty receiveid nothing but these bounds guards the framing.
fn unframe(mut bytes: Vec<u8>, receiveid: &[u8]) -> Result<String, Refused> {
    let bare = unpadded(&bytes).ok_or(Refused::Padding)?;
    let (head, rest) = bare.split_first_chunk::<HEAD_BYTES>().ok_or(Refused::Framing)?;
    let length = u32::from_be_bytes([head[16], head[17], head[18], head[19]]) as usize;
    let (_, sent_to) = rest.split_at_checked(length).ok_or(Refused::Framing)?;
    if sent_to != receiveid {
        return Err(Refused::ReceiveId);
    }
    bytes.truncate(HEAD_BYTES + length);
    bytes.drain(..HEAD_BYTES);
    String::from_utf8(bytes).map_err(|_| Refused::Utf8)
}

fn unpadded(bytes: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*bytes.last()?);
    if padding == 0 || padding > PADDING_BLOCK_BYTES {
        return None;
    }
    let (bare, tail) = bytes.split_at_checked(bytes.len().checked_sub(padding)?)?;
    tail.iter().all(|&byte| usize::from(byte) == padding).then_some(bare)
}

fn hex(digest: &[u8; 20]) -> [u8; 40] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 40];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

    fn query<'a>(sealed: &'a Sealed) -> Query<'a> {
        Query { msg_signature: &sealed.signature, timestamp: "1409659813", nonce: "1372623149" }
    }

    fn seal(keys: &Keys, text: &str) -> Sealed {
        keys.seal(text, "1409659813", "1372623149", *b"0123456789abcdef")
    }

    #[test]
    fn a_key_says_what_is_wrong_with_it() {
        assert_eq!(Keys::new("t", &KEY[1..], "").err(), Some(BadKey::Length(42)));
        assert_eq!(Keys::new("t", &KEY.replace('j', "!"), "").err(), Some(BadKey::Characters));
        assert_eq!(Keys::new("", KEY, "").err(), Some(BadKey::EmptyToken));
        assert!(Keys::new("t", &KEY.replace('j', "积"), "").is_err());
    }

    #[test]
    fn both_pairs_of_a_rotation_open_and_a_third_does_not() {
        let old_key = KEY.replace('j', "k");
        let ring = Keys::rotation(("new", KEY), Some("old"), Some(&old_key), "ww1").unwrap();
        for (token, key) in [("new", KEY), ("old", old_key.as_str()), ("new", old_key.as_str()), ("old", KEY)] {
            let sealed = seal(&Keys::new(token, key, "ww1").unwrap(), "签到");
            assert_eq!(open_with(&ring, query(&sealed), &sealed.encrypt).as_deref(), Ok("签到"));
        }
        let foreign = seal(&Keys::new("other", KEY, "ww1").unwrap(), "签到");
        assert_eq!(open_with(&ring, query(&foreign), &foreign.encrypt), Err(Refused::Signature));
    }

    #[test]
    fn the_reason_tells_of_the_key_whose_signature_was_right() {
        let ring = Keys::rotation(("new", KEY), Some("old"), None, "ww1").unwrap();
        let sealed = seal(&Keys::new("old", KEY, "ww2").unwrap(), "签到");
        assert_eq!(open_with(&ring, query(&sealed), &sealed.encrypt), Err(Refused::ReceiveId));
    }

    #[test]
    fn a_text_that_is_not_utf8_is_refused() {
        let keys = Keys::new("t", KEY, "").unwrap();
        let mut bytes = frame("ab", "", [0; 16]);
        bytes[HEAD_BYTES] = 0xff;
        assert_eq!(unframe(bytes, keys.receiveid.as_bytes()), Err(Refused::Utf8));
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::new("very-secret-token", KEY, "ww1").unwrap();
        assert_eq!(format!("{keys:?}"), "Keys(…)");
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_to_the_same_text(text in "\\PC*|.{0,200}", receiveid in "(ww[a-f0-9]{16})?", random: [u8; 16]) {
            let keys = Keys::new("t", KEY, &receiveid).unwrap();
            let sealed = keys.seal(&text, "1409659813", "1372623149", random);
            prop_assert_eq!(keys.open(query(&sealed), &sealed.encrypt), Ok(text));
        }

        #[test]
        fn unframing_any_bytes_never_panics(bytes: Vec<u8>) {
            let _ = unframe(bytes, b"");
        }
    }
}
