//! `verify` finds nothing in a sound store and every single damage in an unsound one.

use std::path::{Path, PathBuf};

use jifen::model::decision::{Outcome, Record};
use jifen::model::ids::EventSeq;
use jifen::store::Reader;
use jifen::store::codec::encode_record;
use jifen::store::memory::MemoryStore;
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;
use jifen::verify::{Report, verify};

use crate::ledger::{AMING, Message, XIAOHONG, book, scratch};

const MASTER: [u8; 32] = [7; 32];

/// Four messages of two members, three of them paid, one heard after the last posting.
pub fn messages() -> [Message; 5] {
    [
        Message::new("m-1", "2026-11-21T09:00:00+08:00", AMING, 2),
        Message::new("m-2", "2026-11-21T09:01:00+08:00", XIAOHONG, 2),
        Message::new("m-3", "2026-11-22T09:02:00.250+08:00", AMING, 12),
        Message { code: "speaking.evening", text: "=今天骑了二十公里", ..Message::new("m-4", "2026-11-22T20:03:00+08:00", XIAOHONG, 1) },
        Message::new("m-5", "2026-11-22T20:04:00+08:00", AMING, 0),
    ]
}

fn proved(reader: &dyn Reader) -> Report {
    verify(reader, &mut |_| {}).unwrap()
}

fn sqlite(name: &str) -> PathBuf {
    let path = scratch(name).join("jifen.db");
    let mut store = SqliteStore::open(&path, &Vault::new(MASTER)).unwrap();
    for message in messages() {
        assert!(book(&mut store, message).unwrap());
    }
    path
}

/// The names of what is found after this was done to a copy of the file, behind the program's back.
fn found_after(original: &Path, damage: &str) -> Vec<&'static str> {
    let path = original.with_extension("damaged");
    std::fs::copy(original, &path).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    let triggers: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for trigger in triggers {
        db.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    }
    db.execute_batch(&format!("PRAGMA ignore_check_constraints = ON; {damage};")).unwrap_or_else(|error| panic!("{damage}: {error}"));
    drop(db);
    let reader = SqliteReader::open(&path, &Vault::new(MASTER)).unwrap();
    proved(&reader).findings.iter().map(|finding| finding.name).collect()
}

#[test]
fn a_sound_store_is_proved_whole() {
    let mut memory = MemoryStore::default();
    for message in messages() {
        assert!(book(&mut memory, message).unwrap());
    }
    let path = sqlite("sound");
    for reader in [&memory.reader() as &dyn Reader, &SqliteReader::open(&path, &Vault::new(MASTER)).unwrap()] {
        let report = proved(reader);
        assert_eq!(report, Report { events: 5, postings: 4, accounts: 2, repair_limited: 0, findings: vec![] });
    }
    assert!(found_after(&path, "SELECT 1").is_empty(), "the way we damage files does no damage itself");
}

#[test]
fn an_empty_store_is_sound() {
    assert!(proved(&MemoryStore::default().reader()).is_sound());
}

#[test]
fn every_changed_number_of_a_posting_an_event_or_an_account_is_found() {
    let path = sqlite("numbers");
    let postings = ["event", "ord", "code", "src", "src_part", "dst", "dst_part", "amount", "day", "expires_on"];
    let events = ["received_at", "at", "day", "identity", "account", "source", "grp", "campaign", "kind", "rules", "prev", "first_posting"];
    let accounts = ["campaign", "grp", "member", "available", "held", "lifetime", "frontier", "last_event"];
    for (table, columns) in [("posting", &postings[..]), ("event", &events[..]), ("account", &accounts[..])] {
        for column in columns {
            for by in [1, 7] {
                let damage = format!("UPDATE {table} SET {column} = {column} + {by} WHERE rowid = (SELECT max(rowid) FROM {table} WHERE {column} IS NOT NULL)");
                assert!(!found_after(&path, &damage).is_empty(), "{damage}");
            }
        }
    }
    for (table, columns) in [("posting", &["vests_on", "reverses", "slot_event"][..]), ("event", &["account", "prev", "first_posting"][..])] {
        for column in columns {
            assert!(!found_after(&path, &format!("UPDATE {table} SET {column} = coalesce({column} + 1, 1)")).is_empty(), "{table}.{column}");
        }
    }
}

