//! Grants from a file and by hand: all or nothing, once for ever, taken back as one, and never past the second pair of eyes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use arc_swap::ArcSwap;
use jifen::grants::{self, Asked, Books, Checked, Outcome, Row, sheet, waiting};
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, FingerprintKey, KeyBytes};
use jifen::model::reply::Occasion;
use jifen::pipeline::command::Operators;
use jifen::pipeline::{Pipeline, Silent};
use jifen::rules::file;
use jifen::store::memory::{MemoryReader, MemoryStore};
use jifen::store::{Reader, ReplyState};
use jifen::verify::verify;

const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n[grant]\nfour_eyes_above = 100\nmax_points = { day = 150 }\n";

struct Office {
    pipeline: Pipeline<MemoryStore>,
    reader: MemoryReader,
    events: u32,
}

fn at(hour: i64) -> Millis {
    Millis(1_795_276_800_000 + hour * 3_600_000)
}

impl Office {
    /// 阿明 and 小红 have checked in; a second 小红 too.
    fn new() -> Self {
        let (rules, _) = file::load(RULES).unwrap();
        let store = MemoryStore::default();
        let reader = store.reader();
        let pipeline = Pipeline::new(store, Arc::new(ArcSwap::new(Arc::new(rules))), FingerprintKey::new(b"test"), Box::new(Silent));
        let mut office = Office { pipeline: pipeline.with_operators(operators()), reader, events: 0 };
        for (id, name) in [("aming", "阿明"), ("xiaohong", "小红"), ("xiaohong2", "小红")] {
            office.says(id, name, "签到", 1);
        }
        office
    }

    fn says(&mut self, id: &str, name: &str, text: &str, hour: i64) {
        self.hears(Channel::App, id, name, text, hour);
    }

    fn hears(&mut self, channel: Channel, id: &str, name: &str, text: &str, hour: i64) {
        self.events += 1;
        let event = Event {
            key: EventKey { source: "acme/app/1".into(), key: KeyBytes::of(&self.events.to_string()) },
            corp: "acme".into(),
            at: at(hour),
            received_at: at(hour),
            clamped: false,
            place: Place::Group { chat: "wrA".into(), kind: GroupKind::Internal, title: Some("骑行一群".into()) },
            who: Some(Identity { kind: IdentityKind::Userid, value: id.into() }),
            name: Some(name.into()),
            via: Via { channel, ..Via::default() },
            kind: Kind::Said(Said { text: text.into(), at_assistant: text.starts_with('@'), ..Said::default() }),
        };
        self.pipeline.hear(event).unwrap();
    }

    fn books(&self, by: &str) -> Books {
        let asked = Asked { by: Some(by.into()), ..Asked::default() };
        Books::find(&self.reader, &self.pipeline.rules(), &operators(), FingerprintKey::new(b"test"), asked, None).unwrap()
    }

    fn checked(&self, books: &Books, csv: &str) -> Result<Vec<Checked>, grants::Bad> {
        sheet::rows(csv.as_bytes()).and_then(|rows| grants::check(&self.reader, books, &rows, false).unwrap())
    }

    fn gives(&mut self, by: &str, csv: &str) -> Vec<Outcome> {
        let books = self.books(by);
        let checked = self.checked(&books, csv).unwrap();
        grants::give_batch(&mut self.pipeline, &self.reader, &books, &checked, &grants::batch_of(&books, csv.as_bytes()), at(2)).unwrap()
    }

    fn balances(&self) -> Vec<i64> {
        self.reader.accounts(jifen::model::ids::AccountId(0), 10).unwrap().iter().map(|cell| cell.available).collect()
    }

