//! Who may call: programs that can read the cookie file. Every request, WebSocket upgrades
//! included, must name a host that we answer to (against DNS rebinding) and, if it comes from a
//! browser, our own origin (against other sites' scripts).

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng as _;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

const HEX: &[u8; 16] = b"0123456789abcdef";

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
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in bytes.iter() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(HEX[usize::from(nibble)]));
            }
        }
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

    /// Whether a caller's `Authorization` header shows this cookie.
    fn admits(&self, headers: &HeaderMap) -> bool {
        headers
            .get(AUTHORIZATION)
            .is_some_and(|shown| same(shown.as_bytes(), self.bearer().as_bytes()))
    }
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
    /// Hosts we answer to, `name:port`.
    hosts: Arc<[String]>,
}

impl Guard {
    pub(crate) fn new(cookie: Cookie, bound: SocketAddr) -> Self {
        let port = bound.port();
        let hosts = [
            bound.to_string(),
            format!("localhost:{port}"),
            format!("127.0.0.1:{port}"),
            format!("[::1]:{port}"),
        ];
        Self {
            cookie,
            hosts: hosts.into(),
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

/// Refuses callers without the cookie.
pub(crate) async fn cookie_only(
    State(guard): State<Guard>,
    request: Request,
    next: Next,
) -> Response {
    if guard.cookie.admits(request.headers()) {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, "Bearer")],
        "show the content of the home's file `cookie` as a bearer token\n",
    )
        .into_response()
}
