//! Opening a file to serve it: what a daemon asks of its database beyond what every writer asks.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::files::beside;
use super::guard::Guard;
use super::integrity;
use super::keeper::{Keeper, Known};
use super::mark::Mark;
use super::{SqliteStore, connect, connect_beside, error, meta, migrate, open_writer};
use crate::store::StoreError;
use crate::store::vault::Vault;

/// What to do with a database that lacks some of the history it once had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loss {
    /// Do not serve it.
    #[default]
    Refuse,
    /// Go on from where it stands, in a new epoch, with the outbox held.
    Accept,
}

impl SqliteStore {
    /// Opens a file that the caller holds the lock of, to serve it: its pages are checked before anything is written (a very large
    /// file beside the serving), its history is compared with the mark beside it, and from now on a keeper looks after it.
    ///
    /// Refuses what [`SqliteStore::open`] refuses, a damaged file, and one that fell behind its mark unless that loss is accepted.
    pub fn open_to_serve(path: &Path, vault: &Vault, loss: Loss) -> Result<(Self, Guard), StoreError> {
        open_to_serve(path, vault, loss).map_err(|error| error::at(path, error))
    }
}

fn open_to_serve(path: &Path, vault: &Vault, loss: Loss) -> Result<(SqliteStore, Guard), StoreError> {
    integrity::warn_of_place(path);
    let looked = look(path)?;
    if let (Loss::Refuse, Some(lost)) = (loss, &looked.lost) {
        return Err(StoreError::Aborted(format!(
            "数据库比它旁边的记号旧。{}。可能是 -wal 文件被删或损坏,也可能是拷来了旧文件。请把原来的文件放回来,或用 jifen restore 恢复备份;\
             确定就从这里继续,用 jifen serve --accept-loss 启动:会开始新的纪元,并扣住发件箱,直到 jifen outbox release",
            lost.told
        )));
    }
    let mut db = open_writer(path, vault)?;
    if let Some(lost) = looked.lost {
        accept(&mut db, &lost)?;
    }
    let guard = Guard::over(path)?;
    let keeper = Keeper::start(path, connect_beside(path)?, guard.clone(), looked.known)?;
    Ok((SqliteStore::over(path, vault, db, Some(keeper))?, guard))
}

/// What a look at a file finds before it is opened for writing.
struct Looked {
    known: Known,
    lost: Option<Lost>,
}

/// History that is gone.
struct Lost {
    epoch: u64,
    told: String,
}

/// Looks without changing anything: even the WAL stays as it is, for who may still find something in it. Only what was under way while
/// the file was made a WAL database is rolled back: as long as it is not, nobody can read the file.
fn look(path: &Path) -> Result<Looked, StoreError> {
    let is_half_made = beside(path, "-journal").exists();
    let db = connect(path, if is_half_made { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY })?;
    migrate::require_readable(&db)?;
    let checked = integrity::at_start(path, &db)?;
    let Some((at, mark)) = Mark::beside(path) else { return Ok(Looked { known: Known { checked, mark: None }, lost: None }) };
    let told = mark.complaint(&db, at)?;
    Ok(Looked { lost: told.map(|told| Lost { epoch: mark.epoch, told }), known: Known { checked, mark: Some(mark) } })
}

