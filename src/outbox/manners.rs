//! Manners: whether an answer is said now, told later together with others, or not at all. Who asks is always answered. Pure.
//!
//! ```text
//! asked                                    now
//! answer = "never"                         not at all
//! a success in a group where the bot speaks
//!   auto                                   now; with the others when crowded, older than 3 minutes, or in `quiet`
//!   each                                   now
//!   digest                                 with the others
//! told privately, or no success            now while few and fresh, never in `quiet`: there is nobody to tell it together with
//! ```

use crate::model::day::{Calendar, Millis};
use crate::model::reply::Occasion;
use crate::rules::assistant::Answer;
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::when::When;
use crate::store::ReplyRow;

/// Minutes that one digest tells of; digests come at 8:00, 8:10, 8:20.
const SLOT_MINUTES: i64 = 10;
/// Seconds after which an answer nobody asked for is no longer worth a message of its own.
const FRESH_SECS: i64 = 180;
/// Seconds that an `each` answer lives, as long as an asked one.
const EACH_SECS: i64 = 600;
/// Seconds after the end of a day in which its last digest may still go out, retries included.
const LATE_SECS: i64 = 600;
/// Seconds a digest whose moment has passed (a restart, an outage) waits for the rest of its answers.
const REST_SECS: i64 = 5;

/// The place an answer would be said in, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// A group hears it; else one person.
    pub shared: bool,
    /// As many unasked answers as may be were said here within the minute, or others wait to be told together.
    pub crowded: bool,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It is said now.
    Say,
    /// It waits to be told together with others, at this instant.
    Gather(Millis),
    /// It is not said, for this reason.
    Silent(&'static str),
}

/// When a success that waits to be told together may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Now.
    Now,
    /// Then.
    At(Millis),
    /// Its day ends before it may be.
    Never,
}

/// Why a success that waited to be told together is not told after all.
pub const NEVER_TOLD: &str = "到当天结束都没有可以播报的时候,不再播报";

/// How a reply may be said here and now.
pub fn manner(rules: &Rules, row: &ReplyRow, room: Room, now: Millis) -> Manner {
    let answer = rules.assistant.answer;
    if row.reply.asked {
        return Manner::Say;
    }
    if row.reply.template.occasion == Occasion::Posted {
        return posted(rules, row, now);
    }
    if answer == Answer::Never {
        return Manner::Silent("rules.toml 写了 answer = \"never\",没有问就不播报");
    }
    if !room.shared || !is_success(row) || answer == Answer::Each {
        return alone(rules, row, room, now);
    }
    if answer == Answer::Auto && !room.crowded && !is_over(row, FRESH_SECS, now) && !is_quiet(rules, row, now) {
        return Manner::Say;
    }
    match moment(rules, row, now) {
        Moment::Now => Manner::Gather(now.plus_secs(REST_SECS)),
        Moment::At(moment) => Manner::Gather(moment),
        Moment::Never => Manner::Silent(NEVER_TOLD),
    }
}

/// What the clock has it say was written to be said, however much else is said there; but not at night, and not when it is late.
fn posted(rules: &Rules, row: &ReplyRow, now: Millis) -> Manner {
    if is_quiet(rules, row, now) {
        return Manner::Silent("在 quiet 的时段里,不播报");
    }
    if is_over(row, EACH_SECS, now) { Manner::Silent("十分钟内没能发出,不再播报") } else { Manner::Say }
}

/// When a success may be told in a digest: at the end of its ten minutes; those gathered in `quiet` after its end; all before their day ends.
pub fn moment(rules: &Rules, row: &ReplyRow, now: Millis) -> Moment {
    let Some(campaign) = campaign_of(rules, row) else { return Moment::Never };
    let (calendar, quiet) = (&campaign.calendar, rules.assistant.quiet.as_ref());
    let day_ends = calendar.begins(calendar.day(row.created_at).plus(1));
    match next_moment(calendar, quiet, row.created_at, day_ends) {
        Some(moment) if moment > now => Moment::At(moment),
        Some(_) if !is_quiet(rules, row, now) => {
            if now <= day_ends.plus_secs(LATE_SECS) {
                Moment::Now
            } else {
                Moment::Never
            }
        }
        Some(_) => next_moment(calendar, quiet, now, day_ends).map_or(Moment::Never, Moment::At),
        None => Moment::Never,
    }
}

/// Whether it tells of points that nobody asked about: only that can be told together.
pub fn is_success(row: &ReplyRow) -> bool {
    row.reply.template.occasion == Occasion::Paid
}

