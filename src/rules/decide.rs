//! Deciding: from a message to what every rule says of it, what is booked and what is remembered. The words of the answer are [`answer`]'s.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use jiff::civil::Date;

use crate::model::act::Act;
use crate::model::cells::{AccountCell, AccountState};
use crate::model::day::{Day, Period, PeriodKind};
use crate::model::decision::{Args, Chart, Decision, Deed, Entry, Mark, Media, Payment, Record, Refusal, Ruling, Traits, Verdict};
use crate::model::event::{Event, GroupKind, IdentityKind, Kind, Place, Said};
use crate::model::ids::FingerprintKey;
use crate::model::points::Points;
use crate::rules::campaign::{Campaign, Mode, Only, RuleEntry, Rules, Staff};
use crate::rules::cap::{Left, Limits, Periods, Room, Used, left, room};
use crate::rules::link::link_of;
use crate::rules::marks::{counts, state_key, with_key};
use crate::rules::so_far::SoFar;
use crate::rules::task::Progress;
use crate::rules::text::{fold, strip_mention, strip_token};
use crate::rules::validity::{self, Bucket};
use crate::rules::{
    Facts, Hearing, Offer, Own, Prepared, answer, boost, budget, clock, ears, expiry, first, gist, grant, leavers, notice, presence, questions, standing, task,
    willed,
};

/// State key of the campaign's own caps.
pub static CAMPAIGN_KEY: LazyLock<Arc<str>> = LazyLock::new(|| "campaign".into());

/// Hears an event: folds its text, finds the words in it. Runs on the task that received it, so that the writer does integer work only.
///
/// A text longer than [`crate::rules::text::FOLDED_BYTES_MAX`] is heard to that bound.
pub fn hear(rules: &Arc<Rules>, mut event: Event, key: &FingerprintKey) -> Prepared {
    let is_group = matches!(event.place, Place::Group { .. });
    let asked = event.asked();
    let Kind::Said(said) = &mut event.kind else {
        let deed = deed(&event.kind, key);
        return Prepared { event, traits: None, deed, matched: Vec::new(), rules: rules.clone() };
    };
    let (spoken, is_mentioned) = spoken(said, &rules.assistant.names, is_group);
    let folded = fold(spoken);
    // The @ of a bot whose name nobody told us is left out only where it is the bot that hears; copies from other channels still hold it.
    let words = if is_mentioned { spoken } else { &said.text };
    let fingerprint = if spoken == words { key.of(folded.as_str()) } else { key.of(fold(words).as_str()) };
    let (chars, distinct) = folded.count();
    let media =
        Media { images: said.images, pictures: said.pictures.clone(), video: said.video, link: link_of(said).map(|link| key.of(&link)), used: Vec::new() };
    let question = rules.assistant.question(&folded);
    let gist = if rules.compares { gist::of(folded.as_str(), key) } else { 0 };
    let traits = Traits { chars, distinct, fingerprint, question, asked: asked || is_mentioned, gist, media, ..Traits::default() };
    let matched = ears::matched(rules, &folded, event.at);
    said.at_assistant |= is_group && is_mentioned;
    Prepared { event, traits: Some(traits), deed: None, matched, rules: rules.clone() }
}

/// What the rules may know of an act, for ever; `None` for what they never look at.
fn deed(kind: &Kind, key: &FingerprintKey) -> Option<Deed> {
    let Kind::Did(act) = kind else { return None };
    match act {
        Act::Joined | Act::JoinedBy { .. } => Some(Deed::Joined),
        Act::Left => Some(Deed::Left),
        Act::Happened { event, subject } => Some(Deed::Happened { event: event.clone(), subject: subject.as_ref().map(|subject| key.of(subject)) }),
        Act::Due { job, slot } | Act::Counted { job, slot, .. } => Some(Deed::Due { job: job.clone(), slot: *slot }),
        Act::Listed { joined_at } => Some(Deed::Listed { joined_at: *joined_at }),
        Act::Granted { .. } | Act::Opened { .. } | Act::Reinstated { .. } | Act::Reviewed { .. } | Act::TakenBack { .. } => Some(Deed::Willed),
        Act::OrderPaid { .. } | Act::RulesChanged { .. } => None,
    }
}

