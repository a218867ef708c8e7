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
use crate::model::ids::EventSeq;
use crate::store::StoreError;
use crate::store::vault::Vault;

/// A backup that is ready to take a database's place. Dropped, it never was.
#[derive(Debug)]
pub struct Prepared {
    part: Part,
    database: PathBuf,
    restored: Mark,
    present: Present,
    seen: Option<EventSeq>,
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
        let seen = [present.mark(), last_mark.as_ref()].into_iter().flatten().map(|mark| mark.event).max();
        Ok(Prepared { part, database: database.to_owned(), restored, present, seen, day_keys })
    }

    /// The copy, to be looked at.
    pub fn path(&self) -> &Path {
        self.part.path()
    }

    /// The newest event that was ever seen in this place, and how many the backup lacks of those up to it; `None` if it lacks none.
    pub fn events_lost(&self) -> Option<(EventSeq, i64)> {
        self.seen.map(|seen| (seen, seen.0 - self.restored.event.0)).filter(|(_, lost)| *lost > 0)
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
        let Prepared { part, database, restored, present, seen: _, day_keys: _ } = self;
        let failed = |error: io::Error| unwritable(&database, &error);
        let kept = match present {
            Present::Nothing => free_name(&database, "nothing"),
            Present::Unreadable(_) => free_name(&database, "unreadable"),
            Present::At(mark) => {
                settle(&database);
                free_name(&database, &mark.event.to_string())
            }
        };
        if database.exists() {
            part.resemble(&database).map_err(failed)?;
        }
        let has_kept = keep(&database, &kept).map_err(failed)?;
        part.put_in_place(&database).map_err(failed)?;
        if let Err(error) = restored.put_beside(&database) {
            // The mark of an epoch before is no complaint.
            tracing::warn!(%error, "the mark beside the database cannot be written");
        }
        Ok(has_kept.then_some(kept))
    }
}

impl Present {
    fn mark(&self) -> Option<&Mark> {
        match self {
            Present::At(mark) => Some(mark),
            Present::Nothing | Present::Unreadable(_) => None,
        }
    }

    fn look(database: &Path) -> Result<Present, StoreError> {
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
    let present = present.mark();
    let has_all = last_mark.is_none_or(|mark| mark.event <= backup.event);
    if has_all && present == Some(&backup) {
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

/// Gives the present database a second name, and takes from its first what belongs to it. Answers with whether there was any.
fn keep(database: &Path, kept: &Path) -> io::Result<bool> {
    let is_there = database.exists();
    if is_there {
        // A file system without hard links leaves the name free for a moment.
        fs::hard_link(database, kept).or_else(|_| fs::rename(database, kept))?;
    }
    // Sides without a database too: they would be taken for those of the restored one.
    let sides: Vec<&str> = SIDES.into_iter().filter(|side| beside(database, side).exists()).collect();
    for side in &sides {
        fs::rename(beside(database, side), beside(kept, side))?;
    }
    Ok(is_there || !sides.is_empty())
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
