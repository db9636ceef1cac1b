//! What a contract becomes when shards of it are lost: rate, capacity and collateral shrink with
//! what is stored. The ledger applies it at the boundary; both sides can foresee it. Rounding goes
//! against the provider. `docs/protocol.md` §3.3, §3.6.

use larder_proofs::ContractLeaf;
use larder_types::{Amount, Hash, Params};

/// What a declared loss leaves of a contract's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remains {
    /// The content tree's root without the lost shards.
    pub content_root: Hash,
    /// Chunks that are left.
    pub chunks: u64,
    /// The contract's revision afterwards.
    pub revision: u64,
}

/// The leaf of which `remains` is left: rate, capacity and collateral times remaining over former
/// chunks, rounded down, the rate at least the network's least. Capacity stays at least what is
/// used, and becomes smaller, so that no leaf signed before has the same money terms. Depth, term
/// and what the ledger filled in stay.
///
/// `None` if nothing is left (then the contract closes), or no less than there was.
#[must_use]
pub fn lose(leaf: &ContractLeaf, remains: &Remains, params: &Params) -> Option<ContractLeaf> {
    let (left, former) = (remains.chunks, leaf.used_chunks);
    if left == 0 || left >= former {
        return None;
    }
    let scaled = |value: u64| Amount(value).mul_div(left, former).map(|v| v.0);
    Some(ContractLeaf {
        content_root: remains.content_root,
        used_chunks: left,
        revision: remains.revision,
        rate: Amount(scaled(leaf.rate.0)?).max(params.min_rate.min(leaf.rate)),
        capacity_chunks: scaled(leaf.capacity_chunks)?.max(left),
        collateral: Amount(scaled(leaf.collateral.0)?),
        ..*leaf
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::same_money;
    use larder_types::Profile;
    use proptest::prelude::*;

    fn params() -> Params {
        Params::profile(Profile::Dev)
    }

    fn leaf(used: u64, capacity: u64, rate: u64, collateral: u64) -> ContractLeaf {
        ContractLeaf {
            version: 1,
            depth: 3,
            start_epoch: 4,
            end_epoch: 70,
            used_chunks: used,
            capacity_chunks: capacity,
            rate: Amount(rate),
            collateral: Amount(collateral),
            slash_acc: 1 << 63,
            unpaid_at_start: 2,
            revision: 5,
            ..ContractLeaf::default()
        }
    }

    fn remains(chunks: u64) -> Remains {
        Remains {
            content_root: Hash([8; 32]),
            chunks,
            revision: 9,
        }
    }

    #[test]
    fn pay_room_and_collateral_follow_what_is_left() {
        let before = leaf(64, 1_000, 100, 3_001);
        let after = lose(&before, &remains(48), &params()).unwrap();
        let want = ContractLeaf {
            content_root: Hash([8; 32]),
            used_chunks: 48,
            capacity_chunks: 750,
            rate: Amount(75),
            collateral: Amount(2_250),
            revision: 9,
            ..before
        };
        assert_eq!(after, want);
    }

    #[test]
    fn nothing_left_and_nothing_lost_are_no_contract_of_less() {
        let before = leaf(64, 1_000, 100, 3_000);
        for chunks in [0, 64, 65] {
            assert_eq!(lose(&before, &remains(chunks), &params()), None, "{chunks}");
        }
    }

    #[test]
    fn the_rate_stays_payable() {
        let before = leaf(1 << 20, 1 << 20, 2, 0);
        let after = lose(&before, &remains(16), &params()).unwrap();
        assert_eq!((after.rate, after.capacity_chunks), (Amount(1), 16));
    }

    proptest! {
        #[test]
        fn less_is_promised_and_never_more_than_the_share(
            used in 2u64..1 << 50,
            room in 0u64..1 << 50,
            left in any::<u64>(),
            rate in 1u64..u64::MAX,
            collateral in any::<u64>(),
        ) {
            let before = leaf(used, used + room, rate, collateral);
            let left = 1 + left % (used - 1);
            let after = lose(&before, &remains(left), &params()).unwrap();
            prop_assert!(after.used_chunks <= after.capacity_chunks);
            prop_assert!(after.capacity_chunks < before.capacity_chunks);
            prop_assert!(!same_money(&before, &after));
            prop_assert!((Amount(1)..=before.rate).contains(&after.rate));
            let share = |part: u64, whole: u64| u128::from(part) * u128::from(used) <= u128::from(whole) * u128::from(left);
            prop_assert!(share(after.collateral.0, before.collateral.0));
            prop_assert!(share(after.rate.0, before.rate.0) || after.rate == Amount(1));
        }
    }
}
