//! More clients than there is room for: ten thousand that are silent, then many of them at once; a queue that is full.

use std::fs;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use jifen::model::day::Millis;
use jifen::model::event::Event;
use jifen::model::ids::FingerprintKey;
use jifen::pipeline::{self, BATCH_MAX, Done, Handle, Listener, Pipeline, QUEUE_MAX, Rejected};
use jifen::rules::file;
use jifen::store::memory::MemoryStore;
use jifen::store::{Batch, Reader};
use jifen::wecom::callback::Inbox;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::history::History;
use crate::house::{Daemon, House, PATIENCE, RULES};
use crate::senders::{client, post};
use crate::wecom::{AGENT_ID, Callback, app_text, now_secs};

/// Connections that say nothing.
const CROWD: u64 = 10_000;
/// Those of them that speak, all at once.
const BURST: u64 = 3_000;
/// What a real callback may take beside them.
const PROMPT: Duration = Duration::from_secs(1);
/// What one connection may cost, in KiB of memory.
const CONNECTION_KIB_MAX: u64 = 24;
/// What a third crowd may add to what a second one took, in KiB: noise, where a leak would cost as much again.
const NOISE_KIB: u64 = 24 * 1024;
/// The message at which the writer stands still, for longer than WeCom waits.
const STALL: &str = "且慢";
/// An answer after this is none: WeCom gave up after five seconds; the rest is for a busy machine that plays the crowd as well.
const TOO_LATE: Duration = Duration::from_secs(15);

/// Memory in use now.
fn resident_kib(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid.as_raw_nonzero())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// As many connections as this process may hold.
fn room_for_a_crowd() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("the soft limit may be raised");
    CROWD.min(limit.maximum.unwrap_or(u64::MAX) - 512)
}

async fn gather(daemon: &Daemon, crowd: u64) -> Vec<TcpStream> {
    let mut connections = Vec::new();
    for _ in 0..crowd {
        connections.push(TcpStream::connect(daemon.addr).await.expect("it takes ten thousand"));
    }
    connections
}

