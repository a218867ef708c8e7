//! What SQLite's errors mean for a batch, in words for the operator.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::StoreError;

/// How often anybody in this process met damage of a database file: the keeper of a served one looks at all of it when this grows.
/// (One process serves one file; where tests serve several, a check too many does no harm.)
static DAMAGE_MET: AtomicU64 = AtomicU64::new(0);

/// See [`DAMAGE_MET`].
pub(super) fn damage_met() -> u64 {
    DAMAGE_MET.load(Ordering::Relaxed)
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let told = in_words(error);
        if let StoreError::Damaged(_) = told {
            DAMAGE_MET.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

fn in_words(error: Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Corrupt(format!("数据库里有一行读不出来({error})。请运行 jifen verify"));
    };
    if is_unreadable(&error) {
        return StoreError::Damaged(format!("从磁盘读不出数据库的内容({error})。请检查磁盘;读不出来就用 jifen restore 恢复备份"));
    }
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            StoreError::Aborted("数据库正被别的程序写着,等了 2 秒没等到。稍后会再试;一直这样就看看是哪个程序开着它".into())
        }
        ErrorCode::DiskFull => StoreError::Aborted("磁盘满了,这一批没有写。请腾出空间,腾出后自动恢复".into()),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            StoreError::Aborted(format!("数据库是只读的({error})。请让运行 jifen 的用户可以写它和它所在的目录"))
        }
        ErrorCode::CannotOpen => StoreError::Aborted(format!("数据库打不开({error})。请检查路径和目录的权限")),
        ErrorCode::SystemIoFailure => StoreError::Aborted(format!("读写磁盘出错({error}),没有写成。请检查磁盘")),
        ErrorCode::NotADatabase => StoreError::Damaged("这个文件不是 SQLite 数据库。请检查名字写对了没有".into()),
        ErrorCode::DatabaseCorrupt => damaged(&error.to_string()),
        ErrorCode::ConstraintViolation => StoreError::Corrupt(format!("数据库不接受这一批({error})")),
        _ => StoreError::Aborted(format!("数据库出错({error})")),
    }
}

/// A file whose pages do not hang together.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(format!("数据库文件坏了({what})。请停掉 jifen,用最近的备份恢复:jifen restore 备份文件;坏的文件会留在旁边"))
}

/// Whether the disk would not give what was written to it.
fn is_unreadable(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else { return false };
    matches!(failure.extended_code, ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS)
}

/// Whether the disk failed so that nobody knows what it holds: after a sync that failed, it may hold anything. A write that failed is
/// known: the commit it was part of has no end, so it is not there, and the next one goes over it
/// (<https://sqlite.org/fileformat2.html#walformat>).
pub(super) fn is_unsure(error: &Error) -> bool {
    let Error::SqliteFailure(failure, _) = error else { return false };
    failure.code == ErrorCode::SystemIoFailure && failure.extended_code != ffi::SQLITE_IOERR_WRITE
}

/// The error with the file it happened to.
pub(super) fn at(path: &Path, error: StoreError) -> StoreError {
    let told = |text: String| format!("{}:{text}", path.display());
    match error {
        StoreError::Aborted(text) => StoreError::Aborted(told(text)),
        StoreError::Unknown(text) => StoreError::Unknown(told(text)),
        StoreError::Corrupt(text) => StoreError::Corrupt(told(text)),
        StoreError::Damaged(text) => StoreError::Damaged(told(text)),
    }
}
