//! The demo: the whole daemon on this machine with no keys, and a WeCom that lives in the same process.
//!
//! ```text
//! page ─▶ stage ─▶ sender ─POST, encrypted─▶ the daemon's own route … outbox ─▶ wecom (API double) ─▶ scene ─▶ page
//!      ─▶ editor ─▶ gate, backtest; keeper ─▶ rules.toml, live
//! ```

pub mod daemon;
pub mod history;
pub mod tenant;
pub mod wecom;
pub mod sender;
pub mod scene;
pub mod books;
pub mod stage;
pub mod crowd;
pub mod presets;
pub mod editor;
pub mod page;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use axum::Router;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::demo::books::{Books, Explain};
use crate::demo::editor::{Editor, Trial};
use crate::demo::history::Booked;
use crate::demo::scene::Scene;
use crate::demo::sender::Sender;
use crate::demo::stage::Stage;
use crate::demo::tenant::Tenant;
use crate::demo::wecom::Double;
use crate::keeper::Desk;
use crate::pipeline::Handle;
use crate::settings::Settings;
use crate::store::Reader;
use crate::web::Hear;
use crate::web::server::{BindError, Server};

/// Where the page is unless told otherwise; another port when this one is taken.
const LISTEN: &str = "127.0.0.1:8787";
/// A free port of this machine.
const ANY_PORT: &str = "127.0.0.1:0";
/// The company's ids and keys, in a directory that is kept.
const TENANT_FILE: &str = "tenant.json";

/// What `jifen demo` was told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Address of the page; 127.0.0.1:8787 when not told.
    pub listen: Option<String>,
    /// Keep everything in this directory; a temporary one when not told.
    pub keep: Option<PathBuf>,
    /// The rules.toml to begin with.
    pub rules_text: String,
    /// Begin a new database with nothing in it; with four weeks of talk when not told.
    pub empty: bool,
}

/// What the daemon is to be started with.
pub struct Plan {
    /// Its jifen.toml; `rules` and `database` lie in one directory.
    pub settings: Settings,
    /// The clock to go by.
    pub clock: Clock,
    /// Begin a new database with four weeks of talk.
    pub talk: bool,
    /// Routes to serve beside its own.
    pub routes: Router,
    /// Comes when it has to stop.
    pub shutdown: oneshot::Receiver<()>,
}

/// A daemon that runs.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its ear.
    pub hear: Hear,
    /// Its pipeline.
    pub handle: Handle,
    /// The keeper of its rules.
    pub desk: Desk,
    /// The talk it began with, if any.
    pub booked: Option<Booked>,
    /// A connection to its store.
    pub reader: Box<dyn Reader>,
    /// Verdicts in words.
    pub explain: Explain,
    /// Backtests.
    pub trial: Trial,
    /// Ends when it has stopped.
    pub stopped: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

/// A demo that runs. Stop it; dropping it leaves the daemon to itself.
pub struct Demo {
    /// Where the page is: `http://{addr}/demo`.
    pub addr: SocketAddr,
    /// What `/api/v1` is called with.
    pub api_token: String,
    /// Everything on it, for tests that act without a browser.
    pub stage: Arc<Stage>,
    stop: oneshot::Sender<()>,
    stopped: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
    tasks: [JoinHandle<()>; 2],
    _home: Home,
}

/// Starts a demo.
///
/// # Errors
/// The rules are wrong, the directory cannot be used, or the address is taken.
pub async fn start(options: Options) -> Result<Demo> {
    let home = Home::open(options.keep)?;
    let tenant = home.tenant()?;
    let clock = Clock::default();
    let double = Double::new(tenant.clone(), clock.clone());
    let api = Server::bind(ANY_PORT).await?;
    double.listens_at(api.addr());
    let listen = free_address(options.listen).await?;
    let settings = home.settings(&tenant, &listen, double.api_base(), &options.rules_text)?;
    let curtain: page::Curtain = Arc::new(OnceLock::new());
    let (stop, shutdown) = oneshot::channel();
    let api = tokio::spawn(api.run(double.routes(), std::future::pending()));
    let running = daemon::start(Plan { settings, clock: clock.clone(), talk: !options.empty, routes: page::routes(Arc::clone(&curtain)), shutdown }).await?;
    let api_token = tenant.api_token.clone();
    let sender = Sender::new(tenant, clock.clone(), running.addr)?;
    let scene = Scene::default();
    scene.feed(0, clock.now()).people.iter().filter(|person| !person.customer).for_each(|person| double.know(&person.id));
    let books = Books::new(running.reader, running.explain);
    let editor = Editor::new(running.desk, running.trial, running.handle.rules());
    let stage = Arc::new(Stage { scene, clock, double, sender, hear: running.hear, handle: running.handle, books, editor });
    stage.open(running.booked);
    let follow = tokio::spawn(Arc::clone(&stage).follow());
    // The curtain is new, so nobody set it before.
    let _ = curtain.set(Arc::clone(&stage));
    Ok(Demo { addr: running.addr, api_token, stage, stop, stopped: running.stopped, tasks: [api, follow], _home: home })
}

