//! Sending: the calls that say something, and what became of each. Texts come cut ([`super::pieces`]).
//!
//! Sources: developer.work.weixin.qq.com/document/path/90236 (message/send), 90248 (appchat/send), 91770 (webhook/send),
//! 101138 (an AI bot's response_url).

use std::sync::Arc;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::errcode::{self, Meaning};
use super::http::{Answer, Failure, Http};
use super::outcome::{Outcome, accepted, delivered, foreign, outcome, sent, without_token};
use super::token::Tokens;

/// Bytes of a text message of any kind; more is refused with 45002.
pub const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of an AI bot's markdown.
pub const MARKDOWN_BYTES_MAX: usize = 20480;
/// WeCom drops a message/send that is the same JSON as one before it within this many seconds and up to [`DUPLICATE_SPREAD_SECS`] more
/// (<https://developer.work.weixin.qq.com/document/path/90236>): longer than anything waits to be sent once more.
const DUPLICATE_SECS: u64 = 660;
/// Two answers may read the same and both be meant. They differ in the interval they name, and so in their JSON: a prime, so that only
/// events so many apart meet, as large as the four hours that WeCom allows leave room for.
const DUPLICATE_SPREAD_SECS: u64 = 13729;

/// The API of one corp. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: Url,
}

/// A self-built app that may send: its number and its tokens. Clones share the tokens.
#[derive(Debug, Clone)]
pub struct App {
    agent_id: i64,
    tokens: Arc<Tokens>,
}

/// An `api_base` that is not just scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("api_base 要写成 https://主机名 的样子,后面不带路径;官方地址是 https://qyapi.weixin.qq.com")]
pub struct BadApiBase;

impl Client {
    /// The API at `api_base`: scheme, host and port.
    pub fn new(http: Http, api_base: &str) -> Result<Self, BadApiBase> {
        let base = Url::parse(api_base).map_err(|_| BadApiBase)?;
        let is_bare = base.username().is_empty() && base.password().is_none() && base.path() == "/" && base.query().is_none();
        let usable = is_bare && base.has_host() && matches!(base.scheme(), "http" | "https");
        if usable { Ok(Client { http, base }) } else { Err(BadApiBase) }
    }

    /// An app of this corp. Make it once: the tokens are cached in it.
    pub fn app(&self, agent_id: i64, corp_id: &str, secret: &SecretString) -> App {
        App { agent_id, tokens: Arc::new(Tokens::new(self.http.clone(), &self.base, corp_id, secret)) }
    }

    /// A private message from an app to one member. The same text under the same `mark` is shown once, however often it is sent
    /// within some minutes.
    pub async fn message_send(&self, app: &App, touser: &str, text: &str, mark: u64) -> Outcome {
        let body = json!({
            "touser": touser, "agentid": app.agent_id, "msgtype": "text", "text": {"content": text},
            "enable_duplicate_check": 1, "duplicate_check_interval": DUPLICATE_SECS + mark % DUPLICATE_SPREAD_SECS,
        });
        match self.call(app, "/cgi-bin/message/send", &body).await {
            Ok(answer) => delivered(&answer, touser),
            Err(outcome) => outcome,
        }
    }

    /// A message into a group that the app created.
    pub async fn appchat_send(&self, app: &App, chat: &str, text: &str) -> Outcome {
        let body = json!({"chatid": chat, "msgtype": "text", "text": {"content": text}});
        self.call(app, "/cgi-bin/appchat/send", &body).await.map_or_else(|outcome| outcome, |answer| sent(&answer))
    }

    /// A message of a group robot, with a real @ for the userids given; `chat` for a robot that sits in several groups.
    pub async fn webhook_send(&self, key: &str, chat: Option<&str>, text: &str, mentioned: &[&str]) -> Outcome {
        let mut url = self.at("/cgi-bin/webhook/send");
        url.query_pairs_mut().append_pair("key", key);
        self.webhook(url, chat, text, mentioned).await
    }

