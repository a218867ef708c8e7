//! Changing a rules.toml without breaking it: the `mode` of a rule or a campaign, wherever it stands. Comments, order and layout stay; only
//! the lines that must change do.
//!
//! | the table is written as | what is put in where no `mode` is |
//! |---|---|
//! | `[check_in.daily]` | a line below the head |
//! | `check_in.daily.points = 2` | `check_in.daily.mode = "off"`, a line above the first of them |
//! | `check_in.daily = { … }` | `mode = "off",` behind the brace |
//!
//! A rule may stand at the top and again in campaigns. Stopping it turns off every place that pays, resuming turns on what was turned off: where
//! there are several, each stopped one bears a line that says so (`MARK`), so that a place that was off before stays off.

use std::ops::Range;

use toml::de::DeTable;

use crate::rules::campaign::Mode;
use crate::rules::file;
use crate::rules::table::in_order;

/// Stands above a place that was stopped together with others.
const MARK: &str = "# jifen: 一起停用的,恢复时改回 live:";

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A rule in all campaigns, by its code: `check_in.daily`.
    Rule(&'a str),
    /// A whole campaign, by its id.
    Campaign(&'a str),
}

/// Why a text stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// It is not there.
    #[error("rules.toml 里没有这一条")]
    Missing,
    /// It is so already.
    #[error("已经是这样了")]
    Already,
    /// It is off in several places, and nothing says which of them are to be live.
    #[error("它在 rules.toml 里有几处都写着 mode = \"off\",看不出该恢复哪一处;请在文件里改,或用 jifen rules rollback 回到停用以前")]
    Unclear,
    /// The file is written in a way that this cannot change.
    #[error("rules.toml 的写法太特别,程序改不了;请在文件里把 mode 改成 \"{0}\"")]
    Beyond(&'static str),
}

/// The text with another `mode`. `text` must load.
///
/// # Errors
/// See [`EditError`]; nothing is changed then.
pub fn set_mode(text: &str, target: Target<'_>, mode: Mode) -> Result<String, EditError> {
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, _) = DeTable::parse_recoverable(source);
    let places = places(source, document.get_ref(), target);
    if places.is_empty() {
        return match target {
            Target::Campaign("main") if !document.get_ref().contains_key("campaign") => with_main(text, mode),
            Target::Rule(_) | Target::Campaign(_) => Err(EditError::Missing),
        };
    }
    let chosen: Vec<&Place> = match mode {
        Mode::Off => places.iter().filter(|place| place.mode == Mode::Live).collect(),
        Mode::Shadow => places.iter().filter(|place| place.mode != Mode::Shadow).collect(),
        Mode::Live => resumed(&places)?,
    };
    if chosen.is_empty() {
        return Err(EditError::Already);
    }
    let is_marked = mode == Mode::Off && places.len() > 1;
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for place in chosen {
        let line_end = line_end(source, place.line);
        if is_marked {
            edits.push((place.line..place.line, format!("{}{MARK}{}{line_end}", indentation(source, place.line), target.name())));
        }
        edits.extend(place.mark.clone().map(|mark| (mark, String::new())));
        edits.push(place.edit(mode));
    }
    // From the end, so that places before stay where they are; of two at one place the later is put in first.
    edits.reverse();
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut changed = source.to_owned();
    for (range, put) in edits {
        changed.replace_range(range, &put);
    }
    let bom = &text[..text.len() - source.len()];
    checked(format!("{bom}{changed}"), target, mode)
}

impl Target<'_> {
    fn name(&self) -> &str {
        match self {
            Target::Rule(code) => code,
            Target::Campaign(id) => id,
        }
    }
}

/// As it is written.
pub fn written(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Shadow => "shadow",
        Mode::Off => "off",
    }
}

/// A table that may say `mode`.
#[derive(Debug)]
struct Place {
    /// What it says, or what holds where it says nothing.
    mode: Mode,
    how: How,
    /// Where the line begins that is changed or that the new one is put before.
    line: usize,
    /// The line above that marks it as stopped.
    mark: Option<Range<usize>>,
}

