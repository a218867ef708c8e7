//! WeCom's API, played: takes what the outbox sends, refuses what WeCom refuses, fails when told to.
//!
//! Calls and error codes follow developer.work.weixin.qq.com: gettoken 91039, message/send 90236, appchat/send 90248,
//! webhook/send 91770, aibot/response 101138, error codes 90313.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::demo::tenant::{self, Tenant};
use crate::model::day::Millis;

/// Longest text of a message/send, a webhook/send or an appchat/send; more is cut (90236) or refused.
const TEXT_BYTES_MAX: usize = 2048;
/// Longest markdown of a response_url.
const MARKDOWN_BYTES_MAX: usize = 20_480;
/// A response_url may be called for so long, once (101138).
const RESPONSE_LIFE_MILLIS: i64 = 3_600_000;
/// Messages a webhook robot may send in a minute (91770).
const WEBHOOK_PER_MINUTE: usize = 20;
/// A repetition is not shown within so many seconds, where none are named (90236).
const DUPLICATE_SECS: i64 = 1_800;
/// What it received is remembered up to here; a demo left open for days must not grow.
const RECEIVED_MAX: usize = 2_000;

/// The double. Clones are the same double.
#[derive(Clone)]
pub struct Double {
    inner: Arc<Inner>,
}

struct Inner {
    tenant: Tenant,
    clock: Clock,
    state: Mutex<Book>,
    changed: watch::Sender<u64>,
    api_base: OnceLock<String>,
}

#[derive(Default)]
struct Book {
    token: Option<String>,
    tokens_given: u64,
    users: HashSet<String>,
    app_groups: HashSet<String>,
    responses: HashMap<String, ResponseCode>,
    webhook_times: VecDeque<Millis>,
    /// Bodies of message/send that are not shown twice, and until when.
    once: HashMap<String, Millis>,
    faults: VecDeque<Fault>,
    calls: u64,
    received: VecDeque<Received>,
}

struct ResponseCode {
    call: Asked,
    given_at: Millis,
    used: bool,
}

/// The message a `response_url` belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its number in the demo.
    pub message: u64,
    /// The group, `None` for a single chat.
    pub chat: Option<String>,
    /// Who wrote it.
    pub by: String,
}

/// A failure the next call of the API meets. `gettoken` meets none but [`Fault::Drop`] and [`Fault::Slow`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answers after so long.
    Slow(Duration),
    /// Answers with this errcode: 45009 too often, -1 busy, 60020 untrusted address …
    Code(i64),
    /// Forgets every token it gave: 42001.
    TokenExpired,
    /// Takes the message and answers with something that is not JSON.
    Garbage,
    /// Takes the message and answers 500.
    ServerError,
    /// Takes the message and cuts the connection in the middle of the answer.
    Drop,
}

/// One call that was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Ascends.
    pub number: u64,
    /// When, by the demo's clock.
    pub at: Millis,
    /// `message/send` …
    pub call: &'static str,
    /// Its body.
    pub body: Value,
    /// What it was answered.
    pub errcode: i64,
    /// What people see of it; `None` when it was refused or a repetition.
    pub shown: Option<Shown>,
}

/// What people see of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The group, `None` for single chats.
    pub chat: Option<String>,
    /// The members it was sent to, or whom it mentions.
    pub to: Vec<String>,
    /// The text.
    pub text: String,
    /// The message it answers and quotes, when WeCom knows.
    pub answers: Option<u64>,
}

type Call = Result<(Option<Shown>, Value), Refusal>;

