//! Marks on snapshots, once they are signed: room for them, their segment, and the head by which the
//! words alone bring them back.

use super::Jobs;
use crate::shown::{count, stopping};
use larder_backup::lock::LockError;
use larder_backup::{MarkError, SignedMark};
use larder_engine::{Command, Input};
use larder_rpc::{Code, Marked, RpcError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A mark's bytes, generously: what room is made for.
const MARK: u64 = 1 << 10;
/// How long the answer waits until providers hold a head that names the marks.
const HEAD_WAIT: Duration = Duration::from_secs(20);

impl Jobs {
    /// Stores signed marks.
    ///
    /// # Errors
    /// [`Code::WrongWords`] if another key signed one; [`Code::VaultBusy`] while a backup is under way;
    /// and what the network refuses.
    pub async fn mark(&self, marks: Vec<SignedMark>) -> Result<Marked, RpcError> {
        let all = count(marks.len() as u64);
        let class = self.vault.class_of(&marks).await.map_err(|e| refused(&e))?;
        let dropped: Vec<_> = marks
            .iter()
            .flat_map(|m| m.mark.dropped())
            .copied()
            .collect();
        let bytes = MARK * (marks.len() + dropped.len()) as u64;
        let stop = CancellationToken::new();
        self.prepare(class, bytes, &stop).await?;
        let stored = self.vault.store_marks(marks, &self.segments).await;
        stored.map_err(|e| refused(&e))?;
        if !dropped.is_empty() {
            let drop = Input::Command(Command::Drop(dropped));
            self.driver.input(drop).await.map_err(stopping)?;
        }
        let head = crate::heads::kept(&self.driver, HEAD_WAIT).await;
        let head = head.map_err(stopping)?;
        Ok(Marked {
            marks: all,
            head_holders: head.map_or(0, |h| h.holders),
            head_wanted: head.map_or(0, |h| h.wanted),
        })
    }
}

fn refused(error: &MarkError) -> RpcError {
    let code = match error {
        MarkError::None => Code::BadSelection,
        MarkError::NoAuthority => Code::NoAccount,
        MarkError::Signature(_) => Code::WrongWords,
        MarkError::Unknown(_) => Code::NoSnapshot,
        MarkError::Needed(_) => Code::BadSelection,
        MarkError::Lock(LockError::Busy | LockError::Turn) => Code::VaultBusy,
        MarkError::Lock(LockError::Io(_)) | MarkError::Index(_) | MarkError::Seal(_) => {
            Code::Internal
        }
        MarkError::Spool(_) => Code::DiskFull,
        MarkError::Segments(inner) => return super::segments_error(inner),
        MarkError::Cancelled => Code::Cancelled,
    };
    RpcError::new(code, error)
}
