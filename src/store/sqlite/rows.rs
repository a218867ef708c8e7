//! Rows and values: how each table's columns become a value of `model`, and which number stands for what.

use std::sync::Arc;

use rusqlite::{Connection, Params, Row};

use super::names::Names;
use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::{Day, Millis};
use crate::model::decision::Part;
use crate::model::event::{GroupKind, Identity, IdentityKind};
use crate::model::ids::{AccountId, CampaignId, EventSeq, GroupId, IdentityId, MemberId, PostingSeq, SourceId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::{IdentityRow, ReplyState, StoreError, codec};

/// Columns of `event`, as [`event`] reads them.
macro_rules! event_columns {
    () => {
        "seq, received_at, at, day, identity, account, grp, campaign, kind, rules, prev, first_posting, record, source"
    };
}

/// Columns of `posting`, as [`posting`] reads them.
macro_rules! posting_columns {
    () => {
        "seq, event, ord, code, src, src_part, dst, dst_part, amount, day, vests_on, expires_on, reverses, slot_event, link, digest"
    };
}

/// Columns of `account`, as [`account`] reads them.
macro_rules! account_columns {
    () => {
        "id, campaign, grp, member, available, held, lifetime, frontier, last_event, state"
    };
}

/// Columns of `identity`, as [`identity`] reads them.
macro_rules! identity_columns {
    () => {
        "id, corp, kind, value, member"
    };
}

/// Columns of `outbox`, as `read::reply` reads them.
macro_rules! reply_columns {
    () => {
        "id, created_at, state, tries, reason, corp, rules, day_key, sealed"
    };
}

pub(super) use {account_columns, event_columns, identity_columns, posting_columns, reply_columns};

/// Runs a cached statement and reads every row.
pub(super) fn all<T>(db: &Connection, sql: &str, params: impl Params, mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>) -> Result<Vec<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// Runs a cached statement and reads the first row.
pub(super) fn one<T>(db: &Connection, sql: &str, params: impl Params, read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

pub(super) fn event(db: &Connection, names: &mut Names, row: &Row<'_>) -> Result<EventRow, StoreError> {
    let seq: i64 = row.get(0)?;
    Ok(EventRow {
        seq: EventSeq(seq),
        received_at: Millis(row.get(1)?),
        at: Millis(row.get(2)?),
        day: Day(row.get(3)?),
        source: row.get::<_, Option<i64>>(13)?.map(SourceId),
        identity: row.get::<_, Option<i64>>(4)?.map(IdentityId),
        account: row.get::<_, Option<i64>>(5)?.map(AccountId),
        group: GroupId(row.get(6)?),
        campaign: row.get::<_, Option<i64>>(7)?.map(CampaignId),
        kind: names.text(db, row.get(8)?)?,
        rules: names.rules(db, row.get(9)?)?,
        prev: row.get::<_, Option<i64>>(10)?.map(EventSeq),
        first_posting: row.get::<_, Option<i64>>(11)?.map(PostingSeq),
        record: codec::decode_record(blob(row, 12)?).map_err(|error| named("event", seq, error))?,
    })
}

pub(super) fn posting(db: &Connection, names: &mut Names, row: &Row<'_>) -> Result<Posting, StoreError> {
    let seq: i64 = row.get(0)?;
    Ok(Posting {
        seq: PostingSeq(seq),
        event: EventSeq(row.get(1)?),
        ord: row.get(2)?,
        code: names.text(db, row.get(3)?)?,
        src: account_ref(seq, row.get(4)?)?,
        src_part: part(seq, row.get(5)?)?,
        dst: account_ref(seq, row.get(6)?)?,
        dst_part: part(seq, row.get(7)?)?,
        amount: row.get(8)?,
        day: Day(row.get(9)?),
        vests_on: row.get::<_, Option<i32>>(10)?.map(Day),
        expires_on: row.get::<_, Option<i32>>(11)?.map(Day),
        reverses: row.get::<_, Option<i64>>(12)?.map(PostingSeq),
        slot_event: row.get::<_, Option<i64>>(13)?.map(EventSeq),
        link: row.get(14)?,
        digest: row.get(15)?,
    })
}

pub(super) fn account(row: &Row<'_>) -> Result<AccountCell, StoreError> {
    let id: i64 = row.get(0)?;
    let key = AccountKey { campaign: CampaignId(row.get(1)?), group: GroupId(row.get(2)?), member: MemberId(row.get(3)?) };
    Ok(AccountCell {
        id: AccountId(id),
        key,
        available: row.get(4)?,
        held: row.get(5)?,
        lifetime: row.get(6)?,
        frontier: Millis(row.get(7)?),
        last_event: EventSeq(row.get(8)?),
        state: codec::decode_state(&key, blob(row, 9)?).map_err(|error| named("account", id, error))?,
    })
}

pub(super) fn identity(db: &Connection, names: &mut Names, row: &Row<'_>) -> Result<IdentityRow, StoreError> {
    let id: i64 = row.get(0)?;
    let kind = match row.get(2)? {
        0 => IdentityKind::Userid,
        1 => IdentityKind::External,
        other => return Err(impossible("identity", id, "kind", other)),
    };
    let value: Arc<str> = row.get::<_, String>(3)?.into();
    let member = row.get::<_, Option<i64>>(4)?.map(MemberId);
    Ok(IdentityRow { id: IdentityId(id), corp: names.text(db, row.get(1)?)?, identity: Identity { kind, value }, member })
}

pub(super) fn group_kind(id: i64, number: i64) -> Result<GroupKind, StoreError> {
    match number {
        0 => Ok(GroupKind::Internal),
        1 => Ok(GroupKind::Customer),
        other => Err(impossible("grp", id, "kind", other)),
    }
}

pub(super) fn reply_state(id: i64, number: i64) -> Result<ReplyState, StoreError> {
    let state = usize::try_from(number).ok().and_then(|number| ReplyState::ALL.get(number));
    state.copied().ok_or_else(|| impossible("outbox", id, "state", number))
}

pub(super) fn reply_state_number(state: ReplyState) -> i64 {
    state as i64
}

pub(super) fn identity_kind_number(kind: IdentityKind) -> i64 {
    match kind {
        IdentityKind::Userid => 0,
        IdentityKind::External => 1,
    }
}

pub(super) fn group_kind_number(kind: GroupKind) -> i64 {
    match kind {
        GroupKind::Internal => 0,
        GroupKind::Customer => 1,
    }
}

pub(super) fn part_number(part: Part) -> i64 {
    match part {
        Part::Available => 0,
        Part::Held => 1,
    }
}

fn part(seq: i64, number: i64) -> Result<Part, StoreError> {
    match number {
        0 => Ok(Part::Available),
        1 => Ok(Part::Held),
        other => Err(impossible("posting", seq, "part", other)),
    }
}

fn account_ref(seq: i64, number: i64) -> Result<AccountRef, StoreError> {
    AccountRef::from_number(number).ok_or_else(|| impossible("posting", seq, "src/dst", number))
}

fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], StoreError> {
    row.get_ref(column)?.as_blob().map_err(|error| StoreError::Corrupt(format!("第 {column} 列不是二进制内容({error})")))
}

fn impossible(table: &str, id: i64, column: &str, number: i64) -> StoreError {
    StoreError::Corrupt(format!("{table} 表 {id} 号的 {column} 是 {number},不可能"))
}

fn named(table: &str, id: i64, error: StoreError) -> StoreError {
    StoreError::Corrupt(format!("{table} 表 {id} 号:{error}"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::path::PathBuf;

    /// An empty directory of this test's own.
    pub(in crate::store) fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("jifen-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn every_reply_state_has_its_number() {
        for (number, state) in ReplyState::ALL.into_iter().enumerate() {
            assert_eq!(reply_state_number(state), number as i64);
            assert_eq!(state.is_open(), number < 2, "the index of open replies says state < 2");
        }
        assert!(reply_state(1, 7).is_err());
    }
}
