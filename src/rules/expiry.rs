//! Points that are gone: booked out by the clock, once a day for each account that has some; told beforehand; put back by an operator.
//!
//! What is gone may not be spent even before that is booked. Debts (claw-back of points that were spent) are paid by what goes first, also
//! on the very day it goes; claw-back of points that had expired already is owed by nobody.

use std::sync::{Arc, LazyLock};

use crate::model::act::Act;
use crate::model::cells::{AccountCell, AccountState, Lot};
use crate::model::day::{Calendar, Day, Millis, Period};
use crate::model::decision::{Arg, Args, Chart, Decision, Deed, Entry, Mark, Part, Record, Ruling, Side, Verdict};
use crate::model::ids::PostingSeq;
use crate::model::lots::LotPart;
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::campaign::Campaign;
use crate::rules::decide::Scene;
use crate::rules::text::display_name;
use crate::rules::validity::{Bucket, EARNED, Life, Validity, entry};
use crate::rules::wording;

/// Ledger code of points that are gone, and the name of the job that books them out.
pub static EXPIRY: LazyLock<Arc<str>> = LazyLock::new(|| "expiry".into());

/// Ledger code of debts paid from other lots: it leaves as much as it brings.
pub static SETTLEMENT: LazyLock<Arc<str>> = LazyLock::new(|| "settlement".into());

/// Ledger code of points put back.
pub static REINSTATEMENT: LazyLock<Arc<str>> = LazyLock::new(|| "reinstatement".into());

/// What operators and members read for a code of this file.
pub fn title(code: &str) -> Option<&'static str> {
    match code {
        "expiry" => Some("过期"),
        "settlement" => Some("抵扣欠分"),
        "reinstatement" => Some("恢复过期积分"),
        "grant" => Some("人工调整"),
        "opening" => Some("期初积分"),
        _ => None,
    }
}

/// Seconds after which a notice is not worth saying any more.
pub(super) const NOTICE_FRESH_SECS: i64 = 12 * 3_600;

/// Points of one lot, moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// They are gone.
    Gone(LotPart),
    /// They leave the lot to pay a debt.
    Pays(LotPart),
    /// A debt of the lot is paid.
    Paid(LotPart),
    /// A debt of the lot is owed no longer: it was of points that had expired already.
    Forgiven(LotPart),
}

/// All that is to be booked for an account on a day; empty when nothing is.
pub fn due(validity: &Validity, account: &AccountCell, calendar: &Calendar, day: Day) -> Vec<Move> {
    let idle = inactive_from(validity, account, calendar).is_some_and(|from| from <= day);
    settle(&account.state, day, idle)
}

/// The first day on which everything is gone if nothing is earned before.
fn inactive_from(validity: &Validity, account: &AccountCell, calendar: &Calendar) -> Option<Day> {
    let earned: Millis = account.state.code(&EARNED).and_then(|code| code.since).unwrap_or(account.frontier);
    let idle = Life::Days(validity.inactive_days?);
    validity.bucket(None, Some(idle), calendar.day(earned)).expires_on
}

/// Debts are forgiven, else paid by what goes first; then goes what must. `idle`: all of it.
fn settle(state: &AccountState, day: Day, idle: bool) -> Vec<Move> {
    let goes = |lot: &Lot| idle || lot.is_gone(day);
    // Most accounts on most days.
    if !state.lots.iter().any(|lot| lot.amount < 0 || goes(lot)) {
        return Vec::new();
    }
    let (mut lots, mut moves) = (state.joined(day), Vec::new());
    forgive(state, &mut lots, &mut moves);
    lots.sort_by_key(Lot::spending_order);
    pay(&mut lots, &mut moves, |_| true, goes);
    for lot in lots.iter_mut().filter(|lot| lot.amount > 0 && goes(lot)) {
        moves.push(Move::Gone(lot.part(lot.amount)));
        lot.amount = 0;
    }
    pay(&mut lots, &mut moves, |debt| debt.is_gone(day), |lot| lot.is_live(day));
    moves
}

fn forgive(state: &AccountState, lots: &mut [Lot], moves: &mut Vec<Move>) {
    let expired = |day: Day| state.code(&EXPIRY).and_then(|code| code.sum(Period::Day(day.0))).map_or(0, |sum| sum.points);
    let mut left: Option<(Day, i64)> = None;
    for lot in lots.iter_mut().filter(|lot| lot.amount < 0) {
        let Some(day) = lot.expires_on else { continue };
        // Lots of one expiry stand together.
        let room = left.filter(|(of, _)| *of == day).map_or_else(|| expired(day), |(_, room)| room);
        let forgiven = room.min(-lot.amount).max(0);
        left = Some((day, room - forgiven));
        if forgiven > 0 {
            moves.push(Move::Forgiven(lot.part(forgiven)));
            lot.amount += forgiven;
        }
    }
}

