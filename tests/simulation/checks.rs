//! What must hold after every seed. Each check is one claim; its error names the first row that breaks it.

use std::collections::{BTreeMap, HashMap, HashSet};

use jifen::model::decision::{Deed, Outcome};
use jifen::model::event::Channel;
use jifen::model::ids::{AccountId, EventKey, EventSeq, GroupId, PostingSeq, ReplyId};
use jifen::model::journal::{AccountRef, EventRow, Posting};
use jifen::outbox::queue::{ASKED_SECS, UNASKED_SECS};
use jifen::store::{REPLIES_PER_EVENT_MAX, Reader, ReplyRow, ReplyState};

use crate::naive::{self, Said, Terms};
use crate::simulation::Past;
use crate::wecom::Shown;
use crate::world::{Delivery, INNER, Message, Version};

/// A request begun in time may end this much later: two ways and their time limits.
const SLACK_SECS: i64 = 25;
/// So long after a step of the clock its jump is still in what is measured.
const CLOCK_STEP_SECS: i64 = 60;
/// Times by which two channels tell of one message lie no further apart.
const TWIN_MILLIS: u64 = 120_000;
/// Who says the same again within so long cannot be told from a copy.
const AMBIGUOUS_MILLIS: u64 = 600_000;
const ALL: usize = usize::MAX >> 1;

type Check = fn(&Books<'_>) -> Result<(), String>;

/// All checks, the cheap ones first.
pub const CHECKS: &[(&str, Check)] = &[
    ("the books prove themselves", verify_finds_nothing),
    ("what was answered 200 is kept once, and nothing was made up", each_message_is_there_once),
    ("a message keeps its own time", times_are_the_messages_own),
    ("a message stands in its own group and campaign", places_are_the_messages_own),
    ("each message earned what the model says", net_is_what_the_model_says),
    ("a message that two channels bring counts once", twins_count_once),
    ("caps hold", caps_hold),
    ("balances are the sums of postings", balances_are_sums),
    ("what is gone is booked out once its day is over", what_is_gone_is_booked),
    ("every promised reply has its row", promised_replies_have_rows),
    ("who asked was answered or a reason is recorded", who_asked_is_answered),
    ("every row came to an end, with a reason where nothing was said", rows_are_terminal),
    ("what people saw is what the rows say", what_was_shown_is_recorded),
    ("nothing was said twice", nothing_is_said_twice),
    ("each chat was answered in order", chats_are_answered_in_order),
    ("nothing was said after its time", nothing_is_said_too_late),
    ("robots keep to their limit", robots_keep_to_their_limit),
];

/// All that is left of a seed, read once.
pub struct Books<'a> {
    pub past: &'a Past,
    reader: Box<dyn Reader>,
    pub events: Vec<EventRow>,
    pub postings: Vec<Posting>,
    keys: HashMap<EventKey, EventSeq>,
    pub rows: BTreeMap<ReplyId, ReplyRow>,
    pub shown: Vec<Shown>,
}

/// A copy of a message, as one channel brought it.
struct Copied<'a> {
    number: usize,
    message: &'a Message,
    is_twin: bool,
    row: &'a EventRow,
}

impl<'a> Books<'a> {
    /// Reads everything.
    pub fn read(past: &'a Past) -> Result<Books<'a>, String> {
        let reader = past.disk.reader();
        let read = |error: jifen::store::StoreError| error.to_string();
        let events = reader.events(EventSeq(1), ALL).map_err(read)?;
        let postings = reader.postings(PostingSeq(1), ALL).map_err(read)?;
        let keys = reader.keys(None, ALL).map_err(read)?.into_iter().collect();
        let mut rows = BTreeMap::new();
        for id in reader.reply_ids(ReplyId(0), ALL).map_err(read)? {
            let of_event = reader.replies_of(event_of(id)).map_err(read)?;
            rows.extend(of_event.into_iter().map(|row| (row.id, row)));
        }
        let shown = past.wecom.lock().expect("no panic").shown.clone();
        Ok(Books { past, reader, events, postings, keys, rows, shown })
    }

    fn event(&self, seq: EventSeq) -> Option<&EventRow> {
        self.events.get(usize::try_from(seq.0 - 1).ok()?)
    }

    fn seq(&self, delivery: Delivery) -> Option<EventSeq> {
        self.keys.get(&self.past.world.messages[delivery.message].kept_under(delivery)).copied()
    }

    /// The copies of messages that are in the journal.
    fn copies(&self) -> Vec<Copied<'_>> {
        let messages = self.past.world.messages.iter().enumerate();
        let copies = messages.flat_map(|(number, message)| [false, true].map(|is_twin| (number, message, is_twin)));
        let found = copies.filter_map(|(number, message, is_twin)| Some(Copied { number, message, is_twin, row: self.copy(number, is_twin)? }));
        found.collect()
    }

