//! SIGKILL at seeded instants and at every single write and sync: either the whole of an operation is there or nothing of it.

use std::process::Command;

use rustix::process::Signal;

use crate::double::Double;
use crate::history::{History, replies_must_agree};
use crate::house::{Daemon, House, RULES};
use crate::senders::Chance;
use crate::wecom::{Callback, app_text, now_secs};

const SENDERS: usize = 8;
/// Kills of a usual run; `JIFEN_KILLS` asks for more.
const KILLS: usize = 8;
/// New messages of one life.
const MESSAGES: u64 = 40;
/// A start, its messages and its stop write less often than this: a run that is still killed here would be killed for ever.
const CALLS_MAX: usize = 2_000;

fn kills() -> usize {
    std::env::var("JIFEN_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS)
}

fn messages(from: u64, count: u64) -> Vec<Callback> {
    (from..from + count).map(|n| app_text(n, &format!("member{n}"), now_secs(), "签到")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_instant_loses_nothing_and_doubles_nothing() {
    let (mut chance, double, history) = (Chance::seeded(), Double::new(), History::new());
    let house = House::with_api("kills", RULES, &double.open().await);
    let mut said: Vec<Callback> = Vec::new();
    for kill in 0..kills() {
        let daemon = house.open().await;
        said.extend(messages(1 + said.len() as u64, MESSAGES));
        let open = history.open(&said);
        let doomed = history.acknowledged() + chance.below(open.len());
        let killing = async {
            history.until_acknowledged(doomed).await;
            // Somewhere in what follows the answer: a reply, the next commit, a checkpoint.
            for _ in 0..chance.below(200) {
                tokio::task::yield_now().await;
            }
            daemon.signal(Signal::KILL);
        };
        tokio::join!(history.send(&daemon, &open, SENDERS), killing);
        daemon.ended().await;
        history.must_agree(&house);
        replies_must_agree(&house, &double);
        if kill % 10 == 0 {
            house.must_verify();
        }
    }
    let daemon = house.open().await;
    history.settle(&daemon, &said, SENDERS).await;
    assert_eq!(daemon.stop().await, Some(0));
    history.must_agree(&house);
    replies_must_agree(&house, &double);
    house.must_verify();
    let accounts = house.export("accounts");
    assert_eq!(accounts.len(), said.len());
    assert!(accounts.iter().all(|account| account["balance"] == 2), "{accounts:?}");
    assert!(!house.log().contains("panicked"), "{}", house.log());
}

/// `jifen serve` under strace (a child of its own, so that signals reach the daemon), killed at the n-th such call of one of its threads.
fn killed_at(house: &House, call: &str, nth: usize) -> Command {
    let serve = house.serve();
    let mut command = Command::new("strace");
    command.args(["--daemonize", "--follow-forks", "--output=/dev/null"]).arg(format!("--trace={call}"));
    command.arg(format!("--inject={call}:signal=KILL:when={nth}")).arg(serve.get_program()).args(serve.get_args());
    command
}

/// From a new file on: the schema, some messages, a stop in good order.
async fn one_life(house: &House, history: &History, said: &[Callback], command: Command) -> bool {
    let Ok(daemon) = Daemon::start(command, house.path("stderr.log")).await else { return false };
    history.send(&daemon, said, 2).await;
    daemon.stop_if_alive().await == Some(0)
}

async fn killed_at_every(name: &str, call: &str) {
    let mut nth = 1;
    // Every call with JIFEN_KILLS, else further and further apart.
    let every = std::env::var_os("JIFEN_KILLS").is_some();
    loop {
        let house = House::new(&format!("killed-{name}-{nth}"), RULES);
        let (history, said) = (History::new(), messages(1, 12));
        let lived = one_life(&house, &history, &said, killed_at(&house, call, nth)).await;
        if house.path("jifen.db").exists() {
            let daemon = house.open().await;
            history.must_agree(&house);
            history.settle(&daemon, &said, 2).await;
            assert_eq!(daemon.stop().await, Some(0), "{call} {nth}");
            history.must_agree(&house);
            house.must_verify();
        }
        if lived {
            return assert!(nth > 1, "{call} is never called");
        }
        assert!(nth < CALLS_MAX, "it never lives through {nth} calls of {call}");
        nth += if every { 1 } else { 1 + nth / 6 };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_the_nth_sync_leaves_all_of_an_operation_or_nothing() {
    killed_at_every("sync", "fsync,fdatasync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_the_nth_write_leaves_all_of_an_operation_or_nothing() {
    killed_at_every("write", "pwrite64").await;
}
