//! The restore, and the comparison of what came back with what it came from.

use super::compare::{Comparison, compare};
use crate::cli::progress::watch;
use crate::cli::{FAILED, Failure, Out, USAGE};
use larder_rpc::{Client, JobResult, RestoreParams};
use std::path::{Path, PathBuf};

/// Restores the newest snapshot into `target` and compares it with `paths`.
pub(super) async fn bring_back(
    keeper: &Client,
    paths: Vec<PathBuf>,
    target: PathBuf,
    out: Out,
) -> Result<Comparison, Failure> {
    let params = RestoreParams {
        snapshot: "latest".to_owned(),
        path: None,
        target: text(&target)?,
        include: Vec::new(),
        exclude: Vec::new(),
        verify: false,
    };
    let job = keeper.backup_restore(&params).await?.job;
    let JobResult::Restore(_) = watch(keeper, job, out).await? else {
        return Err(another_job());
    };
    tokio::task::spawn_blocking(move || compare(&paths, &target))
        .await
        .map_err(|e| Failure::new(FAILED, e))?
        .map_err(|e| Failure::new(FAILED, e))
}

/// A path as the RPC takes it.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        Failure::new(
            USAGE,
            format_args!("{} is not UTF-8: name another folder", path.display()),
        )
    })
}

pub(super) fn another_job() -> Failure {
    Failure::new(FAILED, "the node answered with another job")
}
