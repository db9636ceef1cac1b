//! What a block did, for those whom it concerns: engines, wallets, logs. Events follow from block
//! and state alone. `docs/protocol.md` §3.3–3.6.

use crate::approval::Change;
use crate::validator::Parting;
use crate::{Reason, Skip};
use larder_types::{AccountId, Amount, ContractId, Epoch, NodeId, SlotNo, SubKeyId, TxId};
use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A slot began; its challenges follow from this beacon.
    SlotOpened {
        /// The slot.
        slot: SlotNo,
        /// Its beacon.
        #[serde(with = "serde_bytes")]
        beacon: [u8; 32],
    },
    /// An epoch began: pending operations have acted, new roots are active.
    EpochBegan {
        /// The epoch.
        epoch: Epoch,
    },
    /// The faucet granted.
    Granted {
        /// To whom.
        account: AccountId,
        /// How much.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// Credit moved.
    Transferred {
        /// Who paid.
        from: AccountId,
        /// Who received.
        to: AccountId,
        /// How much.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// An account has authorised a sub-key.
    Delegated {
        /// Whose.
        account: AccountId,
        /// Which.
        subkey: SubKeyId,
        /// By which transaction.
        tx: TxId,
    },
    /// An account has taken a sub-key's authority away.
    Revoked {
        /// Whose.
        account: AccountId,
        /// Which.
        subkey: SubKeyId,
        /// By which transaction.
        tx: TxId,
    },
    /// How far one account vouches for another.
    Vouched {
        /// Who is liable.
        guarantor: AccountId,
        /// For whom.
        member: AccountId,
        /// How far from now on.
        limit: Amount,
        /// What the member owed beyond its new limit, and its guarantor paid.
        paid: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// An account has left.
    AccountLeft {
        /// Which.
        account: AccountId,
        /// Who has what it had.
        to: AccountId,
        /// That, with what was set aside.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// A provider has its record.
    Registered {
        /// Which.
        provider: NodeId,
        /// Its index, which its proofs carry.
        index: u32,
        /// Where its pay goes.
        account: AccountId,
        /// Its first deposit.
        collateral: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// A provider's free collateral grew.
    Deposited {
        /// Whose.
        provider: NodeId,
        /// Who paid.
        from: AccountId,
        /// How much.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// An operation waits for the end of the epoch.
    Pending {
        /// Whose tree.
        provider: NodeId,
        /// Which contract.
        contract: ContractId,
        /// The revision put; `None` for a close or a declared loss.
        revision: Option<u64>,
    },
    /// A contract became active.
    Opened {
        /// Who stores.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// Its place in the provider's tree.
        index: u32,
        /// Paid into escrow.
        escrow: Amount,
    },
    /// A contract's content changed; its money did not.
    Revised {
        /// Who stores.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// The revision that is now active.
        revision: u64,
    },
    /// A contract's money changed: settled and opened anew in its place.
    Extended {
        /// Who stores.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// The revision that is now active.
        revision: u64,
        /// Returned to the renter for the old terms.
        refund: Amount,
        /// Paid into escrow for the new ones.
        escrow: Amount,
    },
    /// A contract ended.
    Closed {
        /// Who stored.
        provider: NodeId,
        /// Who paid.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// Returned to the renter: unpaid and unused epochs, collateral lost, deposit left.
        refund: Amount,
        /// Collateral freed for the provider.
        freed: Amount,
        /// Why it ended.
        why: Ended,
    },
    /// A strike: a missed epoch or a false proof cost collateral. `docs/protocol.md` §3.6.
    Charged {
        /// Whose.
        provider: NodeId,
        /// For which epoch.
        epoch: Epoch,
        /// The how manieth miss in the trailing 30 epochs; 0: a false proof.
        miss: u32,
        /// What was taken; nothing for a first miss.
        amount: Amount,
    },
    /// A false proof cost its signer the pay that had not vested; it is burned.
    Forfeited {
        /// Whose.
        provider: NodeId,
        /// For which epoch.
        epoch: Epoch,
        /// How much.
        amount: Amount,
    },
    /// A provider is FAULTED from this epoch on.
    Faulted {
        /// Which.
        provider: NodeId,
        /// Since when.
        epoch: Epoch,
    },
    /// A contract moved to another provider.
    HandedOver {
        /// Who stored.
        from: NodeId,
        /// Who stores.
        to: NodeId,
        /// Who pays.
        renter: AccountId,
        /// The contract that closed.
        contract: ContractId,
        /// The one that opened.
        successor: ContractId,
        /// Returned to the renter for the old terms.
        refund: Amount,
        /// Paid into escrow for the new ones.
        escrow: Amount,
    },
    /// A renter has the ledger ask for one contract.
    Targeted {
        /// Who is asked.
        provider: NodeId,
        /// For which contract.
        contract: ContractId,
        /// In which epoch.
        epoch: Epoch,
        /// How many draws.
        draws: u8,
        /// By which transaction.
        tx: TxId,
    },
    /// A contract is faulted by itself from this epoch on: its renter may close it as such.
    ContractFaulted {
        /// Who was asked.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// For which contract.
        contract: ContractId,
        /// Since when.
        epoch: Epoch,
        /// What was wrong with the answer.
        why: Reason,
    },
    /// A renter ends a contract after the network's notice.
    NoticeGiven {
        /// Who stores.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// The epoch that it will not see.
        epoch: Epoch,
    },
    /// A storm: the miss counts, its charge does not fall.
    Spared {
        /// Who.
        provider: NodeId,
        /// For which epoch.
        epoch: Epoch,
        /// The how manieth miss in the trailing 30 epochs.
        miss: u32,
    },
    /// A provider will be away: unpaid, not struck.
    MaintenanceAnnounced {
        /// Who.
        provider: NodeId,
        /// The first epoch away.
        first: Epoch,
        /// How many.
        epochs: u32,
        /// By which transaction.
        tx: TxId,
    },
    /// A provider declared shards lost; they are no longer in its tree, nor paid.
    LossDeclared {
        /// Who stored.
        provider: NodeId,
        /// Who pays.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// The revision that is now active.
        revision: u64,
        /// The places that are empty now.
        indices: Vec<u32>,
        /// To the renter: escrow for unpaid epochs and for what is not stored any more, collateral
        /// that was charged before, and half of what the lost share had left.
        refund: Amount,
    },
    /// An operation had no effect.
    Skipped {
        /// Whose tree.
        provider: NodeId,
        /// Which contract.
        contract: ContractId,
        /// Why.
        why: Skip,
    },
    /// A proven epoch was paid for.
    Paid {
        /// Who earned.
        provider: NodeId,
        /// For which epoch.
        epoch: Epoch,
        /// Gross: what left escrow.
        pay: Amount,
        /// What of it is fee.
        fee: Amount,
    },
    /// A reader's voucher was settled.
    EgressPaid {
        /// Who served.
        provider: NodeId,
        /// Whose contract paid.
        renter: AccountId,
        /// Which contract.
        contract: ContractId,
        /// Gross: what left escrow.
        amount: Amount,
        /// What of it is fee.
        fee: Amount,
    },
    /// An epoch was not paid for.
    Unpaid {
        /// Who went without.
        provider: NodeId,
        /// From which epoch on.
        epoch: Epoch,
        /// For how many epochs; more than one where no block was made for longer.
        epochs: u32,
        /// What stayed in escrow in each of them.
        withheld: Amount,
        /// Why.
        why: Unpaid,
    },
    /// Pay became collateral of a provider that is on trial.
    Backed {
        /// Whose.
        provider: NodeId,
        /// How much.
        amount: Amount,
    },
    /// Earlier pay became the provider's own.
    Vested {
        /// Whose.
        provider: NodeId,
        /// Where it went.
        account: AccountId,
        /// How much.
        amount: Amount,
    },
    /// A provider's free collateral went back to its account.
    Withdrawn {
        /// Whose.
        provider: NodeId,
        /// Where it went.
        account: AccountId,
        /// How much.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// A node would validate.
    CandidacyBegan {
        /// Which.
        node: NodeId,
        /// Who answers for it.
        account: AccountId,
        /// With what.
        bond: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// A validator is for a change of who validates.
    ChangeApproved {
        /// Which change.
        change: Change,
        /// Who.
        by: NodeId,
        /// By which transaction.
        tx: TxId,
    },
    /// A node validates from the next height on.
    ValidatorJoined {
        /// Which.
        node: NodeId,
    },
    /// A node does not validate from the next height on.
    ValidatorLeft {
        /// Which.
        node: NodeId,
        /// Why.
        why: Parting,
        /// The first epoch in which its bond is free.
        until: Epoch,
    },
    /// A bond went back to its account.
    BondFreed {
        /// Whose it was.
        node: NodeId,
        /// Where it went.
        account: AccountId,
        /// How much.
        amount: Amount,
    },
    /// A validator's turn passed without a block that became final.
    ProposalMissed {
        /// Whose.
        node: NodeId,
        /// The round of consensus.
        round: u32,
    },
    /// A validator signed votes that contradict each other, and lost its bond.
    Equivocated {
        /// Which.
        node: NodeId,
        /// The height that it voted on.
        height: u64,
        /// What of its bond was burned.
        burned: Amount,
        /// What of it went to who showed the votes.
        reward: Amount,
        /// By which transaction.
        tx: TxId,
    },
    /// A validator withheld pay for a proof that it had acknowledged, and paid for it.
    Censored {
        /// The validator.
        node: NodeId,
        /// Who had proved.
        provider: NodeId,
        /// In which slot.
        slot: SlotNo,
        /// What the provider has of the validator's bond.
        amount: Amount,
        /// By which transaction.
        tx: TxId,
    },
}

/// Why a contract ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Its end came.
    Expired,
    /// Its provider is FAULTED, and the renter closed it.
    Fault,
    /// All of its shards were declared lost.
    Lost,
    /// Both sides agreed.
    Mutual,
    /// Its renter gave notice.
    Notice,
}

/// Why an epoch was not paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpaid {
    /// The verdict was not Pass, and why.
    Verdict(Reason),
    /// It passed, but holds a contract that has ended: `CloseExpired` is owed.
    Expired,
    /// No verdict was given.
    NoVerdict,
}
