//! The validator's keys and what they do: reveal beacons and sign blocks. It decides nothing
//! beyond [`crate::propose`]. `docs/protocol.md` §3.8.

use crate::mempool::Mempool;
use crate::proofs_pool::ProofsPool;
use crate::propose::propose;
use crate::{Block, State, Verified};
use larder_keys::Signer;
use larder_proofs::Single;
use larder_proofs::bls::SecretKey;
use larder_types::Time;
use std::fmt;

/// A validator's signing half.
#[derive(Clone)]
pub struct Proposer {
    node: Signer,
    bls: SecretKey,
}

/// The keys are not those of the network's validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these keys are not those of the network's validator")]
pub struct NotTheValidator;

impl Proposer {
    /// The proposer of `state`'s network.
    ///
    /// # Errors
    /// [`NotTheValidator`] if the genesis names other keys.
    pub fn new(node: Signer, bls: SecretKey, state: &State) -> Result<Self, NotTheValidator> {
        let authority = state.authority();
        if node.node() != authority.validator || bls.public().to_bytes() != authority.bls {
            return Err(NotTheValidator);
        }
        Ok(Self { node, bls })
    }

    /// Makes and signs the block after `state`'s head at `now`, if one can be made.
    #[must_use]
    pub fn make(
        &self,
        state: &State,
        mempool: &Mempool,
        pool: &ProofsPool,
        now: Time,
    ) -> Option<Verified<Block>> {
        let genesis = state.genesis_hash();
        let reveal = state
            .slot_to_open(now)
            .map(|slot| Single::next(state.beacon(), &genesis, slot, &self.bls).1);
        let mut block = propose(state, mempool, pool, reveal, now)?;
        block.sig = block.header.sign(&self.node, &genesis);
        Some(Verified::own(block))
    }
}

impl fmt::Debug for Proposer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proposer(secret)")
    }
}
