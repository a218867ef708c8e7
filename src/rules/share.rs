//! What members share: budgets and places among the first. Who comes first is decided by the order of commits; deciding again neither takes
//! nor gives back.

use std::sync::Arc;

use crate::model::decision::{Claim, Deed};
use crate::model::ids::GroupId;
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::decide::Scene;
use crate::rules::{Prepared, Share, Shared, campaign::RuleEntry, campaign::Rules, schedule};

/// Name of a rule's budget.
pub const BUDGET: &str = "budget";

/// The shared things whose state must be known to decide an event; by name and number.
pub fn wants(rules: &Rules, campaign: &Campaign, prepared: &Prepared, group: GroupId) -> Vec<(Arc<str>, i64)> {
    if let (Some(Deed::Due { .. }), None) = (&prepared.deed, &prepared.event.who) {
        return schedule::wants(campaign, campaign.calendar.day(prepared.event.at), group);
    }
    if !campaign.has_shares {
        return Vec::new();
    }
    let empty = Default::default();
    let facts = Default::default();
    let scene = Scene::new(rules, campaign, prepared, prepared.traits.as_ref().unwrap_or(&empty), &facts);
    let live = campaign.rules.iter().filter(|rule| rule.common.mode != Mode::Off);
    let mut wants = Vec::new();
    for rule in live {
        let hearing = scene.hearing(rule);
        if !rule.kind.looks_at(&hearing) {
            continue;
        }
        wants.extend(rule.common.budget.map(|_| (name(BUDGET, rule), 0)));
        wants.extend(rule.kind.shares(&hearing).into_iter().map(|share| (name(share.name, rule), share.number)));
    }
    wants
}

/// The whole name of what a rule shares.
pub fn name(name: &str, rule: &RuleEntry) -> Arc<str> {
    format!("{name}/{}", rule.code).into()
}

/// Takes up to `wanted` of what there is `most` of. `None` when nothing is left.
pub fn claim(shared: Shared<'_>, so_far: &[Claim], name: Arc<str>, number: i64, wanted: i64, most: i64) -> Option<Claim> {
    let is_it = |claim: &&Claim| claim.name == name && claim.number == number;
    match shared {
        Shared::Taken(taken) => {
            let before = taken.get(&(name.clone(), number)).copied().unwrap_or(0) + so_far.iter().filter(is_it).map(|claim| claim.taken).sum::<i64>();
            let granted = wanted.min(most.saturating_sub(before));
            (granted > 0).then(|| Claim { name, number, taken: granted, total: before + granted })
        }
        Shared::Pinned(claims) => {
            let had = claims.iter().find(is_it)?;
            Some(Claim { taken: had.taken.min(wanted), ..had.clone() })
        }
    }
}

/// Takes one place of a share.
pub fn place(shared: Shared<'_>, so_far: &[Claim], rule: &RuleEntry, share: &Share) -> Option<Claim> {
    claim(shared, so_far, name(share.name, rule), share.number, 1, share.most)
}
