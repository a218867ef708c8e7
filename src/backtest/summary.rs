//! Two worlds made into one report: sums side by side, members by name, verdicts that changed with examples.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::act::Act;
use crate::model::day::{Calendar, Day, Millis};
use crate::model::event::Kind;
use crate::model::ids::{CampaignId, EventSeq, GroupId};
use crate::rules::campaign::{Campaign, Rules};
use crate::store::{Reader, StoreError};

use super::Ask;
use super::history::{History, Item, Page, Person, What};
use super::kinds;
use super::report::{
    CampaignReport, Change, DayChange, EXAMPLES_MAX, Example, GroupChange, Lacking, MEMBERS_MAX, MemberChange, Report, RuleChange, VerdictChange, Version,
};
use super::tally::{Paid, Sums};
use super::world::Heard;

/// What the rules that are live are called.
const LIVE: &str = "现行规则";

/// What is earned outside of groups.
const OUTSIDE: &str = "单聊和定时";

/// Characters of a text that an example shows.
const TEXT_CHARS: usize = 20;

/// A change of verdict: campaign, rule, from what, to what.
type Turn = (Arc<str>, Arc<str>, &'static str, &'static str);

/// Messages whose verdict changed in one way.
#[derive(Debug, Default)]
struct Turned {
    times: u64,
    examples: Vec<Shown>,
}

/// An example, its member not looked up yet.
#[derive(Debug)]
struct Shown {
    seq: EventSeq,
    at: Millis,
    who: Option<Person>,
    text: String,
    was: i64,
    now: i64,
}

/// Compares what two worlds say of the same events.
pub(super) struct Pairing {
    old: Arc<Rules>,
    new: Arc<Rules>,
    turns: BTreeMap<Turn, Turned>,
}

impl Pairing {
    pub(super) fn new(old: Arc<Rules>, new: Arc<Rules>) -> Self {
        Pairing { old, new, turns: BTreeMap::new() }
    }

    /// Takes a page as both worlds heard it. They hear the same events in the same order.
    pub(super) fn pair(&mut self, page: &Page, was: &[Heard], now: &[Heard]) {
        let (mut items, mut others) = (page.items.iter(), now.iter().peekable());
        for was in was {
            // Nothing that one world heard twice and the other did not puts the rest out of step.
            while others.next_if(|now| now.seq < was.seq).is_some() {}
            let Some(now) = others.next_if(|now| now.seq == was.seq).filter(|now| *now != was) else { continue };
            if let Some(item) = items.find(|item| item.seq == was.seq) {
                self.turn(item, was, now);
            }
        }
    }

    fn turn(&mut self, item: &Item, was: &Heard, now: &Heard) {
        let looked = |heard: &Heard| -> Vec<(Arc<str>, Arc<str>)> {
            heard.campaign.iter().flat_map(|campaign| heard.verdicts.iter().map(|told| (campaign.clone(), told.0.clone()))).collect()
        };
        let rules: BTreeSet<(Arc<str>, Arc<str>)> = [looked(was), looked(now)].concat().into_iter().collect();
        for (campaign, rule) in rules {
            // What a trial says moves nobody's points: its sum is told, its verdicts are not.
            let trial = [&self.old, &self.new].map(|rules| kinds::is_on_trial(rules, &campaign, &rule));
            if trial.contains(&Some(true)) && !trial.contains(&Some(false)) {
                continue;
            }
            let told = |heard: &Heard, rules: &Rules| {
                let verdict = heard.verdicts.iter().find(|(code, ..)| heard.campaign.as_ref() == Some(&campaign) && *code == rule);
                verdict.map_or_else(|| (kinds::none(rules, &campaign, &rule), 0), |(_, kind, points)| (*kind, *points))
            };
            let ((from, was), (to, now)) = (told(was, &self.old), told(now, &self.new));
            if (from, was) == (to, now) {
                continue;
            }
            let turned = self.turns.entry((campaign, rule, from, to)).or_default();
            turned.times += 1;
            if turned.examples.len() < EXAMPLES_MAX {
                turned.examples.push(Shown { seq: item.seq, at: item.at, who: item.who, text: text(&item.what), was, now });
            }
        }
    }

