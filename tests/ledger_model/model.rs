//! The model: what an account holds, lot by lot, as plainly as it can be written.

use std::collections::{BTreeMap, BTreeSet};

/// A rule of the test's rules.toml: what it pays, how long that waits and lives, how much of it a week has.
pub struct Rule {
    pub word: &'static str,
    pub points: i64,
    pub hold: Option<i64>,
    pub expires: Option<i64>,
    pub week_most: i64,
}

pub const RULES: [Rule; 4] = [
    Rule { word: "签到", points: 7, hold: None, expires: Some(10), week_most: i64::MAX },
    Rule { word: "打卡", points: 5, hold: Some(3), expires: Some(10), week_most: 9 },
    Rule { word: "早起", points: 3, hold: None, expires: Some(2), week_most: i64::MAX },
    Rule { word: "晚安", points: 2, hold: Some(6), expires: None, week_most: i64::MAX },
];

/// The rules.toml that says the same.
pub const RULES_TOML: &str = r#"
[check_in]
daily = { keywords = ["签到"], points = 7 }
held = { keywords = ["打卡"], points = 5, hold = "3d", max_points = { week = 9 } }
short = { keywords = ["早起"], points = 3, expires = "2d" }
kept = { keywords = ["晚安"], points = 2, hold = "6d", expires = "never" }

[campaign.main]
expires = "10d"
grace = "4d"
"#;

/// Something done with an account.
#[derive(Debug, Clone)]
pub enum Act {
    /// A message with a rule's word, sent on a day at a second, and whether it arrives twice.
    Said { id: u64, day: i64, second: i64, rule: usize, doubled: bool },
    /// That message is taken back.
    Recalled { id: u64 },
    /// So many points are taken.
    Spent { id: u64, amount: i64 },
}

/// When points may be spent, and when they are gone.
pub type Bucket = (Option<i64>, Option<i64>);

#[derive(Default)]
pub struct Model {
    /// What is in each bucket.
    pub lots: BTreeMap<Bucket, i64>,
    /// What expired of the lots that were gone on a day.
    pub expired: BTreeMap<i64, i64>,
    /// Messages that count, by rule and day.
    said: BTreeMap<(usize, i64), BTreeSet<u64>>,
    /// What is paid, by rule and day.
    paid: BTreeMap<(usize, i64), i64>,
    /// Every message there was.
    pub messages: Vec<(u64, usize, i64)>,
    pub acts: u64,
}

fn bucket(rule: usize, day: i64) -> Bucket {
    let rule = &RULES[rule];
    let vests = rule.hold.map(|hold| day + hold);
    (vests, rule.expires.map(|days| vests.unwrap_or(day) + days))
}

impl Model {
    /// A day begins; whether something is to be booked for it.
    pub fn begins(&mut self, day: i64) -> bool {
        let before = (self.lots.clone(), self.expired.clone());
        self.vest(day);
        let vested = self.lots.clone();
        self.expire(day);
        self.lots.retain(|_, amount| *amount != 0);
        (vested, before.1) != (self.lots.clone(), self.expired.clone())
    }

    /// Does it; whether it arrives twice.
    pub fn does(&mut self, day: i64, act: &Act) -> bool {
        self.acts += 1;
        match act {
            Act::Said { id, day: said_on, rule, doubled, .. } => {
                self.messages.push((*id, *rule, *said_on));
                self.said.entry((*rule, *said_on)).or_default().insert(*id);
                self.pay(*rule);
                self.vest(day);
                return *doubled;
            }
            Act::Recalled { id } => {
                let (_, rule, said_on) = *self.messages.iter().find(|(other, _, _)| other == id).expect("it was said");
                self.said.entry((rule, said_on)).or_default().remove(id);
                self.pay(rule);
                self.vest(day);
            }
            Act::Spent { amount, .. } => self.spend(*amount, day),
        }
        false
    }

