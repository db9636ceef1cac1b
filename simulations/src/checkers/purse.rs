//! What a provider has in the end, and what it spared: its credit, less what storing costs. A
//! byte that is stored costs 9/10 of what is paid for it, in nano, epoch by epoch; what was dropped
//! costs nothing. Beside it a checker: no cheat ends with more than its honest twin.
//!
//! Whatever a cheat might still get back counts as its own: what has not vested, collateral that a
//! renter has not claimed yet, and all of its contract with itself.

use super::{Sight, Tally};
use crate::adversary::{Adversary, Thefts};
use crate::report::Checker;
use larder_ledger::verdict::Reason;
use larder_ledger::{Event, State, Unpaid, Verdict};
use larder_types::{AccountId, Amount, ContractId, NodeId};
use serde::Serialize;
use std::collections::BTreeMap;

/// What storing costs, as a share of what is paid: numerator and denominator.
const COST: (u128, u128) = (9, 10);

/// What one provider has done and has, counted from the moment at which a cheat turns. Nano.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Account {
    /// How it cheats; none is the honest twin.
    pub adversary: Option<Adversary>,
    /// Pay, less fees and less what it paid itself.
    pub earned: i64,
    /// Collateral that strikes and faults took, and did not give back to itself.
    pub collateral_lost: i64,
    /// What it cost to store what it stored.
    pub storage_cost: u64,
    /// Earned, less both.
    pub gain: i64,
    /// Pay that stayed in escrow for epochs that it did not prove.
    pub withheld: u64,
    /// Charges of its strikes, its own contract's part included.
    pub charged: u64,
    /// Epochs proven, missed, and answered falsely.
    pub passes: u64,
    /// See `passes`.
    pub misses: u64,
    /// See `passes`.
    pub fails: u64,
    /// Misses in which its answer was one to another challenge.
    pub foreign: u64,
    /// How often it was FAULTED.
    pub faulted: u64,
    /// Its contracts that were faulted by themselves.
    pub contracts_faulted: u64,
    /// Shards that it threw away.
    pub dropped: u64,
    /// How often it was started.
    pub starts: u32,
    /// What became of its tries to rebuild shards from others'.
    pub thefts: Thefts,
    /// The trace until it turned.
    pub before: String,
}

/// What is whose at one moment, nano.
#[derive(Debug, Clone, Copy)]
struct Holdings {
    /// Balances, and what its own contract would give back.
    spendable: i64,
    unvested: i64,
    collateral: i64,
}

/// The checker.
#[derive(Debug)]
pub(crate) struct Purse {
    node: usize,
    provider: NodeId,
    account: AccountId,
    second: AccountId,
    at_turn: Option<Holdings>,
    deposited: i64,
    /// What vested, less what it paid itself.
    received: i64,
    /// What it pays itself in this epoch.
    own_rates: i64,
    told: Account,
    balanced: Tally,
}

impl Purse {
    /// The purse of a provider with two accounts.
    pub(crate) fn new(
        node: usize,
        provider: NodeId,
        (account, second): (AccountId, AccountId),
    ) -> Self {
        Self {
            node,
            provider,
            account,
            second,
            at_turn: None,
            deposited: 0,
            received: 0,
            own_rates: 0,
            told: Account::default(),
            balanced: Tally::default(),
        }
    }

    /// From here on it is counted.
    pub(crate) fn turn(&mut self, sight: &Sight<'_>, before: String) {
        self.at_turn = Some(self.holdings(sight.state));
        self.told.before = before;
    }

    /// A block did something.
    pub(crate) fn event(&mut self, sight: &Sight<'_>, event: &Event) {
        if self.at_turn.is_none() {
            return;
        }
        let ours = |provider: &NodeId| *provider == self.provider;
        match event {
            Event::EpochBegan { .. } => self.epoch(sight),
            Event::Paid { provider, .. } if ours(provider) => {
                self.told.passes += 1;
                self.received -= self.own_rates;
            }
            Event::Unpaid {
                provider,
                withheld,
                epochs,
                why,
                ..
            } if ours(provider) => {
                self.told.withheld += withheld.0 * u64::from(*epochs);
                match why {
                    Unpaid::Verdict(reason) => self.not_passed(*reason),
                    Unpaid::Expired | Unpaid::NoVerdict => {}
                }
            }
            Event::Vested {
                provider, amount, ..
            } if ours(provider) => self.received += nano(*amount),
            Event::Deposited {
                provider, amount, ..
            } if ours(provider) => self.deposited += nano(*amount),
            Event::Withdrawn {
                provider, amount, ..
            } if ours(provider) => self.deposited -= nano(*amount),
            Event::Charged {
                provider, amount, ..
            } if ours(provider) => self.told.charged += amount.0,
            Event::Faulted { provider, .. } if ours(provider) => self.told.faulted += 1,
            Event::ContractFaulted { provider, .. } if ours(provider) => {
                self.told.contracts_faulted += 1;
            }
            // Another's, or nothing that moves its credit by itself.
            Event::SlotOpened { .. }
            | Event::Granted { .. }
            | Event::Transferred { .. }
            | Event::Delegated { .. }
            | Event::Revoked { .. }
            | Event::Registered { .. }
            | Event::Deposited { .. }
            | Event::Pending { .. }
            | Event::Opened { .. }
            | Event::Revised { .. }
            | Event::Extended { .. }
            | Event::Closed { .. }
            | Event::Charged { .. }
            | Event::Forfeited { .. }
            | Event::Faulted { .. }
            | Event::MaintenanceAnnounced { .. }
            | Event::LossDeclared { .. }
            | Event::Skipped { .. }
            | Event::Paid { .. }
            | Event::EgressPaid { .. }
            | Event::Backed { .. }
            | Event::Vouched { .. }
            | Event::AccountLeft { .. }
            | Event::Unpaid { .. }
            | Event::Vested { .. }
            | Event::NoticeGiven { .. }
            | Event::Targeted { .. }
            | Event::HandedOver { .. }
            | Event::ContractFaulted { .. }
            | Event::Spared { .. }
            | Event::Withdrawn { .. }
            | Event::CandidacyBegan { .. }
            | Event::ChangeApproved { .. }
            | Event::ValidatorJoined { .. }
            | Event::ValidatorLeft { .. }
            | Event::BondFreed { .. }
            | Event::ProposalMissed { .. }
            | Event::Equivocated { .. }
            | Event::Censored { .. } => {}
        }
    }

