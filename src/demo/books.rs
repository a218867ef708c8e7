//! What the page reads from the store: the verdicts on a message, the fate of its replies, the ledger, the balances.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::demo::scene::{Balance, Booked, Judged, Outcome as Fate};
use crate::model::day::Millis;
use crate::model::decision::{Outcome, Parking, Verdict};
use crate::model::ids::{AccountId, EventKey, EventSeq, MemberId, PostingSeq, RulesHash};
use crate::model::journal::{AccountRef, EventRow, Posting};
use crate::store::aftermath::{Aftermath, aftermath};
use crate::store::{Reader, ReplyRow, RulesChange, StoreError};

/// Rows read at a time.
const ROWS_MAX: usize = 200;
/// Accounts read for the page: everybody on it, and a crowd.
const ACCOUNTS_MAX: usize = 1_000;

/// An event's verdicts in words, one line each, in the order of the verdicts.
pub type Explain = Arc<dyn Fn(&EventRow) -> Vec<String> + Send + Sync>;

/// What became of a message: the verdicts on it, the fates of its replies.
pub type About = (Vec<Judged>, Vec<Fate>);

/// The store, read for the page.
pub struct Books {
    reader: Mutex<Box<dyn Reader>>,
    explain: Explain,
}

impl Books {
    /// Reads through this connection, explains with these rules.
    pub fn new(reader: Box<dyn Reader>, explain: Explain) -> Self {
        Books { reader: Mutex::new(reader), explain }
    }

    /// What became of a message; `None` while it is not committed.
    pub fn about(&self, key: &EventKey) -> Result<Option<About>, StoreError> {
        let reader = self.reader();
        let found = reader.find_events(key.key)?;
        let Some((_, seq)) = found.into_iter().find(|(source, _)| *source == key.source) else { return Ok(None) };
        let Some(row) = reader.event(seq)? else { return Ok(None) };
        let fates = reader.replies_of(seq)?.iter().map(fate).collect();
        let later = aftermath(reader.as_ref(), &row)?;
        let decided = later.decided(&row);
        let moved: Vec<i64> = reader.postings_of(decided.seq)?.iter().map(gained).collect();
        drop(reader);
        Ok(Some((self.verdicts(decided, &moved, &later), fates)))
    }

    /// The verdicts as they hold now, and what the event moved beside them: points of other messages that were decided again because of it.
    fn verdicts(&self, row: &EventRow, moved: &[i64], later: &Aftermath) -> Vec<Judged> {
        let plain = |text: &str| vec![Judged { points: 0, text: text.to_owned() }];
        match &row.record.outcome {
            Outcome::Parked(Parking::GroupUnknown) => return plain("先放着:rules.toml 里写的群名还没有对上"),
            Outcome::Parked(Parking::Approval) => return plain("等另一位管理员批准"),
            Outcome::Failed(reason) => return plain(&format!("没能判定:{reason}")),
            Outcome::RecalledBefore => return plain("发出后马上撤回了,不计分"),
            Outcome::TwinOf(_) => return plain("同一条消息已从另一个通道记过,不重复计分"),
            Outcome::Decided | Outcome::DecidedAlone | Outcome::Unparked { .. } => {}
        }
        if later.taken_back {
            return plain(&later.in_words());
        }
        let told = row.record.verdicts.iter().zip((self.explain)(row));
        let holds = |verdict: &Verdict| !later.now.iter().any(|(rule, _)| *rule == verdict.rule);
        let judged = |(verdict, text): (&Verdict, String)| Judged { points: verdict.ruling.change(), text };
        let mut verdicts: Vec<Judged> = told.filter(|(verdict, _)| holds(verdict)).map(judged).collect();
        let beside = moved.iter().sum::<i64>() - row.record.verdicts.iter().map(|verdict| verdict.ruling.change()).sum::<i64>();
        match (&*row.kind, beside) {
            ("recalled", _) if moved.is_empty() => {}
            ("recalled", 0) => return plain("撤回后重算,合计不变"),
            ("recalled", _) => verdicts.push(Judged { points: beside, text: format!("{beside:+} 撤回后重算") }),
            (_, 0) => {}
            (_, _) => verdicts.push(Judged { points: beside, text: format!("{beside:+} 重算其他消息") }),
        }
        if !later.now.is_empty() {
            verdicts.push(Judged { points: later.now.iter().map(|(_, now)| now).sum(), text: later.in_words() });
        }
        if verdicts.is_empty() { plain(nothing_said(row)) } else { verdicts }
    }

