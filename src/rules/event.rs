//! `[event.<name>]`: something that happened outside of the chat — a shop reports it, somebody joins — is worth points, tags or a level.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::day::PeriodKind;
use crate::model::decision::{Cap, Deed, Mark, Refusal};
use crate::rules::cap::{Limits, Periods};
use crate::rules::check_in::{RULE_POINTS_MAX, check_points};
use crate::rules::mistake::Mistakes;
use crate::rules::shared_keys::{LimitTable, limits_of};
use crate::rules::standing::{level_key, tag_key};
use crate::rules::table::RuleTable;
use crate::rules::words::Listen;
use crate::rules::{Hearing, Kind, Offer, Own, Rule};

/// `[event.<name>]`
pub const KIND: Kind = Kind {
    name: "event",
    title: "事件",
    default_limits: Limits::default,
    defaults: |_| Vec::new(),
    compile: |table, mistakes| Some(Box::new(compile(table, mistakes))),
    schema: |generator| generator.subschema_for::<EventTable>(),
};

/// The event's name that means joining a group, which WeCom tells of itself.
const JOINED: &str = "joined";

/// Behind a rule's code: what is counted of one subject.
const SUBJECT: char = '#';

/// 事件:外部系统报告的事(实名认证、完成探店、商城消费…)、进群、加企微,值多少分,给什么标签。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventTable {
    /// 每次得几分。只给标签或等级时可以不写。
    #[schemars(range(min = 1, max = 1_000_000_000), extend("examples" = [50]))]
    #[schemars(extend("x-en" = "Points each time. May be left out where it only sets tags or a level."))]
    points: i64,
    /// 听哪个事件。默认就是表名:[event.verified] 听 "verified"。"joined" 是进群;加企微由通道报为 "friend_added"。
    #[schemars(length(min = 1, max = 100), extend("examples" = ["joined"]))]
    #[schemars(extend("x-en" = "The event it hears; by default its own name. `joined` is joining a group."))]
    on: Option<String>,
    /// 同一个对象(事件里的 subject:哪家店、哪门课)最多得几次。默认 `{ ever = 1 }`;没有 subject、也没写 max_times 时,每个成员一共 1 次;不写 points 的不限次数
    #[schemars(extend("examples" = [{"month": 1}]))]
    #[schemars(extend("x-en" = "How often one subject (a shop, a course) pays. Default `{ ever = 1 }`; without a subject and without `max_times`, once a member; without points, each time."))]
    per_subject: Option<LimitTable>,
    /// 得分的同时给成员打上或去掉标签、定为某个等级;别的规则用 only 认它们。
    #[schemars(extend("examples" = [{"tags": ["VIP"]}]))]
    #[schemars(extend("x-en" = "Tags and level it gives the member, for `only` of other rules."))]
    sets: Sets,
}

/// 给成员的标签和等级。
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sets {
    /// 打上这些标签。
    #[schemars(inner(length(min = 1, max = 40)))]
    #[schemars(extend("x-en" = "Tags to give."))]
    tags: Vec<String>,
    /// 去掉这些标签。
    #[schemars(inner(length(min = 1, max = 40)))]
    #[schemars(extend("x-en" = "Tags to take away."))]
    no_tags: Vec<String>,
    /// 至少定为这个等级(活动 levels 里的 title);自己升得更高不受影响。
    #[schemars(length(min = 1, max = 40))]
    #[schemars(extend("x-en" = "A level of the campaign the member has from then on, at least."))]
    level: Option<String>,
}

/// A compiled event rule.
#[derive(Debug)]
pub struct Event {
    points: i64,
    on: Option<Arc<str>>,
    /// What one subject pays at most.
    per_subject: Limits,
    /// Keys in the account's state that are set, and those that are taken away.
    sets: Vec<Arc<str>>,
    unsets: Vec<Arc<str>>,
    /// The level it gives, for the linter.
    level: Option<Arc<str>>,
}

impl Rule for Event {
    fn listens_for(&self) -> &[Listen] {
        &[]
    }

    fn looks_at(&self, hearing: &Hearing<'_>) -> bool {
        let own = || hearing.rule.code.split_once('.').map_or("", |(_, name)| name);
        let on = self.on.as_deref().unwrap_or_else(own);
        match hearing.deed {
            Some(Deed::Joined) => on == JOINED,
            Some(Deed::Happened { event, .. }) => **event == *on,
            // Who is found on a list joined at some time; a welcome is for who comes.
            Some(Deed::Left | Deed::Listed { .. } | Deed::Due { .. } | Deed::Willed) | None => false,
            Some(Deed::Merged { .. } | Deed::Unmerged { .. } | Deed::Transferred { .. }) => false,
        }
    }

