//! Backtest: recorded history decided again under another rules.toml, in memory, through the very pipeline that production uses.
//!
//! Two worlds hear the same events in the order in which they were committed: one under the live file, one under the file that is tried. What is
//! told is the difference between the two, so that the same file makes none, whatever happened. Each world has a clock of its own. What
//! somebody's will moved (grants, opening balances, reviews) and what can no longer be read stands in both as it was booked; merges are done again.
//! Nothing is written.

pub mod report;
pub mod words;
pub mod table;
pub mod page;
pub mod parity;
#[cfg(test)]
mod sample;
mod beginning;
mod history;
mod kinds;
mod summary;
mod tally;
mod world;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use jiff::civil::Date;

use crate::model::day::{Day, Millis};
use crate::model::ids::FingerprintKey;
use crate::rules::campaign::Rules;
use crate::store::{Reader, StoreError};

use history::{History, Page};
use report::Report;
use summary::Pairing;
use world::{Heard, World};

/// Pages under way: one that is read, one that waits, one that is decided.
const PAGES_AHEAD: usize = 3;

/// What is tried.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The rules that are tried.
    pub new: Arc<Rules>,
    /// What people call them: a file's name.
    pub name: String,
    /// First business day decided again; from the beginning without one.
    pub from: Option<Date>,
    /// Last business day decided again; to the end without one.
    pub to: Option<Date>,
    /// Only this campaign is told of.
    pub campaign: Option<Arc<str>>,
    /// The key under which texts were told by: [`crate::store::vault::Vault::fingerprint_key`].
    pub fingerprints: FingerprintKey,
}

/// Why a backtest gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// The books cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// What was asked makes no sense; in words.
    #[error("{0}")]
    Ask(String),
}

/// Decides recorded history again under both files. `current` are the rules that are live. `progress` is told how many of how many events are behind.
///
/// # Errors
/// See [`BacktestError`]. Nothing is written, whatever happens.
pub fn run(reader: Box<dyn Reader>, current: Arc<Rules>, ask: &Ask, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, BacktestError> {
    check(&current, ask)?;
    reader.freeze()?;
    let report = decide_again(&*reader, &current, ask, progress);
    reader.thaw();
    report
}

fn check(current: &Rules, ask: &Ask) -> Result<(), BacktestError> {
    if let (Some(from), Some(to)) = (ask.from, ask.to)
        && from > to
    {
        return Err(BacktestError::Ask(format!("从 {from} 到 {to}:开始的日子在结束的后面,请对调")));
    }
    let Some(campaign) = &ask.campaign else { return Ok(()) };
    let all = ask.new.campaigns.iter().chain(&current.campaigns).map(|campaign| &*campaign.id);
    let mut known: Vec<&str> = Vec::new();
    all.for_each(|id| {
        if !known.contains(&id) {
            known.push(id)
        }
    });
    if known.contains(&&**campaign) {
        return Ok(());
    }
    Err(BacktestError::Ask(format!("没有叫 {campaign} 的活动,现有:{}", known.join("、"))))
}

/// The instants between which something is decided again.
fn span(current: &Rules, ask: &Ask) -> (Option<Millis>, Option<Millis>) {
    let begins = |day: Day| current.campaigns.iter().chain(&ask.new.campaigns).map(move |campaign| campaign.calendar.begins(day));
    let from = ask.from.and_then(|from| begins(Day::of(from)).min());
    let until = ask.to.and_then(|to| begins(Day::of(to).plus(1)).max());
    (from, until)
}

fn decide_again(reader: &dyn Reader, current: &Arc<Rules>, ask: &Ask, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, BacktestError> {
    let total = reader.head()?.event.0.max(0).unsigned_abs();
    let (from, until) = span(current, ask);
    let mut history = History::new(reader, Some(current), from, until)?;
    let closes_boards = current.campaigns.iter().chain(&ask.new.campaigns).any(|campaign| !campaign.titles.is_empty());
    let beginning = history.beginning(closes_boards, &mut |behind| progress(behind, total))?;
    let worlds = [current, &ask.new].map(|rules| World::new(&beginning, rules.clone(), ask.fingerprints.clone()));
    let mut pairing = Pairing::new(current.clone(), ask.new.clone());
    let tallies = thread::scope(|scope| {
        let mut lanes = worlds.map(|world| {
            let ((pages, inbox), (told, answers)) = (sync_channel(PAGES_AHEAD), sync_channel(PAGES_AHEAD));
            let thread = scope.spawn(move || work(world, &inbox, &told));
            Lane { pages, answers, thread }
        });
        let mut under_way: VecDeque<Arc<Page>> = VecDeque::new();
        loop {
            let page = history.page()?.map(Arc::new);
            if let Some(page) = &page {
                // A world that is gone said why.
                lanes.iter().for_each(|lane| drop(lane.pages.send(page.clone())));
                under_way.push_back(page.clone());
            }
            while under_way.len() == PAGES_AHEAD || (page.is_none() && !under_way.is_empty()) {
                let (Some(page), [was, now]) = (under_way.pop_front(), &mut lanes) else { break };
                pairing.pair(&page, &was.answer()?, &now.answer()?);
                progress(page.last(), total);
            }
            if page.is_none() {
                break;
            }
        }
        let [was, now] = lanes.map(Lane::finish);
        Ok::<_, StoreError>([was?, now?])
    })?;
    progress(total, total);
    Ok(pairing.report(reader, &history, tallies, ask)?)
}

/// A world at work on a thread of its own.
struct Lane<'s> {
    pages: SyncSender<Arc<Page>>,
    answers: Receiver<Result<Vec<Heard>, StoreError>>,
    thread: thread::ScopedJoinHandle<'s, Result<tally::Sums, StoreError>>,
}

impl Lane<'_> {
    fn answer(&mut self) -> Result<Vec<Heard>, StoreError> {
        self.answers.recv().unwrap_or_else(|_| Err(StoreError::Corrupt("回测的线程没有算完".into())))
    }

    fn finish(self) -> Result<tally::Sums, StoreError> {
        drop(self.pages);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn work(mut world: World, inbox: &Receiver<Arc<Page>>, told: &SyncSender<Result<Vec<Heard>, StoreError>>) -> Result<tally::Sums, StoreError> {
    for page in inbox {
        // Who asked is gone: it failed elsewhere.
        if told.send(world.hear(&page)).is_err() {
            break;
        }
    }
    world.finish()
}
