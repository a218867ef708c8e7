//! Reading a table of rules.toml: every bad key at once, with its place. [`super::fit`] has checked the shapes before.

use std::collections::HashMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

use crate::rules::mistake::Mistakes;

/// A value with the byte range where it was written.
pub type Written<'a> = &'a Spanned<DeValue<'a>>;

/// Where the values begin that do not fit the schema, each with the key it was meant for. They count as not written.
pub type Misfits = HashMap<usize, String>;

/// One table after inheritance: keys with the byte ranges where they were written.
#[derive(Debug)]
pub struct RuleTable<'a> {
    entries: Vec<(&'a Spanned<DeString<'a>>, Written<'a>)>,
    /// Where keys were written that do not fit.
    misfits: Vec<(String, Range<usize>)>,
    shared: &'a [String],
    span: Range<usize>,
    begins: usize,
}

impl<'a> RuleTable<'a> {
    /// A table whose head was written at `span`. Later `layers` win over earlier ones, key by key.
    pub fn new(span: Range<usize>, layers: &[&'a DeTable<'a>], misfits: &Misfits) -> Self {
        let mut table = RuleTable { entries: Vec::new(), misfits: Vec::new(), shared: &[], begins: span.start, span };
        for (key, value) in layers.iter().flat_map(|layer| layer.iter()) {
            if let Some(meant) = misfits.get(&value.span().start) {
                table.misfits.push((meant.clone(), value.span()));
            } else {
                table.entries.retain(|(known, _)| known.get_ref() != key.get_ref());
                table.entries.push((key, value));
            }
        }
        table
    }

    /// The same table with the keys that every rule shares named, which [`RuleTable::read`] leaves out.
    pub fn sharing(self, shared: &'a [String]) -> Self {
        RuleTable { shared, ..self }
    }

    /// Where a key's value was written; the table's head if it was not.
    pub fn span(&self, key: &str) -> Range<usize> {
        let misfit = || self.misfits.iter().find(|(known, _)| known == key).map(|(_, span)| span.clone());
        self.get(key).map(Spanned::span).or_else(misfit).unwrap_or_else(|| self.span.clone())
    }

    /// Where an entry of a table value was written; the whole value if it was not.
    pub fn span_within(&self, key: &str, entry: &str) -> Range<usize> {
        let found = self.pairs(key).into_iter().find(|(name, _)| name.get_ref() == entry);
        found.map_or_else(|| self.span(key), |(name, value)| name.span().start..value.span().end)
    }

    /// Where its first layer begins: its place in the order of the file.
    pub fn begins(&self) -> usize {
        self.begins
    }

    /// The keys and values, each layer's in the order they are written.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Written<'a>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| (key.get_ref().as_ref(), *value))
    }

    /// A key's value, when it is written and fits.
    pub fn get(&self, key: &str) -> Option<Written<'a>> {
        self.entries.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| *value)
    }

    /// A string.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(|value| value.get_ref().as_str())
    }

    /// A string or a list of strings, each with its place; `None` when the key is not written.
    pub fn texts(&self, key: &str) -> Option<Vec<(Range<usize>, &'a str)>> {
        self.get(key).map(texts)
    }

    /// The entries of a table value in the order they are written.
    pub fn pairs(&self, key: &str) -> Vec<(&'a Spanned<DeString<'a>>, Written<'a>)> {
        self.get(key).and_then(|value| value.get_ref().as_table()).map(in_order).unwrap_or_default()
    }

    /// Reads the kind's own keys. A key that does not fit is noted and left at its default; unknown keys were noted before.
    pub fn read<T: DeserializeOwned + JsonSchema + Default>(&self, mistakes: &mut Mistakes) -> T {
        let mut fitting = DeTable::new();
        for (key, value) in self.entries.iter().filter(|(key, _)| !self.shared.iter().any(|shared| shared == key.get_ref())) {
            let mut alone = DeTable::new();
            alone.insert((*key).clone(), (*value).clone());
            match self.deserialize::<T>(alone) {
                Ok(_) => drop(fitting.insert((*key).clone(), (*value).clone())),
                Err(error) => mistakes.error(error.span().unwrap_or_else(|| value.span()), "bad-value", in_chinese(key.get_ref(), error.message())),
            }
        }
        self.deserialize(fitting).unwrap_or_default()
    }

    fn deserialize<T: DeserializeOwned>(&self, table: DeTable<'_>) -> Result<T, toml::de::Error> {
        T::deserialize(ValueDeserializer::from(Spanned::new(self.span.clone(), DeValue::Table(table))))
    }
}

