//! The desk: where the outbox reads a reply again and turns it into texts. All calls may block.

use std::cell::RefCell;
use std::sync::Arc;

use crate::model::day::Millis;
use crate::model::ids::{EventSeq, ReplyId};
use crate::outbox::announce::{Announced, Announcement};
use crate::outbox::board::Boards;
use crate::outbox::gather::{Question, Unready, gather};
use crate::outbox::manners::{Manner, Room, manner};
use crate::outbox::remember::{REMEMBERED_SECS, Said};
use crate::rules::campaign::Rules;
use crate::rules::template::render;
use crate::rules::versions::Versions;
use crate::store::{REPLIES_PER_EVENT_MAX, Reader, ReplyRow, StoreError, reply_id};

/// Reads and writes out replies. The real one is [`ReaderDesk`]; tests have their own.
pub trait Desk: Send + 'static {
    /// Up to `limit` replies from `from` on that are still open, ascending.
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Vec<Opened>, String>;
    /// Whether the outbox is held until an operator releases it.
    fn held(&mut self) -> Result<bool, String>;
    /// The first reply that may tell, after a start, what was said already.
    fn remembers_from(&mut self, now: Millis) -> Result<ReplyId, String>;
    /// Those of up to `limit` replies from `from` on that were said, and where to go on; `None` at the end.
    fn said(&mut self, from: ReplyId, limit: usize) -> Result<(Vec<Said>, Option<ReplyId>), String>;
    /// What to say for a reply in such a room at this moment.
    fn compose(&mut self, id: ReplyId, room: Room, now: Millis) -> Composed;
    /// What to say for replies that were gathered.
    fn announce(&mut self, ids: &[ReplyId], now: Millis) -> Announced;
}

/// An open row, or one that cannot be read, and why.
pub type Opened = Result<Box<ReplyRow>, (ReplyId, String)>;

/// What to say for a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Composed {
    /// These texts, in order.
    Say {
        /// The reply.
        row: Box<ReplyRow>,
        /// Its texts; not empty.
        texts: Vec<String>,
    },
    /// It is told together with others, at this instant.
    Gather(Millis),
    /// Nothing, for this reason: the assistant keeps silent now, or the text is empty.
    Silent(&'static str),
    /// It cannot be rendered; the reason is for the operator.
    Broken(String),
    /// It is no longer open.
    Gone,
    /// It cannot be written just now (the store is busy, the board is being built): ask again.
    Later(String),
}

/// A desk over the store.
pub struct ReaderDesk {
    pub(super) reader: Box<dyn Reader>,
    versions: RefCell<Versions>,
    boards: Boards,
}

impl ReaderDesk {
    /// A desk that reads here.
    pub fn new(reader: Box<dyn Reader>) -> Self {
        ReaderDesk { reader, versions: RefCell::default(), boards: Boards::default() }
    }

    /// The rules a reply is written in.
    pub(super) fn rules(&mut self, row: &ReplyRow) -> Result<Result<Arc<Rules>, String>, StoreError> {
        let reader = self.reader.as_ref();
        let rules = self.versions.borrow_mut().get(row.rules, || reader.rules_text(row.rules))?;
        Ok(rules.ok_or_else(|| format!("找不到或读不懂当时的 rules.toml(版本 {})", row.rules)))
    }

    /// A reply's row, while it is open.
    pub(super) fn row(&self, id: ReplyId) -> Result<Option<ReplyRow>, StoreError> {
        Ok(self.reader.reply(id)?.filter(|row| row.state.is_open()))
    }

    fn composed(&mut self, id: ReplyId, room: Room, now: Millis) -> Result<Composed, StoreError> {
        match self.row(id)? {
            Some(row) => self.written(row, room, now),
            None => Ok(Composed::Gone),
        }
    }

    fn written(&mut self, row: ReplyRow, room: Room, now: Millis) -> Result<Composed, StoreError> {
        let rules = match self.rules(&row)? {
            Ok(rules) => rules,
            Err(reason) => return Ok(Composed::Broken(reason)),
        };
        match manner(&rules, &row, room, now) {
            Manner::Say => {}
            Manner::Gather(due) => return Ok(Composed::Gather(due)),
            Manner::Silent(reason) => return Ok(Composed::Silent(reason)),
        }
        let reader = self.reader.as_ref();
        let extra = match gather(&Question { reader, rules: &rules, row: &row, now, versions: &self.versions }, &mut self.boards) {
            Ok(extra) => extra,
            Err(error @ (Unready::Store(_) | Unready::Behind)) => return Ok(Composed::Later(error.to_string())),
            Err(error @ Unready::TooLarge) => return Ok(Composed::Broken(error.to_string())),
        };
        Ok(match render(&rules, &row.reply, &extra) {
            Ok(texts) if texts.iter().all(|text| text.trim().is_empty()) => Composed::Silent("回复的文字是空的"),
            Ok(texts) => Composed::Say { row: Box::new(row), texts },
            Err(error) => Composed::Broken(format!("回复的模板出错:{error}")),
        })
    }

