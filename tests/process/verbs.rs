//! The command line's contract: exit codes, what goes to stdout, the keys that other programs read.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::house::{House, JIFEN, RULES};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

const VERBS: [&str; 23] = [
    "demo",
    "serve",
    "check",
    "rules",
    "backtest",
    "replay",
    "try",
    "explain",
    "retry",
    "outbox",
    "export",
    "verify",
    "backup",
    "restore",
    "import",
    "statement",
    "merge",
    "unmerge",
    "reinstate",
    "grant",
    "budget",
    "approve",
    "reject",
];

/// Three days of two people, with all that a line may have.
const HISTORY: &str = r#"
{"id":"m-1","at":"2026-11-20T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
{"id":"m-2","at":"2026-11-20T09:05:00+08:00","corp":"acme","group":"wrGroup","member":"xiaohong","name":"小红","said":{"text":"今天骑了二十公里","images":1}}
{"id":"m-3","at":"2026-11-21T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"xiaohong","said":{"text":"签到","at_assistant":true}}
{"id":"m-4","at":"2026-11-21T09:01:00+08:00","corp":"acme","member":"aming","said":{"text":"签到"}}
{"id":"r-1","at":"2026-11-21T09:02:00+08:00","corp":"acme","group":"wrGroup","member":"xiaohong","recalled":{"of":"m-2"}}
"#;

fn replayed(name: &str) -> House {
    let house = House::new(name, RULES);
    house.write("history.jsonl", HISTORY);
    let ran = house.jifen(&["replay", "history.jsonl"]);
    assert_eq!((ran.code, ran.err.as_str()), (DONE, ""), "{ran:?}");
    assert!(ran.out.contains("5 个新事件,0 个早已入账"), "{ran:?}");
    house
}

fn keys(row: &Value) -> Vec<&str> {
    row.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn sorted<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

#[test]
fn check_prints_every_mistake_with_its_place_and_exits_1() {
    let house = House::new("check", RULES);
    house.write("good.toml", "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n");
    let good = house.jifen(&["check", "good.toml"]);
    assert_eq!((good.code, good.err.as_str()), (DONE, ""), "{good:?}");

    house.write(
        "bad.toml",
        "[check_in.daily]\nkeyword = [\"签到\"]\npoints = \"两分\"\n\n[speaking.night]\nwhen = \"25:00-26:00\"\npoints = 1\nmode = \"lvie\"\nmax_points = { day = 9 }\n",
    );
    let bad = house.jifen(&["check", "bad.toml"]);
    assert_eq!((bad.code, bad.out.as_str()), (FINDING, "没有通过:4 处错误,0 处测试不对\n"), "{bad:?}");
    let (help, lines): (Vec<&str>, Vec<&str>) = bad.err.lines().partition(|line| line.starts_with("  → 说明:"));
    assert!(help.iter().any(|line| line.contains("jifen check --explain unknown-key")), "{bad:?}");
    assert!(lines.len() >= 4, "every mistake at once: {bad:?}");
    for line in &lines {
        let parts: Vec<&str> = line.splitn(4, ':').collect();
        assert!(parts[0] == "bad.toml" && parts[1].parse::<usize>().is_ok() && parts[2].parse::<usize>().is_ok(), "{line}");
        assert!(parts[3].starts_with(" error[") && parts[3].contains("]: "), "{line}");
    }
    assert!(lines[0].starts_with("bad.toml:2:1: error[unknown-key]: ") && lines[0].contains("是不是想写 keywords"), "{bad:?}");

    let json = house.jifen(&["check", "bad.toml", "--format", "json"]);
    assert_eq!((json.code, json.err.as_str()), (FINDING, ""), "{json:?}");
    let report: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&report["ok"], report["mistakes"].as_array().unwrap().len()), (&Value::Bool(false), lines.len()));
    assert_eq!(keys(&report["mistakes"][0]), sorted(&["line", "column", "severity", "code", "text", "cost", "help"]));
}

#[test]
fn check_runs_the_tests_and_lets_warnings_pass() {
    let house = House::new("warnings", RULES);
    house.write("warned.toml", "[speaking.day]\npoints = 1\n");
    let warned = house.jifen(&["check", "warned.toml"]);
    assert_eq!(warned.code, DONE, "{warned:?}");
    assert!(warned.err.contains("warned.toml:1:11: warning[no-cap]: ") && warned.out.contains("1 处提醒"), "{warned:?}");

    let test = |points: &str| {
        format!("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n\n[[test]]\nname = \"两分\"\nchat = \"11-22 09:00 阿明: 签到 => {points}\"\n")
    };
    house.write("right.toml", &test("+2"));
    let right = house.jifen(&["check", "right.toml"]);
    assert_eq!(right.code, DONE, "{right:?}");
    assert!(right.out.contains("1 个测试都对"), "{right:?}");
    house.write("wrong.toml", &test("+3"));
    let wrong = house.jifen(&["check", "wrong.toml"]);
    assert!(wrong.code == FINDING && wrong.out.starts_with("没有通过:0 处错误,1 处测试不对\n分数是有意改的,就把 [[test]] 里的得数一起改"), "{wrong:?}");
    assert!(wrong.err.starts_with("wrong.toml:7:1: ") && wrong.err.contains("error[test-failed]: 测试「两分」没有通过"), "{wrong:?}");
    let json: Value = serde_json::from_str(&house.jifen(&["check", "wrong.toml", "--format", "json"]).out).unwrap();
    assert_eq!((json["failures"].as_array().unwrap().len(), &json["tests"]), (1, &Value::from(1)));

    fs::write(house.path("gbk.toml"), b"title = \"\xc7\xa9\xb5\xbd\"").unwrap();
    for (file, code, sentence) in [("gbk.toml", FINDING, "不是 UTF-8"), ("nowhere.toml", USAGE, "读不到 nowhere.toml")] {
        let ran = house.jifen(&["check", file]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.err.contains(sentence), "{ran:?}");
    }
}

#[test]
fn a_replay_is_idempotent_and_reads_stdin() {
    let house = replayed("replay");
    let again = house.jifen(&["replay", "history.jsonl"]);
    assert_eq!(again.code, DONE, "{again:?}");
    assert!(again.out.contains("0 个新事件,5 个早已入账"), "{again:?}");
    let mut child = Command::new(JIFEN).args(["replay", "-"]).current_dir(house.path("")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(HISTORY.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("5 个早已入账"), "{output:?}");
    house.must_verify();
    let open: i64 = Connection::open(house.path("jifen.db")).unwrap().query_row("SELECT count(*) FROM outbox WHERE state < 2", [], |row| row.get(0)).unwrap();
    assert_eq!(open, 0, "history is never answered");
}

#[test]
fn a_bad_line_stops_a_replay_with_its_number_and_nothing_after_it_counts() {
    let house = House::new("bad-line", RULES);
    let lines: Vec<&str> = HISTORY.trim().lines().collect();
    let bad = [
        "{\"id\":\"m-9\"",
        "{\"id\":\"m-9\",\"at\":\"昨天\",\"member\":\"a\",\"said\":{}}",
        "{\"id\":\"m-9\",\"at\":\"2026-11-20T09:00:00Z\",\"member\":\"a\",\"sad\":{}}",
    ];
    for (at, bad) in bad.into_iter().enumerate() {
        house.write("bad.jsonl", &[lines[0], bad, lines[1]].join("\n"));
        let database = format!("sqlite:{}", house.path(&format!("bad{at}.db")).display());
        let ran = house.jifen(&["replay", "bad.jsonl", "--database", &database]);
        assert_eq!((ran.code, ran.out.as_str()), (FINDING, ""), "{ran:?}");
        assert!(ran.err.contains("第 2 行:"), "{ran:?}");
        assert_eq!(house.jifen(&["explain", "m-1", "--database", &database]).code, DONE, "lines before it count");
        assert_eq!(house.jifen(&["explain", "m-2", "--database", &database]).code, FINDING, "lines after it do not");
    }
}

#[test]
fn explain_is_json_of_the_agreed_shape_and_an_ambiguous_id_is_a_finding() {
    let house = replayed("explain");
    let ran = house.jifen(&["explain", "m-1"]);
    assert_eq!((ran.code, ran.err.as_str()), (DONE, ""), "{ran:?}");
    let explained: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(keys(&explained), ["bystanders", "event", "verdicts"]);
    assert_eq!((&explained["event"]["id"], &explained["event"]["points"]), (&Value::from("m-1"), &Value::from(2)));
    let reply = &explained["event"]["replies"][0];
    assert_eq!((&reply["occasion"], &reply["state"], &reply["reason"]), (&"paid".into(), &"suppressed".into(), &"历史补录,不发送".into()));
    let verdict = &explained["verdicts"][0];
    assert_eq!(keys(verdict), sorted(&["rule", "title", "outcome", "points", "why", "base", "factors", "caps"]));
    assert_eq!((&verdict["rule"], &verdict["outcome"], &verdict["points"]), (&Value::from("check_in.daily"), &Value::from("paid"), &Value::from(2)));
    let text = house.jifen(&["explain", "m-1", "--format", "text"]);
    assert!(text.code == DONE && text.out.contains("check_in.daily +2"), "{text:?}");

    let unknown = house.jifen(&["explain", "m-99"]);
    assert_eq!((unknown.code, unknown.out.as_str()), (FINDING, ""), "{unknown:?}");
    let twin = HISTORY.trim().lines().next().unwrap().replace("\"id\":\"m-1\"", "\"id\":\"m-1\",\"source\":\"app/1000002\"");
    house.write("twin.jsonl", &twin);
    assert_eq!(house.jifen(&["replay", "twin.jsonl"]).code, DONE);
    let ambiguous = house.jifen(&["explain", "m-1"]);
    assert_eq!((ambiguous.code, ambiguous.out.as_str()), (FINDING, ""), "{ambiguous:?}");
    assert!(ambiguous.err.contains("acme/app/1000002") && ambiguous.err.contains("acme/replay"), "{ambiguous:?}");
    assert_eq!(house.jifen(&["explain", "m-1", "--source", "replay"]).code, DONE);
}

#[test]
fn exports_have_the_agreed_keys_in_every_format() {
    let house = replayed("export");
    let agreed = [
        ("accounts", "corp,campaign,member,name,groups,check_in,speaking,retention,order,other,redeemed,lifetime,balance"),
        ("ledger", "seq,at,event,rule,code,member,src,dst,amount,vests_on,expires_on,reverses,rules,hash"),
    ];
    for (what, header) in agreed {
        let csv = house.jifen(&["export", what]);
        assert_eq!(csv.code, DONE, "{csv:?}");
        assert_eq!(csv.out.trim_start_matches('\u{feff}').lines().next().map(str::trim_end), Some(header));
        let rows = house.export(what);
        assert_eq!(keys(&rows[0]), sorted(&header.split(',').collect::<Vec<_>>()));
        let xlsx = house.jifen(&["export", what, "--format", "xlsx", "--out", "out.xlsx"]);
        assert!(xlsx.code == DONE && fs::read(house.path("out.xlsx")).unwrap().starts_with(b"PK"), "{xlsx:?}");
    }
    let accounts = house.export("accounts");
    let aming = accounts.iter().find(|account| account["member"] == "aming").unwrap();
    assert_eq!((&aming["balance"], &aming["check_in"], &aming["name"]), (&Value::from(4), &Value::from(4), &Value::from("阿明")));
    assert!(aming["groups"].is_array(), "{aming}");
    let backwards = house.jifen(&["export", "accounts", "--from", "2026-11-30", "--to", "2026-11-01"]);
    assert_eq!((backwards.code, backwards.out.as_str()), (USAGE, ""), "{backwards:?}");
}

#[test]
fn a_changed_byte_of_a_posting_is_found_here_and_in_an_export() {
    let house = replayed("verify");
    house.must_verify();
    let csv = house.jifen(&["export", "ledger"]).out;
    house.write("ledger.csv", &csv);
    let sound = house.jifen(&["verify", "--file", "ledger.csv"]);
    assert_eq!(sound.code, DONE, "{sound:?}");
    let forged = csv.replacen(",2,", ",3,", 1);
    assert_ne!(csv, forged);
    house.write("forged.csv", &forged);
    let found = house.jifen(&["verify", "--file", "forged.csv"]);
    assert_eq!(found.code, FINDING, "{found:?}");
    let cut: String = csv.lines().enumerate().filter(|(number, _)| *number != 2).map(|(_, line)| format!("{line}\n")).collect();
    house.write("cut.csv", &cut);
    assert_eq!(house.jifen(&["verify", "--file", "cut.csv"]).code, FINDING, "a row is missing");

    // Behind the triggers, as somebody with an editor would.
    let db = Connection::open(house.path("jifen.db")).unwrap();
    db.execute_batch("DROP TRIGGER posting_is_final; UPDATE posting SET amount = 3 WHERE seq = 1").unwrap();
    drop(db);
    let found = house.jifen(&["verify"]);
    assert_eq!(found.code, FINDING, "{found:?}");
    assert!(found.out.contains("INV-"), "{found:?}");
}

#[test]
fn every_verb_explains_itself_with_an_example() {
    let house = House::new("help", RULES);
    for verb in VERBS {
        let help = house.jifen(&[verb, "--help"]);
        assert_eq!((help.code, help.err.as_str()), (DONE, ""), "{verb}");
        assert!(help.out.contains("例子:") && help.out.contains(&format!("  jifen {verb}")), "{verb}: {}", help.out);
    }
    let help = house.jifen(&["--help"]);
    assert!(help.code == DONE && VERBS.iter().all(|verb| help.out.contains(verb)), "{}", help.out);
}

#[test]
fn wrong_usage_is_2_and_stdout_stays_empty() {
    let house = House::new("usage", RULES);
    let wrong: [&[&str]; 9] = [
        &[],
        &["fly"],
        &["export"],
        &["export", "everything"],
        &["check", "--format", "yaml"],
        &["serve", "--config", "nowhere.toml"],
        &["replay", "nowhere.jsonl"],
        &["verify", "--database", "sqlite:nowhere.db"],
        &["verify", "--database", "postgres://nowhere"],
    ];
    for args in wrong {
        let ran = house.jifen(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}: {ran:?}");
        assert!(!ran.err.is_empty(), "{args:?}");
    }
    assert!(!house.path("nowhere.db").exists(), "a verb that reads makes no file");
}

#[test]
fn a_reader_that_goes_away_ends_a_verb_quietly() {
    let house = replayed("unheard");
    for args in [&["rules", "history"][..], &["explain", "m-1"], &["statement", "--member", "阿明"], &["export", "ledger"], &["schema"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = house.unheard(args, writer);
        assert_eq!((ran.code, ran.err.as_str()), (Some(141), ""), "{args:?}");
    }
}
