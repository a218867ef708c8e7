//! What 「签到日历」 tells beside the account's own days: check-ins that came late and were credited, and such as were refused. Read from the
//! journal when the answer is sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::cells::{AccountCell, MADE_UP};
use crate::model::day::Day;
use crate::model::decision::{Args, Outcome, Ruling};
use crate::model::ids::EventSeq;
use crate::model::journal::EventRow;
use crate::outbox::gather::{Question, SCAN_CHUNK, SCAN_EVENTS};
use crate::rules::check_in::calendar::ranges;
use crate::store::StoreError;

/// Steps along an account's own chain of events: a month of somebody who talks much.
const CHAIN_STEPS: usize = 500;

/// The days of the running month that came late, and those whose check-in was refused.
pub fn calendar(question: &Question<'_>) -> Result<Args, StoreError> {
    let (Some(campaign), Some(asker)) = (question.campaign(), question.asker()?) else { return Ok(Args::default()) };
    let today = campaign.calendar.day(question.now);
    let first = Day::of(today.date().first_of_month());
    let mut events: BTreeMap<EventSeq, EventRow> = BTreeMap::new();
    let asking = question.reader.event(question.row.event)?;
    let end = question.row.event.0;
    let mut from = (end - SCAN_EVENTS).max(1);
    while from < end {
        let count = SCAN_CHUNK.min(end - from);
        let own = |event: &EventRow| event.identity == Some(asker.person.identity) && asking.as_ref().is_some_and(|asking| asking.campaign == event.campaign);
        events.extend(question.reader.events(EventSeq(from), count as usize)?.into_iter().filter(own).map(|event| (event.seq, event)));
        from += count;
    }
    let mut next = asker.account.as_ref().map(|account| account.last_event);
    for _ in 0..CHAIN_STEPS {
        let Some(seq) = next.filter(|seq| seq.0 > 0) else { break };
        let Some(event) = question.reader.event(seq)? else { break };
        next = event.prev;
        events.insert(seq, event);
    }
    let (mut late, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for event in events.values().filter(|event| (first..=today).contains(&event.day)) {
        let came_late = campaign.calendar.day(event.received_at) > event.day;
        for verdict in event.record.verdicts.iter().filter(|verdict| verdict.rule.starts_with("check_in.") && !verdict.rule.ends_with(MADE_UP)) {
            let counts = has_day(asker.account.as_ref(), &verdict.rule, event.day);
            match &verdict.ruling {
                Ruling::Paid(_) if came_late && counts && is_late(event) => _ = late.insert(event.day),
                // Who checked in by another rule that day misses nothing.
                Ruling::Refused(_) if !has_any(asker.account.as_ref(), event.day) => _ = refused.insert(event.day),
                Ruling::Paid(_) | Ruling::Refused(_) | Ruling::Shadow(_) | Ruling::Moved(_) => {}
            }
        }
    }
    let words = |days: BTreeSet<Day>| ranges(&days.into_iter().collect::<Vec<_>>());
    Ok(Args::default().text("晚到", words(late)).text("没记", words(refused)))
}

/// Whether it was decided together with what came before it.
fn is_late(event: &EventRow) -> bool {
    match event.record.outcome {
        Outcome::Decided => event.record.repair.is_some(),
        Outcome::DecidedAlone | Outcome::Unparked { .. } => true,
        Outcome::RecalledBefore | Outcome::Parked(_) | Outcome::Failed(_) | Outcome::TwinOf(_) => false,
    }
}

/// Whether any check-in has the day.
fn has_any(account: Option<&AccountCell>, day: Day) -> bool {
    let mut codes = account.map_or(&[][..], |account| &account.state.codes).iter();
    codes.any(|(code, state)| code.starts_with("check_in.") && state.has_day(day))
}

fn has_day(account: Option<&AccountCell>, code: &str, day: Day) -> bool {
    account.and_then(|account| account.state.code(code)).is_some_and(|state| state.has_day(day))
}
