//! `/healthz`, `/readyz` and `/metrics`: what watches a node from outside, without a token.

use crate::metrics::RpcMetrics;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::sync::Arc;

/// OpenMetrics' own type: Prometheus and those that speak like it know it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the probes ask of a node.
pub trait Probes: Send + Sync + 'static {
    /// Whether it answers at all: if not, it is to be started anew.
    fn alive(&self) -> impl Future<Output = bool> + Send;
    /// Why it cannot do its work now; nothing: it can.
    fn lacking(&self) -> impl Future<Output = Vec<String>> + Send;
    /// Its metrics, as OpenMetrics text.
    fn metrics(&self) -> impl Future<Output = String> + Send;
    /// Where the RPC counts, for these metrics.
    fn counts(&self) -> RpcMetrics;
}

/// The body of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether the node can do its work now.
    pub ready: bool,
    /// Why it cannot.
    pub reasons: Vec<String>,
}

/// The three paths.
pub fn routes<P: Probes>(node: Arc<P>) -> Router {
    Router::new()
        .route("/healthz", get(health::<P>))
        .route("/readyz", get(ready::<P>))
        .route("/metrics", get(metrics::<P>))
        .with_state(node)
}

async fn health<P: Probes>(State(node): State<Arc<P>>) -> Response {
    if node.alive().await {
        "ok\n".into_response()
    } else {
        let why = "the engine does not answer\n";
        (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
    }
}

async fn ready<P: Probes>(State(node): State<Arc<P>>) -> Response {
    let reasons = node.lacking().await;
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Readiness { ready, reasons })).into_response()
}

async fn metrics<P: Probes>(State(node): State<Arc<P>>) -> Response {
    let text = node.metrics().await;
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
