//! `/api/v1` of the real process: a caller's events are durable, told once for ever, and all or nothing.

use jifen::store::Reader;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{Daemon, House, RULES};
use crate::senders::client;

const TOKEN: &str = "token-of-the-shop-0001";
const OTHER: &str = "token-of-the-form-0002";
/// What a check-in told by a shop looks like.
const LINE: &str = r#"{"id":"s-1","at":"2026-11-22T09:00:00+08:00","member":"aming","said":{"text":"签到"}}"#;

fn house(name: &str) -> House {
    let house = House::new(name, RULES);
    let settings = std::fs::read_to_string(house.path("jifen.toml")).unwrap();
    house.write("shop.token", &format!("{TOKEN}\n"));
    let token = house.path("shop.token");
    house.write("jifen.toml", &format!("{settings}\n[corp.acme.api.shop]\ntoken = \"file:{}\"\n[corp.acme.api.form]\ntoken = \"{OTHER}\"\n", token.display()));
    house
}

async fn tell(daemon: &Daemon, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let answer = client().post(daemon.url("/api/v1/events")).bearer_auth(token).body(body).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or(Value::Null))
}

/// Sends bytes and reads until the daemon closes.
async fn raw(daemon: &Daemon, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(daemon.addr).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A close with a reset is a close too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_durable_and_known_for_ever() {
    let house = house("api");
    let daemon = house.open().await;
    let (status, answer) = tell(&daemon, TOKEN, LINE).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["events"], json!([{"id": "s-1", "event": 1, "known": false, "paid": 2, "why": "+2 每日签到"}]));
    daemon.kill().await;

    let daemon = house.open().await;
    let again = tell(&daemon, TOKEN, format!("{LINE}\n{}\n{LINE}\n", LINE.replace("s-1", "s-2"))).await.1;
    let known: Vec<(i64, bool, i64)> = again["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["event"].as_i64().unwrap(), line["known"] == true, line["paid"].as_i64().unwrap()))
        .collect();
    assert_eq!(known, [(1, true, 2), (2, false, 0), (1, true, 2)], "{again}");
    assert!(again["events"][1]["why"].as_str().unwrap().contains("每天 1 次"), "{again}");
    let other = tell(&daemon, OTHER, LINE).await.1;
    assert_eq!(other["events"][0]["known"], false, "another caller's ids are its own: {other}");
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts")[0]["balance"], 2);
    assert!(house.jifen(&["explain", "s-1", "--source", "api/shop"]).out.contains("acme/api/shop"));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_bad_body_is_applied() {
    let house = house("api-bad");
    let daemon = house.open().await;
    let (status, answer) = tell(&daemon, TOKEN, format!("{LINE}\n{{\"id\":\"s-2\"}}\n")).await;
    assert_eq!((status, answer["line"].as_i64()), (400, Some(2)), "{answer}");
    assert_eq!(tell(&daemon, TOKEN, LINE.replace("\"member\"", "\"corp\":\"else\",\"member\"")).await.0, 403);
    assert_eq!(tell(&daemon, "token-of-nobody-0000000", LINE).await.0, 401);
    assert_eq!(client().post(daemon.url("/api/v1/events")).body(LINE).send().await.unwrap().status().as_u16(), 401);
    let nearly = format!("{LINE}\n{}", "\n".repeat(1024 * 1024 - LINE.len() - 1));
    let head = format!("POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n", nearly.len() + 1);
    let announced = raw(&daemon, head.as_bytes()).await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    assert_eq!(house.reader().head().unwrap().event.0, 0);
    assert_eq!(tell(&daemon, TOKEN, nearly).await.0, 200, "a mebibyte is taken");
    assert_eq!(client().get(daemon.url("/api/v1/openapi.json")).send().await.unwrap().json::<Value>().await.unwrap()["openapi"], "3.1.0");
    assert_eq!(daemon.stop().await, Some(0));
    let log = house.log();
    assert!(!log.contains(TOKEN) && !log.contains("panicked"), "{log}");
    house.must_verify();
}

#[test]
fn callers_that_cannot_be_told_apart_are_refused_at_start() {
    let house = house("api-settings");
    let settings = std::fs::read_to_string(house.path("jifen.toml")).unwrap();
    for (more, says) in [
        (format!("[corp.acme.api.twin]\ntoken = \"{OTHER}\""), "token 一样"),
        ("[corp.acme.api.weak]\ntoken = \"123456\"".to_owned(), "openssl rand"),
        ("[corp.acme.api.\"a/b\"]\ntoken = \"0123456789abcdef0\"".to_owned(), "不能有 /"),
        ("[corp.acme.api.x]\ntokn = \"0123456789abcdef0\"".to_owned(), "tokn"),
        ("[corp.acme.api.x]\ntoken = \"env:JIFEN_NO_SUCH_TOKEN\"".to_owned(), "JIFEN_NO_SUCH_TOKEN"),
    ] {
        house.write("jifen.toml", &format!("{settings}\n{more}\n"));
        let ran = house.jifen(&["verify"]);
        assert!(ran.code == Some(2) && ran.err.contains(says), "{more}: {ran:?}");
        assert!(!ran.err.contains(OTHER), "no token is printed: {ran:?}");
    }
}
