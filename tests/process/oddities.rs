//! Genuine envelopes with odd contents: 200, kept, and no harm to anybody.

use jifen::store::Reader;
use serde_json::json;

use crate::double::Double;
use crate::house::{House, RULES};
use crate::senders::{client, post};
use crate::wecom::{Callback, aibot, app, app_text, now_secs, robot_text};

fn odd() -> Vec<(&'static str, Callback)> {
    let now = now_secs();
    let unknown = |kind: &str| format!("<xml><FromUserName>aming</FromUserName><CreateTime>{now}</CreateTime><MsgType>{kind}</MsgType><MsgId>21</MsgId></xml>");
    let event = |name: &str| {
        format!(
            "<xml><FromUserName>aming</FromUserName><CreateTime>{now}</CreateTime><MsgType>event</MsgType><Event>{name}</Event><AgentID>1000002</AgentID></xml>"
        )
    };
    vec![
        ("a name of 64 KiB", robot_text("CIG1", "aming", &"明".repeat(22_000), "签到")),
        ("a name that turns the direction", robot_text("CIG2", "xiaohong", "小红\u{202e}gnp.exe\u{2066}", "签到")),
        ("a name with line ends and controls", robot_text("CIG3", "xiaohong", "小\r\n红\u{1}\u{7f}=cmd()", "你好小红")),
        ("a name of joined marks", robot_text("CIG4", "xiaohong", &format!("红{}", "\u{300}".repeat(5_000)), "大家好呀")),
        ("NUL", app_text(11, "aming", now, "签\0到")),
        ("20 000 characters", app_text(12, "aming", now, &"今天骑了二十公里".repeat(2_500))),
        ("only emoji", app_text(13, "aming", now, &"👨‍👩‍👧‍👦".repeat(500))),
        ("a template", app_text(14, "aming", now, "{{7*7}}{% for i in range(10**9) %}x{% endfor %}")),
        ("an empty text", app_text(15, "aming", now, "")),
        ("a CDATA end", app_text(16, "aming", now, "a]]]]><![CDATA[>b")),
        ("time 0", app_text(17, "aming", 0, "签到")),
        ("a time before 1970", app_text(18, "aming", -1, "签到")),
        ("a far future", app_text(19, "aming", 253_402_300_799, "签到")),
        ("a time past all calendars", app_text(20, "aming", i64::MAX, "签到")),
        ("an unknown kind", app("21", &unknown("hologram"))),
        ("an unknown event", app("22", &event("quantum_leap"))),
        ("an event named like a bomb", app("23", &event(&"x".repeat(50_000)))),
        ("no fields at all", app("24", "<xml></xml>")),
        ("no XML", app("25", "签到")),
        ("nonsense", app("26", "\0\u{fffe}\u{202e}\0")),
        ("an empty plaintext", app("27", "")),
        ("a DOCTYPE inside", app("28", "<!DOCTYPE x [<!ENTITY a \"b\">]><xml><MsgType>text</MsgType><Content>&a;</Content></xml>")),
        ("deep XML inside", app("29", &"<a>".repeat(50_000))),
        ("deep JSON inside", aibot("30", &"[".repeat(100_000))),
        ("JSON with a huge number", aibot("31", "{\"msgid\":\"CAIQ31\",\"create_time\":1e400}")),
        ("JSON of the wrong types", aibot("32", &json!({ "msgid": 7, "from": [], "msgtype": { "text": null }, "chattype": "group" }).to_string())),
        ("a key twice", aibot("33", "{\"msgid\":\"CAIQ33\",\"msgid\":\"CAIQ34\",\"msgtype\":\"text\"}")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_genuine_envelope_is_acknowledged_and_kept_whatever_is_in_it() {
    let house = House::new("odd", RULES);
    let daemon = house.open().await;
    let http = client();
    let odd = odd();
    for (name, callback) in &odd {
        assert_eq!(post(&http, &daemon, callback).await, 200, "{name}");
    }
    for (name, callback) in &odd {
        assert_eq!(post(&http, &daemon, callback).await, 200, "{name}, once more");
    }
    assert_eq!(post(&http, &daemon, &app_text(99, "xiaogang", now_secs(), "签到")).await, 200, "others are served");
    let metrics = http.get(daemon.url("/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("jifen_clamped_times_total{channel=\"acme/assistant\"}"), "{metrics}");
    assert_eq!(daemon.stop().await, Some(0));
    assert_eq!(house.reader().head().unwrap().event.0, odd.len() as i64 + 1, "each is kept once");
    house.must_verify();
    let accounts = house.export("accounts");
    let balance = |member: &str| accounts.iter().find(|account| account["member"] == member).map(|account| account["balance"].clone());
    assert_eq!(balance("xiaogang"), Some(json!(2)));
    for what in ["accounts", "ledger"] {
        assert_eq!(house.jifen(&["export", what, "--format", "xlsx", "--out", "out.xlsx"]).code, Some(0));
        assert_eq!(house.jifen(&["export", what]).code, Some(0));
    }
    let log = house.log();
    assert!(!log.contains("panicked") && !log.contains("could not be decided"), "{log}");
    assert!(!log.contains("小红") && !log.contains("aming") && !log.contains("签到"), "the log tells no names and no texts: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_named_like_a_template_is_answered_by_that_name() {
    let double = Double::new();
    let house = House::with_api("literal", RULES, &double.open().await);
    let daemon = house.open().await;
    assert_eq!(post(&client(), &daemon, &robot_text("CIG1", "aming", "{{7*7}}", "@积分助手 签到")).await, 200);
    let said = double.said("签到成功").await;
    assert!(said.text.contains("{{7*7}}") && !said.text.contains("49"), "{}", said.text);
    assert_eq!(daemon.stop().await, Some(0));
}
