//! The slips of a hand that is used to an input method and to other notations, seen in a line that is not TOML: each named as what it is.

/// Punctuation that an input method puts where TOML wants its plain twin; the rest of the full-width forms are counted off.
const WIDE: [(char, &str); 9] = [
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{3001}', ","),
    ('\u{3010}', "["),
    ('\u{3011}', "]"),
    ('\u{300c}', "\""),
    ('\u{300d}', "\""),
];

/// Keys as a newcomer calls them.
const KEYS: [(&str, &str); 26] = [
    ("签到", "check_in"),
    ("发言", "speaking"),
    ("任务", "task"),
    ("活动", "campaign"),
    ("口令", "keywords"),
    ("关键词", "keywords"),
    ("积分", "points"),
    ("分数", "points"),
    ("得分", "points"),
    ("名称", "title"),
    ("标题", "title"),
    ("时段", "when"),
    ("时间", "when"),
    ("日期", "dates"),
    ("上限", "max_points"),
    ("次数", "max_times"),
    ("连签", "streak"),
    ("连续签到", "streak"),
    ("回复", "reply"),
    ("群", "groups"),
    ("每天", "day"),
    ("每日", "day"),
    ("每周", "week"),
    ("每月", "month"),
    ("总共", "ever"),
    ("倍数", "factor"),
];

/// A line with its comment and the contents of its texts blanked out, place by place, so that what is left is notation.
fn notation(line: &str) -> String {
    let mut quote = None;
    let mut is_comment = false;
    let blank = |c: char| if c.is_ascii() { " ".to_owned() } else { " ".repeat(c.len_utf8()) };
    let one = |c: char| match quote {
        Some(open) => {
            quote = (c != open).then_some(open);
            if quote.is_none() { c.to_string() } else { blank(c) }
        }
        None if is_comment || c == '#' => {
            is_comment = true;
            blank(c)
        }
        None => {
            quote = matches!(c, '"' | '\'').then_some(c);
            c.to_string()
        }
    };
    line.chars().map(one).collect()
}

/// What the hand wrote that TOML does not know: where in the line, and what to write.
pub fn slip(line: &str) -> Option<(usize, String)> {
    let notation = notation(line);
    wide(&notation).or_else(|| mark(&notation, line)).or_else(|| key(&notation))
}

/// Full-width forms.
fn wide(notation: &str) -> Option<(usize, String)> {
    notation.char_indices().find_map(|(at, c)| {
        let plain = WIDE.iter().find(|(wide, _)| *wide == c).map(|(_, plain)| (*plain).to_owned());
        let plain = plain.or_else(|| matches!(c, '\u{ff01}'..='\u{ff5e}').then(|| char::from_u32(c as u32 - 0xfee0)).flatten().map(String::from));
        match (plain, c) {
            (Some(_), '\u{ff1a}') => Some((at, "这里用了中文冒号;键和值之间用英文的等号 =".to_owned())),
            (Some(plain), _) if plain.chars().all(|c| c.is_ascii_alphanumeric()) => Some((at, format!("这里是全角的 {c};请换成半角的 {plain}"))),
            (Some(plain), _) => Some((at, format!("这里用了中文标点 {c};请换成英文的 {plain}"))),
            (None, '\u{3000}' | '\u{a0}') => Some((at, "这里有一个全角空格(或网页里复制来的空格);请换成普通空格".to_owned())),
            (None, _) => None,
        }
    })
}

