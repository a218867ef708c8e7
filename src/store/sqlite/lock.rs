//! The lock that lets one daemon at a time serve a database file.
//!
//! It is `flock` on the file's own inode, so that a renamed, linked or bind-mounted path is still the same lock, and it is gone
//! when the process is. SQLite's own locks are POSIX ones, which the kernel drops as soon as *any* descriptor of the file is
//! closed by the process (<https://sqlite.org/howtocorrupt.html>, section 2.2); ours is therefore never closed.

use std::fs::{File, TryLockError};
use std::mem::ManuallyDrop;
use std::path::Path;

use rustix::process::geteuid;

use super::error;
use crate::store::StoreError;

/// Held by a daemon as long as it serves. Dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    file: ManuallyDrop<File>,
}

impl Lock {
    /// Takes the lock of a database file, making the file if there is none. [`StoreError::Aborted`] when another daemon has it.
    pub fn take(path: &Path) -> Result<Self, StoreError> {
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| {
            let user = geteuid().as_raw();
            error::at(path, StoreError::Aborted(format!("数据库打不开({error})。请检查路径,以及运行 jifen 的用户(uid {user})能不能写它和它所在的目录")))
        })?;
        let lock = Lock { file: ManuallyDrop::new(file) };
        match lock.file.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                Err(error::at(path, StoreError::Aborted("已经有一个 jifen serve 在用这个数据库。请先停掉它,或者让这一个用别的 database".into())))
            }
            Err(TryLockError::Error(error)) => Err(error::at(path, StoreError::Aborted(format!("锁不住数据库文件({error})。请把它放在本机磁盘上")))),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "could not unlock the database file");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::rows::tests::scratch;

    #[test]
    fn a_second_daemon_on_one_file_is_refused_until_the_first_is_gone() {
        let path = scratch("lock").join("jifen.db");
        let first = Lock::take(&path).unwrap();
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let refused = Lock::take(&link).unwrap_err().to_string();
        assert!(refused.contains("已经有一个 jifen serve"), "{refused}");
        drop(first);
        Lock::take(&path).unwrap();
    }
}
