//! Following the chain: the task that owns it takes our own consensus's blocks, hears of others'
//! heads by gossip, asks for what it lacks, and tells the engine of each block that it has applied
//! and made durable. A head is passed on only once its block is here, so that whoever hears of it
//! can ask whoever told it.

use crate::call::{Answer, Call, HeadNote};
use crate::chain::{Chain, ChainError};
use crate::driver::DriverHandle;
use crate::net::{MessageToken, NetHandle, Topic, Verdict};
use larder_consensus::Committed;
use larder_engine::Input;
use larder_ledger::Block;
use larder_types::{NodeId, codec};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Heads that wait; more are dropped, the next one brings the same blocks.
const QUEUE: usize = 64;
/// How long a peer may take to send blocks.
const WAIT: Duration = Duration::from_secs(15);
/// Bounds of how often a peer is asked though nothing was heard.
const POLL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What the follower hears.
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

/// The follower's queue.
#[must_use]
pub fn queue() -> (mpsc::Sender<Heard>, mpsc::Receiver<Heard>) {
    mpsc::channel(QUEUE)
}

/// The follower.
#[derive(Debug)]
pub struct Follower {
    /// The chain.
    pub chain: Chain,
    /// The transport.
    pub net: NetHandle,
    /// The engine.
    pub driver: DriverHandle,
    /// Blocks of our own consensus, if we make any.
    pub own: Option<mpsc::Receiver<Committed>>,
    /// The network's validator: who certainly has the newest block.
    pub validator: NodeId,
}

impl Follower {
    /// Follows until the node stops.
    ///
    /// # Errors
    /// [`ChainError`] when our own database fails or our own block is refused: the node stops.
    pub async fn run(
        mut self,
        mut heard: mpsc::Receiver<Heard>,
        stop: CancellationToken,
    ) -> Result<(), ChainError> {
        if let Some(standing) = self.chain.standing() {
            self.tell(standing).await;
        }
        let slot = {
            let ledger = self.chain.ledger();
            let guard = ledger.read();
            let params = guard.0.params();
            Duration::from_millis(params.epoch.0 / u64::from(params.slots.max(1)))
        };
        let quiet = (slot * 2).clamp(POLL.0, POLL.1);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                block = own_block(&mut self.own) => match block {
                    Some(block) => self.own_block(block).await?,
                    None => return Ok(()),
                },
                note = heard.recv() => match note {
                    Some(Heard::Head { from, bytes, token }) => self.head(from, &bytes, token).await?,
                    Some(Heard::Peer(peer)) => self.catch_up(peer).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(quiet), if self.own.is_none() => {
                    self.catch_up(self.validator).await?;
                }
            }
        }
    }

    /// A block of our own: durable first, then acknowledged, then published.
    async fn own_block(&mut self, committed: Committed) -> Result<(), ChainError> {
        let input = self.chain.apply(committed.block()).await?;
        let block = committed.durable().into_inner();
        let note = HeadNote {
            header: block.header.clone(),
            sig: block.sig,
        };
        let net = self.net.clone();
        tokio::spawn(async move {
            if let Err(e) = net.publish(Topic::Heads, codec::encode(&note)).await {
                tracing::debug!("a head was not published: {e}");
            }
        });
        self.tell(input).await;
        Ok(())
    }

    async fn head(
        &mut self,
        from: NodeId,
        bytes: &[u8],
        token: MessageToken,
    ) -> Result<(), ChainError> {
        let verdict = match codec::decode::<HeadNote>(bytes) {
            Ok(note) if self.is_good(&note) => {
                if note.header.height > self.chain.height() {
                    self.catch_up(from).await?;
                }
                let have = self.chain.height() >= note.header.height;
                if have {
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
        Ok(())
    }

    fn is_good(&self, note: &HeadNote) -> bool {
        let genesis = self.chain.ledger().read().0.genesis_hash();
        note.is_signed_by(&self.validator, &genesis)
    }

    /// Asks a peer for what we lack, until it has no more. A peer's fault ends it quietly; ours
    /// ends the node.
    async fn catch_up(&mut self, peer: NodeId) -> Result<(), ChainError> {
        loop {
            let call = Call::Blocks {
                from: self.chain.height() + 1,
            };
            let answer = self.net.request(peer, codec::encode(&call), WAIT).await;
            let blocks = match answer.ok().and_then(|bytes| codec::decode(&bytes).ok()) {
                Some(Answer::Blocks(blocks)) if !blocks.is_empty() => blocks,
                Some(_) | None => return Ok(()),
            };
            for bytes in blocks {
                let Ok(block) = codec::decode::<Block>(&bytes) else {
                    return Ok(());
                };
                if block.header.height <= self.chain.height() {
                    continue;
                }
                match self.chain.take(block).await {
                    Ok(input) => self.tell(input).await,
                    Err(e) if e.is_ours() => return Err(e),
                    Err(e) => {
                        tracing::warn!(%peer, "{e}");
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn tell(&self, input: larder_engine::view::BlockInput) {
        if self
            .driver
            .input(Input::Block(Box::new(input)))
            .await
            .is_err()
        {
            tracing::debug!("the engine has stopped");
        }
    }
}

async fn own_block(own: &mut Option<mpsc::Receiver<Committed>>) -> Option<Committed> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}
