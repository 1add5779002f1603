//! What stands before every request: sent to this name, from this origin, by a person.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use glassbreak_core::people::Account;

use super::Key;
use super::server::Inbox;

/// The cookie that a link turns into.
pub(super) const COOKIE_NAME: &str = "inbox";
/// The header that carries the page's token.
pub(super) const TOKEN: &str = "x-inbox-token";

/// A person at a page.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) name: Box<str>,
    pub(super) account: Account,
    /// What their browser sends by itself, to every port of this machine.
    pub(super) cookie: Key,
    /// What only their page has.
    pub(super) token: Key,
}

/// Who may come in, by the key of their link.
#[derive(Debug)]
pub(super) struct Visitors(BTreeMap<Key, Visitor>);

impl Visitors {
    /// Keys for these persons. Their accounts are `inbox:<name>`.
    pub(super) fn new(names: &[&str]) -> io::Result<Self> {
        let visitor = |name: &&str| {
            let account = Account::of_host(&format!("inbox:{name}"));
            let account = account.map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad.to_string()))?;
            let visitor = Visitor {
                name: (*name).into(),
                account,
                cookie: Key::new()?,
                token: Key::new()?,
            };
            Ok((Key::new()?, visitor))
        };
        names.iter().map(visitor).collect::<io::Result<_>>().map(Self)
    }

    pub(super) fn links(&self, at: SocketAddr) -> Vec<(Box<str>, String)> {
        let link =
            |(key, visitor): (&Key, &Visitor)| (visitor.name.clone(), format!("http://{at}/?key={}", key.as_str()));
        self.0.iter().map(link).collect()
    }

    fn by_key(&self, key: &str) -> Option<&Visitor> {
        self.0.get(&Key::of(key))
    }

    fn by_cookie(&self, cookie: &str) -> Option<&Visitor> {
        self.0.values().find(|visitor| visitor.cookie.as_str() == cookie)
    }
}

/// Lets a request through to its page, with the visitor in it, or refuses it.
pub(super) async fn admit(State(inbox): State<Inbox>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let mut answer = match visitor(&inbox, request.method(), request.uri(), headers) {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err((status, why)) => (status, why).into_response(),
    };
    for (name, value) in [
        ("cache-control", "no-store"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        answer.headers_mut().insert(name, value);
    }
    answer
}

type Refused = (StatusCode, &'static str);

fn visitor(inbox: &Inbox, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Visitor, Refused> {
    let host = one(headers, &HOST).filter(|host| inbox.is_named(host));
    let host = host.ok_or((StatusCode::MISDIRECTED_REQUEST, "this is served to 127.0.0.1 alone"))?;
    let changes = match *method {
        Method::GET => false,
        Method::POST => true,
        _ => return Err((StatusCode::METHOD_NOT_ALLOWED, "ask by GET, answer by POST")),
    };
    if changes && one(headers, &ORIGIN) != Some(format!("http://{host}").as_str()) {
        return Err((
            StatusCode::FORBIDDEN,
            "an answer comes from this page, and from no other",
        ));
    }
    let by_link = link_key(method, uri).map(|key| inbox.visitors().by_key(key));
    let by_cookie = || inbox.visitors().by_cookie(one(headers, &COOKIE).and_then(cookie)?);
    let visitor = by_link.unwrap_or_else(by_cookie).ok_or((
        StatusCode::UNAUTHORIZED,
        "open the link that the program printed for you",
    ))?;
    // The page itself tells nothing. The news come to a place without headers of its own, so their token is in the query.
    let token = match (changes, uri.path()) {
        (true, _) => Some(one(headers, &HeaderName::from_static(TOKEN))),
        (false, "/") => None,
        (false, _) => Some(uri.query().and_then(|query| query.strip_prefix("token="))),
    };
    if token.is_some_and(|token| token != Some(visitor.token.as_str())) {
        return Err((
            StatusCode::FORBIDDEN,
            "open your link again: this page has no token of this program",
        ));
    }
    Ok(visitor.clone())
}

/// The key of a link that is opened.
pub(super) fn link_key<'a>(method: &Method, uri: &'a Uri) -> Option<&'a str> {
    let query = uri.query().filter(|_| *method == Method::GET && uri.path() == "/")?;
    query.strip_prefix("key=")
}

/// The value of a header that stands once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

fn cookie(header: &str) -> Option<&str> {
    let mut ours = header.split(';').filter_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    });
    let value = ours.next()?;
    // Two of one name: somebody else has set one of them.
    ours.next().is_none().then_some(value)
}
