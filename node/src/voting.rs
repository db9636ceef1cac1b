//! Taking our place among several validators, and leaving it: starting the consensus on the ledger's
//! durable state, with what it is fed and what becomes of its news. Whether we have a place, the ledger
//! says.

use crate::chain::Ledger;
use crate::driver::{DriverHandle, Msg, Payment};
use crate::home::{self, now};
use crate::meeting::Meeting;
use crate::seat::{Own, Seat};
use crate::spread::Spread;
use crate::store::Store;
use crate::validators::Validators;
use async_trait::async_trait;
use larder_consensus::bft::{
    BftConfig, BftEnd, BftError, Blocks, GuardError, InUse, KeyMark, Spawned,
};
use larder_consensus::{Bft, Committed};
use larder_engine::seating::{Move, Place, Stage};
use larder_engine::{Command, Input};
use larder_keys::Signer;
use larder_ledger::mempool::Limits;
use larder_ledger::{Certified, Consensus, Equivocation, State, Tx};
use larder_proofs::SignedVote;
use larder_proofs::bls::SecretKey;
use larder_types::{AccountId, codec};
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

/// How long a consensus that we leave may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(15);
/// Proofs that are handed on at a time.
const MAX_FORWARDS: usize = 8;

/// Why a validator does not validate. The node ends with it.
#[derive(Debug, thiserror::Error)]
pub enum VotingError {
    /// The consensus does not start.
    #[error("{0}")]
    Start(#[from] BftError),
    /// It ended by itself.
    #[error("{0}")]
    Ended(#[from] BftEnd),
    /// It panicked: a bug.
    #[error("the consensus failed: {0}")]
    Panicked(#[from] JoinError),
    /// It ended without a reason.
    #[error("the consensus has stopped")]
    Stopped,
}

/// A node that was asked to validate.
#[derive(Debug)]
pub struct Voter {
    /// Its node key.
    pub node: Signer,
    /// Its BLS key.
    pub bls: SecretKey,
    /// The account that has the credit of evidence.
    pub account: AccountId,
    /// The home.
    pub home: PathBuf,
    /// Where the consensus listens, a multiaddr.
    pub listen: String,
    /// Old blocks for the others.
    pub store: Store,
    /// Our place.
    pub seat: Seat,
    /// The ledger.
    pub ledger: Ledger,
    /// Where validators find each other.
    pub meeting: Meeting,
    /// Gossip of transactions.
    pub spread: Spread,
    /// The other validators.
    pub validators: Validators,
    /// The engine: it signs for the account.
    pub driver: DriverHandle,
    /// How far we are.
    pub stage: Stage,
    /// Our consensus, while we vote.
    pub task: Option<JoinHandle<Result<(), BftEnd>>>,
}

impl Voter {
    /// Looks whether the ledger gives us a place or takes it; `own` is where our blocks come from.
    ///
    /// # Errors
    /// [`VotingError`] if we have one and cannot take it.
    pub async fn look(
        &mut self,
        own: &mut Option<mpsc::Receiver<Committed>>,
    ) -> Result<(), VotingError> {
        let (node, bls) = (self.node.node(), self.bls.public());
        let place = Place::of(&self.ledger.read().0, &node, &bls);
        match self.stage.next(place) {
            Move::Stay => {}
            Move::Stand => self.stand().await,
            Move::Sit => *own = self.sit().await?,
            Move::Rise => {
                // Before its consensus ends: that waits for whoever takes its blocks.
                *own = None;
                self.rise().await;
            }
        }
        Ok(())
    }

    /// Has the engine put this node forward, as soon as its account can.
    async fn stand(&mut self) {
        let stand = Command::Stand(Box::new(self.bls.clone()));
        if self.driver.input(Input::Command(stand)).await.is_err() {
            tracing::debug!("the engine has stopped");
        }
        self.stage = Stage::Standing;
    }

    async fn sit(&mut self) -> Result<Option<mpsc::Receiver<Committed>>, VotingError> {
        let state = self.ledger.read().0.clone();
        let spawned = match Bft::spawn(self.config(state)).await {
            Ok(spawned) => spawned,
            Err(BftError::Guard(GuardError::Behind { voted, head })) => {
                tracing::warn!(voted, head, "following the others before voting again");
                self.stage = Stage::Behind(voted);
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        let Spawned {
            bft,
            blocks,
            gossip,
            forward,
            evidence,
            task,
        } = spawned;
        tracing::warn!("validating from now on");
        self.seat.take(Own::Bft(bft));
        (self.stage, self.task) = (Stage::Voting, Some(task));
        self.meeting.call();
        tokio::spawn(self.spread.clone().publish(gossip));
        tokio::spawn(pass_on(self.validators.clone(), forward));
        tokio::spawn(accuse(self.driver.clone(), self.account, evidence));
        Ok(Some(blocks))
    }

    fn config(&self, state: State) -> BftConfig {
        BftConfig {
            node: self.node.clone(),
            bls: self.bls.clone(),
            dir: self.home.join("consensus"),
            mark: Box::new(Mark::of(&self.home)),
            listen: self.listen.clone(),
            peers: Vec::new(),
            state,
            limits: Limits::default(),
            clock: Arc::new(now),
            blocks: Arc::new(Old(self.store.clone())),
        }
    }

    /// Leaves. What the consensus still says is not heard.
    async fn rise(&mut self) {
        tracing::warn!("this node is no validator any more: it follows the others");
        self.seat.leave();
        self.stage = Stage::Out;
        let Some(task) = self.task.take() else {
            return;
        };
        if tokio::time::timeout(STOP_WAIT, task).await.is_err() {
            tracing::warn!("the consensus takes its time to stop");
        }
    }

    /// Resolves when the consensus ends by itself; never while there is none.
    pub async fn ended(&mut self) -> VotingError {
        match &mut self.task {
            Some(task) => match task.await {
                Ok(Ok(())) => VotingError::Stopped,
                Ok(Err(end)) => end.into(),
                Err(e) => e.into(),
            },
            None => std::future::pending().await,
        }
    }
}

/// Whether a network's validators may change, so that one may wait to become one.
#[must_use]
pub const fn may_change(consensus: Consensus) -> bool {
    match consensus {
        Consensus::Solo => false,
        Consensus::Bft => true,
    }
}

/// Hands accepted proofs on, some at a time: a validator may be slow to answer, and others wait.
async fn pass_on(
    validators: Validators,
    mut accepted: mpsc::Receiver<(larder_types::NodeId, Vec<u8>)>,
) {
    let room = Arc::new(Semaphore::new(MAX_FORWARDS));
    while let Some((provider, blob)) = accepted.recv().await {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let validators = validators.clone();
        tokio::spawn(async move {
            validators.forward(provider, blob).await;
            drop(place);
        });
    }
}

/// Has evidence of double voting stand in a block.
async fn accuse(
    driver: DriverHandle,
    account: AccountId,
    mut evidence: mpsc::Receiver<[SignedVote; 2]>,
) {
    while let Some([a, b]) = evidence.recv().await {
        tracing::warn!(validator = %a.by, "a validator signed votes that contradict each other");
        let reporter = Some(account);
        let evidence = Tx::Equivocation(Box::new(Equivocation { a, b, reporter }));
        let what = Payment::Signed(Box::new(evidence));
        let (done, queued) = oneshot::channel();
        let (ended, _) = oneshot::channel();
        if driver.send(Msg::Send { what, done, ended }).await.is_err() {
            return;
        }
        match queued.await {
            Ok(Ok(tx)) => tracing::warn!(%tx, "evidence is handed in"),
            Ok(Err(e)) => tracing::warn!("evidence was not handed in: {e}"),
            Err(_) => return,
        }
    }
}

/// Our old blocks.
struct Old(Store);

#[async_trait]
impl Blocks for Old {
    async fn certified(&self, heights: RangeInclusive<u64>) -> Vec<Certified> {
        let mut found: Vec<Certified> = Vec::new();
        let mut from = *heights.start();
        while from <= *heights.end() {
            let page = match self.0.blocks(from).await {
                Ok(page) => page,
                Err(e) => {
                    tracing::warn!("blocks cannot be read: {e}");
                    break;
                }
            };
            let blocks: Vec<Certified> = page
                .iter()
                .map_while(|bytes| codec::decode::<Certified>(bytes).ok())
                .filter(|block| heights.contains(&block.block.header.height))
                .collect();
            let Some(last) = blocks.last() else {
                break;
            };
            from = last.block.header.height.saturating_add(1);
            found.extend(blocks);
        }
        found
    }
}

/// The mark that a BLS key is in use: a file beside the key.
#[derive(Debug, Clone)]
pub struct Mark(PathBuf);

impl Mark {
    /// That of the home's key.
    #[must_use]
    pub fn of(home: &Path) -> Self {
        Self(home.join("keys/validator-bls.used"))
    }
}

impl KeyMark for Mark {
    fn read(&self) -> io::Result<Option<InUse>> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let parsed = text.split_once(' ').and_then(|(since, record)| {
            let mut name = [0; 16];
            hex::decode_to_slice(record.trim(), &mut name).ok()?;
            Some(InUse {
                since: since.parse().ok()?,
                record: name,
            })
        });
        parsed.map(Some).ok_or_else(|| {
            let why = format!("{} does not read as it should", self.0.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })
    }

    fn write(&self, mark: &InUse) -> io::Result<()> {
        let text = format!("{} {}\n", mark.since, hex::encode(mark.record));
        home::write(&self.0, text.as_bytes(), 0o600).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_as_it_was_written_and_damage_is_no_absence() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("keys")).unwrap();
        let mark = Mark::of(dir.path());
        assert_eq!(mark.read().unwrap(), None);
        let used = InUse {
            since: 42,
            record: [7; 16],
        };
        mark.write(&used).unwrap();
        assert_eq!(mark.read().unwrap(), Some(used));
        for damaged in ["", "42", "42 07", "x 07070707070707070707070707070707"] {
            fs::write(&mark.0, damaged).unwrap();
            assert!(mark.read().is_err(), "{damaged:?}");
        }
    }
}
