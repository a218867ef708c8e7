//! The program under the same acts, and how its books are compared with the model's.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::act;
use jifen::model::cells::AccountCell;
use jifen::model::day::{Day, Millis};
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{AccountId, EventKey, FingerprintKey, KeyBytes, MemberId, PostingSeq};
use jifen::model::journal::AccountRef;
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::store::{PersonKey, Reader};

use crate::model::{Act, Model, RULES, RULES_TOML};

/// Monday 2026-11-16 00:00 in Shanghai, and its business day.
const MONDAY_MILLIS: i64 = 1_794_758_400_000;
const MONDAY: i32 = 20_773;
const DAY_SECS: i64 = 86_400;

/// xorshift64*: the same history for the same seed, on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// What an account does on a day: most of it in time, some of it days late.
pub fn history(rng: &mut Rng, model: &mut Model, day: i64, most: u64) -> Vec<Act> {
    let mut said: Vec<u64> = model.messages.iter().map(|(id, _, _)| *id).collect();
    let mut acts = Vec::new();
    for number in 0..=rng.below(most) {
        let id = model.acts * 8 + number + 1;
        let late = if rng.below(3) == 0 { rng.below(9) as i64 } else { 0 };
        acts.push(match rng.below(8) {
            0 | 1 => Act::Spent { id, amount: 1 + rng.below(15) as i64 },
            2 if !said.is_empty() => Act::Recalled { id: said.swap_remove(rng.below(said.len() as u64) as usize) },
            _ => Act::Said {
                id,
                day: (day - late).max(0),
                second: rng.below(86_000) as i64,
                rule: rng.below(RULES.len() as u64) as usize,
                doubled: rng.below(8) == 0,
            },
        });
    }
    acts
}

/// The program over a store in memory.
pub struct Town {
    pipeline: Pipeline<MemoryStore>,
    reader: MemoryReader,
    rules: Arc<Rules>,
    batch: usize,
    works: Vec<Work>,
}

/// What one account's postings come to: by code, and its lots.
type Book = (i64, Vec<(Option<Day>, Option<Day>, i64)>, BTreeMap<String, i64>);

