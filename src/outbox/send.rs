//! Sending one reply: its ways one after another until one takes it, and what came of it.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use crate::model::ids::{CorpName, ReplyId};
use crate::outbox::circuit::Contact;
use crate::outbox::open_ways::{Pass, Warden};
use crate::outbox::route::Way;
use crate::store::Destination;
use crate::wecom::outcome::Trouble;
use crate::wecom::pieces::{fit, split};

/// Messages that one reply may become where its text is longer than one: more than that nobody reads in a chat.
pub const PIECES_MAX: usize = 5;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// WeCom took it.
    Sent,
    /// WeCom refused for good.
    Refused(Arc<str>),
    /// WeCom refused because it is too long for one message.
    TooLong(Arc<str>),
    /// WeCom asks to come back later; it was not delivered.
    Retry {
        /// Seconds to wait, at least.
        after_secs: i64,
        /// Why.
        reason: Arc<str>,
    },
    /// Not delivered, and not this reply's fault: the app or robot cannot send.
    Held {
        /// Why.
        trouble: Trouble,
        /// For people.
        reason: Arc<str>,
    },
    /// No connection: certainly not sent.
    Unreachable(Arc<str>),
    /// It went out and no usable answer came back.
    Unknown(Arc<str>),
    /// The same, by a way that drops repetitions: it may be sent once more. Only [`deliver`] says so.
    Repeatable(Arc<str>),
}

impl Attempt {
    /// What it says of the API's health.
    pub fn contact(&self) -> Contact {
        match self {
            Attempt::Sent | Attempt::Refused(_) | Attempt::TooLong(_) | Attempt::Retry { .. } | Attempt::Held { .. } => Contact::Reached,
            Attempt::Unreachable(_) | Attempt::Unknown(_) | Attempt::Repeatable(_) => Contact::Failed,
        }
    }

    fn is_sent(&self) -> bool {
        matches!(self, Attempt::Sent)
    }

    /// Whether it was certainly not delivered and may be delivered later the same way.
    fn may_come_later(&self) -> bool {
        match self {
            Attempt::Retry { .. } | Attempt::Unreachable(_) => true,
            Attempt::Held { trouble, .. } => *trouble != Trouble::Gone,
            Attempt::Sent | Attempt::Refused(_) | Attempt::TooLong(_) | Attempt::Unknown(_) | Attempt::Repeatable(_) => false,
        }
    }

    /// Whether the next way is tried.
    fn falls(&self, way: &Way) -> bool {
        match self {
            Attempt::Refused(_) | Attempt::TooLong(_) => true,
            Attempt::Held { trouble: Trouble::Stopped | Trouble::Gone, .. } => true,
            Attempt::Held { trouble: Trouble::Limited { .. } | Trouble::Crowded | Trouble::NoToken { .. }, .. } => way.is_one_shot(),
            Attempt::Retry { .. } | Attempt::Unreachable(_) => way.is_one_shot(),
            Attempt::Sent | Attempt::Unknown(_) | Attempt::Repeatable(_) => false,
        }
    }
}

/// Sends one text one way. The real one is WeCom's client; tests have their own.
pub trait Sender: Send + Sync + 'static {
    /// Sends it; never panics, never takes longer than the client's own time limit. The same text to the same person under another
    /// `mark` is another message, and under the same it is a repetition.
    fn send(&self, corp: &CorpName, way: &Way, text: &str, mark: u64) -> impl Future<Output = Attempt> + Send;
}

/// A reply to be sent.
#[derive(Debug)]
pub struct Errand<'a> {
    /// The reply.
    pub id: ReplyId,
    /// Its corp.
    pub corp: &'a CorpName,
    /// Where it goes.
    pub destination: &'a Destination,
    /// Whether somebody asked for it.
    pub asked: bool,
    /// Its ways, best first.
    pub ways: &'a [Way],
    /// Its texts, in order.
    pub texts: &'a [String],
}

impl Errand<'_> {
    /// Its texts as messages of this way, of at most so many bytes: joined where there is one call only, else in order.
    fn cut(&self, way: &Way, bytes_max: usize) -> Vec<Cow<'_, str>> {
        if way.is_one_shot() {
            return vec![Cow::Owned(fit(&self.texts.join("\n\n"), bytes_max).into_owned())];
        }
        let mut pieces = Vec::new();
        for (place, text) in self.texts.iter().enumerate() {
            let room = PIECES_MAX - pieces.len();
            if room == 1 {
                pieces.push(Cow::Owned(fit(&self.texts[place..].join("\n"), bytes_max).into_owned()));
                break;
            }
            let for_others = usize::from(place + 1 < self.texts.len());
            pieces.extend(split(text, bytes_max, room - for_others));
        }
        pieces
    }

    /// How many messages it is on this way.
    pub fn messages(&self, way: &Way) -> usize {
        self.cut(way, way.bytes_max()).len()
    }
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The attempt that counts.
    pub attempt: Attempt,
    /// The way it went.
    pub way: &'static str,
}

