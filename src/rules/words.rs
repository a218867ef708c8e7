//! Words: what rules listen for, and one matcher over all of them (exact words by hash, the rest simply).

use std::collections::HashMap;

use aho_corasick::AhoCorasick;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::rules::text::fold;

/// Bytes of a pattern; longer ones are programs, not words.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// Bytes a compiled pattern may take: `(签到){9999}` is refused, everything an operator means fits.
const COMPILED_BYTES_MAX: usize = 256 * 1024;

/// A word a rule listens for, as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The word or pattern.
    pub text: String,
    /// How it must stand in the message.
    pub how: How,
}

/// `match = "equals" | "starts_with" | "contains" | "regex"`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// 整句相等
    #[default]
    Equals,
    /// 以它开头
    StartsWith,
    /// 句中包含
    Contains,
    /// 正则表达式,在归一后的文字上匹配
    Regex,
}

/// Finds which rules' words stand in a message.
#[derive(Debug, Default)]
pub struct Matcher {
    exact: HashMap<String, Vec<usize>>,
    starts: Vec<(String, usize)>,
    contains: Option<AhoCorasick>,
    /// Whose each pattern of `contains` is.
    contains_of: Vec<usize>,
    // One `is_match` each: a RegexSet is hundreds of times slower on Chinese text, where its lazy DFA never settles.
    patterns: Vec<(Regex, usize)>,
}

impl Matcher {
    /// Compiles the words of all rules, each with its rule's number. An error names the place in `words` and says in Chinese what is wrong.
    pub fn new(words: &[(usize, &Listen)]) -> Result<Self, Vec<(usize, String)>> {
        let mut matcher = Matcher::default();
        let mut contained: Vec<String> = Vec::new();
        let mut mistakes = Vec::new();
        for (place, (rule, listen)) in words.iter().enumerate() {
            if let Err(text) = listen.check() {
                mistakes.push((place, text));
                continue;
            }
            let folded = fold(&listen.text).as_str().to_owned();
            match listen.how {
                How::Equals => matcher.exact.entry(folded).or_default().push(*rule),
                How::StartsWith => matcher.starts.push((folded, *rule)),
                How::Contains => {
                    contained.push(folded);
                    matcher.contains_of.push(*rule);
                }
                How::Regex => matcher.patterns.extend(compile(&listen.text).ok().map(|regex| (regex, *rule))),
            }
        }
        if !contained.is_empty() {
            match AhoCorasick::new(&contained) {
                Ok(automaton) => matcher.contains = Some(automaton),
                Err(error) => mistakes.push((0, format!("match = \"contains\" 的口令太多了,放不进内存:{error}"))),
            }
        }
        if mistakes.is_empty() { Ok(matcher) } else { Err(mistakes) }
    }

    /// The rules whose words stand in a folded text, ascending.
    pub fn find(&self, folded: &str) -> Vec<usize> {
        if folded.is_empty() {
            return Vec::new();
        }
        let mut rules = self.exact.get(folded).cloned().unwrap_or_default();
        rules.extend(self.starts.iter().filter(|(word, _)| folded.starts_with(word)).map(|(_, rule)| rule));
        if let Some(contains) = &self.contains {
            rules.extend(contains.find_overlapping_iter(folded).map(|found| self.contains_of[found.pattern().as_usize()]));
        }
        rules.extend(self.patterns.iter().filter(|(regex, _)| regex.is_match(folded)).map(|(_, rule)| rule));
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

impl Listen {
    /// What is wrong with this word, in Chinese.
    pub fn check(&self) -> Result<(), String> {
        match self.how {
            How::Regex => compile(&self.text).map(|_| ()),
            How::Equals | How::StartsWith | How::Contains if fold(&self.text).as_str().is_empty() => {
                Err(format!("口令「{}」去掉空格、表情和句末标点后什么也不剩,请换一个", self.text))
            }
            How::Equals | How::StartsWith | How::Contains => Ok(()),
        }
    }
}

/// One rule's words in words: `发「签到」或「打卡」`, `发带「打卡」的话`. They all stand in the message in one way.
pub fn in_words(words: &[Listen]) -> String {
    let quoted: Vec<String> = words.iter().map(|listen| format!("「{}」", listen.text)).collect();
    let quoted = quoted.join("或");
    match words.first().map_or(How::Equals, |listen| listen.how) {
        How::Equals => format!("发{quoted}"),
        How::StartsWith => format!("发{quoted}开头的话"),
        How::Contains => format!("发带{quoted}的话"),
        How::Regex => format!("发符合{quoted}的话"),
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("正则表达式最多 {PATTERN_BYTES_MAX} 字节,这一条有 {} 字节", pattern.len()));
    }
    let regex = RegexBuilder::new(pattern).case_insensitive(true).size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build();
    let regex = regex.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "正则表达式太大了,请减少重复次数或拆成几条".to_owned(),
        _ => format!("正则表达式有误:{}", last_line(&error.to_string())),
    })?;
    match regex.is_match("") {
        true => Err("这条正则表达式连空话都匹配,会把每一条消息都当成口令".to_owned()),
        false => Ok(regex),
    }
}

