//! What a block means for one node: the slice of the ledger's state that its engine needs.

use larder_ledger::{Account, Event, Provider, State, SubKeys};
use larder_proofs::{Challenge, ContractLeaf, ProviderTree};
use larder_types::{
    AccountId, Amount, BlockHash, ContractId, Epoch, Hash, NodeId, SlotNo, Time, TxId,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// One block, as it concerns one node.
#[derive(Clone, Debug)]
pub struct BlockInput {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: BlockHash,
    /// Its time.
    pub time: Time,
    /// The epoch it lies in.
    pub epoch: Epoch,
    /// The newest beacon. Without one nothing is audited.
    pub beacon: Option<Hash>,
    /// The node's account, if the ledger knows it.
    pub account: Option<Account>,
    /// Every account's sub-keys.
    pub subkeys: SubKeys,
    /// The node's provider record, if it is registered.
    pub provider: Option<ProviderView>,
    /// The active leaves that concern the node: given when an epoch begins and at the start.
    pub active: Option<ActiveView>,
    /// The node's challenge of this epoch, once its slot is open.
    pub challenge: Option<Challenge>,
    /// The questions for single contracts that the node must answer in the same slot.
    pub targeted: Vec<(ContractId, Challenge)>,
    /// The slots in which the ledger holds the node's pay withheld, and the validators that proposed so.
    pub withheld: Vec<(SlotNo, NodeId)>,
    /// Whether the ledger has a record of the node as a validator or a candidate.
    pub is_on_roll: bool,
    /// Leaves of the node's contracts that stand in this block: contract and revision.
    pub posted: Vec<(ContractId, u64)>,
    /// Transactions in this block.
    pub txs: Vec<TxId>,
}

/// A provider's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderView {
    /// Collateral that is free.
    pub free: Amount,
    /// Collateral that is locked.
    pub locked: Amount,
    /// Whether it is FAULTED.
    pub faulted: bool,
    /// The most that its contracts may hold together, chunks.
    pub capacity_most: u64,
}

/// The active leaves at the start of an epoch.
#[derive(Clone, Debug, Default)]
pub struct ActiveView {
    /// The node's own provider tree.
    pub held: Arc<ProviderTree>,
    /// The contracts that the node's account rents.
    pub rented: Vec<RentedView>,
    /// Every provider that is FAULTED: nobody places anything with it.
    pub faulted: BTreeSet<NodeId>,
}

/// A contract that the node's account rents, as the ledger holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RentedView {
    /// Who stores.
    pub provider: NodeId,
    /// The active leaf.
    pub leaf: ContractLeaf,
    /// The provider's misses in a row up to the last epoch. Two make it suspect.
    pub misses: u32,
    /// Whether it passed in the newest epoch in which anyone did, or the one before; or was not
    /// asked for this contract in both of them.
    pub passed_lately: bool,
    /// Whether it is FAULTED.
    pub faulted: bool,
    /// Whether this contract is faulted by itself: its provider did not answer for it when the
    /// ledger asked (T3).
    pub faulted_alone: bool,
    /// The epoch in which it ends because its renter gave notice.
    pub leaves_in: Option<Epoch>,
}

impl BlockInput {
    /// The slice of `state`, just after a block with these `txs` and `events`, that concerns
    /// `node` and `account`. `whole` gives the active leaves too: at the start, and whenever an
    /// epoch began.
    #[must_use]
    pub fn of(
        state: &State,
        (node, account): (&NodeId, &AccountId),
        txs: &[TxId],
        events: &[Event],
        whole: bool,
    ) -> Self {
        let head = state.head();
        let record = state.provider(node);
        let began = events.iter().any(|e| matches!(e, Event::EpochBegan { .. }));
        let active = (whole || began).then(|| ActiveView::of(state, record, account));
        Self {
            height: head.height,
            hash: head.hash,
            time: head.time,
            epoch: state.epoch(),
            beacon: Some(Hash(*state.beacon())),
            account: state.account(account).cloned(),
            subkeys: state.sub_keys().clone(),
            provider: record.map(|p| ProviderView {
                free: p.free,
                locked: p.locked,
                faulted: p.faulted.is_some(),
                capacity_most: p.capacity_most(state.params().starter_capacity_chunks),
            }),
            active,
            challenge: state.challenge_for(node),
            targeted: state.targeted_for(node),
            withheld: state.withheld_from(node),
            is_on_roll: state.validator(node).is_some(),
            posted: events.iter().filter_map(posted).collect(),
            txs: txs.to_vec(),
        }
    }
}

