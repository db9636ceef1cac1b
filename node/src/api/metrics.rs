//! `/readyz` and `/metrics`: Prometheus rows, base units, no label with a peer's id.

use super::NodeApi;
use larder_engine::Engine;
use larder_rpc::server::Probes;

impl Probes for NodeApi {
    async fn ready(&self) -> bool {
        self.state(|s| s.head().height > 0)
    }

    async fn metrics(&self) -> String {
        let peers = self.net.peers().await.map_or(0, |p| p.len());
        let (height, epoch) = self.state(|s| (s.head().height, s.epoch()));
        let tally = self
            .ledger
            .read()
            .1
            .get(&self.node)
            .copied()
            .unwrap_or_default();
        let segments = self.engine(Engine::segments).await.unwrap_or_default();
        let provided = self
            .engine(Engine::provided)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        let rows = [
            (
                "chain_height_blocks",
                "gauge",
                "Newest block applied.",
                height,
            ),
            (
                "chain_epoch_number",
                "gauge",
                "Current epoch.",
                u64::from(epoch),
            ),
            (
                "node_peers_connected",
                "gauge",
                "Connected peers.",
                peers as u64,
            ),
            (
                "keeper_segments_stored",
                "gauge",
                "Segments with providers.",
                segments.segments,
            ),
            (
                "keeper_shards_bytes",
                "gauge",
                "Bytes with providers.",
                segments.bytes_stored,
            ),
            (
                "keeper_segments_below_full",
                "gauge",
                "Segments with fewer shards than when whole.",
                segments.below_full,
            ),
            (
                "keeper_shards_repaired_total",
                "counter",
                "Shards that repair has placed anew.",
                segments.shards_repaired,
            ),
            (
                "provider_shards_bytes",
                "gauge",
                "Bytes stored for others.",
                provided.used,
            ),
            (
                "provider_proofs_passed_total",
                "counter",
                "Epochs proven.",
                tally.passed,
            ),
            (
                "provider_proofs_missed_total",
                "counter",
                "Epochs not proven.",
                tally.missed,
            ),
        ];
        rows.iter()
            .map(|(name, kind, help, value)| {
                format!("# HELP larder_{name} {help}\n# TYPE larder_{name} {kind}\nlarder_{name} {value}\n")
            })
            .collect()
    }
}
