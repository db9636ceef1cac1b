//! A node's disk: what survives a crash. Rows as the engine persists them, shards as bytes, a spool
//! of segments and coded shards, a folder of what was fetched.

use larder_engine::rows::{Snapshot, Write};
use larder_proofs::{Outboard, ShardHasher, ShardReader};
use larder_types::{SegmentId, ShardRoot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes in a group: what a proof reads at a time.
const GROUP: usize = 16 << 10;

/// A stored shard.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its bytes.
    pub(crate) bytes: Arc<[u8]>,
    outboard: Outboard,
}

/// One node's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    shards: BTreeMap<ShardRoot, Stored>,
    /// Sealed segments that are not placed yet.
    pub(crate) spool: BTreeMap<SegmentId, Vec<u8>>,
    /// Their coded shards.
    pub(crate) coded: BTreeMap<SegmentId, BTreeMap<u16, Arc<[u8]>>>,
    /// Shards that were fetched.
    pub(crate) fetched: BTreeMap<(SegmentId, u16), Arc<[u8]>>,
    /// Segments that were decoded.
    pub(crate) restored: BTreeMap<SegmentId, Vec<u8>>,
}

/// A shard or group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Absent;

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such shard")
    }
}
impl std::error::Error for Absent {}

impl Disk {
    /// One transaction of rows.
    pub(crate) fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.kind as u8, write.key);
            match write.value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// Every row, as a restart finds them.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.rows
            .iter()
            .map(|((kind, key), value)| (*kind, key.clone(), value.clone()))
            .collect()
    }

    /// Stores a shard if its bytes have this root and length in chunks.
    pub(crate) fn store(&mut self, root: ShardRoot, chunks: u64, bytes: Arc<[u8]>) -> bool {
        let mut hasher = ShardHasher::new();
        hasher.update(&bytes);
        let (got, outboard) = hasher.finalize();
        let good = got == root && outboard.chunks() == chunks;
        if good {
            self.shards.insert(root, Stored { bytes, outboard });
        }
        good
    }

    /// A stored shard's bytes.
    pub(crate) fn shard(&self, root: &ShardRoot) -> Option<&Arc<[u8]>> {
        self.shards.get(root).map(|s| &s.bytes)
    }

    /// Deletes a shard.
    pub(crate) fn drop_shard(&mut self, root: &ShardRoot) {
        self.shards.remove(root);
    }

    /// The roots of the stored shards.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &ShardRoot> {
        self.shards.keys()
    }

    /// Deletes a segment from the fetch folder.
    pub(crate) fn forget_fetched(&mut self, segment: &SegmentId) {
        self.restored.remove(segment);
        let range = (*segment, 0)..=(*segment, u16::MAX);
        let keys: Vec<_> = self.fetched.range(range).map(|(k, _)| *k).collect();
        for key in keys {
            self.fetched.remove(&key);
        }
    }
}

impl ShardReader for Disk {
    type Error = Absent;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Absent> {
        let bytes = self.shard(shard).ok_or(Absent)?;
        let at = usize::try_from(group).map_err(|_| Absent)?;
        let group = bytes.chunks(GROUP).nth(at).ok_or(Absent)?;
        Ok(group.to_vec())
    }

    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Absent> {
        let stored = self.shards.get(shard).ok_or(Absent)?;
        Ok(stored.outboard.clone())
    }
}
