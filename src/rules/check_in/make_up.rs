//! Make-up cards (补签): points spent to join a missed day to a run. The day pays nothing and is not counted; it only joins what stands
//! before it to what comes after. Whatever was bought stands, also when the real check-in of that day arrives later.
//!
//! ```text
//! said = word [day]           补签 · 补签 昨天 · 补签 11-20 · 补签 11 月 20 日 · 补签 20 号
//! ```

use jiff::civil::Date;

use crate::model::cells::{CodeState, MADE_UP};
use crate::model::day::{Day, PeriodKind};
use crate::model::decision::{Args, Mark, Refusal};
use crate::model::purchase::NotBought;
use crate::rules::campaign::{Common, Mode};
use crate::rules::cap::Limits;
use crate::rules::check_in::{MakeUpTable, RULE_POINTS_MAX};
use crate::rules::mistake::Mistakes;
use crate::rules::table::RuleTable;
use crate::rules::text::{Folded, fold};
use crate::rules::wording::days_in_words;
use crate::rules::words::{How, Listen};
use crate::rules::{Hearing, Offer, Own, Rule};

/// What making up costs.
#[derive(Debug, Clone)]
pub struct Terms {
    words: Vec<Listen>,
    /// Points a day.
    pub price: i64,
    /// How many days back.
    pub days: u32,
    max_times: Vec<(PeriodKind, i64)>,
}

impl Terms {
    /// Reads the table. Notes what does not make sense.
    pub fn read(table: &RuleTable<'_>, keys: &MakeUpTable, mistakes: &mut Mistakes) -> Option<Terms> {
        let span = |key: &str| table.span_within("make_up", key);
        let Some(price) = keys.price.filter(|price| (0..=RULE_POINTS_MAX).contains(price)) else {
            mistakes.error(span("price"), "missing-key", "make_up 要写一天几分,例如 make_up = { price = 20 }(0 是不收)");
            return None;
        };
        let words: Vec<Listen> = keys.keywords.iter().map(|text| Listen { text: text.clone(), how: How::Equals }).collect();
        for reason in words.iter().filter_map(|listen| listen.check().err()) {
            mistakes.error(span("keywords"), "bad-keyword", reason);
        }
        let mut max_times = Vec::new();
        for (period, most) in &keys.max_times {
            match PERIODS.iter().find(|(name, _)| name == period).filter(|_| *most >= 1) {
                Some((_, kind)) => max_times.push((*kind, *most)),
                None => mistakes.error(span("max_times"), "bad-limit", "make_up.max_times 要写 day、week、month 或 ever = 最多几次,例如 { month = 2 }"),
            }
        }
        Some(Terms { words, price, days: keys.days.clamp(1, DAYS_MAX), max_times })
    }

    /// The shared keys of the rule that sells it: those of its check-in, open all day.
    pub fn common(&self, own: &Common) -> Common {
        let title = if &*own.title == "签到" { "补签".into() } else { format!("{}补签", own.title).into() };
        let limits = Limits { max_times: self.max_times.clone(), max_points: Vec::new() };
        // In shadow nothing is spent, so nothing is sold.
        let mode = if own.mode == Mode::Live { Mode::Live } else { Mode::Off };
        Common { title, limits, mode, when: None, bucket: None, budget: None, reply: None, ..own.clone() }
    }
}

/// Periods of `make_up.max_times`.
const PERIODS: [(&str, PeriodKind); 4] = [("day", PeriodKind::Day), ("week", PeriodKind::Week), ("month", PeriodKind::Month), ("ever", PeriodKind::Ever)];

/// Days back at most: as long as a late message may still be decided in order.
const DAYS_MAX: u32 = 31;

/// The rule that sells make-up cards, beside its check-in: `check_in.daily.make_up`.
#[derive(Debug)]
pub struct MakeUp {
    terms: Terms,
    /// Its words, folded.
    folded: Vec<Folded>,
}

impl MakeUp {
    /// The rule of these terms.
    pub fn new(terms: Terms) -> Self {
        let folded = terms.words.iter().map(|listen| fold(&listen.text)).collect();
        MakeUp { terms, folded }
    }

    /// What stands behind the word.
    fn behind<'t>(&self, text: &'t str) -> Option<&'t str> {
        let behind = self.folded.iter().filter_map(|word| text.rfind(word.as_str()).map(|at| &text[at + word.as_str().len()..]));
        behind.min_by_key(|rest| rest.len()).map(|rest| rest.split('@').next().unwrap_or_default())
    }

    /// The day to make up, and how many missed days before it keep the run apart still.
    fn gap(&self, days: &Days<'_>, today: Day, named: Option<Day>) -> Result<(Day, u32), NotBought> {
        let oldest = today.plus(-(self.terms.days as i32));
        let is_missed = |day: Day| day < today && !days.has(day);
        let day = match named {
            Some(day) if !is_missed(day) => return Err(NotBought::NotMissed(day)),
            Some(day) if day < oldest => return Err(NotBought::TooFar { days: self.terms.days }),
            Some(day) => day,
            None => (oldest.0..today.0).rev().map(Day).find(|day| is_missed(*day)).ok_or(NotBought::NothingMissed)?,
        };
        let before = (0..).map(|back| day.plus(-back - 1)).take_while(|day| *day >= oldest && is_missed(*day)).count() as u32;
        let joined = day.plus(-(before as i32) - 1);
        match days.has(joined) {
            true => Ok((day, before)),
            false if days.is_empty() => Err(NotBought::NothingMissed),
            false => Err(NotBought::TooFar { days: self.terms.days }),
        }
    }
}

