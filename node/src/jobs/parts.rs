//! A backup whose paths have several classes: a snapshot for each, as the policies say.

use super::{Jobs, backup_error, paths};
use crate::policies;
use crate::settings::ConfigFile;
use crate::working::Working;
use larder_backup::BackupError;
use larder_engine::policy::{Part, excludes, parts};
use larder_rpc::{BackupParams, BackupSummary, Code, RpcError};
use std::path::Path;

impl Jobs {
    /// Makes the snapshots that a backup comes to, the one of the lowest class last. A part that fails
    /// does not keep the others from being saved; the first error is what the backup comes to.
    pub(super) async fn do_backup(
        &self,
        params: BackupParams,
        working: &Working,
    ) -> Result<BackupSummary, RpcError> {
        let mut made = Vec::new();
        let mut failed: Option<RpcError> = None;
        for part in self.parts(&params)? {
            let class = part.class;
            match Box::pin(self.back_up(&params, part, working)).await {
                Ok(summary) => made.push(summary),
                Err(e) if params.dry_run => return Err(e),
                Err(e) if matches!(e.code, Code::Cancelled | Code::Stopping) => {
                    note_made(working, &made);
                    return Err(e);
                }
                Err(e) => {
                    working.note(format!("class {class} failed: {e}"));
                    failed = failed.or(Some(e));
                }
            }
        }
        if let Some(e) = failed {
            note_made(working, &made);
            return Err(e);
        }
        let summary = made.pop();
        let summary = summary.ok_or_else(|| backup_error(&BackupError::NoPaths))?;
        Ok(BackupSummary {
            also: made,
            ..summary
        })
    }

    /// The snapshots that a backup comes to.
    fn parts(&self, params: &BackupParams) -> Result<Vec<Part>, RpcError> {
        let policies = policies::of(&self.config()?);
        let class = params.class.map(|class| class.0);
        let mut parts = parts(&policies, &paths(&params.paths)?, class, Path::exists);
        for part in &mut parts {
            part.excludes.extend_from_slice(&params.excludes);
        }
        Ok(parts)
    }

    /// What a backup of these paths leaves out by the policies.
    ///
    /// # Errors
    /// If the configuration cannot be read.
    pub fn left_out(&self, paths: &[std::path::PathBuf]) -> Result<Vec<String>, RpcError> {
        Ok(excludes(&policies::of(&self.config()?), paths))
    }

    /// The home's configuration as it is now.
    pub(super) fn config(&self) -> Result<crate::home::Config, RpcError> {
        let config = ConfigFile::of(&self.home).read();
        config.map_err(|e| RpcError::new(Code::Internal, e))
    }
}

/// What was saved stays saved though the backup as a whole failed.
fn note_made(working: &Working, made: &[BackupSummary]) {
    for summary in made {
        if let Some(snapshot) = &summary.snapshot {
            let class = summary.class.0;
            working.note(format!("snapshot {snapshot} was made at class {class}"));
        }
    }
}
