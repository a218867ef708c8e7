//! `[grant]`: points that an operator gives or takes, up to where a second operator must look at it (four eyes). No rule of rules.toml
//! looks at them and no cap of a rule holds them; they stand as booked, whatever is decided again around them.

use std::sync::{Arc, LazyLock};

use schemars::JsonSchema;

use crate::model::act::{Act, GrantPart};
use crate::model::cells::AccountCell;
use crate::model::claim::Claim;
use crate::model::day::{Day, Period, PeriodKind};
use crate::model::decision::{Args, Chart, Decision, Deed, Entry, Outcome, Parking, Part, Payment, Record, Refusal, Ruling, Side, Verdict};
use crate::model::event::{Event, Kind};
use crate::model::lots::LotPart;
use crate::model::points::Points;
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::cap::Periods;
use crate::rules::shared_keys::{self, LimitTable};
use crate::rules::table::{RuleTable, integer};
use crate::rules::text::display_name;
use crate::rules::validity::{self, Bucket};
use crate::rules::{Facts, share};

/// Ledger code of points given or taken by an operator.
pub static CODE: LazyLock<Arc<str>> = LazyLock::new(|| "grant".into());

/// Days that a grant waits for a second operator.
pub const WAITS_DAYS: i64 = 7;

/// Characters of a reason: what fits a line of a phone twice.
pub const REASON_CHARS_MAX: usize = 100;

/// 管理员手工加分、扣分:`jifen grant`,或在群里对助手说「给 小红 加 10 分 帮忙答疑」(管理员写在 jifen.toml 的 `[operators]`)。
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GrantTable {
    /// 一位管理员一个人最多加减多少分,加和扣都算,每个活动各算各的;再多就要另一位管理员批准。不写不限。
    #[schemars(extend("examples" = [{"day": 500}]))]
    #[schemars(extend("x-en" = "How much one operator may give and take alone, in each campaign; beyond it a second operator must approve."))]
    pub max_points: Option<LimitTable>,
    /// 一笔超过多少分,就要另一位管理员批准。不写不限。给自己加分总要别人批准。
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64), extend("examples" = [200]))]
    #[schemars(extend("x-en" = "A single grant above this needs a second operator. Giving oneself points always does."))]
    pub four_eyes_above: Option<i64>,
    /// 怎么告诉成员:private 私信,group 在群里说,off 不说(「明细」里总能看到)。默认 private。
    #[schemars(extend("x-en" = "How the member is told: `private` (default), `group`, or `off`."))]
    pub notice: Option<NoticeName>,
}

/// private、group 或 off。
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum NoticeName {
    /// 私信。
    Private,
    /// 在群里说。
    Group,
    /// 不说。
    Off,
}

/// `[grant]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// `max_points`: what one operator may move alone.
    pub max_points: Vec<(PeriodKind, i64)>,
    /// `four_eyes_above`
    pub four_eyes_above: Option<i64>,
    /// `notice`
    pub notice: Notice,
}

/// `notice`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notice {
    /// A private message.
    #[default]
    Private,
    /// In the group it was given in, or for.
    Group,
    /// Nothing is said.
    Off,
}

/// Reads the table.
pub fn read(table: &RuleTable<'_>) -> Grant {
    Grant {
        max_points: shared_keys::limits(table).max_points,
        four_eyes_above: table.get("four_eyes_above").and_then(integer),
        notice: match table.text("notice") {
            Some("group") => Notice::Group,
            Some("off") => Notice::Off,
            _ => Notice::Private,
        },
    }
}

/// What is counted of an operator's grants of a day: by name and number. `actor` is the keyed hash of who gives.
pub fn wants(rules: &Rules, act: &Act, day: Day, actor: u64) -> Vec<(Arc<str>, i64)> {
    match act {
        Act::Granted { .. } => counted(&rules.grant, day, actor).map(|(name, number, _)| (name, number)).collect(),
        Act::Joined
        | Act::JoinedBy { .. }
        | Act::Left
        | Act::Happened { .. }
        | Act::OrderPaid { .. }
        | Act::Due { .. }
        | Act::Counted { .. }
        | Act::Listed { .. }
        | Act::RulesChanged { .. }
        | Act::Reinstated { .. } => Vec::new(),
        Act::Opened { .. } | Act::Reviewed { .. } | Act::TakenBack { .. } => Vec::new(),
    }
}

