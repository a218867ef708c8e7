//! What members share: budgets and places among the first. Who comes first is decided by the order of commits; deciding again neither takes
//! nor gives back.

use std::sync::{Arc, LazyLock};

use crate::model::claim::Claim;
use crate::model::day::PeriodKind;
use crate::model::decision::{Cap, Deed, Refusal};
use crate::model::ids::GroupId;
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::cap::Room;
use crate::rules::decide::{CAMPAIGN_KEY, Scene};
use crate::rules::marks::state_key;
use crate::rules::{Hearing, Offer, Prepared, Scarce, Share, Shared, campaign::RuleEntry, campaign::Rules, schedule};

/// Name of a rule's budget.
pub const BUDGET: &str = "budget";

/// Name of a campaign's budget.
pub static CAMPAIGN_BUDGET: LazyLock<Arc<str>> = LazyLock::new(|| "budget/campaign".into());

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
    let all = campaign.budget.map(|budget| (state_key(&CAMPAIGN_BUDGET, rule.common.mode), CAMPAIGN_KEY.clone(), budget));
    own.into_iter().chain(all)
}

/// What the budgets over a rule leave; `None` where there is none.
pub fn left(shared: Shared<'_>, campaign: &Campaign, rule: &RuleEntry) -> Option<i64> {
    let left = |(name, _, most): (Arc<str>, Arc<str>, i64)| claim(shared, &[], name, 0, i64::MAX, most).map_or(0, |claim| claim.taken);
    budgets(campaign, rule).map(left).min()
}

/// The whole name of what a rule shares. What a rule on trial takes is counted apart.
pub fn name(name: &str, rule: &RuleEntry) -> Arc<str> {
    state_key(&format!("{name}/{}", rule.code).into(), rule.common.mode)
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

impl Scene<'_> {
    /// Places among the first that the rule wants; without one it does not pay, or pays less.
    pub(super) fn places(&self, rule: &RuleEntry, hearing: &Hearing<'_>, offer: &mut Offer, so_far: &[Claim]) -> Result<Vec<Claim>, Refusal> {
        let mut claims = Vec::new();
        for share in rule.kind.shares(hearing) {
            match (place(self.facts.shared, so_far, rule, &share), share.scarce) {
                (Some(claim), _) => claims.push(claim),
                (None, Scarce::Refuses) => return Err(Refusal::TooLate { first: share.most }),
                (None, Scarce::Costs(points)) => {
                    offer.points -= points;
                    offer.bonus -= points;
                }
            }
        }
        Ok(claims)
    }

    /// What the rule's budget and the campaign's leave of a payment.
    pub(super) fn within_budget(&self, rule: &RuleEntry, room: Room, so_far: &[Claim]) -> Result<(Room, Vec<Claim>), Refusal> {
        if room.points == 0 {
            return Ok((room, Vec::new()));
        }
        let Room { mut points, mut clipped_by } = room;
        let mut claims = Vec::new();
        for (name, of, budget) in budgets(self.campaign, rule) {
            let claim = claim(self.facts.shared, so_far, name, 0, points, budget).ok_or(Refusal::Spent)?;
            if claim.taken < points {
                points = claim.taken;
                clipped_by = Some(Cap { of, period: PeriodKind::Ever, in_points: true, used: claim.total - claim.taken, most: budget });
            }
            claims.push(claim);
        }
        // What the tighter budget leaves is taken of both.
        for claim in &mut claims {
            claim.total -= claim.taken - points;
            claim.taken = points;
        }
        Ok((Room { points, clipped_by }, claims))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::cells::AccountCell;
    use crate::model::decision::{Refusal, Ruling};
    use crate::rules::world::World;

    const BUDGETED: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nmax_times = { day = 9 }\nbudget = 5";

    #[test]
    fn a_budget_is_paid_out_to_the_last_point_and_then_refuses() {
        let mut world = World::new(BUDGETED);
        let paid = ["09:00", "10:00", "11:00", "12:00"].map(|time| world.says(&format!("11-22 {time}"), "签到"));
        assert_eq!(paid, [2, 2, 1, 0]);
        assert_eq!(*world.ruling(), Ruling::Refused(Refusal::Spent));
    }

    #[test]
    fn a_budget_is_shared_by_all_members() {
        let mut world = World::new(BUDGETED);
        world.says("11-22 09:00", "签到");
        world.says("11-22 09:01", "签到");
        world.account = AccountCell { id: world.account.id, ..AccountCell::default() };
        assert_eq!(world.says("11-22 09:02", "签到"), 1, "小红 gets what 阿明 left");
    }

    #[test]
    fn a_rule_on_trial_takes_nothing_of_the_budget() {
        let mut world = World::new(&format!("{BUDGETED}\nmode = \"shadow\""));
        world.says("11-22 09:00", "签到");
        assert_eq!(world.shared.keys().map(|(name, _)| &**name).collect::<Vec<_>>(), ["~budget/check_in.daily"], "it is counted apart");
        assert!(world.last.replies.is_empty());
    }
}
