//! Writes a rules.toml from answers: check-in, talk and campaign as they were answered, and what else a kind of group has from its preset.
//! What is written has passed the gate without a warning.

use crate::demo::presets;
use crate::gate::examine;

/// A kind of group: the first question.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// What it is called.
    pub title: &'static str,
    /// What its rules are, in a line.
    pub about: &'static str,
    /// The preset that its further rules come from; none for the simplest.
    preset: Option<&'static str>,
    points: i64,
    bonus: i64,
    talk: Option<(&'static str, i64)>,
}

/// All kinds; the first is the default.
pub const KINDS: [Kind; 7] = [
    Kind { title: "一般的群", about: "签到、连签、晚间聊天", preset: None, points: 2, bonus: 10, talk: Some(("20:00-21:00", 20)) },
    Kind {
        title: "社群运营", about: "再加截图打卡、每日一题、在群奖励", preset: Some("s1-quanliang"), points: 2, bonus: 10, talk: Some(("20:00-21:00", 10))
    },
    Kind { title: "童车售后", about: "再加骑行挑战打卡每月 200", preset: Some("s2-bike"), points: 2, bonus: 10, talk: None },
    Kind { title: "探店达人", about: "再加实名、报名、探店、每日任务", preset: Some("s3-explorer"), points: 2, bonus: 0, talk: None },
    Kind { title: "直播带货", about: "再加看预告、订阅预告、早上提醒", preset: Some("s4-live"), points: 2, bonus: 10, talk: None },
    Kind { title: "美妆群", about: "再加每天每周上限、三级会员", preset: Some("s5-beauty"), points: 5, bonus: 0, talk: None },
    Kind { title: "母婴群", about: "再加话题讨论", preset: Some("s5-baby"), points: 3, bonus: 0, talk: None },
];

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// The kind of group.
    pub kind: &'static Kind,
    /// Words that check in; one at least.
    pub keywords: Vec<String>,
    /// Points of a check-in.
    pub points: i64,
    /// Points that the seventh day in a row adds; 0 for none.
    pub bonus: i64,
    /// When talk earns a point a message, and how much a day at most.
    pub talk: Option<(String, i64)>,
    /// What one point is worth in yuan.
    pub value: Option<String>,
    /// The groups; empty for all.
    pub groups: Vec<String>,
}

impl Kind {
    /// What is answered where nothing is.
    pub fn defaults(&'static self) -> Answers {
        Answers {
            kind: self,
            keywords: vec!["签到".to_owned()],
            points: self.points,
            bonus: self.bonus,
            talk: self.talk.map(|(when, most)| (when.to_owned(), most)),
            value: None,
            groups: Vec::new(),
        }
    }
}

/// Tables of a preset that are answered instead.
const ANSWERED: [&str; 3] = ["[check_in.daily]", "[speaking.reading]", "[campaign.main]"];

/// What a preset says of the check-in where it invites to it.
const INVITATION: &str = "发「签到」+2,连签 7 天再 +10。";

/// The whole file.
///
/// # Errors
/// What the gate has against it, in words.
pub fn compose(answers: &Answers) -> Result<String, String> {
    let (further, campaign, mut tests) = from_preset(answers);
    if answers.talk.is_some() && further.contains("[speaking.") {
        return Err(format!("{}已经有带话题的发言得分,再给聊天分,一条消息会得两次;这里写 无", answers.kind.title));
    }
    tests.splice(0..0, own_tests(answers));
    // A test of the preset may count on another number than was answered.
    loop {
        let parts = [head(answers), check_in(answers), talk(answers), further.clone(), festival(), own_campaign(answers, &campaign), tests.concat()];
        let text = parts.iter().filter(|part| !part.is_empty()).map(|part| part.trim_end().to_owned()).collect::<Vec<_>>().join("\n\n") + "\n";
        let examined = examine(text.as_bytes());
        if let Some(mistake) = examined.mistakes.first() {
            return Err(mistake.text.clone());
        }
        let Some(failure) = examined.failures.first() else { return Ok(text) };
        let before = tests.len();
        tests.retain(|test| !test.contains(&format!("name = {}\n", quoted(&failure.test))));
        if tests.is_empty() || tests.len() == before {
            return Err(failure.text.clone());
        }
    }
}

