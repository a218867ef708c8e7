//! Check-ins that need a picture: real files through the whole daemon, and random histories of which no picture is ever paid for twice.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[expect(dead_code, reason = "this test uses a part of what the others share")]
mod common;

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use arc_swap::ArcSwap;
use common::Bot;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, Rgb, RgbImage};
use jifen::demo::scene::Chat;
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, Kind, Picture, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes};
use jifen::picture::look_at;
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::file;
use jifen::store::Reader;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::verify::verify;
use proptest::prelude::*;

const RULES: &str = r#"
[check_in.show]
title = "打卡"
keywords = ["打卡"]
match = "contains"
needs = "image"
points = 10
max_times = { day = 5 }
"#;

/// Blocks of shades that differ from ride to ride.
fn ride(number: u32) -> RgbImage {
    let shade = |x: u32, y: u32| {
        let block = (x / 40).wrapping_mul(73_856_093) ^ (y / 40).wrapping_mul(19_349_663) ^ number.wrapping_mul(83_492_791);
        let mixed = block.wrapping_mul(2_654_435_761);
        (mixed ^ mixed >> 15).wrapping_mul(2_246_822_519) >> 24
    };
    RgbImage::from_fn(360, 480, |x, y| Rgb([shade(x, y) as u8; 3]))
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 50).encode_image(image).unwrap();
    bytes
}

/// The id of a customer in the demo.
fn customer(bot: &Bot, name: &str) -> String {
    let people = bot.demo.stage.scene.feed(0, Millis(0)).people;
    people.into_iter().find(|person| person.name == name && person.customer).unwrap().id
}

async fn sends(bot: &Bot, who: &str, text: &str, file: &[u8]) -> u64 {
    bot.demo.stage.attach(Chat::Customer, who, text, &look_at(file).unwrap()).await.unwrap()
}

fn verdict(bot: &Bot, line: u64) -> String {
    bot.demo.stage.scene.line(line).unwrap().verdicts.iter().map(|verdict| verdict.text.clone()).collect()
}

#[tokio::test]
async fn a_real_picture_is_paid_for_once_whatever_is_done_to_it() {
    let bot = Bot::start(RULES).await;
    let (aming, xiaohong) = (customer(&bot, "阿明"), customer(&bot, "小红"));
    sends(&bot, &aming, "打卡", &png(&ride(1))).await;
    assert_eq!(bot.balance(&aming), 10);
    let same = sends(&bot, &xiaohong, "打卡", &png(&ride(1))).await;
    assert!(verdict(&bot, same).contains("这张图用过了"), "{}", verdict(&bot, same));
    let compressed = sends(&bot, &xiaohong, "打卡", &jpeg(&ride(1))).await;
    assert!(verdict(&bot, compressed).contains("这张图用过了"), "{}", verdict(&bot, compressed));
    bot.demo.stage.say(Chat::Customer, &xiaohong, "打卡").await.unwrap();
    let cut = image::imageops::crop_imm(&ride(1), 18, 0, 342, 480).to_image();
    sends(&bot, &xiaohong, "", &jpeg(&cut)).await;
    assert_eq!(bot.balance(&xiaohong), 0);
    sends(&bot, &xiaohong, "", &jpeg(&ride(2))).await;
    assert_eq!(bot.balance(&xiaohong), 10);
    bot.stop().await;
}

#[tokio::test]
async fn a_picture_taken_back_may_be_sent_again() {
    let bot = Bot::start(RULES).await;
    let aming = customer(&bot, "阿明");
    let first = sends(&bot, &aming, "打卡", &png(&ride(1))).await;
    bot.demo.stage.recall(first).await.unwrap();
    assert_eq!(bot.balance(&aming), 0);
    sends(&bot, &aming, "打卡", &jpeg(&ride(1))).await;
    assert_eq!(bot.balance(&aming), 10);
    bot.stop().await;
}

#[tokio::test]
async fn the_app_s_single_chat_knows_a_picture_by_its_address() {
    let mut bot = Bot::start(RULES).await;
    let sight = look_at(&png(&ride(1))).unwrap();
    bot.demo.stage.attach(Chat::Single, "阿明", "打卡", &sight).await.unwrap();
    let asked = bot.answer().await;
    assert!(asked.contains("还差一张截图,10 分钟内发到这里就行"), "{asked}");
    assert!(bot.answer().await.contains("打卡成功 +10"));
    bot.demo.stage.attach(Chat::Single, "小红", "打卡", &sight).await.unwrap();
    bot.answer().await;
    let used = bot.answer().await;
    assert!(used.contains("这张图用过了,请换本次的截图。"), "{used}");
    bot.stop().await;
}

