//! Following the chain: the task that owns it applies our own consensus's blocks or those that
//! [`crate::blocks`] fetched, and tells the engine of each block that it has made durable. It waits
//! for no peer.

use crate::blocks::{Fetched, Fetcher, Heard};
use crate::call::HeadNote;
use crate::chain::{Chain, ChainError};
use crate::driver::DriverHandle;
use crate::net::{NetHandle, Topic};
use crate::rota::Rota;
use crate::seat::Seat;
use larder_consensus::Committed;
use larder_engine::Input;
use larder_types::codec;
use serde_bytes::ByteBuf;
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
}

impl Follower {
    /// Follows until the node stops.
    ///
    /// # Errors
    /// [`ChainError`] when our own database fails or our own block is refused: the node stops.
    pub async fn run(
        mut self,
        heard: mpsc::Receiver<Heard>,
        stop: CancellationToken,
    ) -> Result<(), ChainError> {
        if let Some(standing) = self.chain.standing() {
            self.tell(standing).await;
        }
        let mut fetched = self.fetch(heard, stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                block = own_block(&mut self.own) => match block {
                    Some(block) => self.own_block(block).await?,
                    None => return Ok(()),
                },
                blocks = fetched.recv() => match blocks {
                    Some(blocks) => self.take(blocks, &stop).await?,
                    None => return Ok(()),
                },
            }
        }
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

    /// A block of our own: durable first, then acknowledged, then published.
    async fn own_block(&mut self, committed: Committed) -> Result<(), ChainError> {
        let certificate = committed.certificate().to_bytes();
        let input = self
            .chain
            .apply(committed.block(), certificate.clone())
            .await?;
        let block = committed.durable().into_inner();
        let note = HeadNote {
            header: block.header,
            certificate: ByteBuf::from(certificate),
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

    /// Applies a peer's blocks up to the first that breaks a rule. A peer's fault is only noted;
    /// ours ends the node.
    async fn take(&mut self, fetched: Fetched, stop: &CancellationToken) -> Result<(), ChainError> {
        for block in fetched.blocks {
            if stop.is_cancelled() {
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

async fn own_block(own: &mut Option<mpsc::Receiver<Committed>>) -> Option<Committed> {
    match own {
        Some(own) => own.recv().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
