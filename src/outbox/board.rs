//! The weekly board: who earned how much this week, folded over the postings as they come, in memory.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::model::day::Millis;
use crate::model::ids::{AccountId, CampaignId, GroupId, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::store::{Reader, StoreError};

/// Postings read at once.
const CHUNK: usize = 5_000;
/// Chunks read for one question: about a second; a longer first build goes on with the next question.
const CHUNKS_MAX: usize = 40;
/// Accounts on all boards, some 50 bytes each; a larger programme has no board.
const ACCOUNTS_MAX: usize = 500_000;
/// Places shown.
const TOP: usize = 5;
/// Business days begin at other instants in other campaigns; two days cover every zone and first hour.
const SLACK_SECS: i64 = 2 * 86_400;

/// The boards of all campaigns. Built when first asked for.
#[derive(Debug, Default)]
pub struct Board {
    /// First posting not folded yet; `None` before the first build.
    next: Option<PostingSeq>,
    /// The oldest week that is whole.
    since: i32,
    weeks: BTreeMap<(i32, CampaignId), HashMap<AccountId, Earned>>,
    accounts: usize,
}

#[derive(Debug, Clone, Copy)]
struct Earned {
    points: i64,
    /// The group, under `balance = "per_group"`.
    group: GroupId,
}

/// Which board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    /// The campaign.
    pub campaign: CampaignId,
    /// The group under `balance = "per_group"`, else [`GroupId::NONE`].
    pub group: GroupId,
    /// The week ([`crate::model::day::Day::week`]).
    pub week: i32,
}

/// How far a board is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Everything is folded.
    Ready,
    /// More postings wait; ask again.
    Behind,
    /// More accounts earned this week than a board holds.
    TooLarge,
}

/// What the board says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The first places, best first; equal points share a rank.
    pub top: Vec<Place>,
    /// The asker's own place, if they earned anything this week.
    pub own: Option<Place>,
    /// Points between the asker and the next better rank; `None` for the first.
    pub gap: Option<i64>,
}

/// A place on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub rank: usize,
    /// Who.
    pub account: AccountId,
    /// Earned this week.
    pub points: i64,
}

impl Board {
    /// Folds what was booked since the last time, so far as one call may take.
    ///
    /// `begins` is when the week began. The week before stays, because another campaign's clock may still be in it; what is older is
    /// forgotten, and folded again should the clock be set back.
    pub fn catch_up(&mut self, reader: &dyn Reader, week: i32, begins: Millis) -> Result<Progress, StoreError> {
        if self.next.is_none() || week < self.since {
            *self = Board { since: week, ..Board::default() };
        }
        self.since = self.since.max(week - 1);
        self.weeks.retain(|(other, _), _| *other >= self.since);
        self.accounts = self.weeks.values().map(HashMap::len).sum();
        let mut next = match self.next {
            Some(next) => next,
            None => first_posting_since(reader, begins.plus_secs(-SLACK_SECS))?,
        };
        for _ in 0..CHUNKS_MAX {
            let postings = reader.postings(next, CHUNK)?;
            for posting in &postings {
                self.fold(reader, posting)?;
                next = PostingSeq(posting.seq.0 + 1);
            }
            self.next = Some(next);
            if postings.len() < CHUNK {
                return Ok(if self.accounts < ACCOUNTS_MAX { Progress::Ready } else { Progress::TooLarge });
            }
        }
        Ok(Progress::Behind)
    }

    /// The first places and the asker's own.
    pub fn standing(&self, which: Which, own: Option<AccountId>) -> Standing {
        let earned =
            || self.weeks.get(&(which.week, which.campaign)).into_iter().flatten().filter(|(_, earned)| earned.group == which.group && earned.points > 0);
        let rank = |points: i64| earned().filter(|(_, other)| other.points > points).count() + 1;
        let mut best: Vec<(i64, AccountId)> = Vec::new();
        for (account, earned) in earned() {
            let place = best.partition_point(|(points, other)| (*points, other.0) > (earned.points, account.0));
            best.insert(place, (earned.points, *account));
            best.truncate(TOP);
        }
        let place = |points, account| Place { rank: rank(points), account, points };
        let own = own.and_then(|own| earned().find(|(account, _)| **account == own)).map(|(account, earned)| place(earned.points, *account));
        let gap = own.and_then(|own| earned().map(|(_, other)| other.points - own.points).filter(|gap| *gap > 0).min());
        Standing { top: best.into_iter().map(|(points, account)| place(points, account)).collect(), own, gap }
    }