/// What a message says, without an @ of the assistant; and whether it names the assistant after an @.
pub fn spoken<'s>(said: &'s Said, names: &[Arc<str>], is_group: bool) -> (&'s str, bool) {
    match strip_mention(&said.text, names) {
        Some(rest) => (rest, true),
        None if is_group && said.at_assistant => (strip_token(&said.text), false),
        None => (&said.text, false),
    }
}

/// Decides an event in a campaign (`None`: no campaign covers its place). Pure: same input, same decision.
///
/// Every rule that matches pays, in file order, and sees what the rules before it used up of shared caps.
pub fn decide(rules: &Rules, campaign: Option<usize>, prepared: &Prepared, facts: &Facts<'_>) -> Decision {
    let deed = prepared.deed.clone();
    let nothing = Traits::default();
    let heard = prepared.traits.as_ref().unwrap_or(&nothing);
    if prepared.traits.is_none() && deed.is_none() {
        return notice::decide(&prepared.event).unwrap_or_default();
    }
    let Some(campaign) = campaign.and_then(|index| rules.campaigns.get(index)) else {
        let mut decision = Decision { record: Record { heard: prepared.traits.clone(), deed, ..Record::default() }, ..Decision::default() };
        decision.replies.extend(answer::uncovered(rules, prepared, heard, facts));
        return decision;
    };
    if let Kind::Did(act) = &prepared.event.kind {
        let (day, at) = (campaign.calendar.day(prepared.event.at), prepared.event.at);
        let willed = willed::decide(act, &campaign.validity, facts.account, (day, at));
        if let Some(willed) = willed.or_else(|| expiry::reinstate(act, &campaign.validity, facts.account, (day, at))) {
            return willed;
        }
    }
    if let Some(granted) = grant::decide(rules, campaign, &prepared.event, facts) {
        return granted;
    }
    let scene = Scene::new(rules, campaign, prepared, heard, facts);
    if let Some(decision) = clock::decide(&scene) {
        return Decision { record: Record { deed: decision.record.deed.or(deed), ..decision.record }, ..decision };
    }
    let mut so_far = SoFar::default();
    so_far.marks.extend(standing::joined(campaign, facts.account, scene.deed, scene.event.at));
    let mut rulings = Vec::new();
    let live = || campaign.rules.iter().filter(|rule| rule.common.mode != Mode::Off);
    for rule in live().filter(|rule| !rule.kind.follows()).chain(live().filter(|rule| rule.kind.follows())) {
        let hearing = scene.hearing(rule);
        let is_no_step = rule.kind.follows() && !so_far.paid(rule.common.mode).iter().any(|(paid, _)| rule.kind.steps().contains(paid));
        if is_no_step || !rule.kind.looks_at(&hearing) {
            continue;
        }
        let ruled = scene.ask(rule, &hearing, &mut so_far);
        rulings.push(ruled);
    }
    if so_far.points > 0 && !is_due(deed.as_ref()) {
        so_far.marks.extend(campaign.validity.earned(facts.account, prepared.event.at));
    }
    so_far.marks.extend(presence::marks(&scene));
    let mut replies = answer::replies(&scene, &rulings, so_far.points);
    replies.extend(budget::alarms(campaign, &so_far.claims));
    so_far.marks.extend(questions::marks(&scene));
    let entries = rulings.iter().filter_map(|ruled| scene.entry(ruled)).chain(so_far.bought).collect();
    // What was bought stands, whatever is decided again around it.
    let deed = if so_far.is_willed { Some(Deed::Willed) } else { deed };
    let heard = prepared.traits.as_ref().map(|heard| Traits { matched: scene.matched_codes(), ..heard.clone() });
    let verdicts = rulings.into_iter().map(|ruled| Verdict { rule: ruled.rule.code.clone(), ruling: ruled.ruling }).collect();
    Decision { record: Record { heard, deed, verdicts, marks: so_far.marks, claims: so_far.claims, ..Record::default() }, entries, replies }
}

