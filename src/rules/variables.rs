//! Variables: what a reply text may speak of on each occasion, in Chinese and English.

use crate::model::decision::Occasion;

/// A variable of reply texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its Chinese name, the one in [`crate::model::decision::Args`]: `昵称`.
    pub name: &'static str,
    /// Its English name: `name`.
    pub alias: &'static str,
    /// What it holds.
    pub sort: Sort,
}

/// What a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A number.
    Int,
    /// A text.
    Text,
    /// A person's name: cut short, made harmless.
    Name,
    /// A yes or no.
    Flag,
    /// An address; its line vanishes when it is not set.
    Link,
    /// A list of records.
    List(&'static [Variable]),
}

impl Variable {
    /// Whether this is one of its names.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alias == name
    }

    /// Both names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        [self.name, self.alias].into_iter()
    }
}

/// The variables of an occasion, those of every occasion first.
pub fn variables(occasion: Occasion) -> Vec<Variable> {
    // A digest speaks of many: nobody's name and balance stand in it.
    let personal = if matches!(occasion, Occasion::Digest | Occasion::Posted | Occasion::Done | Occasion::Alarm) { &[] } else { PERSONAL };
    personal.iter().chain(COMMON).chain(own(occasion)).copied().collect()
}

const fn int(name: &'static str, alias: &'static str) -> Variable {
    Variable { name, alias, sort: Sort::Int }
}

const fn text(name: &'static str, alias: &'static str) -> Variable {
    Variable { name, alias, sort: Sort::Text }
}

const fn name(name: &'static str, alias: &'static str) -> Variable {
    Variable { name, alias, sort: Sort::Name }
}

const fn flag(name: &'static str, alias: &'static str) -> Variable {
    Variable { name, alias, sort: Sort::Flag }
}

const fn list(name: &'static str, alias: &'static str, fields: &'static [Variable]) -> Variable {
    Variable { name, alias, sort: Sort::List(fields) }
}

const PERSONAL: &[Variable] = &[name("昵称", "name"), int("余额", "balance")];

const COMMON: &[Variable] = &[text("积分名", "points_name"), text("活动", "campaign"), Variable { name: "商城", alias: "mall", sort: Sort::Link }];

/// `得分` points of this message, `奖励` the streak bonus in it, `档位` the rung reached, `连续` days in a row, `再签` days to the next rung
/// and `再得` its bonus, `封顶` whether a cap clipped it, `生效` the first day these points may be spent, if that is not today,
/// `加成` the factors in it: `双十一 200%`.
const PAID: &[Variable] = &[
    text("标题", "title"),
    int("得分", "points"),
    int("奖励", "bonus"),
    int("档位", "rung"),
    int("连续", "streak"),
    int("再签", "days_to_bonus"),
    int("再得", "next_bonus"),
    flag("封顶", "clipped"),
    text("生效", "vests"),
    text("加成", "factors"),
];

const ALREADY: &[Variable] =
    &[text("标题", "title"), text("时间", "time"), int("已得", "earned"), int("次数", "times"), text("周期", "period"), text("重置", "resets_at")];

const OUTSIDE: &[Variable] = &[text("标题", "title"), text("开放", "opening")];

const CAPPED: &[Variable] = &[text("标题", "title"), text("周期", "period"), int("已用", "used"), int("上限", "most"), text("重置", "resets_at")];

const REFUSED: &[Variable] = &[text("标题", "title"), text("原因", "reason")];

const CAN_EARN: &[Variable] = &[text("标题", "title"), int("得分", "points"), text("时段", "window"), text("文字", "text")];

const TODAY: &[Variable] = &[text("今天还能拿", "can_earn_text"), list("可得", "can_earn", CAN_EARN), text("重置", "resets_at")];

const BALANCE: &[Variable] = &[
    text("今天还能拿", "can_earn_text"),
    list("可得", "can_earn", CAN_EARN),
    text("重置", "resets_at"),
    int("冻结", "held"),
    int("待生效", "pending"),
    text("生效", "vests"),
    int("快过期", "expiring"),
    flag("有期限", "can_expire"),
    list("其他", "others", &[text("活动", "campaign"), int("余额", "balance"), text("积分名", "points_name")]),
];

