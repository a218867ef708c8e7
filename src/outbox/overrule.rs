//! Overruling: what an operator may want with a reply — to have it sent again, or not at all — and when that is refused. Pure.

use crate::model::day::Millis;
use crate::model::event::Channel;
use crate::store::{Overrule, RETRIED, ReplyRow, ReplyState};

/// The reason of a reply that an operator dropped.
const DROPPED: &str = "已由 jifen outbox drop 丢弃";

/// How much an operator dares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daring {
    /// Only what surely did not arrive.
    Careful,
    /// Also what may have arrived: it may be said twice.
    EvenIfDoubled,
}

/// Sends a reply again, as if it were committed `now`; or why not, for the operator.
pub fn retry(row: &ReplyRow, daring: Daring, now: Millis) -> Result<Overrule, &'static str> {
    if row.destination.channel == Channel::Replay {
        return Err("是补录或补判的消息的回复,从来不发送");
    }
    match (row.state, daring) {
        (ReplyState::Waiting, _) => Err("本来就在等着发"),
        (ReplyState::Sending, _) => Err("正在发送,等它有了结果再看"),
        (ReplyState::Sent, _) => Err("已经发出去了"),
        (ReplyState::Unknown, Daring::Careful) => Err("不知道上次有没有发出去,再发可能重复;一定要发就加 --even-if-doubled"),
        (ReplyState::Unknown, Daring::EvenIfDoubled) | (ReplyState::Refused | ReplyState::Expired | ReplyState::Suppressed, _) => {
            Ok(Overrule { id: row.id, from: row.state, to: ReplyState::Waiting, renewed_at: Some(now), reason: RETRIED.into() })
        }
    }
}

/// Drops a reply that waits; or why not, for the operator.
pub fn drop(row: &ReplyRow) -> Result<Overrule, &'static str> {
    match row.state {
        ReplyState::Waiting => Ok(Overrule { id: row.id, from: row.state, to: ReplyState::Suppressed, renewed_at: None, reason: DROPPED.into() }),
        ReplyState::Sending => Err("正在发送,拦不住了"),
        ReplyState::Sent => Err("已经发出去了"),
        ReplyState::Refused | ReplyState::Unknown | ReplyState::Expired | ReplyState::Suppressed => Err("早就不在待发之列"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{START, destination, row};

    fn standing(state: ReplyState) -> ReplyRow {
        ReplyRow { state, tries: 3, ..row(1) }
    }

    #[test]
    fn what_did_not_arrive_is_sent_again_with_a_new_life() {
        for state in [ReplyState::Refused, ReplyState::Expired, ReplyState::Suppressed] {
            let overrule = retry(&standing(state), Daring::Careful, START.plus_secs(9_000)).expect("it may be sent again");
            assert_eq!((overrule.from, overrule.to, overrule.renewed_at), (state, ReplyState::Waiting, Some(START.plus_secs(9_000))));
        }
    }

    #[test]
    fn what_may_have_arrived_is_sent_again_only_by_who_says_so() {
        let row = standing(ReplyState::Unknown);
        assert!(retry(&row, Daring::Careful, START).is_err_and(|reason| reason.contains("--even-if-doubled")));
        assert!(retry(&row, Daring::EvenIfDoubled, START).is_ok());
    }

    #[test]
    fn what_is_sent_under_way_or_history_is_left_alone() {
        for state in [ReplyState::Waiting, ReplyState::Sending, ReplyState::Sent] {
            assert!(retry(&standing(state), Daring::EvenIfDoubled, START).is_err(), "{state:?}");
        }
        let history = ReplyRow { destination: destination(Channel::Replay, Some("wrGroup"), None), ..standing(ReplyState::Suppressed) };
        assert!(retry(&history, Daring::EvenIfDoubled, START).is_err());
    }

    #[test]
    fn only_what_waits_can_be_dropped() {
        assert_eq!(drop(&standing(ReplyState::Waiting)).map(|overrule| overrule.to), Ok(ReplyState::Suppressed));
        for state in [ReplyState::Sending, ReplyState::Sent, ReplyState::Refused, ReplyState::Unknown, ReplyState::Expired] {
            assert!(drop(&standing(state)).is_err(), "{state:?}");
        }
    }
}
