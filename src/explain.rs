//! Explaining one message: what every rule said of it, for `jifen explain` and the pages that show it.

use std::sync::Arc;

use serde::Serialize;

use crate::model::cells::AccountState;
use crate::model::day::{Calendar, Millis};
use crate::model::decision::{Factor, Outcome, Parking, Refusal, Ruling, Verdict};
use crate::model::event::Said;
use crate::model::ids::{EventSeq, GroupId, KeyBytes, SourceId};
use crate::model::journal::EventRow;
use crate::rules::assistant_table::occasion_key;
use crate::rules::bystanders::bystanders;
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::explain::explain as in_words;
use crate::rules::hint::{Unpaid, hint};
use crate::rules::usage::{Usage, usage};
use crate::rules::versions::Versions;
use crate::rules::wording::beside_rules;
use crate::store::aftermath::{Aftermath, aftermath};
use crate::store::state_then::state_then;
use crate::store::waiting::is_unparked_source;
use crate::store::{Person, Reader, ReplyRow, StoreError};

/// Events that are looked through backwards for somebody's messages: some seconds.
pub const LOOKED_THROUGH: i64 = 500_000;
/// Events read at once meanwhile.
const CHUNK: i64 = 2_000;
/// What a message is called in the journal.
pub const SAID: &str = "said";
/// Changes of the rules that are looked through for when a version went live.
const CHANGES_MAX: usize = 1_000;

/// A message and every verdict on it, as `jifen explain --format json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The message.
    pub event: ExplainedEvent,
    /// One for each rule that looked at it, in file order.
    pub verdicts: Vec<ExplainedVerdict>,
    /// The rules of the campaign that did not look at a message, in file order; empty where nothing was decided.
    pub bystanders: Vec<Bystander>,
}

/// The message; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedEvent {
    /// The platform's id.
    pub id: String,
    /// Where it came from: `acme/app/1000002`.
    pub source: Arc<str>,
    /// Its place in the journal.
    pub seq: i64,
    /// When it happened, RFC 3339 in the campaign's zone.
    pub at: String,
    /// `said`, `joined` …
    pub kind: Arc<str>,
    /// The group's chat id; `null` for a single chat.
    pub group: Option<Arc<str>>,
    /// Who did it, by the outside id.
    pub member: Option<Arc<str>>,
    /// The campaign, by its id in rules.toml.
    pub campaign: Option<Arc<str>>,
    /// `decided`, `repair_limited` (too late to decide later days again), `recalled_before`, `twin_of`, `parked` or `failed`.
    pub outcome: &'static str,
    /// Points it moved.
    pub points: i64,
    /// The version of rules.toml it was decided under.
    pub rules: String,
    /// Since when that version was live, RFC 3339, where that was written down.
    pub rules_since: Option<String>,
    /// What to know beside the verdicts, in words: that it waits, what it nearly was, what later messages changed; else empty.
    pub note: String,
    /// What was to be said because of it, and what became of that.
    pub replies: Vec<ExplainedReply>,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedVerdict {
    /// Ledger code of the rule.
    pub rule: Arc<str>,
    /// The name members know it by; its code when the rules no longer have it.
    pub title: Arc<str>,
    /// `paid`, `shadow`, or the kind of refusal: `already`, `capped`, `copy` …
    pub outcome: &'static str,
    /// Points booked, what later events changed included.
    pub points: i64,
    /// In words, with what would have made it pay.
    pub why: String,
    /// What it pays before factors; `null` where it offered nothing.
    pub base: Option<i64>,
    /// What that was multiplied with.
    pub factors: Vec<Factor>,
    /// The caps over it just after this message, as they were known then; empty where nothing was counted.
    pub caps: Vec<Usage>,
}

/// A rule that did not look at the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bystander {
    /// Its ledger code.
    pub rule: Arc<str>,
    /// The name members know it by.
    pub title: Arc<str>,
    /// Why not, in words.
    pub why: String,
}

