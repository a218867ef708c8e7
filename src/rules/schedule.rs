//! `[schedule.<name>]`: what the bot says to a group by itself at a time of day: a greeting, a reminder to who would lose a run of days.
//!
//! Each post is an event of its group, made by the clock ([`super::clock`]). It is said once a slot on any number of daemons, not at all in `quiet`,
//! and as often as `max_posts` of the campaign allows; what is left of that is shared by all daemons like a budget.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use schemars::JsonSchema;

use crate::model::act::Act;
use crate::model::cells::AccountCell;
use crate::model::claim::Claim;
use crate::model::day::{Calendar, Day, Millis, PeriodKind};
use crate::model::decision::{Arg, Args, Cap, Decision, Record, Refusal, Ruling, Verdict};
use crate::model::event::Kind;
use crate::model::ids::GroupId;
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::cap::{Limits, Periods};
use crate::rules::clock::{Counts, Job, Reach, Slot, Whose};
use crate::rules::decide::{Scene, within};
use crate::rules::mistake::Mistakes;
use crate::rules::shared_keys::{self, ModeName, OneOrMany};
use crate::rules::table::RuleTable;
use crate::rules::when::{EVERY_DAY, clock_minutes, days};
use crate::rules::{Shared, share};

/// A post that was missed for longer is not said any more.
const STALE_SECS: i64 = 900;

/// A run this long is worth a reminder.
const RUN_DAYS_MIN: u32 = 2;

/// Days looked ahead for the next post.
const AHEAD_DAYS: i32 = 400;

/// Stands before the kind of period in what groups' posts are counted under.
const POSTS: &str = "posts";

/// What says in an argument that the text speaks of the board.
pub const WANTS_BOARD: &str = "@board";

/// 定时发言:到点由助手在群里说一段话,或提醒快断签的人。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ScheduleTable {
    /// 几点说;可写几个时刻的列表。
    #[schemars(extend("examples" = ["09:00"]))]
    #[schemars(extend("x-en" = "Time of day, or several. Required."))]
    pub at: Option<OneOrMany>,
    /// 星期几说:周一至周五、周末、周六周日。不写是每天。
    #[schemars(extend("examples" = ["周一至周五"]))]
    #[schemars(extend("x-en" = "Days of the week. Without it every day."))]
    pub days: Option<String>,
    /// 从哪天说到哪天,首尾两天都算。
    #[schemars(extend("examples" = ["2026-11-01..2026-11-30"]))]
    #[schemars(extend("x-en" = "First and last day, both included."))]
    pub dates: Option<String>,
    /// 说什么;列表是依次几条。写了 remind 可以不写。
    #[schemars(extend("examples" = ["早上好!发「签到」+2。"]))]
    #[schemars(extend("x-en" = "What is said; a list is several messages in order. Not needed with `remind`."))]
    pub say: Option<OneOrMany>,
    /// 只在这些群:群名或群编号。不写是活动里的每个群。
    #[schemars(length(min = 1), inner(length(min = 1, max = 100)), extend("examples" = [["骑行一群"]]))]
    #[schemars(extend("x-en" = "Only in these groups; without it in every group of the campaign."))]
    pub groups: Option<Vec<String>>,
    /// 提醒哪条签到:群里有人连签 2 天以上、今天还没签,才说;人数写在 {{人数}}。
    #[schemars(extend("examples" = ["check_in.daily"]))]
    #[schemars(extend("x-en" = "A check-in rule: said only if somebody in the group with 2 or more days in a row has not checked in today; `{{people}}` says how many."))]
    pub remind: Option<String>,
    /// live 照说,off 停用(shadow 也不说)。默认 live。
    #[schemars(extend("x-en" = "`live`, or `off` (`shadow` says nothing either). Default `live`."))]
    pub mode: Option<ModeName>,
}

/// A compiled post.
#[derive(Debug)]
pub struct Schedule {
    /// Its name: `schedule.morning`.
    pub code: Arc<str>,
    /// The name of its own text, unique over all campaigns.
    pub text_key: Arc<str>,
    /// Minutes after midnight, ascending.
    pub minutes: Vec<i16>,
    /// Days of the week, bit 0 = Monday.
    pub days: u8,
    /// First and last day.
    pub dates: Option<(Date, Date)>,
    /// Its messages; empty for the default reminder.
    pub say: Vec<String>,
    /// The groups it is for; `None` for all.
    pub groups: Option<Vec<Arc<str>>>,
    /// The check-in it reminds of.
    pub remind: Option<Arc<str>>,
}

/// The jobs of a campaign's schedules.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    campaign.schedules.iter().map(|schedule| Box::new(schedule) as Box<dyn Job>).collect()
}

