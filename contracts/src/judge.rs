//! Whether a provider accepts a contract or an extension that a renter proposes: one pure
//! function of the leaf, the offer and what there is room for. `docs/protocol.md` §3.10.

use crate::draft::{END_STEP, collateral};
use crate::{Offer, Refusal, is_bound, rate};
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch, Params};

/// What a proposal is judged against. For an extension, count as if the leaf that it replaces
/// were closed: its capacity, collateral and refund are free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The current epoch.
    pub epoch: Epoch,
    /// Quota not yet promised to anyone, chunks.
    pub quota_free_chunks: u64,
    /// The renter's balance on the ledger.
    pub renter_balance: Amount,
    /// The provider's free collateral on the ledger.
    pub collateral_free: Amount,
}

/// Judges a leaf that would become active at the next epoch or the one after it (the latter
/// where the next boundary is too near for its operation to be included in time).
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn judge(
    leaf: &ContractLeaf,
    offer: &Offer,
    room: &Room,
    params: &Params,
) -> Result<(), Refusal> {
    if !is_bound(leaf, &offer.provider) {
        return Err(Refusal::Identity);
    }
    let term = judge_term(leaf, offer, room, params)?;
    judge_price(leaf, offer, params)?;
    judge_capacity(leaf, room, params)?;
    judge_money(leaf, term, room)
}

/// What a leaf costs its renter when it opens: rate × term + egress deposit.
///
/// # Errors
/// [`Refusal::Overflow`] beyond any supply.
pub fn cost(leaf: &ContractLeaf, term: u32) -> Result<Amount, Refusal> {
    leaf.rate
        .checked_mul(u64::from(term))
        .and_then(|pay| pay.checked_add(leaf.egress_deposit))
        .ok_or(Refusal::Overflow)
}

fn judge_term(
    leaf: &ContractLeaf,
    offer: &Offer,
    room: &Room,
    params: &Params,
) -> Result<u32, Refusal> {
    let (start, end) = (leaf.start_epoch, leaf.end_epoch);
    let earliest = room.epoch.saturating_add(1);
    let latest = room.epoch.saturating_add(2);
    if !(earliest..=latest).contains(&start) {
        return Err(Refusal::Start {
            start,
            earliest,
            latest,
        });
    }
    if !end.is_multiple_of(END_STEP) {
        return Err(Refusal::End { end });
    }
    let min = offer.min_term.max(params.min_term);
    // The end is rounded up to a multiple of seven: the offer's longest term tolerates that.
    let max = offer
        .max_term
        .saturating_add(END_STEP.saturating_sub(1))
        .min(params.max_term);
    let term = end.saturating_sub(start);
    if !(min..=max).contains(&term) {
        return Err(Refusal::Term { term, min, max });
    }
    Ok(term)
}

fn judge_price(leaf: &ContractLeaf, offer: &Offer, params: &Params) -> Result<(), Refusal> {
    let needed = rate(offer.price, leaf.capacity_chunks, params);
    if leaf.rate < needed {
        return Err(Refusal::Rate {
            rate: leaf.rate,
            needed,
        });
    }
    let least = collateral(leaf.rate, params.collateral_epochs, params);
    if leaf.collateral < least {
        return Err(Refusal::CollateralLow {
            collateral: leaf.collateral,
            needed: least,
        });
    }
    let most = collateral(leaf.rate, offer.collateral_epochs, params);
    if leaf.collateral > most {
        return Err(Refusal::CollateralHigh {
            collateral: leaf.collateral,
            most,
        });
    }
    Ok(())
}

fn judge_capacity(leaf: &ContractLeaf, room: &Room, params: &Params) -> Result<(), Refusal> {
    let (capacity, least) = (leaf.capacity_chunks, params.min_capacity_chunks);
    if capacity < least || capacity < leaf.used_chunks {
        return Err(Refusal::CapacityLow {
            capacity,
            least: least.max(leaf.used_chunks),
        });
    }
    if capacity > room.quota_free_chunks {
        return Err(Refusal::Quota {
            needed: capacity,
            have: room.quota_free_chunks,
        });
    }
    Ok(())
}