/// Pays debts that `is_due` from lots that `may_pay`, in their order.
fn pay(lots: &mut [Lot], moves: &mut Vec<Move>, is_due: impl Fn(&Lot) -> bool, may_pay: impl Fn(&Lot) -> bool) {
    for debt in 0..lots.len() {
        for payer in 0..lots.len() {
            let amount = lots[payer].amount.min(-lots[debt].amount);
            if amount > 0 && is_due(&lots[debt]) && may_pay(&lots[payer]) {
                moves.push(Move::Pays(lots[payer].part(amount)));
                moves.push(Move::Paid(lots[debt].part(amount)));
                lots[payer].amount -= amount;
                lots[debt].amount += amount;
            }
        }
    }
}

/// The decision on the day's event of an account.
pub fn decide(scene: &Scene<'_>, day: Day) -> Decision {
    let moves = scene.facts.account.map(|account| due(&scene.campaign.validity, account, &scene.campaign.calendar, day)).unwrap_or_default();
    if moves.is_empty() {
        return Decision { record: Record { deed: scene.deed.cloned(), ..Record::default() }, ..Decision::default() };
    }
    let net: i64 = moves.iter().map(Move::signed).sum();
    let entries = moves.iter().map(|step| step.entry(scene.day)).collect();
    let verdicts = vec![Verdict { rule: EXPIRY.clone(), ruling: Ruling::Moved(net) }];
    let marks = moves.iter().filter_map(Move::mark).collect();
    Decision { record: Record { deed: Some(Deed::Willed), verdicts, marks, ..Record::default() }, entries, replies: Vec::new() }
}

impl Move {
    /// The part it moves.
    pub fn part(&self) -> LotPart {
        match self {
            Move::Gone(part) | Move::Pays(part) | Move::Paid(part) | Move::Forgiven(part) => *part,
        }
    }

    /// By how much it changes the balance.
    pub fn signed(&self) -> i64 {
        match self {
            Move::Gone(part) | Move::Pays(part) => -part.amount,
            Move::Paid(part) | Move::Forgiven(part) => part.amount,
        }
    }

    fn entry(&self, day: Day) -> Entry {
        let (own, expired) = (Side::Own(Part::Available), Side::System(Chart::Expired));
        let sides = if self.signed() < 0 { (own, expired) } else { (expired, own) };
        let code = match self {
            Move::Gone(_) | Move::Forgiven(_) => &*EXPIRY,
            Move::Pays(_) | Move::Paid(_) => &*SETTLEMENT,
        };
        let LotPart { vests_on, expires_on, amount } = self.part();
        entry(code, sides, amount, day, Bucket { vests_on, expires_on })
    }

    /// What expired of a day's lots is remembered: it may be taken back later.
    fn mark(&self) -> Option<Mark> {
        let points = match self {
            Move::Gone(part) => part.amount,
            Move::Forgiven(part) => -part.amount,
            Move::Pays(_) | Move::Paid(_) => return None,
        };
        expired(self.part().expires_on, points)
    }
}

fn expired(expires_on: Option<Day>, points: i64) -> Option<Mark> {
    expires_on.map(|day| Mark::Count { key: EXPIRY.clone(), period: Period::Day(day.0), times: 1, points })
}

/// What goes within so many days from a day if it is not spent and nothing is earned before; by the first day on which it is gone.
pub fn going(campaign: &Campaign, account: &AccountCell, day: Day, within_days: i32) -> Vec<(Day, i64)> {
    let (state, soon) = (&account.state, day.plus(1)..=day.plus(within_days));
    let mut going = state.expiring(*soon.start(), *soon.end());
    if let Some(idle) = inactive_from(&campaign.validity, account, &campaign.calendar).filter(|idle| soon.contains(idle)) {
        going.retain(|(gone, _)| *gone < idle);
        let is_rest = |lot: &&Lot| lot.amount > 0 && !lot.is_gone(day) && lot.expires_on.is_none_or(|gone| gone >= idle);
        let rest: i64 = state.lots.iter().filter(is_rest).map(|lot| lot.amount).sum();
        going.extend((rest > 0).then_some((idle, rest)));
    }
    going
}

/// What a notice on a day tells: what goes within the longest step, when some of it goes in exactly so many days as a step says.
pub fn notice(campaign: &Campaign, account: &AccountCell, day: Day) -> Vec<(Day, i64)> {
    let steps = &campaign.validity.notice_days;
    let going = steps.first().map(|longest| going(campaign, account, day, *longest)).unwrap_or_default();
    let is_step = |gone: Day| steps.iter().any(|days| day.plus(*days) == gone);
    if going.iter().any(|(gone, _)| is_step(*gone)) { going } else { Vec::new() }
}

