//! The bytes of a store: used, promised to shards being written, and what is left under the quota and
//! on the disk.

use larder_types::Bytes;

use super::StoreError;

/// The store's books, in bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Account {
    /// The most that may be used.
    pub(super) quota: u64,
    /// Shards stored, with their outboards.
    pub(super) used: u64,
    /// Shards being written, with their outboards.
    pub(super) promised: u64,
}

impl Account {
    /// Sets `needed` bytes aside if quota and disk have them. `disk` is what is free above the reserve;
    /// all that is promised counts against it, as if nothing of it were written yet.
    pub(super) fn promise(&mut self, needed: u64, disk: u64) -> Result<(), StoreError> {
        let have = self.free().min(disk.saturating_sub(self.promised));
        if needed > have {
            return Err(StoreError::Full {
                needed: Bytes(needed),
                have: Bytes(have),
            });
        }
        self.promised += needed;
        Ok(())
    }

    /// A write ended, well or badly.
    pub(super) fn release(&mut self, promised: u64) {
        self.promised -= promised;
    }

    /// What the quota leaves.
    pub(super) fn free(&self) -> u64 {
        self.quota
            .saturating_sub(self.used)
            .saturating_sub(self.promised)
    }
}
