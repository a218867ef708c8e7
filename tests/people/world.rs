//! A pipeline over either store, spoken to as people do.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::act::Act;
use jifen::model::cells::AccountCell;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Look, Place, Said, Via};
use jifen::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, FingerprintKey, KeyBytes, RulesHash};
use jifen::pipeline::merge::{Merge, Refused};
use jifen::pipeline::unmerge::Unmerge;
use jifen::pipeline::{Done, Pipeline, Silent, Work};
use jifen::rules::file;
use jifen::store::memory::MemoryStore;
use jifen::store::proof::{Proof, ProofKey};
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;
use jifen::store::{Batch, Directory, Head, IdentityRow, Loaded, Past, PersonKey, Reader, Store, StoreError, Wants};
use jifen::verify::verify;

pub const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 10 }\n\n\
                         [speaking.talk]\npoints = 1\nmin_chars = 2\nmin_distinct = 2\ncool_down = \"0s\"\nmax_points = { day = 3 }\n";

/// Either store.
pub struct AnyStore(Box<dyn Store>);

impl Store for AnyStore {
    fn begin(&mut self) -> Result<Head, StoreError> {
        self.0.begin()
    }

    fn directory(&mut self) -> Result<Directory, StoreError> {
        self.0.directory()
    }

    fn admit(&mut self, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
        self.0.admit(keys)
    }

    fn load(&mut self, wants: &Wants) -> Result<Loaded, StoreError> {
        self.0.load(wants)
    }

    fn account(&mut self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        self.0.account(id)
    }

    fn past(&mut self, seq: EventSeq) -> Result<Option<Past>, StoreError> {
        self.0.past(seq)
    }

    fn proof(&mut self, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        self.0.proof(key)
    }

    fn looks(&mut self, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
        self.0.looks(campaign)
    }

    fn contents(&mut self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.contents(seq)
    }

    fn people_named(&mut self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        self.0.people_named(corp, name)
    }

    fn rules_text(&mut self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.0.rules_text(hash)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.commit(batch)
    }

    fn abort(&mut self) {
        self.0.abort();
    }

    fn disturbed(&mut self) -> Result<bool, StoreError> {
        self.0.disturbed()
    }
}

/// A pipeline, its reader, and a clock that every act moves on.
pub struct World {
    pub pipeline: Pipeline<AnyStore>,
    pub reader: Box<dyn Reader>,
    pub dir: Option<PathBuf>,
    next: u64,
}

/// 2026-11-16 00:00 in Shanghai and so many days and hours.
pub fn at(day: i64, hour: i64) -> Millis {
    Millis(1_794_758_400_000 + (day - 16) * 86_400_000 + hour * 3_600_000)
}

impl World {
    pub fn in_memory(rules: &str) -> World {
        let store = MemoryStore::default();
        let reader = Box::new(store.reader());
        World::of(AnyStore(Box::new(store)), reader, rules, None)
    }

    pub fn on_disk(name: &str, rules: &str) -> World {
        let dir = std::env::temp_dir().join(format!("jifen-people-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let (vault, path) = (Vault::new([7; 32]), dir.join("jifen.db"));
        let store = SqliteStore::open(&path, &vault).unwrap();
        let reader = Box::new(SqliteReader::open(&path, &vault).unwrap());
        World::of(AnyStore(Box::new(store)), reader, rules, Some(dir))
    }

    /// The same story in both.
    pub fn both(name: &str, rules: &str, story: impl Fn(&mut World)) {
        for mut world in [World::in_memory(rules), World::on_disk(name, rules)] {
            story(&mut world);
            world.prove();
        }
    }

    fn of(store: AnyStore, reader: Box<dyn Reader>, rules: &str, dir: Option<PathBuf>) -> World {
        let (rules, _) = file::load(rules).unwrap();
        let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(Arc::new(rules))), FingerprintKey::new(b"test"), Box::new(Silent));
        World { pipeline, reader, dir, next: 0 }
    }

    pub fn identity(who: &str) -> Identity {
        Identity { kind: IdentityKind::Userid, value: who.into() }
    }

    pub fn event(&mut self, who: &str, when: Millis, kind: Kind) -> Event {
        self.next += 1;
        Event {
            key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(&self.next.to_string()) },
            corp: "acme".into(),
            at: when,
            received_at: when,
            clamped: false,
            place: Place::Group { chat: "wrA".into(), kind: GroupKind::Internal, title: None },
            who: Some(World::identity(who)),
            name: None,
            via: Via { channel: Channel::Archive, ..Via::default() },
            kind,
        }
    }

    /// Somebody says something; its number, by which it can be taken back.
    pub fn says(&mut self, who: &str, when: Millis, text: &str) -> u64 {
        let event = self.event(who, when, Kind::Said(Said { text: text.into(), ..Said::default() }));
        self.pipeline.hear(event).unwrap();
        self.next
    }

    pub fn takes_back(&mut self, who: &str, when: Millis, message: u64) {
        let event = self.event(who, when, Kind::Recalled { of: KeyBytes::of(&message.to_string()) });
        self.pipeline.hear(event).unwrap();
    }

    /// An operator gives points, or takes them.
    pub fn grants(&mut self, who: &str, when: Millis, points: i64) {
        let act = Act::Granted { points, by: "laoban".into(), reason: "试".into(), batch: None, waits: false };
        let event = self.event(who, when, Kind::Did(act));
        let event = Event { place: Place::Books { campaign: "main".into(), chat: None }, ..event };
        self.pipeline.hear(event).unwrap();
    }

    pub fn opens(&mut self, who: &str, when: Millis, points: i64) -> Done {
        let event = self.event(who, when, Kind::Did(Act::Opened { points }));
        self.pipeline.hear(Event { place: Place::Books { campaign: "main".into(), chat: None }, ..event }).unwrap()
    }

    pub fn merge(&mut self, from: &str, into: &str, when: Millis) -> Result<EventSeq, Refused> {
        let merge = Merge { corp: "acme".into(), from: World::identity(from), into: World::identity(into), at: when, may_be_new: false };
        self.pipeline.reunite(Work::Merge(Box::new(merge))).unwrap()
    }

    pub fn unmerge(&mut self, merge: EventSeq, when: Millis) -> Result<EventSeq, Refused> {
        self.pipeline.reunite(Work::Unmerge(Box::new(Unmerge { corp: "acme".into(), merge, at: when }))).unwrap()
    }

    /// The account that an id leads to.
    pub fn account(&self, who: &str) -> AccountCell {
        let identity = Identity { kind: IdentityKind::Userid, value: World::identity(who).folded().into() };
        let person = self.reader.person(&PersonKey { corp: "acme".into(), identity }).unwrap();
        let member = person.and_then(|person| person.member);
        member.and_then(|member| self.reader.accounts_of(member).unwrap().into_iter().next()).unwrap_or_default()
    }

    pub fn balance(&self, who: &str) -> i64 {
        self.account(who).available
    }

    /// The whole ledger holds.
    pub fn prove(&self) {
        let report = verify(&*self.reader, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{:#?}", report.findings);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir
            && !std::thread::panicking()
        {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}