/// The day is always counted, so that the journal knows for ever who gave how much.
fn counted(grant: &Grant, day: Day, actor: u64) -> impl Iterator<Item = (Arc<str>, i64, i64)> {
    let is_day = |(kind, _): &(PeriodKind, i64)| *kind == PeriodKind::Day;
    let unlimited = (!grant.max_points.iter().any(is_day)).then_some((PeriodKind::Day, i64::MAX));
    grant.max_points.iter().copied().chain(unlimited).map(move |(kind, most)| {
        let (word, number) = match (Periods { day, window: None }).of(kind) {
            Period::Day(day) => ("day", i64::from(day)),
            Period::Week(week) => ("week", i64::from(week)),
            Period::Month(month) => ("month", i64::from(month)),
            Period::Window(minute) => ("window", minute),
            Period::Ever => ("ever", 0),
        };
        (Arc::from(format!("grant/{word}/{actor:016x}")), number, most)
    })
}

/// What an operator may still move alone on a day; `taken` tells what is counted under a name and number.
pub fn room(grant: &Grant, day: Day, actor: u64, taken: impl Fn(&str, i64) -> i64) -> i64 {
    counted(grant, day, actor).map(|(name, number, most)| most.saturating_sub(taken(&name, number))).min().unwrap_or(i64::MAX)
}

/// The decision on a grant, its review or its reversal; `None` for every other act.
pub fn decide(rules: &Rules, campaign: &Campaign, event: &Event, facts: &Facts<'_>) -> Option<Decision> {
    let Kind::Did(act) = &event.kind else { return None };
    let day = campaign.calendar.day(event.at);
    let mut decision = match act {
        Act::Granted { points, by, reason, waits, .. } => Some(granted(rules, campaign, event, facts, day, (*points, by, reason, *waits))),
        Act::Reviewed { allowed, by, asked_by, points, reason, .. } => Some(match *allowed && !same(by, asked_by) {
            true => booked(rules, campaign, facts, day, (*points, reason), Vec::new()),
            false => refused(Refusal::Declined),
        }),
        Act::TakenBack { parts, reason, .. } => Some(taken_back(rules, campaign, facts, day, parts, reason)),
        Act::Joined
        | Act::JoinedBy { .. }
        | Act::Left
        | Act::Happened { .. }
        | Act::OrderPaid { .. }
        | Act::Due { .. }
        | Act::Counted { .. }
        | Act::Opened { .. }
        | Act::Listed { .. }
        | Act::RulesChanged { .. }
        | Act::Reinstated { .. } => None,
    }?;
    if decision.record.verdicts.iter().any(|verdict| verdict.ruling.booked() > 0) {
        decision.record.marks.extend(campaign.validity.earned(facts.account, event.at));
    }
    Some(decision)
}

/// Whether two ids are one operator's: userids have no case.
pub fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn granted(rules: &Rules, campaign: &Campaign, event: &Event, facts: &Facts<'_>, day: Day, asked: (i64, &Arc<str>, &Arc<str>, bool)) -> Decision {
    let (points, by, reason, waits) = asked;
    let size = points.checked_abs().unwrap_or(i64::MAX);
    let is_own = event.who.as_ref().is_some_and(|who| same(&who.value, by));
    let is_much = rules.grant.four_eyes_above.is_some_and(|most| size > most);
    let claims = claims(&rules.grant, facts, day, size);
    let (Some(claims), false) = (claims, waits || is_much || (is_own && points > 0)) else {
        return Decision { record: Record { outcome: Outcome::Parked(Parking::Approval), ..Record::default() }, ..Decision::default() };
    };
    booked(rules, campaign, facts, day, (points, reason), claims)
}

