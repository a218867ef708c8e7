//! A small world for the tests of deciding: rules.toml in, one member, one account that `apply` folds.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::cells::{AccountCell, Occurrence};
use crate::model::day::Millis;
use crate::model::decision::{Decision, Part, Ruling, Side};
use crate::model::event::{Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use crate::model::ids::{AccountId, CampaignId, EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq};
use crate::model::journal::{AccountRef, Posting};
use crate::rules::campaign::Rules;
use crate::rules::decide::{decide, hear};
use crate::rules::file::load;
use crate::rules::template::render;
use crate::rules::{Facts, Shared};

/// Rules, and 阿明 with his account.
pub struct World {
    pub rules: Arc<Rules>,
    pub account: AccountCell,
    pub place: Place,
    pub who: Identity,
    pub name: String,
    pub last: Decision,
    /// What members share, by name and number.
    pub shared: HashMap<(Arc<str>, i64), i64>,
    events: i64,
}

/// Two campaigns: a named group's and that of all others.
pub const TWO: &str = r#"
    check_in.daily = { keywords = ["签到"], points = 2 }
    campaign.vip = { groups = ["VIP 福利群", "wrXYZ"] }
    campaign.main = { groups = ["*"] }
"#;

pub fn group() -> Place {
    Place::Group { chat: "wr-bike".into(), kind: GroupKind::Internal, title: Some("骑行一群".into()) }
}

/// `11-22 09:00` of 2026 in Shanghai, with or without seconds.
pub fn at(text: &str) -> Millis {
    let seconds = if text.len() == 11 { ":00" } else { "" };
    let text = format!("2026-{}{seconds}+08:00", text.replace(' ', "T"));
    Millis::from(text.parse::<jiff::Timestamp>().expect("a timestamp"))
}

impl World {
    /// 阿明 in a group under these rules.
    pub fn new(toml: &str) -> Self {
        let (rules, _) = load(toml).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        World {
            rules: Arc::new(rules),
            account: AccountCell { id: AccountId(1), ..AccountCell::default() },
            place: group(),
            who: Identity { kind: IdentityKind::Userid, value: "aming".into() },
            name: "阿明".into(),
            last: Decision::default(),
            shared: HashMap::new(),
            events: 0,
        }
    }

    pub fn event(&self, when: &str, text: &str) -> Event {
        Event {
            key: EventKey { source: "acme/app/1".into(), key: KeyBytes::of(&self.events.to_string()) },
            corp: "acme".into(),
            at: at(when),
            received_at: at(when),
            clamped: false,
            place: self.place.clone(),
            who: Some(self.who.clone()),
            name: Some(self.name.clone()),
            via: Via::default(),
            kind: Kind::Said(Said { text: text.into(), ..Said::default() }),
        }
    }

    /// 阿明 says something: decided, booked; the points it brought.
    pub fn says(&mut self, when: &str, text: &str) -> i64 {
        let event = self.event(when, text);
        self.hears(event)
    }

    pub fn hears(&mut self, event: Event) -> i64 {
        self.events += 1;
        let (at, prepared) = (event.at, hear(&self.rules, event, &FingerprintKey::new(b"test")));
        let facts = Facts { name: &self.name, account: Some(&self.account), shared: Shared::Taken(&self.shared), ..Facts::default() };
        let decision = decide(&self.rules, Some(0), &prepared, &facts);
        assert_eq!(decision, decide(&self.rules, Some(0), &prepared, &facts), "deciding twice must agree");
        let day = self.rules.campaigns[0].calendar.day(at);
        let postings: Vec<Posting> = decision.entries.iter().map(|entry| posting(entry, self.account.id)).collect();
        self.account.apply(Occurrence { seq: EventSeq(self.events), at, day }, &decision.record, &postings);
        for claim in &decision.record.claims {
            *self.shared.entry((claim.name.clone(), claim.number)).or_default() += claim.taken;
        }
        let points = decision.entries.iter().map(|entry| entry.amount).sum();
        self.last = decision;
        points
    }

    /// The business day of the last message's time.
    pub fn day(&self) -> i32 {
        self.rules.campaigns[0].calendar.day(self.account.frontier).0
    }

    /// What the bot said to the last message.
    pub fn said(&self) -> Vec<String> {
        let reply = |reply| render(&self.rules, reply, &Default::default()).expect("checked");
        self.last.replies.iter().flat_map(reply).collect()
    }

    /// What the first rule that looked said.
    pub fn ruling(&self) -> &Ruling {
        &self.last.record.verdicts.first().expect("a rule looked").ruling
    }
}

pub fn posting(entry: &crate::model::decision::Entry, own: AccountId) -> Posting {
    let side = |side| match side {
        Side::Own(part) => (AccountRef::Member(own), part),
        Side::System(chart) => (AccountRef::System { campaign: CampaignId(1), chart }, Part::Available),
    };
    let ((src, src_part), (dst, dst_part)) = (side(entry.src), side(entry.dst));
    Posting {
        seq: PostingSeq(1),
        event: EventSeq(1),
        ord: 0,
        code: entry.code.clone(),
        src,
        src_part,
        dst,
        dst_part,
        amount: entry.amount,
        day: entry.day,
        vests_on: entry.vests_on,
        expires_on: entry.expires_on,
        reverses: None,
        slot_event: None,
        link: [0; 16],
        digest: [0; 16],
    }
}
