//! Points that went, put back by an operator: once, with a reason, provably.

use crate::house::House;

const RULES: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 10

[campaign.main]
expires = "5d"
grace = "7d"
"#;

const HISTORY: &str = r#"
{"id":"m-1","at":"2026-11-01T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
{"id":"m-2","at":"2026-11-02T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","said":{"text":"签到"}}
{"id":"m-3","at":"2026-11-20T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"xiaohong","name":"小红","said":{"text":"签到"}}
"#;

#[test]
fn expired_points_are_put_back_once_and_the_books_still_prove_themselves() {
    let house = House::new("reinstate", RULES);
    house.write("history.jsonl", HISTORY);
    let replayed = house.jifen(&["replay", "history.jsonl"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let ledger = house.jifen(&["export", "ledger"]);
    assert_eq!(ledger.out.lines().filter(|line| line.contains(",expiry,")).count(), 2, "{ledger:?}");

    let seen = house.jifen(&["reinstate", "--member", "aming", "--dry-run"]);
    assert!(seen.code == Some(0) && seen.out.matches("过期 10 分").count() == 2 && seen.out.contains("什么也没有写"), "{seen:?}");
    let nameless = house.jifen(&["reinstate", "--member", "aming"]);
    assert_eq!(nameless.code, Some(2), "a reason is needed: {nameless:?}");

    let first = seen.out.split_whitespace().nth(1).unwrap();
    let one = house.jifen(&["reinstate", "--member", "aming", "--event", first, "--reason", "系统停机"]);
    assert!(one.code == Some(0) && one.out.contains("恢复了 10 分,有效至 "), "{one:?}");
    let again = house.jifen(&["reinstate", "--member", "aming", "--event", first, "--reason", "系统停机"]);
    assert!(again.code == Some(1) && again.err.contains("没有可以恢复的"), "{again:?}");
    let rest = house.jifen(&["reinstate", "--member", "AMing", "--reason", "系统停机"]);
    assert!(rest.code == Some(0) && rest.out.matches("恢复了 10 分").count() == 1, "{rest:?}");
    let nobody = house.jifen(&["reinstate", "--member", "lisi", "--reason", "系统停机"]);
    assert_eq!(nobody.code, Some(1), "{nobody:?}");

    let proved = house.jifen(&["verify"]);
    assert_eq!(proved.code, Some(0), "{proved:?}");
}
