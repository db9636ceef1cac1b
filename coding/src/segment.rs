//! A segment: sealed blobs one after another, a sealed index, padding and a trailer, all of it
//! encrypted once more (AES-256-CTR under the segment's own key, length-preserving). The result is
//! C. Writing streams; reading seeks. `docs/protocol.md` §3.2.
//!
//! Inside the outer encryption: blobs from offset 0 | index blob | zeros | 64-byte trailer at the
//! very end, little endian: 0 magic `LRDSEG01` | 8 segment id\[32\] | 40 `index_offset` u64 |
//! 48 `index_len` u32 | 52 zero\[8\] | 60 check\[4\] = first bytes of BLAKE3 over bytes 0..60.
//!
//! **An id is used once.** The outer key depends on the id alone: a segment that is begun anew, even
//! after a crash, takes a fresh id.

use crate::blob::{self, BlobHeader, BlobKind, HEADER_LEN, OVERHEAD, OpenError};
use crate::given::OpenKeys;
use crate::index::{self, IndexEntry, IndexError, MAX_ENTRIES};
use crate::layout::GROUP_LEN;
use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use larder_keys::VaultKeys;
use larder_types::SegmentId;
use larder_types::layout::Layout;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Most bytes of a segment before its last padding: 64 MiB.
pub const MAX_SEGMENT: u64 = 64 << 20;
/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 64;

const MAGIC: [u8; 8] = *b"LRDSEG01";
/// Bytes encrypted or scanned at a time.
const BLOCK: usize = 256 << 10;

type Outer = Ctr128BE<Aes256>;

fn outer(key: &[u8; 32]) -> Outer {
    Outer::new(key.into(), &[0; 16].into())
}

/// What a finished segment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Its id.
    pub id: SegmentId,
    /// Bytes of C, padding included.
    pub len: u64,
    /// Its blobs in the order of writing.
    pub blobs: Vec<IndexEntry>,
}

/// Why a blob was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It does not fit; nothing was written. Finish this segment and begin another.
    #[error("the segment has no room for {len} bytes more")]
    Full {
        /// Bytes of the blob.
        len: usize,
    },
    /// It is no single sealed blob.
    #[error(transparent)]
    Blob(#[from] OpenError),
    /// The sink failed: what it holds is no segment.
    #[error("writing the segment")]
    Io(#[from] io::Error),
}

/// Writes a segment front to back.
pub struct SegmentWriter<W> {
    sink: W,
    outer: Outer,
    keys: VaultKeys,
    id: SegmentId,
    offset: u64,
    blobs: Vec<IndexEntry>,
    scratch: Vec<u8>,
}

impl<W: Write> SegmentWriter<W> {
    /// An empty segment. `id` is 32 fresh random bytes.
    pub fn new(sink: W, keys: &VaultKeys, id: SegmentId) -> Self {
        Self {
            sink,
            outer: outer(&keys.segment_key(&id)),
            keys: keys.clone(),
            id,
            offset: 0,
            blobs: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The segment's id.
    #[must_use]
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// Bytes of blobs so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.offset
    }

    /// Whether no blob was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Whether a sealed blob of `len` bytes still fits. Any fits an empty segment.
    #[must_use]
    pub fn has_room(&self, len: usize) -> bool {
        let index = index::encoded_len(self.blobs.len() + 1) + OVERHEAD + TRAILER_LEN;
        self.blobs.len() < MAX_ENTRIES && self.offset + (len + index) as u64 <= MAX_SEGMENT
    }

    /// Appends one sealed blob; where it lies.
    ///
    /// # Errors
    /// [`WriteError`]; after `Io` the writer is of no more use.
    ///
    /// # Panics
    /// Never: offsets stay below 64 MiB.
    pub fn push(&mut self, sealed: &[u8]) -> Result<IndexEntry, WriteError> {
        let header = BlobHeader::parse(sealed)?;
        if header.len() != sealed.len() {
            return Err(WriteError::Blob(OpenError::Length {
                want: header.len(),
                got: sealed.len(),
            }));
        }
        if !self.has_room(sealed.len()) {
            return Err(WriteError::Full { len: sealed.len() });
        }
        let offset = u32::try_from(self.offset).expect("offsets stay below 64 MiB");
        let entry = IndexEntry::of(&header, offset);
        self.put(sealed)?;
        self.blobs.push(entry);
        Ok(entry)
    }

    /// Writes index, padding and trailer, so that C is a multiple of `k` · 16 KiB and falls into
    /// `k` shards without a rest (`k` = 1 where the code is not known yet: whoever encodes extends
    /// C with zeros). `nonce` must be fresh random bytes. The sink comes back, flushed.
    ///
    /// # Errors
    /// What the sink says.
    ///
    /// # Panics
    /// If `k` is 0, which no code has.
    pub fn finish(mut self, k: u16, nonce: [u8; 12]) -> io::Result<(SegmentSummary, W)> {
        let plain = index::encode(&self.id, &self.blobs);
        let id = blob::blob_id(&self.keys, &plain);
        let sealed = blob::seal(&self.keys, BlobKind::Index, id, &plain, nonce)
            .expect("MAX_ENTRIES keeps the index below a blob's limit");
        let trailer = Trailer {
            index_offset: self.offset,
            index_len: u32::try_from(sealed.len()).expect("a sealed blob is below 9 MiB"),
        };
        self.put(&sealed)?;
        let unit = u64::from(k) * GROUP_LEN;
        let len = (self.offset + TRAILER_LEN as u64).div_ceil(unit) * unit;
        self.pad(len - TRAILER_LEN as u64)?;
        self.put(&trailer.to_bytes(&self.id))?;
        self.sink.flush()?;
        let summary = SegmentSummary {
            id: self.id,
            len,
            blobs: self.blobs,
        };
        Ok((summary, self.sink))
    }

    /// Zeros up to `end`.
    fn pad(&mut self, end: u64) -> io::Result<()> {
        const ZEROS: [u8; 4096] = [0; 4096];
        while self.offset < end {
            let len =
                usize::try_from(end - self.offset).map_or(ZEROS.len(), |n| n.min(ZEROS.len()));
            self.put(&ZEROS[..len])?;
        }
        Ok(())
    }

    /// Encrypts and writes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for block in bytes.chunks(BLOCK) {
            self.scratch.clear();
            self.scratch.extend_from_slice(block);
            self.outer.apply_keystream(&mut self.scratch);
            self.sink.write_all(&self.scratch)?;
            self.offset += block.len() as u64;
        }
        Ok(())
    }
}

