//! Acts: what happens without anything being said. Somebody joins, a shop reports, an operator grants, the clock strikes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::day::{Day, Millis};
use super::ids::{EventSeq, PostingSeq};

/// Something done. Kept, sealed, as the event's contents; what deciding again needs of it is its [`super::decision::Deed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// Somebody joined the group.
    Joined,
    /// Somebody left the group.
    Left,
    /// A named event from outside.
    Happened {
        /// The event's name in rules.toml.
        event: Arc<str>,
        /// What it was about, where that can be told (a shop, a course): an event pays once for each.
        #[serde(default)]
        subject: Option<Arc<str>>,
    },
    /// A shop order was paid.
    OrderPaid {
        /// The shop, by its name in rules.toml.
        shop: Arc<str>,
        /// The order number.
        number: Arc<str>,
        /// What was paid, in fen.
        fen: i64,
    },
    /// The clock reached a slot.
    Due {
        /// What is due: `expiry`, `retention`, `schedule.morning` …
        job: Arc<str>,
        /// Which one: a business day or a minute, as the job counts them.
        slot: i64,
    },
    /// An operator gave points, or took them (below zero).
    Granted {
        /// How many.
        points: i64,
        /// Who did it: an operator's id.
        by: Arc<str>,
        /// Why, for the member and the audit.
        reason: Arc<str>,
        /// The batch it belongs to, which can be taken back as one.
        batch: Option<Arc<str>>,
        /// It waits for a second operator, however little it is: its batch as a whole is too much for one.
        #[serde(default)]
        waits: bool,
    },
    /// A balance brought from elsewhere.
    Opened {
        /// How many.
        points: i64,
    },
    /// An operator put expired points back.
    Reinstated {
        /// What had expired and comes back.
        parts: Vec<Expired>,
        /// Who did it: an operator's id.
        by: Arc<str>,
        /// Why, for the audit.
        reason: Arc<str>,
    },
    /// The clock reached a slot of a group whose members were counted.
    Counted {
        /// What is due.
        job: Arc<str>,
        /// Which one.
        slot: i64,
        /// What was counted, as the job counts.
        counts: [i64; 2],
    },
    /// A list of the group's members has somebody in it.
    Listed {
        /// Since when, as the list says.
        joined_at: Millis,
    },
    /// Somebody joined the group, and the platform told in what way. Rules take it for [`Act::Joined`].
    JoinedBy {
        /// WeCom's `JoinScene`: 1 invited, 2 by a link, 3 by a QR code (developer.work.weixin.qq.com/document/path/92130).
        scene: u32,
    },
    /// A second operator looked at a grant that waited for one.
    Reviewed {
        /// The event that waits.
        of: EventSeq,
        /// Whether it goes through.
        allowed: bool,
        /// Who looked at it.
        by: Arc<str>,
        /// Who had asked for it: never the same person.
        asked_by: Arc<str>,
        /// How many points.
        points: i64,
        /// Why, as it was asked for; or why not.
        reason: Arc<str>,
        /// The batch it belongs to.
        batch: Option<Arc<str>>,
    },
    /// Another rules.toml went live, or was refused.
    RulesChanged {
        /// Who wanted it: an operator's id, or the file itself (`rules.toml`).
        by: Arc<str>,
        /// Whether it is live.
        accepted: bool,
        /// What the operators are told of it.
        told: Arc<str>,
    },
    /// A grant was taken back, each part into the bucket it came from.
    TakenBack {
        /// The event that booked it.
        of: EventSeq,
        /// What it booked.
        parts: Vec<GrantPart>,
        /// Who took it back.
        by: Arc<str>,
        /// Why.
        reason: Arc<str>,
    },
}

/// A posting of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantPart {
    /// The posting.
    pub posting: PostingSeq,
    /// What it brought the member; below zero what it took.
    pub points: i64,
    /// Its bucket: first day it may be spent.
    pub vests_on: Option<Day>,
    /// Its bucket: first day it is gone.
    pub expires_on: Option<Day>,
}

/// A posting by which points expired, as far as they are to come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Its place in the ledger.
    pub posting: i64,
    /// The first day on which these points were gone, where their lot had one.
    pub expires_on: Option<Day>,
    /// How many come back.
    pub amount: i64,
}

/// How far back a join that only a member list tells of is followed, in days: as far as late messages are repaired, less a day.
const LISTED_BACK_DAYS_MAX: i64 = 34;

/// When an [`Act::Listed`] happened: the join itself, so that it stands where the join would have stood.
pub fn listed_at(joined_at: Millis, told_at: Millis) -> Millis {
    joined_at.min(told_at).max(told_at.plus_secs(-86_400 * LISTED_BACK_DAYS_MAX))
}

impl Act {
    /// Why an operator did it; `None` for what nobody gives a reason for.
    pub fn reason(&self) -> Option<&Arc<str>> {
        match self {
            Act::Granted { reason, .. } | Act::Reviewed { reason, .. } | Act::TakenBack { reason, .. } => Some(reason),
            Act::Joined | Act::JoinedBy { .. } | Act::Left | Act::Happened { .. } | Act::OrderPaid { .. } | Act::Due { .. } | Act::Counted { .. } => None,
            Act::Opened { .. } | Act::Reinstated { .. } | Act::Listed { .. } | Act::RulesChanged { .. } => None,
        }
    }

    /// The word used in the journal, exports and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Act::Joined | Act::JoinedBy { .. } => "joined",
            Act::Left => "left",
            Act::Happened { .. } => "happened",
            Act::OrderPaid { .. } => "order_paid",
            Act::Due { .. } | Act::Counted { .. } => "due",
            Act::Granted { .. } => "granted",
            Act::Opened { .. } => "opened",
            Act::Reinstated { .. } => "reinstated",
            Act::Listed { .. } => "listed",
            Act::Reviewed { .. } => "reviewed",
            Act::TakenBack { .. } => "taken_back",
            Act::RulesChanged { .. } => "rules_changed",
        }
    }
}
