//! Mistakes that cost money or confuse members: warnings beside the errors.

use std::collections::HashMap;
use std::ops::Range;

use crate::model::day::PeriodKind;
use crate::rules::assistant::Assistant;
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::lint_days;
use crate::rules::mistake::Mistakes;
use crate::rules::text::fold;
use crate::rules::words::How;

/// Warns. `heads` are the places of the campaigns' rules.
pub fn check(campaigns: &[Campaign], assistant: &Assistant, heads: &[Vec<Range<usize>>], mistakes: &mut Mistakes) {
    for (campaign, heads) in campaigns.iter().zip(heads) {
        let live: Vec<Placed<'_>> = campaign.rules.iter().zip(heads).filter(|(rule, _)| rule.common.mode == Mode::Live).collect();
        live.iter().for_each(|placed| uncapped(campaign, *placed, mistakes));
        live.iter().for_each(|placed| many_a_day(*placed, mistakes));
        live.iter().for_each(|placed| window_without_when(*placed, mistakes));
        live.iter().for_each(|placed| keyword_is_question(*placed, assistant, mistakes));
        live.iter().for_each(|placed| unknown_level(campaign, *placed, mistakes));
        live.iter().for_each(|placed| lint_days::check(campaign, *placed, assistant, mistakes));
        same_keyword(&live, mistakes);
        overlap(&live, mistakes);
    }
}

/// A rule and the place of its head.
pub(super) type Placed<'a> = (&'a RuleEntry, &'a Range<usize>);

/// Talk without any cap pays without end.
fn uncapped(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let capped = |limits: &Limits| !limits.is_empty();
    let bucket = rule.common.bucket.and_then(|index| campaign.buckets.get(index));
    let is_capped = capped(&rule.common.limits) || capped(&campaign.limits) || bucket.is_some_and(|bucket| capped(&bucket.limits));
    if !is_capped && rule.kind.most() > 0 && (rule.kind.hears_talk() || !rule.kind.listens_for().is_empty()) {
        let text = format!(
            "{} 没有上限:每条消息 {} 分,一个人刷一百条就是 {} 分;建议加上 max_points = {{ day = 20 }}",
            rule.code,
            rule.kind.most(),
            rule.kind.most() * 100
        );
        mistakes.warning(head.clone(), "no-cap", text);
    }
}

/// A word that pays several times on one day, because the operator counts by the week or the month only.
fn many_a_day((rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let times = &rule.common.limits.max_times;
    let is_spread = times.iter().any(|(period, most)| matches!(period, PeriodKind::Day | PeriodKind::Window) || *most == 1);
    let Some((_, most)) = times.iter().min_by_key(|(_, most)| *most) else { return };
    if !rule.kind.listens_for().is_empty() && rule.kind.most() > 0 && !is_spread {
        let text = format!("{} 的 max_times 没写 day,同一天可以连得 {most} 次;想一天一次就加上 day = 1", rule.code);
        mistakes.warning(head.clone(), "many-a-day", text);
    }
}

/// A level that the campaign does not have: nobody would ever be paid, or get it.
fn unknown_level(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let named = rule.common.only.levels.iter().flatten().map(|level| &**level).chain(rule.kind.gives_level());
    for level in named.filter(|named| !campaign.levels.iter().any(|level| *level.title == **named)) {
        mistakes.error(head.clone(), "unknown-level", format!("{} 写了等级「{level}」,而活动 {} 的 levels 里没有它", rule.code, campaign.id));
    }
}

/// A cap a window where no window is written.
fn window_without_when((rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    if rule.common.when.is_none() && rule.common.limits.periods().any(|period| period == PeriodKind::Window) {
        let text = format!("{} 限制了每个时段,却没写 when,会按一天算;请写上 when,或把 window 改成 day", rule.code);
        mistakes.warning(head.clone(), "no-window", text);
    }
}

/// A rule's word that also asks the assistant: who asks is paid instead of answered.
fn keyword_is_question((rule, head): Placed<'_>, assistant: &Assistant, mistakes: &mut Mistakes) {
    let exact = rule.kind.listens_for().iter().filter(|listen| listen.how == How::Equals);
    for listen in exact.filter(|listen| assistant.question(&fold(&listen.text)).is_some()) {
        let text = format!("口令「{}」也是问助手的话(见 assistant.words);成员 @助手 问它时会变成{};请换掉一处", listen.text, rule.title());
        mistakes.warning(head.clone(), "keyword-is-question", text);
    }
}

/// One word, two rules: both pay for one message.
fn same_keyword(live: &[Placed<'_>], mistakes: &mut Mistakes) {
    let mut rules_by_word: HashMap<String, Vec<&RuleEntry>> = HashMap::new();
    for (rule, head) in live {
        for listen in rule.kind.listens_for().iter().filter(|listen| listen.how == How::Equals) {
            let rules = rules_by_word.entry(fold(&listen.text).as_str().to_owned()).or_default();
            if let Some(earlier) = rules.iter().find(|earlier| earlier.index != rule.index && !apart(earlier, rule)) {
                let sum = earlier.kind.most().saturating_add(rule.kind.most());
                let text = format!("口令「{}」在 {} 里也有,一条消息两边都得分,最多共 {sum} 分;不想这样就换一个口令", listen.text, earlier.code);
                mistakes.warning((*head).clone(), "same-keyword", text);
            }
            rules.push(rule);
        }
    }
}

/// Two rules for talk that are open together: both pay for one message.
fn overlap(live: &[Placed<'_>], mistakes: &mut Mistakes) {
    let talk: Vec<&Placed<'_>> = live.iter().filter(|(rule, _)| rule.kind.hears_talk()).collect();
    for (place, (rule, head)) in talk.iter().enumerate() {
        let shares_bucket = |other: &RuleEntry| rule.common.bucket.is_some() && rule.common.bucket == other.common.bucket;
        if let Some((earlier, _)) = talk[..place].iter().find(|(earlier, _)| !shares_bucket(earlier) && !apart(earlier, rule)) {
            let text = format!("与 {} 的时段重叠,一条消息两边都得分;不想这样就错开 when,或用同一个 bucket 合计上限", earlier.code);
            mistakes.warning((*head).clone(), "overlap", text);
        }
    }
}

/// Whether no message can reach both.
pub fn apart(one: &RuleEntry, other: &RuleEntry) -> bool {
    let windows_apart = one.common.when.as_ref().zip(other.common.when.as_ref()).is_some_and(|(one, other)| !one.overlaps(other));
    let dates_apart = one.common.dates.zip(other.common.dates).is_some_and(|(one, other)| one.1 < other.0 || other.1 < one.0);
    let groups_apart = one.common.only.groups.as_ref().zip(other.common.only.groups.as_ref());
    let groups_apart = groups_apart.is_some_and(|(one, other)| !one.iter().any(|group| other.contains(group)));
    windows_apart || dates_apart || groups_apart
}
