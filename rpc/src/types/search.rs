//! `backup_*`: finding, comparing and checking what is kept.

use crate::types::backup::Entry;
use crate::values::Text;
use larder_types::{Class, SegmentId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FindParams {
    /// A glob as in .gitignore: without a slash it matches names at any depth.
    pub pattern: String,
    /// An id, a prefix of one, or `latest`; absent: every snapshot, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Only below this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FoundEntry {
    /// In which snapshot.
    pub snapshot: String,
    /// What.
    pub entry: Entry,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiffParams {
    /// The older snapshot: an id, a prefix of one, or `latest`.
    pub from: String,
    /// The newer one.
    pub to: String,
    /// Only below this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// How a path differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiffKind {
    /// Only the newer snapshot has it.
    Added,
    /// Only the older one has it.
    Removed,
    /// Its content, or what it is.
    Modified,
    /// Its mode, owner or time alone.
    Metadata,
}

/// A path that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// How.
    pub change: DiffKind,
    /// The path as the newer snapshot has it, or the older one if the newer has none.
    pub entry: Entry,
}

/// Whether what the vault needs can be had, by what is known without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupCheck {
    /// Snapshots.
    pub snapshots: u64,
    /// Segments that the index names.
    pub segments: u64,
    /// Those of them that providers hold enough shards of.
    pub restorable: u64,
    /// Those with fewer shards than when whole.
    pub below_full: u64,
    /// Those that cannot be brought back now, at most 1,000.
    pub missing: Vec<Text<SegmentId>>,
    /// Whether none is missing.
    pub ok: bool,
}

/// What of the stored data would survive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Durability {
    /// The segments, by class and code.
    pub groups: Vec<DurabilityGroup>,
    /// What each operator's, lone provider's and region's loss would take, the worst first.
    pub domains: Vec<DomainLoss>,
}

/// Segments of one class and code.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DurabilityGroup {
    /// Their class.
    pub class: Text<Class>,
    /// Shards needed.
    pub k: u16,
    /// Shards when whole.
    pub n: u16,
    /// Repair begins at this many.
    pub repair_at: u16,
    /// How many segments.
    pub segments: u64,
    /// Bytes of their shards with providers.
    pub bytes: u64,
    /// The fewest shards that any of them has.
    pub least_alive: u16,
    /// The probability that one of them is lost within a year, while repair works.
    pub annual_loss: f64,
    /// Whether that is what the class allows.
    pub class_met: bool,
}

/// What fails together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DomainKind {
    /// All providers of an operator.
    Operator,
    /// A provider that names no operator.
    Provider,
    /// All providers in a region.
    Region,
}

/// What the loss of one domain would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DomainLoss {
    /// What it is.
    pub kind: DomainKind,
    /// Its name, or the provider's id.
    pub name: String,
    /// Segments that would lose shards.
    pub touched: u64,
    /// Segments that could be read no more.
    pub lost: u64,
}
