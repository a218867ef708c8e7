//! Reading: what the writer asks inside its batch, and [`Reader`] for everybody else.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::day_keys::DayKeys;
use super::names::Names;
use super::rows::{self, account_columns, all, event_columns, identity_columns, one, posting_columns, reply_columns};
use super::{SqliteReader, meta, proofs};
use crate::model::cells::{AccountCell, AccountKey};
use crate::model::day::Millis;
use crate::model::ids::{
    AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, IdentityId, KeyBytes, MemberId, PostingSeq, ReplyId, RulesHash, SourceId,
};
use crate::model::journal::{Chain, EventRow, GroupRow, Posting};
use crate::store::proof::{Proof, ProofKey};
use crate::store::vault::Vault;
use crate::store::{
    Directory, Earning, Head, IdentityRow, Loaded, MemberRow, Past, Person, PersonKey, REPLIES_PER_EVENT_MAX, Reader, ReplyRow, RulesChange, SharedKey,
    StoreError, Wants, codec, reply_id,
};

pub(super) fn head(db: &Connection) -> Result<Head, StoreError> {
    let mut statement = db.prepare_cached("SELECT event, posting, account, member, identity, grp, campaign, link, pending FROM shard")?;
    let head = statement.query_row([], |row| {
        Ok(Head {
            event: EventSeq(row.get(0)?),
            posting: PostingSeq(row.get(1)?),
            account: AccountId(row.get(2)?),
            member: MemberId(row.get(3)?),
            identity: IdentityId(row.get(4)?),
            group: row.get(5)?,
            campaign: row.get(6)?,
            chain: Chain { link: row.get(7)?, pending: row.get(8)? },
        })
    });
    Ok(head?)
}

