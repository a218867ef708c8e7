//! Who is in which group since when, under keys of the account's own state.
//!
//! | key | since |
//! |---|---|
//! | `in.<group number>` | the member is in that group |
//! | `in` | the member is in any group of the campaign, without a gap |
//! | `out` | the member is out of all of them |
//!
//! Joins and leaves tell it. Who was there before anybody told is known to be there from their first message on, where the campaign asks for it
//! ([`crate::rules::campaign::Campaign::follows_presence`]), and from the day that a member list gives. A member list also tells of what was missed: a later day than the
//! one known means that the member left and came back.

use std::sync::{Arc, LazyLock};

use crate::model::cells::AccountState;
use crate::model::day::Millis;
use crate::model::decision::{Deed, Mark};
use crate::model::ids::GroupId;
use crate::rules::decide::Scene;

/// In any group of the campaign.
pub static IN: LazyLock<Arc<str>> = LazyLock::new(|| "in".into());

/// Out of all groups of the campaign.
pub static OUT: LazyLock<Arc<str>> = LazyLock::new(|| "out".into());

/// Stands before a group's number.
const IN_GROUP: &str = "in.";

/// Two tellings of one join differ by less: a callback's time and a member list's.
const SAME_JOIN_SECS: i64 = 600;

/// Since when the member of an account is in any group of the campaign.
pub fn since(state: Option<&AccountState>) -> Option<Millis> {
    state?.code(&IN)?.since
}

/// Since when the member of an account is out of all groups of the campaign; `None` too for who was never seen in one.
pub fn out_since(state: Option<&AccountState>) -> Option<Millis> {
    state?.code(&OUT)?.since
}

/// Whether a key tells since when somebody is in a group or in any.
pub fn is_presence(key: &str) -> bool {
    *key == **IN || key.starts_with(IN_GROUP)
}

/// The key of a group.
pub fn key(group: GroupId) -> Arc<str> {
    format!("{IN_GROUP}{}", group.0).into()
}

/// The numbers of the groups that the member of an account is in.
pub fn groups(state: &AccountState) -> impl Iterator<Item = GroupId> + '_ {
    let present = state.codes.iter().filter(|(_, state)| state.since.is_some());
    present.filter_map(|(code, _)| code.strip_prefix(IN_GROUP)?.parse().ok().map(GroupId))
}

/// What an event tells of its member's presence.
pub(super) fn marks(scene: &Scene<'_>) -> Vec<Mark> {
    let group = scene.facts.group;
    if group == GroupId::NONE || scene.event.who.is_none() || scene.is_unpaid_staff() {
        return Vec::new();
    }
    let state = scene.facts.account.map(|account| &account.state);
    let known = state.and_then(|state| state.code(&key(group))?.since);
    match scene.deed {
        Some(Deed::Joined) => arrived(state, group, known, scene.event.at),
        Some(Deed::Listed { joined_at }) => arrived(state, group, known, *joined_at),
        Some(Deed::Left) => left(state, group, scene.event.at),
        Some(Deed::Happened { .. } | Deed::Due { .. } | Deed::Willed | Deed::Merged { .. } | Deed::Unmerged { .. } | Deed::Transferred { .. }) => Vec::new(),
        None if known.is_none() && scene.event.said().is_some() && scene.campaign.follows_presence => arrived(state, group, None, scene.event.at),
        None => Vec::new(),
    }
}

fn arrived(state: Option<&AccountState>, group: GroupId, known: Option<Millis>, at: Millis) -> Vec<Mark> {
    if known.is_some_and(|known| known.0.abs_diff(at.0) < SAME_JOIN_SECS.unsigned_abs() * 1000) {
        // It is told again. It still belongs to the history: an earlier leave may arrive late.
        return vec![Mark::Since { key: key(group), at: known }];
    }
    let whole = match (is_elsewhere(state, group), since(state)) {
        (true, Some(since)) => since.min(at),
        (true | false, _) => at,
    };
    let returned = out_since(state).map(|_| Mark::Since { key: OUT.clone(), at: None });
    [Mark::Since { key: key(group), at: Some(at) }, Mark::Since { key: IN.clone(), at: Some(whole) }].into_iter().chain(returned).collect()
}

fn left(state: Option<&AccountState>, group: GroupId, at: Millis) -> Vec<Mark> {
    let mut marks = vec![Mark::Since { key: key(group), at: None }];
    if !is_elsewhere(state, group) {
        marks.extend([Mark::Since { key: IN.clone(), at: None }, Mark::Since { key: OUT.clone(), at: Some(at) }]);
    }
    marks
}

/// Whether the member is in another group of the campaign.
fn is_elsewhere(state: Option<&AccountState>, group: GroupId) -> bool {
    let own = key(group);
    let codes = state.map_or(&[][..], |state| &state.codes);
    codes.iter().any(|(code, state)| code.starts_with(IN_GROUP) && *code != own && state.since.is_some())
}