    fn copy(&self, number: usize, is_twin: bool) -> Option<&EventRow> {
        if is_twin && self.past.world.messages[number].channel != Channel::Aibot {
            return None;
        }
        self.event(self.seq(Delivery { message: number, takes_back: false, is_twin, failed: 0 })?)
    }

    /// Whether a copy left the books: it was taken back itself, or through the copy of the other channel.
    fn is_taken_back(&self, copy: &Copied<'_>) -> bool {
        let told = |is_twin| self.seq(Delivery { message: copy.number, takes_back: true, is_twin, failed: 0 }).is_some();
        let is_mine = |row: &EventRow| match row.record.outcome {
            Outcome::TwinOf(first) => first == copy.row.seq,
            _ => row.record.repair.as_ref().is_some_and(|repair| repair.takes_back == Some(copy.row.seq)),
        };
        told(copy.is_twin) || (told(!copy.is_twin) && self.copy(copy.number, !copy.is_twin).is_some_and(is_mine))
    }

    /// Whether the same was said by the same in the same place so soon before or after that copies cannot be told apart.
    fn is_ambiguous(&self, number: usize) -> bool {
        let messages = &self.past.world.messages;
        let same = |message: &Message| (message.corp, message.member, message.chat, message.text);
        let near = |other: usize| {
            let times = [false, true].map(|is_twin| self.copy(other, is_twin).map_or(messages[other].at, |row| row.at));
            let own = [false, true].map(|is_twin| self.copy(number, is_twin).map_or(messages[number].at, |row| row.at));
            times.iter().any(|time| own.iter().any(|own| time.0.abs_diff(own.0) < AMBIGUOUS_MILLIS))
        };
        (0..messages.len()).any(|other| other != number && same(&messages[other]) == same(&messages[number]) && near(other))
    }

    fn version(&self, row: &EventRow) -> Option<&Version> {
        self.past.world.versions.iter().find(|version| version.rules.hash == row.rules)
    }

    /// Net points by message and rule.
    fn net(&self) -> BTreeMap<(EventSeq, String), i64> {
        let mut net = BTreeMap::new();
        for posting in self.postings.iter().filter(|posting| !is_the_clocks(posting)) {
            *net.entry((posting.slot_event.unwrap_or(posting.event), posting.code.to_string())).or_default() += earned(posting);
        }
        net.retain(|_, points| *points != 0);
        net
    }

    /// Whether the clock was stepped shortly before.
    fn is_near_a_clock_step(&self, shown: &Shown) -> bool {
        self.past.clock_steps.iter().any(|step| shown.at.0 >= step.0 && shown.at.0 - step.0 < CLOCK_STEP_SECS * 1000)
    }

    /// Whether an event of this account was too late to decide the days after it again; then its sums depend on the order of arrival.
    fn accounts_decided_alone(&self) -> HashSet<(&'static str, &'static str, Option<&'static str>)> {
        let alone = |message: &&Message| {
            let place = self.past.world.messages.iter().position(|other| std::ptr::eq(other, *message)).unwrap_or_default();
            [(false, false), (false, true), (true, false), (true, true)].into_iter().any(|(takes_back, is_twin)| {
                let seq = self.seq(Delivery { message: place, takes_back, is_twin, failed: 0 });
                seq.and_then(|seq| self.event(seq)).is_some_and(|row| row.record.outcome == Outcome::DecidedAlone)
            })
        };
        self.past.world.messages.iter().filter(alone).map(Message::account).collect()
    }
}

fn event_of(id: ReplyId) -> EventSeq {
    EventSeq(id.0.div_euclid(REPLIES_PER_EVENT_MAX as i64))
}

fn earned(posting: &Posting) -> i64 {
    if matches!(posting.dst, AccountRef::Member(_)) { posting.amount } else { -posting.amount }
}

/// Whether the clock booked it: points that are gone, debts paid.
fn is_the_clocks(posting: &Posting) -> bool {
    matches!(&*posting.code, "expiry" | "settlement")
}

fn verify_finds_nothing(books: &Books<'_>) -> Result<(), String> {
    let report = jifen::verify::verify(books.reader.as_ref(), &mut |_| {}).map_err(|error| error.to_string())?;
    report.findings.first().map_or(Ok(()), |finding| Err(finding.to_string()))
}

