//! What the page shows: people, bubbles, the ledger. Every change has a number, so that a page asks only for what is new to it.

use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::demo::tenant::{OPERATOR, STAFF};
use crate::model::day::Millis;
use crate::model::ids::EventKey;

/// Bubbles kept; a page left open for days must not grow.
const LINES_MAX: usize = 2_000;
/// Ledger rows kept for the page.
const LEDGER_MAX: usize = 500;
/// People that may be added.
const PEOPLE_MAX: usize = 50;
/// Longest name taken; WeCom's own limit of a name.
const NAME_CHARS_MAX: usize = 64;

/// The three chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chat {
    /// 内部群
    Inner,
    /// 客户群
    Customer,
    /// A member's single chat with the app.
    Single,
}

/// Somebody to type as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// userid or external_userid.
    pub id: String,
    /// The name.
    pub name: String,
    /// A customer, else an employee.
    pub customer: bool,
    /// Still in the customer group.
    pub present: bool,
    /// May change the rules and give points by chat.
    pub operator: bool,
}

/// A bubble.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its number.
    pub id: u64,
    /// Number of its last change.
    pub rev: u64,
    /// Where.
    pub chat: Chat,
    /// Whose single chat it is, or who wrote it.
    pub who: String,
    /// What it is.
    pub kind: LineKind,
    /// The text.
    pub text: String,
    /// When, by the demo's clock.
    pub at: Millis,
    /// Why nobody heard it, or how it came.
    pub note: Option<String>,
    /// The bubble it answers.
    pub answers: Option<u64>,
    /// It was taken back.
    pub recalled: bool,
    /// What the rules said.
    pub verdicts: Vec<Judged>,
    /// What became of its replies.
    pub replies: Vec<Outcome>,
    /// What went over the wire.
    pub wire: Option<Wire>,
    /// The key it is booked under.
    #[serde(skip)]
    pub key: Option<EventKey>,
    /// Its id in the archive, by which it can be taken back.
    #[serde(skip)]
    pub archived: Option<String>,
}

/// What a bubble is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A member's words.
    Text,
    /// A member's picture.
    Picture,
    /// The assistant's words.
    Bot,
    /// A grey line in the middle.
    Notice,
}

/// One verdict in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Points booked.
    pub points: i64,
    /// The words.
    pub text: String,
}

/// What became of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `sent` …
    pub state: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// It may still change.
    pub open: bool,
}

/// What went over the wire for a bubble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wire {
    /// `POST /wecom/demo/…`, or how it came.
    pub request: String,
    /// The body as it was sent; `None` where nothing is sent.
    pub body: Option<String>,
    /// What was inside the envelope.
    pub plain: String,
    /// What came back.
    pub answer: String,
}

/// A posting for the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// Its place in the ledger.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// `check_in.daily`
    pub code: String,
    /// Where the points came from.
    pub src: String,
    /// Where they went.
    pub dst: String,
    /// What people call the member, where a channel told it.
    pub name: Option<String>,
    /// How many.
    pub amount: i64,
    /// The link of the chain, shortened.
    pub link: String,
}

/// An account for the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// Whose.
    pub id: String,
    /// How much.
    pub available: i64,
}

/// All that is new since a number.
#[derive(Debug, Serialize)]
pub struct Feed {
    /// Ask with this next time.
    pub rev: u64,
    /// The demo's clock.
    pub now: Millis,
    /// Everybody.
    pub people: Vec<Person>,
    /// Bubbles that are new or changed.
    pub lines: Vec<Line>,
    /// Ledger rows, newest last; all that are kept when any is new.
    pub ledger: Vec<Booked>,
    /// Balances.
    pub balances: Vec<Balance>,
    /// The version of the rules that is live.
    pub rules: String,
}

/// The state behind the page.
pub struct Scene {
    inner: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    rev: u64,
    next_line: u64,
    people: Vec<Person>,
    lines: Vec<Line>,
    ledger: Vec<Booked>,
    balances: Vec<Balance>,
    rules: String,
    /// Postings up to here are not shown.
    begins_after: i64,
}

impl Default for Scene {
    fn default() -> Self {
        let employees = ["阿明", "小红", "阿强"].map(|name| Person::new(name, false));
        let customers = ["阿明", "小红", "阿强"].map(|name| Person::new(name, true));
        let people = employees.into_iter().chain(customers).chain([Person::new(STAFF, false)]).collect();
        Scene { inner: Mutex::new(State { people, ..State::default() }), changed: watch::Sender::new(0) }
    }
}

impl Person {
    /// Real userids are ASCII; here they are the names, because no callback of an app or AI bot carries a name.
    fn new(name: &str, customer: bool) -> Self {
        let id = if customer { external_userid(name) } else { name.to_owned() };
        let operator = !customer && [STAFF, OPERATOR].contains(&name);
        Person { id, name: name.to_owned(), customer, present: true, operator }
    }
}

/// A customer's id: 32 characters that begin with `wm`, as WeCom's are.
pub fn external_userid(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(15).fold("wm".to_owned(), |id, byte| id + &format!("{byte:02x}"))
}

impl Scene {
    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Wakes everybody who waits for a change.
    pub fn wake(&self) {
        self.changed.send_modify(|_| {});
    }

    /// What is new since `after`.
    pub fn feed(&self, after: u64, now: Millis) -> Feed {
        let state = self.state();
        let lines = state.lines.iter().filter(|line| line.rev > after).cloned().collect();
        Feed {
            rev: state.rev,
            now,
            people: state.people.clone(),
            lines,
            ledger: state.ledger.clone(),
            balances: state.balances.clone(),
            rules: state.rules.clone(),
        }
    }

