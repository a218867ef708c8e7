//! Announcing: what one digest says of the successes gathered for it, and which of them are no longer to be told. Reads, never writes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::day::{Calendar, Day, Millis};
use crate::model::decision::{Arg, Args, Occasion, Question, Reply, Template};
use crate::model::event::IdentityKind;
use crate::model::ids::ReplyId;
use crate::outbox::digest;
use crate::outbox::manners::{self, Moment, campaign_of, never_told, slot};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::template::{RenderError, render, together};
use crate::rules::text::display_name;
use crate::store::aftermath::{Aftermath, aftermath};
use crate::store::{Reader, ReplyRow, ReplyState, StoreError};

/// Bytes of a digest: a robot's text may have 2 048 (<https://developer.work.weixin.qq.com/document/path/91770>).
const BYTES_MAX: usize = 2_000;
/// Names told of one item, the most that fit first.
const NAMES_MAX: [usize; 3] = [10, 3, 0];

/// A success that is told with others.
pub struct Success {
    row: ReplyRow,
    entries: Vec<Entry>,
}

/// What one rule paid in it.
struct Entry {
    title: String,
    points: i64,
    bonus: i64,
    rung: i64,
}

/// Why a success is not told now.
pub enum Untold {
    /// It is told at this instant.
    Later(Millis),
    /// It is done with, for this reason.
    Closed(ReplyState, String),
}

/// A digest's name and the day it counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// [`digest::name`]
    pub name: String,
    /// The campaign's day.
    pub day: Day,
}

/// A success as it holds now: what was taken back since is not celebrated.
///
/// # Errors
/// The store cannot be read.
pub fn success(reader: &dyn Reader, rules: &Rules, row: ReplyRow, now: Millis) -> Result<Result<Success, Untold>, StoreError> {
    match manners::moment(rules, &row, now) {
        Moment::Now => {}
        Moment::At(moment) => return Ok(Err(Untold::Later(moment))),
        Moment::Never => return Ok(Err(Untold::Closed(ReplyState::Suppressed, never_told().into()))),
    }
    let Some(event) = reader.event(row.event)? else {
        return Err(StoreError::Corrupt(format!("第 {} 号回复没有它的事件", row.id)));
    };
    let later = aftermath(reader, &event)?;
    let mut entries: Vec<Entry> = std::iter::once(&row.reply.args).chain(together(&row.reply.args)).map(entry).collect();
    correct(&mut entries, &later, campaign_of(rules, &row));
    if later.taken_back || entries.is_empty() {
        return Ok(Err(Untold::Closed(ReplyState::Suppressed, format!("播报之前{},不再播报", later.in_words()))));
    }
    Ok(Ok(Success { row, entries }))
}

impl Success {
    /// The reply.
    pub fn id(&self) -> ReplyId {
        self.row.id
    }

    /// The reply's row.
    pub fn row(&self) -> &ReplyRow {
        &self.row
    }

    fn name(&self) -> String {
        display_name(&self.row.destination.name)
    }
}

/// Whether all are one member's: then they are told as if each had been told alone.
pub fn is_of_one_member(successes: &[Success]) -> bool {
    successes.iter().map(|success| &success.row.destination.to).collect::<HashSet<_>>().len() <= 1
}

/// The texts of a digest, and its name.
///
/// # Errors
/// The text is the operator's own and cannot be written.
pub fn digest(rules: &Rules, successes: &[Success], now: Millis) -> Result<(Vec<String>, Named), RenderError> {
    let campaign = successes.last().and_then(|last| campaign_of(rules, &last.row));
    let named = campaign.map_or(Span::default(), |campaign| span(&campaign.calendar, successes, now));
    let mut texts = Vec::new();
    for names in NAMES_MAX {
        let args = args(rules, campaign, successes, &named, names);
        let template = Template { occasion: Occasion::Digest, rule: None };
        texts = render(rules, &Reply { template, args, asked: false, once: None }, &Args::default())?;
        if texts.iter().all(|text| text.len() <= BYTES_MAX) {
            break;
        }
    }
    Ok((texts, Named { name: digest::name(&named.from, &named.until), day: named.day }))
}

/// What a digest tells of.
#[derive(Default)]
struct Span {
    from: String,
    until: String,
    day: Day,
}

/// From the first ten minutes to the end of the last, as far as they are over.
fn span(calendar: &Calendar, successes: &[Success], now: Millis) -> Span {
    let times = || successes.iter().map(|success| success.row.created_at);
    let (first, last) = (times().min().unwrap_or(now), times().max().unwrap_or(now));
    let clock = |at| calendar.local(at).strftime("%-H:%M").to_string();
    Span { from: clock(slot(calendar, first).0), until: clock(slot(calendar, last).1.min(now)), day: calendar.day(last) }
}

