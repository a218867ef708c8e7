//! `/healthz` (alive), `/readyz` (can commit) and `/metrics` (for who sits on this machine).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::web::server::Peer;

/// How long an answer of `/readyz` holds, so that asking often writes seldom.
const FRESH: Duration = Duration::from_secs(1);
/// A commit that takes longer than this is no readiness.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);
/// Headers a proxy adds: then the peer is the proxy, and who asks may be anybody.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "x-real-ip"];

/// Commits a probe as large as a callback's share through the pipeline; true when that worked.
pub type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

struct Health {
    probe: Probe,
    last: Mutex<Option<(Instant, bool)>>,
    metrics: PrometheusHandle,
}

/// The routes.
pub fn routes(probe: Probe, metrics: PrometheusHandle) -> Router {
    let health = Arc::new(Health { probe, last: Mutex::new(None), metrics });
    Router::new().route("/healthz", get(|| async { "ok" })).route("/readyz", get(readyz)).route("/metrics", get(render)).with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> Response {
    // Whoever asks meanwhile waits here and takes the same answer.
    let mut last = health.last.lock().await;
    let ready = match *last {
        Some((at, ready)) if at.elapsed() < FRESH => ready,
        Some(_) | None => {
            let ready = timeout(PROBE_DEADLINE, (health.probe)()).await.unwrap_or(false);
            *last = Some((Instant::now(), ready));
            ready
        }
    };
    if ready { "ok".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, "cannot commit").into_response() }
}

async fn render(State(health): State<Arc<Health>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    let forwarded = FORWARDED.iter().any(|&name| headers.contains_key(name));
    if forwarded || !peer.0.ip().to_canonical().is_loopback() {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render()).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    fn app(ready: bool, probes: &Arc<AtomicUsize>) -> Router {
        let probes = Arc::clone(probes);
        let probe: Probe = Arc::new(move || {
            probes.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { ready })
        });
        routes(probe, crate::web::metrics::install().unwrap())
    }

    async fn status(app: &Router, path: &str, peer: &str, forwarded: bool) -> StatusCode {
        let mut request = Request::get(path).extension(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
        if forwarded {
            request = request.header("X-Forwarded-For", "203.0.113.9");
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn readiness_is_probed_at_most_once_a_second() {
        let probes = Arc::new(AtomicUsize::new(0));
        let app = app(true, &probes);
        for _ in 0..5 {
            assert_eq!(status(&app, "/readyz", "127.0.0.1", false).await, StatusCode::OK);
        }
        assert_eq!(probes.load(Ordering::SeqCst), 1);
        tokio::time::advance(FRESH).await;
        status(&app, "/readyz", "127.0.0.1", false).await;
        assert_eq!(probes.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_store_that_cannot_commit_is_alive_but_not_ready() {
        let app = app(false, &Arc::default());
        assert_eq!(status(&app, "/healthz", "127.0.0.1", false).await, StatusCode::OK);
        assert_eq!(status(&app, "/readyz", "127.0.0.1", false).await, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn metrics_are_for_this_machine_only() {
        let app = app(true, &Arc::default());
        assert_eq!(status(&app, "/metrics", "127.0.0.1", false).await, StatusCode::OK);
        assert_eq!(status(&app, "/metrics", "::ffff:127.0.0.1", false).await, StatusCode::OK);
        assert_eq!(status(&app, "/metrics", "10.0.0.8", false).await, StatusCode::NOT_FOUND);
        assert_eq!(status(&app, "/metrics", "127.0.0.1", true).await, StatusCode::NOT_FOUND);
    }
}
