//! The node's transport: libp2p behind one task that owns the Swarm. It moves opaque bytes between
//! node ids (requests with answers, gossip, bulk streams); what the bytes mean, the driver knows.
//! Every queue, peer count, message size and wait is bounded by a constant of [`limits`].

mod behaviour;
mod book;
mod bulk;
mod codec;
mod error;
mod event;
mod frame;
mod handle;
mod identity;
pub mod limits;
mod providing;
mod reach;
mod records;
mod start;
mod task;
#[cfg(test)]
mod tests;

pub use bulk::BulkStream;
pub use error::NetError;
pub use event::{MessageToken, NetEvent, PeerInfo, Responder, Topic, Verdict};
pub use frame::{
    FrameError, Payload, read_frame, read_header, send_payload, write_frame, write_header,
};
pub use handle::NetHandle;
pub use identity::{node_id, peer_id};
pub use libp2p::Multiaddr;
pub use start::{Net, NetConfig};
