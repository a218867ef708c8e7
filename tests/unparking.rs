//! Whole lives of parked messages: decided again once their group is known, recalled, erased, explained; and what keeps nobody back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::explain::explain;
use jifen::model::act::Act;
use jifen::model::day::Millis;
use jifen::model::decision::{Outcome, Parking};
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, EventSeq, FingerprintKey, KeyBytes, PostingSeq, ReplyId};
use jifen::model::journal::AccountRef;
use jifen::pipeline::unpark::{Lost, Unpark, Unparked, recollect, resolved};
use jifen::pipeline::{Done, Pipeline, Silent, Work};
use jifen::rules::file;
use jifen::rules::versions::Versions;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::store::{Reader, ReplyOutcome, ReplyState};
use jifen::verify::verify;

const RULES: &str = "[campaign.vip]\ngroups = [\"骑行一群\"]\n[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\nstreak = { 3 = 10 }\n";

struct Chat {
    pipeline: Pipeline<MemoryStore>,
    reader: MemoryReader,
}

fn at(day: i64, hour: i64) -> Millis {
    // 2026-11-16 00:00 in Shanghai.
    Millis(1_794_758_400_000 + (day - 16) * 86_400_000 + hour * 3_600_000)
}

impl Chat {
    fn new() -> Self {
        let (rules, _) = file::load(RULES).unwrap();
        let store = MemoryStore::default();
        let reader = store.reader();
        Chat { pipeline: Pipeline::new(store, Arc::new(ArcSwap::new(Arc::new(rules))), FingerprintKey::new(b"test"), Box::new(Silent)), reader }
    }

    fn event(id: &str, day: i64, title: Option<&str>, kind: Kind) -> Event {
        Event {
            key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(id) },
            corp: "acme".into(),
            at: at(day, 9),
            received_at: at(day, 9),
            clamped: false,
            place: Place::Group { chat: "wrA".into(), kind: GroupKind::Internal, title: title.map(Into::into) },
            who: Some(Identity { kind: IdentityKind::Userid, value: "aming".into() }),
            name: Some("阿明".into()),
            via: Via { channel: Channel::Archive, ..Via::default() },
            kind,
        }
    }

    /// 阿明 checks in; the group's name is told with it or not.
    fn check_in(id: &str, day: i64, title: Option<&str>) -> Event {
        Chat::event(id, day, title, Kind::Said(Said { text: "签到".into(), ..Said::default() }))
    }

    fn hear(&mut self, event: Event) -> Done {
        self.pipeline.hear(event).unwrap()
    }

    fn recall(&mut self, id: &str, day: i64) {
        self.hear(Chat::event("recall", day, None, Kind::Recalled { of: KeyBytes::of(id) }));
    }

    fn resolved(&self) -> Vec<(EventSeq, Event)> {
        resolved(&self.reader, &self.pipeline.rules(), EventSeq(1), at(20, 9)).unwrap().events
    }

    /// What the daemon does by itself.
    fn unpark(&mut self) -> Vec<Unparked> {
        self.resolved().into_iter().map(|(of, event)| self.pipeline.unpark(of, event).unwrap()).collect()
    }

    /// Points by message.
    fn earned(&self) -> BTreeMap<i64, i64> {
        let mut earned = BTreeMap::new();
        for posting in self.reader.postings(PostingSeq(1), 1_000).unwrap() {
            let side = |account| i64::from(matches!(account, AccountRef::Member(_)));
            *earned.entry(posting.slot_event.unwrap_or(posting.event).0).or_default() += (side(posting.dst) - side(posting.src)) * posting.amount;
        }
        earned.retain(|_, points| *points != 0);
        let report = verify(&self.reader, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{:#?}", report.findings);
        earned
    }

    fn outcome(&self, seq: i64) -> Outcome {
        self.reader.event(EventSeq(seq)).unwrap().unwrap().record.outcome
    }
}

#[test]
fn parked_check_ins_are_paid_on_their_own_days_once_the_groups_name_is_told() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.hear(Chat::check_in("2", 17, None));
    assert_eq!((chat.outcome(1), chat.unpark()), (Outcome::Parked(Parking::GroupUnknown), Vec::new()));
    chat.hear(Chat::check_in("3", 18, Some("骑行一群")));
    assert_eq!(chat.earned(), BTreeMap::from([(3, 2)]));
    assert_eq!(chat.unpark(), [Unparked::Now(EventSeq(4)), Unparked::Now(EventSeq(5))]);
    assert_eq!(chat.earned(), BTreeMap::from([(1, 2), (2, 2), (3, 12)]), "the third day in a row brings its bonus");
    let row = chat.reader.event(EventSeq(4)).unwrap().unwrap();
    assert_eq!((row.at, &*row.kind, row.record.outcome), (at(16, 9), "unparked", Outcome::Unparked { of: EventSeq(1), alone: false }));
    assert_eq!(chat.unpark(), [], "and never again");
}

