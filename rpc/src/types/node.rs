//! `node_*`: the node itself.

use crate::types::network::Consensus;
use crate::values::{Moment, Nano, Text};
use larder_types::{AccountId, BlockHash, GenesisHash, NodeId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A hat that the node wears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Backs up and restores.
    Keeper,
    /// Stores others' shards.
    Provider,
    /// Makes blocks.
    Validator,
}

/// What does not change while the node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeInfo {
    /// Larder's version.
    pub version: String,
    /// The network's name.
    pub network: String,
    /// The genesis hash, which is the network's id.
    pub genesis: Text<GenesisHash>,
    /// `dev`, `private` or `public`.
    pub profile: String,
    /// The node's id on the ledger and in contracts.
    pub node: Text<NodeId>,
    /// The node's libp2p peer id.
    pub peer_id: String,
    /// The home's account.
    pub account: Text<AccountId>,
    /// The hats it wears.
    pub roles: Vec<Role>,
    /// Multiaddrs that it listens on.
    pub listen: Vec<String>,
    /// When it started.
    pub started: Moment,
}

/// The node at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeStatus {
    /// Whether it has caught up with the chain and has what it needs to work.
    pub ready: bool,
    /// Height of the newest block applied.
    pub height: u64,
    /// Its hash.
    pub block_hash: Text<BlockHash>,
    /// The current epoch.
    pub epoch: u32,
    /// Connected peers.
    pub peers: u32,
    /// Valid offers in the book.
    pub offers: u32,
    /// Free credit of the home's account.
    pub balance: Nano,
    /// Jobs that wait or run.
    pub jobs: u32,
    /// How blocks come about, and this node's part in it.
    pub consensus: ConsensusStatus,
    /// What it keeps with others.
    pub keeper: KeeperStatus,
    /// What it stores for others, if it provides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderStatus>,
}

/// How blocks come about, and a node's part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsensusStatus {
    /// How blocks are put in order.
    pub kind: Consensus,
    /// Whether the ledger has this node among the validators.
    pub seated: bool,
    /// Whether this node makes blocks now.
    pub votes: bool,
    /// Whether it waits to be taken in.
    pub stands: bool,
    /// Validators in all.
    pub validators: u32,
    /// Of them, those that this node is connected to, itself among them.
    pub validators_reached: u32,
    /// The newest block's time.
    pub last_block: Moment,
    /// How many milliseconds that is ago.
    pub last_block_age_ms: u64,
}

/// What a keeper has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeeperStatus {
    /// Snapshots in the vault.
    pub snapshots: u64,
    /// Segments with providers.
    pub segments: u64,
    /// Bytes of all shards with providers.
    pub bytes_stored: u64,
    /// Contracts in force.
    pub contracts: u32,
    /// Segments with fewer shards than when whole.
    pub segments_below_full: u64,
    /// Segments that are being repaired now.
    pub repairing: u64,
    /// Providers that hold the record from which the words alone bring everything back.
    pub head_holders: u32,
    /// How many of them should.
    pub head_wanted: u32,
}

/// What a provider stores and earns.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProviderStatus {
    /// Quota offered, bytes.
    pub quota: u64,
    /// Capacity under contract, bytes.
    pub contracted: u64,
    /// Bytes of shards on disk.
    pub used: u64,
    /// Shards on disk.
    pub shards: u64,
    /// Contracts in force.
    pub contracts: u32,
    /// Price per GiB and 30 days.
    pub price: Nano,
    /// Its region.
    pub region: String,
    /// Its operator.
    pub operator: String,
    /// Challenges passed, by the ledger's verdicts.
    pub passed: u64,
    /// Challenges not passed.
    pub missed: u64,
    /// Credit paid to its account for proofs.
    pub earned: Nano,
    /// Stored shards that were found damaged so far.
    pub damaged: u64,
    /// Those of them that were declared lost on the ledger.
    pub declared: u64,
    /// What it takes on.
    pub taking: crate::Taking,
    /// Why it takes on nothing now, whatever it is meant to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refuses: Option<String>,
    /// What is wrong with its volumes, one entry for each that is not well.
    pub volume_trouble: Vec<String>,
    /// How long the next proof is expected to take, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_ms: Option<u64>,
    /// Until when a proof must have come at the latest, milliseconds after the slot's start.
    pub window_ms: u64,
    /// When its slot of this epoch opens; absent while nothing is asked of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_opens: Option<Moment>,
    /// Until when it must have proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot_closes: Option<Moment>,
    /// Missed epochs among the last 30.
    pub strikes: u32,
    /// Those of them that came last, in a row.
    pub misses_in_a_row: u32,
    /// How many further misses in a row make it FAULTED.
    pub misses_left: u32,
    /// Whether the ledger holds it FAULTED: it takes nothing new until all of its contracts are
    /// closed.
    pub faulted: bool,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Its libp2p peer id.
    pub peer_id: String,
    /// The address of the connection.
    pub address: String,
    /// What software it says it runs; empty until it said so.
    pub agent: String,
    /// Round trip of the last ping, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_micros: Option<u64>,
}

/// What lets another node join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invite {
    /// The invite string: network id, genesis and bootstrap addresses.
    pub invite: String,
}

/// Done, nothing to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Done {}
