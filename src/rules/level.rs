//! Levels: `campaign.<id>.levels`, a ladder over all that was ever earned. What is left of it does not matter: who spends keeps the level, and
//! what is taken back lowers it.

use std::sync::Arc;

use schemars::JsonSchema;
use toml::de::DeTable;

use crate::model::cells::AccountCell;
use crate::model::decision::{Arg, Args};
use crate::rules::KINDS;
use crate::rules::boost::{Level, level, multiplied};
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::mistake::Mistakes;
use crate::rules::standing::{level_at, level_of};
use crate::rules::table::{Misfits, RuleTable, integer};

/// Levels of one campaign: more is no ladder any more.
const LEVELS_MAX: usize = 50;

/// The largest factor: tenfold.
const PERCENT_MAX: u32 = 1_000;

/// 一个等级。按累计得分定,花掉积分不降级;撤回的分会减掉。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LevelTable {
    /// 等级的名称。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["中级"]))]
    #[schemars(extend("x-en" = "The name members see. Required."))]
    pub title: String,
    /// 累计得到多少分就是这个等级;从低到高写。
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64), extend("examples" = [500]))]
    #[schemars(extend("x-en" = "Points ever earned from which on one has it, ascending. Required."))]
    pub at: i64,
    /// 得分的倍数,向下取整,再受上限限制。默认 "100%"。
    #[schemars(extend("examples" = ["120%"]))]
    #[schemars(extend("x-en" = "What its members' earnings are multiplied with, rounded down, caps afterwards. Default `100%`."))]
    pub factor: Option<String>,
    /// 这个等级起可以做什么(权益的名字,如规则的种类 adopt);升级和「等级」里告诉成员。更高的等级也都可以。
    #[schemars(inner(length(min = 1, max = 40)), extend("examples" = [["adopt"]]))]
    #[schemars(extend("x-en" = "What its members may do, and those of higher levels; told when it is reached."))]
    pub may: Option<Vec<String>>,
}

