//! `[title.<name>]`: a title for the first on the board of a week or month, with extra points. The clock awards it when the board is closed; who
//! has it is on that board, and that they have it is in the ledger under its code.

use std::sync::Arc;

use jiff::Unit;
use schemars::JsonSchema;

use crate::model::day::{Calendar, Day, Millis, Period};
use crate::model::decision::{Args, Chart, Decision, Mark, Payment, Record, Refusal, Ruling, Verdict};
use crate::model::points::Points;
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::KINDS;
use crate::rules::board::{closes_at, days_of};
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::check_in::RULE_POINTS_MAX;
use crate::rules::clock::{Job, Reach, Slot, Whose};
use crate::rules::decide::Scene;
use crate::rules::fit::did_you_mean;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, integer};
use crate::rules::validity;

/// Titles of one campaign: each is a job of the clock.
const TITLES_MAX: usize = 50;

/// Most winners of one title: their names stand in one message.
pub const TOP_MAX: i64 = 20;

/// Seconds after the closing at which a title is awarded.
const AWARDED_AFTER_SECS: i64 = 60;

/// When the winners are told, in minutes after midnight: nobody wants to hear of it at night.
const TOLD_AT_MINUTE: i64 = 9 * 60;

/// Seconds after which nobody is told any more.
const TOLD_WITHIN_SECS: i64 = 86_400;

/// `of` for everything ever earned, whatever the period.
const LIFETIME: &str = "lifetime";

/// 称号:每周或每月结束时,颁给榜上前几名。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TitleTable {
    /// 称号的名称。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["社群之星"]))]
    #[schemars(extend("x-en" = "The name members see. Required."))]
    pub title: String,
    /// 按什么排:不写是全部得分;可写一类规则 "check_in"、一条规则 "check_in.daily",或 "lifetime" 累计得分。
    #[schemars(extend("examples" = ["speaking"]))]
    #[schemars(extend("x-en" = "What counts: everything earned (default), a kind of rule, one rule, or `lifetime` for all ever earned."))]
    pub of: Option<String>,
    /// 多久评一次:week 每周,month 每月。默认 month。过完 1 小时后定榜颁发,当天 9:00 在群里公布。
    #[schemars(extend("x-en" = "How often: `week`, or `month` (default). Awarded an hour after its end, told in the groups at 9:00."))]
    pub period: Option<TitlePeriod>,
    /// 颁给前几名。默认 1;同分时先到的在前。
    #[schemars(range(min = 1, max = 20), extend("examples" = [3]))]
    #[schemars(extend("x-en" = "How many win it; of equal points who came there first. Default 1."))]
    pub top: Option<i64>,
    /// 得到称号另加多少分。默认 0。不受上限和等级倍数影响,也不算进排行榜。
    #[schemars(range(min = 0, max = 1_000_000_000), extend("examples" = [50]))]
    #[schemars(extend("x-en" = "Extra points; outside of caps, factors and boards. Default 0."))]
    pub points: Option<i64>,
    /// 在哪些群公布:群名或群编号。不写是活动的所有群;写 [] 就不公布。
    #[schemars(inner(length(min = 1, max = 100)), extend("examples" = [["骑行一群"]]))]
    #[schemars(extend("x-en" = "Where it is told: group names or chat ids; all groups of the campaign unless told, `[]` for none."))]
    pub groups: Option<Vec<String>>,
}

/// week 或 month。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum TitlePeriod {
    /// 每周。
    Week,
    /// 每月。
    Month,
}

/// A title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// Ledger code: `title.star`.
    pub code: Arc<str>,
    /// Its name for members.
    pub title: Arc<str>,
    /// What counts: a code or a kind; `None` for everything.
    pub of: Option<Arc<str>>,
    /// All ever earned counts, not only what was earned in the period.
    pub lifetime: bool,
    /// By weeks, else by months.
    pub weekly: bool,
    /// How many win it.
    pub top: usize,
    /// Extra points.
    pub points: i64,
    groups: Option<Vec<Arc<str>>>,
}

