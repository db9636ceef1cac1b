//! A new contract as both sides compute it from what they agreed on. `docs/protocol.md` §3.3.

use larder_proofs::contract_leaf::{APPEND_ONLY, VERSION};
use larder_proofs::{ContentTree, ContractLeaf};
use larder_types::{AccountId, Amount, ContractId, Epoch, Hash, NodeId, Params};

/// Ends lie on multiples of this, so that a provider tree's expiries come in batches.
pub const END_STEP: Epoch = 7;
/// The terms that this code knows.
pub const TERMS_VERSION: u32 = 1;

/// What a new contract is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Who stores.
    pub provider: NodeId,
    /// Who pays.
    pub renter: AccountId,
    /// Random: makes the contract's id new.
    pub nonce16: [u8; 16],
    /// First epoch.
    pub start: Epoch,
    /// Epochs wanted; the end is rounded up to a multiple of seven.
    pub term: u32,
    /// Capacity bought, chunks.
    pub capacity_chunks: u64,
    /// The offer's price, nano per GiB and 30 days.
    pub price: Amount,
    /// The offer's collateral, epochs of pay.
    pub collateral_epochs: u32,
}

/// The first half tells the parties, the second half which of their contracts it is: 16 bytes of
/// `derive_key("larder v1 parties", provider ‖ renter)`, then 16 bytes of
/// `derive_key("larder v1 contract", provider ‖ renter ‖ nonce16)`. The ledger finds contracts by the
/// first half, so that there is one at a time for each account and provider.
#[must_use]
pub fn contract_id(provider: &NodeId, renter: &AccountId, nonce16: &[u8; 16]) -> ContractId {
    let mut parties = blake3::Hasher::new_derive_key("larder v1 parties");
    parties.update(&provider.0).update(&renter.0);
    let mut contract = blake3::Hasher::new_derive_key("larder v1 contract");
    contract
        .update(&provider.0)
        .update(&renter.0)
        .update(nonce16);
    let halves = [parties.finalize(), contract.finalize()];
    let bytes = halves
        .iter()
        .flat_map(|half| half.as_bytes().iter().take(16));
    let mut id = [0; 32];
    for (to, from) in id.iter_mut().zip(bytes) {
        *to = *from;
    }
    ContractId(id)
}

/// What the leaf keeps of its nonce: nonce16 ‖ zero[16], so that everyone can compute its id.
fn terms(nonce16: &[u8; 16]) -> Hash {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(nonce16) {
        *to = *from;
    }
    Hash(hash)
}

/// Whether a leaf's id is that of a contract between its renter and `provider`. An id that does not
/// follow from its parties could be taken before them by whoever sees it.
#[must_use]
pub fn is_bound(leaf: &ContractLeaf, provider: &NodeId) -> bool {
    let Some((nonce16, rest)) = leaf.terms_hash.0.split_first_chunk::<16>() else {
        return false;
    };
    rest.iter().all(|byte| *byte == 0)
        && contract_id(provider, &leaf.renter, nonce16) == leaf.contract_id
}

/// The collateral of a contract: `epochs` of pay, within what the network allows; saturating.
#[must_use]
pub(crate) fn collateral(rate: Amount, epochs: u32, params: &Params) -> Amount {
    let most = params.collateral_most;
    let epochs = epochs.max(params.collateral_epochs).min(most);
    rate.checked_mul(u64::from(epochs))
        .unwrap_or(Amount(u64::MAX))
}

impl Draft {
    /// The leaf of the contract's revision 0: empty, append-only, no egress terms yet (reading
    /// is free until vouchers exist).
    #[must_use]
    pub fn leaf(&self, params: &Params) -> ContractLeaf {
        let empty = ContentTree::default();
        let rate = crate::rate(self.price, self.capacity_chunks, params);
        ContractLeaf {
            version: VERSION,
            flags: APPEND_ONLY,
            egress_class: 0,
            depth: empty.depth(),
            start_epoch: self.start,
            end_epoch: self.end(params),
            terms_version: TERMS_VERSION,
            contract_id: contract_id(&self.provider, &self.renter, &self.nonce16),
            renter: self.renter,
            content_root: empty.root(),
            used_chunks: 0,
            capacity_chunks: self.capacity_chunks,
            rate,
            collateral: collateral(rate, self.collateral_epochs, params),
            slash_acc: 0,
            revision: 0,
            egress_price: Amount::ZERO,
            included_egress_chunks: 0,
            terms_hash: terms(&self.nonce16),
            egress_deposit: Amount::ZERO,
            egress_paid: Amount::ZERO,
            unpaid_at_start: 0,
        }
    }

