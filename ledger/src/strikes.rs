//! What misses and false proofs cost a provider at an epoch's end: charges against its collateral,
//! and in the end FAULTED. `docs/protocol.md` §3.6.

use crate::provider::Provider;
use crate::{Event, State, Verdict};
use larder_types::{AccountId, Amount, Epoch};
use std::collections::BTreeSet;

/// Epochs of pay that the first five misses of the trailing 30 epochs cost; the next one faults.
pub const CHARGES: [u64; 5] = [0, 1, 2, 4, 8];
/// A false proof costs one in this many of what is locked.
pub const FAIL_SHARE: u64 = 4;

/// Fewer active providers than this make no storm.
const STORM_PROVIDERS: usize = 50;
/// More than this share of the whole weight is missing.
const STORM_PERCENT: u128 = 15;
/// So many operators are: one cannot make a storm by himself.
const STORM_OPERATORS: usize = 5;

/// What ends, for all providers alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EpochEnd {
    /// The epoch.
    pub(crate) epoch: Epoch,
    /// Whether a miss is a strike: not where nobody passed, as then the network itself was at
    /// fault.
    strikes: bool,
    /// Whether so much is missing at once that it is the network's trouble, not the providers'.
    is_storm: bool,
    faulted_after: u32,
}

impl EpochEnd {
    /// The end of the state's epoch, whose verdicts are all given.
    pub(crate) fn of(state: &State) -> Self {
        Self {
            epoch: state.epoch,
            strikes: state.providers().any(|p| p.verdict == Some(Verdict::Pass)),
            is_storm: is_storm(state),
            faulted_after: state.params.faulted_after,
        }
    }
}

/// At least 50 providers are active, more than 15 % of the whole weight missed in this epoch, and so
/// did at least 5 operators: the ledger knows them by the accounts that they are paid to.
fn is_storm(state: &State) -> bool {
    let active = || state.providers().filter(|p| p.sum() > Amount::ZERO);
    if active().count() < STORM_PROVIDERS {
        return false;
    }
    let weight = |p: &Provider| u128::from(p.sum().0);
    let missing = || active().filter(|p| p.verdict == Some(Verdict::Miss));
    let operators: BTreeSet<AccountId> = missing().map(|p| p.payout).collect();
    let (all, gone): (u128, u128) = (active().map(weight).sum(), missing().map(weight).sum());
    // Weights are amounts below 2^63, of fewer than 2^32 providers.
    operators.len() >= STORM_OPERATORS
        && gone.saturating_mul(100) > all.saturating_mul(STORM_PERCENT)
}

/// Ends an epoch for one provider. One that is FAULTED already is charged no more, but a false proof
/// still costs it the pay that has not vested: what is to be burned.
pub(crate) fn end_epoch(
    provider: &mut Provider,
    end: &EpochEnd,
    events: &mut Vec<Event>,
) -> Amount {
    let verdict = provider.verdict;
    let is_struck = end.strikes && verdict == Some(Verdict::Miss);
    provider.end_epoch(end.epoch, is_struck);
    match verdict {
        _ if provider.faulted.is_some() => {}
        Some(Verdict::Miss) if is_struck => miss(provider, end, events),
        Some(Verdict::Fail) => fail(provider, end, events),
        Some(Verdict::Pass | Verdict::Miss | Verdict::Declared) | None => {}
    }
    match verdict {
        Some(Verdict::Fail) => forfeit(provider, end, events),
        Some(Verdict::Pass | Verdict::Miss | Verdict::Declared) | None => Amount::ZERO,
    }
}

/// Unvested pay is lost.
fn forfeit(provider: &mut Provider, end: &EpochEnd, events: &mut Vec<Event>) -> Amount {
    let amount = provider.forfeit_unvested();
    if amount > Amount::ZERO {
        events.push(Event::Forfeited {
            provider: provider.node,
            epoch: end.epoch,
            amount,
        });
    }
    amount
}

/// The j-th miss in the trailing epochs.
fn miss(provider: &mut Provider, end: &EpochEnd, events: &mut Vec<Event>) {
    let miss = provider.misses.count_ones();
    let before = usize::try_from(miss).map_or(CHARGES.len(), |j| j.saturating_sub(1));
    let charge = CHARGES.get(before);
    if end.is_storm && provider.may_be_spared(end.epoch) {
        provider.spared = Some(end.epoch);
        events.push(Event::Spared {
            provider: provider.node,
            epoch: end.epoch,
            miss,
        });
    } else if let Some(epochs) = charge {
        let wanted = provider.pay_of(*epochs);
        strike(provider, end, miss, wanted, events);
    }
    if charge.is_none() || provider.consecutive_misses() >= end.faulted_after {
        fault(provider, end, events);
    }
}

/// A false proof under the provider's own signature.
fn fail(provider: &mut Provider, end: &EpochEnd, events: &mut Vec<Event>) {
    let wanted = Amount(provider.locked.0.div_ceil(FAIL_SHARE));
    strike(provider, end, 0, wanted, events);
    fault(provider, end, events);
}

fn strike(
    provider: &mut Provider,
    end: &EpochEnd,
    miss: u32,
    wanted: Amount,
    events: &mut Vec<Event>,
) {
    let amount = provider.charge(wanted);
    events.push(Event::Charged {
        provider: provider.node,
        epoch: end.epoch,
        miss,
        amount,
    });
}

/// FAULTED, from the epoch that begins.
fn fault(provider: &mut Provider, end: &EpochEnd, events: &mut Vec<Event>) {
    let epoch = end.epoch.saturating_add(1);
    provider.faulted = Some(epoch);
    provider.clean = 0;
    events.push(Event::Faulted {
        provider: provider.node,
        epoch,
    });
}
