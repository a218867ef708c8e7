//! Bad envelopes and other addresses: one uniform answer, quickly, and no trace in the journal.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jifen::store::Reader;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;

use crate::house::{Daemon, House, RULES};
use crate::senders::{client, post};
use crate::wecom::{APP_TOKEN, Callback, Frame, KEY, app_text, body_of, now_secs, signed_uri};

/// A refusal costs nothing: far below WeCom's five seconds even on a busy machine.
const FAST: Duration = Duration::from_secs(3);

const GOOD: &str =
    "<xml><FromUserName>aming</FromUserName><CreateTime>1795300000</CreateTime><MsgType>text</MsgType><Content>签到</Content><MsgId>1</MsgId></xml>";

fn signed(encrypt: &str) -> Callback {
    Callback { id: String::new(), uri: signed_uri(APP_TOKEN, encrypt), body: body_of(encrypt) }
}

fn framed(change: impl FnOnce(&mut Frame)) -> Callback {
    let mut frame = Frame::of(GOOD.as_bytes());
    change(&mut frame);
    signed(&frame.encrypted())
}

/// Everything that must be refused, by what is wrong with it.
fn bad() -> Vec<(&'static str, Callback)> {
    let good = framed(|_| {});
    let encrypt = Frame::of(GOOD.as_bytes()).encrypted();
    let bytes = STANDARD.decode(&encrypt).unwrap();
    let cut = |end: usize| signed(&STANDARD.encode(&bytes[..end]));
    let with_body = |body: String| Callback { body, ..good.clone() };
    let other_token = Callback { uri: signed_uri("another", &encrypt), ..good.clone() };
    let other_key = {
        let keys = jifen::wecom::envelope::Keys::new(APP_TOKEN, "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt", crate::wecom::CORP_ID).unwrap();
        signed(&keys.seal(GOOD, "1", "2", [7; 16]).encrypt)
    };
    let padded = |byte: u8| framed(move |frame| frame.padding = Some((byte, frame_gap(frame))));
    vec![
        ("another token", other_token),
        ("another key", other_key),
        ("no parameters", Callback { uri: "/wecom/acme/assistant".into(), ..good.clone() }),
        ("another channel's address", Callback { uri: good.uri.replace("assistant", "helper"), ..good.clone() }),
        ("another receiveid", framed(|frame| frame.receiveid = "ww0000000000000000")),
        ("no receiveid", framed(|frame| frame.receiveid = "")),
        ("cut in a block", cut(bytes.len() - 1)),
        ("a block cut off", cut(bytes.len() - 16)),
        ("one block", cut(16)),
        ("nothing", signed("")),
        ("not base64", signed("签到签到签到")),
        ("base64 of the other alphabet", signed(&encrypt.replace(['+', '/'], "-_").replacen(|c: char| c.is_ascii_alphanumeric(), "-", 1))),
        ("padding of 0", padded(0)),
        ("padding of 33", padded(33)),
        ("padding of 255", padded(255)),
        ("padding that says more than there is", padded(32)),
        ("a length past the end", framed(|frame| frame.length += 1_000)),
        ("the longest length", framed(|frame| frame.length = u32::MAX)),
        ("a length that cuts the text", framed(|frame| frame.length -= 1)),
        ("text that is not UTF-8", framed(|frame| frame.text[0] = 0xff)),
        ("an empty body", with_body(String::new())),
        ("a body that is no envelope", with_body("签到".into())),
        ("a DOCTYPE", with_body(format!("<!DOCTYPE xml [<!ENTITY a \"{}\">]><xml><Encrypt>&a;</Encrypt></xml>", "a".repeat(1000)))),
        ("a billion laughs", with_body(laughs())),
        ("deep XML", with_body("<a>".repeat(60_000))),
        ("many attributes", with_body(format!("<xml {}><Encrypt>{encrypt}</Encrypt></xml>", "a=\"\" ".repeat(40_000)))),
        ("deep JSON", with_body("[".repeat(100_000))),
        ("a deep member in JSON", with_body(format!("{{\"x\":{}", "{\"x\":".repeat(50_000)))),
        ("a number in JSON", with_body("{\"encrypt\":1e400}".into())),
        ("lone surrogates in JSON", with_body("{\"encrypt\":\"\\ud800\"}".into())),
    ]
}

/// Bytes of the right padding.
fn frame_gap(frame: &Frame) -> usize {
    32 - (20 + frame.text.len() + frame.receiveid.len()) % 32
}

