//! The way out fails, callbacks do not notice; what went out is never said twice.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::{interval, timeout};

use crate::double::{Answer, Double, reserve};
use crate::house::{House, PATIENCE, RULES};
use crate::senders::{Post, client, post};
use crate::wecom::{app_text, now_secs};

const SENT: i64 = 2;
const UNKNOWN: i64 = 4;

/// Waits until the newest reply has this state.
async fn newest_reply_is(house: &House, state: i64) {
    let db = Connection::open_with_flags(house.path("jifen.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut ticks = interval(Duration::from_millis(20));
    let waiting = async {
        while db.query_row("SELECT state FROM outbox ORDER BY id DESC LIMIT 1", [], |row| row.get::<_, i64>(0)).ok() != Some(state) {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the reply comes to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_api_costs_the_callbacks_nothing_and_is_noticed_when_it_is_back() {
    let (reserved, base) = reserve();
    let house = House::with_api("dead-api", RULES, &base);
    let daemon = house.open().await;
    let now = now_secs();
    let many = Post::new((0..2_000).map(|n| app_text(n, &format!("member{n}"), now, "积分")).collect());
    many.send(&daemon, 16).await;
    assert_eq!(many.answers(), 2_000);
    let http = client();
    assert_eq!(http.get(daemon.url("/readyz")).send().await.unwrap().status(), 200);

    let double = Double::new();
    double.open_at(reserved);
    assert_eq!(post(&http, &daemon, &app_text(5_000, "aming", now, "签到")).await, 200);
    double.said("签到成功").await;
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_renewed_once_and_the_message_comes_once_more() {
    let double = Double::new();
    let house = House::with_api("token", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Code(42001)]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    newest_reply_is(&house, SENT).await;
    let tokens: Vec<String> = double.sent().into_iter().map(|sent| sent.token).collect();
    assert!(tokens.len() == 2 && tokens[0].contains("token-1") && tokens[1].contains("token-2"), "{tokens:?}");
    assert_eq!(double.tokens(), 2);
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_garbled_answer_leaves_the_reply_unknown_and_it_is_never_sent_again() {
    let double = Double::new();
    let house = House::with_api("garbled", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Garbage]);
    let http = client();
    assert_eq!(post(&http, &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    newest_reply_is(&house, UNKNOWN).await;
    daemon.kill().await;

    let daemon = house.open().await;
    must_say_only_the_next(&house, &double, &daemon).await;
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts")[0]["balance"], 2, "a lost answer books and unbooks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_was_under_way_at_kill_9_is_never_sent_again() {
    let double = Double::new();
    let house = House::with_api("under-way", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Silence]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    double.said("签到成功").await;
    daemon.kill().await;

    let daemon = house.open().await;
    newest_reply_is(&house, UNKNOWN).await;
    must_say_only_the_next(&house, &double, &daemon).await;
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

/// The same member asks; their lane keeps order, so a reply said again would have come before this one.
async fn must_say_only_the_next(house: &House, double: &Double, daemon: &crate::house::Daemon) {
    assert_eq!(post(&client(), daemon, &app_text(2, "aming", now_secs(), "积分")).await, 200);
    double.said("现有 2 积分").await;
    newest_reply_is(house, SENT).await;
    assert_eq!(double.sent().iter().filter(|sent| sent.text.contains("签到成功")).count(), 1, "{:?}", double.sent());
    assert_eq!(double.sent().len(), 2);
}
