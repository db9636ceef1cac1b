//! Why one side of a contract refuses what the other proposes. Each refusal has a fixed number on
//! the wire; numbers are never reused. `docs/protocol.md` §3.10.

use larder_types::{Amount, Epoch, Millis};
use serde::{Deserialize, Serialize};

/// A proposal or revision that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The contract would start at the wrong epoch.
    #[error("starts at epoch {start}, possible are {earliest} and {latest}")]
    Start {
        /// What was proposed.
        start: Epoch,
        /// The next epoch.
        earliest: Epoch,
        /// The one after it.
        latest: Epoch,
    },
    /// The end is no multiple of seven.
    #[error("ends at epoch {end}, which is no multiple of 7")]
    End {
        /// What was proposed.
        end: Epoch,
    },
    /// The term lies outside what the provider offers or the network allows.
    #[error("a term of {term} epochs, possible are {min} to {max}")]
    Term {
        /// What was proposed.
        term: u32,
        /// Shortest.
        min: u32,
        /// Longest.
        max: u32,
    },
    /// The rate is below the price of the offer.
    #[error("a rate of {rate} per epoch, the offer asks for {needed}")]
    Rate {
        /// What was proposed.
        rate: Amount,
        /// What `rate(price, capacity)` gives.
        needed: Amount,
    },
    /// The collateral is less than the network demands.
    #[error("collateral of {collateral}, the network demands {needed}")]
    CollateralLow {
        /// What was proposed.
        collateral: Amount,
        /// The least.
        needed: Amount,
    },
    /// The collateral is more than the offer promises.
    #[error("collateral of {collateral}, the offer promises at most {most}")]
    CollateralHigh {
        /// What was proposed.
        collateral: Amount,
        /// The most.
        most: Amount,
    },
    /// The provider has not enough free collateral.
    #[error("collateral of {needed} needed, {have} free")]
    CollateralFree {
        /// What the contract locks.
        needed: Amount,
        /// What is free.
        have: Amount,
    },
    /// The provider has not enough free quota.
    #[error("capacity of {needed} chunks, {have} free")]
    Quota {
        /// Chunks proposed.
        needed: u64,
        /// Chunks free.
        have: u64,
    },
    /// The capacity is below the network's least.
    #[error("capacity of {capacity} chunks, the least is {least}")]
    CapacityLow {
        /// Chunks proposed.
        capacity: u64,
        /// Chunks demanded.
        least: u64,
    },
    /// The renter cannot pay.
    #[error("costs {needed}, the renter has {have}")]
    Balance {
        /// Rate × term + egress deposit.
        needed: Amount,
        /// The renter's balance.
        have: Amount,
    },
    /// An amount does not fit.
    #[error("an amount is out of range")]
    Overflow,
    /// The contract has run out, or does so before the extension would begin.
    #[error("the contract ends at epoch {end}")]
    Ended {
        /// Its end.
        end: Epoch,
    },
    /// An extension that buys less than is there.
    #[error("capacity of {capacity} chunks, {bought} are bought already")]
    Shrinks {
        /// Chunks proposed.
        capacity: u64,
        /// Chunks bought.
        bought: u64,
    },
    /// A shard's length is 0 or no multiple of 16 chunks.
    #[error("a shard of {chunks} chunks: it must be a positive multiple of 16")]
    ShardLength {
        /// Its chunks.
        chunks: u64,
    },
    /// The shards do not fit what is bought.
    #[error("{needed} chunks would be used, {capacity} are bought")]
    Full {
        /// Chunks after the revision.
        needed: u64,
        /// Chunks bought.
        capacity: u64,
    },
    /// The shard is in the contract already.
    #[error("the contract holds this shard already")]
    Duplicate,
    /// The tree at hand is not the one the leaf commits to.
    #[error("the content tree is not the leaf's")]
    WrongContent,
    /// The tree is as deep as it may be.
    #[error("the content tree is full")]
    TooDeep,
    /// A signature is bad.
    #[error("a signature is bad")]
    Signature,
    /// Another revision than the one that both sides would compute.
    #[error("not the revision that the operations give")]
    WrongRevision,
    /// The provider does not know this contract.
    #[error("no such contract")]
    UnknownContract,
    /// The provider takes no new contracts or shards now.
    #[error("the provider takes nothing new now")]
    Closed,
    /// The provider's disk is full or failing.
    #[error("the provider cannot store it now")]
    Storage,
    /// The contract's id is not that of its parties and nonce.
    #[error("the contract's id does not follow from its parties")]
    Identity,
    /// A place to be cleared that holds no shard.
    #[error("there is no shard in place {index}")]
    NoShard {
        /// The place.
        index: u32,
    },
    /// A proof takes the provider so long that one for more might come too late.
    #[error("a proof takes {expected} there, at most {most} are safe")]
    Slow {
        /// What the next proof is expected to take.
        expected: Millis,
        /// The most that leaves time to send it and to try again.
        most: Millis,
    },
}

impl Refusal {
    /// The number on the wire and in logs.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::Start { .. } => 1,
            Self::End { .. } => 2,
            Self::Term { .. } => 3,
            Self::Rate { .. } => 4,
            Self::CollateralLow { .. } => 5,
            Self::CollateralHigh { .. } => 6,
            Self::CollateralFree { .. } => 7,
            Self::Quota { .. } => 8,
            Self::CapacityLow { .. } => 9,
            Self::Balance { .. } => 10,
            Self::Overflow => 11,
            Self::Ended { .. } => 12,
            Self::Shrinks { .. } => 13,
            Self::ShardLength { .. } => 14,
            Self::Full { .. } => 15,
            Self::Duplicate => 16,
            Self::WrongContent => 17,
            Self::TooDeep => 18,
            Self::Signature => 19,
            Self::WrongRevision => 20,
            Self::UnknownContract => 21,
            Self::Closed => 22,
            Self::Storage => 23,
            Self::Identity => 24,
            Self::NoShard { .. } => 25,
            Self::Slow { .. } => 26,
        }
    }
}
