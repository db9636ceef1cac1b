//! Why a node does not start, or ends before it was asked to; each says what mends it.

use crate::chain::ChainError;
use crate::follow::FollowError;
use crate::home::HomeError;
use crate::net::NetError;
use crate::store::StoreError;
use larder_rpc::server::ServeError;
use larder_types::Bytes;

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The home.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// A value of the configuration that does not parse.
    #[error("config.toml: {0}")]
    Config(String),
    /// An address that does not parse.
    #[error("{0:?} is not a multiaddr; write /ip4/0.0.0.0/tcp/4750, for example")]
    Addr(String),
    /// The transport.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] crate::index::IndexError),
    /// The chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain as it is followed, or our own consensus.
    #[error("{0}")]
    Follow(#[from] FollowError),
    /// The engine's rows.
    #[error("{0}; restore node.db from a copy")]
    Rows(#[from] larder_engine::rows::RowError),
    /// The shard store.
    #[error("the shard store: {0}; check the disk")]
    Shards(#[from] crate::shards::StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] larder_backup::vault::VaultError),
    /// The spool.
    #[error("the spool: {0}; check the disk")]
    Spool(std::io::Error),
    /// The RPC.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// `[alerts]` in the configuration.
    #[error("config.toml: {0}")]
    Alerts(#[from] crate::alerts::rules::BadRule),
    /// Webhooks.
    #[error(transparent)]
    Hooks(#[from] crate::alerts::hooks::TlsError),
    /// The runtime.
    #[error("the runtime: {0}")]
    Runtime(std::io::Error),
    /// The home's keys are not the validator's.
    #[error(
        "this network has one validator for good, and its keys are not in this home: leave --validate out, \
         and `validate = true` in config.toml"
    )]
    NotValidator,
    /// The network's genesis is none that this version reads.
    #[error(
        "the network is one of another version of Larder; all of its members run the same version"
    )]
    OtherVersion,
    /// An offer that the network would refuse.
    #[error("--{0} is too long, at most {1} characters")]
    TooLong(&'static str, usize),
    /// A quota that nobody could use.
    #[error("--provide {0} is too little; offer at least 65MiB")]
    LittleQuota(Bytes),
    /// A task ended that should not have.
    #[error("the {0} task ended unexpectedly; run `larder up` again, nothing acknowledged is lost")]
    Ended(&'static str),
}

impl AppError {
    /// The exit code of SURFACE.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Home(e) => e.exit_code(),
            Self::Addr(_)
            | Self::Config(_)
            | Self::TooLong(..)
            | Self::LittleQuota(_)
            | Self::Alerts(_) => 2,
            Self::Net(_)
            | Self::Store(_)
            | Self::Index(_)
            | Self::Chain(_)
            | Self::Follow(_)
            | Self::Rows(_)
            | Self::Shards(_)
            | Self::Vault(_)
            | Self::Spool(_)
            | Self::Serve(_)
            | Self::Hooks(_)
            | Self::Runtime(_)
            | Self::NotValidator
            | Self::OtherVersion
            | Self::Ended(_) => 1,
        }
    }
}
