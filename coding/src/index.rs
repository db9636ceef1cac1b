//! A segment's index: which blobs lie where. It is sealed as a blob at the segment's end and names
//! its segment, so that no index stands in for another. `docs/protocol.md` §3.2.
//!
//! Plaintext, little endian: 0 version=1 u32 | 4 count u32 | 8 segment id\[32\] | then per entry
//! 45 bytes: kind u8 | id\[32\] | offset u32 | len u32 | `plain_len` u32.

use crate::blob::{BlobHeader, BlobKind};
use larder_types::layout::Layout;
use larder_types::{BlobId, SegmentId};

/// Most entries of one segment, so that an index fits a blob (5.6 of 8 MiB).
pub const MAX_ENTRIES: usize = 1 << 17;
/// Bytes before the first entry.
const HEAD_LEN: usize = 40;
/// Bytes per entry.
pub(crate) const ENTRY_LEN: usize = 45;
const VERSION: u32 = 1;

/// One blob of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The blob's id.
    pub id: BlobId,
    /// What it holds.
    pub kind: BlobKind,
    /// Where its header begins in the segment, in bytes.
    pub offset: u32,
    /// Bytes of the sealed blob, header included.
    pub len: u32,
    /// Bytes of its plaintext.
    pub plain_len: u32,
}

/// Why bytes are no index of this segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// A field has no possible value.
    #[error("bad {field} at byte {offset} of the index")]
    Field {
        /// Which field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// It belongs to another segment.
    #[error("the index belongs to segment {0}")]
    Segment(SegmentId),
}

impl IndexEntry {
    /// The entry of a blob whose header lies at `offset`.
    ///
    /// # Panics
    /// Never: a sealed blob is shorter than 9 MiB.
    #[must_use]
    pub fn of(header: &BlobHeader, offset: u32) -> Self {
        Self {
            id: header.id,
            kind: header.kind,
            offset,
            len: u32::try_from(header.len()).expect("a sealed blob is shorter than 9 MiB"),
            plain_len: header.plain_len,
        }
    }
}

/// Bytes of an index of `entries` entries.
#[must_use]
pub const fn encoded_len(entries: usize) -> usize {
    HEAD_LEN + entries * ENTRY_LEN
}

/// The index's plaintext.
///
/// # Panics
/// Beyond [`MAX_ENTRIES`]; a segment's writer stops before.
#[must_use]
pub fn encode(segment: &SegmentId, entries: &[IndexEntry]) -> Vec<u8> {
    assert!(entries.len() <= MAX_ENTRIES, "{} entries", entries.len());
    let count = u32::try_from(entries.len()).expect("checked above");
    let head = Layout::new().u32(VERSION).u32(count).fixed(segment);
    entries.iter().fold(head, put).finish()
}

/// Appends an entry.
pub(crate) fn put(layout: Layout, e: &IndexEntry) -> Layout {
    layout
        .u8(e.kind.byte())
        .fixed(e.id)
        .u32(e.offset)
        .u32(e.len)
        .u32(e.plain_len)
}

/// Reads the index of `segment`.
///
/// # Errors
/// [`IndexError`] for anything but what [`encode`] gives.
pub fn decode(segment: &SegmentId, bytes: &[u8]) -> Result<Vec<IndexEntry>, IndexError> {
    let bad = |field, offset| IndexError::Field { field, offset };
    let (head, rest) = bytes.split_at_checked(HEAD_LEN).ok_or(bad("length", 0))?;
    if u32_at(head, 0) != VERSION {
        return Err(bad("version", 0));
    }
    let mut owner = SegmentId([0; 32]);
    owner.0.copy_from_slice(&head[8..]);
    if owner != *segment {
        return Err(IndexError::Segment(owner));
    }
    let count = u32_at(head, 4) as usize;
    if count > MAX_ENTRIES || rest.len() != count * ENTRY_LEN {
        return Err(bad("count", 4));
    }
    rest.chunks_exact(ENTRY_LEN)
        .enumerate()
        .map(|(i, e)| entry(e).ok_or(bad("kind", encoded_len(i))))
        .collect()
}

/// Reads the [`ENTRY_LEN`] bytes of an entry.
pub(crate) fn entry(e: &[u8]) -> Option<IndexEntry> {
    let mut id = BlobId([0; 32]);
    id.0.copy_from_slice(&e[1..33]);
    Some(IndexEntry {
        id,
        kind: BlobKind::from_byte(e[0])?,
        offset: u32_at(e, 33),
        len: u32_at(e, 37),
        plain_len: u32_at(e, 41),
    })
}

/// The `u32` at `at`.
pub(crate) fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_back_for_its_own_segment_only() {
        let entry = |n: u8| IndexEntry {
            id: BlobId([n; 32]),
            kind: BlobKind::Tree,
            offset: u32::from(n) * 1000,
            len: 1000,
            plain_len: 920,
        };
        let (own, other) = (SegmentId([1; 32]), SegmentId([2; 32]));
        let entries = [entry(0), entry(7), entry(200)];
        let bytes = encode(&own, &entries);
        assert_eq!(bytes.len(), encoded_len(3));
        assert_eq!(decode(&own, &bytes), Ok(entries.to_vec()));
        assert_eq!(decode(&other, &bytes), Err(IndexError::Segment(own)));
        for cut in [0, 39, 40, bytes.len() - 1] {
            assert!(decode(&own, &bytes[..cut]).is_err(), "{cut}");
        }
    }
}
