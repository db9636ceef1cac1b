//! The inode numbers of a view. A number follows from what it stands for, so that it is the same at
//! every mount; names of one file share one. Known are those that somebody has looked up and not
//! forgotten, as the kernel counts it: memory is bounded by what it keeps itself.

use crate::entry::Entry;
use crate::snapshot::{Snapshot, SnapshotId};
use larder_types::Time;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The topmost folder.
pub(super) const ROOT: u64 = 1;

/// What a number stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The topmost folder.
    Root,
    /// A snapshot's `/`.
    Snapshot(SnapshotId),
    /// A name in a folder.
    Named(u64, Vec<u8>),
    /// A file with several names: the snapshot's number, and the device and inode it was.
    Shared(u64, (u64, u64)),
}

impl Key {
    /// Its number, unless another has it already.
    fn number(&self) -> u64 {
        let mut hash = blake3::Hasher::new();
        match self {
            Self::Root => return ROOT,
            Self::Snapshot(id) => hash.update(b"snapshot").update(id.as_bytes()),
            Self::Named(folder, name) => hash
                .update(b"named")
                .update(&folder.to_le_bytes())
                .update(name),
            Self::Shared(root, (device, inode)) => hash
                .update(b"shared")
                .update(&root.to_le_bytes())
                .update(&device.to_le_bytes())
                .update(&inode.to_le_bytes()),
        };
        let hash = hash.finalize();
        let first = hash.as_bytes().first_chunk();
        let first = *first.expect("a hash has 32 bytes");
        u64::from_le_bytes(first).max(ROOT + 1)
    }
}

/// What is there.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// The topmost folder.
    Root,
    /// The folder of times.
    Times,
    /// A link of ours, and when what it leads to was made.
    Link(Vec<u8>, Time),
    /// A snapshot's `/`.
    Snapshot(Arc<Snapshot>),
    /// An entry of a snapshot.
    Entry(Arc<Entry>),
}

/// Something that has a number.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) what: What,
    /// The number of the folder it was found in.
    pub(super) parent: u64,
    /// The number of its snapshot's `/`.
    pub(super) root: u64,
    /// Where it is in the view.
    pub(super) path: PathBuf,
}

/// The nodes that somebody holds.
#[derive(Debug)]
pub(super) struct Nodes(HashMap<u64, Held>);

#[derive(Debug)]
struct Held {
    key: Key,
    node: Arc<Node>,
    lookups: u64,
}

impl Nodes {
    /// The topmost folder alone.
    pub(super) fn new() -> Self {
        let mut nodes = Self(HashMap::new());
        let root = Node {
            what: What::Root,
            parent: ROOT,
            root: ROOT,
            path: PathBuf::from("/"),
        };
        nodes.enter(Key::Root, root);
        nodes
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Node>> {
        self.0.get(&number).map(|held| Arc::clone(&held.node))
    }

    /// The number that `key` has or would get.
    pub(super) fn number(&self, key: &Key) -> u64 {
        let mut number = key.number();
        // A collision of 64 bits: it happens to nobody, but nobody must read another's file.
        while self.0.get(&number).is_some_and(|held| held.key != *key) {
            number = number.wrapping_add(1).max(ROOT + 1);
        }
        number
    }

    /// Somebody has looked it up once more.
    pub(super) fn enter(&mut self, key: Key, node: Node) -> u64 {
        let number = self.number(&key);
        let held = self.0.entry(number).or_insert_with(|| Held {
            key,
            node: Arc::new(node),
            lookups: 0,
        });
        held.lookups = held.lookups.saturating_add(1);
        number
    }

    /// So many lookups are forgotten; says whether nobody holds it any more.
    pub(super) fn forget(&mut self, number: u64, lookups: u64) -> bool {
        let Some(held) = self.0.get_mut(&number) else {
            return false;
        };
        held.lookups = held.lookups.saturating_sub(lookups);
        let gone = number != ROOT && held.lookups == 0;
        if gone {
            self.0.remove(&number);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Node {
        Node {
            what: What::Link(b"there".to_vec(), Time(0)),
            parent: ROOT,
            root: ROOT,
            path: PathBuf::from("/link"),
        }
    }

    #[test]
    fn a_number_is_kept_until_every_lookup_is_forgotten() {
        let mut nodes = Nodes::new();
        let key = Key::Named(ROOT, b"a".to_vec());
        let number = nodes.enter(key.clone(), link());
        assert_eq!(nodes.enter(key.clone(), link()), number);
        assert!(!nodes.forget(number, 1));
        assert!(nodes.get(number).is_some());
        assert!(nodes.forget(number, 1));
        assert!(nodes.get(number).is_none());
        // The same again, at this mount or another.
        assert_eq!(Nodes::new().enter(key, link()), number);
        assert!(!nodes.forget(ROOT, u64::MAX) && nodes.get(ROOT).is_some());
    }

    #[test]
    fn two_things_never_have_one_number() {
        let mut nodes = Nodes::new();
        let (one, two) = (
            Key::Named(1, b"one".to_vec()),
            Key::Named(1, b"two".to_vec()),
        );
        let number = nodes.enter(one.clone(), link());
        // As if both had the same hash.
        nodes.0.get_mut(&number).unwrap().key = two;
        let other = nodes.enter(one.clone(), link());
        assert_ne!(number, other);
        assert_eq!(nodes.number(&one), other);
    }

    #[test]
    fn numbers_tell_kinds_and_places_apart() {
        let keys = [
            Key::Root,
            Key::Snapshot(larder_types::BlobId([1; 32])),
            Key::Named(5, b"a".to_vec()),
            Key::Named(6, b"a".to_vec()),
            Key::Shared(5, (1, 2)),
            Key::Shared(5, (2, 1)),
        ];
        let mut numbers: Vec<u64> = keys.iter().map(Key::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), keys.len());
    }
}
