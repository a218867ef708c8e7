//! Points by hand, for the command line and the console: grants checked and given, singly or as a file, batches taken back, and those
//! that wait for a second operator. Each is an event through the pipeline; a batch is one transaction.

pub mod sheet;
pub mod waiting;

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::grants::waiting::reviewed;
use crate::model::act::{Act, GrantPart};
use crate::model::day::Millis;
use crate::model::decision::{Outcome as Decided, Parking, Ruling};
use crate::model::event::{Channel, Event, Identity, Kind, Place, Via};
use crate::model::ids::{CampaignId, CorpName, EventKey, EventSeq, FingerprintKey, GroupId, KeyBytes};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::model::points::{POINTS_MAX, Points};
use crate::pipeline::command::{Operators, choose};
use crate::pipeline::{Pipeline, Work};
use crate::rules::campaign::{Balance, Rules};
use crate::rules::grant::{room, same};
use crate::rules::text::display_name;
use crate::rules::wording;
use crate::store::{PersonKey, Reader, Store, StoreError};

/// Names looked up for one file: each is a look through all members.
const NAMES_MAX: usize = 50;
/// Who gives where nobody is named.
const NOBODY: &str = "cli";

/// What the caller says of where and by whom.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The corp; the first one where none is named.
    pub corp: Option<String>,
    /// The campaign; the only one where none is named.
    pub campaign: Option<String>,
    /// The group, by name or chat id.
    pub group: Option<String>,
    /// The operator.
    pub by: Option<String>,
}

/// Where points are given, and by whom.
#[derive(Debug, Clone)]
pub struct Books {
    rules: Arc<Rules>,
    operators: Operators,
    fingerprints: FingerprintKey,
    corp: CorpName,
    campaign: usize,
    chat: Option<Arc<str>>,
    group: GroupId,
    by: Arc<str>,
}

/// A row to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file; 0 for none.
    pub line: usize,
    /// The member as it was written.
    pub member: String,
    /// How many; below zero they are taken.
    pub points: i64,
    /// Why.
    pub reason: Arc<str>,
}

/// A row whose member is known.
#[derive(Debug, Clone)]
pub struct Checked {
    row: Row,
    who: Identity,
}

/// What is wrong, by line; 0 for the whole file.
pub type Bad = Vec<(usize, String)>;

/// What a file comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Rows.
    pub rows: usize,
    /// Points given.
    pub given: i64,
    /// Points taken.
    pub taken: i64,
    /// Members.
    pub members: usize,
}

/// What became of one grant.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The event.
    pub event: EventSeq,
    /// Whose.
    pub name: String,
    /// Points moved, or to be moved.
    pub points: i64,
    /// What the member has now.
    pub balance: i64,
    /// It was done before.
    pub known: bool,
    /// It waits for a second operator.
    pub waits: bool,
    /// Why it was not done, or not wholly.
    pub refused: Option<String>,
}

/// A grant that waits for a second operator.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The event.
    pub event: EventSeq,
    /// Whose.
    pub name: String,
    /// How many.
    pub points: i64,
    /// Who asked.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// Its batch.
    pub batch: Option<Arc<str>>,
}

