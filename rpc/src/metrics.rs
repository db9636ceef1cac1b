//! What the RPC counts: calls by method and outcome, how long they took, open connections, what was
//! refused before it was a call. Names follow `larder_rpc_<what>_<unit>[_total]`, base units. A
//! method that the registry does not know counts as `unknown`, so that no caller can make rows.

use crate::api::all;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

/// The label of a method that there is none of.
pub const UNKNOWN: &str = "unknown";
/// Upper bounds of durations, seconds: from a look at the state to a payment that waits for its
/// block.
const SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0,
];

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With a result.
    Done,
    /// With an error of the table or a standard one.
    Failed,
}

/// Why something was refused before it was a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The cookie or token is missing or unknown.
    Unauthenticated,
    /// The token's scope or list does not reach so far.
    Scope,
    /// The Host or the Origin is another's.
    Origin,
    /// Too many calls in too short a time.
    Rate,
    /// Too many connections.
    Connections,
    /// The request or the batch is too large.
    Size,
}

/// The RPC's counters. Clones are the same.
#[derive(Debug, Clone)]
pub struct RpcMetrics {
    calls: Family<CallLabels, Counter>,
    seconds: Family<MethodLabel, Histogram>,
    connections: Gauge,
    refused: Family<RefusedLabel, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    method: &'static str,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabel {
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    reason: Refused,
}

impl Default for RpcMetrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            calls: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            connections: Gauge::default(),
            refused: Family::default(),
        }
    }
}

impl RpcMetrics {
    /// Counts a call of `method` that ended so after `seconds`.
    pub fn called(&self, method: &str, outcome: Outcome, seconds: f64) {
        let method = known(method);
        let labels = CallLabels { method, outcome };
        self.calls.get_or_create(&labels).inc();
        let histogram = self.seconds.get_or_create(&MethodLabel { method });
        histogram.observe(seconds);
    }

    /// Counts what was refused before it was a call.
    pub fn refused(&self, reason: Refused) {
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }

    /// A connection or request that counts as open until it is dropped.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connections.inc();
        Connection(self.connections.clone())
    }

    /// Enters the counters into `registry`, whose prefix is `larder`.
    pub fn register(&self, registry: &mut Registry) {
        let rpc = registry.sub_registry_with_prefix("rpc");
        let counted = Unit::Other("calls".to_owned());
        rpc.register_with_unit(
            "ended",
            "Calls that ended, by method and outcome",
            counted,
            self.calls.clone(),
        );
        rpc.register_with_unit(
            "duration",
            "How long calls took, by method",
            Unit::Seconds,
            self.seconds.clone(),
        );
        rpc.register_with_unit(
            "open",
            "Connections that are open",
            Unit::Other("connections".to_owned()),
            self.connections.clone(),
        );
        rpc.register_with_unit(
            "refused",
            "Requests that were refused before they were calls, by reason",
            Unit::Other("requests".to_owned()),
            self.refused.clone(),
        );
    }
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub struct Connection(Gauge);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The names of the registry.
static NAMES: LazyLock<HashSet<&'static str>> = LazyLock::new(|| all().map(|m| m.name).collect());

/// The registry's own name of a method.
fn known(method: &str) -> &'static str {
    NAMES.get(method).copied().unwrap_or(UNKNOWN)
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
        })
    }
}

impl EncodeLabelValue for Refused {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> fmt::Result {
        encoder.write_str(match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Scope => "scope",
            Self::Origin => "origin",
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Size => "size",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    fn text(metrics: &RpcMetrics) -> String {
        let mut registry = Registry::with_prefix("larder");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn calls_are_counted_by_method_and_outcome_and_strangers_make_no_rows() {
        let metrics = RpcMetrics::default();
        metrics.called("node_status", Outcome::Done, 0.002);
        metrics.called("node_status", Outcome::Done, 0.2);
        metrics.called("node_status", Outcome::Failed, 0.002);
        for i in 0..50 {
            metrics.called(&format!("made_up{i}"), Outcome::Failed, 0.0);
        }
        metrics.refused(Refused::Scope);
        let text = text(&metrics);
        for line in [
            "larder_rpc_ended_calls_total{method=\"node_status\",outcome=\"done\"} 2",
            "larder_rpc_ended_calls_total{method=\"node_status\",outcome=\"failed\"} 1",
            "larder_rpc_ended_calls_total{method=\"unknown\",outcome=\"failed\"} 50",
            "larder_rpc_duration_seconds_count{method=\"node_status\"} 3",
            "larder_rpc_duration_seconds_bucket{le=\"0.0025\",method=\"node_status\"} 2",
            "larder_rpc_refused_requests_total{reason=\"scope\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        assert!(!text.contains("made_up"), "{text}");
    }

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let metrics = RpcMetrics::default();
        let open = |text: String| text.contains("larder_rpc_open_connections 1\n");
        let connection = metrics.connection();
        assert!(open(text(&metrics)));
        drop(connection);
        assert!(!open(text(&metrics)));
    }
}