    /// All that was found.
    pub(super) fn report(self, reader: &dyn Reader, history: &History<'_>, [was, now]: [Sums; 2], ask: &Ask) -> Result<Report, StoreError> {
        let mut ids: Vec<Arc<str>> = self.new.campaigns.iter().chain(&self.old.campaigns).map(|campaign| campaign.id.clone()).collect();
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()) && ask.campaign.as_ref().is_none_or(|wanted| wanted == id));
        let (was, now) = (by_name(was), by_name(now));
        let mut names = Names { reader, known: HashMap::new() };
        let mut turns: HashMap<Arc<str>, Vec<(Turn, Turned)>> = HashMap::new();
        for (turn, turned) in self.turns {
            turns.entry(turn.0.clone()).or_default().push((turn, turned));
        }
        let nothing = Named::default();
        let mut campaigns = Vec::new();
        for id in ids {
            let sheet = Sheet {
                old: self.old.campaigns.iter().find(|campaign| campaign.id == id),
                new: self.new.campaigns.iter().find(|campaign| campaign.id == id),
                was: was.get(&id).unwrap_or(&nothing),
                now: now.get(&id).unwrap_or(&nothing),
                history,
            };
            campaigns.push(sheet.report(&mut names, turns.remove(&id).unwrap_or_default())?);
        }
        let counts = history.counts;
        Ok(Report {
            old: Version { hash: self.old.hash.to_string(), name: LIVE.to_owned() },
            new: Version { hash: self.new.hash.to_string(), name: ask.name.clone() },
            from: counts.first.map(Day::date),
            to: counts.last.map(Day::date),
            events: counts.events,
            erased: counts.erased,
            outside: counts.outside,
            campaigns,
        })
    }
}

/// The first characters of what was said, or what was done.
fn text(what: &What) -> String {
    let What::Hear(event) = what else { return String::new() };
    match &event.kind {
        Kind::Said(said) if said.text.is_empty() && said.images > 0 => "[图片]".to_owned(),
        Kind::Said(said) if said.text.is_empty() && said.video => "[视频]".to_owned(),
        Kind::Said(said) => said.text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_CHARS).collect(),
        Kind::Did(Act::Joined | Act::JoinedBy { .. } | Act::Listed { .. }) => "[入群]".to_owned(),
        Kind::Did(Act::Left) => "[退群]".to_owned(),
        Kind::Did(Act::Happened { event, .. }) => format!("[{event}]"),
        Kind::Did(Act::OrderPaid { .. }) => "[订单]".to_owned(),
        Kind::Recalled { .. } => "[撤回]".to_owned(),
        Kind::Did(
            Act::Due { .. }
            | Act::Granted { .. }
            | Act::Opened { .. }
            | Act::Reinstated { .. }
            | Act::Counted { .. }
            | Act::Reviewed { .. }
            | Act::RulesChanged { .. }
            | Act::TakenBack { .. },
        )
        | Kind::Unknown { .. } => String::new(),
    }
}

/// What was paid in a campaign of a world, whatever its number (several corps may have one of the same name).
#[derive(Debug, Default)]
struct Named {
    rules: HashMap<Arc<str>, Paid>,
    groups: HashMap<GroupId, Paid>,
    group_members: HashSet<(GroupId, Person)>,
    members: HashMap<Person, Paid>,
    days: BTreeMap<Day, i64>,
    shadow: HashMap<Arc<str>, Paid>,
    lowest: HashMap<Person, i64>,
}

fn by_name(sums: Sums) -> HashMap<Arc<str>, Named> {
    let Sums { rules, groups, group_members, members, days, shadow, lowest, campaigns } = sums;
    let mut named: HashMap<Arc<str>, Named> = HashMap::new();
    let mut of = |id: CampaignId, take: &mut dyn FnMut(&mut Named)| {
        if let Some(name) = campaigns.get(&id) {
            take(named.entry(name.clone()).or_default());
        }
    };
    for ((id, rule), paid) in rules {
        of(id, &mut |named| add(named.rules.entry(rule.clone()).or_default(), paid));
    }
    for ((id, group), paid) in groups {
        of(id, &mut |named| add(named.groups.entry(group).or_default(), paid));
    }
    for (id, group, person) in group_members {
        of(id, &mut |named| named.group_members.extend([(group, person)]));
    }
    for ((id, person), paid) in members {
        of(id, &mut |named| add(named.members.entry(person).or_default(), paid));
    }
    for ((id, day), points) in days {
        of(id, &mut |named| *named.days.entry(day).or_default() += points);
    }
    for ((id, rule), paid) in shadow {
        of(id, &mut |named| add(named.shadow.entry(rule.clone()).or_default(), paid));
    }
    for ((id, person), points) in lowest {
        of(id, &mut |named| {
            let lowest = named.lowest.entry(person).or_default();
            *lowest = (*lowest).min(points);
        });
    }
    named
}

