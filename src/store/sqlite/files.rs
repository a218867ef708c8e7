//! Files beside a database: their names, and how a finished one takes its place whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::store::StoreError;

/// What SQLite keeps beside a file while it is open or after a crash. Under a name they belong to the file of that name and to no
/// other (<https://sqlite.org/howtocorrupt.html>, section 1.4).
pub const SIDES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path with this at the end of its name.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Whether two paths lead to one file.
pub fn is_same(one: &Path, other: &Path) -> bool {
    inode(one).is_ok_and(|one| inode(other).is_ok_and(|other| one == other))
}

/// Device and number of a file, which stay the same under every name of it.
pub(super) fn inode(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// A file in the making. It goes when this is dropped, unless it was put in place.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
}

impl Part {
    /// Begins a file; what was left of an earlier attempt goes.
    pub fn begin(path: PathBuf) -> io::Result<Part> {
        let part = Part { path };
        part.remove().map(|()| part)
    }

    /// Where it is made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it the owner, where we may, and the mode of another file: who could use that one can use this one.
    pub fn resemble(&self, other: &Path) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt, chown};
        let other = fs::metadata(other)?;
        // Only root may give files away; who is not root made the other one himself or shares it by its mode.
        let _ = chown(&self.path, Some(other.uid()), Some(other.gid()));
        fs::set_permissions(&self.path, other.permissions())
    }

    /// Gives the finished file its name, durably: whoever finds the name finds all of it, after a loss of power too.
    pub fn put_in_place(self, to: &Path) -> io::Result<()> {
        File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, to)?;
        sync_directory_of(to)
    }

    fn remove(&self) -> io::Result<()> {
        SIDES.iter().map(|side| beside(&self.path, side)).chain([self.path.clone()]).try_for_each(|path| remove(&path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "an unfinished file stays behind");
        }
    }
}

/// Writes a small file whole or not at all. After a loss of power the one before may be back, so its name is not synced.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let part = Part::begin(beside(path, ".part"))?;
    fs::write(part.path(), bytes)?;
    File::open(part.path())?.sync_all()?;
    fs::rename(part.path(), path)
}

/// Writes a value as a small file of JSON, whole or not at all.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let written = serde_json::to_vec(value).map_err(io::Error::from).and_then(|text| write(path, &text));
    written.map_err(|error| StoreError::Aborted(format!("{} 写不了({error})", path.display())))
}

/// Makes names given or taken in a file's directory durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
