//! Access tokens: one cache per secret, one refresh in flight, and no hammering of gettoken when it fails.
//!
//! Source: developer.work.weixin.qq.com/document/path/91039. Some 2 000 failed calls an hour get the caller's IP blocked for
//! an hour, so a failure is remembered.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::errcode::{self, Meaning};
use super::http::{Answer, Failure, Http};
use crate::failpoint;

/// A token is renewed this long before it expires.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// No token is believed to live longer than a day; WeCom's live two hours.
const LIFE_SECS_MAX: u64 = 24 * 60 * 60;
/// First rest after a failed refresh; doubles with each further one.
const REST_MIN: Duration = Duration::from_secs(30);
/// Longest rest.
const REST_MAX: Duration = Duration::from_secs(10 * 60);
/// Rest after an answer that only the operator can change: thirty questions an hour are far from a block, and what was repaired is
/// noticed while the answers that wait are still worth saying.
const REST_STOPPED: Duration = Duration::from_secs(2 * 60);
/// Ten calls a minute with bad tokens are answered with a rate limit: well below that, tokens may be declared bad.
const INVALID_PER_MINUTE_MAX: usize = 3;
/// Rest after 45009 where the platform names no longer window, in seconds.
const LIMITED_SECS: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// To every other call it may mean a bad token; to gettoken it means a bad secret.
const BAD_SECRET: i64 = 40001;

/// The access tokens of one secret.
pub struct Tokens {
    http: Http,
    url: Url,
    /// Held across the refresh, so that there is one at a time and everybody else waits for it.
    cache: Mutex<Cache>,
}

/// Why there is no token just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken {
    /// Seconds until asking again makes sense.
    pub after_secs: u32,
    /// Asking again cannot help before the operator changed something.
    pub is_hopeless: bool,
    /// WeCom could not be reached.
    pub is_unreachable: bool,
    /// For the operator; no secret in it.
    pub reason: String,
}

impl Tokens {
    /// The tokens of `secret`; nothing is asked for yet.
    pub fn new(http: Http, api_base: &Url, corp_id: &str, secret: &SecretString) -> Self {
        let mut url = api_base.clone();
        url.set_path("/cgi-bin/gettoken");
        url.query_pairs_mut().clear().append_pair("corpid", corp_id).append_pair("corpsecret", secret.expose_secret());
        Tokens { http, url, cache: Mutex::default() }
    }

    /// A token, cached or fetched.
    pub async fn get(&self) -> Result<Arc<str>, NoToken> {
        let mut cache = self.cache.lock().await;
        if let Some(known) = cache.look(Instant::now()) {
            return known;
        }
        let answer = if failpoint::fails("token.refresh") { Err(Failure::NotSent("连不上企业微信")) } else { self.http.get(self.url.clone()).await };
        let fetched = read(answer);
        metrics::counter!("jifen_token_refreshes_total", "outcome" => if fetched.is_ok() { "ok" } else { "failed" }).increment(1);
        match fetched {
            Ok((token, life)) => Ok(cache.keep(Instant::now(), token, life)),
            Err(no_token) => Err(cache.rest(Instant::now(), no_token)),
        }
    }

