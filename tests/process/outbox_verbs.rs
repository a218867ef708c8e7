//! `jifen outbox` and `jifen retry` beside a running daemon: it hears of what they did, and says each thing as often as it should.

use std::time::Duration;

use jifen::store::{Batch, Reader, Store};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::time::{interval, timeout};

use crate::double::{Answer, Double};
use crate::house::{House, PATIENCE, RULES};
use crate::senders::{client, post};
use crate::wecom::{app_text, now_secs, robot_text};

const DONE: Option<i32> = Some(0);
const FINDING: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);

/// Waits until the daemon's store is as it should be.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let mut ticks = interval(Duration::from_millis(20));
    let waiting = async {
        while !is_so() {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it never came: {what}"));
}

/// The replies as `jifen outbox list` tells them, newest first.
fn listed(house: &House, more: &[&str]) -> Vec<Value> {
    let ran = house.jifen(&[&["outbox", "list", "--format", "json"], more].concat());
    assert_eq!(ran.code, DONE, "{ran:?}");
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn states(house: &House) -> Vec<String> {
    listed(house, &[]).iter().map(|reply| reply["state"].as_str().unwrap().to_owned()).collect()
}

fn hold(house: &House) {
    let mut store = house.store();
    let head = store.begin().unwrap();
    store.commit(&Batch { head, outbox_held: Some(true), ..Batch::default() }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reply_is_listed_with_its_reason_and_sent_again_by_the_running_daemon() {
    let double = Double::new();
    let house = House::with_api("outbox-retry", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Code(81013)]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    until("the refusal", || states(&house) == ["refused"]).await;

    let reply = &listed(&house, &["--state", "refused", "--since", "1h"])[0];
    assert!(reply["reason"].as_str().unwrap().contains("81013"), "{reply}");
    assert_eq!((&reply["member"], &reply["occasion"], &reply["group"]), (&Value::from("aming"), &Value::from("paid"), &Value::Null));
    let table = house.jifen(&["outbox", "list"]);
    assert!(table.out.contains("refused") && table.out.contains("81013") && table.out.contains("单聊 aming"), "{table:?}");
    assert!(!table.out.contains("签到成功"), "never the text: {table:?}");
    assert!(listed(&house, &["--state", "sent"]).is_empty() && listed(&house, &["--group", "wrGroup"]).is_empty());

    let id = reply["id"].to_string();
    let again = house.jifen(&["outbox", "retry", &id]);
    assert_eq!((again.code, again.out.trim()), (DONE, "已重新排队 1 条"), "{again:?}");
    until("the second sending", || states(&house) == ["sent"]).await;
    assert_eq!(double.sent().iter().filter(|sent| sent.text.contains("签到成功")).count(), 2, "refused once, sent once");
    let late = house.jifen(&["outbox", "retry", &id, "99999"]);
    assert_eq!(late.code, FINDING, "{late:?}");
    assert!(late.out.contains("已经发出去了") && late.out.contains("99999 没有这个编号的回复"), "{late:?}");
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_arrived_is_sent_again_only_by_who_says_even_if_doubled() {
    let double = Double::new();
    let house = House::with_api("outbox-doubled", RULES, &double.open().await);
    let daemon = house.open().await;
    // The daemon says it once more by itself, for WeCom drops the second; then it leaves it.
    double.answers(&[Answer::Garbage, Answer::Garbage]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    until("the doubt", || states(&house) == ["unknown"]).await;
    let id = listed(&house, &[])[0]["id"].to_string();
    let careful = house.jifen(&["outbox", "retry", &id]);
    assert!(careful.code == FINDING && careful.out.contains("--even-if-doubled"), "{careful:?}");
    assert_eq!((states(&house), double.sent().len()), (vec!["unknown".to_owned()], 2));
    assert_eq!(house.jifen(&["outbox", "retry", &id, "--even-if-doubled"]).code, DONE);
    until("the second sending", || states(&house) == ["sent"]).await;
    assert_eq!(double.sent().len(), 3);
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_outbox_says_nothing_until_it_is_released_and_then_not_what_was_dropped() {
    let double = Double::new();
    let house = House::with_api("outbox-held", RULES, &double.open().await);
    hold(&house);
    let daemon = house.open().await;
    let http = client();
    for (id, text) in [(1, "签到"), (2, "积分")] {
        assert_eq!(post(&http, &daemon, &app_text(id, "aming", now_secs(), text)).await, 200);
    }
    let metrics = http.get(daemon.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("jifen_outbox_held 1"), "{metrics}");
    assert!(house.log().contains("jifen outbox release"), "{}", house.log());
    let held = house.jifen(&["outbox", "list"]);
    assert!(held.err.contains("扣着") && states(&house) == ["waiting", "waiting"], "{held:?}");

    let dropped = house.jifen(&["outbox", "drop", &listed(&house, &[])[1]["id"].to_string()]);
    assert_eq!((dropped.code, dropped.out.trim()), (DONE, "已丢弃 1 条"), "{dropped:?}");
    assert_eq!(house.jifen(&["outbox", "release"]).code, DONE);
    double.said("现有 2 积分").await;
    until("the end of both", || states(&house) == ["sent", "suppressed"]).await;
    assert_eq!(double.sent().len(), 1, "{:?}", double.sent());
    assert!(listed(&house, &["--state", "suppressed"])[0]["reason"].as_str().unwrap().contains("outbox drop"));
    let again = house.jifen(&["outbox", "release"]);
    assert!(again.code == DONE && again.out.contains("没有被扣住"), "{again:?}");
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_waits_too_long_is_dropped_at_once_and_all_that_was_refused_sent_again() {
    let double = Double::new();
    let house = House::with_api("outbox-all", RULES, &double.open().await);
    hold(&house);
    let daemon = house.open().await;
    for id in 1..=3 {
        assert_eq!(post(&client(), &daemon, &app_text(id, &format!("member{id}"), now_secs(), "签到")).await, 200);
    }
    let young = house.jifen(&["outbox", "drop", "--older-than", "5m"]);
    assert_eq!((young.code, young.out.trim()), (DONE, "已丢弃 0 条"), "{young:?}");
    let all = house.jifen(&["outbox", "drop", "--older-than", "0s"]);
    assert_eq!((all.code, all.out.trim()), (DONE, "已丢弃 3 条"), "{all:?}");
    assert_eq!(house.jifen(&["outbox", "release"]).code, DONE);

    double.answers(&[Answer::Code(81013)]);
    assert_eq!(post(&client(), &daemon, &app_text(4, "aming", now_secs(), "积分")).await, 200);
    until("the refusal", || states(&house)[0] == "refused").await;
    let again = house.jifen(&["outbox", "retry", "--all-refused"]);
    assert_eq!((again.code, again.out.trim()), (DONE, "已重新排队 1 条"), "what was dropped stays dropped: {again:?}");
    until("the second sending", || states(&house) == ["sent", "suppressed", "suppressed", "suppressed"]).await;
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_nobody_can_read_any_more_is_refused_and_keeps_no_other_one_back() {
    let double = Double::new();
    let house = House::with_api("outbox-poison", RULES, &double.open().await);
    hold(&house);
    let daemon = house.open().await;
    for (id, text) in [(1, "签到"), (2, "积分")] {
        assert_eq!(post(&client(), &daemon, &app_text(id, "aming", now_secs(), text)).await, 200);
    }
    assert_eq!(daemon.stop().await, Some(0));
    Connection::open(house.path("jifen.db")).unwrap().execute_batch("UPDATE outbox SET sealed = x'00' WHERE id = (SELECT min(id) FROM outbox)").unwrap();

    let daemon = house.open().await;
    assert_eq!(house.jifen(&["outbox", "release"]).code, DONE);
    double.said("现有 2 积分").await;
    let refused = || {
        let db = Connection::open_with_flags(house.path("jifen.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        db.query_row("SELECT reason FROM outbox ORDER BY id LIMIT 1", [], |row| row.get::<_, Option<String>>(0)).unwrap()
    };
    until("the refusal", || refused().is_some_and(|reason| reason.contains("读不出来"))).await;
    until("the other's end", || states(&house) == ["sent"]).await;
    assert_eq!(double.sent().len(), 1);
    assert_eq!(daemon.stop().await, Some(0));
}

/// Rules that name a group nobody has heard of.
fn named(group: &str) -> String {
    format!("[campaign.vip]\ngroups = [\"{group}\"]\n{RULES}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_group_without_a_name_waits_and_is_paid_when_the_rules_no_longer_ask_for_it() {
    let double = Double::new();
    let house = House::with_api("unpark", &named("骑行一群"), &double.open().await);
    let daemon = house.open().await;
    for id in ["r-1", "r-2"] {
        assert_eq!(post(&client(), &daemon, &robot_text(id, "aming", "阿明", "@小助手 签到")).await, 200);
    }
    until("both answers", || states(&house) == ["sent", "sent"]).await;
    let told = |house: &House, id: &str| house.jifen(&["explain", id]).out;
    assert!(told(&house, "r-1").contains("\"outcome\": \"parked\""), "{}", told(&house, "r-1"));
    let early = house.jifen(&["retry", "r-1"]);
    assert!(early.code == FINDING && early.out.contains("还不能判定"), "{early:?}");
    let all = house.jifen(&["retry", "--all-parked"]);
    assert!(all.code == FINDING && all.out.contains("补判了 0 条,还有 2 条"), "{all:?}");
    assert_eq!(house.reader().head().unwrap().event.0, 2, "nothing is written");
    assert_eq!(daemon.stop().await, Some(0));

    house.write("rules.toml", &named("*"));
    let daemon = house.open().await;
    until("the change of the rules, and both messages", || house.reader().head().unwrap().event.0 == 5).await;
    assert!(told(&house, "r-1").contains("\"outcome\": \"paid\"") && told(&house, "r-2").contains("\"outcome\": \"already\""), "{}", told(&house, "r-2"));
    assert_eq!(house.export("accounts")[0]["balance"], 2);
    let late = house.jifen(&["retry", "--all-parked"]);
    assert!(late.code == DONE && late.out.contains("补判了 0 条"), "{late:?}");
    assert!(house.jifen(&["retry", "r-1"]).out.contains("以前已经补判过了"));
    assert_eq!(daemon.stop().await, Some(0));
    let said: Vec<String> = double.sent().into_iter().map(|sent| sent.text).collect();
    assert!(said.len() == 2 && said.iter().all(|text| text.contains("还不认得这个群")), "who asks is answered at once, and not a second time later: {said:?}");
    house.must_verify();
}

#[test]
fn wrong_usage_of_the_outbox_is_2_and_nothing_is_made() {
    let house = House::new("outbox-usage", RULES);
    let wrong: [&[&str]; 6] =
        [&["outbox"], &["outbox", "retry"], &["outbox", "drop"], &["outbox", "list", "--since", "gestern"], &["retry"], &["outbox", "release"]];
    for args in wrong {
        let ran = house.jifen(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}: {ran:?}");
    }
    assert!(!house.path("jifen.db").exists());
}
