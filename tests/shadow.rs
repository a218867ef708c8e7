//! Rules on trial: what they say leaves no trace in what is booked and said, and once they are live nothing of the trial is paid.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::act::Act;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Picture, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq};
use jifen::pipeline::{Pipeline, Silent};
use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::scheduler::{Scheduler, catch_up};
use jifen::shadow::{Request, trials};
use jifen::store::Reader;
use jifen::store::memory::MemoryStore;
use proptest::prelude::*;

const LIVE: &str = r#"
    check_in.daily = { keywords = ["签到"], points = 2, streak = { 2 = 3 }, make_up = { price = 1 }, bucket = "all", first = { 1 = 4 } }
    check_in.photo = { keywords = ["晒图"], points = 3, needs = "image" }
    speaking.talk = { points = 1, cool_down = "10s", max_points = { day = 6 }, bucket = "all" }
    event.visit = { points = 5 }
    task.both = { steps = ["check_in.daily", "event.visit"], points = 7 }
    retention.stay = { every = "2d", points = 1 }
    title.star = { title = "之星", period = "week", points = 9 }
    bucket.all = { max_points = { day = 12 } }
    campaign.main = { max_points = { day = 40 }, budget = 300, levels = [{ title = "新手", at = 0 }, { title = "老手", at = 20, factor = "200%" }] }
"#;

/// Beside all that the live rules hear, with everything that could leak: caps, budget, places, proofs, tags, a level, tasks, the clock.
const TRIAL: &str = r#"
    check_in.word = { keywords = ["你好", "签到"], points = 5, bucket = "all", budget = 40, first = { 1 = 8 }, first_only = 3, make_up = { price = 2 }, mode = "shadow" }
    check_in.trial_photo = { keywords = ["晒图"], points = 3, needs = "image", mode = "shadow" }
    speaking.more = { points = 2, min_chars = 1, cool_down = "0s", max_points = { day = 30 }, bucket = "all", near = "50%", mode = "shadow" }
    event.entry = { on = "visit", points = 50, sets = { tags = ["买家", "VIP"], level = "老手" }, mode = "shadow" }
    event.welcome = { on = "joined", points = 6, only = { joined_within = "7d" }, mode = "shadow" }
    task.trial = { steps = ["check_in.word", "event.visit"], points = 11, max_times = { day = 1 }, mode = "shadow" }
    task.ever = { steps = ["check_in.word", "event.entry"], points = 13, mode = "shadow" }
    retention.trial = { every = "1d", points = 2, mode = "shadow" }
"#;

fn loaded(text: &str) -> Arc<Rules> {
    let (rules, _) = file::load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    Arc::new(rules)
}

/// A town of two members under rules that can be changed.
struct Town {
    pipeline: Pipeline<MemoryStore>,
    rules: Arc<ArcSwap<Rules>>,
    reader: Box<dyn Reader>,
    scheduler: Scheduler,
    events: u64,
    now: Millis,
}

impl Town {
    fn new(rules: &str) -> Town {
        let store = MemoryStore::default();
        let (reader, rules) = (store.reader(), Arc::new(ArcSwap::new(loaded(rules))));
        let mut scheduler = Scheduler::new(Box::new(store.reader()), Channel::Replay);
        scheduler.know_corp(&"acme".into());
        let pipeline = Pipeline::new(store, rules.clone(), FingerprintKey::new(b"trial"), Box::new(Silent));
        Town { pipeline, rules, reader: Box::new(reader), scheduler, events: 0, now: Millis(i64::MIN) }
    }

    /// Something happens at a local time such as `11-22 09:00`; the points it brought.
    fn hears(&mut self, at: &str, who: &str, kind: Kind) -> i64 {
        let at = Millis::from(format!("2026-{}:00+08:00", at.replace(' ', "T")).parse::<jiff::Timestamp>().expect("a time"));
        self.now = self.now.max(at);
        self.events += 1;
        let event = Event {
            key: EventKey { source: "acme/app/1".into(), key: KeyBytes::of(&self.events.to_string()) },
            corp: "acme".into(),
            at,
            received_at: self.now,
            clamped: false,
            place: Place::Group { chat: "wrGroup".into(), kind: GroupKind::Internal, title: Some("骑行一群".into()) },
            who: Some(Identity { kind: IdentityKind::Userid, value: who.into() }),
            name: Some(who.into()),
            via: Via { channel: Channel::Replay, ..Via::default() },
            kind,
        };
        catch_up(&mut self.pipeline, &mut self.scheduler, self.now, self.now).expect("memory never fails");
        let done = self.pipeline.hear(event).expect("memory never fails");
        let booked = self.reader.postings_of(done.seq).expect("readable");
        booked.iter().map(|posting| if matches!(posting.dst, jifen::model::journal::AccountRef::Member(_)) { posting.amount } else { -posting.amount }).sum()
    }

