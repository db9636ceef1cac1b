//! A sealed blob: zstd where it pays, then AES-256-GCM under a key of the blob's own, behind a
//! 64-byte header that describes it and is its associated data. What opens is what was named: the
//! id is computed anew. `docs/protocol.md` §3.2.
//!
//! Header, little endian: 0 magic `LBLB` | 4 version=1 | 5 kind | 6 cipher=1 | 7 flags (1 zstd) |
//! 8 `plain_len` u32 | 12 `sealed_len` u32 (ciphertext and tag) | 16 id\[32\] | 48 nonce\[12\] |
//! 60 check\[4\] = first bytes of BLAKE3 over bytes 0..60, for the recovery scan.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use larder_keys::VaultKeys;
use larder_types::BlobId;
use zeroize::Zeroizing;

/// Most bytes of one blob's plaintext: the cutter's largest.
pub const MAX_PLAIN: usize = 8 << 20;
/// Bytes of a header.
pub const HEADER_LEN: usize = 64;
/// Bytes of an AES-GCM tag.
pub const TAG_LEN: usize = 16;
/// What a seal adds at most: header and tag.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

pub(crate) const MAGIC: [u8; 4] = *b"LBLB";
const VERSION: u8 = 1;
const AES_GCM: u8 = 1;
const ZSTD: u8 = 1;
/// Level 1: the measured best ratio per second on a first backup.
const LEVEL: i32 = 1;

/// What a blob holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// A piece of a file's contents.
    Data,
    /// A piece of directory metadata.
    Tree,
    /// A snapshot's description.
    Snapshot,
    /// A list of blob ids, where one blob cannot hold them.
    List,
    /// A segment's own index, written by the segment alone.
    Index,
    /// The indexes of data segments, [`crate::listing`].
    Listing,
    /// A piece of a catalogue: what it says is the engine's.
    Catalogue,
}

impl BlobKind {
    /// The byte that stands for it in headers and indexes.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Tree => 2,
            Self::Snapshot => 3,
            Self::List => 4,
            Self::Index => 5,
            Self::Listing => 6,
            Self::Catalogue => 7,
        }
    }

    /// The kind that a byte stands for.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Data),
            2 => Some(Self::Tree),
            3 => Some(Self::Snapshot),
            4 => Some(Self::List),
            5 => Some(Self::Index),
            6 => Some(Self::Listing),
            7 => Some(Self::Catalogue),
            _ => None,
        }
    }
}

/// A sealed blob's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobHeader {
    /// What it holds.
    pub kind: BlobKind,
    /// Whether the plaintext was compressed before it was sealed.
    pub compressed: bool,
    /// Bytes of plaintext, at most [`MAX_PLAIN`].
    pub plain_len: u32,
    /// Bytes of ciphertext and tag behind the header.
    pub sealed_len: u32,
    /// The blob's id.
    pub id: BlobId,
    /// The AEAD's nonce.
    pub nonce: [u8; 12],
}

/// Why bytes are no sealed blob of this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No header: wrong magic, version, kind, cipher, flag, length or check.
    #[error("no blob header: bad {field} at byte {offset}")]
    Header {
        /// Which field.
        field: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// The header promises another length.
    #[error("the blob has {got} bytes, its header says {want}")]
    Length {
        /// Bytes that the header promises.
        want: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The seal is broken or was made with another key.
    #[error("the blob's seal does not open: damaged, or another account's")]
    Seal,
    /// The compressed plaintext does not expand to its length.
    #[error("the blob does not expand to the {plain_len} bytes its header says")]
    Expand {
        /// Bytes that the header promises.
        plain_len: u32,
    },
    /// The plaintext is not what the id names.
    #[error("the blob's contents are not those of {id}")]
    Id {
        /// The id in the header.
        id: BlobId,
    },
}

/// Why a plaintext cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Longer than a blob may be.
    #[error("a blob holds at most {MAX_PLAIN} bytes, not {len}")]
    TooLong {
        /// Bytes given.
        len: usize,
    },
}

