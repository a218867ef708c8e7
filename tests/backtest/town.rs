//! A town whose history is tested: people talk in two groups, operators grant, the clock strikes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::backtest::report::{CampaignReport, Report};
use jifen::backtest::{self, Ask};
use jifen::model::act::Act;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes};
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::scheduler::{Scheduler, catch_up};
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::store::{Reader, Store};

/// Backtests one town can be asked for.
const READERS: usize = 8;

pub fn rules(text: &str) -> Arc<Rules> {
    Arc::new(file::load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).0)
}

pub fn key() -> FingerprintKey {
    FingerprintKey::new(b"test")
}

pub fn at(time: &str) -> Millis {
    let time: jiff::civil::DateTime = time.parse().expect("a time");
    Millis::from(time.in_tz("Asia/Shanghai").expect("a zone").timestamp())
}

pub fn who(id: &str) -> Identity {
    Identity { kind: IdentityKind::Userid, value: id.into() }
}

/// A daemon over a store of any kind, whose clock is moved by what happens.
pub struct Town<S: Store> {
    pub pipeline: Pipeline<S>,
    pub live: Arc<ArcSwap<Rules>>,
    scheduler: Scheduler,
    readers: Vec<Box<dyn Reader>>,
    pub source: &'static str,
    number: u64,
}

impl Town<MemoryStore> {
    pub fn new(text: &str) -> Self {
        let store = MemoryStore::default();
        let readers: Vec<MemoryReader> = (0..READERS + 1).map(|_| store.reader()).collect();
        Town::over(store, readers.into_iter().map(|reader| Box::new(reader) as Box<dyn Reader>).collect(), text)
    }
}

impl<S: Store> Town<S> {
    /// Over a store, with readers of it.
    pub fn over(store: S, mut readers: Vec<Box<dyn Reader>>, text: &str) -> Self {
        let live = Arc::new(ArcSwap::new(rules(text)));
        let mut scheduler = Scheduler::new(readers.pop().expect("a reader for the clock"), Channel::Replay);
        scheduler.know_corp(&"acme".into());
        let pipeline = Pipeline::new(store, live.clone(), key(), Box::new(Silent));
        Town { pipeline, live, scheduler, readers, source: "acme/archive/ww1", number: 0 }
    }

    /// What follows is heard by this channel.
    pub fn through(&mut self, source: &'static str) -> &mut Self {
        self.source = source;
        self
    }

    /// Another file is live.
    pub fn adopts(&mut self, text: &str) {
        self.live.store(rules(text));
    }

    pub fn event(&mut self, who_id: &str, time: &str, kind: Kind) -> Event {
        self.number += 1;
        let at = at(time);
        Event {
            key: EventKey { source: self.source.into(), key: KeyBytes::of(&self.number.to_string()) },
            corp: "acme".into(),
            at,
            received_at: at,
            clamped: false,
            place: Place::Group { chat: "wrRiders".into(), kind: GroupKind::Internal, title: Some("骑行一群".into()) },
            who: Some(who(who_id)),
            name: Some(if who_id == "aming" { "阿明" } else { "小红" }.to_owned()),
            via: Via { channel: Channel::Archive, ..Via::default() },
            kind,
        }
    }

    /// The clock strikes what is due, then the event is heard. Answers with its place and its number at the platform.
    pub fn hears(&mut self, event: Event) -> EventSeq {
        catch_up(&mut self.pipeline, &mut self.scheduler, event.received_at, event.received_at).expect("memory never fails");
        self.pipeline.hear(event).expect("memory never fails").seq
    }

    pub fn says(&mut self, who: &str, time: &str, text: &str) -> u64 {
        let event = self.event(who, time, Kind::Said(Said { text: text.into(), ..Said::default() }));
        self.hears(event);
        self.number
    }

    /// A message that comes when others were heard already.
    pub fn says_late(&mut self, who: &str, time: &str, text: &str, heard: &str) -> u64 {
        let event = self.event(who, time, Kind::Said(Said { text: text.into(), ..Said::default() }));
        self.hears(Event { received_at: at(heard), ..event });
        self.number
    }

    pub fn recalls(&mut self, who: &str, time: &str, number: u64) {
        let event = self.event(who, time, Kind::Recalled { of: KeyBytes::of(&number.to_string()) });
        self.hears(event);
    }

    pub fn does(&mut self, who: &str, time: &str, act: Act) -> EventSeq {
        let event = self.event(who, time, Kind::Did(act));
        self.hears(Event { place: Place::Books { campaign: self.live.load().campaigns[0].id.clone(), chat: None }, name: None, ..event })
    }

    pub fn grants(&mut self, who: &str, time: &str, points: i64) -> EventSeq {
        self.does(who, time, Act::Granted { points, by: "boss".into(), reason: "活动奖励".into(), batch: None, waits: false })
    }

    pub fn works(&mut self, work: Work) {
        self.pipeline.run(&[work]).expect("memory never fails");
    }

    pub fn reader(&mut self) -> Box<dyn Reader> {
        self.readers.pop().expect("enough readers")
    }

    /// What another file would have paid.
    pub fn asks(&mut self, text: &str) -> Ask {
        Ask { new: rules(text), name: "new.toml".into(), from: None, to: None, campaign: None, fingerprints: key() }
    }

    pub fn tries(&mut self, text: &str) -> Report {
        let ask = self.asks(text);
        self.tries_as(&ask)
    }

    pub fn tries_as(&mut self, ask: &Ask) -> Report {
        let (reader, live) = (self.reader(), self.live.load_full());
        let before = reader.head().expect("readable");
        let report = backtest::run(reader, live, ask, &mut |_, _| {}).expect("it can be decided again");
        assert_eq!(self.reader().head().expect("readable"), before, "a backtest writes nothing");
        report
    }
}

/// What a rule paid: points and times in both worlds.
pub fn paid(campaign: &CampaignReport, code: &str) -> (i64, i64, u64, u64) {
    let rule = campaign.rules.iter().find(|rule| *rule.rule == *code).unwrap_or_else(|| panic!("no rule {code} in {campaign:#?}"));
    (rule.change.was, rule.change.now, rule.change.times_was, rule.change.times_now)
}

/// Whether nothing at all is different.
pub fn assert_same(report: &Report) {
    assert!(report.is_same(), "{report:#?}");
    for campaign in &report.campaigns {
        assert!(campaign.verdicts.is_empty() && campaign.lacking.is_empty() && campaign.winners.is_empty() && campaign.losers.is_empty(), "{campaign:#?}");
        assert!(campaign.days.iter().all(|day| day.was == day.now) && campaign.groups.iter().all(|group| group.change.difference() == 0), "{campaign:#?}");
    }
}
