//! Trying chat lines against the live state without touching it, for `jifen try`: what every rule would say of them, what the bot would say, and
//! what the member has before and after.

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::civil::DateTime;
use serde::Serialize;

use crate::explain::{self, ExplainError, Explained};
use crate::model::act::{Act, listed_at};
use crate::model::cells::AccountCell;
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Via};
use crate::model::ids::{CorpName, EventKey, EventSeq, FingerprintKey, GroupId, KeyBytes};
use crate::model::journal::GroupRow;
use crate::outbox::board::Boards;
use crate::outbox::gather::{Question, Unready, gather};
use crate::pipeline::command::{Operators, choose};
use crate::pipeline::{Pipeline, Silent};
use crate::rules::campaign::{Balance, Campaign, RuleEntry, Rules};
use crate::rules::coverage::{Coverage, covers};
use crate::rules::template::render;
use crate::rules::testing::{SINGLE_CHAT, Said, TestLine};
use crate::rules::usage::{Usage, days_in_a_row, usage};
use crate::rules::versions::Versions;
use crate::rules::wording;
use crate::scenario;
use crate::store::overlay::{OverlayReader, OverlayStore};
use crate::store::{PersonKey, Reader, ReplyRow, StoreError};

/// Where tried lines come from; nobody else bears it.
const SOURCE: &str = "try";
/// The group where none is known and the rules name none.
const ANY_GROUP: &str = "测试群";
/// What is waited for a board: each time some ten thousand postings are counted.
const BOARD_STEPS_MAX: usize = 100_000;

/// What the caller says of where and by whom.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The corp.
    pub corp: CorpName,
    /// The campaign, by its id in rules.toml.
    pub campaign: Option<String>,
    /// The group, by name or chat id; `单聊` for the single chat.
    pub group: Option<String>,
    /// The member's outside id, where the name does not tell.
    pub member: Option<String>,
}

/// What would come of a line.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// Who, as the line names them.
    pub name: String,
    /// Whether the member was heard of before.
    pub is_known: bool,
    /// Where: the group's name or chat id, or `单聊`.
    pub place: String,
    /// By how much the member's points change, what it takes back included.
    pub points: i64,
    /// The message, every rule's verdict, and the rules that did not look.
    pub explained: Explained,
    /// What would be said, whole.
    pub replies: Vec<String>,
    /// The member's account before; `null` where the line is in no campaign.
    pub before: Option<Standing>,
    /// And after.
    pub after: Option<Standing>,
    /// What to know beside that, in words.
    pub notes: Vec<String>,
}

/// What a member has and has used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Standing {
    /// Points that may be spent.
    pub balance: i64,
    /// Points that wait until they may be spent.
    pub pending: i64,
    /// Points set aside.
    pub held: i64,
    /// Points ever earned.
    pub lifetime: i64,
    /// The caps over each rule of the campaign, each cap once.
    pub caps: Vec<RuleUsage>,
    /// Days in a row, for each rule that counts them.
    pub streaks: Vec<Streak>,
    /// The balance by when it may be spent and until when, in words.
    pub lots: Vec<String>,
}

/// A cap and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleUsage {
    /// The rule's title; of a cap over several the first one's.
    pub title: Arc<str>,
    /// The cap.
    #[serde(flatten)]
    pub usage: Usage,
}

/// Days in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Streak {
    /// Ledger code of the rule.
    pub rule: Arc<str>,
    /// Its title.
    pub title: Arc<str>,
    /// How many.
    pub days: u32,
}

