//! Prices and what they cost, from the ledger itself: who can reach which good and when ([`prices`]), what the points that are out there
//! amount to and will amount to ([`liability`]).

pub mod earners;
pub mod reach;
pub mod prices;
pub mod advice;
pub mod flows;
pub mod forecast;
pub mod liability;

/// Told while the ledger is read: postings read, and all of them.
pub type Progress<'a> = &'a mut dyn FnMut(i64, i64);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use jiff::civil::date;

    use crate::model::day::Day;
    use crate::model::ids::CampaignId;
    use crate::plan::earners::{self, Window};
    use crate::plan::{flows, liability};
    use crate::rules::file::load;
    use crate::scenario::{Stage, usual_group};

    const RULES: &str = r#"
        check_in.daily = { keywords = ["签到"], points = 5, streak = { 3 = 10 } }
        speaking.any = { points = 1, max_points = { day = 20 } }
        campaign.main = { expires = "20d" }
        [[test]]
        name = "a month"
        chat = """
        11-01 09:00 小红: 签到 => +5
        11-16..11-17 09:00 阿明: 签到 => +5
        11-17 09:10 阿明: 今天骑了二十公里 => +1
        11-17 09:11 阿明: 撤回 => -1
        11-18 09:00 阿明: 签到 => +15
        11-18 09:01 管理员: @积分助手 给 阿明 加 100 分 帮忙答疑
        11-22 09:00 小红: 今天骑了三十公里 => +1
        """
    "#;

    fn played() -> Stage {
        let (rules, _) = load(RULES).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let rules = Arc::new(rules);
        let mut stage = Stage::new(&rules);
        for line in &rules.tests[0].lines {
            let heard = stage.play(line, &usual_group(&rules)).expect("a store in memory");
            assert!(line.expect_points.is_none_or(|points| points == heard.points()), "line {}: {}", line.line, heard.points());
        }
        stage
    }

    fn campaign(stage: &Stage) -> CampaignId {
        *stage.reader().directory().expect("a directory").campaigns.values().next().expect("a campaign")
    }

    #[test]
    fn members_are_read_with_what_rules_gave_them() {
        let stage = played();
        let today = Day::of(date(2026, 11, 23));
        let window = |first: Day| HashMap::from([(campaign(&stage), Window { first, last: today.plus(-1), today })]);
        let read = |first: Day| {
            let mut all = earners::read(stage.reader(), &window(first), &mut |_, _| {}).expect("a store in memory");
            let mut all = all.remove(&campaign(&stage)).expect("the campaign");
            all.active.sort_by_key(|member| member.total());
            all
        };
        let all = read(today.plus(-28));
        let told: Vec<_> = all.active.iter().map(|member| (member.spendable, member.days, member.weeks.to_vec())).collect();
        assert_eq!(told, [(1, 22, vec![1, 0, 0, 5]), (125, 7, vec![25, 0, 0, 0])], "the grant and what was recalled do not count");
        assert_eq!((all.dormant, all.last_earned), (0, Some(today.plus(-1))));
        let lately = read(today.plus(-2));
        assert_eq!((lately.active.len(), lately.dormant, lately.active[0].days), (1, 1, 2));
    }

    #[test]
    fn what_moved_sums_up_to_what_members_hold() {
        let stage = played();
        let today = Day::of(date(2026, 11, 22));
        let id = campaign(&stage);
        let held = liability::outstanding(stage.reader(), &HashMap::from([(id, today)])).expect("a store in memory").remove(&id).expect("accounts");
        let moved = flows::read(stage.reader(), &mut |_, _| {}).expect("a store in memory").remove(&id).expect("postings");
        assert_eq!((held.total, held.members, moved.outstanding(today)), (126, 2, 126), "the first five are gone");
        assert_eq!(moved.outstanding(Day::of(date(2026, 11, 1))), 5);
    }
}
