//! What somebody meant who wrote another word of the same meaning: keys as other systems call them, modes in Chinese, numbers with their unit.

/// Keys as they are called elsewhere, and what they are called here: the first that the table has.
const KEYS: [(&[&str], &[&str]); 14] = [
    (&["min_length", "min_len", "min_words", "min_char", "length"], &["min_chars"]),
    (&["min_unique", "unique", "distinct"], &["min_distinct"]),
    (&["interval", "gap", "delay", "cooldown", "wait"], &["cool_down"]),
    (&["similarity", "similar", "likeness"], &["near"]),
    (&["limit", "daily_limit", "max", "cap", "day_limit", "daily_max", "max_score"], &["max_points", "max_times"]),
    (&["times", "count", "max_count", "limit_times"], &["max_times"]),
    (&["word", "words", "trigger", "command", "commands"], &["keywords"]),
    (&["score", "scores", "reward", "amount", "value"], &["points"]),
    (&["name", "label"], &["title"]),
    (&["time", "hours", "time_range", "period", "window"], &["when", "at"]),
    (&["date", "range", "start", "from"], &["dates"]),
    (&["enabled", "enable", "status", "state", "active", "disabled"], &["mode"]),
    (&["multiplier", "rate", "times_factor", "multiple"], &["factor"]),
    (&["cost", "points_price"], &["price"]),
];

/// The keys that mean what this one does elsewhere.
pub fn key(written: &str) -> &'static [&'static str] {
    let written = written.to_ascii_lowercase().replace('-', "_");
    KEYS.iter().find(|(others, _)| others.contains(&&*written)).map_or(&[], |(_, own)| *own)
}

/// A mode in another word.
pub fn mode(written: &str) -> Option<&'static str> {
    match written.trim().to_ascii_lowercase().as_str() {
        "试运行" | "试算" | "测试" | "影子" | "trial" | "test" | "dry_run" | "dry-run" => Some("shadow"),
        "停用" | "停" | "停止" | "暂停" | "关" | "关闭" | "禁用" | "disabled" | "disable" | "stop" | "paused" => Some("off"),
        "正式" | "启用" | "开" | "开启" | "运行" | "on" | "enabled" | "enable" | "active" => Some("live"),
        _ => None,
    }
}

/// The number of `1,500`, `4 个字` or `+2`; `None` where anything else stands with it.
pub fn number(written: &str) -> Option<i64> {
    let text = written.trim().trim_end_matches(|c: char| c.is_alphabetic()).trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ',' | '\u{ff0c}')).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_of_the_same_meaning_are_known() {
        assert_eq!((key("min_length"), key("limit"), key("points")), (&["min_chars"][..], &["max_points", "max_times"][..], &[][..]));
        assert_eq!(["试运行", "停用", "正式", "随便"].map(mode), [Some("shadow"), Some("off"), Some("live"), None]);
        assert_eq!(["1500", "1,500", "1 500", "4个字", "+2", "7天10分", "好"].map(number), [Some(1500), Some(1500), Some(1500), Some(4), Some(2), None, None]);
    }
}
