//! Who may call: programs that can read the cookie file, and bearers of tokens. Every request, WebSocket upgrades
//! included, must name a host that we answer to (against DNS rebinding) and, if it comes from a
//! browser, our own origin (against other sites' scripts).

use crate::tokens::{Caller, Tokens};
use crate::values::now;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::Rng as _;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The secret that a local program shows: 32 random bytes in hex, new at each start.
#[derive(Clone)]
pub struct Cookie(Arc<Zeroizing<String>>);

impl Cookie {
    /// Makes a new one and writes it to `path` with mode 0600, in one step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0u8; 32]);
        rand::rng().fill_bytes(&mut *bytes);
        let text = Zeroizing::new(hex::encode(*bytes));
        let fresh = path.with_extension("new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        fs::rename(fresh, path)?;
        Ok(Self(Arc::new(text)))
    }

    /// Reads the one that a node wrote.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(fs::read_to_string(path)?);
        Ok(Self(Arc::new(Zeroizing::new(text.trim().to_owned()))))
    }

    /// The value of the `Authorization` header.
    #[must_use]
    pub fn bearer(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", **self.0))
    }
}

/// The secret that an `Authorization` header shows.
fn secret(shown: &str) -> Option<Zeroizing<String>> {
    let (scheme, rest) = shown.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Zeroizing::new(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = Zeroizing::new(BASE64_STANDARD.decode(rest.trim()).ok()?);
    let (_, password) = std::str::from_utf8(&plain).ok()?.split_once(':')?;
    Some(Zeroizing::new(password.to_owned()))
}

/// Compares in time that depends on the lengths only.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(secret)")
    }
}

/// What each request is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    cookie: Cookie,
    tokens: Arc<Tokens>,
    /// Hosts we answer to, `name:port`.
    hosts: Arc<[String]>,
}

impl Guard {
    pub(crate) fn new(
        cookie: Cookie,
        tokens: Arc<Tokens>,
        bound: SocketAddr,
        more: Vec<String>,
    ) -> Self {
        let port = bound.port();
        let mut hosts = vec![
            bound.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ];
        hosts.extend(more);
        Self {
            cookie,
            tokens,
            hosts: hosts.into(),
        }
    }

    /// Who calls, if it is somebody: `Bearer` with the cookie or a token, or `Basic` with either
    /// as the password, for programs that can show a name and a password only.
    fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let shown = headers.get(AUTHORIZATION)?;
        let secret = secret(shown.to_str().ok()?)?;
        match same(secret.as_bytes(), self.cookie.0.as_bytes()) {
            true => Some(Caller::Owner),
            false => self.tokens.bearer(&secret, now()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts.iter().any(|h| h.eq_ignore_ascii_case(host))
    }

    /// Whether the `Host` is ours and the `Origin`, if any, too.
    fn is_local(&self, request: &Request) -> bool {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|h| h.to_str().ok())
            .or_else(|| request.uri().authority().map(|a| a.as_str()));
        let origin = request.headers().get(ORIGIN).map(|o| {
            o.to_str()
                .ok()
                .and_then(|o| o.strip_prefix("http://"))
                .is_some_and(|o| self.knows(o))
        });
        host.is_some_and(|h| self.knows(h)) && origin.unwrap_or(true)
    }
}

/// Refuses requests for other hosts and from other origins.
pub(crate) async fn local_only(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    if guard.is_local(&request) {
        return next.run(request).await;
    }
    (
        StatusCode::FORBIDDEN,
        "this port answers to its own host name and origin only\n",
    )
        .into_response()
}

/// Refuses callers that show neither the cookie nor a token; notes who calls for [`crate::gate`].
pub(crate) async fn admitted(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(caller) = guard.caller(request.headers()) else {
        return (
            StatusCode::UNAUTHORIZED,
            [(WWW_AUTHENTICATE, "Bearer")],
            "show the content of the home's file `cookie`, or a token, as a bearer token\n",
        )
            .into_response();
    };
    request.extensions_mut().insert(caller);
    // Nobody behind this needs it, and jsonrpsee writes requests to its log at the level `trace`.
    request.headers_mut().remove(AUTHORIZATION);
    next.run(request).await
}
