//! The daemon behind the demo: the same one `jifen serve` starts, by the demo's plan.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use tokio::task::spawn_blocking;

use crate::app::{App, Ended, Parts, ear};
use crate::backtest::{self, Ask};
use crate::demo::books::Explain;
use crate::demo::editor::Trial;
use crate::demo::history::{self, Booked};
use crate::demo::{Plan, Running};
use crate::model::day::Calendar;
use crate::model::journal::EventRow;
use crate::rules::campaign::Rules;
use crate::rules::explain::explain;
use crate::rules::file;
use crate::rules::versions::Versions;
use crate::store::Reader;
use crate::store::sqlite::SqliteReader;
use crate::store::sqlite::serving::Loss;
use crate::store::vault::{Vault, parse_master};

/// Starts it.
///
/// # Errors
/// The rules are wrong, the database cannot be opened, or the address is taken.
pub async fn start(plan: Plan) -> Result<Running> {
    let settings = &plan.settings;
    let (Some(database), Some(keys)) = (settings.database_path(), &settings.keys) else { bail!("演示的配置不完整") };
    let vault = parse_master(keys.master.expose()).map(Vault::new).map_err(anyhow::Error::msg)?;
    let text = fs::read_to_string(settings.rules.as_str()).with_context(|| format!("读不到 {}", settings.rules.as_str()))?;
    let (rules, _warnings) = file::load(&text).map_err(|mistakes| {
        let told: Vec<String> = mistakes.iter().map(|mistake| mistake.in_file(settings.rules.as_str())).collect();
        anyhow::anyhow!("规则文件有错:\n{}", told.join("\n"))
    })?;
    let rules = Arc::new(rules);
    let booked = if plan.talk && !database.exists() { Some(book(&plan, database.clone(), vault.clone(), rules.clone()).await?) } else { None };
    let parts =
        Parts { database: database.clone(), vault: vault.clone(), rules, rules_file: settings.rules.as_str().into(), clock: plan.clock, loss: Loss::Refuse };
    let app = App::open(settings, parts).await?.with_routes(plan.routes);
    let (addr, handle, desk) = (app.addr(), app.handle(), app.desk());
    let hear = ear(&handle);
    let reader = SqliteReader::open(&database, &vault)?;
    let explain = verdicts_in_words(SqliteReader::open(&database, &vault)?);
    let trial = trial(database, vault);
    let shutdown = plan.shutdown;
    let running = tokio::spawn(app.run(async move { drop(shutdown.await) }));
    let stopped = Box::pin(async move {
        match running.await.context("守护进程出错")? {
            Ended::Asked => Ok(()),
            Ended::DiskFailed => bail!("磁盘出错,演示停了"),
            Ended::WriterPanicked => bail!("程序出错,演示停了"),
        }
    });
    Ok(Running { addr, hear, handle, desk, booked, reader: Box::new(reader), explain, trial, stopped })
}

/// Books the talk a new demo begins with, beside everything else that goes on.
async fn book(plan: &Plan, database: PathBuf, vault: Vault, rules: Arc<Rules>) -> Result<Booked> {
    let (operators, now) = ((&plan.settings.operators).into(), plan.clock.now());
    spawn_blocking(move || history::book(&database, &vault, rules, operators, now)).await.context("示例聊天没有写完")?
}

/// Backtests on this database, each through a connection of its own.
fn trial(database: PathBuf, vault: Vault) -> Trial {
    Arc::new(move |live, new| {
        let reader = Box::new(SqliteReader::open(&database, &vault)?);
        let ask = Ask { new, name: "改后的规则".to_owned(), from: None, to: None, campaign: None, fingerprints: vault.fingerprint_key() };
        backtest::run(reader, live, &ask, &mut |_, _| {})
    })
}

/// Tells an event's verdicts under the rules it was decided by.
fn verdicts_in_words(reader: SqliteReader) -> Explain {
    let desk = Mutex::new((reader, Versions::default()));
    Arc::new(move |event: &EventRow| {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, versions) = &mut *desk;
        let rules = versions.get(event.rules, || reader.rules_text(event.rules)).ok().flatten();
        let calendar = rules
            .as_ref()
            .and_then(|rules| rules.campaigns.first())
            .map_or_else(|| Calendar::new(jiff::tz::TimeZone::UTC, 0), |campaign| campaign.calendar.clone());
        event.record.verdicts.iter().map(|verdict| explain(rules.as_deref(), verdict, &calendar, (event.at, event.at))).collect()
    })
}