/// How a place is changed.
#[derive(Debug)]
enum How {
    /// The value is replaced.
    Value(Range<usize>),
    /// A text is put in, around the value.
    Put { at: usize, before: String, after: String },
}

impl Place {
    fn edit(&self, mode: Mode) -> (Range<usize>, String) {
        let value = format!("\"{}\"", written(mode));
        match &self.how {
            How::Value(range) => (range.clone(), value),
            How::Put { at, before, after } => (*at..*at, format!("{before}{value}{after}")),
        }
    }
}

/// The places to turn on again.
fn resumed(places: &[Place]) -> Result<Vec<&Place>, EditError> {
    let off: Vec<&Place> = places.iter().filter(|place| place.mode == Mode::Off).collect();
    let marked: Vec<&Place> = off.iter().copied().filter(|place| place.mark.is_some()).collect();
    match (off.len(), marked.is_empty()) {
        (0 | 1, _) => Ok(off),
        (_, false) => Ok(marked),
        (_, true) => Err(EditError::Unclear),
    }
}

/// Where a target stands: for a rule at the top, and in each campaign that writes it alone or with a `mode` of its own.
fn places(source: &str, root: &DeTable<'_>, target: Target<'_>) -> Vec<Place> {
    let mark = format!("{MARK}{}", target.name());
    let found = |path: &[&str]| place(source, root, path, &mark);
    match target {
        Target::Campaign(id) => found(&["campaign", id]).into_iter().collect(),
        Target::Rule(code) => {
            let Some((kind, name)) = code.split_once('.') else { return Vec::new() };
            let top = found(&[kind, name]);
            let is_inherited = top.is_some();
            let campaigns = root.get("campaign").and_then(|value| value.get_ref().as_table()).map(in_order).unwrap_or_default();
            let own = campaigns.iter().filter_map(|(id, _)| found(&["campaign", id.get_ref(), kind, name]));
            let own = own.filter(|place| !is_inherited || matches!(place.how, How::Value(_)));
            top.into_iter().chain(own).collect()
        }
    }
}

/// Finds a table and how its `mode` is changed; `None` where there is no such table.
fn place(source: &str, root: &DeTable<'_>, path: &[&str], mark: &str) -> Option<Place> {
    let mut table = root;
    // The keys since the innermost inline table, and where the statement begins that holds the outermost.
    let (mut keys, mut anchor): (Vec<Range<usize>>, Option<usize>) = (Vec::new(), None);
    let mut in_inline = false;
    for name in path {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == *name)?;
        keys.push(key.span());
        table = value.get_ref().as_table()?;
        if next(source, key.span().end) == Some('=') {
            anchor = anchor.or(Some(line_start(source, key.span().start)));
            (in_inline, keys) = (true, vec![key.span()]);
        } else if in_inline && keys.first().is_some_and(|first| next(source, first.end) == Some('=')) {
            keys.remove(0);
        }
    }
    let own = keys.last()?.clone();
    let says = table.iter().find(|(key, _)| key.get_ref().as_ref() == "mode");
    let (how, line) = match says {
        Some((key, value)) => (How::Value(value.span()), anchor.unwrap_or_else(|| line_start(source, key.span().start))),
        None => put(source, table, path, (&own, &keys, in_inline, anchor)),
    };
    let mode = match says.and_then(|(_, value)| value.get_ref().as_str()) {
        Some("off") => Mode::Off,
        Some("shadow") => Mode::Shadow,
        Some(_) | None => Mode::Live,
    };
    Some(Place { mode, how, line, mark: marked(source, line, mark) })
}

type Around<'a> = (&'a Range<usize>, &'a [Range<usize>], bool, Option<usize>);

