//! One story, told to every store: messages come, are booked once, answered, read back, and survive what happens to the process.

use std::sync::Arc;

use crate::ledger::{AMING, Message, RULES, XIAOHONG, batch, book, corp, key, person_key, scratch};
use jifen::model::cells::AccountKey;
use jifen::model::ids::{AccountId, EventSeq, IdentityId, KeyBytes, PostingSeq, ReplyId, RulesHash};
use jifen::store::memory::MemoryStore;
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;
use jifen::store::{Batch, Overrule, Reader, ReplyOutcome, ReplyState, Store, StoreError, Wants, reply_id};

const MORNING: &str = "2026-11-22T09:00:00+08:00";

/// The story itself. Afterwards 阿明 has 7 points from two messages, 小红 none.
fn story(store: &mut impl Store, reader: &dyn Reader) {
    assert_eq!(store.begin().unwrap().event, EventSeq(0));
    store.abort();

    assert!(book(store, Message::new("m-1", MORNING, AMING, 2)).unwrap());
    assert!(book(store, Message::new("m-2", MORNING, XIAOHONG, 0)).unwrap());
    assert!(!book(store, Message::new("m-1", MORNING, AMING, 2)).unwrap(), "the second copy is known");
    assert!(book(store, Message::new("4561255354251345929", "2026-11-23T09:00:00+08:00", ("aming", "阿明"), 5)).unwrap());

    what_was_booked_is_read_back(store, reader);
    the_database_itself_refuses_a_second_copy(store, reader);
    what_is_aborted_never_was(store, reader);
    a_reply_lives_its_life(store, reader);
    an_operator_overrules_what_stands_as_it_was_seen(store, reader);
    an_event_is_found_by_its_order(reader);
    the_outbox_is_held_until_it_is_let_go(store, reader);
    a_frozen_reader_stands_still(store, reader);
}

fn what_was_booked_is_read_back(store: &mut impl Store, reader: &dyn Reader) {
    let head = reader.head().unwrap();
    assert_eq!((head.event, head.posting, head.account, head.member.0, head.identity.0), (EventSeq(3), PostingSeq(2), AccountId(1), 1, 2));
    assert_eq!(store.begin().unwrap(), head);
    assert_eq!(store.directory().unwrap(), reader.directory().unwrap());
    assert_eq!(store.admit(&[key("m-2"), key("m-9")]).unwrap(), [Some(EventSeq(2)), None]);

    let wants = Wants { people: vec![person_key("AMING"), person_key("xiaohong"), person_key("nobody")], accounts_of: vec![head.member], ..Wants::default() };
    let loaded = store.load(&wants).unwrap();
    assert_eq!(loaded.people.len(), 2);
    assert_eq!(loaded.people[&person_key("aming")].name.as_deref(), Some("阿明"));
    assert_eq!(loaded.people[&person_key("xiaohong")].member, None, "who never earned is no member");
    let cell = loaded.accounts.values().next().unwrap();
    assert_eq!((cell.available, cell.held, cell.lifetime, cell.last_event), (7, 0, 7, EventSeq(3)));
    let by_name = store.load(&Wants { accounts: vec![cell.key, AccountKey::default()], ..Wants::default() }).unwrap();
    assert_eq!(by_name.accounts, loaded.accounts);
    store.abort();

    assert_eq!(reader.account(cell.id).unwrap().as_ref(), Some(cell));
    assert_eq!(reader.accounts(AccountId(0), 10).unwrap(), std::slice::from_ref(cell));
    assert_eq!(reader.accounts(cell.id, 10).unwrap(), []);
    assert_eq!(reader.accounts_of(cell.key.member).unwrap(), std::slice::from_ref(cell));
    assert_eq!(reader.person(&person_key("aming")).unwrap().as_ref(), loaded.people.get(&person_key("aming")));
    let spellings: Vec<Arc<str>> = reader.identities_of(cell.key.member).unwrap().into_iter().map(|row| row.identity.value).collect();
    assert_eq!(spellings, [Arc::from("AMing")], "two spellings of a userid are one person, shown as first seen");
    assert_eq!(reader.identity(IdentityId(2)).unwrap().unwrap().identity.value.as_ref(), "xiaohong");
    assert_eq!(reader.member(cell.key.member).unwrap().unwrap().name.as_deref(), Some("阿明"));

    let events = reader.events(EventSeq(1), 10).unwrap();
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(reader.events(EventSeq(2), 1).unwrap(), events[1..2]);
    assert_eq!(reader.event(EventSeq(3)).unwrap().as_ref(), Some(&events[2]));
    assert_eq!((events[0].prev, events[2].prev), (None, Some(EventSeq(1))));
    assert_eq!(reader.event(EventSeq(4)).unwrap(), None);
    assert_eq!(reader.contents(EventSeq(1)).unwrap().as_deref(), Some("{\"text\":\"签到\"}".as_bytes()));
    assert_eq!(reader.find_events(KeyBytes::of("m-1")).unwrap(), [(Arc::from("acme/archive"), EventSeq(1))]);
    assert_eq!(reader.rules_text(RulesHash::of(RULES)).unwrap().as_deref(), Some(RULES));
    assert_eq!(reader.rules_text(RulesHash::of("")).unwrap(), None);

    let postings = reader.postings(PostingSeq(1), 10).unwrap();
    assert_eq!(postings.iter().map(|posting| (posting.event.0, posting.amount)).collect::<Vec<_>>(), [(1, 2), (3, 5)]);
    assert_eq!(reader.postings_of(EventSeq(3)).unwrap(), postings[1..]);
    assert_eq!(reader.postings_of(EventSeq(2)).unwrap(), []);
    assert_eq!(postings[1].link, head.chain.link[..16]);

    let keys = reader.keys(None, 10).unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(reader.keys(Some(&keys[0].0), 10).unwrap(), keys[1..]);
}

