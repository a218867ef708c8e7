//! What is counted, under which names, and the page a Prometheus reads.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

/// Callbacks by `channel` and `verdict`.
pub const CALLBACKS: &str = "jifen_callbacks_total";
/// Events told to the API, by `caller` and `verdict`; a body that is not taken counts once.
pub const API_EVENTS: &str = "jifen_api_events_total";
/// Requests whose handler met a bug of ours; each was answered 500.
pub const PANICS: &str = "jifen_panics_total";
/// Messages whose time could not be believed (0, or in the future), by `channel`: they count as sent when they came.
pub const CLAMPED: &str = "jifen_clamped_times_total";
/// Events in one transaction.
pub const BATCH_SIZE: &str = "jifen_batch_size";
/// How long a commit took, in seconds.
pub const COMMIT_SECONDS: &str = "jifen_commit_seconds";
/// Events that wait for the writer.
pub const QUEUE_DEPTH: &str = "jifen_queue_depth";
/// Replies by `outcome` and `way`.
pub const OUTBOX: &str = "jifen_outbox_total";
/// 1 while the outbox is held until an operator releases it.
pub const OUTBOX_HELD: &str = "jifen_outbox_held";
/// Private messages sent once more because their answer was lost.
pub const OUTBOX_REPEATS: &str = "jifen_outbox_repeats_total";
/// 1 while an app or robot can send, 0 while it rests or is stopped; by `corp` and `outlet`.
pub const OUTLET_OPEN: &str = "jifen_outlet_open";
/// Groups in which an app or robot can no longer speak; by `corp` and `outlet`.
pub const OUTLET_GROUPS_GONE: &str = "jifen_outlet_groups_gone";
/// Access tokens fetched, by `outcome`.
pub const TOKEN_REFRESHES: &str = "jifen_token_refreshes_total";
/// Bytes of the WAL beside the database.
pub const WAL_BYTES: &str = "jifen_wal_bytes";
/// How long ago `jifen backup` last finished, in seconds; absent before the first.
pub const BACKUP_AGE_SECONDS: &str = "jifen_backup_age_seconds";
/// Changes of rules.toml, by `outcome`: `live`, `refused`, `unreadable`.
pub const RULES_RELOADS: &str = "jifen_rules_reloads_total";
/// 1 for the version of rules.toml that is live (`hash`), 0 for those that were.
pub const RULES_INFO: &str = "jifen_rules_info";

const BATCH_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
const COMMIT_BUCKETS: [f64; 10] = [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];
/// Samples of histograms are kept one by one until they are counted into their buckets.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<PrometheusHandle> = OnceLock::new();

/// Starts counting in this process. Later calls give the same handle, so that several daemons may live in one test.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    if let Some(handle) = INSTALLED.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(BATCH_SIZE.into()), &BATCH_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(COMMIT_SECONDS.into()), &COMMIT_BUCKETS)?
        .build_recorder();
    let handle = INSTALLED.get_or_init(|| recorder.handle());
    if metrics::set_global_recorder(recorder).is_ok() {
        describe();
    }
    Ok(handle.clone())
}

fn describe() {
    metrics::describe_counter!(CALLBACKS, "Callbacks by channel and verdict.");
    metrics::describe_counter!(PANICS, "Requests that met a bug and were answered 500.");
    metrics::describe_counter!(CLAMPED, "Messages whose own time could not be believed.");
    metrics::describe_histogram!(BATCH_SIZE, "Events in one transaction.");
    metrics::describe_histogram!(COMMIT_SECONDS, metrics::Unit::Seconds, "Time of one commit.");
    metrics::describe_gauge!(QUEUE_DEPTH, "Events that wait for the writer.");
    metrics::describe_counter!(OUTBOX, "Replies by outcome and way.");
    metrics::describe_gauge!(WAL_BYTES, metrics::Unit::Bytes, "Size of the WAL beside the database.");
    metrics::describe_gauge!(BACKUP_AGE_SECONDS, metrics::Unit::Seconds, "Time since the last backup.");
    metrics::describe_gauge!(OUTBOX_HELD, "1 while the outbox is held until an operator releases it.");
    metrics::describe_counter!(OUTBOX_REPEATS, "Private messages sent once more because their answer was lost.");
    metrics::describe_gauge!(OUTLET_OPEN, "1 while an app or robot can send, 0 while it rests or is stopped.");
    metrics::describe_gauge!(OUTLET_GROUPS_GONE, "Groups in which an app or robot can no longer speak.");
    metrics::describe_counter!(API_EVENTS, "Events told to the API, by verdict; a body that is not taken counts once.");
    metrics::describe_counter!(TOKEN_REFRESHES, "Access tokens fetched.");
    metrics::describe_counter!(RULES_RELOADS, "Changes of rules.toml, by what became of them.");
    metrics::describe_gauge!(RULES_INFO, "1 for the live version of rules.toml.");
}

/// Keeps the histograms small, for ever. Abort it to stop.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut ticks = interval(UPKEEP_PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}
