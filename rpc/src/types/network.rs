//! `network_*`: running a ledger together.

use crate::types::wallet::Sent;
use crate::values::{AsOf, Nano, Text};
use larder_types::{AccountId, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a network's blocks are put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Consensus {
    /// By one validator, for good.
    Solo,
    /// By validators that agree.
    Bft,
}

/// Who makes blocks, who would, and what is being decided about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validators {
    /// How blocks are put in order.
    pub consensus: Consensus,
    /// The weight that makes a block final: more than two thirds of all.
    pub quorum: u64,
    /// How many validators may fail or cheat at once.
    pub bears: u32,
    /// Those who make blocks, by node.
    pub validators: Vec<ValidatorShown>,
    /// Those who would, by node.
    pub candidates: Vec<CandidateShown>,
    /// Changes that wait for more approvals.
    pub changes: Vec<ChangeShown>,
    /// The block that says so.
    pub as_of: AsOf,
}

/// One who makes blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatorShown {
    /// The node.
    pub node: Text<NodeId>,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The weight of its vote.
    pub weight: u64,
    /// What it stands to lose.
    pub bond: Nano,
    /// Turns to make a block that passed without one.
    pub missed: u64,
    /// How often it was shown to have broken a rule.
    pub strikes: u32,
}

/// One who would make blocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CandidateShown {
    /// The node.
    pub node: Text<NodeId>,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// Who put down the bond.
    pub account: Text<AccountId>,
    /// How much.
    pub bond: Nano,
}

/// What a change of the validators is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A candidate becomes a validator.
    Add,
    /// A validator or candidate goes.
    Remove,
}

/// A change to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeParams {
    /// What it is.
    pub change: ChangeKind,
    /// Whom it is about.
    pub node: Text<NodeId>,
}

/// What an approval came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approved {
    /// How far the approval is.
    pub sent: Sent,
    /// Whether the change has acted.
    pub acted: bool,
    /// The weight that is missing until it acts.
    pub missing: u64,
}

/// A change that waits for more approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeShown {
    /// What it is.
    pub change: ChangeKind,
    /// Whom it is about.
    pub node: Text<NodeId>,
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The peer ids of those who have approved.
    pub approved: Vec<String>,
    /// The weight that is missing until it acts.
    pub missing: u64,
}
