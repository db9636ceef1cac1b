//! `backup_mount`: the snapshots as a folder.

use crate::types::backup::PathFailure;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where to mount the snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountParams {
    /// The absolute path of an empty folder; made if it is not there.
    pub target: String,
    /// Whether others than the user that runs the node may look in, as far as the recorded modes allow.
    #[serde(default)]
    pub allow_other: bool,
}

/// What a mount was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountSummary {
    /// Where it was.
    pub target: String,
    /// Troubles that reads met, each told once: a segment that is lost is one.
    pub errors: u64,
    /// The first path that met each of them, at most 1,000.
    pub failures: Vec<PathFailure>,
    /// How long it stood.
    pub seconds: f64,
}
