//! What the transport tells the driver, and what the driver hands back.

use larder_types::NodeId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::request_response::ResponseChannel;
use libp2p::{Multiaddr, PeerId};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::BulkStream;
use super::NetError;
use super::codec::{Answer, Lease};
use super::limits::MAX_RESPONSE;
use super::task::Command;

/// Something happened on the network.
#[derive(Debug)]
pub enum NetEvent {
    /// A peer asks; answer through `respond` within [`super::limits::REQUEST_TIMEOUT`].
    Request {
        /// Who asks.
        peer: NodeId,
        /// The request, at most [`super::limits::MAX_REQUEST`] bytes.
        bytes: Vec<u8>,
        /// The way back.
        respond: Responder,
    },
    /// A gossip message that is held until it is judged: [`super::NetHandle::report`].
    Gossip {
        /// Where it was published.
        topic: Topic,
        /// Who published and signed it (not necessarily who passed it on).
        source: NodeId,
        /// The message, at most [`super::limits::MAX_GOSSIP`] bytes.
        bytes: Vec<u8>,
        /// What to judge it by.
        token: MessageToken,
    },
    /// A peer opened a bulk stream.
    Bulk {
        /// Who opened it.
        peer: NodeId,
        /// The stream, its hello done.
        stream: BulkStream,
    },
    /// The first connection to a peer stands.
    Connected(NodeId),
    /// The last connection to a peer is gone.
    Disconnected(NodeId),
    /// A new address of ours.
    Listening(Multiaddr),
}

/// What gossip is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Signed offers of providers.
    Offers,
    /// Heads of blocks.
    Heads,
    /// Transactions that wait for a block.
    Txs,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 3] = [Self::Offers, Self::Heads, Self::Txs];

    /// The topic's part of its name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offers => "offers",
            Self::Heads => "heads",
            Self::Txs => "txs",
        }
    }
}

/// A gossip message that waits for its verdict.
#[derive(Debug, Clone)]
pub struct MessageToken {
    pub(super) id: MessageId,
    pub(super) from: PeerId,
}

/// The driver's verdict on a gossip message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good: pass it on.
    Accept,
    /// Breaks a rule: do not pass it on, hold it against the peer that sent it.
    Reject,
    /// Neither: do not pass it on, hold it against nobody.
    Ignore,
}

impl From<Verdict> for MessageAcceptance {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Reject => Self::Reject,
            Verdict::Ignore => Self::Ignore,
        }
    }
}

/// The way back to a peer that asked. Dropped without an answer, the peer sees its request fail.
#[derive(Debug)]
pub struct Responder {
    pub(super) channel: ResponseChannel<Answer>,
    pub(super) commands: mpsc::Sender<Command>,
    /// The request's share of the memory lent to peers, returned when it is answered.
    pub(super) _lease: Lease,
}

impl Responder {
    /// Sends the answer. That the peer is gone by now is no error: it will ask again.
    ///
    /// # Errors
    /// [`NetError::TooLarge`] above [`MAX_RESPONSE`] (the peer then sees its request fail),
    /// [`NetError::Closed`] after shutdown.
    pub async fn respond(self, bytes: Vec<u8>) -> Result<(), NetError> {
        if bytes.len() > MAX_RESPONSE {
            return Err(NetError::TooLarge {
                len: bytes.len(),
                max: MAX_RESPONSE,
            });
        }
        self.commands
            .send(Command::Respond(self.channel, Answer::Bytes(bytes)))
            .await
            .map_err(|_| NetError::Closed)
    }
}

/// A connected peer.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Who.
    pub node: NodeId,
    /// Where our connections to it lead, oldest first.
    pub addrs: Vec<Multiaddr>,
    /// When the oldest connection was made.
    pub connected_since: Instant,
    /// Its software, as it says itself; empty until it has identified itself.
    pub agent: String,
}

/// A permit that is held for as long as what it stands for lives.
pub(super) type Permit = OwnedSemaphorePermit;
