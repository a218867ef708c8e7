//! A whole rules.toml: parse, inherit, compile; the only way to make a [`Rules`].
//!
//! Rule and bucket tables at the top belong to every campaign; a campaign's own table of the same name writes only the keys that differ.
//! All that is wrong is told at once: what is not TOML ([`super::syntax`]), what does not fit the schema ([`super::fit`]), and here what does
//! not make sense.

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::day::Calendar;
use crate::model::ids::RulesHash;
use crate::rules::assistant::Assistant;
use crate::rules::campaign::{Balance, Bucket, Campaign, Mode, RuleEntry, Rules, Staff};
use crate::rules::lint::tables;
use crate::rules::mistake::{Lines, Mistake, Mistakes, Severity};
use crate::rules::resolved::{self, Writer};
use crate::rules::schema::{SCHEMA, SHARED};
use crate::rules::table::{Misfits, RuleTable, in_order, integer};
use crate::rules::template::{Templates, own_texts};
use crate::rules::when::When;
use crate::rules::words::{Listen, Matcher};
use crate::rules::{
    KINDS, Kind, affinity, assistant_table, budget, festival, fit, good, grant, leavers, level, lint, prudence, schedule, shared_keys, syntax, task, testing,
    title, validity,
};

/// Size of a file: a hundred times what the largest programme needs, small enough to read on every change.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Rules over all campaigns.
const RULES_MAX: usize = 2_000;
/// Campaigns of a file.
const CAMPAIGNS_MAX: usize = 200;

/// Tables beside rules that a campaign inherits.
const SHARED_TABLES: [&str; 3] = ["bucket", "festival", "good"];

/// Where a table of rules begins and what is in it.
type Named<'a> = (&'a str, Range<usize>, &'a DeTable<'a>);

/// Reads and checks a whole file. `Ok` has the warnings beside the rules, `Err` all errors and warnings in the order of the file.
pub fn load(text: &str) -> Result<(Rules, Vec<Mistake>), Vec<Mistake>> {
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut mistakes = Mistakes::default();
    if source.len() > FILE_BYTES_MAX {
        mistakes.error(0..0, "too-large", format!("文件有 {} 字节,最多 {FILE_BYTES_MAX} 字节(1 MiB)", source.len()));
        return Err(mistakes.locate(source));
    }
    let (document, errors) = DeTable::parse_recoverable(source);
    let hopeless = syntax::note(source, &errors, &mut mistakes);
    let syntax_count = mistakes.count();
    let misfits = fit::check(&SCHEMA, source, document.get_ref(), &mut mistakes);
    let fit_count = mistakes.count();
    let file = File { source, lines: Lines::of(source), root: document.get_ref(), misfits };
    let rules = file.compile(text, &mut mistakes);
    mistakes.forget_since(fit_count, |span, _| file.misfits.contains_key(&span.start));
    // Of a table that is half read nothing is sure but what is wrong with it.
    mistakes.forget_since(fit_count, |span, code| {
        let lines = lint::table_lines(source, file.lines.line(span.start));
        lint::codes::find(code).is_some_and(|code| code.severity == Severity::Warning)
            && file.misfits.keys().any(|place| lines.contains(&file.lines.line(*place)))
    });
    mistakes.forget_since(syntax_count, |span, code| !hopeless.is_empty() && (code == "missing-key" || hopeless.contains(&file.lines.line(span.start))));
    lint::allow::apply(source, &file.lines, file.root, &mut mistakes);
    match mistakes.has_errors() {
        true => Err(mistakes.locate(source)),
        false => Ok((rules, mistakes.locate(source))),
    }
}

/// A whole file with everything inherited written out: a rules.toml that means the same, without its tests.
///
/// # Errors
/// What is wrong with the file.
pub fn resolved(text: &str) -> Result<String, Vec<Mistake>> {
    load(text)?;
    Ok(written_out(text))
}

