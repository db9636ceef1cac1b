//! The state's records as its root and the sum of all credit see them. `docs/protocol.md` §3.5.

use crate::buckets::{Mapped, Record, part_of};
use crate::state::Queue;
use crate::{Account, Left, Line, Provider, SubKey};
use larder_proofs::map;
use larder_types::{AccountId, Amount, Hash, NodeId, SubKeyId, codec};

/// With its tree's root in the tree's place.
impl Record<NodeId> for Provider {
    fn write(&self, _: &NodeId, out: &mut Vec<u8>) {
        out.extend(record_bytes(self));
    }

    fn digest(providers: &[(NodeId, Self)]) -> Hash {
        part_of(providers).hash()
    }

    fn credit(&self) -> u128 {
        Self::credit(self).expect("eleven u64 fit a u128")
    }
}

impl Mapped<NodeId> for Provider {
    fn key(id: &NodeId) -> map::Key {
        id.0
    }
}

/// Decodes by itself: who is shown an account's record reads its balance.
impl Record<AccountId> for Account {
    fn write(&self, _: &AccountId, out: &mut Vec<u8>) {
        out.extend(codec::encode(self));
    }

    fn digest(accounts: &[(AccountId, Self)]) -> Hash {
        part_of(accounts).hash()
    }

    fn credit(&self) -> u128 {
        u128::from(self.balance.0).saturating_add(u128::from(self.deposit.0))
    }
}

impl Mapped<AccountId> for Account {
    fn key(id: &AccountId) -> map::Key {
        id.0
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
