//! Keeps the live rules those of rules.toml. Whatever wants other rules — the file that was saved, an operator by chat, a page — goes through
//! one [gate](crate::gate): what does not pass is refused and told, and the old version stays.
//!
//! A version goes live with the next batch: no message is lost, none is decided twice, and what was decided stays as it is.

pub mod watched;
pub mod shelf;
mod note;
#[cfg(test)]
mod tests;
pub mod wishes;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;
use crate::gate::{Examined, examine, has_rules};
use crate::model::event::{Event, Identity, Place, Via};
use crate::model::ids::{CorpName, KeyBytes, RulesHash};
use crate::pipeline::{Handle, Rejected};
use crate::rules::campaign::Rules;
use crate::rules::difference::{difference, summary};
use crate::rules::file;
use crate::rules::mistake::Mistake;
use crate::rules::notice::AT_START;
use crate::web::metrics::{RULES_INFO, RULES_RELOADS};

use note::{Note, event};
use watched::{Sight, Watched};

/// How often the file is looked at: a change must be seen twice, and be live within two seconds.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Proposals that may wait.
const PROPOSALS_MAX: usize = 16;
/// Obstacles told in a chat; more of them are in the log.
const TOLD_MAX: usize = 5;
/// Obstacles in the log; `jifen check` tells them all.
const LOGGED_MAX: usize = 50;
/// Differences told in a chat.
const CHANGES_MAX: usize = 8;
/// Looks in a row, some five seconds, at which the file cannot be read before that is told: editors take it away for a moment.
const UNREAD_MAX: usize = 12;
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
    /// What stands in the file and was refused: that is told once.
    refused: Option<KeyBytes>,
    /// Looks in a row at which the file could not be read.
    unread: usize,
}

impl Keeper {
    /// A keeper of the rules in this file, and the way to it.
    pub fn new(path: &Path, handle: Handle, clock: Clock, corp: Option<CorpName>) -> (Keeper, Desk) {
        let (desk, proposals) = mpsc::channel(PROPOSALS_MAX);
        let file = Watched::new(path);
        gauge!(RULES_INFO, "hash" => short(handle.rules().hash)).set(1.0);
        (Keeper { file, handle, clock, corp, proposals, untold: VecDeque::new(), refused: None, unread: 0 }, Desk(desk))
    }

    /// The same, where another version was live when the daemon stopped: that the file was changed meanwhile is written down, and told to
    /// nobody. `text` is what that version said.
    pub fn after(mut self, before: RulesHash, text: Option<&str>) -> Keeper {
        let live = self.handle.rules();
        if before == live.hash {
            return self;
        }
        let old = text.and_then(|text| file::load(text).ok());
        let changes = old.map_or_else(String::new, |(old, _)| format!(":\n{}", summary(difference(&old, &live), CHANGES_MAX)));
        let told = format!("jifen 停着的时候 rules.toml 改过,启动时生效,版本 {} → {}{changes}", short(before), short(live.hash));
        self.note(Note { by: AT_START.into(), accepted: true, told, asked: None });
        self
    }

    /// Looks at the file once, and takes what changed in it.
    pub async fn step(&mut self) {
        // Why it must wait was said when it was noted.
        let _ = self.tell().await;
        match self.file.look() {
            Sight::Same | Sight::Changing => {}
            Sight::Changed(bytes) => self.consider(bytes).await,
            Sight::Unreadable(reason) => self.miss(&reason).await,
        }
    }

