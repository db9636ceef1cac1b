//! The chain as this node holds it: the ledger's state, advanced block by block, each durable
//! before anyone hears of it. One task owns it; others read the state through [`Ledger`].

use crate::index::{Fed, Index, IndexError};
use crate::store::{Aftermath, Store, StoreError, Tally};
use larder_engine::view::BlockInput;
use larder_ledger::{
    ApplyError, Authority, Block, Certified, Event, Genesis, GenesisError, State, Verified, verify,
};
use larder_proofs::Checkpoint;
use larder_rpc::Feeds;
use larder_types::{AccountId, NodeId, TxId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// Why a block was not taken, or the chain cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The block breaks a rule.
    #[error("block refused: {0}")]
    Apply(#[from] ApplyError),
    /// A signature or reveal in it is bad.
    #[error("block refused: {0}")]
    Verify(#[from] verify::VerifyError),
    /// Another block than the home's checkpoint names: another history, whoever certified it.
    #[error(
        "refused: the block at height {} is not the one that this home's checkpoint names, so the chain \
         that it is in was forked; ask who invited you, and join anew with a new home",
        .0.height
    )]
    Checkpoint(Checkpoint),
    /// The genesis document breaks a rule.
    #[error("the network's genesis is unsound: {0}")]
    Genesis(#[from] GenesisError),
}

impl ChainError {
    /// Whether the node itself has failed, rather than whoever sent the block.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Index(_))
    }
}

/// Each provider's verdicts.
pub type Tallies = BTreeMap<NodeId, Tally>;

/// States before the newest that are kept, so that a proof can be asked of a block just seen. They share
/// what did not change; at worst each is a whole copy, so there are few.
pub const RECENT: usize = 16;

/// The ledger's state, for readers.
#[derive(Debug, Clone)]
pub struct Ledger {
    now: Arc<RwLock<(State, Tallies)>>,
    /// The newest last.
    recent: Arc<RwLock<VecDeque<State>>>,
}

impl Ledger {
    fn new(state: State, tallies: Tallies) -> Self {
        Self {
            now: Arc::new(RwLock::new((state, tallies))),
            recent: Arc::default(),
        }
    }

    /// The state after the newest block. Hold it shortly: the next block waits.
    pub fn read(&self) -> RwLockReadGuard<'_, (State, Tallies)> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state after the block at a height, if it is held still.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<State> {
        let now = self.read();
        if now.0.head().height == height {
            return Some(now.0.clone());
        }
        drop(now);
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let held = recent.iter().find(|state| state.head().height == height);
        held.cloned()
    }

    /// The heights whose states are held: the lowest and the newest.
    #[must_use]
    pub fn held(&self) -> (u64, u64) {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = recent.front().map(|state| state.head().height);
        drop(recent);
        let newest = self.read().0.head().height;
        (oldest.unwrap_or(newest), newest)
    }

    fn advance(&self, next: State, tallies: Tallies) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        let (before, _) = std::mem::replace(&mut *now, (next, tallies));
        drop(now);
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.push_back(before);
        while recent.len() > RECENT {
            recent.pop_front();
        }
    }

    /// Checks signatures apart from the lock.
    fn authority(&self) -> Authority {
        self.read().0.authority()
    }
}

/// The chain, to be owned by one task.
#[derive(Debug)]
pub struct Chain {
    ledger: Ledger,
    store: Store,
    index: Index,
    node: NodeId,
    account: AccountId,
    /// The block that must be in the chain, if the home knows of one.
    checkpoint: Option<Checkpoint>,
    feeds: Arc<Feeds>,
    /// The next [`BlockInput`] must be whole: the engine has seen none yet.
    fresh: bool,
}

