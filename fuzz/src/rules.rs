//! The network of a made history: by which rules it goes, and how its credit comes to be.

use crate::examples::{genesis, signer};
use crate::ledger::{PROVIDERS, RENTERS};
use crate::{Dice, Make};
use larder_ledger::{Consensus, Genesis, Supply};
use larder_types::{Amount, Millis, Params, Profile};

/// One of the three sets of rules, with epochs of eight seconds, and one of the three supplies: granted,
/// shared out, or mutual. Its validator may stay for good, or have others beside it.
pub(crate) fn document(dice: &mut Dice<'_>) -> Genesis {
    let mut params = params(dice);
    let share = |seed: u8| (signer(seed).account(), Amount::from_credits(100));
    let consensus = Consensus::make(dice);
    let genesis = |params| Genesis {
        consensus,
        ..genesis(params)
    };
    let mut allocation: Vec<_> = RENTERS.into_iter().chain(PROVIDERS).map(share).collect();
    allocation.sort();
    let supply = match dice.below(3) {
        0 => return genesis(params),
        1 => Supply::Fixed { allocation },
        _ => Supply::Mutual { allocation },
    };
    params.faucet = None;
    params.existence = Amount(dice.below(2) * 1_000);
    Genesis {
        supply,
        ..genesis(params)
    }
}

fn params(dice: &mut Dice<'_>) -> Params {
    let profile = Profile::make(dice);
    Params {
        faucet: Some(Amount::from_credits(100)),
        existence: Amount::ZERO,
        min_capacity_chunks: 0,
        // Each slot's beacon takes long to check.
        slots: 4,
        validator_bond: Amount::from_credits(3),
        ..Params::profile(profile).with_epoch(Millis(8_000))
    }
}
