//! What a provider must show. The ledger's challenges are carried by no message: they follow from
//! the slot's beacon and the provider's active root, for everyone alike. Audits are asked for by
//! whom they concern, off the ledger, and are evidence of nothing. `docs/protocol.md` §3.5, §3.7.

use crate::blob::MAX_DRAWS;
use crate::contract_leaf::MAX_DEPTH;
use crate::hashes;
use crate::provider::{ProviderRoot, ProviderTree};
use larder_types::layout::Layout;
use larder_types::{ContractId, GenesisHash, NodeId, SlotNo};

/// Who asks. It decides the format's name and the tag of the signature, so that an answer to the
/// one is never read as an answer to the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The ledger: a wrong answer convicts its signer.
    Ledger,
    /// An owner, friend or agent: a wrong answer tells the asker, nobody else.
    Audit,
}

/// A provider's challenge. The answer's header holds all of it that varies: kind, provider index,
/// slot, beacon, draws, and the root's hash, from which sum and depth follow; the network is under
/// the signature; and the contract of a targeted challenge is in its beacon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Who asks.
    pub kind: Kind,
    /// The network's chain id.
    pub chain_id: u64,
    /// The slot; 0 in an audit.
    pub slot_no: SlotNo,
    /// The slot's beacon, or what stands in its place: see [`Challenge::targeted`] and
    /// [`Challenge::audit`].
    pub beacon: [u8; 32],
    /// Who is asked.
    pub provider: NodeId,
    /// The provider's index in the ledger; 0 in an audit.
    pub provider_index: u32,
    /// The root of the provider's tree, frozen for the epoch.
    pub active: ProviderRoot,
    /// That tree's depth.
    pub depth: u8,
    /// The place in that tree of the one contract that is asked for: there is no draw among
    /// contracts then, and the tree may weigh nothing. `None` asks for all, by weight.
    pub contract: Option<u32>,
    /// How many draws: 1..=64.
    pub c: u8,
}

impl Challenge {
    /// The ledger's question for one contract, beside this one for the whole tree (T3). Its beacon
    /// is keyed("targeted", beacon ‖ contract id), so that neither answer is evidence in the
    /// other's case, nor that for one contract in another's.
    #[must_use]
    pub fn targeted(&self, place: u32, contract: &ContractId, c: u8) -> Self {
        let named = Layout::new().fixed(self.beacon).fixed(contract).finish();
        Self {
            beacon: hashes::TARGETED.hash(&named).0,
            contract: Some(place),
            c,
            ..*self
        }
    }

    /// An audit of this tree (T2): the whole of it, or, with [`Challenge::of_contract`], one
    /// contract. Who knows a contract's leaf and not the tree takes
    /// [`ProviderTree::of_one`]: the root then is that leaf.
    #[must_use]
    pub fn audit(
        genesis: &GenesisHash,
        provider: NodeId,
        tree: &ProviderTree,
        seed: [u8; 32],
        c: u8,
    ) -> Self {
        Self {
            kind: Kind::Audit,
            chain_id: genesis.chain_id(),
            slot_no: 0,
            beacon: seed,
            provider,
            provider_index: 0,
            active: tree.root(),
            depth: tree.depth(),
            contract: None,
            c,
        }
    }

    /// The same question, limited to the contract in this place.
    #[must_use]
    pub fn of_contract(self, place: u32) -> Self {
        Self {
            contract: Some(place),
            ..self
        }
    }

    /// Whether there can be a proof: 1..=64 draws, in a tree that weighs something or a contract
    /// that has a place in it.
    pub(crate) fn is_answerable(&self) -> bool {
        let drawn_from = match self.contract {
            Some(place) => u64::from(place) >> self.depth.min(MAX_DEPTH) == 0,
            None => self.active.sum > 0,
        };
        let draws = usize::from(self.c);
        drawn_from && (1..=MAX_DRAWS).contains(&draws) && self.depth <= MAX_DEPTH
    }

    /// The c draws: the first number picks by credit among contracts (unless one is named), the
    /// second by chunk within one. Each stands for a fraction of 2^128; see [`scale`].
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

/// The seed of an audit: `BLAKE3(nonce ‖ beacon)`, of the asker's 32 random bytes and the newest
/// beacon that it knows. Nobody foresees it, not even the asker.
#[must_use]
pub fn audit_seed(nonce: &[u8; 32], beacon: &[u8; 32]) -> [u8; 32] {
    *blake3::hash(&[*nonce, *beacon].concat()).as_bytes()
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
