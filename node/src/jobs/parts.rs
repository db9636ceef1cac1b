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
    /// Makes the snapshots that a backup comes to, the one of the lowest class last.
    pub(super) async fn do_backup(
        &self,
        params: BackupParams,
        working: &Working,
    ) -> Result<BackupSummary, RpcError> {
        let mut also = Vec::new();
        let mut parts = self.parts(&params)?;
        let last = parts.pop();
        let last = last.ok_or_else(|| backup_error(&BackupError::NoPaths))?;
        for part in parts {
            also.push(Box::pin(self.back_up(&params, part, working)).await?);
        }
        let summary = Box::pin(self.back_up(&params, last, working)).await?;
        Ok(BackupSummary { also, ..summary })
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
