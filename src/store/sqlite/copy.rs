//! Copying a database while others write it.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::files::{self, Part, beside};
use super::{connect, day_key_file, error, integrity, migrate};
use crate::failpoint;
use crate::store::StoreError;

/// Pages of one step, 4 MiB: often enough to tell how far it is.
const STEP_PAGES: i32 = 1_024;

/// Told after each step: pages that are still to copy, and pages in all.
pub type Progress<'a> = &'a mut dyn FnMut(i32, i32);

/// Copies the database at `from` as it is at this moment into `part`, as one file that needs no other beside it. Neither the
/// writer nor readers wait for it; the WAL of `from` cannot begin again meanwhile.
///
/// # Errors
/// `from` is not ours, was written by a newer program or is damaged; there is no room; `part` cannot be written.
pub fn copy(from: &Path, part: &Part, progress: Progress<'_>) -> Result<(), StoreError> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| migrate::require_readable(&db).map(|()| db));
    copy_open(&source.map_err(|error| error::at(from, error))?, part, progress).map_err(|error| error::at(part.path(), error))
}

/// Copies a database that is open and in no transaction.
pub(super) fn copy_open(from: &Connection, part: &Part, progress: Progress<'_>) -> Result<(), StoreError> {
    let mut target = Connection::open(part.path())?;
    // It is synced once, when it is whole.
    target.execute_batch("PRAGMA synchronous = OFF")?;
    // Without a moment of its own the copy would begin again with every commit of somebody else
    // (<https://sqlite.org/c3ref/backup_finish.html#sqlite3backupstep>).
    let moment = from.unchecked_transaction()?;
    moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))?;
    steps(&moment, &mut target, progress)?;
    moment.commit()?;
    let mode: String = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(StoreError::Aborted(format!("副本不能合成一个文件(现在是 {mode})")));
    }
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

fn steps(from: &Connection, target: &mut Connection, progress: Progress<'_>) -> Result<(), StoreError> {
    let backup = Backup::new(from, target)?;
    loop {
        let step = backup.step(STEP_PAGES)?;
        failpoint::hit("backup.page");
        let at = backup.progress();
        progress(at.remaining, at.pagecount);
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => return Err(StoreError::Aborted("数据库正被别的程序锁着,拷不了。稍后再试".into())),
        }
    }
}

/// Makes a copy a backup: takes its day keys out, and refuses it when its pages do not hang together.
///
/// # Errors
/// See [`copy`].
pub fn finish(part: &Part) -> Result<(), StoreError> {
    let sound = connect(part.path(), OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| integrity::require_sound(&db));
    sound.and_then(|()| day_key_file::take_out(part.path())).map_err(|error| error::at(part.path(), error))
}

/// Notes beside a database that it was backed up now.
///
/// # Errors
/// The note cannot be written.
pub fn note_backup(database: &Path) -> io::Result<()> {
    files::write(&note_of(database), Timestamp::now().to_string().as_bytes())
}

/// Where [`note_backup`] writes; how old the file is, the last backup is.
pub(super) fn note_of(database: &Path) -> PathBuf {
    beside(database, ".backed-up")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::rows::tests::scratch;

    #[test]
    fn a_copy_is_of_one_moment_though_others_go_on_writing() {
        let path = scratch("copy").join("some.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(20000000))").unwrap();
        let part = Part::begin(beside(&path, ".part")).unwrap();
        let mut steps = 0;
        let reader = Connection::open(&path).unwrap();
        let mut write = |_, _| {
            steps += 1;
            writer.execute("INSERT INTO t VALUES (zeroblob(1000))", []).unwrap();
        };
        copy_open(&reader, &part, &mut write).unwrap();
        assert!(steps > 3, "{steps}");
        let copy = Connection::open(part.path()).unwrap();
        assert_eq!(copy.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
        assert_eq!(copy.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap(), "delete");
        drop(copy);
        let unfinished = part.path().to_owned();
        drop(part);
        assert!(!unfinished.exists(), "what is not put in place goes");
    }
}
