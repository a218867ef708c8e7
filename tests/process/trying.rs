//! `jifen try` and `jifen explain --member` as an operator types them: against the live state, which stays as it is.

use serde_json::Value;

use crate::house::{House, RULES};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

const HISTORY: &str = r#"
{"id":"m-1","at":"2026-11-20T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"aming","name":"阿明","said":{"text":"签到"}}
{"id":"m-2","at":"2026-11-20T09:05:00+08:00","corp":"acme","group":"wrGroup","member":"xiaohong","name":"小红","said":{"text":"今天骑了二十公里"}}
{"id":"m-3","at":"2026-11-21T09:00:00+08:00","corp":"acme","group":"wrGroup","member":"hong2","name":"小红","said":{"text":"签到"}}
{"id":"m-4","at":"2026-11-21T09:01:00+08:00","corp":"acme","group":"wrGroup","member":"aming","said":{"text":"签到"}}
"#;

fn replayed(name: &str) -> House {
    let house = House::new(name, RULES);
    house.write("history.jsonl", HISTORY);
    assert_eq!(house.jifen(&["replay", "history.jsonl"]).code, DONE);
    house
}

#[test]
fn a_line_is_tried_with_the_state_before_and_after_and_nothing_is_written() {
    let house = replayed("try");
    let before = std::fs::read(house.path("jifen.db")).unwrap();
    let tried = house.jifen(&["try", "阿明: 签到", "--at", "2026-11-22 20:30"]);
    assert_eq!(tried.code, DONE, "{tried:?}");
    for told in [
        "阿明(aming),在 wrGroup,2026-11-22 20:30",
        "check_in.daily +2",
        "得分 +2",
        "余额 4 → 6",
        "今天 1/1 次(之前 0)",
        "连续 2 → 3 天",
        "回复:阿明 每日签到成功 +2",
    ] {
        assert!(tried.out.contains(told), "{told}: {}", tried.out);
    }
    assert!(tried.out.contains("- 发言(speaking.talk):是口令,不算发言"), "{}", tried.out);
    let again = house.jifen(&["try", "阿明: 签到", "--at", "2026-11-21 20:30"]);
    assert!(again.out.contains("已记过") && again.out.contains("得分 +0"), "{again:?}");
    assert_eq!(std::fs::read(house.path("jifen.db")).unwrap(), before, "the file is the same to the byte");
    let verified = house.jifen(&["verify"]);
    assert_eq!(verified.code, DONE, "{verified:?}");
}

#[test]
fn its_json_has_all_of_it_and_what_is_not_as_expected_is_a_finding() {
    let house = replayed("try-json");
    let ran = house.jifen(&["try", "阿明: 签到 => +3", "--at", "2026-11-22 20:30", "--format", "json"]);
    assert_eq!(ran.code, FINDING, "{ran:?}");
    assert!(ran.err.contains("应得 +3,实得 +2"), "{ran:?}");
    let tried: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&tried["explained"]["event"]["points"], &tried["before"]["balance"], &tried["after"]["balance"]), (&2.into(), &4.into(), &6.into()));
    assert_eq!(tried["explained"]["verdicts"][0]["caps"][0]["text"], "今天 1/1 次");
}

#[test]
fn who_is_meant_must_be_clear() {
    let house = replayed("try-who");
    let several = house.jifen(&["try", "小红: 签到"]);
    assert_eq!(several.code, FINDING, "{several:?}");
    assert!(several.err.contains("xiaohong") && several.err.contains("hong2") && several.err.contains("--member"), "{several:?}");
    assert!(house.jifen(&["try", "小红: 签到", "--member", "hong2"]).out.contains("小红(hong2)"));
    let new = house.jifen(&["try", "新来的: 签到"]);
    assert!(new.code == DONE && new.out.contains("新成员") && new.out.contains("余额 0 → 2"), "{new:?}");
    let elsewhere = house.jifen(&["try", "阿明: 签到", "--campaign", "vip"]);
    assert!(elsewhere.code == FINDING && elsewhere.err.contains("没有活动 vip;有的是 main"), "{elsewhere:?}");
    let unread = house.jifen(&["try", "签到"]);
    assert!(unread.code == FINDING && unread.err.contains("谁: 说了什么"), "{unread:?}");
    assert_eq!(house.jifen(&["try", "阿明: 签到", "--at", "昨天"]).code, USAGE);
}

#[test]
fn a_new_file_is_tried_before_it_is_live_if_it_passes() {
    let house = replayed("try-new");
    house.write("new.toml", &RULES.replace("points = 2", "points = 5"));
    let tried = house.jifen(&["try", "阿明: 签到", "--rules", "new.toml", "--at", "2026-11-22 20:30"]);
    assert!(tried.code == DONE && tried.out.contains("得分 +5"), "{tried:?}");
    house.write("bad.toml", "[check_in.daily]\nkyewords = [\"签到\"]\n");
    let refused = house.jifen(&["try", "阿明: 签到", "--rules", "bad.toml"]);
    assert_eq!((refused.code, refused.out.as_str()), (FINDING, ""), "{refused:?}");
    assert!(refused.err.contains("bad.toml:2:1: error["), "{refused:?}");
}

#[test]
fn without_a_database_the_world_is_empty_and_stays_so() {
    let house = House::new("try-empty", RULES);
    let tried = house.jifen(&["try", "阿明: 签到"]);
    assert!(tried.code == DONE && tried.err.contains("从空的账本试起") && tried.out.contains("得分 +2"), "{tried:?}");
    assert!(!house.path("jifen.db").exists());
}

#[test]
fn somebodys_last_messages_are_explained_by_name() {
    let house = replayed("explain-member");
    let told = house.jifen(&["explain", "--member", "阿明"]);
    assert_eq!(told.code, DONE, "{told:?}");
    assert_eq!(told.out.matches("check_in.daily +2").count(), 2, "{}", told.out);
    assert!(told.out.contains("[今天 1/1 次]") && told.out.contains("规则版本 "), "{}", told.out);
    assert!(told.out.contains(" 阿明「") && !told.out.contains("suppressed") && !told.out.contains("+08:00"), "{}", told.out);
    let statement = house.jifen(&["statement", "--member", "阿明"]);
    assert!(statement.code == DONE && statement.out.starts_with("阿明("), "{statement:?}");
    let two = house.jifen(&["statement", "--member", "小红"]);
    assert!(two.code == FINDING && two.err.contains("hong2"), "{two:?}");
    let several = house.jifen(&["explain", "--member", "小红"]);
    assert!(several.code == FINDING && several.err.contains("hong2"), "{several:?}");
    let nobody = house.jifen(&["explain", "--member", "没有这个人"]);
    assert_eq!((nobody.code, nobody.out.as_str()), (FINDING, ""), "{nobody:?}");
}
