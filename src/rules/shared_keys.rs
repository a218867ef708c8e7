//! The keys that every rule shares, those of a campaign and of a bucket: what they are (the doc comments are the operators' manual) and
//! how they are read.

use std::ops::Range;
use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::day::PeriodKind;
use crate::model::reply::Occasion;
use crate::rules::campaign::{Common, Mode, Only};
use crate::rules::cap::Limits;
use crate::rules::fit::did_you_mean;
use crate::rules::level::LevelTable;
use crate::rules::mistake::Mistakes;
use crate::rules::table::{RuleTable, Written, integer, parse_duration_secs, texts};
use crate::rules::when::When;
use crate::rules::{Kind, template, validity};

/// 写在任何一种规则里都行。
#[derive(Debug, JsonSchema)]
pub struct SharedKeys {
    /// 成员看到的名称;不写就用规则类型的名称,如「签到」。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["每日签到"]))]
    #[schemars(extend("x-en" = "The name members see; without it the kind's name."))]
    pub title: Option<String>,
    /// 最多得几次:每个成员在本活动里,按天、周、月、时段或总共。周从周一算起。
    #[schemars(extend("examples" = [{"day": 1}]))]
    #[schemars(extend("x-en" = "How often it pays, per member and campaign. Weeks begin on Monday. A check-in pays once a day unless told."))]
    pub max_times: Option<LimitTable>,
    /// 最多得多少分:每个成员在本活动里,按天、周、月、时段或总共。
    #[schemars(extend("examples" = [{"day": 20}]))]
    #[schemars(extend("x-en" = "How much it pays, per member and campaign."))]
    pub max_points: Option<LimitTable>,
    /// 与其他规则共用一个上限:写 [bucket.<名字>] 里的名字。
    #[schemars(extend("examples" = ["talk"]))]
    #[schemars(extend("x-en" = "Shares a cap with other rules: the name of a `[bucket.<name>]`."))]
    pub bucket: Option<String>,
    /// 开放时段,含开始不含结束;可写星期,可过零点,可写成列表。不写是全天。
    #[schemars(extend("examples" = ["20:00-21:00"]))]
    #[schemars(extend("x-en" = "Windows in which it is open; start included, end not. Without it all day."))]
    pub when: Option<OneOrMany>,
    /// 开放日期,首尾两天都算。
    #[schemars(extend("examples" = ["2026-11-01..2026-11-30"]))]
    #[schemars(extend("x-en" = "First and last day, both included."))]
    pub dates: Option<String>,
    /// 只对谁有效;几项都要满足。
    #[schemars(extend("x-en" = "Whom it is for; all of it must hold."))]
    pub only: Option<OnlyTable>,
    /// live 正式记分,shadow 只试算不记分,off 停用。默认 live。
    #[schemars(extend("x-en" = "`live` books points, `shadow` only computes them, `off` is not there. Default `live`."))]
    pub mode: Option<ModeName>,
    /// 总预算:所有人合计最多发出多少分,发完就停。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64), extend("examples" = [20000]))]
    #[schemars(extend("x-en" = "Points that all members together may get of it; then it stops and says so."))]
    pub budget: Option<i64>,
    /// 先记为待生效,这么多天以后才能用;过去七天常用来防退货、退群。
    #[schemars(extend("examples" = ["7d"]))]
    #[schemars(extend("x-en" = "Booked as pending; may be spent so many days later."))]
    pub hold: Option<String>,
    /// 积分的有效期:从能用的那天算起多少天("365d")、到哪天("2027-03-31")、每年哪天("每年 12-31")或 "never"。默认按活动的 expires。
    #[schemars(extend("examples" = ["365d"]))]
    #[schemars(extend("x-en" = "How long its points live, from the day they may be spent: days, a date, a day of each year, or `never`. Default: the campaign's."))]
    pub expires: Option<String>,
    /// 得分后的回复;写列表就依次发几条,写 "" 就不回复。不写用默认文案。
    #[schemars(extend("examples" = ["{{昵称}} 签到成功 +{{得分}}"]))]
    #[schemars(extend("x-en" = "Said when it pays; a list is several messages in order, `\"\"` is silence."))]
    pub reply: Option<OneOrMany>,
}

