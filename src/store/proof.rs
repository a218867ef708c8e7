//! Proofs: pictures and links that members sent, and whether one was paid for. A cache of the journal, folded here and nowhere else.

use crate::model::decision::Mark;
use crate::model::event::{Look, Picture};
use crate::model::ids::{CampaignId, EventSeq};
use crate::model::journal::EventRow;

/// Pictures of a campaign that a new one is compared with by its looks, the newest: 2.4 MB, and 50 ms of the writer's time for a new picture
/// at the worst. The same bytes are known for ever.
pub const LOOKS_MAX: usize = 100_000;

/// A picture or link of a campaign, by what it is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProofKey {
    /// The campaign.
    pub campaign: CampaignId,
    /// [`Picture::exact`], or the keyed hash of a link.
    pub number: u64,
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// The first one that shows the same, itself if it is that.
    pub original: u64,
    /// What it looks like.
    pub look: Option<Look>,
    /// A rule paid for it, and did not take that back.
    pub used: bool,
    /// The event that brought it first.
    pub seen: EventSeq,
}

/// What an event tells of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It came.
    Seen(Picture),
    /// It was paid for, or that was taken back.
    Used(bool),
}

/// What an event tells of proofs, in order.
pub fn changes(row: &EventRow) -> Vec<(ProofKey, Change)> {
    let Some(campaign) = row.campaign else { return Vec::new() };
    let pictures = row.record.heard.iter().flat_map(|heard| &heard.media.pictures);
    let seen = pictures.map(|picture| (ProofKey { campaign, number: picture.exact }, Change::Seen(*picture)));
    let used = row.record.marks.iter().filter_map(|mark| match mark {
        // What a rule on trial would have paid for is free.
        Mark::Proof { key, number, used } => (!key.starts_with('~')).then_some((ProofKey { campaign, number: *number }, Change::Used(*used))),
        Mark::Count { .. } | Mark::Day { .. } | Mark::Recent { .. } | Mark::Since { .. } => None,
    });
    seen.chain(used).collect()
}

/// A proof after an event at `seq` told of it.
pub fn after(before: Option<Proof>, key: ProofKey, change: Change, seq: EventSeq) -> Proof {
    let fresh = Proof { original: key.number, look: None, used: false, seen: seq };
    match (before, change) {
        (Some(known), Change::Seen(_)) => known,
        (None, Change::Seen(picture)) => Proof { original: picture.original(), look: picture.look, ..fresh },
        (known, Change::Used(used)) => Proof { used, ..known.unwrap_or(fresh) },
    }
}
