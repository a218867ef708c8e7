//! Whether a file's pages hang together, and whether it lies where a database may lie.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

use super::error;
use crate::store::StoreError;

/// A file up to here is checked before anything is served from it; a larger one beside the serving. Measured on 440 MB of our rows: 6 s
/// a GB, so a start is at most 0.4 s longer.
pub(super) const AT_START_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Complaints told: the first damaged page is what helps.
const COMPLAINTS_MAX: usize = 3;

/// What was done about a file before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is sound.
    Sound,
    /// It is too large to wait for; check it beside the serving.
    Later,
}

/// Checks a file, unless it is large, before it is opened for writing. It is not changed.
pub(super) fn at_start(path: &Path, db: &Connection) -> Result<Checked, StoreError> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    if bytes > AT_START_BYTES_MAX {
        tracing::info!(bytes, "the database file is large: its pages are checked beside the serving");
        return Ok(Checked::Later);
    }
    let began = Instant::now();
    require_sound(db)?;
    tracing::info!(bytes, duration_ms = began.elapsed().as_millis() as u64, "the database file is whole");
    Ok(Checked::Sound)
}

/// Refuses ([`StoreError::Damaged`]) a file whose pages do not hang together.
pub(super) fn require_sound(db: &Connection) -> Result<(), StoreError> {
    no_complaints(db, "quick_check")
}

/// Refuses one whose indexes do not say what its tables say, too: takes up to 25 times as long.
pub(super) fn require_sound_indexes(db: &Connection) -> Result<(), StoreError> {
    no_complaints(db, "integrity_check")
}

fn no_complaints(db: &Connection, check: &str) -> Result<(), StoreError> {
    let mut statement = db.prepare(&format!("PRAGMA {check}({COMPLAINTS_MAX})"))?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    if complaints == ["ok"] {
        return Ok(());
    }
    let told: Vec<&str> = complaints.iter().flat_map(|text| text.lines()).take(COMPLAINTS_MAX).collect();
    Err(error::damaged(&told.join(" | ")))
}

/// Warns of a file system on which a database is not safe (<https://sqlite.org/howtocorrupt.html>, section 2.1).
pub(super) fn warn_of_place(path: &Path) {
    let Ok(system) = rustix::fs::statfs(path) else { return };
    if let Some(name) = unsafe_place(system.f_type as u64) {
        tracing::warn!(path = %path.display(), "数据库放在 {name} 上:锁和落盘都不可靠,可能损坏或丢账。请放到本机磁盘");
    }
}

/// The name of a file system whose locks or syncs are not those of a local disk, by its magic number
/// (<https://man7.org/linux/man-pages/man2/statfs.2.html>).
fn unsafe_place(magic: u64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS 网络盘"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB 网络盘"),
        0x0102_1997 => Some("9p(虚拟机共享目录)"),
        0x6573_5546 => Some("FUSE 文件系统"),
        0x794c_7630 => Some("overlay(容器自己的文件层,容器删掉就没了)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_container_file_systems_are_warned_of_and_local_disks_are_not() {
        for magic in [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x6573_5546, 0x794c_7630] {
            assert!(unsafe_place(magic).is_some(), "{magic:x}");
        }
        // ext4, xfs, btrfs, tmpfs.
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994] {
            assert_eq!(unsafe_place(magic), None, "{magic:x}");
        }
    }
}