/// 一段文字,或几段文字的列表。
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMany {
    /// 一段。
    One(String),
    /// 几段。
    Many(Vec<String>),
}

/// 每个周期最多多少;可以同时写几个,都要满足。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitTable {
    /// 每个业务日。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    #[schemars(extend("x-en" = "A business day."))]
    pub day: Option<i64>,
    /// 每周,周一起。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    #[schemars(extend("x-en" = "A week, from Monday."))]
    pub week: Option<i64>,
    /// 每个自然月。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    #[schemars(extend("x-en" = "A calendar month."))]
    pub month: Option<i64>,
    /// when 里的时段每开放一次。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    #[schemars(extend("x-en" = "One opening of a window of `when`."))]
    pub window: Option<i64>,
    /// 总共。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    #[schemars(extend("x-en" = "In all."))]
    pub ever: Option<i64>,
}

/// 只对谁有效。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OnlyTable {
    /// 只在这些群:群名或群编号。
    #[schemars(length(min = 1), inner(length(min = 1, max = 100)), extend("examples" = [["骑行一群"]]))]
    pub groups: Option<Vec<String>>,
    /// 只给有其中一个标签的成员;标签由 event 的 sets 打上。
    #[schemars(length(min = 1), inner(length(min = 1, max = 40)), extend("examples" = [["VIP"]]))]
    #[schemars(extend("x-en" = "Only for members with one of these tags, which events set."))]
    pub tags: Option<Vec<String>>,
    /// 只给在其中一个等级的成员:活动 levels 里的 title。
    #[schemars(length(min = 1), inner(length(min = 1, max = 40)), extend("examples" = [["高级"]]))]
    #[schemars(extend("x-en" = "Only for members of one of these levels."))]
    pub levels: Option<Vec<String>>,
    /// true 只给买过的成员:有过计分的订单,或有「买家」标签;false 只给没买过的。
    #[schemars(extend("x-en" = "`true`: only for members with a paid order or the tag 买家; `false`: only for the others."))]
    pub buyers: Option<bool>,
    /// 只给进群不久的成员:第一次进群以来不超过这么久。
    #[schemars(extend("examples" = ["7d"]))]
    #[schemars(extend("x-en" = "Only within so long of first joining a group."))]
    pub joined_within: Option<String>,
}

/// live、shadow 或 off。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum ModeName {
    /// 正式记分。
    Live,
    /// 只试算,不记分,不回复。
    Shadow,
    /// 停用。
    Off,
}

/// 规则里写 bucket = "<名字>",就合在一起算。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BucketTable {
    /// 上限怎么算:member 每人合计(默认),group 每人在每个群里各算各的。
    #[schemars(extend("x-en" = "Whom the caps are counted for: `member` over all groups (default), `group` a member in each group."))]
    pub per: Option<PerName>,
    /// 合计最多得几次。
    #[schemars(extend("examples" = [{"day": 5}]))]
    #[schemars(extend("x-en" = "How often all of them together pay."))]
    pub max_times: Option<LimitTable>,
    /// 合计最多得多少分。
    #[schemars(extend("examples" = [{"day": 30}]))]
    #[schemars(extend("x-en" = "How much all of them together pay."))]
    pub max_points: Option<LimitTable>,
}

/// member 或 group。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum PerName {
    /// 每人合计。
    Member,
    /// 每人每群。
    Group,
}

