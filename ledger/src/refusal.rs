//! Why a transaction cannot be included: one variant for each rule, with a number that stays.
//! `docs/protocol.md` §3.1, §3.3, §3.12.

use crate::approval::MAX_APPROVALS;
use crate::candidacy::MAX_CANDIDATES;
use crate::check::MAX_PENDING;
use crate::maintenance::LONGEST;
use crate::subkey::MAX_SUB_KEYS;
use crate::targeted::MOST_DRAWS;
use crate::tx::{MAX_LOST, MAX_OPS};
use crate::vouch::MAX_GUARANTORS;
use crate::{NonceError, SubKeyError};
use larder_proofs::ClearError;
use larder_proofs::validators::MAX_VALIDATORS;
use larder_types::{Amount, Epoch, Time};

/// Why a transaction cannot be included.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxRefusal {
    /// This network has no faucet.
    #[error("this network has no faucet")]
    NoFaucet,
    /// The account has had its grant.
    #[error("the account has had its grant")]
    Granted,
    /// The payer has too little.
    #[error("{needed} needed, {have} there")]
    Balance {
        /// What it takes.
        needed: Amount,
        /// What there is.
        have: Amount,
    },
    /// An amount of nothing moves nothing.
    #[error("the amount is zero")]
    Nothing,
    /// The nonce is spent or far off.
    #[error(transparent)]
    Nonce(#[from] NonceError),
    /// Its time has passed.
    #[error("it expired at height {expiry}, the next block is {height}")]
    Expired {
        /// The last height it allows.
        expiry: u64,
        /// The block's.
        height: u64,
    },
    /// Its expiry lies further ahead than the network allows.
    #[error("its expiry at height {expiry} lies beyond {latest}")]
    ExpiryFar {
        /// The last height it allows.
        expiry: u64,
        /// The latest that may be.
        latest: u64,
    },
    /// The provider has a record already.
    #[error("the provider is registered already")]
    Registered,
    /// The provider has no record.
    #[error("the provider is not registered")]
    Unregistered,
    /// The update is meant for another epoch.
    #[error("the update is for epoch {epoch}, the block's is {now}")]
    Epoch {
        /// Its epoch.
        epoch: Epoch,
        /// The block's.
        now: Epoch,
    },
    /// No operation, or more than an update may carry.
    #[error("an update carries 1 to {MAX_OPS} operations")]
    Operations,
    /// Nothing in the update is newer than what is active or pending.
    #[error("nothing in the update is new")]
    Stale,
    /// Too many operations are pending.
    #[error("at most {MAX_PENDING} contracts may have operations pending")]
    Pending,
    /// An amount does not fit.
    #[error("an amount is out of range")]
    Overflow,
    /// The contract is not active.
    #[error("the contract is not active")]
    NoContract,
    /// Another account pays for the contract.
    #[error("the contract is another renter's")]
    NotTheRenter,
    /// The provider is not FAULTED.
    #[error("the provider is not faulted")]
    Sound,
    /// No shard is declared lost, or more than a declaration may carry.
    #[error("a declared loss names 1 to {MAX_LOST} shards")]
    Losses,
    /// The shards declared lost are not in the active tree.
    #[error("the shards declared lost are not in the active tree: {0}")]
    NotHeld(ClearError),
    /// An absence that begins too soon.
    #[error("an absence from epoch {first}, the earliest is {earliest}")]
    Notice {
        /// The first epoch away.
        first: Epoch,
        /// The earliest that may be.
        earliest: Epoch,
    },
    /// An absence of no epochs, or too many.
    #[error("an absence of {epochs} epochs, possible are 1 to {LONGEST}")]
    Absence {
        /// How many.
        epochs: u32,
    },
    /// The provider still has time to post it.
    #[error("it may be forced from epoch {epoch} on")]
    Early {
        /// The first epoch in which it may.
        epoch: Epoch,
    },
    /// A forced revision that does not follow from the active one and the shards shown.
    #[error("the revision is not what the active one and the shards shown make")]
    Forced,
    /// The shards shown do not extend the active tree.
    #[error("the shards shown do not extend the active tree: {0}")]
    Witness(ClearError),
    /// The contract may not move, or not like this.
    #[error("the contract may not move like this")]
    NotTransferable,
    /// No draw, or too many.
    #[error("{draws} draws, possible are 1 to {MOST_DRAWS}")]
    Draws {
        /// How many.
        draws: u8,
    },
    /// Less than the network's fee.
    #[error("a fee of {fee}, the least is {least}")]
    Fee {
        /// What was offered.
        fee: Amount,
        /// What it takes.
        least: Amount,
    },
    /// A voucher of other terms than those that are active.
    #[error("the voucher is for other terms of the contract")]
    Voucher,
    /// A voucher that owes more than what was read costs.
    #[error("the voucher owes {credits}, what was read costs {most}")]
    Dear {
        /// What it owes.
        credits: Amount,
        /// What may be.
        most: Amount,
    },
    /// Accounts do not go below zero here.
    #[error("credit is not mutual in this network: no account may go below zero")]
    NotMutual,
    /// Nobody vouches for himself.
    #[error("an account cannot vouch for itself")]
    Oneself,
    /// The member owes more than others vouch for.
    #[error("the member owes more than it may; that is paid first")]
    Indebted,
    /// As many vouch for the member as may.
    #[error("at most {MAX_GUARANTORS} accounts may vouch for one")]
    Guarantors,
    /// The provider's free collateral does not pay for its transaction.
    #[error("a fee of {needed}, the provider has {have} of free collateral")]
    Postage {
        /// What it takes.
        needed: Amount,
        /// What there is.
        have: Amount,
    },
    /// Too little to make an account.
    #[error("a new account takes at least {least}, which is set aside for it")]
    Existence {
        /// What it takes.
        least: Amount,
    },
    /// Contracts, providers, validators, debts or vouching hold the account.
    #[error(
        "the account has contracts, providers, validators, debts or guarantees ({ties}) and cannot leave"
    )]
    Tied {
        /// How many, debts aside.
        ties: u32,
    },
    /// An absence too soon after the one before.
    #[error("the next absence may begin with epoch {next}")]
    AwayAgain {
        /// The earliest.
        next: Epoch,
    },
    /// The sub-key that signed it may not.
    #[error(transparent)]
    SubKey(#[from] SubKeyError),
    /// The admin key is not the one in the account's record.
    #[error("the admin key is not the account's")]
    Admin,
    /// Verbs that do not exist, or an end before its beginning.
    #[error("the delegation makes no sense")]
    Delegation,
    /// The account has as many sub-keys as it may.
    #[error("an account has at most {MAX_SUB_KEYS} sub-keys")]
    SubKeys,
    /// It was signed in what is still the future.
    #[error("it was signed at {issued:?}, which is far ahead")]
    Ahead {
        /// When.
        issued: Time,
    },
    /// A delegation or revocation that was signed later is in force.
    #[error("a newer delegation or revocation is in force")]
    Superseded,
    /// Nobody has paid the account anything, and the network lets nobody begin with nothing.
    #[error("the ledger does not know the account; somebody must pay it first")]
    NoAccount,
    /// One validator makes the blocks, for good.
    #[error(
        "this network has one validator for good: who validates changes only in a network of several \
         (`consensus: bft` in its genesis)"
    )]
    Solo,
    /// A bond below the network's least.
    #[error("a bond of {bond}, the least is {least}")]
    Bond {
        /// What was offered.
        bond: Amount,
        /// What it takes.
        least: Amount,
    },
    /// The node is a candidate or a validator.
    #[error("the node is a candidate or a validator already")]
    Stands,
    /// The node has left the set, and its bond is still locked.
    #[error("the node's bond is locked; it may stand again from epoch {until} on")]
    Unbonding {
        /// The first epoch in which it may.
        until: Epoch,
    },
    /// The node's key has signed votes that contradict each other.
    #[error("the node's key signed votes that contradict each other; it needs new keys")]
    Banned,
    /// The BLS key is another's, or one that is banned.
    #[error("the BLS key is another's or banned; the node needs one of its own")]
    TwinKey,
    /// Bytes that are no BLS key.
    #[error("the BLS key is none")]
    BadKey,
    /// There are as many candidates as may be.
    #[error("at most {MAX_CANDIDATES} candidates may wait")]
    Candidates,
    /// The node is no validator, or not any more.
    #[error("the node is not a validator")]
    NotAValidator,
    /// The change is not one that could be made: it has acted, or its node came later or went.
    #[error("no such change can be made now: its node does not stand as it says")]
    NoSuchChange,
    /// The validator has approved the change already.
    #[error("the validator has approved it already")]
    Approved,
    /// The validator has as many approvals waiting as it may.
    #[error("at most {MAX_APPROVALS} approvals of one validator may wait; older ones expire")]
    Approvals,
    /// The only validator cannot go.
    #[error("it is the only validator; another must join first")]
    LastValidator,
    /// The set is full.
    #[error("the set has {MAX_VALIDATORS} validators; one must go first")]
    Seats,
    /// The two votes can stand beside each other.
    #[error("the votes do not contradict each other")]
    NoEquivocation,
    /// It has been punished for that.
    #[error("the validator has been punished already")]
    Punished,
    /// The acknowledging validator withheld nothing from the provider in that slot, or has paid.
    #[error("who acknowledged the proof did not withhold its pay, or has paid for it")]
    NotCensored,
    /// Another account has the provider's pay.
    #[error("the provider is paid to another account")]
    NotThePayout,
    /// Free collateral does not suffice.
    #[error("{needed} of free collateral needed, {have} there")]
    Free {
        /// What it takes.
        needed: Amount,
        /// What there is.
        have: Amount,
    },
    /// The provider is on trial: its pay becomes collateral, which stays while it has contracts.
    #[error(
        "the provider is on trial: its collateral stays until that is over or its contracts are"
    )]
    OnTrial,
    /// The same is said by a transaction that waits.
    #[error("a transaction that says the same waits for its block")]
    Waits,
}

