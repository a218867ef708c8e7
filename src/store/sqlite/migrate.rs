//! The schema's versions: forward only, each in a transaction, a copy of the file before the first that touches data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, TransactionBehavior};

use crate::failpoint;
use crate::store::StoreError;

/// «jifn», so that nobody else's database is taken for ours (<https://sqlite.org/pragma.html#pragma_application_id>).
const APPLICATION_ID: i64 = 0x6a69_666e;

/// The steps of the schema; the n-th (from 1) makes version n. Steps are only ever added.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_first.sql")];

/// Pages of one step of the copy.
const COPY_PAGES: i32 = 4096;

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
        copy(db, &beside(path, &format!(".before-{}", migrations.len())))?;
    }
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

fn schema_version(db: &Connection) -> Result<usize, StoreError> {
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, version, tables) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?, number("SELECT count(*) FROM sqlite_schema")?);
    if (application, version, tables) == (0, 0, 0) {
        return Ok(0);
    }
    if application != APPLICATION_ID {
        return Err(StoreError::Corrupt("这是别的程序的 SQLite 数据库,没有动它。请检查 jifen.toml 里的 database 是否写对了文件".into()));
    }
    usize::try_from(version).map_err(|_| StoreError::Corrupt(format!("数据库的结构版本是 {version},不可能")))
}

/// Copies the file while it is whole; the copy takes its name only when it is finished.
fn copy(db: &Connection, to: &Path) -> Result<(), StoreError> {
    let unfinished = beside(to, ".part");
    let mut target = Connection::open(&unfinished)?;
    Backup::new(db, &mut target)?.run_to_completion(COPY_PAGES, Duration::ZERO, None)?;
    target.close().map_err(|(_, error)| error)?;
    std::fs::rename(&unfinished, to).map_err(|error| StoreError::Aborted(format!("升级前的副本 {} 存不下来({error})。数据库没有动", to.display())))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::rows::tests::scratch;

    const SECOND: &str = "ALTER TABLE member ADD COLUMN joined_at INTEGER;";

    fn first(name: &str) -> (PathBuf, Connection) {
        let path = scratch(name).join("jifen.db");
        let mut db = Connection::open(&path).unwrap();
        migrate(&mut db, &path, MIGRATIONS).unwrap();
        db.execute("INSERT INTO member (id, corp) VALUES (1, 1)", []).unwrap();
        (path, db)
    }

    #[test]
    fn a_new_file_gets_the_schema_and_no_copy() {
        let (path, db) = first("migrate-new");
        assert_eq!(schema_version(&db).unwrap(), MIGRATIONS.len());
        assert!(!beside(&path, ".before-1").exists());
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
    fn a_step_that_fails_leaves_nothing_behind() {
        let (path, mut db) = first("migrate-fails");
        let broken = format!("{SECOND} INSERT INTO no_such_table VALUES (1);");
        assert!(migrate(&mut db, &path, &[MIGRATIONS[0], &broken]).is_err());
        assert_eq!(schema_version(&db).unwrap(), 1);
        assert!(db.prepare("SELECT joined_at FROM member").is_err());
    }

    #[test]
    fn a_newer_schema_is_refused_with_the_way_back() {
        let (path, mut db) = first("migrate-newer");
        migrate(&mut db, &path, &[MIGRATIONS[0], SECOND]).unwrap();
        let refused = require_readable(&db).unwrap_err().to_string();
        assert!(refused.contains(".before-2"), "{refused}");
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
