//! A database that is cut short, exchanged, moved away or unreadable under a daemon, or between two: it is noticed, and nothing that
//! was answered 200 goes without a word.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jifen::model::ids::KeyBytes;
use jifen::store::Reader;
use rusqlite::{Connection, OpenFlags};

use crate::house::{Daemon, House, PATIENCE, RULES};
use crate::senders::{Chance, Post, client, post};
use crate::wecom::{app_text, now_secs};

const DONE: Option<i32> = Some(0);
const USAGE: Option<i32> = Some(2);
const DISK: Option<i32> = Some(75);

const MESSAGES: u64 = 20;

async fn hear(daemon: &Daemon) {
    for id in 1..=MESSAGES {
        assert_eq!(post(&client(), daemon, &app_text(id, &format!("member{id}"), now_secs(), "签到")).await, 200);
    }
}

/// Waits until the mark beside the database says so many events.
async fn marked(house: &House, daemon: &Daemon, events: u64) {
    let says = format!("\"event\":{events},");
    let waiting = async {
        while !fs::read_to_string(house.path("jifen.db.mark")).is_ok_and(|mark| mark.contains(&says)) {
            client().get(daemon.url("/healthz")).send().await.expect("it lives");
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("a mark in time");
}

/// A daemon that was killed while a reader kept all its commits in the WAL: the database file, and that WAL.
async fn killed_with_a_wal(house: &House) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(house.open().await.stop().await, DONE);
    let reader = Connection::open_with_flags(house.path("jifen.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let daemon = house.open().await;
    reader.execute_batch("BEGIN; SELECT * FROM shard").unwrap();
    hear(&daemon).await;
    marked(house, &daemon, MESSAGES).await;
    daemon.kill().await;
    let read = |name: &str| fs::read(house.path(name)).unwrap();
    (read("jifen.db"), read("jifen.db-wal"))
}

fn put(house: &House, database: &[u8], wal: Option<&[u8]>) {
    let _ = fs::remove_file(house.path("jifen.db-shm"));
    let _ = fs::remove_file(house.path("jifen.db-wal"));
    fs::write(house.path("jifen.db"), database).unwrap();
    if let Some(wal) = wal {
        fs::write(house.path("jifen.db-wal"), wal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_or_damaged_wal_is_refused_and_may_be_accepted_with_the_outbox_held() {
    let house = House::new("wal", RULES);
    let (database, wal) = killed_with_a_wal(&house).await;
    let refused = async |says: &str| {
        let (code, said) = house.refused(house.serve()).await;
        assert_eq!(code, USAGE, "{said}");
        assert!(said.contains("比它旁边的记号旧") && said.contains("jifen restore") && said.contains("--accept-loss") && said.contains(says), "{said}");
    };
    put(&house, &database, None);
    refused("少了 20 个事件").await;

    let mut flipped = wal.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    put(&house, &database, Some(&flipped));
    refused("个事件").await;
    assert!(fs::read(house.path("jifen.db-wal")).unwrap() == flipped, "what could still be saved is left alone");

    put(&house, &database, Some(&wal));
    assert_eq!(house.open().await.stop().await, DONE, "whole again");
    assert_eq!(house.reader().head().unwrap().event.0, MESSAGES as i64);

    put(&house, &database, None);
    let mut accepting = house.serve();
    accepting.arg("--accept-loss");
    let daemon = Daemon::start(accepting, house.path("stderr.log")).await.expect("it starts");
    hear(&daemon).await;
    assert_eq!(daemon.stop().await, DONE);
    assert_eq!(house.reader().head().unwrap().event.0, MESSAGES as i64);
    assert!(house.reader().outbox_held().unwrap());
    house.must_verify();
    assert_eq!(house.open().await.stop().await, DONE, "accepted once");
}

/// What is done to the files of a running daemon, and how it is undone.
type Harm = (fn(&House), fn(&House));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_renamed_or_exchanged_under_an_idle_daemon_stops_it_and_put_back_has_everything() {
    let house = House::new("exchanged", RULES);
    fn aside(house: &House) -> PathBuf {
        house.path("aside.db")
    }
    let harms: [Harm; 2] = [
        (|house| fs::rename(house.path("jifen.db"), aside(house)).unwrap(), |house| fs::rename(aside(house), house.path("jifen.db")).unwrap()),
        (
            |house| {
                fs::rename(house.path("jifen.db"), aside(house)).unwrap();
                fs::write(house.path("jifen.db"), "").unwrap();
            },
            |house| fs::rename(aside(house), house.path("jifen.db")).unwrap(),
        ),
    ];
    for (harm, mend) in harms {
        let mut daemon = house.open().await;
        hear(&daemon).await;
        harm(&house);
        assert_eq!(daemon.end().await.code(), DISK, "{}", house.log());
        mend(&house);
        assert_eq!(house.open().await.stop().await, DONE);
        assert_eq!(house.reader().head().unwrap().event.0, MESSAGES as i64);
        house.must_verify();
    }
    assert!(house.log().contains("不见了") && house.log().contains("换成了另一个文件"), "{}", house.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_answered_200_once_the_database_is_unlinked() {
    let house = House::new("unlinked", RULES);
    let mut daemon = house.open().await;
    hear(&daemon).await;
    fs::remove_file(house.path("jifen.db")).unwrap();
    let late = app_text(99, "aming", now_secs(), "签到");
    let answer = client().post(daemon.url(&late.uri)).body(late.body).send().await;
    assert!(!answer.is_ok_and(|answer| answer.status() == 200));
    assert_eq!(daemon.end().await.code(), DISK, "{}", house.log());
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("少了 20 个事件"), "an empty file in its place is noticed: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_fail_lose_nothing_that_was_answered() {
    let mut chance = Chance::seeded();
    let house = House::new("reads", RULES);
    assert_eq!(house.open().await.stop().await, DONE);
    let many = Post::new((1..=200).map(|n| app_text(n, &format!("member{n}"), now_secs(), "签到")).collect());
    for error in ["EIO", "EIO", "EIO"] {
        let nth = 20 + chance.below(60);
        let serve = house.serve();
        let mut command = Command::new("strace");
        command.args(["--daemonize", "--follow-forks", "--trace=pread64", "--output=/dev/null", &format!("--inject=pread64:error={error}:when={nth}")]);
        command.arg(serve.get_program()).args(serve.get_args());
        match Daemon::start(command, house.path("stderr.log")).await {
            Ok(mut daemon) => {
                many.send(&daemon, 4).await;
                // It may have stopped by itself.
                let _ = rustix::process::kill_process(daemon.pid, rustix::process::Signal::TERM);
                let code = daemon.end().await.code();
                assert!(code == DONE || code == DISK, "{code:?}");
            }
            Err((code, said)) => assert!(code == USAGE && said.contains("jifen.db"), "{said}"),
        }
        let reader = house.reader();
        for id in many.acknowledged() {
            assert_eq!(reader.find_events(KeyBytes::of(&id)).unwrap().len(), 1, "pread {nth}: {id} was answered 200");
        }
    }
    let daemon = house.open().await;
    many.send(&daemon, 4).await;
    assert_eq!((many.answers(), daemon.stop().await), (200, DONE));
    house.must_verify();
    assert!(!house.log().contains("panicked"), "{}", house.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_ends_is_measured_and_stops_nobody() {
    let house = House::new("reader", RULES);
    let daemon = house.open().await;
    let reader = Connection::open(house.path("jifen.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM shard").unwrap();
    hear(&daemon).await;
    assert_eq!(house.jifen(&["backup", "backup.db"]).code, DONE);
    let metrics = async || client().get(daemon.url("/metrics")).send().await.expect("an answer").text().await.expect("a text");
    let value = |metrics: &str, name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let measured = async {
        loop {
            let metrics = metrics().await;
            if let (Some(wal), Some(age)) = (value(&metrics, "jifen_wal_bytes"), value(&metrics, "jifen_backup_age_seconds"))
                && wal > 0.0
            {
                return age;
            }
        }
    };
    let age = tokio::time::timeout(PATIENCE, measured).await.expect("measured in time");
    assert!((0.0..60.0).contains(&age), "{age}");
    assert_eq!(daemon.stop().await, DONE);
    house.must_verify();
}
