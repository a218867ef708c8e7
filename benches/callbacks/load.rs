//! The load: sealed callbacks as ready HTTP requests, and the connections that send them.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jifen::wecom::envelope::Keys;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::daemon::{AES_KEY, CORP_ID, TOKEN};

/// Chatter: nothing here is a check-in, though some of it looks like one.
const CHATTER: [&str; 8] = ["今天中午吃什么", "收到", "好的👌", "这个需求下周三前给到", "哈哈哈哈😂", "签到了吗?", "我已经签到过了", "会议改到下午 3 点"];
/// Largest answer read: a callback's is a few dozen bytes.
const ANSWER_MAX: usize = 4096;

/// What is said.
pub struct Plan {
    /// Messages.
    pub messages: usize,
    /// Members who take turns.
    pub members: usize,
    /// Check-ins of a hundred messages.
    pub hits: usize,
}

impl Plan {
    /// A member's turns follow each other by a stride, so the pattern is spread over them and over time.
    fn is_check_in(&self, message: usize) -> bool {
        message.wrapping_mul(61) % 100 < self.hits
    }

    fn member(&self, message: usize) -> usize {
        message % self.members
    }

    /// Check-ins that are paid: each member's first of the day.
    pub fn check_ins(&self) -> usize {
        (0..self.messages).filter(|&message| self.is_check_in(message)).map(|message| self.member(message)).collect::<HashSet<_>>().len()
    }
}

/// All requests, whole.
pub fn requests(plan: &Plan) -> Vec<Vec<u8>> {
    let keys = Keys::new(TOKEN, AES_KEY, CORP_ID).expect("a good key");
    let now = jiff::Timestamp::now().as_second();
    (0..plan.messages).map(|message| request(&keys, plan, message, now)).collect()
}

fn request(keys: &Keys, plan: &Plan, message: usize, now: i64) -> Vec<u8> {
    let text = if plan.is_check_in(message) { "签到" } else { CHATTER[message % CHATTER.len()] };
    let plain = format!(
        "<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><FromUserName><![CDATA[u{:07}]]></FromUserName><CreateTime>{now}</CreateTime>\
         <MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content><MsgId>{}</MsgId><AgentID>1000002</AgentID></xml>",
        plan.member(message),
        7_300_000_000_000_000_000 + message as u64,
    );
    let (timestamp, nonce) = (now.to_string(), message.to_string());
    let mut random = [0; 16];
    random[..8].copy_from_slice(&(message as u64).to_be_bytes());
    let sealed = keys.seal(&plain, &timestamp, &nonce, random);
    let body = format!(
        "<xml><ToUserName><![CDATA[{CORP_ID}]]></ToUserName><Encrypt><![CDATA[{}]]></Encrypt><AgentID><![CDATA[1000002]]></AgentID></xml>",
        sealed.encrypt
    );
    format!(
        "POST /wecom/acme/assistant?msg_signature={}&timestamp={timestamp}&nonce={nonce} HTTP/1.1\r\nhost: bench\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
        sealed.signature,
        body.len(),
    )
    .into_bytes()
}

/// Sends each request of a part once; one under way on each connection.
///
/// # Errors
/// A connection broke, or an answer was not 200.
pub async fn fire(address: SocketAddr, requests: &Arc<Vec<Vec<u8>>>, part: Range<usize>, connections: usize) -> Result<(Duration, Latencies)> {
    let next = Arc::new(AtomicUsize::new(part.start));
    let start = Instant::now();
    let lines: Vec<_> = (0..connections).map(|_| tokio::spawn(line(address, requests.clone(), next.clone(), part.end))).collect();
    let mut latencies = Vec::with_capacity(part.len());
    for line in lines {
        latencies.extend(line.await??);
    }
    let took = start.elapsed();
    latencies.sort_unstable();
    Ok((took, Latencies(latencies)))
}

async fn line(address: SocketAddr, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>, end: usize) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    while let Some(request) = requests[..end].get(next.fetch_add(1, Ordering::Relaxed)) {
        let start = Instant::now();
        stream.write_all(request).await?;
        ensure_ok(&mut stream).await?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer to its end.
async fn ensure_ok(stream: &mut TcpStream) -> Result<()> {
    let mut answer = Vec::with_capacity(512);
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed in an answer");
        ensure!(answer.len() <= ANSWER_MAX, "an answer of more than {ANSWER_MAX} bytes");
        if let Some(length) = whole(&answer)? {
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "not 200: {}", String::from_utf8_lossy(&answer[..length.min(60)]));
            return Ok(());
        }
    }
}

/// Its length, once head and body are there.
fn whole(answer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head])?.to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).context("an answer without content-length")?;
    let end = head + 4 + length.trim().parse::<usize>()?;
    Ok((answer.len() >= end).then_some(end))
}

/// Sorted.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The time within which this share of the requests was answered.
    pub fn percentile(&self, share: f64) -> Duration {
        let place = (self.0.len() as f64 * share) as usize;
        self.0.get(place).or(self.0.last()).copied().unwrap_or_default()
    }
}
