//! Day keys: what was heard or said on a day is sealed under that day's random key, which the master key wraps.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::day::Millis;
use crate::store::StoreError;
use crate::store::vault::{KEY_BYTES, Seal, Vault, random_key};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The day keys this connection has met.
#[derive(Default)]
pub(super) struct DayKeys {
    by_day: HashMap<i64, (i64, Arc<Seal>)>,
    by_id: HashMap<i64, Arc<Seal>>,
    /// Made in the open batch; forgotten with it.
    new: Vec<i64>,
}

impl DayKeys {
    /// The key of the day (UTC) of an instant and its number, made now if there is none.
    pub(super) fn for_day(&mut self, db: &Connection, vault: &Vault, at: Millis) -> Result<(i64, Arc<Seal>), StoreError> {
        let day = at.0.div_euclid(MILLIS_PER_DAY);
        if let Some(known) = self.by_day.get(&day) {
            return Ok(known.clone());
        }
        let found = db.prepare_cached("SELECT id, wrapped FROM day_key WHERE day = ?1")?.query_row([day], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (id, seal) = match found {
            Some((id, wrapped)) => (id, unwrap(vault, day, wrapped)?),
            None => self.make(db, vault, day)?,
        };
        self.by_day.insert(day, (id, seal.clone()));
        Ok((id, seal))
    }

    /// The key of a number; `None` when it was destroyed.
    pub(super) fn of_id(&mut self, db: &Connection, vault: &Vault, id: i64) -> Result<Option<Arc<Seal>>, StoreError> {
        if let Some(seal) = self.by_id.get(&id) {
            return Ok(Some(seal.clone()));
        }
        let found = db.prepare_cached("SELECT day, wrapped FROM day_key WHERE id = ?1")?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((day, wrapped)) = found else { return Ok(None) };
        let seal = unwrap(vault, day, wrapped)?;
        self.by_id.insert(id, seal.clone());
        Ok(Some(seal))
    }

    /// Destroys the keys of days before an instant's day.
    pub(super) fn destroy_before(&mut self, db: &Connection, before: Millis) -> Result<(), StoreError> {
        let day = before.0.div_euclid(MILLIS_PER_DAY);
        db.prepare_cached("DELETE FROM day_key WHERE day < ?1")?.execute([day])?;
        self.by_day.retain(|known, _| *known >= day);
        self.by_id.clear();
        Ok(())
    }

    /// The batch was committed: its keys stay.
    pub(super) fn keep(&mut self) {
        self.new.clear();
    }

    /// The batch was not committed: its keys never were.
    pub(super) fn forget_new(&mut self) {
        for day in self.new.drain(..) {
            self.by_day.remove(&day);
        }
    }

    fn make(&mut self, db: &Connection, vault: &Vault, day: i64) -> Result<(i64, Arc<Seal>), StoreError> {
        let key = random_key();
        let wrapped = vault.wrapping().seal("day_key", day, &key);
        let id = db.prepare_cached("INSERT INTO day_key (day, wrapped) VALUES (?1, ?2)")?.insert(params![day, wrapped])?;
        self.new.push(day);
        Ok((id, Arc::new(Seal::new(&key))))
    }
}

fn unwrap(vault: &Vault, day: i64, wrapped: Vec<u8>) -> Result<Arc<Seal>, StoreError> {
    let key = vault.wrapping().open("day_key", day, &wrapped).and_then(|key| <[u8; KEY_BYTES]>::try_from(key).ok());
    let key = key.ok_or_else(|| StoreError::Corrupt(format!("第 {day} 天的密钥打不开,它被改过")))?;
    Ok(Arc::new(Seal::new(&key)))
}
