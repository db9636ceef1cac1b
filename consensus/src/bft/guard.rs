//! No key votes twice: whether a validator may go on with its key and its record of votes, decided
//! before the engine starts. The record is the folder with the engine's write-ahead log and a random
//! name; the mark with that name lies with the key, written before its first vote. Whoever has the
//! mark and not the record has lost what it voted for, and must not vote. `docs/protocol.md` §3.8.
//!
//! What this cannot see: folder, database and key put back together from one older copy.

use super::engine::wal;
use larder_types::NodeId;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The engine's log within the folder.
const WAL: &str = "wal";
/// The record's name, and whose it is.
const RECORD: &str = "record";

/// What lies with a validator's key once it may have voted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// The height for which it voted first, or was about to.
    pub since: u64,
    /// The random name of its record of votes.
    pub record: [u8; 16],
}

/// Where [`InUse`] is kept: with the key, so that a copy of the key has it.
pub trait KeyMark: Send {
    /// The mark, if the key has one.
    ///
    /// # Errors
    /// What reading gives.
    fn read(&self) -> io::Result<Option<InUse>>;

    /// Sets the mark. It survives a crash once this returns.
    ///
    /// # Errors
    /// What writing gives.
    fn write(&self, mark: &InUse) -> io::Result<()>;
}

/// Why a validator may not vote with its key.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The record is gone: the disk was wiped, or only the key was brought here.
    #[error(
        "this key has voted since height {since}, but its record of votes is not in {dir}: voting again \
         with it could contradict them. Give the node a new key, and have the others take the old \
         validator out and the new one in (network remove-validator, network add-validator)"
    )]
    WipedValidator {
        /// The first height that it may have voted for.
        since: u64,
        /// Where the record should be.
        dir: PathBuf,
    },
    /// The ledger is older than the record.
    #[error(
        "this key last voted at height {voted}, but the ledger here ends at {head}: let the node follow the \
         others up to height {} before it validates", voted.saturating_sub(1)
    )]
    Behind {
        /// The height of the newest vote.
        voted: u64,
        /// The ledger's head.
        head: u64,
    },
    /// The folder or the mark cannot be read or written.
    #[error("the record of votes in {dir} cannot be used: {source}")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The record of the key of `node` in `dir`, to be used at the ledger's `head`: gives the path of
/// the engine's log. `name` is random, for a new record.
///
/// # Errors
/// [`GuardError`] if the key must not vote.
pub(super) fn open(
    dir: &Path,
    node: &NodeId,
    mark: &dyn KeyMark,
    head: u64,
    name: [u8; 16],
) -> Result<PathBuf, GuardError> {
    let io = |source| GuardError::Io {
        dir: dir.to_owned(),
        source,
    };
    let (marked, found) = (mark.read().map_err(io)?, read(dir).map_err(io)?);
    let log = dir.join(WAL);
    let own = found.filter(|(whose, _)| whose == node);
    match (marked, own) {
        // The record that the key was used with.
        (Some(mark), Some((_, record))) if mark.record == record && log.exists() => {}
        (Some(mark), Some(_) | None) => {
            return Err(GuardError::WipedValidator {
                since: mark.since,
                dir: dir.to_owned(),
            });
        }
        // The key was put back without its mark, or the first start was cut off in between.
        (None, Some((_, record))) if log.exists() => {
            let since = head.saturating_add(1);
            mark.write(&InUse { since, record }).map_err(io)?;
        }
        // A key that was never used; what is there belongs to another one.
        (None, Some(_) | None) => {
            create(dir, node, name).map_err(io)?;
            let since = head.saturating_add(1);
            let record = name;
            mark.write(&InUse { since, record }).map_err(io)?;
        }
    }
    let voted = voted(&log).map_err(io)?;
    if voted > head.saturating_add(1) {
        return Err(GuardError::Behind { voted, head });
    }
    Ok(log)
}

/// The height that the log is about.
fn voted(log: &Path) -> io::Result<u64> {
    Ok(wal::Log::open(log)?.sequence())
}

/// node[32] ‖ name[16].
fn read(dir: &Path) -> io::Result<Option<(NodeId, [u8; 16])>> {
    let bytes = match fs::read(dir.join(RECORD)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let parts = bytes.split_first_chunk::<32>();
    let parts = parts.and_then(|(node, name)| Some((NodeId(*node), name.try_into().ok()?)));
    parts.map(Some).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the file 'record' is damaged: put it back from a copy, or take a new key",
        )
    })
}

/// A new, empty record, on the disk when this returns; the log first, so that a record without one
/// is a damaged one.
fn create(dir: &Path, node: &NodeId, name: [u8; 16]) -> io::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    drop(wal::Log::open(dir.join(WAL))?);
    let mut file = File::create(dir.join(RECORD))?;
    file.write_all(&[&node.0[..], &name].concat())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
