//! A decision: all that follows from an event. Data only; `rules` make it, `cells` fold it, the pipeline books it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cells::AccountState;
use super::claim::Claim;
use super::day::{Day, Millis, Period, PeriodKind};
use super::event::Picture;
use super::ids::{AccountId, EventSeq, IdentityId, MemberId, PostingSeq};
use super::purchase::NotBought;
use super::repair::Repair;
use super::reply::Reply;

/// Everything that follows from one event.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// What stands in the journal beside the event.
    pub record: Record,
    /// Points to move.
    pub entries: Vec<Entry>,
    /// What to say.
    pub replies: Vec<Reply>,
}

/// The part of a decision that is kept in the journal for ever: no text, no name, no outside id.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Whether the event was decided at all.
    pub outcome: Outcome,
    /// The first 8 bytes of the platform's id: orders events of one instant the same way whenever they arrive.
    pub order: u64,
    /// What was heard in a message: enough to decide again without opening the text.
    pub heard: Option<Traits>,
    /// One verdict for each rule that looked.
    pub verdicts: Vec<Verdict>,
    /// Changes of the account's own state.
    pub marks: Vec<Mark>,
    /// On the first stateful event of an account's business day: the state before it.
    pub snapshot: Option<Box<AccountState>>,
    /// What deciding the account's own days again has changed, on a late or recalling event.
    pub repair: Option<Box<Repair>>,
    /// What was done, where nothing was said: enough to decide again without the contents.
    pub deed: Option<Deed>,
    /// What was taken of things that members share: places among the first, a budget. Never taken again and never given back.
    pub claims: Vec<Claim>,
}

/// What the rules need of an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// Somebody joined the group.
    Joined,
    /// Somebody left the group.
    Left,
    /// A named event from outside.
    Happened {
        /// Its name in rules.toml.
        event: Arc<str>,
        /// Keyed hash of what it was about.
        subject: Option<u64>,
    },
    /// The clock reached a slot.
    Due {
        /// What is due.
        job: Arc<str>,
        /// Which one.
        slot: i64,
    },
    /// Points moved by somebody's will — a grant, an opening balance, something bought: it stands as it was booked, whatever is decided
    /// again around it.
    Willed,
    /// A list of the group's members has somebody in it.
    Listed {
        /// Since when.
        joined_at: Millis,
    },
    /// Two members turned out to be one person: from now on these ids lead to the second. What their accounts held is moved by the events
    /// behind this one, which name it.
    Merged {
        /// The member that is no more.
        from: MemberId,
        /// The one that stays.
        into: MemberId,
        /// The ids that led to the first.
        identities: Vec<IdentityId>,
    },
    /// A merge was taken back: its ids lead to the first member again.
    Unmerged {
        /// The event that merged.
        merge: EventSeq,
    },
    /// All that an account held went to another one of the same person, or came from it. Its days are never decided again across this.
    Transferred {
        /// The event that merged the two, or took that back.
        by: EventSeq,
        /// The other account.
        other: AccountId,
        /// What was here went there; else it came.
        out: bool,
    },
}

/// Whether an event was decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Outcome {
    /// The rules looked at it.
    #[default]
    Decided,
    /// It came late, but too far back to decide the days in between again (35 days, 2 000 events); it was decided alone.
    DecidedAlone,
    /// It was taken back before it arrived.
    RecalledBefore,
    /// It cannot be decided yet; final for this event.
    Parked(Parking),
    /// Deciding it failed; the reason is for the operator.
    Failed(String),
    /// The same message was heard before, through another channel, as this event: nothing follows from this copy.
    TwinOf(EventSeq),
    /// It decided an earlier event that had waited or failed, in that one's place.
    Unparked {
        /// The earlier event: its verdicts and postings stand here.
        of: EventSeq,
        /// As [`Outcome::DecidedAlone`].
        alone: bool,
    },
}