/// Marks of other notations.
fn mark(notation: &str, line: &str) -> Option<(usize, String)> {
    let (equals, colon) = (notation.find('='), notation.find(':'));
    if let Some(at) = notation.find("//") {
        return Some((at, "注释用 # 开头,不用 //".to_owned()));
    }
    // A time that is not in quotes has a colon too, but digits on both sides and an equals sign before it.
    if let Some(at) = colon.filter(|at| equals.is_none_or(|equals| *at < equals)) {
        return Some((at, "键和值之间用等号,不用冒号,例如 points = 2".to_owned()));
    }
    if let Some(head) = headless(notation) {
        return Some((notation.len() - notation.trim_start().len(), format!("表头要加方括号:[{head}]")));
    }
    let value_at = equals? + 1;
    let (value, written) = (notation[value_at..].trim(), line.get(value_at..)?.split('#').next()?.trim());
    if value.starts_with('[') && value.ends_with(']') && value.contains('=') && !value.contains('{') {
        let inner = written.trim_start_matches('[').trim_end_matches(']').trim();
        return Some((value_at + notation[value_at..].find('[')?, format!("一组键用花括号,不用方括号:{{ {inner} }}")));
    }
    if let Some(number) = grouped(value) {
        return Some((value_at + 1, format!("数字中间不要空格、逗号;这里写 {number}")));
    }
    if value.starts_with('{') && value.contains(':') {
        return Some((value_at + notation[value_at..].find(':')?, "花括号里也用等号,不用冒号,例如 { day = 20 }".to_owned()));
    }
    if value.starts_with('(') {
        return Some((value_at + notation[value_at..].find('(')?, "列表用方括号,不用圆括号,例如 [\"签到\", \"打卡\"]".to_owned()));
    }
    if let Some(end) = value.chars().last().filter(|end| matches!(end, ';' | ',') && value.len() > 1) {
        return Some((notation.trim_end().len() - 1, format!("行尾不要写 {end}")));
    }
    if matches!(value.chars().next(), Some('"' | '\'')) && value.matches(['"', '\'']).count() >= 4 && value.contains(',') {
        return Some((value_at + 1, format!("几个值要放进方括号:[{written}]")));
    }
    let digits = value.trim_start_matches(['+', '-']).chars().take_while(char::is_ascii_digit).count();
    let unit: String = value.chars().skip_while(|c| !c.is_alphabetic()).collect();
    if digits > 0 && !unit.is_empty() && ["分", "次", "个", "天", "元", "积分", "points", "个字", "字", "条", "人", "名", "件", "岁"].contains(&unit.trim())
    {
        let number: String = value.chars().filter(char::is_ascii_digit).collect();
        return Some((value_at + 1, format!("数字后面不要写单位;这里写 {number}")));
    }
    let span = ["秒", "分钟", "小时"].iter().zip(["s", "m", "h"]).find(|(unit_, _)| unit == **unit_).map(|(_, letter)| letter);
    if let (true, Some(letter)) = (digits > 0, span) {
        return Some((value_at + 1, format!("多久要加英文引号:\"{}{letter}\"", &value[..digits])));
    }
    let is_clock = value.starts_with(|c: char| c.is_ascii_digit()) && (value.contains(':') || value.contains("..") || value.matches('-').count() > 1);
    if is_clock {
        return Some((value_at + 1, format!("时刻和日期要加英文引号:\"{written}\"")));
    }
    match value {
        "是" | "真" | "yes" | "Yes" | "True" | "TRUE" | "开" => Some((value_at + 1, "是 写成 true,不加引号".to_owned())),
        "否" | "假" | "no" | "No" | "False" | "FALSE" | "关" => Some((value_at + 1, "否 写成 false,不加引号".to_owned())),
        _ => None,
    }
}

/// A number whose digits are set apart in threes, without what sets them apart.
fn grouped(value: &str) -> Option<String> {
    let mut parts = value.split([' ', ',', '_', '\'']);
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let first = parts.next().filter(|part| !part.is_empty() && part.len() <= 3 && is_digits(part))?;
    let rest: Vec<&str> = parts.collect();
    let is_grouped = !rest.is_empty() && rest.iter().all(|part| part.len() == 3 && is_digits(part));
    is_grouped.then(|| format!("{first}{}", rest.concat()))
}

/// `check_in.daily` alone on a line.
fn headless(notation: &str) -> Option<&str> {
    let words = notation.trim();
    let is_name = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    (words.contains('.') && words.split('.').all(is_name)).then_some(words)
}

/// Keys and kinds of table in Chinese.
fn key(notation: &str) -> Option<(usize, String)> {
    let is_key = |c: char| !c.is_ascii() && c.is_alphanumeric();
    let is_head = notation.trim_start().starts_with('[');
    let reach = if is_head { notation.len() } else { notation.rfind('=')? };
    let at = notation[..reach].find(is_key)?;
    let name: String = notation[at..].chars().take_while(|c| is_key(*c) || c.is_ascii_alphanumeric() || *c == '_').collect();
    let known = KEYS.iter().find(|(chinese, _)| *chinese == name).map(|(_, key)| *key);
    let is_kind = notation[..at].trim_start().trim_matches('[').is_empty();
    match (is_head, known) {
        (true, Some(kind)) if is_kind => Some((at, format!("表名用英文:「{name}」写成 {kind},例如 [{kind}.daily]"))),
        (true, _) => {
            let kind = notation[..at].trim_start().trim_start_matches('[');
            Some((at, format!("名字「{name}」里有汉字,要加英文引号:[{kind}\"{name}\"]")))
        }
        (false, Some(key)) => Some((at, format!("键名用英文:「{name}」写成 {key}"))),
        (false, None) if name.starts_with('第') => Some((at, "左边只写第几天的数字,例如 streak = { 7 = 10 }".to_owned())),
        (false, None) => Some((at, format!("「{name}」不是键名:键名用英文,例如 points = 2;全部的键见 docs/rules.zh-CN.md"))),
    }
}

