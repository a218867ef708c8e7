//! The text of a digest: who did what, counted and cut to what fits into one message. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::day::{Calendar, Day, Millis};
use crate::model::decision::{Arg, Args, Question};
use crate::model::event::IdentityKind;
use crate::model::reply::{Occasion, Reply, Template};
use crate::outbox::announce::{Entry, Success};
use crate::outbox::digest;
use crate::outbox::manners::{campaign_of, slot};
use crate::rules::campaign::{Campaign, Rules};
use crate::rules::template::{RenderError, render};
use crate::rules::text::display_name;

/// Bytes of a digest: a robot's text may have 2 048 (<https://developer.work.weixin.qq.com/document/path/91770>).
const BYTES_MAX: usize = 2_000;
/// Names told of one item, the most that fit first.
const NAMES_MAX: [usize; 3] = [10, 3, 0];

/// A digest's name and the day it counts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// [`digest::name`]
    pub name: String,
    /// The campaign's day.
    pub day: Day,
}

/// Whether all are one member's: then they are told as if each had been told alone.
pub fn is_of_one_member(successes: &[Success]) -> bool {
    successes.iter().map(|success| &success.row.destination.to).collect::<HashSet<_>>().len() <= 1
}

/// The texts of a digest, and its name.
///
/// # Errors
/// The text is the operator's own and cannot be written.
pub fn digest(rules: &Rules, successes: &[Success], now: Millis) -> Result<(Vec<String>, Named), RenderError> {
    let campaign = successes.last().and_then(|last| campaign_of(rules, &last.row));
    let named = campaign.map_or(Span::default(), |campaign| span(&campaign.calendar, successes, now));
    let mut texts = Vec::new();
    for names in NAMES_MAX {
        let args = args(rules, campaign, successes, &named, names);
        let template = Template { occasion: Occasion::Digest, rule: None };
        texts = render(rules, &Reply { template, args, asked: false, once: None }, &Args::default())?;
        if texts.iter().all(|text| text.len() <= BYTES_MAX) {
            break;
        }
    }
    Ok((texts, Named { name: digest::name(&named.from, &named.until), day: named.day }))
}

/// What a digest tells of.
#[derive(Default)]
struct Span {
    from: String,
    until: String,
    day: Day,
}

/// From the first ten minutes to the end of the last, as far as they are over.
fn span(calendar: &Calendar, successes: &[Success], now: Millis) -> Span {
    let times = || successes.iter().map(|success| success.row.created_at);
    let (first, last) = (times().min().unwrap_or(now), times().max().unwrap_or(now));
    let clock = |at| calendar.local(at).strftime("%-H:%M").to_string();
    Span { from: clock(slot(calendar, first).0), until: clock(slot(calendar, last).1.min(now)), day: calendar.day(last) }
}

fn args(rules: &Rules, campaign: Option<&Campaign>, successes: &[Success], span: &Span, names: usize) -> Args {
    let items = items(successes);
    let points_name = campaign.map_or("积分", |campaign| &*campaign.points_name);
    let title = match &items[..] {
        [only] => only.title,
        _ => points_name,
    };
    let own_title = campaign.and_then(|campaign| campaign.title.as_deref().or(Some(&campaign.id)));
    let people: HashSet<_> = successes.iter().map(|success| &success.row.destination.to).collect();
    Args::default()
        .text("标题", title)
        .text("起", &*span.from)
        .text("止", &*span.until)
        .int("人数", people.len() as i64)
        .with("项目", Arg::List(items.iter().map(|item| item.args(names)).collect()))
        .text("助手", rules.assistant.names.first().map_or("", |name| name))
        .text("为什么", rules.assistant.word(Question::Why).unwrap_or_default())
        .text("积分名", points_name)
        .text("活动", own_title.unwrap_or_default())
}

/// What one rule paid to all of them.
struct Item<'a> {
    title: &'a str,
    places: HashMap<Member<'a>, usize>,
    /// Each with all they got of it, bonuses left out.
    people: Vec<(&'a Success, i64)>,
    streaks: Vec<Streak<'a>>,
}

