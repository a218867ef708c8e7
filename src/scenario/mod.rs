//! Running chats against rules in memory: the `[[test]]`s of an operator's file and the scenario files of this project, through the very
//! pipeline that production uses.

pub mod failure;
mod why;

use std::cell::RefCell;
use std::sync::Arc;

use crate::model::act::{Act, listed_at};
use crate::model::cells::AccountCell;
use crate::model::day::Millis;
use crate::model::decision::Part;
use crate::model::event::{self, Channel, Event, GroupKind, Identity, IdentityKind, Kind, Picture, Place, Via};
use crate::model::ids::{AccountId, EventKey, EventSeq, FingerprintKey, KeyBytes};
use crate::model::journal::{AccountRef, Posting};
use crate::outbox::board::Boards;
use crate::outbox::gather::{Question, gather};
use crate::pipeline::command::Operators;
use crate::pipeline::{Pipeline, Silent};
use crate::rules::campaign::Rules;
use crate::rules::coverage::{Coverage, covers};
use crate::rules::expected;
use crate::rules::template::render;
use crate::rules::testing::{SINGLE_CHAT, Said, Test, TestLine};
use crate::scheduler::{Scheduler, catch_up};
use crate::store::memory::MemoryStore;
use crate::store::{PersonKey, Reader, ReplyRow, StoreError};
use arc_swap::ArcSwap;
use jiff::civil::DateTime;

use failure::Failure;

/// The corp of a scenario; nothing depends on it.
const CORP: &str = "test";

/// The channel of lines that name none.
const CHANNEL: &str = "scenario";

/// The group of lines that name none, where the rules cover every group.
const ANY_GROUP: &str = "测试群";

/// Who is answered where the clock has the bot say something.
const CLOCK: &str = "群";

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

/// A stage on which a chat is played, with everything in memory.
pub struct Stage {
    rules: Arc<Rules>,
    pipeline: Pipeline<MemoryStore>,
    reader: Box<dyn Reader>,
    scheduler: Scheduler,
    /// Who said what that can be taken back, by channel.
    said: Vec<(String, EventKey)>,
    lines: u64,
    heard_until: Millis,
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
        Stage { rules: rules.clone(), pipeline, reader: Box::new(reader), scheduler, said: Vec::new(), lines: 0, heard_until: Millis(i64::MIN) }
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
        Ok(replies.iter().flat_map(|row| self.told(row)).collect())
    }

    /// A reply as it would be sent at once.
    fn told(&self, row: &ReplyRow) -> Vec<String> {
        let question = Question { reader: &*self.reader, rules: &self.rules, row, now: row.created_at, versions: &RefCell::default() };
        let extra = gather(&question, &mut Boards::default()).map_err(|error| error.to_string());
        let texts = extra.and_then(|extra| render(&self.rules, &row.reply, &extra).map_err(|error| format!("回复模板出错:{error}")));
        texts.unwrap_or_else(|error| vec![format!("({error})")])
    }

    fn accounts_of(&self, event: &Event) -> Result<Vec<AccountId>, StoreError> {
        let accounts = event.who.as_ref().map(|who| self.accounts_of_person(who)).transpose()?.unwrap_or_default();
        Ok(accounts.into_iter().map(|account| account.id).collect())
    }

    fn accounts_of_person(&self, who: &Identity) -> Result<Vec<AccountCell>, StoreError> {
        let key = PersonKey { corp: CORP.into(), identity: Identity { kind: who.kind, value: who.folded().into() } };
        let member = self.reader.person(&key)?.and_then(|person| person.member);
        member.map(|member| self.reader.accounts_of(member)).transpose().map(Option::unwrap_or_default)
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
            Said::Recalled => {
                let is_meant = |(member, said): &(String, EventKey)| *member == line.member && (line.channel.is_none() || said.source == key.source);
                let recalled = self.said.iter().rposition(is_meant).map(|at| self.said.remove(at).1);
                key.source = recalled.as_ref().map_or_else(|| key.source.clone(), |said| said.source.clone());
                Kind::Recalled { of: recalled.map_or(KeyBytes::digest(b""), |said| said.key) }
            }
            Said::Message { .. } | Said::Happened { .. } => {
                self.said.push((line.member.clone(), key.clone()));
                kind(&line.said, &self.rules, &self.lines.to_string(), |joined| self.instant(joined, &place))
            }
            Said::Joined | Said::Left | Said::Listed(_) | Said::Time | Said::Paid { .. } => {
                kind(&line.said, &self.rules, &self.lines.to_string(), |joined| self.instant(joined, &place))
            }
        };
        // A line that goes back in time is a message that is heard late.
        let received_at = at.max(self.heard_until);
        self.heard_until = received_at;
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