    /// Pays what the messages of a rule are worth, day by day, and takes back what they are not.
    fn pay(&mut self, rule: usize) {
        let mut week: BTreeMap<i64, i64> = BTreeMap::new();
        for ((of, day), messages) in &self.said {
            if *of != rule {
                continue;
            }
            // Day 0 is a Monday.
            let used = week.entry(day.div_euclid(7)).or_default();
            let worth = if messages.is_empty() { 0 } else { RULES[rule].points.min(RULES[rule].week_most - *used) };
            *used += worth;
            let paid = self.paid.entry((rule, *day)).or_default();
            *self.lots.entry(bucket(rule, *day)).or_default() += worth - *paid;
            *paid = worth;
        }
        self.lots.retain(|_, amount| *amount != 0);
    }

    /// What has vested is like what never waited.
    fn vest(&mut self, day: i64) {
        for ((vests, gone), amount) in std::mem::take(&mut self.lots) {
            *self.lots.entry((vests.filter(|vests| *vests > day), gone)).or_default() += amount;
        }
        self.lots.retain(|_, amount| *amount != 0);
    }

    pub fn spendable(&self, day: i64) -> i64 {
        let counts = |((vests, gone), amount): (&Bucket, &i64)| *amount < 0 || (vests.is_none_or(|vests| vests <= day) && gone.is_none_or(|gone| gone > day));
        self.lots.iter().filter(|(bucket, amount)| counts((bucket, amount))).map(|(_, amount)| amount).sum()
    }

    pub fn balance(&self) -> i64 {
        self.lots.values().sum()
    }

    /// The lots that may be spent, what is gone soonest first.
    fn live(&self, day: i64) -> Vec<Bucket> {
        let mut live: Vec<Bucket> = self.lots.iter().filter(|(_, amount)| **amount > 0).map(|(bucket, _)| *bucket).collect();
        live.retain(|(vests, gone)| vests.is_none_or(|vests| vests <= day) && gone.is_none_or(|gone| gone > day));
        live.sort_by_key(|(_, gone)| gone.unwrap_or(i64::MAX));
        live
    }

    /// From what is gone soonest.
    fn spend(&mut self, amount: i64, day: i64) {
        self.vest(day);
        let mut left = amount;
        for bucket in self.live(day) {
            let lot = self.lots.get_mut(&bucket).expect("it is there");
            let taken = left.min(*lot);
            *lot -= taken;
            left -= taken;
        }
        assert_eq!(left, 0, "there was enough");
        self.lots.retain(|_, amount| *amount != 0);
    }

    fn expire(&mut self, day: i64) {
        // Owed by nobody: what was clawed back after it had expired.
        for ((_, gone), amount) in &mut self.lots {
            let expired = gone.and_then(|gone| self.expired.get_mut(&gone));
            if let (true, Some(expired)) = (*amount < 0, expired) {
                let forgiven = (*expired).min(-*amount);
                *amount += forgiven;
                *expired -= forgiven;
            }
        }
        let is_gone = |bucket: &Bucket| bucket.1.is_some_and(|gone| gone <= day);
        let mut going: Vec<Bucket> = self.lots.keys().copied().filter(&is_gone).collect();
        going.sort_by_key(|(_, gone)| *gone);
        // What goes pays what is owed first.
        for from in &going {
            self.pay_debts(*from, |_| true);
        }
        for bucket in &going {
            let lot = self.lots.get_mut(bucket).expect("it is there");
            if *lot > 0 {
                *self.expired.entry(bucket.1.expect("it goes")).or_default() += *lot;
                *lot = 0;
            }
        }
        // What is still owed by lots that are gone is paid from what is left.
        for from in self.live(day) {
            self.pay_debts(from, is_gone);
        }
    }

    fn pay_debts(&mut self, from: Bucket, is_due: impl Fn(&Bucket) -> bool) {
        let mut debts: Vec<Bucket> = self.lots.iter().filter(|(bucket, amount)| **amount < 0 && is_due(bucket)).map(|(bucket, _)| *bucket).collect();
        debts.sort_by_key(|(_, gone)| gone.unwrap_or(i64::MAX));
        for debt in debts {
            let paid = self.lots[&from].min(-self.lots[&debt]).max(0);
            *self.lots.get_mut(&from).expect("it is there") -= paid;
            *self.lots.get_mut(&debt).expect("it is there") += paid;
        }
    }
}
