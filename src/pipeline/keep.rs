//! Keeping: an event of another journal is booked as it was booked there, on this journal's own account of the same person. For what stands
//! when history is decided again under other rules: what somebody's will moved, and messages that nobody can read any more.

use std::sync::Arc;

use crate::model::cells::{AccountKey, AccountState, Occurrence};
use crate::model::event::Identity;
use crate::model::ids::{AccountId, CampaignId, CorpName, EventKey, EventSeq, GroupId, PostingSeq};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::codec::encode_record;
use crate::store::{NewEvent, SharedKey, Store, StoreError, Wants};

use super::working::Working;

/// An event with all that was booked for it. Campaigns, groups, sources, and what names other events or postings, are numbered as in this
/// journal; places of its own it gets here.
#[derive(Debug, Clone)]
pub struct Keep {
    /// The key it is kept under here.
    pub key: EventKey,
    /// The corp.
    pub corp: CorpName,
    /// Who caused it.
    pub who: Option<Identity>,
    /// Which of that person's accounts it concerns: campaign, and group where each has a balance of its own.
    pub account: Option<(CampaignId, GroupId)>,
    /// The row.
    pub row: EventRow,
    /// What it booked.
    pub postings: Vec<Posting>,
    /// The rules it was decided under.
    pub rules: Arc<str>,
}

impl Working<'_> {
    /// Books an event as it was booked elsewhere; answers with its place here.
    pub(super) fn keep<S: Store>(&mut self, store: &mut S, keep: &Keep) -> Result<EventSeq, StoreError> {
        self.batch.head.event.0 += 1;
        let seq = self.batch.head.event;
        let person = match &keep.who {
            Some(who) => Some(match self.person(store, &keep.corp, who)? {
                Some(person) => person,
                None => self.new_person(&keep.corp, who),
            }),
            None => None,
        };
        let stateful = keep.row.record.is_stateful();
        let key = match (&keep.who, &person, keep.account) {
            (Some(who), Some(person), Some((campaign, group))) if stateful => {
                let member = self.member_of(&keep.corp, who, person);
                self.accounts_of(store, member)?;
                Some(AccountKey { campaign, group, member })
            }
            (_, _, _) => None,
        };
        let cell = key.map(|key| self.open(key));
        let occurrence = Occurrence { seq, at: keep.row.at, day: keep.row.day };
        let mut row = EventRow { seq, identity: person.map(|person| person.identity), account: cell.as_ref().map(|cell| cell.id), ..keep.row.clone() };
        row.prev = cell.as_ref().map(|cell| cell.last_event).filter(|seq| seq.0 > 0);
        row.record.snapshot = None;
        if let Some(cell) = &cell {
            let begins_day = row.prev.is_none() || self.day(cell.key.campaign, cell.frontier) < row.day;
            row.record.snapshot = begins_day.then(|| Box::new(AccountState { lots: Vec::new(), ..cell.state.clone() }));
        }
        let mut postings = cell.as_ref().map_or(Vec::new(), |cell| self.renumbered(keep, seq, cell.id));
        row.first_posting = postings.first().map(|posting| posting.seq);
        self.load_claimed(store, keep)?;
        self.claim(row.campaign, &row.record.claims);
        let encoded = encode_record(&row.record);
        self.batch.head.chain.cover(&row, &encoded);
        if !postings.is_empty() {
            self.batch.head.chain.seal(row.at, row.rules, &mut postings);
        }
        if let Some(key) = key {
            self.apply(key, occurrence, &row.record, &postings);
        }
        self.batch.postings.extend(postings);
        self.take_proofs(store, &row)?;
        if !self.batch.rules.iter().any(|(hash, _)| *hash == row.rules) {
            self.batch.rules.push((row.rules, keep.rules.clone()));
        }
        self.batch.events.push(NewEvent { key: keep.key.clone(), row, encoded, contents: None });
        Ok(seq)
    }

    fn renumbered(&mut self, keep: &Keep, event: EventSeq, own: AccountId) -> Vec<Posting> {
        let next = &mut self.batch.head.posting;
        let side = |side: AccountRef| match side {
            AccountRef::Member(_) => AccountRef::Member(own),
            AccountRef::System { .. } => side,
        };
        let book = |posting: &Posting| {
            *next = PostingSeq(next.0 + 1);
            Posting { seq: *next, event, src: side(posting.src), dst: side(posting.dst), link: [0; 16], digest: [0; 16], ..posting.clone() }
        };
        keep.postings.iter().map(book).collect()
    }

    /// How much was taken before of what this event took.
    fn load_claimed<S: Store>(&mut self, store: &mut S, keep: &Keep) -> Result<(), StoreError> {
        let Some(campaign) = keep.row.campaign else { return Ok(()) };
        let mut shared = Vec::new();
        for claim in &keep.row.record.claims {
            let known = self.shared.get(&campaign).is_some_and(|taken| taken.contains_key(&(claim.name.clone(), claim.number)));
            shared.extend((!known).then(|| SharedKey { campaign, name: claim.name.clone(), number: claim.number }));
        }
        if shared.is_empty() {
            return Ok(());
        }
        shared.sort();
        shared.dedup();
        for (key, taken) in store.load(&Wants { shared, ..Wants::default() })?.shared {
            self.shared.entry(key.campaign).or_default().insert((key.name, key.number), taken);
        }
        Ok(())
    }
}