/// Where a `mode` is put into a table that says none.
fn put(source: &str, table: &DeTable<'_>, path: &[&str], (own, keys, in_inline, anchor): Around<'_>) -> (How, usize) {
    let line = line_start(source, own.start);
    let end = line_end(source, own.start);
    let is_head = source[line..own.start].trim_start().starts_with('[');
    let above = |line: usize, before: String| How::Put { at: line, before, after: end.to_owned() };
    match next(source, own.end) {
        // { … }
        Some('=') => {
            let brace = source[own.end..].find('{').map_or(own.end, |at| own.end + at + 1);
            let comma = if table.is_empty() { " " } else { "," };
            (How::Put { at: brace, before: " mode = ".into(), after: comma.into() }, anchor.unwrap_or(line))
        }
        // check_in = { daily.points = 2 }
        Some('.') if in_inline => {
            let first = keys.first().map_or(own.start, |key| key.start);
            (How::Put { at: first, before: format!("{}.mode = ", &source[first..own.end]), after: ", ".into() }, anchor.unwrap_or(line))
        }
        // check_in.daily.points = 2
        Some('.') if !is_head => (above(line, format!("{}.mode = ", &source[line..own.end])), line),
        // [check_in.daily.streak] above, or instead of, [check_in.daily]
        Some('.') => {
            let of_its_own = |key: &Range<usize>| !source[line_start(source, key.start)..key.start].trim_start().starts_with('[');
            match in_order(table).into_iter().map(|(key, _)| key.span()).find(of_its_own) {
                Some(key) => {
                    let line = line_start(source, key.start);
                    (above(line, format!("{}mode = ", &source[line..key.start])), line)
                }
                None => {
                    let head = format!("[{}]{end}mode = ", path.join("."));
                    (How::Put { at: line, before: head, after: format!("{end}{end}") }, line)
                }
            }
        }
        // [check_in.daily]
        Some(_) | None => match source[own.end..].find('\n') {
            Some(at) => (above(own.end + at + 1, format!("{}mode = ", indentation(source, line))), own.end + at + 1),
            None => (How::Put { at: source.len(), before: format!("{end}mode = "), after: end.to_owned() }, source.len()),
        },
    }
}

/// A campaign that nobody wrote.
fn with_main(text: &str, mode: Mode) -> Result<String, EditError> {
    if mode == Mode::Live {
        return Err(EditError::Already);
    }
    let end = line_end(text, 0);
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    checked(format!("{text}{gap}{end}[campaign.main]{end}mode = \"{}\"{end}", written(mode)), Target::Campaign("main"), mode)
}

/// Gives the text if it means what was wanted.
fn checked(text: String, target: Target<'_>, mode: Mode) -> Result<String, EditError> {
    let beyond = || EditError::Beyond(written(mode));
    let (rules, _) = file::load(&text).map_err(|_| beyond())?;
    let mut modes = rules.campaigns.iter().flat_map(|campaign| {
        let own = (target == Target::Campaign(&campaign.id)).then_some(campaign.mode);
        let rules = campaign.rules.iter().filter(move |rule| target == Target::Rule(&rule.code)).map(|rule| rule.common.mode);
        own.into_iter().chain(rules)
    });
    let is_done = match mode {
        Mode::Off => modes.all(|mode| mode != Mode::Live),
        Mode::Shadow | Mode::Live => modes.next().is_some(),
    };
    if is_done { Ok(text) } else { Err(beyond()) }
}

/// The lines right above a line that mark what was stopped; the one for this target.
fn marked(source: &str, line: usize, mark: &str) -> Option<Range<usize>> {
    let mut end = line;
    while end > 0 {
        let start = line_start(source, end - 1);
        let text = source[start..end].trim();
        if text == mark {
            return Some(start..end);
        }
        if !text.starts_with(MARK) {
            return None;
        }
        end = start;
    }
    None
}

