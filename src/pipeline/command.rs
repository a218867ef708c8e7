//! Operators' commands: what an operator says to the assistant becomes an event of its own, booked just before the message in the same
//! transaction, so that the answer can say what came of it.
//!
//! A command is known by who said what where, and the minute: heard through two channels, or sent twice within a minute, it is done once.
//! A message taken back takes no points back; `jifen grant --reverse` does.

use std::borrow::Cow;
use std::sync::Arc;

use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::decision::{Args, Decision, Outcome, Parking, Question, Record, Ruling, Traits};
use crate::model::event::{Channel, Event, Identity, Kind, Place};
use crate::model::ids::{CorpName, EventKey, EventSeq, GroupId, KeyBytes};
use crate::model::reply::{Occasion, Reply, Template};
use crate::model::wish::Wish;
use crate::rules::campaign::{Balance, Campaign};
use crate::rules::command::{self, Command};
use crate::rules::coverage::Coverage;
use crate::rules::decide::{hear, spoken};
use crate::rules::grant::{WAITS_DAYS, same};
use crate::rules::text::display_name;
use crate::rules::{switch, wording};
use crate::store::waiting::review_key;
use crate::store::{IdentityRow, PersonKey, Store, StoreError, Wants};

use super::recall;
use super::working::{Heard, Working};

/// Minutes by which the times that two channels tell of one message may lie apart.
const APART_MINUTES: i64 = 2;
/// Candidates named where a name is not enough.
const CANDIDATES_MAX: usize = 5;
/// Shortest form of an event's number as people write it: `0412`.
const NUMBER_DIGITS: usize = 4;

/// Who may act by chat, and where what they should know is told: `[operators]` of jifen.toml.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    /// Userids.
    pub members: Vec<Arc<str>>,
    /// Chat id.
    pub chat: Option<Arc<str>>,
}

impl From<&crate::settings::Operators> for Operators {
    fn from(written: &crate::settings::Operators) -> Self {
        let text = |text: &crate::settings::Text| Arc::from(text.as_str().trim());
        Operators { members: written.members.iter().map(text).collect(), chat: written.chat.as_ref().map(text) }
    }
}

impl Operators {
    /// Whether a person is one.
    pub fn include(&self, who: &Identity) -> bool {
        self.members.iter().any(|member| same(member, &who.value))
    }
}

/// A message that is a command.
#[derive(Debug)]
pub(super) enum Told {
    /// It cannot be done, for this reason.
    No(String),
    /// It is done by the event before it, under this key; the text names what it is about.
    Yes(EventKey, String),
    /// It was done when its copy was heard.
    Before,
    /// This is the answer.
    Answer(String),
    /// It is for who keeps rules.toml, who also answers.
    Wished(Box<Wish>),
}

/// An event's number as people write it.
pub fn number(seq: EventSeq) -> String {
    format!("{:0NUMBER_DIGITS$}", seq.0)
}