impl Books {
    /// Resolves what the caller said.
    ///
    /// # Errors
    /// What is missing or not there, in words.
    pub fn find(
        reader: &dyn Reader,
        rules: &Arc<Rules>,
        operators: &Operators,
        fingerprints: FingerprintKey,
        asked: Asked,
        first_corp: Option<String>,
    ) -> Result<Books, String> {
        let directory = reader.directory().map_err(|error| error.to_string())?;
        let only_corp = || {
            let mut corps: Vec<&CorpName> = directory.campaigns.keys().map(|(corp, _)| corp).collect();
            corps.sort();
            corps.dedup();
            if let [one] = corps.as_slice() { Some(one.to_string()) } else { None }
        };
        let corp: CorpName = asked.corp.or(first_corp).or_else(only_corp).unwrap_or_else(|| "default".into()).into();
        let ids = || rules.campaigns.iter().map(|campaign| &*campaign.id).collect::<Vec<_>>().join("、");
        let campaign = match &asked.campaign {
            Some(id) => rules.campaigns.iter().position(|campaign| *campaign.id == **id).ok_or_else(|| format!("没有活动 {id};有的是 {}", ids()))?,
            None if rules.campaigns.len() == 1 => 0,
            None => return Err(format!("有几个活动({}),请用 --campaign 写明", ids())),
        };
        let group = match &asked.group {
            Some(name) => {
                let is_it = |((of, chat), row): &(&(CorpName, Arc<str>), &crate::model::journal::GroupRow)| {
                    *of == corp && (**chat == **name || row.title.as_deref() == Some(name))
                };
                let found: Vec<_> = directory.groups.iter().filter(is_it).collect();
                match found.as_slice() {
                    [((_, chat), row)] => Some((chat.clone(), row.id)),
                    [] => return Err(format!("没有听到过群「{name}」里的消息;请写群名或群编号")),
                    several => {
                        let chats: Vec<&str> = several.iter().map(|((_, chat), _)| &**chat).collect();
                        return Err(format!("有 {} 个群都叫「{name}」,请写群编号:{}", several.len(), chats.join("、")));
                    }
                }
            }
            None if rules.campaigns[campaign].balance == Balance::PerGroup => return Err("这个活动每个群各算各的,请用 --group 写明哪个群".into()),
            None => None,
        };
        let by = asked.by.as_deref().map_or(NOBODY, str::trim);
        if asked.by.is_some() && !operators.members.is_empty() && !operators.members.iter().any(|member| same(member, by)) {
            return Err(format!("「{by}」不在 jifen.toml 的 [operators] members 里"));
        }
        let (chat, group) = group.map_or((None, GroupId::NONE), |(chat, id)| (Some(chat), id));
        Ok(Books { rules: rules.clone(), operators: operators.clone(), fingerprints, corp, campaign, chat, group, by: by.into() })
    }

    /// Refuses where nobody is named who is known to be an operator.
    ///
    /// # Errors
    /// What to do, in words.
    pub fn require_operator(&self) -> Result<(), String> {
        match self.operators.members.iter().any(|member| same(member, &self.by)) {
            true => Ok(()),
            false => Err("批准要写明是谁:--by 名字,并且在 jifen.toml 的 [operators] members 里".into()),
        }
    }

    fn place(&self) -> Place {
        Place::Books { campaign: self.rules.campaigns[self.campaign].id.clone(), chat: self.chat.clone() }
    }

    fn event(&self, key: EventKey, who: Identity, place: Place, act: Act, now: Millis) -> Event {
        Event {
            key,
            corp: self.corp.clone(),
            at: now,
            received_at: now,
            clamped: false,
            place,
            who: Some(who),
            name: None,
            // Its notice goes the way that an app's answer would.
            via: Via { channel: Channel::House, ..Via::default() },
            kind: Kind::Did(act),
        }
    }

    fn key(&self, text: &str) -> EventKey {
        EventKey { source: format!("{}/grant", self.corp).into(), key: KeyBytes::digest(text.as_bytes()) }
    }

    fn campaign_id(&self, reader: &dyn Reader) -> Result<Option<CampaignId>, StoreError> {
        let name = &self.rules.campaigns[self.campaign].id;
        Ok(reader.directory()?.campaigns.get(&(self.corp.clone(), name.clone())).copied())
    }
}

