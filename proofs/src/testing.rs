//! A provider to test on: its shards in memory, its commitment, and a challenge for it.

use crate::{
    Challenge, Commitment, ContentTree, ContractLeaf, Kind, Outboard, ProviderTree, ShardHasher,
    ShardLeaf, ShardReader,
};
use larder_keys::Signer;
use larder_types::{Amount, ContractId, GenesisHash, ShardRoot};
use std::collections::BTreeMap;

/// The network of the tests.
pub(crate) const NET: GenesisHash = GenesisHash([1; 32]);

/// The provider's key.
pub(crate) fn key() -> Signer {
    Signer::from_seed(&[2; 32])
}

/// Shards in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<ShardRoot, (Vec<u8>, Outboard)>);

/// A shard that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such shard")]
pub(crate) struct Absent;

impl Memory {
    /// Stores a shard and gives its leaf.
    pub(crate) fn put(&mut self, bytes: Vec<u8>, tag: [u8; 8]) -> ShardLeaf {
        let mut hasher = ShardHasher::new();
        hasher.update(&bytes);
        let (root, outboard) = hasher.finalize();
        let chunks = outboard.chunks();
        self.0.insert(root, (bytes, outboard));
        ShardLeaf { root, chunks, tag }
    }
}

impl ShardReader for Memory {
    type Error = Absent;

    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Absent> {
        let (bytes, _) = self.0.get(shard).ok_or(Absent)?;
        let at = usize::try_from(group).unwrap();
        bytes
            .chunks(16_384)
            .nth(at)
            .map(<[u8]>::to_vec)
            .ok_or(Absent)
    }

    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Absent> {
        self.0.get(shard).map(|(_, o)| o.clone()).ok_or(Absent)
    }
}

/// The bytes of a test shard: anyone can make them again.
pub(crate) fn shard_bytes(contract: u32, shard: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&blake3::derive_key("larder v1 test shard", b""))
        .update(&contract.to_le_bytes())
        .update(&shard.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// A provider that holds `contracts`: each a rate and its shards' lengths in groups.
pub(crate) fn provider(contracts: &[(u64, Vec<usize>)]) -> (Commitment, Memory) {
    let (mut commitment, mut memory) = (Commitment::default(), Memory::default());
    for (c, (rate, shards)) in (0u32..).zip(contracts) {
        let leaves = (0u32..)
            .zip(shards)
            .map(|(s, groups)| memory.put(shard_bytes(c, s, groups * 16_384), [0; 8]))
            .collect();
        let content = ContentTree::from_leaves(leaves).unwrap();
        let mut id = [0; 32];
        id[..4].copy_from_slice(&c.to_le_bytes());
        let leaf = leaf(ContractId(id), *rate, &content);
        commitment.tree.insert(leaf).unwrap();
        commitment.contents.insert(ContractId(id), content);
    }
    (commitment, memory)
}

/// A contract with this content.
pub(crate) fn leaf(contract_id: ContractId, rate: u64, content: &ContentTree) -> ContractLeaf {
    ContractLeaf {
        version: 1,
        depth: content.depth(),
        end_epoch: 70,
        contract_id,
        content_root: content.root(),
        used_chunks: content.chunks(),
        capacity_chunks: content.chunks() + 64,
        rate: Amount(rate),
        ..ContractLeaf::default()
    }
}

/// A challenge of `c` draws for this tree.
pub(crate) fn challenge(tree: &ProviderTree, slot_no: u64, c: u8) -> Challenge {
    Challenge {
        kind: Kind::Ledger,
        chain_id: NET.chain_id(),
        slot_no,
        beacon: *blake3::hash(&slot_no.to_le_bytes()).as_bytes(),
        provider: key().node(),
        provider_index: 3,
        active: tree.root(),
        depth: tree.depth(),
        contract: None,
        c,
    }
}
