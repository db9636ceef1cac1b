//! `backup_*`: snapshots in, files out. Paths are strings; the bytes of a name that are not UTF-8
//! show as `\u{FFFD}` here, and are kept exactly in the snapshot.

use super::retention::ForgottenSnapshot;
use crate::values::{Moment, Nano, Text};
use larder_types::Class;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to back up, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupParams {
    /// Absolute paths.
    pub paths: Vec<String>,
    /// The redundancy class; when absent what the policies of the paths say, else `normal`. Paths of
    /// several classes come to a snapshot for each.
    #[serde(
        rename = "redundancyClass",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub class: Option<Text<Class>>,
    /// Words to find the snapshot by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Patterns to leave out, as in `.gitignore`, on top of those of the policies; `@builds` stands for what
    /// builds and package managers make again.
    #[serde(default)]
    pub excludes: Vec<String>,
    /// Read everything, store nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// What to estimate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EstimateParams {
    /// Absolute paths.
    pub paths: Vec<String>,
    /// Patterns to leave out.
    #[serde(default)]
    pub excludes: Vec<String>,
}

/// What a backup would read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Estimate {
    /// Files.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Bytes in files.
    pub bytes: u64,
}

/// A path that could not be read or restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathFailure {
    /// The path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What one rule left out of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeftOut {
    /// The pattern, or what the rule is called.
    pub rule: String,
    /// Why there is such a rule.
    pub why: String,
    /// Files and folders that it left out; what lies in such a folder is not counted.
    pub count: u64,
    /// The first ten of them.
    pub paths: Vec<String>,
}

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupSummary {
    /// The snapshot made; absent after a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Files that are as they were at the last backup, and were not read.
    #[serde(default)]
    pub unchanged: u64,
    /// What was left out, and why.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Paths that could not be read, or changed while they were.
    pub errors: u64,
    /// The first 1,000 of them.
    pub failures: Vec<PathFailure>,
    /// Bytes in its files.
    pub bytes: u64,
    /// Bytes that the vault did not hold before.
    pub bytes_new: u64,
    /// Bytes of the shards stored for it.
    pub bytes_stored: u64,
    /// Segments stored for it.
    pub segments: u64,
    /// Credit put in escrow for it.
    pub cost: Nano,
    /// The class asked for.
    pub class: Text<Class>,
    /// Shards that a segment needs.
    pub k: u16,
    /// Shards that a segment has.
    pub n: u16,
    /// Repair begins at this many.
    pub repair_at: u16,
    /// Estimated probability of loss in a year.
    pub annual_loss: f64,
    /// Whether the class's target is met.
    pub class_met: bool,
    /// Providers that hold the record from which the words alone bring this snapshot back.
    pub head_holders: u32,
    /// How many of them should.
    pub head_wanted: u32,
    /// How long it took.
    pub seconds: f64,
    /// The snapshots of the higher classes, the highest first, if the paths have several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    // A schema that holds itself is more than generators of clients bear.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub also: Vec<Self>,
}

/// A snapshot in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Its id.
    pub snapshot: String,
    /// When it was made.
    pub time: Moment,
    /// On which host.
    pub host: String,
    /// The paths backed up.
    pub paths: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its class.
    pub class: Text<Class>,
    /// Files in it.
    pub files: u64,
    /// Folders in it.
    pub dirs: u64,
    /// Bytes in its files.
    pub bytes: u64,
    /// How it is forgotten; absent: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten: Option<ForgottenSnapshot>,
}

/// Which folder of a snapshot to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrowseParams {
    /// An id, a prefix of one, or `latest`.
    pub snapshot: String,
    /// A path in it; absent: its roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Special,
}

/// A path in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// The whole path.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Bytes, of a file.
    pub size: u64,
    /// When its content last changed.
    pub modified: Moment,
    /// Where a symbolic link points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What to restore, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreParams {
    /// An id, a prefix of one, or `latest`.
    pub snapshot: String,
    /// The absolute path of the folder to restore into.
    pub target: String,
    /// Only the contents of this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only paths that match one of these; empty: all.
    #[serde(default)]
    pub include: Vec<String>,
    /// No path that matches one of these.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Read all that was written once more and compare.
    #[serde(default)]
    pub verify: bool,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreSummary {
    /// The snapshot restored.
    pub snapshot: String,
    /// Where to.
    pub target: String,
    /// Files written.
    pub files: u64,
    /// Folders made.
    pub dirs: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Paths that are incomplete.
    pub errors: u64,
    /// The first 1,000 of them.
    pub failures: Vec<PathFailure>,
    /// What only root can give back, or another file system can keep: one line a kind.
    #[serde(default)]
    pub unrestored: Vec<String>,
    /// Whether all was read once more and compared.
    pub verified: bool,
    /// How long it took.
    pub seconds: f64,
}
