//! Answering: what is said to whom, and when the bot keeps silent. Makes replies of rulings and questions; the words are `template`'s.

use std::sync::Arc;

use crate::model::day::PeriodKind;
use crate::model::decision::{Arg, Args, Mark, Occasion, Once, Payment, Question, Refusal, Reply, Ruling, Template, Traits};
use crate::model::event::{Channel, Place};
use crate::rules::board::{self, Board};
use crate::rules::campaign::{Balance, Campaign, Mode, RuleEntry, Rules};
use crate::rules::check_in::needs::{self, Pairing};
use crate::rules::decide::{Ruled, Scene, holds, within};
use crate::rules::task::{self, Progress};
use crate::rules::template::rule_key;
use crate::rules::text::display_name;
use crate::rules::{Facts, Prepared, boost, expiry, festival, level, share, wording};

/// «Not understood» is said to a member once in so many seconds.
const NOT_UNDERSTOOD_SECS: i64 = 600;

/// The argument that carries the key of a rule's own text; no variable can be called so.
const OWN_TEXT: &str = "@rule";

/// 「积分」 tells what goes within so many days.
const EXPIRING_DAYS: i32 = 30;

/// The argument that carries which board is asked for; no variable can be called so.
pub const BOARD: &str = "@board";

/// The argument that says why there is no board here.
pub const NOTE: &str = "说明";

/// Things to do that 「亲密度」 recommends.
const ADVICE_MAX: usize = 3;

/// Words that 「帮助」 recommends; more would not be read.
const HELP_WORDS_MAX: usize = 3;

/// The replies to one message. Who asked gets exactly one; who did not ask hears of a check-in, or once that it is closed.
pub fn replies(scene: &Scene<'_>, rulings: &[Ruled<'_>], booked: i64) -> Vec<Reply> {
    let asked = scene.heard.asked;
    let is_told = |ruled: &&Ruled<'_>| asked || (ruled.rule.kind.announces() && !is_silent(ruled.rule));
    let paid = || rulings.iter().filter_map(|ruled| payment(ruled).map(|payment| (ruled, payment)));
    if let Some(reply) = rulings.iter().find_map(|ruled| bought_reply(scene, ruled)) {
        return vec![reply];
    }
    let told: Vec<Args> = paid().filter(|(ruled, _)| is_told(ruled)).map(|(ruled, payment)| paid_args(scene, ruled, payment)).collect();
    if let Some(reply) = paid_reply(told, asked) {
        return vec![reply];
    }
    if asked {
        return vec![answer(scene, rulings)];
    }
    let is_paid = booked > 0 || paid().next().is_some();
    if is_paid {
        return risen_notice(scene, booked).into_iter().collect();
    }
    closed_notice(scene, rulings).or_else(|| missing_notice(scene, rulings)).into_iter().collect()
}

/// The reply where no campaign covers the chat: in a single chat, a question is answered from the campaigns the member is in.
pub fn uncovered(rules: &Rules, prepared: &Prepared, heard: &Traits, facts: &Facts<'_>) -> Option<Reply> {
    if !heard.asked {
        return None;
    }
    let home = facts.others.first().and_then(|(index, account)| Some((rules.campaigns.get(*index)?, *account)));
    match (heard.question, home) {
        (Some(question), Some((campaign, account))) if prepared.event.place == Place::Single && !is_choice(question) => {
            let facts = Facts { account: Some(account), ..*facts };
            let scene = Scene::new(rules, campaign, prepared, heard, &facts);
            Some(question_reply(&scene, question))
        }
        (Some(_) | None, Some(_) | None) => {
            let args = Args::default().text("昵称", display_name(facts.name));
            Some(Reply { template: assistant_text(Occasion::NoCampaign), args, asked: true, once: None })
        }
    }
}

/// The reply where nobody can tell yet which campaign covers the chat: the message waits, who asked does not.
pub fn unresolved(prepared: &Prepared, name: &str) -> Option<Reply> {
    prepared.traits.as_ref().filter(|heard| heard.asked)?;
    let args = Args::default().text("昵称", display_name(name)).text("标题", "积分").text("原因", "还不认得这个群,先记着,认得以后补记");
    Some(asked(Occasion::Refused, args))
}

