//! One writer at a time: within the process by waiting, between processes by an operating system
//! lock on the vault's folder itself. It dies with the process, so none is ever left behind.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Why a vault cannot be written to now.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process writes.
    #[error("another larder process is writing to this vault; wait for it to end")]
    Busy,
    /// The folder cannot be locked.
    #[error("locking the vault's folder: {0}")]
    Io(#[from] std::io::Error),
}

/// The right to write, until dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _turn: OwnedMutexGuard<()>,
    _folder: File,
}

/// Waits for this process's turn, then takes the lock on `dir`.
pub(crate) async fn hold(turn: &Arc<Mutex<()>>, dir: &Path) -> Result<Held, LockError> {
    let turn = Arc::clone(turn).lock_owned().await;
    let folder = File::open(dir)?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Held {
            _turn: turn,
            _folder: folder,
        }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Busy),
        Err(e) => Err(LockError::Io(e.into())),
    }
}

/// Whether nobody holds the lock on `dir`.
pub(crate) fn is_free(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|d| flock(&d, FlockOperation::NonBlockingLockExclusive).is_ok())
}
