//! A validator's keys and what they do: reveal beacons, sign blocks and vote for them. It decides nothing
//! beyond [`crate::propose`]. `docs/protocol.md` §3.8.

use crate::mempool::Mempool;
use crate::proofs_pool::ProofsPool;
use crate::propose::{Proposal, propose};
use crate::{Block, Header, State, Verified};
use larder_keys::Signer;
use larder_proofs::bls::{SecretKey, Signature};
use larder_proofs::{Certificate, Final, Single, ValidatorSet};
use larder_types::{GenesisHash, NodeId, Time};
use std::fmt;

/// A validator's signing half.
#[derive(Clone)]
pub struct Proposer {
    node: Signer,
    bls: SecretKey,
}

/// The keys are not those of a validator of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these keys are not those of a validator of the network")]
pub struct NotTheValidator;

impl Proposer {
    /// A validator of `state`'s network.
    ///
    /// # Errors
    /// [`NotTheValidator`] if these are no validator's keys now.
    pub fn new(node: Signer, bls: SecretKey, state: &State) -> Result<Self, NotTheValidator> {
        let proposer = Self::candidate(node, bls);
        if !proposer.is_in(state.validators()) {
            return Err(NotTheValidator);
        }
        Ok(proposer)
    }

    /// The holder of these keys, which may be a validator's one day.
    #[must_use]
    pub const fn candidate(node: Signer, bls: SecretKey) -> Self {
        Self { node, bls }
    }

    /// Who it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node.node()
    }

    /// Whether it is one of these validators, by both of its keys.
    #[must_use]
    pub fn is_in(&self, set: &ValidatorSet) -> bool {
        let member = set.get(&self.node());
        member.is_some_and(|member| member.bls == self.bls.public())
    }

    /// Its vote that makes a block final.
    #[must_use]
    pub fn vote(&self, of: &Final, genesis: &GenesisHash) -> Signature {
        of.vote(&self.bls, genesis)
    }

    /// The certificate of a block whose validator it alone is.
    ///
    /// # Panics
    /// If it is not in the set.
    #[must_use]
    pub fn certify(
        &self,
        header: &Header,
        set: &ValidatorSet,
        genesis: &GenesisHash,
    ) -> Certificate {
        let of = Final {
            height: header.height,
            round: header.round,
            block: header.hash(),
        };
        let place = set.place(&self.node()).expect("it is in the set");
        Certificate::sum(of, &[(place, self.vote(&of, genesis))], set)
    }

    /// Makes and signs the block after `state`'s head at `now`, for a round of consensus, if it is its
    /// turn and one can be made.
    #[must_use]
    pub fn make(
        &self,
        state: &State,
        mempool: &Mempool,
        pool: &ProofsPool,
        round: u32,
        now: Time,
    ) -> Option<Verified<Block>> {
        let made = self.make_next(state, mempool, pool, round, now);
        made.map(|(block, _)| block)
    }

    /// The same, with the state after the block: it need not be applied once more.
    #[must_use]
    pub fn make_next(
        &self,
        state: &State,
        mempool: &Mempool,
        pool: &ProofsPool,
        round: u32,
        now: Time,
    ) -> Option<(Verified<Block>, State)> {
        if state.proposer(round) != self.node() {
            return None;
        }
        let genesis = state.genesis_hash();
        let reveal = state
            .slot_to_open(now)
            .map(|slot| Single::next(state.beacon(), &genesis, slot, &self.bls).1);
        let Proposal {
            mut block,
            stamps,
            mut next,
        } = propose(state, mempool, pool, (round, reveal), now)?;
        block.sig = block.header.sign(&self.node, &genesis);
        next.head.hash = block.hash();
        Some((Verified::own(block, stamps), next))
    }
}

impl fmt::Debug for Proposer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proposer(secret)")
    }
}
