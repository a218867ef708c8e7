//! Feeding events as JSON lines through the pipeline: real history without WeCom. Idempotent; its replies are never sent.
//!
//! ```json
//! {"id":"m-1","at":"2026-11-22T09:00:00+08:00","corp":"acme","group":"wrDemoGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
//! ```
//!
//! Without `group` it is a single chat. Instead of `said`: `"joined":{}`, `"left":{}`, `"recalled":{"of":"m-1"}`,
//! `"order_paid":{"shop":"taobao","number":"…","fen":26800}`, `"happened":{"event":"verified","subject":"…"}`. `source` names the channel
//! that would have brought it (`app/1000002`), so that history already received is known; it defaults to `replay`. What two sources tell of
//! one message pays once.

use std::io::BufRead;

use serde::Deserialize;

use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, GroupKind, Identity, Kind, Place, Said, Via};
use crate::model::ids::{EventKey, KeyBytes};
use crate::pipeline::{Pipeline, Work};
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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    at: jiff::Timestamp,
    corp: Option<String>,
    group: Option<String>,
    member: String,
    name: Option<String>,
    source: Option<String>,
    said: Option<SaidLine>,
    joined: Option<Nothing>,
    left: Option<Nothing>,
    recalled: Option<RecalledLine>,
    order_paid: Option<OrderLine>,
    happened: Option<HappenedLine>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidLine {
    #[serde(default)]
    text: String,
    #[serde(default)]
    images: Images,
    #[serde(default)]
    video: bool,
    link: Option<String>,
    quote: Option<String>,
    #[serde(default)]
    at_assistant: bool,
}

/// How many pictures, or their content hashes.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Images {
    Count(u32),
    Hashes(Vec<String>),
}

impl Default for Images {
    fn default() -> Self {
        Images::Count(0)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecalledLine {
    of: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderLine {
    shop: String,
    number: String,
    fen: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HappenedLine {
    event: String,
    subject: Option<String>,
}

/// Reads one line. `corp` stands in where the line names none.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_line(line: &str, corp: &str, received_at: Millis) -> Result<Event, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| format!("不是一条能读的事件({error})"))?;
    let corp = line.corp.as_deref().unwrap_or(corp).to_owned();
    for (field, value) in [("id", &line.id), ("member", &line.member), ("corp", &corp)] {
        if value.is_empty() {
            return Err(format!("{field} 是空的"));
        }
    }
    let place = match &line.group {
        Some(chat) => Place::Group { chat: chat.as_str().into(), kind: GroupKind::Internal, title: None },
        None => Place::Single,
    };
    let source = line.source.as_deref().unwrap_or("replay");
    Ok(Event {
        key: EventKey { source: format!("{corp}/{source}").into(), key: KeyBytes::of(&line.id) },
        corp: corp.into(),
        at: Millis::from(line.at),
        received_at,
        clamped: false,
        place,
        who: Some(Identity::from_wecom(&line.member)),
        name: line.name.clone(),
        via: Via { channel: Channel::Replay, ..Via::default() },
        kind: kind(line)?,
    })
}

fn kind(line: Line) -> Result<Kind, String> {
    let mut kinds = Vec::new();
    kinds.extend(line.said.map(|said| {
        let images = match said.images {
            Images::Count(count) => count,
            Images::Hashes(hashes) => u32::try_from(hashes.len()).unwrap_or(u32::MAX),
        };
        Kind::Said(Said { text: said.text, images, video: said.video, link: said.link, quote: said.quote, at_assistant: said.at_assistant, ..Said::default() })
    }));
    kinds.extend(line.joined.map(|Nothing {}| Kind::Did(Act::Joined)));
    kinds.extend(line.left.map(|Nothing {}| Kind::Did(Act::Left)));
    kinds.extend(line.recalled.map(|recalled| Kind::Recalled { of: KeyBytes::of(&recalled.of) }));
    kinds.extend(line.order_paid.map(|order| Kind::Did(Act::OrderPaid { shop: order.shop.into(), number: order.number.into(), fen: order.fen })));
    kinds.extend(line.happened.map(|happened| Kind::Did(Act::Happened { event: happened.event.into(), subject: happened.subject.map(Into::into) })));
    match (kinds.pop(), kinds.is_empty()) {
        (Some(kind), true) => Ok(kind),
        (Some(_), false) => Err("一行只能写 said、joined、left、recalled、order_paid、happened 中的一个".into()),
        (None, _) => Err("缺少 said、joined、left、recalled、order_paid、happened 中的一个".into()),
    }
}

/// Feeds all lines. `progress` is told after every batch.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay<S: Store>(
    pipeline: &mut Pipeline<S>,
    mut input: impl BufRead,
    corp: &str,
    now: &dyn Fn() -> Millis,
    progress: &mut dyn FnMut(Summary),
) -> Result<Summary, ReplayError> {
    let rules = pipeline.rules();
    let (mut summary, mut works, mut buffer) = (Summary::default(), Vec::new(), Vec::new());
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
            Ok(Some(event)) => works.push(Work::Hear(Box::new(pipeline.prepare(&rules, event)))),
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
