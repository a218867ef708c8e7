//! Made-up history as lines for `jifen replay`: days of talk in groups as they are, for tests, benches and whoever wants to try a verb on a lot.
//!
//! Most say 签到 in the morning, some twice; in the evening they talk; some repeat themselves, some send one character, a few lines come late
//! and a few are recalled. The same plan gives the same lines.

use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::{Value, json};

/// Of a thousand messages so many …
const RECALLED: u64 = 3;
const LATE: u64 = 10;
const REPEATED: u64 = 60;
const WITH_PICTURE: u64 = 25;
/// Of a hundred members so many say 签到 on a day, and so many of them twice.
const CHECKS_IN: u64 = 60;
const CHECKS_IN_TWICE: u64 = 5;
/// Of a hundred talks so many fall into the evening.
const IN_THE_EVENING: u64 = 55;
/// Lines by which one that comes late is late at most.
const LATE_LINES_MAX: u64 = 200;

const CHECK_INS: [&str; 6] = ["签到", "签到", "签到", "打卡", "签到!", "簽到"];
const SHORT: [&str; 8] = ["1", "好", "收到", "哈哈哈哈", "👍", "嗯", "来了", "666"];
const OPENINGS: [&str; 8] = ["今天骑了", "早上跑了", "下班路上走了", "周末打算骑", "昨晚又骑了", "刚刚爬完", "陪孩子骑了", "顶风蹬了"];
const MIDDLES: [&str; 6] = ["公里", "公里,腿有点酸", "公里,风太大了", "公里,路上桂花都开了", "公里,遇到阿强他们", "公里,轮胎还扎了一下"];
const ENDINGS: [&str; 8] =
    ["", ",明天还有人一起吗", ",有没有同路的", ",推荐大家也去看看", ",回来吃了碗面", ",下次走滨江那条", ",头盔真的要戴好", ",今天就到这里"];
const SURNAMES: [&str; 10] = ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴"];

/// How much is said, by how many, on how many days.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Lines, recalls among them.
    pub lines: usize,
    /// Days they are spread over.
    pub days: u16,
    /// Members: the first are 阿明 and 小红.
    pub members: u64,
    /// Groups: wrTalk1 and so on. A member is in one of them.
    pub groups: u64,
    /// The first day.
    pub from: Date,
    /// Another number, another history.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { lines: 2_000, days: 28, members: 40, groups: 2, from: date(2026, 10, 26), seed: 1 }
    }
}

/// The lines, in the order of their arrival.
pub fn lines(plan: &Plan) -> Vec<String> {
    let (mut chance, mut lines) = (Chance(plan.seed), Vec::with_capacity(plan.lines));
    for day in 0..u64::from(plan.days) {
        let until = (plan.lines as u64 * (day + 1) / u64::from(plan.days)) as usize;
        let quota = until - lines.len();
        lines.extend(one_day(plan, day, quota, lines.len(), &mut chance));
    }
    lines.into_iter().map(|line| line.to_string()).collect()
}

/// A message before it is a line: the second of the day, who, what.
struct Message {
    second: u64,
    member: u64,
    text: String,
}

fn one_day(plan: &Plan, day: u64, quota: usize, first: usize, chance: &mut Chance) -> Vec<Value> {
    let mut messages = check_ins(plan, chance);
    messages.truncate(quota);
    let mut said = String::new();
    while messages.len() < quota {
        // A few talk much, most a little.
        let member = chance.below(plan.members).min(chance.below(plan.members));
        let second = if chance.below(100) < IN_THE_EVENING { chance.between(19 * 3600, 22 * 3600) } else { chance.between(7 * 3600, 23 * 3600) };
        if said.is_empty() || chance.below(1000) >= REPEATED {
            said = talk(chance);
        }
        messages.push(Message { second, member, text: said.clone() });
    }
    messages.sort_by_key(|message| message.second);
    let mut placed: Vec<(u64, Value)> = messages.iter().enumerate().map(|(place, _)| line(plan, day, first, place, &messages, chance)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, line)| line).collect()
}

fn check_ins(plan: &Plan, chance: &mut Chance) -> Vec<Message> {
    let mut messages = Vec::new();
    for member in 0..plan.members {
        let times = u64::from(chance.below(100) < CHECKS_IN) * (1 + u64::from(chance.below(100) < CHECKS_IN_TWICE));
        for _ in 0..times {
            messages.push(Message { second: chance.between(6 * 3600, 10 * 3600), member, text: (*chance.of(&CHECK_INS)).into() });
        }
    }
    messages
}

fn talk(chance: &mut Chance) -> String {
    if chance.below(5) == 0 {
        return (*chance.of(&SHORT)).into();
    }
    format!("{}{}{}{}", chance.of(&OPENINGS), chance.between(3, 60), chance.of(&MIDDLES), chance.of(&ENDINGS))
}

/// A line and its place among the others.
fn line(plan: &Plan, day: u64, first: usize, place: usize, messages: &[Message], chance: &mut Chance) -> (u64, Value) {
    let message = &messages[place];
    let is_recall = place > 0 && chance.below(1000) < RECALLED;
    // Who takes back takes back what was said just before.
    let member = if is_recall { messages[place - 1].member } else { message.member };
    let mut line = json!({
        "id": format!("t-{}", first + place),
        "at": at(plan.from, day, message.second),
        "corp": "acme",
        "group": format!("wrTalk{}", member % plan.groups + 1),
        "member": id(member),
        "name": name(member),
    });
    if is_recall {
        line["recalled"] = json!({ "of": format!("t-{}", first + place - 1) });
    } else if chance.below(1000) < WITH_PICTURE {
        line["said"] = json!({ "text": message.text, "images": 1 });
    } else {
        line["said"] = json!({ "text": message.text });
    }
    let late = if chance.below(1000) < LATE { chance.below(LATE_LINES_MAX) } else { 0 };
    (place as u64 + late, line)
}

fn at(from: Date, day: u64, second: u64) -> String {
    let day = from.saturating_add((day as i64).days());
    format!("{day}T{:02}:{:02}:{:02}+08:00", second / 3600, second / 60 % 60, second % 60)
}

/// The outside id of a member.
pub fn id(member: u64) -> String {
    match member {
        0 => "aming".into(),
        1 => "xiaohong".into(),
        other => format!("member{other:05}"),
    }
}

fn name(member: u64) -> String {
    match member {
        0 => "阿明".into(),
        1 => "小红".into(),
        other => format!("小{}{}", SURNAMES[other as usize % SURNAMES.len()], other),
    }
}

/// SplitMix64: chance that comes again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, from: u64, until: u64) -> u64 {
        from + self.below(until - from)
    }

    fn of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len() as u64) as usize]
    }
}
