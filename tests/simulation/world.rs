//! A world from a seed: corps, groups, members, rules, what is said and taken back, and when each word of it arrives.

use std::sync::Arc;

use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, KeyBytes};
use jifen::rules::campaign::Rules;
use jifen::rules::file;

use crate::naive::{Talk, Terms, Words};
use crate::rng::Rng;

/// One line switches on messages that arrive by two channels (the twin check of the pipeline).
pub const TWINS: bool = true;

/// Monday 2026-11-16 00:00 in Shanghai.
const MONDAY: Millis = Millis(1_794_758_400_000);
const SHANGHAI_SECS: i64 = 8 * 3600;
const DAY_SECS: i64 = 86_400;

pub const CORPS: [&str; 2] = ["acme", "globex"];
/// Heard by the archive, answered by a group robot.
pub const INNER: &str = "wrInner";
/// Heard by the archive; asked by its AI bot.
pub const VIPS: [&str; 2] = ["wrVipOne", "wrVipTwo"];
/// Customers; nothing can be said there.
pub const CUSTOMERS: &str = "wrCustomers";
/// Where people talk; `None` is the single chat with the app.
const CHATS: [Option<&str>; 5] = [None, Some(INNER), Some(VIPS[0]), Some(VIPS[1]), Some(CUSTOMERS)];
/// 阿明 and 小红, as employees and as customers.
const MEMBERS: [&str; 4] = ["aming", "xiaohong", "wmAming0123456789012345678901234", "wmXiaohong0123456789012345678901"];

const TALK: [&str; 8] =
    ["今天骑了二十公里", "明天一起去爬山吧", "这本书读完了真好", "晚上八点准时开始", "路上的风景好看", "明天下雨吗", "刚到家", "哈哈哈哈哈哈"];
const QUESTIONS: [&str; 7] = ["积分", "今天", "排行", "为什么", "明细", "规则", "帮助"];

/// A version of rules.toml, and its numbers for the model.
pub struct Version {
    pub rules: Arc<Rules>,
    pub main: Terms,
    pub vip: Terms,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    pub corp: &'static str,
    pub member: &'static str,
    /// `None`: a single chat with the app.
    pub chat: Option<&'static str>,
    pub at: Millis,
    pub text: &'static str,
    /// The assistant is spoken to.
    pub asked: bool,
    pub channel: Channel,
    /// When its writer took it back, if so.
    pub taken_back_at: Option<Millis>,
}

/// What arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Which message.
    pub message: usize,
    /// It is the news that the message was taken back.
    pub takes_back: bool,
    /// By the message's second channel.
    pub is_twin: bool,
    /// Attempts that were not answered 200.
    pub failed: u32,
}

/// The world.
pub struct World {
    pub versions: Vec<Version>,
    /// Seconds after midnight at which business days begin.
    pub day_starts_secs: i64,
    pub messages: Vec<Message>,
    /// When each first attempt arrives, in order.
    pub arrivals: Vec<(Millis, Delivery)>,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed, 1);
        let day_starts_secs = rng.pick(&[0, 0, 4 * 3600]);
        let versions = (0..rng.range(1, 4)).map(|_| version(&mut rng, day_starts_secs)).collect();
        let days = rng.pick(&[4, 7, 10, 14, 80]);
        let messages = messages(&mut rng, days);
        let arrivals = arrivals(&mut rng, &messages);
        World { versions, day_starts_secs, messages, arrivals }
    }

    /// Milliseconds to add so that business days begin at multiples of a day.
    pub fn shift_millis(&self) -> i64 {
        (SHANGHAI_SECS - self.day_starts_secs) * 1000
    }

    /// The event that a delivery tells.
    pub fn event(&self, delivery: Delivery, received_at: Millis) -> Event {
        let message = &self.messages[delivery.message];
        let channel = message.channel_of(delivery);
        let taken_back_at = message.taken_back_at.filter(|_| delivery.takes_back);
        let kind = match taken_back_at {
            Some(_) => Kind::Recalled { of: message_key(delivery) },
            None => Kind::Said(Said { text: message.written(), at_assistant: message.asked && channel == Channel::Aibot, ..Said::default() }),
        };
        Event {
            key: EventKey { source: message.source(channel), key: message_key(delivery) },
            corp: message.corp.into(),
            // An AI bot's callback tells no time.
            at: if channel == Channel::Aibot { received_at } else { taken_back_at.unwrap_or(message.at) },
            received_at,
            clamped: false,
            place: message.place(),
            who: Some(message.identity()),
            name: None,
            via: Via { channel, name: channel.as_str().into(), reply_url: (channel == Channel::Aibot).then(|| reply_url(delivery.message)) },
            kind,
        }
    }
}

