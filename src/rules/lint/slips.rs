//! Slips that people make who have never seen a rules.toml, one by one in the shipped file, and what they are told. `fixtures/cli/check/slips.txt`
//! is to be read as they would read it.

use crate::rules::file::load;
use crate::rules::reference::blessed;

const SHIPPED: &str = include_str!("../../../rules.toml");

const WORDS: &str = "keywords = [\"签到\", \"打卡\"]";
const POINTS: &str = "points = 2      ";
const STREAK: &str = "streak = { 7 = 10 }";
const HEAD: &str = "[check_in.daily]    ";
const TALK: &str = "[speaking.evening]\n";
const WHEN: &str = "when = \"20:00-21:00\"\npoints";
const CAP: &str = "max_points = { day = 20 }   ";

/// What was written, and what was made of it.
const SLIPS: [(&str, &str); 62] = [
    (WORDS, "keywords = [“签到”, “打卡”]"),
    (WORDS, "keywords = [‘签到’]"),
    (WORDS, "keywords = 【\"签到\", \"打卡\"】"),
    (WORDS, "keywords = [\"签到\"\u{ff0c}\"打卡\"]"),
    (WORDS, "keywords = [\"签到\"、\"打卡\"]"),
    (WORDS, "keywords = [\"签到\" \"打卡\"]"),
    (WORDS, "keywords = [\"签到, \"打卡\"]"),
    (WORDS, "keywords = [\"签到\", \"打卡\""),
    (WORDS, "keywords = \"签到\", \"打卡\""),
    (WORDS, "keywords = \"签到\""),
    (WORDS, "keywords = (\"签到\", \"打卡\")"),
    (WORDS, "keywords = [签到, 打卡]"),
    (WORDS, "keyword = \"签到\""),
    (WORDS, "kyewords = [\"签到\"]"),
    (WORDS, "口令 = [\"签到\"]"),
    (WORDS, "Keywords = [\"签到\"]"),
    (POINTS, "points \u{ff1d} 2"),
    (POINTS, "points = \"2\""),
    (POINTS, "points = 2分"),
    (POINTS, "points = \u{ff12}"),
    (POINTS, "points: 2"),
    (POINTS, "points\u{ff1a}2"),
    (POINTS, "points = 2;"),
    (POINTS, "points = 2,"),
    (POINTS, "points = +2分  // 每次两分"),
    (POINTS, "points = 2 // 每次两分"),
    (POINTS, "points 2"),
    (POINTS, "points = 2 title = \"签到\""),
    (POINTS, "积分 = 2"),
    (POINTS, "\u{3000}points = 2"),
    (STREAK, "streak = { 7: 10 }"),
    (STREAK, "streak = { 第7天 = 10 }"),
    (STREAK, "streak = \"7天10分\""),
    (STREAK, "streak = { 7 = 10, }"),
    (STREAK, "streak = { 7 = 10"),
    (STREAK, "streak = { 7 = 10 21 = 30 }"),
    (STREAK, "streak = [7, 10]"),
    (STREAK, "7 = 10"),
    (HEAD, "[checkin.daily]"),
    (HEAD, "check_in.daily"),
    (HEAD, "[check_in]"),
    (HEAD, "[check_in.daily"),
    (HEAD, "【check_in.daily】"),
    (HEAD, "[[check_in.daily]]"),
    (HEAD, "[签到.daily]"),
    (HEAD, "[check_in.每日签到]"),
    (HEAD, "[check_in.daily]\nkeywords = [\"早安\"]\npoints = 1\n[check_in.daily]"),
    (WHEN, "when = \"9:00-10\"\npoints"),
    (WHEN, "when = \"9点到10点\"\npoints"),
    (WHEN, "when = \"晚上8点-9点\"\npoints"),
    (WHEN, "when = \"每天\"\npoints"),
    (WHEN, "when = 20:00-21:00\npoints"),
    (WHEN, "when = \"20.00-21.00\"\npoints"),
    (WHEN, "when = \"20:00-21:00,22:00-23:00\"\npoints"),
    (WHEN, "when = \"周末双倍\"\npoints"),
    (WHEN, "when = \"20:00-21:00\"\ndates = 2026-11-01..2026-11-30\npoints"),
    (WHEN, "when = \"20:00-21:00\"\ndates = \"2026/11/01-2026/11/30\"\npoints"),
    (CAP, "max_points = 20"),
    (CAP, "max_points = { 每天 = 20 }"),
    (CAP, "max_points = { day = 20 }\nfirst_word = 是"),
    (CAP, "max_points = { day = 20 }\nmode = off"),
    (TALK, "[speaking.weekend]\npoints = 2\nfactor = \"2倍\"\n\n[speaking.evening]\n"),
];

#[test]
fn what_a_newcomer_is_told_of_each_slip() {
    let told = |(from, to): (&str, &str)| {
        let slip = SHIPPED.replacen(from, to, 1);
        assert_ne!(slip, SHIPPED, "{from}");
        let mistakes = load(&slip).map_or_else(|mistakes| mistakes, |(_, warnings)| warnings);
        let told: String = mistakes.iter().map(|mistake| format!("    {}\n", mistake.in_file("rules.toml"))).collect();
        let told = if told.is_empty() { "    (通过)\n".to_owned() } else { told };
        format!("{}\n{told}", to.trim())
    };
    let all: Vec<String> = SLIPS.into_iter().map(told).collect();
    blessed("fixtures/cli/check/slips.txt", &all.join("\n"));
}
