//! What rules on trial (`mode = "shadow"`) would have paid lately, from the verdicts that were recorded: nothing is decided again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::civil::Date;
use serde::Serialize;

use crate::model::day::{Calendar, Day, Millis};
use crate::model::decision::{Refusal, Ruling};
use crate::model::ids::{CampaignId, EventSeq, IdentityId, MemberId, RulesHash};
use crate::model::journal::EventRow;
use crate::rules::budget::yuan;
use crate::rules::campaign::{Campaign, Mode, Rules};
use crate::rules::versions::Versions;
use crate::store::walk::PAGE;
use crate::store::{Reader, StoreError};

/// Changes of the rules looked through for when a trial began.
const CHANGES_MAX: usize = 100;
/// Members named of each rule.
const TOP_MAX: usize = 5;

/// Of which days, and of which rule.
#[derive(Debug, Clone)]
pub struct Request {
    /// Now: its business day is the last one.
    pub now: Millis,
    /// So many business days, at least 1.
    pub days: i32,
    /// Only this rule, by its code or title; all of them without.
    pub rule: Option<String>,
}

/// A rule on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// The campaign, by its id.
    pub campaign: Arc<str>,
    /// Ledger code.
    pub rule: Arc<str>,
    /// What members will see.
    pub title: Arc<str>,
    /// Its mode in the file now: `shadow`, `live`, `off`, or `gone`.
    pub mode: &'static str,
    /// Whether it is on trial because its whole campaign is.
    pub by_campaign: bool,
    /// What points are called.
    pub points_name: Arc<str>,
    /// Points that would have been paid.
    pub points: i64,
    /// The same in yuan, where the campaign says what a point is worth.
    pub yuan: Option<String>,
    /// Payments.
    pub payments: u64,
    /// Members who would have got them.
    pub members: u64,
    /// Who would have got most.
    pub top: Vec<TopMember>,
    /// Business days on which it looked at anything, ascending.
    pub days: Vec<TrialDay>,
    /// Why it would not have paid, most frequent first.
    pub refused: Vec<Refused>,
    /// Since when it is on trial, RFC 3339, where it looked at nothing yet and that was written down.
    pub since: Option<String>,
}

/// A member and what a rule would have paid them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopMember {
    /// The outside id.
    pub member: Arc<str>,
    /// The name, where one is known.
    pub name: Option<Arc<str>>,
    /// Points.
    pub points: i64,
}

/// A business day of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrialDay {
    /// The day.
    pub day: Date,
    /// Points.
    pub points: i64,
    /// Payments.
    pub payments: u64,
}

/// A reason and how often it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// In words.
    pub reason: &'static str,
    /// How often.
    pub times: u64,
}

/// What one rule was found to have said.
#[derive(Debug, Default)]
struct Tally {
    title: Option<Arc<str>>,
    points: i64,
    payments: u64,
    members: HashMap<(Option<MemberId>, IdentityId), i64>,
    days: BTreeMap<Day, (i64, u64)>,
    refused: BTreeMap<&'static str, u64>,
}

/// A campaign's id and a rule's code.
type RuleKey = (Arc<str>, Arc<str>);

/// A recorded verdict of a rule on trial.
struct Said {
    seq: EventSeq,
    campaign: Arc<str>,
    rule: Arc<str>,
    title: Arc<str>,
    day: Day,
    by: Option<IdentityId>,
    ruling: Ruling,
}

/// Every rule that is on trial under `rules`, and those that were in these days. Read at one moment, beside a running daemon too.
///
/// # Errors
/// The store cannot be read.
pub fn trials(reader: &dyn Reader, rules: &Rules, request: &Request) -> Result<Vec<Trial>, StoreError> {
    reader.freeze()?;
    let said = said(reader, rules, request);
    let made = said.and_then(|said| told(reader, rules, request, said));
    reader.thaw();
    made
}

/// The verdicts of rules on trial in these days, without those of messages that were taken back.
fn said(reader: &dyn Reader, rules: &Rules, request: &Request) -> Result<Vec<Said>, StoreError> {
    let directory = reader.directory()?;
    let campaigns: HashMap<CampaignId, Arc<str>> = directory.campaigns.iter().map(|((_, name), id)| (*id, name.clone())).collect();
    let (mut said, mut taken_back, mut versions) = (Vec::new(), HashSet::new(), Versions::default());
    let mut ready: Option<(RulesHash, Option<Arc<Rules>>)> = None;
    let earliest = request.now.plus_secs(-86_400 * (i64::from(request.days) + 1));
    let mut next = reader.first_sent_since(EventSeq(1), earliest)?;
    while let Some(from) = next {
        let page = reader.events(from, PAGE)?;
        next = page.last().map(|row| EventSeq(row.seq.0 + 1));
        for row in page {
            taken_back.extend(row.record.repair.as_ref().and_then(|repair| repair.takes_back));
            let Some(name) = row.campaign.and_then(|id| campaigns.get(&id)).filter(|_| !row.record.verdicts.is_empty()) else { continue };
            let calendar = calendar(rules, name);
            if row.day < calendar.day(request.now).plus(1 - request.days) {
                continue;
            }
            if ready.as_ref().is_none_or(|(hash, _)| *hash != row.rules) {
                ready = Some((row.rules, versions.get(row.rules, || reader.rules_text(row.rules))?));
            }
            let under = ready.as_ref().and_then(|(_, rules)| rules.as_deref());
            said.extend(tried(&row, name, under));
        }
    }
    said.retain(|said: &Said| !taken_back.contains(&said.seq));
    Ok(said)
}

