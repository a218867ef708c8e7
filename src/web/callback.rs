//! `GET|POST /wecom/{corp}/{channel}`: an envelope in, an event to the pipeline, 200 once it is durable.
//!
//! 200 is an empty body: answers go another way. 403 is every bad envelope, without a word why. 503 makes WeCom send it
//! again, three times in all (developer.work.weixin.qq.com/document/path/90930).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics::{Counter, counter};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::failpoint;
use crate::model::event::{Event, Kind};
use crate::model::ids::{CorpName, EventSeq};
use crate::settings::{CallbackKeys, Settings};
use crate::web::metrics::{CALLBACKS, CLAMPED};
use crate::web::{Hear, Heard, NotNow};
use crate::wecom::body;
use crate::wecom::callback::Inbox;
use crate::wecom::envelope::{BadKey, Keys, Query, Refused, open_with};

/// When WeCom may come again, in seconds.
const RETRY_AFTER_SECS: &str = "1";

/// A commit that takes longer is answered 503: WeCom waits five seconds (developer.work.weixin.qq.com/document/path/90930), and an
/// answer that comes too late is none.
const ANSWER_DEADLINE: Duration = Duration::from_secs(4);

/// The channels that callbacks come by, by corp and name.
#[derive(Default)]
pub struct Channels {
    corps: HashMap<String, HashMap<String, Arc<Door>>>,
}

/// One channel: what opens its envelopes and who reads them.
struct Door {
    /// `corp/channel`, for logs and metrics.
    label: String,
    keys: Vec<Keys>,
    inbox: Inbox,
    counts: Counts,
    /// The second in which a bad envelope was last logged.
    complained: AtomicI64,
}

/// Counters made once, because the usual callback must not look them up.
struct Counts {
    accepted: Counter,
    repeated: Counter,
    unknown: Counter,
    busy: Counter,
    checked: Counter,
}

/// A channel whose keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("corp.{corp} 的通道 {channel}:{source}")]
pub struct BadChannel {
    corp: String,
    channel: String,
    source: BadKey,
}

impl Channels {
    /// Every channel of jifen.toml that has a callback.
    pub fn from_settings(settings: &Settings) -> Result<Self, BadChannel> {
        let mut channels = Channels::default();
        for (name, corp) in &settings.corp {
            let corp_id = corp.corp_id.as_str();
            let corp_name: CorpName = name.as_str().into();
            for (channel, app) in &corp.app {
                channels.add(name, channel, &app.callback_keys(), corp_id, Inbox::app(&corp_name, channel, app.agent_id))?;
            }
            for (channel, aibot) in &corp.aibot {
                channels.add(name, channel, &aibot.callback_keys(), "", Inbox::aibot(&corp_name, channel))?;
            }
            for (channel, robot) in &corp.robot {
                let Some(keys) = robot.callback_keys() else { continue };
                channels.add(name, channel, &keys, "", Inbox::robot(&corp_name, channel, robot.webhook_key.expose()))?;
            }
        }
        Ok(channels)
    }

    fn add(&mut self, corp: &str, channel: &str, keys: &CallbackKeys, receiveid: &str, inbox: Inbox) -> Result<(), BadChannel> {
        let pair = (keys.token.expose(), keys.encoding_aes_key.expose());
        let (token_old, key_old) = (keys.token_old.as_ref().map(|s| s.expose()), keys.encoding_aes_key_old.as_ref().map(|s| s.expose()));
        let keys = Keys::rotation(pair, token_old, key_old, receiveid).map_err(|source| BadChannel { corp: corp.into(), channel: channel.into(), source })?;
        let label = format!("{corp}/{channel}");
        let door = Door { counts: Counts::of(&label), label, keys, inbox, complained: AtomicI64::new(0) };
        self.corps.entry(corp.to_owned()).or_default().insert(channel.to_owned(), Arc::new(door));
        Ok(())
    }

    fn get(&self, corp: &str, channel: &str) -> Option<&Door> {
        Some(self.corps.get(corp)?.get(channel)?)
    }
}