/// A plaintext's id: keyed by the account, so that nobody can confirm a guess.
#[must_use]
pub fn blob_id(keys: &VaultKeys, plain: &[u8]) -> BlobId {
    BlobId(*blake3::keyed_hash(keys.blob_id_key(), plain).as_bytes())
}

/// Seals `plain`, whose id is `id`: header ‖ ciphertext ‖ tag. `nonce` must be fresh random bytes.
///
/// # Errors
/// If `plain` is longer than [`MAX_PLAIN`].
///
/// # Panics
/// Never: the cipher refuses nothing of these lengths.
pub fn seal(
    keys: &VaultKeys,
    kind: BlobKind,
    id: BlobId,
    plain: &[u8],
    nonce: [u8; 12],
) -> Result<Vec<u8>, SealError> {
    let plain_len = match u32::try_from(plain.len()) {
        Ok(len) if plain.len() <= MAX_PLAIN => len,
        Ok(_) | Err(_) => return Err(SealError::TooLong { len: plain.len() }),
    };
    debug_assert_eq!(
        blob_id(keys, plain),
        id,
        "a blob is sealed under its own id"
    );
    let mut out = vec![0; plain.len() + OVERHEAD];
    let packed = compress(plain, &mut out[HEADER_LEN..]);
    let body = packed.unwrap_or(plain.len());
    out.truncate(HEADER_LEN + body);
    if packed.is_none() {
        out[HEADER_LEN..].copy_from_slice(plain);
    }
    let header = BlobHeader {
        kind,
        compressed: packed.is_some(),
        plain_len,
        sealed_len: u32::try_from(body + TAG_LEN).expect("a body is at most 8 MiB"),
        id,
        nonce,
    };
    let layout = header.to_bytes();
    out[..HEADER_LEN].copy_from_slice(&layout);
    let tag = cipher(&key_of(keys, &id))
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(layout),
            &mut out[HEADER_LEN..],
        )
        .expect("AES-GCM takes any body of at most 8 MiB");
    out.extend_from_slice(tag.as_ref());
    Ok(out)
}

/// Compresses into `out` if that saves at least 1/32; the compressed length. (The saving must be
/// worth a decompression. zstd gives up on noise at 6 GB/s, so no test comes before.)
fn compress(plain: &[u8], out: &mut [u8]) -> Option<usize> {
    let worth = plain.len() - plain.len() / 32;
    let room = out.get_mut(..worth.checked_sub(1)?)?;
    zstd::bulk::compress_to_buffer(plain, room, LEVEL).ok()
}

/// Opens exactly one sealed blob: its header and plaintext, whose id has been computed anew.
///
/// # Errors
/// [`OpenError`] for whatever is not, bit for bit, a blob that these keys sealed.
pub fn open(keys: &VaultKeys, sealed: &[u8]) -> Result<(BlobHeader, Vec<u8>), OpenError> {
    let header = BlobHeader::parse(sealed)?;
    let (header, plain) = open_with(&keys.blob_key(AES_GCM, &header.id), sealed)?;
    if blob_id(keys, &plain) != header.id {
        return Err(OpenError::Id { id: header.id });
    }
    Ok((header, plain))
}

/// The key of one blob alone: what a share gives away.
#[must_use]
pub fn key_of(keys: &VaultKeys, id: &BlobId) -> Zeroizing<[u8; 32]> {
    keys.blob_key(AES_GCM, id)
}