/// The verdicts of an event that rules on trial gave.
fn tried(row: &EventRow, campaign: &Arc<str>, under: Option<&Rules>) -> Vec<Said> {
    let under = under.and_then(|rules| rules.campaigns.iter().find(|known| known.id == *campaign));
    let is_trial = |code: &str| under.is_some_and(|campaign| campaign.rules.iter().any(|rule| *rule.code == *code && rule.common.mode == Mode::Shadow));
    let verdicts = row.record.verdicts.iter().filter(|verdict| match &verdict.ruling {
        Ruling::Shadow(_) => true,
        Ruling::Refused(refusal) => !matches!(refusal, Refusal::Twin | Refusal::TakenBack) && is_trial(&verdict.rule),
        Ruling::Paid(_) | Ruling::Moved(_) => false,
    });
    let said = |verdict: &crate::model::decision::Verdict| Said {
        seq: row.seq,
        campaign: campaign.clone(),
        rule: verdict.rule.clone(),
        title: under.map_or_else(|| verdict.rule.clone(), |campaign| title(campaign, &verdict.rule)),
        day: row.day,
        by: row.identity,
        ruling: verdict.ruling.clone(),
    };
    verdicts.map(said).collect()
}

fn told(reader: &dyn Reader, rules: &Rules, request: &Request, said: Vec<Said>) -> Result<Vec<Trial>, StoreError> {
    let mut members: HashMap<IdentityId, Option<MemberId>> = HashMap::new();
    let mut tallies: Vec<(RuleKey, Tally)> = Vec::new();
    for campaign in &rules.campaigns {
        let on_trial = campaign.rules.iter().filter(|rule| rule.common.mode == Mode::Shadow);
        tallies.extend(on_trial.map(|rule| ((campaign.id.clone(), rule.code.clone()), Tally { title: Some(rule.common.title.clone()), ..Tally::default() })));
    }
    for said in said {
        let key = (said.campaign, said.rule);
        let at = tallies.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            tallies.push((key, Tally::default()));
            tallies.len() - 1
        });
        let tally = &mut tallies[at].1;
        tally.title.get_or_insert(said.title);
        let day = tally.days.entry(said.day).or_default();
        match &said.ruling {
            Ruling::Shadow(payment) => {
                (tally.points, tally.payments) = (tally.points.saturating_add(payment.points), tally.payments + 1);
                *day = (day.0.saturating_add(payment.points), day.1 + 1);
                let Some(by) = said.by else { continue };
                let member = match members.get(&by) {
                    Some(known) => *known,
                    None => *members.entry(by).or_insert(reader.identity(by)?.and_then(|row| row.member)),
                };
                let own = tally.members.entry((member, if member.is_some() { IdentityId(0) } else { by })).or_default();
                *own = own.saturating_add(payment.points);
            }
            Ruling::Refused(refusal) => *tally.refused.entry(reason(refusal)).or_default() += 1,
            Ruling::Paid(_) | Ruling::Moved(_) => {}
        }
    }
    let wanted = |code: &str, tally: &Tally| request.rule.as_deref().is_none_or(|rule| rule == code || tally.title.as_deref() == Some(rule));
    tallies.into_iter().filter(|((_, code), tally)| wanted(code, tally)).map(|((campaign, code), tally)| trial(reader, rules, campaign, code, tally)).collect()
}

