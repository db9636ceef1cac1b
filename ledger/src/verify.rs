//! The checks that cost time, apart from the state: signatures and beacon reveals. What passes is
//! a [`Verified`] value, the only thing that `apply` and the mempool take.

use crate::{Block, Tx};
use larder_proofs::bls::PublicKey;
use larder_proofs::{Reveal, Single};
use larder_types::{GenesisHash, NodeId, SlotNo};

/// A value whose signatures are good. Only this module makes one, or the proposer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// For the crate's own proposer, which signed it itself.
    pub(crate) const fn own(value: T) -> Self {
        Self(value)
    }

    /// The value.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value, by itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// Who may make blocks, and for which network: what checking a block takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority {
    /// The network.
    pub genesis: GenesisHash,
    /// The validator's node key.
    pub validator: NodeId,
    /// The validator's BLS key.
    pub bls: [u8; 48],
}

/// Why a value is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The block is not signed by the validator.
    #[error("the block's signature is bad")]
    Block,
    /// The reveal is not the validator's for this slot.
    #[error("the beacon reveal is bad")]
    Beacon,
    /// A slot without a reveal, or the reverse.
    #[error("a block that opens a slot reveals its beacon, and no other does")]
    Slot,
    /// A signature in transaction `0` of a block, counted from 0, or of the one at hand.
    #[error("a signature in transaction {0} is bad")]
    Tx(usize),
}

/// Checks every signature in a transaction.
///
/// # Errors
/// [`VerifyError::Tx`].
pub fn tx(genesis: &GenesisHash, tx: Tx) -> Result<Verified<Tx>, VerifyError> {
    if !tx.is_signed(genesis) {
        return Err(VerifyError::Tx(0));
    }
    Ok(Verified(tx))
}

/// Checks a block's signature, its reveal and every signature in its transactions.
///
/// # Errors
/// [`VerifyError`] names the first bad one.
pub fn block(authority: &Authority, block: Block) -> Result<Verified<Block>, VerifyError> {
    let Authority {
        genesis,
        validator,
        bls,
    } = authority;
    if !block.header.verify(&block.sig, validator, genesis) {
        return Err(VerifyError::Block);
    }
    match (block.header.slot, &block.header.beacon) {
        (Some(slot), Some(reveal)) => check_reveal(genesis, bls, slot, reveal)?,
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => return Err(VerifyError::Slot),
    }
    match block.txs.iter().position(|tx| !tx.is_signed(genesis)) {
        Some(bad) => Err(VerifyError::Tx(bad)),
        None => Ok(Verified(block)),
    }
}

fn check_reveal(
    genesis: &GenesisHash,
    bls: &[u8; 48],
    slot: SlotNo,
    reveal: &Reveal,
) -> Result<(), VerifyError> {
    let key = PublicKey::from_bytes(bls).map_err(|_| VerifyError::Beacon)?;
    // The reveal is good or bad whatever beacon came before; `apply` mixes it into that one.
    Single::check(&[0; 32], genesis, slot, &key, reveal)
        .map(drop)
        .ok_or(VerifyError::Beacon)
}
