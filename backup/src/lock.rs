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
    /// Somebody else of this process writes.
    #[error("a backup or a prune is under way; wait for it to end, or cancel it")]
    Turn,
    /// The folder cannot be locked.
    #[error("locking the vault's folder: {0}")]
    Io(#[from] std::io::Error),
}

/// The right to write, until dropped. Fields are dropped in their order: the folder is free before
/// the turn passes on, or the next of this process would find it locked by the one before it.
#[derive(Debug)]
pub(crate) struct Held {
    _folder: File,
    _turn: OwnedMutexGuard<()>,
}

/// Waits for this process's turn, then takes the lock on `dir`.
pub(crate) async fn hold(turn: &Arc<Mutex<()>>, dir: &Path) -> Result<Held, LockError> {
    let turn = Arc::clone(turn).lock_owned().await;
    lock(turn, dir)
}

/// Takes both, or says who has them: for what would rather not wait for hours.
pub(crate) fn try_hold(turn: &Arc<Mutex<()>>, dir: &Path) -> Result<Held, LockError> {
    let turn = Arc::clone(turn).try_lock_owned();
    lock(turn.map_err(|_| LockError::Turn)?, dir)
}

fn lock(turn: OwnedMutexGuard<()>, dir: &Path) -> Result<Held, LockError> {
    let folder = File::open(dir)?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Held {
            _folder: folder,
            _turn: turn,
        }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Busy),
        Err(e) => Err(LockError::Io(e.into())),
    }
}

/// Whether nobody holds the lock on `dir`.
pub(crate) fn is_free(dir: &Path) -> bool {
    File::open(dir).is_ok_and(|d| flock(&d, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each waits for its turn and never for the folder: thousands of times, as the gap between
    /// the two was a few microseconds wide.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn within_a_process_nobody_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let turn = Arc::new(Mutex::new(()));
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (turn, dir) = (Arc::clone(&turn), dir.path().to_owned());
                tokio::spawn(async move {
                    for _ in 0..5_000 {
                        drop(hold(&turn, &dir).await.unwrap());
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