fn laughs() -> String {
    let entities: String = (1..10).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    format!("<?xml version=\"1.0\"?><!DOCTYPE xml [<!ENTITY l0 \"lol\">{entities}]><xml><Encrypt>&l9;</Encrypt></xml>")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_envelope_gets_the_same_silent_403_at_once() {
    let house = House::new("envelopes", RULES);
    let daemon = house.open().await;
    let http = client();
    for (name, callback) in bad() {
        let began = Instant::now();
        let answer = http.post(daemon.url(&callback.uri)).body(callback.body).send().await.unwrap();
        let (status, length) = (answer.status().as_u16(), answer.headers().get("content-length").cloned());
        let body = answer.bytes().await.unwrap();
        assert_eq!((status, body.len(), length.as_ref().map(|length| length.as_bytes())), (403, 0, Some(&b"0"[..])), "{name}");
        assert!(began.elapsed() < FAST, "{name}: {:?}", began.elapsed());
    }
    assert_eq!(post(&http, &daemon, &framed(|_| {})).await, 200, "the envelope that all others differ from is good");
    must_have_heard(&house, daemon, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_channels_methods_and_addresses_are_told_apart() {
    let house = House::new("addresses", RULES);
    let daemon = house.open().await;
    let http = client();
    let good = app_text(1, "aming", now_secs(), "签到");
    for path in ["/wecom/acme/nobody", "/wecom/nobody/assistant", "/wecom/acme", "/wecom/acme/assistant/", "/wecom/acme/..%2f..%2fetc", "/wecom/%00/%00", "/"] {
        assert_eq!(http.post(daemon.url(path)).body(good.body.clone()).send().await.unwrap().status(), 404, "{path}");
    }
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        assert_eq!(http.request(method.clone(), daemon.url(&good.uri)).body(good.body.clone()).send().await.unwrap().status(), 405, "{method}");
    }
    let echo = Frame::of("1616140317555161061".as_bytes()).encrypted();
    let address = daemon.url(&signed_uri(APP_TOKEN, &echo));
    let echostr = format!("&echostr={}", utf8_percent_encode(&echo, NON_ALPHANUMERIC));
    let checked = http.get(format!("{address}{echostr}")).send().await.unwrap();
    let header = |name: &str| checked.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((header("content-type").as_str(), header("x-content-type-options").as_str()), ("text/plain; charset=utf-8", "nosniff"));
    assert_eq!((checked.status().as_u16(), checked.text().await.unwrap().as_str()), (200, "1616140317555161061"));
    let forged = http.get(format!("{}{echostr}", address.replace("nonce=8", "nonce=9"))).send().await.unwrap();
    assert_eq!((forged.status().as_u16(), forged.text().await.unwrap().as_str()), (403, ""));
    must_have_heard(&house, daemon, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_pair_is_accepted_during_a_rotation_and_refused_after_it() {
    const NEW_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";
    let house = House::new("rotation", RULES);
    let settings = std::fs::read_to_string(house.path("jifen.toml")).unwrap();
    let present = format!("token = \"{APP_TOKEN}\"\nencoding_aes_key = \"{KEY}\"\n");
    assert!(settings.contains(&present));
    let rotated = format!("token = \"new\"\nencoding_aes_key = \"{NEW_KEY}\"\n");
    let sealed = |id: &str, token: &str, key: &str| {
        let keys = jifen::wecom::envelope::Keys::new(token, key, crate::wecom::CORP_ID).unwrap();
        let envelope = keys.seal(&GOOD.replace("<MsgId>1<", &format!("<MsgId>{id}<")), "1", "2", [7; 16]);
        let uri = format!("/wecom/acme/assistant?msg_signature={}&timestamp=1&nonce=2", envelope.signature);
        Callback { id: id.into(), uri, body: body_of(&envelope.encrypt) }
    };
    // The platform may have changed one, the other or both.
    let pairs = [("old", APP_TOKEN, KEY), ("token", "new", KEY), ("key", APP_TOKEN, NEW_KEY), ("both", "new", NEW_KEY)];
    let statuses = async |id: u64, settings: String| {
        house.write("jifen.toml", &settings);
        let (daemon, http) = (house.open().await, client());
        let mut statuses = Vec::new();
        for (at, (_, token, key)) in (id..).zip(pairs) {
            statuses.push(post(&http, &daemon, &sealed(&at.to_string(), token, key)).await);
        }
        assert_eq!(daemon.stop().await, Some(0));
        statuses
    };
    let overlap = format!("{rotated}token_old = \"{APP_TOKEN}\"\nencoding_aes_key_old = \"{KEY}\"\n");
    assert_eq!(statuses(100, settings.replacen(&present, &overlap, 1)).await, [200, 200, 200, 200], "{pairs:?}");
    assert_eq!(statuses(200, settings.replacen(&present, &rotated, 1)).await, [403, 403, 403, 200], "{pairs:?}");
    assert_eq!(house.reader().head().unwrap().event.0, 5);
    house.must_verify();
}

async fn must_have_heard(house: &House, daemon: Daemon, events: i64) {
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.reader().head().unwrap().event.0, events);
    let log = house.log();
    assert!(!log.contains("panicked"), "{log}");
}
