//! Checkpoints, on a thread and a connection of their own: moving WAL pages into the file inside the writer is what makes commits slow.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::error::is_unsure;
use super::files::beside;
use super::guard::Guard;
use crate::store::StoreError;

/// Between checkpoints while commits go on: long enough to gather pages written twice, short enough to keep the WAL small.
const EVERY: Duration = Duration::from_millis(200);

/// Above this the file is cut back to nothing: after a long reader it would stay as long as its longest moment.
const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Above so many frames (16 MiB) the WAL should begin again from its start, which it does with the first batch after everything was
/// moved. Under constant load that moment never comes by itself, and a file that is written over syncs faster than one that grows.
const BEGIN_AGAIN_FRAMES: i64 = 4_096;

/// The writer stands still for the last pass, so it is made only when hardly more than this is left to move: 1 MiB of pages. (A long
/// reader keeps more from being moved, and no last pass would succeed.)
const LEFT_FRAMES_MAX: i64 = 256;

/// Passes over what came in during the pass before; each is shorter than the last.
const PASSES_MAX: usize = 6;

/// A reader in the way of a cut is waited for this long only; the next round tries again.
const CUT_TIMEOUT: Duration = Duration::from_millis(50);

/// The thread; it ends when this is dropped.
pub(super) struct Checkpointer {
    signal: Arc<Signal>,
    gate: Arc<Gate>,
    thread: Option<JoinHandle<()>>,
}

/// Lets the writer's batches and the last pass of a checkpoint take turns. SQLite's own lock would do, but who waits for it sleeps for
/// milliseconds between two looks.
#[derive(Default)]
struct Gate {
    turn: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Default)]
struct Turn {
    writing: bool,
    held: bool,
}

impl Gate {
    fn enter(&self) {
        let free = self.changed.wait_while(self.turn(), |turn| turn.held);
        free.unwrap_or_else(PoisonError::into_inner).writing = true;
    }

    fn leave(&self) {
        let mut turn = self.turn();
        turn.writing = false;
        if turn.held {
            self.changed.notify_all();
        }
    }

    /// Keeps the writer out while `work` is done.
    fn hold<T>(&self, work: impl FnOnce() -> T) -> T {
        self.turn().held = true;
        drop(self.changed.wait_while(self.turn(), |turn| turn.writing));
        let done = work();
        self.turn().held = false;
        self.changed.notify_all();
        done
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    dirty: bool,
    stop: bool,
}

impl Checkpointer {
    /// Starts the thread; `db` is its own connection to the file at `path`. A disk that fails here breaks off the writing.
    pub(super) fn start(path: &Path, db: Connection, guard: Option<Guard>) -> Result<Self, StoreError> {
        db.busy_timeout(CUT_TIMEOUT)?;
        let (signal, gate) = (Arc::new(Signal::default()), Arc::new(Gate::default()));
        let wal = beside(path, "-wal");
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn({
            let (signal, gate) = (signal.clone(), gate.clone());
            move || run(&signal, &db, &wal, &gate, guard.as_ref())
        });
        let thread = thread.map_err(|error| StoreError::Aborted(format!("系统不让再开线程({error})")))?;
        Ok(Checkpointer { signal, gate, thread: Some(thread) })
    }

    /// A batch begins: waits for the last pass of a checkpoint.
    pub(super) fn enter(&self) {
        self.gate.enter();
    }

    /// The batch is over. Calling it twice does no harm.
    pub(super) fn leave(&self) {
        self.gate.leave();
    }

    /// Something was committed.
    pub(super) fn mark_dirty(&self) {
        let mut state = self.signal.lock();
        if !state.dirty {
            state.dirty = true;
            self.signal.changed.notify_one();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.signal.lock().stop = true;
        self.signal.changed.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something is dirty and the pause is over; `false` when it is time to stop.
    fn wait(&self) -> bool {
        let waited = self.changed.wait_while(self.lock(), |state| !state.dirty && !state.stop);
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let paused = self.changed.wait_timeout_while(state, EVERY, |state| !state.stop);
        let (mut state, _) = paused.unwrap_or_else(PoisonError::into_inner);
        state.dirty = false;
        !state.stop
    }
}

fn run(signal: &Signal, db: &Connection, wal: &Path, gate: &Gate, guard: Option<&Guard>) {
    while signal.wait() {
        let Err(error) = checkpoint(db, wal, gate) else { continue };
        let is_unsure = is_unsure(&error);
        let error = StoreError::from(error);
        tracing::warn!(%error, "checkpoint failed, the next one tries again");
        if let Some(guard) = guard {
            tell(guard, &error, is_unsure);
        }
    }
}

/// Breaks off after a sync that failed: a second one would say that all is well (<https://lwn.net/Articles/752063/>). After any other error
/// the WAL still has everything.
fn tell(guard: &Guard, error: &StoreError, is_unsure: bool) {
    // A file that was taken away fails too, and is called by its name.
    if guard.look() && is_unsure {
        guard.break_off(format!("把 -wal 并入数据库时出错:{error}"));
    }
}

fn checkpoint(db: &Connection, wal: &Path, gate: &Gate) -> rusqlite::Result<()> {
    let wal_bytes = std::fs::metadata(wal).map_or(0, |wal| wal.len());
    let mut moved = pass(db, "PASSIVE")?;
    if moved.frames <= BEGIN_AGAIN_FRAMES && wal_bytes <= WAL_BYTES_MAX {
        return Ok(());
    }
    for _ in 1..PASSES_MAX {
        if moved.left() <= LEFT_FRAMES_MAX {
            return gate.hold(|| pass(db, if wal_bytes > WAL_BYTES_MAX { "TRUNCATE" } else { "PASSIVE" })).map(|_| ());
        }
        moved = pass(db, "PASSIVE")?;
    }
    Ok(())
}

/// What a checkpoint found: frames in the WAL, and how many of them are in the file now.
struct Moved {
    frames: i64,
    moved: i64,
}

impl Moved {
    fn left(&self) -> i64 {
        self.frames - self.moved
    }
}

fn pass(db: &Connection, mode: &str) -> rusqlite::Result<Moved> {
    db.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok(Moved { frames: row.get(1)?, moved: row.get(2)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::rows::tests::scratch;

    #[test]
    fn an_overgrown_wal_is_cut_unless_a_reader_needs_it() {
        let path = scratch("checkpoint").join("some.db");
        let wal = path.with_extension("db-wal");
        let open = || Connection::open(&path).unwrap();
        let (writer, reader, own) = (open(), open(), open());
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (b BLOB)").unwrap();
        reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
        writer.execute("INSERT INTO t VALUES (zeroblob(?1))", [WAL_BYTES_MAX as i64]).unwrap();
        checkpoint(&own, &wal, &Gate::default()).unwrap();
        assert!(std::fs::metadata(&wal).unwrap().len() > WAL_BYTES_MAX, "the reader still needs it");
        reader.execute_batch("COMMIT").unwrap();
        checkpoint(&own, &wal, &Gate::default()).unwrap();
        assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
    }
}