/// A bracket that is never closed: where it opens, told by a table or another key beginning inside of it.
pub fn unclosed(source: &str) -> Option<(usize, char)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut quote: Option<&str> = None;
    let mut begins = 0;
    for line in source.split('\n') {
        if let (None, Some((at, bracket))) = (quote, open.first()) {
            let begins_anew = is_head(line) || (*bracket == '[' && is_assignment(line));
            if begins_anew {
                return Some((*at, *bracket));
            }
        }
        let is_table = open.is_empty() && quote.is_none() && line.trim_start().starts_with('[');
        let mut at = 0;
        while at < line.len() && !is_table {
            let rest = &line[at..];
            let step = rest.chars().next().map_or(1, char::len_utf8);
            at += match quote {
                Some(end) if rest.starts_with(end) => {
                    quote = None;
                    end.len()
                }
                Some("\"" | "\"\"\"") if rest.starts_with('\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                Some(_) => step,
                None if rest.starts_with('#') => break,
                None => {
                    quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|mark| rest.starts_with(mark));
                    match rest.chars().next() {
                        Some(bracket @ ('[' | '{')) => open.push((begins + at, bracket)),
                        Some(']' | '}') => drop(open.pop()),
                        _ => {}
                    }
                    quote.map_or(step, str::len)
                }
            };
        }
        // A text of one line ends with it, closed or not.
        quote = quote.filter(|mark| mark.len() == 3);
        begins += line.len() + 1;
    }
    None
}

/// `[check_in.daily]`, `[[test]]`; not a list of lists.
fn is_head(line: &str) -> bool {
    let inner = line.trim_start().trim_start_matches('[');
    line.trim_start().starts_with('[') && inner.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// `points = 2`
fn is_assignment(line: &str) -> bool {
    let name = line.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).count();
    name > 0 && line.trim_start()[name..].trim_start().starts_with('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_texts_and_comments_is_no_slip() {
        for line in ["title = \"签到、打卡\"  # 全角:也行", "reply = \"http://a:1\"", "keywords = [\"签到\", \"打卡\"]", "at = \"9:00\"", "[check_in.\"每日\"]"]
        {
            assert_eq!(slip(line), None, "{line}");
        }
    }

    #[test]
    fn what_was_meant_is_told_as_it_must_be_written() {
        let told = |line: &str| slip(line).map_or(String::new(), |(_, text)| text);
        assert_eq!(told("[festival.周六]"), "名字「周六」里有汉字,要加英文引号:[festival.\"周六\"]");
        assert!(told("min_chars = 4个字  # 四个").ends_with("这里写 4"));
        assert!(["price = 1 500", "price = 1,500"].map(told).iter().all(|text| text.ends_with("这里写 1500")));
        assert!(told("cool_down = 30秒").ends_with("\"30s\""));
        assert!(told("max_points = [ day = 20 ]").ends_with(":{ day = 20 }"));
    }

    #[test]
    fn an_open_bracket_is_found_where_it_opens() {
        assert_eq!(unclosed("a = [\n  \"x\",\n]\nb = 1\n[c]\n"), None);
        assert_eq!(unclosed("a = [1,\nb = 2\n"), Some((4, '[')));
        assert_eq!(unclosed("a = { x = 1\n[b]\n"), Some((4, '{')));
        assert_eq!(unclosed("levels = [\n  { title = \"a\", at = 0 },\n]\nchat = \"\"\"\n[骑行] a [ b\nc = 1\"\"\"\n[d]"), None);
        assert_eq!(unclosed("a = [[1, 2],\n[3, 4]]\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it(line in "\\PC{0,40}", text in "[\\[\\]{}\"'=,.#\\\\\n a签]{0,60}") {
            let _ = (slip(&line), slip(&text), unclosed(&text));
        }
    }
}