/// 一个积分活动:一些群,共用规则和余额。规则表可以写在里面,只写与最外层不同的键。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct CampaignTable {
    /// 成员看到的活动名称。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["VIP 福利"]))]
    #[schemars(extend("x-en" = "The name members see."))]
    pub title: Option<String>,
    /// 哪些群:群名或群编号;"*" 是其余所有群和单聊。默认 ["*"]。
    #[schemars(length(min = 1), inner(length(min = 1, max = 100)), extend("examples" = [["*"]]))]
    #[schemars(extend("x-en" = "Group names or chat ids; `*` is all other groups and single chats. Default `[\"*\"]`."))]
    pub groups: Option<Vec<String>>,
    /// 积分叫什么。默认「积分」。
    #[schemars(length(min = 1, max = 40), extend("examples" = ["能量"]))]
    #[schemars(extend("x-en" = "What points are called. Default 积分."))]
    pub points_name: Option<String>,
    /// 时区。默认 Asia/Shanghai。
    #[schemars(extend("examples" = ["Asia/Shanghai"]))]
    #[schemars(extend("x-en" = "Default `Asia/Shanghai`."))]
    pub time_zone: Option<String>,
    /// 一天从几点算起。默认 00:00;写 04:00 则凌晨 3 点的消息算前一天。
    #[schemars(extend("examples" = ["04:00"]))]
    #[schemars(extend("x-en" = "When a business day begins. Default `00:00`."))]
    pub day_starts_at: Option<String>,
    /// shared 多群共一个余额,per_group 每群各算各的。默认 shared。
    #[schemars(extend("x-en" = "One balance over all groups (default), or one a group."))]
    pub balance: Option<BalanceName>,
    /// 员工是否得分:auto 客户群里不得、内部群和单聊照常,pay 都得,skip 都不得。默认 auto。
    #[schemars(extend("x-en" = "Whether employees earn: `auto` nothing in customer groups (default), `pay` everywhere, `skip` nowhere."))]
    pub staff: Option<StaffName>,
    /// 整个活动:live 正式、shadow 试运行(只试算,不记分、不回复)、off 停用。对活动里的每条规则、称号、定时发言都管用;已有的积分照样能查、能过期。默认 live。
    #[schemars(extend("examples" = ["shadow"]))]
    #[schemars(extend("x-en" = "The whole campaign: `live` (default), `shadow` (verdicts only: nothing is booked or said), `off`. Holds for its rules, titles and posts; what members have can still be asked for and expires."))]
    pub mode: Option<ModeName>,
    /// 整个活动里每个成员最多得多少分。
    #[schemars(extend("examples" = [{"day": 60, "week": 300}]))]
    #[schemars(extend("x-en" = "How much all rules together pay a member."))]
    pub max_points: Option<LimitTable>,
    /// 等级,从低到高;按累计得分定,花掉不降级。见下面「等级」。
    #[schemars(extend("examples" = [[{"title": "初级", "at": 0}, {"title": "中级", "at": 500, "factor": "120%"}]]))]
    #[schemars(extend("x-en" = "Levels, ascending, by all that was ever earned; see below."))]
    pub levels: Option<Vec<LevelTable>>,
    /// 积分的有效期:从能用的那天算起多少天("365d")、到哪天为止("2027-03-31",这天以后得的不过期)、每年到哪天("每年 12-31")或 "never"。默认 never。
    #[schemars(extend("examples" = ["365d"]))]
    #[schemars(extend("x-en" = "How long points live, from the day they may be spent: days, a date (what is earned after it does not go), a day of each year, or `never`. Default `never`."))]
    pub expires: Option<String>,
    /// 30 天及以上的有效期到期那天怎么取:month 延到当月最后一天,day 就按那天。默认 month。
    #[schemars(extend("x-en" = "Lives of 30 days and more end with their month (`month`, default) or on their day (`day`)."))]
    pub expiry_round: Option<RoundName>,
    /// 这么多天一分没得,所有积分过期;至少 36d。不写就没有这一条。
    #[schemars(extend("examples" = ["180d"]))]
    #[schemars(extend("x-en" = "Everything expires when nothing was earned for so many days; at least 36d."))]
    pub inactivity: Option<String>,
    /// 到期前几天私下提醒,可写几个。不写不提醒。
    #[schemars(extend("examples" = [["30d", "7d"]]))]
    #[schemars(extend("x-en" = "How many days before points go their owner is told in private; several are allowed. Without it nobody is told."))]
    pub expiry_notice: Option<OneOrMany>,
    /// 退回或恢复的积分如果已经过期,再给几天。不写是到第二天。
    #[schemars(extend("examples" = ["7d"]))]
    #[schemars(extend("x-en" = "Days that points have which come back when they would be gone already. Without it one."))]
    pub grace: Option<String>,
    /// 整个活动的预算:所有规则、所有人合计最多发出多少分,发完就停。人工加分不算在内。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64), extend("examples" = [100000]))]
    #[schemars(extend("x-en" = "Points that all rules may pay all members together; then they stop. Grants by hand do not count."))]
    pub budget: Option<i64>,
    /// 一积分值多少元,如 "0.01":写了,`jifen budget` 和给管理员的提醒就同时用金额说。
    #[schemars(extend("examples" = ["0.01"]))]
    #[schemars(extend("x-en" = "What one point is worth in yuan; operators are then told of budgets in money too."))]
    pub point_value: Option<String>,
    /// 每个群最多定时发几条;到了就不再发。不写不限。
    #[schemars(extend("examples" = [{"day": 3, "month": 20}]))]
    #[schemars(extend("x-en" = "How many scheduled posts a group gets at most."))]
    pub max_posts: Option<LimitTable>,
    /// 退出活动全部群的人,积分怎么办:keep 保留、freeze 冻结(回群前不得分也不能用)、写天数如 "30d" 则退群这么多天后清零。默认 keep。
    #[schemars(extend("examples" = ["freeze"]))]
    #[schemars(extend("x-en" = "Points of who left all groups: `keep` (default), `freeze` until they are back, or a number of days after which they are gone."))]
    pub leavers: Option<String>,
}

