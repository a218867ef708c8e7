//! Whether the values of rules.toml fit the schema. The editor marks by the same schema, so what it marks is what `check` refuses;
//! here it is said in Chinese, with the exact place and «did you mean».

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::homes::Homes;
use crate::rules::lint::promised;
use crate::rules::meant;
use crate::rules::mistake::{Lines, Mistakes};
use crate::rules::table::{Misfits, Written, in_order, integer};

/// Longest name of a campaign, a rule or a bucket, in characters.
const NAME_CHARS_MAX: usize = 40;

/// Tables and keys of the language that come with a later version.
const NOT_YET: &[(&str, &str)] = &[
    ("order", "订单积分"),
    ("adopt", "采纳"),
    ("submission", "投稿"),
    ("exam", "考试"),
    ("wish", "许愿"),
    ("review", "人工审核"),
    ("images", "图片张数"),
    ("hosts", "链接域名"),
    ("link", "链接"),
    ("mall", "商城"),
    ("redeem", "兑换"),
];

/// Notes everything in the document that does not fit, and returns where those values begin.
pub fn check(schema: &Value, source: &str, document: &DeTable<'_>, mistakes: &mut Mistakes) -> Misfits {
    let homes = Homes { schema, lines: Lines::of(source), document };
    let mut fit = Fit { root: schema, homes, mistakes, misfits: Misfits::new() };
    fit.table("", schema, document);
    fit.misfits
}

struct Fit<'s, 'm, 'd> {
    root: &'s Value,
    homes: Homes<'s, 'd>,
    mistakes: &'m mut Mistakes,
    misfits: Misfits,
}

impl<'s> Fit<'s, '_, '_> {
    /// Whether the value fits; what does not is noted.
    fn value(&mut self, key: &str, schema: &'s Value, value: Written<'_>) -> bool {
        let (about, schema) = (schema, self.alternative(schema, value));
        let fits = match value.get_ref() {
            DeValue::Table(table) if takes(schema, "object") && self.is_nameless(schema, table) => self.nameless(key, value, table),
            DeValue::Table(table) if takes(schema, "object") => self.table(key, schema, table),
            DeValue::Array(items) if takes(schema, "array") => self.array(key, schema, &example(key, about, schema), value, items),
            DeValue::Integer(_) if takes(schema, "integer") => self.integer(key, schema, value),
            DeValue::String(text) if takes(schema, "string") => self.string(key, schema, value, text),
            DeValue::Boolean(_) if takes(schema, "boolean") => true,
            _ if schema.get("type").is_none() && choices(schema).is_empty() => true,
            DeValue::Array(items) if takes(schema, "object") && items.iter().any(|item| item.get_ref().is_table()) => {
                let text = format!("{key} 的表头用一对方括号,例如 [check_in.{key}];两对方括号 [[ ]] 只用在 [[test]]");
                self.refuse(value.span(), "wrong-type", text)
            }
            DeValue::Table(_) if key == "test" => self.refuse(value.span(), "wrong-type", "测试的表头要两对方括号:[[test]]".to_owned()),
            DeValue::String(text) if takes(schema, "integer") && meant::number(text).is_some() => {
                let number = meant::number(text).unwrap_or_default();
                self.refuse(value.span(), "wrong-type", format!("{key} 只写数字,不加引号、单位、空格和逗号:{key} = {number}"))
            }
            _ => {
                let text = format!("{key} 要写{},这里写的是{}", expected(schema, &example(key, about, schema)), written(value));
                self.refuse(value.span(), "wrong-type", text)
            }
        };
        if !fits {
            self.misfits.insert(value.span().start, key.to_owned());
        }
        fits
    }

