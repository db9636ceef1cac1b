//! `node_doctor`, `node_connectivity`, `node_config`: what is wrong, and what can be set.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Doctor {
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// How many of them are wrong.
    pub problems: u32,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What, in a word.
    pub check: String,
    /// What was found.
    pub found: String,
    /// What is wrong; absent: it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<Wrong>,
}

/// What is wrong with something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wrong {
    /// How to mend it.
    pub mend: String,
    /// The exit code with which `larder doctor` ends for it.
    pub exit_code: u8,
}

/// Whom the node reaches, and where it can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connectivity {
    /// Multiaddrs that it listens on.
    pub listen: Vec<String>,
    /// Whether all of them are of this machine alone.
    pub loopback_only: bool,
    /// Connected peers.
    pub peers: u32,
    /// Those of them that are reached by TCP.
    pub tcp: u32,
    /// Those that are reached by QUIC.
    pub quic: u32,
    /// Validators in all.
    pub validators: u32,
    /// Of them, those that are connected, this node among them.
    pub validators_reached: u32,
    /// Bootstrap addresses of the configuration, and whether their peers are connected.
    pub bootstrap: Vec<Bootstrap>,
}

/// A peer that is asked first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bootstrap {
    /// Its multiaddr.
    pub address: String,
    /// Whether it is connected.
    pub connected: bool,
}

/// When a change of a key takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Applies {
    /// At once.
    Now,
    /// When the node is started anew.
    Restart,
    /// It is changed by `provider_setOffer` while the node provides; else when it is started anew.
    Offer,
    /// It stays as the home was made.
    Never,
}

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A text.
    Text,
    /// A list of texts.
    List,
    /// True or false.
    Flag,
    /// A text that is never shown.
    Secret,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeConfig {
    /// The file.
    pub path: String,
    /// Its keys, also those that it does not set.
    pub entries: Vec<ConfigEntry>,
    /// Settings that this run was given by a flag or the environment: they go before the file.
    pub given: Vec<String>,
}

/// A key of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigEntry {
    /// Its name, `alerts.webhook`.
    pub key: String,
    /// What it holds.
    pub form: Form,
    /// Whether the file sets it.
    pub set: bool,
    /// What the file sets it to, unless that is a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// When a change takes effect.
    pub applies: Applies,
}

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetConfigParams {
    /// The key, `alerts.webhook`.
    pub key: String,
    /// A text, a list of texts, or a boolean; absent or null: the file no longer sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigChanged {
    /// The key as it is now.
    pub entry: ConfigEntry,
    /// Whether the node must be started anew for it to count.
    pub restart: bool,
}
