//! `jifen backup` and `jifen restore`: beside a burst, killed in the middle, with no room, of the wrong file; and what a restored
//! history owes to those who heard more.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use jifen::failpoint::BACKUP_POINTS;
use jifen::store::Reader;
use jifen::store::sqlite::SqliteReader;
use jifen::store::vault::{Vault, parse_master};
use rusqlite::Connection;

use crate::house::{House, JIFEN, RULES, Ran};
use crate::senders::{Post, client, post};
use crate::wecom::{Callback, app_text, now_secs};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

const BACKUP: &str = "backup.db";

fn long_texts(from: u64, count: u64) -> Vec<Callback> {
    let text = |n: u64| format!("{n}今天骑了二十公里").repeat(100);
    (from..from + count).map(|n| app_text(n, &format!("member{n}"), now_secs(), &text(n))).collect()
}

/// A house that heard so many messages and is closed.
async fn heard(name: &str, count: u64) -> House {
    let house = House::new(name, RULES);
    hear(&house, 1..=count).await;
    house
}

async fn hear(house: &House, ids: std::ops::RangeInclusive<u64>) {
    let daemon = house.open().await;
    for id in ids {
        assert_eq!(post(&client(), &daemon, &app_text(id, &format!("member{id}"), now_secs(), "签到")).await, 200);
    }
    assert_eq!(daemon.stop().await, DONE);
}

fn backed_up(house: &House) {
    let ran = house.jifen(&["backup", BACKUP]);
    assert_eq!(ran.code, DONE, "{ran:?}");
    assert!(!house.path("backup.db.part").exists());
}

/// `jifen` under strace, killed at the n-th of these calls.
fn killed(house: &House, calls: &str, nth: usize, args: &[&str]) -> Ran {
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--output=/dev/null", &format!("--trace={calls}"), &format!("--inject={calls}:signal=KILL:when={nth}")]);
    Ran::of(command.arg(JIFEN).args(args).current_dir(house.path("")))
}

