//! Hashes a shard once, as it streams by, and gives both its plain BLAKE3 root (its CID's digest)
//! and its outboard. `docs/protocol.md` §3.2.

use crate::Outboard;
use crate::chunk::{CHUNK, Cv, GROUP, root_of_groups};
use blake3::Hasher;
use blake3::hazmat::HasherExt as _;
use larder_types::ShardRoot;

/// A shard under way. Large, 16-KiB-aligned updates are the fast ones.
#[derive(Clone, Debug, Default)]
pub struct ShardHasher {
    /// CVs of the groups that are complete and known not to be the last.
    groups: Vec<Cv>,
    /// The group under way; full ones wait here until more bytes come, since a shard of one group
    /// has its root here.
    group: Hasher,
    /// Bytes in it.
    filled: usize,
}

impl ShardHasher {
    /// A shard of which nothing has been seen.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the shard's next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) -> &mut Self {
        while !bytes.is_empty() {
            if self.filled == GROUP {
                self.next_group();
            }
            let (head, rest) = bytes.split_at(bytes.len().min(GROUP - self.filled));
            self.group.update(head);
            self.filled += head.len();
            bytes = rest;
        }
        self
    }

    fn next_group(&mut self) {
        self.groups.push(self.group.finalize_non_root());
        // Not `reset`: in blake3 1.8.7 it keeps the old offset, and the next one underflows.
        self.group = Hasher::new();
        self.group.set_input_offset(self.offset());
        self.filled = 0;
    }

    /// Where the group under way begins, in bytes.
    fn offset(&self) -> u64 {
        (self.groups.len() as u64) * (GROUP as u64)
    }

    /// Bytes seen so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.offset() + self.filled as u64
    }

    /// The root and the outboard. A shard of no bytes has the root of no bytes and no chunks.
    #[must_use]
    pub fn finalize(mut self) -> (ShardRoot, Outboard) {
        let chunks = self.count().div_ceil(CHUNK as u64);
        if self.filled > 0 {
            self.groups.push(self.group.finalize_non_root());
        }
        let root = root_of_groups(&self.groups)
            .unwrap_or_else(|| ShardRoot(*self.group.finalize().as_bytes()));
        (root, Outboard::new(chunks, self.groups))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    #[test]
    fn the_root_is_the_plain_hash_at_every_length_around_the_boundaries() {
        for around in [0, CHUNK, GROUP, 2 * GROUP, 3 * GROUP, 5 * GROUP, 16 * GROUP] {
            for len in around.saturating_sub(2)..around + 3 {
                let data = bytes(len);
                let mut hasher = ShardHasher::new();
                hasher.update(&data);
                let (root, outboard) = hasher.finalize();
                assert_eq!(root.0, *blake3::hash(&data).as_bytes(), "{len}");
                assert_eq!(outboard.chunks(), len.div_ceil(CHUNK) as u64);
                assert_eq!(outboard.groups().len(), len.div_ceil(GROUP));
                if len > GROUP {
                    assert_eq!(outboard.root(), Some(root));
                }
                for (group, held) in data.chunks(GROUP).enumerate() {
                    assert!(outboard.holds(group as u64, held));
                    assert!(!outboard.holds(group as u64 + 1, held));
                }
                assert_eq!(
                    Outboard::from_bytes(&outboard.to_bytes()).as_ref(),
                    Ok(&outboard)
                );
                assert!(Outboard::from_bytes(&[&outboard.to_bytes()[..], &[0]].concat()).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(len in 0usize..200_000, cuts in prop::collection::vec(1usize..50_000, 0..20)) {
            let data = bytes(len);
            let mut hasher = ShardHasher::new();
            let mut rest = &data[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                hasher.update(head);
                rest = tail;
            }
            hasher.update(rest);
            let mut whole = ShardHasher::new();
            whole.update(&data);
            prop_assert_eq!(hasher.count(), len as u64);
            prop_assert_eq!(hasher.finalize(), whole.finalize());
        }
    }
}