/// The campaign a reply speaks of: its own, else the first.
pub fn campaign_of<'a>(rules: &'a Rules, row: &ReplyRow) -> Option<&'a Campaign> {
    let own = |campaign: &&Campaign| row.destination.campaign.as_ref() == Some(&campaign.id);
    rules.campaigns.iter().find(own).or(rules.campaigns.first())
}

/// The ten minutes an instant lies in, by the wall clock: their first instant and the one after their last.
pub fn slot(calendar: &Calendar, at: Millis) -> (Millis, Millis) {
    let local = calendar.local(at);
    let into = (i64::from(local.minute()) % SLOT_MINUTES) * 60_000 + i64::from(local.second()) * 1_000 + i64::from(local.millisecond());
    let begins = Millis(at.0 - into);
    (begins, begins.plus_secs(SLOT_MINUTES * 60))
}

/// What cannot be gathered.
fn alone(rules: &Rules, row: &ReplyRow, room: Room, now: Millis) -> Manner {
    if is_quiet(rules, row, now) {
        return Manner::Silent("在 quiet 的时段里,不播报");
    }
    if rules.assistant.answer == Answer::Each {
        return if is_over(row, EACH_SECS, now) { Manner::Silent("十分钟内没能发出,不再播报") } else { Manner::Say };
    }
    if is_over(row, FRESH_SECS, now) {
        return Manner::Silent("超过三分钟,不再播报");
    }
    if room.crowded { Manner::Silent("一分钟内已说了 5 条没人问的话") } else { Manner::Say }
}

fn is_over(row: &ReplyRow, secs: i64, now: Millis) -> bool {
    now >= row.created_at.plus_secs(secs)
}

fn is_quiet(rules: &Rules, row: &ReplyRow, at: Millis) -> bool {
    campaign_of(rules, row).is_some_and(|campaign| holds(rules.assistant.quiet.as_ref(), &campaign.calendar, at))
}

fn holds(quiet: Option<&When>, calendar: &Calendar, at: Millis) -> bool {
    quiet.is_some_and(|quiet| quiet.open_since(calendar, at).is_some())
}

