//! A provider's record and its arithmetic: pay, unpaid epochs, charges and the settlement of a
//! contract, each O(1) whatever the number of contracts. `docs/protocol.md` §3.3, §3.4.

use crate::{Absence, Verdict};
use larder_proofs::{ContractLeaf, ProviderRoot, ProviderTree};
use larder_types::{AccountId, Amount, Epoch, NodeId};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};

/// S at first: no collateral has been charged. Q0.64.
pub const SLASH_ACC_START: u64 = u64::MAX;
/// Below this S is too coarse: no Opens until all leaves are closed, then S starts anew.
pub const SLASH_ACC_LEAST: u64 = 1 << 32;
/// Slots of the vesting ring, epochs.
pub const VEST_SLOTS: usize = 7;
/// Epochs of which each that is clean doubles what a provider may hold, and whose pay becomes the
/// collateral of one that began without.
pub const TRIAL: u32 = 30;
/// The trailing epochs in which misses count.
const MISS_MASK: u32 = (1 << 30) - 1;

/// The tree of every provider that has no contract yet.
static NO_CONTRACTS: LazyLock<Arc<ProviderTree>> = LazyLock::new(Arc::default);

/// What the ledger knows of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its id.
    pub node: NodeId,
    /// Its index, in order of registration.
    pub index: u32,
    /// The account that its pay goes to.
    pub payout: AccountId,
    /// The contracts that are active in this epoch.
    pub active: Arc<ProviderTree>,
    /// What renters paid in and is neither earned nor refunded; egress deposits too.
    pub escrow: Amount,
    /// Collateral of open contracts.
    pub locked: Amount,
    /// Collateral that new contracts can lock.
    pub free: Amount,
    /// Charged collateral that closes have not yet paid to renters.
    pub slashed: Amount,
    /// Pay that has not vested: slot `e mod vesting` holds what epoch e earned.
    pub vest: [Amount; VEST_SLOTS],
    /// S: what is left of one unit of collateral locked since S was 2^64 − 1. Q0.64.
    pub slash_acc: u64,
    /// Epochs that were not paid while contracts were active, ever.
    pub unpaid: u32,
    /// Bit i: whether the epoch i before the last one ended in a miss. 30 bits.
    pub misses: u32,
    /// The verdict of this epoch, once given.
    pub verdict: Option<Verdict>,
    /// Whether this epoch is paid.
    pub paid: bool,
    /// Since which epoch it is FAULTED: its contracts may be closed as fault, it opens none.
    pub faulted: Option<Epoch>,
    /// The newest epoch, of those that have ended, in which it proved.
    pub passed: Option<Epoch>,
    /// The newest absence it announced, past or to come.
    pub maintenance: Option<Absence>,
    /// The newest epoch in which a storm spared it a charge.
    pub spared: Option<Epoch>,
    /// Capacity of all active contracts, chunks.
    pub capacity: u64,
    /// Epochs that it proved since it registered or was FAULTED, without those after which a miss came
    /// before thirty were full.
    pub clean: u32,
    /// Payments that still become collateral, as it began a contract without enough of it.
    pub on_trial: u32,
    /// Bytes of its transactions in this epoch.
    pub sent: u32,
}

/// What a contract's close moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// To the renter: unpaid and unused epochs, what is left of the deposit, collateral lost.
    pub refund: Amount,
    /// Collateral that became free.
    pub freed: Amount,
}

impl Provider {
    /// A record without contracts.
    #[must_use]
    pub fn new(node: NodeId, index: u32, payout: AccountId, free: Amount) -> Self {
        Self {
            node,
            index,
            payout,
            active: Arc::clone(&NO_CONTRACTS),
            escrow: Amount::ZERO,
            locked: Amount::ZERO,
            free,
            slashed: Amount::ZERO,
            vest: [Amount::ZERO; VEST_SLOTS],
            slash_acc: SLASH_ACC_START,
            unpaid: 0,
            misses: 0,
            verdict: None,
            paid: false,
            faulted: None,
            passed: None,
            maintenance: None,
            spared: None,
            capacity: 0,
            clean: 0,
            on_trial: 0,
            sent: 0,
        }
    }

    /// The root of the active tree.
    #[must_use]
    pub fn root(&self) -> ProviderRoot {
        self.active.root()
    }

    /// Nano per epoch of all active contracts: its weight and its pay.
    #[must_use]
    pub fn sum(&self) -> Amount {
        Amount(self.root().sum)
    }

    /// Misses in a row up to the last epoch.
    #[must_use]
    pub const fn consecutive_misses(&self) -> u32 {
        self.misses.trailing_ones()
    }

    /// Whether it announced that it is away in `epoch`: it is not asked, nor paid, nor struck.
    #[must_use]
    pub fn is_away(&self, epoch: Epoch) -> bool {
        self.maintenance
            .is_some_and(|absence| absence.covers(epoch))
    }

    /// Whether a storm in `epoch` spares it the charge: once in 30 epochs.
    #[must_use]
    pub fn may_be_spared(&self, epoch: Epoch) -> bool {
        self.spared
            .is_none_or(|last| epoch.saturating_sub(last) >= MISS_MASK.count_ones())
    }

