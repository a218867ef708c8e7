//! `/demo`: one page that looks like WeCom, and the JSON it asks for.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::civil::{DateTime, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::Deserialize;
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::backtest::words;
use crate::demo::presets::{self, PRESETS};
use crate::demo::scene::{Chat, Line, LineKind};
use crate::demo::stage::{Refusal, Stage};
use crate::demo::wecom::Fault;
use crate::keeper::Denied;
use crate::model::day::Millis;
use crate::picture::look_at;
use crate::rules::words::{How, Listen};
use crate::store::StoreError;

/// The page may load its own files and talk to its own server; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The demo speaks the time of the shipped rules.toml.
pub const ZONE: &str = "Asia/Shanghai";
/// How long the page waits for news before it asks again.
const NEWS_DEADLINE: Duration = Duration::from_secs(5);
/// How slow a slow WeCom is.
const SLOW: Duration = Duration::from_secs(3);

/// The stage, once the daemon runs behind it.
pub type Curtain = Arc<OnceLock<Arc<Stage>>>;

/// The routes, to be served by the daemon itself.
pub fn routes(curtain: Curtain) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/demo") }))
        .route("/demo", get(|| async { asset("text/html", include_str!("page.html")) }))
        .route("/demo/page.css", get(|| async { asset("text/css", include_str!("page.css")) }))
        .route("/demo/page.js", get(|| async { asset("text/javascript", include_str!("page.js")) }))
        .route("/demo/editor.css", get(|| async { asset("text/css", include_str!("editor.css")) }))
        .route("/demo/code.js", get(|| async { asset("text/javascript", include_str!("code.js")) }))
        .route("/demo/trial.js", get(|| async { asset("text/javascript", include_str!("trial.js")) }))
        .route("/demo/editor.js", get(|| async { asset("text/javascript", include_str!("editor.js")) }))
        .route("/demo/api/feed", get(feed))
        .route("/demo/api/say", post(say))
        .route("/demo/api/picture", post(picture))
        .route("/demo/api/attach", post(attach))
        .route("/demo/api/recall", post(recall))
        .route("/demo/api/resend", post(resend))
        .route("/demo/api/move", post(come_or_go))
        .route("/demo/api/crowd", post(crowd))
        .route("/demo/api/person", post(person))
        .route("/demo/api/clock", post(clock))
        .route("/demo/api/fault", post(fault))
        .route("/demo/api/rules", get(rules))
        .route("/demo/api/text", post(text))
        .route("/demo/api/check", post(check))
        .route("/demo/api/backtest", post(backtest))
        .route("/demo/api/save", post(save))
        .route("/demo/report", get(report))
        .with_state(curtain)
}

fn asset(kind: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin".to_owned()),
    ];
    (headers, text).into_response()
}

/// What the page is told when something cannot be done.
struct Sorry(StatusCode, String);

impl From<Refusal> for Sorry {
    fn from(refusal: Refusal) -> Self {
        Sorry(StatusCode::BAD_REQUEST, refusal.to_owned())
    }
}

impl From<StoreError> for Sorry {
    fn from(error: StoreError) -> Self {
        Sorry(StatusCode::SERVICE_UNAVAILABLE, format!("读不了账本:{error}"))
    }
}

