//! SQLite, the default store: one file, one writer, readers beside it.
//!
//! WAL with `synchronous=FULL`: a commit is on the disk before anybody is answered, one fsync for a whole batch. Checkpoints run
//! on a thread of their own, because in the writer they are the p99 of every commit.
//!
//! A file that is served ([`serving`]) is checked before, has a mark beside it that tells how far it had come, and a keeper that looks
//! after both; a [`guard::Guard`] breaks the writing off when the file is no longer what or where it was.

mod error;
mod migrate;
mod names;
mod day_keys;
pub mod day_key_file;
mod rows;
mod read;
mod proofs;
mod write;
mod checkpoint;
mod meta;
mod integrity;
mod mark;
pub mod guard;
mod keeper;
pub mod serving;
pub mod files;
pub mod copy;
pub mod restore;
pub mod lock;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use self::checkpoint::Checkpointer;
use self::day_keys::DayKeys;
use self::keeper::Keeper;
use self::names::Names;
use super::proof::{Proof, ProofKey};
use super::vault::Vault;
use super::{Batch, Directory, Head, IdentityRow, Loaded, Past, Store, StoreError, Wants};
use crate::failpoint;
use crate::model::cells::AccountCell;
use crate::model::event::Look;
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, RulesHash};

/// The oldest SQLite we trust with money: 3.51.3 repairs the WAL-reset bug (<https://sqlite.org/wal.html>, section 11).
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long a writer waits for another one (a verb of the command line beside the daemon), well within WeCom's 5 seconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Page cache of the writer, in KiB: holds the hot pages of a million accounts' active part.
const WRITER_CACHE_KIB: i64 = 16 * 1024;

/// Prepared statements kept by a connection: all we have, with room.
const STATEMENTS_MAX: usize = 64;

/// The writer's side of an SQLite file.
pub struct SqliteStore {
    // Leaves its last mark before anything closes. Only a file that is served has one.
    keeper: Option<Keeper>,
    // Stops before the connection closes, so that the last connection to close leaves no WAL behind.
    checkpointer: Checkpointer,
    db: Connection,
    vault: Vault,
    names: Names,
    day_keys: DayKeys,
    /// What `PRAGMA data_version` said last.
    data_version: i64,
}

impl SqliteStore {
    /// Opens or makes the file and brings its schema up to date; a non-empty file is copied beside itself before.
    ///
    /// Refuses (with a sentence that says what to do) a file that is no database or not ours, is read-only, was written by a newer
    /// program, or is sealed under another master key.
    pub fn open(path: &Path, vault: &Vault) -> Result<Self, StoreError> {
        open_writer(path, vault).and_then(|db| SqliteStore::over(path, vault, db, None)).map_err(|error| error::at(path, error))
    }

    fn over(path: &Path, vault: &Vault, db: Connection, keeper: Option<Keeper>) -> Result<Self, StoreError> {
        let guard = keeper.as_ref().map(|keeper| keeper.guard().clone());
        let checkpointer = Checkpointer::start(path, connect_beside(path)?, guard)?;
        let data_version = read::data_version(&db)?;
        Ok(SqliteStore { keeper, checkpointer, db, vault: vault.clone(), names: Names::default(), day_keys: DayKeys::default(), data_version })
    }
}

fn open_writer(path: &Path, vault: &Vault) -> Result<Connection, StoreError> {
    let mut db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if db.is_readonly(MAIN_DB)? {
        return Err(StoreError::Aborted("文件是只读的,记不了账。请让运行 jifen 的用户可以写它和它所在的目录".into()));
    }
    migrate::require_readable(&db)?;
    use_wal(&db)?;
    db.execute_batch(&format!("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0; PRAGMA cache_size = -{WRITER_CACHE_KIB};"))?;
    // A day key that is destroyed is overwritten, at no further write.
    db.execute_batch("PRAGMA secure_delete = FAST")?;
    migrate::migrate(&mut db, path, migrate::MIGRATIONS)?;
    check_vault(&mut db, vault)?;
    Ok(db)
}