    /// Looks and listens, for ever.
    pub async fn run(mut self) {
        let mut look = interval(LOOK_EVERY);
        // Two looks at once would take a half-written file for one that stands still.
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.step().await,
                // Who asked may have gone.
                Some((proposal, answer)) = self.proposals.recv() => drop(answer.send(self.take(proposal).await)),
            }
        }
    }

    /// The file was changed.
    async fn consider(&mut self, bytes: Vec<u8>) {
        let live = self.handle.rules();
        let was_away = mem::take(&mut self.unread) >= UNREAD_MAX;
        let was_amiss = was_away || self.refused.is_some();
        if *bytes == *live.text.as_bytes() {
            self.refused = None;
            if was_amiss {
                tracing::info!(rules = %live.hash, "rules.toml is what is live again");
                self.say(true, format!("{} 恢复了,和正在用的规则一样,版本 {}", self.name(), short(live.hash))).await;
            }
            return;
        }
        let contents = KeyBytes::digest(&bytes);
        if self.refused == Some(contents) {
            return;
        }
        let Verdict { examined, changes } = examined(bytes, live.clone()).await;
        let Some(rules) = examined.rules.clone().filter(|_| examined.ok) else {
            self.refused = Some(contents);
            return self.refuse(&examined, live.hash).await;
        };
        self.refused = None;
        self.adopt(rules.clone(), live.hash);
        tracing::info!(rules = %rules.hash, before = %live.hash, "rules.toml was changed and is live");
        let mended = if was_amiss { "改好了," } else { "" };
        let warnings = examined.mistakes.len();
        let warned = if warnings > 0 { format!("\n有 {warnings} 处提醒,用 jifen check 看") } else { String::new() };
        let told = format!("{} {mended}已生效,版本 {} → {}:\n{}{warned}", self.name(), short(live.hash), short(rules.hash), summary(changes, CHANGES_MAX));
        self.say(true, told).await;
    }

    /// What stands in the file did not pass.
    async fn refuse(&mut self, examined: &Examined, live: RulesHash) {
        counter!(RULES_RELOADS, "outcome" => "refused").increment(1);
        let all = examined.obstacles(&self.file.path().display().to_string(), LOGGED_MAX);
        tracing::warn!("{} 改过,没有采用,还在用原来的规则(版本 {}):\n{}", self.name(), short(live), all.join("\n"));
        let (name, obstacles) = (self.name(), examined.obstacles(&self.name(), TOLD_MAX).join("\n"));
        let only_tests = examined.errors() == 0 && !examined.failures.is_empty();
        let next = if only_tests {
            "这是有意改的,就把 [[test]] 里的得数一起改;不是,就改规则。存了会自动再检查"
        } else {
            "改好再存一次,会自动再检查"
        };
        self.say(false, format!("{name} 没有采用,还在用原来的规则(版本 {}):\n{obstacles}\n{next}", short(live))).await;
    }

    /// The file cannot be read.
    async fn miss(&mut self, reason: &str) {
        self.unread += 1;
        if self.unread != UNREAD_MAX {
            return;
        }
        counter!(RULES_RELOADS, "outcome" => "unreadable").increment(1);
        let path = self.file.path().display().to_string();
        tracing::warn!("读不到规则文件 {path}:{reason}。还在用原来的规则,得分照常");
        let live = short(self.handle.rules().hash);
        let told = format!(
            "读不到 {}:{reason}。还在用原来的规则(版本 {live}),得分照常。把文件放回 {path} 就会自动检查、生效;原文可以用 jifen rules show {live} 取回",
            self.name()
        );
        self.say(false, told).await;
    }

    /// Somebody proposed a text.
    async fn take(&mut self, proposal: Proposal) -> Result<RulesHash, Denied> {
        let live = self.handle.rules();
        if proposal.base.is_some_and(|base| base != live.hash) {
            return Err(Denied::Changed);
        }
        let Verdict { examined, changes } = examined(proposal.text.clone().into_bytes(), live.clone()).await;
        let rules: Arc<Rules> = match &examined.rules {
            Some(rules) if examined.ok => rules.clone(),
            _ => return Err(Denied::Bad(Box::new(examined))),
        };
        let path = self.file.path().to_owned();
        // What somebody saved and did not get through is not lost because another one was quicker.
        let has_other_text = watched::content(&path).is_some_and(|bytes| *bytes != *live.text.as_bytes());
        let kept = if has_other_text { watched::keep_aside(&path) } else { Ok(()) };
        let written = kept.and_then(|()| watched::write(&path, &proposal.text));
        if let (Err(source), false) = (&written, proposal.even_unwritten) {
            let source = io::Error::new(source.kind(), source.to_string());
            return Err(Denied::Unwritable { path, source });
        }
        self.adopt(rules.clone(), live.hash);
        tracing::info!(rules = %rules.hash, before = %live.hash, by = &*proposal.by, "proposed rules are live");
        let changed = || format!("规则已生效,版本 {} → {}:\n{}", short(live.hash), short(rules.hash), summary(changes, CHANGES_MAX));
        let mut told = proposal.told.unwrap_or_else(changed);
        match written {
            Ok(()) => {
                (self.refused, self.unread) = (None, 0);
                if has_other_text {
                    told += &format!("。文件里原来没生效的改动留在 {}", watched::backup(&path).display());
                }
            }
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the rules file cannot be written; the change lasts until it is saved or jifen starts again");
                told += &format!("。但 {} 写不了({error}),重启以后会变回去,请让工程师改文件", path.display());
            }
        }
        self.write_down(Note { by: proposal.by, accepted: true, told, asked: proposal.asked }).await;
        Ok(rules.hash)
    }

    /// Makes a version live.
    fn adopt(&self, rules: Arc<Rules>, before: RulesHash) {
        counter!(RULES_RELOADS, "outcome" => "live").increment(1);
        gauge!(RULES_INFO, "hash" => short(before)).set(0.0);
        gauge!(RULES_INFO, "hash" => short(rules.hash)).set(1.0);
        self.handle.adopt(rules);
    }

    /// The file's own name, as operators know it.
    fn name(&self) -> String {
        self.file.path().file_name().map_or(BY_FILE.into(), |name| name.to_string_lossy()).into_owned()
    }

    /// Tells the operators what became of the file.
    async fn say(&mut self, accepted: bool, told: String) {
        self.write_down(Note { by: BY_FILE.into(), accepted, told, asked: None }).await;
    }

    /// Has a change written down at once, or as soon as that can be done.
    async fn write_down(&mut self, note: Note) {
        self.note(note);
        if let Err(error) = self.tell().await {
            tracing::warn!(%error, "a change of the rules cannot be written down yet, it is tried again");
        }
    }

    /// Queues a change to be written down.
    fn note(&mut self, note: Note) {
        let Some(event) = event(note, self.corp.as_ref(), &self.handle.rules(), self.clock.now()) else { return };
        if self.untold.len() == UNTOLD_MAX {
            self.untold.pop_front();
        }
        self.untold.push_back(event);
    }

    /// Books what waits to be told, in order; what finds no room waits on.
    async fn tell(&mut self) -> Result<(), Rejected> {
        while let Some(event) = self.untold.front() {
            self.handle.hear(event.clone()).await?;
            self.untold.pop_front();
        }
        Ok(())
    }
}

