//! What validators found in a slot: two bits per provider and a reason for each that did not pass,
//! and the Merkle root over the hashes of the proofs they saw, so that anyone can check a verdict
//! afterwards. `docs/protocol.md` §3.5.

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

/// Why a provider did not pass: the provider reads here what to mend. It settles the verdict too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No proof came.
    #[error("no proof came")]
    Silent,
    /// The only proofs came after the window had closed.
    #[error("the proof came after the window had closed")]
    Late,
    /// What came answers another challenge: another slot, beacon or root.
    #[error("the proof answers another challenge")]
    Foreign,
    /// What came is not signed by the provider's node key.
    #[error("the proof is not signed by the provider")]
    Unsigned,
    /// A false proof, for which the block had no room as evidence.
    #[error("the proof is false; the block had no room for it")]
    Crowded,
    /// A signed answer to this challenge that is no proof in its one form.
    #[error("the signed proof is malformed")]
    Malformed,
    /// A signed answer to this challenge that does not show what was drawn.
    #[error("the signed proof is false")]
    Wrong,
    /// The network's own fault: no block opened the slot, or the validator began after it.
    #[error("the network could not ask, or not listen")]
    Excused,
    /// An announced absence.
    #[error("the provider had announced its absence")]
    Maintenance,
}

impl Reason {
    /// Every reason, by its code less one.
    const ALL: [Self; 9] = [
        Self::Silent,
        Self::Late,
        Self::Foreign,
        Self::Unsigned,
        Self::Crowded,
        Self::Malformed,
        Self::Wrong,
        Self::Excused,
        Self::Maintenance,
    ];

    /// The verdict that follows.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Silent | Self::Late | Self::Foreign | Self::Unsigned | Self::Crowded => {
                Verdict::Miss
            }
            Self::Malformed | Self::Wrong => Verdict::Fail,
            Self::Excused | Self::Maintenance => Verdict::Declared,
        }
    }

    /// The number on the wire and in logs; never reused.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Silent => 1,
            Self::Late => 2,
            Self::Foreign => 3,
            Self::Unsigned => 4,
            Self::Crowded => 5,
            Self::Malformed => 6,
            Self::Wrong => 7,
            Self::Excused => 8,
            Self::Maintenance => 9,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
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
    /// One per provider of the slot: why it did not pass; `None` where it did.
    pub results: Vec<Option<Reason>>,
    /// One per question for a single contract in the slot, by provider index and contract id.
    pub targeted: Vec<Option<Reason>>,
    /// Merkle root over the BLAKE3 hashes of the proofs behind Pass and Fail, in the same order,
    /// then of those for single contracts.
    pub proofs_root: Hash,
}

impl VerdictBatch {
    /// One verdict per provider of the slot.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.results.iter().map(|result| verdict(*result))
    }
}

/// The verdict of a result.
pub(crate) fn verdict(result: Option<Reason>) -> Verdict {
    result.map_or(Verdict::Pass, Reason::verdict)
}

/// The wire form: four verdicts a byte, the first in the low bits; a code for each that is no Pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Packed {
    slot: SlotNo,
    count: u32,
    #[serde(with = "serde_bytes")]
    bits: Vec<u8>,
    #[serde(with = "serde_bytes")]
    reasons: Vec<u8>,
    /// A reason's code, or 0 for a good answer.
    #[serde(with = "serde_bytes")]
    targeted: Vec<u8>,
    proofs_root: Hash,
}

/// A batch whose bits or reasons are not exactly those of its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the verdict bits do not match their count or reasons")]
pub struct BadBits;

impl From<VerdictBatch> for Packed {
    fn from(batch: VerdictBatch) -> Self {
        let pack = |four: &[Option<Reason>]| {
            four.iter()
                .rev()
                .fold(0u8, |byte, result| (byte << 2) | verdict(*result).bits())
        };
        Self {
            slot: batch.slot,
            count: u32::try_from(batch.results.len()).unwrap_or(u32::MAX),
            bits: batch.results.chunks(4).map(pack).collect(),
            reasons: batch.results.iter().flatten().map(|r| r.code()).collect(),
            targeted: batch
                .targeted
                .iter()
                .map(|result| result.map_or(0, Reason::code))
                .collect(),
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
        let mut reasons = packed.reasons.iter();
        let mut result = |verdict| match verdict {
            Verdict::Pass => Ok(None),
            Verdict::Miss | Verdict::Fail | Verdict::Declared => reasons
                .next()
                .and_then(|code| Reason::from_code(*code))
                .filter(|reason| reason.verdict() == verdict)
                .map(Some)
                .ok_or(BadBits),
        };
        let results = packed
            .bits
            .iter()
            .flat_map(|byte| [0u32, 2, 4, 6].map(|shift| Verdict::from_bits(byte >> shift)))
            .take(count)
            .map(&mut result)
            .collect::<Result<_, _>>()?;
        if reasons.next().is_some() {
            return Err(BadBits);
        }
        let targeted = packed
            .targeted
            .iter()
            .map(|code| match code {
                0 => Ok(None),
                code => Reason::from_code(*code).map(Some).ok_or(BadBits),
            })
            .collect::<Result<_, _>>()?;
        // Bits beyond the count must be zero; the canonical re-encoding refuses others.
        Ok(Self {
            slot: packed.slot,
            results,
            targeted,
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
    fn batches_travel_as_two_bits_a_provider_and_a_reason_for_each_that_did_not_pass() {
        let all = || {
            let reasons = Reason::ALL.into_iter().map(Some);
            std::iter::once(None).chain(reasons)
        };
        for n in 0..12usize {
            let results: Vec<_> = all().cycle().skip(n).take(n).collect();
            let targeted = all().skip(n % 9).take(3).collect();
            let batch = VerdictBatch {
                slot: 9,
                results,
                targeted,
                proofs_root: Hash([1; 32]),
            };
            assert_eq!(codec::decode(&codec::encode(&batch)), Ok(batch));
        }
        for (code, reason) in (1u8..).zip(Reason::ALL) {
            assert_eq!(reason.code(), code);
        }
    }

    #[test]
    fn stray_bits_and_reasons_are_refused() {
        let is_good = |count, bits: &[u8], reasons: &[u8]| {
            let packed = codec::encode(&Packed {
                slot: 1,
                count,
                bits: bits.to_vec(),
                reasons: reasons.to_vec(),
                targeted: Vec::new(),
                proofs_root: Hash([0; 32]),
            });
            codec::decode::<VerdictBatch>(&packed).is_ok()
        };
        assert!(is_good(2, &[0b0000_0100], &[1]));
        assert!(!is_good(2, &[0b0001_0100], &[1]));
        assert!(!is_good(2, &[0, 0], &[]));
        assert!(!is_good(5, &[0], &[]));
        assert!(!is_good(2, &[0b0000_0100], &[]), "a miss without a reason");
        assert!(!is_good(2, &[0b0000_0100], &[1, 1]), "a reason too many");
        assert!(!is_good(2, &[0b0000_0100], &[7]), "the reason of a fail");
        assert!(!is_good(2, &[0b0000_0100], &[0]), "an unknown reason");
        assert!(!is_good(2, &[0b0000_0100], &[10]), "an unknown reason");
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