/// Finds every member and looks whether each grant can be booked. `unknown` lets in ids that were never heard of.
///
/// # Errors
/// The store cannot be read. The inner error is all that is wrong with the rows.
pub fn check(reader: &dyn Reader, books: &Books, rows: &[Row], unknown: bool) -> Result<Result<Vec<Checked>, Bad>, StoreError> {
    let campaign = books.campaign_id(reader)?;
    let (mut checked, mut bad, mut balances) = (Vec::with_capacity(rows.len()), Bad::new(), HashMap::<String, (i64, i64)>::new());
    let mut named: HashMap<&str, Result<Identity, String>> = HashMap::new();
    for row in rows {
        if row.points == 0 || !(-POINTS_MAX..=POINTS_MAX).contains(&row.points) {
            bad.push((row.line, format!("分数不能是 0,最多 {POINTS_MAX}")));
            continue;
        }
        let identity = Identity::from_wecom(&row.member);
        let person = reader.person(&PersonKey { corp: books.corp.clone(), identity: Identity { kind: identity.kind, value: identity.folded().into() } })?;
        let who = match named.get(row.member.as_str()) {
            _ if person.is_some() => identity,
            Some(Ok(found)) => found.clone(),
            Some(Err(text)) => {
                bad.push((row.line, text.clone()));
                continue;
            }
            None if unknown => identity,
            None if named.len() == NAMES_MAX => {
                bad.push((row.line, "写名字的太多了,请写成员编号(userid 或 external_userid)".into()));
                break;
            }
            None => {
                let rows = reader.people_named(&books.corp, &row.member)?;
                let found = choose(&row.member, rows.iter().collect());
                let hint = |text: String| format!("{text}。编号没错、只是从没出现过的成员:加上 --new");
                let found = found.map_err(|text| if rows.is_empty() { hint(text) } else { text });
                named.insert(&row.member, found.clone());
                match found {
                    Ok(who) => who,
                    Err(text) => {
                        bad.push((row.line, text));
                        continue;
                    }
                }
            }
        };
        let before = match balances.get(&who.folded()) {
            Some(known) => *known,
            None => balance(reader, books, campaign, &who)?,
        };
        let add = |to: i64| Points(to).checked_add(Points(row.points)).map(|sum| sum.0);
        match (add(before.0), add(before.1)) {
            (Some(available), Some(lifetime)) if row.points > 0 || available >= 0 => {
                balances.insert(who.folded(), (available, lifetime));
                checked.push(Checked { row: row.clone(), who });
            }
            (Some(_), Some(_)) => bad.push((row.line, format!("{} 只有 {},不够扣 {}", display_name(&row.member), before.0.max(0), -row.points))),
            _ => bad.push((row.line, "加上去就超过系统能记的最大数了".into())),
        }
    }
    Ok(if bad.is_empty() { Ok(checked) } else { Err(bad) })
}

/// What a member has and ever earned where points are given.
fn balance(reader: &dyn Reader, books: &Books, campaign: Option<CampaignId>, who: &Identity) -> Result<(i64, i64), StoreError> {
    let key = PersonKey { corp: books.corp.clone(), identity: Identity { kind: who.kind, value: who.folded().into() } };
    let Some(member) = reader.person(&key)?.and_then(|person| person.member) else { return Ok((0, 0)) };
    let group = match books.rules.campaigns[books.campaign].balance {
        Balance::Shared => GroupId::NONE,
        Balance::PerGroup => books.group,
    };
    let accounts = reader.accounts_of(member)?;
    let own = accounts.iter().find(|cell| Some(cell.key.campaign) == campaign && cell.key.group == group);
    Ok(own.map_or((0, 0), |cell| (cell.available, cell.lifetime)))
}

/// What checked rows come to.
pub fn summary(checked: &[Checked]) -> Summary {
    let sum = |sign: i64| checked.iter().map(|it| it.row.points.saturating_mul(sign).max(0)).fold(0, i64::saturating_add);
    let mut members: Vec<String> = checked.iter().map(|it| it.who.folded()).collect();
    members.sort();
    members.dedup();
    Summary { rows: checked.len(), given: sum(1), taken: sum(-1), members: members.len() }
}

/// The batch of a file: the same file, given in the same books, is the same batch.
pub fn batch_of(books: &Books, bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [&*books.corp, &*books.rules.campaigns[books.campaign].id, books.chat.as_deref().unwrap_or_default()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(bytes);
    let hash = hash.finalize();
    format!("b{:02x}{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3], hash[4])
}

/// Gives one grant.
///
/// # Errors
/// Nothing was written.
pub fn give_one<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    books: &Books,
    checked: &[Checked],
    now: Millis,
) -> Result<Vec<Outcome>, StoreError> {
    let unique: [u8; 16] = crate::store::vault::random_key()[..16].try_into().unwrap_or_default();
    let unique: String = unique.iter().map(|byte| format!("{byte:02x}")).collect();
    give(pipeline, reader, books, checked, None, &unique, now)
}

/// Gives a batch, in one transaction: all of it waits for a second operator if it is too much for one.
///
/// # Errors
/// Nothing was written.
pub fn give_batch<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    books: &Books,
    checked: &[Checked],
    batch: &str,
    now: Millis,
) -> Result<Vec<Outcome>, StoreError> {
    give(pipeline, reader, books, checked, Some(batch.into()), batch, now)
}

