//! Statements: what a member had on a day is what a backup of that day holds.

use jifen::statement::{Request, Statement, StatementError, statement};
use jiff::civil::{Date, date};

use crate::world::{RULES, World, at};

fn told(world: &World, who: &str, as_of: Option<Date>) -> Statement {
    statement(&*world.reader, &Request { member: who.into(), as_of, ..Request::default() }).unwrap()
}

#[test]
fn the_balance_of_a_day_is_what_stood_at_its_end() {
    World::both("as-of", RULES, |world| {
        let mut ends = Vec::new();
        let mut last = 0;
        for day in 16..24 {
            last = world.says("aming", at(day, 9), "签到");
            world.says("aming", at(day, 21), "晚上随便聊聊");
            if day == 19 {
                // Yesterday's message, late: it counts from today on.
                world.says("aming", at(18, 20), "昨天的话今天才到");
            }
            ends.push((date(2026, 11, day as i8), world.account("aming")));
        }
        world.takes_back("aming", at(24, 9), last);
        for (day, cell) in ends {
            let account = &told(world, "aming", Some(day)).accounts[0];
            if day != date(2026, 11, 18) {
                assert_eq!((account.balance, account.lifetime), (cell.available, cell.lifetime), "{day}");
            }
            assert_eq!(account.postings.last().map(|line| line.balance), Some(account.balance));
        }
        let now = told(world, "aming", None);
        assert_eq!(now.accounts[0].balance, world.balance("aming"));
        assert!(now.accounts[0].postings.iter().any(|line| line.reverses.is_some()), "what was taken back is told");
        assert_eq!(now.accounts[0].kinds.iter().map(|kind| kind.points).sum::<i64>(), now.accounts[0].balance);
        assert_eq!(told(world, "aming", Some(date(2026, 11, 1))).accounts[0].balance, 0);
    });
}

#[test]
fn a_late_message_counts_from_the_day_it_was_booked() {
    World::both("late-as-of", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        let mut late =
            world.event("aming", at(16, 10), jifen::model::event::Kind::Said(jifen::model::event::Said { text: "昨天的话".into(), ..Default::default() }));
        late.received_at = at(17, 10);
        world.pipeline.hear(late).unwrap();
        assert_eq!(told(world, "aming", Some(date(2026, 11, 16))).accounts[0].balance, 2);
        assert_eq!(told(world, "aming", Some(date(2026, 11, 17))).accounts[0].balance, 3);
    });
}

#[test]
fn a_merged_person_has_one_statement_under_every_id() {
    World::both("merged-statement", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        world.opens("wxid_1", at(16, 9), 50);
        world.merge("wxid_1", "aming", at(17, 9)).unwrap();
        for who in ["aming", "wxid_1"] {
            let made = told(world, who, None);
            assert_eq!((made.accounts.len(), made.accounts[0].balance, made.accounts[0].lifetime), (1, 52, 52));
            assert_eq!(made.ids.len(), 2);
        }
        assert_eq!(told(world, "aming", Some(date(2026, 11, 16))).accounts[0].balance, 2);
    });
}

#[test]
fn nobody_has_no_statement() {
    World::both("nobody", RULES, |world| {
        world.says("aming", at(16, 9), "签到");
        let request = Request { member: "阿明".into(), ..Request::default() };
        assert!(matches!(statement(&*world.reader, &request), Err(StatementError::NotFound(text)) if text.contains("没有人叫这个名字")));
    });
}