/// A reply; never its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedReply {
    /// Its number, as `jifen outbox` knows it.
    pub id: i64,
    /// What it is about: `paid`, `balance` …
    pub occasion: &'static str,
    /// `waiting`, `sending`, `sent`, `refused`, `unknown`, `expired` or `suppressed`.
    pub state: &'static str,
    /// The way it went, or why it did not.
    pub reason: Option<Arc<str>>,
}

impl ExplainedReply {
    fn of(row: ReplyRow) -> Self {
        ExplainedReply { id: row.id.0, occasion: occasion_key(row.reply.template.occasion), state: row.state.as_str(), reason: row.reason }
    }
}

/// Why a message cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No such message.
    #[error("没有编号为 {0} 的消息。编号是企业微信的 MsgId(回调里的 MsgId / msgid,或 replay 文件里的 id)")]
    NotFound(String),
    /// Several messages bear this id.
    #[error("有 {} 条消息的编号都是 {id},请用 --source 指明是哪一个:{}", candidates.len(), candidates.join("、"))]
    Ambiguous {
        /// The id.
        id: String,
        /// Their sources.
        candidates: Vec<String>,
    },
    /// The store cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Explains the message with this platform id; see [`find`] for `source`.
///
/// # Errors
/// See [`ExplainError`].
pub fn explain(reader: &dyn Reader, versions: &mut Versions, id: &str, source: Option<&str>) -> Result<Explained, ExplainError> {
    let (source, seq) = find(reader, id, source)?;
    of_event(reader, versions, (id, source), seq)
}

/// Explains one event, told under this id and source.
///
/// # Errors
/// The store cannot be read.
pub fn of_event(reader: &dyn Reader, versions: &mut Versions, (id, source): (&str, Arc<str>), seq: EventSeq) -> Result<Explained, ExplainError> {
    let event = reader.event(seq)?.ok_or_else(|| StoreError::Corrupt(format!("消息 {id} 有编号,却没有第 {seq} 号事件;请运行 jifen verify")))?;
    let aftermath = aftermath(reader, &event)?;
    let version = aftermath.decided(&event).rules;
    let rules = versions.get(version, || reader.rules_text(version))?;
    Ok(told(reader, rules.as_deref(), (id, source), &event, &aftermath)?)
}

/// Explains the last messages of a person, newest first: up to `most` of the newest [`LOOKED_THROUGH`] events.
///
/// # Errors
/// The store cannot be read.
pub fn explain_last(reader: &dyn Reader, versions: &mut Versions, person: &Person, most: usize) -> Result<Vec<Explained>, StoreError> {
    let newest = reader.head()?.event.0;
    let sources: Vec<(SourceId, Arc<str>)> = reader.directory()?.sources.into_iter().map(|((_, name), id)| (id, name)).collect();
    let (mut found, mut end) = (Vec::new(), newest + 1);
    while end > 1 && found.len() < most && newest - end < LOOKED_THROUGH {
        let begin = (end - CHUNK).max(1);
        let events = reader.events(EventSeq(begin), (end - begin) as usize)?;
        let own = events.into_iter().rev().filter(|event| event.identity == Some(person.identity) && &*event.kind == SAID);
        for event in own.take(most - found.len()) {
            let aftermath = aftermath(reader, &event)?;
            let version = aftermath.decided(&event).rules;
            let rules = versions.get(version, || reader.rules_text(version))?;
            let source = sources.iter().find(|(id, _)| Some(*id) == event.source).map_or_else(|| "?".into(), |(_, name)| name.clone());
            found.push(told(reader, rules.as_deref(), (&event.seq.to_string(), source), &event, &aftermath)?);
        }
        end = begin;
    }
    Ok(found)
}

