//! Four weeks of talk for a new demo, booked as history, so that there is something to try a rule on and nobody begins in an empty room.
//!
//! The people of the page are in it, and some forty without a chip of their own. The same words come every time; only their days follow the clock.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

use crate::demo::page::ZONE;
use crate::demo::scene::external_userid;
use crate::demo::tenant::{BOT_TITLE, CORP, CUSTOMER_CHAT, INNER_CHAT, STAFF};
use crate::model::day::Millis;
use crate::model::event::{Channel, Event, GroupKind, Identity, Kind, Picture, Place, Said, Via};
use crate::model::ids::{CorpName, EventKey, KeyBytes};
use crate::pipeline::command::Operators;
use crate::pipeline::{Pipeline, Silent, Work};
use crate::rules::campaign::Rules;
use crate::scheduler::{Scheduler, catch_up};
use crate::store::sqlite::{SqliteReader, SqliteStore};
use crate::store::vault::Vault;

/// Days of talk, the day of the start not counted.
pub const DAYS: i64 = 28;
/// What the groups are called.
pub const INNER_TITLE: &str = "产品内测群";
/// As `INNER_TITLE`.
pub const CUSTOMER_TITLE: &str = "骑行一群";
/// Events decided in one transaction.
const EVENTS_PER_BATCH: usize = 512;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Customers of the riding group, beside those of the page.
const RIDERS: &str =
    "风驰|山猫|老周|阿杰|小鹿|大熊|晓雯|阿宽|南风|老李|豆豆妈|骑士长|小胖|阿珍|木木|海哥|夏天|石头|团子|阿龙|佳佳|老梁|橙子|北北|阿福|小满|单车少年|米粒";
/// Colleagues of the internal group, beside those of the page.
const COLLEAGUES: &str = "陈晨|林夕|赵敏|孙浩|吴迪|郑好|冯雪|高远|何欢|罗兰|宋佳|唐果|许诺|姚远";
/// What the riders talk of in the evening: one of each row.
const TALK: [&str; 3] = [
    "今天从江边骑到大桥|下班绕了一圈滨江道|周末去爬西山|早上骑了二十公里|夜骑刚回来|带孩子在公园骑了一圈|环湖骑到一半下雨了|新换的胎第一次上路",
    "风很大|路上人不多|腿有点酸|心情特别好|遇到好几位群友|顺便买了早点|链条有点响|均速还不错",
    "明天还有人一起吗|大家注意安全|照片晚点发|求推荐头盔|下次换条路线|回来洗车|周六继续|有人要拼单吗",
];
/// What is sent only to be paid.
const FARMED: &str = "哈|1|嗯嗯|好|哈哈哈哈|👍|来了来了|打卡打卡打卡";
const ANSWERED: &str = "收到|好的|路线发我一份|今天不去了,加班|谢谢大家|几点集合?|头盔一定要戴|我也想要一个";
const CHECK_INS: &str = "签到|签到|签到|打卡|簽到!|签到啦";

/// What was booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// Messages, and what was taken back.
    pub events: usize,
    /// People who said something.
    pub people: usize,
}

/// Books the talk of the four weeks before `now` into a new database. Nothing of it is ever sent.
///
/// # Errors
/// The database cannot be made or written.
pub fn book(database: &Path, vault: &Vault, rules: Arc<Rules>, operators: Operators, now: Millis) -> Result<Booked> {
    let store = SqliteStore::open(database, vault)?;
    let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(rules.clone())), vault.fingerprint_key(), Box::new(Silent));
    let mut pipeline = pipeline.with_operators(operators);
    let mut scheduler = Scheduler::new(Box::new(SqliteReader::open(database, vault)?), Channel::Replay);
    scheduler.know_corp(&CorpName::from(CORP));
    let talk = talk(now).context("没有上海的时区")?;
    let mut people: Vec<&str> = talk.iter().filter_map(|event| event.who.as_ref()).map(|who| &*who.value).collect();
    people.sort_unstable();
    people.dedup();
    let booked = Booked { events: talk.len(), people: people.len() };
    let mut due = talk.first().map_or(now, |event| event.received_at);
    let mut works = Vec::new();
    for event in &talk {
        if event.received_at >= due || works.len() == EVENTS_PER_BATCH {
            pipeline.run(&works)?;
            works.clear();
            due = catch_up(&mut pipeline, &mut scheduler, event.received_at, event.received_at)?.unwrap_or(Millis(i64::MAX));
        }
        works.push(Work::Hear(Box::new(pipeline.prepare(&rules, event.clone()))));
    }
    pipeline.run(&works)?;
    catch_up(&mut pipeline, &mut scheduler, now, now)?;
    Ok(booked)
}

