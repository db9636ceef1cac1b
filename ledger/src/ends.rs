//! How a contract ends at a boundary, and what a declared loss leaves of it: who gets what is settled in
//! the provider's record, the renter's share goes to its account. `docs/protocol.md` §3.3, §3.4.

use crate::egress::Till;
use crate::provider::{Provider, Settlement};
use crate::state::{Lost, seat_key};
use crate::terms::{permit, refuse_faulted};
use crate::{Ended, Event, Skip, State};
use larder_contracts::life::Step;
use larder_proofs::ContractLeaf;
use larder_types::{ContractId, Epoch, NodeId};
use std::sync::Arc;

/// Takes the lost shards out of a contract and settles their share; closes it if nothing is left.
pub(crate) fn lose(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    lost: &Lost,
) -> Result<Event, Skip> {
    refuse_faulted(state, provider)?;
    permit(state, contract, Step::Lose)?;
    let (index, holder, old) = state.contract(contract).ok_or(Skip::Unknown)?;
    let (old, remains) = (*old, &lost.remains);
    if holder != *provider {
        return Err(Skip::Foreign);
    }
    if old.revision >= remains.revision {
        return Err(Skip::Stale);
    }
    if remains.chunks == 0 {
        return close(
            state,
            contract,
            Provider::close_lost,
            Ended::Lost,
            &mut Till::new(None),
        );
    }
    let new = larder_contracts::lose(&old, remains, &state.params).ok_or(Skip::Content)?;
    let mut record = state
        .providers
        .get(provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    let (leaf, settled) = record.lose(&old, &new, state.epoch).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, leaf)
        .map_err(|_| Skip::Overflow)?;
    state.providers.insert(record.node, record);
    state.give(&leaf.renter, settled.refund);
    Ok(Event::LossDeclared {
        provider: *provider,
        renter: leaf.renter,
        contract: *contract,
        revision: leaf.revision,
        indices: lost.indices.clone(),
        refund: settled.refund,
    })
}

/// Ends a contract with a provider that is FAULTED, as its renter asked.
pub(crate) fn close_faulted(state: &mut State, contract: &ContractId) -> Result<Event, Skip> {
    permit(state, contract, Step::CloseFaulted)?;
    close(
        state,
        contract,
        Provider::close_faulted,
        Ended::Fault,
        &mut Till::new(None),
    )
}

/// Ends a contract before its end, as both sides agreed.
pub(crate) fn close_mutual(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    match state.contract(contract) {
        Some((_, holder, _)) if holder == *provider => {
            permit(state, contract, Step::CloseMutual)?;
            close(state, contract, Provider::close, Ended::Mutual, till)
        }
        Some(_) => Err(Skip::Foreign),
        None => Err(Skip::Unknown),
    }
}

/// Removes a contract whose end has come.
pub(crate) fn close_expired(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    let (_, holder, leaf) = state.contract(contract).ok_or(Skip::Unknown)?;
    if holder != *provider {
        return Err(Skip::Foreign);
    }
    if leaf.end_epoch > state.epoch {
        return Err(Skip::Running);
    }
    permit(state, contract, Step::CloseExpired)?;
    close(state, contract, Provider::close, Ended::Expired, till)
}

/// Ends a contract whose notice has run out, as if both sides had agreed.
pub(crate) fn on_notice(
    state: &mut State,
    contract: &ContractId,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    close(state, contract, Provider::close, Ended::Notice, till)
}

/// How a contract's money is shared out at an epoch.
type Settle = fn(&mut Provider, &ContractLeaf, Epoch) -> Option<Settlement>;

/// Removes a contract and settles it.
fn close(
    state: &mut State,
    contract: &ContractId,
    settle: Settle,
    why: Ended,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    let (index, provider, leaf) = state.contract(contract).ok_or(Skip::Unknown)?;
    let leaf = *leaf;
    let mut record = state
        .providers
        .get(&provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    let (leaf, due) = till.settle(state, &mut record, &leaf)?;
    let settled = settle(&mut record, &leaf, state.epoch).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .remove(index)
        .map_err(|_| Skip::Unknown)?;
    state.forget(contract);
    state.accounts.or_default(leaf.renter).untie();
    state.providers.insert(record.node, record);
    state.give(&leaf.renter, settled.refund);
    till.pay(state, &provider, &leaf, due);
    Ok(Event::Closed {
        provider,
        renter: leaf.renter,
        contract: *contract,
        refund: settled.refund,
        freed: settled.freed,
        why,
    })
}

impl State {
    /// Forgets where a contract is, and what is known of it alone.
    pub(crate) fn forget(&mut self, contract: &ContractId) {
        self.contracts.remove(&seat_key(contract));
        self.notices.remove(contract);
        self.lost_alone.remove(contract);
    }
}