    /// The term's end rounded up to a multiple of seven, or down where up is beyond the longest.
    fn end(&self, params: &Params) -> Epoch {
        let longest = self.start.saturating_add(params.max_term);
        let wanted = self.start.saturating_add(self.term);
        wanted
            .checked_next_multiple_of(END_STEP)
            .filter(|end| *end <= longest)
            .unwrap_or_else(|| longest.saturating_sub(longest.checked_rem(END_STEP).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::Profile;

    fn end(start: Epoch, term: u32) -> Epoch {
        let draft = Draft {
            provider: NodeId([1; 32]),
            renter: AccountId([2; 32]),
            nonce16: [0; 16],
            start,
            term,
            capacity_chunks: 1,
            price: Amount(1),
            collateral_epochs: 0,
        };
        draft.leaf(&Params::profile(Profile::Dev)).end_epoch
    }

    #[test]
    fn ends_are_multiples_of_seven_within_the_longest_term() {
        assert_eq!(end(1, 1), 7);
        assert_eq!(end(1, 6), 7);
        assert_eq!(end(1, 7), 14);
        assert_eq!(
            end(3, 400),
            399,
            "403 rounded up is 406, more than 400 epochs away"
        );
        assert_eq!(end(Epoch::MAX, 400) % 7, 0);
    }

    #[test]
    fn a_leaf_is_bound_to_its_parties() {
        let provider = NodeId([1; 32]);
        let leaf = Draft {
            provider,
            renter: AccountId([2; 32]),
            nonce16: [3; 16],
            start: 1,
            term: 7,
            capacity_chunks: 1,
            price: Amount(1),
            collateral_epochs: 0,
        }
        .leaf(&Params::profile(Profile::Dev));
        assert!(is_bound(&leaf, &provider));
        assert!(!is_bound(&leaf, &NodeId([9; 32])));
        let changed = |change: fn(&mut ContractLeaf)| {
            let mut other = leaf;
            change(&mut other);
            is_bound(&other, &provider)
        };
        assert!(!changed(|l| l.renter.0[0] ^= 1));
        assert!(!changed(|l| l.contract_id.0[0] ^= 1));
        assert!(!changed(|l| l.terms_hash.0[0] ^= 1));
        assert!(!changed(|l| l.terms_hash.0[16] = 1));
    }

    #[test]
    fn ids_differ_by_every_part() {
        let id = contract_id(&NodeId([1; 32]), &AccountId([2; 32]), &[3; 16]);
        assert_ne!(
            id,
            contract_id(&NodeId([9; 32]), &AccountId([2; 32]), &[3; 16])
        );
        assert_ne!(
            id,
            contract_id(&NodeId([1; 32]), &AccountId([9; 32]), &[3; 16])
        );
        assert_ne!(
            id,
            contract_id(&NodeId([1; 32]), &AccountId([2; 32]), &[9; 16])
        );
    }

    #[test]
    fn the_first_half_of_an_id_is_that_of_its_parties() {
        let half = |provider, renter, nonce| {
            let id = contract_id(
                &NodeId([provider; 32]),
                &AccountId([renter; 32]),
                &[nonce; 16],
            );
            id.0[..16].to_vec()
        };
        let one = half(1, 2, 3);
        assert_eq!(one, half(1, 2, 9), "whichever contract of theirs");
        assert_ne!(one, half(9, 2, 3));
        assert_ne!(one, half(1, 9, 3));
        assert_ne!(one, half(2, 1, 3), "not the other way round");
    }
}
