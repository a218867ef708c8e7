//! Caps and dates that do not do what they seem to: clipped payments, caps that never hold, rules that are never open, tasks nobody can finish.

use std::ops::Range;

use crate::model::day::PeriodKind;
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::cap::Limits;
use crate::rules::lint::{Placed, never_meet};
use crate::rules::mistake::Mistakes;
use crate::rules::{task, wording};

/// Days of `dates` that are looked at one by one: in more every day of the week comes.
const WEEK_DAYS: i32 = 7;

/// Warns of one rule.
pub fn of_rule(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    clipped(campaign, rule, head, mistakes);
    falling(&rule.code, &rule.common.limits, head, mistakes);
    never_open(rule, head, mistakes);
    if rule.kind.follows() {
        unfinished(campaign, rule, head, mistakes);
    }
}

/// A cap of points below what a single time pays.
fn clipped(campaign: &Campaign, rule: &RuleEntry, head: &Range<usize>, mistakes: &mut Mistakes) {
    let bucket = rule.common.bucket.and_then(|index| campaign.buckets.get(index)).map(|bucket| (&*bucket.code, &bucket.limits));
    let whose = [Some(("它", &rule.common.limits)), bucket, Some(("活动", &campaign.limits))];
    let least = rule.kind.least();
    let tightest = whose.into_iter().flatten().flat_map(|(of, limits)| limits.max_points.iter().map(move |(kind, most)| (of, *kind, *most)));
    if let Some((of, kind, most)) = tightest.min_by_key(|(.., most)| *most).filter(|(.., most)| *most < least) {
        let text = format!(
            "{} 一次 {least} 分,可{}的 max_points {}最多 {most} 分,第一次就被截成 {most} 分;请把其中一个改掉",
            rule.code,
            spaced(of),
            wording::each(kind)
        );
        mistakes.warning(head.clone(), "clipped", text);
    }
}

/// Notes a cap of a short period that a cap of a longer one never lets be reached. `of` is whose caps these are.
pub fn falling(of: &str, limits: &Limits, place: &Range<usize>, mistakes: &mut Mistakes) {
    for (key, caps) in [("max_times", &limits.max_times), ("max_points", &limits.max_points)] {
        let mut caps = caps.clone();
        caps.sort_by_key(|(kind, _)| length(*kind));
        if let Some(pair) = caps.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            let ((short, most), (long, least)) = (pair[0], pair[1]);
            let (each, whole) = (wording::each(short), wording::each(long));
            let text = format!("{}的 {key} {each} {most} 比{whole} {least} 还多,{each}的那条永远到不了;是不是写反了?", spaced(of).trim_start());
            mistakes.warning(place.clone(), "caps-fall", text);
        }
    }
}

/// A name of the file stands apart from the words around it.
fn spaced(of: &str) -> String {
    if of.is_ascii() { format!(" {of} ") } else { of.to_owned() }
}

fn length(kind: PeriodKind) -> u8 {
    match kind {
        PeriodKind::Window => 0,
        PeriodKind::Day => 1,
        PeriodKind::Week => 2,
        PeriodKind::Month => 3,
        PeriodKind::Ever => 4,
    }
}

/// Dates on none of which a window opens.
fn never_open(rule: &RuleEntry, head: &Range<usize>, mistakes: &mut Mistakes) {
    let (Some((first, last)), Some(when)) = (rule.common.dates, &rule.common.when) else { return };
    let days = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last).take(WEEK_DAYS as usize);
    if !days.into_iter().any(|date| when.is_open_on(date)) {
        let text = format!("{} 永远不开放:{} 里没有一天是 {};请改 dates 或 when", rule.code, wording::dates((first, last)), when.in_words());
        mistakes.warning(head.clone(), "never-open", text);
    }
}

/// A task with a step that pays nothing, or that never comes at a time when the task is open.
fn unfinished(campaign: &Campaign, rule: &RuleEntry, head: &Range<usize>, mistakes: &mut Mistakes) {
    let steps: Vec<&RuleEntry> = rule.kind.steps().iter().filter_map(|code| campaign.rules.iter().find(|step| step.code == *code)).collect();
    let why = |step: &RuleEntry| match step.common.mode {
        Mode::Live => None,
        Mode::Shadow => Some(format!("步骤 {} 只试算(mode = \"shadow\")", step.code)),
        Mode::Off => Some(format!("步骤 {} 停用了(mode = \"off\")", step.code)),
    };
    let dated = |step: &&&RuleEntry| steps.iter().any(|other| step.common.dates.zip(other.common.dates).is_some_and(|(one, other)| one.1 < other.0));
    let is_daily = task::period(&rule.common.limits) == PeriodKind::Day;
    let never = || (!steps.is_empty() && steps.iter().all(|step| never_meet(rule, step))).then(|| "任务开放的时候,没有一步是开放的".to_owned());
    let apart = || steps.iter().find(dated).filter(|_| is_daily).map(|step| format!("{} 和别的步骤不在同一天开放", step.code));
    if let Some(why) = steps.iter().find_map(|step| why(step)).or_else(never).or_else(apart) {
        mistakes.warning(head.clone(), "task-unfinished", format!("{} 永远完不成:{why}", rule.code));
    }
}
