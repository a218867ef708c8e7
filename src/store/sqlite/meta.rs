//! Facts about the file as a whole, in table `meta`: its epoch, and whether the outbox is held.
//!
//! The epoch counts how often history went on from an earlier moment: a restored backup, or a loss that was accepted. It is 0 in
//! a file to which that never happened.

use rusqlite::{Connection, OptionalExtension, ToSql};

use crate::store::StoreError;

const EPOCH: &str = "epoch";
const OUTBOX_HELD: &str = "outbox_held";

pub(super) fn epoch(db: &Connection) -> Result<u64, StoreError> {
    Ok(get(db, EPOCH)?.map_or(0, u64::from_be_bytes))
}

pub(super) fn set_epoch(db: &Connection, epoch: u64) -> Result<(), StoreError> {
    set(db, EPOCH, &epoch.to_be_bytes())
}

pub(super) fn outbox_held(db: &Connection) -> Result<bool, StoreError> {
    Ok(get(db, OUTBOX_HELD)?.is_some_and(|[held]: [u8; 1]| held != 0))
}

pub(super) fn hold_outbox(db: &Connection, held: bool) -> Result<(), StoreError> {
    set(db, OUTBOX_HELD, &[u8::from(held)])
}

/// History goes on from here though some of it is gone: what was said since then may be unknown, so nothing is said until told.
pub(super) fn begin_epoch(db: &Connection, epoch: u64) -> Result<(), StoreError> {
    set_epoch(db, epoch)?;
    hold_outbox(db, true)
}

fn get<const LEN: usize>(db: &Connection, key: &str) -> Result<Option<[u8; LEN]>, StoreError> {
    Ok(db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()?)
}

fn set<const LEN: usize>(db: &Connection, key: &str, value: &[u8; LEN]) -> Result<(), StoreError> {
    let value: &dyn ToSql = value;
    db.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute([&key as &dyn ToSql, value])?;
    Ok(())
}