/// What the operator has left of each limit, taken whole; `None` when one leaves less.
fn claims(grant: &Grant, facts: &Facts<'_>, day: Day, size: i64) -> Option<Vec<Claim>> {
    let mut claims = Vec::new();
    for (name, number, most) in counted(grant, day, facts.actor) {
        let claim = share::claim(facts.shared, &claims, name, number, size, most).filter(|claim| claim.taken == size)?;
        claims.push(claim);
    }
    Some(claims)
}

/// Books so many points, or says why that cannot be.
fn booked(rules: &Rules, campaign: &Campaign, facts: &Facts<'_>, day: Day, (points, reason): (i64, &Arc<str>), claims: Vec<Claim>) -> Decision {
    let entries = match points {
        0 => Err(Refusal::TooMany),
        given if given > 0 => fits(facts.account, given).map(|()| vec![entry(given, day, campaign.validity.bucket(None, None, day), None)]),
        taken => spend(facts.account, taken.saturating_neg(), day).and_then(|parts| {
            fits(facts.account, taken)?;
            let bucket = |part: &LotPart| Bucket { vests_on: part.vests_on, expires_on: part.expires_on };
            Ok(parts.iter().map(|part| entry(-part.amount, day, bucket(part), None)).collect())
        }),
    };
    match entries {
        Ok(entries) => decision(rules, campaign, facts, (points, reason), entries, claims),
        Err(refusal) => refused(refusal),
    }
}

/// Gives each part back to where it came from; of what was given only what is still there.
fn taken_back(rules: &Rules, campaign: &Campaign, facts: &Facts<'_>, day: Day, parts: &[GrantPart], reason: &Arc<str>) -> Decision {
    let wanted: i64 = parts.iter().fold(0, |sum, part| sum.saturating_add(part.points.max(0)));
    let mut left = facts.account.map_or(0, |account| account.available).max(0);
    let mut entries = Vec::new();
    for part in parts {
        let points = match part.points {
            given if given > 0 => -given.min(left),
            taken => taken.saturating_neg(),
        };
        left = left.saturating_add(points);
        if points != 0 {
            entries.push(entry(points, day, Bucket { vests_on: part.vests_on, expires_on: part.expires_on }, Some(part)));
        }
    }
    let change = left.saturating_sub(facts.account.map_or(0, |account| account.available).max(0));
    if entries.is_empty() || fits(facts.account, change).is_err() {
        return refused(Refusal::Short { have: left, need: wanted });
    }
    decision(rules, campaign, facts, (change, reason), entries, Vec::new())
}

fn decision(rules: &Rules, campaign: &Campaign, facts: &Facts<'_>, (points, reason): (i64, &Arc<str>), entries: Vec<Entry>, claims: Vec<Claim>) -> Decision {
    let payment = Payment { points, offered: points, base: points, ..Payment::default() };
    let verdicts = vec![Verdict { rule: CODE.clone(), ruling: Ruling::Paid(payment) }];
    let replies = notice(rules, campaign, facts, points, reason).into_iter().collect();
    Decision { record: Record { deed: Some(Deed::Willed), verdicts, claims, ..Record::default() }, entries, replies }
}

/// What the member is told.
fn notice(rules: &Rules, campaign: &Campaign, facts: &Facts<'_>, points: i64, reason: &Arc<str>) -> Option<Reply> {
    if rules.grant.notice == Notice::Off {
        return None;
    }
    let balance = facts.account.map_or(0, |account| account.available).saturating_add(points);
    let args = Args::default()
        .text("昵称", display_name(facts.name))
        .int("余额", balance)
        .text("积分名", &*campaign.points_name)
        .text("活动", campaign.title.as_deref().unwrap_or(&campaign.id))
        .int("得分", points.max(0))
        .int("扣分", points.min(0).saturating_neg())
        .text("原因", &**reason);
    Some(Reply { template: Template { occasion: Occasion::Granted, rule: None }, args, asked: true, once: None })
}

