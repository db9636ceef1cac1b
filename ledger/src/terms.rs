//! A contract's terms at a boundary: an Open, a revision, new money terms in its place, another term,
//! the move to another provider. Each is applied whole or skipped. `docs/protocol.md` §3.3, §3.4.

use crate::egress::{Till, counted};
use crate::provider::{Provider, SLASH_ACC_LEAST, TRIAL};
use crate::purse::Purse;
use crate::state::{Seat, seat_key};
use crate::{Deed, Event, Handover, May, Nonces, Skip, State, SubKeyError};
use larder_contracts::life::{self, Stage, Step};
use larder_contracts::{SignedLeaf, same_money};
use larder_proofs::{APPEND_ONLY, AUTO_RENEW, ContractLeaf};
use larder_types::{AccountId, Amount, ContractId, Epoch, NodeId};
use std::sync::Arc;

/// Ends lie on multiples of this.
const END_STEP: Epoch = larder_contracts::draft::END_STEP;

/// An Open, a Revise, or a Close + Open: which, the active leaf decides.
pub(crate) fn put(
    state: &mut State,
    provider: &NodeId,
    signed: &SignedLeaf,
    reduces: bool,
    till: &mut Till<'_>,
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
            revise(state, provider, index, &old, &signed.leaf, till)
        }
        Some((_, _, old)) if state.notices.contains_key(&old.contract_id) => Err(Skip::Notice),
        Some((index, _, old)) => {
            permit(state, &old.contract_id, Step::Extend)?;
            extend(state, provider, index, &old, signed, till)
        }
    }
}

/// A FAULTED provider neither opens nor changes anything, and saves no collateral by declaring a
/// loss.
pub(crate) fn refuse_faulted(state: &State, provider: &NodeId) -> Result<(), Skip> {
    let record = state.provider(provider).ok_or(Skip::Unknown)?;
    match record.faulted {
        Some(_) => Err(Skip::Faulted),
        None => Ok(()),
    }
}

/// Whether a contract may take a step in its life, from the epoch that begins on.
pub(crate) fn permit(state: &State, contract: &ContractId, step: Step) -> Result<(), Skip> {
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
        return Err(Skip::Second);
    }
    let mut record = copy_of(state, provider)?;
    let escrow = fund(state, &record, signed, Returned::default())?;
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
    commit(state, record, &renter, escrow);
    state.accounts.or_default(renter).tie();
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
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    if new.used_chunks > new.capacity_chunks {
        return Err(Skip::Capacity);
    }
    let due = till.due(state, provider, old);
    let old = counted(old, due)?;
    let leaf = ContractLeaf {
        slash_acc: old.slash_acc,
        unpaid_at_start: old.unpaid_at_start,
        egress_paid: old.egress_paid,
        ..*new
    };
    // In place: a copy of the record would copy its tree.
    let record = state.providers.get_mut(provider).ok_or(Skip::Unknown)?;
    let escrow = record.escrow.checked_sub(due).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, leaf)
        .map_err(|_| Skip::Overflow)?;
    record.escrow = escrow;
    till.pay(state, provider, &old, due);
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
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
    let leaf = &signed.leaf;
    check_leaf(state, leaf, 1)?;
    let mut record = copy_of(state, provider)?;
    let (old, due) = till.settle(state, &mut record, old)?;
    let settled = record.close(&old, state.epoch).ok_or(Skip::Overflow)?;
    let escrow = fund(
        state,
        &record,
        signed,
        Returned::of(&old, settled.refund, state.epoch),
    )?;
    let active = record.open(leaf, escrow.paid).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, active)
        .map_err(|_| Skip::Overflow)?;
    let (contract, renter) = (leaf.contract_id, leaf.renter);
    commit(state, record, &renter, escrow);
    till.pay(state, provider, &old, due);
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
pub(crate) fn renew(
    state: &mut State,
    provider: &NodeId,
    contract: &ContractId,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
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
    let mut record = copy_of(state, provider)?;
    let (old, due) = till.settle(state, &mut record, &old)?;
    let settled = record.close(&old, state.epoch).ok_or(Skip::Overflow)?;
    let escrow = pay(state, &record, &leaf, settled.refund)?;
    let active = record.open(&leaf, escrow.paid).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut record.active)
        .replace(index, active)
        .map_err(|_| Skip::Overflow)?;
    commit(state, record, &leaf.renter, escrow);
    till.pay(state, provider, &old, due);
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
pub(crate) fn hand_over(
    state: &mut State,
    from: &NodeId,
    handover: &Handover,
    till: &mut Till<'_>,
) -> Result<Event, Skip> {
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
        return Err(Skip::Second);
    }
    let (mut left, mut heir) = (record_of(state, from)?, copy_of(state, &to)?);
    let (old, due) = till.settle(state, &mut left, &old)?;
    let settled = left.close(&old, state.epoch).ok_or(Skip::Overflow)?;
    Arc::make_mut(&mut left.active)
        .remove(index)
        .map_err(|_| Skip::Unknown)?;
    let returned = Returned::of(&old, settled.refund, state.epoch);
    let escrow = fund(state, &heir, signed, returned)?;
    let active = heir.open(leaf, escrow.paid).ok_or(Skip::Overflow)?;
    let place = Arc::make_mut(&mut heir.active)
        .insert(active)
        .map_err(|_| Skip::Overflow)?;
    let seat = Seat {
        provider: heir.index,
        place,
    };
    state.forget(&contract);
    state.contracts.insert(seat_key(&leaf.contract_id), seat);
    state.providers.insert(left.node, left);
    commit(state, heir, &leaf.renter, escrow);
    till.pay(state, from, &old, due);
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
    Ok(())
}