impl Job for &Schedule {
    fn name(&self) -> Arc<str> {
        self.code.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Groups
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        let first = Day::of(calendar.local(after).date());
        let begins = self.dates.map_or(first, |(from, _)| first.max(Day::of(from)));
        let days = (0..AHEAD_DAYS).map(|ahead| begins.plus(ahead)).filter(|day| self.is_on(*day));
        days.flat_map(|day| self.minutes.iter().map(move |minute| instant(calendar, day.date(), *minute)))
            .find(|at| *at > after)
            .map(|at| Slot { at, number: at.0.div_euclid(60_000) })
    }

    fn concerns(&self, chat: &str, title: Option<&str>) -> bool {
        self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| **group == *chat || Some(&**group) == title))
    }

    fn stale_after_secs(&self) -> Option<i64> {
        Some(STALE_SECS)
    }

    fn has_counts(&self) -> bool {
        self.remind.is_some()
    }

    /// Who would lose a run, and who has checked in.
    fn counts(&self, campaign: &Campaign, slot: Slot, account: &AccountCell) -> Counts {
        let Some(state) = self.remind.as_ref().and_then(|code| account.state.code(code)) else { return [0; 2] };
        let today = campaign.calendar.day(slot.at);
        let has_today = state.has_day(today);
        let at_stake = !has_today && state.days_in_a_row_until(today.plus(-1)) >= RUN_DAYS_MIN;
        [i64::from(at_stake), i64::from(has_today)]
    }

    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, _slot: i64) -> Option<Decision> {
        let Whose::Group(_) = whose else { return Some(Decision::default()) };
        if scene.campaign.mode != Mode::Live {
            return Some(Decision::default());
        }
        let calendar = &scene.campaign.calendar;
        if scene.rules.assistant.quiet.as_ref().is_some_and(|quiet| quiet.open_since(calendar, scene.event.at).is_some()) {
            return Some(self.unsaid(Refusal::OutsideWindow));
        }
        let [at_stake, done] = match &scene.event.kind {
            Kind::Did(Act::Counted { counts, .. }) => *counts,
            Kind::Did(_) | Kind::Said(_) | Kind::Recalled { .. } | Kind::Unknown { .. } => [0; 2],
        };
        let claims = match allowance(scene.campaign, scene.day, scene.facts.group, scene.facts.shared) {
            Ok(claims) => claims,
            Err(cap) => return Some(self.unsaid(Refusal::Capped(cap))),
        };
        let title = scene.campaign.title.as_deref().unwrap_or(&scene.campaign.id);
        let args = Args::default().text("积分名", &*scene.campaign.points_name).text("活动", title).int("人数", at_stake).int("已签", done);
        let args = if self.has_board() { args.with(WANTS_BOARD, Arg::Flag(true)) } else { args };
        let rule = (!self.say.is_empty()).then(|| self.text_key.clone());
        let reply = Reply { template: Template { occasion: Occasion::Posted, rule }, args, asked: false, once: None };
        Some(Decision { record: Record { claims, ..Record::default() }, entries: Vec::new(), replies: vec![reply] })
    }
}

impl Schedule {
    fn is_on(&self, day: Day) -> bool {
        let date = day.date();
        self.days >> date.weekday().to_monday_zero_offset() & 1 == 1 && self.dates.is_none_or(|(first, last)| within(day, first, last))
    }

    fn unsaid(&self, refusal: Refusal) -> Decision {
        let verdicts = vec![Verdict { rule: self.code.clone(), ruling: Ruling::Refused(refusal) }];
        Decision { record: Record { verdicts, ..Record::default() }, ..Decision::default() }
    }

    fn has_board(&self) -> bool {
        self.say.iter().any(|text| text.contains('榜') || text.contains("board"))
    }
}

fn instant(calendar: &Calendar, date: Date, minute: i16) -> Millis {
    let civil = date.at(0, 0, 0, 0).saturating_add(i64::from(minute).minutes());
    civil.to_zoned(calendar.zone().clone()).map(|zoned| Millis(zoned.timestamp().as_millisecond())).unwrap_or(Millis(i64::MIN))
}

/// What a post of a group may take of the campaign's `max_posts`, by name, number and most.
fn takes(campaign: &Campaign, day: Day, group: GroupId) -> impl Iterator<Item = (PeriodKind, Arc<str>, i64, i64)> + '_ {
    let periods = Periods { day, window: None };
    let one = move |(kind, most): &(PeriodKind, i64)| {
        let (word, number) = match periods.of(*kind) {
            crate::model::day::Period::Week(week) => ("week", i64::from(week)),
            crate::model::day::Period::Month(month) => ("month", i64::from(month)),
            crate::model::day::Period::Day(day) => ("day", i64::from(day)),
            crate::model::day::Period::Window(_) | crate::model::day::Period::Ever => ("ever", 0),
        };
        (*kind, Arc::from(format!("{POSTS}.{word}/{}", group.0)), number, *most)
    };
    campaign.max_posts.max_times.iter().map(one)
}

