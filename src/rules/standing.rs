//! What a member is in a campaign, for `only`: tags and levels that events set, whether anything was bought, since when the member is in a
//! group. All of it is the account's own state, so that deciding again finds what held then.

use std::sync::Arc;

use crate::model::cells::AccountCell;
use crate::model::day::Millis;
use crate::model::decision::{Deed, Mark, Refusal};
use crate::rules::boost::{Level, level};
use crate::rules::campaign::{Campaign, Only};

/// Before the key of a mark that belongs to the account and not to the rule that leaves it.
pub const GLOBAL: char = '@';

/// The tag of members who bought something where no order tells.
const BUYER: &str = "买家";

/// Codes of rules for orders begin so.
const ORDERS: &str = "order.";

/// Where it is kept since when a member is in the campaign's groups.
const JOINED: &str = "joined";

/// Where a tag is kept.
pub fn tag_key(tag: &str) -> Arc<str> {
    format!("tag.{tag}").into()
}

/// Where a level is kept that was given and not earned.
pub fn level_key(title: &str) -> Arc<str> {
    format!("level.{title}").into()
}

/// The level a member has: the higher of what was earned and what was given.
pub fn level_of<'a>(campaign: &'a Campaign, account: Option<&AccountCell>) -> Option<&'a Level> {
    level_at(campaign, account, account.map_or(0, |account| account.lifetime))
}

/// The level a member would have with so many points ever earned.
pub fn level_at<'a>(campaign: &'a Campaign, account: Option<&AccountCell>, lifetime: i64) -> Option<&'a Level> {
    let earned = level(&campaign.levels, lifetime);
    let given = campaign.levels.iter().rfind(|level| since(account, &level_key(&level.title)).is_some());
    earned.into_iter().chain(given).max_by_key(|level| level.at)
}

/// Whether `only` holds for a member, as far as it asks what the member is. `deed` is what is being decided.
///
/// # Errors
/// What is missing, for the member.
pub fn admits(campaign: &Campaign, only: &Only, account: Option<&AccountCell>, deed: Option<&Deed>, at: Millis) -> Result<(), Refusal> {
    let lacks = |needs: String| Err(Refusal::NotForThisMember(needs.into()));
    if let Some(tags) = &only.tags
        && !tags.iter().any(|tag| since(account, &tag_key(tag)).is_some())
    {
        return lacks(format!("只给有「{}」标签的成员", tags.join("」或「")));
    }
    if let Some(levels) = &only.levels
        && !level_of(campaign, account).is_some_and(|own| levels.contains(&own.title))
    {
        return lacks(format!("只给「{}」等级", levels.join("」或「")));
    }
    match (only.buyers, has_bought(account)) {
        (Some(true), false) => return lacks("只给买过的成员".into()),
        (Some(false), true) => return lacks("只给还没买过的成员".into()),
        (Some(_), _) | (None, _) => {}
    }
    if let Some(secs) = only.joined_within_secs {
        let joined = since(account, JOINED).or((deed == Some(&Deed::Joined)).then_some(at));
        let Some(joined) = joined else { return lacks("只给新进群的成员,而你什么时候进的群没有记录".into()) };
        if at > joined.plus_secs(secs) {
            return lacks(format!("只给进群{}以内的成员", in_words(secs)));
        }
    }
    Ok(())
}

/// What is to be remembered of a member who joins, where a rule asks for it: the first time only.
pub fn joined(campaign: &Campaign, account: Option<&AccountCell>, deed: Option<&Deed>, at: Millis) -> Option<Mark> {
    let joined = match deed? {
        Deed::Joined => at,
        Deed::Listed { joined_at } => *joined_at,
        Deed::Left | Deed::Happened { .. } | Deed::Due { .. } | Deed::Willed => return None,
        Deed::Merged { .. } | Deed::Unmerged { .. } | Deed::Transferred { .. } => return None,
    };
    let is_asked_for = campaign.rules.iter().any(|rule| rule.common.only.joined_within_secs.is_some());
    (is_asked_for && since(account, JOINED).is_none()).then(|| Mark::Since { key: JOINED.into(), at: Some(joined) })
}

/// `only` in words, without its groups: `只给「高级」等级`.
pub fn only_in_words(only: &Only) -> Vec<String> {
    let tags = only.tags.as_ref().map(|tags| format!("只给有「{}」标签的成员", tags.join("」或「")));
    let levels = only.levels.as_ref().map(|levels| format!("只给「{}」等级", levels.join("」或「")));
    let buyers = only.buyers.map(|buyers| if buyers { "只给买过的成员" } else { "只给还没买过的成员" }.to_owned());
    let joined = only.joined_within_secs.map(|secs| format!("只给进群{}以内的成员", in_words(secs)));
    [tags, levels, buyers, joined].into_iter().flatten().collect()
}

fn has_bought(account: Option<&AccountCell>) -> bool {
    let Some(account) = account else { return false };
    let orders = account.state.codes.iter().any(|(code, state)| code.starts_with(ORDERS) && state.total.times > 0);
    orders || since(Some(account), &tag_key(BUYER)).is_some()
}

fn since(account: Option<&AccountCell>, key: &str) -> Option<Millis> {
    account?.state.code(key)?.since
}

fn in_words(secs: i64) -> String {
    match secs {
        days if days % 86_400 == 0 => format!(" {} 天", days / 86_400),
        hours if hours % 3_600 == 0 => format!(" {} 小时", hours / 3_600),
        secs => format!(" {} 分钟", secs.div_euclid(60).max(1)),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::act::Act;
    use crate::model::event::Kind;
    use crate::rules::world::World;

    const RULES: &str = r#"
        check_in.new = { keywords = ["新人签到"], points = 5, only = { joined_within = "7d" } }
        check_in.buyer = { keywords = ["买家秀"], points = 7, only = { buyers = true } }
        check_in.daily = { keywords = ["签到"], points = 2 }
        event.paid = { points = 1, sets = { tags = ["买家"] } }
    "#;

    #[test]
    fn newcomers_are_counted_from_the_first_time_they_joined() {
        let mut world = World::new(RULES);
        let mut join = world.event("11-10 09:00", "");
        join.kind = Kind::Did(Act::Joined);
        assert_eq!(world.says("11-09 09:00", "新人签到"), 0);
        world.hears(join.clone());
        assert_eq!((world.says("11-17 09:00", "新人签到"), world.says("11-18 09:00", "新人签到")), (5, 0));
        join.at = crate::rules::world::at("11-18 10:00");
        world.hears(join);
        assert_eq!(world.says("11-19 09:00", "新人签到"), 0, "who leaves and comes back is no newcomer");
    }

    #[test]
    fn buyers_are_who_an_event_says() {
        let mut world = World::new(RULES);
        assert_eq!(world.says("11-20 09:00", "买家秀"), 0);
        assert_eq!(world.last.replies, []);
        let mut paid = world.event("11-20 10:00", "");
        paid.kind = Kind::Did(Act::Happened { event: "paid".into(), subject: None });
        world.hears(paid);
        assert_eq!(world.says("11-21 09:00", "买家秀"), 7);
    }
}