/// Memory in use while another crowd is there.
async fn beside_another(daemon: &Daemon, crowd: u64) -> u64 {
    let _another = gather(daemon, crowd).await;
    assert_eq!(post(&client(), daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    resident_kib(daemon)
}

/// Sends a callback over an open connection and says the status and how long it took.
async fn speak(mut stream: TcpStream, callback: Callback) -> (String, u16, Duration) {
    let began = Instant::now();
    let head = format!("POST {} HTTP/1.1\r\nHost: jifen\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", callback.uri, callback.body.len());
    stream.write_all([head.as_bytes(), callback.body.as_bytes()].concat().as_slice()).await.expect("the connection is still there");
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time").expect("an answer");
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (callback.id, status, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_keep_nobody_out_and_a_burst_loses_nothing() {
    let crowd = room_for_a_crowd();
    let text = |n: u64| if n == 0 { STALL } else { "签到" };
    let said: Vec<Callback> = (0..BURST).map(|n| app_text(1_000 + n, &format!("member{n}"), now_secs(), text(n))).collect();
    let house = House::new("crowd", RULES);
    let mut command = house.serve();
    command.env("FAILPOINTS", format!("rules.matched[{STALL}]=delay(4500)@1"));
    let daemon = Daemon::start(command, house.path("stderr.log")).await.unwrap();
    let http = client();
    assert_eq!(post(&http, &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let alone_kib = resident_kib(&daemon);
    let connections = gather(&daemon, crowd).await;
    let began = Instant::now();
    assert_eq!(post(&client(), &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    assert!(began.elapsed() < PROMPT, "a real callback beside {crowd} idle connections: {:?}", began.elapsed());
    let each_kib = (resident_kib(&daemon) - alone_kib) / crowd;
    assert!(each_kib <= CONNECTION_KIB_MAX, "an idle connection costs {each_kib} KiB");

    let history = History::of_a_bad_disk();
    for id in ["1", "2"] {
        history.note(id, Ok(200));
    }
    let mut speaking = JoinSet::new();
    connections.into_iter().zip(said.clone()).for_each(|(connection, callback)| drop(speaking.spawn(speak(connection, callback))));
    let (mut slowest, mut refused) = (Duration::ZERO, 0);
    for (id, status, took) in speaking.join_all().await {
        assert!([200, 503].contains(&status), "{status}");
        history.note(&id, Ok(status));
        slowest = slowest.max(took);
        refused += u64::from(status == 503);
    }
    assert!(slowest < TOO_LATE, "the slowest answer took {slowest:?}");
    assert!(refused > 0, "a writer that stands still refuses nobody");
    // Those that were sent away come again, as from WeCom.
    history.settle(&daemon, &said, 256).await;
    let (second_kib, third_kib) = (beside_another(&daemon, crowd).await, beside_another(&daemon, crowd).await);
    assert!(third_kib < second_kib + NOISE_KIB, "{second_kib} KiB with a second crowd, {third_kib} KiB with a third one");
    assert_eq!(daemon.stop().await, Some(0));
    history.must_agree(&house);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_messages_of_one_member_and_second_earn_what_the_caps_allow() {
    const CAPPED: &str = "[check_in.work]\nkeywords = [\"打卡\"]\npoints = 3\nmax_times = { day = 2 }\n\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";
    let house = House::new("spam", CAPPED);
    let daemon = house.open().await;
    let now = now_secs();
    let text = |n: u64| if n.is_multiple_of(10) { "签到" } else { "打卡" };
    let said: Vec<Callback> = (1..=200).map(|n| app_text(n, "aming", now, text(n))).collect();
    let history = History::new();
    history.send(&daemon, &said, 32).await;
    assert_eq!((history.acknowledged(), daemon.stop().await), (200, Some(0)));
    history.must_agree(&house);
    house.must_verify();
    assert_eq!(house.export("accounts")[0]["balance"], 8);
}

/// Keeps the writer from its batch until it is told to go on.
struct Gate(Mutex<Receiver<()>>);

impl Listener for Gate {
    fn has_room(&self) -> bool {
        // Once nobody holds the gate it stays open.
        let _ = self.0.lock().unwrap().recv();
        true
    }

    fn committed(&self, _batch: &Batch) {}

    fn disturbed(&self) {}
}

fn event(n: usize) -> Event {
    let plain = format!(
        "<xml><FromUserName>member{n}</FromUserName><CreateTime>1795300000</CreateTime><MsgType>text</MsgType><Content>签到</Content><MsgId>{}</MsgId></xml>",
        n + 1
    );
    Inbox::app(&"acme".into(), "assistant", AGENT_ID).read(plain, Millis(1_795_300_001_000)).remove(0)
}

type Hearing = Pin<Box<dyn Future<Output = Result<Done, Rejected>> + Send>>;

/// Puts an event into the queue: who waits for it, or what it is answered at once.
async fn queue(handle: &Handle, n: usize) -> Result<Hearing, Result<Done, Rejected>> {
    let handle = handle.clone();
    let mut hearing: Hearing = Box::pin(async move { handle.hear(event(n)).await });
    match poll_fn(|context| Poll::Ready(hearing.as_mut().poll(context))).await {
        Poll::Pending => Ok(hearing),
        Poll::Ready(answer) => Err(answer),
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_forgets_who_gave_up() {
    let (open, gate) = mpsc::channel();
    let rules = Arc::new(file::load(RULES).map(|(rules, _)| rules).unwrap());
    let store = MemoryStore::default();
    let reader = store.reader();
    let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules)), FingerprintKey::new(b"test"), Box::new(Gate(Mutex::new(gate))));
    let (handle, writer) = pipeline::start(pipeline).unwrap();
    // The writer holds one batch in its hands; QUEUE_MAX wait behind it.
    let Ok(first) = queue(&handle, 0).await else { panic!("there is room for one") };
    let mut waiting = Vec::new();
    let refused = loop {
        match queue(&handle, waiting.len() + 1).await {
            Ok(hearing) => waiting.push(hearing),
            Err(answer) => break answer,
        }
    };
    assert_eq!(refused, Err(Rejected::Full), "without waiting");
    assert!((QUEUE_MAX - 1..=QUEUE_MAX + BATCH_MAX).contains(&waiting.len()), "{} wait", waiting.len());
    // Every second one gives up before the writer comes to it.
    let mut waited = 0;
    waiting.retain(|_| {
        waited += 1;
        waited % 2 == 0
    });
    drop(open);
    assert!(first.await.is_ok());
    for hearing in waiting {
        assert!(hearing.await.is_ok());
    }
    assert!(handle.hear(event(QUEUE_MAX + 5)).await.is_ok(), "there is room again");
    handle.stop().await;
    writer.join().unwrap();
    // Of those who gave up only what the writer had in its hands is there.
    let kept = reader.head().unwrap().event.0 as usize;
    assert!((waited / 2 + 2..=waited / 2 + 2 + BATCH_MAX).contains(&kept), "{kept} of {waited} are kept");
}
