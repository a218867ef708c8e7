//! Two ids of one person are merged and parted again, through the whole pipeline and in both stores.

use std::collections::BTreeMap;

use jifen::model::decision::Outcome;
use jifen::model::ids::EventSeq;
use proptest::prelude::*;

use crate::world::{RULES, World, at};

#[test]
fn a_merge_keeps_every_point_and_makes_one_streak() {
    World::both("streak", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        world.says("aming", at(16, 10), "今天天气真好");
        world.says("aming-2", at(17, 9), "签到");
        let lifetimes = world.account("aming").lifetime + world.account("aming-2").lifetime;
        world.merge("aming-2", "aming", at(17, 12)).unwrap();
        assert_eq!((world.balance("aming"), world.balance("aming-2")), (5, 5));
        assert_eq!(world.account("aming").lifetime, lifetimes);
        // The third day in a row, whichever id it comes by.
        world.says("aming-2", at(18, 9), "签到");
        assert_eq!(world.balance("aming"), 5 + 2 + 10);
        world.says("aming", at(18, 10), "签到");
        assert_eq!(world.balance("aming"), 17, "one person checks in once a day");
    });
}

#[test]
fn taking_a_merge_back_restores_both_exactly() {
    World::both("exactly", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        world.opens("aming", at(16, 9), 100);
        world.says("xiaohong", at(16, 9), "签到");
        world.says("xiaohong", at(16, 10), "我也来聊聊天");
        let (aming, xiaohong) = (world.account("aming"), world.account("xiaohong"));
        let merge = world.merge("xiaohong", "aming", at(16, 12)).unwrap();
        world.prove();
        world.unmerge(merge, at(16, 13)).unwrap();
        for (before, after) in [(aming, world.account("aming")), (xiaohong, world.account("xiaohong"))] {
            assert_eq!((before.id, before.available, before.held, before.lifetime), (after.id, after.available, after.held, after.lifetime));
            assert_eq!(before.state, after.state);
        }
    });
}

#[test]
fn what_an_id_earned_since_goes_back_with_it_and_what_was_spent_stays() {
    World::both("since", RULES, |world| {
        world.opens("aming", at(16, 9), 10);
        world.opens("xiaohong", at(16, 9), 100);
        let merge = world.merge("xiaohong", "aming", at(16, 12)).unwrap();
        world.says("xiaohong", at(17, 9), "签到");
        world.says("aming", at(18, 9), "签到");
        world.grants("aming", at(18, 10), -50);
        assert_eq!(world.balance("aming"), 64);
        world.unmerge(merge, at(18, 12)).unwrap();
        assert_eq!((world.balance("xiaohong"), world.balance("aming")), (102, -38), "the one who stays owes what was taken");
        // The days went with the ids too.
        world.says("xiaohong", at(18, 13), "签到");
        assert_eq!(world.balance("xiaohong"), 104);
        world.says("aming", at(18, 13), "签到");
        assert_eq!(world.balance("aming"), -38, "who checked in by this id today has checked in");
    });
}

#[test]
fn who_never_earned_is_led_to_the_other_and_back() {
    World::both("empty", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        world.says("aming-2", at(16, 9), "嗯");
        let merge = world.merge("aming-2", "aming", at(16, 12)).unwrap();
        world.says("aming-2", at(17, 9), "签到");
        assert_eq!(world.balance("aming"), 4);
        world.unmerge(merge, at(17, 12)).unwrap();
        assert_eq!((world.balance("aming"), world.balance("aming-2")), (2, 2));
    });
}

