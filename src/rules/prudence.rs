//! Lint with money sense for what multiplies and what sums up: festivals, budgets, words that two rules hear, and amounts that are a slip.

use std::ops::Range;

use crate::rules::boost::{Festival, multiplied};
use crate::rules::campaign::{Campaign, Mode, RuleEntry};
use crate::rules::lint::{apart, worst};
use crate::rules::mistake::{Mistakes, Severity, grouped};
use crate::rules::text::{Folded, fold};
use crate::rules::words::How;

/// Points that one rule may give one member a day before it looks like a slip: a hundred times a generous check-in.
const DAY_POINTS_MAX: i64 = 10_000;

/// A rule and the place of its head.
type Placed<'a> = (&'a RuleEntry, &'a Range<usize>);

/// Warns. `heads` are the places of the campaign's rules, `festival_heads` those of its festivals.
pub fn check(campaign: &Campaign, heads: &[Range<usize>], festival_heads: &[Range<usize>], mistakes: &mut Mistakes) {
    let live: Vec<Placed<'_>> = campaign.rules.iter().zip(heads).filter(|(rule, _)| rule.common.mode == Mode::Live).collect();
    for placed in &live {
        absurd(campaign, *placed, mistakes);
        small_budget(*placed, mistakes);
    }
    heard_twice(campaign, &live, mistakes);
    let festivals: Vec<(&Festival, &Range<usize>)> = campaign.festivals.iter().zip(festival_heads).collect();
    for (at, (festival, head)) in festivals.iter().enumerate() {
        let rules: Vec<&RuleEntry> = live.iter().map(|(rule, _)| *rule).filter(|rule| festival.is_for(rule)).collect();
        lowers(festival, head, mistakes);
        rounds_to_nothing(festival, &rules, head, mistakes);
        never_meets(festival, &rules, head, mistakes);
        if let Some((earlier, _)) = festivals[..at].iter().find(|(earlier, _)| rules.iter().any(|rule| earlier.is_for(rule)) && !earlier.is_apart(festival)) {
            let both = i64::from(earlier.percent) * i64::from(festival.percent) / 100;
            let text = format!("与 [{}] 有重叠的时候,两个倍数会相乘成 {both}%;不想这样就错开日期,或各写各的 rules", earlier.code);
            let days = rules.iter().filter(|rule| earlier.is_for(rule)).map(|rule| worst::cost(campaign, &[rule]));
            if let Some(cost) = days.max_by_key(|cost| cost.points) {
                mistakes.costly((*head).clone(), Severity::Warning, "festivals-overlap", text, cost);
            }
        }
    }
}

