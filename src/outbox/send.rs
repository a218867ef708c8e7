//! Sending one reply: its ways one after another until one takes it, and what came of it.

use std::future::Future;
use std::sync::Arc;

use crate::model::ids::CorpName;
use crate::outbox::circuit::Contact;
use crate::outbox::route::Way;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// WeCom took it.
    Sent,
    /// WeCom refused for good.
    Refused(Arc<str>),
    /// WeCom asks to come back later; it was not delivered.
    Retry {
        /// Seconds to wait.
        after_secs: i64,
        /// Why.
        reason: Arc<str>,
    },
    /// No connection: certainly not sent.
    Unreachable(Arc<str>),
    /// It went out and no usable answer came back.
    Unknown(Arc<str>),
}

impl Attempt {
    /// What it says of the API's health.
    pub fn contact(&self) -> Contact {
        match self {
            Attempt::Sent | Attempt::Refused(_) | Attempt::Retry { .. } => Contact::Reached,
            Attempt::Unreachable(_) | Attempt::Unknown(_) => Contact::Failed,
        }
    }

    fn is_sent(&self) -> bool {
        matches!(self, Attempt::Sent)
    }

    /// Whether it was certainly not delivered and may be delivered later the same way.
    fn may_come_later(&self) -> bool {
        matches!(self, Attempt::Retry { .. } | Attempt::Unreachable(_))
    }
}

/// Sends one text one way. The real one is WeCom's client; tests have their own.
pub trait Sender: Send + Sync + 'static {
    /// Sends it; never panics, never takes longer than the client's own time limit.
    fn send(&self, corp: &CorpName, way: &Way, text: &str) -> impl Future<Output = Attempt> + Send;
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The attempt that counts.
    pub attempt: Attempt,
    /// The way it went.
    pub way: &'static str,
}

/// Tries the ways in order. A refusal falls to the next one; so does a one-call address that was certainly not used up.
/// Whatever is in doubt is never said a second time. `ways` must not be empty.
pub async fn deliver(sender: &impl Sender, corp: &CorpName, ways: &[Way], texts: &[String]) -> Delivery {
    let mut best: Option<Delivery> = None;
    for way in ways {
        let attempt = send_all(sender, corp, way, texts).await;
        let falls = match &attempt {
            Attempt::Sent | Attempt::Unknown(_) => false,
            Attempt::Refused(_) => true,
            Attempt::Retry { .. } | Attempt::Unreachable(_) => way.is_one_shot(),
        };
        let delivery = Delivery { attempt, way: way.as_str() };
        if !falls {
            return delivery;
        }
        best = Some(best.filter(|best| best.attempt.may_come_later()).unwrap_or(delivery));
    }
    best.unwrap_or(Delivery { attempt: Attempt::Refused("没有路可走".into()), way: "none" })
}

/// All texts of a reply one way: joined where there is one call only, else in order.
async fn send_all(sender: &impl Sender, corp: &CorpName, way: &Way, texts: &[String]) -> Attempt {
    if way.is_one_shot() {
        return sender.send(corp, way, &texts.join("\n\n")).await;
    }
    for (place, text) in texts.iter().enumerate() {
        let attempt = sender.send(corp, way, text).await;
        if !attempt.is_sent() {
            return if place == 0 { attempt } else { partly_sent(place, &attempt) };
        }
    }
    Attempt::Sent
}

/// The first texts are out, so nothing may be repeated.
fn partly_sent(place: usize, attempt: &Attempt) -> Attempt {
    let reason = match attempt {
        Attempt::Sent => "",
        Attempt::Refused(reason) | Attempt::Retry { reason, .. } | Attempt::Unreachable(reason) | Attempt::Unknown(reason) => reason,
    };
    Attempt::Unknown(format!("前 {place} 条已发出,第 {} 条没有:{reason}", place + 1).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{Script, refused, retry, unknown, unreachable};

    fn ways() -> [Way; 2] {
        [Way::ResponseUrl("https://api.test/response".into()), Way::Private { app: "assistant".into(), to: "aming".into() }]
    }

    async fn delivered(script: Script, ways: &[Way], texts: &[&str]) -> (Delivery, Vec<String>) {
        let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
        let delivery = deliver(&script, &"acme".into(), ways, &texts).await;
        (delivery, script.sent())
    }

    #[tokio::test]
    async fn a_refused_or_unused_one_call_address_falls_to_the_next_way() {
        for first in [refused(), unreachable(), retry()] {
            let (delivery, sent) = delivered(Script::answering([first, Attempt::Sent]), &ways(), &["你好"]).await;
            assert_eq!(delivery, Delivery { attempt: Attempt::Sent, way: "private" });
            assert_eq!(sent, ["response_url 你好", "private 你好"]);
        }
    }

    #[tokio::test]
    async fn doubt_ends_it() {
        let (delivery, sent) = delivered(Script::answering([unknown()]), &ways(), &["你好"]).await;
        assert_eq!(delivery.attempt, unknown());
        assert_eq!(sent.len(), 1);
    }

    #[tokio::test]
    async fn what_may_come_later_is_not_turned_into_a_refusal() {
        let (delivery, _) = delivered(Script::answering([unreachable(), refused()]), &ways(), &["你好"]).await;
        assert_eq!(delivery.attempt, unreachable());
    }

    #[tokio::test]
    async fn several_texts_go_in_order_and_are_joined_for_one_call() {
        let (_, sent) = delivered(Script::default(), &ways()[1..], &["一", "二"]).await;
        assert_eq!(sent, ["private 一", "private 二"]);
        let (_, sent) = delivered(Script::default(), &ways()[..1], &["一", "二"]).await;
        assert_eq!(sent, ["response_url 一\n\n二"]);
    }

    #[tokio::test]
    async fn after_the_first_text_nothing_is_repeated() {
        let (delivery, _) = delivered(Script::answering([Attempt::Sent, retry()]), &ways()[1..], &["一", "二"]).await;
        assert!(matches!(&delivery.attempt, Attempt::Unknown(reason) if reason.contains("第 2 条")), "{delivery:?}");
    }
}
