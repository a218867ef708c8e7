//! Writing a batch: each table's rows through one prepared statement, inside the transaction that `begin` opened.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::day_keys::DayKeys;
use super::names::Names;
use super::{meta, rows};
use crate::failpoint;
use crate::model::cells::AccountCell;
use crate::model::day::Millis;
use crate::model::ids::{AccountId, CampaignId, CorpName, ReplyId, RulesHash, SourceId};
use crate::model::journal::{GroupRow, Posting};
use crate::store::proof::{Proof, ProofKey};
use crate::store::vault::Vault;
use crate::store::{Batch, Head, IdentityRow, MemberRow, NewEvent, Overrule, ReplyOutcome, ReplyRow, ReplyState, RulesChange, SharedKey, StoreError, codec};

/// What a probe writes: a callback's long text and the dozen pages around it. On a disk that is nearly full a smaller commit
/// still goes through where no callback does.
const PROBE_BYTES: i64 = 64 * 1024;

/// Writes everything but the COMMIT.
pub(super) fn batch(db: &Connection, names: &mut Names, keys: &mut DayKeys, vault: &Vault, batch: &Batch) -> Result<(), StoreError> {
    rules(db, &batch.rules, batch.events.first())?;
    campaigns(db, names, &batch.campaigns)?;
    sources(db, names, &batch.sources)?;
    groups(db, names, &batch.groups)?;
    members(db, names, vault, &batch.members)?;
    identities(db, names, &batch.identities)?;
    accounts(db, &batch.accounts)?;
    shared(db, names, &batch.shared)?;
    proofs(db, &batch.proofs)?;
    failpoint::hit("ledger.balance");
    events(db, names, &batch.events)?;
    event_keys(db, names, &batch.events)?;
    contents(db, keys, vault, &batch.events)?;
    postings(db, names, &batch.postings)?;
    failpoint::hit("ledger.entries");
    replies(db, names, keys, vault, &batch.replies)?;
    outcomes(db, &batch.outcomes)?;
    overrules(db, &batch.overrules)?;
    erasure(db, keys, batch.erase_texts_before)?;
    hidden(db, &batch.hidden)?;
    rules_changes(db, &batch.rules_changes)?;
    probe(db, batch.probe)?;
    batch.outbox_held.map_or(Ok(()), |held| meta::hold_outbox(db, held))?;
    head(db, &batch.head)
}

/// A text whose day key is gone is noise.
fn erasure(db: &Connection, keys: &mut DayKeys, before: Option<Millis>) -> Result<(), StoreError> {
    before.map_or(Ok(()), |before| keys.destroy_before(db, before))
}

/// Who stands on no board, so that a board need not read every account.
fn hidden(db: &Connection, hidden: &[(AccountId, bool)]) -> Result<(), StoreError> {
    for (account, hidden) in hidden {
        let sql = if *hidden { "INSERT INTO board_hidden (account) VALUES (?1) ON CONFLICT DO NOTHING" } else { "DELETE FROM board_hidden WHERE account = ?1" };
        db.prepare_cached(sql)?.execute([account.0])?;
    }
    Ok(())
}