/// An amount that is more likely a slip than a gift, unless a budget bounds what it can cost in all.
fn absurd(campaign: &Campaign, (rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    let day = worst::a_day(campaign, rule);
    // Without any cap another finding tells it, unless a single message is too much already.
    let points = if day.unlimited { rule.kind.most() } else { day.points };
    if points > DAY_POINTS_MAX && rule.common.budget.is_none() && campaign.budget.is_none() {
        let what = if day.unlimited { "一次就能给一个人" } else { "一天最多能给一个人" };
        let text = format!(
            "{} {what} {} 分,像是多写了零,所以不采用;真要这么多,就写上 budget(总预算),或在上一行加注释 # jifen: allow(absurd) 和理由",
            rule.code,
            grouped(&points.to_string())
        );
        mistakes.costly(head.clone(), Severity::Error, "absurd", text, worst::cost(campaign, &[rule]));
    }
}

/// A budget that is gone before it begins.
fn small_budget((rule, head): Placed<'_>, mistakes: &mut Mistakes) {
    if rule.common.budget.is_some_and(|budget| budget < rule.kind.most()) {
        let budget = rule.common.budget.unwrap_or_default();
        let text = format!("{} 的预算只有 {budget} 分,一次就可能得 {} 分,第一个人就用完了", rule.code, rule.kind.most());
        mistakes.warning(head.clone(), "small-budget", text);
    }
}

/// A word of one rule that another rule hears too, because it looks inside of messages: both pay for one message.
fn heard_twice(campaign: &Campaign, live: &[Placed<'_>], mistakes: &mut Mistakes) {
    let words = |placed: &Placed<'_>| -> Vec<(Folded, How)> { placed.0.kind.listens_for().iter().map(|listen| (fold(&listen.text), listen.how)).collect() };
    let inside: Vec<&Placed<'_>> =
        live.iter().filter(|(rule, _)| rule.kind.listens_for().iter().any(|listen| matches!(listen.how, How::Contains | How::StartsWith))).collect();
    if inside.is_empty() {
        return;
    }
    let all: Vec<(&Placed<'_>, Vec<(Folded, How)>)> = live.iter().map(|placed| (placed, words(placed))).collect();
    for wide in inside {
        let own = words(wide);
        let hears = |by: &[(Folded, How)], word: &Folded| {
            by.iter().any(|(own, how)| match how {
                How::Contains => word.as_str().contains(own.as_str()),
                How::StartsWith => word.as_str().starts_with(own.as_str()),
                How::Equals | How::Regex => false,
            })
        };
        for (other, theirs) in &all {
            let is_pair = other.0.index != wide.0.index && !apart(other.0, wide.0);
            // Of two that hear each other's words it is told once.
            let is_mutual = own.iter().any(|(word, how)| *how != How::Regex && hears(theirs, word));
            let is_told = !is_mutual || other.0.index < wide.0.index;
            if is_pair
                && is_told
                && let Some((word, _)) = theirs.iter().find(|(word, how)| *how != How::Regex && hears(&own, word))
            {
                let text = format!("{} 的口令「{}」这里也听得到,一条消息两边都得分;不想这样就换一个口令,或改 match", other.0.code, word.as_str());
                mistakes.costly(wide.1.clone(), Severity::Warning, "heard-twice", text, worst::cost(campaign, &[other.0, wide.0]));
                break;
            }
        }
    }
}

/// A factor that makes less of it.
fn lowers(festival: &Festival, head: &Range<usize>, mistakes: &mut Mistakes) {
    if festival.percent <= 100 {
        let what = if festival.percent == 100 { "什么也不变" } else { "会让大家得的更少" };
        mistakes.warning(head.clone(), "factor-lowers", format!("倍数 {}% {what};想翻倍写 200%", festival.percent));
    }
}

/// A factor that changes nothing, because points are whole.
fn rounds_to_nothing(festival: &Festival, rules: &[&RuleEntry], head: &Range<usize>, mistakes: &mut Mistakes) {
    let factor = crate::model::decision::Factor { of: festival.title.clone(), percent: festival.percent };
    let in_vain = |rule: &&&RuleEntry| rule.kind.most() > 0 && multiplied(rule.kind.most(), std::slice::from_ref(&factor)) == Some(rule.kind.most());
    if festival.percent > 100
        && let Some(rule) = rules.iter().find(in_vain)
    {
        let most = rule.kind.most();
        let text = format!("{} 的 {most} 分乘 {}% 去掉零头还是 {most} 分,等于没乘;把倍数或分数提高一些", rule.code, festival.percent);
        mistakes.warning(head.clone(), "factor-in-vain", text);
    }
}

/// A festival at a time when none of its rules is open.
fn never_meets(festival: &Festival, rules: &[&RuleEntry], head: &Range<usize>, mistakes: &mut Mistakes) {
    let meets = |rule: &&RuleEntry| {
        let dates = festival.dates.zip(rule.common.dates).is_none_or(|(one, other)| one.0 <= other.1 && other.0 <= one.1);
        let windows = festival.when.as_ref().zip(rule.common.when.as_ref()).is_none_or(|(one, other)| one.overlaps(other));
        let days = festival.days.as_ref().zip(rule.common.when.as_ref()).is_none_or(|(one, other)| one.overlaps(other));
        dates && windows && days
    };
    if !rules.iter().any(meets) {
        let text = if rules.is_empty() {
            "没有正在用的规则归它管,永远用不上"
        } else {
            "它的日期和时段里,没有一条规则是开放的,永远用不上"
        };
        mistakes.warning(head.clone(), "festival-never", text);
    }
}

impl Festival {
    /// Whether it is for a rule, whenever it is on.
    pub(super) fn is_for(&self, rule: &RuleEntry) -> bool {
        self.rules.as_ref().is_none_or(|rules| rules.contains(&rule.code))
    }

    /// Whether no instant is in both.
    pub(super) fn is_apart(&self, other: &Festival) -> bool {
        let dates = self.dates.zip(other.dates).is_some_and(|(one, other)| one.1 < other.0 || other.1 < one.0);
        let apart = |one: &Option<crate::rules::when::When>, other: &Option<crate::rules::when::When>| {
            one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| !one.overlaps(other))
        };
        dates || [&self.days, &self.when].iter().any(|mine| [&other.days, &other.when].iter().any(|theirs| apart(mine, theirs)))
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::file::load;

    fn warned(text: &str) -> Vec<&'static str> {
        load(text).map_or_else(|mistakes| mistakes, |(_, warnings)| warnings).into_iter().map(|mistake| mistake.code).collect()
    }

    const DAILY: &str = "check_in.daily = { keywords = [\"签到\"], points = 2 }\n";

    #[test]
    fn what_costs_money_or_does_nothing_is_told() {
        for (text, code) in [
            ("check_in.x = { keywords = [\"打卡\"], points = 20000 }", "absurd"),
            ("check_in.x = { keywords = [\"打卡\"], points = 20, budget = 10 }", "small-budget"),
            ("check_in.x = { keywords = [\"签到\"], match = \"contains\", points = 2 }", "heard-twice"),
            ("festival.x = { factor = \"50%\" }", "factor-lowers"),
            ("festival.x = { factor = \"120%\" }", "factor-in-vain"),
            ("festival.a = { factor = \"200%\" }\nfestival.b = { factor = \"200%\", days = \"周六周日\" }", "festivals-overlap"),
            (
                "check_in.x = { keywords = [\"打卡\"], points = 2, when = \"20:00-21:00\" }\nfestival.x = { factor = \"200%\", when = \"08:00-09:00\", rules = [\"check_in.x\"] }",
                "festival-never",
            ),
        ] {
            assert_eq!(warned(&format!("{DAILY}{text}")), [code], "{text}");
        }
    }

    #[test]
    fn what_is_meant_is_not_told() {
        for text in [
            "festival.a = { factor = \"200%\", dates = \"2026-11-01..2026-11-02\" }\nfestival.b = { factor = \"200%\", dates = \"2026-11-03..2026-11-04\" }",
            "check_in.x = { keywords = [\"骑行\"], match = \"contains\", points = 2, budget = 100 }",
        ] {
            assert_eq!(warned(&format!("{DAILY}{text}")), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_word_inside_another_rules_word_is_told() {
        let two = |word: &str| {
            warned(&format!(
                "check_in.a = {{ keywords = [\"{word}\"], match = \"contains\", points = 2 }}\ncheck_in.b = {{ keywords = [\"骑行打卡\"], match = \"contains\", points = 5 }}"
            ))
        };
        assert_eq!(two("打卡"), ["heard-twice"]);
        assert_eq!(two("跑步"), [""; 0]);
    }
}