impl Town {
    pub fn new(batch: usize) -> Self {
        let store = MemoryStore::default();
        let reader = store.reader();
        let rules = Arc::new(file::load(RULES_TOML).expect("the rules are right").0);
        let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules.clone())), FingerprintKey::new(b"test"), Box::new(Silent));
        Town { pipeline, reader, rules, batch, works: Vec::new() }
    }

    pub fn due(&mut self, member: usize, day: i64) {
        let at = MONDAY_MILLIS + day * DAY_SECS * 1_000;
        let kind = Kind::Did(act::Act::Due { job: "expiry".into(), slot: i64::from(MONDAY) + day });
        self.hears(event("clock", &format!("expiry/{member}/{day}"), member, at, books(), kind));
    }

    /// Acts of operators come at the end of the day; messages bring their own time.
    pub fn does(&mut self, member: usize, day: i64, act: &Act) {
        let now = MONDAY_MILLIS + (day * DAY_SECS + 86_399) * 1_000;
        let group = Place::Group { chat: "wrDemoGroup".into(), kind: GroupKind::Internal, title: None };
        let said = |id: u64| format!("{member}/{id}");
        let event = match act {
            Act::Said { id, day, second, rule, .. } => {
                let kind = Kind::Said(Said { text: RULES[*rule].word.into(), ..Said::default() });
                event("archive", &said(*id), member, MONDAY_MILLIS + (day * DAY_SECS + second) * 1_000, group, kind)
            }
            Act::Recalled { id } => {
                event("archive", &format!("r{}", said(*id)), member, now, group, Kind::Recalled { of: KeyBytes::digest(said(*id).as_bytes()) })
            }
            Act::Spent { id, amount } => {
                let kind = Kind::Did(act::Act::Opened { points: -amount });
                event("operator", &format!("s{}", said(*id)), member, now, books(), kind)
            }
        };
        self.hears(event);
    }

    fn hears(&mut self, event: Event) {
        self.works.push(Work::Hear(Box::new(self.pipeline.prepare(&self.rules, event))));
        if self.works.len() >= self.batch {
            self.commit();
        }
    }

    pub fn commit(&mut self) {
        if !self.works.is_empty() {
            self.pipeline.run(&self.works).expect("memory never fails");
            self.works.clear();
        }
    }

    /// All accounts, by member.
    pub fn accounts(&self) -> HashMap<MemberId, AccountCell> {
        let accounts = self.reader.accounts(AccountId(0), usize::MAX >> 1).expect("readable");
        accounts.into_iter().map(|account| (account.key.member, account)).collect()
    }

    /// An account after a day against the model.
    pub fn compare(&self, accounts: &HashMap<MemberId, AccountCell>, member: usize, model: &Model, day: i64) {
        let key = PersonKey { corp: "acme".into(), identity: who(member) };
        let person = self.reader.person(&key).expect("readable");
        let account = person.and_then(|person| accounts.get(&person.member?)).cloned().unwrap_or_default();
        let (state, today) = (&account.state, Day(MONDAY + day as i32));
        let lots: BTreeMap<_, _> = state.joined(today).iter().map(|lot| ((lot.vests_on.map(number), lot.expires_on.map(number)), lot.amount)).collect();
        assert_eq!(lots, model.lots, "the lots of {member} after day {day}");
        assert_eq!(account.available, model.balance(), "the balance of {member} after day {day}");
        for ahead in [0, 3] {
            assert_eq!(state.spendable(Day(today.0 + ahead)), model.spendable(day + i64::from(ahead)), "{member} on day {day} + {ahead}");
        }
    }

    /// The books prove themselves.
    pub fn prove(&self) {
        let report = jifen::verify::verify(&self.reader, &mut |_| {}).expect("readable");
        assert!(report.is_sound(), "{:?}", report.findings);
    }

    pub fn books(&self) -> BTreeMap<AccountId, Book> {
        let mut books: BTreeMap<AccountId, Book> = BTreeMap::new();
        for cell in self.reader.accounts(AccountId(0), usize::MAX >> 1).expect("readable") {
            let lots = cell.state.lots.iter().map(|lot| (lot.vests_on, lot.expires_on, lot.amount)).collect();
            books.insert(cell.id, (cell.available, lots, BTreeMap::new()));
        }
        for posting in self.reader.postings(PostingSeq(1), usize::MAX >> 1).expect("readable") {
            let (account, amount) = match (posting.src, posting.dst) {
                (AccountRef::Member(id), _) => (id, -posting.amount),
                (_, AccountRef::Member(id)) => (id, posting.amount),
                (AccountRef::System { .. }, AccountRef::System { .. }) => panic!("a posting without a member"),
            };
            *books.get_mut(&account).expect("it is there").2.entry(posting.code.to_string()).or_default() += amount;
        }
        books
    }
}

fn number(day: Day) -> i64 {
    i64::from(day.0 - MONDAY)
}

fn books() -> Place {
    Place::Books { campaign: "main".into(), chat: None }
}

fn who(member: usize) -> Identity {
    Identity { kind: IdentityKind::Userid, value: format!("m{member}").as_str().into() }
}

fn event(source: &str, id: &str, member: usize, at: i64, place: Place, kind: Kind) -> Event {
    Event {
        key: EventKey { source: format!("acme/{source}").as_str().into(), key: KeyBytes::digest(id.as_bytes()) },
        corp: "acme".into(),
        at: Millis(at),
        received_at: Millis(at),
        clamped: false,
        place,
        who: Some(who(member)),
        name: None,
        via: Via { channel: Channel::Replay, ..Via::default() },
        kind,
    }
}
