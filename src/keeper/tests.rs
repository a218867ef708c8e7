//! What the keeper takes, refuses, says and writes down, step by step.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;

use arc_swap::ArcSwap;

use super::*;
use crate::model::act::Act;
use crate::model::day::Millis;
use crate::model::event::{Channel, IdentityKind, Kind, Said};
use crate::model::ids::{EventKey, EventSeq, FingerprintKey};
use crate::pipeline::command::Operators;
use crate::pipeline::{Pipeline, Silent, start};
use crate::store::memory::{MemoryReader, MemoryStore};
use crate::store::{Reader, RulesChange};

const RULES: &str = "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 2\n";
/// 2026-11-22 12:00 in Shanghai.
const NOON: Millis = Millis(1_795_320_000_000);

fn with_points(points: i64) -> String {
    RULES.replace("points = 2", &format!("points = {points}"))
}

/// A folder with rules.toml, a pipeline in memory and the keeper between the two.
struct Office {
    folder: PathBuf,
    file: PathBuf,
    keeper: Keeper,
    handle: Handle,
    reader: MemoryReader,
    clock: Clock,
    writer: thread::JoinHandle<()>,
}

impl Office {
    async fn open(name: &str) -> Office {
        let folder = std::env::temp_dir().join(format!("jifen-keeper-{name}-{}", std::process::id()));
        // What an earlier run left.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("rules.toml");
        fs::write(&file, RULES).unwrap();
        let (store, clock) = (MemoryStore::default(), Clock::standing_at(NOON));
        let reader = store.reader();
        let rules = Arc::new(ArcSwap::new(Arc::new(file::load(RULES).unwrap().0)));
        let operators = Operators { members: Vec::new(), chat: Some("wrOps".into()) };
        let pipeline = Pipeline::new(store, rules, FingerprintKey::new(b"test"), Box::new(Silent)).with_operators(operators);
        let (handle, writer) = start(pipeline).unwrap();
        let (keeper, desk) = Keeper::new(&file, handle.clone(), clock.clone(), Some("acme".into()));
        drop(desk);
        let mut office = Office { folder, file, keeper, handle, reader, clock, writer };
        office.looks(3).await;
        assert_eq!(office.changes(), []);
        office
    }

    async fn looks(&mut self, count: usize) {
        for _ in 0..count {
            self.keeper.step().await;
        }
    }

    /// Saves a text, and what was told of it: whether it is live, and the words.
    async fn saves(&mut self, text: impl AsRef<[u8]>) -> Vec<(bool, String)> {
        let before = self.changes().len();
        self.clock.set(self.clock.now().plus_secs(1));
        fs::write(&self.file, text).unwrap();
        self.looks(4).await;
        self.changes().split_off(before).into_iter().map(|change| (change.accepted, change.told.to_string())).collect()
    }

    /// What was written down, oldest first.
    fn changes(&self) -> Vec<RulesChange> {
        let mut changes = self.reader.rules_changes(EventSeq(i64::MAX), 100).unwrap();
        changes.reverse();
        changes
    }

    fn live(&self) -> String {
        self.handle.rules().text.to_string()
    }

