//! What a provider must show in its slot. No message carries it: it follows from the slot's beacon
//! and the provider's active root, for everyone alike. `docs/protocol.md` §3.5.

use crate::hashes;
use crate::provider::ProviderRoot;
use larder_types::layout::Layout;
use larder_types::{NodeId, SlotNo};

/// One provider's challenge in one slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// The network's chain id.
    pub chain_id: u64,
    /// The slot.
    pub slot_no: SlotNo,
    /// The slot's beacon.
    pub beacon: [u8; 32],
    /// Who is asked.
    pub provider: NodeId,
    /// The provider's index in the ledger.
    pub provider_index: u32,
    /// The root of the provider's tree, frozen for the epoch.
    pub active: ProviderRoot,
    /// That tree's depth.
    pub depth: u8,
    /// How many draws: 1..=64.
    pub c: u8,
}

impl Challenge {
    /// The c draws: the first number picks by credit among contracts, the second by chunk within
    /// one. Each stands for a fraction of 2^128; see [`scale`].
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn draws(&self) -> Vec<(u128, u128)> {
        let seed = Layout::new()
            .u64(self.chain_id)
            .u64(self.slot_no)
            .fixed(self.beacon)
            .fixed(self.provider)
            .fixed(self.active.hash)
            .u64(self.active.sum)
            .finish();
        let mut bytes = vec![0; 32 * usize::from(self.c)];
        hashes::CHALLENGE.fill(&seed, &mut bytes);
        let number = |half: &[u8]| u128::from_le_bytes(half.try_into().expect("16 bytes"));
        bytes
            .chunks_exact(32)
            .map(|draw| (number(&draw[..16]), number(&draw[16..])))
            .collect()
    }
}

/// `(draw · n) >> 128`: the position below `n` that a draw names. The bias is below 2^-64.
///
/// # Panics
/// Never.
#[must_use]
pub fn scale(draw: u128, n: u64) -> u64 {
    let (high, low) = (draw >> 64, draw & u128::from(u64::MAX));
    let n = u128::from(n);
    let position = (high * n + ((low * n) >> 64)) >> 64;
    u64::try_from(position).expect("below n")
}