impl TxRefusal {
    /// The number in logs and in RPC errors; never reused.
    #[must_use]
    pub const fn code(&self) -> u16 {
        match self {
            Self::NoFaucet => 101,
            Self::Granted => 102,
            Self::Balance { .. } => 103,
            Self::Nothing => 104,
            Self::Nonce(_) => 105,
            Self::Expired { .. } => 106,
            Self::ExpiryFar { .. } => 107,
            Self::Registered => 108,
            Self::Unregistered => 109,
            Self::Epoch { .. } => 110,
            Self::Operations => 111,
            Self::Stale => 112,
            Self::Pending => 113,
            Self::Overflow => 114,
            Self::NoContract => 115,
            Self::NotTheRenter => 116,
            Self::Sound => 117,
            Self::Losses => 118,
            Self::NotHeld(_) => 119,
            Self::Notice { .. } => 140,
            Self::Absence { .. } => 141,
            Self::AwayAgain { .. } => 142,
            Self::Early { .. } => 143,
            Self::Forced => 144,
            Self::Witness(_) => 145,
            Self::Draws { .. } => 146,
            Self::Fee { .. } => 147,
            Self::NotTransferable => 148,
            Self::Voucher => 149,
            Self::Dear { .. } => 150,
            Self::NotMutual => 151,
            Self::Oneself => 152,
            Self::Indebted => 153,
            Self::Guarantors => 154,
            Self::Postage { .. } => 155,
            Self::Existence { .. } => 156,
            Self::Tied { .. } => 157,
            Self::SubKey(SubKeyError::Unauthorised) => 160,
            Self::SubKey(SubKeyError::Verb) => 161,
            Self::SubKey(SubKeyError::Cap { .. }) => 162,
            Self::Admin => 163,
            Self::Delegation => 164,
            Self::SubKeys => 165,
            Self::Ahead { .. } => 166,
            Self::Superseded => 167,
            Self::NoAccount => 168,
            Self::Solo => 170,
            Self::Bond { .. } => 171,
            Self::Stands => 172,
            Self::Unbonding { .. } => 173,
            Self::Banned => 174,
            Self::TwinKey => 175,
            Self::BadKey => 176,
            Self::Candidates => 177,
            Self::NotAValidator => 178,
            Self::NoSuchChange => 179,
            Self::Approved => 180,
            Self::Approvals => 181,
            Self::LastValidator => 182,
            Self::Seats => 183,
            Self::NoEquivocation => 184,
            Self::Punished => 185,
            Self::NotCensored => 186,
            Self::NotThePayout => 187,
            Self::Free { .. } => 188,
            Self::OnTrial => 189,
            Self::Waits => 190,
        }
    }
}