/// What must be known of shared things to decide a post.
pub fn wants(campaign: &Campaign, day: Day, group: GroupId) -> Vec<(Arc<str>, i64)> {
    takes(campaign, day, group).map(|(_, name, number, _)| (name, number)).collect()
}

fn allowance(campaign: &Campaign, day: Day, group: GroupId, shared: Shared<'_>) -> Result<Vec<Claim>, Cap> {
    let one = |(period, name, number, most)| {
        share::claim(shared, &[], name, number, 1, most).ok_or_else(|| Cap { of: POSTS.into(), period, in_points: false, used: most, most })
    };
    takes(campaign, day, group).map(one).collect()
}

/// `max_posts` of a campaign.
pub fn max_posts(table: &RuleTable<'_>) -> Limits {
    Limits { max_times: shared_keys::periods(table, "max_posts"), max_points: Vec::new() }
}

/// Reads one table. `codes` are the campaign's rules.
pub fn read(table: &RuleTable<'_>, name: &str, campaign: &str, codes: &[Arc<str>], mistakes: &mut Mistakes) -> Option<Schedule> {
    let minutes = minutes(table, mistakes);
    let days = table.text("days").map_or(Ok(EVERY_DAY), days).unwrap_or_else(|reason| {
        mistakes.error(table.span("days"), "bad-days", reason);
        EVERY_DAY
    });
    let remind = table.text("remind").map(Arc::<str>::from);
    if let Some(code) = remind.as_ref().filter(|code| !code.starts_with("check_in.") || !codes.contains(code)) {
        let near = crate::rules::fit::did_you_mean(code, codes);
        mistakes.error(table.span("remind"), "unknown-rule", format!("remind 要写一条签到规则的名字,例如 check_in.daily;没有「{code}」{near}"));
    }
    let say = table.get("say").map(|value| shared_keys::messages(value, Occasion::Posted, mistakes)).unwrap_or_default();
    if say.is_empty() && remind.is_none() {
        mistakes.error(table.span("say"), "missing-key", "定时发言要写说什么,例如 say = \"早上好!发「签到」+2。\"");
    }
    let groups = table.get("groups").map(|value| shared_keys::trimmed(value).into_iter().map(|(_, group)| Arc::from(group)).collect());
    // On trial nobody sees anything.
    let is_on = shared_keys::mode(table) == Mode::Live;
    let code = Arc::<str>::from(format!("schedule.{name}"));
    let text_key = format!("{campaign}/{code}").into();
    let schedule = Schedule { code, text_key, minutes, days, dates: shared_keys::dates(table, mistakes), say, groups, remind };
    (is_on && !schedule.minutes.is_empty()).then_some(schedule)
}

fn minutes(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Vec<i16> {
    let written = table.texts("at").unwrap_or_default();
    if written.is_empty() {
        mistakes.error(table.span("at"), "missing-key", "定时发言要写几点说,例如 at = \"09:00\"");
    }
    let mut minutes = Vec::new();
    for (span, text) in written {
        match clock_minutes(text.trim()) {
            Ok(minute) if minute < 1440 => minutes.push(minute),
            Ok(_) => mistakes.error(span, "bad-time", "at 要在 00:00 到 23:59 之间"),
            Err(reason) => mistakes.error(span, "bad-time", reason),
        }
    }
    minutes.sort_unstable();
    minutes.dedup();
    minutes
}

/// Warns of posts that are never said: in `quiet`, or more a day than `max_posts`.
pub fn lint(campaign: &Campaign, schedule: &Schedule, quiet: Option<&crate::rules::when::When>, span: std::ops::Range<usize>, mistakes: &mut Mistakes) {
    let calendar = &campaign.calendar;
    let monday = Date::constant(2026, 1, 5);
    let in_quiet = |minute: &i16| {
        let mut week = (0..7).filter(|day| schedule.days >> day & 1 == 1).map(|day| instant(calendar, Day::of(monday).plus(day).date(), *minute));
        week.all(|at| quiet.is_some_and(|quiet| quiet.open_since(calendar, at).is_some()))
    };
    if let Some(minute) = schedule.minutes.iter().find(|minute| in_quiet(minute)) {
        let text = format!("{} 的 {}:{:02} 在 assistant.quiet 里,不会说;请改 at 或 quiet", schedule.code, minute / 60, minute % 60);
        mistakes.warning(span.clone(), "in-quiet", text);
    }
    let daily = campaign.max_posts.max_times.iter().find(|(period, _)| *period == PeriodKind::Day);
    if let Some((_, most)) = daily.filter(|(_, most)| schedule.minutes.len() as i64 > *most) {
        let text = format!("{} 一天说 {} 次,超过 max_posts 的每天 {most} 次,多的不会说", schedule.code, schedule.minutes.len());
        mistakes.warning(span, "over-max-posts", text);
    }
}