fn refused(refusal: Refusal) -> Decision {
    let verdicts = vec![Verdict { rule: CODE.clone(), ruling: Ruling::Refused(refusal) }];
    Decision { record: Record { verdicts, ..Record::default() }, ..Decision::default() }
}

fn fits(account: Option<&AccountCell>, points: i64) -> Result<(), Refusal> {
    let (available, lifetime) = account.map_or((0, 0), |account| (account.available, account.lifetime));
    let fits = |before: i64| Points(before).checked_add(Points(points)).is_some();
    if fits(available) && fits(lifetime) { Ok(()) } else { Err(Refusal::TooMany) }
}

/// Takes points from the lots that may be spent on a day, nearest expiry first.
fn spend(account: Option<&AccountCell>, amount: i64, day: Day) -> Result<Vec<LotPart>, Refusal> {
    let have = account.map_or(0, |account| account.state.spendable(day).min(account.available)).max(0);
    let parts = account.filter(|_| have >= amount).and_then(|account| account.state.spend(amount, day));
    parts.ok_or(Refusal::Short { have, need: amount })
}

/// Moves points between the campaign and the member: to the member above zero, back below.
fn entry(points: i64, day: Day, bucket: Bucket, reverses: Option<&GrantPart>) -> Entry {
    let (system, own) = (Side::System(Chart::Adjusted), Side::Own(Part::Available));
    let sides = if points > 0 { (system, own) } else { (own, system) };
    Entry { reverses: reverses.map(|part| part.posting), ..validity::entry(&CODE, sides, points.saturating_abs(), day, bucket) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cells::Lot;
    use crate::rules::file::load;

    fn account(lots: &[(Option<i32>, i64)]) -> AccountCell {
        let lots: Vec<Lot> = lots.iter().map(|(expires, amount)| Lot { expires_on: expires.map(Day), vests_on: None, amount: *amount }).collect();
        let available = lots.iter().map(|lot| lot.amount).sum();
        AccountCell { available, lifetime: available, state: crate::model::cells::AccountState { lots, ..Default::default() }, ..AccountCell::default() }
    }

    #[test]
    fn points_are_taken_from_what_expires_first() {
        let account = account(&[(None, 5), (Some(120), 4), (Some(110), 3), (Some(90), 9)]);
        let parts = spend(Some(&account), 9, Day(100)).expect("enough");
        assert_eq!(parts.iter().map(|part| (part.expires_on, part.amount)).collect::<Vec<_>>(), [(Some(Day(110)), 3), (Some(Day(120)), 4), (None, 2)]);
        assert_eq!(spend(Some(&account), 13, Day(100)), Err(Refusal::Short { have: 12, need: 13 }), "what has expired is gone");
    }

    #[test]
    fn the_table_is_read_and_may_be_left_out() {
        let (rules, _) = load("[grant]\nmax_points = { day = 500 }\nfour_eyes_above = 200\nnotice = \"group\"\n").expect("good");
        assert_eq!(rules.grant, Grant { max_points: vec![(PeriodKind::Day, 500)], four_eyes_above: Some(200), notice: Notice::Group });
        assert_eq!(load("").expect("empty").0.grant, Grant::default());
    }

    #[test]
    fn a_grant_that_is_partly_spent_is_taken_back_as_far_as_it_goes() {
        let (rules, _) = load("").expect("empty");
        let account = account(&[(None, 4)]);
        let part = GrantPart { posting: crate::model::ids::PostingSeq(7), points: 10, vests_on: None, expires_on: None };
        let facts = Facts { account: Some(&account), ..Facts::default() };
        let decision = taken_back(&rules, &rules.campaigns[0], &facts, Day(1), &[part], &"发错了".into());
        assert_eq!(decision.entries.iter().map(|entry| (entry.amount, entry.reverses)).collect::<Vec<_>>(), [(4, Some(part.posting))]);
    }
}