impl IntoResponse for Sorry {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

type Answer = Result<Response, Sorry>;

fn stage(curtain: &Curtain) -> Result<Arc<Stage>, Sorry> {
    curtain.get().cloned().ok_or_else(|| Sorry(StatusCode::SERVICE_UNAVAILABLE, "还在启动,请稍等".to_owned()))
}

fn done(id: u64) -> Response {
    Json(json!({ "id": id })).into_response()
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn feed(State(curtain): State<Curtain>, Query(After { after }): Query<After>) -> Answer {
    let stage = stage(&curtain)?;
    let mut changes = stage.scene.changes();
    if *changes.borrow_and_update() <= after {
        // No news in time is an answer too.
        let _ = timeout(NEWS_DEADLINE, changes.changed()).await;
    }
    Ok(Json(stage.scene.feed(after, stage.clock.now())).into_response())
}

#[derive(Deserialize)]
struct Say {
    chat: Chat,
    who: String,
    #[serde(default)]
    text: String,
}

async fn say(State(curtain): State<Curtain>, Json(say): Json<Say>) -> Answer {
    Ok(done(stage(&curtain)?.say(say.chat, &say.who, &say.text).await?))
}

async fn picture(State(curtain): State<Curtain>, Json(say): Json<Say>) -> Answer {
    Ok(done(stage(&curtain)?.picture(say.chat, &say.who).await?))
}

/// A picture is the body; the rest stands in the query.
async fn attach(State(curtain): State<Curtain>, Query(say): Query<Say>, file: Bytes) -> Answer {
    let stage = stage(&curtain)?;
    // Unpacking takes a moment, and others are talking.
    let looked = spawn_blocking(move || look_at(&file)).await;
    let sight = looked.map_err(|_| "图片打不开")?.map_err(|bad| Sorry(StatusCode::BAD_REQUEST, bad.to_string()))?;
    Ok(done(stage.attach(say.chat, &say.who, &say.text, &sight).await?))
}

#[derive(Deserialize)]
struct Bubble {
    id: u64,
}

async fn recall(State(curtain): State<Curtain>, Json(Bubble { id }): Json<Bubble>) -> Answer {
    Ok(done(stage(&curtain)?.recall(id).await?))
}

async fn resend(State(curtain): State<Curtain>, Json(Bubble { id }): Json<Bubble>) -> Answer {
    let answer = stage(&curtain)?.resend(id).await?;
    Ok(Json(json!({ "answer": answer })).into_response())
}

#[derive(Deserialize)]
struct Move {
    chat: Chat,
    who: String,
    joins: bool,
}

async fn come_or_go(State(curtain): State<Curtain>, Json(step): Json<Move>) -> Answer {
    Ok(done(stage(&curtain)?.come_or_go(step.chat, &step.who, step.joins).await?))
}

async fn crowd(State(curtain): State<Curtain>) -> Answer {
    Ok(done(stage(&curtain)?.crowd().await?))
}

#[derive(Deserialize)]
struct NewPerson {
    name: String,
    customer: bool,
}

async fn person(State(curtain): State<Curtain>, Json(new): Json<NewPerson>) -> Answer {
    let stage = stage(&curtain)?;
    let person = stage.scene.add_person(&new.name, new.customer)?;
    if !person.customer {
        stage.double.know(&person.id);
    }
    Ok(Json(person).into_response())
}

/// Where the clock goes.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Hand {
    /// To real time.
    Now,
    /// To the next 20:30.
    Evening,
    /// To 9:00 of the next day.
    Morning,
    /// To this local time: `2026-11-23T09:00`.
    At(String),
}

async fn clock(State(curtain): State<Curtain>, Json(hand): Json<Hand>) -> Answer {
    let stage = stage(&curtain)?;
    let to = turn(&hand, stage.clock.now()).ok_or("看不懂这个时间,请写成 2026-11-23 09:00")?;
    stage.clock.set(to);
    let text = format!("时钟拨到 {}", local(to).ok_or("没有这个时区")?.strftime("%-m 月 %-d 日 %H:%M"));
    for chat in [Chat::Inner, Chat::Customer, Chat::Single] {
        stage.scene.add(Line::new(chat, "", LineKind::Notice, &text, to));
    }
    Ok(Json(json!({ "now": to })).into_response())
}

fn local(at: Millis) -> Option<Zoned> {
    Some(at.timestamp().to_zoned(TimeZone::get(ZONE).ok()?))
}

fn turn(hand: &Hand, now: Millis) -> Option<Millis> {
    let today = local(now)?;
    let tomorrow = today.checked_add(1.day()).ok()?;
    let at = |day: &Zoned, hour, minute| day.date().to_datetime(time(hour, minute, 0, 0));
    let civil = match hand {
        Hand::Now => return Some(Millis::from(Timestamp::now())),
        Hand::Evening if today.time() < time(20, 30, 0, 0) => at(&today, 20, 30),
        Hand::Evening => at(&tomorrow, 20, 30),
        Hand::Morning => at(&tomorrow, 9, 0),
        Hand::At(text) => text.parse::<DateTime>().ok().filter(|at| (2000..2100).contains(&at.year()))?,
    };
    Some(Millis::from(civil.to_zoned(today.time_zone().clone()).ok()?.timestamp()))
}

/// What the next call of WeCom's API meets.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Trouble {
    None,
    Slow,
    TooOften,
    Busy,
    Kicked,
    Untrusted,
    TokenExpired,
    Garbage,
    ServerError,
    Drop,
}