/// [`resolved`](fn@resolved) of a file that was loaded before.
pub fn written_out(text: &str) -> String {
    let source = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, _) = DeTable::parse_recoverable(source);
    let file = File { source, lines: Lines::of(source), root: document.get_ref(), misfits: Misfits::new() };
    file.resolved()
}

struct File<'a> {
    source: &'a str,
    lines: Lines,
    root: &'a DeTable<'a>,
    misfits: Misfits,
}

impl<'a> File<'a> {
    fn compile(&self, text: &str, mistakes: &mut Mistakes) -> Rules {
        let assistant = assistant_table::read(&self.only_table(self.root, "assistant"), mistakes);
        let mut campaigns: Vec<Campaign> = Vec::new();
        let mut heads: Vec<Vec<Range<usize>>> = Vec::new();
        for written in self.campaigns() {
            if campaigns.len() == CAMPAIGNS_MAX {
                mistakes.error(written.1, "too-many", format!("活动太多了;最多 {CAMPAIGNS_MAX} 个"));
                break;
            }
            let (campaign, rule_heads) = self.campaign(&written, heads.iter().map(Vec::len).sum(), assistant.quiet.as_ref(), mistakes);
            campaigns.push(campaign);
            heads.push(rule_heads);
        }
        self.check_groups(mistakes);
        self.check_only_groups(&campaigns, mistakes);
        lint::check(&campaigns, &assistant, &heads, mistakes);
        tables::check(&campaigns, &self.places(), self.root, mistakes);
        for ((campaign, heads), (_, _, own)) in campaigns.iter().zip(&heads).zip(self.campaigns()) {
            let festivals: Vec<Range<usize>> = self.merged("festival", own).iter().map(|(_, table)| table.span("")).collect();
            prudence::check(campaign, heads, &festivals, mistakes);
        }
        let live = |rule: &RuleEntry| rule.common.mode != Mode::Off;
        let ears = |(at, campaign): (usize, &Campaign)| -> Vec<(usize, usize)> {
            let rules = campaign.rules.iter().enumerate().filter(|(_, rule)| live(rule) && rule.kind.has_ears());
            rules.map(|(place, _)| (at, place)).collect()
        };
        Rules {
            ears: campaigns.iter().enumerate().flat_map(ears).collect(),
            compares: campaigns.iter().flat_map(|campaign| &campaign.rules).any(|rule| live(rule) && rule.kind.compares()),
            hash: RulesHash::of(text),
            text: Arc::from(text),
            matcher: matcher(&campaigns, mistakes),
            templates: templates(&campaigns, &assistant, mistakes),
            affinity: affinity::read(self.root.contains_key("affinity").then(|| self.only_table(self.root, "affinity")), mistakes),
            assistant,
            campaigns,
            tests: self.tests(mistakes),
            grant: grant::read(&self.only_table(self.root, "grant")),
        }
    }

    fn resolved(&self) -> String {
        let is_rule = |name: &str| KINDS.iter().any(|kind| kind.name == name) || SHARED_TABLES.contains(&name);
        let mut writer = Writer::new(self.source);
        for (name, value) in in_order(self.root) {
            let is_elsewhere = is_rule(name.get_ref()) || matches!(name.get_ref().as_ref(), "campaign" | "test");
            if let (false, Some(table)) = (is_elsewhere, value.get_ref().as_table()) {
                writer.table(&[name.get_ref()], &RuleTable::new(value.span(), &[table], &self.misfits), &|_| false, &[]);
            }
        }
        for (id, span, own) in self.campaigns() {
            let table = RuleTable::new(span, &[own], &self.misfits);
            writer.table(&["campaign", id], &table, &is_rule, &campaign_defaults());
            for shared in SHARED_TABLES {
                for (name, table) in self.merged(shared, own) {
                    writer.table(&["campaign", id, shared, name], &table, &|_| false, &[]);
                }
            }
            let of_kind = |kind: &'static Kind| self.merged(kind.name, own).into_iter().map(move |(name, table)| (kind, name, table));
            let mut rules: Vec<_> = KINDS.iter().flat_map(of_kind).collect();
            rules.sort_by_key(|(_, _, table)| table.begins());
            for (kind, name, table) in rules {
                writer.table(&["campaign", id, kind.name, name], &table, &|_| false, &resolved::defaults(kind, &table));
            }
        }
        writer.finish()
    }