fn each_message_is_there_once(books: &Books<'_>) -> Result<(), String> {
    let mut tried = HashSet::new();
    for delivery in &books.past.tried {
        tried.insert(books.past.world.messages[delivery.message].kept_under(*delivery));
    }
    if let Some(delivery) = books.past.acked.iter().find(|delivery| books.seq(**delivery).is_none()) {
        return Err(format!("{delivery:?} was answered 200 and is not there"));
    }
    if let Some((key, seq)) = books.keys.iter().find(|(key, _)| !tried.contains(*key) && !key.source.ends_with("/clock")) {
        return Err(format!("event {seq} has the key {key:?}, which nobody sent"));
    }
    if books.keys.len() != books.events.len() {
        return Err(format!("{} keys and {} events", books.keys.len(), books.events.len()));
    }
    Ok(())
}

fn times_are_the_messages_own(books: &Books<'_>) -> Result<(), String> {
    for Copied { number, message, row, .. } in books.copies().into_iter().filter(|copy| copy.is_twin || copy.message.channel != Channel::Aibot) {
        if row.at != message.at {
            return Err(format!("message {number} was sent at {} and event {} says {}", message.at.0, row.seq, row.at.0));
        }
    }
    Ok(())
}

fn places_are_the_messages_own(books: &Books<'_>) -> Result<(), String> {
    let directory = books.reader.directory().map_err(|error| error.to_string())?;
    for Copied { message, row, .. } in books.copies() {
        let group = match message.chat {
            Some(chat) => directory.groups.get(&(message.corp.into(), chat.into())).map(|group| group.id),
            None => Some(GroupId::NONE),
        };
        let campaign = directory.campaigns.get(&(message.corp.into(), if message.is_vip() { "vip" } else { "main" }.into()));
        if group != Some(row.group) || campaign.copied() != row.campaign {
            return Err(format!("event {} is in group {} and campaign {:?}, the directory has {group:?} and {campaign:?}", row.seq, row.group, row.campaign));
        }
    }
    Ok(())
}

fn net_is_what_the_model_says(books: &Books<'_>) -> Result<(), String> {
    let mut alone = books.accounts_decided_alone();
    // Which of two like messages a copy belongs to, nobody can tell.
    let messages = books.past.world.messages.iter().enumerate();
    alone.extend(messages.filter(|(number, message)| message.channel == Channel::Aibot && books.is_ambiguous(*number)).map(|(_, message)| message.account()));
    let mut accounts: BTreeMap<_, Vec<Said<'_>>> = BTreeMap::new();
    for copy in books.copies() {
        let (message, row) = (copy.message, copy.row);
        let is_there = !matches!(row.record.outcome, Outcome::TwinOf(_)) && !books.is_taken_back(&copy);
        let Some(words) = message.words().filter(|_| message.may_earn() && is_there) else { continue };
        let version = books.version(row).ok_or_else(|| format!("event {} was decided under unknown rules", row.seq))?;
        let terms = if message.is_vip() { &version.vip } else { &version.main };
        let order = copy.number as u64 * 2 + u64::from(copy.is_twin);
        let said = Said { id: row.seq.0 as usize, at: row.at.0 + books.past.world.shift_millis(), order, words, terms };
        accounts.entry(message.account()).or_default().push(said);
    }
    let mut expected: BTreeMap<(EventSeq, String), i64> = BTreeMap::new();
    for (_, said) in accounts.iter().filter(|(account, _)| !alone.contains(*account)) {
        for paid in naive::expected(said) {
            expected.insert((EventSeq(paid.id as i64), paid.code.to_owned()), paid.points);
        }
    }
    let unjudged: HashSet<EventSeq> = books.copies().iter().filter(|copy| alone.contains(&copy.message.account())).map(|copy| copy.row.seq).collect();
    let is_judged = |seq: EventSeq| !unjudged.contains(&seq);
    let net: BTreeMap<_, _> = books.net().into_iter().filter(|((seq, _), _)| is_judged(*seq)).collect();
    let slots: std::collections::BTreeSet<_> = net.keys().chain(expected.keys()).collect();
    for slot in slots {
        let (was, should) = (net.get(slot).copied().unwrap_or(0), expected.get(slot).copied().unwrap_or(0));
        if was != should {
            return Err(format!("event {} earned {was} by {}, the model says {should}", slot.0, slot.1));
        }
    }
    Ok(())
}

