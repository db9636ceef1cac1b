//! Validators that agree on each block, as long as more than two thirds of their weight are honest and
//! reach each other: the Byzantine-fault-tolerant engine as a library, behind the same seam as `solo`.
//! `docs/protocol.md` §3.8.
//!
//! **One history.** A block is final once more than two thirds have precommitted it; their shares make
//! its [`larder_proofs::Certificate`]. It goes to the owner as [`Committed`]; the engine tells nobody
//! that we have it before the owner has made it durable.
//!
//! **No second vote.** What a validator signs is on the disk before it leaves; after a crash the same
//! is said again. Who lost that record is refused ([`GuardError`]).
//!
//! **Quiet.** A height begins when a block has a reason, when others have begun it, or after a minute.
//!
//! A node that is in no set, or no more, follows without voting.

mod bodies;
mod codec;
mod commits;
mod context;
mod engine;
mod guard;
mod host;
mod jobs;
mod keys;
mod pace;
mod parts;
mod start;

pub use guard::{GuardError, InUse, KeyMark};

use crate::intake::{From, Intake};
use crate::{Clock, Committed, ProofError, SubmitError};
use async_trait::async_trait;
use larder_keys::Signer;
use larder_ledger::mempool::Limits;
use larder_ledger::{Admitted, ApplyError, Certified, ProofAck, Proposer, State, Tx};
use larder_proofs::SignedVote;
use larder_proofs::bls::SecretKey;
use larder_types::NodeId;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

/// Requests of each kind that wait for the task.
const QUEUE: usize = 64;
/// Batches, proofs and pieces of evidence that wait for the owner, each.
const NEWS: usize = 16;
/// How long the engine may take until it listens.
const LISTEN: Duration = Duration::from_secs(20);

/// Old blocks, for validators that were away.
#[async_trait]
pub trait Blocks: Send + Sync {
    /// The final blocks of these heights, in order, from the first on; fewer if there are fewer.
    async fn certified(&self, heights: RangeInclusive<u64>) -> Vec<Certified>;
}

/// What a validator needs.
pub struct BftConfig {
    /// Its node key: signs votes and proposals, and is its name on the engine's network.
    pub node: Signer,
    /// Its BLS key: its share of certificates, and reveals.
    pub bls: SecretKey,
    /// The record of its votes: a folder of its own.
    pub dir: PathBuf,
    /// Where the mark lies that the key is in use.
    pub mark: Box<dyn KeyMark>,
    /// Where to listen, as a multiaddress: `/ip4/0.0.0.0/tcp/4002`; port 0 takes any.
    pub listen: String,
    /// Validators known from the start, as multiaddresses.
    pub peers: Vec<String>,
    /// The owner's durable state.
    pub state: State,
    /// How much may wait for a block.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// The owner's old blocks.
    pub blocks: Arc<dyn Blocks>,
}

/// Why a validator does not start.
#[derive(Debug, thiserror::Error)]
pub enum BftError {
    /// Its key must not vote.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// An address that cannot be read.
    #[error("{0} is no address: expected one like /ip4/192.0.2.1/tcp/4002")]
    Address(String),
    /// The record of votes cannot be read or written.
    #[error("the record of votes cannot be used: {0}")]
    Io(#[from] io::Error),
    /// The engine does not start.
    #[error("the consensus engine did not start: {0}")]
    Start(String),
    /// Nothing listens at the address.
    #[error(
        "the consensus engine cannot listen on {0}: is its port in use? Another goes with \
             --consensus-listen"
    )]
    Listen(String),
    /// The engine knows nothing of a peer that was to be added.
    #[error("the consensus engine did not take the address: {0}")]
    Peer(String),
    /// The validator's task has ended.
    #[error("the validator has stopped")]
    Stopped,
}

