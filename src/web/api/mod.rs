//! `/api/v1`: what happened outside of WeCom, told by callers that hold a token of `[corp.<corp>.api.<name>]`.
//!
//! An answer is given after the commit that holds what it tells of, or not at all. A caller's id is acted on once, for ever, so whoever is in
//! doubt sends the same again. Errors are JSON: `{"error": "…", "line": 3}`, in Chinese, and nothing of that body was applied.

pub mod callers;
pub mod events;
pub mod pace;
pub mod body;
pub mod told;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

use crate::clock::Clock;
use crate::web::HearAll;
use crate::web::api::callers::Callers;
use crate::web::api::pace::Pace;
use crate::web::api::told::Teller;

/// What outsiders may rely on, in their own words: <https://spec.openapis.org/oas/v3.1.0>. Kept by hand beside the routes; a test holds the
/// two together.
const OPENAPI: &str = include_str!("openapi.json");
/// Where events are told.
pub const EVENTS: &str = "/api/v1/events";
/// Where the description is.
pub const DESCRIPTION: &str = "/api/v1/openapi.json";

/// What the routes share.
struct Api {
    callers: Callers,
    hear: HearAll,
    teller: Teller,
    pace: Pace,
    clock: Clock,
}

/// The routes.
pub fn routes(callers: Callers, hear: HearAll, teller: Teller, clock: Clock) -> Router {
    let pace = Pace::new(callers.count());
    let api = Arc::new(Api { callers, hear, teller, pace, clock });
    let description = || async { ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], OPENAPI) };
    Router::new().route(EVENTS, post(events::tell)).route(DESCRIPTION, get(description)).with_state(api)
}

/// What went wrong, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    #[serde(skip)]
    status: StatusCode,
    error: String,
    /// Which line of the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

impl Mistake {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Mistake { status, error: error.into(), line: None }
    }

    fn in_line(status: StatusCode, line: usize, what: &str) -> Self {
        Mistake { status, error: format!("第 {line} 行:{what}。整份都没有入账,改好后可以整份重发"), line: Some(line) }
    }
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests;