impl Counts {
    fn of(channel: &str) -> Self {
        let verdict = |verdict: &'static str| counter!(CALLBACKS, "channel" => channel.to_owned(), "verdict" => verdict);
        Counts { accepted: verdict("accepted"), repeated: verdict("repeated"), unknown: verdict("unknown"), busy: verdict("busy"), checked: verdict("checked") }
    }
}

impl Door {
    /// Counts a bad envelope; logs one a second, so that a stranger cannot fill the disk.
    fn refuse(&self, refused: Refused, now_secs: i64) -> StatusCode {
        counter!(CALLBACKS, "channel" => self.label.clone(), "verdict" => format!("bad_{}", refused.as_str())).increment(1);
        if self.complained.swap(now_secs, Ordering::Relaxed) != now_secs {
            tracing::warn!(channel = %self.label, reason = refused.as_str(), "refused a callback whose envelope is not genuine");
        }
        StatusCode::FORBIDDEN
    }
}

struct Callbacks {
    channels: Channels,
    hear: Hear,
    clock: Clock,
}

/// The route.
pub fn routes(channels: Channels, hear: Hear, clock: Clock) -> Router {
    let callbacks = Arc::new(Callbacks { channels, hear, clock });
    Router::new().route("/wecom/{corp}/{channel}", get(check).post(receive)).with_state(callbacks)
}

/// WeCom's check of the address: proves that we hold the keys by saying the decrypted text back.
async fn check(State(callbacks): State<Arc<Callbacks>>, Path((corp, channel)): Path<(String, String)>, RawQuery(query): RawQuery) -> Response {
    let Some(door) = callbacks.channels.get(&corp, &channel) else { return StatusCode::NOT_FOUND.into_response() };
    let query = query.unwrap_or_default();
    match open_with(&door.keys, Signed::of(&query).query(), &parameter(&query, "echostr")) {
        Ok(echo) => {
            door.counts.checked.increment(1);
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], echo).into_response()
        }
        Err(refused) => door.refuse(refused, callbacks.now_secs()).into_response(),
    }
}

async fn receive(State(callbacks): State<Arc<Callbacks>>, Path((corp, channel)): Path<(String, String)>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let Some(door) = callbacks.channels.get(&corp, &channel) else { return StatusCode::NOT_FOUND.into_response() };
    let query = query.unwrap_or_default();
    let text = match body::encrypted(&body).and_then(|encrypted| open_with(&door.keys, Signed::of(&query).query(), &encrypted)) {
        Ok(text) => text,
        Err(refused) => return door.refuse(refused, callbacks.now_secs()).into_response(),
    };
    failpoint::hit("cb.decrypted");
    let events = door.inbox.read(text, callbacks.clock.now());
    if events.iter().any(|event| event.clamped) {
        counter!(CLAMPED, "channel" => door.label.clone()).increment(1);
    }
    let understood = !events.iter().any(|event| matches!(event.kind, Kind::Unknown { .. }));
    match timeout(ANSWER_DEADLINE, hear_all(&callbacks.hear, events)).await.unwrap_or(Err(NotNow)) {
        Ok(heard) if heard.known => door.counts.repeated.increment(1),
        Ok(_) if understood => door.counts.accepted.increment(1),
        Ok(_) => door.counts.unknown.increment(1),
        Err(NotNow) => {
            door.counts.busy.increment(1);
            return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER_SECS)]).into_response();
        }
    }
    failpoint::hit("http.before_200");
    StatusCode::OK.into_response()
}

/// Hears the events of one callback, all queued before any is waited for, so that they share a commit. What was committed of a callback that
/// fails is known when WeCom sends it again.
async fn hear_all(hear: &Hear, events: Vec<Event>) -> Result<Heard, NotNow> {
    let mut waiting: Vec<_> = events.into_iter().map(|event| hear(event)).collect();
    let Some(last) = waiting.pop() else { return Ok(Heard { seq: EventSeq(0), known: true }) };
    if waiting.is_empty() {
        return last.await;
    }
    let queued: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
    let mut all = last.await?;
    for one in queued {
        all.known &= one.await.unwrap_or(Err(NotNow))?.known;
    }
    Ok(all)
}

