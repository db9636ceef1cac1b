//! The state's records as its root and the sum of all credit see them. `docs/protocol.md` §3.5.

use crate::buckets::Record;
use crate::state::Queue;
use crate::{Account, Left, Line, Provider, SubKey};
use larder_types::{AccountId, Amount, NodeId, SubKeyId, codec};

/// With its tree's root in the tree's place.
impl Record<NodeId> for Provider {
    fn write(&self, _: &NodeId, out: &mut Vec<u8>) {
        out.extend(record_bytes(self));
    }

    fn credit(&self) -> u128 {
        Self::credit(self).expect("eleven u64 fit a u128")
    }
}

impl Record<AccountId> for Account {
    fn write(&self, id: &AccountId, out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        u128::from(self.balance.0).saturating_add(u128::from(self.deposit.0))
    }
}

/// What is owed, in the place of credit.
impl Record<AccountId> for Line {
    fn write(&self, id: &AccountId, out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        u128::from(self.debt.0)
    }
}

/// What a guarantor has set aside for a member.
impl Record<(AccountId, AccountId)> for Amount {
    fn write(&self, id: &(AccountId, AccountId), out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        u128::from(self.0)
    }
}

impl Record<AccountId> for Left {
    fn write(&self, id: &AccountId, out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        0
    }
}

impl Record<(AccountId, SubKeyId)> for SubKey {
    fn write(&self, id: &(AccountId, SubKeyId), out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        0
    }
}

impl Record<NodeId> for Queue {
    fn write(&self, id: &NodeId, out: &mut Vec<u8>) {
        out.extend(codec::encode(&(id, self)));
    }

    fn credit(&self) -> u128 {
        0
    }
}

fn record_bytes(p: &Provider) -> Vec<u8> {
    codec::encode(&(
        (p.node, p.index, p.payout, p.root(), p.active.depth()),
        (p.escrow, p.locked, p.free, p.slashed, p.vest),
        (
            p.slash_acc,
            p.unpaid,
            p.misses,
            p.verdict,
            p.paid,
            p.faulted,
            p.passed,
            p.maintenance,
            p.spared,
        ),
        (p.capacity, p.clean, p.on_trial, p.sent),
    ))
}