impl Rule for MakeUp {
    fn listens_for(&self) -> &[Listen] {
        &self.terms.words
    }

    fn has_ears(&self) -> bool {
        true
    }

    fn hears(&self, text: &Folded, day: Day, _is_open: bool) -> bool {
        let text = text.as_str();
        let rest = self.folded.iter().find_map(|word| text.strip_prefix(word.as_str()));
        rest.is_some_and(|rest| !rest.is_empty() && named(rest, day).is_some())
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        hearing.matched && hearing.event.said().is_some()
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let text = hearing.event.said().map(|said| fold(&said.text)).unwrap_or_default();
        let rest = self.behind(text.as_str()).unwrap_or_default();
        let code = hearing.rule.code.strip_suffix(MADE_UP).unwrap_or(&hearing.rule.code);
        let state = |code: &str| own.all().and_then(|state| state.code(code));
        let days = Days { real: state(code), made: own.code(), also: None };
        let (day, before) = self.gap(&days, hearing.day, named(rest, hearing.day)).map_err(Refusal::NotBought)?;
        let joined = Days { also: Some(day), ..days };
        let last = if joined.has(hearing.day) { hearing.day } else { hearing.day.plus(-1) };
        let args = Args::default()
            .text("日期", days_in_words(&[day]))
            .int("花费", self.terms.price)
            .int("连续", i64::from(joined.until(last).count))
            .int("还缺", i64::from(before));
        let marks = vec![Mark::Day { key: "".into(), day }];
        Ok(Offer { points: -self.terms.price, marks, args, ..Offer::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        let (word, days) = (self.terms.words.first().map_or("补签", |listen| &listen.text), self.terms.days);
        let price = if self.terms.price == 0 { "不花积分".to_owned() } else { format!("一天 {} {points_name}", self.terms.price) };
        format!("漏签了发「{word}」补最近漏的一天,{price},最多补 {days} 天以内的;补的那天不得分也不算天数,只把连签接上")
    }

    fn most(&self) -> i64 {
        0
    }

    fn announces(&self) -> bool {
        true
    }

    fn sells(&self) -> bool {
        true
    }
}

/// A check-in's days: those checked in, and those made up between them.
#[derive(Debug, Clone, Copy)]
pub struct Days<'a> {
    real: Option<&'a CodeState>,
    made: Option<&'a CodeState>,
    /// One that is being made up.
    also: Option<Day>,
}

/// Days in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stretch {
    /// How many were checked in.
    pub count: u32,
    /// The first of them.
    pub first: Option<Day>,
}

impl<'a> Days<'a> {
    /// Those of the check-in that asks.
    pub fn of(own: Own<'a>) -> Self {
        Days { real: own.code(), made: own.part(MADE_UP), also: None }
    }

    /// Whether a day was checked in.
    pub fn is_real(&self, day: Day) -> bool {
        self.real.is_some_and(|state| state.has_day(day))
    }

    /// Whether a day was made up.
    pub fn is_made(&self, day: Day) -> bool {
        self.also == Some(day) || self.made.is_some_and(|state| state.has_day(day))
    }

    fn has(&self, day: Day) -> bool {
        self.is_real(day) || self.is_made(day)
    }

    fn is_empty(&self) -> bool {
        self.real.is_none_or(|state| state.runs.is_empty())
    }

    /// The days in a row that end with `day`: those checked in count, those made up join.
    pub fn until(&self, day: Day) -> Stretch {
        let (mut stretch, mut day) = (Stretch::default(), day);
        loop {
            let run = self.real.map_or(0, |state| state.days_in_a_row_until(day));
            if run > 0 {
                stretch.count += run;
                day = day.plus(-(run as i32));
                stretch.first = Some(day.plus(1));
            } else if self.is_made(day) {
                day = day.plus(-1);
            } else {
                return stretch;
            }
        }
    }

    /// How many days before `since` are joined by now to the stretch that ends with `day` and began with `since` when it was looked at last;
    /// `None` when it begins there still, or another one ends here.
    pub fn joined(&self, day: Day, since: Day) -> Option<u32> {
        let stretch = self.until(day);
        (stretch.first? < since && since <= day).then(|| self.until(since.plus(-1)).count).filter(|before| *before > 0)
    }
}

/// The day that is named behind the word: the last one so called that is not after `today`.
fn named(text: &str, today: Day) -> Option<Day> {
    let back = [("今天", 0), ("昨天", 1), ("前天", 2), ("大前天", 3)].iter().find(|(name, _)| *name == text);
    if let Some((_, back)) = back {
        return Some(today.plus(-back));
    }
    let numbers: Vec<&str> = text.split(['-', '/', '.', '年', '月', '日', '号']).filter(|part| !part.is_empty()).collect();
    let is_date = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | '.' | '年' | '月' | '日' | '号'));
    let numbers: Vec<i16> = numbers.iter().map(|number| number.parse().ok()).collect::<Option<_>>().filter(|_| is_date)?;
    let date = today.date();
    let of = |year: i16, month: i16, day: i16| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
    let past = |found: Option<Date>, earlier: Option<Date>| found.filter(|found| *found <= date).or(earlier);
    let found = match numbers[..] {
        [day] if text.ends_with(['日', '号']) => {
            let month = date.first_of_month().yesterday().ok()?;
            past(of(date.year(), date.month().into(), day), of(month.year(), month.month().into(), day))
        }
        [month, day] => past(of(date.year(), month, day), of(date.year() - 1, month, day)),
        [year, month, day] => of(year, month, day),
        _ => None,
    };
    found.map(Day::of)
}
