//! A mount as a job: it runs until it is cancelled, somebody unmounts it, or the node stops. It is
//! the node that mounts, as it is the node that restores: it alone holds the vault and reaches the
//! providers (ADR 20).

use super::Jobs;
use crate::app::AppError;
use crate::mount::{MountError, mount};
use crate::working::Working;
use larder_backup::{View, ViewError};
use larder_rpc::{Code, JobKind, JobResult, MountParams, MountSummary, PathFailure, RpcError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

/// How a line of the log begins that names what could not be read.
pub(crate) const UNREADABLE: &str = "unreadable: ";
/// The stage of a job whose mount stands.
pub(crate) const MOUNTED: &str = "mounted";

impl Jobs {
    /// Begins to mount; gives the job's name.
    ///
    /// # Errors
    /// If too many jobs are open.
    pub fn mount(&self, params: MountParams) -> Result<String, RpcError> {
        self.begin(JobKind::Mount, |jobs, working| async move {
            jobs.do_mount(params, &working).await.map(JobResult::Mount)
        })
    }

    /// Ends once the node stops and nothing is mounted any more: a mount whose process is gone
    /// would stay in the way.
    pub(crate) async fn mounts_ended(
        self,
        stop: CancellationToken,
    ) -> (&'static str, Result<(), AppError>) {
        stop.cancelled().await;
        self.mounts.close();
        self.mounts.wait().await;
        ("mounts", Ok(()))
    }

    async fn do_mount(
        &self,
        params: MountParams,
        working: &Working,
    ) -> Result<MountSummary, RpcError> {
        let _open = self.mounts.token();
        // Once the node waits for its mounts to end none begins.
        if working.cancel.is_cancelled() {
            return Err(RpcError::new(Code::Stopping, "the node stops"));
        }
        let (began, target) = (Instant::now(), PathBuf::from(&params.target));
        let troubles: Arc<Mutex<Vec<PathFailure>>> = Arc::default();
        let stop = CancellationToken::new();
        let tell = telling(working.clone(), Arc::clone(&troubles));
        let view = View::new(&self.vault, &self.segments, stop.clone(), tell);
        let mounting = spawn_blocking(move || mount(view, &target, params.allow_other)).await;
        let mounting = mounting.map_err(|e| RpcError::new(Code::Internal, e))?;
        let mut mounted = mounting.map_err(|e| mount_error(&e))?;
        working.at(MOUNTED, params.target.clone());
        let ended = tokio::select! {
            ended = mounted.ended() => ended,
            () = working.cancel.cancelled() => {
                // What waits for a segment waits no longer, and lets go.
                stop.cancel();
                mounted.unmount().await
            }
        };
        ended.map_err(|e| RpcError::new(Code::Internal, e))?;
        let failures = troubles.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MountSummary {
            target: params.target,
            errors: failures.len() as u64,
            failures: failures.clone(),
            seconds: began.elapsed().as_secs_f64(),
        })
    }
}

/// What hears of troubles.
fn telling(working: Working, troubles: Arc<Mutex<Vec<PathFailure>>>) -> larder_backup::Tell {
    Box::new(move |path: &Path, trouble: &ViewError| {
        tracing::warn!(path = %path.display(), "a read of the mount failed: {trouble}");
        working.note(format!("{UNREADABLE}{}: {trouble}", path.display()));
        let mut troubles = troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.push(PathFailure {
            path: path.to_string_lossy().into_owned(),
            reason: trouble.to_string(),
        });
    })
}

fn mount_error(error: &MountError) -> RpcError {
    let code = match error {
        MountError::NoFuse(_) => Code::NoFuse,
        MountError::Folder { .. }
        | MountError::Dead(_)
        | MountError::NotEmpty(_)
        | MountError::NoFolder(_)
        | MountError::MountPoint(_)
        | MountError::NotForOthers
        | MountError::Refused { .. } => Code::TargetUnwritable,
    };
    RpcError::new(code, error)
}