/// Finds the message with this platform id, and its source. `source` is needed only where several channels use the id: all of
/// `acme/app/1000002`, or its end (`app/1000002`), or the channel's kind (`app`).
pub fn find(reader: &dyn Reader, id: &str, source: Option<&str>) -> Result<(Arc<str>, EventSeq), ExplainError> {
    let found = reader.find_events(KeyBytes::of(id))?;
    // A recall bears the id of what it takes back; it is meant only where it is named. What was decided later is told of the message itself.
    let is_meant = |known: &str| source.map_or(!known.starts_with("recall/"), |source| is_source(known, source));
    let mut meant: Vec<(Arc<str>, EventSeq)> = found.into_iter().filter(|(known, _)| is_meant(known) && !is_unparked_source(known)).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            meant.push(last);
            let mut candidates: Vec<String> = meant.iter().map(|(source, _)| source.to_string()).collect();
            candidates.sort();
            Err(ExplainError::Ambiguous { id: id.into(), candidates })
        }
        (None, _) => Err(ExplainError::NotFound(id.into())),
    }
}

fn is_source(known: &str, asked: &str) -> bool {
    let ends = known.strip_suffix(asked).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    ends || known.split('/').nth(1) == Some(asked)
}

fn told(reader: &dyn Reader, rules: Option<&Rules>, (id, source): (&str, Arc<str>), event: &EventRow, aftermath: &Aftermath) -> Result<Explained, StoreError> {
    let directory = reader.directory()?;
    let group = directory.groups.values().find(|group| event.group != GroupId::NONE && group.id == event.group).map(|group| group.chat.clone());
    let decided = aftermath.decided(event);
    let campaign = directory.campaigns.iter().find(|(_, number)| Some(**number) == decided.campaign).map(|((_, name), _)| name.clone());
    let member = event.identity.map(|identity| reader.identity(identity)).transpose()?.flatten().map(|row| row.identity.value);
    let rules_campaign = rules.and_then(|rules| rules.campaigns.iter().find(|other| Some(&other.id) == campaign.as_ref()));
    let calendar = calendar(rules_campaign);
    let state = state_then(reader, decided)?;
    let decided_in = DecidedIn { rules, campaign: rules_campaign, calendar: &calendar, state: state.as_ref(), group: event.group };
    let told = |verdict| decided_in.verdict(event.at, verdict, aftermath);
    let verdicts: Vec<ExplainedVerdict> = decided.record.verdicts.iter().map(told).collect();
    let is_decided = matches!(decided.record.outcome, Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. });
    let bystanders = rules_campaign.filter(|_| is_decided).map(|campaign| passed_by(campaign, decided)).unwrap_or_default();
    let time = |at| calendar.local(at).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let hint = match (rules, rules_campaign) {
        (Some(rules), Some(campaign)) => hinted(reader, rules, campaign, (event, decided))?,
        (None, _) | (Some(_), None) => String::new(),
    };
    let notes = [note(decided), hint, aftermath.in_words()];
    let replies = reader.replies_of(event.seq)?.into_iter().map(ExplainedReply::of).collect();
    let event = ExplainedEvent {
        id: id.into(),
        source,
        seq: event.seq.0,
        at: time(event.at),
        kind: event.kind.clone(),
        group,
        member,
        campaign,
        outcome: outcome(&decided.record.outcome),
        points: verdicts.iter().map(|verdict| verdict.points).sum(),
        rules: decided.rules.to_string(),
        rules_since: live_since(reader, decided)?.map(time),
        note: notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join(";"),
        replies,
    };
    Ok(Explained { event, verdicts, bystanders })
}

/// The rules that did not look at a message; of what is no message only a few ever do.
fn passed_by(campaign: &Campaign, decided: &EventRow) -> Vec<Bystander> {
    let Some(heard) = &decided.record.heard else { return Vec::new() };
    let looked: Vec<&str> = decided.record.verdicts.iter().map(|verdict| &*verdict.rule).collect();
    let idle = bystanders(campaign, &looked, heard, decided.group == GroupId::NONE);
    idle.into_iter().map(|(rule, why)| Bystander { rule: rule.code.clone(), title: rule.common.title.clone(), why }).collect()
}

