//! What a history must earn, by a model that is written to be obviously right: one account, in order, everything found by looking back.

use std::collections::HashSet;

const DAY_MILLIS: i64 = 86_400_000;
/// The same words within a day are a copy.
const COPY_MILLIS: i64 = DAY_MILLIS;

/// The numbers of one version of the rules, for one campaign.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Points of a check-in.
    pub daily: i64,
    /// Day in a row and its bonus, ascending; after the last one the count begins again.
    pub streak: Vec<(i64, i64)>,
    /// The rules for talk, in file order.
    pub talk: Vec<Talk>,
    /// Points a day over all talk that is in the bucket.
    pub bucket_day: Option<i64>,
    /// Points a day over everything.
    pub campaign_day: Option<i64>,
}

/// One rule for talk.
#[derive(Debug, Clone)]
pub struct Talk {
    pub code: &'static str,
    pub points: i64,
    pub min_chars: usize,
    pub cool_down_secs: i64,
    pub day: i64,
    pub week: Option<i64>,
    pub is_in_bucket: bool,
}

/// What was said, as far as rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    CheckIn,
    Talk(&'static str),
}

/// A message that counts: neither recalled nor lost.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    pub id: usize,
    /// Milliseconds since 1970, shifted so that business days begin at multiples of a day.
    pub at: i64,
    /// Orders messages of one instant.
    pub order: u64,
    pub words: Words,
    /// The version it is decided under.
    pub terms: &'a Terms,
}

/// What one message earned by one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub id: usize,
    pub code: &'static str,
    pub at: i64,
    pub points: i64,
    words: Words,
    is_in_bucket: bool,
}

fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MILLIS)
}

/// Weeks begin on Monday; 1970-01-01 was a Thursday.
fn week(at: i64) -> i64 {
    (day(at) + 3).div_euclid(7)
}

/// What the messages of one account earn.
pub fn expected(account: &[Said<'_>]) -> Vec<Paid> {
    let mut said: Vec<&Said<'_>> = account.iter().collect();
    said.sort_by_key(|said| (said.at, said.order));
    let (mut paid, mut checked_in) = (Vec::new(), HashSet::new());
    for said in said {
        match said.words {
            Words::CheckIn => check_in(said, &mut checked_in, &mut paid),
            Words::Talk(text) => said.terms.talk.iter().for_each(|rule| talk(said, text, rule, &mut paid)),
        }
    }
    paid
}

fn check_in(said: &Said<'_>, checked_in: &mut HashSet<i64>, paid: &mut Vec<Paid>) {
    const CODE: &str = "check_in.daily";
    let (today, terms) = (day(said.at), said.terms);
    if paid.iter().any(|paid| paid.code == CODE && day(paid.at) == today) {
        return;
    }
    let in_a_row = 1 + (1..).take_while(|back| checked_in.contains(&(today - back))).count() as i64;
    let top = terms.streak.last().map_or(in_a_row, |(day, _)| *day);
    let rung = terms.streak.iter().find(|(day, _)| *day == (in_a_row - 1) % top + 1);
    let bonus = if checked_in.contains(&today) { 0 } else { rung.map_or(0, |(_, bonus)| *bonus) };
    checked_in.insert(today);
    let points = (terms.daily + bonus).min(room(terms.campaign_day, paid, |paid| day(paid.at) == today));
    if points > 0 {
        paid.push(Paid { id: said.id, code: CODE, at: said.at, points, words: said.words, is_in_bucket: false });
    }
}

fn talk(said: &Said<'_>, text: &'static str, rule: &Talk, paid: &mut Vec<Paid>) {
    let (today, terms) = (day(said.at), said.terms);
    let is_too_short = text.chars().count() < rule.min_chars;
    let is_too_plain = text.chars().collect::<HashSet<_>>().len() < 2;
    let is_copied = paid.iter().any(|paid| paid.code == rule.code && paid.words == said.words && said.at - paid.at < COPY_MILLIS);
    let is_too_soon = paid.iter().any(|paid| paid.code == rule.code && said.at - paid.at < rule.cool_down_secs * 1000);
    if is_too_short || is_too_plain || is_copied || is_too_soon {
        return;
    }
    let rooms = [
        room(Some(rule.day), paid, |paid| paid.code == rule.code && day(paid.at) == today),
        room(rule.week, paid, |paid| paid.code == rule.code && week(paid.at) == week(said.at)),
        room(terms.bucket_day.filter(|_| rule.is_in_bucket), paid, |paid| paid.is_in_bucket && day(paid.at) == today),
        room(terms.campaign_day, paid, |paid| day(paid.at) == today),
    ];
    let points = rooms.into_iter().fold(rule.points, i64::min);
    if points > 0 {
        paid.push(Paid { id: said.id, code: rule.code, at: said.at, points, words: said.words, is_in_bucket: rule.is_in_bucket });
    }
}

/// What a cap leaves after what was paid under it.
fn room(most: Option<i64>, paid: &[Paid], is_under_it: impl Fn(&Paid) -> bool) -> i64 {
    let used: i64 = paid.iter().filter(|paid| is_under_it(paid)).map(|paid| paid.points).sum();
    most.map_or(i64::MAX, |most| most - used)
}
