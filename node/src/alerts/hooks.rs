//! Webhooks: each alert that is raised or cleared is posted as JSON to each address. Every address
//! has a bounded queue and a task of its own, so that one that does not answer delays neither the
//! node nor the others; what does not fit, or is not taken after a few tries, is dropped and logged.
//! With a secret, `Larder-Signature: sha256=…` is the HMAC-SHA256 of the body (RFC 2104), in hex.

use super::rules::Settings;
use aws_lc_rs::hmac;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use larder_engine::alerts::{Change, Severity};
use larder_rpc::Moment;
use larder_types::Time;
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Posts that wait for one address; beyond it the newest is dropped.
const QUEUE: usize = 64;
/// Tries of one post, and the pause after the first, doubled each time: about a minute in all.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(2);
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The header that carries the signature.
pub const SIGNATURE: &str = "larder-signature";

/// What webhooks know this node by. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<zeroize::Zeroizing<String>>);

impl Secret {
    /// This text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Arc::new(text.into()))
    }

    fn sign(&self, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_bytes());
        format!("sha256={}", hex::encode(hmac::sign(&key, body)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The body of a post.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Post<'a> {
    /// `raised` or `cleared`.
    event: &'static str,
    /// The node's peer id.
    node: &'a str,
    sent: Moment,
    alert: larder_rpc::Alert,
}

/// A post that waits.
#[derive(Debug)]
struct Waiting {
    body: Vec<u8>,
    signature: Option<String>,
}

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The webhooks. Clones are the same.
#[derive(Debug, Clone)]
pub struct Hooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// This node, as it names itself in posts.
    node: String,
    http: Http,
    pause: Duration,
    stop: CancellationToken,
    queues: Mutex<BTreeMap<String, mpsc::Sender<Waiting>>>,
}

/// Why there are no webhooks.
#[derive(Debug, thiserror::Error)]
#[error("webhooks: {0}")]
pub struct TlsError(#[from] rustls::Error);

impl Hooks {
    /// Webhooks of the node that calls itself `node`, until `stop`.
    ///
    /// # Errors
    /// [`TlsError`] if the TLS library refuses its own defaults.
    pub fn new(node: String, stop: CancellationToken) -> Result<Self, TlsError> {
        Self::with_pause(node, stop, PAUSE)
    }

    fn with_pause(
        node: String,
        stop: CancellationToken,
        pause: Duration,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Arc::new(Shared {
            node,
            http: Client::builder(TokioExecutor::new()).build(connector),
            pause,
            stop,
            queues: Mutex::default(),
        })))
    }

    /// Has every address told of a change; returns at once.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn tell(&self, settings: &Settings, change: Change, at: Time) {
        let mut queues = self.0.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // A queue that nobody is to be told by ends when what waits in it has gone.
        queues.retain(|uri, _| {
            settings
                .webhooks
                .iter()
                .any(|hook| *uri == hook.to_string())
        });
        let (event, alert) = match change {
            Change::Raised(alert) => ("raised", alert),
            Change::Cleared(alert) => ("cleared", alert),
        };
        let post = Post {
            event,
            node: &self.0.node,
            sent: Moment(at),
            alert: shown(alert),
        };
        let Ok(body) = serde_json::to_vec(&post) else {
            return;
        };
        for hook in &settings.webhooks {
            let queue = queues
                .entry(hook.to_string())
                .or_insert_with(|| self.begin(hook.clone()));
            let waiting = Waiting {
                signature: settings.secret.as_ref().map(|secret| secret.sign(&body)),
                body: body.clone(),
            };
            if queue.try_send(waiting).is_err() {
                tracing::warn!(
                    host = hook.host(),
                    "a webhook is too slow: an alert was dropped"
                );
            }
        }
    }

    fn begin(&self, uri: Uri) -> mpsc::Sender<Waiting> {
        let (queue, mut waiting) = mpsc::channel(QUEUE);
        let (http, pause) = (self.0.http.clone(), self.0.pause);
        let work = async move {
            while let Some(post) = waiting.recv().await {
                deliver(&http, &uri, post, pause).await;
            }
        };
        let stop = self.0.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(work).await });
        queue
    }
}

/// An alert in the surface's form.
#[must_use]
pub fn shown(alert: larder_engine::alerts::Alert) -> larder_rpc::Alert {
    larder_rpc::Alert {
        code: alert.code.name().to_owned(),
        subject: Some(alert.subject).filter(|subject| !subject.is_empty()),
        severity: match alert.severity {
            Severity::Warning => larder_rpc::Severity::Warning,
            Severity::Critical => larder_rpc::Severity::Critical,
        },
        since: Moment(alert.since),
        cleared: alert.cleared.map(Moment),
        message: alert.message,
    }
}

/// Posts until it is taken, or has been tried often enough. An address may hold secrets in its path:
/// only its host is logged.
async fn deliver(http: &Http, uri: &Uri, post: Waiting, pause: Duration) {
    let mut pause = pause;
    for tried in 1..=TRIES {
        match once(http, uri, &post).await {
            Ok(()) => return,
            Err(Failed { why, again }) => {
                let host = uri.host();
                if tried == TRIES || !again {
                    tracing::warn!(host, "a webhook did not take an alert: {why}");
                    return;
                }
                tracing::debug!(host, "a webhook did not take an alert yet: {why}");
            }
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
    }
}

/// A try that failed.
struct Failed {
    why: String,
    /// Whether another may succeed.
    again: bool,
}

async fn once(http: &Http, uri: &Uri, post: &Waiting) -> Result<(), Failed> {
    let failed = |why: String, again| Failed { why, again };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(uri.clone())
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            header::USER_AGENT,
            concat!("larder/", env!("CARGO_PKG_VERSION")),
        );
    if let Some(signature) = &post.signature {
        request = request.header(SIGNATURE, signature);
    }
    let body = Full::new(Bytes::from(post.body.clone()));
    let request = request.body(body);
    let request = request.map_err(|e| failed(e.to_string(), false))?;
    let answer = tokio::time::timeout(PATIENCE, http.request(request)).await;
    let answer = answer.map_err(|_| failed("no answer in time".to_owned(), true))?;
    let status = answer.map_err(|e| failed(e.to_string(), true))?.status();
    if status.is_success() {
        return Ok(());
    }
    let again = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    Err(failed(status.to_string(), again))
}

#[cfg(test)]
mod tests;
