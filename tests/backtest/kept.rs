//! What stands: the days before the first that is asked for, and messages whose texts are erased. All in a database on disk, which is not touched.

use std::fs;
use std::path::PathBuf;

use jifen::pipeline::Work;
use jifen::store::Reader;
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::{Vault, random_key};

use crate::town::{Town, assert_same, at, paid};

const FILE: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 5 }\n";

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Check-ins of 阿明 on six days, of which the first three can no longer be read; 打卡 of 小红 on all of them.
fn town(name: &str) -> (Folder, Town<SqliteStore>) {
    let folder = std::env::temp_dir().join(format!("jifen-backtest-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (path, vault) = (folder.join("jifen.db"), Vault::new(random_key()));
    let store = SqliteStore::open(&path, &vault).expect("a store");
    let readers = (0..9).map(|_| Box::new(SqliteReader::open(&path, &vault).expect("a reader")) as Box<dyn Reader>).collect();
    let mut town = Town::over(store, readers, FILE);
    for day in 16..22 {
        town.says("aming", &format!("2026-11-{day}T09:00:00"), "签到");
        town.says("xiaohong", &format!("2026-11-{day}T10:00:00"), "打卡");
    }
    (Folder(folder), town)
}

#[test]
fn a_backtest_writes_nothing_and_the_ledger_stays_sound() {
    let (_folder, mut town) = town("nothing");
    assert_same(&town.tries(FILE));
    assert_eq!(paid(&town.tries(&FILE.replace("points = 2", "points = 3")).campaigns[0], "check_in.daily"), (6 * 2 + 2 * 5, 6 * 3 + 2 * 5, 6, 6));
    let proof = jifen::verify::verify(&*town.reader(), &mut |_| {}).expect("readable");
    assert!(proof.is_sound() && proof.events == 12, "{:?}", proof.findings);
}

#[test]
fn messages_whose_texts_are_erased_stand_as_they_were_decided() {
    let (_folder, mut town) = town("erased");
    town.works(Work::EraseTexts(at("2026-11-19T12:00:00")));
    assert_same(&town.tries(FILE));
    let report = town.tries(&FILE.replace("[\"签到\"]", "[\"签到\", \"打卡\"]"));
    assert_eq!((report.erased, report.events), (6, 6), "three days of both");
    assert_eq!(report.from.map(|day| day.to_string()), Some("2026-11-19".into()));
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "check_in.daily"), (3 * 2 + 5, 3 * 2 + 5 + 3 * 2 + 5, 3, 6), "the streak of 阿明 goes on, that of 小红 begins");
}

#[test]
fn days_before_the_first_stand_and_what_they_left_counts() {
    let (_folder, mut town) = town("from");
    let mut ask = town.asks(&FILE.replace("{ 3 = 5 }", "{ 5 = 50 }"));
    ask.from = Some(jiff::civil::date(2026, 11, 20));
    let report = town.tries_as(&ask);
    assert_eq!((report.events, report.erased), (4, 0));
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "check_in.daily"), (2 + 2 + 5, 2 + 50 + 2, 2, 2), "the fifth day in a row is the first that is decided again");
    ask.to = Some(jiff::civil::date(2026, 11, 20));
    let report = town.tries_as(&ask);
    assert_eq!((report.events, report.to.map(|day| day.to_string())), (2, Some("2026-11-20".into())));
    assert_eq!(paid(&report.campaigns[0], "check_in.daily"), (2, 52, 1, 1));
}

#[test]
fn a_span_that_ends_before_it_begins_and_a_campaign_nobody_knows_are_refused_in_words() {
    let (_folder, mut town) = town("refused");
    let mut ask = town.asks(FILE);
    (ask.from, ask.to) = (Some(jiff::civil::date(2026, 11, 21)), Some(jiff::civil::date(2026, 11, 20)));
    let told = |ask: &jifen::backtest::Ask, town: &mut Town<SqliteStore>| {
        let live = town.live.load_full();
        jifen::backtest::run(town.reader(), live, ask, &mut |_, _| {}).map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(told(&ask, &mut town), "从 2026-11-21 到 2026-11-20:开始的日子在结束的后面,请对调");
    (ask.from, ask.to, ask.campaign) = (None, None, Some("riders".into()));
    assert_eq!(told(&ask, &mut town), "没有叫 riders 的活动,现有:main");
}
