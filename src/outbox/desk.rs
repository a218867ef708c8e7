//! The desk: where the outbox reads a reply again and turns it into texts. All calls may block.

use std::cell::RefCell;

use crate::model::day::Millis;
use crate::model::ids::ReplyId;
use crate::outbox::board::Board;
use crate::outbox::gather::{Question, Unready, gather};
use crate::outbox::manners::silence;
use crate::rules::template::render;
use crate::rules::versions::Versions;
use crate::store::{Reader, ReplyRow, StoreError};

/// Reads and writes out replies. The real one is [`ReaderDesk`]; tests have their own.
pub trait Desk: Send + 'static {
    /// Up to `limit` replies from `from` on that are still open, ascending.
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Opened, String>;
    /// Whether the outbox is held until an operator releases it.
    fn held(&mut self) -> Result<bool, String>;
    /// What to say for a reply at this moment.
    fn compose(&mut self, id: ReplyId, now: Millis) -> Composed;
}

/// Open replies read from the store.
#[derive(Debug, Default)]
pub struct Opened {
    /// Those that can be read.
    pub rows: Vec<ReplyRow>,
    /// Those that cannot.
    pub poison: Vec<ReplyId>,
    /// The last of all; `None` when there are no more.
    pub last: Option<ReplyId>,
}

impl Opened {
    /// All can be read.
    pub fn of(rows: Vec<ReplyRow>) -> Self {
        Opened { last: rows.last().map(|row| row.id), rows, poison: Vec::new() }
    }
}

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
    reader: Box<dyn Reader>,
    versions: RefCell<Versions>,
    board: Board,
}

impl ReaderDesk {
    /// A desk that reads here.
    pub fn new(reader: Box<dyn Reader>) -> Self {
        ReaderDesk { reader, versions: RefCell::default(), board: Board::default() }
    }

    /// One that cannot be read keeps no other one back.
    fn one_by_one(&self, from: ReplyId, limit: usize) -> Result<Opened, StoreError> {
        let ids = self.reader.open_reply_ids(from, limit)?;
        let mut opened = Opened { last: ids.last().copied(), ..Opened::default() };
        for id in ids {
            match self.reader.reply(id) {
                Ok(row) => opened.rows.extend(row),
                Err(StoreError::Corrupt(_)) => opened.poison.push(id),
                Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_))) => return Err(error),
            }
        }
        Ok(opened)
    }

    fn written(&mut self, row: ReplyRow, now: Millis) -> Result<Composed, StoreError> {
        let reader = self.reader.as_ref();
        let Some(rules) = self.versions.borrow_mut().get(row.rules, || reader.rules_text(row.rules))? else {
            return Ok(Composed::Broken(format!("找不到或读不懂当时的 rules.toml(版本 {})", row.rules)));
        };
        if let Some(reason) = silence(&rules, &row, now) {
            return Ok(Composed::Silent(reason));
        }
        let extra = match gather(&Question { reader, rules: &rules, row: &row, now, versions: &self.versions }, &mut self.board) {
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
}

impl Desk for ReaderDesk {
    fn open(&mut self, from: ReplyId, limit: usize) -> Result<Opened, String> {
        let opened = match self.reader.open_replies(from, limit) {
            Err(StoreError::Corrupt(_)) => self.one_by_one(from, limit),
            read => read.map(Opened::of),
        };
        opened.map_err(|error| error.to_string())
    }

    fn held(&mut self) -> Result<bool, String> {
        self.reader.outbox_held().map_err(|error| error.to_string())
    }

    fn compose(&mut self, id: ReplyId, now: Millis) -> Composed {
        let row = match self.reader.reply(id) {
            Ok(row) => row,
            Err(error @ StoreError::Corrupt(_)) => return Composed::Broken(error.to_string()),
            Err(error @ (StoreError::Aborted(_) | StoreError::Unknown(_))) => return Composed::Later(error.to_string()),
        };
        let Some(row) = row.filter(|row| row.state.is_open()) else { return Composed::Gone };
        self.written(row, now).unwrap_or_else(|error| Composed::Later(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::{Occasion, Question};
    use crate::outbox::town::Town;

    fn composed(town: &Town, row: &ReplyRow) -> Composed {
        ReaderDesk::new(Box::new(town.reader())).compose(row.id, row.created_at)
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
        assert!(matches!(desk.written(lost, Millis(0)), Ok(Composed::Broken(reason)) if reason.contains("rules.toml")));
    }
}
