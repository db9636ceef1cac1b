//! Listings: what data segments hold, written down where a recovery reads it: in the metadata
//! segments. They spare it the data. `docs/protocol.md` §3.2.
//!
//! Plaintext, little endian: 0 version=1 u32 | 4 count u32 | then per segment: id\[32\] |
//! class u8 (0 low … 3 critical) | length of C u64 | count u32 | that many entries of a segment's
//! own index (45 bytes each), in the order of their offsets.

use crate::index::{self, ENTRY_LEN, IndexEntry, MAX_ENTRIES};
use larder_types::layout::Layout;
use larder_types::{Class, SegmentId};

/// Bytes before the first segment.
const HEAD_LEN: usize = 8;
/// Bytes of a segment before its first entry.
const SEGMENT_LEN: usize = 45;
const VERSION: u32 = 1;

/// What one data segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub segment: SegmentId,
    /// Its class.
    pub class: Class,
    /// Bytes of its C.
    pub len: u64,
    /// Its blobs in the order of their offsets.
    pub blobs: Vec<IndexEntry>,
}

/// Why bytes are no listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bad {field} at byte {offset} of a listing")]
pub struct ListingError {
    /// Which field.
    pub field: &'static str,
    /// Where it begins.
    pub offset: usize,
}

/// Bytes that the listing of a segment of `blobs` blobs takes. Any fits a blob, with 2 MiB to
/// spare.
#[must_use]
pub const fn encoded_len(blobs: usize) -> usize {
    SEGMENT_LEN + blobs * ENTRY_LEN
}

/// The plaintext of a blob that lists these segments.
///
/// # Panics
/// If a segment has more than [`MAX_ENTRIES`] blobs, which its writer does not allow.
#[must_use]
pub fn encode(listings: &[Listing]) -> Vec<u8> {
    let count = u32::try_from(listings.len()).expect("a blob's worth of listings");
    let head = Layout::new().u32(VERSION).u32(count);
    listings.iter().fold(head, put).finish()
}

fn put(layout: Layout, listing: &Listing) -> Layout {
    let blobs = &listing.blobs;
    assert!(blobs.len() <= MAX_ENTRIES, "{} entries", blobs.len());
    let count = u32::try_from(blobs.len()).expect("MAX_ENTRIES is less");
    let head = layout
        .fixed(listing.segment)
        .u8(class_byte(listing.class))
        .u64(listing.len)
        .u32(count);
    blobs.iter().fold(head, index::put)
}

const fn class_byte(class: Class) -> u8 {
    match class {
        Class::Low => 0,
        Class::Normal => 1,
        Class::High => 2,
        Class::Critical => 3,
    }
}

/// Reads listings.
///
/// # Errors
/// [`ListingError`] for anything but what [`encode`] gives.
pub fn decode(bytes: &[u8]) -> Result<Vec<Listing>, ListingError> {
    let mut rest = Rest { bytes, offset: 0 };
    let head = rest.take(HEAD_LEN, "length")?;
    if index::u32_at(head, 0) != VERSION {
        return Err(rest.bad("version", HEAD_LEN));
    }
    let count = index::u32_at(head, 4) as usize;
    let mut listings = Vec::new();
    for _ in 0..count {
        listings.push(listing(&mut rest)?);
    }
    if rest.bytes.is_empty() {
        Ok(listings)
    } else {
        Err(rest.bad("end", 0))
    }
}

fn listing(rest: &mut Rest<'_>) -> Result<Listing, ListingError> {
    let head = rest.take(SEGMENT_LEN, "segment")?;
    let mut segment = SegmentId([0; 32]);
    segment.0.copy_from_slice(&head[..32]);
    let class = Class::ALL.get(usize::from(head[32])).copied();
    let class = class.ok_or(rest.bad("class", 13))?;
    let mut len = [0; 8];
    len.copy_from_slice(&head[33..41]);
    let count = index::u32_at(head, 41) as usize;
    if count > MAX_ENTRIES {
        return Err(rest.bad("count", 4));
    }
    let mut blobs: Vec<IndexEntry> = Vec::new();
    for entry in rest
        .take(count * ENTRY_LEN, "entries")?
        .chunks_exact(ENTRY_LEN)
    {
        let entry = index::entry(entry).ok_or(rest.bad("kind", count * ENTRY_LEN))?;
        if blobs.last().is_some_and(|b| b.offset >= entry.offset) {
            return Err(rest.bad("order", count * ENTRY_LEN));
        }
        blobs.push(entry);
    }
    Ok(Listing {
        segment,
        class,
        len: u64::from_le_bytes(len),
        blobs,
    })
}

/// What is still to be read.
struct Rest<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], ListingError> {
        let (taken, bytes) = self.bytes.split_at_checked(len).ok_or(self.bad(field, 0))?;
        *self = Self {
            bytes,
            offset: self.offset + len,
        };
        Ok(taken)
    }

    /// A field that began `back` bytes before what is left.
    const fn bad(&self, field: &'static str, back: usize) -> ListingError {
        ListingError {
            field,
            offset: self.offset - back,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlobKind;
    use larder_types::BlobId;

    fn listings() -> Vec<Listing> {
        let entry = |n: u8| IndexEntry {
            id: BlobId([n; 32]),
            kind: BlobKind::Data,
            offset: u32::from(n) * 1000,
            len: 1000,
            plain_len: 920,
        };
        let listing = |n: u8, class, blobs| Listing {
            segment: SegmentId([n; 32]),
            class,
            len: u64::from(n) << 20,
            blobs,
        };
        vec![
            listing(1, Class::Low, vec![entry(0), entry(7), entry(200)]),
            listing(2, Class::Critical, Vec::new()),
            listing(3, Class::Normal, vec![entry(9)]),
        ]
    }

    #[test]
    fn listings_read_back_and_have_one_form() {
        let bytes = encode(&listings());
        let want = HEAD_LEN + encoded_len(3) + encoded_len(0) + encoded_len(1);
        assert_eq!(bytes.len(), want);
        assert_eq!(decode(&bytes), Ok(listings()));
        assert_eq!(decode(&encode(&[])), Ok(Vec::new()));
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err(), "one more");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let bytes = encode(&listings());
        let check = |at: usize, byte: u8, field, offset| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            assert_eq!(decode(&bytes), Err(ListingError { field, offset }), "{at}");
        };
        check(0, 2, "version", 0);
        check(HEAD_LEN + 32, 4, "class", HEAD_LEN + 32);
        check(HEAD_LEN + 44, 1, "count", HEAD_LEN + 41);
        check(4, 2, "end", HEAD_LEN + encoded_len(3) + encoded_len(0));
        let first = HEAD_LEN + SEGMENT_LEN;
        check(first, 99, "kind", first);
        // The first entry's offset becomes that of a later one.
        check(first + 34, 0xff, "order", first);
    }
}
