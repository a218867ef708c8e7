//! `[festival.<name>]`: on some days, everything or some rules pay more. How it multiplies is [`super::boost`]'s.

use std::sync::Arc;

use schemars::JsonSchema;

use crate::model::day::{Day, Millis};
use crate::rules::boost::Festival;
use crate::rules::campaign::{Campaign, RuleEntry};
use crate::rules::fit::did_you_mean;
use crate::rules::mistake::Mistakes;
use crate::rules::shared_keys::{self, OneOrMany};
use crate::rules::table::{RuleTable, texts};
use crate::rules::when::When;
use crate::rules::wording;

/// Most that a festival may multiply with, in percent: a slip of the finger is caught, no real campaign is.
const PERCENT_MAX: u32 = 10_000;

/// 节日、周末、新品期间,分数乘一个倍数,连签奖励也一起乘。不写 rules 就是所有规则都乘。先乘倍数、去掉不足 1 分的零头,再看上限。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FestivalTable {
    /// 成员看到的名称;不写就用表名。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["双十一"]))]
    #[schemars(extend("x-en" = "The name members see; without it the table's name."))]
    pub title: Option<String>,
    /// 倍数,写百分比:"200%" 是两倍,"150%" 是一倍半。
    #[schemars(extend("examples" = ["200%"]))]
    #[schemars(extend("x-en" = "The factor in percent: `200%` doubles. The product is rounded down once, all factors together."))]
    pub factor: Option<String>,
    /// 哪些日期,首尾两天都算。不写是一直。
    #[schemars(extend("examples" = ["2026-11-10..2026-11-12"]))]
    #[schemars(extend("x-en" = "First and last day, both included. Without it always."))]
    pub dates: Option<String>,
    /// 星期几。不写是每天。
    #[schemars(extend("examples" = ["周六周日"]))]
    #[schemars(extend("x-en" = "Days of the week. Without it every day."))]
    pub days: Option<String>,
    /// 时段。不写是全天。
    #[schemars(extend("examples" = ["20:00-21:00"]))]
    #[schemars(extend("x-en" = "Windows. Without it all day."))]
    pub when: Option<OneOrMany>,
    /// 只对哪些规则:写代号,如 check_in.daily;写 check_in 就是所有签到。不写是全部。
    #[schemars(length(min = 1), extend("examples" = [["check_in.daily"]]))]
    #[schemars(extend("x-en" = "Ledger codes of the rules it is for; `check_in` means all of that kind. Without it all rules."))]
    pub rules: Option<Vec<String>>,
    /// 上限(max_points)也跟着乘。默认 false。
    #[schemars(extend("x-en" = "Caps (`max_points`) are multiplied as well. Default false."))]
    pub lifts_caps: Option<bool>,
}

/// Reads a festival of a campaign that has these rules.
pub fn read(name: &str, table: &RuleTable<'_>, rules: &[RuleEntry], mistakes: &mut Mistakes) -> Option<Festival> {
    let percent = match table.text("factor") {
        Some(text) => percent(text).map_err(|reason| mistakes.error(table.span("factor"), "bad-factor", reason)).ok(),
        None => {
            mistakes.error(table.span("factor"), "missing-key", format!("[festival.{name}] 没写倍数;请写 factor = \"200%\""));
            None
        }
    };
    let days = table.text("days").and_then(|_| shared_keys::windows(table, "days", mistakes));
    Some(Festival {
        code: Arc::from(format!("festival.{name}")),
        title: Arc::from(table.text("title").unwrap_or(name).trim()),
        dates: shared_keys::dates(table, mistakes),
        days,
        when: shared_keys::windows(table, "when", mistakes),
        percent: percent?,
        rules: table.get("rules").map(|value| meant(texts(value), rules, mistakes)),
        lifts_caps: table.get("lifts_caps").is_some_and(|value| value.get_ref().as_bool() == Some(true)),
    })
}

/// A percentage as it is written: `150%`.
///
/// # Errors
/// What is wrong, in words.
pub fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix(['%', '\u{ff05}']).map(str::trim);
    let percent = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit())).and_then(|number| number.parse::<u32>().ok());
    percent
        .filter(|percent| (1..=PERCENT_MAX).contains(percent))
        .ok_or_else(|| format!("「{text}」不是倍数;请写 1% 到 {PERCENT_MAX}% 的整数百分比,如 \"200%\" 是两倍"))
}

