//! `[task.<name>]`: points for having done several things, whatever their order. What is done is read from what the steps' rules paid, so a
//! step that comes late completes it and one that is taken back undoes it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::day::{Day, PeriodKind};
use crate::model::decision::Refusal;
use crate::rules::campaign::RuleEntry;
use crate::rules::cap::{Limits, Periods};
use crate::rules::check_in::check_points;
use crate::rules::fit::did_you_mean;
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::words::Listen;
use crate::rules::{Hearing, Kind, Offer, Own, Rule};

/// `[task.<name>]`
pub const KIND: Kind = Kind {
    name: "task",
    title: "任务",
    default_limits: || Limits { max_times: vec![(PeriodKind::Ever, 1)], max_points: Vec::new() },
    defaults: |_| Vec::new(),
    compile: |table, mistakes| Some(Box::new(compile(table, mistakes))),
    schema: |generator| generator.subschema_for::<TaskTable>(),
};

/// Steps of one task: more is a programme of its own.
const STEPS_MAX: usize = 20;

/// 任务:几件事都做到了另外得分。默认每人一次;max_times = { day = 1 } 就是每日任务,当天做的才算。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskTable {
    /// 要做到的几件事,写规则的全名;先后不论。
    #[schemars(length(min = 1, max = 20), extend("examples" = [["check_in.daily", "event.visit"]]))]
    #[schemars(extend("x-en" = "What has to be done, by the rules' full names, in any order. Required."))]
    steps: Vec<String>,
    /// 都做到了得几分,至少 1(各步自己的分照得)。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [300]))]
    #[schemars(extend("x-en" = "Points for all of it, beside what each step pays. Required."))]
    points: i64,
}

/// A compiled task.
#[derive(Debug)]
pub struct Task {
    steps: Vec<Arc<str>>,
    points: i64,
}

/// How far a member is with a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// For each step, whether it is done.
    pub done: Vec<bool>,
    /// It paid as often as it can in the running period.
    pub is_over: bool,
}

impl Rule for Task {
    fn listens_for(&self) -> &[Listen] {
        &[]
    }