fn the_database_itself_refuses_a_second_copy(store: &mut impl Store, reader: &dyn Reader) {
    let before = reader.head().unwrap();
    let head = store.begin().unwrap();
    let copy = batch(store, head, Message::new("m-1", MORNING, AMING, 2)).unwrap();
    assert!(matches!(store.commit(&copy), Err(StoreError::Corrupt(_))));
    assert_eq!(reader.head().unwrap(), before);
    assert_eq!(reader.events(EventSeq(4), 1).unwrap(), []);
}

fn what_is_aborted_never_was(store: &mut impl Store, reader: &dyn Reader) {
    let head = store.begin().unwrap();
    batch(store, head, Message { code: "speaking.evening", ..Message::new("m-3", MORNING, AMING, 1) }).unwrap();
    store.abort();
    assert_eq!(reader.find_events(KeyBytes::of("m-3")).unwrap(), []);
}

fn a_reply_lives_its_life(store: &mut impl Store, reader: &dyn Reader) {
    let ids = [reply_id(EventSeq(1), 0), reply_id(EventSeq(3), 0)];
    let open = |from| reader.open_replies(from, 10).unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(open(ids[0]), ids);
    assert_eq!(open(ids[1]), ids[1..]);
    let row = reader.replies_of(EventSeq(1)).unwrap().remove(0);
    assert_eq!((row.state, &*row.destination.name, row.corp), (ReplyState::Waiting, "阿明", corp()));

    settle(store, ReplyOutcome { id: ids[0], state: ReplyState::Sending, tries: 1, reason: None }).unwrap();
    assert_eq!(open(ids[0]), ids, "a claimed reply is still open");
    settle(store, ReplyOutcome { id: ids[0], state: ReplyState::Refused, tries: 1, reason: Some("45009 接口调用超过限制".into()) }).unwrap();
    assert_eq!(open(ids[0]), ids[1..]);
    let row = reader.replies_of(EventSeq(1)).unwrap().remove(0);
    assert_eq!((row.state, row.tries, row.reason.as_deref()), (ReplyState::Refused, 1, Some("45009 接口调用超过限制")));
    assert_eq!(reader.reply_ids(ids[0], 10).unwrap(), ids);

    let nobody = settle(store, ReplyOutcome { id: reply_id(EventSeq(2), 0), state: ReplyState::Sent, tries: 1, reason: None });
    assert!(matches!(nobody, Err(StoreError::Corrupt(_))), "an outcome of no reply");
}