/// What a line tells, as a channel would. A picture without a name is known by `unique`; `instant` finds the time of a wall clock. A recall is the
/// caller's affair, who knows what was said.
pub fn kind(said: &Said, rules: &Rules, unique: &str, instant: impl Fn(DateTime) -> Millis) -> Kind {
    match said {
        Said::Message { text, pictures, link, video } => {
            let is_name = |rest: &str| rules.assistant.names.iter().any(|name| rest.starts_with(&**name));
            let at_assistant = text.trim_start().strip_prefix(['@', '\u{ff20}']).is_some_and(is_name);
            let picture = |(place, name): (usize, &Option<String>)| Picture::known_as(name.clone().unwrap_or_else(|| format!("{unique}/{place}")).as_bytes());
            let pictures: Vec<Picture> = pictures.iter().enumerate().map(picture).collect();
            let images = u32::try_from(pictures.len()).unwrap_or(u32::MAX);
            Kind::Said(event::Said { text: text.clone(), images, pictures, link: link.clone(), video: *video, at_assistant, ..Default::default() })
        }
        Said::Recalled => Kind::Recalled { of: KeyBytes::digest(b"") },
        Said::Left => Kind::Did(Act::Left),
        Said::Listed(joined) => Kind::Did(Act::Listed { joined_at: instant(joined.at(0, 0, 0, 0)) }),
        // Of a moment nothing is heard; only the place and the member count.
        Said::Joined | Said::Time => Kind::Did(Act::Joined),
        Said::Happened { event, subject } => Kind::Did(Act::Happened { event: event.as_str().into(), subject: subject.as_deref().map(Into::into) }),
        Said::Paid { shop, number, fen } => Kind::Did(Act::OrderPaid { shop: shop.as_str().into(), number: number.as_str().into(), fen: *fen }),
    }
}

/// All that came of a chat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Played {
    /// Every posting, as a `ledger` writes it.
    pub ledger: Vec<String>,
    /// Every reply, as `replies` write it.
    pub replies: Vec<String>,
    /// Lines that did not come out as they say.
    pub failures: Vec<Failure>,
}

impl Stage {
    /// Plays a whole chat. `test` is what its failures are told under, `year` the year of dates that name none.
    ///
    /// # Errors
    /// The store in memory refused: a bug.
    pub fn play_all(&mut self, test: &str, lines: &[TestLine], group: &str, year: i16) -> Result<Played, StoreError> {
        let mut played = Played::default();
        for line in lines {
            let heard = self.play(line, group)?;
            played.replies.extend(heard.clock_replies.iter().map(|text| expected::reply(CLOCK, text)));
            played.replies.extend(heard.replies.iter().map(|text| expected::reply(&line.member, text)));
            for posting in heard.clock_postings.iter().chain(&heard.postings) {
                played.ledger.push(self.booked(posting, year)?);
            }
            let is_told = played.failures.len() < failure::FAILURES_MAX;
            played.failures.extend(failure::of_line(test, line, &heard, || if is_told { self.why(line, &heard) } else { Vec::new() }));
        }
        Ok(played)
    }

    /// A posting as a `ledger` writes it.
    fn booked(&self, posting: &Posting, year: i16) -> Result<String, StoreError> {
        let (account, change) = match (posting.src, posting.dst) {
            (_, AccountRef::Member(id)) => (id, posting.amount),
            (AccountRef::Member(id), AccountRef::System { .. }) => (id, -posting.amount),
            (AccountRef::System { .. }, AccountRef::System { .. }) => (AccountId(0), posting.amount),
        };
        let member = self.reader.account(account)?.map(|cell| self.reader.member(cell.key.member)).transpose()?.flatten();
        let name = member.and_then(|member| member.name).unwrap_or_default();
        Ok(expected::posting(&name, change, &posting.code, posting.day.date(), posting.dst_part == Part::Held, year))
    }

    /// All that a member has, what waits and what is held included.
    ///
    /// # Errors
    /// The store in memory cannot be read: a bug.
    pub fn balance(&self, member: &str) -> Result<i64, StoreError> {
        let who = Identity { kind: IdentityKind::Userid, value: member.into() };
        Ok(self.accounts_of_person(&who)?.iter().map(|account| account.available + account.held).sum())
    }
}

/// Runs one `[[test]]` and tells all that did not come out.
pub fn run(rules: &Arc<Rules>, test: &Test) -> Vec<Failure> {
    let mut stage = Stage::new(rules);
    let group = test.group.clone().unwrap_or_else(|| usual_group(rules));
    let played = stage.play_all(&test.name, &test.lines, &group, test.year).and_then(|mut played| {
        let end = failure::of_end(test, &played, |member| stage.balance(member))?;
        played.failures.extend(end);
        Ok(played.failures)
    });
    match played {
        Ok(failures) => failure::at_most(failures),
        Err(error) => vec![Failure { line: test.line, ..Failure::new(&test.name, error.to_string()) }],
    }
}

/// A group that the rules cover.
pub fn usual_group(rules: &Rules) -> String {
    let named = rules.campaigns.iter().flat_map(|campaign| &campaign.groups);
    let has_star = named.clone().any(|group| &**group == "*");
    let first = if has_star { None } else { named.clone().next() };
    first.map_or_else(|| ANY_GROUP.to_owned(), |group| group.to_string())
}