/// Everything that was said, in the order it was heard.
fn talk(now: Millis) -> Option<Vec<Event>> {
    let zone = TimeZone::get(ZONE).ok()?;
    let today = now.timestamp().to_zoned(zone.clone()).date();
    let mut writer = Writer { chance: Chance(2_026), zone, events: Vec::new(), numbers: 0 };
    for ago in (0..=DAYS).rev() {
        let day = today.checked_sub(ago.days()).ok()?;
        writer.faces(day, ago);
        RIDERS.split('|').enumerate().for_each(|(number, name)| writer.rider(day, name, number));
        COLLEAGUES.split('|').enumerate().for_each(|(number, name)| writer.colleague(day, name, number));
    }
    let mut events = writer.events;
    events.retain(|event| event.received_at < now);
    events.sort_by_key(|event| event.received_at);
    Some(events)
}

/// Writes what people say.
struct Writer {
    chance: Chance,
    zone: TimeZone,
    events: Vec<Event>,
    numbers: u64,
}

impl Writer {
    /// The people of the page. 阿明 begins anew when a visitor picks him, 小红 stands before the seventh day of her run.
    fn faces(&mut self, day: Date, ago: i64) {
        for (name, comes) in [("阿明", ago > 2 && ago % 4 != 0), ("小红", (1..=6).contains(&ago) || ago > 8), ("阿强", ago % 3 == 1)] {
            let (single, customer) = (Author::colleague(name), Author::customer(name));
            if comes {
                let at = self.at(day, 8 * HOUR, HOUR);
                self.say(&single, Place::Single, at, "签到");
            }
            if comes && ago > 1 && self.chance.percent(60) {
                let at = self.at(day, 7 * HOUR, 2 * HOUR);
                self.say(&customer, riding(), at, "签到");
                self.evening(day, &customer, 2);
            }
        }
        let at = self.at(day, 9 * HOUR, HOUR);
        self.say(&Author::colleague(STAFF), riding(), at, "早上好,今天想骑车的来签到");
    }

    /// A customer: checks in most mornings, talks in the evening; some more than others.
    fn rider(&mut self, day: Date, name: &str, number: usize) {
        let author = Author::customer(name);
        let zeal = 35 + (number as u64 * 37) % 60;
        if self.chance.percent(zeal) {
            let at = self.at(day, 6 * HOUR + 30 * MINUTE, 4 * HOUR);
            self.check_in(&author, riding(), at, number);
        }
        let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        if self.chance.percent(zeal * if weekend { 9 } else { 6 } / 10) {
            let lines = 1 + self.chance.below(if weekend { 7 } else { 4 });
            self.evening(day, &author, lines);
        }
        // Two who sit there and send whatever counts.
        if number % 14 == 3 && self.chance.percent(80) {
            for minute in 0..(6 + self.chance.below(10) as i64) {
                let (at, text) = (self.at(day, 20 * HOUR + 3 * minute * MINUTE, MINUTE), self.chance.of(FARMED));
                self.say(&author, riding(), at, text);
            }
        }
        if weekend && self.chance.percent(zeal / 2) {
            let at = self.at(day, 15 * HOUR, 5 * HOUR);
            self.picture(&author, at, if number.is_multiple_of(2) { "打卡" } else { "骑行打卡" });
        }
    }

    /// A check-in, and what may go wrong with one: said twice, taken back, said otherwise, heard late.
    fn check_in(&mut self, author: &Author, place: Place, at: Millis, number: usize) {
        let word = CHECK_INS.split('|').cycle().nth(number).unwrap_or("签到");
        let key = self.say(author, place.clone(), at, word);
        match self.chance.below(40) {
            0..3 => drop(self.say(author, place, Millis(at.0 + 5 * MINUTE), "签到")),
            3 => self.recall(author, place, Millis(at.0 + MINUTE), key),
            4 => self.events.last_mut().into_iter().for_each(|event| event.received_at = Millis(at.0 + 3 * HOUR)),
            _ => {}
        }
    }

