//! Sending: the calls that say something, and what became of each.
//!
//! Sources: developer.work.weixin.qq.com/document/path/90236 (message/send), 90248 (appchat/send), 91770 (webhook/send),
//! 101138 (an AI bot's response_url).

use std::borrow::Cow;
use std::sync::Arc;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::errcode::{self, Meaning};
use super::http::{Answer, Failure, Http};
use super::outcome::{Outcome, accepted, delivered, foreign, outcome, sent, without_token};
use super::token::Tokens;

/// Bytes of a text message of any kind; more is refused with 45002.
pub const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of an AI bot's markdown.
pub const MARKDOWN_BYTES_MAX: usize = 20480;

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

    /// A private message from an app to one member.
    pub async fn message_send(&self, app: &App, touser: &str, text: &str) -> Outcome {
        let body = json!({"touser": touser, "agentid": app.agent_id, "msgtype": "text", "text": {"content": fit(text, TEXT_BYTES_MAX)}});
        match self.call(app, "/cgi-bin/message/send", &body).await {
            Ok(answer) => delivered(&answer, touser),
            Err(outcome) => outcome,
        }
    }

    /// A message into a group that the app created.
    pub async fn appchat_send(&self, app: &App, chat: &str, text: &str) -> Outcome {
        let body = json!({"chatid": chat, "msgtype": "text", "text": {"content": fit(text, TEXT_BYTES_MAX)}});
        self.call(app, "/cgi-bin/appchat/send", &body).await.map_or_else(|outcome| outcome, |answer| sent(&answer))
    }

    /// A message of a group robot, with a real @ for the userids given.
    pub async fn webhook_send(&self, key: &str, text: &str, mentioned: &[&str]) -> Outcome {
        let mut url = self.at("/cgi-bin/webhook/send");
        url.query_pairs_mut().append_pair("key", key);
        self.webhook(url, text, mentioned).await
    }

    /// The same through the `WebhookUrl` that a robot's callback left.
    pub async fn webhook_url(&self, url: &str, text: &str, mentioned: &[&str]) -> Outcome {
        match self.own(url) {
            Some(url) => self.webhook(url, text, mentioned).await,
            None => foreign(),
        }
    }

    /// The one answer that an AI bot's `response_url` allows, as markdown.
    pub async fn response_url(&self, url: &str, markdown: &str) -> Outcome {
        let Some(url) = self.own(url) else { return foreign() };
        let body = json!({"msgtype": "markdown", "markdown": {"content": fit(markdown, MARKDOWN_BYTES_MAX)}});
        outcome(self.http.post(url, &body).await)
    }

    async fn webhook(&self, url: Url, text: &str, mentioned: &[&str]) -> Outcome {
        let text = json!({"content": fit(text, TEXT_BYTES_MAX), "mentioned_list": mentioned});
        outcome(self.http.post(url, &json!({"msgtype": "text", "text": text})).await)
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

/// The text within so many bytes; cut between graphemes, with «…» at the end, if it is longer.
fn fit(text: &str, bytes_max: usize) -> Cow<'_, str> {
    const ELLIPSIS: &str = "…";
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let room = bytes_max - ELLIPSIS.len();
    let end = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len()).take_while(|end| *end <= room).last().unwrap_or(0);
    Cow::Owned(format!("{}{ELLIPSIS}", &text[..end]))
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

    /// A WeCom of one test: remembers what it heard and answers with what it was told to, then with success.
    #[derive(Clone, Default)]
    struct WeCom(Arc<Mutex<Heard>>);

    #[derive(Default)]
    struct Heard {
        calls: Vec<(Uri, Value)>,
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
        client.message_send(&app, "aming", "签到成功").await
    }

    fn sent() -> Outcome {
        Outcome::Sent { msgid: Some("M1".into()) }
    }

    #[tokio::test]
    async fn each_call_says_what_wecom_expects() {
        let wecom = WeCom::default();
        let (client, app) = wecom.start().await;
        assert_eq!(client.message_send(&app, "aming", "签到成功").await, sent());
        assert_eq!(client.appchat_send(&app, "wrkGroup", "签到成功").await, sent());
        assert_eq!(client.webhook_send("K&1", "签到成功", &["aming"]).await, sent());
        let own = client.at("/cgi-bin/aibot/response?response_code=A").to_string().replace("%3F", "?");
        assert_eq!(client.response_url(&own, "签到成功").await, sent());
        let told: Vec<String> = wecom.calls().iter().map(|(uri, body)| format!("{uri} {body}")).collect();
        assert_eq!(
            told,
            [
                r#"/cgi-bin/message/send?access_token=T1 {"agentid":1000002,"msgtype":"text","text":{"content":"签到成功"},"touser":"aming"}"#,
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
            tokio::spawn(async move { client.message_send(&app, "aming", "签到成功").await })
        };
        let sends: Vec<_> = (0..40).map(|_| send()).collect();
        for one in sends {
            assert_eq!(one.await.unwrap(), sent());
        }
        assert_eq!(wecom.tokens(), 2);
    }

    #[tokio::test]
    async fn a_stale_token_costs_one_refresh_and_one_repetition() {
        for stale in [40014, 41001, 42001, 40001] {
            let wecom = WeCom::default().will_answer([code(stale)]);
            let (client, app) = wecom.start().await;
            assert_eq!(client.message_send(&app, "aming", "签到成功").await, sent());
            assert_eq!((wecom.tokens(), wecom.calls().len()), (2, 2));
            assert_eq!(wecom.calls()[1].0.query(), Some("access_token=T2"));
        }
    }

    #[tokio::test]
    async fn a_token_that_stays_bad_is_not_tried_a_third_time() {
        let wecom = WeCom::default().will_answer([code(40014), code(40014)]);
        let (client, app) = wecom.start().await;
        assert!(matches!(client.message_send(&app, "aming", "签到成功").await, Outcome::Retry { after_secs: 30, unreachable: false, .. }));
        assert_eq!(wecom.calls().len(), 2);
    }

    #[tokio::test]
    async fn a_wrong_secret_is_asked_once_and_told_to_everybody() {
        let wecom = WeCom::default().will_answer_gettoken([code(40001)]);
        let (client, app) = wecom.start().await;
        for _ in 0..3 {
            let outcome = client.message_send(&app, "aming", "签到成功").await;
            assert!(matches!(&outcome, Outcome::Refused { code: 40001, reason } if !reason.contains("very-secret")), "{outcome:?}");
        }
        assert_eq!((wecom.tokens(), wecom.calls().len()), (1, 0));
    }

    #[tokio::test]
    async fn a_limit_is_waited_for_and_a_refusal_is_final() {
        assert!(matches!(outcome_of(code(45009)).await, Outcome::Retry { after_secs: 60, unreachable: false, .. }));
        assert!(matches!(outcome_of(code(-1)).await, Outcome::Retry { after_secs: 5, .. }));
        for refused in [60020, 81013, 48002, 93000] {
            assert!(matches!(outcome_of(code(refused)).await, Outcome::Refused { code, .. } if code == refused));
        }
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
        for answer in
            ["".into_response(), "<html>502</html>".into_response(), "{\"errcode\":".into_response(), vec![b'x'; 10 << 20].into_response(), found, broken]
        {
            let outcome = outcome_of(answer).await;
            assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_or_is_cut_is_unknown() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, _) = client(&format!("http://{}", listener.local_addr().unwrap()));
        let (silent, held) = tokio::join!(client.webhook_send("K", "签到成功", &[]), listener.accept());
        assert_eq!(silent, Outcome::Unknown { reason: "请求已发出,没有等到答复".into() });
        drop(held);
        let cut = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"errcode\"").await.unwrap();
        };
        let (outcome, ()) = tokio::join!(client.webhook_send("K", "签到成功", &[]), cut);
        assert_eq!(outcome, Outcome::Unknown { reason: "请求已发出,连接中断".into() });
    }

    #[tokio::test]
    async fn nobody_listening_means_certainly_not_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let (client, app) = client(&api_base);
        assert!(matches!(client.webhook_send("K", "签到成功", &[]).await, Outcome::Retry { unreachable: true, .. }));
        assert!(matches!(client.message_send(&app, "aming", "签到成功").await, Outcome::Retry { unreachable: true, after_secs: 30, .. }));
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
    fn long_texts_are_cut_between_graphemes() {
        assert_eq!(fit("签到", 6), "签到");
        assert_eq!(fit("签到了", 8), "签…");
        let families = "👨‍👩‍👧‍👦".repeat(200);
        let cut = fit(&families, TEXT_BYTES_MAX);
        assert!(cut.len() <= TEXT_BYTES_MAX && cut.ends_with("👦…"), "{}", cut.len());
        assert_eq!(fit(&"e\u{301}".repeat(2000), 10), "e\u{301}e\u{301}…");
    }

    #[test]
    fn debug_shows_no_secret() {
        let (_, app) = client("https://qyapi.weixin.qq.com");
        assert!(!format!("{app:?}").contains("very-secret"));
    }
}
