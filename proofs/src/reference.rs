//! The trees as `docs/protocol.md` §3.3 says them, slow and plain: recursion over all places, hashes
//! spelled out. Shares no code with what it is compared to, the leaves' layouts apart. Test only.

use crate::{ContractLeaf, ShardLeaf};

fn keyed(name: &str, bytes: &[u8]) -> [u8; 32] {
    let key = blake3::derive_key(&format!("larder v1 {name}"), b"");
    *blake3::keyed_hash(&key, bytes).as_bytes()
}

/// Hash and chunks of the content tree of this depth.
pub(crate) fn content(leaves: &[ShardLeaf], depth: u8) -> ([u8; 32], u64) {
    if depth == 0 {
        return match leaves.first() {
            Some(leaf) if leaf.chunks > 0 => (keyed("ctree leaf", &leaf.to_bytes()), leaf.chunks),
            _ => (keyed("ctree empty", b""), 0),
        };
    }
    let (left, right) = leaves.split_at(leaves.len().min(1 << (depth - 1)));
    let (left, right) = (content(left, depth - 1), content(right, depth - 1));
    let mut bytes = [left.0, right.0].concat();
    bytes.extend([left.1.to_le_bytes(), right.1.to_le_bytes()].concat());
    bytes.push(depth);
    (keyed("ctree node", &bytes), left.1 + right.1)
}

/// Hash, sum and least end of the provider tree of this depth.
pub(crate) fn provider(leaves: &[Option<ContractLeaf>], depth: u8) -> ([u8; 32], u64, u32) {
    if depth == 0 {
        return match leaves.first() {
            Some(Some(leaf)) => {
                let hash = keyed("ptree leaf", &leaf.to_bytes());
                (hash, leaf.rate.0, leaf.end_epoch)
            }
            _ => (keyed("ptree empty", b""), 0, u32::MAX),
        };
    }
    let (left, right) = leaves.split_at(leaves.len().min(1 << (depth - 1)));
    let (left, right) = (provider(left, depth - 1), provider(right, depth - 1));
    let mut bytes = [left.0, right.0].concat();
    bytes.extend([left.1.to_le_bytes(), right.1.to_le_bytes()].concat());
    bytes.extend([left.2.to_le_bytes(), right.2.to_le_bytes()].concat());
    bytes.push(depth);
    let hash = keyed("ptree node", &bytes);
    (hash, left.1 + right.1, left.2.min(right.2))
}
