//! Clients that are too big, too slow or speak something else: cut at the limit, at nobody else's cost.

use std::fs;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use crate::house::{Daemon, House, PATIENCE, RULES};
use crate::senders::{Chance, client, post};
use crate::wecom::{app_text, now_secs};

/// Headers and bodies have ten seconds each; the rest is for a busy machine.
const TOO_SLOW: Duration = Duration::from_secs(20);
/// What an endless sender sends at most, in bytes: many times the limit.
const ENDLESS_BYTES: usize = 64 << 20;
/// Memory the daemon may take while it refuses them, in KiB.
const MEMORY_KIB_MAX: u64 = 100 * 1024;

async fn connect(daemon: &Daemon) -> TcpStream {
    TcpStream::connect(daemon.addr).await.expect("a connection")
}

/// What is answered until the connection ends.
async fn rest(stream: &mut TcpStream, patience: Duration) -> String {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(patience, stream.read_to_end(&mut answer)).await.expect("the connection ends in time");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn raw(daemon: &Daemon, request: &[u8]) -> String {
    let mut stream = connect(daemon).await;
    // The server may have answered and closed before all is written.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    rest(&mut stream, PATIENCE).await
}

fn head(headers: &str) -> Vec<u8> {
    format!("POST /wecom/acme/assistant HTTP/1.1\r\nHost: jifen\r\n{headers}\r\n\r\n").into_bytes()
}

/// The highest memory use so far.
fn peak_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid.as_raw_nonzero())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_over_the_limit_are_413_whatever_their_length_says() {
    let house = House::new("big", RULES);
    let daemon = house.open().await;
    let large = "x".repeat(300 * 1024);
    let answer = client().post(daemon.url("/wecom/acme/assistant")).body(large.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 413);

    let announced = raw(&daemon, &head("Content-Length: 104857600")).await;
    assert!(announced.starts_with("HTTP/1.1 413"), "{announced}");
    // The rest of a body that is longer than it says is no request.
    let longer = raw(&daemon, &[head("Content-Length: 10"), large.into_bytes()].concat()).await;
    assert!(is_refused(&longer), "{longer}");
    let both = raw(&daemon, &head("Content-Length: 10\r\nTransfer-Encoding: chunked")).await;
    assert!(!both.contains(" 200 "), "{both}");
    let zipped = raw(&daemon, &[head("Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 4"), vec![0x1f, 0x8b, 8, 0]].concat()).await;
    assert!(is_refused(&zipped), "{zipped}");
    endless_chunks_are_cut(&daemon).await;
    assert!(peak_kib(&daemon) < MEMORY_KIB_MAX, "{} KiB", peak_kib(&daemon));
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
}

/// A 403, or nothing at all: who is refused while still sending may be cut off before it reads why.
fn is_refused(answer: &str) -> bool {
    (answer.is_empty() || answer.starts_with("HTTP/1.1 403")) && !answer.contains(" 200 ")
}

async fn endless_chunks_are_cut(daemon: &Daemon) {
    let mut stream = connect(daemon).await;
    stream.write_all(&head("Transfer-Encoding: chunked")).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < ENDLESS_BYTES && stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < ENDLESS_BYTES, "it took everything");
    let answer = rest(&mut stream, PATIENCE).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_given_up_while_others_are_served() {
    let house = House::new("slow", RULES);
    let daemon = house.open().await;
    let mut idle = Vec::new();
    for _ in 0..500 {
        idle.push(connect(&daemon).await);
    }
    let served = async {
        let http = client();
        for id in 0..20 {
            assert_eq!(post(&http, &daemon, &app_text(id, "aming", now_secs(), "签到")).await, 200);
        }
    };
    let unfinished = head("Content-Length: 100000");
    let ((), headers, body, silent) =
        tokio::join!(served, trickle(&daemon, b"POST /wecom/acme/assistant HTTP/1.1\r\nHost: jifen\r\nX-Slow: "), trickle(&daemon, &unfinished), async {
            rest(&mut idle.pop().expect("one of them"), TOO_SLOW).await
        },);
    assert!(headers.is_empty() || headers.starts_with("HTTP/1.1 408"), "{headers}");
    assert!(body.is_empty() || body.starts_with("HTTP/1.1 408"), "{body}");
    assert_eq!(silent, "", "an idle connection is closed without a word");
}

/// Sends a beginning, then a byte each half second, until the other side has enough.
async fn trickle(daemon: &Daemon, beginning: &[u8]) -> String {
    let (mut reading, mut writing) = connect(daemon).await.into_split();
    writing.write_all(beginning).await.unwrap();
    let (mut answer, mut ticks, began) = (Vec::new(), interval(Duration::from_millis(500)), Instant::now());
    loop {
        tokio::select! {
            ended = reading.read_buf(&mut answer) => match ended {
                Ok(read) if read > 0 => continue,
                Ok(_) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            },
            _ = ticks.tick() => {
                // Refused bytes show as an end of reading.
                let _ = writing.write_all(b"x").await;
            }
        }
        assert!(began.elapsed() < TOO_SLOW, "it still listens");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_is_refused_without_a_panic() {
    let house = House::new("garbage", RULES);
    let daemon = house.open().await;
    let mut chance = Chance::seeded();
    let mut garbage: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello \r\n\r\n".to_vec(),
        b"GET /\r\n\r\n".to_vec(),
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET /wecom/%00/..%2f..%2f HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"POST /wecom/acme/assistant HTTP/1.1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"POST /wecom/acme/assistant HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n".to_vec(),
        b"POST /wecom/acme/assistant HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)).into_bytes(),
        format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1_000)).into_bytes(),
    ];
    garbage.extend((0..100).map(|_| (0..chance.below(2_000)).map(|_| chance.below(256) as u8).collect()));
    for bytes in garbage {
        let answer = raw(&daemon, &bytes).await;
        assert!(!answer.contains(" 200 "), "{bytes:?}: {answer}");
    }
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    let log = house.log();
    assert!(!log.contains("panicked"), "{log}");
}
