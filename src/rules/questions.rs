//! The answers to the questions that the assistant knows: balance, today, boards, level, rules, help.

use crate::model::day::PeriodKind;
use crate::model::decision::{Arg, Args, Mark, Question, Refusal};
use crate::model::event::{Channel, Place};
use crate::model::reply::{Occasion, Reply};
use crate::rules::answer::{BOARD, NOTE, asked, base, is_this, title};
use crate::rules::board::{self, Board};
use crate::rules::campaign::{Balance, Mode, RuleEntry};
use crate::rules::decide::{Scene, holds, within};
use crate::rules::task::{self, Progress};
use crate::rules::{boost, expiry, festival, level, share, wording};

/// 「积分」 tells what goes within so many days.
const EXPIRING_DAYS: i32 = 30;

/// Things to do that 「亲密度」 recommends.
const ADVICE_MAX: usize = 3;

/// Words that 「帮助」 recommends; more would not be read.
const HELP_WORDS_MAX: usize = 3;

pub(super) fn question_reply(scene: &Scene<'_>, question: Question) -> Reply {
    let args = base(scene);
    match question {
        Question::Balance => asked(Occasion::Balance, balance_args(scene, args)),
        Question::Today => asked(Occasion::Today, today_args(scene, args)),
        Question::Rules => asked(Occasion::Rules, rules_args(scene, args)),
        Question::Help => asked(Occasion::Help, help_args(scene, args)),
        Question::Why => asked(Occasion::Why, args),
        Question::History => asked(Occasion::History, args),
        Question::Tasks => asked(Occasion::Tasks, today_args(scene, args.with("任务", Arg::List(tasks(scene))))),
        Question::Rank
        | Question::RankToday
        | Question::RankMonth
        | Question::RankEver
        | Question::RankLastWeek
        | Question::RankLastMonth
        | Question::RankGroup
        | Question::Newcomers => board_reply(scene, args, Board::asked(question).unwrap_or(Board::Week)),
        Question::LeaveBoard | Question::JoinBoard => board_choice_reply(scene, args, question == Question::LeaveBoard),
        Question::Level => asked(Occasion::Level, level_args(scene, args)),
        Question::Affinity => asked(Occasion::Affinity, affinity_args(scene, args)),
        Question::Titles => asked(Occasion::Titles, args),
        Question::Calendar => asked(Occasion::Calendar, calendar_args(scene, args)),
    }
}

/// Every group has boards of its own under `balance = "per_group"`, and only a group has one of what was earned in it.
pub(super) fn board_reply(scene: &Scene<'_>, args: Args, board: Board) -> Reply {
    let is_single = scene.event.place == Place::Single;
    if is_single && (scene.campaign.balance == Balance::PerGroup || board == Board::Group) {
        return asked(Occasion::Rank, args.text(NOTE, "每个群有自己的榜,请到群里 @我 问。"));
    }
    asked(Occasion::Rank, args.text(BOARD, board.word()))
}

pub(super) fn board_choice_reply(scene: &Scene<'_>, args: Args, leaves: bool) -> Reply {
    if !chooses_here(scene) {
        return asked(Occasion::BoardChoice, args.text(NOTE, "每个群有自己的榜,请到群里 @我 说。"));
    }
    let word = |question| scene.rules.assistant.word(question).unwrap_or_default();
    let args = args.with("已退出", Arg::Flag(leaves));
    asked(Occasion::BoardChoice, args.text("加入排行", word(Question::JoinBoard)).text("退出排行", word(Question::LeaveBoard)))
}

/// Whether there is one account here that a choice about boards is about.
pub(super) fn chooses_here(scene: &Scene<'_>) -> bool {
    scene.event.place != Place::Single || scene.campaign.balance == Balance::Shared
}

/// Whether a question changes the account of whoever asks it: then it needs a campaign that covers the place.
pub(super) fn is_choice(question: Question) -> bool {
    matches!(question, Question::LeaveBoard | Question::JoinBoard)
}

