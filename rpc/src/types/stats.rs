//! `backup_stats`, `backup_whatIf`: how much is kept, and what would be left of it.

use crate::values::Text;
use larder_types::Class;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much the vault keeps. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VaultStats {
    /// Snapshots.
    pub snapshots: u64,
    /// Files in all of them, counted each time.
    pub files: u64,
    /// Bytes in these files, as restoring every snapshot would write them.
    pub bytes: u64,
    /// Distinct blobs.
    pub blobs: u64,
    /// Bytes in them: what is left once no content is kept twice.
    pub bytes_unique: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of the segments: compressed and sealed, before redundancy.
    pub bytes_sealed: u64,
    /// Bytes that lie with providers, redundancy included.
    pub bytes_stored: u64,
}

/// Who is thought to be gone, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhatIfParams {
    /// Regions, operators and providers (peer ids or node ids).
    pub lose: Vec<String>,
}

/// What would be left, with no repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhatIf {
    /// Providers with shards of ours that are gone.
    pub providers: u64,
    /// What befalls the segments, by class.
    pub classes: Vec<WhatIfClass>,
}

/// What befalls the segments of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhatIfClass {
    /// The class.
    pub class: Text<Class>,
    /// Its segments.
    pub segments: u64,
    /// Those that lose shards.
    pub touched: u64,
    /// Those that fall below what repair begins at.
    pub below_repair: u64,
    /// Those that could be read no more.
    pub lost: u64,
    /// The fewest shards beyond what is needed that any of the others has left.
    pub least_spare: u16,
}
