//! The page's rules.toml: what is wrong with a text as one types it, the way into effect, and the versions to go back to.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::backtest::BacktestError;
use crate::backtest::page::page;
use crate::backtest::report::Report;
use crate::demo::scene::Chat;
use crate::demo::stage::Stage;
use crate::gate::{Examined, examine};
use crate::keeper::{BY_FILE, Denied, Desk, Proposal};
use crate::model::day::Millis;
use crate::model::ids::RulesHash;
use crate::rules::campaign::Rules;
use crate::rules::file;
use crate::store::{RulesChange, StoreError};

/// Who wants what is saved on the page.
const BY_PAGE: &str = "演示页面";
/// Changes that are looked through for versions and for news.
const CHANGES_MAX: usize = 50;

/// Decides everything in the books again: under the first rules, and under the second.
pub type Trial = Arc<dyn Fn(Arc<Rules>, Arc<Rules>) -> Result<Report, BacktestError> + Send + Sync>;

/// What the editor knows beside the stage.
pub struct Editor {
    desk: Desk,
    trial: Trial,
    /// The rules that the demo began with.
    first: Arc<Rules>,
    checks: Turns,
    trials: Turns,
    /// What the last backtest gave.
    last: std::sync::Mutex<Option<Report>>,
    /// The newest change of the rules that the chats were told of.
    told: AtomicI64,
}

/// A version that was live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its hash.
    pub hash: String,
    /// Since when; `None` for the one the demo began with.
    pub at: Option<Millis>,
    /// Who wanted it.
    pub by: String,
    /// It is live now.
    pub live: bool,
}

/// Work of which only the newest matters: one at a time, and whoever waited while a newer one came does nothing.
#[derive(Default)]
struct Turns {
    newest: AtomicU64,
    working: Mutex<()>,
}

impl Turns {
    /// Does the work beside everything else that goes on; `None` when there is newer work, or it failed.
    async fn take<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let number = self.newest.fetch_add(1, Ordering::Relaxed) + 1;
        let _only = self.working.lock().await;
        if self.newest.load(Ordering::Relaxed) != number {
            return None;
        }
        spawn_blocking(work).await.ok()
    }
}

impl Editor {
    /// An editor that saves through the keeper. `first` are the rules at the start.
    pub fn new(desk: Desk, trial: Trial, first: Arc<Rules>) -> Self {
        Editor { desk, trial, first, checks: Turns::default(), trials: Turns::default(), last: std::sync::Mutex::default(), told: AtomicI64::new(0) }
    }

    /// Looks a text over; `None` when a newer text came meanwhile.
    pub async fn check(&self, text: String) -> Option<Examined> {
        self.checks.take(move || examine(text.as_bytes())).await
    }

    /// What everybody would have got under a text instead of the live rules; `None` when a newer text came meanwhile.
    ///
    /// # Errors
    /// The text is no rules.toml, or the books cannot be read; in words.
    pub async fn backtest(&self, live: Arc<Rules>, text: String) -> Option<Result<Report, String>> {
        let trial = self.trial.clone();
        let work = move || {
            let (rules, _) = file::load(&text).map_err(|_| "规则还有错,不能试算".to_owned())?;
            trial(live, Arc::new(rules)).map_err(|error| format!("试算没有做成:{error}"))
        };
        self.trials.take(work).await
    }

    /// Keeps a report, to be read as a whole.
    pub fn keep(&self, report: Report) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
    }

    /// The last report as a page of its own.
    pub fn last_report(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(page)
    }
}

impl Stage {
    /// Has a text go live and into the file, unless the rules are no longer those it was made from.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn save(&self, text: String, base: &str) -> Result<RulesHash, Denied> {
        let live = self.handle.rules().hash;
        if base != live.to_string() {
            return Err(Denied::Changed);
        }
        let proposal = Proposal { text, base: Some(live), by: BY_PAGE.into(), asked: None, told: None, even_unwritten: false };
        self.editor.desk.propose(proposal).await
    }

    /// The versions of the rules, newest first, each once; the one it began with last.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn versions(&self) -> Result<Vec<Version>, StoreError> {
        let live = self.handle.rules().hash.to_string();
        let first = Version { hash: self.editor.first.hash.to_string(), at: None, by: "演示开始时".to_owned(), live: false };
        let changes = self.books.rules_changes(CHANGES_MAX)?.into_iter().filter(|change| change.accepted);
        let mut versions: Vec<Version> = Vec::new();
        for version in changes.map(version).chain([first]) {
            if versions.iter().all(|known| known.hash != version.hash) {
                versions.push(Version { live: version.hash == live, ..version });
            }
        }
        Ok(versions)
    }

    /// The text of one of the versions.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn version_text(&self, hash: &str) -> Result<Option<Arc<str>>, StoreError> {
        let (live, first) = (self.handle.rules(), &self.editor.first);
        if let Some(rules) = [&live, first].into_iter().find(|rules| rules.hash.to_string() == hash) {
            return Ok(Some(rules.text.clone()));
        }
        let changes = self.books.rules_changes(CHANGES_MAX)?;
        let Some(change) = changes.iter().find(|change| change.rules.to_string() == hash) else { return Ok(None) };
        self.books.rules_text(change.rules)
    }

    /// Tells the page which rules are live, and the chats in which the assistant does not say it itself what was changed or refused.
    pub fn follow_rules(&self) {
        self.scene.set_rules(&self.handle.rules().hash.to_string());
        let changes = match self.books.rules_changes(CHANGES_MAX) {
            Ok(changes) => changes,
            Err(error) => return tracing::warn!(%error, "the demo cannot read the changes of its rules"),
        };
        let Some(newest) = changes.first().map(|change| change.event.0) else { return };
        let told = self.editor.told.swap(newest, Ordering::Relaxed);
        for change in changes.iter().rev().filter(|change| change.event.0 > told) {
            self.announce(&[Chat::Customer, Chat::Single], &change.told);
        }
    }

    /// Takes the changes of the rules so far as told: they are from before the start.
    pub fn skip_rules(&self) -> Result<(), StoreError> {
        let newest = self.books.rules_changes(1)?.first().map_or(0, |change| change.event.0);
        self.editor.told.store(newest, Ordering::Relaxed);
        Ok(())
    }
}

fn version(change: RulesChange) -> Version {
    let by = if &*change.by == BY_FILE { "rules.toml 文件".to_owned() } else { change.by.to_string() };
    Version { hash: change.rules.to_string(), at: Some(change.at), by, live: false }
}