impl<W> fmt::Debug for SegmentWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentWriter")
            .field("id", &self.id)
            .field("offset", &self.offset)
            .field("blobs", &self.blobs.len())
            .finish_non_exhaustive()
    }
}

/// Where the index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trailer {
    index_offset: u64,
    index_len: u32,
}

impl Trailer {
    fn to_bytes(self, id: &SegmentId) -> Vec<u8> {
        let layout = Layout::new()
            .fixed(MAGIC)
            .fixed(id)
            .u64(self.index_offset)
            .u32(self.index_len)
            .u64(0);
        let check = blake3::hash(&layout.clone().finish());
        layout.fixed(&check.as_bytes()[..4]).finish()
    }

    /// The trailer, if it is exactly what [`Self::to_bytes`] gives for `id`.
    fn parse(b: &[u8; TRAILER_LEN], id: &SegmentId) -> Option<Self> {
        let mut offset = [0; 8];
        offset.copy_from_slice(&b[40..48]);
        let trailer = Self {
            index_offset: u64::from_le_bytes(offset),
            index_len: u32::from_le_bytes([b[48], b[49], b[50], b[51]]),
        };
        (trailer.to_bytes(id) == b).then_some(trailer)
    }
}

/// Why a segment, or a blob in it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source failed.
    #[error("reading the segment")]
    Io(#[from] io::Error),
    /// The range does not lie inside the segment.
    #[error("{len} bytes at {offset} lie outside the segment of {segment_len} bytes")]
    Range {
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        len: u64,
        /// Bytes of C.
        segment_len: u64,
    },
    /// The blob does not open.
    #[error(transparent)]
    Blob(#[from] OpenError),
    /// The trailer is damaged, or C is another segment's. [`SegmentReader::scan`] finds the blobs.
    #[error("the segment's trailer is damaged")]
    Trailer,
    /// The blob that the trailer names is no index. [`SegmentReader::scan`] finds the blobs.
    #[error("the segment's index is a {0:?} blob")]
    NotIndex(BlobKind),
    /// The index is not this segment's. [`SegmentReader::scan`] finds the blobs.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Reads a segment's blobs from C.
pub struct SegmentReader<R> {
    source: R,
    outer: Outer,
    keys: OpenKeys,
    id: SegmentId,
    len: u64,
}

impl<R: Read + Seek> SegmentReader<R> {
    /// A reader of the segment `id`, whose C is all of `source`. Nothing is checked yet: blobs
    /// authenticate themselves.
    ///
    /// # Errors
    /// What the source says when it is asked for its length; or that the keys given are not this
    /// segment's.
    pub fn new(mut source: R, keys: impl Into<OpenKeys>, id: SegmentId) -> io::Result<Self> {
        let keys = keys.into();
        let len = source.seek(SeekFrom::End(0))?;
        let outer = keys.segment_key(&id).map(|key| outer(&key));
        let none = || io::Error::other("the key of this segment was not given");
        Ok(Self {
            source,
            outer: outer.ok_or_else(none)?,
            keys,
            id,
            len,
        })
    }

    /// The segment's id.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        self.id
    }

    /// Bytes of C.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a segment is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The blob whose `len` sealed bytes lie at `offset`.
    ///
    /// # Errors
    /// [`ReadError`] unless exactly one sealed blob of this account lies there.
    pub fn read_blob(&mut self, offset: u64, len: u64) -> Result<(BlobHeader, Vec<u8>), ReadError> {
        let sealed = self.read_range(offset, len)?;
        Ok(self.keys.open(&sealed)?)
    }

    /// The index at the segment's end.
    ///
    /// # Errors
    /// [`ReadError`] if trailer or index are damaged; then [`Self::scan`] helps.
    pub fn read_index(&mut self) -> Result<Vec<IndexEntry>, ReadError> {
        let at = self.len.saturating_sub(TRAILER_LEN as u64);
        let bytes = self.read_range(at, TRAILER_LEN as u64)?;
        let trailer = bytes
            .first_chunk()
            .and_then(|b| Trailer::parse(b, &self.id))
            .ok_or(ReadError::Trailer)?;
        let (header, plain) = self.read_blob(trailer.index_offset, u64::from(trailer.index_len))?;
        if header.kind != BlobKind::Index {
            return Err(ReadError::NotIndex(header.kind));
        }
        Ok(index::decode(&self.id, &plain)?)
    }

    /// The blobs that are still whole, found by their headers alone; each was opened. For a
    /// segment whose index or trailer is damaged.
    ///
    /// # Errors
    /// What the source says. Damage is no error: the damaged blob is left out.
    ///
    /// # Panics
    /// Never: what lies at or beyond 4 GiB is not looked at.
    pub fn scan(&mut self) -> io::Result<Vec<IndexEntry>> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(offset) = self.next_magic(at)? {
            at = offset + 1;
            let (Some(header), Ok(place)) = (self.header_at(offset)?, u32::try_from(offset)) else {
                continue;
            };
            match self.read_blob(offset, header.len() as u64) {
                Ok(_) => {
                    at = offset + header.len() as u64;
                    if header.kind != BlobKind::Index {
                        found.push(IndexEntry::of(&header, place));
                    }
                }
                Err(ReadError::Io(e)) => return Err(e),
                Err(
                    ReadError::Range { .. }
                    | ReadError::Blob(_)
                    | ReadError::Trailer
                    | ReadError::NotIndex(_)
                    | ReadError::Index(_),
                ) => {}
            }
        }
        Ok(found)
    }

    /// Where a header's magic next stands, at `from` or later.
    fn next_magic(&mut self, from: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at + HEADER_LEN as u64 <= self.len {
            let len = (self.len - at).min(BLOCK as u64);
            let block = self.decrypt(at, len)?;
            if let Some(i) = block.windows(4).position(|w| w == blob::MAGIC) {
                return Ok(Some(at + i as u64));
            }
            // The last three bytes may begin a magic that the next block ends.
            at += len - 3;
        }
        Ok(None)
    }

    /// The header at `offset`, if one stands there.
    fn header_at(&mut self, offset: u64) -> io::Result<Option<BlobHeader>> {
        if offset + HEADER_LEN as u64 > self.len {
            return Ok(None);
        }
        let bytes = self.decrypt(offset, HEADER_LEN as u64)?;
        Ok(BlobHeader::parse(&bytes).ok())
    }

    /// The bytes inside the outer encryption, if they lie in the segment.
    fn read_range(&mut self, offset: u64, len: u64) -> Result<Vec<u8>, ReadError> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(ReadError::Range {
                offset,
                len,
                segment_len: self.len,
            });
        }
        Ok(self.decrypt(offset, len)?)
    }

    /// Reads and decrypts a range inside the segment.
    fn decrypt(&mut self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        self.source.seek(SeekFrom::Start(offset))?;
        self.source.read_exact(&mut bytes)?;
        self.outer.seek(offset);
        self.outer.apply_keystream(&mut bytes);
        Ok(bytes)
    }
}

impl<R> fmt::Debug for SegmentReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentReader")
            .field("id", &self.id)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