    fn says(&mut self, at: &str, who: &str, text: &str) -> i64 {
        self.hears(at, who, Kind::Said(Said { text: text.into(), ..Said::default() }))
    }

    fn adopt(&self, rules: &str) {
        self.rules.store(loaded(rules));
    }

    /// Everything booked, without what only counts events: accounts by their members' names.
    fn ledger(&self) -> Vec<String> {
        let name = |account| match account {
            jifen::model::journal::AccountRef::Member(id) => {
                let cell = self.reader.account(id).expect("readable").expect("it is there");
                self.reader.member(cell.key.member).expect("readable").and_then(|row| row.name).unwrap_or_default().to_string()
            }
            jifen::model::journal::AccountRef::System { chart, .. } => format!("{chart:?}"),
        };
        let postings = self.reader.postings(PostingSeq(1), usize::MAX >> 1).expect("readable");
        let told = |it: &jifen::model::journal::Posting| {
            format!("{:?} {} {} → {} {} {:?} {:?}", it.day, it.code, name(it.src), name(it.dst), it.amount, it.vests_on, it.expires_on)
        };
        postings.iter().map(told).collect()
    }

    /// What was said, message by message, without what tells of a place in the journal.
    fn said(&self) -> Vec<String> {
        let events = self.reader.events(EventSeq(1), usize::MAX >> 1).expect("readable");
        let replies = events.iter().flat_map(|event| self.reader.replies_of(event.seq).expect("readable"));
        replies.map(|row| format!("{:?} {:?}", row.reply.template, row.reply.args)).collect()
    }
}