/// month 或 day。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum RoundName {
    /// 延到当月最后一天。
    Month,
    /// 就按那天。
    Day,
}

/// shared 或 per_group。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum BalanceName {
    /// 多群共一个余额。
    Shared,
    /// 每群各算各的。
    PerGroup,
}

/// auto、pay 或 skip。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum StaffName {
    /// 客户群里不得分,内部群和单聊照常。
    Auto,
    /// 都得分。
    Pay,
    /// 都不得分。
    Skip,
}

/// Reads the shared keys of a rule of this kind. `buckets` are the names of its campaign's buckets.
pub fn read(table: &RuleTable<'_>, kind: &Kind, buckets: &[&str], mistakes: &mut Mistakes) -> Common {
    Common {
        title: Arc::from(table.text("title").unwrap_or(kind.title).trim()),
        dates: dates(table, mistakes),
        when: windows(table, "when", mistakes),
        limits: rule_limits(table, kind),
        bucket: bucket(table, buckets, mistakes),
        only: only(table, mistakes),
        mode: mode(table),
        counted: Vec::new(),
        budget: table.get("budget").and_then(integer),
        hold_days: validity::hold(table, mistakes),
        expires: validity::life(table, mistakes),
        reply: table.get("reply").map(|value| messages(value, Occasion::Paid, mistakes)),
    }
}

/// `max_times` and `max_points` as they are written.
pub fn limits(table: &RuleTable<'_>) -> Limits {
    Limits { max_times: periods(table, "max_times"), max_points: periods(table, "max_points") }
}

/// A table of periods, each with its number.
pub fn periods(table: &RuleTable<'_>, key: &str) -> Vec<(PeriodKind, i64)> {
    table.pairs(key).into_iter().filter_map(|(name, value)| Some((period(name.get_ref())?, integer(value)?))).collect()
}

/// One of these tables of limits, as it is written; `None` when it is not.
pub fn limits_of(table: &RuleTable<'_>, key: &str) -> Option<Vec<(PeriodKind, i64)>> {
    table.get(key)?;
    Some(table.pairs(key).into_iter().filter_map(|(name, value)| Some((period(name.get_ref())?, integer(value)?))).collect())
}

fn only(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Only {
    let entry = |key: &str| table.pairs("only").into_iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value);
    let names = |key: &str| entry(key).map(|value| trimmed(value).into_iter().map(|(_, name)| Arc::from(name)).collect());
    let within = entry("joined_within").and_then(|value| {
        let read = parse_duration_secs(value.get_ref().as_str()?);
        let read = read.and_then(|secs| if secs > 0 { Ok(secs) } else { Err("joined_within 要大于 0,例如 \"7d\"".to_owned()) });
        read.map_err(|reason| mistakes.error(value.span(), "bad-duration", reason)).ok()
    });
    Only {
        groups: names("groups"),
        tags: names("tags"),
        levels: names("levels"),
        buyers: entry("buyers").and_then(|value| value.get_ref().as_bool()),
        joined_within_secs: within,
    }
}

/// `only.groups`, each with its place.
pub fn only_groups<'a>(table: &RuleTable<'a>) -> Option<Vec<(Range<usize>, &'a str)>> {
    table.pairs("only").into_iter().find(|(name, _)| name.get_ref() == "groups").map(|(_, value)| trimmed(value))
}

