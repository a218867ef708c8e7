//! The versions of rules.toml that were ever live, as people name them. The store keeps the text of each for ever.

use std::sync::Arc;

use crate::keeper::short;
use crate::model::ids::{EventSeq, RulesHash};
use crate::store::{Reader, StoreError};

/// Characters by which a version is named at least.
const PREFIX_CHARS_MIN: usize = 4;
/// Events read at once.
const PAGE: usize = 1_000;
/// Events looked through for the version before, where no change of it was written down.
const EVENTS_MAX: i64 = 200_000;

/// Why a version is not found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No version is called so.
    #[error("没有版本「{0}」;用 jifen rules history 看有哪些,写前 8 位就够")]
    None(String),
    /// Too few characters.
    #[error("「{0}」太短,版本至少写前 {PREFIX_CHARS_MIN} 位")]
    Short(String),
    /// Several begin so.
    #[error("「{0}」开头的版本不止一个:{1};请多写几位")]
    Several(String, String),
    /// Nothing is in the journal yet.
    #[error("账上还没有任何消息,也就没有正在用的版本")]
    Nothing,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The version that is live, or was when the daemon stopped: the one of the newest event. `None` before the first.
///
/// # Errors
/// The store cannot be read.
pub fn live(reader: &impl Reader) -> Result<Option<RulesHash>, StoreError> {
    Ok(reader.event(reader.head()?.event)?.map(|event| event.rules))
}

/// The version that was live before this one, looked for before an event, and an event under it. The place to begin is behind the newest event.
///
/// # Errors
/// The store cannot be read.
pub fn before(reader: &impl Reader, version: RulesHash, until: EventSeq) -> Result<Option<(RulesHash, EventSeq)>, StoreError> {
    let is_past = until <= reader.head()?.event;
    // The first change that was written down says what came, not what was there: that is in the events before it.
    let (mut newest, mut began) = (until, is_past.then_some(until));
    loop {
        let changes = reader.rules_changes(newest, PAGE)?;
        let accepted = || changes.iter().filter(|change| change.accepted);
        if let Some(other) = accepted().find(|change| change.rules != version) {
            return Ok(Some((other.rules, other.event)));
        }
        began = accepted().next_back().map(|change| change.event).or(began);
        match changes.last() {
            Some(oldest) if changes.len() == PAGE => newest = oldest.event,
            Some(_) | None => break,
        }
    }
    let Some(began) = began else { return Ok(None) };
    let mut to = began.0;
    while to > 1 && began.0 - to < EVENTS_MAX {
        let from = (to - PAGE as i64).max(1);
        let events = reader.events(EventSeq(from), usize::try_from(to - from).unwrap_or(PAGE))?;
        if let Some(event) = events.iter().rev().find(|event| event.rules != version) {
            return Ok(Some((event.rules, event.seq)));
        }
        to = from;
    }
    Ok(None)
}

/// What a step back would go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// No other version was live before.
    Nowhere,
    /// The version before.
    To(RulesHash),
    /// The newest change went back itself: one more step would bring again what it took away.
    Again(RulesHash),
}

/// What a step back from the live version would go to.
///
/// # Errors
/// The store cannot be read.
pub fn back(reader: &impl Reader, live: RulesHash) -> Result<Back, StoreError> {
    let Some((last, at)) = before(reader, live, EventSeq(reader.head()?.event.0 + 1))? else { return Ok(Back::Nowhere) };
    let earlier = before(reader, last, at)?;
    Ok(if earlier.is_some_and(|(earlier, _)| earlier == live) { Back::Again(last) } else { Back::To(last) })
}

/// The version that is called `live`, or whose hash begins so.
///
/// # Errors
/// There is none, or more than one.
pub fn find(reader: &impl Reader, name: &str) -> Result<RulesHash, NotFound> {
    if name == "live" {
        return live(reader)?.ok_or(NotFound::Nothing);
    }
    let prefix = name.to_ascii_lowercase();
    let is_hex = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && prefix.len() < PREFIX_CHARS_MIN {
        return Err(NotFound::Short(name.into()));
    }
    let found: Vec<RulesHash> = reader.rules_versions()?.into_iter().filter(|hash| is_hex && hash.to_string().starts_with(&prefix)).collect();
    match found.as_slice() {
        [] => Err(NotFound::None(name.into())),
        [one] => Ok(*one),
        several => Err(NotFound::Several(name.into(), several.iter().map(|hash| short(*hash)).collect::<Vec<_>>().join("、"))),
    }
}

/// What a version says.
///
/// # Errors
/// The store cannot be read, or lacks the text (a damaged file).
pub fn text(reader: &impl Reader, hash: RulesHash) -> Result<Arc<str>, StoreError> {
    reader.rules_text(hash)?.ok_or_else(|| StoreError::Corrupt(format!("库里没有规则版本 {hash} 的原文")))
}
