//! A contract with oneself: nothing is stored in it, so that draws which fall on it pass, and it is
//! so dear that most of them do. It costs the fee on its pay, and its collateral is bound.

use crate::world::World;
use larder_contracts::{Auth, SignedLeaf, draft};
use larder_ledger::{Deposit, Op, TreeUpdate, Tx};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch};
use std::sync::Arc;

/// Its rate, as a multiple of what all renters pay: the dilution that would gain most if a miss
/// cost only the pay (c = 16, φ = 1 %: D = 31). `docs/protocol.md` §3.7.
const WEIGHT: u64 = 30;
/// Its term: the rest of the run, and then some.
const TERM: Epoch = 120;
/// Its capacity, chunks.
const CAPACITY: u64 = 1_024;
/// Blocks until what is signed for it lapses.
const EXPIRY: u64 = 1_000;

impl World {
    /// Opens it, from the next epoch on.
    ///
    /// # Panics
    /// If the ledger does not take it, which the accounts' funds exclude.
    pub(super) fn open_junk(&mut self, i: usize) {
        let state = Arc::clone(&self.chain.state);
        let (own, node) = (self.second_account(i), &self.nodes[i]);
        let paid = state.provider(&node.id).map_or(0, |p| p.sum().0);
        let params = &self.setting.params;
        let draft = draft::Draft {
            provider: node.id,
            renter: own.account(),
            nonce16: [0x77; 16],
            start: state.epoch() + 1,
            term: TERM,
            capacity_chunks: CAPACITY,
            price: Amount(1),
            collateral_epochs: 0,
        };
        let rate = WEIGHT * paid.max(1);
        let leaf = ContractLeaf {
            rate: Amount(rate),
            collateral: Amount(rate * u64::from(params.collateral_epochs)),
            ..draft.leaf(params)
        };
        let auth = |nonce| Auth {
            nonce,
            expiry: state.head().height + EXPIRY,
        };
        let net = state.genesis_hash();
        let deposit = Deposit::sign(node.id, &own, leaf.collateral, auth(0), &net);
        let signed = SignedLeaf::sign(leaf, Some(auth(1)), &node.id, &own, &net);
        let put = vec![Op::Put(signed)];
        let update = TreeUpdate::sign(&node.me.node_key, state.epoch(), put, &net);
        for tx in [Tx::Deposit(deposit), Tx::TreeUpdate(update)] {
            let taken = self.chain.tx(tx, self.now);
            taken.expect("a contract with oneself is one like any other");
        }
        self.watch();
    }
}