/// What an asked question changes of the account itself.
pub fn marks(scene: &Scene<'_>) -> Option<Mark> {
    let question = scene.heard.question.filter(|_| scene.heard.asked && chooses_here(scene));
    board::choice(scene.facts.account.map(|account| &account.state), question)
}

pub(super) fn balance_args(scene: &Scene<'_>, args: Args) -> Args {
    let mut others: Vec<(usize, i64)> = Vec::new();
    for (index, account) in scene.facts.others.iter().filter(|(index, _)| !is_this(scene, *index)) {
        let day = scene.rules.campaigns.get(*index).map_or(scene.day, |campaign| campaign.calendar.day(scene.event.at));
        let spendable = account.state.spendable(day);
        match others.iter_mut().find(|(known, _)| known == index) {
            Some((_, sum)) => *sum += spendable,
            None => others.push((*index, spendable)),
        }
    }
    let block = |(index, available): &(usize, i64)| {
        let campaign = scene.rules.campaigns.get(*index)?;
        Some(Args::default().text("活动", title(campaign)).int("余额", *available).text("积分名", &*campaign.points_name))
    };
    let others = others.iter().filter_map(block).collect();
    let held = scene.facts.account.map_or(0, |account| account.held);
    let args = lots_args(scene, today_args(scene, args)).int("冻结", held).with("其他", Arg::List(others));
    if has_level(scene) { level::args(scene.campaign, scene.facts.account, args) } else { args }
}

pub(super) fn level_args(scene: &Scene<'_>, args: Args) -> Args {
    if !has_level(scene) {
        return args;
    }
    level::args(scene.campaign, scene.facts.account, args).with("阶梯", level::ladder(scene.campaign, scene.facts.account))
}

/// Whether there is a ladder and one account here that stands on it.
pub(super) fn has_level(scene: &Scene<'_>) -> bool {
    !scene.campaign.levels.is_empty() && chooses_here(scene)
}

pub(super) fn lifetime(scene: &Scene<'_>) -> i64 {
    scene.facts.account.map_or(0, |account| account.lifetime)
}

/// What still pays most today comes first. How warm the member is is read when it is told.
pub(super) fn affinity_args(scene: &Scene<'_>, args: Args) -> Args {
    let mut advice: Vec<Args> = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule)).filter_map(|rule| still(scene, rule)).collect();
    advice.sort_by_key(|item| std::cmp::Reverse(points_of(item)));
    advice.truncate(ADVICE_MAX);
    args.with("开着", Arg::Flag(scene.rules.affinity.is_some())).with("建议", Arg::List(advice))
}

pub(super) fn points_of(item: &Args) -> i64 {
    let points = item.0.iter().find_map(|(name, arg)| match arg {
        Arg::Int(points) if **name == *"得分" => Some(*points),
        Arg::Int(_) | Arg::Text(_) | Arg::Flag(_) | Arg::List(_) => None,
    });
    points.unwrap_or(0)
}

/// What waits and what goes soon.
pub(super) fn lots_args(scene: &Scene<'_>, args: Args) -> Args {
    let Some(account) = scene.facts.account else { return args };
    let (state, day) = (&account.state, scene.day);
    let pending = state.pending(day);
    let going: i64 = expiry::going(scene.campaign, account, day, EXPIRING_DAYS).iter().map(|(_, points)| points).sum();
    let when = match pending.as_slice() {
        [] => String::new(),
        [(only, _)] => wording::date(*only, day),
        [(first, _), ..] => format!("{} 起", wording::date(*first, day)),
    };
    let waits = pending.iter().map(|(_, points)| points).sum();
    let can_expire = scene.campaign.validity.can_expire() || state.lots.iter().any(|lot| lot.expires_on.is_some());
    args.int("待生效", waits).text("生效", when).int("快过期", going).with("有期限", Arg::Flag(can_expire))
}

