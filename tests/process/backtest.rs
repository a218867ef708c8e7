//! `jifen backtest` as operators run it: what it says, what it refuses, and that it writes nothing.

use std::fs;

use serde_json::Value;

use crate::house::{House, RULES};
use crate::talk::{Plan, lines};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

/// A house in which 400 messages of two weeks were heard.
fn talked(name: &str) -> House {
    let house = House::new(name, RULES);
    let plan = Plan { lines: 400, days: 14, members: 12, ..Plan::default() };
    house.write("talk.jsonl", &lines(&plan).join("\n"));
    let ran = house.jifen(&["replay", "talk.jsonl"]);
    assert_eq!(ran.code, DONE, "{ran:?}");
    house
}

/// What a row of the ledger gives the member; less than nothing where something is taken back.
fn earned(row: &Value) -> i64 {
    let amount = row["amount"].as_i64().expect("an amount");
    if row["dst"].as_str().is_some_and(|dst| dst.starts_with("member")) { amount } else { -amount }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn sorted<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

#[test]
fn the_same_file_changes_nothing_and_another_is_told_in_numbers() {
    let house = talked("backtest");
    let before = fs::read(house.path("jifen.db")).unwrap();
    let ledger = house.export("ledger");

    house.write("same.toml", RULES);
    let same = house.jifen(&["backtest", "--rules", "same.toml"]);
    assert_eq!((same.code, same.err.as_str()), (DONE, ""), "{same:?}");
    assert!(same.out.starts_with("如果从 10 月 26 日起就用「same.toml」,每个人得的都和现在一样。\n"), "{same:?}");

    house.write("double.toml", &RULES.replace("points = 2", "points = 4"));
    let double = house.jifen(&["backtest", "--rules", "double.toml"]);
    assert_eq!((double.code, double.err.as_str()), (DONE, ""), "{double:?}");
    let check_ins: i64 = ledger.iter().filter(|row| row["code"] == "check_in.daily").map(earned).sum();
    let plain = double.out.replace('\u{a0}', "");
    assert!(check_ins > 0 && plain.contains(&format!("会多发 {check_ins} 积分")) && !plain.contains('\x1b'), "{plain}");

    let parity = house.jifen(&["backtest", "--parity"]);
    assert!(parity.code == DONE && parity.out.contains("和账本一模一样"), "{parity:?}");
    assert!(fs::read(house.path("jifen.db")).unwrap() == before, "nothing is written");
    house.must_verify();
}

#[test]
fn other_programs_find_the_same_keys() {
    let house = talked("backtest-json");
    house.write("double.toml", &RULES.replace("points = 2", "points = 4"));
    let ran = house.jifen(&["backtest", "--rules", "double.toml", "--format", "json", "--from", "2026-10-28", "--to", "2026-11-04", "--campaign", "main"]);
    assert_eq!((ran.code, ran.err.as_str()), (DONE, ""), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(keys(&report), sorted(&["old", "new", "from", "to", "events", "erased", "outside", "campaigns"]));
    assert_eq!((keys(&report["new"]), &report["new"]["name"]), (sorted(&["hash", "name"]), &Value::from("double.toml")));
    let campaign = &report["campaigns"][0];
    let all = [
        "id",
        "title",
        "points_name",
        "point_value",
        "total",
        "booked",
        "shadow",
        "rules",
        "groups",
        "gained",
        "lost",
        "same",
        "winners",
        "losers",
        "days",
        "verdicts",
        "lacking",
    ];
    assert_eq!(keys(campaign), sorted(&all));
    assert_eq!(keys(&campaign["total"]), sorted(&["was", "now", "times_was", "times_now"]));
    assert_eq!(keys(&campaign["rules"][0]), sorted(&["rule", "title", "change"]));
    assert_eq!(keys(&campaign["groups"][0]), sorted(&["chat", "title", "change", "members"]));
    assert_eq!(keys(&campaign["winners"][0]), sorted(&["member", "name", "change"]));
    assert_eq!(keys(&campaign["days"][0]), sorted(&["day", "was", "now"]));
    let days: Vec<&str> = campaign["days"].as_array().unwrap().iter().map(|day| day["day"].as_str().unwrap()).collect();
    assert!(days.iter().all(|day| ("2026-10-28"..="2026-11-04").contains(day)), "{days:?}");
}

#[test]
fn the_report_is_one_file_that_replaces_the_old_one_whole() {
    let house = talked("backtest-html");
    house.write("double.toml", &RULES.replace("points = 2", "points = 4"));
    house.write("report.html", "an older one");
    let ran = house.jifen(&["backtest", "--rules", "double.toml", "--html", "report.html"]);
    assert_eq!(ran.code, DONE, "{ran:?}");
    assert!(ran.err.starts_with("报告写在 /") && ran.err.contains("report.html"), "{ran:?}");
    let html = fs::read_to_string(house.path("report.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("会多发") && !html.contains("<script"));
    let nowhere = house.jifen(&["backtest", "--rules", "double.toml", "--html", "nowhere/report.html"]);
    assert!(nowhere.code == USAGE && nowhere.err.contains("写不了 nowhere/report.html"), "{nowhere:?}");
}

#[test]
fn a_file_that_may_not_go_live_is_not_tried() {
    let house = talked("backtest-bad");
    house.write("bad.toml", &RULES.replace("points = 2", "points = \"两分\""));
    let bad = house.jifen(&["backtest", "--rules", "bad.toml"]);
    assert_eq!((bad.code, bad.out.as_str()), (FINDING, ""), "{bad:?}");
    assert!(bad.err.starts_with("bad.toml:4:10: error[") && bad.err.contains("bad.toml 还不能用,没有回测"), "{bad:?}");
    house.write("failing.toml", &format!("{RULES}\n[[test]]\nname = \"三分\"\nchat = \"11-22 09:00 阿明: 签到 => +3\"\n"));
    let failing = house.jifen(&["backtest", "--rules", "failing.toml"]);
    let told = "failing.toml 里有 1 个测试还按旧的分数写着,换上之前要改。第一处 failing.toml:";
    assert!(failing.code == DONE && failing.err.starts_with(told) && failing.err.trim_end().lines().count() == 1, "{failing:?}");
    assert!(failing.out.contains("每个人得的都和现在一样"), "what amounts should be is the very question: {failing:?}");
}

#[test]
fn wrong_questions_are_answered_in_words() {
    let house = talked("backtest-usage");
    for (args, says) in [
        (&["--from", "2026-11-04", "--to", "2026-11-01"][..], "对调"),
        (&["--from", "昨天"], "日期要写成 2026-11-01 这样"),
        (&["--from", "2026-02-30"], "日期要写成 2026-11-01 这样"),
        (&["--campaign", "riders"], "没有叫 riders 的活动,现有:main"),
        (&["--against", "nowhere.toml"], "读不到规则文件 nowhere.toml"),
        (&["--open"], "--html"),
        (&["--parity"], "不能一起写"),
        (&["--database", "sqlite:nowhere.db"], "没有数据库"),
    ] {
        let ran = house.jifen(&[&["backtest", "--rules", "rules.toml"], args].concat());
        assert!(ran.code == USAGE && ran.out.is_empty() && ran.err.contains(says), "{args:?}: {ran:?}");
    }
}

#[test]
fn the_live_file_itself_is_compared_with_what_was_booked_last() {
    let house = talked("backtest-live");
    house.write("rules.toml", &RULES.replace("points = 2", "points = 4"));
    let ran = house.jifen(&["backtest", "--rules", "rules.toml"]);
    assert!(ran.code == DONE && ran.out.contains("会多发"), "{ran:?}");
    let against = house.jifen(&["backtest", "--rules", "rules.toml", "--against", "rules.toml"]);
    assert!(against.code == DONE && against.out.contains("和现在一样"), "{against:?}");
    house.write("new.toml", RULES);
    house.write("rules.toml", "broken");
    let broken = house.jifen(&["backtest", "--rules", "new.toml"]);
    assert!(broken.code == DONE && broken.err.contains("rules.toml 现在通不过检查") && broken.out.contains("和现在一样"), "{broken:?}");
}