/// All that is known while one event is decided.
pub struct Scene<'a> {
    /// The rules.
    pub rules: &'a Rules,
    /// The campaign it is decided in.
    pub campaign: &'a Campaign,
    /// The event.
    pub event: &'a Event,
    /// What its text holds.
    pub heard: &'a Traits,
    /// What was done, where nothing was said.
    pub deed: Option<&'a Deed>,
    /// What may be known.
    pub facts: &'a Facts<'a>,
    /// The business day.
    pub day: Day,
    matched: &'a [usize],
    /// Whether the words of a live rule matched, or it is a question.
    is_command: bool,
    /// The same with the rules on trial.
    is_command_on_trial: bool,
}

/// What one rule said, with what its reply needs.
pub struct Ruled<'a> {
    /// The rule.
    pub rule: &'a RuleEntry,
    /// What it said.
    pub ruling: Ruling,
    /// Further arguments of its offer.
    pub args: Args,
    /// Points booked by the rules up to this one.
    pub booked: i64,
    /// Those of them that may be spent at once.
    pub ready: i64,
}

impl<'a> Scene<'a> {
    /// The scene of an event in a campaign.
    pub fn new(rules: &'a Rules, campaign: &'a Campaign, prepared: &'a Prepared, heard: &'a Traits, facts: &'a Facts<'a>) -> Self {
        let matched = &prepared.matched[..];
        let at = prepared.event.at;
        let day = campaign.calendar.day(at);
        let is_talk = |rule: &RuleEntry| rule.kind.is_talk() && !ears::is_open(campaign, rule, day, at);
        let has = |mode: Mode| {
            let is_matched = |rule: &RuleEntry| rule.common.mode == mode && matched.binary_search(&rule.index).is_ok() && !is_talk(rule);
            !matched.is_empty() && campaign.rules.iter().any(is_matched)
        };
        // What only a rule on trial takes for its word is talk to the live ones still.
        let is_command = heard.asked || heard.question.is_some() || has(Mode::Live);
        let is_command_on_trial = is_command || has(Mode::Shadow);
        Scene { rules, campaign, event: &prepared.event, heard, deed: prepared.deed.as_ref(), facts, day, matched, is_command, is_command_on_trial }
    }

