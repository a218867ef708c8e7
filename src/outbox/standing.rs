//! Answering 「排行」: which board is meant, who may be shown on it, where the asker stands.

use std::collections::HashSet;

use crate::model::day::{Calendar, Day, Millis, Period};
use crate::model::decision::{Arg, Args};
use crate::model::event::{GroupKind, IdentityKind, Place};
use crate::model::ids::{AccountId, CorpName, EventSeq, GroupId};
use crate::outbox::board::{Boards, Progress, Which};
use crate::outbox::gather::{Question, Unready};
use crate::rules::answer::{BOARD, NOTE};
use crate::rules::board::{self, Board, Spot, Standing};
use crate::rules::campaign::{Campaign, Staff};
use crate::rules::text::display_name;
use crate::rules::title::{self, SLOT, TITLE, Title};
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
            Some(period) => closed_at(self.reader, calendar, period, self.now)?,
            None => None,
        };
        let which = Which {
            campaign: number,
            accounts_of: Some(asker.as_ref().map_or(GroupId::NONE, |asker| asker.group)),
            earned_in: here.filter(|_| board == Board::Group),
            earned_by: None,
            days: board.days(today),
            closed_at,
            hides_staff: self.hides_staff(campaign),
        };
        caught_up(self.reader, boards, &which, calendar)?;
        let own = asker.and_then(|asker| asker.account);
        let standing = self.standing(boards, &which, board, own.as_ref().map(|account| account.id))?;
        let is_hidden = own.is_some_and(|account| board::opted_out(&account.state));
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

/// The event at which the board of a period is cut: the first that was sent and heard after the closing. The journal only grows, so that a board
/// which is closed never changes. `None` while there is none.
pub fn closed_at(reader: &dyn Reader, calendar: &Calendar, period: Period, now: Millis) -> Result<Option<EventSeq>, StoreError> {
    let Some(closes) = board::closes_at(calendar, period).filter(|closes| *closes <= now) else { return Ok(None) };
    let (mut before, mut after) = (0, reader.head()?.event.0 + 1);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        let is_early = reader.event(EventSeq(middle))?.is_some_and(|event| event.received_at < closes);
        if is_early { before = middle } else { after = middle }
    }
    reader.first_sent_since(EventSeq(after), closes)
}

/// Who won a title in a period, first to last, with what they earned; `None` while its board is open. `read` is where it is read and for whom.
pub fn winners(read: &Read<'_>, boards: &mut Boards, title: &Title, period: Period) -> Result<Option<Vec<Spot>>, Unready> {
    let calendar = &read.campaign.calendar;
    let Some(number) = read.reader.directory()?.campaigns.get(&(read.corp.clone(), read.campaign.id.clone())).copied() else { return Ok(Some(Vec::new())) };
    let closed_at = closed_at(read.reader, calendar, period, read.now)?;
    if board::closes_at(calendar, period).is_none_or(|closes| closes > read.now) {
        return Ok(None);
    }
    let which = |hides_staff| Which {
        campaign: number,
        accounts_of: None,
        earned_in: None,
        earned_by: title.of.clone(),
        days: title.days(period),
        closed_at,
        hides_staff,
    };
    let hidden: HashSet<AccountId> = read.reader.hidden()?.into_iter().collect();
    // Employees win nothing where customers play; among themselves they do.
    for which in [which(read.campaign.staff != Staff::Pay), which(false)] {
        caught_up(read.reader, boards, &which, calendar)?;
        let shown = boards.earned(&which).filter(|(account, _)| !hidden.contains(account));
        let top = board::standing(shown, None, title.top).top;
        if !top.is_empty() || read.campaign.staff == Staff::Skip {
            return Ok(Some(top));
        }
    }
    Ok(Some(Vec::new()))
}

/// Where a title's winners are read.
pub struct Read<'a> {
    /// The store.
    pub reader: &'a dyn Reader,
    /// The corp.
    pub corp: CorpName,
    /// The campaign.
    pub campaign: &'a Campaign,
    /// Now.
    pub now: Millis,
}

impl Question<'_> {
    /// The arguments that tell who has which title: the winners of each title's last period, and how often the asker won it.
    pub(super) fn titles(&self, boards: &mut Boards) -> Result<Args, Unready> {
        let Some(campaign) = self.campaign() else { return Ok(Args::default()) };
        let today = campaign.calendar.day(self.now);
        let account = self.asker()?.and_then(|asker| asker.account);
        let mut told = Vec::new();
        for title in &campaign.titles {
            let period = title.last_closed(&campaign.calendar, self.now);
            let names = self.winner_names(boards, campaign, title, period)?;
            let times = account.as_ref().and_then(|account| account.state.code(&title.code)).map_or(0, |code| code.total.times);
            let args = Args::default().text("标题", &*title.title).text("周期", format!("({})", title::in_words(period, today)));
            told.push(args.text("名单", names).int("次数", times));
        }
        Ok(Args::default().with("称号", Arg::List(told)))
    }

    /// The argument that tells who won a title; none where nobody did.
    pub(super) fn title_won(&self, boards: &mut Boards) -> Result<Args, Unready> {
        let arg = |wanted: &str| self.row.reply.args.0.iter().find(|(name, _)| **name == *wanted).map(|(_, arg)| arg);
        let (Some(Arg::Text(code)), Some(Arg::Int(slot))) = (arg(TITLE), arg(SLOT)) else { return Ok(Args::default()) };
        let Some(campaign) = self.campaign() else { return Ok(Args::default()) };
        let Some(title) = campaign.titles.iter().find(|title| *title.code == **code) else { return Ok(Args::default()) };
        Ok(Args::default().text("名单", self.winner_names(boards, campaign, title, title.period(*slot))?))
    }

    fn winner_names(&self, boards: &mut Boards, campaign: &Campaign, title: &Title, period: Period) -> Result<String, Unready> {
        let read = Read { reader: self.reader, corp: self.row.corp.clone(), campaign, now: self.now };
        let winners = winners(&read, boards, title, period)?.unwrap_or_default();
        let names: Result<Vec<String>, StoreError> =
            winners.iter().map(|spot| Ok(format!("{} {}", display_name(&self.name(spot.account)?), spot.points))).collect();
        Ok(names?.join(" · "))
    }
}