/// The first reply is refused by now, the second waits.
fn an_operator_overrules_what_stands_as_it_was_seen(store: &mut impl Store, reader: &dyn Reader) {
    let ids = [reply_id(EventSeq(1), 0), reply_id(EventSeq(3), 0)];
    let mut overrule = |id, from, to, renewed_at| {
        let head = store.begin().unwrap();
        let overrule = Overrule { id, from, to, renewed_at, reason: "再发".into() };
        store.commit(&Batch { head, overrules: vec![overrule], ..Batch::default() }).unwrap();
        let row = reader.replies_of(EventSeq(id.0 / 16)).unwrap().remove(0);
        (row.state, row.tries, row.created_at)
    };
    let created_at = reader.replies_of(EventSeq(1)).unwrap()[0].created_at;
    let renewed_at = created_at.plus_secs(3_600);
    assert_eq!(overrule(ids[0], ReplyState::Unknown, ReplyState::Waiting, None), (ReplyState::Refused, 1, created_at), "it had moved on");
    assert_eq!(overrule(ids[0], ReplyState::Refused, ReplyState::Waiting, Some(renewed_at)), (ReplyState::Waiting, 0, renewed_at));
    assert_eq!(overrule(ids[1], ReplyState::Waiting, ReplyState::Suppressed, None).0, ReplyState::Suppressed);

    settle(store, ReplyOutcome { id: ids[1], state: ReplyState::Sent, tries: 1, reason: None }).unwrap();
    let states: Vec<ReplyState> = reader.replies_before(ReplyId(i64::MAX), 10).unwrap().iter().map(|row| row.state).collect();
    assert_eq!(states, [ReplyState::Suppressed, ReplyState::Waiting], "newest first; what is closed stays closed");
    assert_eq!(reader.replies_before(ids[1], 10).unwrap()[0].id, ids[0]);
    let claimed = settle(store, ReplyOutcome { id: ids[1], state: ReplyState::Sending, tries: 1, reason: None });
    assert!(matches!(claimed, Err(StoreError::Corrupt(_))), "what is closed cannot be claimed");

    for held in [true, false] {
        let head = store.begin().unwrap();
        store.commit(&Batch { head, outbox_held: Some(held), ..Batch::default() }).unwrap();
        assert_eq!(reader.outbox_held().unwrap(), held);
    }
}

fn an_event_is_found_by_its_order(reader: &dyn Reader) {
    assert_eq!(reader.waiting(EventSeq(1), 10).unwrap(), [], "all were decided");
    for id in ["m-1", "4561255354251345929"] {
        let (_, seq) = reader.find_events(KeyBytes::of(id)).unwrap()[0].clone();
        assert_eq!(reader.key_of(seq, KeyBytes::of(id).order()).unwrap(), Some(key(id)));
        assert_eq!(reader.key_of(EventSeq(99), KeyBytes::of(id).order()).unwrap(), None);
    }
}

fn settle(store: &mut impl Store, outcome: ReplyOutcome) -> Result<(), StoreError> {
    let head = store.begin()?;
    store.commit(&Batch { head, outcomes: vec![outcome], ..Batch::default() })
}

fn the_outbox_is_held_until_it_is_let_go(store: &mut impl Store, reader: &dyn Reader) {
    let mut held_after = |outbox_held| {
        let head = store.begin().unwrap();
        store.commit(&Batch { head, outbox_held, ..Batch::default() }).unwrap();
        reader.outbox_held().unwrap()
    };
    assert_eq!([None, Some(true), None, Some(false), None].map(&mut held_after), [false, true, true, false, false]);
}

fn a_frozen_reader_stands_still(store: &mut impl Store, reader: &dyn Reader) {
    reader.freeze().unwrap();
    assert!(book(store, Message::new("m-4", MORNING, XIAOHONG, 0)).unwrap());
    assert_eq!(reader.head().unwrap().event, EventSeq(3));
    assert_eq!(reader.event(EventSeq(4)).unwrap(), None);
    reader.thaw();
    assert_eq!(reader.head().unwrap().event, EventSeq(4));
}