fn assistant_text(occasion: Occasion) -> Template {
    Template { occasion, rule: None }
}

fn asked(occasion: Occasion, args: Args) -> Reply {
    Reply { template: assistant_text(occasion), args, asked: true, once: None }
}

/// The one answer that is owed when nothing was paid: the refusal that helps most, the question's answer, or a hint.
fn answer(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Reply {
    let refusals = rulings.iter().filter(|ruled| ruled.rule.common.mode == Mode::Live).filter_map(|ruled| Some((ruled.rule, refusal(ruled)?)));
    if let Some((rule, refusal)) = refusals.min_by_key(|(_, refusal)| rank(refusal)) {
        return refusal_reply(scene, rule, refusal);
    }
    if let Some(question) = scene.heard.question {
        return question_reply(scene, question);
    }
    if scene.event.said().is_some_and(|said| said.images == 0 && scene.heard.chars == 0 && said.link.is_none() && !said.video) {
        return question_reply(scene, Question::Help);
    }
    let slot = scene.event.at.0.div_euclid(NOT_UNDERSTOOD_SECS * 1000);
    let once = Once { name: "not_understood".into(), per_member: true, slot };
    let help = scene.rules.assistant.word(Question::Help).unwrap_or("帮助");
    Reply { once: Some(once), ..asked(Occasion::NotUnderstood, base(scene).text("帮助", help).with("单聊", is_single(scene))) }
}

/// Which refusal is told first.
fn rank(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::Already { .. } => 0,
        Refusal::OutsideWindow => 1,
        Refusal::Capped(_) | Refusal::Spent | Refusal::TooLate { .. } | Refusal::NotBought(_) | Refusal::Short { .. } => 2,
        Refusal::OutsideDates => 3,
        Refusal::ProofMissing { .. } | Refusal::ProofUsed { .. } | Refusal::WordMissing { .. } => 4,
        Refusal::TooShort { .. } | Refusal::TooPlain { .. } | Refusal::CoolDown { .. } | Refusal::TooMany | Refusal::StepsLeft(..) => 4,
        Refusal::Copy { .. } | Refusal::NearCopy { .. } => 4,
        Refusal::NotForThisGroup
        | Refusal::NotForThisMember(_)
        | Refusal::Staff
        | Refusal::Twin
        | Refusal::TakenBack
        | Refusal::NotStayed
        | Refusal::Declined
        | Refusal::Frozen => 5,
    }
}

fn payment<'a>(ruled: &'a Ruled<'_>) -> Option<&'a Payment> {
    match &ruled.ruling {
        Ruling::Paid(payment) => Some(payment),
        Ruling::Shadow(_) | Ruling::Refused(_) | Ruling::Moved(_) => None,
    }
}

fn refusal<'a>(ruled: &'a Ruled<'_>) -> Option<&'a Refusal> {
    match &ruled.ruling {
        Ruling::Refused(refusal) => Some(refusal),
        Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Moved(_) => None,
    }
}

/// `reply = ""`: silence, where nobody asked.
fn is_silent(rule: &RuleEntry) -> bool {
    rule.common.reply.as_ref().is_some_and(|texts| texts.iter().all(String::is_empty))
}

/// What every reply may speak of.
fn base(scene: &Scene<'_>) -> Args {
    Args::default()
        .text("昵称", display_name(scene.facts.name))
        .int("余额", balance(scene))
        .text("积分名", &*scene.campaign.points_name)
        .text("活动", title(scene.campaign))
}

fn title(campaign: &Campaign) -> &str {
    campaign.title.as_deref().unwrap_or(&campaign.id)
}

/// What may be spent before this message; in a single chat, where each group has its own balance, all of them together.
fn balance(scene: &Scene<'_>) -> i64 {
    if scene.event.place == Place::Single && scene.campaign.balance == Balance::PerGroup {
        let own = scene.facts.others.iter().filter(|(index, _)| is_this(scene, *index));
        return own.map(|(_, account)| account.state.spendable(scene.day)).sum();
    }
    spendable(scene)
}

fn spendable(scene: &Scene<'_>) -> i64 {
    scene.facts.account.map_or(0, |account| account.state.spendable(scene.day))
}