    /// The event as one rule hears it.
    pub fn hearing(&self, rule: &'a RuleEntry) -> Hearing<'a> {
        Hearing {
            event: self.event,
            traits: self.heard,
            deed: self.deed,
            campaign: self.campaign,
            rule,
            matched: self.matched.binary_search(&rule.index).is_ok(),
            is_command: if rule.common.mode == Mode::Shadow { self.is_command_on_trial } else { self.is_command },
            day: self.day,
        }
    }

    /// Whether the member is staff that earns nothing here.
    pub fn is_unpaid_staff(&self) -> bool {
        let is_staff = self.event.who.as_ref().is_some_and(|who| who.kind == IdentityKind::Userid);
        match self.campaign.staff {
            Staff::Pay => false,
            Staff::Skip => is_staff,
            Staff::Auto => is_staff && matches!(self.event.place, Place::Group { kind: GroupKind::Customer, .. }),
        }
    }

    /// What all caps over a rule leave in the periods of this event, before it. `lift` multiplies them, in percent.
    pub fn left(&self, rule: &RuleEntry, lift: u32) -> Left {
        let window = rule.common.when.as_ref().and_then(|when| when.open_since(&self.campaign.calendar, self.event.at));
        let periods = Periods { day: self.day, window };
        let caps = self.caps(rule).map(|(key, limits)| left(&limits.lifted(lift), periods, |period| self.used(&key, period, &[])));
        caps.fold(Left::default(), Left::tighter)
    }

    /// What the rule would pay for this event, before caps.
    pub fn offer(&self, rule: &'a RuleEntry) -> Result<Offer, Refusal> {
        rule.kind.offer(&self.hearing(rule), Own::new(self.state(), &rule.code))
    }

    /// How far the member is with a task.
    pub fn progress(&self, rule: &RuleEntry) -> Progress {
        task::progress(rule, Own::new(self.state(), &rule.code), self.day)
    }

    /// Whether a rule is for this member, as far as `only` asks what the member is.
    pub fn admits(&self, rule: &RuleEntry) -> bool {
        standing::admits(self.campaign, &rule.common.only, self.facts.account, self.deed, self.event.at).is_ok()
    }

    /// What a rule remembers of the member, before this event.
    pub fn own<'b>(&'b self, rule: &'b RuleEntry) -> Own<'b> {
        Own::new(self.state(), &rule.code)
    }

    /// Times and points counted under a key in a period, before this event.
    pub fn counted(&self, key: &str, kind: PeriodKind) -> Used {
        self.used(key, Periods { day: self.day, window: None }.of(kind), &[])
    }

    /// The bucket of what a rule pays on this day.
    pub fn bucket(&self, rule: &RuleEntry) -> Bucket {
        self.campaign.validity.bucket(rule.common.hold_days, rule.common.expires, self.day)
    }

    fn ask(&self, rule: &'a RuleEntry, hearing: &Hearing<'a>, so_far: &mut SoFar) -> Ruled<'a> {
        let ruling = self.ruling(rule, hearing, so_far);
        let (ruling, args) = ruling.unwrap_or_else(|refusal| (Ruling::Refused(refusal), Args::default()));
        so_far.points += ruling.booked();
        match &ruling {
            Ruling::Paid(payment) => {
                so_far.paid.push((rule.code.clone(), payment.points));
                so_far.tried.push((rule.code.clone(), payment.points));
            }
            Ruling::Shadow(payment) => so_far.tried.push((rule.code.clone(), payment.points)),
            Ruling::Refused(_) | Ruling::Moved(_) => {}
        }
        if self.bucket(rule).vests_on.is_none() {
            so_far.ready += ruling.booked();
        }
        Ruled { rule, ruling, args, booked: so_far.points, ready: so_far.ready }
    }

