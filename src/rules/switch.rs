//! Which rule or campaign an operator means by 「停用 每日签到」, and what 「规则状态」 answers.

use std::sync::Arc;

use crate::model::wish::Switch;
use crate::rules::campaign::{Campaign, Mode, RuleEntry, Rules};
use crate::rules::fit::did_you_mean;
use crate::rules::text::{Folded, fold};
use crate::rules::words::{How, Listen};

/// Stands before the name of a campaign.
const CAMPAIGN: &str = "活动";

/// Candidates named where a name is not enough.
const CANDIDATES_MAX: usize = 5;

/// A rule over all campaigns that have it.
struct Known<'a> {
    code: &'a Arc<str>,
    rules: Vec<(&'a Campaign, &'a RuleEntry)>,
}

impl Known<'_> {
    fn title(&self) -> &str {
        self.rules.first().map_or("", |(_, rule)| rule.title())
    }

    fn name(&self) -> String {
        format!("{}({})", self.title(), self.code)
    }

    fn has(&self, mode: Mode) -> bool {
        self.rules.iter().any(|(_, rule)| rule.common.mode == mode)
    }

    /// How well a text names it: 0 best; `None` for not at all.
    fn rank(&self, text: &str) -> Option<u8> {
        let is = |other: &str| fold(other).as_str() == fold(text).as_str();
        let own_name = self.code.split_once('.').map_or("", |(_, name)| name);
        if self.code.eq_ignore_ascii_case(text) {
            return Some(0);
        }
        if self.rules.iter().any(|(_, rule)| is(rule.title())) {
            return Some(1);
        }
        if is(own_name) || self.rules.iter().any(|(_, rule)| rule.kind.listens_for().iter().any(|listen| is(&listen.text))) {
            return Some(2);
        }
        let holds = |title: &str| title.contains(text) || text.contains(title);
        self.rules.iter().any(|(_, rule)| holds(rule.title())).then_some(3)
    }
}

/// What is meant, for switching it on or off.
///
/// # Errors
/// In words: nothing is called so, several are, or it is so already.
pub fn find(rules: &Rules, text: &str, on: bool) -> Result<Switch, String> {
    let text = text.trim().trim_matches(['「', '」', '"', '“', '”']).trim();
    if let Some(name) = text.strip_prefix(CAMPAIGN) {
        return find_campaign(rules, name.trim(), on);
    }
    let known = known(rules);
    let best = known.iter().filter_map(|it| it.rank(text)).min();
    let mut meant: Vec<&Known<'_>> = known.iter().filter(|it| best.is_some() && it.rank(text) == best).collect();
    let wanted = if on { Mode::Off } else { Mode::Live };
    if meant.len() > 1 && meant.iter().filter(|it| it.has(wanted)).count() == 1 {
        meant.retain(|it| it.has(wanted));
    }
    let verb = verb(on);
    match meant.as_slice() {
        [] => {
            let names: Vec<&str> = known.iter().flat_map(|it| [it.title(), &**it.code]).collect();
            Err(format!("没有叫「{text}」的规则{}。说「规则状态」看都有哪些", did_you_mean(text, &names)))
        }
        [one] => {
            is_due(one, on)?;
            let is_alone = known.iter().filter(|it| it.title() == one.title()).count() == 1;
            let word = if is_alone { one.title().into() } else { one.code.clone() };
            Ok(Switch { target: one.code.clone(), is_campaign: false, on, name: one.name().into(), word })
        }
        several => {
            let names: Vec<String> = several.iter().take(CANDIDATES_MAX).map(|it| it.name()).collect();
            let more = if several.len() > CANDIDATES_MAX { " 等" } else { "" };
            Err(format!("有 {} 条规则都对得上:{}{more}。请说全名,例如「{verb} {}」", several.len(), names.join("、"), several[0].code))
        }
    }
}