struct Refusal(i64, &'static str);

impl Double {
    /// A WeCom in which this company lives.
    pub fn new(tenant: Tenant, clock: Clock) -> Self {
        Double { inner: Arc::new(Inner { tenant, clock, state: Mutex::default(), changed: watch::Sender::new(0), api_base: OnceLock::new() }) }
    }

    /// The API's routes, for a listener of their own.
    pub fn routes(&self) -> Router {
        Router::new().route("/cgi-bin/gettoken", get(gettoken)).route("/cgi-bin/{part}/{verb}", post(call)).with_state(self.clone())
    }

    /// Says where its API listens; the first time counts.
    pub fn listens_at(&self, addr: SocketAddr) {
        let _ = self.inner.api_base.set(format!("http://{addr}"));
    }

    /// Where its API listens, as jifen.toml wants it; empty before [`Double::listens_at`].
    pub fn api_base(&self) -> &str {
        self.inner.api_base.get().map_or("", String::as_str)
    }

    /// Makes a userid known; messages to others are refused.
    pub fn know(&self, userid: &str) {
        self.book().users.insert(userid.to_owned());
    }

    /// Makes a group one that the app created.
    pub fn know_app_group(&self, chat: &str) {
        self.book().app_groups.insert(chat.to_owned());
    }

    /// A `response_url`'s code for a message, good for one call within the hour.
    pub fn give_response_code(&self, call: Asked) -> String {
        let code = tenant::hex(16);
        let given_at = self.inner.clock.now();
        let mut book = self.book();
        book.responses.retain(|_, code| !code.used && given_at.0 - code.given_at.0 < RESPONSE_LIFE_MILLIS);
        book.responses.insert(code.clone(), ResponseCode { call, given_at, used: false });
        code
    }

    /// Lets the next `times` calls meet this failure.
    pub fn fail(&self, fault: Fault, times: usize) {
        self.book().faults.extend(std::iter::repeat_n(fault, times));
    }

    /// Forgets the failures that were not met yet.
    pub fn heal(&self) {
        self.book().faults.clear();
    }

    /// What was received after this number.
    pub fn received_after(&self, number: u64) -> Vec<Received> {
        self.book().received.iter().filter(|received| received.number > number).cloned().collect()
    }

    /// How many tokens it gave.
    pub fn tokens_given(&self) -> u64 {
        self.book().tokens_given
    }

    /// Tells of every call received.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.inner.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Acts on a call and writes it down.
    fn act(&self, call: &'static str, query: &HashMap<String, String>, body: Value) -> Value {
        let at = self.inner.clock.now();
        let mut book = self.book();
        let done = match call {
            "message/send" => book.message_send(&self.inner.tenant, at, query, &body),
            "appchat/send" => book.appchat_send(query, &body),
            "webhook/send" => book.webhook_send(&self.inner.tenant, at, query, &body),
            _ => book.aibot_response(at, query, &body),
        };
        let (errcode, shown, answer) = match done {
            Ok((shown, extra)) => (0, shown, extra),
            Err(Refusal(code, why)) => (code, None, json!({ "errcode": code, "errmsg": why })),
        };
        book.note(Received { number: 0, at, call, body, errcode, shown });
        let calls = book.calls;
        drop(book);
        self.inner.changed.send_replace(calls);
        answer
    }
}

impl Book {
    fn note(&mut self, received: Received) {
        self.calls += 1;
        self.received.push_back(Received { number: self.calls, ..received });
        if self.received.len() > RECEIVED_MAX {
            self.received.pop_front();
        }
    }

    fn check_token(&self, query: &HashMap<String, String>) -> Result<(), Refusal> {
        let given = query.get("access_token").ok_or(Refusal(41001, "access_token missing"))?;
        match &self.token {
            Some(token) if token == given => Ok(()),
            Some(_) => Err(Refusal(40014, "invalid access_token")),
            None => Err(Refusal(42001, "access_token expired")),
        }
    }

    /// Whether WeCom shows it: the same JSON is not shown again within the interval it names, where it asks for that.
    fn is_new(&mut self, at: Millis, body: &Value) -> bool {
        self.once.retain(|_, until| at < *until);
        let secs = body["duplicate_check_interval"].as_i64().unwrap_or(DUPLICATE_SECS);
        body["enable_duplicate_check"] != 1 || self.once.insert(body.to_string(), at.plus_secs(secs)).is_none()
    }

    fn message_send(&mut self, tenant: &Tenant, at: Millis, query: &HashMap<String, String>, body: &Value) -> Call {
        self.check_token(query)?;
        if body["agentid"].as_i64() != Some(tenant.agent_id) {
            return Err(Refusal(301_002, "not allow operate another agent with this accesstoken"));
        }
        let text = text_of(body)?;
        let (known, unknown): (Vec<String>, Vec<String>) =
            body["touser"].as_str().unwrap_or_default().split('|').map(str::to_owned).partition(|user| self.users.contains(user));
        if known.is_empty() {
            return Err(Refusal(81_013, "user & party & tag all invalid"));
        }
        let shown = Shown { chat: None, to: known, text: cut(text), answers: None };
        let shown = self.is_new(at, body).then_some(shown);
        Ok((shown, json!({ "errcode": 0, "errmsg": "ok", "invaliduser": unknown.join("|"), "msgid": tenant::hex(16) })))
    }

    fn appchat_send(&mut self, query: &HashMap<String, String>, body: &Value) -> Call {
        self.check_token(query)?;
        let chat = body["chatid"].as_str().unwrap_or_default();
        if !self.app_groups.contains(chat) {
            return Err(Refusal(86_008, "chat not created by this app"));
        }
        let shown = Shown { chat: Some(chat.to_owned()), to: mentioned(body), text: cut(text_of(body)?), answers: None };
        Ok((Some(shown), ok()))
    }

    fn webhook_send(&mut self, tenant: &Tenant, at: Millis, query: &HashMap<String, String>, body: &Value) -> Call {
        if query.get("key") != Some(&tenant.webhook_key) {
            return Err(Refusal(93_000, "invalid webhook url"));
        }
        self.webhook_times.retain(|time| (at.0 - time.0).abs() < 60_000);
        if self.webhook_times.len() >= WEBHOOK_PER_MINUTE {
            return Err(Refusal(45_009, "api freq out of limit"));
        }
        let text = text_of(body)?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(Refusal(45_002, "content size out of limit"));
        }
        let chat = body["chatid"].as_str().unwrap_or(tenant::INNER_CHAT).to_owned();
        self.webhook_times.push_back(at);
        Ok((Some(Shown { chat: Some(chat), to: mentioned(body), text: text.to_owned(), answers: None }), ok()))
    }

    fn aibot_response(&mut self, at: Millis, query: &HashMap<String, String>, body: &Value) -> Call {
        let content = match body["msgtype"].as_str() {
            Some("markdown") => body["markdown"]["content"].as_str().filter(|text| text.len() <= MARKDOWN_BYTES_MAX),
            Some(_) | None => None,
        };
        let text = content.ok_or(Refusal(40_058, "invalid Request Parameter"))?.to_owned();
        let code = query.get("response_code").and_then(|code| self.responses.get_mut(code));
        let code = code.filter(|code| !code.used && at.0 - code.given_at.0 < RESPONSE_LIFE_MILLIS);
        let code = code.ok_or(Refusal(40_058, "invalid response_code"))?;
        code.used = true;
        let Asked { message, chat, by } = code.call.clone();
        Ok((Some(Shown { chat, to: vec![by], text, answers: Some(message) }), ok()))
    }
}

