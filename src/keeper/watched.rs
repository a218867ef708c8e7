//! The file as it is looked at, every few hundred milliseconds. Looking is all there is: it sees whatever an editor, a rename, a symlink or a
//! mount does, where notices of the system see only what they were told to watch.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a look found.
#[derive(Debug)]
pub enum Sight {
    /// Nothing new.
    Same,
    /// It is being changed: look again.
    Changing,
    /// It was changed, and stood still since the look before.
    Changed(Vec<u8>),
    /// It cannot be read.
    Gone(io::Error),
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that is looked at again and again.
#[derive(Debug)]
pub struct Watched {
    path: PathBuf,
    /// The state that was read.
    read: Option<Stamp>,
    /// The state at the look before.
    before: Option<Stamp>,
}

impl Watched {
    /// A file nobody looked at yet: the first looks tell what is in it.
    pub fn new(path: &Path) -> Self {
        Watched { path: path.to_owned(), read: None, before: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks. A change is told once it is the same at two looks, so that a file half written is not taken for a whole one.
    pub fn look(&mut self) -> Sight {
        let stamp = match stamp(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                (self.read, self.before) = (None, None);
                return Sight::Gone(error);
            }
        };
        if self.read == Some(stamp) {
            return Sight::Same;
        }
        if self.before.replace(stamp) != Some(stamp) {
            return Sight::Changing;
        }
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) => return Sight::Gone(error),
        };
        if self::stamp(&self.path).ok() != Some(stamp) {
            self.before = None;
            return Sight::Changing;
        }
        self.read = Some(stamp);
        Sight::Changed(bytes)
    }
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let it = fs::metadata(path)?;
    Ok(Stamp { device: it.dev(), inode: it.ino(), bytes: it.len(), modified: (it.mtime(), it.mtime_nsec()), changed: (it.ctime(), it.ctime_nsec()) })
}

/// Keeps what stands in a file beside it, where it is not what is live: `rules.draft.toml`. `None` where nothing had to be, or could be, kept.
pub fn keep_draft(path: &Path, live: &str) -> Option<PathBuf> {
    let path = fs::canonicalize(path).ok()?;
    let bytes = fs::read(&path).ok().filter(|bytes| *bytes != *live.as_bytes())?;
    let draft = path.with_extension("draft.toml");
    fs::write(&draft, bytes).ok().map(|()| draft)
}

/// Writes a file so that a reader sees the old text or the new one, never a part: beside it, then over it. Where that is not possible (a file
/// that is mounted alone cannot be replaced) it is written in place.
///
/// # Errors
/// It cannot be written; what it says is as before, unless writing in place broke off.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let replaced = fs::metadata(&path).and_then(|old| {
        fs::write(&beside, text)?;
        fs::set_permissions(&beside, old.permissions())?;
        fs::File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &path)
    });
    replaced.or_else(|_| {
        // What was begun beside it is of no use any more.
        let _ = fs::remove_file(&beside);
        fs::write(&path, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("jifen-watched-{name}-{}", std::process::id()));
        // What an earlier run left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the test");
        folder
    }

    /// What is told when nothing more happens.
    fn told(watched: &mut Watched) -> Option<String> {
        (0..3).find_map(|_| if let Sight::Changed(bytes) = watched.look() { String::from_utf8(bytes).ok() } else { None })
    }

    #[test]
    fn every_way_of_saving_is_seen_once() {
        let folder = folder("ways");
        let (path, other, link) = (folder.join("rules.toml"), folder.join("other"), folder.join("link.toml"));
        fs::write(&path, "a").unwrap();
        let mut watched = Watched::new(&path);
        assert_eq!((told(&mut watched).as_deref(), told(&mut watched)), (Some("a"), None));
        fs::write(&path, "b").unwrap();
        assert_eq!((told(&mut watched).as_deref(), told(&mut watched)), (Some("b"), None), "written in place");
        fs::write(&other, "c").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!((told(&mut watched).as_deref(), told(&mut watched)), (Some("c"), None), "renamed over");
        fs::remove_file(&path).unwrap();
        assert!(matches!(watched.look(), Sight::Gone(_)));
        fs::write(&path, "c").unwrap();
        assert_eq!(told(&mut watched).as_deref(), Some("c"), "deleted and written again");
        fs::write(&other, "d").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut watched = Watched::new(&link);
        assert_eq!(told(&mut watched).as_deref(), Some("c"));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        assert_eq!((told(&mut watched).as_deref(), told(&mut watched)), (Some("d"), None), "a symlink turned to another file");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_still_changes_is_not_told() {
        let folder = folder("changing");
        let path = folder.join("rules.toml");
        let mut watched = Watched::new(&path);
        for length in 1..6 {
            fs::write(&path, "x".repeat(length)).unwrap();
            assert!(matches!(watched.look(), Sight::Changing));
        }
        assert_eq!(told(&mut watched).as_deref(), Some("xxxxx"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_written_replaces_the_file_behind_a_link() {
        let folder = folder("write");
        let (path, link) = (folder.join("rules.toml"), folder.join("link.toml"));
        fs::write(&path, "a").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, "b").unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), fs::read_dir(&folder).unwrap().count()), ("b", 2));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::remove_dir_all(&folder).unwrap();
    }
}
