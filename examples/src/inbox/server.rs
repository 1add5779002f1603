//! The pages: the inbox itself, what is new, answers, and the kill switch.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};
use axum::http::{Method, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use futures_util::stream::{Stream, unfold};
use glassbreak_core::approval::{Answer, Ballot, RequestId};
use glassbreak_core::call::{Text, Word};
use glassbreak_core::desk::OperateError;
use glassbreak_core::error::shown_once;
use glassbreak_core::gate::Gate;
use glassbreak_core::lock::Target;
use glassbreak_core::notify::{came_of, needed};
use glassbreak_core::store::Unlocked;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::guards::{COOKIE_NAME, TOKEN, Visitor, Visitors, admit, link_key};
use super::{Bell, Key};

/// How often it is looked whether something changed that did not ring: a lock set by another process.
const LOOK: Duration = Duration::from_secs(1);
/// The longest answer.
const MOST: usize = 8 * 1024;

/// The inbox of one gate.
#[derive(Debug, Clone)]
pub struct Inbox {
    gate: Gate,
    bell: Bell,
    visitors: Arc<Visitors>,
    at: SocketAddr,
}

impl Inbox {
    /// Listens on the loopback, on `port` or, for 0, on any that is free. `bell` is among the gate's notifiers.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn open(gate: Gate, bell: Bell, port: u16, persons: &[&str]) -> io::Result<(Self, TcpListener)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let inbox = Self {
            gate,
            bell,
            visitors: Arc::new(Visitors::new(persons)?),
            at: listener.local_addr()?,
        };
        Ok((inbox, listener))
    }

    /// For each person the link that lets them in. Whoever has it is that person.
    pub fn links(&self) -> Vec<(Box<str>, String)> {
        self.visitors.links(self.at)
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When it can no longer listen.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let pages = Router::new()
            .route("/", get(page))
            .route("/news", get(news))
            .route("/answer", post(answer))
            .route("/lock", post(lock))
            .route("/unlock", post(unlock))
            .layer(middleware::from_fn_with_state(self.clone(), admit))
            .layer(DefaultBodyLimit::max(MOST))
            .with_state(self);
        axum::serve(listener, pages).await
    }

    pub(super) fn visitors(&self) -> &Visitors {
        &self.visitors
    }

    /// Whether a request that names `host` was meant for this.
    pub(super) fn is_named(&self, host: &str) -> bool {
        let port = self.at.port();
        [format!("127.0.0.1:{port}"), format!("localhost:{port}")].contains(&host.to_owned())
    }

    /// What there is now, as a page shows it.
    async fn state(&self, visitor: &Visitor) -> Value {
        let desk = self.gate.desk();
        let (pending, locks) = (desk.pending().await, desk.locks().await);
        let (Ok(pending), Ok(locks)) = (pending, locks) else {
            return json!({ "who": visitor.name, "broken": "the store does not answer" });
        };
        let cards = pending.iter().map(|request| {
            json!({
                "id": request.id.to_string(),
                "card": request.card.digest(),
                "text": request.card.text(),
                "needed": needed(request),
                "agreed": request.votes.iter().map(|vote| vote.person.as_str()).collect::<Vec<_>>(),
                "whole": request.card.is_whole(),
                "window": request.offer.as_ref().map(|offer| offer.span.to_string()),
                "deadline": request.deadline.as_millis(),
            })
        });
        let locks = locks.locks.iter();
        let locks = locks.map(|lock| format!("{} by {}: {}", lock.target, lock.by, shown_once(lock.reason.as_str())));
        json!({ "who": visitor.name, "cards": cards.collect::<Vec<_>>(), "locks": locks.collect::<Vec<_>>() })
    }
}

/// What an answer came to, for whoever gave it.
type Told = (StatusCode, String);

fn no(why: &dyn Display) -> Told {
    (StatusCode::CONFLICT, why.to_string())
}

