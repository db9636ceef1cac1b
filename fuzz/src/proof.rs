//! ProofBlobs: one provider, one challenge, and blobs that a fuzzer bends. To get past the
//! signature they are signed anew with the provider's own key, as a cheat would.
//! `docs/protocol.md` §3.5.

use crate::examples::{NET, provider};
use larder_keys::Tag;
use larder_proofs::{
    Challenge, Commitment, ContentTree, ContractLeaf, Outboard, ShardHasher, ShardLeaf,
    ShardReader, prove, verify,
};
use larder_types::{Amount, ContractId, ShardRoot, Signature};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Under what a proof is signed.
const PROOF: Tag = Tag("proof");
/// Bytes of the signature at a blob's end.
const SIGNATURE: usize = 64;

#[derive(Debug, Default)]
struct Memory(BTreeMap<ShardRoot, (Vec<u8>, Outboard)>);

/// A shard that is not there.
#[derive(Debug)]
struct Absent;

impl std::fmt::Display for Absent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such shard")
    }
}

impl std::error::Error for Absent {}

impl ShardReader for Memory {
    type Error = Absent;
    fn group(&self, shard: &ShardRoot, group: u64) -> Result<Vec<u8>, Absent> {
        let (bytes, _) = self.0.get(shard).ok_or(Absent)?;
        let nth = usize::try_from(group).map_err(|_| Absent)?;
        bytes
            .chunks(16_384)
            .nth(nth)
            .map(<[u8]>::to_vec)
            .ok_or(Absent)
    }
    fn outboard(&self, shard: &ShardRoot) -> Result<Outboard, Absent> {
        self.0.get(shard).map(|(_, o)| o.clone()).ok_or(Absent)
    }
}

/// The challenge and its one answer.
#[derive(Debug)]
struct Asked {
    challenge: Challenge,
    answer: Vec<u8>,
}

static ASKED: LazyLock<Asked> = LazyLock::new(|| {
    let (mut commitment, mut memory) = (Commitment::default(), Memory::default());
    // Contracts of several shards, of one, and of none.
    for (n, shards) in (1u8..).zip([3u8, 1, 0, 2]) {
        let leaves = (0..shards).map(|shard| {
            let bytes = vec![n * 16 + shard; 16_384 * usize::from(1 + shard)];
            let mut hasher = ShardHasher::new();
            hasher.update(&bytes);
            let (root, outboard) = hasher.finalize();
            let chunks = outboard.chunks();
            memory.0.insert(root, (bytes, outboard));
            ShardLeaf {
                root,
                chunks,
                tag: [n; 8],
            }
        });
        let content = ContentTree::from_leaves(leaves.collect()).expect("a few shards");
        let contract_id = ContractId([n; 32]);
        let leaf = ContractLeaf {
            version: 1,
            depth: content.depth(),
            end_epoch: 70,
            contract_id,
            content_root: content.root(),
            used_chunks: content.chunks(),
            capacity_chunks: 1_000,
            rate: Amount(1_000 + u64::from(n)),
            ..ContractLeaf::default()
        };
        commitment.tree.insert(leaf).expect("a few contracts");
        commitment.contents.insert(contract_id, content);
    }
    let challenge = Challenge {
        kind: larder_proofs::Kind::Ledger,
        contract: None,
        chain_id: NET.chain_id(),
        slot_no: 30,
        beacon: [31; 32],
        provider: provider().node(),
        provider_index: 32,
        active: commitment.tree.root(),
        depth: commitment.tree.depth(),
        c: 8,
    };
    let answer =
        prove(&commitment, &challenge, &memory, &provider(), &NET).expect("everything is there");
    Asked { challenge, answer }
});

/// Judges a blob as it comes, and once more with a good signature under it.
pub fn proof_blob(bytes: &[u8]) {
    let Asked { challenge, answer } = &*ASKED;
    let judged = verify(bytes, challenge, &NET);
    assert_eq!(judged.is_ok(), bytes == answer, "a proof has one form");
    let body = &bytes[..bytes.len().saturating_sub(SIGNATURE)];
    let sig: Signature = provider().sign(PROOF, &NET, body);
    let signed = [body, &sig.0].concat();
    let judged = verify(&signed, challenge, &NET);
    assert_eq!(judged.is_ok(), signed == *answer, "a proof has one form");
    // Magic, index, slot, beacon, draws and root.
    let same_header = body.get(..81) == answer.get(..81);
    let convicted = judged.is_err_and(|why| why.is_fault());
    assert_eq!(
        convicted,
        same_header && signed != *answer && signed.len() <= larder_proofs::MAX_BLOB
    );
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![ASKED.answer.clone()]
}