/// When the version that decided an event went live, where that was written down.
fn live_since(reader: &dyn Reader, decided: &EventRow) -> Result<Option<Millis>, StoreError> {
    let changes = reader.rules_changes(decided.seq, CHANGES_MAX)?;
    Ok(changes.iter().find(|change| change.accepted && change.rules == decided.rules).map(|change| change.at))
}

/// What a message was decided in.
struct DecidedIn<'a> {
    rules: Option<&'a Rules>,
    campaign: Option<&'a Campaign>,
    calendar: &'a Calendar,
    state: Option<&'a AccountState>,
    group: GroupId,
}

impl DecidedIn<'_> {
    fn verdict(&self, at: Millis, verdict: &Verdict, aftermath: &Aftermath) -> ExplainedVerdict {
        let rule = self.campaign.and_then(|campaign| Some((campaign, campaign.rules.iter().find(|rule| rule.code == verdict.rule)?)));
        let caps = rule.filter(|_| self.state.is_some()).map(|(campaign, rule)| usage(campaign, rule, self.state, self.group, (at, at)));
        let payment = match &verdict.ruling {
            Ruling::Paid(payment) | Ruling::Shadow(payment) => Some(payment),
            Ruling::Refused(_) | Ruling::Moved(_) => None,
        };
        ExplainedVerdict {
            rule: verdict.rule.clone(),
            title: rule.map_or_else(|| beside_rules(&verdict.rule).map_or_else(|| verdict.rule.clone(), Arc::from), |(_, rule)| rule.common.title.clone()),
            outcome: ruling(&verdict.ruling),
            points: aftermath.points(&verdict.rule, verdict.ruling.booked()),
            why: in_words(self.rules, verdict, self.calendar, (at, at)),
            base: payment.map(|payment| payment.base),
            factors: payment.map(|payment| payment.factors.clone()).unwrap_or_default(),
            caps: caps.unwrap_or_default(),
        }
    }
}

/// What an unpaid message nearly was, or why no rule cared.
fn hinted(reader: &dyn Reader, rules: &Rules, campaign: &Campaign, (event, decided): (&EventRow, &EventRow)) -> Result<String, StoreError> {
    let record = &decided.record;
    if record.outcome == Outcome::RecalledBefore || record.verdicts.iter().any(|verdict| verdict.ruling.booked() > 0) {
        return Ok(String::new());
    }
    let said = reader.contents(event.seq)?.and_then(|json| serde_json::from_slice::<Said>(&json).ok());
    let place = reader.directory()?.place(event.group);
    Ok(hint(&Unpaid { campaign, names: &rules.assistant.names, record, said: said.as_ref(), place: place.as_ref(), at: event.at }))
}

/// The campaign's own calendar; China's when its rules are gone.
fn calendar(campaign: Option<&Campaign>) -> Calendar {
    campaign.map_or_else(|| Calendar::new(jiff::tz::TimeZone::fixed(jiff::tz::offset(8)), 0), |campaign| campaign.calendar.clone())
}

fn note(event: &EventRow) -> String {
    match &event.record.outcome {
        Outcome::Parked(Parking::Approval) => "超过了一位管理员能给的,等另一位管理员批准:jifen approve,或在群里对助手说「批准」".into(),
        Outcome::Parked(Parking::GroupUnknown) => {
            "先放着没有判定:rules.toml 用群名指明了群,而这个群叫什么还不知道。知道以后会自动补判;也可以在 groups 里改写群编号,重启后补判".into()
        }
        Outcome::Failed(reason) => format!("判定时出错,没有记账:{reason}。修好后用 jifen retry 补判"),
        Outcome::RecalledBefore => "这条消息到达之前就已经撤回,不计分".into(),
        Outcome::TwinOf(first) => format!("这条消息先从另一个通道听到过(第 {first} 号事件),只算那一条"),
        Outcome::DecidedAlone | Outcome::Unparked { alone: true, .. } => {
            "这条消息来得太晚(超过 35 天或 2000 条),只按当时的情况单独判定,没有重算后面的日子".into()
        }
        Outcome::Unparked { alone: false, .. } => "当时没能判定,后来补判".into(),
        Outcome::Decided if event.campaign.is_none() => "没有活动包括这个群".into(),
        Outcome::Decided => String::new(),
    }
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Decided | Outcome::Unparked { alone: false, .. } => "decided",
        Outcome::DecidedAlone | Outcome::Unparked { alone: true, .. } => "repair_limited",
        Outcome::RecalledBefore => "recalled_before",
        Outcome::Parked(_) => "parked",
        Outcome::Failed(_) => "failed",
        Outcome::TwinOf(_) => "twin_of",
    }
}