impl ActiveView {
    fn of(state: &State, own: Option<&Provider>, account: &AccountId) -> Self {
        // Epochs in which nobody passed say nothing of anyone.
        let newest = state.providers().filter_map(|p| p.passed).max();
        Self {
            held: own.map(|p| Arc::clone(&p.active)).unwrap_or_default(),
            rented: state
                .contracts_of(account)
                .filter_map(|(_, p, leaf)| {
                    let view = RentedView::of(state.provider(&p)?, leaf, newest);
                    let faulted_alone = state.faulted_alone(&leaf.contract_id).is_some();
                    Some(RentedView {
                        faulted_alone,
                        leaves_in: state.leaves_in(&leaf.contract_id),
                        ..view
                    })
                })
                .collect(),
            faulted: state
                .providers()
                .filter(|p| p.faulted.is_some())
                .map(|p| p.node)
                .collect(),
        }
    }
}

impl RentedView {
    /// A contract with `provider`; `newest` is the newest epoch in which anyone passed.
    fn of(provider: &Provider, leaf: &ContractLeaf, newest: Option<Epoch>) -> Self {
        let lately = |epoch: Epoch| newest.is_none_or(|newest| epoch.saturating_add(1) >= newest);
        // Asked since its start at the earliest: at most once, if that is the newest epoch or later.
        let is_young = newest.is_none_or(|newest| leaf.start_epoch >= newest);
        Self {
            provider: provider.node,
            leaf: *leaf,
            misses: provider.consecutive_misses(),
            passed_lately: is_young || provider.passed.is_some_and(lately),
            faulted: provider.faulted.is_some(),
            faulted_alone: false,
            leaves_in: None,
        }
    }
}

fn posted(event: &Event) -> Option<(ContractId, u64)> {
    if let Event::Pending {
        contract,
        revision: Some(revision),
        ..
    } = event
    {
        return Some((*contract, *revision));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The view of a contract from `start` on, with a provider that passed last in `passed`, where
    /// someone passed last in `newest`.
    fn passed_lately(start: Epoch, passed: Option<Epoch>, newest: Option<Epoch>) -> bool {
        let (node, account) = (NodeId([1; 32]), AccountId([2; 32]));
        let mut provider = Provider::new(node, 0, account, Amount::ZERO);
        provider.passed = passed;
        let leaf = ContractLeaf {
            start_epoch: start,
            ..ContractLeaf::default()
        };
        RentedView::of(&provider, &leaf, newest).passed_lately
    }

    #[test]
    fn a_pass_within_two_epochs_is_lately() {
        assert!(passed_lately(1, Some(9), Some(9)));
        assert!(passed_lately(1, Some(8), Some(9)));
        assert!(!passed_lately(1, Some(7), Some(9)));
        assert!(!passed_lately(1, None, Some(9)));
    }

    #[test]
    fn who_was_not_asked_twice_has_the_benefit_of_the_doubt() {
        assert!(passed_lately(10, None, Some(9)), "it begins now");
        assert!(passed_lately(9, None, Some(9)), "it missed once");
        assert!(!passed_lately(8, None, Some(9)));
        assert!(passed_lately(1, None, None), "nobody ever passed");
    }

    #[test]
    fn misses_and_faults_are_the_records() {
        let mut provider = Provider::new(NodeId([1; 32]), 0, AccountId([2; 32]), Amount::ZERO);
        provider.misses = 0b1011;
        let view = |p: &Provider| RentedView::of(p, &ContractLeaf::default(), Some(4));
        assert_eq!(
            (view(&provider).misses, view(&provider).faulted),
            (2, false)
        );
        provider.faulted = Some(3);
        assert!(view(&provider).faulted);
    }
}
