//! Proofs of single 1-KiB chunks against a plain BLAKE3 root: BLAKE3's own tree, shown from the
//! root down. A subtree of m chunks has the largest power of two below m on its left.
//! A proof of one chunk does not show how long the shard is; its leaf says so, and the provider
//! hashed the whole of it before co-signing. `docs/protocol.md` §3.2.

use crate::Outboard;
use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use larder_types::ShardRoot;
use std::collections::BTreeMap;

/// Bytes of a chunk.
pub const CHUNK: usize = 1024;
/// Chunks of a group, the grain of an outboard.
pub const GROUP_CHUNKS: u64 = 16;
/// Bytes of a group.
pub const GROUP: usize = 16 * CHUNK;

/// A chaining value: the hash of a subtree that is not the root.
pub type Cv = [u8; 32];

/// A run of chunks that is a subtree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Subtree {
    first: u64,
    chunks: u64,
}

impl Subtree {
    /// Its two halves; it has at least two chunks.
    fn halves(self) -> (Self, Self) {
        let left = 1 << (u64::BITS - 1 - (self.chunks - 1).leading_zeros());
        (
            Self {
                first: self.first,
                chunks: left,
            },
            Self {
                first: self.first + left,
                chunks: self.chunks - left,
            },
        )
    }
}

/// The CV of the subtree that begins at chunk `first` and holds `bytes`.
pub(crate) fn cv_of(first: u64, bytes: &[u8]) -> Cv {
    blake3::Hasher::new()
        .set_input_offset(first * CHUNK as u64)
        .update(bytes)
        .finalize_non_root()
}

fn join(left: &Cv, right: &Cv) -> Cv {
    merge_subtrees_non_root(left, right, Mode::Hash)
}

fn join_root(left: &Cv, right: &Cv) -> ShardRoot {
    ShardRoot(*merge_subtrees_root(left, right, Mode::Hash).as_bytes())
}

/// The root of `groups` group CVs, the last group being perhaps short; `None` below two groups,
/// where the root is no merge of them.
pub(crate) fn root_of_groups(groups: &[Cv]) -> Option<ShardRoot> {
    let chunks = u64::try_from(groups.len()).ok()?;
    if chunks < 2 {
        return None;
    }
    let (left, right) = Subtree { first: 0, chunks }.halves();
    Some(join_root(
        &cv_of_groups(left, groups),
        &cv_of_groups(right, groups),
    ))
}

/// The CV of a subtree whose "chunks" are groups.
fn cv_of_groups(tree: Subtree, groups: &[Cv]) -> Cv {
    if tree.chunks == 1 {
        return groups[usize::try_from(tree.first).expect("an index into a slice")];
    }
    let (left, right) = tree.halves();
    join(&cv_of_groups(left, groups), &cv_of_groups(right, groups))
}

/// The subtrees whose CVs, besides the chunks at `indices` (sorted), make the root. Order: from
/// the top down along each chunk's path, chunk by chunk; none twice, none that the chunks give.
fn siblings(tree: Subtree, indices: &[u64], out: &mut Vec<Subtree>) {
    if tree.chunks == 1 {
        return;
    }
    let (left, right) = tree.halves();
    let (in_left, in_right) = indices.split_at(indices.partition_point(|i| *i < right.first));
    if in_left.is_empty() {
        out.push(left);
    } else {
        if in_right.is_empty() {
            out.push(right);
        }
        siblings(left, in_left, out);
    }
    if !in_right.is_empty() {
        siblings(right, in_right, out);
    }
}

/// The CVs that prove the chunks at `indices` (sorted, at least one) of the shard that `outboard`
/// describes. `groups` holds the bytes of each group that a chunk lies in, by number.
///
/// # Panics
/// If an index lies beyond the shard or its group is missing.
#[must_use]
pub fn path(outboard: &Outboard, indices: &[u64], groups: &BTreeMap<u64, Vec<u8>>) -> Vec<Cv> {
    assert!(
        indices.last().is_some_and(|i| *i < outboard.chunks()),
        "chunks {indices:?} of {}",
        outboard.chunks()
    );
    let mut needed = Vec::new();
    let whole = Subtree {
        first: 0,
        chunks: outboard.chunks(),
    };
    siblings(whole, indices, &mut needed);
    needed
        .into_iter()
        .map(|tree| subtree_cv(tree, outboard, groups))
        .collect()
}