fn ruling(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Paid(_) => "paid",
        Ruling::Shadow(_) => "shadow",
        Ruling::Moved(_) => "moved",
        Ruling::Refused(refusal) => refused(refusal),
    }
}

fn refused(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Already { .. } => "already",
        Refusal::Capped(_) => "capped",
        Refusal::OutsideWindow => "outside_window",
        Refusal::OutsideDates => "outside_dates",
        Refusal::NotForThisGroup => "not_for_this_group",
        Refusal::TooShort { .. } => "too_short",
        Refusal::TooPlain { .. } => "too_plain",
        Refusal::CoolDown { .. } => "cool_down",
        Refusal::Copy { .. } => "copy",
        Refusal::Staff => "staff",
        Refusal::TooMany => "too_many",
        Refusal::Spent => "budget_spent",
        Refusal::TooLate { .. } => "too_late",
        Refusal::ProofMissing { .. } => "proof_missing",
        Refusal::WordMissing { .. } => "word_missing",
        Refusal::ProofUsed { .. } => "proof_used",
        Refusal::NotForThisMember(_) => "not_for_this_member",
        Refusal::StepsLeft(..) => "steps_left",
        Refusal::Twin => "twin",
        Refusal::TakenBack => "taken_back",
        Refusal::NotStayed => "not_stayed",
        Refusal::Short { .. } => "short",
        Refusal::Declined => "declined",
        Refusal::NearCopy { .. } => "near_copy",
        Refusal::NotBought(_) => "not_bought",
        Refusal::Frozen => "frozen",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::town::Town;

    fn explained(town: &Town, id: &str, source: Option<&str>) -> Result<Explained, ExplainError> {
        explain(&town.reader(), &mut Versions::default(), id, source)
    }

    #[test]
    fn every_verdict_is_told_with_its_points() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.says("aming", 1, "11-22 09:05", "哈哈", 0);
        let paid = explained(&town, "m-1", None).expect("a known message");
        assert_eq!((paid.verdicts[0].outcome, paid.verdicts[0].points, paid.event.points), ("paid", 2, 2));
        assert_eq!(
            (paid.event.at.as_str(), paid.event.group.as_deref(), paid.event.member.as_deref()),
            ("2026-11-22T09:00:00+08:00", Some("wrGroup"), Some("aming"))
        );
        let refused = explained(&town, "m-2", Some("app")).expect("a known message");
        assert_eq!((refused.verdicts[0].outcome, refused.verdicts[0].points), ("too_short", 0));
    }

    #[test]
    fn an_unpaid_message_is_told_what_it_nearly_was() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到了吗", 0);
        town.says("aming", 1, "11-22 09:01", "签到", 2);
        assert_eq!(explained(&town, "m-1", None).expect("a known message").event.note, "「每日签到」要整句是「签到」");
        assert_eq!(explained(&town, "m-2", None).expect("a known message").event.note, "");
    }

    #[test]
    fn its_json_has_the_agreed_shape() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        let json = serde_json::to_value(explained(&town, "m-1", None).expect("a known message")).expect("plain data");
        let mut keys: Vec<&str> = json["verdicts"][0].as_object().expect("a verdict").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["base", "caps", "factors", "outcome", "points", "rule", "title", "why"]);
        assert_eq!(json["event"]["id"], "m-1");
    }

    #[test]
    fn an_id_of_several_channels_needs_a_source() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.hears("acme/archive/ww1", "m-1");
        let Err(ExplainError::Ambiguous { candidates, .. }) = explained(&town, "m-1", None) else { panic!("it is ambiguous") };
        assert_eq!(candidates, ["acme/app/1000002", "acme/archive/ww1"]);
        for source in ["acme/app/1000002", "app/1000002", "1000002", "app"] {
            assert_eq!(explained(&town, "m-1", Some(source)).expect(source).event.seq, 1, "{source}");
        }
        assert!(matches!(explained(&town, "m-1", Some("pp/1000002")), Err(ExplainError::NotFound(_))));
    }

    #[test]
    fn an_unknown_id_says_what_an_id_is() {
        let error = explained(&Town::default(), "m-9", None).expect_err("nobody said it");
        assert!(error.to_string().contains("MsgId"), "{error}");
    }

    #[test]
    fn an_id_is_not_needed_for_somebodys_last_messages() {
        let mut town = Town::default();
        town.says("aming", 1, "11-21 09:00", "签到", 2);
        town.says("xiaohong", 1, "11-22 09:00", "签到", 2);
        town.says("aming", 1, "11-22 09:01", "哈哈", 0);
        let reader = town.reader();
        let identity = crate::model::event::Identity::from_wecom("aming");
        let aming = reader.person(&crate::store::PersonKey { corp: "acme".into(), identity }).expect("memory reads").expect("aming is known");
        let told = explain_last(&reader, &mut Versions::default(), &aming, 5).expect("memory reads");
        let points: Vec<i64> = told.iter().map(|explained| explained.event.points).collect();
        assert_eq!(points, [0, 2], "the newest first, and nobody else's");
        assert_eq!(explain_last(&reader, &mut Versions::default(), &aming, 1).expect("memory reads").len(), 1);
    }

    const MANY: &str = r#"
        check_in.daily = { keywords = ["签到"], points = 3, streak = { 2 = 4 }, bucket = "all" }
        check_in.other = { keywords = ["打卡"], match = "contains", points = 2, max_times = { day = 2 } }
        check_in.trial = { keywords = ["签到"], points = 9, mode = "shadow" }
        speaking.talk = { points = 1, bucket = "all", max_points = { day = 4 }, cool_down = "10s" }
        bucket.all = { max_points = { day = 6 } }
        campaign.main = { max_points = { day = 8, ever = 19 } }
    "#;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
        #[test]
        fn the_verdicts_of_a_history_add_up_to_the_ledger(said in proptest::collection::vec((0u32..3, 0u32..24, 0u32..60, 0usize..6, proptest::bool::ANY), 1..40)) {
            let (rules, _) = crate::rules::file::load(MANY).expect("good rules");
            let mut stage = crate::scenario::Stage::new(&Arc::new(rules));
            for (number, (day, hour, minute, text, is_aming)) in said.iter().enumerate() {
                let text = ["签到".to_owned(), "今天打卡".to_owned(), format!("随便说说第{number}句"), "撤回".to_owned(), "@积分助手 积分".to_owned(), "哈哈".to_owned()][*text].clone();
                let who = if *is_aming { "阿明" } else { "小红" };
                let line = format!("11-{:02} {hour:02}:{minute:02} {who}: {text}", day + 20);
                for line in crate::rules::testing::parse_line(&line, 2026, 1).expect("a line") {
                    stage.play(&line, "测试群").expect("memory never fails");
                }
            }
            let (reader, mut versions, mut sum) = (stage.reader(), Versions::default(), 0);
            for event in reader.events(EventSeq(1), usize::MAX >> 1).expect("memory reads") {
                sum += of_event(reader, &mut versions, ("", "".into()), event.seq).expect("it is there").event.points;
            }
            let booked = stage.balance("阿明").expect("memory reads") + stage.balance("小红").expect("memory reads");
            proptest::prop_assert_eq!(sum, booked);
        }
    }
}