    fn offer(&self, hearing: &Hearing<'_>, own: Own<'_>) -> Result<Offer, Refusal> {
        let subject = match hearing.deed {
            Some(Deed::Happened { subject, .. }) => *subject,
            Some(_) | None => None,
        };
        let mut marks = Vec::new();
        // Without a subject it is `max_times` that counts, where it is written.
        if subject.is_some() || hearing.rule.common.limits.max_times.is_empty() {
            let key: Arc<str> = subject.map_or_else(|| SUBJECT.to_string(), |subject| format!("{SUBJECT}{subject:016x}")).into();
            let periods = Periods { day: hearing.day, window: None };
            for &(kind, most) in &self.per_subject.max_times {
                let period = periods.of(kind);
                let before = own.part(&key).and_then(|state| state.sum(period).copied());
                if let Some(sum) = before.filter(|sum| sum.times >= most) {
                    let cap = Cap { of: hearing.rule.code.clone(), period: kind, in_points: false, used: sum.times, most };
                    return Err(Refusal::Already { cap, paid_at: Some(sum.last_at) });
                }
                marks.push(Mark::Count { key: key.clone(), period, times: 1, points: 0 });
            }
        }
        marks.extend(self.sets.iter().map(|key| Mark::Since { key: key.clone(), at: Some(hearing.event.at) }));
        marks.extend(self.unsets.iter().map(|key| Mark::Since { key: key.clone(), at: None }));
        Ok(Offer { points: self.points, marks, ..Offer::default() })
    }

    fn in_words(&self, points_name: &str) -> String {
        let on = if self.on.as_deref() == Some(JOINED) { "进群" } else { "完成" };
        let pays = if self.points > 0 { format!("{on}后 +{} {points_name}", self.points) } else { format!("{on}后生效") };
        let often: Vec<String> = self.per_subject.max_times.iter().map(|(kind, most)| often(*kind, *most)).collect();
        [vec![pays], often].concat().join(",")
    }

    fn most(&self) -> i64 {
        self.points
    }

    fn announces(&self) -> bool {
        self.points > 0
    }

    fn gives_level(&self) -> Option<&str> {
        self.level.as_deref()
    }

    fn hears_of(&self) -> Option<&str> {
        self.on.as_deref()
    }
}

fn often(kind: PeriodKind, most: i64) -> String {
    match (kind, most) {
        (PeriodKind::Ever, 1) => "同一件只算一次".to_owned(),
        (PeriodKind::Ever, most) => format!("同一件最多 {most} 次"),
        (PeriodKind::Day | PeriodKind::Week | PeriodKind::Month | PeriodKind::Window, most) => format!("同一件{} {most} 次", crate::rules::wording::each(kind)),
    }
}

fn compile(table: &RuleTable<'_>, mistakes: &mut Mistakes) -> Event {
    let keys: EventTable = table.read(mistakes);
    let sets_nothing = keys.sets.tags.is_empty() && keys.sets.no_tags.is_empty() && keys.sets.level.is_none();
    if table.get("points").is_some() || sets_nothing {
        check_points(table, keys.points, mistakes);
    }
    // What only sets something does so each time.
    let unwritten = || if keys.points > 0 { vec![(PeriodKind::Ever, 1)] } else { Vec::new() };
    let per_subject = Limits { max_times: limits_of(table, "per_subject").unwrap_or_else(unwritten), max_points: Vec::new() };
    if per_subject.max_times.iter().any(|(kind, _)| *kind == PeriodKind::Window) {
        mistakes.error(table.span("per_subject"), "bad-period", "per_subject 不能用 window;请用 day、week、month 或 ever".to_owned());
    }
    let twice = keys.sets.tags.iter().find(|tag| keys.sets.no_tags.contains(tag));
    if let Some(tag) = twice {
        mistakes.error(table.span("sets"), "tag-twice", format!("标签「{tag}」又要打上又要去掉;请删掉一处"));
    }
    let level: Option<Arc<str>> = keys.sets.level.as_deref().map(|level| level.trim().into());
    Event {
        points: keys.points.clamp(0, RULE_POINTS_MAX),
        on: keys.on.as_deref().map(|on| on.trim().into()),
        per_subject,
        sets: keys.sets.tags.iter().map(|tag| tag_key(tag.trim())).chain(level.as_deref().map(level_key)).map(global).collect(),
        unsets: keys.sets.no_tags.iter().map(|tag| global(tag_key(tag.trim()))).collect(),
        level,
    }
}