/// Whether a rule is not as it is wanted.
fn is_due(it: &Known<'_>, on: bool) -> Result<(), String> {
    let (name, word) = (it.name(), it.title());
    match (on, it.has(Mode::Live), it.has(Mode::Shadow), it.has(Mode::Off)) {
        (false, true, ..) => Ok(()),
        (false, false, true, _) => Err(format!("{name} 在试运行,本来就不计分,不用停;要彻底关掉,请在 rules.toml 里写 mode = \"off\"")),
        (false, false, false, _) => Err(format!("{name} 已经停用了。恢复请说「恢复 {word}」")),
        (true, _, _, true) => {
            let closed = |campaign: &Campaign| campaign.mode == Mode::Off;
            match it.rules.iter().find(|(campaign, _)| closed(campaign)) {
                Some((campaign, _)) if it.rules.iter().all(|(campaign, rule)| closed(campaign) || rule.common.mode != Mode::Off) => {
                    Err(format!("它所在的活动「{0}」整个停用着。请说「恢复 活动 {0}」", title(campaign)))
                }
                Some(_) | None => Ok(()),
            }
        }
        (true, _, true, false) => Err(format!("{name} 在试运行,没有停用;要正式开始,请在 rules.toml 里把它的 mode 改成 \"live\"")),
        (true, _, false, false) => Err(format!("{name} 没有停用,正在计分")),
    }
}

fn find_campaign(rules: &Rules, text: &str, on: bool) -> Result<Switch, String> {
    let is = |campaign: &&Campaign| *campaign.id == *text || fold(title(campaign)).as_str() == fold(text).as_str();
    let Some(campaign) = rules.campaigns.iter().find(is) else {
        let names: Vec<&str> = rules.campaigns.iter().map(title).collect();
        return Err(format!("没有叫「{text}」的活动,现有:{}", names.join("、")));
    };
    let name = format!("活动「{}」", title(campaign));
    match (on, campaign.mode) {
        (false, Mode::Live) | (true, Mode::Off) => {
            let word = format!("{CAMPAIGN} {}", title(campaign)).into();
            Ok(Switch { target: campaign.id.clone(), is_campaign: true, on, name: name.into(), word })
        }
        (false, Mode::Off) => Err(format!("{name} 已经停用了")),
        (true, Mode::Live) => Err(format!("{name} 没有停用,正在计分")),
        (_, Mode::Shadow) => Err(format!("{name} 在试运行,本来就不计分;要改请在 rules.toml 里改它的 mode")),
    }
}

/// 「规则状态」: what is on, on trial and off, campaign by campaign.
pub fn states(rules: &Rules) -> String {
    let mut lines = Vec::new();
    for campaign in &rules.campaigns {
        let of = |mode: Mode| {
            let rules = campaign.rules.iter().filter(|rule| rule.common.mode == mode && !rule.kind.sells());
            rules.map(|rule| format!("{}({})", rule.title(), rule.code)).collect::<Vec<_>>().join("、")
        };
        let whole = match campaign.mode {
            Mode::Live => "",
            Mode::Shadow => "(整个活动试运行)",
            Mode::Off => "(整个活动停用)",
        };
        if rules.campaigns.len() > 1 || !whole.is_empty() {
            lines.push(format!("活动「{}」{whole}", title(campaign)));
        }
        let states = [("计分", of(Mode::Live)), ("试运行,不计分", of(Mode::Shadow)), ("停用", of(Mode::Off))];
        lines.extend(states.into_iter().filter(|(_, names)| !names.is_empty()).map(|(state, names)| format!("{state}:{names}")));
    }
    lines.push("要停一条,说「停用 它的名称」;再用,说「恢复 它的名称」".to_owned());
    lines.join("\n")
}

/// What is said once it is done.
pub fn done(switch: &Switch) -> String {
    let Switch { name, word, .. } = switch;
    match (switch.on, switch.is_campaign) {
        (false, false) => format!("已停用 {name},现在起不再计分。恢复请说「恢复 {word}」"),
        (false, true) => format!("已停用 {name},现在起里面什么都不再计分,已有的积分照样能查。恢复请说「恢复 {word}」"),
        (true, false | true) => format!("已恢复 {name},现在起照常计分;停用期间的不补"),
    }
}

/// How it is said.
pub fn verb(on: bool) -> &'static str {
    if on { "恢复" } else { "停用" }
}

fn title(campaign: &Campaign) -> &str {
    campaign.title.as_deref().unwrap_or(&campaign.id)
}