pub(super) fn today_args(scene: &Scene<'_>, args: Args) -> Args {
    let items: Vec<Args> = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule)).filter_map(|rule| still(scene, rule)).collect();
    let texts: Vec<&str> = items.iter().filter_map(text_of).collect();
    let joined = texts.join(",");
    let reset = wording::resets(&scene.campaign.calendar, PeriodKind::Day, scene.event.at);
    args.text("今天还能拿", joined).with("可得", Arg::List(items)).text("重置", reset)
}

/// The tasks that are open here, with what of each the member has done.
pub(super) fn tasks(scene: &Scene<'_>) -> Vec<Args> {
    let titled = |code: &str| scene.campaign.rules.iter().find(|rule| *rule.code == *code);
    let task = |rule: &RuleEntry| {
        let Progress { done, is_over } = scene.progress(rule);
        let steps = rule.kind.steps().iter().zip(&done).map(|(step, done)| {
            let (title, points) = titled(step).map_or((&**step, 0), |rule| (rule.title(), rule.kind.most()));
            Args::default().text("标题", title).int("得分", points).with("完成", Arg::Flag(*done))
        });
        let args = Args::default().text("标题", rule.title()).int("得分", rule.kind.most());
        args.int("完成", done.iter().filter(|done| **done).count() as i64)
            .int("共", done.len() as i64)
            .with("已得", Arg::Flag(is_over))
            .text(
                "周期",
                match task::period(&rule.common.limits) {
                    PeriodKind::Ever => "",
                    kind => wording::this(kind),
                },
            )
            .with("步骤", Arg::List(steps.collect()))
    };
    scene.campaign.rules.iter().filter(|rule| rule.kind.follows() && is_on(scene, rule)).map(task).collect()
}

pub(super) fn text_of(item: &Args) -> Option<&str> {
    item.0.iter().find_map(|(name, arg)| match arg {
        Arg::Text(text) if **name == *"文字" => Some(text.as_str()),
        Arg::Text(_) | Arg::Int(_) | Arg::Flag(_) | Arg::List(_) => None,
    })
}

/// Whether a rule pays here today, as far as dates, groups and staff go. A single chat speaks of every group's rules.
pub(super) fn is_on(scene: &Scene<'_>, rule: &RuleEntry) -> bool {
    let dated = rule.common.dates.is_none_or(|(first, last)| within(scene.day, first, last));
    let here = scene.event.place == Place::Single || holds(&rule.common.only, &scene.event.place);
    let on = rule.kind.is_on(scene.day) && scene.admits(rule);
    rule.common.mode == Mode::Live && dated && here && on && !scene.is_unpaid_staff()
}

/// What a rule can still pay today: `签到 +2`, `20:00–21:00 发言最多 +14`, `发言每条 +1`; `None` when nothing is left.
pub(super) fn still(scene: &Scene<'_>, rule: &RuleEntry) -> Option<Args> {
    if rule.kind.is_paid_by_the_clock() {
        return None;
    }
    let one = match scene.offer(rule) {
        Ok(offer) => offer.points,
        Err(Refusal::Already { .. }) => return None,
        Err(_) => rule.kind.most(),
    };
    let (factors, lift) = boost::factors(scene.campaign, rule, scene.facts.account, scene.day, scene.event.at);
    let one = boost::multiplied(one, &factors).unwrap_or(one);
    let left = scene.left(rule, lift);
    let times = left.times.unwrap_or(i64::MAX);
    let points = left.points.unwrap_or(i64::MAX).min(one.saturating_mul(times));
    let points = share::left(scene.facts.shared, scene.campaign, rule).map_or(points, |left| points.min(left));
    if times == 0 || points == 0 {
        return None;
    }
    let (way, points) = match (left.times, left.points) {
        (None, None) if rule.kind.hears_talk() => ("每条 ", one),
        (None, None) => (" ", one),
        (Some(1), Some(_) | None) => (" ", points),
        (Some(_) | None, Some(_) | None) => ("最多 ", points),
    };
    let window = match &rule.common.when {
        Some(when) => when.left_today(&scene.campaign.calendar, scene.event.at)?,
        None => String::new(),
    };
    let space = if window.is_empty() { "" } else { " " };
    let text = format!("{window}{space}{}{way}+{points}", rule.title());
    Some(Args::default().text("标题", rule.title()).int("得分", points).text("时段", window).text("文字", text))
}