#[test]
fn the_story_holds_in_memory() {
    let mut store = MemoryStore::default();
    let reader = store.reader();
    story(&mut store, &reader);
}

#[test]
fn the_story_holds_in_sqlite_and_after_a_restart() {
    let path = scratch("story").join("jifen.db");
    let vault = Vault::new([7; 32]);
    let mut store = SqliteStore::open(&path, &vault).unwrap();
    let reader = SqliteReader::open(&path, &vault).unwrap();
    story(&mut store, &reader);

    let head = reader.head().unwrap();
    drop((store, reader));
    let mut store = SqliteStore::open(&path, &vault).unwrap();
    let reader = SqliteReader::open(&path, &vault).unwrap();
    assert_eq!(store.begin().unwrap(), head);
    store.abort();
    assert!(!book(&mut store, Message::new("m-1", MORNING, AMING, 2)).unwrap(), "known for ever");
    assert_eq!(reader.contents(EventSeq(1)).unwrap().as_deref(), Some("{\"text\":\"签到\"}".as_bytes()));
}

#[test]
fn two_writers_take_turns_and_see_each_other() {
    let path = scratch("turns").join("jifen.db");
    let vault = Vault::new([7; 32]);
    let mut daemon = SqliteStore::open(&path, &vault).unwrap();
    let mut verb = SqliteStore::open(&path, &vault).unwrap();
    assert!(book(&mut daemon, Message::new("m-1", MORNING, AMING, 2)).unwrap());
    assert!(book(&mut verb, Message { code: "speaking.evening", ..Message::new("m-2", MORNING, XIAOHONG, 1) }).unwrap());
    assert!(!book(&mut daemon, Message::new("m-2", MORNING, XIAOHONG, 1)).unwrap());
    assert!(book(&mut daemon, Message { code: "speaking.evening", ..Message::new("m-3", MORNING, AMING, 1) }).unwrap());
    assert_eq!(daemon.begin().unwrap().event, EventSeq(3));
}

#[test]
fn a_writer_notices_what_another_one_wrote_and_not_what_it_wrote_itself() {
    let path = scratch("disturbed").join("jifen.db");
    let vault = Vault::new([7; 32]);
    let mut daemon = SqliteStore::open(&path, &vault).unwrap();
    let mut verb = SqliteStore::open(&path, &vault).unwrap();
    assert!(book(&mut daemon, Message::new("m-1", MORNING, AMING, 2)).unwrap());
    assert!(!daemon.disturbed().unwrap());
    let head = verb.begin().unwrap();
    verb.commit(&Batch { head, outbox_held: Some(true), ..Batch::default() }).unwrap();
    assert!(daemon.disturbed().unwrap());
    assert!(!daemon.disturbed().unwrap(), "once");
}

#[test]
fn neither_texts_nor_names_can_be_read_in_the_file() {
    let directory = scratch("sealed");
    let path = directory.join("jifen.db");
    let vault = Vault::new([7; 32]);
    let mut store = SqliteStore::open(&path, &vault).unwrap();
    book(&mut store, Message { text: "今天骑了二十公里", ..Message::new("m-1", MORNING, AMING, 2) }).unwrap();
    let bytes = |name: &str| std::fs::read(directory.join(name)).unwrap_or_default();
    let written = [bytes("jifen.db"), bytes("jifen.db-wal")].concat();
    let holds = |text: &str| written.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("check_in.daily"), "the search finds what is there");
    assert!(!holds("今天骑了二十公里") && !holds("阿明"));
}

