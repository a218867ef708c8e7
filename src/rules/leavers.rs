//! `leavers` of a campaign: what becomes of the points of who left all its groups. Who comes back finds what is left.

use std::sync::{Arc, LazyLock};

use crate::model::cells::AccountCell;
use crate::model::day::{Calendar, Millis};
use crate::model::decision::{Chart, Decision, Deed, Entry, Part, Record, Ruling, Side, Verdict};
use crate::model::ids::GroupId;
use crate::rules::campaign::Campaign;
use crate::rules::clock::{Job, Reach, Slot, Whose, next_day};
use crate::rules::decide::Scene;
use crate::rules::mistake::Mistakes;
use crate::rules::presence;
use crate::rules::table::{RuleTable, parse_duration_secs};

/// Ledger code of points that went because their member stayed away.
pub static LEAVERS: LazyLock<Arc<str>> = LazyLock::new(|| "leavers".into());

const DAY_SECS: i64 = 86_400;

/// `leavers = "keep" | "freeze" | "30d"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leavers {
    /// Nothing changes.
    Keep,
    /// While they are out they neither earn nor spend.
    Freeze,
    /// Their points are gone after so many days out of all groups.
    Expire {
        /// Days.
        days: i32,
    },
}

/// Reads the key.
pub fn read(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Leavers {
    let days = match table.text("leavers") {
        None | Some("keep") => return Leavers::Keep,
        Some("freeze") => return Leavers::Freeze,
        Some(text) => parse_duration_secs(text).ok().filter(|secs| *secs > 0 && secs % DAY_SECS == 0),
    };
    match days.and_then(|secs| i32::try_from(secs / DAY_SECS).ok()) {
        Some(days) => Leavers::Expire { days },
        None => {
            mistakes.error(table.span("leavers"), "bad-value", "leavers 要写 \"keep\"(保留)、\"freeze\"(冻结)或天数如 \"30d\"(退群这么多天后清零)");
            Leavers::Keep
        }
    }
}

/// Whether an account is frozen: its member is out of all groups of a campaign that freezes leavers. What is said in a group shows that the
/// member is back; `group` is where it happens.
pub fn is_frozen(campaign: &Campaign, account: Option<&AccountCell>, group: GroupId) -> bool {
    campaign.leavers == Leavers::Freeze && group == GroupId::NONE && presence::out_since(account.map(|account| &account.state)).is_some()
}

/// The job of a campaign whose leavers lose their points.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    match campaign.leavers {
        Leavers::Keep | Leavers::Freeze => Vec::new(),
        Leavers::Expire { days } => vec![Box::new(Clearing { days })],
    }
}

/// Clears the accounts of who is out for so many days, looked at when a business day begins.
#[derive(Debug)]
struct Clearing {
    days: i32,
}

impl Clearing {
    fn is_over(&self, campaign: &Campaign, account: &AccountCell, at: Millis) -> bool {
        let out = presence::out_since(Some(&account.state)).map(|out| campaign.calendar.day(out));
        out.is_some_and(|out| out.plus(self.days) <= campaign.calendar.day(at))
    }
}

impl Job for Clearing {
    fn name(&self) -> Arc<str> {
        LEAVERS.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Accounts
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        next_day(calendar, after)
    }

    fn due(&self, campaign: &Campaign, slot: Slot, account: &AccountCell) -> Vec<Slot> {
        let has_points = account.state.lots.iter().any(|lot| lot.amount > 0);
        if has_points && self.is_over(campaign, account, slot.at) { vec![slot] } else { Vec::new() }
    }

    /// It stands as it was booked: who is found to have been back has it given again by an operator.
    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, _slot: i64) -> Option<Decision> {
        let account = match whose {
            Whose::Member => scene.facts.account.filter(|account| self.is_over(scene.campaign, account, scene.event.at)),
            Whose::Group(_) | Whose::Campaign => None,
        };
        let Some(account) = account else { return Some(Decision::default()) };
        let lots = account.state.lots.iter().filter(|lot| lot.amount > 0);
        let entries: Vec<Entry> = lots
            .map(|lot| Entry {
                code: LEAVERS.clone(),
                src: Side::Own(Part::Available),
                dst: Side::System(Chart::Expired),
                amount: lot.amount,
                day: scene.day,
                vests_on: lot.vests_on,
                expires_on: lot.expires_on,
                slot_event: None,
                reverses: None,
            })
            .collect();
        if entries.is_empty() {
            return Some(Decision::default());
        }
        let verdicts = vec![Verdict { rule: LEAVERS.clone(), ruling: Ruling::Moved(-entries.iter().map(|entry| entry.amount).sum::<i64>()) }];
        Some(Decision { record: Record { deed: Some(Deed::Willed), verdicts, ..Record::default() }, entries, replies: Vec::new() })
    }
}
