//! Debian's Chromium, driven through chromedriver (W3C WebDriver over HTTP).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// A window of a browser of its own. Ends with the value.
pub struct Browser {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    session: String,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Opens a window of this size.
    pub fn open(width: u32, height: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut driver = Command::new("chromedriver")
            .args(["--port=0"])
            .env("TZ", "UTC")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of the package chromium-driver");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                Some(line.split_once("successfully on port ")?.1.trim_end_matches('.').to_owned())
            })
            .expect("chromedriver says its port");
        std::thread::spawn(move || lines.for_each(drop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(120)).build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let base = format!("http://127.0.0.1:{port}/session");
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let mut browser = Self { client, runtime, session: base, driver, _profile: profile };
        let options = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let session = browser.post("", &options)["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/{session}", browser.session);
        browser.resize(width, height);
        browser
    }

    /// Gives the page this much room.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Light or dark, as the user prefers.
    pub fn prefer(&self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Goes to `url`.
    pub fn visit(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What `script` returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text that a person sees in the first element that `selector` names; empty when there is none.
    pub fn text(&self, selector: &str) -> String {
        let script = format!("return (document.querySelector({}) || {{}}).innerText || ''", json!(selector));
        self.run(&script).as_str().unwrap().to_owned()
    }

    /// Clicks on the first element that `selector` names. In one step: the page may make it anew at any moment.
    pub fn click(&self, selector: &str) {
        self.run(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Presses the keys of `text` one after the other, wherever the focus is.
    pub fn press(&self, text: &str) {
        let press =
            |key: char| [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})];
        let keys: Vec<Value> = text.chars().flat_map(press).collect();
        self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]}));
    }

    /// What was logged to the console as an error or a warning since the last call.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let serious = |entry: &&Value| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING"));
        entries.as_array().unwrap().iter().filter(serious).map(ToString::to_string).collect()
    }

    /// What went over the network since the last call: method and parameters of Chrome's DevTools.
    pub fn network(&self) -> Vec<(String, Value)> {
        let entries = self.post("/se/log", &json!({"type": "performance"}));
        let read = |entry: &Value| {
            let entry: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &entry["message"];
            Some((message["method"].as_str()?.to_owned(), message["params"].clone()))
        };
        entries.as_array().unwrap().iter().filter_map(read).collect()
    }

    /// A picture of the window as PNG.
    pub fn picture(&self) -> Vec<u8> {
        use base64::Engine as _;
        let text = self.devtools("Page.captureScreenshot", &json!({"format": "png"}));
        base64::engine::general_purpose::STANDARD.decode(text["data"].as_str().unwrap()).unwrap()
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.runtime.block_on(async {
            let url = format!("{}{path}", self.session);
            let response = self.client.post(&url).json(body).send().await.unwrap();
            let status = response.status();
            let answer: Value = response.json().await.unwrap();
            assert!(status.is_success(), "{path} {body}: {answer}");
            answer["value"].clone()
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let closing = async { self.client.delete(&self.session).send().await };
        let _ = self.runtime.block_on(closing);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
