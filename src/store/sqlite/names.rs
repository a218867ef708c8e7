//! Interned texts: sources, codes, corps, kinds and rules hashes are numbers in the rows and texts in table `name`.
//!
//! The table only grows, so a cached pair never goes stale; what another process added is found on a miss.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use crate::model::ids::RulesHash;
use crate::store::StoreError;

/// The texts this connection has met.
#[derive(Default)]
pub(super) struct Names {
    ids: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
    hashes: HashMap<RulesHash, i64>,
    /// Given out in the open batch; forgotten with it.
    new: Vec<Arc<str>>,
}

impl Names {
    /// The number of a text; `None` when no row can hold it yet.
    pub(super) fn find(&mut self, db: &Connection, text: &str) -> Result<Option<i64>, StoreError> {
        if let Some(id) = self.ids.get(text) {
            return Ok(Some(*id));
        }
        let found: Option<i64> = db.prepare_cached("SELECT id FROM name WHERE text = ?1")?.query_row([text], |row| row.get(0)).optional()?;
        if let Some(id) = found {
            self.remember(id, text.into());
        }
        Ok(found)
    }

    /// The number of a text, given out now if it has none.
    pub(super) fn id(&mut self, db: &Connection, text: &str) -> Result<i64, StoreError> {
        if let Some(id) = self.find(db, text)? {
            return Ok(id);
        }
        let id = db.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.insert([text])?;
        let text: Arc<str> = text.into();
        self.new.push(text.clone());
        self.remember(id, text);
        Ok(id)
    }

    /// The number of a rules version.
    pub(super) fn rules_id(&mut self, db: &Connection, hash: RulesHash) -> Result<i64, StoreError> {
        if let Some(id) = self.hashes.get(&hash) {
            return Ok(*id);
        }
        let id = self.id(db, &hash.to_string())?;
        self.hashes.insert(hash, id);
        Ok(id)
    }

    /// The text of a number.
    pub(super) fn text(&mut self, db: &Connection, id: i64) -> Result<Arc<str>, StoreError> {
        if let Some(text) = self.texts.get(&id) {
            return Ok(text.clone());
        }
        let found: Option<String> = db.prepare_cached("SELECT text FROM name WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()?;
        let text: Arc<str> = found.ok_or_else(|| StoreError::Corrupt(format!("name 表里没有 {id} 号")))?.into();
        self.remember(id, text.clone());
        Ok(text)
    }

    /// The rules version of a number.
    pub(super) fn rules(&mut self, db: &Connection, id: i64) -> Result<RulesHash, StoreError> {
        let text = self.text(db, id)?;
        parse_hash(&text).ok_or_else(|| StoreError::Corrupt(format!("name 表的 {id} 号应该是规则版本,现在不是")))
    }

    /// The batch was committed: what it gave out stays.
    pub(super) fn keep(&mut self) {
        self.new.clear();
    }

    /// The batch was not committed: what it gave out never was.
    pub(super) fn forget_new(&mut self) {
        for text in self.new.drain(..) {
            if let Some(id) = self.ids.remove(&text) {
                self.texts.remove(&id);
                self.hashes.retain(|_, other| *other != id);
            }
        }
    }

    fn remember(&mut self, id: i64, text: Arc<str>) {
        self.ids.insert(text.clone(), id);
        self.texts.insert(id, text);
    }
}

fn parse_hash(text: &str) -> Option<RulesHash> {
    let mut hash = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(RulesHash(hash))
}
