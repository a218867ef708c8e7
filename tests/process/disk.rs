//! Disks and files that fail: full, read-only, limited, somebody else's, newer, or under another key.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use jifen::model::ids::KeyBytes;
use jifen::store::Reader;
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, geteuid, prlimit};

use crate::house::{Daemon, House, JIFEN, PATIENCE, RULES, Ran};
use crate::senders::{Chance, Post, client, post};
use crate::wecom::{Callback, app_text, now_secs};

const USAGE: Option<i32> = Some(2);
/// `EX_TEMPFAIL`: the disk failed in a commit, start again.
const DISK: Option<i32> = Some(75);
/// So long WeCom waits for an answer (developer.work.weixin.qq.com/document/path/90930).
const WECOM_WAITS: Duration = Duration::from_secs(5);
/// What a user may be who owns nothing: `nobody`.
const NOBODY: u32 = 65_534;

fn long_texts(from: u64) -> Vec<Callback> {
    let text = |n: u64| format!("{n}今天骑了二十公里").repeat(100);
    (from..from + 400).map(|n| app_text(n, &format!("member{n}"), now_secs(), &text(n))).collect()
}

/// The house on a file system of 64 MiB that the daemon alone sees; it is gone with the daemon.
struct SmallDisk {
    dir: PathBuf,
    house: House,
}

impl SmallDisk {
    fn new(name: &str) -> SmallDisk {
        let house = House::new(name, RULES);
        let dir = house.path("disk");
        fs::create_dir(&dir).expect("a directory");
        house.configure("127.0.0.1:0", &dir.join("jifen.db"), "http://127.0.0.1:9");
        SmallDisk { dir, house }
    }

    /// Who is not root mounts in a user namespace.
    async fn open(&self) -> Daemon {
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = "mount -t tmpfs -o size=64m tmpfs \"$1\" && exec \"$2\" serve --config \"$3\"";
        command.args(["sh", "-c", script, "sh"]).arg(&self.dir).arg(JIFEN).arg(self.house.path("jifen.toml"));
        Daemon::start(command, self.house.path("stderr.log")).await.unwrap_or_else(|ended| panic!("no small disk: {ended:?}"))
    }

    /// `jifen verify` beside the daemon, on what it sees.
    fn verify(&self, daemon: &Daemon) -> Ran {
        let mut command = Command::new("nsenter");
        command.arg("--mount");
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--target").arg(daemon.pid.as_raw_nonzero().to_string());
        Ran::of(command.arg(JIFEN).arg("verify").arg("--config").arg(self.house.path("jifen.toml")))
    }

    /// A file of it, as the daemon sees it.
    fn path(&self, daemon: &Daemon, name: &str) -> PathBuf {
        let inside = self.dir.canonicalize().expect("a directory");
        let inside = inside.strip_prefix("/").expect("absolute").join(name);
        Path::new("/proc").join(daemon.pid.as_raw_nonzero().to_string()).join("root").join(inside)
    }
}

