//! The reference pages `docs/rules.zh-CN.md` and `docs/rules.md`, written from the schema, the variables and the default texts, so that
//! they cannot say something else than the program does. Run by a test; `JIFEN_BLESS=1 cargo test` writes them anew.

use serde_json::Value;

use crate::rules::KINDS;
use crate::rules::fit::{resolve, toml_text};
use crate::rules::schema::{SCHEMA, SHARED, properties};
use crate::rules::template::{OCCASIONS, default_text};
use crate::rules::variables::{Sort, Variable, variables};

/// The language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Chinese,
    English,
}

impl Language {
    fn pick<T>(self, chinese: T, english: T) -> T {
        match self {
            Language::Chinese => chinese,
            Language::English => english,
        }
    }
}

/// Head of a section in both languages, and the definition its keys come from.
const SECTIONS: [(&str, &str, &str); 15] = [
    ("每条规则都能写的键", "Keys that every rule shares", "SharedKeys"),
    ("`max_times`、`max_points` 的周期", "Periods of `max_times` and `max_points`", "LimitTable"),
    ("`[bucket.<名字>]` 共用上限", "`[bucket.<name>]`: a cap shared by rules", "BucketTable"),
    ("`[festival.<名字>]` 倍数", "`[festival.<name>]`: days on which rules pay more", "FestivalTable"),
    ("`[good.<名字>]` 积分能换什么", "`[good.<name>]`: what points are to buy", "GoodTable"),
    ("`[schedule.<名字>]` 定时发言", "`[schedule.<name>]`: what the bot says at a time of day", "ScheduleTable"),
    ("`[campaign.<编号>]` 活动", "`[campaign.<id>]`: groups that share rules and balances", "CampaignTable"),
    ("`levels` 等级,写在活动里", "`levels` of a campaign", "LevelTable"),
    ("`[title.<名字>]` 称号", "`[title.<name>]`: a title for the first on a board", "TitleTable"),
    ("`[affinity]` 亲密度", "`[affinity]`: how warm a member is", "AffinityTable"),
    ("`[assistant]` 助手", "`[assistant]`", "AssistantTable"),
    ("`[assistant.words]` 提问的说法", "`[assistant.words]`: how each question is asked", "WordsTable"),
    ("`[assistant.replies]` 改写文案", "`[assistant.replies]`: own texts", "RepliesTable"),
    ("`[grant]` 人工加分", "`[grant]`: points by hand", "GrantTable"),
    ("`[[test]]` 测试", "`[[test]]`", "TestTable"),
];

const HEAD: (&str, &str) = (
    "# rules.toml 参考\n\n<!-- 由程序生成:JIFEN_BLESS=1 cargo test -->\n\n三行就能用:\n\n```toml\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n```\n\n\
     - 标点都用英文的;文字加英文引号。改完先跑 `jifen check rules.toml`,它一次指出所有的错。\n\
     - 写在最外层的规则对所有活动有效;`[campaign.vip.check_in.daily]` 里只写不同的键。没写任何活动时,就有一个叫 `main` 的活动,管所有的群和单聊。\n\
     - 规则的名字(`daily`)是账本里的代号:`check_in.daily`。可用字母、汉字(要加引号)、数字、`_` 和 `-`。改名等于换一条新规则。\n\
     - 一条消息符合几条规则,就按文件里的顺序逐条记分。\n",
    "# rules.toml, the reference\n\n<!-- generated: JIFEN_BLESS=1 cargo test -->\n\nThree lines are a programme:\n\n```toml\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n```\n\n\
     - After an edit run `jifen check rules.toml`: it tells every mistake at once.\n\
     - Rules at the top belong to every campaign; `[campaign.vip.check_in.daily]` writes only the keys that differ. Without any campaign there is one, `main`, for all groups and single chats.\n\
     - A rule's name (`daily`) is its ledger code: `check_in.daily`. ASCII letters, digits, `_` and `-`; other scripts in quotes. A new name is a new rule.\n\
     - Every rule that a message fits pays, in the order of the file.\n",
);

