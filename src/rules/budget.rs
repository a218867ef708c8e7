//! Budgets for operators: when one runs low they are told once, and what points are worth in money.

use crate::model::claim::Claim;
use crate::model::decision::Args;
use crate::model::reply::{Occasion, Reply, Template};
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::share::{CAMPAIGN_BUDGET, budgets};

/// Share of a budget at which the operators are told that it runs low, in percent.
const LOW_PERCENT: i128 = 80;

/// Parts of a yuan that `point_value` can tell: a hundredth of a fen.
const PARTS_PER_YUAN: i64 = 10_000;

/// Most that one point may be worth, in yuan: a slip of the finger is caught.
const YUAN_MAX: i64 = 10_000;

/// What the operators are told once these are taken: each threshold of each budget is passed once, by one event.
pub fn alarms(campaign: &Campaign, claims: &[Claim]) -> Vec<Reply> {
    if claims.is_empty() {
        return Vec::new();
    }
    // Of what is only tried nobody is told.
    let claims: Vec<&Claim> = claims.iter().filter(|claim| !claim.name.starts_with('~')).collect();
    let mut seen: Vec<&str> = Vec::new();
    let mut alarms = Vec::new();
    for (claim, rule) in claims.iter().filter_map(|claim| Some((*claim, whose(campaign, claim)?))) {
        if seen.contains(&&*claim.name) {
            continue;
        }
        seen.push(&claim.name);
        let of_it = || claims.iter().filter(|other| other.name == claim.name);
        let before = of_it().map(|claim| claim.total - claim.taken).min().unwrap_or(0);
        let after = of_it().map(|claim| claim.total).max().unwrap_or(0);
        let (title, budget) = rule;
        if let Some(text) = passed(before, after, budget) {
            let worth = campaign.point_value.map_or(String::new(), |value| format!("(约 {} 元)", yuan(budget, value)));
            let text = format!("{title}的预算{text}:{after}/{budget}{worth}");
            alarms.push(Reply {
                template: Template { occasion: Occasion::Alarm, rule: None },
                args: Args::default().text("说明", text),
                asked: true,
                once: None,
            });
        }
    }
    alarms
}

/// Whose budget a claim is on, and how much it is.
fn whose<'c>(campaign: &'c Campaign, claim: &Claim) -> Option<(String, i64)> {
    if claim.name == *CAMPAIGN_BUDGET {
        return campaign.budget.map(|budget| (format!("活动 {} ", campaign.title.as_deref().unwrap_or(&campaign.id)), budget));
    }
    let mine = |rule: &'c RuleEntry| budgets(campaign, rule).find(|(name, ..)| *name == claim.name).map(|(_, _, budget)| (rule, budget));
    campaign.rules.iter().find_map(mine).map(|(rule, budget)| (format!("「{}」({})", rule.title(), rule.code), budget))
}

fn passed(before: i64, after: i64, budget: i64) -> Option<&'static str> {
    let low = |taken: i64| i128::from(taken) * 100 >= i128::from(budget) * LOW_PERCENT;
    match () {
        () if before < budget && after >= budget => Some("发完了,这一项不再得分"),
        () if !low(before) && low(after) => Some("用了八成"),
        () => None,
    }
}

/// A line of `jifen budget`: code, title and budget of each.
pub fn listed(campaign: &Campaign) -> Vec<(std::sync::Arc<str>, String, i64)> {
    let live = campaign.rules.iter().filter(|rule| rule.common.mode == Mode::Live);
    let own = live.filter_map(|rule| {
        Some((crate::rules::share::name(crate::rules::share::BUDGET, rule), format!("{} {}", rule.code, rule.title()), rule.common.budget?))
    });
    let all = campaign.budget.map(|budget| (CAMPAIGN_BUDGET.clone(), "整个活动".to_owned(), budget));
    own.chain(all).collect()
}

/// What one point is worth, as it is written in yuan (`0.01`), in hundredths of a fen.
///
/// # Errors
/// What is wrong, in words.
pub fn point_value(text: &str) -> Result<i64, String> {
    let unread = || format!("「{text}」不是金额;请写一积分值多少元,如 \"0.01\",最多四位小数");
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || part.len() > 4 || !digits(whole) || !digits(part) {
        return Err(unread());
    }
    let (whole, part): (i64, i64) = (whole.parse().map_err(|_| unread())?, format!("{part:0<4}").parse().map_err(|_| unread())?);
    let value = whole * PARTS_PER_YUAN + part;
    if (1..=YUAN_MAX * PARTS_PER_YUAN).contains(&value) { Ok(value) } else { Err(unread()) }
}

/// So many points in yuan, to the fen, rounded half up.
pub fn yuan(points: i64, value: i64) -> String {
    let fen = (i128::from(points) * i128::from(value) * 100 + i128::from(PARTS_PER_YUAN) / 2).div_euclid(i128::from(PARTS_PER_YUAN));
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// Hundredths of a fen in yuan, all four decimals: `0.0125`.
pub fn yuan_exact(parts: i128) -> String {
    let parts_per_yuan = i128::from(PARTS_PER_YUAN);
    format!("{}.{:04}", parts / parts_per_yuan, parts % parts_per_yuan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::decision::{Refusal, Ruling};
    use crate::rules::world::World;

    #[test]
    fn points_are_told_in_money() {
        assert_eq!((point_value("0.01"), point_value("1"), point_value("0.0125")), (Ok(100), Ok(10_000), Ok(125)));
        for bad in ["", "0", "-1", "1,5", "0.00001", "1e3", "99999999", "."] {
            assert!(point_value(bad).is_err(), "{bad}");
        }
        assert_eq!((yuan(26_800, 100), yuan(1, 50), yuan(i64::MAX / 2, 1)), ("268.00".into(), "0.01".into(), "461168601842738.79".into()));
    }

    #[test]
    fn operators_hear_once_that_a_budget_runs_low_and_once_that_it_is_spent() {
        let mut world = World::new("check_in.daily = { keywords = [\"签到\"], points = 30, budget = 100 }\ncampaign.main = { point_value = \"0.01\" }");
        let told = |world: &World| world.said().into_iter().filter(|text| text.starts_with("【提醒】")).collect::<Vec<_>>();
        let mut days = Vec::new();
        for day in 1..=5 {
            let points = world.says(&format!("11-0{day} 09:00"), "签到");
            days.push((points, told(&world)));
        }
        assert_eq!(days.iter().map(|day| day.0).collect::<Vec<_>>(), [30, 30, 30, 10, 0]);
        let spent = "【提醒】「签到」(check_in.daily)的预算发完了,这一项不再得分:100/100(约 1.00 元)。";
        assert_eq!(days[2].1, ["【提醒】「签到」(check_in.daily)的预算用了八成:90/100(约 1.00 元)。"]);
        assert_eq!((days[0].1.len(), days[1].1.len(), &days[3].1[..], days[4].1.len()), (0, 0, &[spent.to_owned()][..], 0));
        assert_eq!(*world.ruling(), Ruling::Refused(Refusal::Spent));
    }

    #[test]
    fn a_campaigns_budget_holds_for_all_its_rules_together() {
        let mut world = World::new(
            "check_in.one = { keywords = [\"签到\"], points = 6, budget = 20 }\ncheck_in.two = { keywords = [\"签到\"], points = 6 }\ncampaign.main = { budget = 10 }",
        );
        assert_eq!(world.says("11-01 09:00", "签到"), 10, "6 and the 4 that are left");
        assert_eq!(world.says("11-02 09:00", "签到"), 0);
        assert_eq!(world.shared.values().copied().sum::<i64>(), 6 + 10);
    }
}
