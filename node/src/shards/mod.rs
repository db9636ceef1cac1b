//! The provider's shard store: shards are files, named by their CID, hashed while they are written and
//! durable before they are acknowledged. Sync calls: run them through `spawn_blocking`; only
//! [`receive`] and [`send`], between a store and a stream, are async.

mod account;
mod error;
mod files;
mod read;
pub mod scrub;
mod store;
#[cfg(test)]
mod tests;
mod transfer;
mod volumes;
mod write;

pub use error::StoreError;
pub use read::Look;
pub use store::{ShardStore, StoreConfig};
pub use transfer::{TransferError, receive, send};
pub use volumes::{Known, Placing, VolumeConfig, VolumeReport, Volumes};
pub use write::ShardWriter;
