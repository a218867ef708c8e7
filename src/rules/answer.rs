//! Answering: what is said to whom, and when the bot keeps silent. Makes replies of rulings and questions; the words are `template`'s.

use std::sync::Arc;

use crate::model::decision::{Arg, Args, Payment, Question, Refusal, Ruling, Traits};
use crate::model::event::Place;
use crate::model::reply::{Occasion, Once, Reply, Template};
use crate::rules::campaign::{Balance, Campaign, Mode, RuleEntry, Rules};
use crate::rules::check_in::needs::{self, Pairing};
use crate::rules::decide::{Ruled, Scene, spoken};
use crate::rules::questions::{is_choice, is_single, lifetime, question_reply};
use crate::rules::switch::stopped;
use crate::rules::template::rule_key;
use crate::rules::text::{display_name, fold};
use crate::rules::{Facts, Prepared, boost, level, wording};

/// «Not understood» is said to a member once in so many seconds.
const NOT_UNDERSTOOD_SECS: i64 = 600;

/// The argument that carries the key of a rule's own text; no variable can be called so.
const OWN_TEXT: &str = "@rule";

/// The argument that carries which board is asked for; no variable can be called so.
pub const BOARD: &str = "@board";

/// The argument that says why there is no board here.
pub const NOTE: &str = "说明";

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

pub(super) fn assistant_text(occasion: Occasion) -> Template {
    Template { occasion, rule: None }
}

pub(super) fn asked(occasion: Occasion, args: Args) -> Reply {
    Reply { template: assistant_text(occasion), args, asked: true, once: None }
}

/// Why a stopped rule does not pay.
const STOPPED: &str = "现在停用";

/// The one answer that is owed when nothing was paid: the refusal that helps most, the question's answer, or a hint.
pub(super) fn answer(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Reply {
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
    let text = scene.event.said().map(|said| fold(spoken(said, &scene.rules.assistant.names, scene.event.place != Place::Single).0));
    if let Some(rule) = text.and_then(|text| stopped(scene.campaign, &text)) {
        return asked(Occasion::Refused, base(scene).text("标题", rule.title()).text("原因", STOPPED));
    }
    let slot = scene.event.at.0.div_euclid(NOT_UNDERSTOOD_SECS * 1000);
    let once = Once { name: "not_understood".into(), per_member: true, slot };
    let help = scene.rules.assistant.word(Question::Help).unwrap_or("帮助");
    Reply { once: Some(once), ..asked(Occasion::NotUnderstood, base(scene).text("帮助", help).with("单聊", is_single(scene))) }
}

/// Which refusal is told first.
pub(super) fn rank(refusal: &Refusal) -> u8 {
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

pub(super) fn payment<'a>(ruled: &'a Ruled<'_>) -> Option<&'a Payment> {
    match &ruled.ruling {
        Ruling::Paid(payment) => Some(payment),
        Ruling::Shadow(_) | Ruling::Refused(_) | Ruling::Moved(_) => None,
    }
}

pub(super) fn refusal<'a>(ruled: &'a Ruled<'_>) -> Option<&'a Refusal> {
    match &ruled.ruling {
        Ruling::Refused(refusal) => Some(refusal),
        Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Moved(_) => None,
    }
}

/// `reply = ""`: silence, where nobody asked.
pub(super) fn is_silent(rule: &RuleEntry) -> bool {
    rule.common.reply.as_ref().is_some_and(|texts| texts.iter().all(String::is_empty))
}

/// What every reply may speak of.
pub(super) fn base(scene: &Scene<'_>) -> Args {
    Args::default()
        .text("昵称", display_name(scene.facts.name))
        .int("余额", balance(scene))
        .text("积分名", &*scene.campaign.points_name)
        .text("活动", title(scene.campaign))
}

pub(super) fn title(campaign: &Campaign) -> &str {
    campaign.title.as_deref().unwrap_or(&campaign.id)
}

/// What may be spent before this message; in a single chat, where each group has its own balance, all of them together.
pub(super) fn balance(scene: &Scene<'_>) -> i64 {
    if scene.event.place == Place::Single && scene.campaign.balance == Balance::PerGroup {
        let own = scene.facts.others.iter().filter(|(index, _)| is_this(scene, *index));
        return own.map(|(_, account)| account.state.spendable(scene.day)).sum();
    }
    spendable(scene)
}

pub(super) fn spendable(scene: &Scene<'_>) -> i64 {
    scene.facts.account.map_or(0, |account| account.state.spendable(scene.day))
}

pub(super) fn is_this(scene: &Scene<'_>, index: usize) -> bool {
    scene.rules.campaigns.get(index).is_some_and(|campaign| std::ptr::eq(campaign, scene.campaign))
}

pub(super) fn paid_args(scene: &Scene<'_>, ruled: &Ruled<'_>, payment: &Payment) -> Args {
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
    args = level::risen(scene.campaign, scene.facts.account, (lifetime(scene) + ruled.booked - payment.points, lifetime(scene) + ruled.booked), args);
    args.0.extend(ruled.args.0.iter().cloned());
    match &ruled.rule.common.reply {
        Some(_) if !is_silent(ruled.rule) => args.text(OWN_TEXT, &*rule_key(scene.campaign, ruled.rule)),
        Some(_) | None => args,
    }
}

/// One reply for all that paid: the first payment's, with the others as a list that is said after it.
pub(super) fn paid_reply(mut told: Vec<Args>, asked: bool) -> Option<Reply> {
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

pub(super) fn refusal_reply(scene: &Scene<'_>, rule: &RuleEntry, refusal: &Refusal) -> Reply {
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
pub(super) fn cap_title<'a>(scene: &Scene<'_>, rule: &'a RuleEntry, of: &str) -> &'a str {
    match of {
        rule_code if rule_code == &*rule.code => rule.title(),
        bucket if scene.campaign.buckets.iter().any(|it| *it.key(scene.facts.group) == *bucket) => "同类",
        _ => "全部",
    }
}

/// A higher level is told even where the points that brought it are not.
pub(super) fn risen_notice(scene: &Scene<'_>, booked: i64) -> Option<Reply> {
    let risen = level::risen(scene.campaign, scene.facts.account, (lifetime(scene), lifetime(scene) + booked), Args::default());
    let args = Args([base(scene).0, risen.0.clone()].concat());
    (!risen.0.is_empty()).then(|| Reply { asked: false, ..asked(Occasion::Risen, args) })
}

/// Unasked, and yet said once per group and day: the word is right, the hour is not.
pub(super) fn closed_notice(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Option<Reply> {
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
pub(super) fn missing_notice(scene: &Scene<'_>, rulings: &[Ruled<'_>]) -> Option<Reply> {
    let is_missing = |ruled: &&Ruled<'_>| matches!(ruled.ruling, Ruling::Refused(Refusal::ProofMissing { .. }));
    let is_loud = |rule: &RuleEntry| rule.kind.announces() && rule.common.mode == Mode::Live && !is_silent(rule);
    let ruled = rulings.iter().filter(is_missing).find(|ruled| is_loud(ruled.rule))?;
    let once = Once { name: format!("missing/{}", ruled.rule.code).into(), per_member: true, slot: i64::from(scene.day.0) };
    Some(Reply { asked: false, once: Some(once), ..refusal_reply(scene, ruled.rule, refusal(ruled)?) })
}

/// What became of something that costs points: who spends is always answered, who cannot is told why, but not again and again.
pub(super) fn bought_reply(scene: &Scene<'_>, ruled: &Ruled<'_>) -> Option<Reply> {
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
