//! The inbox, by real HTTP requests: who may answer, from where, and what comes of it.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail like tests"
)]

use std::net::SocketAddr;
use std::time::Duration;

use glassbreak_core::gate::Denied;
use glassbreak_examples::inbox::Inbox;
use glassbreak_examples::inbox::shop::{Shop, refund};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A browser as far as this needs one: its cookie, and the token of its page.
struct Browser {
    at: SocketAddr,
    cookie: String,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

async fn ask(at: SocketAddr, text: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

impl Browser {
    async fn open(link: &str) -> Self {
        let rest = link.strip_prefix("http://").unwrap();
        let (at, query) = rest.split_once('/').unwrap();
        let first = ask(
            at.parse().unwrap(),
            &format!("GET /{query} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(first.status, 303);
        let cookie = first
            .head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap();
        assert!(
            cookie.contains("httponly") && cookie.contains("samesite=strict"),
            "{cookie}"
        );
        let location = first.head.lines().find_map(|line| line.strip_prefix("location: /#"));
        let browser = Self {
            at: at.parse().unwrap(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
            token: location.unwrap().to_owned(),
        };
        let page = browser.get("/").await;
        assert_eq!(page.status, 200);
        assert!(
            page.head
                .contains("content-security-policy: default-src 'none'; script-src 'nonce-")
        );
        assert!(!page.body.contains(&browser.token) && !page.body.contains(browser.cookie.split_once('=').unwrap().1));
        browser
    }

    async fn get(&self, path: &str) -> Answer {
        let Self { at, cookie, .. } = self;
        ask(
            *at,
            &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"),
        )
        .await
    }

    /// With everything as the page sends it, but for what `change` makes of the head.
    async fn post_as(&self, path: &str, body: &Value, change: impl Fn(String) -> String) -> Answer {
        let Self { at, cookie, token } = self;
        let body = body.to_string();
        let head = change(format!(
            "POST {path} HTTP/1.1\r\nHost: {at}\r\nOrigin: http://{at}\r\nCookie: {cookie}\r\nX-Inbox-Token: {token}\r\n"
        ));
        let length = body.len();
        ask(
            *at,
            &format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"),
        )
        .await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(path, body, |head| head).await
    }

    /// What the page is told next, from the first on that `wanted` holds of.
    async fn news(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let Self { at, cookie, token } = self;
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!("GET /news?token={token} HTTP/1.1\r\nHost: {at}\r\nCookie: {cookie}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let look = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let told = line
                    .strip_prefix("data: ")
                    .map(|data| serde_json::from_str::<Value>(data).unwrap());
                if let Some(told) = told.filter(&wanted) {
                    return Some(told);
                }
            }
            None
        };
        let told = tokio::time::timeout(Duration::from_secs(20), look).await.unwrap();
        told.unwrap()
    }

    /// The one card that is asked about.
    async fn card(&self) -> Value {
        let one = |told: &Value| told["cards"].as_array().is_some_and(|cards| cards.len() == 1);
        self.news(one).await["cards"][0].clone()
    }
}

fn vote(card: &Value, say: &str) -> Value {
    json!({ "id": card["id"], "card": card["card"], "say": say, "reason": "not today" })
}

struct Story {
    shop: Shop,
    dana: Browser,
    lee: Browser,
}

impl Story {
    async fn new(name: &str) -> Self {
        let shop = Shop::open(name).await.unwrap();
        let opened = Inbox::open(shop.gate.clone(), shop.bell.clone(), 0, &["dana", "lee"]).await;
        let (inbox, listener) = opened.unwrap();
        let links = inbox.links();
        tokio::spawn(inbox.serve(listener));
        let link = |name: &str| links.iter().find(|(whose, _)| **whose == *name).unwrap().1.clone();
        Self {
            dana: Browser::open(&link("dana")).await,
            lee: Browser::open(&link("lee")).await,
            shop,
        }
    }

    fn asks(&self, order: u64, cents: u64) -> tokio::task::JoinHandle<Result<String, Denied>> {
        let session = self.shop.session.clone();
        tokio::spawn(async move { refund(&session, order, cents).await })
    }
}

#[tokio::test]
async fn a_card_appears_by_itself_and_one_yes_lets_the_call_through() {
    let story = Story::new("inbox-yes").await;
    let person = async {
        let card = story.dana.card().await;
        assert!(card["text"].as_str().unwrap().contains("cents = 12000"), "{card}");
        assert_eq!(card["window"], "5m");
        let told = story.dana.post("/answer", &vote(&card, "once")).await;
        (card, told)
    };
    // The page is open before anybody asks.
    let agent = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        refund(&story.shop.session, 1002, 12_000).await
    };
    let ((card, told), done) = tokio::join!(person, agent);
    assert_eq!(
        (told.status, told.body.starts_with("Approved by dana")),
        (200, true),
        "{}",
        told.body
    );
    assert_eq!(done.unwrap(), "120.00 given back for order 1002");
    // A second answer is too late, and says so.
    assert_eq!(story.lee.post("/answer", &vote(&card, "deny")).await.status, 409);
}

#[tokio::test]
async fn two_persons_are_two_links_and_a_no_comes_with_its_reason() {
    let story = Story::new("inbox-two").await;
    let call = story.asks(1004, 60_000);
    let card = story.dana.card().await;
    assert_eq!(card["window"], Value::Null);
    assert_eq!(story.dana.post("/answer", &vote(&card, "window")).await.status, 409);
    assert_eq!(story.dana.post("/answer", &vote(&card, "once")).await.status, 200);
    assert_eq!(
        story.dana.post("/answer", &vote(&card, "once")).await.status,
        409,
        "one person, one vote"
    );
    assert_eq!(story.lee.card().await["agreed"], json!(["dana"]));
    let other = json!({ "id": card["id"], "card": "00", "say": "once" });
    assert_eq!(
        story.lee.post("/answer", &other).await.status,
        409,
        "another card than the one that was shown"
    );
    assert_eq!(story.lee.post("/answer", &vote(&card, "deny")).await.status, 200);
    let Denied(denial) = call.await.unwrap().unwrap_err();
    assert!(denial.why().contains("not today"), "{denial}");
}

#[tokio::test]
async fn the_kill_switch_stops_everything_until_it_is_lifted() {
    let story = Story::new("inbox-lock").await;
    let call = story.asks(1002, 12_000);
    story.dana.card().await;
    assert_eq!(
        story.lee.post("/lock", &json!({})).await.status,
        409,
        "it wants a reason"
    );
    assert_eq!(
        story
            .lee
            .post("/lock", &json!({ "reason": "what is this?" }))
            .await
            .status,
        200
    );
    let locked = |told: &Value| told["locks"].as_array().is_some_and(|locks| !locks.is_empty());
    let told = story.dana.news(locked).await;
    assert_eq!(told["locks"][0], "all by lee: what is this?");
    assert_eq!(told["cards"], json!([]), "what was asked is withdrawn");
    assert!(call.await.unwrap().is_err());
    let Denied(denial) = refund(&story.shop.session, 1, 1).await.unwrap_err();
    assert_eq!(denial.rules()[0].as_str(), "lock.all");
    assert_eq!(
        story.lee.post("/unlock", &json!({ "reason": "seen to" })).await.status,
        200
    );
    assert!(refund(&story.shop.session, 1, 1).await.is_ok());
}

#[tokio::test]
async fn what_does_not_come_from_the_page_of_a_person_is_refused() {
    let story = Story::new("inbox-guards").await;
    let call = story.asks(1002, 12_000);
    let card = story.dana.card().await;
    let (dana, body) = (&story.dana, vote(&card, "once"));
    let (at, port) = (dana.at, dana.at.port());
    let without = |name: &'static str| {
        move |head: String| {
            let kept = head.split_inclusive("\r\n").filter(|line| !line.starts_with(name));
            kept.collect::<String>()
        }
    };
    for name in ["Origin", "Cookie", "X-Inbox-Token", "Host"] {
        let answer = dana.post_as("/answer", &body, without(name)).await;
        assert!((400..500).contains(&answer.status), "{name}: {}", answer.status);
    }
    let own = format!("http://{at}");
    for origin in [
        "null",
        "http://evil.example",
        "https://127.0.0.1",
        &format!("http://127.0.0.1:{}", port ^ 1),
    ] {
        let changed = |head: String| head.replace(&format!("Origin: {own}"), &format!("Origin: {origin}"));
        assert_eq!(dana.post_as("/answer", &body, changed).await.status, 403, "{origin}");
    }
    // A page elsewhere whose name points here.
    let rebound = |head: String| head.replace(&at.to_string(), &format!("evil.example:{port}"));
    assert_eq!(dana.post_as("/answer", &body, rebound).await.status, 421);
    // Somebody else's token, somebody's guess, and two cookies.
    let lees = |head: String| head.replace(&dana.token, &story.lee.token);
    assert_eq!(dana.post_as("/answer", &body, lees).await.status, 403);
    let guess = |head: String| head.replace(&dana.cookie, "inbox=0000");
    assert_eq!(dana.post_as("/answer", &body, guess).await.status, 401);
    let twice = |head: String| head.replace(&dana.cookie, &format!("inbox=0000; {}", dana.cookie));
    assert_eq!(dana.post_as("/answer", &body, twice).await.status, 401);
    // By GET nothing changes, and without a cookie nothing is shown.
    assert_eq!(dana.get(&format!("/answer?token={}", dana.token)).await.status, 405);
    let stranger = ask(
        at,
        &format!("GET /news HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
    )
    .await;
    assert_eq!(stranger.status, 401);
    assert!(!stranger.body.contains("1002"));
    // After all that it is still asked.
    assert_eq!(story.lee.card().await["agreed"], json!([]));
    assert_eq!(dana.post("/answer", &body).await.status, 200);
    assert!(call.await.unwrap().is_ok());
}

/// Cookies know no ports: a server of the agent's on this machine, which a person opens, is sent this one.
#[tokio::test]
async fn whoever_has_only_the_cookie_sees_nothing_and_answers_nothing() {
    let story = Story::new("inbox-cookie").await;
    let call = story.asks(1002, 12_000);
    let (card, dana) = (story.dana.card().await, &story.dana);
    let (_, key) = dana.cookie.split_once('=').unwrap();
    let thief = Browser {
        at: dana.at,
        cookie: dana.cookie.clone(),
        token: key.to_owned(),
    };
    for path in [
        "/",
        "/news",
        &format!("/news?token={key}"),
        &format!("/?key={key}"),
        &format!("/news?key={key}"),
    ] {
        let answer = thief.get(path).await;
        let told = [&*answer.head, &*answer.body].concat();
        assert!(!told.contains(&dana.token) && !told.contains("1002"), "{path}: {told}");
        assert_eq!(answer.status == 200, path == "/", "{path}");
    }
    assert_eq!(thief.post("/answer", &vote(&card, "once")).await.status, 403);
    assert_eq!(dana.post("/answer", &vote(&card, "once")).await.status, 200);
    assert!(call.await.unwrap().is_ok());
}

#[tokio::test]
async fn it_listens_on_the_loopback_alone() {
    let story = Story::new("inbox-loopback").await;
    assert!(story.dana.at.ip().is_loopback());
}
