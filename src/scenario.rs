//! Running chats against rules in memory: the `[[test]]`s of an operator's file and the scenario files of this project, through the very
//! pipeline that production uses.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::civil::DateTime;
use serde::Serialize;

use crate::model::act::{Act, listed_at};
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Picture, Place, Via};
use crate::model::ids::{AccountId, EventKey, EventSeq, FingerprintKey, KeyBytes};
use crate::model::journal::{AccountRef, Posting};
use crate::pipeline::command::Operators;
use crate::pipeline::{Pipeline, Silent};
use crate::rules::campaign::Rules;
use crate::rules::coverage::{Coverage, covers};
use crate::rules::template::render;
use crate::rules::testing::{SINGLE_CHAT, Said, Test, TestLine};
use crate::scheduler::{Scheduler, catch_up};
use crate::store::memory::MemoryStore;
use crate::store::{PersonKey, Reader, ReplyRow, StoreError};

/// The corp of a scenario; nothing depends on it.
const CORP: &str = "test";

/// The channel of lines that name none.
const CHANNEL: &str = "scenario";

/// The group of lines that name none, where the rules cover every group.
const ANY_GROUP: &str = "测试群";

/// Who may act for the programme in a scenario.
const OPERATORS: [&str; 2] = ["管理员", "管理员甲"];

/// What came of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The event.
    pub event: EventSeq,
    /// Everything it booked, repairs of earlier lines included.
    pub postings: Vec<Posting>,
    /// What was said, rendered.
    pub replies: Vec<String>,
    /// What the clock booked since the line before, for anybody.
    pub clock_postings: Vec<Posting>,
    /// What the clock had the bot say since the line before.
    pub clock_replies: Vec<String>,
    /// By how much the clock changed the member's balance since the line before.
    pub clock_points: i64,
}

impl Heard {
    /// The net change of the member's balance.
    pub fn points(&self) -> i64 {
        self.postings.iter().map(signed).sum()
    }
}

fn signed(posting: &Posting) -> i64 {
    if matches!(posting.dst, AccountRef::Member(_)) { posting.amount } else { -posting.amount }
}

/// A line that did not come out as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The test's name.
    pub test: String,
    /// The line in the file, from 1.
    pub line: usize,
    /// Expected and actual, in words.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:1: error[test-failed]: 测试「{}」没有通过:{}", self.line, self.test, self.text)
    }
}

/// A stage on which a chat is played, with everything in memory.
pub struct Stage {
    rules: Arc<Rules>,
    pipeline: Pipeline<MemoryStore>,
    reader: Box<dyn Reader>,
    scheduler: Scheduler,
    /// Who said what that can be taken back, by channel.
    said: Vec<(String, EventKey)>,
    lines: u64,
}