/// The one-call address that a message to the AI bot leaves.
fn reply_url(message: usize) -> Arc<str> {
    format!("https://api.test/cgi-bin/aibot/response?response_code={message}").into()
}

fn message_key(delivery: Delivery) -> KeyBytes {
    KeyBytes::of(&(delivery.message + 1).to_string())
}

impl Message {
    fn channel_of(&self, delivery: Delivery) -> Channel {
        if delivery.is_twin { Channel::Archive } else { self.channel }
    }

    fn source(&self, channel: Channel) -> Arc<str> {
        format!("{}/{}/1", self.corp, channel.as_str()).into()
    }

    /// The key a message, or the news that it was taken back, is kept under.
    pub fn kept_under(&self, delivery: Delivery) -> EventKey {
        let source = self.source(self.channel_of(delivery));
        let source = if delivery.takes_back { format!("recall/{source}").into() } else { source };
        EventKey { source, key: message_key(delivery) }
    }

    /// Whether people wrote to the assistant: by an @, or in a single chat.
    pub fn is_owed_an_answer(&self) -> bool {
        self.asked || self.chat.is_none()
    }

    /// Its text with the @ that was typed.
    fn written(&self) -> String {
        if self.asked { format!("@积分助手 {}", self.text) } else { self.text.to_owned() }
    }

    fn place(&self) -> Place {
        let Some(chat) = self.chat else { return Place::Single };
        let kind = if chat == CUSTOMERS { GroupKind::Customer } else { GroupKind::Internal };
        Place::Group { chat: chat.into(), kind, title: None }
    }

    fn identity(&self) -> Identity {
        Identity::from_wecom(self.member)
    }

    /// Whether rules pay this member here: employees earn nothing among customers.
    pub fn may_earn(&self) -> bool {
        self.chat != Some(CUSTOMERS) || self.identity().kind == IdentityKind::External
    }

    /// Whether it belongs to the campaign of the VIP groups.
    pub fn is_vip(&self) -> bool {
        self.chat.is_some_and(|chat| VIPS.contains(&chat))
    }

    /// Its account: VIP groups keep balances of their own.
    pub fn account(&self) -> (&'static str, &'static str, Option<&'static str>) {
        (self.corp, self.member, self.chat.filter(|_| self.is_vip()))
    }

    /// What the rules care for in it; `None` for questions and for talk where talk does not count.
    pub fn words(&self) -> Option<Words> {
        if self.text == "签到" {
            return Some(Words::CheckIn);
        }
        (!self.is_owed_an_answer() && TALK.contains(&self.text)).then_some(Words::Talk(self.text))
    }
}

fn version(rng: &mut Rng, day_starts_secs: i64) -> Version {
    let main = Terms {
        daily: rng.range(1, 6),
        streak: vec![(3, rng.range(1, 10)), (5, rng.range(1, 20))],
        talk: vec![
            Talk { code: "speaking.talk", points: 1, min_chars: 4, cool_down_secs: 30, day: rng.range(2, 5), week: Some(rng.range(5, 12)), is_in_bucket: true },
            Talk { code: "speaking.deep", points: 2, min_chars: 8, cool_down_secs: 600, day: rng.range(3, 8), week: None, is_in_bucket: true },
        ],
        bucket_day: Some(rng.range(3, 9)),
        campaign_day: Some(rng.range(8, 20)),
    };
    let vip = Terms { daily: rng.range(1, 9), campaign_day: None, ..main.clone() };
    let text = text(&main, &vip, day_starts_secs);
    let (rules, _) = file::load(&text).unwrap_or_else(|mistakes| panic!("the rules are right: {mistakes:#?}\n{text}"));
    Version { rules: Arc::new(rules), main, vip }
}

fn text(main: &Terms, vip: &Terms, day_starts_secs: i64) -> String {
    let (talk, deep) = (&main.talk[0], &main.talk[1]);
    let day_starts = format!("day_starts_at = \"{:02}:00\"", day_starts_secs / 3600);
    format!(
        "[assistant]\nnames = [\"积分助手\"]\nanswer = \"auto\"\n\
         [check_in.daily]\nkeywords = [\"签到\"]\npoints = {}\nstreak = {{ 3 = {}, 5 = {} }}\n\
         [speaking.talk]\npoints = 1\nmin_chars = 4\ncool_down = \"30s\"\nbucket = \"chat\"\nmax_points = {{ day = {}, week = {} }}\n\
         [speaking.deep]\npoints = 2\nmin_chars = 8\ncool_down = \"10m\"\nhold = \"1d\"\nbucket = \"chat\"\nmax_points = {{ day = {} }}\n\
         [bucket.chat]\nmax_points = {{ day = {} }}\n\
         [campaign.vip]\ngroups = [\"wrVipOne\", \"wrVipTwo\"]\nbalance = \"per_group\"\n{day_starts}\n\
         [campaign.vip.check_in.daily]\npoints = {}\n\
         [campaign.main]\ngroups = [\"*\"]\n{day_starts}\nmax_points = {{ day = {} }}\nexpires = \"{}d\"\n",
        main.daily,
        main.streak[0].1,
        main.streak[1].1,
        talk.day,
        talk.week.unwrap_or_default(),
        deep.day,
        main.bucket_day.unwrap_or_default(),
        vip.daily,
        main.campaign_day.unwrap_or_default(),
        // Some days, so that points go while messages still come late.
        main.daily,
    )
}