fn caps_hold(books: &Books<'_>) -> Result<(), String> {
    let mut used: BTreeMap<(AccountId, i32, String), i64> = BTreeMap::new();
    for posting in books.postings.iter().filter(|posting| !is_the_clocks(posting)) {
        let ((AccountRef::Member(account), _) | (_, AccountRef::Member(account))) = (posting.dst, posting.src) else { continue };
        let mut codes = vec![posting.code.to_string()];
        codes.extend(posting.code.starts_with("speaking").then(|| "bucket".to_owned()));
        for code in codes {
            *used.entry((account, posting.day.0, code)).or_default() += earned(posting);
        }
    }
    let most = |of: &dyn Fn(&Terms) -> i64| books.past.world.versions.iter().flat_map(|version| [of(&version.main), of(&version.vip)]).max().unwrap_or(0);
    for ((account, day, code), points) in used {
        let most = match code.as_str() {
            "speaking.talk" => most(&|terms| terms.talk[0].day),
            "speaking.deep" => most(&|terms| terms.talk[1].day),
            "bucket" => most(&|terms| terms.bucket_day.unwrap_or(i64::MAX)),
            _ => most(&|terms| terms.daily + terms.streak.iter().map(|(_, bonus)| *bonus).max().unwrap_or(0)),
        };
        if !(0..=most).contains(&points) {
            return Err(format!("account {account} has {points} by {code} on day {day}, at most {most} are allowed"));
        }
    }
    Ok(())
}

fn balances_are_sums(books: &Books<'_>) -> Result<(), String> {
    let mut sums: HashMap<AccountId, i64> = HashMap::new();
    for posting in &books.postings {
        for (side, amount) in [(posting.src, -posting.amount), (posting.dst, posting.amount)] {
            if let AccountRef::Member(account) = side {
                *sums.entry(account).or_default() += amount;
            }
        }
    }
    for cell in books.reader.accounts(AccountId(0), ALL).map_err(|error| error.to_string())? {
        let sum = sums.remove(&cell.id).unwrap_or(0);
        if cell.available != sum {
            return Err(format!("account {} has {}, its postings say {sum}", cell.id, cell.available));
        }
    }
    sums.keys().next().map_or(Ok(()), |account| Err(format!("postings speak of account {account}, which is not there")))
}

/// The clock never waits longer than a day; debts of lots that are gone may wait for points to pay them with.
fn what_is_gone_is_booked(books: &Books<'_>) -> Result<(), String> {
    let closed = books.events.iter().filter(|row| &*row.kind == "due" && row.identity.is_none()).filter_map(|row| match &row.record.deed {
        Some(Deed::Due { job, slot }) if &**job == "expiry" => Some((row.campaign, *slot, row.seq)),
        _ => None,
    });
    let closed: HashMap<_, _> = closed.map(|(campaign, slot, seq)| (campaign, (slot, seq))).collect();
    for cell in books.reader.accounts(AccountId(0), ALL).map_err(|error| error.to_string())? {
        let Some((slot, seq)) = closed.get(&Some(cell.key.campaign)) else { continue };
        let late = |lot: &&jifen::model::cells::Lot| lot.amount > 0 && lot.expires_on.is_some_and(|gone| i64::from(gone.0) <= *slot);
        // What came after the day was closed is booked with the next one.
        if let (Some(lot), true) = (cell.state.lots.iter().find(late), cell.last_event < *seq) {
            return Err(format!("account {} still holds {lot:?} after the day {slot}", cell.id));
        }
    }
    Ok(())
}

fn promised_replies_have_rows(books: &Books<'_>) -> Result<(), String> {
    let missing = books.past.promised.iter().find(|id| !books.rows.contains_key(*id));
    missing.map_or(Ok(()), |id| Err(format!("reply {id} was promised and has no row")))
}

fn who_asked_is_answered(books: &Books<'_>) -> Result<(), String> {
    for copy in books.copies().into_iter().filter(|copy| copy.message.is_owed_an_answer()) {
        let answers = books.rows.values().filter(|reply| reply.event == copy.row.seq && reply.reply.asked).count();
        let is_owed = !matches!(copy.row.record.outcome, Outcome::RecalledBefore | Outcome::TwinOf(_));
        if answers != usize::from(is_owed) {
            return Err(format!("event {} asked and has {answers} answers", copy.row.seq));
        }
    }
    Ok(())
}

fn twins_count_once(books: &Books<'_>) -> Result<(), String> {
    for number in (0..books.past.world.messages.len()).filter(|number| books.past.world.messages[*number].words().is_some()) {
        let (Some(one), Some(other)) = (books.copy(number, false), books.copy(number, true)) else { continue };
        if one.at.0.abs_diff(other.at.0) > TWIN_MILLIS || books.is_ambiguous(number) {
            continue;
        }
        let is_of = |row: &EventRow, first: &EventRow| match row.record.outcome {
            Outcome::TwinOf(seq) => seq == first.seq,
            Outcome::RecalledBefore => true,
            _ => false,
        };
        if !is_of(one, other) && !is_of(other, one) {
            return Err(format!("events {} and {} are one message and both count", one.seq, other.seq));
        }
    }
    Ok(())
}