fn is_this(scene: &Scene<'_>, index: usize) -> bool {
    scene.rules.campaigns.get(index).is_some_and(|campaign| std::ptr::eq(campaign, scene.campaign))
}

fn paid_args(scene: &Scene<'_>, ruled: &Ruled<'_>, payment: &Payment) -> Args {
    let mut args = base(scene);
    args.0.retain(|(name, _)| **name != *"余额");
    args = args.int("余额", spendable(scene) + ruled.ready).text("标题", ruled.rule.title()).int("得分", payment.points).int("奖励", payment.bonus);
    args = args.with("封顶", Arg::Flag(payment.clipped_by.is_some()));
    if let Some(vests) = scene.bucket(ruled.rule).vests_on.filter(|_| payment.points > 0) {
        args = args.text("生效", wording::date(vests, scene.day));
    }
    if let Some(streak) = payment.streak {
        args = args.int("连续", i64::from(streak));
    }
    if !payment.factors.is_empty() {
        args = args.text("加成", boost::in_words(payment.base, &payment.factors));
    }
    args = level::risen(scene.campaign, (lifetime(scene) + ruled.booked - payment.points, lifetime(scene) + ruled.booked), args);
    args.0.extend(ruled.args.0.iter().cloned());
    match &ruled.rule.common.reply {
        Some(_) if !is_silent(ruled.rule) => args.text(OWN_TEXT, &*rule_key(scene.campaign, ruled.rule)),
        Some(_) | None => args,
    }
}

/// One reply for all that paid: the first payment's, with the others as a list that is said after it.
fn paid_reply(mut told: Vec<Args>, asked: bool) -> Option<Reply> {
    if told.is_empty() {
        return None;
    }
    let mut args = told.remove(0);
    let rule = own_text(&args);
    if !told.is_empty() {
        args = args.with("同时", Arg::List(told));
    }
    Some(Reply { template: Template { occasion: Occasion::Paid, rule }, args, asked, once: None })
}

/// The rule whose own text a payment wants, by the argument that carries it.
pub fn own_text(args: &Args) -> Option<Arc<str>> {
    args.0.iter().find_map(|(name, arg)| match arg {
        Arg::Text(rule) if **name == *OWN_TEXT => Some(rule.as_str().into()),
        Arg::Text(_) | Arg::Int(_) | Arg::Flag(_) | Arg::List(_) => None,
    })
}

fn refusal_reply(scene: &Scene<'_>, rule: &RuleEntry, refusal: &Refusal) -> Reply {
    let (calendar, at) = (&scene.campaign.calendar, scene.event.at);
    let args = base(scene);
    let args = match refusal {
        Refusal::Capped(cap) => args.text("标题", cap_title(scene, rule, &cap.of)),
        _ => args.text("标题", rule.title()),
    };
    match refusal {
        Refusal::Already { cap, paid_at } => {
            let kind = cap.period;
            let time = paid_at.map_or_else(|| wording::this(kind).to_owned(), |paid| wording::moment(calendar, paid, at));
            let earned = scene.counted(&cap.of, kind).points;
            let args = args.text("时间", time).int("已得", earned).int("次数", cap.used).text("周期", wording::this(kind));
            asked(Occasion::Already, args.text("重置", wording::resets(calendar, kind, at)))
        }
        Refusal::Capped(cap) => {
            let args = args.int("已用", cap.used).int("上限", cap.most).text("周期", wording::this(cap.period));
            asked(Occasion::Capped, args.text("重置", wording::resets(calendar, cap.period, at)))
        }
        Refusal::OutsideWindow | Refusal::OutsideDates => asked(Occasion::Outside, args.text("开放", wording::opening(rule))),
        Refusal::ProofMissing { needs, within_secs } => {
            let args = args.text("还差", Pairing::one_of(*needs)).text("限时", needs::in_words(*within_secs));
            asked(Occasion::Missing, args.with("单聊", is_single(scene)))
        }
        Refusal::ProofUsed { needs } => {
            let (this, other) = wording::used(*needs);
            asked(Occasion::Used, args.text("用过的", this).text("要换的", other))
        }
        Refusal::WordMissing { .. }
        | Refusal::NotForThisGroup
        | Refusal::TooShort { .. }
        | Refusal::TooPlain { .. }
        | Refusal::CoolDown { .. }
        | Refusal::Copy { .. }
        | Refusal::NearCopy { .. }
        | Refusal::NotBought(_)
        | Refusal::Staff
        | Refusal::TooMany
        | Refusal::Spent
        | Refusal::TooLate { .. }
        | Refusal::Short { .. }
        | Refusal::Declined
        | Refusal::NotForThisMember(_)
        | Refusal::StepsLeft(..)
        | Refusal::Twin
        | Refusal::TakenBack
        | Refusal::NotStayed
        | Refusal::Frozen => asked(Occasion::Refused, args.text("原因", wording::refusal(refusal, calendar, (at, at), &wording::opening(rule)))),
    }
}