    fn ruling(&self, rule: &RuleEntry, hearing: &Hearing<'_>, so_far: &mut SoFar) -> Result<(Ruling, Args), Refusal> {
        let common = &rule.common;
        if common.dates.is_some_and(|(first, last)| !within(self.day, first, last)) {
            return Err(Refusal::OutsideDates);
        }
        let window = match &common.when {
            Some(when) => Some(when.open_since(&self.campaign.calendar, self.event.at).ok_or(Refusal::OutsideWindow)?),
            None => None,
        };
        if !holds(&common.only, &self.event.place) {
            return Err(Refusal::NotForThisGroup);
        }
        standing::admits(self.campaign, &common.only, self.facts.account, self.deed, self.event.at)?;
        if self.is_unpaid_staff() {
            return Err(Refusal::Staff);
        }
        if leavers::is_frozen(self.campaign, self.facts.account, self.facts.group) {
            return Err(Refusal::Frozen);
        }
        let key = state_key(&rule.code, common.mode);
        if rule.kind.sells() {
            return self.purchase(rule, hearing, so_far);
        }
        let periods = Periods { day: self.day, window };
        let mut offer = match rule.kind.offer(hearing, Own::new(self.state(), &key).after(so_far.pending(common.mode))) {
            Ok(offer) => offer,
            Err(refusal) => {
                if let Refusal::ProofMissing { .. } | Refusal::WordMissing { .. } | Refusal::ProofUsed { .. } = refusal {
                    // Nobody is asked for the other half of what would not be paid.
                    self.room_after(rule, periods, 100, 1, &so_far.marks)?;
                    so_far.marks.extend(rule.kind.keeps(hearing).into_iter().map(|mark| with_key(mark, &key)));
                }
                return Err(refusal);
            }
        };
        let claims = match self.places(rule, hearing, &mut offer, &so_far.claims) {
            Ok(claims) => claims,
            // Who has had it already is told so, and not that others were first.
            Err(refusal) => return Err(self.room_after(rule, periods, 100, offer.points.max(1), &so_far.marks).err().unwrap_or(refusal)),
        };
        let (factors, lift) = boost::factors(self.campaign, rule, self.facts.account, self.day, self.event.at);
        let base = offer.points;
        let times = |points| boost::multiplied(points, &factors).ok_or(Refusal::TooMany);
        (offer.points, offer.bonus) = (times(offer.points)?, times(offer.bonus)?);
        if let Some(extra) = (!claims.is_empty()).then(|| first::extra(&claims, &rule.kind.shares(hearing))).flatten() {
            offer.args = offer.args.int("名次", extra.place).int("名次奖", times(extra.points)?);
        }
        let room = match self.room_after(rule, periods, lift, offer.points, &so_far.marks) {
            Ok(room) => room,
            Err(refusal) => {
                if matches!(refusal, Refusal::Capped(_)) {
                    keep_days(&key, offer.marks, so_far);
                }
                return Err(refusal);
            }
        };
        if common.mode == Mode::Live && !self.fits(so_far.points, room.points) {
            return Err(Refusal::TooMany);
        }
        let (room, budgets) = match self.within_budget(rule, room, &so_far.claims) {
            Ok(within) => within,
            Err(refusal) => {
                keep_days(&key, offer.marks, so_far);
                return Err(refusal);
            }
        };
        so_far.claims.extend(claims.into_iter().chain(budgets));
        // What a rule on trial would pay for is not used up by it.
        let is_kept = |mark: &Mark| common.mode == Mode::Live || !matches!(mark, Mark::Proof { .. });
        so_far.marks.extend(offer.marks.into_iter().filter(is_kept).map(|mark| with_key(mark, &key)));
        for (key, limits) in self.caps(rule) {
            let counted: Cow<'_, [PeriodKind]> = match common.mode {
                Mode::Live | Mode::Off => Cow::Borrowed(&common.counted),
                // All that a rule on trial ever tried is known by its counts only.
                Mode::Shadow => Cow::Owned([&common.counted[..], &[PeriodKind::Ever]].concat()),
            };
            let of_rule = (key == rule.code).then_some(&*counted);
            so_far.marks.extend(counts(&state_key(&key, common.mode), limits, periods, room.points, of_rule));
        }
        let Offer { points: offered, bonus, streak, .. } = offer;
        let payment = Payment { points: room.points, offered, bonus, streak, clipped_by: room.clipped_by, base, factors };
        let ruling = if common.mode == Mode::Live { Ruling::Paid(payment) } else { Ruling::Shadow(payment) };
        Ok((ruling, offer.args))
    }

    /// The rule's own caps, then its bucket's, then the campaign's. `lift` multiplies them, in percent.
    fn room_after(&self, rule: &RuleEntry, periods: Periods, lift: u32, wanted: i64, pending: &[Mark]) -> Result<Room, Refusal> {
        let mut allowed = Room { points: wanted, clipped_by: None };
        for (key, limits) in self.caps(rule) {
            let key_now = state_key(&key, rule.common.mode);
            let used = |period| {
                let mut used = self.used(&key_now, period, pending);
                if key_now != key {
                    // A shadow rule must find the shared caps as full as the live rules leave them.
                    used = sum(used, self.used(&key, period, pending));
                }
                used
            };
            let next = match lift {
                100 => room(limits, &key, periods, allowed.points, used)?,
                percent => room(&limits.lifted(percent), &key, periods, allowed.points, used)?,
            };
            if next.clipped_by.is_some() {
                allowed = next;
            }
        }
        Ok(allowed)
    }

    fn caps<'b>(&'b self, rule: &'b RuleEntry) -> impl Iterator<Item = (Arc<str>, &'b Limits)> {
        let bucket = rule.common.bucket.map(|index| &self.campaign.buckets[index]);
        let bucket = bucket.map(|bucket| (bucket.key(self.facts.group), &bucket.limits));
        std::iter::once((rule.code.clone(), &rule.common.limits)).chain(bucket).chain(std::iter::once((CAMPAIGN_KEY.clone(), &self.campaign.limits)))
    }

    pub(super) fn used(&self, key: &str, period: Period, pending: &[Mark]) -> Used {
        let before = self.state().and_then(|state| state.code(key)?.sum(period));
        let before = before.map_or(Used::default(), |sum| Used { times: sum.times, points: sum.points, last_at: Some(sum.last_at) });
        pending.iter().fold(before, |used, mark| match mark {
            Mark::Count { key: of, period: in_period, times, points } if **of == *key && *in_period == period => {
                sum(used, Used { times: *times, points: *points, last_at: Some(self.event.at) })
            }
            Mark::Count { .. } | Mark::Day { .. } | Mark::Recent { .. } | Mark::Since { .. } | Mark::Proof { .. } | Mark::Lifetime { .. } => used,
        })
    }

    pub(super) fn state(&self) -> Option<&'a AccountState> {
        self.facts.account.map(|account: &AccountCell| &account.state)
    }

    fn fits(&self, so_far: i64, points: i64) -> bool {
        let (available, lifetime) = self.facts.account.map_or((0, 0), |account| (account.available, account.lifetime));
        let more = Points(so_far).checked_add(Points(points));
        more.is_some_and(|more| Points(available).checked_add(more).is_some() && Points(lifetime).checked_add(more).is_some())
    }

    fn entry(&self, ruled: &Ruled<'_>) -> Option<Entry> {
        let amount = ruled.ruling.booked();
        (amount > 0).then(|| validity::given(&ruled.rule.code, Chart::Issued, amount, self.day, self.bucket(ruled.rule)))
    }

    fn matched_codes(&self) -> Vec<Arc<str>> {
        if self.matched.is_empty() {
            return Vec::new();
        }
        let matched = self.campaign.rules.iter().filter(|rule| self.matched.binary_search(&rule.index).is_ok());
        matched.map(|rule| rule.code.clone()).collect()
    }
}