/// Reads the titles of a campaign; `rules` are its rules.
pub fn read(tables: &[(&str, RuleTable<'_>)], rules: &[RuleEntry], mistakes: &mut Mistakes) -> Vec<Title> {
    if let Some((_, table)) = tables.get(TITLES_MAX) {
        mistakes.error(table.span(""), "too-many", format!("称号太多了;最多 {TITLES_MAX} 个"));
    }
    tables.iter().take(TITLES_MAX).filter_map(|(name, table)| one(name, table, rules, mistakes)).collect()
}

fn one(name: &str, table: &RuleTable<'_>, rules: &[RuleEntry], mistakes: &mut Mistakes) -> Option<Title> {
    let Some(title) = table.text("title") else {
        mistakes.error(table.span(""), "missing-key", format!("[title.{name}] 没写 title(称号的名称)"));
        return None;
    };
    let of = table.text("of");
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).chain(rules.iter().map(|rule| &*rule.code)).chain([LIFETIME]).collect();
    if let Some(of) = of.filter(|of| !known.contains(of)) {
        let text =
            format!("没有「{of}」这条或这类规则{};可以写 \"check_in\" 这样的一类、\"check_in.daily\" 这样的一条,或 \"lifetime\"", did_you_mean(of, &known));
        mistakes.error(table.span("of"), "unknown-rule", text);
    }
    let number = |key, default: i64| table.get(key).and_then(integer).unwrap_or(default);
    Some(Title {
        code: format!("title.{name}").into(),
        title: title.trim().into(),
        of: of.filter(|of| *of != LIFETIME).map(Into::into),
        lifetime: of == Some(LIFETIME),
        weekly: table.text("period") == Some("week"),
        top: usize::try_from(number("top", 1).clamp(1, TOP_MAX)).expect("a small number"),
        points: number("points", 0).clamp(0, RULE_POINTS_MAX),
        groups: table.texts("groups").map(|groups| groups.into_iter().map(|(_, group)| group.trim().into()).collect()),
    })
}

impl Title {
    /// The period of a slot.
    pub fn period(&self, number: i64) -> Period {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        if self.weekly { Period::Week(number) } else { Period::Month(number) }
    }

    /// The period that a day lies in.
    fn period_of(&self, day: Day) -> Period {
        if self.weekly { Period::Week(day.week()) } else { Period::Month(day.month()) }
    }

    /// The last period that was closed by an instant.
    pub fn last_closed(&self, calendar: &Calendar, now: Millis) -> Period {
        let running = self.period_of(calendar.day(now));
        let before = previous(running);
        if closes_at(calendar, before).is_some_and(|closes| closes <= now) { before } else { previous(before) }
    }

    /// The first and the last day that count for a period.
    pub fn days(&self, period: Period) -> (Day, Day) {
        let (first, last) = days_of(period);
        if self.lifetime { (Day(i32::MIN), last) } else { (first, last) }
    }

    /// The first slot after an instant, where the slot of a period is so many seconds after its closing.
    fn slot_after(&self, calendar: &Calendar, after: Millis, at: impl Fn(Period) -> Option<Millis>) -> Option<Slot> {
        let mut period = previous(previous(self.period_of(calendar.day(after))));
        // The slot of a period is in the next one, so that the fourth of them is later in any case.
        for _ in 0..4 {
            if let Some(at) = at(period).filter(|at| *at > after) {
                return Some(Slot { at, number: number(period) });
            }
            period = next(period);
        }
        None
    }
}

fn number(period: Period) -> i64 {
    match period {
        Period::Day(number) | Period::Week(number) | Period::Month(number) => i64::from(number),
        Period::Window(minute) => minute,
        Period::Ever => 0,
    }
}

fn previous(period: Period) -> Period {
    moved(period, -1)
}

fn next(period: Period) -> Period {
    moved(period, 1)
}

fn moved(period: Period, by: i32) -> Period {
    match period {
        Period::Day(number) => Period::Day(number.saturating_add(by)),
        Period::Week(number) => Period::Week(number.saturating_add(by)),
        Period::Month(number) => Period::Month(number.saturating_add(by)),
        Period::Window(_) | Period::Ever => period,
    }
}

/// A period as members read it: `11 月`, `11 月 16 日那一周`, of another year with the year.
pub fn in_words(period: Period, today: Day) -> String {
    let (first, _) = days_of(period);
    let date = first.date();
    let year = if date.year() == today.date().year() { String::new() } else { format!("{} 年 ", date.year()) };
    match period {
        Period::Month(_) => format!("{year}{} 月", date.month()),
        Period::Week(_) => format!("{year}{} 月 {} 日那一周", date.month(), date.day()),
        Period::Day(_) => format!("{year}{} 月 {} 日", date.month(), date.day()),
        Period::Window(_) | Period::Ever => "累计".to_owned(),
    }
}

/// The jobs of a campaign's titles: awarding each, telling of each.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    let award = campaign.titles.iter().map(|title| Box::new(Award { title }) as Box<dyn Job>);
    award.chain(campaign.titles.iter().map(|title| Box::new(Telling { title }) as Box<dyn Job>)).collect()
}

