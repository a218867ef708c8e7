//! Answering 「排行」: which board is meant, who may be shown on it, where the asker stands.

use std::collections::HashSet;

use crate::model::day::{Calendar, Day, Period};
use crate::model::decision::{Arg, Args};
use crate::model::event::{GroupKind, IdentityKind, Place};
use crate::model::ids::{AccountId, EventSeq, GroupId, KeyBytes};
use crate::outbox::board::{Boards, Progress, Which};
use crate::outbox::gather::{Question, Unready};
use crate::rules::answer::{BOARD, NOTE};
use crate::rules::board::{self, Board, Spot, Standing};
use crate::rules::campaign::Campaign;
use crate::store::{Reader, StoreError};

impl Question<'_> {
    /// The arguments of a board's text.
    pub(super) fn rank(&self, boards: &mut Boards) -> Result<Args, Unready> {
        let Some(campaign) = self.campaign() else { return Ok(Args::default()) };
        // Without a board the decision said why.
        let Some(board) = self.board() else { return Ok(Args::default()) };
        let calendar = &campaign.calendar;
        let today = calendar.day(self.now);
        let title = Args::default().text("榜名", board.title(&campaign.points_name));
        let directory = self.reader.directory()?;
        let Some(number) = directory.campaigns.get(&(self.row.corp.clone(), campaign.id.clone())).copied() else { return Ok(title) };
        let asker = self.asker()?;
        let here = self.row.destination.chat.clone().and_then(|chat| directory.groups.get(&(self.row.corp.clone(), chat))).map(|group| group.id);
        let closed_at = match board.closed(today) {
            Some(period) => closed_at(self.reader, &self.row.corp, campaign, period)?,
            None => None,
        };
        let which = Which {
            campaign: number,
            accounts_of: asker.as_ref().map_or(GroupId::NONE, |asker| asker.group),
            earned_in: here.filter(|_| board == Board::Group),
            earned_by: None,
            days: board.days(today),
            closed_at,
            hides_staff: self.hides_staff(campaign),
        };
        caught_up(self.reader, boards, &which, calendar)?;
        let own = asker.and_then(|asker| asker.account);
        let standing = self.standing(boards, &which, board, own.as_ref().map(|account| account.id))?;
        let is_hidden = own.is_some_and(|account| board::is_hidden(&account.state));
        let is_private = self.row.destination.chat.is_none();
        let until = calendar.local(self.now).strftime("%-H:%M").to_string();
        let args = self.standing_args(&standing, !is_hidden || is_private)?;
        Ok(Args([title.0, args.0].concat()).text("截至", until).with("定榜", Arg::Flag(closed_at.is_some())).with("已退出", Arg::Flag(is_hidden)))
    }

    /// The board that is asked for. (Questions from before there were several are about this week's.)
    fn board(&self) -> Option<Board> {
        let arg = |wanted: &str| self.row.reply.args.0.iter().find(|(name, _)| **name == *wanted).map(|(_, arg)| arg);
        match (arg(BOARD), arg(NOTE)) {
            (Some(Arg::Text(word)), _) => Some(Board::of_word(word)),
            (Some(Arg::Int(_) | Arg::Flag(_) | Arg::List(_)) | None, Some(_)) => None,
            (Some(Arg::Int(_) | Arg::Flag(_) | Arg::List(_)) | None, None) => Some(Board::Week),
        }
    }

    fn hides_staff(&self, campaign: &Campaign) -> bool {
        let destination = &self.row.destination;
        let kind = if destination.customers { GroupKind::Customer } else { GroupKind::Internal };
        let place = destination.chat.clone().map_or(Place::Single, |chat| Place::Group { chat, kind, title: None });
        board::hides_staff(campaign.staff, &place, destination.to.as_ref().is_some_and(|(kind, _)| *kind == IdentityKind::External))
    }

    /// Who is shown, and the asker in any case.
    fn standing(&self, boards: &Boards, which: &Which, board: Board, own: Option<AccountId>) -> Result<Standing, StoreError> {
        let hidden: HashSet<AccountId> = self.reader.hidden()?.into_iter().collect();
        let mut old: HashSet<AccountId> = HashSet::new();
        if board == Board::Newcomers {
            for (account, earned) in boards.earned(which) {
                // Who is new has earned within these days all that they ever earned.
                if self.reader.earner(account)?.is_some_and(|(_, lifetime)| lifetime > earned.points) {
                    old.insert(account);
                }
            }
        }
        let fitting = boards.earned(which).filter(|(account, _)| !old.contains(account));
        let shown = fitting.clone().filter(|(account, _)| !hidden.contains(account));
        let mut standing = board::standing(shown.clone(), own, board::TOP);
        if let (None, Some(own)) = (standing.own, own) {
            // A hidden asker stands nowhere for the others.
            let mine = fitting.filter(|(account, _)| *account == own);
            let alone = board::standing(shown.chain(mine), Some(own), 0);
            (standing.own, standing.gap) = (alone.own, alone.gap);
        }
        Ok(standing)
    }

    /// The asker's own numbers are left out where they have none, and where they may not be told.
    fn standing_args(&self, standing: &Standing, tells_own: bool) -> Result<Args, StoreError> {
        let top = standing.top.iter().map(|spot| self.spot_args(spot)).collect::<Result<_, _>>()?;
        let has_ties = standing.top.iter().any(|spot| spot.tied);
        let mut args = Args::default().with("榜", Arg::List(top)).with("有并列", Arg::Flag(has_ties));
        if let Some(own) = standing.own.filter(|_| tells_own) {
            args = args.int("我的名次", own.rank as i64).int("我的得分", own.points).with("我并列", Arg::Flag(own.tied));
            args = standing.gap.map_or(args.clone(), |gap| args.int("差距", gap));
        }
        Ok(args)
    }

    fn spot_args(&self, spot: &Spot) -> Result<Args, StoreError> {
        let name = self.name(spot.account)?;
        Ok(Args::default().int("名次", spot.rank as i64).text("昵称", name).int("得分", spot.points).with("并列", Arg::Flag(spot.tied)))
    }
}

/// Folds what is missing.
fn caught_up(reader: &dyn Reader, boards: &mut Boards, which: &Which, calendar: &Calendar) -> Result<(), Unready> {
    // A board of all time begins before any calendar.
    let begins = calendar.begins(which.days.0.max(Day(0)));
    match boards.catch_up(reader, which, begins)? {
        Progress::Ready => Ok(()),
        Progress::Behind => Err(Unready::Behind),
        Progress::TooLarge => Err(Unready::TooLarge),
    }
}

/// The event that closed the board of a period; `None` while it is open.
pub fn closed_at(reader: &dyn Reader, corp: &str, campaign: &Campaign, period: Period) -> Result<Option<EventSeq>, StoreError> {
    let source = format!("{corp}/clock");
    let found = reader.find_events(KeyBytes::of(&board::closing(&campaign.id, period)))?;
    Ok(found.into_iter().find(|(known, _)| **known == *source).map(|(_, seq)| seq))
}