/// What happens, by number.
fn kind(number: usize) -> Kind {
    let said = |text: &str| Kind::Said(Said { text: text.into(), ..Said::default() });
    let picture =
        |text: &str, name: &str| Kind::Said(Said { text: text.into(), images: 1, pictures: vec![Picture::known_as(name.as_bytes())], ..Said::default() });
    match number {
        0 => said("签到"),
        1 => said("你好"),
        2 => said("今天天气真不错啊"),
        3 => said("明天我们去哪里骑车"),
        4 => picture("晒图", "a"),
        5 => picture("晒图", "b"),
        6 => said("补签"),
        7 => Kind::Did(Act::Happened { event: "visit".into(), subject: None }),
        8 => Kind::Did(Act::Joined),
        9 => said("@积分助手 积分"),
        _ => said("@积分助手 今天"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rules_on_trial_change_nothing_that_is_booked_or_said(mut happened in prop::collection::vec((0u32..6, 0u32..24, 0u32..60, 0usize..2, 0usize..11), 1..50), late: bool) {
        if late {
            // What is sold is not sold to who comes late, and late is also what comes after something that is only tried.
            happened.retain(|(.., what)| *what != 6);
        } else {
            happened.sort_unstable();
        }
        let (mut without, mut with) = (Town::new(LIVE), Town::new(&format!("{TRIAL}{LIVE}")));
        for (day, hour, minute, who, what) in &happened {
            let (at, who) = (format!("11-{:02} {hour:02}:{minute:02}", 18 + day), ["阿明", "小红"][*who]);
            without.hears(&at, who, kind(*what));
            with.hears(&at, who, kind(*what));
        }
        prop_assert_eq!(without.ledger(), with.ledger());
        prop_assert_eq!(without.said(), with.said());
    }

    #[test]
    fn a_campaign_on_trial_books_nothing_and_answers_only_who_asks(happened in prop::collection::vec((0u32..6, 0u32..24, 0u32..60, 0usize..2, 0usize..9), 1..40)) {
        let mut town = Town::new(&LIVE.replace("campaign.main = { ", "campaign.main = { mode = \"shadow\", "));
        for (day, hour, minute, who, what) in &happened {
            town.hears(&format!("11-{:02} {hour:02}:{minute:02}", 18 + day), ["阿明", "小红"][*who], kind(*what));
        }
        prop_assert_eq!(town.ledger(), Vec::<String>::new());
        prop_assert_eq!(town.said(), Vec::<String>::new());
    }
}

#[test]
fn once_it_is_live_a_rule_pays_from_then_on_and_its_caps_are_fresh() {
    let rules = |mode: &str| {
        format!(
            "check_in.daily = {{ keywords = [\"签到\"], points = 2, streak = {{ 2 = 3 }}, budget = 6, mode = \"{mode}\" }}\n\
             retention.stay = {{ every = \"1d\", points = 1, mode = \"{mode}\" }}\n"
        )
    };
    let mut town = Town::new(&rules("shadow"));
    for (at, who) in [("11-18 09:00", "阿明"), ("11-19 09:00", "阿明"), ("11-20 09:00", "阿明"), ("11-20 09:01", "小红")] {
        assert_eq!(town.says(at, who, "签到"), 0);
    }
    let request = Request { now: town.now, days: 7, rule: Some("check_in.daily".into()) };
    let told = trials(&*town.reader, &town.rules.load_full(), &request).expect("readable");
    // 2, and of 2 and 3 the 4 that the budget had left.
    assert_eq!((told.len(), told[0].points, told[0].payments, told[0].members, told[0].mode), (1, 6, 2, 1, "shadow"), "{told:#?}");
    assert_eq!((&*told[0].top[0].member, told[0].days.len()), ("阿明", 3), "{told:#?}");
    assert_eq!(told[0].refused.iter().map(|refused| (refused.reason, refused.times)).collect::<Vec<_>>(), [("预算发完", 2)]);

    town.adopt(&rules("live"));
    assert_eq!(town.says("11-20 10:00", "阿明", "签到"), 2, "the same day, and the run begins anew");
    assert_eq!(town.says("11-21 09:00", "阿明", "签到"), 4, "2 and 3, of which the budget leaves 4");
    let paid = town.ledger();
    assert_eq!(paid.iter().filter(|line| line.contains("check_in.daily")).count(), 2, "{paid:#?}");
    assert!(paid.iter().filter(|line| line.contains("retention.stay")).count() <= 2, "the days of the trial are not paid: {paid:#?}");
}

#[test]
fn tasks_on_trial_are_done_by_steps_on_trial() {
    let mut town = Town::new(
        "check_in.a = { keywords = [\"早\"], points = 1, mode = \"shadow\" }\ncheck_in.b = { keywords = [\"晚\"], points = 1 }\n\
         task.day = { steps = [\"check_in.a\", \"check_in.b\"], points = 5, max_times = { day = 1 }, mode = \"shadow\" }\n\
         task.once = { steps = [\"check_in.a\"], points = 7, mode = \"shadow\" }\n",
    );
    for at in ["11-18 09:00", "11-19 09:00"] {
        assert_eq!((town.says(at, "阿明", "早"), town.says(at, "阿明", "晚")), (0, 1));
    }
    let told = trials(&*town.reader, &town.rules.load_full(), &Request { now: town.now, days: 7, rule: None }).expect("readable");
    let points: Vec<(&str, i64)> = told.iter().map(|trial| (&*trial.rule, trial.points)).collect();
    assert_eq!(points, [("check_in.a", 2), ("task.day", 10), ("task.once", 7)]);
}

#[test]
fn what_was_taken_back_is_not_told() {
    let mut town = Town::new("check_in.daily = { keywords = [\"签到\"], points = 2, mode = \"shadow\" }\n");
    town.says("11-18 09:00", "阿明", "签到");
    let of = KeyBytes::of(&town.events.to_string());
    town.hears("11-18 09:01", "阿明", Kind::Recalled { of });
    let told = trials(&*town.reader, &town.rules.load_full(), &Request { now: town.now, days: 7, rule: None }).expect("readable");
    assert_eq!((told.len(), told[0].points, told[0].payments), (1, 0, 0), "{told:#?}");
}