async fn readyz(daemon: &Daemon) -> u16 {
    client().get(daemon.url("/readyz")).send().await.expect("an answer").status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_means_503_and_room_mends_it_without_a_restart() {
    let disk = SmallDisk::new("full");
    let daemon = disk.open().await;
    let http = client();
    assert_eq!(post(&http, &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let filler = disk.path(&daemon, "filler");
    fs::write(&filler, vec![0; 62 << 20]).expect("room for the filler");

    let many = long_texts(100);
    let mut refused = Vec::new();
    for callback in &many {
        match post(&http, &daemon, callback).await {
            200 => {}
            status => {
                assert_eq!(status, 503);
                refused.push(callback);
            }
        }
    }
    assert!(!refused.is_empty() && refused.len() < many.len(), "{} of {} refused", refused.len(), many.len());
    // The last small pages go to small messages.
    let mut small = 1_000;
    while readyz(&daemon).await != 503 {
        small += 1;
        post(&http, &daemon, &app_text(small, "xiaohong", now_secs(), "签到")).await;
        assert!(small < 5_000, "it is ready on a full disk");
    }

    fs::remove_file(&filler).expect("removed");
    for callback in &refused {
        assert_eq!(post(&http, &daemon, callback).await, 200, "WeCom brings it again");
    }
    for id in 1_001..=small {
        assert_eq!(post(&http, &daemon, &app_text(id, "xiaohong", now_secs(), "签到")).await, 200);
    }
    // An answer of /readyz holds for a second: ask until it is asked anew.
    let ready = async { while readyz(&daemon).await != 200 {} };
    tokio::time::timeout(PATIENCE, ready).await.expect("ready again");

    let verified = disk.verify(&daemon);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.out.contains(&format!("核对了 {} 个事件", 1 + many.len() as u64 + small - 1_000)), "{verified:?}");
    assert_eq!(daemon.stop().await, Some(0));
    assert!(disk.house.log().contains("磁盘满了"), "{}", disk.house.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_size_limit_means_503_and_room_mends_it_without_a_restart() {
    let house = House::new("fsize", RULES);
    let daemon = house.open().await;
    let http = client();
    assert_eq!(post(&http, &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let limit = |bytes: Option<u64>| prlimit(Some(daemon.pid), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    limit(Some(1 << 20));
    let many = Post::new(long_texts(100));
    many.send(&daemon, 4).await;
    assert!(many.answers() < 400, "the limit does not bind");
    assert_eq!(readyz(&daemon).await, 503, "{}", house.log());

    limit(None);
    many.send(&daemon, 4).await;
    assert_eq!((many.answers(), many.acknowledged().len()), (400, 400));
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
    assert_eq!(house.export("accounts")[0]["balance"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_turns_read_only_means_503_and_no_restart() {
    let house = House::new("turned", RULES);
    assert_eq!(house.open().await.stop().await, Some(0));
    let serve = house.serve();
    let mut command = Command::new("strace");
    command.args(["--daemonize", "--follow-forks", "--trace=pwrite64", "--output=/dev/null", "--inject=pwrite64:error=EROFS:when=60+"]);
    command.arg(serve.get_program()).args(serve.get_args());
    let daemon = Daemon::start(command, house.path("stderr.log")).await.expect("it starts");
    let many = Post::new(long_texts(100));
    many.send(&daemon, 4).await;
    assert!(many.answers() < 400, "nothing failed");
    assert_eq!((readyz(&daemon).await, readyz(&daemon).await), (503, 503));
    assert_eq!(daemon.stop().await, Some(0), "{}", house.log());

    let reader = house.reader();
    for id in many.acknowledged() {
        assert_eq!(reader.find_events(KeyBytes::of(&id)).unwrap().len(), 1, "{id} was answered 200");
    }
    let daemon = house.open().await;
    many.send(&daemon, 4).await;
    assert_eq!((many.answers(), daemon.stop().await), (400, Some(0)));
    house.must_verify();
}

/// `jifen serve` under strace, which does this to the n-th sync of each of its threads: the call that makes commits durable.
fn with_fault(house: &House, fault: &str, nth: usize) -> Command {
    let serve = house.serve();
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--trace=fsync,fdatasync", "--output=/dev/null"]);
    command.arg(format!("--inject=fsync,fdatasync:{fault}:when={nth}")).arg(serve.get_program()).args(serve.get_args());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_or_interrupted_sync_ends_the_process_and_loses_nothing_that_was_answered() {
    let mut chance = Chance::seeded();
    let house = House::new("sync", RULES);
    // Once whole, so that the faults meet commits and not the making of the file.
    assert_eq!(house.open().await.stop().await, Some(0));
    let post = Post::new(long_texts(100));
    for fault in ["signal=KILL", "error=EIO", "signal=KILL"] {
        // The first ones of the keeper's thread are of the files beside the database, and of the start.
        let nth = 5 + chance.below(12);
        let mut daemon = Daemon::start(with_fault(&house, fault, nth), house.path("stderr.log")).await.expect("it starts");
        post.send(&daemon, 4).await;
        let ended = daemon.end().await;
        assert!(ended.code() == DISK || fault == "signal=KILL", "{fault} at {nth}: {ended:?}");
        let reader = house.reader();
        for id in post.acknowledged() {
            assert_eq!(reader.find_events(KeyBytes::of(&id)).unwrap().len(), 1, "{fault} at {nth}: {id} was answered 200");
        }
    }
    let daemon = house.open().await;
    post.send(&daemon, 4).await;
    assert_eq!((post.answers(), daemon.stop().await), (400, Some(0)));
    assert_eq!(house.reader().head().unwrap().event.0, 400);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_may_not_be_written_is_refused_with_its_path() {
    let house = House::new("read-only", RULES);
    house.open().await.stop().await;
    // Somebody who owns nothing here: permissions do not bind root.
    let program = std::env::temp_dir().join(format!("jifen-read-only-{}", std::process::id()));
    fs::create_dir(&program).expect("a directory");
    for name in ["jifen.db", "rules.toml", "master.key"] {
        fs::copy(house.path(name), program.join(name)).expect("copied");
    }
    fs::copy(JIFEN, program.join("jifen")).expect("copied");
    let settings = fs::read_to_string(house.path("jifen.toml")).unwrap().replace(&house.path("").display().to_string(), &format!("{}/", program.display()));
    fs::write(program.join("jifen.toml"), settings).expect("written");
    set_mode(&program.join("jifen.db"), 0o444);
    set_mode(&program, 0o555);
    let serve = || {
        let mut command = Command::new(program.join("jifen"));
        command.arg("serve").arg("--config").arg(program.join("jifen.toml"));
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let (code, said) = house.refused(serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains(&program.join("jifen.db").display().to_string()) && said.contains("能不能写它和它所在的目录") && said.contains("uid "), "{said}");
    let mut elsewhere = serve();
    elsewhere.arg("--database").arg(format!("sqlite:{}", program.join("new.db").display()));
    let (code, said) = house.refused(elsewhere).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("new.db") && said.contains("能不能写它和它所在的目录"), "{said}");
    set_mode(&program, 0o755);
    fs::remove_dir_all(&program).expect("removed");
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_program_locks_means_503_before_wecom_gives_up_and_mends_itself() {
    let house = House::new("locked", RULES);
    let daemon = house.open().await;
    let http = client();
    let callback = app_text(1, "aming", now_secs(), "签到");
    let other = Connection::open(house.path("jifen.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    assert_eq!(post(&http, &daemon, &callback).await, 503);
    assert!(began.elapsed() < WECOM_WAITS, "{:?}", began.elapsed());
    assert_eq!(readyz(&daemon).await, 503);
    let replay = house.jifen(&["replay", "/dev/null"]);
    assert_eq!(replay.code, USAGE, "{replay:?}");
    assert!(replay.err.contains("数据库正被别的程序写着"), "{replay:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(post(&http, &daemon, &callback).await, 200, "WeCom brings it again");
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

/// Every verb that opens the database, refused with a sentence and the same code.
async fn must_be_refused(house: &House, sentence: &str) {
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains(sentence) && said.contains("jifen.db"), "{said}");
    for args in [&["verify"][..], &["export", "accounts"], &["explain", "1"]] {
        let ran = house.jifen(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{ran:?}");
        assert!(ran.err.contains(sentence), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_not_ours_are_refused_and_left_alone() {
    let house = House::new("foreign", RULES);
    house.write("jifen.db", &"这是一份报告,不是数据库。".repeat(1_000));
    must_be_refused(&house, "不是 SQLite 数据库").await;
    assert!(fs::read_to_string(house.path("jifen.db")).unwrap().starts_with("这是一份报告"));

    fs::remove_file(house.path("jifen.db")).unwrap();
    Connection::open(house.path("jifen.db")).unwrap().execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('a')").unwrap();
    must_be_refused(&house, "别的程序的 SQLite 数据库").await;

    fs::remove_file(house.path("jifen.db")).unwrap();
    fs::create_dir(house.path("jifen.db")).unwrap();
    must_be_refused(&house, "目录").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_database_and_another_master_key_are_refused() {
    let house = House::new("newer", RULES);
    let daemon = house.open().await;
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    let database = || Connection::open(house.path("jifen.db")).unwrap();
    let version = |version: i64| database().pragma_update(None, "user_version", version).unwrap();
    let current = database().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    version(99);
    must_be_refused(&house, "由更新的 jifen 写过").await;
    version(current);

    let key = fs::read_to_string(house.path("master.key")).unwrap();
    house.write("master.key", &"f".repeat(64));
    must_be_refused(&house, "主密钥和这个数据库不是一对").await;
    house.write("master.key", "太短");
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("[keys] master"), "{said}");
    house.write("master.key", &key);
    house.must_verify();
    assert_eq!(house.open().await.stop().await, Some(0));
}
