//! The schema's versions: forward only, each in a transaction, a copy of the file before the first that touches data.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::copy::copy_open;
use super::files::{Part, beside};
use super::read;
use crate::failpoint;
use crate::store::StoreError;

/// «jifn», so that nobody else's database is taken for ours (<https://sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION_ID: i64 = 0x6a69_666e;

/// The steps of the schema; the n-th (from 1) makes version n. Steps are only ever added.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_source.sql"),
    include_str!("../migrations/0003_waiting.sql"),
    include_str!("../migrations/0004_shared.sql"),
    include_str!("../migrations/0005_picture.sql"),
    include_str!("../migrations/0006_board.sql"),
    include_str!("../migrations/0007_rules_change.sql"),
];

/// Refuses what is not ours and what a newer program wrote. A new file is fine.
pub(super) fn require_readable(db: &Connection) -> Result<(), StoreError> {
    require_at_most(db, MIGRATIONS.len()).map(|_| ())
}

/// Refuses everything but a database of exactly this program's schema.
pub(super) fn require_current(db: &Connection) -> Result<(), StoreError> {
    let version = require_at_most(db, MIGRATIONS.len())?;
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    Err(StoreError::Aborted(format!("数据库的结构还是第 {version} 版,这个程序用第 {} 版。请先运行一次 jifen serve,它会先留副本再升级", MIGRATIONS.len())))
}

/// Brings the schema up to date.
pub(super) fn migrate(db: &mut Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let version = require_at_most(db, migrations.len())?;
    if version == migrations.len() {
        return Ok(());
    }
    if version > 0 {
        keep_copy(db, path, &beside(path, &format!(".before-{}", migrations.len())))?;
    }
    upgrade(db, migrations)
}

/// Brings the schema up to date without a copy, for a file that is one. Each step is a transaction: what was interrupted
/// goes on where it stopped.
pub(super) fn upgrade(db: &mut Connection, migrations: &[&str]) -> Result<(), StoreError> {
    let version = require_at_most(db, migrations.len())?;
    for (at, sql) in migrations.iter().enumerate().skip(version) {
        step(db, at + 1, sql)?;
    }
    Ok(())
}

fn step(db: &mut Connection, version: usize, sql: &str) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster; its work is as good as ours.
    if schema_version(&transaction)? < version {
        transaction.execute_batch(sql)?;
        failpoint::hit("migrate.step");
        transaction.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"))?;
    }
    Ok(transaction.commit()?)
}

fn require_at_most(db: &Connection, newest: usize) -> Result<usize, StoreError> {
    let version = schema_version(db)?;
    if version <= newest {
        return Ok(version);
    }
    Err(StoreError::Aborted(format!(
        "这个数据库由更新的 jifen 写过(结构第 {version} 版,这个程序只到第 {newest} 版)。请换回更新的程序;一定要退回旧程序,就用升级前留下的副本:数据库文件名加 .before-{version}"
    )))
}

pub(super) fn schema_version(db: &Connection) -> Result<usize, StoreError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, version, tables) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_schema")?);
    if (application, version, tables) == (0, 0, 0) {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt("这是别的程序的 SQLite 数据库,没有动它。请检查名字写对了没有".into()));
    }
    usize::try_from(version).map_err(|_| StoreError::Corrupt(format!("数据库的结构版本是 {version},不可能")))
}

/// Keeps a copy of the file as it was before the first step. One of the same history that is there already is from an attempt
/// that was interrupted: it is the older one, and stays.
fn keep_copy(db: &Connection, path: &Path, to: &Path) -> Result<(), StoreError> {
    if Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_ONLY).is_ok_and(|copy| is_earlier(&copy, db)) {
        return Ok(());
    }
    let failed = |error: std::io::Error| StoreError::Aborted(format!("升级前的副本 {} 存不下来({error})。数据库没有动", to.display()));
    let part = Part::begin(beside(to, ".part")).map_err(failed)?;
    copy_open(db, &part, &mut |_, _| {})?;
    part.resemble(path).and_then(|()| part.put_in_place(to)).map_err(failed)
}

