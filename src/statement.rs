//! A member's statement: every posting with the balance after it, and what the account held at the end of a day.
//!
//! A day of the past is told as it was known then: the same that a backup taken at the end of that day holds. So an event counts from the
//! moment it was booked, a late message too; only history brought in afterwards (`jifen replay`) counts at its own time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::model::cells::{AccountCell, Occurrence};
use crate::model::day::{Calendar, Day, Millis};
use crate::model::decision::{Mark, Record};
use crate::model::event::{Identity, IdentityKind};
use crate::model::ids::{AccountId, CampaignId, CorpName, EventSeq, GroupId, MemberId, SourceId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::rules::wording::beside_rules;
use crate::store::{Directory, PersonKey, Reader, StoreError};

/// Longer after it happened no channel brings a message (WeCom keeps them for 5 days): what comes later is history brought in by hand.
const LATE_MILLIS_MAX: i64 = 5 * 86_400_000;

/// Ends of sources whose events count at their own time: history brought in, and what falls due by itself.
const AT_THEIR_TIME: [&str; 3] = ["/replay", "/import", "/clock"];

/// What the rules file says of a campaign, for its days and its words.
#[derive(Debug, Clone)]
pub struct Wording {
    /// Its days.
    pub calendar: Calendar,
    /// Its title.
    pub title: Option<Arc<str>>,
    /// Titles of rules by ledger code.
    pub rules: HashMap<Arc<str>, Arc<str>>,
}

/// Whose statement, and of when.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The stable id of the member.
    pub member: String,
    /// The corp, by its key in jifen.toml; all of them without.
    pub corp: Option<String>,
    /// The campaign, by its id in rules.toml; all of them without.
    pub campaign: Option<String>,
    /// As it was at the end of this business day; now without.
    pub as_of: Option<Date>,
    /// Now: what may be spent today.
    pub now: Millis,
    /// What the rules file says, by campaign; one that is not here has days of +08:00.
    pub wording: HashMap<Arc<str>, Wording>,
}

/// A member's accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The id it was asked by.
    pub member: String,
    /// The name.
    pub name: Option<Arc<str>>,
    /// All ids that lead to this person.
    pub ids: Vec<String>,
    /// The day it is of; `null` now.
    pub as_of: Option<String>,
    /// One for each campaign (and group, where groups have balances of their own).
    pub accounts: Vec<AccountStatement>,
}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountStatement {
    /// The corp.
    pub corp: CorpName,
    /// The campaign, by its id.
    pub campaign: Arc<str>,
    /// Its title.
    pub title: Option<Arc<str>>,
    /// The group's chat id, where groups have balances of their own.
    pub group: Option<Arc<str>>,
    /// Points it has; below zero only by claw-back. Those that vest later are in it.
    pub balance: i64,
    /// Those that may be spent on that day.
    pub spendable: i64,
    /// Points set aside.
    pub held: i64,
    /// Points ever earned.
    pub lifetime: i64,
    /// What may be spent later, by the first day it may.
    pub pending: Vec<Portion>,
    /// What goes, by the first day it is gone.
    pub expiring: Vec<Portion>,
    /// The balance by kind of rule.
    pub kinds: Vec<KindSum>,
    /// Every posting, oldest first.
    pub postings: Vec<Line>,
}

/// A part of the balance that changes on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Portion {
    /// The day.
    pub on: String,
    /// Points.
    pub points: i64,
}

/// What one kind of rule made of the balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindSum {
    /// `check_in`, `speaking`, `opening` …: the first word of the code.
    pub kind: String,
    /// Points, those taken back or spent counted against.
    pub points: i64,
    /// Postings.
    pub postings: u64,
}