    /// Follows references, and of several alternatives takes the one of the value's own type.
    fn alternative(&self, schema: &'s Value, value: Written<'_>) -> &'s Value {
        let schema = resolve(self.root, schema);
        let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) else { return schema };
        let resolved = || alternatives.iter().map(|one| resolve(self.root, one));
        resolved().find(|one| takes(one, type_of(value.get_ref()))).or_else(|| resolved().next()).unwrap_or(schema)
    }

    fn table(&mut self, key: &str, schema: &'s Value, table: &DeTable<'_>) -> bool {
        let open = schema.get("additionalProperties");
        let names_are_free = schema.get("propertyNames").is_some();
        let mut fits = true;
        for (name, value) in in_order(table) {
            let known = schema.get("properties").and_then(|properties| properties.get(name.get_ref().as_ref()));
            fits &= match (known, open) {
                (Some(known), _) => self.value(name.get_ref(), known, value),
                (None, Some(other)) if other.is_object() => {
                    let named = !names_are_free || self.name(key, name);
                    self.value(name.get_ref(), other, value) && named
                }
                // Looked at by themselves: see `lint::promised`.
                (None, _) if promised::is_kind(name.get_ref()) && known_keys(schema).contains(&"bucket") => true,
                (None, _) => {
                    let known = known_keys(schema);
                    let alias = meant::key(name.get_ref()).iter().find(|key| known.contains(key)).copied();
                    let meant = alias.or_else(|| nearest(name.get_ref(), &known)).unwrap_or(name.get_ref()).to_owned();
                    self.misfits.insert(value.span().start, meant);
                    let text = self.homes.misplaced(key, name.get_ref()).unwrap_or_else(|| unknown_key(key, name.get_ref(), schema));
                    let code = if not_yet(name.get_ref()).is_some() { "not-yet" } else { "unknown-key" };
                    self.refuse(name.span(), code, text)
                }
            };
        }
        fits
    }

    /// Whether keys stand where names should: `[check_in]` for `[check_in.daily]`.
    fn is_nameless(&self, schema: &'s Value, table: &DeTable<'_>) -> bool {
        let Some(each) = schema.get("additionalProperties").filter(|_| schema.get("propertyNames").is_some()) else { return false };
        let keys = known_keys(resolve(self.root, each));
        // `[check_in.first]` is a rule of that name; `first = { 3 = 5 }` is a key.
        let is_key =
            |value: &DeValue<'_>| value.as_table().is_none_or(|own| !own.is_empty() && !own.keys().any(|name| keys.contains(&name.get_ref().as_ref())));
        table.iter().any(|(name, value)| keys.contains(&name.get_ref().as_ref()) && is_key(value.get_ref()))
    }

    fn nameless(&mut self, key: &str, value: Written<'_>, table: &DeTable<'_>) -> bool {
        for (name, value) in table {
            self.misfits.extend([name.span().start, value.span().start].map(|place| (place, name.get_ref().to_string())));
        }
        if let Some(text) = self.homes.nameless(key, table) {
            return self.refuse(value.span(), "no-name", text);
        }
        self.refuse(value.span(), "no-name", format!("[{key}] 少了名字;请写成 [{key}.daily],daily 随你起,是账本里的代号"))
    }

    fn name(&mut self, kind: &str, name: &Spanned<toml::de::DeString<'_>>) -> bool {
        let text = name.get_ref();
        let allowed = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if !text.is_empty() && text.chars().count() <= NAME_CHARS_MAX && text.chars().all(allowed) {
            return true;
        }
        self.refuse(
            name.span(),
            "bad-name",
            format!("{kind} 的名字「{text}」不行:只能用字母、汉字、数字、_ 和 -,最多 {NAME_CHARS_MAX} 个字;给人看的名称写在 title"),
        )
    }

    fn array(&mut self, key: &str, schema: &'s Value, example: &str, value: Written<'_>, items: &[Spanned<DeValue<'_>>]) -> bool {
        if items.is_empty() && schema.get("minItems").is_some() {
            return self.refuse(value.span(), "empty", format!("{key} 是空的;至少写一个,{example}"));
        }
        let Some(each) = schema.get("items") else { return true };
        // Every item is looked at, so that all that is wrong is told at once.
        items.iter().filter(|item| !self.value(key, each, item)).count() == 0
    }

    fn integer(&mut self, key: &str, schema: &Value, value: Written<'_>) -> bool {
        let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
        let Some(number) = integer(value) else {
            return self.refuse(value.span(), "out-of-range", format!("{key} 的数字太大了"));
        };
        if number < least {
            return self.refuse(value.span(), "out-of-range", format!("{key} 至少是 {least},这里写的是 {number}"));
        }
        if number > most {
            return self.refuse(value.span(), "out-of-range", format!("{key} 最多是 {most},这里写的是 {number}"));
        }
        true
    }

    fn string(&mut self, key: &str, schema: &Value, value: Written<'_>, text: &str) -> bool {
        let chars_max = schema.get("maxLength").and_then(Value::as_u64);
        if schema.get("minLength").is_some() && text.trim().is_empty() {
            return self.refuse(value.span(), "empty", format!("{key} 里有空的文字;请写上内容,或整个删掉"));
        }
        if let Some(most) = chars_max.filter(|most| text.chars().count() as u64 > *most) {
            return self.refuse(value.span(), "too-long", format!("{key} 最多 {most} 个字,这里有 {} 个", text.chars().count()));
        }
        let choices = choices(schema);
        if choices.is_empty() || choices.contains(&text) {
            return true;
        }
        if let Some(choice) = meant::mode(text).filter(|choice| key == "mode" && choices.contains(choice)) {
            let text = format!("mode 没有 \"{text}\":请写 mode = \"{choice}\"(正式 \"live\",试运行 \"shadow\",停用 \"off\")");
            return self.refuse(value.span(), "unknown-choice", text);
        }
        let text = format!("{key} 不能是 \"{text}\",只能是 {}{}", quoted(&choices), did_you_mean(text, &choices));
        self.refuse(value.span(), "unknown-choice", text)
    }

    fn refuse(&mut self, span: Range<usize>, code: &'static str, text: String) -> bool {
        self.mistakes.error(span, code, text);
        false
    }
}

