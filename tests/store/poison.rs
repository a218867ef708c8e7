//! A row of the outbox that cannot be read stops nobody else.

use crate::ledger::{AMING, Message, XIAOHONG, book, scratch};
use jifen::model::day::Millis;
use jifen::model::ids::{EventSeq, ReplyId};
use jifen::outbox::desk::{Composed, Desk, ReaderDesk};
use jifen::outbox::manners::Room;
use jifen::store::reply_id;
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::Vault;

#[test]
fn a_damaged_reply_is_told_from_the_others_and_they_are_read() {
    let (path, vault) = (scratch("poison").join("jifen.db"), Vault::new([7; 32]));
    let mut store = SqliteStore::open(&path, &vault).unwrap();
    for (id, who) in [("m-1", AMING), ("m-2", XIAOHONG), ("m-3", AMING)] {
        assert!(book(&mut store, Message::new(id, "2026-11-22T09:00:00+08:00", who, 2)).unwrap());
    }
    let damaged = reply_id(EventSeq(2), 0);
    rusqlite::Connection::open(&path).unwrap().execute("UPDATE outbox SET sealed = x'00' WHERE id = ?1", [damaged.0]).unwrap();
    let mut desk = ReaderDesk::new(Box::new(SqliteReader::open(&path, &vault).unwrap()));
    let opened = desk.open(ReplyId(0), 10).unwrap();
    let ids: Vec<Result<ReplyId, ReplyId>> = opened.iter().map(|one| one.as_ref().map(|row| row.id).map_err(|(id, _)| *id)).collect();
    assert_eq!(ids, [Ok(reply_id(EventSeq(1), 0)), Err(damaged), Ok(reply_id(EventSeq(3), 0))]);
    assert!(opened[1].as_ref().is_err_and(|(_, reason)| reason.contains("outbox")));
    let room = Room { shared: true, crowded: false };
    assert!(matches!(desk.compose(damaged, room, Millis(0)), Composed::Broken(reason) if reason.contains("outbox")));
    assert!(matches!(desk.compose(reply_id(EventSeq(3), 0), room, Millis(0)), Composed::Say { .. }));
}
