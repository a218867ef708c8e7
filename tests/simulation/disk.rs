//! Disks that fail: a store whose commits are refused, or end without anybody knowing how.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jifen::model::cells::AccountCell;
use jifen::model::event::Look;
use jifen::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, RulesHash};
use jifen::store::memory::MemoryStore;
use jifen::store::proof::{Proof, ProofKey};
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;
use jifen::store::{Batch, Directory, Head, IdentityRow, Loaded, Past, Reader, Store, StoreError, Wants};

use crate::rng::Rng;

/// Where the books of a world lie; outlives the process that writes them.
pub enum Disk {
    /// In memory: what was committed is there after a crash, what was not is gone.
    Memory(Arc<Mutex<MemoryStore>>),
    /// In an SQLite file.
    File { folder: PathBuf, vault: Vault },
}

impl Disk {
    /// An empty one; one world in five has a file.
    pub fn new(seed: u64) -> Disk {
        if !seed.is_multiple_of(5) {
            return Disk::Memory(Arc::default());
        }
        let fast = PathBuf::from("/dev/shm");
        let root = if fast.is_dir() { fast } else { std::env::temp_dir() };
        static NUMBER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = root.join(format!("jifen-simulation-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of our own can be made");
        Disk::File { folder, vault: Vault::new([7; 32]) }
    }

    /// Opens it for writing, as a starting process does.
    pub fn open(&self) -> Box<dyn Store> {
        match self {
            Disk::Memory(store) => Box::new(Shared(store.clone())),
            Disk::File { folder, vault } => Box::new(SqliteStore::open(&folder.join("jifen.db"), vault).expect("a sound file opens")),
        }
    }

    /// Opens it for reading.
    pub fn reader(&self) -> Box<dyn Reader> {
        match self {
            Disk::Memory(store) => Box::new(store.lock().expect("no panic").reader()),
            Disk::File { folder, vault } => Box::new(SqliteReader::open(&folder.join("jifen.db"), vault).expect("a sound file opens")),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Disk::File { folder, .. } = self {
            // Left behind, it costs only room.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A memory store that outlives its process.
struct Shared(Arc<Mutex<MemoryStore>>);

/// How often things go wrong, in a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Odds {
    pub aborted: u64,
    pub unknown: u64,
}

/// A store that fails now and then.
pub struct Flaky {
    pub store: Box<dyn Store>,
    pub rng: Arc<Mutex<Rng>>,
    pub odds: Arc<Mutex<Odds>>,
}

impl Flaky {
    fn chance(&self, per_mille: impl Fn(Odds) -> u64) -> bool {
        let per_mille = per_mille(*self.odds.lock().expect("no panic"));
        self.rng.lock().expect("no panic").once_in_a_while(per_mille)
    }
}

impl Store for Flaky {
    fn begin(&mut self) -> Result<Head, StoreError> {
        match self.chance(|odds| odds.aborted / 2) {
            true => Err(StoreError::Aborted("simulated: locked".into())),
            false => self.store.begin(),
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.chance(|odds| odds.aborted) {
            self.store.abort();
            return Err(StoreError::Aborted("simulated: disk full".into()));
        }
        if self.chance(|odds| odds.unknown) {
            match self.chance(|_| 500) {
                true => self.store.commit(batch)?,
                false => self.store.abort(),
            }
            return Err(StoreError::Unknown("simulated: fsync failed".into()));
        }
        self.store.commit(batch)
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        self.store.directory()
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        self.store.admit(keys)
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        self.store.load(wants)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.store.account(id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        self.store.past(seq)
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        self.store.proof(key)
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        self.store.looks(campaign)
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.contents(seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        self.store.people_named(corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.store.rules_text(hash)
    }

    fn abort(&mut self) {
        self.store.abort();
    }

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        self.store.disturbed()
    }
}

impl Store for Shared {
    fn begin(&mut self) -> Result<Head, StoreError> {
        self.0.lock().expect("no panic").begin()
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.lock().expect("no panic").commit(batch)
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        self.0.lock().expect("no panic").directory()
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        self.0.lock().expect("no panic").admit(keys)
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        self.0.lock().expect("no panic").load(wants)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.0.lock().expect("no panic").account(id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        self.0.lock().expect("no panic").past(seq)
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        self.0.lock().expect("no panic").proof(key)
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        self.0.lock().expect("no panic").looks(campaign)
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().expect("no panic").contents(seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        self.0.lock().expect("no panic").people_named(corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.0.lock().expect("no panic").rules_text(hash)
    }

    fn abort(&mut self) {
        self.0.lock().expect("no panic").abort();
    }

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        self.0.lock().expect("no panic").disturbed()
    }
}