fn head(answers: &Answers) -> String {
    format!(
        "#:schema ./rules.schema.json\n#\n# 积分规则({})。改完先跑 jifen check,有错会指出在第几行、该怎么改。\n\
         # 行首有 # 的是没用上的,删掉 # 就生效。标点都用英文的,文字要加英文引号。改规则不会动已经发出的积分。\n\
         # 谁为什么没得分:他自己对助手发「为什么」,或者用 jifen explain 查那条消息。",
        answers.kind.title
    )
}

fn check_in(answers: &Answers) -> String {
    let keywords: Vec<String> = answers.keywords.iter().map(|word| quoted(word)).collect();
    let keywords = format!("keywords = [{}]", keywords.join(", "));
    let streak = match answers.bonus {
        0 => commented("# streak = { 7 = 10 }", "连续第 7 天另加 10 分"),
        bonus => commented(&format!("streak = {{ 7 = {bonus} }}"), &format!("连续第 7 天另加 {bonus} 分,到了从头再数;几档就写 {{ 7 = 10, 21 = 30 }}")),
    };
    let lines = [
        "# ── 签到 ──".to_owned(),
        commented("[check_in.daily]", "「daily」是账本里的名字;改名等于换一条新规则"),
        commented("title = \"每日签到\"", "成员看到的名称"),
        commented(&keywords, "口令;多一个就用英文逗号隔开。全半角、空格、句末标点、表情都不计"),
        commented(&format!("points = {}", answers.points), "每次几分;一天只算一次"),
        streak,
        commented("# match = \"contains\"", "句子里带着口令也算;不写要整句相等"),
        commented("# when = \"06:00-10:00\"", "只在这个时段;还可以写 dates = \"2026-11-01..2026-11-30\""),
    ];
    lines.join("\n")
}

fn talk(answers: &Answers) -> String {
    let (when, most) = answers.talk.as_ref().map_or(("20:00-21:00", 20), |(when, most)| (when.as_str(), *most));
    let lines = [
        commented("[speaking.evening]", "时段里每条发言得分"),
        "title = \"聊天\"".to_owned(),
        commented(&format!("when = {}", quoted(when)), "含开始不含结束;几个时段写成列表"),
        commented("points = 1", "每条几分"),
        commented(&format!("max_points = {{ day = {most} }}"), "每天最多几分;没有上限会被刷"),
        commented("min_chars = 4", "至少几个字,标点、空格、表情不算:一个字的水聊不得分"),
        commented("cool_down = \"30s\"", "两条计分的发言至少隔多久"),
    ];
    let off = if answers.talk.is_some() { "" } else { "# " };
    let lines: Vec<String> = lines.iter().map(|line| format!("{off}{line}")).collect();
    format!("# ── 聊天 ──\n{}", lines.join("\n"))
}

fn festival() -> String {
    let lines = [
        "# ── 周末、节日翻倍 ──".to_owned(),
        "# [festival.saturday]".to_owned(),
        commented("# title = \"周六双倍\"", "成员看到的名称"),
        commented("# days = \"周六\"", "或 dates = \"2026-11-10..2026-11-12\""),
        commented("# factor = \"200%\"", "两倍"),
        commented("# rules = [\"check_in.daily\"]", "只对这条;不写是全部"),
    ];
    lines.join("\n")
}

fn own_campaign(answers: &Answers, further: &str) -> String {
    let groups: Vec<String> = answers.groups.iter().map(|group| quoted(group)).collect();
    let groups = if groups.is_empty() { "\"*\"".to_owned() } else { groups.join(", ") };
    let mut lines = vec![
        "# ── 活动:哪些群用这些规则 ──".to_owned(),
        "[campaign.main]".to_owned(),
        commented(&format!("groups = [{groups}]"), "群名;\"*\" 是其余所有群和单聊。只写群名时,别的群和单聊里不得分"),
        commented("points_name = \"积分\"", "积分叫什么"),
        match &answers.value {
            Some(value) => commented(&format!("point_value = {}", quoted(value)), "一积分值多少元:jifen budget、liability 同时用金额说"),
            None => commented("# point_value = \"0.01\"", "一积分值多少元:jifen budget、liability 同时用金额说"),
        },
    ];
    if !further.contains("max_points") {
        lines.push(commented("# max_points = { day = 60 }", "所有规则合起来,每人一天最多几分"));
    }
    lines.push(commented("# budget = 100000", "所有人合计最多发出多少分,发完就停"));
    lines.push(commented("# expires = \"365d\"", "积分有效多久;不写不过期"));
    lines.extend((!further.is_empty()).then(|| further.to_owned()));
    lines.join("\n")
}