const GRAMMARS: (&str, &str) = (
    "## `when` 的写法\n\n| 写法 | 意思 |\n|---|---|\n| `\"20:00-21:00\"` | 每天 20:00 到 21:00,含 20:00 不含 21:00 |\n\
     | `[\"06:00-10:00\", \"周六周日 20:00-22:00\"]` | 几个时段 |\n| `\"周一至周五 9:00-18:00\"`、`\"工作日\"`、`\"周末\"`、`\"周一三五\"`、`\"mon-fri\"` | 星期;只写星期就是那几天全天 |\n\
     | `\"22:00-02:00\"` | 过零点,算在开始的那一天 |\n| `\"00:00-24:00\"` | 全天 |\n\n\
     ## 对话行的写法\n\n```text\n11-22 09:00 阿明: 签到 => +2                    月-日 时:分 谁: 说了什么 => 余额变化\n\
     2026-11-22 09:00 阿明: 签到                     也可写年份;不写 => 就不核对\n11-16..11-21 09:00 阿明: 签到 => +2             几天里每天一句\n\
     11-22 09:00 [骑行一群] 小红: 签到 => 0          在哪个群\n11-22 09:00 [单聊] 小红: 积分                   与助手单聊\n11-22 09:00 阿明: @积分助手 积分 => 「现有 2」  回复里要有这几个字\n\
     11-22 09:00 阿明: [图片] 打卡                   一张没有发过的图片;[图片 甲] 是叫「甲」的那张,还有 [链接 https://…]、[视频]\n11-22 09:01 阿明: 撤回                          撤回自己的上一条;还有 进群、退群、[事件 verified]、[事件 visit 一号店]\n\
     11-22 09:00 (存档) 阿明: 签到 => 0              从哪个通道听到;同一条消息从两个通道听到只算一次\n```\n",
    "## How `when` is written\n\n| written | means |\n|---|---|\n| `\"20:00-21:00\"` | every day from 20:00, included, to 21:00, not included |\n\
     | `[\"06:00-10:00\", \"周六周日 20:00-22:00\"]` | several windows |\n| `\"周一至周五 9:00-18:00\"`, `\"工作日\"`, `\"周末\"`, `\"周一三五\"`, `\"mon-fri\"` | days of the week; alone they are whole days |\n\
     | `\"22:00-02:00\"` | past midnight; belongs to the day on which it opened |\n| `\"00:00-24:00\"` | all day |\n\n\
     ## How a chat line is written\n\n```text\n11-22 09:00 阿明: 签到 => +2                    month-day hour:minute who: says what => change of the balance\n\
     2026-11-22 09:00 阿明: 签到                     with a year; without => nothing is checked\n11-16..11-21 09:00 阿明: 签到 => +2             one line a day\n\
     11-22 09:00 [骑行一群] 小红: 签到 => 0          in this group\n11-22 09:00 [单聊] 小红: 积分                   in the single chat\n11-22 09:00 阿明: @积分助手 积分 => 「现有 2」  the reply must hold these words\n\
     11-22 09:00 阿明: [图片] 打卡                   a new picture; [图片 甲] is the one called 甲; also [链接 https://…] (a link), [视频] (a video)\n11-22 09:01 阿明: 撤回                          recalls one's last message; also 进群 (joins), 退群 (leaves), [事件 visit 一号店] (an event and its subject)\n\
     11-22 09:00 (存档) 阿明: 签到 => 0              heard through this channel; a message that two channels hear counts once\n```\n",
);

fn page(language: Language) -> String {
    let kinds = KINDS.iter().map(|kind| {
        let name = language.pick("名字", "name");
        section(language, &format!("`[{}.<{name}>]` {}", kind.name, kind.title), kind.name)
    });
    let sections = SECTIONS.iter().map(|(chinese, english, definition)| section(language, language.pick(chinese, english), definition));
    let mut page = language.pick(HEAD.0, HEAD.1).to_owned();
    page.extend(kinds.chain(sections));
    page.push('\n');
    page.push_str(language.pick(GRAMMARS.0, GRAMMARS.1));
    page.push_str(&texts(language));
    page
}

