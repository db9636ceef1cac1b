//! How the transport fails: operational errors, each with what the caller needs to go on.

use larder_types::NodeId;
use libp2p::{Multiaddr, gossipsub, request_response};
use std::io;
use std::time::Duration;

/// Why something could not be sent, opened or started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The node id is no ed25519 public key, so no peer can have it.
    #[error("{node} is not a node's key")]
    NotAKey {
        /// The id.
        node: NodeId,
    },
    /// A bootstrap address does not say whose it is.
    #[error("bootstrap address {addr} lacks its /p2p/ part")]
    NoPeerInAddress {
        /// The address.
        addr: Multiaddr,
    },
    /// An address cannot be listened on: its port is used, or it is not ours.
    #[error("cannot listen on {addr}: {reason}; choose another port or address")]
    Listen {
        /// The address.
        addr: Multiaddr,
        /// What the system says.
        reason: String,
    },
    /// The transports could not be set up (keys, name resolution).
    #[error("cannot set up the network: {reason}")]
    Setup {
        /// What the library says.
        reason: String,
    },
    /// No address of the peer is known, found or answers.
    #[error("{node} cannot be reached: no address of it answers")]
    Unreachable {
        /// The peer.
        node: NodeId,
    },
    /// An address could not be dialled.
    #[error("cannot dial {addr}: {reason}")]
    Dial {
        /// The address.
        addr: Multiaddr,
        /// What the library says.
        reason: String,
    },
    /// The time that the caller gave is over.
    #[error("no answer from {node} within {after:?}")]
    TimedOut {
        /// The peer.
        node: NodeId,
        /// The time given.
        after: Duration,
    },
    /// The peer's queues are full: try later or elsewhere.
    #[error("{node} is busy")]
    Busy {
        /// The peer.
        node: NodeId,
    },
    /// A bound of our own is reached: too much is under way.
    #[error("too much is under way here (limit {limit})")]
    TooMany {
        /// The bound.
        limit: usize,
    },
    /// A message exceeds its limit and is not sent.
    #[error("message of {len} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// The request failed on its way; whether the peer acted on it is unknown.
    #[error("request to {node} failed: {source}")]
    Request {
        /// The peer.
        node: NodeId,
        /// What happened.
        source: request_response::OutboundFailure,
    },
    /// A bulk stream could not be opened in all attempts.
    #[error("no stream to {node} after {attempts} attempts: {source}")]
    Bulk {
        /// The peer.
        node: NodeId,
        /// Attempts made.
        attempts: u32,
        /// The last failure.
        source: io::Error,
    },
    /// Nobody who follows the topic is connected: publish again later.
    #[error("nobody to publish to")]
    NoSubscribers,
    /// Gossip refused the message.
    #[error("cannot publish: {source}")]
    Publish {
        /// What the library says.
        source: gossipsub::PublishError,
    },
    /// The transport has been shut down.
    #[error("the network is shut down")]
    Closed,
}