/// People meet now and then, for some minutes, over days or weeks; in some worlds few people in few chats, in others all. Now and then
/// more ask at once than a robot may answer in a minute.
fn messages(rng: &mut Rng, days: i64) -> Vec<Message> {
    let corps = &CORPS[..rng.range(1, 3) as usize];
    let chats = rng.pick(&[&CHATS[..], &CHATS[..2], &CHATS[2..4], &CHATS[1..]]);
    let mut messages = Vec::new();
    for _ in 0..rng.range(8, 30) {
        let begins = rng.range(0, days) * DAY_SECS + rng.range(0, 24 * 12) * 300;
        let lasts_secs = rng.pick(&[20, 120, 900]);
        for _ in 0..rng.range(2, 12) {
            let at = Millis(MONDAY.0 + (begins + rng.range(0, lasts_secs)) * 1000);
            let (corp, chat) = (rng.pick(corps), rng.pick(chats));
            messages.push(message(rng, corp, chat, at));
        }
    }
    if rng.once_in_a_while(200) {
        let begins = rng.range(0, days) * DAY_SECS;
        for _ in 0..rng.range(30, 60) {
            let at = Millis(MONDAY.0 + (begins + rng.range(0, 40)) * 1000);
            messages.push(Message { text: "帮助", asked: true, ..message(rng, CORPS[0], Some(INNER), at) });
        }
    }
    messages.sort_by_key(|message| message.at);
    messages
}

fn message(rng: &mut Rng, corp: &'static str, chat: Option<&'static str>, at: Millis) -> Message {
    let members: &[&'static str] = if chat == Some(CUSTOMERS) { &MEMBERS[..] } else { &MEMBERS[..2] };
    let asked = chat.is_some_and(|chat| chat != CUSTOMERS) && rng.once_in_a_while(250);
    let text = match rng.range(0, 10) {
        0..4 => "签到",
        4..8 => rng.pick(&TALK),
        _ => rng.pick(&QUESTIONS),
    };
    let channel = match chat {
        None => Channel::App,
        Some(chat) if asked && VIPS.contains(&chat) => Channel::Aibot,
        Some(_) => Channel::Archive,
    };
    let taken_back_at = rng.once_in_a_while(120).then(|| at.plus_secs(rng.pick(&[1, 60, 120, 3_600, 86_400])));
    Message { corp, member: rng.pick(members), chat, at, text, asked, channel, taken_back_at }
}

/// Most arrive at once, some late, some twice, a few are taken back; late ones overtake each other.
fn arrivals(rng: &mut Rng, messages: &[Message]) -> Vec<(Millis, Delivery)> {
    let mut arrivals = Vec::new();
    for (number, message) in messages.iter().enumerate() {
        let said = Delivery { message: number, takes_back: false, is_twin: false, failed: 0 };
        let copies = if rng.once_in_a_while(200) { rng.range(2, 5) } else { 1 };
        for _ in 0..copies {
            arrivals.push((message.at.plus_secs(delay_secs(rng)), said));
        }
        if TWINS && message.channel == Channel::Aibot {
            arrivals.push((message.at.plus_secs(delay_secs(rng)), Delivery { is_twin: true, ..said }));
        }
        // A bot is told of no recall; the archive is.
        let is_twin = message.channel == Channel::Aibot;
        if let Some(at) = message.taken_back_at.filter(|_| TWINS || !is_twin) {
            arrivals.push((at.plus_secs(delay_secs(rng)), Delivery { takes_back: true, is_twin, ..said }));
        }
    }
    arrivals.sort_by_key(|(at, delivery)| (*at, delivery.message));
    arrivals
}

fn delay_secs(rng: &mut Rng) -> i64 {
    match rng.range(0, 100) {
        0..80 => rng.range(0, 3),
        80..88 => rng.range(0, 600),
        88..95 => rng.range(0, 2 * DAY_SECS),
        95..97 => rng.range(0, 10 * DAY_SECS),
        97..99 => rng.range(0, 40 * DAY_SECS),
        _ => rng.range(34 * DAY_SECS, 60 * DAY_SECS),
    }
}