/// One posting as the member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number in the ledger.
    pub posting: i64,
    /// The event that booked it.
    pub event: i64,
    /// When that happened, RFC 3339 in the campaign's zone.
    pub at: String,
    /// The business day it belongs to.
    pub day: String,
    /// The ledger code.
    pub code: Arc<str>,
    /// The rule's title today.
    pub title: Option<Arc<str>>,
    /// What it did to the balance.
    pub points: i64,
    /// What it did to the points set aside.
    pub held: i64,
    /// The balance after it.
    pub balance: i64,
    /// First day these points may be spent.
    pub vests_on: Option<String>,
    /// First day they are gone.
    pub expires_on: Option<String>,
    /// The posting it takes back.
    pub reverses: Option<i64>,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Nobody by this id, or nobody who ever had points.
    #[error("没有积分记录:{0}")]
    NotFound(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a statement; everything is read at one moment, beside a running daemon too.
///
/// # Errors
/// See [`StatementError`].
pub fn statement(reader: &dyn Reader, request: &Request) -> Result<Statement, StatementError> {
    reader.freeze()?;
    let made = make(reader, request);
    reader.thaw();
    made
}

fn make(reader: &dyn Reader, request: &Request) -> Result<Statement, StatementError> {
    let directory = reader.directory()?;
    let members = members(reader, &directory, request)?;
    let names = Names::of(&directory);
    let (mut accounts, mut ids, mut name) = (Vec::new(), Vec::new(), None);
    for member in &members {
        for cell in reader.accounts_of(*member)? {
            let Some((corp, campaign)) = names.campaigns.get(&cell.key.campaign) else { continue };
            if request.campaign.as_ref().is_none_or(|wanted| **wanted == **campaign) {
                accounts.push(account(reader, request, &names, &cell, corp, campaign)?);
            }
        }
        ids.extend(reader.identities_of(*member)?.into_iter().map(|row| row.identity.value.to_string()));
        name = name.or(reader.member(*member)?.and_then(|row| row.name));
    }
    if accounts.is_empty() {
        let in_campaign = request.campaign.as_ref().map(|campaign| format!("在积分活动 {campaign} 里")).unwrap_or_default();
        let text = if members.is_empty() {
            "没有见过这个编号,或者它从没得过分;也没有人叫这个名字;编号是 userid 或 external_userid"
        } else {
            "没有账户"
        };
        return Err(StatementError::NotFound(format!("{} {in_campaign}{text}", request.member)));
    }
    let as_of = request.as_of.map(|date| date.to_string());
    Ok(Statement { member: request.member.clone(), name, ids, as_of, accounts })
}

/// The members an id leads to: one in each corp.
fn members(reader: &dyn Reader, directory: &Directory, request: &Request) -> Result<Vec<MemberId>, StoreError> {
    let mut corps: Vec<&CorpName> = directory.campaigns.keys().map(|(corp, _)| corp).collect();
    corps.sort();
    corps.dedup();
    let mut members = Vec::new();
    for corp in corps.into_iter().filter(|corp| request.corp.as_ref().is_none_or(|wanted| **wanted == ***corp)) {
        let likely = Identity::from_wecom(&request.member);
        for kind in [likely.kind, IdentityKind::Userid, IdentityKind::External] {
            let folded = Identity { kind, value: likely.value.clone() }.folded();
            let key = PersonKey { corp: corp.clone(), identity: Identity { kind, value: folded.into() } };
            if let Some(member) = reader.person(&key)?.and_then(|person| person.member) {
                members.push(member);
                break;
            }
        }
    }
    Ok(members)
}

/// Names of what rows have numbers for.
struct Names {
    campaigns: HashMap<CampaignId, (CorpName, Arc<str>)>,
    chats: HashMap<GroupId, Arc<str>>,
    sources: HashMap<SourceId, Arc<str>>,
}

impl Names {
    fn of(directory: &Directory) -> Self {
        Names {
            campaigns: directory.campaigns.iter().map(|(key, id)| (*id, key.clone())).collect(),
            chats: directory.groups.iter().map(|((_, chat), row)| (row.id, chat.clone())).collect(),
            sources: directory.sources.iter().map(|((_, name), id)| (*id, name.clone())).collect(),
        }
    }

    /// When an event was booked; for history, when it happened.
    fn booked_at(&self, row: &EventRow) -> Millis {
        let source = row.source.and_then(|source| self.sources.get(&source));
        let is_history = source.is_some_and(|source| AT_THEIR_TIME.iter().any(|name| source.ends_with(name)));
        let is_old = row.received_at.0.saturating_sub(row.at.0) > LATE_MILLIS_MAX && &*row.kind != UNPARKED;
        if is_history || is_old { row.at } else { row.received_at.max(row.at) }
    }
}

/// What an event is called that decides another one later: it is booked when it comes, however old the other is.
const UNPARKED: &str = "unparked";

fn account(
    reader: &dyn Reader,
    request: &Request,
    names: &Names,
    cell: &AccountCell,
    corp: &CorpName,
    campaign: &Arc<str>,
) -> Result<AccountStatement, StoreError> {
    let wording = request.wording.get(campaign);
    let calendar = wording.map_or_else(|| Calendar::new(TimeZone::fixed(jiff::tz::offset(8)), 0), |wording| wording.calendar.clone());
    let end = request.as_of.map(|date| calendar.begins(Day::of(date).plus(1)));
    let mut folded = AccountCell { id: cell.id, key: cell.key, ..AccountCell::default() };
    let mut lines = Vec::new();
    for Booked { row, lifetime, postings } in history(reader, cell)? {
        if end.is_some_and(|end| names.booked_at(&row) >= end) {
            continue;
        }
        folded.lifetime += lifetime;
        for posting in &postings {
            let (balance, held) = (folded.available, folded.held);
            let occurrence = Occurrence { seq: row.seq, at: row.at, day: row.day };
            folded.apply(occurrence, &Record::default(), std::slice::from_ref(posting));
            lines.push(Line {
                posting: posting.seq.0,
                event: row.seq.0,
                at: calendar.local(row.at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
                day: posting.day.date().to_string(),
                code: posting.code.clone(),
                title: title(wording, &posting.code),
                points: folded.available - balance,
                held: folded.held - held,
                balance: folded.available,
                vests_on: posting.vests_on.map(|day| day.date().to_string()),
                expires_on: posting.expires_on.map(|day| day.date().to_string()),
                reverses: posting.reverses.map(|seq| seq.0),
            });
        }
    }
    let today = request.as_of.map_or_else(|| calendar.day(request.now), Day::of);
    let state = &folded.state;
    Ok(AccountStatement {
        corp: corp.clone(),
        campaign: campaign.clone(),
        title: wording.and_then(|wording| wording.title.clone()),
        group: Some(cell.key.group).filter(|group| *group != GroupId::NONE).and_then(|group| names.chats.get(&group).cloned()),
        balance: folded.available,
        spendable: state.spendable(today),
        held: folded.held,
        lifetime: folded.lifetime,
        pending: portions(state.pending(today)),
        expiring: portions(state.expiring(today.plus(1), Day(i32::MAX))),
        kinds: kinds(&lines),
        postings: lines,
    })
}

/// What an event did to an account.
struct Booked {
    row: EventRow,
    /// Points ever earned that came with a merge.
    lifetime: i64,
    postings: Vec<Posting>,
}

/// An account's events that moved something on it, oldest first: the chain of its history, walked back.
fn history(reader: &dyn Reader, cell: &AccountCell) -> Result<Vec<Booked>, StoreError> {
    let (mut history, mut next) = (Vec::new(), Some(cell.last_event));
    while let Some(seq) = next.filter(|seq| *seq > EventSeq(0)) {
        let row = reader.event(seq)?.ok_or_else(|| StoreError::Corrupt(format!("账户 {} 的历史断在事件 {seq};请运行 jifen verify", cell.id)))?;
        next = row.prev;
        let lifetime: i64 = row.record.marks.iter().map(Mark::lifetime).sum();
        if row.first_posting.is_some() || lifetime != 0 {
            let postings: Vec<Posting> = reader.postings_of(seq)?.into_iter().filter(|posting| touches(posting, cell.id)).collect();
            if !postings.is_empty() || lifetime != 0 {
                history.push(Booked { row: EventRow { record: Record::default(), ..row }, lifetime, postings });
            }
        }
    }
    history.reverse();
    Ok(history)
}

fn title(wording: Option<&Wording>, code: &Arc<str>) -> Option<Arc<str>> {
    wording.and_then(|wording| wording.rules.get(code).cloned()).or_else(|| beside_rules(code).map(Into::into))
}

fn touches(posting: &Posting, account: AccountId) -> bool {
    [posting.src, posting.dst].contains(&AccountRef::Member(account))
}

fn portions(days: Vec<(Day, i64)>) -> Vec<Portion> {
    days.into_iter().map(|(day, points)| Portion { on: day.date().to_string(), points }).collect()
}

fn kinds(lines: &[Line]) -> Vec<KindSum> {
    let mut sums: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry(line.code.split('.').next().unwrap_or_default()).or_default();
        sum.0 += line.points;
        sum.1 += 1;
    }
    sums.into_iter().map(|(kind, (points, postings))| KindSum { kind: kind.to_owned(), points, postings }).collect()
}