    /// All credit in the record; `None` on overflow.
    #[must_use]
    pub fn credit(&self) -> Option<u128> {
        [self.escrow, self.locked, self.free, self.slashed]
            .iter()
            .chain(&self.vest)
            .try_fold(0u128, |sum, amount| sum.checked_add(u128::from(amount.0)))
    }

    /// Takes a contract's money in: `escrow` from its renter, its collateral from `free`. Gives
    /// the leaf as it becomes active; `None` if an amount does not fit.
    pub(crate) fn open(&mut self, leaf: &ContractLeaf, escrow: Amount) -> Option<ContractLeaf> {
        self.free = self.free.checked_sub(leaf.collateral)?;
        self.locked = self.locked.checked_add(leaf.collateral)?;
        self.escrow = self.escrow.checked_add(escrow)?;
        self.capacity = self.capacity.checked_add(leaf.capacity_chunks)?;
        Some(ContractLeaf {
            slash_acc: self.slash_acc,
            unpaid_at_start: self.unpaid,
            egress_paid: Amount::ZERO,
            ..*leaf
        })
    }

    /// Settles a contract at epoch `z`. `None` if an amount does not fit, which the invariants
    /// exclude; then nothing may be kept of the record.
    pub(crate) fn close(&mut self, leaf: &ContractLeaf, z: Epoch) -> Option<Settlement> {
        let due = self.claim(leaf, z)?;
        // S is rounded at each charge, and a claim at each reading: all claims together may come to a few
        // nano more than is locked, no more than there are contracts. Who closes last gets what is there.
        let freed = self.remaining_collateral(leaf).min(self.locked);
        let lost = leaf.collateral.checked_sub(freed)?;
        self.escrow = self.escrow.checked_sub(due)?;
        // Rounding leaves its dust in `locked`: locked + slashed is exactly the collateral of the
        // open contracts, so what `slashed` lacks is there.
        let from_slashed = lost.min(self.slashed);
        let dust = lost.checked_sub(from_slashed)?;
        self.slashed = self.slashed.checked_sub(from_slashed)?;
        self.locked = self.locked.checked_sub(freed)?.checked_sub(dust)?;
        self.free = self.free.checked_add(freed)?;
        self.capacity = self.capacity.checked_sub(leaf.capacity_chunks)?;
        Some(Settlement {
            refund: due.checked_add(lost)?,
            freed,
        })
    }

    /// Settles a contract whose provider is FAULTED at epoch `z`: all of its collateral goes to the
    /// renter.
    pub(crate) fn close_faulted(&mut self, leaf: &ContractLeaf, z: Epoch) -> Option<Settlement> {
        let settled = self.close(leaf, z)?;
        self.forfeit(settled, settled.freed)
    }

    /// Settles a contract of which nothing is left at epoch `z`: half of its collateral goes to the
    /// renter.
    pub(crate) fn close_lost(&mut self, leaf: &ContractLeaf, z: Epoch) -> Option<Settlement> {
        let settled = self.close(leaf, z)?;
        self.forfeit(settled, half(settled.freed))
    }

    /// Settles what became of `old` as `new`, which holds less, from epoch `z` on: the share that
    /// is lost closes, with half of its collateral to the renter. Unpaid epochs so far are refunded
    /// too, as they were at the old rate. Gives the leaf as it becomes active.
    pub(crate) fn lose(
        &mut self,
        old: &ContractLeaf,
        new: &ContractLeaf,
        z: Epoch,
    ) -> Option<(ContractLeaf, Settlement)> {
        let settled = self.close(old, z)?;
        let overdue = z.saturating_sub(old.end_epoch);
        let leaf = ContractLeaf {
            unpaid_at_start: self.unpaid.checked_sub(overdue)?,
            ..*new
        };
        let escrow = self.claim(&leaf, z)?;
        let kept = self.remaining_collateral(&leaf).min(settled.freed);
        let charged = leaf.collateral.checked_sub(kept)?;
        self.escrow = self.escrow.checked_add(escrow)?;
        self.capacity = self.capacity.checked_add(leaf.capacity_chunks)?;
        self.free = self.free.checked_sub(kept)?;
        self.locked = self.locked.checked_add(kept)?;
        self.slashed = self.slashed.checked_add(charged)?;
        let share = Settlement {
            refund: settled.refund.checked_sub(escrow)?.checked_sub(charged)?,
            freed: settled.freed.checked_sub(kept)?,
        };
        Some((leaf, self.forfeit(share, half(share.freed))?))
    }

    /// Turns `amount` of what a settlement freed into the renter's.
    fn forfeit(&mut self, settled: Settlement, amount: Amount) -> Option<Settlement> {
        self.free = self.free.checked_sub(amount)?;
        Some(Settlement {
            refund: settled.refund.checked_add(amount)?,
            freed: settled.freed.checked_sub(amount)?,
        })
    }

