//! A rules.toml with everything inherited written out: each campaign with all its rules, buckets and festivals, their keys and the defaults
//! that hold where nothing is written. It is a rules.toml itself and means the same.

use toml::de::DeValue;

use crate::rules::Kind;
use crate::rules::cap::Limits;
use crate::rules::table::{RuleTable, Written, in_order};

/// Writes out tables of one source.
pub struct Writer<'s> {
    source: &'s str,
    text: String,
}

impl<'s> Writer<'s> {
    /// Of this source.
    pub fn new(source: &'s str) -> Self {
        Writer { source, text: String::new() }
    }

    /// What was written.
    pub fn finish(self) -> String {
        self.text
    }

    /// A table under its whole name; `skip` are keys that stand in tables of their own, `defaults` what holds where a key is not written.
    pub fn table(&mut self, path: &[&str], table: &RuleTable<'_>, skip: &dyn Fn(&str) -> bool, defaults: &[(&str, String)]) {
        let path: Vec<String> = path.iter().map(|name| key(name)).collect();
        self.text += &format!("{}[{}]\n", if self.text.is_empty() { "" } else { "\n" }, path.join("."));
        for (name, value) in table.entries().filter(|(name, _)| !skip(name)) {
            self.text += &format!("{} = {}\n", key(name), self.value(value));
        }
        for (name, value) in defaults.iter().filter(|(name, _)| table.get(name).is_none()) {
            self.text += &format!("{name} = {value}  # 默认\n");
        }
    }

    fn value(&self, value: Written<'_>) -> String {
        match value.get_ref() {
            DeValue::Table(table) => {
                let pairs: Vec<String> = in_order(table).into_iter().map(|(name, value)| format!("{} = {}", key(name.get_ref()), self.value(value))).collect();
                if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
            }
            DeValue::Array(items) => format!("[{}]", items.iter().map(|item| self.value(item)).collect::<Vec<_>>().join(", ")),
            DeValue::String(text) => toml::Value::String(text.to_string()).to_string(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
                self.source.get(value.span()).unwrap_or_default().to_owned()
            }
        }
    }
}

/// What holds in a rule's table where nothing is written: the kind's caps and its own keys.
pub fn defaults(kind: &Kind, table: &RuleTable<'_>) -> Vec<(&'static str, String)> {
    let mut defaults = default_limits(kind);
    defaults.extend((kind.defaults)(table));
    defaults
}

fn default_limits(kind: &Kind) -> Vec<(&'static str, String)> {
    let Limits { max_times, max_points } = (kind.default_limits)();
    let written = |limits: &[(crate::model::day::PeriodKind, i64)]| {
        let pairs: Vec<String> = limits.iter().map(|(period, most)| format!("{} = {most}", period_key(*period))).collect();
        format!("{{ {} }}", pairs.join(", "))
    };
    let mut defaults = Vec::new();
    if !max_times.is_empty() {
        defaults.push(("max_times", written(&max_times)));
    }
    if !max_points.is_empty() {
        defaults.push(("max_points", written(&max_points)));
    }
    defaults
}

fn period_key(period: crate::model::day::PeriodKind) -> &'static str {
    use crate::model::day::PeriodKind::{Day, Ever, Month, Week, Window};
    match period {
        Day => "day",
        Week => "week",
        Month => "month",
        Window => "window",
        Ever => "ever",
    }
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use crate::rules::file::{load, resolved};

    #[test]
    fn what_is_written_out_means_the_same() {
        let text = r#"
            check_in.daily = { keywords = ["签到", "say \"hi\""], points = 2, streak = { 7 = 10 } }
            speaking."晚 间" = { points = 1, max_points = { day = 3 }, bucket = "talk" }
            bucket.talk = { max_points = { day = 30 } }
            festival.x = { factor = "200%", dates = "2026-11-10..2026-11-12" }
            [campaign.main]
            title = "主"
            [campaign.vip]
            groups = ["VIP 福利群"]
            check_in.daily.points = 4
            bucket.talk.per = "group"
        "#;
        let text = text.replace("\"晚 间\"", "\"晚间\"");
        let written = resolved(&text).expect("good");
        let (before, after) = (load(&text).expect("good").0, load(&written).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{written}")).0);
        let summary = |rules: &crate::rules::campaign::Rules| -> String {
            let campaign = |it: &crate::rules::campaign::Campaign| {
                let rules: Vec<_> = it.rules.iter().map(|rule| (rule.code.clone(), &rule.common.limits, rule.common.bucket, rule.kind.most())).collect();
                format!("{} {:?} {:?} {rules:?} {:?} {:?}\n", it.id, it.title, it.groups, it.buckets, it.festivals.len())
            };
            rules.campaigns.iter().map(campaign).collect()
        };
        assert_eq!(summary(&before), summary(&after), "{written}");
        assert!(written.contains("min_chars = 4  # 默认") && written.contains("cool_down = \"30s\"  # 默认"), "{written}");
        assert!(written.contains("[campaign.vip.check_in.daily]") && written.contains("max_times = { day = 1 }  # 默认"), "{written}");
    }
}
