//! What is exported says what was booked, in every form, and the ledger proves itself elsewhere.

use std::collections::HashMap;

use jifen::export::{Format, Request, What, export};
use jifen::store::Reader;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::verify::verify_file;

use crate::ledger::{book, scratch};
use crate::verify::messages;

fn booked() -> MemoryReader {
    let mut store = MemoryStore::default();
    for message in messages() {
        assert!(book(&mut store, message).unwrap());
    }
    store.reader()
}

fn request(what: What, format: Format) -> Request {
    Request { what, format, from: None, to: None, zones: HashMap::new() }
}

fn text(reader: &dyn Reader, request: &Request) -> String {
    let mut out = Vec::new();
    export(reader, request, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn accounts_are_summed_by_kind_of_rule() {
    let csv = text(&booked(), &request(What::Accounts, Format::Csv));
    assert_eq!(
        csv,
        "\u{feff}corp,campaign,member,name,groups,check_in,speaking,retention,order,other,redeemed,lifetime,balance\n\
         acme,main,AMing,阿明,骑行一群,14,0,0,0,0,0,14,14\n\
         acme,main,xiaohong,小红,骑行一群,2,1,0,0,0,0,3,3\n"
    );
}

#[test]
fn a_period_counts_its_own_points_and_the_lifetime_to_its_end() {
    let day = |day| Some(jiff::civil::date(2026, 11, day));
    let row = |from, to| text(&booked(), &Request { from, to, ..request(What::Accounts, Format::Csv) }).lines().nth(1).unwrap().to_owned();
    assert_eq!(row(day(22), None), "acme,main,AMing,阿明,骑行一群,12,0,0,0,0,0,14,14");
    assert_eq!(row(None, day(21)), "acme,main,AMing,阿明,骑行一群,2,0,0,0,0,0,2,14");
}

#[test]
fn json_lines_hold_numbers_and_lists() {
    let lines = text(&booked(), &request(What::Accounts, Format::Jsonl));
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["groups"], serde_json::json!(["骑行一群"]));
    assert_eq!(first["balance"], 14);
    let ledger = text(&booked(), &request(What::Ledger, Format::Jsonl));
    let third: serde_json::Value = serde_json::from_str(ledger.lines().nth(2).unwrap()).unwrap();
    assert_eq!(third["at"], "2026-11-22T09:02:00.25+08:00");
    assert_eq!((&third["src"], &third["dst"], &third["member"]), (&"issued:1".into(), &"member:1".into(), &"AMing".into()));
    assert_eq!((&third["vests_on"], &third["expires_on"]), (&serde_json::Value::Null, &"2027-11-22".into()));
}

#[test]
fn a_campaign_in_another_zone_is_told_in_it() {
    let zones = HashMap::from([("main".into(), jiff::tz::TimeZone::get("Asia/Tokyo").unwrap())]);
    let ledger = text(&booked(), &Request { zones, ..request(What::Ledger, Format::Jsonl) });
    assert!(ledger.lines().next().unwrap().contains("2026-11-21T10:00:00+09:00"), "{ledger}");
}

#[test]
fn a_workbook_is_written() {
    let mut out = Vec::new();
    assert_eq!(export(&booked(), &request(What::Ledger, Format::Xlsx), &mut out).unwrap(), 4);
    assert_eq!(out[..4], *b"PK\x03\x04");
}

#[test]
fn an_exported_ledger_proves_itself_and_any_changed_cell_is_found() {
    let path = scratch("ledger").join("ledger.csv");
    let sound = text(&booked(), &request(What::Ledger, Format::Csv));
    std::fs::write(&path, &sound).unwrap();
    let report = verify_file(&path).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.postings, report.events), (4, 4));

    for (is, becomes) in [
        ("member:1,2,", "member:1,3,"),
        ("09:02:00.25", "09:02:00.26"),
        ("speaking.evening,speaking.evening", "speaking.evening,speaking.morning"),
        ("issued:1,member:2", "issued:1,member:1"),
        ("member:2", "member:2/held"),
        ("2027-11-22", "2027-11-23"),
        ("v1.", "v1.0"),
    ] {
        assert!(sound.contains(is), "{is}");
        std::fs::write(&path, sound.replacen(is, becomes, 1)).unwrap();
        let found = verify_file(&path).map(|report| report.findings.len()).unwrap_or(1);
        assert!(found > 0, "{is} → {becomes}");
    }
    let without_second: String = sound.lines().enumerate().filter(|(line, _)| *line != 2).map(|(_, line)| format!("{line}\n")).collect();
    std::fs::write(&path, without_second).unwrap();
    assert_eq!(verify_file(&path).unwrap().findings[0].name, "INV-posting-dense");
}

#[test]
fn a_part_of_a_ledger_is_refused_with_the_reason() {
    let path = scratch("part").join("ledger.csv");
    let from = Some(jiff::civil::date(2026, 11, 22));
    std::fs::write(&path, text(&booked(), &Request { from, ..request(What::Ledger, Format::Csv) })).unwrap();
    let refused = verify_file(&path).unwrap_err();
    assert!(refused.contains("完整账本"), "{refused}");
}