fn events(house: &House) -> i64 {
    house.reader().head().unwrap().event.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_beside_a_burst_is_whole_and_holds_what_was_answered_before_it() {
    let house = House::new("backup-burst", RULES);
    let daemon = house.open().await;
    let many = Post::new(long_texts(1, 600));
    let backing_up = async {
        many.answered(200).await;
        tokio::task::block_in_place(|| backed_up(&house));
    };
    tokio::join!(many.send(&daemon, 8), backing_up);
    assert_eq!((many.answers(), daemon.stop().await), (600, DONE));
    let verified = house.jifen(&["verify", "--database", "sqlite:backup.db"]);
    assert_eq!(verified.code, DONE, "{verified:?}");
    let held = events_of(&house.path(BACKUP));
    assert!((200..=600).contains(&held), "{held}");
    house.must_verify();
}

fn events_of(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT event FROM shard", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_killed_in_the_middle_leaves_no_file_of_its_name_and_the_next_one_tidies_up() {
    let house = heard("backup-killed", 50).await;
    for (calls, nth) in [("pwrite64", 1), ("pwrite64", 9), ("pwrite64", 40), ("fsync", 1), ("rename,renameat,renameat2", 1)] {
        let ran = killed(&house, calls, nth, &["backup", BACKUP]);
        assert_eq!(ran.code, None, "{calls} {nth}: {ran:?}");
        assert!(!house.path(BACKUP).exists(), "{calls} {nth}");
    }
    for point in BACKUP_POINTS {
        let ran = Ran::of(Command::new(JIFEN).args(["backup", BACKUP]).current_dir(house.path("")).env("FAILPOINTS", format!("{point}=abort@1")));
        assert_eq!(ran.code, None, "{point}: {ran:?}");
        assert!(!house.path(BACKUP).exists(), "{point}");
    }
    assert!(house.path("backup.db.part").exists(), "the kills came in time");
    backed_up(&house);
    assert_eq!(events_of(&house.path(BACKUP)), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_takes_nobodys_place_unasked_and_the_databases_never() {
    let house = heard("backup-place", 2).await;
    backed_up(&house);
    let before = fs::read(house.path(BACKUP)).unwrap();
    for (args, says) in [
        (&["backup", BACKUP][..], "已经存在"),
        (&["backup", "jifen.db", "--force"], "就是数据库自己"),
        (&["backup", "."], "目录"),
        (&["backup", "nowhere/backup.db"], "nowhere"),
        (&["backup", "other.db", "--database", "sqlite:nowhere.db"], "没有数据库"),
    ] {
        let ran = house.jifen(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}: {ran:?}");
        assert!(ran.err.contains(says), "{args:?}: {ran:?}");
    }
    assert!(fs::read(house.path(BACKUP)).unwrap() == before);
    hear(&house, 3..=3).await;
    let forced = house.jifen(&["backup", BACKUP, "--force"]);
    assert_eq!(forced.code, DONE, "{forced:?}");
    assert_eq!(events_of(&house.path(BACKUP)), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_without_room_fails_loudly_and_leaves_nothing() {
    let house = heard("backup-room", 20).await;
    let dir = house.path("small");
    fs::create_dir(&dir).unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs small && { \"$1\" backup small/backup.db; echo \"code $?\"; ls small; }";
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let ran = Ran::of(command.args(["sh", "-c", script, "sh", JIFEN]).current_dir(house.path("")));
    assert_eq!((ran.code, ran.out.as_str()), (DONE, "code 2\n"), "{ran:?}");
    assert!(ran.err.contains("磁盘满了"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_backup_comes_back_with_the_outbox_held_and_what_is_brought_again_counts_once() {
    let house = heard("restore-older", 3).await;
    backed_up(&house);
    hear(&house, 4..=8).await;

    let daemon = house.open().await;
    let running = house.jifen(&["restore", BACKUP]);
    assert_eq!(running.code, USAGE, "{running:?}");
    assert!(running.err.contains("已经有一个 jifen serve"), "{running:?}");
    assert_eq!(daemon.stop().await, DONE);

    let looked = house.jifen(&["restore", BACKUP, "--dry-run"]);
    assert_eq!(looked.code, DONE, "{looked:?}");
    assert!(looked.out.contains("多 5 个事件") && looked.out.contains("没有替换"), "{looked:?}");
    assert_eq!(events(&house), 8);

    let restored = house.jifen(&["restore", BACKUP]);
    assert_eq!(restored.code, DONE, "{restored:?}");
    for says in ["3 个事件、3 笔记账、3 个账户", "多 5 个事件", "jifen.db.before-restore-8", "jifen outbox release"] {
        assert!(restored.out.contains(says), "{says}: {restored:?}");
    }
    assert!(!restored.out.contains("每日密钥"), "every day key was found: {restored:?}");
    assert_eq!((events(&house), events_of(&house.path("jifen.db.before-restore-8"))), (3, 8));
    assert!(house.reader().outbox_held().unwrap());
    assert!(house.reader().contents(jifen::model::ids::EventSeq(1)).unwrap().is_some(), "texts are read with the day keys beside the database");

    hear(&house, 1..=8).await;
    assert_eq!(events(&house), 8);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_moves_to_another_machine_with_its_keys_and_holds_no_key_of_its_own() {
    let house = heard("restore-moved", 3).await;
    let wrapped: Vec<u8> = Connection::open(house.path("jifen.db")).unwrap().query_row("SELECT wrapped FROM day_key", [], |row| row.get(0)).unwrap();
    backed_up(&house);
    let backup = fs::read(house.path(BACKUP)).unwrap();
    assert!(!backup.windows(wrapped.len()).any(|window| window == wrapped), "a destroyed day stays destroyed in old backups");

    let there = House::new("restore-there", RULES);
    fs::copy(house.path(BACKUP), there.path(BACKUP)).unwrap();
    let restored = there.jifen(&["restore", BACKUP]);
    assert_eq!(restored.code, DONE, "{restored:?}");
    assert!(restored.out.contains("每日密钥找回 0 / 1 个"), "{restored:?}");
    there.must_verify();
    hear(&there, 4..=4).await;
    assert_eq!(there.export("accounts").len(), 4);

    let again = House::new("restore-again", RULES);
    fs::copy(house.path(BACKUP), again.path(BACKUP)).unwrap();
    fs::copy(house.path("jifen.db.day-keys"), again.path("jifen.db.day-keys")).unwrap();
    assert_eq!(again.jifen(&["restore", BACKUP]).code, DONE);
    assert!(again.reader().contents(jifen::model::ids::EventSeq(1)).unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_sound_backup_of_ours_is_refused_and_the_database_stays() {
    let house = heard("restore-wrong", 30).await;
    backed_up(&house);
    let before = fs::read(house.path("jifen.db")).unwrap();
    let must_refuse = |name: &str, code: Option<i32>, says: &str| {
        let ran = house.jifen(&["restore", name]);
        assert_eq!(ran.code, code, "{name}: {ran:?}");
        assert!(ran.err.contains(says) || ran.out.contains(says), "{name}: {ran:?}");
        assert!(fs::read(house.path("jifen.db")).unwrap() == before, "{name}");
        assert!(!house.path("jifen.db.restoring").exists(), "{name}");
    };
    must_refuse("nowhere.db", USAGE, "没有备份文件");
    house.write("empty.db", "");
    must_refuse("empty.db", USAGE, "是空的");
    house.write("text.db", &"这是一份报告,不是数据库。".repeat(1_000));
    must_refuse("text.db", USAGE, "text.db:这个文件不是 SQLite 数据库。请检查名字写对了没有");
    Connection::open(house.path("notes.db")).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    must_refuse("notes.db", USAGE, "别的程序的 SQLite 数据库");
    must_refuse("jifen.db", USAGE, "就是正在用的数据库");

    let altered = |name: &str, sql: &str| {
        fs::copy(house.path(BACKUP), house.path(name)).unwrap();
        Connection::open(house.path(name)).unwrap().execute_batch(sql).unwrap();
    };
    altered("newer.db", "PRAGMA user_version = 99");
    must_refuse("newer.db", USAGE, "更新的 jifen");
    altered("key.db", "UPDATE meta SET value = zeroblob(32) WHERE key = 'vault'");
    must_refuse("key.db", USAGE, "主密钥");
    altered("forged.db", "DROP TRIGGER posting_is_final; UPDATE posting SET amount = 99 WHERE seq = 2");
    must_refuse("forged.db", FINDING, "INV-");
    fs::copy(house.path(BACKUP), house.path("torn.db")).unwrap();
    let bytes = fs::metadata(house.path("torn.db")).unwrap().len();
    for page in 1..bytes / 4096 {
        let torn = fs::File::options().write(true).open(house.path("torn.db")).unwrap();
        let whole = fs::read(house.path(BACKUP)).unwrap();
        torn.write_all_at(&whole, 0).unwrap();
        torn.write_all_at(&[0x5a; 4096], page * 4096).unwrap();
        if page % 8 == 1 {
            must_refuse("torn.db", USAGE, "数据库文件坏了");
        }
    }
    let cut = fs::read(house.path(BACKUP)).unwrap();
    fs::write(house.path("cut.db"), &cut[..cut.len() / 2]).unwrap();
    must_refuse("cut.db", USAGE, "数据库文件坏了");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_refused_at_start_and_replaced_by_its_backup() {
    let house = heard("restore-damaged", 30).await;
    backed_up(&house);
    let file = fs::File::options().write(true).open(house.path("jifen.db")).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.write_all_at(&vec![0x5a; (bytes - 8192) as usize], 8192).unwrap();
    drop(file);
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("数据库文件坏了") && said.contains("jifen restore") && said.contains("age"), "the page is named: {said}");

    let restored = house.jifen(&["restore", BACKUP]);
    assert_eq!(restored.code, DONE, "{restored:?}");
    hear(&house, 31..=31).await;
    house.must_verify();
    assert_eq!(events(&house), 31);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wal_that_outlived_its_database_is_not_taken_for_the_restored_ones() {
    let house = heard("restore-orphan", 3).await;
    backed_up(&house);
    let daemon = house.open().await;
    for id in 4..=6 {
        assert_eq!(post(&client(), &daemon, &app_text(id, "aming", now_secs(), "签到")).await, 200);
    }
    daemon.kill().await;
    fs::remove_file(house.path("jifen.db")).unwrap();
    assert!(house.path("jifen.db-wal").exists());
    let restored = house.jifen(&["restore", BACKUP]);
    assert_eq!(restored.code, DONE, "{restored:?}");
    assert_eq!(events(&house), 3);
    assert!(house.path("jifen.db.before-restore-nothing-wal").exists());
    house.must_verify();
    assert_eq!(house.open().await.stop().await, DONE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_of_what_is_there_already_holds_nothing() {
    let house = heard("restore-same", 3).await;
    backed_up(&house);
    let restored = house.jifen(&["restore", BACKUP]);
    assert_eq!(restored.code, DONE, "{restored:?}");
    assert!(!restored.out.contains("比备份多") && !restored.out.contains("outbox release"), "{restored:?}");
    assert!(!house.reader().outbox_held().unwrap());
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_killed_at_any_step_leaves_the_one_or_the_other_whole() {
    let house = heard("restore-killed", 3).await;
    backed_up(&house);
    hear(&house, 4..=5).await;
    let steps = [("pwrite64", 1), ("pwrite64", 30), ("fsync", 1), ("fsync,fdatasync", 3), ("link,linkat", 1)];
    let renames = (1..=4).map(|nth| ("rename,renameat,renameat2", nth));
    for (calls, nth) in steps.into_iter().chain(renames) {
        let ran = killed(&house, calls, nth, &["restore", BACKUP]);
        let held = events(&house);
        assert!(held == 5 || held == 3, "{calls} {nth}: {held} {ran:?}");
        house.must_verify();
        assert_eq!(house.open().await.stop().await, DONE, "{calls} {nth}");
    }
    let restored = house.jifen(&["restore", BACKUP]);
    assert_eq!((restored.code, events(&house)), (DONE, 3), "{restored:?}");
    let vault = Vault::new(parse_master(&fs::read_to_string(house.path("master.key")).unwrap()).unwrap());
    let kept = SqliteReader::open(&house.path("jifen.db.before-restore-5"), &vault).unwrap();
    assert_eq!(kept.head().unwrap().event.0, 5);
}
