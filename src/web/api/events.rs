//! `POST /api/v1/events`: tells of one event or of up to a thousand, and hears what came of each.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use metrics::counter;
use serde::Serialize;
use tokio::time::timeout;

use super::body::read;
use super::callers::Caller;
use super::told::Told;
use super::{Api, Mistake};
use crate::failpoint;
use crate::web::metrics::API_EVENTS;
use crate::web::{Heard, NotNow};

/// A commit that takes longer is answered 503: nobody's HTTP client should have to wait for a disk that hangs.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The answer: one for each event, in the order of the body.
#[derive(Debug, Serialize)]
struct Answer {
    events: Vec<Line>,
}

/// What came of one event.
#[derive(Debug, Serialize)]
struct Line {
    /// The caller's id.
    id: String,
    /// Its place in the journal.
    event: i64,
    /// It was told before, and nothing happened now; what is told here is what came of it then.
    known: bool,
    #[serde(flatten)]
    told: Option<Told>,
}

/// Tells of events.
pub(super) async fn tell(State(api): State<Arc<Api>>, headers: HeaderMap, body: Bytes) -> Response {
    let caller = match api.callers.who(&headers) {
        Ok(caller) => caller,
        Err(mistake) => {
            counter!(API_EVENTS, "caller" => "-", "verdict" => "unauthorized").increment(1);
            return mistake.into_response();
        }
    };
    match hear(&api, caller, &body).await {
        Ok(lines) => axum::Json(Answer { events: lines }).into_response(),
        Err(mistake) => {
            let verdict = if mistake.status == StatusCode::SERVICE_UNAVAILABLE { "busy" } else { "refused" };
            counter!(API_EVENTS, "caller" => caller.label(), "verdict" => verdict).increment(1);
            mistake.into_response()
        }
    }
}

async fn hear(api: &Api, caller: &Caller, body: &[u8]) -> Result<Vec<Line>, Mistake> {
    let busy = || Mistake::new(StatusCode::TOO_MANY_REQUESTS, "太快了,请一秒后原样重发");
    let _room = api.pace.body().ok_or_else(busy)?;
    let (ids, events): (Vec<_>, Vec<_>) = read(body, caller, api.clock.now())?.into_iter().unzip();
    if !api.pace.take(caller.index, events.len()) {
        return Err(busy());
    }
    let not_now = |NotNow| Mistake::new(StatusCode::SERVICE_UNAVAILABLE, "现在写不进账,请稍后原样重发;同一个 id 只算一次,不会重复");
    let heard = timeout(ANSWER_DEADLINE, (api.hear)(events)).await.unwrap_or(Err(NotNow)).map_err(not_now)?;
    let told = tell_of(api, &heard).await;
    failpoint::hit("http.before_200");
    for verdict in [("repeated", true), ("accepted", false)] {
        let count = heard.iter().filter(|heard| heard.known == verdict.1).count();
        counter!(API_EVENTS, "caller" => caller.label(), "verdict" => verdict.0).increment(count as u64);
    }
    let lines = ids.into_iter().zip(heard).zip(told).map(|((id, heard), told)| Line { id, event: heard.seq.0, known: heard.known, told });
    Ok(lines.collect())
}

/// What came of each; the commit stands even where it cannot be read back.
async fn tell_of(api: &Api, heard: &[Heard]) -> Vec<Option<Told>> {
    let (teller, seqs): (_, Vec<_>) = (Arc::clone(&api.teller), heard.iter().map(|heard| heard.seq).collect());
    let told = tokio::task::spawn_blocking(move || teller(&seqs)).await.unwrap_or_default();
    let missing = heard.len().saturating_sub(told.len());
    told.into_iter().chain(std::iter::repeat_n(None, missing)).collect()
}