/// Why a line cannot be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Somebody or something named is not there, or several are; in words.
    #[error("{0}")]
    Unclear(String),
    /// The message cannot be explained.
    #[error("{0}")]
    Explain(#[from] ExplainError),
    /// The store cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// A stage over the live state. Lines played on it see what those before them did; nobody else does.
pub struct Trial {
    rules: Arc<Rules>,
    pipeline: Pipeline<OverlayStore>,
    reader: OverlayReader,
    asked: Asked,
    versions: Versions,
    boards: Boards,
    /// Who said what that can be taken back.
    said: Vec<(String, EventKey)>,
    lines: u64,
}

/// Where a line is said.
struct Where {
    place: Place,
    title: String,
    campaign: Option<usize>,
    note: Option<String>,
}

impl Trial {
    /// A stage over what `base` reads, which must be frozen where others write.
    pub fn over(base: Box<dyn Reader>, rules: &Arc<Rules>, fingerprints: FingerprintKey, operators: Operators, asked: Asked) -> Trial {
        let store = OverlayStore::over(base);
        let reader = store.reader();
        let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules.clone())), fingerprints, Box::new(Silent)).with_operators(operators);
        let (versions, boards) = (Versions::default(), Boards::default());
        Trial { rules: rules.clone(), pipeline, reader, asked, versions, boards, said: Vec::new(), lines: 0 }
    }

    /// The campaign that lines are in where they name no group: the one asked for, else the first.
    ///
    /// # Errors
    /// There is no such campaign, in words.
    pub fn campaign(&self) -> Result<&Campaign, TrialError> {
        let campaigns = &self.rules.campaigns;
        let ids = || campaigns.iter().map(|campaign| &*campaign.id).collect::<Vec<_>>().join("、");
        let found = match &self.asked.campaign {
            Some(id) => campaigns.iter().find(|campaign| *campaign.id == **id),
            None => campaigns.first(),
        };
        found.ok_or_else(|| TrialError::Unclear(format!("没有活动 {};有的是 {}", self.asked.campaign.as_deref().unwrap_or_default(), ids())))
    }

    /// Plays one line, heard at `now`: one of an earlier time comes late.
    ///
    /// # Errors
    /// See [`TrialError`].
    pub fn play(&mut self, line: &TestLine, now: Millis) -> Result<Tried, TrialError> {
        self.lines += 1;
        let at_place = self.find_place(line)?;
        let calendar = match at_place.campaign {
            Some(at) => &self.rules.campaigns[at].calendar,
            None => &self.campaign()?.calendar,
        };
        let instant = |time: DateTime| time.to_zoned(calendar.zone().clone()).map_or(now, |zoned| Millis::from(zoned.timestamp()));
        let at = instant(line.at);
        let (who, is_known) = self.find_member(&line.member, &at_place.place)?;
        let mut kind = scenario::kind(&line.said, &self.rules, &format!("{SOURCE}/{}/{}", now.0, self.lines), instant);
        let at = if let Kind::Did(Act::Listed { joined_at }) = &kind { listed_at(*joined_at, at) } else { at };
        let id = format!("{SOURCE}-{}-{}", now.0, self.lines);
        let mut key = EventKey { source: format!("{}/{SOURCE}", self.asked.corp).into(), key: KeyBytes::of(&id) };
        match &line.said {
            Said::Message { .. } | Said::Happened { .. } => self.said.push((line.member.clone(), key.clone())),
            Said::Recalled => {
                let last = self.said.iter().rposition(|(member, _)| *member == line.member).map(|at| self.said.remove(at).1);
                let Some(last) = last else {
                    return Err(unclear(format!("前面没有{}说的话可以撤回;撤回要和那句话一起试:jifen try --stdin", line.member)));
                };
                kind = Kind::Recalled { of: last.key };
                key = last;
            }
            Said::Time => return Err(unclear("「到点」只能写在 [[test]] 里")),
            Said::Joined | Said::Left | Said::Listed(_) | Said::Paid { .. } => {}
        }
        // An id written in the place of a name does not become the name.
        let known_as = self.person(&who)?.and_then(|person| person.name).filter(|_| *who.value == *line.member);
        let mut notes: Vec<String> = at_place.note.iter().cloned().collect();
        if at > now {
            notes.push("到那时为止的到期、定时公布等没有预先做".into());
        }
        let event = Event {
            key: key.clone(),
            corp: self.asked.corp.clone(),
            at,
            received_at: now.max(at),
            clamped: false,
            place: at_place.place.clone(),
            who: Some(who.clone()),
            name: Some(known_as.map_or_else(|| line.member.clone(), |name| name.to_string())),
            via: Via { channel: Channel::Replay, ..Via::default() },
            kind,
        };
        let before = self.standing(&at_place, &who, at)?;
        let first = self.reader.head()?.event.0 + 1;
        let done = self.pipeline.hear(event)?;
        let mut replies = Vec::new();
        for seq in first..=done.seq.0 {
            for row in self.reader.replies_of(EventSeq(seq))? {
                replies.extend(self.told(&row));
            }
        }
        let after = self.standing(&at_place, &who, at)?;
        let explained = self.explained(&line.said, &key, &id)?;
        notes.extend(unlooked(&line.said, &explained));
        let all = |standing: &Option<Standing>| standing.as_ref().map_or(0, |it| it.balance.saturating_add(it.pending).saturating_add(it.held));
        let points = all(&after).saturating_sub(all(&before));
        Ok(Tried { name: line.member.clone(), is_known, points, place: at_place.title, explained, replies, before, after, notes })
    }

    fn explained(&mut self, said: &Said, key: &EventKey, id: &str) -> Result<Explained, TrialError> {
        let source = if *said == Said::Recalled { key.of_recall().source } else { key.source.clone() };
        let found = self.reader.find_events(key.key)?.into_iter().find(|(known, _)| *known == source);
        let Some((source, seq)) = found else { return Err(StoreError::Corrupt(format!("试的这一行没有记下来({id})")).into()) };
        Ok(explain::of_event(&self.reader, &mut self.versions, (id, source), seq)?)
    }

    fn find_place(&self, line: &TestLine) -> Result<Where, TrialError> {
        let campaign = self.campaign()?;
        let directory = self.reader.directory()?;
        let groups: Vec<&GroupRow> = directory.groups.iter().filter(|((corp, _), _)| *corp == self.asked.corp).map(|(_, row)| row).collect();
        let named = line.group.as_deref().or(self.asked.group.as_deref());
        if named == Some(SINGLE_CHAT) {
            return Ok(Where { place: Place::Single, title: SINGLE_CHAT.into(), campaign: self.covering(&Place::Single, &groups), note: None });
        }
        let row = match named {
            Some(name) => {
                let found: Vec<&GroupRow> = groups.iter().copied().filter(|row| *row.chat == *name || row.title.as_deref() == Some(name)).collect();
                if found.len() > 1 {
                    let chats: Vec<&str> = found.iter().map(|row| &*row.chat).collect();
                    return Err(unclear(format!("有 {} 个群都叫「{name}」,请写群编号:{}", found.len(), chats.join("、"))));
                }
                found.first().copied()
            }
            None => {
                let is_meant = |row: &&&GroupRow| self.covering(&place_of(row), &groups).is_some_and(|at| self.rules.campaigns[at].id == campaign.id);
                groups.iter().filter(is_meant).min_by_key(|row| row.id).copied()
            }
        };
        let unheard = || {
            let of_rules = campaign.groups.iter().find(|group| &***group != "*").map(|group| group.to_string());
            let name = named.map(str::to_owned).or(of_rules).unwrap_or_else(|| ANY_GROUP.into());
            (Place::Group { chat: name.as_str().into(), kind: GroupKind::Internal, title: Some(name.as_str().into()) }, name)
        };
        let (place, title, note) = match row {
            Some(row) => (place_of(row), row.title.as_deref().unwrap_or(&row.chat).to_owned(), None),
            None => {
                let (place, name) = unheard();
                let note = format!("还没有听到过群「{name}」里的消息,当作一个新的内部群");
                (place, name, Some(note))
            }
        };
        Ok(Where { campaign: self.covering(&place, &groups), place, title, note })
    }

    fn covering(&self, place: &Place, groups: &[&GroupRow]) -> Option<usize> {
        let title = match place {
            Place::Group { title, .. } => title.as_deref(),
            Place::Single | Place::Books { .. } => None,
        };
        let known = |name: &str| title == Some(name) || groups.iter().any(|group| group.title.as_deref() == Some(name));
        match covers(&self.rules, place, title, &known) {
            Coverage::Campaign(at) => Some(at),
            Coverage::None | Coverage::Unresolved => None,
        }
    }

    /// Who is meant, and whether anything was ever heard of them.
    fn find_member(&self, name: &str, place: &Place) -> Result<(Identity, bool), TrialError> {
        let written = self.asked.member.as_deref().unwrap_or(name);
        let id = Identity::from_wecom(written);
        if self.person(&id)?.is_some() {
            return Ok((id, true));
        }
        if self.asked.member.is_some() {
            return Ok((id, false));
        }
        let named = self.reader.people_named(&self.asked.corp, name)?;
        match choose(name, named.iter().collect()) {
            Ok(who) => Ok((who, true)),
            Err(_) if named.is_empty() => Ok((newcomer(name, place), false)),
            Err(several) => Err(unclear(format!("{several}。用 --member 编号 指明是哪一位"))),
        }
    }

    fn person(&self, who: &Identity) -> Result<Option<crate::store::Person>, StoreError> {
        let identity = Identity { kind: who.kind, value: who.folded().into() };
        self.reader.person(&PersonKey { corp: self.asked.corp.clone(), identity })
    }

    fn account(&self, at_place: &Where, campaign: &Campaign, who: &Identity) -> Result<(Option<AccountCell>, GroupId), StoreError> {
        let directory = self.reader.directory()?;
        let group = at_place.place.chat().and_then(|chat| directory.groups.get(&(self.asked.corp.clone(), chat.clone()))).map_or(GroupId::NONE, |row| row.id);
        let number = directory.campaigns.get(&(self.asked.corp.clone(), campaign.id.clone())).copied();
        let own = match campaign.balance {
            Balance::Shared => GroupId::NONE,
            Balance::PerGroup => group,
        };
        let member = self.person(who)?.and_then(|person| person.member);
        let accounts = member.map(|member| self.reader.accounts_of(member)).transpose()?.unwrap_or_default();
        Ok((accounts.into_iter().find(|cell| Some(cell.key.campaign) == number && cell.key.group == own), group))
    }

    fn standing(&self, at_place: &Where, who: &Identity, at: Millis) -> Result<Option<Standing>, StoreError> {
        let Some(campaign) = at_place.campaign.map(|at| &self.rules.campaigns[at]) else { return Ok(None) };
        let (account, group) = self.account(at_place, campaign, who)?;
        Ok(Some(standing(campaign, account.as_ref(), group, at)))
    }

    /// A reply as it would be sent at once.
    fn told(&mut self, row: &ReplyRow) -> Vec<String> {
        let question = Question { reader: &self.reader, rules: &self.rules, row, now: row.created_at, versions: &RefCell::default() };
        let mut extra = gather(&question, &mut self.boards);
        for _ in 0..BOARD_STEPS_MAX {
            if !matches!(extra, Err(Unready::Behind)) {
                break;
            }
            extra = gather(&question, &mut self.boards);
        }
        let texts =
            extra.map_err(|error| error.to_string()).and_then(|extra| render(&self.rules, &row.reply, &extra).map_err(|error| format!("回复模板出错:{error}")));
        texts.unwrap_or_else(|error| vec![format!("({error})")])
    }
}