pub(super) fn rules_args(scene: &Scene<'_>, args: Args) -> Args {
    let line = |rule: &RuleEntry| Args::default().text("标题", rule.title()).text("内容", wording::rule(scene.campaign, rule));
    let boosts = scene.campaign.festivals.iter().filter_map(|festival| Some((festival, festival::in_words(scene.campaign, festival, scene.day)?)));
    let boosts = boosts.map(|(festival, words)| Args::default().text("标题", &*festival.title).text("内容", words));
    let lines = scene.campaign.rules.iter().filter(|rule| is_listed(scene, rule)).map(line).chain(boosts).collect();
    args.with("条目", Arg::List(lines)).text("上限", wording::limits(&scene.campaign.limits, &scene.campaign.points_name))
}

/// Whether 「规则」 tells of a rule: live, not over, and meant for this group.
pub(super) fn is_listed(scene: &Scene<'_>, rule: &RuleEntry) -> bool {
    let over = rule.common.dates.is_some_and(|(_, last)| scene.day.date() > last);
    let here = scene.event.place == Place::Single || holds(&rule.common.only, &scene.event.place);
    rule.common.mode == Mode::Live && !over && here
}

/// The member's month of each check-in here; of one that they never did only where there is no other.
pub(super) fn calendar_args(scene: &Scene<'_>, args: Args) -> Args {
    let month = |rule: &RuleEntry| Some((rule.title().to_owned(), rule.kind.month(&scene.hearing(rule), scene.own(rule))?));
    let months = scene.campaign.rules.iter().filter(|rule| is_listed(scene, rule)).filter_map(month);
    let entries = months.filter(|(_, month)| !month.is_empty()).map(|(title, month)| month.args(&title)).collect();
    args.int("月", i64::from(scene.day.date().month())).with("条目", Arg::List(entries))
}

pub(super) fn is_single(scene: &Scene<'_>) -> Arg {
    Arg::Flag(scene.event.place == Place::Single)
}

/// Whether the message came through a bot, which hears nothing else of its group.
pub(super) fn hears_only_mentions(scene: &Scene<'_>) -> bool {
    let is_bot = match scene.event.via.channel {
        Channel::Aibot | Channel::Robot => true,
        Channel::App | Channel::Archive | Channel::Replay | Channel::Api | Channel::House => false,
    };
    is_bot && scene.event.place != Place::Single
}

pub(super) fn help_args(scene: &Scene<'_>, args: Args) -> Args {
    let words = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule) && rule.kind.most() > 0).filter_map(|rule| rule.kind.listens_for().first());
    let words: Vec<String> = words.take(HELP_WORDS_MAX).map(|listen| format!("「{}」", listen.text)).collect();
    let questions = [Question::Balance, Question::Today, Question::Rank, Question::History, Question::Why, Question::Rules];
    let has_tasks = scene.campaign.rules.iter().any(|rule| rule.kind.follows() && is_on(scene, rule));
    let has_months = scene.campaign.rules.iter().any(|rule| is_listed(scene, rule) && rule.kind.month(&scene.hearing(rule), scene.own(rule)).is_some());
    let further = has_tasks.then_some(Question::Tasks).into_iter().chain(has_months.then_some(Question::Calendar));
    let questions: Vec<&str> = questions.iter().copied().chain(further).filter_map(|question| scene.rules.assistant.word(question)).collect();
    args.text("口令", words.join("或"))
        .text("可查", questions.join("、"))
        .with("单聊", is_single(scene))
        .with("只听艾特", Arg::Flag(hears_only_mentions(scene)))
}