/// Reads a campaign's ladder.
pub fn read(campaign: &RuleTable<'_>, misfits: &Misfits, mistakes: &mut Mistakes) -> Vec<Level> {
    let items = campaign.get("levels").and_then(|value| value.get_ref().as_array());
    let tables: Vec<(std::ops::Range<usize>, &DeTable<'_>)> =
        items.into_iter().flatten().filter_map(|item| Some((item.span(), item.get_ref().as_table()?))).collect();
    if tables.len() > LEVELS_MAX {
        mistakes.error(campaign.span("levels"), "too-many", format!("等级太多了;最多 {LEVELS_MAX} 个"));
    }
    let mut levels: Vec<Level> = Vec::new();
    for (span, table) in tables.into_iter().take(LEVELS_MAX) {
        let table = RuleTable::new(span.clone(), &[table], misfits);
        let (Some(title), Some(at)) = (table.text("title"), table.get("at").and_then(integer)) else {
            mistakes.error(span, "missing-key", "每个等级都要写 title(名称)和 at(累计多少分)");
            continue;
        };
        let percent = table.text("factor").map_or(Ok(100), parse_percent).unwrap_or_else(|reason| {
            mistakes.error(table.span("factor"), "bad-factor", reason);
            100
        });
        if let Some(before) = levels.last().filter(|before| before.at >= at) {
            let text = format!("等级要从低到高写:「{title}」的 at = {at} 不比前面「{}」的 {} 大", before.title, before.at);
            mistakes.error(table.span("at"), "bad-ladder", text);
        }
        if levels.iter().any(|before| *before.title == *title.trim()) {
            mistakes.error(table.span("title"), "bad-ladder", format!("有两个等级都叫「{title}」;请换一个名称"));
        }
        if let Some(before) = levels.last().filter(|before| before.percent > percent) {
            let text = format!("「{title}」的倍数 {percent}% 比低一级的「{}」{}% 还小,升级反而得得少", before.title, before.percent);
            mistakes.warning(table.span("factor"), "falling-factor", text);
        }
        let may = table.texts("may").unwrap_or_default().into_iter().map(|(_, may)| Arc::from(may.trim())).collect();
        levels.push(Level { title: Arc::from(title.trim()), at, percent, may });
    }
    levels
}

/// A factor such as `120%`, in percent.
fn parse_percent(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix(['%', '\u{ff05}']).and_then(|number| number.trim().parse::<u32>().ok());
    let number = number.ok_or_else(|| format!("「{text}」不是倍数;请写成百分数,例如 \"120%\""))?;
    if (1..=PERCENT_MAX).contains(&number) { Ok(number) } else { Err(format!("倍数要在 1% 到 {PERCENT_MAX}% 之间,现在是 {number}%")) }
}

/// Warns of a factor that changes nothing for a rule's points, because the product is rounded down.
pub fn check(campaign: &Campaign, span: std::ops::Range<usize>, mistakes: &mut Mistakes) {
    for level in campaign.levels.iter().filter(|level| level.percent > 100) {
        let factor = [crate::model::decision::Factor { of: level.title.clone(), percent: level.percent }];
        let is_lost = |points: i64| points > 0 && multiplied(points, &factor) == Some(points);
        let lost = campaign.rules.iter().filter(|rule| rule.common.mode != Mode::Off && is_lost(rule.kind.least()));
        if let Some(rule) = lost.min_by_key(|rule| rule.kind.least()) {
            let points = rule.kind.least();
            let text = format!(
                "等级「{}」的 {}% 对 {} 没有作用:{points} 分乘 {}% 向下取整还是 {points} 分;请把基础分写大一些,或把倍数写大一些",
                level.title, level.percent, rule.code, level.percent
            );
            mistakes.warning(span.clone(), "idle-factor", text);
        }
    }
}

/// Whether a member of so many points ever earned may do something.
pub fn may(levels: &[Level], lifetime: i64, what: &str) -> bool {
    level(levels, lifetime).is_some_and(|level| allowed(levels, level).any(|may| **may == *what))
}

/// What a level allows: its own and all that the lower ones allow.
fn allowed<'a>(levels: &'a [Level], own: &Level) -> impl Iterator<Item = &'a Arc<str>> {
    levels.iter().take_while(move |level| level.at <= own.at).flat_map(|level| &level.may)
}

/// The arguments that tell of a level: which one, how far the next is, what it brings. Nothing where a campaign has no levels.
pub fn args(campaign: &Campaign, account: Option<&AccountCell>, args: Args) -> Args {
    let (lifetime, own) = (account.map_or(0, |account| account.lifetime), level_of(campaign, account));
    // A level that was given and not earned counts from its own threshold on.
    let reached = own.map_or(lifetime, |own| own.at.max(lifetime));
    let next = campaign.levels.iter().find(|level| level.at > reached);
    let args = args.int("累计", lifetime).text("等级", own.map_or("", |level| &*level.title));
    let args = own.filter(|level| level.percent != 100).map_or(args.clone(), |level| args.text("倍数", times(level.percent)));
    let Some(next) = next else { return args };
    args.text("下一级", &*next.title).int("还差", next.at.saturating_sub(lifetime)).text("下一级可得", brings(own, next))
}

/// The arguments of a payment that lifts somebody to a higher level.
pub fn risen(campaign: &Campaign, account: Option<&AccountCell>, (before, after): (i64, i64), args: Args) -> Args {
    let (was, is) = (level_at(campaign, account, before), level_at(campaign, account, after));
    match is {
        Some(is) if was.is_none_or(|was| was.at < is.at) && (was.is_some() || is.at > 0) => args.text("升到", &*is.title).text("升级可得", brings(was, is)),
        Some(_) | None => args,
    }
}

/// The whole ladder, for 「等级」.
pub fn ladder(campaign: &Campaign, account: Option<&AccountCell>) -> Arg {
    let own = level_of(campaign, account).map(|level| level.at);
    let line = |level: &Level| {
        let args = Args::default().text("等级", &*level.title).int("累计", level.at).with("现在", Arg::Flag(Some(level.at) == own));
        if level.percent == 100 { args } else { args.text("倍数", times(level.percent)) }
    };
    Arg::List(campaign.levels.iter().map(line).collect())
}

