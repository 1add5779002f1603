//! The inbox in a real browser: what the page shows and what its buttons do. Needs Chromium:
//!
//!     GLASSBREAK_CHROMIUM=$(command -v chromium) cargo test -p glassbreak-examples --test axum_inbox_browser -- --ignored
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use glassbreak_core::call::{Arguments, Word};
use glassbreak_core::gate::Denied;
use glassbreak_examples::inbox::Inbox;
use glassbreak_examples::inbox::shop::{Shop, refund};
use glassbreak_examples::scratch::Scratch;
use serde_json::{Value, json};

/// A page of a browser of its own, spoken to through two pipes: no port is opened.
struct Page {
    browser: Child,
    to: File,
    from: BufReader<File>,
    session: Value,
    id: u64,
    _folder: Scratch,
}

impl Page {
    fn open(link: &str) -> Self {
        let program = std::env::var("GLASSBREAK_CHROMIUM").unwrap();
        let folder = Scratch::new("chromium").unwrap();
        let (to, from) = (folder.path().join("to"), folder.path().join("from"));
        assert!(Command::new("mkfifo").args([&to, &from]).status().unwrap().success());
        // Chromium reads commands from descriptor 3 and answers on 4.
        let browser = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<to 4>from", "sh", &program])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--remote-debugging-pipe", "--user-data-dir=profile", "about:blank"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut page = Self {
            browser,
            to: OpenOptions::new().write(true).open(to).unwrap(),
            from: BufReader::new(File::open(from).unwrap()),
            session: Value::Null,
            id: 0,
            _folder: folder,
        };
        let target = page.command("Target.createTarget", &json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.command("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        page.session = attached["sessionId"].clone();
        page.command("Page.navigate", &json!({ "url": link }));
        page
    }

    fn command(&mut self, method: &str, params: &Value) -> Value {
        self.id += 1;
        let mut message = json!({ "id": self.id, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut answer = Vec::new();
            self.from.read_until(0, &mut answer).unwrap();
            assert_eq!(answer.pop(), Some(0), "the browser ended");
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn js(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until `script` gives something.
    fn until(&mut self, script: &str) -> Value {
        let begun = Instant::now();
        loop {
            match self.js(script) {
                Value::Null | Value::Bool(false) => {}
                value if value == "" => {}
                value => return value,
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it never came to {script}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The text of what a selector finds; nothing while there is none, or only the page's own placeholder.
fn text_of(selector: &str) -> String {
    format!("(document.querySelector('{selector}')?.textContent ?? '').replace('…', '')")
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

#[tokio::test]
#[ignore = "needs Chromium: GLASSBREAK_CHROMIUM"]
async fn a_person_sees_what_is_asked_agrees_and_pulls_the_switch() {
    let shop = Shop::open("inbox-browser").await.unwrap();
    let (inbox, listener) = Inbox::open(shop.gate.clone(), shop.bell.clone(), 0, &["dana"])
        .await
        .unwrap();
    let link = inbox.links()[0].1.clone();
    tokio::spawn(inbox.serve(listener));

    let (asked, ask) = tokio::sync::oneshot::channel();
    let seen = tokio::task::spawn_blocking(move || {
        let mut page = Page::open(&link);
        assert_eq!(page.until(&text_of("#who")), "dana");
        assert!(
            !page.js("location.href").as_str().unwrap().contains("key="),
            "the key is in the address"
        );
        asked.send(()).unwrap();
        let text = page.until(&text_of("article .text"));
        // The agent's words are text on the page, and nothing else.
        assert!(
            text.as_str().unwrap().contains("<img src=x onerror=alert(1)>"),
            "{text}"
        );
        assert_eq!(
            page.js("document.querySelectorAll('article img, article script').length"),
            0
        );
        page.js("document.querySelector('article .once').click()");
        let told = page.until(&text_of("#told"));
        assert!(told.as_str().unwrap().starts_with("Approved by dana"), "{told}");
        page.until("document.querySelectorAll('article').length == 0");

        page.js("document.getElementById('why').value = 'enough'; document.getElementById('stop').click()");
        let locked = page.until(&text_of("#locks p"));
        assert_eq!(locked, "Locked: all by dana: enough");
    });
    ask.await.unwrap();
    let arguments = Arguments::new()
        .with("order", &1002)
        .with("cents", &12_000)
        .finish()
        .unwrap();
    let call = shop
        .session
        .because("<img src=x onerror=alert(1)>")
        .tool(Word::new("refund").unwrap(), arguments);
    let permit = call.authorize().await.unwrap();
    permit.run(async |_| Ok::<_, Denied>(())).await.unwrap();
    seen.await.unwrap();
    let Denied(denial) = refund(&shop.session, 1, 1).await.unwrap_err();
    assert_eq!(denial.rules()[0].as_str(), "lock.all");
}