impl Stage {
    /// An empty stage under these rules.
    pub fn new(rules: &Arc<Rules>) -> Self {
        let store = MemoryStore::default();
        let reader = store.reader();
        let mut scheduler = Scheduler::new(Box::new(store.reader()), Channel::Replay);
        scheduler.know_corp(&CORP.into());
        let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules.clone())), FingerprintKey::new(b"scenario"), Box::new(Silent));
        let pipeline = pipeline.with_operators(Operators { members: OPERATORS.map(Arc::from).to_vec(), chat: Some("管理员群".into()) });
        Stage { rules: rules.clone(), pipeline, reader: Box::new(reader), scheduler, said: Vec::new(), lines: 0 }
    }

    /// Plays one line. `group` is where it stands when the line names none.
    ///
    /// # Errors
    /// The store in memory refused: a bug.
    pub fn play(&mut self, line: &TestLine, group: &str) -> Result<Heard, StoreError> {
        let event = self.event(line, line.group.as_deref().unwrap_or(group));
        let before = self.reader.head()?.event;
        catch_up(&mut self.pipeline, &mut self.scheduler, event.received_at, event.received_at)?;
        let clock = self.reader.events(EventSeq(before.0 + 1), usize::MAX >> 1)?;
        let (mut clock_postings, mut clock_replies) = (Vec::new(), Vec::new());
        for event in &clock {
            clock_postings.extend(self.reader.postings_of(event.seq)?);
            clock_replies.extend(self.rendered(event.seq)?);
        }
        let accounts = self.accounts_of(&event)?;
        let is_own = |posting: &&Posting| accounts.iter().any(|own| [posting.src, posting.dst].contains(&AccountRef::Member(*own)));
        let clock_points = clock_postings.iter().filter(is_own).map(signed).sum();
        let nothing = Heard { event: before, postings: Vec::new(), replies: Vec::new(), clock_postings, clock_replies, clock_points };
        if line.said == Said::Time {
            return Ok(nothing);
        }
        let ticked = self.reader.head()?.event;
        let done = self.pipeline.hear(event)?;
        let (mut postings, mut replies) = (Vec::new(), Vec::new());
        // What a command does is an event of its own, before the message.
        for seq in (ticked.0 + 1..=done.seq.0).map(EventSeq) {
            postings.extend(self.reader.postings_of(seq)?);
            replies.extend(self.rendered(seq)?);
        }
        Ok(Heard { event: done.seq, postings, replies, ..nothing })
    }

    fn rendered(&self, event: EventSeq) -> Result<Vec<String>, StoreError> {
        let replies = self.reader.replies_of(event)?;
        let texts = |row: &ReplyRow| render(&self.rules, &row.reply, &Default::default()).unwrap_or_else(|error| vec![format!("(回复模板出错:{error})")]);
        Ok(replies.iter().flat_map(texts).collect())
    }

    fn accounts_of(&self, event: &Event) -> Result<Vec<AccountId>, StoreError> {
        let Some(who) = &event.who else { return Ok(Vec::new()) };
        let key = PersonKey { corp: event.corp.clone(), identity: Identity { kind: who.kind, value: who.folded().into() } };
        let member = self.reader.person(&key)?.and_then(|person| person.member);
        let accounts = member.map(|member| self.reader.accounts_of(member)).transpose()?.unwrap_or_default();
        Ok(accounts.into_iter().map(|account| account.id).collect())
    }

    /// Reads what is booked so far.
    pub fn reader(&self) -> &dyn Reader {
        &*self.reader
    }

    fn event(&mut self, line: &TestLine, group: &str) -> Event {
        self.lines += 1;
        let place =
            if group == SINGLE_CHAT { Place::Single } else { Place::Group { chat: group.into(), kind: GroupKind::Internal, title: Some(group.into()) } };
        let at = self.instant(line.at, &place);
        let source = format!("{CORP}/{}", line.channel.as_deref().unwrap_or(CHANNEL));
        let mut key = EventKey { source: source.into(), key: KeyBytes::of(&self.lines.to_string()) };
        let kind = match &line.said {
            Said::Message { text, pictures, link, video } => {
                self.said.push((line.member.clone(), key.clone()));
                let at_assistant =
                    text.trim_start().strip_prefix(['@', '@']).is_some_and(|rest| self.rules.assistant.names.iter().any(|name| rest.starts_with(&**name)));
                let unique = |place: usize| format!("{}/{place}", self.lines);
                let picture = |(place, name): (usize, &Option<String>)| Picture::known_as(name.clone().unwrap_or_else(|| unique(place)).as_bytes());
                let pictures: Vec<Picture> = pictures.iter().enumerate().map(picture).collect();
                let images = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
                let said =
                    crate::model::event::Said { text: text.clone(), images, pictures, link: link.clone(), video: *video, at_assistant, ..Default::default() };
                Kind::Said(said)
            }
            Said::Recalled => {
                let is_meant = |(member, said): &(String, EventKey)| *member == line.member && (line.channel.is_none() || said.source == key.source);
                let recalled = self.said.iter().rposition(is_meant).map(|at| self.said.remove(at).1);
                key.source = recalled.as_ref().map_or_else(|| key.source.clone(), |said| said.source.clone());
                Kind::Recalled { of: recalled.map_or(KeyBytes::digest(b""), |said| said.key) }
            }
            Said::Joined => Kind::Did(Act::Joined),
            Said::Left => Kind::Did(Act::Left),
            Said::Listed(joined) => Kind::Did(Act::Listed { joined_at: self.instant(joined.at(0, 0, 0, 0), &place) }),
            // Never heard; only the place and the member count.
            Said::Time => Kind::Did(Act::Joined),
        };
        let received_at = at;
        let at = if let Kind::Did(Act::Listed { joined_at }) = &kind { listed_at(*joined_at, at) } else { at };
        Event {
            key,
            corp: CORP.into(),
            at,
            received_at,
            clamped: false,
            place,
            who: Some(Identity { kind: IdentityKind::Userid, value: line.member.as_str().into() }),
            name: Some(line.member.clone()),
            via: Via { channel: Channel::Replay, ..Via::default() },
            kind,
        }
    }

    /// A line's wall-clock time in the campaign that covers its place.
    fn instant(&self, time: DateTime, place: &Place) -> Millis {
        let title = place.chat().map(|chat| &**chat);
        let at = match covers(&self.rules, place, title, &|name| Some(name) == title) {
            Coverage::Campaign(at) => at,
            Coverage::None | Coverage::Unresolved => 0,
        };
        let zone = self.rules.campaigns.get(at).map_or(jiff::tz::TimeZone::UTC, |campaign| campaign.calendar.zone().clone());
        time.to_zoned(zone).map_or(Millis(0), |zoned| Millis::from(zoned.timestamp()))
    }
}

