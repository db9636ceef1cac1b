//! The checks that cost time, apart from the state: signatures and beacon reveals. What passes is
//! a [`Verified`] value, the only thing that `apply` and the mempool take.

use crate::tx::Signed;
use crate::{Block, Certified, Stamp, Tx};
use larder_keys::{Claim, verify_all};
use larder_proofs::bls::PublicKey;
use larder_proofs::{Certificate, CertificateError, Header, Reveal, Single, ValidatorSet};
use larder_types::{GenesisHash, SlotNo, TxId};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What is signed, and the stamps of the transactions in it.
pub trait Stamped {
    /// One, or one for each.
    type Stamps: fmt::Debug + Clone + PartialEq + Eq;

    /// Computes them.
    fn stamps(&self) -> Self::Stamps;
}

impl Stamped for Tx {
    type Stamps = Stamp;

    fn stamps(&self) -> Stamp {
        self.stamp()
    }
}

impl Stamped for Block {
    type Stamps = Vec<Stamp>;

    fn stamps(&self) -> Vec<Stamp> {
        self.txs.iter().map(Tx::stamp).collect()
    }
}

/// A value whose signatures are good. Only this module makes one, or the proposer of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T: Stamped> {
    value: T,
    stamps: T::Stamps,
}

impl<T: Stamped> Verified<T> {
    /// For the crate's own proposer, which signed it itself.
    pub(crate) const fn own(value: T, stamps: T::Stamps) -> Self {
        Self { value, stamps }
    }

    /// The value.
    #[must_use]
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// The stamp of a transaction, or those of a block's, in order.
    #[must_use]
    pub const fn stamps(&self) -> &T::Stamps {
        &self.stamps
    }

    /// The value, by itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

/// Who may make a block, and for which network: what checking it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The network.
    pub genesis: GenesisHash,
    /// The validators of that block.
    pub validators: Arc<ValidatorSet>,
}

/// Why a value is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The block is not signed by a validator.
    #[error("the block's signature is bad")]
    Block,
    /// Its certificate does not make it final.
    #[error("the block's certificate is bad: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate is another block's.
    #[error("the certificate is another block's")]
    OtherBlock,
    /// The reveal is not the proposer's for this slot.
    #[error("the beacon reveal is bad")]
    Beacon,
    /// A slot without a reveal, or the reverse.
    #[error("a block that opens a slot reveals its beacon, and no other does")]
    Slot,
    /// The body is not the one that the header covers.
    #[error("the body is not the one that the block's header covers")]
    Body,
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
    let stamps = tx.stamp();
    Ok(Verified { value: tx, stamps })
}

/// Checks every signature in many transactions: faster than each by itself, with the same verdicts, in
/// order. `secret` is random and known to nobody who sent any of them ([`verify_all`]).
///
/// # Errors
/// [`VerifyError::Tx`] of those that are bad.
#[must_use]
pub fn txs(
    genesis: &GenesisHash,
    txs: Vec<Tx>,
    secret: &[u8; 32],
) -> Vec<Result<Verified<Tx>, VerifyError>> {
    let signed: Vec<Signed> = txs.iter().map(|tx| tx.signed(genesis)).collect();
    let claims = signed.iter().filter_map(|signed| match signed {
        Signed::Once(claim) => Some(*claim),
        Signed::Checked(_) => None,
    });
    let claims: Vec<Claim> = claims.collect();
    let mut verdicts = verify_all(&claims, secret).into_iter();
    let verified = txs.into_iter().zip(signed).map(|(tx, signed)| {
        let is_good = match signed {
            Signed::Once(_) => verdicts.next().unwrap_or_default(),
            Signed::Checked(is_good) => is_good,
        };
        let stamps = tx.stamp();
        match is_good {
            true => Ok(Verified { value: tx, stamps }),
            false => Err(VerifyError::Tx(0)),
        }
    });
    verified.collect()
}

/// Checks a final block: its certificate, and what [`block`] checks.
///
/// # Errors
/// [`VerifyError`] names the first thing that is bad.
pub fn certified(
    authority: &Authority,
    certified: Certified,
) -> Result<Verified<Block>, VerifyError> {
    let Certified {
        block: final_block,
        certificate,
    } = certified;
    self::certificate(authority, &final_block.header, &certificate)?;
    block(authority, final_block)
}

/// Checks that a certificate makes the block of this header final.
///
/// # Errors
/// [`VerifyError`] says why it does not.
pub fn certificate(
    authority: &Authority,
    header: &Header,
    certificate: &[u8],
) -> Result<Certificate, VerifyError> {
    let certificate = Certificate::from_bytes(certificate, &authority.validators)?;
    if (certificate.of.height, certificate.of.block) != (header.height, header.hash()) {
        return Err(VerifyError::OtherBlock);
    }
    certificate.verify(&authority.validators, &authority.genesis)?;
    Ok(certificate)
}

/// Checks a block's signature, its reveal and every signature in its transactions; not whether it is
/// final.
///
/// # Errors
/// [`VerifyError`] names the first bad one.
pub fn block(authority: &Authority, block: Block) -> Result<Verified<Block>, VerifyError> {
    let stamps = block.stamps();
    signatures(authority, block, stamps, &BTreeSet::new())
}

/// Checks what [`fn@block`] checks, apart from the signatures of transactions that were checked
/// before: `known` are ids of [`Verified`] ones. An id covers the signatures. The body must be the one
/// that the header covers: whoever sent another one with it is not the proposer.
///
/// # Errors
/// [`VerifyError`] names the first bad thing.
pub fn proposed(
    authority: &Authority,
    block: Block,
    known: &BTreeSet<TxId>,
) -> Result<Verified<Block>, VerifyError> {
    let stamps = block.stamps();
    if !block.is_whole(&stamps) {
        return Err(VerifyError::Body);
    }
    signatures(authority, block, stamps, known)
}

fn signatures(
    authority: &Authority,
    block: Block,
    stamps: Vec<Stamp>,
    known: &BTreeSet<TxId>,
) -> Result<Verified<Block>, VerifyError> {
    let genesis = &authority.genesis;
    let proposer = authority.validators.get(&block.header.proposer);
    let proposer = proposer.ok_or(VerifyError::Block)?;
    if !block.header.verify(&block.sig, genesis) {
        return Err(VerifyError::Block);
    }
    match (block.header.slot, &block.header.beacon) {
        (Some(slot), Some(reveal)) => check_reveal(genesis, &proposer.bls, slot, reveal)?,
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => return Err(VerifyError::Slot),
    }
    let is_good = |(tx, stamp): (&Tx, &Stamp)| known.contains(&stamp.id) || tx.is_signed(genesis);
    match block.txs.iter().zip(&stamps).position(|tx| !is_good(tx)) {
        Some(bad) => Err(VerifyError::Tx(bad)),
        None => Ok(Verified {
            value: block,
            stamps,
        }),
    }
}

fn check_reveal(
    genesis: &GenesisHash,
    key: &PublicKey,
    slot: SlotNo,
    reveal: &Reveal,
) -> Result<(), VerifyError> {
    // The reveal is good or bad whatever beacon came before; `apply` mixes it into that one.
    Single::check(&[0; 32], genesis, slot, key, reveal)
        .map(drop)
        .ok_or(VerifyError::Beacon)
}