fn line_start(source: &str, at: usize) -> usize {
    source[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// How the line that holds `at` ends, as the new ones are to.
fn line_end(source: &str, at: usize) -> &'static str {
    match source[at..].find('\n') {
        Some(newline) if source[at..at + newline].ends_with('\r') => "\r\n",
        Some(_) | None => "\n",
    }
}

fn indentation(source: &str, line: usize) -> &str {
    let rest = &source[line..];
    &rest[..rest.len() - rest.trim_start_matches([' ', '\t']).len()]
}

/// The next character that is not a blank.
fn next(source: &str, at: usize) -> Option<char> {
    source[at..].trim_start_matches([' ', '\t']).chars().next()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SHIPPED: &str = include_str!("../../rules.toml");

    fn stop(text: &str, code: &str) -> String {
        set_mode(text, Target::Rule(code), Mode::Off).unwrap_or_else(|error| panic!("{code}: {error}\n{text}"))
    }

    fn resume(text: &str, code: &str) -> String {
        set_mode(text, Target::Rule(code), Mode::Live).unwrap_or_else(|error| panic!("{code}: {error}\n{text}"))
    }

    /// What a file means, whether a default is written or not.
    fn meaning(text: &str) -> String {
        let resolved = file::resolved(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{text}"));
        resolved.lines().filter(|line| !line.starts_with("mode = \"live\"")).collect::<Vec<_>>().join("\n")
    }

    fn modes(text: &str, code: &str) -> Vec<Mode> {
        let (rules, _) = file::load(text).expect("loads");
        rules.campaigns.iter().flat_map(|campaign| &campaign.rules).filter(|rule| *rule.code == *code).map(|rule| rule.common.mode).collect()
    }

    /// Stops and resumes every rule of a file, one after the other, and all of them at once.
    fn survives(text: &str) {
        let (rules, _) = file::load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        let entries = rules.campaigns.iter().flat_map(|campaign| &campaign.rules).filter(|rule| !rule.kind.sells() && rule.common.mode == Mode::Live);
        let mut codes: Vec<String> = entries.map(|rule| rule.code.to_string()).collect();
        codes.sort();
        codes.dedup();
        let comments = |text: &str| text.lines().filter_map(|line| line.find('#').map(|at| line[at..].to_owned())).collect::<Vec<_>>();
        let mut all = text.to_owned();
        for code in &codes {
            let stopped = stop(text, code);
            assert!(modes(&stopped, code).iter().all(|mode| *mode != Mode::Live), "{code}");
            assert_eq!(set_mode(&stopped, Target::Rule(code), Mode::Off), Err(EditError::Already), "{code}");
            let resumed = resume(&stopped, code);
            assert_eq!(meaning(&resumed), meaning(text), "{code}\n{resumed}");
            assert_eq!(comments(&resumed), comments(text), "{code}");
            assert_eq!(meaning(&resume(&stop(&resumed, code), code)), meaning(text), "{code}");
            let (old, new) = (text.lines().count(), stopped.lines().count());
            assert!(new <= old + 2 * rules.campaigns.len(), "{code}: {old} lines became {new}");
            all = stop(&all, code);
        }
        for code in codes.iter().rev() {
            all = resume(&all, code);
        }
        assert_eq!(meaning(&all), meaning(text));
        for campaign in &rules.campaigns {
            let target = Target::Campaign(&campaign.id);
            let stopped = set_mode(text, target, Mode::Off).unwrap_or_else(|error| panic!("{}: {error}", campaign.id));
            let resumed = set_mode(&stopped, target, Mode::Live).unwrap_or_else(|error| panic!("{}: {error}\n{stopped}", campaign.id));
            assert_eq!(meaning(&resumed), meaning(text), "{}", campaign.id);
        }
    }

    #[test]
    fn every_rule_of_every_file_stops_and_goes_on_as_it_was() {
        survives(SHIPPED);
        survives(&SHIPPED.replace('\n', "\r\n"));
        survives(&format!("\u{feff}{SHIPPED}"));
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/presets")).expect("presets") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|ending| ending == "toml") {
                survives(&std::fs::read_to_string(path).expect("a preset"));
            }
        }
    }

    #[test]
    fn only_the_line_that_must_change_does() {
        let changed = |text: &str| stop(text, "check_in.daily");
        assert_eq!(
            changed("# 甲\n[check_in.daily] # 乙\n# 丙\nkeywords = [\"签到\"]\npoints = 2\n"),
            "# 甲\n[check_in.daily] # 乙\nmode = \"off\"\n# 丙\nkeywords = [\"签到\"]\npoints = 2\n"
        );
        assert_eq!(
            changed("  check_in . daily.keywords = [\"签到\"]\r\n  check_in.daily.points = 2"),
            "  check_in . daily.mode = \"off\"\r\n  check_in . daily.keywords = [\"签到\"]\r\n  check_in.daily.points = 2"
        );
        assert_eq!(
            changed("check_in.daily = {keywords = [\"签到\"], points = 2} # 尾"),
            "check_in.daily = { mode = \"off\",keywords = [\"签到\"], points = 2} # 尾"
        );
        assert_eq!(
            changed("check_in = { daily.keywords = [\"签到\"], daily.points = 2 }"),
            "check_in = { daily.mode = \"off\", daily.keywords = [\"签到\"], daily.points = 2 }"
        );
        assert_eq!(
            changed("[check_in]\ndaily.keywords = [\"签到\"]\ndaily.points = 2\n"),
            "[check_in]\ndaily.mode = \"off\"\ndaily.keywords = [\"签到\"]\ndaily.points = 2\n"
        );
        assert_eq!(
            changed("[check_in.daily.streak]\n7 = 10\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n"),
            "[check_in.daily.streak]\n7 = 10\n[check_in.daily]\nmode = \"off\"\nkeywords = [\"签到\"]\npoints = 2\n"
        );
        let written = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nmode = 'live'   # 正式\n";
        assert_eq!(changed(written), written.replace("'live'", "\"off\""));
        assert_eq!(stop("speaking.\"晚间\" = { points = 1, max_points = { day = 3 } }", "speaking.晚间").matches("off").count(), 1);
    }

    #[test]
    fn a_rule_of_several_campaigns_goes_on_where_it_paid_and_nowhere_else() {
        let text = "check_in.daily = { keywords = [\"签到\"], points = 2 }\ncampaign.main.groups = [\"*\"]\n\
                    [campaign.vip]\ngroups = [\"VIP\"]\ncheck_in.daily.mode = \"off\" # 不在这里\n\
                    [campaign.new]\ngroups = [\"新群\"]\n[campaign.new.check_in.daily]\nmode = \"shadow\"\n\
                    [campaign.old]\ngroups = [\"老群\"]\n[campaign.old.check_in.daily]\n  mode = \"live\"\n";
        assert_eq!(modes(text, "check_in.daily"), [Mode::Live, Mode::Off, Mode::Shadow, Mode::Live]);
        let stopped = stop(text, "check_in.daily");
        assert_eq!(modes(&stopped, "check_in.daily"), [Mode::Off, Mode::Off, Mode::Shadow, Mode::Off]);
        assert!(stopped.contains(&format!("\n  {MARK}check_in.daily\n  mode = \"off\"")), "{stopped}");
        let resumed = resume(&stopped, "check_in.daily");
        assert_eq!(modes(&resumed, "check_in.daily"), [Mode::Live, Mode::Off, Mode::Shadow, Mode::Live]);
        assert!(!resumed.contains(MARK) && resumed.contains("# 不在这里"), "{resumed}");
        let by_hand = stopped.lines().filter(|line| !line.contains(MARK)).collect::<Vec<_>>().join("\n");
        assert_eq!(set_mode(&by_hand, Target::Rule("check_in.daily"), Mode::Live), Err(EditError::Unclear));
    }

    #[test]
    fn what_is_not_there_or_so_already_stays() {
        let text = "check_in.daily = { keywords = [\"签到\"], points = 2 }\n";
        assert_eq!(set_mode(text, Target::Rule("check_in.dayly"), Mode::Off), Err(EditError::Missing));
        assert_eq!(set_mode(text, Target::Rule("daily"), Mode::Off), Err(EditError::Missing));
        assert_eq!(set_mode(text, Target::Rule("check_in.daily"), Mode::Live), Err(EditError::Already));
        assert_eq!(set_mode(text, Target::Campaign("vip"), Mode::Off), Err(EditError::Missing));
        assert_eq!(set_mode(text, Target::Campaign("main"), Mode::Live), Err(EditError::Already));
    }
}