/// Runs one `[[test]]` and tells every line that did not come out.
pub fn run(rules: &Arc<Rules>, test: &Test) -> Vec<Failure> {
    let mut stage = Stage::new(rules);
    let group = test.group.clone().unwrap_or_else(|| usual_group(rules));
    let mut failures = Vec::new();
    for line in &test.lines {
        let texts = match stage.play(line, &group) {
            Ok(heard) => complaints(line, &heard),
            Err(error) => vec![error.to_string()],
        };
        failures.extend(texts.into_iter().map(|text| Failure { test: test.name.clone(), line: line.line, text }));
    }
    failures
}

/// A group that the rules cover.
pub fn usual_group(rules: &Rules) -> String {
    let named = rules.campaigns.iter().flat_map(|campaign| &campaign.groups);
    let has_star = named.clone().any(|group| &**group == "*");
    let first = if has_star { None } else { named.clone().next() };
    first.map_or_else(|| ANY_GROUP.to_owned(), |group| group.to_string())
}

/// What did not come out as the line expects, in words.
pub fn complaints(line: &TestLine, heard: &Heard) -> Vec<String> {
    let mut complaints = Vec::new();
    let at = line.at.strftime("%m-%d %H:%M");
    let what = match &line.said {
        Said::Message { text, .. } => format!("{at} {}说「{text}」", line.member),
        Said::Recalled => format!("{at} {}撤回", line.member),
        Said::Joined => format!("{at} {}进群", line.member),
        Said::Left => format!("{at} {}退群", line.member),
        Said::Listed(joined) => format!("{at} 名单里的{}({joined} 进群)", line.member),
        Said::Time => format!("到 {at} 为止{}", line.member),
    };
    let is_time = line.said == Said::Time;
    let (points, replies) = if is_time { (heard.clock_points, &heard.clock_replies) } else { (heard.points(), &heard.replies) };
    if let Some(expected) = line.expect_points.filter(|expected| *expected != points) {
        complaints.push(format!("{what},应得 {expected:+},实得 {points:+}"));
    }
    if let Some(expected) = &line.expect_reply
        && !replies.iter().any(|reply| reply.contains(expected))
    {
        let actual = if replies.is_empty() { "没有回复".to_owned() } else { format!("回复是「{}」", replies.join("」「")) };
        complaints.push(format!("{what},回复里应有「{expected}」,实际{actual}"));
    }
    complaints
}
