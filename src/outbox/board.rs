//! Boards in memory: what each account earned in a period, folded over the postings as they come, built when first asked for.
//!
//! A board that is over is cut at the event that closed it, so that it is the same whenever it is folded.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::day::{Day, Millis};
use crate::model::event::IdentityKind;
use crate::model::ids::{AccountId, CampaignId, EventSeq, GroupId, MemberId, PostingSeq};
use crate::rules::board::{Earned, TITLE_CODES};
use crate::store::{Earning, Reader, StoreError};

/// Postings read at once.
const CHUNK: usize = 5_000;
/// Chunks read for one question: about a second; a longer first build goes on with the next question.
const CHUNKS_MAX: usize = 40;
/// Boards kept, those asked for last: every board of one campaign, and this week's of a few more.
const BOARDS_MAX: usize = 12;
/// Accounts on all boards that are kept, some 45 bytes each: a million and a half. What does not fit is forgotten and folded again when asked for.
const ACCOUNTS_MAX: usize = 1_500_000;
/// Business days begin at other instants in other campaigns, and a platform's clock may be ahead; two days cover both.
const SLACK_SECS: i64 = 2 * 86_400;

/// Which board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// The campaign.
    pub campaign: CampaignId,
    /// Only accounts of this group ([`GroupId::NONE`] where a campaign's groups share a balance); `None` for all of the campaign.
    pub accounts_of: Option<GroupId>,
    /// Only what was earned in this group.
    pub earned_in: Option<GroupId>,
    /// Only what rules of these codes paid: a code (`check_in.daily`) or a kind (`check_in`).
    pub earned_by: Option<Arc<str>>,
    /// The first and the last day that count.
    pub days: (Day, Day),
    /// The first event that no longer counts, on a board that is over.
    pub closed_at: Option<EventSeq>,
    /// Employees are left off.
    pub hides_staff: bool,
}

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is folded.
    Ready,
    /// More postings wait; ask again.
    Behind,
    /// More accounts earned in the period than fit.
    TooLarge,
}

/// The boards that were asked for last.
#[derive(Debug, Default)]
pub struct Boards {
    /// Those asked for last at the end.
    kept: Vec<(Which, Sheet)>,
}

/// One board under way.
#[derive(Debug, Default)]
struct Sheet {
    /// First posting not folded yet; `None` before the first look.
    next: Option<PostingSeq>,
    lines: BTreeMap<AccountId, Line>,
}

/// What is known of an account on a board.
#[derive(Debug, Clone, Copy)]
struct Line {
    earned: Earned,
    /// It belongs on this board; else it is only remembered as looked at.
    counts: bool,
}

impl Boards {
    /// Folds what was booked since the last time, so far as one call may take. `begins` is when the board's first day began.
    pub fn catch_up(&mut self, reader: &dyn Reader, which: &Which, begins: Millis) -> Result<Progress, StoreError> {
        let at = self.kept.iter().position(|(known, _)| known == which);
        let mut sheet = at.map(|at| self.kept.remove(at).1).unwrap_or_default();
        if sheet.next.is_some_and(|next| reader.head().is_ok_and(|head| head.posting.0 + 1 < next.0)) {
            // Another history than the one that was folded.
            sheet = Sheet::default();
        }
        let progress = sheet.catch_up(reader, which, begins)?;
        let is_too_large = sheet.lines.len() > ACCOUNTS_MAX;
        self.kept.push((which.clone(), if is_too_large { Sheet::default() } else { sheet }));
        while self.kept.len() > BOARDS_MAX || self.kept.iter().map(|(_, sheet)| sheet.lines.len()).sum::<usize>() > ACCOUNTS_MAX {
            self.kept.remove(0);
        }
        Ok(if is_too_large { Progress::TooLarge } else { progress })
    }

    /// Who has points on a board that was caught up with.
    pub fn earned(&self, which: &Which) -> impl Iterator<Item = (AccountId, Earned)> + Clone {
        let sheet = self.kept.iter().find(|(known, _)| known == which).map(|(_, sheet)| sheet);
        let lines = sheet.into_iter().flat_map(|sheet| &sheet.lines);
        lines.filter(|(_, line)| line.counts && line.earned.points > 0).map(|(account, line)| (*account, line.earned))
    }
}

impl Sheet {
    fn catch_up(&mut self, reader: &dyn Reader, which: &Which, begins: Millis) -> Result<Progress, StoreError> {
        let mut next = match self.next {
            Some(next) => next,
            None => first_posting_since(reader, begins.plus_secs(-SLACK_SECS))?,
        };
        for _ in 0..CHUNKS_MAX {
            let earnings = reader.earnings(next, CHUNK)?;
            for earning in &earnings {
                if which.closed_at.is_some_and(|closed| earning.event >= closed) {
                    self.next = Some(next);
                    return Ok(Progress::Ready);
                }
                self.fold(reader, which, earning)?;
                next = PostingSeq(earning.posting.0 + 1);
            }
            self.next = Some(next);
            if earnings.len() < CHUNK {
                return Ok(Progress::Ready);
            }
            if self.lines.len() > ACCOUNTS_MAX {
                return Ok(Progress::TooLarge);
            }
        }
        Ok(Progress::Behind)
    }

