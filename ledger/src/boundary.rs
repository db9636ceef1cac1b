//! An epoch's boundary: unpaid epochs are counted, strikes fall, pay vests, pending operations
//! act, each applied or skipped alone, and new roots become active. `docs/protocol.md` §3.3, §3.4.

use crate::apply::{ApplyError, account_mut, credit};
use crate::deal::Deal;
use crate::provider::{Provider, SLASH_ACC_LEAST, Settlement};
use crate::state::{Lost, Pending, Seat, seat_key};
use crate::strikes::{self, EpochEnd};
use crate::{Account, Deed, Ended, Event, Handover, May, Skip, State, SubKeyError, Unpaid};
use larder_contracts::life::{self, Stage, Step};
use larder_contracts::{SignedLeaf, same_money};
use larder_proofs::{APPEND_ONLY, AUTO_RENEW, ContractLeaf};
use larder_types::{AccountId, Amount, ContractId, Epoch, NodeId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ends lie on multiples of this.
const END_STEP: Epoch = larder_contracts::draft::END_STEP;

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
    vest(state, next, next, events)?;
    act_on_pending(state, events);
    let missed = target.saturating_sub(next);
    if missed > 0 {
        sleep(state, missed, events);
        vest(state, next.saturating_add(1), target, events)?;
        state.epoch = target;
    }
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
fn vest(
    state: &mut State,
    from: Epoch,
    to: Epoch,
    events: &mut Vec<Event>,
) -> Result<(), ApplyError> {
    let ring = state.params.vesting;
    // After `ring` boundaries every slot has been released.
    let last = to.min(from.saturating_add(ring));
    for slot in (from..=last).filter_map(|z| z.checked_rem(ring)) {
        vest_slot(state, slot, events)?;
    }
    Ok(())
}

fn vest_slot(state: &mut State, slot: u32, events: &mut Vec<Event>) -> Result<(), ApplyError> {
    for provider in state.providers.values_mut() {
        let Some(held) = provider.vest.get_mut(slot as usize) else {
            continue;
        };
        let amount = std::mem::take(held);
        if amount == Amount::ZERO {
            continue;
        }
        credit(&mut state.accounts, &provider.payout, amount)?;
        let (provider, account) = (provider.node, provider.payout);
        events.push(Event::Vested {
            provider,
            account,
            amount,
        });
    }
    Ok(())
}

/// Applies pending operations: first those on active contracts, which free room, then Opens.
fn act_on_pending(state: &mut State, events: &mut Vec<Event>) {
    for (provider, queue) in std::mem::take(&mut state.pending) {
        let (held, opens): (BTreeMap<_, _>, BTreeMap<_, _>) = queue
            .0
            .into_iter()
            .partition(|(id, _)| state.contract(id).is_some());
        for (contract, pending) in held.iter().chain(&opens) {
            for result in act(state, &provider, contract, pending) {
                events.push(result.unwrap_or_else(|why| Event::Skipped {
                    provider,
                    contract: *contract,
                    why,
                }));
            }
        }
        if let Some(record) = state.providers.get_mut(&provider) {
            record.start_anew();
        }
    }
    let due: Vec<ContractId> = state
        .notices
        .iter()
        .filter(|(_, epoch)| **epoch <= state.epoch)
        .map(|(contract, _)| *contract)
        .collect();
    for contract in due {
        leave(state, &contract, events);
    }
}

/// A contract whose notice has run out ends as if both sides had agreed.
fn leave(state: &mut State, contract: &ContractId, events: &mut Vec<Event>) {
    let holder = state.contract(contract).map(|(_, provider, _)| provider);
    let Some(provider) = holder else {
        return;
    };
    let contract = *contract;
    let end = close(state, &contract, Provider::close, Ended::Notice);
    events.push(end.unwrap_or_else(|why| Event::Skipped {
        provider,
        contract,
        why,
    }));
    if let Some(record) = state.providers.get_mut(&provider) {
        record.start_anew();
    }
}

/// One contract's operations: its renter's close, the close by both, the move elsewhere, what is
/// lost, the highest revision, another term, then the close if it still is due.
fn act(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    pending: &Pending,
) -> Vec<Result<Event, Skip>> {
    let fault = pending.fault.then(|| close_faulted(state, contract));
    let mutual = pending
        .mutual
        .then(|| close_mutual(state, provider, contract));
    let moved = pending
        .handover
        .as_ref()
        .map(|handover| hand_over(state, provider, handover));
    let loss = pending
        .loss
        .as_ref()
        .map(|lost| lose(state, provider, contract, lost));
    let is_void = matches!(loss, Some(Ok(_)));
    let put = pending.put.as_ref().map(|signed| match is_void {
        true => Err(Skip::Lost),
        false => put(state, provider, signed, pending.reduces),
    });
    let renewed = pending.renews.then(|| renew(state, provider, contract));
    let close = pending
        .close
        .then(|| close_expired(state, provider, contract));
    [fault, mutual, moved, loss, put, renewed, close]
        .into_iter()
        .flatten()
        .collect()
}

/// An Open, a Revise, or a Close + Open: which, the active leaf decides.
fn put(
    state: &mut State,
    provider: &NodeId,
    signed: &SignedLeaf,
    reduces: bool,
) -> Result<Event, Skip> {
    refuse_faulted(state, provider)?;
    let began = state.schedule().epoch_start(state.epoch);
    state.permit_put(signed, state.epoch, began).map_err(skip)?;
    let active = state
        .contract(&signed.leaf.contract_id)
        .map(|(i, holder, leaf)| (i, holder, *leaf));
    match active {
        None => open(state, provider, signed),
        Some((_, holder, _)) if holder != *provider => Err(Skip::Foreign),
        Some((_, _, old)) if old.renter != signed.leaf.renter => Err(Skip::Foreign),
        Some((_, _, old)) if old.revision >= signed.leaf.revision => Err(Skip::Stale),
        Some((_, _, old)) if !reduces && drops(&old, &signed.leaf) => Err(Skip::Drops),
        Some((index, _, old)) if same_money(&old, &signed.leaf) => {
            permit(state, &old.contract_id, Step::Revise)?;
            revise(state, provider, index, &old, &signed.leaf)
        }
        Some((_, _, old)) if state.notices.contains_key(&old.contract_id) => Err(Skip::Notice),
        Some((index, _, old)) => {
            permit(state, &old.contract_id, Step::Extend)?;
            extend(state, provider, index, &old, signed)
        }
    }
}

/// A FAULTED provider neither opens nor changes anything, and saves no collateral by declaring a
/// loss.
fn refuse_faulted(state: &State, provider: &NodeId) -> Result<(), Skip> {
    let record = state.provider(provider).ok_or(Skip::Unknown)?;
    match record.faulted {
        Some(_) => Err(Skip::Faulted),
        None => Ok(()),
    }
}

/// Whether a contract may take a step in its life, from the epoch that begins on.
fn permit(state: &State, contract: &ContractId, step: Step) -> Result<(), Skip> {
    let stage = state.stage(contract).ok_or(Skip::Unknown)?;
    match (life::next(stage, step), stage) {
        (Ok(_), _) => Ok(()),
        (Err(_), Stage::Faulted) => Err(Skip::Faulted),
        (Err(_), _) => Err(Skip::Running),
    }
}

const fn skip(why: SubKeyError) -> Skip {
    match why {
        SubKeyError::Unauthorised | SubKeyError::Verb => Skip::SubKey,
        SubKeyError::Cap { .. } => Skip::Cap,
    }
}

/// Whether the new leaf takes back what the old one promised: that takes a `Reduce`.
fn drops(old: &ContractLeaf, new: &ContractLeaf) -> bool {
    let shrinks = new.used_chunks < old.used_chunks || new.end_epoch < old.end_epoch;
    new.flags != old.flags || (shrinks && old.flags & APPEND_ONLY != 0)
}

/// Opens a contract in the lowest free place.
fn open(state: &mut State, provider: &NodeId, signed: &SignedLeaf) -> Result<Event, Skip> {
    let leaf = &signed.leaf;
    check_leaf(state, leaf, state.params.min_term)?;
    if !larder_contracts::is_bound(leaf, provider) {
        return Err(Skip::Identity);
    }
    if state.contracts.contains_key(&seat_key(&leaf.contract_id)) {
        return Err(Skip::Taken);
    }
    let mut record = state
        .providers
        .get(provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    if record.slash_acc < SLASH_ACC_LEAST {
        return Err(Skip::Slashed);
    }
    let escrow = fund(state, &mut record, signed, Amount::ZERO)?;
    let active = record.open(leaf, escrow.paid).ok_or(Skip::Overflow)?;
    let index = Arc::make_mut(&mut record.active)
        .insert(active)
        .map_err(|_| Skip::Overflow)?;
    let (contract, renter) = (leaf.contract_id, leaf.renter);
    let seat = Seat {
        provider: record.index,
        place: index,
    };
    state.contracts.insert(seat_key(&contract), seat);
    commit(state, record, escrow.renter, renter);
    Ok(Event::Opened {
        provider: *provider,
        renter,
        contract,
        index,
        escrow: escrow.paid,
    })
}

/// Puts the new content in; money, start and what the ledger filled in stay.
fn revise(
    state: &mut State,
    provider: &NodeId,
    index: u32,
    old: &ContractLeaf,
    new: &ContractLeaf,
) -> Result<Event, Skip> {
    if new.used_chunks > new.capacity_chunks {
        return Err(Skip::Capacity);
    }
    let leaf = ContractLeaf {
        slash_acc: old.slash_acc,
        unpaid_at_start: old.unpaid_at_start,
        ..*new
    };
    let record = state.providers.get_mut(provider).ok_or(Skip::Unknown)?;
    Arc::make_mut(&mut record.active)
        .replace(index, leaf)
        .map_err(|_| Skip::Overflow)?;
    Ok(Event::Revised {
        provider: *provider,
        renter: leaf.renter,
        contract: leaf.contract_id,
        revision: leaf.revision,
    })
}

/// Settles the old terms and opens the new ones in the same place.
fn extend(
    state: &mut State,
    provider: &NodeId,
    index: u32,
    old: &ContractLeaf,
    signed: &SignedLeaf,
) -> Result<Event, Skip> {
    let leaf = &signed.leaf;
    check_leaf(state, leaf, 1)?;
    let mut record = state
        .providers
        .get(provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    if record.slash_acc < SLASH_ACC_LEAST {
        return Err(Skip::Slashed);
    }
    let settled = record.close(old, state.epoch).ok_or(Skip::Overflow)?;
    let escrow = fund(state, &mut record, signed, settled.refund)?;
    let active = record.open(leaf, escrow.paid).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, active)
        .map_err(|_| Skip::Overflow)?;
    let (contract, renter) = (leaf.contract_id, leaf.renter);
    commit(state, record, escrow.renter, renter);
    Ok(Event::Extended {
        provider: *provider,
        renter,
        contract,
        revision: leaf.revision,
        refund: settled.refund,
        escrow: escrow.paid,
    })
}

/// Another term like the one before, at the same rate, out of the renter's balance, as both sides
/// agreed when it opened.
fn renew(state: &mut State, provider: &NodeId, contract: &ContractId) -> Result<Event, Skip> {
    let (index, holder, old) = state.contract(contract).ok_or(Skip::Unknown)?;
    let old = *old;
    if holder != *provider {
        return Err(Skip::Foreign);
    }
    if old.flags & AUTO_RENEW == 0 || state.stage(contract) != Some(Stage::Expiring) {
        return Err(Skip::Renewal);
    }
    permit(state, contract, Step::Extend)?;
    if state.notices.contains_key(contract) {
        return Err(Skip::Notice);
    }
    let leaf = larder_contracts::renewed(&old, state.epoch, &state.params).ok_or(Skip::Term)?;
    check_leaf(state, &leaf, 1)?;
    let mut record = state
        .providers
        .get(provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    if record.slash_acc < SLASH_ACC_LEAST {
        return Err(Skip::Slashed);
    }
    let settled = record.close(&old, state.epoch).ok_or(Skip::Overflow)?;
    let escrow = pay(state, &record, &leaf, settled.refund)?;
    let active = record.open(&leaf, escrow.paid).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, active)
        .map_err(|_| Skip::Overflow)?;
    commit(state, record, escrow.renter, leaf.renter);
    Ok(Event::Extended {
        provider: *provider,
        renter: leaf.renter,
        contract: *contract,
        revision: leaf.revision,
        refund: settled.refund,
        escrow: escrow.paid,
    })
}

/// Closes a contract here and opens it there, or neither.
fn hand_over(state: &mut State, from: &NodeId, handover: &Handover) -> Result<Event, Skip> {
    let Handover { contract, to, .. } = *handover;
    let (index, holder, old) = state.contract(&contract).ok_or(Skip::Unknown)?;
    let (old, signed) = (*old, &handover.signed);
    let leaf = &signed.leaf;
    if holder != *from || to == *from {
        return Err(Skip::Foreign);
    }
    permit(state, &contract, Step::CloseMutual)?;
    if !handover.continues(&old) {
        return Err(Skip::Handover);
    }
    refuse_faulted(state, &to)?;
    let began = state.schedule().epoch_start(state.epoch);
    state.permit_put(signed, state.epoch, began).map_err(skip)?;
    check_leaf(state, leaf, 1)?;
    if !larder_contracts::is_bound(leaf, &to) {
        return Err(Skip::Identity);
    }
    if state.contracts.contains_key(&seat_key(&leaf.contract_id)) {
        return Err(Skip::Taken);
    }
    let record = |id| state.providers.get(id).cloned().ok_or(Skip::Unknown);
    let (mut left, mut heir) = (record(from)?, record(&to)?);
    if heir.slash_acc < SLASH_ACC_LEAST {
        return Err(Skip::Slashed);
    }
    let settled = left.close(&old, state.epoch).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut left.active)
        .remove(index)
        .map_err(|_| Skip::Unknown)?;
    let escrow = fund(state, &mut heir, signed, settled.refund)?;
    let active = heir.open(leaf, escrow.paid).ok_or(Skip::Overflow)?;
    let place = Arc::make_mut(&mut heir.active)
        .insert(active)
        .map_err(|_| Skip::Overflow)?;
    let seat = Seat {
        provider: heir.index,
        place,
    };
    state.contracts.remove(&seat_key(&contract));
    state.notices.remove(&contract);
    state.lost_alone.remove(&contract);
    state.contracts.insert(seat_key(&leaf.contract_id), seat);
    state.providers.insert(left.node, left);
    commit(state, heir, escrow.renter, leaf.renter);
    Ok(Event::HandedOver {
        from: *from,
        to,
        renter: leaf.renter,
        contract,
        successor: leaf.contract_id,
        refund: settled.refund,
        escrow: escrow.paid,
    })
}

/// Takes the lost shards out of a contract and settles their share; closes it if nothing is left.
fn lose(
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
        return close(state, contract, Provider::close_lost, Ended::Lost);
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
    let renter = credited(state, &leaf.renter, settled.refund)?;
    commit(state, record, renter, leaf.renter);
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
fn close_faulted(state: &mut State, contract: &ContractId) -> Result<Event, Skip> {
    permit(state, contract, Step::CloseFaulted)?;
    close(state, contract, Provider::close_faulted, Ended::Fault)
}

/// Ends a contract before its end, as both sides agreed.
fn close_mutual(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
) -> Result<Event, Skip> {
    match state.contract(contract) {
        Some((_, holder, _)) if holder == *provider => {
            permit(state, contract, Step::CloseMutual)?;
            close(state, contract, Provider::close, Ended::Mutual)
        }
        Some(_) => Err(Skip::Foreign),
        None => Err(Skip::Unknown),
    }
}

/// Removes a contract whose end has come.
fn close_expired(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
) -> Result<Event, Skip> {
    let (_, holder, leaf) = state.contract(contract).ok_or(Skip::Unknown)?;
    if holder != *provider {
        return Err(Skip::Foreign);
    }
    if leaf.end_epoch > state.epoch {
        return Err(Skip::Running);
    }
    permit(state, contract, Step::CloseExpired)?;
    close(state, contract, Provider::close, Ended::Expired)
}

/// How a contract's money is shared out at an epoch.
type Settle = fn(&mut Provider, &ContractLeaf, Epoch) -> Option<Settlement>;

/// Removes a contract and settles it.
fn close(
    state: &mut State,
    contract: &ContractId,
    settle: Settle,
    why: Ended,
) -> Result<Event, Skip> {
    let (index, provider, leaf) = state.contract(contract).ok_or(Skip::Unknown)?;
    let leaf = *leaf;
    let mut record = state
        .providers
        .get(&provider)
        .cloned()
        .ok_or(Skip::Unknown)?;
    let settled = settle(&mut record, &leaf, state.epoch).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .remove(index)
        .map_err(|_| Skip::Unknown)?;
    let renter = credited(state, &leaf.renter, settled.refund)?;
    state.contracts.remove(&seat_key(contract));
    state.notices.remove(contract);
    state.lost_alone.remove(contract);
    commit(state, record, renter, leaf.renter);
    Ok(Event::Closed {
        provider,
        renter: leaf.renter,
        contract: *contract,
        refund: settled.refund,
        freed: settled.freed,
        why,
    })
}

/// A renter's account with `amount` more.
fn credited(state: &State, renter: &AccountId, amount: Amount) -> Result<Account, Skip> {
    let mut account = state.accounts.get(renter).copied().unwrap_or_default();
    account.balance = account.balance.checked_add(amount).ok_or(Skip::Overflow)?;
    Ok(account)
}

/// The rules of every leaf that begins at this boundary.
fn check_leaf(state: &State, leaf: &ContractLeaf, min_term: u32) -> Result<(), Skip> {
    let params = &state.params;
    if leaf.start_epoch != state.epoch {
        return Err(Skip::Start);
    }
    let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
    if !leaf.end_epoch.is_multiple_of(END_STEP) || !(min_term..=params.max_term).contains(&term) {
        return Err(Skip::Term);
    }
    if leaf.capacity_chunks < params.min_capacity_chunks.max(leaf.used_chunks) {
        return Err(Skip::Capacity);
    }
    if leaf.rate < params.min_rate {
        return Err(Skip::Rate);
    }
    let least = leaf
        .rate
        .checked_mul(u64::from(params.collateral_epochs))
        .ok_or(Skip::Overflow)?;
    if leaf.collateral < least {
        return Err(Skip::Collateral);
    }
    if leaf.egress_paid != Amount::ZERO {
        return Err(Skip::Field);
    }
    Ok(())
}

/// A renter's account after it paid, and what it paid.
struct Funded {
    renter: Account,
    paid: Amount,
}

/// Spends the nonce and takes rate × term + deposit from the renter, to whom `refund` comes first;
/// what is more than that counts against the cap of the sub-key that signed.
fn fund(
    state: &mut State,
    record: &mut Provider,
    signed: &SignedLeaf,
    refund: Amount,
) -> Result<Funded, Skip> {
    let leaf = &signed.leaf;
    let auth = signed.auth.ok_or(Skip::NoAuth)?;
    let Funded { mut renter, paid } = pay(state, record, leaf, refund)?;
    renter.nonces.spend(auth.nonce).map_err(|_| Skip::Nonce)?;
    let deed = Deed {
        need: May::NOTHING,
        amount: paid.saturating_sub(refund),
        epoch: state.epoch,
        time: state.schedule().epoch_start(state.epoch),
    };
    state
        .subkeys
        .spend(&leaf.renter, signed.by, &deed)
        .map_err(skip)?;
    Ok(Funded { renter, paid })
}

/// Takes rate × term + deposit from the renter, to whom `refund` comes first; and sees that the
/// collateral is there.
fn pay(
    state: &State,
    record: &Provider,
    leaf: &ContractLeaf,
    refund: Amount,
) -> Result<Funded, Skip> {
    let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
    let paid = larder_contracts::judge::cost(leaf, term).map_err(|_| Skip::Overflow)?;
    let mut renter = state
        .accounts
        .get(&leaf.renter)
        .copied()
        .ok_or(Skip::Balance)?;
    renter.balance = renter.balance.checked_add(refund).ok_or(Skip::Overflow)?;
    renter.balance = renter.balance.checked_sub(paid).ok_or(Skip::Balance)?;
    if record.free < leaf.collateral {
        return Err(Skip::Free);
    }
    Ok(Funded { renter, paid })
}

/// Puts both changed records in place: from here on nothing can fail.
fn commit(state: &mut State, record: Provider, renter: Account, renter_id: AccountId) {
    *account_mut(&mut state.accounts, &renter_id) = renter;
    state.providers.insert(record.node, record);
}
