//! Versions of rules.toml: what was decided or written under one is decided and written again under the same, whatever is live by then.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::ids::RulesHash;
use crate::rules::campaign::Rules;
use crate::rules::file;

/// Versions kept ready: the live one, and the ones that replies of the last minutes or a reader of old events need.
const READY: usize = 8;

/// Compiled versions, made from their stored text when first asked for.
#[derive(Debug, Default)]
pub struct Versions {
    ready: VecDeque<Arc<Rules>>,
}

impl Versions {
    /// The version with this hash; `text` reads it where it is not ready. `None` when there is no text any more, or this program cannot
    /// read it.
    ///
    /// # Errors
    /// Those of `text`.
    pub fn get<E>(&mut self, hash: RulesHash, text: impl FnOnce() -> Result<Option<Arc<str>>, E>) -> Result<Option<Arc<Rules>>, E> {
        if let Some(rules) = self.ready.iter().find(|rules| rules.hash == hash) {
            return Ok(Some(rules.clone()));
        }
        let Some(text) = text()? else { return Ok(None) };
        let Ok((rules, _warnings)) = file::load(&text) else { return Ok(None) };
        let rules = Arc::new(rules);
        self.ready.truncate(READY - 1);
        self.ready.push_front(rules.clone());
        Ok(Some(rules))
    }
}