    /// The campaigns as written; `main` alone when none is.
    fn campaigns(&self) -> Vec<Named<'a>> {
        let mut written = named_tables(self.root, "campaign");
        written.truncate(CAMPAIGNS_MAX + 1);
        if written.is_empty() { vec![("main", 0..0, empty())] } else { written }
    }

    /// A campaign and the places of its rules, which are numbered from `first`.
    fn campaign(&self, (id, span, own): &Named<'a>, first: usize, quiet: Option<&When>, mistakes: &mut Mistakes) -> (Campaign, Vec<Range<usize>>) {
        let table = RuleTable::new(span.clone(), &[own], &self.misfits);
        let buckets = self.merged("bucket", own);
        let bucket_names: Vec<&str> = buckets.iter().map(|(name, ..)| *name).collect();
        let (mut rules, heads) = self.rules(own, first, &bucket_names, mistakes);
        let mode = shared_keys::mode(&table);
        for rule in &mut rules {
            // On trial nothing is spent, so nothing is sold.
            let whole = if rule.kind.sells() && mode != Mode::Live { Mode::Off } else { mode };
            rule.common.mode = rule.common.mode.max(whole);
        }
        let festivals = self.merged("festival", own);
        let festivals = festivals.iter().filter_map(|(name, table)| festival::read(name, table, &rules, mistakes)).collect();
        let bucket = |(name, table): &(&str, RuleTable<'_>)| Bucket {
            code: Arc::from(format!("bucket.{name}")),
            limits: shared_keys::limits(table),
            per_group: table.text("per") == Some("group"),
        };
        let leavers = leavers::read(&table, mistakes);
        let codes: Vec<Arc<str>> = rules.iter().map(|rule| rule.code.clone()).collect();
        let posts = self.merged("schedule", own);
        let schedules: Vec<_> = posts.iter().filter_map(|(name, table)| schedule::read(table, name, id, &codes, mistakes)).collect();
        let campaign = Campaign {
            id: Arc::from(*id),
            title: table.text("title").map(Arc::from),
            groups: groups(&table).into_iter().map(|(_, name)| Arc::from(name)).collect(),
            points_name: Arc::from(table.text("points_name").unwrap_or("积分")),
            calendar: calendar(&table, mistakes),
            balance: balance(&table),
            staff: staff(&table),
            mode,
            limits: shared_keys::limits(&table),
            buckets: buckets.iter().map(bucket).collect(),
            follows_presence: rules.iter().any(|rule| rule.kind.every_days().is_some())
                || schedules.iter().any(|post| post.remind.is_some())
                || leavers != leavers::Leavers::Keep,
            leavers,
            schedules,
            max_posts: schedule::max_posts(&table),
            has_shares: table.get("budget").is_some() || rules.iter().any(|rule| rule.common.budget.is_some() || rule.kind.has_shares()),
            budget: table.get("budget").and_then(integer),
            point_value: point_value(&table, mistakes),
            titles: title::read(&self.merged("title", empty()), &rules, mistakes),
            rules,
            validity: validity::read(&table, mistakes),
            levels: level::read(&table, &self.misfits, mistakes),
            festivals,
            goods: self.merged("good", own).iter().filter_map(|(name, table)| good::read(name, table, mistakes)).collect(),
        };
        level::check(&campaign, table.span("levels"), mistakes);
        for (name, table) in &posts {
            let own = campaign.schedules.iter().find(|post| post.code.strip_prefix("schedule.") == Some(name));
            own.into_iter().for_each(|post| schedule::lint(&campaign, post, quiet, table.span(""), mistakes));
        }
        (campaign, heads)
    }

    /// The rules of a campaign in the order of the file, and their places.
    fn rules(&self, own: &'a DeTable<'a>, first: usize, buckets: &[&str], mistakes: &mut Mistakes) -> (Vec<RuleEntry>, Vec<Range<usize>>) {
        let of_kind = |kind: &'static Kind| self.merged(kind.name, own).into_iter().map(move |(name, table)| (kind, name, table));
        let mut written: Vec<_> = KINDS.iter().flat_map(of_kind).collect();
        written.sort_by_key(|(_, _, table)| table.begins());
        if let Some((_, _, table)) = written.get(RULES_MAX.saturating_sub(first)) {
            mistakes.error(table.span(""), "too-many", format!("规则太多了;所有活动合计最多 {RULES_MAX} 条"));
        }
        let (mut rules, mut heads, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for (kind, name, table) in written.into_iter().take(RULES_MAX.saturating_sub(first)) {
            let table = table.sharing(&SHARED);
            let common = shared_keys::read(&table, kind, buckets, mistakes);
            if let Some(compiled) = (kind.compile)(&table, mistakes) {
                let code: Arc<str> = Arc::from(format!("{}.{name}", kind.name));
                let further = compiled.further(&common);
                rules.push(RuleEntry { index: first + rules.len(), code: code.clone(), common, kind: compiled });
                heads.push(table.span(""));
                let spans: Vec<Range<usize>> = further.iter().map(|(part, ..)| table.span(part)).collect();
                tables.push(Some(table));
                for ((part, common, kind), span) in further.into_iter().zip(spans) {
                    rules.push(RuleEntry { index: first + rules.len(), code: format!("{code}.{part}").into(), common, kind });
                    heads.push(span);
                    tables.push(None);
                }
            }
        }
        task::check(&mut rules, &tables, mistakes);
        (rules, heads)
    }

    /// The tables of one kind in a campaign: those at the top with the campaign's own keys over them, and its own.
    fn merged(&self, kind: &str, own: &'a DeTable<'a>) -> Vec<(&'a str, RuleTable<'a>)> {
        let (top, own) = (named_tables(self.root, kind), named_tables(own, kind));
        let added = own.iter().filter(|(name, ..)| !top.iter().any(|(known, ..)| known == name));
        let layers = |(name, span, base): &Named<'a>| match own.iter().find(|(known, ..)| known == name) {
            Some((_, span, over)) => (*name, RuleTable::new(span.clone(), &[base, over], &self.misfits)),
            _ => (*name, RuleTable::new(span.clone(), &[base], &self.misfits)),
        };
        top.iter().chain(added).map(layers).collect()
    }

    fn only_table(&self, parent: &'a DeTable<'a>, name: &str) -> RuleTable<'a> {
        match parent.get(name).map(|value| (value.span(), value.get_ref())) {
            Some((span, DeValue::Table(table))) => RuleTable::new(span, &[table], &self.misfits),
            _ => RuleTable::new(0..0, &[], &self.misfits),
        }
    }

    /// What is looked at table by table, and where it stands.
    fn places(&self) -> Vec<tables::Places<'a>> {
        let heads = |kind: &str, own| self.merged(kind, own).iter().map(|(name, table)| (*name, table.span(""))).collect();
        let place = |(_, span, own): Named<'a>| {
            let table = RuleTable::new(span, &[own], &self.misfits);
            tables::Places { title: table.span("title"), caps: table.span("max_points"), buckets: heads("bucket", own), goods: heads("good", own), own }
        };
        self.campaigns().into_iter().map(place).collect()
    }

    /// `*` stands in one campaign at most, and so does every group.
    fn check_groups(&self, mistakes: &mut Mistakes) {
        let mut taken: Vec<(&str, &str)> = Vec::new();
        for (campaign, span, own) in self.campaigns() {
            for (span, group) in groups(&RuleTable::new(span, &[own], &self.misfits)) {
                match taken.iter().find(|(known, _)| *known == group) {
                    Some((_, other)) if *other == campaign => mistakes.error(span, "group-twice", format!("「{group}」写了两次;请删掉一处")),
                    Some((_, other)) if group == "*" => {
                        let text = format!("活动 {other} 已经用 \"*\" 管其余所有群;活动 {campaign} 请写明 groups = [\"群名\"]");
                        mistakes.error(span, "group-twice", text);
                    }
                    Some((_, other)) => mistakes.error(span, "group-twice", format!("群「{group}」已经在活动 {other} 里;一个群只能属于一个活动")),
                    None => taken.push((group, campaign)),
                }
            }
        }
    }

    /// `only.groups` names groups that some campaign of the rule covers.
    fn check_only_groups(&self, campaigns: &[Campaign], mistakes: &mut Mistakes) {
        let covered = |campaigns: &[&Campaign]| -> Vec<Arc<str>> { campaigns.iter().flat_map(|campaign| campaign.groups.iter().cloned()).collect() };
        let everywhere = covered(&campaigns.iter().collect::<Vec<_>>());
        let top = KINDS.iter().flat_map(|kind| named_tables(self.root, kind.name)).map(|table| (everywhere.clone(), table));
        let own = self.campaigns().into_iter().zip(campaigns).flat_map(|((_, _, own), campaign)| {
            let groups = covered(&[campaign]);
            KINDS.iter().flat_map(move |kind| named_tables(own, kind.name)).map(move |table| (groups.clone(), table))
        });
        for (groups, (_, span, table)) in top.chain(own) {
            for (span, name) in shared_keys::only_groups(&RuleTable::new(span, &[table], &self.misfits)).unwrap_or_default() {
                if !groups.iter().any(|group| **group == *name || **group == *"*") {
                    let near = fit::did_you_mean(name, &groups);
                    mistakes.error(span, "unknown-group", format!("没有哪个活动的 groups 里有「{name}」,这条规则在那里永远不会得分{near}"));
                }
            }
        }
    }

    fn tests(&self, mistakes: &mut Mistakes) -> Vec<testing::Test> {
        let Some(DeValue::Array(tables)) = self.root.get("test").map(Spanned::get_ref) else { return Vec::new() };
        if let Some(beyond) = tables.get(testing::TESTS_MAX) {
            mistakes.error(beyond.span(), "too-many", format!("一个文件最多 {} 个测试,这里写了 {} 个", testing::TESTS_MAX, tables.len()));
        }
        let mut left = testing::LINES_MAX;
        let tables = tables.iter().take(testing::TESTS_MAX).filter_map(|item| item.get_ref().as_table().map(|table| (item.span(), table)));
        let read = |(span, table)| {
            let table = RuleTable::new(span, &[table], &self.misfits);
            let test = testing::read(self.source, &self.lines, &table, &mut left, mistakes);
            lint::idle_test(&test, &table, mistakes);
            test
        };
        tables.map(read).collect()
    }
}

