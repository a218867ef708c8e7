//! 「停用 …」 and rules on trial in the real process: the file says it, a restart keeps it, what was being written in the file is not lost.

use crate::double::Double;
use crate::house::{Daemon, House};
use crate::senders::{client, post};
use crate::wecom::{app_text, now_secs, robot_text};

const RULES: &str = "# 我们的规则\n[check_in.daily]  # 每天\ntitle = \"每日签到\"\nkeywords = [\"签到\"]\npoints = 2\nmax_times = { day = 100 }\n";

async fn house(name: &str, double: &Double) -> House {
    let house = House::with_api(name, RULES, &double.open().await);
    let settings = std::fs::read_to_string(house.path("jifen.toml")).unwrap();
    house.write("jifen.toml", &format!("{settings}\n[operators]\nmembers = [\"boss\"]\n"));
    house
}

async fn says(daemon: &Daemon, id: u64, who: &str, text: &str) {
    assert_eq!(post(&client(), daemon, &app_text(id, who, now_secs(), text)).await, 200);
}

fn rules(house: &House) -> String {
    std::fs::read_to_string(house.path("rules.toml")).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_rule_stays_stopped_over_a_restart() {
    let double = Double::new();
    let house = house("switch", &double).await;
    let daemon = house.open().await;
    says(&daemon, 1, "aming", "签到").await;
    says(&daemon, 2, "boss", "停用 每日签到").await;
    double.said("已停用 每日签到(check_in.daily)").await;
    // Sent again it is done once.
    says(&daemon, 2, "boss", "停用 每日签到").await;
    says(&daemon, 3, "aming", "签到").await;
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(rules(&house), RULES.replace("# 每天\n", "# 每天\nmode = \"off\"\n"));

    let daemon = house.open().await;
    says(&daemon, 4, "aming", "签到").await;
    says(&daemon, 5, "aming", "停用 每日签到").await;
    says(&daemon, 6, "boss", "恢复 每日签到").await;
    double.said("已恢复 每日签到").await;
    says(&daemon, 7, "aming", "签到").await;
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts")[0]["balance"], 4);
    assert_eq!(double.shown("已停用"), 1);
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_is_writing_in_the_file_is_kept_beside_it() {
    let double = Double::new();
    let house = house("switch-draft", &double).await;
    let daemon = house.open().await;
    let draft = RULES.replace("points = 2", "points = 两分  # 还没写完");
    house.write("rules.toml", &draft);
    let text = "@积分助手 停用 签到";
    assert_eq!(post(&client(), &daemon, &robot_text("r-1", "boss", "老板", text)).await, 200);
    let told = double.said("已停用 每日签到").await;
    assert!(told.text.contains("rules.toml.bak"), "{told:?}");
    assert_eq!(std::fs::read_to_string(house.path("rules.toml.bak")).unwrap(), draft);
    assert!(rules(&house).contains("mode = \"off\""));
    assert_eq!(daemon.stop().await, Some(0));
    house.must_verify();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_rule_on_trial_would_have_paid_is_told_beside_the_daemon() {
    let double = Double::new();
    let house = house("switch-trial", &double).await;
    house.write("rules.toml", &format!("{RULES}\n[check_in.night]\ntitle = \"晚安\"\nkeywords = [\"晚安\"]\npoints = 3\nmode = \"shadow\"\n"));
    let daemon = house.open().await;
    for (id, who) in [(1, "aming"), (2, "aming"), (3, "xiaohong")] {
        says(&daemon, id, who, "晚安").await;
    }
    says(&daemon, 4, "aming", "签到").await;
    let told = house.jifen(&["shadow"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    for part in ["晚安(check_in.night),活动 main", "会发 6 积分:2 次,2 人", "没得分:次数已满 1 次", "把 [check_in.night] 里的 mode 删掉或改成 \"live\""]
    {
        assert!(told.out.contains(part), "{part} is not in {}", told.out);
    }
    assert!(!told.out.contains("每日签到"), "{}", told.out);
    let json: serde_json::Value = serde_json::from_str(&house.jifen(&["shadow", "--format", "json", "--rule", "晚安"]).out).unwrap();
    assert_eq!((json[0]["points"].as_i64(), json[0]["top"][0]["points"].as_i64()), (Some(6), Some(3)), "{json}");
    assert_eq!(house.jifen(&["shadow", "--rule", "签到"]).code, Some(1));
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.export("accounts").iter().map(|row| row["balance"].as_i64().unwrap()).sum::<i64>(), 2);
    house.must_verify();
}