    fn fold(&mut self, reader: &dyn Reader, posting: &Posting) -> Result<(), StoreError> {
        let Some((campaign, account, points)) = change(posting) else { return Ok(()) };
        if posting.day.week() < self.since || self.accounts >= ACCOUNTS_MAX {
            return Ok(());
        }
        let accounts = self.weeks.entry((posting.day.week(), campaign)).or_default();
        if let Some(earned) = accounts.get_mut(&account) {
            earned.points += points;
            return Ok(());
        }
        let group = reader.account(account)?.map_or(GroupId::NONE, |cell| cell.key.group);
        accounts.insert(account, Earned { points, group });
        self.accounts += 1;
        Ok(())
    }
}

/// Whose week a posting changes, and by how much: earned, or taken back.
fn change(posting: &Posting) -> Option<(CampaignId, AccountId, i64)> {
    match (posting.src, posting.dst) {
        (AccountRef::System { campaign, .. }, AccountRef::Member(account)) if posting.earns() => Some((campaign, account, posting.amount)),
        (AccountRef::Member(account), AccountRef::System { campaign, .. }) if posting.unearns() => Some((campaign, account, -posting.amount)),
        (AccountRef::System { .. } | AccountRef::Member(_), AccountRef::System { .. } | AccountRef::Member(_)) => None,
    }
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
    use crate::outbox::town::{Town, at};

    const WEEK: Which = Which { campaign: CampaignId(1), group: GroupId::NONE, week: 2968 };

    fn caught_up(town: &Town, board: &mut Board) {
        assert_eq!(board.catch_up(&town.reader(), WEEK.week, at("11-16 00:00")).expect("memory reads"), Progress::Ready);
    }

    #[test]
    fn ties_share_a_rank_and_the_gap_leads_to_the_next_better_one() {
        let mut town = Town::default();
        for (who, points) in [("a", 9), ("b", 7), ("c", 7), ("d", 3), ("e", 2), ("f", 1)] {
            town.says(who, 1, "11-22 09:00", "签到", points);
        }
        let mut board = Board::default();
        caught_up(&town, &mut board);
        let standing = board.standing(WEEK, Some(town.account("d")));
        let ranks: Vec<(usize, i64)> = standing.top.iter().map(|place| (place.rank, place.points)).collect();
        assert_eq!(ranks, [(1, 9), (2, 7), (2, 7), (4, 3), (5, 2)]);
        assert_eq!((standing.own.map(|own| own.rank), standing.gap), (Some(4), Some(4)));
        assert_eq!(board.standing(WEEK, Some(town.account("a"))).gap, None);
    }

    #[test]
    fn a_new_week_begins_at_nothing_and_last_weeks_postings_do_not_count() {
        let mut town = Town::default();
        town.says("aming", 1, "11-15 23:00", "签到", 100);
        town.says("aming", 1, "11-16 00:00", "签到", 2);
        let mut board = Board::default();
        caught_up(&town, &mut board);
        let own = |board: &Board, week| board.standing(Which { week, ..WEEK }, Some(town.account("aming"))).own;
        assert_eq!(own(&board, WEEK.week).map(|own| own.points), Some(2));
        board.catch_up(&town.reader(), WEEK.week + 1, at("11-23 00:00")).expect("memory reads");
        assert_eq!(own(&board, WEEK.week + 1), None);
        board.catch_up(&town.reader(), WEEK.week + 2, at("11-30 00:00")).expect("memory reads");
        assert_eq!(board.accounts, 0, "the old week is forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_finds_the_old_week_again() {
        let mut town = Town::default();
        town.says("aming", 1, "11-16 00:00", "签到", 2);
        let mut board = Board::default();
        board.catch_up(&town.reader(), WEEK.week + 2, at("11-30 00:00")).expect("memory reads");
        caught_up(&town, &mut board);
        assert_eq!(board.standing(WEEK, Some(town.account("aming"))).own.map(|own| own.points), Some(2));
    }

    #[test]
    fn a_board_goes_on_where_it_stopped() {
        let (mut town, mut board) = (Town::default(), Board::default());
        for points in [2, 3] {
            town.says("aming", 1, "11-22 09:00", "签到", points);
            caught_up(&town, &mut board);
        }
        assert_eq!(board.standing(WEEK, Some(town.account("aming"))).own.map(|own| own.points), Some(5));
    }
}