async fn page(Extension(visitor): Extension<Visitor>, method: Method, uri: Uri) -> Result<Response, Told> {
    if link_key(&method, &uri).is_some() {
        // The key leaves the address, and with it the history and whatever one copies. The token goes where no browser
        // sends it by itself: behind `#`, from where the page takes it, and keeps it for this port alone.
        let cookie = visitor.cookie.as_str();
        let cookie = format!("{COOKIE_NAME}={cookie}; HttpOnly; SameSite=Strict; Path=/");
        let to = format!("/#{}", visitor.token.as_str());
        return Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, to)]).into_response());
    }
    let nonce = Key::new().map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let nonce = nonce.as_str();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    let html = include_str!("page.html")
        .replace("{nonce}", nonce)
        .replace("{header}", TOKEN);
    Ok(([(CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response())
}

async fn news(
    State(inbox): State<Inbox>,
    Extension(visitor): Extension<Visitor>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    struct Page {
        inbox: Inbox,
        visitor: Visitor,
        bell: watch::Receiver<u64>,
        shown: Value,
    }
    let bell = inbox.bell.listen();
    let page = Page {
        inbox,
        visitor,
        bell,
        shown: Value::Null,
    };
    let stream = unfold(page, |mut page| async move {
        loop {
            let state = page.inbox.state(&page.visitor).await;
            if state != page.shown {
                page.shown = state;
                let event = Event::default().data(page.shown.to_string());
                return Some((Ok(event), page));
            }
            let _ = tokio::time::timeout(LOOK, page.bell.changed()).await;
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

async fn answer(
    State(inbox): State<Inbox>,
    Extension(visitor): Extension<Visitor>,
    body: String,
) -> Result<String, Told> {
    let body = read(&body)?;
    let id = RequestId::from_text(&body.text("id")?).map_err(|why| no(&why))?;
    let desk = inbox.gate.desk();
    let answer = match &*body.text("say")? {
        "once" => Answer::Once,
        "window" => {
            let request = desk
                .request(id)
                .await
                .map_err(|why| no(&why))?
                .ok_or_else(|| no(&"it is gone"))?;
            let offer = request.offer.ok_or_else(|| no(&"no window is offered"))?;
            Answer::Window {
                span: offer.span,
                uses: offer.uses,
                pins: Vec::new(),
            }
        }
        "deny" => Answer::Deny,
        _ => return Err((StatusCode::BAD_REQUEST, "say once, window or deny".to_owned())),
    };
    let ballot = Ballot {
        account: visitor.account,
        answer,
        reason: body.reason()?,
        card: body.text("card")?,
    };
    let taken = desk.vote(id, &ballot).await;
    inbox.bell.ring();
    taken.map(|request| came_of(&request)).map_err(|why| no(&why))
}

/// What locks and unlockings need: a reason, and the person.
fn why_and_who(inbox: &Inbox, visitor: &Visitor, body: &str) -> Result<(Text, Word), Told> {
    let reason = read(body)?
        .reason()?
        .ok_or_else(|| no(&"say why: others will read it"))?;
    let operator = inbox.gate.desk().operator(&visitor.account).map_err(|why| no(&why))?;
    Ok((reason, operator))
}

async fn lock(
    State(inbox): State<Inbox>,
    Extension(visitor): Extension<Visitor>,
    body: String,
) -> Result<String, Told> {
    let (reason, operator) = why_and_who(&inbox, &visitor, &body)?;
    inbox.gate.lock(Target::All, reason, operator).await.map_err(refused)?;
    inbox.bell.ring();
    Ok("Everything is stopped.".to_owned())
}

async fn unlock(
    State(inbox): State<Inbox>,
    Extension(visitor): Extension<Visitor>,
    body: String,
) -> Result<String, Told> {
    let (reason, operator) = why_and_who(&inbox, &visitor, &body)?;
    let unlocked = inbox
        .gate
        .unlock(Target::All, reason, operator)
        .await
        .map_err(refused)?;
    inbox.bell.ring();
    match unlocked {
        Unlocked::Lifted { .. } => Ok("The lock is lifted. What it closed stays closed.".to_owned()),
        _ => Err(no(&"there is no such lock, or it was set anew")),
    }
}

fn refused(why: OperateError) -> Told {
    match why {
        OperateError::Refused(finding) => (StatusCode::FORBIDDEN, finding.why().to_owned()),
        other => no(&other),
    }
}

/// The body of an answer.
struct Body(Value);

fn read(body: &str) -> Result<Body, Told> {
    let bad = |error| (StatusCode::BAD_REQUEST, format!("this is no answer: {error}"));
    serde_json::from_str(body).map(Body).map_err(bad)
}

impl Body {
    fn text(&self, key: &str) -> Result<Box<str>, Told> {
        let text = self.0.get(key).and_then(Value::as_str);
        text.map(Into::into)
            .ok_or((StatusCode::BAD_REQUEST, format!("`{key}` is missing")))
    }

    fn reason(&self) -> Result<Option<Text>, Told> {
        match self.0.get("reason").and_then(Value::as_str).map(str::trim) {
            None | Some("") => Ok(None),
            Some(reason) => Text::new(reason).map(Some).map_err(|why| no(&why)),
        }
    }
}
