//! One change of the file at a time, and what it would have cost.

use jifen::model::act::Act;

use crate::town::{Town, assert_same, at, paid, who};

const FILE: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 2
streak = { 3 = 5 }

[speaking.talk]
points = 1
min_chars = 4
min_distinct = 2
cool_down = "30s"
max_points = { day = 3 }
"#;

/// A week of the two: check-ins, talk, 打卡 that no rule knows, a late message, a doubled one, a recalled one.
fn week() -> Town<jifen::store::memory::MemoryStore> {
    let mut town = Town::new(FILE);
    town.says("aming", "2026-11-16T09:00:00", "签到");
    town.says("xiaohong", "2026-11-16T09:05:00", "打卡");
    town.says("xiaohong", "2026-11-16T09:06:00", "今天骑了二十公里");
    town.says("aming", "2026-11-17T09:00:00", "签到");
    let taken_back = town.says("aming", "2026-11-17T10:00:00", "明天一起去爬山吧");
    town.says("xiaohong", "2026-11-17T21:00:00", "打卡");
    town.recalls("aming", "2026-11-17T10:01:00", taken_back);
    town.says("aming", "2026-11-19T09:00:00", "签到");
    town.says_late("aming", "2026-11-18T09:00:00", "签到", "2026-11-19T10:00:00");
    town.through("acme/aibot/aib1").says("aming", "2026-11-19T09:00:20", "签到");
    town.through("acme/archive/ww1").says("xiaohong", "2026-11-21T09:00:00", "签到");
    for second in 0..5 {
        town.says(
            "xiaohong",
            &format!("2026-11-21T12:{second:02}:00"),
            ["晚上八点准时开始", "这本书读完了真好", "明天一起去爬山吧", "今天骑了二十公里", "大家都早点睡觉吧"][second],
        );
    }
    town
}

#[test]
fn the_same_file_changes_nothing() {
    let report = week().tries(FILE);
    assert_same(&report);
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "check_in.daily"), (2 * 5 + 5, 15, 5, 5), "four days of 阿明 with the bonus of the third, one of 小红");
    assert_eq!(paid(campaign, "speaking.talk"), (1 + 3, 4, 4, 4), "what was taken back counts in neither");
    assert_eq!((report.from.map(|day| day.to_string()), report.to.map(|day| day.to_string())), (Some("2026-11-16".into()), Some("2026-11-21".into())));
    assert_eq!(campaign.days.iter().map(|day| day.was).collect::<Vec<_>>(), [3, 2, 7, 2, 5]);
    assert_eq!((campaign.same, campaign.gained, campaign.lost), (2, 0, 0));
    assert_eq!(campaign.groups.iter().map(|group| (&*group.title, group.change.was, group.members)).collect::<Vec<_>>(), [("骑行一群", 19, 2)]);
}

#[test]
fn a_second_keyword_pays_who_said_it() {
    let report = week().tries(&FILE.replace("[\"签到\"]", "[\"签到\", \"打卡\"]"));
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "check_in.daily"), (15, 19, 5, 7));
    assert_eq!(campaign.winners.iter().map(|winner| (winner.name.as_deref(), winner.change.difference())).collect::<Vec<_>>(), [(Some("小红"), 4)]);
    let turned = campaign.verdicts.iter().find(|turned| &*turned.rule == "check_in.daily").expect("it changed");
    assert_eq!((&*turned.from, &*turned.to, turned.times), ("不归它管", "记分", 2));
    assert_eq!((&*turned.examples[0].text, &*turned.examples[0].at, &*turned.examples[0].member, turned.examples[0].now), ("打卡", "11-16 09:05", "小红", 2));
}