/// Whether a rule's dates hold on a day.
pub fn within(day: Day, first: Date, last: Date) -> bool {
    (first..=last).contains(&day.date())
}

/// Whether `only` holds in a place.
pub fn holds(only: &Only, place: &Place) -> bool {
    let Some(groups) = &only.groups else { return true };
    match place {
        Place::Single => false,
        Place::Books { chat, .. } => chat.as_ref().is_some_and(|chat| groups.contains(chat)),
        Place::Group { chat, title, .. } => groups.iter().any(|entry| entry == chat || Some(entry) == title.as_ref()),
    }
}

/// Whether the clock did it: what it pays was not earned by doing anything.
fn is_due(deed: Option<&Deed>) -> bool {
    matches!(deed, Some(Deed::Due { .. }))
}

fn sum(one: Used, other: Used) -> Used {
    Used { times: one.times + other.times, points: one.points + other.points, last_at: one.last_at.max(other.last_at) }
}

/// A day in a row is not lost because a cap left no points for it, and a period of staying is over whether it was paid or not.
fn keep_days(key: &Arc<str>, marks: Vec<Mark>, so_far: &mut SoFar) {
    let days = marks.into_iter().filter(|mark| matches!(mark, Mark::Day { .. } | Mark::Since { .. }));
    so_far.marks.extend(days.map(|mark| with_key(mark, key)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::world::{TWO, World, group};
    use proptest::prelude::*;

    #[test]
    fn every_matching_rule_pays_and_shares_the_cap_above_them() {
        let mut world = World::new(
            r#"
            check_in.one = { keywords = ["签到"], points = 4, bucket = "both" }
            check_in.two = { keywords = ["签到"], points = 4, bucket = "both" }
            check_in.three = { keywords = ["签到"], points = 4 }
            bucket.both = { max_points = { day = 6 } }
            campaign.main = { max_points = { day = 9 } }
            "#,
        );
        assert_eq!(world.says("11-22 09:00", "签到"), 9);
        let paid: Vec<i64> = world.last.record.verdicts.iter().map(|verdict| verdict.ruling.booked()).collect();
        assert_eq!(paid, [4, 2, 3]);
        let clipped = |at: usize| match &world.last.record.verdicts[at].ruling {
            Ruling::Paid(payment) => payment.clipped_by.as_ref().map(|cap| (cap.of.to_string(), cap.used, cap.most)),
            Ruling::Shadow(_) | Ruling::Refused(_) | Ruling::Moved(_) => None,
        };
        assert_eq!((clipped(0), clipped(1), clipped(2)), (None, Some(("bucket.both".into(), 4, 6)), Some(("campaign".into(), 6, 9))));
        assert_eq!(world.account.available, 9);
        assert_eq!(world.account.state.code("campaign").and_then(|code| code.sum(Period::Day(world.day()))).map(|sum| (sum.times, sum.points)), Some((3, 9)));
    }

    #[test]
    fn a_shadow_rule_says_what_it_would_pay_and_books_nothing() {
        let mut world = World::new("[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nmode = \"shadow\"");
        assert_eq!(world.says("11-22 09:00", "签到"), 0);
        assert!(matches!(world.ruling(), Ruling::Shadow(payment) if payment.points == 2));
        assert!(world.last.replies.is_empty() && world.account.state.code("~check_in.daily").is_some());
        world.says("11-22 10:00", "签到");
        assert!(matches!(world.ruling(), Ruling::Refused(Refusal::Already { .. })), "its own counts hold in shadow too");
    }

    #[test]
    fn employees_earn_in_internal_groups_and_not_among_customers() {
        let mut world = World::new(TWO);
        world.place = Place::Group { chat: "wrC".into(), kind: GroupKind::Customer, title: Some("客户群".into()) };
        assert_eq!(world.says("11-22 09:00", "签到"), 0);
        assert_eq!(*world.ruling(), Ruling::Refused(Refusal::Staff));
        world.place = group();
        assert_eq!(world.says("11-22 09:01", "签到"), 2);
    }

    #[test]
    fn dates_groups_and_modes_are_looked_at_before_the_offer() {
        let mut world = World::new(
            r#"
            check_in.past = { keywords = ["签到"], points = 2, dates = "2026-11-01..2026-11-21" }
            check_in.last_day = { keywords = ["签到"], points = 2, dates = "2026-11-01..2026-11-22" }
            check_in.elsewhere = { keywords = ["签到"], points = 2, only = { groups = ["骑行二群"] } }
            check_in.off = { keywords = ["签到"], points = 2, mode = "off" }
            "#,
        );
        assert_eq!(world.says("11-22 23:59", "签到"), 2);
        let rulings: Vec<&Ruling> = world.last.record.verdicts.iter().map(|verdict| &verdict.ruling).collect();
        assert_eq!(*rulings[0], Ruling::Refused(Refusal::OutsideDates));
        assert!(matches!(rulings[1], Ruling::Paid(_)));
        assert_eq!(*rulings[2], Ruling::Refused(Refusal::NotForThisGroup));
        assert_eq!(rulings.len(), 3);
    }

    #[test]
    fn a_balance_at_the_edge_is_not_pushed_over_it() {
        let mut world = World::new(TWO);
        world.account.available = crate::model::points::POINTS_MAX - 1;
        assert_eq!(world.says("11-22 09:00", "签到"), 0);
        assert_eq!(*world.ruling(), Ruling::Refused(Refusal::TooMany));
    }

    #[test]
    fn a_full_cap_does_not_break_a_streak() {
        let mut world = World::new(
            r#"
            speaking.talk = { points = 5 }
            check_in.daily = { keywords = ["签到"], points = 2, streak = { 3 = 10 } }
            campaign.main = { max_points = { day = 20 } }
            "#,
        );
        world.says("11-20 09:00", "签到");
        for (minute, text) in ["说了四个字一", "说了四个字二", "说了四个字三", "说了四个字四"].iter().enumerate() {
            world.says(&format!("11-21 09:{minute:02}"), text);
        }
        assert_eq!(world.says("11-21 12:00", "签到"), 0);
        assert_eq!(world.says("11-22 09:00", "签到"), 12);
    }

    #[test]
    fn a_mention_makes_a_message_a_question() {
        let mut world = World::new(TWO);
        for text in ["@积分助手 签到", "@积分助手签到", "签到 @小助手"] {
            world.says("11-22 09:00", text);
            let heard = world.last.record.heard.as_ref().expect("a message");
            assert!(heard.asked, "{text}");
            assert_eq!(heard.matched, [Arc::from("check_in.daily")], "{text}");
        }
        world.says("11-22 09:00", "@小红 签到");
        assert!(!world.last.record.heard.as_ref().expect("a message").asked);
    }

    #[test]
    fn nobody_is_answered_where_no_campaign_is_unless_they_ask() {
        let mut world = World::new(TWO);
        let quiet = hear(&world.rules, world.event("11-22 09:00", "签到"), &FingerprintKey::new(b"test"));
        let facts = Facts { name: "阿明", ..Facts::default() };
        assert!(decide(&world.rules, None, &quiet, &facts).replies.is_empty());
        world.place = Place::Single;
        let asking = hear(&world.rules, world.event("11-22 09:00", "积分"), &FingerprintKey::new(b"test"));
        assert_eq!(decide(&world.rules, None, &asking, &facts).replies.len(), 1);
        let others = [(0, &world.account)];
        let told = decide(&world.rules, None, &asking, &Facts { others: &others, ..facts });
        assert_eq!(told.replies[0].template.occasion, crate::model::reply::Occasion::Balance);
    }

    proptest! {
        #[test]
        fn caps_hold_whatever_is_said_in_whatever_order(said in prop::collection::vec((0u32..3, 0u32..24, 0u32..60, 0usize..4), 1..60)) {
            let mut world = World::new(
                r#"
                check_in.daily = { keywords = ["签到"], points = 3, streak = { 2 = 4 }, bucket = "all" }
                check_in.other = { keywords = ["打卡"], match = "contains", points = 2, max_times = { day = 2 } }
                speaking.talk = { points = 1, bucket = "all", max_points = { day = 4 }, cool_down = "10s" }
                bucket.all = { max_points = { day = 6 } }
                campaign.main = { max_points = { day = 8, ever = 19 } }
                "#,
            );
            for (number, (day, hour, minute, text)) in said.iter().enumerate() {
                let text = match text { 0 => "签到".to_owned(), 1 => "今天打卡".to_owned(), 2 => format!("随便说说第{number}句"), _ => "@积分助手 积分".to_owned() };
                world.says(&format!("11-{:02} {hour:02}:{minute:02}", day + 20), &text);
            }
            let (balance, state) = (world.account.available, &world.account.state);
            prop_assert!((0..=19).contains(&balance));
            prop_assert_eq!(world.account.lifetime, balance);
            prop_assert_eq!(state.lots.iter().map(|lot| lot.amount).sum::<i64>(), balance);
            for (code, most) in [("campaign", 8), ("bucket.all", 6), ("speaking.talk", 4)] {
                let sums = state.code(code).map_or(&[][..], |code| &code.sums);
                prop_assert!(sums.iter().filter(|sum| sum.period != Period::Ever).all(|sum| sum.points <= most), "{}", code);
            }
        }
    }
}
