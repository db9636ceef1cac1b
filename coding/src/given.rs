//! What opens segments and blobs: a vault's keys, which open all of them, or keys of single ones that
//! the vault's owner gave away. With these, nothing else of the vault opens, and no guess at a blob's
//! contents can be confirmed. `docs/protocol.md` §3.13.

use crate::blob::{self, BlobHeader, OpenError};
use larder_keys::VaultKeys;
use larder_types::{BlobId, SegmentId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use zeroize::{Zeroize as _, Zeroizing};

/// Keys of single segments and blobs.
#[derive(Default)]
pub struct GivenKeys {
    segments: BTreeMap<SegmentId, [u8; 32]>,
    blobs: BTreeMap<BlobId, [u8; 32]>,
}

/// What opens segments and blobs.
#[derive(Clone, Debug)]
pub enum OpenKeys {
    /// All of a vault.
    Vault(VaultKeys),
    /// What was given.
    Given(Arc<GivenKeys>),
}

impl GivenKeys {
    /// Takes the key of a segment's outer encryption.
    pub fn segment(&mut self, id: SegmentId, key: [u8; 32]) {
        self.segments.insert(id, key);
    }

    /// Takes a blob's key.
    pub fn blob(&mut self, id: BlobId, key: [u8; 32]) {
        self.blobs.insert(id, key);
    }
}

impl OpenKeys {
    /// The key of a segment's outer encryption; `None` if it was not given.
    #[must_use]
    pub fn segment_key(&self, id: &SegmentId) -> Option<Zeroizing<[u8; 32]>> {
        match self {
            Self::Vault(keys) => Some(keys.segment_key(id)),
            Self::Given(keys) => keys.segments.get(id).copied().map(Zeroizing::new),
        }
    }

    /// Opens exactly one sealed blob.
    ///
    /// # Errors
    /// [`OpenError`] unless it is, bit for bit, one that these keys open; one whose key was not given
    /// does not open.
    pub fn open(&self, sealed: &[u8]) -> Result<(BlobHeader, Vec<u8>), OpenError> {
        match self {
            Self::Vault(keys) => blob::open(keys, sealed),
            Self::Given(keys) => {
                let id = BlobHeader::parse(sealed)?.id;
                let key = keys.blobs.get(&id).ok_or(OpenError::Seal)?;
                blob::open_with(key, sealed)
            }
        }
    }
}

impl From<&VaultKeys> for OpenKeys {
    fn from(keys: &VaultKeys) -> Self {
        Self::Vault(keys.clone())
    }
}

impl From<&Self> for OpenKeys {
    fn from(keys: &Self) -> Self {
        keys.clone()
    }
}

impl Drop for GivenKeys {
    fn drop(&mut self) {
        let segments = self.segments.values_mut();
        let blobs = self.blobs.values_mut();
        segments.chain(blobs).for_each(|key| key.zeroize());
    }
}

impl fmt::Debug for GivenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenKeys(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{BlobKind, blob_id, key_of, seal};
    use crate::segment::{ReadError, SegmentReader, SegmentWriter};
    use std::io::Cursor;

    #[test]
    fn a_given_key_opens_its_blob_and_no_other_of_the_segment() {
        let vault = VaultKeys::from_root(&[1; 32]);
        let id = SegmentId([2; 32]);
        let mut writer = SegmentWriter::new(Vec::new(), &vault, id);
        let put = |writer: &mut SegmentWriter<Vec<u8>>, plain: &[u8], nonce| {
            let id = blob_id(&vault, plain);
            let sealed = seal(&vault, BlobKind::Data, id, plain, [nonce; 12]).unwrap();
            writer.push(&sealed).unwrap()
        };
        let shared = put(&mut writer, b"for my sister", 1);
        let private = put(&mut writer, b"for nobody", 2);
        let (_, c) = writer.finish(1, [3; 12]).unwrap();

        let mut given = GivenKeys::default();
        given.segment(id, *vault.segment_key(&id));
        given.blob(shared.id, *key_of(&vault, &shared.id));
        let keys = OpenKeys::Given(Arc::new(given));
        let mut reader = SegmentReader::new(Cursor::new(&c), &keys, id).unwrap();
        let read = reader.read_blob(shared.offset.into(), shared.len.into());
        let (header, plain) = read.unwrap();
        assert_eq!((header.id, &plain[..]), (shared.id, &b"for my sister"[..]));
        let closed = reader.read_blob(private.offset.into(), private.len.into());
        assert!(matches!(closed, Err(ReadError::Blob(OpenError::Seal))));
        assert!(reader.read_index().is_err(), "the index is not given");

        // The same bytes under the wrong name, and under none.
        let mut wrong = GivenKeys::default();
        wrong.segment(id, *vault.segment_key(&id));
        wrong.blob(private.id, *key_of(&vault, &shared.id));
        let wrong = OpenKeys::Given(Arc::new(wrong));
        let mut reader = SegmentReader::new(Cursor::new(&c), &wrong, id).unwrap();
        assert!(
            reader
                .read_blob(private.offset.into(), private.len.into())
                .is_err()
        );
        let other = SegmentId([9; 32]);
        assert!(SegmentReader::new(Cursor::new(&c), &keys, other).is_err());
        assert_eq!(format!("{keys:?}"), "Given(GivenKeys(secret))");
    }
}