impl Chain {
    /// Opens the chain where it was left: the newest kept state, and the blocks after it. The index is told
    /// of those that it does not have.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn open(
        store: Store,
        index: Index,
        genesis: &Genesis,
        node: NodeId,
        account: AccountId,
    ) -> Result<Self, ChainError> {
        let (kept, blocks) = store.chain().await?;
        let mut state = match kept {
            Some(state) => state,
            None => State::genesis(genesis)?,
        };
        let (from, count) = (
            state.head().height,
            u64::try_from(blocks.len()).unwrap_or(0),
        );
        let indexed = index.begin(from, from.saturating_add(count)).await?;
        for Certified { block, .. } in blocks {
            let block = verify::block(&state.authority(), block)?;
            let fed = Fed::apply(&mut state, block)?;
            if state.head().height > indexed {
                index.feed(fed).await?;
            }
        }
        let tallies = store.tallies().await?;
        let ledger = Ledger::new(state, tallies);
        Ok(Self {
            ledger,
            store,
            index,
            node,
            account,
            checkpoint: None,
            feeds: Arc::default(),
            fresh: true,
        })
    }

    /// Demands that a block be in the chain: what is here, and all that is taken from now on.
    ///
    /// # Errors
    /// [`ChainError::Checkpoint`] if another one is here at its height.
    pub async fn require(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), ChainError> {
        self.checkpoint = checkpoint;
        let Some(checkpoint) = checkpoint else {
            return Ok(());
        };
        match self.store.certified(checkpoint.height).await? {
            Some(held) => self.agrees(&held.block),
            None => Ok(()),
        }
    }

    fn agrees(&self, block: &Block) -> Result<(), ChainError> {
        let point = self.checkpoint;
        let point = point.filter(|point| point.height == block.header.height);
        match point {
            Some(point) if point.block != block.hash() => Err(ChainError::Checkpoint(point)),
            Some(_) | None => Ok(()),
        }
    }

    /// Has these told of each block from now on.
    pub fn tell(&mut self, feeds: Arc<Feeds>) {
        self.feeds = feeds;
    }

    /// The state, for readers.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// The newest block's height.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.ledger.read().0.head().height
    }

    /// What the engine is told at the start: the chain as it stands, if there is a block.
    pub fn standing(&mut self) -> Option<BlockInput> {
        let guard = self.ledger.read();
        if guard.0.head().height == 0 {
            return None;
        }
        let input = BlockInput::of(&guard.0, (&self.node, &self.account), &[], &[], true);
        drop(guard);
        self.fresh = false;
        Some(input)
    }

    /// Checks a peer's block, applies it, makes it durable.
    ///
    /// # Errors
    /// [`ChainError`]; then nothing has changed.
    ///
    /// # Panics
    /// Never: verification does not panic.
    pub async fn take(&mut self, certified: Certified) -> Result<BlockInput, ChainError> {
        self.agrees(&certified.block)?;
        let authority = self.ledger.authority();
        let certificate = certified.certificate.clone();
        let block = tokio::task::spawn_blocking(move || verify::certified(&authority, certified))
            .await
            .expect("verification does not panic")?;
        self.apply(&block, certificate).await
    }

    /// Applies a checked block and makes it durable with its certificate.
    ///
    /// # Errors
    /// [`ChainError`]; then nothing has changed.
    pub async fn apply(
        &mut self,
        block: &Verified<Block>,
        certificate: Vec<u8>,
    ) -> Result<BlockInput, ChainError> {
        let (before, mut tallies) = self.ledger.read().clone();
        let mut next = before.clone();
        let events: Arc<[Event]> = next.apply(block)?.into();
        crate::own::log(&events, &self.node);
        let changed = count(&mut tallies, &events);
        let began = events.iter().any(|e| matches!(e, Event::EpochBegan { .. }));
        let body = block.get();
        let aftermath = Aftermath {
            audits: crate::own::audits(&events, &self.node),
            charges: crate::own::charges(&events, &self.node),
            validators: (body.header.next_validators != body.header.validators)
                .then_some(&**next.validators()),
            tallies: changed.iter().map(|node| (*node, tallies[node])).collect(),
        };
        let certified = Certified {
            block: body.clone(),
            certificate,
        };
        self.store.append(&certified, &aftermath).await?;
        let txs: Vec<TxId> = block.stamps().iter().map(|stamp| stamp.id).collect();
        let who = (&self.node, &self.account);
        let input = BlockInput::of(&next, who, &txs, &events, self.fresh);
        self.fresh = false;
        self.ledger.advance(next.clone(), tallies);
        crate::telling::block(&self.feeds, &certified.block);
        let fed = Fed {
            before,
            after: next.clone(),
            block: certified.block,
            stamps: block.stamps().clone(),
            events,
        };
        self.index.feed(fed).await?;
        if began {
            // A start replays no block up to the state that is kept: the index must have them.
            self.index.reached(next.head().height).await?;
            self.store.keep(&next).await?;
        }
        Ok(input)
    }
}

/// Counts verdicts; gives the providers whose tally changed.
fn count(tallies: &mut Tallies, events: &[Event]) -> BTreeSet<NodeId> {
    let mut changed = BTreeSet::new();
    for event in events {
        if let Event::Paid {
            provider,
            epoch,
            pay,
            ..
        } = event
        {
            let tally = tallies.entry(*provider).or_default();
            tally.passed += 1;
            tally.last_passed = Some(*epoch);
            tally.earned = tally.earned.checked_add(*pay).unwrap_or(tally.earned);
            changed.insert(*provider);
        } else if let Event::Unpaid { provider, .. } = event {
            tallies.entry(*provider).or_default().missed += 1;
            changed.insert(*provider);
        }
    }
    changed
}

#[cfg(test)]
#[path = "chain/tests.rs"]
mod tests;