    /// Open rows one by one, after reading them at once has met one that cannot be read.
    fn open_each(&self, from: ReplyId, limit: usize) -> Result<Vec<Opened>, StoreError> {
        let mut opened = Vec::new();
        for id in self.reader.open_reply_ids(from, limit)? {
            match self.row(id) {
                Ok(row) => opened.extend(row.map(|row| Ok(Box::new(row)))),
                Err(StoreError::Corrupt(reason)) => opened.push(Err((id, format!("这条回复在数据库里读不出来了,没有发送:{reason}")))),
                Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => return Err(error),
            }
        }
        Ok(opened)
    }
}

impl Desk for ReaderDesk {
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Vec<Opened>, String> {
        let opened = match self.reader.open_replies(from, limit) {
            Ok(rows) => Ok(rows.into_iter().map(|row| Ok(Box::new(row))).collect()),
            Err(StoreError::Corrupt(_)) => self.open_each(from, limit),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_) | StoreError::Damaged(_))) => Err(error),
        };
        opened.map_err(|error| error.to_string())
    }

    fn held(&mut self) -> Result<bool, String> {
        self.reader.outbox_held().map_err(|error| error.to_string())
    }

    fn remembers_from(&mut self, now: Millis) -> Result<ReplyId, String> {
        let first = self.first_event_since(now.plus_secs(-REMEMBERED_SECS));
        first.map(|event| reply_id(event, 0)).map_err(|error| error.to_string())
    }

    fn said(&mut self, from: ReplyId, limit: usize) -> Result<(Vec<Said>, Option<ReplyId>), String> {
        self.said_among(from, limit).map_err(|error| error.to_string())
    }

    fn compose(&mut self, id: ReplyId, room: Room, now: Millis) -> Composed {
        self.composed(id, room, now).unwrap_or_else(|error| match error {
            StoreError::Corrupt(reason) => Composed::Broken(reason),
            StoreError::Aborted(reason) | StoreError::Unknown(reason) | StoreError::Damaged(reason) => Composed::Later(reason),
        })
    }

    fn announce(&mut self, ids: &[ReplyId], now: Millis) -> Announced {
        self.announced(ids, now).unwrap_or_else(|error| Announced { closed: Vec::new(), rest: Announcement::Again(error.to_string()) })
    }
}

/// The event that caused a reply.
pub(super) fn event_of(id: ReplyId) -> EventSeq {
    EventSeq(id.0 / REPLIES_PER_EVENT_MAX as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Question;
    use crate::model::reply::Occasion;
    use crate::outbox::town::Town;

    const ROOM: Room = Room { shared: true, crowded: false };

    fn composed(town: &Town, row: &ReplyRow) -> Composed {
        ReaderDesk::new(Box::new(town.reader())).compose(row.id, ROOM, row.created_at)
    }

    fn text(town: &Town, row: &ReplyRow) -> String {
        match composed(town, row) {
            Composed::Say { texts, .. } => texts.join("\n"),
            other => panic!("it should be said: {other:?}"),
        }
    }

    #[test]
    fn why_is_answered_with_the_askers_own_words_and_the_verdicts() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.says("xiaohong", 1, "11-22 09:01", "小红的秘密", 2);
        town.says("aming", 1, "11-22 09:02", "哈哈", 0);
        let row = town.asks("aming", 1, "11-22 09:05", Question::Why, Occasion::Why);
        let text = text(&town, &row);
        for part in ["9:02「哈哈」", "4 个字", "9:00「签到」", "+2 每日签到"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(!text.contains("小红"), "{text}");
    }

    #[test]
    fn rank_and_history_are_answered_from_the_ledger() {
        let mut town = Town::default();
        town.says("xiaohong", 1, "11-22 09:00", "签到", 12);
        town.says("aming", 1, "11-22 09:01", "签到", 2);
        let rank = town.asks("aming", 1, "11-22 20:45", Question::Rank, Occasion::Rank);
        let told = text(&town, &rank);
        for part in ["20:45", "1 小红 12", "2 阿明 2", "第 2 名", "10 分"] {
            assert!(told.contains(part), "no {part} in {told}");
        }
        let history = town.asks("aming", 1, "11-22 20:46", Question::History, Occasion::History);
        assert!(text(&town, &history).contains("9:01 每日签到 +2,余 2"), "{}", text(&town, &history));
    }

    #[test]
    fn what_is_no_longer_there_is_gone_and_unknown_rules_are_told_to_the_operator() {
        let mut town = Town::default();
        let row = town.asks("aming", 1, "11-22 09:05", Question::Why, Occasion::Why);
        assert_eq!(composed(&town, &ReplyRow { id: ReplyId(row.id.0 + 1), ..row.clone() }), Composed::Gone);
        let mut desk = ReaderDesk::new(Box::new(town.reader()));
        let lost = ReplyRow { rules: crate::model::ids::RulesHash([7; 16]), ..row };
        assert!(matches!(desk.written(lost, ROOM, Millis(0)), Ok(Composed::Broken(reason)) if reason.contains("rules.toml")));
    }
}