#[test]
fn double_saturdays_cost_what_was_earned_on_the_saturday() {
    let doubled = format!("{FILE}\n[festival.saturday]\ntitle = \"周六双倍\"\nfactor = \"200%\"\ndays = \"周六\"\n");
    let report = week().tries(&doubled);
    let campaign = &report.campaigns[0];
    assert_eq!(campaign.total.difference(), 2, "the cap of three points a day stands, the check-in doubles: {campaign:#?}");
    assert_eq!(campaign.days.iter().map(|day| day.now - day.was).collect::<Vec<_>>(), [0, 0, 0, 0, 2]);
}

#[test]
fn a_lower_cap_says_how_many_messages_meet_it() {
    let report = week().tries(&FILE.replace("max_points = { day = 3 }", "max_points = { day = 1 }"));
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "speaking.talk"), (4, 2, 4, 2));
    assert_eq!(campaign.losers.iter().map(|loser| (&*loser.member, loser.change.difference())).collect::<Vec<_>>(), [("xiaohong", -2)]);
    let turned = campaign.verdicts.iter().find(|turned| turned.to == "到上限了").expect("it changed");
    assert_eq!((&*turned.from, turned.times), ("记分", 2));
}

#[test]
fn a_rule_that_is_gone_is_told_last_with_what_it_paid() {
    let report = week().tries(FILE.split("[speaking.talk]").next().unwrap_or_default());
    let campaign = &report.campaigns[0];
    assert_eq!(paid(campaign, "speaking.talk"), (4, 0, 4, 0));
    assert_eq!(campaign.rules.last().map(|rule| &*rule.rule), Some("speaking.talk"));
    assert!(campaign.verdicts.iter().any(|turned| turned.to == "没有这条规则"), "{:#?}", campaign.verdicts);
}

#[test]
fn a_campaign_renamed_pays_under_its_new_name() {
    let named = |id: &str| {
        format!("[campaign.{id}]\ngroups = [\"*\"]\n\n{FILE}")
            .replace("[check_in", &format!("[campaign.{id}.check_in"))
            .replace("[speaking", &format!("[campaign.{id}.speaking"))
    };
    let mut town = Town::new(&named("riders"));
    town.says("aming", "2026-11-16T09:00:00", "签到");
    town.grants("aming", "2026-11-16T10:00:00", 7);
    let report = town.tries(&named("cyclists"));
    let of = |id: &str| report.campaigns.iter().find(|campaign| &*campaign.id == id).expect("it is told").total;
    assert_eq!((of("cyclists").was, of("cyclists").now, of("riders").was, of("riders").now), (0, 2, 2, 0));
    assert_eq!(report.campaigns.iter().map(|campaign| &*campaign.id).collect::<Vec<_>>(), ["cyclists", "riders"]);
}

#[test]
fn grants_stand_in_both_worlds_and_tell_where_points_would_be_lacking() {
    let mut town = week();
    town.grants("xiaohong", "2026-11-21T13:00:00", -6);
    town.does("xiaohong", "2026-11-21T14:00:00", Act::Opened { points: 1 });
    assert_same(&town.tries(FILE));
    let report = town.tries(&FILE.replace("points = 1", "points = 1\nmode = \"off\""));
    assert_eq!((report.outside, report.campaigns[0].lacking.len()), (2, 1));
    assert_eq!((report.campaigns[0].lacking[0].name.as_deref(), report.campaigns[0].lacking[0].points), (Some("小红"), 4));
}

#[test]
fn a_merged_person_is_one_in_both_worlds() {
    let mut town = week();
    let merge =
        jifen::pipeline::merge::Merge { corp: "acme".into(), from: who("xiaohong"), into: who("aming"), at: at("2026-11-21T15:00:00"), may_be_new: false };
    town.works(jifen::pipeline::Work::Merge(Box::new(merge)));
    town.says("xiaohong", "2026-11-22T09:00:00", "签到");
    town.says("aming", "2026-11-22T09:01:00", "签到");
    assert_same(&town.tries(FILE));
    let report = town.tries(&FILE.replace("points = 2", "points = 3"));
    assert_eq!((report.campaigns[0].gained, report.campaigns[0].winners[0].change.difference()), (1, 6), "one person, six days");
}
