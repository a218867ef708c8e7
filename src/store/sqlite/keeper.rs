//! The keeper of a served file: a thread that looks once a second whether the database is still what and where it was, writes the
//! high-water mark and the file of day keys, and checks the pages once a day and when somebody
//! has reason to doubt them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, InterruptHandle};

use super::files::beside;
use super::guard::Guard;
use super::integrity::{self, Checked};
use super::mark::Mark;
use super::{copy, day_key_file, error};
use crate::store::StoreError;

/// Between two looks: as much history as may be lost unnoticed, and no more than a stat and one small file.
const EVERY: Duration = Duration::from_secs(1);

/// Between two checks of all pages that nobody asked for: pages that nobody reads rot unnoticed.
const CHECK_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Between two interrupts of a check, when the daemon stops.
const INTERRUPT_AGAIN: Duration = Duration::from_millis(5);

/// A WAL that stays above this cannot begin again: somebody has been reading for long. Above the size at which it is cut.
const WAL_BYTES_LARGE: u64 = 128 * 1024 * 1024;

/// The thread; it ends, with a last mark, when this is dropped.
pub(super) struct Keeper {
    guard: Guard,
    shared: Arc<Shared>,
    interrupt: InterruptHandle,
    thread: Option<JoinHandle<()>>,
}

/// What a start found out already.
pub(super) struct Known {
    /// Whether the pages were checked, or are the first thing to check.
    pub(super) checked: Checked,
    /// The mark that stands beside the database.
    pub(super) mark: Option<Mark>,
}

#[derive(Default)]
struct Shared {
    stop: Mutex<bool>,
    stopped: Condvar,
    /// A check of all pages is under way; it must not keep a daemon from stopping.
    checking: AtomicBool,
}

impl Keeper {
    /// Starts the thread; `db` is its own connection to the file at `path`.
    pub(super) fn start(path: &Path, db: Connection, guard: Guard, known: Known) -> Result<Keeper, StoreError> {
        let (shared, interrupt) = (Arc::new(Shared::default()), db.get_interrupt_handle());
        let round = Round {
            path: path.to_owned(),
            db,
            guard: guard.clone(),
            is_check_due: known.checked == Checked::Later,
            damage_met: error::damage_met(),
            checked: Instant::now(),
            mark: known.mark,
            day_keys: None,
            is_large: false,
            is_mute: false,
            is_closed: false,
        };
        let thread = std::thread::Builder::new().name("keeper".into()).spawn({
            let shared = shared.clone();
            move || run(&shared, round)
        });
        let thread = thread.map_err(|error| StoreError::Aborted(format!("系统不让再开线程({error})")))?;
        Ok(Keeper { guard, shared, interrupt, thread: Some(thread) })
    }

    /// The guard it keeps.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopped.notify_one();
        let Some(thread) = self.thread.take() else { return };
        // An interrupt is heard by a check that runs, not by one that is about to.
        while self.shared.checking.load(Ordering::SeqCst) && !thread.is_finished() {
            self.interrupt.interrupt();
            std::thread::sleep(INTERRUPT_AGAIN);
        }
        if thread.join().is_err() {
            tracing::error!("the keeper thread panicked");
        }
    }
}

fn run(shared: &Shared, mut round: Round) {
    loop {
        round.go(shared);
        let stop = shared.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = shared.stopped.wait_timeout_while(stop, EVERY, |stop| !*stop);
        if *waited.unwrap_or_else(PoisonError::into_inner).0 {
            return round.close();
        }
    }
}

/// What a look needs, and what the looks before it said already.
struct Round {
    path: PathBuf,
    db: Connection,
    guard: Guard,
    is_check_due: bool,
    damage_met: u64,
    checked: Instant,
    mark: Option<Mark>,
    day_keys: Option<(i64, i64)>,
    is_large: bool,
    is_mute: bool,
    is_closed: bool,
}

impl Round {
    fn go(&mut self, shared: &Shared) {
        if self.is_closed {
            return;
        }
        if !self.guard.look() || self.guard.is_broken() {
            return self.close();
        }
        if error::damage_met() > self.damage_met {
            self.check(shared, |db| integrity::require_sound(db).and_then(|()| integrity::require_sound_indexes(db)));
        } else if self.is_check_due || self.checked.elapsed() > CHECK_EVERY {
            self.check(shared, integrity::require_sound);
        }
        self.note();
        self.measure();
    }

    /// Leaves what the next start needs to know whether the file that is there then is the one that was served.
    fn close(&mut self) {
        self.is_closed = true;
        self.note();
        if !self.guard.look() {
            self.leave_no_wal();
        }
    }

    /// The WAL of a file that lost its name must not be taken for the WAL of the file that has it now.
    fn leave_no_wal(&self) {
        let cut = self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
        if !matches!(cut, Ok(false)) {
            tracing::error!(?cut, "the last commits could not be moved out of the -wal");
        }
    }

    fn check(&mut self, shared: &Shared, require_sound: impl FnOnce(&Connection) -> Result<(), StoreError>) {
        let began = Instant::now();
        self.checked = began;
        shared.checking.store(true, Ordering::SeqCst);
        let checked = require_sound(&self.db);
        (self.is_check_due, self.damage_met) = (false, error::damage_met());
        shared.checking.store(false, Ordering::SeqCst);
        let duration_ms = began.elapsed().as_millis() as u64;
        match checked {
            Ok(()) => tracing::info!(duration_ms, "the database file is whole"),
            Err(StoreError::Damaged(why)) => self.guard.break_off(why),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Corrupt(_))) => {
                tracing::warn!(%error, duration_ms, "the check of the database file did not come to its end");
            }
        }
    }

    fn note(&mut self) {
        let noted = self.write_notes();
        if let (Err(error), false) = (&noted, self.is_mute) {
            tracing::warn!(%error, "what stands beside the database cannot be brought up to date");
        }
        self.is_mute = noted.is_err();
    }

    /// The mark and the day keys, where they are not up to date: a day that is destroyed goes from the file within a second.
    fn write_notes(&mut self) -> Result<(), StoreError> {
        let mark = Mark::of(&self.db)?;
        if self.mark.as_ref() != Some(&mark) {
            mark.put_beside(&self.path)?;
            self.mark = Some(mark);
        }
        let version = day_key_file::version(&self.db)?;
        if self.day_keys != Some(version) {
            day_key_file::put_beside(&self.db, &self.path)?;
            self.day_keys = Some(version);
        }
        Ok(())
    }

    fn measure(&mut self) {
        let wal_bytes = std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |wal| wal.len());
        metrics::gauge!("jifen_wal_bytes").set(wal_bytes as f64);
        if wal_bytes > WAL_BYTES_LARGE && !self.is_large {
            tracing::warn!(wal_bytes, "-wal 收不回去:有程序一直开着数据库在读(备份、verify、导出或 sqlite3)。不影响记账,读完就好");
        }
        self.is_large = wal_bytes > WAL_BYTES_LARGE;
        let backed_up = std::fs::metadata(copy::note_of(&self.path)).and_then(|note| note.modified()).ok();
        if let Some(age) = backed_up.and_then(|at| SystemTime::now().duration_since(at).ok()) {
            metrics::gauge!("jifen_backup_age_seconds").set(age.as_secs_f64());
        }
    }
}