impl<'a> Working<'a> {
    /// Puts before each command the event that does it.
    pub(super) fn command<'w, S: Store>(&mut self, store: &mut S, heard: Vec<(usize, Heard<'w>)>) -> Result<Vec<(usize, Heard<'w>)>, StoreError> {
        if self.context.operators.members.is_empty() || self.context.failed.is_some() {
            return Ok(heard);
        }
        let mut all = Vec::with_capacity(heard.len());
        for (index, mut heard) in heard {
            if let Some(command) = self.as_command(&heard) {
                let (told, event) = match command {
                    Ok(command) => self.prepare_command(store, &heard, command)?,
                    Err(reason) => (Told::No(reason), None),
                };
                heard.told = Some(told);
                all.extend(event.map(|event| (index, event)));
            }
            all.push((index, heard));
        }
        Ok(all)
    }

    /// The command in a message; an error in words for one that cannot be read.
    fn as_command(&self, heard: &Heard<'_>) -> Option<Result<Command, String>> {
        let event = &heard.prepared.event;
        let said = event.said().filter(|_| heard.prepared.traits.as_ref().is_some_and(|traits| traits.asked))?;
        event.who.as_ref().filter(|who| self.context.operators.include(who))?;
        // A caller of the API may tell what shops and games saw; who speaks is only as sure as the caller.
        if heard.of.is_some() || event.via.channel == Channel::Api || self.counterpart(event).is_some() {
            return None;
        }
        let rules = self.context.rules;
        let Coverage::Campaign(at) = heard.coverage else { return None };
        let is_group = event.place != Place::Single;
        command::read(spoken(said, &rules.assistant.names, is_group).0, &rules.campaigns[at].points_name)
    }

    fn prepare_command<'w, S: Store>(&mut self, store: &mut S, heard: &Heard<'_>, command: Command) -> Result<(Told, Option<Heard<'w>>), StoreError> {
        let Coverage::Campaign(at) = heard.coverage else { return Ok((Told::Before, None)) };
        let event = &heard.prepared.event;
        let by = event.who.as_ref().map(|who| who.value.clone()).unwrap_or_default();
        match command {
            Command::Give { whom, points, reason } => {
                let campaign = &self.context.rules.campaigns[at];
                if campaign.balance == Balance::PerGroup && event.place == Place::Single {
                    return Ok((Told::No("这个活动每个群各算各的,请到那个群里 @我 说".into()), None));
                }
                let keys = self.command_keys(event, heard, &whom, points);
                if store.admit(&keys)?.iter().any(Option::is_some) {
                    return Ok((Told::Before, None));
                }
                let who = match self.find(store, &event.corp, campaign, heard, &whom)? {
                    Ok(who) => who,
                    Err(reason) => return Ok((Told::No(reason), None)),
                };
                let told = format!("{} {} {}({reason})", name_of(&whom, &who), signed(points), campaign.points_name);
                let act = Act::Granted { points, by, reason, batch: None, waits: false };
                let place = Place::Books { campaign: campaign.id.clone(), chat: event.place.chat().cloned() };
                let unless = keys.iter().cloned().chain(recall::counterpart(event)).collect();
                let granted = self.derived(event, (keys[0].clone(), unless), who, place, act);
                Ok((Told::Yes(keys[0].clone(), told), Some(granted)))
            }
            Command::Review { of, allowed, reason } => self.prepare_review(store, event, of, allowed, (by, reason)),
            Command::States => Ok((Told::Answer(switch::states(self.context.rules)), None)),
            Command::Switch { what, on } => Ok((self.prepare_switch(event, &what, on), None)),
        }
    }

    fn prepare_switch(&self, event: &Event, what: &str, on: bool) -> Told {
        match (switch::find(self.context.rules, what, on), event.who.clone()) {
            (Err(reason), _) => Told::No(reason),
            (Ok(switch), _) if !self.context.keeps_rules => Told::No(format!("这里只是试算;在企业微信里说这句,就会{} {}", switch::verb(on), switch.name)),
            (Ok(_), None) => Told::Before,
            (Ok(switch), Some(who)) => {
                let (corp, place, via) = (event.corp.clone(), event.place.clone(), event.via.clone());
                Told::Wished(Box::new(Wish { corp, place, who, via, switch }))
            }
        }
    }

    fn prepare_review<'w, S: Store>(
        &mut self,
        store: &mut S,
        event: &Event,
        of: EventSeq,
        allowed: bool,
        (by, why): (Arc<str>, Arc<str>),
    ) -> Result<(Told, Option<Heard<'w>>), StoreError> {
        let no = |reason: String| Ok((Told::No(reason), None));
        let Some((past, act)) = self.awaiting(store, &event.corp, of)? else { return no(format!("没有 {} 这一笔待批的", number(of))) };
        let Act::Granted { points, by: asked_by, reason, batch, .. } = act else { return no(format!("没有 {} 这一笔待批的", number(of))) };
        let key = review_key(&event.corp, of);
        if store.admit(std::slice::from_ref(&key))?[0].is_some() {
            return no(format!("{} 已经批过了", number(of)));
        }
        if event.at > past.row.at.plus_secs(WAITS_DAYS * 86_400) {
            return no(format!("{} 过了 {WAITS_DAYS} 天没人批,作废了;请重新加一次", number(of)));
        }
        if same(&by, &asked_by) {
            return no("自己提的不能自己批,请另一位管理员来".into());
        }
        let (Some(who), Some(place)) = (past.identity, self.books(&past.row)) else { return no(format!("没有 {} 这一笔待批的", number(of))) };
        let reason = if allowed || why.is_empty() { reason } else { why };
        let told = format!("{} {}({reason}),{asked_by} 提的", number(of), signed(points));
        let act = Act::Reviewed { of, allowed, by, asked_by, points, reason, batch };
        let reviewed = self.derived(event, (key.clone(), vec![key.clone()]), who, place, act);
        Ok((Told::Yes(key, told), Some(reviewed)))
    }

    /// A grant that waits for a second operator, and what it wants.
    fn awaiting<S: Store>(&self, store: &mut S, corp: &CorpName, of: EventSeq) -> Result<Option<(crate::store::Past, Act)>, StoreError> {
        let Some(past) = self.past(store, of)? else { return Ok(None) };
        let is_own_corp = past.row.campaign.is_some_and(|id| self.directory.campaigns.iter().any(|((of, _), known)| of == corp && *known == id));
        if past.row.record.outcome != Outcome::Parked(Parking::Approval) || !is_own_corp {
            return Ok(None);
        }
        let contents = match self.batch.events.iter().find(|event| event.row.seq == of) {
            Some(event) => event.contents.clone(),
            None => store.contents(of)?,
        };
        Ok(contents.and_then(|json| serde_json::from_slice(&json).ok()).map(|act| (past, act)))
    }

    /// The books that an event stands in.
    fn books(&self, row: &crate::model::journal::EventRow) -> Option<Place> {
        let campaign = self.directory.campaigns.iter().find(|(_, id)| Some(**id) == row.campaign).map(|((_, name), _)| name.clone())?;
        let chat = self.directory.groups.values().find(|group| group.id == row.group).map(|group| group.chat.clone());
        Some(Place::Books { campaign, chat })
    }

    /// The keys a command may stand under: its own first, then those of its copies from other channels.
    fn command_keys(&self, event: &Event, heard: &Heard<'_>, whom: &str, points: i64) -> Vec<EventKey> {
        let by = event.who.as_ref().map(|who| who.folded()).unwrap_or_default();
        let chat = event.place.chat().map_or("", |chat| chat);
        let words = spoken(event.said().unwrap_or(&Default::default()), &self.context.rules.assistant.names, !chat.is_empty()).0.trim().to_owned();
        let minute = event.at.0.div_euclid(60_000);
        let key = |source: &str, minute: i64| {
            let bytes = [source, chat, &by, whom, &points.to_string(), &words, &minute.to_string()].join("\0");
            EventKey { source: format!("{}/command", event.corp).into(), key: KeyBytes::digest(bytes.as_bytes()) }
        };
        let own = event.key.channel();
        let others = self.directory.sources.keys().filter(|(corp, name)| *corp == event.corp && *name != own && heard.group != GroupId::NONE);
        let copies = others.flat_map(|(_, name)| (minute - APART_MINUTES..=minute + APART_MINUTES).map(move |minute| (name, minute)));
        std::iter::once(key(&own, minute)).chain(copies.map(|(name, minute)| key(name, minute))).collect()
    }

    fn derived<'w>(&mut self, cause: &Event, (key, unless): (EventKey, Vec<EventKey>), who: Identity, place: Place, act: Act) -> Heard<'w> {
        let event = Event {
            key,
            corp: cause.corp.clone(),
            at: cause.at,
            received_at: cause.received_at,
            clamped: cause.clamped,
            place,
            who: Some(who),
            name: None,
            // Its notice is no answer to what was said: it goes a way of its own.
            via: crate::model::event::Via { reply_url: None, ..cause.via.clone() },
            kind: Kind::Did(act),
        };
        let prepared = hear(self.context.rules, event, self.context.fingerprints);
        Heard { unless, ..self.place(Cow::Owned(prepared)) }
    }

    /// The member meant: by a stable id, else by a name that only one bears.
    fn find<S: Store>(
        &mut self,
        store: &mut S,
        corp: &CorpName,
        campaign: &Campaign,
        heard: &Heard<'_>,
        whom: &str,
    ) -> Result<Result<Identity, String>, StoreError> {
        let identity = Identity::from_wecom(whom);
        let key = PersonKey { corp: corp.clone(), identity: Identity { kind: identity.kind, value: identity.folded().into() } };
        // Who speaks for the first time is not in the store yet.
        if heard.person.as_ref() == Some(&key) || store.load(&Wants { people: vec![key.clone()], ..Wants::default() })?.people.contains_key(&key) {
            return Ok(Ok(identity));
        }
        let named = store.people_named(corp, whom)?;
        let mut here = Vec::new();
        for row in &named {
            let Some(member) = row.member else { continue };
            let accounts = store.load(&Wants { accounts_of: vec![member], ..Wants::default() })?.accounts;
            let is_here = |key: &crate::model::cells::AccountKey| {
                Some(key.campaign) == heard.campaign && (campaign.balance == Balance::Shared || key.group == heard.group)
            };
            if accounts.keys().any(is_here) {
                here.push(row);
            }
        }
        Ok(choose(whom, if here.is_empty() { named.iter().collect() } else { here }))
    }

    /// What is said to an operator, once what they wanted is booked.
    pub(super) fn answer_command(&self, heard: &Heard<'_>, told: &Told) -> Decision {
        let traits = heard.prepared.traits.as_ref().map(|traits| Traits { matched: Vec::new(), ..traits.clone() });
        let record = Record { heard: traits, ..Record::default() };
        let text = match told {
            Told::Before | Told::Wished(_) => return Decision { record, ..Decision::default() },
            Told::Answer(text) => text.clone(),
            Told::No(reason) => format!("没有办:{reason}"),
            Told::Yes(key, about) => self.came_of(key, about),
        };
        Decision { record, replies: vec![reply(Occasion::Done, text.trim_end_matches('。'))], ..Decision::default() }
    }

    fn came_of(&self, key: &EventKey, about: &str) -> String {
        let row = self.booked.get(key).and_then(|seq| self.batch.events.iter().map(|event| &event.row).find(|row| row.seq == *seq));
        let Some(row) = row else { return format!("没有办:{about} 刚才已经办过") };
        if row.record.outcome == Outcome::Parked(Parking::Approval) {
            let alone =
                if self.context.operators.members.len() < 2 { ";现在管理员只有一位,请在 jifen.toml 的 [operators] 里再加一位" } else { "" };
            return format!("{about} 要另一位管理员批准:请回复「批准 {0}」或「驳回 {0}」,{WAITS_DAYS} 天内有效{alone}", number(row.seq));
        }
        let calendar = &self.context.rules.campaigns[0].calendar;
        match row.record.verdicts.first().map(|verdict| &verdict.ruling) {
            Some(Ruling::Paid(_)) => {
                let cell = row.account.and_then(|id| self.accounts.values().find(|cell| cell.id == id));
                let balance = cell.map_or(String::new(), |cell| format!(",现有 {}", cell.available));
                format!("已记:{about}{balance}")
            }
            Some(Ruling::Refused(crate::model::decision::Refusal::Declined)) => format!("已驳回:{about}"),
            Some(Ruling::Refused(refusal)) => format!("没有办:{about},{}", wording::refusal(refusal, calendar, (row.at, row.at), "")),
            Some(Ruling::Shadow(_) | Ruling::Moved(_)) | None => format!("没有办:{about}"),
        }
    }

    /// An operator who asks what can be asked is told what only operators may say.
    pub(super) fn tell_commands(&self, heard: &Heard<'_>, decision: &mut Decision) {
        let asks = heard.prepared.traits.as_ref().is_some_and(|traits| traits.asked && traits.question == Some(Question::Help));
        let is_operator = |who: &Identity| self.context.operators.include(who);
        if asks && heard.of.is_none() && heard.prepared.event.who.as_ref().is_some_and(is_operator) && !decision.replies.is_empty() {
            decision.replies.push(reply(Occasion::Done, command::OPERATORS_HELP));
        }
    }

    /// A grant that waits is told to the operators, once it has its number. Those of a file are told together, by who sent the file.
    pub(super) fn announce_waiting(&self, heard: &Heard<'_>, seq: EventSeq, decision: &mut Decision) {
        if decision.record.outcome != Outcome::Parked(Parking::Approval) {
            return;
        }
        let Kind::Did(Act::Granted { points, by, reason, batch: None, .. }) = &heard.prepared.event.kind else { return };
        let person = heard.person.as_ref().and_then(|person| self.people.get(person));
        let name = display_name(self.name(heard, person));
        let text = format!(
            "{by} 给 {name} {}({reason}),等另一位管理员 @我 回复「批准 {number}」或「驳回 {number}」,{WAITS_DAYS} 天内有效",
            signed(*points),
            reason = reason,
            number = number(seq)
        );
        decision.replies.push(reply(Occasion::Alarm, &text));
    }
}

