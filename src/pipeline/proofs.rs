//! Proofs: before a message is decided, its pictures are compared with those that came before, and it is found which of them, or of its
//! links, were paid for. That is written into what was heard, so that deciding again finds it as it was.

use std::collections::{BTreeSet, HashMap};

use crate::model::decision::{Mark, Traits};
use crate::model::event::{Kind, Look, Picture};
use crate::model::ids::CampaignId;
use crate::model::journal::EventRow;
use crate::rules::coverage::Coverage;
use crate::store::proof::{self, Proof, ProofKey};
use crate::store::{Store, StoreError};

use super::repair::Window;
use super::working::{Heard, Working};

/// The looks of a campaign's pictures, each with what its picture is known by; read when they are first asked for.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<CampaignId, Vec<(Look, u64)>>);

impl Looks {
    /// The earlier picture that one of these looks is like, the nearest if there are several.
    fn like<S: Store>(&mut self, store: &mut S, campaign: CampaignId, looks: &[Look]) -> Result<Option<u64>, StoreError> {
        let known = match self.0.entry(campaign) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => unknown.insert(store.looks(campaign)?),
        };
        let distance = |look: &Look| looks.iter().filter(|mine| mine.is_like(*look)).map(|mine| mine.distance(*look)).min();
        Ok(known.iter().filter_map(|(look, original)| Some((distance(look)?, *original))).min().map(|(_, original)| original))
    }

    fn add(&mut self, campaign: CampaignId, look: Look, original: u64) {
        // Not read yet: it will be read with the others.
        if let Some(known) = self.0.get_mut(&campaign) {
            if known.len() >= proof::LOOKS_MAX {
                known.remove(0);
            }
            known.push((look, original));
        }
    }
}

impl Working<'_> {
    /// Finds what a message's pictures and links are, and which of them were paid for. Where no rule asks, pictures are not remembered.
    pub(super) fn look_up_proofs<S: Store>(&mut self, store: &mut S, heard: &mut Heard<'_>) -> Result<(), StoreError> {
        let Kind::Said(said) = &heard.prepared.event.kind else { return Ok(()) };
        let Some(traits) = &heard.prepared.traits else { return Ok(()) };
        let rules = match heard.coverage {
            Coverage::Campaign(at) => Some(&self.context.rules.campaigns[at]).filter(|campaign| campaign.needs_proof()),
            Coverage::None | Coverage::Unresolved => None,
        };
        let (Some(rules), Some(campaign)) = (rules, heard.campaign) else {
            if !traits.media.pictures.is_empty() {
                if let Some(traits) = &mut heard.prepared.to_mut().traits {
                    traits.media.pictures.clear();
                }
            }
            return Ok(());
        };
        let codes = rules.rules.iter().filter(|rule| rule.kind.needs_proof()).map(|rule| rule.code.clone());
        let waiting = if heard.prepared.matched.is_empty() { Vec::new() } else { self.waiting(heard, codes) };
        if traits.media.pictures.is_empty() && traits.media.link.is_none() && waiting.is_empty() {
            return Ok(());
        }
        let (mut media, crops) = (traits.media.clone(), said.crops.clone());
        for (at, picture) in media.pictures.iter_mut().enumerate() {
            let original = match self.proof(store, ProofKey { campaign, number: picture.exact })? {
                Some(known) => Some(known.original),
                None => {
                    let looks: Vec<Look> = picture.look.into_iter().chain(crops.get(at).into_iter().flatten().copied()).collect();
                    if looks.is_empty() { None } else { self.looks.like(store, campaign, &looks)? }
                }
            };
            picture.copy_of = original.filter(|original| *original != picture.exact);
        }
        let numbers = media.pictures.iter().map(|picture| picture.original()).chain(media.link).chain(waiting);
        let mut used = Vec::new();
        for number in numbers.collect::<BTreeSet<u64>>() {
            if self.proof(store, ProofKey { campaign, number })?.is_some_and(|proof| proof.used) {
                used.push(number);
            }
        }
        media.used = used;
        if let Some(heard) = &mut heard.prepared.to_mut().traits {
            *heard = Traits { media, ..heard.clone() };
        }
        Ok(())
    }

    /// What the member sent shortly before and waits for the word.
    fn waiting(&self, heard: &Heard<'_>, codes: impl Iterator<Item = std::sync::Arc<str>>) -> Vec<u64> {
        let member = heard.person.as_ref().and_then(|person| self.people.get(person)).and_then(|person| person.member);
        let cell = member.and_then(|member| self.account_key(heard, member)).and_then(|key| self.accounts.get(&key));
        let Some(cell) = cell else { return Vec::new() };
        let recent = |code: std::sync::Arc<str>| cell.state.code(&format!("{code}{}", crate::rules::check_in::needs::PROOF)).map(|state| &state.recent);
        codes.filter_map(recent).flatten().map(|recent| recent.fingerprint).filter(|number| *number != 0).collect()
    }

    /// Which pictures and links of these events are paid for by other messages than these.
    pub(super) fn taken<S: Store>(&self, store: &mut S, window: &Window) -> Result<Vec<u64>, StoreError> {
        let (mut numbers, mut own) = (BTreeSet::new(), BTreeSet::new());
        for record in window.events.iter().map(|past| &past.row.record) {
            let media = record.heard.iter().map(|heard| &heard.media);
            numbers.extend(media.flat_map(|media| media.pictures.iter().map(Picture::original).chain(media.link)));
            for mark in &record.marks {
                if let Mark::Proof { number, used, .. } = mark {
                    if *used {
                        own.insert(*number)
                    } else {
                        own.remove(number)
                    };
                }
            }
        }
        let mut taken = Vec::new();
        for number in numbers.difference(&own) {
            let key = ProofKey { campaign: window.before.key.campaign, number: *number };
            if self.proof(store, key)?.is_some_and(|proof| proof.used) {
                taken.push(*number);
            }
        }
        Ok(taken)
    }

    fn proof<S: Store>(&self, store: &mut S, key: ProofKey) -> Result<Option<Proof>, StoreError> {
        match self.proofs.get(&key) {
            Some(known) => Ok(Some(*known)),
            None => store.proof(key),
        }
    }

    /// Takes what a decided event tells of proofs.
    pub(super) fn take_proofs<S: Store>(&mut self, store: &mut S, row: &EventRow) -> Result<(), StoreError> {
        for (key, change) in proof::changes(row) {
            let before = self.proof(store, key)?;
            let now = proof::after(before, key, change, row.seq);
            if before == Some(now) {
                continue;
            }
            if let (None, Some(look), true) = (before, now.look, now.original == key.number) {
                self.looks.add(key.campaign, look, key.number);
            }
            self.proofs.insert(key, now);
        }
        Ok(())
    }
}
