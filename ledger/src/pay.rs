//! What a slot's verdicts pay: each provider of the slot has its epoch's pay, or not. Fee and burn come
//! first, the rest vests. `docs/protocol.md` §3.4, §3.5, §3.12.

use crate::censorship::may_be_censored;
use crate::provider::Provider;
use crate::verdict::verdict;
use crate::{ApplyError, Event, Header, Reason, State, Unpaid, VerdictBatch};
use larder_types::{AccountId, Amount, Epoch, NodeId, Params};
use std::collections::BTreeMap;

/// Parts in a million.
const PPM: u64 = 1_000_000;

/// What of a payment is not its recipient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fee {
    /// All of it.
    pub(crate) fee: Amount,
    /// What of it is burned; the rest goes to who made the block.
    pub(crate) burn: Amount,
}

impl Fee {
    /// φ of a payment; `None` if it does not fit. Rounding goes against the recipient.
    pub(crate) fn of(pay: Amount, params: &Params) -> Option<Self> {
        let share = |ppm: u32| {
            let product = u128::from(pay.0).checked_mul(u128::from(ppm))?;
            u64::try_from(product.div_ceil(u128::from(PPM)))
                .ok()
                .map(Amount)
        };
        Some(Self {
            fee: share(params.fee_ppm)?,
            burn: share(params.burn_ppm)?,
        })
    }

    /// Of what is all fee half is burned, rounded up.
    pub(crate) const fn all(fee: Amount) -> Self {
        Self {
            fee,
            burn: Amount(fee.0.div_ceil(2)),
        }
    }
}

impl State {
    /// Takes in a fee that has left its payer.
    pub(crate) fn collect(&mut self, Fee { fee, burn }: Fee) {
        let burned = self.burned.checked_add(burn);
        self.burned = burned.expect("all credit is below 2^63 nano");
        let payee = self.payee;
        self.give(&payee, fee.saturating_sub(burn));
    }
}

/// A slot's verdicts: each of its providers is paid or not.
pub(crate) fn judge(
    state: &mut State,
    batch: &VerdictBatch,
    header: &Header,
    events: &mut Vec<Event>,
) -> Result<(), ApplyError> {
    let slot = batch.slot;
    if !state.slots_to_judge(header.time).contains(&slot) {
        return Err(ApplyError::NotOwed(slot));
    }
    let asked: Vec<NodeId> = state.slot_providers(slot).iter().map(|p| p.node).collect();
    let (got, want) = (batch.results.len(), asked.len());
    if got != want {
        return Err(ApplyError::Coverage { slot, got, want });
    }
    let mut withheld = BTreeMap::new();
    for (provider, result) in asked.iter().zip(&batch.results) {
        let unpaid = judge_one(state, provider, *result, events)?;
        if let Some(amount) = unpaid.filter(|_| may_be_censored(*result)) {
            withheld.insert(*provider, amount);
        }
    }
    state.note_withheld(slot, header.proposer, withheld);
    let targets = state.slot_targets(slot);
    let (got, want) = (batch.targeted.len(), targets.len());
    if got != want {
        return Err(ApplyError::Coverage { slot, got, want });
    }
    for ((_, contract, challenge), result) in targets.into_iter().zip(&batch.targeted) {
        let result = match challenge {
            Some(_) => *result,
            None => Some(Reason::Excused),
        };
        state.judge_target(contract, result);
    }
    state.judged.insert(slot);
    Ok(())
}

/// Gives what it withholds because of the verdict.
fn judge_one(
    state: &mut State,
    id: &NodeId,
    result: Option<Reason>,
    events: &mut Vec<Event>,
) -> Result<Option<Amount>, ApplyError> {
    let epoch = state.epoch;
    let provider = state.providers.get_mut(id).ok_or(ApplyError::Overflow)?;
    let result = match provider.is_away(epoch) {
        true => Some(Reason::Maintenance),
        false => result,
    };
    provider.verdict = Some(verdict(result));
    let root = provider.root();
    let unpaid = |why| Event::Unpaid {
        provider: *id,
        epoch,
        epochs: 1,
        withheld: Amount(root.sum),
        why,
    };
    match result {
        None if root.min_end > epoch => pay(state, id, events)?,
        None => events.push(unpaid(Unpaid::Expired)),
        Some(Reason::Maintenance) => {
            events.push(unpaid(Unpaid::Verdict(Reason::Maintenance)));
        }
        Some(reason) => {
            events.push(unpaid(Unpaid::Verdict(reason)));
            // What has ended would not have been paid for in any case.
            return Ok((root.min_end > epoch).then_some(Amount(root.sum)));
        }
    }
    Ok(None)
}

/// A proven epoch: the tree's sum leaves escrow; fee and burn first, the rest vests.
fn pay(state: &mut State, id: &NodeId, events: &mut Vec<Event>) -> Result<(), ApplyError> {
    let epoch = state.epoch;
    let ring = state.params.vesting;
    let provider = state.providers.get_mut(id).ok_or(ApplyError::Overflow)?;
    let pay = provider.sum();
    let fee = Fee::of(pay, &state.params).ok_or(ApplyError::Overflow)?;
    let net = pay.checked_sub(fee.fee).ok_or(ApplyError::Overflow)?;
    provider.escrow = provider
        .escrow
        .checked_sub(pay)
        .ok_or(ApplyError::Overflow)?;
    provider.paid = true;
    let payout = hold(provider, net, epoch, ring)?;
    events.push(Event::Paid {
        provider: *id,
        epoch,
        pay,
        fee: fee.fee,
    });
    if let Some((account, amount)) = payout {
        match provider.keeps(amount) {
            true => events.push(Event::Backed {
                provider: *id,
                amount,
            }),
            false => state.give(&account, amount),
        }
    }
    state.collect(fee);
    Ok(())
}

/// Puts net pay in the vesting ring, or says where it goes at once.
fn hold(
    provider: &mut Provider,
    net: Amount,
    epoch: Epoch,
    ring: u32,
) -> Result<Option<(AccountId, Amount)>, ApplyError> {
    let Some(slot) = epoch.checked_rem(ring) else {
        return Ok(Some((provider.payout, net)));
    };
    let held = provider
        .vest
        .get_mut(slot as usize)
        .ok_or(ApplyError::Overflow)?;
    *held = held.checked_add(net).ok_or(ApplyError::Overflow)?;
    Ok(None)
}
