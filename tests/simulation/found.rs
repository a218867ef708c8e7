//! Histories that seeds found, told by hand.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, FingerprintKey, KeyBytes, MemberId};
use jifen::pipeline::{Pipeline, Silent};
use jifen::rules::file;
use jifen::store::Reader;
use jifen::store::memory::MemoryStore;

const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 5 }\n[speaking.talk]\npoints = 1\nmax_points = { day = 3 }\n";

/// 阿明's message, or the news that one was taken back, at a time of November 2026 in Shanghai.
fn event(id: &str, when: &str, kind: Kind) -> Event {
    let at = Millis::from(format!("2026-11-{when}:00+08:00").parse::<jiff::Timestamp>().expect("a time"));
    Event {
        key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(id) },
        corp: "acme".into(),
        at,
        received_at: at,
        clamped: false,
        place: Place::Group { chat: "wrGroup".into(), kind: GroupKind::Internal, title: None },
        who: Some(Identity::from_wecom("aming")),
        name: None,
        via: Via { channel: Channel::Archive, ..Via::default() },
        kind,
    }
}

fn said(id: &str, when: &str, text: &str) -> Event {
    event(id, when, Kind::Said(Said { text: text.into(), ..Said::default() }))
}

#[test]
fn a_day_taken_back_stays_taken_back_when_a_late_message_comes() {
    let (rules, _) = file::load(RULES).expect("the rules are right");
    let store = MemoryStore::default();
    let reader = store.reader();
    let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::from_pointee(rules)), FingerprintKey::new(b"test"), Box::new(Silent));
    let mut hear = |event| {
        pipeline.hear(event).expect("memory never fails");
        reader.accounts_of(MemberId(1)).expect("readable")[0].available
    };
    hear(said("1", "16T09:00", "签到"));
    hear(said("2", "17T09:00", "签到"));
    assert_eq!(hear(said("3", "18T09:00", "签到")), 11, "the third in a row brings its bonus");
    let first_is_taken_back = event("9", "18T10:00", Kind::Recalled { of: KeyBytes::of("1") });
    assert_eq!(hear(first_is_taken_back), 4, "the day and the bonus are gone");
    assert_eq!(hear(said("4", "18T08:00", "今天骑了二十公里")), 5, "a message of that morning brings its own point and no bonus back");
    assert!(jifen::verify::verify(&reader, &mut |_| {}).expect("readable").is_sound());
}
