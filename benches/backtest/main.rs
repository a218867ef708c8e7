//! How fast recorded history is decided again: `cargo bench --bench backtest`, or `-- --help` for its settings.
//!
//! Makes a month of a town's talk, books it in a database of its own, and then asks what another file would have paid. The time is that of both
//! worlds together, reading and unsealing included.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arc_swap::ArcSwap;
use clap::Parser;
use jifen::backtest::{self, Ask};
use jifen::model::day::Millis;
use jifen::model::event::{Channel, Event, GroupKind, Identity, IdentityKind, Kind, Place, Said, Via};
use jifen::model::ids::{EventKey, KeyBytes};
use jifen::pipeline::{Pipeline, Silent, Work};
use jifen::rules::campaign::Rules;
use jifen::rules::file;
use jifen::store::Reader;
use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::{Vault, random_key};

/// The rules under which the talk was paid.
const LIVE: &str = r#"
[check_in.daily]
keywords = ["签到"]
points = 2
streak = { 7 = 10 }

[speaking.talk]
points = 1
min_chars = 4
min_distinct = 2
cool_down = "30s"
max_points = { day = 5 }
"#;

/// 2026-10-01 00:00 in Shanghai.
const BEGINS: i64 = 1_790_784_000_000;
const DAY_MILLIS: i64 = 86_400_000;
const MESSAGES_PER_BATCH: usize = 1_024;

const TALK: [&str; 12] = [
    "今天骑了二十公里,风有点大",
    "明天一起去爬山吧,八点集合",
    "这本书读完了真好,推荐给大家",
    "晚上八点准时开始,别迟到",
    "哈哈",
    "收到",
    "群里有人知道怎么报名吗?",
    "谢谢大家,今天学到了很多",
    "下周的活动还有几个名额",
    "路上堵车,晚十分钟到",
    "签到",
    "打卡",
];

#[derive(Debug, Parser)]
struct Options {
    /// Messages of the history.
    #[arg(long, default_value_t = 200_000)]
    messages: usize,
    /// Different members.
    #[arg(long, default_value_t = 2_000)]
    members: usize,
    /// Days that it lasts.
    #[arg(long, default_value_t = 30)]
    days: i64,
    /// How often it is decided again.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let folder = std::env::temp_dir().join(format!("jifen-backtest-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let result = measure(&options, &folder.join("jifen.db"));
    std::fs::remove_dir_all(&folder)?;
    result
}

fn measure(options: &Options, path: &Path) -> Result<()> {
    let vault = Vault::new(random_key());
    let live = rules(LIVE)?;
    let pipeline = Pipeline::new(SqliteStore::open(path, &vault)?, Arc::new(ArcSwap::new(live.clone())), vault.fingerprint_key(), Box::new(Silent));
    book(pipeline, &live, options)?;
    println!("history    {:>10} messages of {} members in {} days; {:.1} MiB so far", options.messages, options.members, options.days, memory()?);
    let new = rules(&LIVE.replace("[\"签到\"]", "[\"签到\", \"打卡\"]"))?;
    for (what, new) in [("same file", live.clone()), ("2 keywords", new)] {
        for _ in 0..options.runs {
            let ask = Ask { new: new.clone(), name: what.into(), from: None, to: None, campaign: None, fingerprints: vault.fingerprint_key() };
            let reader: Box<dyn Reader> = Box::new(SqliteReader::open(path, &vault)?);
            let began = Instant::now();
            let report = backtest::run(reader, live.clone(), &ask, &mut |_, _| {})?;
            let took = began.elapsed().as_secs_f64();
            ensure!(report.events == options.messages as u64, "{} events were decided again", report.events);
            ensure!((what == "same file") == report.is_same(), "{what}: {:#?}", report.campaigns[0].total);
            println!("{what} {:>10.2} s, {:>9.0} messages/s; peak {:.1} MiB", took, options.messages as f64 / took, memory()?);
        }
    }
    Ok(())
}

fn rules(text: &str) -> Result<Arc<Rules>> {
    let (rules, _) = file::load(text).map_err(|mistakes| anyhow::anyhow!("{mistakes:?}"))?;
    Ok(Arc::new(rules))
}

fn book(mut pipeline: Pipeline<SqliteStore>, rules: &Arc<Rules>, options: &Options) -> Result<()> {
    let mut works = Vec::with_capacity(MESSAGES_PER_BATCH);
    let mut dice = 1_u64;
    for number in 0..options.messages {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = Millis(BEGINS + number as i64 * options.days * DAY_MILLIS / options.messages as i64);
        works.push(Work::Hear(Box::new(pipeline.prepare(rules, said(number, dice >> 33, at, options)))));
        if works.len() == MESSAGES_PER_BATCH {
            pipeline.run(&works)?;
            works.clear();
        }
    }
    pipeline.run(&works)?;
    Ok(())
}

fn said(number: usize, dice: u64, at: Millis, options: &Options) -> Event {
    let (member, text) = (dice % options.members as u64, TALK[(dice >> 16) as usize % TALK.len()]);
    let text = if text.chars().count() > 4 { format!("{text} {}", dice % 97) } else { text.to_owned() };
    Event {
        key: EventKey { source: "acme/archive/ww1".into(), key: KeyBytes::of(&number.to_string()) },
        corp: "acme".into(),
        at,
        received_at: at,
        clamped: false,
        place: Place::Group { chat: format!("wr{}", member % 20).as_str().into(), kind: GroupKind::Internal, title: None },
        who: Some(Identity { kind: IdentityKind::Userid, value: format!("member{member}").as_str().into() }),
        name: None,
        via: Via { channel: Channel::Replay, ..Via::default() },
        kind: Kind::Said(Said { text, ..Said::default() }),
    }
}

/// The most memory this process held so far, in MiB.
fn memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