/// Why an event waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parking {
    /// rules.toml names a group that no known group bears yet, and this group's name is not known.
    GroupUnknown,
    /// A second operator must look at it.
    Approval,
}

/// What the rules need of a message, kept instead of its text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traits {
    /// Letters, digits and ideographs in it; emoji, spaces and punctuation do not count.
    pub chars: u32,
    /// How many different ones.
    pub distinct: u32,
    /// Keyed hash of the folded text: equal texts, equal hashes; useless without the master key.
    pub fingerprint: u64,
    /// Codes of the rules whose words matched.
    pub matched: Vec<Arc<str>>,
    /// The question it asks the assistant.
    pub question: Option<Question>,
    /// An answer was owed.
    pub asked: bool,
    /// Keyed similarity hash of the folded text: few bits differ between near copies. 0 where no rule asks.
    pub gist: u64,
    /// What came with the words.
    pub media: Media,
}

/// What came with the words of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Media {
    /// How many pictures.
    pub images: u32,
    /// What they look like, where that is known.
    pub pictures: Vec<Picture>,
    /// A video came with it.
    pub video: bool,
    /// Keyed hash of the link it carries.
    pub link: Option<u64>,
    /// Those of these pictures and links, and of those the member sent shortly before, that were paid for already when this was decided first:
    /// who comes first is decided by the order of commits. Pictures by [`Picture::original`].
    pub used: Vec<u64>,
}

/// The assistant's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// 积分
    Balance,
    /// 今天
    Today,
    /// 排行
    Rank,
    /// 为什么
    Why,
    /// 明细
    History,
    /// 规则
    Rules,
    /// 帮助
    Help,
    /// 任务
    Tasks,
    /// 今日排行
    RankToday,
    /// 本月排行
    RankMonth,
    /// 总排行
    RankEver,
    /// 上周排行
    RankLastWeek,
    /// 上月排行
    RankLastMonth,
    /// 本群排行
    RankGroup,
    /// 新人榜
    Newcomers,
    /// 退出排行
    LeaveBoard,
    /// 加入排行
    JoinBoard,
    /// 等级
    Level,
    /// 亲密度
    Affinity,
    /// 我的称号
    Titles,
    /// 签到日历
    Calendar,
}

/// What one rule said of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Ledger code of the rule: `check_in.daily`.
    pub rule: Arc<str>,
    /// What it said.
    pub ruling: Ruling,
}

/// What a rule said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ruling {
    /// It paid.
    Paid(Payment),
    /// `mode = "shadow"`: it would have paid.
    Shadow(Payment),
    /// It did not pay.
    Refused(Refusal),
    /// It moved points that nobody earned by it: spent, expired, transferred. Below zero they left the member.
    Moved(i64),
}

impl Ruling {
    /// Points booked by this ruling.
    pub fn booked(&self) -> i64 {
        match self {
            Ruling::Paid(payment) => payment.points,
            Ruling::Shadow(_) | Ruling::Refused(_) | Ruling::Moved(_) => 0,
        }
    }

    /// By how much this ruling changes what the member has: booked, or moved.
    pub fn change(&self) -> i64 {
        match self {
            Ruling::Moved(points) => *points,
            Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Refused(_) => self.booked(),
        }
    }

