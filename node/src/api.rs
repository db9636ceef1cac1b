//! The node behind the RPC: each method gathers what the engine, the ledger, the vault or the
//! transport knows, and shows it in the surface's form.

mod backup;
mod chain;
mod device;
mod friend;
mod history;
mod job;
mod ledger;
mod market;
mod metrics;
mod network;
mod node;
mod provider;
mod renter;
mod retention;
mod sending;
mod share;
mod tx;
mod wallet;

use crate::alerts::{Board, Rules};
use crate::chain::Ledger;
use crate::driver::DriverHandle;
use crate::index::Index;
use crate::jobs::Jobs;
use crate::net::NetHandle;
use crate::recovery::Recovery;
use crate::schedules::Schedules;
use crate::seat::Seat;
use crate::settings::ConfigFile;
use crate::sharing::Sharing;
use crate::shown::stopping;
use crate::store::Store;
use crate::volumes::Keeper;
use crate::wallets::Wallets;
use larder_engine::Engine;
use larder_keys::Signer;
use larder_ledger::{Genesis, State};
use larder_rpc::{RpcError, RpcMetrics};
use larder_types::{AccountId, NodeId, SubKeyId, Time};
use tokio_util::sync::CancellationToken;

/// What the methods need.
#[derive(Debug)]
pub struct NodeApi {
    /// The engine.
    pub driver: DriverHandle,
    /// The ledger's state.
    pub ledger: Ledger,
    /// The database.
    pub store: Store,
    /// Where transactions stand, and what moved on accounts.
    pub index: Index,
    /// The wallets beside the home's own account.
    pub wallets: Wallets,
    /// The transport.
    pub net: NetHandle,
    /// Backups, restores and recoveries.
    pub jobs: Jobs,
    /// Backups that begin by themselves.
    pub schedules: Schedules,
    /// What shares are made and opened with.
    pub sharing: Sharing,
    /// What a recovery works with.
    pub recovery: Recovery,
    /// The network.
    pub genesis: Genesis,
    /// This node.
    pub node: NodeId,
    /// The home's account.
    pub account: AccountId,
    /// This device's sub-key.
    pub subkey: SubKeyId,
    /// Whether it offers anything.
    pub provides: bool,
    /// The provider's volumes, if it has any.
    pub volumes: Option<Keeper>,
    /// The home's configuration.
    pub config: ConfigFile,
    /// Alerts.
    pub board: Board,
    /// What they go by.
    pub rules: Rules,
    /// What the RPC counts.
    pub rpc: RpcMetrics,
    /// What of the offer a flag or the environment said.
    pub given: Vec<String>,
    /// Its key, which signs approvals.
    pub node_key: Signer,
    /// The device's sub-key, which signs for the home's account.
    pub ledger_key: Signer,
    /// Our place among the validators.
    pub seat: Seat,
    /// Whether it makes blocks, or would.
    pub validates: bool,
    /// When it started.
    pub started: Time,
    /// Stops the node.
    pub stop: CancellationToken,
}

impl NodeApi {
    pub(crate) async fn engine<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Result<T, RpcError> {
        self.driver.query(ask).await.map_err(stopping)
    }

    pub(crate) fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.ledger.read().0)
    }
}
