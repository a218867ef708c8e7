//! What the operators are told when another rules.toml went live or was refused: in their chat, or where one of them asked for it.

use crate::model::act::Act;
use crate::model::decision::{Args, Decision};
use crate::model::event::{Event, Kind, Place};
use crate::model::reply::{Occasion, Reply, Template};

/// Who changed a file while no daemon ran: written down, and told to nobody, for whoever starts the daemon knows.
pub const AT_START: &str = "rules.toml(启动时)";

/// The decision on such an event; `None` for every other.
pub fn decide(event: &Event) -> Option<Decision> {
    let Kind::Did(Act::RulesChanged { by, told, .. }) = &event.kind else { return None };
    if &**by == AT_START {
        return Some(Decision::default());
    }
    // Who asked is answered where they asked; what the file did by itself is told in the operators' chat.
    let (occasion, asked) = match event.place {
        Place::Books { .. } => (Occasion::Alarm, false),
        Place::Single | Place::Group { .. } => (Occasion::Done, true),
    };
    let args = Args::default().text("说明", told.trim_end_matches('。'));
    let reply = Reply { template: Template { occasion, rule: None }, args, asked, once: None };
    Some(Decision { replies: vec![reply], ..Decision::default() })
}
