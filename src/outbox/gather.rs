//! Gathering what a text needs at the moment it is sent: the board, the asker's own last messages, their last postings.

use std::cell::RefCell;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use crate::model::act::Act;
use crate::model::cells::{AccountCell, AccountState};
use crate::model::day::Millis;
use crate::model::decision::{Arg, Args, Outcome, Parking, Verdict};
use crate::model::event::{Identity, Said};
use crate::model::ids::{AccountId, EventSeq, GroupId};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::model::reply::Occasion;
use crate::outbox::board::Boards;
use crate::outbox::manners::campaign_of;
use crate::outbox::month;
use crate::rules::campaign::{Balance, Campaign, Rules};
use crate::rules::explain::{explain, telling};
use crate::rules::grant;
use crate::rules::hint::{Unpaid, hint};
use crate::rules::schedule::WANTS_BOARD;
use crate::rules::text::strip_mention;
use crate::rules::usage::{in_words, usage};
use crate::rules::versions::Versions;
use crate::rules::wording::{self, beside_rules};
use crate::store::aftermath::aftermath;
use crate::store::state_then::state_then;
use crate::store::waiting::is_waiting;
use crate::store::{Person, PersonKey, Reader, ReplyRow, StoreError};

/// Messages told for 「为什么」 and postings told for 「明细」.
const MESSAGES: usize = 3;
const POSTINGS: usize = 5;
/// Events looked through backwards for the asker's messages: some milliseconds. Older messages are told only if they changed the account.
pub(super) const SCAN_EVENTS: i64 = 2_000;
/// Events read at once while scanning.
pub(super) const SCAN_CHUNK: i64 = 250;
/// Steps along an account's own chain of events.
const CHAIN_STEPS: usize = 50;
/// Characters of a message shown, enough to recognise it.
const SHOWN_CHARS: usize = 6;

/// A question, and what answers it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The store.
    pub reader: &'a dyn Reader,
    /// The rules the answer is written in.
    pub rules: &'a Rules,
    /// The reply.
    pub row: &'a ReplyRow,
    /// Now.
    pub now: Millis,
    /// The versions that older messages were decided under.
    pub versions: &'a RefCell<Versions>,
}

/// Who asks, and the account they ask about.
pub(super) struct Asker {
    pub(super) person: Person,
    /// The account that a question here is about.
    pub(super) account: Option<AccountCell>,
    /// Its group under `balance = "per_group"`.
    pub(super) group: GroupId,
}

/// Why a text's arguments cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    /// The store cannot be read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The board is being built; ask again.
    #[error("排行还在统计")]
    Behind,
    /// There is no board of so many.
    #[error("得分的人太多,排行榜装不下")]
    TooLarge,
}

/// The arguments a reply's text needs beside those that were decided; none for most.
pub fn gather(question: &Question<'_>, boards: &mut Boards) -> Result<Args, Unready> {
    match question.row.reply.template.occasion {
        Occasion::Rank => question.rank(boards),
        Occasion::Affinity => Ok(question.warmth()?),
        Occasion::Titles => question.titles(boards),
        Occasion::TitleWon => question.title_won(boards),
        Occasion::Posted if wants_board(question.row) => question.rank(boards),
        Occasion::Why => Ok(why(question)?),
        Occasion::History => Ok(history(question)?),
        Occasion::Paid
        | Occasion::Already
        | Occasion::Outside
        | Occasion::Capped
        | Occasion::Refused
        | Occasion::Balance
        | Occasion::Today
        | Occasion::Rules
        | Occasion::Help
        | Occasion::NotUnderstood
        | Occasion::NoCampaign
        | Occasion::MadeUp
        | Occasion::Digest
        | Occasion::Expiring
        | Occasion::Missing
        | Occasion::Used
        | Occasion::Granted
        | Occasion::Done
        | Occasion::Alarm
        | Occasion::Tasks
        | Occasion::BoardChoice
        | Occasion::Risen
        | Occasion::Level
        | Occasion::Posted => Ok(Args::default()),
        Occasion::Calendar => Ok(month::calendar(question)?),
    }
}

/// Whether a post speaks of the board.
fn wants_board(row: &ReplyRow) -> bool {
    row.reply.args.0.iter().any(|(name, _)| **name == *WANTS_BOARD)
}

fn why(question: &Question<'_>) -> Result<Args, StoreError> {
    let messages = match question.asker()? {
        Some(asker) => question.last_messages(&asker)?,
        None => Vec::new(),
    };
    let entries = messages.iter().map(|event| question.message_args(event)).collect::<Result<_, _>>()?;
    Ok(Args::default().with("条目", Arg::List(entries)))
}