/// Tries the ways in order from the one that `pass` opened. A refusal falls to the next one; so does a one-call address that was
/// certainly not used up. Whatever is in doubt is never said a second time on the way.
pub async fn deliver(sender: &impl Sender, warden: &Warden, errand: &Errand<'_>, pass: Pass<'_>) -> Delivery {
    let mut best: Option<Delivery> = None;
    let mut pass = Some(pass);
    for way in errand.ways.iter().skip(pass.as_ref().map_or(0, Pass::place)) {
        let attempt = match pass.take().map_or_else(|| warden.admit(errand, way), Ok) {
            Ok(pass) => {
                let attempt = send_all(sender, errand, way).await;
                pass.learn(&attempt);
                attempt
            }
            Err(hold) => hold.into_attempt(),
        };
        let falls = attempt.falls(way);
        let delivery = Delivery { attempt, way: way.as_str() };
        if !falls {
            return delivery;
        }
        best = Some(best.filter(|best| best.attempt.may_come_later()).unwrap_or(delivery));
    }
    best.unwrap_or(Delivery { attempt: Attempt::Refused("没有路可走".into()), way: "none" })
}

/// All messages of a reply one way. Where WeCom finds the first too long, once more in halves.
async fn send_all(sender: &impl Sender, errand: &Errand<'_>, way: &Way) -> Attempt {
    match send_pieces(sender, errand, way, way.bytes_max()).await {
        Attempt::TooLong(_) => send_pieces(sender, errand, way, way.bytes_max() / 2).await,
        Attempt::Unknown(reason) if way.may_repeat() => Attempt::Repeatable(reason),
        attempt => attempt,
    }
}

async fn send_pieces(sender: &impl Sender, errand: &Errand<'_>, way: &Way, bytes_max: usize) -> Attempt {
    for (place, text) in errand.cut(way, bytes_max).iter().enumerate() {
        let mark = errand.id.0.unsigned_abs().wrapping_mul(PIECES_MAX as u64) + place as u64;
        let attempt = sender.send(errand.corp, way, text, mark).await;
        if !attempt.is_sent() {
            return if place == 0 { attempt } else { partly_sent(place, &attempt) };
        }
    }
    Attempt::Sent
}