#[test]
fn what_is_decided_is_not_decided_a_second_time_whoever_asks() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.hear(Chat::event("2", 16, Some("骑行一群"), Kind::Did(Act::Joined)));
    let again = chat.resolved();
    assert_eq!(chat.unpark(), [Unparked::Now(EventSeq(3))]);
    for (of, event) in again {
        assert_eq!(chat.pipeline.unpark(of, event.clone()).unwrap(), Unparked::Before);
        assert_eq!(chat.pipeline.unpark(EventSeq(3), event).unwrap(), Unparked::StillUnknown, "what never waited is passed over");
    }
    assert_eq!(chat.earned(), BTreeMap::from([(1, 2)]));
}

#[test]
fn a_message_that_was_taken_back_while_it_waited_stays_unpaid() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.recall("1", 16);
    chat.hear(Chat::event("2", 16, Some("骑行一群"), Kind::Did(Act::Joined)));
    assert_eq!(chat.unpark().len(), 1);
    assert_eq!((chat.earned(), chat.outcome(4)), (BTreeMap::new(), Outcome::RecalledBefore));
    assert_eq!(chat.unpark(), []);
}

#[test]
fn a_message_that_was_decided_late_can_still_be_taken_back() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.hear(Chat::check_in("2", 17, Some("骑行一群")));
    chat.hear(Chat::check_in("3", 18, None));
    chat.unpark();
    assert_eq!(chat.earned(), BTreeMap::from([(1, 2), (2, 2), (3, 12)]));
    chat.recall("1", 19);
    assert_eq!(chat.earned(), BTreeMap::from([(2, 2), (3, 2)]), "its points and the bonus that hung on it are gone");
}

#[test]
fn a_recall_in_the_same_batch_finds_what_is_decided_there() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.hear(Chat::event("2", 16, Some("骑行一群"), Kind::Did(Act::Joined)));
    let rules = chat.pipeline.rules();
    let (of, event) = chat.resolved().remove(0);
    let unpark = Work::Unpark(Box::new(Unpark { of, prepared: chat.pipeline.prepare(&rules, event) }));
    let recall = Chat::event("3", 17, None, Kind::Recalled { of: KeyBytes::of("1") });
    let works = [unpark, Work::Hear(Box::new(chat.pipeline.prepare(&rules, recall)))];
    assert_eq!(chat.pipeline.run(&works).unwrap().iter().map(|done| done.seq.0).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(chat.earned(), BTreeMap::new());
    assert_eq!(chat.reader.postings(PostingSeq(1), 9).unwrap().len(), 2, "paid, and taken back");
}

#[test]
fn an_erased_text_cannot_be_decided_again_and_says_so() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("1", 16, None));
    chat.pipeline.run(&[Work::EraseTexts(at(18, 0))]).unwrap();
    let row = chat.reader.event(EventSeq(1)).unwrap().unwrap();
    let lost = recollect(&chat.reader, &row, &chat.reader.directory().unwrap(), at(20, 9)).unwrap().unwrap_err();
    assert!(lost == Lost::Erased && lost.to_string().contains("原文"), "{lost}");
}

#[test]
fn a_message_decided_late_is_explained_by_its_own_id_with_what_it_earned() {
    let mut chat = Chat::new();
    chat.hear(Chat::check_in("77", 16, None));
    chat.hear(Chat::event("2", 16, Some("骑行一群"), Kind::Did(Act::Joined)));
    let explained = |chat: &Chat| explain(&chat.reader, &mut Versions::default(), "77", None).unwrap();
    let waiting = explained(&chat).event;
    assert!(waiting.outcome == "parked" && waiting.points == 0 && waiting.note.contains("群名"), "{waiting:?}");
    chat.unpark();
    let told = explained(&chat);
    assert_eq!((told.event.seq, told.event.outcome, told.event.points, &*told.verdicts[0].rule), (1, "decided", 2, "check_in.daily"));
    assert!(told.event.note.contains("补判"), "{}", told.event.note);
    assert!(explain(&chat.reader, &mut Versions::default(), "1", None).is_err(), "no message is called as the key of the second event");
}

#[test]
fn a_claim_of_a_reply_that_was_dropped_is_refused_and_keeps_no_message_back() {
    let mut chat = Chat::new();
    let rules = chat.pipeline.rules();
    let claim = ReplyOutcome { id: ReplyId(7), state: ReplyState::Sending, tries: 0, reason: None };
    let hear = |chat: &Chat, id| Work::Hear(Box::new(chat.pipeline.prepare(&rules, Chat::check_in(id, 16, Some("骑行一群")))));
    let works = [hear(&chat, "1"), Work::Settle(vec![claim]), hear(&chat, "2")];
    assert!(chat.pipeline.run(&works).is_err(), "the claim is refused");
    assert_eq!(chat.reader.head().unwrap().event, EventSeq(2), "both messages are kept, and known when they are sent once more");
    assert!(chat.hear(Chat::check_in("2", 16, Some("骑行一群"))).known);
    assert_eq!(chat.earned(), BTreeMap::from([(1, 2)]));
}