fn accept(db: &mut Connection, lost: &Lost) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let epoch = meta::epoch(&transaction)?.max(lost.epoch) + 1;
    meta::begin_epoch(&transaction, epoch)?;
    transaction.commit()?;
    tracing::warn!(epoch, lost = lost.told, "the loss was accepted: a new epoch begins, the outbox is held");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::ids::{CampaignId, EventSeq};
    use crate::store::sqlite::SqliteReader;
    use crate::store::sqlite::rows::tests::scratch;
    use crate::store::{Batch, Reader, Store};

    fn vault() -> Vault {
        Vault::new([7; 32])
    }

    fn serve(path: &Path, loss: Loss) -> Result<SqliteStore, StoreError> {
        std::fs::File::options().create(true).append(true).open(path).unwrap();
        SqliteStore::open_to_serve(path, &vault(), loss).map(|(store, _)| store)
    }

    /// Events are only counted here: their rows do not matter to the mark.
    fn book(store: &mut SqliteStore, events: i64) {
        let mut head = store.begin().unwrap();
        head.event.0 += events;
        head.chain.pending[0] = head.chain.pending[0].wrapping_add(1);
        store.commit(&Batch { head, ..Batch::default() }).unwrap();
    }

    fn served(name: &str, events: i64) -> PathBuf {
        let path = scratch(name).join("jifen.db");
        book(&mut serve(&path, Loss::Refuse).unwrap(), events);
        path
    }

    fn refusal(path: &Path, says: &str) {
        let refused = serve(path, Loss::Refuse).err().unwrap().to_string();
        assert!(refused.contains(says) && refused.contains("jifen.db") && refused.contains("jifen restore"), "{refused}");
    }

    #[test]
    fn what_was_served_is_served_again_and_a_moved_database_without_its_mark_too() {
        let path = served("serve-again", 5);
        book(&mut serve(&path, Loss::Refuse).unwrap(), 1);
        std::fs::remove_file(beside(&path, ".mark")).unwrap();
        serve(&path, Loss::Refuse).unwrap();
        // A mark that a loss of power left empty is no mark.
        std::fs::write(beside(&path, ".mark"), "").unwrap();
        serve(&path, Loss::Refuse).unwrap();
    }

    #[test]
    fn an_older_file_is_refused_until_its_loss_is_accepted_which_holds_the_outbox() {
        let path = served("serve-older", 5);
        let older = std::fs::read(&path).unwrap();
        book(&mut serve(&path, Loss::Refuse).unwrap(), 20);
        std::fs::write(&path, older).unwrap();
        refusal(&path, "少了 20 个事件");
        drop(serve(&path, Loss::Accept).unwrap());
        let reader = SqliteReader::open(&path, &vault()).unwrap();
        assert!(reader.outbox_held().unwrap());
        assert_eq!(reader.head().unwrap().event.0, 5);
        // And from here on it is the history.
        let mut store = serve(&path, Loss::Refuse).unwrap();
        let head = store.begin().unwrap();
        store.commit(&Batch { head, outbox_held: Some(false), ..Batch::default() }).unwrap();
        assert!(!reader.outbox_held().unwrap());
    }

    #[test]
    fn another_history_of_the_same_length_an_emptied_file_and_one_of_an_older_epoch_are_refused() {
        let path = served("serve-other", 5);
        let (before, mark) = (std::fs::read(&path).unwrap(), std::fs::read(beside(&path, ".mark")).unwrap());
        let db = Connection::open(&path).unwrap();
        db.execute_batch("UPDATE shard SET pending = zeroblob(32)").unwrap();
        drop(db);
        refusal(&path, "对不上");
        std::fs::write(&path, "").unwrap();
        refusal(&path, "少了 5 个事件");
        drop(serve(&path, Loss::Accept).unwrap());
        std::fs::write(&path, &before).unwrap();
        refusal(&path, "上一次恢复之前");
        std::fs::write(beside(&path, ".mark"), mark).unwrap();
        serve(&path, Loss::Refuse).unwrap();
    }

    #[test]
    fn a_page_of_rubbish_is_refused_at_start_and_left_as_it_is() {
        let path = served("serve-rubbish", 5);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 4096].fill(0x5a);
        std::fs::write(&path, &bytes).unwrap();
        refusal(&path, "数据库文件坏了");
        assert!(std::fs::read(&path).unwrap() == bytes);
    }

    #[test]
    fn a_renamed_or_replaced_file_is_written_no_more() {
        let path = served("serve-renamed", 5);
        let mut store = serve(&path, Loss::Refuse).unwrap();
        let aside = beside(&path, ".aside");
        std::fs::rename(&path, &aside).unwrap();
        assert!(matches!(store.begin(), Err(StoreError::Unknown(why)) if why.contains("不见了")));
        std::fs::rename(&aside, &path).unwrap();
        assert!(matches!(store.begin(), Err(StoreError::Unknown(_))), "broken for good");
        drop(store);

        let mut store = serve(&path, Loss::Refuse).unwrap();
        std::fs::copy(&path, &aside).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert!(matches!(store.begin(), Err(StoreError::Unknown(why)) if why.contains("换成了另一个文件")));
    }

    /// Writes rubbish over everything but the first page, behind SQLite's back, as a failing disk would.
    fn spoil(path: &Path) {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let rubbish = vec![0x5a; file.metadata().unwrap().len() as usize - 4096];
        file.write_all_at(&rubbish, 4096).unwrap();
    }

    #[tokio::test]
    async fn damage_that_a_read_meets_has_the_whole_file_checked_and_stops_the_writer() {
        let path = served("serve-damage", 5);
        let (mut store, guard) = SqliteStore::open_to_serve(&path, &vault(), Loss::Refuse).unwrap();
        spoil(&path);
        let campaigns = vec![(CampaignId(1), "acme".into(), "main".into())];
        let told = store.begin().and_then(|head| store.commit(&Batch { head, campaigns, ..Batch::default() }));
        assert!(matches!(told, Err(StoreError::Damaged(_))), "{told:?}");
        let why = guard.broken().await;
        assert!(why.contains("数据库文件坏了"), "{why}");
        assert!(matches!(store.begin(), Err(StoreError::Unknown(_))));
    }

    #[tokio::test]
    async fn damage_that_only_a_reader_meets_stops_the_writer_too() {
        let path = served("serve-reader", 5);
        let (_store, guard) = SqliteStore::open_to_serve(&path, &vault(), Loss::Refuse).unwrap();
        let reader = SqliteReader::open(&path, &vault()).unwrap();
        spoil(&path);
        let told = reader.events(EventSeq(1), 1);
        assert!(matches!(told, Err(StoreError::Damaged(_))), "{told:?}");
        assert!(guard.broken().await.contains("数据库文件坏了"));
    }

    #[tokio::test]
    async fn a_file_too_large_to_wait_for_is_checked_beside_the_serving() {
        let path = served("serve-large", 5);
        let db = Connection::open(&path).unwrap();
        db.execute("INSERT INTO meta VALUES ('large', zeroblob(?1))", [integrity::AT_START_BYTES_MAX as i64]).unwrap();
        drop(db);
        let whole = SqliteStore::open_to_serve(&path, &vault(), Loss::Refuse).unwrap();
        drop(whole);
        let bytes = std::fs::metadata(&path).unwrap().len();
        // The root of a table that nothing reads at a start.
        let root: i64 = Connection::open(&path).unwrap().query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'grp'", [], |row| row.get(0)).unwrap();
        use std::os::unix::fs::FileExt;
        std::fs::File::options().write(true).open(&path).unwrap().write_all_at(&[0x5a; 4096], (root as u64 - 1) * 4096).unwrap();
        assert!(bytes > integrity::AT_START_BYTES_MAX);
        let (_store, guard) = SqliteStore::open_to_serve(&path, &vault(), Loss::Refuse).unwrap();
        assert!(guard.broken().await.contains("数据库文件坏了"));
    }
}