/// Whether a copy holds the history that is in the file now, under an earlier schema.
fn is_earlier(copy: &Connection, db: &Connection) -> bool {
    let head = |db: &Connection| read::head(db).ok();
    let version = |db: &Connection| schema_version(db).ok();
    head(copy).is_some() && head(copy) == head(db) && version(copy) < version(db)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::sqlite::rows::tests::scratch;

    const SECOND: &str = "ALTER TABLE member ADD COLUMN joined_at INTEGER;";

    /// A file of the first version, with a member in it.
    fn first(name: &str) -> (PathBuf, Connection) {
        let path = scratch(name).join("jifen.db");
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db, &path, &MIGRATIONS[..1]).unwrap();
        db.execute("INSERT INTO member (id, corp) VALUES (1, 1)", []).unwrap();
        (path, db)
    }

    #[test]
    fn a_new_file_gets_the_schema_and_no_copy() {
        let path = scratch("migrate-new").join("jifen.db");
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db, &path, MIGRATIONS).unwrap();
        assert_eq!(schema_version(&db).unwrap(), MIGRATIONS.len());
        assert!(!beside(&path, &format!(".before-{}", MIGRATIONS.len())).exists());
    }

    #[test]
    fn data_is_copied_before_it_is_migrated() {
        let (path, mut db) = first("migrate-copy");
        migrate(&mut db, &path, &[MIGRATIONS[0], SECOND]).unwrap();
        assert_eq!(schema_version(&db).unwrap(), 2);
        let copy = Connection::open(beside(&path, ".before-2")).unwrap();
        assert_eq!(schema_version(&copy).unwrap(), 1);
        assert_eq!(copy.query_row("SELECT count(*) FROM member", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    }

    #[test]
    fn an_event_from_before_channels_were_written_down_names_none() {
        let (path, mut db) = first("migrate-source");
        db.execute("INSERT INTO event (seq, received_at, at, day, grp, kind, rules, record) VALUES (1, 0, 0, 0, 0, 1, 2, x'01')", []).unwrap();
        migrate(&mut db, &path, &MIGRATIONS[..2]).unwrap();
        assert_eq!(db.query_row("SELECT source FROM event", [], |row| row.get::<_, Option<i64>>(0)).unwrap(), None);
        assert_eq!(db.query_row("SELECT count(*) FROM source", [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }

    #[test]
    fn a_step_that_fails_leaves_nothing_behind() {
        let (path, mut db) = first("migrate-fails");
        let broken = format!("{SECOND} INSERT INTO no_such_table VALUES (1);");
        assert!(migrate(&mut db, &path, &[MIGRATIONS[0], &broken]).is_err());
        assert_eq!(schema_version(&db).unwrap(), 1);
        assert!(db.prepare("SELECT joined_at FROM member").is_err());
    }

    /// Three steps more, each of which needs room.
    fn steps() -> Vec<String> {
        let step = |at: usize| format!("CREATE TABLE step_{at} (b BLOB); INSERT INTO step_{at} VALUES (zeroblob(100000));");
        std::iter::once(MIGRATIONS[0].to_owned()).chain((2..=4).map(step)).collect()
    }

    fn pages(db: &Connection, pragma: &str) -> i64 {
        db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0)).unwrap()
    }

    /// After whatever happened: all steps are done, the member is there, and the copy is the file from before the first of them.
    fn must_go_on(path: &Path, steps: &[&str]) {
        let mut db = Connection::open(path).unwrap();
        migrate(&mut db, path, steps).unwrap();
        let copy = Connection::open(beside(path, ".before-4")).unwrap();
        assert_eq!((schema_version(&db).unwrap(), schema_version(&copy).unwrap()), (4, 1));
        for db in [&db, &copy] {
            assert_eq!(db.query_row("SELECT count(*) FROM member", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        }
        assert!(!beside(path, ".before-4.part").exists());
    }

    #[test]
    fn a_full_disk_at_any_step_leaves_the_step_before_and_room_lets_it_go_on() {
        let steps = steps();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        for failing in 2..=steps.len() {
            let (path, mut db) = first(&format!("migrate-full-{failing}"));
            keep_copy(&db, &path, &beside(&path, ".before-4")).unwrap();
            upgrade(&mut db, &steps[..failing - 1]).unwrap();
            db.execute_batch(&format!("PRAGMA max_page_count = {}", pages(&db, "page_count") + 2)).unwrap();
            assert!(migrate(&mut db, &path, &steps).is_err_and(|error| error.to_string().contains("磁盘满了")), "step {failing}");
            assert_eq!(schema_version(&db).unwrap(), failing - 1);
            drop(db);
            must_go_on(&path, &steps);
        }
    }

    #[test]
    fn an_end_in_the_middle_of_any_step_leaves_the_step_before_and_the_next_start_goes_on() {
        let steps = steps();
        let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
        for dying in 2..=steps.len() {
            let (path, mut db) = first(&format!("migrate-dying-{dying}"));
            // The copy was begun, too, and did not get far.
            std::fs::write(beside(&path, ".before-4.part"), "half").unwrap();
            keep_copy(&db, &path, &beside(&path, ".before-4")).unwrap();
            upgrade(&mut db, &steps[..dying - 1]).unwrap();
            // What a process that dies leaves: everything written, nothing committed.
            db.execute_batch(&format!("BEGIN IMMEDIATE; {} PRAGMA user_version = {dying};", steps[dying - 1])).unwrap();
            drop(db);
            assert_eq!(schema_version(&Connection::open(&path).unwrap()).unwrap(), dying - 1);
            must_go_on(&path, &steps);
        }
    }

    #[test]
    fn a_copy_of_another_history_makes_room_for_the_present_one() {
        let (path, mut db) = first("migrate-stale");
        keep_copy(&db, &path, &beside(&path, ".before-2")).unwrap();
        db.execute_batch("UPDATE shard SET event = 7").unwrap();
        migrate(&mut db, &path, &[MIGRATIONS[0], SECOND]).unwrap();
        let copy = Connection::open(beside(&path, ".before-2")).unwrap();
        assert_eq!(read::head(&copy).unwrap().event.0, 7);
    }

    #[test]
    fn a_newer_schema_is_refused_with_the_way_back() {
        let (_, db) = first("migrate-newer");
        let newer = MIGRATIONS.len() + 1;
        db.pragma_update(None, "user_version", newer as i64).unwrap();
        let refused = require_readable(&db).unwrap_err().to_string();
        assert!(refused.contains(&format!(".before-{newer}")), "{refused}");
    }

    #[test]
    fn somebody_elses_database_is_left_alone() {
        let path = scratch("migrate-other").join("other.db");
        let mut db = Connection::open(&path).unwrap();
        db.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
        assert!(matches!(migrate(&mut db, &path, MIGRATIONS), Err(StoreError::Corrupt(_))));
        assert!(db.prepare("SELECT * FROM posting").is_err());
    }
}
