//! The server under load: `jifen serve` in a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jifen::store::sqlite::SqliteReader;
use jifen::store::vault::{Vault, parse_master};

/// Token of the callback.
pub const TOKEN: &str = "QDG6eK";
/// Its EncodingAESKey: the one of the official examples.
pub const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
/// The tenant.
pub const CORP_ID: &str = "wx5823bf96d3bd56c7";

const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const RULES: &str =
    "[check_in.daily]\nkeywords = [\"签到\"]\npoints = 5\n\n[speaking.evening]\nwhen = \"20:00-21:00\"\npoints = 1\nmax_points = { day = 20 }\n";
/// How long it may take until it can commit, and until it has stopped.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon; killed and its files removed when dropped.
pub struct Daemon {
    /// Where it listens.
    pub address: SocketAddr,
    /// From the start of the process to the first good `/readyz`.
    pub ready_after: Duration,
    child: Child,
    files: Files,
}

struct Files(PathBuf);

impl Daemon {
    /// Starts it and waits until it can commit.
    ///
    /// # Errors
    /// It cannot be started, or is not ready in time.
    pub fn start() -> Result<Self> {
        let files = Files::new()?;
        let start = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_jifen"));
        command.arg("serve").arg("--config").arg(files.path("jifen.toml")).env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut child = command.spawn().context("jifen does not start")?;
        let mut first = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut first)?;
        let address =
            first.trim().rsplit("//").next().and_then(|address| address.parse().ok()).with_context(|| format!("no address in its first line: {first:?}"))?;
        while !is_ready(address) {
            ensure!(start.elapsed() < PATIENCE, "not ready in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Daemon { address, ready_after: start.elapsed(), child, files })
    }

    /// A line of `/proc/PID/status` in MiB.
    ///
    /// # Errors
    /// No such line: not Linux, or the daemon has died.
    pub fn memory(&self, line: &str) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("the daemon's memory is read on Linux only")?;
        let kib = status.lines().find_map(|found| found.strip_prefix(line)).and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kib.with_context(|| format!("no {line}"))? / 1024.0)
    }

    /// Asks it to stop and opens what it wrote.
    ///
    /// # Errors
    /// It does not end well, or the database cannot be read.
    pub fn stop(mut self) -> Result<SqliteReader> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < PATIENCE, "not stopped in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        ensure!(status.success(), "the daemon ended with {status}");
        let master = parse_master(MASTER).map_err(anyhow::Error::msg)?;
        Ok(SqliteReader::open(&self.files.path("jifen.db"), &Vault::new(master))?)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Files {
    fn new() -> Result<Self> {
        let files = Files(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callbacks-{}", std::process::id())));
        fs::create_dir_all(&files.0)?;
        fs::write(files.path("rules.toml"), RULES)?;
        fs::write(files.path("master.key"), MASTER)?;
        let path = |name: &str| files.path(name).display().to_string();
        let settings = format!(
            "listen = \"127.0.0.1:0\"\ndatabase = \"sqlite:{}\"\nrules = \"{}\"\n[keys]\nmaster = \"file:{}\"\n\
             [corp.acme]\ncorp_id = \"{CORP_ID}\"\napi_base = \"http://127.0.0.1:9\"\n\
             [corp.acme.app.assistant]\nagent_id = 1000002\nsecret = \"unused\"\ntoken = \"{TOKEN}\"\nencoding_aes_key = \"{AES_KEY}\"\n",
            path("jifen.db"),
            path("rules.toml"),
            path("master.key"),
        );
        fs::write(files.path("jifen.toml"), settings)?;
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // A directory that cannot be removed is left in target/tmp.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}