fn meant(written: Vec<(std::ops::Range<usize>, &str)>, rules: &[RuleEntry], mistakes: &mut Mistakes) -> Vec<Arc<str>> {
    let mut codes = Vec::new();
    for (span, name) in written {
        let of_kind = |rule: &&RuleEntry| rule.code.split_once('.').is_some_and(|(kind, _)| kind == name);
        let found: Vec<Arc<str>> = rules.iter().filter(|rule| *rule.code == *name || of_kind(rule)).map(|rule| rule.code.clone()).collect();
        if found.is_empty() {
            let known: Vec<&str> = rules.iter().map(|rule| &*rule.code).collect();
            let near = did_you_mean(name, &known);
            if let Some(rule) = rules.iter().find(|rule| rule.title() == name) {
                mistakes.error(span, "unknown-rule", format!("「{name}」的代号是 {code},这里写 \"{code}\"", code = rule.code));
                continue;
            }
            let todo = if near.is_empty() { ";请写规则的代号,如 check_in.daily".to_owned() } else { near };
            mistakes.error(span, "unknown-rule", format!("没有规则「{name}」{todo}"));
        }
        codes.extend(found);
    }
    codes
}

/// A festival in words, for 「规则」; `None` once it is over.
pub fn in_words(campaign: &Campaign, festival: &Festival, day: Day) -> Option<String> {
    if festival.dates.is_some_and(|(_, last)| day.date() > last) {
        return None;
    }
    let titles = |codes: &Vec<Arc<str>>| {
        let titles: Vec<&str> = campaign.rules.iter().filter(|rule| codes.contains(&rule.code)).map(RuleEntry::title).collect();
        titles.join("、")
    };
    let whom = festival.rules.as_ref().map_or("全部".to_owned(), titles);
    let parts = [
        festival.dates.map(wording::dates).unwrap_or_default(),
        festival.days.as_ref().map_or(String::new(), When::in_words),
        festival.when.as_ref().map_or(String::new(), When::in_words),
    ];
    let opening: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let opening = if opening.is_empty() { String::new() } else { format!("{} ", opening.join(" ")) };
    let caps = if festival.lifts_caps { ",上限也乘" } else { "" };
    Some(format!("{opening}{whom}按 {}% 计{caps}", festival.percent))
}

/// The festivals that are on for a rule, for members: `双十一 200%`.
pub fn on<'c>(campaign: &'c Campaign, rule: &'c RuleEntry, day: Day, at: Millis) -> impl Iterator<Item = &'c Festival> {
    campaign.festivals.iter().filter(move |festival| festival.is_on(campaign, rule, day, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;
    use crate::rules::world::World;

    const RULES: &str = r#"
        check_in.daily = { title = "每日签到", keywords = ["签到"], points = 3 }
        check_in.other = { keywords = ["打卡"], points = 2 }
        festival.sale = { title = "双十一", dates = "2026-11-10..2026-11-12", factor = "150%", rules = ["check_in.daily"] }
        festival.weekend = { title = "周末", days = "周六周日", factor = "200%" }
    "#;

    #[test]
    fn factors_are_whole_percentages() {
        assert_eq!((percent("200%"), percent(" 50 %")), (Ok(200), Ok(50)));
        for bad in ["2", "200", "1.5%", "0%", "-50%", "99999%", "9999999999%", "%", ""] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_festival_multiplies_its_rules_on_its_days() {
        let mut world = World::new(RULES);
        assert_eq!([world.says("11-11 09:00", "签到"), world.says("11-11 09:01", "打卡")], [4, 2], "3 × 150 % = 4.5");
        assert_eq!([world.says("11-13 09:00", "签到"), world.says("11-14 09:00", "签到")], [3, 6], "a Friday and a Saturday");
    }

    #[test]
    fn a_campaign_writes_only_what_differs_and_unknown_rules_are_named() {
        let (rules, _) =
            load(&format!("{RULES}\ncampaign.a = {{ groups = [\"a\"], festival = {{ weekend = {{ factor = \"300%\" }} }} }}\ncampaign.main.groups = [\"*\"]"))
                .expect("good");
        let weekend = |at: usize| rules.campaigns[at].festivals.iter().find(|festival| &*festival.title == "周末").map(|festival| festival.percent);
        assert_eq!((weekend(0), weekend(1)), (Some(300), Some(200)));
        let mistakes = load("check_in.daily = { keywords = [\"签到\"], points = 3 }\nfestival.x = { factor = \"200%\", rules = [\"check_in.dayly\"] }")
            .expect_err("a slip");
        assert!(mistakes.iter().any(|mistake| mistake.code == "unknown-rule" && mistake.text.contains("check_in.daily")), "{mistakes:?}");
    }

    #[test]
    fn a_cap_holds_unless_it_is_told_to_be_lifted() {
        let capped = |lifts: bool| {
            let mut world = World::new(&format!(
                "check_in.daily = {{ keywords = [\"签到\"], points = 3, max_points = {{ day = 4 }} }}\nfestival.x = {{ factor = \"200%\", lifts_caps = {lifts} }}"
            ));
            world.says("11-11 09:00", "签到")
        };
        assert_eq!((capped(false), capped(true)), (4, 6));
    }
}
