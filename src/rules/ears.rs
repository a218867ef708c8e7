//! Hearing which rules a text is meant for: by their words, and by what no fixed word tells (the answer of the day, a word with a date).

use crate::model::day::{Day, Millis};
use crate::rules::campaign::{Campaign, RuleEntry, Rules};
use crate::rules::decide::within;
use crate::rules::text::Folded;

/// The rules whose words stand in a text, ascending, with those that have ears of their own.
pub(super) fn matched(rules: &Rules, text: &Folded, at: Millis) -> Vec<usize> {
    let mut matched = rules.matcher.find(text.as_str());
    if rules.ears.is_empty() || text.as_str().is_empty() {
        return matched;
    }
    for (campaign, place) in &rules.ears {
        let campaign = &rules.campaigns[*campaign];
        let (rule, day) = (&campaign.rules[*place], campaign.calendar.day(at));
        if rule.kind.hears(text, day, is_open(campaign, rule, day, at)) {
            matched.push(rule.index);
        }
    }
    matched.sort_unstable();
    matched.dedup();
    matched
}

/// Whether a rule's dates and windows hold.
pub(super) fn is_open(campaign: &Campaign, rule: &RuleEntry, day: Day, at: Millis) -> bool {
    let dated = rule.common.dates.is_none_or(|(first, last)| within(day, first, last));
    dated && rule.common.when.as_ref().is_none_or(|when| when.open_since(&campaign.calendar, at).is_some())
}
