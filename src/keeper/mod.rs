//! Keeps the live rules those of rules.toml. Whatever wants other rules — the file that was saved, an operator by chat, a page — goes through
//! one [gate](crate::gate): what does not pass is refused and told, and the old version stays.
//!
//! A version goes live with the next batch: no message is lost, none is decided twice, and what was decided stays as it is.

pub mod watched;
pub mod wishes;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use crate::clock::Clock;
use crate::gate::{Examined, examine};
use crate::model::act::Act;
use crate::model::event::{Channel, Event, Identity, Kind, Place, Via};
use crate::model::day::Millis;
use crate::model::ids::{CorpName, EventKey, KeyBytes, RulesHash};
use crate::pipeline::Handle;
use crate::rules::campaign::Rules;

use watched::{Sight, Watched};

/// How often the file is looked at: a change must be seen twice, and be live within two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Proposals that may wait.
const PROPOSALS_MAX: usize = 16;
/// Obstacles told in a chat; the whole list is in the log.
const TOLD_MAX: usize = 5;
/// Changes that wait to be told because the store is busy; older ones are only in the log.
const UNTOLD_MAX: usize = 64;
/// Who wanted a change that was made in the file.
pub const BY_FILE: &str = "rules.toml";

/// Where a change was asked for, so that it is answered there; a change of the file is told in the operators' chat.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The corp.
    pub corp: CorpName,
    /// The chat.
    pub place: Place,
    /// Who asked.
    pub who: Identity,
    /// Which way the answer may take.
    pub via: Via,
}

/// What somebody wants rules.toml to be.
#[derive(Debug)]
pub struct Proposal {
    /// The whole text.
    pub text: String,
    /// The version it was made from; refused if another one is live by now. `None` to go over anything.
    pub base: Option<RulesHash>,
    /// Who wants it: an operator's id, or the page's name.
    pub by: Arc<str>,
    /// Where it was asked for.
    pub asked: Option<Asked>,
    /// What is told once it is live; else that the version changed.
    pub told: Option<String>,
    /// Goes live even if the file cannot be written; until the next start or save, then.
    pub even_unwritten: bool,
}

/// Why a proposal was not taken. The old version stays, and the file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// It did not pass the gate.
    #[error("没有通过检查")]
    Bad(Box<Examined>),
    /// Another version is live by now.
    #[error("规则刚被改过,请先看新的再改")]
    Changed,
    /// The file cannot be written.
    #[error("写不了 {}:{source}", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon is stopping, or too much waits.
    #[error("现在改不了,请稍后再试")]
    Busy,
}

/// The way to the keeper for everybody. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk(mpsc::Sender<(Proposal, oneshot::Sender<Result<RulesHash, Denied>>)>);

impl Desk {
    /// Proposes a text, and returns once it is live and in the file.
    ///
    /// # Errors
    /// See [`Denied`].
    pub async fn propose(&self, proposal: Proposal) -> Result<RulesHash, Denied> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((proposal, answer)).map_err(|_| Denied::Busy)?;
        answered.await.unwrap_or(Err(Denied::Busy))
    }
}

/// Keeps the live rules.
pub struct Keeper {
    file: Watched,
    handle: Handle,
    clock: Clock,
    /// For whom a change of the file is told; `None` where there is no corp.
    corp: Option<CorpName>,
    proposals: mpsc::Receiver<(Proposal, oneshot::Sender<Result<RulesHash, Denied>>)>,
    /// What could not be booked yet.
    untold: VecDeque<Event>,
}

impl Keeper {
    /// A keeper of the rules in this file, and the way to it.
    pub fn new(path: &Path, handle: Handle, clock: Clock, corp: Option<CorpName>) -> (Keeper, Desk) {
        let (desk, proposals) = mpsc::channel(PROPOSALS_MAX);
        (Keeper { file: Watched::new(path), handle, clock, corp, proposals, untold: VecDeque::new() }, Desk(desk))
    }

    /// Looks at the file once, and takes what changed in it.
    pub async fn step(&mut self) {
        self.tell().await;
        match self.file.look() {
            Sight::Same | Sight::Changing => {}
            Sight::Changed(bytes) => self.consider(bytes).await,
            Sight::Gone(error) => tracing::debug!(%error, path = %self.file.path().display(), "the rules file cannot be read; the old rules stay"),
        }
    }