    /// Forgets `used`, which WeCom just declared bad. Does nothing if it was replaced meanwhile.
    pub async fn invalidate(&self, used: &str) {
        self.cache.lock().await.invalidate(Instant::now(), used);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

fn read(answer: Result<Answer, Failure>) -> Result<(Arc<str>, Duration), NoToken> {
    let answer = answer.map_err(unanswered)?;
    if answer.code == 0 {
        return granted(&answer).ok_or_else(|| unanswered(Failure::Lost("企业微信的答复里没有 access_token")));
    }
    let meaning = errcode::meaning(answer.code);
    Err(NoToken {
        after_secs: if meaning == Meaning::Limited { errcode::window_secs(&answer).unwrap_or(LIMITED_SECS) } else { 0 },
        is_hopeless: answer.code == BAD_SECRET || meaning == Meaning::Stop,
        is_unreachable: false,
        reason: format!("取不到 access_token:{}", errcode::explain(&answer)),
    })
}

fn granted(answer: &Answer) -> Option<(Arc<str>, Duration)> {
    let life_secs = answer.fields.get("expires_in")?.as_u64()?.min(LIFE_SECS_MAX);
    let token = answer.text("access_token");
    (!token.is_empty()).then(|| (token.into(), Duration::from_secs(life_secs)))
}

fn unanswered(failure: Failure) -> NoToken {
    let is_unreachable = matches!(failure, Failure::NotSent(_));
    NoToken { after_secs: 0, is_hopeless: false, is_unreachable, reason: format!("取不到 access_token:{}", failure.reason()) }
}

/// What is known at one moment; told the time, so that it can be tested without waiting.
#[derive(Default)]
struct Cache {
    token: Option<(Arc<str>, Instant)>,
    /// Why not, and until when that is the answer.
    resting: Option<(NoToken, Instant)>,
    failures: u32,
    /// When tokens were declared bad, in the last minute.
    invalidated: VecDeque<Instant>,
}

impl Cache {
    fn look(&self, now: Instant) -> Option<Result<Arc<str>, NoToken>> {
        if let Some((token, _)) = self.token.as_ref().filter(|(_, until)| now < *until) {
            return Some(Ok(token.clone()));
        }
        let (no_token, until) = self.resting.as_ref().filter(|(_, until)| now < *until)?;
        Some(Err(NoToken { after_secs: whole_secs(*until - now), ..no_token.clone() }))
    }

    fn keep(&mut self, now: Instant, token: Arc<str>, life: Duration) -> Arc<str> {
        self.token = Some((token.clone(), now + life.saturating_sub(EARLY).max(life / 2)));
        self.resting = None;
        self.failures = 0;
        token
    }

    fn rest(&mut self, now: Instant, no_token: NoToken) -> NoToken {
        let doubled = REST_MIN * 2_u32.pow(self.failures.min(8));
        let asked_for = Duration::from_secs(no_token.after_secs.into());
        let rest = if no_token.is_hopeless { REST_STOPPED } else { doubled.max(asked_for).min(REST_MAX) };
        self.failures += 1;
        let no_token = NoToken { after_secs: whole_secs(rest), ..no_token };
        self.resting = Some((no_token.clone(), now + rest));
        no_token
    }

    fn invalidate(&mut self, now: Instant, used: &str) {
        if self.token.as_ref().is_none_or(|(token, _)| &**token != used) {
            return;
        }
        self.token = None;
        self.invalidated.retain(|at| now.duration_since(*at) < MINUTE);
        self.invalidated.push_back(now);
        if self.invalidated.len() > INVALID_PER_MINUTE_MAX {
            let reason = "企业微信反复判定 access_token 失效,先停一分钟;请检查是否有别的程序在用同一个 secret".into();
            let no_token = NoToken { after_secs: 60, is_hopeless: false, is_unreachable: false, reason };
            self.resting = Some((no_token, now + MINUTE));
        }
    }
}

fn whole_secs(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i64) -> NoToken {
        read(Ok(Answer { code, fields: serde_json::json!({ "errcode": code }) })).unwrap_err()
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn an_answer_without_a_token_grants_nothing() {
        for fields in [serde_json::json!({"errcode": 0}), serde_json::json!({"errcode": 0, "access_token": "", "expires_in": 7200})] {
            let no_token = read(Ok(Answer { code: 0, fields })).unwrap_err();
            assert_eq!((no_token.is_hopeless, no_token.is_unreachable), (false, false));
        }
    }

    #[test]
    fn a_life_without_end_is_cut_to_a_day() {
        let fields = serde_json::json!({"errcode": 0, "access_token": "T1", "expires_in": u64::MAX});
        assert_eq!(read(Ok(Answer { code: 0, fields })), Ok(("T1".into(), secs(86_400))));
    }

    #[test]
    fn a_token_is_renewed_five_minutes_early() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(now, "T1".into(), secs(7200));
        assert_eq!(cache.look(now + secs(6899)), Some(Ok("T1".into())));
        assert_eq!(cache.look(now + secs(6900)), None);
    }

    #[test]
    fn failures_rest_longer_and_longer_up_to_ten_minutes() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let rests: Vec<u32> = (0..7).map(|_| cache.rest(now, failure(-1)).after_secs).collect();
        assert_eq!(rests, [30, 60, 120, 240, 480, 600, 600]);
        assert!(matches!(cache.look(now + secs(599)), Some(Err(_))));
        assert_eq!(cache.look(now + secs(600)), None);
        cache.keep(now, "T1".into(), secs(7200));
        assert_eq!(cache.rest(now, failure(-1)).after_secs, 30);
    }

    #[test]
    fn what_only_the_operator_can_change_rests_two_minutes_at_once() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for code in [40001, 40013, 60020] {
            assert_eq!(cache.rest(now, failure(code)).after_secs, 120);
        }
        assert!(failure(40001).reason.contains("secret"));
    }

    #[test]
    fn a_token_declared_bad_by_many_is_forgotten_once() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.keep(now, "T1".into(), secs(7200));
        cache.invalidate(now, "T1");
        cache.keep(now, "T2".into(), secs(7200));
        cache.invalidate(now, "T1");
        assert_eq!(cache.look(now), Some(Ok("T2".into())));
    }

    #[test]
    fn tokens_that_are_bad_again_and_again_are_left_alone_for_a_minute() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for _ in 0..=INVALID_PER_MINUTE_MAX {
            cache.keep(now, "T1".into(), secs(7200));
            cache.invalidate(now, "T1");
        }
        assert!(matches!(cache.look(now + secs(59)), Some(Err(_))));
        assert_eq!(cache.look(now + secs(60)), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let base = Url::parse("https://qyapi.weixin.qq.com").unwrap();
        let tokens = Tokens::new(Http::new().unwrap(), &base, "ww1", &SecretString::from("very-secret"));
        assert!(!format!("{tokens:?}").contains("very-secret"));
    }
}
