//! The mask keys of segments that others lent, for as long as they are read: decoding takes them where
//! the vault's own do not fit.

use larder_types::SegmentId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

type Keys = BTreeMap<SegmentId, Zeroizing<[u8; 32]>>;

/// Mask keys by segment. Clones are the same.
#[derive(Clone, Default)]
pub struct Masks(Arc<Mutex<Keys>>);

impl Masks {
    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a segment that is lent.
    #[must_use]
    pub fn of(&self, segment: &SegmentId) -> Option<Zeroizing<[u8; 32]>> {
        self.lock().get(segment).cloned()
    }

    /// Takes keys in.
    pub fn lend(&self, keys: impl IntoIterator<Item = (SegmentId, Zeroizing<[u8; 32]>)>) {
        self.lock().extend(keys);
    }

    /// Forgets keys.
    pub fn forget(&self, segments: &[SegmentId]) {
        let mut keys = self.lock();
        for id in segments {
            keys.remove(id);
        }
    }
}

impl fmt::Debug for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masks(secret)")
    }
}