/// Names, each with its place, without the spaces around them.
pub fn trimmed(value: Written<'_>) -> Vec<(Range<usize>, &str)> {
    texts(value).into_iter().map(|(span, name)| (span, name.trim())).collect()
}

/// The kind's defaults stand in for a key that is not written: `max_points` alone does not lift «once a day».
fn rule_limits(table: &RuleTable<'_>, kind: &Kind) -> Limits {
    let (mut limits, defaults) = (limits(table), (kind.default_limits)());
    if table.get("max_times").is_none() {
        limits.max_times = defaults.max_times;
    }
    if table.get("max_points").is_none() {
        limits.max_points = defaults.max_points;
    }
    limits
}

fn period(name: &str) -> Option<PeriodKind> {
    match name {
        "day" => Some(PeriodKind::Day),
        "week" => Some(PeriodKind::Week),
        "month" => Some(PeriodKind::Month),
        "window" => Some(PeriodKind::Window),
        "ever" => Some(PeriodKind::Ever),
        _ => None,
    }
}

/// The windows of a key.
pub fn windows(table: &RuleTable<'_>, key: &str, mistakes: &mut Mistakes) -> Option<When> {
    let written = table.texts(key)?;
    if written.is_empty() {
        mistakes.error(table.span(key), "empty", format!("{key} 是空的;写上时段如 \"20:00-21:00\",不限时段就删掉 {key}"));
    }
    When::read(&written, mistakes)
}

/// The messages of a reply, each checked as a template; `""` and `[]` are silence.
pub fn messages(value: Written<'_>, occasion: Occasion, mistakes: &mut Mistakes) -> Vec<String> {
    let written = texts(value).into_iter().filter(|(_, text)| !text.is_empty());
    let checked = written.map(|(span, text)| {
        template::check(occasion, text).unwrap_or_else(|reason| mistakes.error(span, "bad-template", reason));
        text.to_owned()
    });
    checked.collect()
}

/// The days of the key `dates`.
pub fn dates(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<(Date, Date)> {
    let read = date_range(table.text("dates")?);
    read.map_err(|reason| mistakes.error(table.span("dates"), "bad-dates", reason)).ok()
}

fn date_range(text: &str) -> Result<(Date, Date), String> {
    let (first, last) = text.split_once("..").ok_or_else(|| format!("「{text}」不是日期范围;请写 首日..末日,例如 2026-11-01..2026-11-30(只有一天就写两遍)"))?;
    let (first, last) = (date(first)?, date(last)?);
    if last < first {
        return Err(format!("「{text}」的末日在首日之前;请调换"));
    }
    Ok((first, last))
}

fn date(text: &str) -> Result<Date, String> {
    let text = text.trim();
    let whole = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    whole.then(|| text.parse().ok()).flatten().ok_or_else(|| format!("没有「{text}」这个日期;请写成 年-月-日,例如 2026-11-01"))
}

fn bucket(table: &RuleTable<'_>, buckets: &[&str], mistakes: &mut Mistakes) -> Option<usize> {
    let name = table.text("bucket")?;
    let found = buckets.iter().position(|known| *known == name);
    if found.is_none() {
        let hint = did_you_mean(name, buckets);
        let todo = if hint.is_empty() { format!(";请先写 [bucket.{name}] 并在里面写 max_points") } else { hint };
        mistakes.error(table.span("bucket"), "unknown-bucket", format!("没有 [bucket.{name}]{todo}"));
    }
    found
}

/// `mode`
pub fn mode(table: &RuleTable<'_>) -> Mode {
    match table.text("mode") {
        Some("shadow") => Mode::Shadow,
        Some("off") => Mode::Off,
        _ => Mode::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_ranges_are_whole_and_ascend() {
        assert_eq!(date_range("2026-11-01..2026-11-30"), Ok((Date::constant(2026, 11, 1), Date::constant(2026, 11, 30))));
        assert!(date_range("2026-11-30..2026-11-01").unwrap_err().contains("调换"));
        assert!(date_range("2026-02-30..2026-03-01").unwrap_err().contains("没有「2026-02-30」"));
        assert!(date_range("2026-11-01").unwrap_err().contains("不是日期范围"));
    }
}
