//! `config.toml`: which network, what `larder up` does without flags, where shards lie beside the
//! home. Its own values are texts, as a person writes them; they are parsed where they are used.

use super::{Home, HomeError};
use crate::shards::VolumeConfig;
use larder_engine::VolumeId;
use larder_rpc::Taking;
use larder_types::Amount;
use larder_types::Class;
use larder_types::amount::ParseAmountError;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// `config.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which network.
    pub network: NetworkConfig,
    /// What `larder up` does without flags.
    #[serde(default)]
    pub up: UpConfig,
    /// What the home rents.
    #[serde(default, skip_serializing_if = "RenterConfig::is_usual")]
    pub renter: RenterConfig,
    /// From when on something is an alert, and who is told.
    #[serde(default, skip_serializing_if = "AlertConfig::is_default")]
    pub alerts: AlertConfig,
    /// What the RPC keeps and answers.
    #[serde(default, skip_serializing_if = "RpcConfig::is_usual")]
    pub rpc: RpcConfig,
    /// How safe folders are kept, and what of them is left out.
    #[serde(default, rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyEntry>,
    /// Backups that begin by themselves.
    #[serde(default, rename = "schedule", skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleEntry>,
    /// Where shards lie beside the home.
    #[serde(default, rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeEntry>,
}

/// What the home rents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenterConfig {
    /// The most credits that contracts may cost in 30 days, `2.5`; absent: what the account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<String>,
}

impl RenterConfig {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// The allowance for 30 days.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn allowance(&self) -> Result<Option<Amount>, String> {
        let parsed = self.allowance.as_ref().map(|text| text.parse());
        parsed
            .transpose()
            .map_err(|e: ParseAmountError| format!("renter.allowance: {e}"))
    }
}

/// What the RPC keeps and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpcConfig {
    /// Names by which the RPC is reached beside those of the loopback, `nas.local:4730`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whose movements of credit are kept.
    #[serde(default)]
    pub history: HistoryConfig,
}

impl RpcConfig {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose movements of credit are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryConfig {
    /// Those of the home's account and its wallets.
    #[default]
    Own,
    /// Everybody's.
    All,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeEntry {
    /// Its number, from 1 on: the rows of its shards name it.
    pub id: u32,
    /// Its folder.
    pub path: PathBuf,
    /// The most that its shards may take; absent: what the disk has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
}

/// What holds at and below a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// The path; absolute.
    pub path: PathBuf,
    /// How safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// What is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

/// A backup that begins by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    /// Its name.
    pub name: String,
    /// The paths; absolute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathBuf>,
    /// A drill in place of a backup: how much of the latest snapshot, `1%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<String>,
    /// So long after it ran last, `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Each day at a local time, `03:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// By a cron expression in local time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Also after files have changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    /// After changes it waits until there was none for so long, `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<String>,
    /// A command that runs before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// A command that runs after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most that a command may take, `10m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_limit: Option<String>,
    /// From when on its last good backup is too old, `3d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_after: Option<String>,
    /// The redundancy class; absent: as the policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Words to find its snapshots by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// Which network, and who is asked first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The genesis document's hash.
    pub genesis: String,
    /// Multiaddrs with `/p2p/`.
    pub bootstrap: Vec<String>,
    /// A block that the chain must hold, `HEIGHT:HASH`: who invited us names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// What `larder up` does without flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpConfig {
    /// Multiaddrs to listen on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<String>,
    /// Where the RPC listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpc: Option<SocketAddr>,
    /// The quota to offer, `20GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provide: Option<String>,
    /// Credits per GiB and 30 days, `0.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// What a provider takes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taking: Option<Taking>,
    /// Whether to make blocks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validate: bool,
    /// The multiaddr on which the consensus listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consensus_listen: Option<String>,
}

/// From when on something is an alert, and who is told. What is absent is usual.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertConfig {
    /// Where alerts are posted to, `https://example.org/hook`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhook: Vec<String>,
    /// What posts are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// No peer for so long, `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers_after: Option<String>,
    /// No block for so long after one was due, `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_after: Option<String>,
    /// The clock and the blocks' times apart by so much, `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off: Option<String>,
    /// The newest snapshot so old, `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_after: Option<String>,
    /// Free credit pays what is rented for less than this, `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_for: Option<String>,
    /// Segments below full for so long; by itself two epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redundancy_after: Option<String>,
    /// Less free space than this on a disk, `1GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<String>,
    /// Damage counts for so long after it was found, `7d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage_for: Option<String>,
    /// A cause that has been gone for so long is over, `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calm: Option<String>,
}

impl AlertConfig {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Debug for AlertConfig {
    /// The secret does not show itself.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertConfig")
            .field("webhook", &self.webhook.len())
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The volumes, parsed.
    ///
    /// # Errors
    /// [`HomeError::Damaged`] names a size that is none, or a number that is not a volume's own.
    pub fn volumes(&self, dir: &Path) -> Result<Vec<VolumeConfig>, HomeError> {
        let damaged = |why: String| HomeError::Damaged {
            path: dir.join("config.toml"),
            why,
        };
        let mut volumes: Vec<VolumeConfig> = Vec::new();
        for entry in &self.volumes {
            let id = VolumeId(entry.id);
            if id == VolumeId::HOME || volumes.iter().any(|v| v.id == id) {
                return Err(damaged(format!(
                    "volume {}: not a number of its own",
                    entry.id
                )));
            }
            let size = entry.size.as_ref().map(|size| size.parse()).transpose();
            volumes.push(VolumeConfig {
                id,
                path: entry.path.clone(),
                size: size.map_err(|e| damaged(format!("volume {}: {e}", entry.id)))?,
            });
        }
        Ok(volumes)
    }
}

/// Parses a value of the configuration, or says which one is wrong.
///
/// # Errors
/// [`HomeError::Damaged`] names the key.
pub fn configured<T: std::str::FromStr<Err: std::fmt::Display>>(
    home: &Home,
    key: &str,
    value: Option<&String>,
) -> Result<Option<T>, HomeError> {
    value
        .map(|text| {
            text.parse().map_err(|e: T::Err| HomeError::Damaged {
                path: home.dir.join("config.toml"),
                why: format!("up.{key}: {e}"),
            })
        })
        .transpose()
}