fn section(language: Language, head: &str, definition: &str) -> String {
    let table = &SCHEMA["definitions"][definition];
    let about = table["description"].as_str().unwrap_or_default();
    let about = language.pick(format!("{about}\n\n"), String::new());
    let columns = language.pick("| 键 | 写什么 | 说明 | 例 |", "| key | value | meaning | example |");
    // A rule's table holds the shared keys too, a campaign's the tables of rules: each is described once.
    let is_elsewhere = |key: &str| match definition {
        "CampaignTable" => matches!(key, "bucket" | "festival" | "good" | "schedule") || KINDS.iter().any(|kind| kind.name == key),
        _ => KINDS.iter().any(|kind| kind.name == definition) && SHARED.iter().any(|shared| shared == key),
    };
    let keys = properties(&SCHEMA, table);
    let rows = keys.iter().filter(|(key, _)| !is_elsewhere(key)).map(|(key, about)| row(language, definition, key, about));
    format!("\n## {head}\n\n{about}{columns}\n|---|---|---|---|\n{}", rows.collect::<String>())
}

fn row(language: Language, definition: &str, key: &str, about: &Value) -> String {
    let meaning = about[language.pick("description", "x-en")].as_str().unwrap_or_else(|| panic!("{definition}.{key} is not described"));
    let example =
        about.get("examples").and_then(|examples| examples.get(0)).map(|value| format!("`{}`", toml_text(value).replace('\n', " "))).unwrap_or_default();
    format!("| `{key}` | {} | {} | {} |\n", kind(language, about), cell(meaning), cell(&example))
}

fn kind(language: Language, about: &Value) -> String {
    let schema = resolve(&SCHEMA, about);
    let choices: Vec<String> = schema["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str()).map(|one| format!("`{one}`")).collect();
    if !choices.is_empty() {
        return choices.join(language.pick("、", ", "));
    }
    match schema["type"].as_str() {
        Some("integer") => language.pick("整数", "integer"),
        Some("array") => language.pick("列表", "list"),
        Some("object") => language.pick("表", "table"),
        Some(_) => language.pick("文字", "text"),
        None => language.pick("文字或列表", "text or list"),
    }
    .to_owned()
}

fn texts(language: Language) -> String {
    let head = language.pick(
        "\n## 文案\n\n变量写在双花括号里,如 `{{昵称}}`,中文名和英文名都行;写错变量名,检查时就会指出。没有设置的链接,整行不显示。\n",
        "\n## Texts\n\nVariables stand in double braces, such as `{{name}}`, by their Chinese or English name; an unknown one is refused when the file is read. A line whose link is not set vanishes.\n",
    );
    let one = |occasion| {
        let key = format!("{occasion:?}").chars().fold(String::new(), |key, c| {
            if c.is_uppercase() && !key.is_empty() { key + "_" + &c.to_lowercase().to_string() } else { key + &c.to_lowercase().to_string() }
        });
        let names: Vec<String> = variables(occasion).iter().map(variable).collect();
        format!("\n### `{key}`\n\n{}\n\n```text\n{}\n```\n", names.join(language.pick("、", ", ")), default_text(occasion))
    };
    head.to_owned() + &OCCASIONS.map(one).concat()
}

fn variable(variable: &Variable) -> String {
    let fields = match variable.sort {
        Sort::List(fields) => format!(" ({})", fields.iter().map(self::variable).collect::<Vec<_>>().join(" ")),
        Sort::Int | Sort::Text | Sort::Name | Sort::Flag | Sort::Link => String::new(),
    };
    format!("`{}` = `{}`{fields}", variable.name, variable.alias)
}

/// A table's cells are parted by bars.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Compares a generated file with what stands in the project; `JIFEN_BLESS=1` writes it anew.
pub fn blessed(path: &str, generated: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("JIFEN_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = written.lines().zip(generated.lines()).find(|(old, new)| old != new);
    assert!(written == generated, "{} is stale: run `JIFEN_BLESS=1 cargo test` and look at the difference: {differing:?}", path.display());
}

#[test]
fn the_reference_pages_say_what_the_program_does() {
    blessed("docs/rules.zh-CN.md", &page(Language::Chinese));
    blessed("docs/rules.md", &page(Language::English));
}