fn ok() -> Value {
    json!({ "errcode": 0, "errmsg": "ok" })
}

fn text_of(body: &Value) -> Result<&str, Refusal> {
    let content = if body["msgtype"] == "text" { body["text"]["content"].as_str() } else { None };
    content.filter(|text| !text.is_empty()).ok_or(Refusal(44_004, "empty content"))
}

fn mentioned(body: &Value) -> Vec<String> {
    let list = body["text"]["mentioned_list"].as_array();
    list.into_iter().flatten().filter_map(|id| id.as_str().map(str::to_owned)).collect()
}

/// A text as message/send shows it: cut at its limit.
fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned()
}

async fn gettoken(State(double): State<Double>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let tenant = &double.inner.tenant;
    if query.get("corpid") != Some(&tenant.corp_id) {
        return Json(json!({ "errcode": 40_013, "errmsg": "invalid corpid" }));
    }
    if query.get("corpsecret") != Some(&tenant.secret) {
        return Json(json!({ "errcode": 40_001, "errmsg": "invalid credential" }));
    }
    let mut book = double.book();
    if book.token.is_none() {
        book.token = Some(tenant::hex(32));
        book.tokens_given += 1;
    }
    Json(json!({ "errcode": 0, "errmsg": "ok", "access_token": book.token, "expires_in": 7200 }))
}