    /// What a contract's renter gets back from escrow if it closes at epoch `z`:
    /// rate · (m + max(0, end − z)) with m its unpaid epochs, and what is left of the deposit.
    #[must_use]
    pub fn claim(&self, leaf: &ContractLeaf, z: Epoch) -> Option<Amount> {
        let overdue = z.saturating_sub(leaf.end_epoch);
        let unpaid = self
            .unpaid
            .checked_sub(leaf.unpaid_at_start)?
            .checked_sub(overdue)?;
        let unused = leaf.end_epoch.saturating_sub(z);
        let epochs = u64::from(unpaid).checked_add(u64::from(unused))?;
        let deposit = leaf.egress_deposit.checked_sub(leaf.egress_paid)?;
        leaf.rate.checked_mul(epochs)?.checked_add(deposit)
    }

    /// `⌊collateral · S/S_start⌋`: what a contract's provider would get back.
    #[must_use]
    pub fn remaining_collateral(&self, leaf: &ContractLeaf) -> Amount {
        leaf.collateral
            .mul_div(self.slash_acc, leaf.slash_acc)
            .unwrap_or(Amount::ZERO)
    }

    /// Charges up to `wanted` of the collateral, with one multiplication whatever the number of
    /// contracts: what was taken.
    pub fn charge(&mut self, wanted: Amount) -> Amount {
        let taken = wanted.min(self.locked);
        let left = self.locked.saturating_sub(taken);
        let Some(scaled) = Amount(self.slash_acc).mul_div(left.0, self.locked.0) else {
            return Amount::ZERO;
        };
        let Some(slashed) = self.slashed.checked_add(taken) else {
            return Amount::ZERO;
        };
        self.slash_acc = scaled.0;
        self.locked = left;
        self.slashed = slashed;
        taken
    }

    /// The most that its contracts may hold together, chunks: what a new provider may, doubled for each
    /// thirty clean epochs. Nothing bounds it where the network has no such capacity.
    #[must_use]
    pub fn capacity_most(&self, starter: u64) -> u64 {
        let doublings = self.clean.checked_div(TRIAL).unwrap_or(0);
        match starter {
            0 => u64::MAX,
            _ if doublings > starter.leading_zeros() => u64::MAX,
            _ => starter.checked_shl(doublings).unwrap_or(u64::MAX),
        }
    }

    /// A strike: the thirty epochs that were not full yet begin anew.
    fn stain(&mut self) {
        let begun = self.clean.checked_rem(TRIAL).unwrap_or(0);
        self.clean = self.clean.saturating_sub(begun);
    }

    /// Pay that has vested: whether it becomes collateral, as it does of who is on trial.
    pub(crate) fn keeps(&mut self, amount: Amount) -> bool {
        let Some(left) = self.on_trial.checked_sub(1) else {
            return false;
        };
        self.on_trial = left;
        let free = self.free.checked_add(amount);
        self.free = free.expect("all credit is below 2^63 nano");
        true
    }

    /// Takes the pay that has not vested: how much.
    pub(crate) fn forfeit_unvested(&mut self) -> Amount {
        let held = std::mem::take(&mut self.vest);
        held.into_iter().sum()
    }

    /// Pay of `epochs` epochs; the most there is where it does not fit.
    #[must_use]
    pub fn pay_of(&self, epochs: u64) -> Amount {
        self.sum().checked_mul(epochs).unwrap_or(Amount(u64::MAX))
    }

    /// Ends `epoch`: counts it if it was not paid, notes whether it passed or was `struck` with a
    /// miss, forgets the verdict.
    pub(crate) fn end_epoch(&mut self, epoch: Epoch, struck: bool) {
        if !self.paid && self.sum() > Amount::ZERO {
            self.unpaid = self.unpaid.saturating_add(1);
        }
        match self.verdict {
            Some(Verdict::Pass) => {
                self.passed = Some(epoch);
                self.clean = self.clean.saturating_add(1);
            }
            Some(Verdict::Fail) => self.stain(),
            Some(Verdict::Miss) if struck => self.stain(),
            Some(Verdict::Miss | Verdict::Declared) | None => {}
        }
        self.sent = 0;
        self.misses = ((self.misses << 1) | u32::from(struck)) & MISS_MASK;
        self.verdict = None;
        self.paid = false;
    }

    /// Counts `epochs` more epochs in which the network made no block: unpaid, no strike.
    pub(crate) fn sleep(&mut self, epochs: u32) {
        if self.sum() > Amount::ZERO {
            self.unpaid = self.unpaid.saturating_add(epochs);
        }
        self.misses = self.misses.checked_shl(epochs).unwrap_or(0) & MISS_MASK;
    }

    /// Once all contracts are closed, S starts anew, and a FAULTED provider with it.
    pub(crate) fn start_anew(&mut self) {
        if self.active.iter().next().is_some() {
            return;
        }
        self.slash_acc = SLASH_ACC_START;
        if self.faulted.take().is_some() {
            self.misses = 0;
        }
    }
}

/// Half, rounded against the provider.
fn half(amount: Amount) -> Amount {
    Amount(amount.0.div_ceil(2))
}
