//! The false proofs behind FAIL verdicts. A FAIL is never a matter of votes: the provider's own
//! signed blob is in the block, and everyone who applies it checks. `docs/protocol.md` §3.5, §3.6.

use crate::{ApplyError, State, Verdict, VerdictBatch};
use larder_types::{NodeId, SlotNo};
use serde::{Deserialize, Serialize};

/// Most bytes of false proofs in one block: more than fifty of honest length. With a block's
/// transactions it stays below the 4 MiB of a response.
pub const MAX_BLOCK_EVIDENCE_BYTES: usize = 2 << 20;

/// One false proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The slot that it was meant for.
    pub slot: SlotNo,
    /// Who signed it.
    pub provider: NodeId,
    /// The proof, as it was received.
    #[serde(with = "serde_bytes")]
    pub blob: Vec<u8>,
}

/// Whether each FAIL of these batches has its evidence, each piece of evidence its FAIL, in the
/// batches' order, and each convicts.
///
/// # Errors
/// [`ApplyError::Evidence`] or [`ApplyError::TooLarge`].
pub(crate) fn check(
    state: &State,
    batches: &[VerdictBatch],
    evidence: &[Evidence],
) -> Result<(), ApplyError> {
    let sizes = evidence.iter().map(|piece| piece.blob.len());
    if sizes.fold(0usize, usize::saturating_add) > MAX_BLOCK_EVIDENCE_BYTES {
        return Err(ApplyError::TooLarge);
    }
    let mut left = evidence.iter();
    for batch in batches {
        let asked = state.slot_providers(batch.slot);
        let verdicts = asked.iter().zip(batch.verdicts());
        for (provider, _) in verdicts.filter(|(_, verdict)| *verdict == Verdict::Fail) {
            let (slot, provider) = (batch.slot, provider.node);
            let refusal = ApplyError::Evidence { slot, provider };
            let piece = left
                .next()
                .filter(|piece| (piece.slot, piece.provider) == (slot, provider));
            match piece {
                Some(piece) if convicts(state, piece) => {}
                Some(_) | None => return Err(refusal),
            }
        }
    }
    match left.next() {
        Some(Evidence { slot, provider, .. }) => Err(ApplyError::Evidence {
            slot: *slot,
            provider: *provider,
        }),
        None => Ok(()),
    }
}

/// Whether a blob is its provider's signed answer to this epoch's challenge, and wrong.
fn convicts(state: &State, piece: &Evidence) -> bool {
    state
        .challenge_for(&piece.provider)
        .filter(|challenge| challenge.slot_no == piece.slot)
        .is_some_and(|challenge| {
            larder_proofs::convicts(&piece.blob, &challenge, &state.genesis_hash())
        })
}