/// Why the task ended before its handles were dropped. The node ends with it.
#[derive(Debug, thiserror::Error)]
pub enum BftEnd {
    /// The owner dropped the receiver or a block without acknowledging it.
    #[error("the ledger's owner has stopped")]
    Owner,
    /// The engine ended, or hangs because its log cannot be written.
    #[error("the consensus engine has stopped: its log may be unwritable")]
    Engine,
    /// A final block does not follow from our state: a bug, here or with more than two thirds.
    #[error("a final block was refused: {0}")]
    Refused(#[from] ApplyError),
    /// A block was decided of which the body is gone.
    #[error("block {height} is final, but its body is not here: start again and follow the others")]
    Missing {
        /// Its height.
        height: u64,
    },
    /// The record of votes cannot be written.
    #[error("the record of votes cannot be written: {0}")]
    Io(#[from] io::Error),
    /// A check panicked: a bug.
    #[error("a check failed: {0}")]
    Check(#[from] JoinError),
}

/// A request to the task.
enum Ask {
    /// Others are at this height.
    Wake(u64),
    /// A validator's address.
    Peer(String, tokio::sync::oneshot::Sender<Result<(), BftError>>),
}

/// A handle on a validator's task. The task ends when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Bft {
    intake: Intake,
    asks: mpsc::Sender<Ask>,
    addresses: Arc<Vec<String>>,
}

/// What [`Bft::spawn`] starts. All channels are bounded: whoever does not read them loses news, never
/// blocks.
#[derive(Debug)]
pub struct Spawned {
    /// The handle.
    pub bft: Bft,
    /// Every final block, in order. Acknowledge each with [`Committed::durable`].
    pub blocks: mpsc::Receiver<Committed>,
    /// Transactions that were submitted here, for the other validators ([`Bft::hear`]).
    pub gossip: mpsc::Receiver<Vec<Tx>>,
    /// Good proofs that were submitted here, for the other validators ([`Bft::hear_proof`]).
    pub forward: mpsc::Receiver<(NodeId, Vec<u8>)>,
    /// Pairs of votes that contradict each other, of one validator each.
    pub evidence: mpsc::Receiver<[SignedVote; 2]>,
    /// The task: it ends well when the last handle is dropped.
    pub task: JoinHandle<Result<(), BftEnd>>,
}

impl Bft {
    /// Starts a validator on the owner's durable state. Call it inside a tokio runtime of several
    /// threads. Resolves once it listens.
    ///
    /// # Errors
    /// [`BftError`]; then nothing runs.
    pub async fn spawn(config: BftConfig) -> Result<Spawned, BftError> {
        let (intake, requests) = Intake::new(config.state.genesis_hash());
        let (asks, asked) = mpsc::channel(QUEUE);
        // One place: a block is sent only after the one before was acknowledged.
        let (commits, blocks) = mpsc::channel(1);
        let (gossips, gossip) = mpsc::channel(NEWS);
        let (forwards, forward) = mpsc::channel(NEWS);
        let (proofs, evidence) = mpsc::channel(NEWS);
        let outward = host::Outward {
            commits,
            gossip: gossips,
            forward: forwards,
            evidence: proofs,
        };
        let listen = config.listen.clone();
        let node = config.node.node();
        let mut host = host::Host::start(config, outward).await?;
        let ready = tokio::time::timeout(LISTEN, host.ready()).await;
        if !matches!(ready, Ok(true)) {
            host.stop().await;
            return Err(BftError::Listen(listen));
        }
        let addresses = Arc::new(host.addresses(&node).await);
        let task = tokio::spawn(host.run(requests, asked));
        let bft = Self {
            intake,
            asks,
            addresses,
        };
        Ok(Spawned {
            bft,
            blocks,
            gossip,
            forward,
            evidence,
            task,
        })
    }

    /// Where others reach this validator's engine, with its id at the end of each address.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Checks a transaction's signatures and lets it wait for a block. Other validators hear of it
    /// through [`Spawned::gossip`].
    ///
    /// # Errors
    /// [`SubmitError`] says why it does not wait.
    pub async fn submit(&self, tx: Tx) -> Result<Admitted, SubmitError> {
        self.intake.submit(tx, From::Author).await
    }

    /// The same for several at once, in their order.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn submit_all(
        &self,
        txs: Vec<Tx>,
    ) -> Result<Vec<Result<Admitted, SubmitError>>, SubmitError> {
        self.intake.submit_all(txs, From::Author).await
    }

    /// Takes another validator's batch: it is not passed on again.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn hear(
        &self,
        txs: Vec<Tx>,
    ) -> Result<Vec<Result<Admitted, SubmitError>>, SubmitError> {
        self.intake.submit_all(txs, From::Validator).await
    }

    /// Hands in a proof from `provider`, whom the caller has authenticated (its tries are counted), and
    /// resolves once it is checked. Other validators get it through [`Spawned::forward`]. Gives an
    /// acknowledgement that a restart does not lose; none for an answer about a single contract, or
    /// where another proof of the provider's was faster.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn submit_proof(
        &self,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<Option<ProofAck>, ProofError> {
        self.intake.submit_proof(provider, blob, None).await
    }

    /// Takes a proof by `provider` that the validator `from`, whom the caller has authenticated, passed
    /// on: only a good one counts, and none costs the provider a try.
    ///
    /// # Errors
    /// [`ProofError`] says why it does not count.
    pub async fn hear_proof(
        &self,
        from: NodeId,
        provider: NodeId,
        blob: Vec<u8>,
    ) -> Result<(), ProofError> {
        let taken = self.intake.submit_proof(provider, blob, Some(from)).await;
        taken.map(drop)
    }

    /// Says that there is a final block of this height: an idle validator then catches up.
    pub fn wake(&self, height: u64) {
        // If the queue is full, it is being woken.
        self.asks.try_send(Ask::Wake(height)).ok();
    }

    /// Adds a validator's address, to be kept connected to.
    ///
    /// # Errors
    /// [`BftError::Address`] if it is none, [`BftError::Peer`] if the engine does not take it.
    pub async fn add_peer(&self, address: &str) -> Result<(), BftError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.asks
            .send(Ask::Peer(address.to_owned(), reply))
            .await
            .map_err(|_| BftError::Stopped)?;
        answer.await.map_err(|_| BftError::Stopped)?
    }
}

/// The name of a node on the engine's network, as it stands at the end of its address.
#[must_use]
pub fn peer_id(node: &NodeId) -> String {
    start::peer_id(node)
}

impl fmt::Debug for BftConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BftConfig")
            .field("node", &self.node.node())
            .field("dir", &self.dir)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// The proposer of these keys.
fn proposer(config: &BftConfig) -> Proposer {
    Proposer::candidate(config.node.clone(), config.bls.clone())
}

#[cfg(test)]
mod tests;
