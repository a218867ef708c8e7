//! Goods that nobody can ever reach: dearer than all that one member can earn in a season.

use std::ops::Range;

use crate::rules::campaign::Campaign;
use crate::rules::lint::worst;
use crate::rules::mistake::{Mistakes, grouped};

/// Days in which a good should be within reach of who earns all that can be earned.
const REACH_DAYS: i64 = 90;

/// Warns of a campaign's goods. `heads` are their names and places.
pub fn check(campaign: &Campaign, heads: &[(&str, Range<usize>)], mistakes: &mut Mistakes) {
    // Where no rule pays, points come from elsewhere.
    let Some(most) = worst::in_days(campaign, REACH_DAYS).filter(|most| *most > 0) else { return };
    for good in campaign.goods.iter().filter(|good| good.price > most) {
        let Some((_, head)) = heads.iter().find(|(name, _)| good.code.strip_prefix("good.") == Some(name)) else { continue };
        let text = format!(
            "[{}] 要 {} 分,可按现在的规则和上限,一个人天天拿满,{REACH_DAYS} 天最多得 {} 分,谁也换不到;请降价,或提高得分",
            good.code,
            grouped(&good.price.to_string()),
            grouped(&most.to_string())
        );
        mistakes.warning(head.clone(), "prize-unreachable", text);
    }
}
