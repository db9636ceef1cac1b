//! Who makes blocks, and what is enough of them: the set of validators, its weights and its hash.
//! A set is sorted, bounded and free of doubles, so one set has one hash. `docs/protocol.md` §3.8.

use crate::bls::PublicKey;
use larder_types::layout::Layout;
use larder_types::{Hash, NodeId};
use serde::{Deserialize, Serialize};

/// Most validators of a set. Every one verifies every proof, and a certificate names each by a bit.
pub const MAX_VALIDATORS: usize = 128;

/// One of those who make blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// Its node key, which signs blocks.
    pub node: NodeId,
    /// Its BLS key, which signs certificates and reveals; its possession has been proved.
    pub bls: PublicKey,
    /// The weight of its vote, above 0.
    pub power: u64,
}

/// Why validators make no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// None, or more than [`MAX_VALIDATORS`].
    #[error("a set has 1 to {MAX_VALIDATORS} validators, not {0}")]
    Count(usize),
    /// Two of one node key, or not in the order of node keys.
    #[error("validators stand in the order of their node keys, each once")]
    Order,
    /// Two of one BLS key.
    #[error("two validators have one BLS key")]
    TwinKey,
    /// A weight of 0, or weights of 2^63 and more together.
    #[error("weights are above 0, and below 2^63 together")]
    Power,
}

/// Validators, in the order of their node keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>", into = "Vec<Validator>")]
pub struct ValidatorSet {
    members: Vec<Validator>,
    power: u64,
    hash: Hash,
}

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = SetError;

    fn try_from(members: Vec<Validator>) -> Result<Self, SetError> {
        Self::new(members)
    }
}

impl From<ValidatorSet> for Vec<Validator> {
    fn from(set: ValidatorSet) -> Self {
        set.members
    }
}

impl ValidatorSet {
    /// The set of these validators, which stand in the order of their node keys.
    ///
    /// # Errors
    /// [`SetError`]: what is wrong with them.
    pub fn new(members: Vec<Validator>) -> Result<Self, SetError> {
        if members.is_empty() || members.len() > MAX_VALIDATORS {
            return Err(SetError::Count(members.len()));
        }
        if !members.is_sorted_by(|a, b| a.node < b.node) {
            return Err(SetError::Order);
        }
        let mut keys: Vec<[u8; 48]> = members.iter().map(|m| m.bls.to_bytes()).collect();
        keys.sort_unstable();
        if !keys.is_sorted_by(|a, b| a < b) {
            return Err(SetError::TwinKey);
        }
        let power = members.iter().try_fold(0u64, |sum, m| {
            let sum = sum.checked_add(m.power)?;
            (m.power > 0 && sum < 1 << 63).then_some(sum)
        });
        let power = power.ok_or(SetError::Power)?;
        let hash = hash(&members);
        Ok(Self {
            members,
            power,
            hash,
        })
    }

    /// The validators, in order.
    #[must_use]
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// The weight that makes a block final: more than two thirds of all.
    ///
    /// # Panics
    /// Never: two thirds of a `u64` are one.
    #[must_use]
    pub fn quorum(&self) -> u64 {
        let two_thirds = u128::from(self.power) * 2 / 3;
        u64::try_from(two_thirds).expect("two thirds of a u64 are one") + 1
    }

    /// What names the set: derived over `count u32`, and for each validator
    /// `node[32] ‖ BLS key[48] ‖ power u64`.
    #[must_use]
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// A validator's place in the set.
    #[must_use]
    pub fn place(&self, node: &NodeId) -> Option<usize> {
        self.members.binary_search_by(|m| m.node.cmp(node)).ok()
    }

    /// A validator by its node key.
    #[must_use]
    pub fn get(&self, node: &NodeId) -> Option<&Validator> {
        self.members.get(self.place(node)?)
    }

    /// Who makes the block of a height in a round of consensus: each in turn, whatever its weight.
    ///
    /// # Panics
    /// Never: no set is empty.
    #[must_use]
    pub fn proposer(&self, height: u64, round: u32) -> &Validator {
        let count = u64::try_from(self.members.len()).expect("at most 128");
        let turn = height.wrapping_add(u64::from(round)) % count;
        let turn = usize::try_from(turn).expect("below 128");
        &self.members[turn]
    }
}

fn hash(members: &[Validator]) -> Hash {
    let count = u32::try_from(members.len()).expect("at most 128");
    let layout = members.iter().fold(Layout::new().u32(count), |layout, m| {
        layout.fixed(m.node).fixed(m.bls.to_bytes()).u64(m.power)
    });
    let bytes = layout.finish();
    Hash(blake3::derive_key("larder v1 validator set", &bytes))
}

#[cfg(test)]
#[path = "validators/tests.rs"]
mod tests;
