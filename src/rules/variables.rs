//! Variables: what a reply text may speak of on each occasion, in Chinese and English.

use crate::model::reply::Occasion;

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
    let personal = if matches!(occasion, Occasion::Digest | Occasion::Posted | Occasion::Done | Occasion::Alarm | Occasion::TitleWon) { &[] } else { PERSONAL };
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
/// `加成` the factors in it: `双十一 200%`, `升到` the level that this payment brought and `升级可得` what it opens.
/// `名次` the place among the first of the day and `名次奖` what it brought (0 for none).
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
    text("升到", "risen_to"),
    text("升级可得", "risen_brings"),
    int("名次", "place"),
    int("名次奖", "place_bonus"),
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
    text("等级", "level"),
    text("下一级", "next_level"),
    int("还差", "missing"),
    list("其他", "others", &[text("活动", "campaign"), int("余额", "balance"), text("积分名", "points_name")]),
];

/// `榜名` which board it is, `定榜` whether it is over and fixed, `有并列` and `我并列` whether points are shared, `已退出` whether the asker
/// chose not to be shown: then their own rank is told in the single chat only; `说明` instead of all that, where there is no board here.
const RANK: &[Variable] = &[
    text("说明", "note"),
    text("榜名", "board_title"),
    flag("定榜", "closed"),
    list("榜", "board", &[int("名次", "rank"), name("昵称", "name"), int("得分", "points"), flag("并列", "tied")]),
    flag("有并列", "has_ties"),
    flag("我并列", "my_tie"),
    flag("已退出", "hidden"),
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
/// `已得` whether it is done in the running 周期; `完成` of `共` steps.
const TASK: &[Variable] = &[
    text("标题", "title"),
    int("得分", "points"),
    int("完成", "done"),
    int("共", "of"),
    flag("已得", "is_over"),
    text("周期", "period"),
    list("步骤", "steps", &[text("标题", "title"), int("得分", "points"), flag("完成", "done")]),
];

const TASKS: &[Variable] = &[list("任务", "tasks", TASK), text("今天还能拿", "can_earn_text"), list("可得", "can_earn", CAN_EARN), text("重置", "resets_at")];

/// `日期` the day made up, `花费` what it cost, `连续` days in a row with it, `还缺` missed days before it that keep the run apart still;
/// `原因` why nothing was bought, empty if it was.
const MADE_UP: &[Variable] =
    &[text("标题", "title"), text("日期", "date"), int("花费", "price"), int("连续", "streak"), int("还缺", "gap"), text("原因", "reason")];

/// `再签` days until the next bonus `再得`; `今天` whether today is checked in.
const MONTH: &[Variable] = &[
    text("标题", "title"),
    int("天数", "days"),
    text("已签", "checked_in"),
    text("补签", "made_up"),
    text("没签", "missed"),
    int("连续", "streak"),
    int("再签", "days_to_bonus"),
    int("再得", "next_bonus"),
    flag("今天", "today"),
];

/// `晚到` days whose check-in arrived later and was credited, `没记` days on which a check-in was refused.
const CALENDAR: &[Variable] = &[int("月", "month"), list("条目", "entries", MONTH), text("晚到", "late"), text("没记", "refused")];

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

/// `已退出` hidden from now on, else shown again; the words are what to send for the other.
const BOARD_CHOICE: &[Variable] = &[text("说明", "note"), flag("已退出", "hidden"), text("加入排行", "join_board"), text("退出排行", "leave_board")];

const RISEN: &[Variable] = &[text("升到", "risen_to"), text("升级可得", "risen_brings")];

/// `累计` points ever earned, `还差` to `下一级`, which brings `下一级可得`.
const LEVEL: &[Variable] = &[
    text("等级", "level"),
    int("累计", "lifetime"),
    text("倍数", "factor"),
    text("下一级", "next_level"),
    int("还差", "missing"),
    text("下一级可得", "next_brings"),
    list("阶梯", "ladder", &[text("等级", "level"), int("累计", "lifetime"), text("倍数", "factor"), flag("现在", "now")]),
];

/// `温度` 0 to 100, `冷暖` in a word; of `天数` days `活跃` were not idle; `建议` what still pays most today.
const AFFINITY: &[Variable] =
    &[flag("开着", "is_on"), int("温度", "temperature"), text("冷暖", "warmth"), int("天数", "days"), int("活跃", "active"), list("建议", "advice", CAN_EARN)];

/// `名单` who won it last, `次数` how often the asker did.
const TITLES: &[Variable] = &[list("称号", "titles", &[text("标题", "title"), text("周期", "period"), text("名单", "names"), int("次数", "times")])];

/// `名单` the winners with what they earned; empty where nobody did: then nothing is said.
const TITLE_WON: &[Variable] = &[text("标题", "title"), text("名单", "names"), text("周期", "period"), int("得分", "points")];

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
        Occasion::Tasks => TASKS,
        Occasion::BoardChoice => BOARD_CHOICE,
        Occasion::Risen => RISEN,
        Occasion::Level => LEVEL,
        Occasion::Affinity => AFFINITY,
        Occasion::Titles => TITLES,
        Occasion::TitleWon => TITLE_WON,
        Occasion::MadeUp => MADE_UP,
        Occasion::Calendar => CALENDAR,
        Occasion::Posted => POSTED,
    }
}