fn rows_are_terminal(books: &Books<'_>) -> Result<(), String> {
    for row in books.rows.values() {
        let is_explained = row.reason.as_ref().is_some_and(|reason| !reason.is_empty());
        if row.state.is_open() || !is_explained {
            return Err(format!("reply {} ended as {} with the reason {:?}", row.id, row.state.as_str(), row.reason));
        }
    }
    Ok(())
}

fn what_was_shown_is_recorded(books: &Books<'_>) -> Result<(), String> {
    let shown: HashSet<ReplyId> = books.shown.iter().map(|shown| ReplyId(shown.reply.0)).collect();
    if let Some(id) = shown.iter().find(|id| !books.rows.contains_key(*id)) {
        return Err(format!("people saw reply {id}, which has no row"));
    }
    for row in books.rows.values() {
        let is_possible = match row.state {
            ReplyState::Sent => shown.contains(&row.id),
            ReplyState::Unknown => true,
            ReplyState::Refused | ReplyState::Expired | ReplyState::Suppressed => !shown.contains(&row.id),
            ReplyState::Waiting | ReplyState::Sending => false,
        };
        if !is_possible {
            return Err(format!("reply {} is {}, and people saw it: {}", row.id, row.state.as_str(), shown.contains(&row.id)));
        }
    }
    let doubtful = books.past.crashes > 0 || books.shown.iter().any(|shown| shown.is_unanswered);
    let unknown = books.rows.values().find(|row| row.state == ReplyState::Unknown && shown.contains(&row.id));
    match unknown {
        Some(row) if !doubtful => Err(format!("reply {} is unknown though nothing crashed and every answer arrived", row.id)),
        Some(_) | None => Ok(()),
    }
}

fn nothing_is_said_twice(books: &Books<'_>) -> Result<(), String> {
    let mut seen = HashSet::new();
    let again = books.shown.iter().find(|shown| !seen.insert(shown.reply));
    again.map_or(Ok(()), |shown| Err(format!("people saw text {} of reply {} twice", shown.reply.1, shown.reply.0)))
}

fn chats_are_answered_in_order(books: &Books<'_>) -> Result<(), String> {
    let mut newest: HashMap<_, (i64, usize)> = HashMap::new();
    for shown in &books.shown {
        let Some(row) = books.rows.get(&ReplyId(shown.reply.0)) else { continue };
        let (chat, to) = (&row.destination.chat, &row.destination.to);
        // A lane is a group where the bot can speak, else a member; what falls to a private message may be overtaken there. Who asked may
        // pass what nobody asked for.
        let is_heard_by_all = row.destination.reply_url.is_some() || chat.as_deref() == Some(INNER);
        let member = to.as_ref().filter(|_| !is_heard_by_all || shown.is_private);
        let lane = (&row.corp, chat, member, is_heard_by_all, shown.is_private, row.reply.asked);
        let before = newest.entry(lane).or_insert(shown.reply);
        if *before > shown.reply {
            return Err(format!("reply {} was said before reply {} in one chat", before.0, shown.reply.0));
        }
        *before = shown.reply;
    }
    Ok(())
}

fn nothing_is_said_too_late(books: &Books<'_>) -> Result<(), String> {
    for shown in books.shown.iter().filter(|shown| !books.is_near_a_clock_step(shown)) {
        let Some(row) = books.rows.get(&ReplyId(shown.reply.0)) else { continue };
        let lives_secs = if row.reply.asked { ASKED_SECS } else { UNASKED_SECS };
        let age_secs = (shown.clock.0 - row.created_at.0) / 1000;
        if age_secs > lives_secs + SLACK_SECS {
            return Err(format!("reply {} was said {age_secs} s after it was due", row.id));
        }
    }
    Ok(())
}

/// What was sent lately is known in RAM only, so a crash and a clock set back excuse.
fn robots_keep_to_their_limit(books: &Books<'_>) -> Result<(), String> {
    let over = books.past.wecom.lock().expect("no panic").over_limit;
    let is_excused = books.past.crashes > 0 || !books.past.clock_steps.is_empty();
    if over > 0 && !is_excused { Err(format!("{over} calls were more than a robot may make in a minute")) } else { Ok(()) }
}