const RANK: &[Variable] = &[
    list("榜", "board", &[int("名次", "rank"), name("昵称", "name"), int("得分", "points")]),
    int("我的名次", "my_rank"),
    int("我的得分", "my_points"),
    int("差距", "gap"),
    text("截至", "as_of"),
];

const WHY: &[Variable] = &[list("条目", "entries", &[text("时间", "time"), text("内容", "text"), int("得分", "points"), text("说明", "reason")])];

const HISTORY: &[Variable] =
    &[list("明细", "history", &[text("时间", "time"), int("得分", "points"), text("标题", "title"), int("余额", "balance"), text("生效", "vests")])];

const RULES: &[Variable] = &[list("条目", "entries", &[text("标题", "title"), text("内容", "text")]), text("上限", "caps")];

/// `只听艾特` in a group that is heard only through a bot: there a plain 签到 reaches nobody.
const HELP: &[Variable] = &[text("口令", "keywords"), text("可查", "questions"), flag("单聊", "single"), flag("只听艾特", "mention_only")];

const NOT_UNDERSTOOD: &[Variable] = &[text("帮助", "help"), flag("单聊", "single")];

/// `得分` to `最多` points each without the bonus; `名单` names, cut with `等 N 位`.
const ITEM: &[Variable] =
    &[text("标题", "title"), int("人数", "people"), int("得分", "points"), int("最多", "most"), text("名单", "names"), list("连签", "streaks", STREAK)];

const STREAK: &[Variable] = &[int("档位", "rung"), int("奖励", "bonus"), int("人数", "people"), text("名单", "names")];

/// `标题` the rule's, or the points' name where several rules paid; `起` and `止` the ten minutes it tells of; `助手` and `为什么` what to
/// write when one is missing from it.
const DIGEST: &[Variable] = &[
    text("标题", "title"),
    text("起", "from"),
    text("止", "until"),
    int("人数", "people"),
    list("项目", "items", ITEM),
    text("助手", "assistant"),
    text("为什么", "why"),
];

/// `到期` what goes soon: the last day it is good for and how much; `不活跃` whether earning anything keeps it.
const EXPIRING: &[Variable] = &[list("到期", "expiring", &[text("日期", "date"), int("得分", "points")]), flag("不活跃", "inactivity")];
/// `还差` what must still come (`一张截图`), `限时` how soon (`10 分钟`).
const MISSING: &[Variable] = &[text("标题", "title"), text("还差", "missing"), text("限时", "within"), flag("单聊", "single")];

/// `用过的` what was used before (`这张图`), `要换的` what to send instead (`截图`).
const USED: &[Variable] = &[text("标题", "title"), text("用过的", "used"), text("要换的", "instead")];
/// `人数` who would lose a run of days and `已签` who has checked in, with `remind`; `榜` of this week, as for 排行.
const POSTED: &[Variable] = &[
    int("人数", "people"),
    int("已签", "checked_in"),
    list("榜", "board", &[int("名次", "rank"), name("昵称", "name"), int("得分", "points")]),
    text("截至", "as_of"),
];

/// `得分` points given or `扣分` points taken, the other is 0.
const GRANTED: &[Variable] = &[int("得分", "points"), int("扣分", "taken"), text("原因", "reason")];

/// `说明` the whole sentence.
const TOLD: &[Variable] = &[text("说明", "told")];

fn own(occasion: Occasion) -> &'static [Variable] {
    match occasion {
        Occasion::Paid => PAID,
        Occasion::Already => ALREADY,
        Occasion::Outside => OUTSIDE,
        Occasion::Capped => CAPPED,
        Occasion::Refused => REFUSED,
        Occasion::Balance => BALANCE,
        Occasion::Today => TODAY,
        Occasion::Rank => RANK,
        Occasion::Why => WHY,
        Occasion::History => HISTORY,
        Occasion::Rules => RULES,
        Occasion::Help => HELP,
        Occasion::NotUnderstood => NOT_UNDERSTOOD,
        Occasion::NoCampaign => &[],
        Occasion::Digest => DIGEST,
        Occasion::Expiring => EXPIRING,
        Occasion::Missing => MISSING,
        Occasion::Used => USED,
        Occasion::Granted => GRANTED,
        Occasion::Done | Occasion::Alarm => TOLD,
        Occasion::Posted => POSTED,
    }
}