#[test]
fn a_destroyed_day_key_takes_the_contents_and_nothing_else() {
    let path = scratch("erased").join("jifen.db");
    let vault = Vault::new([7; 32]);
    let mut store = SqliteStore::open(&path, &vault).unwrap();
    book(&mut store, Message::new("m-1", MORNING, AMING, 2)).unwrap();
    let reader = || SqliteReader::open(&path, &vault).unwrap();
    let mut erase_before = |days: i64| {
        let head = store.begin().unwrap();
        let before = reader().event(EventSeq(1)).unwrap().unwrap().received_at.plus_secs(86_400 * days);
        store.commit(&Batch { head, erase_texts_before: Some(before), ..Batch::default() }).unwrap();
    };
    erase_before(0);
    assert!(reader().contents(EventSeq(1)).unwrap().is_some(), "the day itself is kept");
    erase_before(1);
    let reader = reader();
    assert_eq!(reader.contents(EventSeq(1)).unwrap(), None);
    assert_eq!(reader.open_replies(reply_id(EventSeq(1), 0), 10).unwrap(), []);
    assert_eq!(reader.postings_of(EventSeq(1)).unwrap()[0].amount, 2);
}

#[test]
fn the_file_itself_refuses_changes_of_the_journal_and_impossible_postings() {
    let path = scratch("guards").join("jifen.db");
    let mut store = SqliteStore::open(&path, &Vault::new([7; 32])).unwrap();
    book(&mut store, Message::new("m-1", MORNING, AMING, 2)).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    for refused in [
        "UPDATE posting SET amount = 3",
        "DELETE FROM posting",
        "UPDATE event SET at = 0",
        "DELETE FROM event",
        "UPDATE event_key SET seq = 2",
        "DELETE FROM event_key",
        "INSERT INTO posting SELECT seq + 1, event, ord, code, src, src_part, dst, dst_part, 0, day, NULL, NULL, NULL, NULL, link, digest FROM posting",
        "INSERT INTO posting SELECT seq + 1, event, ord, code, src, src_part, dst, dst_part, 9007199254740992, day, NULL, NULL, NULL, NULL, link, digest FROM posting",
        "INSERT INTO posting SELECT seq + 1, event, ord, code, src, src_part, src, src_part, 1, day, NULL, NULL, NULL, NULL, link, digest FROM posting",
        "UPDATE account SET held = -1",
        "INSERT INTO account SELECT 2, campaign, grp, member, 0, 0, 0, 0, 0, state FROM account",
    ] {
        assert!(db.execute_batch(refused).is_err(), "{refused}");
    }
}

#[test]
fn what_cannot_be_opened_is_refused_with_the_path_and_the_way_out() {
    let directory = scratch("refused");
    let path = directory.join("jifen.db");
    let vault = Vault::new([7; 32]);
    let refusal = |error: StoreError, says: &str| {
        let text = error.to_string();
        assert!(text.contains("jifen") && text.contains(says), "{text}");
    };
    refusal(SqliteReader::open(&path, &vault).err().unwrap(), "没有这个文件");
    drop(SqliteStore::open(&path, &vault).unwrap());
    refusal(SqliteStore::open(&path, &Vault::new([8; 32])).err().unwrap(), "主密钥");
    refusal(SqliteReader::open(&path, &Vault::new([8; 32])).err().unwrap(), "主密钥");

    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    refusal(SqliteStore::open(&path, &vault).err().unwrap(), ".before-99");
    refusal(SqliteReader::open(&path, &vault).err().unwrap(), "更新的 jifen");

    let text = directory.join("jifen.toml");
    std::fs::write(&text, "listen = \"127.0.0.1:8080\"\n".repeat(100)).unwrap();
    refusal(SqliteStore::open(&text, &vault).err().unwrap(), "不是 SQLite 数据库");
    refusal(SqliteStore::open(&directory.join("no/such/jifen.db"), &vault).err().unwrap(), "打不开");
}

#[test]
fn a_writer_that_is_kept_waiting_gives_up_with_nothing_written() {
    let path = scratch("busy").join("jifen.db");
    let mut store = SqliteStore::open(&path, &Vault::new([7; 32])).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.begin(), Err(StoreError::Aborted(_))));
    other.execute_batch("ROLLBACK").unwrap();
    assert!(book(&mut store, Message::new("m-1", MORNING, AMING, 2)).unwrap());
}