fn judge_money(leaf: &ContractLeaf, term: u32, room: &Room) -> Result<(), Refusal> {
    let needed = cost(leaf, term)?;
    if needed > room.renter_balance {
        return Err(Refusal::Balance {
            needed,
            have: room.renter_balance,
        });
    }
    if leaf.collateral > room.collateral_free {
        return Err(Refusal::CollateralFree {
            needed: leaf.collateral,
            have: room.collateral_free,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draft;
    use larder_types::{AccountId, Bytes, NodeId, Profile, Time};

    fn check(change: impl FnOnce(&mut ContractLeaf, &mut Room), want: fn(&Refusal) -> bool) {
        let params = Params::profile(Profile::Private);
        let offer = offer();
        let mut leaf = draft().leaf(&params);
        let mut room = Room {
            epoch: 4,
            quota_free_chunks: 1 << 20,
            renter_balance: Amount::from_credits(10),
            collateral_free: Amount::from_credits(10),
        };
        assert_eq!(judge(&leaf, &offer, &room, &params), Ok(()));
        change(&mut leaf, &mut room);
        let refusal = judge(&leaf, &offer, &room, &params).unwrap_err();
        assert!(want(&refusal), "{refusal:?}");
    }

    fn draft() -> Draft {
        Draft {
            provider: NodeId([1; 32]),
            renter: AccountId([2; 32]),
            nonce16: [0; 16],
            start: 5,
            term: 30,
            capacity_chunks: 1 << 18,
            price: Amount::from_credits(1),
            collateral_epochs: 30,
        }
    }

    fn offer() -> Offer {
        Offer {
            provider: NodeId([1; 32]),
            account: AccountId([3; 32]),
            price: Amount::from_credits(1),
            egress_price: Amount::ZERO,
            free: Bytes(1 << 30),
            min_term: 7,
            max_term: 30,
            collateral_epochs: 30,
            region: String::new(),
            operator: String::new(),
            addrs: Vec::new(),
            issued: Time(0),
            valid_until: Time(1),
        }
    }

    #[test]
    fn every_rule_refuses() {
        check(
            |l, _| l.contract_id.0[0] ^= 1,
            |r| matches!(r, Refusal::Identity),
        );
        check(
            |l, _| l.start_epoch = 4,
            |r| matches!(r, Refusal::Start { .. }),
        );
        check(
            |l, _| l.start_epoch = 7,
            |r| matches!(r, Refusal::Start { .. }),
        );
        check(
            |l, _| l.end_epoch = 36,
            |r| matches!(r, Refusal::End { end: 36 }),
        );
        check(
            |l, _| l.end_epoch = 42,
            |r| matches!(r, Refusal::Term { term: 37, .. }),
        );
        check(
            |l, _| l.end_epoch = 7,
            |r| matches!(r, Refusal::Term { term: 2, .. }),
        );
        check(|l, _| l.rate.0 -= 1, |r| matches!(r, Refusal::Rate { .. }));
        check(
            |l, _| l.collateral.0 -= 1,
            |r| matches!(r, Refusal::CollateralLow { .. }),
        );
        check(
            |l, _| l.collateral.0 += 1,
            |r| matches!(r, Refusal::CollateralHigh { .. }),
        );
        check(
            |l, r| r.quota_free_chunks = l.capacity_chunks - 1,
            |r| matches!(r, Refusal::Quota { .. }),
        );
        check(
            |l, r| r.renter_balance = Amount(l.rate.0 * 30 - 1),
            |r| matches!(r, Refusal::Balance { .. }),
        );
        check(
            |l, r| r.collateral_free = Amount(l.collateral.0 - 1),
            |r| matches!(r, Refusal::CollateralFree { .. }),
        );
        check(
            |l, _| l.egress_deposit = Amount(u64::MAX),
            |r| matches!(r, Refusal::Overflow),
        );
    }
}