    /// Whether another history of the same account could have led to another ruling.
    pub fn depends_on_state(&self) -> bool {
        match self {
            Ruling::Paid(_) | Ruling::Shadow(_) | Ruling::Moved(_) => true,
            Ruling::Refused(refusal) => match refusal {
                Refusal::Already { .. } | Refusal::Capped(_) | Refusal::CoolDown { .. } | Refusal::Copy { .. } | Refusal::TooMany => true,
                // Its copies from other channels must find it in the account's history.
                Refusal::Twin | Refusal::TakenBack => true,
                Refusal::Spent | Refusal::TooLate { .. } | Refusal::NearCopy { .. } | Refusal::NotStayed | Refusal::Frozen | Refusal::Short { .. } => true,
                Refusal::ProofMissing { .. } | Refusal::WordMissing { .. } | Refusal::ProofUsed { .. } => true,
                Refusal::NotForThisMember(_) | Refusal::StepsLeft(..) => true,
                // Deciding again buys nothing, so that it need not be in the account's history.
                Refusal::NotBought(_) => false,
                Refusal::OutsideWindow
                | Refusal::OutsideDates
                | Refusal::NotForThisGroup
                | Refusal::TooShort { .. }
                | Refusal::TooPlain { .. }
                | Refusal::Staff
                | Refusal::Declined => false,
            },
        }
    }
}

/// A payment: what the rule offered, what room was left, why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Payment {
    /// Points booked.
    pub points: i64,
    /// Points offered before caps; more than `points` when a cap clipped it.
    pub offered: i64,
    /// The part of `offered` that is a streak bonus.
    pub bonus: i64,
    /// Days in a row with this one, for rules that count them.
    pub streak: Option<u32>,
    /// Which cap clipped it.
    pub clipped_by: Option<Cap>,
    /// What the rule pays before factors; `offered` is after them.
    pub base: i64,
    /// The factors it was multiplied with.
    pub factors: Vec<Factor>,
}

/// A factor of a level or a festival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factor {
    /// Whose: the level's title or the festival's.
    pub of: Arc<str>,
    /// In percent; 100 changes nothing.
    pub percent: u32,
}

/// A cap an operator wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// Whose cap: the rule's code, `bucket.talk`, or `campaign`.
    pub of: Arc<str>,
    /// Counted over.
    pub period: PeriodKind,
    /// Counted in points, else in times.
    pub in_points: bool,
    /// Used before this event.
    pub used: i64,
    /// The most allowed.
    pub most: i64,
}

/// Why a rule that looked did not pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// `max_times` is used up by an earlier message of the same period.
    Already {
        /// The cap.
        cap: Cap,
        /// When it was paid last, if the state still knows.
        paid_at: Option<Millis>,
    },
    /// `max_points` (own, bucket's or campaign's) leaves nothing.
    Capped(Cap),
    /// Outside `when`.
    OutsideWindow,
    /// Outside `dates`.
    OutsideDates,
    /// `only` does not hold.
    NotForThisGroup,
    /// Fewer characters than `min_chars`.
    TooShort {
        /// Characters it has.
        chars: u32,
        /// Characters it needs.
        least: u32,
    },
    /// Fewer different characters than `min_distinct`.
    TooPlain {
        /// Different characters it has.
        distinct: u32,
        /// Different characters it needs.
        least: u32,
    },
    /// Too soon after the last paid message.
    CoolDown {
        /// Seconds still to wait.
        left_secs: u32,
    },
    /// A copy of the member's own recent message.
    Copy {
        /// When the earlier one was sent.
        of: Millis,
    },
    /// Staff earn nothing here.
    Staff,
    /// The balance would leave ±(2⁵³−1).
    TooMany,
    /// The same message was heard through another channel.
    Twin,
    /// It was taken back before it arrived.
    TakenBack,
    /// The budget is used up.
    Spent,
    /// Only the first so many get it.
    TooLate {
        /// How many.
        first: i64,
    },
    /// No period of staying in the group ends here: the member left in between, or joined at another time than was known.
    NotStayed,
    /// There are not so many points to take.
    Short {
        /// How many there are.
        have: i64,
        /// How many are wanted.
        need: i64,
    },
    /// The second operator did not let it through, or was the first one.
    Declined,
    /// The word was said, and what must come with it has not come yet.
    ProofMissing {
        /// What must come.
        needs: Needs,
        /// How far apart the two may be.
        within_secs: i64,
    },
    /// What must come with the word has come, and the word has not been said yet.
    WordMissing {
        /// What has come.
        needs: Needs,
        /// How far apart the two may be.
        within_secs: i64,
    },
    /// What came with the word was paid for before.
    ProofUsed {
        /// What it is.
        needs: Needs,
    },
    /// `only` asks for what the member is not; in words.
    NotForThisMember(Arc<str>),
    /// A task of which steps are left: how many are done, of how many.
    StepsLeft(u32, u32),
    /// Nearly a copy of the member's own recent message.
    NearCopy {
        /// When the earlier one was sent.
        of: Millis,
    },
    /// Something that costs points was not bought.
    NotBought(NotBought),
    /// The member left the groups, and the campaign freezes leavers.
    Frozen,
}

