//! The HTTP server: an accept loop of our own, because `axum::serve` installs no timer and so never drops a slow client.
//!
//! A request reaches the router whole: its body is read here, under one size limit and one deadline, whatever the route.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use crate::failpoint;
use crate::web::metrics::PANICS;

/// Largest body taken. A callback is below 40 KiB (20 000 characters, encrypted, base64); the rest is room.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Largest body under `API` of who brings a token (whether it is one is seen later): a thousand events.
pub const API_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Where callers with tokens come.
const API: &str = "/api/";
/// A whole body has to be here by then. WeCom itself gives up after 5 s.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Request line and headers have to be here by then; it is also how long an idle connection is kept.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// Most headers of a request; WeCom sends about eight.
const HEADERS_MAX: usize = 64;
/// Most bytes of request line and headers.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Connections held at once. Ten thousand idle ones must not keep WeCom out, and each costs some 12 KiB.
const CONNECTIONS_MAX: usize = 16_384;
/// Open files kept for everything but connections: the database, WeCom's API, logs. Where files are scarce, half of them.
const FILES_RESERVED: usize = 128;
/// How long requests under way may take once we are asked to stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// Pause when the system has no file left for a connection; others have to close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
}

/// Who sent a request, as the socket knows it.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("端口被占用:{addr} 上已经有程序在监听。关掉它,或换一个端口:--listen,或 jifen.toml 里的 listen(端口写 0 会自动选一个空闲的)")]
    InUse {
        /// The address.
        addr: String,
    },
    /// The address is not ours to listen on.
    #[error("不能监听 {addr}:{source}。请检查 listen 的地址和端口(1024 以下的端口需要权限)")]
    Other {
        /// The address.
        addr: String,
        /// Why.
        source: io::Error,
    },
}

impl Server {
    /// Listens on an address like `127.0.0.1:8080`. Port 0 takes a free one.
    pub async fn bind(addr: &str) -> Result<Server, BindError> {
        let listener = TcpListener::bind(addr).await.map_err(|source| bind_error(addr, source))?;
        let addr = listener.local_addr().map_err(|source| bind_error(addr, source))?;
        Ok(Server { listener, addr })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is there, then lets the requests under way end.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let router = router.layer(CatchPanicLayer::custom(|_| {
            counter!(PANICS).increment(1);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }));
        let connections = Arc::new(Semaphore::new(connections_max()));
        let graceful = GracefulShutdown::new();
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&self.listener, &connections) => accepted,
            };
            let Some((stream, peer, permit)) = accepted else { continue };
            let router = router.clone();
            let serve = service_fn(move |request| answer(router.clone(), Peer(peer), request));
            let connection = graceful.watch(http1().serve_connection(TokioIo::new(stream), serve));
            tokio::spawn(async move {
                failpoint::hit("http.accepted");
                // An error is a client that went away or spoke no HTTP: its loss alone.
                let _ = connection.await;
                failpoint::hit("http.after_200");
                drop(permit);
            });
        }
        drop(self.listener);
        if timeout(DRAIN_DEADLINE, graceful.shutdown()).await.is_err() {
            tracing::warn!(waited_secs = DRAIN_DEADLINE.as_secs(), "requests were still under way when the server stopped");
        }
    }
}

fn bind_error(addr: &str, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { addr: addr.to_owned() },
        _ => BindError::Other { addr: addr.to_owned(), source },
    }
}

/// Raises the soft limit of open files to the hard one (many systems start at 1024) and takes what is left beside our own files.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    let files = current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    (files - FILES_RESERVED.min(files / 2)).clamp(1, CONNECTIONS_MAX)
}

/// The next connection, once there is room for it; `None` when there was none to be had.
async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Small answers leave at once; where it cannot be set they leave a little later.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, permit))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => None,
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn http1() -> http1::Builder {
    let mut http1 = http1::Builder::new();
    http1.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE).max_headers(HEADERS_MAX).max_buf_size(HEADER_BYTES_MAX);
    http1
}