    /// Postings after this one.
    pub fn ledger_after(&self, after: PostingSeq) -> Result<Vec<Booked>, StoreError> {
        let reader = self.reader();
        let postings = reader.postings(PostingSeq(after.0 + 1), ROWS_MAX)?;
        postings.iter().map(|posting| booked(reader.as_ref(), posting)).collect()
    }

    /// The newest posting.
    pub fn newest(&self) -> Result<PostingSeq, StoreError> {
        Ok(self.reader().head()?.posting)
    }

    /// Changes of the rules, newest first.
    pub fn rules_changes(&self, limit: usize) -> Result<Vec<RulesChange>, StoreError> {
        self.reader().rules_changes(EventSeq(i64::MAX), limit)
    }

    /// The text of a version of the rules; `None` for one that decided nothing.
    pub fn rules_text(&self, hash: RulesHash) -> Result<Option<Arc<str>>, StoreError> {
        self.reader().rules_text(hash)
    }

    /// Every balance, by outside id.
    pub fn balances(&self) -> Result<Vec<Balance>, StoreError> {
        let reader = self.reader();
        let accounts = reader.accounts(AccountId(0), ACCOUNTS_MAX)?;
        accounts.iter().map(|account| Ok(Balance { id: outside_id(reader.as_ref(), account.key.member)?, available: account.available })).collect()
    }

    fn reader(&self) -> MutexGuard<'_, Box<dyn Reader>> {
        self.reader.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Why no rule looked at an event.
fn nothing_said(row: &EventRow) -> &'static str {
    match (&*row.kind, row.record.heard.as_ref().and_then(|heard| heard.question)) {
        ("unknown", _) => "收到并原样保存,这一版还没有规则用它",
        ("recalled", _) => "收到撤回,没有积分要退回",
        (_, Some(_)) => "是提问,不计分",
        (_, None) => "没有规则管这一条,不计分",
    }
}

/// What a posting adds to members' balances.
fn gained(posting: &Posting) -> i64 {
    let side = |account: AccountRef| i64::from(matches!(account, AccountRef::Member(_)));
    (side(posting.dst) - side(posting.src)) * posting.amount
}

fn fate(row: &ReplyRow) -> Fate {
    Fate { state: row.state.as_str(), reason: row.reason.as_deref().map(str::to_owned), open: row.state.is_open() }
}

fn booked(reader: &dyn Reader, posting: &Posting) -> Result<Booked, StoreError> {
    Ok(Booked {
        seq: posting.seq.0,
        at: at(reader, posting.event)?,
        code: posting.code.to_string(),
        src: side(reader, posting.src)?,
        dst: side(reader, posting.dst)?,
        name: name(reader, [posting.src, posting.dst])?,
        amount: posting.amount,
        link: posting.link.iter().take(4).map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn at(reader: &dyn Reader, event: EventSeq) -> Result<Millis, StoreError> {
    Ok(reader.event(event)?.map_or(Millis(0), |row| row.at))
}

/// A member's outside id, or the word of a system account.
fn side(reader: &dyn Reader, account: AccountRef) -> Result<String, StoreError> {
    match account {
        AccountRef::System { chart, .. } => Ok(chart.as_str().to_owned()),
        AccountRef::Member(id) => match reader.account(id)? {
            Some(account) => outside_id(reader, account.key.member),
            None => Ok(account.to_string()),
        },
    }
}

/// The name of whichever side is a member.
fn name(reader: &dyn Reader, sides: [AccountRef; 2]) -> Result<Option<String>, StoreError> {
    let member = sides.into_iter().find_map(|side| if let AccountRef::Member(id) = side { Some(id) } else { None });
    let Some(account) = member.map(|id| reader.account(id)).transpose()?.flatten() else { return Ok(None) };
    Ok(reader.member(account.key.member)?.and_then(|row| row.name).map(|name| name.to_string()))
}

fn outside_id(reader: &dyn Reader, member: MemberId) -> Result<String, StoreError> {
    Ok(reader.identities_of(member)?.first().map_or_else(|| member.to_string(), |row| row.identity.value.to_string()))
}
