//! kill -9 in the middle, and the same message again and again: everything answered 200 is kept, and counts once.

use std::collections::HashMap;

use jifen::model::ids::KeyBytes;
use jifen::store::Reader;
use serde_json::Value;

use crate::house::{House, RULES};
use crate::senders::{Chance, Post, client, post};
use crate::wecom::{Callback, app_text, now_secs};

const SENDERS: usize = 16;
const MEMBERS: u64 = 20;
const KILLS: usize = 5;

const CRASH_RULES: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 2
streak = { 3 = 5 }

[check_in.morning]
keywords = ["早安"]
when = "06:00-09:00"
points = 1

[check_in.work]
keywords = ["打卡"]
points = 3
max_times = { day = 2 }
"#;

/// What each member says each day, at which hour: two check-ins, one 早安 in time and one too late, three 打卡 of which two count.
const DAY: [(i64, &str); 7] = [(7, "签到"), (20, "签到"), (8, "早安"), (10, "早安"), (9, "打卡"), (13, "打卡"), (18, "打卡")];
const DAYS: i64 = 3;
/// (2 + 1 + 2 × 3) a day, and 5 for the third day in a row.
const POINTS_EACH: i64 = 9 * DAYS + 5;

fn midnight_in_shanghai() -> i64 {
    let today = now_secs() + 8 * 3600;
    today - today.rem_euclid(86_400) - 8 * 3600
}

fn history() -> Vec<Callback> {
    let today = midnight_in_shanghai();
    let mut said = Vec::new();
    for member in 0..MEMBERS {
        for day in 1..=DAYS {
            for (hour, text) in DAY {
                let id = 7_300_000_000_000_000_000 + said.len() as u64;
                said.push(app_text(id, &format!("member{member}"), today - day * 86_400 + hour * 3600, text));
            }
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_answered_200_is_kept_and_counts_once_whenever_the_process_is_killed() {
    let mut chance = Chance::seeded();
    let house = House::new("crash", CRASH_RULES);
    let said = history();
    let mut sent = said.clone();
    for callback in &said {
        sent.extend(std::iter::repeat_n(callback.clone(), chance.below(3)));
    }
    chance.shuffle(&mut sent);
    let total = sent.len();
    let post = Post::new(sent);
    for kill in 1..=KILLS {
        let daemon = house.open().await;
        let until = post.answers() + 1 + chance.below(total * 2 * kill / (KILLS * KILLS));
        let killing = async {
            post.answered(until.min(total)).await;
            daemon.signal(rustix::process::Signal::KILL);
        };
        tokio::join!(post.send(&daemon, SENDERS), killing);
        daemon.ended().await;
        must_hold(&house, post.acknowledged());
    }
    let daemon = house.open().await;
    post.send(&daemon, SENDERS).await;
    assert_eq!(post.acknowledged().len(), said.len());
    assert_eq!(daemon.stop().await, Some(0));

    must_hold(&house, post.acknowledged());
    assert_eq!(house.reader().head().unwrap().event.0, said.len() as i64, "every message once");
    house.must_verify();
    let accounts = house.export("accounts");
    assert_eq!(accounts.len(), MEMBERS as usize);
    for account in &accounts {
        assert_eq!((&account["balance"], &account["lifetime"]), (&Value::from(POINTS_EACH), &Value::from(POINTS_EACH)), "{account}");
    }
    no_rule_pays_an_event_twice(&house.export("ledger"));
    let explained = house.jifen(&["explain", &said[0].id]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    let log = house.log();
    assert!(!log.contains("panicked"), "{log}");
}

fn must_hold(house: &House, acknowledged: impl IntoIterator<Item = String>) {
    let reader = house.reader();
    for id in acknowledged {
        assert_eq!(reader.find_events(KeyBytes::of(&id)).unwrap().len(), 1, "message {id} was answered 200");
    }
}

/// What a rule paid for an event, all that later events changed included, is nothing or what it pays once.
fn no_rule_pays_an_event_twice(ledger: &[Value]) {
    let mut net: HashMap<(String, &str), i64> = HashMap::new();
    for row in ledger {
        let text = |key: &str| row[key].as_str().expect("a text");
        let amount = row["amount"].as_i64().expect("a number");
        let sign = if text("dst").starts_with("member:") { 1 } else { -1 };
        // The hash ends with the event whose slot is meant, `-` for the event itself.
        let slot = text("hash").rsplit('.').next().filter(|slot| *slot != "-").map_or(row["event"].to_string(), str::to_owned);
        *net.entry((slot, text("code"))).or_default() += sign * amount;
    }
    for ((event, code), points) in net {
        let once: &[i64] = match code {
            "check_in.daily" => &[0, 2, 7],
            "check_in.morning" => &[0, 1],
            _ => &[0, 3],
        };
        assert!(once.contains(&points), "{code} paid {points} for event {event}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_message_ten_times_at_once_and_after_a_restart_has_one_effect() {
    let house = House::new("repeats", RULES);
    let daemon = house.open().await;
    let now = now_secs();
    let captured = app_text(1, "aming", now, "签到");
    let ten = Post::new(vec![captured.clone(); 10]);
    ten.send(&daemon, 10).await;
    assert_eq!(ten.answers(), 10, "all are answered 200");
    daemon.kill().await;

    let daemon = house.open().await;
    let http = client();
    assert_eq!(post(&http, &daemon, &captured).await, 200, "an old request is acknowledged");
    assert_eq!(post(&http, &daemon, &app_text(2, "aming", now, "积分")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.reader().head().unwrap().event.0, 2);
    assert_eq!(house.export("accounts")[0]["balance"], 2);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_messages_of_one_sender_and_second_both_count() {
    let house = House::new("second", CRASH_RULES);
    let daemon = house.open().await;
    let noon = midnight_in_shanghai() - 12 * 3600;
    let both = Post::new(vec![app_text(1, "aming", noon, "打卡"), app_text(2, "aming", noon, "打卡")]);
    both.send(&daemon, 2).await;
    assert_eq!((both.answers(), daemon.stop().await), (2, Some(0)));
    assert_eq!(house.export("accounts")[0]["balance"], 6);
}
