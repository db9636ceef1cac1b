//! What a block means for one node: the slice of the ledger's state that its engine needs.

use larder_ledger::{Account, Event, State};
use larder_proofs::{Challenge, ContractLeaf, ProviderTree};
use larder_types::{AccountId, Amount, BlockHash, ContractId, Epoch, NodeId, Time, TxId};
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
    /// The node's account, if the ledger knows it.
    pub account: Option<Account>,
    /// The node's provider record, if it is registered.
    pub provider: Option<ProviderView>,
    /// The active leaves that concern the node: given when an epoch begins and at the start.
    pub active: Option<ActiveView>,
    /// The node's challenge of this epoch, once its slot is open.
    pub challenge: Option<Challenge>,
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
    /// Whether it passed in the last epoch or the one before.
    pub passed_lately: bool,
    /// Whether it is FAULTED.
    pub faulted: bool,
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
        let active = (whole || began).then(|| ActiveView {
            held: record.map(|p| Arc::clone(&p.active)).unwrap_or_default(),
            rented: state
                .contracts_of(account)
                .map(|(_, p, leaf)| rented(state, p, leaf))
                .collect(),
            faulted: state
                .providers()
                .filter(|p| p.faulted.is_some())
                .map(|p| p.node)
                .collect(),
        });
        Self {
            height: head.height,
            hash: head.hash,
            time: head.time,
            epoch: state.epoch(),
            account: state.account(account).cloned(),
            provider: record.map(|p| ProviderView {
                free: p.free,
                locked: p.locked,
                faulted: p.faulted.is_some(),
            }),
            active,
            challenge: state.challenge_for(node),
            posted: events.iter().filter_map(posted).collect(),
            txs: txs.to_vec(),
        }
    }
}

fn rented(state: &State, provider: NodeId, leaf: &ContractLeaf) -> RentedView {
    let record = state.provider(&provider);
    let misses = record.map_or(0, larder_ledger::Provider::consecutive_misses);
    RentedView {
        provider,
        leaf: *leaf,
        misses,
        passed_lately: misses < 2,
        faulted: record.is_some_and(|p| p.faulted.is_some()),
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
