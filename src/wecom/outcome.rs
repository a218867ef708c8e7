//! What became of a message: sent, refused, to be tried again, or unknown.

use super::errcode::{self, Meaning};
use super::http::{Answer, Failure};
use super::token::NoToken;

/// Rest before a call that never left is tried again.
const UNREACHABLE_SECS: u32 = 10;
/// Rest after a token that was refused twice.
const STALE_SECS: u32 = 30;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// WeCom took it.
    Sent {
        /// Its id, where the call tells one.
        msgid: Option<String>,
    },
    /// Not sent, and the same would be refused again.
    Refused {
        /// WeCom's code; 0 where we refused, or where WeCom took the call but not the recipient.
        code: i64,
        /// For people: the code, what it means, what to do. No name, text or secret.
        reason: String,
    },
    /// Certainly not sent; worth trying again.
    Retry {
        /// Seconds to wait.
        after_secs: u32,
        /// WeCom could not be reached at all: count it towards the circuit.
        unreachable: bool,
        /// For people.
        reason: String,
    },
    /// It may have been sent: never send it again by itself.
    Unknown {
        /// For people.
        reason: String,
    },
}

/// What a call came to whose answer matters only by its code.
pub(super) fn outcome(answered: Result<Answer, Failure>) -> Outcome {
    accepted(answered).map_or_else(|outcome| outcome, |answer| sent(&answer))
}

/// An answer with code 0, or what became of the call.
pub(super) fn accepted(answered: Result<Answer, Failure>) -> Result<Answer, Outcome> {
    let answer = answered.map_err(unanswered)?;
    match errcode::meaning(answer.code) {
        Meaning::Done => Ok(answer),
        Meaning::Later { after_secs } => Err(Outcome::Retry { after_secs, unreachable: false, reason: errcode::explain(&answer) }),
        Meaning::StaleToken if answer.code != 40001 => Err(Outcome::Retry { after_secs: STALE_SECS, unreachable: false, reason: errcode::explain(&answer) }),
        Meaning::StaleToken | Meaning::Refused => Err(Outcome::Refused { code: answer.code, reason: errcode::explain(&answer) }),
    }
}

fn unanswered(failure: Failure) -> Outcome {
    let reason = failure.reason().to_owned();
    match failure {
        Failure::Unreachable => Outcome::Retry { after_secs: UNREACHABLE_SECS, unreachable: true, reason },
        Failure::Lost(_) => Outcome::Unknown { reason },
    }
}

/// What becomes of a call for which there is no token: it never left.
pub(super) fn without_token(no_token: NoToken) -> Outcome {
    match no_token.code {
        Some(code) if errcode::meaning(code) == Meaning::Refused || no_token.is_hopeless => Outcome::Refused { code, reason: no_token.reason },
        _ => Outcome::Retry { after_secs: no_token.after_secs, unreachable: no_token.is_unreachable, reason: no_token.reason },
    }
}

/// WeCom took it.
pub(super) fn sent(answer: &Answer) -> Outcome {
    Outcome::Sent { msgid: Some(answer.text("msgid")).filter(|msgid| !msgid.is_empty()).map(str::to_owned) }
}

/// A recipient whom WeCom passed over is told with code 0, in lower case.
pub(super) fn delivered(answer: &Answer, touser: &str) -> Outcome {
    let has = |field: &str| answer.text(field).split('|').any(|userid| userid.eq_ignore_ascii_case(touser));
    if has("invaliduser") {
        return Outcome::Refused {
            code: 0, reason: "没有送达:收件人不在应用的可见范围内;请在管理后台把成员加进应用的可见范围".into()
        };
    }
    if has("unlicenseduser") {
        return Outcome::Refused { code: 0, reason: "没有送达:收件人没有接口许可;请在管理后台为成员分配许可".into() };
    }
    sent(answer)
}

/// We refused to call an address.
pub(super) fn foreign() -> Outcome {
    Outcome::Refused { code: 0, reason: "回调里留下的回复地址不属于企业微信(与 api_base 不同源),没有发送".into() }
}