/// A key that `decide` puts no rule's code before.
fn global(key: Arc<str>) -> Arc<str> {
    format!("{}{key}", crate::rules::standing::GLOBAL).into()
}

#[cfg(test)]
mod tests {
    use crate::model::act::Act;
    use crate::model::event::{Kind, Place};
    use crate::rules::world::World;

    fn happens(world: &mut World, when: &str, event: &str, subject: Option<&str>) -> i64 {
        let mut told = world.event(when, "");
        told.kind = Kind::Did(Act::Happened { event: event.into(), subject: subject.map(Into::into) });
        told.place = Place::Single;
        world.hears(told)
    }

    #[test]
    fn an_event_pays_once_a_member_and_once_a_subject() {
        let mut world = World::new("event.verified = { points = 50 }\nevent.visit = { points = 200 }");
        assert_eq!((happens(&mut world, "11-22 09:00", "verified", None), happens(&mut world, "11-23 09:00", "verified", None)), (50, 0));
        let visits = [("11-22 10:00", "shop-1"), ("11-22 11:00", "shop-2"), ("11-30 10:00", "shop-1")];
        assert_eq!(visits.map(|(when, shop)| happens(&mut world, when, "visit", Some(shop))), [200, 200, 0]);
        assert_eq!(happens(&mut world, "11-30 11:00", "unheard_of", None), 0);
    }

    #[test]
    fn max_times_counts_all_subjects_and_replaces_once_a_member() {
        let mut world = World::new(
            "event.sign_up = { points = 5, max_times = { day = 2 } }\nevent.visit = { points = 9, per_subject = { day = 1 }, max_times = { day = 2 } }",
        );
        assert_eq!([9, 10, 11].map(|hour| happens(&mut world, &format!("11-22 {hour:02}:00"), "sign_up", None)), [5, 5, 0]);
        assert_eq!(happens(&mut world, "11-23 09:00", "sign_up", None), 5);
        assert_eq!(["a", "a", "b", "c"].map(|shop| happens(&mut world, "11-24 09:00", "visit", Some(shop))), [9, 0, 9, 0]);
        assert_eq!(happens(&mut world, "11-25 09:00", "visit", Some("a")), 9);
    }

    #[test]
    fn joining_pays_once_whichever_group_it_is() {
        let mut world = World::new("event.welcome = { on = \"joined\", points = 10 }");
        let joins = |world: &mut World, when: &str| {
            let mut told = world.event(when, "");
            told.kind = Kind::Did(Act::Joined);
            world.hears(told)
        };
        assert_eq!((joins(&mut world, "11-22 09:00"), joins(&mut world, "11-25 09:00")), (10, 0));
    }

    #[test]
    fn a_tag_that_an_event_sets_opens_what_is_only_for_it() {
        let mut world = World::new(
            "event.card = { points = 1, sets = { tags = [\"VIP\"] } }\nevent.expired = { sets = { no_tags = [\"VIP\"] } }\n\
             check_in.vip = { keywords = [\"签到\"], points = 5, only = { tags = [\"VIP\"] } }",
        );
        assert_eq!(world.says("11-20 09:00", "签到"), 0);
        happens(&mut world, "11-20 10:00", "card", None);
        assert_eq!(world.says("11-21 09:00", "签到"), 5);
        assert_eq!(happens(&mut world, "11-21 10:00", "expired", None), 0);
        assert_eq!(world.says("11-22 09:00", "签到"), 0);
    }

    #[test]
    fn a_full_cap_keeps_no_tag_back() {
        let mut world = World::new(
            "campaign.main = { max_points = { day = 2 } }\nevent.member = { sets = { tags = [\"VIP\"] } }\ncheck_in.daily = { keywords = [\"签到\"], points = 2 }\n\
             check_in.vip = { keywords = [\"会员\"], points = 1, only = { tags = [\"VIP\"] } }",
        );
        assert_eq!((world.says("11-20 09:00", "签到"), happens(&mut world, "11-20 10:00", "member", None), world.says("11-21 09:00", "会员")), (2, 0, 1));
    }
}