/// Opens exactly one sealed blob with its own key. That its plaintext is what the id names, only the
/// vault's keys could tell; the seal binds the header and the id in it.
///
/// # Errors
/// [`OpenError`] for whatever is not, bit for bit, what was sealed with this key.
pub fn open_with(key: &[u8; 32], sealed: &[u8]) -> Result<(BlobHeader, Vec<u8>), OpenError> {
    let header = BlobHeader::parse(sealed)?;
    if sealed.len() != header.len() {
        return Err(OpenError::Length {
            want: header.len(),
            got: sealed.len(),
        });
    }
    let (layout, body) = sealed.split_at(HEADER_LEN);
    let mut body = body.to_vec();
    let packed_len = cipher(key)
        .open_in_place(
            Nonce::assume_unique_for_key(header.nonce),
            Aad::from(layout),
            &mut body,
        )
        .map_err(|_| OpenError::Seal)?
        .len();
    body.truncate(packed_len);
    let plain = expand(&header, body)?;
    Ok((header, plain))
}

/// The plaintext; never more than `plain_len` ≤ 8 MiB is allocated for it.
fn expand(header: &BlobHeader, packed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
    let want = header.plain_len as usize;
    let plain = if header.compressed {
        zstd::bulk::decompress(&packed, want).ok()
    } else {
        Some(packed)
    };
    plain.filter(|p| p.len() == want).ok_or(OpenError::Expand {
        plain_len: header.plain_len,
    })
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
}

impl BlobHeader {
    /// Bytes of the whole sealed blob, header included.
    #[expect(clippy::len_without_is_empty, reason = "a sealed blob is never empty")]
    #[must_use]
    pub const fn len(&self) -> usize {
        HEADER_LEN + self.sealed_len as usize
    }

    /// The 64 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut b = [0; HEADER_LEN];
        b[0..4].copy_from_slice(&MAGIC);
        b[4..8].copy_from_slice(&[
            VERSION,
            self.kind.byte(),
            AES_GCM,
            u8::from(self.compressed),
        ]);
        b[8..12].copy_from_slice(&self.plain_len.to_le_bytes());
        b[12..16].copy_from_slice(&self.sealed_len.to_le_bytes());
        b[16..48].copy_from_slice(&self.id.0);
        b[48..60].copy_from_slice(&self.nonce);
        let check = blake3::hash(&b[..60]);
        b[60..].copy_from_slice(&check.as_bytes()[..4]);
        b
    }

    /// Reads the header at the start of `bytes`. It is a claim until [`open`] succeeds.
    ///
    /// # Errors
    /// [`OpenError::Header`] names the first field that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, OpenError> {
        let bad = |field, offset| OpenError::Header { field, offset };
        let b: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(bad("length", 0))?;
        if b[..4] != MAGIC {
            return Err(bad("magic", 0));
        }
        if blake3::hash(&b[..60]).as_bytes()[..4] != b[60..] {
            return Err(bad("check", 60));
        }
        if b[4] != VERSION {
            return Err(bad("version", 4));
        }
        let kind = BlobKind::from_byte(b[5]).ok_or(bad("kind", 5))?;
        if b[6] != AES_GCM {
            return Err(bad("cipher", 6));
        }
        if b[7] > ZSTD {
            return Err(bad("flags", 7));
        }
        let header = Self {
            kind,
            compressed: b[7] == ZSTD,
            plain_len: u32::from_le_bytes([b[8], b[9], b[10], b[11]]),
            sealed_len: u32::from_le_bytes([b[12], b[13], b[14], b[15]]),
            id: BlobId(take(b, 16)),
            nonce: take(b, 48),
        };
        if header.plain_len as usize > MAX_PLAIN {
            return Err(bad("plain_len", 8));
        }
        if !header.has_possible_length() {
            return Err(bad("sealed_len", 12));
        }
        Ok(header)
    }

    /// A raw body is as long as its plaintext, a compressed one is shorter.
    const fn has_possible_length(&self) -> bool {
        match (self.sealed_len as usize).checked_sub(TAG_LEN) {
            None => false,
            Some(body) if self.compressed => body < self.plain_len as usize,
            Some(body) => body == self.plain_len as usize,
        }
    }
}

/// `N` bytes at `at`.
fn take<const N: usize>(b: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&b[at..at + N]);
    field
}
