//! A machine that is hard on the daemon: signals, stops, scarce files and memory, slow disks, clocks that jump, programs replaced.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::double::{Answer, Double};
use crate::history::{History, replies_must_agree};
use crate::house::{Daemon, House, JIFEN, RULES, Ran};
use crate::senders::{client, post};
use crate::wecom::{Callback, app_text, now_secs, robot_text};

const SENDERS: usize = 8;
/// WeCom gives up after this; the rest of a second is for a busy machine.
const WECOM_WAITS: Duration = Duration::from_millis(5_500);
/// What a real callback may take in a crowd.
const PROMPT: Duration = Duration::from_secs(1);
/// Ticks of the processor (a hundred a second) that waiting may cost. A loop without rest would take a thousand in ten seconds.
const WAITING_TICKS_MAX: u64 = 250;
/// Open files under which somebody once runs it.
const FEW_FILES: u64 = 64;
/// Connections of a crowd that has more than there is room for, and less than twice as many.
const CROWD: u64 = 56;

fn check_ins(from: u64, count: u64) -> Vec<Callback> {
    (from..from + count).map(|n| app_text(n, &format!("member{n}"), now_secs(), "签到")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_sighup_changes_nothing() {
    let house = House::new("sighup", RULES);
    let daemon = house.open().await;
    let (history, said) = (History::new(), check_ins(1, 400));
    let storm = async {
        for count in (10..400).step_by(10) {
            history.until_acknowledged(count).await;
            daemon.signal(Signal::HUP);
        }
    };
    tokio::join!(history.send(&daemon, &said, SENDERS), storm);
    assert_eq!((history.acknowledged(), daemon.stop().await), (400, Some(0)));
    history.must_agree(&house);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_goes_on_where_it_was() {
    let double = Double::new();
    let house = House::with_api("sigstop", RULES, &double.open().await);
    let daemon = house.open().await;
    let (history, said) = (History::new(), check_ins(1, 200));
    let stopping = async {
        history.until_acknowledged(60).await;
        daemon.signal(Signal::STOP);
        let answer = timeout(Duration::from_secs(2), client().get(daemon.url("/healthz")).send()).await;
        assert!(answer.is_err(), "a stopped process answers: {answer:?}");
        daemon.signal(Signal::CONT);
    };
    tokio::join!(history.send(&daemon, &said, SENDERS), stopping);
    history.settle(&daemon, &said, SENDERS).await;
    assert_eq!(daemon.stop().await, Some(0));
    history.must_agree(&house);
    replies_must_agree(&house, &double);
    house.must_verify();
    assert!(!house.log().contains("panicked"), "{}", house.log());
}

/// User and system time of a process so far, in ticks (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, fields 14 and 15).
fn ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).expect("Linux");
    let after_name = stat.rsplit(')').next().expect("a name");
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

async fn is_served_after_a_crowd(house: &House, daemon: Daemon) {
    let before = ticks(daemon.pid);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(TcpStream::connect(daemon.addr).await.expect("the system takes it"));
    }
    // It is heard once the first of the crowd has been idle for too long.
    let began = Instant::now();
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let used = ticks(daemon.pid) - before;
    assert!(used < WAITING_TICKS_MAX, "{used} ticks in {:?}", began.elapsed());
    drop(crowd);
    let (history, said) = (History::new(), check_ins(2, 100));
    history.send(&daemon, &said, 4).await;
    assert_eq!((history.acknowledged(), daemon.stop().await), (100, Some(0)));
    house.must_verify();
    assert_eq!(house.export("accounts").len(), 101);
    assert!(!house.log().contains("panicked"), "{}", house.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scarce_files_make_it_wait_and_not_spin() {
    let (house, lowered) = (House::new("few-files", RULES), House::new("fewer-files", RULES));
    let mut few = Command::new("sh");
    few.args(["-c", &format!("ulimit -n {FEW_FILES}; exec \"$0\" serve --config \"$1\""), JIFEN]).arg(house.path("jifen.toml"));
    let daemon = Daemon::start(few, house.path("stderr.log")).await.unwrap();
    // This one meets the limit in accept, because it was lowered behind its back.
    let later = lowered.open().await;
    prlimit(Some(later.pid), Resource::Nofile, Rlimit { current: Some(FEW_FILES), maximum: Some(FEW_FILES) }).unwrap();
    tokio::join!(is_served_after_a_crowd(&house, daemon), is_served_after_a_crowd(&lowered, later));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_hang_do_not_slow_the_callbacks() {
    let double = Double::new();
    double.answers(&[Answer::Silence; 64]);
    let house = House::with_api("hanging", RULES, &double.open().await);
    let daemon = house.open().await;
    let history = History::new();
    history.send(&daemon, &check_ins(1, 64), SENDERS).await;
    double.said("签到成功").await;
    let http = client();
    let mut waits = Vec::new();
    for callback in check_ins(1_000, 200) {
        let began = Instant::now();
        assert_eq!(post(&http, &daemon, &callback).await, 200);
        waits.push(began.elapsed());
    }
    waits.sort();
    assert!(waits[197] < PROMPT, "the slowest: {:?}", &waits[195..]);
    daemon.kill().await;
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_without_memory_harms_nobody_else() {
    let house = House::new("memory", RULES);
    let daemon = house.open().await;
    let (history, said) = (History::new(), check_ins(1, 300));
    history.send(&daemon, &said, SENDERS).await;
    let export = |kib: u64| {
        let script = format!("ulimit -c 0; ulimit -v {kib}; exec \"$0\" export ledger --format xlsx --out \"$1\" --config \"$2\"");
        Ran::of(Command::new("sh").args(["-c", &script, JIFEN]).arg(house.path("ledger.xlsx")).arg(house.path("jifen.toml")))
    };
    let codes: Vec<Option<i32>> = [4_000_000, 60_000, 30_000, 15_000].map(export).iter().map(|ran| ran.code).collect();
    assert_eq!((codes[0], codes[3] == Some(0)), (Some(0), false), "{codes:?}");
    assert_eq!(post(&client(), &daemon, &app_text(1_000, "xiaohong", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_replaced_while_it_runs_goes_on() {
    let house = House::new("replaced", RULES);
    let (program, newer) = (house.path("jifen"), house.path("jifen.new"));
    fs::copy(JIFEN, &program).unwrap();
    fs::copy(JIFEN, &newer).unwrap();
    let serve = || {
        let mut command = Command::new(&program);
        command.arg("serve").arg("--config").arg(house.path("jifen.toml"));
        command
    };
    let daemon = Daemon::start(serve(), house.path("stderr.log")).await.unwrap();
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    fs::rename(&newer, &program).unwrap();
    assert_eq!(post(&client(), &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    let verified = Ran::of(Command::new(&program).arg("verify").arg("--config").arg(house.path("jifen.toml")));
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(daemon.stop().await, Some(0));
    let daemon = Daemon::start(serve(), house.path("stderr.log")).await.unwrap();
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

/// `jifen serve` under strace, in which each sync from the n-th on takes longer by this.
fn with_slow_disk(house: &House, micros: u64, when: &str) -> Command {
    let serve = house.serve();
    let mut command = Command::new("strace");
    command.args(["--daemonize", "--follow-forks", "--output=/dev/null", "--trace=fsync,fdatasync"]);
    command.arg(format!("--inject=fsync,fdatasync:delay_enter={micros}:when={when}")).arg(serve.get_program()).args(serve.get_args());
    command
}

/// Sends each from a connection of its own, all at once, and says which statuses came and how long the slowest took.
async fn at_once(daemon: &Daemon, history: &History, said: &[Callback]) -> (Vec<u16>, Duration) {
    let began = Instant::now();
    let sending: Vec<_> = said
        .iter()
        .map(|callback| {
            let (url, body, id) = (daemon.url(&callback.uri), callback.body.clone(), callback.id.clone());
            tokio::spawn(async move { (id, client().post(url).body(body).send().await.expect("an answer").status().as_u16()) })
        })
        .collect();
    let mut statuses = Vec::new();
    for sent in sending {
        let (id, status) = sent.await.expect("a sender");
        history.note(&id, Ok(status));
        statuses.push(status);
    }
    (statuses, began.elapsed())
}

async fn is_late_or_503(name: &str, micros: u64, when: &str) -> usize {
    let house = House::new(name, RULES);
    // Once whole, so that the delays meet commits and not the making of the file.
    assert_eq!(house.open().await.stop().await, Some(0));
    let daemon = Daemon::start(with_slow_disk(&house, micros, when), house.path("stderr.log")).await.unwrap();
    let (history, said) = (History::of_a_bad_disk(), check_ins(1, 60));
    let (statuses, slowest) = at_once(&daemon, &history, &said).await;
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(slowest < WECOM_WAITS, "{slowest:?}");
    history.settle(&daemon, &said, SENDERS).await;
    daemon.kill().await;
    history.must_agree(&house);
    house.must_verify();
    statuses.iter().filter(|status| **status == 503).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_is_answered_late_and_a_hanging_one_503_before_wecom_gives_up() {
    let (late, refused) = tokio::join!(is_late_or_503("slow-disk", 500_000, "2+"), is_late_or_503("hanging-disk", 6_000_000, "2"));
    assert!(late < 60 && refused > 0, "{late} refused by the slow one, {refused} by the one that hangs");
}

/// The daemon with a clock that this file moves (libfaketime: `+N` seconds; the monotonic clock stays).
fn with_clock(house: &House) -> Command {
    let library = fs::read_dir("/usr/lib").expect("Linux").flatten().map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    let mut command = house.serve();
    command.env("LD_PRELOAD", library.expect("libfaketime, which scripts/test installs"));
    command.env("FAKETIME_TIMESTAMP_FILE", house.path("clock")).env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_back_gives_no_second_bonus_of_the_day_and_is_told() {
    let house = House::new("clock", RULES);
    // Tomorrow noon in Shanghai, so that no midnight comes between.
    let noon = 86_400 - (now_secs() + 8 * 3600).rem_euclid(86_400) + 12 * 3600;
    let moved = |days: i64| house.write("clock", &format!("+{}\n", noon + 86_400 * days));
    moved(1);
    let daemon = Daemon::start(with_clock(&house), house.path("stderr.log")).await.unwrap();
    let http = client();
    let mut id = 0;
    // A robot's messages have no time of their own.
    for (days, balance) in [(1, 2), (0, 2), (1, 2), (2, 4), (1, 4), (2, 4), (0, 4)] {
        moved(days);
        id += 1;
        assert_eq!(post(&http, &daemon, &robot_text(&format!("CIG{id}"), "aming", "阿明", "@积分助手 签到")).await, 200);
        assert_eq!(house.export("accounts")[0]["balance"], balance, "message {id}, {days} days on");
    }
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
    let log = house.log();
    assert!(log.contains("系统时间被往回拨了") && log.contains("系统时间追上来了"), "{log}");
    assert!(!log.contains("还早"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    moved(0);
    assert_eq!(Daemon::start(with_clock(&house), house.path("stderr.log")).await.unwrap().stop().await, Some(0));
    assert!(house.log().contains("系统时间比账上最新的消息还早"), "a clock that was turned back meanwhile is told at the start");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_again_three_days_later_has_no_effect() {
    let house = House::new("captured", RULES);
    house.write("clock", "+0\n");
    let daemon = Daemon::start(with_clock(&house), house.path("stderr.log")).await.unwrap();
    let (history, captured) = (History::new(), [app_text(1, "aming", now_secs(), "签到")]);
    history.send(&daemon, &captured, 1).await;
    house.write("clock", &format!("+{}\n", 3 * 86_400));
    history.send(&daemon, &captured, 1).await;
    assert_eq!((history.refused(), daemon.stop().await), (0, Some(0)));
    history.must_agree(&house);
    house.must_verify();
    assert_eq!(house.export("accounts")[0]["balance"], 2);
}

#[test]
fn the_zones_of_the_machine_do_not_matter() {
    let line = |id: u64, at: &str| format!("{{\"id\":\"m-{id}\",\"at\":\"{at}\",\"corp\":\"acme\",\"member\":\"aming\",\"said\":{{\"text\":\"签到\"}}}}\n");
    // In Shanghai these are three days, wherever the machine believes to be.
    let history = [line(1, "2026-03-07T16:00:00Z"), line(2, "2026-03-08T15:59:59Z"), line(3, "2026-03-08T16:00:00Z"), line(4, "2026-03-09T16:00:00Z")].concat();
    for zone in ["Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "no/such/zone"] {
        let house = House::new(&format!("zone-{}", zone.replace('/', "-")), RULES);
        house.write("history.jsonl", &history);
        let mut command = Command::new(JIFEN);
        command.args(["replay", "--config"]).arg(house.path("jifen.toml")).arg(house.path("history.jsonl"));
        let ran = Ran::of(command.env("TZ", zone).env("TZDIR", "/nonexistent"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(house.export("accounts")[0]["balance"], 6, "{zone}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_wait_by_a_clock_that_does_not_jump_back() {
    let double = Double::new();
    let house = House::with_api("clock-replies", RULES, &double.open().await);
    let moved = |days: i64| house.write("clock", &format!("+{}\n", 86_400 * days));
    moved(2);
    let daemon = Daemon::start(with_clock(&house), house.path("stderr.log")).await.unwrap();
    // WeCom is busy: the reply waits, and meanwhile the clock jumps back by two days.
    double.answers(&[Answer::Code(-1)]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    double.said("签到成功").await;
    moved(0);
    double.heard(2).await;
    assert_eq!(daemon.stop().await, Some(0));
    replies_must_agree(&house, &double);
}
