//! Marks: under which keys of the account's state what a rule did is kept.

use std::sync::Arc;

use crate::model::day::{Period, PeriodKind};
use crate::model::decision::{Mark, Record};
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::cap::{Limits, Periods};
use crate::rules::standing::GLOBAL;

/// The key of a state: `~` before it for a rule in shadow.
pub fn state_key(code: &Arc<str>, mode: Mode) -> Arc<str> {
    match mode {
        Mode::Live | Mode::Off => code.clone(),
        Mode::Shadow => format!("~{code}").into(),
    }
}

/// Whether what was decided matters to rules on trial only: nothing of it may reach what members have.
pub fn is_on_trial(record: &Record, campaign: &Campaign) -> bool {
    let is_tried = |code: &str| campaign.rules.iter().any(|rule| *rule.code == *code && rule.common.mode == Mode::Shadow);
    let mut verdicts = record.verdicts.iter().filter(|verdict| verdict.ruling.depends_on_state());
    let own = record.repair.is_none() && record.marks.iter().all(|mark| mark.key().starts_with('~'));
    record.is_stateful() && own && verdicts.all(|verdict| is_tried(&verdict.rule))
}

/// One count for every period that is limited; for a rule without limits of its own, the day, so that 「今天」 can tell; and those that
/// tasks ask for.
pub fn counts(key: &Arc<str>, limits: &Limits, periods: Periods, points: i64, of_rule: Option<&[PeriodKind]>) -> Vec<Mark> {
    let mut counted: Vec<Period> = limits.periods().map(|kind| periods.of(kind)).collect();
    if counted.is_empty() && of_rule.is_some() {
        counted.push(periods.of(PeriodKind::Day));
    }
    counted.extend(of_rule.unwrap_or_default().iter().map(|kind| periods.of(*kind)));
    counted.sort_unstable();
    counted.dedup();
    counted.into_iter().map(|period| Mark::Count { key: key.clone(), period, times: 1, points }).collect()
}

/// Puts the rule's key before the mark's own suffix (mostly none).
pub fn with_key(mark: Mark, code: &Arc<str>) -> Mark {
    let full = |suffix: &Arc<str>| match suffix.strip_prefix(GLOBAL) {
        // The account's own, unless it is only tried.
        Some(global) if code.starts_with('~') => format!("~{global}").into(),
        Some(global) => global.into(),
        None if suffix.is_empty() => code.clone(),
        None => format!("{code}{suffix}").into(),
    };
    let key = full(mark.key());
    mark.under(key)
}