/// The first end of ten minutes after `from` at which nobody sleeps. Where `quiet` begins within those ten minutes, the minute before it.
fn next_moment(calendar: &Calendar, quiet: Option<&When>, from: Millis, until: Millis) -> Option<Millis> {
    let mut end = slot(calendar, from).1;
    if holds(quiet, calendar, end) {
        let minutes = (1..SLOT_MINUTES).map(|minute| end.plus_secs(-60 * minute));
        let before = minutes.take_while(|minute| *minute > from).find(|minute| !holds(quiet, calendar, *minute));
        if before.is_some() {
            return before;
        }
    }
    while end <= until {
        if !holds(quiet, calendar, end) {
            return Some(end);
        }
        end = end.plus_secs(SLOT_MINUTES * 60);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{row, unasked};
    use crate::outbox::town::at;
    use crate::rules::file::load;

    const FEW: Room = Room { shared: true, crowded: false };
    const CROWD: Room = Room { shared: true, crowded: true };
    const PRIVATE: Room = Room { shared: false, crowded: false };

    fn rules(assistant: &str) -> Rules {
        load(&format!("[assistant]\n{assistant}\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n")).expect("good rules").0
    }

    /// An unasked success of `created`.
    fn success(created: &str) -> ReplyRow {
        ReplyRow { created_at: at(created), ..unasked(row(1)) }
    }

    /// What becomes of an unasked success of `created` at `now`.
    fn told(assistant: &str, room: Room, created: &str, now: &str) -> Manner {
        manner(&rules(assistant), &success(created), room, at(now))
    }

    fn is_silent(manner: Manner, word: &str) -> bool {
        matches!(manner, Manner::Silent(reason) if reason.contains(word))
    }

    #[test]
    fn who_asks_is_answered_even_at_night() {
        for room in [FEW, CROWD, PRIVATE] {
            let asked = ReplyRow { created_at: at("11-22 03:00"), ..row(1) };
            assert_eq!(manner(&rules("answer = \"never\"\nquiet = \"00:00-24:00\""), &asked, room, at("11-22 03:01")), Manner::Say);
        }
    }

    #[test]
    fn a_success_is_said_while_few_and_fresh_and_gathered_to_the_end_of_its_ten_minutes_otherwise() {
        assert_eq!(told("", FEW, "11-22 08:01", "11-22 08:01"), Manner::Say);
        assert_eq!(told("", CROWD, "11-22 08:01", "11-22 08:01"), Manner::Gather(at("11-22 08:10")));
        assert_eq!(told("", FEW, "11-22 08:01", "11-22 08:04"), Manner::Gather(at("11-22 08:10")), "older than three minutes");
        assert_eq!(told("", CROWD, "11-22 23:58", "11-22 23:58"), Manner::Gather(at("11-23 00:00")), "the last of a day");
    }

    #[test]
    fn what_waited_out_an_outage_is_told_at_once_but_not_the_next_day() {
        assert_eq!(told("", FEW, "11-22 08:01", "11-22 09:03"), Manner::Gather(at("11-22 09:03").plus_secs(REST_SECS)));
        assert!(is_silent(told("", FEW, "11-22 08:01", "11-23 00:11"), "当天结束"));
    }

    #[test]
    fn the_operators_wish_is_kept() {
        assert_eq!(told("answer = \"each\"", CROWD, "11-22 08:01", "11-22 08:05"), Manner::Say);
        assert!(is_silent(told("answer = \"each\"", CROWD, "11-22 08:01", "11-22 08:11"), "十分钟"));
        assert_eq!(told("answer = \"digest\"", FEW, "11-22 08:01", "11-22 08:01"), Manner::Gather(at("11-22 08:10")));
        assert!(is_silent(told("answer = \"never\"", FEW, "11-22 08:01", "11-22 08:01"), "never"));
    }

    #[test]
    fn what_happens_in_quiet_waits_for_its_end_if_the_day_has_one() {
        let quiet = "quiet = \"22:30-08:00\"";
        assert_eq!(told(quiet, FEW, "11-22 06:01", "11-22 06:01"), Manner::Gather(at("11-22 08:00")));
        assert!(is_silent(told(quiet, FEW, "11-22 23:00", "11-22 23:00"), "当天结束"));
        assert!(is_silent(told(&format!("{quiet}\nanswer = \"each\""), FEW, "11-22 06:01", "11-22 06:01"), "quiet"));
        assert_eq!(told("quiet = \"12:05-13:05\"", FEW, "11-22 12:30", "11-22 12:30"), Manner::Gather(at("11-22 13:10")));
    }

    #[test]
    fn ten_minutes_that_run_into_quiet_are_told_in_the_minute_before_it() {
        assert_eq!(told("quiet = \"22:30-08:00\"", CROWD, "11-22 22:21", "11-22 22:21"), Manner::Gather(at("11-22 22:29")));
        assert_eq!(told("quiet = \"22:25-08:00\"", CROWD, "11-22 22:21", "11-22 22:21"), Manner::Gather(at("11-22 22:24")));
        assert!(is_silent(told("quiet = \"22:30-08:00\"", CROWD, "11-22 22:29", "11-22 22:29"), "当天结束"));
    }

    #[test]
    fn a_digest_that_missed_its_moment_is_not_told_in_quiet() {
        let rules = rules("quiet = \"12:30-13:30\"");
        assert_eq!(moment(&rules, &success("11-22 12:01"), at("11-22 12:20")), Moment::Now);
        assert_eq!(moment(&rules, &success("11-22 12:01"), at("11-22 12:40")), Moment::At(at("11-22 13:30")));
    }

    #[test]
    fn what_one_person_alone_hears_is_never_gathered() {
        for answer in ["", "answer = \"digest\""] {
            assert_eq!(told(answer, PRIVATE, "11-22 08:01", "11-22 08:01"), Manner::Say);
        }
        assert!(is_silent(told("", PRIVATE, "11-22 08:01", "11-22 08:04"), "三分钟"));
        assert!(is_silent(told("", Room { crowded: true, ..PRIVATE }, "11-22 08:01", "11-22 08:01"), "5 条"));
        assert!(is_silent(told("quiet = \"06:00-09:00\"", PRIVATE, "11-22 08:01", "11-22 08:01"), "quiet"));
    }

    #[test]
    fn a_notice_is_no_success_and_is_never_gathered() {
        let mut notice = success("11-22 08:01");
        notice.reply.template.occasion = Occasion::Outside;
        assert_eq!(manner(&rules("answer = \"digest\""), &notice, FEW, at("11-22 08:01")), Manner::Say);
        assert!(is_silent(manner(&rules(""), &notice, CROWD, at("11-22 08:01")), "5 条"));
    }
}