#[test]
fn every_changed_byte_of_a_record_a_state_a_link_or_a_digest_is_found() {
    let path = sqlite("bytes");
    let db = rusqlite::Connection::open(&path).unwrap();
    for (table, column, row) in [("event", "record", 1), ("event", "record", 5), ("account", "state", 2), ("posting", "link", 3), ("posting", "digest", 4)] {
        let bytes: Vec<u8> = db.query_row(&format!("SELECT {column} FROM {table} WHERE rowid = {row}"), [], |found| found.get(0)).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let hex: String = damaged.iter().map(|byte| format!("{byte:02x}")).collect();
            let damage = format!("UPDATE {table} SET {column} = x'{hex}' WHERE rowid = {row}");
            assert!(!found_after(&path, &damage).is_empty(), "{table}.{column} {row}, byte {at}");
        }
    }
}

#[test]
fn each_damage_is_called_by_its_name() {
    let path = sqlite("names");
    for (damage, name) in [
        ("INSERT INTO board_hidden VALUES (1)", "INV-board-hidden"),
        ("INSERT INTO board_hidden VALUES (99)", "INV-board-hidden"),
        ("DELETE FROM event WHERE seq = 2", "INV-event-dense"),
        ("DELETE FROM posting WHERE seq = 2", "INV-posting-dense"),
        ("DELETE FROM event WHERE seq = 5", "INV-head"),
        ("DELETE FROM posting WHERE seq = 4", "INV-first-posting"),
        ("UPDATE posting SET amount = 0 WHERE seq = 1", "INV-amount"),
        ("UPDATE posting SET src = dst WHERE seq = 1", "INV-two-sides"),
        ("UPDATE posting SET amount = 99 WHERE seq = 3", "INV-verdict-booked"),
        ("UPDATE posting SET day = day + 1 WHERE seq = 3", "INV-chain"),
        ("UPDATE event SET at = at + 1 WHERE seq = 5", "INV-chain"),
        ("UPDATE name SET text = 'check_in.weekly' WHERE text = 'check_in.daily'", "INV-chain"),
        ("UPDATE shard SET event = 9000000000000000000", "INV-head"),
        ("UPDATE shard SET link = zeroblob(32)", "INV-chain"),
        ("UPDATE event SET record = x'09'", "INV-readable"),
        ("UPDATE account SET available = available + 1", "INV-account-fold"),
        ("UPDATE account SET available = available + 1", "INV-lots"),
        ("DELETE FROM account WHERE id = 1", "INV-account-exists"),
        ("UPDATE event SET prev = 2 WHERE seq = 3", "INV-prev"),
        ("UPDATE event SET campaign = 2 WHERE seq = 3", "INV-account-place"),
        ("UPDATE event SET source = NULL WHERE seq = 3", "INV-event-source"),
        ("UPDATE source SET name = 'acme/app/1'", "INV-event-source"),
        ("UPDATE event_key SET seq = 1", "INV-event-key"),
        ("DELETE FROM event_key WHERE seq = 3", "INV-event-key"),
        ("UPDATE outbox SET id = id + 9000 WHERE id = (SELECT max(id) FROM outbox)", "INV-reply-event"),
        ("UPDATE rules_version SET text = text || '#'", "INV-rules-version"),
        ("DELETE FROM rules_version", "INV-rules-version"),
    ] {
        let found = found_after(&path, damage);
        assert!(found.contains(&name), "{damage}: {found:?}");
    }
}

#[test]
fn a_message_that_never_waited_cannot_have_been_decided_again() {
    let path = sqlite("unparked");
    let record = Record { outcome: Outcome::Unparked { of: EventSeq(1), alone: false }, ..Record::default() };
    let hex: String = encode_record(&record).iter().map(|byte| format!("{byte:02x}")).collect();
    let found = found_after(&path, &format!("UPDATE event SET record = x'{hex}' WHERE seq = 5"));
    assert!(found.contains(&"INV-unparked"), "{found:?}");
}

#[test]
fn the_first_bad_row_is_named() {
    let path = sqlite("first");
    let damaged = path.with_extension("damaged");
    found_after(&path, "UPDATE posting SET amount = 99 WHERE seq = 3");
    let report = proved(&SqliteReader::open(&damaged, &Vault::new(MASTER)).unwrap());
    let chain = report.findings.iter().find(|finding| finding.name == "INV-chain").unwrap();
    assert_eq!(chain.seq, Some(3));
    assert!(chain.text.contains("记账 3"), "{}", chain.text);
}
