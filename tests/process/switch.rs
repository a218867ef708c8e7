//! 「停用 …」 to the real process: the file says it, a restart keeps it, what was being written in the file is not lost.

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