/// Who won is told under this name.
fn telling(title: &Title) -> Arc<str> {
    format!("{}.post", title.code).into()
}

#[derive(Debug)]
struct Award<'a> {
    title: &'a Title,
}

impl Job for Award<'_> {
    fn name(&self) -> Arc<str> {
        self.title.code.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Winners
    }

    fn title(&self) -> Option<&Title> {
        Some(self.title)
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        self.title.slot_after(calendar, after, |period| Some(closes_at(calendar, period)?.plus_secs(AWARDED_AFTER_SECS)))
    }

    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, slot: i64) -> Option<Decision> {
        match whose {
            Whose::Member => Some(award(scene, self.title, slot)),
            Whose::Group(_) | Whose::Campaign => Some(Decision::default()),
        }
    }
}

/// The extra points, and that the title was won in this period: the clock submits it once for each winner.
fn award(scene: &Scene<'_>, title: &Title, slot: i64) -> Decision {
    let points = title.points;
    let verdict = |ruling| vec![Verdict { rule: title.code.clone(), ruling }];
    let payment = Payment { points, offered: points, base: points, ..Payment::default() };
    match scene.campaign.mode {
        Mode::Live => {}
        // Its slot is over: nothing of it is paid once the campaign is live.
        Mode::Shadow => return Decision { record: Record { verdicts: verdict(Ruling::Shadow(payment)), ..Record::default() }, ..Decision::default() },
        Mode::Off => return Decision::default(),
    }
    let fits = |before: i64| Points(before).checked_add(Points(points)).is_some();
    if !scene.facts.account.is_none_or(|account| fits(account.available) && fits(account.lifetime)) {
        return Decision { record: Record { verdicts: verdict(Ruling::Refused(Refusal::TooMany)), ..Record::default() }, ..Decision::default() };
    }
    // It lives as long as what is earned otherwise.
    let bucket = scene.campaign.validity.bucket(None, None, scene.day);
    let entry = (points > 0).then(|| validity::given(&title.code, Chart::Issued, points, scene.day, bucket));
    let marks = vec![Mark::Count { key: title.code.clone(), period: title.period(slot), times: 1, points }];
    let verdicts = verdict(Ruling::Paid(payment));
    Decision { record: Record { verdicts, marks, ..Record::default() }, entries: entry.into_iter().collect(), replies: Vec::new() }
}

#[derive(Debug)]
struct Telling<'a> {
    title: &'a Title,
}