    /// So many lines between 19:30 and 21:30, now and then one that was said before.
    fn evening(&mut self, day: Date, author: &Author, lines: u64) {
        let mut before = String::new();
        for _ in 0..lines {
            let at = self.at(day, 19 * HOUR + 30 * MINUTE, 2 * HOUR);
            let text = match self.chance.below(10) {
                0 if !before.is_empty() => before.clone(),
                0..3 => self.chance.of(ANSWERED).to_owned(),
                _ => TALK.iter().map(|row| self.chance.of(row)).collect::<Vec<_>>().join(","),
            };
            self.say(author, riding(), at, &text);
            before = text;
        }
    }

    /// A colleague mentions the assistant on working days; nothing else is heard there.
    fn colleague(&mut self, day: Date, name: &str, number: usize) {
        let works = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        if works && self.chance.percent(30 + (number as u64 * 29) % 60) {
            let at = self.at(day, 9 * HOUR, 90 * MINUTE);
            self.say(&Author::colleague(name), inner(), at, &format!("@{BOT_TITLE} 签到"));
        }
    }

    fn say(&mut self, author: &Author, place: Place, at: Millis, text: &str) -> KeyBytes {
        let at_assistant = text.contains(&format!("@{BOT_TITLE}"));
        self.tell(author, place, at, Kind::Said(Said { text: text.to_owned(), at_assistant, ..Said::default() }))
    }

    fn picture(&mut self, author: &Author, at: Millis, text: &str) {
        let pictures = vec![Picture::known_as(format!("{}-{}", author.name, self.numbers).as_bytes())];
        self.tell(author, riding(), at, Kind::Said(Said { text: text.to_owned(), images: 1, pictures, ..Said::default() }));
    }

    fn recall(&mut self, author: &Author, place: Place, at: Millis, of: KeyBytes) {
        self.tell(author, place, at, Kind::Recalled { of });
    }

    /// Gives the key it is known by.
    fn tell(&mut self, author: &Author, place: Place, at: Millis, kind: Kind) -> KeyBytes {
        self.numbers += 1;
        let key = KeyBytes::of(&format!("sample-{}", self.numbers));
        self.events.push(Event {
            key: EventKey { source: format!("{CORP}/replay").into(), key },
            corp: CORP.into(),
            at,
            received_at: at,
            clamped: false,
            place,
            who: Some(Identity::from_wecom(&author.id)),
            name: Some(author.name.clone()),
            via: Via { channel: Channel::Replay, ..Via::default() },
            kind,
        });
        key
    }

    /// Some instant from `since` midnight on, within `span`.
    fn at(&mut self, day: Date, since: i64, span: i64) -> Millis {
        let midnight = day.to_zoned(self.zone.clone()).map(|day: Zoned| Millis::from(day.timestamp())).unwrap_or_default();
        Millis(midnight.0 + since + self.chance.below(span as u64) as i64)
    }
}

/// Who says something.
struct Author {
    id: String,
    name: String,
}

impl Author {
    fn colleague(name: &str) -> Author {
        Author { id: name.to_owned(), name: name.to_owned() }
    }

    fn customer(name: &str) -> Author {
        Author { id: external_userid(name), name: name.to_owned() }
    }
}

fn riding() -> Place {
    Place::Group { chat: CUSTOMER_CHAT.into(), kind: GroupKind::Customer, title: Some(CUSTOMER_TITLE.into()) }
}

fn inner() -> Place {
    Place::Group { chat: INNER_CHAT.into(), kind: GroupKind::Internal, title: Some(INNER_TITLE.into()) }
}

/// The same numbers every time (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end.max(1)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, which stand between `|`.
    fn of<'a>(&mut self, texts: &'a str) -> &'a str {
        let count = texts.split('|').count() as u64;
        texts.split('|').nth(self.below(count) as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_talk_is_four_weeks_old_at_most_and_over_when_the_demo_begins() {
        let now = Millis::from("2026-11-22T09:30:00+08:00".parse::<jiff::Timestamp>().unwrap());
        let talk = talk(now).unwrap();
        assert!((2_000..8_000).contains(&talk.len()), "{}", talk.len());
        assert!(talk.iter().all(|event| event.received_at < now && event.at.0 > now.0 - (DAYS + 1) * 24 * HOUR));
        assert!(talk.is_sorted_by_key(|event| event.received_at));
        let today = now.0 - 10 * HOUR;
        assert!(!talk.iter().any(|event| event.at.0 > today && event.who.as_ref().is_some_and(|who| &*who.value == "阿明")), "a visitor's own first check-in");
    }
}
