//! What rented contracts cost: now, in the epochs to come, and so far.

use crate::Engine;
use crate::report::ContractReport;
use larder_ledger::{Cause, Movement};
use larder_types::{Amount, Epoch};

/// What the account's contracts cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Contracts in force.
    pub contracts: u64,
    /// What they cost in an epoch.
    pub per_epoch: Amount,
    /// What is set aside for epochs to come.
    pub reserved: Amount,
    /// What was set aside so far and did not come back.
    pub set_aside: Amount,
}

impl Engine {
    /// The most that contracts may cost in 30 days; `None`: what the account has.
    #[must_use]
    pub const fn allowance(&self) -> Option<Amount> {
        self.renter.allowance
    }
}

/// What contracts cost in `epoch`, and by the account's `history`. Sums beyond all credit stay there.
#[must_use]
pub fn spent(contracts: &[ContractReport], epoch: Epoch, history: &[Movement]) -> Spent {
    let add = |sum: Amount, more| sum.checked_add(more).unwrap_or(Amount(u64::MAX));
    let end = |c: &ContractReport| {
        let leaves = c.leaves_in.unwrap_or(Epoch::MAX);
        c.leaf.end_epoch.min(leaves)
    };
    let rented = || contracts.iter().filter(|c| c.rented && end(c) > epoch);
    let to_come = |c: &ContractReport| {
        let left = end(c).saturating_sub(c.leaf.start_epoch.max(epoch));
        let cost = c.leaf.rate.checked_mul(u64::from(left));
        cost.unwrap_or(Amount(u64::MAX))
    };
    let escrow = |incoming| {
        let moved = history.iter().filter(|m| m.cause == Cause::Escrow);
        let moved = moved.filter(|m| m.is_in == incoming).map(|m| m.amount);
        moved.fold(Amount::ZERO, add)
    };
    let active = rented().filter(|c| c.active);
    Spent {
        contracts: rented().count() as u64,
        per_epoch: rented().map(|c| c.leaf.rate).fold(Amount::ZERO, add),
        reserved: active.map(to_come).fold(Amount::ZERO, add),
        set_aside: escrow(false).saturating_sub(escrow(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::AuditRow;
    use larder_proofs::ContractLeaf;
    use larder_types::{AccountId, ContractId, NodeId};

    fn contract(rate: u64, start_epoch: Epoch, end_epoch: Epoch) -> ContractReport {
        ContractReport {
            contract: ContractId([1; 32]),
            provider: NodeId([2; 32]),
            leaf: ContractLeaf {
                rate: Amount(rate),
                start_epoch,
                end_epoch,
                ..ContractLeaf::default()
            },
            active: true,
            rented: true,
            audits: AuditRow::default(),
            refuses: false,
            leaves_in: None,
        }
    }

    fn moved(cause: Cause, is_in: bool, nano: u64) -> Movement {
        Movement {
            account: AccountId([3; 32]),
            cause,
            is_in,
            amount: Amount(nano),
            other: None,
            tx: None,
        }
    }

    #[test]
    fn spending_is_of_contracts_in_force_and_of_what_came_back() {
        let leaving = ContractReport {
            leaves_in: Some(12),
            ..contract(3, 0, 20)
        };
        let contracts = [
            contract(10, 0, 20),
            contract(5, 12, 20),
            contract(99, 0, 10),
            leaving,
        ];
        let history = [
            moved(Cause::Escrow, false, 1_000),
            moved(Cause::Escrow, true, 100),
            moved(Cause::Escrow, true, 50),
            moved(Cause::Transfer, false, 7),
        ];
        let found = spent(&contracts, 10, &history);
        let expected = Spent {
            contracts: 3,
            per_epoch: Amount(18),
            reserved: Amount(10 * 10 + 5 * 8 + 3 * 2),
            set_aside: Amount(850),
        };
        assert_eq!(found, expected);
        assert_eq!(spent(&[], 10, &[]), Spent::default());
    }
}
