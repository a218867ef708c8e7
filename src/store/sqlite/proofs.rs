//! Reading what is known of pictures and links that were sent as proof.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::rows;
use crate::model::event::Look;
use crate::model::ids::{CampaignId, EventSeq};
use crate::store::StoreError;
use crate::store::proof::{LOOKS_MAX, Proof, ProofKey};

pub(super) fn proof(db: &Connection, key: ProofKey) -> Result<Option<Proof>, StoreError> {
    let mut statement = db.prepare_cached("SELECT campaign, number, original, look, used, seen FROM proof WHERE campaign = ?1 AND number = ?2")?;
    Ok(statement.query_row(params![key.campaign.0, key.number.cast_signed()], read).optional()?.map(|(_, proof)| proof))
}

pub(super) fn proofs(db: &Connection, after: Option<ProofKey>, limit: usize) -> Result<Vec<(ProofKey, Proof)>, StoreError> {
    const SQL: &str = "SELECT campaign, number, original, look, used, seen FROM proof WHERE (campaign, number) > (?1, ?2) ORDER BY campaign, number LIMIT ?3";
    let (campaign, number) = after.map_or((i64::MIN, i64::MIN), |key| (key.campaign.0, key.number.cast_signed()));
    rows::all(db, SQL, params![campaign, number, i64::try_from(limit).unwrap_or(i64::MAX)], |row| Ok(read(row)?))
}

pub(super) fn looks(db: &Connection, campaign: CampaignId) -> Result<Vec<(Look, u64)>, StoreError> {
    const SQL: &str = "SELECT campaign, number, original, look, used, seen FROM proof
        WHERE campaign = ?1 AND original = number AND look IS NOT NULL ORDER BY seen DESC, number DESC LIMIT ?2";
    let proofs = rows::all(db, SQL, params![campaign.0, LOOKS_MAX as i64], |row| Ok(read(row)?))?;
    Ok(proofs.into_iter().rev().filter_map(|(key, proof)| Some((proof.look?, key.number))).collect())
}

fn read(row: &Row<'_>) -> rusqlite::Result<(ProofKey, Proof)> {
    let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let half = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let look = row.get::<_, Option<[u8; 16]>>(3)?.map(|look| Look([half(&look[..8]), half(&look[8..])]));
    let proof = Proof { original: number(2)?, look, used: row.get(4)?, seen: EventSeq(row.get(5)?) };
    Ok((ProofKey { campaign: CampaignId(row.get(0)?), number: number(1)? }, proof))
}