    /// Looks and listens, for ever.
    pub async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = look.tick() => self.step().await,
                asked = self.proposals.recv() => match asked {
                    // Who asked may have gone.
                    Some((proposal, answer)) => drop(answer.send(self.take(proposal).await)),
                    // Nobody can ask any more; the file is still looked at.
                    None => std::future::pending().await,
                },
            }
        }
    }

    /// The file was changed.
    async fn consider(&mut self, bytes: Vec<u8>) {
        let live = self.handle.rules();
        if *bytes == *live.text.as_bytes() {
            return;
        }
        let examined = examined(bytes).await;
        let by: Arc<str> = BY_FILE.into();
        match (&examined.rules, examined.ok) {
            (Some(rules), true) => {
                self.handle.adopt(rules.clone());
                tracing::info!(rules = %rules.hash, before = %live.hash, "rules.toml was changed and is live");
                self.say(by, true, format!("rules.toml 已生效,版本 {}", short(rules.hash)), None).await;
            }
            _ => {
                let file = self.file.path().display().to_string();
                for obstacle in examined.obstacles(&file, usize::MAX) {
                    tracing::warn!(obstacle, "rules.toml was changed and is refused; the old rules stay");
                }
                let name = self.file.path().file_name().map_or(BY_FILE.into(), |name| name.to_string_lossy());
                let told = format!("rules.toml 没有采用,还是原来的规则:\n{}", examined.obstacles(&name, TOLD_MAX).join("\n"));
                self.say(by, false, told, None).await;
            }
        }
    }

    /// Somebody proposed a text.
    async fn take(&mut self, proposal: Proposal) -> Result<RulesHash, Denied> {
        let live = self.handle.rules();
        if proposal.base.is_some_and(|base| base != live.hash) {
            return Err(Denied::Changed);
        }
        let examined = examined(proposal.text.clone().into_bytes()).await;
        let rules: Arc<Rules> = match &examined.rules {
            Some(rules) if examined.ok => rules.clone(),
            _ => return Err(Denied::Bad(Box::new(examined))),
        };
        let path = self.file.path().to_owned();
        // What somebody is just writing, or what was refused, is not live: it is not lost for that.
        let draft = watched::keep_draft(&path, &live.text);
        let written = watched::write(&path, &proposal.text);
        if let (Err(source), false) = (&written, proposal.even_unwritten) {
            let source = io::Error::new(source.kind(), source.to_string());
            return Err(Denied::Unwritable { path, source });
        }
        self.handle.adopt(rules.clone());
        tracing::info!(rules = %rules.hash, before = %live.hash, by = &*proposal.by, "proposed rules are live");
        let mut told = proposal.told.unwrap_or_else(|| format!("规则已生效,版本 {}", short(rules.hash)));
        let written_at_all = written.is_ok();
        if let Err(error) = written {
            tracing::error!(%error, path = %path.display(), "the rules file cannot be written; the change lasts until it is saved or jifen starts again");
            told += &format!("。但 {} 写不了({error}),重启以后会变回去,请让工程师改文件", path.display());
        }
        if let Some(draft) = draft.filter(|_| written_at_all) {
            tracing::warn!(draft = %draft.display(), "the rules file held something that was not live; it is kept beside it");
            told += &format!("。文件里原来有没生效的改动,存在 {},请合并回来", draft.display());
        }
        self.say(proposal.by, true, told, proposal.asked).await;
        Ok(rules.hash)
    }

    /// Writes a change down, with what is told of it.
    async fn say(&mut self, by: Arc<str>, accepted: bool, told: String, asked: Option<Asked>) {
        let Some(event) = change(&self.handle.rules(), self.clock.now(), self.corp.as_ref(), Change { by, accepted, told, asked }) else { return };
        if self.untold.len() == UNTOLD_MAX {
            self.untold.pop_front();
        }
        self.untold.push_back(event);
        self.tell().await;
    }

    /// Books what waits to be told, in order; what finds no room waits on.
    async fn tell(&mut self) {
        while let Some(event) = self.untold.front() {
            if let Err(error) = self.handle.hear(event.clone()).await {
                tracing::warn!(%error, "a change of the rules could not be written down yet");
                return;
            }
            self.untold.pop_front();
        }
    }
}

/// A change that was made, or refused.
struct Change {
    by: Arc<str>,
    accepted: bool,
    told: String,
    asked: Option<Asked>,
}

/// The event that tells of a change; `None` where there is nobody to tell.
fn change(rules: &Rules, now: Millis, corp: Option<&CorpName>, change: Change) -> Option<Event> {
    let Change { by, accepted, told, asked } = change;
    let corp = asked.as_ref().map(|asked| asked.corp.clone()).or_else(|| corp.cloned())?;
    let books = Place::Books { campaign: rules.campaigns.first()?.id.clone(), chat: None };
    let house = Via { channel: Channel::House, ..Via::default() };
    let (place, who, via) = asked.map_or((books, None, house), |asked| (asked.place, Some(asked.who), asked.via));
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

/// Reads, lints and tests a file beside everything else that goes on.
async fn examined(bytes: Vec<u8>) -> Examined {
    // A panic of the examination is a bug of ours; it must not take the daemon down nor let the file pass.
    spawn_blocking(move || examine(&bytes)).await.unwrap_or_else(|error| {
        tracing::error!(%error, "examining rules.toml failed");
        Examined { ok: false, mistakes: Vec::new(), tests: 0, failures: Vec::new(), rules: None }
    })
}

/// As people tell versions apart.
pub fn short(hash: RulesHash) -> String {
    hash.to_string().chars().take(8).collect()
}
