//! A node's disk: what survives a crash. Rows as the engine persists them, shards as bytes, a spool
//! of segments and coded shards, a folder of what was fetched. What a job has written is not synced
//! for sure before its outcome is told: a crash until then may lose it.

use larder_engine::OpId;
use larder_engine::rows::{Kind, ShardRow, Snapshot, Write};
use larder_proofs::{Outboard, ShardHasher, ShardReader};
use larder_types::{SegmentId, ShardRoot, codec};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes in a group: what a proof reads at a time.
const GROUP: usize = 16 << 10;

/// A stored shard.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its bytes.
    pub(crate) bytes: Arc<[u8]>,
    outboard: Outboard,
    /// Which byte of it has flipped.
    rotten: Option<usize>,
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
    /// No job and no shard finds room; rows still do, from what is held back for them.
    pub(crate) full: bool,
    /// Coded shards that jobs have written, and whose outcome is not told yet.
    unsynced: BTreeMap<OpId, (SegmentId, Vec<u16>)>,
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

    /// What the engine wrote down of a shard that it stores.
    pub(crate) fn shard_row(&self, root: &ShardRoot) -> Option<ShardRow> {
        let row = self.rows.get(&(Kind::Shard as u8, root.0.to_vec()))?;
        codec::decode(row).ok()
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
            let stored = Stored {
                bytes,
                outboard,
                rotten: None,
            };
            self.shards.insert(root, stored);
        }
        good
    }

    /// Flips a byte of a stored shard.
    pub(crate) fn rot(&mut self, root: &ShardRoot, at: u64) {
        if let Some(stored) = self.shards.get_mut(root).filter(|s| s.rotten.is_none()) {
            let mut bytes = stored.bytes.to_vec();
            let at = usize::try_from(at).unwrap_or(0) % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x10;
            }
            stored.bytes = Arc::from(bytes);
            stored.rotten = Some(at);
        }
    }

    /// The shards that are not what they were.
    pub(crate) fn rotten(&self) -> Vec<ShardRoot> {
        let bad = self
            .shards
            .iter()
            .filter(|(_, stored)| stored.rotten.is_some());
        bad.map(|(root, _)| *root).collect()
    }

    /// A shard's bytes, if it is here as it was stored.
    pub(crate) fn intact(&self, root: &ShardRoot) -> Option<&Arc<[u8]>> {
        let stored = self.shards.get(root).filter(|s| s.rotten.is_none());
        stored.map(|s| &s.bytes)
    }

    /// Whether 16 KiB of a shard are here as they were stored.
    pub(crate) fn has_group(&self, root: &ShardRoot, group: u32) -> bool {
        self.shards
            .get(root)
            .is_some_and(|stored| match stored.rotten {
                Some(at) => at / GROUP != group as usize,
                None => blake3::hash(&stored.bytes).as_bytes() == &root.0,
            })
    }

    /// A job has written coded shards of these positions.
    pub(crate) fn wrote(&mut self, op: OpId, segment: SegmentId, positions: Vec<u16>) {
        self.unsynced.insert(op, (segment, positions));
    }

    /// A job's outcome is told: what it wrote stays.
    pub(crate) fn synced(&mut self, op: OpId) {
        self.unsynced.remove(&op);
    }

    /// The power goes: of each file that was not synced `survives` says whether it is there.
    pub(crate) fn crash(&mut self, mut survives: impl FnMut() -> bool) {
        for (segment, positions) in std::mem::take(&mut self.unsynced).into_values() {
            let shards = self.coded.entry(segment).or_default();
            for j in positions {
                if !survives() {
                    shards.remove(&j);
                }
            }
        }
    }

    /// A start: what was fetched is of no use any more, and what the engine's rows do not name
    /// goes, as in the node.
    pub(crate) fn sweep(&mut self, uploading: &[SegmentId], stored: &[ShardRoot]) {
        self.fetched.clear();
        self.restored.clear();
        let uploading: BTreeSet<_> = uploading.iter().collect();
        self.coded.retain(|id, _| uploading.contains(id));
        let stored: BTreeSet<_> = stored.iter().collect();
        self.shards.retain(|root, _| stored.contains(root));
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
