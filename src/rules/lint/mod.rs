//! Mistakes that cost money or confuse members: beside the errors of form, with what they can cost. All codes and their explanations are in
//! [`codes`]; an operator may allow a finding by a comment ([`allow`]).

pub mod allow;
pub mod caps;
pub mod codes;
mod codes_form;
mod codes_money;
mod codes_sense;
pub mod goods;
pub mod law;
pub mod promised;
pub mod tables;
pub mod talk;
pub mod worst;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod slips;

use std::collections::HashMap;
use std::ops::Range;

use crate::model::day::PeriodKind;
use crate::rules::assistant::Assistant;
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::lint_days;
use crate::rules::mistake::{Mistakes, Severity};
use crate::rules::table::RuleTable;
use crate::rules::testing::Test;
use crate::rules::text::fold;
use crate::rules::words::How;

/// Looks at all campaigns. `heads` are the places of the campaigns' rules.
pub fn check(campaigns: &[Campaign], assistant: &Assistant, heads: &[Vec<Range<usize>>], mistakes: &mut Mistakes) {
    for (campaign, heads) in campaigns.iter().zip(heads) {
        let live: Vec<Placed<'_>> = campaign.rules.iter().zip(heads).filter(|(rule, _)| rule.common.mode == Mode::Live).collect();
        for placed in &live {
            uncapped(campaign, *placed, mistakes);
            many_a_day(campaign, *placed, mistakes);
            window_without_when(*placed, mistakes);
            keyword_is_question(*placed, assistant, mistakes);
            unknown_level(campaign, *placed, mistakes);
            lint_days::check(campaign, *placed, assistant, mistakes);
            talk::check(campaign, *placed, mistakes);
            caps::of_rule(campaign, *placed, mistakes);
            law::check(campaign, *placed, mistakes);
        }
        same_keyword(campaign, &live, mistakes);
        overlap(campaign, &live, mistakes);
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
        let text = format!("{} 没有上限:每条 {} 分,说得越多得得越多;建议加上 max_points = {{ day = 20 }}", rule.code, rule.kind.most());
        mistakes.costly(head.clone(), Severity::Warning, "no-cap", text, worst::cost(campaign, &[rule]));
    }
}

/// A word that pays several times on one day, because the operator counts by the week or the month only.
fn many_a_day(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let times = &rule.common.limits.max_times;
    let is_spread = times.iter().any(|(period, most)| matches!(period, PeriodKind::Day | PeriodKind::Window) || *most == 1);
    let Some((_, most)) = times.iter().min_by_key(|(_, most)| *most) else { return };
    if !rule.kind.listens_for().is_empty() && rule.kind.most() > 0 && !is_spread {
        let text = format!("{} 的 max_times 没写 day,同一天可以连得 {most} 次;想一天一次就加上 day = 1", rule.code);
        mistakes.costly(head.clone(), Severity::Warning, "many-a-day", text, worst::cost(campaign, &[rule]));
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
fn same_keyword(campaign: &Campaign, live: &[Placed<'_>], mistakes: &mut Mistakes) {
    let mut rules_by_word: HashMap<String, Vec<&RuleEntry>> = HashMap::new();
    for (rule, head) in live {
        for listen in rule.kind.listens_for().iter().filter(|listen| listen.how == How::Equals) {
            let rules = rules_by_word.entry(fold(&listen.text).as_str().to_owned()).or_default();
            if let Some(earlier) = rules.iter().find(|earlier| earlier.index != rule.index && !apart(earlier, rule)) {
                let sum = earlier.kind.most().saturating_add(rule.kind.most());
                let text = format!("口令「{}」在 {} 里也有,一条消息两边都得分,最多共 {sum} 分;不想这样就换一个口令", listen.text, earlier.code);
                mistakes.costly((*head).clone(), Severity::Warning, "same-keyword", text, worst::cost(campaign, &[earlier, rule]));
            }
            rules.push(rule);
        }
    }
}

/// Two rules for talk that are open together: both pay for one message.
fn overlap(campaign: &Campaign, live: &[Placed<'_>], mistakes: &mut Mistakes) {
    let talk: Vec<&Placed<'_>> = live.iter().filter(|(rule, _)| rule.kind.hears_talk()).collect();
    for (place, (rule, head)) in talk.iter().enumerate() {
        if let Some((earlier, _)) = talk[..place].iter().find(|(earlier, _)| !apart(earlier, rule)) {
            let text = format!("与 {} 的时段重叠,一条消息两边都得分;不想这样就错开 when,或用同一个 bucket 合计上限", earlier.code);
            mistakes.costly((*head).clone(), Severity::Warning, "overlap", text, worst::cost(campaign, &[earlier, rule]));
        }
    }
}

/// The lines of the table whose head stands on a line; that line alone where it is a key.
pub fn table_lines(source: &str, line: usize) -> Range<usize> {
    let is_head = |text: &str| text.trim_start().starts_with('[');
    let below = source.lines().skip(line).take_while(|text| !is_head(text)).count();
    let is_own = source.lines().nth(line - 1).is_some_and(is_head);
    line..line + 1 + if is_own { below } else { 0 }
}

/// Notes a test that passes whatever the rules are.
pub fn idle_test(test: &Test, table: &RuleTable<'_>, mistakes: &mut Mistakes) {
    let expects = test.lines.iter().any(|line| line.expect_points.is_some() || line.expect_reply.is_some());
    let ends = ["ledger", "replies"].iter().any(|key| table.get(key).is_some());
    if !test.lines.is_empty() && !expects && !ends {
        mistakes.warning(table.span("name"), "idle-test", "这个测试什么也没核对;在对话行后面写应得的分,例如 11-22 09:00 阿明: 签到 => +2");
    }
}

/// Whether no message is paid by both, or only together under the cap of one bucket.
pub fn apart(one: &RuleEntry, other: &RuleEntry) -> bool {
    one.common.bucket.is_some() && one.common.bucket == other.common.bucket || never_meet(one, other)
}

/// Whether no message can reach both.
pub fn never_meet(one: &RuleEntry, other: &RuleEntry) -> bool {
    let windows_apart = one.common.when.as_ref().zip(other.common.when.as_ref()).is_some_and(|(one, other)| !one.overlaps(other));
    let dates_apart = one.common.dates.zip(other.common.dates).is_some_and(|(one, other)| one.1 < other.0 || other.1 < one.0);
    let groups_apart = one.common.only.groups.as_ref().zip(other.common.only.groups.as_ref());
    let groups_apart = groups_apart.is_some_and(|(one, other)| !one.iter().any(|group| other.contains(group)));
    windows_apart || dates_apart || groups_apart
}
