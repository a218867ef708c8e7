//! Announcing: which of the gathered successes are told now, together or alone, and which are not told any more. Reads, never writes.

use std::sync::Arc;

use crate::model::day::Millis;
use crate::model::decision::{Arg, Args};
use crate::model::ids::ReplyId;
use crate::outbox::bulletin::{self, Named};
use crate::outbox::desk::ReaderDesk;
use crate::outbox::manners::{self, Moment, NEVER_TOLD, campaign_of};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::template::{render, together};
use crate::store::aftermath::{Aftermath, aftermath};
use crate::store::{Reader, ReplyRow, ReplyState, StoreError};

/// What to say for replies that were gathered.
#[derive(Debug, Clone, PartialEq)]
pub struct Announced {
    /// Those that are done with and not said, with their reasons. Those that are no longer open are nowhere.
    pub closed: Vec<(ReplyId, ReplyState, String)>,
    /// What to do for the others.
    pub rest: Announcement,
}

/// What to do for gathered replies.
#[derive(Debug, Clone, PartialEq)]
pub enum Announcement {
    /// There are none.
    Nothing,
    /// To be told at this instant.
    Later(Millis),
    /// The store cannot be read: ask again.
    Again(String),
    /// These texts.
    Say {
        /// The newest of the replies.
        row: Box<ReplyRow>,
        /// All of them.
        covers: Vec<ReplyId>,
        /// In order; not empty.
        texts: Vec<String>,
        /// The digest; `None` where one member's answers are told as they would have been alone.
        named: Option<Named>,
    },
}

/// A success that is told with others.
pub struct Success {
    /// The reply.
    pub row: ReplyRow,
    /// What its rules paid.
    pub entries: Vec<Entry>,
}

/// What one rule paid for a success, as it holds now.
pub struct Entry {
    /// The rule's title.
    pub title: String,
    /// All of it.
    pub points: i64,
    /// The streak bonus in it.
    pub bonus: i64,
    /// The days in a row that brought it.
    pub rung: i64,
}

/// Why a success is not told now.
enum Untold {
    /// It is told at this instant.
    Later(Millis),
    /// It is done with, for this reason.
    Closed(ReplyState, String),
}

impl ReaderDesk {
    /// Sorts gathered replies into those to tell, those to tell later, and those that are done with.
    fn sorted(&mut self, ids: &[ReplyId], now: Millis) -> Result<Sorted, StoreError> {
        let mut sorted = Sorted::default();
        for &id in ids {
            match self.success(id, now) {
                Ok(None) => {}
                Ok(Some(Ok(success))) => sorted.told.push(success),
                Ok(Some(Err(Untold::Later(due)))) => sorted.later = sorted.later.max(Some(due)),
                Ok(Some(Err(Untold::Closed(state, reason)))) => sorted.closed.push((id, state, reason)),
                Err(StoreError::Corrupt(reason)) => sorted.closed.push((id, ReplyState::Refused, reason)),
                Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => return Err(error),
            }
        }
        Ok(sorted)
    }

    fn success(&mut self, id: ReplyId, now: Millis) -> Result<Option<Result<Success, Untold>>, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        let rules = match self.rules(&row)? {
            Ok(rules) => rules,
            Err(reason) => return Ok(Some(Err(Untold::Closed(ReplyState::Refused, reason)))),
        };
        success(self.reader.as_ref(), &rules, row, now).map(Some)
    }

    /// The texts for successes, under the newest of their rules. The inner error is that they cannot be written.
    fn told(&mut self, told: &[Success], row: &ReplyRow, now: Millis) -> Result<Result<Texts, String>, StoreError> {
        let rules = match self.rules(row)? {
            Ok(rules) => rules,
            Err(reason) => return Ok(Err(reason)),
        };
        let texts = if bulletin::is_of_one_member(told) {
            let each: Result<Vec<_>, _> = told.iter().map(|success| render(&rules, &success.row.reply, &Default::default())).collect();
            each.map(|texts| (vec![texts.concat().join("\n")], None))
        } else {
            bulletin::digest(&rules, told, now).map(|(texts, named)| (texts, Some(named)))
        };
        Ok(texts.map_err(|error| format!("回复的模板出错:{error}")))
    }

    /// What to say for gathered replies.
    pub(super) fn announced(&mut self, ids: &[ReplyId], now: Millis) -> Result<Announced, StoreError> {
        let Sorted { told, later, mut closed } = self.sorted(ids, now)?;
        if let Some(due) = later {
            return Ok(Announced { closed, rest: Announcement::Later(due) });
        }
        let covers: Vec<ReplyId> = told.iter().map(|success| success.row.id).collect();
        let Some(row) = told.last().map(|last| last.row.clone()) else {
            return Ok(Announced { closed, rest: Announcement::Nothing });
        };
        let reason = match self.told(&told, &row, now)? {
            Ok((texts, named)) if texts.iter().any(|text| !text.trim().is_empty()) => {
                return Ok(Announced { closed, rest: Announcement::Say { row: Box::new(row), covers, texts, named } });
            }
            Ok(_) => "播报的文字是空的".to_owned(),
            Err(reason) => reason,
        };
        closed.extend(covers.into_iter().map(|id| (id, ReplyState::Refused, reason.clone())));
        Ok(Announced { closed, rest: Announcement::Nothing })
    }
}

/// What is said, and the digest it is; `None` for one member's own answers.
type Texts = (Vec<String>, Option<Named>);

/// Gathered replies, sorted.
#[derive(Default)]
struct Sorted {
    told: Vec<Success>,
    /// When all of them are told, where one may not be told yet.
    later: Option<Millis>,
    closed: Vec<(ReplyId, ReplyState, String)>,
}