/// The rules of a file, each once, with all campaigns that have it. What a table makes beside its rule goes with that rule.
fn known(rules: &Rules) -> Vec<Known<'_>> {
    let mut known: Vec<Known<'_>> = Vec::new();
    for campaign in &rules.campaigns {
        for rule in campaign.rules.iter().filter(|rule| !rule.kind.sells()) {
            match known.iter_mut().find(|it| *it.code == rule.code) {
                Some(it) => it.rules.push((campaign, rule)),
                None => known.push(Known { code: &rule.code, rules: vec![(campaign, rule)] }),
            }
        }
    }
    known
}

/// The stopped rule whose whole word a text is, so that who says it is told.
pub fn stopped<'a>(campaign: &'a Campaign, text: &Folded) -> Option<&'a RuleEntry> {
    let is_word = |listen: &Listen| listen.how == How::Equals && fold(&listen.text) == *text;
    campaign.rules.iter().find(|rule| rule.common.mode == Mode::Off && rule.kind.listens_for().iter().any(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::file::load;

    const RULES: &str = r#"
        check_in.daily = { title = "每日签到", keywords = ["签到", "打卡"], points = 2, make_up = { price = 5 } }
        check_in.night = { title = "晚安签到", keywords = ["晚安"], points = 2, mode = "off" }
        speaking.talk = { title = "聊天", points = 1, max_points = { day = 9 }, mode = "shadow" }
        speaking.topic = { title = "话题", keywords = ["读书"], match = "contains", points = 1, max_points = { day = 9 } }
        campaign.main = { title = "骑行" }
    "#;

    fn means(text: &str, on: bool) -> Result<(String, String), String> {
        let (rules, _) = load(RULES).expect("good rules");
        find(&rules, text, on).map(|switch| (switch.target.to_string(), switch.word.to_string()))
    }

    #[test]
    fn a_rule_is_meant_by_its_title_code_name_or_word() {
        for text in ["每日签到", "「每日签到」", "check_in.daily", "CHECK_IN.daily", "daily", "签到", "打卡", "每日", "「每日签到」 "] {
            assert_eq!(means(text, false), Ok(("check_in.daily".into(), "每日签到".into())), "{text}");
        }
        assert_eq!(means("晚安", true), Ok(("check_in.night".into(), "晚安签到".into())));
        assert_eq!(means("活动 骑行", false), Ok(("main".into(), "活动 骑行".into())));
        assert_eq!(means("活动main", false).map(|meant| meant.0), Ok("main".into()));
    }

    #[test]
    fn what_is_not_clear_is_told_with_what_to_say() {
        assert!(means("每日前到", false).unwrap_err().contains("是不是想写 每日签到?"), "{:?}", means("每日前到", false));
        assert!(means("抽奖", false).unwrap_err().contains("规则状态"));
        assert!(means("晚安签到", false).unwrap_err().contains("恢复 晚安签到"));
        assert!(means("每日签到", true).unwrap_err().contains("没有停用"));
        assert!(means("聊天", false).unwrap_err().contains("试运行"));
        assert!(means("活动 跑步", false).unwrap_err().contains("现有:骑行"));
        let (rules, _) = load("check_in.a = { keywords = [\"早\"], points = 1 }\ncheck_in.b = { keywords = [\"晚\"], points = 1 }").expect("good rules");
        let told = find(&rules, "签到", false).unwrap_err();
        assert!(told.contains("有 2 条规则都对得上:签到(check_in.a)、签到(check_in.b)") && told.contains("「停用 check_in.a」"), "{told}");
        assert_eq!(find(&rules, "check_in.a", false).map(|it| it.word), Ok("check_in.a".into()));
    }

    #[test]
    fn the_states_of_all_rules_are_told() {
        let (rules, _) = load(RULES).expect("good rules");
        assert_eq!(
            states(&rules),
            "计分:每日签到(check_in.daily)、话题(speaking.topic)\n试运行,不计分:聊天(speaking.talk)\n停用:晚安签到(check_in.night)\n\
             要停一条,说「停用 它的名称」;再用,说「恢复 它的名称」"
        );
    }
}