/// What a cap is on: the rule, several rules together, or everything.
fn cap_title<'a>(scene: &Scene<'_>, rule: &'a RuleEntry, of: &str) -> &'a str {
    match of {
        rule_code if rule_code == &*rule.code => rule.title(),
        bucket if scene.campaign.buckets.iter().any(|it| *it.key(scene.facts.group) == *bucket) => "同类",
        _ => "全部",
    }
}

/// A higher level is told even where the points that brought it are not.
fn risen_notice(scene: &Scene<'_>, booked: i64) -> Option<Reply> {
    let risen = level::risen(scene.campaign, (lifetime(scene), lifetime(scene) + booked), Args::default());
    let args = Args([base(scene).0, risen.0.clone()].concat());
    (!risen.0.is_empty()).then(|| Reply { asked: false, ..asked(Occasion::Risen, args) })
}

/// Unasked, and yet said once per group and day: the word is right, the hour is not.
fn closed_notice(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Option<Reply> {
    if scene.event.place == Place::Single {
        return None;
    }
    let is_closed = |ruled: &&Ruled<'_>| matches!(ruled.ruling, Ruling::Refused(Refusal::OutsideWindow));
    let is_loud = |rule: &RuleEntry| rule.kind.announces() && rule.common.mode == Mode::Live && !is_silent(rule);
    let ruled = rulings.iter().filter(is_closed).find(|ruled| is_loud(ruled.rule))?;
    let name = format!("outside/{}", ruled.rule.code);
    let once = Once { name: name.into(), per_member: false, slot: i64::from(scene.day.0) };
    Some(Reply { asked: false, once: Some(once), ..refusal_reply(scene, ruled.rule, &Refusal::OutsideWindow) })
}

/// Unasked, and yet said once a day to each: the word is right, the picture is missing.
fn missing_notice(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Option<Reply> {
    let is_missing = |ruled: &&Ruled<'_>| matches!(ruled.ruling, Ruling::Refused(Refusal::ProofMissing { .. }));
    let is_loud = |rule: &RuleEntry| rule.kind.announces() && rule.common.mode == Mode::Live && !is_silent(rule);
    let ruled = rulings.iter().filter(is_missing).find(|ruled| is_loud(ruled.rule))?;
    let once = Once { name: format!("missing/{}", ruled.rule.code).into(), per_member: true, slot: i64::from(scene.day.0) };
    Some(Reply { asked: false, once: Some(once), ..refusal_reply(scene, ruled.rule, refusal(ruled)?) })
}

/// What became of something that costs points: who spends is always answered, who cannot is told why, but not again and again.
fn bought_reply(scene: &Scene<'_>, ruled: &Ruled<'_>) -> Option<Reply> {
    if !ruled.rule.kind.sells() {
        return None;
    }
    let mut args = base(scene).text("标题", ruled.rule.title());
    match &ruled.ruling {
        Ruling::Moved(_) => {
            args.0.retain(|(name, _)| **name != *"余额");
            args = args.int("余额", spendable(scene) + ruled.ready);
            args.0.extend(ruled.args.0.iter().cloned());
            Some(asked(Occasion::MadeUp, args))
        }
        Ruling::Refused(refusal @ Refusal::NotBought(_)) => {
            let (calendar, at) = (&scene.campaign.calendar, scene.event.at);
            let args = args.text("原因", wording::refusal(refusal, calendar, (at, at), ""));
            let slot = at.0.div_euclid(NOT_UNDERSTOOD_SECS * 1000);
            let once = Once { name: format!("not_bought/{}", ruled.rule.code).into(), per_member: true, slot };
            Some(Reply { once: Some(once).filter(|_| !scene.heard.asked), ..asked(Occasion::MadeUp, args) })
        }
        Ruling::Refused(_) | Ruling::Paid(_) | Ruling::Shadow(_) => None,
    }
}

fn question_reply(scene: &Scene<'_>, question: Question) -> Reply {
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
fn board_reply(scene: &Scene<'_>, args: Args, board: Board) -> Reply {
    let is_single = scene.event.place == Place::Single;
    if is_single && (scene.campaign.balance == Balance::PerGroup || board == Board::Group) {
        return asked(Occasion::Rank, args.text(NOTE, "每个群有自己的榜,请到群里 @我 问。"));
    }
    asked(Occasion::Rank, args.text(BOARD, board.word()))
}

fn board_choice_reply(scene: &Scene<'_>, args: Args, leaves: bool) -> Reply {
    if !chooses_here(scene) {
        return asked(Occasion::BoardChoice, args.text(NOTE, "每个群有自己的榜,请到群里 @我 说。"));
    }
    let word = |question| scene.rules.assistant.word(question).unwrap_or_default();
    let args = args.with("已退出", Arg::Flag(leaves));
    asked(Occasion::BoardChoice, args.text("加入排行", word(Question::JoinBoard)).text("退出排行", word(Question::LeaveBoard)))
}

/// Whether there is one account here that a choice about boards is about.
fn chooses_here(scene: &Scene<'_>) -> bool {
    scene.event.place != Place::Single || scene.campaign.balance == Balance::Shared
}

/// Whether a question changes the account of whoever asks it: then it needs a campaign that covers the place.
fn is_choice(question: Question) -> bool {
    matches!(question, Question::LeaveBoard | Question::JoinBoard)
}

/// What an asked question changes of the account itself.
pub fn marks(scene: &Scene<'_>) -> Option<Mark> {
    let question = scene.heard.question.filter(|_| scene.heard.asked && chooses_here(scene));
    board::choice(scene.facts.account.map(|account| &account.state), question)
}

fn balance_args(scene: &Scene<'_>, args: Args) -> Args {
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
    if has_level(scene) { level::args(scene.campaign, lifetime(scene), args) } else { args }
}

fn level_args(scene: &Scene<'_>, args: Args) -> Args {
    if !has_level(scene) {
        return args;
    }
    level::args(scene.campaign, lifetime(scene), args).with("阶梯", level::ladder(scene.campaign, lifetime(scene)))
}

/// Whether there is a ladder and one account here that stands on it.
fn has_level(scene: &Scene<'_>) -> bool {
    !scene.campaign.levels.is_empty() && chooses_here(scene)
}

fn lifetime(scene: &Scene<'_>) -> i64 {
    scene.facts.account.map_or(0, |account| account.lifetime)
}

/// What still pays most today comes first. How warm the member is is read when it is told.
fn affinity_args(scene: &Scene<'_>, args: Args) -> Args {
    let mut advice: Vec<Args> = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule)).filter_map(|rule| still(scene, rule)).collect();
    advice.sort_by_key(|item| std::cmp::Reverse(points_of(item)));
    advice.truncate(ADVICE_MAX);
    args.with("开着", Arg::Flag(scene.rules.affinity.is_some())).with("建议", Arg::List(advice))
}

fn points_of(item: &Args) -> i64 {
    let points = item.0.iter().find_map(|(name, arg)| match arg {
        Arg::Int(points) if **name == *"得分" => Some(*points),
        Arg::Int(_) | Arg::Text(_) | Arg::Flag(_) | Arg::List(_) => None,
    });
    points.unwrap_or(0)
}

/// What waits and what goes soon.
fn lots_args(scene: &Scene<'_>, args: Args) -> Args {
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

fn today_args(scene: &Scene<'_>, args: Args) -> Args {
    let items: Vec<Args> = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule)).filter_map(|rule| still(scene, rule)).collect();
    let texts: Vec<&str> = items.iter().filter_map(text_of).collect();
    let joined = texts.join(",");
    let reset = wording::resets(&scene.campaign.calendar, PeriodKind::Day, scene.event.at);
    args.text("今天还能拿", joined).with("可得", Arg::List(items)).text("重置", reset)
}