fn add(sum: &mut Paid, paid: Paid) {
    sum.points = sum.points.saturating_add(paid.points);
    sum.times += paid.times;
}

fn change(was: Option<&Paid>, now: Option<&Paid>) -> Change {
    let (was, now) = (was.copied().unwrap_or_default(), now.copied().unwrap_or_default());
    let times = |times: i64| times.max(0).unsigned_abs();
    Change { was: was.points, now: now.points, times_was: times(was.times), times_now: times(now.times) }
}

/// One campaign in both worlds.
struct Sheet<'a> {
    old: Option<&'a Campaign>,
    new: Option<&'a Campaign>,
    was: &'a Named,
    now: &'a Named,
    history: &'a History<'a>,
}

impl<'a> Sheet<'a> {
    fn report(&self, names: &mut Names<'_>, turns: Vec<(Turn, Turned)>) -> Result<CampaignReport, StoreError> {
        let campaign = self.new.or(self.old);
        let id = campaign.map(|campaign| campaign.id.clone()).unwrap_or_default();
        let rules = self.rules(&self.was.rules, &self.now.rules);
        let mut shadow = self.rules(&self.was.shadow, &self.now.shadow);
        shadow.retain(|rule| rule.change != Change::default());
        let total = rules.iter().fold(Change::default(), |sum, rule| Change {
            was: sum.was.saturating_add(rule.change.was),
            now: sum.now.saturating_add(rule.change.now),
            times_was: sum.times_was + rule.change.times_was,
            times_now: sum.times_now + rule.change.times_now,
        });
        let members = self.members();
        let count = |fits: &dyn Fn(i64) -> bool| members.iter().filter(|(_, change)| fits(change.difference())).count() as u64;
        let mut winners: Vec<_> = members.iter().filter(|(_, change)| change.difference() > 0).copied().collect();
        let mut losers: Vec<_> = members.iter().filter(|(_, change)| change.difference() < 0).copied().collect();
        winners.sort_by_key(|(person, change)| (-change.difference(), *person));
        losers.sort_by_key(|(person, change)| (change.difference(), *person));
        let calendar = campaign.map(|campaign| &campaign.calendar);
        Ok(CampaignReport {
            title: campaign.and_then(|campaign| campaign.title.clone()).unwrap_or_else(|| id.clone()),
            points_name: campaign.map(|campaign| campaign.points_name.clone()).unwrap_or_default(),
            point_value: campaign.and_then(|campaign| campaign.point_value),
            booked: self.history.booked(&id),
            id,
            total,
            shadow,
            rules,
            groups: self.groups(),
            gained: count(&|by| by > 0),
            lost: count(&|by| by < 0),
            same: count(&|by| by == 0),
            winners: named(names, &winners)?,
            losers: named(names, &losers)?,
            days: self.days(),
            verdicts: verdicts(names, turns, calendar)?,
            lacking: self.lacking(names)?,
        })
    }

    fn rules(&self, was: &HashMap<Arc<str>, Paid>, now: &HashMap<Arc<str>, Paid>) -> Vec<RuleChange> {
        let of = |campaign: Option<&'a Campaign>| campaign.into_iter().flat_map(|campaign| campaign.rules.iter().map(|rule| (&rule.code, rule.title())));
        let titles =
            |campaign: Option<&'a Campaign>| campaign.into_iter().flat_map(|campaign| campaign.titles.iter().map(|title| (&title.code, &*title.title)));
        let all = of(self.new).chain(titles(self.new)).chain(of(self.old)).chain(titles(self.old));
        let mut beside: Vec<&Arc<str>> = was.keys().chain(now.keys()).collect();
        beside.sort();
        let mut seen = HashSet::new();
        let all = all.chain(beside.into_iter().map(|code| (code, &**code)));
        all.filter(|(code, _)| seen.insert((*code).clone()))
            .map(|(code, title)| RuleChange { rule: code.clone(), title: title.into(), change: change(was.get(code), now.get(code)) })
            .collect()
    }

