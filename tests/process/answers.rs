//! The way out fails, callbacks do not notice; what went out is never seen twice.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::{interval, timeout};

use crate::double::{Answer, Double, reserve};
use crate::house::{House, PATIENCE, RULES};
use crate::senders::{Post, client, post};
use crate::wecom::{Callback, app_text, now_secs, robot_text};

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

/// A check-in that is answered by a group robot, where WeCom drops no repetitions.
fn in_the_group() -> Callback {
    robot_text("CIG1", "aming", "阿明", "@积分助手 签到")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_garbled_answer_leaves_a_robots_message_unknown_and_it_is_never_sent_again() {
    let double = Double::new();
    let house = House::with_api("garbled", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Garbage]);
    assert_eq!(post(&client(), &daemon, &in_the_group()).await, 200);
    newest_reply_is(&house, UNKNOWN).await;
    daemon.kill().await;

    let daemon = house.open().await;
    must_say_the_next(&house, &double, &daemon).await;
    assert_eq!(double.sent().len(), 2, "{:?}", double.sent());
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts")[0]["balance"], 2, "a lost answer books and unbooks nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_robots_message_that_was_under_way_at_kill_9_is_never_sent_again() {
    let double = Double::new();
    let house = House::with_api("under-way", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Silence]);
    assert_eq!(post(&client(), &daemon, &in_the_group()).await, 200);
    double.said("签到成功").await;
    daemon.kill().await;

    let daemon = house.open().await;
    newest_reply_is(&house, UNKNOWN).await;
    must_say_the_next(&house, &double, &daemon).await;
    assert_eq!(double.sent().len(), 2, "{:?}", double.sent());
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_message_whose_answer_was_lost_is_sent_once_more_and_seen_once() {
    for (name, answer) in [("lost-garbled", Answer::Garbage), ("lost-killed", Answer::Silence)] {
        let double = Double::new();
        let house = House::with_api(name, RULES, &double.open().await);
        let mut daemon = house.open().await;
        double.answers(&[answer]);
        assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
        double.said("签到成功").await;
        if matches!(answer, Answer::Silence) {
            daemon.kill().await;
            daemon = house.open().await;
        }
        newest_reply_is(&house, SENT).await;
        must_say_the_next(&house, &double, &daemon).await;
        assert_eq!((double.sent().len(), double.shown("签到成功")), (3, 1), "{:?}", double.sent());
        assert_eq!(daemon.stop().await, Some(0));
        house.must_verify();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_whose_address_is_not_trusted_says_so_and_what_waited_is_sent_after_the_repair() {
    let double = Double::new();
    let house = House::with_api("untrusted", RULES, &double.open().await);
    let daemon = house.open().await;
    double.answers(&[Answer::Code(60020)]);
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let waits = "state = 0 AND tries = 0 AND reason LIKE '60020 %企业可信IP%'";
    replies_are(&house, waits, 1).await;
    assert_eq!(post(&client(), &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    replies_are(&house, waits, 2).await;
    let metrics = client().get(daemon.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("jifen_outlet_open{corp=\"acme\",outlet=\"app/assistant\"} 0"), "{metrics}");
    assert_eq!(double.sent().len(), 1, "nobody hammers: {:?}", double.sent());
    assert_eq!(daemon.stop().await, Some(0));

    let daemon = house.open().await;
    replies_are(&house, "state = 2", 2).await;
    assert_eq!(double.shown("签到成功"), 2);
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_down_or_wants_a_password_is_named_and_the_reply_waits() {
    let asks_for_password = axum::Router::new().fallback(|| async { (axum::http::StatusCode::PROXY_AUTHENTICATION_REQUIRED, "<html>") });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let strict = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, asks_for_password).await });
    let (_reserved, down) = reserve();
    for (name, proxy, told) in [("proxy-strict", strict, "HTTP 407"), ("proxy-down", down, "代理")] {
        let house = House::with_api(name, RULES, "http://wecom.invalid");
        let mut command = house.serve();
        command.env("http_proxy", &proxy);
        let daemon = crate::house::Daemon::start(command, house.path("stderr.log")).await.unwrap();
        assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
        replies_are(&house, &format!("state = 0 AND tries = 0 AND reason LIKE '%{told}%'"), 1).await;
        assert_eq!(daemon.stop().await, Some(0));
    }
}

/// Waits until so many replies are like this.
async fn replies_are(house: &House, like: &str, count: i64) {
    let db = Connection::open_with_flags(house.path("jifen.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut ticks = interval(Duration::from_millis(20));
    let counted = format!("SELECT count(*) FROM outbox WHERE {like}");
    let waiting = async {
        while db.query_row(&counted, [], |row| row.get::<_, i64>(0)).ok() != Some(count) {
            ticks.tick().await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the replies come to this");
}

/// The same member asks, alone with the app: what is sent is seen after all that came before.
async fn must_say_the_next(house: &House, double: &Double, daemon: &crate::house::Daemon) {
    assert_eq!(post(&client(), daemon, &app_text(2, "aming", now_secs(), "积分")).await, 200);
    double.said("现有 2 积分").await;
    newest_reply_is(house, SENT).await;
    assert_eq!(double.shown("签到成功"), 1, "{:?}", double.sent());
}