fn trial(reader: &dyn Reader, rules: &Rules, id: Arc<str>, code: Arc<str>, tally: Tally) -> Result<Trial, StoreError> {
    let campaign = rules.campaigns.iter().find(|campaign| campaign.id == id);
    let mode = campaign.and_then(|campaign| campaign.rules.iter().find(|rule| rule.code == code)).map(|rule| rule.common.mode);
    let title_mode = || campaign.filter(|campaign| campaign.titles.iter().any(|title| title.code == code)).map(|campaign| campaign.mode);
    let mut top: Vec<_> = tally.members.iter().collect();
    top.sort_by_key(|(who, points)| (std::cmp::Reverse(**points), **who));
    let top = top.into_iter().take(TOP_MAX).map(|((member, identity), points)| named(reader, *member, *identity, *points)).collect::<Result<_, _>>()?;
    let began = if tally.days.is_empty() { since(reader, &id, &code)? } else { None };
    let mut refused: Vec<Refused> = tally.refused.into_iter().map(|(reason, times)| Refused { reason, times }).collect();
    refused.sort_by_key(|refused| std::cmp::Reverse(refused.times));
    Ok(Trial {
        title: tally.title.unwrap_or_else(|| code.clone()),
        mode: mode.or_else(title_mode).map_or("gone", crate::rules::edit::written),
        by_campaign: campaign.is_some_and(|campaign| campaign.mode == Mode::Shadow),
        points_name: campaign.map_or_else(|| "积分".into(), |campaign| campaign.points_name.clone()),
        yuan: campaign.and_then(|campaign| campaign.point_value).map(|value| yuan(tally.points, value)),
        rule: code,
        points: tally.points,
        payments: tally.payments,
        members: tally.members.len() as u64,
        top,
        days: tally.days.into_iter().map(|(day, (points, payments))| TrialDay { day: day.date(), points, payments }).collect(),
        refused,
        since: began.map(|at| calendar(rules, &id).local(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()),
        campaign: id,
    })
}

/// Since when a rule is on trial: the newest change before which it was not.
fn since(reader: &dyn Reader, campaign: &str, code: &str) -> Result<Option<Millis>, StoreError> {
    let mut versions = Versions::default();
    let mut is_trial = |hash: RulesHash| -> Result<bool, StoreError> {
        let rules = versions.get(hash, || reader.rules_text(hash))?;
        let campaign = rules.as_deref().and_then(|rules| rules.campaigns.iter().find(|known| *known.id == *campaign));
        Ok(campaign.is_some_and(|campaign| campaign.rules.iter().any(|rule| *rule.code == *code && rule.common.mode == Mode::Shadow)))
    };
    for change in reader.rules_changes(EventSeq(i64::MAX), CHANGES_MAX)?.into_iter().filter(|change| change.accepted) {
        if !is_trial(change.rules)? {
            return Ok(None);
        }
        match reader.event(EventSeq(change.event.0 - 1))? {
            Some(before) if is_trial(before.rules)? => {}
            Some(_) | None => return Ok(Some(change.at)),
        }
    }
    Ok(None)
}

fn named(reader: &dyn Reader, member: Option<MemberId>, identity: IdentityId, points: i64) -> Result<TopMember, StoreError> {
    let (id, name) = match member {
        Some(member) => (reader.identities_of(member)?.into_iter().next(), reader.member(member)?.and_then(|row| row.name)),
        None => (reader.identity(identity)?, None),
    };
    Ok(TopMember { member: id.map_or_else(Arc::default, |row| row.identity.value), name, points })
}

fn title(campaign: &Campaign, code: &Arc<str>) -> Arc<str> {
    let rule = campaign.rules.iter().find(|rule| rule.code == *code).map(|rule| rule.common.title.clone());
    let title = || campaign.titles.iter().find(|title| title.code == *code).map(|title| title.title.clone());
    rule.or_else(title).unwrap_or_else(|| code.clone())
}

/// The campaign's own calendar; China's when the file has it no more.
fn calendar(rules: &Rules, id: &str) -> Calendar {
    let own = rules.campaigns.iter().find(|campaign| *campaign.id == *id).map(|campaign| campaign.calendar.clone());
    own.unwrap_or_else(|| Calendar::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)), 0))
}

/// A refusal without its numbers.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Already { .. } => "次数已满",
        Refusal::Capped(_) => "分数已到上限",
        Refusal::OutsideWindow => "不在开放时段",
        Refusal::OutsideDates => "不在开放日期",
        Refusal::NotForThisGroup => "不在这条规则的群",
        Refusal::NotForThisMember(_) => "不是这条规则要的成员",
        Refusal::TooShort { .. } => "字数不够",
        Refusal::TooPlain { .. } => "不同的字不够",
        Refusal::CoolDown { .. } => "隔得太短",
        Refusal::Copy { .. } => "和自己说过的一样",
        Refusal::NearCopy { .. } => "和自己说过的太像",
        Refusal::Staff => "员工不得分",
        Refusal::TooMany => "余额太大",
        Refusal::Twin => "另一个通道已听到",
        Refusal::TakenBack => "已撤回",
        Refusal::Spent => "预算发完",
        Refusal::TooLate { .. } => "名额已满",
        Refusal::NotStayed => "没有待满",
        Refusal::Short { .. } | Refusal::NotBought(_) => "积分不够或不能买",
        Refusal::Declined => "没有批准",
        Refusal::ProofMissing { .. } => "还差图片、链接或视频",
        Refusal::WordMissing { .. } => "还差口令",
        Refusal::ProofUsed { .. } => "图片或链接用过",
        Refusal::StepsLeft(..) => "任务还没做完",
        Refusal::Frozen => "退群冻结中",
    }
}
