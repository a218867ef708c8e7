//! What the writer, the keeper and the daemon know together of a file that is served: whether it may still be written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::files::{beside, inode};
use crate::store::StoreError;

/// The guard of one served file. Clones share it.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broken: watch::Sender<Option<Arc<str>>>,
    /// The database, its WAL and its locks, as they were when they were opened.
    files: [(PathBuf, (u64, u64)); 3],
}

impl Guard {
    /// Guards a database that is open in WAL mode.
    pub(super) fn over(database: &Path) -> Result<Guard, StoreError> {
        let known = |path: PathBuf| match inode(&path) {
            Ok(inode) => Ok((path, inode)),
            Err(error) => Err(StoreError::Aborted(format!("{} 看不到({error})", path.display()))),
        };
        let files = [known(database.to_owned())?, known(beside(database, "-wal"))?, known(beside(database, "-shm"))?];
        Ok(Guard(Arc::new(Inner { broken: watch::Sender::new(None), files })))
    }

    /// Completes, with the reason, when the file must not be written any more. What was answered 200 is in the file; start again.
    pub async fn broken(&self) -> Arc<str> {
        let mut broken = self.0.broken.subscribe();
        let why = broken.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        why.expect("the sender lives as long as this guard")
    }

    /// From now on nothing is written. The first reason is kept.
    pub(super) fn break_off(&self, why: String) {
        self.0.broken.send_if_modified(|broken| {
            let is_first = broken.is_none();
            if is_first {
                tracing::error!(why, "the database must not be written any more");
                *broken = Some(why.into());
            }
            is_first
        });
    }

    /// Whether writing was broken off.
    pub(super) fn is_broken(&self) -> bool {
        self.0.broken.borrow().is_some()
    }

    /// Before each batch: [`StoreError::Unknown`], which stops the writer, when the file is broken or is no longer the one
    /// under its name — what is written into it then, nobody finds again.
    pub(super) fn require_sound(&self) -> Result<(), StoreError> {
        self.look();
        let why = self.0.broken.borrow().clone();
        why.map_or(Ok(()), |why| Err(StoreError::Unknown(why.to_string())))
    }

    /// Whether the database and what SQLite keeps beside it still have their names; breaks off when they do not.
    pub(super) fn look(&self) -> bool {
        let missing = self.0.files.iter().find_map(|(path, known)| match inode(path) {
            Ok(found) if found == *known => None,
            Ok(_) => Some(format!("{} 被换成了另一个文件。请先停掉 jifen 再换文件;要换回备份,用 jifen restore", path.display())),
            Err(error) => Some(format!("{} 不见了({error}),可能被改名或删除。请把它放回原处再启动;找不回来就用 jifen restore", path.display())),
        });
        let is_in_place = missing.is_none();
        if let Some(why) = missing {
            self.break_off(why);
        }
        is_in_place
    }
}
