//! What is looked at table by table, whichever campaigns inherit it: campaigns, buckets, goods, and tables of kinds that do not run yet.

use std::ops::Range;

use toml::de::DeTable;

use crate::rules::campaign::Campaign;
use crate::rules::lint::{caps, goods, promised};
use crate::rules::mistake::Mistakes;

/// Where a campaign's tables stand.
pub struct Places<'a> {
    /// Its `title`.
    pub title: Range<usize>,
    /// Its `max_points`.
    pub caps: Range<usize>,
    /// Its buckets, in the order of [`Campaign::buckets`], by name.
    pub buckets: Vec<(&'a str, Range<usize>)>,
    /// Its goods, by name.
    pub goods: Vec<(&'a str, Range<usize>)>,
    /// The table itself.
    pub own: &'a DeTable<'a>,
}

/// Looks at the campaigns of a file whose outermost table is `root`.
pub fn check(campaigns: &[Campaign], places: &[Places<'_>], root: &DeTable<'_>, mistakes: &mut Mistakes) {
    for (at, (campaign, places)) in campaigns.iter().zip(places).enumerate() {
        caps::falling("活动", &campaign.limits, &places.caps, mistakes);
        if let Some(title) = campaign.title.as_deref()
            && campaigns[..at].iter().any(|earlier| earlier.title.as_deref() == Some(title))
        {
            let text = format!("有两个活动都叫「{title}」,成员分不清是哪边的分;请换一个名称");
            mistakes.warning(places.title.clone(), "same-title", text);
        }
        for (bucket, (_, place)) in campaign.buckets.iter().zip(&places.buckets) {
            caps::falling(&bucket.code, &bucket.limits, place, mistakes);
        }
        goods::check(campaign, &places.goods, mistakes);
        promised::check(places.own, campaign, mistakes);
    }
    campaigns.iter().take(1).for_each(|campaign| promised::check(root, campaign, mistakes));
    idle_buckets(campaigns, places, mistakes);
}

/// Buckets that no rule of any campaign names.
fn idle_buckets(campaigns: &[Campaign], places: &[Places<'_>], mistakes: &mut Mistakes) {
    let is_used = |name: &str| {
        let code = format!("bucket.{name}");
        campaigns.iter().any(|campaign| campaign.rules.iter().any(|rule| rule.common.bucket.is_some_and(|at| *campaign.buckets[at].code == *code)))
    };
    for (name, place) in places.iter().flat_map(|places| &places.buckets).filter(|(name, _)| !is_used(name)) {
        let text = format!("没有规则用 [bucket.{name}],它什么也不限;在要合计的规则里写 bucket = \"{name}\",或删掉它");
        mistakes.warning(place.clone(), "idle-bucket", text);
    }
}