fn matcher(campaigns: &[Campaign], mistakes: &mut Mistakes) -> Matcher {
    let rules = campaigns.iter().flat_map(|campaign| &campaign.rules).filter(|rule| rule.common.mode != Mode::Off);
    let words: Vec<(usize, &Listen)> = rules.flat_map(|rule| rule.kind.listens_for().iter().map(|listen| (rule.index, listen))).collect();
    Matcher::new(&words).unwrap_or_else(|reasons| refused(reasons, "bad-keyword", mistakes))
}

fn templates(campaigns: &[Campaign], assistant: &Assistant, mistakes: &mut Mistakes) -> Templates {
    Templates::compile(&own_texts(campaigns, assistant)).unwrap_or_else(|reasons| refused(reasons, "bad-template", mistakes))
}

/// Each word and each text was checked, at its place, where it was read; what is refused only now has no place of its own.
fn refused<T: Default>(reasons: Vec<(usize, String)>, code: &'static str, mistakes: &mut Mistakes) -> T {
    if !mistakes.has_errors() {
        reasons.into_iter().for_each(|(_, reason)| mistakes.error(0..0, code, reason));
    }
    T::default()
}

/// The tables under `[kind.…]`, in the order of the file, each with the place of its name.
fn named_tables<'a>(parent: &'a DeTable<'a>, kind: &str) -> Vec<Named<'a>> {
    let Some(tables) = parent.get(kind).and_then(|value| value.get_ref().as_table()) else { return Vec::new() };
    in_order(tables).into_iter().filter_map(|(name, value)| Some((name.get_ref().as_ref(), name.span(), value.get_ref().as_table()?))).collect()
}