/// What must come with a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Needs {
    /// 图片
    Image,
    /// 链接
    Link,
    /// 视频
    Video,
}

/// Points moved by a decision; the pipeline books it as a posting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Ledger code that says why: the rule's.
    pub code: Arc<str>,
    /// Where the points come from.
    pub src: Side,
    /// Where they go.
    pub dst: Side,
    /// How many; more than 0.
    pub amount: i64,
    /// The business day they belong to.
    pub day: Day,
    /// First day they may be spent; `None` at once.
    pub vests_on: Option<Day>,
    /// First day they are gone; `None` never.
    pub expires_on: Option<Day>,
    /// The message that earned them, where it is not this event itself (a repair).
    pub slot_event: Option<EventSeq>,
    /// The posting this one takes back, in part or whole.
    pub reverses: Option<PostingSeq>,
}

/// One side of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// A part of the event's own account.
    Own(Part),
    /// One of the campaign's system accounts.
    System(Chart),
}

/// Parts of a member's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// May be spent.
    Available,
    /// Set aside until settled or released.
    Held,
}

/// System accounts of a campaign; their balances are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Chart {
    /// Points come from here when earned.
    Issued,
    /// Points go here when spent.
    Spent,
    /// Points go here when they expire.
    Expired,
    /// Manual corrections.
    Adjusted,
    /// Opening balances brought from elsewhere.
    Opening,
    /// Points on their way between two accounts of one person.
    Transfer,
}

/// A change of the account's own state; keys are ledger codes (`check_in.daily`, `bucket.talk`, `campaign`), prefixed `~` in shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Counts towards a cap.
    Count {
        /// Whose.
        key: Arc<str>,
        /// In which period.
        period: Period,
        /// So many times.
        times: i64,
        /// So many points.
        points: i64,
    },
    /// A day joins a run of days.
    Day {
        /// Whose.
        key: Arc<str>,
        /// The day.
        day: Day,
    },
    /// A message worth remembering for cool-downs and copies.
    Recent {
        /// Whose.
        key: Arc<str>,
        /// When it was sent.
        at: Millis,
        /// Its fingerprint.
        fingerprint: u64,
    },
    /// An instant from which on something holds; `None` when it holds no longer.
    Since {
        /// Whose.
        key: Arc<str>,
        /// From when on.
        at: Option<Millis>,
    },
    /// A picture or link was paid for, or no longer is. It changes nothing of the account: the campaign's proofs are folded from it.
    Proof {
        /// The rule's.
        key: Arc<str>,
        /// What it is known by ([`Picture::original`], [`Media::link`]).
        number: u64,
        /// Paid for, else free again.
        used: bool,
    },
    /// Points ever earned that come with a person from another account, or go with it below zero. Nothing is earned by it.
    Lifetime {
        /// Why: the ledger code of the transfer.
        key: Arc<str>,
        /// How many.
        points: i64,
    },
}

/// Arguments of a template, by their Chinese names.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Args(pub Vec<(Arc<str>, Arg)>);

/// One argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Arg {
    /// A number.
    Int(i64),
    /// A text; data, never template source.
    Text(String),
    /// A yes or no.
    Flag(bool),
    /// A list of records.
    List(Vec<Args>),
}
