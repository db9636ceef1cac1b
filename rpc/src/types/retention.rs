//! `backup_forget`, `backup_undelete`, `backup_tag`, `backup_mark`, `backup_prune`: what is kept for how long. Whatever takes a
//! snapshot away is signed with the account's admin key, which only the words give: the methods say
//! what is to be signed, and take what was signed. The words stay with the caller.

use crate::values::{Moment, Text};
use larder_types::{GenesisHash, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of the vault's snapshots to list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SnapshotsParams {
    /// The `nextCursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// At most this many items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Forgotten ones too.
    #[serde(default)]
    pub all: bool,
}

/// How a snapshot is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgottenSnapshot {
    /// When it was forgotten.
    pub at: Moment,
    /// From this epoch of the ledger on it cannot be brought back.
    pub until_epoch: u32,
    /// Whether it can be now.
    pub undeletable: bool,
}

/// Keep rules, as the field has them. A snapshot stays if one of them keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeepRules {
    /// This many of the newest.
    #[serde(default)]
    pub last: u32,
    /// The newest of this many hours that have one, in UTC.
    #[serde(default)]
    pub hourly: u32,
    /// Of this many days.
    #[serde(default)]
    pub daily: u32,
    /// Of this many ISO weeks.
    #[serde(default)]
    pub weekly: u32,
    /// Of this many months.
    #[serde(default)]
    pub monthly: u32,
    /// Of this many years.
    #[serde(default)]
    pub yearly: u32,
    /// All that are at most this many milliseconds older than the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// All that carry one of these tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// What makes snapshots a group of their own under the keep rules.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// The host.
    Host,
    /// The paths backed up.
    Paths,
    /// The tags.
    Tags,
}

/// Which snapshots to forget: named ones, or those that the rules do not keep.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgetParams {
    /// Ids, or prefixes of them.
    #[serde(default)]
    pub snapshots: Vec<String>,
    /// The rules; only without `snapshots`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepRules>,
    /// What the rules are applied to apart; `["host", "paths"]` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<Vec<GroupBy>>,
    /// Only snapshots that were made of this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For how many milliseconds they can be brought back, counted in epochs of the ledger; seven days
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_ms: Option<u64>,
}

/// Which forgotten snapshots to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UndeleteParams {
    /// Ids, or prefixes of them.
    #[serde(default)]
    pub snapshots: Vec<String>,
    /// All that can be.
    #[serde(default)]
    pub all: bool,
}

/// How to change the tags of snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagParams {
    /// Ids, prefixes of them, or `latest`.
    pub snapshots: Vec<String>,
    /// Tags to add.
    #[serde(default)]
    pub add: Vec<String>,
    /// Tags to take away.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A snapshot that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeptSnapshot {
    /// Its id.
    pub snapshot: String,
    /// When it was made.
    pub time: Moment,
    /// The rules that keep it.
    pub reasons: Vec<String>,
}

/// A mark to be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsignedMark {
    /// The snapshot's id.
    pub snapshot: String,
    /// When the snapshot was made.
    pub time: Moment,
    /// Its tags, as they will be.
    pub tags: Vec<String>,
    /// The mark, DAG-CBOR in `0x` hex.
    pub mark: String,
}

/// What would be marked. Nothing is until the marks come back signed, by `backup_mark`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkPlan {
    /// The admin key that is to sign, in `0x` hex.
    pub admin: String,
    /// The network that the signatures are for.
    pub genesis: Text<GenesisHash>,
    /// The ledger's epoch.
    pub epoch: u32,
    /// The marks.
    pub marks: Vec<UnsignedMark>,
    /// Snapshots that the rules keep.
    pub kept: Vec<KeptSnapshot>,
}

/// Marks that were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MarkParams {
    /// Each a signed mark, DAG-CBOR in `0x` hex.
    pub marks: Vec<String>,
}

/// Marks that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Marked {
    /// How many.
    pub marks: u32,
    /// Providers that hold the record from which the words alone bring them back.
    pub head_holders: u32,
    /// How many of them should.
    pub head_wanted: u32,
}

/// What to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PruneParams {
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
    /// How much may stay that nothing needs, in percent of what is needed; 10 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unused: Option<u32>,
}

/// What nothing needs any more, and what is to be signed so that it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PruneSummary {
    /// Snapshots whose data is needed.
    pub snapshots: u64,
    /// Those of them that are forgotten, and can be brought back for a while.
    pub locked: u64,
    /// Snapshots that are forgotten for good.
    pub gone: u64,
    /// Segments in all.
    pub segments: u64,
    /// Segments without anything that is needed.
    pub dead: u64,
    /// Segments that were needed in part and were, or would be, written anew.
    pub repacked: u64,
    /// Bytes that nothing needs and that go, before coding.
    pub bytes_freed: u64,
    /// Bytes that are written anew for it.
    pub bytes_repacked: u64,
    /// Bytes of shards that go, as far as it was told when they were stored.
    pub bytes_stored_freed: u64,
    /// Bytes that nothing needs and that stay.
    pub bytes_unused: u64,
    /// The admin key that is to sign, in `0x` hex.
    pub admin: String,
    /// The network that the signatures are for.
    pub genesis: Text<GenesisHash>,
    /// Marks to be signed and handed to `backup_mark`: that these segments go. DAG-CBOR in `0x` hex.
    pub marks: Vec<String>,
    /// The account's other devices that have not said yet that they need nothing of it: nothing goes
    /// before they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
}

/// A revision of a contract that gives shards back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToReduce {
    /// With which provider.
    pub provider: Text<NodeId>,
    /// The revision as this device signed it, DAG-CBOR in `0x` hex.
    pub signed: String,
    /// How many shards.
    pub shards: u32,
    /// How long they are.
    pub bytes: u64,
}

/// How what was dropped stands with the providers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dropping {
    /// What the admin key can sign now.
    pub ready: Vec<ToReduce>,
    /// Contracts that hold shards which are to go, and wait.
    pub waiting: u32,
    /// Those of them whose provider has agreed: at the epoch's end it puts the shards into its trash.
    pub agreed: u32,
}

/// Revisions that give shards back, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReduceParams {
    /// Each a reduction, signed by the admin key, DAG-CBOR in `0x` hex.
    pub reductions: Vec<String>,
}
