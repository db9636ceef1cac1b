//! What a backup came to.

use crate::problems::Problems;
use crate::snapshot::SnapshotId;

/// What the reading side counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) dirs: u64,
    pub(crate) bytes: u64,
    pub(crate) changed: u64,
}

/// What the packing side counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) bytes_new: u64,
    pub(crate) bytes_stored: u64,
    pub(crate) segments: u64,
}

/// What a backup came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The snapshot; none for a dry run.
    pub snapshot: Option<SnapshotId>,
    /// Files in it.
    pub files: u64,
    /// Directories in it.
    pub dirs: u64,
    /// What could not be read and is not in it (exit code 3 if any).
    pub errors: Problems,
    /// Files that changed while they were read; what is kept may be half old, half new.
    pub changed: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of files and trees that the vault did not have yet, before compression.
    pub bytes_new: u64,
    /// Bytes that this run laid down with providers, redundancy included.
    pub bytes_stored: u64,
    /// Segments that this run stored, those left by an earlier run included.
    pub segments: u64,
}