impl Store for SqliteStore {
    fn begin(&mut self) -> Result<Head, StoreError> {
        self.keeper.as_ref().map_or(Ok(()), |keeper| keeper.guard().require_sound())?;
        self.checkpointer.enter();
        if failpoint::fails("ledger.begin") {
            self.abort();
            return Err(StoreError::Aborted("failpoint ledger.begin".into()));
        }
        let begun = begin(&self.db).and_then(|()| read::head(&self.db));
        if begun.is_err() {
            self.abort();
        }
        begun
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        read::directory(&self.db, &mut self.names)
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        read::admit(&self.db, &mut self.names, keys)
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        read::load(&self.db, &mut self.names, &self.vault, wants)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        read::account(&self.db, id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        read::past(&self.db, &mut self.names, seq)
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        proofs::proof(&self.db, key)
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        proofs::looks(&self.db, campaign)
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        read::contents(&self.db, &mut self.day_keys, &self.vault, seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        read::people_named(&self.db, &mut self.names, &self.vault, corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        read::rules_text(&self.db, hash)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let written = write::batch(&self.db, &mut self.names, &mut self.day_keys, &self.vault, batch).and_then(|()| commit(&self.db));
        if let Err(error) = written {
            self.abort();
            if let StoreError::Unknown(_) = &error {
                self.leave_wal();
            }
            return Err(error);
        }
        failpoint::hit("ledger.after_commit");
        self.names.keep();
        self.day_keys.keep();
        self.checkpointer.leave();
        self.checkpointer.mark_dirty();
        Ok(())
    }

    fn abort(&mut self) {
        self.names.forget_new();
        self.day_keys.forget_new();
        self.db_rollback();
        self.checkpointer.leave();
    }

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        let now = read::data_version(&self.db)?;
        Ok(std::mem::replace(&mut self.data_version, now) != now)
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.keeper.as_ref().is_some_and(|keeper| keeper.guard().is_broken()) {
            self.leave_wal();
        }
    }
}

impl SqliteStore {
    /// After a disk or a file failed, the WAL is what is sound: it is not moved into the file and removed, as who closes last does. The
    /// next start finds it.
    fn leave_wal(&self) {
        if let Err(error) = self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::error!(%error, "the -wal cannot be kept");
        }
    }

    /// SQLite rolls back by itself after some errors; what fails here is rolled back when the file is next opened.
    fn db_rollback(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "rollback failed");
        }
    }
}

fn begin(db: &Connection) -> Result<(), StoreError> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    Ok(())
}

