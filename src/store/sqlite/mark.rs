//! The high-water mark: a small file beside the database that says how far it had come, so that a database that fell back is noticed.
//!
//! SQLite cannot know that a `-wal` was deleted or damaged, or that an older file was copied over: to it, a shorter history is a
//! history. The mark is written about every second and when the daemon stops, never by a commit, so it may be behind the
//! database and is never ahead of it.

use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::files::{self, beside};
use super::rows::one;
use super::{meta, migrate, read};
use crate::model::ids::{EventSeq, PostingSeq};
use crate::model::journal::Chain;
use crate::store::StoreError;

/// Behind the database's name.
const SUFFIX: &str = ".mark";

/// How far a database had come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) epoch: u64,
    pub(super) event: EventSeq,
    posting: PostingSeq,
    chain: Chain,
}

/// A mark as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When it was written; for people.
    at: Timestamp,
    mark: Mark,
}

impl Mark {
    /// How far a database has come; nowhere, if it has no schema yet.
    pub(super) fn of(db: &Connection) -> Result<Mark, StoreError> {
        if migrate::schema_version(db)? == 0 {
            return Ok(Mark::default());
        }
        let head = read::head(db)?;
        Ok(Mark { epoch: meta::epoch(db)?, event: head.event, posting: head.posting, chain: head.chain })
    }

    /// The mark beside a database; `None` with a log line when there is none to go by.
    pub(super) fn beside(database: &Path) -> Option<(Timestamp, Mark)> {
        let path = beside(database, SUFFIX);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                tracing::info!(path = %path.display(), "no mark beside the database: taken as it is");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the mark cannot be read: the database is taken as it is");
                return None;
            }
        };
        let kept = serde_json::from_slice::<Kept>(&text);
        kept.inspect_err(|error| tracing::warn!(%error, path = %path.display(), "the mark cannot be understood: the database is taken as it is"))
            .ok()
            .map(|kept| (kept.at, kept.mark))
    }

    /// Writes the mark beside a database, over the one before.
    pub(super) fn put_beside(&self, database: &Path) -> Result<(), StoreError> {
        files::write_json(&beside(database, SUFFIX), &Kept { at: Timestamp::now(), mark: self.clone() })
    }

    /// What a database lacks of the history this mark saw, in words; `None` when it has all of it.
    pub(super) fn complaint(&self, db: &Connection, at: Timestamp) -> Result<Option<String>, StoreError> {
        let present = Mark::of(db)?;
        // A newer epoch was begun on purpose, and its mark was not written in time.
        if present.epoch > self.epoch {
            return Ok(None);
        }
        let seen = format!("最后一次记号写于 {at:.0},那时已记到第 {} 个事件", self.event);
        if present.epoch < self.epoch {
            return Ok(Some(format!("这个文件是上一次恢复之前的(纪元 {},应为 {});{seen},它只到第 {} 个", present.epoch, self.epoch, present.event)));
        }
        if present.event < self.event {
            let last = received_at(db, present.event)?.map_or_else(|| "它是空的".into(), |last| format!("最后一个收于 {last:.0}"));
            let lost = self.event.0 - present.event.0;
            return Ok(Some(format!("{seen},而数据库只到第 {} 个({last}):少了 {lost} 个事件", present.event)));
        }
        if self.is_part_of(db, &present)? {
            return Ok(None);
        }
        Ok(Some(format!("{seen};数据库里到那里为止的历史却是另一份,哈希链对不上")))
    }

    /// Whether the history up to this mark is the present one's beginning.
    fn is_part_of(&self, db: &Connection, present: &Mark) -> Result<bool, StoreError> {
        if present.event == self.event {
            return Ok(present.chain == self.chain);
        }
        if self.posting.0 == 0 {
            return Ok(true);
        }
        let link: Option<[u8; 16]> = one(db, "SELECT link FROM posting WHERE seq = ?1", [self.posting.0], |row| Ok(row.get(0)?))?;
        Ok(link.is_some_and(|link| link == self.chain.link[..16]))
    }
}

fn received_at(db: &Connection, event: EventSeq) -> Result<Option<Timestamp>, StoreError> {
    if event.0 == 0 {
        return Ok(None);
    }
    let received: Option<i64> = one(db, "SELECT received_at FROM event WHERE seq = ?1", [event.0], |row| Ok(row.get(0)?))?;
    Ok(received.and_then(|at| Timestamp::from_millisecond(at).ok()))
}
