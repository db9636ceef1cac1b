//! Larder's JSON-RPC surface: one registry of methods from which the server's dispatch, the
//! server trait and the typed client come; the values and errors that travel; the access rules.
//! `docs/protocol.md` does not cover it: the names are those of the README and `rpc.discover`.

pub mod access;
pub mod api;
pub mod client;
pub mod discover;
pub mod endpoint;
pub mod errors;
pub mod feeds;
mod gate;
pub mod handbook;
pub mod metrics;
pub mod probes;
pub mod server;
pub mod tokens;
pub mod types;
pub mod values;

pub use api::{
    Api, BackupMethods, ChainMethods, DeviceMethods, FriendMethods, JobMethods, LedgerMethods,
    MarketMethods, Method, NetworkMethods, NodeMethods, ProviderMethods, RenterMethods,
    ShareMethods, TxMethods, WalletMethods,
};
pub use client::{Client, ClientError};
pub use endpoint::Endpoint;
pub use errors::{Code, RpcError};
pub use feeds::Feeds;
pub use metrics::{Outcome, Refused, RpcMetrics};
pub use probes::{Probes, Readiness};
pub use server::{Door, ServeError, Server, serve};
pub use tokens::Scope;
pub use types::*;
pub use values::{AsOf, Empty, Moment, Nano, Page, PageParams, Secret, Text};