/// 「,是不是想写 …?」 when one of the names is near.
pub fn did_you_mean<S: AsRef<str>>(written: &str, names: &[S]) -> String {
    nearest(written, names).map_or_else(String::new, |name| format!(";是不是想写 {name}?"))
}

/// The name that differs by a slip of the finger: a third of its letters at most.
fn nearest<'n, S: AsRef<str>>(written: &str, names: &'n [S]) -> Option<&'n str> {
    let distance = |name: &S| strsim::damerau_levenshtein(&written.to_lowercase(), &name.as_ref().to_lowercase());
    let near = |name: &&S| distance(name) <= (written.chars().count().max(name.as_ref().chars().count()) / 3).max(1);
    names.iter().filter(near).min_by_key(|name| distance(name)).map(AsRef::as_ref)
}

/// Follows `$ref` (draft-07 wraps it in `allOf` where it stands beside a description).
pub fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let inner = schema.get("allOf").and_then(|all| all.get(0)).unwrap_or(schema);
    let Some(reference) = inner.get("$ref").and_then(Value::as_str) else { return inner };
    root.pointer(reference.trim_start_matches('#')).map_or(inner, |target| resolve(root, target))
}

fn not_yet(name: &str) -> Option<&'static str> {
    NOT_YET.iter().find(|(known, _)| *known == name).map(|(_, title)| *title)
}

pub(super) fn known_keys(schema: &Value) -> Vec<&str> {
    schema.get("properties").and_then(Value::as_object).map(|all| all.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn unknown_key(table: &str, name: &str, schema: &Value) -> String {
    if name == "factor" {
        return "倍数不写在规则里;请写一张 [festival.<名字>],例如 factor = \"200%\",days = \"周六周日\",rules = [\"check_in.daily\"]".to_owned();
    }
    if let Some(title) = not_yet(name) {
        return format!("这一版还没有 {name}({title});请先删掉或在行首加 #,升级后再用");
    }
    let known = known_keys(schema);
    let place = if table.is_empty() { "最外层".to_owned() } else { format!("{table} 里") };
    let alias = meant::key(name).iter().find(|key| known.contains(key)).map(|key| format!(";是不是想写 {key}?"));
    let near = alias.unwrap_or_else(|| did_you_mean(name, &known));
    let rest = if near.is_empty() { format!(";可用的有 {}", known.join("、")) } else { near };
    format!("{place}没有 {name} 这个键{rest}")
}

fn takes(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(only)) => only == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => kind == "string" && !choices(schema).is_empty(),
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "datetime",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// The strings a value must be one of; empty for free text.
fn choices(schema: &Value) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let described = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    listed.chain(described.filter_map(|one| one.get("const").and_then(Value::as_str))).collect()
}

fn expected(schema: &Value, example: &str) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return format!("文字 {}", quoted(&choices));
    }
    let kind = match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "整数",
        Some("string") => "文字(加英文引号)",
        Some("boolean") => " true 或 false",
        Some("array") => "列表(方括号)",
        Some("object") => "一组键(花括号)",
        _ => "别的",
    };
    format!("{kind},{example}")
}

/// The example of a key (`about` is what its own table says of it, `schema` its type).
fn example(key: &str, about: &Value, schema: &Value) -> String {
    let own = about.get("examples").and_then(|examples| examples.get(0)).map(toml_text);
    let value = own.unwrap_or_else(|| match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "1".to_owned(),
        Some("array") => "[\"…\"]".to_owned(),
        Some("boolean") => "true".to_owned(),
        Some("object") => "{ … }".to_owned(),
        _ => "\"…\"".to_owned(),
    });
    format!("例如 {key} = {value}")
}

/// A JSON value as it stands in TOML.
pub fn toml_text(value: &Value) -> String {
    match value {
        Value::Object(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn quoted(choices: &[&str]) -> String {
    choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join("、")
}

fn written(value: Written<'_>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("文字 \"{}\"", text.chars().take(20).collect::<String>()),
        DeValue::Integer(number) => format!("数字 {number}"),
        DeValue::Float(number) => format!("小数 {number}"),
        DeValue::Boolean(truth) => format!(" {truth}"),
        DeValue::Datetime(date) => format!("日期 {date}"),
        DeValue::Array(_) => "列表".to_owned(),
        DeValue::Table(_) => "一组键".to_owned(),
    }
}
