//! Blocks from peers: one task hears of heads and of new peers, asks for what the chain lacks, one
//! fetch at a time, and hands decoded blocks to the chain's owner over a bounded channel. A peer
//! that is silent or sends nonsense costs this task its patience and nobody else anything. The
//! validator is asked first: it certainly has the newest block; another peer only if the validator
//! does not answer. A node that makes its own blocks asks nobody.

use crate::call::{Answer, Call, HeadNote};
use crate::chain::Ledger;
use crate::net::{MessageToken, NetHandle, Verdict};
use larder_ledger::Certified;
use larder_types::{NodeId, codec};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Heads and peers that wait; more are dropped, the next one brings the same blocks.
const QUEUE: usize = 64;
/// How long the validator may take to send blocks: an answer is up to some megabytes.
const VALIDATOR_WAIT: Duration = Duration::from_secs(15);
/// How long another peer may: there are others.
const PEER_WAIT: Duration = Duration::from_secs(5);
/// Bounds of how long nothing is heard before the validator is asked all the same.
const QUIET: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What the fetcher hears.
#[derive(Debug)]
pub enum Heard {
    /// A head, by gossip.
    Head {
        /// Who published it.
        from: NodeId,
        /// The encoded [`HeadNote`].
        bytes: Vec<u8>,
        /// To be judged.
        token: MessageToken,
    },
    /// A peer that may know more.
    Peer(NodeId),
}

/// The queue of what is heard.
#[must_use]
pub fn queue() -> (mpsc::Sender<Heard>, mpsc::Receiver<Heard>) {
    mpsc::channel(QUEUE)
}

/// Blocks that a peer sent, above the chain's height and in its order; unchecked otherwise.
#[derive(Debug)]
pub struct Fetched {
    /// Who sent them.
    pub peer: NodeId,
    /// The blocks, at least one.
    pub blocks: Vec<Certified>,
    /// Told once they are applied or refused.
    pub taken: oneshot::Sender<()>,
}

/// The fetcher.
#[derive(Debug)]
pub struct Fetcher {
    /// The transport.
    pub net: NetHandle,
    /// The ledger's state: how far the chain is.
    pub ledger: Ledger,
    /// The network's validator.
    pub validator: NodeId,
    /// Whether this node makes its own blocks: then it only judges heads.
    pub own: bool,
    /// To the chain's owner. One place: the next round starts from what this one brought.
    pub fetched: mpsc::Sender<Fetched>,
}

impl Fetcher {
    /// Fetches until nobody is left to tell it anything.
    pub async fn run(self, mut heard: mpsc::Receiver<Heard>) {
        let quiet = self.quiet();
        loop {
            match tokio::time::timeout(quiet, heard.recv()).await {
                Ok(Some(Heard::Head { from, bytes, token })) => {
                    self.head(from, &bytes, token).await;
                }
                Ok(Some(Heard::Peer(peer))) => self.catch_up(peer).await,
                Ok(None) => return,
                Err(_) => self.catch_up(self.validator).await,
            }
        }
    }

    /// Two slots without a word are worth a question.
    fn quiet(&self) -> Duration {
        let guard = self.ledger.read();
        let params = guard.0.params();
        let slot = Duration::from_millis(params.epoch.0 / u64::from(params.slots.max(1)));
        (slot * 2).clamp(QUIET.0, QUIET.1)
    }

    /// A head is passed on only once its block is here: whoever hears of it can ask us.
    async fn head(&self, from: NodeId, bytes: &[u8], token: MessageToken) {
        let verdict = match codec::decode::<HeadNote>(bytes) {
            Ok(note) if self.is_good(&note) => {
                let height = note.header.height;
                if height > self.height() {
                    self.catch_up(from).await;
                }
                if height <= self.height() {
                    Verdict::Accept
                } else {
                    Verdict::Ignore
                }
            }
            Ok(_) | Err(_) => Verdict::Reject,
        };
        if let Err(e) = self.net.report(token, verdict).await {
            tracing::debug!("a head was not judged: {e}");
        }
    }

    fn is_good(&self, note: &HeadNote) -> bool {
        let authority = self.ledger.read().0.authority();
        note.is_final(&authority)
    }

    fn height(&self) -> u64 {
        self.ledger.read().0.head().height
    }

    /// Asks the validator, and `other` if the validator does not answer.
    async fn catch_up(&self, other: NodeId) {
        if self.own || self.drain(self.validator, VALIDATOR_WAIT).await {
            return;
        }
        if other != self.validator && other != self.net.node() {
            self.drain(other, PEER_WAIT).await;
        }
    }

    /// Asks a peer for what we lack as long as that brings us further; whether it answered.
    async fn drain(&self, peer: NodeId, wait: Duration) -> bool {
        let mut answered = false;
        loop {
            let before = self.height();
            let Some(blocks) = self.ask(peer, before + 1, wait).await else {
                return answered;
            };
            answered = true;
            if !blocks.is_empty() {
                self.hand_over(peer, blocks).await;
            }
            if self.height() == before {
                return true;
            }
        }
    }

    /// The peer's blocks from a height on, up to the first that does not decode.
    async fn ask(&self, peer: NodeId, from: u64, wait: Duration) -> Option<Vec<Certified>> {
        let call = codec::encode(&Call::Blocks { from });
        let answer = self.net.request(peer, call, wait).await.ok()?;
        let Ok(Answer::Blocks(blocks)) = codec::decode(&answer) else {
            return None;
        };
        let blocks = blocks
            .iter()
            .map_while(|bytes| codec::decode::<Certified>(bytes).ok());
        Some(blocks.filter(|b| b.block.header.height >= from).collect())
    }

    /// Waits until the chain's owner has looked at the blocks. If it has stopped, we soon are.
    async fn hand_over(&self, peer: NodeId, blocks: Vec<Certified>) {
        let (taken, done) = oneshot::channel();
        let fetched = Fetched {
            peer,
            blocks,
            taken,
        };
        if self.fetched.send(fetched).await.is_ok() && done.await.is_err() {
            tracing::debug!("the chain has stopped");
        }
    }
}
