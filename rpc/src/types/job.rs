//! `job_*`: work that outlasts a call. A job keeps its outcome until the node stops.

use crate::types::backup::{BackupSummary, RestoreSummary};
use crate::types::health::{CheckSummary, DrillSummary, RepairSummary};
use crate::types::mount::MountSummary;
use crate::types::recover::RecoverSummary;
use crate::types::retention::PruneSummary;
use crate::values::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobParams {
    /// The job's id.
    pub job: String,
}

/// A job that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobStarted {
    /// The job's id.
    pub job: String,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Makes a snapshot.
    Backup,
    /// Recreates one.
    Restore,
    /// Finds an account's data again.
    Recover,
    /// Reads what is stored.
    Check,
    /// Mends what lacks shards.
    Repair,
    /// Restores a sample, to see whether it comes back.
    Drill,
    /// Finds what nothing needs any more.
    Prune,
    /// Shows the snapshots as a folder.
    Mount,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits for another one.
    Queued,
    /// Works.
    Running,
    /// Ended well, perhaps in part: see its result.
    Done,
    /// Failed: see its error.
    Failed,
    /// Was cancelled.
    Cancelled,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Progress {
    /// What it does now, a word or two: `reading`, `uploading`.
    pub stage: String,
    /// Files done.
    pub files: u64,
    /// Bytes of them done.
    pub bytes: u64,
    /// Files in all, as far as known.
    pub total_files: u64,
    /// Bytes in all, as far as known.
    pub total_bytes: u64,
    /// Bytes per second of late.
    pub rate: u64,
    /// Segments done.
    pub segments: u64,
    /// Segments in all, as far as known.
    pub total_segments: u64,
    /// The path it is at, or the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
}

/// What a job brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobResult {
    /// A snapshot.
    Backup(BackupSummary),
    /// Files.
    Restore(RestoreSummary),
    /// An account's data, known again.
    Recover(RecoverSummary),
    /// What is damaged.
    Check(CheckSummary),
    /// Full redundancy, or what lacks of it.
    Repair(RepairSummary),
    /// Whether a sample came back.
    Drill(DrillSummary),
    /// What nothing needs any more.
    Prune(PruneSummary),
    /// A mount that has ended.
    Mount(MountSummary),
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobError {
    /// A row of the error table.
    pub code: i32,
    /// What the command line exits with.
    pub exit_code: u8,
    /// One line that names the mend.
    pub message: String,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// The job's id.
    pub job: String,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// When it was begun.
    pub started: Moment,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Moment>,
    /// How far it is.
    pub progress: Progress,
    /// What it brought, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

impl JobState {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Queued | Self::Running => false,
            Self::Done | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl From<crate::errors::RpcError> for JobError {
    fn from(error: crate::errors::RpcError) -> Self {
        Self {
            code: error.code.number(),
            exit_code: error.code.exit_code(),
            message: error.message,
        }
    }
}

/// Something that a job did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobLine {
    /// When.
    pub time: Moment,
    /// What, in words.
    pub text: String,
}

/// Which lines of which job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobLogParams {
    /// The job's id.
    pub job: String,
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