    /// The same through the `WebhookUrl` that a robot's callback left.
    pub async fn webhook_url(&self, url: &str, text: &str, mentioned: &[&str]) -> Outcome {
        match self.own(url) {
            Some(url) => self.webhook(url, None, text, mentioned).await,
            None => foreign(),
        }
    }

    /// The one answer that an AI bot's `response_url` allows, as markdown.
    pub async fn response_url(&self, url: &str, markdown: &str) -> Outcome {
        let Some(url) = self.own(url) else { return foreign() };
        let body = json!({"msgtype": "markdown", "markdown": {"content": markdown}});
        outcome(self.http.post(url, &body).await)
    }

    async fn webhook(&self, url: Url, chat: Option<&str>, text: &str, mentioned: &[&str]) -> Outcome {
        let mut body = json!({"msgtype": "text", "text": {"content": text, "mentioned_list": mentioned}});
        if let Some(chat) = chat {
            body["chatid"] = chat.into();
        }
        outcome(self.http.post(url, &body).await)
    }

    /// Posts with a token; one that WeCom declares bad is renewed once. `Ok` is an answer with code 0.
    async fn call(&self, app: &App, path: &str, body: &Value) -> Result<Answer, Outcome> {
        let token = app.tokens.get().await.map_err(without_token)?;
        match self.post(path, &token, body).await {
            Ok(answer) if errcode::meaning(answer.code) == Meaning::StaleToken => app.tokens.invalidate(&token).await,
            answered => return accepted(answered),
        }
        let token = app.tokens.get().await.map_err(without_token)?;
        accepted(self.post(path, &token, body).await)
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Answer, Failure> {
        let mut url = self.at(path);
        url.query_pairs_mut().append_pair("access_token", token);
        self.http.post(url, body).await
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(None);
        url
    }

    /// An address that a callback left, if it is of this very API: whoever can write a callback must not choose whom we call.
    fn own(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        let is_own = url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none();
        is_own.then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::Duration;

    use axum::body::{Body, Bytes};
    use axum::http::{Request, Uri};
    use axum::response::{IntoResponse, Response};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::wecom::outcome::Trouble;

    /// A WeCom of one test: remembers what it heard and answers with what it was told to, then with success.
    #[derive(Clone, Default)]
    struct WeCom(Arc<Mutex<Heard>>);

    #[derive(Default)]
    struct Heard {
        calls: Vec<(Uri, Value)>,
        /// Calls with a stale token.
        refusals: u32,
        tokens: u32,
        answers: VecDeque<Response>,
        token_answers: VecDeque<Response>,
        /// The query that is answered with 42001.
        stale_token: Option<&'static str>,
    }

    impl WeCom {
        async fn start(&self) -> (Client, App) {
            let wecom = self.clone();
            let router = axum::Router::new().fallback(move |request: Request<Body>| async move { wecom.answer(request).await });
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move { axum::serve(listener, router).await });
            client(&format!("http://{address}"))
        }

        async fn answer(&self, request: Request<Body>) -> Response {
            let uri = request.uri().clone();
            let bytes: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let mut heard = self.0.lock().unwrap();
            if uri.path() == "/cgi-bin/gettoken" {
                heard.tokens += 1;
                let token = json!({"errcode": 0, "errmsg": "ok", "access_token": format!("T{}", heard.tokens), "expires_in": 7200});
                return heard.token_answers.pop_front().unwrap_or_else(|| ok(token));
            }
            if heard.stale_token.is_some() && uri.query() == heard.stale_token {
                heard.refusals += 1;
                return code(42001);
            }
            heard.calls.push((uri, serde_json::from_slice(&bytes).unwrap()));
            heard.answers.pop_front().unwrap_or_else(|| ok(json!({"errcode": 0, "errmsg": "ok", "msgid": "M1"})))
        }

        fn will_answer(self, answers: impl IntoIterator<Item = Response>) -> Self {
            self.0.lock().unwrap().answers.extend(answers);
            self
        }

        fn will_answer_gettoken(self, answers: impl IntoIterator<Item = Response>) -> Self {
            self.0.lock().unwrap().token_answers.extend(answers);
            self
        }

        fn calls(&self) -> Vec<(Uri, Value)> {
            self.0.lock().unwrap().calls.clone()
        }

        fn tokens(&self) -> u32 {
            self.0.lock().unwrap().tokens
        }
    }

    fn ok(answer: Value) -> Response {
        answer.to_string().into_response()
    }

    fn code(code: i64) -> Response {
        ok(json!({"errcode": code, "errmsg": "as told"}))
    }

    fn client(api_base: &str) -> (Client, App) {
        let http = Http::with_timeouts(Duration::from_millis(500), Duration::from_millis(500)).unwrap();
        let client = Client::new(http, api_base).unwrap();
        let app = client.app(1_000_002, "ww1", &SecretString::from("very-secret"));
        (client, app)
    }

    async fn outcome_of(answer: Response) -> Outcome {
        let wecom = WeCom::default().will_answer([answer]);
        let (client, app) = wecom.start().await;
        client.message_send(&app, "aming", "签到成功", 7).await
    }

    fn sent() -> Outcome {
        Outcome::Sent { msgid: Some("M1".into()) }
    }

    #[tokio::test]
    async fn each_call_says_what_wecom_expects() {
        let wecom = WeCom::default();
        let (client, app) = wecom.start().await;
        assert_eq!(client.message_send(&app, "aming", "签到成功", 7).await, sent());
        assert_eq!(client.appchat_send(&app, "wrkGroup", "签到成功").await, sent());
        assert_eq!(client.webhook_send("K&1", None, "签到成功", &["aming"]).await, sent());
        let own = client.at("/cgi-bin/aibot/response?response_code=A").to_string().replace("%3F", "?");
        assert_eq!(client.response_url(&own, "签到成功").await, sent());
        let told: Vec<String> = wecom.calls().iter().map(|(uri, body)| format!("{uri} {body}")).collect();
        assert_eq!(
            told,
            [
                r#"/cgi-bin/message/send?access_token=T1 {"agentid":1000002,"duplicate_check_interval":667,"enable_duplicate_check":1,"msgtype":"text","text":{"content":"签到成功"},"touser":"aming"}"#,
                r#"/cgi-bin/appchat/send?access_token=T1 {"chatid":"wrkGroup","msgtype":"text","text":{"content":"签到成功"}}"#,
                r#"/cgi-bin/webhook/send?key=K%261 {"msgtype":"text","text":{"content":"签到成功","mentioned_list":["aming"]}}"#,
                r#"/cgi-bin/aibot/response?response_code=A {"markdown":{"content":"签到成功"},"msgtype":"markdown"}"#,
            ]
        );
    }

    #[tokio::test]
    async fn a_token_that_went_bad_under_many_sends_is_renewed_once() {
        let wecom = WeCom::default();
        let (client, app) = wecom.start().await;
        wecom.0.lock().unwrap().stale_token = Some("access_token=T1");
        let send = || {
            let (client, app) = (client.clone(), app.clone());
            tokio::spawn(async move { client.message_send(&app, "aming", "签到成功", 7).await })
        };
        let sends: Vec<_> = (0..200).map(|_| send()).collect();
        for one in sends {
            assert_eq!(one.await.unwrap(), sent());
        }
        assert_eq!((wecom.tokens(), wecom.calls().len()), (2, 200));
        assert!(wecom.0.lock().unwrap().refusals <= 200, "one repetition each");
    }

    #[tokio::test]
    async fn a_stale_token_costs_one_refresh_and_one_repetition() {
        for stale in [40014, 41001, 42001, 40001] {
            let wecom = WeCom::default().will_answer([code(stale)]);
            let (client, app) = wecom.start().await;
            assert_eq!(client.message_send(&app, "aming", "签到成功", 7).await, sent());
            assert_eq!((wecom.tokens(), wecom.calls().len()), (2, 2));
            assert_eq!(wecom.calls()[1].0.query(), Some("access_token=T2"));
        }
    }

    #[tokio::test]
    async fn a_token_that_stays_bad_is_not_tried_a_third_time() {
        let wecom = WeCom::default().will_answer([code(40014), code(40014)]);
        let (client, app) = wecom.start().await;
        let outcome = client.message_send(&app, "aming", "签到成功", 7).await;
        assert!(matches!(outcome, Outcome::Held { trouble: Trouble::NoToken { after_secs: 30 }, .. }), "{outcome:?}");
        assert_eq!(wecom.calls().len(), 2);
    }

    #[tokio::test]
    async fn a_wrong_secret_is_asked_once_and_told_to_everybody() {
        let wecom = WeCom::default().will_answer_gettoken([code(40001)]);
        let (client, app) = wecom.start().await;
        for _ in 0..3 {
            let outcome = client.message_send(&app, "aming", "签到成功", 7).await;
            assert!(matches!(&outcome, Outcome::Held { trouble: Trouble::Stopped, reason } if !reason.contains("very-secret")), "{outcome:?}");
        }
        assert_eq!((wecom.tokens(), wecom.calls().len()), (1, 0));
    }

    #[tokio::test]
    async fn what_holds_the_sender_up_is_told_from_what_is_wrong_with_the_message() {
        for (told, trouble) in [
            (45009, Trouble::Limited { window_secs: None }),
            (45033, Trouble::Crowded),
            (60020, Trouble::Stopped),
            (48002, Trouble::Stopped),
            (301_002, Trouble::Stopped),
            (93000, Trouble::Gone),
            (86008, Trouble::Gone),
        ] {
            let outcome = outcome_of(code(told)).await;
            assert!(matches!(&outcome, Outcome::Held { trouble: held, .. } if *held == trouble), "{outcome:?}");
        }
        assert!(matches!(outcome_of(code(-1)).await, Outcome::Busy { .. }));
        assert!(matches!(outcome_of(code(45002)).await, Outcome::TooLong { .. }));
        for refused in [81013, 60111, 40058, 123_456] {
            assert!(matches!(outcome_of(code(refused)).await, Outcome::Refused { code, .. } if code == refused));
        }
    }

    #[tokio::test]
    async fn a_secret_that_was_changed_stops_the_app_and_the_new_one_sends() {
        let wecom = WeCom::default()
            .will_answer([code(40001)])
            .will_answer_gettoken([ok(json!({"errcode": 0, "access_token": "T0", "expires_in": 7200})), code(40001)]);
        let (client, app) = wecom.start().await;
        let held = client.message_send(&app, "aming", "签到成功", 7).await;
        assert!(matches!(held, Outcome::Held { trouble: Trouble::Stopped, .. }), "{held:?}");
        let renewed = client.app(1_000_002, "ww1", &SecretString::from("new-secret"));
        assert_eq!(client.message_send(&renewed, "aming", "签到成功", 7).await, sent());
    }

    #[tokio::test]
    async fn the_same_text_meant_twice_differs_and_a_repetition_does_not() {
        let wecom = WeCom::default();
        let (client, app) = wecom.start().await;
        for mark in [7, 7, 8] {
            assert_eq!(client.message_send(&app, "aming", "现有 2 积分", mark).await, sent());
        }
        let bodies: Vec<Value> = wecom.calls().into_iter().map(|(_, body)| body).collect();
        assert!(bodies[0] == bodies[1] && bodies[1] != bodies[2], "{bodies:?}");
    }

    #[tokio::test]
    async fn a_recipient_who_was_passed_over_was_not_reached() {
        let passed_over = outcome_of(ok(json!({"errcode": 0, "errmsg": "ok", "invaliduser": "other|AMING"}))).await;
        assert!(matches!(passed_over, Outcome::Refused { code: 0, .. }));
        assert_eq!(outcome_of(ok(json!({"errcode": 0, "invaliduser": "aming2", "msgid": "M1"}))).await, sent());
    }

    #[tokio::test]
    async fn what_came_back_as_garbage_is_unknown() {
        let redirect = || ([("location", "http://127.0.0.1:9/")], "").into_response();
        let found = {
            let mut response = redirect();
            *response.status_mut() = axum::http::StatusCode::FOUND;
            response
        };
        let broken = {
            let mut response = code(0);
            *response.status_mut() = axum::http::StatusCode::BAD_GATEWAY;
            response
        };
        let gbk = vec![b'{', b'"', 0xc7, 0xa9, 0xb5, 0xbd, b'"', b'}'];
        for answer in [
            gbk.into_response(),
            "".into_response(),
            "<html>502</html>".into_response(),
            "{\"errcode\":".into_response(),
            vec![b'x'; 10 << 20].into_response(),
            found,
            broken,
        ] {
            let outcome = outcome_of(answer).await;
            assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_or_is_cut_is_unknown() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, _) = client(&format!("http://{}", listener.local_addr().unwrap()));
        let (silent, held) = tokio::join!(client.webhook_send("K", None, "签到成功", &[]), listener.accept());
        assert_eq!(silent, Outcome::Unknown { reason: "请求已发出,没有等到答复".into() });
        drop(held);
        let cut = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"errcode\"").await.unwrap();
        };
        let (outcome, ()) = tokio::join!(client.webhook_send("K", None, "签到成功", &[]), cut);
        assert_eq!(outcome, Outcome::Unknown { reason: "请求已发出,连接中断".into() });
    }

    #[tokio::test]
    async fn an_answer_that_trickles_does_not_outlast_the_deadline() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, _) = client(&format!("http://{}", listener.local_addr().unwrap()));
        let trickle = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(b"HTTP/1.1 200 OK\r\nServer: ").await.unwrap();
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            while socket.write_all(b"x").await.is_ok() {
                ticks.tick().await;
            }
        };
        let outcome = tokio::select! {
            outcome = client.webhook_send("K", None, "签到成功", &[]) => outcome,
            () = trickle => unreachable!("it trickles until nobody listens"),
        };
        assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_proxy_that_wants_a_password_is_named() {
        let mut answer = "".into_response();
        *answer.status_mut() = axum::http::StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        let outcome = outcome_of(answer).await;
        assert!(matches!(&outcome, Outcome::Unreachable { reason } if reason.contains("407")), "{outcome:?}");
    }

    #[tokio::test]
    async fn a_byte_order_mark_does_not_hide_an_answer() {
        assert_eq!(outcome_of("\u{feff}{\"errcode\":0,\"msgid\":\"M1\"}".into_response()).await, sent());
    }

    #[tokio::test]
    async fn nobody_listening_means_certainly_not_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let (client, app) = client(&api_base);
        assert!(matches!(client.webhook_send("K", None, "签到成功", &[]).await, Outcome::Unreachable { .. }));
        assert!(matches!(client.message_send(&app, "aming", "签到成功", 7).await, Outcome::Unreachable { .. }));
    }

    #[tokio::test]
    async fn only_addresses_of_the_api_itself_are_called() {
        let (client, _) = client("https://qyapi.weixin.qq.com");
        for foreign in [
            "http://qyapi.weixin.qq.com/cgi-bin/aibot/response",
            "https://qyapi.weixin.qq.com:8443/",
            "https://qyapi.weixin.qq.com.evil.example/",
            "https://qyapi.weixin.qq.com@evil.example/",
            "https://user@qyapi.weixin.qq.com/",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "//qyapi.weixin.qq.com/",
            "",
        ] {
            assert!(matches!(client.response_url(foreign, "签到成功").await, Outcome::Refused { code: 0, .. }), "{foreign}");
            assert!(matches!(client.webhook_url(foreign, "签到成功", &[]).await, Outcome::Refused { code: 0, .. }), "{foreign}");
        }
        assert!(client.own("https://QYAPI.weixin.qq.com:443/cgi-bin/aibot/response?response_code=A").is_some());
    }

    #[test]
    fn an_api_base_must_be_an_address() {
        for bad in ["", "qyapi.weixin.qq.com", "ftp://qyapi.weixin.qq.com", "https://user:key@qyapi.weixin.qq.com", "https://proxy.example/wecom"] {
            assert_eq!(Client::new(Http::new().unwrap(), bad).err(), Some(BadApiBase), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let (_, app) = client("https://qyapi.weixin.qq.com");
        assert!(!format!("{app:?}").contains("very-secret"));
    }
}
