//! Larder's node.

pub mod net;
pub mod shards;