    /// Somebody by id.
    pub fn person(&self, id: &str) -> Option<Person> {
        self.state().people.iter().find(|person| person.id == id).cloned()
    }

    /// The name behind an id; the id itself for strangers.
    pub fn name_of(&self, id: &str) -> String {
        self.person(id).map_or_else(|| id.to_owned(), |person| person.name)
    }

    /// Adds somebody. The error is for people.
    pub fn add_person(&self, name: &str, customer: bool) -> Result<Person, &'static str> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            return Err("名字要有 1 到 64 个字");
        }
        let person = Person::new(name, customer);
        let mut state = self.state();
        if state.people.iter().any(|other| other.id == person.id) {
            return Err("已经有人叫这个名字了,换一个吧");
        }
        if state.people.len() >= PEOPLE_MAX {
            return Err("演示里的人已经够多了");
        }
        state.people.push(person.clone());
        self.touch(&mut state);
        Ok(person)
    }

    /// Lets somebody leave the customer group or come back.
    pub fn set_present(&self, id: &str, present: bool) {
        let mut state = self.state();
        state.people.iter_mut().filter(|person| person.id == id).for_each(|person| person.present = present);
        self.touch(&mut state);
    }

    /// Adds a bubble and gives its number.
    pub fn add(&self, line: Line) -> u64 {
        let mut state = self.state();
        state.next_line += 1;
        let id = state.next_line;
        let rev = self.touch(&mut state);
        state.lines.push(Line { id, rev, ..line });
        if state.lines.len() > LINES_MAX {
            state.lines.remove(0);
        }
        id
    }

    /// Changes a bubble, if it is still there.
    pub fn change(&self, id: u64, change: impl FnOnce(&mut Line)) {
        let mut state = self.state();
        let rev = self.touch(&mut state);
        if let Some(line) = state.lines.iter_mut().find(|line| line.id == id) {
            change(line);
            line.rev = rev;
        }
    }

    /// One bubble.
    pub fn line(&self, id: u64) -> Option<Line> {
        self.state().lines.iter().find(|line| line.id == id).cloned()
    }

    /// Bubbles whose replies may still change.
    pub fn unsettled(&self) -> Vec<(u64, EventKey)> {
        let state = self.state();
        let open = state.lines.iter().filter(|line| line.replies.iter().any(|reply| reply.open));
        open.filter_map(|line| Some((line.id, line.key.clone()?))).collect()
    }

    /// Somebody's bubbles that were judged.
    pub fn judged(&self, who: &str) -> Vec<(u64, EventKey)> {
        let state = self.state();
        state.lines.iter().filter(|line| line.who == who).filter_map(|line| Some((line.id, line.key.clone()?))).collect()
    }

    /// The newest posting that is shown.
    pub fn last_posting(&self) -> i64 {
        let state = self.state();
        state.ledger.last().map_or(state.begins_after, |row| row.seq)
    }

    /// Leaves out the postings up to this one.
    pub fn begin_after(&self, posting: i64) {
        self.state().begins_after = posting.max(0);
    }

    /// Tells which version of the rules is live. Whether it is another one.
    pub fn set_rules(&self, hash: &str) -> bool {
        let mut state = self.state();
        if state.rules == hash {
            return false;
        }
        state.rules = hash.to_owned();
        self.touch(&mut state);
        true
    }

    /// Adds ledger rows and takes the balances after them.
    pub fn book(&self, rows: Vec<Booked>, balances: Vec<Balance>) {
        let mut state = self.state();
        state.ledger.extend(rows);
        let surplus = state.ledger.len().saturating_sub(LEDGER_MAX);
        state.ledger.drain(..surplus);
        state.balances = balances;
        self.touch(&mut state);
    }

    fn touch(&self, state: &mut State) -> u64 {
        state.rev += 1;
        self.changed.send_replace(state.rev);
        state.rev
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Line {
    /// A bubble with nothing known of it yet.
    pub fn new(chat: Chat, who: &str, kind: LineKind, text: &str, at: Millis) -> Self {
        Line {
            id: 0,
            rev: 0,
            chat,
            who: who.to_owned(),
            kind,
            text: text.to_owned(),
            at,
            note: None,
            answers: None,
            recalled: false,
            verdicts: Vec::new(),
            replies: Vec::new(),
            wire: None,
            key: None,
            archived: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gets_only_what_is_new_to_it() {
        let scene = Scene::default();
        let first = scene.add(Line::new(Chat::Single, "阿明", LineKind::Text, "签到", Millis(0)));
        let seen = scene.feed(0, Millis(0));
        assert_eq!(seen.lines.len(), 1);
        assert!(scene.feed(seen.rev, Millis(0)).lines.is_empty());
        scene.change(first, |line| line.recalled = true);
        assert!(scene.feed(seen.rev, Millis(0)).lines[0].recalled);
    }

    #[test]
    fn names_are_taken_once_and_customers_get_outside_ids() {
        let scene = Scene::default();
        assert!(scene.add_person("阿明", false).is_err());
        assert!(scene.add_person(" ", false).is_err());
        let hostile = scene.add_person("<script>alert(1)</script>", true).unwrap();
        assert_eq!((hostile.id.len(), &hostile.id[..2]), (32, "wm"));
    }
}
