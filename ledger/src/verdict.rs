//! What validators found in a slot: two bits per provider, and the Merkle root over the hashes of
//! the proofs they saw, so that anyone can check a verdict afterwards. `docs/protocol.md` §3.5.

use larder_types::{Hash, SlotNo};
use serde::{Deserialize, Serialize};

/// One provider's result in its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A valid proof in time: the epoch is paid.
    Pass,
    /// No valid proof in time: the epoch is unpaid.
    Miss,
    /// An invalid proof, signed by the provider.
    Fail,
    /// An announced absence, or the network's own fault: unpaid, no strike.
    Declared,
}

impl Verdict {
    const fn bits(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Miss => 1,
            Self::Fail => 2,
            Self::Declared => 3,
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Pass,
            1 => Self::Miss,
            2 => Self::Fail,
            _ => Self::Declared,
        }
    }
}

/// The verdicts of one slot, by ascending provider index. Which providers these are, the state
/// knows: those with an active sum above zero whose slot it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Packed", try_from = "Packed")]
pub struct VerdictBatch {
    /// The slot.
    pub slot: SlotNo,
    /// One per provider of the slot.
    pub verdicts: Vec<Verdict>,
    /// Merkle root over the BLAKE3 hashes of the proofs behind Pass and Fail, in the same order.
    pub proofs_root: Hash,
}

/// The wire form: four verdicts a byte, the first in the low bits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    slot: SlotNo,
    count: u32,
    #[serde(with = "serde_bytes")]
    bits: Vec<u8>,
    proofs_root: Hash,
}

/// A batch whose bits are not exactly those of its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the verdict bits do not match their count")]
pub struct BadBits;

impl From<VerdictBatch> for Packed {
    fn from(batch: VerdictBatch) -> Self {
        let pack = |four: &[Verdict]| {
            four.iter()
                .rev()
                .fold(0u8, |byte, verdict| (byte << 2) | verdict.bits())
        };
        Self {
            slot: batch.slot,
            count: u32::try_from(batch.verdicts.len()).unwrap_or(u32::MAX),
            bits: batch.verdicts.chunks(4).map(pack).collect(),
            proofs_root: batch.proofs_root,
        }
    }
}

impl TryFrom<Packed> for VerdictBatch {
    type Error = BadBits;

    fn try_from(packed: Packed) -> Result<Self, BadBits> {
        let count = usize::try_from(packed.count).map_err(|_| BadBits)?;
        if packed.bits.len() != count.div_ceil(4) {
            return Err(BadBits);
        }
        let verdicts = packed
            .bits
            .iter()
            .flat_map(|byte| [0u32, 2, 4, 6].map(|shift| Verdict::from_bits(byte >> shift)))
            .take(count)
            .collect();
        // Bits beyond the count must be zero; the canonical re-encoding refuses others.
        Ok(Self {
            slot: packed.slot,
            verdicts,
            proofs_root: packed.proofs_root,
        })
    }
}

/// The Merkle root over `leaves`: a binary tree of keyed hashes, an odd last one moves up; nothing
/// gives the zero hash.
#[must_use]
pub fn merkle_root(context: &str, leaves: &[Hash]) -> Hash {
    let mut level: Vec<Hash> = leaves.to_vec();
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| join(context, pair)).collect();
    }
    level.first().copied().unwrap_or_default()
}

fn join(context: &str, pair: &[Hash]) -> Hash {
    if let [only] = pair {
        return *only;
    }
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for hash in pair {
        hasher.update(&hash.0);
    }
    Hash(*hasher.finalize().as_bytes())
}

/// The context of the Merkle root over proofs.
pub const PROOFS_CONTEXT: &str = "larder v1 proofs root";

#[cfg(test)]
mod tests {
    use super::*;
    use larder_types::codec;

    #[test]
    fn batches_travel_as_two_bits_a_provider() {
        for n in 0..9usize {
            let verdicts = [
                Verdict::Pass,
                Verdict::Miss,
                Verdict::Fail,
                Verdict::Declared,
            ]
            .into_iter()
            .cycle()
            .skip(n)
            .take(n)
            .collect::<Vec<_>>();
            let batch = VerdictBatch {
                slot: 9,
                verdicts,
                proofs_root: Hash([1; 32]),
            };
            assert_eq!(codec::decode(&codec::encode(&batch)), Ok(batch));
        }
    }

    #[test]
    fn stray_bits_are_refused() {
        let packed = |count, bits: &[u8]| {
            codec::encode(&Packed {
                slot: 1,
                count,
                bits: bits.to_vec(),
                proofs_root: Hash([0; 32]),
            })
        };
        assert!(codec::decode::<VerdictBatch>(&packed(2, &[0b0000_0100])).is_ok());
        assert!(codec::decode::<VerdictBatch>(&packed(2, &[0b0001_0100])).is_err());
        assert!(codec::decode::<VerdictBatch>(&packed(2, &[0, 0])).is_err());
        assert!(codec::decode::<VerdictBatch>(&packed(5, &[0])).is_err());
    }

    #[test]
    fn roots_depend_on_every_leaf_and_the_order() {
        let hashes: Vec<Hash> = (1..=5).map(|i| Hash([i; 32])).collect();
        let root = merkle_root("c", &hashes);
        let mut swapped = hashes.clone();
        swapped.swap(0, 4);
        assert_ne!(root, merkle_root("c", &swapped));
        assert_ne!(root, merkle_root("c", &hashes[..4]));
        assert_eq!(merkle_root("c", &[]), Hash::default());
        assert_eq!(merkle_root("c", &hashes[..1]), hashes[0]);
    }
}