/// The tasks that are open here, with what of each the member has done.
fn tasks(scene: &Scene<'_>) -> Vec<Args> {
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

fn text_of(item: &Args) -> Option<&str> {
    item.0.iter().find_map(|(name, arg)| match arg {
        Arg::Text(text) if **name == *"文字" => Some(text.as_str()),
        Arg::Text(_) | Arg::Int(_) | Arg::Flag(_) | Arg::List(_) => None,
    })
}

/// Whether a rule pays here today, as far as dates, groups and staff go. A single chat speaks of every group's rules.
fn is_on(scene: &Scene<'_>, rule: &RuleEntry) -> bool {
    let dated = rule.common.dates.is_none_or(|(first, last)| within(scene.day, first, last));
    let here = scene.event.place == Place::Single || holds(&rule.common.only, &scene.event.place);
    let on = rule.kind.is_on(scene.day) && scene.admits(rule);
    rule.common.mode == Mode::Live && dated && here && on && !scene.is_unpaid_staff()
}

/// What a rule can still pay today: `签到 +2`, `20:00–21:00 发言最多 +14`, `发言每条 +1`; `None` when nothing is left.
fn still(scene: &Scene<'_>, rule: &RuleEntry) -> Option<Args> {
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

fn rules_args(scene: &Scene<'_>, args: Args) -> Args {
    let line = |rule: &RuleEntry| Args::default().text("标题", rule.title()).text("内容", wording::rule(scene.campaign, rule));
    let boosts = scene.campaign.festivals.iter().filter_map(|festival| Some((festival, festival::in_words(scene.campaign, festival, scene.day)?)));
    let boosts = boosts.map(|(festival, words)| Args::default().text("标题", &*festival.title).text("内容", words));
    let lines = scene.campaign.rules.iter().filter(|rule| is_listed(scene, rule)).map(line).chain(boosts).collect();
    args.with("条目", Arg::List(lines)).text("上限", wording::limits(&scene.campaign.limits, &scene.campaign.points_name))
}

/// Whether 「规则」 tells of a rule: live, not over, and meant for this group.
fn is_listed(scene: &Scene<'_>, rule: &RuleEntry) -> bool {
    let over = rule.common.dates.is_some_and(|(_, last)| scene.day.date() > last);
    let here = scene.event.place == Place::Single || holds(&rule.common.only, &scene.event.place);
    rule.common.mode == Mode::Live && !over && here
}

/// The member's month of each check-in here; of one that they never did only where there is no other.
fn calendar_args(scene: &Scene<'_>, args: Args) -> Args {
    let month = |rule: &RuleEntry| Some((rule.title().to_owned(), rule.kind.month(&scene.hearing(rule), scene.own(rule))?));
    let months = scene.campaign.rules.iter().filter(|rule| is_listed(scene, rule)).filter_map(month);
    let entries = months.filter(|(_, month)| !month.is_empty()).map(|(title, month)| month.args(&title)).collect();
    args.int("月", i64::from(scene.day.date().month())).with("条目", Arg::List(entries))
}

fn is_single(scene: &Scene<'_>) -> Arg {
    Arg::Flag(scene.event.place == Place::Single)
}

/// Whether the message came through a bot, which hears nothing else of its group.
fn hears_only_mentions(scene: &Scene<'_>) -> bool {
    let is_bot = match scene.event.via.channel {
        Channel::Aibot | Channel::Robot => true,
        Channel::App | Channel::Archive | Channel::Replay | Channel::Api | Channel::House => false,
    };
    is_bot && scene.event.place != Place::Single
}

fn help_args(scene: &Scene<'_>, args: Args) -> Args {
    let words = scene.campaign.rules.iter().filter(|rule| is_on(scene, rule) && rule.kind.most() > 0).filter_map(|rule| rule.kind.listens_for().first());
    let words: Vec<String> = words.take(HELP_WORDS_MAX).map(|listen| format!("「{}」", listen.text)).collect();
    let questions = [Question::Balance, Question::Today, Question::Rank, Question::History, Question::Why, Question::Rules];
    let has_tasks = scene.campaign.rules.iter().any(|rule| rule.kind.follows() && is_on(scene, rule));
    let has_months = scene.campaign.rules.iter().any(|rule| rule.kind.month(&scene.hearing(rule), scene.own(rule)).is_some());
    let further = has_tasks.then_some(Question::Tasks).into_iter().chain(has_months.then_some(Question::Calendar));
    let questions: Vec<&str> = questions.iter().copied().chain(further).filter_map(|question| scene.rules.assistant.word(question)).collect();
    args.text("口令", words.join("或"))
        .text("可查", questions.join("、"))
        .with("单聊", is_single(scene))
        .with("只听艾特", Arg::Flag(hears_only_mentions(scene)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::world::World;

    const RULES: &str = r#"
        check_in.daily = { keywords = ["签到"], points = 2, streak = { 7 = 10 } }
        check_in.quiz = { title = "每日一题", keywords = ["小雪"], points = 5, when = "10:00-22:00" }
        speaking.evening = { when = "20:00-21:00", points = 1, max_points = { day = 20 } }
    "#;

    /// What the bot says to a text.
    fn said(world: &mut World, when: &str, text: &str) -> String {
        world.says(when, text);
        world.said().join(" / ")
    }

    #[test]
    fn a_check_in_is_announced_and_a_repeated_one_is_not() {
        let mut world = World::new(RULES);
        assert_eq!(said(&mut world, "11-22 08:02", "签到"), "阿明 签到成功 +2(再签 6 天 +10),现有 2 积分。");
        assert_eq!(said(&mut world, "11-22 08:03", "签到"), "");
        assert_eq!(said(&mut world, "11-22 08:04", "@积分助手 签到"), "今天 8:02 已签到 +2,明天 0:00 后再来。现有 2 积分。");
    }

    #[test]
    fn a_title_that_is_no_verb_still_reads_well() {
        let mut world = World::new("[check_in.daily]\ntitle = \"每日一题\"\nkeywords = [\"小雪\"]\npoints = 2\nmax_times = { day = 2 }");
        assert_eq!(said(&mut world, "11-22 08:02", "小雪"), "阿明 每日一题 +2,现有 2 积分。");
        world.says("11-22 08:03", "小雪");
        assert_eq!(said(&mut world, "11-22 08:04", "@积分助手 小雪"), "「每日一题」今天已记 2 次 +4,明天 0:00 后再来。现有 4 积分。");
    }

    #[test]
    fn the_day_of_the_bonus_is_celebrated() {
        let mut world = World::new(RULES);
        (16..=21).for_each(|day| _ = world.says(&format!("11-{day} 09:00"), "签到"));
        assert_eq!(said(&mut world, "11-22 09:00", "签到"), "阿明 签到成功 +12(含连签 7 天 +10),连续 7 天,现有 24 积分。🎉");
        assert_eq!(said(&mut world, "11-23 09:00", "签到"), "阿明 签到成功 +2,连续 8 天(再签 6 天 +10),现有 26 积分。");
    }

    #[test]
    fn a_closed_window_is_told_once_a_day_to_the_group_and_always_to_who_asks() {
        let mut world = World::new(RULES);
        assert_eq!(said(&mut world, "11-22 09:00", "小雪"), "「每日一题」10:00–22:00 开放,现在不计分。");
        let reply = &world.last.replies[0];
        assert!(!reply.asked);
        assert_eq!(reply.once.as_ref().map(|once| (&*once.name, once.per_member)), Some(("outside/check_in.quiz", false)));
        assert_eq!(said(&mut world, "11-22 09:01", "@小助手小雪"), "「每日一题」10:00–22:00 开放,现在不计分。");
        assert!(world.last.replies[0].asked && world.last.replies[0].once.is_none());
    }

    #[test]
    fn questions_are_answered_only_when_asked() {
        let mut world = World::new(RULES);
        assert_eq!(said(&mut world, "11-22 09:00", "积分"), "");
        assert_eq!(
            said(&mut world, "11-22 09:00", "@积分助手 积分"),
            "阿明:现有 0 积分。今天还能拿:签到 +2,10:00–22:00 每日一题 +5,20:00–21:00 发言最多 +20。"
        );
        world.says("11-22 10:00", "签到");
        assert_eq!(said(&mut world, "11-22 21:00", "@积分助手 今天"), "今天还能拿:10:00–22:00 每日一题 +5。");
        assert_eq!(said(&mut world, "11-22 22:00", "@积分助手 今天"), "今天没有还能拿的积分了,明天 0:00 以后再来。");
    }

    #[test]
    fn the_rules_are_told_in_plain_words() {
        let mut world = World::new(RULES);
        world.place = Place::Single;
        let told = "积分规则:\n\
            · 签到:发「签到」+2 积分,连签 7 天再 +10(之后从头再数);每天 1 次\n\
            · 每日一题:发「小雪」+5 积分;10:00–22:00;每天 1 次\n\
            · 发言:在群里说话,每条 +1 积分(至少 4 个字,两条之间隔 30 秒,复制自己的话不算);20:00–21:00;每天最多 20 积分";
        assert_eq!(said(&mut world, "11-22 09:00", "规则"), told);
        assert_eq!(said(&mut world, "11-22 09:00", "帮助"), "发「签到」或「小雪」领积分。直接发就能查:积分、今天、排行、明细、为什么、规则、签到日历。");
    }

    #[test]
    fn who_is_not_understood_is_told_once_in_ten_minutes() {
        let mut world = World::new(RULES);
        assert_eq!(said(&mut world, "11-22 09:00", "@积分助手 你是谁"), "没看懂。发「帮助」看能问什么;要找人工请 @群主。");
        let slot = |world: &World| world.last.replies[0].once.as_ref().map(|once| once.slot);
        let first = slot(&world);
        world.says("11-22 09:09", "@积分助手 你好");
        assert_eq!(slot(&world), first);
        world.says("11-22 09:10", "@积分助手 你好");
        assert_ne!(slot(&world), first);
        assert!(said(&mut world, "11-22 09:11", "@积分助手").starts_with("发「签到」"), "a bare mention is a call for help");
    }

    #[test]
    fn two_rules_that_pay_one_message_are_told_in_one_reply() {
        let mut world = World::new(
            r#"
            check_in.daily = { keywords = ["签到"], points = 2 }
            check_in.early = { title = "早起", keywords = ["签到"], points = 3, reply = ["{{name}} 起得真早,+{{points}}", "余额 {{余额}}"] }
            "#,
        );
        assert_eq!(said(&mut world, "11-22 06:00", "签到"), "阿明 签到成功 +2,现有 2 积分。 / 阿明 起得真早,+3 / 余额 5");
        assert_eq!(world.last.replies.len(), 1);
    }

    #[test]
    fn a_silent_rule_still_answers_who_asks() {
        let mut world = World::new("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nreply = \"\"");
        assert_eq!(said(&mut world, "11-22 09:00", "签到"), "");
        assert_eq!(said(&mut world, "11-23 09:00", "@积分助手 签到"), "阿明 签到成功 +2,连续 2 天,现有 4 积分。");
    }

    #[test]
    fn a_name_is_data_and_stays_one_short_line() {
        let mut world = World::new(RULES);
        world.name = "{{7*7}}\u{202e}\n阿明\u{0}".into();
        assert_eq!(said(&mut world, "11-22 08:02", "签到"), "{{7*7}} 阿明 签到成功 +2(再签 6 天 +10),现有 2 积分。");
        world.name = "长".repeat(64 * 1024);
        assert!(said(&mut world, "11-23 08:02", "签到").chars().count() < 100);
    }

    #[test]
    fn a_picture_in_a_single_chat_is_answered_too() {
        let mut world = World::new(RULES);
        world.place = Place::Single;
        let mut event = world.event("11-22 09:00", "");
        if let crate::model::event::Kind::Said(said) = &mut event.kind {
            said.images = 1;
        }
        world.hears(event);
        assert_eq!(world.last.replies[0].template.occasion, Occasion::NotUnderstood);
    }
}