fn history(question: &Question<'_>) -> Result<Args, StoreError> {
    let account = question.asker()?.and_then(|asker| asker.account);
    let entries = account.map(|account| question.last_postings(&account)).transpose()?;
    Ok(Args::default().with("明细", Arg::List(entries.unwrap_or_default())))
}

impl Question<'_> {
    pub(super) fn campaign(&self) -> Option<&Campaign> {
        campaign_of(self.rules, self.row)
    }

    fn time(&self, at: Millis) -> String {
        let Some(campaign) = self.campaign() else { return String::new() };
        let (local, today) = (campaign.calendar.local(at), campaign.calendar.local(self.now));
        let format = if local.date() == today.date() { "%-H:%M" } else { "%-m-%-d %-H:%M" };
        local.strftime(format).to_string()
    }

    /// Who asks; `None` if nobody, or somebody the store does not know.
    pub(super) fn asker(&self) -> Result<Option<Asker>, StoreError> {
        let Some((kind, value)) = self.row.destination.to.clone() else { return Ok(None) };
        let folded = Identity { kind, value: Identity { kind, value }.folded().into() };
        let Some(person) = self.reader.person(&PersonKey { corp: self.row.corp.clone(), identity: folded })? else { return Ok(None) };
        let directory = self.reader.directory()?;
        let chat = self.row.destination.chat.clone().and_then(|chat| directory.groups.get(&(self.row.corp.clone(), chat)));
        let campaign = self.campaign();
        let group = match (campaign.map(|campaign| campaign.balance), chat) {
            (Some(Balance::PerGroup), Some(group)) => group.id,
            (Some(Balance::PerGroup | Balance::Shared) | None, Some(_) | None) => GroupId::NONE,
        };
        let number = campaign.and_then(|campaign| directory.campaigns.get(&(self.row.corp.clone(), campaign.id.clone())));
        let accounts = person.member.map(|member| self.reader.accounts_of(member)).transpose()?.unwrap_or_default();
        let account = accounts.into_iter().find(|account| Some(&account.key.campaign) == number && account.key.group == group);
        Ok(Some(Asker { person, account, group }))
    }

    /// The asker's last messages before the question, newest first: in a group those said there, in a single chat all of the campaign.
    fn last_messages(&self, asker: &Asker) -> Result<Vec<EventRow>, StoreError> {
        let Some(asking) = self.reader.event(self.row.event)? else { return Ok(Vec::new()) };
        let is_meant = |event: &EventRow| {
            let is_question = event.record.heard.as_ref().is_some_and(|heard| heard.question.is_some());
            let is_of_it = event.campaign == asking.campaign || is_waiting(&event.record.outcome);
            let is_here = is_of_it && (asking.group == GroupId::NONE || event.group == asking.group);
            // Said once, heard twice: the copy that counted is told.
            let is_twin = matches!(event.record.outcome, Outcome::TwinOf(_));
            event.identity == Some(asker.person.identity) && &*event.kind == "said" && is_here && !is_question && !is_twin
        };
        let oldest = (self.row.event.0 - SCAN_EVENTS).max(1);
        let mut found = Vec::new();
        let mut end = self.row.event.0;
        while end > oldest && found.len() < MESSAGES {
            let start = (end - SCAN_CHUNK).max(oldest);
            let events = self.reader.events(EventSeq(start), (end - start) as usize)?;
            found.extend(events.into_iter().rev().filter(&is_meant));
            end = start;
        }
        let mut next = asker.account.as_ref().map(|account| account.last_event);
        for _ in 0..CHAIN_STEPS {
            let Some(seq) = next.filter(|seq| seq.0 > 0 && found.len() < MESSAGES) else { break };
            let Some(event) = self.reader.event(seq)? else { break };
            next = event.prev;
            if event.seq.0 < oldest && is_meant(&event) {
                found.push(event);
            }
        }
        found.truncate(MESSAGES);
        Ok(found)
    }

    fn message_args(&self, event: &EventRow) -> Result<Args, StoreError> {
        let contents = self.reader.contents(event.seq)?;
        let said = contents.and_then(|json| serde_json::from_slice::<Said>(&json).ok());
        let aftermath = aftermath(self.reader, event)?;
        let decided = aftermath.decided(event);
        let verdicts = &decided.record.verdicts;
        let points: i64 = verdicts.iter().map(|verdict| aftermath.points(&verdict.rule, verdict.ruling.booked())).sum();
        let mut reasons = self.reasons(decided, said.as_ref())?;
        reasons.extend(Some(aftermath.in_words()).filter(|words| !words.is_empty()));
        Ok(Args::default()
            .text("时间", self.time(event.at))
            .text("内容", shown(said.as_ref(), &self.rules.assistant.names))
            .int("得分", points)
            .text("说明", reasons.join(";")))
    }

    /// Why a message earned what it earned: what paid, else what refused and what would have paid. Told in the words of the version it was
    /// decided under.
    fn reasons(&self, event: &EventRow, said: Option<&Said>) -> Result<Vec<String>, StoreError> {
        let alone = match &event.record.outcome {
            Outcome::Parked(Parking::Approval) => Some("0,等另一位管理员批准"),
            Outcome::Parked(Parking::GroupUnknown) => Some("0,先放着:还不知道这个群叫什么,知道以后会补判"),
            Outcome::Failed(_) => Some("0,判定时出了错,还没有记分,请告诉群主"),
            Outcome::RecalledBefore => Some("0,发出后就撤回了,不计分"),
            Outcome::TwinOf(_) => Some("0,同一条消息已从另一个通道记过"),
            Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => None,
        };
        if let Some(alone) = alone {
            return Ok(vec![alone.to_owned()]);
        }
        let old = if event.rules == self.rules.hash { None } else { self.versions.borrow_mut().get(event.rules, || self.reader.rules_text(event.rules))? };
        let rules = old.as_deref().unwrap_or(self.rules);
        let Some(campaign) = campaign_of(rules, self.row) else { return Ok(Vec::new()) };
        let verdicts = &event.record.verdicts;
        let is_paid = verdicts.iter().any(|verdict| verdict.ruling.booked() > 0);
        let state = if is_paid { state_then(self.reader, event)? } else { None };
        let told = |verdict| explain(Some(rules), verdict, &campaign.calendar, (event.at, self.now)) + &self.used(campaign, event, verdict, state.as_ref());
        let mut reasons: Vec<String> = telling(verdicts).into_iter().map(told).collect();
        if !is_paid {
            let place = self.reader.directory()?.place(event.group);
            let (record, names) = (&event.record, &rules.assistant.names);
            let hint = hint(&Unpaid { campaign, names, record, said, place: place.as_ref(), at: event.at });
            let zero = if reasons.is_empty() { "0," } else { "" };
            reasons.extend(Some(format!("{zero}{hint}")).filter(|_| !hint.is_empty()));
        }
        if let (Some(last), true) = (reasons.last_mut(), old.is_some()) {
            last.push_str("(按当时的规则)");
        }
        Ok(reasons)
    }

    /// How full the rule's own caps were once it had paid: `(今天 2/20 分)`.
    fn used(&self, campaign: &Campaign, event: &EventRow, verdict: &Verdict, state: Option<&AccountState>) -> String {
        let rule = campaign.rules.iter().find(|rule| rule.code == verdict.rule);
        let (Some(rule), Some(state), true) = (rule, state, verdict.ruling.booked() > 0) else { return String::new() };
        let mut caps = usage(campaign, rule, Some(state), event.group, (event.at, self.now));
        caps.retain(|cap| *cap.of == *rule.code && cap.used > 0);
        if caps.is_empty() { String::new() } else { format!("({})", in_words(&caps)) }
    }

    /// The last postings of an account, newest first, each with the balance after it.
    fn last_postings(&self, account: &AccountCell) -> Result<Vec<Args>, StoreError> {
        let own = AccountRef::Member(account.id);
        let mut balance = account.available + account.held;
        let mut entries = Vec::new();
        let mut next = Some(account.last_event);
        for _ in 0..CHAIN_STEPS {
            let Some(seq) = next.filter(|seq| seq.0 > 0 && entries.len() < POSTINGS) else { break };
            let Some(event) = self.reader.event(seq)? else { break };
            for posting in self.reader.postings_of(seq)?.iter().rev() {
                let change = change_of(posting, own);
                if change != 0 {
                    entries.push(self.posting_args(&event, posting, change, balance));
                    balance -= change;
                }
            }
            next = event.prev;
        }
        entries.truncate(POSTINGS);
        Ok(entries)
    }

    fn posting_args(&self, event: &EventRow, posting: &Posting, change: i64, balance: i64) -> Args {
        let args = Args::default().text("时间", self.time(event.at)).int("得分", change).text("标题", self.told(event, posting)).int("余额", balance);
        let today = self.campaign().map_or(posting.day, |campaign| campaign.calendar.day(self.now));
        match posting.vests_on.filter(|vests| change > 0 && *vests > today) {
            Some(vests) => args.text("生效", wording::date(vests, today)),
            None => args,
        }
    }

    /// What a posting is called; of what an operator did with the reason, while it is kept.
    fn told(&self, event: &EventRow, posting: &Posting) -> String {
        let title = self.title(&posting.code);
        if posting.code != *grant::CODE {
            return title.to_string();
        }
        let act = self.reader.contents(event.seq).ok().flatten().and_then(|json| serde_json::from_slice::<Act>(&json).ok());
        act.as_ref().and_then(Act::reason).map_or_else(|| title.to_string(), |reason| format!("{title}({reason})"))
    }

    /// The name members know a rule by; its code when the rules no longer have it.
    fn title(&self, code: &Arc<str>) -> Arc<str> {
        let rule = self.campaign().and_then(|campaign| campaign.rules.iter().find(|rule| rule.code == *code));
        let won = self.campaign().and_then(|campaign| campaign.titles.iter().find(|title| title.code == *code));
        if let Some(title) = won {
            return title.title.clone();
        }
        rule.map_or_else(|| beside_rules(code).map_or_else(|| code.clone(), Arc::from), |rule| rule.common.title.clone())
    }

    /// A member's name as others may see it: never an outside id of a customer.
    pub(super) fn name(&self, account: AccountId) -> Result<String, StoreError> {
        let Some(cell) = self.reader.account(account)? else { return Ok("群友".into()) };
        if let Some(name) = self.reader.member(cell.key.member)?.and_then(|member| member.name) {
            return Ok(name.to_string());
        }
        let identities = self.reader.identities_of(cell.key.member)?;
        let userid = identities.iter().find(|row| row.identity.kind == crate::model::event::IdentityKind::Userid);
        Ok(userid.map_or_else(|| "群友".into(), |row| row.identity.value.to_string()))
    }
}

