//! Replies: what a decision has the bot say, before it is put into words.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::decision::Args;

/// Something to say: a template, the rules version it was written under, its arguments. Rendered when it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Which text.
    pub template: Template,
    /// What the decision knew; the outbox adds what is read at rendering (name, rank, history, why).
    pub args: Args,
    /// The member asked, so it is always answered.
    pub asked: bool,
    /// Said at most once under this key.
    pub once: Option<Once>,
}

/// Which text a reply uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Template {
    /// The occasion.
    pub occasion: Occasion,
    /// The rule whose own `reply` is meant; `None` for the assistant's texts.
    pub rule: Option<Arc<str>>,
}

/// Occasions on which the bot speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Occasion {
    /// A rule paid.
    Paid,
    /// Already paid in this period.
    Already,
    /// Outside `when` or `dates`.
    Outside,
    /// A cap is full.
    Capped,
    /// Any other refusal, told to who asked.
    Refused,
    /// Balance.
    Balance,
    /// What can still be earned today.
    Today,
    /// The board.
    Rank,
    /// Why did I get (no) points.
    Why,
    /// The last postings.
    History,
    /// The rules in plain words.
    Rules,
    /// What can be asked.
    Help,
    /// Not understood.
    NotUnderstood,
    /// No campaign covers this chat.
    NoCampaign,
    /// Several unasked successes of a group told in one message.
    Digest,
    /// Points that go soon.
    Expiring,
    /// The picture (link, video) that must come with the word is missing.
    Missing,
    /// The picture or link was paid for before.
    Used,
    /// An operator gave or took points: told to the member.
    Granted,
    /// What became of an operator's command.
    Done,
    /// Something the operators should know.
    Alarm,
    /// The tasks and how far the member is.
    Tasks,
    /// Hidden from boards from now on, or shown again.
    BoardChoice,
    /// A higher level, reached by something that is not told by itself.
    Risen,
    /// The member's level and the ladder.
    Level,
    /// How warm the member is, and what to do next.
    Affinity,
    /// Who has which title.
    Titles,
    /// A title was won.
    TitleWon,
    /// A missed day was made up, or could not be.
    MadeUp,
    /// The member's own check-ins of the month.
    Calendar,
    /// What the clock has the bot say to a group.
    Posted,
}

/// Said at most once: a name and the slot of time it holds for. Scoped by the outbox to the member or the group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Once {
    /// What is said once (`not_understood`, `outside/check_in.quiz`).
    pub name: Arc<str>,
    /// Once for each member, else once for the whole group.
    pub per_member: bool,
    /// The slot of time (a window's opening minute, a day, a ten-minute slot).
    pub slot: i64,
}
