//! How records, account states and replies are written as bytes: one version byte, then postcard.
//!
//! A value has exactly one spelling: what does not come out of writing it again byte for byte is refused, so a damaged
//! row can never be read as if nothing had happened. Version 2 is postcard 1 (<https://postcard.jamesmunns.com/wire-format>)
//! over the types of `model` as they stand; a changed type is a new version with its own reader beside the old one.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Destination, StoreError};
use crate::model::cells::{AccountKey, AccountState};
use crate::model::decision::Record;
use crate::model::reply::Reply;

const VERSION: u8 = 2;

/// The bytes of a record, which the hash chain covers.
pub fn encode_record(record: &Record) -> Vec<u8> {
    encode(record)
}

/// Reads a record; refuses ([`StoreError::Corrupt`]) what [`encode_record`] cannot have written.
pub fn decode_record(bytes: &[u8]) -> Result<Record, StoreError> {
    decode(bytes)
}

/// The bytes of an account's state. The account's name goes first, so that a state under a wrong name is noticed.
pub fn encode_state(key: &AccountKey, state: &AccountState) -> Vec<u8> {
    encode(&(key, state))
}

/// Reads an account's state; refuses ([`StoreError::Corrupt`]) a damaged one and one that belongs to another account.
pub fn decode_state(key: &AccountKey, bytes: &[u8]) -> Result<AccountState, StoreError> {
    let (owner, state): (AccountKey, AccountState) = decode(bytes)?;
    if owner != *key {
        return Err(StoreError::Corrupt("账户状态不属于这个账户".into()));
    }
    Ok(state)
}

/// The bytes of a reply and where it may go; personal data, to be sealed.
pub fn encode_reply(destination: &Destination, reply: &Reply) -> Vec<u8> {
    encode(&(destination, reply))
}

/// Reads a reply and where it may go; refuses ([`StoreError::Corrupt`]) what [`encode_reply`] cannot have written.
pub fn decode_reply(bytes: &[u8]) -> Result<(Destination, Reply), StoreError> {
    decode(bytes)
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![VERSION]).expect("a Vec grows, and no type of the model is of unknown length")
}

fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    let Some((&version, body)) = bytes.split_first() else {
        return Err(StoreError::Corrupt("内容是空的".into()));
    };
    if version != VERSION {
        return Err(StoreError::Corrupt(format!("内容的编码版本是 {version},这个程序只认识 {VERSION};请用写入它的版本打开")));
    }
    let value: T = postcard::from_bytes(body).map_err(|error| StoreError::Corrupt(format!("内容解不开({error})")))?;
    if encode(&value) != bytes {
        return Err(StoreError::Corrupt("内容不是这个程序写的样子".into()));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cells::Lot;
    use crate::model::day::{Day, Period};
    use crate::model::decision::{Mark, Outcome, Parking, Payment, Ruling, Traits, Verdict};
    use crate::model::ids::{CampaignId, GroupId, MemberId};

    fn record() -> Record {
        Record {
            heard: Some(Traits { chars: 2, distinct: 2, fingerprint: u64::MAX, matched: vec!["check_in.daily".into()], asked: true, ..Traits::default() }),
            verdicts: vec![Verdict { rule: "check_in.daily".into(), ruling: Ruling::Paid(Payment { points: 2, offered: 2, ..Payment::default() }) }],
            marks: vec![Mark::Count { key: "check_in.daily".into(), period: Period::Day(20_779), times: 1, points: 2 }],
            snapshot: Some(Box::default()),
            ..Record::default()
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        assert_eq!(decode_record(&encode_record(&record())).unwrap(), record());
    }

    #[test]
    fn the_byte_behind_the_version_is_the_outcome_as_the_index_of_waiting_events_knows_it() {
        let byte = |outcome| encode_record(&Record { outcome, ..record() })[1];
        assert_eq!(byte(Outcome::Parked(Parking::GroupUnknown)), 3);
        assert_eq!(byte(Outcome::Failed("panic".into())), 4);
    }

    #[test]
    fn a_state_comes_back_to_its_own_account_only() {
        let key = AccountKey { campaign: CampaignId(1), group: GroupId::NONE, member: MemberId(7) };
        let state =
            AccountState { lots: vec![Lot { expires_on: Some(Day(21_000)), vests_on: None, amount: 2 }], codes: vec![("campaign".into(), Default::default())] };
        let bytes = encode_state(&key, &state);
        assert_eq!(decode_state(&key, &bytes).unwrap(), state);
        let other = AccountKey { member: MemberId(8), ..key };
        assert!(matches!(decode_state(&other, &bytes), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn an_unknown_version_a_tail_and_nothing_are_refused() {
        let mut bytes = encode_record(&record());
        bytes.push(0);
        assert!(matches!(decode_record(&bytes), Err(StoreError::Corrupt(_))), "a tail");
        bytes[0] = 3;
        assert!(matches!(decode_record(&bytes), Err(StoreError::Corrupt(_))), "a version to come");
        assert!(matches!(decode_record(&[]), Err(StoreError::Corrupt(_))), "nothing");
    }

    #[test]
    fn no_changed_byte_reads_as_the_same_record() {
        let bytes = encode_record(&record());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(!decode_record(&damaged).is_ok_and(|read| read == record()), "byte {at}, bit {bit}");
            }
        }
    }
}