/// Changes whenever another connection has committed, or has begun the WAL again (<https://sqlite.org/pragma.html#pragma_data_version>).
pub(super) fn data_version(db: &Connection) -> Result<i64, StoreError> {
    Ok(db.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

pub(super) fn directory(db: &Connection, names: &mut Names) -> Result<Directory, StoreError> {
    let groups = all(db, "SELECT id, corp, chat, title, kind FROM grp", [], |row| {
        let id: i64 = row.get(0)?;
        let chat: Arc<str> = row.get::<_, String>(2)?.into();
        let title = row.get::<_, Option<String>>(3)?.map(Arc::from);
        let group = GroupRow { id: GroupId(id), chat: chat.clone(), title, kind: rows::group_kind(id, row.get(4)?)? };
        Ok(((names.text(db, row.get(1)?)?, chat), group))
    })?;
    let campaigns = all(db, "SELECT id, corp, name FROM campaign", [], |row| {
        Ok(((names.text(db, row.get(1)?)?, row.get::<_, String>(2)?.into()), CampaignId(row.get(0)?)))
    })?;
    let sources =
        all(db, "SELECT id, corp, name FROM source", [], |row| Ok(((names.text(db, row.get(1)?)?, row.get::<_, String>(2)?.into()), SourceId(row.get(0)?))))?;
    Ok(Directory { groups: groups.into_iter().collect(), campaigns: campaigns.into_iter().collect(), sources: sources.into_iter().collect() })
}

pub(super) fn admit(db: &Connection, names: &mut Names, keys: &[EventKey]) -> Result<Vec<Option<EventSeq>>, StoreError> {
    let mut statement = db.prepare_cached("SELECT seq FROM event_key WHERE source = ?1 AND key = ?2")?;
    let mut known = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(source) = names.find(db, &key.source)? else {
            known.push(None);
            continue;
        };
        let seq: Option<i64> = statement.query_row(params![source, key.key.as_slice()], |row| row.get(0)).optional()?;
        known.push(seq.map(EventSeq));
    }
    Ok(known)
}

pub(super) fn load(db: &Connection, names: &mut Names, vault: &Vault, wants: &Wants) -> Result<Loaded, StoreError> {
    let (people, accounts) = (HashMap::with_capacity(wants.people.len()), HashMap::with_capacity(wants.accounts.len()));
    let mut loaded = Loaded { people, accounts, ..Loaded::default() };
    for key in &wants.people {
        if let Some(person) = person(db, names, vault, key)? {
            loaded.people.insert(key.clone(), person);
        }
    }
    for key in &wants.accounts {
        if let Some(cell) = account_by_key(db, key)? {
            loaded.accounts.insert(*key, cell);
        }
    }
    for key in &wants.shared {
        if let Some(taken) = taken(db, names, key)? {
            loaded.shared.insert(key.clone(), taken);
        }
    }
    for member in &wants.identities_of {
        loaded.identities.extend(identities_of(db, names, *member)?);
    }
    for member in &wants.accounts_of {
        loaded.accounts.extend(accounts_of(db, *member)?.into_iter().map(|cell| (cell.key, cell)));
    }
    Ok(loaded)
}

fn identities_of(db: &Connection, names: &mut Names, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", identity_columns!(), " FROM identity WHERE member = ?1 ORDER BY id");
    all(db, SQL, [member.0], |row| rows::identity(db, names, row))
}

fn taken(db: &Connection, names: &mut Names, key: &SharedKey) -> Result<Option<i64>, StoreError> {
    let Some(name) = names.find(db, &key.name)? else { return Ok(None) };
    let mut statement = db.prepare_cached("SELECT taken FROM shared WHERE campaign = ?1 AND name = ?2 AND number = ?3")?;
    Ok(statement.query_row(params![key.campaign.0, name, key.number], |row| row.get(0)).optional()?)
}

fn person(db: &Connection, names: &mut Names, vault: &Vault, key: &PersonKey) -> Result<Option<Person>, StoreError> {
    const SQL: &str = "SELECT identity.id, identity.member, member.name FROM identity LEFT JOIN member ON member.id = identity.member
        WHERE identity.corp = ?1 AND identity.kind = ?2 AND identity.folded = ?3";
    let Some(corp) = names.find(db, &key.corp)? else { return Ok(None) };
    one(db, SQL, params![corp, rows::identity_kind_number(key.identity.kind), &*key.identity.value], |row| {
        let member = row.get::<_, Option<i64>>(1)?.map(MemberId);
        let name = member.map(|member| member_name(vault, member, row, 2)).transpose()?.flatten();
        Ok(Person { identity: IdentityId(row.get(0)?), member, name })
    })
}

fn member_name(vault: &Vault, member: MemberId, row: &Row<'_>, column: usize) -> Result<Option<Arc<str>>, StoreError> {
    let Some(sealed) = row.get::<_, Option<Vec<u8>>>(column)? else { return Ok(None) };
    let name = vault.names().open("member", member.0, &sealed).and_then(|name| String::from_utf8(name).ok());
    name.map(|name| Some(name.into())).ok_or_else(|| StoreError::Corrupt(format!("member 表 {member} 号的名字打不开,它被改过")))
}

fn account_by_key(db: &Connection, key: &AccountKey) -> Result<Option<AccountCell>, StoreError> {
    const SQL: &str = concat!("SELECT ", account_columns!(), " FROM account WHERE member = ?1 AND campaign = ?2 AND grp = ?3");
    one(db, SQL, [key.member.0, key.campaign.0, key.group.0], rows::account)
}

fn accounts_of(db: &Connection, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
    const SQL: &str = concat!("SELECT ", account_columns!(), " FROM account WHERE member = ?1 ORDER BY id");
    all(db, SQL, [member.0], rows::account)
}

fn reply(db: &Connection, names: &mut Names, keys: &mut DayKeys, vault: &Vault, row: &Row<'_>) -> Result<Option<ReplyRow>, StoreError> {
    let id: i64 = row.get(0)?;
    let Some(seal) = keys.of_id(db, vault, row.get(7)?)? else { return Ok(None) };
    let body = seal.open("outbox", id, &row.get::<_, Vec<u8>>(8)?).ok_or_else(|| StoreError::Corrupt(format!("outbox 表 {id} 号打不开,它被改过")))?;
    let (destination, reply) = codec::decode_reply(&body)?;
    Ok(Some(ReplyRow {
        id: ReplyId(id),
        event: EventSeq(id / REPLIES_PER_EVENT_MAX as i64),
        corp: names.text(db, row.get(5)?)?,
        rules: names.rules(db, row.get(6)?)?,
        destination,
        reply,
        created_at: Millis(row.get(1)?),
        state: rows::reply_state(id, row.get(2)?)?,
        tries: row.get(3)?,
        reason: row.get::<_, Option<String>>(4)?.map(Arc::from),
    }))
}

pub(super) fn account(db: &Connection, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
    const SQL: &str = concat!("SELECT ", account_columns!(), " FROM account WHERE id = ?1");
    one(db, SQL, [id.0], rows::account)
}

pub(super) fn rules_text(db: &Connection, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
    one(db, "SELECT text FROM rules_version WHERE hash = ?1", [hash.0], |row| Ok(row.get::<_, String>(0)?.into()))
}

/// An event with what deciding it again needs.
pub(super) fn past(db: &Connection, names: &mut Names, seq: EventSeq) -> Result<Option<Past>, StoreError> {
    let Some(row) = event(db, names, seq)? else { return Ok(None) };
    let postings = postings_of(db, names, seq, row.first_posting)?;
    let identity = match row.identity {
        Some(id) => identity(db, names, id)?.map(|row| row.identity),
        None => None,
    };
    Ok(Some(Past { row, postings, identity }))
}

fn event(db: &Connection, names: &mut Names, seq: EventSeq) -> Result<Option<EventRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", event_columns!(), " FROM event WHERE seq = ?1");
    one(db, SQL, [seq.0], |row| rows::event(db, names, row))
}