impl Callbacks {
    fn now_secs(&self) -> i64 {
        self.clock.now().0 / 1000
    }
}

/// What the signature is made over, beside the ciphertext.
struct Signed<'a> {
    msg_signature: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    nonce: Cow<'a, str>,
}

impl<'a> Signed<'a> {
    fn of(query: &'a str) -> Self {
        Signed { msg_signature: parameter(query, "msg_signature"), timestamp: parameter(query, "timestamp"), nonce: parameter(query, "nonce") }
    }

    fn query(&self) -> Query<'_> {
        Query { msg_signature: &self.msg_signature, timestamp: &self.timestamp, nonce: &self.nonce }
    }
}

/// A parameter, percent-decoded once; empty when it is missing or no UTF-8. A bare `+` stays one: base64 has it, and no value has spaces.
fn parameter<'a>(query: &'a str, name: &str) -> Cow<'a, str> {
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map_or("", |(_, value)| value);
    percent_decode_str(value).decode_utf8().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    const OLD_KEY: &str = "6qkdMrq68nTKduznJYO1A37W2oEgpkMUvkttRToqhUt";

    struct Site {
        router: Router,
        heard: Arc<Mutex<Vec<Event>>>,
    }

    impl Site {
        /// A site with one app and one AI bot; `full` for a pipeline that has no room.
        fn new(full: bool) -> Self {
            Site::answering(move || std::future::ready(if full { Err(NotNow) } else { Ok(Heard { seq: EventSeq(1), known: false }) }))
        }

        /// A site whose pipeline answers so.
        fn answering<F: Future<Output = Result<Heard, NotNow>> + Send + 'static>(answer: impl Fn() -> F + Send + Sync + 'static) -> Self {
            let settings = Settings::parse(&format!(
                "[corp.acme]\ncorp_id = \"ww1\"\n[corp.acme.app.assistant]\nagent_id = 1000002\nsecret = \"s\"\ntoken = \"t\"\nencoding_aes_key = \"{KEY}\"\n\
                 token_old = \"old\"\nencoding_aes_key_old = \"{OLD_KEY}\"\n[corp.acme.aibot.helper]\ntoken = \"b\"\nencoding_aes_key = \"{KEY}\"\n"
            ));
            let heard = Arc::new(Mutex::new(Vec::new()));
            let seen = Arc::clone(&heard);
            let hear: Hear = Arc::new(move |event| {
                seen.lock().unwrap().push(event);
                Box::pin(answer())
            });
            Site { router: routes(Channels::from_settings(&settings.unwrap()).unwrap(), hear, Clock::default()), heard }
        }

        async fn ask(&self, method: &str, uri: &str, body: String) -> (StatusCode, String, Option<String>) {
            let answer = self.router.clone().oneshot(Request::builder().method(method).uri(uri).body(Body::from(body)).unwrap()).await.unwrap();
            let (head, body) = answer.into_parts();
            let retry = head.headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
            (head.status, String::from_utf8(axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap(), retry)
        }
    }

    /// The address and the ciphertext of a text sealed for a channel.
    fn sealed(keys: &Keys, path: &str, text: &str) -> (String, String) {
        let sealed = keys.seal(text, "1795300000", "881720443", [7; 16]);
        (format!("{path}?msg_signature={}&timestamp=1795300000&nonce=881720443", sealed.signature), sealed.encrypt)
    }

    fn app_keys() -> Keys {
        Keys::new("t", KEY, "ww1").unwrap()
    }

    const MESSAGE: &str = "<xml><ToUserName>ww1</ToUserName><FromUserName>aming</FromUserName><CreateTime>1795300000</CreateTime><MsgType>text</MsgType>\
                           <Content>签到</Content><MsgId>7300000000000000001</MsgId><AgentID>1000002</AgentID></xml>";

    #[tokio::test]
    async fn the_address_check_is_answered_with_the_bare_text() {
        let site = Site::new(false);
        let (uri, echo) = sealed(&app_keys(), "/wecom/acme/assistant", "1616140317555161061");
        let uri = format!("{uri}&echostr={}", percent_encoding::utf8_percent_encode(&echo, percent_encoding::NON_ALPHANUMERIC));
        assert_eq!(site.ask("GET", &uri, String::new()).await, (StatusCode::OK, "1616140317555161061".into(), None));
        let wrong = uri.replace("timestamp=1795300000", "timestamp=1795300001");
        assert_eq!(site.ask("GET", &wrong, String::new()).await, (StatusCode::FORBIDDEN, String::new(), None));
    }

    #[tokio::test]
    async fn a_genuine_callback_is_heard_and_answered_with_nothing() {
        let site = Site::new(false);
        let (uri, encrypt) = sealed(&app_keys(), "/wecom/acme/assistant", MESSAGE);
        let answer = site.ask("POST", &uri, format!("<xml><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")).await;
        assert_eq!(answer, (StatusCode::OK, String::new(), None));
        assert_eq!(site.heard.lock().unwrap()[0].corp.as_ref(), "acme");
    }

    #[tokio::test]
    async fn the_old_pair_is_still_accepted_during_a_rotation() {
        let site = Site::new(false);
        let (uri, encrypt) = sealed(&Keys::new("old", OLD_KEY, "ww1").unwrap(), "/wecom/acme/assistant", MESSAGE);
        assert_eq!(site.ask("POST", &uri, format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn every_bad_envelope_gets_the_same_silent_403() {
        let site = Site::new(false);
        let (uri, encrypt) = sealed(&app_keys(), "/wecom/acme/assistant", MESSAGE);
        let (foreign, foreign_encrypt) = sealed(&Keys::new("t", KEY, "ww2").unwrap(), "/wecom/acme/assistant", MESSAGE);
        let bodies = [
            (uri.clone(), "签到".to_owned()),
            (uri.clone(), format!("<xml><Encrypt>{}</Encrypt></xml>", &encrypt[4..])),
            (uri.replace("nonce=8", "nonce=9"), format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")),
            (foreign, format!("<xml><Encrypt>{foreign_encrypt}</Encrypt></xml>")),
            ("/wecom/acme/assistant".to_owned(), format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")),
            ("/wecom/acme/helper".to_owned() + uri.trim_start_matches("/wecom/acme/assistant"), format!("{{\"encrypt\":\"{encrypt}\"}}")),
        ];
        for (uri, body) in bodies {
            assert_eq!(site.ask("POST", &uri, body).await, (StatusCode::FORBIDDEN, String::new(), None), "{uri}");
        }
        assert!(site.heard.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_committed_is_asked_for_again() {
        let site = Site::new(true);
        let (uri, encrypt) = sealed(&app_keys(), "/wecom/acme/assistant", MESSAGE);
        let answer = site.ask("POST", &uri, format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")).await;
        assert_eq!(answer, (StatusCode::SERVICE_UNAVAILABLE, String::new(), Some(RETRY_AFTER_SECS.into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_takes_too_long_is_503_before_wecom_gives_up() {
        let site = Site::answering(std::future::pending);
        let (uri, encrypt) = sealed(&app_keys(), "/wecom/acme/assistant", MESSAGE);
        let began = tokio::time::Instant::now();
        let answer = site.ask("POST", &uri, format!("<xml><Encrypt>{encrypt}</Encrypt></xml>")).await;
        assert_eq!((answer.0, began.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, ANSWER_DEADLINE));
    }

    #[tokio::test]
    async fn unknown_channels_and_other_methods_are_told_apart() {
        let site = Site::new(false);
        for path in ["/wecom/acme/nobody", "/wecom/other/assistant", "/wecom/acme", "/"] {
            assert_eq!(site.ask("POST", path, String::new()).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(site.ask("PUT", "/wecom/acme/assistant", String::new()).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn parameters_are_decoded_exactly_once() {
        assert_eq!(parameter("a=1&echostr=x%2By%252B%3D&b=2", "echostr"), "x+y%2B=");
        assert_eq!(parameter("echostr=a+b", "echostr"), "a+b");
        assert_eq!(parameter("nonce=%ff", "nonce"), "");
        assert_eq!(parameter("anonce=1", "nonce"), "");
    }
}