fn give<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    books: &Books,
    checked: &[Checked],
    batch: Option<Arc<str>>,
    name: &str,
    now: Millis,
) -> Result<Vec<Outcome>, StoreError> {
    let waits = batch.is_some() && is_too_much(reader, books, checked, now)?;
    let live = pipeline.rules();
    let events = checked.iter().enumerate().map(|(at, it)| {
        let act = Act::Granted { points: it.row.points, by: books.by.clone(), reason: it.row.reason.clone(), batch: batch.clone(), waits };
        books.event(books.key(&format!("{name}/{}", at + 1)), it.who.clone(), books.place(), act, now)
    });
    let works: Vec<Work> = events.map(|event| Work::Hear(Box::new(pipeline.prepare(&live, event)))).collect();
    let done = pipeline.run(&works)?;
    done.into_iter().zip(checked).map(|(done, it)| outcome(reader, done.seq, done.known, it.row.points)).collect()
}

/// Whether a batch as a whole is more than its operator may give alone.
fn is_too_much(reader: &dyn Reader, books: &Books, checked: &[Checked], now: Millis) -> Result<bool, StoreError> {
    let grant = &books.rules.grant;
    let four_eyes = |it: &Checked| grant.four_eyes_above.is_some_and(|most| it.row.points.abs() > most);
    let own = |it: &Checked| it.row.points > 0 && same(&it.who.value, &books.by);
    if checked.iter().any(|it| four_eyes(it) || own(it)) {
        return Ok(true);
    }
    if grant.max_points.is_empty() {
        return Ok(false);
    }
    let campaign = books.campaign_id(reader)?;
    let shared = reader.shared()?;
    let taken = |name: &str, number: i64| {
        let is_it = |key: &crate::store::SharedKey| Some(key.campaign) == campaign && *key.name == *name && key.number == number;
        shared.iter().find(|(key, _)| is_it(key)).map_or(0, |(_, taken)| *taken)
    };
    let day = books.rules.campaigns[books.campaign].calendar.day(now);
    let Summary { given, taken: withdrawn, .. } = summary(checked);
    Ok(given.saturating_add(withdrawn) > room(grant, day, books.fingerprints.of(&books.by.to_lowercase()), taken))
}

fn outcome(reader: &dyn Reader, seq: EventSeq, known: bool, points: i64) -> Result<Outcome, StoreError> {
    let row = event(reader, seq)?;
    let waits = row.record.outcome == Decided::Parked(Parking::Approval);
    let calendar = jiff::tz::TimeZone::UTC;
    let calendar = crate::model::day::Calendar::new(calendar, 0);
    let refused = row.record.verdicts.iter().find_map(|verdict| match &verdict.ruling {
        Ruling::Refused(refusal) => Some(wording::refusal(refusal, &calendar, (row.at, row.at), "")),
        Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Moved(_) => None,
    });
    let failed = match &row.record.outcome {
        Decided::Failed(reason) => Some(format!("出错了:{reason}")),
        _ if !waits && row.record.verdicts.is_empty() => Some("rules.toml 里没有这个活动了".to_owned()),
        _ => None,
    };
    let balance = row.account.map(|id| reader.account(id)).transpose()?.flatten().map_or(0, |cell| cell.available);
    Ok(Outcome { event: seq, name: name(reader, &row)?, points, balance, known, waits, refused: refused.or(failed) })
}

fn event(reader: &dyn Reader, seq: EventSeq) -> Result<EventRow, StoreError> {
    reader.event(seq)?.ok_or_else(|| StoreError::Corrupt(format!("没有第 {seq} 号事件;请运行 jifen verify")))
}