/// The decision on a notice: something is said, nothing is booked.
pub fn notify(scene: &Scene<'_>, day: Day) -> Decision {
    let silence = Decision { record: Record { deed: scene.deed.cloned(), ..Record::default() }, ..Decision::default() };
    let Some(account) = scene.facts.account else { return silence };
    let going = notice(scene.campaign, account, day);
    if going.is_empty() || scene.event.received_at > scene.event.at.plus_secs(NOTICE_FRESH_SECS) {
        return silence;
    }
    let item = |(gone, points): &(Day, i64)| Args::default().text("日期", wording::last_day(*gone, day)).int("得分", *points);
    let args = Args::default()
        .text("昵称", display_name(scene.facts.name))
        .int("余额", account.state.spendable(day))
        .text("积分名", &*scene.campaign.points_name)
        .text("活动", scene.campaign.title.as_deref().unwrap_or(&scene.campaign.id))
        .with("到期", Arg::List(going.iter().map(item).collect()))
        .with("不活跃", Arg::Flag(scene.campaign.validity.inactive_days.is_some()));
    let template = Template { occasion: Occasion::Expiring, rule: None };
    Decision { replies: vec![Reply { template, args, asked: false, once: None }], ..silence }
}

/// The decision on an operator's putting back expired points; `None` for every other act.
pub fn reinstate(act: &Act, validity: &Validity, account: Option<&AccountCell>, (day, at): (Day, Millis)) -> Option<Decision> {
    let Act::Reinstated { parts, by: _, reason: _ } = act else { return None };
    let (own, gone) = (Side::Own(Part::Available), Side::System(Chart::Expired));
    let back = |part: &crate::model::act::Expired| {
        let bucket = validity.returned(&LotPart { vests_on: None, expires_on: part.expires_on, amount: part.amount }, day);
        Entry { reverses: Some(PostingSeq(part.posting)), ..entry(&REINSTATEMENT, (gone, own), part.amount, day, bucket) }
    };
    let entries: Vec<Entry> = parts.iter().filter(|part| part.amount > 0).map(back).collect();
    let points: i64 = entries.iter().map(|entry| entry.amount).sum();
    let verdicts = vec![Verdict { rule: REINSTATEMENT.clone(), ruling: Ruling::Moved(points) }];
    let marks = parts.iter().filter_map(|part| expired(part.expires_on, -part.amount)).chain(validity.earned(account, at)).collect();
    Some(Decision { record: Record { deed: Some(Deed::Willed), verdicts, marks, ..Record::default() }, entries, replies: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(lots: &[(Option<i32>, i64)], expired: &[(i32, i64)]) -> AccountCell {
        let mut account = AccountCell::default();
        let lots = lots.iter().map(|(gone, amount)| Lot { expires_on: gone.map(Day), vests_on: None, amount: *amount });
        account.state.lots = lots.collect();
        account.state.lots.sort();
        account.available = account.state.lots.iter().map(|lot| lot.amount).sum();
        let marks = expired.iter().filter_map(|(day, points)| super::expired(Some(Day(*day)), *points)).collect();
        let occurrence = crate::model::cells::Occurrence { seq: crate::model::ids::EventSeq(1), at: Millis(0), day: Day(0) };
        account.apply(occurrence, &Record { marks, ..Record::default() }, &[]);
        account
    }

    /// What is moved on day 10: `-5@7` is gone or pays, `+5@7` is paid or forgiven.
    fn moved(account: &AccountCell, idle: bool) -> Vec<String> {
        let told = |step: &Move| {
            let gone = step.part().expires_on.map_or("never".to_owned(), |day| day.0.to_string());
            let what = match step {
                Move::Gone(_) => "gone",
                Move::Pays(_) => "pays",
                Move::Paid(_) => "paid",
                Move::Forgiven(_) => "forgiven",
            };
            format!("{what} {}@{gone}", step.part().amount)
        };
        settle(&account.state, Day(10), idle).iter().map(told).collect()
    }

    #[test]
    fn what_is_gone_goes_and_the_rest_stays() {
        assert_eq!(moved(&account(&[(Some(10), 5), (Some(11), 3), (None, 2)], &[]), false), ["gone 5@10"]);
        assert_eq!(moved(&account(&[(Some(10), 5), (Some(11), 3), (None, 2)], &[]), true), ["gone 5@10", "gone 3@11", "gone 2@never"]);
        assert!(moved(&account(&[(Some(11), 3), (None, 2)], &[]), false).is_empty());
    }

    #[test]
    fn claw_back_of_what_had_expired_is_owed_by_nobody() {
        assert_eq!(moved(&account(&[(Some(7), -5), (None, 2)], &[(7, 5)]), false), ["forgiven 5@7"]);
        assert_eq!(moved(&account(&[(Some(7), -5), (None, 2)], &[(7, 3)]), false), ["forgiven 3@7", "pays 2@never", "paid 2@7"]);
        assert!(moved(&account(&[(Some(7), -5)], &[]), false).is_empty(), "a debt stays until there is something to pay it with");
    }

    #[test]
    fn a_debt_is_paid_by_what_goes_before_it_goes() {
        assert_eq!(moved(&account(&[(Some(10), 5), (Some(30), -3)], &[]), false), ["pays 3@10", "paid 3@30", "gone 2@10"]);
        assert!(moved(&account(&[(Some(20), 5), (Some(30), -3)], &[]), false).is_empty(), "nothing is due before something goes");
    }
}