/// COMMIT. A sync that fails here leaves open whether the batch is on the disk; any other error means that it is not.
fn commit(db: &Connection) -> Result<(), StoreError> {
    if failpoint::fails("ledger.before_commit") {
        return Err(StoreError::Aborted("failpoint ledger.before_commit".into()));
    }
    match db.prepare_cached("COMMIT")?.execute([]) {
        Ok(_) => Ok(()),
        Err(error) if error::is_unsure(&error) => {
            Err(StoreError::Unknown(format!("提交时磁盘出错({error}),不知道这一批有没有写进去。请停下检查磁盘,再启动;没有回 200 的消息企业微信会再送一次")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Everybody else's side of an SQLite file: a read-only connection of its own.
pub struct SqliteReader {
    db: Connection,
    vault: Vault,
    names: RefCell<Names>,
    day_keys: RefCell<DayKeys>,
}

impl SqliteReader {
    /// Opens an existing file for reading. Refuses what [`SqliteStore::open`] refuses, and a schema older than this program's.
    pub fn open(path: &Path, vault: &Vault) -> Result<Self, StoreError> {
        open_reader(path, vault).map_err(|error| error::at(path, error))
    }
}

fn open_reader(path: &Path, vault: &Vault) -> Result<SqliteReader, StoreError> {
    if !path.exists() {
        return Err(StoreError::Aborted("没有这个文件。请检查 jifen.toml 里的 database,或先运行一次 jifen serve".into()));
    }
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    db.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0;")?;
    migrate::require_current(&db)?;
    require_vault(&db, vault)?;
    Ok(SqliteReader { db, vault: vault.clone(), names: RefCell::default(), day_keys: RefCell::default() })
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(StoreError::Aborted(format!("SQLite {} 太旧,需要 3.51.3 以上;请用随程序编译的 SQLite", rusqlite::version())));
    }
    if path.is_dir() {
        return Err(StoreError::Aborted("这是一个目录,不是数据库文件。请检查名字写对了没有".into()));
    }
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Otherwise STAT4 plans a cached statement anew whenever its parameters change (<https://sqlite.org/queryplanner-ng.html#qpstab>).
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(db)
}

/// A connection of a thread beside the writer, who closes last.
fn connect_beside(path: &Path) -> Result<Connection, StoreError> {
    let db = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

fn use_wal(db: &Connection) -> Result<(), StoreError> {
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode == "wal" {
        return Ok(());
    }
    Err(StoreError::Aborted(format!("数据库不能改用 WAL 日志(现在是 {mode})。请把它放在本机磁盘上,不要放在网络盘里")))
}

fn check_vault(db: &mut Connection, vault: &Vault) -> Result<(), StoreError> {
    db.execute("INSERT INTO meta (key, value) SELECT 'vault', ?1 WHERE (SELECT event FROM shard) = 0 ON CONFLICT DO NOTHING", [vault.check()])?;
    require_vault(db, vault)
}

fn require_vault(db: &Connection, vault: &Vault) -> Result<(), StoreError> {
    let known: Vec<Vec<u8>> = db.prepare("SELECT value FROM meta WHERE key = 'vault'")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if known.first().is_some_and(|known| known == vault.check()) {
        return Ok(());
    }
    Err(StoreError::Aborted("主密钥和这个数据库不是一对,里面的文字打不开。请在 jifen.toml 的 [keys] master 里换回原来的主密钥".into()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::rows::tests::scratch;
    use super::*;
    use crate::model::ids::{CampaignId, RulesHash};
    use crate::store::Reader;

    const CAMPAIGN: CampaignId = CampaignId(1);

    fn open(name: &str) -> (std::path::PathBuf, SqliteStore) {
        let path = scratch(name).join("jifen.db");
        let store = SqliteStore::open(&path, &Vault::new([7; 32])).unwrap();
        (path, store)
    }

    #[test]
    fn a_full_disk_aborts_the_batch_and_room_lets_it_through() {
        let (_, mut store) = open("full");
        let rules: Arc<str> = "#".repeat(1 << 20).into();
        let head = store.begin().unwrap();
        let batch = Batch { head, rules: vec![(RulesHash::of(&rules), rules)], ..Batch::default() };
        store.db.execute_batch("PRAGMA max_page_count = 100").unwrap();
        let refused = store.commit(&batch).unwrap_err();
        assert!(matches!(&refused, StoreError::Aborted(text) if text.contains("磁盘满了")), "{refused}");

        store.db.execute_batch("PRAGMA max_page_count = 100000").unwrap();
        store.begin().unwrap();
        store.commit(&batch).unwrap();
    }

    #[test]
    fn a_number_given_out_in_a_failed_batch_is_given_out_again() {
        let (path, mut store) = open("names");
        let head = store.begin().unwrap();
        let campaign = (CAMPAIGN, "acme".into(), "main".into());
        let twice = Batch { head: head.clone(), campaigns: vec![campaign.clone(), campaign.clone()], ..Batch::default() };
        assert!(matches!(store.commit(&twice), Err(StoreError::Corrupt(_))));
        store.begin().unwrap();
        store.commit(&Batch { head, campaigns: vec![campaign], ..Batch::default() }).unwrap();

        let reader = SqliteReader::open(&path, &Vault::new([7; 32])).unwrap();
        assert_eq!(reader.directory().unwrap().campaigns.get(&("acme".into(), "main".into())), Some(&CAMPAIGN));
    }

    #[test]
    fn commits_are_on_the_disk_and_nothing_is_mapped() {
        let (_, store) = open("pragmas");
        let pragma = |name: &str| store.db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("wal_autocheckpoint"), pragma("mmap_size"), pragma("cache_size")), (2, 0, 0, -WRITER_CACHE_KIB));
    }

    #[test]
    fn the_last_to_close_leaves_one_file() {
        let (path, mut store) = open("closed");
        let head = store.begin().unwrap();
        store.commit(&Batch { head, campaigns: vec![(CAMPAIGN, "acme".into(), "main".into())], ..Batch::default() }).unwrap();
        drop(store);
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["jifen.db"]);
    }
}