    fn fold(&mut self, reader: &dyn Reader, which: &Which, earning: &Earning) -> Result<(), StoreError> {
        let Some(account) = earning.account.filter(|_| earning.counts_on(which)) else { return Ok(()) };
        let reached = earning.posting;
        if let Some(line) = self.lines.get_mut(&account) {
            line.earned = Earned { points: line.earned.points.saturating_add(earning.points), reached };
            return Ok(());
        }
        let counts = match reader.earner(account)? {
            Some((key, _)) => which.accounts_of.is_none_or(|group| group == key.group) && !(which.hides_staff && is_staff(reader, key.member)?),
            None => false,
        };
        self.lines.insert(account, Line { earned: Earned { points: earning.points, reached }, counts });
        Ok(())
    }
}

impl Earning {
    fn counts_on(&self, which: &Which) -> bool {
        let (first, last) = which.days;
        self.campaign == which.campaign
            && (first..=last).contains(&self.day)
            && which.earned_in.is_none_or(|group| group == self.group)
            && which.earned_by.as_ref().is_none_or(|code| is_of(&self.code, code))
            && !self.code.starts_with(TITLE_CODES)
    }
}

/// Whether a ledger code is this one, or of this kind.
fn is_of(code: &str, of: &str) -> bool {
    code.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether somebody is known by a userid only: an employee.
pub fn is_staff(reader: &dyn Reader, member: MemberId) -> Result<bool, StoreError> {
    let identities = reader.identities_of(member)?;
    Ok(!identities.is_empty() && identities.iter().all(|row| row.identity.kind == IdentityKind::Userid))
}

/// The first posting of an event heard since then, by halves: postings and the times of their events ascend together.
fn first_posting_since(reader: &dyn Reader, since: Millis) -> Result<PostingSeq, StoreError> {
    let (mut low, mut high) = (1, reader.head()?.posting.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let event = match reader.postings(PostingSeq(middle), 1)?.first() {
            Some(posting) => reader.event(posting.event)?,
            None => None,
        };
        if event.is_some_and(|event| event.received_at < since) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(PostingSeq(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::day::Period;
    use crate::outbox::town::{Town, at};
    use crate::rules::board::days_of;

    const WEEK: i32 = 2968;

    fn which(week: i32) -> Which {
        let days = days_of(Period::Week(week));
        Which { campaign: CampaignId(1), accounts_of: Some(GroupId::NONE), earned_in: None, earned_by: None, days, closed_at: None, hides_staff: false }
    }

    fn points(town: &Town, boards: &mut Boards, which: &Which) -> Vec<(i64, i64)> {
        assert_eq!(boards.catch_up(&town.reader(), which, at("11-01 00:00")).expect("memory reads"), Progress::Ready);
        boards.earned(which).map(|(account, earned)| (account.0, earned.points)).collect()
    }

    #[test]
    fn a_new_week_begins_at_nothing_and_last_weeks_postings_do_not_count() {
        let (mut town, mut boards) = (Town::default(), Boards::default());
        town.says("aming", 1, "11-15 23:00", "签到", 100);
        town.says("aming", 1, "11-16 00:00", "签到", 2);
        assert_eq!(points(&town, &mut boards, &which(WEEK)), [(1, 2)]);
        assert_eq!(points(&town, &mut boards, &which(WEEK - 1)), [(1, 100)]);
        assert_eq!(points(&town, &mut boards, &which(WEEK + 1)), []);
    }

    #[test]
    fn a_board_goes_on_where_it_stopped_and_one_that_is_over_does_not() {
        let (mut town, mut boards) = (Town::default(), Boards::default());
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        let late = town.says("aming", 1, "11-22 10:00", "签到", 3);
        assert_eq!(points(&town, &mut boards, &which(WEEK)), [(1, 5)]);
        let closed = Which { closed_at: Some(late), ..which(WEEK) };
        assert_eq!(points(&town, &mut boards, &closed), [(1, 2)]);
        town.says("aming", 1, "11-22 11:00", "签到", 4);
        assert_eq!(points(&town, &mut boards, &which(WEEK)), [(1, 9)]);
        assert_eq!(points(&town, &mut boards, &closed), [(1, 2)]);
    }

    #[test]
    fn what_was_earned_in_one_group_or_by_one_rule_is_told_apart() {
        let (mut town, mut boards) = (Town::default(), Boards::default());
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.says("aming", 2, "11-22 10:00", "签到", 3);
        assert_eq!(points(&town, &mut boards, &Which { earned_in: Some(GroupId(2)), ..which(WEEK) }), [(1, 3)]);
        assert_eq!(points(&town, &mut boards, &Which { earned_by: Some("check_in".into()), ..which(WEEK) }), [(1, 5)]);
        assert_eq!(points(&town, &mut boards, &Which { earned_by: Some("check".into()), ..which(WEEK) }), []);
        assert_eq!(points(&town, &mut boards, &Which { hides_staff: true, ..which(WEEK) }), [], "everybody here is known by a userid");
    }

    #[test]
    fn only_the_boards_asked_for_last_are_kept() {
        let (mut town, mut boards) = (Town::default(), Boards::default());
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        for week in 0..3 * BOARDS_MAX as i32 {
            points(&town, &mut boards, &which(WEEK - week));
        }
        assert_eq!(boards.kept.len(), BOARDS_MAX);
        assert_eq!(points(&town, &mut boards, &which(WEEK)), [(1, 2)]);
    }
}
