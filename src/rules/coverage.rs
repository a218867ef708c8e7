//! Coverage: which campaign a place belongs to.

use crate::model::event::Place;
use crate::rules::campaign::Rules;

/// Longest chat id WeCom gives; a shorter ASCII entry of `groups` may be an id, anything else is a name.
const CHAT_ID_BYTES_MAX: usize = 64;

/// Which campaign a chat belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// This one, by its index.
    Campaign(usize),
    /// None.
    None,
    /// It cannot be told yet: the file names a group nobody bears so far, and this group's name is unknown.
    Unresolved,
}

/// Finds the campaign of a place. `known_title` is the group's name where the event does not tell it; `is_known_title` says
/// whether some known group of the corp bears a name.
pub fn covers(rules: &Rules, place: &Place, known_title: Option<&str>, is_known_title: &dyn Fn(&str) -> bool) -> Coverage {
    let rest = || position(rules, |entry| entry == "*").map_or(Coverage::None, Coverage::Campaign);
    let (chat, title) = match place {
        Place::Single => return rest(),
        Place::Books { campaign, .. } => return rules.campaigns.iter().position(|it| it.id == *campaign).map_or(Coverage::None, Coverage::Campaign),
        Place::Group { chat, title, .. } => (chat, title),
    };
    let title = title.as_deref().or(known_title);
    if let Some(index) = position(rules, |entry| entry == &**chat).or_else(|| position(rules, |entry| Some(entry) == title)) {
        return Coverage::Campaign(index);
    }
    let could_be_this = |entry: &str| !looks_like_chat_id(entry) && !is_known_title(entry);
    match title.is_none() && position(rules, |entry| entry != "*" && could_be_this(entry)).is_some() {
        true => Coverage::Unresolved,
        false => rest(),
    }
}

fn position(rules: &Rules, is_it: impl Fn(&str) -> bool) -> Option<usize> {
    rules.campaigns.iter().position(|campaign| campaign.groups.iter().any(|entry| is_it(entry)))
}

fn looks_like_chat_id(entry: &str) -> bool {
    entry.is_ascii() && entry.len() <= CHAT_ID_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::GroupKind;
    use crate::rules::file::load;
    use crate::rules::world::TWO;

    fn loaded(toml: &str) -> Rules {
        load(toml).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).0
    }

    #[test]
    fn a_group_is_found_by_its_id_then_by_its_name_then_by_the_star() {
        let rules = loaded(TWO);
        let group = |chat: &str, title: Option<&str>| Place::Group { chat: chat.into(), kind: GroupKind::Internal, title: title.map(Into::into) };
        let of = |place: &Place, known| covers(&rules, place, known, &|title| title == "VIP 福利群");
        assert_eq!(of(&group("wrXYZ", None), None), Coverage::Campaign(0));
        assert_eq!(of(&group("wrA", Some("VIP 福利群")), None), Coverage::Campaign(0));
        assert_eq!(of(&group("wrA", None), Some("VIP 福利群")), Coverage::Campaign(0));
        assert_eq!(of(&group("wrA", Some("别的群")), None), Coverage::Campaign(1));
        assert_eq!(of(&group("wrA", None), None), Coverage::Campaign(1), "the named group is known and is another");
        assert_eq!(of(&Place::Single, None), Coverage::Campaign(1));
    }

    #[test]
    fn a_nameless_group_waits_while_a_written_name_belongs_to_nobody() {
        let rules = loaded(TWO);
        let nameless = Place::Group { chat: "wrA".into(), kind: GroupKind::Internal, title: None };
        assert_eq!(covers(&rules, &nameless, None, &|_| false), Coverage::Unresolved);
        assert_eq!(covers(&rules, &Place::Single, None, &|_| false), Coverage::Campaign(1));
    }
}
