//! HTTP as WeCom's API needs it: no redirects, bounded time and answers, and errors that hold no address (tokens and keys stand in its query).

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::failpoint;

/// A whole call, from the first byte out to the last byte in.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Name look-up, connection and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Idle connections are closed before WeCom closes them under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// WeCom's answers are a few hundred bytes; a list of 1 000 invalid userids of 64 bytes still fits.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

const NO_CONNECTION: &str = "连不上企业微信;请检查网络、DNS、代理(HTTPS_PROXY)和本机的 CA 证书";
const PROXY_REFUSES: &str = "代理要求登录(HTTP 407),请求没有发出;请检查环境变量 HTTPS_PROXY 里的用户名和密码";

/// The connections to WeCom's API. Clones share them.
#[derive(Debug, Clone)]
pub struct Http(Client);

/// An answer of the API.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    /// `errcode`; 0 is success.
    pub(super) code: i64,
    /// All of it.
    pub(super) fields: Value,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection to WeCom: certainly nothing was sent.
    NotSent(&'static str),
    /// The request may have been acted on.
    Lost(&'static str),
}

impl Http {
    /// Made once, shared by everything that calls WeCom. The error tells what is wrong with this machine's TLS.
    pub fn new() -> Result<Self, String> {
        Self::with_timeouts(TOTAL_TIMEOUT, CONNECT_TIMEOUT)
    }

    pub(super) fn with_timeouts(total: Duration, connect: Duration) -> Result<Self, String> {
        Client::builder()
            .redirect(Policy::none())
            .referer(false)
            .timeout(total)
            .connect_timeout(connect)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
            .map(Http)
            .map_err(|error| format!("无法准备 HTTPS 连接:{error}。请检查系统的 CA 证书(Debian/Ubuntu:apt install ca-certificates)"))
    }

    pub(super) async fn get(&self, url: Url) -> Result<Answer, Failure> {
        ask(self.0.get(url)).await
    }

    pub(super) async fn post(&self, url: Url, body: &Value) -> Result<Answer, Failure> {
        ask(self.0.post(url).json(body)).await
    }
}

impl Failure {
    /// For the operator.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Failure::NotSent(why) | Failure::Lost(why) => why,
        }
    }
}

impl Answer {
    /// A text field; empty when it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

async fn ask(request: RequestBuilder) -> Result<Answer, Failure> {
    let response = request.send().await.map_err(|error| failure(&error))?;
    if failpoint::fails("wecom.request_sent") {
        return Err(Failure::Lost("请求已发出,连接中断"));
    }
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(Failure::NotSent(PROXY_REFUSES));
    }
    if response.status().is_server_error() {
        return Err(Failure::Lost("企业微信的服务器出错(HTTP 5xx)"));
    }
    let bytes = read(response).await?;
    failpoint::hit("wecom.response_read");
    parse(&bytes).ok_or(Failure::Lost("企业微信的答复看不懂"))
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Lost("企业微信的答复过长"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fields: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    Some(Answer { code: fields.get("errcode")?.as_i64()?, fields })
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        return Failure::NotSent(NO_CONNECTION);
    }
    Failure::Lost(if error.is_timeout() { "请求已发出,没有等到答复" } else { "请求已发出,连接中断" })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// A certificate for localhost that nobody signed but itself, and its key; made for this test.
    const CERTIFICATE: &str = "MIIBmzCCAUGgAwIBAgIUWCJ9mbvWcDPGa9AHlZj8Ut/9QV0wCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjE3NTYxMloYDzIxMjYxMDI5MT\
        c1NjEyWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARo2KALCuPL/j70NSRvqS4FNpVYK0TFjSlMwhexCoKj1cxjC0qSRIXy2xCC\
        R7sjoJSIdLInBEqI1IPTck3fPjUao28wbTAdBgNVHQ4EFgQUgxF0OAH5RWq3WwlhxDLN5LURPXgwHwYDVR0jBBgwFoAUgxF0OAH5RWq3WwlhxDLN5LURPXgwDwYDVR0TAQ\
        H/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZIzj0EAwIDSAAwRQIhAMUaGjl3lTMq+QVCdGNTOayLsHh73ufyTSUCuu1TD+ZBAiBSBl7X8YzU\
        CcreJcsPRL8N+hMSW8NkfZqIuqTImzQ1TQ==";
    const KEY: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgwr5MX+DyR/doYrulXFtG5kn2t1dFW4e8EQMQxb/fOsChRANCAARo2KALCuPL/j70NSRvqS4FNpVYK0TFjS\
        lMwhexCoKj1cxjC0qSRIXy2xCCR7sjoJSIdLInBEqI1IPTck3fPjUa";

    fn decoded(text: &str) -> Vec<u8> {
        STANDARD.decode(text).expect("base64")
    }

    /// Accepts one connection as localhost and says how many bytes of a request came through.
    fn pretender(listener: TcpListener) -> thread::JoinHandle<usize> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("its own versions");
        let key = PrivateKeyDer::try_from(decoded(KEY)).expect("a key");
        let config = config.with_no_client_auth().with_single_cert(vec![CertificateDer::from(decoded(CERTIFICATE))], key).expect("they belong together");
        thread::spawn(move || {
            let (socket, _): (TcpStream, _) = listener.accept().expect("a connection");
            let tls = ServerConnection::new(Arc::new(config)).expect("a good config");
            StreamOwned::new(tls, socket).read(&mut [0; 1024]).unwrap_or(0)
        })
    }

    #[tokio::test]
    async fn a_certificate_that_nobody_trusts_gets_no_request() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let pretender = pretender(listener);
        let url = format!("https://localhost:{port}/cgi-bin/gettoken?corpsecret=very-secret").parse().expect("an address");
        let answer = Http::new().expect("a client").get(url).await;
        assert!(matches!(answer, Err(Failure::NotSent(reason)) if reason.contains("CA 证书")), "{answer:?}");
        assert_eq!(pretender.join().expect("no panic"), 0);
    }

    #[test]
    fn only_json_with_an_errcode_is_an_answer() {
        assert_eq!(parse("\u{feff}{\"errcode\":0}".as_bytes()).map(|answer| answer.code), Some(0));
        for garbage in ["", "<html>", "{}", "[]", "{\"errcode\":\"0\"}", "{\"errcode\":0", "\u{0}"] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(parse(b"\xff"), None);
    }
}
