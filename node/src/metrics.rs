//! `/metrics`: what a node counts, as OpenMetrics text by `prometheus-client`. Names follow
//! `larder_<area>_<what>_<unit>[_total]`, base units; no label names a peer.

use larder_engine::alerts::AlertCode;
use larder_rpc::RpcMetrics;
use larder_types::{Amount, Time};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Files that are a node's databases, with their logs.
const DATABASES: [&str; 4] = [
    "node.db",
    "node.db-wal",
    "vault/vault.db",
    "vault/vault.db-wal",
];

/// What a node counts at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// The chain.
    pub chain: Chain,
    /// Connected peers.
    pub peers: u64,
    /// Valid offers in the book.
    pub offers: u64,
    /// Open alerts of each kind.
    pub alerts: BTreeMap<AlertCode, u64>,
    /// Jobs that wait or run.
    pub jobs: u64,
    /// When the node started.
    pub started: Time,
    /// Now.
    pub now: Time,
    /// Memory that the process has, bytes; unknown where there is no `/proc`.
    pub resident: Option<u64>,
    /// What is stored with others.
    pub kept: Kept,
    /// What is stored for others, if anything.
    pub provided: Option<Provided>,
    /// The databases' size, bytes.
    pub database: u64,
}

/// The chain, as this node has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chain {
    /// The newest block's height.
    pub height: u64,
    /// The epoch.
    pub epoch: u64,
    /// How old the newest block is.
    pub age_seconds: u64,
    /// Validators.
    pub validators: u64,
    /// Those of them that are reached, this node among them.
    pub reached: u64,
}

/// What is stored with others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept {
    /// Segments.
    pub segments: u64,
    /// Those with fewer shards than when whole.
    pub below_full: u64,
    /// Those that cannot be read.
    pub lost: u64,
    /// Bytes of all shards.
    pub bytes: u64,
    /// Shards that repair placed anew, ever.
    pub repaired: u64,
    /// Contracts.
    pub contracts: u64,
}

/// What is stored for others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provided {
    /// Bytes offered in all.
    pub quota: u64,
    /// Bytes under contract.
    pub sold: u64,
    /// Bytes stored.
    pub used: u64,
    /// Bytes that would be taken on now.
    pub free: u64,
    /// Shards.
    pub shards: u64,
    /// Shards found damaged, ever.
    pub damaged: u64,
    /// Epochs proven.
    pub passed: u64,
    /// Epochs not proven.
    pub missed: u64,
    /// What it was paid.
    pub earned: Amount,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: &'static str,
}

/// The whole exposition.
///
/// # Panics
/// Never: a `String` takes everything.
#[must_use]
pub fn exposition(sample: &Sample, rpc: &RpcMetrics) -> String {
    let mut registry = Registry::with_prefix("larder");
    chain(registry.sub_registry_with_prefix("chain"), &sample.chain);
    node(registry.sub_registry_with_prefix("node"), sample);
    kept(registry.sub_registry_with_prefix("keeper"), &sample.kept);
    if let Some(provided) = &sample.provided {
        provider(registry.sub_registry_with_prefix("provider"), provided);
    }
    let storage = registry.sub_registry_with_prefix("storage");
    gauge(
        storage,
        "database",
        "bytes",
        "Size of the databases",
        sample.database,
    );
    rpc.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes everything");
    text
}

fn gauge(to: &mut Registry, name: &str, unit: &str, help: &str, value: u64) {
    let unit = Unit::Other(unit.to_owned());
    to.register_with_unit(name, help, unit, ConstGauge::new(value));
}

fn counter(to: &mut Registry, name: &str, unit: &str, help: &str, value: u64) {
    let unit = Unit::Other(unit.to_owned());
    to.register_with_unit(name, help, unit, ConstCounter::new(value));
}

fn chain(to: &mut Registry, chain: &Chain) {
    gauge(to, "height", "blocks", "Newest block applied", chain.height);
    gauge(
        to,
        "current",
        "epoch",
        "Number of the current epoch",
        chain.epoch,
    );
    let age = "Age of the newest block";
    gauge(to, "block_age", "seconds", age, chain.age_seconds);
    gauge(to, "set", "validators", "Validators", chain.validators);
    let reached = "Validators that are reached, this node among them";
    gauge(to, "reached", "validators", reached, chain.reached);
}

fn node(to: &mut Registry, sample: &Sample) {
    gauge(to, "connected", "peers", "Connected peers", sample.peers);
    gauge(
        to,
        "known",
        "offers",
        "Valid offers in the book",
        sample.offers,
    );
    gauge(to, "open", "jobs", "Jobs that wait or run", sample.jobs);
    let uptime = sample.now.since(sample.started).0 / 1_000;
    gauge(
        to,
        "uptime",
        "seconds",
        "Time since the node started",
        uptime,
    );
    if let Some(resident) = sample.resident {
        let help = "Memory that the process has";
        gauge(to, "resident_memory", "bytes", help, resident);
    }
    let open: Family<CodeLabel, Gauge> = Family::default();
    for (code, count) in &sample.alerts {
        let label = CodeLabel { code: code.name() };
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        open.get_or_create(&label).set(count);
    }
    let unit = Unit::Other("alerts".to_owned());
    to.register_with_unit("open", "Open alerts, by kind", unit, open);
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    to.register("build", "The version that runs", version);
}

fn kept(to: &mut Registry, kept: &Kept) {
    gauge(
        to,
        "stored",
        "segments",
        "Segments with providers",
        kept.segments,
    );
    let below = "Segments with fewer shards than when whole";
    gauge(to, "below_full", "segments", below, kept.below_full);
    gauge(
        to,
        "lost",
        "segments",
        "Segments that cannot be read",
        kept.lost,
    );
    gauge(
        to,
        "stored",
        "bytes",
        "Bytes of all shards with providers",
        kept.bytes,
    );
    gauge(
        to,
        "rented",
        "contracts",
        "Contracts with providers",
        kept.contracts,
    );
    let repaired = "Shards that repair placed anew";
    counter(to, "repaired", "shards", repaired, kept.repaired);
}

fn provider(to: &mut Registry, provided: &Provided) {
    gauge(to, "capacity", "bytes", "Quota offered", provided.quota);
    gauge(
        to,
        "contracted",
        "bytes",
        "Capacity under contract",
        provided.sold,
    );
    gauge(
        to,
        "used",
        "bytes",
        "Shards stored for others",
        provided.used,
    );
    gauge(
        to,
        "free",
        "bytes",
        "What would be taken on now",
        provided.free,
    );
    gauge(
        to,
        "stored",
        "shards",
        "Shards stored for others",
        provided.shards,
    );
    counter(
        to,
        "damaged",
        "shards",
        "Shards found damaged",
        provided.damaged,
    );
    counter(
        to,
        "proven",
        "epochs",
        "Epochs proven and paid",
        provided.passed,
    );
    counter(to, "missed", "epochs", "Epochs not proven", provided.missed);
    let earned = "Pay, before fees; 10^9 nano are one credit";
    counter(to, "earned", "nano", earned, provided.earned.nano());
}

/// The memory that this process has.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// What the home's databases take.
pub(crate) fn database_bytes(home: &Path) -> u64 {
    let sizes = DATABASES.iter().map(|name| fs::metadata(home.join(name)));
    sizes.flatten().map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests;
