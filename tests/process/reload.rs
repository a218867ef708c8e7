//! rules.toml is saved, broken, taken away and put back under a running daemon, while people write and verbs are run.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jifen::model::ids::{AccountId, EventSeq, KeyBytes, RulesHash};
use jifen::store::{Reader, RulesChange};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::time::{interval, timeout};

use crate::double::Double;
use crate::house::{House, PATIENCE};
use crate::senders::{client, post};
use crate::wecom::{app_text, now_secs, robot_text};

const TWO: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";
const THREE: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 3\n";
const BAD: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npionts = 3\n";

/// What was written down of the rules, oldest first.
fn changes(house: &House) -> Vec<RulesChange> {
    let mut changes = house.reader().rules_changes(EventSeq(i64::MAX), 1_000).unwrap();
    changes.reverse();
    changes
}

/// Waits for the change with this number, from 1.
async fn change(house: &House, number: usize) -> RulesChange {
    let mut look = interval(Duration::from_millis(50));
    let waiting = async {
        loop {
            look.tick().await;
            if let Some(change) = changes(house).into_iter().nth(number - 1) {
                return change;
            }
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("change {number} never came: {:?}", changes(house)))
}

/// A house whose operators are told in a group where the robot of the second corp sits.
async fn watched_house(name: &str, double: &Double) -> House {
    let house = House::with_api(name, TWO, &double.open().await);
    let settings = fs::read_to_string(house.path("jifen.toml")).unwrap();
    let further = "[operators]\nmembers = [\"laoban\"]\nchat = \"wrGroup\"\n[corp.aaa]\ncorp_id = \"wwaaaaaaaaaaaaaaaa\"\n";
    house.write("jifen.toml", &format!("{settings}\n{further}"));
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_or_paid_twice_while_the_rules_are_swapped_back_and_forth() {
    const SWAPS: usize = 6;
    let house = House::new("swaps", TWO);
    let daemon = house.open().await;
    let (next, done, now) = (AtomicU64::new(1), AtomicBool::new(false), now_secs());
    let sender = async || {
        let http = client();
        while !done.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let callback = app_text(number, &format!("member{number}"), now, "签到");
            assert_eq!(post(&http, &daemon, &callback).await, 200);
            // WeCom sends some of them twice.
            if number.is_multiple_of(7) {
                assert_eq!(post(&http, &daemon, &callback).await, 200);
            }
        }
    };
    let swapping = async {
        for swap in 1..=SWAPS {
            house.write("rules.toml", if swap % 2 == 1 { THREE } else { TWO });
            assert!(change(&house, swap).await.accepted);
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(sender(), sender(), sender(), sender(), swapping);
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();

    let (reader, sent) = (house.reader(), next.load(Ordering::Relaxed) - 1);
    let mut paid = [0_u64; 2];
    for number in 1..=sent {
        let found = reader.find_events(KeyBytes::of(&number.to_string())).unwrap();
        assert_eq!(found.len(), 1, "message {number}");
        let (event, postings) = (reader.event(found[0].1).unwrap().unwrap(), reader.postings_of(found[0].1).unwrap());
        let points = if event.rules == RulesHash::of(THREE) { 3 } else { 2 };
        assert_eq!(postings.iter().map(|posting| posting.amount).collect::<Vec<_>>(), [points], "message {number} under {}", event.rules);
        paid[usize::from(points == 3)] += 1;
    }
    assert!(paid.iter().all(|count| *count > 0), "both versions paid: {paid:?}");
    assert_eq!(reader.head().unwrap().event.0 as u64, sent + SWAPS as u64, "nothing else is in the journal");
    let hashes: Vec<String> = house.export("ledger").iter().map(|row| row["rules"].as_str().unwrap_or_default().to_owned()).collect();
    assert!(hashes.iter().all(|hash| [RulesHash::of(TWO), RulesHash::of(THREE)].iter().any(|known| known.to_string() == *hash)), "{:?}", hashes.first());
    println!("{sent} messages over {SWAPS} swaps: {paid:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_the_file_is_said_in_the_operators_chat_and_in_the_log() {
    let double = Double::new();
    let house = watched_house("told", &double).await;
    let daemon = house.open().await;
    house.write("rules.toml", BAD);
    let refused = double.said("没有采用").await.text;
    assert!(refused.contains("rules.toml:3:1: error[unknown-key]") && refused.contains("是不是想写 points"), "{refused}");
    assert!(house.log().contains(&format!("{}:3:1: error[unknown-key]", house.path("rules.toml").display())), "{}", house.log());

    house.write("rules.toml", THREE);
    let live = double.said("改好了,已生效").await.text;
    assert!(live.contains("check_in.daily:2 分 → 3 分"), "{live}");
    fs::remove_file(house.path("rules.toml")).unwrap();
    assert!(double.said("读不到 rules.toml").await.text.contains("文件不见了"));
    // A pipe in its place holds nobody up: neither people nor the end.
    mknodat(CWD, house.path("rules.toml"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    fs::remove_file(house.path("rules.toml")).unwrap();
    house.write("elsewhere.toml", THREE);
    symlink(house.path("elsewhere.toml"), house.path("rules.toml")).unwrap();
    double.said("恢复了").await;
    let metrics = client().get(daemon.url("/metrics")).send().await.unwrap().text().await.unwrap();
    for line in ["jifen_rules_reloads_total{outcome=\"live\"} 1", "jifen_rules_reloads_total{outcome=\"refused\"} 1"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
    assert_eq!(double.sent().iter().filter(|sent| sent.text.contains("没有采用")).count(), 1, "told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_as_large_as_may_be_is_read_beside_the_callbacks() {
    let house = House::new("large", TWO);
    let daemon = house.open().await;
    let rule = |number: usize| format!("[check_in.r{number}]\nkeywords = [\"口令{number}\"]\npoints = 2\n");
    let rules: String = (0..1_999).map(rule).collect();
    let large = format!("{TWO}{rules}{}\n", "#".repeat((1 << 20) - TWO.len() - rules.len() - 1));
    assert_eq!(large.len(), 1 << 20);
    house.write("rules.toml", &large);
    let (http, mut answered, mut look) = (client(), 0_u64, interval(Duration::from_millis(5)));
    while changes(&house).is_empty() {
        answered += 1;
        assert!(answered < 20_000, "it never went live: {}", house.log());
        assert_eq!(post(&http, &daemon, &app_text(answered, &format!("member{answered}"), now_secs(), "签到")).await, 200);
        look.tick().await;
    }
    assert!(changes(&house)[0].accepted, "{:?}", changes(&house));
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_are_listed_compared_and_brought_back_beside_the_daemon() {
    let house = House::new("rollback", TWO);
    let daemon = house.open().await;
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    let (two, three) = (&RulesHash::of(TWO).to_string()[..8], &RulesHash::of(THREE).to_string()[..8]);

    let none = house.jifen(&["rules", "rollback"]);
    assert!(none.code == Some(2) && none.err.contains("没有上一个版本可退") && none.err.contains("jifen rules rollback live"), "{none:?}");
    house.write("rules.toml", THREE);
    change(&house, 1).await;
    house.write("rules.toml", BAD);
    change(&house, 2).await;

    let history = house.jifen(&["rules", "history"]);
    assert_eq!((history.code, history.err.as_str()), (Some(0), ""), "{history:?}");
    let lines: Vec<&str> = history.out.lines().collect();
    assert_eq!(lines[0], format!("正在用:版本 {three}"));
    assert!(lines[2].ends_with(&format!("  {three}  没采用  rules.toml")), "{history:?}");
    assert!(history.out.contains("  已生效  rules.toml\n") && history.out.contains("\n    check_in.daily:2 分 → 3 分"), "{history:?}");
    let json = house.jifen(&["rules", "history", "--format", "json", "--limit", "1"]);
    let row: serde_json::Value = serde_json::from_str(&json.out).expect("one object");
    assert_eq!((&row["accepted"], &row["by"]), (&false.into(), &"rules.toml".into()));

    let diff = house.jifen(&["rules", "diff"]);
    assert!(diff.out.contains("-points = 3\n+pionts = 3\n") && diff.out.contains("处错误,不会被采用"), "{diff:?}");
    let diff = house.jifen(&["rules", "diff", two, three]);
    assert_eq!(
        diff.out,
        format!("--- {two}\n+++ {three}\n@@ -1,3 +1,3 @@\n [check_in.daily]\n keywords = [\"签到\"]\n-points = 2\n+points = 3\n\ncheck_in.daily:2 分 → 3 分\n")
    );
    assert_eq!(house.jifen(&["rules", "show", two]).out, TWO);
    let unknown = house.jifen(&["rules", "show", "abcdef12"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("没有版本「abcdef12」"), "{unknown:?}");

    let nowhere = house.jifen(&["rules", "diff", "live", "nowhere.toml"]);
    assert!(nowhere.code == Some(2) && nowhere.err.contains("也没有叫这个名字的文件"), "{nowhere:?}");

    let unclear = house.jifen(&["rules", "rollback"]);
    assert_eq!((unclear.code, unclear.out.as_str()), (Some(1), ""), "{unclear:?}");
    assert!(unclear.err.contains("里有没生效的改动,没有动") && unclear.err.contains("jifen rules rollback live") && unclear.err.contains(three), "{unclear:?}");
    assert_eq!(fs::read_to_string(house.path("rules.toml")).unwrap(), BAD);
    let dropped = house.jifen(&["rules", "rollback", "live"]);
    assert!(dropped.code == Some(0) && dropped.out.contains("已生效"), "{dropped:?}");
    assert_eq!((fs::read_to_string(house.path("rules.toml")).unwrap(), fs::read_to_string(house.path("rules.toml.bak")).unwrap()), (THREE.into(), BAD.into()));
    change(&house, 3).await;

    let back = house.jifen(&["rules", "rollback"]);
    assert_eq!((back.code, back.err.as_str()), (Some(0), ""), "{back:?}");
    assert!(back.out.contains(&format!("check_in.daily:3 分 → 2 分\n后悔了就换回来:jifen rules rollback {three}\n已生效")), "{back:?}");
    assert_eq!(fs::read_to_string(house.path("rules.toml")).unwrap(), TWO);
    let again = house.jifen(&["rules", "rollback"]);
    assert_eq!((again.code, again.out.as_str()), (Some(1), ""), "{again:?}");
    assert!(again.err.contains(&format!("现在用的 {two} 就是退回来的,再退一步会又换上刚退掉的 {three}")), "{again:?}");
    assert_eq!(fs::read_to_string(house.path("rules.toml")).unwrap(), TWO, "nothing is moved");
    assert_eq!(post(&client(), &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
    let balances: Vec<i64> = house.export("accounts").iter().map(|account| account["balance"].as_i64().unwrap()).collect();
    assert_eq!(balances, [2, 2]);

    let stopped = house.jifen(&["rules", "rollback", three]);
    assert!(stopped.code == Some(0) && stopped.out.contains("下次启动就用它"), "{stopped:?}");
    let daemon = house.open().await;
    let started = change(&house, 5).await;
    assert_eq!((&*started.by, started.rules), ("rules.toml(启动时)", RulesHash::of(THREE)));
    assert_eq!(daemon.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_bad_file_goes_on_with_the_rules_of_before() {
    let house = House::new("bad-start", TWO);
    let daemon = house.open().await;
    assert_eq!(post(&client(), &daemon, &app_text(1, "aming", now_secs(), "签到")).await, 200);
    daemon.kill().await;
    house.write("rules.toml", BAD);
    let daemon = house.open().await;
    assert!(house.log().contains("rules.toml:3:1: error[unknown-key]") && house.log().contains("先用停止以前的规则"), "{}", house.log());
    assert!(!change(&house, 1).await.accepted, "the operators are told too");
    assert_eq!(post(&client(), &daemon, &app_text(2, "xiaohong", now_secs(), "签到")).await, 200);
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts").iter().map(|account| account["balance"].as_i64().unwrap()).collect::<Vec<_>>(), [2, 2]);

    let new = House::new("bad-first-start", &format!("{TWO}[[test]]\nname = \"三分\"\nchat = \"11-22 09:00 阿明: 签到 => +3\"\n"));
    let (code, said) = new.refused(new.serve()).await;
    assert!(code == Some(2) && said.contains("rules.toml:6:1: error[test-failed]") && said.contains("没有采用"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_the_name_of_its_group_is_decided_once_the_rules_ask_for_none() {
    let house = House::new("parked", &format!("[campaign.vip]\ngroups = [\"骑行一群\"]\n{TWO}"));
    let daemon = house.open().await;
    assert_eq!(post(&client(), &daemon, &robot_text("p-1", "aming", "阿明", "@积分助手 签到")).await, 200);
    assert!(house.reader().accounts(AccountId::default(), 9).unwrap().is_empty());
    house.write("rules.toml", &format!("[campaign.vip]\ngroups = [\"*\"]\n{TWO}"));
    assert!(change(&house, 1).await.told.contains("campaign.vip:groups [\"骑行一群\"] → [\"*\"]"));
    let mut look = interval(Duration::from_millis(50));
    let paid = async {
        while house.reader().accounts(AccountId::default(), 9).unwrap().is_empty() {
            look.tick().await;
        }
    };
    let told = || house.jifen(&["explain", "p-1"]).out;
    assert!(timeout(PATIENCE, paid).await.is_ok(), "it is paid in time: {}", told());
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}