#[test]
fn merges_that_make_no_sense_are_refused_and_write_nothing() {
    World::both("refused", RULES, |world| {
        for who in ["aming", "xiaohong", "laowang"] {
            world.says(who, at(16, 9), "签到");
        }
        let events = world.reader.head().unwrap().event;
        assert!(world.merge("nobody", "aming", at(16, 10)).unwrap_err().0.contains("没有见过 nobody"));
        assert!(world.merge("aming", "nobody", at(16, 10)).unwrap_err().0.contains("--new"));
        assert!(world.merge("aming", "AMing", at(16, 10)).unwrap_err().0.contains("同一个人"));
        assert!(world.unmerge(EventSeq(1), at(16, 10)).unwrap_err().0.contains("不是一次合并"));
        assert!(world.unmerge(EventSeq(99), at(16, 10)).unwrap_err().0.contains("没有第 99 号事件"));
        assert_eq!(world.reader.head().unwrap().event, events);

        let first = world.merge("aming", "xiaohong", at(16, 11)).unwrap();
        assert!(world.merge("xiaohong", "aming", at(16, 11)).unwrap_err().0.contains("同一个人"), "no circle");
        let second = world.merge("aming", "laowang", at(16, 12)).unwrap();
        assert_eq!((world.balance("aming"), world.balance("xiaohong"), world.balance("laowang")), (6, 6, 6));
        assert!(world.unmerge(first, at(16, 13)).unwrap_err().0.contains("先撤销后来的"));
        world.unmerge(second, at(16, 14)).unwrap();
        assert!(world.unmerge(second, at(16, 14)).unwrap_err().0.contains("撤销过"));
        world.unmerge(first, at(16, 15)).unwrap();
        assert_eq!((world.balance("aming"), world.balance("xiaohong"), world.balance("laowang")), (2, 2, 2));
    });
}

#[test]
fn late_and_recalled_messages_from_before_a_merge_neither_double_nor_break() {
    World::both("late", RULES, |world| {
        let morning = world.says("aming", at(16, 9), "签到");
        world.says("xiaohong", at(17, 9), "签到");
        world.merge("aming", "xiaohong", at(18, 12)).unwrap();
        // Another check-in of a day that 阿明 had already.
        world.says("aming", at(16, 20), "签到");
        assert_eq!(world.balance("xiaohong"), 4);
        let limited = world.reader.event(world.reader.head().unwrap().event).unwrap().unwrap();
        assert_eq!(limited.record.outcome, Outcome::DecidedAlone);
        // A message of the first account is taken back: what was earned by it is gone already.
        world.takes_back("aming", at(18, 13), morning);
        assert_eq!(world.balance("xiaohong"), 4);
        // Behind the merge everything is as ever, late or not.
        let later = world.says("aming", at(20, 9), "签到");
        world.says("xiaohong", at(19, 9), "签到");
        assert_eq!(world.balance("xiaohong"), 8);
        world.takes_back("aming", at(20, 10), later);
        assert_eq!(world.balance("xiaohong"), 6);
    });
}

#[test]
fn rehearsing_a_merge_writes_nothing() {
    World::both("rehearsal", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        world.says("xiaohong", at(16, 9), "签到");
        let head = world.reader.head().unwrap();
        let merge = jifen::pipeline::merge::Merge {
            corp: "acme".into(),
            from: World::identity("aming"),
            into: World::identity("xiaohong"),
            at: at(16, 10),
            may_be_new: false,
        };
        let batch = world.pipeline.rehearse_reuniting(jifen::pipeline::Work::Merge(Box::new(merge))).unwrap().unwrap();
        assert_eq!(batch.accounts.iter().map(|cell| cell.available).collect::<Vec<_>>(), [0, 4]);
        assert_eq!(world.reader.head().unwrap(), head);
        world.says("aming", at(17, 9), "签到");
        assert_eq!(world.balance("aming"), 4);
    });
}

/// What the naive model does.
#[derive(Debug, Clone)]
enum Step {
    /// A grant to one of the ids.
    Grant(usize, i64),
    /// This id checks in, the next day.
    CheckIn(usize),
    /// The first leads to the second.
    Merge(usize, usize),
    /// The newest merge that stands is taken back.
    Unmerge,
}

const IDS: [&str; 4] = ["aming", "xiaohong", "laowang", "laoli"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..IDS.len();
    let step = prop_oneof![
        3 => (id.clone(), 1_i64..100).prop_map(|(id, points)| Step::Grant(id, points)),
        1 => (id.clone(), -60_i64..-1).prop_map(|(id, points)| Step::Grant(id, points)),
        4 => id.clone().prop_map(Step::CheckIn),
        2 => (id.clone(), id).prop_map(|(from, into)| Step::Merge(from, into)),
        2 => Just(Step::Unmerge),
    ];
    prop::collection::vec(step, 1..30)
}

/// Balances by person, and who is whom: written to be obviously right.
#[derive(Default)]
struct Naive {
    /// What each id has earned by itself, and what of it is at its own person's.
    person: BTreeMap<usize, usize>,
    balance: BTreeMap<usize, i64>,
    /// Merges that stand: the event, the ids, from, into, what came over, what those ids have earned since.
    merges: Vec<(EventSeq, Vec<usize>, usize, usize, i64, i64)>,
}