/// Whom a reply's destination tells of.
type Member<'a> = &'a Option<(IdentityKind, Arc<str>)>;

struct Streak<'a> {
    rung: i64,
    bonus: i64,
    people: Vec<&'a Success>,
}

fn items(successes: &[Success]) -> Vec<Item<'_>> {
    let mut items: Vec<Item<'_>> = Vec::new();
    for (success, entry) in successes.iter().flat_map(|success| success.entries.iter().map(move |entry| (success, entry))) {
        let place = items.iter().position(|item| item.title == entry.title).unwrap_or_else(|| {
            items.push(Item { title: &entry.title, places: HashMap::new(), people: Vec::new(), streaks: Vec::new() });
            items.len() - 1
        });
        items[place].add(success, entry);
    }
    items.iter_mut().for_each(|item| item.streaks.sort_by_key(|streak| std::cmp::Reverse((streak.rung, streak.bonus))));
    items
}

impl<'a> Item<'a> {
    fn add(&mut self, success: &'a Success, entry: &Entry) {
        let base = entry.points - entry.bonus;
        let place = *self.places.entry(&success.row.destination.to).or_insert(self.people.len());
        match self.people.get_mut(place) {
            Some((_, points)) => *points += base,
            None => self.people.push((success, base)),
        }
        if entry.bonus == 0 {
            return;
        }
        match self.streaks.iter_mut().find(|streak| (streak.rung, streak.bonus) == (entry.rung, entry.bonus)) {
            Some(streak) => streak.people.push(success),
            None => self.streaks.push(Streak { rung: entry.rung, bonus: entry.bonus, people: vec![success] }),
        }
    }

    fn args(&self, names: usize) -> Args {
        let points = || self.people.iter().map(|(_, points)| *points);
        let people: Vec<&Success> = self.people.iter().map(|(success, _)| *success).collect();
        let streak = |streak: &Streak<'_>| {
            let args = Args::default().int("档位", streak.rung).int("奖励", streak.bonus);
            args.int("人数", streak.people.len() as i64).text("名单", listed(&streak.people, names))
        };
        Args::default()
            .text("标题", self.title)
            .int("人数", people.len() as i64)
            .int("得分", points().min().unwrap_or_default())
            .int("最多", points().max().unwrap_or_default())
            .text("名单", listed(&people, names))
            .with("连签", Arg::List(self.streaks.iter().map(streak).collect()))
    }
}

