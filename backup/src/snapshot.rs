//! A snapshot: which paths, when, where, and the tree of what was there.

use crate::content::Content;
use larder_types::{BlobId, Class, Time};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A snapshot's name: the id of the blob that describes it.
pub type SnapshotId = BlobId;

/// What a snapshot's blob says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the backup began.
    pub time: Time,
    /// On which machine.
    pub host: String,
    /// What the user calls it.
    pub tags: Vec<String>,
    /// The absolute paths that were asked for, as bytes.
    pub paths: Vec<ByteBuf>,
    /// Its redundancy class.
    pub class: Class,
    /// The tree of `/`: of what lies above the paths only the way down.
    pub root: Content,
    /// Files in it.
    pub files: u64,
    /// Directories in it.
    pub dirs: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Entries that could not be read.
    pub errors: u64,
}

impl Snapshot {
    /// The paths as paths.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.paths
            .iter()
            .map(|p| PathBuf::from(OsStr::from_bytes(p)))
    }
}
