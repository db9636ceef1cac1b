//! `backup_checkData`, `backup_repair`, `backup_drill`: reading what is stored, mending it, and trying
//! whether it comes back.

use crate::types::backup::PathFailure;
use crate::values::{Moment, Text};
use larder_types::SegmentId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckDataParams {
    /// A share, `5%`, or a size, `1GiB`, of the segments, at random; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
}

/// A segment that is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DamagedSegment {
    /// Which.
    pub segment: Text<SegmentId>,
    /// What is wrong with it.
    pub reason: String,
    /// Whether some of it cannot be read any more: what is left does not make it whole again.
    pub lost: bool,
}

/// What reading the stored data came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckSummary {
    /// Segments that the snapshots need.
    pub segments: u64,
    /// Those of them that were read.
    pub segments_read: u64,
    /// Bytes of them.
    pub bytes_read: u64,
    /// Blobs in them that opened.
    pub blobs: u64,
    /// Shards that were not what was stored.
    pub damaged_shards: u64,
    /// Shards that could not be reached: nothing is known of them.
    pub unread_shards: u64,
    /// The damaged segments, at most 1,000.
    pub damaged: Vec<DamagedSegment>,
    /// Files and folders that lie in damaged segments.
    pub errors: u64,
    /// The first 1,000 of them, as `SNAPSHOT:/PATH`.
    pub failures: Vec<PathFailure>,
    /// Whether nothing is damaged.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What a repair came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepairSummary {
    /// Segments that lacked shards when it began.
    pub below_full: u64,
    /// Those that lack some still.
    pub remaining: u64,
    /// Those of them that cannot be brought back.
    pub lost: u64,
    /// Shards placed anew meanwhile.
    pub shards: u64,
    /// Why some remain, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What a drill restores.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillParams {
    /// An id, a prefix of one, or `latest`, which counts when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// How much of its files, at random: a share, `1%`, which counts when absent, or a size, `1GiB`. At
    /// most 1,000 files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
}

/// What a drill came to, signed by the device that ran it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    /// When it ended.
    pub time: Moment,
    /// Of which snapshot.
    pub snapshot: String,
    /// Files chosen.
    pub files: u64,
    /// Bytes restored.
    pub bytes: u64,
    /// Files that did not come back, or not as they were.
    pub failures: u64,
    /// The device's public key.
    pub device: String,
    /// Its signature, ed25519.
    pub signature: String,
    /// Whether that is good.
    pub valid: bool,
}

/// A drill that has just ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillSummary {
    /// Its record.
    pub drill: Drill,
    /// The files that failed, at most 1,000.
    pub failures: Vec<PathFailure>,
    /// How long it took.
    pub seconds: f64,
}