/// The first messages are out, so nothing may be repeated but where WeCom drops those.
fn partly_sent(place: usize, attempt: &Attempt) -> Attempt {
    let reason = match attempt {
        Attempt::Sent => "",
        Attempt::Refused(reason) | Attempt::TooLong(reason) | Attempt::Retry { reason, .. } | Attempt::Held { reason, .. } => reason,
        Attempt::Unreachable(reason) | Attempt::Unknown(reason) | Attempt::Repeatable(reason) => reason,
    };
    Attempt::Unknown(format!("前 {place} 条已发出,第 {} 条没有:{reason}", place + 1).into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::clock::Clock;
    use crate::model::event::Channel;
    use crate::outbox::fakes::{START, Script, destination, refused, retry, unknown, unreachable};

    fn ways() -> [Way; 2] {
        [Way::ResponseUrl("https://api.test/response".into()), Way::Private { app: "assistant".into(), to: "aming".into() }]
    }

    fn webhook() -> Way {
        Way::Webhook { robot: "announcer".into(), chat: None, mention: None }
    }

    fn held(trouble: Trouble) -> Attempt {
        Attempt::Held { trouble, reason: "原因".into() }
    }

    fn too_long() -> Attempt {
        Attempt::TooLong("45002".into())
    }

    async fn delivered(script: Script, ways: &[Way], texts: &[&str]) -> (Delivery, Vec<String>) {
        let texts: Vec<String> = texts.iter().map(|&text| text.into()).collect();
        let (corp, destination) = ("acme".into(), destination(Channel::Aibot, Some("wrGroup"), None));
        let errand = Errand { id: ReplyId(16), corp: &corp, destination: &destination, asked: true, ways, texts: &texts };
        let warden = Warden::new(&HashMap::new(), Clock::starting_at(START));
        let pass = warden.choose(&errand).expect("all is well");
        let delivery = deliver(&script, &warden, &errand, pass).await;
        (delivery, script.sent())
    }

    #[tokio::test]
    async fn a_refused_or_unused_one_call_address_falls_to_the_next_way() {
        for first in [refused(), unreachable(), retry(), held(Trouble::Limited { window_secs: None })] {
            let (delivery, sent) = delivered(Script::answering([first, Attempt::Sent]), &ways(), &["你好"]).await;
            assert_eq!(delivery, Delivery { attempt: Attempt::Sent, way: "private" });
            assert_eq!(sent, ["response_url 你好", "private 你好"]);
        }
    }

    #[tokio::test]
    async fn what_a_person_must_repair_falls_to_the_next_way_and_what_passes_by_itself_does_not() {
        let both = [webhook(), ways()[1].clone()];
        for trouble in [Trouble::Gone, Trouble::Stopped] {
            let (delivery, _) = delivered(Script::answering([held(trouble), Attempt::Sent]), &both, &["你好"]).await;
            assert_eq!(delivery, Delivery { attempt: Attempt::Sent, way: "private" });
        }
        for trouble in [Trouble::Limited { window_secs: None }, Trouble::Crowded, Trouble::NoToken { after_secs: 30 }] {
            let (delivery, _) = delivered(Script::answering([held(trouble)]), &both, &["你好"]).await;
            assert_eq!(delivery, Delivery { attempt: held(trouble), way: "webhook" });
        }
    }

    #[tokio::test]
    async fn doubt_ends_it_and_is_repeatable_only_where_wecom_drops_repetitions() {
        for (ways, attempt) in [(&ways()[..], unknown()), (&[webhook()], unknown()), (&ways()[1..], Attempt::Repeatable("没有回音".into()))] {
            let (delivery, sent) = delivered(Script::answering([unknown()]), ways, &["你好"]).await;
            assert_eq!(delivery.attempt, attempt);
            assert_eq!(sent.len(), 1);
        }
    }

    #[tokio::test]
    async fn what_may_come_later_is_not_turned_into_a_refusal() {
        for later in [unreachable(), held(Trouble::Limited { window_secs: None })] {
            let (delivery, _) = delivered(Script::answering([later.clone(), refused()]), &ways(), &["你好"]).await;
            assert_eq!(delivery.attempt, later);
        }
    }

    #[tokio::test]
    async fn several_texts_go_in_order_and_are_joined_for_one_call() {
        let (_, sent) = delivered(Script::default(), &ways()[1..], &["一", "二"]).await;
        assert_eq!(sent, ["private 一", "private 二"]);
        let (_, sent) = delivered(Script::default(), &ways()[..1], &["一", "二"]).await;
        assert_eq!(sent, ["response_url 一\n\n二"]);
    }

    #[tokio::test]
    async fn long_texts_become_at_most_five_messages_and_the_last_shows_that_more_was_meant() {
        let long = "签到成功,连续七天。".repeat(1_000);
        let (_, sent) = delivered(Script::default(), &[webhook()], &[&long]).await;
        assert_eq!(sent.len(), PIECES_MAX);
        assert!(sent.iter().all(|text| text.len() <= "webhook ".len() + 2048) && sent[4].ends_with('…'));
        let (_, sent) = delivered(Script::default(), &[webhook()], &[&long, "二", "三"]).await;
        assert_eq!(sent.len(), PIECES_MAX);
        let (_, sent) = delivered(Script::default(), &ways()[..1], &[&long, "二"]).await;
        assert!(sent.len() == 1 && sent[0].len() <= "response_url ".len() + 20_480 && sent[0].ends_with('…'));
        let (_, sent) = delivered(Script::default(), &[webhook()], &["一", "二", "三", "四", "五", "六"]).await;
        assert_eq!(sent.last().map(String::as_str), Some("webhook 五\n六"), "nothing is lost where it fits");
    }

    #[tokio::test]
    async fn what_wecom_finds_too_long_is_cut_in_halves_once() {
        let text = "签".repeat(600);
        let (delivery, sent) = delivered(Script::answering([too_long()]), &[webhook()], &[&text]).await;
        assert_eq!((delivery.attempt, sent.len()), (Attempt::Sent, 3));
        let (delivery, sent) = delivered(Script::answering([too_long(), too_long()]), &[webhook()], &[&text]).await;
        assert_eq!((delivery.attempt, sent.len()), (too_long(), 2));
    }

    #[tokio::test]
    async fn after_the_first_text_nothing_is_repeated_where_it_would_be_seen() {
        let (delivery, _) = delivered(Script::answering([Attempt::Sent, retry()]), &[webhook()], &["一", "二"]).await;
        assert!(matches!(&delivery.attempt, Attempt::Unknown(reason) if reason.contains("第 2 条")), "{delivery:?}");
    }
}