fn args(rules: &Rules, campaign: Option<&Campaign>, successes: &[Success], span: &Span, names: usize) -> Args {
    let items = items(successes);
    let points_name = campaign.map_or("积分", |campaign| &*campaign.points_name);
    let title = match &items[..] {
        [only] => only.title,
        _ => points_name,
    };
    let own_title = campaign.and_then(|campaign| campaign.title.as_deref().or(Some(&campaign.id)));
    let people: HashSet<_> = successes.iter().map(|success| &success.row.destination.to).collect();
    Args::default()
        .text("标题", title)
        .text("起", &*span.from)
        .text("止", &*span.until)
        .int("人数", people.len() as i64)
        .with("项目", Arg::List(items.iter().map(|item| item.args(names)).collect()))
        .text("助手", rules.assistant.names.first().map_or("", |name| name))
        .text("为什么", rules.assistant.word(Question::Why).unwrap_or_default())
        .text("积分名", points_name)
        .text("活动", own_title.unwrap_or_default())
}

/// What one rule paid to all of them.
struct Item<'a> {
    title: &'a str,
    places: HashMap<Member<'a>, usize>,
    /// Each with all they got of it, bonuses left out.
    people: Vec<(&'a Success, i64)>,
    streaks: Vec<Streak<'a>>,
}

/// Whom a reply's destination tells of.
type Member<'a> = &'a Option<(IdentityKind, Arc<str>)>;

struct Streak<'a> {
    rung: i64,
    bonus: i64,
    people: Vec<&'a Success>,
}

fn items(successes: &[Success]) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    for (success, entry) in successes.iter().flat_map(|success| success.entries.iter().map(move |entry| (success, entry))) {
        let place = items.iter().position(|item| item.title == entry.title).unwrap_or_else(|| {
            items.push(Item { title: &entry.title, places: HashMap::new(), people: Vec::new(), streaks: Vec::new() });
            items.len() - 1
        });
        items[place].add(success, entry);
    }
    items.iter_mut().for_each(|item| item.streaks.sort_by_key(|streak| std::cmp::Reverse((streak.rung, streak.bonus))));
    items
}

impl<'a> Item<'a> {
    fn add(&mut self, success: &'a Success, entry: &Entry) {
        let base = entry.points - entry.bonus;
        let place = *self.places.entry(&success.row.destination.to).or_insert(self.people.len());
        match self.people.get_mut(place) {
            Some((_, points)) => *points += base,
            None => self.people.push((success, base)),
        }
        if entry.bonus == 0 {
            return;
        }
        match self.streaks.iter_mut().find(|streak| (streak.rung, streak.bonus) == (entry.rung, entry.bonus)) {
            Some(streak) => streak.people.push(success),
            None => self.streaks.push(Streak { rung: entry.rung, bonus: entry.bonus, people: vec![success] }),
        }
    }

    fn args(&self, names: usize) -> Args {
        let points = || self.people.iter().map(|(_, points)| *points);
        let people: Vec<&Success> = self.people.iter().map(|(success, _)| *success).collect();
        let streak = |streak: &Streak<'_>| {
            let args = Args::default().int("档位", streak.rung).int("奖励", streak.bonus);
            args.int("人数", streak.people.len() as i64).text("名单", listed(&streak.people, names))
        };
        Args::default()
            .text("标题", self.title)
            .int("人数", people.len() as i64)
            .int("得分", points().min().unwrap_or_default())
            .int("最多", points().max().unwrap_or_default())
            .text("名单", listed(&people, names))
            .with("连签", Arg::List(self.streaks.iter().map(streak).collect()))
    }
}

/// `小红、阿强`, cut to so many names: `小红、阿强 等 12 位`; without names `12 位`.
fn listed(people: &[&Success], names: usize) -> String {
    let named = people.iter().take(names).map(|success| success.name()).collect::<Vec<_>>().join("、");
    match people.len() {
        count if names == 0 => format!("{count} 位"),
        count if count > names => format!("{named} 等 {count} 位"),
        _ => named,
    }
}

fn entry(args: &Args) -> Entry {
    let int = |wanted: &str| {
        let found = args.0.iter().find(|(name, _)| **name == *wanted).map(|(_, arg)| arg);
        if let Some(Arg::Int(number)) = found { *number } else { 0 }
    };
    let title = args.0.iter().find_map(|(name, arg)| match arg {
        Arg::Text(text) if **name == *"标题" => Some(text.clone()),
        Arg::Text(_) | Arg::Int(_) | Arg::Flag(_) | Arg::List(_) => None,
    });
    // A payment that a cap clipped need not hold the whole bonus any more.
    let is_clipped = args.0.iter().any(|(name, arg)| **name == *"封顶" && *arg == Arg::Flag(true));
    let bonus = if is_clipped { 0 } else { int("奖励") };
    Entry { title: title.unwrap_or_default(), points: int("得分"), bonus, rung: int("档位") }
}

/// What later events changed: a rule that no longer pays is not told of.
fn correct(entries: &mut Vec<Entry>, later: &Aftermath, campaign: Option<&Campaign>) {
    let title = |code: &Arc<str>| campaign.and_then(|campaign| campaign.rules.iter().find(|rule| rule.code == *code)).map(|rule| rule.title());
    for (code, now) in &later.now {
        let changed = entries.iter_mut().find(|entry| Some(&*entry.title) == title(code));
        changed.into_iter().for_each(|entry| (entry.points, entry.bonus) = (*now, 0));
    }
    entries.retain(|entry| entry.points > 0);
}