fn identity(db: &Connection, names: &mut Names, id: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
    const SQL: &str = concat!("SELECT ", identity_columns!(), " FROM identity WHERE id = ?1");
    one(db, SQL, [id.0], |row| rows::identity(db, names, row))
}

/// The postings of an event: they stand one behind the other from its first on, so no index is needed.
fn postings_of(db: &Connection, names: &mut Names, event: EventSeq, first: Option<PostingSeq>) -> Result<Vec<Posting>, StoreError> {
    const SQL: &str = concat!("SELECT ", posting_columns!(), " FROM posting WHERE seq >= ?1 ORDER BY seq");
    let Some(first) = first else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached(SQL)?;
    let mut rows = statement.query([first.0])?;
    let mut postings = Vec::new();
    while let Some(row) = rows.next()? {
        let posting = rows::posting(db, names, row)?;
        if posting.event != event {
            break;
        }
        postings.push(posting);
    }
    Ok(postings)
}

pub(super) fn contents(db: &Connection, keys: &mut DayKeys, vault: &Vault, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
    let found = one(db, "SELECT day_key, sealed FROM event_text WHERE seq = ?1", [seq.0], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let Some((day_key, sealed)) = found else { return Ok(None) };
    let Some(seal) = keys.of_id(db, vault, day_key)? else { return Ok(None) };
    seal.open("event_text", seq.0, &sealed).map(Some).ok_or_else(|| StoreError::Corrupt(format!("event_text 表 {seq} 号打不开,它被改过")))
}

/// Names are sealed, so each is opened and compared.
pub(super) fn people_named(db: &Connection, names: &mut Names, vault: &Vault, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
    let Some(corp) = names.find(db, corp)? else { return Ok(Vec::new()) };
    let mut statement = db.prepare_cached("SELECT id, name FROM member WHERE corp = ?1 AND name IS NOT NULL ORDER BY id")?;
    let mut rows = statement.query([corp])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let member = MemberId(row.get(0)?);
        if member_name(vault, member, row, 1)?.as_deref() == Some(name) {
            members.push(member);
        }
    }
    const SQL: &str = concat!("SELECT ", identity_columns!(), " FROM identity WHERE member = ?1 ORDER BY id");
    let mut found = Vec::new();
    for member in members {
        found.extend(all(db, SQL, [member.0], |row| rows::identity(db, names, row))?);
    }
    Ok(found)
}

impl SqliteReader {
    fn replies(&self, sql: &str, from: i64, bound: i64) -> Result<Vec<ReplyRow>, StoreError> {
        let found = all(&self.db, sql, [from, bound], |row| self.reply_row(row))?;
        Ok(found.into_iter().flatten().collect())
    }

