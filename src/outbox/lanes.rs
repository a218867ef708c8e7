//! Lanes: which destination a reply belongs to, so that one waits for no other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use crate::model::ids::CorpName;
use crate::outbox::Voice;
use crate::store::ReplyRow;

/// One destination, by a hash of its corp and chat or member (two that collide only wait for each other), and its API's gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    hash: u64,
    /// Place of its API's gate.
    pub gate: u32,
    /// A group hears what is said here.
    pub is_shared: bool,
}

/// Finds the lane of a reply.
#[derive(Debug)]
pub struct Lanes {
    /// Of fixed keys: lanes that are due together go in the same order each time.
    hasher: BuildHasherDefault<DefaultHasher>,
    corps: HashMap<CorpName, Corp>,
    /// Gates in all.
    pub gates: u32,
}

#[derive(Debug)]
struct Corp {
    /// Corps that share an API address share its circuit.
    gate: u32,
    /// Chats that a robot or an app can speak in. In all others a reply can only go to its member.
    rooms: HashSet<Arc<str>>,
}

impl Lanes {
    /// The lanes of corps that speak so.
    pub fn new(voices: &HashMap<CorpName, Voice>) -> Self {
        let mut corps = HashMap::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        for (corp, voice) in BTreeMap::from_iter(voices) {
            let next = known.len() as u32;
            let gate = *known.entry(&voice.api_base).or_insert(next);
            corps.insert(corp.clone(), Corp { gate, rooms: voice.outlets.rooms().cloned().collect() });
        }
        // One more gate, for corps that jifen.toml no longer has: their replies are refused for want of a way.
        Lanes { hasher: BuildHasherDefault::default(), corps, gates: known.len() as u32 + 1 }
    }

    /// The lane of a reply: its group where the bot can speak there, else its member.
    pub fn of(&self, row: &ReplyRow) -> LaneKey {
        let corp = self.corps.get(&row.corp);
        let answers_here = |chat: &&Arc<str>| row.destination.reply_url.is_some() || corp.is_some_and(|corp| corp.rooms.contains(*chat));
        let chat = row.destination.chat.as_ref().filter(answers_here);
        let hash = self.hasher.hash_one((&row.corp, chat, row.destination.to.as_ref().filter(|_| chat.is_none())));
        LaneKey { hash, gate: corp.map_or(self.gates - 1, |corp| corp.gate), is_shared: chat.is_some() }
    }
}

#[cfg(test)]
impl LaneKey {
    /// Some lane of the first API.
    pub const fn numbered(hash: u64) -> Self {
        LaneKey { hash, gate: 0, is_shared: true }
    }
}
