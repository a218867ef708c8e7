//! «The first N»: places among those that a day has, in the order in which messages were decided. Keys `first` and `first_only` of a kind.

use std::collections::BTreeMap;

use crate::model::claim::Claim;
use crate::rules::check_in::RULE_POINTS_MAX;
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::{Scarce, Share};

/// Steps of `first`; each is a row a day among what members share.
const STEPS_MAX: usize = 8;

/// Places of a step: more than a corp's groups have members.
const PLACES_MAX: i64 = 100_000;

/// Numbers of shares a scope has: the steps and the one of `first_only`.
const NUMBERS: i64 = 16;

/// `first` and `first_only` of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct First {
    /// (places, extra points), ascending by places.
    pub extra: Vec<(i64, i64)>,
    /// How many are paid at all.
    pub only: Option<i64>,
}

/// The place somebody came in at, and the extra points it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extra {
    /// The place, from 1.
    pub place: i64,
    /// Extra points.
    pub points: i64,
}

impl First {
    /// Reads both keys. Notes what does not make sense.
    pub fn read(table: &RuleTable<'_>, first: &BTreeMap<String, i64>, only: Option<i64>, mistakes: &mut Mistakes) -> First {
        let mut extra = Vec::new();
        for (places, points) in first {
            let number = places.trim().parse::<i64>().ok().filter(|places| (1..=PLACES_MAX).contains(places));
            match number.filter(|_| (1..=RULE_POINTS_MAX).contains(points)) {
                Some(number) => extra.push((number, *points)),
                None => {
                    let text = format!("first 要写成 前几名 = 另加几分,例如 {{ 3 = 5 }}(名次 1 到 {PLACES_MAX},分数 1 到 {RULE_POINTS_MAX})");
                    mistakes.error(table.span_within("first", places), "bad-first", text);
                }
            }
        }
        extra.sort_unstable();
        if extra.len() > STEPS_MAX {
            mistakes.error(table.span("first"), "too-many", format!("first 最多写 {STEPS_MAX} 档"));
            extra.truncate(STEPS_MAX);
        }
        if let (Some(only), Some((most, _))) = (only, extra.last())
            && *most > only
        {
            mistakes.warning(table.span("first"), "unreachable", format!("first 写到前 {most} 名,但 first_only = {only},{only} 名以后根本不得分"));
        }
        First { extra, only }
    }

    /// Whether neither key is written.
    pub fn is_none(&self) -> bool {
        self.extra.is_empty() && self.only.is_none()
    }

    /// All extra points together.
    pub fn points(&self) -> i64 {
        self.extra.iter().map(|(_, points)| *points).fold(0, i64::saturating_add)
    }

    /// What it takes of what members share. `scope` is what the places belong to: a day, a day of a group.
    pub fn shares(&self, scope: i64) -> Vec<Share> {
        let number = |at: i64| scope.wrapping_mul(NUMBERS).wrapping_add(at);
        let only = self.only.map(|most| Share { name: NAME, number: number(NUMBERS - 1), most, scarce: Scarce::Refuses });
        let extra = (0..).zip(&self.extra).map(|(at, (most, points))| Share { name: NAME, number: number(at), most: *most, scarce: Scarce::Costs(*points) });
        only.into_iter().chain(extra).collect()
    }

    /// Behind the points in the words of a rule: `,前 3 名再 +5`.
    pub fn in_words(&self) -> String {
        let extra: String = self.extra.iter().map(|(places, points)| format!(",前 {places} 名再 +{points}")).collect();
        let only = self.only.map_or(String::new(), |most| format!(",每天只给前 {most} 名"));
        extra + &only
    }
}

/// Name of these shares.
const NAME: &str = "first";

/// What places somebody took brought; `None` where none brings points.
pub fn extra(claims: &[Claim], shares: &[Share]) -> Option<Extra> {
    let of = |claim: &Claim| {
        let share = shares.iter().find(|share| share.name == NAME && share.number == claim.number && is_named(claim))?;
        match share.scarce {
            Scarce::Costs(points) => Some(Extra { place: claim.total, points }),
            Scarce::Refuses => None,
        }
    };
    claims.iter().filter_map(of).reduce(|one, other| Extra { place: one.place.min(other.place), points: one.points.saturating_add(other.points) })
}

fn is_named(claim: &Claim) -> bool {
    claim.name.trim_start_matches('~').split('/').next() == Some(NAME)
}
