//! Why a line of a test came out as it did: what the rules said of it, in the words of 「为什么」.

use super::{Heard, Stage};
use crate::model::decision::{Outcome, Parking, Record};
use crate::model::event;
use crate::model::journal::EventRow;
use crate::rules::campaign::{Campaign, Mode};
use crate::rules::explain::{explain, telling};
use crate::rules::hint::{Unpaid, hint};
use crate::rules::testing::{Said, TestLine};
use crate::store::StoreError;

/// Characters of a message that may have been meant as a word.
const WORD_CHARS_MAX: usize = 6;

impl Stage {
    /// What the rules said of a line; empty when there is nothing to say.
    pub(super) fn why(&self, line: &TestLine, heard: &Heard) -> Vec<String> {
        if line.said == Said::Time {
            return Vec::new();
        }
        let told = self.reader.event(heard.event).and_then(|event| event.map_or(Ok(Vec::new()), |event| self.reasons(line, &event)));
        told.unwrap_or_else(|error| vec![error.to_string()])
    }

    fn reasons(&self, line: &TestLine, event: &EventRow) -> Result<Vec<String>, StoreError> {
        let alone = match &event.record.outcome {
            Outcome::Parked(Parking::Approval) => Some("等另一位管理员批准".to_owned()),
            Outcome::Parked(Parking::GroupUnknown) => Some("还不知道这个群叫什么".to_owned()),
            Outcome::Failed(reason) => Some(format!("判定时出错:{reason}")),
            Outcome::RecalledBefore => Some("到达之前就已撤回".to_owned()),
            Outcome::TwinOf(_) => Some("同一条消息已从另一个通道记过".to_owned()),
            Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => None,
        };
        if let Some(alone) = alone {
            return Ok(vec![alone]);
        }
        let directory = self.reader.directory()?;
        let name = directory.campaigns.iter().find(|(_, number)| Some(**number) == event.campaign).map(|((_, name), _)| name);
        let Some(campaign) = self.rules.campaigns.iter().find(|campaign| Some(&campaign.id) == name) else {
            return Ok(vec!["没有活动包括这个群;请看 campaign 的 groups".to_owned()]);
        };
        let record = &event.record;
        let told = telling(&record.verdicts).into_iter().map(|verdict| explain(Some(&self.rules), verdict, &campaign.calendar, (event.at, event.at)));
        let mut told: Vec<String> = told.collect();
        if record.verdicts.iter().all(|verdict| verdict.ruling.change() == 0) {
            let said = self.reader.contents(event.seq)?.and_then(|json| serde_json::from_slice::<event::Said>(&json).ok());
            let place = directory.place(event.group);
            let hint = hint(&Unpaid { campaign, names: &self.rules.assistant.names, record, said: said.as_ref(), place: place.as_ref(), at: event.at });
            match hint.is_empty() {
                true => told.splice(0..0, said.and_then(|said| no_word(campaign, record, &said))).for_each(drop),
                false => told.push(hint),
            }
        }
        if told.is_empty() {
            told.extend(unlooked(&line.said));
        }
        Ok(told)
    }
}

/// That no rule has this word, which explains more than talk rules that were closed; `None` for what is too long to be meant as a word.
fn no_word(campaign: &Campaign, record: &Record, said: &event::Said) -> Option<String> {
    let heard = record.heard.as_ref().filter(|heard| heard.matched.is_empty() && heard.question.is_none())?;
    let text = said.text.trim();
    if heard.chars == 0 || text.chars().count() > WORD_CHARS_MAX {
        return None;
    }
    let words = campaign.rules.iter().filter(|rule| rule.common.mode != Mode::Off).filter_map(|rule| rule.kind.listens_for().first());
    let words: Vec<String> = words.take(3).map(|listen| format!("「{}」", listen.text)).collect();
    (!words.is_empty()).then(|| format!("没有规则把「{text}」当口令;口令有{}", words.join("、")))
}

/// Why no rule looked at what is no message.
fn unlooked(said: &Said) -> Option<String> {
    match said {
        Said::Paid { .. } => Some("订单收下了,但还没有按订单给分的规则".to_owned()),
        Said::Happened { event, .. } => Some(format!("没有规则认「{event}」这个事件;要给分请写 [event.{event}]")),
        Said::Joined => Some("没有规则为进群给分;要给分请写 [event.…] on = \"joined\"".to_owned()),
        Said::Message { .. } | Said::Recalled | Said::Left | Said::Listed(_) | Said::Time => None,
    }
}
