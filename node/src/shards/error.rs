//! How the shard store fails. `Full`, `WrongRoot` and `WrongLength` are refusals of a shard;
//! `Absent`, `Rotten` and `OutOfRange` of a read; `Io` is the disk's and is to be taken seriously.

use larder_types::{Bytes, ShardRoot};
use std::io;
use std::path::{Path, PathBuf};

/// Why a shard was not stored, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The quota, or the disk less its reserve, has no room.
    #[error("no room for a shard: needs {needed}, has {have}")]
    Full {
        /// What the shard takes, its outboard included.
        needed: Bytes,
        /// What there is.
        have: Bytes,
    },
    /// The bytes are not those of the promised shard.
    #[error("the bytes hash to {got}, promised was {promised}")]
    WrongRoot {
        /// The root that was promised.
        promised: ShardRoot,
        /// The root of what came.
        got: ShardRoot,
    },
    /// More or fewer bytes than promised.
    #[error("{got} bytes came, promised were {promised}")]
    WrongLength {
        /// The length that was promised, bytes.
        promised: u64,
        /// The length of what came; when too much, as far as it was counted.
        got: u64,
    },
    /// There is no such shard.
    #[error("no shard {root}")]
    Absent {
        /// Its root.
        root: ShardRoot,
    },
    /// The file no longer holds what was stored.
    #[error("shard {root} is damaged at byte {offset} or after")]
    Rotten {
        /// Its root.
        root: ShardRoot,
        /// Where the first damage was found: the beginning of a group of 16 KiB; 0 if only the
        /// whole was hashed.
        offset: u64,
    },
    /// The shard ends before the range that is asked for, or the range is too long for one read.
    #[error("shard {root} has {len} bytes; cannot read {count} at {offset}")]
    OutOfRange {
        /// Its root.
        root: ShardRoot,
        /// Its length, bytes.
        len: u64,
        /// Where the range begins, bytes.
        offset: u64,
        /// The range's length, bytes.
        count: u64,
    },
    /// The folder is not the one that the shards were stored in: its disk is not mounted, or it is
    /// another's. It says nothing about any shard.
    #[error(
        "{} does not name this node's store: is its disk mounted? Mount it, and nothing is lost; \
         only if it is gone for good, `larder volume remove` it with --lost (in the home itself: \
         make that file anew, empty, first)",
        mark.display()
    )]
    Elsewhere {
        /// The file that should name it.
        mark: PathBuf,
    },
    /// The file system failed.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StoreError {
    /// Whether it is the medium that failed, and not this process, its rights, or a network: with
    /// few others, such a shard is lost.
    pub(super) fn is_mediums(&self) -> bool {
        use rustix::io::Errno;
        let Self::Io { source, .. } = self else {
            return false;
        };
        let says = Errno::from_io_error(source);
        says.is_some_and(|e| [Errno::IO, Errno::BADMSG, Errno::ISDIR].contains(&e))
    }
}

/// Names the act and the path of an I/O error.
pub(super) fn io_error<'a>(
    act: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io {
        act,
        path: path.to_owned(),
        source,
    }
}