/// `小红、阿强`, cut to so many names: `小红、阿强 等 12 位`; without names `12 位`.
fn listed(people: &[&Success], names: usize) -> String {
    let named = people.iter().take(names).map(|success| display_name(&success.row.destination.name)).collect::<Vec<_>>().join("、");
    match people.len() {
        count if names == 0 => format!("{count} 位"),
        count if count > names => format!("{named} 等 {count} 位"),
        _ => named,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::fakes::{from_member, row, unasked};
    use crate::outbox::town::at;
    use crate::rules::file::load;
    use crate::store::ReplyRow;

    fn paid(title: &str, points: i64) -> Entry {
        Entry { title: title.into(), points, bonus: 0, rung: 0 }
    }

    fn with_bonus(points: i64, rung: i64, bonus: i64) -> Entry {
        Entry { bonus, rung, ..paid("签到", points) }
    }

    /// The n-th member, by this name, some minutes after eight.
    fn of(number: i64, name: &str, entries: Vec<Entry>) -> Success {
        let mut row = from_member(unasked(row(number)), &format!("member{number}"));
        row.destination.name = name.into();
        Success { row: ReplyRow { created_at: at("11-22 08:03"), ..row }, entries }
    }

    fn said(assistant: &str, successes: &[Success]) -> String {
        let (rules, _) = load(&format!("{assistant}\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n")).expect("good rules");
        let (texts, named) = digest(&rules, successes, at("11-22 08:10")).expect("it renders");
        assert_eq!(named.name, "播报 8:00–8:10");
        texts.join("\n")
    }

    #[test]
    fn a_morning_of_check_ins_is_one_sentence() {
        let mut all: Vec<Success> = (1..=34).map(|number| of(number, "群友", vec![paid("签到", 2)])).collect();
        all.extend([of(35, "小红", vec![with_bonus(12, 7, 10)]), of(36, "阿强", vec![with_bonus(12, 7, 10)])]);
        assert_eq!(said("", &all), "【签到播报 8:00–8:10】36 位签到成功,每人 +2;连签 7 天 +10:小红、阿强。没记上?@积分助手 发「为什么」。");
    }

    #[test]
    fn a_few_are_told_by_name_and_several_rules_one_after_another() {
        let all = [of(1, "阿明", vec![paid("签到", 2)]), of(2, "小红", vec![paid("签到", 2), paid("早起", 3)]), of(3, "阿强", vec![with_bonus(33, 30, 30)])];
        assert_eq!(
            said("", &all),
            "【积分播报 8:00–8:10】阿明、小红、阿强 签到成功,每人 +2 到 +3;连签 30 天 +30:阿强。小红 完成「早起」,+3。没记上?@积分助手 发「为什么」。"
        );
    }

    #[test]
    fn who_was_paid_twice_is_counted_once() {
        let again = Success { row: row(3), ..of(3, "阿明", vec![paid("打卡", 2)]) };
        let mut first = of(1, "阿明", vec![paid("打卡", 2)]);
        first.row.destination.to = again.row.destination.to.clone();
        let all = [first, again, of(2, "小红", vec![paid("打卡", 2)])];
        let (rules, _) = load("[check_in.daily]\nkeywords = [\"打卡\"]\npoints = 2\n").expect("good rules");
        let (texts, _) = digest(&rules, &all, at("11-22 08:10")).expect("it renders");
        assert!(texts[0].contains("阿明、小红 打卡成功,每人 +2 到 +4。"), "{texts:?}");
    }

    #[test]
    fn long_lists_of_names_are_cut_so_that_the_message_fits() {
        let long = "很长很长很长很长很长很长很长很长的名字";
        let short: Vec<Success> = (1..=12).map(|number| of(number, "小红", vec![with_bonus(12, 7, 10)])).collect();
        assert!(said("", &short).contains(":小红、小红、小红、小红、小红、小红、小红、小红、小红、小红 等 12 位。"), "{}", said("", &short));
        let many: Vec<Success> = (1..=500).map(|number| of(number, long, vec![with_bonus(12, 2 + number % 20, 10)])).collect();
        let told = said("", &many);
        assert!(told.len() <= BYTES_MAX && told.contains("连签 7 天 +10:25 位") && told.ends_with("发「为什么」。"), "{} bytes: {told}", told.len());
    }

    #[test]
    fn operators_write_their_own() {
        let own = "[assistant]\nnames = [\"小助\"]\nreplies.digest = \"{{from}}-{{until}} {{people}} 人:{% for it in items %}{{it.title}} {{it.people}}{% endfor %} @{{assistant}}\"";
        assert_eq!(said(own, &[of(1, "阿明", vec![paid("签到", 2)]), of(2, "小红", vec![paid("签到", 2)])]), "8:00-8:10 2 人:签到 2 @小助");
    }

    #[test]
    fn a_late_digest_tells_of_all_its_minutes() {
        let (rules, _) = load("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n").expect("good rules");
        let mut late = of(2, "小红", vec![paid("签到", 2)]);
        late.row.created_at = at("11-22 09:01");
        let all = [of(1, "阿明", vec![paid("签到", 2)]), late];
        let name = |now| digest(&rules, &all, at(now)).expect("it renders").1.name;
        assert_eq!(name("11-22 09:30"), "播报 8:00–9:10");
        assert_eq!(name("11-22 09:04"), "播报 8:00–9:04", "no minute is told before it is over");
    }
}