fn unclear(text: impl Into<String>) -> TrialError {
    TrialError::Unclear(text.into())
}

fn place_of(row: &GroupRow) -> Place {
    Place::Group { chat: row.chat.clone(), kind: row.kind, title: row.title.clone() }
}

/// Somebody nobody heard of yet: in a group with customers a customer, since employees may earn nothing there.
fn newcomer(name: &str, place: &Place) -> Identity {
    let kind = match place {
        Place::Group { kind: GroupKind::Customer, .. } => IdentityKind::External,
        Place::Group { kind: GroupKind::Internal, .. } | Place::Single | Place::Books { .. } => IdentityKind::Userid,
    };
    Identity { kind, value: name.into() }
}

/// What an account holds at an instant.
fn standing(campaign: &Campaign, account: Option<&AccountCell>, group: GroupId, at: Millis) -> Standing {
    let day = campaign.calendar.day(at);
    let state = account.map(|account| &account.state);
    let (mut caps, mut streaks) = (Vec::<RuleUsage>::new(), Vec::new());
    for rule in &campaign.rules {
        for usage in usage(campaign, rule, state, group, (at, at)) {
            let is_told = |known: &RuleUsage| (&known.usage.of, known.usage.period, known.usage.in_points) == (&usage.of, usage.period, usage.in_points);
            if !caps.iter().any(is_told) {
                caps.push(RuleUsage { title: whose(rule, &usage), usage });
            }
        }
        match days_in_a_row(rule, state, day) {
            0 => {}
            days => streaks.push(Streak { rule: rule.code.clone(), title: rule.common.title.clone(), days }),
        }
    }
    let lot = |lot: &crate::model::cells::Lot| {
        let vests = lot.vests_on.filter(|vests| *vests > day).map_or(String::new(), |vests| format!(",{}生效", wording::date(vests, day)));
        let expires = lot.expires_on.map_or(String::new(), |gone| format!(",有效至 {}", wording::last_day(gone, day)));
        format!("{} 分{vests}{expires}", lot.amount)
    };
    Standing {
        balance: state.map_or(0, |state| state.spendable(day)),
        pending: state.map_or(0, |state| state.pending(day).iter().map(|(_, points)| points).sum()),
        held: account.map_or(0, |account| account.held),
        lifetime: account.map_or(0, |account| account.lifetime),
        caps,
        streaks,
        lots: state.map(|state| state.lots.iter().map(lot).collect()).unwrap_or_default(),
    }
}

/// A cap over several rules says so itself.
fn whose(rule: &RuleEntry, usage: &Usage) -> Arc<str> {
    if *usage.of == *rule.code { rule.common.title.clone() } else { "".into() }
}

/// What is to be said of a line that no rule looked at.
fn unlooked(said: &Said, explained: &Explained) -> Option<String> {
    match said {
        _ if !explained.verdicts.is_empty() => None,
        Said::Paid { .. } => Some("订单收下了,但还没有按订单给分的规则".into()),
        Said::Happened { event, .. } => Some(format!("没有规则认「{event}」这个事件;要给分请写 [event.{event}]")),
        Said::Message { .. } | Said::Recalled | Said::Joined | Said::Left | Said::Listed(_) | Said::Time => None,
    }
}
