//! Pictures that were paid for are known after a restart, by their bytes and by their looks, and `verify` proves it.

use rusqlite::Connection;
use serde_json::Value;

use crate::house::{House, Ran};

const RULES: &str = "[check_in.ride]\ntitle = \"骑行挑战打卡\"\nkeywords = [\"骑行挑战打卡\"]\nmatch = \"contains\"\nneeds = \"image\"\npoints = 200\n\
                     max_times = { month = 1 }\n";

/// What a picture looks like, and the same with six bits turned.
const LOOK: &str = "0123456789abcdef0123456789abcdef";
const NEAR: &str = "0123456789abcdef0123456789abcdd0";
const FAR: &str = "fedcba98765432100123456789abcdef";

fn line(id: &str, at: &str, member: &str, said: &str) -> String {
    format!("{{\"id\":\"{id}\",\"at\":\"2026-11-{at}+08:00\",\"corp\":\"acme\",\"group\":\"wrGroup\",\"member\":\"{member}\",{said}}}\n")
}

fn said(text: &str, images: &str) -> String {
    format!("\"said\":{{\"text\":\"{text}\",\"images\":{images}}}")
}

fn balance(house: &House, member: &str) -> i64 {
    let exported = house.jifen(&["export", "accounts", "--format", "jsonl"]);
    let rows = exported.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    rows.filter(|row| row["member"] == member).map(|row| row["balance"].as_i64().expect("a number")).sum()
}

fn replay(house: &House, lines: &str) -> Ran {
    house.write("lines.jsonl", lines);
    house.jifen(&["replay", "lines.jsonl"])
}

fn paid(house: &House, lines: &str, member: &str) -> i64 {
    let ran = replay(house, lines);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    house.must_verify();
    balance(house, member)
}

#[test]
fn a_picture_is_paid_for_once_over_restarts_by_its_bytes_and_by_its_looks() {
    let house = House::new("pictures", RULES);
    let known = format!("[{{\"hash\":\"sha256:aa\",\"look\":\"{LOOK}\"}}]");
    let alike = format!("[{{\"hash\":\"sha256:bb\",\"look\":\"{NEAR}\"}}]");
    let other = format!("[{{\"hash\":\"sha256:cc\",\"look\":\"{FAR}\"}}]");
    assert_eq!(paid(&house, &line("m-1", "22T09:00:00", "aming", &said("骑行挑战打卡", &known)), "aming"), 200);
    assert_eq!(paid(&house, &line("m-2", "22T10:00:00", "xiaohong", &said("骑行挑战打卡", "[\"sha256:aa\"]")), "xiaohong"), 0);
    assert_eq!(paid(&house, &line("m-3", "22T11:00:00", "xiaohong", &said("骑行挑战打卡", &alike)), "xiaohong"), 0);
    let why = house.jifen(&["explain", "m-3"]).out;
    assert!(why.contains("\"outcome\":\"proof_used\"") || why.contains("\"outcome\": \"proof_used\""), "{why}");
    assert_eq!(paid(&house, &line("m-4", "22T12:00:00", "xiaohong", &said("骑行挑战打卡", &other)), "xiaohong"), 200);
    assert_eq!(paid(&house, &line("m-1r", "22T13:00:00", "aming", "\"recalled\":{\"of\":\"m-1\"}"), "aming"), 0);
    assert_eq!(paid(&house, &line("m-5", "22T14:00:00", "aming", &said("骑行挑战打卡", &alike)), "aming"), 200);

    let database = Connection::open(house.path("jifen.db")).expect("it opens");
    database.execute("UPDATE proof SET used = 0 WHERE used = 1 AND original = number AND seen = 1", []).expect("changed");
    let found = house.jifen(&["verify"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(found.out.contains("INV-proof") || found.err.contains("INV-proof"), "{found:?}");
}

#[test]
fn pictures_that_cannot_be_read_stop_a_replay_with_what_to_write() {
    let house = House::new("bad-pictures", RULES);
    let many = format!("[{}]", vec!["\"sha256:aa\""; 101].join(","));
    for (images, sentence) in [("[\"\"]", "空的哈希"), ("[{\"hash\":\"a\",\"look\":\"12\"}]", "32 个十六进制数字"), (many.as_str(), "最多 100 张")]
    {
        let ran = replay(&house, &line("m-1", "22T09:00:00", "aming", &said("骑行挑战打卡", images)));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("第 1 行") && ran.err.contains(sentence), "{ran:?}");
    }
}