fn own_tests(answers: &Answers) -> Vec<String> {
    let (word, points, bonus) = (&answers.keywords[0], answers.points, answers.bonus);
    let days = match bonus {
        0 => format!("11-22 09:00 阿明: {word} => +{points}\n"),
        bonus => format!("11-16..11-21 09:00 阿明: {word} => +{points}\n11-22 09:00 阿明: {word} => +{}\n", points.saturating_add(bonus)),
    };
    let name = if bonus == 0 { format!("签到 +{points},一天一次") } else { format!("签到 +{points},一天一次,第 7 天另加 {bonus}") };
    let about = "# ── 测试:jifen check 会照着演一遍,=> 后面是应得的分 ──\n";
    vec![format!("{about}[[test]]\nname = {}\nchat = \"\"\"\n{days}11-22 09:05 阿明: {word} => 0\n\"\"\"\n", quoted(&name))]
}

/// What the kind of group has beside what was answered: its tables, what stands in its campaign, and its tests.
fn from_preset(answers: &Answers) -> (String, String, Vec<String>) {
    let (mut further, mut campaign, mut tests) = (Vec::new(), String::new(), Vec::new());
    let text = answers.kind.preset.and_then(presets::find).map_or("", |preset| preset.text);
    for paragraph in text.split("\n\n") {
        let head = paragraph.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
        match head {
            "[campaign.main]" => campaign = paragraph.lines().skip_while(|line| *line != head).skip(1).collect::<Vec<_>>().join("\n"),
            "[[test]]" => tests.push(format!("\n{}\n", paragraph.trim_end())),
            head if head.starts_with('[') && !ANSWERED.contains(&head) => further.push(paragraph.replace(INVITATION, &invitation(answers))),
            _ => {}
        }
    }
    let further = if further.is_empty() { String::new() } else { format!("# ── {} ──\n{}", answers.kind.title, further.join("\n\n")) };
    (further, campaign, tests)
}

fn invitation(answers: &Answers) -> String {
    let bonus = if answers.bonus == 0 { String::new() } else { format!(",连签 7 天再 +{}", answers.bonus) };
    format!("发「{}」+{}{bonus}。", answers.keywords[0], answers.points)
}

/// Where the remarks begin, in columns.
const REMARK_COLUMN: usize = 46;

fn commented(line: &str, remark: &str) -> String {
    let width: usize = line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    format!("{line}{} # {remark}", " ".repeat(REMARK_COLUMN.saturating_sub(width)))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_kind_of_group_the_file_passes_without_a_warning() {
        for kind in &KINDS {
            let text = compose(&kind.defaults()).unwrap_or_else(|reason| panic!("{}: {reason}", kind.title));
            let examined = examine(text.as_bytes());
            assert!(examined.ok && examined.mistakes.is_empty() && examined.tests > 0, "{}", kind.title);
            let preset = kind.preset.and_then(presets::find).map_or(0, |preset| preset.text.matches("[[test]]").count());
            assert_eq!(examined.tests, 1 + preset, "{}: a test of the preset fell out\n{text}", kind.title);
        }
    }

    #[test]
    fn answers_stand_in_the_file() {
        let answers = Answers {
            keywords: vec!["打卡".into(), "到".into()],
            points: 7,
            bonus: 0,
            talk: Some(("周一至周五 12:00-13:00".into(), 5)),
            value: Some("0.05".into()),
            groups: vec!["骑行一群".into(), "\"二\"群".into()],
            ..KINDS[4].defaults()
        };
        let text = compose(&answers).expect("good answers");
        for part in [
            "\"打卡\", \"到\"",
            "points = 7 ",
            "# streak",
            "\"周一至周五 12:00-13:00\"",
            "point_value = \"0.05\"",
            "[\"骑行一群\", '\"二\"群']",
            "发「打卡」+7。",
            "live_subscribe",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_the_gate_has_against_answers_is_told() {
        let refused = |change: &dyn Fn(&mut Answers)| {
            let mut answers = KINDS[1].defaults();
            change(&mut answers);
            compose(&answers).expect_err("a bad answer")
        };
        assert!(refused(&|answers| answers.keywords = vec!["积分".into()]).contains("积分"));
        assert!(refused(&|answers| answers.points = 0).contains("至少是 1"));
        assert!(refused(&|answers| answers.talk = Some(("八点".into(), 5))).contains("八点"));
        assert!(refused(&|answers| answers.value = Some("一分钱".into())).contains("一分钱"));
        assert!(refused(&|answers| answers.groups = vec!["a".into(), "a".into()]).contains("写了两次"));
    }
}
