//! What differs between two versions of rules.toml, in words an operator says: `check_in.daily:2 分 → 3 分`. What is compared is what holds
//! (inherited keys and defaults written out), so that comments, order and layout are no difference.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use toml::Value;

use crate::rules::KINDS;
use crate::rules::campaign::Rules;
use crate::rules::file;

/// Tables beside those of rules that hold named things.
const NAMED: [&str; 5] = ["bucket", "festival", "good", "schedule", "title"];
/// Characters of a value that are shown; of a longer one the beginning.
const VALUE_CHARS_MAX: usize = 40;

/// The keys of a table with their values, in TOML.
type Keys = BTreeMap<String, String>;
/// The tables of a campaign, or of none, by the names people call them: `check_in.daily`, `assistant`.
type Tables = BTreeMap<(Option<String>, String), Keys>;

/// What differs, a line for each table; empty where both mean the same.
pub fn difference(old: &Rules, new: &Rules) -> Vec<String> {
    if old.text == new.text {
        return Vec::new();
    }
    let (before, after) = (tables(&file::written_out(&old.text)), tables(&file::written_out(&new.text)));
    let names: BTreeSet<&(Option<String>, String)> = before.keys().chain(after.keys()).collect();
    let mut told: Vec<(String, BTreeSet<&str>)> = Vec::new();
    for name in names {
        let Some(line) = line(&name.1, before.get(name), after.get(name)) else { continue };
        let campaign = name.0.as_deref();
        match told.iter_mut().find(|(known, _)| *known == line) {
            Some((_, campaigns)) => campaigns.extend(campaign),
            None => told.push((line, campaign.into_iter().collect())),
        }
    }
    let all: BTreeSet<&str> = before.keys().chain(after.keys()).filter_map(|(campaign, _)| campaign.as_deref()).collect();
    // What happens in every campaign stands at the top of the file, and needs no campaign to be named.
    let named = |(line, campaigns): (String, BTreeSet<&str>)| match campaigns.is_empty() || campaigns == all {
        true => line,
        false => format!("活动 {}:{line}", campaigns.into_iter().collect::<Vec<_>>().join("、")),
    };
    told.into_iter().map(named).chain(unchanged(old, new, &before, &after)).collect()
}

/// Keys that were written or left out, of tables that are in both files, and mean what held without them.
fn unchanged(old: &Rules, new: &Rules, before: &Tables, after: &Tables) -> Vec<String> {
    let written = |rules: &Rules| -> Tables {
        let text = rules.text.strip_prefix('\u{feff}').unwrap_or(&rules.text);
        let root: toml::Table = text.parse().unwrap_or_default();
        let mut tables = Tables::new();
        root.iter().filter(|(kind, _)| KINDS.iter().any(|known| known.name == *kind)).for_each(|(kind, value)| {
            value.as_table().into_iter().for_each(|things| note_all(&mut tables, None, kind, things));
        });
        tables
    };
    let (was, is) = (written(old), written(new));
    let mut told = Vec::new();
    for ((campaign, table), keys) in &is {
        let Some(earlier) = was.get(&(campaign.clone(), table.clone())) else { continue };
        let holds = |tables: &Tables, key: &str, value: &String| {
            let mut same = tables.iter().filter(|((_, name), _)| name == table).peekable();
            same.peek().is_some() && same.all(|(_, keys)| keys.get(key) == Some(value))
        };
        let added = keys.iter().filter(|(key, value)| !earlier.contains_key(*key) && holds(before, key, value) && holds(after, key, value));
        let added: Vec<String> = added.map(|(key, value)| format!("{key} = {}", cut(value))).collect();
        if !added.is_empty() {
            told.push(format!("{table}:{} 和默认一样,不变", added.join("、")));
        }
    }
    told
}

/// The first `most` lines, and how many more there are; where nothing differs, a line that says so.
pub fn summary(lines: Vec<String>, most: usize) -> String {
    if lines.is_empty() {
        return "只改了注释、排版或测试,得分不变".to_owned();
    }
    let more = lines.len().saturating_sub(most);
    let more = (more > 0).then(|| format!("还有 {more} 处,用 jifen rules diff 看全部"));
    lines.into_iter().take(most).chain(more).collect::<Vec<_>>().join("\n")
}

