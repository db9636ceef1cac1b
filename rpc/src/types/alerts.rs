//! `node_alerts`: what wants a person's attention.

use crate::values::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It wants looking at.
    Warning,
    /// Data, pay or collateral is at stake now.
    Critical,
}

/// An alert, open or cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alert {
    /// What it is about: `contracts_lapsing`, `disk_failing`, `shards_damaged`, `proofs_missed`,
    /// `no_peers`, `backup_old`, `credit_low`, `redundancy_low`, `ledger_stalled`, `clock_wrong`
    /// or `drill_failed`.
    pub code: String,
    /// Which disk or schedule; absent where there is only one of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How bad it was at its worst.
    pub severity: Severity,
    /// When its cause was first seen.
    pub since: Moment,
    /// When it was cleared; absent: it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared: Option<Moment>,
    /// What was found last, and how to mend it.
    pub message: String,
}