impl Demo {
    /// Stops the daemon and the double; a temporary directory is gone afterwards.
    pub async fn stop(self) -> Result<()> {
        // A daemon that is already gone needs no telling.
        let _ = self.stop.send(());
        self.stage.scene.wake();
        let stopped = self.stopped.await;
        self.tasks.iter().for_each(JoinHandle::abort);
        stopped
    }
}

/// `jifen demo`: starts a demo, says where it is, and stops it when `shutdown` comes.
///
/// # Errors
/// Those of [`start`], and a daemon that ended badly.
pub async fn run(options: Options, shutdown: impl Future<Output = ()>) -> Result<()> {
    let kept = options.keep.clone();
    let demo = start(options).await?;
    println!("积分演示已启动,打开 http://{}/demo", demo.addr);
    println!("外部系统报告事件:{}", curl(demo.addr, &demo.api_token));
    match kept {
        Some(dir) => println!("数据保存在 {}", dir.display()),
        None => println!("数据在临时目录里,按 Ctrl-C 退出时自动删除(想留下就加 --keep 目录)"),
    }
    shutdown.await;
    demo.stop().await
}

/// A call of the API that can be pasted into a terminal.
fn curl(addr: SocketAddr, token: &str) -> String {
    let event = r#"{"id":"v-1","at":"2026-11-22T09:00:00+08:00","member":"阿明","happened":{"event":"verified"}}"#;
    format!("\n  curl http://{addr}/api/v1/events -H 'Authorization: Bearer {token}' -d '{event}'")
}

/// The address asked for, or the usual one if nobody is there, or a free one.
async fn free_address(wanted: Option<String>) -> Result<String, BindError> {
    if let Some(addr) = wanted {
        return Ok(addr);
    }
    match Server::bind(LISTEN).await {
        Ok(_) => Ok(LISTEN.to_owned()),
        Err(BindError::InUse { .. } | BindError::Other { .. }) => Ok(ANY_PORT.to_owned()),
    }
}

/// The directory of a demo; a temporary one goes with it.
struct Home {
    dir: PathBuf,
    temporary: bool,
}

impl Home {
    fn open(keep: Option<PathBuf>) -> Result<Self> {
        let temporary = keep.is_none();
        let dir = keep.unwrap_or_else(|| std::env::temp_dir().join(format!("jifen-demo-{}", tenant::hex(8))));
        fs::create_dir_all(&dir).with_context(|| format!("不能建立目录 {}", dir.display()))?;
        let dir = fs::canonicalize(&dir).with_context(|| format!("打不开目录 {}", dir.display()))?;
        Ok(Home { dir, temporary })
    }

    /// The company that lives here, or a new one.
    fn tenant(&self) -> Result<Tenant> {
        let path = self.dir.join(TENANT_FILE);
        if let Ok(text) = fs::read_to_string(&path) {
            return serde_json::from_str(&text).with_context(|| format!("{} 不是演示留下的文件,请换一个目录", path.display()));
        }
        let tenant = Tenant::generate();
        write_private(&path, &serde_json::to_string_pretty(&tenant)?)?;
        Ok(tenant)
    }

    /// Writes jifen.toml, and rules.toml unless somebody has edited one here.
    fn settings(&self, tenant: &Tenant, listen: &str, api_base: &str, rules_text: &str) -> Result<Settings> {
        let rules = self.dir.join("rules.toml");
        if !rules.exists() {
            fs::write(&rules, rules_text).with_context(|| format!("不能写 {}", rules.display()))?;
        }
        let text = tenant.settings(&self.dir, listen, api_base);
        write_private(&self.dir.join("jifen.toml"), &text)?;
        Settings::parse(&text).map_err(anyhow::Error::msg)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed is left to the system's own cleaning.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Writes a file that holds keys.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("不能写 {}", path.display()))
}
