//! People on the command line: what they bring, what they had, and who turns out to be whom.

use serde_json::Value;

use crate::house::{House, RULES};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);

const HISTORY: &str = r#"{"id":"m-1","at":"2026-06-29T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
{"id":"m-2","at":"2026-06-30T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","said":{"text":"签到"}}
{"id":"m-3","at":"2026-07-01T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","said":{"text":"签到"}}
"#;

fn balance(house: &House, args: &[&str]) -> i64 {
    let ran = house.jifen(&[&["statement", "--format", "json", "--member"], args].concat());
    assert_eq!(ran.code, DONE, "{ran:?}");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    told["accounts"][0]["balance"].as_i64().unwrap()
}

#[test]
fn a_file_in_gbk_is_booked_once_and_a_bad_one_not_at_all() {
    let house = House::new("openings", RULES);
    let (gbk, _, _) = encoding_rs::GB18030.encode("客户昵称,成员ID,剩余积分\r\n阿明,aming,\"1,200\"\r\n小红,xiaohong,30\r\n");
    std::fs::write(house.path("old.csv"), &gbk).unwrap();
    let dry = house.jifen(&["import", "members", "old.csv", "--dry-run"]);
    assert!(dry.code == DONE && dry.out.contains("CSV(GBK)") && dry.out.contains("会记 2 笔期初,1230 分"), "{dry:?}");
    for new in ["新记 2 笔期初,1230 分", "新记 0 笔期初,0 分;早已记过 2 笔,1230 分"] {
        let ran = house.jifen(&["import", "members", "old.csv"]);
        assert!(ran.code == DONE && ran.out.contains(new), "{ran:?}");
    }
    house.write("bad.csv", "成员ID,积分\nlaowang,5\nlaoli,1.5\n阿黄,3\n");
    let bad = house.jifen(&["import", "members", "bad.csv"]);
    assert!(bad.code == FINDING && bad.out.contains("第 3 行") && bad.out.contains("第 4 行") && bad.out.contains("一行也没有记"), "{bad:?}");
    assert_eq!(house.jifen(&["statement", "--member", "laowang"]).code, FINDING);
    house.write("nicknames.csv", "昵称,积分\n阿明,3\n");
    let wrong = house.jifen(&["import", "members", "nicknames.csv"]);
    assert!(wrong.code == Some(2) && wrong.err.contains("还缺 成员编号"), "{wrong:?}");
    let verified = house.jifen(&["verify"]);
    assert_eq!(verified.code, DONE, "{verified:?}");
}

#[test]
fn two_ids_are_merged_told_and_parted() {
    let house = House::new("merges", RULES);
    house.write("history.jsonl", HISTORY);
    house.jifen(&["replay", "history.jsonl"]);
    house.write("old.csv", "wxid,积分\nwxid_1,50\n");
    assert!(house.jifen(&["import", "members", "old.csv", "--format", "wetool"]).out.contains("jifen merge wxid_"));
    let unknown = house.jifen(&["merge", "wxid_1", "amign"]);
    assert!(unknown.code == FINDING && unknown.err.contains("没有见过 amign"), "{unknown:?}");
    let dry = house.jifen(&["merge", "wxid_1", "aming", "--dry-run"]);
    assert!(dry.code == DONE && dry.out.contains("余额 6 → 56"), "{dry:?}");
    assert_eq!(balance(&house, &["aming"]), 6);
    let merged = house.jifen(&["merge", "wxid_1", "aming"]);
    let event = merged.out.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    assert_eq!((balance(&house, &["aming"]), balance(&house, &["wxid_1"])), (56, 56));
    assert_eq!(balance(&house, &["aming", "--as-of", "2026-06-30"]), 4, "as a day of the past was");
    let accounts = house.jifen(&["export", "accounts"]);
    assert!(accounts.out.lines().count() == 2 && accounts.out.contains(",56,56"), "one person, one row: {accounts:?}");
    house.jifen(&["export", "ledger", "--out", "ledger.csv"]);
    assert_eq!(house.jifen(&["verify", "--file", "ledger.csv"]).code, DONE);
    let parted = house.jifen(&["unmerge", &event]);
    assert_eq!(parted.code, DONE, "{parted:?}");
    assert_eq!((balance(&house, &["aming"]), balance(&house, &["wxid_1"])), (6, 50));
    assert_eq!(house.jifen(&["unmerge", &event]).code, FINDING);
    let verified = house.jifen(&["verify"]);
    assert_eq!(verified.code, DONE, "{verified:?}");
}
