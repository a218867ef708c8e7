//! Day keys and backups: a backup carries none, so that a text whose key was destroyed stays unreadable in old backups too.
//!
//! The keys that are not destroyed yet (wrapped by the master key, as in the database) also stand in one small file beside the
//! database. A backup carries their digests instead; a restore takes back those keys that it finds, here or in the database it replaces,
//! and that are exactly the ones the backup was sealed under.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::files::{self, beside};
use super::{connect, error, rows};
use crate::store::StoreError;

/// Under this name a backup's table `meta` lists the keys it was sealed under.
const WANTED: &str = "day_keys";

/// A day key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct DayKey {
    id: i64,
    day: i64,
    /// In a backup its SHA-256; in the file the wrapped key itself. Base64.
    value: String,
}

impl DayKey {
    fn digest(&self) -> DayKey {
        DayKey { value: STANDARD.encode(Sha256::digest(&self.value)), ..self.clone() }
    }
}

/// How many of a backup's day keys came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Keys that the backup was sealed under.
    pub wanted: usize,
    /// Of these, the ones found.
    pub found: usize,
}

/// What tells whether the file beside the database is still right.
pub(super) fn version(db: &Connection) -> Result<(i64, i64), StoreError> {
    Ok(db.prepare_cached("SELECT count(*), coalesce(max(id), 0) FROM day_key")?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Writes the file beside a database.
pub(super) fn put_beside(db: &Connection, database: &Path) -> Result<(), StoreError> {
    files::write_json(&path(database), &keys(db)?)
}

/// Takes the keys out of a copy, leaving their digests.
pub(super) fn take_out(copy: &Path) -> Result<(), StoreError> {
    let mut db = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.execute_batch("PRAGMA secure_delete = ON")?;
    let wanted: Vec<DayKey> = keys(&db)?.iter().map(DayKey::digest).collect();
    let text = serde_json::to_vec(&wanted).map_err(|error| StoreError::Aborted(error.to_string()))?;
    let transaction = db.transaction()?;
    transaction.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", params![WANTED, text])?;
    transaction.execute("DELETE FROM day_key", [])?;
    Ok(transaction.commit()?)
}

/// Puts the keys of a backup back that are found in the database it will replace or in the file beside that.
pub(super) fn put_back(backup: &mut Connection, database: &Path) -> Result<Found, StoreError> {
    let Some(wanted) = wanted(backup)? else { return Ok(Found::default()) };
    let mut kept: Vec<DayKey> = of_file(database);
    // A database that cannot be read gives none.
    kept.extend(connect(database, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|db| keys(&db)).unwrap_or_default());
    let transaction = backup.transaction()?;
    let mut found = 0;
    for key in kept.iter().filter(|key| wanted.contains(&key.digest())) {
        let Ok(wrapped) = STANDARD.decode(&key.value) else { continue };
        found += transaction.execute("INSERT INTO day_key (id, day, wrapped) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING", params![key.id, key.day, wrapped])?;
    }
    transaction.execute("DELETE FROM meta WHERE key = ?1", [WANTED])?;
    transaction.commit()?;
    Ok(Found { wanted: wanted.len(), found })
}

fn wanted(backup: &Connection) -> Result<Option<Vec<DayKey>>, StoreError> {
    let text: Option<Vec<u8>> = backup.query_row("SELECT value FROM meta WHERE key = ?1", [WANTED], |row| row.get(0)).optional()?;
    let keys = text.map(|text| serde_json::from_slice(&text)).transpose();
    keys.map_err(|error| error::damaged(&format!("day_keys: {error}")))
}

fn of_file(database: &Path) -> Vec<DayKey> {
    let Ok(text) = std::fs::read(path(database)) else { return Vec::new() };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "the file of day keys cannot be understood");
        Vec::new()
    })
}

fn keys(db: &Connection) -> Result<Vec<DayKey>, StoreError> {
    rows::all(db, "SELECT id, day, wrapped FROM day_key ORDER BY id", [], |row| {
        Ok(DayKey { id: row.get(0)?, day: row.get(1)?, value: STANDARD.encode(row.get::<_, Vec<u8>>(2)?) })
    })
}

fn path(database: &Path) -> PathBuf {
    beside(database, ".day-keys")
}