impl Job for Telling<'_> {
    fn name(&self) -> Arc<str> {
        telling(self.title)
    }

    fn reach(&self) -> Reach {
        Reach::Groups
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        self.title.slot_after(calendar, after, |period| Some(told_at(calendar, closes_at(calendar, period)?.plus_secs(2 * AWARDED_AFTER_SECS))))
    }

    fn concerns(&self, chat: &str, title: Option<&str>) -> bool {
        self.title.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| **group == *chat || Some(&**group) == title))
    }

    fn stale_after_secs(&self) -> Option<i64> {
        Some(TOLD_WITHIN_SECS)
    }

    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, slot: i64) -> Option<Decision> {
        let args = Args::default()
            .text("标题", &*self.title.title)
            .text("周期", in_words(self.title.period(slot), scene.day))
            .int("得分", self.title.points)
            .text("积分名", &*scene.campaign.points_name)
            .text(TITLE, &*self.title.code)
            .int(SLOT, slot);
        let reply = Reply { template: Template { occasion: Occasion::TitleWon, rule: None }, args, asked: false, once: None };
        match whose {
            Whose::Group(_) if scene.campaign.mode == Mode::Live => Some(Decision { replies: vec![reply], ..Decision::default() }),
            Whose::Group(_) | Whose::Member | Whose::Campaign => Some(Decision::default()),
        }
    }
}

/// The arguments that carry which title of which slot is told; no variable can be called so.
pub const TITLE: &str = "@title";
/// See [`TITLE`].
pub const SLOT: &str = "@slot";

/// The first nine o'clock from an instant on.
fn told_at(calendar: &Calendar, from: Millis) -> Millis {
    let local = calendar.local(from);
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    let wait = (TOLD_AT_MINUTE - minute).rem_euclid(24 * 60);
    let at = local.checked_add(jiff::Span::new().minutes(wait)).and_then(|at| at.round(Unit::Minute));
    at.map_or(from, |at| Millis::from(at.timestamp())).max(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;
    use crate::rules::world::at;
    use jiff::civil::Date;

    const STAR: &str = "[title.star]\ntitle = \"社群之星\"\nperiod = \"week\"\ntop = 3\npoints = 50\n";

    fn told(text: &str) -> Vec<(&'static str, usize)> {
        load(text).err().unwrap_or_default().into_iter().map(|mistake| (mistake.code, mistake.line)).collect()
    }

    #[test]
    fn a_title_has_a_name_and_ranks_by_something_that_is_there() {
        assert_eq!(told(STAR), []);
        assert_eq!(told("[title.star]\ntop = 1\n"), [("missing-key", 1)]);
        assert_eq!(told("[title.star]\ntitle = \"星\"\nof = \"checkin\"\n"), [("unknown-rule", 3)]);
        assert_eq!(told("[title.star]\ntitle = \"星\"\nof = \"lifetime\"\nperiod = \"day\"\n").len(), 1);
    }

    #[test]
    fn a_weekly_title_is_awarded_after_the_week_is_closed_and_told_at_nine() {
        let (rules, _) = load(STAR).expect("good rules");
        let campaign = &rules.campaigns[0];
        let slots = |after| jobs(campaign).iter().map(|job| job.next_slot(&campaign.calendar, after).expect("there is a next one")).collect::<Vec<_>>();
        let week = i64::from(Day::of(Date::constant(2026, 11, 22)).week());
        let expected = [Slot { at: at("11-23 01:01"), number: week }, Slot { at: at("11-23 09:00"), number: week }];
        assert_eq!(slots(at("11-22 12:00")), expected);
        assert_eq!(slots(at("11-23 00:30")), expected);
        assert_eq!(slots(at("11-23 01:01"))[0], Slot { at: at("11-30 01:01"), number: week + 1 });
        assert_eq!(campaign.titles[0].last_closed(&campaign.calendar, at("11-23 00:59")), Period::Week(week as i32 - 1));
        assert_eq!(campaign.titles[0].last_closed(&campaign.calendar, at("11-23 01:00")), Period::Week(week as i32));
    }

    #[test]
    fn a_monthly_title_comes_on_the_first() {
        let (rules, _) = load("[title.star]\ntitle = \"星\"\n").expect("good rules");
        let campaign = &rules.campaigns[0];
        let slot = jobs(campaign)[0].next_slot(&campaign.calendar, at("11-22 12:00")).expect("a slot");
        assert_eq!(slot.at, at("12-01 01:01"));
        assert_eq!(
            campaign.titles[0].days(campaign.titles[0].period(slot.number)),
            (Day::of(Date::constant(2026, 11, 1)), Day::of(Date::constant(2026, 11, 30)))
        );
    }
}