fn line(table: &str, old: Option<&Keys>, new: Option<&Keys>) -> Option<String> {
    match (old, new) {
        (None, None) => None,
        (None, Some(keys)) => Some(match factor(table, keys) {
            Some(factor) => format!("新增 {table}:{factor}"),
            None => format!("新增 {table}{}", about(keys)),
        }),
        (Some(_), None) => Some(format!("去掉 {table}")),
        (Some(old), Some(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let changes: Vec<String> = keys.into_iter().filter_map(|key| change(key, old.get(key), new.get(key))).collect();
            let factor = factor(table, new).map_or(String::new(), |factor| format!(";{factor}"));
            (!changes.is_empty()).then(|| format!("{table}:{}{factor}", changes.join(",")))
        }
    }
}

/// What a festival multiplies, which nobody sees who left out `rules`.
fn factor(table: &str, keys: &Keys) -> Option<String> {
    let factor = keys.get("factor").filter(|_| table.starts_with("festival."))?.trim_matches('"');
    let named = keys.get("rules");
    let whom = named.map_or("所有规则都".to_owned(), |rules| cut(&format!("{} ", rules.trim_matches(['[', ']']).replace('"', ""))));
    let bonus = if named.is_none_or(|rules| rules.contains("check_in")) { ",连签奖励也一起乘" } else { "" };
    Some(format!("{whom}乘 {factor}{bonus}"))
}

/// What a new rule pays, as far as its numbers tell.
fn about(keys: &Keys) -> String {
    let amounts = keys.iter().filter_map(|(key, value)| amount(key).map(|(head, unit)| format!("{head}{value} {unit}")));
    let mode = keys.get("mode").filter(|mode| *mode != "\"live\"").map(|value| mode(value).to_owned());
    let words: Vec<String> = amounts.chain(mode).collect();
    if words.is_empty() { String::new() } else { format!(":{}", words.join(",")) }
}

fn change(key: &str, old: Option<&String>, new: Option<&String>) -> Option<String> {
    if old == new {
        return None;
    }
    if key == "mode" {
        let word = |value: Option<&String>| mode(value.map_or("\"live\"", String::as_str)).to_owned();
        let (old, new) = (word(old), word(new));
        return (old != new).then(|| format!("{old} → {new}"));
    }
    let (head, unit) = amount(key).map_or((format!("{key} "), String::new()), |(head, unit)| (head, format!(" {unit}")));
    Some(match (old, new) {
        (Some(old), Some(new)) => format!("{head}{}{unit} → {}{unit}", cut(old), cut(new)),
        (None, Some(new)) => format!("加了 {head}{}{unit}", cut(new)),
        (Some(old), None) => format!("去掉了 {head}{}{unit}", cut(old)),
        (None, None) => return None,
    })
}

/// How an amount under this key is read, before and after the number; `None` where it is no amount.
fn amount(key: &str) -> Option<(String, &'static str)> {
    if key == "points" {
        return Some((String::new(), "分"));
    }
    let (limit, period) = key.split_once('.')?;
    let unit = match limit {
        "max_points" => "分",
        "max_times" => "次",
        _ => return None,
    };
    let period = match period {
        "day" => "每天",
        "week" => "每周",
        "month" => "每月",
        "window" => "每个时段",
        "ever" => "总共",
        _ => return None,
    };
    Some((format!("{period}最多 "), unit))
}

fn mode(value: &str) -> &str {
    match value {
        "\"live\"" => "正式",
        "\"shadow\"" => "试运行(只试算,不记分)",
        "\"off\"" => "停用",
        other => other,
    }
}

fn cut(value: &str) -> String {
    if value.chars().count() <= VALUE_CHARS_MAX { value.to_owned() } else { value.chars().take(VALUE_CHARS_MAX).chain(iter::once('…')).collect() }
}

/// The tables of a file in which everything is written out.
fn tables(text: &str) -> Tables {
    let root: toml::Table = text.parse().unwrap_or_default();
    let mut tables = Tables::new();
    for (name, value) in &root {
        match value.as_table() {
            Some(campaigns) if name == "campaign" => {
                campaigns.iter().for_each(|(id, own)| note(&mut tables, id, own));
            }
            Some(things) if NAMED.contains(&name.as_str()) => note_all(&mut tables, None, name, things),
            _ => flatten(tables.entry((None, name.clone())).or_default(), "", value),
        }
    }
    tables
}

/// Notes a campaign: its own keys, and each table of rules, caps and the like in it.
fn note(tables: &mut Tables, campaign: &str, own: &Value) {
    let is_kind = |key: &str| NAMED.contains(&key) || KINDS.iter().any(|kind| kind.name == key);
    let mut keys = Keys::new();
    for (key, value) in own.as_table().into_iter().flatten() {
        match value.as_table() {
            Some(things) if is_kind(key) => note_all(tables, Some(campaign), key, things),
            _ => flatten(&mut keys, key, value),
        }
    }
    tables.insert((None, format!("campaign.{campaign}")), keys);
}

fn note_all(tables: &mut Tables, campaign: Option<&str>, kind: &str, things: &toml::Table) {
    for (name, value) in things {
        flatten(tables.entry((campaign.map(str::to_owned), format!("{kind}.{name}"))).or_default(), "", value);
    }
}

/// Notes the keys of tables in tables under their whole names.
fn flatten(keys: &mut Keys, path: &str, value: &Value) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(keys, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, value);
            }
        }
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
            keys.insert(path.to_owned(), value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n\n[speaking.evening]\nwhen = \"20:00-21:00\"\npoints = 1\nmax_points = { day = 7 }\n";

    fn told(old: &str, new: &str) -> Vec<String> {
        let load = |text: &str| file::load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).0;
        difference(&load(old), &load(new))
    }

    #[test]
    fn points_caps_and_words_are_told_from_old_to_new() {
        let new = OLD.replace("points = 2", "points = 3").replace("day = 7", "day = 14").replace("[\"签到\"]", "[\"签到\", \"打卡\"]");
        let daily = "check_in.daily:keywords [\"签到\"] → [\"签到\", \"打卡\"],2 分 → 3 分";
        assert_eq!(told(OLD, &new), [daily, "speaking.evening:每天最多 7 分 → 14 分"]);
    }

    #[test]
    fn rules_that_come_and_go_are_named() {
        let new = OLD.replace("speaking.evening", "speaking.noon").replace("max_points", "mode = \"shadow\"\nmax_points");
        assert_eq!(told(OLD, &new), ["去掉 speaking.evening", "新增 speaking.noon:每天最多 7 分,1 分,试运行(只试算,不记分)"]);
    }

    #[test]
    fn a_mode_is_told_in_words() {
        let off = OLD.replace("points = 2", "points = 2\nmode = \"off\"");
        assert_eq!(told(OLD, &off), ["check_in.daily:正式 → 停用"]);
        assert_eq!(told(OLD, &off.replace("off", "live")), [] as [&str; 0]);
    }

    #[test]
    fn a_festival_says_all_that_it_multiplies() {
        let all = format!("{OLD}[festival.saturday]\nfactor = \"200%\"\ndays = \"周六\"\n");
        assert_eq!(told(OLD, &all), ["新增 festival.saturday:所有规则都乘 200%,连签奖励也一起乘"]);
        let talk = all.replace("days", "rules = [\"speaking.evening\"]\ndays");
        assert_eq!(told(OLD, &talk), ["新增 festival.saturday:speaking.evening 乘 200%"]);
        assert_eq!(told(&all, &all.replace("200%", "300%")), ["festival.saturday:factor \"200%\" → \"300%\";所有规则都乘 300%,连签奖励也一起乘"]);
    }

    #[test]
    fn a_default_that_is_written_changes_nothing() {
        let new = OLD.replace("max_points", "min_chars = 4\nmax_points").replace("points = 2", "points = 2\nmax_times = { day = 1 }");
        assert_eq!(told(OLD, &new), ["check_in.daily:max_times.day = 1 和默认一样,不变", "speaking.evening:min_chars = 4 和默认一样,不变"]);
        assert_eq!(told(OLD, &new.replace("min_chars = 4", "min_chars = 6"))[0], "speaking.evening:min_chars 4 → 6");
    }

    #[test]
    fn comments_order_and_tests_are_no_difference() {
        let (daily, evening) = OLD.split_once("\n\n").unwrap();
        let new = format!("# 新\n{evening}\n{daily}\n\n[[test]]\nname = \"t\"\nchat = \"11-22 09:00 阿明: 签到 => +2\"\n");
        assert_eq!(told(OLD, &new), [] as [&str; 0]);
        assert_eq!(summary(Vec::new(), 3), "只改了注释、排版或测试,得分不变");
    }

    #[test]
    fn a_campaign_is_named_where_the_others_stay() {
        let both = format!("{OLD}[campaign.main]\n[campaign.vip]\ngroups = [\"VIP\"]\n");
        let vip = format!("{both}[campaign.vip.check_in.daily]\npoints = 4\n");
        assert_eq!(told(&both, &vip), ["活动 vip:check_in.daily:2 分 → 4 分"]);
        assert_eq!(told(&both, &both.replace("points = 2", "points = 3")), ["check_in.daily:2 分 → 3 分"]);
        assert_eq!(told(&both, &both.replace("\"VIP\"", "\"贵宾\"")), ["campaign.vip:groups [\"VIP\"] → [\"贵宾\"]"]);
    }

    #[test]
    fn what_all_campaigns_share_is_told_too() {
        let new = format!("{OLD}[assistant]\nnames = [\"小助手\"]\n[bucket.talk]\nmax_points = {{ day = 30 }}\n");
        assert_eq!(told(OLD, &new), ["新增 assistant", "新增 bucket.talk:每天最多 30 分"]);
    }

    #[test]
    fn of_many_lines_the_first_are_told() {
        let lines = (1..=5).map(|n| format!("第 {n} 处")).collect();
        assert_eq!(summary(lines, 2), "第 1 处\n第 2 处\n还有 3 处,用 jifen rules diff 看全部");
    }
}