fn rules_changes(db: &Connection, changes: &[RulesChange]) -> Result<(), StoreError> {
    for change in changes {
        let mut statement = db.prepare_cached("INSERT INTO rules_change (event, at, rules, author, accepted, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        statement.execute(params![change.event.0, change.at.0, change.rules.0, &*change.by, change.accepted, &*change.told])?;
    }
    Ok(())
}

/// Always other bytes: SQLite writes no page that stays as it is.
fn probe(db: &Connection, is_asked: bool) -> Result<(), StoreError> {
    if is_asked {
        db.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', randomblob(?1))")?.execute([PROBE_BYTES])?;
    }
    Ok(())
}

fn rules(db: &Connection, rules: &[(RulesHash, Arc<str>)], first: Option<&NewEvent>) -> Result<(), StoreError> {
    let used_at = first.map_or(0, |event| event.row.received_at.0);
    let mut statement = db.prepare_cached("INSERT INTO rules_version (hash, text, first_used_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?;
    for (hash, text) in rules {
        statement.execute(params![hash.0, &**text, used_at])?;
    }
    Ok(())
}

fn campaigns(db: &Connection, names: &mut Names, campaigns: &[(CampaignId, CorpName, Arc<str>)]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("INSERT INTO campaign (id, corp, name) VALUES (?1, ?2, ?3)")?;
    for (id, corp, name) in campaigns {
        statement.execute(params![id.0, names.id(db, corp)?, &**name])?;
    }
    Ok(())
}

fn sources(db: &Connection, names: &mut Names, sources: &[(SourceId, CorpName, Arc<str>)]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("INSERT INTO source (id, corp, name) VALUES (?1, ?2, ?3)")?;
    for (id, corp, name) in sources {
        statement.execute(params![id.0, names.id(db, corp)?, &**name])?;
    }
    Ok(())
}

fn groups(db: &Connection, names: &mut Names, groups: &[(CorpName, GroupRow)]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO grp (id, corp, chat, title, kind) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (id) DO UPDATE SET title = excluded.title, kind = excluded.kind";
    let mut statement = db.prepare_cached(SQL)?;
    for (corp, group) in groups {
        statement.execute(params![group.id.0, names.id(db, corp)?, &*group.chat, group.title.as_deref(), rows::group_kind_number(group.kind)])?;
    }
    Ok(())
}

fn members(db: &Connection, names: &mut Names, vault: &Vault, members: &[MemberRow]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("INSERT INTO member (id, corp, name) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE SET name = excluded.name")?;
    for member in members {
        let name = member.name.as_ref().map(|name| vault.names().seal("member", member.id.0, name.as_bytes()));
        statement.execute(params![member.id.0, names.id(db, &member.corp)?, name])?;
    }
    Ok(())
}

fn identities(db: &Connection, names: &mut Names, identities: &[IdentityRow]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO identity (id, corp, kind, folded, value, member) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (id) DO UPDATE SET member = excluded.member";
    let mut statement = db.prepare_cached(SQL)?;
    for row in identities {
        let (kind, folded) = (rows::identity_kind_number(row.identity.kind), row.identity.folded());
        statement.execute(params![row.id.0, names.id(db, &row.corp)?, kind, folded, &*row.identity.value, row.member.map(|id| id.0)])?;
    }
    Ok(())
}

fn accounts(db: &Connection, accounts: &[AccountCell]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO account (id, campaign, grp, member, available, held, lifetime, frontier, last_event, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (id) DO UPDATE SET available = excluded.available, held = excluded.held, lifetime = excluded.lifetime,
        frontier = excluded.frontier, last_event = excluded.last_event, state = excluded.state";
    let mut statement = db.prepare_cached(SQL)?;
    for cell in accounts {
        let (key, state) = (&cell.key, codec::encode_state(&cell.key, &cell.state));
        statement.execute(params![
            cell.id.0,
            key.campaign.0,
            key.group.0,
            key.member.0,
            cell.available,
            cell.held,
            cell.lifetime,
            cell.frontier.0,
            cell.last_event.0,
            state
        ])?;
    }
    Ok(())
}

fn proofs(db: &Connection, proofs: &[(ProofKey, Proof)]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO proof (campaign, number, original, look, used, seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (campaign, number) DO UPDATE SET used = excluded.used";
    let mut statement = db.prepare_cached(SQL)?;
    for (key, proof) in proofs {
        let look = proof.look.map(|look| [look.0[0].to_be_bytes(), look.0[1].to_be_bytes()].concat());
        let [number, original] = [key.number, proof.original].map(u64::cast_signed);
        statement.execute(params![key.campaign.0, number, original, look, proof.used, proof.seen.0])?;
    }
    Ok(())
}

fn shared(db: &Connection, names: &mut Names, shared: &[(SharedKey, i64)]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO shared (campaign, name, number, taken) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (campaign, name, number) DO UPDATE SET taken = excluded.taken";
    let mut statement = db.prepare_cached(SQL)?;
    for (key, taken) in shared {
        statement.execute(params![key.campaign.0, names.id(db, &key.name)?, key.number, taken])?;
    }
    Ok(())
}

fn events(db: &Connection, names: &mut Names, events: &[NewEvent]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO event (seq, received_at, at, day, identity, account, grp, campaign, kind, rules, prev, first_posting, record, source)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let mut statement = db.prepare_cached(SQL)?;
    for NewEvent { row, encoded, .. } in events {
        statement.execute(params![
            row.seq.0,
            row.received_at.0,
            row.at.0,
            row.day.0,
            row.identity.map(|id| id.0),
            row.account.map(|id| id.0),
            row.group.0,
            row.campaign.map(|id| id.0),
            names.id(db, &row.kind)?,
            names.rules_id(db, row.rules)?,
            row.prev.map(|seq| seq.0),
            row.first_posting.map(|seq| seq.0),
            encoded,
            row.source.map(|id| id.0)
        ])?;
    }
    Ok(())
}

fn event_keys(db: &Connection, names: &mut Names, events: &[NewEvent]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("INSERT INTO event_key (source, key, seq) VALUES (?1, ?2, ?3)")?;
    for event in events {
        statement.execute(params![names.id(db, &event.key.source)?, event.key.key.as_slice(), event.row.seq.0])?;
    }
    Ok(())
}

fn contents(db: &Connection, keys: &mut DayKeys, vault: &Vault, events: &[NewEvent]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("INSERT INTO event_text (seq, day_key, sealed) VALUES (?1, ?2, ?3)")?;
    for NewEvent { row, contents, .. } in events {
        let Some(contents) = contents else { continue };
        let (day_key, seal) = keys.for_day(db, vault, row.received_at)?;
        statement.execute(params![row.seq.0, day_key, seal.seal("event_text", row.seq.0, contents)])?;
    }
    Ok(())
}

fn postings(db: &Connection, names: &mut Names, postings: &[Posting]) -> Result<(), StoreError> {
    const SQL: &str =
        "INSERT INTO posting (seq, event, ord, code, src, src_part, dst, dst_part, amount, day, vests_on, expires_on, reverses, slot_event, link, digest)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let mut statement = db.prepare_cached(SQL)?;
    for posting in postings {
        statement.execute(params![
            posting.seq.0,
            posting.event.0,
            posting.ord,
            names.id(db, &posting.code)?,
            posting.src.to_number(),
            rows::part_number(posting.src_part),
            posting.dst.to_number(),
            rows::part_number(posting.dst_part),
            posting.amount,
            posting.day.0,
            posting.vests_on.map(|day| day.0),
            posting.expires_on.map(|day| day.0),
            posting.reverses.map(|seq| seq.0),
            posting.slot_event.map(|seq| seq.0),
            posting.link,
            posting.digest
        ])?;
    }
    Ok(())
}

fn replies(db: &Connection, names: &mut Names, keys: &mut DayKeys, vault: &Vault, replies: &[ReplyRow]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO outbox (id, created_at, state, tries, reason, corp, rules, day_key, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut statement = db.prepare_cached(SQL)?;
    for row in replies {
        let (day_key, seal) = keys.for_day(db, vault, row.created_at)?;
        let sealed = seal.seal("outbox", row.id.0, &codec::encode_reply(&row.destination, &row.reply));
        let (state, reason) = (rows::reply_state_number(row.state), row.reason.as_deref());
        statement.execute(params![
            row.id.0,
            row.created_at.0,
            state,
            row.tries,
            reason,
            names.id(db, &row.corp)?,
            names.rules_id(db, row.rules)?,
            day_key,
            sealed
        ])?;
    }
    Ok(())
}

/// A closed reply stays closed (an operator may have dropped it meanwhile), and must not be claimed: nothing would say that it was sent.
fn outcomes(db: &Connection, outcomes: &[ReplyOutcome]) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("UPDATE outbox SET state = ?2, tries = ?3, reason = ?4 WHERE id = ?1 AND state < 2")?;
    for outcome in outcomes {
        let changed = statement.execute(params![outcome.id.0, rows::reply_state_number(outcome.state), outcome.tries, outcome.reason.as_deref()])?;
        if changed == 0 && (outcome.state == ReplyState::Sending || !has_reply(db, outcome.id)?) {
            return Err(StoreError::Corrupt(format!("outbox 表里没有待发的 {} 号回复", outcome.id)));
        }
    }
    Ok(())
}

fn has_reply(db: &Connection, id: ReplyId) -> Result<bool, StoreError> {
    Ok(db.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([id.0])?)
}

fn overrules(db: &Connection, overrules: &[Overrule]) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE outbox SET state = ?3, tries = 0, reason = ?4, created_at = coalesce(?5, created_at) WHERE id = ?1 AND state = ?2";
    let mut statement = db.prepare_cached(SQL)?;
    for Overrule { id, from, to, renewed_at, reason } in overrules {
        let (from, to) = (rows::reply_state_number(*from), rows::reply_state_number(*to));
        statement.execute(params![id.0, from, to, &**reason, renewed_at.map(|at| at.0)])?;
    }
    Ok(())
}

fn head(db: &Connection, head: &Head) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE shard SET event = ?1, posting = ?2, account = ?3, member = ?4, identity = ?5, grp = ?6, campaign = ?7, link = ?8, pending = ?9";
    db.prepare_cached(SQL)?.execute(params![
        head.event.0,
        head.posting.0,
        head.account.0,
        head.member.0,
        head.identity.0,
        head.group,
        head.campaign,
        head.chain.link,
        head.chain.pending
    ])?;
    Ok(())
}
