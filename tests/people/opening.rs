//! Opening balances from files: booked once, all or nothing, and told where they differ.

use std::path::PathBuf;

use jifen::import::members::{How, Survey, survey};
use jifen::import::opening::{Booked, Sheet, Target, book, rehearse};
use jifen::import::table::Table;

use crate::world::{RULES, World, at};

struct File {
    path: PathBuf,
}

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("jifen-opening-{name}-{}.csv", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File { path }
    }

    fn import(&self, world: &mut World, adds: bool) -> (Survey, Booked) {
        let (mut table, how) = (Table::open(&self.path, None).unwrap(), How::default());
        let seen = survey(&mut table, &how, &mut |_| {}).unwrap();
        let target = Target { corp: "acme".into(), campaign: "main".into(), at: at(16, 9), adds };
        let mut sheet = Sheet { table: &mut table, how: &how, survey: &seen };
        let told = rehearse(&*world.reader, &mut sheet, &target, &mut |_| {}).unwrap();
        let booked = book(&mut world.pipeline, &*world.reader, &mut sheet, &target, &mut |_| {}).unwrap();
        assert_eq!(told, booked, "a dry run says what happens");
        (seen, booked)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn a_file_that_comes_twice_changes_nothing() {
    World::both("twice", RULES, |world| {
        let sheet = File::new("twice", "成员ID,姓名,积分\naming,阿明,120\nxiaohong,小红,30\nling,零,0\n");
        let (seen, booked) = sheet.import(world, false);
        assert_eq!((seen.sum, booked.new, booked.new_points), (150, 2, 150));
        assert_eq!((world.balance("aming"), world.balance("xiaohong")), (120, 30));
        let head = world.reader.head().unwrap();
        let (_, booked) = sheet.import(world, false);
        assert_eq!((booked.new, booked.same, booked.same_points, booked.different), (0, 2, 150, 0));
        assert_eq!(world.reader.head().unwrap(), head, "not one row more");
        world.says("aming", at(17, 9), "签到");
        assert_eq!(world.account("aming").lifetime, 122, "what was brought counts as earned");
    });
}

#[test]
fn another_balance_of_the_same_person_is_told_and_added_only_when_asked() {
    World::both("different", RULES, |world| {
        File::new("different-1", "成员ID,积分\naming,120\nxiaohong,30\n").import(world, false);
        let second = File::new("different-2", "userid,points\nAMing,50\nxiaohong,30\nlaowang,5\n");
        let (seen, booked) = second.import(world, false);
        assert_eq!((booked.new, booked.same, booked.different), (1, 1, 1));
        assert_eq!((booked.examples[0].row, booked.examples[0].booked, booked.examples[0].told), (2, 120, 50));
        assert_eq!(booked.new_points + booked.same_points + booked.different_points, seen.sum);
        assert_eq!(world.balance("aming"), 120);
        let (_, booked) = second.import(world, true);
        assert_eq!((booked.new, booked.new_points, booked.different), (1, 50, 0));
        assert_eq!(world.balance("aming"), 170);
        let (_, booked) = second.import(world, true);
        assert_eq!(booked.new, 0, "once for each file");
        assert_eq!(world.balance("aming"), 170);
    });
}

#[test]
fn a_name_that_a_channel_told_is_newer_than_the_files() {
    World::both("names", RULES, |world| {
        File::new("names", "成员ID,姓名,积分\naming,阿明,1\n").import(world, false);
        let member = world.account("aming").key.member;
        assert_eq!(world.reader.member(member).unwrap().unwrap().name.as_deref(), Some("阿明"));
        File::new("names-2", "成员ID,姓名,积分\naming,老名字,2\n").import(world, true);
        assert_eq!(world.reader.member(member).unwrap().unwrap().name.as_deref(), Some("阿明"));
        assert_eq!(world.balance("aming"), 3);
    });
}

#[test]
fn many_rows_are_booked_block_by_block() {
    let rows = 3_000;
    let text: String = std::iter::once("external_userid,积分\n".to_owned()).chain((0..rows).map(|row| format!("wm{row:030},{}\n", row + 1))).collect();
    let (sheet, mut world) = (File::new("many", &text), World::in_memory(RULES));
    let (seen, booked) = sheet.import(&mut world, false);
    assert_eq!((booked.new, booked.new_points), (rows, (1..=rows as i64).sum()));
    assert_eq!(seen.sum, booked.new_points);
    world.prove();
}
