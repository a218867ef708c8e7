//! Putting a backup in the place of a database: all is done and checked on a copy beside it before anything is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::copy::{self, Progress};
use super::day_key_file::{self, Found};
use super::files::{self, Part, SIDES, beside};
use super::mark::Mark;
use super::{connect, error, integrity, meta, migrate, require_vault};
use crate::store::StoreError;
use crate::store::vault::Vault;

/// A backup that is ready to take a database's place. Dropped, it never was.
#[derive(Debug)]
pub struct Prepared {
    part: Part,
    database: PathBuf,
    restored: Mark,
    present: Present,
    day_keys: Found,
}

/// What stands where the backup is to go.
#[derive(Debug)]
enum Present {
    /// Nothing.
    Nothing,
    /// A file that cannot be read, and why.
    Unreadable(String),
    /// A database of ours.
    At(Mark),
}

impl Prepared {
    /// Copies a backup beside the database, checks that it is ours, whole and of this key, brings its schema up to date and, unless
    /// nothing is lost by it, begins a new epoch in it with the outbox held. `file` and the database stay as they are.
    ///
    /// What the rows say is not checked: see `verify`.
    ///
    /// # Errors
    /// Something is wrong with `file` or, if it is somebody else's, with what stands in its place.
    pub fn begin(file: &Path, database: &Path, vault: &Vault, progress: Progress<'_>) -> Result<Prepared, StoreError> {
        if files::is_same(file, database) {
            return Err(error::at(file, StoreError::Aborted("这就是正在用的数据库,不是备份".into())));
        }
        let part = Part::begin(beside(database, ".restoring")).map_err(|error| unwritable(database, &error))?;
        copy::copy(file, &part, progress)?;
        let present = Present::look(database)?;
        let last_mark = Mark::beside(database).map(|(_, mark)| mark);
        let mut db = require_backup(&part, vault).map_err(|error| error::at(file, error))?;
        let day_keys = day_key_file::put_back(&mut db, database)?;
        let restored = begin_epoch(&mut db, &present, last_mark.as_ref())?;
        Ok(Prepared { part, database: database.to_owned(), restored, present, day_keys })
    }

    /// The copy, to be looked at.
    pub fn path(&self) -> &Path {
        self.part.path()
    }

    /// Events that the present database has and the backup lacks.
    pub fn events_lost(&self) -> i64 {
        match &self.present {
            Present::At(present) => (present.event.0 - self.restored.event.0).max(0),
            Present::Nothing | Present::Unreadable(_) => 0,
        }
    }

    /// Why the present database cannot be read, if there is one that cannot.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.present {
            Present::Unreadable(why) => Some(why),
            Present::Nothing | Present::At(_) => None,
        }
    }

    /// How many of the day keys that the backup was sealed under came back; texts of the others stay unreadable.
    pub fn day_keys(&self) -> Found {
        self.day_keys
    }

    /// Puts the copy in the database's place. The caller holds the database's lock. Answers with where the present one is kept.
    ///
    /// At every moment, a crash included, the database's name leads to the present one or to the restored one, whole.
    ///
    /// # Errors
    /// Nothing was replaced.
    pub fn swap(self) -> Result<Option<PathBuf>, StoreError> {
        let Prepared { part, database, restored, present, day_keys: _ } = self;
        let failed = |error: io::Error| unwritable(&database, &error);
        let kept = match present {
            Present::Nothing => None,
            Present::Unreadable(_) => Some(free_name(&database, "unreadable")),
            Present::At(mark) => {
                settle(&database);
                Some(free_name(&database, &mark.event.to_string()))
            }
        };
        if let Some(kept) = &kept {
            part.resemble(&database).map_err(failed)?;
            keep(&database, kept).map_err(failed)?;
        }
        part.put_in_place(&database).map_err(failed)?;
        if let Err(error) = restored.put_beside(&database) {
            // The mark of an epoch before is no complaint.
            tracing::warn!(%error, "the mark beside the database cannot be written");
        }
        Ok(kept)
    }
}

impl Present {
    fn look(database: &Path) -> Result<Present, StoreError> {
        // The lock makes an empty file where there is none.
        if fs::metadata(database).map_or(0, |file| file.len()) == 0 {
            return Ok(Present::Nothing);
        }
        let looked = connect(database, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| {
            migrate::require_readable(&db)?;
            Mark::of(&db)
        });
        match looked {
            Ok(mark) => Ok(Present::At(mark)),
            Err(error @ StoreError::Corrupt(_)) => Err(error::at(database, error)),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Ok(Present::Unreadable(error.to_string())),
        }
    }
}

/// Opens a copied backup, after it proved to be one, under the present schema.
fn require_backup(part: &Part, vault: &Vault) -> Result<Connection, StoreError> {
    let mut db = connect(part.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if migrate::schema_version(&db)? == 0 {
        return Err(StoreError::Aborted("这个文件是空的,不是备份".into()));
    }
    integrity::require_sound(&db)?;
    require_vault(&db, vault)?;
    migrate::upgrade(&mut db, migrate::MIGRATIONS)?;
    Ok(db)
}

/// Begins a new epoch in the backup unless it is as far as the present database; answers with how far it has come.
fn begin_epoch(db: &mut Connection, present: &Present, last_mark: Option<&Mark>) -> Result<Mark, StoreError> {
    let backup = Mark::of(db)?;
    let present = match present {
        Present::At(mark) => Some(mark),
        Present::Nothing | Present::Unreadable(_) => None,
    };
    if present == Some(&backup) {
        return Ok(backup);
    }
    let epoch = [present, last_mark].into_iter().flatten().map(|mark| mark.epoch).fold(backup.epoch, u64::max) + 1;
    let transaction = db.transaction()?;
    meta::begin_epoch(&transaction, epoch)?;
    transaction.commit()?;
    Mark::of(db)
}

/// Moves what is in the WAL into the file, so that one file is all of it. What cannot be moved is kept with its WAL.
fn settle(database: &Path) {
    let settled = connect(database, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|db| Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?));
    if !matches!(settled, Ok(false)) {
        tracing::warn!("the present database is kept together with its -wal");
    }
}

/// Gives the present database a second name, and takes from its first what belongs to it.
fn keep(database: &Path, kept: &Path) -> io::Result<()> {
    // A file system without hard links leaves the name free for a moment.
    fs::hard_link(database, kept).or_else(|_| fs::rename(database, kept))?;
    for side in SIDES {
        let from = beside(database, side);
        if from.exists() {
            fs::rename(from, beside(kept, side))?;
        }
    }
    Ok(())
}

fn free_name(database: &Path, which: &str) -> PathBuf {
    let name = |number: u32| match number {
        1 => beside(database, &format!(".before-restore-{which}")),
        _ => beside(database, &format!(".before-restore-{which}-{number}")),
    };
    (1..).map(name).find(|path| !path.exists()).expect("some number is free")
}

fn unwritable(database: &Path, error: &io::Error) -> StoreError {
    error::at(database, StoreError::Aborted(format!("换不成({error})。请检查所在目录的空间和权限;数据库没有动")))
}