/// A copy of a provider's record, to be changed and put back.
fn record_of(state: &State, provider: &NodeId) -> Result<Provider, Skip> {
    let record = state.providers.get(provider);
    record.cloned().ok_or(Skip::Unknown)
}

/// The same, of a provider under which terms may begin.
fn copy_of(state: &State, provider: &NodeId) -> Result<Provider, Skip> {
    match record_of(state, provider)? {
        record if record.slash_acc < SLASH_ACC_LEAST => Err(Skip::Slashed),
        record => Ok(record),
    }
}

/// What old terms gave back to their renter.
#[derive(Debug, Clone, Copy, Default)]
struct Returned {
    /// All of it.
    refund: Amount,
    /// What of it had been set aside for the future: the rest of the term and of the deposit. The rest
    /// was the renter's anyhow: epochs that were not paid, collateral that was charged.
    ahead: Amount,
}

impl Returned {
    fn of(old: &ContractLeaf, refund: Amount, z: Epoch) -> Self {
        let left = u64::from(old.end_epoch.saturating_sub(z));
        let deposit = old.egress_deposit.saturating_sub(old.egress_paid);
        let ahead = old
            .rate
            .checked_mul(left)
            .and_then(|pay| pay.checked_add(deposit));
        Self {
            refund,
            ahead: ahead.unwrap_or(refund).min(refund),
        }
    }
}

/// A renter after it paid, and what it paid.
#[derive(Debug, Clone, Copy)]
struct Funded {
    purse: Purse,
    /// If a nonce was spent.
    nonces: Option<Nonces>,
    paid: Amount,
    /// Whether the collateral is less than others owe.
    is_bare: bool,
}

/// Spends the nonce and takes rate × term + deposit from the renter, to whom what old terms gave back
/// comes first; what is more than these had set aside counts against the cap of the sub-key that
/// signed. What renews by itself is paid without anybody's signature later, so its terms are the
/// account key's to sign.
fn fund(
    state: &mut State,
    record: &Provider,
    signed: &SignedLeaf,
    returned: Returned,
) -> Result<Funded, Skip> {
    let leaf = &signed.leaf;
    let auth = signed.auth.ok_or(Skip::NoAuth)?;
    if leaf.flags & AUTO_RENEW != 0 && signed.by.is_some() {
        return Err(Skip::SubKey);
    }
    let funded = pay(state, record, leaf, returned.refund)?;
    let account = state.account(&leaf.renter).ok_or(Skip::Balance)?;
    let mut nonces = account.nonces;
    nonces.spend(auth.nonce).map_err(|_| Skip::Nonce)?;
    let deed = Deed {
        need: May::NOTHING,
        amount: funded.paid.saturating_sub(returned.ahead),
        epoch: state.epoch,
        time: state.schedule().epoch_start(state.epoch),
    };
    state
        .subkeys
        .spend(&leaf.renter, signed.by, &deed)
        .map_err(skip)?;
    Ok(Funded {
        nonces: Some(nonces),
        ..funded
    })
}

/// Whether a provider may take a contract on beside those in its record: what it may hold, and the
/// collateral. Up to the capacity at which strangers may begin it may be less, or none; then what the
/// provider is paid becomes collateral first. Gives whether it is so.
fn is_bare(state: &State, record: &Provider, leaf: &ContractLeaf) -> Result<bool, Skip> {
    let params = &state.params;
    let starter = params.starter_capacity_chunks;
    let capacity = record
        .capacity
        .checked_add(leaf.capacity_chunks)
        .ok_or(Skip::Overflow)?;
    if capacity > record.capacity_most(starter) {
        return Err(Skip::Trial);
    }
    let epochs = |n: u32| leaf.rate.checked_mul(u64::from(n)).ok_or(Skip::Overflow);
    let (least, most) = (
        epochs(params.collateral_epochs)?,
        epochs(params.collateral_most)?,
    );
    let is_bare = leaf.collateral < least;
    if leaf.collateral > most || (is_bare && capacity > starter) {
        return Err(Skip::Collateral);
    }
    if record.free < leaf.collateral {
        return Err(Skip::Free);
    }
    Ok(is_bare)
}

/// Takes rate × term + deposit from the renter, to whom `refund` comes first; and sees that the
/// provider may take the contract on.
fn pay(
    state: &State,
    record: &Provider,
    leaf: &ContractLeaf,
    refund: Amount,
) -> Result<Funded, Skip> {
    let is_bare = is_bare(state, record, leaf)?;
    let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
    let paid = larder_contracts::judge::cost(leaf, term).map_err(|_| Skip::Overflow)?;
    let purse = state.purse(&leaf.renter).with(refund);
    let purse = purse.without(paid).ok_or(Skip::Balance)?;
    Ok(Funded {
        purse,
        nonces: None,
        paid,
        is_bare,
    })
}

/// Puts both changed records in place: from here on nothing can fail.
fn commit(state: &mut State, mut record: Provider, renter: &AccountId, funded: Funded) {
    if funded.is_bare {
        record.on_trial = TRIAL;
    }
    state.put_purse(renter, funded.purse);
    if let Some(nonces) = funded.nonces {
        state.accounts.or_default(*renter).nonces = nonces;
    }
    state.providers.insert(record.node, record);
}
