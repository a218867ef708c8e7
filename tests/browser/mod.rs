//! A real browser for tests: Chromium by its driver, each with a profile of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::Url;
use serde_json::{Value, json};

/// How long the page may take to show something.
const PATIENCE: Duration = Duration::from_secs(15);
pub const DESK: (u32, u32) = (1280, 800);
pub const PHONE: (u32, u32) = (390, 800);

/// A browser of its own, gone with the test.
pub struct Browser {
    pub client: Client,
    driver: Child,
    profile: PathBuf,
}

impl Browser {
    pub async fn open(size: (u32, u32)) -> Browser {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver").arg(format!("--port={port}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let driver = driver.expect("chromedriver is installed (Debian: chromium-driver)");
        let profile = std::env::temp_dir().join(format!("jifen-browser-{port}"));
        let client = connect(port, size, &profile).await;
        Browser { client, driver, profile }
    }

    /// Opens the demo and waits until it knows its people.
    pub async fn visit(&self, address: &str) {
        self.client.goto(&format!("http://{address}/demo")).await.unwrap();
        self.find("[data-person=阿明]").await;
    }

    pub async fn find(&self, css: &str) -> fantoccini::elements::Element {
        self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// Writes a message and sends it with the button.
    pub async fn says(&self, text: &str) {
        let field = self.find("#text").await;
        field.send_keys(text).await.unwrap();
        self.click("#send").await;
    }

    /// Waits until an element of this kind holds the text.
    pub async fn sees(&self, css: &str, text: &str) {
        let script = "const [css, text] = arguments; return Array.from(document.querySelectorAll(css)).some(e => e.textContent.includes(text));";
        let asked = tokio::time::Instant::now();
        while !self.run(script, vec![json!(css), json!(text)]).await.as_bool().unwrap() {
            let shown = self.run("return document.getElementById('lines').innerText", vec![]).await;
            assert!(asked.elapsed() < PATIENCE, "{css} never showed {text}; the chat shows: {shown}");
        }
    }

    pub async fn run(&self, script: &str, args: Vec<Value>) -> Value {
        self.client.execute(script, args).await.unwrap()
    }

    /// What the page fetched from elsewhere.
    pub async fn fetched_elsewhere(&self) -> Value {
        let script =
            "return performance.getEntriesByType('resource').map(e => e.name).filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
        self.run(script, vec![]).await
    }

    /// The console: errors, warnings, what the content security policy refused.
    pub async fn console(&self) -> Value {
        self.client.issue_cmd(ReadConsole).await.unwrap()
    }

    /// Shows the books, where they are not beside the chat.
    pub async fn opens_the_books(&self) {
        self.run("if (document.getElementById('open').offsetParent && !document.querySelector('.drawer')) document.getElementById('open').click()", vec![])
            .await;
        self.still().await;
    }

    /// Puts them away.
    pub async fn closes_the_books(&self) {
        self.run("if (document.querySelector('.drawer')) document.getElementById('close').click()", vec![]).await;
        self.still().await;
    }

    /// Waits until nothing moves any more.
    async fn still(&self) {
        self.run("return Promise.all(document.getAnimations().map(moves => moves.finished)).then(() => null)", vec![]).await;
    }

    pub async fn close(self) {
        let _ = self.client.clone().close().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Chromium's own command: the console since it was read last.
#[derive(Debug)]
struct ReadConsole;

impl WebDriverCompatibleCommand for ReadConsole {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/se/log", session.expect("a session")))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "browser" }).to_string()))
    }
}

async fn connect(port: u16, (width, height): (u32, u32), profile: &std::path::Path) -> Client {
    let profile = profile.display();
    let mut options = json!({ "args": [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", format!("--user-data-dir={profile}"), format!("--window-size={width},{height}"),
    ]});
    if width < 600 {
        options["mobileEmulation"] = json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2, "touch": true } });
    }
    let capabilities = json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
    let capabilities = capabilities.as_object().unwrap().clone();
    let started = tokio::time::Instant::now();
    loop {
        match ClientBuilder::new(HttpConnector::new()).capabilities(capabilities.clone()).connect(&format!("http://127.0.0.1:{port}")).await {
            Ok(client) => return client,
            // The driver is not listening yet.
            Err(error) => assert!(started.elapsed() < PATIENCE, "no browser: {error}"),
        }
    }
}