/// A subtree of whole groups comes from the outboard, a smaller one from its group's bytes.
fn subtree_cv(tree: Subtree, outboard: &Outboard, groups: &BTreeMap<u64, Vec<u8>>) -> Cv {
    let group = tree.first / GROUP_CHUNKS;
    let to_the_end = tree.first + tree.chunks == outboard.chunks();
    let whole_groups =
        tree.first.is_multiple_of(GROUP_CHUNKS) && (tree.chunks >= GROUP_CHUNKS || to_the_end);
    if whole_groups {
        let of_groups = Subtree {
            first: group,
            chunks: tree.chunks.div_ceil(GROUP_CHUNKS),
        };
        return cv_of_groups(of_groups, outboard.groups());
    }
    let bytes = &groups[&group];
    let index = |chunk: u64| usize::try_from(chunk).expect("below 16") * CHUNK;
    let start = index(tree.first % GROUP_CHUNKS);
    let end = (start + index(tree.chunks)).min(bytes.len());
    cv_of(tree.first, &bytes[start..end])
}

/// A chunk that is shown.
pub(crate) type Shown<'a> = (u64, &'a [u8]);

/// The root of a shard of `chunks` chunks of which `shown` (sorted, at least one) are shown; the
/// CVs that lack come from `next`, in the order of [`path`].
pub(crate) fn root_of<E>(
    chunks: u64,
    shown: &[Shown<'_>],
    next: &mut impl FnMut() -> Result<Cv, E>,
) -> Result<ShardRoot, E> {
    if let (1, [(_, bytes)]) = (chunks, shown) {
        return Ok(ShardRoot(*blake3::hash(bytes).as_bytes()));
    }
    let (left, right) = children(Subtree { first: 0, chunks }, shown, next)?;
    Ok(join_root(&left, &right))
}

fn children<E>(
    tree: Subtree,
    shown: &[Shown<'_>],
    next: &mut impl FnMut() -> Result<Cv, E>,
) -> Result<(Cv, Cv), E> {
    let (left, right) = tree.halves();
    let (in_left, in_right) = shown.split_at(shown.partition_point(|(i, _)| *i < right.first));
    if in_left.is_empty() {
        let left = next()?;
        return Ok((left, rebuilt(right, in_right, next)?));
    }
    if in_right.is_empty() {
        let right = next()?;
        return Ok((rebuilt(left, in_left, next)?, right));
    }
    Ok((
        rebuilt(left, in_left, next)?,
        rebuilt(right, in_right, next)?,
    ))
}

fn rebuilt<E>(
    tree: Subtree,
    shown: &[Shown<'_>],
    next: &mut impl FnMut() -> Result<Cv, E>,
) -> Result<Cv, E> {
    if let (1, [(index, bytes)]) = (tree.chunks, shown) {
        return Ok(cv_of(*index, bytes));
    }
    let (left, right) = children(tree, shown, next)?;
    Ok(join(&left, &right))
}

/// Whether `bytes` is chunk `index` of the shard of `chunks` chunks with this root; `siblings` are
/// its path's CVs from the top down. Only the last chunk may be shorter than 1 KiB.
#[must_use]
pub fn verify(root: &ShardRoot, chunks: u64, index: u64, bytes: &[u8], siblings: &[Cv]) -> bool {
    /// BLAKE3 numbers bytes in 64 bits.
    const MOST: u64 = u64::MAX / CHUNK as u64;
    let last = index.checked_add(1) == Some(chunks);
    let whole = bytes.len() == CHUNK || (last && bytes.len() < CHUNK);
    if index >= chunks || chunks > MOST || !whole || (bytes.is_empty() && chunks > 1) {
        return false;
    }
    let mut rest = siblings.iter();
    let mut next = || rest.next().copied().ok_or(());
    let rebuilt = root_of(chunks, &[(index, bytes)], &mut next);
    rebuilt == Ok(*root) && rest.next().is_none()
}

#[cfg(test)]
#[path = "chunk/tests.rs"]
mod tests;
