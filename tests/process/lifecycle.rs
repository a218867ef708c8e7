//! Starting and stopping: drained by SIGTERM, one daemon a file, one daemon a port.

use std::os::unix::fs::symlink;

use jifen::store::Reader;
use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::house::{House, RULES};
use crate::senders::{Post, client, post};
use crate::wecom::{app_text, now_secs};

const USAGE: Option<i32> = Some(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_in_a_burst_ends_in_good_order_and_keeps_what_was_answered() {
    let house = House::new("sigterm", RULES);
    let mut daemon = house.open().await;
    let now = now_secs();
    let burst = Post::new((0..3_000).map(|n| app_text(n, &format!("member{}", n % 50), now, "签到")).collect());
    let stopping = async {
        burst.answered(300).await;
        daemon.signal(Signal::TERM);
        // Asked twice is asked once.
        daemon.signal(Signal::TERM);
    };
    tokio::join!(burst.send(&daemon, 16), stopping);
    assert_eq!(daemon.end().await.code(), Some(0));
    let kept = house.reader().head().unwrap().event.0;
    let answered = burst.answers() as i64;
    // A commit whose answer was cut off may be there too: at most one for each sender.
    assert!(answered <= kept && kept <= answered + 16, "{answered} answered, {kept} kept");
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_daemon_on_one_file_is_refused_by_whatever_name_and_harms_nobody() {
    let house = House::new("second-daemon", RULES);
    let first = house.open().await;
    let (link, hard) = (house.path("link.db"), house.path("hard.db"));
    symlink(house.path("jifen.db"), &link).unwrap();
    std::fs::hard_link(house.path("jifen.db"), &hard).unwrap();
    for database in [house.path("jifen.db"), link, hard] {
        let mut second = house.serve();
        second.arg("--database").arg(format!("sqlite:{}", database.display()));
        let (code, said) = house.refused(second).await;
        assert_eq!(code, USAGE, "{said}");
        assert!(said.contains("已经有一个 jifen serve 在用这个数据库"), "{said}");
    }
    assert_eq!(post(&client(), &first, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    assert_eq!(first.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_work_beside_a_running_daemon() {
    let house = House::new("beside", RULES);
    let daemon = house.open().await;
    let http = client();
    assert_eq!(post(&http, &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    house.must_verify();
    assert_eq!(house.export("accounts").len(), 1);
    house.write("old.jsonl", "{\"id\":\"m-1\",\"at\":\"2026-11-20T09:00:00+08:00\",\"corp\":\"acme\",\"member\":\"xiaohong\",\"said\":{\"text\":\"签到\"}}\n");
    let replayed = house.jifen(&["replay", "old.jsonl"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    assert_eq!(post(&http, &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
    let balances: Vec<i64> = house.export("accounts").iter().map(|account| account["balance"].as_i64().unwrap()).collect();
    assert_eq!(balances, [2, 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_and_bad_settings_are_said_in_a_sentence() {
    let house = House::new("settings", RULES);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = |addr: &str| {
        let mut command = house.serve();
        command.args(["--listen", addr]);
        command
    };
    let (code, said) = house.refused(listen(&taken.local_addr().unwrap().to_string())).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("端口被占用"), "{said}");
    let (code, said) = house.refused(listen("不是地址")).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("不能监听"), "{said}");

    house.write("rules.toml", "[check_in.daily]\nkeyword = [\"签到\"]\npoints = 2\n");
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("rules.toml:2:1: error[unknown-key]") && said.contains("没有采用"), "{said}");

    house.write("jifen.toml", "listen = 8080\n");
    let (code, said) = house.refused(house.serve()).await;
    assert_eq!(code, USAGE, "{said}");
    assert!(said.contains("jifen.toml 有误"), "{said}");
}
