//! Any history at all: late, doubled, recalled, through two channels, granted, merged, under several versions. Decided again under the recorded
//! versions it is the ledger; the same file changes nothing for anybody, from whatever day on.

use jifen::backtest::parity::parity;
use jifen::model::act::Act;
use jifen::model::event::Kind;
use jifen::pipeline::Work;
use jifen::pipeline::merge::Merge;
use jifen::store::Store;
use jifen::store::memory::MemoryStore;

use crate::town::{Town, assert_same, at, key, who};

/// Every kind of rule that remembers, shares or falls due.
const FILES: [&str; 2] = [
    r#"
[campaign.main]
groups = ["*"]
budget = 60

[campaign.main.check_in.daily]
keywords = ["签到"]
points = 2
streak = { 3 = 5 }

[campaign.main.speaking.talk]
points = 1
min_chars = 4
min_distinct = 2
cool_down = "30s"
max_points = { day = 3, week = 9 }
"#,
    r#"
[check_in.daily]
keywords = ["签到", "打卡"]
points = 3

[speaking.talk]
points = 2
min_chars = 4
max_points = { day = 5 }

[retention.weekly]
every = "2d"
points = 4

[title.star]
title = "周星"
period = "week"
points = 9
"#,
];

const WORDS: [&str; 8] = ["签到", "打卡", "今天骑了二十公里", "明天一起去爬山吧", "这本书读完了真好", "积分", "为什么", "哈哈"];

/// xorshift64*: the same history for the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

fn time(day: u64, second: u64) -> String {
    format!("2026-11-{:02}T{:02}:{:02}:{:02}", 2 + day, second / 3600, second / 60 % 60, second % 60)
}

/// Some twelve days of three people.
fn play<S: Store>(town: &mut Town<S>, seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut said: Vec<(u64, &str)> = Vec::new();
    for day in 0..12 {
        if dice.below(6) == 0 {
            town.adopts(FILES[dice.below(2) as usize]);
        }
        for part in 0..4 + dice.below(8) {
            let second = (part * 7_000 + dice.below(6_000)).min(86_399);
            let (now, member) = (time(day, second), ["aming", "xiaohong", "laowang"][dice.below(3) as usize]);
            let word = WORDS[dice.below(8) as usize];
            town.through(["acme/archive/ww1", "acme/aibot/aib1"][dice.below(2) as usize]);
            match dice.below(14) {
                0 => {
                    town.grants(member, &now, [5, -3][dice.below(2) as usize]);
                }
                1 => {
                    let event = town.event(member, &now, Kind::Did([Act::Joined, Act::Left][dice.below(2) as usize].clone()));
                    town.hears(event);
                }
                2 if !said.is_empty() => {
                    let (number, source) = said.swap_remove(dice.below(said.len() as u64) as usize);
                    town.through(source).recalls(member, &now, number);
                }
                3 if day > 3 => {
                    let number = town.says_late(member, &time(day - 1 - dice.below(3), second), word, &now);
                    said.push((number, town.source));
                }
                4 => {
                    // Through both channels, the second some seconds later.
                    town.through("acme/archive/ww1").says(member, &now, word);
                    town.through("acme/aibot/aib1").says(member, &time(day, (second + 9).min(86_399)), word);
                }
                5 if day == 7 => {
                    let merge = Merge {
                        corp: "acme".into(),
                        from: who("laowang"),
                        into: who(["aming", "xiaohong"][dice.below(2) as usize]),
                        at: at(&now),
                        may_be_new: true,
                    };
                    // Refused where there is nobody to merge.
                    let _ = town.pipeline.reunite(Work::Merge(Box::new(merge))).expect("memory never fails");
                }
                _ => {
                    let number = town.says(member, &now, word);
                    said.push((number, town.source));
                }
            }
        }
    }
}

#[test]
fn under_the_recorded_versions_it_is_the_ledger_itself() {
    for seed in 1..24 {
        let mut town = Town::<MemoryStore>::new(FILES[0]);
        play(&mut town, seed);
        let reader = town.reader();
        let events = reader.head().expect("readable").event.0;
        let parity = parity(&*reader, key(), &mut |_, _| {}).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(parity.difference, None, "seed {seed}");
        assert_eq!((parity.same + parity.kept) as i64, events, "seed {seed}");
        assert!(parity.same > parity.kept, "seed {seed}: {parity:?}");
    }
}

#[test]
fn the_same_file_changes_nothing_from_whatever_day_on() {
    for seed in 1..16 {
        let mut town = Town::<MemoryStore>::new(FILES[0]);
        play(&mut town, seed);
        let live = FILES[(seed % 2) as usize];
        town.adopts(live);
        let mut ask = town.asks(live);
        assert_same(&town.tries_as(&ask));
        ask.from = Some(jiff::civil::date(2026, 11, 2 + (seed % 12) as i8));
        assert_same(&town.tries_as(&ask));
    }
}

#[test]
fn another_file_finds_other_winners_in_most_histories() {
    let mut different = 0;
    for seed in 1..10 {
        let mut town = Town::<MemoryStore>::new(FILES[0]);
        play(&mut town, seed);
        town.adopts(FILES[0]);
        different += i32::from(!town.tries(FILES[1]).is_same());
    }
    assert!(different > 7, "{different}");
}
