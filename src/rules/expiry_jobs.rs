//! The clock's part in expiry: what is gone is booked out as the day begins, and told at ten in the morning before it goes.

use std::sync::{Arc, LazyLock};

use jiff::civil;

use crate::model::cells::AccountCell;
use crate::model::day::{Calendar, Day, Millis};
use crate::model::decision::Decision;
use crate::rules::campaign::Campaign;
use crate::rules::clock::{Job, Reach, Slot, Whose, next_day};
use crate::rules::decide::Scene;
use crate::rules::expiry::{EXPIRY, decide, due, notice, notify};

/// The name of the job that tells what goes soon.
static NOTICE: LazyLock<Arc<str>> = LazyLock::new(|| "expiry_notice".into());

/// When it is told: people are awake, and no quiet hours that we know of are kept then.
const NOTICE_HOUR: i8 = 10;

/// The jobs of a campaign where points can go. Who no longer wants them to writes `expires = "never"`: what has a date already keeps it.
pub fn jobs(campaign: &Campaign) -> Vec<Box<dyn Job + '_>> {
    let validity = &campaign.validity;
    let is_written = validity.expires.is_some() || validity.inactive_days.is_some() || campaign.rules.iter().any(|rule| rule.common.expires.is_some());
    let expiry = is_written.then(|| Box::new(Expiry) as Box<dyn Job>);
    let notices = (is_written && !validity.notice_days.is_empty()).then(|| Box::new(Notices) as Box<dyn Job>);
    expiry.into_iter().chain(notices).collect()
}

/// Books out what is gone.
#[derive(Debug)]
struct Expiry;

impl Job for Expiry {
    fn name(&self) -> Arc<str> {
        EXPIRY.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Accounts
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        next_day(calendar, after)
    }

    fn due(&self, campaign: &Campaign, slot: Slot, account: &AccountCell) -> Vec<Slot> {
        let moves = due(&campaign.validity, account, &campaign.calendar, campaign.calendar.day(slot.at));
        if moves.is_empty() { Vec::new() } else { vec![slot] }
    }

    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, slot: i64) -> Option<Decision> {
        (whose == Whose::Member).then(|| decide(scene, day(slot)))
    }
}

/// Tells what goes soon.
#[derive(Debug)]
struct Notices;

impl Job for Notices {
    fn name(&self) -> Arc<str> {
        NOTICE.clone()
    }

    fn reach(&self) -> Reach {
        Reach::Accounts
    }

    fn next_slot(&self, calendar: &Calendar, after: Millis) -> Option<Slot> {
        let today = calendar.local(after).date();
        let instant = |date: civil::Date| Some(Millis::from(date.at(NOTICE_HOUR, 0, 0, 0).to_zoned(calendar.zone().clone()).ok()?.timestamp()));
        let at = instant(today).filter(|at| *at > after).or_else(|| instant(today.tomorrow().ok()?))?;
        (at > after).then(|| Slot { at, number: i64::from(calendar.day(at).0) })
    }

    fn due(&self, campaign: &Campaign, slot: Slot, account: &AccountCell) -> Vec<Slot> {
        let going = notice(campaign, account, campaign.calendar.day(slot.at));
        if going.is_empty() { Vec::new() } else { vec![slot] }
    }

    fn stale_after_secs(&self) -> Option<i64> {
        Some(super::expiry::NOTICE_FRESH_SECS)
    }

    fn decide(&self, scene: &Scene<'_>, whose: Whose<'_>, slot: i64) -> Option<Decision> {
        (whose == Whose::Member).then(|| notify(scene, day(slot)))
    }
}

fn day(slot: i64) -> Day {
    Day(i32::try_from(slot).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;
    use crate::rules::world::at;

    #[test]
    fn notices_come_at_ten_and_expiry_as_the_day_begins() {
        let rules = load("campaign.main = { expires = \"365d\", expiry_notice = [\"7d\"], day_starts_at = \"04:00\" }").expect("right").0;
        let campaign = &rules.campaigns[0];
        let next = |after: &str| jobs(campaign).iter().map(|job| job.next_slot(&campaign.calendar, at(after)).expect("always").at).collect::<Vec<_>>();
        assert_eq!(next("11-22 03:59"), [at("11-22 04:00"), at("11-22 10:00")]);
        assert_eq!(next("11-22 10:00"), [at("11-23 04:00"), at("11-23 10:00")]);
    }

    #[test]
    fn where_nothing_is_said_of_expiry_the_clock_has_nothing_to_do() {
        let jobs = |toml: &str| jobs(&load(toml).expect("right").0.campaigns[0]).len();
        assert_eq!(jobs("check_in.daily = { keywords = [\"签到\"], points = 2 }"), 0);
        assert_eq!(jobs("check_in.daily = { keywords = [\"签到\"], points = 2, expires = \"7d\" }"), 1);
        assert_eq!(jobs("campaign.main = { expires = \"never\" }"), 1);
    }
}
