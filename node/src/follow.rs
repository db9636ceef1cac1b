//! Following the chain: the task that owns it applies our own consensus's blocks or those that
//! [`crate::blocks`] fetched, and tells the engine of each block that it has made durable. It waits
//! for no peer. Where validators change, it takes and leaves our place among them as the ledger says.

use crate::blocks::{Fetched, Fetcher, Heard};
use crate::call::HeadNote;
use crate::chain::{Chain, ChainError};
use crate::driver::DriverHandle;
use crate::meeting::Meeting;
use crate::net::{NetHandle, Topic};
use crate::seat::Seat;
use crate::voting::{Voter, VotingError};
use larder_consensus::Committed;
use larder_engine::Input;
use larder_engine::rota::Rota;
use larder_types::codec;
use serde_bytes::ByteBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The follower.
#[derive(Debug)]
pub struct Follower {
    /// The chain.
    pub chain: Chain,
    /// The transport.
    pub net: NetHandle,
    /// The engine.
    pub driver: DriverHandle,
    /// Blocks of our own consensus, if we make any: then no others are taken.
    pub own: Option<mpsc::Receiver<Committed>>,
    /// Whether we make any.
    pub seat: Seat,
    /// Where validators change: what takes our place among them, if this node is to validate.
    pub voter: Option<Voter>,
    /// Where validators find each other: told when the set changes.
    pub meeting: Meeting,
}

/// Why following ends. The node ends with it.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Our own database failed, or our own block was refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Our consensus failed, or must not start.
    #[error(transparent)]
    Voting(#[from] VotingError),
}

/// How long the proposer of a block has to publish its head, before the others do.
const HEAD_WAIT: Duration = Duration::from_secs(1);

impl Follower {
    /// Follows until the node stops.
    ///
    /// # Errors
    /// [`FollowError`]: the node stops.
    pub async fn run(
        mut self,
        heard: mpsc::Receiver<Heard>,
        stop: CancellationToken,
    ) -> Result<(), FollowError> {
        if let Some(standing) = self.chain.standing() {
            self.tell(standing).await;
        }
        self.look().await?;
        let mut fetched = self.fetch(heard, stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                block = own_block(&mut self.own) => match block {
                    Some(block) => self.own_block(block).await?,
                    None => return self.why_it_ended().await,
                },
                blocks = fetched.recv() => match blocks {
                    Some(blocks) => self.take(blocks, &stop).await?,
                    None => return Ok(()),
                },
                end = ended(&mut self.voter) => return Err(end.into()),
            }
            self.look().await?;
        }
    }

    /// Our consensus has given its last block, though we have our place.
    async fn why_it_ended(&mut self) -> Result<(), FollowError> {
        match &mut self.voter {
            Some(voter) => Err(voter.ended().await.into()),
            None => Ok(()),
        }
    }

    /// Takes or leaves our place among the validators, as the ledger has it now.
    async fn look(&mut self) -> Result<(), FollowError> {
        if let Some(voter) = &mut self.voter {
            voter.look(&mut self.own).await?;
        }
        Ok(())
    }

    /// Starts the fetcher; its channel closes if it ends.
    fn fetch(
        &self,
        heard: mpsc::Receiver<Heard>,
        stop: CancellationToken,
    ) -> mpsc::Receiver<Fetched> {
        let (sender, fetched) = mpsc::channel(1);
        let fetcher = Fetcher {
            net: self.net.clone(),
            ledger: self.chain.ledger(),
            seat: self.seat.clone(),
            rota: Rota::behind(self.net.node()),
            fetched: sender,
        };
        tokio::spawn(stop.run_until_cancelled_owned(fetcher.run(heard)));
        fetched
    }

    /// A block of our own consensus: durable first, then acknowledged, then published.
    async fn own_block(&mut self, committed: Committed) -> Result<(), ChainError> {
        let certificate = committed.certificate().to_bytes();
        let input = self
            .chain
            .apply(committed.block(), certificate.clone())
            .await?;
        let block = committed.durable().into_inner();
        self.publish(HeadNote {
            header: block.header,
            certificate: ByteBuf::from(certificate),
        });
        self.tell(input).await;
        Ok(())
    }

    /// Publishes a head: at once if the block is ours. Else its proposer does; should it not, and no
    /// other block have come, so do all others, since each has a certificate of its own.
    fn publish(&self, note: HeadNote) {
        let (net, ledger) = (self.net.clone(), self.chain.ledger());
        if note.header.validators != note.header.next_validators {
            self.meeting.call();
        }
        tokio::spawn(async move {
            if note.header.proposer != net.node() {
                tokio::time::sleep(HEAD_WAIT).await;
                if ledger.read().0.head().height > note.header.height {
                    return;
                }
            }
            if let Err(e) = net.publish(Topic::Heads, codec::encode(&note)).await {
                tracing::debug!("a head was not published: {e}");
            }
        });
    }

    /// Applies a peer's blocks up to the first that breaks a rule. A peer's fault is only noted;
    /// ours ends the node.
    async fn take(&mut self, fetched: Fetched, stop: &CancellationToken) -> Result<(), ChainError> {
        for block in fetched.blocks {
            // What was asked for before we took our place comes from our own consensus too.
            if stop.is_cancelled() || self.own.is_some() {
                break;
            }
            match self.chain.take(block).await {
                Ok(input) => self.tell(input).await,
                Err(e) if e.is_ours() => return Err(e),
                Err(e) => {
                    tracing::warn!(peer = %fetched.peer, "{e}");
                    break;
                }
            }
        }
        if fetched.taken.send(()).is_err() {
            tracing::debug!("the fetcher has stopped");
        }
        Ok(())
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

async fn ended(voter: &mut Option<Voter>) -> VotingError {
    match voter {
        Some(voter) => voter.ended().await,
        None => std::future::pending().await,
    }
}

async fn own_block(own: &mut Option<mpsc::Receiver<Committed>>) -> Option<Committed> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
pub(crate) mod tests;
