//! A directory with everything a daemon needs, the daemon in it, and the command line beside it.

use std::fs;
use std::io::{BufRead, BufReader, PipeWriter};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use jifen::store::sqlite::{SqliteReader, SqliteStore};
use jifen::store::vault::{Vault, parse_master};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::wecom::{AGENT_ID, AIBOT_TOKEN, APP_TOKEN, CORP_ID, KEY, ROBOT_TOKEN};

/// How long anything may take before the test fails: many times what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The program under test.
pub const JIFEN: &str = env!("CARGO_BIN_EXE_jifen");
/// Nobody listens there: an API that is dead.
const DEAD_API: &str = "http://127.0.0.1:9";
const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Rules for tests that care for the message more than for the points.
pub const RULES: &str = "[check_in.daily]\ntitle = \"每日签到\"\nkeywords = [\"签到\"]\npoints = 2\n\n\
                         [speaking.talk]\ntitle = \"发言\"\npoints = 1\nmin_chars = 1\nmin_distinct = 1\ncool_down = \"0s\"\nmax_points = { day = 1000 }\n";

/// A directory with jifen.toml, rules and key. Removed at the end; kept when the test fails.
pub struct House {
    dir: PathBuf,
}

/// What a verb of the command line did.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Runs a command with nothing on its stdin.
    pub fn of(command: &mut Command) -> Ran {
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            err: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }
}

impl House {
    /// A house whose API is dead.
    pub fn new(name: &str, rules: &str) -> House {
        House::with_api(name, rules, DEAD_API)
    }

    /// A house whose API is at `api_base`.
    pub fn with_api(name: &str, rules: &str, api_base: &str) -> House {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("process-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let house = House { dir };
        house.write("rules.toml", rules);
        house.write("master.key", MASTER);
        house.configure("127.0.0.1:0", &house.path("jifen.db"), api_base);
        house
    }

    /// Writes jifen.toml anew.
    pub fn configure(&self, listen: &str, database: &Path, api_base: &str) {
        let keys = |token: &str| format!("token = \"{token}\"\nencoding_aes_key = \"{KEY}\"\n");
        let text = format!(
            "listen = \"{listen}\"\ndatabase = \"sqlite:{}\"\nrules = \"{}\"\n[keys]\nmaster = \"file:{}\"\n\
             [corp.acme]\ncorp_id = \"{CORP_ID}\"\napi_base = \"{api_base}\"\n\
             [corp.acme.app.assistant]\nagent_id = {AGENT_ID}\nsecret = \"secret\"\n{}\n[corp.acme.aibot.helper]\n{}\n\
             [corp.acme.robot.announcer]\nwebhook_key = \"webhook\"\ngroups = [\"wrGroup\"]\n{}",
            database.display(),
            self.path("rules.toml").display(),
            self.path("master.key").display(),
            keys(APP_TOKEN),
            keys(AIBOT_TOKEN),
            keys(ROBOT_TOKEN),
        );
        self.write("jifen.toml", &text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// `jifen serve` of this house, not started yet.
    pub fn serve(&self) -> Command {
        let mut command = Command::new(JIFEN);
        command.arg("serve").arg("--config").arg(self.path("jifen.toml"));
        command
    }

    /// Starts the daemon.
    pub async fn open(&self) -> Daemon {
        Daemon::start(self.serve(), self.path("stderr.log")).await.unwrap_or_else(|ended| panic!("it does not start: {ended:?}"))
    }

    /// Starts a daemon that must not come up, and says what it said instead.
    pub async fn refused(&self, command: Command) -> (Option<i32>, String) {
        match Daemon::start(command, self.path("refused.log")).await {
            Ok(daemon) => panic!("it listens on {}", daemon.addr),
            Err(refused) => refused,
        }
    }

    /// Runs a verb in this directory with this house's jifen.toml, which is found there.
    pub fn jifen(&self, args: &[&str]) -> Ran {
        Ran::of(Command::new(JIFEN).args(args).current_dir(&self.dir))
    }

    /// The same, where what it prints goes into this pipe.
    pub fn unheard(&self, args: &[&str], out: PipeWriter) -> Ran {
        Ran::of(Command::new(JIFEN).args(args).current_dir(&self.dir).stdout(out))
    }

    /// The rows of an export.
    pub fn export(&self, what: &str) -> Vec<Value> {
        let ran = self.jifen(&["export", what, "--format", "jsonl"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.lines().map(|line| serde_json::from_str(line).expect("a row")).collect()
    }

    /// `jifen verify`, which must find nothing.
    pub fn must_verify(&self) {
        let ran = self.jifen(&["verify"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }

    /// The database, read.
    pub fn reader(&self) -> SqliteReader {
        let vault = Vault::new(parse_master(MASTER).expect("a good key"));
        SqliteReader::open(&self.path("jifen.db"), &vault).expect("a readable database")
    }

    /// The database, written beside whoever else writes.
    pub fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.path("jifen.db"), &Vault::new(parse_master(MASTER).expect("a good key"))).expect("a writable database")
    }

    /// What the daemons of this house logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("stderr.log")).unwrap_or_default()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if !thread::panicking() {
            // What cannot be removed is left in target/tmp.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub addr: SocketAddr,
    pub pid: Pid,
    ended: Option<oneshot::Receiver<ExitStatus>>,
    end: Option<ExitStatus>,
}

impl Daemon {
    /// Starts a command and reads the address from its first line; if it ends before, its exit code and what it wrote to stderr.
    pub async fn start(mut command: Command, log: PathBuf) -> Result<Daemon, (Option<i32>, String)> {
        let stderr = fs::File::options().create(true).append(true).open(&log).expect("a log");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().expect("it starts");
        let pid = Pid::from_child(&child);
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let ((tell_line, line), (tell_end, end)) = (oneshot::channel(), oneshot::channel());
        thread::spawn(move || {
            let mut line = String::new();
            let read = out.read_line(&mut line).map(|_| line);
            // Nobody listens any more once the test has failed.
            let _ = tell_line.send(read);
            let _ = tell_end.send(child.wait().expect("a child of ours"));
        });
        let line = timeout(PATIENCE, line).await.expect("a first line in time").expect("the thread lives").expect("readable");
        let daemon = match line.trim().strip_prefix("listening on http://") {
            Some(addr) => Daemon { addr: addr.parse().expect("an address"), pid, ended: Some(end), end: None },
            None => {
                let status = timeout(PATIENCE, end).await.expect("it ends in time").expect("a status");
                return Err((status.code(), fs::read_to_string(&log).expect("a log")));
            }
        };
        Ok(daemon)
    }

    /// kill -9
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.end().await;
    }

    /// Its end after a signal that was sent before.
    pub async fn ended(mut self) {
        self.end().await;
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.end().await.code()
    }

    /// SIGTERM if it still runs, and how it ended.
    pub async fn stop_if_alive(mut self) -> Option<i32> {
        // Who is gone already hears nothing.
        let _ = kill_process(self.pid, Signal::TERM);
        self.end().await.code()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("it still runs");
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        if let Some(status) = self.has_ended() {
            return status;
        }
        let ended = self.ended.as_mut().expect("it ends once");
        let status = timeout(PATIENCE, ended).await.expect("it ends in time").expect("a status");
        self.ended = None;
        self.end = Some(status);
        status
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.ended.as_mut().and_then(|ended| ended.try_recv().ok()) {
            self.ended = None;
            self.end = Some(status);
        }
        self.end
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut ended) = self.ended.take()
            && ended.try_recv().is_err()
        {
            // It may be ending by itself just now.
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}