async fn call(State(double): State<Double>, Path((part, verb)): Path<(String, String)>, Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    const CALLS: [&str; 4] = ["message/send", "appchat/send", "webhook/send", "aibot/response"];
    let name = format!("{part}/{verb}");
    let Some(call) = CALLS.into_iter().find(|&call| call == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return Json(json!({ "errcode": 47_001, "errmsg": "data format error" })).into_response();
    };
    let fault = double.book().faults.pop_front();
    match fault {
        None => Json(double.act(call, &query, body)).into_response(),
        Some(Fault::Slow(wait)) => {
            tokio::time::sleep(wait).await;
            Json(double.act(call, &query, body)).into_response()
        }
        Some(Fault::Code(code)) => {
            double.refuse(call, body, code);
            Json(json!({ "errcode": code, "errmsg": "as told" })).into_response()
        }
        Some(Fault::TokenExpired) => {
            double.book().token = None;
            Json(double.act(call, &query, body)).into_response()
        }
        Some(Fault::Garbage) => {
            double.act(call, &query, body);
            "<html>502 Bad Gateway".into_response()
        }
        Some(Fault::ServerError) => {
            double.act(call, &query, body);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Some(Fault::Drop) => {
            double.act(call, &query, body);
            Response::new(Body::new(Cut))
        }
    }
}

impl Double {
    fn refuse(&self, call: &'static str, body: Value, errcode: i64) {
        let at = self.inner.clock.now();
        self.book().note(Received { number: 0, at, call, body, errcode, shown: None });
    }
}

/// An answer that breaks off.
struct Cut;

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    struct Api {
        double: Double,
        tenant: Tenant,
    }

    impl Api {
        fn new() -> Self {
            let tenant = Tenant::generate();
            let double = Double::new(tenant.clone(), Clock::default());
            double.know("阿明");
            Api { double, tenant }
        }

        async fn ask(&self, request: Request<Body>) -> Value {
            let answer = self.double.routes().oneshot(request).await.unwrap();
            let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
            serde_json::from_slice(&body).unwrap()
        }

        async fn token(&self) -> String {
            let uri = format!("/cgi-bin/gettoken?corpid={}&corpsecret={}", self.tenant.corp_id, self.tenant.secret);
            self.ask(Request::get(uri).body(Body::empty()).unwrap()).await["access_token"].as_str().unwrap().to_owned()
        }

        async fn post(&self, uri: &str, body: Value) -> i64 {
            self.ask(Request::post(uri).body(Body::from(body.to_string())).unwrap()).await["errcode"].as_i64().unwrap()
        }

        async fn send(&self, token: &str, to: &str) -> i64 {
            let body = json!({ "touser": to, "agentid": self.tenant.agent_id, "msgtype": "text", "text": { "content": "你好" } });
            self.post(&format!("/cgi-bin/message/send?access_token={token}"), body).await
        }
    }

    #[tokio::test]
    async fn a_message_needs_a_live_token_and_a_known_member() {
        let api = Api::new();
        assert_eq!(api.send("stale", "阿明").await, 42001);
        let token = api.token().await;
        assert_eq!(api.send("stale", "阿明").await, 40014);
        assert_eq!(api.send(&token, "小红").await, 81013);
        assert_eq!(api.send(&token, "阿明").await, 0);
        let shown: Vec<Shown> = api.double.received_after(0).into_iter().filter_map(|received| received.shown).collect();
        assert_eq!(shown, [Shown { chat: None, to: vec!["阿明".into()], text: "你好".into(), answers: None }]);
    }

    #[tokio::test]
    async fn an_expired_token_is_refused_until_a_new_one_is_fetched() {
        let api = Api::new();
        let token = api.token().await;
        api.double.fail(Fault::TokenExpired, 1);
        assert_eq!(api.send(&token, "阿明").await, 42001);
        let fresh = api.token().await;
        assert_ne!(fresh, token);
        assert_eq!(api.send(&fresh, "阿明").await, 0);
        assert_eq!(api.double.tokens_given(), 2);
    }

    #[tokio::test]
    async fn a_response_url_answers_once() {
        let api = Api::new();
        let asked = Asked { message: 7, chat: Some("wrDemoInner".into()), by: "阿明".into() };
        let uri = format!("/cgi-bin/aibot/response?response_code={}", api.double.give_response_code(asked));
        let body = json!({ "msgtype": "markdown", "markdown": { "content": "+2" } });
        assert_eq!(api.post(&uri, body.clone()).await, 0);
        assert_eq!(api.post(&uri, body).await, 40058);
        assert_eq!(api.double.received_after(0)[0].shown.as_ref().unwrap().answers, Some(7));
    }

    #[tokio::test]
    async fn a_repetition_is_taken_and_not_shown() {
        let api = Api::new();
        let uri = format!("/cgi-bin/message/send?access_token={}", api.token().await);
        let body = |interval: i64| {
            json!({ "touser": "阿明", "agentid": api.tenant.agent_id, "msgtype": "text", "text": { "content": "+2" },
            "enable_duplicate_check": 1, "duplicate_check_interval": interval })
        };
        for interval in [300, 300, 301] {
            assert_eq!(api.post(&uri, body(interval)).await, 0);
        }
        let shown: Vec<bool> = api.double.received_after(0).iter().map(|received| received.shown.is_some()).collect();
        assert_eq!(shown, [true, false, true]);
    }

    #[tokio::test]
    async fn an_app_speaks_only_in_groups_it_created() {
        let api = Api::new();
        let uri = format!("/cgi-bin/appchat/send?access_token={}", api.token().await);
        let body = json!({ "chatid": "wrAppMade", "msgtype": "text", "text": { "content": "早上好" } });
        assert_eq!(api.post(&uri, body.clone()).await, 86008);
        api.double.know_app_group("wrAppMade");
        assert_eq!(api.post(&uri, body).await, 0);
    }

    #[tokio::test]
    async fn a_robot_is_stopped_after_twenty_a_minute() {
        let api = Api::new();
        let uri = format!("/cgi-bin/webhook/send?key={}", api.tenant.webhook_key);
        let body = json!({ "msgtype": "text", "text": { "content": "签到", "mentioned_list": ["阿明"] } });
        for _ in 0..WEBHOOK_PER_MINUTE {
            assert_eq!(api.post(&uri, body.clone()).await, 0);
        }
        assert_eq!(api.post(&uri, body).await, 45009);
    }
}