/// The name of whom an event is about, with the id.
fn name(reader: &dyn Reader, row: &EventRow) -> Result<String, StoreError> {
    let Some(identity) = row.identity.map(|id| reader.identity(id)).transpose()?.flatten() else { return Ok("?".into()) };
    let name = identity.member.map(|member| reader.member(member)).transpose()?.flatten().and_then(|member| member.name);
    Ok(name.map_or_else(|| identity.identity.value.to_string(), |name| format!("{}({})", display_name(&name), identity.identity.value)))
}

/// The events of a batch (`b3f2a9c01d`) or the one of a number (`0412`); none if it is neither.
///
/// # Errors
/// The store cannot be read.
pub fn find(reader: &dyn Reader, books: &Books, what: &str) -> Result<Vec<EventSeq>, StoreError> {
    let what = what.trim().trim_start_matches('#');
    if !what.is_empty() && what.bytes().all(|byte| byte.is_ascii_digit()) {
        let Ok(seq) = what.parse().map(EventSeq) else { return Ok(Vec::new()) };
        let is_grant = reader.event(seq)?.is_some_and(|row| &*row.kind == "granted");
        return Ok(if is_grant { vec![seq] } else { Vec::new() });
    }
    let mut found = Vec::new();
    for row in 1.. {
        let key = books.key(&format!("{what}/{row}"));
        let Some((_, seq)) = reader.find_events(key.key)?.into_iter().find(|(source, _)| *source == key.source) else { break };
        found.push(seq);
    }
    Ok(found)
}

/// Takes grants back, each into the bucket it came from; of what was spent since, what is left.
///
/// # Errors
/// Nothing was written.
pub fn take_back<S: Store>(
    pipeline: &mut Pipeline<S>,
    reader: &dyn Reader,
    books: &Books,
    grants: &[EventSeq],
    reason: &Arc<str>,
    now: Millis,
) -> Result<Vec<Outcome>, StoreError> {
    let live = pipeline.rules();
    let (mut works, mut wanted) = (Vec::new(), Vec::new());
    for of in grants {
        // What a second operator let through was booked by that event.
        let booked = reviewed(reader, books, *of)?.unwrap_or(*of);
        let row = event(reader, booked)?;
        let Some(account) = row.account else { continue };
        let parts: Vec<GrantPart> = reader.postings_of(booked)?.iter().filter_map(|posting| part(posting, AccountRef::Member(account))).collect();
        let identity = row.identity.map(|id| reader.identity(id)).transpose()?.flatten();
        let (Some(identity), Some(place), false) = (identity, place_of(reader, &row)?, parts.is_empty()) else { continue };
        wanted.push(parts.iter().map(|part| -part.points).fold(0, i64::saturating_add));
        let act = Act::TakenBack { of: booked, parts, by: books.by.clone(), reason: reason.clone() };
        let event = books.event(books.key(&format!("reverse/{booked}")), identity.identity, place, act, now);
        works.push(Work::Hear(Box::new(pipeline.prepare(&live, event))));
    }
    let mut outcomes = Vec::new();
    for (done, wanted) in pipeline.run(&works)?.into_iter().zip(wanted) {
        let outcome = outcome(reader, done.seq, done.known, wanted)?;
        let moved: i64 = event(reader, done.seq)?.record.verdicts.iter().map(|verdict| verdict.ruling.booked()).sum();
        let short = (moved != wanted).then(|| format!("要收回 {},只收回了 {}(其余已经花掉)", -wanted, -moved));
        outcomes.push(Outcome { points: moved, refused: short, ..outcome });
    }
    Ok(outcomes)
}

fn part(posting: &Posting, own: AccountRef) -> Option<GrantPart> {
    let points = if posting.dst == own { posting.amount } else { -posting.amount };
    let is_own = posting.dst == own || posting.src == own;
    is_own.then_some(GrantPart { posting: posting.seq, points, vests_on: posting.vests_on, expires_on: posting.expires_on })
}

fn place_of(reader: &dyn Reader, row: &EventRow) -> Result<Option<Place>, StoreError> {
    let directory = reader.directory()?;
    let campaign = directory.campaigns.iter().find(|(_, id)| Some(**id) == row.campaign).map(|((_, name), _)| name.clone());
    let chat = directory.groups.values().find(|group| group.id == row.group).map(|group| group.chat.clone());
    Ok(campaign.map(|campaign| Place::Books { campaign, chat }))
}