/// A table's entries in the order they are written (the parser sorts them by name).
pub fn in_order<'a>(table: &'a DeTable<'a>) -> Vec<(&'a Spanned<DeString<'a>>, Written<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The strings of a string or of a list of strings, each with its place.
pub fn texts(value: Written<'_>) -> Vec<(Range<usize>, &str)> {
    let one = |value: Written<'_>| value.get_ref().as_str().map(|_| value.span());
    match value.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| Some((one(item)?, item.get_ref().as_str()?))).collect(),
        DeValue::String(text) => vec![(value.span(), text)],
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => Vec::new(),
    }
}

/// An integer that fits 64 bits.
pub fn integer(value: Written<'_>) -> Option<i64> {
    value.get_ref().as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
}

/// A length of time such as `30s`, `10m`, `2h`, `7d`, in seconds. Zero is allowed.
pub fn parse_duration_secs(text: &str) -> Result<i64, String> {
    let unread = || format!("「{text}」不是时长;请写数字加单位:30s(秒)、10m(分)、2h(小时)、7d(天)");
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit_secs = match unit.trim() {
        "s" | "秒" => 1,
        "m" | "分" | "分钟" => 60,
        "h" | "小时" => 3_600,
        "d" | "天" => 86_400,
        _ => return Err(unread()),
    };
    let number: i64 = number.parse().map_err(|_| unread())?;
    number.checked_mul(unit_secs).filter(|secs| *secs <= DURATION_MAX_SECS).ok_or_else(|| format!("「{text}」太长了;最多 3660d(约十年)"))
}

/// Ten years: longer is a slip of the finger.
const DURATION_MAX_SECS: i64 = 3_660 * 86_400;

/// Our own deserializers speak Chinese already; what serde says on its own is framed.
fn in_chinese(key: &str, message: &str) -> String {
    if message.is_ascii() { format!("{key} 的写法不对({message})") } else { message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize, JsonSchema)]
    #[serde(default)]
    struct Sample {
        points: i64,
        keywords: Vec<String>,
    }

    #[test]
    fn one_bad_key_does_not_hide_the_others() {
        let source = "points = \"two\"\nkeywords = [\"签到\"]\ntitle = \"每日\"";
        let document = DeTable::parse(source).unwrap();
        let shared = ["title".to_owned()];
        let table = RuleTable::new(0..0, &[document.get_ref()], &Misfits::new()).sharing(&shared);
        let mut mistakes = Mistakes::default();
        assert_eq!(table.read::<Sample>(&mut mistakes), Sample { points: 0, keywords: vec!["签到".into()] });
        assert_eq!(mistakes.locate(source).iter().map(|mistake| (mistake.line, mistake.column)).collect::<Vec<_>>(), [(1, 10)]);
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let base = DeTable::parse("points = 2\ntitle = \"每日\"").unwrap();
        let own = DeTable::parse("points = 4").unwrap();
        let table = RuleTable::new(0..0, &[base.get_ref(), own.get_ref()], &Misfits::new());
        assert_eq!((table.get("points").and_then(integer), table.text("title")), (Some(4), Some("每日")));
    }

    #[test]
    fn durations_have_units_and_an_end() {
        assert_eq!(parse_duration_secs("30s"), Ok(30));
        assert_eq!(parse_duration_secs("0s"), Ok(0));
        assert_eq!(parse_duration_secs("7d"), Ok(604_800));
        assert_eq!(parse_duration_secs("10 分钟"), Ok(600));
        for bad in ["", "30", "s", "-1s", "1.5h", "99999999999999d", "9999999999999999999999s"] {
            assert!(parse_duration_secs(bad).is_err(), "{bad}");
        }
    }
}