    fn reply_row(&self, row: &Row<'_>) -> Result<Option<ReplyRow>, StoreError> {
        reply(&self.db, &mut self.names.borrow_mut(), &mut self.day_keys.borrow_mut(), &self.vault, row)
    }

    fn event_row(&self, row: &Row<'_>) -> Result<EventRow, StoreError> {
        rows::event(&self.db, &mut self.names.borrow_mut(), row)
    }

    fn posting_row(&self, row: &Row<'_>) -> Result<Posting, StoreError> {
        rows::posting(&self.db, &mut self.names.borrow_mut(), row)
    }
}

impl Reader for SqliteReader {
    fn freeze(&self) -> Result<(), StoreError> {
        self.thaw();
        self.db.execute_batch("BEGIN")?;
        // A deferred transaction fixes its moment with the first read.
        head(&self.db).map(|_| ()).inspect_err(|_| self.thaw())
    }

    fn thaw(&self) {
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("COMMIT")
        {
            tracing::warn!(%error, "a reader could not end its transaction");
        }
    }

    fn head(&self) -> Result<Head, StoreError> {
        head(&self.db)
    }

    fn directory(&self) -> Result<Directory, StoreError> {
        directory(&self.db, &mut self.names.borrow_mut())
    }

    fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        rules_text(&self.db, hash)
    }

    fn rules_versions(&self) -> Result<Vec<RulesHash>, StoreError> {
        all(&self.db, "SELECT hash FROM rules_version", [], |row| Ok(RulesHash(row.get(0)?)))
    }

    fn rules_changes(&self, before: EventSeq, limit: usize) -> Result<Vec<RulesChange>, StoreError> {
        const SQL: &str = "SELECT event, at, rules, author, accepted, told FROM rules_change WHERE event < ?1 ORDER BY event DESC LIMIT ?2";
        all(&self.db, SQL, [before.0, limit as i64], |row| {
            let text = |column| row.get::<_, String>(column).map(Arc::from);
            let (event, at, rules) = (EventSeq(row.get(0)?), Millis(row.get(1)?), RulesHash(row.get(2)?));
            Ok(RulesChange { event, at, rules, by: text(3)?, accepted: row.get(4)?, told: text(5)? })
        })
    }

    fn event(&self, seq: EventSeq) -> Result<Option<EventRow>, StoreError> {
        event(&self.db, &mut self.names.borrow_mut(), seq)
    }

    fn events(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", event_columns!(), " FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
        all(&self.db, SQL, [from.0, limit as i64], |row| self.event_row(row))
    }

    fn waiting(&self, from: EventSeq, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            event_columns!(),
            " FROM event INDEXED BY event_waiting WHERE substr(record, 2, 1) IN (x'03', x'04') AND seq >= ?1 ORDER BY seq LIMIT ?2"
        );
        all(&self.db, SQL, [from.0, limit as i64], |row| self.event_row(row))
    }

    fn key_of(&self, event: EventSeq, order: u64) -> Result<Option<EventKey>, StoreError> {
        // As in `find_events`; a key begins with the bytes of its order.
        const SQL: &str = "SELECT s.text, k.key FROM (WITH RECURSIVE source(id) AS (
            SELECT min(source) FROM event_key UNION ALL SELECT (SELECT min(source) FROM event_key WHERE source > id) FROM source WHERE id IS NOT NULL
        ) SELECT id FROM source WHERE id IS NOT NULL) AS f JOIN event_key AS k ON k.source = f.id AND k.key >= ?1 AND k.key < ?2 JOIN name AS s ON s.id = f.id
        WHERE k.seq = ?3";
        // Longer than any key, so that it comes behind all that begin so.
        let (first, behind) = (order.to_be_bytes(), [&order.to_be_bytes()[..], &[u8::MAX; 16]].concat());
        one(&self.db, SQL, params![first, behind, event.0], |row| {
            Ok(EventKey { source: row.get::<_, String>(0)?.into(), key: KeyBytes::from_slice(&row.get::<_, Vec<u8>>(1)?) })
        })
    }

    fn contents(&self, seq: EventSeq) -> Result<Option<Vec<u8>>, StoreError> {
        contents(&self.db, &mut self.day_keys.borrow_mut(), &self.vault, seq)
    }

    fn people_named(&self, corp: &CorpName, name: &str) -> Result<Vec<IdentityRow>, StoreError> {
        people_named(&self.db, &mut self.names.borrow_mut(), &self.vault, corp, name)
    }

    fn find_events(&self, key: KeyBytes) -> Result<Vec<(Arc<str>, EventSeq)>, StoreError> {
        // Sources are few; for each the primary key finds the event.
        const SQL: &str = "SELECT s.text, k.seq FROM (WITH RECURSIVE source(id) AS (
            SELECT min(source) FROM event_key UNION ALL SELECT (SELECT min(source) FROM event_key WHERE source > id) FROM source WHERE id IS NOT NULL
        ) SELECT id FROM source WHERE id IS NOT NULL) AS f JOIN event_key AS k ON k.source = f.id AND k.key = ?1 JOIN name AS s ON s.id = f.id ORDER BY s.text";
        all(&self.db, SQL, [key.as_slice()], |row| Ok((row.get::<_, String>(0)?.into(), EventSeq(row.get(1)?))))
    }

    fn postings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Posting>, StoreError> {
        const SQL: &str = concat!("SELECT ", posting_columns!(), " FROM posting WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
        all(&self.db, SQL, [from.0, limit as i64], |row| self.posting_row(row))
    }

    fn keys(&self, after: Option<&EventKey>, limit: usize) -> Result<Vec<(EventKey, EventSeq)>, StoreError> {
        const SQL: &str = "SELECT source, key, seq FROM event_key WHERE (source, key) > (?1, ?2) ORDER BY source, key LIMIT ?3";
        let mut names = self.names.borrow_mut();
        let source = after.map(|key| names.find(&self.db, &key.source)).transpose()?.flatten().unwrap_or(0);
        let key = after.map(|key| key.key.as_slice()).unwrap_or_default();
        all(&self.db, SQL, params![source, key, limit as i64], |row| {
            let key = KeyBytes::from_slice(&row.get::<_, Vec<u8>>(1)?);
            Ok((EventKey { source: names.text(&self.db, row.get(0)?)?, key }, EventSeq(row.get(2)?)))
        })
    }

    fn postings_of(&self, event: EventSeq) -> Result<Vec<Posting>, StoreError> {
        let first = one(&self.db, "SELECT first_posting FROM event WHERE seq = ?1", [event.0], |row| Ok(row.get::<_, Option<i64>>(0)?))?;
        postings_of(&self.db, &mut self.names.borrow_mut(), event, first.flatten().map(PostingSeq))
    }

    fn person(&self, key: &PersonKey) -> Result<Option<Person>, StoreError> {
        person(&self.db, &mut self.names.borrow_mut(), &self.vault, key)
    }

    fn identity(&self, id: IdentityId) -> Result<Option<IdentityRow>, StoreError> {
        identity(&self.db, &mut self.names.borrow_mut(), id)
    }

    fn identities_of(&self, member: MemberId) -> Result<Vec<IdentityRow>, StoreError> {
        identities_of(&self.db, &mut self.names.borrow_mut(), member)
    }

    fn member(&self, id: MemberId) -> Result<Option<MemberRow>, StoreError> {
        one(&self.db, "SELECT corp, name FROM member WHERE id = ?1", [id.0], |row| {
            Ok(MemberRow { id, corp: self.names.borrow_mut().text(&self.db, row.get(0)?)?, name: member_name(&self.vault, id, row, 1)? })
        })
    }

    fn account(&self, id: AccountId) -> Result<Option<AccountCell>, StoreError> {
        account(&self.db, id)
    }

    fn accounts_of(&self, member: MemberId) -> Result<Vec<AccountCell>, StoreError> {
        accounts_of(&self.db, member)
    }

    fn accounts(&self, after: AccountId, limit: usize) -> Result<Vec<AccountCell>, StoreError> {
        const SQL: &str = concat!("SELECT ", account_columns!(), " FROM account WHERE id > ?1 ORDER BY id LIMIT ?2");
        all(&self.db, SQL, [after.0, limit as i64], rows::account)
    }

    fn proofs(&self, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError> {
        proofs::proofs(&self.db, after, limit)
    }

    fn shared(&self) -> Result<Vec<(SharedKey, i64)>, StoreError> {
        rows::all(&self.db, "SELECT shared.campaign, name.text, shared.number, shared.taken FROM shared JOIN name ON name.id = shared.name", [], |row| {
            let name: String = row.get(1)?;
            Ok((SharedKey { campaign: CampaignId(row.get(0)?), name: name.into(), number: row.get(2)? }, row.get(3)?))
        })
    }

    fn open_replies(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", reply_columns!(), " FROM outbox INDEXED BY outbox_open WHERE state < 2 AND id >= ?1 ORDER BY id LIMIT ?2");
        self.replies(SQL, from.0, limit as i64)
    }

    fn open_reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        const SQL: &str = "SELECT id FROM outbox INDEXED BY outbox_open WHERE state < 2 AND id >= ?1 ORDER BY id LIMIT ?2";
        all(&self.db, SQL, [from.0, limit as i64], |row| Ok(ReplyId(row.get(0)?)))
    }

    fn reply_ids(&self, from: ReplyId, limit: usize) -> Result<Vec<ReplyId>, StoreError> {
        all(&self.db, "SELECT id FROM outbox WHERE id >= ?1 ORDER BY id LIMIT ?2", [from.0, limit as i64], |row| Ok(ReplyId(row.get(0)?)))
    }

    fn outbox_held(&self) -> Result<bool, StoreError> {
        meta::outbox_held(&self.db)
    }

    fn replies_of(&self, event: EventSeq) -> Result<Vec<ReplyRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", reply_columns!(), " FROM outbox WHERE id >= ?1 AND id < ?2 ORDER BY id");
        self.replies(SQL, reply_id(event, 0).0, reply_id(event, REPLIES_PER_EVENT_MAX).0)
    }

    fn reply(&self, id: ReplyId) -> Result<Option<ReplyRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", reply_columns!(), " FROM outbox WHERE id = ?1");
        Ok(one(&self.db, SQL, [id.0], |row| self.reply_row(row))?.flatten())
    }

    fn replies_before(&self, before: ReplyId, limit: usize) -> Result<Vec<ReplyRow>, StoreError> {
        const SQL: &str = concat!("SELECT ", reply_columns!(), " FROM outbox WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
        let found = all(&self.db, SQL, [before.0, limit as i64], |row| match self.reply_row(row) {
            Err(StoreError::Corrupt(_)) => Ok(None),
            read => read,
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    fn earnings(&self, from: PostingSeq, limit: usize) -> Result<Vec<Earning>, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            posting_columns!(),
            ", (SELECT grp FROM event WHERE event.seq = coalesce(posting.slot_event, posting.event)) FROM posting WHERE seq >= ?1 ORDER BY seq LIMIT ?2"
        );
        all(&self.db, SQL, [from.0, limit as i64], |row| Ok(Earning::of(&self.posting_row(row)?, GroupId(row.get::<_, Option<i64>>(16)?.unwrap_or(0)))))
    }

    fn hidden(&self) -> Result<Vec<AccountId>, StoreError> {
        all(&self.db, "SELECT account FROM board_hidden ORDER BY account", [], |row| Ok(AccountId(row.get(0)?)))
    }

    fn first_sent_since(&self, from: EventSeq, at: Millis) -> Result<Option<EventSeq>, StoreError> {
        one(&self.db, "SELECT seq FROM event WHERE seq >= ?1 AND at >= ?2 ORDER BY seq LIMIT 1", [from.0, at.0], |row| Ok(EventSeq(row.get(0)?)))
    }

    fn earner(&self, id: AccountId) -> Result<Option<(AccountKey, i64)>, StoreError> {
        one(&self.db, "SELECT campaign, grp, member, lifetime FROM account WHERE id = ?1", [id.0], |row| {
            let key = AccountKey { campaign: CampaignId(row.get(0)?), group: GroupId(row.get(1)?), member: MemberId(row.get(2)?) };
            Ok((key, row.get(3)?))
        })
    }
}