fn reply(occasion: Occasion, text: &str) -> Reply {
    Reply { template: Template { occasion, rule: None }, args: Args::default().text("说明", text), asked: true, once: None }
}

fn signed(points: i64) -> String {
    format!("{points:+}")
}

fn name_of(whom: &str, who: &Identity) -> String {
    let name = display_name(whom);
    if same(whom, &who.value) { name } else { format!("{name}({})", who.value) }
}

/// The one meant by a name; why not, in words, where it is nobody's or several people's.
pub fn choose(whom: &str, named: Vec<&IdentityRow>) -> Result<Identity, String> {
    let mut members: Vec<_> = Vec::new();
    for row in named {
        if !members.iter().any(|known: &&IdentityRow| known.member == row.member) {
            members.push(row);
        }
    }
    let name = display_name(whom);
    match members.as_slice() {
        [] => Err(format!("没有找到「{name}」。得过分的成员可以写名字,别的请写成员编号(userid 或 external_userid)")),
        [one] => Ok(one.identity.clone()),
        several => {
            let ids: Vec<&str> = several.iter().take(CANDIDATES_MAX).map(|row| &*row.identity.value).collect();
            let more = if several.len() > CANDIDATES_MAX { " 等" } else { "" };
            Err(format!("有 {} 位都叫「{name}」,请写成员编号:{}{more}", several.len(), ids.join("、")))
        }
    }
}

/// Whether a grant has waited too long for its review.
pub fn is_over(at: Millis, now: Millis) -> bool {
    now > at.plus_secs(WAITS_DAYS * 86_400)
}