/// What a posting changes on an account; 0 for a move between its own parts.
fn change_of(posting: &Posting, own: AccountRef) -> i64 {
    i64::from(posting.dst == own) * posting.amount - i64::from(posting.src == own) * posting.amount
}

/// The beginning of a message, without an @ of the assistant, so that its author recognises it.
fn shown(said: Option<&Said>, names: &[Arc<str>]) -> String {
    let Some(said) = said else { return "(原文已删除)".into() };
    let text = strip_mention(&said.text, names).unwrap_or(&said.text);
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return if said.images > 0 { "[图片]".into() } else { (if said.at_assistant { "@我" } else { "[消息]" }).into() };
    }
    let mut graphemes = text.graphemes(true);
    let head: String = graphemes.by_ref().take(SHOWN_CHARS).collect();
    if graphemes.next().is_some() { head + "…" } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::Question as Asked;
    use crate::outbox::town::{RULES, Town};

    #[test]
    fn a_message_is_shown_by_its_first_six_characters() {
        let shown_of = |json: &str| shown(serde_json::from_str(json).ok().as_ref(), &["积分助手".into()]);
        assert_eq!(shown_of(r#"{"text":"@积分助手 签到"}"#), "签到");
        assert_eq!(shown_of(r#"{"text":"今天骑了二十公里"}"#), "今天骑了二十…");
        assert_eq!(shown_of(r#"{"text":"哈哈"}"#), "哈哈");
        assert_eq!(shown_of(r#"{"text":"\n一\n二 "}"#), "一 二");
        assert_eq!(shown_of(r#"{"text":"","images":2}"#), "[图片]");
        assert_eq!(shown(None, &[]), "(原文已删除)");
    }

    fn gathered(town: &Town, row: &ReplyRow) -> Args {
        let (rules, _) = crate::rules::file::load(RULES).expect("good rules");
        gather(&Question { reader: &town.reader(), rules: &rules, row, now: row.created_at, versions: &RefCell::default() }, &mut Boards::default())
            .expect("memory reads")
    }

    #[test]
    fn a_message_of_an_older_version_is_told_in_the_words_of_that_version() {
        let mut town = Town::default();
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.says("aming", 1, "11-22 09:01", "签到了吗", 0);
        let row = town.asks("aming", 1, "11-22 09:04", Asked::Why, Occasion::Why);
        let (newer, _) = crate::rules::file::load(&RULES.replace("每日签到", "新签到")).expect("good rules");
        let question = Question { reader: &town.reader(), rules: &newer, row: &row, now: row.created_at, versions: &RefCell::default() };
        let told = gather(&question, &mut Boards::default()).expect("memory reads");
        let reasons = list(&told, "条目", ["说明", "得分"]);
        assert_eq!(reasons[1], r#"Text("+2 每日签到(按当时的规则)") Int(2)"#);
        assert!(reasons[0].contains("每日签到,少于 4 个字") && reasons[0].contains("「每日签到」要整句是「签到」"), "{}", reasons[0]);
    }

    fn arg<'a>(args: &'a Args, name: &str) -> &'a Arg {
        &args.0.iter().find(|(key, _)| &**key == name).expect("an argument of this name").1
    }

    fn list(args: &Args, name: &str, keys: [&str; 2]) -> Vec<String> {
        let Arg::List(entries) = arg(args, name) else { panic!("{name} is a list") };
        entries.iter().map(|entry| keys.map(|key| format!("{:?}", arg(entry, key))).join(" ")).collect()
    }

    #[test]
    fn why_tells_the_askers_own_last_three_messages_of_this_group_and_nobody_elses() {
        let mut town = Town::default();
        town.says("aming", 1, "11-21 09:00", "很久以前", 2);
        town.says("aming", 1, "11-22 09:00", "签到", 2);
        town.says("aming", 2, "11-22 09:01", "别的群里的话", 2);
        town.says("xiaohong", 1, "11-22 09:02", "小红的话", 2);
        town.says("aming", 1, "11-22 09:03", "哈哈", 0);
        let row = town.asks("aming", 1, "11-22 09:04", Asked::Why, Occasion::Why);
        let told = list(&gathered(&town, &row), "条目", ["时间", "内容"]);
        assert_eq!(told, [r#"Text("9:03") Text("哈哈")"#, r#"Text("9:00") Text("签到")"#, r#"Text("11-21 9:00") Text("很久以前")"#]);
        let alone = town.asks("aming", 0, "11-22 09:05", Asked::Why, Occasion::Why);
        assert!(list(&gathered(&town, &alone), "条目", ["得分", "内容"])[1].contains("别的群里"), "alone with the bot all groups are told");
    }

    #[test]
    fn messages_older_than_the_scan_are_found_if_they_changed_the_account() {
        let mut town = Town::default();
        town.says("aming", 1, "11-21 09:00", "签到", 2);
        for _ in 0..SCAN_EVENTS {
            town.says("xiaohong", 1, "11-22 09:00", "闲聊", 0);
        }
        let row = town.asks("aming", 1, "11-22 09:04", Asked::Why, Occasion::Why);
        assert_eq!(list(&gathered(&town, &row), "条目", ["内容", "得分"]), [r#"Text("签到") Int(2)"#]);
    }

    #[test]
    fn history_tells_the_last_five_postings_with_the_balance_after_each() {
        let mut town = Town::default();
        for (day, points) in [(16, 1), (17, 2), (18, 3), (19, 4), (20, 5), (21, 6)] {
            town.says("aming", 1, &format!("11-{day} 09:00"), "签到", points);
            town.says("xiaohong", 1, &format!("11-{day} 09:01"), "签到", 50);
        }
        let row = town.asks("aming", 1, "11-22 09:00", Asked::History, Occasion::History);
        let told = gathered(&town, &row);
        assert_eq!(list(&told, "明细", ["得分", "余额"]), ["Int(6) Int(21)", "Int(5) Int(15)", "Int(4) Int(10)", "Int(3) Int(6)", "Int(2) Int(3)"]);
        assert!(list(&told, "明细", ["标题", "时间"])[0].contains("每日签到"));
    }

    #[test]
    fn rank_tells_the_first_five_and_the_askers_own_place() {
        let mut town = Town::default();
        town.says("xiaohong", 1, "11-22 09:00", "签到", 12);
        town.says("aming", 1, "11-22 09:01", "签到", 2);
        let row = town.asks("aming", 1, "11-22 20:45", Asked::Rank, Occasion::Rank);
        let told = gathered(&town, &row);
        assert_eq!(list(&told, "榜", ["昵称", "得分"]), [r#"Text("小红") Int(12)"#, r#"Text("阿明") Int(2)"#]);
        assert_eq!((arg(&told, "我的名次"), arg(&told, "差距"), arg(&told, "截至")), (&Arg::Int(2), &Arg::Int(10), &Arg::Text("20:45".into())));
    }

    #[test]
    fn who_never_earned_is_told_nothing_of_others() {
        let mut town = Town::default();
        town.says("xiaohong", 1, "11-22 09:00", "签到", 12);
        let mut row = town.asks("aming", 1, "11-22 20:45", Asked::Why, Occasion::Why);
        row.destination.to = Some((crate::model::event::IdentityKind::Userid, "nobody".into()));
        assert!(list(&gathered(&town, &row), "条目", ["时间", "内容"]).is_empty());
    }
}
