//! What became of a message: sent, refused, to be tried again, held up by who sends it, or unknown.

use super::errcode::{self, Meaning};
use super::http::{Answer, Failure};
use super::token::NoToken;

/// Rest of an app whose token was refused twice, in seconds.
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
    /// Not sent: too long for one message.
    TooLong {
        /// For people.
        reason: String,
    },
    /// Certainly not sent; worth trying again in a moment.
    Busy {
        /// For people.
        reason: String,
    },
    /// WeCom could not be reached: certainly not sent. Counts towards the circuit.
    Unreachable {
        /// For people.
        reason: String,
    },
    /// Certainly not sent, and it was not this message's fault: whoever was to send it cannot.
    Held {
        /// Why.
        trouble: Trouble,
        /// For people.
        reason: String,
    },
    /// It may have been sent: not to be sent again, but where WeCom drops repetitions itself.
    Unknown {
        /// For people.
        reason: String,
    },
}

/// Why an app or a robot cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It sent too many messages (45009).
    Limited {
        /// How long the window lasts that is used up, in seconds, where WeCom told.
        window_secs: Option<u32>,
    },
    /// It sent too many at once (45033).
    Crowded,
    /// There is no access token for it just now.
    NoToken {
        /// Seconds until asking again makes sense.
        after_secs: u32,
    },
    /// It cannot speak before a person changes something.
    Stopped,
    /// It cannot speak in this group any more.
    Gone,
}

/// What a call came to whose answer matters only by its code.
pub(super) fn outcome(answered: Result<Answer, Failure>) -> Outcome {
    accepted(answered).map_or_else(|outcome| outcome, |answer| sent(&answer))
}

/// An answer with code 0, or what became of the call.
pub(super) fn accepted(answered: Result<Answer, Failure>) -> Result<Answer, Outcome> {
    let answer = answered.map_err(unanswered)?;
    let (code, reason) = (answer.code, errcode::explain(&answer));
    Err(match errcode::meaning(code) {
        Meaning::Done => return Ok(answer),
        Meaning::Busy => Outcome::Busy { reason },
        Meaning::Split => Outcome::TooLong { reason },
        Meaning::Drop => Outcome::Refused { code, reason },
        Meaning::Limited => Outcome::Held { trouble: Trouble::Limited { window_secs: errcode::window_secs(&answer) }, reason },
        Meaning::Crowded => Outcome::Held { trouble: Trouble::Crowded, reason },
        Meaning::Gone => Outcome::Held { trouble: Trouble::Gone, reason },
        Meaning::StaleToken if code != 40001 => Outcome::Held { trouble: Trouble::NoToken { after_secs: STALE_SECS }, reason },
        Meaning::StaleToken | Meaning::Stop => Outcome::Held { trouble: Trouble::Stopped, reason },
    })
}

fn unanswered(failure: Failure) -> Outcome {
    let reason = failure.reason().to_owned();
    match failure {
        Failure::NotSent(_) => Outcome::Unreachable { reason },
        Failure::Lost(_) => Outcome::Unknown { reason },
    }
}

/// What becomes of a call for which there is no token: it never left.
pub(super) fn without_token(no_token: NoToken) -> Outcome {
    let NoToken { after_secs, is_hopeless, is_unreachable, reason } = no_token;
    match (is_unreachable, is_hopeless) {
        (true, _) => Outcome::Unreachable { reason },
        (false, true) => Outcome::Held { trouble: Trouble::Stopped, reason },
        (false, false) => Outcome::Held { trouble: Trouble::NoToken { after_secs }, reason },
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