async fn fault(State(curtain): State<Curtain>, Json(trouble): Json<Trouble>) -> Answer {
    let stage = stage(&curtain)?;
    stage.double.heal();
    let fault = match trouble {
        Trouble::None => None,
        Trouble::Slow => Some(Fault::Slow(SLOW)),
        Trouble::TooOften => Some(Fault::Code(45_009)),
        Trouble::Busy => Some(Fault::Code(-1)),
        Trouble::Kicked => Some(Fault::Code(93_000)),
        Trouble::Untrusted => Some(Fault::Code(60_020)),
        Trouble::TokenExpired => Some(Fault::TokenExpired),
        Trouble::Garbage => Some(Fault::Garbage),
        Trouble::ServerError => Some(Fault::ServerError),
        Trouble::Drop => Some(Fault::Drop),
    };
    if let Some(fault) = fault {
        stage.double.fail(fault, 1);
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The live rules, the words they listen for, the presets and the versions to go back to.
async fn rules(State(curtain): State<Curtain>) -> Answer {
    let stage = stage(&curtain)?;
    let live = stage.handle.rules();
    let presets: Vec<_> = PRESETS.iter().map(|it| json!({ "name": it.name, "title": it.title, "about": it.about, "live": *it.text == *live.text })).collect();
    let plain = |listen: &Listen| (listen.how != How::Regex).then(|| listen.text.clone());
    let listened = live.campaigns.iter().flat_map(|campaign| &campaign.rules).flat_map(|rule| rule.kind.listens_for().iter().find_map(plain));
    let mut words: Vec<String> = listened.collect();
    words.dedup();
    let versions = stage.versions()?;
    Ok(Json(json!({ "presets": presets, "words": words, "text": &*live.text, "hash": live.hash.to_string(), "versions": versions })).into_response())
}

/// Which text the editor wants.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    /// A preset's, by its name.
    Preset(String),
    /// An earlier version's, by its hash.
    Version(String),
}

async fn text(State(curtain): State<Curtain>, Json(wanted): Json<Wanted>) -> Answer {
    let text = match wanted {
        Wanted::Preset(name) => presets::find(&name).ok_or("没有这份预设")?.text.into(),
        Wanted::Version(hash) => stage(&curtain)?.version_text(&hash)?.ok_or("找不到这个版本的原文")?,
    };
    Ok(Json(json!({ "text": &*text })).into_response())
}

#[derive(Deserialize)]
struct Typed {
    text: String,
}

async fn check(State(curtain): State<Curtain>, Json(Typed { text }): Json<Typed>) -> Answer {
    let examined = stage(&curtain)?.editor.check(text).await;
    Ok(Json(json!({ "examined": examined })).into_response())
}

/// What the text would have paid. No report where a newer text came meanwhile.
async fn backtest(State(curtain): State<Curtain>, Json(Typed { text }): Json<Typed>) -> Answer {
    let stage = stage(&curtain)?;
    let report = stage.editor.backtest(stage.handle.rules(), text).await.transpose();
    let Some(report) = report.map_err(|why| Sorry(StatusCode::BAD_REQUEST, why))? else { return Ok(Json(json!({ "report": null })).into_response()) };
    let told = json!({ "headline": words::headline(&report), "extent": words::extent(&report), "notes": words::notes(&report), "report": &report });
    stage.editor.keep(report);
    Ok(Json(told).into_response())
}

/// The last backtest, as the page that `jifen backtest` writes; it brings its own policy.
async fn report(State(curtain): State<Curtain>) -> Answer {
    let page = stage(&curtain)?.editor.last_report().ok_or("还没有试算过")?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response())
}

#[derive(Deserialize)]
struct Finished {
    text: String,
    /// The version it was made from.
    base: String,
}

/// What became of a save is an answer, also when it was refused.
async fn save(State(curtain): State<Curtain>, Json(Finished { text, base }): Json<Finished>) -> Answer {
    let told = match stage(&curtain)?.save(text, &base).await {
        Ok(hash) => json!({ "live": hash.to_string() }),
        Err(Denied::Bad(examined)) => json!({ "examined": examined }),
        Err(Denied::Changed) => json!({ "changed": true }),
        Err(error @ (Denied::Unwritable { .. } | Denied::Busy)) => return Err(Sorry(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    };
    Ok(Json(told).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::from(text.parse::<Timestamp>().unwrap())
    }

    #[test]
    fn the_clock_goes_to_the_next_evening_and_the_next_morning() {
        let noon = at("2026-11-22T12:00:00+08:00");
        assert_eq!(turn(&Hand::Evening, noon), Some(at("2026-11-22T20:30:00+08:00")));
        assert_eq!(turn(&Hand::Evening, at("2026-11-22T20:30:00+08:00")), Some(at("2026-11-23T20:30:00+08:00")));
        assert_eq!(turn(&Hand::Morning, noon), Some(at("2026-11-23T09:00:00+08:00")));
        assert_eq!(turn(&Hand::At("2026-12-01T08:00".into()), noon), Some(at("2026-12-01T08:00:00+08:00")));
        assert_eq!(turn(&Hand::At("明天".into()), noon), None);
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for file in [
            include_str!("page.html"),
            include_str!("page.css"),
            include_str!("page.js"),
            include_str!("editor.css"),
            include_str!("code.js"),
            include_str!("trial.js"),
            include_str!("editor.js"),
        ] {
            assert!(!file.contains("http://") && !file.contains("https://") && !file.contains("//cdn"));
            assert!(!file.contains("innerHTML") && !file.contains("insertAdjacentHTML") && !file.contains("eval("));
        }
        let html = include_str!("page.html");
        assert!(!html.contains("style=") && !html.contains("onclick=") && !html.contains("<script>"));
    }
}