/// What holds in a campaign where nothing is written.
fn campaign_defaults() -> Vec<(&'static str, String)> {
    let pairs = [
        ("groups", "[\"*\"]"),
        ("points_name", "\"积分\""),
        ("time_zone", "\"Asia/Shanghai\""),
        ("day_starts_at", "\"00:00\""),
        ("balance", "\"shared\""),
        ("staff", "\"auto\""),
        ("mode", "\"live\""),
    ];
    pairs.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
}

fn empty() -> &'static DeTable<'static> {
    static EMPTY: std::sync::LazyLock<DeTable<'static>> = std::sync::LazyLock::new(DeTable::new);
    &EMPTY
}

/// The groups of a campaign; without the key all that no other campaign names.
fn groups<'a>(table: &RuleTable<'a>) -> Vec<(Range<usize>, &'a str)> {
    table.get("groups").map(shared_keys::trimmed).unwrap_or_else(|| vec![(table.span("groups"), "*")])
}

fn calendar(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Calendar {
    let starts = table.text("day_starts_at").map_or(Ok(0), crate::rules::when::clock_minutes);
    let starts = starts.and_then(|minute| if minute < 1440 { Ok(minute) } else { Err("day_starts_at 要在 00:00 到 23:59 之间".to_owned()) });
    let starts = starts.unwrap_or_else(|reason| {
        mistakes.error(table.span("day_starts_at"), "bad-time", reason);
        0
    });
    let name = table.text("time_zone").unwrap_or("Asia/Shanghai");
    let zone = TimeZone::get(name).unwrap_or_else(|_| {
        let known: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let near = fit::did_you_mean(name, &known);
        mistakes.error(table.span("time_zone"), "unknown-time-zone", format!("没有「{name}」这个时区,要写成 洲/城市,例如 Asia/Shanghai{near}"));
        TimeZone::UTC
    });
    Calendar::new(zone, starts)
}

fn point_value(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Option<i64> {
    let read = budget::point_value(table.text("point_value")?);
    read.map_err(|reason| mistakes.error(table.span("point_value"), "bad-value", reason)).ok()
}

fn balance(table: &RuleTable<'_>) -> Balance {
    if table.text("balance") == Some("per_group") { Balance::PerGroup } else { Balance::Shared }
}

fn staff(table: &RuleTable<'_>) -> Staff {
    match table.text("staff") {
        Some("pay") => Staff::Pay,
        Some("skip") => Staff::Skip,
        _ => Staff::Auto,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::rules::reference::blessed;
    use crate::rules::testing::Said;
    use crate::rules::world::World;

    const SHIPPED: &str = include_str!("../../rules.toml");

    fn loaded(text: &str) -> Rules {
        let (rules, warnings) = load(text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        assert_eq!(warnings, []);
        rules
    }

    fn told(text: &str) -> Vec<(&'static str, usize, usize)> {
        let mistakes = load(text).err().unwrap_or_default();
        mistakes.into_iter().map(|mistake| (mistake.code, mistake.line, mistake.column)).collect()
    }

    #[test]
    fn the_shipped_file_has_no_mistake_and_no_warning() {
        let rules = loaded(SHIPPED);
        assert_eq!(rules.campaigns.iter().map(|campaign| &*campaign.id).collect::<Vec<_>>(), ["main"]);
        assert_eq!(rules.campaigns[0].rules.iter().map(|rule| &*rule.code).collect::<Vec<_>>(), ["check_in.daily", "speaking.evening", "event.verified"]);
        assert_eq!(rules.tests.len(), 2);
    }

    #[test]
    fn the_tests_of_the_shipped_file_come_out_as_they_say() {
        for test in loaded(SHIPPED).tests {
            let mut world = World::new(SHIPPED);
            for line in test.lines {
                let Said::Message { text, .. } = &line.said else { panic!("a message") };
                let earned = world.says(&line.at.strftime("%m-%d %H:%M:%S").to_string(), text);
                assert_eq!(Some(earned), line.expect_points, "{}: line {}", test.name, line.line);
            }
        }
    }

    #[test]
    fn the_shipped_file_names_every_key() {
        let tables = SCHEMA["definitions"].as_object().expect("definitions");
        for key in tables.iter().filter(|(name, _)| *name != "RepliesTable").flat_map(|(_, table)| crate::rules::schema::properties(&SCHEMA, table)) {
            assert!(SHIPPED.contains(&key.0), "{}", key.0);
        }
    }

    #[test]
    fn three_lines_are_a_programme() {
        let rules = loaded("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n");
        let campaign = &rules.campaigns[0];
        assert_eq!((&*campaign.id, &*campaign.groups[0], &*campaign.points_name), ("main", "*", "积分"));
        assert_eq!((campaign.rules[0].title(), campaign.rules[0].common.mode), ("签到", Mode::Live));
        assert_eq!(campaign.rules[0].common.limits, (KINDS[0].default_limits)());
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
        let rules = loaded("\u{feff}[check_in.daily]\r\nkeywords = [\"签到\"]\r\npoints = 2\r\n");
        assert_eq!(rules.campaigns[0].rules.len(), 1);
        assert_eq!(told("\u{feff}pionts = 2"), [("unknown-key", 1, 1)]);
    }

    #[test]
    fn a_campaign_writes_only_the_keys_that_differ() {
        let rules = loaded(concat!(
            "check_in.daily = { keywords = [\"签到\"], points = 2, title = \"每日\" }\n",
            "campaign.main = { groups = [\"*\"] }\n[campaign.vip]\ngroups = [\"VIP\"]\n[campaign.vip.check_in.daily]\npoints = 4\n",
            "[campaign.vip.check_in.late]\nkeywords = [\"晚安\"]\npoints = 1\n"
        ));
        let summary: Vec<Vec<(&str, i64, usize)>> =
            rules.campaigns.iter().map(|campaign| campaign.rules.iter().map(|rule| (rule.title(), rule.kind.most(), rule.index)).collect()).collect();
        assert_eq!(summary, [vec![("每日", 2, 0)], vec![("每日", 4, 1), ("签到", 1, 2)]]);
    }

    #[test]
    fn a_mistake_inherited_twice_is_told_once() {
        let text = "check_in.daily = { keywords = [\"签到\"], points = 0 }\ncampaign.a.groups = [\"a\"]\ncampaign.b.groups = [\"b\"]\n";
        assert_eq!(told(text).len(), 1);
    }

    #[test]
    fn a_bad_value_is_told_once_and_in_its_place() {
        assert_eq!(told("[check_in.daily]\nkeywords = [\"签到\"]\npoints = \"two\"\n"), [("wrong-type", 3, 10)]);
        assert_eq!(told("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2.5\n"), [("wrong-type", 3, 10)]);
        assert_eq!(told("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 签到\n"), [("syntax", 3, 10)]);
    }

    #[test]
    fn tests_that_would_never_end_are_refused_with_their_place() {
        let chat = |days: &str| format!("[[test]]\nname = \"a\"\nchat = \"{days} 09:00 阿明: 签到\"\n");
        let is_error = |mistake: &&Mistake| mistake.severity == Severity::Error;
        let codes =
            |text: &str| load(text).err().map(|mistakes| mistakes.iter().filter(is_error).map(|mistake| (mistake.line, mistake.code)).collect::<Vec<_>>());
        assert_eq!(codes(&chat("1970-01-01..2070-01-01")), Some(vec![(3, "bad-chat-line")]), "a hundred years");
        let years: String = (0..60).map(|_| chat("2026-01-01..2026-12-31")).collect();
        assert!(codes(&years).is_some_and(|codes| codes[0] == (3 * 54 + 3, "too-many")), "{:?}", codes(&years));
        let many = chat("11-22").repeat(testing::TESTS_MAX + 1);
        assert_eq!(codes(&many), Some(vec![(3 * testing::TESTS_MAX + 1, "too-many")]));
    }

    #[test]
    fn too_much_is_refused_at_once() {
        assert_eq!(told(&"#".repeat(FILE_BYTES_MAX + 1)), [("too-large", 1, 1)]);
        let many: String = (0..=RULES_MAX).map(|number| format!("check_in.r{number} = {{ keywords = [\"口令{number}\"], points = 2 }}\n")).collect();
        assert_eq!(told(&many).first().map(|mistake| mistake.0), Some("too-many"));
    }

    #[test]
    fn many_rules_load_in_time_that_grows_with_their_number() {
        let rules = |count: usize| (0..count).map(|n| format!("check_in.r{n} = {{ keywords = [\"口令{n}\"], points = 2 }}\n")).collect::<String>();
        let fastest = |text: &str| {
            // The thread's own work: whatever else the machine does is no part of it.
            let worked = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let timed = |_| {
                let began = worked();
                assert!(load(text).is_ok());
                let took = worked() - began;
                std::time::Duration::new(took.tv_sec.unsigned_abs(), took.tv_nsec.unsigned_abs().try_into().expect("less than a second"))
            };
            (0..3).map(timed).min().unwrap_or_default()
        };
        let (few, many) = (fastest(&rules(RULES_MAX / 8)), fastest(&rules(RULES_MAX)));
        // Eight times as many: squared it would be 64 times as long.
        assert!(many < few * 32, "{few:?} for an eighth, {many:?} for all");
    }

    proptest::proptest! {
        #[test]
        fn no_slip_of_the_hand_breaks_the_reader(place in 0usize..SHIPPED.len(), cut in 0usize..40, put in "[\\[\\]{}\"'=,.#\n\\\\a0签 \\PC]{0,6}") {
            let from = SHIPPED.floor_char_boundary(place);
            let to = SHIPPED.floor_char_boundary((from + cut).min(SHIPPED.len()));
            let broken = format!("{}{put}{}", &SHIPPED[..from], &SHIPPED[to..]);
            for mistake in load(&broken).map_or_else(|mistakes| mistakes, |(_, warnings)| warnings) {
                proptest::prop_assert!(mistake.line <= broken.lines().count() + 1);
            }
        }
    }

    #[test]
    fn what_check_says_of_each_fixture() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cli/check");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let mistakes = load(&std::fs::read_to_string(&path).unwrap()).map_or_else(|mistakes| mistakes, |(_, warnings)| warnings);
            let told: String = mistakes.iter().map(|mistake| format!("{}\n", mistake.in_file(&format!("{name}.toml")))).collect();
            blessed(&format!("fixtures/cli/check/{name}.txt"), &told);
        }
    }
}