    /// 阿明 at this hour of the day.
    async fn hears(&self, id: &str, hour: i64, kind: Kind) -> EventSeq {
        let at = NOON.plus_secs((hour - 12) * 3600);
        let event = Event {
            key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(id) },
            corp: "acme".into(),
            at,
            received_at: self.clock.now(),
            clamped: false,
            place: Place::Single,
            who: Some(Identity { kind: IdentityKind::Userid, value: "aming".into() }),
            name: Some("阿明".into()),
            via: Via { channel: Channel::Archive, ..Via::default() },
            kind,
        };
        self.handle.hear(event).await.unwrap().seq
    }

    async fn says(&self, id: &str, hour: i64, text: &str) -> EventSeq {
        self.hears(id, hour, Kind::Said(Said { text: text.into(), ..Said::default() })).await
    }

    /// The postings of an event: their amounts, and the version that decided it.
    fn booked(&self, seq: EventSeq) -> (Vec<i64>, RulesHash) {
        let amounts = self.reader.postings_of(seq).unwrap().iter().map(|posting| posting.amount).collect();
        (amounts, self.reader.event(seq).unwrap().unwrap().rules)
    }

    async fn close(self) {
        self.handle.stop().await;
        self.writer.join().unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[tokio::test]
async fn a_good_file_goes_live_once_and_what_changed_is_told_in_the_operators_chat() {
    let mut office = Office::open("good").await;
    let (old, new) = (short(RulesHash::of(RULES)), short(RulesHash::of(&with_points(3))));
    let told = format!("rules.toml 已生效,版本 {old} → {new}:\ncheck_in.daily:2 分 → 3 分");
    assert_eq!(office.saves(with_points(3)).await, [(true, told)]);
    let change = office.changes().remove(0);
    assert_eq!((change.rules, &*change.by), (RulesHash::of(&with_points(3)), BY_FILE));
    let replies = office.reader.replies_of(change.event).unwrap();
    assert_eq!(replies.iter().map(|reply| reply.destination.chat.as_deref()).collect::<Vec<_>>(), [Some("wrOps")]);
    assert_eq!(office.saves(with_points(3)).await, [], "saved again as it was");
    assert_eq!(office.reader.rules_text(change.rules).unwrap().as_deref(), Some(&*with_points(3)));
    office.close().await;
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_place_and_the_old_rules_stay() {
    let mut office = Office::open("bad").await;
    let gbk = [RULES.as_bytes(), b"# \xc7\xa9\xb5\xbd\n"].concat();
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(RULES.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let failing = format!("{RULES}[[test]]\nname = \"三分\"\nchat = \"\"\"\n11-22 09:00 阿明: 签到 => +3\"\"\"\n");
    let bad: [(&str, Vec<u8>, &[&str]); 11] = [
        ("syntax", RULES.replace("= 2", "= ").into(), &["rules.toml:3:", "error[syntax]"]),
        ("half written", RULES[..30].into(), &["rules.toml:2:", "error[syntax]"]),
        ("meaning", RULES.replace("points", "pionts").into(), &["rules.toml:3:1: error[unknown-key]", "points"]),
        ("another kind", RULES.replace("= 2", "= \"two\"").into(), &["rules.toml:3:10: error[wrong-type]"]),
        ("failing test", failing.into(), &["rules.toml:7:", "error[test-failed]", "三分", "就把 [[test]] 里的得数一起改"]),
        ("GBK", gbk, &["rules.toml:4:4: error[not-utf8]", "GBK"]),
        ("UTF-16", utf16, &["error[not-utf8]", "UTF-16"]),
        ("NUL", RULES.replace("= 2", "= 2\0").into(), &["rules.toml:3:"]),
        ("empty", Vec::new(), &["rules.toml:1:1: error[no-rules]", "没存完或清空"]),
        ("comments only", "# 明天再写\n".into(), &["error[no-rules]"]),
        ("too long", "#".repeat((1 << 20) + 1).into(), &["error[too-large]"]),
    ];
    for (what, bytes, parts) in bad {
        let told = office.saves(bytes).await;
        assert!(told.len() == 1 && !told[0].0, "{what}: {told:?}");
        assert!(told[0].1.starts_with("rules.toml 没有采用,还在用原来的规则(版本 "), "{what}: {told:?}");
        assert!(parts.iter().all(|part| told[0].1.contains(part)), "{what}: {told:?}");
        assert_eq!(office.live(), RULES, "{what}");
    }
    office.close().await;
}

#[tokio::test]
async fn a_mark_at_the_beginning_and_windows_line_ends_are_no_mistake() {
    let mut office = Office::open("windows").await;
    let told = office.saves(format!("\u{feff}{}", RULES.replace('\n', "\r\n"))).await;
    assert!(told.len() == 1 && told[0].0 && told[0].1.ends_with("只改了注释、排版或测试,得分不变"), "{told:?}");
    office.close().await;
}

#[tokio::test]
async fn a_refusal_is_told_once_for_each_text_and_so_is_that_it_is_over() {
    let mut office = Office::open("once").await;
    let bad = RULES.replace("points", "pionts");
    assert_eq!(office.saves(&bad).await.len(), 1);
    assert_eq!(office.saves(&bad).await, [], "saved again, and refused before");
    let back = office.saves(RULES).await;
    assert_eq!(back, [(true, format!("rules.toml 恢复了,和正在用的规则一样,版本 {}", short(RulesHash::of(RULES))))]);
    assert_eq!(office.saves(&bad).await.len(), 1);
    let mended = office.saves(with_points(3)).await;
    assert!(mended.len() == 1 && mended[0].1.contains("改好了,已生效"), "{mended:?}");
    office.close().await;
}

#[tokio::test]
async fn a_file_that_is_away_is_told_after_some_seconds_and_so_is_its_return() {
    let mut office = Office::open("away").await;
    fs::remove_file(&office.file).unwrap();
    office.looks(UNREAD_MAX - 1).await;
    assert_eq!(office.changes(), [], "an editor may take it away for a moment");
    office.looks(UNREAD_MAX).await;
    assert_eq!(office.changes().len(), 1);
    let told = office.changes().remove(0).told;
    assert!(told.starts_with("读不到 rules.toml:文件不见了(被删掉、改名或挪走)。还在用原来的规则"), "{told}");
    assert!(told.contains(&format!("jifen rules show {}", short(RulesHash::of(RULES)))), "{told}");
    let back = office.saves(RULES).await;
    assert!(back.len() == 1 && back[0].1.starts_with("rules.toml 恢复了"), "{back:?}");
    fs::remove_file(&office.file).unwrap();
    office.looks(UNREAD_MAX - 1).await;
    assert_eq!(office.saves(RULES).await, []);
    office.close().await;
}

#[tokio::test]
async fn what_cannot_be_read_as_a_file_is_told_and_holds_nobody_up() {
    let mut office = Office::open("odd").await;
    fs::remove_file(&office.file).unwrap();
    fs::create_dir(&office.file).unwrap();
    office.looks(UNREAD_MAX).await;
    fs::remove_dir(&office.file).unwrap();
    symlink("/dev/zero", &office.file).unwrap();
    office.looks(2 * UNREAD_MAX).await;
    fs::remove_file(&office.file).unwrap();
    let told: Vec<Arc<str>> = office.changes().into_iter().map(|change| change.told).collect();
    assert!(told.len() == 1 && told[0].contains("是一个目录"), "told once while it lasts: {told:?}");
    assert!(office.saves(with_points(3)).await[0].0);

    fs::set_permissions(&office.file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&office.file).is_err() {
        // Nobody may forbid root to read.
        office.looks(UNREAD_MAX).await;
        assert!(office.changes().last().unwrap().told.contains("没有读它的权限"));
    }
    office.close().await;
}

#[tokio::test]
async fn every_way_of_saving_is_taken_and_touching_is_none() {
    let mut office = Office::open("ways").await;
    let (other, link) = (office.folder.join("other"), office.folder.join("..data"));
    fs::write(&other, with_points(3)).unwrap();
    fs::rename(&other, &office.file).unwrap();
    office.looks(3).await;
    assert_eq!(office.live(), with_points(3), "renamed over");
    fs::write(&other, with_points(4)).unwrap();
    symlink(&other, &link).unwrap();
    fs::rename(&link, &office.file).unwrap();
    office.looks(3).await;
    assert_eq!(office.live(), with_points(4), "a link in its place");
    fs::File::options().append(true).open(&other).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    office.looks(3).await;
    assert_eq!(office.changes().len(), 2, "touched");
    office.close().await;
}

#[tokio::test]
async fn of_many_saves_in_a_row_the_last_goes_live() {
    let mut office = Office::open("many").await;
    for points in 3..23 {
        fs::write(&office.file, with_points(points)).unwrap();
        office.looks(1).await;
    }
    assert_eq!(office.changes(), []);
    office.looks(3).await;
    assert_eq!((office.live(), office.changes().len()), (with_points(22), 1));
    office.close().await;
}

#[tokio::test]
async fn what_was_changed_while_no_daemon_ran_is_written_down_and_told_to_nobody() {
    let office = Office::open("start").await;
    let (file, handle, clock) = (office.file.clone(), office.handle.clone(), office.clock.clone());
    let again = || Keeper::new(&file, handle.clone(), clock.clone(), Some("acme".into())).0;
    again().after(RulesHash::of(RULES), Some(RULES)).step().await;
    assert_eq!(office.changes(), [], "the same as before");
    again().after(RulesHash::of(&with_points(1)), Some(&with_points(1))).step().await;
    let changes = office.changes();
    assert_eq!((changes.len(), &*changes[0].by, changes[0].accepted), (1, AT_START, true));
    assert!(changes[0].told.ends_with("check_in.daily:1 分 → 2 分"), "{changes:?}");
    assert!(office.reader.replies_of(changes[0].event).unwrap().is_empty());
    office.close().await;
}

fn proposal(text: String) -> Proposal {
    Proposal { text, base: None, by: "laoban".into(), asked: None, told: None, even_unwritten: false }
}

#[tokio::test]
async fn a_proposal_stands_in_the_file_and_keeps_what_was_saved_there_meanwhile() {
    let mut office = Office::open("proposal").await;
    let hash = office.keeper.take(proposal(with_points(3))).await.unwrap();
    assert_eq!((hash, fs::read_to_string(&office.file).unwrap()), (RulesHash::of(&with_points(3)), with_points(3)));
    assert!(!watched::backup(&office.file).exists());
    office.looks(3).await;
    assert_eq!(office.changes().iter().map(|change| &*change.by).collect::<Vec<_>>(), ["laoban"], "written by us, and no change of the file");

    let unfinished = RULES.replace("points", "pionts");
    office.saves(&unfinished).await;
    office.keeper.take(proposal(with_points(4))).await.unwrap();
    assert_eq!(fs::read_to_string(watched::backup(&office.file)).unwrap(), unfinished);
    assert!(office.changes().last().unwrap().told.contains("留在 "));
    office.looks(3).await;
    assert_eq!((office.live(), office.changes().len()), (with_points(4), 3));
    office.close().await;
}

#[tokio::test]
async fn a_proposal_that_is_bad_late_or_cannot_be_written_changes_nothing() {
    let mut office = Office::open("denied").await;
    let bad = office.keeper.take(proposal(RULES.replace("points", "pionts"))).await;
    assert!(matches!(bad, Err(Denied::Bad(examined)) if examined.errors() > 0));
    let late = office.keeper.take(Proposal { base: Some(RulesHash::of("old")), ..proposal(with_points(3)) }).await;
    assert!(matches!(late, Err(Denied::Changed)));
    fs::remove_file(&office.file).unwrap();
    fs::create_dir(&office.file).unwrap();
    let unwritable = office.keeper.take(proposal(with_points(3))).await;
    assert!(matches!(unwritable, Err(Denied::Unwritable { .. })), "{unwritable:?}");
    assert_eq!((office.live(), office.changes().len()), (RULES.to_owned(), 0));
    office.keeper.take(Proposal { even_unwritten: true, ..proposal(with_points(3)) }).await.unwrap();
    assert_eq!(office.live(), with_points(3));
    assert!(office.changes()[0].told.contains("写不了"), "{:?}", office.changes());
    office.close().await;
}

#[tokio::test]
async fn the_past_stays_as_it_was_decided_and_a_recall_takes_back_what_was_paid() {
    let mut office = Office::open("past").await;
    let (old, new) = (RulesHash::of(RULES), RulesHash::of(&with_points(5)));
    let first = office.says("m-1", 9, "签到").await;
    office.saves(with_points(5)).await;
    assert_eq!(office.booked(first), (vec![2], old));
    let again = office.says("m-1", 9, "签到").await;
    assert_eq!(again, first, "heard again it is still the same message");

    // Sent before the swap and heard after it: decided by what is live when it is heard. It came first that day, so it is the one that is
    // paid, and what the other one got under the old version is taken back.
    let late = office.says("m-0", 8, "签到").await;
    let (amounts, hash) = office.booked(late);
    assert_eq!((amounts.iter().sum::<i64>(), amounts.contains(&5), amounts.contains(&2), hash), (7, true, true, new));

    office.hears("r-0", 12, Kind::Recalled { of: KeyBytes::of("m-0") }).await;
    let account = office.reader.accounts(Default::default(), 9).unwrap().remove(0);
    assert_eq!(account.available, 2, "the first message stands again, and is paid what the version paid that it was decided under");
    office.close().await;
}

#[tokio::test]
async fn a_rule_that_is_taken_out_and_put_back_goes_on_counting() {
    let mut office = Office::open("back").await;
    let two = format!("{RULES}max_times = {{ day = 2 }}\n[check_in.other]\nkeywords = [\"早安\"]\npoints = 1\n");
    office.saves(&two).await;
    office.says("m-1", 9, "签到").await;
    office.saves("[check_in.other]\nkeywords = [\"早安\"]\npoints = 1\n").await;
    let without = office.says("m-2", 10, "签到").await;
    assert_eq!(office.booked(without).0, [] as [i64; 0]);
    office.saves(&two).await;
    let (second, third) = (office.says("m-3", 11, "签到").await, office.says("m-4", 12, "签到").await);
    assert_eq!((office.booked(second).0, office.booked(third).0), (vec![2], vec![]), "one was paid before it was taken out");
    office.close().await;
}

#[tokio::test]
async fn versions_are_found_by_their_first_letters() {
    let mut office = Office::open("shelf").await;
    assert_eq!(shelf::live(&office.reader).unwrap(), None);
    office.says("m-1", 9, "签到").await;
    let (old, new) = (RulesHash::of(RULES), RulesHash::of(&with_points(3)));
    assert_eq!((shelf::live(&office.reader).unwrap(), shelf::back(&office.reader, old).unwrap()), (Some(old), shelf::Back::Nowhere));
    office.saves(with_points(3)).await;
    office.says("m-2", 10, "你好").await;
    office.saves(RULES.replace("points", "pionts")).await;
    assert_eq!((shelf::live(&office.reader).unwrap(), shelf::back(&office.reader, new).unwrap()), (Some(new), shelf::Back::To(old)));
    assert_eq!((shelf::find(&office.reader, "live").unwrap(), shelf::find(&office.reader, &short(old).to_uppercase()).unwrap()), (new, old));
    assert_eq!(&*shelf::text(&office.reader, old).unwrap(), RULES);
    for (name, said) in [("12", "太短"), ("rules.toml", "没有版本"), ("", "没有版本"), ("ffffffffffffffffffffffffffffffffffff", "没有版本")] {
        assert!(shelf::find(&office.reader, name).unwrap_err().to_string().contains(said), "{name}");
    }
    office.saves(RULES).await;
    assert_eq!(shelf::back(&office.reader, old).unwrap(), shelf::Back::Again(new), "one more step would bring again what was taken away");
    office.close().await;
}

#[tokio::test]
async fn what_is_booked_of_a_change_is_an_event_like_any_other() {
    let mut office = Office::open("event").await;
    office.saves(with_points(3)).await;
    let seq = office.changes()[0].event;
    let row = office.reader.event(seq).unwrap().unwrap();
    assert_eq!((row.rules, row.at), (RulesHash::of(&with_points(3)), office.clock.now()));
    let contents = office.reader.contents(seq).unwrap().unwrap();
    assert!(matches!(serde_json::from_slice(&contents).unwrap(), Act::RulesChanged { accepted: true, .. }));
    office.close().await;
}