/// What a level brings that the one before it did not: `得分 ×1.2`.
fn brings(before: Option<&Level>, level: &Level) -> String {
    let factor = (before.map_or(100, |before| before.percent) != level.percent).then(|| format!("得分 {}", times(level.percent)));
    let title = |may: &Arc<str>| KINDS.iter().find(|kind| kind.name == &**may).map_or_else(|| format!(" {may}"), |kind| format!("「{}」", kind.title));
    let may = level.may.iter().map(|may| format!("可以{}", title(may)));
    factor.into_iter().chain(may).collect::<Vec<_>>().join("、")
}

/// A factor as members read it: `×1.2`.
fn times(percent: u32) -> String {
    let (whole, rest) = (percent / 100, percent % 100);
    match (rest, rest % 10) {
        (0, _) => format!("×{whole}"),
        (_, 0) => format!("×{whole}.{}", rest / 10),
        (_, _) => format!("×{whole}.{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    const LADDER: &str = r#"campaign.main.levels = [{ title = "初级", at = 0 }, { title = "中级", at = 500, factor = "120%", may = ["adopt"] }, { title = "高级", at = 2000, factor = "150%", may = ["host"] }]"#;

    fn told(text: &str) -> Vec<(&'static str, usize)> {
        let mistakes = match load(text) {
            Ok((_, warnings)) => warnings,
            Err(mistakes) => mistakes,
        };
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.line)).collect()
    }

    #[test]
    fn a_ladder_ascends_and_names_each_level_once() {
        assert_eq!(told(LADDER), []);
        assert_eq!(told("[campaign.main]\nlevels = [\n{ title = \"甲\", at = 5 },\n{ title = \"乙\", at = 5 }]"), [("bad-ladder", 4)]);
        assert_eq!(told("[campaign.main]\nlevels = [\n{ title = \"甲\", at = 5 },\n{ title = \"甲\", at = 6 }]"), [("bad-ladder", 4)]);
        assert_eq!(told("[campaign.main]\nlevels = [{ title = \"甲\", at = 5, factor = \"1.2\" }]"), [("bad-factor", 2)]);
        assert_eq!(told("[campaign.main]\nlevels = [{ title = \"甲\", at = 5, factor = \"0%\" }]"), [("bad-factor", 2)]);
        assert_eq!(told("[campaign.main]\nlevels = [{ title = \"甲\" }]"), [("missing-key", 2)]);
        assert_eq!(
            told("[campaign.main]\nlevels = [\n{ title = \"甲\", at = 0, factor = \"150%\" },\n{ title = \"乙\", at = 9, factor = \"120%\" }]"),
            [("falling-factor", 4)]
        );
    }

    #[test]
    fn a_factor_that_rounds_to_nothing_is_told() {
        let with = |points: i64| format!("{LADDER}\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = {points}\n");
        assert_eq!(told(&with(1)).iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["idle-factor", "idle-factor"]);
        assert_eq!(told(&with(2)).iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["idle-factor"], "2 × 120 % is 2, 2 × 150 % is 3");
        assert_eq!(told(&with(5)), []);
    }

    #[test]
    fn a_higher_level_may_all_that_the_lower_ones_may() {
        let (rules, _) = load(LADDER).expect("a good ladder");
        let may = |lifetime, what| may(&rules.campaigns[0].levels, lifetime, what);
        assert!(!may(499, "adopt") && may(500, "adopt") && may(2000, "adopt") && may(2000, "host") && !may(500, "host"));
    }

    #[test]
    fn factors_are_told_as_members_read_them() {
        assert_eq!([100, 120, 150, 200, 125, 105, 80].map(times), ["×1", "×1.2", "×1.5", "×2", "×1.25", "×1.05", "×0.8"]);
    }
}
