//! An epoch's boundary: unpaid epochs are counted, strikes fall, pay vests, pending operations
//! act, each applied or skipped alone, and new roots become active. `docs/protocol.md` §3.3, §3.4.

use crate::apply::ApplyError;
use crate::deal::Deal;
use crate::egress::Till;
use crate::provider::Provider;
use crate::state::Pending;
use crate::strikes::{self, EpochEnd};
use crate::terms::put;
use crate::{Event, Skip, State, Unpaid, ends, terms};
use larder_types::{AccountId, Amount, ContractId, Epoch, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Ends every epoch before `target`: the current one in full, those without any block at once.
pub(crate) fn advance(
    state: &mut State,
    target: Epoch,
    events: &mut Vec<Event>,
) -> Result<(), ApplyError> {
    if target <= state.epoch {
        return Ok(());
    }
    let next = state.epoch.saturating_add(1);
    state.fault_targets(events);
    end_epoch(state, events)?;
    state.epoch = next;
    vest(state, next, next, events);
    act_on_pending(state, events);
    let missed = target.saturating_sub(next);
    if missed > 0 {
        sleep(state, missed, events);
        vest(state, next.saturating_add(1), target, events);
        state.epoch = target;
    }
    state.free_bonds(events);
    state.forget_batches();
    state.forget_targets();
    state.opened.clear();
    state.deal = Deal::default();
    state.judged.clear();
    events.push(Event::EpochBegan { epoch: target });
    Ok(())
}

/// Ends the epoch for every provider; those without a verdict go unpaid.
fn end_epoch(state: &mut State, events: &mut Vec<Event>) -> Result<(), ApplyError> {
    let end = EpochEnd::of(state);
    let epoch = end.epoch;
    for provider in state.providers.values_mut() {
        if provider.verdict.is_none() && provider.sum() > Amount::ZERO {
            events.push(no_verdict(provider, epoch, 1));
        }
        let burned = strikes::end_epoch(provider, &end, events);
        state.burned = state
            .burned
            .checked_add(burned)
            .ok_or(ApplyError::Overflow)?;
    }
    Ok(())
}

/// Epochs in which no block was made are unpaid for everyone, without a strike.
fn sleep(state: &mut State, epochs: u32, events: &mut Vec<Event>) {
    let first = state.epoch;
    for provider in state.providers.values_mut() {
        if provider.sum() > Amount::ZERO {
            events.push(no_verdict(provider, first, epochs));
        }
        provider.sleep(epochs);
    }
}

fn no_verdict(provider: &Provider, epoch: Epoch, epochs: u32) -> Event {
    Event::Unpaid {
        provider: provider.node,
        epoch,
        epochs,
        withheld: provider.sum(),
        why: Unpaid::NoVerdict,
    }
}

/// Releases what vests at the boundaries `from..=to`.
fn vest(state: &mut State, from: Epoch, to: Epoch, events: &mut Vec<Event>) {
    let ring = state.params.vesting;
    // After `ring` boundaries every slot has been released.
    let last = to.min(from.saturating_add(ring));
    for slot in (from..=last).filter_map(|z| z.checked_rem(ring)) {
        vest_slot(state, slot, events);
    }
}

fn vest_slot(state: &mut State, slot: u32, events: &mut Vec<Event>) {
    let mut due: Vec<(NodeId, AccountId, Amount)> = Vec::new();
    for provider in state.providers.values_mut() {
        let Some(held) = provider.vest.get_mut(slot as usize) else {
            continue;
        };
        let amount = std::mem::take(held);
        match amount {
            Amount::ZERO => {}
            amount if provider.keeps(amount) => events.push(Event::Backed {
                provider: provider.node,
                amount,
            }),
            amount => due.push((provider.node, provider.payout, amount)),
        }
    }
    for (provider, account, amount) in due {
        state.give(&account, amount);
        events.push(Event::Vested {
            provider,
            account,
            amount,
        });
    }
}

/// Applies pending operations: first those on active contracts, which free room, then Opens. A contract
/// whose renter's notice has run out ends with what waits for it.
fn act_on_pending(state: &mut State, events: &mut Vec<Event>) {
    let mut leaving: BTreeSet<ContractId> = state
        .notices
        .iter()
        .filter(|(_, epoch)| **epoch <= state.epoch)
        .map(|(contract, _)| *contract)
        .collect();
    for (provider, queue) in std::mem::take(&mut state.pending) {
        let (held, opens): (BTreeMap<_, _>, BTreeMap<_, _>) = queue
            .0
            .into_iter()
            .partition(|(id, _)| state.contract(id).is_some());
        for (contract, pending) in held.iter().chain(&opens) {
            let leaves = leaving.remove(contract);
            for result in act(state, &provider, contract, pending, leaves) {
                events.push(event(result, provider, *contract));
            }
        }
        start_anew(state, &provider);
    }
    for contract in leaving {
        let holder = state.contract(&contract).map(|(_, provider, _)| provider);
        if let Some(provider) = holder {
            let end = ends::on_notice(state, &contract, &mut Till::new(None));
            events.push(event(end, provider, contract));
            start_anew(state, &provider);
        }
    }
}

fn event(result: Result<Event, Skip>, provider: NodeId, contract: ContractId) -> Event {
    result.unwrap_or_else(|why| Event::Skipped {
        provider,
        contract,
        why,
    })
}

fn start_anew(state: &mut State, provider: &NodeId) {
    if let Some(record) = state.providers.get_mut(provider) {
        record.start_anew();
    }
}

/// One contract's operations: its renter's close, the close by both, the move elsewhere, what is
/// lost, the highest revision, another term, the close if it still is due, and the end of a notice. The
/// first of them that settles the contract settles the voucher that waits.
fn act(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    pending: &Pending,
    leaves: bool,
) -> Vec<Result<Event, Skip>> {
    let mut till = Till::new(pending.voucher.as_deref());
    let fault = pending.fault.then(|| ends::close_faulted(state, contract));
    let mutual = pending
        .mutual
        .then(|| ends::close_mutual(state, provider, contract, &mut till));
    let moved = pending
        .handover
        .as_ref()
        .map(|handover| terms::hand_over(state, provider, handover, &mut till));
    let loss = pending
        .loss
        .as_ref()
        .map(|lost| ends::lose(state, provider, contract, lost));
    let is_void = matches!(loss, Some(Ok(_)));
    let put = pending.put.as_ref().map(|signed| match is_void {
        true => Err(Skip::Lost),
        false => put(state, provider, signed, pending.reduces, &mut till),
    });
    let renewed = pending
        .renews
        .then(|| terms::renew(state, provider, contract, &mut till));
    let close = pending
        .close
        .then(|| ends::close_expired(state, provider, contract, &mut till));
    let left = (leaves && state.contract(contract).is_some())
        .then(|| ends::on_notice(state, contract, &mut till));
    [fault, mutual, moved, loss, put, renewed, close, left]
        .into_iter()
        .flatten()
        .chain(till.outcome())
        .collect()
}
