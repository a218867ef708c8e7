//! The file as it is looked at, every few hundred milliseconds. Looking is all there is: it sees whatever an editor, a rename, a symlink or a
//! mount does, where notices of the system see only what they were told to watch.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Bytes of a file that are read. The longest rules.toml is 1 MiB, and the gate says so of one that is longer; of more than this nothing is read.
const BYTES_MAX: u64 = 4 << 20;

/// What a look found.
#[derive(Debug)]
pub enum Sight {
    /// Nothing new.
    Same,
    /// It is being changed: look again.
    Changing,
    /// It was changed, and said the same at the look before.
    Changed(Vec<u8>),
    /// It cannot be read, for this reason, in the operators' language.
    Unreadable(String),
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
    /// The state that was told.
    told: Option<Stamp>,
    /// What it said at the look before, while that is not told.
    before: Option<Vec<u8>>,
}

impl Watched {
    /// A file nobody looked at yet: the first looks tell what is in it.
    pub fn new(path: &Path) -> Self {
        Watched { path: path.to_owned(), told: None, before: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks. A change is told once the file says the same at two looks, so that one half written is not taken for a whole one, and one that
    /// is saved again and again is told when that ends. Never waits, and never reads without end, whatever stands at that path.
    pub fn look(&mut self) -> Sight {
        match self.read() {
            Ok(None) => Sight::Same,
            Ok(Some((_, bytes))) if self.before.as_ref() != Some(&bytes) => {
                self.before = Some(bytes);
                Sight::Changing
            }
            Ok(Some((stamp, bytes))) => {
                (self.told, self.before) = (Some(stamp), None);
                Sight::Changed(bytes)
            }
            Err(reason) => {
                (self.told, self.before) = (None, None);
                Sight::Unreadable(reason)
            }
        }
    }

    /// What it says, and the state before it was read; `None` in the state that was told.
    fn read(&self) -> Result<Option<(Stamp, Vec<u8>)>, String> {
        let it = fs::metadata(&self.path).map_err(in_chinese)?;
        if self.told == Some(stamp(&it)) {
            return Ok(None);
        }
        must_be_a_file(&it)?;
        // It may have become a pipe by now, and who opens one waits for a writer.
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options().read(true).custom_flags(flags).open(&self.path).map_err(in_chinese)?;
        let it = file.metadata().map_err(in_chinese)?;
        must_be_a_file(&it)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(in_chinese)?;
        Ok(Some((stamp(&it), bytes)))
    }
}

fn stamp(it: &Metadata) -> Stamp {
    Stamp { device: it.dev(), inode: it.ino(), bytes: it.len(), modified: (it.mtime(), it.mtime_nsec()), changed: (it.ctime(), it.ctime_nsec()) }
}

fn must_be_a_file(it: &Metadata) -> Result<(), String> {
    match it.len() {
        _ if it.is_dir() => Err("那里是一个目录,不是文件".to_owned()),
        _ if !it.is_file() => Err("那里不是普通文件".to_owned()),
        bytes if bytes > BYTES_MAX => Err(format!("它有 {bytes} 字节,太大了;规则文件最多 1 MiB(1048576 字节)")),
        _ => Ok(()),
    }
}

fn in_chinese(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "文件不见了(被删掉、改名或挪走)".to_owned(),
        ErrorKind::PermissionDenied => "没有读它的权限".to_owned(),
        _ => error.to_string(),
    }
}

/// What stands at a path now, if it can be read as a file of rules.
pub fn content(path: &Path) -> Option<Vec<u8>> {
    Watched::new(path).read().ok().flatten().map(|(_, bytes)| bytes)
}

/// Where the text that is written over is kept: `rules.toml.bak`.
pub fn backup(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// Keeps what a file says now in the one beside it ([`backup`]), over what was kept there before. Nothing is kept of a file that is not there.
///
/// # Errors
/// It cannot be copied.
pub fn keep_aside(path: &Path) -> io::Result<()> {
    match fs::copy(path, backup(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Writes a file so that a reader sees the old text or the new one, never a part: beside it, then over it. Where that is not possible (a file
/// that is mounted alone cannot be replaced) it is written in place.
///
/// # Errors
/// It cannot be written; what it says is as before, unless writing in place broke off.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // The link stays, and what it leads to is replaced. What was deleted is made anew.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path).ok();
    old.as_ref().map_or(Ok(()), must_be_a_file).map_err(io::Error::other)?;
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let replaced = fs::write(&beside, text).and_then(|()| {
        if let Some(old) = old {
            chown(&beside, Some(old.uid()), Some(old.gid()))?;
            fs::set_permissions(&beside, old.permissions())?;
        }
        File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &path)
    });
    replaced.or_else(|error| {
        // What was begun beside it is of no use any more.
        let _ = fs::remove_file(&beside);
        // In place the old text is gone before the new one is there: not where there is no room for it.
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) { Err(error) } else { fs::write(&path, text) }
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
        assert!(matches!(watched.look(), Sight::Unreadable(_)));
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
    fn what_is_no_readable_file_is_told_at_once_and_holds_nobody_up() {
        let folder = folder("odd");
        let (pipe, huge) = (folder.join("pipe"), folder.join("huge"));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        File::create(&huge).unwrap().set_len(BYTES_MAX + 1).unwrap();
        for (path, reason) in [(&folder, "目录"), (&pipe, "普通文件"), (&huge, "太大"), (&folder.join("none"), "不见了"), (&"/dev/zero".into(), "普通文件")]
        {
            let seen = Watched::new(path).look();
            assert!(matches!(&seen, Sight::Unreadable(told) if told.contains(reason)), "{}: {seen:?}", path.display());
        }
        assert!(write(&pipe, "a").is_err() && write(&folder, "a").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_written_again_and_again_with_the_same_words_is_told() {
        let folder = folder("restless");
        let path = folder.join("rules.toml");
        let mut watched = Watched::new(&path);
        let looks: Vec<bool> = (0..3)
            .map(|_| {
                fs::write(&path, "a").unwrap();
                matches!(watched.look(), Sight::Changed(_))
            })
            .collect();
        assert!(looks.contains(&true), "{looks:?}");
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
        keep_aside(&path).unwrap();
        fs::remove_file(&path).unwrap();
        keep_aside(&path).unwrap();
        write(&path, "c").unwrap();
        assert_eq!((content(&path).as_deref(), content(&backup(&path)).as_deref()), (Some(&b"c"[..]), Some(&b"b"[..])));
        fs::remove_dir_all(&folder).unwrap();
    }
}