/// A regex error draws the pattern over several lines; its last says what is wrong.
fn last_line(error: &str) -> &str {
    error.lines().last().unwrap_or_default().trim_start_matches("error: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str, how: How) -> Listen {
        Listen { text: text.into(), how }
    }

    #[test]
    fn each_way_of_matching_finds_its_own() {
        let words = [
            listen("簽到", How::Equals),
            listen("打卡", How::Contains),
            listen("#话题", How::StartsWith),
            listen("跑了.{1,3}公里", How::Regex),
            listen("QD", How::Equals),
        ];
        let matcher = Matcher::new(&words.iter().enumerate().collect::<Vec<_>>()).expect("good words");
        let find = |text: &str| matcher.find(fold(text).as_str());
        assert_eq!(find("签到!"), [0]);
        assert_eq!(find("今天打卡打卡"), [1]);
        assert_eq!(find("# 话题:打卡"), [1, 2]);
        assert_eq!(find("跑了 12 公里"), [3]);
        assert_eq!(find("qd"), [4]);
        assert_eq!(find("签到了吗"), [0; 0]);
        assert_eq!(find("👍"), [0; 0]);
    }

    #[test]
    fn words_inside_words_are_all_found() {
        let words = [listen("打卡", How::Contains), listen("骑行打卡", How::Contains), listen("卡", How::Contains)];
        let matcher = Matcher::new(&words.iter().enumerate().collect::<Vec<_>>()).expect("good words");
        assert_eq!(matcher.find("骑行打卡"), [0, 1, 2]);
    }

    #[test]
    fn bad_words_are_told_all_at_once() {
        let words = [
            listen("!!", How::Equals),
            listen("签(到", How::Regex),
            listen("(a{1000}){1000}", How::Regex),
            listen("a*", How::Regex),
            listen("签到", How::Equals),
        ];
        let mistakes = Matcher::new(&words.iter().enumerate().collect::<Vec<_>>()).expect_err("four are bad");
        assert_eq!(mistakes.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn a_wall_of_text_is_matched_in_time_that_grows_with_its_length() {
        let mut words: Vec<Listen> = (0..500).map(|n| listen(&format!("口令{n}"), How::Contains)).collect();
        words.extend(["(签|到)*了$", "(a?){50}a{50}", ".*口.*令.*!"].map(|pattern| listen(pattern, How::Regex)));
        let matcher = Matcher::new(&words.iter().enumerate().collect::<Vec<_>>()).expect("good words");
        let fastest = |text: &str| {
            let timed = |_| {
                let began = std::time::Instant::now();
                let found = matcher.find(text).len();
                (began.elapsed(), found)
            };
            (0..5).map(timed).min().map_or(std::time::Duration::ZERO, |(took, _)| took)
        };
        let (short, long) = (fastest(&"口令签到a".repeat(128)), fastest(&"口令签到a".repeat(1_024)));
        // Eight times as long: squared it would be 64 times as long.
        assert!(long < short * 32, "{short:?} for an eighth, {long:?} for all");
    }

    #[test]
    fn several_words_of_a_rule_are_told_in_one_breath() {
        let listens = |how| ["签到", "打卡"].map(|text| Listen { text: text.into(), how });
        assert_eq!(in_words(&listens(How::Equals)), "发「签到」或「打卡」");
        assert_eq!(in_words(&listens(How::Contains)), "发带「签到」或「打卡」的话");
    }
}
