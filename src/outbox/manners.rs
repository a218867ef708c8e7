//! Manners: when the assistant keeps silent although a rule would have it speak. Who asks is always answered. Pure.

use crate::model::day::Millis;
use crate::rules::assistant::Answer;
use crate::rules::campaign::{Campaign, Rules};
use crate::store::ReplyRow;

/// Why this reply is not said now; `None` to say it.
pub fn silence(rules: &Rules, row: &ReplyRow, now: Millis) -> Option<&'static str> {
    if row.reply.asked {
        return None;
    }
    match rules.assistant.answer {
        Answer::Never => return Some("rules.toml 写了 answer = \"never\",没有问就不播报"),
        Answer::Digest => return Some("rules.toml 写了 answer = \"digest\",不逐条播报"),
        Answer::Auto | Answer::Each => {}
    }
    let quiet = rules.assistant.quiet.as_ref()?;
    let campaign = campaign_of(rules, row)?;
    quiet.open_since(&campaign.calendar, now).map(|_| "在 quiet 的时段里,不播报")
}

/// The campaign a reply speaks of: its own, else the first.
pub fn campaign_of<'a>(rules: &'a Rules, row: &ReplyRow) -> Option<&'a Campaign> {
    let own = |campaign: &&Campaign| row.destination.campaign.as_ref() == Some(&campaign.id);
    rules.campaigns.iter().find(own).or(rules.campaigns.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{START, row, unasked};
    use crate::rules::file::load;

    fn silent(assistant: &str, row: &ReplyRow) -> Option<&'static str> {
        let text = format!("[assistant]\n{assistant}\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n");
        silence(&load(&text).expect("good rules").0, row, START)
    }

    #[test]
    fn who_asks_is_answered_even_at_night() {
        assert_eq!(silent("answer = \"never\"\nquiet = \"00:00-24:00\"", &row(1)), None);
    }

    #[test]
    fn unasked_answers_keep_to_the_operators_wish() {
        let unasked = unasked(row(1));
        assert_eq!(silent("", &unasked), None);
        assert_eq!(silent("answer = \"each\"", &unasked), None);
        assert!(silent("answer = \"never\"", &unasked).is_some_and(|reason| reason.contains("never")));
        assert!(silent("answer = \"digest\"", &unasked).is_some_and(|reason| reason.contains("digest")));
        assert!(silent("quiet = \"00:00-24:00\"", &unasked).is_some_and(|reason| reason.contains("quiet")));
    }
}