/// What was found in a text, and what it would change.
struct Verdict {
    examined: Examined,
    changes: Vec<String>,
}

/// Reads, lints and tests a file, and compares it with what is live, beside everything else that goes on.
async fn examined(bytes: Vec<u8>, live: Arc<Rules>) -> Verdict {
    let judged = spawn_blocking(move || {
        let examined = examine(&bytes);
        match &examined.rules {
            Some(rules) if examined.ok && !has_rules(rules) && has_rules(&live) => refused("no-rules", NO_RULES),
            Some(rules) => Verdict { changes: difference(&live, rules), examined },
            None => Verdict { examined, changes: Vec::new() },
        }
    });
    // A panic of the examination is a bug of ours; it must not take the daemon down nor let the file pass.
    judged.await.unwrap_or_else(|error| {
        tracing::error!(%error, "examining rules.toml failed");
        refused("internal", "检查这个文件时程序自己出错了,所以没有采用;请把文件和日志发给 jifen 的开发者")
    })
}

/// A file without rules is good TOML, but not to be taken for what somebody wants.
const NO_RULES: &str = "文件里一条规则都没有,多半是没存完或清空了。真要停掉所有规则,给每条写上 mode = \"off\";要从空的重来,停掉 jifen,改好再启动";

fn refused(code: &'static str, text: &str) -> Verdict {
    let mistake = Mistake::error(1, 1, code, text.into());
    Verdict { examined: Examined { ok: false, mistakes: vec![mistake], tests: 0, failures: Vec::new(), rules: None }, changes: Vec::new() }
}

/// As people tell versions apart.
pub fn short(hash: RulesHash) -> String {
    hash.to_string().chars().take(8).collect()
}