impl Naive {
    fn person(&self, id: usize) -> usize {
        self.person.get(&id).copied().unwrap_or(id)
    }

    fn earn(&mut self, id: usize, points: i64) {
        *self.balance.entry(self.person(id)).or_default() += points;
        self.merges.iter_mut().filter(|merge| merge.1.contains(&id)).for_each(|merge| merge.5 += points);
    }
}

/// One check-in a day and person, so that rules pay 2 each.
const PLAIN: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn merges_and_partings_in_any_order_agree_with_the_naive_model(steps in steps()) {
        let (mut world, mut naive) = (World::in_memory(PLAIN), Naive::default());
        for (id, name) in IDS.into_iter().enumerate() {
            world.says(name, at(16, 9), "签到");
            naive.earn(id, 2);
        }
        for (number, step) in steps.into_iter().enumerate() {
            let now = at(17 + number as i64, 9);
            match step {
                Step::Grant(id, points) => {
                    let have = naive.balance.get(&naive.person(id)).copied().unwrap_or(0);
                    if points < 0 && have + points < 0 {
                        // Nobody is left with less than nothing by hand.
                        continue;
                    }
                    world.grants(IDS[id], now, points);
                    naive.earn(id, points);
                }
                Step::CheckIn(id) => {
                    world.says(IDS[id], now, "签到");
                    naive.earn(id, 2);
                }
                Step::Merge(from, into) => {
                    let (from_person, into_person) = (naive.person(from), naive.person(into));
                    let merged = world.merge(IDS[from], IDS[into], now);
                    prop_assert_eq!(merged.is_ok(), from_person != into_person);
                    let Ok(event) = merged else { continue };
                    let ids: Vec<usize> = (0..IDS.len()).filter(|id| naive.person(*id) == from_person).collect();
                    let brought = naive.balance.insert(from_person, 0).unwrap_or(0);
                    *naive.balance.entry(into_person).or_default() += brought;
                    for id in &ids {
                        naive.person.insert(*id, into_person);
                    }
                    naive.merges.push((event, ids, from_person, into_person, brought, 0));
                }
                Step::Unmerge => {
                    let Some((event, ids, from, into, brought, since)) = naive.merges.pop() else { continue };
                    prop_assert!(world.unmerge(event, now).is_ok());
                    for id in ids {
                        naive.person.insert(id, from);
                    }
                    *naive.balance.entry(from).or_default() += brought + since;
                    *naive.balance.entry(into).or_default() -= brought + since;
                }
            }
            for (id, name) in IDS.iter().enumerate() {
                prop_assert_eq!(world.balance(name), naive.balance.get(&naive.person(id)).copied().unwrap_or(0), "{} after step {}", name, number);
            }
        }
        world.prove();
    }
}

/// Points that go after three days, after sixty, and never.
const LOTS: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 10\n\n\
                    [check_in.flash]\nkeywords = [\"闪签\"]\npoints = 5\nexpires = \"3d\"\n\n\
                    [check_in.kept]\nkeywords = [\"纪念\"]\npoints = 1\nexpires = \"never\"\n\n[campaign.main]\nexpires = \"60d\"\n";

#[test]
fn every_bucket_goes_over_and_back_and_what_expired_in_between_does_not_come_back() {
    World::both("lots", LOTS, |world| {
        for text in ["签到", "闪签", "纪念"] {
            world.says("xiaohong", at(16, 9), text);
        }
        world.says("aming", at(16, 9), "签到");
        let before = world.account("xiaohong");
        assert_eq!(before.state.lots.len(), 3);
        let merge = world.merge("xiaohong", "aming", at(16, 12)).unwrap();
        assert_eq!((world.balance("aming"), world.account("aming").state.lots.len()), (26, 3));
        world.unmerge(merge, at(16, 13)).unwrap();
        assert_eq!(world.account("xiaohong").state, before.state);

        let merge = world.merge("xiaohong", "aming", at(17, 12)).unwrap();
        // What goes first is spent first: the three days' points are taken, then some of the others.
        world.grants("aming", at(18, 9), -7);
        world.unmerge(merge, at(25, 12)).unwrap();
        let after = world.account("xiaohong");
        assert_eq!((after.available, after.lifetime), (11, before.lifetime), "what was gone by then is not brought back");
        assert_eq!(world.balance("aming"), 8, "what was taken stays with who stays");
    });
}