/// What a random member does: with the word, with one of three pictures, with both; or the taking back of an earlier message.
#[derive(Debug, Clone)]
enum Act {
    Says { who: usize, word: bool, picture: Option<u8> },
    TakesBack { of: usize },
}

fn acts() -> impl Strategy<Value = Vec<(Act, i64)>> {
    let says = (0usize..2, any::<bool>(), prop::option::of(0u8..3)).prop_map(|(who, word, picture)| Act::Says { who, word, picture });
    let act = prop_oneof![5 => says, 1 => (0usize..20).prop_map(|of| Act::TakesBack { of })];
    prop::collection::vec((act, 1i64..400), 1..24)
}

fn event(number: usize, at: i64, act: &Act, acts: &[(Act, i64)]) -> Option<Event> {
    let (who, kind, key) = match act {
        Act::Says { who, word, picture } => {
            let pictures: Vec<Picture> = picture.iter().map(|name| Picture::known_as(&[*name])).collect();
            let text = if *word { "打卡".to_owned() } else { String::new() };
            (*who, Kind::Said(Said { text, images: pictures.len() as u32, pictures, ..Said::default() }), format!("m{number}"))
        }
        Act::TakesBack { of } => {
            let Act::Says { who, .. } = acts.get(*of)?.0 else { return None };
            (who, Kind::Recalled { of: KeyBytes::of(&format!("m{of}")) }, format!("r{number}"))
        }
    };
    Some(Event {
        key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(&key) },
        corp: "acme".into(),
        at: Millis(1_795_309_200_000 + at * 1000),
        received_at: Millis(1_795_309_200_000 + at * 1000),
        clamped: false,
        place: Place::Group { chat: "wrGroup".into(), kind: GroupKind::Internal, title: None },
        who: Some(Identity::from_wecom(["aming", "xiaohong"][who])),
        name: None,
        via: Via { channel: Channel::Archive, ..Via::default() },
        kind,
    })
}

/// Plays events in batches of a size; gives the store.
fn played(events: &[Event], batch: usize) -> MemoryReader {
    let store = MemoryStore::default();
    let reader = store.reader();
    let (rules, _) = file::load(RULES).unwrap();
    let mut pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(Arc::new(rules))), FingerprintKey::new(b"test"), Box::new(Silent));
    for events in events.chunks(batch) {
        let rules = pipeline.rules();
        let works: Vec<Work> = events.iter().map(|event| Work::Hear(Box::new(pipeline.prepare(&rules, event.clone())))).collect();
        pipeline.run(&works).unwrap();
    }
    reader
}

/// What each message earned in the end.
fn earned(reader: &dyn Reader) -> HashMap<EventSeq, i64> {
    let mut earned = HashMap::new();
    for posting in reader.postings(jifen::model::ids::PostingSeq(1), 10_000).unwrap() {
        let sign = if posting.earns() { 1 } else { -1 };
        *earned.entry(posting.slot_event.unwrap_or(posting.event)).or_default() += sign * posting.amount;
    }
    earned
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_picture_is_paid_for_twice_and_the_books_hold(acts in acts(), swaps in prop::collection::vec((0usize..24, 0usize..24), 0..6), batch in 1usize..9) {
        let mut at = 0;
        let mut events: Vec<Event> = Vec::new();
        for (number, (act, pause)) in acts.iter().enumerate() {
            at += pause;
            events.extend(event(number, at, act, &acts));
        }
        let count = events.len();
        for (one, other) in swaps {
            if one < count && other < count {
                events.swap(one, other);
            }
        }
        let reader = played(&events, batch);
        let report = verify(&reader, &mut |_| {}).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report.findings);
        let other = played(&events, 1);
        prop_assert_eq!(earned(&reader), earned(&other), "where batches are cut must not matter");

        // What is marked as used in the end is what somebody holds points for, ten each.
        let used = reader.proofs(None, 100).unwrap().iter().filter(|(_, proof)| proof.used).count() as i64;
        let paid: i64 = earned(&reader).values().sum();
        prop_assert_eq!(paid, used * 10);
        prop_assert!(earned(&reader).values().all(|points| [0, 10].contains(points)));
    }
}
