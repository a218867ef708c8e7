//! What members share: budgets and places among the first. Who comes first is decided by the order of commits; deciding again neither takes
//! nor gives back.

use std::sync::{Arc, LazyLock};

use crate::model::decision::Claim;
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::decide::{CAMPAIGN_KEY, Scene};
use crate::rules::{Prepared, Share, Shared, campaign::RuleEntry, campaign::Rules};

/// Name of a rule's budget.
pub const BUDGET: &str = "budget";

/// Name of a campaign's budget.
pub static CAMPAIGN_BUDGET: LazyLock<Arc<str>> = LazyLock::new(|| "budget/campaign".into());

/// The shared things whose state must be known to decide an event; by name and number.
pub fn wants(rules: &Rules, campaign: &Campaign, prepared: &Prepared) -> Vec<(Arc<str>, i64)> {
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
        let is_asked = prepared.traits.as_ref().is_some_and(|heard| heard.question.is_some());
        let looks = rule.kind.looks_at(&hearing);
        if looks || is_asked {
            // 「今天」 tells of no points that nobody can get any more.
            wants.extend(budgets(campaign, rule).map(|(name, ..)| (name, 0)));
        }
        if !looks {
            continue;
        }
        wants.extend(rule.kind.shares(&hearing).into_iter().map(|share| (name(share.name, rule), share.number)));
    }
    wants
}

/// The budgets over a rule, its own first: name, whose, and how much.
pub fn budgets(campaign: &Campaign, rule: &RuleEntry) -> impl Iterator<Item = (Arc<str>, Arc<str>, i64)> {
    let own = rule.common.budget.map(|budget| (name(BUDGET, rule), rule.code.clone(), budget));
    let all = campaign.budget.map(|budget| (CAMPAIGN_BUDGET.clone(), CAMPAIGN_KEY.clone(), budget));
    own.into_iter().chain(all)
}

/// What the budgets over a rule leave; `None` where there is none.
pub fn left(shared: Shared<'_>, campaign: &Campaign, rule: &RuleEntry) -> Option<i64> {
    let left = |(name, _, most): (Arc<str>, Arc<str>, i64)| claim(shared, &[], name, 0, i64::MAX, most).map_or(0, |claim| claim.taken);
    budgets(campaign, rule).map(left).min()
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
