//! Feeding events as JSON lines through the pipeline: real history without WeCom. Idempotent; its replies are never sent.
//!
//! What a line may say: [`crate::line`].

use std::io::BufRead;

use crate::line::parse_line;
use crate::model::day::Millis;
use crate::model::event::Event;
use crate::pipeline::{Pipeline, Work};
use crate::scheduler::{Scheduler, catch_up};
use crate::store::{Store, StoreError};

/// Lines decided in one transaction: large enough that the disk is no bound, small enough for one write-ahead log.
const LINES_PER_BATCH: usize = 512;

/// Longest line read, in bytes: a message of 20 000 characters fits several times.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines read.
    pub lines: u64,
    /// Events that were new.
    pub new: u64,
    /// Events that were known already.
    pub known: u64,
}

/// Why a replay stopped. Lines before it are applied, nothing after it is.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line that cannot be read.
    #[error("第 {line} 行:{text}。这一行以前的都已入账,以后的都没有;改好后可以整份重放,不会重复记分")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        text: String,
    },
    /// The input broke off.
    #[error("第 {line} 行之后读不下去:{source}")]
    Input {
        /// The last line read.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// The store could not commit.
    #[error("写不进数据库:{0}")]
    Store(#[from] StoreError),
}

/// Feeds all lines; what the clock brings between two of them comes first. `progress` is told after every batch.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay<S: Store>(
    pipeline: &mut Pipeline<S>,
    scheduler: &mut Scheduler,
    mut input: impl BufRead,
    corp: &str,
    now: &dyn Fn() -> Millis,
    progress: &mut dyn FnMut(Summary),
) -> Result<Summary, ReplayError> {
    let rules = pipeline.rules();
    let (mut summary, mut works, mut buffer) = (Summary::default(), Vec::new(), Vec::new());
    // When the clock brings something next; `None` before the first line.
    let mut next: Option<Millis> = None;
    loop {
        buffer.clear();
        let bytes = input.read_until(b'\n', &mut buffer).map_err(|source| ReplayError::Input { line: summary.lines, source })?;
        if bytes == 0 {
            flush(pipeline, &mut works, &mut summary)?;
            progress(summary);
            return Ok(summary);
        }
        summary.lines += 1;
        match read_line(&buffer, corp, now()) {
            Ok(None) => continue,
            Ok(Some(event)) => {
                if scheduler.know_corp(&event.corp) || next.is_none_or(|next| event.at >= next) {
                    flush(pipeline, &mut works, &mut summary)?;
                    next = Some(catch_up(pipeline, scheduler, event.at, now())?.unwrap_or(Millis(i64::MAX)));
                }
                works.push(Work::Hear(Box::new(pipeline.prepare(&rules, event))));
            }
            Err(text) => {
                flush(pipeline, &mut works, &mut summary)?;
                return Err(ReplayError::Line { line: summary.lines, text });
            }
        }
        if works.len() == LINES_PER_BATCH {
            flush(pipeline, &mut works, &mut summary)?;
            progress(summary);
        }
    }
}

fn read_line(buffer: &[u8], corp: &str, received_at: Millis) -> Result<Option<Event>, String> {
    if buffer.len() > LINE_BYTES_MAX {
        return Err(format!("这一行有 {} 字节,超过上限 {LINE_BYTES_MAX}", buffer.len()));
    }
    let text = std::str::from_utf8(buffer).map_err(|_| "不是 UTF-8 文本".to_owned())?.trim_start_matches('\u{feff}').trim();
    if text.is_empty() { Ok(None) } else { parse_line(text, corp, received_at).map(Some) }
}

fn flush<S: Store>(pipeline: &mut Pipeline<S>, works: &mut Vec<Work>, summary: &mut Summary) -> Result<(), StoreError> {
    if works.is_empty() {
        return Ok(());
    }
    for done in pipeline.run(works)? {
        if done.known { summary.known += 1 } else { summary.new += 1 }
    }
    works.clear();
    Ok(())
}