    fn not_passed(&mut self, reason: Reason) {
        let told = &mut self.told;
        told.foreign += u64::from(reason == Reason::Foreign);
        match reason.verdict() {
            Verdict::Miss => told.misses += 1,
            Verdict::Fail => told.fails += 1,
            Verdict::Pass | Verdict::Declared => {}
        }
    }

    /// An epoch begins: what is stored in it costs.
    fn epoch(&mut self, sight: &Sight<'_>) {
        let Some(record) = sight.state.provider(&self.provider) else {
            return;
        };
        let disk = &sight.nodes[self.node].disk;
        let mut held: BTreeMap<ContractId, u64> = BTreeMap::new();
        for root in disk.roots() {
            if let Some(row) = disk.shard_row(root) {
                *held.entry(row.contract).or_default() += row.leaf.chunks;
            }
        }
        self.own_rates = 0;
        for (_, leaf) in record.active.iter() {
            if leaf.renter == self.second {
                self.own_rates += nano(leaf.rate);
            } else if leaf.used_chunks > 0 {
                let held = held.get(&leaf.contract_id).copied().unwrap_or(0);
                let held = u128::from(held.min(leaf.used_chunks));
                let whole = u128::from(leaf.rate.0) * COST.0 / COST.1;
                let cost = whole * held / u128::from(leaf.used_chunks);
                self.told.storage_cost += u64::try_from(cost).unwrap_or(u64::MAX);
            }
        }
    }

    fn holdings(&self, state: &State) -> Holdings {
        let balances = [self.account, self.second].map(|id| nano(state.balance(&id)));
        let mut holdings = Holdings {
            spendable: balances.iter().sum(),
            unvested: 0,
            collateral: 0,
        };
        let Some(record) = state.provider(&self.provider) else {
            return holdings;
        };
        holdings.unvested = record.vest.iter().map(|amount| nano(*amount)).sum();
        holdings.collateral = nano(record.free);
        for (_, leaf) in record.active.iter() {
            if leaf.renter == self.second {
                let claim = record.claim(leaf, state.epoch());
                holdings.spendable += nano(claim.unwrap_or(Amount::ZERO));
                holdings.collateral += nano(leaf.collateral);
            } else {
                holdings.collateral += nano(record.remaining_collateral(leaf));
            }
        }
        holdings
    }

    /// The run has ended.
    pub(crate) fn close(&mut self, sight: &Sight<'_>, dropped: u64) -> Option<Account> {
        let before = self.at_turn?;
        let now = self.holdings(sight.state);
        let moved = now.spendable - before.spendable;
        let (received, deposited) = (self.received, self.deposited);
        self.balanced.check(moved + deposited == received, || {
            format!("{moved} more in hand and {deposited} deposited, but {received} received")
        });
        let node = &sight.nodes[self.node];
        let told = &mut self.told;
        told.earned = moved + deposited + now.unvested - before.unvested;
        told.collateral_lost = before.collateral + deposited - now.collateral;
        told.gain = told.earned - told.collateral_lost - signed(told.storage_cost);
        told.dropped = dropped;
        told.starts = node.life;
        if let Some(cheat) = &node.cheat {
            told.adversary = Some(cheat.how);
            told.thefts = cheat.thefts;
        }
        Some(told.clone())
    }

    /// What it found.
    pub(crate) fn finding(&self) -> Checker {
        self.balanced.finding("pay and charges explain the purse")
    }
}

fn nano(amount: Amount) -> i64 {
    signed(amount.0)
}

/// # Panics
/// Never: there are 10^15 nano in these networks.
fn signed(n: u64) -> i64 {
    i64::try_from(n).expect("all credit fits")
}

/// Whether no cheat ends with more than the honest twin, which comes first.
pub(crate) fn honesty_pays(purses: &[Account]) -> Checker {
    let mut tally = Tally::default();
    if let Some((twin, cheats)) = purses.split_first() {
        for cheat in cheats {
            let name = cheat.adversary.map_or("an honest one", Adversary::name);
            tally.check(cheat.before == twin.before, || {
                format!("{name}: not the twin's network when it turned")
            });
            tally.check(cheat.gain < twin.gain, || {
                format!("{name}: {} nano, the honest twin {}", cheat.gain, twin.gain)
            });
        }
    }
    tally.finding("no cheat ends richer than its honest twin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cheat_that_ends_richer_is_a_violation() {
        let purse = |gain, before: &str| Account {
            gain,
            before: before.to_owned(),
            ..Account::default()
        };
        let ok = |cheat| honesty_pays(&[purse(3, "a"), cheat]).ok;
        assert!(ok(purse(2, "a")));
        assert!(!ok(purse(3, "a")));
        assert!(!ok(purse(2, "b")), "another network proves nothing");
    }
}