    fn groups(&self) -> Vec<GroupChange> {
        let ids: BTreeSet<GroupId> = self.was.groups.keys().chain(self.now.groups.keys()).copied().collect();
        let members: HashSet<&(GroupId, Person)> = self.was.group_members.iter().chain(&self.now.group_members).collect();
        let mut groups: Vec<GroupChange> = ids
            .into_iter()
            .map(|id| {
                let group = self.history.group(id);
                let title = group.map_or(OUTSIDE.into(), |group| group.title.clone().unwrap_or_else(|| group.chat.clone()));
                GroupChange {
                    chat: group.map(|group| group.chat.clone()),
                    title,
                    change: change(self.was.groups.get(&id), self.now.groups.get(&id)),
                    members: members.iter().filter(|(of, _)| *of == id).count() as u64,
                }
            })
            .collect();
        groups.sort_by_key(|group| (group.chat.is_none(), -group.change.now.max(group.change.was), group.chat.clone()));
        groups
    }

    fn members(&self) -> Vec<(Person, Change)> {
        let all: BTreeSet<Person> = self.was.members.keys().chain(self.now.members.keys()).copied().collect();
        all.into_iter().map(|person| (person, change(self.was.members.get(&person), self.now.members.get(&person)))).collect()
    }

    fn days(&self) -> Vec<DayChange> {
        let all: BTreeSet<Day> = self.was.days.keys().chain(self.now.days.keys()).copied().collect();
        let of = |named: &Named, day| named.days.get(&day).copied().unwrap_or_default();
        all.into_iter().map(|day| DayChange { day: day.date(), was: of(self.was, day), now: of(self.now, day) }).collect()
    }

    /// Whoever owes more than under the live rules.
    fn lacking(&self, names: &mut Names<'_>) -> Result<Vec<Lacking>, StoreError> {
        let deeper = self.now.lowest.iter().filter(|(person, lowest)| **lowest < self.was.lowest.get(person).copied().unwrap_or_default());
        let mut deeper: Vec<(i64, Person)> = deeper.map(|(person, lowest)| (*lowest, *person)).collect();
        deeper.sort_unstable();
        let mut lacking = Vec::with_capacity(deeper.len());
        for (lowest, person) in deeper {
            let (member, name) = names.of(person)?;
            lacking.push(Lacking { member, name, points: lowest.saturating_neg() });
        }
        Ok(lacking)
    }
}

fn named(names: &mut Names<'_>, members: &[(Person, Change)]) -> Result<Vec<MemberChange>, StoreError> {
    let mut changes = Vec::new();
    for (person, change) in members.iter().take(MEMBERS_MAX) {
        let (member, name) = names.of(*person)?;
        changes.push(MemberChange { member, name, change: *change });
    }
    Ok(changes)
}

fn verdicts(names: &mut Names<'_>, turns: Vec<(Turn, Turned)>, calendar: Option<&Calendar>) -> Result<Vec<VerdictChange>, StoreError> {
    let mut changes = Vec::with_capacity(turns.len());
    for ((_, rule, from, to), turned) in turns {
        let mut examples = Vec::with_capacity(turned.examples.len());
        for shown in turned.examples {
            let (member, name) = shown.who.map_or(Ok((Arc::default(), None)), |person| names.of(person))?;
            let at = calendar.map_or_else(String::new, |calendar| calendar.local(shown.at).strftime("%m-%d %H:%M").to_string());
            examples.push(Example { seq: shown.seq.0, at, member: name.unwrap_or(member), text: shown.text, was: shown.was, now: shown.now });
        }
        changes.push(VerdictChange { rule, from: from.to_owned(), to: to.to_owned(), times: turned.times, examples });
    }
    changes.sort_by(|a, b| (b.times, &a.rule, &a.from, &a.to).cmp(&(a.times, &b.rule, &b.from, &b.to)));
    Ok(changes)
}

/// What people are called.
struct Names<'r> {
    reader: &'r dyn Reader,
    known: HashMap<Person, (Arc<str>, Option<Arc<str>>)>,
}

impl Names<'_> {
    /// The outside id and the name.
    fn of(&mut self, person: Person) -> Result<(Arc<str>, Option<Arc<str>>), StoreError> {
        if let Some(known) = self.known.get(&person) {
            return Ok(known.clone());
        }
        let named = match person {
            Person::Member(id) => {
                let first = self.reader.identities_of(id)?.into_iter().next();
                let name = self.reader.member(id)?.and_then(|member| member.name);
                (first.map(|row| row.identity.value).unwrap_or_default(), name)
            }
            Person::Identity(id) => (self.reader.identity(id)?.map(|row| row.identity.value).unwrap_or_default(), None),
        };
        self.known.insert(person, named.clone());
        Ok(named)
    }
}
