//! The API's routes over a pipeline that is made up: who may call, what is refused, what is answered.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::model::act::Act;
use crate::model::event::{Event, Kind};
use crate::model::ids::EventSeq;
use crate::settings::Settings;
use crate::web::api::told::Told;
use crate::web::{Heard, NotNow};

const SETTINGS: &str = "[corp.acme]\ncorp_id = \"ww1\"\n[corp.acme.api.shop]\ntoken = \"new-token-of-the-shop\"\ntoken_old = \"old-token-of-the-shop\"\n\
                        [corp.acme.api.form]\ntoken = \"another-token-1234\"\n";
const VERIFIED: &str = r#"{"id":"v-1","at":"2026-11-22T09:00:00+08:00","member":"aming","happened":{"event":"verified"}}"#;

struct Site {
    router: Router,
    heard: Arc<Mutex<Vec<Event>>>,
}

impl Site {
    fn new() -> Self {
        Site::answering(Ok(()))
    }

    fn answering(answer: Result<(), NotNow>) -> Self {
        let heard: Arc<Mutex<Vec<Event>>> = Arc::default();
        let seen = Arc::clone(&heard);
        let hear: HearAll = Arc::new(move |events| {
            let done: Vec<Heard> = (1..).zip(&events).map(|(seq, _)| Heard { seq: EventSeq(seq), known: false }).collect();
            seen.lock().unwrap().extend(events);
            Box::pin(std::future::ready(answer.map(|()| done)))
        });
        let teller: Teller = Arc::new(|seqs| seqs.iter().map(|_| Some(Told { paid: 50, why: "+50 实名认证".into() })).collect());
        let callers = Callers::from_settings(&Settings::parse(SETTINGS).unwrap());
        Site { router: routes(callers, hear, teller, Clock::default()), heard }
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: impl Into<Body>) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("Authorization", token);
        }
        let answer = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn tell(&self, body: &str) -> (u16, Value) {
        let (status, answer) = self.ask(Method::POST, EVENTS, Some("Bearer new-token-of-the-shop"), body.to_owned()).await;
        (status.as_u16(), answer)
    }

    fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }
}

#[tokio::test]
async fn an_event_is_answered_with_what_came_of_it() {
    let site = Site::new();
    let (status, answer) = site.tell(VERIFIED).await;
    assert_eq!(status, 200);
    assert_eq!(answer, json!({"events": [{"id": "v-1", "event": 1, "known": false, "paid": 50, "why": "+50 实名认证"}]}));
    let heard = site.heard.lock().unwrap();
    assert_eq!((&*heard[0].key.source, heard[0].corp.as_ref()), ("acme/api/shop", "acme"));
    assert!(matches!(&heard[0].kind, Kind::Did(Act::Happened { .. })));
}

#[tokio::test]
async fn one_object_may_take_several_lines_and_several_objects_one_each() {
    let site = Site::new();
    assert_eq!(site.tell(&VERIFIED.replace(",\"", ",\n  \"")).await.0, 200);
    let lines = format!("\u{feff}{VERIFIED}\r\n\n{}\n", VERIFIED.replace("v-1", "v-2"));
    let (status, answer) = site.tell(&lines).await;
    assert_eq!((status, answer["events"][1]["id"].as_str()), (200, Some("v-2")), "{answer}");
    assert_eq!(site.count(), 3);
}

#[tokio::test]
async fn who_has_no_token_is_401_and_nothing_is_heard() {
    let site = Site::new();
    for token in [None, Some("Bearer "), Some("Bearer new-token-of-the-sho"), Some("Basic bmV3"), Some("new-token-of-the-shop")] {
        let (status, answer) = site.ask(Method::POST, EVENTS, token, VERIFIED).await;
        assert!(status == StatusCode::UNAUTHORIZED && answer["error"].is_string(), "{token:?}: {status} {answer}");
    }
    assert_eq!(site.count(), 0);
    for token in ["Bearer old-token-of-the-shop", "bearer another-token-1234"] {
        assert_eq!(site.ask(Method::POST, EVENTS, Some(token), VERIFIED).await.0, StatusCode::OK, "{token}");
    }
}

#[tokio::test]
async fn of_a_body_with_one_bad_line_nothing_is_applied() {
    let site = Site::new();
    let many = |bad: &str| format!("{VERIFIED}\n{bad}\n{VERIFIED}");
    let line = |more: &str| VERIFIED.replace("\"member\"", &format!("{more},\"member\""));
    for (body, status, line, says) in [
        (many("{"), 400, Some(2), "不是一条能读的事件"),
        (many(&line("\"corp\":\"other\"")), 403, Some(2), "「other」"),
        (many(&line("\"source\":\"app/1\"")), 400, Some(2), "source"),
        (many(&VERIFIED.replace("2026", "2996")), 400, Some(2), "at 在将来"),
        (many(&VERIFIED.replace("2026-11-22", "1970-01-21")), 400, Some(2), "2000 年"),
        (format!("[{VERIFIED}]"), 400, Some(1), "数组"),
        ("[]".to_owned(), 400, Some(1), "数组"),
        ("7".to_owned(), 400, Some(1), "不是一条能读的事件"),
        (String::new(), 400, None, "空的"),
        (" \n\n".to_owned(), 400, None, "空的"),
        ([VERIFIED; 1_001].join("\n"), 413, None, "最多 1000 行"),
    ] {
        let (got, answer) = site.tell(&body).await;
        assert_eq!((got, answer["line"].as_u64()), (status, line), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(says), "{answer}");
    }
    let (status, answer) = site.ask(Method::POST, EVENTS, Some("Bearer new-token-of-the-shop"), vec![0xff, 0xfe]).await;
    assert_eq!((status, answer["error"].as_str()), (StatusCode::BAD_REQUEST, Some("正文不是 UTF-8")));
    assert_eq!(site.count(), 0);
}

#[tokio::test]
async fn what_cannot_be_committed_is_503() {
    let (status, answer) = Site::answering(Err(NotNow)).tell(VERIFIED).await;
    assert!(status == 503 && answer["error"].as_str().unwrap().contains("原样重发"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn who_tells_too_fast_is_429() {
    let site = Site::new();
    let body = [VERIFIED; 1_000].join("\n");
    assert_eq!((site.tell(&body).await.0, site.tell(&body).await.0, site.tell(&body).await.0), (200, 200, 429));
}

#[tokio::test]
async fn the_description_names_every_route_and_every_route_is_there() {
    let site = Site::new();
    let (status, description) = site.ask(Method::GET, DESCRIPTION, None, Body::empty()).await;
    assert_eq!((status, description["openapi"].as_str()), (StatusCode::OK, Some("3.1.0")));
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.keys().map(String::as_str).collect::<Vec<_>>(), [EVENTS, DESCRIPTION]);
    for (path, methods) in paths {
        for method in ["get", "post", "put", "patch", "delete"] {
            let asked = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let (status, _) = site.ask(asked, path, None, Body::empty()).await;
            assert_eq!(status == StatusCode::METHOD_NOT_ALLOWED, methods.get(method).is_none(), "{method} {path}: {status}");
        }
    }
    let described = description["components"]["schemas"]["Event"]["properties"].as_object().unwrap();
    let (_, refused) = site.tell("{\"no_such_field\":1}").await;
    for field in described.keys() {
        assert!(refused["error"].as_str().unwrap().contains(&format!("`{field}`")), "the description names {field}: {refused}");
    }
}