/// A success as it holds now: what was taken back since is not celebrated.
///
/// # Errors
/// The store cannot be read.
fn success(reader: &dyn Reader, rules: &Rules, row: ReplyRow, now: Millis) -> Result<Result<Success, Untold>, StoreError> {
    match manners::moment(rules, &row, now) {
        Moment::Now => {}
        Moment::At(moment) => return Ok(Err(Untold::Later(moment))),
        Moment::Never => return Ok(Err(Untold::Closed(ReplyState::Suppressed, NEVER_TOLD.into()))),
    }
    let Some(event) = reader.event(row.event)? else {
        return Err(StoreError::Corrupt(format!("第 {} 号回复没有它的事件", row.id)));
    };
    let later = aftermath(reader, &event)?;
    let mut entries: Vec<Entry> = std::iter::once(&row.reply.args).chain(together(&row.reply.args)).map(entry).collect();
    correct(&mut entries, &later, campaign_of(rules, &row));
    if later.taken_back || entries.is_empty() {
        return Ok(Err(Untold::Closed(ReplyState::Suppressed, format!("播报之前{},不再播报", later.in_words()))));
    }
    Ok(Ok(Success { row, entries }))
}

fn entry(args: &Args) -> Entry {
    let int = |wanted: &str| {
        let found = args.0.iter().find(|(name, _)| **name == *wanted).map(|(_, arg)| arg);
        if let Some(Arg::Int(number)) = found { *number } else { 0 }
    };
    let title = args.0.iter().find_map(|(name, arg)| match arg {
        Arg::Text(text) if **name == *"标题" => Some(text.clone()),
        Arg::Text(_) | Arg::Int(_) | Arg::Flag(_) | Arg::List(_) => None,
    });
    // A payment that a cap clipped need not hold the whole bonus any more.
    let is_clipped = args.0.iter().any(|(name, arg)| **name == *"封顶" && *arg == Arg::Flag(true));
    let bonus = if is_clipped { 0 } else { int("奖励") };
    Entry { title: title.unwrap_or_default(), points: int("得分"), bonus, rung: int("档位") }
}

/// What later events changed: a rule that no longer pays is not told of.
fn correct(entries: &mut Vec<Entry>, later: &Aftermath, campaign: Option<&Campaign>) {
    let title = |code: &Arc<str>| campaign.and_then(|campaign| campaign.rules.iter().find(|rule| rule.code == *code)).map(|rule| rule.title());
    for (code, now) in &later.now {
        let changed = entries.iter_mut().find(|entry| Some(&*entry.title) == title(code));
        changed.into_iter().for_each(|entry| (entry.points, entry.bonus) = (*now, 0));
    }
    entries.retain(|entry| entry.points > 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::town::{Town, at};

    fn announced(town: &Town, rows: &[&ReplyRow], now: &str) -> Announced {
        let ids: Vec<ReplyId> = rows.iter().map(|row| row.id).collect();
        ReaderDesk::new(Box::new(town.reader())).announced(&ids, at(now)).expect("memory reads")
    }

    #[test]
    fn two_members_are_told_together_and_one_as_if_alone() {
        let mut town = Town::default();
        let (aming, xiaohong) = (town.checks_in("aming", "11-22 08:01"), town.checks_in("xiaohong", "11-22 08:02"));
        let Announcement::Say { covers, texts, named, .. } = announced(&town, &[&aming, &xiaohong], "11-22 08:10").rest else { panic!("it is told") };
        assert_eq!(covers, [aming.id, xiaohong.id]);
        assert_eq!(texts, ["【每日签到播报 8:00–8:10】阿明、小红 每日签到成功,每人 +2。没记上?@积分助手 发「为什么」。"]);
        assert_eq!(named.map(|named| named.name).as_deref(), Some("播报 8:00–8:10"));
        let Announcement::Say { texts, named, .. } = announced(&town, &[&aming], "11-22 08:10").rest else { panic!("it is told") };
        assert_eq!((texts, named), (vec!["阿明 每日签到成功 +2,现有 2 积分。".to_owned()], None));
    }

    #[test]
    fn what_was_taken_back_before_its_digest_is_not_celebrated() {
        let mut town = Town::default();
        let (aming, xiaohong) = (town.checks_in("aming", "11-22 08:01"), town.checks_in("xiaohong", "11-22 08:02"));
        town.recalls("xiaohong", "11-22 08:03", xiaohong.event);
        let told = announced(&town, &[&aming, &xiaohong], "11-22 08:10");
        assert_eq!(told.closed, [(xiaohong.id, ReplyState::Suppressed, "播报之前已撤回,积分已退回,不再播报".to_owned())]);
        let Announcement::Say { covers, texts, .. } = told.rest else { panic!("it is told") };
        assert_eq!(covers, [aming.id]);
        assert!(!texts[0].contains("小红"), "{texts:?}");
    }

    #[test]
    fn who_is_no_longer_open_or_whose_day_is_over_is_not_told() {
        let mut town = Town::default();
        let (aming, xiaohong) = (town.checks_in("aming", "11-22 23:51"), town.checks_in("xiaohong", "11-22 23:52"));
        town.settles(vec![crate::store::ReplyOutcome { id: xiaohong.id, state: ReplyState::Refused, tries: 0, reason: None }]);
        assert!(matches!(announced(&town, &[&aming, &xiaohong], "11-23 00:00").rest, Announcement::Say { covers, .. } if covers == [aming.id]));
        let late = announced(&town, &[&aming, &xiaohong], "11-23 00:30");
        assert_eq!((late.closed, late.rest), (vec![(aming.id, ReplyState::Suppressed, NEVER_TOLD.to_owned())], Announcement::Nothing));
    }
}