    fn looks_at(&self, _hearing: &Hearing<'_>) -> bool {
        // `decide` asks it only where a step was paid.
        true
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let Progress { done, is_over } = progress(hearing.rule, own, hearing.day);
        if !is_over && done.contains(&false) {
            let count = |steps: usize| u32::try_from(steps).unwrap_or(u32::MAX);
            return Err(Refusal::StepsLeft(count(done.iter().filter(|done| **done).count()), count(done.len())));
        }
        // One that is over is refused by its cap, which says when it can be done again.
        Ok(Offer { points: self.points, ..Offer::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        format!("{} 步都完成再 +{} {points_name}", self.steps.len(), self.points)
    }

    fn most(&self) -> i64 {
        self.points
    }

    fn announces(&self) -> bool {
        true
    }

    fn follows(&self) -> bool {
        true
    }

    fn steps(&self) -> &[Arc<str>] {
        &self.steps
    }
}

/// How far a task is, by what its steps paid in its period. To be paid once more, each step has to be done once more.
pub fn progress(rule: &RuleEntry, own: Own<'_>, day: Day) -> Progress {
    let limits = &rule.common.limits;
    let kind = period(limits);
    let times = |code: &str| match kind {
        PeriodKind::Ever => own.total_of(code).times,
        PeriodKind::Day | PeriodKind::Week | PeriodKind::Month | PeriodKind::Window => own.times_of(code, Periods { day, window: None }.of(kind)),
    };
    let paid = times(&rule.code);
    let most = limits.max_times.iter().find(|(limited, _)| *limited == kind).map_or(i64::MAX, |(_, most)| *most);
    let is_over = paid >= most;
    Progress { done: rule.kind.steps().iter().map(|step| is_over || times(step) > paid).collect(), is_over }
}

/// The period in which all steps have to be done: the shortest that its limits name.
pub fn period(limits: &Limits) -> PeriodKind {
    let kinds = [PeriodKind::Day, PeriodKind::Week, PeriodKind::Month];
    kinds.into_iter().find(|kind| limits.max_times.iter().any(|(limited, _)| limited == kind)).unwrap_or(PeriodKind::Ever)
}

/// Looks at the steps of all tasks of a campaign, and has their rules count what the tasks must know. `tables` are those of `rules`.
pub fn check(rules: &mut [RuleEntry], tables: &[Option<RuleTable<'_>>], mistakes: &mut Mistakes) {
    let codes: Vec<Arc<str>> = rules.iter().map(|rule| rule.code.clone()).collect();
    let mut wanted: Vec<(usize, PeriodKind)> = Vec::new();
    for (task, table) in rules.iter().zip(tables).filter_map(|(task, table)| Some((task, table.as_ref()?))).filter(|(task, _)| task.kind.follows()) {
        for (span, step) in table.texts("steps").unwrap_or_default() {
            let step = step.trim();
            match codes.iter().position(|code| **code == *step) {
                _ if *task.code == *step => mistakes.error(span, "task-itself", format!("{step} 的步骤里写了它自己;请换成别的规则")),
                Some(at) if rules[at].kind.follows() => {
                    mistakes.error(span, "task-of-tasks", format!("步骤「{step}」也是任务;请直接写它的那几步"));
                }
                Some(at) => wanted.push((at, period(&task.common.limits))),
                None => {
                    let near = did_you_mean(step, &codes);
                    mistakes.error(span, "unknown-step", format!("没有「{step}」这条规则,这个任务永远完不成;要写全名,例如 \"check_in.daily\"{near}"));
                }
            }
        }
    }
    for (at, kind) in wanted {
        let counted = &mut rules[at].common.counted;
        if kind != PeriodKind::Ever && !counted.contains(&kind) {
            counted.push(kind);
        }
    }
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Task {
    let keys: TaskTable = table.read(mistakes);
    let steps: Vec<Arc<str>> = keys.steps.iter().map(|step| step.trim().into()).collect();
    if steps.is_empty() {
        mistakes.error(table.span("steps"), "missing-key", "任务要有步骤,例如 steps = [\"check_in.daily\", \"event.visit\"]");
    }
    if steps.len() > STEPS_MAX {
        mistakes.error(table.span("steps"), "too-many", format!("一个任务最多 {STEPS_MAX} 步"));
    }
    if let Some(twice) = steps.iter().enumerate().find(|(at, step)| steps[..*at].contains(step)) {
        mistakes.error(table.span("steps"), "step-twice", format!("步骤「{}」写了两次;请删掉一处", twice.1));
    }
    if table.pairs("max_times").iter().any(|(name, _)| name.get_ref() == "window") {
        mistakes.error(table.span("max_times"), "bad-period", "任务的 max_times 不能用 window;请用 day、week、month 或 ever");
    }
    check_points(table, keys.points, mistakes);
    Task { steps, points: keys.points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::act::Act;
    use crate::model::decision::Ruling;
    use crate::model::event::Kind;
    use crate::rules::file::load;
    use crate::rules::world::World;

    const RULES: &str = r#"
        event.verified = { title = "实名认证", points = 50 }
        event.sign_up = { title = "报名", points = 5, max_times = { day = 3 } }
        check_in.daily = { keywords = ["签到"], points = 2 }
        task.newcomer = { title = "新人两步", steps = ["event.verified", "check_in.daily"], points = 300 }
        task.daily = { title = "每日任务", steps = ["check_in.daily", "event.sign_up"], points = 10, max_times = { day = 1 } }
    "#;

    fn happens(world: &mut World, when: &str, event: &str) -> i64 {
        let mut told = world.event(when, "");
        told.kind = Kind::Did(Act::Happened { event: event.into(), subject: None });
        world.hears(told)
    }

    #[test]
    fn a_task_pays_with_its_last_step_and_once() {
        let mut world = World::new(RULES);
        assert_eq!(happens(&mut world, "11-20 09:00", "verified"), 50);
        assert!(matches!(world.last.record.verdicts[1].ruling, Ruling::Refused(Refusal::StepsLeft(1, 2))));
        assert_eq!(world.says("11-21 09:00", "签到"), 302);
        assert_eq!(world.says("11-22 09:00", "签到"), 2);
    }

    #[test]
    fn a_daily_task_counts_the_steps_of_its_day() {
        let mut world = World::new(RULES);
        assert_eq!((happens(&mut world, "11-20 09:00", "sign_up"), world.says("11-21 09:00", "签到")), (5, 2));
        let day = [10, 11, 12, 13].map(|hour| happens(&mut world, &format!("11-21 {hour}:00"), "sign_up"));
        assert_eq!(day, [15, 5, 5, 0]);
        assert_eq!((happens(&mut world, "11-22 09:00", "sign_up"), world.says("11-22 10:00", "签到")), (5, 12));
    }

    #[test]
    fn a_weekly_task_counts_steps_whose_own_cap_is_a_day() {
        let mut world = World::new(
            "check_in.daily = { keywords = [\"签到\"], points = 2 }\nevent.visit = { points = 1, max_times = { month = 9 } }\n\
             task.week = { steps = [\"check_in.daily\", \"event.visit\"], points = 30, max_times = { week = 1 } }",
        );
        assert_eq!((world.says("11-16 09:00", "签到"), happens(&mut world, "11-22 09:00", "visit")), (2, 31));
        assert_eq!((happens(&mut world, "11-22 10:00", "visit"), happens(&mut world, "11-23 09:00", "visit"), world.says("11-24 09:00", "签到")), (1, 1, 32));
    }

    #[test]
    fn steps_that_can_never_be_done_are_refused() {
        let codes = |steps: &str| {
            let file = format!(
                "check_in.daily = {{ keywords = [\"签到\"], points = 2 }}\ntask.a = {{ steps = {steps}, points = 1 }}\ntask.b = {{ steps = [\"check_in.daily\"], points = 1 }}"
            );
            load(&file).err().unwrap_or_default().into_iter().map(|mistake| mistake.code).collect::<Vec<_>>()
        };
        assert_eq!(codes("[\"check_in.dayly\"]"), ["unknown-step"]);
        assert_eq!(codes("[\"task.a\"]"), ["task-itself"]);
        assert_eq!(codes("[\"task.b\"]"), ["task-of-tasks"]);
        assert_eq!(codes("[\"check_in.daily\", \"check_in.daily\"]"), ["step-twice"]);
        assert_eq!(codes("[]").len(), 1);
        assert_eq!(codes("[\"check_in.daily\"]"), [""; 0]);
    }
}
