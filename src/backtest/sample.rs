//! A report as there might be one, for the tests of what is made of it.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::date;

use crate::backtest::report::{CampaignReport, Change, DayChange, Example, GroupChange, Lacking, MemberChange, Report, RuleChange, VerdictChange, Version};

/// Four weeks of one campaign in which a second check-in, double Saturdays and a lower cap were tried.
pub fn report() -> Report {
    Report {
        old: Version { hash: "a1b2c3d4e5f60718293a4b5c6d7e8f90".into(), name: "现行规则".into() },
        new: Version { hash: "0f1e2d3c4b5a69788796a5b4c3d2e1f0".into(), name: "新规则.toml".into() },
        from: Some(date(2026, 10, 26)),
        to: Some(date(2026, 11, 22)),
        events: 20_431,
        erased: 120,
        outside: 12,
        campaigns: vec![campaign("main", "骑行积分")],
    }
}

/// The same with a second campaign in which nothing changes.
pub fn two_campaigns() -> Report {
    let still = |was| change(was, was, 300, 300);
    let second = CampaignReport {
        total: still(600),
        booked: 600,
        shadow: vec![],
        rules: vec![rule("check_in.daily", "每日签到", still(600))],
        groups: vec![group(Some("wrVip"), "VIP 福利群", still(600), 12)],
        gained: 0,
        lost: 0,
        same: 12,
        winners: vec![],
        losers: vec![],
        days: vec![],
        verdicts: vec![],
        lacking: vec![],
        point_value: None,
        ..campaign("vip", "VIP")
    };
    Report { campaigns: vec![campaign("main", "骑行积分"), second], ..report() }
}

/// Two files that pay the same.
pub fn same() -> Report {
    let mut report = two_campaigns();
    report.campaigns.remove(0);
    report
}

fn campaign(id: &str, title: &str) -> CampaignReport {
    CampaignReport {
        id: id.into(),
        title: title.into(),
        points_name: "积分".into(),
        point_value: Some(100),
        total: change(15_400, 16_640, 7_200, 7_912),
        booked: 14_980,
        shadow: vec![rule("speaking.lunch", "午间发言", change(0, 114, 0, 57))],
        rules: vec![
            rule("check_in.daily", "每日签到", change(12_400, 13_890, 4_200, 4_912)),
            rule("speaking.evening", "晚间发言", change(3_000, 2_750, 3_000, 2_750)),
            rule("check_in.night_of_the_long_name", "一条名字长得一行放不下的夜间签到规则", change(0, 0, 0, 250)),
        ],
        groups: vec![
            group(Some("wrOne"), "骑行一群", change(11_200, 12_040, 5_000, 5_512), 41),
            group(Some("wrTwo"), "骑行二群 <b>周末</b>", change(3_900, 4_300, 2_000, 2_200), 20),
            group(None, "单聊和定时", change(300, 300, 200, 200), 9),
        ],
        gained: 18,
        lost: 3,
        same: 40,
        winners: (0..18).map(|place| member(place, WINNERS[place % WINNERS.len()], 120 + 7 * place as i64, 250 - 9 * place as i64)).collect(),
        losers: (0..3).map(|place| member(40 + place, LOSERS[place], 90, -60 + 20 * place as i64)).collect(),
        days: (0..28).map(day).collect(),
        verdicts: vec![
            verdict("check_in.daily", "今天已签到", "记分", 712, &["晚上好,签到", "签到", "打卡<script>alert(1)</script>"]),
            verdict("speaking.evening", "记分", "已到上限", 250, &["今天骑了 20 公里,路上桂花都开了,回来吃了碗面,明天还有人一起吗"]),
            verdict("check_in.gone", "记分", "没有这条规则", 3, &[]),
        ],
        lacking: vec![Lacking { member: "xiaohong".into(), name: Some("小红".into()), points: 40 }],
    }
}

const WINNERS: [&str; 6] = ["阿明", "骑行的<img src=x onerror=alert(1)>", "王建国", "Alexander von Humboldt 的骑行日记", "晚风\u{202e}🚴", "李"];
const LOSERS: [&str; 3] = ["小红", "周末", "陈"];

fn change(was: i64, now: i64, times_was: u64, times_now: u64) -> Change {
    Change { was, now, times_was, times_now }
}

fn rule(code: &str, title: &str, change: Change) -> RuleChange {
    RuleChange { rule: code.into(), title: title.into(), change }
}

fn group(chat: Option<&str>, title: &str, change: Change, members: u64) -> GroupChange {
    GroupChange { chat: chat.map(Arc::from), title: title.into(), change, members }
}

fn member(place: usize, name: &str, was: i64, difference: i64) -> MemberChange {
    MemberChange { member: format!("member{place}").into(), name: Some(name.into()), change: change(was, was + difference, 10, 12) }
}

fn day(place: i64) -> DayChange {
    let day = date(2026, 10, 26).saturating_add(place.days());
    let was = 480 + 37 * (place % 5) - 21 * (place % 3);
    DayChange { day, was, now: if place % 7 == 5 { was * 2 } else { was - 20 } }
}

fn verdict(rule: &str, from: &str, to: &str, times: u64, texts: &[&str]) -> VerdictChange {
    let example = |(place, text): (usize, &&str)| Example {
        seq: 100 + place as i64,
        at: "11-03 20:02".into(),
        member: "阿明".into(),
        text: (*text).into(),
        was: if from == "记分" { 2 } else { 0 },
        now: if to == "记分" { 2 } else { 0 },
    };
    VerdictChange { rule: rule.into(), from: from.into(), to: to.into(), times, examples: texts.iter().enumerate().map(example).collect() }
}
