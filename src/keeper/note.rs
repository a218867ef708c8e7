//! A change of the rules as an event: what is written down of it, and told.

use std::sync::Arc;

use super::Asked;
use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, Kind, Place, Via};
use crate::model::ids::{CorpName, EventKey, KeyBytes};
use crate::rules::campaign::Rules;

/// Characters that are told: a page of a chat. The log and `jifen check` have the rest.
const TOLD_CHARS_MAX: usize = 1_500;

/// What is to be written down.
pub(super) struct Note {
    /// Who wanted the change.
    pub(super) by: Arc<str>,
    /// Whether it is live.
    pub(super) accepted: bool,
    /// What is told of it.
    pub(super) told: String,
    /// Where it was asked for.
    pub(super) asked: Option<Asked>,
}

/// The event of it, under the rules that are live. Without a place where it was asked for it is of `corp`; `None` where there is none, for then
/// nobody hears and nobody earns.
pub(super) fn event(note: Note, corp: Option<&CorpName>, rules: &Rules, now: Millis) -> Option<Event> {
    let Note { by, accepted, told, asked } = note;
    let corp = asked.as_ref().map(|asked| &asked.corp).or(corp)?.clone();
    let books = Place::Books { campaign: rules.campaigns.first()?.id.clone(), chat: None };
    let house = Via { channel: Channel::House, ..Via::default() };
    let (place, who, via) = asked.map_or((books, None, house), |asked| (asked.place, Some(asked.who), asked.via));
    let told = cut(told);
    let contents = format!("{}\0{}\0{by}\0{told}", now.0, rules.hash);
    Some(Event {
        key: EventKey { source: format!("{corp}/rules").into(), key: KeyBytes::digest(contents.as_bytes()) },
        corp,
        at: now,
        received_at: now,
        clamped: false,
        place,
        who,
        name: None,
        via,
        kind: Kind::Did(Act::RulesChanged { by, accepted, told: told.into() }),
    })
}

fn cut(told: String) -> String {
    match told.char_indices().nth(TOLD_CHARS_MAX) {
        Some((end, _)) => format!("{}…\n太长了,用 jifen check 看全部", &told[..end]),
        None => told,
    }
}