    fn is_sound(&self) {
        let report = verify(&self.reader, &mut |_| {}).unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

fn operators() -> Operators {
    Operators { members: vec!["wangwu".into(), "lisi".into()], chat: None }
}

const FILE: &str = "成员,分数,原因\naming,10,帮忙答疑\nxiaohong,20,写教程\naming,-5,发广告\n";

#[test]
fn a_file_is_given_once_however_often_it_is_run() {
    let mut office = Office::new();
    let first = office.gives("wangwu", FILE);
    assert!(first.iter().all(|it| !it.known && !it.waits && it.refused.is_none()), "{first:?}");
    assert!(office.gives("wangwu", FILE).iter().all(|it| it.known));
    assert_eq!(office.balances(), [7, 22, 2]);
    office.is_sound();
}

#[test]
fn one_bad_row_and_nothing_is_given() {
    let office = Office::new();
    let books = office.books("wangwu");
    let bad = |csv: &str| office.checked(&books, csv).expect_err("bad").into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(bad("成员,分数,原因\naming,十,帮忙\n,5,帮忙\nxiaohong,5,\nxiaohong,0,帮忙\naming,1.5,帮忙\n"), [2, 3, 4, 5, 6]);
    assert_eq!(bad("成员,分数,原因\n小红,5,帮忙\nnobody,5,帮忙\naming,-3,罚\naming,9007199254740991,帮忙\n"), [2, 3, 4, 5]);
    for whole in ["", "a,b\n1,2\n", "成员,分数,原因\n", "成员,分数,原因\na\u{0}b,1,x\n"] {
        assert_eq!(bad(whole), [0], "{whole:?}");
    }
    assert_eq!(sheet::rows(b"\xb3\xc9\xd4\xb1,x,y\n").expect_err("GBK")[0].0, 0);
    let many = format!("成员,分数,原因\n{}", "aming,1,x\n".repeat(10_001));
    assert_eq!(bad(&many), [0]);
    assert_eq!(office.balances(), [2, 2, 2]);
}

#[test]
fn a_batch_is_taken_back_as_one_and_only_once() {
    let mut office = Office::new();
    office.gives("wangwu", FILE);
    let books = office.books("lisi");
    let found = grants::find(&office.reader, &books, &grants::batch_of(&books, FILE.as_bytes())).unwrap();
    assert_eq!(found.len(), 3);
    let take_back = |office: &mut Office| grants::take_back(&mut office.pipeline, &office.reader, &books, &found, &"发错了".into(), at(3)).unwrap();
    let first = take_back(&mut office);
    assert_eq!(first.iter().map(|it| it.points).collect::<Vec<_>>(), [-7, -20, 5]);
    assert!(first[0].refused.as_deref().is_some_and(|text| text.contains("只收回了 7")), "{first:?}");
    assert!(take_back(&mut office).iter().all(|it| it.known));
    assert_eq!(office.balances(), [5, 2, 2]);
    office.is_sound();
}

#[test]
fn a_batch_that_is_too_much_waits_whole_and_not_for_its_own_author() {
    let mut office = Office::new();
    let csv = "成员,分数,原因\naming,90,一\nxiaohong,90,二\n";
    assert!(office.gives("wangwu", csv).iter().all(|it| it.waits), "180 of 150 a day");
    assert_eq!(office.balances(), [2, 2, 2]);
    let review = |office: &mut Office, by: &str, hour: i64| {
        let books = office.books(by);
        let found = grants::find(&office.reader, &books, &grants::batch_of(&books, csv.as_bytes())).unwrap();
        waiting::review(&mut office.pipeline, &office.reader, &books, &found, (true, None), at(hour)).unwrap()
    };
    assert_eq!(waiting::pending(&office.reader, &office.books("lisi"), at(3)).unwrap().len(), 2);
    assert!(review(&mut office, "WangWu", 3).iter().all(|it| it.refused.is_some()));
    assert!(review(&mut office, "lisi", 8 * 24).is_empty(), "after seven days it is over");
    assert_eq!(review(&mut office, "lisi", 4).iter().map(|it| it.points).collect::<Vec<_>>(), [90, 90]);
    assert!(review(&mut office, "lisi", 5).is_empty());
    assert_eq!(office.balances(), [92, 92, 2]);
    let books = office.books("lisi");
    let found = grants::find(&office.reader, &books, &grants::batch_of(&books, csv.as_bytes())).unwrap();
    assert_eq!(grants::take_back(&mut office.pipeline, &office.reader, &books, &found, &"发错了".into(), at(6)).unwrap().len(), 2);
    assert_eq!(office.balances(), [2, 2, 2]);
    office.is_sound();
}

#[test]
fn what_an_operator_gives_in_small_steps_is_counted() {
    let mut office = Office::new();
    for (step, waits) in [(90, false), (60, false), (1, true)] {
        let books = office.books("wangwu");
        let row = Row { line: 0, member: "aming".into(), points: step, reason: "帮忙".into() };
        let checked = grants::check(&office.reader, &books, &[row], false).unwrap().unwrap();
        let given = grants::give_one(&mut office.pipeline, &office.reader, &books, &checked, at(2)).unwrap();
        assert_eq!(given[0].waits, waits, "{step}");
    }
    assert_eq!(office.balances(), [152, 2, 2]);
    office.is_sound();
}

#[test]
fn by_chat_a_name_that_two_bear_is_asked_back_and_an_id_is_enough() {
    let mut office = Office::new();
    office.says("wangwu", "王五", "@积分助手 给 小红 加 5 分 帮忙", 2);
    assert_eq!(office.balances(), [2, 2, 2]);
    let head = office.reader.head().unwrap().event;
    let told = format!("{:?}", office.reader.replies_of(head).unwrap()[0].reply.args);
    assert!(told.contains("xiaohong、xiaohong2"), "{told}");
    office.says("wangwu", "王五", "@积分助手 给 xiaohong2 加 5 分 帮忙", 3);
    assert_eq!(office.balances(), [2, 2, 7]);
    let granted = office.reader.event(jifen::model::ids::EventSeq(office.reader.head().unwrap().event.0 - 1)).unwrap().unwrap();
    let notice = &office.reader.replies_of(granted.seq).unwrap()[0];
    assert_eq!((&notice.destination.chat, notice.state), (&None, ReplyState::Waiting), "the member is told privately");
    assert_eq!(notice.destination.to.as_ref().map(|(_, id)| &**id), Some("xiaohong2"));
    office.is_sound();
}

#[test]
fn a_caller_of_the_api_cannot_speak_for_an_operator() {
    let mut office = Office::new();
    office.hears(Channel::Api, "wangwu", "王五", "@积分助手 给 aming 加 10 分 冒充", 2);
    assert_eq!(office.balances(), [2, 2, 2]);
    office.says("wangwu", "王五", "@积分助手 给 aming 加 10 分 答疑", 3);
    assert_eq!(office.balances(), [12, 2, 2]);
    office.is_sound();
}

#[test]
fn help_tells_an_operator_what_only_operators_may_say() {
    let mut office = Office::new();
    let mut is_told = |id: &str, name: &str, hour| {
        office.says(id, name, "@积分助手 帮助", hour);
        let replies = office.reader.replies_of(office.reader.head().unwrap().event).unwrap();
        assert_eq!(replies[0].reply.template.occasion, Occasion::Help);
        replies.iter().any(|row| format!("{:?}", row.reply.args).contains("停用 每日签到"))
    };
    assert!(is_told("wangwu", "王五", 2));
    assert!(!is_told("aming", "阿明", 3));
}