/// Answers one request: body in, router, headers that every answer has.
async fn answer(router: Router, peer: Peer, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut response = match whole(request).await {
        Ok(mut request) => {
            request.extensions_mut().insert(peer);
            router.oneshot(request).await?
        }
        Err(status) => refuse(status),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The rest of the body is not read, so the connection cannot go on.
fn refuse(status: StatusCode) -> Response<Body> {
    (status, [(header::CONNECTION, "close")]).into_response()
}

/// The request with its body read. The limit holds for what really comes, whatever Content-Length says.
async fn whole(request: Request<Incoming>) -> Result<Request<Body>, StatusCode> {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(Request::from_parts(head, Body::empty()));
    }
    let bytes_max = if head.uri.path().starts_with(API) && head.headers.contains_key(header::AUTHORIZATION) { API_BODY_BYTES_MAX } else { BODY_BYTES_MAX };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let read = timeout(BODY_DEADLINE, Limited::new(body, bytes_max).collect()).await;
    match read {
        _ if failpoint::fails("http.body_read") => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body.to_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    /// A running server; it stops when the sender is dropped.
    async fn serve(router: Router) -> (SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let addr = server.addr();
        let running = tokio::spawn(server.run(router, async move {
            let _ = stopped.await;
        }));
        (addr, stop, running)
    }

    fn echo() -> Router {
        Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() })).route("/panic", get(|| async { panic!("a bug") as &str }))
    }

    /// Sends raw bytes and reads until the server closes.
    async fn raw(addr: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        // The server may answer and close before all is written.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_by_its_length_alone() {
        let (addr, _stop, _) = serve(echo()).await;
        let answer = raw(addr, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
    }

    #[tokio::test]
    async fn endless_chunks_are_cut_at_the_limit() {
        let (addr, _stop, _) = serve(echo()).await;
        let mut request = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
        (0..6).for_each(|_| request.extend_from_slice(&chunk));
        let answer = raw(addr, &request).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(!answer.contains("200 OK"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let (addr, _stop, _) = serve(echo()).await;
        let answer = raw(addr, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn headers_that_never_end_close_the_connection() {
        let (addr, _stop, _) = serve(echo()).await;
        let answer = raw(addr, b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
        assert!(!answer.contains("200 OK"), "{answer}");
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_request_only() {
        let (addr, _stop, _) = serve(echo()).await;
        assert!(raw(addr, b"GET /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.starts_with("HTTP/1.1 500"));
        assert!(raw(addr, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc").await.ends_with("\r\n\r\n3"));
    }

    #[tokio::test]
    async fn what_is_not_http_is_refused() {
        let (addr, _stop, _) = serve(echo()).await;
        for garbage in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".as_slice(), b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n"] {
            assert!(!raw(addr, garbage).await.contains("200 OK"));
        }
        let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        assert!(raw(addr, many.as_bytes()).await.starts_with("HTTP/1.1 431"));
    }

    #[tokio::test]
    async fn a_request_under_way_ends_before_the_server_does() {
        let (entered, mut inside) = tokio::sync::mpsc::channel::<oneshot::Sender<()>>(1);
        let slow = get(move || async move {
            let (go, went) = oneshot::channel();
            let _ = entered.send(go).await;
            let _ = went.await;
            "done"
        });
        let (addr, stop, running) = serve(Router::new().route("/", slow)).await;
        let request = tokio::spawn(async move { raw(addr, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await });
        let go = inside.recv().await.unwrap();
        drop(stop);
        let _ = go.send(());
        assert!(request.await.unwrap().ends_with("done"));
        running.await.unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_so() {
        let first = Server::bind("127.0.0.1:0").await.unwrap();
        let second = Server::bind(&first.addr().to_string()).await.unwrap_err();
        assert!(second.to_string().contains("端口被占用"), "{second}");
    }
}
