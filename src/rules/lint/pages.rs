//! The pages `docs/lints.zh-CN.md` and `docs/lints.md`, written from the table of codes, so that they cannot say something else than the
//! program does. Run by a test; `JIFEN_BLESS=1 cargo test` writes them anew.

use crate::rules::lint::codes::{CODES, Code};
use crate::rules::mistake::Severity;
use crate::rules::reference::blessed;

const HEADS: [(&str, &str); 3] = [
    ("写错了", "Mistakes of form"),
    ("花钱的、不合规的", "What costs money or is not allowed"),
    ("没用的、和想的不一样的", "What does nothing, or not what it seems to"),
];

const CHINESE: &str = "# jifen check 说的每一种问题\n\n<!-- 由程序生成:JIFEN_BLESS=1 cargo test -->\n\n\
    `jifen check --explain <代码>` 也能看到同样的说明。**错误**不采用这份文件,还是原来的规则;**提醒**照样采用。\n\n\
    花钱的问题带着最坏一天的花费:一个成员、100 人的群;活动写了 `point_value` 就同时用金额说。最坏是指有人整天刷:时段、冷却、上限、倍数、预算都算进去了。\n\n\
    确实要这样,就在那张表或那个键的上一行(或同一行末尾)写明理由放行:\n\n\
    ```toml\n# jifen: allow(no-cap) 内部测试群,不限\n[speaking.talk]\npoints = 1\n```\n\n写错了的不能放行,只能改。\n";

const ENGLISH: &str = "# Every finding of `jifen check`\n\n<!-- generated: JIFEN_BLESS=1 cargo test -->\n\n\
    `jifen check --explain <code>` tells the same (in Chinese). An **error** refuses the file and the old rules stay; with a **warning** it is used.\n\n\
    What costs money is told with its worst day: for one member and for a group of 100, in yuan too where the campaign has a `point_value`. Windows, pauses, caps,\n\
    factors and budgets are counted; that nobody writes all day is not.\n\n\
    What is meant is allowed with a reason, on the line above the table or the key, or at the end of its line:\n\n\
    ```toml\n# jifen: allow(no-cap) a group for testing\n[speaking.talk]\npoints = 1\n```\n\nMistakes of form cannot be allowed.\n";

fn page(is_chinese: bool) -> String {
    let mut page = if is_chinese { CHINESE } else { ENGLISH }.to_owned();
    for ((chinese, english), codes) in HEADS.iter().zip(CODES) {
        page.push_str(&format!("\n## {}\n", if is_chinese { chinese } else { english }));
        codes.iter().for_each(|code| page.push_str(&section(code, is_chinese)));
    }
    page
}

fn section(code: &Code, is_chinese: bool) -> String {
    let (title, text) = if is_chinese { code.zh } else { code.en };
    let english = match (code.severity, code.can_be_allowed()) {
        (Severity::Warning, _) => "warning",
        (Severity::Error, false) => "error",
        (Severity::Error, true) => "error, may be allowed with a reason",
    };
    let weight = if is_chinese { code.weight() } else { english };
    let (bad, good) = if is_chinese { ("这样写会说", "这样写就好") } else { ("Told of", "Not told of") };
    let shown = |head: &str, example: &str| if example.is_empty() { String::new() } else { format!("\n{head}:\n\n```toml\n{example}```\n") };
    let good = if code.bad.is_empty() { String::new() } else { shown(good, code.good) };
    format!("\n### {}\n\n**{title}**({weight})\n\n{text}\n{}{good}", code.code, shown(bad, code.bad))
}

#[test]
fn the_pages_of_findings_say_what_the_program_does() {
    blessed("docs/lints.zh-CN.md", &page(true));
    blessed("docs/lints.md", &page(false));
}
